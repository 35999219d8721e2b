//! ICMP: RFC 792, RFC 1122 §3.2.2, and what errors mean to TCP (RFC 9293 §3.9.2.2, RFC 5927).

use std::fmt::Write as _;

use wharf::DropReason;
use wharf::sim::{Script, established};

use Meaning::{Hard, Nothing, Soft};

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

/// RFC 9293 §3.9.2.2 and, for the hard ones of a synchronized connection, RFC 5927 §5.2.
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

/// What an error does.
#[derive(Clone, Copy, PartialEq)]
enum Meaning {
    /// It may pass.
    Soft(&'static str),
    /// It will not.
    Hard(&'static str),
    /// It means nothing to TCP, or nothing here.
    Nothing,
}

/// Every error that there is, and some that there are not.
const ERRORS: &[(&str, Meaning)] = &[
    ("unreachable 0", Soft("ENETUNREACH")),
    ("unreachable 1", Soft("EHOSTUNREACH")),
    ("unreachable 2", Hard("ECONNREFUSED")),
    ("unreachable 3", Hard("ECONNREFUSED")),
    ("unreachable 4 mtu 1400", Nothing),
    ("unreachable 5", Soft("EHOSTUNREACH")),
    ("unreachable 6", Soft("ENETUNREACH")),
    ("unreachable 7", Soft("EHOSTUNREACH")),
    ("unreachable 8", Soft("EHOSTUNREACH")),
    ("unreachable 9", Hard("EHOSTUNREACH")),
    ("unreachable 10", Hard("EHOSTUNREACH")),
    ("unreachable 11", Soft("ENETUNREACH")),
    ("unreachable 12", Soft("EHOSTUNREACH")),
    ("unreachable 13", Hard("EHOSTUNREACH")),
    ("unreachable 14", Soft("EHOSTUNREACH")),
    ("unreachable 15", Soft("EHOSTUNREACH")),
    ("unreachable 16", Nothing),
    ("unreachable 255", Nothing),
    ("time_exceeded 0", Soft("EHOSTUNREACH")),
    ("time_exceeded 1", Soft("EHOSTUNREACH")),
    ("time_exceeded 2", Nothing),
    ("parameter_problem 0", Soft("EHOSTUNREACH")),
    ("parameter_problem 1", Soft("EHOSTUNREACH")),
    ("source_quench", Nothing),
];

/// A connection in each state, its last segment on its way; and whether it is being opened, and
/// whether a socket has it.
struct State {
    name: &'static str,
    is_opening: bool,
    has_socket: bool,
    script: &'static str,
}

const STATES: &[State] = &[
    State {
        name: "SYN-SENT",
        is_opening: true,
        has_socket: true,
        script: "+0 connect
                 +0 > S 0:0(0) <...>",
    },
    State {
        name: "SYN-RECEIVED", // Both have opened.
        is_opening: true,
        has_socket: true,
        script: "+0 connect
                 +0 > S 0:0(0) <...>
                 +0 < S 0:0(0) win 65535 <mss 1460>
                 +0 > S. 0:0(0) ack 1 <...>",
    },
    State {
        name: "SYN-RECEIVED",
        is_opening: true,
        has_socket: false,
        script: "+0 socket listen 80
                 +0 < S 0:0(0) win 65535 <mss 1460>
                 +0 > S. 0:0(0) ack 1 <...>",
    },
    State {
        name: "ESTABLISHED",
        is_opening: false,
        has_socket: true,
        script: "+0 socket listen 80
                 +0 < S 0:0(0) win 65535 <mss 1460>
                 +0 > S. 0:0(0) ack 1 <...>
                 +0 < . 1:1(0) ack 1 win 65535
                 +0 accept
                 +0 write 10
                 +0 > P. 1:11(10) ack 1",
    },
    State {
        name: "CLOSE-WAIT",
        is_opening: false,
        has_socket: true,
        script: "+0 socket listen 80
                 +0 < S 0:0(0) win 65535 <mss 1460>
                 +0 > S. 0:0(0) ack 1 <...>
                 +0 < . 1:1(0) ack 1 win 65535
                 +0 accept
                 +0 < F. 1:1(0) ack 1 win 65535
                 +0 > . 1:1(0) ack 2
                 +0 write 10
                 +0 > P. 1:11(10) ack 2",
    },
    State {
        name: "TIME-WAIT",
        is_opening: false,
        has_socket: false,
        script: "+0 socket listen 80
                 +0 < S 0:0(0) win 65535 <mss 1460>
                 +0 > S. 0:0(0) ack 1 <...>
                 +0 < . 1:1(0) ack 1 win 65535
                 +0 accept
                 +0 close
                 +0 > F. 1:1(0) ack 1
                 +0 < F. 1:1(0) ack 2 win 65535
                 +0 > . 2:2(0) ack 2",
    },
];

/// SHLD-26 with RFC 5927 §5.2: a hard error ends an open that is under way and nothing else;
/// MUST-56: a soft one ends nothing.
#[test]
fn each_error_does_in_each_state_what_rfc_9293_and_rfc_5927_say() {
    for state in STATES {
        for &(error, meaning) in ERRORS {
            let (mut after, mut reported) = (state.name, String::new());
            match meaning {
                Hard(name) if state.is_opening => {
                    after = "CLOSED";
                    reported = format!("+0 expect pending {name}");
                }
                Hard(name) | Soft(name) => reported = format!("+0 expect soft {name}"),
                Nothing => {}
            }
            if !state.has_socket {
                reported.clear();
            }
            let too_big =
                error == "unreachable 4 mtu 1400" && state.has_socket && !state.is_opening;
            let is_ignored = (meaning == Nothing && !too_big) || state.name == "TIME-WAIT";
            let script = format!(
                "{}
                 +0 < icmp {error} from 192.0.2.1:0
                 +0 nothing
                 +0 expect state {after}
                 +0 expect dropped icmp_unused {}
                 +0 expect dropped icmp_quote 0
                 {reported}",
                state.script,
                u32::from(is_ignored),
            );
            if let Err(failure) = Script::default().run(&script) {
                panic!("{} {error}: {failure}", state.name);
            }
        }
    }
}

/// MUST-54 and RFC 5927 §4.1: whoever is not on the path does not know what is in flight.
#[test]
fn must_54_no_error_in_any_state_counts_with_a_quote_of_something_else() {
    for state in STATES {
        for &(error, meaning) in ERRORS {
            for (quote, reason) in [
                ("quoting 4294967295", DropReason::IcmpQuote),
                ("quoting 12", DropReason::IcmpQuote),
                ("quoting_port 81", DropReason::IcmpUnused),
                ("quoting_octets 27", DropReason::IcmpQuote),
                ("quoting_octets 20", DropReason::IcmpQuote),
                ("quoting_octets 0", DropReason::IcmpQuote),
            ] {
                let script = format!(
                    "{}
                     +0 < icmp {error} {quote}
                     +0 nothing
                     +0 expect state {}
                     {}",
                    state.script,
                    state.name,
                    if state.has_socket { "+0 expect soft none" } else { "" },
                );
                let what = format!("{} {error} {quote}", state.name);
                let played = Script::default().run(&script);
                let played = played.unwrap_or_else(|failure| panic!("{what}: {failure}"));
                // What is ignored for its own sake is not looked into.
                let is_unused = meaning == Nothing && !error.starts_with("unreachable 4");
                let ends = [DropReason::IcmpUnused, reason].map(|reason| played.dropped(reason));
                let is_over = state.name == "TIME-WAIT" && quote.starts_with("quoting ");
                let expected = if is_unused || is_over { ends[0] } else { ends[1] };
                assert_eq!(expected, 1, "{what}");
            }
        }
    }
}

#[test]
fn must_47_and_shld_25_what_routers_said_is_told_when_nothing_gets_through_any_more() {
    crate::config(|config| config.tcp.give_up_after = wharf::Duration::from_secs(1))
        .established("")
        .plays(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1
            +0.1  < icmp unreachable host
            +0    expect soft EHOSTUNREACH
            +0    expect pending none
            +0.2  > P. 1:11(10) ack 1
            +0.6  > P. 1:11(10) ack 1
            +0.1  nothing
            +0    expect state CLOSED
            +0    read error EHOSTUNREACH
            +0    read eof
            ",
        );
}

#[test]
fn what_routers_said_is_forgotten_once_something_gets_through() {
    crate::config(|config| config.tcp.give_up_after = wharf::Duration::from_secs(1))
        .established("")
        .plays(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1
            +0.1  < icmp unreachable host
            +0    < .  1:1(0) ack 11 win 512
            +0    expect soft none
            +0    write 10
            +0    > P. 11:21(10) ack 1
            +0.3  > P. 11:21(10) ack 1
            +0.6  > P. 11:21(10) ack 1
            +0.1  nothing
            +0    read error ETIMEDOUT
            ",
        );
}

/// As with IP_RECVERR on Linux; without it nothing is reported: that is how it is switched off.
#[test]
fn shld_20_reports_of_errors_are_off_and_come_at_once_when_they_are_asked_for() {
    established("").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < icmp time_exceeded 0
        +0    expect not error
        +0    expect pending none
        +0    set receive_errors 1
        +0    < icmp unreachable net
        +0    expect error
        +0    read error ENETUNREACH
        +0    expect not error
        +0    read error EAGAIN
        +0    expect state ESTABLISHED
        +0    < P. 1:11(10) ack 11 win 512
        +0    read 10
        +0.04 > .  11:11(0) ack 11
        ",
    );
}

/// RFC 1122 §3.2.2: what no ICMP error is ever about. The last line shows that one is about
/// anything else.
#[test]
fn no_error_is_sent_about_an_error_a_broadcast_a_fragment_or_a_source_that_is_no_host() {
    let mut script = String::new();
    for silent in [
        // Errors, of each type; and one of a type that there is not.
        "icmp unreachable port quoting_octets 0",
        "icmp unreachable protocol quoting_octets 0",
        "icmp time_exceeded 0 quoting_octets 0",
        "icmp time_exceeded 1 quoting_octets 0",
        "icmp parameter_problem 0 quoting_octets 0",
        "icmp source_quench quoting_octets 0",
        "icmp parameter_problem 0 quoting_octets 0 poke 20 63 bad_checksum",
        // To several hosts.
        "udp 5000>999 (9) to 10.7.0.255:999",
        "udp 5000>999 (9) to 255.255.255.255:999",
        "udp 5000>999 (9) to 224.0.0.1:999",
        "udp 5000>999 (9) to 239.255.255.250:999",
        "udp 5000>999 (9) to 10.7.0.255:999 poke 9 84",
        // A first fragment, a middle one, the last.
        "udp 5000>999 (9) poke 6 2000",
        "udp 5000>999 (9) poke 6 2001",
        "udp 5000>999 (9) poke 6 0001",
        // From no single host: any, loopback, broadcasts, a group, class E.
        "udp 5000>999 (9) from 0.0.0.0:5000",
        "udp 5000>999 (9) from 0.1.2.3:5000",
        "udp 5000>999 (9) from 127.0.0.1:5000",
        "udp 5000>999 (9) from 10.7.0.255:5000",
        "udp 5000>999 (9) from 255.255.255.255:5000",
        "udp 5000>999 (9) from 224.0.0.1:5000",
        "udp 5000>999 (9) from 240.0.0.1:5000",
        // What is damaged, and what is not for us.
        "udp 5000>999 (9) bad_checksum",
        "udp 5000>999 (9) poke 10 0000",
        "udp 5000>999 (9) to 10.7.0.3:999",
    ] {
        writeln!(script, "+0 < {silent}\n+0.1 nothing").unwrap();
    }
    script.push_str("+0 < udp 5000>999 (9)\n+0 > icmp unreachable port\n");
    script.push_str("+0 < udp 5000>999 (9) poke 9 84\n+0 > icmp unreachable protocol\n");
    play(&script);
}

/// RFC 5927 §4.1, and as Linux: our bare acknowledgments stand at SND.NXT, and a router may have
/// dropped one of them.
#[test]
fn must_54_an_error_about_a_bare_acknowledgment_is_about_us() {
    for (seq, dropped) in [(0, 1), (1, 0), (2, 1)] {
        established("").plays(&format!(
            "
            +0    < P. 1:11(10) ack 1 win 512
            +0.04 > .  1:1(0) ack 11
            +0    < icmp unreachable host quoting {seq}
            +0    expect dropped icmp_quote {dropped}
            "
        ));
    }
}
