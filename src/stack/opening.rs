//! Active opens: OPEN of RFC 9293 §3.10.1, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use super::demux::FlowId;
use super::flow::{Flow, Owner};
use super::socket::Kind;
use super::{DropReason, Instant, Observer, SocketId, Stack, report_state};
use crate::error::SocketError;
use crate::tcp::{Connecting, ConnectingVerdict, Connection, Offer, Opened, Segment};
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
        let (options, bound) = (Arc::clone(&socket.options), socket.bound);
        let remote = Endpoint::from(remote);
        let peer = remote.ipv4().ok_or(SocketError::InvalidAddress)?;
        // RFC 9293 §3.9.1.1, MUST-46: no packet leaves for an address that no host can have.
        if !self.ip.is_host(peer) || remote.port() == 0 {
            return Err(SocketError::InvalidAddress);
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
        let (flows, listeners) = (&self.flows, &self.listeners);
        let is_free = |port| flows.find(&tuple_from(port)).is_none();
        let port = match bound {
            Some(bound) => Some(bound.port()).filter(|&port| is_free(port)),
            None => self.ports.choose(options.local_port_range, |port| {
                !listeners.is_bound(port) && is_free(port)
            }),
        };
        let tuple = tuple_from(port.ok_or(SocketError::AddressNotAvailable)?);
        let iss = self.isn.isn(now, &tuple);
        let (mtu, clock) = (self.config.interface.mtu, self.isn.timestamp_clock(&tuple));
        let offer = Offer::new(&self.config.tcp, mtu, &options, clock);
        let window = self.first_window(&options, offer);
        let connecting = Connecting::new(now, &self.config.tcp, iss, (offer, window), &options);
        let flow = Flow::Connecting(Box::new(connecting));
        let flow = self.insert_flow(tuple, flow, Owner::Socket(id), options.ttl, options.dscp());
        if let Some(socket) = self.sockets.get_mut(id) {
            socket.kind = Kind::Connecting(flow);
            socket.soft_error = None;
        }
        Ok(())
    }

    /// Carries out what a segment did to an active open.
    pub(super) fn continue_connecting(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: Segment,
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
        segment: Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let entry = self.flows.get_mut(id).ok_or(DropReason::NoTcpSocket)?;
        let Owner::Socket(socket_id) = entry.owner else { return Err(DropReason::NoTcpSocket) };
        let socket = self.sockets.get_mut(socket_id).ok_or(DropReason::NoTcpSocket)?;
        let mut connection = Connection::new(now, &self.config.tcp, &socket.options, opened);
        if segment.syn {
            // Our ACK ends the handshake; after a plain ACK of the peer's it is already over.
            connection.owe_ack(now);
        }
        (socket.kind, socket.soft_error) = (Kind::Connected(id), None);
        if std::mem::take(&mut socket.is_write_shut) {
            // CLOSE in SYN-RECEIVED waits for the connection (RFC 9293 §3.10.4).
            connection.shutdown_write();
        }
        entry.flow = Flow::Open(Box::new(connection));
        report_state(now, entry, observer); // It may be over before anything is transmitted.
        self.touch_flow(id);
        self.touch_socket(socket_id);
        let rest = segment.without_syn();
        if rest.len() == 0 && rest.ack.is_some() && rest.urgent.is_none() {
            return Ok(()); // The SYN's ACK and window are what the connection started from.
        }
        self.receive_for_flow(now, id, rest, observer)
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
            socket.kind = Kind::Fresh;
            // What routers said while nobody answered tells more than the silence (MUST-47).
            let silence = socket.soft_error.take().unwrap_or(SocketError::TimedOut);
            socket.error = Some(error.unwrap_or(silence));
            self.touch_socket(socket_id);
        }
    }
}
