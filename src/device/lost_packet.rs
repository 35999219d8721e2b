//! What the kernel says of one packet, as opposed to the device that was to carry it.

use std::io;

/// Whether a failed write concerns that packet only, or the device for the time being: no room,
/// a packet that the kernel finds malformed, an interface that is down (EIO). What a deleted
/// interface says (ENODEV) is not among them.
pub(super) fn is_about_one_packet(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM | libc::EINVAL | libc::EIO | libc::EMSGSIZE
        )
    )
}

/// Whether a router or the peer's host says this of one datagram, an earlier one: each number that
/// the kernel makes of an error of ICMP (`icmp_err_convert`, and `__udp4_lib_err` for a parameter
/// problem), "packet too big" too, which any path may answer to the first large packet. A read says
/// it once for each.
pub(super) fn is_icmp_about_one_datagram(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EMSGSIZE
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
        )
    )
}

/// Whether a failed write to a socket of IP concerns that datagram, or an earlier one, and never
/// the socket as such: what ICMP says, a filter of this machine, a route that forbids, an interface
/// that is down for now.
pub(super) fn is_about_one_datagram(error: &io::Error) -> bool {
    let is_of_here =
        matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENETDOWN));
    is_of_here || is_icmp_about_one_datagram(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_icmp_or_this_machine_says_of_one_datagram_does_not_end_a_socket_of_ip() {
        let is_of_one = |number| is_about_one_datagram(&io::Error::from_raw_os_error(number));
        for number in [
            // Unreachable of code 2, 3, 4, 5, 6, 7, 8 and 10, and a parameter problem.
            libc::ENOPROTOOPT,
            libc::ECONNREFUSED,
            libc::EMSGSIZE,
            libc::EOPNOTSUPP,
            libc::ENETUNREACH,
            libc::EHOSTDOWN,
            libc::ENONET,
            libc::EHOSTUNREACH,
            libc::EPROTO,
            // What a filter, a route and an interface say.
            libc::EPERM,
            libc::EACCES,
            libc::ENETDOWN,
        ] {
            assert!(is_of_one(number), "{number}");
        }
        // A read that is forbidden is so each time: to try again would be a loop.
        for number in [libc::EPERM, libc::EACCES, libc::ENETDOWN] {
            assert!(!is_icmp_about_one_datagram(&io::Error::from_raw_os_error(number)), "{number}");
        }
        for number in [libc::EBADF, libc::ENOTCONN, libc::EPIPE, libc::ENODEV] {
            assert!(!is_of_one(number), "{number}");
        }
    }
}
