//! The IPv4 header (RFC 791 §3.1).

use std::net::Ipv4Addr;

use etherparse::Ipv4HeaderSlice;
use etherparse::err::ipv4::{HeaderError, HeaderSliceError};

use super::ParseError;
use super::checksum::Sum;
use crate::packet::Head;

/// Protocol number of ICMP above IPv4 (IANA).
pub(crate) const PROTOCOL_ICMP: u8 = 1;
/// Protocol number of TCP above IPv4 (IANA).
pub(crate) const PROTOCOL_TCP: u8 = 6;
/// Protocol number of UDP above IPv4 (IANA).
pub(crate) const PROTOCOL_UDP: u8 = 17;

/// An IPv4 header in host byte order, without options.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+-------+---------------+-------------------------------+
/// |Version|  IHL  |     tos       |         total length          |
/// +-------+-------+---------------+-----+-------------------------+
/// |             ident             |Flags|     fragment offset     |
/// +---------------+---------------+-----+-------------------------+
/// |      ttl      |   protocol    |        header checksum        |
/// +---------------+---------------+-------------------------------+
/// |                            source                             |
/// +---------------------------------------------------------------+
/// |                          destination                          |
/// +---------------------------------------------------------------+
/// |                     options, IHL - 5 words                    |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv4Header {
    /// DSCP (upper 6 bits, RFC 2474) and ECN (lower 2 bits, RFC 3168).
    pub tos: u8,
    /// Identification, which the fragments of one packet share (RFC 6864).
    pub ident: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Whether it is a fragment and not the last one.
    pub more_fragments: bool,
    /// Where in the original payload a fragment belongs, octets; a multiple of 8.
    pub fragment_offset: u16,
    /// Time to live, hops.
    pub ttl: u8,
    /// What the payload is: [`PROTOCOL_TCP`] and its like.
    pub protocol: u8,
    /// Address of the sender.
    pub source: Ipv4Addr,
    /// Address of the receiver.
    pub destination: Ipv4Addr,
}

/// What [`Ipv4Header::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv4View<'a> {
    /// The fixed part of the header.
    pub header: Ipv4Header,
    /// Raw options, possibly empty; see [`options`](super::ipv4_options::options).
    pub options: &'a [u8],
    /// Octets of header and options.
    pub header_len: usize,
    /// Octets of header, options and payload (what lies past it is padding); never less than
    /// `header_len`.
    pub total_len: usize,
}

impl Ipv4Header {
    /// Octets without options.
    pub(crate) const LEN: usize = 20;

    /// Splits off the header of a packet.
    ///
    /// Checks version, IHL, total length (against the octets at hand) and header checksum, in
    /// this order: so a packet whose only fault is the checksum has lengths that hold.
    pub(crate) fn parse(octets: &[u8]) -> Result<Ipv4View<'_>, ParseError> {
        let slice = Ipv4HeaderSlice::from_slice(octets).map_err(|error| parse_error(&error))?;
        let total_len = usize::from(slice.total_len());
        if total_len < slice.slice().len() {
            return Err(ParseError::BadLength);
        }
        if total_len > octets.len() {
            return Err(ParseError::Truncated);
        }
        if !Sum::default().add(slice.slice()).is_valid() {
            return Err(ParseError::Checksum);
        }
        Ok(view(&slice))
    }

    /// Like [`Ipv4Header::parse`], for the packet that an ICMP error quotes.
    ///
    /// The payload may be cut (RFC 792 asks for 8 octets of it), so the total length is not
    /// judged; neither is the checksum, which routers on the way have had reason to change.
    pub(crate) fn parse_quoted(octets: &[u8]) -> Result<Ipv4View<'_>, ParseError> {
        let slice = Ipv4HeaderSlice::from_slice(octets).map_err(|error| parse_error(&error))?;
        Ok(view(&slice))
    }

    /// Appends the header (20 octets, checksum complete) for `payload_len` octets of payload.
    ///
    /// `None`, and nothing appended, if the packet would exceed 65,535 octets or `head` has no
    /// room.
    pub(crate) fn emit(&self, payload_len: usize, head: &mut Head) -> Option<()> {
        let total_len = u16::try_from(payload_len.checked_add(Self::LEN)?).ok()?;
        let [l0, l1] = total_len.to_be_bytes();
        let [i0, i1] = self.ident.to_be_bytes();
        let [f0, f1] = self.fragment_word().to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let (tos, ttl, protocol) = (self.tos, self.ttl, self.protocol);
        let mut octets = [
            0x45, tos, l0, l1, i0, i1, f0, f1, ttl, protocol, 0, 0, // Version 4, IHL 5.
            s0, s1, s2, s3, d0, d1, d2, d3,
        ];
        let checksum = Sum::default().add(&octets).finish();
        [octets[10], octets[11]] = checksum.to_be_bytes();
        head.try_extend_from_slice(&octets).ok()
    }

    /// Whether it is a part of a packet only.
    pub(crate) fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset > 0
    }

    /// The 16 bits of flags and fragment offset. The first flag is reserved and stays 0.
    fn fragment_word(&self) -> u16 {
        debug_assert_eq!(self.fragment_offset % 8, 0);
        u16::from(self.dont_fragment) << 14
            | u16::from(self.more_fragments) << 13
            | self.fragment_offset >> 3
    }
}

/// The values that `slice` holds.
fn view<'a>(slice: &Ipv4HeaderSlice<'a>) -> Ipv4View<'a> {
    let octets = slice.slice();
    let header = Ipv4Header {
        tos: slice.dcp().value() << 2 | slice.ecn().value(),
        ident: slice.identification(),
        dont_fragment: slice.dont_fragment(),
        more_fragments: slice.more_fragments(),
        fragment_offset: slice.fragments_offset().value() << 3, // 13 bits become 16.
        ttl: slice.ttl(),
        protocol: slice.protocol().0,
        source: slice.source_addr(),
        destination: slice.destination_addr(),
    };
    Ipv4View {
        header,
        options: octets.get(Ipv4Header::LEN..).unwrap_or_default(),
        header_len: octets.len(),
        total_len: usize::from(slice.total_len()).max(octets.len()),
    }
}

/// Our name for a fault that `etherparse` found.
fn parse_error(error: &HeaderSliceError) -> ParseError {
    match error {
        HeaderSliceError::Len(_) => ParseError::Truncated,
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { .. }) => ParseError::Version,
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { .. }) => {
            ParseError::BadLength
        }
    }
}
