//! SACK as the receiver sends it: RFC 2018 §2 to §4, RFC 2883.

use wharf::sim::{Script, established};

use crate::config;

/// RFC 2018 §4: the first block holds the segment that the acknowledgment answers, the others
/// repeat what was reported last.
#[test]
fn the_first_block_holds_the_segment_that_has_just_come_early() {
    established("sack on").plays(
        "
        +0    < .  1001:2001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:2001>
        +0    < .  3001:4001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 3001:4001 1001:2001>
        +0    < .  7001:8001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 7001:8001 3001:4001 1001:2001>
        +0    < .  5001:6001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 5001:6001 7001:8001 3001:4001 1001:2001>
        +0    < .  9001:9101(100) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 9001:9101 5001:6001 7001:8001 3001:4001>
        +0    < .  2001:3001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:4001 9001:9101 5001:6001 7001:8001>
        +0    < .  8001:9001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 7001:9101 1001:4001 5001:6001>
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 4001 <sack 7001:9101 5001:6001>
        +0    < .  4001:5001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 6001 <sack 7001:9101>
        +0    < .  6001:7001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 9101
        +0    read 9100
        ",
    );
}

/// RFC 2018 §3: 40 octets of options have room for four blocks, or for three and timestamps.
#[test]
fn beside_timestamps_there_are_three_blocks() {
    established("sack on, ts on").plays(
        "
        +0    < .  1001:2001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 1001:2001>
        +0    < .  3001:4001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 3001:4001 1001:2001>
        +0    < .  5001:6001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 5001:6001 3001:4001 1001:2001>
        +0    < .  7001:8001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 7001:8001 5001:6001 3001:4001>
        ",
    );
}

#[test]
fn without_the_peers_permission_there_are_no_blocks() {
    let script = "
        +0    < .  1001:2001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < .  1001:2001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1
    ";
    established("sack off").plays(script);
    config(|config| config.tcp.sack = false).established("sack on").plays(script);
    // Blocks from a peer that has not permitted any are none of our business either.
    established("sack off").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    < .  1:1(0) ack 1 win 512 <sack 1:11>
        +0.3  > P. 1:11(10) ack 1
        ",
    );
}

/// As Linux: a peer that also reads must not wait for a bare acknowledgment to learn of a hole.
/// The blocks take their octets from the text.
#[test]
fn must_16_text_carries_blocks_too_and_is_the_shorter_for_it() {
    established("sack on, ts on, mss 1012").plays(
        "
        +0    < .  1001:2001(1000) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 1001:2001>
        +0    expect send_mss 1000
        +0    write 1976
        +0    > .  1:989(988) ack 1 <TS val 100 ecr 1100,sack 1001:2001>
        +0    > P. 989:1977(988) ack 1 <TS val 100 ecr 1100,sack 1001:2001>
        +0    < .  1:1001(1000) ack 1977 win 512 <TS val 1100 ecr 100>
        +0    > .  1977:1977(0) ack 2001 <TS val 100 ecr 1100>
        +0    write 1000
        +0    > P. 1977:2977(1000) ack 2001 <TS val 100 ecr 1100>
        ",
    );
}

/// A lost segment that was full when it left is sent again in two where blocks take its place.
#[test]
fn what_is_sent_again_has_room_for_blocks() {
    established("sack on, mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < .  1001:2001(1000) ack 1 win 512
        +0    > .  1001:1001(0) ack 1 <sack 1001:2001>
        +0.2  > .  1:989(988) ack 1 <sack 1001:2001>
        +0    > P. 989:1001(12) ack 1 <sack 1001:2001>
        ",
    );
}

/// At least 8 octets of text have room in any segment; where the path carries less than that and
/// a block, there are none.
#[test]
fn a_tiny_mss_leaves_room_for_fewer_blocks() {
    for (mtu, settings, blocks, text) in [
        (88, "sack on", "51:61 31:41 11:21", 20),
        (68, "sack on", "51:61 31:41", 8),
        (72, "sack on, ts on", "51:61", 8),
        (71, "sack on, ts on", "", 19),
        (68, "sack on, ts on", "", 16),
    ] {
        let time = if settings.contains("ts") { "TS val 100 ecr 1100," } else { "" };
        let options = |list: &str| match format!("{time}{list}").trim_end_matches(',') {
            "" => String::new(),
            options => format!("<{options}>"),
        };
        let sack = if blocks.is_empty() { String::new() } else { format!("sack {blocks}") };
        let script = format!(
            "
            +0    < .  11:21(10) ack 1 win 512 <TS val 1100 ecr 0>
            +0    > .  1:1(0) ack 1 <...>
            +0    < .  31:41(10) ack 1 win 512 <TS val 1100 ecr 0>
            +0    > .  1:1(0) ack 1 <...>
            +0    < .  51:61(10) ack 1 win 512 <TS val 1100 ecr 0>
            +0    > .  1:1(0) ack 1 {}
            +0    write {text}
            +0    > P. 1:{end}({text}) ack 1 {}
            ",
            options(&sack),
            options(&sack),
            end = text + 1,
        );
        config(|config| config.interface.mtu = mtu).established(settings).plays(&script);
    }
}

/// Segments that come in one burst are answered one by one, as a peer wants it that counts
/// duplicates: but the newest of all is told of first, and none is left out.
#[test]
fn a_burst_of_early_segments_is_reported_without_a_gap() {
    established("sack on, ts on").plays(
        "
        +0    <+ .  1001:1101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  2001:2101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  3001:3101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  4001:4101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <  .  5001:5101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 5001:5101 4001:4101 3001:3101>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 2001:2101 1001:1101 5001:5101>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 5001:5101 4001:4101 3001:3101>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 5001:5101 4001:4101 3001:3101>
        +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100,sack 5001:5101 4001:4101 3001:3101>
        ",
    );
    // The first hole is filled in the same burst: one acknowledgment would do, but for what it has
    // no room for.
    established("sack on, ts on").plays(
        "
        +0    <+ .  1001:1101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  2001:2101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  3001:3101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <+ .  4001:4101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    <  .  1:101(100) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 101 <TS val 100 ecr 1100,sack 4001:4101 3001:3101 2001:2101>
        +0    > .  1:1(0) ack 101 <TS val 100 ecr 1100,sack 1001:1101 4001:4101 3001:3101>
        ",
    );
}

/// RFC 2883 §4.1: a duplicate of what is acknowledged is reported once.
#[test]
fn a_duplicate_below_the_acknowledgment_is_the_first_block_and_reported_once() {
    established("sack on").plays(
        "
        +0    < .  1:1001(1000) ack 1 win 512
        +0.04 > .  1:1(0) ack 1001
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1001 <sack 1:1001>
        +0    < .  1001:2001(1000) ack 1 win 512
        +0.04 > .  1:1(0) ack 2001
        +0    < .  1501:2501(1000) ack 1 win 512
        +0    > .  1:1(0) ack 2501 <sack 1501:2001>
        +0    < F. 2501:2501(0) ack 1 win 512
        +0    > .  1:1(0) ack 2502
        +0    < F. 2501:2501(0) ack 1 win 512
        +0    > .  1:1(0) ack 2502 <sack 2501:2502>
        ",
    );
}

/// RFC 2883 §4.1.3 and §4.2: in front of other blocks, and above the acknowledgment with the
/// range that holds it behind it.
#[test]
fn a_duplicate_above_the_acknowledgment_is_followed_by_the_range_that_holds_it() {
    established("sack on").plays(
        "
        +0    < .  1001:3001(2000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:3001>
        +0    < .  5001:6001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 5001:6001 1001:3001>
        +0    < .  2001:3001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 2001:3001 1001:3001 5001:6001>
        +0    < .  4501:5501(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 5001:5501 4501:6001 1001:3001>
        +0    < .  2501:4001(1500) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 2501:3001 1001:4001 4501:6001>
        +0    < .  4001:4501(500) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:6001>
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 6001
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 6001 <sack 1:1001>
        +0    read 6000
        ",
    );
}

/// RFC 2883 §4.1.2: the duplicate first, then what is missing.
#[test]
fn a_duplicate_below_stands_before_the_blocks_of_a_hole() {
    established("sack on").plays(
        "
        +0    < .  1:1001(1000) ack 1 win 512
        +0    < .  2001:3001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1001 <sack 2001:3001>
        +0    < .  1:501(500) ack 1 win 512
        +0    > .  1:1(0) ack 1001 <sack 1:501 2001:3001>
        +0    < .  3001:3101(100) ack 1 win 512
        +0    > .  1:1(0) ack 1001 <sack 2001:3101>
        ",
    );
}

/// RFC 2883 §4.3: a duplicate is told of even when PAWS has dropped it: it is the first copy of
/// something that the sender took for lost.
#[test]
fn an_old_duplicate_that_paws_drops_is_reported() {
    established("sack on, ts on").plays(
        "
        +0    < .  1:1001(1000) ack 1 win 512 <TS val 1200 ecr 0>
        +0.04 > .  1:1(0) ack 1001 <TS val 140 ecr 1200>
        +0    < .  1:1001(1000) ack 1 win 512 <TS val 1150 ecr 0>
        +0    > .  1:1(0) ack 1001 <TS val 140 ecr 1200,sack 1:1001>
        +0    expect dropped stale_timestamp 1
        ",
    );
}

/// The sequence space wraps inside of a block, and the numbers of the wire are right.
#[test]
fn a_block_reaches_around_the_wrap() {
    for iss in [u32::MAX - 1500, u32::MAX - 1000, u32::MAX - 2001] {
        Script::default().peer_iss(iss).established("sack on").plays(
            "
            +0    < .  1001:2001(1000) ack 1 win 512
            +0    > .  1:1(0) ack 1 <sack 1001:2001>
            +0    < .  1001:1501(500) ack 1 win 512
            +0    > .  1:1(0) ack 1 <sack 1001:1501 1001:2001>
            +0    < .  1:1001(1000) ack 1 win 512
            +0    > .  1:1(0) ack 2001
            +0    < .  1:1001(1000) ack 1 win 512
            +0    > .  1:1(0) ack 2001 <sack 1:1001>
            ",
        );
    }
}

/// A block that reports what was never sent, what is acknowledged, or nothing at all: no harm.
#[test]
fn blocks_that_cannot_be_do_no_harm() {
    for blocks in [
        "5000:6000",
        "4294960000:4294967000",
        "2001:1001",
        "1001:1001",
        "1:4294967295",
        "2147483648:1",
        "1001:2001 1001:2001 1001:2001 1001:2001",
        "1:1001 1:2001 501:1501 0:3001",
    ] {
        let script = format!(
            "
            +0    write 3000
            +0    > .  1:1001(1000) ack 1
            +0    > .  1001:2001(1000) ack 1
            +0    > P. 2001:3001(1000) ack 1
            +0.1  < .  1:1(0) ack 1001 win 512 <sack {blocks}>
            +0.1  < .  1:1(0) ack 3001 win 512 <sack {blocks}>
            +0    expect in_flight 0
            +0    write 10
            +0    > P. 3001:3011(10) ack 1
            "
        );
        established("sack on, mss 1000").plays(&script);
    }
}

/// A peer that answers a burst by one acknowledgment, as Linux does with SACK: its blocks tell of
/// the loss that no duplicates can.
#[test]
fn three_segments_that_one_block_reports_tell_of_a_loss() {
    established("sack on, mss 1000").plays(
        "
        +0    write 5000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > P. 4001:5001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512 <sack 1001:3001>
        +0    < .  1:1(0) ack 1 win 600 <sack 1001:4001>
        +0    > .  1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 5001 win 600
        +0    expect retransmissions 1
        ",
    );
}

/// RFC 2883 §5: a duplicate that reports only what was acknowledged long ago tells of no loss, and
/// a block inside of another is not counted twice.
#[test]
fn a_d_sack_tells_of_no_loss() {
    established("sack on, mss 1000").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 512
        +0    write 4000
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > P. 4001:5001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 512 <sack 1:1001>
        +0    < .  1:1(0) ack 1001 win 512 <sack 1:1001>
        +0    < .  1:1(0) ack 1001 win 512 <sack 1:1001>
        +0    < .  1:1(0) ack 1001 win 512 <sack 2001:3001 2001:3001>
        +0    < .  1:1(0) ack 5001 win 512
        +0    expect retransmissions 0
        ",
    );
}

/// RFC 6675 §5: one acknowledgment tells of a segment that has arrived and of the next that has
/// not; no duplicate follows, and the timer is not waited for.
#[test]
fn blocks_in_an_acknowledgment_of_new_data_tell_of_a_loss_too() {
    established("rtt 100ms, mss 1000, sack on").plays(
        "
        +0    write 5000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > P. 4001:5001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 512 <sack 2001:5001>
        +0    > .  1001:2001(1000) ack 1
        +0    expect ssthresh 2000
        +0.1  < .  1:1(0) ack 5001 win 512
        +0    expect cwnd 2000
        +100  nothing
        +0    expect retransmissions 1
        ",
    );
}

/// Five segments, of which the first is missing, and one acknowledgment with these blocks.
fn five_segments(settings: &str, blocks: &str, rest: &str) {
    established(&format!("rtt 100ms, mss 1000, {settings}")).plays(&format!(
        "
        +0    write 5000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > P. 4001:5001(1000) ack 1
        +0.1  < .  1:1(0) ack 1 win 512 <sack {blocks}>
        {rest}
        "
    ));
}

/// RFC 2018 §3: a block lies right of SEG.ACK and left of SND.NXT, and one octet counts once. What
/// else a peer writes there must not have us send again what is on its way.
#[test]
fn blocks_that_cannot_be_or_that_repeat_each_other_tell_of_no_loss() {
    for blocks in [
        "1:4001", // It would hold the octet that is missing.
        "0:4001",
        "2001:5002",             // Past what was sent.
        "2147483648:4294967295", // Past it by half of the sequence space.
        "4001:1001",
        "1001:3001 1001:2001",
        "1001:3001 2001:3001",
        "1001:3001 1001:3001",
        "1001:2001 1001:3001",
        "2001:3001 1001:3001",
        "1501:2501 1001:3001",
    ] {
        five_segments("sack on", blocks, "+0.2 > . 1:1001(1000) ack 1");
    }
}

#[test]
fn blocks_that_lie_apart_add_up_to_a_loss() {
    for blocks in ["1001:2001 3001:5001", "3001:5001 1001:2001", "1001:2001 2001:3001 4001:5001"] {
        five_segments("sack on", blocks, "+0 > . 1:1001(1000) ack 1");
    }
}

/// A peer that was not permitted to send blocks counts by its duplicate acknowledgments alone.
#[test]
fn blocks_without_permission_count_for_nothing_and_their_acknowledgments_as_any_others() {
    five_segments("sack off", "1001:5001", "+0.2 > . 1:1001(1000) ack 1");
    five_segments(
        "sack off",
        "1001:5001",
        "
        +0    < .  1:1(0) ack 1 win 512 <sack 1001:5001>
        +0    < .  1:1(0) ack 1 win 512 <sack 1001:5001>
        +0    > .  1:1001(1000) ack 1
        ",
    );
}

/// RFC 6675 counts octets, RFC 5681 acknowledgments: of small segments the octets would never
/// make three full ones.
#[test]
fn three_duplicates_tell_of_a_loss_however_small_the_segments_are_that_they_report() {
    established("rtt 100ms, mss 1000, sack on").plays(
        "
        +0    set nodelay on
        +0    write 100
        +0    > P. 1:101(100) ack 1
        +0    write 100
        +0    > P. 101:201(100) ack 1
        +0    write 100
        +0    > P. 201:301(100) ack 1
        +0    write 100
        +0    > P. 301:401(100) ack 1
        +0.1  < .  1:1(0) ack 1 win 512 <sack 101:201>
        +0    < .  1:1(0) ack 1 win 512 <sack 101:301>
        +0    < .  1:1(0) ack 1 win 512 <sack 101:401>
        +0    > P. 1:401(400) ack 1
        ",
    );
}

/// A probe stands left of the window and holds nothing: neither it nor a SYN is a duplicate of
/// anything.
#[test]
fn what_paws_drops_and_holds_no_text_is_no_duplicate() {
    for probe in [".  0:0(0) ack 1 win 512", "S  0:0(0) win 512"] {
        established("sack on, ts on").plays(&format!(
            "
            +0    < {probe} <TS val 1099 ecr 0>
            +0    > .  1:1(0) ack 1 <TS val 100 ecr 1100>
            +0    expect dropped stale_timestamp 1
            "
        ));
    }
}

/// RFC 2883 §4: one block for each duplicate. What has come twice side by side before the peer is
/// told is one; of what lies apart the last is told, and not the octets between.
#[test]
fn duplicates_that_touch_are_reported_as_one_and_others_are_not() {
    for (one, other, reported) in [
        ("1:101(100)", "101:201(100)", "1:201"),
        ("101:201(100)", "1:101(100)", "1:201"),
        ("1:101(100)", "51:151(100)", "1:151"),
        ("1:101(100)", "102:201(99)", "102:201"),
        ("201:301(100)", "1:101(100)", "1:101"),
    ] {
        established("sack on").plays(&format!(
            "
            +0    < .  1:1001(1000) ack 1 win 512
            +0.04 > .  1:1(0) ack 1001
            +0    <+ . {one} ack 1 win 512
            +0    < .  {other} ack 1 win 512
            +0    > .  1:1(0) ack 1001 <sack {reported}>
            "
        ));
    }
}

/// RFC 2883 §4: the range behind a duplicate is the one that holds it, whatever has come since.
#[test]
fn the_range_that_holds_a_duplicate_stands_behind_it_though_another_is_newer() {
    established("sack on").plays(
        "
        +0    < .  1001:3001(2000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:3001>
        +0    <+ . 1001:2001(1000) ack 1 win 512
        +0    < .  5001:6001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 1001:2001 1001:3001 5001:6001>
        +0    > .  1:1(0) ack 1 <sack 5001:6001 1001:3001>
        ",
    );
}

/// A duplicate takes the place of a range, also where there is room for none.
#[test]
fn a_duplicate_is_one_of_the_blocks_that_a_header_has_room_for() {
    established("sack on").plays(
        "
        +0    < .  11:21(10) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 11:21>
        +0    < .  31:41(10) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 31:41 11:21>
        +0    < .  51:61(10) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 51:61 31:41 11:21>
        +0    < .  71:81(10) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 71:81 51:61 31:41 11:21>
        +0    < .  71:81(10) ack 1 win 512
        +0    > .  1:1(0) ack 1 <sack 71:81 71:81 51:61 31:41>
        ",
    );
    config(|config| config.interface.mtu = 71).established("sack on, ts on").plays(
        "
        +0    < .  1:11(10) ack 1 win 512 <TS val 1100 ecr 0>
        +0.04 > .  1:1(0) ack 11 <TS val 140 ecr 1100>
        +0    < .  1:11(10) ack 1 win 512 <TS val 1100 ecr 0>
        +0    > .  1:1(0) ack 11 <TS val 140 ecr 1100>
        ",
    );
}
