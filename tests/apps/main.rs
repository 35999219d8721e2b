//! The applications end to end: clients on one stack, servers on another, packets in between.
#![expect(clippy::unwrap_used, reason = "tests, and helpers that only they call")]

mod chat;
mod client;
mod requests;
mod routes;
mod services;
mod stopping;
mod urgent;
mod websockets;
mod world;
