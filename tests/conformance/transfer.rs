//! Data both ways: segmentation, Nagle, PSH, acknowledgments, order (RFC 9293 §3.7, §3.8.6.3).

use wharf::sim::{Script, established};

use crate::config;

#[test]
fn must_40_a_lone_segment_is_acknowledged_after_40_ms() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    expect readable
        +0.04 > .  1:1(0) ack 101
        +0    read 100
        +10   nothing
        ",
    );
}

#[test]
fn shld_18_an_answer_carries_the_acknowledgment_that_was_held_back() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    read 100
        +0.03 write 50
        +0    > P. 1:51(50) ack 101
        +0.1  < .  101:101(0) ack 51 win 512
        +10   nothing
        ",
    );
}

#[test]
fn shld_19_every_second_full_segment_is_acknowledged_at_once() {
    established("").plays(
        "
        +0    < .  1:1461(1460) ack 1 win 512
        +0    < .  1461:2921(1460) ack 1 win 512
        +0    > .  1:1(0) ack 2921
        +0    < .  2921:4381(1460) ack 1 win 512
        +0    < .  4381:5841(1460) ack 1 win 512
        +0    > .  1:1(0) ack 5841
        +0    < .  5841:7301(1460) ack 1 win 512
        +0.04 > .  1:1(0) ack 7301
        ",
    );
}

/// Its sender would take it for lost after two round trips (RFC 8985 §7.2).
#[test]
fn the_short_end_of_a_burst_is_acknowledged_at_once_and_a_short_message_waits() {
    established("").plays(
        "
        +0    < .  1:1461(1460) ack 1 win 512
        +0    < P. 1461:1517(56) ack 1 win 512
        +0    > .  1:1(0) ack 1517
        +0    < P. 1517:1573(56) ack 1 win 512
        +0.04 > .  1:1(0) ack 1573
        ",
    );
}

#[test]
fn must_58_a_burst_costs_one_acknowledgment_and_must_59_it_covers_the_last_segment() {
    established("").plays(
        "
        +0    <+ . 1:1461(1460) ack 1 win 512
        +0    <+ . 1461:2921(1460) ack 1 win 512
        +0    <+ . 2921:4381(1460) ack 1 win 512
        +0    <+ . 4381:5841(1460) ack 1 win 512
        +0    < P. 5841:7301(1460) ack 1 win 512
        +0    > .  1:1(0) ack 7301
        +10   nothing
        ",
    );
}

#[test]
fn shld_28_data_leaves_in_full_segments_and_must_61_the_last_has_psh() {
    established("mss 1000").plays(
        "
        +0    nodelay on
        +0    write 2500
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:2501(500) ack 1
        ",
    );
}

#[test]
fn shld_7_a_small_segment_waits_until_a_small_one_before_it_is_acknowledged() {
    established("mss 1000").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 10
        +0    write 10
        +0.1  < .  1:1(0) ack 11 win 512
        +0    > P. 11:31(20) ack 1
        +0    write 1500
        +0    > .  31:1031(1000) ack 1
        +0.1  < .  1:1(0) ack 31 win 512
        +0    > P. 1031:1531(500) ack 1
        +0    write 10
        +0.1  < .  1:1(0) ack 1031 win 512
        +0.1  < .  1:1(0) ack 1531 win 512
        +0    > P. 1531:1541(10) ack 1
        ",
    );
}

#[test]
fn must_17_nodelay_lets_small_segments_leave_at_once() {
    established("mss 1000").plays(
        "
        +0    nodelay on
        +0    write 1
        +0    > P. 1:2(1) ack 1
        +0    write 1
        +0    > P. 2:3(1) ack 1
        ",
    );
}

/// As on Linux: neither of no octets nor for want of room.
#[test]
fn a_write_that_takes_nothing_changes_nothing_for_what_waits() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 10
        +0    write more 0
        +0.1  < .  1:1(0) ack 11 win 512
        +0    > P. 11:21(10) ack 1
        +0.1  < .  1:1(0) ack 21 win 512
        +0    write more 10
        +0    write 0
        +0.2  > P. 21:31(10) ack 1
        ",
    );
    established("rtt 100ms, mss 1000").plays(
        "
        +0    set send_buffer 2048
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 2038
        +0    > .  11:1011(1000) ack 1
        +0    > .  1011:2011(1000) ack 1
        +0    write more 1 error EAGAIN
        +0.1  < .  1:1(0) ack 2011 win 512
        +0    > P. 2011:2049(38) ack 1
        ",
    );
}

/// As on Linux: the buffer is full, and nobody knows when the next one comes.
#[test]
fn more_that_follows_is_not_waited_for_once_a_write_has_filled_the_buffer() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    set send_buffer 2048
        +0    write more 3000 takes 2048
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:2049(48) ack 1
        ",
    );
}

#[test]
fn switching_nagle_off_lets_go_what_it_held() {
    established("mss 1000").plays(
        "
        +0    write 1
        +0    > P. 1:2(1) ack 1
        +0    write 1
        +0    nodelay on
        +0    > P. 2:3(1) ack 1
        ",
    );
}

#[test]
fn must_60_one_small_write_leaves_without_another() {
    established("").plays(
        "
        +0    write 1
        +0    > P. 1:2(1) ack 1
        ",
    );
}

/// RFC 9293, Appendix A.3: else it would wait for the peer's delayed acknowledgment.
#[test]
fn the_end_of_a_long_write_does_not_wait_for_its_own_full_segments() {
    established("mss 1000").plays(
        "
        +0    write 2500
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:2501(500) ack 1
        +0    write 10
        +0.1  < .  1:1(0) ack 2001 win 512
        +0.1  < .  1:1(0) ack 2501 win 512
        +0    > P. 2501:2511(10) ack 1
        ",
    );
}

#[test]
fn shld_27_writes_that_share_a_segment_share_one_psh() {
    established("mss 1000").plays(
        "
        +0    write 1
        +0    > P. 1:2(1) ack 1
        +0    write 400
        +0    write 400
        +0    write 400
        +0    > .  2:1002(1000) ack 1
        +0.1  < .  1:1(0) ack 1002 win 512
        +0    > P. 1002:1202(200) ack 1
        ",
    );
}

#[test]
fn shld_31_data_that_comes_early_is_held_and_may_13_acknowledged_at_once() {
    established("").plays(
        "
        +0    < .  1001:2001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    expect not readable
        +0    < .  3001:4001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 2001
        +0    read 2000
        +0    < .  2001:3001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 4001
        +0    read 5000 gives 2000
        +0    read error EAGAIN
        ",
    );
}

#[test]
fn what_arrives_twice_is_acknowledged_at_once_and_read_once() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0.04 > .  1:1(0) ack 101
        +0    < P. 1:101(100) ack 1 win 512
        +0    > .  1:1(0) ack 101
        +0    read 1000 gives 100
        ",
    );
}

/// RFC 9293 §3.10.7.4, first step: the old part is trimmed, the new one kept.
#[test]
fn a_segment_that_straddles_the_left_edge_brings_its_new_part() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    < P. 51:151(100) ack 1 win 512
        +0    > .  1:1(0) ack 151
        +0    read 1000 gives 150
        ",
    );
}

#[test]
fn pieces_that_overlap_out_of_order_are_read_once_each() {
    established("").plays(
        "
        +0    < .  201:401(200) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < .  101:301(200) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < .  301:501(200) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < P. 1:601(600) ack 1 win 512
        +0    > .  1:1(0) ack 601
        +0    read 1000 gives 600
        ",
    );
}

/// RFC 9293 §3.10.7.4, first step: what lies right of the window is trimmed too.
#[test]
fn data_beyond_the_window_is_not_taken() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < .  1:1461(1460) ack 1 win 512
        +0    < .  1461:2921(1460) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    < .  2921:4381(1460) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    read 5000 gives 2048
        +0    > .  1:1(0) ack 2049 win 2048
        ",
    );
}

#[test]
fn must_3_a_segment_with_a_wrong_checksum_is_not_seen() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512 bad_checksum
        +1    nothing
        +0    expect not readable
        +0    expect dropped transport_checksum 1
        ",
    );
}

#[test]
fn must_19_slow_start_begins_with_ten_segments_and_grows_by_what_is_acknowledged() {
    established("mss 1000").plays(
        "
        +0    expect cwnd 10000
        +0    write 40000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0    > .  5001:6001(1000) ack 1
        +0    > .  6001:7001(1000) ack 1
        +0    > .  7001:8001(1000) ack 1
        +0    > .  8001:9001(1000) ack 1
        +0    > .  9001:10001(1000) ack 1
        +0    expect in_flight 10000
        +0.1  < .  1:1(0) ack 2001 win 512
        +0    > .  10001:11001(1000) ack 1
        +0    > .  11001:12001(1000) ack 1
        +0    > .  12001:13001(1000) ack 1
        +0    > .  13001:14001(1000) ack 1
        +0    expect cwnd 12000
        ",
    );
}

/// A connection that sends little has not tried its window (RFC 7661, RFC 9293 §3.8.2).
#[test]
fn the_congestion_window_does_not_grow_while_the_application_sends_little() {
    established("mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 512
        +0    write 1000
        +0    > P. 1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 2001 win 512
        +0    expect cwnd 10000
        ",
    );
}

#[test]
fn must_48_the_application_sets_dscp_and_shld_21_changes_it_and_must_49_the_ttl() {
    established("").plays(
        "
        +0    write 1
        +0    > P. 1:2(1) ack 1 tos 0 ttl 64
        +0.1  < .  1:1(0) ack 2 win 512
        +0    set tos 184
        +0    set ttl 9
        +0    write 1
        +0    > P. 2:3(1) ack 1 tos 184 ttl 9
        +0    < P. 1:2(1) ack 3 win 512
        +0.04 > .  3:3(0) ack 2 tos 184 ttl 9
        ",
    );
}

/// What `write` cannot take it leaves; there is room again when octets are acknowledged.
#[test]
fn a_full_send_buffer_takes_no_more_until_something_is_acknowledged() {
    config(|config| config.tcp.send_buffer = 2048).established("mss 1000").plays(
        "
        +0    write 5000 takes 2048
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:2049(48) ack 1
        +0    expect not writable
        +0    write 1 error EAGAIN
        +0.1  < .  1:1(0) ack 2049 win 512
        +0    expect writable
        +0    write 5000 takes 2048
        +0    > .  2049:3049(1000) ack 1
        +0    > .  3049:4049(1000) ack 1
        +0    > P. 4049:4097(48) ack 1
        ",
    );
}

/// As Linux: a connection's first text is acknowledged at once, until an answer shows that the two
/// ends take turns. SHLD-18 begins there.
#[test]
fn the_first_text_of_a_connection_is_acknowledged_at_once_until_it_is_answered() {
    let mut config = wharf::sim::script::default_config();
    config.tcp.quick_acks = 16;
    Script::new(config).established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    > .  1:1(0) ack 101
        +0.5  < P. 101:201(100) ack 1 win 512
        +0    > .  1:1(0) ack 201
        +0.02 write 10
        +0    > P. 1:11(10) ack 201
        +0.1  < .  201:201(0) ack 11 win 512
        +0.4  < P. 201:301(100) ack 11 win 512
        +0.04 > .  11:11(0) ack 301
        +10   nothing
        ",
    );
}

/// RFC 7661, and as Linux: a burst that fills the congestion window to its last octet has tried
/// it, though nothing was left to be held back; each of its acknowledgments counts.
#[test]
fn a_burst_that_just_fills_the_window_lets_it_grow() {
    let mut config = wharf::sim::script::default_config();
    config.tcp.initial_window = 2;
    Script::new(config).established("mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 512
        +0    expect cwnd 2000                 # There was room for just one more.
        +0    write 2000
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        +0    expect cwnd 2000
        +0.1  < .  1:1(0) ack 2001 win 512
        +0    expect cwnd 3000
        +0    < .  1:1(0) ack 3001 win 512
        +0    expect cwnd 4000
        +0    write 1000
        +0    > P. 3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 4001 win 512
        +0    expect cwnd 4000
        +10   nothing
        ",
    );
}

/// Setting any option goes through all of them: those that stay as they were let nothing leave,
/// neither an acknowledgment that is held back nor what a cork holds.
#[test]
fn an_option_that_is_set_lets_nothing_leave_that_waits_for_another() {
    for option in ["keepalive on", "nodelay off", "quick_ack off", "ttl 30", "oob_inline 0"] {
        established("").plays(&format!(
            "
            +0    set cork on
            +0    < P. 1:11(10) ack 1 win 512
            +0    write 40
            +0.01 set {option}
            +0.03 > .  1:1(0) ack 11
            +0.16 > P. 1:41(40) ack 11
            "
        ));
    }
}

/// MUST-38, SHLD-7: what counts as a small piece of window is measured by the largest one that the
/// peer has ever offered, and not by the first.
#[test]
fn must_38_a_window_that_is_small_for_this_peer_is_not_used_at_once() {
    established("rtt 100ms, mss 1000, wscale off, win 300").plays(
        "
        +0    write 300
        +0    > P. 1:301(300) ack 1
        +0.1  < .  1:1(0) ack 301 win 2000
        +0    write 2000
        +0    > .  301:1301(1000) ack 1
        +0    > P. 1301:2301(1000) ack 1
        +0.1  < .  1:1(0) ack 2301 win 500
        +0    write 1500
        +0.3  > .  2301:2801(500) ack 1
        +0    < .  1:1(0) ack 2801 win 1000
        +0    > P. 2801:3801(1000) ack 1
        ",
    );
}

/// What a socket was told before it connects, and a listener before its child opens, holds from
/// the first segment on.
#[test]
fn options_that_were_set_before_the_handshake_hold_from_the_first_segment_on() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set nodelay on
        +0    listener set quick_ack on
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 1 win 65535
        +0    < P. 1:11(10) ack 1 win 65535
        +0    > .  1:1(0) ack 11
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 11
        +0    write 10
        +0    > P. 11:21(10) ack 11
        ",
    );
}

/// TCP_NOTSENT_LOWAT as on Linux (`sk_stream_memory_free`): a writer is woken once less than half
/// of the mark waits to be sent, and then writes up to the mark, but a segment at least.
#[test]
fn a_writer_is_woken_at_half_of_its_mark_and_writes_up_to_it() {
    established("rtt 100ms, mss 100, wscale off, win 0").plays(
        "
        +0    set notsent_lowat 1000
        +0    write 500
        +0    expect writable
        +0    write 1
        +0    expect not writable
        +0    write 4000 takes 499
        +0    write 1 error EAGAIN
        +0.1  < .  1:1(0) ack 1 win 200
        +0    > .  1:101(100) ack 1
        +0    > .  101:201(100) ack 1
        +0    expect not writable              # 800 wait.
        +0    write 1000 takes 200
        +0.1  < .  1:1(0) ack 201 win 500
        +0    > .  201:301(100) ack 1
        +0    > .  301:401(100) ack 1
        +0    > .  401:501(100) ack 1
        +0    > .  501:601(100) ack 1
        +0    > .  601:701(100) ack 1
        +0    expect writable
        +0    write 1000 takes 500
        +0    set notsent_lowat 1001
        +0    write 1000 takes 100
        ",
    );
}

/// RFC 5681 §3.1: the loss of a SYN is a sign of congestion, whoever sent it.
#[test]
fn after_a_syn_that_was_lost_the_first_window_is_one_segment() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +1    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    expect cwnd 1460
        ",
    );
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +1    > S  0:0(0) <...>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    expect cwnd 1460
        ",
    );
}
