//! What is known of a socket: its state, its queues, and STATUS (RFC 9293 §3.10.6).

use super::flow::FlowEntry;
use super::socket::Kind;
use super::{SocketId, Stack, TcpState};
use crate::error::SocketError;
use crate::tcp::{Connection, TcpInfo};
use crate::wire::FourTuple;

impl Stack {
    /// Octets that the buffers of all TCP connections hold together, at their limit or above it
    /// ([`Limits::memory_max`](crate::Limits)) when memory is short.
    pub fn buffered(&self) -> usize {
        self.memory.used()
    }

    /// The state of a TCP socket (the field `tcpi_state` of TCP_INFO), by its name in RFC 9293
    /// §3.3.2. A socket whose connection is over is CLOSED, as on Linux, even while the record of
    /// its TIME-WAIT lives on.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is no TCP socket.
    pub fn state(&self, id: SocketId) -> Result<TcpState, SocketError> {
        match self.socket(id)?.kind {
            Kind::Fresh | Kind::Ended(_) => Ok(TcpState::Closed),
            Kind::Listening(_) => Ok(TcpState::Listen),
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                Ok(self.flows.get(flow).map_or(TcpState::Closed, FlowEntry::tcp_state))
            }
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }

    /// What may pass and has not: what a router has said since something last got through (MUST-47,
    /// SHLD-25), or `TimedOut` while the peer has been silent for R1 and not yet for R2 (RFC 9293
    /// §3.8.3, SHLD-9). Asking changes nothing, and no call fails for it: who does not ask is not
    /// told (SHLD-20), unless [`receive_errors`](crate::SocketOptions::receive_errors) says so.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn soft_error(&self, id: SocketId) -> Result<Option<SocketError>, SocketError> {
        let socket = self.socket(id)?;
        let is_silent = match socket.kind {
            Kind::Connected(flow) => {
                let open = self.flows.get(flow).and_then(|entry| entry.connection());
                open.is_some_and(Connection::is_peer_silent)
            }
            Kind::Fresh
            | Kind::Listening(_)
            | Kind::Connecting(_)
            | Kind::Ended(_)
            | Kind::Udp(_)
            | Kind::Echo(_) => false,
        };
        Ok(socket.soft_error.or(is_silent.then_some(SocketError::TimedOut)))
    }

    /// What a router has said that may pass, once: Linux tells it by SO_ERROR when nothing else is
    /// pending. See [`soft_error`](Self::soft_error).
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn take_soft_error(&mut self, id: SocketId) -> Result<Option<SocketError>, SocketError> {
        Ok(self.socket_mut(id)?.soft_error.take())
    }

    /// TCP_MAXSEG: octets of text in the largest segment that the socket's connection sends; before
    /// it has one what was set, or else 536, as on Linux.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is no TCP socket.
    pub fn max_segment(&self, id: SocketId) -> Result<u32, SocketError> {
        let by_connection = self.info(id)?.send_mss;
        let by_user = self.socket(id)?.options.max_segment.map_or(536, u32::from);
        Ok(if by_connection > 0 { by_connection } else { by_user })
    }

    /// SIOCINQ: octets in order that `read` would give at once.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `InvalidArgument`: the socket listens; `NotSupported`: it is no TCP socket.
    pub fn readable(&self, id: SocketId) -> Result<u32, SocketError> {
        match &self.socket(id)?.kind {
            Kind::Connected(flow) => {
                let open = self.flows.get(*flow).and_then(|entry| entry.connection());
                Ok(open.map_or(0, Connection::readable))
            }
            Kind::Ended(ended) => Ok(ended.unread.len()),
            Kind::Fresh | Kind::Connecting(_) => Ok(0),
            Kind::Listening(_) => Err(SocketError::InvalidArgument),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }

    /// Whether the socket's connection lives on as a record in TIME-WAIT, which
    /// [`state`](Self::state) does not tell.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn is_in_time_wait(&self, id: SocketId) -> Result<bool, SocketError> {
        let Kind::Ended(ended) = &self.socket(id)?.kind else { return Ok(false) };
        let tuple = FourTuple { local: ended.local, remote: ended.remote };
        let entry = self.flows.find(&tuple).and_then(|flow| self.flows.get(flow));
        Ok(entry.is_some_and(|entry| entry.tcp_state() == TcpState::TimeWait))
    }

    /// SIOCINQ of a UDP socket: octets of the datagram that has waited longest, `None` if none
    /// waits. It may have no octets.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is no UDP socket.
    pub fn next_datagram(&self, id: SocketId) -> Result<Option<usize>, SocketError> {
        let Kind::Udp(udp) = self.socket(id)?.kind else { return Err(SocketError::NotSupported) };
        self.udp.next_len(udp)
    }

    /// SIOCOUTQ: octets written and not acknowledged by the peer.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn unacknowledged(&self, id: SocketId) -> Result<u32, SocketError> {
        match self.socket(id)?.kind {
            Kind::Connected(flow) => {
                let open = self.flows.get(flow).and_then(|entry| entry.connection());
                Ok(open.map_or(0, Connection::unacknowledged))
            }
            Kind::Fresh
            | Kind::Listening(_)
            | Kind::Connecting(_)
            | Kind::Ended(_)
            | Kind::Udp(_)
            | Kind::Echo(_) => Ok(0),
        }
    }

    /// STATUS (RFC 9293 §3.10.6), TCP_INFO: what is known of a TCP socket in whatever state; of one
    /// whose connection is over, what was known at its end.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is no TCP socket.
    pub fn info(&self, id: SocketId) -> Result<TcpInfo, SocketError> {
        match &self.socket(id)?.kind {
            Kind::Fresh => Ok(TcpInfo::of_state(TcpState::Closed)),
            Kind::Listening(listener) => {
                let entry = self.listeners.get(*listener).ok_or(SocketError::BadHandle)?;
                let waiting = entry.listener.waiting().count();
                Ok(TcpInfo::of_listener(waiting, entry.listener.backlog()))
            }
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                Ok(self.flows.get(*flow).ok_or(SocketError::BadHandle)?.info())
            }
            Kind::Ended(ended) => Ok(ended.info.clone()),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }
}
