//! What may not be done under the lock.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;
use std::thread;

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
        let mut panics = Panics::default();
        if let Some(device) = self.device {
            panics.hold(|| drop(device));
        }
        panics.wake_all(self.wake);
        for waker in self.discarded {
            panics.hold(|| drop(waker));
        }
        panics.pass_on();
    }
}

/// Runs foreign code, and lets a panic of it pass only when all has run: what one socket's waker
/// does keeps no other socket, and not the driver, from being woken. Nobody would make up for that.
/// A panic that passes in a turn of the driver ends the stack, since the driver ends with it.
#[derive(Debug, Default)]
pub(super) struct Panics(Option<Box<dyn Any + Send>>);

impl Panics {
    /// Runs it, and holds its panic back.
    pub(super) fn hold(&mut self, act: impl FnOnce()) {
        // Nothing of ours is in foreign hands that it could leave half changed.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(act)) {
            self.0.get_or_insert(panic);
        }
    }

    /// Wakes all.
    pub(super) fn wake_all(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            self.hold(|| waker.wake());
        }
    }

    /// Lets the first panic go on, if there was one: but not out of the destructor of somebody who
    /// panics already, since that would end the program.
    pub(super) fn pass_on(self) {
        if let Some(panic) = self.0
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::device::{Capabilities, Link};
    use crate::packet::{Frame, Outgoing};
    use crate::time::Instant;

    /// Counts how often it is woken, and panics if it is to, then or when it is dropped.
    #[derive(Default)]
    struct Bell {
        rung: AtomicUsize,
        panics: AtomicBool,
        panics_in_drop: AtomicBool,
    }

    /// One that panics when it is woken, or does not.
    fn bell(panics: bool) -> Arc<Bell> {
        let bell = Bell::default();
        bell.panics.store(panics, Ordering::Relaxed);
        Arc::new(bell)
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.rung.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics.load(Ordering::Relaxed), "this panic is meant");
        }
    }

    impl Drop for Bell {
        fn drop(&mut self) {
            assert!(!*self.panics_in_drop.get_mut(), "this panic is meant");
        }
    }

    /// A device that panics when it is dropped.
    struct Cursed(Link);

    impl Device for Cursed {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        fn receive_burst(
            &mut self,
            now: Instant,
            into: &mut std::collections::VecDeque<Frame>,
            max: usize,
        ) -> std::io::Result<usize> {
            self.0.receive_burst(now, into, max)
        }

        fn transmit_burst(
            &mut self,
            now: Instant,
            packets: &mut std::collections::VecDeque<Outgoing>,
        ) -> std::io::Result<()> {
            self.0.transmit_burst(now, packets)
        }
    }

    impl Drop for Cursed {
        fn drop(&mut self) {
            panic!("this panic is meant");
        }
    }

    #[test]
    fn a_waker_or_a_device_that_panics_keeps_nobody_from_being_woken_or_dropped() {
        for (bad_waker, bad_device, bad_drop) in
            [(true, false, false), (false, true, false), (false, false, true), (true, true, true)]
        {
            let bells = [false, bad_waker, false, false].map(bell);
            let discarded = [false; 3].map(bell);
            let last = discarded.iter().map(Arc::downgrade).collect::<Vec<_>>();
            discarded[1].panics_in_drop.store(bad_drop, Ordering::Relaxed);
            let mut deferred = Deferred::default();
            deferred.wake.extend(bells.iter().cloned().map(Waker::from));
            deferred.discarded.extend(discarded.into_iter().map(Waker::from));
            if bad_device {
                deferred.device = Some(Box::new(Cursed(Link::pair(1500).1)));
            }
            catch_unwind(AssertUnwindSafe(|| deferred.run())).unwrap_err();
            for bell in &bells {
                assert_eq!(bell.rung.load(Ordering::Relaxed), 1);
            }
            assert!(last.iter().all(|bell| bell.strong_count() == 0));
        }
    }

    /// It is no panic of its own that ends the program, but a second one that leaves a destructor.
    #[test]
    fn a_panic_while_another_one_unwinds_does_not_end_the_program() {
        struct Wakes(Option<Waker>);
        impl Drop for Wakes {
            fn drop(&mut self) {
                let mut deferred = Deferred::default();
                deferred.wake.extend(self.0.take());
                deferred.run();
            }
        }
        let bell = bell(true);
        let unwound = catch_unwind(|| {
            let _wakes = Wakes(Some(bell.clone().into()));
            panic!("this panic is meant");
        });
        unwound.unwrap_err();
        assert_eq!(bell.rung.load(Ordering::Relaxed), 1);
    }
}
