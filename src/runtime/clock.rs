//! The only reader of CLOCK_MONOTONIC: what turns real time into the core's [`Instant`].

use crate::time::Instant;

/// Counts from the moment it is made. Goes on while the program runs, not while the machine
/// sleeps: a laptop's lid does not time connections out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock that stands at [`Instant::ZERO`].
    pub(crate) fn new() -> Self {
        Self { origin: monotonic() }
    }

    /// The time by this clock.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + monotonic().saturating_duration_since(self.origin)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where time comes in")]
fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}
