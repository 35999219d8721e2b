//! What one segment costs among many connections, from 64 established ones to 1,000,000; and the
//! longest that a packet waits while one more connection is opened.
//!
//! The packets are made by hand before the clock starts. A turn is what the one contract asks
//! for: a segment arrives, the application reads it, its acknowledgment leaves. First with 64
//! connections active among all that are established, one segment a turn: the cost at 1,000,000
//! may be 1.2 times that at 64. Then with 32 segments a turn, of active connections and of any:
//! the latter miss every cache, and are reported beside the aim of three times as much. What
//! disturbs only adds, so that of many rounds, taken in turns, the best counts.
//!
//! `cargo bench --bench demux`; without `--bench` (as `cargo test` runs it) it only tries itself.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration as Span;

use rustix::time::{ClockId, clock_gettime};
use wharf::sim::craft::{Content, Packet};
use wharf::sim::{Random, TcpFlags};
use wharf::{Duration, Frame, Instant, Seed, SocketError, SocketId, Stack, StackConfig};

/// How many connections are established.
const COUNTS: [usize; 5] = [64, 1000, 10_000, 100_000, 1_000_000];

/// Connections that are active.
const ACTIVE: usize = 64;

/// Segments of a burst.
const BURST: usize = 32;

/// How much the cost of a segment may grow from the least to the most connections with few active
/// ones; and how much more one of any should cost at most.
const FEW_MAX: f64 = 1.2;
const ANY_AIM: f64 = 3.0;

/// Octets of text in a segment: little, so that the search for its connection shows.
const TEXT: usize = 64;

/// Segments of a round, which are made before it and lie in the caches; and rounds.
const SEGMENTS: usize = 1024;
const ROUNDS: usize = 200;

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
    /// Those that are active: they stand anywhere among all.
    active: Vec<usize>,
    random: Random,
    /// The longest that a handshake has taken, and which one; CPU time of this thread.
    longest: (Span, usize),
    buffer: [u8; 4 * TEXT],
}

/// What a segment of a bed costs, nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    /// One a turn, of an active connection.
    single: f64,
    /// Many a turn, of active connections.
    burst: f64,
    /// Many a turn, of any.
    any: f64,
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

/// CPU time of this thread so far: what others do on this machine does not count.
fn cpu_time() -> Span {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Span::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Span::from_nanos(nanos)
}

impl Bed {
    /// A stack with `count` connections that their peers have opened.
    fn new(count: usize) -> Result<Self, SocketError> {
        let mut config = StackConfig::new("10.0.0.1/8".parse().expect("a literal network"));
        config.limits.connections_max = 1 << 22;
        config.limits.sockets_max = 1 << 22;
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the settings are valid");
        let listener = stack.tcp_socket()?;
        let mut options = stack.options(listener)?;
        options.quick_ack = true; // Each segment is acknowledged.
        stack.set_options(listener, options)?;
        stack.bind(listener, local().into())?;
        stack.listen(listener, 4096)?;
        let mut random = Random::new(count as u64);
        let share = (count / ACTIVE).max(1);
        let active = (0..ACTIVE).map(|n| n * share + random.index(share)).collect();
        let mut bed = Self {
            stack,
            now: Instant::ZERO,
            peers: Vec::with_capacity(count),
            active,
            random,
            longest: (Span::ZERO, 0),
            buffer: [0; 4 * TEXT],
        };
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
        let start = cpu_time();
        self.stack.receive(self.now, syn, &mut ());
        let answer = self.stack.transmit(self.now, &mut ()).expect("a SYN is answered");
        let took = cpu_time().saturating_sub(start);
        let answer = Packet::decode(answer.to_frame().octets()).expect("a well-formed answer");
        let iss = answer.segment().expect("a segment").seq;
        let (seq, ack) = (number + 1, iss.wrapping_add(1));
        let last = segment(addr, TcpFlags::ACK, (seq, ack), 0);
        self.stack.receive(self.now, last, &mut ());
        let (socket, _) = self.stack.accept(self.now, listener)?;
        self.drain();
        self.longest = self.longest.max((took, self.peers.len() + 1));
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

    /// The next segment for a connection.
    fn prepare(&mut self, index: usize) -> Frame {
        let peer = &mut self.peers[index];
        let flags = TcpFlags::ACK.with(TcpFlags::PSH);
        let frame = segment(peer.addr, flags, (peer.seq, peer.ack), TEXT);
        peer.seq = peer.seq.wrapping_add(u32::try_from(TEXT).expect("a small number"));
        frame
    }

    /// One turn of the loop: segments in, octets read, acknowledgments out.
    fn turn(&mut self, frames: &mut VecDeque<Frame>, sockets: &[SocketId]) {
        self.now += Duration::from_micros(1);
        self.stack.receive_burst(self.now, frames, &mut ());
        if self.stack.next_timeout().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now, &mut ());
        }
        for &socket in sockets {
            let read = self.stack.read(self.now, socket, &mut self.buffer);
            assert_eq!(read, Ok(TEXT));
        }
        assert_eq!(self.drain(), sockets.len(), "an acknowledgment for each");
    }

    /// Nanoseconds a segment in one round of turns with `burst` segments each, no two of them of
    /// one connection; of active connections, or of any.
    fn round(&mut self, segments: usize, burst: usize, is_any: bool) -> f64 {
        let mut indices = Vec::with_capacity(segments);
        while indices.len() < segments {
            let index = self.pick(is_any);
            let turn = indices.len() / burst * burst;
            if !indices[turn..].contains(&index) {
                indices.push(index);
            }
        }
        let mut frames: Vec<_> = indices.iter().map(|&index| self.prepare(index)).collect();
        let sockets: Vec<_> = indices.iter().map(|&index| self.peers[index].socket).collect();
        let mut arriving = VecDeque::with_capacity(burst);
        let mut frames = frames.drain(..);
        #[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
        let start = std::time::Instant::now();
        for sockets in sockets.chunks(burst) {
            arriving.extend(frames.by_ref().take(burst));
            self.turn(&mut arriving, sockets);
        }
        let segments = f64::from(u32::try_from(segments).expect("a small number"));
        start.elapsed().as_secs_f64() * 1e9 / segments
    }

    fn pick(&mut self, is_any: bool) -> usize {
        if is_any {
            self.random.index(self.peers.len())
        } else {
            self.active[self.random.index(self.active.len())]
        }
    }

    fn cost(&mut self, segments: usize) -> Cost {
        // The beds take turns: what was active here is in no cache any more.
        self.round(4 * ACTIVE, 1, false);
        Cost {
            single: self.round(segments, 1, false),
            burst: self.round(segments, BURST, false),
            any: self.round(segments, BURST, true),
        }
    }
}

impl Cost {
    fn min(self, other: Self) -> Self {
        Self {
            single: self.single.min(other.single),
            burst: self.burst.min(other.burst),
            any: self.any.min(other.any),
        }
    }
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        Bed::new(100).expect("connections open").cost(100);
        println!("demux: tried; `cargo bench --bench demux` measures");
        return;
    }
    let mut beds = COUNTS.map(|count| Bed::new(count).expect("connections open"));
    let mut costs = beds.each_mut().map(|bed| bed.cost(SEGMENTS));
    for _ in 1..ROUNDS {
        for (bed, cost) in beds.iter_mut().zip(&mut costs) {
            *cost = cost.min(bed.cost(SEGMENTS));
        }
    }
    println!("one segment of {TEXT} octets in, read, and its acknowledgment out; ns a segment");
    println!(
        "{:>12} {:>12} {:>16} {:>16} {:>34}",
        "connections",
        "64 active",
        "in bursts of 32",
        "any, in bursts",
        "longest SYN to SYN-ACK, µs"
    );
    for ((bed, cost), count) in beds.iter().zip(&costs).zip(COUNTS) {
        let Cost { single, burst, any } = cost;
        let (longest, number) = bed.longest;
        let longest = format!("{:.1} ({number}th)", longest.as_secs_f64() * 1e6);
        println!("{count:>12} {single:>12.0} {burst:>16.0} {any:>16.0} {longest:>34}");
    }
    let (least, most) = (costs[0], costs[COUNTS.len() - 1]);
    let few = most.single / least.single;
    let any = most.any / least.single;
    println!(
        "from 64 to 1,000,000: x {few:.2} (at most {FEW_MAX}); any: x {any:.2} (aim: {ANY_AIM})"
    );
    if few > FEW_MAX {
        std::process::exit(1);
    }
}
