//! Connections that no socket holds any more: how long they may take, and how many may be.

use std::fmt::Write as _;

use wharf::Duration;
use wharf::sim::{Script, established};

use super::config;

/// `line` after 0.3 s, and then again and again with twice the wait, up to a minute, until
/// `end`; `answer` comes after each.
fn with_backoff(line: &str, answer: &str, end: Duration) -> String {
    let (mut wait, mut at) = (Duration::from_millis(300), Duration::ZERO);
    let mut script = String::new();
    while at + wait < end {
        writeln!(script, "+{} {line}\n{answer}", wait.as_secs_f64()).expect("a String");
        at += wait;
        wait = (wait * 2).min(Duration::from_mins(1));
    }
    let rest = end.saturating_sub(at).as_secs_f64();
    writeln!(script, "+{rest} nothing").expect("a String");
    script
}

/// RFC 9293 §3.8.6.1, MUST-37, keeps a connection open while its peer answers the probes of its
/// shut window. Without a socket nobody would ever end that (RFC 6429); Linux has the same bound.
#[test]
fn an_orphan_whose_peer_keeps_the_window_shut_is_given_up_after_100_seconds() {
    let probe = "> . 0:0(0) ack 1";
    let answer = "+0 < . 1:1(0) ack 1 win 0";
    let until = with_backoff(probe, answer, Duration::from_secs(100));
    established("win 0").plays(&format!(
        "
        +0    write 10
        +0    close
        +0    expect state FIN-WAIT-1
        {until}
        +0    expect connections 0
        +0    < . 1:1(0) ack 1 win 500
        +0    > R 1:1(0)
        "
    ));
}

/// Whatever the state after `close`, a peer that says nothing more is not waited for.
#[test]
fn fin_wait_1_and_last_ack_and_closing_end_after_100_seconds_without_an_answer() {
    let fin_wait_1 = ("FIN-WAIT-1", "+0 close\n+0 > F. 1:1(0) ack 1", "> F. 1:1(0) ack 1");
    let closing = (
        "CLOSING",
        "+0 close\n+0 > F. 1:1(0) ack 1\n+0 < F. 1:1(0) ack 1 win 512\n+0 > . 2:2(0) ack 2",
        "> F. 1:1(0) ack 2",
    );
    let last_ack = (
        "LAST-ACK",
        "+0 < F. 1:1(0) ack 1 win 512\n+0 > . 1:1(0) ack 2\n+0 close\n+0 > F. 1:1(0) ack 2",
        "> F. 1:1(0) ack 2",
    );
    for (state, closed, fin) in [fin_wait_1, closing, last_ack] {
        let until = with_backoff(fin, "", Duration::from_secs(100));
        established("").plays(&format!(
            "{closed}
            +0    expect state {state}
            {until}
            +0    expect connections 0
            "
        ));
    }
}

/// The oldest is the one that was kept waiting longest.
#[test]
fn of_too_many_orphans_the_oldest_is_reset() {
    let open = |label: &str| {
        format!(
            "
        +0    {label}: < S 0:0(0) win 65535 <mss 1460>
        +0    {label}: > S. 0:0(0) ack 1 <...>
        +0.1  {label}: < . 1:1(0) ack 1 win 512
        +0    {label}: accept
        "
        )
    };
    let played = config(|config| config.limits.orphans_max = 2).plays(&format!(
        "
        +0    socket listen 80
        {}{}{}
        +0    b: close
        +0    b: > F. 1:1(0) ack 1
        +0    a: close
        +0    a: > F. 1:1(0) ack 1
        +0    a: expect state FIN-WAIT-1
        +0    c: close
        +0    c: > F. 1:1(0) ack 1
        +0    b: > R. 2:2(0) ack 1
        +0    expect connections 2
        +0    a: expect state FIN-WAIT-1
        +0    c: expect state FIN-WAIT-1
        ",
        open("a"),
        open("b"),
        open("c")
    ));
    assert_eq!((played.count("tcp_evicted_total"), played.stack.orphans()), (1, 2));
    played.stack.check();
}

/// A deadline of a flow that is gone is none of the one that has its place now.
#[test]
fn a_timer_of_a_connection_that_is_gone_does_nothing_to_the_next_one() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S 0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < . 1:1(0) ack 1 win 512
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < R 1:1(0)
        +0    close
        +0    incarnation 9000
        +0    < S 0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.05 < . 1:1(0) ack 1 win 512
        +0    accept
        +5    nothing
        +0    expect state ESTABLISHED
        ",
    );
}
