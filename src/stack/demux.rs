//! From a four-tuple to what it stands for, in constant time.

use super::flow::FlowEntry;
use crate::collections::{HashTable, SlotMap, new_key_type};
use crate::rng::{KeyedHash, Rng};
use crate::wire::FourTuple;

new_key_type! {
    /// A flow, for as long as it lives; a stale handle finds nothing.
    pub(super) struct FlowId;
}

/// All flows: the entries in a slab, and a table of handles under a keyed hash.
///
/// The four-tuple stands once, in the slab; the table holds handles. The hash has a secret key, so
/// that nobody outside can choose addresses that collide.
#[derive(Debug)]
pub(super) struct Flows {
    entries: SlotMap<FlowId, FlowEntry>,
    table: HashTable<FlowId>,
    key: KeyedHash,
}

impl Flows {
    /// No flows.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { entries: SlotMap::with_key(), table: HashTable::new(), key: rng.key() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A hash of both ends that nobody outside can foretell.
    pub(super) fn hash(&self, tuple: &FourTuple) -> u64 {
        self.key.hash(tuple)
    }

    /// The flow between these two ends.
    pub(super) fn find(&self, tuple: &FourTuple) -> Option<FlowId> {
        let is_same = |&id: &FlowId| self.entries.get(id).is_some_and(|e| e.tuple == *tuple);
        self.table.find(self.key.hash(tuple), is_same).copied()
    }

    /// Adds a flow; its four-tuple must be free.
    pub(super) fn insert(&mut self, entry: FlowEntry) -> FlowId {
        debug_assert!(self.find(&entry.tuple).is_none(), "the four-tuple is in use");
        let hash = self.key.hash(entry.tuple);
        let id = self.entries.insert(entry);
        let Self { entries, table, key } = self;
        table.insert_unique(hash, id, |&id| {
            entries.get(id).map_or(0, |entry| key.hash(entry.tuple))
        });
        id
    }

    /// Takes a flow out.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<FlowEntry> {
        let hash = self.key.hash(self.entries.get(id)?.tuple);
        if let Ok(found) = self.table.find_entry(hash, |&other| other == id) {
            found.remove();
        }
        self.entries.remove(id)
    }

    /// The entry of a flow.
    pub(super) fn get(&self, id: FlowId) -> Option<&FlowEntry> {
        self.entries.get(id)
    }

    /// The entry of a flow.
    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut FlowEntry> {
        self.entries.get_mut(id)
    }

    /// All entries, in slab order. For people and for the end of a stack, not for the data path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowId, &FlowEntry)> {
        self.entries.iter()
    }
}

#[cfg(test)]
#[path = "tests/demux.rs"]
mod tests;
