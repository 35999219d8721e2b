//! One IPv4 host (RFC 791, RFC 1122 §3). It knows no transport: it hands values up and takes
//! values down.
//!
//! ```text
//! Frame ──▶ input ──▶ Datagram ─────────────────────────────▶ Verdict::Deliver     (UDP, TCP, …)
//!              │          └── protocol 1 ──▶ icmp ──────────▶ Answer · EchoReply · Error
//!              └── a check fails ──────────────────────────▶ Drop(reason)
//! Packet ──▶ output ──▶ header in a Head
//! ```
//!
//! There is one interface and no route table: every packet that leaves takes the interface.
//! Fragments are neither made nor put together. A packet to one of our own addresses is made like
//! any other; `stack` brings it back in by a door of its own, for on the wire nobody else may have
//! our address.

mod allowance;
mod icmp;
mod ident;
mod input;
mod output;
mod path_mtu;

#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;

use bytes::{Buf as _, Bytes};

pub(crate) use self::allowance::Allowances;
pub(crate) use self::icmp::{IcmpError, IcmpErrorKind};
use self::ident::Idents;
pub(crate) use self::output::{Packet, destination_of};
pub(crate) use self::path_mtu::PathMtu;
use self::path_mtu::PathMtus;
use crate::config::InterfaceConfig;
use crate::observe::DropReason;
use crate::packet::{Frame, Offload, Outgoing};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::Ipv4Cidr;
use crate::wire::ipv4::PROTOCOL_ICMP;
use crate::wire::steering::Share;

/// Octets behind the IP header that an ICMP error quotes: RFC 792 and RFC 1122 §3.2.2 want at
/// least 8. The larger quote of RFC 1812 §4.3.2.3 is for routers.
const QUOTED_PAYLOAD: usize = 8;

/// The IPv4 side of a host.
#[derive(Debug)]
pub(crate) struct Ipv4 {
    addresses: Vec<Ipv4Cidr>,
    /// The directed broadcast addresses of their networks.
    broadcasts: Vec<Ipv4Addr>,
    /// Largest packet that we send, octets.
    mtu: usize,
    any_destination: bool,
    idents: Idents,
    /// How many ICMP errors may still leave.
    errors: Allowances,
    paths: PathMtus,
}

/// By which way a packet has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// From the device: others have sent it.
    Device,
    /// From ourselves: it was about to leave, and its destination is ours.
    Loopback,
}

/// What becomes of a packet that has arrived.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is for a protocol above IP, which may be one that nobody speaks.
    Deliver(Datagram),
    /// The answer to an echo request of ours.
    EchoReply(Echo),
    /// An ICMP error about a packet that we sent, or that somebody wants us to think we sent.
    Error(IcmpError),
    /// It is dealt with; this answer is to be sent.
    Answer(Outgoing),
    /// It goes no further.
    Drop(DropReason),
}

/// An echo reply that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Who answered.
    pub(crate) source: Ipv4Addr,
    /// Identifier, as the request had it.
    pub(crate) ident: u16,
    /// Sequence number, as the request had it.
    pub(crate) sequence: u16,
    /// Time to live that was left on arrival.
    pub(crate) ttl: u8,
    /// Octets of data.
    pub(crate) data_len: usize,
}

/// A packet that has passed all checks: no fragment, of a possible source, for us.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Who sent it: a unicast address, and one of ours only if it has come by the loopback.
    pub(crate) source: Ipv4Addr,
    /// Where it was sent to.
    pub(crate) destination: Ipv4Addr,
    /// What kind of address the destination is.
    pub(crate) cast: Cast,
    /// Whether we are meant: `false` for a foreign unicast destination, which is let in only under
    /// [`InterfaceConfig::any_destination`].
    pub(crate) is_ours: bool,
    /// Protocol number of the payload.
    pub(crate) protocol: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub(crate) tos: u8,
    /// Time to live on arrival; 0 is possible.
    pub(crate) ttl: u8,
    /// What the device has left out or has done.
    pub(crate) offload: Offload,
    /// The packet as it came, without padding.
    octets: Bytes,
    /// Octets of its header.
    header_len: usize,
}

impl Datagram {
    /// What follows the IP header.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.octets[self.header_len..]
    }

    /// What follows the IP header from `skip` octets on, by reference.
    pub(crate) fn into_payload(self, skip: usize) -> Bytes {
        let mut octets = self.octets;
        octets.advance(self.header_len + skip);
        octets
    }

    /// The header and the 8 octets behind it, for an ICMP error about this packet.
    fn quote(&self) -> &[u8] {
        &self.octets[..self.octets.len().min(self.header_len + QUOTED_PAYLOAD)]
    }
}

/// Kinds of addresses, as a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// One host, or none at all.
    Unicast,
    /// All hosts: 255.255.255.255, or the directed broadcast address of one of our networks.
    Broadcast,
    /// A group: 224.0.0.0/4.
    Multicast,
}

impl Ipv4 {
    /// The host that `config` describes; it has been validated. No path is believed to carry less
    /// than `path_mtu_min` octets.
    pub(crate) fn new(config: &InterfaceConfig, path_mtu_min: u16, rng: &mut Rng) -> Self {
        Self {
            addresses: config.addresses.clone(),
            broadcasts: config.addresses.iter().filter_map(|cidr| cidr.broadcast()).collect(),
            mtu: usize::try_from(config.mtu).expect("an MTU has 16 bits"),
            any_destination: config.any_destination,
            idents: Idents::new(rng),
            errors: Allowances::new(rng, icmp::ERROR_INTERVAL, icmp::ERROR_BURST),
            paths: PathMtus::new(path_mtu_min),
        }
    }

    /// From now on this host is one of several of the same addresses.
    pub(crate) fn set_share(&mut self, share: Share) {
        self.idents.set_share(share);
    }

    /// Checks a packet that has arrived and says what becomes of it. Nothing is sent here; an
    /// answer is handed up.
    pub(crate) fn input(&mut self, frame: Frame, via: Via) -> Verdict {
        match self.check(frame, via) {
            Ok(datagram) if datagram.protocol == PROTOCOL_ICMP => {
                self.on_icmp(&datagram).unwrap_or_else(Verdict::Drop)
            }
            Ok(datagram) => Verdict::Deliver(datagram),
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Largest packet that we send, octets.
    pub(crate) fn mtu(&self) -> usize {
        self.mtu
    }

    /// What the path to `destination` carries, as far as is known.
    pub(crate) fn path_mtu(&self, now: Instant, destination: Ipv4Addr) -> PathMtu {
        self.paths.get(now, destination, u32::try_from(self.mtu).unwrap_or(u32::MAX))
    }

    /// Another number than before says that some path carries less than it did.
    pub(crate) fn path_generation(&self) -> u32 {
        self.paths.generation()
    }

    /// A transport has found `error` to be about a packet of its own: a router had room for
    /// `claimed` octets, or does not say (0).
    pub(crate) fn on_too_big(&mut self, now: Instant, error: &IcmpError, claimed: u16) {
        let mtu = u32::try_from(self.mtu).unwrap_or(u32::MAX);
        self.paths.on_too_big(now, error.remote, (claimed, error.quoted_len), mtu);
    }

    /// Whether `addr` is one of our addresses. Broadcasts are nobody's.
    pub(crate) fn is_ours(&self, addr: Ipv4Addr) -> bool {
        self.addresses.iter().any(|cidr| cidr.addr() == addr)
    }

    /// What kind of address `addr` is, seen from here.
    pub(crate) fn cast(&self, addr: Ipv4Addr) -> Cast {
        if addr.is_multicast() {
            Cast::Multicast
        } else if addr.is_broadcast() || self.is_directed_broadcast(addr) {
            Cast::Broadcast
        } else {
            Cast::Unicast
        }
    }

    /// The address from which to send to `destination`: itself if it is ours, else the one in its
    /// network, which is the narrowest if there are several, or else our first. `None` if nothing
    /// can be sent there.
    pub(crate) fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        if !self.may_send_to(destination) {
            return None;
        }
        if self.is_ours(destination) {
            return Some(destination);
        }
        self.addresses
            .iter()
            .filter(|cidr| cidr.contains(destination))
            .min_by_key(|cidr| 32 - cidr.prefix_len())
            .or(self.addresses.first())
            .map(|cidr| cidr.addr())
    }

    /// Whether a packet may be made for `addr`: a peer, a broadcast or a group.
    fn may_send_to(&self, addr: Ipv4Addr) -> bool {
        self.is_host(addr) || self.cast(addr) != Cast::Unicast
    }

    /// Whether a host, be it us or another, can have `addr` (RFC 1122 §3.2.1.3): not 0/8, not
    /// loopback, not 240/4, no broadcast and no group.
    pub(crate) fn is_host(&self, addr: Ipv4Addr) -> bool {
        matches!(addr.octets(), [1..=126 | 128..=223, ..]) && !self.is_directed_broadcast(addr)
    }

    fn is_directed_broadcast(&self, addr: Ipv4Addr) -> bool {
        self.broadcasts.contains(&addr)
    }
}
