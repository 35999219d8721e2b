//! What a program writes on top of the sockets: an HTTP server with a live page, WebSocket echo
//! and chat, an HTTP client, and the small services of RFC 862 to 864.
//!
//! Everything here is generic over its listener and its streams, so that the same code runs on
//! `wharf::tokio`'s sockets and on tokio's own: that is the point of sockets that look alike.

mod alarm;
mod bytes;
pub mod chargen;
pub mod chat;
pub mod dashboard;
pub mod datagrams;
pub mod discard;
pub mod echo;
pub mod http;
pub mod http_client;
mod lingering;
mod metered;
pub mod server;
pub mod stop;
mod timely;
pub mod websocket;
