//! Timestamps: our clock, and what we echo of the peer's (RFC 7323 §3 to §5).

use super::seq::SeqNumber;
use crate::time::{Duration, Instant};
use crate::wire::tcp_options::Timestamps;

/// Octets that the option takes in each segment, with the two NOPs before it (RFC 7323, app. A).
pub(crate) const OPTION_LEN: u8 = 12;

/// How long TS.Recent holds without being set: the 24 days of RFC 7323 §5.5, less than the 24.8 in
/// which a clock of a millisecond moves by half of its values.
const RECENT_LIFETIME: Duration = Duration::from_hours(24 * 24);

/// The clock of one connection's TSvals: milliseconds, from an offset of its own.
///
/// A tick of 1 ms is what RFC 7323 §5.4 recommends at most, and what Linux has: the values wrap
/// after 49.7 days. The offset tells apart what two connections say, and hides for how long the
/// host has been up (§7.1); two connections between the same ports share it, so that the second
/// one's values are past the first one's (RFC 6191).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimestampClock {
    offset: u32,
}

impl TimestampClock {
    /// A clock that says `offset` at the moment at which the stack was made.
    pub(crate) fn new(offset: u32) -> Self {
        Self { offset }
    }

    /// TSval at `now`.
    pub(crate) fn value(self, now: Instant) -> u32 {
        let millis = now.as_nanos() / 1_000_000;
        // It wraps, as it is meant to: the low 32 bits count.
        let [m0, m1, m2, m3, ..] = millis.to_le_bytes();
        self.offset.wrapping_add(u32::from_le_bytes([m0, m1, m2, m3]))
    }
}

/// What a segment says of time: our clock and TS.Recent. All that TIME-WAIT keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    clock: TimestampClock,
    /// TS.Recent: what we echo (RFC 7323 §4.3).
    recent: u32,
}

impl Echo {
    /// The option that a segment carries at `now`.
    pub(crate) fn option(self, now: Instant) -> Timestamps {
        Timestamps { value: self.clock.value(now), echo: self.recent }
    }

    /// TS.Recent.
    pub(crate) fn recent(self) -> u32 {
        self.recent
    }

    /// TS.Recent is `value` from now on.
    pub(crate) fn set_recent(&mut self, value: u32) {
        self.recent = value;
    }
}

/// The timestamps of a connection whose SYNs both had them.
///
/// A later segment without them is taken as it is, though RFC 7323 §3.2 would drop it: there are
/// middleboxes that strip the option, and with Linux the connection goes on. No value is special,
/// 0 as little as any other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamping {
    echo: Echo,
    /// When TS.Recent was last set.
    recent_at: Instant,
    /// Last.ACK.sent: RCV.NXT as our last segment said it.
    last_ack_sent: SeqNumber,
}

impl Timestamping {
    /// After the handshake: `recent` is the TSval of the peer's SYN, or of a later segment, that
    /// arrived at `now`; `receive_nxt` is what we have acknowledged of the peer's SYN.
    pub(crate) fn new(
        now: Instant,
        clock: TimestampClock,
        recent: u32,
        receive_nxt: SeqNumber,
    ) -> Self {
        Self { echo: Echo { clock, recent }, recent_at: now, last_ack_sent: receive_nxt }
    }

    /// Our clock and TS.Recent.
    pub(crate) fn echo(&self) -> Echo {
        self.echo
    }

    /// The option that a segment carries at `now`.
    pub(crate) fn option(&self, now: Instant) -> Timestamps {
        self.echo.option(now)
    }

    /// A segment with this acknowledgment has left.
    pub(crate) fn on_sent(&mut self, ack: SeqNumber) {
        self.last_ack_sent = ack;
    }

    /// PAWS, rule R1 of RFC 7323 §5.3: a segment with `value` is older than what has been seen
    /// already, and its sequence number may be one of the last time round. Not judged so is an
    /// RST, nor anything once TS.Recent has been left alone for so long that the peer's clock may
    /// have wrapped (§5.5).
    pub(crate) fn is_stale(&self, now: Instant, value: u32) -> bool {
        is_before(value, self.echo.recent) && now - self.recent_at <= RECENT_LIFETIME
    }

    /// An acceptable segment that begins at `seq` has brought `value`: rules (2) and R3 of
    /// RFC 7323 §4.3 and §5.3. A segment right of Last.ACK.sent leaves TS.Recent as it is, so
    /// that a peer whose ACK we delay, or that has filled a hole, measures from the earliest
    /// segment on which the ACK depends.
    pub(crate) fn on_accepted(&mut self, now: Instant, seq: SeqNumber, value: u32) {
        if seq.at_or_before(self.last_ack_sent) && !self.is_stale(now, value) {
            self.echo.recent = value;
            self.recent_at = now;
        }
    }

    /// RTTM: how long ago the segment left whose TSval has come back as `echo`, in whole
    /// milliseconds and at least one. Whether that can be is the caller's to judge: a peer may
    /// send any number.
    pub(crate) fn age(&self, now: Instant, echo: u32) -> Duration {
        let ticks = self.echo.clock.value(now).wrapping_sub(echo);
        Duration::from_millis(ticks.max(1).into())
    }
}

/// Whether timestamp `a` is older than `b`, around the wrap of the clock (RFC 7323 §5.2).
pub(crate) fn is_before(a: u32, b: u32) -> bool {
    SeqNumber(a).before(SeqNumber(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NXT: SeqNumber = SeqNumber(u32::MAX);

    fn timestamping(recent: u32) -> Timestamping {
        Timestamping::new(Instant::ZERO, TimestampClock::new(u32::MAX), recent, NXT)
    }

    #[test]
    fn a_value_is_stale_up_to_2_to_the_31_before_the_last_one_and_for_24_days() {
        for recent in [0, 1, 5, 1 << 31, u32::MAX] {
            for (step, is_stale) in [
                (0, false),
                (1, false),
                ((1 << 31) - 1, false),
                (u32::MAX, true), // One before.
                ((1 << 31) + 1, true),
            ] {
                let value = recent.wrapping_add(step);
                let stale_after = |wait| timestamping(recent).is_stale(Instant::ZERO + wait, value);
                assert_eq!(stale_after(Duration::ZERO), is_stale, "{recent} {step}");
                assert_eq!(stale_after(24 * DAY), is_stale, "{recent} {step}");
                assert!(!stale_after(24 * DAY + Duration::from_nanos(1)), "{recent} {step}");
            }
        }
    }

    /// RFC 7323 §4.3: the echo is that of the segment that the ACK stands at, and not a later one.
    #[test]
    fn what_lies_right_of_the_last_acknowledgment_sent_is_not_echoed() {
        let mut own = timestamping(100);
        own.on_accepted(Instant::ZERO, NXT + 1, 101);
        assert_eq!(own.echo().recent(), 100);
        own.on_accepted(Instant::ZERO, NXT, 102);
        assert_eq!(own.echo().recent(), 102);
        own.on_accepted(Instant::ZERO, NXT, 101);
        assert_eq!(own.echo().recent(), 102);
        own.on_sent(NXT + 10);
        own.on_accepted(Instant::ZERO, NXT + 1, 103);
        assert_eq!(own.echo().recent(), 103);
        own.on_accepted(Instant::ZERO + 25 * DAY, NXT, 5);
        assert_eq!(own.echo().recent(), 5);
        let stale_after = |days| own.is_stale(Instant::ZERO + days * DAY, 4);
        assert!(stale_after(49) && !stale_after(50), "it holds for 24 days from then on");
    }

    #[test]
    fn the_age_of_an_echo_is_counted_around_the_wrap_of_our_clock() {
        let own = timestamping(0);
        for (now, echo, age) in [(0, u32::MAX, 1), (1, u32::MAX, 1), (7, u32::MAX, 7), (7, 3, 3)] {
            let age = Duration::from_millis(age);
            assert_eq!(own.age(Instant::from_millis(now), echo), age, "{now} {echo}");
        }
    }
}
