//! A userspace TCP/IP stack: IPv4, UDP and TCP (RFC 9293), in Rust, without a clock of its own.
//!
//! ```text
//! device ──▶ wire ──▶ ip::input ──▶ stack::demux ──▶ tcp::input / udp::input ──▶ sockets wake
//! device ◀── ip::output ◀── tcp::output / outbox ◀── stack::transmit ◀── calls, ACKs owed, timers
//! ```
//!
//! **The one contract.** Feed any number of inputs (packets, socket calls, due timers), then call
//! `transmit` until it returns nothing, then wait until `next_timeout` or the next input. Equal
//! configuration, seed and inputs with their times give equal octets out.
//!
//! **Where to begin.** [`Net`] is a running stack on a [`Device`], such as a [`Tun`] or an end of a
//! [`Link`]; sockets are made with it: those of [`net`] block, those of `wharf::tokio` (feature
//! `tokio`) are for tasks. [`Stack`] is the core alone, for programs that bring their own packets
//! and their own clock. [`StackConfig`] is what a stack is made from, [`SocketOptions`] what a
//! socket may be told, each with unit, range and default. How it is built, and why, is in the
//! [`manual`].

#[cfg(feature = "cli")]
pub mod app;
#[cfg(any(test, feature = "capi"))]
mod capi;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod collections;
mod config;
mod device;
mod error;
mod ip;
pub mod manual;
mod observe;
mod options;
mod packet;
mod rng;
mod runtime;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod socket;
mod stack;
mod tcp;
mod time;
mod udp;
mod wire;

pub use self::config::{ConfigError, InterfaceConfig, Limits, StackConfig};
pub use self::device::{
    Burst, Capabilities, Capture, Chance, Device, Impair, Impairment, InvalidImpairment, Link,
    Misfit, Spread, Statistics, Tun, TunConfig, TunError, drop_privileges,
};
pub use self::error::SocketError;
pub use self::observe::{
    Counter, Counters, DropReason, Event, LogObserver, Observer, SendReason, TcpState,
};
pub use self::options::{CongestionAlgorithm, SocketOptions};
pub use self::packet::{Checksum, Frame, FramePool, Head, Offload, Outgoing, Payload};
pub use self::rng::Seed;
#[cfg(feature = "tokio")]
pub use self::runtime::Driver;
pub use self::runtime::Net;
pub use self::stack::{
    ConnectionInfo, EchoReply, Readiness, Shutdown, SocketId, Stack, StateCounts, Totals,
};
pub use self::tcp::{MtuProbing, RecoveryState, SynCookies, TcpConfig, TcpInfo};
pub use self::time::{Duration, Instant};
pub use self::wire::display::describe;
pub use self::wire::{Endpoint, FourTuple, Ipv4Cidr, Steering};

/// Sockets whose calls block, as those of [`std::net`] do; made by a [`Net`]. If its stack runs as
/// a task, their place is no task of the same runtime (`Net::driver`).
pub mod net {
    pub use crate::socket::TcpKeepalive;
    pub use crate::socket::blocking::{
        EchoSocket, Incoming, TcpListener, TcpSocket, TcpStream, UdpSocket,
    };
}

/// Sockets for tasks, as those of `tokio::net`; made by a [`Net`].
#[cfg(feature = "tokio")]
pub mod tokio {
    pub use crate::socket::TcpKeepalive;
    #[cfg(feature = "hyper")]
    pub use crate::socket::tokio::{Connecting, Connector};
    pub use crate::socket::tokio::{
        EchoSocket, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, TcpListener, TcpSocket,
        TcpStream, UdpSocket, WriteHalf,
    };
}

/// The README's examples are tests.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
