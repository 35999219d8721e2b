//! Path-MTU discovery: RFC 1191 and the hardening of RFC 5927 §7.

use std::fmt::Write as _;

use wharf::Duration;
use wharf::sim::{Script, established};

use crate::config;

pub(crate) const TOO_BIG: &str = "< icmp unreachable fragmentation_needed mtu";

#[test]
fn what_was_too_big_is_sent_again_at_once_in_segments_that_fit() {
    let script = format!(
        "
        +0    write 2920
        +0    > .  1:1461(1460) ack 1
        +0    > P. 1461:2921(1460) ack 1
        +0.01 {TOO_BIG} 1000 quoting 1
        +0    > .  1:961(960) ack 1
        +0    > .  961:1921(960) ack 1
        +0    > .  1921:2881(960) ack 1
        +0    > P. 2881:2921(40) ack 1
        +0    expect send_mss 960
        +0    expect cwnd 14600
        # The second one was too big as well; there is nothing new in that.
        +0    {TOO_BIG} 1000 quoting 1461
        +0.09 < .  1:1(0) ack 2921 win 512
        +0    write 1920
        +0    > .  2921:3881(960) ack 1
        +0    > P. 3881:4841(960) ack 1
        +0.1  < .  1:1(0) ack 4841 win 512
        +0    expect ssthresh 4294967295
        +100  nothing
        "
    );
    established("").plays(&script);
}

#[test]
fn segments_that_fit_anyway_are_not_sent_again() {
    let script = format!(
        "
        +0    nodelay on
        +0    write 100
        +0    > P. 1:101(100) ack 1
        +0    write 1460
        +0    > P. 101:1561(1460) ack 1
        +0    write 100
        +0    > P. 1561:1661(100) ack 1
        +0.01 {TOO_BIG} 1000 quoting 101
        +0    > .  101:1061(960) ack 1
        +0    > .  1061:1561(500) ack 1
        # Duplicates that the last one makes are no sign of loss.
        +0.01 < .  1:1(0) ack 101 win 512
        +0    < .  1:1(0) ack 101 win 512
        +0    < .  1:1(0) ack 101 win 512
        +0    < .  1:1(0) ack 101 win 512
        +0.05 < .  1:1(0) ack 1661 win 512
        +0    expect cwnd 14600
        +100  nothing
        "
    );
    established("").plays(&script);
}

/// As Linux (`tcp_simple_retransmit`): the news is for what comes.
#[test]
fn nothing_is_sent_again_if_all_that_is_outstanding_fits() {
    for (connection, write) in [("", 960), ("ts on", 948)] {
        let (second, end) = (write + 1, 2 * write + 1);
        let script = format!(
            "
            +0    nodelay on
            +0    write {write}
            +0    > P. 1:{second}({write}) ack 1 <...>
            +0    write {write}
            +0    > P. {second}:{end}({write}) ack 1 <...>
            +0.01 {TOO_BIG} 1000 quoting 1
            +0    expect send_mss {write}
            +0.05 {TOO_BIG} 999 quoting 1
            +0    > .  1:{write}({less}) ack 1 <...>
            +0    > .  {write}:{third}({less}) ack 1 <...>
            +0    > P. {third}:{end}(2) ack 1 <...>
            ",
            less = write - 1,
            third = 2 * write - 1,
        );
        established(connection).plays(&script);
    }
}

/// RFC 1191 §6.4: it is no congestion, and the timer does not back off.
#[test]
fn a_segment_that_is_too_big_costs_no_timeout_and_the_next_timeout_is_the_first() {
    let script = format!(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0.2  {TOO_BIG} 1000 quoting 1
        +0    > .  1:961(960) ack 1
        +0    > P. 961:1461(500) ack 1
        +0    expect rto_ms 300
        # Only now did something get lost.
        +0.3  > .  1:961(960) ack 1
        +0    expect rto_ms 600
        +0    expect cwnd 960
        +0    expect ssthresh 1920
        +0.1  < .  1:1(0) ack 961 win 512
        +0    > P. 961:1461(500) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        +100  nothing
        "
    );
    established("").plays(&script);
}

#[test]
fn a_fin_with_the_last_octets_is_sent_again_behind_them() {
    let script = format!(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0    set cork on
        +0    write 700
        +0    shutdown write
        +0    > FP. 1461:2161(700) ack 1
        +0.01 {TOO_BIG} 600 quoting 1
        +0    > .  1:561(560) ack 1
        +0    > .  561:1121(560) ack 1
        +0    > .  1121:1681(560) ack 1
        +0    > FP. 1681:2161(480) ack 1
        +0.1  < .  1:1(0) ack 2162 win 512
        +10   nothing
        "
    );
    established("").plays(&script);
}

/// RFC 5927 §4.1 and §7; RFC 1191 §3: no message makes it more, or less than the floor.
#[test]
fn must_54_a_message_counts_only_if_what_it_quotes_is_in_flight_and_ptb_never_raises() {
    let script = format!(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        # All of it is acknowledged: none of it was too big.
        +0    {TOO_BIG} 1000 quoting 1
        +0    write 1460
        +0    > P. 1461:2921(1460) ack 1
        +0    {TOO_BIG} 1000 quoting 1460
        +0    {TOO_BIG} 1000 quoting 2921
        +0    {TOO_BIG} 1000 quoting 4000000000
        +0    expect dropped icmp_quote 4
        +0    {TOO_BIG} 1000 quoting 1461 quoting_port 81
        +0    expect dropped icmp_unused 1
        +0    {TOO_BIG} 1500 quoting 1461
        +0    {TOO_BIG} 9000 quoting 1461
        +0    expect send_mss 1460
        +0    {TOO_BIG} 68 quoting 2920
        +0    > .  1461:1973(512) ack 1
        +0    > .  1973:2485(512) ack 1
        +0    > P. 2485:2921(436) ack 1
        +0    {TOO_BIG} 1400 quoting 1461
        +0    expect send_mss 512
        +0.1  < .  1:1(0) ack 2921 win 512
        +10   nothing
        "
    );
    established("").plays(&script);
}

#[test]
fn the_floor_is_what_the_configuration_says() {
    for (floor, mss) in [(150, 110), (576, 536), (1300, 1260)] {
        let mut script = format!(
            "+0 write 1460
             +0 > P. 1:1461(1460) ack 1
             +0 {TOO_BIG} 100 quoting 1\n"
        );
        for start in (0..1460).step_by(mss) {
            let end = (start + mss).min(1460);
            let (flags, len) = (if end == 1460 { "P." } else { "." }, end - start);
            writeln!(script, "+0 > {flags} {}:{}({len}) ack 1", start + 1, end + 1).unwrap();
        }
        config(|config| config.tcp.path_mtu_min = floor).established("").plays(&script);
    }
}

/// RFC 1191 §7: a router before it names no size, and the next plateau is tried.
#[test]
fn a_router_that_names_no_size_brings_it_down_plateau_by_plateau() {
    let script = format!(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0    {TOO_BIG} 0
        +0    > .  1:1453(1452) ack 1
        +0    > P. 1453:1461(8) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        +0    write 1452
        +0    > P. 1461:2913(1452) ack 1
        +0    {TOO_BIG} 0
        +0    > .  1461:2427(966) ack 1
        +0    > P. 2427:2913(486) ack 1
        +0.1  < .  1:1(0) ack 2913 win 512
        +0    write 966
        +0    > P. 2913:3879(966) ack 1
        +0    {TOO_BIG} 0
        +0    > .  2913:3425(512) ack 1
        +0    > P. 3425:3879(454) ack 1
        +0.1  < .  1:1(0) ack 3879 win 512
        +10   nothing
        "
    );
    established("").plays(&script);
}

#[test]
fn another_connection_to_the_same_host_learns_it_when_it_sends_and_a_later_one_from_the_start() {
    let script = format!(
        "
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  b: < .  1:1(0) ack 1 win 65535
        +0    b: accept
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0    {TOO_BIG} 1000 quoting 1
        +0    > .  1:961(960) ack 1
        +0    > P. 961:1461(500) ack 1
        +0    b: write 1460
        +0    b: > .  1:961(960) ack 1
        +0    b: > P. 961:1461(500) ack 1
        # What we announce is what we take: no path changes that (RFC 9293 §3.7.1, MUST-67).
        +0    c: < S  0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <mss 1460>
        +0.1  c: < .  1:1(0) ack 1 win 65535
        +0    c: accept
        +0    c: expect path_mtu 1000
        +0    c: expect send_mss 960
        +0    c: expect cwnd 9600
        +0    c: write 1460
        +0    c: > .  1:961(960) ack 1
        +0    c: > P. 961:1461(500) ack 1
        "
    );
    established("").plays(&script);
}

/// As Linux: it is the route's, whatever the two ends take.
#[test]
fn the_path_mtu_that_is_told_is_the_interfaces_until_a_router_says_less() {
    for (offered, largest, mss) in [
        ("<mss 1460>", "off", 1460),
        ("<mss 1000>", "off", 1000),
        ("", "off", 536),
        ("<mss 1460>", "700", 700),
    ] {
        Script::default().plays(&format!(
            "
            +0    socket listen 80
            +0    listener set max_segment {largest}
            +0    < S  0:0(0) win 65535 {offered}
            +0    > S. 0:0(0) ack 1 <...>
            +0.1  < .  1:1(0) ack 1 win 65535
            +0    accept
            +0    expect path_mtu 1500
            +0    expect send_mss {mss}
            +0    write 400
            +0    > P. 1:401(400) ack 1
            +0    {TOO_BIG} 1000 quoting 1
            +0    expect path_mtu 1000
            "
        ));
    }
}

/// RFC 1191 §6.3.
#[test]
fn ten_minutes_later_the_path_is_tried_anew() {
    let script = format!(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0    {TOO_BIG} 1000 quoting 1
        +0    > .  1:961(960) ack 1
        +0    > P. 961:1461(500) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        +599  write 1000
        +0    > .  1461:2421(960) ack 1
        +0    > P. 2421:2461(40) ack 1
        +0.1  < .  1:1(0) ack 2461 win 512
        +0.8  write 1460
        +0    > P. 2461:3921(1460) ack 1
        +0.1  < .  1:1(0) ack 3921 win 512
        +10   nothing
        "
    );
    established("").plays(&script);
}

/// RFC 9293 §3.7.3: the interface's MTU is the least that it ever has; and the SYN says what we
/// can take whatever a path carries.
#[test]
fn shld_6_the_mss_that_we_announce_follows_from_the_mtu_of_the_interface() {
    for (mtu, mss) in [(68, 28), (576, 536), (1500, 1460), (9000, 8960), (65_535, 65_495)] {
        let script = format!(
            "
            +0    connect
            +0    > S  0:0(0) <mss {mss},wscale 3>
            "
        );
        let change = |config: &mut wharf::StackConfig| {
            config.interface.mtu = mtu;
            (config.tcp.timestamps, config.tcp.sack) = (false, false);
        };
        config(change).plays(&script);
    }
}

/// A path that changes under way, with a router that tells, or one that names no size.
#[test]
fn a_transfer_survives_a_path_that_narrows_and_widens() {
    use wharf::sim::{Path, Plan, Router, Simulation};
    for router in [Router::Tells, Router::TellsNoSize] {
        let mut world = Simulation::pair(1, "delay=10ms".parse().unwrap());
        let at = |ms| wharf::Instant::from_millis(ms);
        for host in 0..2 {
            let path = Path::new(router, 1500).then(at(50), 1280).then(at(90), 600);
            world.set_path(host, Some(path.then(at(150), 1500)));
        }
        world.serve(1, 80, |_| Plan::bulk(400_000));
        world.connect(0, None, "10.7.0.2:80".parse().unwrap(), Plan::bulk(400_000));
        assert!(world.run_until_done(Duration::from_secs(5)), "{router:?}: it stalled");
        world.finish(Duration::from_hours(1), "a path that narrows and widens");
    }
}
