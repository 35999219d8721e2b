//! Identification of packets that may be fragmented on their way (RFC 6864).
//!
//! An ID must not come again for the same source, destination and protocol while fragments of the
//! earlier packet may be about (RFC 6864 §4.3), and nobody else may be able to foretell it or to
//! count our packets by it (RFC 7739 §3 says why, for IPv6). So each triple starts at a place of
//! its own, which a keyed hash decides, and counts from there. To keep memory fixed, triples share
//! counters; which ones do is secret as well. Where several shards send from one address, the
//! highest bits of an ID say which: so no two of them give the same.

use std::net::Ipv4Addr;

use crate::rng::{KeyedHash, Rng};
use crate::wire::steering::Share;

/// How many counters the triples share.
const COUNTERS: u64 = 1024;

/// The IDs of one host.
#[derive(Debug)]
pub(crate) struct Idents {
    key: KeyedHash,
    counters: Box<[u16]>,
    /// How many of the highest bits say which shard, and what they say.
    mark: (u32, u16),
}

impl Idents {
    /// Counters at 0; where each triple starts follows from `rng`.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { key: rng.key(), counters: (0..COUNTERS).map(|_| 0).collect(), mark: (0, 0) }
    }

    /// From now on every ID is one of those that `share` has to itself.
    pub(crate) fn set_share(&mut self, share: Share) {
        let bits = share.count().next_power_of_two().trailing_zeros().min(u16::BITS - 1);
        self.mark = (bits, u16::try_from(share.index()).unwrap_or(0));
    }

    /// The ID of the next packet from `source` to `destination` that holds `protocol`, the first of
    /// `count` that follow each other: none of the last 65,535 that this triple got, unless others
    /// of its counter sent in between; of so many fewer as there are shards.
    pub(crate) fn next(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        count: u16,
    ) -> u16 {
        let hash = self.key.hash((source, destination, protocol));
        let [h0, h1, ..] = hash.to_be_bytes();
        let start = u16::from_be_bytes([h0, h1]);
        let index = usize::try_from(hash % COUNTERS).expect("less than COUNTERS");
        let counter = &mut self.counters[index];
        let (bits, mark) = self.mark;
        let last = u16::MAX >> bits;
        let mut first = start.wrapping_add(*counter).wrapping_add(1) & last;
        let left = last - first;
        if bits > 0 && count.saturating_sub(1) > left {
            // The device counts on: what follows would be another shard's.
            *counter = counter.wrapping_add(left).wrapping_add(1);
            first = 0;
        }
        *counter = counter.wrapping_add(count);
        mark.checked_shl(u16::BITS - bits).unwrap_or(0) | first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use crate::wire::Steering;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
    const THERE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

    fn idents(seed: u64) -> Idents {
        Idents::new(&mut Rng::new(&Seed::from_number(seed)))
    }

    #[test]
    fn no_id_of_a_triple_comes_again_within_65536_packets() {
        let mut idents = idents(1);
        let ids: Vec<_> = (0..1 << 16).map(|_| idents.next(HERE, THERE, 17, 1)).collect();
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), 1 << 16);
        assert_eq!(idents.next(HERE, THERE, 17, 1), ids[0]);
    }

    #[test]
    fn ids_that_are_taken_together_follow_each_other_and_are_no_others() {
        let mut idents = idents(1);
        let first = idents.next(HERE, THERE, 17, 64);
        assert_eq!(idents.next(HERE, THERE, 17, 1), first.wrapping_add(64));
    }

    #[test]
    fn shards_of_one_address_give_no_id_twice() {
        for (count, each) in [(1u16, 1 << 16), (2, 1 << 15), (3, 1 << 14), (8, 1 << 13)] {
            let steering = Steering::new(count.try_into().unwrap(), &Seed::from_number(7));
            let mut distinct = std::collections::BTreeSet::new();
            for index in 0..steering.count() {
                let mut idents = idents(u64::try_from(index).unwrap());
                idents.set_share(Share::new(steering, index));
                distinct.extend((0..each).map(|_| idents.next(HERE, THERE, 17, 1)));
            }
            assert_eq!(distinct.len(), each * steering.count(), "{count} shards");
        }
    }

    #[test]
    fn ids_that_are_taken_together_are_all_of_the_same_shard() {
        let steering = Steering::new(4.try_into().unwrap(), &Seed::from_number(7));
        let mut idents = idents(1);
        idents.set_share(Share::new(steering, 2));
        let mut distinct = std::collections::BTreeSet::new();
        for count in (1..=64).cycle().take(400) {
            let first = idents.next(HERE, THERE, 17, count);
            for ident in first..=first + (count - 1) {
                assert_eq!(ident >> 14, 2, "{ident:#06x}");
                assert!(distinct.insert(ident), "{ident:#06x} came twice");
            }
        }
    }

    #[test]
    fn where_a_triple_starts_depends_on_all_of_it_and_on_the_seed() {
        let first = |seed, source, destination, protocol| {
            idents(seed).next(source, destination, protocol, 1)
        };
        let start = first(1, HERE, THERE, 17);
        assert_eq!(start, first(1, HERE, THERE, 17));
        for (seed, source, destination, protocol) in
            [(2, HERE, THERE, 17), (1, THERE, HERE, 17), (1, HERE, HERE, 17), (1, HERE, THERE, 1)]
        {
            assert_ne!(start, first(seed, source, destination, protocol));
        }
    }
}
