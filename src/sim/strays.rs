//! A corner of the network in which copies of segments are kept, and come out when nobody expects
//! them any more: of this connection, or of one before it between the same ports.
//!
//! A copy is what a network may deliver within the lifetime of a segment (RFC 9293 §3.4.2), and
//! must never be taken for what is new.

use std::collections::BTreeMap;

use super::craft::{Packet, TcpFlags};
use super::random::Random;
use crate::time::{Duration, Instant};

/// Copies that wait at a time.
const WAITING_MAX: usize = 2000;

/// Keeps copies of what one host sends; give the other host one too for both directions.
#[derive(Clone, Debug)]
pub struct Strays {
    random: Random,
    /// Until when copies are made.
    until: Instant,
    /// How likely of a segment; of one that begins or ends a connection more.
    chance: f64,
    /// How long one waits at most.
    delay_max: Duration,
    waiting: BTreeMap<(Instant, u64), Vec<u8>>,
    /// How many copies have been made.
    pub made: u64,
}

impl Strays {
    /// Copies are made until `until`, and come within `delay_max`: most of them soon.
    pub fn new(mut random: Random, until: Instant, delay_max: Duration) -> Self {
        let chance = [0.02, 0.1, 0.3][random.index(3)];
        Self { random, until, chance, delay_max, waiting: BTreeMap::new(), made: 0 }
    }

    /// So likely a segment is copied.
    #[must_use]
    pub fn copying(self, chance: f64) -> Self {
        Self { chance, ..self }
    }

    /// From now on no copies are made.
    pub fn end(&mut self) {
        self.until = Instant::ZERO;
    }

    /// A packet passes.
    pub(super) fn on_passed(&mut self, now: Instant, octets: &[u8]) {
        if now >= self.until {
            return;
        }
        let Ok(packet) = Packet::decode(octets) else { return };
        let Some(segment) = packet.segment() else { return };
        // What begins or ends a connection can do most harm to another.
        let begins_or_ends = TcpFlags::SYN.with(TcpFlags::RST).with(TcpFlags::FIN).bits();
        let is_edge = segment.flags.bits() & begins_or_ends != 0;
        let copies = if is_edge { 1 + self.random.below(3) } else { 1 };
        for _ in 0..copies {
            let is_copied = self.random.chance(if is_edge { 0.5 } else { self.chance });
            if !is_copied || self.waiting.len() >= WAITING_MAX {
                continue;
            }
            // From a microsecond on; as many between 1 and 2 ms as between 1 and 2 minutes.
            let scale = u64::from(nanos(self.delay_max).ilog2()).max(10);
            let least = 1 << (10 + self.random.below(scale - 9));
            let delay = Duration::from_nanos(least + self.random.below(least));
            let at = now + delay.min(self.delay_max);
            self.waiting.insert((at, self.made), octets.to_vec());
            self.made += 1;
        }
    }

    /// When the next copy comes out.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A copy that comes out now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_event().filter(|&at| at <= now)?;
        self.waiting.pop_first().map(|(_, octets)| octets)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: TcpFlags) -> Vec<u8> {
        let [from, to] = ["10.7.0.1:5000", "10.7.0.2:80"].map(|addr| addr.parse().unwrap());
        Packet::tcp(from, to, flags).encode()
    }

    #[test]
    fn copies_come_late_as_they_were_and_none_is_made_of_what_passes_later() {
        let (until, max) = (Instant::from_millis(1000), Duration::from_mins(1));
        let mut strays = Strays::new(Random::new(3), until, max);
        for ms in 0..1000 {
            strays.on_passed(Instant::from_millis(ms), &packet(TcpFlags::SYN));
            strays.on_passed(Instant::from_millis(ms), &packet(TcpFlags::ACK));
        }
        let made = strays.made;
        strays.on_passed(until, &packet(TcpFlags::SYN));
        assert!(made > 500 && strays.made == made, "{made}");
        let (mut came, mut syns, mut last) = (0, 0, Instant::ZERO);
        while let Some(at) = strays.next_event() {
            assert!(last <= at && at <= until + max);
            let Some(octets) = strays.pop(at) else { break };
            syns += u64::from(octets == packet(TcpFlags::SYN));
            (came, last) = (came + 1, at);
        }
        assert_eq!(came, made);
        assert!(last > until && (500..came).contains(&syns), "{syns} of {came}");
    }
}
