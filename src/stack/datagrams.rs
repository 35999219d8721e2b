//! UDP sockets and echo sockets by handle.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;

use super::socket::Kind;
use super::{
    DropReason, EchoReply, Event, Instant, Observer, Readiness, SocketId, SocketOptions, Stack,
};
use crate::error::SocketError;
use crate::ip::{Cast, Datagram, Echo, IcmpError, IcmpErrorKind, Packet};
use crate::packet::{Head, Offload, Outgoing};
use crate::rng::Rng;
use crate::udp::{Peer, Transmit, UdpId, UdpOptions, check_address};
use crate::wire::ipv4::PROTOCOL_UDP;
use crate::wire::udp::UdpHeader;

/// Datagrams of one call, and the octets of all of them, at most: as on Linux (udp(7)).
const SEGMENTS_MAX: usize = 64;
const SEGMENTS_OCTETS_MAX: usize = 65_507;

/// Echo replies that may wait in one socket; more are dropped.
const REPLIES_MAX: usize = 128;

/// A socket that sends echo requests: the identifier that tells its answers from others'.
#[derive(Debug)]
pub(super) struct EchoSocket {
    ident: u16,
    replies: VecDeque<EchoReply>,
}

impl EchoSocket {
    /// Whether an answer waits.
    pub(super) fn has_reply(&self) -> bool {
        !self.replies.is_empty()
    }
}

/// Which socket an echo identifier belongs to.
#[derive(Debug)]
pub(super) struct EchoSockets {
    idents: BTreeMap<u16, SocketId>,
    rng: Rng,
}

impl EchoSockets {
    /// None yet.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { idents: BTreeMap::new(), rng: Rng::new(&rng.seed()) }
    }

    /// A free identifier, the first from a random one on.
    fn choose(&mut self) -> Option<u16> {
        let start = u16::try_from(self.rng.below(1 << 16)).unwrap_or(0);
        (0..=u16::MAX)
            .map(|step| start.wrapping_add(step))
            .find(|ident| !self.idents.contains_key(ident))
    }

    /// Gives an identifier up.
    pub(super) fn close(&mut self, socket: &EchoSocket) {
        self.idents.remove(&socket.ident);
    }
}

impl Stack {
    /// socket(2): a UDP socket.
    ///
    /// # Errors
    ///
    /// `NoBuffers`: there are as many sockets as the stack may have.
    pub fn udp_socket(&mut self) -> Result<SocketId, SocketError> {
        let udp = self.udp.open();
        match self.add_socket(Kind::Udp(udp)) {
            Ok(id) => {
                self.udp_sockets.insert(udp, id);
                let options = Arc::clone(&self.default_options);
                self.set_udp_options(udp, &options)?;
                Ok(id)
            }
            Err(error) => {
                self.udp.close(udp);
                Err(error)
            }
        }
    }

    /// A socket that sends echo requests and receives their answers, as ping does.
    ///
    /// # Errors
    ///
    /// `NoBuffers`: there are as many sockets as the stack may have.
    pub fn echo_socket(&mut self) -> Result<SocketId, SocketError> {
        let ident = self.echo.choose().ok_or(SocketError::NoBuffers)?;
        let socket = EchoSocket { ident, replies: VecDeque::new() };
        let id = self.add_socket(Kind::Echo(Box::new(socket)))?;
        self.echo.idents.insert(ident, id);
        Ok(id)
    }

    /// sendto(2): one datagram to `to`, or to the connected peer.
    ///
    /// # Errors
    ///
    /// `MessageTooLong`: it does not fit into one packet; `NoDestination`: no `to` and no peer;
    /// `PermissionDenied`: a broadcast that the socket has not asked for; `WouldBlock`: too many
    /// wait for the device; `NetworkUnreachable`, `InvalidAddress`; `Refused`: an earlier one
    /// found nobody listening.
    pub fn send_to(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, SocketError> {
        self.send_datagrams(id, octets, octets.len(), to)
    }

    /// sendmsg(2) with UDP_SEGMENT: as many datagrams as it takes to send `octets`, each with
    /// `segment_size` of them and the last with what is left, to `to` or to the connected peer. A
    /// device that takes that on splits them, and then they cost little more than one.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: a `segment_size` of 0, or more than 64 datagrams; `MessageTooLong`: one
    /// of them does not fit into one packet, or all of them are more than 65,507 octets; else as
    /// [`send_to`](Self::send_to). Nothing has been sent then.
    pub fn send_segments_to(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &[u8],
        segment_size: usize,
        to: Option<SocketAddr>,
    ) -> Result<usize, SocketError> {
        if octets.len() > SEGMENTS_OCTETS_MAX {
            return Err(SocketError::MessageTooLong);
        }
        if segment_size == 0 || octets.len().div_ceil(segment_size) > SEGMENTS_MAX {
            return Err(SocketError::InvalidArgument);
        }
        self.send_datagrams(id, octets, segment_size, to)
    }

    /// Sends datagrams of `size` octets each, the last of what is left.
    fn send_datagrams(
        &mut self,
        id: SocketId,
        octets: &[u8],
        size: usize,
        to: Option<SocketAddr>,
    ) -> Result<usize, SocketError> {
        let Kind::Udp(udp) = self.socket(id)?.kind else { return Err(SocketError::NotSupported) };
        // An error is told first: it is what the socket is said to be writable for.
        if !self.departures.has_room() && !self.udp.has_error(udp) {
            return Err(SocketError::WouldBlock);
        }
        let to = to.map(|addr| self.peer(addr));
        let transmit = self.udp.send(udp, to, octets, size, self.ip.mtu())?;
        let destination = *transmit.destination.ip();
        // Nothing leaves from a broadcast address or a group that a socket is bound to.
        let source = transmit.source.filter(|&source| self.ip.cast(source) == Cast::Unicast);
        let source = source
            .or_else(|| self.ip.source_for(destination))
            .ok_or(SocketError::NetworkUnreachable)?;
        if octets.len() > size && self.config.interface.splits_datagrams() {
            let segment = u16::try_from(size).ok().and_then(NonZeroU16::new);
            self.depart_datagrams(source, transmit, segment)?;
            return Ok(octets.len());
        }
        let mut rest = transmit.payload.clone();
        loop {
            let payload = rest.split_to(rest.len().min(size));
            self.depart_datagrams(source, Transmit { payload, ..transmit.clone() }, None)?;
            if rest.is_empty() {
                return Ok(octets.len());
            }
        }
    }

    /// One packet leaves: a datagram, or several that the device splits off it, each with `segment`
    /// octets.
    fn depart_datagrams(
        &mut self,
        source: Ipv4Addr,
        transmit: Transmit,
        segment: Option<NonZeroU16>,
    ) -> Result<(), SocketError> {
        let (destination, len) = (*transmit.destination.ip(), transmit.payload.len());
        let parts = segment.map_or(1, |size| len.div_ceil(size.get().into()));
        let header = UdpHeader {
            source_port: transmit.source_port,
            destination_port: transmit.destination.port(),
            checksum: 0,
        };
        let packet = Packet {
            source,
            destination,
            protocol: PROTOCOL_UDP,
            tos: transmit.tos,
            ttl: transmit.ttl,
            dont_fragment: false,
            parts: u16::try_from(parts).map_err(|_| SocketError::MessageTooLong)?,
        };
        let mut head = Head::new();
        self.ip.output(&packet, UdpHeader::LEN + len, &mut head)?;
        let payload = std::iter::once(transmit.payload).collect();
        let checksum = self.config.interface.checksum();
        header
            .emit(source, destination, &payload, checksum, &mut head)
            .ok_or(SocketError::MessageTooLong)?;
        let offload = Offload { checksum, segment };
        self.departures.push(Outgoing { head, payload, offload });
        Ok(())
    }

    /// The next of the datagrams, and of the RSTs, that wait to leave. Whoever waits for their room
    /// hears of it.
    pub(super) fn next_departure(&mut self) -> Option<Outgoing> {
        let packet = self.departures.pop()?;
        if self.departures.has_room_again() {
            let (udp, echo) = (self.udp_sockets.values(), self.echo.idents.values());
            let waiting: Vec<_> = udp.chain(echo).copied().collect();
            for id in waiting {
                self.touch_socket(id);
            }
        }
        Some(packet)
    }

    /// recvfrom(2): one datagram, cut to `buffer`, and its sender.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; `Refused`: a datagram of ours found nobody listening.
    pub fn recv_from(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr), SocketError> {
        self.receive_udp(id, buffer, false)
    }

    /// recvfrom(2) with MSG_PEEK: as [`recv_from`](Self::recv_from), and the datagram stays.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub fn peek_from(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr), SocketError> {
        self.receive_udp(id, buffer, true)
    }

    fn receive_udp(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(usize, SocketAddr), SocketError> {
        let Kind::Udp(udp) = self.socket(id)?.kind else { return Err(SocketError::NotSupported) };
        if let Some(error) = self.socket_mut(id)?.error.take() {
            return Err(error);
        }
        self.udp.receive(udp, buffer, peek)
    }

    /// Sends an echo request from an echo socket.
    ///
    /// # Errors
    ///
    /// `MessageTooLong`, `NetworkUnreachable`, `InvalidAddress`, `WouldBlock`.
    pub fn send_echo(
        &mut self,
        _now: Instant,
        id: SocketId,
        to: IpAddr,
        sequence: u16,
        data: &[u8],
    ) -> Result<(), SocketError> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let ttl = socket.options.ttl;
        let Kind::Echo(echo) = &socket.kind else { return Err(SocketError::NotSupported) };
        let ident = echo.ident;
        let IpAddr::V4(to) = to else { return Err(SocketError::InvalidAddress) };
        if !self.departures.has_room() {
            return Err(SocketError::WouldBlock);
        }
        let data = Bytes::copy_from_slice(data);
        let request = self.ip.echo_request(to, ident, sequence, data, ttl)?;
        self.departures.push(request);
        Ok(())
    }

    /// The next answer to an echo request.
    ///
    /// # Errors
    ///
    /// `WouldBlock`.
    pub fn recv_echo(&mut self, id: SocketId) -> Result<EchoReply, SocketError> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let Kind::Echo(echo) = &mut socket.kind else { return Err(SocketError::NotSupported) };
        echo.replies.pop_front().ok_or(SocketError::WouldBlock)
    }

    /// An echo reply arrived.
    pub(super) fn receive_echo(&mut self, echo: &Echo) -> Result<(), DropReason> {
        let id = *self.echo.idents.get(&echo.ident).ok_or(DropReason::IcmpUnused)?;
        let socket = self.sockets.get_mut(id).ok_or(DropReason::IcmpUnused)?;
        let Kind::Echo(waiting) = &mut socket.kind else { return Err(DropReason::IcmpUnused) };
        if waiting.replies.len() >= REPLIES_MAX {
            return Err(DropReason::UdpQueueFull);
        }
        waiting.replies.push_back(EchoReply {
            source: echo.source.into(),
            sequence: echo.sequence,
            ttl: echo.ttl,
            len: echo.data_len,
        });
        self.touch_socket(id);
        Ok(())
    }

    /// A UDP datagram arrived, or several in one packet. One for which there is no socket is
    /// answered, if it may be.
    pub(super) fn receive_datagram(
        &mut self,
        now: Instant,
        datagram: &Datagram,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        if !datagram.is_ours && datagram.cast == Cast::Unicast {
            return Err(DropReason::NotOurs); // Only TCP listeners can ask for any destination.
        }
        let Datagram { source, destination, .. } = *datagram;
        match self.udp.input(source, destination, datagram.payload(), datagram.offload) {
            Ok(taken) => {
                self.touch_udp(taken.id);
                for _ in 0..taken.refused {
                    let reason = DropReason::UdpQueueFull;
                    observer.on_event(now, &Event::PacketDropped { reason });
                }
                Ok(())
            }
            Err(DropReason::NoUdpSocket) if datagram.is_ours => {
                let answer = self.ip.port_unreachable(now, datagram)?;
                self.queue_answer(now, answer)?;
                Err(DropReason::NoUdpSocket)
            }
            Err(reason) => Err(reason),
        }
    }

    /// An ICMP error about a datagram of ours.
    pub(super) fn receive_udp_error(&mut self, error: &IcmpError) -> Result<(), DropReason> {
        if let IcmpErrorKind::FragmentationNeeded { .. } = error.kind {
            // Datagrams leave without DF, so that no router says so of them (RFC 1191 §4).
            return Err(DropReason::IcmpUnused);
        }
        let udp = self.udp.on_icmp_error(error.flow(), error.kind.socket_error());
        self.touch_udp(udp.ok_or(DropReason::IcmpUnused)?);
        Ok(())
    }

    fn touch_udp(&mut self, udp: UdpId) {
        if let Some(&id) = self.udp_sockets.get(udp) {
            self.touch_socket(id);
        }
    }

    /// connect(2) of a UDP socket: from now on it hears only of this peer.
    pub(super) fn connect_udp(&mut self, udp: UdpId, to: SocketAddr) -> Result<(), SocketError> {
        let peer = self.peer(to);
        let addr = *check_address(&peer)?.ip();
        let source = self.ip.source_for(addr).ok_or(SocketError::NetworkUnreachable)?;
        self.udp.connect(udp, source.into(), peer)
    }

    /// Whether a UDP socket has a peer; it has one whose port is 0, which
    /// [`peer_addr`](Self::peer_addr) does not name.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is no UDP socket.
    pub fn is_connected(&self, id: SocketId) -> Result<bool, SocketError> {
        let Kind::Udp(udp) = self.socket(id)?.kind else { return Err(SocketError::NotSupported) };
        self.udp.is_connected(udp)
    }

    /// A destination, and what IP knows about it.
    fn peer(&self, addr: SocketAddr) -> Peer {
        let is_broadcast = match addr.ip() {
            IpAddr::V4(ipv4) => self.is_broadcast(ipv4),
            IpAddr::V6(_) => false,
        };
        Peer { addr, is_broadcast }
    }

    fn is_broadcast(&self, addr: Ipv4Addr) -> bool {
        match self.ip.cast(addr) {
            Cast::Broadcast => true,
            Cast::Unicast | Cast::Multicast => false,
        }
    }

    /// Hands a UDP socket those of its options that UDP knows.
    pub(super) fn set_udp_options(
        &mut self,
        udp: UdpId,
        options: &SocketOptions,
    ) -> Result<(), SocketError> {
        self.udp.set_options(
            udp,
            UdpOptions {
                ttl: options.ttl,
                tos: options.tos,
                broadcast: options.broadcast,
                receive_buffer: options.receive_buffer,
                reuse_port: options.reuse_port,
                local_port_range: options.local_port_range,
            },
        )
    }

    /// Adds to `ready` what a UDP socket is ready for.
    pub(super) fn udp_readiness(&self, udp: UdpId, ready: Readiness) -> Readiness {
        let has_error = self.udp.has_error(udp);
        ready
            .and(Readiness::WRITABLE, self.departures.has_room() || has_error)
            .and(Readiness::READABLE, self.udp.has_datagram(udp) || has_error)
            .and(Readiness::ERROR, has_error)
    }
}

#[cfg(test)]
#[path = "tests/datagrams.rs"]
mod tests;
