//! TCP options by themselves and in segments: what is read is written back alike, and no options
//! harm a listener or a connection.

use std::net::SocketAddrV4;

use crate::config::StackConfig;
use crate::packet::Head;
use crate::rng::Seed;
use crate::sim::craft::{Content, Packet, TcpFlags};
use crate::sim::script::{PEER_ADDR, PEER_PORT, STACK_ADDR};
use crate::stack::Stack;
use crate::time::{Duration, Instant};
use crate::wire::tcp_options::{OPTIONS_MAX, TcpOptions};

/// The first octet says how many of the others are the options of a SYN; the rest are the options
/// of the segments that follow it.
///
/// # Panics
/// If options that we write are not read as they were meant, or if anything malformed leaves.
pub fn options(octets: &[u8]) {
    let Some((&split, rest)) = octets.split_first() else { return };
    let rest = rest.get(..2 * OPTIONS_MAX).unwrap_or(rest);
    let (of_syn, of_others) = rest.split_at(usize::from(split) % (rest.len() + 1));
    let (of_syn, of_others) = (fitting(of_syn), fitting(of_others));
    comes_back(of_syn);
    comes_back(of_others);
    let mut peer = Peer::new();
    // A passive open, a segment with text, one that comes early, and the end.
    peer.send(TcpFlags::SYN, 0, of_syn, 0);
    for (flags, seq, len) in [
        (TcpFlags::ACK, 1, 0),
        (TcpFlags::ACK.with(TcpFlags::PSH), 1, 10),
        (TcpFlags::ACK, 21, 10),
        (TcpFlags::ACK.with(TcpFlags::URG), 11, 10),
        (TcpFlags::ACK.with(TcpFlags::FIN), 31, 0),
        (TcpFlags::RST, 32, 0),
    ] {
        peer.send(flags, seq, of_others, len);
    }
}

/// As many of them as a header holds, a multiple of four.
fn fitting(octets: &[u8]) -> &[u8] {
    let len = octets.len().min(OPTIONS_MAX) & !3;
    octets.get(..len).unwrap_or_default()
}

/// Options that were read, written and read again are the same, but for what had no room.
fn comes_back(octets: &[u8]) {
    let Ok(read) = TcpOptions::parse(octets) else { return };
    let mut head = Head::new();
    read.emit(&mut head);
    assert_eq!(head.len(), read.len(), "{read:?}");
    assert!(head.len() <= OPTIONS_MAX && head.len().is_multiple_of(4), "{read:?}");
    let again = TcpOptions::parse(&head).expect("what we write can be read");
    let sack_fits = again.sack.len();
    assert_eq!(again.sack[..], read.sack[..sack_fits], "{read:?}");
    let mut without_rest = read;
    without_rest.sack.truncate(sack_fits);
    assert_eq!(again, without_rest);
}

/// A peer of a listening stack.
struct Peer {
    stack: Stack,
    now: Instant,
    ends: (SocketAddrV4, SocketAddrV4),
    /// Past the last octet that the stack has sent.
    ack: u32,
}

impl Peer {
    fn new() -> Self {
        let config = StackConfig::new(STACK_ADDR.parse().expect("a literal network"));
        let local = SocketAddrV4::new(config.interface.addresses[0].addr(), 80);
        let mut stack = Stack::new(config, Seed::from_number(1)).expect("the defaults are valid");
        let listener = stack.tcp_socket().expect("the first socket");
        stack.bind(listener, local.into()).expect("a free port");
        stack.listen(listener, 4).expect("a bound socket");
        let ends = (SocketAddrV4::new(PEER_ADDR, PEER_PORT), local);
        Self { stack, now: Instant::ZERO, ends, ack: 0 }
    }

    fn send(&mut self, flags: TcpFlags, seq: u32, options: &[u8], len: usize) {
        let mut packet = Packet::tcp(self.ends.0, self.ends.1, flags);
        if let Content::Tcp(segment) = &mut packet.content {
            (segment.seq, segment.ack) = (seq, self.ack);
            segment.options = options.to_vec();
            segment.payload = vec![1; len];
        }
        self.stack.receive(self.now, packet.to_frame(), &mut ());
        self.settle();
        // So long that every timer short of a retransmission has run.
        self.now += Duration::from_millis(150);
        while self.stack.next_timeout().is_some_and(|due| due <= self.now) {
            self.stack.on_timeout(self.now, &mut ());
            self.settle();
        }
    }

    fn settle(&mut self) {
        while let Some(packet) = self.stack.transmit(self.now, &mut ()) {
            let packet = Packet::decode(packet.to_frame().octets())
                .unwrap_or_else(|fault| panic!("a malformed packet left: {fault}"));
            if let Some(segment) = packet.segment() {
                self.ack = segment.seq.wrapping_add(segment.len());
            }
        }
        self.stack.check();
    }
}
