//! Sockets as their users know them: `blocking` as in `std::net`, `tokio` as in `tokio::net`.
//!
//! Semantics are Linux's where std documents none: what was queued before a FIN or an RST stays
//! readable, then comes the error, once, then end of file; a drop with unread data resets, any
//! other closes in the background.

pub(crate) mod blocking;
mod core;
mod options;
mod replicas;
mod tcp_options;
#[cfg(feature = "tokio")]
pub(crate) mod tokio;
mod urgent;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::SocketError;
use crate::runtime::Net;

pub(crate) use self::core::SocketCore;
pub use self::options::TcpKeepalive;
pub(crate) use self::replicas::Replicas;

/// The one place where our errors become the ones that users of `std::net` expect.
///
/// By number, as the kernel does: callers look at `raw_os_error` as well as at `kind`.
impl From<SocketError> for io::Error {
    fn from(error: SocketError) -> Self {
        Self::from_raw_os_error(error.errno())
    }
}

/// The first success of `act` on one of the addresses, else the last error, as `std::net` does.
pub(crate) fn each_addr<T>(
    addrs: impl ToSocketAddrs,
    mut act: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addrs.to_socket_addrs()? {
        match act(addr) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_addresses))
}

/// Makes a socket that may be in any shard: in the one that is best for it, and in another only if
/// that one has no room, or no port of its own is left there, which `no_port` says. If it can be in
/// none, the last one says why.
pub(crate) fn in_some_shard<T>(
    net: &Net,
    no_port: i32,
    make: impl Fn(&Net) -> io::Result<T>,
) -> io::Result<T> {
    let best = net.connecting();
    let mut outcome = Err(SocketError::NoBuffers.into());
    for shard in net.each().skip(best).chain(net.each().take(best)) {
        outcome = make(&shard);
        match &outcome {
            Err(error) if [Some(libc::ENOBUFS), Some(no_port)].contains(&error.raw_os_error()) => {}
            Ok(_) | Err(_) => break,
        }
    }
    outcome
}

/// What a name that stands for nothing leads to.
pub(crate) fn no_addresses() -> io::Error {
    invalid("could not resolve to any addresses")
}

/// An argument that no call could take.
pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// The kinds that programs match on, for errors that have one.
    #[test]
    fn an_error_has_the_number_and_the_kind_of_the_kernels() {
        for (error, number, kind) in [
            (SocketError::WouldBlock, libc::EAGAIN, ErrorKind::WouldBlock),
            (SocketError::Refused, libc::ECONNREFUSED, ErrorKind::ConnectionRefused),
            (SocketError::Reset, libc::ECONNRESET, ErrorKind::ConnectionReset),
            (SocketError::Aborted, libc::ECONNABORTED, ErrorKind::ConnectionAborted),
            (SocketError::TimedOut, libc::ETIMEDOUT, ErrorKind::TimedOut),
            (SocketError::NotConnected, libc::ENOTCONN, ErrorKind::NotConnected),
            (SocketError::AddressInUse, libc::EADDRINUSE, ErrorKind::AddrInUse),
            (SocketError::AddressNotAvailable, libc::EADDRNOTAVAIL, ErrorKind::AddrNotAvailable),
            (SocketError::BrokenPipe, libc::EPIPE, ErrorKind::BrokenPipe),
            (SocketError::HostUnreachable, libc::EHOSTUNREACH, ErrorKind::HostUnreachable),
            (SocketError::NetworkUnreachable, libc::ENETUNREACH, ErrorKind::NetworkUnreachable),
            (SocketError::NetworkDown, libc::ENETDOWN, ErrorKind::NetworkDown),
            (SocketError::PermissionDenied, libc::EACCES, ErrorKind::PermissionDenied),
            (SocketError::InvalidArgument, libc::EINVAL, ErrorKind::InvalidInput),
        ] {
            let mapped = io::Error::from(error);
            assert_eq!(mapped.raw_os_error(), Some(number), "{error:?}");
            assert_eq!(mapped.kind(), kind, "{error:?}");
        }
    }

    #[test]
    fn addresses_are_tried_in_turn_and_the_last_error_is_told() {
        let addrs: [SocketAddr; 3] =
            ["10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3"].map(|text| text.parse().unwrap());
        let mut tried = Vec::new();
        let found = each_addr(&addrs[..], |addr| {
            tried.push(addr);
            if addr.port() == 2 { Ok(addr) } else { Err(SocketError::Refused.into()) }
        });
        assert_eq!(found.unwrap(), addrs[1]);
        assert_eq!(tried, addrs[..2]);

        let failed: io::Result<()> = each_addr(&addrs[..], |addr| {
            Err(match addr.port() {
                3 => SocketError::TimedOut.into(),
                _ => SocketError::Refused.into(),
            })
        });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::TimedOut);

        let none: io::Result<()> = each_addr(&[][..], |_| Ok(()));
        assert_eq!(none.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
