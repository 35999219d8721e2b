//! A host forgets everything in the middle: the other one finds out and is not left hanging.

use wharf::sim::{Ending, Plan, Simulation};
use wharf::{Duration, Seed, SocketError, Stack};

use super::{configs, line, seeds, server};

const HOUR: Duration = Duration::from_hours(1);

/// RFC 9293 §3.5.1, Figure 9: the first segment to the restarted host is answered by RST.
#[test]
fn a_host_that_restarts_resets_what_it_no_longer_knows() {
    for seed in seeds(10) {
        let mut world = Simulation::pair(seed, line("loss=3%,delay=10ms"));
        let silent = Plan { ending: Ending::CloseAfterPeer, ..Plan::bulk(0) };
        world.serve(1, 80, move |_| silent);
        world.connect(0, None, server(), Plan::bulk(50_000_000));
        world.run_for(Duration::from_secs(2));
        let [_, config] = configs(|_| {});
        let fresh = Stack::new(config, Seed::from_number(seed + 1000)).unwrap();
        world.host(1).restart(fresh);
        world.run_for(HOUR);
        let report = &world.reports()[0];
        assert_eq!(report.error, Some(SocketError::Reset), "SEED={seed}");
        assert!(world.host(0).stack.connections().is_empty(), "SEED={seed}");
        assert!(world.host(1).stack.connections().is_empty(), "SEED={seed}");
    }
}

/// RFC 9293 §3.5.1, Figure 9, from the other side: the restarted host connects again with the
/// same four numbers, and the half-open connection at the other end goes.
#[test]
fn a_host_that_restarts_can_connect_again_from_the_same_port() {
    for seed in seeds(10) {
        let mut world = Simulation::pair(seed, line("loss=3%,delay=10ms"));
        world.serve(1, 80, |_| Plan::bulk(0));
        world.connect(
            0,
            Some(3000),
            server(),
            Plan { pace: Duration::from_secs(1), ..Plan::bulk(50_000_000) },
        );
        world.run_for(Duration::from_secs(10));
        let [config, _] = configs(|_| {});
        let fresh = Stack::new(config, Seed::from_number(seed + 1000)).unwrap();
        world.host(0).restart(fresh);
        world.connect(0, Some(3000), server(), Plan::bulk(10_000));
        world.run_for(HOUR);
        let reports = world.reports();
        assert_eq!(reports[0].error, None, "SEED={seed}: {reports:?}");
        assert_eq!(reports[0].sent, 10_000, "SEED={seed}");
        assert_eq!(reports[1].error, Some(SocketError::Reset), "SEED={seed}");
        assert_eq!(reports[2].received, 10_000, "SEED={seed}");
    }
}
