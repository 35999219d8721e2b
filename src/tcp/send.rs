//! The sending half: SND.* of RFC 9293 §3.3.1, what may leave, and when small segments wait.

use std::num::NonZeroU16;

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::negotiated::Negotiated;
use super::new_text::{Blocked, NewText};
use super::segment::Segment;
use super::send_buffer::SendBuffer;
use super::seq::{SeqNumber, SeqRange};
use super::spares::Spares;
use super::timestamps;
use crate::observe::DropReason;
use crate::options::SocketOptions;
use crate::packet::Payload;
use crate::wire::tcp_options::SackBlock;

/// Most octets that are sent again behind a window of 0. With the headers and all the options that
/// there may be they are a packet of 552 octets, as `path_mtu_min` is unless somebody sets it
/// lower: there is hardly a path that does not carry that. And where the window is only less than
/// its field can say (RFC 7323 §2.4) they are not too few.
const QUESTION_MAX: u32 = 472;

/// The send sequence space and the octets that stand in it.
///
/// ```text
///            acknowledged │ sent, not acknowledged │ may be sent │ must wait
///        ─────────────────┼────────────────────────┼─────────────┼───────────
///                      SND.UNA                  SND.NXT   SND.UNA + SND.WND
/// ```
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each switches one thing")]
pub(crate) struct SendSide {
    /// SND.UNA: the oldest octet that is not acknowledged.
    una: SeqNumber,
    /// SND.NXT: the next octet to send for the first time. Retransmission does not move it.
    nxt: SeqNumber,
    /// SND.WND: octets that the peer is willing to take from SND.UNA on. 32 bits without a sign
    /// (RFC 9293 §3.1, MUST-1, REC-1).
    wnd: u32,
    /// SND.WL1: sequence number of the segment that last set SND.WND.
    wl1: SeqNumber,
    /// SND.WL2: acknowledgment number of the segment that last set SND.WND.
    wl2: SeqNumber,
    /// MAX(SND.WND): the largest window seen, for SWS avoidance and RFC 5961 §5.
    max_wnd: u32,
    /// Octets acknowledged, as far as they may count for RFC 5961 §5: `u32::MAX` at most.
    acked: u32,
    /// Snd.Wind.Shift (RFC 7323 §2.3).
    shift: u8,
    /// Largest segment that peer and path take, octets of text and options.
    mss: u32,
    /// Octets of options that every segment carries.
    options: u8,
    /// Octets of options that the next segment carries: SACK blocks come and go.
    next_options: u8,
    /// Where our FIN stands: behind the last octet, once the user has said CLOSE.
    fin: Option<SeqNumber>,
    /// Whether SACK is agreed.
    sack: bool,
    /// Whether Nagle's algorithm is off (RFC 9293 §3.7.4, MUST-17).
    nodelay: bool,
    /// Whether a segment that is not full waits for more to be written (TCP_CORK).
    cork: bool,
    /// Whether the user has switched TCP_NODELAY on since the last write: then what is written
    /// waits for nothing more, even corked, as on Linux.
    is_pushed: bool,
    /// Whether the last write said that more follows (MSG_MORE).
    more: bool,
    /// Where the last segment ended that was smaller than a full one.
    small_end: SeqNumber,
    /// The octets from SND.UNA on; `None` in a connection that has been at rest.
    buffer: Option<Box<SendBuffer>>,
    /// Octets that the buffer may hold.
    buffer_max: u32,
}

/// What an acknowledgment covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acked {
    /// Octets of text that are acknowledged now and were not before.
    pub(crate) octets: u32,
    /// Whether our FIN is acknowledged now and was not before.
    pub(crate) fin: bool,
    /// Whether the segment is a duplicate acknowledgment as RFC 5681 §2 defines it.
    pub(crate) is_duplicate: bool,
    /// Octets right of SND.UNA that SACK blocks report as arrived.
    pub(crate) sacked: u32,
}

impl Acked {
    /// Whether SND.UNA moved.
    pub(crate) fn is_new(self) -> bool {
        self.octets > 0 || self.fin
    }
}

impl SendSide {
    /// After the handshake: our SYN is acknowledged, and the segment that did it had `window`.
    pub(crate) fn new(
        iss: SeqNumber,
        agreed: Negotiated,
        window: u32,
        (wl1, wl2): (SeqNumber, SeqNumber),
        buffer_max: u32,
    ) -> Self {
        let options = if agreed.timestamps { timestamps::OPTION_LEN } else { 0 };
        Self {
            una: iss + 1,
            nxt: iss + 1,
            wnd: window,
            wl1,
            wl2,
            max_wnd: window,
            acked: 0,
            shift: agreed.send_shift(),
            mss: u32::from(agreed.send_mss),
            options,
            next_options: options,
            sack: agreed.sack,
            fin: None,
            nodelay: false,
            cork: false,
            is_pushed: false,
            more: false,
            small_end: iss + 1,
            buffer: None,
            buffer_max,
        }
    }

    /// SND.UNA.
    pub(crate) fn una(&self) -> SeqNumber {
        self.una
    }

    /// SND.NXT.
    pub(crate) fn nxt(&self) -> SeqNumber {
        self.nxt
    }

    /// SND.WND.
    pub(crate) fn wnd(&self) -> u32 {
        self.wnd
    }

    /// The next segment carries so many octets of options.
    pub(crate) fn set_next_options(&mut self, octets: u8) {
        self.next_options = octets;
    }

    /// Octets of text that the next segment has room for; SACK blocks in it take some of it.
    fn text_max(&self) -> u32 {
        self.mss.saturating_sub(self.next_options.into()).max(1)
    }

    /// Octets of text in a full segment: what peer and path take, less the options that every
    /// segment carries (RFC 9293 §3.7.1, MUST-16; RFC 6691).
    pub(crate) fn mss(&self) -> u32 {
        self.mss.saturating_sub(self.options.into()).max(1)
    }

    /// Peer and path take segments of so many octets of text and options from now on.
    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
    }

    /// Octets of sequence space that are sent and not acknowledged, our FIN included.
    pub(crate) fn outstanding(&self) -> u32 {
        SeqRange { start: self.una, end: self.nxt }.len()
    }

    /// Octets written and not acknowledged.
    pub(crate) fn queued(&self) -> u32 {
        self.buffer.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// Octets written and not sent.
    pub(crate) fn unsent(&self) -> u32 {
        SeqRange { start: self.nxt, end: self.end_of_text() }.len()
    }

    /// Octets that `write` would take.
    pub(crate) fn room(&self) -> u32 {
        self.buffer_max.saturating_sub(self.queued())
    }

    /// Octets that the buffer may hold.
    pub(crate) fn buffer_max(&self) -> u32 {
        self.buffer_max
    }

    /// Octets of memory held.
    pub(crate) fn allocated(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.allocated())
    }

    /// Lends chunks, and a buffer if one is needed, for the calls up to
    /// [`take_back`](Self::take_back).
    pub(crate) fn lend(&mut self, spares: &mut Spares, is_needed: bool) {
        if is_needed {
            self.buffer.get_or_insert_with(|| spares.take_send_buffer().unwrap_or_default());
        }
        if let Some(buffer) = &mut self.buffer {
            buffer.lend(&mut spares.chunks);
        }
    }

    /// Gives the chunks back, and the buffer if nothing lies in it.
    pub(crate) fn take_back(&mut self, spares: &mut Spares) {
        if let Some(buffer) = &mut self.buffer {
            buffer.take_back(&mut spares.chunks);
        }
        if let Some(empty) = self.buffer.take_if(|buffer| buffer.is_empty()) {
            spares.give_send_buffer(empty);
        }
    }

    /// Whether our FIN has been acknowledged.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn is_fin_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.una.after(fin))
    }

    /// Whether our FIN has been sent.
    pub(crate) fn is_fin_sent(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt.after(fin))
    }

    /// When small segments wait, and how many octets `write` takes. A buffer that shrinks below
    /// what it holds takes nothing until that is acknowledged. To switch Nagle's algorithm off
    /// pushes what waits; that it stays off says nothing, since some other option has been set.
    pub(crate) fn set_options(&mut self, options: &SocketOptions) {
        self.is_pushed |= options.nodelay && !self.nodelay;
        self.nodelay = options.nodelay;
        self.cork = options.cork;
        self.buffer_max = options.send_buffer;
    }

    /// Tells whether the application has said that more follows what it writes now. A call that
    /// takes nothing says nothing of what was written before it, as on Linux.
    pub(crate) fn expect_more(&mut self, more: bool) {
        self.more = more;
        self.is_pushed = false;
    }

    /// SEND: takes as many of `octets` as there is room for, and says how many.
    pub(crate) fn write(&mut self, octets: &[u8]) -> u32 {
        debug_assert!(self.fin.is_none(), "nothing is written after CLOSE");
        let room = self.room();
        self.buffer.get_or_insert_default().write(octets, room)
    }

    /// SEND without a copy: takes as many of `octets` as there is room for, and says how many.
    pub(crate) fn push(&mut self, octets: Bytes) -> u32 {
        debug_assert!(self.fin.is_none(), "nothing is written after CLOSE");
        let room = self.room();
        self.buffer.get_or_insert_default().push(octets, room)
    }

    /// CLOSE: our FIN goes behind what has been written (RFC 9293 §3.10.4).
    pub(crate) fn close(&mut self) {
        let end = self.end_of_text();
        self.fin.get_or_insert(end);
    }

    /// The position behind the last octet written.
    fn end_of_text(&self) -> SeqNumber {
        match self.fin {
            Some(fin) => fin,
            None => self.una + self.queued(),
        }
    }

    /// Whether SEG.ACK may be processed: the fifth step of RFC 9293 §3.10.7.4 with the lower
    /// bound of RFC 5961 §5 (MAY-12). As in Linux no acknowledgment of what stands before our
    /// first octet passes, however large the peer's window is.
    pub(crate) fn judge_ack(&self, ack: SeqNumber) -> Result<(), DropReason> {
        let oldest = self.una - self.max_wnd.min(self.acked);
        if ack.at_or_after(oldest) && ack.at_or_before(self.nxt) {
            Ok(())
        } else if ack.after(self.nxt) {
            Err(DropReason::AckOfUnsent)
        } else {
            Err(DropReason::AckTooOld) // Or as far from SND.NXT as a number can be.
        }
    }

    /// SEG.ACK has been judged: drops what it covers.
    pub(crate) fn acknowledge(&mut self, segment: &Segment, ack: SeqNumber) -> Acked {
        let blocks = &segment.options.sack;
        if ack.at_or_before(self.una) {
            let sacked = self.sacked(blocks);
            // With nothing but a D-SACK it answers what has arrived twice (RFC 2883 §5).
            let is_duplicate =
                self.is_duplicate(segment, ack) && (blocks.is_empty() || !self.sack || sacked > 0);
            return Acked { is_duplicate, sacked, ..Acked::default() };
        }
        let fin = self.fin.is_some_and(|fin| ack.after(fin));
        let octets = self.advance(ack, fin);
        Acked { octets, fin, is_duplicate: false, sacked: self.sacked(blocks) }
    }

    /// SND.UNA moves to `ack`, past our FIN or not; says how many octets of text that covers.
    pub(crate) fn advance(&mut self, ack: SeqNumber, fin: bool) -> u32 {
        let covered = SeqRange { start: self.una, end: ack }.len();
        let octets = covered - u32::from(fin);
        if let Some(buffer) = &mut self.buffer {
            buffer.acknowledge(octets);
        }
        self.acked = self.acked.saturating_add(covered);
        self.una = ack;
        octets
    }

    /// Octets right of SND.UNA that SACK blocks report. Blocks that cannot be count nothing, and
    /// one inside of another, as a D-SACK is (RFC 2883 §4), nothing more.
    fn sacked(&self, blocks: &[SackBlock]) -> u32 {
        if !self.sack {
            return 0;
        }
        let outstanding = SeqRange { start: self.una, end: self.nxt };
        let range = |block: &SackBlock| SeqRange {
            start: SeqNumber(block.left),
            end: SeqNumber(block.right),
        };
        let may_be = |range: &SeqRange| {
            range.start.after(self.una)
                && outstanding.contains(range.start)
                && range.end.after(range.start)
                && range.end.at_or_before(self.nxt)
        };
        let ranges: ArrayVec<SeqRange, 4> = blocks.iter().map(range).filter(may_be).collect();
        let is_counted_before = |(place, range): (usize, &SeqRange)| {
            ranges.iter().enumerate().any(|(other, outer)| {
                outer.start.at_or_before(range.start)
                    && outer.end.at_or_after(range.end)
                    && (outer != range || other < place)
            })
        };
        let counted = ranges.iter().enumerate().filter(|&entry| !is_counted_before(entry));
        counted.map(|(_, range)| range.len()).sum::<u32>().min(outstanding.len())
    }

    /// RFC 5681 §2: data is outstanding, and the segment says nothing but SEG.ACK = SND.UNA
    /// again, with the same window.
    fn is_duplicate(&self, segment: &Segment, ack: SeqNumber) -> bool {
        self.una != self.nxt
            && ack == self.una
            && segment.len() == 0
            && self.scaled(segment.window) == self.wnd
    }

    /// Takes SEG.WND over, unless an older segment brings it (RFC 9293 §3.10.7.4, fifth step,
    /// with SND.WL1 and SND.WL2). An acknowledgment left of SND.UNA has been overtaken, whatever
    /// its sequence number, and what it offers counts from further left.
    ///
    /// Acknowledgments only grow, so one past SND.WL2 was sent later whatever its sequence number:
    /// a probe stands left of the data before it. As in Linux it brings its window too; else
    /// SND.UNA alone would move the right edge to where the peer has offered nothing.
    pub(crate) fn update_window(&mut self, segment: &Segment, ack: SeqNumber) {
        let seq = segment.last_seq();
        let is_newer =
            ack.after(self.wl2) || self.wl1.before(seq) || (self.wl1 == seq && ack == self.wl2);
        if is_newer && ack.at_or_after(self.una) {
            self.wnd = self.scaled(segment.window);
            self.max_wnd = self.max_wnd.max(self.wnd);
            (self.wl1, self.wl2) = (seq, ack);
        }
    }

    fn scaled(&self, window: u16) -> u32 {
        u32::from(window) << self.shift
    }

    /// Octets from SND.NXT on that the peer's window has room for. A peer that has shrunk its
    /// window may leave the edge left of SND.NXT: then it is 0 (RFC 9293 §3.8.6, MUST-34, SHLD-15).
    pub(crate) fn usable_window(&self) -> u32 {
        self.wnd.saturating_sub(self.outstanding())
    }

    /// SEG.SEQ of a bare acknowledgment, or of an RST: SND.NXT, or the right edge of a window that
    /// the peer has shrunk left of it. Past that edge the peer would drop the segment as it came,
    /// and never see what it acknowledges (RFC 9293 §3.10.7.4, first step; Linux:
    /// `tcp_acceptable_seq`). What lies past it by less than the window is rounded to is inside, as
    /// the peer knows it.
    pub(crate) fn bare_seq(&self) -> SeqNumber {
        let past = self.outstanding().saturating_sub(self.wnd);
        if past >> self.shift == 0 { self.nxt } else { self.una + self.wnd }
    }

    /// Whether text or our FIN has not been sent yet.
    pub(crate) fn has_new(&self) -> bool {
        self.unsent() > 0 || (self.fin.is_some() && !self.is_fin_sent())
    }

    /// The new text, or FIN, that may leave, given `congestion` octets of room in the congestion
    /// window. `is_overdue`: SWS avoidance has held it back long enough (§3.8.6.2.1).
    pub(crate) fn next_new(&self, congestion: u32, is_overdue: bool) -> Result<NewText, Blocked> {
        let unsent = self.unsent();
        let is_fin_due = self.fin.is_some() && !self.is_fin_sent();
        if unsent == 0 {
            // A FIN alone takes no window: a peer with a shut window must learn of it too.
            let range = SeqRange::at(self.nxt, 0);
            let fin_only = NewText { range, fin: true, push: false, part: None };
            return if is_fin_due { Ok(fin_only) } else { Err(Blocked::Nothing) };
        }
        let usable = self.usable_window();
        if usable == 0 {
            return Err(Blocked::Window);
        }
        if congestion < unsent.min(self.text_max()) && congestion < usable {
            return Err(Blocked::Congestion); // Part of a segment is not worth the window.
        }
        let len = unsent.min(usable).min(self.text_max());
        self.is_worth_sending(len, unsent, is_fin_due, is_overdue)?;
        let range = SeqRange::at(self.nxt, len);
        let is_last = len == unsent;
        Ok(NewText { range, fin: is_last && is_fin_due, push: is_last, part: None })
    }

    /// `first` with what may leave right behind it, all as one super-segment of at most `most`
    /// octets of text: full segments, and a small one at the end if it may leave by itself.
    ///
    /// That is what [`next_new`](Self::next_new) would say segment after segment: a device that
    /// splits changes how often a packet is made, and not what travels.
    pub(crate) fn extend(&self, first: NewText, congestion: u32, most: u32) -> NewText {
        let full = self.text_max();
        let unsent = self.unsent();
        let room = unsent.min(self.usable_window()).min(congestion).min(most);
        if first.range.len() < full || first.fin || room <= full {
            return first;
        }
        let Some(part) = u16::try_from(full).ok().and_then(NonZeroU16::new) else { return first };
        let is_fin_due = self.fin.is_some() && !self.is_fin_sent();
        let whole = room / full * full;
        let rest = unsent - whole;
        let is_small_last = rest < full
            && rest > 0
            && whole + rest <= room
            && self.is_worth_sending(rest, rest, is_fin_due, false).is_ok();
        let len = if is_small_last { unsent } else { whole };
        if len == full {
            return first;
        }
        let is_last = len == unsent;
        let range = SeqRange::at(self.nxt, len);
        NewText { range, fin: is_last && is_fin_due, push: is_last, part: Some(part) }
    }

    /// A segment of `size` octets of text and options from SND.NXT on, if the peer's window has
    /// room for it and three full ones behind it, and they are there to be sent: their duplicate
    /// acknowledgments tell whether it arrives (RFC 4821 §7.4).
    pub(crate) fn next_probe(&self, size: u32) -> Option<NewText> {
        let len = size.saturating_sub(self.next_options.into());
        let needed = len.saturating_add(self.mss() * 3);
        let fits = len > 0 && self.unsent() >= needed && self.usable_window() >= needed;
        let range = SeqRange::at(self.nxt, len);
        fits.then_some(NewText { range, fin: false, push: false, part: None })
    }

    /// The sender's SWS avoidance (RFC 9293 §3.8.6.2.1, MUST-38) and Nagle's algorithm (§3.7.4,
    /// SHLD-7): whether a segment of `len` of the `unsent` octets may leave now.
    fn is_worth_sending(
        &self,
        len: u32,
        unsent: u32,
        is_fin_due: bool,
        is_overdue: bool,
    ) -> Result<(), Blocked> {
        let is_full = len == self.text_max();
        // There is no PUSH call: what has been written is pushed (MUST-60), and may first be
        // collected (MAY-16).
        let is_all = len == unsent;
        if is_full || is_overdue || len >= self.max_wnd / 2 {
            Ok(())
        } else if !is_all {
            Err(Blocked::Window)
        } else if is_fin_due || self.is_pushed {
            Ok(()) // Nothing comes after a FIN that could fill the segment up.
        } else if self.cork || self.more {
            Err(Blocked::Cork)
        } else if self.nodelay || !self.is_small_outstanding() {
            Ok(())
        } else {
            Err(Blocked::Nagle)
        }
    }

    /// Nagle's algorithm as RFC 9293 Appendix A.3 modifies it and Linux has it: only a small
    /// segment on its way holds a small one back. The end of a long write would else wait for
    /// the peer's delayed acknowledgment of what stands before it.
    fn is_small_outstanding(&self) -> bool {
        self.small_end.after(self.una) && self.small_end.at_or_before(self.nxt)
    }

    /// `range` was sent for the first time, and our FIN behind it.
    pub(crate) fn on_sent(&mut self, text: &NewText) {
        debug_assert_eq!(text.range.start, self.nxt);
        if !text.range.is_empty() && text.last_len() < self.text_max() {
            self.small_end = text.range.end;
        }
        self.nxt = text.range.end + u32::from(text.fin);
    }

    /// What to send again of `lost`: at most one segment, starting at its left edge; and whether
    /// our FIN is part of it. The octet at SND.UNA goes out whatever the window says, as a probe
    /// of it; octets further right only inside the window (§3.8.6, SHLD-16; MAY-7 is not used). Nor
    /// is one longer than a window that has shrunk: what the peer cuts off would count as on its
    /// way, and only the timer would bring each next part (as Linux, `tcp_retransmit_skb`). Behind
    /// a window of 0 it asks whether that is still so, and must get through whatever the path
    /// carries.
    pub(crate) fn next_again(&self, lost: SeqRange) -> Option<NewText> {
        let fin = self.fin.filter(|&fin| lost.end.after(fin));
        let text_end = fin.unwrap_or(lost.end);
        let full = SeqRange { start: lost.start, end: text_end }.len().min(self.text_max());
        let is_probe = lost.start == self.una;
        // As in `bare_seq`: what lies past it by less than the window is rounded to is inside.
        let is_past = full.saturating_sub(self.wnd) >> self.shift > 0;
        let len = match self.wnd {
            0 if is_probe => full.min(QUESTION_MAX),
            wnd if is_probe && is_past => wnd,
            _ => full,
        };
        let range = SeqRange::at(lost.start, len);
        let is_inside = range.end.at_or_before(self.una + self.wnd);
        if lost.is_empty() || !(is_inside || is_probe) {
            return None;
        }
        let push = !range.is_empty() && range.end == self.end_of_text();
        Some(NewText { range, fin: fin == Some(range.end), push, part: None })
    }

    /// The octets of `range`, by reference.
    pub(crate) fn text(&mut self, range: SeqRange) -> Payload {
        let offset = SeqRange { start: self.una, end: range.start }.len();
        let Some(buffer) = &mut self.buffer else { return Payload::new() };
        buffer.slice(offset, range.len())
    }

    /// Invariants between the variables (called by `check`).
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn check(&self) {
        assert!(self.nxt.at_or_after(self.una), "SND.UNA is past SND.NXT");
        if let Some(fin) = self.fin {
            assert!(self.nxt.at_or_before(fin + 1), "something was sent behind the FIN");
            assert!(
                self.is_fin_acked() || self.una + self.queued() == fin,
                "the FIN does not stand behind the last octet"
            );
        }
        assert!(
            self.is_fin_acked() || self.nxt.at_or_before(self.end_of_text() + 1),
            "SND.NXT is past what was written"
        );
    }
}

#[cfg(test)]
#[path = "tests/send.rs"]
mod tests;
