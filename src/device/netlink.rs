//! The one property of an interface that an ioctl sets only for root of the whole machine: the
//! queue length. In a user namespace its own root may set it too, through rtnetlink(7).

use std::io::{self, Read, Write};

use super::sys;

/// Octets of the request: header, `ifinfomsg`, one attribute of a number.
const REQUEST_LEN: u32 = 16 + 16 + 8;

/// Sets how many packets may wait in the transmit queue of the interface number `index`.
pub(super) fn set_queue_len(index: u32, packets: u32) -> io::Result<()> {
    let mut socket = sys::route_socket()?;
    socket.write_all(&request(index, packets)?)?;
    // The kernel has answered when the write returns, so nothing has to be waited for.
    let mut answer = [0; 64];
    let len = socket.read(&mut answer)?;
    outcome(answer.get(..len).unwrap_or_default())
}

/// RTM_SETLINK with IFLA_TXQLEN, to be acknowledged.
fn request(index: u32, packets: u32) -> io::Result<Vec<u8>> {
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK).map_err(io::Error::other)?;
    let mut message = Vec::new();
    // struct nlmsghdr: length, type, flags, sequence, port.
    message.extend(REQUEST_LEN.to_ne_bytes());
    message.extend(libc::RTM_SETLINK.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    // struct ifinfomsg: family, padding, type; index; flags; change.
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend([0; 8]);
    // struct rtattr: length, type; the number.
    message.extend(8u16.to_ne_bytes());
    message.extend(libc::IFLA_TXQLEN.to_ne_bytes());
    message.extend(packets.to_ne_bytes());
    Ok(message)
}

/// What an NLMSG_ERROR says: zero, or the error number below zero.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let &[_, _, _, _, t0, t1, _, _, _, _, _, _, _, _, _, _, e0, e1, e2, e3, ..] = answer else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    if libc::c_int::from(u16::from_ne_bytes([t0, t1])) != libc::NLMSG_ERROR {
        return Err(io::ErrorKind::InvalidData.into());
    }
    match i32::from_ne_bytes([e0, e1, e2, e3]) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        let message = request(7, 5000).unwrap();
        assert_eq!(u32::try_from(message.len()), Ok(REQUEST_LEN));
        assert_eq!(message[..4], REQUEST_LEN.to_ne_bytes());
        assert_eq!(message[20..24], 7u32.to_ne_bytes());
        assert_eq!(message[36..], 5000u32.to_ne_bytes());
    }

    #[test]
    fn an_answer_is_success_or_its_error_number() {
        let mut answer = [0; 36];
        answer[4..6].copy_from_slice(&2u16.to_ne_bytes());
        assert!(outcome(&answer).is_ok());
        assert!(outcome(&answer[..19]).is_err(), "cut short");
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        let error = outcome(&answer).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        answer[4] = 3;
        assert!(outcome(&answer).is_err(), "another message");
    }

    /// No interface has the number 0, so the kernel refuses whoever asks.
    #[test]
    fn the_kernel_answers() {
        let error = set_queue_len(0, 5000).unwrap_err();
        let number = error.raw_os_error();
        assert!(matches!(number, Some(libc::EINVAL | libc::ENODEV | libc::EPERM)), "{error}");
    }
}
