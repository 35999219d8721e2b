//! The retransmission timer: when it runs, and how it backs off (RFC 6298 §5).

use crate::time::{Duration, Instant};

/// Upper bound of a timeout that has backed off: RFC 6298 (2.5) allows one of 60 s or more.
pub(crate) const BACKED_OFF_MAX: Duration = Duration::from_mins(2);

/// The retransmission timer of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rto {
    /// Since when it runs; it does while something is outstanding.
    running_since: Option<Instant>,
    /// How often it has run out since the last measurement of the round-trip time.
    backoffs: u32,
}

impl Rto {
    /// A timer that does not run.
    pub(crate) const fn new() -> Self {
        Self { running_since: None, backoffs: 0 }
    }

    /// Something was sent: the timer runs from now on if it did not (RFC 6298 (5.1)).
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.running_since.get_or_insert(now);
    }

    /// Whether it runs: something is outstanding.
    pub(crate) fn is_running(&self) -> bool {
        self.running_since.is_some()
    }

    /// New octets were acknowledged: it starts anew, or stops when all are (RFC 6298 (5.2),
    /// (5.3)). Only new ones count: duplicates that restarted it would keep it from ever firing.
    pub(crate) fn on_acked(&mut self, now: Instant, is_outstanding: bool) {
        self.running_since = is_outstanding.then_some(now);
    }

    /// The segment at SND.UNA left again because duplicates told of its loss: its acknowledgment
    /// can come a round trip from now, and not one from when the timer began to run.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.running_since = Some(now);
    }

    /// A round-trip time was measured on a segment that was sent once: the path is as the
    /// estimator says, and the backoff ends (Karn's algorithm; Linux does the same).
    pub(crate) fn on_measured(&mut self) {
        self.backoffs = 0;
    }

    /// How often it has doubled.
    pub(crate) fn backoffs(&self) -> u32 {
        self.backoffs
    }

    /// The timeout as it stands, with its backoff.
    pub(crate) fn timeout(&self, rto: Duration) -> Duration {
        let factor = 1u32.checked_shl(self.backoffs).unwrap_or(u32::MAX);
        rto.saturating_mul(factor).min(BACKED_OFF_MAX)
    }

    /// When it runs out.
    pub(crate) fn deadline(&self, rto: Duration) -> Option<Instant> {
        Some(self.running_since? + self.timeout(rto))
    }

    /// Whether it has run out; if so it backs off and runs again (RFC 6298 (5.5), (5.6)).
    pub(crate) fn on_timeout(&mut self, now: Instant, rto: Duration) -> bool {
        let has_fired = self.deadline(rto).is_some_and(|at| at <= now);
        if has_fired {
            self.backoffs = self.backoffs.saturating_add(1);
            self.running_since = Some(now);
        }
        has_fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTO: Duration = Duration::from_secs(1);

    #[test]
    fn must_18_the_timeout_doubles_until_a_round_trip_is_measured() {
        let mut timer = Rto::new();
        let mut now = Instant::ZERO;
        timer.on_sent(now);
        for seconds in [1, 2, 4, 8, 16, 32, 64, 120, 120] {
            let at = timer.deadline(RTO).unwrap();
            assert_eq!((at - now).as_secs(), seconds);
            now = at;
            assert!(timer.on_timeout(now, RTO));
        }
        timer.on_acked(now, true);
        assert_eq!(timer.timeout(RTO).as_secs(), 120);
        timer.on_measured();
        assert_eq!(timer.timeout(RTO), RTO);
    }

    #[test]
    fn it_runs_while_something_is_outstanding_and_no_longer() {
        let mut timer = Rto::new();
        assert_eq!(timer.deadline(RTO), None);
        timer.on_sent(Instant::ZERO);
        timer.on_sent(Instant::from_millis(500)); // Does not restart it.
        assert_eq!(timer.deadline(RTO), Some(Instant::from_millis(1000)));
        timer.on_acked(Instant::from_millis(700), true);
        assert_eq!(timer.deadline(RTO), Some(Instant::from_millis(1700)));
        timer.on_acked(Instant::from_millis(800), false);
        assert_eq!(timer.deadline(RTO), None);
    }
}
