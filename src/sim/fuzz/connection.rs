//! One connection under segments with plausible numbers, socket calls and pauses.

use std::net::SocketAddrV4;

use super::delta;
use crate::config::StackConfig;
use crate::error::SocketError;
use crate::observe::TcpState;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::sim::craft::{Content, IcmpMessage, Packet, TcpFlags, TcpSegment};
use crate::sim::notation::{Sender, stream};
use crate::sim::script::{PEER_ADDR, PEER_PORT, STACK_ADDR};
use crate::stack::{Shutdown, SocketId, Stack};
use crate::time::{Duration, Instant};
use crate::wire::display::describe;

/// After so long every connection that its socket has left is over: the peer's silence, TIME-WAIT
/// and all.
const LONG: Duration = Duration::from_hours(7 * 24);

/// `octets` as a program: segments with plausible numbers, socket calls and pauses, all on one
/// connection. Whatever happens, our packets are well-formed, they carry what was written, the
/// parts agree, and in the end nothing is left. Two stacks go through it side by side, one with
/// header prediction and one without: both send the same, and know the same of the connection.
///
/// # Panics
/// If any of that does not hold.
pub fn connection(octets: &[u8]) {
    let mut duels = [true, false].map(Duel::new);
    let mut program = octets.iter().copied();
    while let Some(instruction) = program.next() {
        let mut same_program = program.clone();
        duels[0].step(instruction, &mut program);
        duels[1].step(instruction, &mut same_program);
        let [with, without] = &mut duels;
        assert!(with.sent == without.sent, "header prediction changed what leaves");
        assert_eq!(with.known(), without.known(), "header prediction changed what is known");
    }
    for duel in duels {
        duel.end();
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
    /// Where in its stream the urgent octets end.
    urgent_ends: Vec<u32>,
    last: Vec<u8>,
    /// What the stack has sent in this step.
    sent: Vec<Vec<u8>>,
    /// The stack's last TSval, once both have timestamps.
    stack_clock: Option<u32>,
}

impl Duel {
    fn new(predicts: bool) -> Self {
        let mut config = StackConfig::new(STACK_ADDR.parse().expect("a literal network"));
        config.tcp.header_prediction = predicts;
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
            urgent_ends: Vec::new(),
            last: Vec::new(),
            sent: Vec::new(),
            stack_clock: None,
        }
    }

    fn step(&mut self, instruction: u8, program: &mut impl Iterator<Item = u8>) {
        self.sent.clear();
        let mut next = || program.next().unwrap_or(0);
        match instruction % 16 {
            // In sequence and well-meant: so that programs get far.
            0 => {
                let options = self.syn_options(next());
                self.segment(TcpFlags::SYN, 0, 0, 255, 0, &options);
            }
            1 => self.segment(TcpFlags::ACK, 0, 0, 255, 0, &self.usual_options()),
            2 => {
                let len = u16::from(next()) * 6;
                let flags = TcpFlags::ACK.with(TcpFlags::PSH);
                self.segment(flags, 0, 0, 200, len, &self.usual_options());
                self.peer_nxt = self.peer_nxt.wrapping_add(u32::from(len));
            }
            3 => {
                let flags = TcpFlags::ACK.with(TcpFlags::FIN);
                self.segment(flags, 0, 0, 255, 0, &self.usual_options());
            }
            // Anything.
            4..=8 => {
                let flags = TcpFlags::from_bits(next());
                let (seq, ack) = (delta(next(), next()), delta(next(), next()));
                let (window, len) = (next(), u16::from(next()) * 6);
                let words = next() % 8;
                let options: Vec<_> = match words {
                    4.. => self.usual_options(),
                    words => (0..words * 4).map(|_| next()).collect(),
                };
                self.segment(flags, seq, ack, window, len, &options);
            }
            9 | 10 => {
                let wait = Duration::from_micros(1 << (next() % 34));
                self.pass(wait);
            }
            11 => self.write(usize::from(next()) * 32),
            12 => self.read(usize::from(next()) * 32),
            13 => self.call(next(), next()),
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

    /// Any call but read and write; without a connection, those that get one.
    fn call(&mut self, choice: u8, value: u8) {
        match (choice % 8, self.socket) {
            (0, Some(socket)) => {
                // It fails when there is no connection any more.
                let _ = self.stack.shutdown(self.now, socket, Shutdown::Write);
            }
            (1, Some(socket)) => {
                self.stack.close(self.now, socket);
                self.socket = None;
            }
            (2, Some(socket)) => {
                let _ = self.stack.shutdown(self.now, socket, Shutdown::Read);
            }
            (3.., Some(socket)) if choice >= 192 => self.urgent(socket, choice, value),
            (3.., Some(socket)) => self.set_option(socket, choice, value),
            (7, None) => self.connect(),
            (_, None) => {
                let accepted = self.listener.map(|id| self.stack.accept(self.now, id));
                self.socket = accepted.and_then(Result::ok).map(|(socket, _)| socket);
                self.written = 0;
            }
        }
    }

    /// A call about urgent data.
    fn urgent(&mut self, socket: SocketId, choice: u8, value: u8) {
        if choice < 224 {
            let octets = stream(Sender::Stack, self.written, value.into());
            if let Ok(taken @ 1..) = self.stack.write_urgent(self.now, socket, &octets) {
                self.written += u32::try_from(taken).expect("a program writes little");
                self.urgent_ends.push(self.written);
            }
            return;
        }
        let (mut peeked, mut taken) = ([0], [0]);
        let foreseen = self.stack.peek_urgent(socket, &mut peeked);
        if value & 1 == 1 {
            let outcome = self.stack.read_urgent(socket, &mut taken);
            assert_eq!((outcome, taken), (foreseen, peeked), "peeking foresees");
            let again = self.stack.read_urgent(socket, &mut taken);
            assert_ne!(again, Ok(1), "it is taken once");
        }
        let is_here = self.stack.urgent_ahead(socket).map(|ahead| ahead == Some(0));
        assert_eq!(self.stack.at_mark(socket), is_here);
    }

    /// Sets one option; what it may not be is refused, and changes nothing.
    fn set_option(&mut self, socket: SocketId, choice: u8, value: u8) {
        let Ok(mut options) = self.stack.options(socket) else { return };
        let before = options;
        let seconds = Duration::from_secs(value.into());
        match choice / 8 {
            0 => options.nodelay = value & 1 == 1,
            1 => options.linger = (value & 1 == 1).then_some(Duration::ZERO),
            2 => options.tos = value,
            3 => options.ttl = value,
            4 => options.keepalive = value & 1 == 1,
            5 => options.keepalive_idle = seconds,
            6 => options.keepalive_interval = seconds,
            7 => options.keepalive_count = value,
            8 => options.user_timeout = (value > 0).then_some(seconds),
            9 => options.linger2 = seconds,
            10 => options.max_segment = Some(u16::from(value) * 16),
            11 => options.receive_buffer = u32::from(value) * 64,
            13 => options.cork = value & 1 == 1,
            14 => options.quick_ack = value & 1 == 1,
            15 => options.notsent_lowat = (value > 0).then_some(u32::from(value) * 16),
            16 => options.oob_inline = value & 1 == 1,
            17 => options.receive_errors = value & 1 == 1,
            18 => options.syn_count = Some(value),
            19 => options.defer_accept = (value > 0).then_some(seconds),
            _ => options.send_buffer = u32::from(value) * 64,
        }
        let has_taken = self.stack.set_options(socket, options).is_ok();
        let now = self.stack.options(socket);
        assert_eq!(now, Ok(if has_taken { options } else { before }));
    }

    /// An active open, from the listener's port to the peer's. It may find the place taken.
    fn connect(&mut self) {
        let Ok(socket) = self.stack.tcp_socket() else { return };
        let Ok(mut options) = self.stack.options(socket) else { return };
        options.reuse_address = true;
        let opened = self
            .stack
            .set_options(socket, options)
            .and_then(|()| self.stack.bind(socket, SocketAddrV4::new(*self.local.ip(), 81).into()))
            .and_then(|()| self.stack.connect(self.now, socket, self.peer.into()));
        if matches!(opened, Ok(()) | Err(SocketError::InProgress)) {
            self.socket = Some(socket);
            self.local.set_port(81);
            self.written = 0;
        } else {
            self.stack.close(self.now, socket);
        }
    }

    /// The options of a SYN: MSS, and what `choice` adds.
    fn syn_options(&self, choice: u8) -> Vec<u8> {
        let mut options = vec![2, 4, 5, 180];
        if choice & 1 != 0 {
            options.extend([1, 3, 3, choice >> 4]);
        }
        if choice & 2 != 0 {
            options.extend([1, 1, 4, 2]);
        }
        if choice & 4 != 0 {
            options.extend(self.timestamps(0));
        }
        options
    }

    /// The options of any other segment: timestamps, if both have them.
    fn usual_options(&self) -> Vec<u8> {
        self.stack_clock.map_or(Vec::new(), |echo| self.timestamps(echo))
    }

    fn timestamps(&self, echo: u32) -> Vec<u8> {
        let millis = self.now.as_nanos() / 1_000_000;
        let [.., c0, c1, c2, c3] = millis.to_be_bytes();
        let mut option = vec![1, 1, 8, 10, c0, c1, c2, c3];
        option.extend(echo.to_be_bytes());
        option
    }

    /// Takes what the stack sends, and looks whether all is well.
    fn settle(&mut self) {
        while let Some(packet) = self.stack.transmit(self.now, &mut ()) {
            let octets = packet.to_frame().octets().to_vec();
            let packet = Packet::decode(&octets).unwrap_or_else(|fault| {
                panic!("a malformed packet left: {fault}: {}", describe(&octets))
            });
            // What an earlier connection still sends is none of this one's.
            let is_ours = packet.source_addr() == self.local;
            if let Some(segment) = packet.segment().filter(|_| is_ours) {
                self.on_segment(segment);
            }
            self.sent.push(octets.clone());
            self.last = octets;
        }
        self.stack.check();
    }

    /// What the stack knows of its connections.
    fn known(&self) -> String {
        format!("{:?}", self.stack.connections())
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
        self.stack_clock = clock_of(&segment.options);
        if let Some(iss) = self.iss {
            let position = segment.seq.wrapping_sub(iss).wrapping_sub(1);
            let wanted = stream(Sender::Stack, position, segment.payload.len());
            assert_eq!(segment.payload, wanted, "octets left that nobody wrote there");
            let end = position.wrapping_add(segment.urgent.into());
            let is_true = segment.urgent == u16::MAX || self.urgent_ends.contains(&end);
            let is_urgent = segment.flags.contains(TcpFlags::URG);
            assert!(!is_urgent || is_true, "nothing urgent ends at {end}");
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

/// TSval, where a stack of ours puts it.
fn clock_of(options: &[u8]) -> Option<u32> {
    let at = options.windows(2).position(|kind| kind == [8, 10])?;
    let value = options.get(at + 2..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*value))
}
