//! Answers that no connection sends: RST, ICMP.

use std::collections::VecDeque;

use crate::ip::{Allowances, destination_of};
use crate::observe::DropReason;
use crate::packet::Outgoing;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// Packets that may wait to leave. They leave before others, and the runtime sends more in a turn
/// than it takes in; so many that this would be full, and tell those in it of each other, it never
/// takes in.
const CAPACITY: usize = 1_024;

/// What one answer costs of its destination's allowance: 10,000 a second in the long run.
///
/// Linux sets RSTs no limit. We set one high enough that no scan or restart of an honest host
/// notices it, so that a flood in the name of one makes us send it no flood of our own.
const ANSWER_INTERVAL: Duration = Duration::from_micros(100);

/// Answers that may leave at once after a silence: a peer that has lost a thousand connections and
/// tries them all hears of each.
const ANSWER_BURST: u32 = 1_000;

/// Complete packets that wait to leave, in the order in which they were made; bounded in number
/// and, for each destination, in rate.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
    allowances: Allowances,
}

impl Outbox {
    /// An empty outbox; all allowances are full.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let allowances = Allowances::new(rng, ANSWER_INTERVAL, ANSWER_BURST);
        Self { queue: VecDeque::new(), allowances }
    }

    /// Queues an answer, unless too many wait or have left for its destination lately.
    pub(crate) fn push(&mut self, now: Instant, packet: Outgoing) -> Result<(), DropReason> {
        let destination = destination_of(&packet.head).ok_or(DropReason::Truncated)?;
        if self.queue.len() >= CAPACITY || !self.allowances.take(now, destination) {
            return Err(DropReason::RateLimited);
        }
        self.queue.push_back(packet);
        Ok(())
    }

    /// Queues what has no limit of rate, unless too many packets wait. A SYN-ACK with a cookie: it
    /// is the answer to a question, no longer than that, and a limit of its rate would be what the
    /// flood is after. And an answer to ourselves, which floods nobody.
    pub(crate) fn push_unlimited(&mut self, packet: Outgoing) -> Result<(), DropReason> {
        if self.queue.len() >= CAPACITY {
            return Err(DropReason::RateLimited);
        }
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
    use crate::rng::Seed;

    fn outbox() -> Outbox {
        Outbox::new(&mut Rng::new(&Seed::from_number(1)))
    }

    /// A packet to 10.0.x.y, where x and y are the octets of `to`, that bears a number.
    fn packet(to: u16, number: u32) -> Outgoing {
        let mut packet = Outgoing::default();
        packet.head.extend([0; 16]);
        packet.head.extend([10, 0]);
        packet.head.extend(to.to_be_bytes());
        packet.head.extend(number.to_be_bytes());
        packet
    }

    #[test]
    fn answers_leave_in_the_order_in_which_they_came() {
        let mut outbox = outbox();
        for number in 0..3 {
            assert_eq!(outbox.push(Instant::ZERO, packet(1, number)), Ok(()));
        }
        for number in 0..3 {
            assert_eq!(outbox.pop().unwrap().head[..], packet(1, number).head[..]);
        }
        assert!(outbox.pop().is_none());
    }

    #[test]
    fn a_full_outbox_refuses_and_keeps_what_it_has() {
        let mut outbox = outbox();
        let mut taken = 0;
        for to in 0..2000 {
            taken += usize::from(outbox.push(Instant::ZERO, packet(to, 0)).is_ok());
        }
        assert_eq!((taken, outbox.queue.len()), (CAPACITY, CAPACITY));
        assert_eq!(outbox.pop().unwrap().head[..], packet(0, 0).head[..]);
        assert_eq!(outbox.push(Instant::ZERO, packet(3000, 0)), Ok(()));
    }

    #[test]
    fn what_has_no_limit_of_rate_has_one_of_number() {
        let mut outbox = outbox();
        for number in 0..5_000 {
            assert_eq!(outbox.push_unlimited(packet(1, number)), Ok(()));
            assert!(outbox.pop().is_some());
        }
        let taken = (0..2000).filter(|&number| outbox.push_unlimited(packet(1, number)).is_ok());
        assert_eq!(taken.count(), CAPACITY);
    }

    #[test]
    fn a_burst_of_a_thousand_leaves_for_one_destination_and_then_ten_thousand_a_second() {
        let mut outbox = outbox();
        let mut taken = |now, count: u32| {
            (0..count)
                .map(|number| {
                    let outcome = outbox.push(now, packet(1, number));
                    assert_eq!(outbox.pop().is_some(), outcome.is_ok());
                    u32::from(outcome.is_ok())
                })
                .sum::<u32>()
        };
        assert_eq!(taken(Instant::ZERO, 5000), 1000);
        assert_eq!(taken(Instant::from_micros(99), 10), 0);
        assert_eq!(taken(Instant::from_micros(100), 10), 1);
        let total: u32 = (1..=900).map(|ms| taken(Instant::from_millis(ms), 100)).sum();
        assert_eq!(total, 9_000 - 1);
    }

    #[test]
    fn what_is_no_packet_is_not_taken() {
        assert_eq!(outbox().push(Instant::ZERO, Outgoing::default()), Err(DropReason::Truncated));
    }
}
