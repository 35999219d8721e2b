//! Pages against a flat vector, and what they keep in memory.

use std::collections::VecDeque;

use super::*;
use crate::rng::{Rng, Seed};

/// Copies octets out and takes them away; says how many.
fn read(buffer: &mut Pages, octets: &mut [u8]) -> usize {
    let len = buffer.peek_behind(0, octets);
    buffer.skip(len);
    len
}

fn read_all(buffer: &mut Pages) -> Vec<u8> {
    let mut octets = vec![0; buffer.len() as usize];
    assert_eq!(read(buffer, &mut octets), octets.len());
    octets
}

#[test]
fn a_gap_that_closes_makes_all_of_it_readable() {
    let mut buffer = Pages::default();
    buffer.write_at(3, b"def");
    assert_eq!((buffer.len(), read(&mut buffer, &mut [0; 9])), (0, 0));
    buffer.write_at(0, b"abc");
    buffer.commit(6);
    assert_eq!(read_all(&mut buffer), b"abcdef");
}

#[test]
fn the_last_copy_of_an_octet_counts() {
    let mut buffer = Pages::default();
    buffer.write_at(0, b"abcd");
    buffer.write_at(1, b"XY");
    buffer.commit(4);
    assert_eq!(read_all(&mut buffer), b"aXYd");
}

#[test]
fn peeking_takes_nothing_away() {
    let mut buffer = Pages::default();
    buffer.write_at(0, b"abcd");
    buffer.commit(4);
    let mut two = [0; 2];
    assert_eq!((buffer.peek_behind(0, &mut two), &two), (2, b"ab"));
    assert_eq!((read(&mut buffer, &mut two), &two), (2, b"ab"));
    assert_eq!((read(&mut buffer, &mut two), &two), (2, b"cd"));
    assert_eq!(read(&mut buffer, &mut two), 0);
}

#[test]
fn a_buffer_owns_pages_only_where_something_lies() {
    let mut buffer = Pages::default();
    assert_eq!((buffer.allocated(), buffer.slots.capacity()), (0, 0));
    buffer.write_at(300 * 4096, b"far away");
    assert_eq!(buffer.allocated(), 4096);
    buffer.write_at(4095, b"on two pages");
    assert_eq!(buffer.allocated(), 3 * 4096);
    buffer.discard_out_of_order();
    assert_eq!((buffer.allocated(), buffer.slots.capacity()), (0, 0));
}

#[test]
fn a_drained_buffer_owns_nothing_and_a_half_drained_one_half() {
    let mut buffer = Pages::default();
    buffer.write_at(0, &[7; 4 * 4096 - 10]);
    buffer.commit(4 * 4096 - 10);
    assert_eq!(read(&mut buffer, &mut [0; 2 * 4096]), 2 * 4096);
    assert_eq!(buffer.allocated(), 2 * 4096);
    read_all(&mut buffer);
    assert_eq!(buffer.allocated(), 0);
    assert!(buffer.slots.capacity() <= SLOTS_KEPT);
}

#[test]
fn lent_pages_are_used_first_and_given_back_up_to_a_limit() {
    let mut spares = SparePages::new(2);
    let mut buffer = Pages::default();
    buffer.write_at(0, &[7; 3 * PAGE]);
    buffer.commit(3 * 4096);
    read_all(&mut buffer);
    assert_eq!(kept(&buffer.spares), None, "nothing was lent, so nothing is kept");

    for _ in 0..2 {
        spares.lend(&mut buffer.spares);
        buffer.write_at(0, &[8; 3 * PAGE]);
        assert_eq!(kept(&buffer.spares), Some(0), "all were used");
        buffer.commit(3 * 4096);
        assert_eq!(read_all(&mut buffer), [8; 3 * PAGE]);
        buffer.spares.lend(&mut spares);
        assert_eq!((kept(&buffer.spares), kept(&spares)), (None, Some(2)));
    }
    let mut other = SparePages::new(5);
    spares.lend(&mut other);
    assert_eq!((kept(&other), kept(&spares)), (Some(0), Some(2)), "who has a list takes no other");
}

/// How many pages there are in a list; `None` if there is no list.
fn kept(spares: &SparePages) -> Option<usize> {
    spares.list.as_ref().map(|list| list.pages.len())
}

#[test]
fn draining_keeps_what_lies_out_of_order() {
    let mut buffer = Pages::default();
    buffer.write_at(0, b"ab");
    buffer.write_at(3, b"d");
    buffer.commit(2);
    assert_eq!(read_all(&mut buffer), b"ab");
    buffer.write_at(0, b"c");
    buffer.commit(2);
    assert_eq!(read_all(&mut buffer), b"cd");
}

#[test]
fn giving_up_what_is_early_keeps_what_is_in_order() {
    let mut buffer = Pages::default();
    buffer.write_at(0, b"ab");
    buffer.write_at(9000, b"z");
    buffer.commit(2);
    buffer.discard_out_of_order();
    assert_eq!(buffer.allocated(), 4096);
    assert_eq!(read_all(&mut buffer), b"ab");
}

/// The same octets as a flat vector gives, through random writes, commits and reads.
#[test]
fn a_buffer_agrees_with_a_flat_vector() {
    const WINDOW: usize = 20_000;
    for seed in 0..25 {
        let mut rng = Rng::new(&Seed::from_number(seed));
        let mut pick = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
        let mut buffer = Pages::default();
        let mut in_order: VecDeque<u8> = VecDeque::new();
        let mut early: VecDeque<Option<u8>> = vec![None; WINDOW].into();
        for step in 0..300 {
            let fill = u8::try_from(step % 251).unwrap();
            match pick(4) {
                0 | 1 => {
                    let (offset, len) = (pick(WINDOW - 6000), pick(6000));
                    let octets: Vec<u8> = (0..len).map(|n| fill ^ n.to_le_bytes()[0]).collect();
                    buffer.write_at(u32::try_from(offset).unwrap(), &octets);
                    for (slot, octet) in early.range_mut(offset..).zip(&octets) {
                        *slot = Some(*octet);
                    }
                }
                2 => {
                    let ready = early.iter().position(Option::is_none).unwrap_or(WINDOW);
                    let octets = pick(ready + 1);
                    buffer.commit(u32::try_from(octets).unwrap());
                    in_order.extend(early.drain(..octets).flatten());
                    early.resize(WINDOW, None);
                }
                _ if pick(10) == 0 => {
                    buffer.discard_out_of_order();
                    early = vec![None; WINDOW].into();
                }
                _ => {
                    let mut octets = vec![0; pick(9000)];
                    let len = read(&mut buffer, &mut octets);
                    assert_eq!(len, octets.len().min(in_order.len()), "seed {seed}");
                    assert!(in_order.drain(..len).eq(octets[..len].iter().copied()));
                }
            }
            assert_eq!(buffer.len() as usize, in_order.len(), "seed {seed}");
            let is_unused = in_order.is_empty() && early.iter().all(Option::is_none);
            assert_eq!(buffer.allocated() == 0, is_unused, "seed {seed} step {step}");
        }
    }
}
