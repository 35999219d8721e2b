//! Random worlds: lines, settings, programs and mishaps that a seed decides.
//!
//! `SEEDS=n` runs so many (500 unless told), from `FIRST_SEED` on (1); `SEED=n` runs that one, and
//! with `TRACE=1` shows its packets.
//! `scripts/soak seeds` runs 20,000. Even seeds are calm worlds, in which every connection must
//! do all that its programs want. Odd ones are rough: programs abort, listeners close, the clock
//! leaps over hours, memory is short; there a connection may fail, but none may hang, nobody may
//! read what was not written, and nothing may be left.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wharf::sim::{
    CLIENT, Ending, Middlebox, Passing, Path, Plan, Random, Rest, Router, SERVER, Simulation,
};
use wharf::{Duration, Impairment, Instant, MtuProbing, StackConfig, SynCookies, describe};

use super::server;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Time in which every world must come to rest once nobody disturbs it any more.
const PATIENCE: Duration = Duration::from_hours(24 * 20);

/// More packets than any world has a use for: two hosts that answer each other for ever.
const PACKETS_MAX: u64 = 3_000_000;

/// Seeds that are run unless told otherwise.
pub(super) const SEEDS: u64 = 500;

/// Failures that are shown before the rest is skipped.
const FAILURES_MAX: usize = 5;

/// Lines of a failure that are shown.
const LINES_MAX: usize = 12;

#[test]
fn in_a_calm_world_every_connection_does_all_that_its_programs_want() {
    run_seeds("worlds", 0, calm);
}

#[test]
fn in_a_rough_world_nothing_hangs_nothing_is_garbled_and_nothing_is_left() {
    run_seeds("worlds", 1, rough);
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

/// With `TRACE` set, shows each packet as tcpdump would: `<` arrives at that host, `>` leaves it.
pub(super) fn trace(world: &mut Simulation) {
    if std::env::var_os("TRACE").is_none() {
        return;
    }
    for host in [0, 1] {
        world.host(host).watcher = Some(Box::new(move |now, passing, octets| {
            let sign = if passing == Passing::Arrives { '<' } else { '>' };
            let seconds = (now - Instant::ZERO).as_secs_f64();
            eprintln!("{seconds:.6} host {host} {sign} {}", describe(octets));
        }));
    }
}

/// The wanted seeds: the first, and how many.
pub(super) fn wanted() -> (u64, u64) {
    if std::env::var_os("SEED").is_some() {
        (variable("SEED", 1), 1)
    } else {
        (variable("FIRST_SEED", 1), variable("SEEDS", SEEDS))
    }
}

/// Runs the wanted seeds that leave `remainder` when halved; `what` names the tests.
pub(super) fn run_seeds(what: &str, remainder: u64, mut world: impl FnMut(u64)) {
    let (first, count) = wanted();
    let mut failures = String::new();
    let mut failed = 0;
    for seed in (first..first + count).filter(|seed| seed % 2 == remainder) {
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| world(seed))) else { continue };
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
        let text = text.lines().take(LINES_MAX).collect::<Vec<_>>().join("\n");
        let again = "cargo test --profile sim --test simulation";
        writeln!(failures, "repeat with: SEED={seed} {again} {what}\n  {text}")
            .expect("a String takes all");
        failed += 1;
        if failed == FAILURES_MAX {
            break;
        }
    }
    assert!(failed == 0, "{failed} seeds failed:\n{failures}");
}

/// A world in which what was begun can be ended.
fn calm(seed: u64) {
    let random = &mut Random::new(seed);
    let line = any_line(random, seed);
    let settings = |random: &mut Random, network: &str| {
        let mut config = any_config(random, network);
        // On a bad line the timeouts grow long: nobody gives up before them.
        config.tcp.give_up_after = 10 * DAY;
        config.tcp.connect_timeout = 10 * DAY;
        config.tcp.orphan_timeout = 10 * DAY;
        config.tcp.fin_wait_2_timeout = 10 * DAY;
        config.tcp.syn_ack_retries = 14;
        config
    };
    let mut configs = [settings(random, CLIENT), settings(random, SERVER)];
    let rare = &mut Random::new(!seed);
    for config in &mut configs {
        set_rare(config, rare);
    }
    let [client, other] = configs;
    let mut world = Simulation::pair_of(seed, line, client, other);
    drive_rarely(&mut world, rare);
    trace(&mut world);
    narrow(&mut world, random);
    let most = any_size(random);
    world.serve(1, 80, move |rng| patient_plan(rng, most));
    for _ in 0..=random.below(6) {
        let crowd = if random.chance(0.2) { 12 } else { 2 };
        for _ in 0..=random.below(crowd) {
            let plan = patient_plan(random, most);
            world.connect(0, None, server(), plan);
        }
        pause(&mut world, random);
        if random.chance(0.3) {
            leap(&mut world, random, 600);
        }
    }
    come_to_rest(&mut world);
    world.finish(HOUR, "a calm world");
}

/// A world in which anything may happen to a connection.
fn rough(seed: u64) {
    let random = &mut Random::new(seed);
    let line = any_line(random, seed);
    let mut configs = [CLIENT, SERVER].map(|network| any_config(random, network));
    for config in &mut configs {
        set_limits(config, random);
    }
    let rare = &mut Random::new(!seed);
    for config in &mut configs {
        set_rare(config, rare);
    }
    let [client, other] = configs;
    let sends_cookies = other.tcp.syn_cookies != SynCookies::Off;
    let mut world = Simulation::pair_of(seed, line, client, other);
    drive_rarely(&mut world, rare);
    trace(&mut world);
    world.tolerate_failures();
    if sends_cookies {
        world.tolerate_ghosts();
    }
    narrow(&mut world, random);
    let most = any_size(random);
    let serve = move |world: &mut Simulation| {
        world.serve(1, 80, move |rng| {
            // One of two must end it: the server does.
            let mut plan = any_plan(rng, most);
            if plan.ending == Ending::CloseAfterPeer {
                plan.ending = Ending::HalfClose;
            }
            plan
        });
    };
    serve(&mut world);
    for _ in 0..=random.below(10) {
        let crowd = if random.chance(0.2) { 20 } else { 4 };
        for _ in 0..random.below(crowd) {
            let plan = any_plan(random, most);
            world.connect(0, None, server(), plan);
        }
        pause(&mut world, random);
        if random.chance(0.3) {
            leap(&mut world, random, 20_000);
        }
        if random.chance(0.2) {
            world.unserve(1, 80);
            pause(&mut world, random);
            serve(&mut world);
        }
        if random.chance(0.05) {
            world.give_up();
        }
    }
    world.run_for(6 * HOUR);
    // Of two ends one may have given up while the other has nothing to send: it would wait on.
    world.give_up();
    // Where sockets are short some connections were never accepted.
    world.unserve(1, 80);
    come_to_rest(&mut world);
    world.finish(HOUR, "a rough world");
}

/// Limits that are soon reached, and what happens at them.
fn set_limits(config: &mut StackConfig, random: &mut Random) {
    if random.chance(0.3) {
        config.limits.memory_max = 1 << (10 + random.below(10));
    }
    if random.chance(0.2) {
        config.limits.connections_max = 2 + random.index(10);
        config.limits.sockets_max = 3 + random.index(10);
    }
    if random.chance(0.2) {
        config.tcp.backlog_max = 1 + random.word() % 4;
        config.tcp.abort_on_overflow = random.chance(0.5);
    }
    let cookies = [SynCookies::UnderPressure, SynCookies::Always, SynCookies::Off];
    config.tcp.syn_cookies = cookies[random.index(3)];
}

/// Runs until nothing is left to happen, but not for ever.
pub(super) fn come_to_rest(world: &mut Simulation) {
    let end = world.now() + PATIENCE;
    while world.now() < end {
        if world.run_for(HOUR) == Rest::Quiet || !world.faults().is_empty() && world.is_done() {
            return;
        }
        assert!(world.packets() < PACKETS_MAX, "{} packets: do they end?", world.packets());
    }
}

/// Time in which things happen in order.
pub(super) fn pause(world: &mut Simulation, random: &mut Random) {
    let scale = 1 << random.below(14);
    world.run_for(Duration::from_millis(random.below(scale) + 1));
}

/// The clock leaps: every timer in between is late, and what is under way arrives late.
pub(super) fn leap(world: &mut Simulation, random: &mut Random, seconds_max: u64) {
    let seconds = random.below(seconds_max) >> random.below(8);
    world.advance_to(world.now() + SECOND * u32::try_from(seconds).unwrap_or(1));
}

/// Now and then the way from a host carries smaller packets than its own link, from some time on
/// smaller ones still, or larger ones again; a router says so, or it is a black hole.
pub(super) fn narrow(world: &mut Simulation, random: &mut Random) {
    for host in [0, 1] {
        if random.chance(0.4) {
            let router = match random.below(10) {
                0..=4 => Router::Tells,
                5..=6 => Router::TellsNoSize,
                _ => Router::Silent,
            };
            let any_mtu = |random: &mut Random| 576 + random.index(1000);
            let mut path = Path::new(router, any_mtu(random));
            for seconds in [1, 10, 100] {
                let at = Instant::ZERO + Duration::from_millis(1000 * seconds + random.below(9000));
                path = path.then(at, any_mtu(random));
            }
            world.set_path(host, Some(path));
        }
    }
}

/// Most octets of a stream: mostly few.
pub(super) fn any_size(random: &mut Random) -> u64 {
    [100, 2_000, 2_000, 20_000, 20_000, 100_000][random.index(6)]
}

/// A program that ends by itself, in not too many steps.
pub(super) fn patient_plan(random: &mut Random, most: u64) -> Plan {
    let mut plan = Plan::random(random, most);
    if random.chance(0.5) {
        plan.options = random.word().to_le_bytes()[0];
    }
    let step = u64::try_from(plan.write_max.min(plan.read_max)).expect("a step has few octets");
    plan.send = plan.send.min(2_000 * step);
    plan
}

pub(super) fn any_plan(random: &mut Random, most: u64) -> Plan {
    let mut plan = patient_plan(random, most);
    plan.ending = match random.below(6) {
        0 => Ending::Abort(random.below(most)),
        1 => Ending::CloseAtOnce,
        2 => Ending::CloseAfterPeer,
        _ => Ending::HalfClose,
    };
    plan
}

/// A line: each of its faults is there or not, and up to 30 % of all packets are lost.
pub(super) fn any_line(random: &mut Random, seed: u64) -> Impairment {
    let mut items = vec![format!("seed={}", seed + 1)];
    let mut add = |random: &mut Random, chance: f64, item: &str, max: u64, unit: &str| {
        if random.chance(chance) {
            items.push(format!("{item}={}{unit}", random.below(max) + 1));
        }
    };
    let loss = [2, 10, 30][random.index(3)];
    add(random, 0.6, "loss", loss, "%");
    add(random, 0.8, "delay", 100, "ms");
    add(random, 0.4, "jitter", 50, "ms");
    add(random, 0.4, "reorder", 30, "%");
    add(random, 0.4, "duplicate", 20, "%");
    add(random, 0.4, "corrupt", 5, "%");
    add(random, 0.3, "rate", 20, "mbit");
    if random.chance(0.2) {
        items.push("burst=1%/40%".into());
    }
    let has = |name: &str| items.iter().any(|item| item.starts_with(name));
    if has("duplicate") && !has("delay") {
        // Else a whole connection may fit into one step of the clock of initial sequence numbers,
        // and the copies of its segments be another one.
        items.push("delay=1ms".into());
    }
    let text = items.join(",");
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Settings of a host: each is as usual or something else.
pub(super) fn any_config(random: &mut Random, network: &str) -> StackConfig {
    let mut config = StackConfig::new(network.parse().expect("a literal network"));
    let buffer = |random: &mut Random| 2048 << random.below(8);
    if random.chance(0.5) {
        config.tcp.receive_buffer = buffer(random);
    }
    if random.chance(0.5) {
        config.tcp.send_buffer = buffer(random);
    }
    if random.chance(0.3) {
        config.interface.mtu = [88, 296, 576, 1280, 9000][random.index(5)];
    }
    config.tcp.nagle = random.chance(0.7);
    config.tcp.window_scale = random.chance(0.7);
    config.tcp.timestamps = random.chance(0.7);
    config.tcp.sack = random.chance(0.7);
    if random.chance(0.2) {
        config.tcp.initial_window = 1 + random.word() % 4;
    }
    config.tcp.sack = random.chance(0.8);
    config.tcp.timestamps = random.chance(0.8);
    config
}

/// What few hosts have: a device that takes work on, and settings that are seldom touched. Drawn
/// by itself: nothing else of a seed's world depends on it.
pub(super) fn set_rare(config: &mut StackConfig, rare: &mut Random) {
    if rare.chance(0.4) {
        config.interface.checksum_offload = true;
        config.interface.super_segment = [65_535, 18 << 10, 4000][rare.index(3)];
    }
    if rare.chance(0.2) {
        // And never off: a black hole would stop everything.
        config.tcp.mtu_probing = MtuProbing::Always;
    }
    if rare.chance(0.2) {
        config.tcp.quick_acks = rare.word().to_le_bytes()[0] % 20;
    }
    if rare.chance(0.2) {
        config.tcp.ack_delay = Duration::from_millis(1 + rare.below(499));
    }
    if rare.chance(0.2) {
        config.tcp.min_rto = Duration::from_millis(1 + rare.below(1000));
    }
    if rare.chance(0.2) {
        config.tcp.time_wait = Duration::from_secs(1 + rare.below(240));
    }
    config.tcp.header_prediction = rare.chance(0.9);
}

/// Some hosts are given what arrives packet by packet, and a box in the way of some treats what
/// they send badly for a while.
pub(super) fn drive_rarely(world: &mut Simulation, rare: &mut Random) {
    for host in [0, 1] {
        world.host(host).takes_bursts = rare.chance(0.8);
        if rare.chance(0.2) {
            let until = Instant::ZERO + Duration::from_secs(rare.below(60));
            world.set_middlebox(host, Some(Middlebox::new(rare.fork(), until)));
        }
    }
}
