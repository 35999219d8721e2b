//! Which octets right of RCV.NXT have arrived.

use std::collections::VecDeque;

/// Most separate ranges that are remembered.
///
/// A limit because each costs memory and time that a peer can ask for with one octet; 128 gaps in
/// one window are more than a path makes whose loss TCP can live with.
const RANGES_MAX: usize = 128;

/// There is no room for one more separate range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Octets from `start` up to and without `end`, as offsets from RCV.NXT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    end: u32,
}

/// Which octets right of RCV.NXT have arrived, in or out of order.
///
/// Positions are offsets from RCV.NXT: a window has at most 2^30 octets, so nothing here can
/// wrap. What is said of the octets themselves (where they lie, which copy wins) is
/// [`ReceiveBuffer`](super::receive_buffer::ReceiveBuffer)'s.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assembler {
    /// In order, none empty, no two touching. Takes no memory until something is out of order.
    ranges: VecDeque<Range>,
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
        // Ranges `first..past` overlap or touch the new one.
        let first = self.ranges.partition_point(|range| range.end < start);
        let past = self.ranges.partition_point(|range| range.start <= end);
        if first == past {
            if self.ranges.len() >= RANGES_MAX && start > 0 {
                return Err(Full);
            }
            self.ranges.insert(first, Range { start, end });
            return Ok(());
        }
        let merged = self.ranges.range(first..past).fold(Range { start, end }, |all, range| {
            Range { start: all.start.min(range.start), end: all.end.max(range.end) }
        });
        if let Some(slot) = self.ranges.get_mut(first) {
            *slot = merged;
        }
        self.ranges.drain(first + 1..past);
        Ok(())
    }

    /// RCV.NXT moved right by `octets`: what it passed is forgotten, the rest comes nearer.
    pub(crate) fn advance(&mut self, octets: u32) {
        let passed = self.ranges.partition_point(|range| range.end <= octets);
        self.ranges.drain(..passed);
        for range in &mut self.ranges {
            range.start = range.start.saturating_sub(octets);
            range.end -= octets;
        }
        if self.ranges.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything, and the memory that it took.
    pub(crate) fn clear(&mut self) {
        self.ranges = VecDeque::new();
    }

    /// How many octets are present from RCV.NXT on without a gap.
    pub(crate) fn contiguous(&self) -> u32 {
        self.ranges.front().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    /// Whether nothing is present.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, from left to right, each with its start and the octet after its last.
    #[cfg(test)]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.ranges.iter().map(|range| (range.start, range.end))
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
        assembler.advance(10_000);
        assert!(assembler.is_empty());
        assert_eq!(assembler.ranges.capacity(), 0);
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
