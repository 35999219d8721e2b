//! Closing: RFC 9293 §3.6, every order of the two FINs.

use wharf::sim::{Script, established};

/// RFC 9293 §3.6, Figure 12, from the side that closes first.
#[test]
fn closing_first_goes_through_fin_wait_to_time_wait() {
    established("").plays(
        "
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0    expect state FIN-WAIT-1
        +0.1  < .  1:1(0) ack 2 win 512
        +0    expect state FIN-WAIT-2
        +0.1  < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
        +0    read eof
        +0    close
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// RFC 9293 §3.6, Figure 12, from the other side: no TIME-WAIT here.
#[test]
fn closing_second_goes_through_close_wait_and_last_ack_to_nothing() {
    established("").plays(
        "
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    expect state CLOSE-WAIT
        +0    expect read_closed
        +0    read eof
        +0    close
        +0    > F. 1:1(0) ack 2
        +0    expect state LAST-ACK
        +0.1  < .  2:2(0) ack 2 win 512
        +0    expect connections 0
        +100  nothing
        ",
    );
}

/// RFC 9293 §3.6, Figure 13.
#[test]
fn closing_at_once_goes_through_closing_to_time_wait() {
    established("").plays(
        "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  2:2(0) ack 2
        +0    expect state CLOSING
        +0.1  < .  2:2(0) ack 2 win 512
        +0    expect state TIME-WAIT
        +60   nothing
        +0    expect connections 0
        ",
    );
}

#[test]
fn a_fin_that_acknowledges_ours_ends_fin_wait_1_at_once() {
    established("").plays(
        "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
        ",
    );
}

/// RFC 9293 §3.6.1: after our FIN the peer may go on for as long as it likes.
#[test]
fn after_shutdown_reading_goes_on() {
    established("").plays(
        "
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0    write 1 error EPIPE
        +0.1  < .  1:1(0) ack 2 win 512
        +500  < P. 1:101(100) ack 2 win 512
        +0.04 > .  2:2(0) ack 101
        +0    read 100
        +500  < FP. 101:201(100) ack 2 win 512
        +0    > .  2:2(0) ack 202
        +0    read 100
        +0    read eof
        ",
    );
}

/// RFC 9293 §3.6.1: the peer's FIN ends only its own direction.
#[test]
fn after_the_peers_fin_writing_goes_on() {
    established("mss 1000").plays(
        "
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    read eof
        +100  write 1000
        +0    > P. 1:1001(1000) ack 2
        +0.1  < .  2:2(0) ack 1001 win 512
        +0    write 10
        +0    > P. 1001:1011(10) ack 2
        +0    close
        +0    > F. 1011:1011(0) ack 2
        +0.1  < .  2:2(0) ack 1012 win 512
        +0    expect connections 0
        ",
    );
}

#[test]
fn a_fin_leaves_with_the_last_data() {
    established("mss 1000").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 1500
        +0    > .  11:1011(1000) ack 1
        +0    close
        +0    > FP. 1011:1511(500) ack 1
        ",
    );
}

#[test]
fn a_fin_that_is_lost_is_sent_again() {
    established("rtt 100ms").plays(
        "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.3  > F. 1:1(0) ack 1
        +0.6  > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +0    expect state FIN-WAIT-2
        ",
    );
}

#[test]
fn data_and_fin_that_are_lost_are_sent_again_together() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    close
        +0    > F. 11:11(0) ack 1
        +0.3  > FP. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 12 win 512
        +0    expect state FIN-WAIT-2
        ",
    );
}

/// An acknowledgment of the data is none of the FIN behind it.
#[test]
fn a_fin_counts_as_acknowledged_only_when_it_is() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    close
        +0    > F. 11:11(0) ack 1
        +0.1  < .  1:1(0) ack 11 win 512
        +0    expect state FIN-WAIT-1
        +0.3  > F. 11:11(0) ack 1
        ",
    );
}

#[test]
fn a_fin_that_comes_early_waits_for_the_data_before_it() {
    established("").plays(
        "
        +0    < F. 101:101(0) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        +0    < P. 1:101(100) ack 1 win 512
        +0    > .  1:1(0) ack 102
        +0    expect state CLOSE-WAIT
        +0    read 100
        +0    read eof
        ",
    );
}

#[test]
fn a_fin_that_comes_again_is_acknowledged_again() {
    established("").plays(
        "
        +0    < FP. 1:101(100) ack 1 win 512
        +0    > .  1:1(0) ack 102
        +0    < FP. 1:101(100) ack 1 win 512
        +0    > .  1:1(0) ack 102
        +0    < F. 101:101(0) ack 1 win 512
        +0    > .  1:1(0) ack 102
        +0    read 100
        +0    read eof
        ",
    );
}

/// RFC 9293 §3.10.7.4, seventh step: behind a FIN there is nothing.
#[test]
fn data_behind_a_fin_is_not_delivered() {
    established("").plays(
        "
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    < P. 2:102(100) ack 1 win 512
        +0.5  expect state CLOSE-WAIT
        +0    read eof
        ",
    );
}

#[test]
fn shld_3_closing_with_unread_data_resets() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    close
        +0    > R. 1:1(0) ack 101
        +0    expect connections 0
        ",
    );
}

#[test]
fn shld_3_data_after_close_is_answered_by_a_reset() {
    established("").plays(
        "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +0.1  < .  101:101(0) ack 2 win 512
        +0.1  < P. 101:201(100) ack 2 win 512
        +0    > R  2:2(0)
        +0    expect connections 0
        ",
    );
}

#[test]
fn shutdown_of_reading_gives_the_end_of_the_stream_at_once() {
    established("").plays(
        "
        +0    shutdown read
        +0    read eof
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 11 win 512
        ",
    );
}

/// Nobody can read any more, and the peer never closes: Linux waits for a minute, and so do we.
#[test]
fn fin_wait_2_without_a_socket_ends_after_a_minute() {
    established("").plays(
        "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +59   expect state FIN-WAIT-2
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// What was written before the close still arrives, however long it takes.
#[test]
fn close_sends_what_was_written() {
    established("rtt 100ms, mss 1000, wscale off, win 1000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    close
        +0    expect state FIN-WAIT-1
        +0.1  < .  1:1(0) ack 1001 win 1000
        +0    > .  1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 2001 win 1000
        +0    > FP. 2001:3001(1000) ack 1
        +0.1  < F. 1:1(0) ack 3002 win 1000
        +0    > .  3002:3002(0) ack 2
        +0    expect state TIME-WAIT
        ",
    );
}

#[test]
fn a_reset_in_each_closing_state_ends_the_connection() {
    let close = "+0 close\n+0 > F. 1:1(0) ack 1\n";
    let fin = "+0 < F. 1:1(0) ack 1 win 9\n";
    for (state, until, nxt) in [
        ("FIN-WAIT-1", close.to_owned(), 1),
        ("FIN-WAIT-2", format!("{close}+0 < . 1:1(0) ack 2 win 9\n"), 1),
        ("CLOSING", format!("{close}{fin}+0 > . 2:2(0) ack 2\n"), 2),
        ("CLOSE-WAIT", format!("{fin}+0 > . 1:1(0) ack 2\n"), 2),
        ("LAST-ACK", format!("{fin}+0 > . 1:1(0) ack 2\n+0 close\n+0 > F. 1:1(0) ack 2\n"), 2),
    ] {
        let script = format!(
            "{until}
            +0    expect state {state}
            +0    < R. {nxt}:{nxt}(0) ack 2
            +0    expect connections 0
            +100  nothing
            "
        );
        established("").plays(&script);
    }
}

/// Whoever closes without a peer gives up as a sender of data does.
#[test]
fn fin_wait_1_closing_and_last_ack_give_up_on_a_silent_peer() {
    let script = "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.3  > F. 1:1(0) ack 1
        +0.6  > F. 1:1(0) ack 1
        +1.2  > F. 1:1(0) ack 1
        +2.9  nothing
        +0    expect connections 0
        +100  nothing
    ";
    crate::config(|config| config.tcp.give_up_after = wharf::Duration::from_secs(4))
        .established("rtt 100ms")
        .plays(&script.replace("+2.9 ", "+1.9 "));
}

/// A peer that sends text and then a FIN left of its end contradicts itself; the FIN holds, and
/// the connection does not stand still between two states.
#[test]
fn a_fin_left_of_text_that_came_early_ends_the_text() {
    established("").plays(
        "
        +0    < P. 41:61(20) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < F. 51:51(0) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < P. 1:41(40) ack 1 win 512
        +0    > .  1:1(0) ack 52
        +0    expect state CLOSE-WAIT
        +0    read 50
        +0    read eof
        +0    close
        +0    > F. 1:1(0) ack 52
        +0.1  < .  52:52(0) ack 2 win 512
        +0    expect connections 0
        ",
    );
}

/// It is said of reading alone: no FIN follows the handshake.
#[test]
fn shutdown_of_reading_in_syn_received_holds_once_the_handshake_is_through() {
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    shutdown read
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    expect state ESTABLISHED
        +0    read eof
        +10   nothing
        ",
    );
}
