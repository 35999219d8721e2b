//! What one segment costs among many connections: 1, 1,000 and 100,000 established.
//!
//! The packets are made by hand before the clock starts. Each step is one turn of the loop that
//! the one contract asks for: two segments of one connection arrive, the application reads them,
//! and their acknowledgment leaves. With 64 connections active among all that are established the
//! cost may not grow by more than half from 1 to 100,000; uniformly random ones are reported beside
//! it, where every step misses every cache.
//!
//! `cargo bench --bench demux`; without `--bench` (as `cargo test` runs it) it only tries itself.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use wharf::sim::craft::{Content, Packet};
use wharf::sim::{Random, TcpFlags};
use wharf::{Duration, Frame, Instant, Seed, SocketError, SocketId, Stack, StackConfig};

/// How much the cost of a segment may grow from 1 connection to 100,000.
const RATIO_MAX: f64 = 1.5;

/// Connections that are active at a time, if there are so many.
const ACTIVE: usize = 64;

/// Octets of text in a segment: little, so that the search for its connection shows.
const TEXT: usize = 64;

/// Steps of a round.
const STEPS: usize = 4096;

/// A connection as its peer sees it.
struct Peer {
    addr: SocketAddrV4,
    socket: SocketId,
    /// The peer's next sequence number, and the stack's.
    seq: u32,
    ack: u32,
}

/// One stack with its connections.
struct Bed {
    stack: Stack,
    now: Instant,
    peers: Vec<Peer>,
    buffer: [u8; 4 * TEXT],
}

fn local() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80)
}

/// A segment of a peer.
fn segment(from: SocketAddrV4, flags: TcpFlags, (seq, ack): (u32, u32), text: usize) -> Frame {
    let mut packet = Packet::tcp(from, local(), flags);
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (seq, ack);
        segment.payload = vec![7; text];
    }
    packet.to_frame()
}

impl Bed {
    /// A stack with `count` connections that their peers have opened.
    fn new(count: usize) -> Result<Self, SocketError> {
        let config = StackConfig::new("10.0.0.1/8".parse().expect("a literal network"));
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the defaults are valid");
        let listener = stack.tcp_socket()?;
        stack.bind(listener, local().into())?;
        stack.listen(listener, 4096)?;
        let buffer = [0; 4 * TEXT];
        let mut bed = Self { stack, now: Instant::ZERO, peers: Vec::new(), buffer };
        for number in 0..count {
            bed.open(listener, u32::try_from(number).expect("a small number"))?;
        }
        Ok(bed)
    }

    fn open(&mut self, listener: SocketId, number: u32) -> Result<(), SocketError> {
        let host = Ipv4Addr::from_bits(0x0a01_0001 + number / 50_000);
        let port = u16::try_from(1024 + number % 50_000).expect("below 51,024");
        let addr = SocketAddrV4::new(host, port);
        let syn = segment(addr, TcpFlags::SYN, (number, 0), 0);
        self.stack.receive(self.now, syn, &mut ());
        let answer = self.stack.transmit(self.now, &mut ()).expect("a SYN is answered");
        let answer = Packet::decode(answer.to_frame().octets()).expect("a well-formed answer");
        let iss = answer.segment().expect("a segment").seq;
        let (seq, ack) = (number + 1, iss.wrapping_add(1));
        let last = segment(addr, TcpFlags::ACK, (seq, ack), 0);
        self.stack.receive(self.now, last, &mut ());
        let (socket, _) = self.stack.accept(self.now, listener)?;
        self.drain();
        self.peers.push(Peer { addr, socket, seq, ack });
        Ok(())
    }

    fn drain(&mut self) -> usize {
        while self.stack.poll_event().is_some() {}
        let mut packets = 0;
        while self.stack.transmit(self.now, &mut ()).is_some() {
            packets += 1;
        }
        packets
    }

    /// Two segments for a connection.
    fn prepare(&mut self, index: usize) -> [Frame; 2] {
        let peer = &mut self.peers[index];
        [(); 2].map(|()| {
            let flags = TcpFlags::ACK.with(TcpFlags::PSH);
            let frame = segment(peer.addr, flags, (peer.seq, peer.ack), TEXT);
            peer.seq = peer.seq.wrapping_add(u32::try_from(TEXT).expect("a small number"));
            frame
        })
    }

    /// One turn of the loop: segments in, octets read, acknowledgment out.
    fn step(&mut self, index: usize, frames: [Frame; 2]) {
        self.now += Duration::from_micros(1);
        for frame in frames {
            self.stack.receive(self.now, frame, &mut ());
        }
        if self.stack.next_timeout().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now, &mut ());
        }
        let read = self.stack.read(self.now, self.peers[index].socket, &mut self.buffer);
        assert_eq!(read, Ok(2 * TEXT));
        assert_eq!(self.drain(), 1, "one acknowledgment for two segments");
    }

    /// Nanoseconds a segment in the best of `rounds` rounds: what disturbs only adds.
    fn measure(&mut self, rounds: usize, steps: usize, mut pick: impl FnMut() -> usize) -> f64 {
        let mut best = f64::INFINITY;
        for _ in 0..rounds {
            let work: VecDeque<_> = (0..steps)
                .map(|_| {
                    let index = pick();
                    (index, self.prepare(index))
                })
                .collect();
            #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
            let start = std::time::Instant::now();
            for (index, frames) in work {
                self.step(index, frames);
            }
            let segments = f64::from(u32::try_from(2 * steps).expect("a small number"));
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / segments);
        }
        best
    }
}

/// Nanoseconds a segment with some connections active, and with all of them.
fn measure(count: usize, rounds: usize, steps: usize) -> (f64, f64) {
    let mut bed = Bed::new(count).expect("connections open");
    let mut random = Random::new(count as u64);
    // The active ones stand anywhere among all.
    let active: Vec<_> = (0..ACTIVE.min(count)).map(|_| random.index(count)).collect();
    let few = bed.measure(rounds, steps, || active[random.index(active.len())]);
    let all = bed.measure(rounds, steps, || random.index(count));
    (few, all)
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        measure(100, 1, 100);
        println!("demux: tried; `cargo bench --bench demux` measures");
        return;
    }
    println!("one segment of {TEXT} octets in, read, and half an acknowledgment out");
    println!(
        "{:>12} {:>22} {:>22}",
        "connections", "64 active, ns/segment", "all active, ns/segment"
    );
    let mut costs = Vec::new();
    for count in [1, 1000, 100_000] {
        let (few, all) = measure(count, 40, STEPS);
        println!("{count:>12} {few:>22.1} {all:>22.1}");
        costs.push(few);
    }
    let ratio = costs[2] / costs[0];
    println!("from 1 to 100,000 connections, 64 active: x {ratio:.2} (at most {RATIO_MAX})");
    if ratio > RATIO_MAX {
        std::process::exit(1);
    }
}
