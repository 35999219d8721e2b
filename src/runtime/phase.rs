//! Where a stack is in its life, and what an ending one waits for.

use crate::time::{Duration, Instant};

/// How long the loop lingers for closing connections when nobody holds the stack any more.
const LINGER: Duration = Duration::from_secs(5);

/// How often an ending stack looks whether its connections have finished.
const ENDING_CHECK: Duration = Duration::from_millis(10);

/// Where a stack is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Waits until `until` for connections to finish; looks for them at `check`.
    Ending {
        awaited: Awaited,
        until: Instant,
        check: Instant,
    },
    Over,
}

/// What an ending stack waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Connections that nobody holds and that still have something to send.
    Orphans,
    /// All connections.
    Connections,
}

/// What is to be done about the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing yet.
    Wait,
    /// To look whether what is awaited is still there.
    Look(Awaited),
    /// To end.
    End,
}

impl Phase {
    /// Begins to end, since nobody holds the stack any more. Whether it does: an end that was asked
    /// for before stays as it is.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let is_running = *self == Self::Running;
        if is_running {
            *self = Self::Ending { awaited: Awaited::Orphans, until: now + LINGER, check: now };
        }
        is_running
    }

    /// Begins to end because somebody asks for it within `timeout`; whoever asks for less time
    /// wins. Whether it is not over already.
    pub(super) fn shut_down(&mut self, now: Instant, timeout: Duration) -> bool {
        let asked = now + timeout;
        let until = match *self {
            Self::Running => asked,
            Self::Ending { until, .. } => until.min(asked),
            Self::Over => return false,
        };
        *self = Self::Ending { awaited: Awaited::Connections, until, check: now };
        true
    }

    /// When there is something to be done about the end.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running | Self::Over => None,
            Self::Ending { until, check, .. } => Some(until.min(check)),
        }
    }

    /// What is to be done about the end at `now`. To look at all connections costs, so it is asked
    /// for now and then, and not in every turn.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        match self {
            Self::Running => Step::Wait,
            Self::Over => Step::End,
            Self::Ending { until, .. } if now >= *until => Step::End,
            Self::Ending { check, .. } if now < *check => Step::Wait,
            Self::Ending { awaited, check, .. } => {
                *check = now + ENDING_CHECK;
                Step::Look(*awaited)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_stack_that_nobody_holds_looks_for_orphans_every_10_ms_and_ends_after_5_s() {
        let mut phase = Phase::Running;
        assert_eq!((phase.step(at(0)), phase.deadline()), (Step::Wait, None));
        assert!(phase.leave(at(100)));
        assert!(!phase.leave(at(5000)), "it is ending already");
        assert_eq!(phase.deadline(), Some(at(100)));
        assert_eq!(phase.step(at(100)), Step::Look(Awaited::Orphans));
        assert_eq!((phase.step(at(109)), phase.deadline()), (Step::Wait, Some(at(110))));
        assert_eq!(phase.step(at(5099)), Step::Look(Awaited::Orphans));
        assert_eq!((phase.deadline(), phase.step(at(5100))), (Some(at(5100)), Step::End));
    }

    #[test]
    fn whoever_asks_for_less_time_wins() {
        let mut phase = Phase::Running;
        assert!(phase.shut_down(at(0), Duration::from_millis(50)));
        assert!(phase.shut_down(at(1), Duration::from_millis(500)));
        assert_eq!(phase.step(at(49)), Step::Look(Awaited::Connections));
        assert_eq!(phase.step(at(50)), Step::End);
        assert!(phase.shut_down(at(2), Duration::from_millis(8)));
        assert_eq!(phase.step(at(10)), Step::End);
    }

    #[test]
    fn somebody_who_asks_has_all_connections_awaited_though_nobody_holds_the_stack() {
        let mut phase = Phase::Running;
        phase.leave(at(0));
        assert!(phase.shut_down(at(1), Duration::from_mins(1)));
        assert_eq!(phase.step(at(1)), Step::Look(Awaited::Connections));
        assert_eq!(phase.step(at(5000)), Step::End, "it was to linger for 5 s");
    }

    #[test]
    fn what_is_over_stays_so() {
        let mut phase = Phase::Over;
        assert!(!phase.leave(at(0)) && !phase.shut_down(at(0), Duration::ZERO));
        assert_eq!((phase, phase.step(at(0)), phase.deadline()), (Phase::Over, Step::End, None));
    }
}
