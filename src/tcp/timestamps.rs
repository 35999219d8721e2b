//! Timestamps: our clock, and what we echo of the peer's (RFC 7323 §3 to §5).

use super::seq::SeqNumber;
use crate::time::Instant;
use crate::wire::tcp_options::Timestamps;

/// Octets that the option takes in each segment, with the two NOPs before it (RFC 7323, app. A).
pub(crate) const OPTION_LEN: u32 = 12;

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

/// The timestamps of a connection whose SYNs both had them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamping {
    clock: TimestampClock,
    /// TS.Recent: what we echo (RFC 7323 §4.3).
    recent: u32,
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
        Self { clock, recent, recent_at: now, last_ack_sent: receive_nxt }
    }

    /// The option that a segment carries at `now`.
    pub(crate) fn option(&self, now: Instant) -> Timestamps {
        Timestamps { value: self.clock.value(now), echo: self.recent }
    }

    /// A segment with this acknowledgment has left.
    pub(crate) fn on_sent(&mut self, ack: SeqNumber) {
        self.last_ack_sent = ack;
    }

    /// An acceptable segment that begins at `seq` has brought `value`: rules (2) and R3 of
    /// RFC 7323 §4.3 and §5.3. A segment right of Last.ACK.sent leaves TS.Recent as it is, so
    /// that a peer whose ACK we delay, or that has filled a hole, measures from the earliest
    /// segment on which the ACK depends.
    pub(crate) fn on_accepted(&mut self, now: Instant, seq: SeqNumber, value: u32) {
        if seq.at_or_before(self.last_ack_sent) && !is_before(value, self.recent) {
            (self.recent, self.recent_at) = (value, now);
        }
    }
}

/// Whether timestamp `a` is older than `b`, around the wrap of the clock (RFC 7323 §5.2).
pub(crate) fn is_before(a: u32, b: u32) -> bool {
    SeqNumber(a).before(SeqNumber(b))
}
