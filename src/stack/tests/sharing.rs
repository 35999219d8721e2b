//! Two stacks with one address.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use super::*;
use crate::config::StackConfig;
use crate::error::SocketError;
use crate::observe::{DropReason, Event};
use crate::rng::Seed;
use crate::stack::SocketId;
use crate::wire::{Endpoint, FourTuple, Steering};

const NOW: Instant = Instant::ZERO;

fn steering() -> Steering {
    Steering::new(NonZeroU16::new(2).unwrap(), &Seed::from_number(3))
}

fn shard(index: usize) -> Stack {
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let mut stack = Stack::new(config, Seed::from_number(u64::try_from(index).unwrap())).unwrap();
    stack.set_share(steering(), index);
    stack
}

fn own(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 7, 0, 2], port))
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 7, 0, 1], port))
}

fn owner(local: SocketAddr, remote: SocketAddr) -> usize {
    steering()
        .owner_of_flow(&FourTuple { local: Endpoint::from(local), remote: Endpoint::from(remote) })
}

/// Port of UDP that shard `index` owns.
fn udp_port(index: usize) -> u16 {
    (1000..2000).find(|&port| steering().owner_of_udp_port(port) == index).unwrap()
}

fn listener(stack: &mut Stack, port: u16) -> SocketId {
    let socket = stack.tcp_socket().unwrap();
    stack.bind(socket, own(port)).unwrap();
    stack.listen(socket, 16).unwrap();
    socket
}

/// Takes what either sends to the other, until neither has anything to say; how many packets.
fn run(shards: &mut [Stack; 2]) -> usize {
    let mut crossed = 0;
    loop {
        let before = crossed;
        for index in 0..2 {
            while let Some(packet) = shards[index].transmit(NOW, &mut ()) {
                let to = shards[index].sibling_for(&packet).expect("it is to ourselves");
                assert_ne!(to, index);
                shards[to].receive_from_sibling(NOW, packet.to_frame(), &mut ());
                crossed += 1;
            }
            shards[index].check();
        }
        if crossed == before {
            return crossed;
        }
    }
}

#[derive(Default)]
struct Drops(Vec<DropReason>);

impl Observer for Drops {
    fn on_event(&mut self, _: Instant, event: &Event) {
        if let Event::PacketDropped { reason } = event {
            self.0.push(*reason);
        }
    }
}

#[test]
fn the_answers_to_every_connection_come_to_the_shard_that_opened_it() {
    for index in 0..2 {
        let mut stack = shard(index);
        for _ in 0..200 {
            let socket = stack.tcp_socket().unwrap();
            assert_eq!(stack.connect(NOW, socket, peer(80)), Err(SocketError::InProgress));
            let local = stack.local_addr(socket).unwrap();
            assert_eq!(owner(local, peer(80)), index, "{local}");
        }
    }
}

/// A connection between two ends that were both chosen has one owner, and it is one of the two.
#[test]
fn a_connection_whose_answers_would_go_elsewhere_is_refused() {
    for port in 5000..5050 {
        for index in 0..2 {
            let mut stack = shard(index);
            let socket = stack.tcp_socket().unwrap();
            stack.bind(socket, own(port)).unwrap();
            let expected = if owner(own(port), peer(80)) == index {
                SocketError::InProgress
            } else {
                SocketError::AddressNotAvailable
            };
            assert_eq!(stack.connect(NOW, socket, peer(80)), Err(expected), "{port} at {index}");
        }
    }
}

#[test]
fn a_shard_binds_udp_to_its_own_ports_alone() {
    for index in 0..2 {
        let mut stack = shard(index);
        for _ in 0..200 {
            let [bound, connected, sender] = [(); 3].map(|()| stack.udp_socket().unwrap());
            stack.bind(bound, own(0)).unwrap();
            stack.connect(NOW, connected, peer(53)).unwrap();
            stack.send_to(NOW, sender, b"x", Some(peer(53))).unwrap();
            for socket in [bound, connected, sender] {
                let port = stack.local_addr(socket).unwrap().port();
                assert_eq!(steering().owner_of_udp_port(port), index, "{port}");
            }
        }
        let socket = stack.udp_socket().unwrap();
        let foreign = stack.bind(socket, own(udp_port(1 - index)));
        assert_eq!(foreign, Err(SocketError::AddressNotAvailable));
        assert_eq!(stack.bind(socket, own(udp_port(index))), Ok(()));
    }
}

/// Each packet of it arrives at the end that it is for, wherever the two ends are; a segment of
/// each kind crosses: SYN, text, FIN.
#[test]
fn connections_to_ourselves_work_within_a_shard_and_across() {
    let mut shards = [0, 1].map(shard);
    let listeners = [0, 1].map(|index| listener(&mut shards[index], 80));
    let mut within = 0;
    for _ in 0..32 {
        for index in 0..2 {
            let client = shards[index].tcp_socket().unwrap();
            assert_eq!(shards[index].connect(NOW, client, own(80)), Err(SocketError::InProgress));
            let there = owner(own(80), shards[index].local_addr(client).unwrap());
            let crossed = run(&mut shards);
            assert_eq!(crossed > 0, there != index, "nothing crosses within a shard");
            within += usize::from(there == index);
            let (server, _) = shards[there].accept(NOW, listeners[there]).unwrap();
            let text = [7; 5000];
            assert_eq!(shards[index].write(NOW, client, &text), Ok(text.len()));
            shards[index].close(NOW, client);
            run(&mut shards);
            let mut octets = vec![0; 6000];
            assert_eq!(shards[there].read(NOW, server, &mut octets), Ok(text.len()));
            assert_eq!(shards[there].read(NOW, server, &mut octets), Ok(0));
            shards[there].close(NOW, server);
            run(&mut shards);
        }
    }
    assert!((8..=56).contains(&within), "{within} of 64 within a shard");
}

#[test]
fn datagrams_and_the_errors_about_them_cross_to_the_owner_of_the_port() {
    let mut shards = [0, 1].map(shard);
    let [here, there] = [0, 1].map(udp_port);
    let sockets = [0, 1].map(|index| {
        let socket = shards[index].udp_socket().unwrap();
        shards[index].bind(socket, own([here, there][index])).unwrap();
        socket
    });
    shards[0].send_to(NOW, sockets[0], b"over", Some(own(there))).unwrap();
    assert_eq!(run(&mut shards), 1);
    let mut octets = [0; 8];
    assert_eq!(shards[1].recv_from(sockets[1], &mut octets), Ok((4, own(here))));
    shards[1].close(NOW, sockets[1]);
    shards[0].connect(NOW, sockets[0], own(there)).unwrap();
    shards[0].send_to(NOW, sockets[0], b"gone", None).unwrap();
    assert_eq!(run(&mut shards), 2, "the datagram, and the error about it");
    assert_eq!(shards[0].recv_from(sockets[0], &mut octets), Err(SocketError::Refused));
}

/// The door between siblings is no way in for a device.
#[test]
fn must_63_a_shard_refuses_its_own_address_as_a_source_from_the_device() {
    let mut shards = [0, 1].map(shard);
    let server = listener(&mut shards[1], 80);
    let client = shards[0].tcp_socket().unwrap();
    let from =
        (2000..3000).find(|&port| owner(own(port), own(80)) == 0 && owner(own(80), own(port)) == 1);
    shards[0].bind(client, own(from.unwrap())).unwrap();
    assert_eq!(shards[0].connect(NOW, client, own(80)), Err(SocketError::InProgress));
    let syn = shards[0].transmit(NOW, &mut ()).unwrap();
    assert_eq!(shards[0].sibling_for(&syn), Some(1));
    let mut drops = Drops::default();
    shards[1].receive(NOW, syn.to_frame(), &mut drops);
    assert_eq!(drops.0, [DropReason::OwnSource]);
    assert!(shards[1].transmit(NOW, &mut ()).is_none());
    shards[1].receive_from_sibling(NOW, syn.to_frame(), &mut drops);
    run(&mut shards);
    assert!(shards[1].accept(NOW, server).is_ok());
    assert_eq!(drops.0.len(), 1);
}

/// And what is for others leaves for the device.
#[test]
fn what_is_not_for_ourselves_has_no_sibling() {
    for index in 0..2 {
        let mut stack = shard(index);
        let socket = stack.udp_socket().unwrap();
        for to in [peer(53), SocketAddr::from(([224, 0, 0, 9], 53))] {
            stack.send_to(NOW, socket, b"x", Some(to)).unwrap();
            let packet = stack.transmit(NOW, &mut ()).unwrap();
            assert_eq!(stack.sibling_for(&packet), None);
        }
    }
}
