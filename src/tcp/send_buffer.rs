//! Octets that the application has written and the peer has not acknowledged yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::spares::SpareChunks;
use crate::packet::Payload;

/// Least octets of a chunk that writes are copied into.
const CHUNK_MIN: usize = 2 << 10;

/// Most octets of a chunk. It bounds what one unacknowledged octet keeps in memory.
const CHUNK_MAX: usize = 64 << 10;

/// From so many octets on the tail is handed out by reference; below, by copy if there are chunks
/// enough.
///
/// A tail that was handed out by reference can grow no more. Copying a short one costs less than
/// what a chunk for each keystroke would cost to keep.
const FREEZE_MIN: usize = 1 << 10;

/// While there are fewer chunks, a shorter tail is handed out by reference too: those few are kept
/// at no cost, and an exchange of small messages has no more.
const CHUNKS_FEW: usize = 4;

/// Entries of an empty list of chunks that are kept.
const LIST_KEPT: usize = 16;

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
    /// Whether the memory is ours, to be used again; the application's is given back to it.
    is_ours: bool,
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
/// chunk that is acknowledged, and that no packet refers to any more, is used again, by whichever
/// connection writes next. A buffer in which nothing lies owns no memory but a short list.
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
    /// Lent for a call.
    spares: SpareChunks,
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

    /// Appends the first of `octets`, `room` of them at most, without a copy; says how many those
    /// were. Few are copied: beside them a chunk of their own costs more.
    pub(crate) fn push(&mut self, mut octets: Bytes, room: u32) -> u32 {
        let taken = u32::try_from(octets.len()).map_or(room, |len| len.min(room));
        octets.truncate(taken as usize);
        if octets.len() < FREEZE_MIN {
            return self.write(&octets, room);
        }
        self.freeze_tail();
        let charge = octets.len();
        self.chunks.push_back(Chunk { start: self.end, octets, charge, is_ours: false });
        self.charged += charge;
        self.end += u64::from(taken);
        taken
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
        let may_freeze = self.tail.len() >= FREEZE_MIN || self.chunks.len() < CHUNKS_FEW;
        if end > self.tail_start() && may_freeze {
            self.freeze_tail();
        }
        let first = match self.chunks.back() {
            // New text mostly stands in the newest.
            Some(last) if (last.start..last.end()).contains(&start) => self.chunks.len() - 1,
            _ => self.chunks.partition_point(|chunk| chunk.end() <= start),
        };
        let mut payload = Payload::new();
        for chunk in self.chunks.range(first..).take_while(|chunk| chunk.start < end) {
            let part = within(chunk.start, chunk.octets.len(), start, end);
            payload.push(chunk.octets.slice(part));
        }
        if end > self.tail_start() {
            let part = within(self.tail_start(), self.tail.len(), start, end);
            payload.push(Bytes::copy_from_slice(&self.tail[part]));
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
            if chunk.is_ours && chunk.charge > 0 {
                self.spares.give_frozen(chunk.octets, chunk.charge);
            }
        }
        if self.is_empty() {
            self.rest();
            return;
        }
        let passed = self.una.saturating_sub(self.tail_start());
        self.tail.advance(length(passed));
    }

    /// Everything is acknowledged: the short list is kept.
    fn rest(&mut self) {
        debug_assert!(self.chunks.is_empty());
        self.spares.give(std::mem::take(&mut self.tail), self.tail_charge);
        (self.tail_charge, self.charged) = (0, 0);
        if self.chunks.capacity() > LIST_KEPT {
            self.chunks = VecDeque::new();
        }
    }

    /// Lends chunks that nobody uses, for the calls up to [`take_back`](Self::take_back).
    pub(crate) fn lend(&mut self, spares: &mut SpareChunks) {
        spares.lend(&mut self.spares);
    }

    /// Gives them back, and with them those that have become free.
    pub(crate) fn take_back(&mut self, spares: &mut SpareChunks) {
        self.spares.lend(spares);
    }

    /// Octets of memory that what is outstanding takes, about; 0 when nothing is.
    pub(crate) fn allocated(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
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
        self.tail = self.spares.take(capacity);
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
        let octets = self.tail.split().freeze();
        self.chunks.push_back(Chunk { start, octets, charge: 0, is_ours: true });
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
#[path = "tests/send_buffer.rs"]
mod tests;
