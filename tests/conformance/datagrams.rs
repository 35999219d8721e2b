//! UDP: RFC 768, RFC 1122 §4.1.

use wharf::sim::Script;

fn play(text: &str) {
    Script::default().plays(text);
}

#[test]
fn a_datagram_reaches_the_socket_that_is_bound_there() {
    play(
        "
        +0    udp bind 53
        +0    udp recv error EAGAIN
        +0    < udp 5000>53 (10)
        +0    < udp 5000>53 (0)
        +0    < udp 5000>53 (1472)
        +0    expect readable
        +0    udp recv 10
        +0    udp recv 0
        +0    udp recv 1472
        +0    udp recv error EAGAIN
        ",
    );
}

#[test]
fn a_datagram_leaves_at_once_with_its_checksum() {
    play(
        "
        +0    udp bind 53
        +0    udp send 10
        +0    > udp 53>5000 (10) ttl 64
        +0    udp send 0
        +0    > udp 53>5000 (0)
        +0    udp send 1472
        +0    > udp 53>5000 (1472)
        +0    udp send 1473 error EMSGSIZE
        ",
    );
}

#[test]
fn a_datagram_to_a_closed_port_is_answered_by_port_unreachable() {
    play(
        "
        +0    < udp 5000>53 (10)
        +0    > icmp unreachable port
        +0    expect dropped no_udp_socket 1
        ",
    );
}

/// RFC 1122 §3.2.2: no error about a broadcast or a multicast.
#[test]
fn a_datagram_to_a_broadcast_is_not_answered() {
    play(
        "
        +0    < udp 5000>53 (10) to 10.7.0.255:53
        +0    < udp 5000>53 (10) to 255.255.255.255:53
        +0    < udp 5000>53 (10) to 224.0.0.1:53
        +1    nothing
        ",
    );
}

#[test]
fn a_datagram_with_a_wrong_checksum_is_dropped_in_silence() {
    play(
        "
        +0    udp bind 53
        +0    < udp 5000>53 (10) bad_checksum
        +0    < udp 5000>54 (10) bad_checksum
        +1    nothing
        +0    udp recv error EAGAIN
        +0    expect dropped transport_checksum 2
        ",
    );
}
