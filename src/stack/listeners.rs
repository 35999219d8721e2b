//! Who listens where, and which local places TCP sockets have taken.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use smallvec::SmallVec;

use super::demux::FlowId;
use super::lists::FlowList;
use super::socket::{Ended, SocketId};
use crate::collections::{SlotMap, new_key_type};
use crate::error::SocketError;
use crate::options::SocketOptions;
use crate::tcp::{Listener, ListenerVerdict, Promise, Promises, Segment};
use crate::time::Instant;
use crate::wire::Endpoint;

new_key_type! {
    /// A listener, for as long as its socket is open.
    pub(super) struct ListenerId;
}

/// A listener, and what its connections inherit from its socket.
#[derive(Debug)]
pub(super) struct ListenerEntry {
    /// The socket that listens.
    pub(super) socket: SocketId,
    /// Backlog and accept queue.
    pub(super) listener: Listener<Child>,
    /// Its half-open connections and those that wait for `accept`.
    pub(super) children: FlowList,
    /// What its connections inherit.
    pub(super) options: Arc<SocketOptions>,
}

/// A connection that waits for `accept`.
#[derive(Debug)]
pub(super) enum Child {
    /// It is alive.
    Open(FlowId),
    /// It has ended; whoever accepts it reads what came before the end, as on Linux.
    Ended(Box<Ended>, Option<SocketError>),
}

/// With whom a socket shares its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// SO_REUSEADDR: with those that do not listen.
    pub(super) address: bool,
    /// SO_REUSEPORT: with all that ask for it too.
    pub(super) port: bool,
}

impl Share {
    /// As the options say.
    pub(super) fn of(options: &SocketOptions) -> Self {
        Self { address: options.reuse_address, port: options.reuse_port }
    }
}

/// A place that a socket has bound.
#[derive(Clone, Copy, Debug)]
struct Bind {
    addr: IpAddr,
    socket: SocketId,
    share: Share,
    listener: Option<ListenerId>,
}

impl Bind {
    /// Whether both take some same destination.
    fn overlaps(&self, addr: IpAddr) -> bool {
        self.addr == addr || self.addr.is_unspecified() || addr.is_unspecified()
    }
}

/// What is bound to a port.
#[derive(Debug, Default)]
struct Port {
    binds: SmallVec<[Bind; 1]>,
    /// What cookies may bring back, to whichever listener they come: not always to the one that
    /// sent them, where several share the port, or shared it.
    promises: Promises,
}

/// The bound TCP sockets by port, and the listeners among them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Each with the place at which it listens.
    entries: SlotMap<ListenerId, (Endpoint, ListenerEntry)>,
    ports: BTreeMap<u16, Port>,
    /// Who listens at each place: several only if they share it, and never none.
    groups: BTreeMap<Endpoint, Group>,
}

/// Who listens at one place.
#[derive(Debug, Default)]
struct Group {
    members: SmallVec<[ListenerId; 1]>,
    /// Those of them that take any destination, so that nobody looks for them.
    takers: SmallVec<[ListenerId; 1]>,
}

impl Group {
    /// Whoever `hash` falls on, of those that count for an address that is ours or is not.
    fn pick(&self, is_ours: bool, hash: u64) -> Option<ListenerId> {
        let group = if is_ours { &self.members } else { &self.takers };
        let member = hash.checked_rem(u64::try_from(group.len()).ok()?)?;
        group.get(usize::try_from(member).ok()?).copied()
    }

    fn forget(&mut self, id: ListenerId) {
        for group in [&mut self.members, &mut self.takers] {
            group.retain(|member| *member != id);
        }
    }
}

impl Listeners {
    /// Whether any socket has bound the port.
    pub(super) fn is_bound(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    /// Binds `socket` to `local`, whose port is not 0. Two sockets may share a place if both ask
    /// for SO_REUSEPORT, or while both allow it and none of them listens, as SO_REUSEADDR means
    /// it.
    pub(super) fn bind(
        &mut self,
        socket: SocketId,
        local: Endpoint,
        share: Share,
    ) -> Result<(), SocketError> {
        let binds = &mut self.ports.entry(local.port()).or_default().binds;
        let addr = local.addr();
        let conflicts = |bind: &Bind| {
            let by_address = share.address && bind.share.address && bind.listener.is_none();
            bind.overlaps(addr) && !(by_address || (share.port && bind.share.port))
        };
        if binds.iter().any(conflicts) {
            return Err(SocketError::AddressInUse);
        }
        binds.push(Bind { addr, socket, share, listener: None });
        Ok(())
    }

    /// Gives the place of `socket` up.
    pub(super) fn unbind(&mut self, socket: SocketId, local: Endpoint) {
        if let Some(port) = self.ports.get_mut(&local.port()) {
            port.binds.retain(|bind| bind.socket != socket);
            if port.binds.is_empty() {
                self.ports.remove(&local.port());
            }
        }
    }

    /// OPEN, passive (RFC 9293 §3.10.1): the bound socket listens from now on. Established
    /// connections on the port go on; a second listener is refused (MUST-41), unless both ask for
    /// SO_REUSEPORT.
    pub(super) fn listen(
        &mut self,
        local: Endpoint,
        entry: ListenerEntry,
    ) -> Result<ListenerId, SocketError> {
        let (socket, takes_any) = (entry.socket, entry.options.any_destination);
        let port = self.ports.get_mut(&local.port()).ok_or(SocketError::InvalidArgument)?;
        let binds = &mut port.binds;
        let shares_port = binds.iter().any(|bind| bind.socket == socket && bind.share.port);
        let listens_too = |bind: &Bind| {
            let is_apart = shares_port && bind.share.port;
            bind.listener.is_some() && bind.overlaps(local.addr()) && !is_apart
        };
        if binds.iter().any(listens_too) {
            return Err(SocketError::AddressInUse);
        }
        let bind = binds.iter_mut().find(|bind| bind.socket == socket);
        let bind = bind.ok_or(SocketError::InvalidArgument)?;
        let id = self.entries.insert((local, entry));
        bind.listener = Some(id);
        let group = self.groups.entry(local).or_default();
        group.members.push(id);
        if takes_any {
            group.takers.push(id);
        }
        Ok(id)
    }

    /// The listener for a SYN to `local`: one at that very address before one at all of them; of
    /// several that share the place the one that `hash`, of both ends, falls on. `is_ours`: whether
    /// the address is; else only those count that ask for any. However many there are a packet
    /// costs the same.
    pub(super) fn find(&self, local: Endpoint, is_ours: bool, hash: u64) -> Option<ListenerId> {
        let pick = |place| self.groups.get(&place)?.pick(is_ours, hash);
        let wildcard = Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), local.port());
        pick(local).or_else(|| pick(wildcard))
    }

    /// What the listener does with a segment to `port` for which there is no connection.
    pub(super) fn judge(
        &self,
        now: Instant,
        id: ListenerId,
        port: u16,
        segment: &Segment,
    ) -> Option<ListenerVerdict> {
        let awaits_cookies = self.ports.get(&port).is_some_and(|port| port.promises.are_alive(now));
        Some(self.get(id)?.listener.judge(segment, awaits_cookies))
    }

    /// A listener on `port` sends a cookie, with this promise.
    pub(super) fn on_cookie(&mut self, now: Instant, port: u16, promise: Promise) {
        if let Some(port) = self.ports.get_mut(&port) {
            port.promises.on_cookie(now, promise);
        }
    }

    /// The promises that cookies may bring back to `port`.
    pub(super) fn promises(&self, now: Instant, port: u16) -> impl Iterator<Item = Promise> {
        self.ports.get(&port).into_iter().flat_map(move |port| port.promises.alive(now))
    }

    /// The listener.
    pub(super) fn get(&self, id: ListenerId) -> Option<&ListenerEntry> {
        self.entries.get(id).map(|(_, entry)| entry)
    }

    /// The listener.
    pub(super) fn get_mut(&mut self, id: ListenerId) -> Option<&mut ListenerEntry> {
        self.entries.get_mut(id).map(|(_, entry)| entry)
    }

    /// Takes a listener out; its socket stays bound.
    pub(super) fn remove(&mut self, id: ListenerId) -> Option<ListenerEntry> {
        let (local, entry) = self.entries.remove(id)?;
        for bind in self.ports.get_mut(&local.port()).into_iter().flat_map(|port| &mut port.binds) {
            if bind.listener == Some(id) {
                bind.listener = None;
            }
        }
        if let Some(group) = self.groups.get_mut(&local) {
            group.forget(id);
            if group.members.is_empty() {
                self.groups.remove(&local);
            }
        }
        Some(entry)
    }

    /// What the connections of a listener inherit from now on, and what it takes.
    pub(super) fn set_options(&mut self, id: ListenerId, options: Arc<SocketOptions>) {
        let Some((local, entry)) = self.entries.get_mut(id) else { return };
        let takes_any = options.any_destination;
        let took_any = std::mem::replace(&mut entry.options, options).any_destination;
        if let Some(group) = self.groups.get_mut(local)
            && takes_any != took_any
        {
            if takes_any {
                group.takers.push(id);
            } else {
                group.takers.retain(|member| *member != id);
            }
        }
    }

    /// Panics if the listeners that take any destination are not those that say so.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn check(&self) {
        for group in self.groups.values() {
            for id in &group.members {
                let takes_any = self.get(*id).is_some_and(|entry| entry.options.any_destination);
                assert_eq!(group.takers.contains(id), takes_any, "it takes any destination");
            }
            assert!(group.takers.iter().all(|id| group.members.contains(id)), "it is gone");
        }
    }

    /// All listeners.
    pub(super) fn ids(&self) -> Vec<ListenerId> {
        self.entries.keys().collect()
    }
}

#[cfg(test)]
#[path = "tests/listeners.rs"]
mod tests;
