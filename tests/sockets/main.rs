//! Blocking and tokio sockets of two stacks in this process, over a link in memory: the
//! semantics of std, cancellation, ends.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run in real time, with threads, and a helper's panic fails its test"
)]

mod blocking;
mod by_reference;
#[cfg(feature = "tokio")]
mod devices;
mod ends;
mod lifecycle;
mod loopback;
mod options;
mod support;
#[cfg(feature = "tokio")]
mod tokio;
mod udp;
mod urgent;
#[cfg(all(feature = "axum", feature = "hyper", feature = "cli"))]
mod web;
