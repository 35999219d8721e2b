//! What a four-tuple stands for: an open, a record or a connection.

use std::sync::Arc;

use super::listeners::ListenerId;
use super::lists::Links;
use super::socket::{ConnectionInfo, SocketId};
use crate::observe::TcpState;
use crate::options::SocketOptions;
use crate::tcp::{Connecting, Connection, HalfOpen, SegmentPlan, TcpInfo, Ticket, TimeWait};
use crate::time::Instant;
use crate::wire::FourTuple;

/// Everything that has a four-tuple. The states that hold other data are other shapes, so that
/// SYN-RECEIVED and TIME-WAIT cost a record and no buffer. Each is apart, so that an entry takes no
/// more room than what all of them have.
#[derive(Debug)]
pub(super) enum Flow {
    /// SYN-SENT, or SYN-RECEIVED after a simultaneous open.
    Connecting(Box<Connecting>),
    /// SYN-RECEIVED after a passive open.
    HalfOpen(Box<HalfOpen>),
    /// The six states after the handshake.
    Open(Box<Connection>),
    /// TIME-WAIT.
    TimeWait(Box<TimeWait>),
}

/// A flow, and what the stack keeps beside it.
#[derive(Debug)]
pub(super) struct FlowEntry {
    /// Both ends.
    pub(super) tuple: FourTuple,
    /// What it is.
    pub(super) flow: Flow,
    /// Whose it is; it changes by [`Stack::give_to`](super::Stack::give_to) only.
    pub(super) owner: Owner,
    /// Its place in the list of those that have the same owner.
    pub(super) links: Links,
    /// Time to live of its packets.
    pub(super) ttl: u8,
    /// DSCP of its packets; the ECN bits are zero.
    pub(super) tos: u8,
    /// Whether it stands in the ready list.
    pub(super) is_ready: bool,
    /// Whether it stands in the list of those that are warm.
    pub(super) is_warm: bool,
    /// Whether it is to be told when memory is not short any more.
    pub(super) awaits_memory: bool,
    /// Octets of memory charged for its buffers.
    pub(super) charged: usize,
    /// The state that observers were last told, in which it is counted.
    pub(super) reported: TcpState,
}

/// Whose a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A socket holds it.
    Socket(SocketId),
    /// It came to a listener and is half-open.
    Listener(ListenerId),
    /// It came to a listener and waits for `accept`, at this place of the queue.
    Queue(ListenerId, Ticket),
    /// Nobody: an orphan that finishes what was written, or a record in TIME-WAIT.
    Nobody,
}

impl FlowEntry {
    /// The state by its name in the RFC.
    pub(super) fn tcp_state(&self) -> TcpState {
        match &self.flow {
            Flow::Connecting(connecting) => connecting.tcp_state(),
            Flow::HalfOpen(_) => TcpState::SynReceived,
            Flow::Open(connection) => connection.tcp_state(),
            Flow::TimeWait(_) => TcpState::TimeWait,
        }
    }

    /// What is known of it.
    pub(super) fn info(&self) -> TcpInfo {
        match &self.flow {
            Flow::Connecting(connecting) => connecting.info(),
            Flow::Open(connection) => connection.info(),
            Flow::HalfOpen(_) | Flow::TimeWait(_) => TcpInfo::of_state(self.tcp_state()),
        }
    }

    /// As it stands in a list for people.
    pub(super) fn listed(&self) -> ConnectionInfo {
        ConnectionInfo {
            local: self.tuple.local.into(),
            remote: self.tuple.remote.into(),
            state: self.tcp_state(),
            info: self.connection().map(Connection::info),
        }
    }

    /// When it next has something to do. A record in TIME-WAIT is not asked: the stack sees from
    /// the list of them which one ends first.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.flow {
            Flow::Connecting(connecting) => Some(connecting.deadline()),
            Flow::HalfOpen(half_open) => Some(half_open.deadline()),
            Flow::Open(connection) => connection.deadline(),
            Flow::TimeWait(_) => None,
        }
    }

    /// The next segment to send.
    pub(super) fn transmit(
        &mut self,
        now: Instant,
        may_grow: bool,
        super_text: u32,
    ) -> Option<SegmentPlan> {
        match &mut self.flow {
            Flow::Connecting(connecting) => connecting.transmit(now),
            Flow::HalfOpen(half_open) => half_open.transmit(now),
            Flow::Open(connection) => connection.transmit(now, may_grow, super_text),
            Flow::TimeWait(time_wait) => time_wait.transmit(now),
        }
    }

    /// The RST that tells the peer that the flow is no more, where one is due.
    pub(super) fn abort(&self, now: Instant) -> Option<SegmentPlan> {
        match &self.flow {
            Flow::Connecting(connecting) => connecting.abort(now),
            Flow::HalfOpen(half_open) => Some(half_open.abort(now)),
            Flow::Open(connection) => Some(connection.abort(now)),
            Flow::TimeWait(_) => None,
        }
    }

    /// Octets of memory that its buffers hold.
    pub(super) fn allocated(&self) -> usize {
        match &self.flow {
            Flow::Open(connection) => connection.allocated(),
            Flow::Connecting(_) | Flow::HalfOpen(_) | Flow::TimeWait(_) => 0,
        }
    }

    /// Its socket has been told other options. Says whether it may have something to send because
    /// of them, or another deadline.
    pub(super) fn set_options(&mut self, options: &Arc<SocketOptions>) -> bool {
        (self.ttl, self.tos) = (options.ttl, options.dscp());
        match &mut self.flow {
            Flow::Open(connection) => connection.set_options(options),
            Flow::Connecting(connecting) => {
                connecting.set_options(options);
                true
            }
            Flow::HalfOpen(_) | Flow::TimeWait(_) => false,
        }
    }

    /// The connection, if it is through the handshake.
    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.flow {
            Flow::Open(connection) => Some(connection),
            Flow::Connecting(_) | Flow::HalfOpen(_) | Flow::TimeWait(_) => None,
        }
    }

    /// The connection, if it is through the handshake.
    pub(super) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.flow {
            Flow::Open(connection) => Some(connection),
            Flow::Connecting(_) | Flow::HalfOpen(_) | Flow::TimeWait(_) => None,
        }
    }
}
