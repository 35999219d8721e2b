//! Round-trip time and the retransmission timeout that follows from it (RFC 6298).

use std::num::NonZeroU64;

use crate::time::Duration;

/// Upper bound of the timeout: RFC 6298 (2.5) allows one, no lower than 60 s.
pub(crate) const RTO_MAX: Duration = Duration::from_mins(2);

/// The timeout before the first measurement (RFC 6298 (2.1)).
pub(crate) const RTO_INITIAL: Duration = Duration::from_secs(1);

/// The timeout before the first measurement if a SYN had to be sent again: the path may be slower
/// than [`RTO_INITIAL`] guesses (RFC 6298 (5.7)).
pub(crate) const RTO_AFTER_SYN_TIMEOUT: Duration = Duration::from_secs(3);

/// Smoothed round-trip time of one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttEstimator {
    /// `None` until the first sample: there is no "zero means unset".
    smoothed: Option<Smoothed>,
    /// Whether a SYN of this connection timed out; matters until the first sample.
    has_syn_timed_out: bool,
    /// Least allowance above SRTT before a retransmission.
    ///
    /// RFC 6298 (2.4) asks for an RTO of at least 1 s (SHOULD). Like Linux (`TCP_RTO_MIN`) we
    /// bound the 4·RTTVAR term instead, by 200 ms: a bound on the sum would fire early on a steady
    /// 190 ms path whose peer delays its ACKs. The clock granularity G of (2.3) is far below this.
    slack_min_micros: u32,
}

/// Nanoseconds: a `Duration` takes twice the room.
#[derive(Clone, Copy, Debug)]
struct Smoothed {
    /// And one, so that it takes no room to say that nothing is measured.
    srtt_and_one: NonZeroU64,
    rttvar: u64,
}

impl Smoothed {
    fn new(srtt: u64, rttvar: u64) -> Self {
        Self { srtt_and_one: NonZeroU64::MIN.saturating_add(srtt), rttvar }
    }

    fn srtt(self) -> u64 {
        self.srtt_and_one.get() - 1
    }
}

impl RttEstimator {
    /// Nothing is measured yet; `slack_min` is the least allowance above SRTT
    /// ([`TcpConfig::min_rto`](super::config::TcpConfig)).
    pub(crate) fn new(slack_min: Duration) -> Self {
        let slack_min_micros = u32::try_from(slack_min.as_micros()).unwrap_or(u32::MAX);
        Self { smoothed: None, has_syn_timed_out: false, slack_min_micros }
    }

    /// Takes in one measurement. Karn's algorithm is the caller's: a sample must come from a
    /// timestamp or from a segment sent once (RFC 6298 §3; RFC 9293 §3.8.1, MUST-18).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let rtt = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX / 8).min(u64::MAX / 8);
        self.smoothed = Some(match self.smoothed {
            // RFC 6298 (2.2).
            None => Smoothed::new(rtt, rtt / 2),
            // RFC 6298 (2.3), with alpha = 1/8 and beta = 1/4; RTTVAR from the old SRTT.
            Some(old) => Smoothed::new(
                (old.srtt() * 7 + rtt) / 8,
                (old.rttvar * 3 + old.srtt().abs_diff(rtt)) / 4,
            ),
        });
    }

    /// Our SYN, or SYN and ACK, was not answered in time and leaves once more.
    ///
    /// RFC 6298 (5.7) asks for this when the handshake is through and no sample came of it, since
    /// Karn's algorithm forbids one of a SYN that was sent twice.
    pub(crate) fn on_syn_timeout(&mut self) {
        self.has_syn_timed_out = true;
    }

    /// The timeout for a segment that has been sent once; backing off is [`RttEstimator`]'s
    /// caller's, because it belongs to an episode of loss and not to the path.
    pub(crate) fn rto(&self) -> Duration {
        match self.smoothed {
            None if self.has_syn_timed_out => RTO_AFTER_SYN_TIMEOUT,
            None => RTO_INITIAL,
            Some(smoothed) => {
                let slack_min = u64::from(self.slack_min_micros) * 1_000;
                let slack = (smoothed.rttvar * 4).max(slack_min);
                Duration::from_nanos(smoothed.srtt() + slack).min(RTO_MAX)
            }
        }
    }

    /// The smoothed round-trip time, once measured.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| Duration::from_nanos(smoothed.srtt()))
    }

    /// How much the round-trip time varies, once measured.
    pub(crate) fn rttvar(&self) -> Option<Duration> {
        self.smoothed.map(|smoothed| Duration::from_nanos(smoothed.rttvar))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// An estimator that has taken in these samples, in milliseconds.
    fn after(samples: &[u64]) -> RttEstimator {
        let mut estimator = RttEstimator::new(ms(200));
        for &sample in samples {
            estimator.sample(ms(sample));
        }
        estimator
    }

    #[test]
    fn the_timeout_is_a_second_before_the_first_sample() {
        let estimator = after(&[]);
        assert_eq!(estimator.rto(), ms(1000));
        assert_eq!((estimator.srtt(), estimator.rttvar()), (None, None));
    }

    #[test]
    fn must_18_samples_are_smoothed_as_rfc_6298_says() {
        for (samples, srtt, rttvar, rto) in [
            (&[400][..], 400, 200, 1200),
            (&[400, 400], 400, 150, 1000),
            (&[400, 800], 450, 250, 1450),
            (&[800, 400], 750, 400, 2350),
        ] {
            let estimator = after(samples);
            assert_eq!(estimator.srtt(), Some(ms(srtt)), "{samples:?}");
            assert_eq!(estimator.rttvar(), Some(ms(rttvar)), "{samples:?}");
            assert_eq!(estimator.rto(), ms(rto), "{samples:?}");
        }
    }

    #[test]
    fn a_steady_path_still_leaves_200_ms_for_a_delayed_ack() {
        let estimator = after(&[190; 100]);
        assert!(estimator.rto() >= ms(390), "{:?}", estimator.rto());
        assert_eq!(after(&[0; 100]).rto(), ms(200));
    }

    #[test]
    fn the_least_allowance_is_what_it_was_told() {
        let mut estimator = RttEstimator::new(ms(50));
        assert_eq!(estimator.rto(), ms(1000));
        for _ in 0..100 {
            estimator.sample(ms(10));
        }
        assert_eq!(estimator.rto().as_millis(), 60);
    }

    #[test]
    fn the_timeout_has_an_upper_bound_and_no_sample_overflows_it() {
        assert_eq!(after(&[100_000]).rto(), RTO_MAX);
        let mut estimator = after(&[1]);
        for _ in 0..100 {
            estimator.sample(Duration::from_nanos(u64::MAX));
        }
        assert_eq!(estimator.rto(), RTO_MAX);
    }

    #[test]
    fn a_lost_syn_makes_the_first_timeout_three_seconds_until_a_sample_comes() {
        let mut estimator = after(&[]);
        estimator.on_syn_timeout();
        assert_eq!(estimator.rto(), ms(3000));
        estimator.sample(ms(100));
        assert_eq!(estimator.rto(), ms(300));
    }
}
