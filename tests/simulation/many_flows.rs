//! Many connections at once and one after another.

use wharf::Duration;
use wharf::sim::{Plan, Simulation};

use super::{line, pair, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_thousand_connections_at_once_all_finish() {
    for seed in seeds(1) {
        let mut world = Simulation::pair(seed, line("loss=2%,delay=10ms,jitter=5ms"));
        world.serve(1, 80, |rng| Plan::random(rng, 5_000));
        for _ in 0..1000 {
            let plan = Plan::random(world.random(), 5_000);
            world.connect(0, None, server(), plan);
        }
        world.finish(24 * HOUR, &format!("SEED={seed}"));
        assert_eq!(world.reports().len(), 2000, "SEED={seed}");
    }
}

/// More connections than the backlog holds: those that find it full come through later.
#[test]
fn a_backlog_that_overflows_costs_time_and_no_connection() {
    for seed in seeds(3) {
        let mut world = pair(seed, line("delay=10ms"), |config| config.tcp.backlog_max = 8);
        world.serve(1, 80, |_| Plan::bulk(100));
        for _ in 0..50 {
            world.connect(0, None, server(), Plan::bulk(100));
        }
        world.finish(HOUR, &format!("SEED={seed}"));
        assert_eq!(world.reports().len(), 100, "SEED={seed}");
    }
}

/// Initial sequence numbers spread over the whole space: of so many connections some wrap.
#[test]
fn connections_one_after_another_over_hours_all_finish() {
    for seed in seeds(2) {
        let mut world = Simulation::pair(seed, line("loss=5%,delay=2ms"));
        world.serve(1, 80, |rng| Plan::random(rng, 20_000));
        for round in 0..100 {
            let plan = Plan::random(world.random(), 20_000);
            world.connect(0, None, server(), plan);
            world.finish(24 * HOUR, &format!("SEED={seed}, connection {round}"));
            // The clock of initial sequence numbers takes 4.8 hours around.
            let pause = Duration::from_secs(world.random().below(20_000));
            world.run_for(pause);
        }
    }
}

/// The same four numbers again and again: each new connection meets the TIME-WAIT of the last.
#[test]
fn a_port_can_be_used_again_after_time_wait() {
    for seed in seeds(3) {
        let mut world = Simulation::pair(seed, line("loss=5%,delay=2ms,duplicate=5%,reorder=5%"));
        world.serve(1, 80, |_| Plan::bulk(3000));
        for round in 0..20 {
            world.connect(0, Some(3000), server(), Plan::bulk(3000));
            world.finish(HOUR, &format!("SEED={seed}, round {round}"));
        }
    }
}
