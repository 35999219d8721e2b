//! Datagrams and ICMP errors that arrive, and whose they are.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::{Udp, UdpId};
use crate::error::SocketError;
use crate::observe::DropReason;
use crate::wire::udp::UdpHeader;
use crate::wire::{FourTuple, ParseError};

impl Udp {
    /// Takes in the payload of an IP packet between two addresses, UDP header first, and says in
    /// whose queue it is now.
    ///
    /// The destination is one of our addresses, a broadcast or a group. A socket that is bound to
    /// all addresses gets all three kinds, any other what was sent to its address. A datagram that
    /// a connected socket does not want is nobody's, as on Linux.
    pub(crate) fn input(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        octets: &[u8],
    ) -> Result<UdpId, DropReason> {
        let (header, payload) = UdpHeader::parse(octets).map_err(drop_reason)?;
        if !UdpHeader::checksum_is_valid(source, destination, octets) {
            return Err(DropReason::TransportChecksum);
        }
        if header.destination_port == 0 {
            return Err(DropReason::PortZero);
        }
        // A source port of 0 means that no answer is wanted (RFC 768).
        let source = SocketAddrV4::new(source, header.source_port);
        let place = SocketAddrV4::new(destination, header.destination_port);
        let id = self.find(place, source).ok_or(DropReason::NoUdpSocket)?;
        let socket = self.sockets.get_mut(id).ok_or(DropReason::NoUdpSocket)?;
        if !socket.enqueue(source, payload) {
            return Err(DropReason::UdpQueueFull);
        }
        Ok(id)
    }

    /// Who gets a datagram from `source` to `place`: of several that share the place one that is
    /// connected to the source, as on Linux, or else the one that a hash of both ends falls on.
    fn find(&self, place: SocketAddrV4, source: SocketAddrV4) -> Option<UdpId> {
        let ids = self.binds.at(place);
        let socket = |id: &UdpId| self.sockets.get(*id);
        let is_connected = |id: &&UdpId| socket(id).is_some_and(|s| s.peer == Some(source));
        if let Some(id) = ids.iter().find(is_connected) {
            return Some(*id);
        }
        let open = || ids.iter().filter(|id| socket(id).is_some_and(|s| s.peer.is_none()));
        let count = u64::try_from(open().count()).ok().filter(|&count| count > 0)?;
        let hash = if count > 1 { self.key.hash((place, source)) } else { 0 };
        open().nth(usize::try_from(hash % count).ok()?).copied()
    }

    /// An ICMP error about a datagram of `flow`. It becomes the pending error of the socket that
    /// is connected so, which is returned.
    ///
    /// A socket without a peer hears nothing, as on Linux: a call of its could not tell which of
    /// its destinations is meant. One with a peer hears of every error: RFC 1122 §4.1.3.3, where
    /// Linux keeps the transient ones back.
    pub(crate) fn on_icmp_error(&mut self, flow: FourTuple, error: SocketError) -> Option<UdpId> {
        let local = SocketAddrV4::new(flow.local.ipv4()?, flow.local.port());
        let has_peer = |id: &&UdpId| {
            let peer = self.sockets.get(**id).and_then(|socket| socket.peer);
            peer.is_some_and(|peer| SocketAddr::from(peer) == flow.remote.into())
        };
        let id = *self.binds.at(local).iter().find(has_peer)?;
        self.sockets.get_mut(id)?.error = Some(error);
        Some(id)
    }
}

/// Why a UDP header that cannot be read is dropped.
fn drop_reason(error: ParseError) -> DropReason {
    match error {
        ParseError::Truncated => DropReason::Truncated,
        ParseError::BadLength => DropReason::BadLength,
        ParseError::Checksum => DropReason::TransportChecksum,
        ParseError::Version => DropReason::IpVersion,
    }
}
