//! What the layers hand to each other: packets that have arrived, and packets that are to leave.
//!
//! Both are owned, so that an impaired link, a capture or a queue may keep them.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// Room for the headers of one packet: IPv4 with all options (60) and TCP with all options (60).
pub(crate) const HEAD_MAX: usize = 128;

/// The headers of a packet that is to leave, written in place by `wire`.
pub type Head = ArrayVec<u8, HEAD_MAX>;

/// The payload of a packet that is to leave: slices of a send buffer, each one reference.
pub type Payload = SmallVec<[Bytes; 2]>;

/// How the checksum field of a transport header stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Complete, as on any wire; to be checked on arrival.
    #[default]
    Complete,
    /// Complete, and the device has checked it.
    Verified,
    /// The field holds no more than the sum of the pseudo-header: whoever carries the packet
    /// completes it. In a packet that has arrived this says that it never was on a wire.
    Partial,
}

/// What a packet leaves to the device, or a device left to us: the work that one call does for
/// many segments at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The checksum of TCP or UDP.
    pub checksum: Checksum,
    /// The packet is a super-segment: it stands for several packets with the same headers, each
    /// with so many octets of text, the last with what is left. `None`: it is one packet.
    pub segment: Option<NonZeroU16>,
}

/// A packet that has arrived: the octets of one IP packet, or of a super-segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    octets: Bytes,
    offload: Offload,
}

impl Frame {
    /// A packet of these octets, as it came over a wire.
    pub fn new(octets: impl Into<Bytes>) -> Self {
        Self::with_offload(octets, Offload::default())
    }

    /// A packet of these octets, parts of which the device has left out or has done.
    pub fn with_offload(octets: impl Into<Bytes>, offload: Offload) -> Self {
        Self { octets: octets.into(), offload }
    }

    /// What the device has left out or has done.
    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// The octets of the packet.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Gives the octets up, for their payload to be cut out without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.octets
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({} octets)", self.octets.len())
    }
}

/// A packet that is to leave: headers, and the payload as slices of what the application wrote.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// The headers, from the IP header on. That one's checksum is always complete.
    pub head: Head,
    /// What follows the headers.
    pub payload: Payload,
    /// What is left to the device; nothing, unless its
    /// [`Capabilities`](crate::Capabilities) say that it takes that on.
    pub offload: Offload,
}

impl Outgoing {
    /// How many octets the packet has.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether there is nothing in it. No layer makes such a packet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packet in pieces, in order, for a vectored write.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.head.as_slice()).chain(self.payload.iter().map(|slice| &slice[..]))
    }

    /// Appends the packet to `buffer` in one piece.
    pub fn copy_to(&self, buffer: &mut Vec<u8>) {
        for slice in self.slices() {
            buffer.extend_from_slice(slice);
        }
    }

    /// The packet in one piece, as it arrives at the other end.
    pub fn to_frame(&self) -> Frame {
        let mut octets = BytesMut::with_capacity(self.len());
        for slice in self.slices() {
            octets.extend_from_slice(slice);
        }
        Frame::with_offload(octets.freeze(), self.offload)
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Outgoing({} octets)", self.len())
    }
}

/// Memory for arriving packets: many packets share a chunk, and a chunk whose packets are all
/// gone is used again, so that receiving allocates nothing while packets are short-lived.
#[derive(Debug)]
pub struct FramePool {
    chunk: BytesMut,
    frame_max: usize,
}

/// Octets of a chunk: some forty packets of an Ethernet's size.
const CHUNK: usize = 64 << 10;

impl FramePool {
    /// A pool for packets of at most `frame_max` octets.
    pub fn new(frame_max: usize) -> Self {
        Self { chunk: BytesMut::new(), frame_max }
    }

    /// Makes one packet of what `read` writes; `read` says how many octets those are.
    pub fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Frame, E> {
        if self.chunk.len() < self.frame_max {
            self.chunk.clear();
            let len = CHUNK.max(self.frame_max);
            self.chunk.reserve(len); // Takes the old chunk back if no packet holds it any more.
            self.chunk.resize(len, 0);
        }
        let len = read(&mut self.chunk[..self.frame_max])?.min(self.frame_max);
        Ok(Frame::new(self.chunk.split_to(len).freeze()))
    }
}

/// Memory for packets of any size up to a super-segment's, or for the text of many: as
/// [`FramePool`], for a writer into memory which was never initialized, since clearing 64 KiB for
/// each packet would cost as much as a packet.
#[derive(Debug, Default)]
pub(crate) struct SuperPool {
    chunk: BytesMut,
    /// Full ones, the oldest first.
    full: VecDeque<BytesMut>,
}

/// Octets of a chunk of a [`SuperPool`]: two super-segments, or some forty packets of an Ethernet's
/// size and room for one of any size behind them. Whoever keeps one packet may keep a whole chunk.
pub(crate) const SUPER_CHUNK: usize = 128 << 10;

/// Octets that the largest packet has, and room for what a device puts before it.
const PACKET_MAX: usize = 65_535 + 64;

/// Full chunks that are kept to be used again.
const FULL_MAX: usize = 4;

impl SuperPool {
    /// Makes one packet of what `read` appends to the memory that it is given, which has room for
    /// the largest packet.
    pub(crate) fn fill<E>(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        self.make_room(PACKET_MAX);
        read(&mut self.chunk)?;
        Ok(self.take())
    }

    /// Makes one packet of these octets, no more than a packet has.
    pub(crate) fn copy(&mut self, octets: &[u8]) -> Bytes {
        self.make_room(octets.len());
        self.chunk.extend_from_slice(octets);
        self.take()
    }

    /// Sees to it that [`memory`](Self::memory), in which nothing stands yet, has room for so many
    /// octets, at most a chunk's.
    pub(crate) fn make_room(&mut self, octets: usize) {
        // As long as packets are gone when the next come, those use memory that is still at hand.
        if !self.chunk.try_reclaim(SUPER_CHUNK) && self.chunk.capacity() < octets {
            self.next_chunk();
        }
    }

    /// What is appended here, no more than there was room for, is the next to be taken.
    pub(crate) fn memory(&mut self) -> &mut BytesMut {
        &mut self.chunk
    }

    /// Takes what was appended since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        self.chunk.split().freeze()
    }

    /// Whether anything was ever taken from here.
    #[cfg(test)]
    pub(crate) fn is_in_use(&self) -> bool {
        self.chunk.capacity() > 0
    }

    fn next_chunk(&mut self) {
        self.full.push_back(std::mem::take(&mut self.chunk));
        // The newest whose packets are gone is the one that the processor still has at hand.
        let free = self.full.iter_mut().rposition(|chunk| chunk.try_reclaim(SUPER_CHUNK));
        self.chunk = free
            .and_then(|place| self.full.remove(place))
            .unwrap_or_else(|| BytesMut::with_capacity(SUPER_CHUNK));
        if self.full.len() > FULL_MAX {
            // Whoever still holds a packet of the oldest gives its memory back by letting go.
            self.full.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outgoing_packet_arrives_as_its_head_and_its_payload_in_order() {
        let mut packet = Outgoing::default();
        packet.head.extend([1, 2]);
        packet.payload.push(Bytes::from_static(&[3]));
        packet.payload.push(Bytes::from_static(&[4, 5]));
        assert_eq!(packet.len(), 5);
        assert_eq!(packet.to_frame().octets(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_pool_uses_a_chunk_again_once_its_packets_are_gone() {
        let mut pool = FramePool::new(1500);
        let mut chunks = std::collections::BTreeSet::new();
        for n in 0..10_000u32 {
            let frame = pool
                .fill(|octets| {
                    octets[..4].copy_from_slice(&n.to_be_bytes());
                    Ok::<_, ()>(1500)
                })
                .unwrap();
            assert_eq!(frame.octets()[..4], n.to_be_bytes());
            chunks.insert(frame.octets().as_ptr() as usize / CHUNK);
        }
        assert!(chunks.len() <= 4, "{} chunks", chunks.len());
    }

    #[test]
    fn a_held_packet_keeps_its_octets() {
        let mut pool = FramePool::new(1500);
        let held = pool
            .fill(|octets| {
                octets[0] = 9;
                Ok::<_, ()>(1)
            })
            .unwrap();
        for _ in 0..1000 {
            pool.fill(|octets| {
                octets.fill(7);
                Ok::<_, ()>(1500)
            })
            .unwrap();
        }
        assert_eq!(held.octets(), [9]);
    }
}
