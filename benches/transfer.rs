//! Two stacks that hand each other their packets: octets a second, and what they allocate.
//!
//! The copy of each packet that a device would make is part of the cost.

use std::collections::VecDeque;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use wharf::{Frame, Instant, Seed, SocketError, SocketId, Stack, StackConfig};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Packets that arrive together at most, as in the runtime.
const BURST: usize = 64;

/// Octets of one transfer.
const OCTETS: usize = 4 << 20;

fn main() {
    divan::main();
}

/// Two stacks with one connection between them, and its two ends.
struct Pair {
    stacks: [Stack; 2],
    ends: [SocketId; 2],
    now: Instant,
    chunk: Vec<u8>,
    buffer: Vec<u8>,
    network: Network,
}

/// How packets come to a stack.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    OneByOne,
    InBursts,
}

/// What carries packets.
#[derive(Debug)]
struct Network {
    arrival: Arrival,
    burst: VecDeque<Frame>,
}

impl Pair {
    fn new(arrival: Arrival) -> Result<Self, SocketError> {
        let stack = |network: &str, seed| {
            let config = StackConfig::new(network.parse().expect("a literal network"));
            Stack::new(config, Seed::from_number(seed)).expect("the defaults are valid")
        };
        let mut stacks = [stack("10.7.0.1/24", 1), stack("10.7.0.2/24", 2)];
        let server = "10.7.0.2:80".parse().expect("a literal address");
        let now = Instant::ZERO;
        let listener = stacks[1].tcp_socket()?;
        stacks[1].bind(listener, server)?;
        stacks[1].listen(listener, 1)?;
        let client = stacks[0].tcp_socket()?;
        // Else a message would wait for the delayed acknowledgment of the one before it, and the
        // bench would time its own waiting.
        let mut options = stacks[0].options(client)?;
        options.nodelay = true;
        stacks[0].set_options(client, options)?;
        match stacks[0].connect(now, client, server) {
            Ok(()) | Err(SocketError::InProgress) => {}
            Err(error) => return Err(error),
        }
        let mut network = Network { arrival, burst: VecDeque::new() };
        network.exchange(&mut stacks, now);
        let (accepted, _) = stacks[1].accept(now, listener)?;
        let (chunk, buffer) = (vec![7; 65_536], vec![0; 262_144]);
        Ok(Self { stacks, ends: [client, accepted], now, chunk, buffer, network })
    }

    /// Sends `octets` from the first stack to the second.
    fn transfer(&mut self, octets: usize) {
        let (mut sent, mut received) = (0, 0);
        while received < octets {
            self.now += wharf::Duration::from_micros(10);
            let piece = &self.chunk[..self.chunk.len().min(octets - sent)];
            sent += self.stacks[0].write(self.now, self.ends[0], piece).unwrap_or(0);
            self.network.exchange(&mut self.stacks, self.now);
            while let Ok(taken @ 1..) =
                self.stacks[1].read(self.now, self.ends[1], &mut self.buffer)
            {
                received += taken;
            }
        }
    }
}

impl Network {
    /// Carries packets both ways until there are none.
    fn exchange(&mut self, stacks: &mut [Stack; 2], now: Instant) {
        loop {
            let mut has_moved = false;
            for (from, to) in [(0, 1), (1, 0)] {
                if stacks[from].next_timeout().is_some_and(|due| due <= now) {
                    stacks[from].on_timeout(now, &mut ());
                }
                while let Some(packet) = stacks[from].transmit(now, &mut ()) {
                    self.burst.push_back(packet.to_frame());
                    has_moved = true;
                    if self.burst.len() == BURST {
                        self.arrive(&mut stacks[to], now);
                    }
                }
                self.arrive(&mut stacks[to], now);
                while stacks[to].poll_event().is_some() {}
            }
            if !has_moved {
                return;
            }
        }
    }

    fn arrive(&mut self, stack: &mut Stack, now: Instant) {
        match self.arrival {
            Arrival::OneByOne => {
                for frame in self.burst.drain(..) {
                    stack.receive(now, frame, &mut ());
                }
            }
            Arrival::InBursts => stack.receive_burst(now, &mut self.burst, &mut ()),
        }
    }
}

/// One large transfer over a connection that has been open for a while.
#[divan::bench(args = [Arrival::OneByOne, Arrival::InBursts])]
fn bulk(bencher: Bencher<'_, '_>, arrival: Arrival) {
    let mut pair = Pair::new(arrival).expect("a connection opens");
    pair.transfer(OCTETS);
    bencher.counter(BytesCount::new(OCTETS)).bench_local(|| pair.transfer(OCTETS));
}

/// A small message on an idle connection, acknowledged in time.
#[divan::bench]
fn message(bencher: Bencher<'_, '_>) {
    let mut pair = Pair::new(Arrival::InBursts).expect("a connection opens");
    pair.transfer(OCTETS);
    bencher.counter(BytesCount::new(100usize)).bench_local(|| pair.transfer(100));
}

/// Opening a connection: three segments.
#[divan::bench]
fn handshake(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Pair::new(Arrival::InBursts).expect("a connection opens"));
}
