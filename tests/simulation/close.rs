//! Ends of connections in every order, under loss: nothing is left, nobody waits for ever.

use wharf::Duration;
use wharf::sim::{Ending, Plan, Simulation};

use super::{line, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

fn plan(send: u64, ending: Ending) -> Plan {
    Plan { ending, ..Plan::bulk(send) }
}

#[test]
fn whoever_closes_first_both_ends_finish() {
    for seed in seeds(10) {
        for (client, server_side) in [
            (plan(1000, Ending::HalfClose), plan(1000, Ending::HalfClose)),
            (plan(1000, Ending::HalfClose), plan(50_000, Ending::CloseAfterPeer)),
            (plan(50_000, Ending::CloseAfterPeer), plan(1000, Ending::HalfClose)),
            (plan(30_000, Ending::CloseAtOnce), plan(0, Ending::CloseAfterPeer)),
            (plan(0, Ending::CloseAtOnce), plan(0, Ending::CloseAtOnce)),
            (plan(0, Ending::HalfClose), plan(100_000, Ending::HalfClose)),
        ] {
            let mut world = Simulation::pair(seed, line("loss=15%,delay=10ms,reorder=5%"));
            world.serve(1, 80, move |_| server_side);
            world.connect(0, None, server(), client);
            let what = format!("SEED={seed} {:?} {:?}", client.ending, server_side.ending);
            world.finish(2 * HOUR, &what);
        }
    }
}

/// RFC 9293 §3.5, Figure 7: both connect, nobody listens.
#[test]
fn both_ends_may_open_at_once_under_loss() {
    for seed in seeds(30) {
        let mut world = Simulation::pair(seed, line("loss=10%,delay=10ms,jitter=8ms"));
        let there = "10.7.0.2:2000".parse().expect("a literal address");
        let here = "10.7.0.1:1000".parse().expect("a literal address");
        world.connect(0, Some(1000), there, Plan::bulk(20_000));
        world.connect(1, Some(2000), here, Plan::bulk(20_000));
        // One SYN may find the other end not open yet and be refused; without loss it cannot.
        world.finish(2 * HOUR, &format!("SEED={seed}"));
        assert_eq!(world.reports().len(), 2, "SEED={seed}");
    }
}

#[test]
fn an_abort_at_any_octet_leaves_nothing_behind() {
    for seed in seeds(40) {
        let mut world = Simulation::pair(seed, line("loss=10%,delay=10ms"));
        let after = world.random().below(100_000);
        let mut sides = [plan(100_000, Ending::Abort(after)), plan(100_000, Ending::HalfClose)];
        if seed % 2 == 0 {
            sides.swap(0, 1);
        }
        let [client, server_side] = sides;
        world.serve(1, 80, move |_| server_side);
        world.connect(0, None, server(), client);
        world.finish(2 * HOUR, &format!("SEED={seed}"));
    }
}

/// The line dies in the middle: both ends give up, and nothing is left.
#[test]
fn a_line_that_dies_ends_both_connections() {
    for seed in seeds(4) {
        let mut world = Simulation::pair(seed, line("delay=10ms,burst=1%/0%"));
        world.serve(1, 80, |_| Plan::bulk(1_000_000));
        world.connect(0, None, server(), Plan::bulk(1_000_000));
        world.run_for(2 * HOUR);
        for host in [0, 1] {
            let left = world.host(host).stack.connections();
            assert!(left.is_empty(), "SEED={seed} host {host}: {left:?}");
        }
    }
}
