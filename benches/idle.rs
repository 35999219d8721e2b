//! What an idle connection costs of the allocator's memory: counted at 100,000 and at 1,000,000,
//! and around a power of two, where what grows by doubling is at its worst.
//!
//! The connections are opened by packets made by hand, accepted, and their sockets kept; then all
//! come to rest. First by the calls of `Stack`: there in the end each is reset and closed, and what
//! the stack still holds is counted. Then behind a running stack, with a `TcpStream` of each held.
//!
//! `cargo bench --bench idle`; without `--bench` (as `cargo test` runs it) it only tries itself.

#[path = "../tests/memory/crowd.rs"]
mod crowd;
#[path = "../tests/memory/handles.rs"]
mod handles;

use crowd::{Past, cost_by_stack};

/// Octets that an idle connection may cost.
const EACH_MAX: f64 = 768.0;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        cost_by_stack(100, Past::Request);
        each_by_socket(100);
        println!("idle: tried; `cargo bench --bench idle` measures");
        return;
    }
    println!(
        "{:>12} {:>10} {:>14} {:>14} {:>12} {:>14}",
        "connections", "past", "octets each", "at most", "allocations", "octets left"
    );
    let mut is_good = true;
    for count in [100_000, 131_072, 131_073, 1_000_000, 1_048_576, 1_048_577] {
        for past in [Past::Handshake, Past::Request] {
            let cost = cost_by_stack(count, past);
            let (each, most, pieces) = (cost.each(), cost.most_each(), cost.pieces_each());
            let (count, left, past) = (cost.count, cost.left, format!("{past:?}"));
            println!("{count:>12} {past:>10} {each:>14.1} {most:>14.1} {pieces:>12.2} {left:>14}");
            is_good &= each <= EACH_MAX;
        }
    }
    println!("with a TcpStream of each held:");
    for count in [100_000, 1_000_000] {
        let each = each_by_socket(count);
        println!("{count:>12} {:>10} {each:>14.1}", "Handshake");
        is_good &= each <= EACH_MAX;
    }
    if !is_good {
        println!("an idle connection may cost {EACH_MAX} octets");
        std::process::exit(1);
    }
}

/// As [`handles::each_by_socket`]; says what is wrong, and ends, if that could not be counted.
fn each_by_socket(count: u32) -> f64 {
    handles::each_by_socket(count).unwrap_or_else(|error| {
        eprintln!("idle: {count} streams: {error}");
        std::process::exit(1);
    })
}
