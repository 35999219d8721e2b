//! What ten thousand active connections hold beside what they hold at rest: it follows the octets
//! that wait in them, and comes back with the last of them.

use allocation_counter::measure;
use wharf::sim::TcpFlags;
use wharf::sim::craft::Packet;

use crate::crowd::{Crowd, Past, segment};

/// Connections.
const COUNT: u32 = 10_000;

/// Octets that wait in a connection, by its number.
const LENGTHS: [u32; 5] = [1, 100, 1460, 6000, 20_000];

/// Octets of a full segment.
const FULL: u32 = 1460;

/// Octets of a page of a receive buffer.
const PAGE: u64 = 4096;

/// Octets of the least chunk of a send buffer.
const CHUNK: u64 = 2048;

/// Octets that a connection may hold beside those for text: its two buffers, their lists, and what
/// is known of octets in flight.
const BESIDE: u64 = 512;

/// Octets that all together may keep when no text waits any more: the spare pages and chunks of the
/// stack, and the empty buffers of the 1,024 connections that were busy last.
const KEPT_MAX: u64 = 2 << 20;

fn waiting(number: u32) -> u32 {
    LENGTHS[number as usize % LENGTHS.len()]
}

/// A crowd at rest.
fn crowd() -> Crowd {
    let mut crowd = Crowd::new(COUNT as usize).expect("a listener opens");
    for number in 0..COUNT {
        crowd.open(number, Past::Request).expect("a connection opens");
    }
    crowd.rest();
    crowd
}

/// Asserts that what was held while text waited lies between the text itself and `room` for it, and
/// that it came back.
fn assert_follows(held: i64, back: i64, room: impl Fn(u64) -> u64) {
    let lengths = || (0..COUNT).map(|number| u64::from(waiting(number)));
    let (least, most) = (lengths().sum(), lengths().map(|len| room(len) + BESIDE).sum());
    let kept = u64::try_from(held - back).unwrap_or(0);
    let held = u64::try_from(held).expect("text that waits takes memory");
    assert!((least..=most).contains(&held), "{held} octets are held for {least}, {most} at most");
    assert!(kept < KEPT_MAX, "{kept} octets are kept of {held}");
}

#[test]
fn memory_follows_what_has_arrived_and_is_not_read() {
    let mut crowd = crowd();
    let arrived = measure(|| {
        for number in 0..COUNT {
            arrive(&mut crowd, number, waiting(number));
        }
    });
    let mut buffer = vec![0; 32_768];
    let read = measure(|| {
        for number in 0..COUNT {
            let socket = crowd.held[number as usize].socket;
            let read = crowd.stack.read(crowd.now, socket, &mut buffer);
            assert_eq!(read, Ok(waiting(number) as usize));
            crowd.drain();
        }
        crowd.rest();
    });
    assert_follows(arrived.bytes_current, -read.bytes_current, |len| len.div_ceil(PAGE) * PAGE);
}

/// So much text of a peer arrives in full segments, and is acknowledged.
fn arrive(crowd: &mut Crowd, number: u32, len: u32) {
    let end = crowd.held[number as usize].seq + len;
    loop {
        let held = &mut crowd.held[number as usize];
        let text = (end - held.seq).min(FULL);
        let frame = segment(number, TcpFlags::ACK, (held.seq, held.ack), text);
        held.seq += text;
        if text == 0 {
            return crowd.drain();
        }
        crowd.receive(frame);
    }
}

#[test]
fn memory_follows_what_is_written_and_is_not_acknowledged() {
    let mut crowd = crowd();
    let text = vec![7; 32_768];
    let written = measure(|| {
        for number in 0..COUNT {
            let (socket, len) = (crowd.held[number as usize].socket, waiting(number) as usize);
            assert_eq!(crowd.stack.write(crowd.now, socket, &text[..len]), Ok(len));
            assert!(depart(&mut crowd, number) > 0, "the first segments are in flight");
        }
    });
    let acknowledged = measure(|| {
        for number in 0..COUNT {
            let mut left = true;
            while left {
                let held = &crowd.held[number as usize];
                crowd.receive(segment(number, TcpFlags::ACK, (held.seq, held.ack), 0));
                left = depart(&mut crowd, number) > 0;
            }
        }
        crowd.rest();
    });
    let chunks = |len: u64| len.next_multiple_of(CHUNK);
    assert_follows(written.bytes_current, -acknowledged.bytes_current, chunks);
}

/// Octets of text of a connection that leave now; its peer will acknowledge them.
fn depart(crowd: &mut Crowd, number: u32) -> u32 {
    let mut octets = 0;
    while let Some(packet) = crowd.stack.transmit(crowd.now, &mut ()) {
        let packet = Packet::decode(packet.to_frame().octets()).expect("a well-formed packet");
        let len = packet.segment().expect("a segment").len();
        crowd.held[number as usize].ack = crowd.held[number as usize].ack.wrapping_add(len);
        octets += len;
    }
    octets
}
