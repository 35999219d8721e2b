//! Datagrams that are to leave.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;

use super::{Peer, Udp, UdpId, check_peer};
use crate::error::SocketError;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::udp::UdpHeader;

/// Time to live of a datagram to a group (RFC 1112 §6.1): no router passes it on.
const MULTICAST_TTL: u8 = 1;

/// A datagram that is to leave.
///
/// Routers may fragment it (DF is not set): until path MTUs are remembered, a socket without peer
/// would never learn what fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transmit {
    /// The address that the socket is bound to, which may be a broadcast or a group; `None`: IP
    /// chooses.
    pub(crate) source: Option<Ipv4Addr>,
    /// The port that the socket is bound to.
    pub(crate) source_port: u16,
    /// Address and port of the receiver.
    pub(crate) destination: SocketAddrV4,
    /// The datagram without header, or several behind each other.
    pub(crate) payload: Bytes,
    /// Time to live.
    pub(crate) ttl: u8,
    /// DSCP and ECN.
    pub(crate) tos: u8,
}

impl Udp {
    /// Makes datagrams of `octets`, each with `segment` of them and the last with what is left, for
    /// `to` or else for the socket's peer; IP packets have at most `mtu` octets. A socket that is
    /// not bound yet gets an ephemeral port on all addresses. A pending error is reported first,
    /// once.
    pub(crate) fn send(
        &mut self,
        id: UdpId,
        to: Option<Peer>,
        octets: &[u8],
        segment: usize,
        mtu: usize,
    ) -> Result<Transmit, SocketError> {
        let socket = self.socket_mut(id)?;
        let (destination, is_broadcast) = if let Some(peer) = &to {
            (check_peer(peer)?, peer.is_broadcast)
        } else {
            let peer = socket.peer.ok_or(SocketError::NoDestination)?;
            (peer, socket.peer_is_broadcast)
        };
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let options = socket.options;
        if is_broadcast && !options.broadcast {
            return Err(SocketError::PermissionDenied);
        }
        if segment.min(octets.len()) > mtu.saturating_sub(Ipv4Header::LEN + UdpHeader::LEN) {
            return Err(SocketError::MessageTooLong);
        }
        let local = match socket.local {
            Some(local) => local,
            None => self.bind_free(id, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0))?,
        };
        let source = *local.ip();
        Ok(Transmit {
            source: (!source.is_unspecified()).then_some(source),
            source_port: local.port(),
            destination,
            payload: Bytes::copy_from_slice(octets),
            ttl: if destination.ip().is_multicast() { MULTICAST_TTL } else { options.ttl },
            tos: options.tos,
        })
    }
}
