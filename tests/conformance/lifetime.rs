//! How long a connection waits for its peer: R1 and R2 (RFC 9293 §3.8.3), the user timeout
//! (RFC 5482), and the ends of connections whose sockets are gone.

use wharf::sim::{Script, established};

#[test]
fn must_21_the_user_timeout_is_r2_of_one_connection() {
    established("rtt 100ms").plays(
        "
        +0    set user_timeout 3
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +1.2  > P. 1:11(10) ack 1
        +0.899 expect state ESTABLISHED
        +0.002 expect state CLOSED           # 3 s after it was sent, not at the next timeout
        +0    read error ETIMEDOUT
        +0    read eof
        +100  nothing
        ",
    );
}

#[test]
fn must_21_progress_starts_the_user_timeout_anew() {
    established("rtt 100ms").plays(
        "
        +0    set user_timeout 1
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.5  < .  1:1(0) ack 6 win 512
        +0.6  > P. 6:11(5) ack 1
        +0.399 expect state ESTABLISHED
        +0.002 expect state CLOSED
        ",
    );
}

/// The count of retransmissions is what `ss` shows, and the third tells the application.
#[test]
fn shld_9_the_application_can_tell_between_r1_and_r2_and_shld_10_r1_is_three() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +0    expect retransmits 2
        +0    expect soft none
        +1.2  > P. 1:11(10) ack 1
        +0    expect retransmits 3
        +0    expect soft ETIMEDOUT
        +0    expect pending none            # It is no end.
        +0    expect state ESTABLISHED
        +1    < .  1:1(0) ack 11 win 512
        +0    expect retransmits 0
        +0    expect soft none
        ",
    );
}

#[test]
fn shld_20_a_soft_error_disturbs_nobody_who_does_not_ask() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +1.2  > P. 1:11(10) ack 1
        +0    expect soft ETIMEDOUT
        +0    expect not error
        +0    expect not readable
        +0    expect pending none
        +0    read error EAGAIN
        +0    write 10
        +0    < .  1:1(0) ack 11 win 512
        +0    > P. 11:21(10) ack 1
        ",
    );
}

/// RFC 5482 §3 is about data that waits; Linux counts the waiting for window too, answered or not.
#[test]
fn a_user_timeout_bounds_the_probing_of_a_shut_window() {
    established("rtt 100ms, win 0").plays(
        "
        +0    set user_timeout 1
        +0    write 10
        +0.3  > .  0:0(0) ack 1
        +0.1  < .  1:1(0) ack 1 win 0
        +0.5  > .  0:0(0) ack 1
        +0.05 < .  1:1(0) ack 1 win 0
        +0.049 expect state ESTABLISHED
        +0.002 expect state CLOSED
        +0    read error ETIMEDOUT
        ",
    );
}

#[test]
fn must_37_a_shut_window_without_a_user_timeout_stays_open_for_hours() {
    let backing_off = ["0.3", "0.5", "1.1", "2.3", "4.7", "9.5", "19.1", "38.3"];
    let waits = backing_off.into_iter().chain(["59.9"; 240]);
    let probes =
        waits.map(|wait| format!("+{wait} > . 0:0(0) ack 1\n+0.1 < . 1:1(0) ack 1 win 0\n"));
    let probes: String = probes.collect();
    established("rtt 100ms, win 0")
        .plays(&format!("+0 write 10\n{probes}+0 expect state ESTABLISHED"));
}

#[test]
fn a_half_close_stays_for_hours_and_the_peer_can_still_send() {
    established("rtt 100ms").plays(
        "
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +36000 expect state FIN-WAIT-2
        +0    < P. 1:11(10) ack 2 win 512
        +0.04 > .  2:2(0) ack 11
        +0    read 10
        +36000 < F. 11:11(0) ack 2 win 512
        +0    > .  2:2(0) ack 12
        +0    read eof
        ",
    );
}

#[test]
fn linger2_bounds_the_wait_for_a_fin_of_a_socket_that_is_closed() {
    established("rtt 100ms").plays(
        "
        +0    set linger2 3
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +2.999 expect state FIN-WAIT-2
        +0.002 expect state CLOSED
        ",
    );
}

#[test]
fn linger2_of_zero_resets_instead_of_waiting() {
    established("rtt 100ms").plays(
        "
        +0    set linger2 0
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0.1  < .  1:1(0) ack 2 win 512
        +10   expect state FIN-WAIT-2        # Its socket is open.
        +0    close
        +0    > R. 2:2(0) ack 1
        +0    expect state CLOSED
        ",
    );
}

#[test]
fn syn_count_says_how_often_a_syn_is_sent_again() {
    Script::default().plays(
        "
        +0    set syn_count 2
        +0    connect
        +0    > S 0:0(0) <...>
        +1    > S 0:0(0) <...>
        +2    > S 0:0(0) <...>
        +3.999 expect pending none
        +0.002 expect pending ETIMEDOUT
        +200  nothing
        ",
    );
}

#[test]
fn must_21_the_user_timeout_bounds_a_connect_too() {
    Script::default().plays(
        "
        +0    set user_timeout 2.5
        +0    connect
        +0    > S 0:0(0) <...>
        +1    > S 0:0(0) <...>
        +1.499 expect pending none
        +0.002 expect pending ETIMEDOUT
        ",
    );
}
