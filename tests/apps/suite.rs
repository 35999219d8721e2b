//! What holds of the applications however many shards the server has.

mod chat;
mod client;
mod requests;
mod routes;
mod services;
mod stopping;
mod urgent;
mod websockets;
mod world;

/// How many shards the server has.
const SHARDS: usize = if matches!(module_path!().as_bytes(), b"apps::two_shards") { 2 } else { 1 };
