//! What benches may call of the layers that nobody else sees.

use std::net::Ipv4Addr;

use super::craft::{Content, Packet, TcpFlags};
use crate::collections::{SlotMap, new_key_type};
use crate::packet::{Checksum, Head, Payload};
use crate::stack::deadlines::Deadlines;
use crate::time::{Duration, Instant};
use crate::wire::checksum::Sum;
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_TCP};
use crate::wire::tcp::{TcpFlags as Flags, TcpHeader};
use crate::wire::tcp_options::{TcpOptions, Timestamps};

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

/// A segment with timestamps and `len` octets of text, to be written again and again.
#[derive(Debug)]
pub struct Emitter {
    ip: Ipv4Header,
    tcp: TcpHeader,
    options: TcpOptions,
    payload: Payload,
    checksum: Checksum,
}

impl Emitter {
    /// With `len` octets of text, and a checksum that is complete, or is left to the device.
    pub fn new(len: usize, is_partial: bool) -> Self {
        let [source, destination] = [1, 2].map(|last| Ipv4Addr::new(10, 7, 0, last));
        let ip = Ipv4Header {
            tos: 0,
            ident: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: PROTOCOL_TCP,
            source,
            destination,
        };
        let tcp = TcpHeader {
            source_port: 80,
            destination_port: 5000,
            seq: 1,
            ack: 2,
            flags: Flags::ACK,
            window: 1000,
            urgent: 0,
        };
        let timestamps = Some(Timestamps { value: 1, echo: 2 });
        let options = TcpOptions { timestamps, ..TcpOptions::default() };
        let checksum = if is_partial { Checksum::Partial } else { Checksum::Complete };
        let payload = [vec![7; len].into()].into_iter().collect();
        Self { ip, tcp, options, payload, checksum }
    }

    /// Its headers.
    pub fn emit(&self) -> Head {
        let Self { ip, tcp, options, payload, checksum } = self;
        let mut head = Head::new();
        let text: usize = payload.iter().map(bytes::Bytes::len).sum();
        let len = TcpHeader::LEN + options.len() + text;
        ip.emit(len, &mut head).expect("a packet fits 16 bits");
        tcp.emit(options, ip.source, ip.destination, payload, *checksum, &mut head);
        head
    }
}

new_key_type! { struct TimerId; }

/// The timer wheel, with timers that are spread over ten seconds.
#[derive(Debug)]
pub struct Timers {
    wheel: Deadlines<TimerId>,
    armed: Vec<(TimerId, Instant)>,
    turn: usize,
}

impl Timers {
    /// A wheel with `count` timers.
    pub fn new(count: usize) -> Self {
        let mut slab = SlotMap::<TimerId, ()>::with_key();
        let mut random = super::Random::new(1);
        let mut wheel = Deadlines::default();
        let armed = (0..count)
            .map(|_| {
                let at = Instant::ZERO + Duration::from_micros(random.index(10_000_000) as u64);
                let id = slab.insert(());
                wheel.arm(id, at);
                (id, at)
            })
            .collect();
        Self { wheel, armed, turn: 0 }
    }

    fn next(&mut self) -> (TimerId, Instant) {
        self.turn = (self.turn + 1) % self.armed.len();
        self.armed[self.turn]
    }

    /// The next timer is due `by` later.
    pub fn put_off(&mut self, by: Duration) {
        let (id, at) = self.next();
        self.wheel.arm(id, at + by);
    }

    /// The next timer is taken away, and set anew.
    pub fn set_anew(&mut self) {
        let (id, at) = self.next();
        self.wheel.disarm(id);
        self.wheel.arm(id, at);
    }

    /// Time goes on to the earliest timer, which comes up and is set anew, `after` from then.
    pub fn expire(&mut self, after: Duration) {
        let now = self.wheel.next().expect("there are timers");
        if let Some(id) = self.wheel.expire(now) {
            self.wheel.arm(id, now + after);
        }
    }
}
