//! Datagrams and ICMP errors that arrive, and whose they are.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Udp, UdpId};
use crate::error::SocketError;
use crate::observe::DropReason;
use crate::packet::{Checksum, Offload};
use crate::wire::udp::UdpHeader;
use crate::wire::{FourTuple, ParseError};

/// Whose datagrams have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The socket.
    pub(crate) id: UdpId,
    /// How many of them its queue had no room for.
    pub(crate) refused: usize,
}

impl Udp {
    /// Takes in the payload of an IP packet between two addresses, UDP header first, and says in
    /// whose queue it is now. The device may have checked the checksum; it may have left together
    /// what are several datagrams, which are told apart here: each of them is its own in the queue.
    ///
    /// The destination is one of our addresses, a broadcast or a group. A socket that is bound to
    /// all addresses gets all three kinds, any other what was sent to its address. What a connected
    /// socket does not want is for those without a peer, of its own place or of all addresses.
    pub(crate) fn input(
        &mut self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        octets: &[u8],
        offload: Offload,
    ) -> Result<Taken, DropReason> {
        let (header, payload) = UdpHeader::parse(octets).map_err(drop_reason)?;
        let is_summed = offload.checksum == Checksum::Complete;
        if is_summed && !UdpHeader::checksum_is_valid(source, destination, octets) {
            return Err(DropReason::TransportChecksum);
        }
        // A source port of 0 means that no answer is wanted (RFC 768).
        let source = SocketAddrV4::new(source, header.source_port);
        let place = SocketAddrV4::new(destination, header.destination_port);
        let id = self.find(place, source).ok_or(DropReason::NoUdpSocket)?;
        let socket = self.sockets.get_mut(id).ok_or(DropReason::NoUdpSocket)?;
        let size = offload.segment.map_or(usize::MAX, |size| size.get().into());
        let (first, mut rest) = payload.split_at(payload.len().min(size));
        let mut refused = usize::from(!socket.enqueue(source, first)); // One may be empty.
        while !rest.is_empty() {
            let (next, later) = rest.split_at(rest.len().min(size));
            refused += usize::from(!socket.enqueue(source, next));
            rest = later;
        }
        Ok(Taken { id, refused })
    }

    /// Who gets a datagram from `source` to `place`, as on Linux: the one that is connected to the
    /// source, or to its address; or else of those without a peer that share the place the one that
    /// a hash of both ends falls on. A socket with another peer counts for nothing.
    fn find(&self, place: SocketAddrV4, source: SocketAddrV4) -> Option<UdpId> {
        if let Some(id) = self.binds.connected(place, source) {
            return Some(id);
        }
        let open = self.binds.open(place);
        let count = u64::try_from(open.len()).ok()?;
        let hash = if count > 1 { self.key.hash((place, source)) } else { 0 };
        open.get(usize::try_from(hash.checked_rem(count)?).ok()?).copied()
    }

    /// An ICMP error about a datagram of `flow`. It becomes the pending error of the socket that
    /// is connected so, which is returned.
    ///
    /// A socket without a peer hears nothing, as on Linux: a call of its could not tell which of
    /// its destinations is meant. One with a peer hears of every error: RFC 1122 §4.1.3.3, where
    /// Linux keeps the transient ones back.
    pub(crate) fn on_icmp_error(&mut self, flow: FourTuple, error: SocketError) -> Option<UdpId> {
        let local = SocketAddrV4::new(flow.local.ipv4()?, flow.local.port());
        let remote = SocketAddrV4::new(flow.remote.ipv4()?, flow.remote.port());
        let id = self.binds.connected(local, remote)?;
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
