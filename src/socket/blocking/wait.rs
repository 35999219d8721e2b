//! Waiting for a socket with a thread.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};

use crate::error::SocketError;
use crate::runtime::{Direction, Interest, Shard};
use crate::socket::SocketCore;
use crate::socket::core::attempt;
use crate::time::{Duration, Instant};

/// A thread that is parked until its socket is ready.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    /// This thread as a waker; a thread waits for one socket at a time.
    static WAKER: Waker = Waker::from(Arc::new(Parked(thread::current())));
}

impl SocketCore {
    /// Repeats `act` until it does not have to wait, as the socket's mode and timeouts allow:
    /// `WouldBlock` when they have run out.
    pub(crate) fn block<T>(
        &self,
        direction: Direction,
        act: impl FnMut(&mut Shard, Instant) -> Result<T, SocketError>,
    ) -> io::Result<T> {
        Ok(self.block_for(direction.interest(), self.limit(direction), act)?)
    }

    /// How long a call may wait.
    pub(crate) fn limit(&self, direction: Direction) -> Option<Duration> {
        if self.is_nonblocking() { Some(Duration::ZERO) } else { self.timeout(direction) }
    }

    /// Repeats `act` until it does not have to wait, whenever there may be what `interest` names:
    /// `WouldBlock` after `limit`.
    pub(crate) fn block_for<T>(
        &self,
        interest: Interest,
        limit: Option<Duration>,
        mut act: impl FnMut(&mut Shard, Instant) -> Result<T, SocketError>,
    ) -> Result<T, SocketError> {
        let shared = self.net().shared();
        let mut end = None;
        let mut key = None;
        loop {
            let (result, now) = shared.call(|shard, now| {
                let end = *end.get_or_insert_with(|| limit.map(|limit| now + limit));
                let result = attempt(shard, now, &mut act);
                if matches!(result, Err(SocketError::WouldBlock)) && end.is_none_or(|end| now < end)
                {
                    let displaced = WAKER.with(|waker| {
                        (shard.waiters).register(self.id(), interest, &mut key, waker)
                    });
                    shard.deferred.discard(displaced);
                    return (None, now);
                }
                let gone = key.and_then(|key| shard.waiters.remove(self.id(), key));
                shard.deferred.discard(gone);
                (Some(result), now)
            });
            match (result, end.flatten()) {
                (Some(result), _) => return result,
                // A wake-up that means something else only costs another look.
                (None, Some(end)) => thread::park_timeout(end - now),
                (None, None) => thread::park(),
            }
        }
    }
}

/// Tries `act` on each of `cores`, in this order, until one succeeds or fails, whenever there may
/// be what `interest` names: `WouldBlock` after `limit`. One that fails keeps nobody from what
/// another has. Each comes with a name, which is returned with its result.
pub(crate) fn block_on_any<N: Copy, T>(
    cores: &[(N, &SocketCore)],
    interest: Interest,
    limit: Option<Duration>,
    mut act: impl FnMut(&SocketCore, &mut Shard, Instant) -> Result<T, SocketError>,
) -> Result<(N, T), SocketError> {
    if let &[(name, core)] = cores {
        let result = core.block_for(interest, limit, |shard, now| act(core, shard, now));
        return result.map(|done| (name, done));
    }
    let mut waits: Vec<_> = cores.iter().map(|&(name, core)| (name, core, None)).collect();
    let mut end = None;
    let outcome = 'waiting: loop {
        let mut failure = None;
        for (name, core, key) in &mut waits {
            let result = core.net().shared().call(|shard, now| {
                end = end.or_else(|| limit.map(|limit| now + limit));
                let result = attempt(shard, now, |shard, now| act(core, shard, now));
                if matches!(result, Err(SocketError::WouldBlock)) {
                    let displaced = WAKER
                        .with(|waker| (shard.waiters).register(core.id(), interest, key, waker));
                    shard.deferred.discard(displaced);
                }
                result
            });
            match result {
                Ok(done) => break 'waiting Ok((*name, done)),
                Err(SocketError::WouldBlock) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(error) = failure {
            break Err(error);
        }
        match end.zip(cores.first()).map(|(end, (_, core))| end - core.net().shared().now()) {
            None => thread::park(),
            Some(Duration::ZERO) => break Err(SocketError::WouldBlock),
            Some(rest) => thread::park_timeout(rest),
        }
    };
    for (_, core, key) in waits {
        if let Some(key) = key {
            core.net().shared().ask(|shard, _| {
                let gone = shard.waiters.remove(core.id(), key);
                shard.deferred.discard(gone);
            });
        }
    }
    outcome
}
