//! What the small services need of a UDP socket, and what they owe the network.

use std::io;
use std::net::SocketAddr;

/// Octets of the largest datagram that IPv4 can carry (RFC 768: 65,535 less two headers).
pub const DATAGRAM_OCTETS_MAX: usize = 65_507;

/// A UDP socket.
pub trait Datagrams: Send + Sync {
    /// As `recv_from` of tokio's socket.
    fn recv_from(
        &self,
        into: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// As `send_to` of tokio's socket.
    fn send_to(
        &self,
        octets: &[u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// The next datagram: octets and sender. An error that an earlier answer brought on, such as
    /// port unreachable, is none of the next datagram's.
    fn next(
        &self,
        into: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send {
        async {
            loop {
                match self.recv_from(into).await {
                    Err(error) if is_of_one_peer(&error) => {}
                    outcome => return outcome,
                }
            }
        }
    }

    /// Answers one datagram; an answer that cannot reach its peer is lost, as datagrams are.
    fn answer(&self, octets: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send {
        async move {
            match self.send_to(octets, to).await {
                Err(error) if !is_of_one_peer(&error) => Err(error),
                Ok(_) | Err(_) => Ok(()),
            }
        }
    }
}

/// Whether the error concerns one peer or one datagram, and not the socket.
fn is_of_one_peer(error: &io::Error) -> bool {
    let numbers = [
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EMSGSIZE,
        libc::EINVAL,
        libc::EACCES,
        libc::ENOBUFS,
    ];
    error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}

/// Whether `port` is one of a service that answers every datagram: echo, daytime, quote, chargen,
/// time. Two of them, set on each other by a forged source, would never fall silent.
pub(super) fn is_service_port(port: u16) -> bool {
    matches!(port, 7 | 13 | 17 | 19 | 37)
}

impl Datagrams for tokio::net::UdpSocket {
    async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, into).await
    }

    async fn send_to(&self, octets: &[u8], to: SocketAddr) -> io::Result<usize> {
        Self::send_to(self, octets, to).await
    }
}

impl Datagrams for crate::tokio::UdpSocket {
    async fn recv_from(&self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        Self::recv_from(self, into).await
    }

    async fn send_to(&self, octets: &[u8], to: SocketAddr) -> io::Result<usize> {
        Self::send_to(self, octets, to).await
    }
}
