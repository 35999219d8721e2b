//! What somebody who is not on the path can do and learn: RFC 5961, 5927, 6056 and 6528, and the
//! side channels of CVE-2016-5696 and CVE-2020-25705.
//!
//! The attacker sends packets in the names of others and sees only what is sent to himself.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use wharf::sim::craft::{Content, Packet, UdpDatagram};
use wharf::sim::{Script, TcpFlags, established};
use wharf::{Instant, Seed, Stack, StackConfig};

use crate::config;

const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 7, 0, 2), 80);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 7, 0, 1), 5000);
const ATTACKER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 7), 4000);

/// RFC 5961 §3.2 in each state that has one: only an RST at RCV.NXT counts.
#[test]
fn a_blind_reset_needs_the_one_right_number() {
    for (before, nxt) in [
        ("+0 connect\n+0 > S 0:0(0) <...>\n+0 < S 0:0(0) win 65535 <mss 1460>", 1),
        ("+0 socket listen 80\n+0 < S 0:0(0) win 65535 <mss 1460>", 1),
    ] {
        for (offset, reason) in [(-1i64, "below_window"), (70_000, "above_window")] {
            let script = format!(
                "{before}
                 +0 > S. 0:0(0) ack 1 <...>
                 +0 < R {0}:{0}(0)
                 +0 expect state SYN-RECEIVED
                 +0 expect dropped {reason} 1
                 +0 < R {1}:{1}(0)
                 +0 > . 1:1(0) ack 1
                 +0 < R {1}:{1}(0)
                 +0 expect state SYN-RECEIVED
                 +0 < R {nxt}:{nxt}(0)
                 +0 expect state CLOSED",
                u32::try_from((i64::from(nxt) + offset).rem_euclid(1 << 32)).unwrap(),
                nxt + 1,
            );
            Script::default().plays(&script);
        }
    }
}

/// RFC 5961 §4: a SYN is answered by an acknowledgment wherever it stands, and not too often, even
/// with text.
#[test]
fn a_blind_syn_is_challenged_twice_a_second_wherever_it_stands() {
    established("").plays(
        "
        +0    < S  1:1(0) win 65535
        +0    > .  1:1(0) ack 1
        +0    < S  100:100(0) win 65535
        +0    < S  4000000000:4000000000(0) win 65535
        +0    < S  4000000000:4000000010(10) win 65535
        +0    < SF. 4000000000:4000000010(10) ack 1 win 65535
        +0    < S. 1:1(0) ack 1 win 65535
        +0.5  < S  4000000000:4000000010(10) win 65535
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        +10   nothing
        ",
    );
}

/// RFC 5961 §5: from SND.UNA - MAX.SND.WND to SND.NXT, each edge.
#[test]
fn may_12_blind_data_needs_an_acknowledgment_that_can_be() {
    // Ten octets were acknowledged. What stands before them was never ours, though the window of
    // 65,536 octets would reach further.
    for (ack, is_taken) in
        [(11, true), (12, false), (1, true), (0, false), (-65_525i64, false), (1 << 31, false)]
    {
        let ack = u32::try_from(ack.rem_euclid(1 << 32)).unwrap();
        let script = format!(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1
            +0.1  < .  1:1(0) ack 11 win 512
            +0    < P. 1:11(10) ack {ack} win 512
            {}
            ",
            if is_taken {
                "+0 read 10\n+0.04 > . 11:11(0) ack 11"
            } else {
                "+0 > . 11:11(0) ack 1"
            }
        );
        let played = established("").run(&script);
        assert!(played.is_ok(), "{ack}: {}", played.unwrap_err());
    }
}

/// Two ends that each think the other is wrong: each acknowledgment of one is refused by the other,
/// whose acknowledgment is refused in turn.
/// A number half the sequence space away is neither before nor after another, and no place for
/// anything.
#[test]
fn what_stands_half_the_sequence_space_away_changes_nothing() {
    established("rtt 100ms").plays(
        "
        +1    < .  1:1(0) ack 2147483649 win 100
        +0    > .  1:1(0) ack 1
        +0    expect dropped ack_too_old 1
        +0    expect send_window 65536
        +1    < icmp unreachable host quoting 2147483649
        +0    expect dropped icmp_quote 1
        +0    expect soft none
        +1    < R. 2147483649:2147483649(0) ack 1
        +0    expect dropped above_window 1
        +0    expect state ESTABLISHED
        +1    < .  2147483649:2147483649(0) ack 1 win 100
        +0    > .  1:1(0) ack 1
        +0    expect dropped above_window 2
        +0    expect send_window 65536
        +10   nothing
        ",
    );
}

#[test]
fn two_confused_peers_exchange_two_acknowledgments_a_second_and_no_storm() {
    let mut script = String::new();
    for _ in 0..4 {
        script.push_str("+0 < . 1:1(0) ack 4000 win 512\n+0 > . 1:1(0) ack 1\n");
        script.push_str(&"+0.01 < . 1:1(0) ack 4000 win 512\n".repeat(49));
        script.push_str("+0.01 nothing\n");
    }
    established("").plays(&script);
}

/// The host under attack.
struct Host {
    stack: Stack,
    now: Instant,
}

impl Host {
    /// A server with a connection to the client, and one to the attacker.
    fn new(seed: u64) -> Self {
        let config = StackConfig::new("10.7.0.2/24".parse().expect("a literal network"));
        let stack = Stack::new(config, Seed::from_number(seed)).expect("the defaults are valid");
        let mut host = Self { stack, now: Instant::from_millis(1000) };
        let listener = host.stack.tcp_socket().expect("a socket");
        host.stack.bind(listener, SERVER.into()).expect("it is free");
        host.stack.listen(listener, 16).expect("it is bound");
        for peer in [CLIENT, ATTACKER] {
            let answers = host.receive(&segment(peer, TcpFlags::SYN, 0, 0));
            let syn_ack = answers.first().and_then(Packet::segment).expect("a SYN-ACK");
            let ack = syn_ack.seq.wrapping_add(1);
            assert!(host.receive(&segment(peer, TcpFlags::ACK, 1, ack)).is_empty());
            host.stack.accept(host.now, listener).expect("it is open");
        }
        host
    }

    /// Receives a packet, and gives what is sent at once.
    fn receive(&mut self, packet: &Packet) -> Vec<Packet> {
        self.stack.receive(self.now, packet.to_frame(), &mut ());
        let sent = std::iter::from_fn(|| self.stack.transmit(self.now, &mut ()));
        sent.map(|packet| Packet::decode(packet.to_frame().octets()).expect("well formed"))
            .collect()
    }

    /// How many answers come to the attacker.
    fn answers(&mut self, packets: impl IntoIterator<Item = Packet>) -> usize {
        let to_attacker = |sent: &Packet| sent.destination == *ATTACKER.ip();
        packets
            .into_iter()
            .map(|p| self.receive(&p).iter().filter(|s| to_attacker(s)).count())
            .sum()
    }
}

fn segment(from: SocketAddrV4, flags: TcpFlags, seq: u32, ack: u32) -> Packet {
    let mut packet = Packet::tcp(from, SERVER, flags);
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (seq, ack);
    }
    packet
}

fn datagram(from: SocketAddrV4, port: u16) -> Packet {
    let content =
        UdpDatagram { source_port: from.port(), destination_port: port, payload: vec![0] };
    let mut packet = Packet::new(*from.ip(), *SERVER.ip(), Content::Udp(content));
    packet.dont_fragment = false;
    packet
}

/// What the attacker counts after `probes` in the client's name, host by host.
fn counts(
    probes: impl Fn(u32) -> Packet,
    count: u32,
    own: impl Fn(u32) -> Packet,
    own_count: u32,
) -> BTreeSet<usize> {
    let after = |seed, count| {
        let mut host = Host::new(seed);
        host.answers((0..count).map(&probes));
        host.answers((0..own_count).map(&own))
    };
    (1..=5).flat_map(|seed| [after(seed, 0), after(seed, count)]).collect()
}

/// CVE-2016-5696: a hundred challenges a second for all connections told the attacker whether a
/// probe in the client's name was challenged: by one that was missing of his own hundred.
#[test]
fn challenges_of_another_connection_cost_the_attacker_none_of_his_own() {
    for flags in [TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK] {
        let probe = |n| segment(CLIENT, flags, 100 + n, 77);
        let own = |n| segment(ATTACKER, TcpFlags::RST, 100 + n, 0);
        let seen = counts(probe, 1000, own, 200);
        assert_eq!(seen, BTreeSet::from([1]), "{flags:?}");
    }
}

/// The same question by resets: is there a connection (no answer, or a challenge) or not (a reset)?
#[test]
fn resets_for_others_cost_the_attacker_none_of_his_own() {
    for port in [CLIENT.port(), 5001] {
        let probe = |n| segment(SocketAddrV4::new(*CLIENT.ip(), port), TcpFlags::ACK, n, 77);
        let own = |n| segment(SocketAddrV4::new(*ATTACKER.ip(), 4001), TcpFlags::ACK, n, n);
        let seen = counts(probe, 1500, own, 1500);
        assert_eq!(seen, BTreeSet::from([1000]), "{port}");
    }
}

/// CVE-2020-25705: a limit of ICMP errors for all told which ports were open, by datagrams in the
/// name of a name server.
#[test]
fn icmp_errors_for_others_cost_the_attacker_none_of_his_own() {
    let probe = |n: u32| datagram(CLIENT, u16::try_from(1000 + n).unwrap());
    let seen = counts(probe, 100, |_| datagram(ATTACKER, 999), 100);
    assert_eq!(seen, BTreeSet::from([6]));
}

/// Idle scans: the IDs of packets to the attacker tell how many others have got.
#[test]
fn the_ids_of_packets_count_nothing_that_others_get() {
    let ids = |seed, others: u32| {
        let mut host = Host::new(seed);
        host.answers((0..others).map(|n| segment(CLIENT, TcpFlags::ACK, 1 + n, 77)));
        host.answers((0..others.min(6)).map(|_| datagram(CLIENT, 999)));
        let to_attacker = [
            segment(ATTACKER, TcpFlags::RST, 100, 0),
            segment(SocketAddrV4::new(*ATTACKER.ip(), 1), TcpFlags::ACK, 1, 1),
            datagram(ATTACKER, 999),
        ];
        to_attacker.map(|packet| host.receive(&packet)[0].ident)
    };
    for seed in 1..=3 {
        let quiet = ids(seed, 0);
        assert_eq!(ids(seed, 300), quiet);
        assert_eq!(quiet[..2], [0, 0], "DF: nobody may fragment it (RFC 6864 §4.1)");
    }
}

/// RFC 6056 §3.2: it is the four-tuple that must be new, and no port that listens or waits is it.
#[test]
fn an_ephemeral_port_serves_several_peers_and_each_once() {
    let script = "
        +0    connect to 10.7.0.1:1
        +0    > S  0:0(0) <...>
        +0    a: connect to 10.7.0.1:2
        +0    a: > S  0:0(0) <...>
        +0    b: connect to 10.7.0.3:1
        +0    b: > S  0:0(0) <...>
        +0    c: connect to 10.7.0.1:1 error EADDRNOTAVAIL
        +0    < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    close
        +0    > F. 1:1(0) ack 1
        +0    < F. 1:1(0) ack 2 win 65535
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
        +0    d: connect to 10.7.0.1:1 error EADDRNOTAVAIL
    ";
    let change = |config: &mut StackConfig| {
        config.tcp.ephemeral_ports = (40_000, 40_000);
        (config.tcp.timestamps, config.tcp.sack) = (false, false);
    };
    config(change).plays(script);
    let listening = "
        +0    socket listen 40000
        +0    connect to 10.7.0.1:1 error EADDRNOTAVAIL
    ";
    config(change).plays(listening);
}

/// RFC 6056 §3.1: half of all guesses of the next port, from those before, would be right if they
/// were handed out in order.
#[test]
fn ephemeral_ports_cannot_be_told_from_those_before() {
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let mut stack = Stack::new(config, Seed::from_number(1)).unwrap();
    let mut ports = Vec::new();
    for _ in 0..2000 {
        let socket = stack.tcp_socket().unwrap();
        stack.connect(Instant::ZERO, socket, CLIENT.into()).unwrap_err();
        ports.push(stack.local_addr(socket).unwrap().port());
    }
    let distinct: BTreeSet<_> = ports.iter().collect();
    assert_eq!(distinct.len(), ports.len(), "one connection each");
    let steps: BTreeSet<_> = ports.windows(2).map(|p| p[1].wrapping_sub(p[0])).collect();
    assert!(steps.len() > 1800, "{} different steps", steps.len());
}

/// As Linux (`tcp_invalid_ratelimit`): whoever repeats a SYN in another's name does not have us
/// send him a SYN-ACK for each.
#[test]
fn a_syn_that_is_repeated_is_answered_twice_a_second_at_most() {
    let again = "< S  0:0(0) win 65535 <mss 1460>";
    Script::default().plays(&format!(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  {again}
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  {again}
        +0.3  {again}
        +0.1  {again}
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    {again}
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        "
    ));
    Script::default().plays(&format!(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  {again}
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  {again}
        +0.3  {again}
        +0.1  {again}
        +0    > S. 0:0(0) ack 1 <mss 1460>
        "
    ));
}
