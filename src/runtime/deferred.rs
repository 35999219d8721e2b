//! What may not be done under the lock.

use std::task::Waker;

use crate::device::Device;
use crate::runtime::waiters::Wakers;

/// What may run foreign code, and so waits until the lock is free.
#[derive(Default)]
pub(crate) struct Deferred {
    /// To be woken.
    pub(crate) wake: Wakers,
    /// To be dropped: a waker may own a task, which may own sockets.
    pub(crate) discarded: Wakers,
    /// To be dropped: taking down an interface can take a while.
    pub(super) device: Option<Box<dyn Device>>,
}

impl Deferred {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.wake.is_empty() && self.discarded.is_empty() && self.device.is_none()
    }

    /// Drops a waker later, if there is one.
    pub(crate) fn discard(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.discarded.push(waker);
        }
    }

    /// Does it. The device goes first, so that whoever is woken by the end finds it gone.
    pub(crate) fn run(self) {
        drop(self.device);
        for waker in self.wake {
            waker.wake();
        }
    }
}
