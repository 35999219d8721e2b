//! Calls of the allocator on the established path, counted: a bound for each kind of traffic.
//!
//! Two stacks hand each other their packets; what the first or the second does is counted apart,
//! and the copy between them, which a device would make, is not counted. A bound is what it costs
//! today: it fails when it gets worse, and is to be lowered when it gets better.

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
const WARM_UP: usize = 200;

/// Rounds that are counted.
const ROUNDS: usize = 500;

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

impl Tally {
    fn segments(&self) -> u64 {
        self.received + self.sent
    }
}

/// Two stacks with one connection between them.
struct Pair {
    stacks: [Stack; 2],
    ends: [SocketId; 2],
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
        let (tallies, now, buffer) = ([Tally::default(); 2], Instant::ZERO, vec![0; 1 << 20]);
        let mut pair = Self { stacks, ends: [SocketId::default(); 2], tallies, now, pool, buffer };
        pair.open().expect("a connection opens");
        pair
    }

    fn open(&mut self) -> Result<(), SocketError> {
        let server = "10.7.0.2:80".parse().expect("a literal address");
        let listener = self.stacks[SERVER].tcp_socket()?;
        self.stacks[SERVER].bind(listener, server)?;
        self.stacks[SERVER].listen(listener, 1)?;
        let client = self.stacks[CLIENT].tcp_socket()?;
        let begun = self.stacks[CLIENT].connect(self.now, client, server);
        assert_eq!(begun, Err(SocketError::InProgress));
        self.exchange();
        let (accepted, _) = self.stacks[SERVER].accept(self.now, listener)?;
        self.ends = [client, accepted];
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
                let burst = self.burst(from);
                is_moving |= !burst.is_empty();
                self.tallies[from].sent += burst.len() as u64;
                self.tallies[to].received += burst.len() as u64;
                for frame in burst {
                    self.counted(to, |stack, _, _| stack.receive(now, frame, &mut ()));
                }
            }
        }
    }

    /// All that a host has to send.
    fn burst(&mut self, from: usize) -> Vec<Frame> {
        let (now, mut burst) = (self.now, Vec::new());
        loop {
            let packet = self.counted(from, |stack, _, _| {
                if stack.next_timeout().is_some_and(|due| due <= now) {
                    stack.on_timeout(now, &mut ());
                }
                while stack.poll_event().is_some() {}
                stack.transmit(now, &mut ())
            });
            let Some(packet) = packet else { return burst };
            burst.push(self.arrived(&packet));
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

/// Fails if `counted` calls of the allocator are more than `bound` for each of `count` things.
fn expect_at_most(what: &str, counted: u64, count: u64, bound: Bound) {
    println!("{what}: {counted} calls of the allocator for {count}");
    let Bound { calls, per } = bound;
    // A table that grows once in a while is no cost of a segment.
    assert!(
        counted * per <= count * calls + GROWTH * per,
        "{what}: {counted} calls of the allocator for {count}; at most {calls} for {per}"
    );
}

/// So many calls of the allocator for so many segments or rounds.
#[derive(Clone, Copy)]
struct Bound {
    calls: u64,
    per: u64,
}

/// Calls of the allocator in all [`ROUNDS`] by what grows to its size still.
const GROWTH: u64 = 4;

fn offload(config: &mut StackConfig) {
    config.interface.checksum_offload = true;
    config.interface.super_segment = 65_535;
}

/// Of each host: a page and its list for what arrives, a chunk for what is written, and the copy
/// that leaves.
#[test]
fn a_request_and_its_answer_cost_each_host_four_calls_of_the_allocator() {
    for change in [|_: &mut StackConfig| {}, offload] {
        let mut pair = Pair::new(change);
        let (request, answer) = ([1; REQUEST], [2; ANSWER]);
        let tallies = pair.tallies(|pair| {
            pair.send(CLIENT, &request);
            pair.send(SERVER, &answer);
        });
        for tally in tallies {
            assert_eq!((tally.sent, tally.received), (500, 500), "acknowledgments ride along");
            let bound = Bound { calls: 4, per: 1 };
            expect_at_most("request and answer", tally.calls, ROUNDS as u64, bound);
        }
    }
}

/// In: a page for 4 KiB. Out: a chunk for 64 KiB. Both: their lists, once a round.
#[test]
fn a_segment_of_bulk_costs_half_a_call_of_the_allocator_in_and_a_twentieth_out() {
    let mut pair = Pair::new(|_| {});
    let octets = vec![7; BULK];
    let [client, server] = pair.tallies(|pair| pair.send(CLIENT, &octets));
    expect_at_most("bulk out", client.calls, client.segments(), Bound { calls: 5, per: 100 });
    expect_at_most("bulk in", server.calls, server.segments(), Bound { calls: 38, per: 100 });
}

/// In: the list of what is kept, once a round, and its box. Out: as before.
#[test]
fn a_large_packet_costs_two_thirds_of_a_call_of_the_allocator_in() {
    let mut pair = Pair::new(offload);
    let octets = vec![7; BULK];
    let [client, server] = pair.tallies(|pair| pair.send(CLIENT, &octets));
    assert_eq!(client.sent, 5 * ROUNDS as u64, "256 KiB in packets of 64 KiB");
    expect_at_most("large out", client.calls, ROUNDS as u64, Bound { calls: 9, per: 1 });
    expect_at_most("large in", server.calls, ROUNDS as u64, Bound { calls: 4, per: 1 });
}

/// What the application hands over and takes by reference is copied nowhere.
#[test]
fn by_reference_a_large_packet_costs_one_call_of_the_allocator_in_and_a_fifth_out() {
    let mut pair = Pair::new(offload);
    let octets = Bytes::from(vec![7; BULK]);
    let [client, server] = pair.tallies(|pair| pair.send_bytes(CLIENT, &octets));
    expect_at_most("by reference out", client.calls, ROUNDS as u64, Bound { calls: 1, per: 1 });
    expect_at_most("by reference in", server.calls, ROUNDS as u64, Bound { calls: 5, per: 1 });
}
