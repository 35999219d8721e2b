//! A hash table that grows by a page at a time.

use hashbrown::HashTable;

/// Entries of a page on average, at most: the work of one call is a few times this.
const LOAD: usize = 64;

/// Pages of a chunk of the directory.
const CHUNK: usize = 256;

/// A hash table without a moment in which all of it moves: linear hashing (W. Litwin, 1980), with a
/// small hash table as each of its pages.
///
/// One that doubles takes the hash of each of a million entries anew between two packets, and
/// holds all of them twice meanwhile. Here an insertion that makes the pages too full on average
/// splits one of them, the next in turn, and a removal that leaves them too empty joins the last
/// one with that from which it came. A hash is found on the page that its lowest `k + 1` bits name,
/// or `k` bits if that page is not there yet:
///
/// ```text
///    │ split in this round │ not yet          │ split off          │ not there yet │
///    0                     turn               2^k           2^k + turn         2^(k + 1)
/// ```
///
/// What a hash table takes of the hash itself are its lowest and its highest bits; pages have those
/// between.
#[derive(Debug)]
pub(crate) struct PagedTable<T> {
    /// The pages, in chunks, so that their list does not move as a whole either.
    chunks: Vec<Vec<HashTable<T>>>,
    pages: usize,
    len: usize,
}

impl<T> PagedTable<T> {
    /// No entries.
    pub(crate) fn new() -> Self {
        Self { chunks: vec![vec![HashTable::new()]], pages: 1, len: 0 }
    }

    /// The entry with this hash that `is_it`.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let number = page_of(hash, self.pages);
        self.chunks[number / CHUNK][number % CHUNK].find(hash, is_it)
    }

    /// The number of entries beside the one with this hash: whoever asks has been to its page.
    pub(crate) fn beside(&self, hash: u64) -> usize {
        let number = page_of(hash, self.pages);
        self.chunks[number / CHUNK][number % CHUNK].len()
    }

    /// Adds an entry. `hash_of` is the hash of any.
    pub(crate) fn insert(&mut self, hash: u64, entry: T, hash_of: impl Fn(&T) -> u64) {
        self.page(page_of(hash, self.pages)).insert_unique(hash, entry, &hash_of);
        self.len += 1;
        if self.len > self.pages * LOAD {
            self.split(hash_of);
        }
    }

    /// Takes out the entry with this hash that `is_it`. `hash_of` is the hash of any other.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        is_it: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Option<T> {
        let found = self.page(page_of(hash, self.pages)).find_entry(hash, is_it).ok()?;
        let (entry, _) = found.remove();
        self.len -= 1;
        if self.pages > 1 && self.len < self.pages * (LOAD / 2) {
            self.join(hash_of);
        }
        Some(entry)
    }

    fn page(&mut self, number: usize) -> &mut HashTable<T> {
        &mut self.chunks[number / CHUNK][number % CHUNK]
    }

    /// Moves about half of the page whose turn it is to a new one.
    fn split(&mut self, hash_of: impl Fn(&T) -> u64) {
        let new = self.pages;
        self.pages += 1;
        let whole = std::mem::take(self.page(origin_of(new)));
        let entries: Vec<_> = whole.into_iter().map(|entry| (hash_of(&entry), entry)).collect();
        let moves = |hash| page_of(hash, new + 1) == new;
        let moving = entries.iter().filter(|(hash, _)| moves(*hash)).count();
        let mut split_off = HashTable::with_capacity(moving);
        let mut left = HashTable::with_capacity(entries.len() - moving);
        for (hash, entry) in entries {
            let half = if moves(hash) { &mut split_off } else { &mut left };
            half.insert_unique(hash, entry, &hash_of);
        }
        *self.page(origin_of(new)) = left;
        if new.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::new());
        }
        self.chunks[new / CHUNK].push(split_off);
    }

    /// Moves all of the last page to the one from which it came.
    fn join(&mut self, hash_of: impl Fn(&T) -> u64) {
        self.pages -= 1;
        let last = self.pages;
        let Some(leaving) = self.chunks[last / CHUNK].pop() else { return };
        if last.is_multiple_of(CHUNK) {
            self.chunks.pop();
        }
        let origin = self.page(origin_of(last));
        origin.reserve(leaving.len(), &hash_of);
        for entry in leaving {
            origin.insert_unique(hash_of(&entry), entry, &hash_of);
        }
    }
}

/// The page of a hash among so many.
fn page_of(hash: u64, pages: usize) -> usize {
    let [_, _, b2, b3, b4, b5, ..] = hash.to_le_bytes();
    let round = pages.next_power_of_two();
    let number = u32::from_le_bytes([b2, b3, b4, b5]) as usize & (round - 1);
    if number < pages { number } else { number - round / 2 }
}

/// The page from which a page was split off, which is not the first.
fn origin_of(page: usize) -> usize {
    page ^ (1 << page.ilog2())
}

#[cfg(test)]
#[path = "tests/paged_table.rs"]
mod tests;
