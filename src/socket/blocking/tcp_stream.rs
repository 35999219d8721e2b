//! A TCP connection, as `std::net::TcpStream`.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::error::SocketError;
use crate::runtime::{Direction, Interest, Net};
use crate::socket::options::{socket_options, tcp_options};
use crate::socket::urgent::tcp_stream_urgent;
use crate::socket::{Replicas, SocketCore, each_addr, invalid};
use crate::stack::{Readiness, Stack};
use crate::tcp::TcpInfo;
use crate::time::Duration;

/// A TCP connection whose calls block, as [`std::net::TcpStream`].
///
/// What the peer sent before it closed or reset the connection stays readable; then comes the
/// error, once, then end of file.
///
/// The connection is closed when the last clone is dropped, which does not block: what was
/// written is still delivered, unless there was something left to read. Then the peer gets a
/// reset, since it could not know that nobody will read what it sent.
///
/// # Examples
///
/// ```no_run
/// use std::io::{Read, Write};
/// use wharf::net::TcpStream;
///
/// # fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let mut stream = TcpStream::connect(net, "10.7.0.1:7")?;
/// stream.write_all(b"hello")?;
/// stream.shutdown(std::net::Shutdown::Write)?;
/// let mut echo = Vec::new();
/// stream.read_to_end(&mut echo)?;
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
    pub fn connect(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each_addr(addr, |addr| Self::connected(Replicas::connect(net, addr)?, None))
    }

    /// Connects to `addr`, and gives up after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`]; `TimedOut` after `timeout`; `InvalidInput` if that is zero.
    pub fn connect_timeout(net: &Net, addr: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(invalid("cannot set a 0 duration timeout"));
        }
        Self::connected(Replicas::connect(net, *addr)?, Some(timeout))
    }

    /// The stream of a socket that begins to connect, which is given up after `limit`.
    pub(crate) fn connected(core: SocketCore, limit: Option<Duration>) -> io::Result<Self> {
        let result =
            core.block_for(Interest::WRITE, limit, |shard, _| core.connected(&mut shard.stack));
        match result {
            Err(SocketError::WouldBlock) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"))
            }
            result => Ok(result.map(|()| Self::new(Arc::new(core)))?),
        }
    }

    pub(crate) fn new(core: Arc<SocketCore>) -> Self {
        Self { core }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_core(self) -> Arc<SocketCore> {
        self.core
    }

    /// The peer's address.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.core.peer_addr()
    }

    /// Our address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// Closes one direction or both; returns at once. After `Write` the peer gets what was
    /// written and then end of file, and reading goes on; after `Read`, reads return what has
    /// arrived and then end of file.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is over.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.core.shutdown(how)
    }

    /// Another handle to the same connection; options, timeouts and mode are shared.
    ///
    /// # Errors
    ///
    /// None; a `Result` since std's is one.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.core.clone()))
    }

    /// How long a read waits before it fails as `WouldBlock`; `None`, for ever, at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.core.set_timeout(Direction::Read, timeout)
    }

    /// How long a write waits before it fails as `WouldBlock`, or says how much was taken if
    /// anything was; `None`, for ever, at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.core.set_timeout(Direction::Write, timeout)
    }

    /// How long a read waits.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.core.timeout(Direction::Read))
    }

    /// How long a write waits.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.core.timeout(Direction::Write))
    }

    /// Reads without taking: the next read finds the same octets.
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, _| shard.stack.peek(id, buffer))
    }

    /// Takes at most `max` octets; none are the end of the stream. What came in large packets is
    /// not copied, and keeps their memory until it is dropped: copy out what is to be kept for
    /// long. Fewer than `max` do not mean that there are no more.
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn read_bytes(&self, max: usize) -> io::Result<Bytes> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, now| shard.stack.read_bytes(now, id, max))
    }

    /// Takes as many octets from the front as there is room for, and says how many. They are not
    /// copied, unless they are fewer than 1,024. An owner that was given to [`Bytes::from_owner`]
    /// is dropped while the stack stands still: its drop must not call it.
    ///
    /// # Errors
    ///
    /// As writing.
    pub fn write_bytes(&self, octets: &Bytes) -> io::Result<usize> {
        let id = self.core.id();
        self.core.block(Direction::Write, |shard, now| shard.stack.write_bytes(now, id, octets))
    }

    /// As [`TcpStream::read_bytes`], the octets of several packets by one call: fills `chunks` from
    /// the front, and says how many; 0 is the end of the stream. What they held before is dropped.
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn read_bytes_vectored(&self, chunks: &mut [Bytes]) -> io::Result<usize> {
        chunks.fill(Bytes::new()); // What they held may be foreign, so not under the lock.
        let id = self.core.id();
        self.core
            .block(Direction::Read, |shard, now| shard.stack.read_bytes_vectored(now, id, chunks))
    }

    /// As [`TcpStream::write_bytes`], several by one call, which leave in as few segments as hold
    /// them; says how many octets of all together were taken.
    ///
    /// # Errors
    ///
    /// As writing.
    pub fn write_bytes_vectored(&self, chunks: &[Bytes]) -> io::Result<usize> {
        let id = self.core.id();
        self.core
            .block(Direction::Write, |shard, now| shard.stack.write_bytes_vectored(now, id, chunks))
    }

    /// Writes all of `octets`, by reference.
    ///
    /// # Errors
    ///
    /// As writing.
    pub fn write_all_bytes(&self, mut octets: Bytes) -> io::Result<()> {
        while !octets.is_empty() {
            let written = self.write_bytes(&octets)?;
            octets.advance(written);
        }
        Ok(())
    }

    /// SO_LINGER. `Some(ZERO)` makes the drop reset the connection and throw away what has not
    /// been delivered. A longer time changes nothing: no drop blocks, and the stack goes on
    /// delivering in the background. `None` at first.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.core.set_option(|options| options.linger = linger)
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

    /// What TCP knows about the connection, as `ss -ti` shows it.
    pub fn info(&self) -> io::Result<TcpInfo> {
        self.core.info()
    }
}

tcp_stream_urgent!(TcpStream);

impl TcpStream {
    /// Waits until urgent data is announced, or more of it, or its octet has arrived: `true`, and
    /// again until the next read. `false`: none will come any more; reading tells why. poll(2) with
    /// POLLPRI; a task has `ready` with `Interest::PRIORITY`.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: the read timeout is over, or the stream is non-blocking and there is none.
    pub fn wait_out_of_band(&self) -> io::Result<bool> {
        let id = self.core.id();
        let limit = self.core.limit(Direction::Read);
        let is_announced = self.core.block_for(Interest::PRIORITY, limit, |shard, _| {
            let ready = shard.stack.readiness(id);
            let is_announced = ready.contains(Readiness::PRIORITY);
            if is_announced || Interest::PRIORITY.is_met(ready) {
                Ok(is_announced)
            } else {
                Err(SocketError::WouldBlock)
            }
        });
        Ok(is_announced?)
    }

    /// send(2) with MSG_OOB: as writing, and the last octet taken is urgent. New protocols should
    /// not use it (RFC 6093): the peer may take that octet out of the stream.
    ///
    /// # Errors
    ///
    /// As writing.
    pub fn send_out_of_band(&self, octets: &[u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.block(Direction::Write, |shard, now| shard.stack.write_urgent(now, id, octets))
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, now| shard.stack.read(now, id, buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.core
            .block(Direction::Read, |shard, _| self.core.read_vectored(&mut shard.stack, buffers))
    }
}

/// Writing has come to an end.
const OVER: Readiness = Readiness::ERROR.with(Readiness::WRITE_CLOSED);

impl TcpStream {
    /// Writes `len` octets by calls of `write`, which is told how many have been taken before and
    /// says how many more are. As the kernel does for a socket that blocks, it waits until all are
    /// taken. If it cannot wait so long it says how many were, and why is for the next call to
    /// tell.
    fn write_whole(
        &self,
        len: usize,
        mut write: impl FnMut(&mut Stack, usize) -> Result<usize, SocketError>,
    ) -> io::Result<usize> {
        let id = self.core.id();
        let mut taken = 0;
        let waited = self.core.block(Direction::Write, |shard, _| {
            // To write would take the error, and there are octets to tell of.
            if taken > 0 && shard.stack.readiness(id).intersects(OVER) {
                return Ok(());
            }
            taken += write(&mut shard.stack, taken)?;
            if taken < len { Err(SocketError::WouldBlock) } else { Ok(()) }
        });
        if taken == 0 {
            waited?;
        }
        Ok(taken)
    }
}

/// In blocking mode all octets are written, unless an error or the timeout comes in between.
impl Write for &TcpStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let id = self.core.id();
        self.write_whole(octets.len(), |stack, taken| {
            stack.write_stream(id, octets.get(taken..).unwrap_or_default())
        })
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum();
        self.write_whole(len, |stack, taken| self.core.write_vectored(stack, buffers, taken))
    }

    /// Nothing to do: what is written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for TcpStream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        (&*self).write(octets)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
