//! One stack that talks to itself.

use std::net::SocketAddr;

use super::*;
use crate::config::StackConfig;
use crate::error::SocketError;
use crate::observe::{Event, TcpState};
use crate::rng::Seed;
use crate::stack::SocketId;
use crate::time::Duration;

const NOW: Instant = Instant::ZERO;

fn stack() -> Stack {
    Stack::new(StackConfig::new("10.7.0.2/24".parse().unwrap()), Seed::from_number(1)).unwrap()
}

fn own(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 7, 0, 2], port))
}

fn udp(stack: &mut Stack, port: u16) -> SocketId {
    let socket = stack.udp_socket().unwrap();
    stack.bind(socket, own(port)).unwrap();
    socket
}

/// Nothing leaves by the device.
fn settle(stack: &mut Stack, now: Instant, observer: &mut dyn Observer) {
    assert!(stack.transmit(now, observer).is_none(), "a packet to ourselves has left");
    stack.check();
}

#[derive(Default)]
struct States(Vec<TcpState>);

impl Observer for States {
    fn on_event(&mut self, _: Instant, event: &Event) {
        if let Event::StateChanged { to, .. } = event {
            self.0.push(*to);
        }
    }
}

/// RFC 9293 §3.5, Figure 7, and §3.6, Figure 13, with both ends in one connection.
#[test]
fn a_connection_with_itself_goes_through_both_simultaneous_exchanges() {
    let (mut stack, mut states) = (stack(), States::default());
    let socket = stack.tcp_socket().unwrap();
    stack.bind(socket, own(5000)).unwrap();
    assert_eq!(stack.connect(NOW, socket, own(5000)), Err(SocketError::InProgress));
    settle(&mut stack, NOW, &mut states);
    assert_eq!(stack.write(NOW, socket, b"to myself"), Ok(9));
    settle(&mut stack, NOW, &mut states);
    let mut buffer = [0; 20];
    assert_eq!(stack.read(NOW, socket, &mut buffer), Ok(9));
    assert_eq!(&buffer[..9], b"to myself");
    stack.close(NOW, socket);
    settle(&mut stack, NOW, &mut states);
    let end = NOW + Duration::from_mins(1);
    stack.on_timeout(end, &mut states);
    settle(&mut stack, end, &mut states);
    assert_eq!(
        states.0,
        [
            TcpState::SynSent,
            TcpState::SynReceived,
            TcpState::Established,
            TcpState::FinWait1,
            TcpState::Closing,
            TcpState::TimeWait,
            TcpState::Closed,
        ]
    );
    assert_eq!(stack.next_timeout(), None);
}

/// One call does a bounded amount of work; the rest is due at once, and comes in order.
#[test]
fn very_many_packets_to_ourselves_arrive_in_order_over_several_calls() {
    let mut stack = stack();
    let (from, to) = (udp(&mut stack, 53), udp(&mut stack, 54));
    let count = 1000u32;
    for number in 0..count {
        let sent = stack.send_to(NOW, from, &number.to_be_bytes(), Some(own(54)));
        assert_eq!(sent, Ok(4), "{number}");
    }
    let mut arrived = 0u32;
    let mut calls = 0;
    loop {
        let before = arrived;
        settle(&mut stack, NOW, &mut ());
        let mut buffer = [0; 10];
        while let Ok((4, sender)) = stack.recv_from(to, &mut buffer) {
            assert_eq!((&buffer[..4], sender), (&arrived.to_be_bytes()[..], own(53)));
            arrived += 1;
        }
        assert!((arrived - before) as usize <= PACKETS_MAX, "{} at once", arrived - before);
        calls += 1;
        match stack.next_timeout() {
            Some(due) => assert_eq!(due, NOW),
            None => break,
        }
        stack.on_timeout(NOW, &mut ());
    }
    assert_eq!((arrived, calls), (count, 4));
}

/// What limits the answers to others keeps nobody from hearing of his own host, as on Linux.
#[test]
fn every_datagram_and_every_open_to_a_closed_port_of_our_own_is_refused_at_once() {
    let mut stack = stack();
    let socket = udp(&mut stack, 53);
    stack.connect(NOW, socket, own(54)).unwrap();
    for number in 0..1500 {
        stack.send_to(NOW, socket, b"x", None).unwrap();
        settle(&mut stack, NOW, &mut ());
        assert_eq!(stack.take_error(socket), Ok(Some(SocketError::Refused)), "{number}");
        let opening = stack.tcp_socket().unwrap();
        assert_eq!(stack.connect(NOW, opening, own(54)), Err(SocketError::InProgress));
        settle(&mut stack, NOW, &mut ());
        assert_eq!(stack.take_error(opening), Ok(Some(SocketError::Refused)), "{number}");
        stack.close(NOW, opening);
    }
}

/// The packets of a loopback wait for those of the device no longer than for each other.
#[test]
fn packets_to_others_leave_between_those_to_ourselves() {
    let mut stack = stack();
    let (from, to) = (udp(&mut stack, 53), udp(&mut stack, 54));
    let peer = SocketAddr::from(([10, 7, 0, 1], 9));
    for destination in [own(54), peer, own(54)] {
        stack.send_to(NOW, from, b"x", Some(destination)).unwrap();
    }
    let packet = stack.transmit(NOW, &mut ()).unwrap();
    assert_eq!(packet.head[16..20], [10, 7, 0, 1]);
    settle(&mut stack, NOW, &mut ());
    for outcome in [Ok((1, own(53))), Ok((1, own(53))), Err(SocketError::WouldBlock)] {
        assert_eq!(stack.recv_from(to, &mut [0; 9]), outcome);
    }
}

#[test]
fn a_burst_of_segments_to_ourselves_costs_few_acknowledgments() {
    struct Acks(u32);
    impl Observer for Acks {
        fn on_event(&mut self, _: Instant, event: &Event) {
            if let Event::SegmentSent { len: 0, .. } = event {
                self.0 += 1;
            }
        }
    }
    let mut stack = stack();
    let listener = stack.tcp_socket().unwrap();
    stack.bind(listener, own(80)).unwrap();
    stack.listen(listener, 1).unwrap();
    let client = stack.tcp_socket().unwrap();
    assert_eq!(stack.connect(NOW, client, own(80)), Err(SocketError::InProgress));
    settle(&mut stack, NOW, &mut ());
    let (server, _) = stack.accept(NOW, listener).unwrap();
    assert_eq!(stack.write(NOW, client, &[7; 14_480]), Ok(14_480));
    let mut acks = Acks(0);
    settle(&mut stack, NOW, &mut acks);
    assert_eq!(stack.read(NOW, server, &mut [0; 14_600]), Ok(14_480));
    assert_eq!(acks.0, 1, "ten segments, one burst (RFC 9293 MUST-58)");
}

#[test]
fn a_datagram_to_an_own_port_where_nobody_listens_is_refused() {
    let mut stack = stack();
    let socket = udp(&mut stack, 53);
    stack.connect(NOW, socket, own(54)).unwrap();
    assert_eq!(stack.write(NOW, socket, b"x"), Err(SocketError::NotSupported));
    assert_eq!(stack.send_to(NOW, socket, b"x", None), Ok(1));
    settle(&mut stack, NOW, &mut ());
    assert_eq!(stack.recv_from(socket, &mut [0; 9]), Err(SocketError::Refused));
}

#[test]
fn an_echo_request_to_an_own_address_is_answered() {
    let mut stack = stack();
    let socket = stack.echo_socket().unwrap();
    stack.send_echo(NOW, socket, own(0).ip(), 7, b"abc").unwrap();
    settle(&mut stack, NOW, &mut ());
    let reply = stack.recv_echo(socket).unwrap();
    assert_eq!((reply.source, reply.sequence, reply.len), (own(0).ip(), 7, 3));
}

/// Without the loopback nobody could tell a listener of the stack's own connections; a closed one
/// resets them as any other peer's.
#[test]
fn a_listener_that_closes_resets_our_own_connection_to_it() {
    let mut stack = stack();
    let listener = stack.tcp_socket().unwrap();
    stack.bind(listener, own(80)).unwrap();
    stack.listen(listener, 1).unwrap();
    let client = stack.tcp_socket().unwrap();
    assert_eq!(stack.connect(NOW, client, own(80)), Err(SocketError::InProgress));
    settle(&mut stack, NOW, &mut ());
    stack.close(NOW, listener);
    settle(&mut stack, NOW, &mut ());
    assert_eq!(stack.take_error(client), Ok(Some(SocketError::Reset)));
}
