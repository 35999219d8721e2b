//! UDP sockets and echo sockets by handle.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

use super::socket::Kind;
use super::{DropReason, EchoReply, Instant, Readiness, SocketId, SocketOptions, Stack};
use crate::error::SocketError;
use crate::ip::{Cast, Datagram, Echo, IcmpError, Packet};
use crate::packet::{Checksum, Head, Outgoing};
use crate::rng::Rng;
use crate::udp::{Peer, UdpId, UdpOptions};
use crate::wire::ipv4::PROTOCOL_UDP;
use crate::wire::udp::UdpHeader;

/// Datagrams that may wait for the device: beyond, `send_to` would block.
const DEPARTURES_MAX: usize = 1024;

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
    /// `MessageTooLong`: it does not fit into one packet; `NotConnected`: no `to` and no peer;
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
        let Kind::Udp(udp) = self.socket(id)?.kind else { return Err(SocketError::NotSupported) };
        if self.departures.len() >= DEPARTURES_MAX {
            return Err(SocketError::WouldBlock);
        }
        let to = to.map(|addr| self.peer(addr));
        let transmit = self.udp.send(udp, to, octets, self.ip.mtu())?;
        let destination = *transmit.destination.ip();
        let source = match transmit.source {
            Some(source) => source,
            None => self.ip.source_for(destination).ok_or(SocketError::NetworkUnreachable)?,
        };
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
            is_split: false,
        };
        let mut head = Head::new();
        self.ip.output(&packet, UdpHeader::LEN + transmit.payload.len(), &mut head)?;
        header
            .emit(source, destination, &transmit.payload, &mut head)
            .ok_or(SocketError::MessageTooLong)?;
        let payload = std::iter::once(transmit.payload).collect();
        self.departures.push_back(Outgoing { head, payload, ..Outgoing::default() });
        Ok(octets.len())
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
        if self.departures.len() >= DEPARTURES_MAX {
            return Err(SocketError::WouldBlock);
        }
        let data = Bytes::copy_from_slice(data);
        let request = self.ip.echo_request(to, ident, sequence, data, ttl)?;
        self.departures.push_back(request);
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

    /// A UDP datagram arrived. One for which there is no socket is answered, if it may be.
    pub(super) fn receive_datagram(
        &mut self,
        now: Instant,
        datagram: &Datagram,
    ) -> Result<(), DropReason> {
        if !datagram.is_ours && datagram.cast == Cast::Unicast {
            return Err(DropReason::NotOurs); // Only TCP listeners can ask for any destination.
        }
        let Datagram { source, destination, .. } = *datagram;
        let taken = match datagram.offload.checksum {
            Checksum::Complete => self.udp.input(source, destination, &datagram.payload),
            Checksum::Verified | Checksum::Partial => {
                self.udp.input_verified(source, destination, &datagram.payload)
            }
        };
        match taken {
            Ok(udp) => {
                self.touch_udp(udp);
                Ok(())
            }
            Err(DropReason::NoUdpSocket) if datagram.is_ours => {
                let answer = self.ip.port_unreachable(now, datagram)?;
                self.outbox.push(now, answer)?;
                Err(DropReason::NoUdpSocket)
            }
            Err(reason) => Err(reason),
        }
    }

    /// An ICMP error about a datagram of ours.
    pub(super) fn receive_udp_error(&mut self, error: &IcmpError) -> Result<(), DropReason> {
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
        let IpAddr::V4(addr) = to.ip() else { return Err(SocketError::InvalidAddress) };
        let source = self.ip.source_for(addr).ok_or(SocketError::NetworkUnreachable)?;
        let peer = self.peer(to);
        self.udp.connect(udp, source.into(), peer)
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
            .and(Readiness::WRITABLE, self.departures.len() < DEPARTURES_MAX || has_error)
            .and(Readiness::READABLE, self.udp.has_datagram(udp) || has_error)
            .and(Readiness::ERROR, has_error)
    }
}
