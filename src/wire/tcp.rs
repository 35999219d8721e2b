//! The TCP header (RFC 9293 §3.1).

use std::fmt;
use std::net::Ipv4Addr;

use etherparse::TcpHeaderSlice;
use etherparse::err::tcp::HeaderSliceError;

use super::checksum::Sum;
use super::ipv4::PROTOCOL_TCP;
use super::tcp_options::TcpOptions;
use super::{ParseError, append};
use crate::packet::{Checksum, Head, Payload};

/// Control bits of a segment (RFC 9293 §3.1; ECE and CWR: RFC 3168 §6.1).
///
/// Shown as packetdrill and tcpdump do: `S`, `S.`, `P.`, `F.`, `R`, `.`; the letters come in the
/// order `FSRP.UEW`, and no bit at all is `-`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct TcpFlags(u8);

impl TcpFlags {
    /// The sender will send no more.
    pub(crate) const FIN: Self = Self(1);
    /// Synchronize sequence numbers.
    pub(crate) const SYN: Self = Self(1 << 1);
    /// Reset the connection.
    pub(crate) const RST: Self = Self(1 << 2);
    /// Push what has come to the application.
    pub(crate) const PSH: Self = Self(1 << 3);
    /// The acknowledgment number means something.
    pub(crate) const ACK: Self = Self(1 << 4);
    /// The urgent pointer means something.
    pub(crate) const URG: Self = Self(1 << 5);
    /// No bit.
    pub(crate) const NONE: Self = Self(0);

    /// The bits as they stand in octet 13 of the header.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The octet that [`TcpFlags::from_bits`] takes.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other`'s bits are set.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("-");
        }
        "FSRP.UEW"
            .chars()
            .enumerate()
            .filter(|(bit, _)| self.0 >> bit & 1 == 1)
            .try_for_each(|(_, letter)| fmt::Write::write_char(f, letter))
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A TCP header in host byte order, without options.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |          source port          |       destination port        |
/// +-------------------------------+-------------------------------+
/// |                              seq                              |
/// +---------------------------------------------------------------+
/// |                              ack                              |
/// +-------+-------+---------------+-------------------------------+
/// |  Data | Rsrvd |C|E|U|A|P|R|S|F|                               |
/// | Offset|       |W|C|R|C|S|S|Y|I|            window             |
/// |       |       |R|E|G|K|H|T|N|N|                               |
/// +-------+-------+---------------+-------------------------------+
/// |           checksum            |            urgent             |
/// +-------------------------------+-------------------------------+
/// |                 options, Data Offset - 5 words                |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpHeader {
    /// Port of the sender.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// SEG.SEQ: sequence number of the first octet, or of SYN.
    pub seq: u32,
    /// SEG.ACK: the next sequence number expected; meaningful only with ACK.
    pub ack: u32,
    /// Control bits.
    pub flags: TcpFlags,
    /// SEG.WND as on the wire, unscaled.
    pub window: u16,
    /// SEG.UP as on the wire; meaningful only with URG.
    pub urgent: u16,
}

/// What [`TcpHeader::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpView<'a> {
    /// The fixed part of the header.
    pub header: TcpHeader,
    /// Raw option octets, possibly none; see [`TcpOptions::parse`].
    pub options: &'a [u8],
    /// Octets of header and options: where the data begin.
    pub header_len: usize,
}

/// Where in the header the control bits stand.
pub(crate) const FLAGS_AT: usize = 13;

/// Where in the header the checksum stands.
pub(crate) const CHECKSUM_AT: usize = 16;

impl TcpHeader {
    /// Octets without options.
    pub(crate) const LEN: usize = 20;

    /// Splits off the header of a segment; judges neither checksum nor options.
    ///
    /// The reserved bits are ignored, as RFC 9293 §3.1 asks of those without their features.
    pub(crate) fn parse(octets: &[u8]) -> Result<TcpView<'_>, ParseError> {
        let slice = TcpHeaderSlice::from_slice(octets).map_err(|error| match error {
            HeaderSliceError::Len(_) => ParseError::Truncated,
            HeaderSliceError::Content(_) => ParseError::BadLength,
        })?;
        let flags = slice.slice().get(FLAGS_AT).copied();
        let header = Self {
            source_port: slice.source_port(),
            destination_port: slice.destination_port(),
            seq: slice.sequence_number(),
            ack: slice.acknowledgment_number(),
            flags: TcpFlags::from_bits(flags.ok_or(ParseError::Truncated)?),
            window: slice.window_size(),
            urgent: slice.urgent_pointer(),
        };
        Ok(TcpView {
            header,
            options: slice.slice().get(Self::LEN..).unwrap_or_default(),
            header_len: slice.slice().len(),
        })
    }

    /// Whether the checksum of the segment in `octets`, header and data, holds (RFC 9293 §3.1,
    /// MUST-3).
    pub(crate) fn checksum_is_valid(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        octets: &[u8],
    ) -> bool {
        Sum::pseudo_header(source, destination, PROTOCOL_TCP, octets.len()).add(octets).is_valid()
    }

    /// Appends header and options with a checksum over pseudo-header, header, options and
    /// `payload` (RFC 9293 §3.1, MUST-2); a partial one if the device completes it.
    ///
    /// # Panics
    ///
    /// If `head` has no room for them; it always has behind one IPv4 header.
    pub(crate) fn emit(
        &self,
        options: &TcpOptions,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: &Payload,
        checksum: Checksum,
        head: &mut Head,
    ) {
        let start = head.len();
        append(head, &self.fixed_part(options.len()));
        options.emit(head);
        let header = head.get(start..).unwrap_or_default();
        let payload_len: usize = payload.iter().map(bytes::Bytes::len).sum();
        let len = header.len() + payload_len;
        let pseudo_header = Sum::pseudo_header(source, destination, PROTOCOL_TCP, len);
        let checksum = match checksum {
            Checksum::Partial => pseudo_header.partial(),
            Checksum::Complete | Checksum::Verified => {
                let text = payload.iter().map(|slice| &slice[..]);
                pseudo_header.add_pieces(std::iter::once(header).chain(text)).finish()
            }
        };
        let field = start + CHECKSUM_AT..start + CHECKSUM_AT + 2;
        if let Some(field) = head.get_mut(field) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
    }

    /// The header before `options_len` octets of options, with a checksum of 0.
    fn fixed_part(&self, options_len: usize) -> [u8; Self::LEN] {
        let words = u8::try_from((Self::LEN + options_len) / 4)
            .expect("options are at most 40 octets, so the header has at most 15 words");
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        let (offset, flags) = (words << 4, self.flags.bits());
        [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, 0, 0, u0, u1]
    }
}
