//! The checks on a packet that has arrived, cheapest and most basic first (RFC 1122 §3.2.1).

use std::net::Ipv4Addr;

use super::{Cast, Datagram, Ipv4, Via};
use crate::observe::DropReason;
use crate::packet::Frame;
use crate::wire::ParseError;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv4_options::{Ipv4Option, options};

impl Ipv4 {
    /// Checks a packet: well-formed, of a possible source, without source route, for us, and whole.
    ///
    /// The time to live is not among the checks: a host must not discard a packet because it
    /// arrived with less than 2, so not even with 0 (RFC 1122 §3.2.1.7).
    pub(super) fn check(&self, frame: Frame, via: Via) -> Result<Datagram, DropReason> {
        let offload = frame.offload();
        let mut octets = frame.into_bytes();
        let view = Ipv4Header::parse(&octets).map_err(drop_reason)?;
        let (header, header_len, total_len) = (view.header, view.header_len, view.total_len);
        self.check_source(header.source, via)?;
        check_options(view.options)?;
        let cast = self.cast(header.destination);
        let is_ours = cast != Cast::Unicast || self.is_ours(header.destination);
        if !is_ours && !self.takes_foreign(header.destination) {
            return Err(DropReason::NotOurs);
        }
        if header.is_fragment() {
            return Err(DropReason::Fragment);
        }
        octets.truncate(total_len); // What lies past it is padding of the link.
        Ok(Datagram {
            source: header.source,
            destination: header.destination,
            cast,
            is_ours,
            protocol: header.protocol,
            tos: header.tos,
            ttl: header.ttl,
            offload,
            octets,
            header_len,
        })
    }

    /// Whether a host can have sent this (RFC 1122 §3.2.1.3): from the device one other than we
    /// (RFC 9293 §3.9.2.3, MUST-63: no foreign packet may look like our own).
    ///
    /// A source of 0.0.0.0 is refused as well: it belongs to hosts that do not know their address
    /// yet, and nobody here serves them.
    fn check_source(&self, source: Ipv4Addr, via: Via) -> Result<(), DropReason> {
        if self.is_ours(source) && via == Via::Device {
            Err(DropReason::OwnSource)
        } else if !self.is_host(source) {
            Err(DropReason::MartianSource)
        } else {
            Ok(())
        }
    }

    /// Whether a packet to the unicast address `destination` is let in though it is not ours.
    fn takes_foreign(&self, destination: Ipv4Addr) -> bool {
        self.any_destination && self.is_host(destination)
    }
}

/// Refuses source routes (RFC 7126 §4.3 and §4.4) and options that run out of the header.
///
/// All other options, known or not, are ignored: RFC 9293 §3.9.2, MUST-50.
fn check_options(octets: &[u8]) -> Result<(), DropReason> {
    for option in options(octets) {
        match option.map_err(|_| DropReason::IpOption)? {
            Ipv4Option::LooseSourceRoute(_) | Ipv4Option::StrictSourceRoute(_) => {
                return Err(DropReason::SourceRoute);
            }
            Ipv4Option::RecordRoute(_)
            | Ipv4Option::Timestamp(_)
            | Ipv4Option::RouterAlert(_)
            | Ipv4Option::Unknown { .. } => {}
        }
    }
    Ok(())
}

/// Why an IP header that cannot be read is dropped.
pub(super) fn drop_reason(error: ParseError) -> DropReason {
    match error {
        ParseError::Truncated => DropReason::Truncated,
        ParseError::Version => DropReason::IpVersion,
        ParseError::BadLength => DropReason::BadLength,
        ParseError::Checksum => DropReason::IpChecksum,
    }
}
