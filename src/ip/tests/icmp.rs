//! ICMP: what is answered, what is believed, and what is passed over in silence.

use super::DropReason::{
    AnswerTooLong, IcmpBroadcast, IcmpQuote, IcmpUnused, NoUdpSocket, NotOurs, RateLimited,
    TransportChecksum, Truncated, UnknownProtocol,
};
use super::*;
use crate::error::SocketError;
use crate::time::{Duration, Instant};

/// Somebody whose packets are none of our business.
const FOREIGN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// An ICMP message: type, code, the four octets that follow the checksum, and the rest.
fn message(kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, code, 0, 0];
    octets.extend(rest);
    octets.extend(body);
    let sum = checksum(&octets);
    octets[2..4].copy_from_slice(&sum);
    octets
}

/// An echo request with identifier 0x1234, sequence number 7 and data `abc`.
fn ping() -> Vec<u8> {
    message(8, 0, [0x12, 0x34, 0, 7], b"abc")
}

fn answer(ip: &mut Ipv4, octets: Vec<u8>) -> Vec<u8> {
    match ip.input(Frame::new(octets), Via::Device) {
        Verdict::Answer(outgoing) => outgoing.to_frame().octets().to_vec(),
        other => panic!("{other:?}"),
    }
}

/// What a router says about our datagram from port 5000 to port 53 of the peer.
fn quote() -> Vec<u8> {
    let datagram = packet(HERE, PEER, 17, &[0x13, 0x88, 0, 53, 0, 9, 0xbe, 0xef, b'x']);
    datagram[..28].to_vec()
}

fn error_of(ip: &mut Ipv4, message: &[u8]) -> Result<IcmpError, DropReason> {
    match ip.input(Frame::new(packet(FOREIGN, HERE, 1, message)), Via::Device) {
        Verdict::Error(error) => Ok(error),
        Verdict::Drop(reason) => Err(reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_echo_request_comes_back_from_the_address_that_was_asked() {
    let mut ip = host_with(|config| config.addresses.push("10.7.0.9/24".parse().unwrap()));
    let asked = Ipv4Addr::new(10, 7, 0, 9);
    let mut request = packet(PEER, asked, 1, &ping());
    request[1] = 0x48;
    let reply = answer(&mut ip, sealed(request));
    assert_eq!((reply[1], reply[8], reply[9]), (0x48, 64, 1));
    assert_eq!(reply[6..8], [0, 0], "it may be fragmented");
    assert_eq!(reply[12..20], [10, 7, 0, 9, 10, 7, 0, 1]);
    assert_eq!(reply[20..], message(0, 0, [0x12, 0x34, 0, 7], b"abc"));
    assert_eq!(sealed(reply.clone()), reply, "the header's checksum");
}

#[test]
fn an_echo_without_data_and_one_of_the_whole_mtu_are_answered() {
    for data_len in [0, 1, 1472] {
        let data = vec![0xa5; data_len];
        let request = packet(PEER, HERE, 1, &message(8, 0, [0; 4], &data));
        let reply = answer(&mut host(), request);
        assert_eq!(reply[20..], message(0, 0, [0; 4], &data));
    }
    let too_long = packet(PEER, HERE, 1, &message(8, 0, [0; 4], &[0; 1473]));
    assert_eq!(dropped(&mut host(), too_long), Some(AnswerTooLong));
}

#[test]
fn no_icmp_message_to_a_broadcast_or_a_group_has_any_effect() {
    for destination in [DIRECTED_BROADCAST, Ipv4Addr::BROADCAST, ALL_HOSTS] {
        for message in [ping(), message(0, 0, [0; 4], b""), message(3, 3, [0; 4], &quote())] {
            let octets = packet(PEER, destination, 1, &message);
            assert_eq!(dropped(&mut host(), octets), Some(IcmpBroadcast));
        }
    }
}

#[test]
fn nobody_is_answered_in_the_name_of_a_foreign_address() {
    let mut ip = host_with(|config| config.any_destination = true);
    let reply = message(0, 0, [0; 4], b"");
    for message in [ping(), reply] {
        let octets = packet(PEER, FOREIGN, 1, &message);
        assert_eq!(dropped(&mut ip, octets), Some(NotOurs));
    }
    let datagram = delivered(&mut ip, packet(PEER, FOREIGN, 17, &[0; 8]));
    let now = Instant::ZERO;
    assert_eq!(ip.port_unreachable(now, &datagram).unwrap_err(), NoUdpSocket);
    assert_eq!(ip.protocol_unreachable(now, &datagram).unwrap_err(), UnknownProtocol);
}

#[test]
fn an_icmp_message_with_a_wrong_checksum_is_dropped() {
    for at in 0..ping().len() {
        let mut message = ping();
        message[at] ^= 0x40;
        let octets = packet(PEER, HERE, 1, &message);
        assert_eq!(dropped(&mut host(), octets), Some(TransportChecksum), "{at}");
    }
}

#[test]
fn an_icmp_message_shorter_than_its_header_is_dropped() {
    for len in 0..8 {
        let mut octets = vec![0; len];
        if let Some(kind) = octets.first_mut() {
            *kind = 8;
        }
        if len >= 4 {
            octets[2] = 0xf7;
            octets[3] = 0xff;
        }
        let reason = dropped(&mut host(), packet(PEER, HERE, 1, &octets));
        assert!(matches!(reason, Some(Truncated | TransportChecksum)), "{len}: {reason:?}");
    }
}

/// Nobody outside has seen a packet of the loopback, so an error about one is forged.
#[test]
fn an_error_about_what_we_sent_to_ourselves_is_believed_only_by_the_loopback() {
    let datagram = packet(HERE, HERE, 17, &[0x13, 0x88, 0, 53, 0, 9, 0xbe, 0xef]);
    let error = message(3, 3, [0; 4], &datagram);
    assert_eq!(error_of(&mut host(), &error).unwrap_err(), IcmpQuote);
    let looped = Frame::new(packet(HERE, HERE, 1, &error));
    let verdict = host().input(looped, Via::Loopback);
    let Verdict::Error(error) = verdict else { panic!("{verdict:?}") };
    assert_eq!((error.local, error.remote), (HERE, HERE));
}

#[test]
fn an_echo_reply_is_handed_up() {
    let mut octets = packet(PEER, HERE, 1, &message(0, 0, [0x12, 0x34, 0, 7], b"abc"));
    octets[8] = 63;
    let Verdict::EchoReply(echo) = host().input(Frame::new(sealed(octets)), Via::Device) else {
        panic!("no echo reply");
    };
    let expected = Echo { source: PEER, ident: 0x1234, sequence: 7, ttl: 63, data_len: 3 };
    assert_eq!(echo, expected);
}

#[test]
fn an_echo_request_of_ours_leaves_as_rfc_792_draws_it() {
    let data = Bytes::from_static(b"abc");
    let request = host().echo_request(PEER, 0x1234, 7, data, 5).unwrap();
    let frame = request.to_frame();
    let octets = frame.octets();
    assert_eq!(octets[12..20], [10, 7, 0, 2, 10, 7, 0, 1]);
    assert_eq!((octets[8], octets[9]), (5, 1));
    assert_eq!(octets[20..], ping());
    for (destination, data_len, error) in [
        (Ipv4Addr::LOCALHOST, 0, SendError::Destination),
        (Ipv4Addr::UNSPECIFIED, 0, SendError::Destination),
        (PEER, 1473, SendError::TooLong),
    ] {
        let data = vec![0; data_len].into();
        let outcome = host().echo_request(destination, 1, 1, data, 64);
        assert_eq!(outcome.unwrap_err(), error);
    }
}

#[test]
fn each_kind_of_error_is_told_apart() {
    use IcmpErrorKind as Kind;
    let mtu = [0, 0, 0x05, 0x78];
    for (kind, code, expected, socket_error) in [
        (3, 0, Kind::NetUnreachable, SocketError::NetworkUnreachable),
        (3, 1, Kind::HostUnreachable, SocketError::HostUnreachable),
        (3, 2, Kind::ProtocolUnreachable, SocketError::Refused),
        (3, 3, Kind::PortUnreachable, SocketError::Refused),
        (3, 4, Kind::FragmentationNeeded { mtu: 1400 }, SocketError::MessageTooLong),
        (3, 5, Kind::SourceRouteFailed, SocketError::HostUnreachable),
        (3, 6, Kind::NetUnreachable, SocketError::NetworkUnreachable),
        (3, 7, Kind::HostUnreachable, SocketError::HostUnreachable),
        (3, 8, Kind::HostUnreachable, SocketError::HostUnreachable),
        (3, 9, Kind::AdministrativelyProhibited, SocketError::HostUnreachable),
        (3, 10, Kind::AdministrativelyProhibited, SocketError::HostUnreachable),
        (3, 11, Kind::NetUnreachable, SocketError::NetworkUnreachable),
        (3, 12, Kind::HostUnreachable, SocketError::HostUnreachable),
        (3, 13, Kind::AdministrativelyProhibited, SocketError::HostUnreachable),
        (3, 14, Kind::HostUnreachable, SocketError::HostUnreachable),
        (3, 15, Kind::HostUnreachable, SocketError::HostUnreachable),
        (11, 0, Kind::TimeExceeded, SocketError::HostUnreachable),
        (11, 1, Kind::TimeExceeded, SocketError::HostUnreachable),
        (12, 0, Kind::ParameterProblem, SocketError::HostUnreachable),
    ] {
        let error = error_of(&mut host(), &message(kind, code, mtu, &quote())).unwrap();
        assert_eq!(error.kind, expected, "{kind}/{code}");
        assert_eq!(error.kind.socket_error(), socket_error, "{kind}/{code}");
    }
}

#[test]
fn an_error_names_the_flow_that_it_is_about() {
    let error = error_of(&mut host(), &message(3, 3, [0; 4], &quote())).unwrap();
    assert_eq!((error.local, error.remote, error.protocol), (HERE, PEER, 17));
    assert_eq!(error.transport, [0x13, 0x88, 0, 53, 0, 9, 0xbe, 0xef]);
    assert_eq!(error.flow().to_string(), "10.7.0.2:5000 ↔ 10.7.0.1:53");
}

#[test]
fn an_error_must_quote_what_we_could_have_sent() {
    let altered = |alter: fn(&mut Vec<u8>)| {
        let mut quote = quote();
        alter(&mut quote);
        message(3, 3, [0; 4], &quote)
    };
    for message in [
        altered(|quote| quote[15] = 3), // Another source.
        altered(|quote| quote[16..20].copy_from_slice(&[10, 7, 0, 2])), // To ourselves.
        altered(|quote| quote[16..20].fill(0xff)), // To all.
        altered(|quote| quote[16..20].copy_from_slice(&[224, 0, 0, 1])),
        altered(|quote| quote[7] = 1), // A later fragment.
        altered(|quote| quote[0] = 0x65),
        altered(|quote| quote[0] = 0x44),
        altered(|quote| quote[0] = 0x46), // Options, so the header is cut.
        altered(|quote| quote.truncate(27)),
        altered(|quote| quote.truncate(19)),
        altered(Vec::clear),
    ] {
        assert_eq!(error_of(&mut host(), &message), Err(IcmpQuote), "{message:?}");
    }
    // What routers change on the way says nothing: time to live, checksum, type of service.
    for at in [1, 8, 10] {
        let mut quote = quote();
        quote[at] ^= 0x0f;
        assert!(error_of(&mut host(), &message(3, 3, [0; 4], &quote)).is_ok());
    }
}

#[test]
fn an_error_that_came_to_another_of_our_addresses_is_not_believed() {
    let mut ip = host_with(|config| config.addresses.push("10.7.0.9/24".parse().unwrap()));
    let error = message(3, 3, [0; 4], &quote());
    let octets = packet(FOREIGN, Ipv4Addr::new(10, 7, 0, 9), 1, &error);
    assert_eq!(dropped(&mut ip, octets), Some(IcmpQuote));
}

#[test]
fn must_55_a_source_quench_is_discarded_silently() {
    let quench = message(4, 0, [0; 4], &quote());
    assert_eq!(error_of(&mut host(), &quench), Err(IcmpUnused));
}

#[test]
fn messages_that_concern_nobody_are_dropped() {
    let quote = quote();
    for (kind, code, body) in [
        (5, 1, &quote[..]),    // Redirect.
        (13, 0, &quote[..12]), // Timestamp request, which has that length.
        (14, 0, &quote[..12]), // Timestamp reply.
        (17, 0, &quote[..4]),  // Address mask request.
        (3, 16, &quote[..]),
        (11, 2, &quote[..]),
        (99, 0, &quote[..]),
    ] {
        let octets = message(kind, code, [10, 7, 0, 99], body);
        assert_eq!(error_of(&mut host(), &octets), Err(IcmpUnused), "{kind}/{code}");
    }
}

/// A datagram for UDP port 9, whose header has one word of options.
fn stray(destination: Ipv4Addr) -> Vec<u8> {
    let mut octets = packet(PEER, destination, 17, &[0, 7, 0, 9, 0, 10, 0, 0, b'h', b'i']);
    octets.splice(20..20, [1, 1, 1, 1]);
    octets[0] = 0x46;
    octets[3] += 4;
    sealed(octets)
}

#[test]
fn an_unreachable_quotes_header_options_and_8_octets() {
    let mut ip = host();
    let datagram = delivered(&mut ip, stray(HERE));
    for code in [2, 3] {
        let outgoing = match code {
            2 => ip.protocol_unreachable(Instant::ZERO, &datagram),
            _ => ip.port_unreachable(Instant::ZERO, &datagram),
        };
        let frame = outgoing.unwrap().to_frame();
        let octets = frame.octets();
        assert_eq!((octets[1], octets[8], octets[9]), (0xc0, 64, 1));
        assert_eq!(octets[12..20], [10, 7, 0, 2, 10, 7, 0, 1]);
        assert_eq!(octets[20..], message(3, code, [0; 4], &stray(HERE)[..32]));
    }
}

#[test]
fn the_longest_header_is_quoted_whole() {
    let mut ip = host();
    let mut octets = packet(PEER, HERE, 17, &[0; 8]);
    octets.splice(20..20, [1; 40]);
    octets[0] = 0x4f;
    octets[3] += 40;
    let datagram = delivered(&mut ip, sealed(octets));
    let outgoing = ip.port_unreachable(Instant::ZERO, &datagram).unwrap();
    assert_eq!(outgoing.len(), 20 + 8 + 60 + 8);
}

#[test]
fn no_broadcast_or_multicast_is_ever_complained_about() {
    let mut ip = host();
    for destination in [DIRECTED_BROADCAST, Ipv4Addr::BROADCAST, ALL_HOSTS] {
        let datagram = delivered(&mut ip, stray(destination));
        let now = Instant::ZERO;
        assert_eq!(ip.port_unreachable(now, &datagram).unwrap_err(), NoUdpSocket);
        assert_eq!(ip.protocol_unreachable(now, &datagram).unwrap_err(), UnknownProtocol);
    }
}

/// Fragments, ICMP errors and impossible sources cannot be complained about, since none of them
/// is handed up.
#[test]
fn nothing_else_that_forbids_a_complaint_is_delivered() {
    let mut fragment = stray(HERE);
    fragment[7] = 1;
    let mut martian = stray(HERE);
    martian[12] = 127;
    let error = packet(PEER, HERE, 1, &message(3, 3, [0; 4], &quote()));
    for octets in [sealed(fragment), sealed(martian), error] {
        let verdict = host().input(Frame::new(octets), Via::Device);
        assert!(matches!(verdict, Verdict::Drop(_) | Verdict::Error(_)), "{verdict:?}");
    }
}

/// How many of `tries` complaints at `now` leave.
fn complaints(ip: &mut Ipv4, now: Instant, tries: u32) -> u32 {
    let datagram = delivered(ip, stray(HERE));
    complaints_about(ip, now, &datagram, tries)
}

fn complaints_about(ip: &mut Ipv4, now: Instant, about: &Datagram, tries: u32) -> u32 {
    let mut sent = 0;
    for _ in 0..tries {
        match ip.port_unreachable(now, about) {
            Ok(_) => sent += 1,
            Err(reason) => assert_eq!(reason, RateLimited),
        }
    }
    sent
}

#[test]
fn six_complaints_leave_at_once_for_one_destination_and_then_one_a_second() {
    let mut ip = host();
    assert_eq!(complaints(&mut ip, Instant::ZERO, 1000), 6);
    assert_eq!(complaints(&mut ip, Instant::from_millis(999), 10), 0);
    for second in 1..=20 {
        assert_eq!(complaints(&mut ip, Instant::from_millis(second * 1000), 10), 1);
    }
    // An hour of silence saves no more than one burst.
    assert_eq!(complaints(&mut ip, Instant::ZERO + Duration::from_hours(1), 1000), 6);
}

#[test]
fn echo_replies_cost_nothing_of_the_allowance_for_errors() {
    let mut ip = host();
    complaints(&mut ip, Instant::ZERO, 1000);
    for _ in 0..1000 {
        answer(&mut ip, packet(PEER, HERE, 1, &ping()));
    }
}

#[test]
fn complaints_to_ourselves_have_no_limit_and_cost_others_nothing() {
    let mut ip = host();
    let looped = Frame::new(packet(HERE, HERE, 17, &[0x13, 0x88, 0, 53, 0, 9, 0xbe, 0xef, 7]));
    let Verdict::Deliver(datagram) = ip.input(looped, Via::Loopback) else { panic!() };
    assert_eq!(complaints_about(&mut ip, Instant::ZERO, &datagram, 1000), 1000);
    assert_eq!(complaints(&mut ip, Instant::ZERO, 1000), 6);
}
