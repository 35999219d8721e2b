//! UDP (RFC 768, RFC 1122 §4.1): sockets, where they are bound, and their datagrams.
//!
//! ```text
//! IP payload ──▶ input ──▶ bind table ──▶ connected filter ──▶ queue of the socket ──▶ receive
//! octets ──▶ send ──▶ Transmit ──▶ (the stack puts both headers on)
//! ```
//!
//! Which addresses are ours, which are broadcasts, and from where a packet leaves: all that is the
//! caller's to know. A place belongs to one socket, or to several that all ask for SO_REUSEPORT; a
//! datagram, be it broadcast or multicast, goes to one socket at most.

mod binds;
mod input;
mod output;
mod socket;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;

use self::binds::Binds;
pub(crate) use self::output::Transmit;
pub(crate) use self::socket::UdpOptions;
use self::socket::UdpSocket;
use crate::collections::{SlotMap, new_key_type};
use crate::error::SocketError;
use crate::rng::{KeyedHash, Rng};
use crate::wire::steering::Share;

/// Ports for sockets that do not ask for a certain one: those of Linux (`ip_local_port_range`).
const EPHEMERAL_PORTS: RangeInclusive<u16> = 32_768..=60_999;

new_key_type! {
    /// A UDP socket, until it is closed.
    pub(crate) struct UdpId;
}

/// All UDP sockets of a host.
#[derive(Debug)]
pub(crate) struct Udp {
    sockets: SlotMap<UdpId, UdpSocket>,
    binds: Binds,
    rng: Rng,
    /// Spreads peers over sockets that share a place.
    key: KeyedHash,
    /// Only what it owns arrives here; `None`: everything does.
    share: Option<Share>,
}

/// Whom a socket sends to: what the application said, and what IP knows about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Address and port.
    pub(crate) addr: SocketAddr,
    /// Whether the address is a broadcast, for which the socket needs permission.
    pub(crate) is_broadcast: bool,
}

impl Udp {
    /// No sockets; ephemeral ports follow from `rng`.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut rng = Rng::new(&rng.seed());
        let key = rng.key();
        Self { sockets: SlotMap::with_key(), binds: Binds::default(), rng, key, share: None }
    }

    /// From now on only ports that `share` owns are bound to.
    pub(crate) fn set_share(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// A new socket, not bound.
    pub(crate) fn open(&mut self) -> UdpId {
        self.sockets.insert(UdpSocket::default())
    }

    /// Gives a socket and its binding up, with all that waits in it. A stale handle does nothing.
    pub(crate) fn close(&mut self, id: UdpId) {
        if let Some(socket) = self.sockets.remove(id)
            && let Some(local) = socket.local
        {
            self.binds.remove(local, socket.peer, id);
        }
    }

    /// Binds a socket to `local`, and says to what: port 0 stands for a free ephemeral port, the
    /// unspecified address for all of ours. Whether any other address is ours is the caller's to
    /// know.
    pub(crate) fn bind(&mut self, id: UdpId, local: SocketAddr) -> Result<SocketAddr, SocketError> {
        let local = ipv4(local)?;
        if self.socket(id)?.local.is_some() {
            return Err(SocketError::InvalidArgument);
        }
        self.bind_free(id, local).map(SocketAddr::V4)
    }

    /// Sets or changes the peer: only its datagrams are taken in from now on, and `send` needs no
    /// destination. The socket is bound to `source` if it had no address of its own.
    ///
    /// A peer whose port is 0 is its address, whatever port its datagrams come from, and `send`
    /// sends to port 0. Datagrams that wait already stay, whoever sent them. Both as on Linux.
    pub(crate) fn connect(
        &mut self,
        id: UdpId,
        source: IpAddr,
        remote: Peer,
    ) -> Result<(), SocketError> {
        let peer = check_address(&remote)?;
        let source = *ipv4(SocketAddr::new(source, 0))?.ip();
        let socket = self.socket(id)?;
        if remote.is_broadcast && !socket.options.broadcast {
            return Err(SocketError::PermissionDenied);
        }
        let local = match socket.local {
            None => self.bind_free(id, SocketAddrV4::new(source, 0))?,
            // Nobody who does not share can have the place: binding to all addresses took the
            // whole port.
            Some(any) if any.ip().is_unspecified() => SocketAddrV4::new(source, any.port()),
            Some(local) => local,
        };
        self.rebind(id, local, Some(peer))?;
        let socket = self.socket_mut(id)?;
        socket.peer_is_broadcast = remote.is_broadcast;
        Ok(())
    }

    /// Gives the peer up: the socket hears of everybody again, where it was bound before it had
    /// one. If its port has been given out at another address by now it stays at its own.
    pub(crate) fn disconnect(&mut self, id: UdpId) -> Result<(), SocketError> {
        let UdpSocket { local, peer, was_at_all, shares_port, .. } = *self.socket(id)?;
        let Some(local) = local else { return Ok(()) };
        self.binds.remove(local, peer, id);
        let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, local.port());
        let is_free = was_at_all && self.binds.is_free(all, shares_port);
        self.put(id, if is_free { all } else { local }, None)
    }

    /// Where a socket is bound; 0.0.0.0:0 if it is not.
    pub(crate) fn local_addr(&self, id: UdpId) -> Result<SocketAddr, SocketError> {
        let unbound = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        Ok(self.socket(id)?.local.unwrap_or(unbound).into())
    }

    /// The peer of a connected socket; as on Linux there is none to tell of whose port is 0.
    pub(crate) fn peer_addr(&self, id: UdpId) -> Result<SocketAddr, SocketError> {
        let peer = self.socket(id)?.peer.filter(|peer| peer.port() != 0);
        Ok(peer.ok_or(SocketError::NotConnected)?.into())
    }

    /// Whether a socket has a peer.
    pub(crate) fn is_connected(&self, id: UdpId) -> Result<bool, SocketError> {
        Ok(self.socket(id)?.peer.is_some())
    }

    /// Changes the options of a socket. A smaller receive buffer takes nothing away that waits.
    pub(crate) fn set_options(
        &mut self,
        id: UdpId,
        options: UdpOptions,
    ) -> Result<(), SocketError> {
        let socket = self.socket_mut(id)?;
        if options.ttl == 0 {
            return Err(SocketError::InvalidArgument);
        }
        socket.options = options;
        Ok(())
    }

    /// Whether the datagrams for `port` come to this host, and not to a sibling of the same
    /// addresses.
    fn owns(&self, port: u16) -> bool {
        self.share.is_none_or(|share| share.owns_udp_port(port))
    }

    /// Binds the unbound socket `id`, choosing the port if `local` has none.
    ///
    /// The port is the first free one from a random place on (RFC 6056 §3.3.1). Each step costs a
    /// look-up, so a call walks long only when nearly all of the range is taken.
    fn bind_free(&mut self, id: UdpId, local: SocketAddrV4) -> Result<SocketAddrV4, SocketError> {
        let UdpOptions { reuse_port, local_port_range, .. } = self.socket(id)?.options;
        let chosen = if local.port() != 0 {
            if !self.owns(local.port()) {
                return Err(SocketError::AddressNotAvailable);
            }
            self.binds.is_free(local, reuse_port).then_some(local)
        } else {
            let (first, last) = port_range(local_port_range);
            let offset = self.rng.below(u64::from(last - first) + 1);
            let start = u16::try_from(u64::from(first) + offset).expect("not above last");
            (start..=last)
                .chain(first..start)
                .map(|port| SocketAddrV4::new(*local.ip(), port))
                .find(|place| self.owns(place.port()) && self.binds.is_free(*place, false))
        };
        let bound = chosen.ok_or(SocketError::AddressInUse)?;
        let socket = self.socket_mut(id)?;
        socket.shares_port = reuse_port;
        socket.was_at_all = bound.ip().is_unspecified();
        self.put(id, bound, None)?;
        Ok(bound)
    }

    /// Moves a bound socket to `local` and `peer`.
    fn rebind(
        &mut self,
        id: UdpId,
        local: SocketAddrV4,
        peer: Option<SocketAddrV4>,
    ) -> Result<(), SocketError> {
        let UdpSocket { local: before, peer: earlier, .. } = *self.socket(id)?;
        if let Some(before) = before {
            self.binds.remove(before, earlier, id);
        }
        self.put(id, local, peer)
    }

    /// Puts a socket that stands nowhere to `local` and `peer`.
    fn put(
        &mut self,
        id: UdpId,
        local: SocketAddrV4,
        peer: Option<SocketAddrV4>,
    ) -> Result<(), SocketError> {
        let socket = self.sockets.get_mut(id).ok_or(SocketError::BadHandle)?;
        (socket.local, socket.peer) = (Some(local), peer);
        socket.peer_is_broadcast = false;
        self.binds.insert(local, peer, socket.shares_port, id);
        Ok(())
    }

    fn socket(&self, id: UdpId) -> Result<&UdpSocket, SocketError> {
        self.sockets.get(id).ok_or(SocketError::BadHandle)
    }

    fn socket_mut(&mut self, id: UdpId) -> Result<&mut UdpSocket, SocketError> {
        self.sockets.get_mut(id).ok_or(SocketError::BadHandle)
    }
}

/// The ports to choose from: a socket's own bound that lies outside of ours counts as ours.
fn port_range(own: Option<(u16, u16)>) -> (u16, u16) {
    let (first, last) = EPHEMERAL_PORTS.into_inner();
    let bound = |own, ours| if EPHEMERAL_PORTS.contains(&own) { own } else { ours };
    own.map_or((first, last), |own| (bound(own.0, first), bound(own.1, last)))
}

/// An address of the family that we speak.
fn ipv4(addr: SocketAddr) -> Result<SocketAddrV4, SocketError> {
    match addr {
        SocketAddr::V4(addr) => Ok(addr),
        SocketAddr::V6(_) => Err(SocketError::InvalidAddress),
    }
}

/// An address and a port to which a datagram can be sent.
fn check_peer(peer: &Peer) -> Result<SocketAddrV4, SocketError> {
    let addr = check_address(peer)?;
    if addr.port() == 0 { Err(SocketError::InvalidArgument) } else { Ok(addr) }
}

/// An address to which a datagram can be sent.
///
/// Linux takes 0.0.0.0 as ourselves; here it is refused, as for TCP (RFC 9293 MUST-46).
pub(crate) fn check_address(peer: &Peer) -> Result<SocketAddrV4, SocketError> {
    let addr = ipv4(peer.addr)?;
    if addr.ip().is_unspecified() { Err(SocketError::InvalidArgument) } else { Ok(addr) }
}
