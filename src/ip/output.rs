//! The header of a packet that is to leave.

use std::net::Ipv4Addr;

use super::Ipv4;
use crate::error::SocketError;
use crate::packet::Head;
use crate::wire::ipv4::Ipv4Header;

/// Where the destination stands in a header (RFC 791 §3.1).
const DESTINATION: std::ops::Range<usize> = 16..20;

/// What a transport decides about the header of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// One of our addresses; under [`any_destination`](crate::InterfaceConfig::any_destination)
    /// any that a host can have.
    pub(crate) source: Ipv4Addr,
    /// A peer, a broadcast or a group.
    pub(crate) destination: Ipv4Addr,
    /// Protocol number of the payload.
    pub(crate) protocol: u8,
    /// DSCP (6 bits) and ECN (2 bits).
    pub(crate) tos: u8,
    /// Time to live, 1 to 255.
    pub(crate) ttl: u8,
    /// Whether routers must not fragment it: for senders that hear how much fits (RFC 1191).
    pub(crate) dont_fragment: bool,
    /// How many packets the device makes of it, at least 1. If several, the MTU bounds each of
    /// them, which is the sender's care.
    pub(crate) parts: u16,
}

/// Why a packet cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendError {
    /// It is longer than the MTU, and fragments are not made.
    TooLong,
    /// The source is none of ours.
    Source,
    /// Nobody can have the destination.
    Destination,
}

impl From<SendError> for SocketError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TooLong => Self::MessageTooLong,
            SendError::Source => Self::AddressNotAvailable,
            SendError::Destination => Self::NetworkUnreachable,
        }
    }
}

impl Ipv4 {
    /// Appends the header of `packet` to `head`; the caller appends the transport's header behind
    /// it. `payload_len` counts all octets behind the IP header.
    pub(crate) fn output(
        &mut self,
        packet: &Packet,
        payload_len: usize,
        head: &mut Head,
    ) -> Result<(), SendError> {
        let &Packet { source, destination, protocol, tos, ttl, dont_fragment, parts } = packet;
        if parts == 1 && payload_len > self.mtu - Ipv4Header::LEN {
            return Err(SendError::TooLong);
        }
        let is_good_source = self.is_ours(source) || self.any_destination && self.is_host(source);
        if !is_good_source {
            return Err(SendError::Source);
        }
        if !self.may_send_to(destination) {
            return Err(SendError::Destination);
        }
        let ident = if dont_fragment {
            0 // An atomic datagram: the ID has no meaning (RFC 6864 §4.1).
        } else {
            self.idents.next(source, destination, protocol, parts)
        };
        let header = Ipv4Header {
            tos,
            ident,
            dont_fragment,
            more_fragments: false,
            fragment_offset: 0,
            ttl: ttl.max(1), // A host never sends a 0 (RFC 1122 §3.2.1.7).
            protocol,
            source,
            destination,
        };
        header.emit(payload_len, head).ok_or(SendError::TooLong)
    }

    /// Whether a packet that begins with `head`, which [`Ipv4::output`] has made, is for one of our
    /// own addresses.
    pub(crate) fn is_to_ourselves(&self, head: &Head) -> bool {
        destination_of(head).is_some_and(|addr| self.is_ours(addr))
    }
}

/// Where a packet that begins with `head` goes; `None` if that is no IP header.
pub(crate) fn destination_of(head: &Head) -> Option<Ipv4Addr> {
    let octets = head.get(DESTINATION)?.first_chunk::<4>()?;
    Some(Ipv4Addr::from(*octets))
}
