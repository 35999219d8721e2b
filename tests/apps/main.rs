//! The applications end to end: clients on one stack, servers on another, packets in between.
#![expect(clippy::unwrap_used, reason = "tests, and helpers that only they call")]

/// The server has one shard.
#[path = "suite.rs"]
#[expect(clippy::duplicate_mod, reason = "the same tests twice")]
mod one_shard;
/// Its device has two queues, and half of the flows come over the wrong one.
#[path = "suite.rs"]
#[expect(clippy::duplicate_mod, reason = "the same tests twice")]
mod two_shards;
