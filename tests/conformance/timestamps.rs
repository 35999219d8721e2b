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
