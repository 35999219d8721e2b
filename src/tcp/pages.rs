//! Memory for octets in order and for early ones right of them, where they belong.

use std::collections::VecDeque;

/// Octets of a page. Small, so that a connection that holds a few octets owns little memory;
/// large enough that a full segment touches two pages at most.
const PAGE: usize = 4096;

/// Entries of an empty list of pages that are kept for the next ones: 512 KiB of text.
const SLOTS_KEPT: usize = 128;

type Page = Box<[u8; PAGE]>;

/// Pages in which nothing lies, for whoever needs some next.
///
/// A stack has one such list for all its connections and lends it to a buffer for the length of a
/// call. So a connection that waits owns no page, and one that goes on allocates none.
#[derive(Debug, Default)]
pub(crate) struct SparePages {
    /// `None`: nothing was lent. Behind a pointer, since it changes hands twice a segment.
    list: Option<Box<PageList>>,
}

#[derive(Debug)]
struct PageList {
    pages: Vec<Page>,
    /// How many are kept at most; what comes beyond is given up.
    max: usize,
}

impl SparePages {
    /// An empty list that keeps at most `max` pages.
    pub(crate) fn new(max: usize) -> Self {
        Self { list: Some(Box::new(PageList { pages: Vec::new(), max })) }
    }

    /// A page, of which only what is written to it may be read: it holds what it held.
    fn take(&mut self) -> Page {
        let kept = self.list.as_mut().and_then(|list| list.pages.pop());
        kept.unwrap_or_else(|| Box::new([0; PAGE]))
    }

    fn give(&mut self, page: Page) {
        if let Some(list) = &mut self.list
            && list.pages.len() < list.max
        {
            list.pages.push(page);
        }
    }

    /// Hands the list from its owner to one who has none.
    pub(super) fn lend(&mut self, to: &mut Self) {
        if to.list.is_none() {
            to.list = self.list.take();
        }
    }
}

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
/// owns no page.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// The first page holds the octet at `read`.
    slots: VecDeque<Option<Page>>,
    /// How many pages there are.
    owned: usize,
    /// The next octet for the application: like all positions counted from the first page's start.
    read: usize,
    /// The octet after the last in order: RCV.NXT.
    end: usize,
    /// The octet after the last that was ever laid here.
    high: usize,
    /// Lent for a call.
    pub(super) spares: SparePages,
}

impl Pages {
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

    /// Copies octets in order into `buf`, from behind the first `octets` on and as many as fit, and
    /// keeps them for the next read.
    pub(crate) fn peek_behind(&self, octets: usize, buf: &mut [u8]) -> usize {
        let mut copied = 0;
        for part in self.parts(octets, buf.len()) {
            buf[copied..][..part.len()].copy_from_slice(part);
            copied += part.len();
        }
        copied
    }

    /// Octets in order where they lie, from behind the first `octets` on and at most `max`.
    pub(crate) fn parts(&self, octets: usize, max: usize) -> impl Iterator<Item = &[u8]> {
        let mut position = self.end.min(self.read + octets);
        let mut rest = max.min(self.end - position);
        std::iter::from_fn(move || {
            let start = position % PAGE;
            let len = rest.min(PAGE - start);
            let page = (len > 0).then(|| self.page(position / PAGE))?;
            position += len;
            rest -= len;
            Some(&page[start..start + len])
        })
    }

    /// Gives up what lies right of RCV.NXT: memory is short, and the peer will send it again
    /// (RFC 2018 §8 allows that).
    pub(crate) fn discard_out_of_order(&mut self) {
        self.high = self.end;
        let kept = self.end.div_ceil(PAGE).min(self.slots.len());
        for page in self.slots.drain(kept..).flatten() {
            self.spares.give(page);
            self.owned -= 1;
        }
        if self.is_unused() {
            self.release();
        }
    }

    /// Whether nothing lies here, in order or early.
    pub(crate) fn is_unused(&self) -> bool {
        self.high == self.read
    }

    /// Octets of memory that the buffer owns for octets; 0 when it holds none.
    pub(crate) fn allocated(&self) -> usize {
        self.owned * PAGE
    }

    /// The application has taken, or shall not have, the first `octets`, which are there.
    pub(crate) fn skip(&mut self, octets: usize) {
        self.read += octets;
        if self.is_unused() {
            self.release();
            return;
        }
        let passed = self.read / PAGE;
        if passed == 0 {
            return;
        }
        for page in self.slots.drain(..passed).flatten() {
            self.spares.give(page);
            self.owned -= 1;
        }
        // Positions count from the first page, so that they stay small for ever.
        self.read -= passed * PAGE;
        self.end -= passed * PAGE;
        self.high -= passed * PAGE;
    }

    /// A connection that waits for its peer owns no page, and starts its next one at the front.
    fn release(&mut self) {
        while let Some(slot) = self.slots.pop_front() {
            if let Some(page) = slot {
                self.spares.give(page);
            }
        }
        if self.slots.capacity() > SLOTS_KEPT {
            self.slots = VecDeque::new();
        }
        (self.owned, self.read, self.end, self.high) = (0, 0, 0, 0);
    }

    fn page(&self, index: usize) -> &Page {
        let page = self.slots.get(index).and_then(Option::as_ref);
        page.expect("what is in order was written, so its page is there")
    }

    fn page_mut(&mut self, index: usize) -> &mut Page {
        while self.slots.len() <= index {
            self.slots.push_back(None);
        }
        let (owned, spares) = (&mut self.owned, &mut self.spares);
        self.slots[index].get_or_insert_with(|| {
            *owned += 1;
            spares.take()
        })
    }
}

#[cfg(test)]
#[path = "tests/pages.rs"]
mod tests;
