//! Whatever octets come, each parser gives an error or a value that holds together.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use super::{CAPTURED, CLIENT, SERVER, below, random_octets};
use crate::rng::{Rng, Seed};
use crate::wire::display::describe;
use crate::wire::icmpv4::Icmpv4Message;
use crate::wire::ipv4::{Ipv4Header, Ipv4View, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::ipv4_options;
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::{OPTIONS_MAX, TcpOptions};
use crate::wire::udp::UdpHeader;
use crate::wire::{Endpoint, FourTuple, ParseError, Steering};

/// How many mutated inputs each parser gets.
const MUTATIONS: usize = 100_000;

/// Gives octets to a parser, judges what comes back, and says whether it was a value.
type Take = fn(&[u8]) -> bool;

/// Every parser.
const PARSERS: [Take; 8] = [
    take_ipv4,
    take_ipv4_options,
    take_tcp,
    take_tcp_options,
    take_udp,
    take_icmpv4,
    take_display,
    take_steering,
];

fn take_ipv4(octets: &[u8]) -> bool {
    let parsed = Ipv4Header::parse(octets);
    let quoted = Ipv4Header::parse_quoted(octets);
    if let Ok(view) = &quoted {
        assert_holds_together(octets, view);
    }
    if let Ok(view) = &parsed {
        assert!(view.total_len <= octets.len(), "{octets:02x?}");
        assert_eq!(parsed, quoted, "{octets:02x?}");
    }
    parsed.is_ok()
}

fn assert_holds_together(octets: &[u8], view: &Ipv4View<'_>) {
    assert!((20..=60).contains(&view.header_len), "{octets:02x?}");
    assert!(view.header_len <= octets.len(), "{octets:02x?}");
    assert!(view.header_len <= view.total_len, "{octets:02x?}");
    assert_eq!(view.options, &octets[20..view.header_len]);
    take_ipv4_options(view.options);
}

fn take_ipv4_options(octets: &[u8]) -> bool {
    let found: Vec<_> = ipv4_options::options(octets).collect();
    assert!(found.len() <= octets.len(), "{octets:02x?}");
    let errors = found.iter().filter(|option| option.is_err()).count();
    let ends_in_error = found.last().is_some_and(Result::is_err);
    assert_eq!(errors, usize::from(ends_in_error), "{octets:02x?}");
    errors == 0
}

fn take_tcp(octets: &[u8]) -> bool {
    let parsed = TcpHeader::parse(octets);
    if let Ok(view) = &parsed {
        assert!((20..=60).contains(&view.header_len), "{octets:02x?}");
        assert_eq!(view.options, &octets[20..view.header_len]);
        take_tcp_options(view.options);
    }
    TcpHeader::checksum_is_valid(CLIENT, SERVER, octets);
    parsed.is_ok()
}

fn take_tcp_options(octets: &[u8]) -> bool {
    let parsed = TcpOptions::parse(octets);
    if let Ok(options) = &parsed {
        assert!(options.len() <= OPTIONS_MAX, "{octets:02x?}");
    }
    parsed.is_ok()
}

fn take_udp(octets: &[u8]) -> bool {
    let parsed = UdpHeader::parse(octets);
    if let Ok((_, payload)) = parsed {
        assert_eq!(payload, &octets[8..8 + payload.len()]);
    }
    let is_valid = UdpHeader::checksum_is_valid(CLIENT, SERVER, octets);
    assert!(parsed.is_ok() || !is_valid, "{octets:02x?}");
    parsed.is_ok()
}

fn take_icmpv4(octets: &[u8]) -> bool {
    let parsed = Icmpv4Message::parse(octets);
    if parsed.is_ok() {
        assert!(octets.len() >= Icmpv4Message::HEADER_LEN);
    }
    Icmpv4Message::checksum_is_valid(octets);
    parsed.is_ok()
}

fn take_display(octets: &[u8]) -> bool {
    let line = describe(octets).to_string();
    assert!(line.is_ascii() && !line.contains('\n'), "{octets:02x?}");
    let is_malformed = line.contains("malformed (");
    assert!(is_malformed || line.starts_with("IP "), "{line}");
    !is_malformed
}

/// What reads as a segment or a datagram is its flow's or its port's: no shard gets what another
/// would have known.
fn take_steering(octets: &[u8]) -> bool {
    let steering = Steering::new(const { NonZeroU16::new(64).unwrap() }, &Seed::from_number(1));
    let owner = steering.owner(octets);
    assert!(owner < 64);
    // Whatever its checksum and its length say.
    let Ok(view) = Ipv4Header::parse_quoted(octets) else { return false };
    let (header, payload) = (view.header, &octets[view.header_len..]);
    if header.is_fragment() {
        return false;
    }
    let end = |addr: Ipv4Addr, port| Endpoint::new(addr.into(), port);
    let expected = match header.protocol {
        PROTOCOL_TCP => TcpHeader::parse(payload).ok().map(|tcp| {
            let local = end(header.destination, tcp.header.destination_port);
            let remote = end(header.source, tcp.header.source_port);
            steering.owner_of_flow(&FourTuple { local, remote })
        }),
        PROTOCOL_UDP => UdpHeader::parse(payload)
            .ok()
            .map(|(udp, _)| steering.owner_of_udp_port(udp.destination_port)),
        _ => None,
    };
    assert!(expected.is_none_or(|expected| owner == expected), "{octets:02x?}");
    expected.is_some()
}

/// A packet, what lies behind its IP header, and what would be options of TCP.
fn parts(packet: &[u8]) -> [&[u8]; 3] {
    let behind_ip = &packet[20..];
    let behind_tcp = behind_ip.get(20..).unwrap_or(behind_ip);
    [packet, behind_ip, behind_tcp]
}

/// Gives `take` the parts of captured packets, each with some octets changed, cut or lengthened,
/// and now and then nothing but random octets.
fn assert_mutations_are_errors_or_values(seed: u64, take: Take) {
    let mut rng = Rng::new(&Seed::from_number(seed));
    let samples: Vec<&[u8]> = CAPTURED.iter().flat_map(|packet| parts(packet)).collect();
    let mut values = 0;
    for _ in 0..MUTATIONS {
        let sample = samples[below(&mut rng, samples.len())];
        let octets = if rng.chance(0.1) {
            let len = below(&mut rng, 80);
            random_octets(&mut rng, len)
        } else {
            mutate(&mut rng, sample)
        };
        values += usize::from(take(&octets));
    }
    // Were there only errors, or only values, the mutations would not test anything.
    let few = MUTATIONS / 100;
    assert!((few..MUTATIONS - few).contains(&values), "{values} values");
}

/// Small numbers and full octets hit length fields where evenly spread ones seldom do.
fn mutate(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    let mut octets = sample.to_vec();
    for _ in 0..below(rng, 5) {
        let at = below(rng, octets.len());
        octets[at] = match below(rng, 4) {
            0 => u8::try_from(below(rng, 12)).unwrap(),
            1 => 0xff,
            2 => octets[at] ^ 1 << below(rng, 8),
            _ => u8::try_from(below(rng, 256)).unwrap(),
        };
    }
    match below(rng, 4) {
        0 => octets.truncate(below(rng, sample.len() + 1)),
        1 => octets.extend(sample),
        _ => {}
    }
    octets
}

#[test]
fn every_part_of_a_packet_is_an_error_or_a_value_to_every_parser() {
    for packet in CAPTURED {
        for from in 0..=packet.len() {
            for to in from..=packet.len() {
                for take in PARSERS {
                    take(&packet[from..to]);
                }
            }
        }
    }
}

#[test]
fn every_prefix_of_a_packet_is_too_short_to_be_one() {
    for packet in CAPTURED {
        assert!(Ipv4Header::parse(packet).is_ok());
        for len in 0..packet.len() {
            let outcome = Ipv4Header::parse(&packet[..len]);
            assert_eq!(outcome, Err(ParseError::Truncated), "{len}: {packet:02x?}");
        }
    }
}

#[test]
fn any_first_octets_are_an_error_or_a_value_to_every_parser() {
    for part in CAPTURED.iter().flat_map(|packet| parts(packet)) {
        let mut octets = part.to_vec();
        for first in 0..=255 {
            for second in [0, 1, 2, 3, 4, 10, 34, 40, 255] {
                octets[..2].copy_from_slice(&[first, second]);
                for take in PARSERS {
                    take(&octets);
                }
            }
        }
    }
}

#[test]
fn mutated_ipv4_headers_are_errors_or_values() {
    assert_mutations_are_errors_or_values(1, take_ipv4);
}

#[test]
fn mutated_ipv4_options_are_errors_or_values() {
    assert_mutations_are_errors_or_values(2, take_ipv4_options);
}

#[test]
fn mutated_tcp_segments_are_errors_or_values() {
    assert_mutations_are_errors_or_values(3, take_tcp);
}

#[test]
fn mutated_tcp_options_are_errors_or_values() {
    assert_mutations_are_errors_or_values(4, take_tcp_options);
}

#[test]
fn mutated_packets_belong_to_the_owner_of_what_they_read_as() {
    assert_mutations_are_errors_or_values(8, take_steering);
}

#[test]
fn mutated_udp_datagrams_are_errors_or_values() {
    assert_mutations_are_errors_or_values(5, take_udp);
}

#[test]
fn mutated_icmp_messages_are_errors_or_values() {
    assert_mutations_are_errors_or_values(6, take_icmpv4);
}

#[test]
fn mutated_packets_can_all_be_described() {
    assert_mutations_are_errors_or_values(7, take_display);
}

#[test]
fn more_octets_than_a_packet_can_have_are_an_error_or_a_value_to_every_parser() {
    for part in CAPTURED.iter().flat_map(|packet| parts(packet)) {
        let mut octets = part.to_vec();
        octets.resize(70_000, 0);
        for take in PARSERS {
            take(&octets);
        }
    }
}
