//! Active opens: OPEN of RFC 9293 §3.10.1, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use super::demux::FlowId;
use super::flow::{Flow, Owner};
use super::icmp_errors::path_of;
use super::socket::Kind;
use super::{DropReason, Instant, Observer, Shutdown, SocketId, Stack, TcpState};
use crate::error::SocketError;
use crate::options::SocketOptions;
use crate::tcp::{Close, Connecting, ConnectingVerdict, Connection, Opened, Segment};
use crate::time::Duration;
use crate::wire::{Endpoint, FourTuple};

impl Stack {
    /// OPEN, active: a SYN is to leave.
    pub(super) fn open_active(
        &mut self,
        now: Instant,
        id: SocketId,
        remote: SocketAddr,
    ) -> Result<(), SocketError> {
        let socket = self.sockets.get(id).ok_or(SocketError::BadHandle)?;
        let (options, bound) = (Arc::clone(&socket.options), socket.bound.as_deref().copied());
        let remote = Endpoint::from(remote);
        let peer = remote.ipv4().ok_or(SocketError::InvalidAddress)?;
        // RFC 9293 §3.9.1.1, MUST-46: no packet leaves for an address that no host can have. Linux
        // asks at port 0, where nobody can listen, and hears the same.
        if !self.ip.is_host(peer) {
            return Err(SocketError::NetworkUnreachable);
        }
        if remote.port() == 0 {
            return Err(SocketError::Refused);
        }
        if self.live() >= self.config.limits.connections_max {
            return Err(SocketError::NoBuffers);
        }
        // MUST-43: the address that was bound; MUST-44: else the one that the route suggests.
        let addr = match bound.and_then(Endpoint::ipv4).filter(|addr| !addr.is_unspecified()) {
            Some(addr) => addr,
            None => self.ip.source_for(peer).ok_or(SocketError::NetworkUnreachable)?,
        };
        let tuple_from = |port| FourTuple { local: Endpoint::new(addr.into(), port), remote };
        let (flows, listeners, share) = (&self.flows, &self.listeners, self.share);
        let is_free = |port| {
            let tuple = tuple_from(port);
            // The peer's answer must come here and not to a sibling.
            share.is_none_or(|share| share.owns_flow(&tuple)) && flows.find(&tuple).is_none()
        };
        let port = match bound {
            Some(bound) => Some(bound.port()).filter(|&port| is_free(port)),
            None => self.ports.choose(options.local_port_range, |port| {
                !listeners.is_bound(port) && is_free(port)
            }),
        };
        let tuple = tuple_from(port.ok_or(SocketError::AddressNotAvailable)?);
        let (iss, clock) = self.isn.start(now, &tuple);
        let offer = self.offer(&options, clock);
        let window = self.first_window(&options, offer);
        let connecting = Connecting::new(now, &self.config.tcp, iss, (offer, window), &options);
        let flow = Flow::Connecting(Box::new(connecting));
        let ends = self.flows.hashed(tuple);
        let flow = self.insert_flow(ends, flow, Owner::Socket(id), options.ttl, options.dscp());
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.kind = Kind::Connecting(flow);
            socket.soft_error = None;
            socket.has_failed = false;
        }
        Ok(())
    }

    /// Carries out what a segment did to an active open.
    pub(super) fn continue_connecting(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: &Segment,
        verdict: ConnectingVerdict,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        match verdict {
            ConnectingVerdict::Stay => Ok(()),
            ConnectingVerdict::Drop(reason) => Err(reason),
            ConnectingVerdict::Refused => {
                self.end_connecting(now, id, Some(SocketError::Refused), observer);
                Ok(())
            }
            ConnectingVerdict::Answer(reset) => {
                let tuple = self.flows.get(id).ok_or(DropReason::NoTcpSocket)?.tuple;
                self.answer(now, tuple, reset)?;
                Err(DropReason::BadHandshakeAck)
            }
            ConnectingVerdict::Opened(opened) => {
                self.connected(now, id, &opened, segment, observer)
            }
        }
    }

    /// The handshake of an active open is through.
    fn connected(
        &mut self,
        now: Instant,
        id: FlowId,
        opened: &Opened,
        segment: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let entry = self.flows.get_mut(id).ok_or(DropReason::NoTcpSocket)?;
        let path = path_of(&self.ip, now, &entry.tuple).ok_or(DropReason::NoTcpSocket)?;
        let Flow::Connecting(connecting) = &mut entry.flow else { return Ok(()) };
        let close = connecting.take_close();
        let socket = match entry.owner {
            Owner::Socket(socket) => self.sockets.get_mut(socket),
            Owner::Listener(_) | Owner::Queue(..) | Owner::Nobody => None,
        };
        let options = match (&socket, &close) {
            (Some(socket), _) => Arc::clone(&socket.options),
            (None, Close::Socket(options)) => Arc::clone(options),
            (None, Close::No | Close::Write) => return Err(DropReason::NoTcpSocket),
        };
        let mut connection = Connection::new(now, &self.config.tcp, &options, opened, path);
        if segment.syn {
            // Our ACK ends the handshake; after a plain ACK of the peer's it is already over.
            connection.owe_ack(now);
        }
        match close {
            Close::No => {}
            Close::Write => connection.shutdown_write(),
            // Nothing has been read: it ends by a FIN.
            Close::Socket(_) => {
                let end = connection.abandon(now, self.config.tcp.orphan_timeout);
                debug_assert!(end.is_none(), "nothing has arrived that could be unread");
            }
        }
        entry.flow = Flow::Open(Box::new(connection));
        self.states.report(now, entry, observer); // It may be over before anything is transmitted.
        let owner = entry.owner;
        if let Some(socket) = socket {
            (socket.kind, socket.soft_error) = (Kind::Connected(id), None);
        }
        self.touch_flow(id);
        if let Owner::Socket(socket) = owner {
            self.touch_socket(socket);
        }
        let rest = segment.clone().without_syn();
        if rest.len() == 0 && rest.ack.is_some() && rest.urgent.is_none() {
            return Ok(()); // The SYN's ACK and window are what the connection started from.
        }
        self.receive_for_flow(now, id, &rest, observer)
    }

    /// shutdown(2) of a socket that connects. In SYN-SENT, CLOSE deletes the connection (RFC 9293
    /// §3.10.4), and as on Linux whatever direction is shut; the socket is told of a reset. In
    /// SYN-RECEIVED the FIN waits for the handshake.
    pub(super) fn shut_connecting(
        &mut self,
        now: Instant,
        id: SocketId,
        flow: FlowId,
        how: Shutdown,
    ) -> Result<(), SocketError> {
        if let Some(connecting) = self.in_syn_received(flow) {
            if how != Shutdown::Read {
                connecting.close(Close::Write);
            }
            let socket = self.socket_mut(id)?;
            socket.is_read_shut |= how != Shutdown::Write;
            return Ok(());
        }
        self.abort_flow(now, flow);
        let socket = self.socket_mut(id)?;
        (socket.kind, socket.error) = (Kind::Fresh, Some(SocketError::Reset));
        self.touch_socket(id);
        Ok(())
    }

    /// close(2) of a socket that connects. In SYN-SENT nobody has heard of us; in SYN-RECEIVED the
    /// peer has, and gets our FIN once the handshake is through, or an RST if that is asked for.
    pub(super) fn close_connecting(
        &mut self,
        now: Instant,
        flow: FlowId,
        options: Arc<SocketOptions>,
    ) {
        let is_abort = options.linger == Some(Duration::ZERO);
        match self.in_syn_received(flow) {
            Some(connecting) if !is_abort => {
                connecting.close(Close::Socket(options));
                self.give_to(flow, Owner::Nobody);
            }
            Some(_) | None => self.abort_flow(now, flow),
        }
    }

    /// The open, if the peer's SYN has crossed ours.
    fn in_syn_received(&mut self, id: FlowId) -> Option<&mut Connecting> {
        match &mut self.flows.get_mut(id)?.flow {
            Flow::Connecting(open) if open.tcp_state() == TcpState::SynReceived => Some(open),
            Flow::Connecting(_) | Flow::HalfOpen(_) | Flow::Open(_) | Flow::TimeWait(_) => None,
        }
    }

    /// An active open has failed: refused, or nobody answered. The socket may try again.
    pub(super) fn end_connecting(
        &mut self,
        now: Instant,
        id: FlowId,
        error: Option<SocketError>,
        observer: &mut dyn Observer,
    ) {
        let Some(entry) = self.remove_flow(now, id, observer) else { return };
        let Owner::Socket(socket_id) = entry.owner else { return };
        if let Some(socket) = self.sockets.get_mut(socket_id) {
            (socket.kind, socket.has_failed) = (Kind::Fresh, true);
            socket.is_read_shut = false; // It was said of this open, and counts for no other.
            // What routers said while nobody answered tells more than the silence (MUST-47).
            let silence = socket.soft_error.take().unwrap_or(SocketError::TimedOut);
            socket.error = Some(error.unwrap_or(silence));
            self.touch_socket(socket_id);
        }
    }
}
