//! What benches may call of the layers that nobody else sees.

use super::craft::{Content, Packet, TcpFlags};
use crate::wire::checksum::Sum;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::TcpOptions;

/// The Internet checksum of `octets`.
pub fn checksum(octets: &[u8]) -> u16 {
    Sum::default().add(octets).finish()
}

/// A TCP segment of `len` octets, with timestamps, for [`parse`].
pub fn packet(len: usize) -> Vec<u8> {
    let [from, to] = ["10.7.0.1:5000", "10.7.0.2:80"].map(|addr| addr.parse().expect("literal"));
    let mut packet = Packet::tcp(from, to, TcpFlags::ACK);
    if let Content::Tcp(segment) = &mut packet.content {
        segment.options = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        segment.payload = vec![7; len];
    }
    packet.encode()
}

/// Reads IP header, TCP header and options, and judges all checksums.
pub fn parse(octets: &[u8]) -> bool {
    let Ok(ip) = Ipv4Header::parse(octets) else {
        return false;
    };
    let Some(segment) = octets.get(ip.header_len..ip.total_len) else {
        return false;
    };
    let (source, destination) = (ip.header.source, ip.header.destination);
    TcpHeader::parse(segment).is_ok_and(|tcp| TcpOptions::parse(tcp.options).is_ok())
        && TcpHeader::checksum_is_valid(source, destination, segment)
}
