//! SYN-RECEIVED after a passive open: a record, not a connection.

use crate::observe::{DropReason, SendReason};
use crate::tcp::ack::ChallengeBudget;
use crate::tcp::connection::Opened;
use crate::tcp::negotiated::{Negotiated, Offer};
use crate::tcp::reset::reset_for;
use crate::tcp::segment::{Segment, SegmentPlan};
use crate::tcp::seq::{SeqNumber, SeqRange};
use crate::tcp::timestamps::{self, TimestampClock, Timestamping};
use crate::time::{Duration, Instant};
use crate::wire::tcp::TcpFlags;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

/// The first wait for the answer to a SYN-ACK (RFC 6298 (2.1)); it doubles.
const RTO_INITIAL: Duration = Duration::from_secs(1);

/// A SYN that we have answered and whose acknowledgment we wait for.
#[derive(Clone, Debug)]
pub(crate) struct HalfOpen {
    /// Our initial sequence number.
    iss: SeqNumber,
    /// The peer's initial sequence number.
    irs: SeqNumber,
    /// What both SYNs fixed.
    agreed: Negotiated,
    /// Our timestamp clock, where timestamps are agreed.
    clock: TimestampClock,
    /// TS.Recent, where timestamps are agreed.
    recent: u32,
    /// The window that our SYN announces; never scaled (RFC 7323 §2.2).
    window: u16,
    /// When the SYN-ACK first left.
    sent_at: Instant,
    /// When it is due to be sent again.
    next_at: Instant,
    /// How often it has been sent again by the timer.
    retries: u8,
    /// How often it has been sent for any reason: what was sent twice measures no round trip.
    sent: u8,
    challenges: ChallengeBudget,
    /// How often the timer may do that, but for the last chance of who was put off.
    retries_max: u8,
    /// Whether an ACK has been put off.
    deferral: Deferral,
    /// What is to be sent.
    owed: Owed,
}

/// What TCP_DEFER_ACCEPT has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deferral {
    /// No ACK has been put off.
    None,
    /// One has been, and the record waits for text.
    Waiting,
    /// One has been, and the peer has been asked for it again. It measures no round trip.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    SynAck,
    Ack,
}

/// What a segment does to a half-open connection.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The handshake is through; the segment itself is then the connection's to receive.
    Opened(Opened),
    /// The record goes, and nobody is told: the listener goes on (MUST-11).
    Forget,
    /// The record stays, and this answer is sent: an ACK that is not of our SYN.
    Answer(SegmentPlan),
    /// The record stays, and the SYN-ACK or an acknowledgment is owed again.
    Stay,
    /// Nothing happens.
    Drop(DropReason),
}

impl HalfOpen {
    /// A SYN has come to a listener; our SYN-ACK, with a window of so many octets, is owed.
    pub(crate) fn new(
        now: Instant,
        syn: &Segment,
        iss: SeqNumber,
        offer: Offer,
        window: u32,
        retries_max: u8,
    ) -> Self {
        Self {
            iss,
            irs: syn.seq,
            agreed: Negotiated::agree(offer, &syn.options),
            clock: offer.timestamps.unwrap_or_default(),
            recent: syn.options.timestamps.unwrap_or_default().value,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            sent_at: now,
            next_at: now + RTO_INITIAL,
            retries: 0,
            sent: 0,
            challenges: ChallengeBudget::default(),
            retries_max,
            deferral: Deferral::None,
            owed: Owed::SynAck,
        }
    }

    /// Whether an ICMP error that quotes `seq` may be about our SYN, or about an acknowledgment
    /// behind it (RFC 5927 §4.1).
    pub(crate) fn has_sent(&self, seq: SeqNumber) -> bool {
        seq == self.iss || seq == self.iss + 1
    }

    /// As if the record of a SYN had been kept that was answered by a cookie: nothing is owed, and
    /// the ACK that has brought the cookie back opens. `rtt`: the round trip, where it is known.
    pub(crate) fn recalled(mut self, now: Instant, rtt: Option<Duration>) -> Self {
        self.owed = Owed::Nothing;
        self.sent = u8::from(rtt.is_some());
        let nanos = rtt.and_then(|rtt| u64::try_from(rtt.as_nanos()).ok()).unwrap_or(0);
        self.sent_at = Instant::from_nanos(now.as_nanos().saturating_sub(nanos));
        self
    }

    /// TCP_DEFER_ACCEPT: whether the ACK that has come, and has no text, is put off since the SYN
    /// is not `wait` old. The peer is then left in peace until it is; what it sends in the
    /// meantime opens.
    pub(crate) fn defers(&mut self, now: Instant, wait: Duration) -> bool {
        let until = self.sent_at + wait;
        let is_early = now < until;
        if is_early {
            self.next_at = until;
            self.deferral = Deferral::Waiting;
        }
        is_early
    }

    /// The peer's initial sequence number.
    pub(crate) fn irs(&self) -> SeqNumber {
        self.irs
    }

    /// When the SYN-ACK is due again, or the record is given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.next_at
    }

    /// Time has passed. `false`: the record is to be given up.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> bool {
        if self.next_at > now {
            return true;
        }
        // Whoever was put off believes that he is connected: as on Linux (`syn_ack_recalc`) he is
        // asked for his ACK, or his text, when the time is over, though no retry may be left.
        let is_last_chance = self.deferral == Deferral::Waiting;
        if self.retries >= self.retries_max && !is_last_chance {
            return false;
        }
        if is_last_chance {
            self.deferral = Deferral::Over;
        }
        self.retries = self.retries.saturating_add(1);
        self.owed = Owed::SynAck;
        self.next_at = now + RTO_INITIAL.saturating_mul(1 << self.retries.min(16));
        true
    }

    /// SEGMENT ARRIVES in SYN-RECEIVED after a passive open (RFC 9293 §3.10.7.4).
    pub(crate) fn receive(&mut self, now: Instant, segment: &Segment) -> Verdict {
        let nxt = self.irs + 1;
        if segment.rst {
            // RFC 5961 §3, as on a connection.
            return if segment.seq == nxt {
                Verdict::Forget
            } else if self.receive_window().contains(segment.seq) {
                self.challenge(now)
            } else if segment.seq.before(nxt) {
                Verdict::Drop(DropReason::BelowWindow)
            } else {
                Verdict::Drop(DropReason::AboveWindow)
            };
        }
        if let (true, Some(latest)) = (self.agreed.timestamps, segment.options.timestamps) {
            if timestamps::is_before(latest.value, self.recent) {
                return self.challenge(now); // RFC 7323 §5.3, R1.
            }
            // Only at the one number that our SYN-ACK has acknowledged, or on the SYN itself: else
            // whoever knows the four-tuple could make the peer's own segments old.
            if segment.seq == nxt || segment.seq == self.irs {
                self.recent = latest.value;
            }
        }
        if segment.syn {
            // The peer's SYN again: our SYN-ACK was lost, and it is owed once more. Not for each of
            // them: whoever repeats it in another's name would have us send as often (as Linux).
            let is_same = segment.seq == self.irs && segment.ack.is_none();
            return self.answer(now, if is_same { Owed::SynAck } else { Owed::Ack });
        }
        if !segment.lies_in(self.receive_window()) {
            return self.challenge(now);
        }
        match segment.ack {
            None => Verdict::Drop(DropReason::NoAck),
            Some(ack) if ack == self.iss + 1 => Verdict::Opened(self.opened(now, segment, ack)),
            // Not of our SYN: whoever sent it knows another connection (RFC 9293 §3.10.7.4).
            Some(_) => match reset_for(segment) {
                Some(reset) => Verdict::Answer(reset),
                None => Verdict::Drop(DropReason::BadHandshakeAck),
            },
        }
    }

    fn receive_window(&self) -> SeqRange {
        SeqRange::at(self.irs + 1, u32::from(self.window))
    }

    /// An acknowledgment is owed, unless one was not long ago (RFC 5961 §7).
    fn challenge(&mut self, now: Instant) -> Verdict {
        self.answer(now, Owed::Ack)
    }

    /// An answer is owed, under the same limit; it does not displace one that is.
    fn answer(&mut self, now: Instant, answer: Owed) -> Verdict {
        if self.challenges.take(now) && self.owed == Owed::Nothing {
            self.owed = answer;
        }
        Verdict::Stay
    }

    fn opened(&self, now: Instant, segment: &Segment, ack: SeqNumber) -> Opened {
        Opened {
            iss: self.iss,
            irs: self.irs,
            agreed: self.agreed,
            window: u32::from(segment.window) << self.agreed.send_shift(),
            window_from: (segment.seq, ack),
            offered: u32::from(self.window),
            timestamps: self
                .agreed
                .timestamps
                .then(|| Timestamping::new(now, self.clock, self.recent, self.irs + 1)),
            rtt: (self.sent == 1 && self.deferral == Deferral::None).then(|| now - self.sent_at),
            // To ask once more who was put off says nothing of a loss.
            was_sent_again: self.sent > 1 + u8::from(self.deferral == Deferral::Over),
        }
    }

    /// What is owed.
    pub(crate) fn transmit(&mut self, now: Instant) -> Option<SegmentPlan> {
        let owed = std::mem::replace(&mut self.owed, Owed::Nothing);
        let (seq, flags) = match owed {
            Owed::Nothing => return None,
            Owed::SynAck => (self.iss, TcpFlags::SYN),
            Owed::Ack => (self.iss + 1, TcpFlags::NONE),
        };
        let reason = if owed == Owed::SynAck { SendReason::Handshake } else { SendReason::Ack };
        let mut plan = SegmentPlan::bare(reason, seq, Some(self.irs + 1), flags, self.window);
        if owed == Owed::SynAck {
            self.sent = self.sent.saturating_add(1);
            let window_scale = self.agreed.scaling.map(|_| self.agreed.receive_shift());
            plan.options = TcpOptions {
                mss: Some(self.agreed.receive_mss),
                window_scale,
                sack_permitted: self.agreed.sack,
                ..TcpOptions::default()
            };
        } else {
            plan.window >>= self.agreed.receive_shift();
        }
        plan.options.timestamps = self.timestamps(now);
        Some(plan)
    }

    /// The timestamps of a segment that leaves at `now`, where they are agreed.
    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let Self { clock, recent, .. } = self;
        self.agreed.timestamps.then(|| Timestamps { value: clock.value(now), echo: *recent })
    }

    /// The RST that tells the peer that nobody will accept it any more.
    pub(crate) fn abort(&self, now: Instant) -> SegmentPlan {
        let (seq, ack) = (self.iss + 1, Some(self.irs + 1));
        let mut reset = SegmentPlan::bare(SendReason::Reset, seq, ack, TcpFlags::RST, 0);
        reset.options.timestamps = self.timestamps(now);
        reset
    }
}

#[cfg(test)]
#[path = "../tests/half_open.rs"]
mod tests;
