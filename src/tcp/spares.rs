//! Memory of buffers that nobody uses, kept so that the established path allocates nothing.

use bytes::{Bytes, BytesMut};

use super::pages::SparePages;
use super::receive_buffer::ReceiveBuffer;
use super::send_buffer::SendBuffer;

/// Most pages that are kept: 256 KiB.
const PAGES_MAX: usize = 64;

/// Most buffers that are kept of each kind: as many as the packets of a few bursts can fill.
const BUFFERS_MAX: usize = 256;

/// Most chunks that are kept, and most octets of them: what a few bulk senders give back at once.
/// The allocator returns to the kernel what it cannot keep, and has it cleared when it comes again.
const CHUNKS_MAX: usize = 256;
const CHUNK_OCTETS_MAX: usize = 2 << 20;

/// What a stack keeps for all its connections, and lends to one of them for the length of a call.
///
/// So a connection that waits owns no memory for octets, and one that goes on asks the allocator
/// for none. It is bounded, and therefore not counted as memory of buffers.
#[derive(Debug)]
pub(crate) struct Spares {
    pub(super) pages: SparePages,
    pub(super) chunks: SpareChunks,
    receive_buffers: SpareBuffers<ReceiveBuffer>,
    send_buffers: SpareBuffers<SendBuffer>,
}

/// Buffers in which nothing lies: the one that was used last, and is at hand, is the next to be
/// used.
#[derive(Debug)]
struct SpareBuffers<T> {
    list: Vec<Box<T>>,
}

impl Default for Spares {
    fn default() -> Self {
        let chunks = SpareChunks { list: Some(Box::default()) };
        let (receive_buffers, send_buffers) = (SpareBuffers::new(), SpareBuffers::new());
        Self { pages: SparePages::new(PAGES_MAX), chunks, receive_buffers, send_buffers }
    }
}

impl Spares {
    /// A receive buffer in which nothing lies, if one is kept.
    pub(super) fn take_receive_buffer(&mut self) -> Option<Box<ReceiveBuffer>> {
        self.receive_buffers.list.pop()
    }

    /// Keeps a receive buffer in which nothing lies.
    pub(super) fn give_receive_buffer(&mut self, buffer: Box<ReceiveBuffer>) {
        debug_assert!(buffer.is_unused() && buffer.allocated() == 0);
        self.receive_buffers.give(buffer);
    }

    /// A send buffer in which nothing lies, if one is kept.
    pub(super) fn take_send_buffer(&mut self) -> Option<Box<SendBuffer>> {
        self.send_buffers.list.pop()
    }

    /// Keeps a send buffer in which nothing lies.
    pub(super) fn give_send_buffer(&mut self, buffer: Box<SendBuffer>) {
        debug_assert!(buffer.is_empty() && buffer.allocated() == 0);
        self.send_buffers.give(buffer);
    }

    /// How many buffers for receiving and for sending are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.receive_buffers.list.len(), self.send_buffers.list.len())
    }
}

impl<T> SpareBuffers<T> {
    fn new() -> Self {
        Self { list: Vec::new() }
    }

    fn give(&mut self, buffer: Box<T>) {
        if self.list.len() < BUFFERS_MAX {
            self.list.push(buffer);
        }
    }
}

/// What a call will need; its buffer is made before, so that its first memory is spare memory too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Room for text that has arrived.
    Pages,
    /// Room for text that is to leave.
    Chunks,
    /// None.
    Nothing,
}

/// Chunks of send buffers. By default none is kept: nothing was lent.
#[derive(Debug, Default)]
pub(crate) struct SpareChunks {
    /// `None`: nothing was lent. Behind a pointer, since it changes hands twice a call.
    list: Option<Box<ChunkList>>,
}

#[derive(Debug, Default)]
struct ChunkList {
    chunks: Vec<BytesMut>,
    /// Octets of all of them.
    octets: usize,
}

impl SpareChunks {
    /// A chunk with room for `capacity` octets, and not for very many more: what a message holds
    /// is counted by its chunk.
    pub(crate) fn take(&mut self, capacity: usize) -> BytesMut {
        let kept = self.list.as_mut().and_then(|list| list.take(capacity));
        kept.unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }

    /// Keeps the memory of a chunk of `capacity` octets, if nobody else refers to any of it. The
    /// oldest make room.
    pub(crate) fn give(&mut self, mut chunk: BytesMut, capacity: usize) {
        chunk.clear();
        if let Some(list) = &mut self.list
            && capacity > 0
            && chunk.try_reclaim(capacity)
        {
            list.give(chunk);
        }
    }

    /// As [`give`](Self::give), for a chunk that has been handed out.
    pub(crate) fn give_frozen(&mut self, chunk: Bytes, capacity: usize) {
        if self.list.is_some()
            && let Ok(chunk) = chunk.try_into_mut()
        {
            self.give(chunk, capacity);
        }
    }

    /// Hands the list from its owner to one who has none.
    pub(crate) fn lend(&mut self, to: &mut Self) {
        if to.list.is_none() {
            to.list = self.list.take();
        }
    }
}

impl ChunkList {
    fn take(&mut self, capacity: usize) -> Option<BytesMut> {
        let fits = |chunk: &BytesMut| (capacity..=2 * capacity).contains(&chunk.capacity());
        let index = self.chunks.iter().rposition(fits)?;
        let chunk = self.chunks.swap_remove(index);
        self.octets -= chunk.capacity();
        Some(chunk)
    }

    fn give(&mut self, chunk: BytesMut) {
        self.octets += chunk.capacity();
        self.chunks.push(chunk);
        while self.chunks.len() > CHUNKS_MAX || self.octets > CHUNK_OCTETS_MAX {
            self.octets -= self.chunks.remove(0).capacity();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_a_stack() -> SpareChunks {
        Spares::default().chunks
    }

    fn octets_of(spares: &SpareChunks) -> usize {
        spares.list.as_ref().unwrap().octets
    }

    #[test]
    fn a_chunk_is_used_again_once_no_packet_refers_to_it() {
        let mut spares = of_a_stack();
        let mut chunk = spares.take(2048);
        chunk.extend_from_slice(&[7; 2048]);
        let place = chunk.as_ptr();
        let (packet, rest) = (chunk.split_to(100).freeze(), chunk.freeze());
        spares.give_frozen(rest, 2048);
        assert_eq!(octets_of(&spares), 0, "a packet refers to a part of it");
        spares.give_frozen(packet, 2048);
        assert_eq!(spares.take(2048).as_ptr(), place);
        assert_eq!(octets_of(&spares), 0);
    }

    #[test]
    fn a_small_message_gets_no_large_chunk() {
        let mut spares = of_a_stack();
        spares.give(BytesMut::with_capacity(64 << 10), 64 << 10);
        assert!(spares.take(2048).capacity() < 4096 + 1);
        assert_eq!(octets_of(&spares), 64 << 10);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_octets() {
        for capacity in [1, 2048, 64 << 10, 1 << 20] {
            let mut spares = of_a_stack();
            for _ in 0..2 * CHUNKS_MAX {
                spares.give(BytesMut::with_capacity(capacity), capacity);
            }
            let list = spares.list.unwrap();
            assert!(list.chunks.len() <= CHUNKS_MAX && list.octets <= CHUNK_OCTETS_MAX);
            let octets: usize = list.chunks.iter().map(BytesMut::capacity).sum();
            assert_eq!(octets, list.octets);
        }
    }

    #[test]
    fn the_buffer_that_was_used_last_is_the_next_and_few_are_kept() {
        let mut spares = SpareBuffers::<u64>::new();
        for number in 1..=2 * BUFFERS_MAX as u64 {
            spares.give(Box::new(number));
        }
        for number in (1..=BUFFERS_MAX as u64).rev() {
            assert_eq!(spares.list.pop().map(|buffer| *buffer), Some(number));
        }
        assert!(spares.list.is_empty());
    }

    #[test]
    fn without_a_loan_nothing_is_kept() {
        let mut none = SpareChunks::default();
        none.give(BytesMut::with_capacity(2048), 2048);
        assert!(none.list.is_none());
        let mut owner = of_a_stack();
        owner.lend(&mut none);
        assert!(owner.list.is_none() && none.list.is_some());
        none.lend(&mut owner);
        assert!(owner.list.is_some() && none.list.is_none());
    }
}
