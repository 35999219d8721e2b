//! When an acknowledgment is owed, and how long it may wait (RFC 9293 §3.8.6.3).

use super::negotiated::MSS_DEFAULT;
use super::receive::Taken;
use crate::time::{Duration, Instant};

/// Least time between two acknowledgments of segments that we refused: RFC 5961 §7 asks for a
/// limit, Linux has this one (`tcp_invalid_ratelimit`). It is per connection: a common one tells
/// an attacker what other connections do (CVE-2016-5696).
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(500);

/// Whether an acknowledgment is owed, and by when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckScheduler {
    /// Longest delay, nanoseconds: less than 500 ms (MUST-40), which 32 bits hold.
    delay_max: u32,
    /// An acknowledgment is owed at once.
    is_due: bool,
    /// An acknowledgment is owed by then, unless a segment carries it before.
    due_at: Option<Instant>,
    /// How many segments that came early wait for a duplicate acknowledgment each.
    duplicates: u32,
    /// Octets received since the last acknowledgment.
    unacknowledged: u32,
    /// The largest segment seen: what "full-sized" means to this peer.
    largest: u32,
    /// Whether every segment is acknowledged at once (TCP_QUICKACK).
    is_quick: bool,
    /// How many acknowledgments are not held back when the first text comes.
    quick_max: u8,
    /// How many of them are left.
    quick: u8,
    /// How often refused segments may be answered.
    challenges: ChallengeBudget,
}

/// How often a segment that we refused may be answered: one connection's share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChallengeBudget {
    last: Option<Instant>,
}

impl ChallengeBudget {
    /// Whether an answer may leave now; if so it counts as sent.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_allowed = self.last.is_none_or(|last| now - last >= CHALLENGE_INTERVAL);
        if is_allowed {
            self.last = Some(now);
        }
        is_allowed
    }
}

impl AckScheduler {
    /// Nothing is owed yet.
    pub(crate) fn new(delay_max: Duration, quick_max: u8) -> Self {
        Self {
            delay_max: u32::try_from(delay_max.as_nanos()).unwrap_or(u32::MAX),
            quick_max,
            quick: 0,
            is_due: false,
            due_at: None,
            duplicates: 0,
            unacknowledged: 0,
            largest: 0,
            is_quick: false,
            challenges: ChallengeBudget::default(),
        }
    }

    /// TCP_QUICKACK: whether acknowledgments are held back no more; one that is held back leaves.
    pub(crate) fn set_quick(&mut self, is_quick: bool) {
        self.is_quick = is_quick;
        self.is_due |= is_quick && self.due_at.is_some();
    }

    /// The largest segment seen, octets of text.
    pub(crate) fn largest(&self) -> u32 {
        self.largest
    }

    /// Longest time for which an acknowledgment is held back.
    pub(crate) fn delay_max(&self) -> Duration {
        if self.is_quick { Duration::ZERO } else { self.delay() }
    }

    /// The delay, unless TCP_QUICKACK is on.
    fn delay(&self) -> Duration {
        Duration::from_nanos(self.delay_max.into())
    }

    /// An acknowledgment is owed at once.
    pub(crate) fn owe_now(&mut self) {
        self.is_due = true;
    }

    /// A segment was taken, or several of `text_len` octets at most.
    ///
    /// At least every second full-sized segment is acknowledged (SHLD-19), counted across bursts;
    /// but since nothing is sent while a burst is taken in, a burst costs one acknowledgment
    /// however long it is (MUST-58, MUST-59 come before SHLD-19). Segments that come early are the
    /// exception: a peer that does not recover by SACK counts an acknowledgment for each of them
    /// before it sends the missing one again (RFC 5681 §3.2), and would wait for its timeout if a
    /// burst of them had but one. Whether it is such a one SACK-permitted does not say.
    ///
    /// The first acknowledgments of a connection are not held back, as in Linux: the peer is in
    /// slow start and counts them, and nothing tells yet whether anybody will answer.
    pub(crate) fn on_taken(&mut self, now: Instant, taken: Taken, text_len: u32) {
        if self.largest == 0 && text_len > 0 {
            self.quick = self.quick_max;
        }
        self.largest = self.largest.max(text_len);
        self.unacknowledged = self.unacknowledged.saturating_add(taken.octets);
        if taken.octets > 0 {
            // The point that they would have repeated has moved on.
            self.duplicates = 0;
        } else if taken.is_irregular {
            self.duplicates = self.duplicates.saturating_add(1);
        }
        if taken.is_irregular || taken.fin {
            self.is_due = true;
        } else if taken.octets > 0 {
            let is_quick = self.is_quick || self.quick > 0;
            self.is_due |= is_quick || self.has_second_segment();
            self.due_at.get_or_insert(now + self.delay());
        }
    }

    /// Whether a second full-sized segment has arrived or, as Linux sees it, what lies behind a
    /// first. The short end of a burst is acknowledged with it: its sender else takes it for lost
    /// after two round trips and sends it again (RFC 8985 §7.2), long before our delay is over.
    /// Small segments are no sign of an end: an answer may well carry their acknowledgment.
    fn has_second_segment(&self) -> bool {
        self.unacknowledged >= self.largest.saturating_mul(2)
            || self.unacknowledged > self.largest.max(MSS_DEFAULT.into())
    }

    /// A segment was refused whose sender may be confused or may be an attacker: it is answered,
    /// but not too often.
    pub(crate) fn challenge(&mut self, now: Instant) {
        if self.challenges.take(now) {
            self.is_due = true;
        }
    }

    /// New text of ours leaves. If it answers text that `arrived_at` just before, the two ends
    /// take turns: from now on acknowledgments are held back for the answers to carry.
    pub(crate) fn on_text_sent(&mut self, now: Instant, arrived_at: Option<Instant>) {
        if self.quick > 0 && arrived_at.is_some_and(|at| now - at < self.delay()) {
            self.quick = 0;
        }
    }

    /// So many segments with our acknowledgment left.
    pub(crate) fn on_sent(&mut self, segments: u32) {
        self.quick = self.quick.saturating_sub(u8::try_from(segments).unwrap_or(u8::MAX));
        self.duplicates = self.duplicates.saturating_sub(segments);
        self.is_due = self.duplicates > 0;
        self.due_at = None;
        self.unacknowledged = 0;
    }

    /// Whether a bare acknowledgment must leave, unless something else carries it.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// When the delay of an acknowledgment ends.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due_at.filter(|_| !self.is_due)
    }

    /// The delay may have ended.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if self.due_at.is_some_and(|at| at <= now) {
            self.is_due = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(40);

    fn in_order(octets: u32) -> Taken {
        Taken { octets, ..Taken::default() }
    }

    #[test]
    fn shld_18_a_lone_segment_is_acknowledged_after_the_delay_and_not_before() {
        let mut acks = AckScheduler::new(DELAY, 0);
        acks.on_taken(Instant::ZERO, in_order(100), 100);
        assert!(!acks.is_due());
        assert_eq!(acks.deadline(), Some(Instant::ZERO + DELAY));
        acks.on_timeout(Instant::from_nanos(39_999_999));
        assert!(!acks.is_due());
        acks.on_timeout(Instant::from_millis(40));
        assert!(acks.is_due());
    }

    /// It counts from the first segment that waits: else a peer that sends a little all the time
    /// would hear nothing.
    #[test]
    fn must_40_the_delay_is_not_put_off_by_what_comes_meanwhile() {
        let mut acks = AckScheduler::new(DELAY, 0);
        for ms in [0, 30] {
            acks.on_taken(Instant::from_millis(ms), in_order(1), 500);
            assert_eq!(acks.deadline(), Some(Instant::ZERO + DELAY));
        }
    }

    #[test]
    fn shld_19_every_second_full_segment_is_acknowledged_at_once() {
        let mut acks = AckScheduler::new(DELAY, 0);
        for _ in 0..3 {
            acks.on_taken(Instant::ZERO, in_order(536), 536);
            assert!(!acks.is_due());
            acks.on_taken(Instant::ZERO, in_order(536), 536);
            assert!(acks.is_due());
            acks.on_sent(1);
            assert!(!acks.is_due() && acks.deadline().is_none());
        }
    }

    #[test]
    fn what_lies_behind_a_full_segment_is_acknowledged_with_it_and_small_ones_wait() {
        for (segments, is_due) in [
            (&[1448, 1][..], true),
            (&[1448, 1448], true),
            (&[1448], false),
            (&[536, 1], true),
            (&[300, 236], false),
            (&[300, 237], true),
            (&[100, 50], false),
            (&[100, 100], true),
        ] {
            let mut acks = AckScheduler::new(DELAY, 0);
            for &octets in segments {
                assert!(!acks.is_due(), "{segments:?}");
                acks.on_taken(Instant::ZERO, in_order(octets), octets);
            }
            assert_eq!(acks.is_due(), is_due, "{segments:?}");
        }
    }

    #[test]
    fn the_first_acknowledgments_are_not_held_back_until_somebody_answers() {
        let at_once = |answers_at: Option<usize>| {
            let mut acks = AckScheduler::new(DELAY, 16);
            let mut count = 0;
            for n in 0..40 {
                let now = Instant::from_millis(n * 100);
                acks.on_taken(now, in_order(1), 1); // As somebody types.
                count += usize::from(acks.is_due());
                if answers_at == Some(count) {
                    acks.on_text_sent(now + DELAY / 2, Some(now));
                }
                acks.on_sent(1);
                acks.on_text_sent(now + DELAY, Some(now)); // Too late to be an answer.
            }
            count
        };
        for (answers_at, held_back_after) in
            [(None, 16), (Some(1), 1), (Some(5), 5), (Some(15), 15)]
        {
            assert_eq!(at_once(answers_at), held_back_after);
        }
    }

    #[test]
    fn what_is_irregular_is_acknowledged_at_once() {
        for taken in [
            Taken { is_irregular: true, ..Taken::default() },
            Taken { fin: true, ..Taken::default() },
        ] {
            let mut acks = AckScheduler::new(DELAY, 0);
            acks.on_taken(Instant::ZERO, taken, 0);
            assert!(acks.is_due(), "{taken:?}");
        }
    }

    #[test]
    fn each_segment_that_came_early_is_acknowledged_until_the_hole_is_filled() {
        let early = Taken { is_irregular: true, ..Taken::default() };
        let sent_after = |burst: &[Taken]| {
            let mut acks = AckScheduler::new(DELAY, 0);
            for &taken in burst {
                acks.on_taken(Instant::ZERO, taken, 536);
            }
            let mut sent = 0;
            while acks.is_due() {
                acks.on_sent(1);
                sent += 1;
            }
            sent
        };
        assert_eq!(sent_after(&[early; 1]), 1);
        assert_eq!(sent_after(&[early; 5]), 5);
        for octets in [1, 3 * 536] {
            let filled = Taken { octets, is_irregular: true, ..Taken::default() };
            assert_eq!(sent_after(&[early, early, filled]), 1);
        }
    }

    #[test]
    fn refused_segments_are_answered_twice_a_second_at_most() {
        let mut acks = AckScheduler::new(DELAY, 0);
        let mut answers = |ms| {
            acks.challenge(Instant::from_millis(ms));
            let is_answered = acks.is_due();
            acks.on_sent(1);
            is_answered
        };
        let answered = (0..10_000).filter(|&ms| answers(ms)).count();
        assert_eq!(answered, 20);
    }
}
