//! Packets made and read by hand: the peer's side of scripts, fuzzing and benches.
//!
//! This shares no code with `wire`, so that a mistake there cannot hide itself from the tests.
//! [`Packet::decode`] is strict: whatever a stack of ours sends must pass it.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::packet::Frame;

/// IP protocol numbers.
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The control bits of RFC 9293 §3.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(u8);

#[expect(missing_docs, reason = "the RFC defines each name")]
impl TcpFlags {
    pub const NONE: Self = Self(0);
    pub const FIN: Self = Self(1);
    pub const SYN: Self = Self(2);
    pub const RST: Self = Self(4);
    pub const PSH: Self = Self(8);
    pub const ACK: Self = Self(16);
    pub const URG: Self = Self(32);
    pub const ECE: Self = Self(64);
    pub const CWR: Self = Self(128);
}

impl TcpFlags {
    /// The bits as they stand in the header.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits as they stand in the header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other`'s bits are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One IPv4 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// DSCP and ECN bits.
    pub tos: u8,
    /// Time to live, hops.
    pub ttl: u8,
    /// Identification.
    pub ident: u16,
    /// The DF bit.
    pub dont_fragment: bool,
    /// Raw IP options, a multiple of four octets.
    pub ip_options: Vec<u8>,
    /// What it carries.
    pub content: Content,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment.
    Tcp(TcpSegment),
    /// A UDP datagram.
    Udp(UdpDatagram),
    /// An ICMP message.
    Icmp(IcmpMessage),
    /// Anything else, unread.
    Other {
        /// IP protocol number.
        protocol: u8,
        /// The octets behind the IP header.
        octets: Vec<u8>,
    },
}

/// A TCP segment with absolute numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of RFC 9293 §3.1")]
pub struct TcpSegment {
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: TcpFlags,
    pub window: u16,
    pub urgent: u16,
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of RFC 768")]
pub struct UdpDatagram {
    pub source_port: u16,
    pub destination_port: u16,
    pub payload: Vec<u8>,
}

/// An ICMP message: its first four octets without the checksum, the next four, and the data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of RFC 792")]
pub struct IcmpMessage {
    pub kind: u8,
    pub code: u8,
    pub rest: [u8; 4],
    pub data: Vec<u8>,
}

impl Packet {
    /// A packet from `source` to `destination` with the fields that Linux would choose.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, content: Content) -> Self {
        Self {
            source,
            destination,
            tos: 0,
            ttl: 64,
            ident: 0,
            dont_fragment: true,
            ip_options: Vec::new(),
            content,
        }
    }

    /// A bare TCP segment from one endpoint to the other; the caller fills in the rest.
    pub fn tcp(source: SocketAddrV4, destination: SocketAddrV4, flags: TcpFlags) -> Self {
        let segment = TcpSegment {
            source_port: source.port(),
            destination_port: destination.port(),
            seq: 0,
            ack: 0,
            flags,
            window: u16::MAX,
            urgent: 0,
            options: Vec::new(),
            payload: Vec::new(),
        };
        Self::new(*source.ip(), *destination.ip(), Content::Tcp(segment))
    }

    /// The TCP segment that it carries.
    pub fn segment(&self) -> Option<&TcpSegment> {
        match &self.content {
            Content::Tcp(segment) => Some(segment),
            Content::Udp(_) | Content::Icmp(_) | Content::Other { .. } => None,
        }
    }

    /// Source with its port; the port is 0 where there is none.
    pub fn source_addr(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.source, self.ports().0)
    }

    /// Destination with its port; the port is 0 where there is none.
    pub fn destination_addr(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.destination, self.ports().1)
    }

    fn ports(&self) -> (u16, u16) {
        match &self.content {
            Content::Tcp(segment) => (segment.source_port, segment.destination_port),
            Content::Udp(datagram) => (datagram.source_port, datagram.destination_port),
            Content::Icmp(_) | Content::Other { .. } => (0, 0),
        }
    }

    /// The octets of the packet, all lengths and checksums right.
    pub fn encode(&self) -> Vec<u8> {
        let (protocol, body) = match &self.content {
            Content::Tcp(segment) => (TCP, segment.encode(self.source, self.destination)),
            Content::Udp(datagram) => (UDP, datagram.encode(self.source, self.destination)),
            Content::Icmp(message) => (ICMP, message.encode()),
            Content::Other { protocol, octets } => (*protocol, octets.clone()),
        };
        let header_len = 20 + self.ip_options.len();
        let words = u8::try_from(header_len / 4).expect("IP options have at most 40 octets");
        let total = u16::try_from(header_len + body.len()).expect("a packet fits 16 bits");
        let mut octets = vec![0x40 | words, self.tos];
        octets.extend(total.to_be_bytes());
        octets.extend(self.ident.to_be_bytes());
        octets.extend([u8::from(self.dont_fragment) << 6, 0, self.ttl, protocol, 0, 0]);
        octets.extend(self.source.octets());
        octets.extend(self.destination.octets());
        octets.extend(&self.ip_options);
        let sum = checksum(&[&octets]);
        put(&mut octets, 10, sum);
        octets.extend(body);
        octets
    }

    /// The octets as a frame that has arrived.
    pub fn to_frame(&self) -> Frame {
        Frame::new(self.encode())
    }

    /// Reads a packet that a stack has sent, and finds fault with every checksum, length and
    /// reserved bit that is not as it must be (MUST-2, MUST-68, MUST-69).
    pub fn decode(octets: &[u8]) -> Result<Self, String> {
        let &[vihl, tos, t0, t1, i0, i1, f0, f1, ttl, protocol, _, _, ref rest @ ..] = octets
        else {
            return Err(format!("only {} octets", octets.len()));
        };
        let header_len = usize::from(vihl & 15) * 4;
        if vihl >> 4 != 4 || header_len < 20 {
            return Err(format!("version and header length are {vihl:#04x}"));
        }
        let (&[s0, s1, s2, s3, d0, d1, d2, d3], _) =
            rest.split_first_chunk().ok_or("IP header cut short")?;
        let total = usize::from(u16::from_be_bytes([t0, t1]));
        if total != octets.len() {
            return Err(format!("total length {total} of {} octets", octets.len()));
        }
        let (header, body) = octets.split_at_checked(header_len).ok_or("IP header cut short")?;
        if checksum(&[header]) != 0 {
            return Err("wrong IP header checksum".into());
        }
        if f0 & 0x80 != 0 || f0 & 0x3f != 0 || f1 != 0 {
            return Err(format!("flags and fragment offset are {f0:#04x} {f1:#04x}"));
        }
        let source = Ipv4Addr::new(s0, s1, s2, s3);
        let destination = Ipv4Addr::new(d0, d1, d2, d3);
        let content = match protocol {
            TCP => Content::Tcp(TcpSegment::decode(source, destination, body)?),
            UDP => Content::Udp(UdpDatagram::decode(source, destination, body)?),
            ICMP => Content::Icmp(IcmpMessage::decode(body)?),
            _ => Content::Other { protocol, octets: body.to_vec() },
        };
        Ok(Self {
            source,
            destination,
            tos,
            ttl,
            ident: u16::from_be_bytes([i0, i1]),
            dont_fragment: f0 & 0x40 != 0,
            ip_options: header.get(20..).unwrap_or_default().to_vec(),
            content,
        })
    }
}

impl TcpSegment {
    /// SEG.LEN: octets of data, SYN and FIN.
    pub fn len(&self) -> u32 {
        let data = u32::try_from(self.payload.len()).expect("a packet fits 16 bits");
        data + u32::from(self.flags.contains(TcpFlags::SYN))
            + u32::from(self.flags.contains(TcpFlags::FIN))
    }

    /// Whether it takes no room in the sequence space.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn encode(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let header_len = 20 + self.options.len().next_multiple_of(4);
        let words = u8::try_from(header_len / 4).expect("TCP options have at most 40 octets");
        let mut octets = Vec::with_capacity(header_len + self.payload.len());
        octets.extend(self.source_port.to_be_bytes());
        octets.extend(self.destination_port.to_be_bytes());
        octets.extend(self.seq.to_be_bytes());
        octets.extend(self.ack.to_be_bytes());
        octets.extend([words << 4, self.flags.bits()]);
        octets.extend(self.window.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(self.urgent.to_be_bytes());
        octets.extend(&self.options);
        octets.resize(header_len, 0);
        octets.extend(&self.payload);
        let sum = checksum(&[&pseudo_header(source, destination, TCP, octets.len()), &octets]);
        put(&mut octets, 16, sum);
        octets
    }

    fn decode(source: Ipv4Addr, destination: Ipv4Addr, octets: &[u8]) -> Result<Self, String> {
        if checksum(&[&pseudo_header(source, destination, TCP, octets.len()), octets]) != 0 {
            return Err("wrong TCP checksum".into());
        }
        let (&[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3], rest) =
            octets.split_first_chunk().ok_or("TCP header cut short")?;
        let (&[offset, flags, w0, w1, _, _, u0, u1], rest) =
            rest.split_first_chunk().ok_or("TCP header cut short")?;
        let options_len =
            (usize::from(offset >> 4) * 4).checked_sub(20).ok_or("TCP data offset below 5")?;
        if offset & 15 != 0 {
            return Err("reserved bits of the TCP header are set".into());
        }
        let (options, payload) =
            rest.split_at_checked(options_len).ok_or("TCP data offset past the end")?;
        check_options(options)?;
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: TcpFlags::from_bits(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options: options.to_vec(),
            payload: payload.to_vec(),
        })
    }
}

/// Whether the IP header and the transport have checksums that hold, as far as `octets` can be
/// read at all. Unlike [`Packet::decode`] this judges nothing else.
pub fn checksums_hold(octets: &[u8]) -> bool {
    let &[vihl, _, t0, t1, _, _, _, _, _, protocol, ..] = octets else {
        return false;
    };
    let total = usize::from(u16::from_be_bytes([t0, t1]));
    let header_len = usize::from(vihl & 15) * 4;
    let parts = octets.get(..total).and_then(|octets| octets.split_at_checked(header_len));
    let Some((header, body)) = parts.filter(|(header, _)| header.len() >= 20) else {
        return false;
    };
    let pseudo = match (protocol, header.get(12..20)) {
        (TCP | UDP, Some(addrs)) => {
            let len = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
            [addrs, &[0, protocol], &len].concat()
        }
        _ => Vec::new(),
    };
    checksum(&[header]) == 0 && checksum(&[&pseudo, body]) == 0
}

/// Each option but EOL and NOP has a length that fits, and only zeros follow EOL.
fn check_options(mut options: &[u8]) -> Result<(), String> {
    loop {
        options = match options {
            [] => return Ok(()),
            [0, rest @ ..] if rest.iter().all(|&octet| octet == 0) => return Ok(()),
            [0, ..] => return Err("octets other than zero after the end of options".into()),
            [1, rest @ ..] => rest,
            [kind, len, ..] if *len >= 2 => options
                .get(usize::from(*len)..)
                .ok_or_else(|| format!("TCP option {kind} runs out of the header"))?,
            [kind, ..] => return Err(format!("TCP option {kind} has no length")),
        }
    }
}

impl UdpDatagram {
    fn encode(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let len = u16::try_from(8 + self.payload.len()).expect("a packet fits 16 bits");
        let mut octets = Vec::with_capacity(usize::from(len));
        octets.extend(self.source_port.to_be_bytes());
        octets.extend(self.destination_port.to_be_bytes());
        octets.extend(len.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(&self.payload);
        let sum = checksum(&[&pseudo_header(source, destination, UDP, octets.len()), &octets]);
        put(&mut octets, 6, if sum == 0 { 0xffff } else { sum });
        octets
    }

    fn decode(source: Ipv4Addr, destination: Ipv4Addr, octets: &[u8]) -> Result<Self, String> {
        let (&[s0, s1, d0, d1, l0, l1, c0, c1], payload) =
            octets.split_first_chunk().ok_or("UDP header cut short")?;
        if usize::from(u16::from_be_bytes([l0, l1])) != octets.len() {
            return Err("wrong UDP length".into());
        }
        if (c0, c1) == (0, 0) {
            return Err("UDP datagram without a checksum".into());
        }
        if checksum(&[&pseudo_header(source, destination, UDP, octets.len()), octets]) != 0 {
            return Err("wrong UDP checksum".into());
        }
        Ok(Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            payload: payload.to_vec(),
        })
    }
}

impl IcmpMessage {
    fn encode(&self) -> Vec<u8> {
        let mut octets = vec![self.kind, self.code, 0, 0];
        octets.extend(self.rest);
        octets.extend(&self.data);
        let sum = checksum(&[&octets]);
        put(&mut octets, 2, sum);
        octets
    }

    fn decode(octets: &[u8]) -> Result<Self, String> {
        if checksum(&[octets]) != 0 {
            return Err("wrong ICMP checksum".into());
        }
        let (&[kind, code, _, _, r0, r1, r2, r3], data) =
            octets.split_first_chunk().ok_or("ICMP header cut short")?;
        Ok(Self { kind, code, rest: [r0, r1, r2, r3], data: data.to_vec() })
    }
}

/// The pseudo-header of RFC 9293 §3.1 and RFC 768.
fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, len: usize) -> [u8; 12] {
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    let [l0, l1] = u16::try_from(len).expect("a packet fits 16 bits").to_be_bytes();
    [s0, s1, s2, s3, d0, d1, d2, d3, 0, protocol, l0, l1]
}

/// The Internet checksum (RFC 1071), word by word as the RFC tells it. Every piece but the last
/// has an even length.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for piece in pieces {
        for word in piece.chunks(2) {
            let high = word.first().copied().unwrap_or(0);
            let low = word.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([high, low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    !u16::try_from(sum & 0xffff).expect("masked to 16 bits")
}

/// Puts `octets` into a packet from `place` on, and makes the checksum of its IP header anew
/// unless it was that which was overwritten.
pub fn overwrite(packet: &mut [u8], place: usize, octets: &[u8]) {
    if let Some(target) = packet.get_mut(place..place + octets.len()) {
        target.copy_from_slice(octets);
    }
    let header_len = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    if (place..place + octets.len()).contains(&10) {
        return;
    }
    put(packet, 10, 0);
    let sum = packet.get(..header_len).map_or(0, |header| checksum(&[header]));
    put(packet, 10, sum);
}

/// Writes a 16-bit field at `at`.
fn put(octets: &mut [u8], at: usize, value: u16) {
    if let Some(field) = octets.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Packet {
        let mut packet = Packet::tcp(
            "10.7.0.1:5000".parse().unwrap(),
            "10.7.0.2:80".parse().unwrap(),
            TcpFlags::ACK.with(TcpFlags::PSH),
        );
        if let Content::Tcp(segment) = &mut packet.content {
            segment.seq = u32::MAX;
            segment.options = vec![1, 1, 253, 2];
            segment.payload = vec![1, 2, 3];
        }
        packet
    }

    #[test]
    fn a_packet_decodes_to_itself() {
        let others = [
            Content::Udp(UdpDatagram { source_port: 1, destination_port: 2, payload: vec![9; 5] }),
            Content::Icmp(IcmpMessage { kind: 8, code: 0, rest: [1, 2, 3, 4], data: vec![7; 3] }),
            Content::Other { protocol: 99, octets: vec![1] },
            example().content,
        ];
        for content in others {
            let packet = Packet { content, ..example() };
            assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }

    #[test]
    fn a_flip_of_any_bit_is_found_out() {
        let octets = example().encode();
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Packet::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn options_that_run_out_or_end_in_rubbish_are_found_out() {
        for (options, is_good) in [
            (vec![2, 4, 5, 180], true),
            (vec![1, 3, 3, 7], true),
            (vec![0, 0, 0, 0], true),
            (vec![0, 1, 0, 0], false),
            (vec![1, 1, 1, 2], false),
            (vec![2, 1, 5, 180], false),
            (vec![2, 5, 5, 180], false),
        ] {
            assert_eq!(check_options(&options).is_ok(), is_good, "{options:?}");
        }
    }
}
