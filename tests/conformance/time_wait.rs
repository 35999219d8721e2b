//! TIME-WAIT: RFC 9293 §3.6.1, §3.10.7.4; RFC 1337.

use wharf::sim::{Script, established};

use super::config;

/// Both FINs are through at 0.2 s of the script, after we closed first.
const CLOSED_FIRST: &str = "
        +0    close
        +0    > F. 1:1(0) ack 1
        +0.1  < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
";

fn in_time_wait(rest: &str) {
    established("").plays(&format!("{CLOSED_FIRST}{rest}"));
}

#[test]
fn must_13_a_fin_that_comes_again_is_acknowledged_and_restarts_the_wait() {
    in_time_wait(
        "
        +50   < F. 1:1(0) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        +0    < F. 1:1(0) ack 2 win 512
        +0    > R  2:2(0)
        ",
    );
}

#[test]
fn what_is_no_fin_does_not_restart_the_wait() {
    in_time_wait(
        "
        +30   < P. 2:12(10) ack 2 win 512
        +0    > .  2:2(0) ack 2
        +29   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// RFC 1337 §3, F1: obeying it would end the protection of the next connection.
#[test]
fn a_reset_does_not_end_the_wait() {
    in_time_wait(
        "
        +0    < R  2:2(0)
        +0    < R. 2:2(0) ack 2
        +0    expect state TIME-WAIT
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

#[test]
fn the_last_ack_that_comes_again_is_not_answered() {
    in_time_wait(
        "
        +0    < .  2:2(0) ack 2 win 512
        +1    nothing
        ",
    );
}

#[test]
fn may_2_a_syn_past_the_old_connection_opens_a_new_one() {
    in_time_wait(
        "
        +1    incarnation 1000000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    expect state ESTABLISHED
        +0    < P. 1:11(10) ack 1 win 65535
        +0    read 10
        +0.04 > .  1:1(0) ack 11
        ",
    );
}

/// An old duplicate: the acknowledgment makes a peer that means it reset the old connection.
#[test]
fn a_syn_from_before_the_old_connections_end_is_acknowledged_only() {
    in_time_wait(
        "
        +1    < S  0:0(0) win 65535 <mss 1460>
        +0    > .  2:2(0) ack 2
        +0    expect state TIME-WAIT
        +0    expect connections 1
        ",
    );
}

/// Opened by the peer, closed by us first: a record in TIME-WAIT.
fn closed_first(label: &str) -> String {
    format!(
        "
        +0    {label}: < S 0:0(0) win 65535 <mss 1460>
        +0    {label}: > S. 0:0(0) ack 1 <...>
        +0    {label}: < . 1:1(0) ack 1 win 512
        +0    {label}: accept
        +0    {label}: close
        +0    {label}: > F. 1:1(0) ack 1
        +0    {label}: < F. 1:1(0) ack 2 win 512
        +0    {label}: > . 2:2(0) ack 2
        "
    )
}

/// As Linux's tcp_max_tw_buckets, but the oldest makes room and not the newest.
#[test]
fn of_too_many_records_the_one_goes_that_would_end_first() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(closed_first);
    let played = config(|config| config.limits.time_wait_max = 2).plays(&format!(
        "
        +0    socket listen 80
        {a}{b}
        +1    a: < F. 1:1(0) ack 2 win 512         # its wait begins anew
        +0    a: > . 2:2(0) ack 2
        {c}
        +0    b: expect state CLOSED
        +0    a: expect state TIME-WAIT
        +0    c: expect state TIME-WAIT
        +1    c: < . 1:1(0) ack 2 win 512          # this one's does not
        +0    c: > . 2:2(0) ack 2
        {d}
        +0    a: expect state CLOSED
        +0    expect connections 2
        "
    ));
    assert_eq!(played.count("tcp_evicted_total"), 2);
    played.stack.check();
}

#[test]
fn without_room_for_any_record_the_last_fin_is_acknowledged_all_the_same() {
    config(|config| config.limits.time_wait_max = 0)
        .plays(&format!("+0 socket listen 80\n{}\n+0 expect connections 0", closed_first("a")));
}

/// What has ended keeps nobody out.
#[test]
fn a_record_counts_against_no_limit_on_connections() {
    config(|config| config.limits.connections_max = 1).plays(&format!(
        "
        +0    socket listen 80
        {}
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    c: < S 0:0(0) win 65535 <mss 1460>
        +0    expect dropped too_many_connections 1
        ",
        closed_first("a")
    ));
}

#[test]
fn a_record_keeps_no_listener_from_its_port() {
    Script::default().plays(&format!(
        "
        +0    socket listen 80
        {}
        +0    unlisten
        +0    socket listen 80
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0    a: expect state TIME-WAIT
        ",
        closed_first("a")
    ));
}

/// Closed first, with timestamps: the peer's last one is 1300.
fn in_time_wait_with_timestamps(rest: &str) {
    let script = format!(
        "
        +0    close
        +0    > F. 1:1(0) ack 1 <TS val 100 ecr 1100>
        +0.1  < F. 1:1(0) ack 2 win 512 <TS val 1300 ecr 100>
        +0    > .  2:2(0) ack 2 <TS val 200 ecr 1300>
        +0    expect state TIME-WAIT
        {rest}"
    );
    established("ts on").plays(&script);
}

/// RFC 6191 §2: the timestamp tells a new connection from an old duplicate, where the sequence
/// number cannot; and ours is past all that the old connection has said.
#[test]
fn shld_4_a_syn_with_a_newer_timestamp_reopens_at_once_whatever_its_sequence_number() {
    in_time_wait_with_timestamps(
        "
        +1    incarnation 4294967000
        +0    < S  0:0(0) win 65535 <mss 1460,TS val 1301 ecr 0>
        +0    > S. 0:0(0) ack 1 <mss 1460,TS val 0 ecr 1301>
        +0.1  < .  1:1(0) ack 1 win 65535 <TS val 1401 ecr 0>
        +0    accept
        +0    expect state ESTABLISHED
        ",
    );
}

#[test]
fn a_syn_with_an_older_timestamp_is_acknowledged_only_whatever_its_sequence_number() {
    in_time_wait_with_timestamps(
        "
        +1    < S  1000000:1000000(0) win 65535 <mss 1460,TS val 1299 ecr 0>
        +0    > .  2:2(0) ack 2 <TS val 1200 ecr 1300>
        +0.5  < S  1:1(0) win 65535 <mss 1460,TS val 1300 ecr 0>
        +0    > .  2:2(0) ack 2 <TS val 1700 ecr 1300>
        +0    expect state TIME-WAIT
        +0    expect connections 1
        ",
    );
}

/// The acknowledgments of TIME-WAIT have timestamps too (RFC 7323 §3.2), and echo the newest.
#[test]
fn a_fin_that_comes_again_is_acknowledged_with_timestamps() {
    in_time_wait_with_timestamps(
        "
        +50   < F. 1:1(0) ack 2 win 512 <TS val 51000 ecr 100>
        +0    > .  2:2(0) ack 2 <TS val 50200 ecr 51000>
        +59   expect state TIME-WAIT
        +1    nothing
        +0    expect connections 0
        ",
    );
}

/// RFC 7323 §4.3: who knows no sequence number must not make honest segments look old. A timestamp
/// counts at RCV.NXT and on the FIN that comes again, and nowhere else.
#[test]
fn the_timestamp_of_a_segment_that_is_not_in_its_place_changes_nothing() {
    for (guess, recent) in [
        (".  4294966297:4294966297(0) ack 2", 1300),
        ("P. 4294966297:4294966307(10) ack 2", 1300),
        ("P. 4294967295:1(2) ack 2", 1300),
        ("P. 1:2(1) ack 2", 1300),
        ("F. 0:0(0) ack 2", 1300),
        (".  1:1(0) ack 2", 1300),
        (".  3:3(0) ack 2", 1300),
        ("S. 2:2(0) ack 2", 1300),
        ("F. 1:1(0) ack 2", 900_000),
        ("F. 2:2(0) ack 2", 900_000),
        ("P. 2:12(10) ack 2", 900_000),
    ] {
        in_time_wait_with_timestamps(&format!(
            "
            +1    < {guess} win 512 <TS val 900000 ecr 100>
            +0    > .  2:2(0) ack 2 <TS val 1200 ecr {recent}>
            "
        ));
    }
    in_time_wait_with_timestamps(
        "
        +1    < .  2:2(0) ack 2 win 512 <TS val 900000 ecr 100>  # As the last ACK is.
        +1    < .  1:1(0) ack 2 win 512 <TS val 900000 ecr 100>
        +0    > .  2:2(0) ack 2 <TS val 2200 ecr 900000>
        ",
    );
}

/// A SYN that nobody takes does not end the wait: neither for want of room, nor of a listener.
#[test]
fn a_syn_that_opens_nothing_leaves_the_record_as_it_was() {
    let played = config(|config| config.limits.connections_max = 1).plays(&format!(
        "
        +0    socket listen 80
        {}
        +0    b: < S 0:0(0) win 65535 <mss 1460>
        +0    b: > S. 0:0(0) ack 1 <...>
        +0.5  a: < S 1000:1000(0) win 65535 <mss 1460>
        +0    expect dropped too_many_connections 1
        +0    a: expect state TIME-WAIT
        +0.1  a: < F. 1:1(0) ack 2 win 512
        +0    a: > . 2:2(0) ack 2
        +0    b: < R 1:1(0)
        +0    a: incarnation 1000000
        +0    a: < S 0:0(0) win 65535 <mss 1460>
        +0    a: > S. 0:0(0) ack 1 <...>
        ",
        closed_first("a")
    ));
    played.stack.check();
}

/// Who would end first goes first: a FIN too old to restart the wait earns no later place.
#[test]
fn a_fin_that_does_not_restart_the_wait_does_not_put_off_an_eviction() {
    let timed = |label: &str| {
        format!(
            "
            +0    {label}: < S 0:0(0) win 65535 <mss 1460,TS val 1000 ecr 0>
            +0    {label}: > S. 0:0(0) ack 1 <...>
            +0    {label}: < . 1:1(0) ack 1 win 512 <TS val 1000 ecr 0>
            +0    {label}: accept
            +0    {label}: close
            +0    {label}: > F. 1:1(0) ack 1 <...>
            +0    {label}: < F. 1:1(0) ack 2 win 512 <TS val 1000 ecr 0>
            +0    {label}: > . 2:2(0) ack 2 <...>
            "
        )
    };
    for old in ["F. 1:1(0) ack 2 win 512 <TS val 999 ecr 0>", "F. 2:2(0) ack 2 win 512"] {
        let [a, b, c] = ["a", "b", "c"].map(timed);
        config(|config| config.limits.time_wait_max = 2).plays(&format!(
            "
            +0    socket listen 80
            {a}
            +1    nothing
            {b}
            +0    a: < {old}
            +0    a: > . 2:2(0) ack 2 <...>
            {c}
            +0    a: expect state CLOSED
            +0    b: expect state TIME-WAIT
            +0    c: expect state TIME-WAIT
            "
        ));
    }
}

/// RFC 5961 §7: as any segment that is refused.
#[test]
fn syns_that_nobody_takes_are_acknowledged_twice_a_second_at_most() {
    in_time_wait(
        "
        +0    unlisten
        +1    < S  1000:1000(0) win 65535 <mss 1460>
        +0    > .  2:2(0) ack 2
        +0    < S  1000:1000(0) win 65535 <mss 1460>
        +0    < S  2000:2000(0) win 65535 <mss 1460>
        +0.499 < S 1000:1000(0) win 65535 <mss 1460>
        +0    expect dropped rate_limited 3
        +0.001 < S 1000:1000(0) win 65535 <mss 1460>
        +0    > .  2:2(0) ack 2
        +0    expect dropped no_tcp_socket 2
        +0    expect state TIME-WAIT
        ",
    );
}

/// As Linux: by more than a window without scaling, so that nothing that is still on its way lies
/// in that of the new connection.
#[test]
fn the_initial_sequence_number_of_a_connection_that_reopens_is_past_all_that_the_old_one_sent() {
    let reopened = "
        +0    incarnation 1000000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
    ";
    let iss_after = |rest: &str| {
        let script = format!("{CLOSED_FIRST}{rest}").replace("+0.1", "+0.001");
        established("rtt 1ms").plays(&script).iss
    };
    assert_eq!(iss_after(reopened).wrapping_sub(iss_after("")), 2 + 65_537);
}
