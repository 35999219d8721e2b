//! The headers of one segment as a template for those of the segments behind it.
//!
//! Segments of a bulk transfer differ from the one before in very little (RFC 1144 §3.2 made a
//! compression of it). Whoever has checked the first one need not take the next apart: all that is
//! not its own is compared as it stands.

use std::net::Ipv4Addr;

use super::checksum::Sum;
use super::ipv4::Ipv4Header;
use super::tcp::{CHECKSUM_AT, FLAGS_AT, TcpFlags, TcpHeader};

/// Octets of a packet that a template keeps: of the headers those without IP options and with 24
/// octets of TCP options at most. A timestamps option and its padding are 12.
const LEN: usize = 64;

/// Octets of both headers without options.
const FIXED: usize = Ipv4Header::LEN + TcpHeader::LEN;

/// Which bits of the fixed headers a follower has in common with its template. It has its own total
/// length, identification, checksums and sequence number, and PSH may be set or not.
const COMMON: [u8; FIXED] = {
    let mut common = [0xff; FIXED];
    let [l0, l1, i0, i1] = [2, 3, 4, 5]; // Total length and identification.
    let [c0, c1] = [10, 11]; // The header's checksum.
    let [q0, q1, q2, q3] = [SEQ_AT, SEQ_AT + 1, SEQ_AT + 2, SEQ_AT + 3];
    let [k0, k1] = [Ipv4Header::LEN + CHECKSUM_AT, Ipv4Header::LEN + CHECKSUM_AT + 1];
    let own = [l0, l1, i0, i1, c0, c1, q0, q1, q2, q3, k0, k1];
    let mut n = 0;
    while n < own.len() {
        common[own[n]] = 0;
        n += 1;
    }
    common[Ipv4Header::LEN + FLAGS_AT] = !TcpFlags::PSH.bits();
    common
};

/// Where in a packet without IP options the sequence number stands.
const SEQ_AT: usize = Ipv4Header::LEN + 4;

/// The first octets of a packet that has passed all checks: an IPv4 header without options, a TCP
/// header, and text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderTemplate([u8; LEN]);

/// What is a segment's own, of one whose headers are otherwise those of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Follower<'a> {
    /// SEG.SEQ.
    pub(crate) seq: u32,
    /// The text.
    pub(crate) text: &'a [u8],
}

impl HeaderTemplate {
    /// The template that `packet` is; `None` if it is too short or has more options.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        let template = Self(*packet.first_chunk()?);
        let is_one = template.0[0] == 0x45 && (FIXED..=LEN).contains(&template.header_len());
        is_one.then_some(template)
    }

    /// Octets of both headers.
    fn header_len(&self) -> usize {
        Ipv4Header::LEN + usize::from(self.0[Ipv4Header::LEN + 12] >> 4) * 4
    }

    /// What is `packet`'s own, if nothing else in its headers differs from the template's. If it
    /// [is intact](Self::is_intact) too, all that the checks of a packet look at is as it was when
    /// the template passed them. `None`: they must look themselves.
    #[inline]
    pub(crate) fn follower<'a>(&self, packet: &'a [u8]) -> Option<Follower<'a>> {
        let head = packet.first_chunk::<FIXED>()?;
        let differ = |((ours, theirs), common): ((&u8, &u8), &u8)| (ours ^ theirs) & common;
        let octets = self.0.iter().zip(head).zip(&COMMON);
        if octets.map(differ).fold(0, |all, octet| all | octet) != 0 {
            return None;
        }
        let (headers, text) = packet.split_at_checked(self.header_len())?;
        let total_len = u16::from_be_bytes([head[2], head[3]]);
        let is_one = usize::from(total_len) == packet.len()
            && headers[FIXED..] == self.0[FIXED..headers.len()];
        let seq = [head[SEQ_AT], head[SEQ_AT + 1], head[SEQ_AT + 2], head[SEQ_AT + 3]];
        is_one.then_some(Follower { seq: u32::from_be_bytes(seq), text })
    }

    /// Whether the checksums of a follower hold, that of TCP only if `is_summed`.
    #[inline]
    pub(crate) fn is_intact(&self, packet: &[u8], is_summed: bool) -> bool {
        let Some((ip, segment)) = packet.split_at_checked(Ipv4Header::LEN) else { return false };
        Sum::default().add(ip).is_valid()
            && (!is_summed
                || TcpHeader::checksum_is_valid(self.source(), self.destination(), segment))
    }

    fn source(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[12], self.0[13], self.0[14], self.0[15])
    }

    fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.0[16], self.0[17], self.0[18], self.0[19])
    }
}
