//! SYN-SENT, and the SYN-RECEIVED that follows a simultaneous open (RFC 9293 §3.10.7.3, MUST-10).

use std::sync::Arc;

use super::ack::ChallengeBudget;
use super::config::TcpConfig;
use super::connection::Opened;
use super::negotiated::{Negotiated, Offer};
use super::reset::reset_for;
use super::segment::{Segment, SegmentPlan};
use super::seq::{SeqNumber, SeqRange};
use super::timestamps::{self, Timestamping};
use crate::observe::{DropReason, SendReason, TcpState};
use crate::options::SocketOptions;
use crate::time::{Duration, Instant};
use crate::wire::tcp::TcpFlags;
use crate::wire::tcp_options::TcpOptions;

/// The first wait for an answer (RFC 6298 (2.1)); it doubles.
const RTO_INITIAL: Duration = Duration::from_secs(1);

/// Longest wait between two SYNs.
const RTO_MAX: Duration = Duration::from_mins(1);

/// An active open that is not through the handshake.
#[derive(Clone, Debug)]
pub(crate) struct Connecting {
    iss: SeqNumber,
    offer: Offer,
    /// The window that our SYN announces; never scaled (RFC 7323 §2.2).
    window: u16,
    /// The peer's SYN, once it has crossed ours.
    crossed: Option<Crossed>,
    first_sent_at: Instant,
    next_at: Instant,
    /// When it is given up, however often the SYN has been sent.
    gives_up_at: Instant,
    /// [`TcpConfig::connect_timeout`].
    timeout: Duration,
    /// How often the SYN has been sent again because nobody answered.
    retries: u32,
    /// How often the SYN has left, be it as SYN-ACK.
    times_sent: u32,
    /// TCP_SYNCNT: how often it may be.
    retries_max: u32,
    challenges: ChallengeBudget,
    owed: Owed,
    close: Close,
}

/// What the user has said about the end, in SYN-RECEIVED.
#[derive(Clone, Debug)]
pub(crate) enum Close {
    /// Nothing.
    No,
    /// CLOSE of the sending direction.
    Write,
    /// The socket is closed, whose options these were.
    Socket(Arc<SocketOptions>),
}

/// What the peer's SYN said in a simultaneous open: we are in SYN-RECEIVED.
#[derive(Clone, Debug)]
struct Crossed {
    irs: SeqNumber,
    options: TcpOptions,
    window: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    Syn,
    Ack,
}

/// What a segment does to an active open.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The handshake is through. What the segment has behind its SYN is then the connection's to
    /// receive; a SYN-ACK is acknowledged at once.
    Opened(Opened),
    /// The peer refused.
    Refused,
    /// It goes on; something may be owed.
    Stay,
    /// It goes on, and this answer is sent.
    Answer(SegmentPlan),
    /// Nothing happens.
    Drop(DropReason),
}

impl Connecting {
    /// OPEN, active (RFC 9293 §3.10.1): our SYN is owed.
    pub(crate) fn new(
        now: Instant,
        config: &TcpConfig,
        iss: SeqNumber,
        (offer, window): (Offer, u32),
        options: &SocketOptions,
    ) -> Self {
        let mut connecting = Self {
            iss,
            offer,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            crossed: None,
            first_sent_at: now,
            next_at: now + RTO_INITIAL,
            gives_up_at: now + config.connect_timeout,
            timeout: config.connect_timeout,
            retries: 0,
            times_sent: 0,
            retries_max: u32::MAX,
            challenges: ChallengeBudget::default(),
            owed: Owed::Syn,
            close: Close::No,
        };
        connecting.set_options(options);
        connecting
    }

    /// The socket has been told other options: the user decides when to give up (MUST-21, and
    /// MUST-23 for those who do not). TCP_SYNCNT counts SYNs, and so knows of no time.
    pub(crate) fn set_options(&mut self, options: &SocketOptions) {
        self.retries_max = options.syn_count.map_or(u32::MAX, u32::from);
        self.gives_up_at = match (options.user_timeout, options.syn_count) {
            (Some(timeout), _) => self.first_sent_at + timeout,
            (None, None) => self.first_sent_at + self.timeout,
            (None, Some(_)) => self.first_sent_at + Duration::MAX, // Never.
        };
    }

    /// The state by its name in the RFC.
    pub(crate) fn tcp_state(&self) -> TcpState {
        if self.crossed.is_some() { TcpState::SynReceived } else { TcpState::SynSent }
    }

    /// Whether `seq` is that of our SYN: an ICMP error that quotes another is not about it
    /// (RFC 5927 §4.1).
    pub(crate) fn has_sent(&self, seq: SeqNumber) -> bool {
        seq == self.iss
    }

    /// How often the SYN has been sent again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// How long the SYN that left last waits for its answer.
    pub(crate) fn timeout(&self) -> Duration {
        RTO_INITIAL.saturating_mul(1 << self.retries.min(16)).min(RTO_MAX)
    }

    /// The MSS that our SYN announces.
    pub(crate) fn announced_mss(&self) -> u32 {
        self.offer.mss.into()
    }

    /// CLOSE in SYN-RECEIVED (RFC 9293 §3.10.4): the FIN waits until the connection is
    /// established, as in Linux since 6.10, and then follows at once.
    pub(crate) fn close(&mut self, close: Close) {
        self.close = close;
    }

    /// What the user has said about the end.
    pub(crate) fn take_close(&mut self) -> Close {
        std::mem::replace(&mut self.close, Close::No)
    }

    /// When the SYN is due again, or the open is given up.
    pub(crate) fn deadline(&self) -> Instant {
        self.next_at.min(self.gives_up_at)
    }

    /// Time has passed. `false`: nobody answered for long enough (RFC 9293 §3.8.3, MUST-22,
    /// MUST-23).
    pub(crate) fn on_timeout(&mut self, now: Instant) -> bool {
        if self.gives_up_at <= now || (self.next_at <= now && self.retries >= self.retries_max) {
            return false;
        }
        if self.next_at <= now {
            self.retries = self.retries.saturating_add(1);
            self.owed = Owed::Syn;
            self.next_at = now + self.timeout();
        }
        true
    }

    /// SEGMENT ARRIVES.
    pub(crate) fn receive(&mut self, now: Instant, segment: &Segment) -> Verdict {
        match self.crossed.take() {
            None => self.receive_in_syn_sent(now, segment),
            Some(mut crossed) => {
                let verdict = self.receive_in_syn_received(now, segment, &mut crossed);
                self.crossed = Some(crossed);
                verdict
            }
        }
    }

    /// RFC 9293 §3.10.7.3: first ACK, second RST, fourth SYN.
    fn receive_in_syn_sent(&mut self, now: Instant, segment: &Segment) -> Verdict {
        let is_acceptable = segment.ack.map(|ack| ack == self.iss + 1);
        if is_acceptable == Some(false) {
            return match reset_for(segment) {
                Some(reset) => Verdict::Answer(reset),
                None => Verdict::Drop(DropReason::BadHandshakeAck),
            };
        }
        if segment.rst {
            return match is_acceptable {
                Some(_) => Verdict::Refused,
                None => Verdict::Drop(DropReason::StrayReset),
            };
        }
        match (segment.syn, segment.ack) {
            (false, _) => Verdict::Drop(DropReason::NoAck),
            (true, Some(ack)) => {
                // The window of a SYN is not scaled.
                let window = u32::from(segment.window);
                let from = (segment.seq, ack);
                let options = &segment.options;
                Verdict::Opened(self.opened(now, segment.seq, options, window, from))
            }
            (true, None) => {
                // Simultaneous open: both SYNs have crossed; ours goes out again, with an ACK.
                self.crossed = Some(Crossed {
                    irs: segment.seq,
                    options: segment.options.clone(),
                    window: segment.window,
                });
                self.owed = Owed::Syn;
                Verdict::Stay
            }
        }
    }

    /// RFC 9293 §3.10.7.4, for SYN-RECEIVED after an active open.
    fn receive_in_syn_received(
        &mut self,
        now: Instant,
        segment: &Segment,
        crossed: &mut Crossed,
    ) -> Verdict {
        let nxt = crossed.irs + 1;
        let window = SeqRange::at(nxt, u32::from(self.window));
        if segment.rst {
            // The user opened: it is told (MUST-11). Only an RST at RCV.NXT counts (RFC 5961 §3).
            return if segment.seq == nxt {
                Verdict::Refused
            } else if window.contains(segment.seq) {
                self.challenge(now)
            } else if segment.seq.before(nxt) {
                Verdict::Drop(DropReason::BelowWindow)
            } else {
                Verdict::Drop(DropReason::AboveWindow)
            };
        }
        let agreed = Negotiated::agree(self.offer, &crossed.options);
        if let (true, Some(recent), Some(latest)) =
            (agreed.timestamps, &mut crossed.options.timestamps, segment.options.timestamps)
        {
            if timestamps::is_before(latest.value, recent.value) {
                return self.challenge(now); // RFC 7323 §5.3, R1.
            }
            // As in SYN-RECEIVED after a passive open: not from anywhere left of RCV.NXT.
            if segment.seq == nxt || segment.seq == crossed.irs {
                *recent = latest;
            }
        }
        let is_ack_of_syn = segment.ack == Some(self.iss + 1);
        if segment.syn && segment.seq == crossed.irs {
            // Their SYN again, usually as SYN-ACK: with our SYN acknowledged that is all we need.
            if is_ack_of_syn {
                let window = u32::from(crossed.window);
                let from = (crossed.irs, self.iss + 1);
                let options = &crossed.options;
                return Verdict::Opened(self.opened(now, crossed.irs, options, window, from));
            }
            return self.answer(now, Owed::Syn);
        }
        if segment.syn || !segment.lies_in(window) {
            return self.challenge(now);
        }
        match segment.ack {
            None => Verdict::Drop(DropReason::NoAck),
            Some(ack) if is_ack_of_syn => {
                let window = u32::from(segment.window) << agreed.send_shift();
                let options = &crossed.options;
                let from = (segment.seq, ack);
                Verdict::Opened(self.opened(now, crossed.irs, options, window, from))
            }
            Some(_) => match reset_for(segment) {
                Some(reset) => Verdict::Answer(reset),
                None => Verdict::Drop(DropReason::BadHandshakeAck),
            },
        }
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

    /// `options`: those of the peer's SYN.
    fn opened(
        &self,
        now: Instant,
        irs: SeqNumber,
        options: &TcpOptions,
        window: u32,
        window_from: (SeqNumber, SeqNumber),
    ) -> Opened {
        let agreed = Negotiated::agree(self.offer, options);
        Opened {
            iss: self.iss,
            irs,
            agreed,
            window,
            window_from,
            offered: u32::from(self.window),
            timestamps: self.timestamps(now, irs, options),
            // Karn: a SYN that has left again, as SYN-ACK too, does not tell which one is meant.
            rtt: (self.retries == 0 && self.times_sent <= 1).then(|| now - self.first_sent_at),
            was_sent_again: self.retries > 0,
        }
    }

    /// What the timestamps start from, if both SYNs have them.
    fn timestamps(
        &self,
        now: Instant,
        irs: SeqNumber,
        options: &TcpOptions,
    ) -> Option<Timestamping> {
        let (clock, theirs) = self.offer.timestamps.zip(options.timestamps)?;
        Some(Timestamping::new(now, clock, theirs.value, irs + 1))
    }

    /// What is owed.
    pub(crate) fn transmit(&mut self, now: Instant) -> Option<SegmentPlan> {
        let ack = self.crossed.as_ref().map(|crossed| crossed.irs + 1);
        let window = self.window;
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Nothing => None,
            Owed::Ack => {
                // Only the window of a SYN is not scaled.
                let crossed = self.crossed.as_ref()?;
                let window =
                    window >> Negotiated::agree(self.offer, &crossed.options).receive_shift();
                let (reason, seq) = (SendReason::Ack, self.iss + 1);
                let mut plan = SegmentPlan::bare(reason, seq, ack, TcpFlags::NONE, window);
                plan.options.timestamps =
                    self.offer.answer_options(now, &crossed.options).timestamps;
                Some(plan)
            }
            Owed::Syn => {
                self.times_sent = self.times_sent.saturating_add(1);
                let (reason, flags) = (SendReason::Handshake, TcpFlags::SYN);
                let mut plan = SegmentPlan::bare(reason, self.iss, ack, flags, window);
                plan.options = match &self.crossed {
                    None => self.offer.options(now),
                    Some(crossed) => self.offer.answer_options(now, &crossed.options),
                };
                Some(plan)
            }
        }
    }

    /// The RST that tells the peer, if it can know of us at all.
    pub(crate) fn abort(&self, now: Instant) -> Option<SegmentPlan> {
        let crossed = self.crossed.as_ref()?;
        let ack = Some(crossed.irs + 1);
        let mut reset = SegmentPlan::bare(SendReason::Reset, self.iss + 1, ack, TcpFlags::RST, 0);
        reset.options.timestamps = self.offer.answer_options(now, &crossed.options).timestamps;
        Some(reset)
    }
}

#[cfg(test)]
#[path = "tests/connect.rs"]
mod tests;
