//! TIME-WAIT: RFC 9293 §3.6.1, §3.10.7.4; RFC 1337.

use wharf::sim::established;

/// Both FINs are through at 0.2 s of the script, after we closed first.
const CLOSED_FIRST: &str = "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
";

fn in_time_wait(rest: &str) {
    established("").plays(&format!("{CLOSED_FIRST}{rest}"));
}

#[test]
fn must_13_a_fin_that_comes_again_is_acknowledged_and_restarts_the_wait() {
    in_time_wait(
        "
        +50   < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        +0    < F. 1:1(0) ack 2 win 512
        +0    > R  2:2(0)
        ",
    );
}

#[test]
fn what_is_no_fin_does_not_restart_the_wait() {
    in_time_wait(
        "
        +30   < P. 2:12(10) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +29   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// RFC 1337 §3, F1: obeying it would end the protection of the next connection.
#[test]
fn a_reset_does_not_end_the_wait() {
    in_time_wait(
        "
        +0    < R  2:2(0)
        +0    < R. 2:2(0) ack 2
        +0    expect state TIME-WAIT
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

#[test]
fn the_last_ack_that_comes_again_is_not_answered() {
    in_time_wait(
        "
        +0    < .  2:2(0) ack 2 win 512
        +1    nothing
        ",
    );
}

#[test]
fn may_2_a_syn_past_the_old_connection_opens_a_new_one() {
    in_time_wait(
        "
        +1    incarnation 1000000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    expect state ESTABLISHED
        +0    < P. 1:11(10) ack 1 win 65535
        +0    read 10
        +0.04 > .  1:1(0) ack 11
        ",
    );
}

/// An old duplicate: the acknowledgment makes a peer that means it reset the old connection.
#[test]
fn a_syn_from_before_the_old_connections_end_is_acknowledged_only() {
    in_time_wait(
        "
        +1    < S  0:0(0) win 65535 <mss 1460>
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
        +0    expect connections 1
        ",
    );
}
