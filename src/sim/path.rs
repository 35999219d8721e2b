//! A link further on that carries smaller packets than a host's own, and the router before it.

use std::net::Ipv4Addr;

use super::craft::{Content, IcmpMessage, Packet};
use crate::packet::Frame;
use crate::time::Instant;

/// The address of the router that stands before the narrow link.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 254);

/// What the router does about a packet that is too long for the link, beside dropping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// It says so, and how much fits (RFC 1191 §4).
    Tells,
    /// It says so, and not how much fits, as routers before RFC 1191.
    TellsNoSize,
    /// It, or a filter on the way back, says nothing: a black hole (RFC 2923 §2.1).
    Silent,
}

/// The way from one host to all others.
///
/// Only what the host sends takes it; give the other host one too for both directions.
#[derive(Clone, Debug)]
pub struct Path {
    router: Router,
    /// From when on how many octets fit, in order; before the first of them, as many as come.
    mtus: Vec<(Instant, usize)>,
    /// How many packets were too long.
    pub too_long: u64,
}

impl Path {
    /// Packets of up to `mtu` octets pass from the beginning.
    pub fn new(router: Router, mtu: usize) -> Self {
        Self { router, mtus: vec![(Instant::ZERO, mtu)], too_long: 0 }
    }

    /// From `at` on it is `mtu` octets. `at` lies past the earlier changes.
    #[must_use]
    pub fn then(mut self, at: Instant, mtu: usize) -> Self {
        self.mtus.push((at, mtu));
        self
    }

    /// Whether the packet passes; if not, what the host is told.
    pub(super) fn carries(&mut self, now: Instant, octets: &[u8]) -> Result<(), Option<Frame>> {
        let mtu = self.mtus.iter().rev().find(|(from, _)| *from <= now).map(|&(_, mtu)| mtu);
        let Some(mtu) = mtu.filter(|&mtu| octets.len() > mtu) else { return Ok(()) };
        self.too_long += 1;
        let told = match self.router {
            Router::Tells => u16::try_from(mtu).unwrap_or(u16::MAX),
            Router::TellsNoSize => 0,
            Router::Silent => return Err(None),
        };
        Err(too_long(octets, told))
    }
}

/// "Fragmentation needed and DF set" about a packet; it quotes the IP header and eight octets.
fn too_long(octets: &[u8], mtu: u16) -> Option<Frame> {
    let header_len = usize::from(octets.first()? & 15) * 4;
    let source = octets.get(12..16)?.first_chunk::<4>()?;
    let data = octets.get(..header_len + 8)?.to_vec();
    let [high, low] = mtu.to_be_bytes();
    let message = IcmpMessage { kind: 3, code: 4, rest: [0, 0, high, low], data };
    Some(Packet::new(ROUTER, Ipv4Addr::from(*source), Content::Icmp(message)).to_frame())
}

#[cfg(test)]
mod tests {
    use super::super::craft::TcpFlags;
    use super::*;

    /// What the host hears of a packet of `len` octets that leaves at `ms` and does not pass.
    fn heard(path: &mut Path, ms: u64, len: usize) -> Result<(), Option<IcmpMessage>> {
        let ends = ["10.7.0.2:80", "10.7.0.1:5000"].map(|addr| addr.parse().unwrap());
        let mut packet = Packet::tcp(ends[0], ends[1], TcpFlags::ACK);
        if let Content::Tcp(segment) = &mut packet.content {
            segment.payload = vec![0; len - 40];
        }
        let told = path.carries(Instant::from_millis(ms), &packet.encode());
        told.map_err(|told| {
            let answer = Packet::decode(told?.octets()).unwrap();
            assert_eq!((answer.source, answer.destination), (ROUTER, packet.source));
            match answer.content {
                Content::Icmp(message) => Some(message),
                other => panic!("{other:?}"),
            }
        })
    }

    #[test]
    fn a_packet_passes_if_it_fits_at_that_moment() {
        let mut path = Path::new(Router::Silent, 1500)
            .then(Instant::from_millis(10), 1000)
            .then(Instant::from_millis(20), 1200);
        for (ms, len, passes) in [
            (0, 1500, true),
            (0, 1501, false),
            (9, 1500, true),
            (10, 1001, false),
            (19, 1000, true),
            (20, 1200, true),
            (99, 1201, false),
        ] {
            let outcome = if passes { Ok(()) } else { Err(None) };
            assert_eq!(heard(&mut path, ms, len), outcome, "{len} at {ms} ms");
        }
        assert_eq!(path.too_long, 3);
    }

    #[test]
    fn the_router_tells_what_fits_or_that_it_does_not_or_nothing() {
        for (router, told) in [
            (Router::Tells, Some([0, 0, 5, 0])),
            (Router::TellsNoSize, Some([0; 4])),
            (Router::Silent, None),
        ] {
            let message = heard(&mut Path::new(router, 1280), 0, 1281).unwrap_err();
            assert_eq!(message.as_ref().map(|message| message.rest), told);
            if let Some(message) = message {
                assert_eq!((message.kind, message.code, message.data.len()), (3, 4, 28));
            }
        }
    }
}
