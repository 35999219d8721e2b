//! Retransmission: RFC 6298 with Karn, RFC 5681, RFC 6582 (RFC 9293 §3.8.1 to §3.8.3).

use std::fmt::Write as _;

use wharf::MtuProbing;
use wharf::sim::established;

use crate::config;

#[test]
fn must_18_a_segment_is_sent_again_after_the_timeout_that_doubles_each_time() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +1.2  > P. 1:11(10) ack 1
        +2.4  > P. 1:11(10) ack 1
        +4.8  > P. 1:11(10) ack 1
        +9.6  > P. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 11 win 512
        +100  nothing
        ",
    );
}

/// Karn: the acknowledgment could be for either of the two, so it is no measurement, and the
/// backoff stays until there is one (RFC 6298 §3, (5.7)).
#[test]
fn must_18_what_was_sent_twice_is_no_measurement() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.5  < .  1:1(0) ack 11 win 512
        +0    expect srtt_ms 100
        +0    expect rto_ms 600
        +0    write 10
        +0    > P. 11:21(10) ack 1
        +0.1  < .  1:1(0) ack 21 win 512
        +0    expect rto_ms 300
        ",
    );
}

/// RFC 6298 (2.3): SRTT = 7/8·100 + 1/8·500; RTTVAR = 3/4·50 + 1/4·400; RTO = SRTT + 4·RTTVAR.
#[test]
fn must_18_the_timeout_follows_the_round_trip_time() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.2  < .  1:1(0) ack 11 win 512
        +0    expect srtt_ms 112
        +0    expect rto_ms 362
        ",
    );
}

/// RFC 6298 (5.3): the timer starts anew with each acknowledgment of new data.
#[test]
fn an_acknowledgment_of_new_data_restarts_the_timer() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 2000
        +0    > .  1:1001(1000) ack 1
        +0    > P. 1001:2001(1000) ack 1
        +0.2  < .  1:1(0) ack 1001 win 512
        +0    expect rto_ms 362
        +0.3625 > P. 1001:2001(1000) ack 1
        ",
    );
}

/// RFC 5681 §3.1: after a timeout one segment leaves, then slow start goes through what is
/// outstanding.
#[test]
fn after_a_timeout_slow_start_sends_again_what_is_outstanding() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 6000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0    > P. 5001:6001(1000) ack 1
        +0.3  > .  1:1001(1000) ack 1
        +0    expect cwnd 1000
        +0    expect ssthresh 3000
        +0.1  < .  1:1(0) ack 1001 win 512
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 6001 win 512
        +100  nothing
        +0    expect retransmissions 3
        ",
    );
}

#[test]
fn three_duplicate_acks_bring_the_lost_segment_before_the_timeout() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 4000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > P. 3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1001(1000) ack 1
        +0    expect ssthresh 2000
        +0.1  < .  1:1(0) ack 4001 win 512
        +0    expect cwnd 2000
        +100  nothing
        ",
    );
}

/// RFC 5681 §3.2: half of what is outstanding, not of what has not been reported yet.
#[test]
fn ssthresh_becomes_half_of_the_flight() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 10000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0    > .  5001:6001(1000) ack 1
        +0    > .  6001:7001(1000) ack 1
        +0    > .  7001:8001(1000) ack 1
        +0    > .  8001:9001(1000) ack 1
        +0    > P. 9001:10001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1001(1000) ack 1
        +0    expect ssthresh 5000
        ",
    );
}

/// The retransmission got lost too: what duplicates have reported is as little acknowledged as
/// before (RFC 5681 §2), and slow start ends where the window was halved.
#[test]
fn ssthresh_stays_half_of_the_flight_when_a_retransmission_is_lost() {
    let mut script = String::from("+0 write 10000\n");
    for start in (1..9001).step_by(1000) {
        writeln!(script, "+0 > . {start}:{}(1000) ack 1", start + 1000).unwrap();
    }
    script.push_str("+0 > P. 9001:10001(1000) ack 1\n+0.1 < . 1:1(0) ack 1 win 512\n");
    script.push_str(&"+0 < . 1:1(0) ack 1 win 512\n".repeat(2));
    script.push_str("+0 > . 1:1001(1000) ack 1\n");
    script.push_str(&"+0 < . 1:1(0) ack 1 win 512\n".repeat(6));
    script.push_str(
        "
        +0    expect ssthresh 5000
        +0.3  > .  1:1001(1000) ack 1
        +0    expect cwnd 1000
        +0    expect ssthresh 5000
        ",
    );
    established("rtt 100ms, mss 1000").plays(&script);
}

/// RFC 6582 §3.2, step 3: each partial acknowledgment names the next hole.
#[test]
fn a_partial_acknowledgment_brings_the_next_lost_segment() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 6000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0    > P. 5001:6001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1001(1000) ack 1
        +0    < .  1:1(0) ack 1 win 512
        +0.1  < .  1:1(0) ack 3001 win 512
        +0    > .  3001:4001(1000) ack 1
        +0    expect cwnd 3000                 # It does not grow before the recovery is over.
        +0.1  < .  1:1(0) ack 6001 win 512
        +100  nothing
        +0    expect retransmissions 2
        ",
    );
}

/// RFC 3042: the first two duplicates each let one new segment leave.
#[test]
fn the_first_two_duplicate_acks_let_new_data_leave() {
    config(|config| config.tcp.initial_window = 3).established("rtt 100ms, mss 1000").plays(
        "
            +0    write 5000
            +0    > .  1:1001(1000) ack 1
            +0    > .  1001:2001(1000) ack 1
            +0    > .  2001:3001(1000) ack 1
            +0.1  < .  1:1(0) ack 1 win 512
            +0    > .  3001:4001(1000) ack 1
            +0    < .  1:1(0) ack 1 win 512
            +0    > P. 4001:5001(1000) ack 1
            +0    < .  1:1(0) ack 1 win 512
            +0    > .  1:1001(1000) ack 1
            +0    expect ssthresh 2000         # Not half of the five that are outstanding.
            ",
    );
}

/// RFC 5681 §2: neither data nor a changed window makes a duplicate acknowledgment.
#[test]
fn window_updates_and_data_are_no_duplicate_acks() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 2000
        +0    > .  1:1001(1000) ack 1
        +0    > P. 1001:2001(1000) ack 1
        +0    < .  1:1(0) ack 1 win 511
        +0    < .  1:1(0) ack 1 win 510
        +0    < .  1:1(0) ack 1 win 509
        +0    < P. 1:2(1) ack 1 win 509
        +0    < P. 2:3(1) ack 1 win 509
        +0    > .  2001:2001(0) ack 3
        +0    < P. 3:4(1) ack 1 win 509
        +0    < P. 4:5(1) ack 1 win 509
        +0    > .  2001:2001(0) ack 5
        +0.1  < .  5:5(0) ack 2001 win 509
        +0    expect retransmissions 0
        ",
    );
}

#[test]
fn must_20_a_silent_peer_ends_the_connection_at_r2() {
    config(|config| config.tcp.give_up_after = wharf::Duration::from_secs(10))
        .established("rtt 100ms")
        .plays(
            "
            +0    write 10
            +0    > P. 1:11(10) ack 1
            +0.3  > P. 1:11(10) ack 1
            +0.6  > P. 1:11(10) ack 1
            +1.2  > P. 1:11(10) ack 1
            +2.4  > P. 1:11(10) ack 1
            +4.8  > P. 1:11(10) ack 1
            +0.7  nothing
            +0    expect connections 0
            +0    read error ETIMEDOUT
            +0    read eof
            +0    write 1 error EPIPE
            ",
        );
}

/// The default of R2, and more than three retransmissions before it.
#[test]
fn shld_11_r2_is_a_hundred_seconds_at_least_and_shld_10_r1_three_retransmissions() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.3  > P. 1:11(10) ack 1
        +0.6  > P. 1:11(10) ack 1
        +1.2  > P. 1:11(10) ack 1
        +2.4  > P. 1:11(10) ack 1
        +4.8  > P. 1:11(10) ack 1
        +9.6  > P. 1:11(10) ack 1
        +19.2 > P. 1:11(10) ack 1
        +38.4 > P. 1:11(10) ack 1
        +76.8 > P. 1:11(10) ack 1
        +0    expect state ESTABLISHED
        +0.1  < .  1:1(0) ack 11 win 512
        +0    expect state ESTABLISHED
        ",
    );
}

/// A retransmission carries the newest acknowledgment, and what the peer has it is not sent again.
#[test]
fn a_segment_that_is_partly_acknowledged_is_sent_again_from_there() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < P. 1:101(100) ack 301 win 512
        +0.04 > .  1001:1001(0) ack 101
        +0.26 > P. 301:1001(700) ack 101
        ",
    );
}

#[test]
fn writes_that_were_sent_apart_are_sent_again_together() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    nodelay on
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 20
        +0    > P. 11:31(20) ack 1
        +0.3  > P. 1:31(30) ack 1
        +0.1  < .  1:1(0) ack 31 win 512
        +100  nothing
        ",
    );
}

#[test]
fn must_25_an_idle_connection_sends_nothing() {
    established("").plays(
        "
        +86400 nothing
        +0     expect state ESTABLISHED
        +0     write 1
        +0     > P. 1:2(1) ack 1
        ",
    );
}

/// The acknowledgment of a segment that duplicates brought again is no measurement either.
#[test]
fn must_18_a_fast_retransmission_is_no_measurement() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 4000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > P. 3001:4001(1000) ack 1
        +0.05 < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1001(1000) ack 1
        +0.2  < .  1:1(0) ack 4001 win 512
        +0    expect srtt_ms 100
        +0    expect rto_ms 300
        ",
    );
}

/// The restart window (RFC 5681 §4.1) is one of segments as they are then: what began with one
/// small segment would else let none out, with no timer to end that.
#[test]
fn after_a_rest_one_segment_leaves_though_segments_have_grown_since_the_first() {
    config(|config| {
        (config.tcp.mtu_probing, config.tcp.initial_window) = (MtuProbing::Always, 1);
    })
    .established("")
    .plays(
        "
        +0    write 1024
        +0    > P. 1:1025(1024) ack 1
        +0.1  < .  1:1(0) ack 1025 win 512
        +0    write 13748
        +0    > .  1025:2049(1024) ack 1
        +0    > .  2049:3073(1024) ack 1
        +0.1  < .  1:1(0) ack 3073 win 512
        +0    > .  3073:4097(1024) ack 1
        +0    > .  4097:5121(1024) ack 1
        +0    > .  5121:6145(1024) ack 1
        +0    > .  6145:7169(1024) ack 1
        +0.1  < .  1:1(0) ack 7169 win 512
        # The probe, and what shows whether it arrives.
        +0    > .  7169:8629(1460) ack 1
        +0    > .  8629:9653(1024) ack 1
        +0    > .  9653:10677(1024) ack 1
        +0    > .  10677:11701(1024) ack 1
        +0    > .  11701:12725(1024) ack 1
        +0    > .  12725:13749(1024) ack 1
        +0    > P. 13749:14773(1024) ack 1
        +0.1  < .  1:1(0) ack 14773 win 512
        +0    expect send_mss 1460
        +10   write 1460
        +0    > P. 14773:16233(1460) ack 1
        +0    expect cwnd 1460
        +0.1  < .  1:1(0) ack 16233 win 512
        +10   nothing
        ",
    );
}

/// A cork that has held for long enough asks nothing of the peer: only a shut window is probed.
#[test]
fn a_cork_that_ends_while_the_congestion_window_is_full_probes_nothing() {
    established("rtt 0ms, mss 1000, wscale off, win 4000").plays(
        "
        +0    write more 1500
        +0    > .  1:1001(1000) ack 1
        +0.2  > .  1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 4000
        +0.2  > P. 1001:1501(500) ack 1
        +0    < .  1:1(0) ack 1501 win 4000
        +100  nothing
        ",
    );
}

/// What duplicates have let leave beyond the congestion window is none of the flight that the
/// window is halved by (RFC 5681 §3.2, steps 1 and 2), whether they were enough for a loss or not.
#[test]
fn ssthresh_after_a_timeout_is_half_of_the_window_that_was_in_flight_and_not_of_what_followed() {
    let flight = "
        +0    write 8000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512
        +0    > .  4001:5001(1000) ack 1
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  5001:6001(1000) ack 1
    ";
    let recovery = "
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1001(1000) ack 1
        +0    expect ssthresh 2000
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  6001:7001(1000) ack 1
        +0.3  > .  1:1001(1000) ack 1
        +0    expect ssthresh 2000
    ";
    let timeout = "
        +0.2  > .  1:1001(1000) ack 1
        +0    expect ssthresh 2000
    ";
    for rest in [recovery, timeout] {
        let config = config(|config| config.tcp.initial_window = 4);
        config.established("rtt 100ms, mss 1000").plays(&format!("{flight}{rest}"));
    }
}

/// SHLD-16: the right edge itself is inside of the window.
#[test]
fn what_ends_at_the_right_edge_is_sent_again_without_another_window() {
    established("rtt 100ms, mss 1000, wscale off, win 3000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        +0.3  > .  1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 2000
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        ",
    );
}

/// A scaled window is rounded down to its unit: what passes it by less is inside, as the peer
/// knows it, and is sent again whole.
#[test]
fn a_segment_that_passes_the_window_by_less_than_its_unit_is_sent_again_whole() {
    for (window, first) in [(7, "P. 1:1001(1000)"), (6, ". 1:769(768)")] {
        established("rtt 100ms, mss 1000").plays(&format!(
            "
            +0    write 1000
            +0    > P. 1:1001(1000) ack 1
            +0.1  < .  1:1(0) ack 1 win {window}
            +0.2  > {first} ack 1
            "
        ));
    }
}

/// A FIN behind what a router has dropped for its size is on its way, and not lost with it.
#[test]
fn a_fin_that_left_by_itself_does_not_leave_again_with_text_that_was_too_large() {
    established("").plays(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0    shutdown write
        +0    > F. 1461:1461(0) ack 1
        +0.01 < icmp unreachable fragmentation_needed mtu 1000 quoting 1
        +0    > .  1:961(960) ack 1
        +0    > P. 961:1461(500) ack 1
        +0.09 < .  1:1(0) ack 1462 win 512
        ",
    );
}

/// RFC 5681 §3.1: a second timeout of the same flight is no second sign of congestion, though
/// something was acknowledged in between.
#[test]
fn ssthresh_is_halved_once_however_often_the_timer_runs_out_before_all_is_acknowledged() {
    let mut script = String::from("+0 write 10000\n");
    for start in (1..9001).step_by(1000) {
        writeln!(script, "+0 > . {start}:{}(1000) ack 1", start + 1000).unwrap();
    }
    script.push_str(
        "
        +0    > P. 9001:10001(1000) ack 1
        +0.3  > .  1:1001(1000) ack 1
        +0    expect ssthresh 5000
        +0.1  < .  1:1(0) ack 1001 win 512
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0.6  > .  1001:2001(1000) ack 1
        +0    expect ssthresh 5000
        +0    expect cwnd 1000
        ",
    );
    established("rtt 100ms, mss 1000").plays(&script);
}

/// What leaves as the window opens has a timeout of its own.
#[test]
fn a_window_that_opens_starts_the_timer_anew() {
    established("rtt 100ms, mss 1000, wscale off, win 3000").plays(
        "
        +0    write 2000
        +0    > .  1:1001(1000) ack 1
        +0    > P. 1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0.3  > .  1001:1473(472) ack 1
        +0    < .  1:1(0) ack 1001 win 0
        +0.1  < .  1:1(0) ack 1001 win 3000
        +0    > P. 1001:2001(1000) ack 1
        +0.6  > P. 1001:2001(1000) ack 1
        ",
    );
}

/// RFC 4821 §7.4: a probe of the path is sent inside of the congestion window, and what it waits
/// for is not used up by smaller segments.
#[test]
fn a_probe_of_the_path_waits_for_room_in_the_congestion_window() {
    let config = config(|config| config.tcp.mtu_probing = MtuProbing::Always);
    config.established("rtt 100ms").plays(
        "
        +0    set nodelay on
        +0    expect cwnd 10240
        +0    write 4000
        +0    > .  1:1025(1024) ack 1
        +0    > .  1025:2049(1024) ack 1
        +0    > .  2049:3073(1024) ack 1
        +0    > P. 3073:4001(928) ack 1
        +0    write 4000
        +0    > .  4001:5025(1024) ack 1
        +0    > .  5025:6049(1024) ack 1
        +0    > .  6049:7073(1024) ack 1
        +0    > P. 7073:8001(928) ack 1
        +0    write 1000
        +0    > P. 8001:9001(1000) ack 1
        +0    write 5000
        +0.1  < .  1:1(0) ack 9001 win 512
        +0    > .  9001:10461(1460) ack 1
        +0    > .  10461:11485(1024) ack 1
        +0    > .  11485:12509(1024) ack 1
        +0    > .  12509:13533(1024) ack 1
        +0    > P. 13533:14001(468) ack 1
        ",
    );
}
