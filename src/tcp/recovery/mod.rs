//! What was lost, what is in flight, and what to send again: fast retransmit and NewReno.
//!
//! Without SACK an acknowledgment says only where the first hole is, so what is known to be lost
//! is one range: the first segment after three duplicate acknowledgments or a partial one, all
//! that is outstanding after a timeout. A duplicate acknowledgment tells that one segment has
//! left the network, and is counted out of the flight. That does what RFC 5681 §3.2 does by
//! inflating cwnd, includes limited transmit (RFC 3042), and leaves cwnd to its owner.

pub(crate) mod rto;

use self::rto::Rto;
use super::congestion::Congestion;
use super::info::RecoveryState;
use super::send::Acked;
use super::seq::{SeqNumber, SeqRange};
use crate::time::{Duration, Instant};

/// Duplicate acknowledgments that tell of a loss rather than of reordering (RFC 5681 §3.2).
const DUPLICATES_MIN: u32 = 3;

/// By how much the age of an echo may be too large, since timestamps count whole milliseconds.
const ECHO_GRANULARITY: Duration = Duration::from_millis(1);

/// Where the connection stands in dealing with loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Episode {
    /// Nothing is known to be lost.
    Open,
    /// Since duplicate acknowledgments told of a loss, until `recover` is acknowledged
    /// (RFC 6582 §3.2).
    FastRecovery { recover: SeqNumber, is_first_partial: bool },
    /// All or much of what was outstanding is sent again, until `recover` is acknowledged.
    Loss { recover: SeqNumber, cause: Cause },
    /// Such an episode is over and nothing past `recover` is acknowledged yet: duplicates may come
    /// of what was sent twice (RFC 6582 §3.2, step 2).
    AfterLoss { recover: SeqNumber },
}

/// Why much of what is outstanding is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The retransmission timer ran out.
    Timeout,
    /// It was too large for the path. The network had room for it.
    Size,
}

/// A segment whose round trip is being measured: sent once, all of it (Karn's algorithm).
#[derive(Clone, Copy, Debug)]
struct Timed {
    end: SeqNumber,
    sent_at: Instant,
}

/// The send sequence space as recovery needs to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    /// SND.UNA.
    pub(crate) una: SeqNumber,
    /// SND.NXT.
    pub(crate) nxt: SeqNumber,
    /// Octets of a full segment.
    pub(crate) mss: u32,
}

impl Outstanding {
    /// Octets of it.
    pub(crate) fn len(self) -> u32 {
        SeqRange { start: self.una, end: self.nxt }.len()
    }

    /// The first segment of it.
    fn first(self) -> SeqRange {
        SeqRange::at(self.una, self.mss.min(self.len()))
    }
}

/// What an acknowledgment says about the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Round-trip time, where it could be measured.
    pub(crate) rtt: Option<Duration>,
    /// An episode of loss began.
    pub(crate) congestion: Option<Congestion>,
    /// Whether the congestion window may grow by it: not during fast recovery.
    pub(crate) may_grow: bool,
    /// Whether a fast recovery has come to its end.
    pub(crate) has_recovered: bool,
}

/// Loss detection and the retransmission timer.
///
/// What is in flight has its own memory, which comes with the first segment: most connections have
/// nothing in flight for most of their time.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// `None` in a connection that has been at rest.
    flight: Option<Box<Flight>>,
    /// When something last left.
    last_sent: Option<Instant>,
}

/// What is known of the octets in flight.
#[derive(Debug)]
struct Flight {
    episode: Episode,
    /// Known to be lost and not sent again yet; empty when nothing is.
    lost: SeqRange,
    /// Segments that duplicate acknowledgments have reported as arrived.
    duplicates: u32,
    timed: Option<Timed>,
    /// When a round trip was last measured, or something was sent with nothing in flight: only an
    /// echo of what has been sent since is a measurement.
    echo_since: Instant,
    rto: Rto,
    /// SND.NXT when the congestion window last was what held a burst back: what was sent until
    /// then has tried the window (RFC 7661).
    limited: SeqNumber,
}

/// Nothing is in flight. What its positions are tells nobody anything.
static REST: Flight = Flight::new(SeqNumber(0));

impl Recovery {
    fn flight(&self) -> &Flight {
        self.flight.as_deref().unwrap_or(&REST)
    }

    /// Gives up what is known of the octets in flight, since there are none and nothing is left to
    /// know of those that were.
    pub(crate) fn cool(&mut self) {
        self.flight.take_if(|flight| flight.is_at_rest());
    }

    /// Whether there is something to give up, now or once it is at rest.
    pub(crate) fn is_warm(&self) -> bool {
        self.flight.is_some()
    }

    /// Octets that we believe to be in the network.
    pub(crate) fn in_flight(&self, out: Outstanding) -> u32 {
        let flight = self.flight();
        let arrived = flight.duplicates.saturating_mul(out.mss);
        out.len().saturating_sub(flight.lost.len()).saturating_sub(arrived)
    }

    /// What to send again first.
    pub(crate) fn next_lost(&self) -> Option<SeqRange> {
        let lost = self.flight().lost;
        (!lost.is_empty()).then_some(lost)
    }

    /// Whether nothing is lost or suspected to be.
    pub(crate) fn is_calm(&self) -> bool {
        self.flight().is_calm()
    }

    /// What is being done about losses.
    pub(crate) fn state(&self) -> RecoveryState {
        match self.flight().episode {
            Episode::FastRecovery { .. } => RecoveryState::Recovery,
            Episode::Loss { .. } => RecoveryState::Loss,
            Episode::Open | Episode::AfterLoss { .. } if self.flight().duplicates > 0 => {
                RecoveryState::Disorder
            }
            Episode::Open | Episode::AfterLoss { .. } => RecoveryState::Open,
        }
    }

    /// Octets that count as lost and have not left again.
    pub(crate) fn lost(&self) -> u32 {
        self.flight().lost.len()
    }

    /// Octets that have left again in the episode and are not acknowledged.
    pub(crate) fn retransmitted(&self, out: Outstanding) -> u32 {
        match self.flight().episode {
            Episode::Open | Episode::AfterLoss { .. } => 0,
            Episode::FastRecovery { .. } | Episode::Loss { .. } => {
                SeqRange { start: out.una, end: self.flight().lost.start }.len()
            }
        }
    }

    /// When text or a FIN last left.
    pub(crate) fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// How often the time-out has doubled.
    pub(crate) fn backoffs(&self) -> u32 {
        self.flight().rto.backoffs()
    }

    /// The retransmission timeout with its backoff.
    pub(crate) fn timeout(&self, rto: Duration) -> Duration {
        self.flight().rto.timeout(rto)
    }

    /// Whether what an acknowledgment covers from `una` on was sent while the congestion window
    /// was full, so that the window has been tried.
    pub(crate) fn is_window_limited(&self, una: SeqNumber) -> bool {
        self.flight.as_ref().is_some_and(|flight| una.before(flight.limited))
    }

    /// For how long nothing was in flight, if nothing is and something once was.
    pub(crate) fn idle(&self, now: Instant, out: Outstanding) -> Option<Duration> {
        self.last_sent.filter(|_| out.len() == 0).map(|last| now - last)
    }

    /// A burst came to its end; `by_window`: the congestion window ended it, or is full.
    pub(crate) fn on_burst_end(&mut self, by_window: bool, out: Outstanding) {
        let Some(flight) = &mut self.flight else { return };
        if by_window {
            flight.limited = out.nxt;
        } else if flight.limited.before(out.una) {
            flight.limited = out.una; // So that it stays near, however much is sent unhindered.
        }
    }

    /// `sequence` left for the first time, as segments of which the first has `part` octets.
    pub(crate) fn on_sent(&mut self, now: Instant, sequence: SeqRange, part: u32) {
        self.last_sent = Some(now);
        let fresh = || Box::new(Flight::new(sequence.start));
        self.flight.get_or_insert_with(fresh).on_sent(now, sequence, part);
    }

    /// `sequence`, the left end of what was lost, left again.
    pub(crate) fn on_sent_again(&mut self, now: Instant, sequence: SeqRange) {
        self.last_sent = Some(now);
        if let Some(flight) = &mut self.flight {
            flight.on_sent_again(now, sequence);
        }
    }

    /// An acknowledgment arrived. `echoed` is how long ago the segment left whose timestamp it
    /// brings back; `before` is as things stood before it, `after` as they stand.
    pub(crate) fn on_ack(
        &mut self,
        now: Instant,
        acked: Acked,
        echoed: Option<Duration>,
        before: Outstanding,
        after: Outstanding,
    ) -> Verdict {
        let is_fast = matches!(self.flight().episode, Episode::FastRecovery { .. });
        let mut verdict = Verdict { may_grow: !is_fast, ..Verdict::default() };
        let Some(flight) = &mut self.flight else { return verdict };
        if acked.is_new() {
            verdict.rtt = flight.measure(now, after.una, echoed);
            flight.on_advance(now, acked.sacked, before, after, &mut verdict);
            if acked.sacked > 0 && flight.episode == Episode::Open {
                // RFC 6675 §5: what the blocks report counts, whatever SEG.ACK says. No other
                // acknowledgment may follow: peers make one of a burst, and the path loses some.
                verdict.congestion = flight.on_duplicate(acked, after);
                verdict.may_grow &= verdict.congestion.is_none();
            }
        } else if acked.is_duplicate || acked.sacked > 0 {
            verdict.congestion = flight.on_duplicate(acked, after);
        }
        verdict
    }

    /// What [`on_ack`](Self::on_ack) does with an acknowledgment of something new while
    /// [all is calm](Self::is_calm): the round trip, where it could be measured. `echoed` is asked
    /// for how long ago the segment left whose timestamp it brings back.
    pub(crate) fn on_calm_ack(
        &mut self,
        now: Instant,
        after: Outstanding,
        echoed: impl FnOnce() -> Option<Duration>,
    ) -> Option<Duration> {
        let flight = self.flight.as_mut()?;
        let echoed = if flight.timed.is_none() { echoed() } else { None };
        let rtt = flight.measure(now, after.una, echoed);
        flight.lost = SeqRange::at(SeqNumber::max_of(flight.lost.end, after.una), 0);
        flight.rto.on_acked(now, after.len() > 0);
        rtt
    }

    /// When the retransmission timer runs out.
    pub(crate) fn deadline(&self, rto: Duration) -> Option<Instant> {
        self.flight.as_ref()?.rto.deadline(rto)
    }

    /// The retransmission timer may have run out: then all that is outstanding counts as lost
    /// (RFC 6298 (5.4), RFC 5681 §3.1). Says whether it has.
    pub(crate) fn on_timeout(&mut self, now: Instant, rto: Duration, out: Outstanding) -> bool {
        self.flight.as_mut().is_some_and(|flight| flight.on_timeout(now, rto, out))
    }

    /// The segments in `range` of what is outstanding are too large for the path: they are sent
    /// again, and the timer waits for that as for a first time. It is no sign of congestion
    /// (RFC 1191 §6.4; Linux, `tcp_simple_retransmit`).
    pub(crate) fn on_too_large(&mut self, now: Instant, range: SeqRange, out: Outstanding) {
        if let Some(flight) = &mut self.flight {
            flight.on_too_large(now, range, out);
        }
    }

    /// The peer's window was shut, left of what is outstanding, and is open again: what the timer
    /// has sent again meanwhile was dropped there, so that it leaves at once as it would after a
    /// probe. The timer alone, which has backed off, could take two minutes more.
    pub(crate) fn on_window_opened(&mut self, now: Instant, out: Outstanding) {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.is_in_loss()) {
            flight.lose_all(out);
            flight.rto.on_acked(now, out.len() > 0);
        }
    }

    /// Whether the timer has run out before and what was lost then is still being sent again:
    /// a further timeout is no new sign of congestion for ssthresh (RFC 5681 §3.1, Eq. 4).
    pub(crate) fn is_in_loss(&self) -> bool {
        self.flight().is_in_loss()
    }

    /// Invariants between the variables (called by `check`).
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn check(&self, out: Outstanding) {
        self.flight().check(out);
    }
}

impl Flight {
    /// Nothing has been sent; SND.UNA and SND.NXT are `start`.
    const fn new(start: SeqNumber) -> Self {
        Self {
            episode: Episode::Open,
            lost: SeqRange { start, end: start },
            duplicates: 0,
            timed: None,
            echo_since: Instant::ZERO,
            rto: Rto::new(),
            limited: start,
        }
    }

    /// Whether nothing is lost or suspected to be.
    fn is_calm(&self) -> bool {
        self.episode == Episode::Open && self.duplicates == 0 && self.lost.is_empty()
    }

    /// Whether nothing is in flight, and what was has left nothing to be remembered: the next
    /// segment finds all as the first one did.
    fn is_at_rest(&self) -> bool {
        self.is_calm() && !self.rto.is_running() && self.rto.backoffs() == 0
    }

    fn on_sent(&mut self, now: Instant, sequence: SeqRange, part: u32) {
        if !self.rto.is_running() {
            self.echo_since = now;
        }
        self.rto.on_sent(now);
        // The first of several tells what the path takes for one.
        let end = sequence.start + part.min(sequence.len());
        self.timed.get_or_insert(Timed { end, sent_at: now });
    }

    fn on_sent_again(&mut self, now: Instant, sequence: SeqRange) {
        debug_assert_eq!(sequence.start, self.lost.start);
        self.lost.start = sequence.end;
        self.rto.on_sent(now);
        if matches!(self.episode, Episode::FastRecovery { is_first_partial: true, .. }) {
            // As Linux. Once an episode: later holes are left to the timer.
            self.rto.restart(now);
        }
        // Karn: an acknowledgment could be for either of the two (RFC 6298 §3).
        self.timed = None;
    }

    /// The round-trip time, if the segment under measurement is covered, or if none is under
    /// measurement because something was sent again and the echo tells which copy arrived.
    ///
    /// RFC 7323 §4.2 warns that a sample with each ACK would let RTTVAR forget too fast. Here there
    /// is one a round trip, as without timestamps, and by our own clock where it can be, which is
    /// finer. An echo older than [`Flight::echo_since`] is none of anything in flight: a peer
    /// that repeats an old value or invents one spoils no estimate.
    fn measure(
        &mut self,
        now: Instant,
        una: SeqNumber,
        echoed: Option<Duration>,
    ) -> Option<Duration> {
        let rtt = match self.timed {
            Some(timed) if timed.end.at_or_before(una) => now - timed.sent_at,
            Some(_) => return None,
            None => echoed.filter(|&age| age <= (now - self.echo_since) + ECHO_GRANULARITY)?,
        };
        self.timed = None;
        self.echo_since = now;
        self.rto.on_measured();
        Some(rtt)
    }

    /// SND.UNA moved.
    fn on_advance(
        &mut self,
        now: Instant,
        sacked: u32,
        before: Outstanding,
        after: Outstanding,
        verdict: &mut Verdict,
    ) {
        self.lost.start = SeqNumber::max_of(self.lost.start, after.una);
        self.lost.end = SeqNumber::max_of(self.lost.end, self.lost.start);
        let mut restarts_timer = true;
        match self.episode {
            Episode::Open | Episode::AfterLoss { .. } => {
                self.duplicates = 0;
                self.episode = Episode::Open;
            }
            Episode::FastRecovery { recover, .. } if after.una.at_or_after(recover) => {
                self.duplicates = 0;
                self.episode = Episode::Open;
                verdict.has_recovered = true;
            }
            Episode::FastRecovery { recover, is_first_partial } => {
                // A partial acknowledgment: the next hole begins where it ends (RFC 6582 §3.2,
                // step 3). Of the segments that it covers one was the retransmission, the others
                // had been counted out of the flight by duplicates.
                let covered = SeqRange { start: before.una, end: after.una }.len() / after.mss;
                let left = self.duplicates.saturating_sub(covered.saturating_sub(1));
                self.count(left, sacked, after);
                self.lost = after.first();
                self.episode = Episode::FastRecovery { recover, is_first_partial: false };
                // Only the first one restarts the timer (RFC 6582 §3.2, step 3; the "impatient"
                // variant of RFC 3782 §4): a window with many holes is left to the timer, instead
                // of one round trip for each of them.
                restarts_timer = is_first_partial;
            }
            Episode::Loss { recover, .. } => {
                self.duplicates = 0;
                if after.una.after(recover) {
                    self.episode = Episode::Open;
                } else if after.una == recover {
                    self.episode = Episode::AfterLoss { recover };
                }
            }
        }
        let is_outstanding = after.len() > 0;
        if restarts_timer || !is_outstanding {
            self.rto.on_acked(now, is_outstanding);
        }
    }

    /// A duplicate acknowledgment arrived; three of them tell of a loss.
    fn on_duplicate(&mut self, acked: Acked, out: Outstanding) -> Option<Congestion> {
        let known = self.duplicates.saturating_add(acked.is_duplicate.into());
        match self.episode {
            // The peer got again what it had: we have sent everything again anyway, and
            // RFC 6582 §3.2, step 2, forbids to take that for a new loss.
            Episode::Loss { .. } | Episode::AfterLoss { .. } => None,
            Episode::FastRecovery { .. } => {
                self.count(known, acked.sacked, out);
                None
            }
            Episode::Open => {
                self.count(known, acked.sacked, out);
                if self.duplicates < DUPLICATES_MIN {
                    return None;
                }
                self.episode = Episode::FastRecovery { recover: out.nxt, is_first_partial: true };
                self.lost = out.first();
                Some(Congestion::Loss)
            }
        }
    }

    /// So many duplicates are known, and SACK blocks report so many octets: of the two the more.
    /// A peer with SACK may answer a burst by one acknowledgment (Linux compresses them), whose
    /// blocks alone tell how much has arrived, as in RFC 6675 §4, `IsLost`.
    ///
    /// More than there are segments behind the hole come from duplication in the network or from
    /// a peer that makes them up, so that we send faster (RFC 5681 §3.2, step 4).
    fn count(&mut self, known: u32, sacked: u32, out: Outstanding) {
        let behind_the_hole = out.len().saturating_sub(out.mss).div_ceil(out.mss);
        let most = behind_the_hole.max(DUPLICATES_MIN);
        self.duplicates = known.max(sacked / out.mss).min(most);
    }

    fn on_timeout(&mut self, now: Instant, rto: Duration, out: Outstanding) -> bool {
        let has_fired = self.rto.on_timeout(now, rto);
        if has_fired {
            self.lose_all(out);
        }
        has_fired
    }

    /// All that is outstanding counts as lost.
    fn lose_all(&mut self, out: Outstanding) {
        self.episode = Episode::Loss { recover: out.nxt, cause: Cause::Timeout };
        self.lost = SeqRange { start: out.una, end: out.nxt };
        self.duplicates = 0;
        self.timed = None;
    }

    fn on_too_large(&mut self, now: Instant, range: SeqRange, out: Outstanding) {
        let start = SeqNumber::max_of(range.start, out.una);
        self.lost = match (self.lost.is_empty(), self.lost.start.before(start)) {
            (true, _) => SeqRange { start, end: range.end },
            (false, true) => {
                SeqRange { end: SeqNumber::max_of(self.lost.end, range.end), ..self.lost }
            }
            (false, false) => SeqRange { start, end: SeqNumber::max_of(self.lost.end, range.end) },
        };
        let cause = if self.is_in_loss() { Cause::Timeout } else { Cause::Size };
        self.episode = Episode::Loss { recover: out.nxt, cause };
        self.timed = None;
        self.rto.on_acked(now, out.len() > 0);
    }

    fn is_in_loss(&self) -> bool {
        matches!(self.episode, Episode::Loss { cause: Cause::Timeout, .. })
    }

    #[cfg(any(test, feature = "sim"))]
    fn check(&self, out: Outstanding) {
        assert!(self.lost.end.at_or_after(self.lost.start), "the lost range is reversed");
        if !self.lost.is_empty() {
            assert!(self.lost.start.at_or_after(out.una), "what is acknowledged counts as lost");
            assert!(self.lost.end.at_or_before(out.nxt), "what was never sent counts as lost");
        }
        assert_eq!(
            self.rto.deadline(Duration::ZERO).is_some(),
            out.len() > 0,
            "the retransmission timer runs if and only if something is outstanding"
        );
    }
}

#[cfg(test)]
#[path = "../tests/recovery.rs"]
mod tests;
