//! Bindings, queues, peers and errors of UDP sockets.

mod any_port;
mod sharing;
mod together;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use super::output::Transmit;
use super::*;
use crate::observe::DropReason::{
    self, BadLength, NoUdpSocket, TransportChecksum, Truncated, UdpQueueFull,
};
use crate::packet::Offload;
use crate::rng::Seed;
use crate::wire::{Endpoint, FourTuple};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

impl Udp {
    /// Takes in one datagram as it comes from a wire.
    fn hear(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        octets: &[u8],
    ) -> Result<UdpId, DropReason> {
        let taken = self.input(source, destination, octets, Offload::default())?;
        if taken.refused == 0 { Ok(taken.id) } else { Err(UdpQueueFull) }
    }

    /// Sends one datagram.
    fn say(
        &mut self,
        id: UdpId,
        to: Option<Peer>,
        octets: &[u8],
        mtu: usize,
    ) -> Result<Transmit, SocketError> {
        self.send(id, to, octets, octets.len(), mtu)
    }
}

fn udp() -> Udp {
    Udp::new(&mut Rng::new(&Seed::from_number(1)))
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn peer(text: &str) -> Peer {
    Peer { addr: addr(text), is_broadcast: false }
}

/// A socket bound to `local`.
fn bound(udp: &mut Udp, local: &str) -> UdpId {
    let id = udp.open();
    udp.bind(id, addr(local)).unwrap();
    id
}

/// A datagram as it stands on the wire, without checksum.
fn datagram(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap();
    let mut octets = Vec::new();
    for field in [source_port, destination_port, len, 0] {
        octets.extend(field.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

fn receive(udp: &mut Udp, id: UdpId) -> Result<(Vec<u8>, SocketAddr), SocketError> {
    let mut buffer = [0; 2000];
    let (len, source) = udp.receive(id, &mut buffer, false)?;
    Ok((buffer[..len].to_vec(), source))
}

#[test]
fn a_datagram_is_read_as_it_was_sent_and_in_order() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    assert!(!udp.has_datagram(id));
    assert_eq!(receive(&mut udp, id), Err(SocketError::WouldBlock));
    for payload in [&b"first"[..], b"", b"third"] {
        assert_eq!(udp.hear(PEER, HERE, &datagram(5000, 53, payload)), Ok(id));
    }
    for payload in [&b"first"[..], b"", b"third"] {
        assert!(udp.has_datagram(id));
        let expected = (payload.to_vec(), addr("10.7.0.1:5000"));
        assert_eq!(receive(&mut udp, id), Ok(expected));
    }
    assert!(!udp.has_datagram(id));
    assert_eq!(receive(&mut udp, id), Err(SocketError::WouldBlock));
}

#[test]
fn what_does_not_fit_the_buffer_is_lost_and_peeking_loses_nothing() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    for payload in [b"hello", b"world"] {
        udp.hear(PEER, HERE, &datagram(5000, 53, payload)).unwrap();
    }
    let mut buffer = [0; 2];
    let source = addr("10.7.0.1:5000");
    for peek in [true, true, false] {
        assert_eq!(udp.receive(id, &mut buffer, peek), Ok((2, source)));
        assert_eq!(&buffer, b"he");
    }
    assert_eq!(receive(&mut udp, id), Ok((b"world".to_vec(), source)));
}

#[test]
fn a_datagram_that_cannot_be_read_is_dropped() {
    let mut udp = udp();
    bound(&mut udp, "0.0.0.0:53");
    let good = datagram(5000, 53, b"hi");
    for len in 0..good.len() {
        assert_eq!(udp.hear(PEER, HERE, &good[..len]), Err(Truncated), "{len}");
    }
    let altered = |at: usize, value| {
        let mut octets = good.clone();
        octets[at] = value;
        octets
    };
    for (octets, reason) in [
        (altered(5, 7), BadLength),
        (altered(5, 0), BadLength),
        (altered(5, 11), Truncated),
        (altered(7, 1), TransportChecksum),
        (datagram(5000, 0, b"hi"), NoUdpSocket),
        (datagram(5000, 54, b"hi"), NoUdpSocket),
    ] {
        assert_eq!(udp.hear(PEER, HERE, &octets), Err(reason), "{octets:?}");
    }
}

#[test]
fn a_checksum_is_verified_over_addresses_and_payload_and_may_be_absent() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    // 10.7.0.1 to 10.7.0.2, protocol 17, length 10 twice, ports 5000 and 53, "hi".
    let sum = 0x0a07 + 0x0001 + 0x0a07 + 0x0002 + 17 + 10 + 5000 + 53 + 10 + 0x6869;
    let mut octets = datagram(5000, 53, b"hi");
    octets[6..8].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    assert_eq!(udp.hear(PEER, HERE, &octets), Ok(id));
    let elsewhere = Ipv4Addr::new(10, 7, 0, 4);
    assert_eq!(udp.hear(elsewhere, HERE, &octets), Err(TransportChecksum));
    octets[9] ^= 1;
    assert_eq!(udp.hear(PEER, HERE, &octets), Err(TransportChecksum));
    octets[6..8].fill(0);
    assert_eq!(udp.hear(PEER, HERE, &octets), Ok(id));
}

#[test]
fn a_source_port_of_0_is_delivered_but_cannot_be_answered() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    assert_eq!(udp.hear(PEER, HERE, &datagram(0, 53, b"hi")), Ok(id));
    let (_, source) = receive(&mut udp, id).unwrap();
    assert_eq!(source.port(), 0);
    let answer = udp.say(id, Some(peer("10.7.0.1:0")), b"", 1500);
    assert_eq!(answer, Err(SocketError::InvalidArgument));
}

#[test]
fn a_place_belongs_to_one_socket_and_all_addresses_exclude_each_single_one() {
    for (first, second, is_free) in [
        ("10.7.0.2:53", "10.7.0.2:53", false),
        ("10.7.0.2:53", "10.7.0.3:53", true),
        ("10.7.0.2:53", "10.7.0.2:54", true),
        ("10.7.0.2:53", "0.0.0.0:53", false),
        ("0.0.0.0:53", "10.7.0.2:53", false),
        ("0.0.0.0:53", "0.0.0.0:53", false),
        ("0.0.0.0:53", "0.0.0.0:54", true),
        ("255.255.255.255:53", "0.0.0.0:53", false),
        ("255.255.255.255:53", "0.0.0.0:54", true),
    ] {
        let mut udp = udp();
        let one = bound(&mut udp, first);
        let other = udp.open();
        let expected = is_free.then_some(addr(second)).ok_or(SocketError::AddressInUse);
        assert_eq!(udp.bind(other, addr(second)), expected, "{first} {second}");
        udp.close(one);
        if !is_free {
            assert_eq!(udp.bind(other, addr(second)), Ok(addr(second)));
        }
    }
}

#[test]
fn a_datagram_goes_to_the_socket_of_its_destination() {
    let mut udp = udp();
    let here = bound(&mut udp, "10.7.0.2:53");
    let there = bound(&mut udp, "10.7.0.3:53");
    let all = bound(&mut udp, "0.0.0.0:54");
    for (destination, port, expected) in [
        ([10, 7, 0, 2], 53, Ok(here)),
        ([10, 7, 0, 3], 53, Ok(there)),
        ([10, 7, 0, 4], 53, Err(NoUdpSocket)),
        ([255, 255, 255, 255], 53, Err(NoUdpSocket)),
        ([10, 7, 0, 2], 54, Ok(all)),
        ([255, 255, 255, 255], 54, Ok(all)),
        ([224, 0, 0, 1], 54, Ok(all)),
    ] {
        let outcome = udp.hear(PEER, destination.into(), &datagram(1, port, b""));
        assert_eq!(outcome, expected, "{destination:?}:{port}");
    }
}

#[test]
fn a_socket_is_bound_once_and_to_an_ipv4_address() {
    let mut udp = udp();
    let id = udp.open();
    assert_eq!(udp.local_addr(id), Ok(addr("0.0.0.0:0")));
    assert_eq!(udp.bind(id, addr("[::]:53")), Err(SocketError::InvalidAddress));
    udp.bind(id, addr("10.7.0.2:53")).unwrap();
    assert_eq!(udp.local_addr(id), Ok(addr("10.7.0.2:53")));
    assert_eq!(udp.bind(id, addr("0.0.0.0:54")), Err(SocketError::InvalidArgument));
    assert_eq!(udp.local_addr(id), Ok(addr("10.7.0.2:53")));
}

#[test]
fn ephemeral_ports_do_not_follow_one_another() {
    let mut udp = udp();
    let ports: Vec<_> = (0..100)
        .map(|_| {
            let id = bound(&mut udp, "0.0.0.0:0");
            udp.local_addr(id).unwrap().port()
        })
        .collect();
    assert!(ports.iter().all(|port| EPHEMERAL_PORTS.contains(port)));
    let follows = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 100);
    assert!(follows.count() < 10, "{ports:?}");
}

#[test]
fn ephemeral_ports_are_used_up_to_the_last_one() {
    let mut udp = udp();
    let mut left = vec![32_768, 50_000, 60_999];
    for port in EPHEMERAL_PORTS.filter(|port| !left.contains(port)) {
        bound(&mut udp, &format!("10.7.0.9:{port}"));
    }
    while !left.is_empty() {
        let id = bound(&mut udp, "0.0.0.0:0");
        let port = udp.local_addr(id).unwrap().port();
        left.remove(left.iter().position(|other| *other == port).unwrap());
    }
    let id = udp.open();
    let in_use = SocketError::AddressInUse;
    assert_eq!(udp.bind(id, addr("0.0.0.0:0")), Err(in_use));
    assert_eq!(udp.bind(id, addr("10.7.0.9:0")), Err(in_use));
    let to = Some(peer("10.7.0.1:53"));
    assert_eq!(udp.say(id, to, b"", 1500), Err(in_use));
    assert_eq!(udp.local_addr(id), Ok(addr("0.0.0.0:0")));
    // Other addresses have the port still to give, and so has the rest of the ports.
    assert!(udp.bind(id, addr("10.7.0.2:0")).is_ok());
    bound(&mut udp, "0.0.0.0:61000");
}

#[test]
fn another_seed_gives_other_ephemeral_ports() {
    let port = |seed| {
        let mut udp = Udp::new(&mut Rng::new(&Seed::from_number(seed)));
        let id = udp.open();
        udp.bind(id, addr("0.0.0.0:0")).unwrap().port()
    };
    assert_eq!(port(1), port(1));
    assert_ne!(port(1), port(2));
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:5000");
    assert_eq!(udp.peer_addr(id), Err(SocketError::NotConnected));
    udp.connect(id, HERE.into(), peer("10.7.0.1:53")).unwrap();
    assert_eq!(udp.peer_addr(id), Ok(addr("10.7.0.1:53")));
    let stranger = Ipv4Addr::new(10, 7, 0, 3);
    for (source, port, expected) in
        [(PEER, 53, Ok(id)), (PEER, 54, Err(NoUdpSocket)), (stranger, 53, Err(NoUdpSocket))]
    {
        assert_eq!(udp.hear(source, HERE, &datagram(port, 5000, b"")), expected);
    }
    udp.connect(id, HERE.into(), peer("10.7.0.3:53")).unwrap();
    assert_eq!(udp.hear(stranger, HERE, &datagram(53, 5000, b"")), Ok(id));
    assert_eq!(udp.hear(PEER, HERE, &datagram(53, 5000, b"")), Err(NoUdpSocket));
}

#[test]
fn connecting_binds_to_the_source_and_keeps_what_was_bound() {
    let mut udp = udp();
    let source = IpAddr::from(HERE);
    let fresh = udp.open();
    udp.connect(fresh, source, peer("10.7.0.1:53")).unwrap();
    let local = udp.local_addr(fresh).unwrap();
    assert_eq!(local.ip(), source);
    assert!(EPHEMERAL_PORTS.contains(&local.port()));

    let all = bound(&mut udp, "0.0.0.0:7");
    udp.connect(all, source, peer("10.7.0.1:53")).unwrap();
    assert_eq!(udp.local_addr(all), Ok(addr("10.7.0.2:7")));
    let other = bound(&mut udp, "10.7.0.9:7"); // The port has other addresses to give again.

    udp.connect(other, source, peer("10.7.0.1:53")).unwrap();
    assert_eq!(udp.local_addr(other), Ok(addr("10.7.0.9:7")));
    assert_eq!(udp.hear(PEER, HERE, &datagram(53, 7, b"")), Ok(all));
    udp.close(all);
    assert_eq!(udp.hear(PEER, HERE, &datagram(53, 7, b"")), Err(NoUdpSocket));
}

/// As on Linux: else it would hear of no broadcast any more.
#[test]
fn a_socket_that_gives_its_peer_up_is_where_it_was_bound_unless_its_port_has_been_given_out() {
    for (first, is_given_out, expected) in [
        ("0.0.0.0:7", false, "0.0.0.0:7"),
        ("0.0.0.0:7", true, "10.7.0.2:7"),
        ("10.7.0.2:7", false, "10.7.0.2:7"),
    ] {
        let mut udp = udp();
        let id = bound(&mut udp, first);
        for port in [53, 54] {
            udp.connect(id, HERE.into(), Peer { addr: (PEER, port).into(), is_broadcast: false })
                .unwrap();
            assert_eq!(udp.local_addr(id), Ok(addr("10.7.0.2:7")));
        }
        if is_given_out {
            bound(&mut udp, "10.7.0.9:7");
        }
        udp.disconnect(id).unwrap();
        assert_eq!(udp.local_addr(id), Ok(addr(expected)));
        assert_eq!(udp.hear(PEER, HERE, &datagram(55, 7, b"")), Ok(id));
        let to_all = udp.hear(PEER, Ipv4Addr::BROADCAST, &datagram(55, 7, b""));
        assert_eq!(to_all.is_ok(), expected == "0.0.0.0:7");
        udp.close(id);
        assert_eq!(udp.hear(PEER, HERE, &datagram(55, 7, b"")), Err(NoUdpSocket));
    }
}

#[test]
fn a_peer_that_cannot_be_is_refused_before_anything_is_bound() {
    for (text, error) in [
        ("0.0.0.0:53", SocketError::InvalidArgument),
        ("0.0.0.0:0", SocketError::InvalidArgument),
        ("[::1]:53", SocketError::InvalidAddress),
    ] {
        let mut udp = udp();
        let id = udp.open();
        assert_eq!(udp.connect(id, HERE.into(), peer(text)), Err(error));
        assert_eq!(udp.say(id, Some(peer(text)), b"", 1500), Err(error));
        assert_eq!(udp.local_addr(id), Ok(addr("0.0.0.0:0")));
    }
}

#[test]
fn a_datagram_leaves_with_the_options_of_its_socket() {
    let mut udp = udp();
    let id = bound(&mut udp, "10.7.0.2:7");
    let options = UdpOptions { ttl: 9, tos: 0xb8, ..UdpOptions::default() };
    udp.set_options(id, options).unwrap();
    let expected = Transmit {
        source: Some(HERE),
        source_port: 7,
        destination: SocketAddrV4::new(PEER, 53),
        payload: (&b"hello"[..]).into(),
        ttl: 9,
        tos: 0xb8,
    };
    let sent = udp.say(id, Some(peer("10.7.0.1:53")), b"hello", 1500);
    assert_eq!(sent, Ok(expected));
    let to_group = udp.say(id, Some(peer("224.0.0.1:53")), b"", 1500).unwrap();
    assert_eq!(to_group.ttl, 1, "no router passes it on");

    let ttl_0 = UdpOptions { ttl: 0, ..options };
    assert_eq!(udp.set_options(id, ttl_0), Err(SocketError::InvalidArgument));
    let again = udp.say(id, Some(peer("10.7.0.1:53")), b"", 1500).unwrap();
    assert_eq!((again.ttl, again.tos), (9, 0xb8));
}

#[test]
fn sending_binds_a_socket_to_a_port_on_all_addresses() {
    let mut udp = udp();
    let id = udp.open();
    assert_eq!(udp.say(id, None, b"", 1500), Err(SocketError::NoDestination));
    let sent = udp.say(id, Some(peer("10.7.0.1:53")), b"", 1500).unwrap();
    assert_eq!(sent.source, None);
    assert!(EPHEMERAL_PORTS.contains(&sent.source_port));
    let local = udp.local_addr(id).unwrap();
    assert_eq!(local, SocketAddr::from(([0, 0, 0, 0], sent.source_port)));
    let again = udp.say(id, Some(peer("10.7.0.3:53")), b"", 1500).unwrap();
    assert_eq!(again.source_port, sent.source_port);
    let answer = datagram(53, sent.source_port, b"");
    assert_eq!(udp.hear(PEER, HERE, &answer), Ok(id));
}

#[test]
fn a_connected_socket_sends_to_its_peer_unless_told_otherwise() {
    let mut udp = udp();
    let id = udp.open();
    udp.connect(id, HERE.into(), peer("10.7.0.1:53")).unwrap();
    for (to, destination) in [(None, "10.7.0.1:53"), (Some(peer("10.7.0.3:54")), "10.7.0.3:54")] {
        let sent = udp.say(id, to, b"", 1500).unwrap();
        assert_eq!(SocketAddr::V4(sent.destination), addr(destination));
        assert_eq!(sent.source, Some(HERE));
    }
}

#[test]
fn a_datagram_fits_one_packet_or_is_refused() {
    let mut udp = udp();
    let id = udp.open();
    let to = Some(peer("10.7.0.1:53"));
    for (mtu, longest) in [(68, 40), (1500, 1472), (65_535, 65_507)] {
        let octets = vec![0; longest + 1];
        let outcome = udp.say(id, to, &octets, mtu);
        assert_eq!(outcome, Err(SocketError::MessageTooLong), "{mtu}");
        let sent = udp.say(id, to, &octets[..longest], mtu).unwrap();
        assert_eq!(sent.payload.len(), longest);
    }
}

#[test]
fn a_broadcast_needs_permission_to_send_and_to_connect() {
    let mut udp = udp();
    let id = udp.open();
    let everybody = Peer { addr: addr("10.7.0.255:53"), is_broadcast: true };
    let denied = SocketError::PermissionDenied;
    assert_eq!(udp.say(id, Some(everybody), b"", 1500), Err(denied));
    assert_eq!(udp.connect(id, HERE.into(), everybody), Err(denied));
    let mut options = UdpOptions { broadcast: true, ..UdpOptions::default() };
    udp.set_options(id, options).unwrap();
    assert!(udp.say(id, Some(everybody), b"", 1500).is_ok());
    udp.connect(id, HERE.into(), everybody).unwrap();
    assert!(udp.say(id, None, b"", 1500).is_ok());
    options.broadcast = false;
    udp.set_options(id, options).unwrap();
    assert_eq!(udp.say(id, None, b"", 1500), Err(denied));
}

/// Sends datagrams of `len` octets to port 53 until one is dropped, and counts the others.
fn fill(udp: &mut Udp, len: usize) -> usize {
    let octets = datagram(5000, 53, &vec![0; len]);
    let results = std::iter::repeat_with(|| udp.hear(PEER, HERE, &octets));
    let outcomes: Vec<_> = results.take(10_000).take_while(Result::is_ok).collect();
    let reason: Result<_, DropReason> = udp.hear(PEER, HERE, &octets);
    assert_eq!(reason, Err(UdpQueueFull));
    outcomes.len()
}

#[test]
fn a_queue_is_bounded_by_octets_and_empty_datagrams_count_too() {
    for (receive_buffer, len, expected) in [
        (1064, 1000, 1),
        (2127, 1000, 1),
        (2128, 1000, 2),
        (640, 0, 10),
        (639, 0, 9),
        (256 << 10, 1472, 170),
    ] {
        let mut udp = udp();
        let id = bound(&mut udp, "0.0.0.0:53");
        let options = UdpOptions { receive_buffer, ..UdpOptions::default() };
        udp.set_options(id, options).unwrap();
        for _ in 0..3 {
            assert_eq!(fill(&mut udp, len), expected, "{receive_buffer} {len}");
            while receive(&mut udp, id).is_ok() {}
        }
    }
}

#[test]
fn an_empty_queue_takes_a_datagram_larger_than_the_buffer() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    let options = UdpOptions { receive_buffer: 0, ..UdpOptions::default() };
    udp.set_options(id, options).unwrap();
    assert_eq!(fill(&mut udp, 1472), 1);
    assert_eq!(receive(&mut udp, id).unwrap().0.len(), 1472);
    assert_eq!(fill(&mut udp, 1472), 1);
}

#[test]
fn a_full_queue_harms_no_other_socket() {
    let mut udp = udp();
    bound(&mut udp, "0.0.0.0:53");
    let other = bound(&mut udp, "0.0.0.0:54");
    fill(&mut udp, 1000);
    assert_eq!(udp.hear(PEER, HERE, &datagram(5000, 54, b"")), Ok(other));
}

fn flow(local: &str, remote: &str) -> FourTuple {
    FourTuple { local: Endpoint::from(addr(local)), remote: Endpoint::from(addr(remote)) }
}

#[test]
fn an_icmp_error_is_reported_once_by_the_next_call_whichever_it_is() {
    let mut udp = udp();
    let id = bound(&mut udp, "10.7.0.2:7");
    udp.connect(id, HERE.into(), peer("10.7.0.1:53")).unwrap();
    udp.hear(PEER, HERE, &datagram(53, 7, b"hi")).unwrap();
    let refused = SocketError::Refused;
    let mut buffer = [0; 9];
    for call in 0..4 {
        let about = flow("10.7.0.2:7", "10.7.0.1:53");
        assert_eq!(udp.on_icmp_error(about, refused), Some(id));
        assert!(udp.has_error(id));
        match call {
            0 => assert_eq!(udp.take_error(id), Ok(Some(refused))),
            1 => assert_eq!(udp.say(id, None, b"", 1500), Err(refused)),
            2 => assert_eq!(udp.receive(id, &mut buffer, true), Err(refused)),
            _ => assert_eq!(udp.receive(id, &mut buffer, false), Err(refused)),
        }
        assert!(!udp.has_error(id));
        assert_eq!(udp.take_error(id), Ok(None));
        assert!(udp.say(id, None, b"", 1500).is_ok());
        assert!(udp.has_datagram(id), "no error loses what waits");
    }
}

#[test]
fn an_icmp_error_about_anything_else_is_nobodys() {
    let mut udp = udp();
    let connected = bound(&mut udp, "10.7.0.2:7");
    udp.connect(connected, HERE.into(), peer("10.7.0.1:53")).unwrap();
    let unconnected = bound(&mut udp, "0.0.0.0:8");
    for about in [
        flow("10.7.0.2:7", "10.7.0.1:54"),
        flow("10.7.0.2:7", "10.7.0.3:53"),
        flow("10.7.0.3:7", "10.7.0.1:53"),
        flow("10.7.0.2:9", "10.7.0.1:53"),
        flow("10.7.0.2:8", "10.7.0.1:53"),
        flow("[fd00::1]:7", "10.7.0.1:53"),
    ] {
        assert_eq!(udp.on_icmp_error(about, SocketError::Refused), None, "{about}");
    }
    assert!(!udp.has_error(connected) && !udp.has_error(unconnected));
}

#[test]
fn a_closed_socket_is_a_bad_handle_to_every_call() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    udp.hear(PEER, HERE, &datagram(5000, 53, b"hi")).unwrap();
    udp.close(id);
    udp.close(id);
    let bad = SocketError::BadHandle;
    assert_eq!(udp.bind(id, addr("0.0.0.0:54")), Err(bad));
    assert_eq!(udp.connect(id, HERE.into(), peer("10.7.0.1:53")), Err(bad));
    assert_eq!(udp.say(id, Some(peer("10.7.0.1:53")), b"", 1500), Err(bad));
    assert_eq!(receive(&mut udp, id), Err(bad));
    assert_eq!(udp.local_addr(id), Err(bad));
    assert_eq!(udp.peer_addr(id), Err(bad));
    assert_eq!(udp.set_options(id, UdpOptions::default()), Err(bad));
    assert_eq!(udp.take_error(id), Err(bad));
    assert!(!udp.has_datagram(id) && !udp.has_error(id));
    assert_eq!(udp.hear(PEER, HERE, &datagram(5000, 53, b"hi")), Err(NoUdpSocket));
    // Its place is free, and the new socket inherits nothing.
    let heir = bound(&mut udp, "0.0.0.0:53");
    assert_ne!(heir, id);
    assert!(!udp.has_datagram(heir));
}

#[test]
fn a_socket_has_its_port_from_its_own_range() {
    let mut udp = udp();
    for _ in 0..4 {
        let id = udp.open();
        let local_port_range = Some((40_000, 40_003));
        udp.set_options(id, UdpOptions { local_port_range, ..UdpOptions::default() }).unwrap();
        let bound = udp.bind(id, addr("0.0.0.0:0")).unwrap();
        assert!((40_000..=40_003).contains(&bound.port()), "{bound}");
    }
    let id = udp.open();
    let local_port_range = Some((40_000, 40_003));
    udp.set_options(id, UdpOptions { local_port_range, ..UdpOptions::default() }).unwrap();
    assert_eq!(udp.bind(id, addr("0.0.0.0:0")), Err(SocketError::AddressInUse));
}
