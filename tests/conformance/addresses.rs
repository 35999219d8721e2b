//! Which addresses a connection has (RFC 9293 §3.9.1.1), and where its numbers begin (§3.4.1).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use wharf::sim::Script;
use wharf::sim::craft::Packet;
use wharf::{Instant, Seed, SocketError, Stack};

use crate::config;

#[test]
fn must_43_the_address_that_was_bound_is_the_source() {
    config(|config| {
        config.interface.addresses.push("10.8.0.2/24".parse().expect("a literal network"));
    })
    .plays(
        "
        +0    bind 10.8.0.2:4000
        +0    connect
        +0    > S  0:0(0) <...> from 10.8.0.2:4000
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:1(0) ack 1 from 10.8.0.2:4000
        ",
    );
}

#[test]
fn must_44_otherwise_the_address_in_the_peers_network_is_and_must_45_it_stays() {
    for (to, source) in [("10.8.0.9:80", "10.8.0.2"), ("10.7.0.9:80", "10.7.0.2")] {
        let script = format!(
            "
            +0    bind 0.0.0.0:4000
            +0    connect to {to}
            +0    > S  0:0(0) <...> from {source}:4000
            +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
            +0    > .  1:1(0) ack 1 from {source}:4000
            +0    write 10
            +0    > P. 1:11(10) ack 1 from {source}:4000
            +0    close
            +0    > F. 11:11(0) ack 1 from {source}:4000
            "
        );
        config(|config| {
            config.interface.addresses.push("10.8.0.2/24".parse().expect("a literal network"));
        })
        .plays(&script);
    }
}

#[test]
fn must_46_nobody_connects_to_an_address_that_no_host_can_have() {
    for (to, error) in [
        ("255.255.255.255:80", "ENETUNREACH"),
        ("224.0.0.1:80", "ENETUNREACH"),
        ("239.255.255.255:80", "ENETUNREACH"),
        ("10.7.0.255:80", "ENETUNREACH"),
        ("0.0.0.0:80", "ENETUNREACH"),
        ("127.0.0.1:80", "ENETUNREACH"),
        ("240.0.0.1:80", "ENETUNREACH"),
        ("10.7.0.1:0", "ECONNREFUSED"),
    ] {
        let script = format!(
            "
            +0    connect to {to} error {error}
            +100  nothing
            +0    expect connections 0
            "
        );
        Script::default().plays(&script);
    }
}

/// A gateway accepts what is routed to it, in the name of whom it was sent to.
#[test]
fn a_listener_for_any_destination_answers_from_the_address_that_was_meant() {
    config(|config| config.interface.any_destination = true).plays(
        "
        +0    socket listen 80 any
        +0    < S  0:0(0) win 65535 <mss 1460> to 192.0.2.9:80
        +0    > S. 0:0(0) ack 1 <...> from 192.0.2.9:80
        +0.1  < .  1:1(0) ack 1 win 65535 to 192.0.2.9:80
        +0    accept
        +0    write 10
        +0    > P. 1:11(10) ack 1 from 192.0.2.9:80
        +0    < S  0:0(0) win 65535 to 192.0.2.9:81
        +0    < .  0:0(0) ack 9 win 65535 to 192.0.2.9:81
        +0.3  > P. 1:11(10) ack 1 from 192.0.2.9:80
        ",
    );
}

/// The initial sequence numbers of connections to `count` ports of a peer, all at one moment.
fn numbers(seed: u64, count: u16) -> Vec<u32> {
    let config = wharf::sim::script::default_config();
    let mut stack = Stack::new(config, Seed::from_number(seed)).expect("the defaults are valid");
    let mut numbers = Vec::new();
    for port in 1..=count {
        let socket = stack.tcp_socket().expect("there is room");
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 7, 0, 1), port);
        let outcome = stack.connect(Instant::ZERO, socket, to.into());
        assert_eq!(outcome, Err(SocketError::InProgress));
        let syn = stack.transmit(Instant::ZERO, &mut ()).expect("a SYN");
        let syn = Packet::decode(syn.to_frame().octets()).expect("a well-formed SYN");
        numbers.push(syn.segment().expect("a segment").seq);
    }
    numbers
}

/// RFC 6528: what one connection shows says nothing about another, nor about the next start.
#[test]
fn must_9_initial_sequence_numbers_cannot_be_worked_out_and_shld_1_they_are_keyed() {
    let (one, other) = (numbers(1, 1000), numbers(2, 1000));
    let differences = |numbers: &[u32]| -> BTreeSet<u32> {
        numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect()
    };
    assert!(differences(&one).len() >= 999, "differences repeat");
    let between: BTreeSet<u32> = one.iter().zip(&other).map(|(a, b)| a.wrapping_sub(*b)).collect();
    assert!(between.len() >= 999, "another seed only moves the numbers");
    // Each of the upper four bits is about as often set as not.
    for bit in 28..32 {
        let set = one.iter().filter(|&&number| number >> bit & 1 == 1).count();
        assert!((400..600).contains(&set), "bit {bit} is set {set} times of 1000");
    }
}
