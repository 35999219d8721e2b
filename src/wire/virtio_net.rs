//! The header that a TUN with `IFF_VNET_HDR` puts before each packet: `virtio_net_hdr` of
//! linux/virtio_net.h, as the Virtual I/O Device specification 1.2 §5.1.6 defines it.
//!
//! ```text
//!  0        1          2..4      4..6       6..8         8..10
//! +--------+----------+---------+----------+------------+-------------+
//! | flags  | gso_type | hdr_len | gso_size | csum_start | csum_offset |
//! +--------+----------+---------+----------+------------+-------------+
//! ```
//!
//! Words are in the machine's own byte order, unless the TUN was told otherwise (TUNSETVNETLE).

use std::num::NonZeroU16;

use super::ParseError;
use super::ipv4::{PROTOCOL_TCP, PROTOCOL_UDP};
use crate::packet::{Checksum, Offload};

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the transport's checksum is partial.
const NEEDS_CHECKSUM: u8 = 1;

/// `VIRTIO_NET_HDR_F_DATA_VALID`: the transport's checksum has been checked.
const DATA_VALID: u8 = 2;

/// `VIRTIO_NET_HDR_GSO_NONE`.
const GSO_NONE: u8 = 0;

/// `VIRTIO_NET_HDR_GSO_TCPV4`.
const GSO_TCPV4: u8 = 1;

/// `VIRTIO_NET_HDR_GSO_UDP_L4`: each segment is a datagram of its own.
const GSO_UDP: u8 = 5;

/// `VIRTIO_NET_HDR_GSO_ECN`: a modifier of the TCP types, for segments with CWR.
const GSO_ECN: u8 = 0x80;

/// Where the protocol number stands in an IPv4 header.
const PROTOCOL_AT: usize = 9;

/// Octets that stand before each packet.
pub(crate) const LEN: usize = 10;

/// What the header says that stands before `packet`, an arriving packet.
///
/// `hdr_len` is a hint, which the kernel gives as what lies in its first piece of memory, and is
/// not looked at. Where the checksum belongs follows from the packet; a place outside of it is an
/// error all the same, since then the packet is not what was meant.
pub(crate) fn parse(header: [u8; LEN], packet: &[u8]) -> Result<Offload, ParseError> {
    let [flags, gso_type, _, _, s0, s1, c0, c1, o0, o1] = header;
    let word = |octets| usize::from(u16::from_ne_bytes(octets));
    if flags & NEEDS_CHECKSUM != 0 && word([c0, c1]) + word([o0, o1]) + 2 > packet.len() {
        return Err(ParseError::BadLength);
    }
    let checksum = if flags & NEEDS_CHECKSUM != 0 {
        Checksum::Partial
    } else if flags & DATA_VALID != 0 {
        Checksum::Verified
    } else {
        Checksum::Complete
    };
    let protocol = match gso_type & !GSO_ECN {
        GSO_NONE => return Ok(Offload { checksum, segment: None }),
        GSO_TCPV4 => PROTOCOL_TCP,
        GSO_UDP => PROTOCOL_UDP,
        // Nothing else was asked for, or could be understood.
        _ => return Err(ParseError::Version),
    };
    if packet.get(PROTOCOL_AT) != Some(&protocol) {
        return Err(ParseError::Version);
    }
    let size = NonZeroU16::new(u16::from_ne_bytes([s0, s1])).ok_or(ParseError::BadLength)?;
    Ok(Offload { checksum, segment: Some(size) })
}

/// The header of a packet that begins with `head`, headers of IPv4 and its transport and nothing
/// else. `None` if that is not what `head` is, or if something is left to the device that it can
/// do for TCP and UDP only.
pub(crate) fn emit(offload: Offload, head: &[u8]) -> Option<[u8; LEN]> {
    if offload.checksum != Checksum::Partial {
        // The kernel splits only what it has to complete the checksums of.
        return offload.segment.is_none().then_some([0; LEN]);
    }
    let transport_at = usize::from(head.first()? & 0xf) * 4;
    let (field_at, gso_type) = match *head.get(PROTOCOL_AT)? {
        PROTOCOL_TCP => (super::tcp::CHECKSUM_AT, GSO_TCPV4),
        PROTOCOL_UDP => (super::udp::CHECKSUM_AT, GSO_UDP),
        _ => return None,
    };
    let gso_type = if offload.segment.is_some() { gso_type } else { GSO_NONE };
    let size = offload.segment.map_or(0, NonZeroU16::get);
    let word = |number: usize| u16::try_from(number).ok().map(u16::to_ne_bytes);
    let [h0, h1] = word(head.len())?;
    let [g0, g1] = size.to_ne_bytes();
    let [c0, c1] = word(transport_at)?;
    let [o0, o1] = word(field_at)?;
    Some([NEEDS_CHECKSUM, gso_type, h0, h1, g0, g1, c0, c1, o0, o1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offload(checksum: Checksum, segment: u16) -> Offload {
        Offload { checksum, segment: NonZeroU16::new(segment) }
    }

    fn head(protocol: u8, len: usize) -> Vec<u8> {
        let mut head = vec![0; len];
        head[0] = 0x45;
        head[PROTOCOL_AT] = protocol;
        head
    }

    #[test]
    fn a_header_says_what_was_left_to_us() {
        let (tcp, udp) = (head(PROTOCOL_TCP, 40), head(PROTOCOL_UDP, 28));
        let header = |flags, gso_type, size: u16| {
            let [s0, s1] = size.to_ne_bytes();
            let packet = if gso_type == GSO_UDP { &udp } else { &tcp };
            parse([flags, gso_type, 9, 9, s0, s1, 9, 0, 9, 0], packet)
        };
        assert_eq!(header(0, 0, 7), Ok(offload(Checksum::Complete, 0)));
        assert_eq!(header(DATA_VALID, 0, 0), Ok(offload(Checksum::Verified, 0)));
        assert_eq!(header(NEEDS_CHECKSUM, 0, 0), Ok(offload(Checksum::Partial, 0)));
        assert_eq!(header(NEEDS_CHECKSUM, 1, 1448), Ok(offload(Checksum::Partial, 1448)));
        assert_eq!(header(NEEDS_CHECKSUM, 0x81, 1448), Ok(offload(Checksum::Partial, 1448)));
        assert_eq!(header(NEEDS_CHECKSUM, 5, 1200), Ok(offload(Checksum::Partial, 1200)));
        assert_eq!(header(NEEDS_CHECKSUM, 1, 0), Err(ParseError::BadLength));
        assert_eq!(header(NEEDS_CHECKSUM, 4, 1440), Err(ParseError::Version), "TCP over IPv6");
    }

    #[test]
    fn a_header_that_does_not_fit_its_packet_is_an_error() {
        let udp = head(PROTOCOL_UDP, 28);
        let header = |flags, gso_type, hdr_len: u16, size: u16, start: u16, offset: u16| {
            let [[h0, h1], [s0, s1], [c0, c1], [o0, o1]] =
                [hdr_len, size, start, offset].map(u16::to_ne_bytes);
            parse([flags, gso_type, h0, h1, s0, s1, c0, c1, o0, o1], &udp)
        };
        let good = Ok(offload(Checksum::Partial, 1200));
        for hdr_len in [0, 28, u16::MAX] {
            assert_eq!(header(NEEDS_CHECKSUM, GSO_UDP, hdr_len, 1200, 20, 6), good, "{hdr_len}");
        }
        for (start, offset) in [(21, 6), (20, 7), (u16::MAX, u16::MAX), (0, u16::MAX)] {
            let outcome = header(NEEDS_CHECKSUM, GSO_UDP, 28, 1200, start, offset);
            assert_eq!(outcome, Err(ParseError::BadLength), "{start} {offset}");
            // Without a checksum to complete nobody looks there.
            assert!(header(0, GSO_NONE, 28, 0, start, offset).is_ok());
        }
        assert_eq!(header(NEEDS_CHECKSUM, GSO_UDP, 28, 0, 20, 6), Err(ParseError::BadLength));
        assert_eq!(header(NEEDS_CHECKSUM, GSO_TCPV4, 28, 9, 20, 6), Err(ParseError::Version));
        for len in 0..=PROTOCOL_AT {
            let outcome = parse([0, GSO_UDP, 0, 0, 9, 9, 0, 0, 0, 0], &udp[..len]);
            assert_eq!(outcome, Err(ParseError::Version), "{len}");
        }
    }

    #[test]
    fn a_header_says_where_the_checksum_belongs_and_how_large_a_segment_is() {
        let words = |header: [u8; LEN]| {
            let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
            (header[0], header[1], [2, 4, 6, 8].map(word))
        };
        let tcp = head(PROTOCOL_TCP, 52);
        let partial = emit(offload(Checksum::Partial, 0), &tcp).unwrap();
        assert_eq!(words(partial), (NEEDS_CHECKSUM, GSO_NONE, [52, 0, 20, 16]));
        let large = emit(offload(Checksum::Partial, 1448), &tcp).unwrap();
        assert_eq!(words(large), (NEEDS_CHECKSUM, GSO_TCPV4, [52, 1448, 20, 16]));
        let udp = emit(offload(Checksum::Partial, 1200), &head(PROTOCOL_UDP, 28)).unwrap();
        assert_eq!(words(udp), (NEEDS_CHECKSUM, GSO_UDP, [28, 1200, 20, 6]));
    }

    #[test]
    fn a_packet_that_leaves_nothing_to_the_device_has_a_header_of_zeros() {
        for checksum in [Checksum::Complete, Checksum::Verified] {
            assert_eq!(emit(offload(checksum, 0), &head(1, 28)), Some([0; LEN]));
        }
    }

    #[test]
    fn what_the_device_cannot_do_has_no_header() {
        assert_eq!(emit(offload(Checksum::Partial, 0), &head(1, 28)), None, "ICMP");
        assert_eq!(emit(offload(Checksum::Complete, 1448), &head(PROTOCOL_TCP, 40)), None);
        assert_eq!(emit(offload(Checksum::Partial, 0), &[]), None);
    }
}
