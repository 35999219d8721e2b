//! Time as the core knows it: a number that the caller brings along.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Sub};

pub use std::time::Duration;

/// A moment: nanoseconds since the stack was made, on a clock that never goes back.
///
/// The core never asks for the time; every input carries it. 64 bits last for 584 years, and all
/// arithmetic saturates, so that no sum of a moment and a time-out can wrap into the past.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// The nanoseconds, and one: a moment that may be absent takes no more room than one that is
    /// there, and a connection has many that may.
    nanos_and_one: NonZeroU64,
}

impl Instant {
    /// The moment at which the stack was made.
    pub const ZERO: Self = Self { nanos_and_one: NonZeroU64::MIN };

    /// The moment `nanos` nanoseconds after [`Instant::ZERO`]; the last that there is, 2^64 - 2
    /// nanoseconds after it, for a later one.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos_and_one: NonZeroU64::MIN.saturating_add(nanos) }
    }

    /// The moment `micros` microseconds after [`Instant::ZERO`].
    pub const fn from_micros(micros: u64) -> Self {
        Self::from_nanos(micros.saturating_mul(1_000))
    }

    /// The moment `millis` milliseconds after [`Instant::ZERO`].
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since [`Instant::ZERO`].
    pub const fn as_nanos(self) -> u64 {
        self.nanos_and_one.get() - 1
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }
}

/// A wait in nanoseconds, in half the room of a [`Duration`]; 584 years for a longer one.
pub(crate) fn nanos(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
}

/// The earlier of two moments, each of which may be absent.
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&self.as_nanos()).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self { nanos_and_one: self.nanos_and_one.saturating_add(nanos(wait)) }
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
        let late = Instant::from_nanos(u64::MAX - 2);
        assert_eq!(late + Duration::MAX, Instant::from_nanos(u64::MAX));
        assert_eq!(Instant::ZERO - late, Duration::ZERO);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::from_nanos(u64::MAX));
        assert_eq!(Instant::from_nanos(u64::MAX).as_nanos(), u64::MAX - 1);
    }

    #[test]
    fn a_moment_that_may_be_absent_takes_no_more_room() {
        assert_eq!(size_of::<Option<Instant>>(), size_of::<Instant>());
        assert_eq!((Instant::default().as_nanos(), Instant::from_nanos(1).as_nanos()), (0, 1));
    }
}
