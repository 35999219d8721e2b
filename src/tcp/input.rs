//! SEGMENT ARRIVES in a synchronized state (RFC 9293 §3.10.7.4). Nothing is sent here.

use super::congestion::{AckSample, Congestion, CongestionControl as _};
use super::connection::{Connection, End, Outcome, Reader};
use super::info::RecoveryState;
use super::receive::Growth;
use super::recovery::Outstanding;
use super::reset::reset_for;
use super::segment::Segment;
use super::seq::{SeqNumber, SeqRange};
use super::state::Next;
use super::time_wait::TimeWait;
use crate::observe::DropReason;
use crate::time::{Duration, Instant};

impl Connection {
    /// The steps of RFC 9293 §3.10.7.4, in its order, as RFC 5961 has tightened them.
    ///
    /// Each part keeps its reason to send for `transmit` to find once the whole burst has been
    /// received (MUST-58, MUST-59). `may_hold`: whether there is memory for data that comes early.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        segment: &Segment,
        may_hold: bool,
    ) -> Result<Outcome, DropReason> {
        self.on_arrived(now, segment);
        if self.predicts
            && let Some(outcome) = self.receive_predicted(now, segment)
        {
            return Ok(outcome);
        }
        // Second, before first: an RST is judged by its own place in the window, even a shut
        // one (MUST-66), and is never answered when it lies outside.
        if segment.rst {
            return self.on_reset(now, segment);
        }
        // RFC 7323 §5.3, R1: PAWS.
        if self.is_stale(now, segment) {
            self.receive.note_duplicate(segment);
            self.acks.challenge(now);
            return Err(DropReason::StaleTimestamp);
        }
        // First: sequence number.
        if let Err(reason) = self.receive.admit(segment) {
            return self.on_refused(now, segment).ok_or(reason);
        }
        // Third, security, is not done by anybody. Fourth: SYN (RFC 5961 §4).
        if segment.syn {
            self.acks.challenge(now);
            return Err(DropReason::SynInWindow);
        }
        // Fifth: ACK.
        let ack = segment.ack.ok_or(DropReason::NoAck)?;
        if let Err(reason) = self.send.judge_ack(ack) {
            self.acks.challenge(now);
            return Err(reason);
        }
        if let (Some(own), Some(theirs)) = (&mut self.timestamps, segment.options.timestamps) {
            own.on_accepted(now, segment.seq, theirs.value);
        }
        let mut outcome = self.on_ack(now, segment, ack);
        if outcome.end.is_some() {
            return Ok(outcome);
        }
        // Sixth: URG.
        self.on_urgent(segment, &mut outcome);
        // Seventh and eighth: text and FIN.
        self.on_text(now, segment, may_hold, &mut outcome);
        Ok(outcome)
    }

    /// Counts a segment, whatever else becomes of it.
    pub(crate) fn on_arrived(&mut self, now: Instant, segment: &Segment) {
        self.statistics.on_arrived(now, segment.parts(), segment.text_len());
    }

    /// Whether a train of segments may be received as if it were one: each would be taken, and none
    /// would say anything that the others do not.
    pub(crate) fn may_receive_whole(&self, now: Instant, train: &Segment) -> bool {
        self.receive.is_next(train)
            && self.state.may_receive()
            && self.reader == Reader::Socket
            && self.urgent.ahead().is_none()
            && train.ack.is_some_and(|ack| self.send.judge_ack(ack).is_ok())
            && !self.is_stale(now, train)
    }

    /// Whether the text of a segment would be kept by reference.
    pub(crate) fn keeps_whole(&self, segment: &Segment) -> bool {
        segment.is_kept_whole() && segment.seq.at_or_before(self.receive.nxt())
    }

    /// Whether the timestamp of a segment is older than what has been seen.
    pub(super) fn is_stale(&self, now: Instant, segment: &Segment) -> bool {
        let both = self.timestamps.zip(segment.options.timestamps);
        both.is_some_and(|(own, theirs)| own.is_stale(now, theirs.value))
    }

    /// RFC 5961 §3: only an RST at RCV.NXT resets; elsewhere in the window it is challenged, so
    /// that a peer that means it can repeat it at the right place. Text in it changes nothing
    /// (SHLD-2).
    fn on_reset(&mut self, now: Instant, segment: &Segment) -> Result<Outcome, DropReason> {
        if segment.seq == self.receive.nxt() {
            return Ok(Outcome { end: Some(End::Reset), ..Outcome::default() });
        }
        if SeqRange::at(self.receive.nxt(), self.receive.wnd()).contains(segment.seq) {
            self.acks.challenge(now);
            Err(DropReason::ResetNotExact)
        } else if segment.seq.before(self.receive.nxt()) {
            Err(DropReason::BelowWindow)
        } else {
            Err(DropReason::AboveWindow)
        }
    }

    /// A segment outside of the window is answered by an acknowledgment, so that a peer that
    /// lost our last one learns where we stand; one without text, or with a SYN (RFC 5961 §4), not
    /// too often, or two confused peers would answer each other for ever.
    ///
    /// A probe of our window stands one octet left of it, or at the edge of a shut one. Its ACK and
    /// its URG count all the same, or two probing peers wait for each other (MUST-66). So do those
    /// of a peer that has filled our window: until a hole in it is filled all its bare ACKs stand
    /// at the right edge (as Linux; RFC 9293 §3.10.7.4, Table 6, would drop them). And so do those
    /// of text that comes again: where both ends believe that the other has shrunk its window, bare
    /// ACKs stand left of what has arrived, and both would send again for ever (as BSD; Linux only
    /// if it ends at RCV.NXT).
    fn on_refused(&mut self, now: Instant, segment: &Segment) -> Option<Outcome> {
        if segment.syn || (segment.payload.is_empty() && !segment.fin) {
            self.acks.challenge(now);
        } else {
            self.receive.note_duplicate(segment);
            self.acks.owe_now();
        }
        let is_probe = segment.seq + 1 == self.receive.nxt();
        let is_at_shut_window = segment.seq == self.receive.nxt();
        let edge = self.receive.nxt() + self.receive.wnd();
        let is_at_full_window = segment.seq == edge && segment.len() == 0;
        let is_again = self.is_sent_again(segment);
        let may_count = is_probe || is_at_shut_window || is_at_full_window || is_again;
        let ack = segment.ack.filter(|&ack| self.send.judge_ack(ack).is_ok())?;
        if is_again
            && let (Some(own), Some(theirs)) = (&mut self.timestamps, segment.options.timestamps)
        {
            own.on_accepted(now, segment.seq, theirs.value);
        }
        (may_count && !segment.syn).then(|| {
            let mut outcome = self.on_ack(now, segment, ack);
            if outcome.end.is_none() {
                self.on_urgent(segment, &mut outcome);
            }
            outcome
        })
    }

    /// Whether a refused segment is text of the last window once more, as large as that can have
    /// been: it may be shut now. Our acknowledgment of it was lost. The next one must echo this
    /// copy, or the peer would measure from the first one, and its timeout would grow with each
    /// acknowledgment that gets lost. RFC 7323 §5.3, R3, takes no timestamp of such a segment,
    /// Linux only where it ends at RCV.NXT. Who forges one must hit both windows, as he must to
    /// forge text.
    fn is_sent_again(&self, segment: &Segment) -> bool {
        let nxt = self.receive.nxt();
        let largest = self.receive.buffer_max().max(self.receive.wnd());
        let last_window = SeqRange { start: nxt - largest, end: nxt };
        segment.text_len() > 0 && !segment.syn && last_window.contains(segment.seq)
    }

    /// Fifth step: what SEG.ACK covers, what that says about the path, what the path allows.
    fn on_ack(&mut self, now: Instant, segment: &Segment, ack: SeqNumber) -> Outcome {
        let (before, was_shut) = (self.outstanding(), self.send.wnd() == 0);
        let acked = self.send.acknowledge(segment, ack);
        self.send.update_window(segment, ack);
        if acked.is_new() {
            self.path.on_acknowledged(now, self.send.una());
            self.take_mss();
        }
        self.urgent.on_acknowledged(self.send.una());
        let after = self.outstanding();
        let both = self.timestamps.zip(segment.options.timestamps);
        let echoed = both.map(|(own, theirs)| own.age(now, theirs.echo));
        let mut verdict = self.recovery.on_ack(now, acked, echoed, before, after);
        if was_shut && self.send.wnd() > 0 {
            self.recovery.on_window_opened(now, after);
        }
        if verdict.congestion == Some(Congestion::Loss)
            && let Some(probe) = self.path.on_loss(now, after.una)
        {
            verdict.congestion = None; // RFC 4821 §7.6.2: it was too large, and nothing else.
            self.recovery.on_too_large(now, probe, after);
        }
        self.statistics.on_acknowledged(acked.octets, before.mss);
        if let Some(rtt) = verdict.rtt {
            self.statistics.on_rtt(rtt, || self.rtt.srtt());
            self.rtt.sample(rtt);
        }
        if let Some(cause) = verdict.congestion {
            // FlightSize (RFC 5681 §3.1, Eq. 4) without what limited transmit has added to it
            // (§3.2, step 2): before that it filled the congestion window at most.
            let flight = after.len().min(self.congestion.window());
            self.congestion.on_congestion(cause, flight);
        }
        if verdict.has_recovered {
            self.congestion.on_recovered();
        } else if acked.octets > 0 && verdict.may_grow {
            self.congestion.on_ack(AckSample {
                delivered: acked.octets,
                was_window_limited: self.recovery.is_window_limited(before.una),
            });
        }
        // A peer that answers the probes of its shut window is alive. Without a socket nobody
        // would ever end the waiting, so there only octets taken count (RFC 6429).
        // Octets that lie right of an edge which has moved left wait like this too (SHLD-17).
        // A user timeout bounds the waiting too, as on Linux: it is about data that does not get
        // through, whoever is to blame (RFC 5482 §3).
        let answers_probe = self.send.wnd() == 0
            && self.reader == Reader::Socket
            && self.options.user_timeout.is_none();
        self.lifetime.on_heard(now);
        if acked.is_new() || answers_probe {
            self.lifetime.on_progress(now);
        }
        let mut outcome = Outcome {
            writable: acked.octets > 0,
            fast_retransmit: verdict.congestion == Some(Congestion::Loss),
            ..Outcome::default()
        };
        if acked.fin {
            outcome.end = self.move_to(now, self.state.on_fin_acked());
        }
        outcome
    }

    /// Sixth step: URG, while text may still come and somebody is there to be told.
    fn on_urgent(&mut self, segment: &Segment, outcome: &mut Outcome) {
        if !self.state.may_receive() || self.reader == Reader::Gone {
            return;
        }
        let (read, nxt) = (self.receive.next_to_read(), self.receive.nxt());
        let noticed = self.urgent.notice(segment, read, nxt);
        if noticed.passed {
            self.receive.pass_over(1);
        }
        outcome.urgent = noticed.is_news;
    }

    /// Seventh step, text, and eighth, FIN.
    fn on_text(&mut self, now: Instant, segment: &Segment, may_hold: bool, outcome: &mut Outcome) {
        if !self.state.may_receive() {
            return; // Behind a FIN there is nothing (RFC 9293 §3.10.7.4: "should not occur").
        }
        let text_end = segment.seq + segment.text_len();
        let is_late = segment.len() > 0 && text_end.after(self.receive.nxt());
        if self.reader == Reader::Gone && is_late {
            // SHLD-3. It answers this segment, and stands where its sender expects it.
            let reset = reset_for(segment).unwrap_or_else(|| self.abort(now));
            outcome.end = Some(End::Aborted(Box::new(reset)));
            outcome.dropped = Some(DropReason::DataAfterClose);
            return;
        }
        let is_early = segment.seq.after(self.receive.nxt());
        let taken = self.receive.take(segment, may_hold);
        let came_early = is_early && segment.text_len() > 0 && !taken.is_refused;
        self.statistics.on_taken(taken.octets, came_early);
        outcome.dropped = taken.is_refused.then_some(DropReason::MemoryPressure);
        self.acks.on_taken(now, taken, segment.part_len());
        outcome.readable = taken.octets > 0 || taken.fin;
        if taken.fin {
            outcome.end = self.move_to(now, self.state.on_fin());
        }
    }

    /// Makes the move that `State` has decided.
    fn move_to(&mut self, now: Instant, next: Next) -> Option<End> {
        match next {
            Next::Stay(state) => {
                self.state = state;
                None
            }
            Next::TimeWait => Some(End::TimeWait(Box::new(self.to_time_wait(now)))),
            Next::Closed => Some(End::Closed),
        }
    }

    /// The few numbers that TIME-WAIT needs.
    fn to_time_wait(&self, now: Instant) -> TimeWait {
        let (window, _) = self.receive.offer(Growth::Free);
        let (send_nxt, receive_nxt) = (self.send.nxt(), self.receive.nxt());
        // No delay of an acknowledgment outlasts the peer's FIN, which is acknowledged at once.
        let owes_ack = self.acks.is_due();
        TimeWait::new(
            now,
            Duration::from_nanos(self.time_wait),
            (send_nxt, receive_nxt),
            window,
            self.timestamps.map(|timestamps| timestamps.echo()),
            owes_ack,
        )
    }

    /// FlightSize (RFC 5681 §3.1, Eq. 4) before the retransmission timer runs out: all that is not
    /// acknowledged, whatever duplicates have reported of it. Where those have halved the window
    /// already that bounds it: what has left since is none of the first window.
    pub(super) fn flight_at_timeout(&self, out: Outstanding) -> u32 {
        let is_halved = self.recovery.state() == RecoveryState::Recovery;
        let window = self.congestion.window();
        out.len().min(if is_halved { window.saturating_mul(2) } else { window })
    }

    /// The retransmission timer has run out. `was_in_loss`: not for the first time, so that
    /// ssthresh stays as it is (RFC 5681 §3.1).
    pub(super) fn congest_by_timeout(&mut self, flight: u32, was_in_loss: bool) {
        let cause = if was_in_loss { Congestion::RepeatedTimeout } else { Congestion::Timeout };
        self.congestion.on_congestion(cause, flight);
    }
}
