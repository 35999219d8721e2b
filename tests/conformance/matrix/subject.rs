//! Gives a stack one segment, and sees what comes of it: what leaves at once and in the 150 ms
//! after, which is shorter than any retransmission timeout; the state; what can be read.

use std::net::SocketAddrV4;

use wharf::sim::craft::{Content, Packet, TcpSegment};
use wharf::sim::script::{PEER_ADDR, PEER_PORT};
use wharf::sim::{Played, TcpFlags, error_name};
use wharf::{Duration, Instant, SocketError, TcpState};

use super::cell::Seg;
use super::oracle::{App, Reply};
use super::scene::{State, Variant};

/// How long the silence after the reaction is listened to.
const WATCHED: Duration = Duration::from_millis(150);

/// What came of a cell.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) at_once: Vec<TcpSegment>,
    pub(super) later: Vec<TcpSegment>,
    pub(super) state: State,
    pub(super) app: App,
}

/// Lets `seg` arrive at the stack that `played` has left.
pub(super) fn play(mut played: Played, variant: Variant, before: State, seg: &Seg) -> Got {
    let local = SocketAddrV4::new("10.7.0.2".parse().expect("a literal address"), 80);
    let peer = SocketAddrV4::new(PEER_ADDR, PEER_PORT);
    let mut packet = Packet::tcp(peer, local, seg.control.flags());
    if let Content::Tcp(segment) = &mut packet.content {
        segment.seq = absolute(variant.peer_iss, seg.seq);
        segment.ack = seg.ack.map_or(0, |ack| absolute(variant.our_iss, ack));
        segment.window = 5000;
        segment.payload = vec![b'x'; usize::from(seg.text > 0)];
    }
    let mut now = played.now;
    played.stack.receive(now, packet.to_frame(), &mut ());
    let at_once = drain(&mut played, now);
    let end = now + WATCHED;
    let mut later = Vec::new();
    while let Some(due) = played.stack.next_timeout().filter(|&due| due <= end) {
        now = now.max(due);
        played.stack.on_timeout(now, &mut ());
        later.extend(drain(&mut played, now));
    }
    let state = state(&played, before);
    let app = app(&mut played, end);
    drain(&mut played, end);
    Got { at_once, later, state, app }
}

/// A number relative to an initial sequence number, as it stands in a header.
pub(super) fn absolute(iss: u32, relative: i64) -> u32 {
    let wrapped = (i64::from(iss) + relative).rem_euclid(1 << 32);
    u32::try_from(wrapped).expect("it is below 2^32")
}

fn drain(played: &mut Played, now: Instant) -> Vec<TcpSegment> {
    let mut segments = Vec::new();
    while let Some(packet) = played.stack.transmit(now, &mut ()) {
        let packet = Packet::decode(packet.to_frame().octets()).expect("well-formed");
        segments.push(packet.segment().expect("only TCP leaves").clone());
    }
    played.stack.check();
    segments
}

/// The state of the one connection. Without any it is LISTEN where that is where the RFC would
/// have it: LISTEN is a listener's, and the listener stays.
fn state(played: &Played, before: State) -> State {
    let connections = played.stack.connections();
    assert!(connections.len() <= 1, "one segment made two connections");
    let is_active = matches!(before, State::SynSent | State::SynReceivedActive);
    match connections.first().map(|connection| connection.state) {
        None if matches!(before, State::Listen | State::SynReceivedPassive) => State::Listen,
        None | Some(TcpState::Closed) => State::Closed,
        Some(TcpState::Listen) => State::Listen,
        Some(TcpState::SynSent) => State::SynSent,
        Some(TcpState::SynReceived) if is_active => State::SynReceivedActive,
        Some(TcpState::SynReceived) => State::SynReceivedPassive,
        Some(TcpState::Established) => State::Established,
        Some(TcpState::FinWait1) => State::FinWait1,
        Some(TcpState::FinWait2) => State::FinWait2,
        Some(TcpState::CloseWait) => State::CloseWait,
        Some(TcpState::Closing) => State::Closing,
        Some(TcpState::LastAck) => State::LastAck,
        Some(TcpState::TimeWait) => State::TimeWait,
    }
}

/// What the application reads, to the end, an error, or until it would wait.
fn app(played: &mut Played, now: Instant) -> App {
    let mut app = App::default();
    let accepted = played.listener.and_then(|listener| played.stack.accept(now, listener).ok());
    let Some(socket) = played.socket.or(accepted.map(|(socket, _)| socket)) else { return app };
    let mut buffer = [0; 4096];
    loop {
        match played.stack.read(now, socket, &mut buffer) {
            Ok(0) => app.end = true,
            Ok(count) => {
                app.octets += i64::try_from(count).expect("a small number");
                continue;
            }
            Err(SocketError::WouldBlock | SocketError::NotConnected) => {}
            Err(error) => app.error = Some(error_name(error)),
        }
        return app;
    }
}

/// Whether what left is the reply that was expected.
pub(super) fn is_reply(got: &Got, reply: Reply, variant: Variant) -> bool {
    let ours = |number| absolute(variant.our_iss, number);
    let peers = |number| absolute(variant.peer_iss, number);
    let (flags, seq, ack) = match reply {
        Reply::Silence => return got.at_once.is_empty() && got.later.is_empty(),
        Reply::Ack { seq, ack } | Reply::AckSoon { seq, ack } => {
            (TcpFlags::ACK, Some(ours(seq)), peers(ack))
        }
        Reply::SynAck { seq, ack } => {
            (TcpFlags::SYN.with(TcpFlags::ACK), seq.map(ours), peers(ack))
        }
        Reply::Reset { seq } => (TcpFlags::RST, Some(ours(seq)), 0),
        Reply::ResetOfAll { ack } => (TcpFlags::RST.with(TcpFlags::ACK), Some(0), peers(ack)),
    };
    let may_wait = matches!(reply, Reply::AckSoon { .. });
    let only = match (&got.at_once[..], &got.later[..]) {
        ([only], []) => only,
        ([], [only]) if may_wait => only,
        _ => return false,
    };
    only.flags == flags
        && seq.is_none_or(|seq| seq == only.seq)
        && only.ack == ack
        && only.payload.is_empty()
}
