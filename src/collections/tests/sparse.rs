//! The sparse map: its values, stale keys, and the memory that it gives back.

use super::*;
use crate::collections::{Slab, new_key_type};

new_key_type! {
    struct TestKey;
}

#[test]
fn a_value_is_found_under_its_key_and_under_no_later_one_of_the_same_place() {
    let (mut slab, mut map) = (Slab::<TestKey, ()>::new(), Sparse::new());
    let old = slab.insert(());
    map.insert(old, 1);
    assert_eq!((map.get(old), map.len()), (Some(&1), 1));
    slab.remove(old);
    let new = slab.insert(());
    assert_eq!(map.get(new), None);
    assert_eq!(map.get_mut(new), None);
    assert_eq!(map.remove(new), None);
    assert!(!map.is_stale(old) && !map.is_stale(new), "neither has a later key with a value");
    assert_eq!(map.insert(new, 2), Some(1), "the value of the earlier key goes");
    assert!(map.is_stale(old) && !map.is_stale(new));
    assert_eq!(map.insert(new, 2), Some(2));
    assert_eq!((map.get(old), map.get(new), map.len()), (None, Some(&2), 1));
    assert_eq!((map.remove(old), map.remove(new), map.len()), (None, Some(2), 0));
    assert_eq!(map.get(TestKey::default()), None, "null");
}

#[test]
fn a_page_without_values_has_no_memory() {
    let (mut slab, mut map) = (Slab::<TestKey, ()>::new(), Sparse::new());
    let keys: Vec<_> = (0..10 * PAGE).map(|_| slab.insert(())).collect();
    map.insert(keys[9 * PAGE], 0);
    assert_eq!(map.capacity(), PAGE);
    for &key in &keys {
        map.insert(key, 1);
    }
    assert_eq!((map.len(), map.capacity()), (10 * PAGE, 10 * PAGE));
    for &key in &keys[1..] {
        assert_eq!(map.remove(key), Some(1));
    }
    assert_eq!((map.len(), map.capacity()), (1, 2 * PAGE), "one page in use, and a spare one");
    assert_eq!(map.get(keys[0]), Some(&1));
}
