//! The socket calls by handle. Each does what the system call of its name does, and never blocks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::listeners::{Child, ListenerEntry, Share};
use super::lists::FlowList;
use super::memory::WRITE_MIN;
use super::socket::{Kind, Socket};
use super::{Instant, Owner, Readiness, Shutdown, SocketId, Stack, TcpState, touch};
use crate::error::SocketError;
use crate::ip::Cast;
use crate::tcp::{Connection, Listener};
use crate::time::Duration;
use crate::wire::Endpoint;

/// The address of a socket that has none.
const UNBOUND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Stack {
    /// socket(2): a TCP socket.
    ///
    /// # Errors
    ///
    /// `NoBuffers`: there are as many sockets as the stack may have.
    pub fn tcp_socket(&mut self) -> Result<SocketId, SocketError> {
        self.add_socket(Kind::Fresh)
    }

    /// Adds a socket with default options.
    pub(super) fn add_socket(&mut self, kind: Kind) -> Result<SocketId, SocketError> {
        if self.sockets.len() >= self.config.limits.sockets_max {
            return Err(SocketError::NoBuffers);
        }
        Ok(self.sockets.insert(Socket::new(kind, Arc::clone(&self.default_options))))
    }

    /// The socket.
    pub(super) fn socket(&self, id: SocketId) -> Result<&Socket, SocketError> {
        self.sockets.get(id).ok_or(SocketError::BadHandle)
    }

    /// The socket.
    pub(super) fn socket_mut(&mut self, id: SocketId) -> Result<&mut Socket, SocketError> {
        self.sockets.get_mut(id).ok_or(SocketError::BadHandle)
    }

    /// bind(2). Port 0 stands for a free ephemeral port, 0.0.0.0 for all of our addresses. A UDP
    /// socket may also bind to a broadcast address or a group, of which alone it hears then.
    ///
    /// # Errors
    ///
    /// `AddressInUse`: another socket has the place and does not share it, or no ephemeral port is
    /// free; `AddressNotAvailable`: the address is none of ours; `InvalidAddress`: it is an IPv6
    /// one; `InvalidArgument`: the socket is bound already, or has or had a connection;
    /// `NotSupported`: it is a socket for echoes.
    pub fn bind(&mut self, id: SocketId, addr: SocketAddr) -> Result<(), SocketError> {
        let socket = self.socket(id)?;
        let ipv4 = match addr.ip() {
            IpAddr::V4(ipv4) => ipv4,
            IpAddr::V6(_) => return Err(SocketError::InvalidAddress),
        };
        let is_any = ipv4.is_unspecified() || socket.options.any_destination;
        // A broadcast or a group: that is all that a UDP socket then hears.
        let is_heard = matches!(socket.kind, Kind::Udp(_)) && self.ip.cast(ipv4) != Cast::Unicast;
        if !(is_any || is_heard || self.ip.is_ours(ipv4)) {
            return Err(SocketError::AddressNotAvailable);
        }
        match socket.kind {
            Kind::Udp(udp) => return self.udp.bind(udp, addr).map(|_| ()),
            Kind::Fresh if socket.bound.is_none() => {}
            Kind::Fresh
            | Kind::Listening(_)
            | Kind::Connecting(_)
            | Kind::Connected(_)
            | Kind::Ended(_) => return Err(SocketError::InvalidArgument),
            Kind::Echo(_) => return Err(SocketError::NotSupported),
        }
        let share = Share::of(&socket.options);
        let range = socket.options.local_port_range;
        let port = match addr.port() {
            0 => {
                let listeners = &self.listeners;
                let port = self.ports.choose(range, |port| !listeners.is_bound(port));
                port.ok_or(SocketError::AddressInUse)?
            }
            port => port,
        };
        let local = Endpoint::new(addr.ip(), port);
        self.listeners.bind(id, local, share)?;
        self.socket_mut(id)?.bound = Some(Box::new(local));
        Ok(())
    }

    /// listen(2): OPEN, passive (RFC 9293 §3.10.1). On a socket that listens it changes the
    /// backlog. An unbound socket gets an ephemeral port.
    ///
    /// The backlog counts as 1 at least and as [`TcpConfig::backlog_max`](crate::TcpConfig) at
    /// most. As on Linux it bounds two queues: so many connections may be half-open before SYNs are
    /// answered by cookies or dropped ([`SynCookies`](crate::SynCookies)), and besides them one
    /// more than so many may wait for `accept` before SYNs and last ACKs are dropped.
    ///
    /// # Errors
    ///
    /// `AddressInUse`: somebody listens there (MUST-41), or no ephemeral port is free;
    /// `InvalidArgument`: the socket has or had a connection; `NotSupported`: it is no TCP socket.
    pub fn listen(&mut self, id: SocketId, backlog: u32) -> Result<(), SocketError> {
        let backlog = backlog.clamp(1, self.config.tcp.backlog_max);
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        match self.socket(id)?.kind {
            Kind::Fresh => {}
            Kind::Listening(listener) => {
                if let Some(entry) = self.listeners.get_mut(listener) {
                    entry.listener.set_backlog(backlog);
                }
                return Ok(());
            }
            Kind::Connecting(_) | Kind::Connected(_) | Kind::Ended(_) => {
                return Err(SocketError::InvalidArgument);
            }
            Kind::Udp(_) | Kind::Echo(_) => return Err(SocketError::NotSupported),
        }
        if self.socket(id)?.bound.is_none() {
            self.bind(id, UNBOUND)?;
        }
        let socket = self.socket(id)?;
        let local = *socket.bound.as_deref().ok_or(SocketError::InvalidArgument)?;
        let entry = ListenerEntry {
            socket: id,
            listener: Listener::new(backlog, self.config.tcp.syn_cookies),
            children: FlowList::default(),
            options: Arc::clone(&socket.options),
        };
        let listener = self.listeners.listen(local, entry)?;
        let socket = self.socket_mut(id)?;
        socket.kind = Kind::Listening(listener);
        // What ended an earlier use is not the listener's.
        (socket.error, socket.has_failed) = (None, false);
        Ok(())
    }

    /// accept(2): a socket for the connection that has waited longest, and its peer. The socket
    /// inherits the listener's options. The connection may have ended by now: reading then gives
    /// what came before, and then the error.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: nobody waits; `InvalidArgument`: the socket does not listen; `NoBuffers`:
    /// somebody waits, and there are as many sockets as the stack may have.
    pub fn accept(
        &mut self,
        _now: Instant,
        id: SocketId,
    ) -> Result<(SocketId, SocketAddr), SocketError> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let Kind::Listening(listener_id) = socket.kind else {
            return Err(SocketError::InvalidArgument);
        };
        let is_full = self.sockets.len() >= self.config.limits.sockets_max;
        let listener = self.listeners.get_mut(listener_id).ok_or(SocketError::InvalidArgument)?;
        if is_full && listener.listener.is_ready() {
            return Err(SocketError::NoBuffers);
        }
        let child = listener.listener.accept().ok_or(SocketError::WouldBlock)?;
        let options = Arc::clone(&listener.options);
        let (kind, flow, error, remote) = match child {
            Child::Open(flow) => {
                let entry = self.flows.get_mut(flow).ok_or(SocketError::WouldBlock)?;
                // What the listener was told since it was opened.
                if entry.set_options(&options) {
                    touch(&mut self.ready, &mut self.memory, flow, entry);
                }
                (Kind::Connected(flow), Some(flow), None, entry.tuple.remote.into())
            }
            Child::Ended(ended, error) => {
                let remote = ended.remote.into();
                (Kind::Ended(ended), None, error, remote)
            }
        };
        let accepted = self.sockets.insert(Socket { error, ..Socket::new(kind, options) });
        if let Some(flow) = flow {
            self.give_to(flow, Owner::Socket(accepted));
        }
        self.touch_socket(accepted);
        Ok((accepted, remote))
    }

    /// connect(2). TCP: OPEN, active; the first call is answered by `InProgress`, and the end is
    /// told by [`Readiness::WRITABLE`]: then [`take_error`](Self::take_error) says how it went. If
    /// it has failed both directions are closed until the socket is used anew, as on Linux.
    /// UDP: sets the peer.
    ///
    /// # Errors
    ///
    /// `InProgress`, `AlreadyInProgress`, `AlreadyConnected`; `InvalidAddress`: it is an IPv6 one;
    /// `NetworkUnreachable`: no host can have the address (MUST-46), as Linux says of broadcasts
    /// and groups; `Refused`: port 0; `AddressNotAvailable`: no port is free, or the bound one is
    /// in use towards this peer; `NoBuffers`. Of UDP instead, `InvalidArgument`: 0.0.0.0;
    /// `PermissionDenied`: a broadcast address without SO_BROADCAST.
    pub fn connect(
        &mut self,
        now: Instant,
        id: SocketId,
        remote: SocketAddr,
    ) -> Result<(), SocketError> {
        match self.socket(id)?.kind {
            Kind::Fresh => {
                let socket = self.socket_mut(id)?;
                if let Some(error) = socket.error.take() {
                    socket.has_failed = false;
                    return Err(error);
                }
                self.open_active(now, id, remote)?;
                Err(SocketError::InProgress)
            }
            Kind::Connecting(_) => Err(SocketError::AlreadyInProgress),
            Kind::Connected(_) | Kind::Ended(_) | Kind::Listening(_) => {
                Err(SocketError::AlreadyConnected)
            }
            Kind::Udp(udp) => self.connect_udp(udp, remote),
            Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }

    /// read(2): RECEIVE. `Ok(0)` is the end of the file, or an empty buffer. A read stops at the
    /// mark of urgent data (see [`at_mark`](Self::at_mark)).
    ///
    /// What came before a FIN or an RST can be read; then an error comes, once; then the end.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; `NotConnected`; the connection's own: `Reset`, `TimedOut`, …
    pub fn read(
        &mut self,
        _now: Instant,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<usize, SocketError> {
        self.read_stream(id, buffer)
    }

    /// recv(2) with MSG_PEEK: as [`read`](Self::read), and the octets stay.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn peek(&mut self, id: SocketId, buffer: &mut [u8]) -> Result<usize, SocketError> {
        if buffer.is_empty() {
            return self.socket(id).map(|_| 0);
        }
        if matches!(self.socket(id)?.kind, Kind::Udp(_)) {
            return self.peek_from(id, buffer).map(|(octets, _)| octets);
        }
        self.read_with(
            id,
            buffer,
            |open, buffer| open.peek(buffer),
            |rest, buffer| rest.peek(buffer),
        )
    }

    /// write(2): SEND. Takes as many octets as there is room for, and says how many.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: there is no room, or the connection is being opened; `BrokenPipe`: the
    /// sending side is closed; `NotConnected`; the connection's own, once.
    pub fn write(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &[u8],
    ) -> Result<usize, SocketError> {
        self.write_stream(id, octets)
    }

    /// send(2) with MSG_MORE: as [`write`](Self::write), and a segment that is not full waits for
    /// the next write, for 200 ms at most.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_more(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &[u8],
    ) -> Result<usize, SocketError> {
        // Of a part nothing follows that anybody has promised.
        let more = |part: &[u8]| part.len() == octets.len();
        self.write_with(id, octets, |open, part| open.write(part, more(part)))
    }

    /// shutdown(2). For the writing side this is CLOSE of RFC 9293 §3.10.4: what has been written
    /// is sent, then our FIN; reading goes on. It returns at once.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn shutdown(
        &mut self,
        now: Instant,
        id: SocketId,
        how: Shutdown,
    ) -> Result<(), SocketError> {
        let flow = match &self.socket(id)?.kind {
            Kind::Connected(flow) => *flow,
            Kind::Listening(listener) => {
                let listener = *listener;
                if how != Shutdown::Write {
                    // As on Linux: a listener that is shut for reading listens no more.
                    self.close_listener(now, listener);
                    let socket = self.socket_mut(id)?;
                    socket.kind = Kind::Fresh;
                    socket.error = Some(SocketError::InvalidArgument);
                    self.touch_socket(id);
                }
                return Ok(());
            }
            Kind::Connecting(flow) => {
                let flow = *flow;
                return self.shut_connecting(now, id, flow, how);
            }
            Kind::Fresh | Kind::Ended(_) | Kind::Udp(_) | Kind::Echo(_) => {
                return Err(SocketError::NotConnected);
            }
        };
        if how != Shutdown::Write {
            self.socket_mut(id)?.is_read_shut = true;
        }
        if how != Shutdown::Read
            && let Some(open) = self.flows.get_mut(flow).and_then(|entry| entry.connection_mut())
        {
            open.shutdown_write();
            self.touch_flow(flow);
        }
        self.touch_socket(id);
        Ok(())
    }

    /// close(2): gives the handle up; nothing is read any more (MAY-1). A connection ends in the
    /// background; octets that were not read, or a linger time of zero, reset it. A listener
    /// resets those who wait.
    pub fn close(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.sockets.remove(id) else { return };
        let sockets = &self.sockets;
        self.dirty.sweep(sockets.len(), |other| sockets.contains_key(other));
        if let Some(bound) = socket.bound {
            self.listeners.unbind(id, *bound);
        }
        match socket.kind {
            Kind::Fresh => {}
            Kind::Ended(ended) => self.memory.release(ended.unread.allocated()),
            Kind::Listening(listener) => self.close_listener(now, listener),
            Kind::Connecting(flow) => self.close_connecting(now, flow, socket.options),
            Kind::Connected(flow) => {
                let is_abort = socket.options.linger == Some(Duration::ZERO);
                self.give_to(flow, Owner::Nobody);
                let Some(entry) = self.flows.get_mut(flow) else { return };
                let Some(open) = entry.connection_mut() else { return };
                if is_abort && !open.is_reset_due() {
                    self.remove_flow(now, flow, &mut ());
                    return;
                }
                let patience = self.config.tcp.orphan_timeout;
                match if is_abort { None } else { Some(open.abandon(now, patience)) } {
                    Some(None) => self.touch_flow(flow),
                    // Nobody will read what came: the peer must learn that (SHLD-3).
                    Some(Some(_)) | None => self.abort_flow(now, flow),
                }
            }
            Kind::Udp(udp) => {
                self.udp.close(udp);
                self.udp_sockets.remove(udp);
            }
            Kind::Echo(echo) => self.echo.close(&echo),
        }
    }

    /// Whether it is a socket that connections are accepted from.
    pub(crate) fn is_listener(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_some_and(|socket| matches!(socket.kind, Kind::Listening(_)))
    }

    /// What the socket is ready for; nothing for a stale handle.
    pub fn readiness(&self, id: SocketId) -> Readiness {
        let Some(socket) = self.sockets.get(id) else { return Readiness::default() };
        let both = Readiness::READABLE.with(Readiness::WRITABLE);
        let closed = Readiness::READ_CLOSED.with(Readiness::WRITE_CLOSED);
        let has_error = socket.error.is_some();
        let ready = Readiness::default().and(both.with(Readiness::ERROR), has_error);
        match &socket.kind {
            Kind::Fresh => ready.and(both.with(closed), socket.has_failed),
            Kind::Connecting(_) => ready,
            Kind::Listening(listener) => {
                let waits = self.listeners.get(*listener).is_some_and(|e| e.listener.is_ready());
                ready.and(Readiness::READABLE, waits)
            }
            Kind::Connected(flow) => {
                let open = self.flows.get(*flow).and_then(|entry| entry.connection());
                let has_memory = self.memory.has_room();
                open.map_or(ready, |open| ready.with(readiness_of(open, socket, has_memory)))
            }
            Kind::Ended(ended) => {
                let ready = ready.with(both).with(closed);
                ready.and(Readiness::PRIORITY, ended.unread.is_priority())
            }
            Kind::Udp(udp) => self.udp_readiness(*udp, ready),
            Kind::Echo(echo) => ready
                .and(Readiness::WRITABLE, self.departures.has_room())
                .and(Readiness::READABLE, echo.has_reply()),
        }
    }

    /// SO_ERROR: the pending error, once.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn take_error(&mut self, id: SocketId) -> Result<Option<SocketError>, SocketError> {
        if let Kind::Udp(udp) = self.socket(id)?.kind
            && let Some(error) = self.udp.take_error(udp)?
        {
            return Ok(Some(error));
        }
        Ok(self.socket_mut(id)?.error.take())
    }

    /// getsockname(2); 0.0.0.0:0 before the socket has an address.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, SocketError> {
        let socket = self.socket(id)?;
        Ok(match &socket.kind {
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                self.flows.get(*flow).map_or(UNBOUND, |entry| entry.tuple.local.into())
            }
            Kind::Ended(ended) => ended.local.into(),
            Kind::Fresh | Kind::Listening(_) => {
                socket.bound.as_deref().map_or(UNBOUND, |&at| at.into())
            }
            Kind::Udp(udp) => self.udp.local_addr(*udp)?,
            Kind::Echo(_) => UNBOUND,
        })
    }

    /// getpeername(2).
    ///
    /// # Errors
    ///
    /// `NotConnected`; also once the connection is over, as on Linux.
    pub fn peer_addr(&self, id: SocketId) -> Result<SocketAddr, SocketError> {
        match &self.socket(id)?.kind {
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                let entry = self.flows.get(*flow);
                // Once the peer's SYN has crossed ours there is one, as on Linux.
                let entry = entry.filter(|entry| entry.tcp_state() != TcpState::SynSent);
                Ok(entry.ok_or(SocketError::NotConnected)?.tuple.remote.into())
            }
            Kind::Udp(udp) => self.udp.peer_addr(*udp),
            Kind::Fresh | Kind::Listening(_) | Kind::Ended(_) | Kind::Echo(_) => {
                Err(SocketError::NotConnected)
            }
        }
    }
}

/// What a socket with this connection is ready for.
fn readiness_of(open: &Connection, socket: &Socket, has_memory: bool) -> Readiness {
    let is_end = open.is_finished() || socket.is_read_shut;
    let ready = Readiness::default()
        .and(Readiness::READABLE, is_end || open.readable() > 0)
        .and(Readiness::PRIORITY, open.is_priority())
        .and(Readiness::READ_CLOSED, is_end);
    if open.writable().is_none() {
        return ready.with(Readiness::WRITABLE).with(Readiness::WRITE_CLOSED);
    }
    // By the buffer that the connection has: the socket may have been told of another since.
    let may_write = has_memory || open.unacknowledged() < WRITE_MIN;
    ready.and(Readiness::WRITABLE, may_write && open.is_write_worthwhile())
}

#[cfg(test)]
#[path = "tests/calls.rs"]
mod tests;
