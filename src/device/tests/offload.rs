use std::num::NonZeroU16;

use super::*;
use crate::wire::tcp_options::TcpOptions;

const SOURCE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 7, 0, 2);
const DESTINATION: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 7, 0, 1);
const SEQ: u32 = u32::MAX - 1500;

/// An IP header for `payload_len` octets of `protocol`.
fn ip(protocol: u8, payload_len: usize, ident: u16, dont_fragment: bool) -> Head {
    let mut head = Head::new();
    let header = Ipv4Header {
        tos: 0x10,
        ident,
        dont_fragment,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol,
        source: SOURCE,
        destination: DESTINATION,
    };
    header.emit(payload_len, &mut head).unwrap();
    head
}

/// A super-segment with FIN and PSH and the text in `pieces`.
fn tcp(pieces: &[&[u8]], segment: u16) -> Outgoing {
    let payload: Payload = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut head = ip(PROTOCOL_TCP, TcpHeader::LEN + total, 0, true);
    let flags = TcpFlags::ACK.with(TcpFlags::PSH).with(TcpFlags::FIN);
    let header = TcpHeader {
        source_port: 80,
        destination_port: 40_000,
        seq: SEQ,
        ack: 7,
        flags,
        window: 512,
        urgent: 0,
    };
    let options = TcpOptions::default();
    header.emit(&options, SOURCE, DESTINATION, &payload, Checksum::Partial, &mut head);
    let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(segment) };
    Outgoing { head, payload, offload }
}

/// The packets of a wire, each checked: lengths, both checksums, nothing left to do.
fn carried(packet: Outgoing) -> Vec<Bytes> {
    let mut packets = Vec::new();
    carry_out(packet, |packet| {
        assert_eq!(packet.offload, Offload::default());
        let octets = packet.to_frame().into_bytes();
        let view = Ipv4Header::parse(&octets).expect("the IP header holds");
        assert_eq!(view.total_len, octets.len());
        let transport = &octets[view.header_len..];
        assert!(match view.header.protocol {
            PROTOCOL_TCP => TcpHeader::checksum_is_valid(SOURCE, DESTINATION, transport),
            _ => UdpHeader::checksum_is_valid(SOURCE, DESTINATION, transport),
        });
        packets.push(octets);
    });
    packets
}

#[test]
fn a_super_segment_becomes_full_segments_and_a_last_one_with_fin_and_push() {
    let text: Vec<u8> = (0..3000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    // The slices of a send buffer end where they please.
    let pieces = [&text[..1], &text[1..1001], &text[1001..1001], &text[1001..]];
    let packets = carried(tcp(&pieces, 1000));
    assert_eq!(packets.len(), 3);
    let mut together = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        let view = TcpHeader::parse(&packet[20..]).unwrap();
        assert_eq!(view.header.seq, SEQ.wrapping_add(u32::try_from(n).unwrap() * 1000), "{n}");
        assert_eq!((view.header.ack, view.header.window), (7, 512));
        let is_last = n == 2;
        assert_eq!(view.header.flags.contains(TcpFlags::FIN), is_last, "{n}");
        assert_eq!(view.header.flags.contains(TcpFlags::PSH), is_last, "{n}");
        assert!(view.header.flags.contains(TcpFlags::ACK));
        assert_eq!(packet[4..6], [0, 0], "an atomic datagram needs no ID");
        together.extend_from_slice(&packet[40..]);
    }
    assert_eq!(together, text);
}

#[test]
fn that_the_congestion_window_was_reduced_stands_in_the_first_segment_alone() {
    let mut whole = tcp(&[&[1; 3000]], 1000);
    whole.head[20 + tcp::FLAGS_AT] |= CWR;
    let packets = carried(whole);
    let told: Vec<_> = packets.iter().map(|it| it[20 + tcp::FLAGS_AT] & CWR != 0).collect();
    assert_eq!(told, [true, false, false]);
}

#[test]
fn the_last_segment_has_what_is_left() {
    for (len, segment, lengths) in [
        (1000, 1000, &[1000][..]),
        (1001, 1000, &[1000, 1]),
        (2000, 1000, &[1000, 1000]),
        (999, 1000, &[999]),
        (0, 1000, &[0]),
        (3, 1, &[1, 1, 1]),
    ] {
        let packets = carried(tcp(&[&vec![1; len]], segment));
        let found: Vec<usize> = packets.iter().map(|packet| packet.len() - 40).collect();
        assert_eq!(found, lengths, "{len} by {segment}");
    }
}

#[test]
fn a_partial_checksum_is_completed() {
    let packets = carried(tcp(&[b"hello"], 0));
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0][40..], *b"hello");
}

#[test]
fn a_super_datagram_becomes_datagrams_with_lengths_and_ids_of_their_own() {
    let payload = vec![3; 2500];
    let mut head = ip(PROTOCOL_UDP, 8 + 2500, u16::MAX, false);
    let header = UdpHeader { source_port: 9, destination_port: 10, checksum: 0 };
    let payload = std::iter::once(Bytes::from(payload)).collect();
    let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(1200) };
    header.emit(SOURCE, DESTINATION, &payload, offload.checksum, &mut head).unwrap();
    let packets = carried(Outgoing { head, payload, offload });
    let found: Vec<_> = packets
        .iter()
        .map(|packet| {
            let (header, text) = UdpHeader::parse(&packet[20..]).unwrap();
            (u16::from_be_bytes([packet[4], packet[5]]), header.source_port, text.len())
        })
        .collect();
    assert_eq!(found, [(u16::MAX, 9, 1200), (0, 9, 1200), (1, 9, 100)]);
}

#[test]
fn what_arrived_is_split_as_what_leaves() {
    let sent = tcp(&[&[5; 2500]], 1000);
    let mut octets = sent.to_frame().octets().to_vec();
    octets.extend([0; 6]); // Padding of a link.
    let frame = Frame::with_offload(octets, sent.offload);
    let mut arrived = Vec::new();
    carry_out_arrived(frame, |frame| arrived.push(frame.into_bytes()));
    assert_eq!(arrived, carried(sent));
}

/// The padding looks as if the header went on in it.
#[test]
fn a_packet_that_ends_within_its_transport_header_grows_by_no_padding() {
    let udp = {
        let mut head = ip(PROTOCOL_UDP, UdpHeader::LEN, 1, true);
        let header = UdpHeader { source_port: 9, destination_port: 10, checksum: 0 };
        let payload = Payload::new();
        header.emit(SOURCE, DESTINATION, &payload, Checksum::Partial, &mut head).unwrap();
        head
    };
    for (whole, protocol) in [(tcp(&[], 0).head, PROTOCOL_TCP), (udp, PROTOCOL_UDP)] {
        for len in 0..whole.len() - Ipv4Header::LEN {
            let mut octets = ip(protocol, len, 0, true).to_vec();
            octets.extend_from_slice(&whole[Ipv4Header::LEN..]);
            octets.extend([0; 6]);
            for segment in [0, 8] {
                let segment = NonZeroU16::new(segment);
                let offload = Offload { checksum: Checksum::Partial, segment };
                let frame = Frame::with_offload(octets.clone(), offload);
                let mut found = Vec::new();
                carry_out_arrived(frame.clone(), |same| found.push(same));
                assert_eq!(found, [frame], "{len} of protocol {protocol}");
            }
        }
    }
}

#[test]
fn a_packet_that_leaves_nothing_to_do_stays_as_it_is() {
    let mut packet = tcp(&[b"text"], 0);
    for checksum in [Checksum::Complete, Checksum::Verified] {
        packet.offload = Offload { checksum, segment: None };
        let mut count = 0;
        carry_out(packet.clone(), |same| {
            assert_eq!((&same.head, same.offload), (&packet.head, packet.offload));
            count += 1;
        });
        carry_out_arrived(packet.to_frame(), |same| {
            assert_eq!(same, packet.to_frame());
            count += 1;
        });
        assert_eq!(count, 2);
    }
}

#[test]
fn what_is_no_tcp_and_no_udp_passes_whatever_is_asked_for() {
    let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(8) };
    for octets in [vec![], vec![0x45; 10], ip(1, 20, 0, true).to_vec(), ip(6, 3, 0, true).to_vec()]
    {
        let frame = Frame::with_offload(octets, offload);
        let mut found = Vec::new();
        carry_out_arrived(frame.clone(), |same| found.push(same));
        assert_eq!(found, [frame]);
    }
}
