//! What a program holds: options, a pending error, and the way to its connection.

use std::net::{IpAddr, SocketAddr};

use super::datagrams::EchoSocket;
use super::demux::FlowId;
use super::listeners::ListenerId;
use crate::collections::new_key_type;
use crate::error::SocketError;
use crate::observe::TcpState;
use crate::tcp::{ReceiveBuffer, Settings, TcpInfo};
use crate::time::Duration;
use crate::udp::UdpId;
use crate::wire::Endpoint;

new_key_type! {
    /// A socket: valid until it is closed, and refused as [`SocketError::BadHandle`] ever after.
    pub struct SocketId;
}

/// What a socket is ready for, as poll(2) means it.
///
/// Derived from the socket's state whenever it is asked for, so that it cannot fall out of step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);

impl Readiness {
    /// Reading would not block: data, the end of the file, an error or a connection waits.
    pub const READABLE: Self = Self(1);
    /// Writing would not block: there is room, or an error to report; or a connect has ended.
    pub const WRITABLE: Self = Self(2);
    /// The peer sends no more.
    pub const READ_CLOSED: Self = Self(4);
    /// We can send no more.
    pub const WRITE_CLOSED: Self = Self(8);
    /// An error waits to be taken.
    pub const ERROR: Self = Self(16);

    /// Whether all of `other` hold.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` holds.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Adds `other` if `condition` holds.
    pub(super) fn and(self, other: Self, condition: bool) -> Self {
        if condition { self.with(other) } else { self }
    }
}

/// Which directions `shutdown` closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Nothing more will be read.
    Read,
    /// Nothing more will be written: a FIN follows what has been.
    Write,
    /// Both.
    Both,
}

/// Options of a socket. Each takes effect as far as it still can: the sizes of buffers count for
/// connections and listeners that are opened from then on, all else at once. What a listener
/// accepts inherits its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is on or off by itself")]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments do not wait for the ones before them. Off.
    pub nodelay: bool,
    /// IP_TTL: time to live of packets, 1 to 255. 64.
    pub ttl: u8,
    /// IP_TOS: DSCP in the upper six bits; the lower two are TCP's own. 0.
    pub tos: u8,
    /// SO_LINGER: `Some(Duration::ZERO)` makes `close` reset the connection. `None`. With a longer
    /// time `close` does what it does without: it returns at once, and what was written is sent in
    /// the background.
    pub linger: Option<Duration>,
    /// SO_RCVBUF: octets that wait to be read, 2 KiB to 1 GiB. 256 KiB.
    pub receive_buffer: u32,
    /// SO_SNDBUF: octets that wait to be acknowledged, 2 KiB to 1 GiB. 256 KiB.
    pub send_buffer: u32,
    /// SO_REUSEADDR: the address may be shared by sockets that do not listen. Off.
    pub reuse_address: bool,
    /// SO_BROADCAST: datagrams may go to broadcast addresses. Off.
    pub broadcast: bool,
    /// A listener takes connections to addresses that are not ours; needs
    /// [`InterfaceConfig::any_destination`](crate::InterfaceConfig). Off.
    pub any_destination: bool,
}

impl SocketOptions {
    /// The defaults of a stack with these buffers.
    pub(super) fn new(receive_buffer: u32, send_buffer: u32, nagle: bool) -> Self {
        Self {
            nodelay: !nagle,
            ttl: 64,
            tos: 0,
            linger: None,
            receive_buffer,
            send_buffer,
            reuse_address: false,
            broadcast: false,
            any_destination: false,
        }
    }

    /// What a connection needs to know of them.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            nodelay: self.nodelay,
            receive_buffer: self.receive_buffer,
            send_buffer: self.send_buffer,
        }
    }

    /// The TOS octet of TCP packets: the two ECN bits stay zero.
    pub(super) fn dscp(&self) -> u8 {
        self.tos & !3
    }

    /// Whether every value is in its range.
    pub(super) fn is_valid(&self) -> bool {
        let buffers = 2048..=1 << 30;
        self.ttl > 0
            && buffers.contains(&self.receive_buffer)
            && buffers.contains(&self.send_buffer)
    }
}

/// One connection, as `ss` lists it.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The state.
    pub state: TcpState,
    /// More, once it is through the handshake and until it is in TIME-WAIT.
    pub info: Option<TcpInfo>,
}

/// An answer to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// Who answered.
    pub source: IpAddr,
    /// Sequence number of the request.
    pub sequence: u16,
    /// Time to live with which the answer arrived.
    pub ttl: u8,
    /// Octets of data in it.
    pub len: usize,
}

/// A socket. It lives until `close`; its connection may outlive it, or end before it.
#[derive(Debug)]
pub(super) struct Socket {
    /// What it is.
    pub(super) kind: Kind,
    /// What it has been told.
    pub(super) options: SocketOptions,
    /// What went wrong since the last call that could report it.
    pub(super) error: Option<SocketError>,
    /// What a router said while it connects, which may pass.
    pub(super) soft_error: Option<SocketError>,
    /// The place that it has bound, for as long as it is registered there.
    pub(super) bound: Option<Endpoint>,
    /// Whether it stands in the list of sockets whose readiness may have changed.
    pub(super) is_dirty: bool,
    /// Whether the user has shut the reading side down.
    pub(super) is_read_shut: bool,
}

/// What a socket is.
#[derive(Debug)]
pub(super) enum Kind {
    /// TCP, neither listening nor connected.
    Fresh,
    /// TCP, listening.
    Listening(ListenerId),
    /// TCP, with a connection that is being opened.
    Connecting(FlowId),
    /// TCP, with a connection.
    Connected(FlowId),
    /// TCP, whose connection is over; boxed, since nearly all sockets are something else.
    Ended(Box<Ended>),
    /// UDP.
    Udp(UdpId),
    /// ICMP echo.
    Echo(Box<EchoSocket>),
}

/// What a connection leaves to its socket when it ends first.
#[derive(Debug)]
pub(super) struct Ended {
    /// Our end.
    pub(super) local: Endpoint,
    /// The peer's end.
    pub(super) remote: Endpoint,
    /// Octets that came before the end and have not been read.
    pub(super) unread: ReceiveBuffer,
    /// Whether the peer's FIN had been reached: then no error is the reader's.
    pub(super) is_finished: bool,
}
