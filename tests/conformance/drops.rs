//! Every way for a packet to die: it is counted under its own name, and nothing answers unless
//! the script says so.

use wharf::sim::Script;
use wharf::sim::craft::{Content, Packet, UdpDatagram};
use wharf::{DropReason, Instant, Seed, Stack, StackConfig, SynCookies};

/// Opens the connection that many a case needs.
const OPEN: &str = "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 1000
        +0    accept
";

/// For each reason a script, without the connection (`""`) or behind it.
const CASES: &[(DropReason, &str, &str)] = &[
    (DropReason::Truncated, "", "+0 < S 0:0(0) cut 19"),
    (DropReason::Truncated, "", "+0 < S 0:0(0) cut 39"),
    (DropReason::IpVersion, "", "+0 < S 0:0(0) poke 0 65"),
    (DropReason::BadLength, "", "+0 < S 0:0(0) poke 0 44"),
    (DropReason::BadLength, "", "+0 < S 0:0(0) poke 2 0013"),
    (DropReason::IpChecksum, "", "+0 < S 0:0(0) poke 10 0000"),
    (DropReason::MartianSource, "", "+0 < S 0:0(0) from 127.0.0.1:1"),
    (DropReason::OwnSource, "", "+0 < S 0:0(0) from 10.7.0.2:1"),
    (DropReason::NotOurs, "", "+0 < S 0:0(0) to 10.7.0.3:80"),
    (DropReason::Fragment, "", "+0 < S 0:0(0) poke 6 2000"),
    (DropReason::Fragment, "", "+0 < S 0:0(0) poke 6 0001"),
    (DropReason::SourceRoute, "", "+0 < S 0:0(0) ip_options 830704c000020100"),
    (DropReason::IpOption, "", "+0 < S 0:0(0) ip_options 44090500"),
    (DropReason::TransportChecksum, "", "+0 < S 0:0(0) bad_checksum"),
    (DropReason::TransportChecksum, "", "+0 < udp 1>53 (9) bad_checksum"),
    (DropReason::TransportChecksum, "", "+0 < icmp echo_request id 1 seq 1 (9) bad_checksum"),
    (DropReason::IcmpUnused, "", "+0 < icmp echo_reply id 1 seq 1 (9)"),
    (DropReason::IcmpBroadcast, "", "+0 < icmp echo_request id 1 seq 1 (9) to 10.7.0.255:0"),
    (DropReason::NoUdpSocket, "", "+0 < udp 1>53 (9)\n+0 > icmp unreachable port"),
    (DropReason::PortZero, "", "+0 < S 0:0(0) from 10.7.0.1:0"),
    (DropReason::TcpAddress, "", "+0 < S 0:0(0) to 10.7.0.255:80"),
    (DropReason::TcpOption, "", "+0 < S 0:0(0) <raw 0200>"),
    (DropReason::NoTcpSocket, "", "+0 < S 0:0(0)\n+0 > R. 0:0(0) ack 1"),
    (DropReason::StrayReset, "", "+0 < R 1:1(0)"),
    (DropReason::NotForListener, "+0 socket listen 80", "+0 < F 1:1(0)"),
    (DropReason::BelowWindow, OPEN, "+0 < R 0:0(0)"),
    (DropReason::AboveWindow, OPEN, "+0 < P. 900001:900002(1) ack 1\n+0 > . 1:1(0) ack 1"),
    (DropReason::ResetNotExact, OPEN, "+0 < R 2:2(0)\n+0 > . 1:1(0) ack 1"),
    (DropReason::SynInWindow, OPEN, "+0 < S 2:2(0)\n+0 > . 1:1(0) ack 1"),
    (DropReason::AckOfUnsent, OPEN, "+0 < . 1:1(0) ack 2\n+0 > . 1:1(0) ack 1"),
    (DropReason::AckTooOld, OPEN, "+0 < . 1:1(0) ack 4294900000\n+0 > . 1:1(0) ack 1"),
    (DropReason::NoAck, OPEN, "+0 < P 1:2(1)"),
    (
        DropReason::StaleTimestamp,
        "+0 socket listen 80\n+0 < S 0:0(0) <TS val 7 ecr 0>\n+0 > S. 0:0(0) ack 1 <...>
         +0 < . 1:1(0) ack 1",
        "+0 < P. 1:2(1) ack 1 <TS val 6 ecr 0>\n+0 > . 1:1(0) ack 1 <...>",
    ),
    (
        DropReason::DataAfterClose,
        OPEN,
        "+0 close\n+0 > F. 1:1(0) ack 1\n+0 < . 1:1(0) ack 2 win 1000\n+0 < P. 1:2(1) ack 2
         +0 > R 2:2(0)",
    ),
    (
        DropReason::BadHandshakeAck,
        "+0 socket listen 80\n+0 < S 0:0(0)\n+0 > S. 0:0(0) ack 1 <...>",
        "+0 < . 1:1(0) ack 9\n+0 > R 9:9(0)",
    ),
    (
        DropReason::IcmpQuote,
        "+0 connect\n+0 > S 0:0(0) <...>",
        "+0 < icmp unreachable port quoting 9",
    ),
    (
        DropReason::BadCookie,
        "+0 socket listen 80 backlog 1\n+0 a: < S 0:0(0)\n+0 a: > S. 0:0(0) ack 1 <...>
         +0 b: < S 0:0(0)\n+0 b: > S. 0:0(0) ack 1 <...>",
        "+0 b: < . 1:1(0) ack 7",
    ),
    (
        DropReason::CookieSpent,
        "+0 socket listen 80 backlog 1\n+0 a: < S 0:0(0)\n+0 a: > S. 0:0(0) ack 1 <...>
         +0 b: < S 0:0(0)\n+0 b: > S. 0:0(0) ack 1 <...>
         +0 b: < . 1:1(0) ack 1\n+0 b: < R 1:1(0)",
        "+0 b: < . 1:1(0) ack 1\n+0 b: > R 1:1(0)",
    ),
    (
        DropReason::AcceptDeferred,
        "+0 socket listen 80\n+0 listener set defer_accept 5\n+0 < S 0:0(0)
         +0 > S. 0:0(0) ack 1 <...>",
        "+0 < . 1:1(0) ack 1",
    ),
    (
        DropReason::AcceptQueueFull,
        "+0 socket listen 80 backlog 1\n+0 a: < S 0:0(0)\n+0 a: > S. 0:0(0) ack 1 <...>
         +0 a: < . 1:1(0) ack 1\n+0 b: < S 0:0(0)\n+0 b: > S. 0:0(0) ack 1 <...>
         +0 b: < . 1:1(0) ack 1",
        "+0 c: < S 0:0(0)",
    ),
];

/// Reasons whose case needs more than a line, each in a test of its own: below, for an answer that
/// is too long beside the code of ICMP, and for mailboxes, full and closed, where these are.
const ELSEWHERE: &[DropReason] = &[
    DropReason::UnknownProtocol,
    DropReason::UdpQueueFull,
    DropReason::TooManyConnections,
    DropReason::BacklogFull,
    DropReason::RateLimited,
    DropReason::AnswerTooLong,
    DropReason::MailboxFull,
    DropReason::ShardEnded,
    DropReason::MemoryPressure,
];

fn config(change: impl FnOnce(&mut StackConfig)) -> Script {
    crate::config(change)
}

#[test]
fn each_way_for_a_packet_to_die_is_counted_under_its_own_name_and_no_other() {
    for &(reason, before, case) in CASES {
        let script = format!("{before}\n{case}\n+0.5 nothing");
        let played = Script::default().plays(&script);
        for &other in DropReason::ALL {
            let wanted = u64::from(other == reason);
            assert_eq!(played.dropped(other), wanted, "{}: {script}", other.label());
        }
    }
}

#[test]
fn every_reason_has_a_case() {
    for reason in DropReason::ALL {
        let has_case = CASES.iter().any(|(known, ..)| known == reason);
        assert!(has_case || ELSEWHERE.contains(reason), "{}", reason.label());
    }
}

/// RFC 1122 §3.2.2.1: protocol unreachable.
#[test]
fn a_protocol_that_we_do_not_speak_is_unreachable() {
    let script = "
        +0    < udp 1>53 (9) poke 9 63
        +0    > icmp unreachable protocol
        +0    expect dropped unknown_protocol 1
    ";
    Script::default().plays(script);
}

#[test]
fn a_full_datagram_queue_drops_the_newest() {
    let mut script = String::from("+0 udp bind 53\n");
    // 256 KiB, of which each datagram costs its octets and 64 more.
    script.push_str(&"+0 < udp 5000>53 (1472)\n".repeat(170));
    script.push_str("+0 expect dropped udp_queue_full 0\n");
    script.push_str("+0 < udp 5000>53 (1472)\n");
    script.push_str("+0 expect dropped udp_queue_full 1\n");
    script.push_str(&"+0 udp recv 1472\n".repeat(170));
    script.push_str("+0 udp recv error EAGAIN\n");
    Script::default().plays(&script);
}

#[test]
fn a_limit_on_connections_drops_the_syn() {
    config(|config| config.limits.connections_max = 1).plays(
        "
        +0    socket listen 80
        +0    a: < S  0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0.5  expect dropped too_many_connections 1
        +0    c: connect error ENOBUFS
        ",
    );
}

#[test]
fn a_full_backlog_without_cookies_drops_the_syn() {
    config(|config| config.tcp.syn_cookies = SynCookies::Off).plays(
        "
        +0    socket listen 80 backlog 1
        +0    a: < S  0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0.5  expect dropped backlog_full 1
        ",
    );
}

/// Beyond the limit the segment at RCV.NXT is still taken, or nothing would ever go on; what comes
/// early is not, and the peer sends it again.
#[test]
fn without_memory_only_what_comes_in_order_is_taken() {
    config(|config| config.limits.memory_max = 0).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 1000
        +0    accept
        +0    < P. 101:201(100) ack 1
        +0    > .  1:1(0) ack 1
        +0    expect dropped memory_pressure 1
        +0    < P. 1:101(100) ack 1
        +0.04 > .  1:1(0) ack 101
        +0    < P. 101:201(100) ack 1
        +0.04 > .  1:1(0) ack 201
        +0    read 200
        +0    expect dropped memory_pressure 1
        ",
    );
}

/// RFC 9293 §3.10.7.1 and RFC 1122 §4.1.3.1: nobody can listen at port 0, and whoever asks there
/// hears so as at any other closed port. As on Linux.
#[test]
fn port_0_is_a_closed_port() {
    let script = "
        +0    < S 0:0(0) to 10.7.0.2:0
        +0    > R. 0:0(0) ack 1 from 10.7.0.2:0
        +0    < udp 5000>0 (9)
        +0    > icmp unreachable port
        +0    expect dropped no_tcp_socket 1
        +0    expect dropped no_udp_socket 1
        ";
    Script::default().plays(script);
}

/// RFC 1812 §4.3.2.8: errors are limited, to a burst and then a rate.
#[test]
fn unreachables_are_limited_in_rate_and_come_again_after_a_while() {
    let config = wharf::sim::script::default_config();
    let mut stack = Stack::new(config, Seed::from_number(1)).expect("the defaults are valid");
    let datagram =
        Content::Udp(UdpDatagram { source_port: 5000, destination_port: 53, payload: vec![7; 9] });
    let [peer, own] = [[10, 7, 0, 1].into(), [10, 7, 0, 2].into()];
    let frame = Packet::new(peer, own, datagram).to_frame();
    let mut answers = |now| {
        for _ in 0..300 {
            stack.receive(now, frame.clone(), &mut ());
        }
        std::iter::from_fn(|| stack.transmit(now, &mut ())).count()
    };
    for (ms, count) in [(0, 6), (0, 0), (999, 0), (1000, 1), (3000, 2), (20_000, 6)] {
        assert_eq!(answers(Instant::from_millis(ms)), count, "at {ms} ms");
    }
}

#[test]
fn resets_without_a_connection_are_limited_in_rate_and_come_again_after_a_while() {
    let mut script = String::new();
    script.push_str(&"+0 < S 0:0(0)\n+0 > R. 0:0(0) ack 1\n".repeat(1000));
    script.push_str("+0 < S 0:0(0)\n+0 expect dropped rate_limited 1\n");
    script.push_str("+1 < S 0:0(0)\n+0 > R. 0:0(0) ack 1\n");
    Script::default().plays(&script);
}
