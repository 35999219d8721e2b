//! Octets that the application has written and the peer has not acknowledged yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::packet::Payload;

/// Least octets of a chunk that writes are copied into.
const CHUNK_MIN: usize = 2 << 10;

/// Most octets of a chunk. It bounds what one unacknowledged octet keeps in memory.
const CHUNK_MAX: usize = 64 << 10;

/// From so many octets on the tail is handed out by reference; below, by copy.
///
/// A tail that was handed out by reference can grow no more. Copying a short one costs less than
/// what a chunk for each keystroke would cost to keep.
const FREEZE_MIN: usize = 1 << 10;

/// Most slices of one payload: more of them cost a vectored write more than a copy.
const PIECES_MAX: usize = 8;

/// Octets that do not change any more.
#[derive(Debug)]
struct Chunk {
    /// Position of its first octet in the stream.
    start: u64,
    octets: Bytes,
    /// Octets of memory that go when this chunk goes. Of the chunks that share an allocation only
    /// the last has any: chunks go in order, and the memory goes with the last of them.
    charge: usize,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.octets.len() as u64
    }
}

/// Octets written and not yet acknowledged, in order: some chunks that do not change any more,
/// and behind them a tail that takes what is written next.
///
/// Segments refer to slices of the chunks, so that an octet is copied once: when it is written. A
/// buffer in which nothing lies owns no memory.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    /// Position of SND.UNA in the stream. 64 bits do not wrap.
    una: u64,
    /// The octets up to the tail.
    chunks: VecDeque<Chunk>,
    /// The octets written last, and room for the next.
    tail: BytesMut,
    /// Octets of the allocation that `tail` is part of; 0 when it has none.
    tail_charge: usize,
    /// The sum of all charges.
    charged: usize,
    /// Position after the last octet.
    end: u64,
}

impl SendBuffer {
    /// Appends the first of `octets`, `room` of them at most; says how many those were.
    pub(crate) fn write(&mut self, octets: &[u8], room: u32) -> u32 {
        let taken = u32::try_from(octets.len()).map_or(room, |len| len.min(room));
        let mut rest = &octets[..taken as usize];
        while !rest.is_empty() {
            let room = self.tail_room(rest.len());
            let (fitting, later) = rest.split_at(rest.len().min(room));
            self.tail.extend_from_slice(fitting);
            self.end += fitting.len() as u64;
            rest = later;
        }
        taken
    }

    /// Appends `octets` without copying them, unless they are so few that a copy is cheaper than
    /// to keep what they are a slice of. The caller has seen to it that there is room.
    pub(crate) fn push_bytes(&mut self, octets: Bytes) {
        if octets.len() < FREEZE_MIN {
            self.write(&octets, u32::MAX);
            return;
        }
        self.freeze_tail();
        let charge = octets.len();
        let start = self.end;
        self.charged += charge;
        self.end += charge as u64;
        self.chunks.push_back(Chunk { start, octets, charge });
    }

    /// How many octets are written and not acknowledged.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.end - self.una).expect("a send buffer has at most 2^30 octets")
    }

    /// Whether everything written is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.una == self.end
    }

    /// The `len` octets that lie `offset` octets right of SND.UNA, for a segment.
    ///
    /// Octets that are not there are not in the answer either.
    pub(crate) fn slice(&mut self, offset: u32, len: u32) -> Payload {
        let start = (self.una + u64::from(offset)).min(self.end);
        let end = (start + u64::from(len)).min(self.end);
        debug_assert_eq!(end - start, u64::from(len), "a segment has what was written");

        if start == end {
            return Payload::new();
        }
        if end > self.tail_start() && self.tail.len() >= FREEZE_MIN {
            self.freeze_tail();
        }
        let first = self.chunks.partition_point(|chunk| chunk.end() <= start);
        let past = self.chunks.partition_point(|chunk| chunk.start < end);
        let pieces = self.chunks.range(first..past.max(first));
        let mut payload: Payload = pieces
            .map(|chunk| chunk.octets.slice(within(chunk.start, chunk.octets.len(), start, end)))
            .collect();
        let tail = &self.tail[within(self.tail_start(), self.tail.len(), start, end)];
        if !tail.is_empty() {
            payload.push(Bytes::copy_from_slice(tail));
        }
        if payload.len() > PIECES_MAX {
            let whole: Vec<u8> = payload.concat();
            payload.clear();
            payload.push(Bytes::from(whole));
        }
        payload
    }

    /// The peer has acknowledged the first `octets`.
    pub(crate) fn acknowledge(&mut self, octets: u32) {
        debug_assert!(octets <= self.len(), "nothing is acknowledged before it is written");
        self.una = (self.una + u64::from(octets)).min(self.end);
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.end() <= self.una) {
            self.charged -= chunk.charge;
        }
        if self.is_empty() {
            self.clear();
            return;
        }
        let passed = self.una.saturating_sub(self.tail_start());
        self.tail.advance(length(passed));
    }

    /// Gives up everything, the memory included.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Octets of memory that the buffer owns, about; 0 when it is empty.
    pub(crate) fn allocated(&self) -> usize {
        self.charged + self.chunks.capacity() * size_of::<Chunk>()
    }

    fn tail_start(&self) -> u64 {
        self.end - self.tail.len() as u64
    }

    /// How many octets fit behind the tail, at least one; takes a new chunk if it was full.
    fn tail_room(&mut self, wanted: usize) -> usize {
        let room = self.tail.capacity() - self.tail.len();
        if room > 0 {
            return room;
        }
        self.freeze_tail();
        // The old allocation has no part left that could grow: it goes with its last chunk.
        if let Some(last) = self.chunks.back_mut() {
            last.charge += self.tail_charge;
        }
        // Who has much to send will have more: larger chunks make fewer slices.
        let held = length(self.end - self.una);
        let capacity = wanted.max(held).clamp(CHUNK_MIN, CHUNK_MAX);
        self.tail = BytesMut::with_capacity(capacity);
        self.tail_charge = self.tail.capacity();
        self.charged += self.tail_charge;
        self.tail.capacity()
    }

    /// The octets of the tail change no more; the room behind them stays the tail's.
    fn freeze_tail(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let start = self.tail_start();
        self.chunks.push_back(Chunk { start, octets: self.tail.split().freeze(), charge: 0 });
    }
}

/// Which part of the `len` octets from position `start` on lies in `from..to`; empty if none does.
fn within(start: u64, len: usize, from: u64, to: u64) -> std::ops::Range<usize> {
    let first = length(from.saturating_sub(start)).min(len);
    let past = length(to.saturating_sub(start)).min(len);
    first..past.max(first)
}

/// A difference of positions as a length.
fn length(octets: u64) -> usize {
    usize::try_from(octets).expect("a send buffer fits into memory")
}

#[cfg(test)]
mod tests {
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
    fn pushed_octets_are_not_copied_unless_they_are_few() {
        let large = Bytes::from(vec![3; 5000]);
        let few = Bytes::from(vec![4; 10]);
        let mut buffer = SendBuffer::default();
        buffer.write(b"before", ROOM);
        buffer.push_bytes(large.clone());
        buffer.push_bytes(few.clone());
        assert_eq!(buffer.slice(6, 5000)[0].as_ptr(), large.as_ptr());
        assert_ne!(buffer.slice(5006, 10)[0].as_ptr(), few.as_ptr());
        assert_eq!(octets(&buffer.slice(0, 6)), b"before");
        assert_eq!(octets(&buffer.slice(5006, 10)), few);
    }

    #[test]
    fn many_pieces_become_one() {
        let mut buffer = SendBuffer::default();
        for n in 0..9 {
            buffer.push_bytes(Bytes::from(vec![n; 1024]));
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
        buffer.write(&[0; 200_000], ROOM);
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
                    2 if written.len() <= room as usize => {
                        model.extend(&written);
                        buffer.push_bytes(Bytes::from(written));
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
}
