//! The driver that is a task of tokio's.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::runtime::shard::Turn;
use crate::runtime::shared::{Shared, here};
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
/// On a current-thread runtime spawn it, and whatever serves, as tasks: the future that `block_on`
/// itself polls has its turn after all of them, and each time tokio asks the kernel for news first.
///
/// Made by [`Net::driver`](crate::Net::driver).
#[derive(Debug)]
#[must_use = "the stack stands still unless its driver is polled"]
pub struct Driver {
    shared: Arc<Shared>,
    device: Option<OwnedFd>,
    /// Made by the first poll, which runs inside of a runtime as they must.
    sources: Option<Sources>,
    /// The tasks that were woken have run, and those that they have spawned have not.
    is_waiting_on: bool,
    /// Until when packets gather: the other tasks of the thread have a turn first, and the thread
    /// sleeps for what is left. A timer would cost the sender what this spares it: while tokio
    /// watches the device, every packet wakes the thread that waits for anything.
    gathering_until: Option<Instant>,
    /// A turn has begun and not returned. If none runs, it has panicked.
    is_in_turn: bool,
}

/// What ends the driver's sleep, apart from calls: they wake its task.
struct Sources {
    device: Arc<AsyncFd<OwnedFd>>,
    /// The device's descriptor reports an error: a TUN that is deleted does, and does not become
    /// readable in tokio's sense.
    broken: Pin<Box<dyn Future<Output = io::Result<()>> + Send>>,
    /// It has reported one, and may do so still: no second edge tells of it.
    is_broken: bool,
    timer: AsyncFd<OwnedFd>,
    /// The device has more to read, whatever tokio says: see [`Sources::is_still_readable`].
    is_readable: bool,
    /// What the timer is set to, until it has been seen to run out.
    alarm: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, device: OwnedFd) -> Self {
        Self {
            shared,
            device: Some(device),
            sources: None,
            is_waiting_on: false,
            gathering_until: None,
            is_in_turn: false,
        }
    }
}

impl Future for Driver {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = std::task::ready!(self.poll_turns(cx));
        self.give_up_device();
        match outcome {
            Ok(()) => self.shared.announce_end(),
            Err(error) => self.shared.abandon(error), // tokio cannot watch the descriptors.
        }
        pin!(self.shared.wait_async()).poll(cx) // It has ended, so that nobody need wait.
    }
}

impl Driver {
    /// Closes the duplicate of the device's descriptor.
    fn give_up_device(&mut self) {
        (self.device, self.sources) = (None, None);
    }

    /// Sleeps for what is left of the time in which packets gather, if no connection has anything
    /// to send.
    fn let_gather(&mut self) {
        if let Some(until) = self.gathering_until.take()
            && self.shared.ask(|shard, _| shard.may_gather())
        {
            thread::sleep(until - self.shared.now());
        }
    }

    /// Ready when the stack has ended, or cannot go on.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_in_turn {
            return Poll::Ready(Err(panicked()));
        }
        if let Some(device) = self.device.take() {
            self.sources = Some(Sources::new(device)?);
            self.shared.settle_here();
        }
        self.let_gather();
        let Some(sources) = self.sources.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        if std::mem::take(&mut self.is_waiting_on) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let thread = here();
        for _ in 0..TURNS_MAX {
            sources.poll_broken(cx)?;
            sources.is_readable |= sources.is_broken;
            // Taken before the reading: what tokio hears of meanwhile is then not forgotten.
            let edge = ready(sources.device.poll_read_ready(cx)?);
            let may_receive = edge.is_some() || sources.is_readable;
            self.is_in_turn = true;
            let turn = self.shared.turn(may_receive, cx.waker(), thread);
            self.is_in_turn = false;
            let (until, is_sure) = match turn {
                Turn::Over => return Poll::Ready(Ok(())),
                // Whoever was woken has its turn while what it waited for is at hand. Nobody waits
                // for an edge.
                Turn::Again | Turn::Busy => {
                    sources.is_readable = true;
                    break;
                }
                Turn::Yield { is_drained, may_spawn } => {
                    self.is_waiting_on = may_spawn;
                    if let (true, Some(mut edge)) = (is_drained, edge) {
                        edge.clear_ready();
                    }
                    sources.is_readable = !is_drained || sources.is_broken;
                    break;
                }
                Turn::Pause(pause) => {
                    sources.is_readable = true;
                    self.gathering_until = Some(self.shared.now() + pause);
                    return yield_to_all(cx);
                }
                Turn::Sleep(until) => (until, true),
                Turn::Look(until) => (until, false),
            };
            if may_receive {
                if let Some(mut edge) = edge {
                    edge.clear_ready();
                }
                let is_sure = is_sure && !sources.is_broken;
                sources.is_readable = !is_sure && sources.is_still_readable()?;
                sources.is_broken &= sources.is_readable;
                if sources.is_readable || sources.device.poll_read_ready(cx)?.is_ready() {
                    continue;
                }
            }
            if sources.poll_alarm(cx, until, &self.shared)?.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Has another poll follow once the others have had their turn that are ready, and tokio has asked
/// the kernel for whom else it has news.
fn yield_to_all(cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if pin!(tokio::task::yield_now()).poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// What is there, if anything is.
fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.give_up_device();
        if self.is_in_turn || thread::panicking() {
            // The stack may be what panicked, and a second panic would end the program.
            self.shared.abandon(panicked());
        } else {
            self.shared.dismiss();
        }
    }
}

/// Why a stack ended whose driver panicked.
fn panicked() -> io::Error {
    io::Error::other("the driver panicked")
}

impl Sources {
    fn new(device: OwnedFd) -> io::Result<Self> {
        let device = Arc::new(sys::watch(device)?);
        Ok(Self {
            broken: Box::pin(report_error(device.clone())),
            is_broken: false,
            device,
            timer: sys::watch(sys::timer()?)?,
            is_readable: false,
            alarm: None,
        })
    }

    /// Takes note if the device reports an error, which reading it would tell, and sees to it that
    /// the next report ends the driver's sleep.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.broken.as_mut().poll(cx)?.is_ready() {
            self.is_broken = true;
            self.broken = Box::pin(report_error(self.device.clone()));
        }
        Ok(())
    }

    /// Whether the device has more to read, or an error to tell, though it has been read and
    /// nothing new has come.
    ///
    /// tokio reports an edge, and a device that drops or holds back what it reads can return an
    /// empty burst with packets behind it, or with an error; so the level is asked for. The answer
    /// is kept beyond a poll: no second edge tells of these packets.
    fn is_still_readable(&self) -> io::Result<bool> {
        let [is_readable] =
            sys::wait_readable([self.device.get_ref().as_fd()], Some(Duration::ZERO))?;
        Ok(is_readable)
    }

    /// Sees to it that the timer runs out at `until`; ready if it has.
    fn poll_alarm(
        &mut self,
        cx: &mut Context<'_>,
        until: Option<Instant>,
        shared: &Shared,
    ) -> Poll<io::Result<()>> {
        // A timer that runs out too early costs a turn, and setting it a system call: deadlines
        // move to later times with nearly every packet.
        if let Some(until) = until.filter(|&until| self.alarm.is_none_or(|set| until < set)) {
            sys::set_timer(self.timer.get_ref().as_fd(), until - shared.now())?;
            self.alarm = Some(until);
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

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("device", &self.device).finish_non_exhaustive()
    }
}

/// Waits until the descriptor reports an error, and takes note of it.
async fn report_error(device: Arc<AsyncFd<OwnedFd>>) -> io::Result<()> {
    device.ready(Interest::ERROR).await?.clear_ready();
    Ok(())
}

#[cfg(test)]
#[path = "tests/tokio_driver.rs"]
mod tests;
