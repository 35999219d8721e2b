//! Random worlds in which routers complain: ICMP errors of every kind, about what is in flight,
//! what was long ago, and what nobody has sent.
//!
//! Seeds as in `worlds`. In even ones no error may cost a connection anything but time: a hard one
//! is a soft one once the handshake is through (RFC 1122 §4.2.3.9, RFC 5461 §4), and what is forged
//! has no effect at all (RFC 5927). In odd ones an open may fail too. No path MTU falls below the
//! floor (`Stack::check` asks that of each connection), and in the end the path is as wide as ever.

use wharf::sim::{Alarms, CLIENT, Plan, Quotes, Random, Rest, SERVER, Simulation};
use wharf::{DropReason, Duration, Instant};

use super::incarnations::{Met, mild_line, wait};
use super::server;
use super::worlds::{
    any_config, any_line, any_plan, any_size, come_to_rest, narrow, patient_plan, pause, run_seeds,
    set_rare, trace,
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What is not said again of a path is forgotten after ten minutes (RFC 1191 §6.3).
const FORGOTTEN: Duration = Duration::from_mins(11);

/// Packets of a world at most: nobody answers an error, and an error that is repeated has nothing
/// sent again. Most are of ends that wait for each other for a day, and ask each second whether the
/// other is still there.
const PACKETS_MAX: u64 = 2_000_000;

#[test]
fn alarms_in_a_calm_world_cost_nothing_but_time() {
    let mut met = Met::default();
    run_seeds("alarms", 0, |seed| calm(seed, &mut met));
    met.expect(&["alarms", "forged", "unused", "paths"]);
}

#[test]
fn alarms_in_a_rough_world_leave_nothing_and_no_path_narrow() {
    let mut met = Met::default();
    run_seeds("alarms", 1, |seed| rough(seed, &mut met));
    met.expect(&["alarms", "forged", "unused", "paths"]);
}

fn calm(seed: u64, met: &mut Met) {
    let random = &mut Random::new(seed);
    let line = mild_line(random, seed);
    let mut configs = [CLIENT, SERVER].map(|network| any_config(random, network));
    for config in &mut configs {
        config.tcp.give_up_after = 10 * DAY;
        config.tcp.connect_timeout = 10 * DAY;
        config.tcp.orphan_timeout = 10 * DAY;
        config.tcp.fin_wait_2_timeout = 10 * DAY;
        config.tcp.syn_ack_retries = 14;
    }
    let [client, other] = configs;
    let mut world = Simulation::pair_of(seed, line, client, other);
    trace(&mut world);
    let are_forged = random.chance(0.3);
    let quotes = if are_forged { Quotes::Forged } else { Quotes::SparingOpens };
    alarm(&mut world, random, quotes);
    if !are_forged {
        narrow(&mut world, random);
    }
    let most = any_size(random);
    world.serve(1, 80, move |rng| patient_plan(rng, most));
    for _ in 0..=random.below(8) {
        let plan = patient_plan(random, most);
        world.connect(0, None, server(), plan);
        pause(&mut world, random);
    }
    end(&mut world, random, met);
    world.finish(HOUR, "a calm world of alarms");
}

fn rough(seed: u64, met: &mut Met) {
    let random = &mut Random::new(seed);
    let line = any_line(random, seed);
    let mut configs = [CLIENT, SERVER].map(|network| any_config(random, network));
    for config in &mut configs {
        if random.chance(0.2) {
            config.limits.memory_max = 1 << (10 + random.below(10));
        }
        set_rare(config, random);
    }
    let [client, other] = configs;
    let mut world = Simulation::pair_of(seed, line, client, other);
    trace(&mut world);
    world.tolerate_failures();
    alarm(&mut world, random, Quotes::Any);
    narrow(&mut world, random);
    let most = any_size(random);
    world.serve(1, 80, move |rng| any_plan(rng, most));
    for _ in 0..=random.below(12) {
        let plan = any_plan(random, most);
        world.connect(0, None, server(), plan);
        pause(&mut world, random);
        if random.chance(0.05) {
            world.give_up();
        }
    }
    end(&mut world, random, met);
    world.finish(HOUR, "a rough world of alarms");
}

fn alarm(world: &mut Simulation, random: &mut Random, quotes: Quotes) {
    for host in [0, 1] {
        let until = Instant::ZERO + Duration::from_secs(1 << random.below(12));
        let alarms = Alarms::new(random.fork(), quotes, until);
        world.host(host).alarms = random.chance(0.8).then_some(alarms);
    }
}

/// The alarms end, and so does what came of them.
fn end(world: &mut Simulation, random: &mut Random, met: &mut Met) {
    if world.run_for(HOUR) != Rest::Quiet {
        world.run_for(24 * HOUR);
    }
    // Where both wait for the other's end there was none; and an idle connection asks nothing.
    world.give_up();
    for number in [0, 1] {
        let host = world.host(number);
        met.note(
            "alarms",
            host.alarms.as_mut().map_or(0, |alarms| {
                alarms.end();
                alarms.made
            }),
        );
        met.note("forged", host.counters.dropped(DropReason::IcmpQuote));
        met.note("unused", host.counters.dropped(DropReason::IcmpUnused));
        world.set_path(number, None);
    }
    come_to_rest(world);
    let packets = world.packets();
    assert!(packets < PACKETS_MAX, "{packets} packets: do they end?");
    // What was said of the path is forgotten, if late: a connection finds it as wide as ever.
    world.advance_to(world.now() + FORGOTTEN);
    let plan = Plan::bulk(1 + random.below(20_000));
    world.connect(0, None, server(), plan);
    let end = world.now() + HOUR;
    for round in 0.. {
        if world.is_done() || world.now() > end {
            break;
        }
        wait(world, Duration::from_millis(20 + 5 * round));
        for number in [0, 1] {
            let stack = &world.host(number).stack;
            for flow in stack.connections() {
                let Some(info) = flow.info else { continue };
                assert_eq!(info.path_mtu, stack.mtu(), "host {number} has not forgotten");
                met.note("paths", 1);
            }
        }
    }
    world.give_up();
    come_to_rest(world);
}
