//! Who splits super-segments and completes checksums changes how often a packet is made, and
//! nothing of what travels or arrives.

use wharf::sim::{Plan, Random, Simulation};
use wharf::{Duration, Link, StackConfig};

use super::transfer::LINES;
use super::{configs, line, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

/// Leaves to the device what one that offloads takes on.
fn with_offload(config: &mut StackConfig) {
    config.interface.checksum_offload = true;
    config.interface.super_segment = 65_535;
}

/// Leaves to whoever splits no more than what is split, as [`Net`](wharf::Net) does where the
/// device takes nothing on.
fn with_splitting(config: &mut StackConfig) {
    config.interface.super_segment = 18 << 10;
}

/// What a host has counted under `name`.
pub(super) fn counted(world: &mut Simulation, host: usize, name: &str) -> u64 {
    let counters = world.host(host).counters.list();
    counters.iter().find(|counter| counter.name == name).expect("there is such a counter").value
}

/// A client that sends and receives over `text`, and what it did, packet for packet.
fn fingerprint(
    seed: u64,
    text: &str,
    plan: &Plan,
    change: impl Fn(&mut StackConfig),
) -> (u64, u64) {
    let [mut client, server_config] = configs(|_| {});
    change(&mut client);
    let mut world = Simulation::pair_of(seed, line(text), client, server_config);
    world.serve(1, 80, |_| Plan::bulk(100_000));
    world.connect(0, None, server(), *plan);
    world.finish(24 * HOUR, &format!("SEED={seed} {text}"));
    (world.fingerprint(), counted(&mut world, 0, "packets_sent_total"))
}

#[test]
fn the_same_octets_travel_whether_the_stack_splits_or_somebody_behind_it() {
    let mut spared = [0; 2];
    for text in LINES {
        for seed in seeds(6) {
            let mut rng = Random::new(seed);
            let plan =
                if seed % 2 == 0 { Plan::bulk(400_000) } else { Plan::random(&mut rng, 400_000) };
            let (whole, whole_count) = fingerprint(seed, text, &plan, |_| {});
            for (change, spared) in [with_offload, with_splitting].iter().zip(&mut spared) {
                let (parted, parted_count) = fingerprint(seed, text, &plan, change);
                assert_eq!(whole, parted, "SEED={seed} {text}");
                assert!(parted_count <= whole_count, "SEED={seed} {text}");
                *spared += whole_count - parted_count;
            }
        }
    }
    assert!(spared.iter().all(|&count| count > 1_000), "only {spared:?} packets were spared");
}

/// Both hosts on a cable on which super-segments arrive whole.
fn world_of_super_segments(seed: u64) -> Simulation {
    let mut world = Simulation::new(seed);
    let [client, server] = configs(with_offload);
    let (near, far) = Link::pair_virtual(1500);
    world.add_host(client, Box::new(near.with_offload().with_queue(1 << 16)));
    world.add_host(server, Box::new(far.with_offload().with_queue(1 << 16)));
    world
}

#[test]
fn random_programs_get_their_octets_out_of_super_segments() {
    let (mut whole, mut split) = (0, 0);
    for seed in seeds(60) {
        let mut world = world_of_super_segments(seed);
        world.serve(1, 80, |rng| Plan::random(rng, 300_000));
        for _ in 0..=world.random().below(3) {
            let plan = Plan::random(world.random(), 300_000);
            world.connect(0, None, server(), plan);
        }
        world.finish(24 * HOUR, &format!("SEED={seed}"));
        whole += counted(&mut world, 0, "packets_received_total");
        whole += counted(&mut world, 1, "packets_received_total");
        split += world.packets();
    }
    assert!(whole < split, "{whole} packets stood for {split}");
}

/// Super-segments only in one direction, as between a TUN with offload and one without.
#[test]
fn a_bulk_transfer_between_one_that_offloads_and_one_that_does_not_arrives() {
    for seed in seeds(4) {
        for offloading in 0..2 {
            let mut world = Simulation::new(seed);
            let (near, far) = Link::pair_virtual(1500);
            let mut ends = [near, far].map(|end| Some(end.with_queue(1 << 16)));
            for (number, mut config) in configs(|_| {}).into_iter().enumerate() {
                let mut end = ends[number].take().expect("each end is used once");
                if number == offloading {
                    with_offload(&mut config);
                    end = end.with_offload();
                }
                world.add_host(config, Box::new(end));
            }
            world.serve(1, 80, |_| Plan::bulk(2_000_000));
            world.connect(0, None, server(), Plan::bulk(2_000_000));
            world.finish(HOUR, &format!("SEED={seed} host {offloading} offloads"));
        }
    }
}

/// Counters by their names.
type Counted = Vec<(&'static str, u64)>;

/// Every counter of a host.
fn counters(world: &mut Simulation, host: usize) -> Counted {
    let counters = world.host(host).counters.list();
    counters.iter().map(|counter| (counter.name, counter.value)).collect()
}

/// What both hosts have sent and counted, if each is given packets burst by burst or one by one.
fn whole_story(seed: u64, text: &str, takes_bursts: bool) -> (u64, [Counted; 2]) {
    let mut world = super::pair(seed, line(text), |config| {
        config.tcp.timestamps = !seed.is_multiple_of(3);
    });
    for host in 0..2 {
        world.host(host).takes_bursts = takes_bursts;
    }
    world.serve(1, 80, |rng| Plan::random(rng, 100_000));
    for _ in 0..=seed % 3 {
        let plan = Plan::random(world.random(), 100_000);
        world.connect(0, None, server(), plan);
    }
    world.finish(24 * HOUR, &format!("SEED={seed} {text}"));
    (world.fingerprint(), [0, 1].map(|host| counters(&mut world, host)))
}

#[test]
fn a_stack_that_is_given_bursts_sends_and_counts_what_it_would_packet_by_packet() {
    for text in LINES.iter().copied().chain(["delay=1ms"]) {
        for seed in seeds(3) {
            let (whole, single) = (whole_story(seed, text, true), whole_story(seed, text, false));
            assert_eq!(whole, single, "SEED={seed} {text}");
        }
    }
}
