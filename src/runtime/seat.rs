//! Where the driver sits, and how it sleeps.

use std::task::Waker;

use crate::runtime::shared::here;
use crate::time::Instant;

/// How to reach whoever runs the turns.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Ends the driver's sleep.
    pub(super) kick: Option<Waker>,
    /// Where the driver last ran, by [`here`], if it is a task that shares its thread with others;
    /// else 0.
    pub(super) thread: usize,
    pub(super) sleep: Sleep,
}

impl Seat {
    /// Whether the driver shares the caller's thread.
    pub(super) fn is_here(&self) -> bool {
        self.thread == here()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sleep {
    /// Running, kicked, or not yet started: it will have a turn without being asked.
    #[default]
    Awake,
    Until(Instant),
    Forever,
}

impl Sleep {
    /// Whether a sleeper must get up for something to do at `due`.
    pub(super) fn is_past(self, due: Option<Instant>) -> bool {
        match (self, due) {
            (Self::Awake, _) | (_, None) => false,
            (Self::Forever, Some(_)) => true,
            (Self::Until(end), Some(due)) => due < end,
        }
    }
}
