//! Answers that no connection sends: RST, ICMP.

use std::collections::VecDeque;

use crate::observe::DropReason;
use crate::packet::Outgoing;
use crate::time::{Duration, Instant};

/// Packets that may wait to leave. The outbox is emptied after each burst that is received, so
/// that more than this would have come of one burst.
pub(crate) const OUTBOX_CAPACITY: usize = 1_024;

/// What one answer costs of the budget: 10,000 answers a second in the long run.
///
/// Linux sets RSTs no limit. We set one high enough that no scan or restart of an honest network
/// notices it, so that a flood from forged sources makes us send no flood of our own.
const ANSWER_INTERVAL: Duration = Duration::from_micros(100);

/// Answers that may leave at once after a silence: a peer that has lost a thousand connections and
/// tries them all hears of each.
const ANSWER_BURST: u32 = 1_000;

/// Complete packets that wait to leave, in the order in which they were made; bounded in number
/// and, by a token bucket, in rate.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
    capacity: usize,
    /// When the bucket is full again. The nearer, the more answers may leave.
    full_at: Instant,
}

impl Outbox {
    /// An outbox for at most `capacity` packets, with a full budget.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { queue: VecDeque::new(), capacity, full_at: Instant::ZERO }
    }

    /// Queues an answer, unless too many wait or have left lately.
    pub(crate) fn push(&mut self, now: Instant, packet: Outgoing) -> Result<(), DropReason> {
        let missing = self.full_at.saturating_since(now) + ANSWER_INTERVAL;
        if self.queue.len() >= self.capacity || missing > ANSWER_INTERVAL * ANSWER_BURST {
            return Err(DropReason::RateLimited);
        }
        self.full_at = now + missing;
        self.queue.push_back(packet);
        Ok(())
    }

    /// Takes the packet that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<Outgoing> {
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u32) -> Outgoing {
        let mut packet = Outgoing::default();
        packet.head.extend(number.to_be_bytes());
        packet
    }

    /// How many of `count` answers an outbox takes at `now`; all of them leave.
    fn taken(outbox: &mut Outbox, now: Instant, count: u32) -> u32 {
        (0..count)
            .map(|number| {
                let outcome = outbox.push(now, packet(number));
                assert_eq!(outbox.pop().is_some(), outcome.is_ok());
                u32::from(outcome.is_ok())
            })
            .sum()
    }

    #[test]
    fn answers_leave_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::new(8);
        for number in 0..3 {
            assert_eq!(outbox.push(Instant::ZERO, packet(number)), Ok(()));
        }
        for number in 0..3 {
            assert_eq!(outbox.pop().unwrap().head[..], packet(number).head[..]);
        }
        assert!(outbox.pop().is_none());
    }

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let mut outbox = Outbox::new(2);
        let refused = Err(DropReason::RateLimited);
        let outcomes = [0, 1, 2].map(|number| outbox.push(Instant::ZERO, packet(number)));
        assert_eq!(outcomes, [Ok(()), Ok(()), refused]);
        assert_eq!(outbox.pop().unwrap().head[..], packet(0).head[..]);
        assert_eq!(outbox.push(Instant::ZERO, packet(3)), Ok(()));
    }

    #[test]
    fn a_burst_of_a_thousand_leaves_and_then_ten_thousand_a_second() {
        for start in [0, 1_000_000] {
            let mut outbox = Outbox::new(OUTBOX_CAPACITY);
            let mut now = Instant::from_millis(start);
            assert_eq!(taken(&mut outbox, now, 5000), 1000);
            assert_eq!(taken(&mut outbox, now + Duration::from_micros(99), 10), 0);
            assert_eq!(taken(&mut outbox, now + Duration::from_micros(100), 10), 1);
            let mut total = 0;
            for _ in 0..1000 {
                now += Duration::from_millis(1);
                total += taken(&mut outbox, now, 100);
            }
            assert_eq!(total, 10_000 - 1);
        }
    }

    #[test]
    fn a_silence_brings_the_whole_burst_back_and_no_more() {
        let mut outbox = Outbox::new(OUTBOX_CAPACITY);
        taken(&mut outbox, Instant::ZERO, 1000);
        let later = Instant::from_millis(1_000_000);
        assert_eq!(taken(&mut outbox, later, 5000), 1000);
    }
}
