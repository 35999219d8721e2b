//! A segment arrives at an established connection: what it costs until its consequence has left.
//!
//! The packets are made by hand before the clock starts.

use std::cell::RefCell;
use std::net::SocketAddrV4;

use divan::{AllocProfiler, Bencher};
use wharf::sim::TcpFlags;
use wharf::sim::craft::{Content, Packet};
use wharf::{Duration, Frame, Instant, Seed, SocketError, SocketId, Stack, StackConfig};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A stack with one connection, and what its peer knows of it.
struct Bed {
    stack: Stack,
    socket: SocketId,
    now: Instant,
    seq: u32,
    ack: u32,
    buffer: Vec<u8>,
}

fn local() -> SocketAddrV4 {
    "10.0.0.1:80".parse().expect("a literal address")
}

fn remote() -> SocketAddrV4 {
    "10.0.0.2:5000".parse().expect("a literal address")
}

fn segment(flags: TcpFlags, (seq, ack): (u32, u32), text: usize) -> Frame {
    let mut packet = Packet::tcp(remote(), local(), flags);
    if let Content::Tcp(segment) = &mut packet.content {
        (segment.seq, segment.ack) = (seq, ack);
        segment.payload = vec![7; text];
    }
    packet.to_frame()
}

impl Bed {
    fn new() -> Result<Self, SocketError> {
        let config = StackConfig::new("10.0.0.1/8".parse().expect("a literal network"));
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the defaults are valid");
        let now = Instant::ZERO;
        let listener = stack.tcp_socket()?;
        stack.bind(listener, local().into())?;
        stack.listen(listener, 1)?;
        stack.receive(now, segment(TcpFlags::SYN, (0, 0), 0), &mut ());
        let answer = stack.transmit(now, &mut ()).expect("a SYN is answered");
        let answer = Packet::decode(answer.to_frame().octets()).expect("a well-formed answer");
        let ack = answer.segment().expect("a segment").seq.wrapping_add(1);
        stack.receive(now, segment(TcpFlags::ACK, (1, ack), 0), &mut ());
        let (socket, _) = stack.accept(now, listener)?;
        Ok(Self { stack, socket, now, seq: 1, ack, buffer: vec![0; 65_536] })
    }

    /// The peer's next segment.
    fn next(&mut self, text: usize) -> Frame {
        let frame = segment(TcpFlags::ACK.with(TcpFlags::PSH), (self.seq, self.ack), text);
        self.seq = self.seq.wrapping_add(u32::try_from(text).expect("a small number"));
        frame
    }

    /// It arrives, is read, and is acknowledged if that is due.
    fn turn(&mut self, frame: Frame, text: usize) {
        self.now += Duration::from_micros(1);
        self.stack.receive(self.now, frame, &mut ());
        if self.stack.next_timeout().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now, &mut ());
        }
        while self.stack.poll_event().is_some() {}
        let read = self.stack.read(self.now, self.socket, &mut self.buffer);
        assert_eq!(read.unwrap_or(0), text);
        while self.stack.transmit(self.now, &mut ()).is_some() {}
    }
}

/// The next text in order, which is read; every second is acknowledged. 0: a bare acknowledgment
/// that says nothing new.
#[divan::bench(args = [0, 64, 1460, 16_000])]
fn in_order(bencher: Bencher<'_, '_>, text: usize) {
    let bed = RefCell::new(Bed::new().expect("a connection opens"));
    bencher
        .with_inputs(|| bed.borrow_mut().next(text))
        .bench_local_values(|frame| bed.borrow_mut().turn(frame, text));
}

/// A segment that has come before: it is dropped, and answered.
#[divan::bench]
fn repeated(bencher: Bencher<'_, '_>) {
    let bed = RefCell::new(Bed::new().expect("a connection opens"));
    let first = bed.borrow_mut().next(1000);
    bed.borrow_mut().turn(first.clone(), 1000);
    bencher
        .with_inputs(|| first.clone())
        .bench_local_values(|frame| bed.borrow_mut().turn(frame, 0));
}

/// A segment of another connection's, of which there is none here: an RST is due.
#[divan::bench]
fn stray(bencher: Bencher<'_, '_>) {
    let bed = RefCell::new(Bed::new().expect("a connection opens"));
    let mut packet = Packet::tcp(remote(), local(), TcpFlags::ACK);
    packet.source = [10, 0, 0, 3].into();
    let frame = packet.to_frame();
    bencher
        .with_inputs(|| frame.clone())
        .bench_local_values(|frame| bed.borrow_mut().turn(frame, 0));
}
