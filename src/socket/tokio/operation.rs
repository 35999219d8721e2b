//! Waiting for a socket with a task.
//!
//! Every wait takes part in tokio's cooperative scheduling: a task whose socket is always ready
//! yields now and then, as with tokio's own sockets.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{Interest as TokioInterest, Ready};
use tokio::task::coop::poll_proceed;

use crate::error::SocketError;
use crate::runtime::{Direction, Interest, Key, Shard};
use crate::socket::SocketCore;
use crate::socket::core::{attempt, unless_over};
use crate::socket::invalid;
use crate::stack::Readiness;
use crate::time::Instant;

/// A call that is repeated until it does not have to wait.
///
/// Cancel-safe: the call happens in one poll, whose result is the future's; dropping the future
/// before that takes it out of the registry and changes nothing else.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Operation<'a, F> {
    core: &'a SocketCore,
    interest: Interest,
    key: Option<Key>,
    act: F,
}

impl<T, F> Future for Operation<'_, F>
where
    F: FnMut(&mut Shard, Instant) -> Result<T, SocketError> + Unpin,
{
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let this = self.get_mut();
        let budget = ready!(poll_proceed(cx));
        let (core, interest, key) = (this.core, this.interest, &mut this.key);
        let act = &mut this.act;
        let result = core.net().shared().call(|shard, now| {
            let result = attempt(shard, now, act);
            let displaced = if matches!(result, Err(SocketError::WouldBlock)) {
                (shard.waiters).register(core.id(), interest, key, cx.waker())
            } else {
                key.take().and_then(|key| shard.waiters.remove(core.id(), key))
            };
            shard.deferred.discard(displaced);
            result
        });
        match result {
            Err(SocketError::WouldBlock) => Poll::Pending,
            result => {
                budget.made_progress();
                Poll::Ready(result.map_err(io::Error::from))
            }
        }
    }
}

impl<F> Drop for Operation<'_, F> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.net().shared().ask(|shard, _| {
                let gone = shard.waiters.remove(self.core.id(), key);
                shard.deferred.discard(gone);
            });
        }
    }
}

impl SocketCore {
    /// Repeats `act` until it does not have to wait.
    pub(crate) fn operation<T, F>(&self, direction: Direction, act: F) -> Operation<'_, F>
    where
        F: FnMut(&mut Shard, Instant) -> Result<T, SocketError> + Unpin,
    {
        Operation { core: self, interest: direction.interest(), key: None, act }
    }

    /// Tries `act` once, and leaves the task's waker if it has to wait: the last waker in a
    /// direction is the one that is woken.
    pub(crate) fn poll_operation<T>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Shard, Instant) -> Result<T, SocketError>,
    ) -> Poll<io::Result<T>> {
        let budget = ready!(poll_proceed(cx));
        let shared = self.net().shared();
        let result =
            shared.call(|shard, now| self.attempt_or_wait(shard, direction, cx, |it| act(it, now)));
        let poll = polled(result);
        if poll.is_ready() {
            budget.made_progress();
        }
        poll
    }

    /// As [`poll_operation`](Self::poll_operation), for what has no use for the time.
    pub(crate) fn poll_transfer<T>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut Shard) -> Result<T, SocketError>,
    ) -> Poll<io::Result<T>> {
        let budget = ready!(poll_proceed(cx));
        let shared = self.net().shared();
        let result = shared.call_timeless(|shard| self.attempt_or_wait(shard, direction, cx, act));
        let poll = polled(result);
        if poll.is_ready() {
            budget.made_progress();
        }
        poll
    }

    /// Tries `act` once, and leaves the task's waker if it has to wait.
    fn attempt_or_wait<T>(
        &self,
        shard: &mut Shard,
        direction: Direction,
        cx: &Context<'_>,
        act: impl FnOnce(&mut Shard) -> Result<T, SocketError>,
    ) -> Result<T, SocketError> {
        let result = act(shard);
        let result = unless_over(shard, result);
        if matches!(result, Err(SocketError::WouldBlock)) {
            let displaced = (shard.waiters).set_poll_waker(self.id(), direction, cx.waker());
            shard.deferred.discard(displaced);
        }
        result
    }

    /// Waits until the socket is ready for any of what `interest` names.
    pub(crate) async fn ready(&self, interest: TokioInterest) -> io::Result<Ready> {
        let read = Ready::READABLE | Ready::READ_CLOSED;
        let wanted = [
            (interest.is_readable(), Interest::READ, read),
            (interest.is_writable(), Interest::WRITE, Ready::WRITABLE | Ready::WRITE_CLOSED),
            (interest.is_priority(), Interest::PRIORITY, Ready::PRIORITY | Ready::READ_CLOSED),
            (interest.is_error(), Interest::ERROR, Ready::ERROR),
        ];
        let wanted = wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted);
        let (ours, mask) = wanted
            .map(|(_, interest, mask)| (interest, mask))
            .reduce(|(ours, mask), (interest, more)| (ours.or(interest), mask | more))
            .ok_or_else(|| invalid("no interest that is known"))?;
        let (both, error) = (Ready::READABLE | Ready::WRITABLE, Ready::ERROR);
        let is_ready = |shard: &mut Shard, _: Instant| {
            let readiness = shard.stack.readiness(self.id());
            if shard.is_over() {
                // Every call tells of the end. Who looks for none but what it has asked for would
                // else ask for ever.
                Ok(to_tokio(readiness) | both | Ready::READ_CLOSED | Ready::WRITE_CLOSED | error)
            } else if ours.is_met(readiness) {
                Ok(to_tokio(readiness))
            } else {
                Err(SocketError::WouldBlock)
            }
        };
        let wait = Operation { core: self, interest: ours, key: None, act: is_ready };
        Ok(wait.await? & (mask | error))
    }

    /// As the `poll_*_ready` of tokio's sockets.
    pub(crate) fn poll_ready(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_operation(direction, cx, |shard, _| {
            let readiness = shard.stack.readiness(self.id());
            if direction.interest().is_met(readiness) || shard.is_over() {
                Ok(())
            } else {
                Err(SocketError::WouldBlock)
            }
        })
    }
}

/// What a call has come to, for a task.
fn polled<T>(result: Result<T, SocketError>) -> Poll<io::Result<T>> {
    match result {
        Err(SocketError::WouldBlock) => Poll::Pending,
        result => Poll::Ready(result.map_err(io::Error::from)),
    }
}

/// A readiness in tokio's words.
fn to_tokio(readiness: Readiness) -> Ready {
    let words = [
        (Readiness::READABLE, Ready::READABLE),
        (Readiness::WRITABLE, Ready::WRITABLE),
        (Readiness::READ_CLOSED, Ready::READ_CLOSED),
        (Readiness::WRITE_CLOSED, Ready::WRITE_CLOSED),
        (Readiness::ERROR, Ready::ERROR),
        (Readiness::PRIORITY, Ready::PRIORITY),
    ];
    let present = words.iter().filter(|(ours, _)| readiness.contains(*ours));
    present.fold(Ready::EMPTY, |all, (_, word)| all | *word)
}
