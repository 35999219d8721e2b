//! TCP headers: edges, checksums, and `etherparse` as a second opinion.

use bytes::Bytes;
use etherparse::TcpHeaderSlice;

use super::{CLIENT, EDGES_16, EDGES_32, SERVER, SYN, random_octets};
use crate::packet::{Checksum, Head, Payload};
use crate::rng::{Rng, Seed};
use crate::wire::ParseError;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::{TcpOptions, Timestamps};

const HEADER: TcpHeader = TcpHeader {
    source_port: 40_000,
    destination_port: 80,
    seq: 0xfeed_beef,
    ack: 0x0123_4567,
    flags: TcpFlags::ACK,
    window: 512,
    urgent: 0,
};

fn timestamps_only() -> TcpOptions {
    TcpOptions { timestamps: Some(Timestamps { value: 7, echo: 8 }), ..TcpOptions::default() }
}

/// The segment of `header`, `options` and `pieces`, as it goes behind an IP header.
fn segment(header: &TcpHeader, options: &TcpOptions, pieces: &[&[u8]]) -> Vec<u8> {
    let payload: Payload = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    let mut head = Head::new();
    head.extend([0xee; 60]); // As after an IPv4 header with all its options.
    header.emit(options, CLIENT, SERVER, &payload, Checksum::Complete, &mut head);
    assert_eq!(head[..60], [0xee; 60], "the IPv4 header was written to");
    [&head[60..], &pieces.concat()].concat()
}

#[test]
fn flags_are_shown_as_packetdrill_does() {
    use TcpFlags as F;
    for (flags, text) in [
        (F::NONE, "-"),
        (F::SYN, "S"),
        (F::SYN.with(F::ACK), "S."),
        (F::ACK, "."),
        (F::PSH.with(F::ACK), "P."),
        (F::FIN.with(F::ACK), "F."),
        (F::FIN.with(F::PSH).with(F::ACK), "FP."),
        (F::RST, "R"),
        (F::RST.with(F::ACK), "R."),
        (F::URG.with(F::ACK), ".U"),
        (F::SYN.with(F::from_bits(0xc0)), "SEW"),
        (F::SYN.with(F::ACK).with(F::from_bits(0x40)), "S.E"),
        (F::from_bits(0xff), "FSRP.UEW"),
    ] {
        assert_eq!(flags.to_string(), text);
        assert_eq!(format!("{flags:?}"), text);
    }
}

#[test]
fn flags_contain_others_only_when_all_their_bits_are_set() {
    for a in 0..=255 {
        for b in 0..=255 {
            let [flags, other] = [a, b].map(TcpFlags::from_bits);
            assert_eq!(flags.contains(other), b & !a == 0);
            assert_eq!(flags.with(other).bits(), a | b);
        }
    }
}

#[test]
fn what_is_emitted_is_read_as_what_it_was() {
    for edge in EDGES_16 {
        for number in EDGES_32 {
            for bits in [0, 1, 2, 0x10, 0x12, 0x80, 0xff] {
                let header = TcpHeader {
                    source_port: edge,
                    destination_port: !edge,
                    seq: number,
                    ack: !number,
                    flags: TcpFlags::from_bits(bits),
                    window: edge,
                    urgent: edge,
                };
                let octets = segment(&header, &timestamps_only(), &[b"data"]);
                let view = TcpHeader::parse(&octets).unwrap();
                assert_eq!((view.header, view.header_len), (header, 32));
                assert_eq!(TcpOptions::parse(view.options), Ok(timestamps_only()));
                assert!(TcpHeader::checksum_is_valid(CLIENT, SERVER, &octets));
            }
        }
    }
}

#[test]
fn must_2_every_emitted_segment_has_its_checksum() {
    let mut rng = Rng::new(&Seed::from_number(9293));
    for len in (0..70).chain([535, 536, 1447, 1448, 1460, 8960]) {
        let data = random_octets(&mut rng, len);
        for cut in [0, 1, 2, 3, 7, len / 2, len] {
            let (first, second) = data.split_at(cut.min(len));
            let octets = segment(&HEADER, &timestamps_only(), &[first, &[], second]);
            assert_eq!(&octets[32..], data);
            assert!(TcpHeader::checksum_is_valid(CLIENT, SERVER, &octets));
            let theirs = TcpHeaderSlice::from_slice(&octets).unwrap();
            let (from, to) = (CLIENT.octets(), SERVER.octets());
            let checksum = theirs.calc_checksum_ipv4_raw(from, to, &data).unwrap();
            assert_eq!(theirs.checksum(), checksum, "{len} octets cut at {cut}");
        }
    }
}

#[test]
fn must_3_one_wrong_bit_is_noticed_wherever_it_is() {
    let octets = segment(&HEADER, &timestamps_only(), &[b"hello"]);
    assert!(TcpHeader::checksum_is_valid(CLIENT, SERVER, &octets));
    assert!(!TcpHeader::checksum_is_valid(CLIENT, CLIENT, &octets));
    assert!(!TcpHeader::checksum_is_valid(CLIENT, SERVER, &[]));
    for at in 0..octets.len() {
        for bit in 0..8 {
            let mut wrong = octets.clone();
            wrong[at] ^= 1 << bit;
            let is_valid = TcpHeader::checksum_is_valid(CLIENT, SERVER, &wrong);
            assert!(!is_valid, "octet {at}, bit {bit}");
        }
    }
}

#[test]
fn a_data_offset_below_five_or_past_the_end_is_an_error() {
    let mut octets = SYN[20..].to_vec();
    for words in 0..=15u8 {
        octets[12] = words << 4;
        let outcome = TcpHeader::parse(&octets).map(|view| view.header_len);
        let expected = match words {
            0..=4 => Err(ParseError::BadLength),
            5..=10 => Ok(usize::from(words) * 4),
            _ => Err(ParseError::Truncated),
        };
        assert_eq!(outcome, expected, "{words} words");
    }
}

#[test]
fn every_prefix_of_a_header_is_truncated() {
    for len in 0..40 {
        let outcome = TcpHeader::parse(&SYN[20..20 + len]);
        assert_eq!(outcome, Err(ParseError::Truncated), "{len} octets");
    }
}

#[test]
fn reserved_bits_are_ignored_and_sent_as_zeros() {
    let octets = segment(&HEADER, &TcpOptions::default(), &[]);
    assert_eq!(octets[12], 0x50);
    let mut reserved = octets.clone();
    reserved[12] |= 0x0f;
    assert_eq!(TcpHeader::parse(&reserved), TcpHeader::parse(&octets));
}

#[test]
fn the_longest_head_has_room_behind_an_ipv4_header_with_all_options() {
    let full = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        sack: [super::super::tcp_options::SackBlock { left: 1, right: 2 }; 4].into(),
        ..timestamps_only()
    };
    assert_eq!(segment(&HEADER, &full, &[b"x"]).len(), 20 + full.len() + 1);
}
