//! What a program holds: options, a pending error, and the way to its connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::datagrams::EchoSocket;
use super::demux::FlowId;
use super::listeners::ListenerId;
use crate::collections::new_key_type;
use crate::error::SocketError;
use crate::observe::TcpState;
use crate::options::SocketOptions;
use crate::tcp::{TcpInfo, Unread};
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
    /// Urgent data was announced, or announced to go further, since the last read, or its octet has
    /// arrived and has not been read (RFC 9293 §3.8.5, MUST-32).
    pub const PRIORITY: Self = Self(32);

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
    pub(super) options: Arc<SocketOptions>,
    /// What went wrong since the last call that could report it.
    pub(super) error: Option<SocketError>,
    /// What a router said since something last got through, which may pass.
    pub(super) soft_error: Option<SocketError>,
    /// The place that it has bound, for as long as it is registered there; apart, since what is
    /// accepted has none.
    pub(super) bound: Option<Box<Endpoint>>,
    /// Whether it stands in the list of sockets whose readiness may have changed.
    pub(super) is_dirty: bool,
    /// Whether the user has shut the reading side down.
    pub(super) is_read_shut: bool,
    /// Whether its last open has failed: as on Linux both directions are closed then, until it is
    /// used anew.
    pub(super) has_failed: bool,
}

impl Socket {
    /// A socket of which nothing is known yet.
    pub(super) fn new(kind: Kind, options: Arc<SocketOptions>) -> Self {
        Self {
            kind,
            options,
            error: None,
            soft_error: None,
            bound: None,
            is_dirty: false,
            is_read_shut: false,
            has_failed: false,
        }
    }

    /// The pending error, once; else `otherwise`.
    pub(super) fn error_or(
        &mut self,
        otherwise: Result<usize, SocketError>,
    ) -> Result<usize, SocketError> {
        match self.error.take() {
            Some(error) => Err(error),
            None => otherwise,
        }
    }
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
    /// What was known of the connection at its end.
    pub(super) info: TcpInfo,
    /// Octets that came before the end and have not been read.
    pub(super) unread: Unread,
    /// Whether the peer's FIN had been reached: then no error is the reader's.
    pub(super) is_finished: bool,
}
