//! What Linux sent, field by field, and what it sends written as we write it.

use bytes::Bytes;

use super::{CLIENT, DATAGRAM, ECHO, LAST_FRAGMENT, PORT_UNREACHABLE, SERVER, SYN};
use crate::packet::{Checksum, Head};
use crate::wire::display::describe;
use crate::wire::icmpv4::{Icmpv4Message, Unreachable};
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::{TcpOptions, Timestamps};
use crate::wire::udp::UdpHeader;

/// The header of `packet`, and what lies behind it.
fn split(packet: &[u8]) -> (Ipv4Header, &[u8]) {
    let view = Ipv4Header::parse(packet).unwrap();
    assert_eq!((view.header_len, view.total_len), (20, packet.len()));
    assert!(view.options.is_empty());
    (view.header, &packet[view.header_len..view.total_len])
}

/// The octets that `write` appends to an empty head, and `payload`.
fn emitted(payload: &[u8], write: impl FnOnce(&mut Head)) -> Vec<u8> {
    let mut head = Head::new();
    write(&mut head);
    [&head, payload].concat()
}

#[test]
fn a_syn_of_linux_reads_as_what_it_says() {
    let (ip, segment) = split(&SYN);
    let expected = Ipv4Header {
        tos: 0,
        ident: 0x11aa,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: 64,
        protocol: PROTOCOL_TCP,
        source: CLIENT,
        destination: SERVER,
    };
    assert_eq!(ip, expected);
    let view = TcpHeader::parse(segment).unwrap();
    let expected = TcpHeader {
        source_port: 37_188,
        destination_port: 80,
        seq: 0x10d7_e46f,
        ack: 0,
        flags: TcpFlags::SYN,
        window: 64_240,
        urgent: 0,
    };
    assert_eq!((view.header, view.header_len), (expected, 40));
    assert!(TcpHeader::checksum_is_valid(CLIENT, SERVER, segment));
    let expected = TcpOptions {
        mss: Some(1460),
        window_scale: Some(10),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 0x9a97_b382, echo: 0 }),
        ..TcpOptions::default()
    };
    assert_eq!(TcpOptions::parse(view.options), Ok(expected));
}

#[test]
fn a_syn_of_linux_is_written_as_linux_wrote_it() {
    let (ip, segment) = split(&SYN);
    let view = TcpHeader::parse(segment).unwrap();
    let options = TcpOptions::parse(view.options).unwrap();
    let ours = emitted(&[], |head| {
        ip.emit(TcpHeader::LEN + options.len(), head).unwrap();
        let payload = crate::packet::Payload::new();
        view.header.emit(&options, CLIENT, SERVER, &payload, Checksum::Complete, head);
    });
    assert_eq!(ours, SYN);
}

#[test]
fn a_datagram_of_linux_reads_and_is_written_as_linux_wrote_it() {
    let (ip, datagram) = split(&DATAGRAM);
    assert_eq!((ip.protocol, ip.ident), (PROTOCOL_UDP, 0x870c));
    let (udp, payload) = UdpHeader::parse(datagram).unwrap();
    let expected = UdpHeader { source_port: 50_962, destination_port: 53, checksum: 0xe0a9 };
    assert_eq!((udp, payload), (expected, &b"hello"[..]));
    assert!(UdpHeader::checksum_is_valid(CLIENT, SERVER, datagram));
    let ours = emitted(payload, |head| {
        ip.emit(datagram.len(), head).unwrap();
        let text = std::iter::once(Bytes::copy_from_slice(payload)).collect();
        udp.emit(CLIENT, SERVER, &text, Checksum::Complete, head).unwrap();
    });
    assert_eq!(ours, DATAGRAM);
}

#[test]
fn an_echo_request_reads_and_is_written_as_it_was_sent() {
    let (ip, octets) = split(&ECHO);
    assert_eq!((ip.protocol, ip.ident), (PROTOCOL_ICMP, 0x9707));
    let message = Icmpv4Message::parse(octets).unwrap();
    let expected = Icmpv4Message::EchoRequest { ident: 0x1234, sequence: 1, data: b"abcdefgh" };
    assert_eq!(message, expected);
    assert!(Icmpv4Message::checksum_is_valid(octets));
    let ours = emitted(b"abcdefgh", |head| {
        ip.emit(octets.len(), head).unwrap();
        message.emit(head).unwrap();
    });
    assert_eq!(ours, ECHO);
}

#[test]
fn a_port_unreachable_of_linux_reads_and_is_written_as_linux_wrote_it() {
    let (ip, octets) = split(&PORT_UNREACHABLE);
    assert_eq!(ip.tos, 0xc0);
    let message = Icmpv4Message::parse(octets).unwrap();
    let Icmpv4Message::DestinationUnreachable { code, quote } = message else {
        panic!("{message:?}");
    };
    assert_eq!(code, Unreachable::Port);
    let quoted = Ipv4Header::parse_quoted(quote).unwrap();
    let ends = (quoted.header.source, quoted.header.destination);
    assert_eq!(ends, (SERVER, CLIENT));
    assert_eq!(&quote[quoted.header_len..][..4], [0, 53, 0, 9]);
    let ours = emitted(quote, |head| {
        ip.emit(octets.len(), head).unwrap();
        message.emit(head).unwrap();
    });
    assert_eq!(ours, PORT_UNREACHABLE);
}

#[test]
fn a_last_fragment_of_linux_reads_and_is_written_as_linux_wrote_it() {
    let (ip, payload) = split(&LAST_FRAGMENT);
    assert_eq!((ip.fragment_offset, ip.more_fragments), (1480, false));
    assert!(ip.is_fragment());
    let ours = emitted(payload, |head| ip.emit(payload.len(), head).unwrap());
    assert_eq!(ours, LAST_FRAGMENT);
}

#[test]
fn what_linux_sent_is_described_as_tcpdump_does() {
    for (packet, line) in [
        (
            &SYN[..],
            "IP 10.7.0.1.37188 > 10.7.0.2.80: Flags [S], seq 282584175, win 64240, \
             options [mss 1460,sackOK,TS val 2593633154 ecr 0,wscale 10], length 0",
        ),
        (&DATAGRAM, "IP 10.7.0.1.50962 > 10.7.0.2.53: UDP, length 5"),
        (&ECHO, "IP 10.7.0.1 > 10.7.0.2: ICMP echo request, id 4660, seq 1, length 16"),
        (
            &PORT_UNREACHABLE,
            "IP 10.7.0.1 > 10.7.0.2: ICMP 10.7.0.1 udp port 9 unreachable, length 40",
        ),
        (&LAST_FRAGMENT, "IP 10.7.0.1 > 10.7.0.2: udp (frag 34640:28@1480)"),
    ] {
        assert_eq!(describe(packet).to_string(), line);
    }
}
