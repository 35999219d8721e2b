//! wharf: a userspace TCP/IP stack. (crate doc comes with integration)
#![cfg_attr(not(any(test, feature = "sim")), allow(dead_code))]
mod collections;
mod config;
mod device;
mod error;
mod observe;
mod packet;
mod rng;
mod stack;
mod tcp;
mod time;
mod wire;

pub use self::config::{ConfigError, InterfaceConfig, Limits, StackConfig};
pub use self::device::{Capabilities, Device};
pub use self::error::SocketError;
pub use self::observe::{
    Counter, Counters, DropReason, Event, LogObserver, Observer, SendReason, TcpState,
};
pub use self::packet::{Frame, FramePool, Head, Outgoing, Payload};
pub use self::rng::Seed;
pub use self::stack::{
    ConnectionInfo, EchoReply, Readiness, Shutdown, SocketId, SocketOptions, Stack,
};
pub use self::tcp::{TcpConfig, TcpInfo};
pub use self::time::{Duration, Instant};
pub use self::wire::{Endpoint, FourTuple, Ipv4Cidr};
