//! Random worlds in which ports are used again and again: one connection after another between the
//! same ends, in every order of closing, while segments of the earlier ones still arrive.
//!
//! Seeds as in `worlds`: in even ones every connection must do all that its programs want, and a
//! record in TIME-WAIT keeps nobody waiting (RFC 6191); in odd ones backlogs overflow, SYN cookies
//! fly, both ends open at once, and a connection may fail. Nobody may ever hear another connection
//! than his own, and in the end every port is free.

use std::collections::BTreeMap;

use wharf::sim::craft::{Content, Packet, TcpFlags};
use wharf::sim::{
    Alarms, CLIENT, Ending, Plan, Quotes, Random, Report, SERVER, Simulation, Strays,
};
use wharf::{
    DropReason, Duration, Impairment, Instant, SocketError, StackConfig, SynCookies, TcpState,
};

use super::offload::counted;
use super::worlds::{
    SEEDS, any_config, any_line, any_plan, come_to_rest, leap, patient_plan, pause, run_seeds,
    set_rare, trace, wanted,
};
use super::{line, server};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// TIME-WAIT in calm worlds, and the time in which a connection must open: whoever has to wait for
/// the one exceeds the other.
const TIME_WAIT: Duration = Duration::from_mins(4);
const OPEN_MAX: Duration = Duration::from_secs(100);

/// Time after which a port is free at the latest once nobody holds it: orphans, TIME-WAIT, and
/// whatever retransmissions make of them.
const FREE_MAX: Duration = Duration::from_mins(30);

/// Delay of a line that has the least: else a whole connection may fit into one step of the clock
/// of initial sequence numbers, and the strays of its segments be another one.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// Attempts to get a port, far more than there is time for.
const ATTEMPTS_MAX: u32 = 10_000_000;

/// From where on connections are made: two ports, and a few more from which the stack chooses.
const PORTS: [u16; 2] = [7000, 7001];
const EPHEMERAL: u16 = 50_000;

/// What a call fails with where sockets, connections or memory are short.
const LIMITS: &[SocketError] = &[SocketError::NoBuffers];

/// What has been met, and how often: a test of what never happens tests nothing.
#[derive(Debug, Default)]
pub(super) struct Met(BTreeMap<&'static str, u64>);

impl Met {
    pub(super) fn note(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// Each of them has been met, if as many seeds as usual have run.
    #[track_caller]
    pub(super) fn expect(&self, all: &[&str]) {
        println!("met: {:?}", self.0);
        let is_usual = wanted().1 >= SEEDS;
        let missed = || all.iter().filter(|what| self.0.get(**what).is_none_or(|&n| n == 0));
        assert!(
            !is_usual || missed().count() == 0,
            "never met: {:?}",
            missed().collect::<Vec<_>>()
        );
    }
}

#[test]
fn incarnations_in_a_calm_world_follow_each_other_and_never_hear_of_each_other() {
    let mut met = Met::default();
    run_seeds("incarnations", 0, |seed| {
        let world = if seed % 8 == 0 { hasty } else { calm };
        world(seed, &mut met);
    });
    let ports = ["into TIME-WAIT", "into what lives", "port free only later"];
    let worlds = ["strays", "with timestamps", "without", "hasty"];
    met.expect(&[&ports[..], &worlds].concat());
}

#[test]
fn incarnations_in_a_rough_world_never_hear_of_each_other_and_leave_nothing() {
    let mut met = Met::default();
    run_seeds("incarnations", 1, |seed| rough(seed, &mut met));
    met.expect(&[
        "strays",
        "alarms",
        "into TIME-WAIT",
        "into what lives",
        "cookies taken",
        "overflows",
        "opened at once",
        "port free only later",
    ]);
}

fn calm(seed: u64, met: &mut Met) {
    let random = &mut Random::new(seed);
    let configs = patient_configs(random);
    let is_timed = configs.iter().all(|config| config.tcp.timestamps);
    met.note(if is_timed { "with timestamps" } else { "without" }, 1);
    let line = mild_line(random, seed);
    let mut world = make(seed, line, configs, random);
    disturb(&mut world, random, is_timed, Quotes::SparingOpens);
    let most = [0, 100, 2000, 2000, 20_000][random.index(5)];
    let gap = gap_after(most, is_timed);
    let aborts = [0.0, 0.3][random.index(2)];
    // One of two may wait for the other's end: then that one is in TIME-WAIT.
    let waits = [[0.0, 0.0], [0.7, 0.0], [0.0, 0.7]][random.index(3)];
    let plan = move |random: &mut Random, host: usize| {
        let mut plan = patient_plan(random, most);
        plan.ending = if random.chance(waits[host]) {
            Ending::CloseAfterPeer
        } else if random.chance(aborts) {
            Ending::Abort(random.below(most + 1))
        } else {
            Ending::HalfClose
        };
        plan
    };
    world.serve(1, 80, move |random| plan(random, 1));
    for _ in 0..=random.below(10) {
        let (plan, port) = (plan(random, 0), any_port(random));
        open(&mut world, random, port, plan, gap, &[], met);
        pause(&mut world, random);
    }
    end(&mut world, random, 2 * HOUR, met);
    check_opens(&world);
    world.finish(HOUR, "a calm world of incarnations");
}

/// The next connection begins while what the last one has sent is still under way, and in the
/// midst of its sequence numbers: nothing but timestamps tells them apart (PAWS).
fn hasty(seed: u64, met: &mut Met) {
    let random = &mut Random::new(seed);
    let mut configs = patient_configs(random);
    for config in &mut configs {
        config.tcp.timestamps = true;
    }
    met.note("hasty", 1);
    let line = line(&format!("delay={}ms,seed={}", 1 + random.below(3), seed + 1));
    let mut world = make(seed, line, configs, random);
    let strays = Strays::new(random.fork(), Instant::ZERO + DAY, Duration::from_millis(40));
    world.host(0).strays = Some(strays.copying(0.5));
    let most = 60_000;
    world.serve(1, 80, |_| Plan::bulk(100));
    for _ in 0..=random.below(30) {
        let mut plan = Plan::bulk(most);
        if random.chance(0.6) {
            plan.ending = Ending::Abort(random.below(most + 1));
        }
        open(&mut world, random, Some(PORTS[0]), plan, gap_after(most, true), &[], met);
        wait(&mut world, Duration::from_millis(random.below(30)));
    }
    end(&mut world, random, 2 * HOUR, met);
    check_opens(&world);
    world.finish(HOUR, "a hasty world of incarnations");
}

/// Settings of hosts that have patience, with a long TIME-WAIT.
fn patient_configs(random: &mut Random) -> [StackConfig; 2] {
    let mut configs = [CLIENT, SERVER].map(|network| any_config(random, network));
    for config in &mut configs {
        config.tcp.time_wait = TIME_WAIT;
        config.tcp.give_up_after = 10 * DAY;
        config.tcp.connect_timeout = DAY;
        config.tcp.orphan_timeout = 10 * DAY;
        config.tcp.fin_wait_2_timeout = 10 * DAY;
        config.tcp.syn_cookies = SynCookies::Off;
    }
    configs
}

/// Nobody had to wait for the end of TIME-WAIT to be connected.
fn check_opens(world: &Simulation) {
    let slow = |report: &Report| {
        let took = report.opened.map(|opened| opened - report.began);
        report.is_opener && took.is_none_or(|took| took > OPEN_MAX)
    };
    if let Some(report) = world.reports().iter().find(|report| slow(report)) {
        let (number, local) = (report.number, report.local);
        let (began, opened) = (report.began, report.opened);
        panic!("number {number} from {local}: begun at {began:?}, opened at {opened:?}");
    }
}

fn rough(seed: u64, met: &mut Met) {
    let random = &mut Random::new(seed);
    let mut line =
        if random.chance(0.5) { mild_line(random, seed) } else { any_line(random, seed) };
    line.delay = line.delay.max(DELAY_MIN);
    let mut configs = [CLIENT, SERVER].map(|network| any_config(random, network));
    let cookies = [SynCookies::UnderPressure, SynCookies::Always, SynCookies::Off];
    let cookies = cookies[random.index(3)];
    for config in &mut configs {
        if random.chance(0.2) {
            config.limits.memory_max = 1 << (10 + random.below(10));
        }
        if random.chance(0.2) {
            config.limits.connections_max = 2 + random.index(10);
        }
        if random.chance(0.4) {
            config.tcp.backlog_max = 1 + random.word() % 4;
            config.tcp.abort_on_overflow = random.chance(0.5);
        }
        config.tcp.time_wait = SECOND * (1 + random.word() % 240);
        config.tcp.syn_cookies = cookies;
        set_rare(config, random);
    }
    let is_timed = configs.iter().all(|config| config.tcp.timestamps);
    let mut world = make(seed, line, configs, random);
    world.tolerate_failures();
    if cookies != SynCookies::Off {
        world.tolerate_ghosts();
    }
    disturb(&mut world, random, is_timed, Quotes::Any);
    let most = [0, 100, 2000, 2000, 20_000][random.index(5)];
    let gap = gap_after(most, is_timed);
    let serve = move |world: &mut Simulation| {
        world.serve(1, 80, move |random| any_plan(random, most + 1));
    };
    serve(&mut world);
    for _ in 0..=random.below(12) {
        match random.below(10) {
            0 | 1 => open_at_once(&mut world, random, most),
            2 => flood(&mut world, random),
            3 => {
                world.unserve(1, 80);
                pause(&mut world, random);
                serve(&mut world);
            }
            4 => world.give_up(),
            5 => leap(&mut world, random, 600),
            _ => {}
        }
        for _ in 0..=random.below(3) {
            let plan = any_plan(random, most + 1);
            let port = any_port(random);
            open(&mut world, random, port, plan, gap, LIMITS, met);
        }
        pause(&mut world, random);
    }
    world.unserve(1, 80);
    end(&mut world, random, 2 * HOUR, met);
    world.finish(HOUR, "a rough world of incarnations");
}

fn make(seed: u64, line: Impairment, configs: [StackConfig; 2], random: &mut Random) -> Simulation {
    let [mut client, other] = configs;
    client.tcp.ephemeral_ports =
        (EPHEMERAL, EPHEMERAL + u16::try_from(random.below(4)).unwrap_or(0));
    let mut world = Simulation::pair_of(seed, line, client, other);
    trace(&mut world);
    for host in [0, 1] {
        world.host(host).takes_bursts = random.chance(0.8);
    }
    world
}

/// Segments come once more when nobody expects them any more, and routers complain. Where segments
/// have no timestamps they are told apart by their numbers, which are used again after hours.
fn disturb(world: &mut Simulation, random: &mut Random, is_timed: bool, quotes: Quotes) {
    let delays = [SECOND, MINUTE, 10 * MINUTE, if is_timed { 12 * HOUR } else { HOUR }];
    let never = Instant::ZERO + 1000 * DAY;
    for host in [0, 1] {
        if random.chance(0.8) {
            let strays = Strays::new(random.fork(), never, delays[random.index(4)]);
            world.host(host).strays = Some(strays);
        }
        if random.chance(0.3) {
            world.host(host).alarms = Some(Alarms::new(random.fork(), quotes, never));
        }
    }
}

/// A line that loses little: opening takes a few attempts at most.
pub(super) fn mild_line(random: &mut Random, seed: u64) -> Impairment {
    let loss = ["", "loss=1%,", "loss=4%,"][random.index(3)];
    let jitter = ["", "jitter=20ms,reorder=20%,", "duplicate=10%,corrupt=1%,"][random.index(3)];
    line(&format!("{loss}{jitter}delay={}ms,seed={}", 1 + random.below(100), seed + 1))
}

/// A port of ours, or one that the stack chooses.
fn any_port(random: &mut Random) -> Option<u16> {
    random.chance(0.8).then(|| PORTS[random.index(PORTS.len())])
}

/// Connects from a port that may have been used just now, as soon as that is possible; `limits` are
/// the errors by which it may be refused for good.
fn open(
    world: &mut Simulation,
    random: &mut Random,
    port: Option<u16>,
    plan: Plan,
    gap: Duration,
    limits: &[SocketError],
    met: &mut Met,
) {
    wait(world, gap);
    let mut deadline = world.now() + 12 * HOUR;
    let mut has_given_up = false;
    for attempt in 0..ATTEMPTS_MAX {
        let port_now = port.unwrap_or(EPHEMERAL);
        let before = state_at_server(world, port_now).filter(|_| port.is_some());
        match world.try_connect(0, port, server(), plan) {
            Ok(()) => {
                met.note("into TIME-WAIT", u64::from(before == Some(TcpState::TimeWait)));
                let lives = before.is_some_and(|state| state != TcpState::TimeWait);
                met.note("into what lives", u64::from(lives));
                met.note("port free only later", u64::from(attempt > 0));
                return;
            }
            Err(SocketError::AddressInUse | SocketError::AddressNotAvailable) => {}
            Err(error) => {
                assert!(limits.contains(&error), "connecting from {port:?}: {error}");
                return;
            }
        }
        if world.now() >= deadline {
            assert!(!has_given_up, "port {port:?} is never free again");
            world.give_up();
            (has_given_up, deadline) = (true, world.now() + FREE_MAX);
        }
        wait(world, Duration::from_millis(1 << random.below(16.min(1 + u64::from(attempt)))));
    }
    panic!("time stands still: {:?}", world.faults());
}

/// Time that is let pass before a port is used again.
///
/// Without timestamps new sequence numbers must be past all that an old connection can have sent,
/// and they advance by one each 4 microseconds (RFC 9293 §3.4.1). With them the clock of the
/// timestamps must have advanced.
fn gap_after(most: u64, is_timed: bool) -> Duration {
    Duration::from_micros(if is_timed { 2000 } else { 4 * most + 2000 })
}

/// Time passes, even if nothing happens in it.
pub(super) fn wait(world: &mut Simulation, time: Duration) {
    let end = world.now() + time;
    world.run_until(end);
    world.advance_to(end);
}

fn state_at_server(world: &mut Simulation, port: u16) -> Option<TcpState> {
    let all = world.host(1).stack.connections();
    all.iter().find(|flow| flow.remote.port() == port).map(|flow| flow.state)
}

/// Both ends connect to each other (MUST-10).
fn open_at_once(world: &mut Simulation, random: &mut Random, most: u64) {
    wait(world, gap_after(most, false));
    let port = PORTS[random.index(PORTS.len())] + 1000;
    for host in [random.index(2), random.index(2)] {
        let other = [SERVER, CLIENT][host].trim_end_matches("/24");
        let remote = format!("{other}:{port}").parse().expect("a literal address");
        let plan = any_plan(random, most + 1);
        let _ = world.try_connect(host, Some(port), remote, plan);
        world.run_for(Duration::from_millis(random.below(3)));
    }
}

/// SYNs from whom nobody knows fill the backlog.
fn flood(world: &mut Simulation, random: &mut Random) {
    for _ in 0..random.below(40) {
        let [a, b, p0, p1] = random.word().to_le_bytes();
        let from = std::net::SocketAddrV4::new(
            [198, 51, a, b].into(),
            u16::from_le_bytes([p0, p1]).max(1),
        );
        let mut packet =
            Packet::tcp(from, "10.7.0.2:80".parse().expect("a literal"), TcpFlags::SYN);
        if let Content::Tcp(segment) = &mut packet.content {
            segment.seq = random.word();
        }
        world.inject(1, packet.to_frame());
    }
}

/// Nobody disturbs any more; what has not ended `after` so long is given up.
fn end(world: &mut Simulation, random: &mut Random, after: Duration, met: &mut Met) {
    for host in [0, 1] {
        let host = world.host(host);
        met.note(
            "strays",
            host.strays.as_mut().map_or(0, |strays| {
                strays.end();
                strays.made
            }),
        );
        met.note(
            "alarms",
            host.alarms.as_mut().map_or(0, |alarms| {
                alarms.end();
                alarms.made
            }),
        );
    }
    world.run_for(after);
    world.give_up();
    come_to_rest(world);
    // Every port can be bound and used again.
    for port in PORTS {
        let plan = Plan { ending: Ending::Abort(0), ..Plan::bulk(random.below(100)) };
        let begun = world.try_connect(0, Some(port), server(), plan);
        assert_eq!(begun, Ok(()), "port {port} in the end");
    }
    world.run_for(MINUTE);
    world.give_up();
    come_to_rest(world);
    let taken = counted(world, 1, "tcp_syn_cookies_taken_total");
    let server = world.host(1);
    met.note("cookies taken", taken);
    let overflows = [DropReason::BacklogFull, DropReason::AcceptQueueFull];
    met.note("overflows", overflows.map(|reason| server.counters.dropped(reason)).iter().sum());
    let reports = world.reports();
    let at_once =
        |report: &&Report| report.is_opener && report.local.port() == report.remote.port();
    let opened = reports.iter().filter(at_once).filter(|report| report.received > 0);
    met.note("opened at once", opened.count() as u64);
}
