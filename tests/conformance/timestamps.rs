//! Timestamps: RFC 7323 §3 to §5.

use wharf::sim::{Script, established};

use crate::config;

/// RFC 7323 §3.2: on both SYNs, and from then on in every segment.
#[test]
fn a_passive_open_answers_timestamps_and_every_segment_then_has_them() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 4000 ecr 0,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 0 ecr 4000,nop,wscale 3>
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 4100 ecr 0>
        +0    accept
        +0.05 write 10
        +0    > P. 1:11(10) ack 1 <TS val 150 ecr 4100>
        +0.1  < P. 1:101(100) ack 11 win 512 <TS val 4250 ecr 150>
        +0.04 > .  11:11(0) ack 101 <TS val 290 ecr 4250>
        +0    shutdown write
        +0    > F. 11:11(0) ack 101 <TS val 290 ecr 4250>
        ",
    );
}

#[test]
fn an_active_open_offers_timestamps_and_uses_them_when_they_are_answered() {
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 3>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 9 ecr 0,nop,wscale 7>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 9>
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 100 ecr 9>
        ",
    );
}

/// RFC 7323 §3.2: what only one side offers is not used, and the other's stray option is ignored.
#[test]
fn timestamps_that_only_one_side_offers_are_not_used() {
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        ",
    );
    config(|config| config.tcp.timestamps = false).plays(
        "
        +0    connect
        +0    > S  0:0(0) <mss 1460,sackOK,nop,wscale 3>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460,TS val 7 ecr 0>
        +0    > .  1:1(0) ack 1
        ",
    );
    config(|config| config.tcp.timestamps = false).established("ts on").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        ",
    );
    established("").plays(
        "
        +0    < P. 1:11(10) ack 1 win 512 <TS val 7 ecr 9>
        +0    < P. 11:21(10) ack 1 win 512 <TS val 3 ecr 9>
        +0    > .  1:1(0) ack 21
        +0    read 20
        ",
    );
}

/// RFC 6691, MUST-16: the MSS counts no options, so those that we send come off our segments.
#[test]
fn must_16_timestamps_take_their_twelve_octets_from_the_text() {
    established("ts on, mss 1000").plays(
        "
        +0    expect send_mss 988
        +0    write 1976
        +0    > .  1:989(988) ack 1 <TS val 100 ecr 1100>
        +0    > P. 989:1977(988) ack 1 <TS val 100 ecr 1100>
        ",
    );
}

/// RFC 7323 §5.4: a clock of a millisecond, which wraps.
#[test]
fn our_timestamps_wrap_after_the_last_of_32_bits() {
    let script = Script::default().our_clock(u32::MAX - 99).established("ts on");
    script.plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 100 ecr 1100>
        +0.1  < .  1:1(0) ack 11 win 512 <TS val 1200 ecr 100>
        +0    expect srtt_ms 100
        +0    write 10
        +0    > P. 11:21(10) ack 1 <TS val 200 ecr 1200>
        ",
    );
}

/// RFC 7323 §3.2: an RST should have them too.
#[test]
fn the_reset_of_a_connection_has_timestamps() {
    established("ts on").plays(
        "
        +0    abort
        +0    > R. 1:1(0) ack 1 <TS val 100 ecr 1100>
        ",
    );
}

/// RFC 7323 §4.3: the earliest segment that a delayed ACK answers is the one that is echoed, and
/// while there is a hole, the last one that was in order.
#[test]
fn the_echo_is_of_the_segment_that_the_acknowledgment_depends_on() {
    established("ts on").plays(
        "
        +0    < .  1:1001(1000) ack 1 win 512 <TS val 1110 ecr 0>
        +0.01 < .  1001:2001(1000) ack 1 win 512 <TS val 1120 ecr 0>
        +0    > .  1:1(0) ack 2001 <TS val 110 ecr 1110>
        +0    < .  2001:3001(1000) ack 1 win 512 <TS val 1130 ecr 110>
        +0.04 > .  1:1(0) ack 3001 <TS val 150 ecr 1130>
        +0    < .  4001:5001(1000) ack 1 win 512 <TS val 1140 ecr 150>
        +0    > .  1:1(0) ack 3001 <TS val 150 ecr 1130>
        +0    < .  5001:6001(1000) ack 1 win 512 <TS val 1150 ecr 150>
        +0    > .  1:1(0) ack 3001 <TS val 150 ecr 1130>
        +0.1  < .  3001:4001(1000) ack 1 win 512 <TS val 1240 ecr 150>
        +0    > .  1:1(0) ack 6001 <TS val 250 ecr 1240>
        ",
    );
}

/// Our acknowledgment was lost: what the peer sends again is echoed, for else the peer would take
/// all the time since the first copy for a round trip. A forged one that has not both windows, an
/// old one and a bare one are not.
#[test]
fn what_the_peer_sends_again_is_echoed() {
    for (again, echo) in [
        ("1:1001(1000) ack 1 win 512 <TS val 2000 ecr 0>", 2000),
        ("1001:2001(1000) ack 1 win 512 <TS val 2000 ecr 0>", 2000),
        ("1:1001(1000) ack 9000 win 512 <TS val 2000 ecr 0>", 1100),
        ("4294000000:4294001000(1000) ack 1 win 512 <TS val 2000 ecr 0>", 1100),
        ("1:1001(1000) ack 1 win 512 <TS val 1099 ecr 0>", 1100),
        ("1:1001(1000) ack 1 win 512", 1100),
        ("1:1(0) ack 1 win 512 <TS val 2000 ecr 0>", 1100),
    ] {
        let script = format!(
            "
            +0    < .  1:1001(1000) ack 1 win 512 <TS val 1100 ecr 0>
            +0    < .  1001:2001(1000) ack 1 win 512 <TS val 1100 ecr 0>
            +0    > .  1:1(0) ack 2001 <TS val 100 ecr 1100>
            +0.9  < .  {again}
            +0    > .  1:1(0) ack 2001 <TS val 1000 ecr {echo}>
            "
        );
        established("ts on").plays(&script);
    }
}

/// The last window may have been all that there was: it is shut now, and has no octet left.
#[test]
fn what_the_peer_sends_again_of_a_window_that_it_has_filled_is_echoed() {
    config(|config| config.tcp.receive_buffer = 2048).established("ts on").plays(
        "
        +0    < .  1:1025(1024) ack 1 win 512 <TS val 1100 ecr 0>
        +0    < .  1025:2049(1024) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 2049 win 0 <TS val 100 ecr 1100>
        +0.9  < .  1025:2049(1024) ack 1 win 512 <TS val 2000 ecr 0>
        +0    > .  1:1(0) ack 2049 win 0 <TS val 1000 ecr 2000>
        ",
    );
}

/// RFC 7323 §5.3, R1: an old segment is not taken, whatever its sequence number, and answered, but
/// not more than twice a second.
#[test]
fn a_segment_from_the_last_time_round_is_dropped_and_acknowledged() {
    let played = established("ts on").plays(
        "
        +0    < P. 1:11(10) ack 1 win 512 <TS val 1099 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100>
        +0    expect dropped stale_timestamp 1
        +0.4  < P. 1:11(10) ack 1 win 512 <TS val 0 ecr 0>
        +0    < .  1:1(0) ack 1 win 512 <TS val 2147484750 ecr 0>
        +0    < F. 1:1(0) ack 1 win 512 <TS val 1099 ecr 0>
        +0    < S  1:1(0) win 512 <TS val 1099 ecr 0>
        +0    expect dropped stale_timestamp 5
        +0    expect state ESTABLISHED
        +0.1  < P. 1:11(10) ack 1 win 512 <TS val 1099 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 600 ecr 1100>
        +0    read 10 error EAGAIN
        +0    < P. 1:11(10) ack 1 win 512 <TS val 1100 ecr 0>
        +0    read 10
        +0.04 > .  1:1(0) ack 11 <TS val 640 ecr 1100>
        ",
    );
    assert_eq!(played.dropped(wharf::DropReason::StaleTimestamp), 6);
}

/// RFC 7323 §5.2: an RST is not judged by its timestamp.
#[test]
fn a_reset_with_an_old_timestamp_resets() {
    established("ts on").plays(
        "
        +0    < R  1:1(0) <TS val 1 ecr 0>
        +0    expect connections 0
        +0    read 1 error ECONNRESET
        ",
    );
}

/// RFC 7323 §5.5: the peer's clock may have wrapped.
#[test]
fn after_24_days_of_silence_any_timestamp_is_taken() {
    established("ts on").plays(
        "
        +2073600 < P. 1:11(10) ack 1 win 512 <TS val 1099 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 2073600100 ecr 1100>
        +0.001 < P. 1:11(10) ack 1 win 512 <TS val 1099 ecr 0>
        +0    read 10
        +0.04 > .  1:1(0) ack 11 <TS val 2073600141 ecr 1099>
        ",
    );
}

/// The clock of the peer wraps too, and 0 is a value like any other.
#[test]
fn a_peers_clock_that_wraps_is_followed() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,TS val 4294967295 ecr 0>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 0 ecr 4294967295>
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 0 ecr 0>
        +0    accept
        +0    < P. 1:11(10) ack 1 win 512 <TS val 0 ecr 0>
        +0.04 > .  1:1(0) ack 11 <TS val 140 ecr 0>
        +0    < P. 11:21(10) ack 1 win 512 <TS val 4294967295 ecr 140>
        +0    > .  1:1(0) ack 11 <TS val 140 ecr 0>
        +0    < P. 11:21(10) ack 1 win 512 <TS val 1 ecr 140>
        +0    read 20
        +0.04 > .  1:1(0) ack 21 <TS val 180 ecr 1>
        ",
    );
}

/// Middleboxes strip the option, and some stacks forget it: the connection goes on without, from
/// the third segment of the handshake on.
#[test]
fn segments_without_the_agreed_timestamps_are_taken() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,TS val 7 ecr 0>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 0 ecr 7>
        +0.1  < .  1:1(0) ack 1 win 512
        +0    accept
        +0    < P. 1:11(10) ack 1 win 512
        +0    read 10
        +0.04 > .  1:1(0) ack 11 <TS val 140 ecr 7>
        +0    write 10
        +0    > P. 1:11(10) ack 11 <TS val 140 ecr 7>
        +0.05 < .  11:11(0) ack 11 win 512
        +0    expect srtt_ms 93
        ",
    );
}

/// Of two options of one kind the last counts, for each kind.
#[test]
fn of_an_option_that_comes_twice_the_last_one_counts() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 5,mss 600,TS val 1 ecr 0,wscale 1,TS val 2 ecr 0,wscale 2>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 0 ecr 2,nop,wscale 3>
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 1 ecr 0,TS val 3 ecr 0>
        +0    accept
        +0    expect send_mss 588
        +0    expect send_window 2048
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 100 ecr 3>
        ",
    );
}

/// RFC 7323 §4: the echo tells which of the two copies has arrived, so that the timeout need not
/// stay where its backoff has led it.
#[test]
fn the_round_trip_of_what_was_sent_again_is_measured_by_its_echo() {
    established("ts on, rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 100 ecr 1100>
        +0.3  > P. 1:11(10) ack 1 <TS val 400 ecr 1100>
        +0.6  > P. 1:11(10) ack 1 <TS val 1000 ecr 1100>
        +0    expect rto_ms 1200
        +0.05 < .  1:1(0) ack 11 win 512 <TS val 2000 ecr 1000>
        +0    expect srtt_ms 93
        +0    expect rto_ms 293
        ",
    );
}

/// An echo of what was never sent, or of what was sent long ago: the estimate stays as it is, and
/// so does the timeout.
#[test]
fn an_echo_that_cannot_be_spoils_no_estimate() {
    for echo in ["99", "0", "2000", "3000000000"] {
        let script = format!(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1 <TS val 100 ecr 1100>
            +0.3  > P. 1:11(10) ack 1 <TS val 400 ecr 1100>
            +0.05 < .  1:1(0) ack 11 win 512 <TS val 2000 ecr {echo}>
            +0    expect srtt_ms {srtt}
            ",
            srtt = if echo == "99" { 131 } else { 100 }, // The first copy, but for a tick.
        );
        established("ts on, rtt 100ms").plays(&script);
    }
}

/// RFC 7323 §5.3, R3: whoever knows the four-tuple but not the numbers must not be able to make
/// the peer's own acknowledgment old. It is told where we stand, with the timestamp that we know.
#[test]
fn a_timestamp_from_left_of_the_window_makes_no_ack_of_a_handshake_old() {
    let forged = "< . 4294966000:4294966000(0) ack 1 win 512 <TS val 2000000000 ecr 0>";
    Script::default().plays(&format!(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,TS val 4000 ecr 0>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 0 ecr 4000>
        +0.1  {forged}
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 4000>
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 4200 ecr 0>
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 200 ecr 4200>
        "
    ));
    Script::default().plays(&format!(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460,TS val 4000 ecr 0>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 100 ecr 4000>
        +0.1  {forged}
        +0    > .  1:1(0) ack 1 <TS val 200 ecr 4000>
        +0.1  < .  1:1(0) ack 1 win 512 <TS val 4200 ecr 100>
        +0    expect state ESTABLISHED
        +0    write 10
        +0    > P. 1:11(10) ack 1 <TS val 300 ecr 4200>
        "
    ));
}

/// A SYN that stands left of the window is challenged (RFC 5961 §4), and brings no timestamp that
/// would make the peer's own segments old, whatever text is in it.
#[test]
fn a_syn_with_old_text_sets_no_timestamp() {
    established("ts on").plays(
        "
        +0    < .  1:1001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    < .  1001:2001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 2001 <TS val 100 ecr 1100>
        +0.9  < S. 1:1001(1000) ack 1 win 512 <TS val 2000 ecr 0>
        +0    > .  1:1(0) ack 2001 <TS val 1000 ecr 1100>
        ",
    );
}

/// A timeout that was too early: the echo of the first copy counts, though others left after it.
#[test]
fn the_echo_of_a_first_copy_measures_though_more_was_sent_behind_it() {
    established("ts on, rtt 100ms, mss 1012").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1 <TS val 100 ecr 1100>
        +0.05 write 1000
        +0    > P. 1001:2001(1000) ack 1 <TS val 150 ecr 1100>
        +0.25 > .  1:1001(1000) ack 1 <TS val 400 ecr 1100>
        +0.1  < .  1:1(0) ack 1001 win 512 <TS val 1500 ecr 100>
        +0    > P. 1001:2001(1000) ack 1 <TS val 500 ecr 1500>
        +0    expect srtt_ms 137
        ",
    );
}
