//! A box on the way that understands TCP badly: it cuts segments, and lets the parts overlap; it
//! sends some once more, later, the SYN too; it says that windows are smaller than they are, and
//! takes back what it has said; and it invents segments that nobody has sent.
//!
//! What it does to one segment is allowed to any network or to a poor peer, and octets are never
//! others than those that were sent. Both ends must come through, if late.

use std::collections::{BTreeMap, VecDeque};

use super::craft::{Content, Packet, TcpFlags, TcpSegment};
use super::random::Random;
use crate::time::Instant;

/// How many segments it remembers, to send them again.
const RECENT_MAX: usize = 32;

/// A box that what one host sends passes; give the other host one too for both directions.
#[derive(Clone, Debug)]
pub struct Middlebox {
    random: Random,
    until: Instant,
    /// How likely a segment is cut in two.
    cuts: f64,
    /// How likely an earlier segment follows once more.
    repeats: f64,
    /// How likely a window is made smaller.
    shrinks: f64,
    /// How likely a segment is followed by one that nobody has sent.
    invents: f64,
    recent: VecDeque<TcpSegment>,
    /// The SYNs that have passed, by their ports.
    syns: BTreeMap<(u16, u16), TcpSegment>,
}

impl Middlebox {
    /// A box that does some of this until `until`, how often `random` says; from then on nothing.
    pub fn new(mut random: Random, until: Instant) -> Self {
        let mut one_of = |all: [f64; 3]| all[random.index(3)];
        let [cuts, repeats] = [[0.0, 0.02, 0.1]; 2].map(&mut one_of);
        let [shrinks, invents] = [[0.0, 0.05, 0.3], [0.0, 0.01, 0.05]].map(&mut one_of);
        Self {
            random,
            until,
            cuts,
            repeats,
            shrinks,
            invents,
            recent: VecDeque::new(),
            syns: BTreeMap::new(),
        }
    }

    /// What leaves the box, in order, when this packet enters it.
    pub(super) fn pass(&mut self, now: Instant, octets: &[u8]) -> Vec<Vec<u8>> {
        let decoded = Packet::decode(octets).ok().filter(|_| now < self.until);
        let Some(packet) = decoded else { return vec![octets.to_vec()] };
        let leaves = |segment| packet_of(&packet, segment);
        let Some(segment) = packet.segment() else { return vec![octets.to_vec()] };
        if is_of_an_end(segment) {
            if segment.flags == TcpFlags::SYN {
                self.syns.insert(ports(segment), segment.clone());
            }
            return vec![octets.to_vec()];
        }
        let mut segment = segment.clone();
        self.remember(&segment);
        if self.random.chance(self.shrinks) {
            segment.window = self.smaller(segment.window);
        }
        let mut all = Vec::new();
        if segment.payload.len() > 1 && self.random.chance(self.cuts) {
            let mut parts = self.cut(&segment);
            if self.random.chance(0.5) {
                parts.reverse();
            }
            all.extend(parts);
        } else {
            all.push(segment.clone());
        }
        if self.random.chance(self.repeats) {
            all.extend(self.recent.get(self.random.index(self.recent.len())).cloned());
        }
        if self.random.chance(self.invents) {
            all.push(self.invented(segment));
        }
        all.into_iter().map(leaves).collect()
    }

    fn remember(&mut self, segment: &TcpSegment) {
        self.recent.push_back(segment.clone());
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }

    fn smaller(&mut self, window: u16) -> u16 {
        match self.random.below(4) {
            0 => 0,
            1 => window / 2,
            2 => window.min(u16::try_from(self.random.below(1500)).unwrap_or(0)),
            _ => window.saturating_sub(u16::try_from(self.random.below(50)).unwrap_or(0)),
        }
    }

    /// The begin of a segment, and its end, which may begin before that one ends.
    fn cut(&mut self, segment: &TcpSegment) -> Vec<TcpSegment> {
        let end = 1 + self.random.index(segment.payload.len() - 1);
        let begin = end - self.random.index(end + 1);
        let (mut left, mut right) = (segment.clone(), segment.clone());
        left.payload.truncate(end);
        let of_the_end = TcpFlags::FIN.with(TcpFlags::PSH).bits();
        left.flags = TcpFlags::from_bits(left.flags.bits() & !of_the_end);
        right.payload.drain(..begin);
        right.seq = right.seq.wrapping_add(u32::try_from(begin).expect("a packet fits 16 bits"));
        vec![left, right]
    }

    /// The SYN in the middle of the connection (RFC 5961 §4), a reset beside the mark (§3.2), or an
    /// acknowledgment of what was never sent (RFC 9293 §3.10.7.4, fifth step).
    fn invented(&mut self, mut segment: TcpSegment) -> TcpSegment {
        segment.payload.clear();
        let far = 1 << 30 | self.random.word() >> 2;
        match (self.random.below(3), self.syns.get(&ports(&segment))) {
            (0, Some(syn)) => return syn.clone(),
            (1, _) => {
                segment.flags = TcpFlags::RST;
                segment.seq = segment.seq.wrapping_sub(far);
            }
            _ => {
                segment.flags = TcpFlags::ACK;
                segment.ack = segment.ack.wrapping_add(far);
            }
        }
        segment
    }
}

/// Which of the connections between two hosts a segment belongs to.
fn ports(segment: &TcpSegment) -> (u16, u16) {
    (segment.source_port, segment.destination_port)
}

/// Whether a segment begins or ends a connection, or marks urgent octets: those it leaves alone.
fn is_of_an_end(segment: &TcpSegment) -> bool {
    let left_alone = TcpFlags::SYN.with(TcpFlags::RST).with(TcpFlags::URG);
    segment.flags.bits() & left_alone.bits() != 0
}

/// The octets of `segment` in a packet like `packet`.
fn packet_of(packet: &Packet, segment: TcpSegment) -> Vec<u8> {
    Packet { content: Content::Tcp(segment), ..packet.clone() }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn octet_at(seq: u32) -> u8 {
        (seq % 251).to_le_bytes()[0]
    }

    fn text(seq: u32) -> Packet {
        let ends = ["10.0.0.1:1", "10.0.0.2:2"].map(|end| end.parse().unwrap());
        let mut packet = Packet::tcp(ends[0], ends[1], TcpFlags::ACK);
        if let Content::Tcp(segment) = &mut packet.content {
            (segment.seq, segment.window) = (seq, 1000);
            segment.payload = (seq..seq + 100).map(octet_at).collect();
        }
        packet
    }

    #[test]
    fn it_cuts_repeats_shrinks_and_invents_and_the_octets_stay_as_they_were() {
        let until = Instant::ZERO + Duration::from_secs(1);
        let mut done = [0; 4];
        for seed in 0..20 {
            let mut middlebox = Middlebox::new(Random::new(seed), until);
            for seq in (0..100).map(|n| 500 * n) {
                let all = middlebox.pass(Instant::ZERO, &text(seq).encode());
                for octets in all {
                    let packet = Packet::decode(&octets).unwrap();
                    let segment = packet.segment().unwrap();
                    done[0] += usize::from((1..100).contains(&segment.payload.len()));
                    done[1] += usize::from(!segment.payload.is_empty() && segment.seq < seq);
                    done[2] += usize::from(segment.window < 1000);
                    done[3] += usize::from(segment.payload.is_empty());
                    assert!(
                        segment.payload.iter().zip(segment.seq..).all(|(&o, at)| o == octet_at(at))
                    );
                }
            }
        }
        assert!(done.iter().all(|&count| count > 20), "{done:?}");
    }

    #[test]
    fn what_opens_or_ends_a_connection_and_what_comes_late_passes_as_it_is() {
        let until = Instant::ZERO + Duration::from_secs(1);
        for seed in 0..20 {
            let mut middlebox = Middlebox::new(Random::new(seed), until);
            for flags in [TcpFlags::SYN, TcpFlags::RST, TcpFlags::URG] {
                let mut packet = text(7);
                if let Content::Tcp(segment) = &mut packet.content {
                    segment.flags = TcpFlags::ACK.with(flags);
                }
                let octets = packet.encode();
                assert_eq!(middlebox.pass(Instant::ZERO, &octets), [octets]);
            }
            let octets = text(7).encode();
            assert_eq!(middlebox.pass(until, &octets), [octets]);
        }
    }
}
