//! TIME-WAIT: a few numbers instead of a connection (RFC 9293 §3.6.1, §3.10.7.4).

use super::ack::ChallengeBudget;
use super::segment::{Segment, SegmentPlan};
use super::seq::SeqNumber;
use super::timestamps::{Echo, is_before};
use crate::observe::{DropReason, SendReason};
use crate::time::{Duration, Instant, nanos};
use crate::wire::tcp::TcpFlags;
use crate::wire::tcp_options::TcpOptions;

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
    /// TS.Recent and our own clock, where timestamps are agreed.
    timestamps: Option<Echo>,
    /// 2 MSL, nanoseconds: a `Duration` takes twice the room.
    length: u64,
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
    /// It is the peer's FIN again: it is acknowledged, and the wait begins anew.
    Restart,
    /// Nothing happens.
    Drop(DropReason),
    /// A SYN of a new connection: a listener may take it (MAY-2), and then the record goes. Our
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
        timestamps: Option<Echo>,
        owes_ack: bool,
    ) -> Self {
        let expires_at = now + length;
        let length = nanos(length);
        let challenges = ChallengeBudget::default();
        Self { send_nxt, receive_nxt, window, timestamps, length, expires_at, owes_ack, challenges }
    }

    /// When the wait is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.expires_at
    }

    /// SEGMENT ARRIVES in TIME-WAIT.
    ///
    /// An RST is ignored: obeying it would end the wait that protects the next connection
    /// (RFC 1337 §3, fix F1). A SYN that cannot be an old one opens anew, as RFC 9293 §3.10.7.4
    /// permits; all else is acknowledged if it occupies sequence space, and a FIN restarts the
    /// wait.
    pub(crate) fn receive(&mut self, now: Instant, segment: &Segment) -> Verdict {
        if segment.rst {
            return Verdict::Drop(DropReason::StrayReset);
        }
        if segment.syn && segment.ack.is_none() && self.is_new_incarnation(segment) {
            return Verdict::Reopen { floor: self.send_nxt };
        }
        let is_stale = self.take_timestamp(segment);
        if segment.len() == 0 && segment.seq == self.receive_nxt {
            return Verdict::Drop(DropReason::BelowWindow); // The last ACK, or one like it.
        }
        if self.is_fin_again(segment) && !is_stale {
            self.expires_at = now + Duration::from_nanos(self.length);
            self.owes_ack = true;
            return Verdict::Restart;
        }
        let is_bare = segment.payload.is_empty() && !segment.fin;
        if (is_bare || segment.syn || is_stale) && !self.challenges.take(now) {
            return Verdict::Drop(DropReason::RateLimited);
        }
        self.owes_ack = true;
        Verdict::Acknowledge
    }

    /// Whether a SYN can only be of a new connection: by its timestamp if both have one, else, and
    /// if that is the same, by its sequence number (RFC 6191 §2; RFC 9293 §3.6.1, SHLD-4).
    ///
    /// RFC 6191 would also take any SYN with a timestamp after a connection without, and drops an
    /// old one in silence. Here as in Linux the first goes by its sequence number, for old segments
    /// of such a connection are not told apart by PAWS; and the second is acknowledged, so that a
    /// peer that means it can reset the old connection.
    fn is_new_incarnation(&self, syn: &Segment) -> bool {
        let is_past = syn.seq.after(self.receive_nxt);
        match self.timestamps.zip(syn.options.timestamps) {
            Some((own, theirs)) if theirs.value != own.recent() => {
                is_before(own.recent(), theirs.value)
            }
            Some(_) | None => is_past,
        }
    }

    /// Whether it is the peer's FIN once more, and not something like it.
    fn is_fin_again(&self, segment: &Segment) -> bool {
        segment.fin && !segment.syn && (segment.seq + segment.len()) == self.receive_nxt
    }

    /// Takes a newer TSval over, and says whether it was an older one.
    ///
    /// Only a segment in its place counts, which is either RCV.NXT or that of the FIN that comes
    /// again: with any place left of RCV.NXT (RFC 7323 §4.3) half of all guesses of a blind
    /// attacker would do to make the segments and SYNs of the peer look old.
    fn take_timestamp(&mut self, segment: &Segment) -> bool {
        let is_fin_again = self.is_fin_again(segment);
        let Some((own, theirs)) = self.timestamps.as_mut().zip(segment.options.timestamps) else {
            return false;
        };
        let is_stale = is_before(theirs.value, own.recent());
        let is_in_place = segment.seq == self.receive_nxt && !segment.syn;
        if !is_stale && (is_in_place || is_fin_again) {
            own.set_recent(theirs.value);
        }
        is_stale
    }

    /// A SYN found nobody to open for: whether it is acknowledged, as other refused segments are.
    pub(crate) fn refuse(&mut self, now: Instant) -> bool {
        let may_answer = self.challenges.take(now);
        self.owes_ack |= may_answer;
        may_answer
    }

    /// The acknowledgment that is owed.
    pub(crate) fn transmit(&mut self, now: Instant) -> Option<SegmentPlan> {
        std::mem::take(&mut self.owes_ack).then(|| {
            let (seq, ack) = (self.send_nxt, Some(self.receive_nxt));
            let bare = SegmentPlan::bare(SendReason::Ack, seq, ack, TcpFlags::NONE, self.window);
            let timestamps = self.timestamps.map(|echo| echo.option(now));
            SegmentPlan { options: TcpOptions { timestamps, ..TcpOptions::default() }, ..bare }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::timestamps::{TimestampClock, Timestamping};
    use crate::wire::tcp::TcpHeader;
    use crate::wire::tcp_options::Timestamps;

    const LENGTH: Duration = Duration::from_mins(1);

    fn record_with(timestamps: Option<Echo>) -> TimeWait {
        let positions = (SeqNumber(500), SeqNumber(1000));
        let mut record = TimeWait::new(Instant::ZERO, LENGTH, positions, 8192, timestamps, true);
        let mut transmit = || record.transmit(Instant::ZERO);
        assert!(transmit().is_some() && transmit().is_none());
        record
    }

    fn record() -> TimeWait {
        record_with(None)
    }

    /// A record of a connection with timestamps, whose peer was last heard of at `recent`.
    fn record_at(recent: u32) -> TimeWait {
        let clock = TimestampClock::new(70);
        let last = Timestamping::new(Instant::ZERO, clock, recent, SeqNumber(1000));
        record_with(Some(last.echo()))
    }

    fn timed(segment: Segment, value: u32) -> Segment {
        let timestamps = Some(Timestamps { value, echo: 0 });
        Segment { options: TcpOptions { timestamps, ..TcpOptions::default() }, ..segment }
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
        assert_eq!(record.receive(later, &fin), Verdict::Restart);
        assert_eq!(record.deadline(), later + LENGTH);
        let ack = record.transmit(later).unwrap();
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
    fn shld_4_a_syn_with_a_newer_timestamp_opens_a_new_one_whatever_its_sequence_number() {
        for recent in [0, 9, u32::MAX] {
            for (seq, step, opens) in [
                (1, 1, true),
                (1000, (1 << 31) - 1, true),
                (1001, 1, true),
                (1000, 0, false),
                (1001, 0, true),
                (1, u32::MAX, false), // One before.
                (1001, u32::MAX, false),
            ] {
                let syn = timed(segment(TcpFlags::SYN, seq), recent.wrapping_add(step));
                let verdict = record_at(recent).receive(Instant::ZERO, &syn);
                let has_opened = matches!(verdict, Verdict::Reopen { .. });
                assert_eq!(has_opened, opens, "{recent} {seq} {step}");
                assert!(opens || verdict == Verdict::Acknowledge, "{recent} {seq} {step}");
            }
        }
    }

    #[test]
    fn where_one_of_the_two_has_no_timestamp_the_sequence_number_decides() {
        let syn = |seq| segment(TcpFlags::SYN, seq);
        for (mut record, syn, opens) in [
            (record_at(9), syn(1001), true),
            (record_at(9), syn(1000), false),
            (record(), timed(syn(1001), 9), true),
            (record(), timed(syn(1000), 9), false),
        ] {
            let verdict = record.receive(Instant::ZERO, &syn);
            assert_eq!(matches!(verdict, Verdict::Reopen { .. }), opens, "{syn:?}");
        }
    }

    #[test]
    fn the_acknowledgment_echoes_the_newest_timestamp_and_an_old_fin_restarts_nothing() {
        let mut record = record_at(9);
        let fin = segment(TcpFlags::FIN.with(TcpFlags::ACK), 999);
        let later = Instant::from_millis(1000);
        assert_eq!(record.receive(later, &timed(fin.clone(), 8)), Verdict::Acknowledge);
        assert_eq!(record.deadline(), Instant::ZERO + LENGTH);
        let echo = |record: &mut TimeWait| record.transmit(later).unwrap().options.timestamps;
        assert_eq!(echo(&mut record), Some(Timestamps { value: 1070, echo: 9 }));
        assert_eq!(record.receive(later, &timed(fin, 10)), Verdict::Restart);
        assert_eq!(record.deadline(), later + LENGTH);
        assert_eq!(echo(&mut record), Some(Timestamps { value: 1070, echo: 10 }));
    }

    #[test]
    fn stray_acknowledgments_are_answered_twice_a_second_and_a_fin_always() {
        let mut record = record();
        let stray = segment(TcpFlags::ACK, 7);
        let fin = segment(TcpFlags::FIN.with(TcpFlags::ACK), 999);
        let mut verdict = |ms, segment| record.receive(Instant::from_millis(ms), segment);
        assert_eq!(verdict(0, &stray), Verdict::Acknowledge);
        assert_eq!(verdict(499, &stray), Verdict::Drop(DropReason::RateLimited));
        assert_eq!(verdict(500, &stray), Verdict::Acknowledge);
        assert_eq!([(); 2].map(|()| verdict(501, &fin)), [Verdict::Restart; 2]);
    }

    /// Who sends text believes that the connection is open, and must hear each time where it is.
    #[test]
    fn text_is_always_answered_and_what_cannot_be_meant_for_this_connection_twice_a_second() {
        let with_text = |flags, seq| Segment {
            payload: bytes::Bytes::from_static(b"abc"),
            text_len: 3,
            ..segment(flags, seq)
        };
        let (fin, syn, ack) = (TcpFlags::FIN, TcpFlags::SYN, TcpFlags::ACK);
        for (segment, is_limited) in [
            (with_text(ack, 900), false),
            (with_text(ack, 1000), false),
            (with_text(fin.with(ack), 900), false),
            (segment(fin.with(ack), 900), false),
            (with_text(syn.with(ack), 900), true),
            (segment(syn.with(ack), 2000), true), // No new connection begins so.
            (segment(syn.with(fin).with(ack), 998), true), // That was not how it ended.
            (timed(with_text(ack, 900), 8), true),
            (timed(segment(fin.with(ack), 999), 8), true),
        ] {
            let mut record = record_at(9);
            assert_eq!(record.receive(Instant::ZERO, &segment), Verdict::Acknowledge);
            let again = record.receive(Instant::ZERO, &segment);
            let limited = Verdict::Drop(DropReason::RateLimited);
            let expected = if is_limited { limited } else { Verdict::Acknowledge };
            assert_eq!(again, expected, "{segment:?}");
        }
    }

    #[test]
    fn the_last_ack_is_not_answered() {
        let mut record = record();
        let verdict = record.receive(Instant::ZERO, &segment(TcpFlags::ACK, 1000));
        assert!(matches!(verdict, Verdict::Drop(_)));
        assert!(record.transmit(Instant::ZERO).is_none());
    }
}
