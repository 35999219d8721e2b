//! How large a segment the path carries, after what ICMP says (RFC 1191).

use super::config::TcpConfig;
use super::seq::{SeqNumber, SeqRange};
use crate::time::Instant;

/// Octets of the IPv4 and TCP headers without options: what an MTU has room for beside a segment.
const HEADERS: u32 = 40;

/// Most octets of options in a segment: the data offset has four bits (RFC 9293 §3.1).
const OPTIONS_MAX: u32 = 40;

/// What is known of a path, as `ip` knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Octets of the largest IP packet.
    pub(crate) mtu: u32,
    /// Until when that is believed; `None`: for good.
    pub(crate) until: Option<Instant>,
    /// Another number than before: some path carries less than it did.
    pub(crate) generation: u32,
}

/// The largest segment that peer, interface and path carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathLimit {
    /// What the two ends take, octets of text and options: the peer's MSS and our interface.
    ends: u32,
    /// What the path carries, as far as ICMP has said, octets of text and options.
    path: u32,
    /// Until when that is believed.
    until: Option<Instant>,
    /// The news that `path` includes.
    generation: u32,
    /// Segments with no more text than so many octets fit through any path.
    always_fits: u32,
    /// From the first to the last outstanding segment that is larger than that.
    large: SeqRange,
}

impl PathLimit {
    /// Nothing is known of the path but that both ends take segments of `ends` octets of text and
    /// options. Nothing has been sent; SND.NXT is `start`.
    pub(crate) fn new(config: &TcpConfig, ends: u32, start: SeqNumber) -> Self {
        let least = u32::from(config.path_mtu_min).saturating_sub(HEADERS);
        Self {
            ends,
            path: ends,
            until: None,
            generation: 0,
            always_fits: least.saturating_sub(OPTIONS_MAX),
            large: SeqRange::at(start, 0),
        }
    }

    /// The largest segment, octets of text and options (RFC 9293 §3.7.1, MUST-16).
    pub(crate) fn mss(&self) -> u32 {
        self.ends.min(self.path)
    }

    /// Octets of the largest packet that the path is believed to carry.
    pub(crate) fn mtu(&self) -> u32 {
        self.path + HEADERS
    }

    /// Whether there may be news of the path since the last.
    pub(crate) fn is_stale(&self, now: Instant, generation: u32) -> bool {
        self.generation != generation || self.until.is_some_and(|until| until <= now)
    }

    /// News of the path. Says which of the outstanding segments may be too large for it now.
    pub(crate) fn on_news(&mut self, path: Path) -> Option<SeqRange> {
        let before = self.mss();
        self.path = path.mtu.saturating_sub(HEADERS).max(1);
        self.until = path.until;
        self.generation = path.generation;
        (self.mss() < before && !self.large.is_empty()).then_some(self.large)
    }

    /// `sequence` left for the first time, `text_len` octets of it text.
    pub(crate) fn on_sent(&mut self, sequence: SeqRange, text_len: u32) {
        if text_len <= self.always_fits {
            return;
        }
        if self.large.is_empty() {
            self.large.start = sequence.start;
        }
        self.large.end = sequence.end;
    }

    /// SND.UNA is `una` now.
    pub(crate) fn on_acknowledged(&mut self, una: SeqNumber) {
        self.large.start = SeqNumber::max_of(self.large.start, una);
        self.large.end = SeqNumber::max_of(self.large.end, una);
    }

    /// Invariants between the variables (called by `check`).
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn check(&self, una: SeqNumber, nxt: SeqNumber) {
        assert!(self.large.end.at_or_after(self.large.start), "the large segments are reversed");
        if !self.large.is_empty() {
            assert!(
                self.large.start.at_or_after(una),
                "what is acknowledged counts as outstanding"
            );
            assert!(self.large.end.at_or_before(nxt), "what was never sent counts as outstanding");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SeqNumber = SeqNumber(u32::MAX - 2_000); // The ranges wrap.

    fn limit(ends: u32) -> PathLimit {
        PathLimit::new(&TcpConfig::default(), ends, START)
    }

    fn news(mtu: u32, generation: u32) -> Path {
        Path { mtu, until: Some(Instant::from_millis(600_000)), generation }
    }

    #[test]
    fn must_16_the_least_of_what_peer_and_path_take_counts() {
        for (ends, mtu, mss) in [
            (1460, 1500, 1460),
            (1460, 1400, 1360),
            (1000, 1400, 1000),
            (536, 552, 512),
            (9, 40, 1),
        ] {
            let mut limit = limit(ends);
            assert_eq!(limit.mss(), ends);
            limit.on_news(news(mtu, 1));
            assert_eq!(limit.mss(), mss);
        }
    }

    #[test]
    fn only_segments_that_some_path_does_not_carry_are_named_and_only_if_it_carries_less() {
        let mut limit = limit(1460);
        let mut nxt = START;
        for len in [472, 473, 100, 1460, 472] {
            limit.on_sent(SeqRange::at(nxt, len), len);
            nxt += len;
        }
        let large = SeqRange { start: START + 472, end: nxt - 472 };
        assert_eq!(limit.on_news(news(1500, 1)), None);
        assert_eq!(limit.on_news(news(1400, 2)), Some(large));
        assert_eq!(limit.on_news(news(1400, 3)), None, "it is no news");
        limit.on_acknowledged(START + 1_045);
        assert_eq!(limit.on_news(news(1000, 4)), Some(SeqRange { start: START + 1_045, ..large }));
        limit.on_acknowledged(nxt);
        assert_eq!(limit.on_news(news(600, 5)), None);
    }

    #[test]
    fn news_is_asked_for_when_a_path_carries_less_or_what_is_known_is_too_old() {
        let mut limit = limit(1460);
        let expiry = Instant::from_millis(600_000);
        assert!(!limit.is_stale(expiry, 0) && limit.is_stale(Instant::ZERO, 1));
        limit.on_news(news(1000, 1));
        assert!(!limit.is_stale(Instant::from_nanos(expiry.as_nanos() - 1), 1));
        assert!(limit.is_stale(expiry, 1));
        limit.on_news(Path { mtu: 1500, until: None, generation: 1 });
        assert_eq!(limit.mss(), 1460, "RFC 1191 §6.3");
        assert!(!limit.is_stale(Instant::from_nanos(u64::MAX), 1));
    }
}
