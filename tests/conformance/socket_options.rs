//! The options of sockets: what each does, in which range, and what it does to an open connection.

use wharf::sim::{Script, established};

use crate::config;

#[test]
fn a_corked_segment_waits_until_it_is_full_or_the_cork_is_drawn() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    set cork on
        +0    write 600
        +0.1  write 600
        +0    > .  1:1001(1000) ack 1
        +0.05 < .  1:1(0) ack 1001 win 512
        +0.05 set cork off
        +0    > P. 1001:1201(200) ack 1
        ",
    );
}

#[test]
fn a_cork_holds_for_200_ms_and_no_longer() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    set cork on
        +0    write 10
        +0.1  write 10
        +0.1  > P. 1:21(20) ack 1
        +0.1  write 10                       # What is in flight is no reason to wait longer.
        +0.1  < .  1:1(0) ack 21 win 512
        +0.1  > P. 21:31(10) ack 1
        +0.1  < .  1:1(0) ack 31 win 512
        +10   nothing
        ",
    );
}

#[test]
fn a_fin_draws_the_cork() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    set cork on
        +0    write 10
        +0    shutdown write
        +0    > FP. 1:11(10) ack 1
        ",
    );
}

#[test]
fn a_write_that_says_more_follows_waits_for_the_next_one() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write more 10
        +0.1  write 10
        +0    > P. 1:21(20) ack 1
        +0.1  < .  1:1(0) ack 21 win 512
        +0    write more 10
        +0.2  > P. 21:31(10) ack 1           # The next one does not come.
        +0.1  < .  1:1(0) ack 31 win 512
        +0    write more 1000
        +0    > P. 31:1031(1000) ack 1       # It is full.
        ",
    );
}

#[test]
fn quick_ack_holds_no_acknowledgment_back() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    < P. 1:11(10) ack 1 win 512
        +0.01 set quick_ack on
        +0    > .  1:1(0) ack 11             # The one that waited leaves.
        +0    expect ato_ms 0
        +0    < P. 11:21(10) ack 1 win 512
        +0    > .  1:1(0) ack 21
        +0    < P. 21:31(10) ack 1 win 512
        +0    > .  1:1(0) ack 31
        +0    set quick_ack off
        +0    < P. 31:41(10) ack 1 win 512
        +0.04 > .  1:1(0) ack 41
        ",
    );
}

#[test]
fn the_largest_segment_of_a_listener_is_announced_and_sent() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set max_segment 500
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 500>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    expect send_mss 500
        +0    set nodelay on
        +0    write 1200
        +0    > .  1:501(500) ack 1
        +0    > .  501:1001(500) ack 1
        +0    > P. 1001:1201(200) ack 1
        ",
    );
}

#[test]
fn the_largest_segment_of_a_connect_is_announced_and_the_peers_lesser_one_counts() {
    Script::default().plays(
        "
        +0    set max_segment 500
        +0    connect
        +0    > S  0:0(0) win 65535 <mss 500,sackOK,TS val 0 ecr 0,nop,wscale 3>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 300>
        +0    > .  1:1(0) ack 1
        +0    expect send_mss 300
        ",
    );
}

/// The mark bounds what has not been sent at all; what is in flight does not count.
#[test]
fn a_writer_waits_while_too_much_has_not_been_sent() {
    established("rtt 100ms, mss 1000, wscale off, win 2000").plays(
        "
        +0    set notsent_lowat 1000
        +0    write 4000 takes 1000
        +0    > P. 1:1001(1000) ack 1
        +0    write 4000 takes 1000
        +0    > P. 1001:2001(1000) ack 1
        +0    expect writable
        +0    write 4000 takes 1000
        +0    expect not writable
        +0    write 1 error EAGAIN
        +0.1  < .  1:1(0) ack 2001 win 1000
        +0    > P. 2001:3001(1000) ack 1
        +0    expect writable
        ",
    );
}

#[test]
fn a_send_buffer_that_grows_lets_a_writer_go_on_and_one_that_shrinks_loses_nothing() {
    established("rtt 100ms, mss 1000, wscale off, win 0").plays(
        "
        +0    set send_buffer 4096
        +0    write 9000 takes 4096
        +0    expect not writable
        +0    set send_buffer 9000
        +0    expect writable
        +0    write 9000 takes 4904
        +0    set send_buffer 2048
        +0    write 1 error EAGAIN
        +0.1  < .  1:1(0) ack 1 win 9000
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    > .  2001:3001(1000) ack 1
        +0    > .  3001:4001(1000) ack 1
        +0    > .  4001:5001(1000) ack 1
        +0    > .  5001:6001(1000) ack 1
        +0    > .  6001:7001(1000) ack 1
        +0    > .  7001:8001(1000) ack 1
        +0    > P. 8001:9001(1000) ack 1
        +0.1  < .  1:1(0) ack 9001 win 9000
        +0    expect writable
        +0    write 9000 takes 2048
        +0    > .  9001:10001(1000) ack 1
        +0    > .  10001:11001(1000) ack 1
        +0    > P. 11001:11049(48) ack 1
        ",
    );
}

#[test]
fn a_receive_buffer_that_grows_opens_the_window_and_one_that_shrinks_breaks_no_promise() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set receive_buffer 4000
        +0    < S  0:0(0) win 65535 <mss 1000>
        +0    > S. 0:0(0) ack 1 win 4000 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    < P. 1:2001(2000) ack 1 win 65535
        +0.04 > .  1:1(0) ack 2001 win 2000
        +0    < P. 2001:4001(2000) ack 1 win 65535
        +0.04 > .  1:1(0) ack 4001 win 0
        +0    set receive_buffer 12000
        +0    > .  1:1(0) ack 4001 win 8000
        +0    set receive_buffer 2048
        +0    < P. 4001:6001(2000) ack 1 win 65535
        +0.04 > .  1:1(0) ack 6001 win 6000
        ",
    );
}

#[test]
fn must_48_shld_21_and_22_the_dscp_of_an_open_connection_changes_and_leaves_as_it_was_set() {
    established("rtt 100ms").plays(
        "
        +0    set tos 184
        +0    write 10
        +0    > P. 1:11(10) ack 1 tos 184
        +0    set tos 43                     # The two ECN bits are TCP's own.
        +0.3  > P. 1:11(10) ack 1 tos 40
        +0    set tos 0
        +0    set ttl 7
        +0    shutdown write
        +0    > F. 11:11(0) ack 1 tos 0 ttl 7
        ",
    );
}

#[test]
fn a_connection_that_waited_is_accepted_with_what_its_listener_was_told_since() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...> ttl 64
        +0.1  < .  1:1(0) ack 1 win 512
        +0    listener set ttl 7
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 1 ttl 7
        ",
    );
}

#[test]
fn a_value_out_of_its_range_is_refused_and_changes_nothing() {
    for (option, refused) in [
        ("ttl", &["0"][..]),
        ("receive_buffer", &["0", "2047", "1073741825"]),
        ("send_buffer", &["0", "2047", "1073741825"]),
        ("keepalive_idle", &["0", "0.999", "32768"]),
        ("keepalive_interval", &["0", "0.999", "32768"]),
        ("keepalive_count", &["0", "128", "255"]),
        ("user_timeout", &["0", "0.0009", "2147483.648"]),
        ("syn_count", &["0", "128", "255"]),
        ("max_segment", &["0", "87", "32768", "65535"]),
        ("notsent_lowat", &["0"]), // Nothing could ever be written; Linux reads it as no mark.
    ] {
        for value in refused {
            Script::default().plays(&format!("+0 set {option} {value} error EINVAL"));
        }
    }
    for (option, taken) in [
        ("ttl", &["1", "255"][..]),
        ("tos", &["0", "255"]),
        ("receive_buffer", &["2048", "1073741824"]),
        ("send_buffer", &["2048", "1073741824"]),
        ("keepalive_idle", &["1", "32767"]),
        ("keepalive_interval", &["1", "32767"]),
        ("keepalive_count", &["1", "127"]),
        ("user_timeout", &["off", "0.001", "2147483.647"]),
        ("syn_count", &["off", "1", "127"]),
        ("linger2", &["0", "120"]),
        ("max_segment", &["off", "88", "32767"]),
        ("notsent_lowat", &["off", "1", "4294967295"]),
    ] {
        for value in taken {
            Script::default().plays(&format!("+0 set {option} {value}"));
        }
    }
}

#[test]
fn ports_run_out_for_one_peer_and_not_for_another_and_are_the_ones_asked_for() {
    Script::default().plays(
        "
        +0    a: set local_port_range 40000-40001
        +0    a: connect to 10.7.0.1:9
        +0    a: > S 0:0(0) <...>
        +0    b: set local_port_range 40000-40001
        +0    b: connect to 10.7.0.1:9
        +0    b: > S 0:0(0) <...>
        +0    c: set local_port_range 40000-40001
        +0    c: connect to 10.7.0.1:9 error EADDRNOTAVAIL
        +0    c: connect to 10.7.0.1:10
        +0    c: > S 0:0(0) <...>
        +0    a: close                       # Its port is free again.
        +0    d: set local_port_range 40000-40001
        +0    d: connect to 10.7.0.1:9
        +0    d: > S 0:0(0) <...>
        ",
    );
    for range in ["0-5", "5-4", "0-0"] {
        Script::default().plays(&format!("+0 set local_port_range {range} error EINVAL"));
    }
}

/// How a connection can end, what a first call of each kind says then, and what all later ones do.
/// An error is told once, whoever asks first (SO_ERROR); then reading gives the end of the file and
/// writing EPIPE.
#[test]
fn an_error_is_told_once_and_then_reads_give_the_end_and_writes_epipe() {
    let reset = "+0 < R. 1:1(0) ack 1";
    let silent = "
        +0    set user_timeout 0.1
        +0    write 1
        +0    > P. 1:2(1) ack 1
        +0.11 expect state CLOSED";
    let reset_after_fin = "
        +0    < F. 1:1(0) ack 1 win 512
        +0    > .  1:1(0) ack 2
        +0    read eof
        +0    < R. 2:2(0) ack 1";
    for (end, error) in [(reset, "ECONNRESET"), (silent, "ETIMEDOUT"), (reset_after_fin, "EPIPE")] {
        for first in [
            // Whoever has read the end of the file reads it again; the error waits for others.
            if error == "EPIPE" { "read eof".into() } else { format!("read error {error}") },
            format!("write 1 error {error}"),
            format!("write 0 error {error}"),
            format!("expect pending {error}"),
        ] {
            let is_read_after_fin = first == "read eof";
            let pending = if is_read_after_fin { "EPIPE" } else { "none" };
            established("rtt 100ms").plays(&format!(
                "
                {end}
                +0    expect readable
                +0    expect writable
                +0    expect error
                +0    expect not peer
                +0    read 0 gives 0
                +0    {first}
                +0    expect pending {pending}
                +0    expect not error
                +0    read eof
                +0    read eof
                +0    write 1 error EPIPE
                +0    write 1 error EPIPE
                +0    expect pending none
                +0    expect readable
                +0    connect error EISCONN
                "
            ));
        }
    }
}

#[test]
fn empty_reads_and_writes_give_nothing_and_ask_for_nothing() {
    established("rtt 100ms").plays(
        "
        +0    expect peer
        +0    read 0 gives 0
        +0    write 0
        +0    < P. 1:11(10) ack 1 win 512
        +0    read 0 gives 0
        +0    read 4
        +0    expect readable                # Level, not edge: six are left.
        +0    read 6
        +0    expect not readable
        +0.04 > .  1:1(0) ack 11
        +0    < F. 11:11(0) ack 1 win 512
        +0    > .  1:1(0) ack 12
        +0    read eof
        +0    read eof
        +0    write 0
        ",
    );
}

#[test]
fn what_came_before_a_reset_is_read_before_the_error() {
    established("rtt 100ms").plays(
        "
        +0    < P. 1:11(10) ack 1 win 512
        +0    < R. 11:11(0) ack 1
        +0    expect readable
        +0    read 4
        +0    expect error
        +0    read 6
        +0    read error ECONNRESET
        +0    read eof
        ",
    );
}

#[test]
fn after_a_connect_that_failed_the_socket_may_try_again() {
    Script::default().plays(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0    < R. 0:0(0) ack 1
        +0    expect not peer
        +0    expect pending ECONNREFUSED
        +0    expect pending none
        +0    incarnation 0
        +0    connect
        +0    > S  0:0(0) <...>
        +0    < S. 0:0(0) ack 1 win 65535 <mss 1000>
        +0    > .  1:1(0) ack 1
        +0    expect peer
        ",
    );
}

/// As Linux: an open that fails takes along what `shutdown` said of it.
#[test]
fn a_socket_whose_open_failed_after_shutdown_reads_and_writes_when_it_connects_again() {
    for end in ["+0.1 < R. 1:1(0) ack 1", "+0.5 nothing"] {
        Script::default().plays(&format!(
            "
            +0    set user_timeout 0.4
            +0    connect
            +0    > S  0:0(0) <...>
            +0    < S  0:0(0) win 65535 <mss 1000>
            +0    > S. 0:0(0) ack 1 <...>
            +0    shutdown both
            {end}
            +0    expect state CLOSED
            +0    expect error
            +0    incarnation 0
            +0    connect error {error}
            +0    connect
            +0    > S  0:0(0) <...>
            +0    < S. 0:0(0) ack 1 win 65535 <mss 1000>
            +0    > .  1:1(0) ack 1
            +0    expect not readable
            +0    expect not read_closed
            +0    read error EAGAIN
            +0    < P. 1:11(10) ack 1 win 65535
            +0.04 > .  1:1(0) ack 11
            +0    read 10
            +0    read error EAGAIN
            +0    write 10
            +0    > P. 1:11(10) ack 11
            ",
            error = if end.contains("< R") { "ECONNREFUSED" } else { "ETIMEDOUT" },
        ));
    }
}

#[test]
fn a_listener_that_defers_accepts_whoever_has_sent_something() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set defer_accept 5
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +0    accept error EAGAIN
        +3    < P. 1:11(10) ack 1 win 512    # No SYN-ACK has left again in the meantime.
        +0    accept
        +0    read 10
        +0    expect srtt_ms 0               # The time that the peer took is no round trip.
        +0.04 > .  1:1(0) ack 11
        ",
    );
}

#[test]
fn a_peer_that_sends_nothing_is_asked_once_more_and_then_accepted() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set defer_accept 5
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 512
        +4.9  > S. 0:0(0) ack 1 <...>
        +0    accept error EAGAIN
        +0.1  < .  1:1(0) ack 1 win 4000
        +0    accept
        +0    expect state ESTABLISHED
        +0    write 2000                     # Nothing was lost, and it begins as any other.
        +0    > .  1:1461(1460) ack 1
        +0    > P. 1461:2001(540) ack 1
        +0.999 nothing
        +0.001 > .  1:1461(1460) ack 1       # The initial timeout of one second.
        ",
    );
}

/// Its first ACKs were lost, so that the SYN-ACK would next leave after the time of the deferral.
#[test]
fn a_late_peer_that_was_put_off_is_asked_when_the_time_is_over() {
    Script::default().plays(
        "
        +0    socket listen 80
        +0    listener set defer_accept 5
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +1    > S. 0:0(0) ack 1 <...>
        +2    > S. 0:0(0) ack 1 <...>
        +0.5  < .  1:1(0) ack 1 win 512
        +1.5  > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 1 win 512
        +0    accept
        ",
    );
}

/// As Linux (`syn_ack_recalc`): whoever was put off is asked once at the end, though the retries
/// are used up. Who does not answer is forgotten in silence, and reset when he speaks after all.
#[test]
fn a_peer_that_was_put_off_gets_a_last_chance_however_often_the_syn_ack_has_left() {
    // The last wait is as long as that after one more retry.
    for (retries, before, last_wait) in [(0, "", 2), (1, "+1 > S. 0:0(0) ack 1 <...>", 4)] {
        let script = |last: &str| {
            config(|config| config.tcp.syn_ack_retries = retries).plays(&format!(
                "
                +0    socket listen 80
                +0    listener set defer_accept {until}
                +0    < S  0:0(0) win 65535 <mss 1460>
                +0    > S. 0:0(0) ack 1 <...>
                {before}
                +0.5  < .  1:1(0) ack 1 win 512
                +0.1  < .  1:1(0) ack 1 win 512
                +3.4  > S. 0:0(0) ack 1 <...>
                {last}
                ",
                until = 4 + retries,
            ))
        };
        script("+0.1 < . 1:1(0) ack 1 win 512\n +0 accept\n +0 expect state ESTABLISHED");
        script(
            "+0.1 < P. 1:11(10) ack 1 win 512\n +0 accept\n +0 read 10\n +0.04 > . 1:1(0) ack 11",
        );
        script(&format!(
            "
                +{last_wait} nothing
                +0    expect connections 0
                +0    < P. 1:11(10) ack 1 win 512
                +0    > R  1:1(0)
            "
        ));
        script(&format!("+{}.999 nothing\n +0 expect connections 1", last_wait - 1));
    }
}

#[test]
fn a_fin_opens_a_connection_that_was_deferred() {
    Script::default().plays(
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

/// As Linux: the option pushes what waits, though the cork stays for what follows.
#[test]
fn nodelay_pushes_what_a_cork_holds() {
    established("").plays(
        "
        +0    set cork on
        +0    write 40
        +0.1  set nodelay on
        +0    > P. 1:41(40) ack 1
        +0.1  < .  1:1(0) ack 41 win 512
        +0    write 40
        +0    set keepalive on
        +0.1  nothing
        +0.1  > P. 41:81(40) ack 1
        +0    < .  1:1(0) ack 81 win 512
        +10   nothing
        ",
    );
}

/// As Linux: what TCP_NODELAY pushes it pushes when it is set, and no other option does.
#[test]
fn an_option_that_has_nothing_to_do_with_it_draws_no_cork() {
    for option in ["keepalive on", "tos 8", "nodelay on", "send_buffer 100000", "quick_ack on"] {
        established("").plays(&format!(
            "
            +0    set nodelay on
            +0    set cork on
            +0    write 40
            +0.1  set {option}
            +0    nothing
            +0.1  > P. 1:41(40) ack 1
            +0    < .  1:1(0) ack 41 win 512
            +10   nothing
            "
        ));
    }
}
