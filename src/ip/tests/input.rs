//! Which packets are let in, and why the others are not.

use super::DropReason::{
    BadLength, Fragment, IpChecksum, IpOption, IpVersion, MartianSource, NotOurs, OwnSource,
    SourceRoute, Truncated,
};
use super::*;

#[test]
fn a_packet_for_us_is_delivered_with_all_that_its_header_says() {
    let octets = altered(|octets| {
        octets[1] = 0xb9;
        octets[8] = 17;
    });
    let quote = octets.clone();
    let datagram = delivered(&mut host(), octets);
    assert_eq!((datagram.source, datagram.destination), (PEER, HERE));
    assert_eq!((datagram.cast, datagram.is_ours), (Cast::Unicast, true));
    assert_eq!((datagram.protocol, datagram.tos, datagram.ttl), (253, 0xb9, 17));
    assert_eq!(datagram.payload(), b"hello");
    assert_eq!(datagram.quote(), quote);
}

#[test]
fn every_prefix_of_a_packet_is_truncated() {
    let octets = packet(PEER, HERE, 253, b"hello");
    for len in 0..octets.len() {
        assert_eq!(dropped(&mut host(), octets[..len].to_vec()), Some(Truncated), "{len}");
    }
}

#[test]
fn a_header_that_contradicts_itself_is_dropped() {
    for (reason, octets) in [
        (IpVersion, altered(|octets| octets[0] = 0x65)),
        (IpVersion, altered(|octets| octets[0] = 0x05)),
        (BadLength, altered(|octets| octets[0] = 0x44)),
        (BadLength, altered(|octets| octets[0] = 0x40)),
        (BadLength, altered(|octets| octets[3] = 19)),
        (BadLength, altered(|octets| octets[2..4].fill(0))),
        (Truncated, altered(|octets| octets[3] += 1)),
        (Truncated, altered(|octets| octets[2] = 0xff)),
    ] {
        assert_eq!(dropped(&mut host(), octets.clone()), Some(reason), "{octets:?}");
    }
    assert!(dropped(&mut host(), altered(|octets| octets[0] = 0x4f)).is_some());
}

#[test]
fn one_wrong_bit_in_a_header_is_never_let_through() {
    for bit in 0..20 * 8 {
        let mut octets = packet(PEER, HERE, 253, b"hello");
        octets[bit / 8] ^= 1 << (bit % 8);
        assert!(dropped(&mut host(), octets).is_some(), "bit {bit}");
    }
    let mut octets = packet(PEER, HERE, 253, b"hello");
    octets[8] ^= 1;
    assert_eq!(dropped(&mut host(), octets), Some(IpChecksum));
}

#[test]
fn only_what_another_host_can_have_is_a_source() {
    for (source, reason) in [
        ([0, 0, 0, 0], Some(MartianSource)),
        ([0, 255, 255, 255], Some(MartianSource)),
        ([1, 0, 0, 0], None),
        ([10, 7, 0, 2], Some(OwnSource)),
        ([10, 7, 0, 3], None),
        ([10, 7, 0, 254], None),
        ([10, 7, 0, 255], Some(MartianSource)),
        ([10, 7, 1, 255], None),
        ([126, 255, 255, 255], None),
        ([127, 0, 0, 0], Some(MartianSource)),
        ([127, 255, 255, 255], Some(MartianSource)),
        ([128, 0, 0, 0], None),
        ([223, 255, 255, 255], None),
        ([224, 0, 0, 0], Some(MartianSource)),
        ([239, 255, 255, 255], Some(MartianSource)),
        ([240, 0, 0, 0], Some(MartianSource)),
        ([255, 255, 255, 255], Some(MartianSource)),
    ] {
        let octets = packet(source.into(), HERE, 253, b"hello");
        assert_eq!(dropped(&mut host(), octets), reason, "{source:?}");
    }
}

/// RFC 9293 §3.9.2.3: what the device brings from our own address is forged, what the loopback
/// brings is not; a source that nobody can have is refused by either way.
#[test]
fn must_63_our_own_address_is_a_source_only_by_the_loopback() {
    for (source, via, reason) in [
        (HERE, Via::Device, Some(OwnSource)),
        (HERE, Via::Loopback, None),
        (Ipv4Addr::LOCALHOST, Via::Loopback, Some(MartianSource)),
        (DIRECTED_BROADCAST, Via::Loopback, Some(MartianSource)),
    ] {
        let verdict = host().input(Frame::new(packet(source, HERE, 253, b"hello")), via);
        let dropped = match verdict {
            Verdict::Drop(reason) => Some(reason),
            _ => None,
        };
        assert_eq!(dropped, reason, "{source} {via:?}");
    }
}

#[test]
fn only_our_addresses_broadcasts_and_groups_are_destinations() {
    let mut ip = host_with(|config| config.addresses.push("192.0.2.9/32".parse().unwrap()));
    for (destination, cast) in [
        ([10, 7, 0, 2], Some(Cast::Unicast)),
        ([192, 0, 2, 9], Some(Cast::Unicast)),
        ([10, 7, 0, 255], Some(Cast::Broadcast)),
        ([255, 255, 255, 255], Some(Cast::Broadcast)),
        ([224, 0, 0, 0], Some(Cast::Multicast)),
        ([239, 255, 255, 255], Some(Cast::Multicast)),
        ([10, 7, 0, 3], None),
        ([10, 7, 0, 0], None),
        ([10, 7, 1, 255], None),
        ([192, 0, 2, 255], None),
        ([223, 255, 255, 255], None),
        ([240, 0, 0, 0], None),
        ([127, 0, 0, 1], None),
        ([0, 0, 0, 0], None),
    ] {
        let octets = packet(PEER, destination.into(), 253, b"hello");
        match ip.input(Frame::new(octets), Via::Device) {
            Verdict::Deliver(datagram) => {
                assert_eq!((Some(datagram.cast), datagram.is_ours), (cast, true));
            }
            Verdict::Drop(reason) => assert_eq!((reason, cast), (NotOurs, None)),
            other => panic!("{destination:?}: {other:?}"),
        }
    }
}

#[test]
fn any_destination_lets_foreign_hosts_in_and_says_that_they_are_foreign() {
    let mut ip = host_with(|config| config.any_destination = true);
    for (destination, is_ours) in [(HERE, true), (Ipv4Addr::new(192, 0, 2, 1), false)] {
        let datagram = delivered(&mut ip, packet(PEER, destination, 253, b"hello"));
        assert_eq!((datagram.cast, datagram.is_ours), (Cast::Unicast, is_ours));
    }
    for nobody in [[0, 0, 0, 0], [127, 0, 0, 1], [240, 0, 0, 1]] {
        let octets = packet(PEER, nobody.into(), 253, b"hello");
        assert_eq!(dropped(&mut ip, octets), Some(NotOurs), "{nobody:?}");
    }
}

/// A packet for us with these options, filled up to whole words with zeros.
fn with_options(options: &[u8]) -> Vec<u8> {
    altered(|octets| {
        let mut options = options.to_vec();
        options.resize(options.len().next_multiple_of(4), 0);
        octets[0] += u8::try_from(options.len() / 4).unwrap();
        octets[3] += u8::try_from(options.len()).unwrap();
        octets.splice(20..20, options);
    })
}

#[test]
fn must_50_options_that_nobody_needs_are_ignored() {
    for options in [
        &[1, 1, 1, 1][..],                       // No operation.
        &[0, 0xff, 0xff, 0xff],                  // Behind the end of the list.
        &[7, 7, 4, 0, 0, 0, 0],                  // Record route.
        &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], // Timestamp.
        &[148, 4, 0, 0],                         // Router alert.
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0],   // Security.
        &[222, 2, 1, 0x5e, 3, 0xaa],             // Unknown kinds.
    ] {
        let datagram = delivered(&mut host(), with_options(options));
        assert_eq!(datagram.payload(), b"hello", "{options:?}");
    }
}

#[test]
fn a_source_route_is_dropped_wherever_it_stands() {
    for kind in [131, 137] {
        for options in
            [&[kind, 7, 4, 192, 0, 2, 1][..], &[kind, 3, 4], &[1, 1, kind, 7, 4, 192, 0, 2, 1]]
        {
            let octets = with_options(options);
            assert_eq!(dropped(&mut host(), octets), Some(SourceRoute), "{options:?}");
        }
    }
}

#[test]
fn an_option_that_runs_out_of_the_header_is_dropped() {
    for options in [&[7, 0, 0, 0][..], &[7, 1, 0, 0], &[222, 5, 0, 0], &[1, 1, 1, 7]] {
        let octets = with_options(options);
        assert_eq!(dropped(&mut host(), octets), Some(IpOption), "{options:?}");
    }
}

#[test]
fn a_fragment_is_dropped_be_it_first_middle_or_last() {
    for (flags_and_offset, reason) in [
        (0x0000, None),
        (0x4000, None),
        (0x8000, None), // The reserved bit says nothing.
        (0x2000, Some(Fragment)),
        (0x2001, Some(Fragment)),
        (0x0001, Some(Fragment)),
        (0x1fff, Some(Fragment)),
    ] {
        let octets =
            altered(|octets| octets[6..8].copy_from_slice(&u16::to_be_bytes(flags_and_offset)));
        assert_eq!(dropped(&mut host(), octets), reason, "{flags_and_offset:#x}");
    }
}

#[test]
fn a_packet_whose_time_has_run_out_is_still_for_us() {
    for ttl in [0, 1, 255] {
        let datagram = delivered(&mut host(), altered(|octets| octets[8] = ttl));
        assert_eq!(datagram.ttl, ttl);
    }
}

#[test]
fn padding_behind_the_packet_is_no_payload() {
    let mut octets = packet(PEER, HERE, 253, b"hi");
    octets.resize(46, 0xee);
    assert_eq!(delivered(&mut host(), octets).payload(), b"hi");
}

#[test]
fn a_packet_without_payload_is_delivered() {
    let datagram = delivered(&mut host(), packet(PEER, HERE, 253, b""));
    assert!(datagram.payload().is_empty());
    assert_eq!(datagram.quote().len(), 20);
}

#[test]
fn the_first_check_that_fails_names_the_reason() {
    let mut octets = with_options(&[131, 3, 4]);
    octets[6] = 0x20;
    octets[12..16].copy_from_slice(&[127, 0, 0, 1]);
    octets[19] = 99;
    octets[10] ^= 1;
    for (mend, reason) in [
        (&[][..], IpChecksum),
        (&[10, 7, 0, 1, 10, 7, 0, 99, 131, 3, 4][..], SourceRoute),
        (&[10, 7, 0, 1, 10, 7, 0, 99, 1, 1, 1], NotOurs),
        (&[10, 7, 0, 1, 10, 7, 0, 2, 1, 1, 1], Fragment),
    ] {
        octets[12..12 + mend.len()].copy_from_slice(mend);
        if !mend.is_empty() {
            octets = sealed(octets);
        }
        assert_eq!(dropped(&mut host(), octets.clone()), Some(reason));
    }
}

#[test]
fn no_octets_whatever_make_input_panic() {
    let mut rng = Rng::new(&Seed::from_number(2));
    let mut ip = host_with(|config| config.any_destination = true);
    for round in 0..20_000 {
        let protocol = [1, 253][round % 2];
        let mut octets = packet(PEER, HERE, protocol, &[3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 9]);
        for _ in 0..=rng.below(4) {
            let len = u64::try_from(octets.len()).unwrap();
            let at = usize::try_from(rng.below(len)).unwrap();
            octets[at] = u8::try_from(rng.below(256)).unwrap();
        }
        let mut octets = sealed(octets);
        octets.truncate(usize::try_from(rng.below(40)).unwrap());
        ip.input(Frame::new(octets), Via::Device);
    }
}
