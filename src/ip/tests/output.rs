//! The header of what leaves, and what may not leave.

use super::*;
use crate::error::SocketError;
use crate::packet::Head;

const PACKET: Packet = Packet {
    source: HERE,
    destination: PEER,
    protocol: 253,
    tos: 0xb8,
    ttl: 33,
    dont_fragment: true,
    parts: 1,
};

fn emitted(ip: &mut Ipv4, packet: &Packet, payload_len: usize) -> Result<Head, SendError> {
    let mut head = Head::new();
    ip.output(packet, payload_len, &mut head)?;
    Ok(head)
}

#[test]
fn a_header_stands_on_the_wire_as_rfc_791_draws_it() {
    let head = emitted(&mut host(), &PACKET, 1).unwrap();
    let mut expected = vec![0x45, 0xb8, 0, 21, 0, 0, 0x40, 0, 33, 253, 0, 0];
    expected.extend([10, 7, 0, 2, 10, 7, 0, 1]);
    assert_eq!(head.as_slice(), sealed(expected));
}

#[test]
fn what_one_host_sends_another_takes_in() {
    let mut octets = emitted(&mut host(), &PACKET, 5).unwrap().to_vec();
    octets.extend(b"hello");
    let mut peer = host_with(|config| config.addresses = vec!["10.7.0.1/24".parse().unwrap()]);
    let datagram = delivered(&mut peer, octets);
    assert_eq!((datagram.source, datagram.destination), (HERE, PEER));
    assert_eq!((datagram.tos, datagram.ttl), (0xb8, 33));
    assert_eq!(datagram.payload(), b"hello");
}

#[test]
fn only_packets_that_may_be_fragmented_have_an_id() {
    let mut ip = host();
    let mut id_and_flags = |dont_fragment| {
        let head = emitted(&mut ip, &Packet { dont_fragment, ..PACKET }, 1).unwrap();
        ([head[4], head[5]], [head[6], head[7]])
    };
    assert_eq!(id_and_flags(true), ([0, 0], [0x40, 0]));
    assert_eq!(id_and_flags(true), ([0, 0], [0x40, 0]));
    let (first, flags) = id_and_flags(false);
    let (second, _) = id_and_flags(false);
    assert_eq!(flags, [0, 0]);
    assert_ne!(first, second);
}

#[test]
fn no_packet_leaves_with_a_time_to_live_of_0() {
    for (ttl, sent) in [(0, 1), (1, 1), (255, 255)] {
        let head = emitted(&mut host(), &Packet { ttl, ..PACKET }, 1).unwrap();
        assert_eq!(head[8], sent);
    }
}

#[test]
fn a_packet_is_as_long_as_the_mtu_at_most() {
    for mtu in [68, 1500, 65_535] {
        let mut ip = host_with(|config| config.mtu = mtu);
        let room = ip.mtu() - 20;
        let head = emitted(&mut ip, &PACKET, room).unwrap();
        assert_eq!(u32::from(u16::from_be_bytes([head[2], head[3]])), mtu);
        assert_eq!(emitted(&mut ip, &PACKET, room + 1).unwrap_err(), SendError::TooLong);
    }
}

#[test]
fn only_our_addresses_are_sources() {
    let foreign = Ipv4Addr::new(192, 0, 2, 1);
    for (source, any_destination, is_good) in [
        (HERE, false, true),
        (foreign, false, false),
        (foreign, true, true),
        (DIRECTED_BROADCAST, true, false),
        (ALL_HOSTS, true, false),
        (Ipv4Addr::UNSPECIFIED, true, false),
    ] {
        let mut ip = host_with(|config| config.any_destination = any_destination);
        let outcome = emitted(&mut ip, &Packet { source, ..PACKET }, 1);
        assert_eq!(outcome.err(), (!is_good).then_some(SendError::Source), "{source}");
    }
}

#[test]
fn only_where_somebody_can_be_do_packets_go() {
    for (destination, is_good) in [
        ([10, 7, 0, 1], true),
        ([192, 0, 2, 1], true),
        ([10, 7, 0, 255], true),
        ([255, 255, 255, 255], true),
        ([224, 0, 0, 1], true),
        ([10, 7, 0, 2], true),
        ([0, 0, 0, 0], false),
        ([127, 0, 0, 1], false),
        ([240, 0, 0, 1], false),
    ] {
        let destination = destination.into();
        let outcome = emitted(&mut host(), &Packet { destination, ..PACKET }, 1);
        let error = (!is_good).then_some(SendError::Destination);
        assert_eq!(outcome.err(), error, "{destination}");
        assert_eq!(host().source_for(destination), is_good.then_some(HERE));
    }
}

#[test]
fn a_peer_is_a_host_and_may_be_ourselves() {
    for (addr, is_peer) in [
        (PEER, true),
        (HERE, true),
        (DIRECTED_BROADCAST, false),
        (Ipv4Addr::BROADCAST, false),
        (ALL_HOSTS, false),
        (Ipv4Addr::LOCALHOST, false),
        (Ipv4Addr::UNSPECIFIED, false),
    ] {
        assert_eq!(host().is_host(addr), is_peer, "{addr}");
    }
}

#[test]
fn the_source_lies_in_the_narrowest_network_of_the_destination() {
    let ip = host_with(|config| {
        config.addresses = ["10.7.0.2/24", "10.0.0.2/8", "192.0.2.2/24", "10.7.0.3/24"]
            .map(|text| text.parse().unwrap())
            .to_vec();
    });
    for (destination, source) in [
        ([10, 7, 0, 9], [10, 7, 0, 2]),
        ([10, 8, 0, 9], [10, 0, 0, 2]),
        ([192, 0, 2, 9], [192, 0, 2, 2]),
        ([192, 0, 2, 255], [192, 0, 2, 2]),
        ([198, 51, 100, 1], [10, 7, 0, 2]),
        ([10, 7, 0, 3], [10, 7, 0, 3]), // To ourselves from ourselves.
    ] {
        assert_eq!(ip.source_for(destination.into()), Some(source.into()));
    }
}

#[test]
fn a_packet_to_one_of_our_addresses_is_one_to_ourselves() {
    for (destination, is_ours) in
        [(HERE, true), (PEER, false), (DIRECTED_BROADCAST, false), (ALL_HOSTS, false)]
    {
        let mut head = Head::new();
        let packet = Packet { destination, ..PACKET };
        let mut ip = host();
        ip.output(&packet, 1, &mut head).unwrap();
        assert_eq!(ip.is_to_ourselves(&head), is_ours, "{destination}");
    }
    assert!(!host().is_to_ourselves(&Head::new()));
}

#[test]
fn each_reason_not_to_send_is_an_error_of_its_own_to_a_socket() {
    for (error, socket_error) in [
        (SendError::TooLong, SocketError::MessageTooLong),
        (SendError::Source, SocketError::AddressNotAvailable),
        (SendError::Destination, SocketError::NetworkUnreachable),
    ] {
        assert_eq!(SocketError::from(error), socket_error);
    }
}
