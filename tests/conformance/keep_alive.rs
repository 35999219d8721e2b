//! Keep-alive (RFC 9293 §3.8.4), which is off until a socket asks for it.

use wharf::sim::{Script, established};

/// Probes after 10 s, every 5 s, three times.
const ON: &str = "
    +0    set keepalive_idle 10
    +0    set keepalive_interval 5
    +0    set keepalive_count 3
    +0    set keepalive on
";

#[test]
fn must_25_keepalive_is_off_by_default() {
    established("rtt 100ms").plays(
        "
        +10800 nothing
        +0    expect state ESTABLISHED
        ",
    );
}

#[test]
fn must_24_each_connection_has_its_own_switch() {
    established("rtt 100ms").plays(&format!(
        "
        {ON}
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    b: < .  1:1(0) ack 1 win 512
        +0    b: accept
        +10   > . 0:0(0) ack 1               # and nothing on the other one
        +0    < . 1:1(0) ack 1 win 512
        +0    set keepalive off
        +7200 nothing
        +0    set keepalive on               # It has been idle for long.
        +0    > . 0:0(0) ack 1
        "
    ));
}

#[test]
fn who_waits_for_accept_is_asked_as_its_listener_says() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set keepalive_idle 2
        +0    listener set keepalive on
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +1    > S. 0:0(0) ack 1 <...>
        +2    > S. 0:0(0) ack 1 <...>
        +4    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +2    > .  0:0(0) ack 1              # Before the SYN-ACK would have been due again.
        ",
    );
}

/// What the listener is told while somebody waits for `accept` counts from then on, though nothing
/// arrives and nothing leaves.
#[test]
fn who_is_accepted_is_asked_as_its_listener_was_told_in_the_meantime() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +4.9  nothing
        +0    listener set keepalive_idle 10
        +0    listener set keepalive on
        +0    accept
        +5.1  > .  0:0(0) ack 1
        ",
    );
}

#[test]
fn must_28_the_first_probe_leaves_after_two_hours_by_default() {
    established("rtt 100ms").plays(
        "
        +0      set keepalive on
        +7200   > . 0:0(0) ack 1
        +75     > . 0:0(0) ack 1
        +0.1    < . 1:1(0) ack 1 win 512
        +7200   > . 0:0(0) ack 1
        ",
    );
}

/// A probe has no data, and the number before SND.NXT (SHLD-12): the peer must answer it.
#[test]
fn shld_12_a_probe_has_no_data_and_must_27_leaves_when_the_user_says() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 11 win 512
        +10   > .  10:10(0) ack 1
        +1    < .  1:1(0) ack 11 win 512
        +0    set keepalive_idle 3
        +3    > .  10:10(0) ack 1
        +5    > .  10:10(0) ack 1
        +0    expect probes 2
        +0.1  < .  1:1(0) ack 11 win 512
        +0    expect probes 0
        "
    ));
}

#[test]
fn must_26_what_is_outstanding_is_sent_again_and_no_probe_leaves() {
    established("rtt 100ms").plays(&format!(
        "
        {ON}
        +9.9  write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +1.2  > P. 1:11(10) ack 1
        +2.4  > P. 1:11(10) ack 1
        +4.8  > P. 1:11(10) ack 1
        +9.6  > P. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 11 win 512
        +10   > .  10:10(0) ack 1
        "
    ));
}

#[test]
fn must_26_anything_the_peer_sends_starts_the_wait_anew() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +9    < P. 1:11(10) ack 1 win 512
        +0.04 > .  1:1(0) ack 11
        +9    < .  10:10(0) ack 1 win 512    # A probe of the peer's.
        +0    > .  1:1(0) ack 11
        +9.9  nothing
        +0.1  > .  0:0(0) ack 11
        "
    ));
}

#[test]
fn must_29_a_connection_lives_whose_peer_answers_the_last_probe() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +10   > .  0:0(0) ack 1
        +5    > .  0:0(0) ack 1
        +5    > .  0:0(0) ack 1
        +4.9  < .  1:1(0) ack 1 win 512
        +0    expect state ESTABLISHED
        +10   > .  0:0(0) ack 1
        "
    ));
}

#[test]
fn a_peer_that_answers_no_probe_is_reset_and_the_user_hears_of_a_timeout() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +10   > .  0:0(0) ack 1
        +5    > .  0:0(0) ack 1
        +5    > .  0:0(0) ack 1
        +5    > R. 1:1(0) ack 1
        +0    expect state CLOSED
        +0    expect readable
        +0    read error ETIMEDOUT
        +0    read eof
        +0    write 1 error EPIPE
        "
    ));
}

#[test]
fn a_peer_that_has_forgotten_the_connection_ends_it_by_a_reset() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +10   > .  0:0(0) ack 1
        +0.1  < R  1:1(0)
        +0    read error ECONNRESET
        "
    ));
}

/// As Linux (`tcp_keepalive_timer`): the timeout counts from when the peer was last heard of, and
/// one probe must have gone unanswered.
#[test]
fn the_user_timeout_takes_the_place_of_the_count_of_probes() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +0    set user_timeout 12
        +10   > .  0:0(0) ack 1
        +5    > R. 1:1(0) ack 1
        +0    read error ETIMEDOUT
        "
    ));
}

#[test]
fn a_half_closed_connection_is_kept_alive_too() {
    established("rtt 0ms").plays(&format!(
        "
        {ON}
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0    < .  1:1(0) ack 2 win 512
        +10   > .  1:1(0) ack 1
        +0    < .  1:1(0) ack 2 win 512
        +0    expect state FIN-WAIT-2
        "
    ));
}

#[test]
fn what_a_listener_accepts_inherits_its_keepalive() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set keepalive on
        +0    listener set keepalive_idle 5
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 1 win 512
        +5    > .  0:0(0) ack 1              # Not even accepted yet.
        +1    < .  1:1(0) ack 1 win 512
        +0    accept
        +5    > .  0:0(0) ack 1
        ",
    );
}

/// MUST-26 is about a connection on which nothing else would tell: what waits for the peer's
/// window, and a FIN that waits for its acknowledgment, have timers of their own.
#[test]
fn who_waits_for_an_answer_asks_for_no_other() {
    let often = "
        +0    set keepalive_idle 1
        +0    set keepalive_interval 1
        +0    set keepalive on
    ";
    established("rtt 100ms, mss 1000, wscale off, win 1000").plays(&format!(
        "
        {often}
        +0    write 1500
        +0    > .  1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0.3  > .  1000:1000(0) ack 1
        +0.6  > .  1000:1000(0) ack 1
        +1.2  > .  1000:1000(0) ack 1
        "
    ));
    established("rtt 100ms").plays(&format!(
        "
        {often}
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0.3  > F. 1:1(0) ack 1
        +0.6  > F. 1:1(0) ack 1
        +1.2  > F. 1:1(0) ack 1
        "
    ));
}
