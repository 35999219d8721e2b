//! Who has something to do at which time: a hierarchical timer wheel with one entry a connection.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use slotmap::Key;

use crate::collections::Sparse;
use crate::time::Instant;

/// A tick is 2^20 ns, about a millisecond: what the wheel tells apart.
const TICK_BITS: u32 = 20;

/// 2^6 slots a level: as many as a word of the occupancy bitmap has bits.
const SLOT_BITS: u32 = 6;

/// Slots of a level.
const SLOTS: usize = 1 << SLOT_BITS;

/// Eight levels of six bits hold every tick that a 64-bit `Instant` can have, so that there is no
/// horizon beyond which an entry would need another home.
const LEVELS: usize = 8;

/// Room that the heap keeps when it is empty, in entries.
const HEAP_KEPT: usize = 4096;

/// Stale entries that the heap may hold before it is swept, however few live ones there are.
const STALE_MAX: usize = 64;

/// When each key next wants to be called: never early, and in order to the nanosecond.
///
/// ```text
///   tick ≤ cursor        next 64 ticks          next 64 × 64 …
///  ┌─────────────┐   ┌──┬──┬──┬─ … ─┬──┐   ┌──┬──┬──┬─ … ─┬──┐
///  │ heap: exact │ ◀─│  │  │  │     │  │ ◀─│  │  │  │     │  │ ◀─ … eight levels
///  └─────────────┘   └──┴──┴──┴─ … ─┴──┘   └──┴──┴──┴─ … ─┴──┘
/// ```
///
/// An entry lies at the level of the highest six bits in which its tick differs from the cursor's.
/// So all of a level comes before all of the next, and the first occupied slot of the lowest
/// occupied level holds the earliest entry. When time reaches a slot, its entries move down; those
/// of the current tick stand in a heap, which alone knows the order within a tick. An entry moves
/// at most eight times, and mostly never: a deadline that has been put off stays where it is until
/// it comes up, and its owner arms it anew.
///
/// Lists are linked through the nodes. A page of nodes and some of the heap's memory are kept, so
/// that arming again allocates nothing; who waits for nothing has no node.
#[derive(Debug)]
pub(crate) struct Deadlines<K: Key> {
    nodes: Sparse<K, Node<K>>,
    /// `LEVELS` × `SLOTS` lists, level by level.
    slots: Vec<Slot<K>>,
    /// Which slots of each level are not empty.
    occupied: [u64; LEVELS],
    /// Entries of ticks up to the cursor's. Those whose node has gone or moved are stale.
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// How many of them are not stale.
    in_heap: usize,
    /// The tick that has been reached.
    cursor: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node<K> {
    at: Instant,
    place: Place,
    prev: K,
    next: K,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Heap,
    Slot { level: u8, slot: u8 },
}

#[derive(Clone, Copy, Debug)]
struct Slot<K> {
    head: K,
    tail: K,
    /// No entry is earlier. The earliest may have left in the meantime: a bound costs no search.
    earliest: Instant,
}

impl<K: Key> Default for Deadlines<K> {
    fn default() -> Self {
        let empty = Slot { head: K::null(), tail: K::null(), earliest: Instant::ZERO };
        Self {
            nodes: Sparse::new(),
            slots: vec![empty; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            heap: BinaryHeap::new(),
            in_heap: 0,
            cursor: 0,
        }
    }
}

impl<K: Key> Deadlines<K> {
    /// `key` wants to be called at `at`, or earlier if that is what it has asked for before.
    ///
    /// A later time changes nothing: the entry comes up at the old one, and the caller, who then
    /// asks the connection for its real deadline, arms it with that.
    pub(crate) fn arm(&mut self, key: K, at: Instant) {
        if let Some(node) = self.nodes.get(key) {
            if node.at <= at {
                return;
            }
            self.disarm(key);
        }
        let entries = self.nodes.len();
        let node = Node { at, place: Place::Heap, prev: K::null(), next: K::null() };
        self.nodes.insert(key, node);
        debug_assert_eq!(
            self.nodes.len(),
            entries + 1,
            "a key is disarmed before the slab gives its place to another"
        );
        self.place(key, at);
    }

    /// `key` is gone, or has nothing to wait for. Must be called before the slab of the keys gives
    /// its place to another.
    pub(crate) fn disarm(&mut self, key: K) {
        let Some(node) = self.nodes.remove(key) else {
            return;
        };
        match node.place {
            Place::Heap => {
                self.in_heap -= 1;
                self.sweep();
            }
            Place::Slot { level, slot } => self.unlink(&node, level, slot),
        }
    }

    /// When `key` is called, if it is at all.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn of(&self, key: K) -> Option<Instant> {
        self.nodes.get(key).map(|node| node.at)
    }

    /// How many keys want to be called.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// When [`Deadlines::expire`] may next have something to say; never later than that.
    ///
    /// It is the earliest time itself, unless an entry of the same slot was the earliest and has
    /// been disarmed or moved: then it may be too early, by less than the slot's width, once.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        self.drop_stale();
        if let Some(&Reverse((at, _))) = self.heap.peek() {
            return Some(at);
        }
        let (level, slot) = self.first_occupied()?;
        Some(self.slot(level, slot).earliest)
    }

    /// Takes out the earliest entry, if its time has come; of equal ones, that of the lowest key.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<K> {
        self.advance(tick(now));
        self.drop_stale();
        let &Reverse((at, key)) = self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        self.nodes.remove(key);
        self.in_heap -= 1;
        Some(key)
    }

    /// Moves the cursor to `target`, and every entry up to it into the heap.
    fn advance(&mut self, target: u64) {
        while let Some((level, slot)) = self.first_occupied() {
            let start = self.start(level, slot);
            if start > target {
                break;
            }
            self.cursor = start;
            self.move_down(level, slot);
        }
        // No slot begins in between, so every entry keeps the level that it has.
        self.cursor = self.cursor.max(target);
    }

    /// Empties a slot that the cursor has reached; its entries go to lower levels or to the heap.
    fn move_down(&mut self, level: u8, slot: u8) {
        let list = self.slot_mut(level, slot);
        let mut key = list.head;
        list.head = K::null();
        list.tail = K::null();
        self.occupied[usize::from(level)] &= !(1 << slot);
        while let Some(node) = self.nodes.get(key) {
            let (at, next) = (node.at, node.next);
            self.place(key, at);
            key = next;
        }
    }

    /// Puts an entry where its time belongs, seen from the cursor. Its node is in no list.
    fn place(&mut self, key: K, at: Instant) {
        let tick = tick(at);
        if tick <= self.cursor {
            self.link(key, Place::Heap, K::null());
            self.in_heap += 1;
            self.heap.push(Reverse((at, key)));
            return;
        }
        let level = (tick ^ self.cursor).ilog2() / SLOT_BITS;
        let slot = six_bits(tick >> (SLOT_BITS * level));
        let level = six_bits(u64::from(level));
        let is_empty = self.occupied[usize::from(level)] & 1 << slot == 0;
        self.occupied[usize::from(level)] |= 1 << slot;

        let list = self.slot_mut(level, slot);
        list.earliest = if is_empty { at } else { list.earliest.min(at) };
        let prev = std::mem::replace(&mut list.tail, key);
        if prev.is_null() {
            list.head = key;
        }
        if let Some(node) = self.nodes.get_mut(prev) {
            node.next = key;
        }
        self.link(key, Place::Slot { level, slot }, prev);
    }

    /// Writes into an entry's node where it stands now: at the end of its list.
    fn link(&mut self, key: K, place: Place, prev: K) {
        if let Some(node) = self.nodes.get_mut(key) {
            node.place = place;
            node.prev = prev;
            node.next = K::null();
        }
    }

    /// Takes an entry, whose node has been removed already, out of its slot's list.
    fn unlink(&mut self, gone: &Node<K>, level: u8, slot: u8) {
        match self.nodes.get_mut(gone.prev) {
            Some(prev) => prev.next = gone.next,
            None => self.slot_mut(level, slot).head = gone.next,
        }
        match self.nodes.get_mut(gone.next) {
            Some(next) => next.prev = gone.prev,
            None => self.slot_mut(level, slot).tail = gone.prev,
        }
        if self.slot(level, slot).head.is_null() {
            self.occupied[usize::from(level)] &= !(1 << slot);
        }
    }

    /// The slot that comes first: the first of the lowest level that has any.
    fn first_occupied(&self) -> Option<(u8, u8)> {
        (0u8..).zip(self.occupied).find_map(|(level, occupied)| {
            (occupied != 0).then(|| (level, six_bits(u64::from(occupied.trailing_zeros()))))
        })
    }

    /// The first tick of a slot.
    fn start(&self, level: u8, slot: u8) -> u64 {
        let shift = SLOT_BITS * u32::from(level);
        let above = self.cursor >> (shift + SLOT_BITS) << SLOT_BITS;
        (above | u64::from(slot)) << shift
    }

    fn slot(&self, level: u8, slot: u8) -> &Slot<K> {
        &self.slots[usize::from(level) * SLOTS + usize::from(slot)]
    }

    fn slot_mut(&mut self, level: u8, slot: u8) -> &mut Slot<K> {
        &mut self.slots[usize::from(level) * SLOTS + usize::from(slot)]
    }

    /// Pops what is stale off the top of the heap.
    fn drop_stale(&mut self) {
        while let Some(&Reverse((at, key))) = self.heap.peek() {
            if is_live(&self.nodes, at, key) {
                break;
            }
            self.heap.pop();
        }
        if self.heap.is_empty() && self.heap.capacity() > HEAP_KEPT {
            self.heap.shrink_to(HEAP_KEPT); // After a rush it does not keep the room of the rush.
        }
    }

    /// Sweeps the heap once more than half of it is stale: keys that come and go within one tick
    /// must not make it grow.
    fn sweep(&mut self) {
        if self.heap.len() <= 2 * self.in_heap + STALE_MAX {
            return;
        }
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.sort_unstable();
        entries.dedup();
        entries.retain(|&Reverse((at, key))| is_live(&self.nodes, at, key));
        self.heap = entries.into();
    }
}

/// Whether a heap's entry still says what its node says.
fn is_live<K: Key>(nodes: &Sparse<K, Node<K>>, at: Instant, key: K) -> bool {
    let node = nodes.get(key);
    node.is_some_and(|node| node.at == at && node.place == Place::Heap)
}

/// The tick in which a moment lies.
fn tick(at: Instant) -> u64 {
    at.as_nanos() >> TICK_BITS
}

/// The lowest six bits.
fn six_bits(n: u64) -> u8 {
    let [lowest, ..] = n.to_le_bytes();
    lowest % 64
}

#[cfg(test)]
#[path = "tests/deadlines.rs"]
mod tests;
