//! What WebSockets hold of messages, together bounded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Octets of a message that costs nothing: 64 KiB, so that short messages are never refused because
/// others are long.
pub(super) const FREE: usize = 64 << 10;

/// Octets that are read at a time at most, of several messages if they are short.
pub(super) const READ_OCTETS: usize = FREE;

/// Octets before the payload of the longest message of a client's (RFC 6455 §5.2).
const HEADER_LEN_MAX: usize = 2 + 8 + 4;

/// Octets that can have been read before the longest message that costs nothing is done with.
const UNCHARGED: usize = FREE + HEADER_LEN_MAX + READ_OCTETS;

/// How many times a connection keeps its longest message in memory: what it reads into and what it
/// sends from never get smaller, and the former may have doubled when it was full.
pub(super) const KEPT: usize = 3;

/// How long a connection that has taken from the budget has until its next message is echoed, from
/// the message before and, if it is long, again from the octet by which it is. 5 min, for 16 MiB
/// 56 KB/s. So one that has said something long and falls silent does not keep the budget for ever.
pub(super) const LONG_MESSAGE_TIMEOUT: Duration = Duration::from_mins(5);

/// Octets that all connections of a site may hold beyond what each holds for nothing; clones are
/// the same ones.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// So many octets, of which none are held.
    pub(super) fn new(octets: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(octets)))
    }

    /// Whether there were so many, which are held from now on.
    fn take(&self, octets: usize) -> bool {
        let taken = |left: usize| left.checked_sub(octets);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, octets: usize) {
        self.0.fetch_add(octets, Ordering::Relaxed);
    }
}

/// Octets that have been written to a stream so far; clones count the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    /// How many there are.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, octets: usize) {
        self.0.fetch_add(octets as u64, Ordering::Relaxed);
    }
}

/// A stream that counts what is read of a message, and fails where it would be too much.
///
/// What the longest message has cost stays taken until the connection ends, as its memory does.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    budget: Budget,
    /// Octets of the longest message that there can be. Its fragments may have any number more.
    message_max: usize,
    /// Octets read since the last message was done with.
    read: usize,
    /// Whether they were at any time more than cost nothing.
    is_long: bool,
    /// Octets taken from the budget.
    charged: usize,
    /// When the next message must have been echoed, if anything is charged.
    deadline: Option<Pin<Box<Sleep>>>,
    written: Written,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, message_max: usize, budget: Budget) -> Self {
        Self {
            stream,
            budget,
            message_max,
            read: 0,
            is_long: false,
            charged: 0,
            deadline: None,
            written: Written::default(),
        }
    }

    /// What counts the octets that the peer has left room for.
    pub(super) fn written(&self) -> Written {
        self.written.clone()
    }

    /// A message is done with. What may have been read of the next one counts as nothing.
    pub(super) fn forget(&mut self) {
        self.read = 0;
        self.is_long = false;
        if self.deadline.is_some() {
            self.put_deadline_off();
        }
    }

    /// So many octets of what was read belong to no message.
    pub(super) fn forgive(&mut self, octets: usize) {
        self.read = self.read.saturating_sub(octets);
    }

    /// Counts octets of a message.
    fn charge(&mut self, octets: usize) -> io::Result<()> {
        self.read += octets;
        let long = self.read.saturating_sub(UNCHARGED).min(self.message_max);
        if long == 0 {
            return Ok(());
        }
        let more = (KEPT * long).saturating_sub(self.charged);
        if !self.budget.take(more) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.charged += more;
        // Once for a message, whatever of it is forgiven.
        if !std::mem::replace(&mut self.is_long, true) {
            self.put_deadline_off();
        }
        Ok(())
    }

    fn put_deadline_off(&mut self) {
        let due = Instant::now() + LONG_MESSAGE_TIMEOUT;
        let deadline = || Box::pin(tokio::time::sleep_until(due));
        self.deadline.get_or_insert_with(deadline).as_mut().reset(due);
    }

    fn check_deadline(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let due = self.deadline.as_mut().map(|deadline| deadline.as_mut().poll(cx));
        if due.is_some_and(|due| due.is_ready()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl<S> Drop for Metered<S> {
    fn drop(&mut self) {
        self.budget.give_back(self.charged);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_deadline(cx)?;
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        Poll::Ready(self.charge(into.filled().len() - before))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, octets);
        match &outcome {
            Poll::Ready(Ok(octets)) => self.written.add(*octets),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.check_deadline(cx)?,
        }
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
