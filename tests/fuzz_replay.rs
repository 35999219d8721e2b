//! Bad input, as a seed decides it: 100,000 hostile packets into a running stack, and many
//! thousand inputs for each fuzz target, its corpus among them. `SEED=n` runs another seed.

use std::cell::RefCell;
use std::net::SocketAddrV4;
use std::rc::Rc;

use wharf::Duration;
use wharf::sim::craft::{Content, IcmpMessage, Packet, UdpDatagram};
use wharf::sim::{Passing, Plan, Random, Simulation, TcpFlags, fuzz};

/// Hostile packets in the test of a running stack.
const PACKETS: u32 = 100_000;

/// Generated inputs of each target.
const INPUTS: usize = 10_000;

fn seed() -> u64 {
    std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"))
}

fn octets(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.word().to_le_bytes()[0]).collect()
}

/// A well-formed packet for the server that is not of the transfer's connection.
fn stranger(random: &mut Random) -> Packet {
    let word = random.word().to_be_bytes();
    let source = SocketAddrV4::new([10, 7, word[0] % 2, word[1]].into(), 5000);
    let port = if random.chance(0.5) { 80 } else { u16::from_be_bytes([word[2], word[3]]) };
    let to = SocketAddrV4::new([10, 7, 0, 2].into(), port);
    let mut packet = Packet::tcp(source, to, TcpFlags::from_bits(word[3]));
    packet.content = match random.below(8) {
        0 => Content::Udp(UdpDatagram {
            source_port: 5000,
            destination_port: port,
            payload: vec![word[0]; usize::from(word[1])],
        }),
        1 => Content::Icmp(IcmpMessage {
            kind: word[0] % 20,
            code: word[1] % 16,
            rest: random.word().to_be_bytes(),
            data: octets(random, usize::from(word[2])),
        }),
        2 => Content::Other { protocol: word[0], octets: octets(random, usize::from(word[1])) },
        _ => packet.content,
    };
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (random.word(), random.word());
        segment.options = octets(random, usize::from(word[0] % 11) * 4);
        segment.payload = octets(random, usize::from(word[1]));
    }
    if random.chance(0.1) {
        packet.ip_options = octets(random, usize::from(word[2] % 11) * 4);
    }
    packet
}

#[test]
fn a_transfer_is_untouched_by_100_000_hostile_packets() {
    let seed = seed();
    let line = "delay=5ms,rate=50mbit,queue=200".parse().expect("a literal impairment");
    let mut world = Simulation::pair(seed, line);
    let mut random = Random::new(seed);
    world.serve(1, 80, |_| Plan::bulk(10_000_000));
    let server = "10.7.0.2:80".parse().expect("a literal address");
    world.connect(0, Some(3000), server, Plan::bulk(10_000_000));
    // The last packet that the client has sent, as a template.
    let template = Rc::new(RefCell::new(vec![0; 40]));
    let tap = Rc::clone(&template);
    world.host(0).watcher = Some(Box::new(move |_, passing, octets| {
        if passing == Passing::Leaves {
            *tap.borrow_mut() = octets.to_vec();
        }
    }));
    let mut most = 0;
    for number in 0..PACKETS {
        let frame = if random.chance(0.7) {
            wharf::Frame::new(fuzz::mutated(&mut random, &template.borrow()))
        } else {
            stranger(&mut random).to_frame()
        };
        world.inject(1, frame);
        if number % 10 == 0 {
            world.run_for(Duration::from_micros(100));
        }
        if number % 1000 == 0 {
            most = most.max(world.host(1).stack.connections().len());
        }
    }
    assert!(!world.is_done(), "SEED={seed}: the transfer ended before the packets did");
    // The listener's backlog bounds what strangers can open: half-open and waiting ones.
    assert!(most <= 2 * 4096 + 1, "SEED={seed}: {most} connections");
    world.finish(Duration::from_hours(1), &format!("SEED={seed}"));
    let ours = world.reports().into_iter().find(|report| report.remote == server);
    let ours = ours.expect("the client's end");
    assert_eq!((ours.sent, ours.received), (10_000_000, 10_000_000), "SEED={seed}");
    assert_eq!(ours.error, None, "SEED={seed}");
}

/// Runs a target on its corpus, `fuzz/seeds/NAME/*`, and on inputs that the seed decides, each
/// after what `starts` says.
fn replay(name: &str, starts: &[&[u8]], len_max: usize) {
    let (_, target) =
        fuzz::TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target of this name");
    let folder = format!("{}/fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let path = entry.expect("an entry of the folder").path();
        inputs.push(
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        );
    }
    assert!(!inputs.is_empty(), "{folder} has no corpus");
    let mut random = Random::new(seed());
    for number in 0..INPUTS {
        let mut input = starts.get(number % (starts.len() + 1)).unwrap_or(&&[][..]).to_vec();
        let len = random.index(len_max);
        input.extend(octets(&mut random, len));
        inputs.push(input);
    }
    for input in inputs {
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "SEED={} {name}: {input:?}", seed());
    }
}

#[test]
fn every_parser_is_total_on_random_octets() {
    replay("wire", &[&[0x45, 0], &[0x45, 0, 0, 40]], 100);
}

#[test]
fn no_options_are_misread_or_harm_a_connection() {
    replay("options", &[&[20, 2, 4, 5, 180], &[40, 2, 4, 5, 180, 1, 1, 4, 2]], 80);
}

#[test]
fn no_order_of_segments_garbles_a_stream_or_stops_it() {
    replay("reassembly", &[], 200);
}

#[test]
fn no_program_of_segments_and_calls_breaks_a_connection() {
    // SYN, ACK, accept, and text; without and with all options. An active open.
    let starts: [&[u8]; 3] =
        [&[0, 0, 1, 13, 4, 0, 2, 9], &[0, 0x77, 1, 13, 4, 0, 2, 9], &[13, 7, 0]];
    replay("connection", &starts, 120);
}

#[test]
fn no_link_keeps_two_stacks_from_ending_what_they_began() {
    replay("stack_pair", &[], 60);
}

#[test]
fn every_parser_is_total_on_every_prefix_and_every_changed_octet_of_a_packet() {
    let mut random = Random::new(seed());
    for _ in 0..50 {
        let whole = stranger(&mut random).encode();
        for len in 0..whole.len() {
            fuzz::wire(&whole[..len]);
            for value in [0, 1, 0x45, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[len] = value;
                fuzz::wire(&changed);
                fuzz::wire(changed.get(20..).unwrap_or_default());
            }
        }
    }
}
