//! Header prediction (RFC 7323 §5.6): the segments of a connection on which all goes well.
//!
//! Nearly all that arrive in a transfer are of three kinds: text that is next in order, an
//! acknowledgment of something new, or both at once, as a request that acknowledges the answer to
//! the one before. Most of what the steps of RFC 9293 §3.10.7.4 ask of them is known beforehand.
//! The rest is done here as `tcp::input` does it, and nothing else: what the connection is
//! afterwards, what it says and what it counts is the same. Tests run both ways side by side
//! (`tests/simulation/prediction.rs`, and the fuzz target `connection`).

use super::congestion::{AckSample, CongestionControl as _};
use super::connection::{Connection, Outcome};
use super::segment::Segment;
use super::seq::SeqNumber;
use super::state::State;
use crate::time::Instant;

impl Connection {
    /// What becomes of a segment that comes as foretold. `None`: it does not, nothing has changed,
    /// and the steps decide.
    pub(super) fn receive_predicted(&mut self, now: Instant, segment: &Segment) -> Option<Outcome> {
        let ack = segment.ack.filter(|&ack| self.is_predicted(now, segment, ack))?;
        if let (Some(own), Some(theirs)) = (&mut self.timestamps, segment.options.timestamps) {
            own.on_accepted(now, segment.seq, theirs.value);
        }
        let is_news = ack != self.send.una();
        if is_news {
            self.on_predicted_ack(now, segment, ack);
        }
        self.send.update_window(segment, ack);
        self.lifetime.on_heard(now);
        let has_text = segment.text_len() > 0;
        if has_text {
            let taken = self.receive.take_next(segment);
            self.statistics.on_taken(taken.octets, false);
            self.acks.on_taken(now, taken, segment.part_len());
        }
        Some(Outcome { readable: has_text, writable: is_news, ..Outcome::default() })
    }

    /// Whether a segment with this SEG.ACK comes as foretold. By the steps of RFC 9293 §3.10.7.4:
    ///
    /// - First: it begins at RCV.NXT, all of it lies in the window, and nothing came early.
    /// - Second to fourth: it has no RST and no SYN, and its timestamp is not old (RFC 7323 §5.3,
    ///   R1).
    /// - Fifth: SND.UNA ≤ SEG.ACK ≤ SND.NXT. What is newly acknowledged ends no recovery and no
    ///   search for the path's MTU; what acknowledges nothing new brings text, and so is no
    ///   duplicate (RFC 5681 §2). There are no SACK blocks. No window is shut, so that it answers
    ///   no probe (§3.8.6.1).
    /// - Sixth: nothing is urgent in either direction.
    /// - Seventh and eighth: no FIN has been sent or has come. So somebody reads: who closes leaves
    ///   ESTABLISHED.
    fn is_predicted(&self, now: Instant, segment: &Segment, ack: SeqNumber) -> bool {
        let una = self.send.una();
        let is_news = ack.after(una) && self.recovery.is_calm() && !self.path.is_searching();
        let is_plain = !(segment.syn || segment.fin || segment.rst)
            && segment.urgent.is_none()
            && segment.options.sack.is_empty();
        is_plain
            && self.state == State::Established
            && self.receive.is_next(segment)
            && (is_news || (ack == una && segment.text_len() > 0))
            && ack.at_or_before(self.send.nxt())
            && (segment.window > 0 && self.send.wnd() > 0)
            && self.urgent.is_quiet()
            && !self.is_stale(now, segment)
    }

    /// SEG.ACK covers something new, and says nothing of loss.
    fn on_predicted_ack(&mut self, now: Instant, segment: &Segment, ack: SeqNumber) {
        let was_window_limited = self.recovery.is_window_limited(self.send.una());
        let octets = self.send.advance(ack, false);
        self.path.on_acknowledged(now, ack);
        let both = self.timestamps.zip(segment.options.timestamps);
        let echoed = || both.map(|(own, theirs)| own.age(now, theirs.echo));
        let rtt = self.recovery.on_calm_ack(now, self.outstanding(), echoed);
        self.statistics.on_acknowledged(octets, self.send.mss());
        if let Some(rtt) = rtt {
            self.statistics.on_rtt(rtt, || self.rtt.srtt());
            self.rtt.sample(rtt);
        }
        self.congestion.on_ack(AckSample { delivered: octets, was_window_limited });
        self.lifetime.on_progress(now);
    }
}

#[cfg(test)]
#[path = "tests/fast_path.rs"]
mod tests;
