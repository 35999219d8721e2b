//! Zero-window probes, and the end of a sender's patience with a window that is too small (RFC 9293
//! §3.8.6.1, §3.8.6.2.1).

use crate::time::{Duration, Instant};

/// Longest time between two probes: 60 s, the least bound that RFC 6298 (2.5) allows a timer.
const INTERVAL_MAX: Duration = Duration::from_mins(1);

/// Longest time for which SWS avoidance holds octets back that an open window has room for: the
/// upper bound that RFC 9293 §3.8.6.2.1 sets to the override time-out.
const OVERRIDE_MAX: Duration = Duration::from_secs(1);

/// Longest time for which TCP_CORK or MSG_MORE holds a segment back that is not full, as tcp(7)
/// has it.
const CORK_MAX: Duration = Duration::from_millis(200);

/// Asks the peer for its window when ours is the only side that would ever speak.
///
/// It runs while nothing is in flight, so that no retransmission timer does, and what is written
/// may not leave for lack of window. Without it a lost window update would be the end of the
/// connection (RFC 9293 §3.8.6.1, MUST-35, MUST-36). The same wait ends SWS avoidance when the
/// window is open but small (§3.8.6.2.1, the override time-out).
#[derive(Debug, Default)]
pub(crate) struct Persist {
    /// In place: a sender that fills the window waits in each round, and would ask the allocator
    /// each time.
    waiting: Option<Wait>,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Instant,
    probes: u32,
    is_due: bool,
    why: Stuck,
}

/// What data that waits with nothing in flight waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The window is shut: it is probed.
    ShutWindow,
    /// The window is open, but too small to be worth a segment: after a while it is used.
    SmallWindow,
    /// The application has said that more follows: after a while what there is leaves.
    Corked,
}

impl Persist {
    /// Tells whether data waits for window with nothing in flight, and for what. A window that
    /// shuts or opens starts the wait anew: the backoff of probes is none of SWS avoidance's.
    pub(crate) fn update(&mut self, now: Instant, stuck: Option<Stuck>) {
        let Some(why) = stuck else {
            self.waiting = None;
            return;
        };
        let begun = Wait { since: now, probes: 0, is_due: false, why };
        match &mut self.waiting {
            Some(wait) if wait.why == why => {}
            Some(wait) => *wait = begun,
            None => self.waiting = Some(begun),
        }
    }

    /// Probes of a shut window since it shut or was last seen to change.
    pub(crate) fn probes(&self) -> u32 {
        self.waiting.as_ref().map_or(0, |wait| wait.probes)
    }

    /// Whether a probe, or the small segment, must leave now.
    pub(crate) fn is_due(&self) -> bool {
        self.waiting.as_ref().is_some_and(|wait| wait.is_due)
    }

    /// A probe left. The next one waits twice as long (SHLD-30).
    pub(crate) fn on_probed(&mut self, now: Instant) {
        if let Some(wait) = &mut self.waiting {
            let probes = wait.probes.saturating_add(1);
            *wait = Wait { since: now, probes, is_due: false, why: wait.why };
        }
    }

    /// When the next probe is due: the first after one retransmission time-out (SHLD-29); or when
    /// a small window is to be used.
    pub(crate) fn deadline(&self, rto: Duration) -> Option<Instant> {
        let wait = self.waiting.as_ref().filter(|wait| !wait.is_due)?;
        let factor = 1u32.checked_shl(wait.probes).unwrap_or(u32::MAX);
        let interval = match wait.why {
            Stuck::ShutWindow => rto.saturating_mul(factor).min(INTERVAL_MAX),
            Stuck::SmallWindow => rto.min(OVERRIDE_MAX),
            Stuck::Corked => CORK_MAX,
        };
        Some(wait.since + interval)
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
        persist.update(now, Some(Stuck::ShutWindow));
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
        persist.update(Instant::ZERO, Some(Stuck::ShutWindow));
        persist.on_timeout(Instant::from_millis(300), RTO);
        persist.update(Instant::from_millis(301), None);
        assert!(!persist.is_due() && persist.deadline(RTO).is_none());
    }
    #[test]
    fn must_38_a_small_window_is_used_within_a_second_whatever_was_waited_for_before() {
        let mut persist = Persist::default();
        persist.update(Instant::ZERO, Some(Stuck::ShutWindow));
        for _ in 0..10 {
            persist.on_probed(Instant::ZERO);
        }
        let now = Instant::from_millis(5000);
        for (rto, wait) in [(RTO, RTO), (Duration::from_mins(2), Duration::from_secs(1))] {
            persist.update(now, Some(Stuck::SmallWindow));
            assert_eq!(persist.deadline(rto), Some(now + wait));
        }
    }
}
