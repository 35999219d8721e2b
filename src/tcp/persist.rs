//! Zero-window probes, and the end of a sender's patience with a window that is too small.

use crate::time::{Duration, Instant};

/// Longest time between two probes: 60 s, the upper bound that RFC 6298 (2.5) allows a timer.
const INTERVAL_MAX: Duration = Duration::from_mins(1);

/// Asks the peer for its window when ours is the only side that would ever speak.
///
/// It runs while nothing is in flight, so that no retransmission timer does, and what is written
/// may not leave for lack of window. Without it a lost window update would be the end of the
/// connection (RFC 9293 §3.8.6.1, MUST-35, MUST-36). The same wait ends SWS avoidance when the
/// window is open but small (§3.8.6.2.1, the override time-out).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Persist {
    waiting: Option<Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Instant,
    probes: u32,
    is_due: bool,
}

impl Persist {
    /// Tells whether data waits for window with nothing in flight.
    pub(crate) fn update(&mut self, now: Instant, is_stuck: bool) {
        if !is_stuck {
            self.waiting = None;
        } else if self.waiting.is_none() {
            self.waiting = Some(Wait { since: now, probes: 0, is_due: false });
        }
    }

    /// Whether a probe, or the small segment, must leave now.
    pub(crate) fn is_due(&self) -> bool {
        self.waiting.is_some_and(|wait| wait.is_due)
    }

    /// A probe left. The next one waits twice as long (SHLD-30).
    pub(crate) fn on_probed(&mut self, now: Instant) {
        if let Some(wait) = &mut self.waiting {
            *wait = Wait { since: now, probes: wait.probes.saturating_add(1), is_due: false };
        }
    }

    /// When the next probe is due: the first after one retransmission time-out (SHLD-29).
    pub(crate) fn deadline(&self, rto: Duration) -> Option<Instant> {
        let wait = self.waiting.filter(|wait| !wait.is_due)?;
        let factor = 1u32.checked_shl(wait.probes).unwrap_or(u32::MAX);
        Some(wait.since + rto.saturating_mul(factor).min(INTERVAL_MAX))
    }

    /// The wait may have ended.
    pub(crate) fn on_timeout(&mut self, now: Instant, rto: Duration) {
        if self.deadline(rto).is_some_and(|at| at <= now)
            && let Some(wait) = &mut self.waiting
        {
            wait.is_due = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_millis(300);

    #[test]
    fn shld_29_and_30_probes_start_after_one_rto_and_double_up_to_a_minute() {
        let mut persist = Persist::default();
        let mut now = Instant::ZERO;
        persist.update(now, true);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let at = persist.deadline(RTO).unwrap();
            waits.push((at - now).as_millis());
            persist.on_timeout(Instant::from_nanos(at.as_nanos() - 1), RTO);
            assert!(!persist.is_due());
            now = at;
            persist.on_timeout(now, RTO);
            assert!(persist.is_due() && persist.deadline(RTO).is_none());
            persist.on_probed(now);
        }
        assert_eq!(waits[..4], [300, 600, 1200, 2400]);
        assert!(waits[8..].iter().all(|&wait| wait == 60_000), "{waits:?}");
    }

    #[test]
    fn a_window_that_opens_ends_the_probing() {
        let mut persist = Persist::default();
        persist.update(Instant::ZERO, true);
        persist.on_timeout(Instant::from_millis(300), RTO);
        persist.update(Instant::from_millis(301), false);
        assert!(!persist.is_due() && persist.deadline(RTO).is_none());
    }
}
