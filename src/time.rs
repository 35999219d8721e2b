//! Time as the core knows it: a number that the caller brings along.

use std::ops::{Add, AddAssign, Sub};

pub use std::time::Duration;

/// A moment: nanoseconds since the stack was made, on a clock that never goes back.
///
/// The core never asks for the time; every input carries it. 64 bits last for 584 years, and all
/// arithmetic saturates, so that no sum of a moment and a time-out can wrap into the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment at which the stack was made.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after [`Instant::ZERO`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `micros` microseconds after [`Instant::ZERO`].
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The moment `millis` milliseconds after [`Instant::ZERO`].
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since [`Instant::ZERO`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, wait: Duration) {
        *self = *self + wait;
    }
}

/// How long after the other this is; zero if it is not after.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_never_wraps_into_the_past() {
        let late = Instant::from_nanos(u64::MAX - 1);
        assert_eq!(late + Duration::MAX, Instant::from_nanos(u64::MAX));
        assert_eq!(Instant::ZERO - late, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::from_nanos(u64::MAX));
    }
}
