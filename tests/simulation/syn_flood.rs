//! A flood of SYNs from forged addresses, and clients who want to be served during it.
//!
//! `SYN_FLOOD_SECONDS=10` makes the flood as long as that; `scripts/soak` does.

use std::collections::VecDeque;

use wharf::sim::Random;
use wharf::sim::craft::{Content, Packet, TcpFlags};
use wharf::{
    Counters, DropReason, Duration, Frame, Instant, Readiness, Seed, SocketError, SocketId, Stack,
    StackConfig, TcpState,
};

use super::{configs, server};

/// Between two SYNs of the flood: 100,000 a second.
const FLOOD_INTERVAL: Duration = Duration::from_micros(10);

/// Between two clients.
const CLIENT_INTERVAL: Duration = Duration::from_millis(10);

/// How long a packet takes from one host to the other.
const DELAY: Duration = Duration::from_millis(10);

const BACKLOG: u32 = 128;

/// Most that both hosts and the line between them may hold of the allocator at a time, beyond what
/// they held before: for the flood, whatever its length, and for each client. Octets.
///
/// A record in TIME-WAIT and a socket of the client's are most of what a client leaves behind; and
/// with the first one that brings a cookie back comes the table of those that were taken.
const FLOOD_MAX: u64 = 96 << 10;
const TAKEN: u64 = 256 << 10;
const CLIENT_MAX: u64 = 2 << 10;

/// One client: connects, asks for an octet, gets it.
struct Client {
    socket: SocketId,
    began_at: Instant,
    has_asked: bool,
    served_at: Option<Instant>,
}

struct World {
    now: Instant,
    rng: Random,
    client: Stack,
    server: Stack,
    listener: SocketId,
    counters: Counters,
    to_client: VecDeque<(Instant, Frame)>,
    to_server: VecDeque<(Instant, Frame)>,
    clients: Vec<Client>,
    half_open_max: usize,
    flows_max: usize,
}

impl World {
    fn new(change: impl Fn(&mut StackConfig)) -> Self {
        let [client, server] = configs(change).map(|config| (config, Seed::from_number(1)));
        let client = Stack::new(client.0, client.1).expect("the settings are valid");
        let mut server = Stack::new(server.0, Seed::from_number(2)).expect("so are these");
        let listener = server.tcp_socket().expect("a first socket");
        server.bind(listener, "0.0.0.0:80".parse().expect("a literal")).expect("a free port");
        server.listen(listener, BACKLOG).expect("a bound socket");
        Self {
            now: Instant::ZERO,
            rng: Random::new(1),
            client,
            server,
            listener,
            counters: Counters::default(),
            to_client: VecDeque::new(),
            to_server: VecDeque::new(),
            clients: Vec::new(),
            half_open_max: 0,
            flows_max: 0,
        }
    }

    /// A SYN from an address and a port that nobody has.
    fn flood(&mut self) {
        let number = self.rng.number();
        let [a, b, c, d, p0, p1, s0, s1] = number.to_le_bytes();
        let source = [20 + a % 100, b, c, d];
        let port = u16::from_le_bytes([p0, p1]).max(1);
        let from = std::net::SocketAddrV4::new(source.into(), port);
        let to = std::net::SocketAddrV4::new([10, 7, 0, 2].into(), 80);
        let mut packet = Packet::tcp(from, to, TcpFlags::SYN);
        if let Content::Tcp(segment) = &mut packet.content {
            segment.seq = u32::from_le_bytes([s0, s1, a, b]);
            segment.window = 1024;
        }
        self.server.receive(self.now, packet.to_frame(), &mut self.counters);
    }

    fn connect(&mut self) {
        let socket = self.client.tcp_socket().expect("the limits are wide");
        let begun = self.client.connect(self.now, socket, server());
        assert_eq!(begun, Err(SocketError::InProgress));
        let began_at = self.now;
        self.clients.push(Client { socket, began_at, has_asked: false, served_at: None });
    }

    /// Lets both hosts do what they can at this moment. One packet in a hundred is lost.
    fn settle(&mut self) {
        let now = self.now;
        while self.to_server.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, frame)) = self.to_server.pop_front()
        {
            self.server.receive(now, frame, &mut self.counters);
        }
        while self.to_client.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, frame)) = self.to_client.pop_front()
        {
            self.client.receive(now, frame, &mut ());
        }
        self.client.on_timeout(now, &mut ());
        self.server.on_timeout(now, &mut self.counters);
        while let Some(id) = self.client.poll_event() {
            self.ask(id);
        }
        while let Some(id) = self.server.poll_event() {
            self.serve(id);
        }
        while let Some(packet) = self.client.transmit(now, &mut ()) {
            if !self.rng.chance(0.01) {
                self.to_server.push_back((now + DELAY, packet.to_frame()));
            }
        }
        while let Some(packet) = self.server.transmit(now, &mut self.counters) {
            let frame = packet.to_frame();
            let is_for_client = frame.octets()[16..20] == [10, 7, 0, 1];
            if is_for_client && !self.rng.chance(0.01) {
                self.to_client.push_back((now + DELAY, frame));
            }
        }
    }

    fn ask(&mut self, id: SocketId) {
        let Some(client) = self.clients.iter_mut().rev().find(|client| client.socket == id) else {
            return;
        };
        if !client.has_asked && self.client.readiness(id).contains(Readiness::WRITABLE) {
            client.has_asked = self.client.write(self.now, id, b"?") == Ok(1);
        }
        if self.client.read(self.now, id, &mut [0]) == Ok(1) {
            client.served_at = Some(self.now);
            self.client.close(self.now, id);
        }
    }

    fn serve(&mut self, id: SocketId) {
        if id == self.listener {
            while self.server.accept(self.now, id).is_ok() {} // Each tells of itself.
        } else if self.server.read(self.now, id, &mut [0]) == Ok(1) {
            self.server.write(self.now, id, b"!").expect("there is room for one octet");
            self.server.close(self.now, id);
        }
    }

    /// Runs for `time`, with the flood or without.
    fn run(&mut self, time: Duration, is_flooded: bool) {
        let begin = self.now;
        let mut next_client = begin;
        let mut next_look = begin;
        while self.now < begin + time {
            if self.now >= next_client {
                self.connect();
                next_client += CLIENT_INTERVAL;
            }
            if is_flooded {
                self.flood();
            }
            self.settle();
            if self.now >= next_look {
                self.look();
                next_look += Duration::from_millis(100);
            }
            self.now += if is_flooded { FLOOD_INTERVAL } else { Duration::from_millis(1) };
        }
    }

    /// Runs for `time` with the flood and nobody else.
    fn flood_alone(&mut self, time: Duration) {
        let begin = self.now;
        while self.now < begin + time {
            self.flood();
            self.settle();
            self.now += FLOOD_INTERVAL;
        }
        self.look();
    }

    fn look(&mut self) {
        let all = self.server.connections();
        let half_open = all.iter().filter(|c| c.state == TcpState::SynReceived).count();
        self.half_open_max = self.half_open_max.max(half_open);
        self.flows_max = self.flows_max.max(all.len());
        self.server.check();
    }

    /// How many of the first `count` clients were served within `time`.
    fn served(&self, count: usize, time: Duration) -> usize {
        let in_time =
            |client: &&Client| client.served_at.is_some_and(|at| at - client.began_at <= time);
        self.clients.iter().take(count).filter(in_time).count()
    }

    fn count(&self, name: &str) -> u64 {
        let all = self.counters.list();
        all.iter().find(|counter| counter.name == name).map_or(0, |counter| counter.value)
    }
}

fn seconds() -> u64 {
    let seconds = std::env::var("SYN_FLOOD_SECONDS");
    seconds.map_or(1, |seconds| seconds.parse().expect("SYN_FLOOD_SECONDS is a number"))
}

/// Nothing is kept of the flood but what the backlog allows, and nobody is kept out.
#[test]
fn clients_are_served_during_a_flood_of_syns_and_it_costs_no_memory() {
    let time = Duration::from_secs(seconds());
    let mut world = World::new(|_| {});
    let alone = allocation_counter::measure(|| world.flood_alone(time / 4));
    assert!(alone.bytes_max <= FLOOD_MAX, "{} octets of {FLOOD_MAX}", alone.bytes_max);
    assert_eq!(world.count("tcp_syn_cookies_taken_total"), 0);
    let memory = allocation_counter::measure(|| world.run(time, true));
    let clients = world.clients.len();
    world.run(Duration::from_secs(3), false);
    let in_time = world.served(clients, Duration::from_secs(3));
    println!(
        "{} SYNs, {} cookies sent, {} taken; {in_time} of {clients} clients within 3 s; \
         at most {} half-open, {} flows in all, {} octets of memory",
        world.count("packets_received_total"),
        world.count("tcp_syn_cookies_sent_total"),
        world.count("tcp_syn_cookies_taken_total"),
        world.half_open_max,
        world.flows_max,
        memory.bytes_max,
    );
    let bound = FLOOD_MAX + TAKEN + CLIENT_MAX * clients as u64;
    assert!(memory.bytes_max <= bound, "{} octets of {bound}", memory.bytes_max);
    assert!(in_time * 100 >= clients * 99, "{in_time} of {clients} within 3 s");
    // Those who lost a packet too many, and those who came after the flood.
    let clients = world.clients.len();
    world.run(Duration::from_secs(30), false);
    assert_eq!(world.served(clients, Duration::from_secs(30)), clients, "all are served");
    // A SYN that reopens a TIME-WAIT gets no cookie but takes the place of a record.
    assert!(world.half_open_max <= BACKLOG as usize + 16, "{}", world.half_open_max);
    assert_eq!(world.counters.dropped(DropReason::BacklogFull), 0);
}

/// What cookies are for: without them the flood has the backlog, and nearly nobody is served.
#[test]
fn without_cookies_the_same_flood_keeps_clients_out() {
    let mut world = World::new(|config| config.tcp.syn_cookies = wharf::SynCookies::Off);
    world.run(Duration::from_millis(500), true);
    world.run(Duration::from_secs(1), false);
    let (all, served) = (world.clients.len(), world.served(50, Duration::from_millis(1400)));
    assert!(served < 25, "{served} of the first 50, of {all} in all");
    assert!(world.half_open_max <= BACKLOG as usize);
}
