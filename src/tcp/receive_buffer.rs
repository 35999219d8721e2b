//! Octets that have arrived and that the application has not read yet.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::pages::{Pages, SparePages};
use crate::packet::SUPER_CHUNK;

/// From so many octets of text on a packet is kept by reference; below, its text is copied out, so
/// that a few octets never hold the memory of a whole super-segment.
pub(crate) const SHARE_MIN: usize = 32 << 10;

/// What a kept packet is charged, or each such part of a larger one: about its share of the memory
/// that it was read into. One whose neighbours have all been read keeps more, twice as much at
/// most; so where much is held already, packets come here in memory of their own.
const SHARE_CHARGE: usize = 64 << 10;
const _: () = assert!(SUPER_CHUNK <= 2 * SHARE_CHARGE);

/// Octets in order that wait for the application, and early ones right of them.
///
/// ```text
///  front: packets by reference, and pages between them      tail: pages
///  ┌──────────────┬───────┬───────────────┬────────────┐┌──────────────────────────┐
///  │ packet       │ pages │ packet        │ packet     ││ in order │ early         │
///  └──────────────┴───────┴───────────────┴────────────┘└──────────────────────────┘
/// ```
///
/// Small segments, and whatever comes early, lie in the tail. A large packet in order becomes part
/// of the front as it is, without a copy. A buffer in which nothing lies owns two short lists.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBuffer {
    /// Since a packet was kept; empty once all of it is read.
    front: Option<Box<Front>>,
    tail: Pages,
}

/// What lies before the tail; all of it in order.
#[derive(Debug, Default)]
struct Front {
    sections: VecDeque<Section>,
    /// Octets of all sections.
    len: u32,
    /// Octets of memory of all sections.
    charged: usize,
}

/// Entries of an empty front that are kept for the next packets.
const SECTIONS_KEPT: usize = 16;

/// A run of octets in order.
#[derive(Debug)]
enum Section {
    /// What is left of a packet, and what it is charged until all of it is read.
    Packet(Bytes, usize),
    Pages(Pages),
}

impl Section {
    fn len(&self) -> usize {
        match self {
            Self::Packet(packet, _) => packet.len(),
            Self::Pages(pages) => pages.len() as usize,
        }
    }

    fn charge(&self) -> usize {
        match self {
            Self::Packet(_, charge) => *charge,
            Self::Pages(pages) => pages.allocated(),
        }
    }

    /// Copies octets from behind the first `skip` on.
    fn peek_behind(&self, skip: usize, buf: &mut [u8]) -> usize {
        match self {
            Self::Packet(packet, _) => {
                let rest = packet.get(skip..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                len
            }
            Self::Pages(pages) => pages.peek_behind(skip, buf),
        }
    }

    fn skip(&mut self, octets: usize, spares: &mut SparePages) {
        match self {
            Self::Packet(packet, _) => packet.advance(octets),
            Self::Pages(pages) => {
                spares.lend(&mut pages.spares);
                pages.skip(octets);
                pages.spares.lend(spares);
            }
        }
    }
}

impl Front {
    fn push(&mut self, section: Section) {
        self.len += u32::try_from(section.len()).unwrap_or(0);
        self.charged += section.charge();
        self.sections.push_back(section);
    }

    /// Takes away the first `octets`, all of them here.
    fn skip(&mut self, mut octets: usize, spares: &mut SparePages) {
        self.len -= u32::try_from(octets).unwrap_or(0);
        while octets > 0
            && let Some(first) = self.sections.front_mut()
        {
            let part = first.len().min(octets);
            self.charged -= first.charge();
            first.skip(part, spares);
            octets -= part;
            if first.len() == 0 {
                self.sections.pop_front();
            } else {
                self.charged += first.charge();
            }
        }
    }

    /// Copies octets from behind the first `skip` on.
    fn peek_behind(&self, mut skip: usize, buf: &mut [u8]) -> usize {
        let mut copied = 0;
        for section in &self.sections {
            if copied == buf.len() {
                break;
            }
            copied += section.peek_behind(skip, &mut buf[copied..]);
            skip = skip.saturating_sub(section.len());
        }
        copied
    }
}

impl ReceiveBuffer {
    /// Lays `octets` down, `offset` octets right of the end of what is in order (RCV.NXT), by
    /// copy; they count once they are [committed](Self::commit).
    pub(crate) fn write_at(&mut self, offset: u32, octets: &[u8]) {
        self.tail.write_at(offset, octets);
    }

    /// Puts `packet` behind what is in order, by reference. Nothing may lie there that came early.
    pub(crate) fn append(&mut self, packet: Bytes) {
        let front = self.front.get_or_insert_default();
        if self.tail.len() > 0 {
            let mut pages = std::mem::take(&mut self.tail);
            pages.spares.lend(&mut self.tail.spares);
            front.push(Section::Pages(pages));
        }
        let charge = packet.len().next_multiple_of(SHARE_CHARGE);
        front.push(Section::Packet(packet, charge));
    }

    /// The `octets` right of RCV.NXT have no gap any more: they are in order now.
    pub(crate) fn commit(&mut self, octets: u32) {
        self.tail.commit(octets);
    }

    /// How many octets wait for the application.
    pub(crate) fn len(&self) -> u32 {
        self.front_len() + self.tail.len()
    }

    fn front_len(&self) -> u32 {
        self.front.as_ref().map_or(0, |front| front.len)
    }

    /// Moves octets in order into `buf`, as many as fit; says how many those were.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> usize {
        let octets = self.peek_behind(0, buf);
        self.skip(octets);
        octets
    }

    /// Takes at most `max` octets in order: what is left of a packet without a copy.
    pub(crate) fn take(&mut self, max: usize) -> Bytes {
        let first = self.front.as_deref_mut().and_then(|front| front.sections.front_mut());
        let octets = match first {
            Some(Section::Packet(packet, _)) => packet.slice(..packet.len().min(max)),
            Some(Section::Pages(pages)) => copy_of(pages, max),
            None => copy_of(&self.tail, max),
        };
        self.skip(octets.len());
        octets
    }

    /// Copies octets in order, from behind the first `skip` on, and keeps them.
    pub(crate) fn peek_behind(&self, skip: usize, buf: &mut [u8]) -> usize {
        let Some(front) = &self.front else { return self.tail.peek_behind(skip, buf) };
        let copied = front.peek_behind(skip, buf);
        let rest = skip.saturating_sub(front.len as usize);
        copied + self.tail.peek_behind(rest, &mut buf[copied..])
    }

    /// The application has taken, or shall not have, the first `octets`, which are there.
    pub(crate) fn skip(&mut self, octets: usize) {
        let before = octets.min(self.front_len() as usize);
        if let Some(front) = &mut self.front {
            front.skip(before, &mut self.tail.spares);
            if front.len == 0 && front.sections.capacity() > SECTIONS_KEPT {
                self.front = None;
            }
        }
        self.tail.skip(octets - before);
    }

    /// Gives up what lies right of RCV.NXT: memory is short, and the peer will send it again
    /// (RFC 2018 §8 allows that).
    pub(crate) fn discard_out_of_order(&mut self) {
        self.tail.discard_out_of_order();
    }

    /// Lends the pages that nobody uses, for the calls up to [`take_back`](Self::take_back).
    pub(crate) fn lend(&mut self, spares: &mut SparePages) {
        spares.lend(&mut self.tail.spares);
    }

    /// Gives them back, and with them those that have become free.
    pub(crate) fn take_back(&mut self, spares: &mut SparePages) {
        self.tail.spares.lend(spares);
    }

    /// Whether nothing lies here, in order or early.
    pub(crate) fn is_unused(&self) -> bool {
        self.front_len() == 0 && self.tail.is_unused()
    }

    /// Octets of memory that the buffer holds for octets; 0 when it holds none.
    pub(crate) fn allocated(&self) -> usize {
        self.front.as_ref().map_or(0, |front| front.charged) + self.tail.allocated()
    }
}

/// The first octets of `pages`, `max` at most.
fn copy_of(pages: &Pages, max: usize) -> Bytes {
    let mut octets = Vec::with_capacity(max.min(pages.len() as usize));
    pages.parts(0, max).for_each(|part| octets.extend_from_slice(part));
    octets.into()
}

#[cfg(test)]
#[path = "tests/receive_buffer.rs"]
mod tests;
