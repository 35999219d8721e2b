//! Which octets right of RCV.NXT have arrived, and in which order to report them (RFC 2018).

use std::collections::VecDeque;

use arrayvec::ArrayVec;

/// Most separate ranges that are remembered.
///
/// A limit because each costs memory and time that a peer can ask for with one octet; 128 gaps in
/// one window are more than a path makes whose loss TCP can live with.
const RANGES_MAX: usize = 128;

/// Most SACK blocks in a segment: what 40 octets of options have room for (RFC 2018 §3).
pub(crate) const BLOCKS_MAX: usize = 4;

/// There is no room for one more separate range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Octets from `start` up to and without `end`, as offsets from RCV.NXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first octet.
    pub(crate) start: u32,
    /// The octet after the last one.
    pub(crate) end: u32,
}

/// Which octets right of RCV.NXT have arrived, in or out of order.
///
/// Positions are offsets from RCV.NXT: a window has at most 2^30 octets, so nothing here can
/// wrap. What is said of the octets themselves (where they lie, which copy wins) is
/// [`ReceiveBuffer`](super::receive_buffer::ReceiveBuffer)'s.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assembler {
    /// Octets present from RCV.NXT on without a gap.
    contiguous: u32,
    /// What lies behind the first hole; `None` when nothing does, which costs no memory then.
    early: Option<Box<Early>>,
}

/// The ranges behind the first hole, and what the peer has been told of them.
#[derive(Clone, Debug, Default)]
struct Early {
    /// In order, none empty, no two touching, none at the octets that are contiguous.
    ranges: VecDeque<Held>,
    /// How often a range has changed.
    changes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    range: Range,
    /// The number of the change that made it what it is: the largest is the most recent.
    changed: u32,
    /// Whether a SACK block has said so since.
    is_reported: bool,
}

impl Assembler {
    /// The octets from `start` up to and without `end` have arrived.
    ///
    /// A full assembler refuses a range that stands alone. It takes what touches a range that it
    /// has, for that makes it no fuller, and what starts at 0: the segment at RCV.NXT is the one
    /// that gets a connection on, whatever the memory.
    pub(crate) fn add(&mut self, start: u32, end: u32) -> Result<(), Full> {
        if start >= end {
            return Ok(());
        }
        if start > self.contiguous {
            return self.early.get_or_insert_default().add(Range { start, end });
        }
        self.contiguous = self.contiguous.max(end);
        self.absorb();
        Ok(())
    }

    /// What touches the contiguous octets belongs to them.
    fn absorb(&mut self) {
        let Some(early) = &mut self.early else { return };
        while let Some(first) = early.ranges.front()
            && first.range.start <= self.contiguous
        {
            self.contiguous = self.contiguous.max(first.range.end);
            early.ranges.pop_front();
        }
        if early.ranges.is_empty() {
            self.early = None;
        }
    }

    /// RCV.NXT moved right by `octets`: what it passed is forgotten, the rest comes nearer.
    pub(crate) fn advance(&mut self, octets: u32) {
        self.contiguous = self.contiguous.saturating_sub(octets);
        let Some(early) = &mut self.early else { return };
        let passed = early.ranges.partition_point(|held| held.range.end <= octets);
        early.ranges.drain(..passed);
        for Held { range, .. } in &mut early.ranges {
            range.start = range.start.saturating_sub(octets);
            range.end -= octets;
        }
        self.absorb();
    }

    /// How many octets are present from RCV.NXT on without a gap.
    pub(crate) fn contiguous(&self) -> u32 {
        self.contiguous
    }

    /// Whether something lies behind a hole.
    pub(crate) fn has_gap(&self) -> bool {
        self.early.is_some()
    }

    /// Octets of memory held.
    pub(crate) fn allocated(&self) -> usize {
        let octets =
            |early: &Early| size_of::<Early>() + early.ranges.capacity() * size_of::<Held>();
        self.early.as_deref().map_or(0, octets)
    }

    /// The first octets of a range that are here already.
    pub(crate) fn overlap(&self, wanted: Range) -> Option<Range> {
        let ranges = &self.early.as_deref()?.ranges;
        let first = ranges.partition_point(|held| held.range.end <= wanted.start);
        let held = ranges.get(first)?.range;
        let start = held.start.max(wanted.start);
        (start < wanted.end).then(|| Range { start, end: held.end.min(wanted.end) })
    }

    /// The ranges behind the first hole that the peer should hear of first, `max` at most: the one
    /// that holds the octet at `first`, then those that it has not been told of, then those that
    /// it has; each from the most recent change to the oldest (RFC 2018 §4).
    pub(crate) fn blocks(&self, first: Option<u32>, max: usize) -> ArrayVec<Range, BLOCKS_MAX> {
        let mut blocks = ArrayVec::new();
        let Some(early) = self.early.as_deref() else { return blocks };
        let rank = |held: &Held| {
            let is_first = first.is_some_and(|at| held.range.start <= at && at < held.range.end);
            (is_first, !held.is_reported, held.changed)
        };
        let mut bound = None;
        while blocks.len() < max.min(BLOCKS_MAX) {
            let rest = early.ranges.iter().filter(|held| bound.is_none_or(|b| rank(held) < b));
            let Some(next) = rest.max_by_key(|held| rank(held)) else { break };
            bound = Some(rank(next));
            blocks.push(next.range);
        }
        blocks
    }

    /// The peer is told that the octets from `start` on, a whole range, are here.
    pub(crate) fn on_reported(&mut self, start: u32) {
        let Some(early) = &mut self.early else { return };
        let place = early.ranges.binary_search_by_key(&start, |held| held.range.start);
        if let Some(held) = place.ok().and_then(|place| early.ranges.get_mut(place)) {
            held.is_reported = true;
        }
    }

    /// Whether there is a range that has changed since the peer was last told of it.
    pub(crate) fn has_unreported(&self) -> bool {
        let ranges = self.early.iter().flat_map(|early| &early.ranges);
        ranges.into_iter().any(|held| !held.is_reported)
    }

    /// The ranges, from left to right, each with its start and the octet after its last.
    #[cfg(test)]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let front = (self.contiguous > 0).then_some((0, self.contiguous));
        let early = self.early.iter().flat_map(|early| &early.ranges);
        front.into_iter().chain(early.map(|held| (held.range.start, held.range.end)))
    }
}

impl Early {
    fn add(&mut self, new: Range) -> Result<(), Full> {
        // Ranges `first..past` overlap or touch the new one.
        let first = self.ranges.partition_point(|held| held.range.end < new.start);
        let past = self.ranges.partition_point(|held| held.range.start <= new.end);
        if first == past && self.ranges.len() >= RANGES_MAX {
            return Err(Full);
        }
        self.changes = self.changes.wrapping_add(1);
        let touched = self.ranges.range(first..past);
        let range = touched.fold(new, |all, Held { range, .. }| Range {
            start: all.start.min(range.start),
            end: all.end.max(range.end),
        });
        let merged = Held { range, changed: self.changes, is_reported: false };
        if first == past {
            self.ranges.insert(first, merged);
            return Ok(());
        }
        if let Some(slot) = self.ranges.get_mut(first) {
            *slot = merged;
        }
        self.ranges.drain(first + 1..past);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    /// An assembler filled to its limit with octets 2, 4, 6 and so on.
    fn full() -> Assembler {
        let mut assembler = Assembler::default();
        for n in 1..=128 {
            assert_eq!(assembler.add(2 * n, 2 * n + 1), Ok(()));
        }
        assembler
    }

    #[test]
    fn ranges_that_touch_become_one() {
        for (start, end, ranges) in [
            (0, 10, vec![(0, 20), (30, 40)]),
            (20, 30, vec![(10, 40)]),
            (5, 50, vec![(5, 50)]),
            (12, 18, vec![(10, 20), (30, 40)]),
            (19, 31, vec![(10, 40)]),
            (40, 41, vec![(10, 20), (30, 41)]),
            (42, 43, vec![(10, 20), (30, 40), (42, 43)]),
            (0, 9, vec![(0, 9), (10, 20), (30, 40)]),
            (22, 28, vec![(10, 20), (22, 28), (30, 40)]),
            (25, 25, vec![(10, 20), (30, 40)]),
            (u32::MAX - 1, u32::MAX, vec![(10, 20), (30, 40), (u32::MAX - 1, u32::MAX)]),
        ] {
            let mut assembler = Assembler::default();
            assert_eq!(assembler.add(10, 20), Ok(()));
            assert_eq!(assembler.add(30, 40), Ok(()));
            assert_eq!(assembler.add(start, end), Ok(()));
            assert_eq!(assembler.ranges().collect::<Vec<_>>(), ranges);
        }
    }

    #[test]
    fn a_full_assembler_refuses_only_what_stands_alone() {
        let before: Vec<_> = full().ranges().collect();
        for (start, end, outcome) in [
            (1000, 1001, Err(Full)),
            (0, 1, Ok(())),
            (256, 258, Ok(())),
            (3, 4, Ok(())),
            (257, 900, Ok(())),
            (258, 900, Err(Full)),
        ] {
            let mut assembler = full();
            assert_eq!(assembler.add(start, end), outcome, "{start}..{end}");
            let is_unchanged = assembler.ranges().eq(before.iter().copied());
            assert_eq!(is_unchanged, outcome.is_err(), "{start}..{end}");
        }
    }

    #[test]
    fn an_emptied_assembler_holds_no_memory() {
        let mut assembler = full();
        assert!(assembler.allocated() > 0);
        assembler.advance(10_000);
        assert!(!assembler.has_gap());
        assert_eq!((assembler.contiguous(), assembler.allocated()), (0, 0));
    }

    #[test]
    fn what_comes_in_order_takes_no_memory() {
        let mut assembler = Assembler::default();
        for _ in 0..9 {
            assert_eq!(assembler.add(0, 1000), Ok(()));
            assert_eq!((assembler.contiguous(), assembler.allocated()), (1000, 0));
            assembler.advance(1000);
        }
    }

    /// The ranges that `blocks` gives.
    fn blocks(assembler: &Assembler, first: Option<u32>, max: usize) -> Vec<(u32, u32)> {
        assembler.blocks(first, max).into_iter().map(|range| (range.start, range.end)).collect()
    }

    /// RFC 2018 §4: the first block holds the segment that has just come, the others follow in the
    /// order in which they were first ones.
    #[test]
    fn the_range_that_changed_last_comes_first() {
        let mut assembler = Assembler::default();
        for start in [10, 50, 30, 70, 90] {
            assert_eq!(assembler.add(start, start + 5), Ok(()));
            for (start, _) in blocks(&assembler, None, 9) {
                assembler.on_reported(start);
            }
        }
        let newest = [(90, 95), (70, 75), (30, 35), (50, 55)];
        assert_eq!(blocks(&assembler, None, 9), newest);
        assert_eq!(blocks(&assembler, None, 2), newest[..2]);
        assert_eq!(blocks(&assembler, None, 0), []);
        // What touches a range makes it the newest, and so does what was here already.
        assert_eq!(assembler.add(55, 60), Ok(()));
        assert_eq!(blocks(&assembler, None, 2), [(50, 60), (90, 95)]);
        assert_eq!(assembler.add(12, 14), Ok(()));
        assert_eq!(blocks(&assembler, None, 2), [(10, 15), (50, 60)]);
        assert_eq!(blocks(&assembler, Some(34), 2), [(30, 35), (10, 15)]);
        assert_eq!(blocks(&assembler, Some(35), 1), [(10, 15)]);
        // A segment that closes a gap leaves one range of three.
        assert_eq!(assembler.add(60, 70), Ok(()));
        assert_eq!(blocks(&assembler, None, 9), [(50, 75), (10, 15), (90, 95), (30, 35)]);
        assembler.advance(40);
        assert_eq!(blocks(&assembler, None, 9), [(10, 35), (50, 55)]);
    }

    /// In a burst more ranges change than a segment has blocks for: none may be left out.
    #[test]
    fn what_has_not_been_reported_comes_before_what_has() {
        let mut assembler = Assembler::default();
        for start in [10, 20, 30, 40, 50] {
            assert_eq!(assembler.add(start, start + 1), Ok(()));
        }
        let mut told = Vec::new();
        while assembler.has_unreported() {
            let next = blocks(&assembler, None, 3);
            for &(start, _) in &next {
                assembler.on_reported(start);
            }
            told.push(next);
        }
        assert_eq!(told, [[(50, 51), (40, 41), (30, 31)], [(20, 21), (10, 11), (50, 51)]]);
        assembler.on_reported(9); // None begins there.
    }

    #[test]
    fn an_overlap_is_the_leftmost_run_that_is_here_already() {
        let mut assembler = Assembler::default();
        for start in [10, 20] {
            assert_eq!(assembler.add(start, start + 5), Ok(()));
        }
        for (start, end, overlap) in [
            (5, 10, None),
            (5, 11, Some((10, 11))),
            (12, 14, Some((12, 14))),
            (5, 40, Some((10, 15))),
            (15, 20, None),
            (14, 24, Some((14, 15))),
            (16, 24, Some((20, 24))),
            (25, 26, None),
        ] {
            let overlap = overlap.map(|(start, end)| Range { start, end });
            assert_eq!(assembler.overlap(Range { start, end }), overlap, "{start} {end}");
        }
        assert_eq!(Assembler::default().overlap(Range { start: 0, end: 9 }), None);
    }

    /// The same answers as a bitmap gives, through random additions and advances.
    #[test]
    fn an_assembler_agrees_with_a_bitmap() {
        const SPAN: usize = 600;
        for seed in 0..50 {
            let mut rng = Rng::new(&Seed::from_number(seed));
            let mut pick = |bound: u32| u32::try_from(rng.below(u64::from(bound))).unwrap();
            let mut assembler = Assembler::default();
            let mut model = [false; SPAN];
            for _ in 0..200 {
                if pick(4) == 0 {
                    let n = pick(40);
                    assembler.advance(n);
                    let n = usize::try_from(n).unwrap();
                    model.copy_within(n.., 0);
                    model[SPAN - n..].fill(false);
                } else {
                    let start = pick(500);
                    let end = start + pick(30);
                    if assembler.add(start, end).is_ok() {
                        model[start as usize..end as usize].fill(true);
                    }
                }
                let bits = (0u32..).zip(model).filter(|(_, is_set)| *is_set);
                let octets: Vec<u32> = bits.map(|(n, _)| n).collect();
                let present: Vec<u32> = assembler.ranges().flat_map(|(a, b)| a..b).collect();
                assert_eq!(present, octets, "seed {seed}");
                let gap = model.iter().position(|is_set| !is_set).unwrap();
                assert_eq!(assembler.contiguous() as usize, gap, "seed {seed}");
                let ranges: Vec<_> = assembler.ranges().collect();
                assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "seed {seed}");
            }
        }
    }
}
