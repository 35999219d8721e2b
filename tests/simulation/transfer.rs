//! Whatever the line does, what was written is read, in order, and both ends finish.

use wharf::sim::{Plan, Random, Simulation};
use wharf::{Duration, StackConfig};

use super::{line, pair, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

/// Lines from good to terrible.
pub(crate) const LINES: &[&str] = &[
    "delay=10ms",
    "loss=1%,delay=10ms",
    "loss=3%,delay=20ms,jitter=5ms",
    "loss=10%,delay=5ms",
    "burst=1%/50%,delay=10ms",
    "reorder=10%,delay=10ms",
    "reorder=30%,delay=10ms,jitter=10ms",
    "duplicate=20%,delay=10ms",
    "corrupt=2%,delay=10ms",
    "loss=5%,delay=20ms,jitter=5ms,reorder=5%,duplicate=5%,corrupt=1%",
    "rate=10mbit,queue=20,delay=10ms",
    "rate=1mbit,queue=10,delay=50ms,loss=1%",
];

#[test]
fn a_bulk_transfer_survives_any_line_in_both_directions_at_once() {
    for text in LINES {
        for seed in seeds(3) {
            let mut world = Simulation::pair(seed, line(text));
            world.serve(1, 80, |_| Plan::bulk(300_000));
            world.connect(0, None, server(), Plan::bulk(500_000));
            world.finish(2 * HOUR, &format!("SEED={seed} {text}"));
        }
    }
}

/// No timeout is shorter than a day.
fn nobody_gives_up(config: &mut StackConfig) {
    config.tcp.give_up_after = 24 * HOUR;
    config.tcp.orphan_timeout = 24 * HOUR;
    config.tcp.fin_wait_2_timeout = 24 * HOUR;
}

/// Without timestamps nothing is measured while everything is sent twice, so that the timeout
/// stays at its longest (Karn): it takes hours, and a user who waits so long.
#[test]
fn a_line_that_loses_a_third_is_survived_by_a_patient_user() {
    for seed in seeds(10) {
        let mut world = pair(seed, line("loss=30%,delay=20ms"), |config| {
            nobody_gives_up(config);
            config.tcp.timestamps = false;
        });
        world.serve(1, 80, |_| Plan::bulk(30_000));
        world.connect(0, None, server(), Plan::bulk(30_000));
        world.finish(48 * HOUR, &format!("SEED={seed}"));
    }
}

/// The echo measures what was sent again, so that a timeout that has doubled comes down at the
/// first acknowledgment, and nobody needs patience.
#[test]
fn with_timestamps_a_line_that_loses_a_third_is_survived_in_minutes() {
    for seed in seeds(10) {
        let mut world = pair(seed, line("loss=30%,delay=20ms"), nobody_gives_up);
        world.serve(1, 80, |_| Plan::bulk(30_000));
        world.connect(0, None, server(), Plan::bulk(30_000));
        assert!(world.run_until_done(Duration::from_mins(10)), "SEED={seed}: {:?}", world.faults());
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

/// One of the lines.
fn any_line(seed: u64) -> &'static str {
    LINES[Random::new(seed).index(LINES.len())]
}

#[test]
fn random_programs_survive_random_lines() {
    for seed in seeds(60) {
        let mut world = Simulation::pair(seed, line(any_line(seed)));
        world.serve(1, 80, |rng| Plan::random(rng, 200_000));
        let plan = Plan::random(world.random(), 200_000);
        world.connect(0, None, server(), plan);
        world.finish(24 * HOUR, &format!("SEED={seed}"));
    }
}

/// Every octet a segment of its own, or many octets one.
#[test]
fn writes_of_one_octet_arrive() {
    for (seed, nodelay) in seeds(4).into_iter().flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut world = Simulation::pair(seed, line("loss=3%,delay=5ms,jitter=2ms"));
        let plan = Plan { write_max: 1, nodelay, ..Plan::bulk(5_000) };
        world.serve(1, 80, move |_| plan);
        world.connect(0, None, server(), plan);
        world.finish(4 * HOUR, &format!("SEED={seed} nodelay={nodelay}"));
    }
}

#[test]
fn tiny_buffers_carry_a_transfer() {
    for seed in seeds(6) {
        let mut world = pair(seed, line("loss=5%,delay=5ms"), |config| {
            config.tcp.receive_buffer = 2048;
            config.tcp.send_buffer = 2048;
        });
        world.serve(1, 80, |_| Plan::bulk(60_000));
        world.connect(0, None, server(), Plan::bulk(60_000));
        world.finish(4 * HOUR, &format!("SEED={seed}"));
    }
}

/// The reader takes one octet at a time, with pauses: windows open by crumbs.
#[test]
fn a_reader_of_single_octets_gets_all_of_them() {
    for seed in seeds(4) {
        let mut world = pair(seed, line("loss=3%,delay=5ms"), |config| {
            config.tcp.receive_buffer = 2048;
        });
        let reader = Plan { read_max: 1, pace: Duration::from_micros(300), ..Plan::bulk(0) };
        world.serve(1, 80, move |_| reader);
        world.connect(0, None, server(), Plan::bulk(20_000));
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

/// For ten minutes nobody reads: the window is shut, and probes must find out when it opens even
/// though updates are lost.
#[test]
fn a_window_that_stays_shut_for_long_opens_again() {
    for seed in seeds(6) {
        let mut world = pair(seed, line("loss=20%,delay=20ms"), nobody_gives_up);
        let deaf = Plan { deaf_for: Duration::from_mins(10), ..Plan::bulk(1000) };
        world.serve(1, 80, move |_| deaf);
        world.connect(0, None, server(), Plan::bulk(600_000));
        world.finish(4 * HOUR, &format!("SEED={seed}"));
    }
}

/// Both windows are shut and both ends probe: the ACK of a probe counts although the probe itself
/// is refused, or neither would ever learn of the other's window (MUST-66).
#[test]
fn two_ends_with_shut_windows_that_both_probe_go_on() {
    for seed in seeds(6) {
        let mut world = Simulation::pair(seed, line("loss=10%,delay=20ms"));
        let deaf = Plan { deaf_for: Duration::from_mins(2), ..Plan::bulk(600_000) };
        world.serve(1, 80, move |_| deaf);
        world.connect(0, None, server(), deaf);
        world.finish(4 * HOUR, &format!("SEED={seed}"));
    }
}

#[test]
fn buffers_of_4_mib_fill_a_long_fat_line() {
    for seed in seeds(2) {
        let mut world = pair(seed, line("delay=100ms,rate=200mbit,queue=4000"), |config| {
            config.tcp.receive_buffer = 4 << 20;
            config.tcp.send_buffer = 4 << 20;
        });
        world.serve(1, 80, |_| Plan::bulk(0));
        world.connect(0, None, server(), Plan::bulk(50_000_000));
        assert!(world.run_until_done(HOUR), "SEED={seed}: {:?}", world.faults());
        // Slow start takes about two seconds on 200 ms; the line alone would take two.
        let took = world.now().saturating_since(wharf::Instant::ZERO);
        assert!(took < Duration::from_secs(8), "SEED={seed}: {took:?}");
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}

#[test]
fn without_loss_nothing_is_sent_twice() {
    for seed in seeds(4) {
        let mut world = Simulation::pair(seed, line("delay=20ms"));
        world.serve(1, 80, |_| Plan::bulk(200_000));
        world.connect(0, None, server(), Plan::bulk(2_000_000));
        world.finish(HOUR, &format!("SEED={seed}"));
        for host in [0, 1] {
            let counters = world.host(host).counters.list();
            let sent_twice = counters.iter().find(|c| c.name == "tcp_retransmissions_total");
            assert_eq!(sent_twice.map(|c| c.value), Some(0), "SEED={seed}, host {host}");
        }
    }
}

#[test]
fn every_mtu_from_the_least_carries_a_transfer() {
    for mtu in [68, 100, 296, 576, 1280, 9000, 65_535] {
        let mut world = pair(7, line("loss=2%,delay=5ms"), |config| config.interface.mtu = mtu);
        world.serve(1, 80, |_| Plan::bulk(20_000));
        world.connect(0, None, server(), Plan::bulk(20_000));
        world.finish(4 * HOUR, &format!("MTU {mtu}"));
    }
}

#[test]
fn settings_of_the_two_ends_need_not_agree() {
    for seed in seeds(6) {
        let mut configs = super::configs(|_| {});
        configs[0].tcp.window_scale = false;
        configs[0].tcp.sack = seed % 4 < 2;
        configs[0].interface.mtu = 576;
        configs[1].tcp.nagle = false;
        configs[1].tcp.timestamps = seed % 3 > 0;
        configs[1].tcp.receive_buffer = 4 << 20;
        if seed % 2 == 0 {
            configs.swap(0, 1);
            (configs[0].interface.addresses, configs[1].interface.addresses) =
                (configs[1].interface.addresses.clone(), configs[0].interface.addresses.clone());
        }
        let [client, server_config] = configs;
        let mut world = Simulation::pair_of(seed, line("loss=3%,delay=5ms"), client, server_config);
        world.serve(1, 80, |_| Plan::bulk(200_000));
        world.connect(0, None, server(), Plan::bulk(200_000));
        world.finish(HOUR, &format!("SEED={seed}"));
    }
}
