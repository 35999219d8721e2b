//! A segment that has arrived, and one that is to leave: the words of RFC 9293 in host order.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};

use super::receive_buffer::SHARE_MIN;
use super::seq::{SeqNumber, SeqRange};
use crate::observe::SendReason;
use crate::packet::Payload;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::TcpOptions;

/// Most segments in a train; a burst of the runtime has no more.
const TRAIN_MAX: u32 = 64;

/// Most octets of text in a train: 64 segments of an Ethernet's size.
pub(crate) const TRAIN_OCTETS_MAX: u32 = 96 << 10;

/// A segment that has arrived and whose checksum was right.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// SEG.SEQ.
    pub(crate) seq: SeqNumber,
    /// SEG.ACK; `None` without the ACK bit.
    pub(crate) ack: Option<SeqNumber>,
    /// SYN: the sequence number is the first one.
    pub(crate) syn: bool,
    /// FIN: the sender has no more to send.
    pub(crate) fin: bool,
    /// RST.
    pub(crate) rst: bool,
    /// SEG.WND as it stood on the wire; scaling is the receiver's (RFC 7323 §2.3).
    pub(crate) window: u16,
    /// SEG.UP; `None` without the URG bit.
    pub(crate) urgent: Option<u16>,
    /// The options.
    pub(crate) options: TcpOptions,
    /// The text; of a train that is not yet joined, that of its first segment.
    pub(crate) payload: Bytes,
    /// Octets of text, of a train those of all its segments.
    pub(super) text_len: u32,
    /// A super-segment stands for several, each with so many octets of text, the last with what is
    /// left.
    pub(crate) part: Option<NonZeroU16>,
}

impl Segment {
    /// The segment of a parsed header.
    pub(crate) fn new(header: &TcpHeader, options: TcpOptions, payload: Bytes) -> Self {
        let flags = header.flags;
        Self {
            seq: SeqNumber(header.seq),
            ack: flags.contains(TcpFlags::ACK).then_some(SeqNumber(header.ack)),
            syn: flags.contains(TcpFlags::SYN),
            fin: flags.contains(TcpFlags::FIN),
            rst: flags.contains(TcpFlags::RST),
            window: header.window,
            urgent: flags.contains(TcpFlags::URG).then_some(header.urgent),
            options,
            text_len: octets_of(&payload),
            payload,
            part: None,
        }
    }

    /// Octets of text of the largest segment that it stands for.
    pub(crate) fn part_len(&self) -> u32 {
        self.part.map_or(self.text_len, |part| self.text_len.min(part.get().into()))
    }

    /// How many segments it stands for.
    pub(crate) fn parts(&self) -> u32 {
        self.part.map_or(1, |part| self.text_len.div_ceil(part.get().into()).max(1))
    }

    /// Whether its text is so much that it is kept by reference.
    pub(crate) fn is_kept_whole(&self) -> bool {
        self.payload.len() >= SHARE_MIN
    }

    /// The same segment, its text in memory that it shares with no other packet.
    pub(crate) fn on_its_own(&self) -> Self {
        Self { payload: Bytes::copy_from_slice(&self.payload), ..self.clone() }
    }

    /// What follows the SYN, as a segment of its own.
    pub(crate) fn without_syn(mut self) -> Self {
        if std::mem::take(&mut self.syn) {
            self.seq += 1;
            // The pointer counts from SEG.SEQ, and the SYN itself is not urgent.
            self.urgent = self.urgent.and_then(|pointer| pointer.checked_sub(1)).filter(|&p| p > 0);
        }
        self
    }

    /// The SYN, with these options, of which this is the next segment.
    pub(crate) fn syn_of(&self, options: TcpOptions) -> Self {
        Self {
            seq: self.seq - 1,
            ack: None,
            syn: true,
            fin: false,
            options,
            payload: Bytes::new(),
            text_len: 0,
            ..*self
        }
    }

    /// Whether `next` can be coupled to it: the text of both is that of one segment, and nothing
    /// else in their headers differs. All parts but the last are equally long, and only the last
    /// may bring a FIN. PSH says nothing to us, and may stand anywhere.
    ///
    /// The rules are Linux's (`tcp_gro_receive`): equal acknowledgments, windows and timestamps.
    pub(crate) fn may_precede(&self, next: &Self) -> bool {
        self.may_precede_text(next.seq, &next.payload)
            && next.ack == self.ack
            && next.window == self.window
            && next.part.is_none()
            && next.is_plain()
            && next.options == self.options
    }

    /// As [`may_precede`](Self::may_precede), for a segment without FIN of whose header only
    /// SEG.SEQ can differ.
    pub(crate) fn may_precede_text(&self, seq: SeqNumber, text: &[u8]) -> bool {
        let full = octets_of(&self.payload);
        let text_len = octets_of(text);
        seq == self.seq + self.text_len
            && (full as usize) < SHARE_MIN
            && (1..=full).contains(&text_len)
            && self.text_len.is_multiple_of(full)
            && self.text_len < TRAIN_MAX * full
            && self.text_len + text_len <= TRAIN_OCTETS_MAX
            && (self.is_train() || self.part.is_none())
            && (self.is_plain() && !self.fin)
    }

    /// Whether it brings nothing but text and an acknowledgment.
    fn is_plain(&self) -> bool {
        !self.syn && !self.rst && self.urgent.is_none() && self.options.sack.is_empty()
    }

    /// Couples `next`, which it [may precede](Self::may_precede), and adds to `text` that of both,
    /// or of `next` if `text` holds that of the others.
    pub(crate) fn couple(&mut self, next: &Self, text: &mut BytesMut) {
        self.couple_text(&next.payload, text);
        self.fin = next.fin;
    }

    /// As [`couple`](Self::couple), for what it
    /// [may precede](Self::may_precede_text) with a text of `octets`.
    pub(crate) fn couple_text(&mut self, octets: &[u8], text: &mut BytesMut) {
        if !self.is_train() {
            self.part = u16::try_from(self.payload.len()).ok().and_then(NonZeroU16::new);
            text.extend_from_slice(&self.payload);
        }
        self.text_len += octets_of(octets);
        text.extend_from_slice(octets);
    }

    /// Whether others are coupled to it, and their text is still to be joined to it.
    pub(crate) fn is_train(&self) -> bool {
        octets_of(&self.payload) < self.text_len
    }

    /// Makes a super-segment of a train by the `text` of all its segments.
    pub(crate) fn join(&mut self, text: Bytes) {
        debug_assert_eq!(octets_of(&text), self.text_len);
        self.payload = text;
    }

    /// Takes the first segment that it stands for off; `None` if it stands for one.
    pub(crate) fn uncouple(&mut self) -> Option<Self> {
        let len = self.part.map(|part| usize::from(part.get()));
        let payload = self.payload.split_to(len.filter(|&len| len < self.payload.len())?);
        let (fin, part, text_len) = (false, None, octets_of(&payload));
        let options = self.options.clone();
        let first = Self { fin, options, payload, text_len, part, ..*self };
        self.seq += text_len;
        self.text_len -= text_len;
        if self.parts() == 1 {
            self.part = None;
        }
        Some(first)
    }

    /// SEG.SEQ of the last segment that it stands for.
    pub(crate) fn last_seq(&self) -> SeqNumber {
        self.seq + (self.parts() - 1) * self.part_len()
    }

    /// Whether its first or last octet lies in `window`: the test of RFC 9293 §3.10.7.4, first
    /// step, for a window that is open.
    pub(crate) fn lies_in(&self, window: SeqRange) -> bool {
        let last = self.len().saturating_sub(1);
        window.contains(self.seq) || window.contains(self.seq + last)
    }

    /// Octets of text.
    pub(crate) fn text_len(&self) -> u32 {
        self.text_len
    }

    /// SEG.LEN: octets of text, and one each for SYN and FIN (RFC 9293 §3.4).
    pub(crate) fn len(&self) -> u32 {
        self.text_len + u32::from(self.syn) + u32::from(self.fin)
    }
}

/// Octets of a text, which is part of one packet.
fn octets_of(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(0)
}

/// A segment that is to leave: everything but ports and addresses.
#[derive(Clone, Debug)]
pub(crate) struct SegmentPlan {
    /// Why it leaves.
    pub(crate) reason: SendReason,
    /// SEG.SEQ.
    pub(crate) seq: SeqNumber,
    /// SEG.ACK, zero without the ACK bit.
    pub(crate) ack: SeqNumber,
    /// Control bits.
    pub(crate) flags: TcpFlags,
    /// SEG.WND as it stands on the wire, scaled.
    pub(crate) window: u16,
    /// SEG.UP; only with the URG bit.
    pub(crate) urgent: u16,
    /// The options.
    pub(crate) options: TcpOptions,
    /// The text, by reference.
    pub(crate) payload: Payload,
    /// It is a super-segment, for the device to split into segments of so many octets of text.
    pub(crate) segment: Option<NonZeroU16>,
    /// Whether it is known that nothing follows it now.
    pub(crate) is_last: bool,
}

impl SegmentPlan {
    /// A segment without text and options.
    pub(crate) fn bare(
        reason: SendReason,
        seq: SeqNumber,
        ack: Option<SeqNumber>,
        flags: TcpFlags,
        window: u16,
    ) -> Self {
        let flags = if ack.is_some() { flags.with(TcpFlags::ACK) } else { flags };
        Self {
            reason,
            seq,
            ack: ack.unwrap_or(SeqNumber(0)),
            flags,
            window,
            urgent: 0,
            options: TcpOptions::default(),
            payload: Payload::new(),
            segment: None,
            is_last: false,
        }
    }

    /// How many segments it stands for.
    pub(crate) fn parts(&self) -> u16 {
        let parts = self.segment.map_or(1, |part| self.text_len().div_ceil(part.get().into()));
        u16::try_from(parts).unwrap_or(u16::MAX).max(1)
    }

    /// Octets of text.
    pub(crate) fn text_len(&self) -> u32 {
        let octets = self.payload.iter().map(Bytes::len).sum::<usize>();
        u32::try_from(octets).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[path = "tests/train.rs"]
mod tests;
