//! Flow control: offered windows, probes, silly windows (RFC 9293 §3.8.6).

use std::fmt::Write as _;

use wharf::sim::established;

use crate::config;

/// A connection whose peer takes 1000 octets and then shuts its window, with data waiting.
const SHUT: &str = "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0    write 500
";

fn shut_window(rest: &str) {
    established("rtt 100ms, mss 1000").plays(&format!("{SHUT}{rest}"));
}

#[test]
fn must_36_a_shut_window_is_probed_and_shld_29_first_after_one_timeout() {
    shut_window(
        "
        +0.299 nothing
        +0.001 > . 1000:1000(0) ack 1
        +0.1   < . 1:1(0) ack 1001 win 512
        +0     > P. 1001:1501(500) ack 1
        ",
    );
}

#[test]
fn shld_30_the_interval_between_probes_doubles_up_to_a_minute() {
    shut_window(
        "
        +0.3   > . 1000:1000(0) ack 1
        +0.6   > . 1000:1000(0) ack 1
        +1.2   > . 1000:1000(0) ack 1
        +2.4   > . 1000:1000(0) ack 1
        +4.8   > . 1000:1000(0) ack 1
        +9.6   > . 1000:1000(0) ack 1
        +19.2  > . 1000:1000(0) ack 1
        +38.4  > . 1000:1000(0) ack 1
        +60    > . 1000:1000(0) ack 1
        +60    > . 1000:1000(0) ack 1
        ",
    );
}

#[test]
fn must_37_a_connection_stays_open_for_hours_while_its_probes_are_answered() {
    let mut script = String::new();
    let mut wait = 0.3;
    for _ in 0..250 {
        // The answer takes no time, so that each wait is exactly twice the one before.
        writeln!(script, "+{wait:.1} > . 1000:1000(0) ack 1").unwrap();
        script.push_str("+0 < . 1:1(0) ack 1001 win 0\n");
        wait = f64::min(wait * 2.0, 60.0);
    }
    script.push_str(
        "
        +0    expect state ESTABLISHED
        +0    < .  1:1(0) ack 1001 win 512
        +0    > P. 1001:1501(500) ack 1
        ",
    );
    shut_window(&script);
}

#[test]
fn a_window_that_opens_by_itself_is_used_at_once() {
    shut_window(
        "
        +0.05  < .  1:1(0) ack 1001 win 512
        +0     > P. 1001:1501(500) ack 1
        +0.1   < .  1:1(0) ack 1501 win 512
        +100   nothing
        ",
    );
}

/// The FIN follows the data that waits.
#[test]
fn a_fin_waits_behind_data_that_a_shut_window_holds() {
    shut_window(
        "
        +0     shutdown write
        +0     expect state FIN-WAIT-1
        +0.3   > .  1000:1000(0) ack 1
        +0.1   < .  1:1(0) ack 1001 win 512
        +0     > FP. 1001:1501(500) ack 1
        +0.1   < .  1:1(0) ack 1502 win 512
        +0     expect state FIN-WAIT-2
        ",
    );
}

/// A probe stands left of the window, where most peers look at nothing but its place: what it
/// acknowledges and offers they have to be told of by another segment.
#[test]
fn a_probe_is_no_acknowledgment() {
    shut_window(
        "
        +0.28 < P. 1:101(100) ack 1001 win 0
        +0.02 > .  1000:1000(0) ack 101
        +0.02 > .  1001:1001(0) ack 101
        +0.56 nothing
        +0.02 > .  1000:1000(0) ack 101
        ",
    );
}

/// RFC 9293 §3.8.6: the peer takes back what it had offered.
#[test]
fn must_34_a_window_that_shrinks_stops_new_data_and_shld_16_old_data_is_sent_again() {
    established("rtt 100ms, mss 1000, wscale off, win 4000").plays(
        "
        +0    write 6000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 1000
        +0.3  > .  1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 2001 win 1000
        +0    > .  2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 3001 win 4000
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0.1  < .  1:1(0) ack 4001 win 4000
        +0    > P. 5001:6001(1000) ack 1
        +0.1  < .  1:1(0) ack 6001 win 4000
        +100  nothing
        ",
    );
}

/// A peer that takes no more of a segment than its window has room for throws the rest away: what
/// comes next leaves with its acknowledgment, and waits for no timer.
#[test]
fn shld_16_of_old_data_no_more_is_sent_again_than_a_window_that_shrinks_has_room_for() {
    established("rtt 100ms, mss 1000, wscale off, win 3000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 600
        +0.3  > .  1001:1601(600) ack 1
        +0.1  < .  1:1(0) ack 1601 win 600
        +0    > .  1601:2201(600) ack 1
        +0.1  < .  1:1(0) ack 2201 win 600
        +0    > .  2201:2801(600) ack 1
        +0.1  < .  1:1(0) ack 2801 win 600
        +0    > P. 2801:3001(200) ack 1
        +0.1  < .  1:1(0) ack 3001 win 3000
        +100  nothing
        ",
    );
}

/// As Linux shrinks it when it has no memory for what comes; and drops whatever lies past the edge.
#[test]
fn must_34_what_comes_from_a_peer_that_has_shrunk_its_window_is_acknowledged_inside_of_it() {
    established("rtt 100ms, mss 1000, wscale off, win 3000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        +0.1  < .  1:1001(1000) ack 1001 win 500
        +0    < .  1001:2001(1000) ack 1001 win 500
        +0    > .  1501:1501(0) ack 2001
        +0.05 < .  2001:3001(1000) ack 1001 win 0
        +0    < .  3001:4001(1000) ack 1001 win 0
        +0    > .  1001:1001(0) ack 4001
        +0.05 < .  4001:4001(0) ack 1001 win 2000
        +0    < .  4001:5001(1000) ack 1001 win 2000
        +0    < .  5001:6001(1000) ack 1001 win 2000
        +0    > .  3001:3001(0) ack 6001
        ",
    );
}

/// Each end believes that the other has taken its window back, though all had arrived: bare
/// acknowledgments stand where nobody looks at them, and what each sends again must be looked at.
#[test]
fn must_34_the_ack_counts_of_text_that_comes_again_from_a_peer_that_has_shrunk_its_window() {
    established("rtt 100ms, mss 1000, wscale off, win 2000").plays(
        "
        +0    write 2000
        +0    > .  1:1001(1000) ack 1
        +0    > P. 1001:2001(1000) ack 1
        +0.1  < .  1:1001(1000) ack 1 win 500
        +0.04 > .  501:501(0) ack 1001
        +0.1  < .  1:1001(1000) ack 2001 win 500
        +0    > .  2001:2001(0) ack 1001
        +0    expect unacknowledged 0
        +100  nothing
        ",
    );
}

#[test]
fn must_35_a_window_that_shrinks_to_nothing_is_probed() {
    established("rtt 100ms, mss 1000, wscale off, win 2000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0.3  > .  1001:1473(472) ack 1
        +0.6  > .  1001:1473(472) ack 1
        +0.1  < .  1:1(0) ack 2001 win 0
        +0.3  > .  2000:2000(0) ack 1
        +0.1  < .  1:1(0) ack 2001 win 2000
        +0    > P. 2001:3001(1000) ack 1
        ",
    );
}

/// What the timer has sent again while the window was shut, the peer has dropped: once it opens
/// nothing waits for a timer that has backed off, up to two minutes, as nothing does for a probe.
#[test]
fn what_a_shut_window_kept_out_leaves_again_as_soon_as_it_opens() {
    established("rtt 100ms, mss 1000, wscale off, win 3000").plays(
        "
        +0    write 4000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0.3  > .  1001:1473(472) ack 1
        +0    < .  1:1(0) ack 1001 win 0
        +0.6  > .  1001:1473(472) ack 1
        +0    < .  1:1(0) ack 1001 win 0
        +1.2  > .  1001:1473(472) ack 1
        +0    < .  1:1(0) ack 1001 win 0
        +0.1  < .  1:1(0) ack 1001 win 3000
        +0    > .  1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 2001 win 3000
        +0    > .  2001:3001(1000) ack 1
        +0    > P. 3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 4001 win 3000
        +100  nothing
        ",
    );
}

/// RFC 9293 §3.8.6: what was sent and lies right of an edge that has moved left is no reason to
/// give up, for as long as the peer answers. Two hours of it are eight times R2.
#[test]
fn shld_17_octets_beyond_an_edge_that_shrank_do_not_time_the_connection_out() {
    let mut script = String::from(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        ",
    );
    let mut wait = 0.3;
    for _ in 0..70 {
        writeln!(script, "+{wait:.1} > . 1001:1473(472) ack 1").unwrap();
        script.push_str("+0 < . 1:1(0) ack 1001 win 0\n");
        wait = f64::min(wait * 2.0, 120.0);
    }
    script.push_str(
        "
        +0    expect state ESTABLISHED
        +0    < .  1:1(0) ack 2001 win 2000
        +0    > P. 2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 3001 win 2000
        +200  nothing
        ",
    );
    established("rtt 100ms, mss 1000, wscale off, win 2000").plays(&script);
}

/// RFC 9293 §3.8.6.2.1: less than a segment and less than half of the largest window waits, but
/// not for ever.
#[test]
fn must_38_a_window_of_a_few_octets_is_not_used_until_waiting_has_been_in_vain() {
    established("rtt 100ms, mss 1000, wscale off, win 4000").plays(
        "
        +0    write 4000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > P. 3001:4001(1000) ack 1
        +0.1  < .  1:1(0) ack 4001 win 100
        +0    write 2000
        +0.1  < .  1:1(0) ack 4001 win 200
        +0    < .  1:1(0) ack 4001 win 300
        +0.2  > .  4001:4301(300) ack 1
        +0.1  < .  1:1(0) ack 4301 win 1000
        +0    > .  4301:5301(1000) ack 1
        ",
    );
}

/// RFC 9293 §3.8.6.2.2: an update must be worth it.
#[test]
fn must_39_reading_octet_by_octet_offers_no_silly_windows() {
    config(|config| config.tcp.receive_buffer = 4096).established("").plays(
        "
        +0    < .  1:1461(1460) ack 1 win 512
        +0    < .  1461:2921(1460) ack 1 win 512
        +0    > .  1:1(0) ack 2921 win 1176
        +0    < .  2921:4097(1176) ack 1 win 512
        +0.04 > .  1:1(0) ack 4097 win 0
        +0    read 1
        +0    read 1458
        +1    nothing
        +0    read 1
        +0    > .  1:1(0) ack 4097 win 1460
        +0    read 1000
        +0    read 1000
        +0    > .  1:1(0) ack 4097 win 3460
        ",
    );
}

/// RFC 9293 §3.10.7.4: a probe of our shut window is answered, and its octet is not taken.
#[test]
fn a_probe_of_our_shut_window_is_answered() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < .  1:1025(1024) ack 1 win 512
        +0    < .  1025:2049(1024) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +1    < .  2049:2050(1) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +1    < .  2048:2048(0) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    read 2048
        +0    > .  1:1(0) ack 2049 win 2048
        +0    < .  2049:2050(1) ack 1 win 512
        +0.04 > .  1:1(0) ack 2050 win 2047
        +0    read 1
        ",
    );
}

#[test]
fn must_66_an_ack_and_a_reset_count_at_a_shut_window() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < .  1:1025(1024) ack 1 win 512
        +0    < .  1025:2049(1024) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    write 10
        +0    > P. 1:11(10) ack 2049 win 0
        +0.1  < .  2049:2050(1) ack 11 win 512
        +0    > .  11:11(0) ack 2049 win 0
        +0    expect send_queue 0
        +0    < R  2049:2049(0)
        +0    read 2048
        +0    read error ECONNRESET
        ",
    );
}

/// A FIN takes no room in the buffer: Linux takes it at a shut window, and so do we.
#[test]
fn a_fin_is_taken_at_a_shut_window() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < .  1:1025(1024) ack 1 win 512
        +0    < .  1025:2049(1024) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    < F. 2049:2049(0) ack 1 win 512
        +0    > .  1:1(0) ack 2050 win 0
        +0    expect state CLOSE-WAIT
        +0    read 2048
        +0    read eof
        ",
    );
}

/// The right edge that was offered stands: data up to it is taken although nobody has read.
#[test]
fn shld_14_the_right_edge_that_we_offer_never_moves_left() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < P. 1:2(1) ack 1 win 512
        +0.04 > .  1:1(0) ack 2 win 2047
        +0    < P. 2:3(1) ack 1 win 512
        +0.04 > .  1:1(0) ack 3 win 2046
        +0    read 2
        +0    < P. 3:4(1) ack 1 win 512
        +0.04 > .  1:1(0) ack 4 win 2045
        ",
    );
}

/// RFC 9293 §3.1: windows from 32768 on are no negative numbers.
#[test]
fn must_1_a_window_of_65535_is_used_in_full() {
    let mut script = String::from("+0 write 70000\n");
    for segment in 0..65 {
        let first = segment * 1000 + 1;
        writeln!(script, "+0 > . {first}:{}(1000) ack 1", first + 1000).unwrap();
    }
    script.push_str("+0.1 nothing\n+0 expect in_flight 65000\n");
    config(|config| config.tcp.initial_window = 100)
        .established("mss 1000, wscale off, win 65535")
        .plays(&script);
}

/// RFC 7323 §2: without a 32-bit window this would stop at 65535 octets.
#[test]
fn rec_1_a_scaled_window_above_64_kib_is_used_in_full() {
    let mut script = String::from("+0 write 120000\n");
    for segment in 0..100 {
        let first = segment * 1000 + 1;
        writeln!(script, "+0 > . {first}:{}(1000) ack 1", first + 1000).unwrap();
    }
    script.push_str("+0.1 nothing\n+0 expect in_flight 100000\n");
    config(|config| config.tcp.initial_window = 200)
        .established("mss 1000, wscale 3, win 12500")
        .plays(&script);
}

/// RFC 9293 §3.10.7.4, fifth step, SND.WL1 and SND.WL2: an old segment brings no new window.
#[test]
fn a_window_in_a_segment_that_was_overtaken_is_ignored() {
    established("mss 1000, wscale off, win 4000").plays(
        "
        +0    < P. 1:101(100) ack 1 win 4000
        +0    < P. 101:201(100) ack 1 win 2000
        +0    > .  1:1(0) ack 201
        +0    expect send_window 2000
        +0    < .  1:1(0) ack 1 win 9000
        +0    > .  1:1(0) ack 201
        +0    expect send_window 2000
        +0    < .  201:201(0) ack 1 win 3000
        +0    expect send_window 3000
        ",
    );
}

/// An acknowledgment of something new was sent last, whatever its sequence number: here it comes
/// on a probe. Without its window the right edge would move with SND.UNA, to where the peer has
/// never offered anything.
#[test]
fn the_window_that_comes_with_a_new_ack_counts_even_on_a_probe() {
    established("rtt 100ms, mss 1000, wscale off, win 2000").plays(
        "
        +0    < P. 1:101(100) ack 1 win 2000
        +0    read 100
        +0    < .  101:101(0) ack 1 win 2000
        +0    write 3000
        +0    > .  1:1001(1000) ack 101
        +0    > .  1001:2001(1000) ack 101
        +0.1  < .  100:100(0) ack 1001 win 1000
        +0    > .  2001:2001(0) ack 101
        +0    expect send_window 1000
        +0.1  < .  101:101(0) ack 2001 win 2000
        +0    > P. 2001:3001(1000) ack 101
        ",
    );
}

/// RFC 9293 §3.10.7.4, fifth step: only an acknowledgment from SND.UNA on brings a window. One that
/// was overtaken counts its window from where SND.UNA was then: the right edge would move to where
/// the peer has offered nothing, though the segment's own sequence number is new.
#[test]
fn the_window_of_an_acknowledgment_that_was_overtaken_is_ignored() {
    established("mss 1000, wscale off, win 4000").plays(
        "
        +0    write 3000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 2001 win 2000
        +0    expect send_window 2000
        +0    < P. 101:201(100) ack 1 win 4000
        +0    > .  3001:3001(0) ack 1
        +0    expect send_window 2000
        ",
    );
}

/// RFC 9293 §3.8.6.2.1: the override time-out is 0.1 to 1 s, however long the probes of a shut
/// window before it had become.
#[test]
fn a_small_window_after_a_long_shut_one_is_used_within_a_second() {
    established("rtt 100ms, mss 1000, wscale off, win 4000").plays(
        "
        +0     write 1000
        +0     > P. 1:1001(1000) ack 1
        +0.1   < .  1:1(0) ack 1001 win 0
        +0     write 2000
        +0.3   > .  1000:1000(0) ack 1
        +0.6   > .  1000:1000(0) ack 1
        +1.2   > .  1000:1000(0) ack 1
        +2.4   > .  1000:1000(0) ack 1
        +4.8   > .  1000:1000(0) ack 1
        +0.1   < .  1:1(0) ack 1001 win 300
        +0.3   > .  1001:1301(300) ack 1
        ",
    );
}

/// RFC 9293 §3.8.6.2.2: what counts is how far the edge can move, not what was read since the last
/// segment of any kind; else a peer with large segments waits for its own override time-out.
#[test]
fn what_is_read_in_pieces_between_our_own_segments_opens_the_window_too() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    < P. 1:1449(1448) ack 1 win 512
        +0.04 > .  1:1(0) ack 1449 win 600
        +0    read 900
        +0    write 10
        +0    > P. 1:11(10) ack 1449 win 600
        +0.1  < .  1449:1449(0) ack 11 win 512
        +0    read 548
        +0    > .  11:11(0) ack 1449 win 2048
        ",
    );
}

/// A peer that has filled our window acknowledges from its right edge; until a hole in that window
/// is filled each of its acknowledgments stands there.
#[test]
fn an_ack_at_the_right_edge_of_a_window_that_is_full_counts() {
    config(|config| config.tcp.receive_buffer = 2048).established("").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    < .  1025:2049(1024) ack 1 win 512
        +0    > .  11:11(0) ack 1 win 2048
        +0.1  < .  2049:2049(0) ack 11 win 512
        +0    > .  11:11(0) ack 1 win 2048
        +0    expect send_queue 0
        ",
    );
}

/// The third of the packet wars of draft-gont-tcpm-tcp-seq-validation: both ends probe a shut
/// window, each one octet left of the other's. The ACK and the window of such a probe count, and it
/// is not answered without end.
#[test]
fn simultaneous_window_probes_are_no_war_and_what_they_acknowledge_counts() {
    config(|config| config.tcp.receive_buffer = 2048).established("mss 1024, win 0").plays(
        "
        +0    <+ .  1:1025(1024) ack 1 win 0
        +0    < P. 1025:2049(1024) ack 1 win 0
        +0    > .  1:1(0) ack 2049 win 0
        +0    write 10
        +0.3  > .  0:0(0) ack 2049 win 0                 # ours
        +0    < .  2048:2048(0) ack 1 win 0              # theirs
        +0    > .  1:1(0) ack 2049 win 0
        +0.01 < .  2048:2048(0) ack 1 win 0              # not so soon again
        +0.29 nothing
        +0    < .  2048:2048(0) ack 1 win 1024           # a probe may open our window
        +0    > P. 1:11(10) ack 2049 win 0
        +0.1  < .  2048:2048(0) ack 11 win 1024          # and acknowledge what leaves
        +0    expect send_queue 0
        +0.4  nothing
        ",
    );
}
