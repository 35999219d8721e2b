//! Routers that complain: ICMP errors about segments in flight, about old ones, and about some that
//! nobody has sent.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use super::craft::{Content, IcmpMessage, Packet, TcpFlags, TcpSegment};
use super::path::ROUTER;
use super::random::Random;
use crate::packet::Frame;
use crate::time::{Duration, Instant};

/// Packets that are remembered, to complain of them again.
const RECENT_MAX: usize = 64;

/// ICMP types (RFC 792).
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// "Fragmentation needed and DF set".
const TOO_BIG: u8 = 4;

/// How long a message takes at most.
const DELAY_MAX_LOG: u64 = 17; // 2^17 ms: two minutes.

/// What the messages quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    /// Only what nobody has sent, as somebody off the path would: right addresses and ports, and a
    /// sequence number outside of all that is in flight. None of them may have any effect.
    Forged,
    /// That, and what was sent, now or long ago; but nothing that may end an open: those that a
    /// handshake may heed (SHLD-26) are about text.
    SparingOpens,
    /// Anything.
    Any,
}

/// Complains to one host of what it sends; give the other host one too for both.
#[derive(Clone, Debug)]
pub struct Alarms {
    random: Random,
    quotes: Quotes,
    until: Instant,
    chance: f64,
    recent: VecDeque<Packet>,
    waiting: BTreeMap<(Instant, u64), Frame>,
    /// How many messages there were.
    pub made: u64,
}

impl Alarms {
    /// Complaints until `until`, how often `random` says.
    pub fn new(mut random: Random, quotes: Quotes, until: Instant) -> Self {
        let chance = [0.02, 0.1, 0.5][random.index(3)];
        let (recent, waiting) = (VecDeque::new(), BTreeMap::new());
        Self { random, quotes, until, chance, recent, waiting, made: 0 }
    }

    /// From now on nothing more is found to complain of.
    pub fn end(&mut self) {
        self.until = Instant::ZERO;
    }

    /// Whether none of the messages may have any effect.
    pub(super) fn are_forged(&self) -> bool {
        self.quotes == Quotes::Forged
    }

    /// The host has sent this.
    pub(super) fn on_sent(&mut self, now: Instant, octets: &[u8]) {
        if now >= self.until {
            return;
        }
        let decoded = Packet::decode(octets).ok();
        let Some(packet) = decoded.filter(|packet| packet.segment().is_some()) else { return };
        self.recent.push_back(packet.clone());
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        while self.random.chance(self.chance) {
            let message = self.complain(&packet);
            let scale = self.random.below(DELAY_MAX_LOG + 1);
            let delay = self.random.below(1 << scale);
            let at = now + Duration::from_millis(delay);
            self.waiting.insert((at, self.made), message);
            self.made += 1;
        }
    }

    /// When the next message arrives.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|(&(at, _), _)| at)
    }

    /// A message that arrives now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Frame> {
        self.next_event().filter(|&at| at <= now)?;
        self.waiting.pop_first().map(|(_, message)| message)
    }

    fn complain(&mut self, packet: &Packet) -> Frame {
        let is_forged = self.are_forged() || self.random.chance(0.3);
        let is_old = self.random.chance(0.4);
        let mut quoted = match self.recent.get(self.random.index(self.recent.len())) {
            Some(old) if is_old => old.clone(),
            Some(_) | None => packet.clone(),
        };
        if is_forged {
            let far = 1 << 30 | self.random.word() >> 2;
            if let Content::Tcp(segment) = &mut quoted.content {
                segment.seq = segment.seq.wrapping_add(far);
            }
        }
        let segment = quoted.segment();
        let may_end =
            is_forged || self.quotes == Quotes::Any || segment.is_some_and(is_of_open_connection);
        let (kind, code, rest) = self.message(may_end, quoted.encode().len());
        let data = self.cut(quoted.encode());
        let message = IcmpMessage { kind, code, rest, data };
        let others = [ROUTER, packet.destination, Ipv4Addr::new(198, 51, 100, 7)];
        let source = others[self.random.index(others.len())];
        Packet::new(source, packet.source, Content::Icmp(message)).to_frame()
    }

    /// Type, code and the four octets behind the checksum. `may_end`: an open may fail by it.
    fn message(&mut self, may_end: bool, len: usize) -> (u8, u8, [u8; 4]) {
        let any_code = self.random.word().to_le_bytes()[0];
        match self.random.below(10) {
            0..=2 => {
                let code = any_code % 17;
                let is_hard = matches!(code, 2 | 3 | 9 | 10 | 13);
                (UNREACHABLE, if is_hard && !may_end { 1 } else { code }, [0; 4])
            }
            3..=5 => {
                let [high, low] = self.claim(len).to_be_bytes();
                (UNREACHABLE, TOO_BIG, [0, 0, high, low])
            }
            6 => (TIME_EXCEEDED, any_code % 3, [0; 4]),
            7 => (SOURCE_QUENCH, 0, [0; 4]),
            8 => (PARAMETER_PROBLEM, any_code % 3, [any_code, 0, 0, 0]),
            _ => (REDIRECT, any_code % 4, [10, 7, 0, 99]),
        }
    }

    /// How much a router says fits: nothing, hardly anything, a little less, or what cannot be.
    fn claim(&mut self, len: usize) -> u16 {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        let any = u16::try_from(self.random.below(1 << 16)).unwrap_or(0);
        match self.random.below(7) {
            0 => 0,
            1 => any % 68,
            2 => any % 600,
            3 => 576 + any % 1000,
            4 => len.saturating_sub(any % 9),
            5 => len.saturating_add(any % 9),
            _ => u16::MAX - any % 9,
        }
    }

    /// Most routers quote the header and eight octets, some more, and some too little.
    fn cut(&mut self, mut octets: Vec<u8>) -> Vec<u8> {
        let len = match self.random.below(10) {
            0 => self.random.index(28),
            1 => octets.len().min(548),
            _ => 28,
        };
        octets.truncate(len);
        octets
    }
}

/// Whether a segment can only be sent once the handshake is through.
fn is_of_open_connection(segment: &TcpSegment) -> bool {
    !segment.payload.is_empty() && !segment.flags.contains(TcpFlags::SYN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seq: u32, flags: TcpFlags, len: usize) -> Vec<u8> {
        let [from, to] = ["10.7.0.1:5000", "10.7.0.2:80"].map(|addr| addr.parse().unwrap());
        let mut packet = Packet::tcp(from, to, flags);
        if let Content::Tcp(segment) = &mut packet.content {
            (segment.seq, segment.payload) = (seq, vec![7; len]);
        }
        packet.encode()
    }

    /// Type, code and the quoted sequence number, if it is quoted, of what a host hears.
    fn heard(quotes: Quotes) -> Vec<(u8, u8, Option<u32>)> {
        let mut alarms = Alarms::new(Random::new(5), quotes, Instant::from_millis(5000));
        for n in 0..1000 {
            alarms.on_sent(Instant::from_millis(u64::from(n)), &sent(n, TcpFlags::SYN, 0));
            alarms.on_sent(Instant::from_millis(u64::from(n)), &sent(5000 + n, TcpFlags::ACK, 99));
        }
        let end = Instant::from_millis(1_000_000);
        let all = std::iter::from_fn(|| alarms.pop(end)).map(|frame| {
            let packet = Packet::decode(frame.octets()).unwrap();
            let Content::Icmp(message) = packet.content else { panic!("{:?}", packet.content) };
            let seq = message.data.get(24..28).and_then(<[u8]>::first_chunk).copied();
            (message.kind, message.code, seq.map(u32::from_be_bytes))
        });
        all.collect()
    }

    #[test]
    fn every_kind_is_heard_and_only_what_is_forged_quotes_what_was_never_sent() {
        let all = heard(Quotes::Any);
        for kind in [UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM] {
            assert!(all.iter().any(|heard| heard.0 == kind), "{kind}");
        }
        for code in 0..16 {
            assert!(all.iter().any(|heard| (heard.0, heard.1) == (3, code)), "{code}");
        }
        let was_sent = |seq: &u32| *seq < 6000;
        assert!(all.iter().filter_map(|heard| heard.2).any(|seq| was_sent(&seq)));
        let forged = heard(Quotes::Forged);
        assert!(
            forged.len() > 20 && !forged.iter().filter_map(|heard| heard.2).any(|s| was_sent(&s))
        );
    }

    #[test]
    fn what_may_end_an_open_is_said_of_text_only_if_opens_are_spared() {
        let hard =
            |heard: &&(u8, u8, Option<u32>)| heard.0 == 3 && [2, 3, 9, 10, 13].contains(&heard.1);
        let of_syn = |quotes| {
            let all = heard(quotes);
            all.iter().filter(hard).filter(|heard| heard.2.is_some_and(|seq| seq < 1000)).count()
        };
        assert!(of_syn(Quotes::Any) > 0);
        assert_eq!(of_syn(Quotes::SparingOpens), 0);
    }
}
