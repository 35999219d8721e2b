//! TCP options: RFC 9293 §3.2, §3.7.1; RFC 7323 §2.

use wharf::sim::Script;

use crate::config;

/// Opens with `syn` as the peer's options and asks which MSS we then keep to.
fn effective_mss(syn: &str, expected: usize) {
    let script = format!(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 {syn}
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    expect send_mss {expected}
        +0    write {expected}
        +0    > P. 1:{end}({expected}) ack 1
        +0.1  < .  1:1(0) ack {end} win 65535
        +0    write {twice}
        +0    > .  {end}:{second}({expected}) ack 1
        +0    > P. {second}:{third}({expected}) ack 1
        ",
        end = expected + 1,
        twice = expected * 2,
        second = expected * 2 + 1,
        third = expected * 3 + 1,
    );
    Script::default().plays(&script);
}

#[test]
fn must_15_a_peer_that_names_no_mss_gets_536_octets() {
    effective_mss("", 536);
}

#[test]
fn must_16_the_smaller_of_the_peers_mss_and_our_mtu_counts() {
    effective_mss("<mss 1000>", 1000);
    effective_mss("<mss 9000>", 1460);
    effective_mss("<mss 65535>", 1460);
}

/// A peer that wants a header for each octet does not get it (CVE-2019-11479).
#[test]
fn an_mss_that_is_too_small_to_be_meant_is_raised() {
    effective_mss("<mss 0>", 48);
    effective_mss("<mss 1>", 48);
}

#[test]
fn must_4_nop_and_end_of_list_are_understood_around_mss() {
    effective_mss("<nop,nop,mss 1000,eol>", 1000);
    effective_mss("<eol,mss 1000>", 536);
}

#[test]
fn must_64_an_option_may_stand_at_any_octet() {
    for nops in 0..4 {
        effective_mss(&format!("<{}mss 1000>", "nop,".repeat(nops)), 1000);
    }
}

#[test]
fn must_6_unknown_options_are_skipped_by_their_length() {
    effective_mss("<raw fd04abcd,mss 1000>", 1000);
    effective_mss("<raw fe02,raw c80600000000,mss 1000>", 1000);
    effective_mss("<mss 1000,raw fd0a0000000000000000>", 1000);
}

#[test]
fn must_7_an_illegal_option_length_is_dropped_and_the_stack_lives_on() {
    for bad in
        ["raw 0200", "raw 0201", "raw 02050000", "raw fd00", "raw fdff", "nop,nop,nop,raw 02"]
    {
        let script = format!(
            "
            +0    socket listen 80
            +0    < S  0:0(0) win 65535 <{bad}>
            +0    expect connections 0
            +0    expect dropped tcp_option 1
            +0    < S  0:0(0) win 65535 <mss 1000>
            +0    > S. 0:0(0) ack 1 <...>
            "
        );
        Script::default().plays(&script);
    }
}

#[test]
fn must_5_options_are_taken_in_any_segment_and_must_65_mss_counts_on_syn_only() {
    Script::default().established("mss 1000").plays(
        "
        +0    < P. 1:11(10) ack 1 win 512 <nop,nop,raw fd04abcd>
        +0.04 > .  1:1(0) ack 11
        +0    < .  11:11(0) ack 1 win 512 <mss 500>
        +0    expect send_mss 1000
        +0    write 1000
        +0    > P. 1:1001(1000) ack 11
        +0    < F. 11:11(0) ack 1001 win 512 <raw fd04abcd>
        +0    > .  1001:1001(0) ack 12
        ",
    );
}

#[test]
fn must_67_our_mss_is_the_mtu_less_two_bare_headers() {
    for (mtu, mss) in [(1500, 1460), (576, 536), (9000, 8960), (65_535, 65_495)] {
        let script = format!(
            "
            +0    connect
            +0    > S 0:0(0) <mss {mss},sackOK,TS val 0 ecr 0,nop,wscale 3>
            "
        );
        config(|config| config.interface.mtu = mtu).plays(&script);
    }
}

/// RFC 7323 §2.2: the option is answered only if it was offered, and then windows are as they
/// stand on the wire.
#[test]
fn without_window_scaling_windows_stand_as_they_are() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1000>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0.1  < .  1:1(0) ack 1 win 2000
        +0    accept
        +0    expect send_window 2000
        +0    < P. 1:11(10) ack 1 win 2000
        +0.04 > .  1:1(0) ack 11 win 65525
        ",
    );
}

/// RFC 7323 §2.2: the window of a SYN is never scaled; §2.3: a shift above 14 counts as 14.
#[test]
fn the_window_of_a_syn_is_not_scaled_and_no_shift_exceeds_14() {
    for (offered, shift) in [(0, 0), (7, 7), (14, 14), (15, 14), (255, 14)] {
        let script = format!(
            "
            +0    connect
            +0    > S  0:0(0) <...>
            +0.1  < S. 0:0(0) ack 1 win 5000 <mss 1000,nop,wscale {offered}>
            +0    > .  1:1(0) ack 1 win 32768
            +0    expect send_window 5000
            +0    < .  1:1(0) ack 1 win 3
            +0    expect send_window {window}
            ",
            window = 3 << shift
        );
        Script::default().plays(&script);
    }
}

#[test]
fn window_scaling_can_be_switched_off() {
    config(|config| config.tcp.window_scale = false).plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1000,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0.1  < .  1:1(0) ack 1 win 2000
        +0    accept
        +0    expect send_window 2000
        ",
    );
}

/// Odd and even lengths, with and without options: the script reads each packet strictly, and
/// compares every checksum with one that it works out for itself.
#[test]
fn must_2_every_checksum_holds_and_must_68_and_must_69_every_option_list_is_whole() {
    for len in [1, 2, 3, 535, 536, 999, 1000] {
        let script = format!(
            "
            +0    write {len}
            +0    > P. 1:{}({len}) ack 1
            ",
            len + 1
        );
        Script::default().established("mss 1000").plays(&script);
    }
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 3>
        ",
    );
}
