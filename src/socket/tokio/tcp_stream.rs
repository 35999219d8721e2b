//! A TCP connection, as `tokio::net::TcpStream`.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{ToSocketAddrs, lookup_host};

use crate::runtime::{Direction, Net, Shard};
use crate::socket::options::{socket_options, tcp_options};
use crate::socket::tokio::split::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::socket::urgent::tcp_stream_urgent;
use crate::socket::{Replicas, SocketCore, no_addresses};
use crate::tcp::TcpInfo;
use crate::time::{Duration, Instant};

/// A TCP connection for tasks, as [`::tokio::net::TcpStream`].
///
/// What the peer sent before it closed or reset the connection stays readable; then comes the
/// error, once, then end of file.
///
/// Dropping it closes the connection: what was written is still delivered, in the background,
/// unless there was something left to read. Then the peer gets a reset, since it could not know
/// that nobody will read what it sent.
///
/// Reading and writing are cancel-safe: a future of `read` or `write` that is dropped before it
/// is ready has read or written nothing.
///
/// # Examples
///
/// ```no_run
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use wharf::tokio::TcpStream;
///
/// # async fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let mut stream = TcpStream::connect(net, "10.7.0.1:7").await?;
/// stream.write_all(b"hello").await?;
/// stream.shutdown().await?;
/// let mut echo = Vec::new();
/// stream.read_to_end(&mut echo).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpStream {
    core: Arc<SocketCore>,
}

socket_options!(TcpStream);
tcp_options!(TcpStream);

impl TcpStream {
    /// Connects to the first of the addresses that lets us.
    ///
    /// # Errors
    ///
    /// Of the last address tried: `ConnectionRefused`, `TimedOut` (after the stack's own
    /// time-out, minutes), `HostUnreachable`, `NetworkUnreachable` (of an address that no host can
    /// have, too), and for an address that is not IPv4 EAFNOSUPPORT.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    pub async fn connect(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = None;
        for addr in lookup_host(addr).await? {
            match Self::connect_addr(net, addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(no_addresses))
    }

    pub(crate) async fn connect_addr(net: &Net, addr: SocketAddr) -> io::Result<Self> {
        Self::connected(Replicas::connect(net, addr)?).await
    }

    /// The stream of a socket that begins to connect.
    pub(crate) async fn connected(core: SocketCore) -> io::Result<Self> {
        core.operation(Direction::Write, |shard, _| core.connected(&mut shard.stack)).await?;
        Ok(Self::new(Arc::new(core)))
    }

    pub(crate) fn new(core: Arc<SocketCore>) -> Self {
        Self { core }
    }

    /// The peer's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.core.peer_addr()
    }

    /// Our address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// The error that waits to be told (SO_ERROR), and clears it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.take_error()
    }

    /// Waits until the stream is ready for any of what `interest` names, and tells for what.
    ///
    /// Ready means that the matching `try_` call will not fail as `WouldBlock`, unless another
    /// task is quicker.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.core.ready(interest).await
    }

    /// Waits until there is something to read, end of file and an error included.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there is room to write, or an error that a write would tell.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls for readability; only the last task that polled is woken.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.poll_ready(Direction::Read, cx)
    }

    /// Polls for writability; only the last task that polled is woken.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.core.poll_ready(Direction::Write, cx)
    }

    /// Reads what is there.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.call(|shard, now| shard.stack.read(now, id, buffer))
    }

    /// As [`TcpStream::try_read`], into several buffers.
    pub fn try_read_vectored(&self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.core.call(|shard, _| self.core.read_vectored(&mut shard.stack, buffers))
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.call(|shard, now| shard.stack.write(now, id, octets))
    }

    /// As [`TcpStream::try_write`], from several buffers.
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.core.call(|shard, _| self.core.write_vectored(&mut shard.stack, buffers, 0))
    }

    /// Waits for something to read, and reads it without taking it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.operation(Direction::Read, |shard, _| shard.stack.peek(id, buffer)).await
    }

    /// As [`TcpStream::peek`]; only the last task that polled is woken.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let id = self.core.id();
        let unfilled = buffer.initialize_unfilled();
        let len =
            ready!(self.core.poll_operation(Direction::Read, cx, |shard, _| {
                shard.stack.peek(id, unfilled)
            }))?;
        buffer.advance(len);
        Poll::Ready(Ok(len))
    }

    /// SO_LINGER. `Some(ZERO)` makes the drop reset the connection and throw away what has not
    /// been delivered. A longer time changes nothing: no drop blocks, and the stack goes on
    /// delivering in the background. `None` at first.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.core.set_option(|options| options.linger = linger)
    }

    /// As `set_linger(Some(ZERO))`, under tokio's name.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// SO_LINGER.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.core.option(|options| options.linger)
    }

    /// TCP_NODELAY: sends small segments at once (Nagle's algorithm off). Off at first.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.core.set_option(|options| options.nodelay = nodelay)
    }

    /// TCP_NODELAY.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.core.option(|options| options.nodelay)
    }

    /// IP_TTL of the packets that we send; 64 at first.
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

    /// What TCP knows about the connection, as `ss -ti` shows it.
    pub fn info(&self) -> io::Result<TcpInfo> {
        self.core.info()
    }

    /// Both halves, borrowed, for one task to use them side by side.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Both halves, each to be moved to a task of its own. Dropping the write half closes the
    /// sending direction; both are given back by [`OwnedReadHalf::reunite`].
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        split::split_owned(self)
    }

    /// Reading, for halves and the whole.
    pub(crate) fn poll_read_shared(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let id = self.core.id();
        let len = ready!(self.core.poll_transfer(Direction::Read, cx, |shard| {
            if buffer.remaining() == 0 {
                return shard.stack.read_stream(id, &mut []);
            }
            // No more of the buffer is cleared than what is read: it can be large, and what is read
            // mostly is not.
            shard.stack.read_stream_into(id, buffer, |buffer, octets| {
                buffer.initialize_unfilled_to(octets.min(buffer.remaining()))
            })
        }))?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }

    /// Writing, for halves and the whole.
    pub(crate) fn poll_write_shared(
        &self,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let id = self.core.id();
        self.core.poll_transfer(Direction::Write, cx, |shard| shard.stack.write_stream(id, octets))
    }

    pub(crate) fn poll_write_vectored_shared(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.core.poll_transfer(Direction::Write, cx, |shard| {
            self.core.write_vectored(&mut shard.stack, buffers, 0)
        })
    }

    /// Closes the sending direction. That the connection is over already is no error, as with
    /// tokio.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self.core.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

tcp_stream_urgent!(TcpStream);

impl TcpStream {
    /// send(2) with MSG_OOB: as writing, and the last octet taken is urgent. New protocols should
    /// not use it (RFC 6093): the peer may take that octet out of the stream.
    ///
    /// # Errors
    ///
    /// As writing.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has written nothing.
    pub async fn send_out_of_band(&self, octets: &[u8]) -> io::Result<usize> {
        let id = self.core.id();
        let write = |shard: &mut Shard, now: Instant| shard.stack.write_urgent(now, id, octets);
        self.core.operation(Direction::Write, write).await
    }
}

/// Reading and writing by reference.
impl TcpStream {
    /// Waits for something to read, and takes at most `max` octets of it; none are the end of the
    /// stream. What came in large packets is not copied, and keeps their memory until it is
    /// dropped: copy out what is to be kept for long.
    ///
    /// Fewer than `max` do not mean that there are no more.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has read nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(stream: wharf::tokio::TcpStream) -> std::io::Result<()> {
    /// let mut octets = 0;
    /// loop {
    ///     let chunk = stream.read_bytes(1 << 20).await?;
    ///     if chunk.is_empty() {
    ///         break;
    ///     }
    ///     octets += chunk.len();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_bytes(&self, max: usize) -> io::Result<Bytes> {
        let id = self.core.id();
        let read = |shard: &mut Shard, now: Instant| shard.stack.read_bytes(now, id, max);
        self.core.operation(Direction::Read, read).await
    }

    /// As [`TcpStream::read_bytes`], of what is there.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is.
    pub fn try_read_bytes(&self, max: usize) -> io::Result<Bytes> {
        let id = self.core.id();
        self.core.call(|shard, now| shard.stack.read_bytes(now, id, max))
    }

    /// Waits until there is room to write, takes as many octets from the front as there is, and
    /// says how many. They are not copied, unless they are fewer than 1,024. An owner that was
    /// given to [`Bytes::from_owner`] is dropped while the stack stands still: its drop must not
    /// call it.
    ///
    /// # Errors
    ///
    /// As writing.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has written nothing.
    pub async fn write_bytes(&self, octets: &Bytes) -> io::Result<usize> {
        let id = self.core.id();
        let write = |shard: &mut Shard, now: Instant| shard.stack.write_bytes(now, id, octets);
        self.core.operation(Direction::Write, write).await
    }

    /// As [`TcpStream::write_bytes`], as much as there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is none.
    pub fn try_write_bytes(&self, octets: &Bytes) -> io::Result<usize> {
        let id = self.core.id();
        self.core.call(|shard, now| shard.stack.write_bytes(now, id, octets))
    }

    /// As [`TcpStream::read_bytes`], the octets of several packets by one call: fills `chunks` from
    /// the front, and says how many; 0 is the end of the stream. What they held before is dropped.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has read nothing.
    pub async fn read_bytes_vectored(&self, chunks: &mut [Bytes]) -> io::Result<usize> {
        chunks.fill(Bytes::new()); // What they held may be foreign, so not under the lock.
        let id = self.core.id();
        let read =
            |shard: &mut Shard, now: Instant| shard.stack.read_bytes_vectored(now, id, chunks);
        self.core.operation(Direction::Read, read).await
    }

    /// As [`TcpStream::write_bytes`], several by one call, which leave in as few segments as hold
    /// them; says how many octets of all together were taken.
    ///
    /// # Errors
    ///
    /// As writing.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has written nothing.
    pub async fn write_bytes_vectored(&self, chunks: &[Bytes]) -> io::Result<usize> {
        let id = self.core.id();
        let write =
            |shard: &mut Shard, now: Instant| shard.stack.write_bytes_vectored(now, id, chunks);
        self.core.operation(Direction::Write, write).await
    }

    /// Writes all of `octets`, by reference.
    ///
    /// # Errors
    ///
    /// As writing.
    ///
    /// # Cancel safety
    ///
    /// None: a future that is dropped may have written some.
    pub async fn write_all_bytes(&self, mut octets: Bytes) -> io::Result<()> {
        while !octets.is_empty() {
            let written = self.write_bytes(&octets).await?;
            octets.advance(written);
        }
        Ok(())
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_shared(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_shared(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_shared(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: what is written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes the sending direction, and waits for nothing.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

/// The same connection, for a task.
impl From<crate::net::TcpStream> for TcpStream {
    fn from(stream: crate::net::TcpStream) -> Self {
        Self::new(stream.into_core())
    }
}

/// The same connection, for blocking calls.
impl From<TcpStream> for crate::net::TcpStream {
    fn from(stream: TcpStream) -> Self {
        Self::new(stream.core)
    }
}
