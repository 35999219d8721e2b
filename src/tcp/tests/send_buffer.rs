//! The send buffer against a flat queue, and what it keeps in memory.

use super::*;
use crate::rng::{Rng, Seed};

const ROOM: u32 = 256 << 10;

fn octets(payload: &Payload) -> Vec<u8> {
    payload.concat()
}

#[test]
fn no_more_is_taken_than_there_is_room_for() {
    let mut buffer = SendBuffer::default();
    assert_eq!(buffer.write(b"abcdef", 4), 4);
    assert_eq!(buffer.write(b"x", 0), 0);
    assert_eq!((buffer.len(), octets(&buffer.slice(0, 4))), (4, b"abcd".to_vec()));
}

#[test]
fn what_was_sent_stays_the_same_while_more_is_written() {
    for len in [1, 1023, 1024, 5000] {
        let mut buffer = SendBuffer::default();
        buffer.write(&vec![1; len], ROOM);
        let sent = buffer.slice(0, u32::try_from(len).unwrap());
        buffer.write(&vec![2; len], ROOM);
        buffer.acknowledge(u32::try_from(len).unwrap());
        assert_eq!(octets(&sent), vec![1; len]);
        assert_eq!(octets(&buffer.slice(0, 1)), [2]);
    }
}

#[test]
fn a_large_write_is_sent_by_reference() {
    let mut buffer = SendBuffer::default();
    buffer.write(&[1; 3000], ROOM);
    let (first, again) = (buffer.slice(0, 1448), buffer.slice(0, 1448));
    assert_eq!((first.len(), again.len()), (1, 1));
    assert_eq!(first[0].as_ptr(), again[0].as_ptr());
}

#[test]
fn many_pieces_become_one() {
    let mut buffer = SendBuffer::default();
    for n in 0..9 {
        buffer.write(&[n; 1024], ROOM);
        buffer.slice(u32::from(n) * 1024, 1024); // What was sent is a piece of its own.
    }
    assert_eq!(buffer.slice(0, 8 * 1024).len(), 8);
    let whole = buffer.slice(0, 8 * 1024 + 1);
    assert_eq!(whole.len(), 1);
    assert_eq!(octets(&whole)[7 * 1024..][..1025], [[7; 1024].as_slice(), &[8]].concat());
}

#[test]
fn an_acknowledged_buffer_owns_nothing() {
    let mut buffer = SendBuffer::default();
    assert_eq!(buffer.allocated(), 0);
    buffer.write(&vec![0; 200_000], ROOM);
    assert!((200_000..300_000).contains(&buffer.allocated()));
    buffer.slice(199_000, 1000);
    buffer.acknowledge(199_999);
    assert!((1..=(64 << 10) + 4096).contains(&buffer.allocated()));
    buffer.acknowledge(1);
    assert_eq!((buffer.allocated(), buffer.len(), buffer.slice(0, 0).len()), (0, 0, 0));
}

/// Each octet leaves in a segment of its own, as keystrokes do without Nagle's algorithm.
#[test]
fn a_million_writes_of_one_octet_hold_less_than_a_mebibyte() {
    for is_sent_at_once in [false, true] {
        let mut buffer = SendBuffer::default();
        for _ in 0..1_000_000 {
            let room = ROOM - buffer.len();
            if buffer.write(b"x", room) == 0 {
                buffer.acknowledge(1);
            } else if is_sent_at_once {
                buffer.slice(buffer.len() - 1, 1);
            }
            assert!(buffer.allocated() < 1 << 20, "{}", buffer.allocated());
        }
        assert_eq!(buffer.len(), ROOM);
    }
}

/// The same octets as a flat queue gives, through random writes, slices and acknowledgments.
#[test]
fn a_buffer_agrees_with_a_flat_queue() {
    for seed in 0..25 {
        let mut rng = Rng::new(&Seed::from_number(seed));
        let mut pick = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
        let mut buffer = SendBuffer::default();
        let mut model: VecDeque<u8> = VecDeque::new();
        for step in 0..400u32 {
            let len = [8, 300, 9000, 100_000][pick(4)];
            let written: Vec<u8> =
                (0..pick(len)).map(|n| (n + step as usize).to_le_bytes()[0]).collect();
            let room = ROOM - buffer.len();
            match pick(6) {
                0 | 1 => {
                    let taken = buffer.write(&written, room) as usize;
                    assert_eq!(taken, written.len().min(room as usize), "seed {seed}");
                    model.extend(&written[..taken]);
                }
                2 | 3 => {
                    let acked = pick(model.len().min(len) + 1);
                    buffer.acknowledge(u32::try_from(acked).unwrap());
                    model.drain(..acked);
                }
                _ => {
                    let offset = pick(model.len() + 1);
                    let len = pick((model.len() - offset).min(len) + 1);
                    let [from, count] = [offset, len].map(|n| u32::try_from(n).unwrap());
                    let payload = buffer.slice(from, count);
                    assert!(payload.len() <= 8 && payload.iter().all(|b| !b.is_empty()));
                    let expected = model.range(offset..offset + len).copied();
                    assert!(expected.eq(octets(&payload)), "seed {seed} step {step}");
                }
            }
            assert_eq!(buffer.len() as usize, model.len(), "seed {seed}");
            assert_eq!(buffer.allocated() == 0, model.is_empty(), "seed {seed} step {step}");
        }
    }
}
