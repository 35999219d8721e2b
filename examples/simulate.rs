//! A transfer over a bad line in virtual time: an hour of it takes a moment, and the same seed
//! gives the same packets.
//!
//! `cargo run --release --example simulate -- [LINE [SEED]]`, such as
//! `loss=3%,delay=20ms,jitter=5ms 7`.

use std::error::Error;

use wharf::sim::{Plan, Simulation};
use wharf::{Duration, Impairment, Instant};

/// Octets of the transfer.
const OCTETS: u64 = 10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let line = arguments.next().unwrap_or_else(|| "loss=1%,delay=10ms,jitter=2ms".into());
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let impairment: Impairment = line.parse()?;

    let mut world = Simulation::pair(seed, impairment);
    world.serve(1, 80, |_| Plan::bulk(0));
    world.connect(0, None, "10.7.0.2:80".parse()?, Plan::bulk(OCTETS));
    let is_done = world.run_until_done(Duration::from_hours(24));

    println!("line      {line}, seed {seed}");
    for report in world.reports() {
        println!(
            "{} -> {}: {} octets written, {} read{}",
            report.local,
            report.remote,
            report.sent,
            report.received,
            report.error.map_or(String::new(), |error| format!("; {error}")),
        );
    }
    let took = world.now().saturating_since(Instant::ZERO);
    let rate = 8.0 * 10.0 / took.as_secs_f64();
    println!("time      {:.3} s, {rate:.2} Mbit/s", took.as_secs_f64());
    println!("packets   {}, fingerprint {:016x}", world.packets(), world.fingerprint());
    for host in [0, 1] {
        println!("host {host}");
        for counter in world.host(host).counters.list() {
            println!("  {:>12}  {}", counter.value, counter.help);
        }
    }
    if !is_done {
        return Err(world.faults().join("\n").into());
    }
    Ok(())
}
