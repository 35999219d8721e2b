//! STATUS (RFC 9293 §3.10.6): what `TcpInfo` tells in which state.

use wharf::sim::{Script, established};

#[test]
fn what_was_sent_and_what_came_is_counted_by_octets_and_segments() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    expect segments_received 1     # The end of the handshake.
        +0    expect segments_sent 0
        +0    expect srtt_ms 100
        +0    expect min_rtt_ms 100
        +0    set cork on
        +0    write 2500
        +0    > .  1:1001(1000) ack 1
        +0    > .  1001:2001(1000) ack 1
        +0    expect unacknowledged 2000
        +0    expect in_flight 2000
        +0    expect unsent 500              # The cork holds it.
        +0    expect send_queue 2500
        +0.05 < .  1:1(0) ack 2001 win 512
        +0    set cork off
        +0    > P. 2001:2501(500) ack 1
        +0    expect octets_acknowledged 2000
        +0    expect min_rtt_ms 50
        +0    expect delivered 2
        +0.05 < P. 1:301(300) ack 2501 win 512
        +0    expect receive_mss 300
        +0    expect receive_queue 300
        +0    expect ato_ms 40
        +0.04 > .  2501:2501(0) ack 301
        +0    expect octets_sent 2500
        +0    expect octets_sent_again 0
        +0    expect octets_received 300
        +0    expect segments_sent 4
        +0    expect data_segments_sent 3
        +0    expect segments_received 3
        +0    expect data_segments_received 1
        +0    expect unacknowledged 0
        ",
    );
}

#[test]
fn what_was_negotiated_is_told() {
    established("rtt 100ms, mss 1000, wscale 7").plays(
        "
        +0    expect send_mss 1000
        +0    expect announced_mss 1460
        +0    expect send_window 65536
        +0    expect receive_space 262144
        ",
    );
}

/// That both shifts are 0 is no sign that none was agreed.
#[test]
fn whether_windows_are_scaled_is_what_both_syns_have_said() {
    for (offered, answered, is_scaled) in [
        ("<mss 1000,nop,wscale 0>", "<mss 1460,nop,wscale 0>", 1),
        ("<mss 1000,nop,wscale 7>", "<mss 1460,nop,wscale 0>", 1),
        ("<mss 1000>", "<mss 1460>", 0),
    ] {
        Script::default().plays(&format!(
            "
            +0    socket listen 80
            +0    listener set receive_buffer 65535
            +0    < S  0:0(0) win 65535 {offered}
            +0    > S. 0:0(0) ack 1 {answered}
            +0    < .  1:1(0) ack 1 win 512
            +0    accept
            +0    expect window_scale {is_scaled}
            +0    expect receive_window_shift 0
            +0    expect sack 0
            +0    expect timestamps 0
            "
        ));
    }
    established("sack on, ts on").plays(
        "
        +0    expect window_scale 1
        +0    expect send_window_shift 7
        +0    expect receive_window_shift 3
        +0    expect sack 1
        +0    expect timestamps 1
        ",
    );
}

#[test]
fn what_was_lost_is_told_while_it_is_repaired() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    write 2000
        +0    > .  1:1001(1000) ack 1
        +0    > P. 1001:2001(1000) ack 1
        +0.3  > .  1:1001(1000) ack 1
        +0    expect retransmits 1
        +0    expect backoff 1
        +0    expect rto_ms 600
        +0    expect lost 1000               # The second waits for the congestion window.
        +0    expect retransmitted 1000
        +0    expect retransmissions 1
        +0    expect octets_sent 3000
        +0    expect octets_sent_again 1000
        +0    expect cwnd 1000
        +0.1  < .  1:1(0) ack 2001 win 512
        +0    expect lost 0
        +0    expect retransmitted 0
        +0    expect retransmits 0
        ",
    );
}

#[test]
fn what_comes_early_is_counted_and_not_yet_received() {
    established("rtt 100ms, mss 1000").plays(
        "
        +0    < .  1001:2001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 1
        +0    < .  3001:3001(0) ack 1 win 512   # There is nothing in it.
        +0    expect early_segments 1
        +0    expect octets_received 0
        +0    < .  1:1001(1000) ack 1 win 512
        +0    > .  1:1(0) ack 2001
        +0    expect early_segments 1
        +0    expect octets_received 2000
        ",
    );
}

#[test]
fn a_listener_tells_who_waits_and_how_many_may() {
    Script::default().plays(
        "
        +0    a: socket listen 80 backlog 3
        +0    listener expect unacknowledged 0
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 1 win 512
        +0    listener expect unacknowledged 1
        +0    listener expect backlog 3
        +0    accept
        +0    listener expect unacknowledged 0
        ",
    );
}

#[test]
fn an_open_that_is_under_way_tells_how_often_its_syn_has_left() {
    Script::default().plays(
        "
        +0    connect
        +0    > S 0:0(0) <...>
        +0    expect rto_ms 1000
        +0    expect unacknowledged 1
        +1    > S 0:0(0) <...>
        +0    expect retransmits 1
        +0    expect rto_ms 2000
        +0    expect segments_sent 2
        +0    expect announced_mss 1460
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1000>
        +0    > .  1:1(0) ack 1
        +0    expect retransmits 0
        +0    expect segments_received 1
        +0    expect segments_sent 2
        ",
    );
}

#[test]
fn a_connection_that_is_over_tells_what_it_was() {
    established("rtt 100ms").plays(
        "
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0    < R. 1:1(0) ack 11
        +0    expect octets_sent 10
        +0    expect segments_received 2
        +0    expect srtt_ms 100
        ",
    );
}

#[test]
fn probes_are_counted_as_segments_and_not_as_data_or_as_sent_again() {
    established("rtt 100ms, mss 1000, wscale off, win 1000").plays(
        "
        +0    write 1500
        +0    > .  1:1001(1000) ack 1
        +0.1  < .  1:1(0) ack 1001 win 0
        +0.3  > .  1000:1000(0) ack 1
        +0    expect segments_sent 2
        +0    expect data_segments_sent 1
        +0    expect retransmissions 0
        ",
    );
    established("rtt 100ms").plays(
        "
        +0    set keepalive_idle 1
        +0    set keepalive on
        +1    > .  0:0(0) ack 1
        +0    expect segments_sent 1
        +0    expect data_segments_sent 0
        +0    expect retransmissions 0
        ",
    );
}
