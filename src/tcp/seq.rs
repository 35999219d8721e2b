//! Positions and ranges in a TCP sequence space (RFC 9293 §3.4).

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A position in a TCP sequence space: 32 bits that wrap (RFC 9293 §3.4).
///
/// Not `Ord`: "before" holds only between numbers less than 2^31 apart, so it is no total order
/// and must not reach `max`, `sort` or a `BTreeMap`. No operation here can panic, whatever a
/// peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SeqNumber(pub(crate) u32);

impl SeqNumber {
    /// Whether `self` precedes `other`. Of two numbers 2^31 apart, neither does.
    pub(crate) fn before(self, other: Self) -> bool {
        other - self > 0
    }

    /// Whether `self` is `other` or precedes it. Of two numbers 2^31 apart, neither is or does.
    pub(crate) fn at_or_before(self, other: Self) -> bool {
        self == other || self.before(other)
    }

    /// Whether `self` follows `other`. Of two numbers 2^31 apart, neither does.
    pub(crate) fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether `self` is `other` or follows it. Of two numbers 2^31 apart, neither is or does.
    pub(crate) fn at_or_after(self, other: Self) -> bool {
        self == other || self.after(other)
    }

    /// The later of two positions.
    pub(crate) fn max_of(a: Self, b: Self) -> Self {
        if a.before(b) { b } else { a }
    }
}

/// The number alone: it stands in many lines of traces.
impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `self + n`: the position `n` octets later.
impl Add<u32> for SeqNumber {
    type Output = Self;

    fn add(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }
}

/// Moves on by so many octets.
impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

/// `self - n`: the position `n` octets earlier.
impl Sub<u32> for SeqNumber {
    type Output = Self;

    fn sub(self, octets: u32) -> Self {
        Self(self.0.wrapping_sub(octets))
    }
}

/// `a - b`: how many octets `a` is past `b`; negative when it is before.
impl Sub for SeqNumber {
    type Output = i32;

    fn sub(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// The octets from `start` up to and without `end`, at most 2^31 - 1 of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SeqRange {
    /// The first octet.
    pub(crate) start: SeqNumber,
    /// The octet after the last.
    pub(crate) end: SeqNumber,
}

impl SeqRange {
    /// The `len` octets from `start` on.
    pub(crate) fn at(start: SeqNumber, len: u32) -> Self {
        Self { start, end: start + len }
    }

    /// How many octets it has; 0 if its end is not after its start.
    pub(crate) fn len(self) -> u32 {
        u32::try_from(self.end - self.start).unwrap_or(0)
    }

    /// Whether it has no octet.
    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `seq` is one of its octets.
    pub(crate) fn contains(self, seq: SeqNumber) -> bool {
        seq.at_or_after(self.start) && seq.before(self.end)
    }

    /// Whether the two have an octet in common, or no gap between them.
    pub(crate) fn touches(self, other: Self) -> bool {
        self.start.at_or_before(other.end) && other.start.at_or_before(self.end)
    }

    /// From the earlier start to the later end.
    pub(crate) fn joined(self, other: Self) -> Self {
        let is_first = self.start.before(other.start);
        let start = if is_first { self.start } else { other.start };
        Self { start, end: SeqNumber::max_of(self.end, other.end) }
    }
}

/// `start..end`.
impl fmt::Debug for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{:?}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values at which comparison can go wrong: both ends of the space and its middle.
    const EDGES: [u32; 6] = [0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, u32::MAX];

    #[test]
    fn a_number_is_before_the_next_2_to_the_31_and_no_other() {
        for start in EDGES.map(SeqNumber) {
            for octets in EDGES {
                let is_before = start.before(start + octets);
                assert_eq!(is_before, (1..1 << 31).contains(&octets), "{start:?} + {octets}");
            }
        }
    }

    #[test]
    fn after_is_before_the_other_way_round_and_equality_belongs_to_both() {
        for a in EDGES.map(SeqNumber) {
            for b in EDGES.map(SeqNumber) {
                assert_eq!(a.after(b), b.before(a), "{a:?} {b:?}");
                let has_order = (a - b).unsigned_abs() != 1 << 31;
                assert_eq!(a.at_or_before(b), has_order && !a.after(b), "{a:?} {b:?}");
                assert_eq!(a.at_or_after(b), has_order && !a.before(b), "{a:?} {b:?}");
            }
            assert!(a.at_or_before(a) && a.at_or_after(a) && !a.before(a) && !a.after(a));
        }
    }

    #[test]
    fn the_later_of_two_is_found_across_the_wrap() {
        let (old, new) = (SeqNumber(u32::MAX), SeqNumber(3));
        assert_eq!(SeqNumber::max_of(old, new), new);
        assert_eq!(SeqNumber::max_of(new, old), new);
    }

    #[test]
    fn adding_and_subtracting_cancel_out() {
        for start in EDGES.map(SeqNumber) {
            for octets in EDGES {
                let mut moved = start;
                moved += octets;
                assert_eq!(moved - octets, start);
                assert_eq!(moved - start, octets.cast_signed());
            }
        }
    }

    #[test]
    fn a_range_holds_its_start_and_not_its_end() {
        for start in EDGES.map(SeqNumber) {
            let range = SeqRange::at(start, 10);
            assert_eq!((range.len(), range.is_empty()), (10, false));
            assert!(range.contains(start) && range.contains(start + 9));
            assert!(!range.contains(start + 10) && !range.contains(start - 1));
            let nothing = SeqRange::at(start, 0);
            assert!(nothing.is_empty() && !nothing.contains(start));
        }
    }

    #[test]
    fn debug_prints_the_number_alone() {
        assert_eq!(format!("{:?}", SeqRange::at(SeqNumber(7), 2)), "7..9");
    }
}
