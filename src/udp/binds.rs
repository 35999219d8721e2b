//! Where UDP sockets are bound, and whose a datagram is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use smallvec::SmallVec;

use super::UdpId;

/// Who is bound where.
///
/// Trees and no hash tables, for the order of the places; a look-up is logarithmic in the number
/// of places (four or five nodes deep at 10,000), whoever shares them, and nothing a peer sends
/// can make it worse.
#[derive(Debug, Default)]
pub(super) struct Binds {
    /// Port first, so that all places of a port stand side by side.
    places: BTreeMap<(u16, Ipv4Addr), Place>,
    /// The connected ones by both ends. They may have them in common if they share their place.
    connected: BTreeMap<(SocketAddrV4, SocketAddrV4), SmallVec<[UdpId; 1]>>,
    /// How many of them have a peer with port 0, which stands for any: mostly none, and then nobody
    /// looks for one.
    any_port: usize,
}

/// An address and a port to which sockets are bound: one, or several that all share it.
#[derive(Debug)]
struct Place {
    /// How many they are, connected ones included.
    members: usize,
    /// Whether they share it.
    is_shared: bool,
    /// Those without a peer.
    open: SmallVec<[UdpId; 1]>,
}

impl Binds {
    /// Whether a socket may bind to `place`: as on Linux, all addresses and a certain one exclude
    /// each other on a port, unless it `shares` and so do all who are there.
    pub(super) fn is_free(&self, place: SocketAddrV4, shares: bool) -> bool {
        let port = place.port();
        let all = if place.ip().is_unspecified() {
            (port, Ipv4Addr::UNSPECIFIED)..=(port, Ipv4Addr::BROADCAST)
        } else {
            (port, *place.ip())..=(port, *place.ip())
        };
        let wildcard = self.places.get(&(port, Ipv4Addr::UNSPECIFIED));
        let there = self.places.range(all).map(|(_, place)| place).chain(wildcard);
        there.into_iter().all(|place| shares && place.is_shared)
    }

    /// The one that is connected to `peer` from `local`; of several the last one, as on Linux.
    pub(super) fn connected(&self, local: SocketAddrV4, peer: SocketAddrV4) -> Option<UdpId> {
        let of_peer = |peer| self.connected.get(&(local, peer))?.last().copied();
        let any_port = || of_peer(SocketAddrV4::new(*peer.ip(), 0));
        of_peer(peer).or_else(|| if self.any_port > 0 { any_port() } else { None })
    }

    /// Those without a peer who may get what is sent to `place`: they are bound to that very
    /// address or else, if there are none, to all.
    pub(super) fn open(&self, place: SocketAddrV4) -> &[UdpId] {
        let open = |addr| {
            let place = self.places.get(&(place.port(), addr));
            place.map(|place| place.open.as_slice()).filter(|open| !open.is_empty())
        };
        open(*place.ip()).or_else(|| open(Ipv4Addr::UNSPECIFIED)).unwrap_or_default()
    }

    /// `local` is a place where there is nobody, or where all share as `id` does.
    pub(super) fn insert(
        &mut self,
        local: SocketAddrV4,
        peer: Option<SocketAddrV4>,
        shares: bool,
        id: UdpId,
    ) {
        let nobody = || Place { members: 0, is_shared: shares, open: SmallVec::new() };
        let place = self.places.entry((local.port(), *local.ip())).or_insert_with(nobody);
        debug_assert!(place.members == 0 || place.is_shared && shares, "who shares not is alone");
        place.members += 1;
        match peer {
            Some(peer) => {
                self.any_port += usize::from(peer.port() == 0);
                self.connected.entry((local, peer)).or_default().push(id);
            }
            None => place.open.push(id),
        }
    }

    pub(super) fn remove(&mut self, local: SocketAddrV4, peer: Option<SocketAddrV4>, id: UdpId) {
        let key = (local.port(), *local.ip());
        let Some(place) = self.places.get_mut(&key) else { return };
        match peer {
            None => forget(&mut place.open, id),
            Some(peer) => {
                self.any_port -= usize::from(peer.port() == 0);
                if let Some(ids) = self.connected.get_mut(&(local, peer)) {
                    forget(ids, id);
                    if ids.is_empty() {
                        self.connected.remove(&(local, peer));
                    }
                }
            }
        }
        place.members -= 1;
        if place.members == 0 {
            self.places.remove(&key);
        }
    }
}

/// Takes `id` out. It is looked for from the end: a socket that connects was mostly bound just
/// before.
fn forget(ids: &mut SmallVec<[UdpId; 1]>, id: UdpId) {
    if let Some(at) = ids.iter().rposition(|&other| other == id) {
        ids.remove(at);
    }
}
