//! A UDP socket, as `std::net::UdpSocket`.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crate::runtime::{Direction, Net};
use crate::socket::options::socket_options;
use crate::socket::{SocketCore, each_addr, in_some_shard, no_addresses};
use crate::stack::Stack;
use crate::time::Duration;

/// A UDP socket whose calls block, as [`std::net::UdpSocket`].
///
/// # Examples
///
/// ```no_run
/// use wharf::net::UdpSocket;
///
/// # fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let socket = UdpSocket::bind(net, "0.0.0.0:7")?;
/// let mut buffer = [0; 1500];
/// loop {
///     let (len, peer) = socket.recv_from(&mut buffer)?;
///     socket.send_to(&buffer[..len], peer)?;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    core: Arc<SocketCore>,
}

socket_options!(UdpSocket);

impl UdpSocket {
    /// Binds to the first of the addresses that can be had; port 0 takes a free one. Bound to a
    /// broadcast address or a group it hears of that alone.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `AddrNotAvailable` if the address is not ours.
    pub fn bind(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each_addr(addr, |addr| {
            if addr.port() != 0 {
                return Self::bound(&net.for_udp_port(addr.port()), addr);
            }
            // A shard chooses among ports of its own: another has some left when it has none.
            in_some_shard(net, libc::EADDRINUSE, |shard| Self::bound(shard, addr))
        })
    }

    /// A socket that is bound in the shard where `net` makes sockets.
    fn bound(net: &Net, addr: SocketAddr) -> io::Result<Self> {
        let core = SocketCore::open(net, Stack::udp_socket)?;
        core.bind(addr)?;
        Ok(Self::new(Arc::new(core)))
    }

    fn new(core: Arc<SocketCore>) -> Self {
        Self { core }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_core(self) -> Arc<SocketCore> {
        self.core
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn from_core(core: Arc<SocketCore>) -> Self {
        Self::new(core)
    }

    /// Waits for a datagram; how many octets of it are in `buffer`, and who sent it. What does
    /// not fit is lost.
    ///
    /// # Errors
    ///
    /// `WouldBlock` in nonblocking mode or after the timeout; an ICMP error that came back for
    /// what a connected socket sent, once.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, _| shard.stack.recv_from(id, buffer))
    }

    /// As [`UdpSocket::recv_from`], and leaves the datagram for the next call.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, _| shard.stack.peek_from(id, buffer))
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    ///
    /// EMSGSIZE if it does not fit into one packet; EACCES to a broadcast address unless
    /// [`UdpSocket::set_broadcast`] allows it; `HostUnreachable`, `NetworkUnreachable`.
    pub fn send_to(&self, octets: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        let addr = addr.to_socket_addrs()?.next().ok_or_else(no_addresses)?;
        self.send_datagram(octets, Some(addr))
    }

    /// Sends as many datagrams as it takes to send `octets`, each with `segment_size` of them and
    /// the last with what is left, to the first of the addresses: UDP_SEGMENT of Linux. Where the
    /// device splits them they cost little more than one.
    ///
    /// # Errors
    ///
    /// EINVAL for a size of 0 and for more than 64 datagrams; EMSGSIZE if one of them does not fit
    /// into one packet, or all of them are more than 65,507 octets; else as
    /// [`UdpSocket::send_to`]. Nothing has been sent then.
    pub fn send_segments_to(
        &self,
        octets: &[u8],
        segment_size: usize,
        addr: impl ToSocketAddrs,
    ) -> io::Result<usize> {
        let addr = addr.to_socket_addrs()?.next().ok_or_else(no_addresses)?;
        self.send_datagrams(octets, segment_size, Some(addr))
    }

    fn send_datagrams(
        &self,
        octets: &[u8],
        size: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let id = self.core.id();
        self.core.block(Direction::Write, |shard, now| {
            shard.running()?.send_segments_to(now, id, octets, size, to)
        })
    }

    fn send_datagram(&self, octets: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let id = self.core.id();
        self.core
            .block(Direction::Write, |shard, now| shard.running()?.send_to(now, id, octets, to))
    }

    /// Sets the peer: [`UdpSocket::send`] sends to it, and datagrams of others are not received.
    ///
    /// # Errors
    ///
    /// Of the last address tried.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        each_addr(addr, |addr| self.core.start_connect(addr))
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`], and if there is no peer.
    pub fn send(&self, octets: &[u8]) -> io::Result<usize> {
        self.send_datagram(octets, None)
    }

    /// As [`UdpSocket::send_segments_to`], to the peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_segments_to`], and if there is no peer.
    pub fn send_segments(&self, octets: &[u8], segment_size: usize) -> io::Result<usize> {
        self.send_datagrams(octets, segment_size, None)
    }

    /// Waits for a datagram of the peer's.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buffer).map(|(len, _)| len)
    }

    /// As [`UdpSocket::recv`], and leaves the datagram for the next call.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.peek_from(buffer).map(|(len, _)| len)
    }

    /// The peer that [`UdpSocket::connect`] set.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it set none.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.core.peer_addr()
    }

    /// Our address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// Another handle to the same socket; options, timeouts and mode are shared.
    ///
    /// # Errors
    ///
    /// None; a `Result` since std's is one.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.core.clone()))
    }

    /// How long receiving waits before it fails as `WouldBlock`; `None`, for ever, at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.core.set_timeout(Direction::Read, timeout)
    }

    /// How long sending waits before it fails as `WouldBlock`; `None`, for ever, at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.core.set_timeout(Direction::Write, timeout)
    }

    /// How long receiving waits.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.core.timeout(Direction::Read))
    }

    /// How long sending waits.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.core.timeout(Direction::Write))
    }

    /// SO_BROADCAST: whether datagrams may go to broadcast addresses. Off at first.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.core.set_option(|options| options.broadcast = broadcast)
    }

    /// SO_BROADCAST.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.core.option(|options| options.broadcast)
    }

    /// IP_TTL of the datagrams that we send; 64 at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` unless it is from 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.core.set_ttl(ttl)
    }

    /// IP_TTL.
    pub fn ttl(&self) -> io::Result<u32> {
        self.core.option(|options| options.ttl.into())
    }

    /// The error that waits to be told (SO_ERROR), and clears it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.take_error()
    }

    /// Whether calls that would wait fail as `WouldBlock` instead; off at first.
    ///
    /// # Errors
    ///
    /// None; a `Result` since std's is one.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.core.set_nonblocking(nonblocking);
        Ok(())
    }
}
