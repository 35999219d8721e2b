//! A segment that has arrived, and one that is to leave: the words of RFC 9293 in host order.

use std::num::NonZeroU16;

use bytes::Bytes;

use super::seq::{SeqNumber, SeqRange};
use crate::observe::SendReason;
use crate::packet::Payload;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::TcpOptions;

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
    /// The text.
    pub(crate) payload: Bytes,
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
            payload,
            part: None,
        }
    }

    /// As one that came in parts of so many octets of text.
    pub(crate) fn of_parts(self, part: Option<NonZeroU16>) -> Self {
        Self { part, ..self }
    }

    /// Octets of text of the largest segment that it stands for.
    pub(crate) fn part_len(&self) -> u32 {
        let len = self.text_len();
        self.part.map_or(len, |part| len.min(u32::from(part.get())))
    }

    /// How many segments it stands for.
    pub(crate) fn parts(&self) -> u32 {
        self.text_len().div_ceil(self.part_len().max(1)).max(1)
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
            ..*self
        }
    }

    /// Whether its first or last octet lies in `window`: the test of RFC 9293 §3.10.7.4, first
    /// step, for a window that is open.
    pub(crate) fn lies_in(&self, window: SeqRange) -> bool {
        let last = self.len().saturating_sub(1);
        window.contains(self.seq) || window.contains(self.seq + last)
    }

    /// Octets of text.
    pub(crate) fn text_len(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
    }

    /// SEG.LEN: octets of text, and one each for SYN and FIN (RFC 9293 §3.4).
    pub(crate) fn len(&self) -> u32 {
        self.text_len() + u32::from(self.syn) + u32::from(self.fin)
    }
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
        }
    }

    /// Octets of text.
    pub(crate) fn text_len(&self) -> u32 {
        let octets = self.payload.iter().map(Bytes::len).sum::<usize>();
        u32::try_from(octets).unwrap_or(u32::MAX)
    }
}
