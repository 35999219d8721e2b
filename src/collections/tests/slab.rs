//! The slab against a sorted map, its keys, and the memory that it gives back.

use std::collections::BTreeMap;

use super::*;
use crate::collections::new_key_type;
use crate::rng::{Rng, Seed};

new_key_type! {
    struct TestKey;
}

/// Pages that have memory.
fn pages_in_memory<V>(slab: &Slab<TestKey, V>) -> usize {
    slab.pages.iter().filter(|page| page.slots.capacity() > 0).count()
}

#[test]
fn what_is_put_in_is_found_under_its_key_and_no_stale_key_finds_anything() {
    let mut rng = Rng::new(&Seed::from_number(1));
    let (mut slab, mut model) = (Slab::<TestKey, u64>::new(), BTreeMap::new());
    let mut stale = Vec::new();
    for step in 0..20_000 {
        // It fills up to some pages, and empties again.
        let is_filling = step / 3000 % 2 == 0;
        if rng.below(10) < if is_filling { 8 } else { 2 } {
            let key = slab.insert(step);
            assert_eq!(model.insert(key, step), None, "a key is given out once");
        } else if let Some((&key, &value)) = model.iter().nth(model.len() / 2) {
            assert_eq!(slab.remove(key), Some(value));
            assert_eq!(slab.remove(key), None);
            model.remove(&key);
            stale.push(key);
        }
        assert_eq!(slab.len(), model.len());
    }
    for (&key, value) in &model {
        assert_eq!(slab.get(key), Some(value));
        assert_eq!(slab.get_mut(key).copied(), Some(*value));
        assert_eq!(slab.at(index_of(key)), Some((key, value)));
    }
    assert!(stale.iter().all(|&key| !slab.contains_key(key) && slab.get_mut(key).is_none()));
    assert!(slab.iter().map(|(key, &value)| (key, value)).eq(model));
    assert!(!slab.contains_key(TestKey::default()), "null");
}

#[test]
fn a_value_stays_where_it_is_however_many_come() {
    let mut slab = Slab::<TestKey, u64>::new();
    let keys: Vec<_> = (0..u64::from(PAGE)).map(|n| slab.insert(n)).collect();
    let place = |slab: &Slab<TestKey, u64>, key| std::ptr::from_ref(slab.get(key).unwrap());
    let before: Vec<_> = keys.iter().map(|&key| place(&slab, key)).collect();
    for n in 0..100_000 {
        slab.insert(n);
    }
    assert!(keys.iter().zip(before).all(|(&key, before)| place(&slab, key) == before));
}

#[test]
fn empty_pages_are_given_back_but_for_one_and_their_keys_stay_stale() {
    let mut slab = Slab::<TestKey, u64>::new();
    let old: Vec<_> = (0..10 * u64::from(PAGE)).map(|n| slab.insert(n)).collect();
    assert_eq!(pages_in_memory(&slab), 10);
    for &key in &old {
        slab.remove(key);
    }
    assert_eq!((slab.len(), pages_in_memory(&slab)), (0, 1));
    let new: Vec<_> = (0..10 * u64::from(PAGE)).map(|n| slab.insert(n)).collect();
    assert_eq!(slab.pages.len(), 10, "no page is taken while there is an empty one");
    assert!(old.iter().all(|&key| !slab.contains_key(key)));
    assert!(new.iter().all(|&key| slab.contains_key(key)));
}

#[test]
fn of_free_places_the_last_that_was_left_is_taken_first() {
    let mut slab = Slab::<TestKey, ()>::new();
    let keys: Vec<_> = (0..4).map(|_| slab.insert(())).collect();
    for key in [keys[1], keys[3], keys[0]] {
        slab.remove(key);
    }
    let places: Vec<_> = (0..4).map(|_| index_of(slab.insert(()))).collect();
    assert_eq!(places, [0, 3, 1, 4]);
}

#[test]
fn a_map_beside_it_tells_of_every_key() {
    let mut slab = Slab::<TestKey, ()>::new();
    let mut beside = slotmap::SecondaryMap::new();
    for number in 0..2000 {
        beside.insert(slab.insert(()), number);
    }
    assert!(beside.keys().eq(slab.keys()));
    assert!(beside.drain().map(|(_, number)| number).eq(0..2000));
}

#[test]
fn the_first_values_are_found_within_a_number_of_looks_however_empty_the_slab_is() {
    let mut slab = Slab::<TestKey, u32>::new();
    let keys: Vec<_> = (0..10 * PAGE).map(|n| slab.insert(n)).collect();
    let first = |slab: &Slab<TestKey, u32>, looks| {
        slab.first(looks).map(|(_, &value)| value).collect::<Vec<_>>()
    };
    assert!(first(&slab, 0).is_empty());
    assert_eq!(first(&slab, 4), [0, 1, 2], "the page is one more");
    assert_eq!(first(&slab, usize::MAX).len(), 10 * PAGE as usize);
    // All but one of the sixth page and one of the seventh.
    let left = [5 * PAGE + 3, 6 * PAGE];
    for (key, n) in keys.iter().zip(0..) {
        if !left.contains(&n) {
            slab.remove(*key);
        }
    }
    let to_sixth = 5 + 1 + 4;
    assert!(first(&slab, to_sixth - 1).is_empty());
    assert_eq!(first(&slab, to_sixth), left[..1]);
    assert_eq!(first(&slab, 5 + 1 + PAGE as usize + 1 + 1), left);
}
