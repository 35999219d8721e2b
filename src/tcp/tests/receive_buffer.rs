//! The receive buffer against a flat queue, and what it keeps in memory.

use super::*;
use crate::rng::{Rng, Seed};

fn packet(fill: u8, len: usize) -> Bytes {
    vec![fill; len].into()
}

#[test]
fn a_packet_is_kept_and_given_out_without_a_copy() {
    let mut buffer = ReceiveBuffer::default();
    let large = packet(7, SHARE_MIN);
    buffer.append(large.clone());
    assert_eq!((buffer.len() as usize, buffer.allocated()), (SHARE_MIN, SHARE_CHARGE));
    let first = buffer.take(1000);
    assert_eq!((first.as_ptr(), first.len()), (large.as_ptr(), 1000));
    let rest = buffer.take(usize::MAX);
    assert_eq!((rest.as_ptr(), rest.len()), (large[1000..].as_ptr(), SHARE_MIN - 1000));
    assert_eq!((buffer.len(), buffer.allocated()), (0, 0));
    assert!(buffer.is_unused() && buffer.allocated() == 0);
}

#[test]
fn a_packet_is_charged_by_its_size_until_all_of_it_is_read() {
    for (len, charge) in [(SHARE_MIN, 64), (65_536, 64), (65_537, 128), (96 << 10, 128)] {
        let mut buffer = ReceiveBuffer::default();
        buffer.append(packet(7, len));
        assert_eq!(buffer.allocated(), charge << 10, "{len}");
        buffer.skip(len - 1);
        assert_eq!(buffer.allocated(), charge << 10, "{len}, one octet is left");
        buffer.skip(1);
        assert_eq!(buffer.allocated(), 0, "{len}");
    }
}

#[test]
fn small_segments_around_a_packet_stay_in_their_order() {
    let mut buffer = ReceiveBuffer::default();
    buffer.write_at(0, b"before");
    buffer.commit(6);
    buffer.append(packet(b'-', SHARE_MIN));
    buffer.write_at(3, b"er");
    buffer.write_at(0, b"aft");
    buffer.commit(5);
    let mut octets = vec![0; buffer.len() as usize];
    assert_eq!(buffer.peek_behind(0, &mut octets), octets.len());
    let expected = [&b"before"[..], &packet(b'-', SHARE_MIN), b"after"].concat();
    assert!(octets == expected);
    for skip in [0, 3, 6, 7, SHARE_MIN, SHARE_MIN + 6, SHARE_MIN + 9] {
        let mut some = [0; 12];
        let len = buffer.peek_behind(skip, &mut some);
        assert_eq!(some[..len], expected[skip..][..len], "{skip}");
        assert_eq!(len, (expected.len() - skip).min(12), "{skip}");
    }
    assert_eq!(buffer.take(usize::MAX), b"before"[..]);
    assert_eq!(buffer.take(usize::MAX).len(), SHARE_MIN);
    assert_eq!(buffer.take(2), b"af"[..]);
    assert_eq!(buffer.take(usize::MAX), b"ter"[..]);
    assert_eq!(buffer.take(usize::MAX), b""[..]);
    assert_eq!(buffer.allocated(), 0);
}

#[test]
fn what_came_early_is_given_up_and_packets_are_not() {
    let mut buffer = ReceiveBuffer::default();
    buffer.append(packet(1, SHARE_MIN));
    buffer.write_at(9, b"early");
    buffer.discard_out_of_order();
    assert_eq!((buffer.len() as usize, buffer.allocated()), (SHARE_MIN, SHARE_CHARGE));
    buffer.skip(SHARE_MIN);
    assert_eq!((buffer.len(), buffer.allocated()), (0, 0));
}

/// The same octets as a flat queue gives, through random appends, writes and reads of all kinds.
#[test]
fn a_buffer_agrees_with_a_flat_queue() {
    for seed in 0..50 {
        let mut rng = Rng::new(&Seed::from_number(seed));
        let mut pick = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
        let mut buffer = ReceiveBuffer::default();
        let mut queue: VecDeque<u8> = VecDeque::new();
        for step in 0..300usize {
            let fill = u8::try_from(step % 251).unwrap();
            let mut octets = vec![fill; pick(9000) + 1];
            match pick(6) {
                0 => {
                    buffer.append(Bytes::from(octets.clone()));
                    queue.extend(octets);
                }
                1 | 2 => {
                    buffer.write_at(0, &octets);
                    buffer.commit(u32::try_from(octets.len()).unwrap());
                    queue.extend(octets);
                }
                3 => {
                    let taken = buffer.take(octets.len());
                    assert_eq!(taken.is_empty(), queue.is_empty(), "seed {seed} step {step}");
                    assert!(queue.drain(..taken.len()).eq(taken), "seed {seed} step {step}");
                }
                4 => {
                    let octets = octets.len().min(queue.len());
                    buffer.skip(octets);
                    queue.drain(..octets);
                }
                _ => {
                    let len = buffer.read(&mut octets);
                    assert_eq!(len, octets.len().min(queue.len()), "seed {seed} step {step}");
                    assert!(queue.drain(..len).eq(octets[..len].iter().copied()));
                }
            }
            assert_eq!(buffer.len() as usize, queue.len(), "seed {seed} step {step}");
            assert_eq!(buffer.allocated() == 0, queue.is_empty(), "seed {seed} step {step}");
        }
    }
}
