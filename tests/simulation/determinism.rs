//! Equal seeds give equal packets, octet for octet and nanosecond for nanosecond.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::Duration;
use wharf::sim::{Passing, Plan, Simulation};

use super::{line, seeds, server};

fn world(seed: u64) -> Simulation {
    let text = "loss=5%,delay=10ms,jitter=5ms,reorder=5%,duplicate=5%,corrupt=1%";
    let mut world = Simulation::pair(seed, line(text));
    world.serve(1, 80, |rng| Plan::random(rng, 50_000));
    for _ in 0..10 {
        let plan = Plan::random(world.random(), 50_000);
        world.connect(0, None, server(), plan);
    }
    world
}

/// Every packet with its time and its sender.
fn packets(seed: u64) -> Vec<(u64, usize, Vec<u8>)> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut world = world(seed);
    for host in [0, 1] {
        let tap = Rc::clone(&log);
        world.host(host).watcher = Some(Box::new(move |now, passing, octets| {
            if passing == Passing::Leaves {
                tap.borrow_mut().push((now.as_nanos(), host, octets.to_vec()));
            }
        }));
    }
    world.run_for(Duration::from_mins(10));
    log.take()
}

#[test]
fn equal_seeds_give_equal_packets_octet_for_octet() {
    for seed in seeds(3) {
        let (first, second) = (packets(seed), packets(seed));
        assert!(first.len() > 100, "SEED={seed}: {} packets", first.len());
        for (number, (one, other)) in first.iter().zip(&second).enumerate() {
            assert_eq!(one, other, "SEED={seed}, packet {number}");
        }
        assert_eq!(first.len(), second.len(), "SEED={seed}");
    }
}

#[test]
fn the_fingerprint_stands_for_all_packets_and_seeds_differ() {
    let fingerprint = |seed| {
        let mut world = world(seed);
        world.run_for(Duration::from_mins(10));
        (world.fingerprint(), world.packets())
    };
    assert_eq!(fingerprint(1), fingerprint(1));
    assert_ne!(fingerprint(1), fingerprint(2));
}
