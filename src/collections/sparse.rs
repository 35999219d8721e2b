//! What few keys of a slab have: memory only where it is used.

use slotmap::Key;

use super::slab::{index_of, version_of};

/// Entries of a page.
const PAGE: usize = 128;

/// Values beside those of a [`Slab`](super::Slab), under the same keys, of which few have one.
///
/// `slotmap::SecondaryMap` has room for every key up to the largest that ever had a value. Here a
/// page on which nothing lies has no memory; one is kept for the next.
#[derive(Debug)]
pub(crate) struct Sparse<K, V> {
    pages: Vec<Page<V>>,
    spare: Option<Box<Slots<V>>>,
    len: usize,
    key: std::marker::PhantomData<K>,
}

/// Version and value of each place.
type Slots<V> = [Option<(u32, V)>; PAGE];

#[derive(Debug)]
struct Page<V> {
    /// `None` while nothing lies here.
    slots: Option<Box<Slots<V>>>,
    held: u16,
}

impl<K: Key, V> Sparse<K, V> {
    /// Nothing, without memory.
    pub(crate) fn new() -> Self {
        Self { pages: Vec::new(), spare: None, len: 0, key: std::marker::PhantomData }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// For how many values there is memory.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        let pages = self.pages.iter().filter(|page| page.slots.is_some()).count();
        (pages + usize::from(self.spare.is_some())) * PAGE
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let (page, place) = place_of(key);
        let (version, value) = self.pages.get(page)?.slots.as_ref()?[place].as_ref()?;
        (*version == version_of(key)).then_some(value)
    }

    /// The value of a key.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let (page, place) = place_of(key);
        let (version, value) = self.pages.get_mut(page)?.slots.as_mut()?[place].as_mut()?;
        (*version == version_of(key)).then_some(value)
    }

    /// Gives `key`, which is not null, a value. One of the same place goes, of `key` itself or of
    /// an earlier one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (number, place) = place_of(key);
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || Page { slots: None, held: 0 });
        }
        let page = &mut self.pages[number];
        let spare = &mut self.spare;
        let fresh = || spare.take().unwrap_or_else(|| Box::new([const { None }; PAGE]));
        let slots = page.slots.get_or_insert_with(fresh);
        let displaced = slots[place].replace((version_of(key), value));
        if displaced.is_none() {
            page.held += 1;
            self.len += 1;
        }
        displaced.map(|(_, value)| value)
    }

    /// Whether a later key of the same place has a value, so that `key` is stale.
    pub(crate) fn is_stale(&self, key: K) -> bool {
        let (page, place) = place_of(key);
        let slots = self.pages.get(page).and_then(|page| page.slots.as_ref());
        let held = slots.and_then(|slots| slots[place].as_ref());
        // Versions wrap, as sequence numbers do.
        held.is_some_and(|(version, _)| version_of(key).wrapping_sub(*version).cast_signed() < 0)
    }

    /// Takes the value of a key away.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let (number, place) = place_of(key);
        let page = self.pages.get_mut(number)?;
        let slots = page.slots.as_mut()?;
        let (_, value) = slots[place].take_if(|(version, _)| *version == version_of(key))?;
        page.held -= 1;
        self.len -= 1;
        if page.held == 0 {
            self.spare = page.slots.take(); // It is empty.
        }
        Some(value)
    }
}

fn place_of(key: impl Key) -> (usize, usize) {
    let index = index_of(key) as usize;
    (index / PAGE, index % PAGE)
}

impl<K: Key, V> Default for Sparse<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "tests/sparse.rs"]
mod tests;
