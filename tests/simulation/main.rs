//! Two stacks and a bad line, in virtual time: properties that hold whatever happens.
//!
//! `SEED=n` runs one seed instead of the list; every failure names its seed.

mod adversary;
mod alarms;
mod close;
mod determinism;
mod herd;
mod incarnations;
mod many_flows;
mod offload;
mod paths;
mod prediction;
mod restart;
mod syn_flood;
mod transfer;
mod worlds;

use wharf::sim::{CLIENT, SERVER, Simulation};
use wharf::{Impairment, StackConfig};

/// The seeds to run: the one in `SEED`, or the first `count`.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (1..=count).collect(),
    }
}

/// The line that `text` describes, as `wharf serve --impair` does.
fn line(text: &str) -> Impairment {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The configurations of a client and a server, changed by `change`.
fn configs(change: impl Fn(&mut StackConfig)) -> [StackConfig; 2] {
    [CLIENT, SERVER].map(|network| {
        let mut config = StackConfig::new(network.parse().expect("a literal network"));
        change(&mut config);
        config
    })
}

/// A pair of hosts with configurations that `change` has changed.
fn pair(seed: u64, impairment: Impairment, change: impl Fn(&mut StackConfig)) -> Simulation {
    let [client, server] = configs(change);
    Simulation::pair_of(seed, impairment, client, server)
}

/// The server's port 80.
fn server() -> std::net::SocketAddr {
    "10.7.0.2:80".parse().expect("a literal address")
}
