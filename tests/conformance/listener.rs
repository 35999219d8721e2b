//! LISTEN: backlog, accept queue, what a listener ignores (RFC 9293 §3.10.7.2, §3.9.1.1).

use wharf::sim::Script;

fn play(text: &str) {
    Script::default().plays(text);
}

/// RFC 9293 §3.10.7.2: first RST, second ACK, third SYN, fourth anything else.
#[test]
fn a_listener_resets_an_ack_and_ignores_what_is_no_syn() {
    play(
        "
        +0    socket listen 80
        +0    < R  1:1(0)
        +0    < F  1:1(0)
        +0    < P  1:11(10)
        +0    < -  1:1(0)
        +0    < .  1:1(0) ack 77 win 9
        +0    > R  77:77(0)
        +0    < S. 1:1(0) ack 78 win 9
        +0    > R  78:78(0)
        +0    < F. 1:1(0) ack 79 win 9
        +0    > R  79:79(0)
        +0    expect connections 0
        +0    expect dropped not_for_listener 6
        ",
    );
}

/// Nobody sends both in good faith.
#[test]
fn a_syn_with_fin_opens_nothing() {
    play(
        "
        +0    socket listen 80
        +0    < SF 0:0(0) win 65535 <mss 1460>
        +1    nothing
        +0    expect connections 0
        ",
    );
}

#[test]
fn connections_are_accepted_in_the_order_in_which_they_opened() {
    play(
        "
        +0    socket listen 80
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  b: < . 1:1(0) ack 1 win 65535
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0    b: accept
        +0    a: accept
        +0    accept error EAGAIN
        ",
    );
}

/// A SYN that finds the backlog full is dropped: the peer tries again.
#[test]
fn a_full_backlog_drops_syns_and_takes_them_when_there_is_room() {
    play(
        "
        +0    socket listen 80 backlog 1
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0.1  b: < S 0:0(0) win 65535 <mss 1460>
        +0    expect connections 1
        +0    a: accept
        +0.1  b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  b: < . 1:1(0) ack 1 win 65535
        +0    b: accept
        ",
    );
}

#[test]
fn a_connection_that_is_reset_before_it_is_accepted_is_not_left_behind() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    < R  1:1(0)
        +0    expect connections 0
        ",
    );
}

#[test]
fn closing_a_listener_resets_those_that_nobody_has_accepted() {
    play(
        "
        +0    socket listen 80
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0    unlisten
        +0    a: > R. 1:1(0) ack 1
        +0    expect connections 0
        +0    a: incarnation 0
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > R. 0:0(0) ack 1
        +10   nothing
        ",
    );
}

/// They learn it when they come to tell: closing does not look at all of them.
#[test]
fn closing_a_listener_resets_half_open_connections_when_they_open() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    unlisten
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    > R. 1:1(0) ack 1
        +0    expect connections 0
        +100  nothing
        ",
    );
}

#[test]
fn must_41_a_listener_leaves_the_connections_alone_that_it_opened_before() {
    play(
        "
        +0    socket listen 80
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0    a: accept
        +0    unlisten
        +0    socket listen 80
        +0    a: < P. 1:11(10) ack 1 win 65535
        +0    a: read 10
        +0.04 a: > . 1:1(0) ack 11
        ",
    );
}

#[test]
fn must_42_a_port_that_connects_can_be_listened_on() {
    play(
        "
        +0    a: set reuse 1
        +0    a: bind 80
        +0    a: connect
        +0    a: > S 0:0(0) <...>
        +0    socket listen 80
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  a: < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    a: > . 1:1(0) ack 1
        +0    b: < . 1:1(0) ack 1 win 65535
        +0    b: accept
        +0    a: expect state ESTABLISHED
        +0    b: expect state ESTABLISHED
        ",
    );
}
