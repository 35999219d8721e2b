//! SYN cookies: RFC 4987 §3.6.

use wharf::StackConfig;
use wharf::sim::Script;
use wharf::{DropReason, SynCookies};

use super::config;

fn always(config: &mut StackConfig) {
    config.tcp.syn_cookies = SynCookies::Always;
}

/// Linux's shift of 7 and SACK stand in the low bits of TSval, and no bit of them is lost.
#[test]
fn a_cookie_with_timestamps_opens_what_its_syn_asked_for() {
    let played = config(always).plays(
        "
        +0    socket listen 80
        +1    < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 4000 ecr 0,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 0 ecr 4000,nop,wscale 3>
        +0    expect connections 0
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 4100 ecr 0>
        +0    expect connections 1
        +0    accept
        +0    expect state ESTABLISHED
        +0    expect send_mss 1448
        +0    expect send_window 65536
        +0    < P. 1461:2921(1460) ack 1 win 512 <TS val 4100 ecr 0>
        +0    > .  1:1(0) ack 1 <...>
        +0    < P. 1:1461(1460) ack 1 win 512 <TS val 4100 ecr 0>
        +0    > .  1:1(0) ack 2921 <...>
        +0    read 2920
        ",
    );
    let counts =
        ["sent", "taken"].map(|what| played.count(&format!("tcp_syn_cookies_{what}_total")));
    assert_eq!(counts, [1, 1]);
    played.stack.check();
}

#[test]
fn a_cookie_without_timestamps_keeps_mss_and_window_scale_and_sack_rounded_down() {
    config(always).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1452,nop,nop,sackOK,nop,wscale 8>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 3>
        +0.1  < .  1:1(0) ack 1 win 256
        +0    accept
        +0    expect send_mss 1440
        +0    expect send_window 65536
        ",
    );
    config(always).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0.1  < .  1:1(0) ack 1 win 256
        +0    accept
        +0    expect send_mss 536
        +0    expect send_window 256
        ",
    );
}

/// The round trip from the SYN-ACK's TSval; without one there is none, and the first timeout is
/// RFC 6298's second.
#[test]
fn the_round_trip_is_measured_by_the_timestamp() {
    for (options, stamp, least, most) in [
        ("<mss 1460,sackOK,TS val 4000 ecr 0,nop,wscale 7>", "<TS val 4100 ecr 0>", 100, 164),
        ("<mss 1460>", "", 0, 0),
    ] {
        let played = config(always).run(&format!(
            "
            +0    socket listen 80
            +1    < S  0:0(0) win 65535 {options}
            +0    > S. 0:0(0) ack 1 <...>
            +0.1  < .  1:1(0) ack 1 win 512 {stamp}
            +0    accept
            "
        ));
        let all = played.unwrap().stack.connections();
        let info = all[0].info.as_ref().expect("it is open");
        let srtt = info.srtt.map_or(0, |srtt| srtt.as_millis());
        assert!((least..=most).contains(&srtt), "{srtt} ms");
        assert_eq!(info.cwnd, 10 * info.send_mss, "no SYN was lost as far as anybody knows");
    }
}

/// The third ACK is lost or dropped: the data carries the cookie too.
#[test]
fn text_and_fin_in_the_segment_that_brings_the_cookie_are_not_lost() {
    config(always).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < FP. 1:11(10) ack 1 win 256
        +0    > .  1:1(0) ack 12
        +0    accept
        +0    read 10
        +0    read eof
        +0    expect state CLOSE-WAIT
        ",
    );
}

#[test]
fn the_same_syn_again_gets_a_cookie_again_and_either_opens() {
    config(always).plays(
        "
        +0    socket listen 80
        +59   < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.5  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +60   < .  1:1(0) ack 1 win 256
        +0    accept
        ",
    );
}

/// Seed 51 of the random worlds: the window of the SYN-ACK was forgotten when memory had become
/// short until the cookie came back.
#[test]
fn shld_14_the_window_of_a_cookies_syn_ack_is_kept_when_memory_becomes_short() {
    let script = config(|config| {
        always(config);
        config.limits.memory_max = 1000;
    });
    script.plays(
        "
        +0    socket listen 80
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 win 65535 <...>
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 win 65535 <...>
        +0    a: < . 1:1(0) ack 1 win 65535
        +0    a: < . 1:1461(1460) ack 1 win 65535
        +0.04 a: > . 1:1(0) ack 1461
        +0    b: < P. 1:11(10) ack 1 win 65535
        +0.04 b: > . 1:1(0) ack 11 win 65525
        ",
    );
}

/// What the SYN-ACK has said of us holds, whatever the listener is told before the cookie comes
/// back: the shift, the MSS and the window.
#[test]
fn shld_14_what_a_cookies_syn_ack_has_said_holds_when_the_options_change() {
    let syn = "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 3>
    ";
    // A buffer that would have had a shift of 5.
    config(always).plays(&format!(
        "
        {syn}
        +0    listener set receive_buffer 1048576
        +0    listener set max_segment 1000
        +0.1  < .  1:1(0) ack 1 win 512
        +0    accept
        +0    expect announced_mss 1460
        +0    expect send_mss 1460
        +0    < P. 1:11(10) ack 1 win 512
        +0.04 > .  1:1(0) ack 11 win 65535           # Of the buffer as much as a shift of 3 says.
        "
    ));
    // One that would have had none, and of which the peer has been promised the sixteenfold.
    config(always).plays(&format!(
        "
        {syn}
        +0    listener set receive_buffer 4096
        +0    < .  1:1(0) ack 1 win 512
        +0    accept
        +0    < .  64001:65001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 win 8192 <nop,nop,sack 64001:65001>
        +0    < P. 1:11(10) ack 1 win 512
        +0    > .  1:1(0) ack 11 win 8191 <nop,nop,sack 64001:65001>
        "
    ));
}

/// Each of those that are alive is known; one more than may be makes the oldest no longer so.
#[test]
fn cookies_with_different_promises_come_back_side_by_side() {
    let offer = |label: &str, buffer: u32| {
        format!(
            "
            +0    listener set receive_buffer {buffer}
            +0    {label}: < S  0:0(0) win 65535 <mss 1460>
            +0    {label}: > S. 0:0(0) ack 1 win {buffer} <...>
            "
        )
    };
    let back = |label: &str| {
        format!(
            "
            +0    {label}: < .  1:1(0) ack 1 win 512
            +0    {label}: accept
            "
        )
    };
    let peers = ["a", "b", "c", "d", "e"];
    let offers = peers.map(|label| offer(label, 3000 + 1000 * u32::from(label.as_bytes()[0] - 97)));
    let backs = peers.map(back);
    let listen = "+0 socket listen 80";
    config(always).plays(&format!("{listen}\n {} {}", offers[..4].concat(), backs[..4].concat()));
    config(always).plays(&format!(
        "{listen}\n {} {}
        +0    a: < .  1:1(0) ack 1 win 512
        +0    expect dropped bad_cookie 1",
        offers.concat(),
        backs[1..].concat()
    ));
}

/// Until two minutes after the last cookie left, an ACK that brings none is not answered: a flood
/// of them must not make a flood of resets. Then it is, as ever.
#[test]
fn a_forged_cookie_is_dropped_in_silence_and_a_late_one_is_reset() {
    let played = config(always).plays(
        "
        +0    socket listen 80
        +0    a: < S  0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    a: < .  1:1(0) ack 2 win 256
        +0    a: < .  2:2(0) ack 1 win 256
        +0    b: < .  1:1(0) ack 1 win 256
        +0    expect dropped bad_cookie 3
        +0    expect connections 0
        +120  a: < .  1:1(0) ack 1 win 256
        +0    expect dropped bad_cookie 4
        +1    a: < .  1:1(0) ack 1 win 256
        +0    a: > R  1:1(0)
        ",
    );
    assert_eq!(played.dropped(DropReason::BadCookie), 4);
}

/// Cookies begin where the queue of half-open connections ends, and end when it has room again.
#[test]
fn under_pressure_cookies_are_sent_and_afterwards_records_are_kept_again() {
    Script::default().plays(
        "
        +0    socket listen 80 backlog 1
        +0    a: < S  0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        +0    b: < S  0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    expect connections 1
        +0.1  b: < .  1:1(0) ack 1 win 256
        +0    b: accept
        +0    a: < R  1:1(0)
        +0    c: < S  0:0(0) win 65535 <mss 1460>
        +0    c: > S. 0:0(0) ack 1 <...>
        +0    c: expect state SYN-RECEIVED
        +0    expect connections 2
        +0    c: < R  1:1(0)
        ",
    );
}

#[test]
fn a_cookie_that_finds_the_accept_queue_full_is_dropped_and_can_come_again() {
    let fill = |label: &str| {
        format!(
            "
            +0    {label}: < S  0:0(0) win 65535 <mss 1460>
            +0    {label}: > S. 0:0(0) ack 1 <...>
            "
        )
    };
    let script = |last: &str| {
        let [a, b, c] = ["a", "b", "c"].map(fill);
        format!(
            "
            +0    socket listen 80 backlog 1
            {a}{b}{c}
            +0    a: < .  1:1(0) ack 1 win 256
            +0    b: < .  1:1(0) ack 1 win 256
            +0    c: < P. 1:11(10) ack 1 win 256
            {last}
            "
        )
    };
    config(always).plays(&script(
        "
            +0    expect dropped accept_queue_full 1
            +0    a: accept
            +0.3  c: < P. 1:11(10) ack 1 win 256
            +0    b: accept
            +0    c: accept
            +0    c: read 10
            +0.04 c: > .  1:1(0) ack 11
        ",
    ));
    let abort = |config: &mut StackConfig| {
        always(config);
        config.tcp.abort_on_overflow = true;
    };
    config(abort).plays(&script("+0 c: > R 1:1(0)\n+0 expect dropped accept_queue_full 1"));
}

/// As Linux: the number that continues the old connection's is no cookie's.
#[test]
fn a_syn_that_reopens_a_time_wait_gets_no_cookie() {
    config(always).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 1 win 512
        +0    accept
        +0    close
        +0    > F. 1:1(0) ack 1
        +0    < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +0    incarnation 1000000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    expect state SYN-RECEIVED
        +0    < R  1:1(0)
        ",
    );
}

/// A bare ACK leaves no record behind, so that a flood that knows its cookies takes no place. The
/// text has the same number in it, and so the same cookie; a FIN too.
#[test]
fn a_listener_that_defers_takes_a_cookie_from_who_has_sent_something() {
    let played = config(always).plays(
        "
        +0    socket listen 80
        +0    listener set defer_accept 5
        +0    < S  0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +0    expect connections 0
        +0    accept error EAGAIN
        +0    < .  1:1(0) ack 7 win 512              # That is none, and counts as such.
        +3    < P. 11:21(10) ack 1 win 512           # The octets before it are lost.
        +0    < P. 1:11(10) ack 1 win 512
        +0    expect state ESTABLISHED
        +0    accept
        +0    expect send_window 65536
        +0    read 10
        +0.04 > .  1:1(0) ack 11
        +0    < P. 11:21(10) ack 1 win 512
        +0    read 10
        +0.04 > .  1:1(0) ack 21
        +0    expect dropped accept_deferred 1
        +0    expect dropped bad_cookie 2
        ",
    );
    played.stack.check();
    config(always).plays(
        "
        +0    socket listen 80
        +0    listener set defer_accept 5
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +1    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    accept
        +0    read eof
        ",
    );
}

/// However many bring their cookies back, the backlog holds: no record is made past it.
#[test]
fn bare_cookies_fill_no_place_of_a_listener_that_defers() {
    let peer = |label: &str| {
        format!(
            "
            +0    {label}: < S  0:0(0) win 65535 <mss 1460>
            +0    {label}: > S. 0:0(0) ack 1 <...>
            +0    {label}: < .  1:1(0) ack 1 win 512
            "
        )
    };
    let peers = ["a", "b", "c", "d"].map(peer).concat();
    Script::default().plays(&format!(
        "
        +0    socket listen 80 backlog 1
        +0    listener set defer_accept 0.5
        {peers}
        +0    expect connections 1
        +0    expect dropped accept_deferred 4
        +0    d: < P. 1:11(10) ack 1 win 512
        +0    d: accept
        +0.04 d: > . 1:1(0) ack 11
        +0    a: < P. 1:11(10) ack 1 win 512
        +0    a: accept
        +0.04 a: > . 1:1(0) ack 11
        +0    expect connections 2
        "
    ));
}

/// How a connection may end, and all of them leave no record, or one that is gone before its cookie
/// is too old: aborted; closed with text unread; reset; given up; closed by the peer first; closed
/// by us first, with a TIME-WAIT of a second.
const ENDS: &[&str] = &[
    "
        +0    abort
        +0    > R. 1:1(0) ack 1
    ",
    "
        +0    < P. 1:11(10) ack 1 win 256
        +0    close
        +0    > R. 1:1(0) ack 11
    ",
    "
        +0    < R. 1:1(0) ack 1
    ",
    "
        +0    set user_timeout 1
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +1.001 expect state CLOSED
    ",
    "
        +0    < F. 1:1(0) ack 1 win 256
        +0    > .  1:1(0) ack 2
        +0    close
        +0    > F. 1:1(0) ack 2
        +0    < .  2:2(0) ack 2 win 256
    ",
    "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0    < F. 1:1(0) ack 2 win 256
        +0    > .  2:2(0) ack 2
        +1.01 expect state CLOSED
    ",
];

/// A late copy of the ACK, or the first text once more from a client to whom our RST was lost: the
/// cookie in it is as good as it ever was, and has had its connection.
#[test]
fn a_cookie_opens_one_connection_and_what_brings_it_again_is_reset() {
    let config = config(|config| {
        always(config);
        config.tcp.time_wait = wharf::Duration::from_secs(1);
    });
    for end in ENDS {
        let played = config.clone().plays(&format!(
            "
            +0    socket listen 80
            +0    < S  0:0(0) win 65535 <mss 1460>
            +0    > S. 0:0(0) ack 1 <...>
            +0    < .  1:1(0) ack 1 win 256
            +0    accept
            {end}
            +0    expect connections 0
            +0    < .  1:1(0) ack 1 win 256
            +0    > R  1:1(0)
            +20   < P. 1:11(10) ack 1 win 256
            +0    > R  1:1(0)
            +0    accept error EAGAIN
            +0    expect dropped cookie_spent 2

            +0    incarnation 1000000                    # And a new one opens as ever.
            +0    < S  0:0(0) win 65535 <mss 1460>
            +0    > S. 0:0(0) ack 1 <...>
            +0    < .  1:1(0) ack 1 win 256
            +0    accept
            +0    expect state ESTABLISHED
            +0    expect dropped cookie_spent 2
            ",
        ));
        played.stack.check();
    }
}
