//! Urgent data: RFC 9293 §3.8.5, as RFC 6093 reads it and as Linux does it.

use wharf::sim::established;

use super::config;

#[test]
fn must_30_urgent_data_is_told_of_and_read_in_line_by_default() {
    established("").plays(
        "
        +0    < P. 1:101(100) ack 1 win 512
        +0    expect not priority
        +0    < PU. 101:111(10) ack 1 win 512 urg 10
        +0.04 > .  1:1(0) ack 111
        +0    expect priority
        +0    expect not at_mark
        +0    read_urgent error EINVAL
        +0    read 1000 gives 109            # up to the urgent octet
        +0    expect at_mark
        +0    expect priority
        +0    read 1000 gives 1
        +0    expect not at_mark
        +0    expect not priority
        +0    < P. 111:121(10) ack 1 win 512
        +0    read 10
        +0.04 > .  1:1(0) ack 121
        ",
    );
}

#[test]
fn must_30_an_urgent_octet_out_of_line_is_read_by_a_call_of_its_own() {
    established("").plays(
        "
        +0    set oob_inline 0
        +0    read_urgent error EINVAL
        +0    < PU. 1:101(100) ack 1 win 512 urg 50
        +0.04 > .  1:1(0) ack 101
        +0    expect priority
        +0    read_urgent 50
        +0    expect not priority
        +0    read_urgent error EINVAL
        +0    read 1000 gives 49
        +0    expect at_mark
        +0    expect readable
        +0    read 1000 gives 50
        +0    expect not at_mark
        +0    read error EAGAIN
        ",
    );
}

/// An octet at the mark with nothing behind it is nothing for `read`; it is then given up.
#[test]
fn an_urgent_octet_alone_is_not_readable_in_line_with_others() {
    established("").plays(
        "
        +0    set oob_inline 0
        +0    < PU. 1:2(1) ack 1 win 512 urg 1
        +0    expect at_mark
        +0    expect priority
        +0    expect not readable
        +0    read error EAGAIN
        +0    expect not priority
        +0    read_urgent error EINVAL
        +0.04 > .  1:1(0) ack 2
        ",
    );
}

/// The pointer may reach over many segments; the octet arrives when it does.
#[test]
fn must_31_urgent_data_may_be_longer_than_a_segment_and_must_33_the_mark_tells_how_much() {
    established("mss 1000").plays(
        "
        +0    set oob_inline 0
        +0    < U. 1:1001(1000) ack 1 win 512 urg 2500
        +0.04 > .  1:1(0) ack 1001
        +0    expect priority
        +0    read_urgent error EAGAIN
        +0    expect not priority
        +0    read 2000 gives 1000
        +0    expect not at_mark
        +0    < U. 1001:2001(1000) ack 1 win 512 urg 1500
        +0    expect not priority
        +0    < PU. 2001:3001(1000) ack 1 win 512 urg 500
        +0    > .  1:1(0) ack 3001
        +0    expect priority
        +0    read_urgent 2500
        +0    read 3000 gives 1499
        +0    expect at_mark
        +0    read 1000 gives 500
        ",
    );
}

/// A receiver that keeps up with nothing must learn all the same that it should hurry.
#[test]
fn must_66_an_urgent_pointer_is_noticed_at_a_shut_window() {
    config(|config| config.tcp.receive_buffer = 2048).established("mss 1024").plays(
        "
        +0    <+ .  1:1025(1024) ack 1 win 512
        +0    < P. 1025:2049(1024) ack 1 win 512
        +0    > .  1:1(0) ack 2049 win 0
        +0    expect not priority
        +0    < PU. 2049:2059(10) ack 1 win 512 urg 10     # no room for it
        +0    > .  1:1(0) ack 2049 win 0
        +0    expect priority
        +0    read 4000 gives 2048
        +0    > .  1:1(0) ack 2049 win 2048
        +0    expect not at_mark
        +0    < PU. 2049:2059(10) ack 1 win 512 urg 10
        +0    read 100 gives 9
        +0    expect at_mark
        +0    read 100 gives 1
        +0.04 > .  1:1(0) ack 2059
        ",
    );
}

/// From a bare segment at RCV.NXT, as Linux announces it, and from a probe left of it.
#[test]
fn must_66_a_bare_segment_or_a_probe_may_announce_urgent_data_at_a_shut_window() {
    for announcement in
        ["U. 2049:2049(0) ack 1 win 512 urg 5", "U. 2048:2048(0) ack 1 win 512 urg 6"]
    {
        let is_probe = announcement.starts_with("U. 2048");
        let answer = if is_probe { "> . 1:1(0) ack 2049 win 0" } else { "nothing" };
        config(|config| config.tcp.receive_buffer = 2048).established("mss 1024").plays(&format!(
            "
            +0    <+ .  1:1025(1024) ack 1 win 512
            +0    < P. 1025:2049(1024) ack 1 win 512
            +0    > .  1:1(0) ack 2049 win 0
            +0    < {announcement}
            +0    {answer}
            +0    expect priority
            +0    read 4000 gives 2048
            +0    > .  1:1(0) ack 2049 win 2048
            +0    < P. 2049:2054(5) ack 1 win 512
            +0    read 100 gives 4
            +0    expect at_mark
            +0.04 > .  1:1(0) ack 2054
            "
        ));
    }
}

/// RFC 9293 §3.10.7.4, sixth step: in CLOSE-WAIT, CLOSING and LAST-ACK it is ignored.
#[test]
fn urgent_pointers_behind_a_fin_are_ignored_and_in_the_states_before_it_they_count() {
    established("").plays(
        "
        +0    shutdown write
        +0    > F. 1:1(0) ack 1
        +0    < PU. 1:11(10) ack 1 win 512 urg 10
        +0    expect state FIN-WAIT-1
        +0    expect priority
        +0    read 100 gives 9
        +0    read 100 gives 1
        +0    < PU. 11:21(10) ack 2 win 512 urg 10
        +0    > .  2:2(0) ack 21
        +0    expect state FIN-WAIT-2
        +0    expect priority
        +0    read 100 gives 9
        +0    read 100 gives 1
        ",
    );
    established("").plays(
        "
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    < U. 2:2(0) ack 1 win 512 urg 10
        +0    expect state CLOSE-WAIT
        +0    expect not priority
        ",
    );
}

/// URG on segments that may not have it, or that say nonsense by it: nothing breaks, and all
/// octets arrive (URGENT/11: CVE-2019-12255, -12260, -12261, -12263; CVE-2020-17437).
#[test]
fn no_urgent_pointer_makes_octets_lost_or_read_twice() {
    for (pointer, first) in [(0, 10), (1, 10), (2, 1), (5, 4), (10, 9), (11, 10), (65_535, 10)] {
        let rest = 10 - first;
        let second = if rest > 0 { format!("+0 read 100 gives {rest}") } else { String::new() };
        established("").plays(&format!(
            "
            +0    < PU. 1:11(10) ack 1 win 512 urg {pointer}
            +0    read 100 gives {first}
            {second}
            +0    read error EAGAIN
            +0.04 > .  1:1(0) ack 11
            +0    < FU. 11:11(0) ack 1 win 512 urg {pointer}
            +0    > .  1:1(0) ack 12
            +0    read eof
            +0    expect not priority
            "
        ));
    }
}

#[test]
fn an_urgent_pointer_on_a_syn_or_a_reset_is_ignored() {
    wharf::sim::Script::default().plays(
        "
        +0    socket listen 80
        +0    < SU 0:0(0) win 65535 <mss 1460> urg 5
        +0    > S. 0:0(0) ack 1 <...>
        +0    < U. 1:1(0) ack 1 win 512 urg 0
        +0    accept
        +0    expect at_mark                # the third segment's counts
        +0    < RU. 1:1(0) ack 1 win 512 urg 7
        +0    expect pending ECONNRESET
        +0    read_urgent error EINVAL
        ",
    );
}

/// Across the wrap of the sequence space, and with the octet out of order.
#[test]
fn an_urgent_octet_is_found_across_the_wrap_and_out_of_order() {
    wharf::sim::Script::default().peer_iss(u32::MAX - 4).established("").plays(
        "
        +0    set oob_inline 0
        +0    < PU. 6:11(5) ack 1 win 512 urg 3          # it has a hole before it
        +0    > .  1:1(0) ack 1 <...>
        +0    expect priority
        +0    read_urgent 8
        +0    < P. 1:6(5) ack 1 win 512
        +0    > .  1:1(0) ack 11
        +0    read 100 gives 7
        +0    expect at_mark
        +0    read 100 gives 2
        ",
    );
}

#[test]
fn must_62_what_is_written_as_urgent_leaves_with_a_pointer_behind_it() {
    established("mss 1000").plays(
        "
        +0    nodelay on
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write_urgent 1
        +0    > PU. 11:12(1) ack 1 urg 1
        +0    write 5
        +0    > P. 12:17(5) ack 1                       # nothing urgent in it
        +0.1  < .  1:1(0) ack 17 win 512
        +0    write_urgent 3
        +0    > PU. 17:20(3) ack 1 urg 3
        +0.2  nothing
        ",
    );
}

/// All that stands before the pointer has it, a retransmission too, as far as 16 bits can say.
#[test]
fn must_62_every_segment_before_the_urgent_octet_tells_of_it() {
    let first = |start| format!("+0 > . {}:{}(1000) ack 1\n", start + 1, start + 1001);
    let second = |start: u32| {
        let (seq, end) = (start + 1, start + 1001);
        let pointer = 65_535.min(90_002 - seq); // 16 bits.
        format!("+0 > U. {seq}:{end}(1000) ack 1 urg {pointer}\n")
    };
    let script = format!(
        "
        +0    write 40000
        {}
        +0    write 50000
        +0    write_urgent 1                            # at 90001; the pointer is 90002
        +0.1  < .  1:1(0) ack 10001 win 4096
        {}
        +0.3  > U. 10001:11001(1000) ack 1 urg 65535
        +0.1  < R  1:1(0)
        ",
        (0..10_000).step_by(1000).map(first).collect::<String>(),
        (10_000..28_000).step_by(1000).map(second).collect::<String>(),
    );
    established("mss 1000, win 4096").plays(&script);
}

/// As on Linux: urgent data waits for no acknowledgment of what went before.
#[test]
fn urgent_data_does_not_wait_for_nagle() {
    established("").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    write 10
        +0    write_urgent 1
        +0    > PU. 11:22(11) ack 1 urg 11
        +0.1  < .  1:1(0) ack 22 win 512
        +0    write 10
        +0    > P. 22:32(10) ack 1
        +0    write 10
        +0.1  < .  1:1(0) ack 32 win 512
        +0    > P. 32:42(10) ack 1
        +0.1  < .  1:1(0) ack 42 win 512
        ",
    );
}

/// The window is shut: a probe comes with a bare segment at SND.NXT, whose URG the peer must see.
#[test]
fn urgent_data_that_a_shut_window_holds_is_announced_with_the_probes() {
    established("win 0").plays(
        "
        +0    write 10
        +0    write_urgent 1
        +0.3  > U. 0:0(0) ack 1 urg 12
        +0    > U. 1:1(0) ack 1 urg 11
        +0.1  < .  1:1(0) ack 1 win 512
        +0    > PU. 1:12(11) ack 1 urg 11
        +0.1  < .  1:1(0) ack 12 win 512
        ",
    );
}

/// As Linux (`tcp_check_urg`): the next pointer moves the mark on past an octet out of line at
/// which the reader stands, and it does not become one of the stream.
#[test]
fn an_octet_out_of_line_stays_out_of_it_when_the_pointer_moves_on() {
    established("").plays(
        "
        +0    set oob_inline 0
        +0    < PU. 1:5(4) ack 1 win 512 urg 4
        +0    read_urgent 4
        +0    read 10 gives 3
        +0    expect at_mark
        +0    < PU. 5:8(3) ack 1 win 512 urg 2
        +0    expect not at_mark
        +0    read 10 gives 1
        +0    expect at_mark
        +0    read_urgent 6
        +0    read 10 gives 1
        +0.04 > .  1:1(0) ack 8
        ",
    );
}

#[test]
fn a_write_of_urgent_data_that_takes_nothing_announces_nothing() {
    config(|config| config.tcp.send_buffer = 2048).established("mss 1000").plays(
        "
        +0    write 2048
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > P. 2001:2049(48) ack 1
        +0    write_urgent 1 error EAGAIN
        +0.3  > .  1:1001(1000) ack 1
        ",
    );
}

/// What is left of a connection that has ended is read as before, the urgent octet by itself.
#[test]
fn urgent_data_outlives_its_connection() {
    const ENDED: &str = "
        +0    set oob_inline 0
        +0    < PU. 1:11(10) ack 1 win 512 urg 5
        +0    < F. 11:11(0) ack 1 win 512
        +0    > .  1:1(0) ack 12
        +0    shutdown write
        +0    > F. 1:1(0) ack 12
        +0.1  < .  12:12(0) ack 2 win 512
        +0    expect connections 0
        +0    expect priority
    ";
    for rest in [
        "
        +0    read_urgent 5
        +0    read 100 gives 4
        +0    expect at_mark
        +0    read 100 gives 5
        +0    expect not at_mark
        ",
        "
        +0    read 3
        +0    set oob_inline 1
        +0    read 100 gives 1
        +0    expect at_mark
        +0    read 100 gives 6
        ",
    ] {
        established("").plays(&format!("{ENDED}{rest}+0 read eof"));
    }
}
