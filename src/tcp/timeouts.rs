//! Time passes (RFC 9293 §3.10.8): what each part waits for, and what its end does to a connection.

use super::connection::{Connection, End, Outcome};
use super::lifetime::Expired;
use super::new_text::Blocked;
use super::persist::Stuck;
use super::state::State;
use crate::time::{Instant, earliest};

impl Connection {
    /// When [`Connection::on_timeout`] next has something to do.
    ///
    /// Derived and never stored: a part that waits for nothing has no deadline, so no timer can
    /// outlive its reason.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let rto = self.rtt.rto();
        let lifetime = self.lifetime.deadline(&self.options, self.is_busy());
        let of_sending = earliest(self.recovery.deadline(rto), self.persist.deadline(rto));
        earliest(earliest(self.acks.deadline(), of_sending), lifetime)
    }

    /// Time has passed: each part whose deadline is over changes its own state. Nothing is sent;
    /// `transmit` finds the reasons.
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Outcome {
        let mut outcome = Outcome::default();
        let is_busy = self.is_busy();
        if let Some(expired) = self.lifetime.on_timeout(now, &self.options, is_busy) {
            outcome.end = Some(self.expire(now, expired));
            return outcome;
        }
        self.acks.on_timeout(now);
        self.persist.on_timeout(now, self.rtt.rto());
        let (out, was_in_loss) = (self.outstanding(), self.recovery.is_in_loss());
        let flight = self.flight_at_timeout(out);
        if self.recovery.on_timeout(now, self.rtt.rto(), out) {
            outcome.timed_out = true;
            outcome.is_silent = self.lifetime.on_retransmission();
            if self.send.wnd() > 0 {
                // Behind a shut window nothing gets through, whatever its size.
                self.path.on_timeout(now, self.send.una());
                self.take_mss();
            }
            self.congest_by_timeout(flight, was_in_loss);
        }
        outcome
    }

    /// Brings those parts up to date that depend on what others hold, once all input is taken in
    /// and all output is out.
    pub(super) fn settle(&mut self, now: Instant) {
        let stuck = self.stuck();
        self.persist.update(now, stuck);
        let waits_for_peer = stuck.is_some_and(|why| why != Stuck::Corked);
        let is_waiting = waits_for_peer || self.send.outstanding() > 0;
        let is_abandoned = self.is_orphan() && self.state == State::FinWait2;
        self.lifetime.update(now, is_waiting, is_abandoned);
    }

    /// How a connection ends whose time is up.
    fn expire(&self, now: Instant, expired: Expired) -> End {
        let reset = || Box::new(self.abort(now));
        match expired {
            Expired::NoAnswer => End::TimedOut(None),
            Expired::NoSignOfLife => End::TimedOut(Some(reset())),
            Expired::FinWait2 if self.options.linger2.is_zero() => End::Aborted(reset()),
            Expired::FinWait2 => End::Closed,
        }
    }

    /// What waits for window, while nothing is in flight whose timer would run; or for the
    /// application, whatever is in flight.
    fn stuck(&self) -> Option<Stuck> {
        if !self.send.has_new() {
            return None;
        }
        match self.send.next_new(self.congestion_room(), false) {
            Err(Blocked::Cork) => Some(Stuck::Corked),
            Err(Blocked::Window) if self.send.outstanding() > 0 => None,
            Err(Blocked::Window) if self.send.usable_window() == 0 => Some(Stuck::ShutWindow),
            Err(Blocked::Window) => Some(Stuck::SmallWindow),
            Err(Blocked::Nothing | Blocked::Congestion | Blocked::Nagle) | Ok(_) => None,
        }
    }
}
