//! A follower is what the parsers find to differ in nothing that a train cares for.

use crate::sim::TcpFlags;
use crate::sim::craft::{Content, Packet, checksums_hold};
use crate::wire::checksum::Sum;
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_TCP};
use crate::wire::tcp::{TcpFlags as WireFlags, TcpHeader};
use crate::wire::template::{Follower, HeaderTemplate};

/// Octets of the IPv4 header, and of a TCP header with timestamps.
const HEADERS: usize = 52;

/// A segment with timestamps and a text, and one behind it.
fn first_and_next() -> [Vec<u8>; 2] {
    let (source, destination) = ("10.7.0.1:4000", "10.7.0.2:80");
    let mut packet =
        Packet::tcp(source.parse().unwrap(), destination.parse().unwrap(), TcpFlags::ACK);
    let options = [1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 8];
    [(1, u32::MAX - 2, TcpFlags::ACK), (2, 17, TcpFlags::ACK.with(TcpFlags::PSH))].map(
        |(ident, seq, flags)| {
            packet.ident = ident;
            let Content::Tcp(segment) = &mut packet.content else { unreachable!("it is one") };
            (segment.seq, segment.flags, segment.ack, segment.window) = (seq, flags, 99, 500);
            segment.options = options.to_vec();
            segment.payload = (0..20).collect();
            packet.encode()
        },
    )
}

/// What is `packet`'s own, if it is an intact follower.
fn follower<'a>(
    template: &HeaderTemplate,
    packet: &'a [u8],
    is_summed: bool,
) -> Option<Follower<'a>> {
    template.follower(packet).filter(|_| template.is_intact(packet, is_summed))
}

/// Makes both checksums anew, wherever the headers now say that they end.
fn with_checksums(mut octets: Vec<u8>) -> Vec<u8> {
    let header_len = (usize::from(octets[0] & 15) * 4).clamp(Ipv4Header::LEN, octets.len());
    octets[10..12].fill(0);
    let checksum = Sum::default().add(&octets[..header_len]).finish();
    octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    let total_len = usize::from(u16::from_be_bytes([octets[2], octets[3]]));
    let end = total_len.clamp(header_len, octets.len());
    if let Some(field) = octets[..end].get_mut(header_len + 16..header_len + 18) {
        field.fill(0);
        let [source, destination] =
            [12, 16].map(|at| *octets[at..].first_chunk::<4>().unwrap()).map(Into::into);
        let segment = &octets[header_len..end];
        let sum = Sum::pseudo_header(source, destination, PROTOCOL_TCP, segment.len());
        let checksum = sum.add(segment).finish().to_be_bytes();
        octets[header_len + 16..header_len + 18].copy_from_slice(&checksum);
    }
    octets
}

/// What a packet has in common with its followers, as the parsers read it; and what is its own.
/// `None` if it has no place behind or before another.
fn read(octets: &[u8]) -> Option<(impl PartialEq + use<>, Follower<'_>)> {
    let ip = Ipv4Header::parse(octets).ok().filter(|ip| ip.total_len == octets.len())?;
    let segment = &octets[ip.header_len..];
    let (source, destination) = (ip.header.source, ip.header.destination);
    let tcp = TcpHeader::parse(segment).ok()?;
    let is_valid = TcpHeader::checksum_is_valid(source, destination, segment);
    let follower = Follower { seq: tcp.header.seq, text: &segment[tcp.header_len..] };
    let flags = tcp.header.flags.bits() & !TcpFlags::PSH.bits();
    let of_ip = (Ipv4Header { ident: 0, ..ip.header }, ip.options.to_vec());
    let of_tcp = (TcpHeader { seq: 0, flags: WireFlags::default(), ..tcp.header }, flags);
    let reserved = octets[ip.header_len + 12] & 15;
    is_valid.then_some(((of_ip, octets[6] >> 7, of_tcp, reserved, tcp.options.to_vec()), follower))
}

#[test]
fn a_segment_that_differs_in_what_is_its_own_is_a_follower() {
    let [first, next] = first_and_next();
    let template = HeaderTemplate::of(&first).unwrap();
    let text: Vec<u8> = (0..20).collect();
    assert_eq!(follower(&template, &next, true), Some(Follower { seq: 17, text: &text }));
    assert_eq!(follower(&template, &first, true).map(|it| it.seq), Some(u32::MAX - 2));
}

#[test]
fn whatever_bit_of_its_headers_differs_the_parsers_would_say_the_same() {
    let [first, next] = first_and_next();
    let template = HeaderTemplate::of(&first).unwrap();
    let (common, _) = read(&first).unwrap();
    let mut followers = 0;
    for bit in 0..HEADERS * 8 {
        let mut octets = next.clone();
        octets[bit / 8] ^= 1 << (bit % 8);
        let octets = with_checksums(octets);
        let expected = read(&octets).filter(|(theirs, _)| *theirs == common).map(|(_, it)| it);
        followers += usize::from(expected.is_some());
        assert_eq!(follower(&template, &octets, true), expected, "bit {bit}");
    }
    // Identification, sequence number, PSH; and the checksums, which were made anew.
    assert_eq!(followers, 16 + 32 + 1 + 32);
}

#[test]
fn a_packet_with_an_error_anywhere_is_no_follower() {
    let [first, next] = first_and_next();
    let template = HeaderTemplate::of(&first).unwrap();
    for bit in 0..next.len() * 8 {
        let mut octets = next.clone();
        octets[bit / 8] ^= 1 << (bit % 8);
        assert!(!checksums_hold(&octets));
        assert_eq!(follower(&template, &octets, true), None, "bit {bit}");
        let is_text = bit / 8 >= HEADERS;
        let is_own = is_text || (24..28).contains(&(bit / 8)) || (36..38).contains(&(bit / 8));
        let is_push = bit == 33 * 8 + 3;
        let taken = follower(&template, &octets, false).is_some();
        assert_eq!(taken, is_own || is_push, "bit {bit}, the checksum of TCP being the device's");
    }
}

#[test]
fn a_packet_that_was_cut_or_padded_is_no_follower() {
    let [first, next] = first_and_next();
    let template = HeaderTemplate::of(&first).unwrap();
    for len in 0..next.len() {
        assert_eq!(follower(&template, &next[..len], false), None, "{len} octets");
    }
    assert_eq!(follower(&template, &[&next[..], &[0]].concat(), false), None);
}

#[test]
fn there_is_a_template_of_headers_that_fit_into_it() {
    let [first, _] = first_and_next();
    assert!(HeaderTemplate::of(&first).is_some());
    assert!(HeaderTemplate::of(&first[..63]).is_none(), "too short a packet");
    for (offset, is_one) in [(4, false), (5, true), (11, true), (12, false), (15, false)] {
        let mut octets = [&first[..], &[0; 20]].concat();
        octets[32] = offset << 4;
        assert_eq!(HeaderTemplate::of(&octets).is_some(), is_one, "{offset} words");
    }
    for version_and_len in [0x46, 0x65, 0x44] {
        let mut octets = first.clone();
        octets[0] = version_and_len;
        assert!(HeaderTemplate::of(&octets).is_none(), "{version_and_len:#x}");
    }
}
