//! The line that stands for a packet.

use bytes::Bytes;

use super::{CLIENT, DATAGRAM, ECHO, PLAIN, PORT_UNREACHABLE, SERVER, SYN};
use crate::packet::{Checksum, Head, Payload};
use crate::wire::display::describe;
use crate::wire::icmpv4::{Icmpv4Message, TimeExceeded, Unreachable};
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_ICMP};
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::{SackBlock, TcpOptions, Timestamps};

/// The description of `header` and `payload` as a packet.
fn line(header: &Ipv4Header, payload: &[u8]) -> String {
    let mut head = Head::new();
    header.emit(payload.len(), &mut head).unwrap();
    describe(&[&head, payload].concat()).to_string()
}

fn tcp_line(flags: &[TcpFlags], options: &TcpOptions, data: &'static [u8]) -> String {
    let header = TcpHeader {
        source_port: 51_432,
        destination_port: 80,
        seq: u32::MAX,
        ack: 7,
        flags: flags.iter().fold(TcpFlags::NONE, |a, b| a.with(*b)),
        window: 64_240,
        urgent: 3,
    };
    let payload: Payload = [Bytes::from_static(data)].into_iter().collect();
    let mut head = Head::new();
    header.emit(options, CLIENT, SERVER, &payload, Checksum::Complete, &mut head);
    line(&PLAIN, &[&head, data].concat())
}

fn icmp_line(message: &Icmpv4Message<'_>, rest: &[u8]) -> String {
    let mut head = Head::new();
    message.emit(&mut head).unwrap();
    let header = Ipv4Header { protocol: PROTOCOL_ICMP, ..PLAIN };
    line(&header, &[&head, rest].concat())
}

#[test]
fn a_segment_shows_those_fields_that_mean_something() {
    use TcpFlags as F;
    let none = TcpOptions::default();
    for (flags, data, rest) in [
        (&[F::SYN][..], &b""[..], "[S], seq 4294967295, win 64240, length 0"),
        (&[F::ACK], b"", "[.], ack 7, win 64240, length 0"),
        (&[F::PSH, F::ACK], b"hello", "[P.], seq 4294967295:4, ack 7, win 64240, length 5"),
        (&[F::FIN, F::ACK], b"", "[F.], seq 4294967295, ack 7, win 64240, length 0"),
        (&[F::RST], b"", "[R], seq 4294967295, win 64240, length 0"),
        (&[F::URG, F::ACK], b"", "[.U], ack 7, win 64240, urg 3, length 0"),
        (&[], b"", "[-], win 64240, length 0"),
    ] {
        let expected = format!("IP 10.7.0.1.51432 > 10.7.0.2.80: Flags {rest}");
        assert_eq!(tcp_line(flags, &none, data), expected);
    }
}

#[test]
fn options_are_shown_as_tcpdump_names_them() {
    let blocks = [SackBlock { left: 1, right: 2 }, SackBlock { left: 5, right: 9 }];
    let none = TcpOptions::default();
    for (options, text) in [
        (
            TcpOptions { mss: Some(1460), window_scale: Some(7), ..none.clone() },
            "mss 1460,wscale 7",
        ),
        (TcpOptions { sack_permitted: true, ..none.clone() }, "sackOK"),
        (
            TcpOptions {
                timestamps: Some(Timestamps { value: 8, echo: 9 }),
                sack: blocks.into_iter().collect(),
                ..none.clone()
            },
            "TS val 8 ecr 9,sack 2 {1:2}{5:9}",
        ),
    ] {
        let expected = format!(", ack 7, win 64240, options [{text}], length 0");
        let line = tcp_line(&[TcpFlags::ACK], &options, b"");
        assert!(line.ends_with(&expected), "{line}");
    }
}

#[test]
fn a_wrong_checksum_of_the_transport_is_told() {
    for packet in [&SYN[..], &DATAGRAM, &ECHO, &PORT_UNREACHABLE] {
        let good = describe(packet).to_string();
        let mut wrong = packet.to_vec();
        *wrong.last_mut().unwrap() ^= 1; // Window scale, data, data, quote.
        let line = describe(&wrong).to_string();
        let shown = good.replace("wscale 10", "wscale 11");
        assert_eq!(line, format!("{shown}, bad cksum"));
    }
}

#[test]
fn a_wrong_checksum_of_the_ip_header_is_told() {
    for packet in [&SYN[..], &DATAGRAM, &ECHO] {
        let mut wrong = packet.to_vec();
        wrong[8] -= 1; // Time to live: no other checksum covers it.
        let expected = format!("{}, bad IP cksum", describe(packet));
        assert_eq!(describe(&wrong).to_string(), expected);
    }
}

#[test]
fn errors_of_icmp_say_what_could_not_be_reached() {
    let quote = &SYN[..28];
    for (code, text) in [
        (Unreachable::Net, "net 10.7.0.2 unreachable"),
        (Unreachable::Host, "host 10.7.0.2 unreachable"),
        (Unreachable::Protocol, "10.7.0.2 protocol tcp unreachable"),
        (Unreachable::Port, "10.7.0.2 tcp port 80 unreachable"),
        (
            Unreachable::FragmentationNeeded { mtu: 1400 },
            "10.7.0.2 unreachable - need to frag (mtu 1400)",
        ),
        (Unreachable::SourceRouteFailed, "10.7.0.2 unreachable - source route failed"),
        (Unreachable::Other(13), "10.7.0.2 unreachable, code 13"),
    ] {
        let message = Icmpv4Message::DestinationUnreachable { code, quote };
        let expected = format!("IP 10.7.0.1 > 10.7.0.2: ICMP {text}, length 36");
        assert_eq!(icmp_line(&message, quote), expected);
    }
}

#[test]
fn an_error_whose_quote_is_cut_says_what_is_left() {
    let code = Unreachable::Port;
    for (quote, text) in [
        (&SYN[..20], "10.7.0.2 tcp port unreachable, length 28"),
        (&SYN[..19], "Port unreachable, malformed (quote, 19 octets), length 27"),
    ] {
        let message = Icmpv4Message::DestinationUnreachable { code, quote };
        let expected = format!("IP 10.7.0.1 > 10.7.0.2: ICMP {text}");
        assert_eq!(icmp_line(&message, quote), expected);
    }
}

#[test]
fn other_messages_of_icmp_are_named() {
    let quote = &SYN[..28];
    let gateway = CLIENT;
    let exceeded = |code| Icmpv4Message::TimeExceeded { code, quote };
    for (message, text) in [
        (exceeded(TimeExceeded::InTransit), "time exceeded in-transit"),
        (exceeded(TimeExceeded::Reassembly), "ip reassembly time exceeded"),
        (exceeded(TimeExceeded::Other(9)), "time exceeded, code 9"),
        (Icmpv4Message::SourceQuench { quote }, "source quench"),
        (
            Icmpv4Message::ParameterProblem { code: 0, pointer: 20, quote },
            "parameter problem - octet 20, code 0",
        ),
        (Icmpv4Message::Redirect { code: 1, gateway, quote }, "redirect to 10.7.0.1, code 1"),
    ] {
        let expected = format!("IP 10.7.0.1 > 10.7.0.2: ICMP {text}, length 36");
        assert_eq!(icmp_line(&message, quote), expected);
    }
    let reply = Icmpv4Message::EchoReply { ident: 1, sequence: 2, data: &[] };
    assert!(icmp_line(&reply, &[]).ends_with("ICMP echo reply, id 1, seq 2, length 8"));
    let mut router_solicitation = [10, 0, 0xf5, 0xff, 0, 0, 0, 0];
    let header = Ipv4Header { protocol: PROTOCOL_ICMP, ..PLAIN };
    assert!(line(&header, &router_solicitation).ends_with("ICMP type 10, code 0, length 8"));
    router_solicitation[7] = 1;
    assert!(line(&header, &router_solicitation).ends_with("length 8, bad cksum"));
}

#[test]
fn a_fragment_shows_its_place_and_no_header_of_the_transport() {
    for (more_fragments, fragment_offset, text) in [
        (true, 0, "tcp (frag 7:40@0+)"),
        (true, 1480, "tcp (frag 7:40@1480+)"),
        (false, 65_528, "tcp (frag 7:40@65528)"),
    ] {
        let header = Ipv4Header { ident: 7, more_fragments, fragment_offset, ..PLAIN };
        let expected = format!("IP 10.7.0.1 > 10.7.0.2: {text}");
        assert_eq!(line(&header, &SYN[20..]), expected);
    }
}

#[test]
fn another_protocol_is_shown_by_its_number() {
    let header = Ipv4Header { protocol: 47, ..PLAIN };
    let expected = "IP 10.7.0.1 > 10.7.0.2: proto-47, length 4";
    assert_eq!(line(&header, b"abcd"), expected);
}

#[test]
fn what_cannot_be_read_is_malformed_and_says_why() {
    let with = |at: usize, value| {
        let mut packet = SYN;
        packet[at] = value;
        describe(&packet).to_string()
    };
    assert_eq!(describe(&[]).to_string(), "malformed (IP: truncated, 0 octets)");
    assert_eq!(describe(&SYN[..59]).to_string(), "malformed (IP: truncated, 59 octets)");
    assert_eq!(with(0, 0x60), "malformed (IP: not version 4, 60 octets)");
    assert_eq!(with(0, 0x44), "malformed (IP: bad length, 60 octets)");
    assert_eq!(with(32, 0x40), "IP 10.7.0.1 > 10.7.0.2: malformed (TCP: bad length, 40 octets)");
    let line_of_options = with(41, 1); // The length of MSS.
    assert!(
        line_of_options.ends_with("options [malformed (bad length)], length 0, bad cksum"),
        "{line_of_options}"
    );
    for (protocol, name) in [(6, "TCP"), (17, "UDP"), (1, "ICMP")] {
        let header = Ipv4Header { protocol, ..PLAIN };
        assert_eq!(
            line(&header, b"short"),
            format!("IP 10.7.0.1 > 10.7.0.2: malformed ({name}: truncated, 5 octets)")
        );
    }
}
