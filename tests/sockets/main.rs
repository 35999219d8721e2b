//! Blocking and tokio sockets of two stacks in this process, over a link in memory: the
//! semantics of std, cancellation, ends.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run in real time, with threads, and a helper's panic fails its test"
)]

#[cfg(feature = "tokio")]
mod devices;
#[cfg(feature = "tokio")]
mod fragile;
mod support;

/// Stacks of one shard each.
#[path = "suite.rs"]
#[expect(clippy::duplicate_mod, reason = "the same tests twice")]
mod one_shard;
/// The same over devices with two queues: half of the flows come over the wrong one.
#[path = "suite.rs"]
#[expect(clippy::duplicate_mod, reason = "the same tests twice")]
mod two_shards;

mod shards;
mod strays;
