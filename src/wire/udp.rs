//! The UDP header (RFC 768).

use std::net::Ipv4Addr;

use etherparse::UdpHeaderSlice;

use super::ParseError;
use super::checksum::Sum;
use super::ipv4::PROTOCOL_UDP;
use crate::packet::{Checksum, Head, Payload};

/// A UDP header, in host byte order.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |          source port          |       destination port        |
/// +-------------------------------+-------------------------------+
/// |            length             |           checksum            |
/// +-------------------------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpHeader {
    /// Port of the sender; 0 when it wants no answer.
    pub source_port: u16,
    /// Port of the receiver.
    pub destination_port: u16,
    /// Checksum as it stood on the wire; 0 means that the sender made none (RFC 768).
    pub checksum: u16,
}

/// Where in the header the checksum stands.
pub(crate) const CHECKSUM_AT: usize = 6;

impl UdpHeader {
    /// Octets on the wire.
    pub(crate) const LEN: usize = 8;

    /// Splits `octets` into header and payload. What lies past the length field is padding.
    pub(crate) fn parse(octets: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        // Not etherparse's `UdpSlice`: it takes a length of 0 for "all that is there".
        let slice = UdpHeaderSlice::from_slice(octets).map_err(|_| ParseError::Truncated)?;
        let len = usize::from(slice.length());
        if len < Self::LEN {
            return Err(ParseError::BadLength);
        }
        let payload = octets.get(Self::LEN..len).ok_or(ParseError::Truncated)?;
        let header = Self {
            source_port: slice.source_port(),
            destination_port: slice.destination_port(),
            checksum: slice.checksum(),
        };
        Ok((header, payload))
    }

    /// Whether the checksum of the datagram in `octets` holds, over exactly the octets that its
    /// length field says. A checksum field of 0 is valid; octets that are no datagram are not.
    pub(crate) fn checksum_is_valid(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        octets: &[u8],
    ) -> bool {
        let Ok((header, payload)) = Self::parse(octets) else {
            return false;
        };
        let len = Self::LEN + payload.len();
        header.checksum == 0
            || octets.get(..len).is_some_and(|datagram| {
                Sum::pseudo_header(source, destination, PROTOCOL_UDP, len).add(datagram).is_valid()
            })
    }

    /// Appends the header with its checksum, a partial one if the device completes it; the field
    /// `checksum` is ignored.
    ///
    /// A checksum of 0 is sent as 0xffff, which counts the same, because 0 means none (RFC 768).
    /// `None`, and nothing appended, if header and `payload` exceed 65,535 octets or `head` has
    /// no room.
    pub(crate) fn emit(
        self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: &Payload,
        checksum: Checksum,
        head: &mut Head,
    ) -> Option<()> {
        let len = Self::LEN + payload.iter().map(bytes::Bytes::len).sum::<usize>();
        let [l0, l1] = u16::try_from(len).ok()?.to_be_bytes();
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let pseudo_header = Sum::pseudo_header(source, destination, PROTOCOL_UDP, len);
        let checksum = match checksum {
            Checksum::Partial => pseudo_header.partial(),
            Checksum::Complete | Checksum::Verified => {
                let fields = [s0, s1, d0, d1, l0, l1];
                let text = payload.iter().map(|piece| &piece[..]);
                let pieces = std::iter::once(&fields[..]).chain(text);
                match pseudo_header.add_pieces(pieces).finish() {
                    0 => u16::MAX,
                    checksum => checksum,
                }
            }
        };
        let [c0, c1] = checksum.to_be_bytes();
        head.try_extend_from_slice(&[s0, s1, d0, d1, l0, l1, c0, c1]).ok()
    }
}
