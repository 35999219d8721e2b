//! Header prediction changes nothing: neither what travels nor what is counted, nor what is known
//! of a connection.

use wharf::sim::{Plan, Simulation};
use wharf::{ConnectionInfo, Duration};

use super::transfer::LINES;
use super::{line, seeds, server};

/// How often two worlds are compared while they run, and so long apart.
const STEPS: usize = 30;
const STEP: Duration = Duration::from_millis(100);

fn world(seed: u64, text: &str, predicts: bool) -> Simulation {
    let mut world = super::pair(seed, line(text), |config| {
        config.tcp.header_prediction = predicts;
        config.tcp.timestamps = !seed.is_multiple_of(3);
        config.tcp.sack = !seed.is_multiple_of(4);
    });
    for host in 0..2 {
        world.host(host).takes_bursts = seed.is_multiple_of(2);
    }
    world.serve(1, 80, |rng| Plan::random(rng, 100_000));
    for _ in 0..=seed % 3 {
        let plan = Plan::random(world.random(), 100_000);
        world.connect(0, None, server(), plan);
    }
    world
}

/// All that can be seen of a host.
fn seen(world: &mut Simulation, host: usize) -> (Vec<(&'static str, u64)>, String) {
    let host = world.host(host);
    let counters = host.counters.list();
    let counted = counters.iter().map(|counter| (counter.name, counter.value)).collect();
    let connections: Vec<ConnectionInfo> = host.stack.connections();
    (counted, format!("{connections:#?}"))
}

fn assert_same([with, without]: &mut [Simulation; 2], what: &str) {
    assert_eq!(with.fingerprint(), without.fingerprint(), "{what}: packets");
    for host in 0..2 {
        assert_eq!(seen(with, host), seen(without, host), "{what}: host {host}");
    }
}

#[test]
fn with_and_without_prediction_both_ends_send_count_and_know_the_same() {
    for text in LINES.iter().copied().chain(["delay=1ms"]) {
        for seed in seeds(3) {
            let what = format!("SEED={seed} {text}");
            let mut worlds = [true, false].map(|predicts| world(seed, text, predicts));
            for _ in 0..STEPS {
                for world in &mut worlds {
                    world.run_for(STEP);
                }
                assert_same(&mut worlds, &what);
            }
            for world in &mut worlds {
                world.finish(Duration::from_hours(24), &what);
            }
            assert_same(&mut worlds, &what);
        }
    }
}
