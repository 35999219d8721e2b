//! How large a segment the path carries: after what ICMP says (RFC 1191), and where a router says
//! nothing, after what arrives (RFC 4821).

use super::config::TcpConfig;
use super::mtu_search::{MtuProbing, MtuSearch};
use super::seq::{SeqNumber, SeqRange};
use crate::time::Instant;

/// Octets of the IPv4 and TCP headers without options: what an MTU has room for beside a segment.
const HEADERS: u16 = 40;

/// Most octets of options in a segment: the data offset has four bits (RFC 9293 §3.1).
const OPTIONS_MAX: u32 = 40;

/// The end of all time that there is.
const FOR_GOOD: Instant = Instant::from_nanos(u64::MAX);

/// After so many timeouts of a large segment in a row it is taken for too large: 3, as Linux
/// (`tcp_retries1`), which are about two seconds.
const BLACK_HOLE_TIMEOUTS: u8 = 3;

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

impl Path {
    /// Octets of text and options that its largest packet has room for.
    fn room(self) -> u16 {
        u16::try_from(self.mtu).unwrap_or(u16::MAX).saturating_sub(HEADERS).max(1)
    }
}

/// The largest segment that peer, interface and path carry.
#[derive(Debug)]
pub(crate) struct PathLimit {
    /// What the two ends take, octets of text and options: the peer's MSS and our interface.
    ends: u16,
    /// What the path carries, as far as our interface and ICMP have said, octets of text and
    /// options.
    path: u16,
    /// Until when that is believed, which may be [`FOR_GOOD`].
    until: Instant,
    /// The news that `path` includes.
    generation: u32,
    /// Segments of so many octets of text and options fit through any path.
    least: u16,
    /// From the first to the last outstanding segment that is larger than that.
    large: SeqRange,
    /// Octets of text and options in the largest of them.
    largest: u32,
    /// How often in a row the oldest of them has timed out.
    timeouts: u8,
    probing: MtuProbing,
    /// What passes, once it has come to a search. Rare, and so boxed.
    search: Option<Box<MtuSearch>>,
}

impl PathLimit {
    /// Both ends take segments of `ends` octets of text and options. Nothing has been sent; SND.NXT
    /// is `start`.
    pub(crate) fn new(config: &TcpConfig, ends: u16, path: Path, start: SeqNumber) -> Self {
        let mut limit = Self {
            ends,
            path: path.room(),
            until: path.until.unwrap_or(FOR_GOOD),
            generation: path.generation,
            least: config.path_mtu_min.saturating_sub(HEADERS),
            large: SeqRange::at(start, 0),
            largest: 0,
            timeouts: 0,
            probing: config.mtu_probing,
            search: None,
        };
        if limit.probing == MtuProbing::Always {
            limit.search = Some(Box::new(MtuSearch::new(limit.limit(), limit.least.into())));
        }
        limit
    }

    /// The largest segment, octets of text and options (RFC 9293 §3.7.1, MUST-16).
    pub(crate) fn mss(&self) -> u32 {
        let limit = self.limit();
        self.search.as_ref().map_or(limit, |search| search.low().min(limit))
    }

    /// Whether it is being found out what the path carries.
    pub(crate) fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// What the ends take and what ICMP has left of it.
    fn limit(&self) -> u32 {
        self.ends.min(self.path).into()
    }

    /// Octets of the largest packet that the path is believed to carry.
    pub(crate) fn mtu(&self) -> u32 {
        u32::from(self.path) + u32::from(HEADERS)
    }

    /// Whether there may be news of the path since the last, or a search is to begin anew.
    pub(crate) fn is_stale(&self, now: Instant, generation: u32) -> bool {
        self.generation != generation
            || self.until <= now
            || self.search.as_ref().is_some_and(|search| search.is_rested(now))
    }

    /// News of the path. Says which of the outstanding segments may be too large for it now.
    pub(crate) fn on_news(&mut self, now: Instant, path: Path) -> Option<SeqRange> {
        let before = self.mss();
        self.path = path.room();
        self.until = path.until.unwrap_or(FOR_GOOD);
        self.generation = path.generation;
        let limit = self.limit();
        let mut lost = None;
        if let Some(search) = &mut self.search {
            if search.probed_size().is_some_and(|size| size > limit) {
                lost = search.on_lost(now, limit);
            }
            if search.is_rested(now) || search.high() > limit {
                search.restart(limit);
            }
        }
        self.end_search();
        let mss = self.mss();
        if mss >= before || self.large.is_empty() || self.largest <= mss {
            return lost; // All that is outstanding fits, but for a probe.
        }
        self.largest = mss; // So large are they when they have left again.
        Some(self.large)
    }

    /// Forgets a search that has found all that ICMP and the peer allow.
    fn end_search(&mut self) {
        let limit = self.limit();
        self.search.take_if(|search| search.is_at(limit));
    }

    /// The size of a probe that may leave, octets of text and options.
    pub(crate) fn next_probe(&self) -> Option<u32> {
        self.search.as_ref()?.next(self.limit())
    }

    /// The next segment that leaves is a probe of so many octets of text and options.
    pub(crate) fn on_probe_sent(&mut self, size: u32, range: SeqRange) {
        if let Some(search) = &mut self.search {
            search.on_sent(size, range);
        }
    }

    /// Duplicate acknowledgments tell that the segment at SND.UNA, `una`, is lost. If it is the
    /// probe, that says nothing of the network but that it is too large: gives its place.
    pub(crate) fn on_loss(&mut self, now: Instant, una: SeqNumber) -> Option<SeqRange> {
        let limit = self.limit();
        let search = self.search.as_mut()?;
        search.probe().filter(|probe| probe.start == una)?;
        search.on_lost(now, limit)
    }

    /// The retransmission timer has run out, with SND.UNA at `una`. If large segments do so again
    /// and again and no router says why, smaller ones are tried (RFC 4821 §7.7).
    pub(crate) fn on_timeout(&mut self, now: Instant, una: SeqNumber) {
        let limit = self.limit();
        if let Some(search) = &mut self.search
            && search.on_lost(now, limit).is_some()
        {
            return; // It may have been the probe; the rest is as it was.
        }
        if self.large.is_empty() || self.large.start != una || self.probing == MtuProbing::Off {
            return;
        }
        self.timeouts = self.timeouts.saturating_add(1);
        if self.timeouts < BLACK_HOLE_TIMEOUTS || self.mss() <= self.least.into() {
            return;
        }
        match &mut self.search {
            Some(search) => search.on_black_hole(self.least.into()),
            None => self.search = Some(Box::new(MtuSearch::new(limit, self.least.into()))),
        }
    }

    /// `sequence` left, in segments of at most so many octets of text and of options. It may be the
    /// first time or not: what was small before may be large when it is sent again together with
    /// what followed.
    pub(crate) fn on_sent(&mut self, sequence: SeqRange, text_len: u32, options_len: u32) {
        if text_len + OPTIONS_MAX <= self.least.into() {
            return;
        }
        if self.large.is_empty() {
            (self.large, self.largest) = (sequence, 0);
        }
        if sequence.start.before(self.large.start) {
            self.large.start = sequence.start;
        }
        self.large.end = SeqNumber::max_of(self.large.end, sequence.end);
        self.largest = self.largest.max(text_len + options_len);
    }

    /// `sequence` left again, in a segment that is no probe. If that reaches to the end of the
    /// probe, all of the probe has: what is acknowledged from now on says nothing of it.
    pub(crate) fn on_sent_again(&mut self, now: Instant, sequence: SeqRange) {
        let limit = self.limit();
        if let Some(search) = &mut self.search
            && search.probe().is_some_and(|probe| sequence.contains(probe.end - 1))
        {
            search.on_lost(now, limit);
        }
    }

    /// SND.UNA has moved, to `una`.
    pub(crate) fn on_acknowledged(&mut self, now: Instant, una: SeqNumber) {
        self.timeouts = 0;
        let limit = self.limit();
        if let Some(search) = &mut self.search {
            search.on_acknowledged(now, una, limit);
            self.end_search();
        }
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

    fn limit(ends: u16) -> PathLimit {
        let path = Path { mtu: 1500, until: None, generation: 0 };
        PathLimit::new(&TcpConfig::default(), ends, path, START)
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
            assert_eq!(limit.mss(), u32::from(ends));
            limit.on_news(Instant::ZERO, news(mtu, 1));
            assert_eq!(limit.mss(), mss);
        }
    }

    #[test]
    fn only_segments_that_some_path_does_not_carry_are_named_and_only_if_it_carries_less() {
        let mut limit = limit(1460);
        let mut nxt = START;
        for len in [472, 473, 100, 1460, 472] {
            limit.on_sent(SeqRange::at(nxt, len), len, 0);
            nxt += len;
        }
        let large = SeqRange { start: START + 472, end: nxt - 472 };
        assert_eq!(limit.on_news(Instant::ZERO, news(1500, 1)), None);
        assert_eq!(limit.on_news(Instant::ZERO, news(1400, 2)), Some(large));
        assert_eq!(limit.on_news(Instant::ZERO, news(1400, 3)), None, "it is no news");
        limit.on_acknowledged(Instant::ZERO, START + 1_045);
        assert_eq!(
            limit.on_news(Instant::ZERO, news(1000, 4)),
            Some(SeqRange { start: START + 1_045, ..large })
        );
        limit.on_acknowledged(Instant::ZERO, nxt);
        assert_eq!(limit.on_news(Instant::ZERO, news(600, 5)), None);
    }

    #[test]
    fn news_is_asked_for_when_a_path_carries_less_or_what_is_known_is_too_old() {
        let mut limit = limit(1460);
        let expiry = Instant::from_millis(600_000);
        assert!(!limit.is_stale(expiry, 0) && limit.is_stale(Instant::ZERO, 1));
        limit.on_news(Instant::ZERO, news(1000, 1));
        assert!(!limit.is_stale(Instant::from_nanos(expiry.as_nanos() - 1), 1));
        assert!(limit.is_stale(expiry, 1));
        limit.on_news(expiry, Path { mtu: 1500, until: None, generation: 1 });
        assert_eq!(limit.mss(), 1460, "RFC 1191 §6.3");
        assert!(!limit.is_stale(Instant::from_nanos(u64::MAX - 2), 1));
    }
    /// A path that loses much is none that swallows all that is large.
    #[test]
    fn only_timeouts_in_a_row_tell_of_a_black_hole() {
        let mut limit = limit(1460);
        let mut nxt = START;
        for (timeouts, mss) in [(2, 1460), (2, 1460), (3, 1024)] {
            limit.on_sent(SeqRange::at(nxt, 1460), 1460, 0);
            for _ in 0..timeouts {
                limit.on_timeout(Instant::ZERO, nxt);
            }
            assert_eq!(limit.mss(), mss);
            nxt += 1460;
            limit.on_acknowledged(Instant::ZERO, nxt);
        }
    }

    #[test]
    fn a_search_that_is_over_begins_anew_after_ten_minutes() {
        let mut limit = limit(1460);
        limit.search = Some(Box::new(MtuSearch::new(1460, limit.least.into())));
        while let Some(size) = limit.next_probe() {
            limit.on_probe_sent(size, SeqRange::at(START, size));
            assert!(limit.on_loss(Instant::ZERO, START).is_some());
        }
        assert_eq!(limit.mss(), 1024);
        let rested = Instant::from_millis(600_000);
        assert!(!limit.is_stale(Instant::from_millis(599_999), 0) && limit.is_stale(rested, 0));
        limit.on_news(rested, Path { mtu: 1500, until: None, generation: 0 });
        assert_eq!(limit.next_probe(), Some(1460));
    }
}
