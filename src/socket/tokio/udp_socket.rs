//! A UDP socket, as `tokio::net::UdpSocket`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{Interest, ReadBuf, Ready};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::error::SocketError;
use crate::runtime::{Direction, Net};
use crate::socket::options::socket_options;
use crate::socket::{SocketCore, no_addresses};
use crate::stack::{SocketId, Stack};

/// How many octets of a datagram, and who sent it.
type Received = Result<(usize, SocketAddr), SocketError>;

/// A UDP socket for tasks, as [`::tokio::net::UdpSocket`].
///
/// Every call takes `&self`, so that an `Arc` of one serves any number of tasks. All are
/// cancel-safe: a future that is dropped before it is ready has received or sent nothing.
///
/// # Examples
///
/// ```no_run
/// use wharf::tokio::UdpSocket;
///
/// # async fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let socket = UdpSocket::bind(net, "0.0.0.0:7").await?;
/// let mut buffer = [0; 1500];
/// loop {
///     let (len, peer) = socket.recv_from(&mut buffer).await?;
///     socket.send_to(&buffer[..len], peer).await?;
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
    pub async fn bind(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addrs: Vec<SocketAddr> = lookup_host(addr).await?.collect();
        if addrs.is_empty() {
            return Err(no_addresses());
        }
        crate::net::UdpSocket::bind(net, addrs.as_slice()).map(Self::from)
    }

    /// Waits for a datagram; how many octets of it are in `buffer`, and who sent it. What does
    /// not fit is lost.
    ///
    /// # Errors
    ///
    /// An ICMP error that came back for what a connected socket sent, once.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.operation(Direction::Read, |shard, _| shard.stack.recv_from(id, buffer)).await
    }

    /// As [`UdpSocket::recv_from`]; only the last task that polled is woken.
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_datagram(cx, buffer, Stack::recv_from)
    }

    /// As [`UdpSocket::poll_recv_from`], without the sender.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buffer).map_ok(drop)
    }

    /// As [`UdpSocket::recv_from`], and leaves the datagram for the next call.
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.operation(Direction::Read, |shard, _| shard.stack.peek_from(id, buffer)).await
    }

    /// As [`UdpSocket::peek_from`], without the sender.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.peek_from(buffer).await.map(|(len, _)| len)
    }

    /// As [`UdpSocket::peek_from`]; only the last task that polled is woken.
    pub fn poll_peek_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        self.poll_datagram(cx, buffer, Stack::peek_from)
    }

    fn poll_datagram(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        act: impl FnOnce(&mut Stack, SocketId, &mut [u8]) -> Received,
    ) -> Poll<io::Result<SocketAddr>> {
        let id = self.core.id();
        let unfilled = buffer.initialize_unfilled();
        let (len, peer) = ready!(self.core.poll_operation(Direction::Read, cx, |shard, _| {
            act(&mut shard.stack, id, unfilled)
        }))?;
        buffer.advance(len);
        Poll::Ready(Ok(peer))
    }

    /// Receives a datagram if one waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if none does.
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.call(|shard, _| shard.stack.recv_from(id, buffer))
    }

    /// As [`UdpSocket::try_recv_from`], without the sender.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_recv_from(buffer).map(|(len, _)| len)
    }

    /// As [`UdpSocket::try_recv_from`], and leaves the datagram for the next call.
    pub fn try_peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let id = self.core.id();
        self.core.call(|shard, _| shard.stack.peek_from(id, buffer))
    }

    /// As [`UdpSocket::try_peek_from`], without the sender.
    pub fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_peek_from(buffer).map(|(len, _)| len)
    }

    /// Sends a datagram to the first of the addresses.
    ///
    /// # Errors
    ///
    /// EMSGSIZE if it does not fit into one packet; EACCES to a broadcast address unless
    /// [`UdpSocket::set_broadcast`] allows it; `HostUnreachable`, `NetworkUnreachable`.
    pub async fn send_to(&self, octets: &[u8], addr: impl ToSocketAddrs) -> io::Result<usize> {
        let addr = lookup_host(addr).await?.next().ok_or_else(no_addresses)?;
        self.send_datagram(octets, Some(addr)).await
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
    pub async fn send_segments_to(
        &self,
        octets: &[u8],
        segment_size: usize,
        addr: impl ToSocketAddrs,
    ) -> io::Result<usize> {
        let addr = lookup_host(addr).await?.next().ok_or_else(no_addresses)?;
        self.send_datagrams(octets, segment_size, Some(addr)).await
    }

    async fn send_datagrams(
        &self,
        octets: &[u8],
        size: usize,
        to: Option<SocketAddr>,
    ) -> io::Result<usize> {
        let id = self.core.id();
        self.core
            .operation(Direction::Write, |shard, now| {
                shard.running()?.send_segments_to(now, id, octets, size, to)
            })
            .await
    }

    async fn send_datagram(&self, octets: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let id = self.core.id();
        self.core
            .operation(Direction::Write, |shard, now| shard.running()?.send_to(now, id, octets, to))
            .await
    }

    /// As [`UdpSocket::send_to`]; only the last task that polled is woken.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        octets: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.poll_send_datagram(cx, octets, Some(to))
    }

    /// As [`UdpSocket::send`]; only the last task that polled is woken.
    pub fn poll_send(&self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_datagram(cx, octets, None)
    }

    fn poll_send_datagram(
        &self,
        cx: &mut Context<'_>,
        octets: &[u8],
        to: Option<SocketAddr>,
    ) -> Poll<io::Result<usize>> {
        let id = self.core.id();
        self.core.poll_operation(Direction::Write, cx, |shard, now| {
            shard.running()?.send_to(now, id, octets, to)
        })
    }

    /// Sends a datagram if there is room for it.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; else as [`UdpSocket::send_to`].
    pub fn try_send_to(&self, octets: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.try_send_datagram(octets, Some(to))
    }

    /// As [`UdpSocket::try_send_to`], to the peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::try_send_to`], and if there is no peer.
    pub fn try_send(&self, octets: &[u8]) -> io::Result<usize> {
        self.try_send_datagram(octets, None)
    }

    fn try_send_datagram(&self, octets: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let id = self.core.id();
        self.core.call(|shard, now| shard.running()?.send_to(now, id, octets, to))
    }

    /// As [`UdpSocket::send_segments_to`], if there is room for the datagrams.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none; else as [`UdpSocket::send_segments_to`].
    pub fn try_send_segments_to(
        &self,
        octets: &[u8],
        segment_size: usize,
        to: SocketAddr,
    ) -> io::Result<usize> {
        let id = self.core.id();
        self.core.call(|shard, now| {
            shard.running()?.send_segments_to(now, id, octets, segment_size, Some(to))
        })
    }

    /// Sets the peer: [`UdpSocket::send`] sends to it, and datagrams of others are not received.
    ///
    /// # Errors
    ///
    /// Of the last address tried.
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> io::Result<()> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match self.core.start_connect(addr) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_addresses))
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`], and if there is no peer.
    pub async fn send(&self, octets: &[u8]) -> io::Result<usize> {
        self.send_datagram(octets, None).await
    }

    /// As [`UdpSocket::send_segments_to`], to the peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_segments_to`], and if there is no peer.
    pub async fn send_segments(&self, octets: &[u8], segment_size: usize) -> io::Result<usize> {
        self.send_datagrams(octets, segment_size, None).await
    }

    /// Waits for a datagram of the peer's.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buffer).await.map(|(len, _)| len)
    }

    /// Waits until the socket is ready for any of what `interest` names, and tells for what.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.core.ready(interest).await
    }

    /// Waits until a datagram or an error waits.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there is room for a datagram.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls for a datagram or an error; only the last task that polled is woken.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.poll_ready(Direction::Read, cx)
    }

    /// Polls for room for a datagram; only the last task that polled is woken.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.poll_ready(Direction::Write, cx)
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
}

/// The same socket, for tasks.
impl From<crate::net::UdpSocket> for UdpSocket {
    fn from(socket: crate::net::UdpSocket) -> Self {
        let core = socket.into_core();
        Self { core }
    }
}

/// The same socket, for blocking calls.
impl From<UdpSocket> for crate::net::UdpSocket {
    fn from(socket: UdpSocket) -> Self {
        Self::from_core(socket.core)
    }
}
