//! The timer wheel against a sorted map, and its bounds.

use std::collections::BTreeMap;

use super::*;
use crate::collections::{SlotMap, new_key_type};
use crate::rng::{Rng, Seed};
use crate::time::Duration;

new_key_type! {
    struct TestKey;
}

fn keys(count: usize) -> Vec<TestKey> {
    let mut slab = SlotMap::with_key();
    (0..count).map(|_| slab.insert(())).collect()
}

fn drain(deadlines: &mut Deadlines<TestKey>, now: Instant) -> Vec<TestKey> {
    std::iter::from_fn(|| deadlines.expire(now)).collect()
}

/// Moments at which a wheel can go wrong: the edges of ticks, slots and levels, and both ends.
fn edges() -> Vec<u64> {
    let mut edges = vec![0, 1, u64::MAX - 2, u64::MAX - 1];
    for bit in (20..64).step_by(6).chain([21, 62, 63]) {
        let edge = 1u64 << bit;
        edges.extend([edge - 1, edge, edge + 1, edge + edge / 2]);
    }
    edges.sort_unstable();
    edges
}

#[test]
fn an_entry_fires_at_its_time_and_not_a_nanosecond_earlier() {
    let key = keys(1)[0];
    for start in edges() {
        for at in edges() {
            let mut deadlines = Deadlines::default();
            let start = Instant::from_nanos(start);
            assert_eq!(deadlines.expire(start), None);
            deadlines.arm(key, Instant::from_nanos(at));
            assert_eq!(deadlines.next(), Some(Instant::from_nanos(at)));
            if start < Instant::from_nanos(at) {
                let just_before = Instant::from_nanos(at - 1);
                assert_eq!(deadlines.expire(start), None, "{start:?} {at}");
                assert_eq!(deadlines.expire(just_before), None, "{start:?} {at}");
                assert_eq!(deadlines.next(), Some(Instant::from_nanos(at)));
            }
            let due = start.max(Instant::from_nanos(at));
            assert_eq!(deadlines.expire(due), Some(key), "{start:?} {at}");
            assert_eq!((deadlines.expire(due), deadlines.next()), (None, None));
        }
    }
}

#[test]
fn entries_fire_in_the_order_of_their_times() {
    let edges = edges();
    let keys = keys(edges.len());
    let mut deadlines = Deadlines::default();
    for (key, at) in keys.iter().zip(&edges).rev() {
        deadlines.arm(*key, Instant::from_nanos(*at));
    }
    assert_eq!(drain(&mut deadlines, Instant::from_nanos(u64::MAX)), keys);
}

#[test]
fn an_entry_moves_to_an_earlier_time_and_to_no_later_one() {
    let key = keys(1)[0];
    for (first, second) in [(10, 500), (500, 10), (10, 10), (0, 1), (1_000_000, 20)] {
        let mut deadlines = Deadlines::default();
        deadlines.arm(key, Instant::from_millis(first));
        deadlines.arm(key, Instant::from_millis(second));
        let at = Instant::from_millis(first.min(second));
        assert_eq!(deadlines.next(), Some(at), "{first} {second}");
        assert_eq!(deadlines.expire(at), Some(key), "{first} {second}");
        assert_eq!(drain(&mut deadlines, Instant::from_nanos(u64::MAX)), []);
    }
}

#[test]
fn a_disarmed_entry_never_fires() {
    let keys = keys(5);
    for gone in &keys {
        for millis in [0, 3, 300, 30_000] {
            let mut deadlines = Deadlines::default();
            for key in &keys {
                deadlines.arm(*key, Instant::from_millis(millis));
            }
            deadlines.disarm(*gone);
            deadlines.disarm(*gone);
            let fired = drain(&mut deadlines, Instant::from_millis(millis));
            let rest: Vec<_> = keys.iter().copied().filter(|key| key != gone).collect();
            assert_eq!(fired, rest);
            assert_eq!(deadlines.next(), None);
        }
    }
}

#[test]
fn the_place_of_a_key_that_has_gone_can_be_taken_by_the_next() {
    let mut slab = SlotMap::<TestKey, ()>::with_key();
    let mut deadlines = Deadlines::default();
    for round in 0..100 {
        let key = slab.insert(());
        deadlines.arm(key, Instant::from_millis(round % 3 * 50));
        deadlines.disarm(key);
        slab.remove(key);
    }
    let last = slab.insert(());
    deadlines.arm(last, Instant::ZERO);
    assert_eq!(drain(&mut deadlines, Instant::from_millis(1000)), [last]);
}

#[test]
fn a_put_off_deadline_fires_at_its_real_time_after_one_call_in_vain() {
    let key = keys(1)[0];
    let mut deadlines = Deadlines::default();
    deadlines.arm(key, Instant::from_millis(40));
    deadlines.arm(key, Instant::from_millis(80));
    assert_eq!(deadlines.expire(Instant::from_millis(40)), Some(key));
    deadlines.arm(key, Instant::from_millis(80));
    assert_eq!(deadlines.expire(Instant::from_millis(79)), None);
    assert_eq!(deadlines.expire(Instant::from_millis(80)), Some(key));
}

#[test]
fn arming_again_and_again_takes_no_more_nodes_than_there_are_keys() {
    let keys = keys(1000);
    let mut rng = Rng::new(&Seed::from_number(1));
    let mut deadlines = Deadlines::default();
    let mut now = Instant::ZERO;
    let mut fired = 0;
    for round in 0..100_000u64 {
        now += Duration::from_micros(rng.below(20));
        let key = keys[usize::try_from(round % 1000).unwrap()];
        // Each comes twice: a time and an earlier one, so that entries move within a tick too.
        let wait = rng.below(1 << (round % 30));
        deadlines.arm(key, now + Duration::from_nanos(wait));
        deadlines.arm(key, now + Duration::from_nanos(wait / 2));
        fired += drain(&mut deadlines, now).len();
        assert!(deadlines.nodes.len() <= keys.len());
        assert!(deadlines.heap.len() <= 2 * keys.len() + STALE_MAX + 1);
    }
    assert!(fired > 10_000, "{fired}");
    assert!(deadlines.nodes.capacity() < 2 * keys.len() + 64);
    assert!(deadlines.heap.capacity() < 8 * keys.len());
}

#[test]
fn a_key_that_is_armed_ever_earlier_within_a_tick_does_not_fill_the_heap() {
    let key = keys(1)[0];
    let mut deadlines = Deadlines::default();
    for nanos in (1..100_000).rev() {
        deadlines.arm(key, Instant::from_nanos(nanos));
    }
    assert!(deadlines.heap.len() <= STALE_MAX + 3);
    let last = Instant::from_nanos(1);
    assert_eq!(drain(&mut deadlines, last), [key]);
}

/// Random times of all magnitudes, past, equal and huge ones; what a sorted map fires, the wheel
/// fires, in the same order, and it never promises to sleep longer.
#[test]
fn a_wheel_agrees_with_a_sorted_map() {
    let keys = keys(60);
    for seed in 0..40 {
        let mut rng = Rng::new(&Seed::from_number(seed));
        let mut deadlines = Deadlines::default();
        let mut model: BTreeMap<TestKey, Instant> = BTreeMap::new();
        let mut now = Instant::from_nanos(rng.next_u64() >> rng.below(64));
        for _ in 0..1500 {
            let key = keys[usize::try_from(rng.below(60)).unwrap()];
            match rng.below(8) {
                0..=3 => {
                    let wait = Duration::from_nanos(rng.next_u64() >> rng.below(64));
                    let past = Instant::from_nanos(rng.below(now.as_nanos()));
                    let at = if rng.chance(0.1) { past } else { now + wait };
                    deadlines.arm(key, at);
                    let entry = model.entry(key).or_insert(at);
                    *entry = at.min(*entry);
                }
                4 => {
                    deadlines.disarm(key);
                    model.remove(&key);
                }
                // The earliest time of all, or a while that may be nothing.
                5 => now = now.max(deadlines.next().unwrap_or(now)),
                _ => {
                    let magnitude = 4 + rng.below(32);
                    now += Duration::from_nanos(rng.below(1 << magnitude));
                }
            }
            let mut due: Vec<_> = model.iter().filter(|(_, at)| **at <= now).collect();
            due.sort_by_key(|(key, at)| (**at, **key));
            let due: Vec<_> = due.into_iter().map(|(key, _)| *key).collect();
            assert_eq!(drain(&mut deadlines, now), due, "seed {seed}");
            model.retain(|_, at| *at > now);
            let earliest = model.values().min().copied();
            assert_eq!(deadlines.next().is_some(), earliest.is_some(), "seed {seed}");
            assert!(deadlines.next() <= earliest, "seed {seed}");
            assert!(deadlines.next().is_none_or(|next| next > now), "seed {seed}");
        }
    }
}

/// A bound that is too early brings one call in vain, and then the true time.
#[test]
fn sleeping_until_next_reaches_every_entry_in_few_steps() {
    let keys = keys(1000);
    let mut rng = Rng::new(&Seed::from_number(5));
    let mut deadlines = Deadlines::default();
    for key in &keys {
        let magnitude = 20 + rng.below(24);
        deadlines.arm(*key, Instant::from_nanos(rng.below(1 << magnitude)));
    }
    for key in keys.iter().step_by(2) {
        deadlines.disarm(*key);
    }
    let (mut fired, mut steps) = (0, 0);
    while let Some(next) = deadlines.next() {
        steps += 1;
        fired += drain(&mut deadlines, next).len();
    }
    assert_eq!(fired, 500);
    assert!(steps < 1500, "{steps}");
}
