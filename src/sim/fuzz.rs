//! Bodies of the fuzz targets: any octets in, no panic, and what must hold holds.
//!
//! They run on stable Rust; `tests/fuzz_replay.rs` calls them with octets that a seed decides.

use std::net::SocketAddrV4;

use super::craft::{Content, IcmpMessage, Packet, TcpFlags, TcpSegment, checksums_hold};
use super::notation::{Sender, stream};
use super::random::Random;
use super::script::{PEER_ADDR, PEER_PORT, STACK_ADDR};
use crate::config::StackConfig;
use crate::observe::TcpState;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::stack::{Shutdown, SocketId, Stack};
use crate::time::{Duration, Instant};
use crate::wire::display::describe;
use crate::wire::icmpv4::Icmpv4Message;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv4_options;
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::TcpOptions;
use crate::wire::udp::UdpHeader;

/// After so long every connection that its socket has left is over: the peer's silence, TIME-WAIT
/// and all.
const LONG: Duration = Duration::from_hours(7 * 24);

/// Reads `octets` in every way that the stack reads octets from outside.
///
/// # Panics
/// If a parser claims more octets than there are.
pub fn wire(octets: &[u8]) {
    for view in [Ipv4Header::parse(octets), Ipv4Header::parse_quoted(octets)].into_iter().flatten()
    {
        assert!(view.header_len <= octets.len() && view.header_len >= Ipv4Header::LEN);
        assert_eq!(view.options.len(), view.header_len - Ipv4Header::LEN);
        assert!(ipv4_options::options(view.options).count() <= view.options.len());
    }
    assert!(ipv4_options::options(octets).count() <= octets.len());
    if let Ok(view) = TcpHeader::parse(octets) {
        assert_eq!(view.options.len(), view.header_len - TcpHeader::LEN);
        assert!(view.header_len <= octets.len());
    }
    if let Ok(options) = TcpOptions::parse(octets) {
        assert!(options.len() <= 40 || options.sack.len() > 2, "{options:?}");
    }
    if let Ok((_, payload)) = UdpHeader::parse(octets) {
        assert!(payload.len() + UdpHeader::LEN <= octets.len());
    }
    // Whether it is one does not matter here: reading it must end.
    let _ = Icmpv4Message::parse(octets);
    assert!(!describe(octets).to_string().is_empty());
}

/// `octets` as a program: segments with plausible numbers, socket calls and pauses, all on one
/// connection. Whatever happens, our packets are well-formed, they carry what was written, the
/// parts agree, and in the end nothing is left.
///
/// # Panics
/// If any of that does not hold.
pub fn connection(octets: &[u8]) {
    let mut duel = Duel::new();
    let mut program = octets.iter().copied();
    while let Some(instruction) = program.next() {
        duel.step(instruction, &mut program);
    }
    duel.end();
}

/// A packet that no stack sends: `template` cut, flipped or overwritten. Its checksums are wrong,
/// so that nobody may act on it.
pub fn mutated(random: &mut Random, template: &[u8]) -> Vec<u8> {
    loop {
        let mut octets = template.to_vec();
        match random.below(4) {
            0 => octets.truncate(random.index(template.len().max(1))),
            1 => {
                for _ in 0..=random.below(8) {
                    let place = random.index(octets.len());
                    if let Some(octet) = octets.get_mut(place) {
                        *octet ^= 1 << random.below(8);
                    }
                }
            }
            2 => {
                let place = random.index(octets.len());
                for octet in octets.iter_mut().skip(place).take(1 + random.index(20)) {
                    *octet = random.word().to_le_bytes()[0];
                }
            }
            _ => {
                let len = random.index(200);
                octets = (0..len).map(|_| random.word().to_le_bytes()[0]).collect();
            }
        }
        if !checksums_hold(&octets) {
            return octets;
        }
    }
}

/// One stack, and a peer that does as it is told.
struct Duel {
    stack: Stack,
    now: Instant,
    listener: Option<SocketId>,
    socket: Option<SocketId>,
    peer: SocketAddrV4,
    local: SocketAddrV4,
    /// The stack's initial sequence number, once its SYN has been seen.
    iss: Option<u32>,
    /// Where the stack's next octet and the peer's are, as the peer believes.
    stack_nxt: u32,
    peer_nxt: u32,
    written: u32,
    last: Vec<u8>,
}

impl Duel {
    fn new() -> Self {
        let config = StackConfig::new(STACK_ADDR.parse().expect("a literal network"));
        let addr = config.interface.addresses[0].addr();
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the defaults are valid");
        let local = SocketAddrV4::new(addr, 80);
        let listener = stack.tcp_socket().and_then(|socket| {
            stack.bind(socket, local.into())?;
            stack.listen(socket, 4)?;
            Ok(socket)
        });
        Self {
            stack,
            now: Instant::ZERO,
            listener: listener.ok(),
            socket: None,
            peer: SocketAddrV4::new(PEER_ADDR, PEER_PORT),
            local,
            iss: None,
            stack_nxt: 0,
            peer_nxt: u32::MAX - 300, // It wraps soon.
            written: 0,
            last: Vec::new(),
        }
    }

    fn step(&mut self, instruction: u8, program: &mut impl Iterator<Item = u8>) {
        let mut next = || program.next().unwrap_or(0);
        match instruction % 16 {
            // In sequence and well-meant: so that programs get far.
            0 => self.segment(TcpFlags::SYN, 0, 0, 255, 0, &[2, 4, 5, 180]),
            1 => self.segment(TcpFlags::ACK, 0, 0, 255, 0, &[]),
            2 => {
                let len = u16::from(next()) * 6;
                self.segment(TcpFlags::ACK.with(TcpFlags::PSH), 0, 0, 200, len, &[]);
                self.peer_nxt = self.peer_nxt.wrapping_add(u32::from(len));
            }
            3 => self.segment(TcpFlags::ACK.with(TcpFlags::FIN), 0, 0, 255, 0, &[]),
            // Anything.
            4..=8 => {
                let flags = TcpFlags::from_bits(next());
                let (seq, ack) = (delta(next(), next()), delta(next(), next()));
                let (window, len) = (next(), u16::from(next()) * 6);
                let options: Vec<_> = (0..usize::from(next() % 4) * 4).map(|_| next()).collect();
                self.segment(flags, seq, ack, window, len, &options);
            }
            9 | 10 => {
                let wait = Duration::from_micros(1 << (next() % 34));
                self.pass(wait);
            }
            11 => self.write(usize::from(next()) * 32),
            12 => self.read(usize::from(next()) * 32),
            13 => self.close_or_open(next()),
            14 => self.icmp(next(), next()),
            _ => {
                let len = usize::from(next());
                let octets: Vec<_> = (0..len).map(|_| next()).collect();
                self.stack.receive(self.now, Frame::new(octets), &mut ());
            }
        }
        self.settle();
    }

    /// A segment of the peer, so far from where the peer believes both sides to be.
    fn segment(
        &mut self,
        flags: TcpFlags,
        seq: u32,
        ack: u32,
        window: u8,
        len: u16,
        options: &[u8],
    ) {
        let mut packet = Packet::tcp(self.peer, self.local, flags);
        if let Content::Tcp(segment) = &mut packet.content {
            segment.seq = self.peer_nxt.wrapping_add(seq);
            segment.ack = self.stack_nxt.wrapping_add(ack);
            segment.window = u16::from(window) * 8;
            segment.urgent = u16::from(window);
            segment.options = options.to_vec();
            segment.payload = vec![0xaa; len.into()];
        }
        self.stack.receive(self.now, packet.to_frame(), &mut ());
    }

    fn icmp(&mut self, kind: u8, code: u8) {
        let quote = self.last.get(..28).unwrap_or(&self.last).to_vec();
        let message = IcmpMessage { kind, code, rest: [0, 0, 2, code], data: quote };
        let packet = Packet::new(PEER_ADDR, *self.local.ip(), Content::Icmp(message));
        self.stack.receive(self.now, packet.to_frame(), &mut ());
    }

    fn pass(&mut self, wait: Duration) {
        let end = self.now + wait;
        while let Some(due) = self.stack.next_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.stack.on_timeout(self.now, &mut ());
            self.settle();
        }
        self.now = end;
    }

    fn write(&mut self, len: usize) {
        let Some(socket) = self.socket else { return };
        let octets = stream(Sender::Stack, self.written, len);
        if let Ok(taken) = self.stack.write(self.now, socket, &octets) {
            self.written += u32::try_from(taken).expect("a program writes little");
        }
    }

    fn read(&mut self, len: usize) {
        if let Some(socket) = self.socket {
            // What comes of it depends on the program.
            let _ = self.stack.read(self.now, socket, &mut vec![0; len]);
        }
    }

    fn close_or_open(&mut self, choice: u8) {
        match (choice % 4, self.socket) {
            (0, Some(socket)) => {
                // It fails when there is no connection any more.
                let _ = self.stack.shutdown(self.now, socket, Shutdown::Write);
            }
            (1, Some(socket)) => {
                self.stack.close(self.now, socket);
                self.socket = None;
            }
            (_, None) => {
                let accepted = self.listener.map(|id| self.stack.accept(self.now, id));
                self.socket = accepted.and_then(Result::ok).map(|(socket, _)| socket);
                self.written = 0;
            }
            _ => {}
        }
    }

    /// Takes what the stack sends, and looks whether all is well.
    fn settle(&mut self) {
        while let Some(packet) = self.stack.transmit(self.now, &mut ()) {
            let octets = packet.to_frame().octets().to_vec();
            let packet = Packet::decode(&octets).unwrap_or_else(|fault| {
                panic!("a malformed packet left: {fault}: {}", describe(&octets))
            });
            if let Some(segment) = packet.segment() {
                self.on_segment(segment);
            }
            self.last = octets;
        }
        self.stack.check();
    }

    fn on_segment(&mut self, segment: &TcpSegment) {
        if segment.flags.contains(TcpFlags::RST) {
            return;
        }
        if segment.flags.contains(TcpFlags::SYN) {
            self.iss = Some(segment.seq);
        }
        let end = segment.seq.wrapping_add(segment.len());
        if end.wrapping_sub(self.stack_nxt).cast_signed() > 0
            || segment.flags.contains(TcpFlags::SYN)
        {
            self.stack_nxt = end;
        }
        self.peer_nxt = segment.ack;
        if let Some(iss) = self.iss {
            let position = segment.seq.wrapping_sub(iss).wrapping_sub(1);
            let wanted = stream(Sender::Stack, position, segment.payload.len());
            assert_eq!(segment.payload, wanted, "octets left that nobody wrote there");
        }
    }

    /// Closes everything and waits: nothing may be left.
    fn end(mut self) {
        for socket in self.socket.take().into_iter().chain(self.listener.take()) {
            self.stack.close(self.now, socket);
        }
        self.settle();
        self.pass(LONG);
        let left = self.stack.connections();
        assert!(left.is_empty(), "left: {left:?}");
        assert_eq!(self.stack.orphans(), 0);
        assert!(left.iter().all(|info| info.state == TcpState::Closed));
    }
}

/// A small distance, both ways, or a large one.
fn delta(scale: u8, low: u8) -> u32 {
    let distance = u32::from(low) << (scale % 25);
    if scale >= 128 { distance.wrapping_neg() } else { distance }
}
