//! Octets that have arrived and that the application has not read yet.

use std::collections::VecDeque;

/// Octets of a page. Small, so that a connection that holds a few octets owns little memory;
/// large enough that a full segment touches two pages at most.
const PAGE: usize = 4096;

type Page = Box<[u8; PAGE]>;

/// Octets in order that wait for the application, and room right of them in which octets that
/// arrive out of order are laid where they belong.
///
/// ```text
///        read        end (RCV.NXT)                    high
///  ┌───────┬──────────┬──────────────┬───────┬──────────┐
///  │ gone  │ in order │   missing    │ early │ missing… │
///  └───────┴──────────┴──────────────┴───────┴──────────┘
///  pages ───▶ only where something lies
/// ```
///
/// Which of the octets right of RCV.NXT are present is [`Assembler`](super::assembler::Assembler)'s
/// to know; how far right they may lie is the receive window's. A buffer in which nothing lies
/// owns no memory.
#[derive(Debug, Default)]
pub(crate) struct ReceiveBuffer {
    /// The first page holds the octet at `read`.
    pages: VecDeque<Option<Page>>,
    /// How many of `pages` are there.
    owned: usize,
    /// The next octet for the application: like all positions counted from the first page's start.
    read: usize,
    /// The octet after the last in order: RCV.NXT.
    end: usize,
    /// The octet after the last that was ever laid here.
    high: usize,
}

impl ReceiveBuffer {
    /// Lays `octets` down, `offset` octets right of the end of what is in order (RCV.NXT).
    ///
    /// Where octets lie already the new ones replace them; a caller that wants the first copy to
    /// count trims the second.
    pub(crate) fn write_at(&mut self, offset: u32, octets: &[u8]) {
        let mut position = self.end + offset as usize;
        let mut rest = octets;
        while !rest.is_empty() {
            let room = PAGE - position % PAGE;
            let (fitting, later) = rest.split_at(rest.len().min(room));
            let page = self.page_mut(position / PAGE);
            page[position % PAGE..][..fitting.len()].copy_from_slice(fitting);
            position += fitting.len();
            rest = later;
            self.high = self.high.max(position);
        }
    }

    /// The `octets` right of RCV.NXT have no gap any more: they are in order now.
    pub(crate) fn commit(&mut self, octets: u32) {
        self.end += octets as usize;
        debug_assert!(self.end <= self.high, "only what was written gets in order");
    }

    /// How many octets wait for the application.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.end - self.read).expect("a receive window has at most 2^30 octets")
    }

    /// Whether nothing waits for the application.
    pub(crate) fn is_empty(&self) -> bool {
        self.read == self.end
    }

    /// Moves octets in order into `buf`, as many as fit; says how many those were.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> usize {
        let octets = self.peek(buf);
        self.skip(octets);
        octets
    }

    /// Copies octets in order into `buf`, as many as fit, and keeps them for the next read.
    pub(crate) fn peek(&self, buf: &mut [u8]) -> usize {
        let octets = buf.len().min(self.end - self.read);
        let mut position = self.read;
        let mut rest = &mut buf[..octets];
        while !rest.is_empty() {
            let room = PAGE - position % PAGE;
            let (fitting, later) = rest.split_at_mut(rest.len().min(room));
            let page = self.page(position / PAGE);
            fitting.copy_from_slice(&page[position % PAGE..][..fitting.len()]);
            position += fitting.len();
            rest = later;
        }
        octets
    }

    /// Gives up what lies right of RCV.NXT: memory is short, and the peer will send it again
    /// (RFC 2018 §8 allows that).
    pub(crate) fn discard_out_of_order(&mut self) {
        self.high = self.end;
        let kept = self.end.div_ceil(PAGE).min(self.pages.len());
        let given_up = self.pages.drain(kept..).flatten().count();
        self.owned -= given_up;
        self.release_if_unused();
    }

    /// Gives up everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Octets of memory that the buffer owns for octets; 0 when it holds none.
    pub(crate) fn allocated(&self) -> usize {
        self.owned * PAGE
    }

    /// The application has taken the first `octets`.
    fn skip(&mut self, octets: usize) {
        self.read += octets;
        let passed = self.read / PAGE;
        let given_back = self.pages.drain(..passed).flatten().count();
        self.owned -= given_back;
        // Positions count from the first page, so that they stay small for ever.
        self.read -= passed * PAGE;
        self.end -= passed * PAGE;
        self.high -= passed * PAGE;
        self.release_if_unused();
    }

    /// A connection that waits for its peer owns no page and starts its next one at its first octet.
    fn release_if_unused(&mut self) {
        if self.read == self.high {
            self.clear();
        }
    }

    fn page(&self, index: usize) -> &Page {
        let page = self.pages.get(index).and_then(Option::as_ref);
        page.expect("what is in order was written, so its page is there")
    }

    fn page_mut(&mut self, index: usize) -> &mut Page {
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
        }
        self.pages[index].get_or_insert_with(|| {
            self.owned += 1;
            Box::new([0; PAGE])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    fn read_all(buffer: &mut ReceiveBuffer) -> Vec<u8> {
        let mut octets = vec![0; buffer.len() as usize];
        assert_eq!(buffer.read(&mut octets), octets.len());
        octets
    }

    #[test]
    fn a_gap_that_closes_makes_all_of_it_readable() {
        let mut buffer = ReceiveBuffer::default();
        buffer.write_at(3, b"def");
        assert_eq!((buffer.len(), buffer.read(&mut [0; 9])), (0, 0));
        buffer.write_at(0, b"abc");
        buffer.commit(6);
        assert_eq!(read_all(&mut buffer), b"abcdef");
    }

    #[test]
    fn the_last_copy_of_an_octet_counts() {
        let mut buffer = ReceiveBuffer::default();
        buffer.write_at(0, b"abcd");
        buffer.write_at(1, b"XY");
        buffer.commit(4);
        assert_eq!(read_all(&mut buffer), b"aXYd");
    }

    #[test]
    fn peeking_takes_nothing_away() {
        let mut buffer = ReceiveBuffer::default();
        buffer.write_at(0, b"abcd");
        buffer.commit(4);
        let mut two = [0; 2];
        assert_eq!((buffer.peek(&mut two), &two), (2, b"ab"));
        assert_eq!((buffer.read(&mut two), &two), (2, b"ab"));
        assert_eq!((buffer.read(&mut two), &two), (2, b"cd"));
        assert_eq!(buffer.read(&mut two), 0);
    }

    #[test]
    fn a_buffer_owns_pages_only_where_something_lies() {
        let mut buffer = ReceiveBuffer::default();
        assert_eq!((buffer.allocated(), buffer.pages.capacity()), (0, 0));
        buffer.write_at(100 * 4096, b"far away");
        assert_eq!(buffer.allocated(), 4096);
        buffer.write_at(4095, b"on two pages");
        assert_eq!(buffer.allocated(), 3 * 4096);
        buffer.discard_out_of_order();
        assert_eq!((buffer.allocated(), buffer.pages.capacity()), (0, 0));
    }

    #[test]
    fn a_drained_buffer_owns_nothing_and_a_half_drained_one_half() {
        let mut buffer = ReceiveBuffer::default();
        buffer.write_at(0, &[7; 4 * 4096 - 10]);
        buffer.commit(4 * 4096 - 10);
        assert_eq!(buffer.read(&mut [0; 2 * 4096]), 2 * 4096);
        assert_eq!(buffer.allocated(), 2 * 4096);
        read_all(&mut buffer);
        assert_eq!((buffer.allocated(), buffer.pages.capacity()), (0, 0));
    }

    #[test]
    fn draining_keeps_what_lies_out_of_order() {
        let mut buffer = ReceiveBuffer::default();
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
        let mut buffer = ReceiveBuffer::default();
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
            let mut buffer = ReceiveBuffer::default();
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
                        early.iter_mut().for_each(|slot| *slot = None);
                    }
                    _ => {
                        let mut octets = vec![0; pick(9000)];
                        let len = buffer.read(&mut octets);
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
}
