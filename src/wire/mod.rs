//! Octets ↔ values. No state, no clock, no allocation; total on any input.
//!
//! Each header has a value in host byte order, a `parse` that any octets may be given to, and an
//! `emit` that appends to the [`Head`] of a packet. What `parse` gives can
//! be emitted again and is then the same.

pub(crate) mod checksum;
pub(crate) mod display;
mod endpoint;
pub(crate) mod icmpv4;
pub(crate) mod ipv4;
pub(crate) mod ipv4_options;
pub(crate) mod steering;
pub(crate) mod tcp;
pub(crate) mod tcp_options;
pub(crate) mod template;
#[cfg(test)]
mod tests;
pub(crate) mod udp;
pub(crate) mod virtio_net;

pub use self::endpoint::{Endpoint, FourTuple, Ipv4Cidr};
pub use self::steering::Steering;

use crate::packet::Head;

/// Why octets are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum ParseError {
    /// Fewer octets than the header, or than a length field says.
    Truncated,
    /// A version other than 4.
    Version,
    /// A length field is smaller than the header that holds it, or is none that the kind of
    /// message can have.
    BadLength,
    /// The header's own checksum is wrong (IPv4 only; transports are checked by their layers).
    Checksum,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Version => "not version 4",
            Self::BadLength => "bad length",
            Self::Checksum => "bad cksum",
        })
    }
}

impl std::error::Error for ParseError {}

/// Appends to the headers of a packet.
fn append(head: &mut Head, octets: &[u8]) {
    head.try_extend_from_slice(octets)
        .expect("a head has room for an IPv4 and a TCP header, each with all options");
}
