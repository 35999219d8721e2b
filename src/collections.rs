//! Containers whose order follows from what was put in, never from an address or a random state.
//!
//! Handles that know when they are stale come from the `slotmap` crate, hash tables from
//! `hashbrown` under a [`KeyedHash`](crate::rng::KeyedHash); no code of the core iterates over a
//! hash table. What there may be a million of stands in slabs and a table of our own, which
//! grow by pages.

mod paged_table;
mod slab;
mod sparse;

use std::collections::VecDeque;

pub(crate) use self::paged_table::PagedTable;
pub(crate) use self::slab::{Slab, index_of};
pub(crate) use self::sparse::Sparse;

pub(crate) use slotmap::{SecondaryMap, SlotMap, new_key_type};

/// Room that a [`OnceQueue`] keeps when it is empty, in members.
const ROOM_MAX: usize = 4096;

/// Stale handles that a [`OnceQueue`] may hold before it is swept, however few members there are.
const STALE_MAX: usize = 64;

/// A queue in which a member stands at most once.
///
/// Membership is a bit that the member's owner keeps (`queued`), so that joining twice costs
/// nothing and the queue never outgrows the number of members, even if nobody drains it. A member
/// that has gone in the meantime stays as a stale handle until it is popped or swept; whoever pops
/// skips it.
#[derive(Clone, Debug)]
pub(crate) struct OnceQueue<K> {
    queue: VecDeque<K>,
}

impl<K> Default for OnceQueue<K> {
    fn default() -> Self {
        Self { queue: VecDeque::new() }
    }
}

impl<K: Copy> OnceQueue<K> {
    /// Appends `member`, unless its bit says that it waits already.
    pub(crate) fn join(&mut self, member: K, queued: &mut bool) {
        if !*queued {
            *queued = true;
            self.queue.push_back(member);
        }
    }

    /// Forgets stale handles once more than half of the queue must be stale, since there are only
    /// `members`: those that come and go must not make it grow if nobody drains it.
    pub(crate) fn sweep(&mut self, members: usize, is_live: impl Fn(K) -> bool) {
        if self.queue.len() > members.saturating_mul(2).saturating_add(STALE_MAX) {
            self.queue.retain(|&member| is_live(member));
        }
    }

    /// How many stand in it, stale ones included.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// All that stand in it, the one first that has waited longest; stale ones included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = K> {
        self.queue.iter().copied()
    }

    /// Takes the member that has waited longest; the caller clears its bit.
    pub(crate) fn pop(&mut self) -> Option<K> {
        let first = self.queue.pop_front()?;
        if self.queue.is_empty() && self.queue.capacity() > ROOM_MAX {
            self.queue.shrink_to(ROOM_MAX); // After a rush it does not keep the room of the rush.
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stands_in_the_queue_once() {
        let mut queue = OnceQueue::default();
        let mut queued = false;
        queue.join(7, &mut queued);
        queue.join(7, &mut queued);
        assert_eq!((queue.pop(), queue.pop()), (Some(7), None));
    }

    #[test]
    fn a_queue_does_not_keep_the_room_of_a_rush() {
        let mut queue = OnceQueue::default();
        for member in 0..100_000 {
            queue.join(member, &mut false);
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 100_000);
        assert_eq!(queue.queue.capacity(), ROOM_MAX);
    }

    #[test]
    fn members_that_come_and_go_do_not_make_a_queue_grow() {
        let mut queue = OnceQueue::default();
        for member in 0..10_000 {
            queue.join(member, &mut false);
            queue.sweep(1, |other| other == member);
            assert!(queue.queue.len() <= 66);
        }
        assert_eq!(queue.queue.back(), Some(&9_999));
    }
}
