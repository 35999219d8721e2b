//! The search for what a path carries when no router says it (RFC 4821).

use super::seq::{SeqNumber, SeqRange};
use crate::time::{Duration, Instant};

/// Where the search begins, octets of text and options: what nearly every path carries. 1024, as
/// Linux (`tcp_base_mss`).
const BASE: u32 = 1_024;

/// The search is over when so few octets are left to be found. 8, as Linux (`tcp_probe_threshold`).
const THRESHOLD: u32 = 8;

/// How long what has been found is kept until the search begins anew. 10 minutes, as Linux
/// (`tcp_probe_interval`) and as RFC 1191 §6.3 has it.
const REST: Duration = Duration::from_mins(10);

/// Whether TCP finds out by itself what a path carries (RFC 4821). The names of Linux's
/// `tcp_mtu_probing` are 0, 1 and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuProbing {
    /// Only ICMP lowers it.
    Off,
    /// Segments become smaller when large ones time out again and again; then it is found out how
    /// large they may be.
    #[default]
    OnBlackHole,
    /// Segments are small from the start, and it is found out how large they may be.
    Always,
}

/// What is known to pass and what is not known not to, octets of text and options. A probe is a
/// larger segment of ordinary text, of which it tells whether it arrives.
#[derive(Debug)]
pub(super) struct MtuSearch {
    /// It passes. The segments that are no probes are so large.
    low: u32,
    /// More does not pass.
    high: u32,
    /// Whether `high` itself is yet to be tried: first, since most often it was no black hole but
    /// an outage.
    is_high_new: bool,
    /// The probe that is on its way.
    probe: Option<Probe>,
    /// Since when the search is over.
    rests_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    size: u32,
    range: SeqRange,
}

impl MtuSearch {
    /// A search below `high`, for segments of which more than `least` pass or nothing does.
    pub(super) fn new(high: u32, least: u32) -> Self {
        let low = if high > BASE { BASE.max(least) } else { (high / 2).max(least) };
        let low = low.min(high);
        Self { low, high, is_high_new: true, probe: None, rests_since: None }
    }

    /// The size of segments that are no probes.
    pub(super) fn low(&self) -> u32 {
        self.low
    }

    /// More is known not to pass.
    pub(super) fn high(&self) -> u32 {
        self.high
    }

    /// Whether there is nothing left to be found below `limit`, which ICMP and the peer set.
    pub(super) fn is_at(&self, limit: u32) -> bool {
        self.low >= limit && self.probe.is_none()
    }

    /// The size of the next probe, which is `limit` at most.
    pub(super) fn next(&self, limit: u32) -> Option<u32> {
        let high = self.high.min(limit);
        let left = high.saturating_sub(self.low);
        if self.probe.is_some() || self.rests_since.is_some() || left == 0 {
            None
        } else if self.is_high_new {
            Some(high)
        } else {
            (left >= THRESHOLD).then_some(self.low + left / 2)
        }
    }

    /// A probe of `size` octets of text and options left.
    pub(super) fn on_sent(&mut self, size: u32, range: SeqRange) {
        self.probe = Some(Probe { size, range });
    }

    /// Where the probe stands.
    pub(super) fn probe(&self) -> Option<SeqRange> {
        self.probe.map(|probe| probe.range)
    }

    /// How large the probe is.
    pub(super) fn probed_size(&self) -> Option<u32> {
        self.probe.map(|probe| probe.size)
    }

    /// SND.UNA is `una` now.
    pub(super) fn on_acknowledged(&mut self, now: Instant, una: SeqNumber, limit: u32) {
        if let Some(probe) = self.probe.take_if(|probe| una.at_or_after(probe.range.end)) {
            self.low = probe.size;
            self.rest_if_done(now, limit);
        }
    }

    /// The probe did not arrive, or nobody can say.
    pub(super) fn on_lost(&mut self, now: Instant, limit: u32) -> Option<SeqRange> {
        let probe = self.probe.take()?;
        self.high = probe.size - 1; // More than `low`, which is at least 0.
        self.is_high_new = false;
        self.rest_if_done(now, limit);
        Some(probe.range)
    }

    /// Not even `low` arrives.
    pub(super) fn on_black_hole(&mut self, least: u32) {
        (self.high, self.is_high_new) = (self.low, true);
        self.low = (self.low / 2).max(least).min(self.high);
        self.rests_since = None;
    }

    fn rest_if_done(&mut self, now: Instant, limit: u32) {
        self.rests_since = self.next(limit).is_none().then_some(now);
    }

    /// Whether the search is to begin anew.
    pub(super) fn is_rested(&self, now: Instant) -> bool {
        self.rests_since.is_some_and(|since| since + REST <= now)
    }

    /// The search begins anew: up to `high` may pass by now.
    pub(super) fn restart(&mut self, high: u32) {
        (self.high, self.is_high_new, self.rests_since) = (high, true, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u32 = 512;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    /// All probes of a search over a path that carries segments of `fits`, and what is found.
    fn probes(search: &mut MtuSearch, limit: u32, fits: u32) -> (Vec<u32>, u32) {
        let mut probes = Vec::new();
        while let Some(size) = search.next(limit) {
            probes.push(size);
            search.on_sent(size, SeqRange::at(SeqNumber(7), size));
            assert_eq!(search.next(limit), None, "one at a time");
            if size <= fits {
                search.on_acknowledged(at(1), SeqNumber(7) + (size - 1), limit);
                assert_eq!(search.next(limit), None, "it is not all acknowledged");
                search.on_acknowledged(at(1), SeqNumber(7) + size, limit);
            } else {
                assert_eq!(search.on_lost(at(1), limit), Some(SeqRange::at(SeqNumber(7), size)));
            }
        }
        (probes, search.low())
    }

    #[test]
    fn the_upper_end_is_tried_first_and_then_the_middle_of_what_is_left() {
        for (fits, sizes, found) in [
            (1460, &[1460][..], 1460),
            (1459, &[1460, 1241, 1350, 1404, 1431, 1445, 1452], 1452),
            (1360, &[1460, 1241, 1350, 1404, 1376, 1362, 1355], 1355),
            (1024, &[1460, 1241, 1132, 1077, 1050, 1036, 1029], 1024),
        ] {
            let mut search = MtuSearch::new(1460, LEAST);
            assert_eq!(probes(&mut search, 1460, fits), (sizes.to_vec(), found), "{fits}");
            assert!(found <= fits && fits - found < THRESHOLD);
        }
    }

    #[test]
    fn no_probe_is_larger_than_what_icmp_allows() {
        let (sizes, found) = probes(&mut MtuSearch::new(1460, LEAST), 1200, 1460);
        assert_eq!((sizes, found), (vec![1200], 1200));
    }

    #[test]
    fn after_ten_minutes_it_begins_anew() {
        let mut search = MtuSearch::new(1460, LEAST);
        probes(&mut search, 1460, 1360);
        assert!(!search.is_rested(at(600)) && search.is_rested(at(601)));
        search.restart(1460);
        assert_eq!(probes(&mut search, 1460, 1460), (vec![1460], 1460));
        assert!(search.is_at(1460));
    }

    #[test]
    fn it_starts_at_the_base_or_below_small_segments_and_goes_down_by_halves_to_the_least() {
        for (high, lows) in [
            (8960, [1024, 512, 512]),
            (1460, [1024, 512, 512]),
            (1024, [512, 512, 512]),
            (700, [512, 512, 512]),
            (400, [400, 400, 400]),
        ] {
            let mut search = MtuSearch::new(high, LEAST);
            for low in lows {
                assert_eq!(search.low(), low, "{high}");
                search.on_black_hole(LEAST);
            }
        }
        let mut search = MtuSearch::new(1460, 1300);
        assert_eq!(search.low(), 1300);
        search.on_black_hole(28);
        assert_eq!((search.low(), search.next(1460)), (650, Some(1300)));
    }
}
