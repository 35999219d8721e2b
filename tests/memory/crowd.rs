//! Connections by the thousand, whose peers are packets made by hand; what they hold of the
//! allocator is counted.

use std::net::{Ipv4Addr, SocketAddrV4};

use allocation_counter::{AllocationInfo, measure};
use wharf::sim::TcpFlags;
use wharf::sim::craft::{Content, Packet};
use wharf::{Duration, Frame, Instant, Seed, SocketError, SocketId, Stack, StackConfig};

/// What the connections of a crowd have been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Nothing but the handshake.
    Handshake,
    /// A request, and its answer.
    Request,
}

/// Octets of a request, and of its answer.
const TEXT: u32 = 100;

/// So long after the last packet every timer of a handshake or of an answer has ended.
const REST: Duration = Duration::from_secs(10);

/// Where all connect to.
pub(crate) fn local() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80)
}

/// The settings of a stack for any crowd.
pub(crate) fn config() -> StackConfig {
    let mut config = StackConfig::new("10.0.0.1/8".parse().expect("a literal network"));
    config.limits.connections_max = 1 << 22;
    config.limits.sockets_max = 1 << 22;
    config
}

/// The peer of a connection, by its number.
pub(crate) fn peer(number: u32) -> SocketAddrV4 {
    let host = Ipv4Addr::from_bits(0x0a01_0001 + number / 50_000);
    let port = u16::try_from(1024 + number % 50_000).expect("below 51,024");
    SocketAddrV4::new(host, port)
}

/// A segment of a peer.
pub(crate) fn segment(number: u32, flags: TcpFlags, (seq, ack): (u32, u32), text: u32) -> Frame {
    let mut packet = Packet::tcp(peer(number), local(), flags);
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (seq, ack);
        segment.payload = vec![7; text as usize];
    }
    packet.to_frame()
}

/// A connection: its socket, and what its peer knows of it.
pub(crate) struct Held {
    pub(crate) socket: SocketId,
    /// The next sequence number of the peer.
    pub(crate) seq: u32,
    /// The next sequence number of the stack.
    pub(crate) ack: u32,
}

/// One stack, and its connections, all of which are held.
pub(crate) struct Crowd {
    pub(crate) stack: Stack,
    listener: SocketId,
    pub(crate) now: Instant,
    pub(crate) held: Vec<Held>,
}

impl Crowd {
    /// A stack that listens, and room for so many connections.
    pub(crate) fn new(room: usize) -> Result<Self, SocketError> {
        let mut stack = Stack::new(config(), Seed::from_number(1)).expect("the settings are valid");
        let listener = stack.tcp_socket()?;
        stack.bind(listener, local().into())?;
        stack.listen(listener, 4096)?;
        Ok(Self { stack, listener, now: Instant::ZERO, held: Vec::with_capacity(room) })
    }

    pub(crate) fn receive(&mut self, frame: Frame) {
        self.stack.receive(self.now, frame, &mut ());
    }

    /// The handshake of one peer, which begins at its own number; then the socket is accepted and
    /// kept.
    pub(crate) fn open(&mut self, number: u32, past: Past) -> Result<(), SocketError> {
        self.receive(segment(number, TcpFlags::SYN, (number, 0), 0));
        let answer = self.stack.transmit(self.now, &mut ()).expect("a SYN is answered");
        let answer = Packet::decode(answer.to_frame().octets()).expect("a well-formed answer");
        let next = answer.segment().expect("a segment").seq.wrapping_add(1);
        self.receive(segment(number, TcpFlags::ACK, (number + 1, next), 0));
        let (socket, _) = self.stack.accept(self.now, self.listener)?;
        let (mut seq, mut ack) = (number + 1, next);
        if past == Past::Request {
            let flags = TcpFlags::ACK.with(TcpFlags::PSH);
            self.receive(segment(number, flags, (number + 1, next), TEXT));
            let mut request = [0; 2 * TEXT as usize];
            let read = self.stack.read(self.now, socket, &mut request)?;
            assert_eq!(self.stack.write(self.now, socket, &request[..read])?, TEXT as usize);
            self.drain();
            (seq, ack) = (seq + TEXT, ack.wrapping_add(TEXT));
            self.receive(segment(number, TcpFlags::ACK, (seq, ack), 0));
        }
        self.drain();
        self.held.push(Held { socket, seq, ack });
        Ok(())
    }

    /// Takes all packets and events.
    pub(crate) fn drain(&mut self) {
        while self.stack.transmit(self.now, &mut ()).is_some() {}
        while self.stack.poll_event().is_some() {}
    }

    /// Time passes until every timer of what has been has ended.
    pub(crate) fn rest(&mut self) {
        self.now += REST;
        self.stack.on_timeout(self.now, &mut ());
        self.drain();
    }

    /// Every peer resets its connection, and every socket is closed.
    fn close_all(&mut self) {
        for number in 0..u32::try_from(self.held.len()).expect("a small number") {
            let Held { seq, ack, .. } = self.held[number as usize];
            self.receive(segment(number, TcpFlags::RST.with(TcpFlags::ACK), (seq, ack), 0));
        }
        while let Some(held) = self.held.pop() {
            self.stack.close(self.now, held.socket);
        }
        self.rest();
    }
}

/// What a crowd has cost.
pub(crate) struct Cost {
    /// Connections.
    pub(crate) count: u32,
    /// Octets of the allocator's that all hold together when they rest.
    pub(crate) resting: u64,
    /// Allocations that hold them.
    pub(crate) pieces: u64,
    /// Most octets that were held at a time while they were opened.
    pub(crate) most: u64,
    /// Octets that are still held when all have gone.
    pub(crate) left: u64,
}

impl Cost {
    /// Octets a connection.
    pub(crate) fn each(&self) -> f64 {
        per(self.resting, self.count)
    }

    /// Most octets a connection while they were opened.
    pub(crate) fn most_each(&self) -> f64 {
        per(self.most, self.count)
    }

    /// Allocations a connection.
    pub(crate) fn pieces_each(&self) -> f64 {
        per(self.pieces, self.count)
    }
}

#[expect(clippy::cast_precision_loss, reason = "octets of memory are far below 2^53")]
fn per(octets: u64, count: u32) -> f64 {
    octets as f64 / f64::from(count)
}

fn octets(info: &AllocationInfo) -> u64 {
    u64::try_from(info.bytes_current).unwrap_or(0)
}

/// Opens `count` connections of one stack, accepts them by [`Stack::accept`], keeps their sockets,
/// lets all come to rest, and closes them. The stack is there before, and so is the room for the
/// program's own list.
pub(crate) fn cost_by_stack(count: u32, past: Past) -> Cost {
    let mut crowd = Crowd::new(count as usize).expect("a listener opens");
    let opened = measure(|| {
        for number in 0..count {
            crowd.open(number, past).expect("a connection opens");
        }
        crowd.rest();
    });
    assert_eq!(crowd.stack.connections().len(), count as usize);
    let closed = measure(|| crowd.close_all());
    assert!(crowd.stack.connections().is_empty());
    let given_back = u64::try_from(-closed.bytes_current).unwrap_or(0);
    Cost {
        count,
        resting: octets(&opened),
        pieces: u64::try_from(opened.count_current).unwrap_or(0),
        most: opened.bytes_max,
        left: octets(&opened).saturating_sub(given_back),
    }
}
