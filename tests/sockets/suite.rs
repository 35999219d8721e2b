//! What holds of sockets however many shards their stacks have.

mod blocking;
mod by_reference;
#[cfg(feature = "tokio")]
mod datagram_tasks;
mod ends;
mod lifecycle;
mod loopback;
mod options;
#[cfg(feature = "tokio")]
mod tokio;
mod udp;
mod urgent;
#[cfg(all(feature = "axum", feature = "hyper", feature = "cli"))]
mod web;
mod writes;

/// How many shards each stack of the tests here has.
const SHARDS: usize =
    if matches!(module_path!().as_bytes(), b"sockets::two_shards") { 2 } else { 1 };

/// Two stacks of so many shards.
fn pair() -> crate::support::Pair {
    crate::support::Pair::of(SHARDS)
}
