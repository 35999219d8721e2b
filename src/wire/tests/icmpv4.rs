//! ICMP messages: every type and code, both ways.

use std::net::Ipv4Addr;

use super::{ECHO, EDGES_16, SYN};
use crate::packet::Head;
use crate::wire::ParseError;
use crate::wire::icmpv4::{Icmpv4Message, TimeExceeded, Unreachable};

const QUOTE: &[u8] = SYN.split_at(28).0;

/// The message as it goes behind an IP header, followed by `rest`.
fn emitted(message: &Icmpv4Message<'_>, rest: &[u8]) -> Vec<u8> {
    let mut head = Head::new();
    message.emit(&mut head).unwrap();
    assert_eq!(head.len(), Icmpv4Message::HEADER_LEN);
    [&head, rest].concat()
}

/// All errors that there are, with every code.
fn errors() -> Vec<Icmpv4Message<'static>> {
    let quote = QUOTE;
    let mut codes = vec![
        Unreachable::Net,
        Unreachable::Host,
        Unreachable::Protocol,
        Unreachable::Port,
        Unreachable::SourceRouteFailed,
    ];
    codes.extend(EDGES_16.map(|mtu| Unreachable::FragmentationNeeded { mtu }));
    codes.extend((6..=255).map(Unreachable::Other));
    let mut errors: Vec<_> = codes
        .into_iter()
        .map(|code| Icmpv4Message::DestinationUnreachable { code, quote })
        .collect();
    let codes = [TimeExceeded::InTransit, TimeExceeded::Reassembly];
    let codes = codes.into_iter().chain((2..=255).map(TimeExceeded::Other));
    errors.extend(codes.map(|code| Icmpv4Message::TimeExceeded { code, quote }));
    errors.extend((0..=255).map(|pointer| Icmpv4Message::ParameterProblem {
        code: pointer % 2,
        pointer,
        quote,
    }));
    errors.extend((0..4).map(|code| Icmpv4Message::Redirect {
        code,
        gateway: Ipv4Addr::new(10, 7, 0, 254),
        quote,
    }));
    errors.push(Icmpv4Message::SourceQuench { quote });
    errors
}

#[test]
fn every_error_that_is_emitted_is_read_as_what_it_was() {
    for error in errors() {
        let octets = emitted(&error, QUOTE);
        assert_eq!(Icmpv4Message::parse(&octets), Ok(error));
        assert!(Icmpv4Message::checksum_is_valid(&octets), "{error:?}");
    }
}

#[test]
fn every_echo_that_is_emitted_is_read_as_what_it_was() {
    let octets: Vec<u8> = (0..=255).collect();
    for ident in EDGES_16 {
        for sequence in EDGES_16 {
            for data in [&octets[..0], &octets[..1], &octets[..56], &octets[..255]] {
                for message in [
                    Icmpv4Message::EchoRequest { ident, sequence, data },
                    Icmpv4Message::EchoReply { ident, sequence, data },
                ] {
                    let octets = emitted(&message, data);
                    assert_eq!(Icmpv4Message::parse(&octets), Ok(message));
                    assert!(Icmpv4Message::checksum_is_valid(&octets));
                }
            }
        }
    }
}

#[test]
fn codes_have_the_numbers_of_rfc_792() {
    let quote = &[][..];
    for (kind_and_code, code) in [
        ([3, 0], Unreachable::Net),
        ([3, 1], Unreachable::Host),
        ([3, 2], Unreachable::Protocol),
        ([3, 3], Unreachable::Port),
        ([3, 4], Unreachable::FragmentationNeeded { mtu: 1400 }),
        ([3, 5], Unreachable::SourceRouteFailed),
        ([3, 13], Unreachable::Other(13)),
    ] {
        let octets = [&kind_and_code[..], &[0, 0, 0, 0, 0x05, 0x78]].concat();
        let message = Icmpv4Message::DestinationUnreachable { code, quote };
        assert_eq!(Icmpv4Message::parse(&octets), Ok(message));
        assert_eq!(emitted(&message, &[])[..2], kind_and_code);
    }
}

#[test]
fn a_type_that_we_do_not_use_is_unknown_and_cannot_be_emitted() {
    for kind in 0..=255 {
        if matches!(kind, 0 | 3 | 4 | 5 | 8 | 11 | 12) {
            continue;
        }
        let octets = [kind, 7, 0, 0, 1, 2, 3, 4];
        let unknown = Icmpv4Message::Unknown { kind, code: 7 };
        assert_eq!(Icmpv4Message::parse(&octets), Ok(unknown), "type {kind}");
        let mut head = Head::new();
        assert_eq!(unknown.emit(&mut head), None);
        assert!(head.is_empty());
    }
}

#[test]
fn every_prefix_of_the_header_is_truncated() {
    for kind in 0..=255 {
        let octets = [kind, 0, 0, 0, 0, 0, 0];
        for len in 0..=octets.len() {
            let outcome = Icmpv4Message::parse(&octets[..len]);
            assert_eq!(outcome, Err(ParseError::Truncated), "type {kind}, {len}");
        }
    }
}

#[test]
fn a_timestamp_message_has_twenty_octets_or_is_an_error() {
    for kind in [13, 14] {
        for len in 8..30 {
            let mut octets = vec![kind];
            octets.resize(len, 0);
            let expected = match len {
                20 => Ok(Icmpv4Message::Unknown { kind, code: 0 }),
                0..20 => Err(ParseError::Truncated),
                _ => Err(ParseError::BadLength),
            };
            assert_eq!(Icmpv4Message::parse(&octets), expected, "{len} octets");
        }
    }
}

#[test]
fn one_wrong_bit_is_noticed_wherever_it_is() {
    for at in 20..ECHO.len() {
        for bit in 0..8 {
            let mut octets = ECHO;
            octets[at] ^= 1 << bit;
            let is_valid = Icmpv4Message::checksum_is_valid(&octets[20..]);
            assert!(!is_valid, "octet {at}, bit {bit}");
        }
    }
    assert!(!Icmpv4Message::checksum_is_valid(&[]));
}
