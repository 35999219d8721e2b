//! What a device without offloads leaves to us: super-segments become packets, and checksums
//! whole (what Linux calls generic segmentation offload).

use bytes::Bytes;

use crate::packet::{Checksum, Frame, Head, Offload, Outgoing, Payload};
use crate::wire::checksum::Sum;
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::tcp::{self, TcpFlags, TcpHeader};
use crate::wire::udp::{self, UdpHeader};

/// Where in an IPv4 header its total length, identification and checksum stand (RFC 791 §3.1).
const TOTAL_LEN_AT: usize = 2;
const IDENT_AT: usize = 4;
const IP_CHECKSUM_AT: usize = 10;

/// Where in a TCP header the sequence number stands (RFC 9293 §3.1).
const SEQ_AT: usize = 4;

/// "Congestion window reduced" among the flags of TCP (RFC 3168 §6.1).
const CWR: u8 = 0x80;

/// Where in a UDP header its length stands (RFC 768).
const UDP_LEN_AT: usize = 4;

/// Hands `packet` to `each` as the packets that travel on a wire: split, with whole checksums.
///
/// A packet that leaves nothing to do is handed on as it is; so is one that is neither TCP nor
/// UDP over IPv4, which no layer of ours makes.
pub(crate) fn carry_out(packet: Outgoing, mut each: impl FnMut(Outgoing)) {
    let Offload { segment, .. } = packet.offload;
    let is_work = packet.offload.is_work();
    let Some(headers) = is_work.then(|| Headers::of(&packet.head)).flatten() else {
        return each(packet);
    };
    let total: usize = packet.payload.iter().map(Bytes::len).sum();
    let size = segment.map_or(total, |size| usize::from(size.get())).max(1);
    let mut text = Pieces { pieces: packet.payload, first: 0 };
    let mut index = 0;
    loop {
        let start = index * size;
        let end = total.min(start + size);
        let mut part = Outgoing { payload: text.take(end - start), ..Outgoing::default() };
        part.head.try_extend_from_slice(&packet.head).expect("a head fits into a head");
        headers.finish(
            &mut part.head,
            Place { index, start, is_last: end == total },
            &part.payload,
        );
        each(part);
        if end == total {
            return;
        }
        index += 1;
    }
}

/// As [`carry_out`], for a packet that has arrived.
pub(crate) fn carry_out_arrived(frame: Frame, mut each: impl FnMut(Frame)) {
    if !frame.offload().is_work() {
        return each(frame);
    }
    match taken_apart(&frame) {
        Some(packet) => carry_out(packet, |packet| each(packet.to_frame())),
        None => each(frame),
    }
}

/// The headers and the text of a packet that has arrived.
fn taken_apart(frame: &Frame) -> Option<Outgoing> {
    let mut octets = frame.clone().into_bytes();
    // Of the padding behind it nothing is a header.
    octets.truncate(Ipv4Header::parse(&octets).ok()?.total_len);
    let headers = Headers::of(&octets)?;
    let text = octets.split_off(headers.len);
    let mut head = Head::new();
    head.try_extend_from_slice(&octets).ok()?;
    let payload = std::iter::once(text).collect();
    Some(Outgoing { head, payload, offload: frame.offload() })
}

impl Offload {
    /// Whether anything was left to the device.
    fn is_work(self) -> bool {
        self.segment.is_some() || self.checksum == Checksum::Partial
    }
}

/// What is written next to each other, to be taken from the front.
struct Pieces {
    pieces: Payload,
    /// Which of them has anything left.
    first: usize,
}

impl Pieces {
    /// The next `octets`, by reference.
    fn take(&mut self, mut octets: usize) -> Payload {
        let mut taken = Payload::new();
        while octets > 0
            && let Some(front) = self.pieces.get_mut(self.first)
        {
            let piece = front.split_to(front.len().min(octets));
            self.first += usize::from(front.is_empty());
            octets -= piece.len();
            taken.push(piece);
        }
        taken
    }
}

/// Where in a super-segment a segment stands.
#[derive(Clone, Copy)]
struct Place {
    /// How many stand before it.
    index: usize,
    /// Octets of text before it.
    start: usize,
    is_last: bool,
}

/// What the headers of a super-segment are.
#[derive(Clone, Copy)]
struct Headers {
    /// Where the transport's begins.
    transport_at: usize,
    /// Where the text begins.
    len: usize,
    protocol: u8,
    addresses: (std::net::Ipv4Addr, std::net::Ipv4Addr),
    dont_fragment: bool,
}

impl Headers {
    /// The headers that `octets` begin with; `None` if they are not IPv4 with TCP or UDP.
    fn of(octets: &[u8]) -> Option<Self> {
        let view = Ipv4Header::parse_quoted(octets).ok()?;
        let transport_at = view.header_len;
        let transport = octets.get(transport_at..)?;
        let len = match view.header.protocol {
            PROTOCOL_TCP => TcpHeader::parse(transport).ok()?.header_len,
            PROTOCOL_UDP if transport.len() >= UdpHeader::LEN => UdpHeader::LEN,
            _ => return None,
        };
        Some(Self {
            transport_at,
            len: transport_at + len,
            protocol: view.header.protocol,
            addresses: (view.header.source, view.header.destination),
            dont_fragment: view.header.dont_fragment,
        })
    }

    /// Makes the headers for all those of one segment, with lengths, numbers and checksums of its
    /// own.
    fn finish(self, head: &mut Head, place: Place, text: &Payload) {
        let len = head.len() + text.iter().map(Bytes::len).sum::<usize>();
        put(head, TOTAL_LEN_AT, word(len));
        if !self.dont_fragment {
            // Each may be fragmented, and then needs an ID of its own (RFC 6864 §4).
            let ident = usize::from(get(head, IDENT_AT)) + place.index;
            put(head, IDENT_AT, word(ident & 0xffff));
        }
        put(head, IP_CHECKSUM_AT, [0, 0]);
        let sum = Sum::default().add(head.get(..self.transport_at).unwrap_or_default());
        put(head, IP_CHECKSUM_AT, sum.finish().to_be_bytes());
        match self.protocol {
            PROTOCOL_TCP => self.finish_tcp(head, place, text),
            _ => self.finish_udp(head, text),
        }
    }

    fn finish_tcp(self, head: &mut Head, place: Place, text: &Payload) {
        let at = self.transport_at;
        let seq = (u32::from(get(head, at + SEQ_AT)) << 16 | u32::from(get(head, at + SEQ_AT + 2)))
            .wrapping_add(u32::try_from(place.start).unwrap_or(0));
        put(head, at + SEQ_AT, seq.to_be_bytes());
        if let Some(flags) = head.get_mut(at + tcp::FLAGS_AT) {
            // The end of what was written, and of the stream, stands in the last one only.
            let ends = TcpFlags::FIN.with(TcpFlags::PSH).bits();
            *flags = if place.is_last { *flags } else { *flags & !ends };
            // Said once, with the first octets (RFC 3168 §6.1.2).
            *flags = if place.index == 0 { *flags } else { *flags & !CWR };
        }
        self.sum(head, at + tcp::CHECKSUM_AT, text);
    }

    fn finish_udp(self, head: &mut Head, text: &Payload) {
        let len = UdpHeader::LEN + text.iter().map(Bytes::len).sum::<usize>();
        put(head, self.transport_at + UDP_LEN_AT, word(len));
        let at = self.transport_at + udp::CHECKSUM_AT;
        self.sum(head, at, text);
        if get(head, at) == 0 {
            put(head, at, [0xff, 0xff]); // A 0 would say that there is none (RFC 768).
        }
    }

    /// Writes the checksum over pseudo-header, transport header and text.
    fn sum(self, head: &mut Head, at: usize, text: &Payload) {
        put(head, at, [0, 0]);
        let header = head.get(self.transport_at..).unwrap_or_default();
        let len = header.len() + text.iter().map(Bytes::len).sum::<usize>();
        let (source, destination) = self.addresses;
        let pieces = std::iter::once(header).chain(text.iter().map(|piece| &piece[..]));
        let sum = Sum::pseudo_header(source, destination, self.protocol, len).add_pieces(pieces);
        put(head, at, sum.finish().to_be_bytes());
    }
}

/// A length as it stands in a header; what no header can hold has been refused before.
fn word(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes()
}

fn get(head: &Head, at: usize) -> u16 {
    let octets = head.get(at..).and_then(|rest| rest.first_chunk()).copied();
    u16::from_be_bytes(octets.unwrap_or_default())
}

fn put<const N: usize>(head: &mut Head, at: usize, octets: [u8; N]) {
    if let Some(place) = head.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = octets;
    }
}

#[cfg(test)]
#[path = "tests/offload.rs"]
mod tests;
