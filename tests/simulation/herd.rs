//! A herd of peers that open connections and take nothing (sockstress, RFC 6429): what they cost is
//! bounded, and others are served.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use wharf::sim::craft::{Content, Packet, TcpFlags, TcpSegment};
use wharf::{
    Counters, Duration, Frame, Instant, Seed, Shutdown, SocketError, SocketId, Stack, StackConfig,
};

use super::{configs, server};

/// How many they are.
const HERD: u16 = 10_000;

/// What all buffers of the server may hold, octets.
const MEMORY_MAX: usize = 64 << 20;

/// What a connection may hold beyond the limit: 4 KiB to send, in pages.
const EACH_MAX: usize = 8 << 10;

const ORPHANS_MAX: usize = 1000;

/// A server, and the herd, whose members all say the same: nothing, with a shut window.
struct World {
    now: Instant,
    server: Stack,
    listener: SocketId,
    accepted: Vec<SocketId>,
    counters: Counters,
    arriving: VecDeque<Frame>,
    /// What is not for the herd.
    others: VecDeque<Frame>,
}

impl World {
    fn new() -> Self {
        let [_, config] = configs(|config: &mut StackConfig| {
            config.limits.memory_max = MEMORY_MAX;
            config.limits.orphans_max = ORPHANS_MAX;
        });
        let mut server = Stack::new(config, Seed::from_number(7)).expect("valid settings");
        let listener = server.tcp_socket().expect("a first socket");
        server.bind(listener, "0.0.0.0:80".parse().expect("a literal")).expect("a free port");
        server.listen(listener, 128).expect("a bound socket");
        Self {
            now: Instant::ZERO,
            server,
            listener,
            accepted: Vec::new(),
            counters: Counters::default(),
            arriving: VecDeque::new(),
            others: VecDeque::new(),
        }
    }

    /// Member `number` of the herd says something, with a window of 0.
    fn say(&mut self, number: u16, flags: TcpFlags, seq: u32, ack: u32) {
        let from = SocketAddrV4::new([10, 8, 0, 1].into(), number + 1000);
        let to = SocketAddrV4::new([10, 7, 0, 2].into(), 80);
        let mut packet = Packet::tcp(from, to, flags);
        if let Content::Tcp(segment) = &mut packet.content {
            *segment = TcpSegment { seq, ack, window: 0, ..segment.clone() };
        }
        self.arriving.push_back(packet.to_frame());
    }

    /// Everything that can happen at this moment. The herd answers all that is not a reset.
    fn settle(&mut self) {
        loop {
            while let Some(frame) = self.arriving.pop_front() {
                self.server.receive(self.now, frame, &mut self.counters);
            }
            self.server.on_timeout(self.now, &mut self.counters);
            while let Ok((socket, _)) = self.server.accept(self.now, self.listener) {
                self.accepted.push(socket);
            }
            while let Some(packet) = self.server.transmit(self.now, &mut self.counters) {
                let frame = packet.to_frame();
                if frame.octets()[16..18] != [10, 8] {
                    self.others.push_back(frame);
                    continue;
                }
                let packet = Packet::decode(frame.octets()).expect("we send what can be read");
                let Content::Tcp(segment) = &packet.content else { continue };
                if segment.flags.contains(TcpFlags::RST) {
                    continue;
                }
                // All but the SYN-ACK stands one octet left of what is expected.
                let number = segment.destination_port - 1000;
                self.say(number, TcpFlags::ACK, 1, segment.seq.wrapping_add(1));
            }
            if self.arriving.is_empty() {
                break;
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.server.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = end;
    }
}

/// A client that wants 100,000 octets gets them, whatever the herd holds.
fn is_served(world: &mut World) -> bool {
    let [config, _] = configs(|_| {});
    let mut client = Stack::new(config, Seed::from_number(9)).expect("valid settings");
    let socket = client.tcp_socket().expect("a first socket");
    let begun = client.connect(world.now, socket, server());
    assert_eq!(begun, Err(SocketError::InProgress));
    let answer_text = vec![7; 100_000];
    let (mut answer, mut read, mut written) = (None, 0, 0);
    let end = world.now + Duration::from_mins(1);
    while world.now < end && read < 100_000 {
        client.on_timeout(world.now, &mut ());
        while let Some(packet) = client.transmit(world.now, &mut ()) {
            world.arriving.push_back(packet.to_frame());
        }
        let known = world.accepted.len();
        world.settle();
        answer = answer.or_else(|| world.accepted.drain(known..).next());
        if let Some(answer) = answer
            && let Ok(octets) = world.server.write(world.now, answer, &answer_text[written..])
        {
            written += octets;
            world.settle();
        }
        while let Some(frame) = world.others.pop_front() {
            client.receive(world.now, frame, &mut ());
        }
        while let Ok(octets @ 1..) = client.read(world.now, socket, &mut [0; 10_000]) {
            read += octets;
        }
        world.now += Duration::from_millis(1);
    }
    if let Some(answer) = answer {
        world.server.close(world.now, answer);
    }
    read == 100_000
}

#[test]
fn a_herd_that_takes_nothing_costs_a_bounded_memory_and_others_are_served() {
    let mut world = World::new();
    for number in 0..HERD {
        world.say(number, TcpFlags::SYN, 0, 0);
        world.settle();
    }
    assert_eq!(world.accepted.len(), usize::from(HERD));
    // Open and silent: no buffer.
    assert_eq!(world.server.buffered(), 0);

    let text = vec![7; 200_000];
    for index in 0..world.accepted.len() {
        let socket = world.accepted[index];
        let taken = world.server.write(world.now, socket, &text);
        assert!(matches!(taken, Ok(1..)), "{taken:?}: a little is taken always");
    }
    world.settle();
    let bound = MEMORY_MAX + usize::from(HERD) * EACH_MAX + 200_000;
    let held = world.server.buffered();
    assert!((MEMORY_MAX..bound).contains(&held), "{held} octets are held, {bound} may be");
    assert!(is_served(&mut world), "nobody else is served");

    // The window stays shut for an hour and each probe is answered: the connections stay open.
    world.wait(Duration::from_hours(1));
    assert!(world.server.connections().len() >= usize::from(HERD));
    assert!(world.server.buffered() <= held);
    world.server.check();

    // Without their sockets they do not: there may be so many, and for so long.
    for socket in std::mem::take(&mut world.accepted) {
        let _ = world.server.shutdown(world.now, socket, Shutdown::Both);
        world.server.close(world.now, socket);
    }
    world.settle();
    assert_eq!(world.server.orphans(), ORPHANS_MAX);
    world.wait(Duration::from_secs(101));
    assert_eq!((world.server.orphans(), world.server.buffered()), (0, 0));
    world.server.check();
}
