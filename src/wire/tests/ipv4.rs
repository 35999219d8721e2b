//! IPv4 headers: edges, what is checked in which order, and `etherparse` as a second opinion.

use std::net::Ipv4Addr;

use super::{CLIENT, EDGES_16, PLAIN, SYN};
use crate::packet::Head;
use crate::wire::ParseError;
use crate::wire::checksum::Sum;
use crate::wire::ipv4::Ipv4Header;

fn emit(header: &Ipv4Header, payload_len: usize) -> Head {
    let mut head = Head::new();
    header.emit(payload_len, &mut head).unwrap();
    head
}

/// `packet` with the header checksum that it should have.
fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    packet[10..12].fill(0);
    let len = (usize::from(packet[0] & 0xf) * 4).clamp(20, packet.len());
    let checksum = Sum::default().add(&packet[..len]).finish();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// What `parse` says to the SYN after `change`, with the checksum made good.
fn judged(change: impl FnOnce(&mut Vec<u8>)) -> Result<(usize, usize), ParseError> {
    let mut packet = SYN.to_vec();
    change(&mut packet);
    Ipv4Header::parse(&with_checksum(packet)).map(|v| (v.header_len, v.total_len))
}

#[test]
fn what_is_emitted_is_read_as_what_it_was() {
    for edge in EDGES_16 {
        for (dont_fragment, more_fragments) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            for fragment_offset in [0, 8, 1480, 65_528] {
                let [high, low] = edge.to_be_bytes();
                let header = Ipv4Header {
                    tos: low,
                    ident: edge,
                    dont_fragment,
                    more_fragments,
                    fragment_offset,
                    ttl: high,
                    protocol: low,
                    source: Ipv4Addr::from([high, low, 255, 0]),
                    destination: Ipv4Addr::from([0, 255, low, high]),
                };
                let packet = [&emit(&header, 3)[..], b"abc"].concat();
                let view = Ipv4Header::parse(&packet).unwrap();
                assert_eq!(view.header, header);
                assert_eq!((view.header_len, view.total_len), (20, 23));
                let is_fragment = more_fragments || fragment_offset > 0;
                assert_eq!(header.is_fragment(), is_fragment);
                let theirs = etherparse::Ipv4HeaderSlice::from_slice(&packet).unwrap();
                let checksum = theirs.to_header().calc_header_checksum();
                assert_eq!(theirs.header_checksum(), checksum);
            }
        }
    }
}

#[test]
fn a_packet_of_65535_octets_can_be_emitted_and_a_longer_one_cannot() {
    let mut head = Head::new();
    for too_long in [65_516, 65_536, usize::MAX] {
        assert_eq!(PLAIN.emit(too_long, &mut head), None);
        assert!(head.is_empty());
    }
    assert_eq!(emit(&PLAIN, 65_515)[2..4], [0xff, 0xff]);
    assert_eq!(emit(&PLAIN, 0)[2..4], [0, 20]);
}

#[test]
fn a_head_without_room_is_left_as_it_was() {
    let mut head = Head::new();
    head.extend([0; 109]);
    assert_eq!(PLAIN.emit(0, &mut head), None);
    assert_eq!(head.len(), 109);
}

#[test]
fn any_version_but_4_is_an_error() {
    for version in 0..=15 {
        let outcome = judged(|packet| packet[0] = version << 4 | 5);
        let expected = match version {
            4 => Ok((20, 60)),
            _ => Err(ParseError::Version),
        };
        assert_eq!(outcome, expected, "version {version}");
    }
}

#[test]
fn a_header_length_below_five_words_or_past_the_end_is_an_error() {
    for words in 0..=15u8 {
        let outcome = judged(|packet| {
            packet[0] = 0x40 | words;
            packet.truncate(44);
            packet[3] = 44;
        });
        let expected = match words {
            0..=4 => Err(ParseError::BadLength),
            5..=11 => Ok((usize::from(words) * 4, 44)),
            _ => Err(ParseError::Truncated),
        };
        assert_eq!(outcome, expected, "{words} words");
    }
}

#[test]
fn a_total_length_below_the_header_or_past_the_end_is_an_error() {
    for total_len in (0..70u16).chain([u16::MAX]) {
        let outcome = judged(|packet| {
            packet[0] = 0x46;
            packet[2..4].copy_from_slice(&total_len.to_be_bytes());
        });
        let expected = match total_len {
            0..=23 => Err(ParseError::BadLength),
            24..=60 => Ok((24, usize::from(total_len))),
            _ => Err(ParseError::Truncated),
        };
        assert_eq!(outcome, expected, "total length {total_len}");
    }
}

#[test]
fn one_wrong_bit_of_a_header_is_noticed_wherever_it_is() {
    for at in 0..20 {
        for bit in 0..8 {
            let mut packet = SYN;
            packet[at] ^= 1 << bit;
            assert!(Ipv4Header::parse(&packet).is_err(), "octet {at}, bit {bit}");
        }
    }
}

#[test]
fn a_wrong_checksum_is_named_only_where_the_lengths_hold() {
    let mut packet = SYN;
    packet[8] ^= 1;
    assert_eq!(Ipv4Header::parse(&packet), Err(ParseError::Checksum));
    packet[3] = 61;
    assert_eq!(Ipv4Header::parse(&packet), Err(ParseError::Truncated));
}

#[test]
fn options_are_given_raw_and_counted_with_the_header() {
    let mut packet = emit(&PLAIN, 6).to_vec();
    packet.extend([148, 4, 0, 0, b'h', b'i']);
    packet[0] = 0x46;
    let packet = with_checksum(packet);
    let view = Ipv4Header::parse(&packet).unwrap();
    assert_eq!(view.options, [148, 4, 0, 0]);
    assert_eq!((view.header_len, view.total_len), (24, 26));
}

#[test]
fn what_lies_past_the_total_length_is_padding() {
    let packet = [&SYN[..], &[0xaa; 6]].concat();
    assert_eq!(Ipv4Header::parse(&packet).unwrap().total_len, 60);
}

#[test]
fn a_quoted_packet_may_be_cut_and_have_another_checksum() {
    let mut quote = SYN[..28].to_vec();
    quote[8] = 1; // A router has counted the time to live down.
    let view = Ipv4Header::parse_quoted(&quote).unwrap();
    assert_eq!((view.header_len, view.total_len), (20, 60));
    assert_eq!((view.header.source, view.header.ttl), (CLIENT, 1));
    for len in 0..20 {
        let outcome = Ipv4Header::parse_quoted(&quote[..len]);
        assert_eq!(outcome, Err(ParseError::Truncated), "{len} octets");
    }
}

#[test]
fn a_quoted_packet_is_never_shorter_than_its_header() {
    let mut quote = SYN[..28].to_vec();
    quote[2..4].fill(0);
    assert_eq!(Ipv4Header::parse_quoted(&quote).unwrap().total_len, 20);
}
