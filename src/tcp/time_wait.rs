//! TIME-WAIT: a few numbers instead of a connection (RFC 9293 §3.6.1, §3.10.7.4).

use super::ack::ChallengeBudget;
use super::segment::{Segment, SegmentPlan};
use super::seq::SeqNumber;
use crate::observe::{DropReason, SendReason};
use crate::time::{Duration, Instant};
use crate::wire::tcp::TcpFlags;

/// What is left of a connection whose FINs are both through and that closed first: enough to
/// acknowledge a FIN that the peer sends again, and to keep old segments from a new connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeWait {
    /// SND.NXT: past our FIN.
    send_nxt: SeqNumber,
    /// RCV.NXT: past the peer's FIN.
    receive_nxt: SeqNumber,
    /// The window that acknowledgments carry.
    window: u16,
    /// 2 MSL.
    length: Duration,
    expires_at: Instant,
    owes_ack: bool,
    /// How often segments without text and FIN may be answered: else two confused peers would
    /// acknowledge each other's acknowledgments for as long as the wait lasts.
    challenges: ChallengeBudget,
}

/// What a segment does to a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is acknowledged.
    Acknowledge,
    /// Nothing happens.
    Drop(DropReason),
    /// A SYN of a new connection: the record goes, and a listener may take it (MAY-2). Our
    /// initial sequence number must then be past `floor`.
    Reopen {
        /// What the old connection has sent.
        floor: SeqNumber,
    },
}

impl TimeWait {
    /// Begins the wait, with SND.NXT and RCV.NXT. `owes_ack`: it was the peer's FIN that led
    /// here, and it is not acknowledged yet.
    pub(crate) fn new(
        now: Instant,
        length: Duration,
        (send_nxt, receive_nxt): (SeqNumber, SeqNumber),
        window: u16,
        owes_ack: bool,
    ) -> Self {
        let expires_at = now + length;
        let challenges = ChallengeBudget::default();
        Self { send_nxt, receive_nxt, window, length, expires_at, owes_ack, challenges }
    }

    /// When the wait is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.expires_at
    }

    /// SEGMENT ARRIVES in TIME-WAIT.
    ///
    /// An RST is ignored: obeying it would end the wait that protects the next connection
    /// (RFC 1337 §3, fix F1). A SYN past RCV.NXT opens anew, as RFC 9293 §3.10.7.4 permits; all
    /// else is acknowledged if it occupies sequence space, and a FIN restarts the wait.
    pub(crate) fn receive(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if segment.rst {
            return Verdict::Drop(DropReason::StrayReset);
        }
        if segment.syn && segment.ack.is_none() && segment.seq.after(self.receive_nxt) {
            return Verdict::Reopen { floor: self.send_nxt };
        }
        if segment.len() == 0 && segment.seq == self.receive_nxt {
            return Verdict::Drop(DropReason::BelowWindow); // The last ACK, or one like it.
        }
        if segment.fin && (segment.seq + segment.len()) == self.receive_nxt {
            self.expires_at = now + self.length;
        }
        let is_bare = segment.payload.is_empty() && !segment.fin;
        if is_bare && !self.challenges.take(now) {
            return Verdict::Drop(DropReason::RateLimited);
        }
        self.owes_ack = true;
        Verdict::Acknowledge
    }

    /// A SYN found nobody to open for: it is acknowledged like any other segment.
    pub(crate) fn owe_ack(&mut self) {
        self.owes_ack = true;
    }

    /// The acknowledgment that is owed.
    pub(crate) fn transmit(&mut self) -> Option<SegmentPlan> {
        std::mem::take(&mut self.owes_ack).then(|| {
            let (seq, ack) = (self.send_nxt, Some(self.receive_nxt));
            SegmentPlan::bare(SendReason::Ack, seq, ack, TcpFlags::NONE, self.window)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::TcpHeader;
    use crate::wire::tcp_options::TcpOptions;

    const LENGTH: Duration = Duration::from_mins(1);

    fn record() -> TimeWait {
        let mut record =
            TimeWait::new(Instant::ZERO, LENGTH, (SeqNumber(500), SeqNumber(1000)), 8192, true);
        assert!(record.transmit().is_some() && record.transmit().is_none());
        record
    }

    fn segment(flags: TcpFlags, seq: u32) -> Segment {
        let header = TcpHeader {
            source_port: 1,
            destination_port: 2,
            seq,
            ack: 500,
            flags,
            window: 0,
            urgent: 0,
        };
        Segment::new(&header, TcpOptions::default(), bytes::Bytes::new())
    }

    #[test]
    fn must_13_a_fin_that_comes_again_is_acknowledged_and_restarts_the_wait() {
        let mut record = record();
        let later = Instant::from_millis(30_000);
        let fin = segment(TcpFlags::FIN.with(TcpFlags::ACK), 999);
        assert_eq!(record.receive(later, &fin), Verdict::Acknowledge);
        assert_eq!(record.deadline(), later + LENGTH);
        let ack = record.transmit().unwrap();
        assert_eq!((ack.seq, ack.ack), (SeqNumber(500), SeqNumber(1000)));
    }

    #[test]
    fn a_reset_does_not_assassinate_it() {
        let verdict = record().receive(Instant::ZERO, &segment(TcpFlags::RST, 1000));
        assert_eq!(verdict, Verdict::Drop(DropReason::StrayReset));
    }

    #[test]
    fn only_a_syn_past_the_old_connection_opens_a_new_one() {
        for (seq, verdict) in [
            (1001, Verdict::Reopen { floor: SeqNumber(500) }),
            (1000, Verdict::Acknowledge),
            (1, Verdict::Acknowledge),
        ] {
            assert_eq!(record().receive(Instant::ZERO, &segment(TcpFlags::SYN, seq)), verdict);
        }
    }

    #[test]
    fn stray_acknowledgments_are_answered_twice_a_second_and_a_fin_always() {
        let mut record = record();
        let stray = segment(TcpFlags::ACK, 7);
        let fin = segment(TcpFlags::FIN.with(TcpFlags::ACK), 999);
        let mut verdicts =
            |ms, segment| record.receive(Instant::from_millis(ms), segment) == Verdict::Acknowledge;
        assert!(verdicts(0, &stray) && !verdicts(499, &stray) && verdicts(500, &stray));
        assert!(verdicts(501, &fin) && verdicts(501, &fin));
    }

    #[test]
    fn the_last_ack_is_not_answered() {
        let mut record = record();
        let verdict = record.receive(Instant::ZERO, &segment(TcpFlags::ACK, 1000));
        assert!(matches!(verdict, Verdict::Drop(_)));
        assert!(record.transmit().is_none());
    }
}
