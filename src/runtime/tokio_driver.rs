//! The driver that is a task of tokio's.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use tokio::io::unix::AsyncFd;

use crate::runtime::shard::Turn;
use crate::runtime::shared::Shared;
use crate::runtime::sys;
use crate::time::{Duration, Instant};

/// Most turns of one poll, so that the other tasks of the thread get theirs.
const TURNS_MAX: usize = 8;

/// Runs a stack as a task of tokio's: a future to be spawned, or polled along with others.
///
/// It ends when the stack has, with the error of its device if that is why. Dropping it ends the
/// stack at once: every connection is reset. What tasks write on the thread where the driver
/// runs leaves together when they have had their turn; calls on other threads send at once.
///
/// Made by [`Net::driver`](crate::Net::driver).
#[derive(Debug)]
#[must_use = "the stack stands still unless its driver is polled"]
pub struct Driver {
    shared: Arc<Shared>,
    device: Option<OwnedFd>,
    /// Made by the first poll, which runs inside of a runtime as they must.
    sources: Option<Sources>,
}

/// What ends the driver's sleep, apart from calls: they wake its task.
#[derive(Debug)]
struct Sources {
    device: AsyncFd<OwnedFd>,
    timer: AsyncFd<OwnedFd>,
    /// What the timer is set to.
    alarm: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, device: OwnedFd) -> Self {
        Self { shared, device: Some(device), sources: None }
    }
}

impl Future for Driver {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(device) = this.device.take() {
            this.sources = Some(Sources::new(device)?);
        }
        let Some(sources) = this.sources.as_mut() else {
            return this.shared.poll_wait(cx); // The descriptors could not be had.
        };
        let thread = Some(thread::current().id());
        let mut is_readable = false;
        for _ in 0..TURNS_MAX {
            is_readable |= sources.device.poll_read_ready(cx)?.is_ready();
            let until = match this.shared.turn(is_readable, cx.waker(), thread) {
                Turn::Over => return this.shared.poll_wait(cx),
                Turn::Again => continue,
                Turn::Sleep(until) => until,
            };
            if is_readable {
                is_readable = sources.look_again(cx)?;
            } else if sources.poll_alarm(cx, until, &this.shared)?.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.dismiss();
    }
}

impl Sources {
    fn new(device: OwnedFd) -> io::Result<Self> {
        Ok(Self { device: sys::watch(device)?, timer: sys::watch(sys::timer()?)?, alarm: None })
    }

    /// The device has been read: tells tokio so, and whether there is more all the same.
    ///
    /// tokio reports an edge, and a device that drops or holds back what it reads can return an
    /// empty burst with packets behind it; so the level is asked for.
    fn look_again(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if let Poll::Ready(guard) = self.device.poll_read_ready(cx) {
            guard?.clear_ready();
        }
        let level = sys::wait_readable([self.device.get_ref().as_fd()], Some(Duration::ZERO))?;
        Ok(level[0])
    }

    /// Sets the timer to `until`; ready if it has run out.
    fn poll_alarm(
        &mut self,
        cx: &mut Context<'_>,
        until: Option<Instant>,
        shared: &Shared,
    ) -> Poll<io::Result<()>> {
        if self.alarm != until {
            let wait = until.map(|until| until - shared.now());
            sys::set_timer(self.timer.get_ref().as_fd(), wait)?;
            self.alarm = until;
        }
        let mut guard = std::task::ready!(self.timer.poll_read_ready(cx))?;
        guard.clear_ready();
        // An expiry that tokio saw before the timer was set anew clears nothing, and only costs
        // another turn.
        sys::drain(self.timer.get_ref().as_fd());
        self.alarm = None;
        Poll::Ready(Ok(()))
    }
}
