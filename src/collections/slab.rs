//! A slab of pages: what is in it never moves, and it never holds twice the memory that it needs.

use slotmap::{Key, KeyData};

/// Entries of a page: so many that the list of pages is short, and so few that one that is about
/// to fill costs little.
const PAGE: u32 = 512;

/// Values under keys that know when they are stale.
///
/// `slotmap::SlotMap` keeps all in one vector: when that is full it takes as much again and copies
/// everything, so that a million connections stand still while they move, and half of the memory
/// may lie idle for good. Here only pages are added. A page that has become empty is given back,
/// but for one, so that a slab that is about to fill a page does not take and give with each call.
///
/// Of free places the one that was left last is taken first, so that equal calls give equal keys.
#[derive(Debug)]
pub(crate) struct Slab<K, V> {
    pages: Vec<Page<V>>,
    /// Pages with a free place. The last of them is filled first.
    open: Vec<u32>,
    /// The empty page that has kept its memory.
    spare: Option<u32>,
    len: usize,
    key: std::marker::PhantomData<K>,
}

#[derive(Debug)]
struct Page<V> {
    /// Grows by doubling up to a page, and is without memory while nothing lies here.
    slots: Vec<Slot<V>>,
    /// The free place that was left last, and by its slot the others.
    free: Option<u16>,
    held: u16,
    is_open: bool,
    /// The version of places that have no slot yet: past all that there were.
    version: u32,
}

#[derive(Debug)]
struct Slot<V> {
    /// Odd while a value is here; a key has that of its own.
    version: u32,
    place: Place<V>,
}

#[derive(Debug)]
enum Place<V> {
    Held(V),
    /// The free place that was left before.
    Free(Option<u16>),
}

impl<K: Key, V> Slab<K, V> {
    /// An empty slab, without memory.
    pub(crate) fn new() -> Self {
        let (pages, open) = (Vec::new(), Vec::new());
        Self { pages, open, spare: None, len: 0, key: std::marker::PhantomData }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts a value in.
    pub(crate) fn insert(&mut self, value: V) -> K {
        let number = self.open_page();
        if self.spare == Some(number) {
            self.spare = None;
        }
        let page = &mut self.pages[number as usize];
        let (place, version) = page.insert(value);
        if page.is_full() {
            page.is_open = false;
            self.open.pop();
        }
        self.len += 1;
        key(number * PAGE + u32::from(place), version)
    }

    /// The page that is filled next.
    fn open_page(&mut self) -> u32 {
        if let Some(&number) = self.open.last() {
            return number;
        }
        let number = u32::try_from(self.pages.len()).expect("2^32 entries do not fit into memory");
        self.pages.push(Page::new());
        self.open.push(number);
        number
    }

    /// Takes a value out; its key is stale from now on.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let (number, place, version) = parts(key);
        let page = self.pages.get_mut(number)?;
        let value = page.remove(place, version)?;
        let number = index_of(key) / PAGE;
        self.len -= 1;
        if !page.is_open {
            page.is_open = true;
            self.open.push(number);
        }
        if page.held == 0 {
            match self.spare {
                Some(_) => page.give_back(),
                None => self.spare = Some(number),
            }
        }
        Some(value)
    }

    fn slot(&self, key: K) -> Option<&Slot<V>> {
        let (number, place, version) = parts(key);
        let slot = self.pages.get(number)?.slots.get(place)?;
        (slot.version == version).then_some(slot)
    }

    /// The value of a key, unless that is stale.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.slot(key)?.value()
    }

    /// The value of a key, unless that is stale.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let (number, place, version) = parts(key);
        let slot = self.pages.get_mut(number)?.slots.get_mut(place)?;
        if slot.version != version {
            return None;
        }
        match &mut slot.place {
            Place::Held(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Whether a key is not stale.
    pub(crate) fn contains_key(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    /// What lies at the place that a key [names](index_of), and its whole key.
    pub(crate) fn at(&self, index: u32) -> Option<(K, &V)> {
        let (number, place) = place_of(index);
        let slot = self.pages.get(number)?.slots.get(place)?;
        Some((key(index, slot.version), slot.value()?))
    }

    /// All values with their keys, by their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        (0u32..).zip(&self.pages).flat_map(|(number, page)| {
            let slots = (number * PAGE..).zip(&page.slots);
            slots.filter_map(|(index, slot)| Some((key(index, slot.version), slot.value()?)))
        })
    }

    /// The first values by their places, as many as are found by `looks` at a place or at a page
    /// that is empty: those who must not walk over what a rush has left.
    pub(crate) fn first(&self, looks: usize) -> impl Iterator<Item = (K, &V)> {
        let looked_at = (0u32..).zip(&self.pages).flat_map(|(number, page)| {
            let slots = if page.held == 0 { &[] } else { page.slots.as_slice() };
            let values = (number * PAGE..).zip(slots);
            let values =
                values.map(|(index, slot)| Some((key(index, slot.version), slot.value()?)));
            std::iter::once(None).chain(values)
        });
        looked_at.take(looks).flatten()
    }

    /// All keys, by their places.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }
}

impl<K, V> Slab<K, V> {
    /// All values, by their places.
    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        let slots = self.pages.into_iter().flat_map(|page| page.slots);
        slots.filter_map(|slot| match slot.place {
            Place::Held(value) => Some(value),
            Place::Free(_) => None,
        })
    }
}

impl<K: Key, V> Default for Slab<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Page<V> {
    fn new() -> Self {
        Self { slots: Vec::new(), free: None, held: 0, is_open: true, version: 0 }
    }

    fn is_full(&self) -> bool {
        u32::from(self.held) == PAGE
    }

    /// Puts a value into a page that is not full: where, and under which version.
    fn insert(&mut self, value: V) -> (u16, u32) {
        self.held += 1;
        if let Some(place) = self.free
            && let Some(slot) = self.slots.get_mut(usize::from(place))
            && let Place::Free(next) = slot.place
        {
            self.free = next;
            slot.version = slot.version.wrapping_add(1);
            slot.place = Place::Held(value);
            return (place, slot.version);
        }
        let place = u16::try_from(self.slots.len()).expect("a page has few places");
        let version = self.version.wrapping_add(1);
        self.slots.push(Slot { version, place: Place::Held(value) });
        (place, version)
    }

    fn remove(&mut self, place: usize, version: u32) -> Option<V> {
        let slot = self.slots.get_mut(place)?;
        if slot.version != version || matches!(slot.place, Place::Free(_)) {
            return None;
        }
        slot.version = version.wrapping_add(1);
        let was = std::mem::replace(&mut slot.place, Place::Free(self.free));
        self.free = u16::try_from(place).ok();
        self.held -= 1;
        match was {
            Place::Held(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    /// Gives the memory of an empty page back. No key of its old places fits a later one.
    fn give_back(&mut self) {
        let versions = self.slots.iter().map(|slot| slot.version);
        self.version = versions.max().unwrap_or(self.version);
        (self.slots, self.free) = (Vec::new(), None);
    }
}

impl<V> Slot<V> {
    fn value(&self) -> Option<&V> {
        match &self.place {
            Place::Held(value) => Some(value),
            Place::Free(_) => None,
        }
    }
}

/// The number of a key's place: no two keys that are in use have the same.
pub(crate) fn index_of(key: impl Key) -> u32 {
    let [i0, i1, i2, i3, ..] = key.data().as_ffi().to_le_bytes();
    u32::from_le_bytes([i0, i1, i2, i3]).wrapping_sub(1)
}

/// What tells a key from earlier ones of the same place.
pub(super) fn version_of(key: impl Key) -> u32 {
    let [.., v0, v1, v2, v3] = key.data().as_ffi().to_le_bytes();
    u32::from_le_bytes([v0, v1, v2, v3])
}

/// `slotmap` counts its places from 1, and its secondary maps pass over what stands at 0.
fn key<K: Key>(index: u32, version: u32) -> K {
    KeyData::from_ffi(u64::from(version) << 32 | (u64::from(index) + 1)).into()
}

/// Page, and place in it.
fn place_of(index: u32) -> (usize, usize) {
    ((index / PAGE) as usize, (index % PAGE) as usize)
}

/// Page, place in it and version.
fn parts(key: impl Key) -> (usize, usize, u32) {
    let (page, place) = place_of(index_of(key));
    (page, place, version_of(key))
}

#[cfg(test)]
#[path = "tests/slab.rs"]
mod tests;
