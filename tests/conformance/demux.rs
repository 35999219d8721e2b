//! Whose segment it is, and which addresses no connection can have (RFC 9293 §3.9.2.3).

use wharf::sim::Script;

fn play(text: &str) {
    Script::default().plays(text);
}

#[test]
fn must_57_a_segment_to_a_broadcast_or_multicast_address_is_dropped_in_silence() {
    for destination in ["10.7.0.255", "255.255.255.255", "224.0.0.1", "239.1.2.3"] {
        for segment in ["S 0:0(0) win 9", ". 1:1(0) ack 1 win 9", "F. 1:1(0) ack 1", "- 1:1(0)"] {
            let script = format!(
                "
                +0    socket listen 80
                +0    listener set any_destination on
                +0    < {segment} to {destination}:80
                +0    < {segment} to {destination}:81
                +10   nothing
                +0    expect connections 0
                "
            );
            play(&script);
        }
    }
}

#[test]
fn must_63_a_segment_from_an_address_that_nobody_has_is_dropped_in_silence() {
    for source in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "10.7.0.255",
        "10.7.0.2",
    ] {
        for segment in ["S 0:0(0) win 9", ". 1:1(0) ack 1 win 9"] {
            let script = format!(
                "
                +0    socket listen 80
                +0    < {segment} from {source}:5000
                +0    < {segment} from {source}:5000 to 10.7.0.2:81
                +10   nothing
                +0    expect connections 0
                "
            );
            play(&script);
        }
    }
}

/// The LAND attack: a SYN from the very address and port that it is sent to.
#[test]
fn must_63_a_syn_from_the_listener_to_itself_is_dropped() {
    play(
        "
        +0    socket listen 80
        +0    < S 0:0(0) win 9 from 10.7.0.2:80 to 10.7.0.2:80
        +10   nothing
        +0    expect connections 0
        +0    expect dropped own_source 1
        ",
    );
}

#[test]
fn what_is_addressed_to_somebody_else_is_dropped_in_silence() {
    play(
        "
        +0    socket listen 80
        +0    < S 0:0(0) win 9 to 10.7.0.3:80
        +0    < S 0:0(0) win 9 to 192.0.2.1:80
        +10   nothing
        +0    expect dropped not_ours 2
        ",
    );
}

/// One number differs each time, and only the right four reach the connection.
#[test]
fn all_four_numbers_of_a_connection_count() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    < R  1:1(0) from 10.7.0.1:5001
        +0    < R  1:1(0) from 10.7.0.3:5000
        +0    < R  1:1(0) to 10.7.0.2:81
        +0    expect state ESTABLISHED
        +0    < R  1:1(0)
        +0    expect state CLOSED
        ",
    );
}

#[test]
fn two_connections_to_one_port_do_not_mix() {
    play(
        "
        +0    socket listen 80
        +0    a: < S  0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  a: < .  1:1(0) ack 1 win 65535
        +0    b: < .  1:1(0) ack 1 win 65535
        +0    a: accept
        +0    b: accept
        +0    a: < P. 1:101(100) ack 1 win 65535
        +0    b: < P. 1:11(10) ack 1 win 65535
        +0    b: expect readable
        +0    b: read 100 gives 10
        +0    a: read 200 gives 100
        +0    b: write 7
        +0    b: > P. 1:8(7) ack 11
        +0.04 a: > .  1:1(0) ack 101
        +0    b: < R  11:11(0)
        +0    a: expect state ESTABLISHED
        +0    b: expect state CLOSED
        ",
    );
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 9 to 10.7.0.2:81
        +0    > R. 0:0(0) ack 1 from 10.7.0.2:81
        +0    expect dropped no_tcp_socket 1
        ",
    );
}

/// RFC 791 and what our own header checks say: none of it reaches a listener.
#[test]
fn a_packet_that_is_cut_short_is_dropped() {
    for octets in [0, 1, 19, 20, 21, 39, 40, 43] {
        let script = format!(
            "
            +0    socket listen 80
            +0    < S 0:0(0) win 9 <mss 1460> cut {octets}
            +1    nothing
            +0    expect connections 0
            "
        );
        play(&script);
    }
}

/// IP options that we do not act on (RFC 9293 §3.9.2, MUST-50): NOP, and an unknown one.
#[test]
fn must_50_unknown_ip_options_are_ignored() {
    for options in ["01010101", "5e040000", "01010100"] {
        let script = format!(
            "
            +0    socket listen 80
            +0    < S  0:0(0) win 65535 <mss 1460> ip_options {options}
            +0    > S. 0:0(0) ack 1 <...>
            "
        );
        play(&script);
    }
}

/// RFC 7126 §4.3 and §4.4; instead of MUST-51 to MUST-53.
#[test]
fn a_source_route_is_dropped() {
    for options in ["830704c0000201", "890704c0000201"] {
        let script = format!(
            "
            +0    socket listen 80
            +0    < S 0:0(0) win 65535 <mss 1460> ip_options {options}00
            +1    nothing
            +0    expect connections 0
            +0    expect dropped source_route 1
            "
        );
        play(&script);
    }
}
