//! LISTEN: backlog, accept queue, what a listener ignores (RFC 9293 §3.10.7.2, §3.9.1.1).

use wharf::SynCookies;
use wharf::sim::Script;

use super::config;

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

/// Without cookies a SYN that finds the queue of half-open connections full is dropped: the peer
/// tries again.
#[test]
fn a_full_backlog_drops_syns_and_takes_them_when_there_is_room() {
    config(|config| config.tcp.syn_cookies = SynCookies::Off).plays(
        "
        +0    socket listen 80 backlog 1
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    expect dropped backlog_full 1
        +0    expect connections 1
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    b: < R 1:1(0)
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        ",
    );
}

/// As Linux: one more than the backlog waits for `accept`, and then SYNs are dropped.
#[test]
fn a_full_accept_queue_drops_syns_until_somebody_is_accepted() {
    play(
        "
        +0    socket listen 80 backlog 1
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0.1  a: < . 1:1(0) ack 1 win 65535
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.1  b: < . 1:1(0) ack 1 win 65535
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    expect connections 2
        +0    expect dropped accept_queue_full 1
        +0    a: accept
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        +0    c: < . 1:1(0) ack 1 win 65535
        +0    b: accept
        +0    c: accept
        ",
    );
}

/// Three fill the queue of a listener with a backlog of two; the last ACK of `c` finds it full.
const FULL_BUT_FOR_C: &str = "
        +0    socket listen 80 backlog 2
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        +0    a: < . 1:1(0) ack 1 win 65535
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    b: < . 1:1(0) ack 1 win 65535
        +0    d: < S 0:0(0) win 65535 <mss 1460>
        +0    d: > S. 0:0(0) ack 1 <...>
        +0    d: < . 1:1(0) ack 1 win 65535
        +0.5  c: < . 1:1(0) ack 1 win 65535
";

/// As packetdrill's accept_ack_drop: the client's data brings the ACK again.
#[test]
fn a_last_ack_that_finds_the_accept_queue_full_is_dropped_and_the_data_brings_it_again() {
    play(&format!(
        "{FULL_BUT_FOR_C}
        +0    expect dropped accept_queue_full 1
        +0    c: expect state SYN-RECEIVED
        +0    c: < P. 1:11(10) ack 1 win 65535
        +0    expect dropped accept_queue_full 2
        +0    a: accept
        +0.2  c: < P. 1:11(10) ack 1 win 65535
        +0    b: accept
        +0    d: accept
        +0    c: accept
        +0    c: read 10
        +0.04 c: > . 1:1(0) ack 11
        "
    ));
}

/// The client believes that it is connected and waits: our SYN-ACK asks it again.
#[test]
fn a_last_ack_that_was_dropped_is_asked_for_by_the_syn_ack_that_leaves_again() {
    play(&format!(
        "{FULL_BUT_FOR_C}
        +0    a: accept
        +0.5  c: > S. 0:0(0) ack 1 <...>
        +0    c: < . 1:1(0) ack 1 win 65535
        +0    c: expect state ESTABLISHED
        "
    ));
}

/// As Linux with tcp_abort_on_overflow.
#[test]
fn a_full_accept_queue_resets_if_it_is_asked_to() {
    config(|config| config.tcp.abort_on_overflow = true).plays(&format!(
        "{FULL_BUT_FOR_C}
        +0    c: > R 1:1(0)
        +0    expect dropped accept_queue_full 1
        +0    expect connections 3
        +0    c: < . 1:1(0) ack 1 win 65535
        +0    c: > R 1:1(0)
        "
    ));
}

/// As Linux: an ACK that is put off asks for no place in the queue.
#[test]
fn a_full_accept_queue_does_not_reset_whom_the_listener_defers() {
    config(|config| config.tcp.abort_on_overflow = true).plays(
        "
        +0    socket listen 80 backlog 2
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    a: < . 1:1(0) ack 1 win 65535
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    b: < . 1:1(0) ack 1 win 65535
        +0    d: < S 0:0(0) win 65535 <mss 1460>
        +0    d: > S. 0:0(0) ack 1 <...>
        +0    d: < . 1:1(0) ack 1 win 65535
        +0    listener set defer_accept 5
        +0    c: < . 1:1(0) ack 1 win 65535
        +0    expect dropped accept_deferred 1
        +0    c: < P. 1:11(10) ack 1 win 65535
        +0    c: > R 1:1(0)
        +0    expect dropped accept_queue_full 1
        ",
    );
}

/// As Linux: whoever accepts it finds out what has become of it.
#[test]
fn a_connection_that_is_reset_before_accept_is_accepted_read_and_then_fails_once() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < P. 1:11(10) ack 1 win 65535
        +0.04 > .  1:1(0) ack 11
        +0    < R  11:11(0)
        +0    expect connections 0
        +0    accept
        +0    expect readable
        +0    read 10
        +0    read error ECONNRESET
        +0    read eof
        +0    write 1 error EPIPE
        +0    close
        +0    accept error EAGAIN
        ",
    );
}

#[test]
fn a_connection_that_is_closed_by_its_peer_before_accept_gives_its_data_and_the_end() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < FP. 1:11(10) ack 1 win 65535
        +0    > .  1:1(0) ack 12
        +0    < R. 12:12(0) ack 1
        +0    expect connections 0
        +0    accept
        +0    read 10
        +0    read eof
        ",
    );
}

/// The place of one that died is taken up until it is accepted; it costs no four-tuple.
#[test]
fn a_port_that_died_before_accept_can_connect_again_and_both_are_accepted() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    < R  1:1(0)
        +0    incarnation 5000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    read error ECONNRESET
        +0    accept
        +0    read error EAGAIN
        +0    expect state ESTABLISHED
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

#[test]
fn closing_a_listener_resets_its_half_open_connections_at_once_and_leaves_the_others() {
    play(
        "
        +0    socket listen 80
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        +0    b: < . 1:1(0) ack 1 win 65535
        +0    b: accept
        +0    unlisten
        +0    a: > R. 1:1(0) ack 1
        +0    c: > R. 1:1(0) ack 1
        +0    expect connections 1
        +0    b: expect state ESTABLISHED
        +0    a: < . 1:1(0) ack 1 win 65535
        +0    a: > R 1:1(0)
        +100  nothing
        ",
    );
}

/// What waits in the queue of a listener that is closed is given back.
#[test]
fn closing_a_listener_frees_those_that_died_unaccepted() {
    let played = Script::default().run(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < P. 1:11(10) ack 1 win 65535
        +0.04 > .  1:1(0) ack 11
        +0    < R  11:11(0)
        +0    unlisten
        +10   nothing
        ",
    );
    played.unwrap().stack.check();
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
