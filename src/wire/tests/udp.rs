//! UDP headers: lengths, and the two meanings of a checksum of 0.

use super::{CLIENT, DATAGRAM, EDGES_16, SERVER};
use crate::packet::{Checksum, Head, Payload};
use crate::wire::ParseError;
use crate::wire::checksum::Sum;
use crate::wire::ipv4::PROTOCOL_UDP;
use crate::wire::udp::UdpHeader;

fn text(payload: &[u8]) -> Payload {
    std::iter::once(bytes::Bytes::copy_from_slice(payload)).collect()
}

/// The datagram with `payload`, as it goes behind an IP header.
fn datagram(source_port: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader { source_port, destination_port: 53, checksum: 0xdead };
    let mut head = Head::new();
    header.emit(CLIENT, SERVER, &text(payload), Checksum::Complete, &mut head).unwrap();
    [&head, payload].concat()
}

fn is_valid(octets: &[u8]) -> bool {
    UdpHeader::checksum_is_valid(CLIENT, SERVER, octets)
}

#[test]
fn what_is_emitted_is_read_as_what_it_was() {
    let payload = [0xa5; 1472];
    for port in EDGES_16 {
        for len in (0..20).chain([1471, 1472]) {
            let octets = datagram(port, &payload[..len]);
            let (header, rest) = UdpHeader::parse(&octets).unwrap();
            assert_eq!((header.source_port, header.destination_port), (port, 53));
            assert_eq!(rest, &payload[..len]);
            assert!(is_valid(&octets), "port {port}, {len} octets");
            let theirs = etherparse::UdpHeader::with_ipv4_checksum(
                port,
                53,
                &etherparse::Ipv4Header::new(
                    u16::try_from(8 + len).unwrap(),
                    64,
                    etherparse::IpNumber::UDP,
                    CLIENT.octets(),
                    SERVER.octets(),
                )
                .unwrap(),
                rest,
            );
            assert_eq!(header.checksum, theirs.unwrap().checksum);
        }
    }
}

#[test]
fn every_prefix_is_truncated() {
    for len in 0..13 {
        let octets = &DATAGRAM[20..20 + len];
        assert_eq!(UdpHeader::parse(octets), Err(ParseError::Truncated));
        assert!(!is_valid(octets), "{len} octets");
    }
}

#[test]
fn a_length_below_eight_is_an_error_and_zero_is_no_exception() {
    let mut octets = DATAGRAM[20..].to_vec();
    for len in 0..=20u8 {
        octets[5] = len;
        let outcome = UdpHeader::parse(&octets).map(|(_, payload)| payload.len());
        let expected = match len {
            0..=7 => Err(ParseError::BadLength),
            8..=13 => Ok(usize::from(len) - 8),
            _ => Err(ParseError::Truncated),
        };
        assert_eq!(outcome, expected, "length {len}");
    }
}

#[test]
fn what_lies_past_the_length_is_padding_and_not_summed() {
    let octets = [&DATAGRAM[20..], &[0xaa; 5]].concat();
    let (_, payload) = UdpHeader::parse(&octets).unwrap();
    assert_eq!(payload, b"hello");
    assert!(is_valid(&octets));
}

#[test]
fn a_checksum_of_zero_means_none_and_is_valid() {
    let mut octets = DATAGRAM[20..].to_vec();
    octets[6..8].fill(0);
    assert!(is_valid(&octets));
    assert_eq!(UdpHeader::parse(&octets).unwrap().0.checksum, 0);
}

#[test]
fn a_sum_that_comes_to_zero_is_sent_as_ffff() {
    let mut ports_that_come_to_zero = 0;
    for port in 0..=u16::MAX {
        let octets = datagram(port, b"x");
        assert_ne!(octets[6..8], [0, 0], "port {port}");
        if octets[6..8] == [0xff, 0xff] {
            assert!(is_valid(&octets));
            ports_that_come_to_zero += 1;
        }
    }
    assert_eq!(ports_that_come_to_zero, 1);
}

#[test]
fn one_wrong_bit_is_noticed_wherever_it_is() {
    for at in 20..DATAGRAM.len() {
        for bit in 0..8 {
            let mut octets = DATAGRAM;
            octets[at] ^= 1 << bit;
            assert!(!is_valid(&octets[20..]), "octet {at}, bit {bit}");
        }
    }
    assert!(!UdpHeader::checksum_is_valid(CLIENT, CLIENT, &DATAGRAM[20..]));
}

#[test]
fn a_datagram_that_its_length_field_cannot_hold_is_not_emitted() {
    let header = UdpHeader { source_port: 1, destination_port: 2, checksum: 0 };
    let mut head = Head::new();
    let payload = vec![0; 65_528];
    let emit = |payload: &[u8], head: &mut Head| {
        header.emit(CLIENT, SERVER, &text(payload), Checksum::Complete, head)
    };
    assert_eq!(emit(&payload, &mut head), None);
    assert!(head.is_empty());
    let outcome = emit(&payload[..65_527], &mut head);
    assert_eq!((outcome, &head[4..6]), (Some(()), &[0xff, 0xff][..]));
}

#[test]
fn a_payload_in_pieces_has_the_checksum_of_the_whole() {
    let header = UdpHeader { source_port: 7, destination_port: 53, checksum: 0 };
    let payload: Vec<u8> = (0..=255).collect();
    let whole = datagram(7, &payload);
    for at in [0, 1, 2, 127, 255, 256] {
        let pieces = [&payload[..at], &payload[at..]].map(bytes::Bytes::copy_from_slice);
        let mut head = Head::new();
        let pieces = pieces.into_iter().collect();
        header.emit(CLIENT, SERVER, &pieces, Checksum::Complete, &mut head).unwrap();
        assert_eq!(head[..], whole[..8], "{at}");
    }
}

#[test]
fn a_partial_checksum_is_that_of_the_pseudo_header() {
    let header = UdpHeader { source_port: 7, destination_port: 53, checksum: 0 };
    let mut head = Head::new();
    header.emit(CLIENT, SERVER, &text(&[1; 100]), Checksum::Partial, &mut head).unwrap();
    let sum = Sum::pseudo_header(CLIENT, SERVER, PROTOCOL_UDP, 108).partial();
    assert_eq!(head[6..8], sum.to_be_bytes());
}
