//! The driver that has a thread of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread;

use crate::runtime::shard::Turn;
use crate::runtime::shared::Shared;
use crate::runtime::sys::{EventFd, wait_readable};

/// Ends the sleep of the loop.
struct Bell(EventFd);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.ring();
    }
}

/// Starts the thread `name`. `device` polls readable when packets wait.
pub(crate) fn start(shared: &Arc<Shared>, device: OwnedFd, name: String) -> io::Result<()> {
    let bell = Arc::new(Bell(EventFd::new()?));
    let thread = thread::Builder::new().name(name).spawn({
        let shared = shared.clone();
        move || {
            let guard = PanicGuard(&shared);
            let outcome = run(&shared, &device, &bell);
            drop(device); // Whoever is told of the end finds the device gone.
            match outcome {
                Ok(()) => shared.announce_end(),
                Err(error) => shared.abandon(error),
            }
            drop(guard);
        }
    })?;
    shared.set_thread(thread);
    Ok(())
}

/// Turn, wait, turn, until the stack has ended.
fn run(shared: &Shared, device: &OwnedFd, bell: &Arc<Bell>) -> io::Result<()> {
    let kick = Waker::from(bell.clone());
    let mut may_receive = true;
    loop {
        let until = match shared.turn(may_receive, &kick, 0) {
            Turn::Over => return Ok(()),
            Turn::Again | Turn::Busy | Turn::Yield { .. } => {
                may_receive = true;
                continue;
            }
            Turn::Pause(pause) => {
                // Not for the device: that is what the pause is about.
                let [is_rung] = wait_readable([bell.0.as_fd()], Some(pause))?;
                if is_rung {
                    bell.0.clear();
                    shared.ask(|shard, _| shard.coalescing.forget());
                }
                may_receive = true;
                continue;
            }
            Turn::Sleep(until) | Turn::Look(until) => until,
        };
        let timeout = until.map(|until| until - shared.now());
        let [is_readable, is_rung] = wait_readable([device.as_fd(), bell.0.as_fd()], timeout)?;
        may_receive = is_readable;
        if is_rung {
            bell.0.clear();
        }
    }
}

/// Ends the stack if the loop panics, so that nobody waits for it for ever.
struct PanicGuard<'a>(&'a Shared);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon(io::Error::other("the event loop panicked"));
        }
    }
}
