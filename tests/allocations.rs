//! Calls of the allocator on the established path, counted: there are none in steady state.
//!
//! Two stacks hand each other their packets; what the first or the second does is counted apart,
//! and the copy between them, which a device would make, is not counted.

use std::collections::VecDeque;
use std::net::SocketAddr;

use allocation_counter::measure;
use bytes::Bytes;
use wharf::{
    Duration, Frame, FramePool, Instant, Outgoing, Seed, SocketError, SocketId, Stack, StackConfig,
};

/// Octets of a request and of its answer, as of a small HTTP exchange.
const REQUEST: usize = 120;
const ANSWER: usize = 150;

/// Octets of a round of bulk.
const BULK: usize = 256 << 10;

/// Rounds before the counting starts, in which tables and buffers grow to their size.
const WARM_UP: usize = 500;

/// Rounds that are counted.
const ROUNDS: usize = 300;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// What one of the two hosts has done while it was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Calls that allocate, or that make an allocation larger.
    calls: u64,
    received: u64,
    sent: u64,
}

fn server() -> SocketAddr {
    "10.7.0.2:80".parse().expect("a literal address")
}

/// Two stacks with connections between them.
struct Pair {
    stacks: [Stack; 2],
    /// The two ends of the connection in use, and of all.
    ends: [SocketId; 2],
    connections: Vec<[SocketId; 2]>,
    listener: SocketId,
    tallies: [Tally; 2],
    now: Instant,
    pool: FramePool,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(change: impl Fn(&mut StackConfig)) -> Self {
        let stack = |network: &str, seed| {
            let mut config = StackConfig::new(network.parse().expect("a literal network"));
            change(&mut config);
            Stack::new(config, Seed::from_number(seed)).expect("the settings are valid")
        };
        let stacks = [stack("10.7.0.1/24", 1), stack("10.7.0.2/24", 2)];
        let pool = FramePool::new(65_535);
        let mut pair = Self {
            stacks,
            ends: [SocketId::default(); 2],
            connections: Vec::new(),
            listener: SocketId::default(),
            tallies: [Tally::default(); 2],
            now: Instant::ZERO,
            pool,
            buffer: vec![0; 1 << 20],
        };
        pair.listen().expect("a port is free");
        pair.open().expect("a connection opens");
        pair
    }

    fn listen(&mut self) -> Result<(), SocketError> {
        self.listener = self.stacks[SERVER].tcp_socket()?;
        self.stacks[SERVER].bind(self.listener, server())?;
        self.stacks[SERVER].listen(self.listener, 1)
    }

    fn open(&mut self) -> Result<(), SocketError> {
        let client = self.stacks[CLIENT].tcp_socket()?;
        let begun = self.stacks[CLIENT].connect(self.now, client, server());
        assert_eq!(begun, Err(SocketError::InProgress));
        self.exchange();
        let (accepted, _) = self.stacks[SERVER].accept(self.now, self.listener)?;
        self.ends = [client, accepted];
        self.connections.push(self.ends);
        for (stack, end) in self.stacks.iter_mut().zip(self.ends) {
            let mut options = stack.options(end)?;
            options.nodelay = true;
            stack.set_options(end, options)?;
        }
        Ok(())
    }

    /// Does something with one of the stacks, and counts what it allocates.
    fn counted<R>(
        &mut self,
        host: usize,
        act: impl FnOnce(&mut Stack, SocketId, &mut [u8]) -> R,
    ) -> R {
        let mut outcome = None;
        let (stack, end) = (&mut self.stacks[host], self.ends[host]);
        let info = measure(|| outcome = Some(act(stack, end, &mut self.buffer)));
        self.tallies[host].calls += info.count_total;
        outcome.expect("it was called")
    }

    /// Carries packets both ways, a burst at a time, until there are none.
    fn exchange(&mut self) {
        let (now, mut is_moving) = (self.now, true);
        while is_moving {
            is_moving = false;
            for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
                let mut burst = self.burst(from);
                is_moving |= !burst.is_empty();
                self.tallies[from].sent += burst.len() as u64;
                self.tallies[to].received += burst.len() as u64;
                self.counted(to, |stack, _, _| stack.receive_burst(now, &mut burst, &mut ()));
            }
        }
    }

    /// All that a host has to send.
    fn burst(&mut self, from: usize) -> VecDeque<Frame> {
        let (now, mut burst) = (self.now, VecDeque::new());
        loop {
            let packet = self.counted(from, |stack, _, _| {
                if stack.next_timeout().is_some_and(|due| due <= now) {
                    stack.on_timeout(now, &mut ());
                }
                while stack.poll_event().is_some() {}
                stack.transmit(now, &mut ())
            });
            let Some(packet) = packet else { return burst };
            burst.push_back(self.arrived(&packet));
            // Given up here, as after a vectored write.
            self.counted(from, |_, _, _| drop(packet));
        }
    }

    /// The packet as a device gives it.
    fn arrived(&mut self, packet: &Outgoing) -> Frame {
        let frame = self.pool.fill(|octets| {
            let mut len = 0;
            for slice in packet.slices() {
                octets[len..len + slice.len()].copy_from_slice(slice);
                len += slice.len();
            }
            Ok::<_, ()>(len)
        });
        let octets = frame.expect("nothing can fail").into_bytes();
        Frame::with_offload(octets, packet.offload)
    }

    /// Writes `octets` at one end, and reads all that arrives at the other.
    fn send(&mut self, from: usize, octets: &[u8]) {
        let (to, mut written, mut taken) = (1 - from, 0, 0);
        while taken < octets.len() {
            self.now += Duration::from_micros(50);
            let (now, rest) = (self.now, &octets[written..]);
            written += self.counted(from, |stack, end, _| stack.write(now, end, rest).unwrap_or(0));
            self.exchange();
            taken +=
                self.counted(to, |stack, end, buffer| stack.read(now, end, buffer)).unwrap_or(0);
        }
    }

    /// As [`send`](Self::send), by reference at both ends.
    fn send_bytes(&mut self, from: usize, octets: &Bytes) {
        let (to, mut written, mut taken) = (1 - from, 0, 0);
        while taken < octets.len() {
            self.now += Duration::from_micros(50);
            let (now, rest) = (self.now, octets.slice(written..));
            written +=
                self.counted(from, |stack, end, _| stack.write_bytes(now, end, &rest).unwrap_or(0));
            self.exchange();
            while let Ok(read) =
                self.counted(to, |stack, end, _| stack.read_bytes(now, end, 1 << 20))
                && !read.is_empty()
            {
                taken += read.len();
                self.counted(to, |_, _, _| drop(read));
            }
        }
    }

    /// What both hosts do in [`ROUNDS`] rounds, once they are warm.
    fn tallies(&mut self, mut round: impl FnMut(&mut Self)) -> [Tally; 2] {
        for _ in 0..WARM_UP {
            round(self);
        }
        self.tallies = [Tally::default(); 2];
        for _ in 0..ROUNDS {
            round(self);
        }
        println!("client {:?}; server {:?}", self.tallies[CLIENT], self.tallies[SERVER]);
        self.tallies
    }
}

fn offload(config: &mut StackConfig) {
    config.interface.checksum_offload = true;
    config.interface.super_segment = 65_535;
}

fn expect_none(tallies: [Tally; 2]) {
    for tally in tallies {
        assert_eq!(tally.calls, 0, "{tally:?}");
    }
}

/// An answer carries the acknowledgment of its request, and the next request that of the answer.
#[test]
fn a_request_and_its_answer_make_no_call_of_the_allocator() {
    for change in [|_: &mut StackConfig| {}, offload] {
        let mut pair = Pair::new(change);
        let (request, answer) = ([1; REQUEST], [2; ANSWER]);
        let tallies = pair.tallies(|pair| {
            pair.send(CLIENT, &request);
            pair.send(SERVER, &answer);
        });
        for tally in tallies {
            assert_eq!((tally.sent, tally.received), (ROUNDS as u64, ROUNDS as u64));
        }
        expect_none(tallies);
    }
}

/// As a server's with many clients, each of which sends a request in turn.
#[test]
fn requests_over_64_connections_make_no_call_of_the_allocator() {
    let mut pair = Pair::new(|_| {});
    for _ in 1..64 {
        pair.open().expect("another connection opens");
    }
    let (request, answer) = ([1; REQUEST], [2; ANSWER]);
    let mut turn = 0;
    let tallies = pair.tallies(|pair| {
        turn += 1;
        pair.ends = pair.connections[turn % pair.connections.len()];
        pair.send(CLIENT, &request);
        pair.send(SERVER, &answer);
    });
    expect_none(tallies);
}

/// A page for what arrives, a chunk for what is written, and their lists are used again.
#[test]
fn a_segment_of_bulk_makes_no_call_of_the_allocator_on_either_side() {
    let mut pair = Pair::new(|_| {});
    let octets = vec![7; BULK];
    let tallies = pair.tallies(|pair| pair.send(CLIENT, &octets));
    assert!(tallies[CLIENT].sent > 150 * ROUNDS as u64, "segments of an Ethernet's size");
    expect_none(tallies);
}

#[test]
fn a_super_segment_makes_no_call_of_the_allocator_on_either_side() {
    let mut pair = Pair::new(offload);
    let octets = vec![7; BULK];
    let tallies = pair.tallies(|pair| pair.send(CLIENT, &octets));
    assert_eq!(tallies[CLIENT].sent, 5 * ROUNDS as u64, "256 KiB in packets of 64 KiB");
    expect_none(tallies);
}

/// The last packet of a round is small: it was copied, and who wants it by reference gets a copy
/// that is his own.
#[test]
fn by_reference_only_a_small_packet_makes_a_call_of_the_allocator() {
    let mut pair = Pair::new(offload);
    let octets = Bytes::from(vec![7; BULK]);
    let [client, server] = pair.tallies(|pair| pair.send_bytes(CLIENT, &octets));
    assert_eq!((client.calls, client.sent), (0, 5 * ROUNDS as u64));
    assert_eq!(server.calls, ROUNDS as u64);
}

/// Small packets next to each other are joined, in memory that is used again once nobody holds it.
#[test]
fn by_reference_packets_of_an_ethernets_size_make_no_call_of_the_allocator() {
    let mut pair = Pair::new(|_| {});
    let octets = Bytes::from(vec![7; BULK]);
    let [client, server] = pair.tallies(|pair| pair.send_bytes(CLIENT, &octets));
    assert_eq!((client.calls, server.calls), (0, 0));
    assert!(client.sent > 150 * ROUNDS as u64);
}
