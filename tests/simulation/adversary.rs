//! Others on the line: blind attackers, scanners, floods. A transfer goes on untouched.

use std::net::SocketAddrV4;

use wharf::Duration;
use wharf::sim::craft::{Content, Packet};
use wharf::sim::{Plan, Simulation, TcpFlags};

use super::{line, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

/// A transfer under way, and the client's address.
fn transfer(seed: u64) -> (Simulation, SocketAddrV4) {
    let mut world = Simulation::pair(seed, line("delay=10ms,rate=10mbit,queue=100"));
    world.serve(1, 80, |_| Plan::bulk(0));
    world.connect(0, Some(3000), server(), Plan::bulk(3_000_000));
    world.run_for(Duration::from_millis(200));
    (world, "10.7.0.1:3000".parse().expect("a literal address"))
}

/// A segment to the server that pretends to come from `source`.
fn forge(source: SocketAddrV4, flags: TcpFlags, seq: u32, ack: u32) -> Packet {
    let to = "10.7.0.2:80".parse().expect("a literal address");
    let mut packet = Packet::tcp(source, to, flags);
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (seq, ack);
    }
    packet
}

/// CVE-2004-0230 and RFC 5961: who does not know RCV.NXT cannot reset, nor open, nor write.
#[test]
fn blind_resets_syns_and_data_do_not_disturb_a_transfer() {
    for seed in seeds(4) {
        let (mut world, client) = transfer(seed);
        for _ in 0..2000 {
            let bits = [0x04, 0x14, 0x02, 0x12, 0x10, 0x18, 0x11];
            let pick = world.random().index(7);
            let (seq, ack) = (world.random().word(), world.random().word());
            let mut packet = forge(client, TcpFlags::from_bits(bits[pick]), seq, ack);
            if let Content::Tcp(segment) = &mut packet.content
                && bits[pick] == 0x18
            {
                segment.payload = vec![0xee; 100];
            }
            world.inject(1, packet.to_frame());
            world.run_for(Duration::from_micros(500));
        }
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

/// SYNs from everywhere: the backlog is bounded, memory too, and the transfer goes on.
#[test]
fn a_syn_flood_leaves_an_open_connection_alone_and_is_forgotten() {
    for seed in seeds(2) {
        let (mut world, _) = transfer(seed);
        for _ in 0..20_000 {
            let addr = 0x0a08_0000 | world.random().word() & 0xffff;
            let port = u16::try_from(world.random().below(60_000)).unwrap() + 1024;
            let source = SocketAddrV4::new(addr.into(), port);
            let packet = forge(source, TcpFlags::SYN, world.random().word(), 0);
            world.inject(1, packet.to_frame());
            world.run_for(Duration::from_micros(10));
        }
        let half_open = world.host(1).stack.connections().len();
        assert!(half_open <= 4096 + 1, "SEED={seed}: {half_open} records");
        let all = world.host(1).counters.list();
        let cookies = all.iter().find(|c| c.name == "tcp_syn_cookies_sent_total");
        let cookies = cookies.map_or(0, |counter| counter.value);
        assert!(cookies >= 10_000, "SEED={seed}: {cookies} cookies");
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

/// A scan of all ports is answered, but not without limit, and leaves nothing behind.
#[test]
fn a_scan_of_every_port_leaves_nothing_behind() {
    for seed in seeds(1) {
        let (mut world, _) = transfer(seed);
        let source = "10.7.0.9:5555".parse().expect("a literal address");
        for port in 1..=u16::MAX {
            let mut packet = forge(source, TcpFlags::SYN, 1, 0);
            if let Content::Tcp(segment) = &mut packet.content {
                segment.destination_port = port;
            }
            world.inject(1, packet.to_frame());
        }
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

/// The packet wars of draft-gont-tcpm-tcp-seq-validation: each end believes that the other is
/// elsewhere, and each answer of the one is refused by the other.
#[test]
fn two_ends_that_were_confused_do_not_answer_each_other_for_ever() {
    for seed in seeds(10) {
        let mut world = Simulation::pair(seed, line("delay=10ms"));
        world.serve(1, 80, |_| Plan::bulk(0));
        let slow = Plan { write_max: 10, pace: Duration::from_secs(1), ..Plan::bulk(1000) };
        world.connect(0, Some(3000), server(), slow);
        world.run_for(Duration::from_secs(5));
        let before = world.packets();
        // An acknowledgment of what was never sent, to both, each in the name of the other.
        let ends: [SocketAddrV4; 2] =
            ["10.7.0.1:3000", "10.7.0.2:80"].map(|addr| addr.parse().expect("a literal address"));
        for (host, from, to) in [(0, ends[1], ends[0]), (1, ends[0], ends[1])] {
            for _ in 0..100 {
                let mut packet = Packet::tcp(from, to, TcpFlags::ACK);
                if let Content::Tcp(segment) = &mut packet.content {
                    (segment.seq, segment.ack) = (world.random().word(), world.random().word());
                }
                world.inject(host, packet.to_frame());
            }
        }
        world.run_for(Duration::from_secs(10));
        let answers = world.packets() - before;
        assert!(answers < 100, "SEED={seed}: {answers} packets in ten seconds");
        world.finish(24 * HOUR, &format!("SEED={seed}"));
    }
}
