//! What the sockets of both kinds share: the handle, its end, its options.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::SocketError;
use crate::options::SocketOptions;
use crate::runtime::{Direction, Interest, Net, Shard};
use crate::socket::invalid;
use crate::stack::{Readiness, Shutdown, SocketId, Stack};
use crate::tcp::TcpInfo;
use crate::time::{Duration, Instant};

/// One socket of a stack; clones of a socket share it. The last to go closes the socket.
#[derive(Debug)]
pub(crate) struct SocketCore {
    net: Net,
    id: SocketId,
    /// Shared by clones, as a file description's O_NONBLOCK is.
    is_nonblocking: AtomicBool,
    read_timeout: Timeout,
    write_timeout: Timeout,
}

/// SO_RCVTIMEO or SO_SNDTIMEO: nanoseconds, 0 for none.
#[derive(Debug, Default)]
struct Timeout(AtomicU64);

impl Drop for SocketCore {
    fn drop(&mut self) {
        self.net.shared().call(|shard, now| {
            shard.stack.close(now, self.id);
            shard.waiters.take_socket(self.id, &mut shard.deferred.discarded);
        });
    }
}

impl SocketCore {
    /// Makes a socket.
    pub(crate) fn open(
        net: &Net,
        make: impl FnOnce(&mut Stack) -> Result<SocketId, SocketError>,
    ) -> io::Result<Self> {
        let id = net.shared().ask(|shard, _| make(shard.running()?))?;
        Ok(Self::adopt(net, id))
    }

    /// Takes over a socket that the stack has made, such as an accepted one.
    pub(crate) fn adopt(net: &Net, id: SocketId) -> Self {
        Self {
            net: net.clone(),
            id,
            is_nonblocking: AtomicBool::new(false),
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
        }
    }

    /// The stack that the socket belongs to.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// The socket's name in the stack.
    pub(crate) fn id(&self) -> SocketId {
        self.id
    }

    /// Makes a call that may have something to send, whether or not the stack has ended.
    pub(crate) fn call<T>(
        &self,
        act: impl FnOnce(&mut Shard, Instant) -> Result<T, SocketError>,
    ) -> io::Result<T> {
        let result = self.net.shared().call(|shard, now| attempt(shard, now, act));
        Ok(result?)
    }

    /// Asks for what changes nothing.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&mut Stack, SocketId) -> Result<T, SocketError>,
    ) -> io::Result<T> {
        let result = (self.net.shared()).ask(|shard, _| ask(&mut shard.stack, self.id));
        Ok(result?)
    }

    /// Binds.
    pub(crate) fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.call(|shard, _| shard.running()?.bind(self.id, addr))
    }

    /// Takes back what [`SocketCore::bind`] did.
    pub(crate) fn unbind(&self) {
        self.net.shared().ask(|shard, _| shard.stack.unbind(self.id));
    }

    /// Listens for connections.
    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        self.call(|shard, _| shard.running()?.listen(self.id, backlog))
    }

    /// Begins to connect; [`SocketCore::connected`] tells how it went.
    pub(crate) fn start_connect(&self, remote: SocketAddr) -> io::Result<()> {
        self.call(|shard, now| match shard.running()?.connect(now, self.id, remote) {
            Ok(()) | Err(SocketError::InProgress) => Ok(()),
            Err(error) => Err(error),
        })
    }

    /// Whether a connect has succeeded; `WouldBlock` while that is open.
    pub(crate) fn connected(&self, stack: &mut Stack) -> Result<(), SocketError> {
        if let Some(error) = stack.take_error(self.id)? {
            return Err(error);
        }
        let readiness = stack.readiness(self.id);
        if readiness.contains(Readiness::WRITABLE) {
            return Ok(());
        }
        if Interest::WRITE.is_met(readiness) {
            return Ok(()); // Opened, and closed by now.
        }
        Err(SocketError::WouldBlock)
    }

    /// Closes one direction or both.
    pub(crate) fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        let how = match how {
            std::net::Shutdown::Read => Shutdown::Read,
            std::net::Shutdown::Write => Shutdown::Write,
            std::net::Shutdown::Both => Shutdown::Both,
        };
        self.call(|shard, now| shard.stack.shutdown(now, self.id, how))
    }

    /// The address that the socket is bound to.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.ask(|stack, id| stack.local_addr(id))
    }

    /// The address that the socket is connected to.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.ask(|stack, id| stack.peer_addr(id))
    }

    /// SO_ERROR.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = self.ask(Stack::take_error)?;
        Ok(error.map(io::Error::from))
    }

    /// What the connection's state is.
    pub(crate) fn info(&self) -> io::Result<TcpInfo> {
        self.ask(|stack, id| stack.info(id))
    }

    /// One of the options.
    pub(crate) fn option<T>(&self, pick: impl FnOnce(&SocketOptions) -> T) -> io::Result<T> {
        self.ask(|stack, id| stack.options(id).map(|options| pick(&options)))
    }

    /// Changes options. TCP_NODELAY sends what has waited, so it is a call.
    pub(crate) fn set_option(&self, change: impl FnOnce(&mut SocketOptions)) -> io::Result<()> {
        self.call(|shard, _| {
            let mut options = shard.stack.options(self.id)?;
            change(&mut options);
            shard.stack.set_options(self.id, options)
        })
    }

    /// IP_TTL, as `std::net` takes it.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let ttl = u8::try_from(ttl).ok().filter(|&ttl| ttl > 0);
        let ttl = ttl.ok_or_else(|| invalid("a TTL is from 1 to 255"))?;
        self.set_option(|options| options.ttl = ttl)
    }

    /// Whether calls return `WouldBlock` instead of waiting.
    pub(crate) fn is_nonblocking(&self) -> bool {
        self.is_nonblocking.load(Ordering::Relaxed)
    }

    pub(crate) fn set_nonblocking(&self, is_nonblocking: bool) {
        self.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
    }

    /// How long a blocking call in `direction` waits.
    pub(crate) fn timeout(&self, direction: Direction) -> Option<Duration> {
        self.timeout_of(direction).get()
    }

    /// Sets it.
    pub(crate) fn set_timeout(
        &self,
        direction: Direction,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.timeout_of(direction).set(timeout)
    }

    fn timeout_of(&self, direction: Direction) -> &Timeout {
        match direction {
            Direction::Read => &self.read_timeout,
            Direction::Write => &self.write_timeout,
        }
    }

    /// Reads into several buffers in one call.
    pub(crate) fn read_vectored(
        &self,
        stack: &mut Stack,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Result<usize, SocketError> {
        let mut total = 0;
        for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
            match stack.read_stream(self.id, buffer) {
                Ok(len) => {
                    total += len;
                    if len < buffer.len() || !stack.may_read_on(self.id) {
                        break;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Writes several buffers in one call, so that they leave in one segment if they fit, but for
    /// the first `taken` octets of them.
    pub(crate) fn write_vectored(
        &self,
        stack: &mut Stack,
        buffers: &[IoSlice<'_>],
        mut taken: usize,
    ) -> Result<usize, SocketError> {
        let left = buffers.iter().map(|buffer| {
            let (before, left) = buffer.split_at(taken.min(buffer.len()));
            taken -= before.len();
            left
        });
        let mut total = 0;
        for buffer in left.filter(|left| !left.is_empty()) {
            match stack.write_stream(self.id, buffer) {
                Ok(len) => {
                    total += len;
                    if len < buffer.len() {
                        break;
                    }
                }
                // The lock is held: a first write that succeeds is followed by one that succeeds
                // or has no room.
                Err(_) if total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}

/// Tries a call once.
pub(crate) fn attempt<T>(
    shard: &mut Shard,
    now: Instant,
    act: impl FnOnce(&mut Shard, Instant) -> Result<T, SocketError>,
) -> Result<T, SocketError> {
    let result = act(shard, now);
    unless_over(shard, result)
}

/// What a call has come to: when the stack has ended there is nothing to wait for any more.
pub(crate) fn unless_over<T>(
    shard: &Shard,
    result: Result<T, SocketError>,
) -> Result<T, SocketError> {
    match result {
        Err(SocketError::WouldBlock) if shard.is_over() => Err(SocketError::NetworkDown),
        result => result,
    }
}

impl Timeout {
    fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(invalid("cannot set a 0 duration timeout"));
        }
        let nanos = timeout.map_or(0, |timeout| timeout.as_nanos());
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_is_refused_and_keeps_the_old_one() {
        let timeout = Timeout::default();
        assert_eq!(timeout.get(), None);
        for wait in [Duration::from_nanos(1), Duration::from_secs(3)] {
            timeout.set(Some(wait)).unwrap();
            let error = timeout.set(Some(Duration::ZERO)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(timeout.get(), Some(wait));
        }
        timeout.set(Some(Duration::MAX)).unwrap();
        assert_eq!(timeout.get(), Some(Duration::from_nanos(u64::MAX)));
        timeout.set(None).unwrap();
        assert_eq!(timeout.get(), None);
    }
}
