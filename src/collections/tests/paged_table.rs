//! The paged table against a sorted map, how much one call does, and the memory that it gives back.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::*;
use crate::rng::{KeyedHash, Rng, Seed};

fn key() -> KeyedHash {
    Rng::new(&Seed::from_number(7)).key()
}

/// Octets of memory behind the pages.
fn allocated(table: &PagedTable<u32>) -> usize {
    table.chunks.iter().flatten().map(HashTable::allocation_size).sum()
}

#[test]
fn what_is_put_in_is_found_and_what_is_taken_out_is_not() {
    let (mut rng, key) = (Rng::new(&Seed::from_number(1)), key());
    let hash_of = |entry: &u32| key.hash(entry);
    let (mut table, mut model) = (PagedTable::new(), BTreeSet::new());
    for step in 0..60_000u32 {
        // It fills up to many pages, more than a chunk has, and empties again.
        let is_filling = step / 25_000 % 2 == 0;
        if rng.below(10) < if is_filling { 9 } else { 1 } {
            table.insert(key.hash(step), step, hash_of);
            model.insert(step);
        } else if let Some(&gone) = model.range(step / 2..).next() {
            assert_eq!(table.remove(key.hash(gone), |&it| it == gone, hash_of), Some(gone));
            assert_eq!(table.remove(key.hash(gone), |&it| it == gone, hash_of), None);
            model.remove(&gone);
        }
        assert_eq!(table.len, model.len());
    }
    for number in 0..60_000 {
        let found = table.find(key.hash(number), |&it| it == number);
        assert_eq!(found.is_some(), model.contains(&number), "{number}");
    }
}

#[test]
fn no_call_moves_more_than_a_few_pages_of_entries() {
    const COUNT: u32 = 300_000;
    let (key, hashed) = (key(), Cell::new(0));
    let hash_of = |entry: &u32| {
        hashed.set(hashed.get() + 1);
        key.hash(entry)
    };
    let mut table = PagedTable::new();
    let (mut most, mut total) = (0, 0);
    let mut account = || {
        most = most.max(hashed.get());
        total += hashed.replace(0);
    };
    for number in 0..COUNT {
        table.insert(key.hash(number), number, hash_of);
        account();
    }
    assert!(table.pages > 16 * CHUNK);
    for number in 0..COUNT {
        assert!(table.remove(key.hash(number), |&it| it == number, hash_of).is_some());
        account();
    }
    assert!(most <= 8 * LOAD, "{most} in one call");
    assert!(total <= 8 * COUNT as usize, "{total} in all");
}

#[test]
fn memory_follows_the_entries_and_is_given_back() {
    let key = key();
    let hash_of = |entry: &u32| key.hash(entry);
    let mut table = PagedTable::new();
    for number in 0..200_000 {
        table.insert(key.hash(number), number, hash_of);
        let most = (usize::try_from(number).unwrap() + 1) * 16 + 4096;
        assert!(number % 1000 != 0 || allocated(&table) <= most, "{number}");
    }
    for number in 0..200_000 {
        table.remove(key.hash(number), |&it| it == number, hash_of);
    }
    assert_eq!((table.len, table.pages, table.chunks.len()), (0, 1, 1));
    assert!(allocated(&table) <= 4096, "{}", allocated(&table));
}

#[test]
fn each_hash_has_one_page_and_a_page_is_left_only_for_the_one_split_off() {
    for pages in 1..1000 {
        for number in 0..2048u64 {
            let hash = number << 16 | 0xffff;
            let (before, after) = (page_of(hash, pages), page_of(hash, pages + 1));
            assert!(before < pages);
            let is_moved = after == pages && before == origin_of(pages);
            assert!(after == before || is_moved, "{number} from {before} to {after} of {pages}");
        }
    }
}
