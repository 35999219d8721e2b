//! The receiving half: RCV.* of RFC 9293 §3.3.1, what is acceptable, and the windows we offer.

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::assembler::{Assembler, BLOCKS_MAX, Range};
use super::negotiated::Negotiated;
use super::receive_buffer::{ReceiveBuffer, SHARE_MIN};
use super::segment::Segment;
use super::seq::{SeqNumber, SeqRange};
use super::spares::Spares;
use crate::observe::DropReason;
use crate::wire::tcp_options::SackBlock;

/// Octets that a connection may hold for its reader when memory is short: as Linux grants each
/// socket the least of `tcp_rmem`.
const READ_MIN: u32 = 4096;

/// How far the window that we offer may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    /// Not at all: the peer does not look at the segment's window.
    No,
    /// Memory is short: no further than a reader needs to go on.
    Least,
    /// As far as the buffer has room.
    Free,
}

impl Growth {
    /// For whom the window counts; `has_memory`: whether memory is not short.
    pub(crate) fn with(has_memory: bool) -> Self {
        if has_memory { Self::Free } else { Self::Least }
    }
}

/// The receive sequence space and the octets that stand in it.
///
/// ```text
///      read │ in order, not read │ out of order, with holes │ not allowed
///        ───┴────────────────────┼──────────────────────────┼─────────────
///                             RCV.NXT                RCV.NXT + RCV.WND = edge
/// ```
#[derive(Debug)]
pub(crate) struct ReceiveSide {
    /// RCV.NXT: the next octet that we expect.
    nxt: SeqNumber,
    /// The right edge that we have offered, RCV.NXT + RCV.WND: it never moves left (RFC 9293
    /// §3.8.6, SHLD-14).
    edge: SeqNumber,
    /// Room in the buffer when the window was last opened, or the least since, octets.
    room_offered: u32,
    /// Where the peer's FIN stands, once it has been seen; RCV.NXT is past it once it counts.
    fin: Option<SeqNumber>,
    /// Rcv.Wind.Shift (RFC 7323 §2.3).
    shift: u8,
    /// Largest segment that we said we take, octets of text.
    mss: u16,
    /// Octets in order and not read, with room for those that came early; `None` while there are
    /// none.
    buffer: Option<Box<ReceiveBuffer>>,
    /// Octets that the buffer may hold; the window is computed from it.
    buffer_max: u32,
    /// Which octets right of RCV.NXT are present.
    assembler: Assembler,
    /// Whether the peer takes SACK options.
    sack: bool,
    /// What has come although it was here, of which the peer is told once (RFC 2883).
    duplicate: Option<SeqRange>,
}

/// What a segment's text brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Octets that became readable, those included that had come early.
    pub(crate) octets: u32,
    /// Whether it came early, filled a hole, or brought what we had: RFC 5681 §4.2 wants each
    /// of these acknowledged at once (MAY-13).
    pub(crate) is_irregular: bool,
    /// Whether the peer's FIN has been reached.
    pub(crate) fin: bool,
    /// Whether it came early and there was no memory for it, or it would have opened one hole too
    /// many: the peer must send it again.
    pub(crate) is_refused: bool,
}

/// What has become of a segment's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placed {
    /// It would open one hole too many.
    Refused,
    /// It lies where it belongs, and counts once everything left of it is there.
    Laid,
    /// It follows what was there, and counts already.
    InOrder,
}

impl ReceiveSide {
    /// After the handshake: the peer's SYN is taken, and a window of `offered` octets was
    /// announced with it.
    pub(crate) fn new(irs: SeqNumber, agreed: Negotiated, offered: u32, buffer_max: u32) -> Self {
        Self {
            nxt: irs + 1,
            edge: irs + 1 + offered,
            room_offered: buffer_max,
            fin: None,
            shift: agreed.receive_shift(),
            mss: agreed.receive_mss,
            buffer: None,
            buffer_max,
            assembler: Assembler::default(),
            sack: agreed.sack,
            duplicate: None,
        }
    }

    /// RCV.NXT.
    pub(crate) fn nxt(&self) -> SeqNumber {
        self.nxt
    }

    /// RCV.WND: octets from RCV.NXT on that we have promised to take.
    pub(crate) fn wnd(&self) -> u32 {
        SeqRange { start: self.nxt, end: self.edge }.len()
    }

    /// Octets that `read` would give.
    pub(crate) fn readable(&self) -> u32 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// Octets that the buffer may hold.
    pub(crate) fn buffer_max(&self) -> u32 {
        self.buffer_max
    }

    /// SO_RCVBUF of an open connection: the buffer may grow, by as much as the window scale that
    /// was agreed can say. A smaller one than what was offered would break a promise (SHLD-14).
    pub(crate) fn grow_buffer(&mut self, buffer_max: u32) {
        self.buffer_max = self.buffer_max.max(buffer_max);
    }

    /// Octets of memory held.
    pub(crate) fn allocated(&self) -> usize {
        let buffer = self.buffer.as_ref().map_or(0, |buffer| buffer.allocated());
        buffer + self.assembler.allocated()
    }

    /// Whether the peer's FIN has been reached.
    pub(crate) fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt.after(fin))
    }

    /// The test of RFC 9293 §3.10.7.4, first step, and its four cases (Table 6).
    ///
    /// At a shut window a bare FIN at RCV.NXT passes too, as in Linux: it takes no room.
    pub(crate) fn admit(&self, segment: &Segment) -> Result<(), DropReason> {
        let (seq, len, wnd) = (segment.seq, segment.len(), self.wnd());
        let window = SeqRange { start: self.nxt, end: self.edge };
        match (len, wnd) {
            (0, 0) if seq == self.nxt => Ok(()),
            (1, 0) if segment.fin && seq == self.nxt => Ok(()),
            (_, 1..) if window.contains(seq) => Ok(()),
            // It ends in the window, or past it: a peer that ignores windows may send such a one.
            (1.., 1..) if seq.before(self.nxt) && (seq + len).after(self.nxt) => Ok(()),
            _ if seq.before(self.nxt) => Err(DropReason::BelowWindow),
            _ => Err(DropReason::AboveWindow),
        }
    }

    /// Takes the text of an admitted segment (seventh step) and its FIN (eighth), each as far as
    /// it lies in the window. `may_hold`: whether there is memory for what came early.
    pub(crate) fn take(&mut self, segment: &Segment, may_hold: bool) -> Taken {
        if segment.len() == u32::from(segment.syn) || self.is_finished() {
            return Taken { is_irregular: segment.len() > 0, ..Taken::default() };
        }
        let text_end = segment.seq + segment.text_len();
        if segment.fin && text_end.at_or_after(self.nxt) && text_end.at_or_before(self.edge) {
            self.fin.get_or_insert(text_end); // A second one somewhere else is ignored.
        }
        let had_gap = self.assembler.has_gap();
        self.note_duplicate(segment);
        let is_early = segment.seq.after(self.nxt);
        let is_old = segment.seq.before(self.nxt);
        let placed = if is_early && !may_hold && segment.text_len() > 0 {
            Placed::Refused
        } else {
            self.place(segment, text_end)
        };
        let mut octets = self.assembler.contiguous();
        if let Some(fin) = self.fin {
            // Text that had come early may lie right of a FIN that came after it.
            octets = octets.min(SeqRange { start: self.nxt, end: fin }.len());
        }
        self.assembler.advance(octets);
        if placed != Placed::InOrder
            && let Some(buffer) = &mut self.buffer
        {
            buffer.commit(octets);
        }
        self.nxt += octets;
        let fin = self.fin == Some(self.nxt);
        if fin {
            self.nxt += 1;
            self.assembler = Assembler::default(); // Nothing follows a FIN.
            // The edge is never left of RCV.NXT, even when the FIN came at a shut window.
            self.edge = SeqNumber::max_of(self.edge, self.nxt);
        }
        let is_refused = placed == Placed::Refused;
        Taken { octets, is_irregular: is_early || is_old || had_gap, fin, is_refused }
    }

    /// Whether a segment begins where we wait for it, all of its text is allowed, and nothing that
    /// came early stands behind it.
    pub(crate) fn is_next(&self, segment: &Segment) -> bool {
        segment.seq == self.nxt
            && (segment.seq + segment.text_len()).at_or_before(self.edge)
            && self.fin.is_none()
            && !self.assembler.has_gap()
    }

    /// What [`take`](Self::take) does with text that [is next](Self::is_next).
    pub(crate) fn take_next(&mut self, segment: &Segment) -> Taken {
        let octets = segment.text_len();
        let buffer = self.buffer.get_or_insert_default();
        if segment.payload.len() >= SHARE_MIN {
            buffer.append(segment.payload.clone());
        } else {
            buffer.write_at(0, &segment.payload);
            buffer.commit(octets);
        }
        self.nxt += octets;
        Taken { octets, ..Taken::default() }
    }

    /// Puts what is new and allowed of the segment where it belongs.
    fn place(&mut self, segment: &Segment, text_end: SeqNumber) -> Placed {
        let start = SeqNumber::max_of(segment.seq, self.nxt);
        let mut end = if text_end.after(self.edge) { self.edge } else { text_end };
        if let Some(fin) = self.fin
            && end.after(fin)
        {
            end = fin; // Nothing follows a FIN.
        }
        let (skip, len) =
            (SeqRange { start: segment.seq, end: start }.len(), SeqRange { start, end }.len());
        let text = usize::try_from(skip)
            .ok()
            .zip(usize::try_from(len).ok())
            .and_then(|(skip, len)| segment.payload.get(skip..)?.get(..len))
            .unwrap_or_default();
        if text.is_empty() {
            return Placed::Laid;
        }
        let offset = SeqRange { start: self.nxt, end: start }.len();
        let has_gap = self.assembler.has_gap();
        // An assembler that is full refuses only what would open one more hole.
        if self.assembler.add(offset, offset + len).is_err() {
            return Placed::Refused;
        }
        if offset == 0 && !has_gap && text.len() >= SHARE_MIN {
            self.buffer.get_or_insert_default().append(segment.payload.slice_ref(text));
            return Placed::InOrder;
        }
        self.buffer.get_or_insert_default().write_at(offset, text);
        Placed::Laid
    }

    /// Notes what of a segment is here already: one run of octets, the leftmost, as RFC 2883 §4
    /// counts them. Runs that touch before the peer is told of them become one.
    pub(crate) fn note_duplicate(&mut self, segment: &Segment) {
        if !self.sack || segment.syn || segment.len() == 0 {
            return;
        }
        let (start, end) = (segment.seq, segment.seq + segment.len());
        let run = if start.before(self.nxt) {
            SeqRange { start, end: if end.after(self.nxt) { self.nxt } else { end } }
        } else {
            let offset = SeqRange { start: self.nxt, end: start }.len();
            let arrived = Range { start: offset, end: offset + segment.len() };
            let Some(overlap) = self.assembler.overlap(arrived) else { return };
            SeqRange { start: self.nxt + overlap.start, end: self.nxt + overlap.end }
        };
        self.duplicate = Some(match self.duplicate {
            Some(old) if old.touches(run) => old.joined(run),
            Some(_) | None => run,
        });
    }

    /// The SACK blocks of the next segment, `max` at most: a duplicate first, and then the range
    /// that holds it (RFC 2883 §4); else the range that has changed last first (RFC 2018 §4).
    pub(crate) fn sack_blocks(&self, max: usize) -> ArrayVec<SackBlock, BLOCKS_MAX> {
        let mut blocks = ArrayVec::new();
        let has_news = self.duplicate.is_some() || self.assembler.has_gap();
        if !self.sack || max == 0 || !has_news {
            return blocks;
        }
        let mut holder = None;
        if let Some(SeqRange { start, end }) = self.duplicate {
            blocks.push(SackBlock { left: start.0, right: end.0 });
            holder = u32::try_from(start - self.nxt).ok();
        }
        let ranges = self.assembler.blocks(holder, max - blocks.len());
        blocks.extend(ranges.into_iter().map(|Range { start, end }| SackBlock {
            left: (self.nxt + start).0,
            right: (self.nxt + end).0,
        }));
        blocks
    }

    /// A segment with these blocks has left. Says whether there is more to tell than it had room
    /// for: in a burst more may change than one segment can say.
    pub(crate) fn on_sack_sent(&mut self, blocks: &[SackBlock]) -> bool {
        if blocks.is_empty() {
            return false;
        }
        let duplicates = usize::from(self.duplicate.take().is_some());
        for block in blocks.iter().skip(duplicates) {
            if let Ok(start) = u32::try_from(SeqNumber(block.left) - self.nxt) {
                self.assembler.on_reported(start);
            }
        }
        self.assembler.has_unreported()
    }

    /// The position of the next octet to read.
    pub(crate) fn next_to_read(&self) -> SeqNumber {
        self.nxt - u32::from(self.is_finished()) - self.readable()
    }

    /// Lends pages, and a buffer if one is needed, for the calls up to
    /// [`take_back`](Self::take_back).
    pub(crate) fn lend(&mut self, spares: &mut Spares, is_needed: bool) {
        if is_needed {
            self.buffer.get_or_insert_with(|| spares.take_receive_buffer().unwrap_or_default());
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.lend(&mut spares.pages);
        }
    }

    /// Gives the pages back, and the buffer if nothing lies in it.
    pub(crate) fn take_back(&mut self, spares: &mut Spares) {
        if let Some(buffer) = &mut self.buffer {
            buffer.take_back(&mut spares.pages);
        }
        if let Some(empty) = self.buffer.take_if(|buffer| buffer.is_unused()) {
            spares.give_receive_buffer(empty);
        }
    }

    /// RECEIVE: copies octets out and frees their room.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.buffer.as_mut().map_or(0, |held| held.read(buffer))
    }

    /// RECEIVE without a copy where there is none to be made: at most `max` octets.
    pub(crate) fn take_text(&mut self, max: usize) -> Bytes {
        self.buffer.as_mut().map_or_else(Bytes::new, |held| held.take(max))
    }

    /// Copies octets, from behind the first `skip` on, and leaves them where they are.
    pub(crate) fn peek(&self, skip: usize, buffer: &mut [u8]) -> usize {
        self.buffer.as_ref().map_or(0, |held| held.peek_behind(skip, buffer))
    }

    /// Frees the room of the first octets, which nobody shall read.
    pub(crate) fn pass_over(&mut self, octets: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.skip(octets);
        }
    }

    /// The octets that nobody has read, for a socket that outlives its connection.
    pub(crate) fn into_unread(self) -> ReceiveBuffer {
        let mut buffer = self.buffer.map_or_else(ReceiveBuffer::default, |buffer| *buffer);
        buffer.discard_out_of_order();
        buffer
    }

    /// The window to offer now: SEG.WND as it stands on the wire, and the edge it means.
    ///
    /// The receiver's SWS avoidance (RFC 9293 §3.8.6.2.2, MUST-39): the edge stays where it is
    /// until it can move by half of the buffer or by a full segment. Between, the field is
    /// rounded up to its unit, since rounding down would move the edge left.
    ///
    /// While the window is wide a small step makes no small segment: a peer for whom half of the
    /// buffer in flight is not enough waits for a full segment's room (MUST-38). There the edge
    /// follows the reader, as in Linux with a scaled window: whoever is read at once says the same
    /// in each segment, which is what a peer's header prediction asks for.
    pub(crate) fn offer(&self, growth: Growth) -> (u16, SeqNumber) {
        let (wnd, target) = (self.wnd(), self.target(growth));
        let unit = (1u32 << self.shift) - 1;
        let rounded_up = wnd.saturating_add(unit) & !unit;
        let octets = if target.saturating_sub(wnd) >= self.step() {
            target
        } else if rounded_up <= self.room().saturating_add(unit) {
            rounded_up
        } else {
            // Segments of a few octets each: rounding up for ever would promise room that is not
            // there. The field says less than a unit too little; the edge itself stays (RFC 7323
            // §2.4: what any ACK has offered is honoured).
            wnd
        };
        let field = u16::try_from(octets >> self.shift).unwrap_or(u16::MAX);
        let edge = self.nxt + (u32::from(field) << self.shift);
        (field, SeqNumber::max_of(edge, self.edge))
    }

    /// Whether the reader has freed so much that the peer should hear of it unasked: the window
    /// would grow by a worthwhile amount and at least to twice its size. The second bound, which
    /// Linux has too, spares a bulk transfer an update for every segment read. What the SYN's 16
    /// bits could not offer is no reason: the next acknowledgment tells of it. Nor is room that
    /// `growth` keeps back: an acknowledgment for each read would tell nothing.
    pub(crate) fn is_update_due(&self, growth: Growth) -> bool {
        let freed = self.room().saturating_sub(self.room_offered);
        freed >= self.worthwhile() && self.could_offer_more(growth)
    }

    /// Whether the window could grow by a worthwhile amount, and at least to twice its size.
    pub(crate) fn could_offer_more(&self, growth: Growth) -> bool {
        let (wnd, target) = (self.wnd(), self.target(growth));
        !self.is_finished()
            && target.saturating_sub(wnd) >= self.worthwhile()
            && target >= wnd.saturating_mul(2)
    }

    /// `edge` went out in a segment.
    pub(crate) fn on_offered(&mut self, edge: SeqNumber) {
        debug_assert!(edge.at_or_after(self.edge), "the window shrank");
        // A segment that could not move the edge has told nobody of what was read.
        let has_opened = SeqRange { start: self.edge, end: edge }.len() >= self.step();
        let told = if has_opened { u32::MAX } else { self.room_offered };
        self.edge = edge;
        self.room_offered = self.room().min(told);
    }

    /// Octets right of RCV.NXT for which the buffer has room.
    fn room(&self) -> u32 {
        self.buffer_max.saturating_sub(self.readable())
    }

    /// Of that, what may be offered though memory is short: what a reader who keeps up needs to
    /// go on, if slowly. Two segments: with one, what its options take would be left of the window,
    /// and the edge would not move for so little. And whole units of the field.
    fn least_room(&self) -> u32 {
        let least = READ_MIN.max(2 * u32::from(self.mss)).next_multiple_of(1 << self.shift);
        self.room().min(least.saturating_sub(self.readable()))
    }

    /// The largest window that `growth` allows, and that the field can say.
    fn target(&self, growth: Growth) -> u32 {
        let room = match growth {
            Growth::Free => self.room(),
            Growth::Least => self.least_room(),
            Growth::No => 0,
        };
        room.min(u32::from(u16::MAX) << self.shift) >> self.shift << self.shift
    }

    /// Least octets by which a segment that leaves anyway moves the edge, but for rounding.
    fn step(&self) -> u32 {
        let is_wide = self.wnd() >= (self.buffer_max / 2).max(2 * u32::from(self.mss));
        if is_wide { 1 << self.shift } else { self.worthwhile() }
    }

    /// By how much the window must grow to be worth a change.
    fn worthwhile(&self) -> u32 {
        (self.buffer_max / 2).min(self.mss.into())
    }

    /// Invariants between the variables (called by `check`).
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn check(&self) {
        assert!(self.edge.at_or_after(self.nxt), "RCV.NXT is past the offered edge");
        let unit = 1u32 << self.shift;
        assert!(
            self.wnd() <= self.room().saturating_add(unit),
            "more is promised than there is room for: {} of {}",
            self.wnd(),
            self.room()
        );
        assert!(self.assembler.contiguous() == 0, "octets at RCV.NXT were not taken");
    }
}

#[cfg(test)]
#[path = "tests/receive.rs"]
mod tests;
