//! From a four-tuple to what it stands for, in constant time.

use arrayvec::ArrayVec;

use super::flow::FlowEntry;
use crate::collections::{PagedTable, Slab, index_of, new_key_type};
use crate::rng::{KeyedHash, Rng};
use crate::wire::FourTuple;

new_key_type! {
    /// A flow, for as long as it lives; a stale handle finds nothing.
    pub(crate) struct FlowId;
}

/// Both ends of a segment and their hash, which is taken once for all who ask for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashed {
    /// Both ends.
    pub(super) tuple: FourTuple,
    /// What [`Flows::hash`] says of them.
    pub(super) hash: u64,
}

/// All flows: the entries in a slab, and a table of their places under a keyed hash.
///
/// The four-tuple stands once, in the slab; the table holds places. The hash has a secret key, so
/// that nobody outside can choose addresses that collide.
#[derive(Debug)]
pub(super) struct Flows {
    entries: Slab<FlowId, FlowEntry>,
    table: PagedTable<u32>,
    key: KeyedHash,
}

impl Flows {
    /// No flows.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { entries: Slab::new(), table: PagedTable::new(), key: rng.key() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A hash of both ends that nobody outside can foretell.
    pub(super) fn hash(&self, tuple: &FourTuple) -> u64 {
        tuple.keyed_hash(&self.key)
    }

    /// Both ends with their hash.
    pub(super) fn hashed(&self, tuple: FourTuple) -> Hashed {
        Hashed { tuple, hash: self.hash(&tuple) }
    }

    /// The flow between these two ends.
    pub(super) fn find(&self, tuple: &FourTuple) -> Option<FlowId> {
        self.find_hashed(&self.hashed(*tuple))
    }

    /// The flow between these two ends.
    pub(super) fn find_hashed(&self, ends: &Hashed) -> Option<FlowId> {
        let mut found = None;
        self.table.find(ends.hash, |&index| {
            let entry = self.entries.at(index).filter(|(_, entry)| entry.tuple == ends.tuple);
            found = entry.map(|(id, _)| id);
            found.is_some()
        });
        found
    }

    /// The entries of flows with these hashes, as far as can be told without looking at them. Each
    /// step is taken for all before the next, so that they wait for memory together.
    pub(super) fn look_for<const N: usize>(&self, hashes: &[u64]) -> ArrayVec<&FlowEntry, N> {
        let beside = hashes.iter().map(|&hash| self.table.beside(hash)).sum::<usize>();
        std::hint::black_box(beside);
        let first = |&hash: &u64| self.table.find(hash, |_| true).copied();
        let places: ArrayVec<u32, N> = hashes.iter().filter_map(first).collect();
        let entries = places.iter().filter_map(|&place| self.entries.at(place));
        entries.map(|(_, entry)| entry).collect()
    }

    /// Adds a flow; its four-tuple, of which `hash` is the hash, must be free.
    pub(super) fn insert(&mut self, hash: u64, entry: FlowEntry) -> FlowId {
        debug_assert!(self.find(&entry.tuple).is_none(), "the four-tuple is in use");
        debug_assert_eq!(self.hash(&entry.tuple), hash, "the hash of another");
        let id = self.entries.insert(entry);
        let Self { entries, table, key } = self;
        table.insert(hash, index_of(id), |&index| hash_at(entries, key, index));
        id
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<FlowEntry> {
        let Self { entries, table, key } = self;
        let hash = entries.get(id)?.tuple.keyed_hash(key);
        let is_it = |&index: &u32| index == index_of(id);
        table.remove(hash, is_it, |&index| hash_at(entries, key, index));
        entries.remove(id)
    }

    /// The entry of a flow.
    pub(super) fn get(&self, id: FlowId) -> Option<&FlowEntry> {
        self.entries.get(id)
    }

    /// The entry of a flow.
    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut FlowEntry> {
        self.entries.get_mut(id)
    }

    /// The flow at a place of the slab.
    pub(super) fn at(&self, index: u32) -> Option<FlowId> {
        self.entries.at(index).map(|(id, _)| id)
    }

    /// The first entries in slab order, as far as so many looks at a place bring us.
    pub(super) fn first(&self, looks: usize) -> impl Iterator<Item = (FlowId, &FlowEntry)> {
        self.entries.first(looks)
    }

    /// All entries, in slab order. For people and for the end of a stack, not for the data path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowId, &FlowEntry)> {
        self.entries.iter()
    }
}

/// The hash of the flow at a place.
fn hash_at(entries: &Slab<FlowId, FlowEntry>, key: &KeyedHash, index: u32) -> u64 {
    entries.at(index).map_or(0, |(_, entry)| entry.tuple.keyed_hash(key))
}

#[cfg(test)]
#[path = "tests/demux.rs"]
mod tests;
