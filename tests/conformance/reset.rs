//! RST, SYN and ACK in synchronized states, and the RST that refuses an open: RFC 9293 §3.10.7,
//! RFC 5961.

use wharf::sim::{Script, established};

#[test]
fn must_12_a_reset_is_told_once_and_then_the_stream_is_over() {
    established("").plays(
        "
        +0    < R. 1:1(0) ack 1
        +0    expect connections 0
        +0    expect readable
        +0    read error ECONNRESET
        +0    read eof
        +0    read eof
        +0    write 1 error EPIPE
        +100  nothing
        ",
    );
}

#[test]
fn data_that_came_before_a_reset_stays_readable() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    < R  101:101(0)
        +0    read 60
        +0    read 60 gives 40
        +0    read error ECONNRESET
        +0    read eof
        ",
    );
}

#[test]
fn a_write_after_a_reset_tells_it_and_the_next_one_is_a_broken_pipe() {
    established("").plays(
        "
        +0    < R  1:1(0)
        +0    write 1 error ECONNRESET
        +0    write 1 error EPIPE
        +0    read eof
        ",
    );
}

#[test]
fn shld_2_a_reset_may_carry_text() {
    established("").plays(
        "
        +0    < R. 1:21(20) ack 1
        +0    expect connections 0
        +0    read error ECONNRESET
        ",
    );
}

/// RFC 5961 §3: whoever does not know RCV.NXT exactly gets a challenge, and the real peer can
/// answer it with the right number.
#[test]
fn a_reset_in_the_window_but_not_at_its_edge_is_challenged() {
    established("").plays(
        "
        +0    < R  2:2(0)
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        +0    expect dropped reset_not_exact 1
        +0    < R  1:1(0)
        +0    expect connections 0
        ",
    );
}

#[test]
fn a_reset_outside_of_the_window_is_dropped_in_silence() {
    established("").plays(
        "
        +0    < R  0:0(0)
        +0    < R  1000000:1000000(0)
        +0    < R. 4000000000:4000000000(0) ack 1
        +1    nothing
        +0    expect state ESTABLISHED
        +0    expect dropped below_window 2
        +0    expect dropped above_window 1
        ",
    );
}

/// RFC 5961 §4: whatever its sequence number.
#[test]
fn a_syn_on_an_open_connection_is_challenged_and_changes_nothing() {
    for seq in ["1", "2", "0", "70000", "3000000000"] {
        let script = format!(
            "
            +0    < S  {seq}:{seq}(0) win 65535 <mss 1460>
            +0    > .  1:1(0) ack 1
            +0    expect state ESTABLISHED
            +0    < P. 1:11(10) ack 1 win 512
            +0    read 10
            +0.04 > .  1:1(0) ack 11
            "
        );
        established("").plays(&script);
    }
}

/// RFC 5961 §7: half a second a connection.
#[test]
fn challenges_are_limited_to_two_a_second() {
    established("").plays(
        "
        +0    < R  2:2(0)
        +0    > .  1:1(0) ack 1
        +0.1  < R  2:2(0)
        +0.1  < S  2:2(0) win 9
        +0    < S  9000:9100(100) win 9
        +0    < S  100000000:100000100(100) win 9
        +0.2  < R  3:3(0)
        +0.1  < R  2:2(0)
        +0    > .  1:1(0) ack 1
        ",
    );
}

/// RFC 9293 §3.10.7.4, fifth step.
#[test]
fn an_ack_of_what_was_not_sent_is_answered_and_dropped() {
    established("").plays(
        "
        +0    < P. 1:11(10) ack 2 win 512
        +0    > .  1:1(0) ack 1
        +0    expect not readable
        +0    expect dropped ack_of_unsent 1
        ",
    );
}

/// RFC 5961 §5: older than the largest window that the peer has ever offered, or than our first
/// octet.
#[test]
fn may_12_an_ack_from_long_ago_is_answered_and_dropped() {
    established("wscale off, win 1000").plays(
        "
        +0    < P. 1:11(10) ack 4294900000 win 1000
        +0    > .  1:1(0) ack 1
        +0    expect not readable
        +0    expect dropped ack_too_old 1
        +0.5  < P. 1:11(10) ack 0 win 1000
        +0    > .  1:1(0) ack 1
        +0    expect not readable
        +0    expect dropped ack_too_old 2
        +0    write 100
        +0    > P. 1:101(100) ack 1
        +0    < .  1:1(0) ack 101 win 1000
        +0    < P. 1:11(10) ack 1 win 1000
        +0    expect readable
        +0.04 > .  101:101(0) ack 11
        ",
    );
}

/// RFC 9293 §3.10.7.4, fifth step.
#[test]
fn a_segment_without_ack_is_dropped() {
    established("").plays(
        "
        +0    < P  1:11(10) win 512
        +0    < F  1:1(0) win 512
        +1    nothing
        +0    expect not readable
        +0    expect state ESTABLISHED
        +0    expect dropped no_ack 2
        ",
    );
}

#[test]
fn data_outside_of_the_window_is_acknowledged_and_dropped() {
    established("").plays(
        "
        +0    < P. 1000001:1000011(10) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    expect not readable
        ",
    );
}

/// RFC 9293 §3.5.2: where the RST stands depends on whether there is an ACK to take it from.
#[test]
fn what_nobody_owns_is_reset() {
    Script::default().plays(
        "
        +0    < S  100:100(0) win 9 <mss 1460>
        +0    > R. 0:0(0) ack 101
        +0    < S  100:110(10) win 9
        +0    > R. 0:0(0) ack 111
        +0    < F  100:110(10) win 9
        +0    > R. 0:0(0) ack 111
        +0    < -  100:110(10)
        +0    > R. 0:0(0) ack 110
        +0    < P. 100:110(10) ack 77 win 9
        +0    > R  77:77(0)
        +0    < S. 100:100(0) ack 78 win 9
        +0    > R  78:78(0)
        +0    < F. 100:100(0) ack 79 win 9
        +0    > R  79:79(0)
        ",
    );
}

#[test]
fn a_reset_is_never_answered() {
    Script::default().plays(
        "
        +0    < R  100:100(0)
        +0    < R. 100:100(0) ack 77
        +0    < SR 100:100(0)
        +0    socket listen 80
        +0    < R  100:100(0)
        +0    < R. 100:100(0) ack 77
        +1    nothing
        ",
    );
}

#[test]
fn abort_resets_at_once() {
    established("").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    abort
        +0    > R. 11:11(0) ack 1
        +0    expect connections 0
        +0    < .  1:1(0) ack 11 win 512
        +0    > R  11:11(0)
        +100  nothing
        ",
    );
}

/// A window that was taken back holds no RST either: as Linux, ours stands at its edge, for past it
/// the peer would drop it and never know.
#[test]
fn abort_resets_inside_of_a_window_that_the_peer_has_shrunk() {
    for (window, edge) in [(0, 1001), (500, 1501), (3000, 3001)] {
        established("rtt 100ms, mss 1000, wscale off, win 3000").plays(&format!(
            "
            +0    write 3000
            +0    > .  1:1001(1000) ack 1
            +0    > .  1001:2001(1000) ack 1
            +0    > P. 2001:3001(1000) ack 1
            +0.1  < .  1:1(0) ack 1001 win {window}
            +0    abort
            +0    > R. {edge}:{edge}(0) ack 1
            +10   nothing
            "
        ));
    }
}

/// As Linux: the end of the file was reached before the RST and stays the end of the file; the
/// error is the writer's.
#[test]
fn after_the_peers_fin_a_reset_is_no_error_for_the_reader() {
    established("").plays(
        "
        +0    < FP. 1:11(10) ack 1 win 512
        +0    > .  1:1(0) ack 12
        +0    < R  12:12(0)
        +0    read 10
        +0    read eof
        +0    write 1 error EPIPE
        +0    read eof
        ",
    );
}

/// As Linux: POLLHUP stays, so that nobody waits for what cannot come.
#[test]
fn an_open_that_was_refused_leaves_both_directions_closed() {
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0    expect not read_closed
        +0.1  < R. 0:0(0) ack 1
        +0    read error ECONNREFUSED
        +0    expect not error
        +0    expect readable
        +0    expect writable
        +0    expect read_closed
        +0    expect write_closed
        +0    read eof
        +0    write 1 error EPIPE
        ",
    );
}

/// ABORT in CLOSING and LAST-ACK tells nobody (RFC 9293 §3.10.5), unless text is lost by it.
#[test]
fn a_close_with_a_linger_time_of_zero_resets_after_both_fins_only_what_has_text_unread() {
    for (read, reset) in [("", "+0 > R. 2:2(0) ack 12"), ("+0 read 10", "")] {
        for (state, fins) in [
            (
                "CLOSING",
                "+0 shutdown write\n+0 > F. 1:1(0) ack 11\n+0 < F. 11:11(0) ack 1 win 512\n\
                 +0 > . 2:2(0) ack 12",
            ),
            (
                "LAST-ACK",
                "+0 < F. 11:11(0) ack 1 win 512\n+0 > . 1:1(0) ack 12\n+0 shutdown write\n\
                 +0 > F. 1:1(0) ack 12",
            ),
        ] {
            established("").plays(&format!(
                "
                +0    set linger 0
                +0    < P. 1:11(10) ack 1 win 512
                +0.04 > .  1:1(0) ack 11
                {fins}
                +0    expect state {state}
                {read}
                +0    close
                {reset}
                +0    expect connections 0
                +10   nothing
                "
            ));
        }
    }
}

/// The states count from CLOSE on, and not from when the FIN leaves: while text waits behind it
/// the peer would wait for it too (as Linux, `tcp_disconnect`).
#[test]
fn a_close_with_a_linger_time_of_zero_in_last_ack_resets_what_has_not_left() {
    established("mss 1000, wscale off, win 1000").plays(
        "
        +0    set linger 0
        +0    < F. 1:1(0) ack 1 win 1000
        +0    > .  1:1(0) ack 2
        +0    write 3000
        +0    > .  1:1001(1000) ack 2
        +0    shutdown write
        +0    expect state LAST-ACK
        +0    close
        +0    > R. 1001:1001(0) ack 2
        +0    expect connections 0
        ",
    );
}
