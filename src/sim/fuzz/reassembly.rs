//! Segments of one stream in any order, with any overlap, against a model that knows the stream.

use std::net::SocketAddrV4;

use crate::config::StackConfig;
use crate::error::SocketError;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::sim::craft::{Content, Packet, TcpFlags};
use crate::sim::script::{PEER_ADDR, PEER_PORT, STACK_ADDR};
use crate::stack::{SocketId, Stack};
use crate::time::{Duration, Instant};

/// The peer's initial sequence number: the stream wraps early.
const IRS: u32 = u32::MAX - 999;

/// Octets of the stream before its FIN.
const STREAM_LEN: u32 = 12_000;

/// Octets of the largest segment.
const SEGMENT_MAX: u32 = 1_460;

/// Each instruction sends a piece of the stream, reads, or lets time pass. What is read is the
/// stream; what is acknowledged has been sent; what a SACK block names has been sent; and when at
/// last the whole stream comes in order, all of it is read, to its end.
///
/// # Panics
/// If any of that does not hold.
pub fn reassembly(octets: &[u8]) {
    let mut program = octets.iter().copied();
    let mut next = || program.next();
    let mut world = World::new(next().unwrap_or(0));
    while let Some(instruction) = next() {
        let (a, b) = (next().unwrap_or(0), next().unwrap_or(0));
        match instruction % 8 {
            // Near what is expected, on either side of it.
            0..=3 => {
                let from = world.taken.saturating_add(u32::from(a) * 16).saturating_sub(256);
                world.send(from, u32::from(b) * 8);
            }
            // Anywhere.
            4 => world.send(u32::from(a) * 64, u32::from(b) * 8),
            // A single octet, and the next: as many holes as can be.
            5 => world.send(world.taken + 1 + u32::from(a) * 2, 1),
            6 => world.read(usize::from(a) * 16),
            _ => world.pass(Duration::from_millis(u64::from(a))),
        }
    }
    world.end();
}

/// The octet at `position` of the stream.
fn octet(position: u32) -> u8 {
    let [a, b, c, _] = position.wrapping_mul(0x9e37_79b1).to_be_bytes();
    a ^ b ^ c
}

struct World {
    stack: Stack,
    socket: SocketId,
    now: Instant,
    ends: (SocketAddrV4, SocketAddrV4),
    /// Which octets have been sent at all; the last place is the FIN's.
    sent: Vec<bool>,
    /// How far the stack has acknowledged.
    taken: u32,
    read: u32,
    has_ended: bool,
    ack: u32,
}

impl World {
    fn new(settings: u8) -> Self {
        let mut config = StackConfig::new(STACK_ADDR.parse().expect("a literal network"));
        config.tcp.receive_buffer = 2048 << (settings % 3);
        if settings & 4 != 0 {
            config.limits.memory_max = 1024;
        }
        let local = SocketAddrV4::new(config.interface.addresses[0].addr(), 80);
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the settings are valid");
        let listener = stack.tcp_socket().expect("the first socket");
        stack.bind(listener, local.into()).expect("a free port");
        stack.listen(listener, 4).expect("a bound socket");
        let mut world = Self {
            stack,
            socket: listener,
            now: Instant::ZERO,
            ends: (SocketAddrV4::new(PEER_ADDR, PEER_PORT), local),
            sent: vec![false; usize::try_from(STREAM_LEN).expect("a small number") + 1],
            taken: 0,
            read: 0,
            has_ended: false,
            ack: 0,
        };
        let sack_permitted = [2, 4, 5, 180, 1, 1, 4, 2];
        world.segment(TcpFlags::SYN, IRS, &sack_permitted, Vec::new());
        world.segment(TcpFlags::ACK, IRS.wrapping_add(1), &[], Vec::new());
        let (socket, _) = world.stack.accept(world.now, listener).expect("a connection");
        world.stack.close(world.now, listener);
        world.socket = socket;
        world
    }

    /// Sends what stands at `from` of the stream, and its FIN if it reaches so far.
    fn send(&mut self, from: u32, len: u32) {
        let from = from.min(STREAM_LEN);
        let len = len.min(SEGMENT_MAX);
        let end = (from + len).min(STREAM_LEN);
        let payload: Vec<_> = (from..end).map(octet).collect();
        let has_fin = from + len > STREAM_LEN;
        let last = end + u32::from(has_fin);
        let places = usize::try_from(from).ok().zip(usize::try_from(last).ok());
        if let Some(places) = places.and_then(|(from, last)| self.sent.get_mut(from..last)) {
            places.fill(true);
        }
        let flags = if has_fin { TcpFlags::ACK.with(TcpFlags::FIN) } else { TcpFlags::ACK };
        self.segment(flags, IRS.wrapping_add(1 + from), &[], payload);
    }

    fn segment(&mut self, flags: TcpFlags, seq: u32, options: &[u8], payload: Vec<u8>) {
        let mut packet = Packet::tcp(self.ends.0, self.ends.1, flags);
        if let Content::Tcp(segment) = &mut packet.content {
            (segment.seq, segment.ack) = (seq, self.ack);
            segment.options = options.to_vec();
            segment.payload = payload;
        }
        self.stack.receive(self.now, Frame::new(packet.encode()), &mut ());
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(packet) = self.stack.transmit(self.now, &mut ()) {
            let packet = Packet::decode(packet.to_frame().octets())
                .unwrap_or_else(|fault| panic!("a malformed packet left: {fault}"));
            let Some(segment) = packet.segment() else { continue };
            assert!(!segment.flags.contains(TcpFlags::RST), "a stream was reset");
            self.ack = segment.seq.wrapping_add(segment.len());
            let acknowledged = segment.ack.wrapping_sub(IRS).wrapping_sub(1);
            assert!(acknowledged >= self.taken, "an acknowledgment went back");
            self.assert_sent(self.taken, acknowledged, "acknowledged");
            self.taken = acknowledged;
            for block in sack_blocks(&segment.options) {
                let [left, right] = block.map(|edge| edge.wrapping_sub(IRS).wrapping_sub(1));
                assert!(left < right, "an empty SACK block: {left} to {right}");
                self.assert_sent(left, right, "named in a SACK block");
            }
        }
        self.stack.check();
    }

    fn assert_sent(&self, from: u32, to: u32, what: &str) {
        let places = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let places = places.and_then(|(from, to)| self.sent.get(from..to));
        let is_sent = places.is_some_and(|places| places.iter().all(|&is_sent| is_sent));
        assert!(is_sent, "{from} to {to} are {what} and were not all sent");
    }

    fn read(&mut self, len: usize) {
        let mut buffer = vec![0; len.max(1)];
        match self.stack.read(self.now, self.socket, &mut buffer) {
            Ok(0) => {
                assert_eq!(self.read, STREAM_LEN, "the end came early");
                self.has_ended = true;
            }
            Ok(count) => {
                for &got in &buffer[..count] {
                    assert_eq!(got, octet(self.read), "the octet at {}", self.read);
                    self.read += 1;
                }
            }
            Err(SocketError::WouldBlock) => {}
            Err(error) => panic!("read: {error}"),
        }
        self.settle();
    }

    fn pass(&mut self, wait: Duration) {
        self.now += wait;
        while self.stack.next_timeout().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now, &mut ());
            self.settle();
        }
    }

    /// Sends all of the stream in order, and reads it.
    fn end(mut self) {
        for _ in 0..4 * STREAM_LEN {
            if self.has_ended {
                break;
            }
            self.send(self.taken, 512);
            self.read(4096);
            self.pass(Duration::from_millis(50)); // The delayed acknowledgment.
        }
        assert!(self.has_ended, "stuck at {} of {STREAM_LEN}, read {}", self.taken, self.read);
    }
}

/// The edges of the SACK blocks in the options of a segment.
fn sack_blocks(mut options: &[u8]) -> Vec<[u32; 2]> {
    let mut blocks = Vec::new();
    while let [kind, rest @ ..] = options {
        options = match (kind, rest) {
            (0, _) | (2.., []) => break,
            (1, rest) => rest,
            (_, [len, ..]) => {
                let len = usize::from(*len).max(2);
                let data = options.get(2..len).unwrap_or_default();
                if *kind == 5 {
                    for block in data.as_chunks::<8>().0 {
                        let [l0, l1, l2, l3, r0, r1, r2, r3] = *block;
                        let left = u32::from_be_bytes([l0, l1, l2, l3]);
                        blocks.push([left, u32::from_be_bytes([r0, r1, r2, r3])]);
                    }
                }
                options.get(len..).unwrap_or_default()
            }
        };
    }
    blocks
}
