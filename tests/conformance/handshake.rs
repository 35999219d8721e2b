//! Opening: RFC 9293 §3.5, §3.10.7.2 to §3.10.7.4.

use wharf::sim::{Script, established};

fn play(text: &str) {
    Script::default().plays(text);
}

#[test]
fn must_14_a_passive_open_answers_syn_with_syn_ack_and_names_its_mss() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460,nop,wscale 7>
        +0    > S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 3>
        +0    expect state SYN-RECEIVED
        +0    accept error EAGAIN
        +0.1  < .  1:1(0) ack 1 win 512
        +0    expect state ESTABLISHED
        +0    accept
        +0    expect writable
        +0    expect not readable
        +10   nothing
        ",
    );
}

#[test]
fn shld_5_an_active_open_names_its_mss_and_acknowledges_the_syn_ack() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) win 65535 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 3>
        +0    expect state SYN-SENT
        +0    expect not writable
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 7>
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        +0    expect writable
        +0    expect pending none
        +10   nothing
        ",
    );
}

#[test]
fn a_second_connect_tells_how_the_first_one_fares() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0    connect error EALREADY
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    connect error EISCONN
        ",
    );
}

/// RFC 9293 §3.5, Figure 7.
#[test]
fn must_10_two_syns_that_cross_open_one_connection() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    expect state SYN-RECEIVED
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < P. 1:11(10) ack 11 win 65535
        +0    read 10
        +0.04 > .  11:11(0) ack 11
        ",
    );
}

#[test]
fn must_10_a_bare_ack_ends_a_simultaneous_open_too() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    expect state ESTABLISHED
        +10   nothing
        ",
    );
}

#[test]
fn a_reset_with_the_right_ack_refuses_an_active_open() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < R. 0:0(0) ack 1
        +0    expect connections 0
        +0    expect writable
        +0    expect error
        +0    expect pending ECONNREFUSED
        +0    expect pending none
        +200  nothing
        ",
    );
}

/// RFC 9293 §3.10.7.3, second step: without an acceptable ACK anybody could have sent it.
#[test]
fn a_reset_without_the_right_ack_does_not_refuse_an_active_open() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < R  0:0(0)
        +0    < R. 0:0(0) ack 0
        +0    < R. 0:0(0) ack 2
        +0    expect state SYN-SENT
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        ",
    );
}

/// RFC 9293 §3.10.7.3, first step.
#[test]
fn an_ack_of_something_else_is_reset_and_the_active_open_goes_on() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < .  300:300(0) ack 100 win 9
        +0    > R  100:100(0)
        +0    < S. 300:300(0) ack 2 win 9
        +0    > R  2:2(0)
        +0    < S. 300:300(0) ack 0 win 9
        +0    > R  0:0(0)
        +0    expect state SYN-SENT
        +0.9  > S  0:0(0) <...>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        ",
    );
}

/// RFC 9293 §3.10.7.3, fifth step: neither SYN nor RST.
#[test]
fn data_before_the_syn_is_dropped_by_an_active_open() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < P. 1:11(10) ack 1 win 9
        +0    < -  1:1(0)
        +0    < F  1:1(0)
        +0    expect state SYN-SENT
        +0.8  nothing
        ",
    );
}

#[test]
fn must_22_a_syn_is_sent_again_with_backoff_and_must_23_for_three_minutes() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 3>
        +1    > S  0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 3>
        +2    > S  0:0(0) <mss 1460,sackOK,TS val 3000 ecr 0,nop,wscale 3>
        +4    > S  0:0(0) <mss 1460,sackOK,TS val 7000 ecr 0,nop,wscale 3>
        +8    > S  0:0(0) <mss 1460,sackOK,TS val 15000 ecr 0,nop,wscale 3>
        +16   > S  0:0(0) <mss 1460,sackOK,TS val 31000 ecr 0,nop,wscale 3>
        +32   > S  0:0(0) <mss 1460,sackOK,TS val 63000 ecr 0,nop,wscale 3>
        +60   > S  0:0(0) <mss 1460,sackOK,TS val 123000 ecr 0,nop,wscale 3>
        +56   nothing
        +0    expect state SYN-SENT
        +2    nothing
        +0    expect connections 0
        +0    expect pending ETIMEDOUT
        +0    expect pending none
        ",
    );
}

#[test]
fn a_syn_ack_is_sent_again_with_backoff_and_then_forgotten() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +1    > S. 0:0(0) ack 1 <mss 1460>
        +2    > S. 0:0(0) ack 1 <mss 1460>
        +4    > S. 0:0(0) ack 1 <mss 1460>
        +8    > S. 0:0(0) ack 1 <mss 1460>
        +16   > S. 0:0(0) ack 1 <mss 1460>
        +31   nothing
        +0    expect connections 1
        +2    nothing
        +0    expect connections 0
        +0    accept error EAGAIN
        ",
    );
}

/// The record is the same: the timer of the first SYN-ACK goes on, and one ACK opens it.
#[test]
fn the_same_syn_again_is_answered_by_the_same_syn_ack() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.5  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    expect connections 1
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    accept error EAGAIN
        ",
    );
}

#[test]
fn must_11_a_reset_in_syn_received_returns_a_passive_open_to_listen() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < R  1:1(0)
        +0    expect connections 0
        +0    accept error EAGAIN
        +0    incarnation 5000
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        ",
    );
}

#[test]
fn must_11_a_reset_in_syn_received_refuses_a_simultaneous_open() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < R. 1:1(0) ack 1
        +0    expect pending ECONNREFUSED
        +0    expect connections 0
        +100  nothing
        ",
    );
}

/// RFC 5961 §3: neither of these RSTs stands at RCV.NXT.
#[test]
fn a_reset_elsewhere_in_the_window_does_not_end_syn_received() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < R  2:2(0)
        +0    > .  1:1(0) ack 1
        +0    < R  70000:70000(0)
        +0    expect state SYN-RECEIVED
        ",
    );
}

/// RFC 9293 §3.10.7.4, fifth step, SYN-RECEIVED.
#[test]
fn an_ack_of_something_else_in_syn_received_is_reset_and_the_open_goes_on() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0    < .  1:1(0) ack 2 win 65535
        +0    > R  2:2(0)
        +0    < .  1:1(0) ack 0 win 65535
        +0    > R  0:0(0)
        +0    expect state SYN-RECEIVED
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        ",
    );
}

/// RFC 9293 §3.10.7.2 lets us keep the data or not; we do not, and acknowledge the SYN alone.
#[test]
fn data_on_a_syn_is_not_acknowledged_and_comes_again() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:10(10) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < P. 1:11(10) ack 1 win 65535
        +0    accept
        +0    read 10
        +0.04 > .  1:1(0) ack 11
        ",
    );
}

#[test]
fn data_on_the_ack_of_a_handshake_is_delivered() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < P. 1:101(100) ack 1 win 65535
        +0    accept
        +0    read 100
        +0.04 > .  1:1(0) ack 101
        ",
    );
}

#[test]
fn a_fin_on_the_ack_of_a_handshake_is_the_end_of_the_stream() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +0.1  < FP. 1:101(100) ack 1 win 65535
        +0    > .  1:1(0) ack 102
        +0    accept
        +0    expect state CLOSE-WAIT
        +0    read 100
        +0    read eof
        +0    read eof
        ",
    );
}

/// RFC 9293 §3.10.7.3, fourth step: "if there are other controls or text in the segment, then
/// continue processing".
#[test]
fn data_on_a_syn_ack_is_delivered() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S. 0:10(10) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 11
        +0    read 10
        ",
    );
}

/// A lost ACK: the peer sends its SYN-ACK again and must be told once more.
#[test]
fn a_syn_ack_on_an_open_connection_is_acknowledged_again() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +1    < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1
        +0    expect state ESTABLISHED
        ",
    );
}

/// Both sequence spaces wrap in the middle of the data.
#[test]
fn must_8_the_clock_chooses_our_iss_and_a_connection_works_across_the_wrap() {
    for (ours, peers) in [(u32::MAX, u32::MAX), (u32::MAX - 500, 7), (7, u32::MAX - 500)] {
        Script::default().our_iss(ours).peer_iss(peers).established("mss 1000").plays(
            "
            +0    write 2000
            +0    > .  1:1001(1000) ack 1
            +0    > P. 1001:2001(1000) ack 1
            +0.1  < P. 1:1001(1000) ack 2001 win 512
            +0    < P. 1001:2001(1000) ack 2001 win 512
            +0    > .  2001:2001(0) ack 2001
            +0    read 2000
            +0    close
            +0    > F. 2001:2001(0) ack 2001
            +0.1  < F. 2001:2001(0) ack 2002 win 512
            +0    > .  2002:2002(0) ack 2002
            +0    expect state TIME-WAIT
            ",
        );
    }
}

/// RFC 6298 (5.7): a SYN that had to be sent again makes the first timeout 3 s.
#[test]
fn after_a_lost_syn_ack_the_first_timeout_is_three_seconds() {
    play(
        "
        +0    socket listen 80
        +0    < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <...>
        +1    > S. 0:0(0) ack 1 <...>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +3    > P. 1:11(10) ack 1
        ",
    );
}

/// The handshake's round trip is a sample: SRTT 100 ms and 200 ms of slack.
#[test]
fn the_handshake_measures_the_round_trip() {
    established("rtt 100ms").plays(
        "
        +0    expect srtt_ms 100
        +0    expect rto_ms 300
        ",
    );
}

#[test]
fn closing_a_socket_that_connects_ends_the_attempt() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0    close
        +0    expect connections 0
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > R  1:1(0)
        +100  nothing
        ",
    );
}

/// RFC 9293 §3.10.7.4: a simultaneous open goes on whatever the segment that ends it brings.
#[test]
fn must_10_text_and_a_fin_on_the_segment_that_ends_a_simultaneous_open_count() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  < FP. 1:11(10) ack 1 win 65535
        +0    > .  1:1(0) ack 12
        +0    expect state CLOSE-WAIT
        +0    read 10
        +0    read eof
        ",
    );
}

/// The peer has lost our SYN-ACK: it says its SYN again, and ours goes again as SYN-ACK.
#[test]
fn must_10_a_syn_ack_that_is_lost_in_a_simultaneous_open_is_sent_again() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.9  > S. 0:0(0) ack 1 <mss 1460>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    expect state SYN-RECEIVED
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    expect state ESTABLISHED
        +10   nothing
        ",
    );
}

/// Karn's rule (RFC 6298 §3): our SYN has left twice, once as SYN-ACK, and nobody knows which of
/// them the ACK means. Nothing was lost, so that the timeout stays the initial one.
#[test]
fn must_18_no_round_trip_is_measured_in_a_simultaneous_open() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.4  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    expect srtt_ms 0
        +0    expect rto_ms 1000
        +0    expect cwnd 14600
        +0    write 10
        +0    > P. 1:11(10) ack 1
        +0.1  < .  1:1(0) ack 11 win 65535
        +0    expect srtt_ms 100
        ",
    );
}

/// RFC 9293 §3.10.4 queues the FIN until ESTABLISHED; nothing that the peer sends is lost by it.
#[test]
fn a_fin_that_was_asked_for_in_syn_received_leaves_when_the_handshake_is_through() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    shutdown write
        +0    expect state SYN-RECEIVED
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > F. 1:1(0) ack 1
        +0    expect state FIN-WAIT-1
        +0.1  < P. 1:11(10) ack 2 win 65535
        +0    read 10
        +0.04 > .  2:2(0) ack 11
        ",
    );
}

#[test]
fn a_socket_closed_in_syn_received_ends_in_the_background_and_data_for_it_is_reset() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    close
        +0    expect state SYN-RECEIVED
        +0.1  < .  1:1(0) ack 1 win 65535
        +0    > F. 1:1(0) ack 1
        +0    expect state FIN-WAIT-1
        +0.1  < P. 1:11(10) ack 2 win 65535
        +0    > R  2:2(0)
        +0    expect connections 0
        ",
    );
}

/// And if the handshake never ends, neither socket nor memory is left.
#[test]
fn a_socket_closed_in_syn_received_is_forgotten_when_nobody_answers_or_the_peer_refuses() {
    let opening = "
        +0    connect
        +0    > S  0:0(0) <...>
        +0.1  < S  0:0(0) win 65535 <mss 1460>
        +0    > S. 0:0(0) ack 1 <mss 1460>
        +0    close
        ";
    play(&format!(
        "{opening}
        +0.1  < R. 1:1(0) ack 1
        +0    expect connections 0
        "
    ));
    let again = "> S. 0:0(0) ack 1 <mss 1460>";
    play(&format!(
        "{opening}
        +0.9  {again}
        +2    {again}
        +4    {again}
        +8    {again}
        +16   {again}
        +32   {again}
        +60   {again}
        +58   nothing
        +0    expect connections 0
        "
    ));
}

/// RFC 9293 §3.10.4: CLOSE in SYN-SENT deletes the connection; as on Linux the socket may be used
/// again.
#[test]
fn shutdown_in_syn_sent_ends_the_attempt_and_a_late_syn_ack_is_reset() {
    play(
        "
        +0    connect
        +0    > S  0:0(0) <...>
        +0    shutdown write
        +0    expect connections 0
        +0    expect pending ECONNRESET
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > R  1:1(0)
        +100  nothing
        ",
    );
}
