//! ICMP: RFC 792, RFC 1122 §3.2.2, and what errors mean to TCP (RFC 9293 §3.9.2.2, RFC 5927).

use wharf::sim::{Script, established};

fn play(text: &str) {
    Script::default().plays(text);
}

#[test]
fn an_echo_request_is_answered_with_its_own_data() {
    for len in [0, 1, 56, 1472] {
        let script = format!(
            "
            +0    < icmp echo_request id 7 seq 9 ({len})
            +0    > icmp echo_reply id 7 seq 9 ({len})
            "
        );
        play(&script);
    }
}

#[test]
fn an_echo_request_to_a_broadcast_or_with_a_wrong_checksum_is_not_answered() {
    play(
        "
        +0    < icmp echo_request id 7 seq 9 (8) to 10.7.0.255:0
        +0    < icmp echo_request id 7 seq 9 (8) to 224.0.0.1:0
        +0    < icmp echo_request id 7 seq 9 (8) bad_checksum
        +0    < icmp echo_request id 7 seq 9 (8) from 127.0.0.1:0
        +0    < icmp echo_reply id 7 seq 9 (8)
        +1    nothing
        ",
    );
}

#[test]
fn shld_26_port_unreachable_refuses_a_connection_that_is_being_opened() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < icmp unreachable port
        +0    expect pending ECONNREFUSED
        +0    expect connections 0
        +100  nothing
        ",
    );
}

/// What routers said while nobody answered tells more than the silence.
#[test]
fn must_47_an_unreachable_host_is_told_when_the_open_is_given_up_and_not_before() {
    crate::config(|config| config.tcp.connect_timeout = wharf::Duration::from_secs(5)).plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < icmp unreachable host
        +0    expect pending none
        +0    expect state SYN-SENT
        +0.9  > S  0:0(0) <...>
        +2    > S  0:0(0) <...>
        +2    nothing
        +0    expect pending EHOSTUNREACH
        ",
    );
}

/// RFC 5927 §4.1: whoever does not know the sequence number is guessing.
#[test]
fn must_54_an_error_about_another_sequence_number_is_ignored() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < icmp unreachable port quoting 1000000
        +0    expect state SYN-SENT
        +0    expect dropped icmp_quote 1
        +0.8  nothing
        ",
    );
}

/// RFC 9293 §3.9.2.2 and, for the hard ones of a synchronized connection, RFC 5461 §3.
#[test]
fn must_56_no_error_message_ends_an_open_connection() {
    for error in [
        "unreachable net",
        "unreachable host",
        "unreachable protocol",
        "unreachable port",
        "unreachable source_route",
        "unreachable 13",
        "time_exceeded 0",
        "time_exceeded 1",
        "parameter_problem 0",
        "source_quench",
    ] {
        let script = format!(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1
            +0.1  < icmp {error}
            +0    expect state ESTABLISHED
            +0    expect pending none
            +0    < .  1:1(0) ack 11 win 512
            +0    write 10
            +0    > P. 11:21(10) ack 1
            "
        );
        established("").plays(&script);
    }
}

#[test]
fn must_55_source_quench_changes_nothing() {
    established("mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0    < icmp source_quench
        +0    expect cwnd 10000
        +0.1  < .  1:1(0) ack 1001 win 512
        +1    nothing
        ",
    );
}

/// RFC 1122 §3.2.2: an error about an error is never sent.
#[test]
fn an_error_that_is_cut_short_or_quotes_nothing_of_ours_is_dropped_in_silence() {
    play(
        "
        +0    < icmp unreachable port
        +0    < icmp unreachable port cut 30
        +0    < icmp time_exceeded 0
        +1    nothing
        ",
    );
}
