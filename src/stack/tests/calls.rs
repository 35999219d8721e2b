//! Every call in every state: RFC 9293 §3.10.1 to §3.10.6, with the error numbers of Linux.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::SocketError::{
    AlreadyConnected, AlreadyInProgress, BrokenPipe, InProgress, InvalidArgument, NotConnected,
    Reset, WouldBlock,
};
use super::*;
use crate::config::StackConfig;
use crate::observe::TcpState;
use crate::options::SocketOptions;
use crate::packet::Frame;
use crate::rng::Seed;

const NOW: Instant = Instant::ZERO;

/// Two stacks, and the packets that each has sent and the other has not got.
struct Pair {
    near: Stack,
    far: Stack,
    to_far: VecDeque<Frame>,
    to_near: VecDeque<Frame>,
}

fn stack(address: &str, seed: u64) -> Stack {
    Stack::new(StackConfig::new(address.parse().unwrap()), Seed::from_number(seed)).unwrap()
}

fn place(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

fn bound(stack: &mut Stack, addr: SocketAddr) -> SocketId {
    let socket = stack.tcp_socket().unwrap();
    stack.bind(socket, addr).unwrap();
    socket
}

impl Pair {
    /// What both have to say is on its way.
    fn transmit(&mut self) {
        let near = std::iter::from_fn(|| self.near.transmit(NOW, &mut ()));
        self.to_far.extend(near.map(|packet| packet.to_frame()));
        let far = std::iter::from_fn(|| self.far.transmit(NOW, &mut ()));
        self.to_near.extend(far.map(|packet| packet.to_frame()));
    }

    fn deliver_to_near(&mut self) {
        for frame in self.to_near.drain(..) {
            self.near.receive(NOW, frame, &mut ());
        }
    }

    fn deliver_to_far(&mut self) {
        for frame in self.to_far.drain(..) {
            self.far.receive(NOW, frame, &mut ());
        }
    }

    /// Until both are silent.
    fn exchange(&mut self) {
        self.transmit();
        while !self.to_far.is_empty() || !self.to_near.is_empty() {
            self.deliver_to_far();
            self.deliver_to_near();
            self.transmit();
        }
    }
}

/// A pair whose near end has a socket in `state`; and the far end's, where there is one.
fn in_state(state: TcpState) -> (Pair, SocketId, Option<SocketId>) {
    let (near, far) = (stack("10.0.0.1/24", 1), stack("10.0.0.2/24", 2));
    let mut pair = Pair { near, far, to_far: VecDeque::new(), to_near: VecDeque::new() };
    let socket = bound(&mut pair.near, place(1, 5000));
    let peer = bound(&mut pair.far, place(2, 80));
    match state {
        TcpState::Closed => return (pair, socket, None),
        TcpState::Listen => {
            pair.near.listen(socket, 4).unwrap();
            return (pair, socket, None);
        }
        TcpState::SynReceived => {
            let to_near = pair.far.connect(NOW, peer, place(1, 5000));
            assert_eq!(to_near, Err(InProgress));
        }
        _ if state != TcpState::SynSent => pair.far.listen(peer, 4).unwrap(),
        _ => {}
    }
    assert_eq!(pair.near.connect(NOW, socket, place(2, 80)), Err(InProgress));
    pair.transmit();
    match state {
        TcpState::SynSent => return (pair, socket, None),
        TcpState::SynReceived => {
            pair.deliver_to_near();
            return (pair, socket, Some(peer));
        }
        _ => pair.exchange(),
    }
    let (peer, _) = pair.far.accept(NOW, peer).unwrap();
    let closes_first =
        matches!(state, TcpState::FinWait1 | TcpState::FinWait2 | TcpState::TimeWait);
    let closes = |stack: &mut Stack, socket| stack.shutdown(NOW, socket, Shutdown::Write).unwrap();
    match state {
        TcpState::CloseWait | TcpState::LastAck => closes(&mut pair.far, peer),
        TcpState::Closing => {
            closes(&mut pair.near, socket);
            closes(&mut pair.far, peer);
            pair.transmit();
            pair.deliver_to_near();
        }
        _ if closes_first => closes(&mut pair.near, socket),
        _ => {}
    }
    match state {
        TcpState::FinWait1 | TcpState::Closing => {}
        _ => pair.exchange(),
    }
    match state {
        TcpState::LastAck => closes(&mut pair.near, socket),
        TcpState::TimeWait => {
            closes(&mut pair.far, peer);
            pair.exchange();
        }
        _ => {}
    }
    (pair, socket, Some(peer))
}

/// The state as the connection has it, also when the socket does not know any more.
fn state_of(stack: &Stack, socket: SocketId) -> TcpState {
    let listed = stack.connections();
    let state = listed.first().map(|connection| connection.state);
    state.unwrap_or_else(|| stack.state(socket).unwrap())
}

#[test]
fn the_states_are_the_ones_that_are_meant() {
    for state in TcpState::ALL {
        let (pair, socket, _) = in_state(state);
        assert_eq!(state_of(&pair.near, socket), state);
    }
}

/// OPEN (§3.10.1). Linux says EISCONN where the RFC says "connection already exists", and of a
/// listener too, which the RFC would let become active.
#[test]
fn open_in_each_state() {
    let connected = (Err(AlreadyConnected), Err(InvalidArgument), Err(InvalidArgument));
    let unopened = (Err(InvalidArgument), Err(InvalidArgument));
    for (state, connect, listen, accept) in [
        (TcpState::Closed, Err(InProgress), Ok(()), Err(InvalidArgument)),
        (TcpState::Listen, Err(AlreadyConnected), Ok(()), Err(WouldBlock)),
        (TcpState::SynSent, Err(AlreadyInProgress), unopened.0, unopened.1),
        (TcpState::SynReceived, Err(AlreadyInProgress), unopened.0, unopened.1),
        (TcpState::Established, connected.0, connected.1, connected.2),
        (TcpState::FinWait1, connected.0, connected.1, connected.2),
        (TcpState::FinWait2, connected.0, connected.1, connected.2),
        (TcpState::CloseWait, connected.0, connected.1, connected.2),
        (TcpState::Closing, connected.0, connected.1, connected.2),
        (TcpState::LastAck, connected.0, connected.1, connected.2),
        (TcpState::TimeWait, connected.0, connected.1, connected.2),
    ] {
        let to = place(2, 81);
        let (mut pair, socket, _) = in_state(state);
        assert_eq!(pair.near.connect(NOW, socket, to), connect, "connect in {state}");
        let (mut pair, socket, _) = in_state(state);
        assert_eq!(pair.near.listen(socket, 4), listen, "listen in {state}");
        let (mut pair, socket, _) = in_state(state);
        let accepted = pair.near.accept(NOW, socket).map(|_| ());
        assert_eq!(accepted, accept, "accept in {state}");
        assert_eq!(pair.near.bind(socket, place(1, 6000)), Err(InvalidArgument), "{state}");
    }
}

/// SEND (§3.10.2) and RECEIVE (§3.10.3) with nothing to read. In SYN-SENT and SYN-RECEIVED the RFC
/// queues what is sent; Linux makes the caller wait, which here is `WouldBlock`.
#[test]
fn send_and_receive_in_each_state() {
    for (state, send, receive) in [
        (TcpState::Closed, Err(BrokenPipe), Err(NotConnected)),
        (TcpState::Listen, Err(BrokenPipe), Err(NotConnected)),
        (TcpState::SynSent, Err(WouldBlock), Err(WouldBlock)),
        (TcpState::SynReceived, Err(WouldBlock), Err(WouldBlock)),
        (TcpState::Established, Ok(1), Err(WouldBlock)),
        (TcpState::FinWait1, Err(BrokenPipe), Err(WouldBlock)),
        (TcpState::FinWait2, Err(BrokenPipe), Err(WouldBlock)),
        (TcpState::CloseWait, Ok(1), Ok(0)),
        (TcpState::Closing, Err(BrokenPipe), Ok(0)),
        (TcpState::LastAck, Err(BrokenPipe), Ok(0)),
        (TcpState::TimeWait, Err(BrokenPipe), Ok(0)),
    ] {
        let (mut pair, socket, _) = in_state(state);
        assert_eq!(pair.near.write(NOW, socket, b"x"), send, "write in {state}");
        assert_eq!(pair.near.read(NOW, socket, &mut [0]), receive, "read in {state}");
        assert_eq!(pair.near.peek(socket, &mut [0]), receive, "peek in {state}");
        assert_eq!(pair.near.write(NOW, socket, b"").is_ok(), send.is_ok(), "{state}");
    }
}

fn is_reset(packet: &crate::Outgoing) -> bool {
    packet.head[33] & 4 != 0
}

/// CLOSE (§3.10.4) as shutdown(2): what it says, where it leads, and whether the peer hears of it.
#[test]
fn shutdown_in_each_state() {
    use TcpState::{CloseWait, Closed, Closing, FinWait1, FinWait2, LastAck, Listen, TimeWait};
    for (state, outcome, after, packets) in [
        (Closed, Err(NotConnected), Closed, 0),
        (Listen, Ok(()), Listen, 0),
        (TcpState::SynSent, Ok(()), Closed, 0),
        (TcpState::SynReceived, Ok(()), TcpState::SynReceived, 1), // The SYN-ACK.
        (TcpState::Established, Ok(()), FinWait1, 1),
        (FinWait1, Ok(()), FinWait1, 1), // The FIN from before.
        (FinWait2, Ok(()), FinWait2, 0),
        (CloseWait, Ok(()), LastAck, 1),
        (Closing, Ok(()), Closing, 1),
        (LastAck, Ok(()), LastAck, 1),
        (TimeWait, Err(NotConnected), TimeWait, 0),
    ] {
        let (mut pair, socket, _) = in_state(state);
        pair.to_far.clear();
        assert_eq!(pair.near.shutdown(NOW, socket, Shutdown::Write), outcome, "in {state}");
        assert_eq!(state_of(&pair.near, socket), after, "after {state}");
        let sent = std::iter::from_fn(|| pair.near.transmit(NOW, &mut ())).count();
        assert_eq!(sent, packets, "in {state}");
        pair.near.check();
    }
    let (mut pair, socket, _) = in_state(TcpState::SynSent);
    pair.near.shutdown(NOW, socket, Shutdown::Read).unwrap();
    assert_eq!(pair.near.take_error(socket), Ok(Some(Reset)), "as Linux: any direction");
    assert_eq!(pair.near.connect(NOW, socket, place(2, 81)), Err(InProgress), "it may try again");
}

/// CLOSE as close(2), and ABORT (§3.10.5) as close(2) with a linger time of zero: whether an RST
/// tells the peer, and what is left.
#[test]
fn close_and_abort_in_each_state() {
    use TcpState::{CloseWait, Closed, Closing, FinWait1, FinWait2, LastAck, Listen, TimeWait};
    for (state, after, abort_resets) in [
        (Closed, None, false),
        (Listen, None, false),
        (TcpState::SynSent, None, false),
        (TcpState::SynReceived, Some(TcpState::SynReceived), true),
        (TcpState::Established, Some(FinWait1), true),
        (FinWait1, Some(FinWait1), true),
        (FinWait2, Some(FinWait2), true),
        (CloseWait, Some(LastAck), true),
        (Closing, Some(Closing), false),
        (LastAck, Some(LastAck), false),
        (TimeWait, Some(TimeWait), false),
    ] {
        let (mut pair, socket, _) = in_state(state);
        pair.near.close(NOW, socket);
        let left = pair.near.connections().first().map(|connection| connection.state);
        assert_eq!(left, after, "close in {state}");

        let (mut pair, socket, _) = in_state(state);
        let mut options = pair.near.options(socket).unwrap();
        options.linger = Some(Duration::ZERO);
        pair.near.set_options(socket, options).unwrap();
        while pair.near.transmit(NOW, &mut ()).is_some() {}
        pair.near.close(NOW, socket);
        let sent: Vec<_> = std::iter::from_fn(|| pair.near.transmit(NOW, &mut ())).collect();
        assert_eq!(sent.len(), usize::from(abort_resets), "abort in {state}");
        assert!(sent.iter().all(is_reset), "abort in {state}");
        let is_left = state == TimeWait;
        assert_eq!(pair.near.connections().len(), usize::from(is_left), "abort in {state}");
        pair.near.check();
    }
}

/// connect(2) to AF_UNSPEC: whether an RST tells the peer, and what the socket is told, as Linux.
#[test]
fn disconnect_in_each_state() {
    use TcpState::{CloseWait, Closed, Closing, FinWait1, FinWait2, LastAck, Listen, TimeWait};
    for (state, told, resets) in [
        (Closed, None, false),
        (Listen, None, false),
        (TcpState::SynSent, Some(Reset), false),
        (TcpState::SynReceived, Some(Reset), true),
        (TcpState::Established, Some(Reset), true),
        (FinWait1, Some(Reset), true),
        (FinWait2, Some(Reset), true),
        (CloseWait, Some(Reset), true),
        (Closing, None, false),
        (LastAck, None, false),
        (TimeWait, None, false),
    ] {
        let (mut pair, socket, _) = in_state(state);
        while pair.near.transmit(NOW, &mut ()).is_some() {}
        assert_eq!(pair.near.disconnect(NOW, socket), Ok(()), "in {state}");
        assert_eq!(pair.near.take_error(socket), Ok(told), "in {state}");
        assert_eq!(pair.near.state(socket), Ok(Closed));
        let sent: Vec<_> = std::iter::from_fn(|| pair.near.transmit(NOW, &mut ())).collect();
        assert_eq!(sent.len(), usize::from(resets), "in {state}");
        assert!(sent.iter().all(is_reset), "in {state}");
        pair.near.check();
    }
}

/// In CLOSING and LAST-ACK a peer that has all of the stream is not reset; one that has not would
/// wait for the rest for ever.
#[test]
fn who_gives_up_what_has_not_left_tells_the_peer_in_the_last_states_too() {
    for state in [TcpState::FinWait1, TcpState::CloseWait] {
        for is_closed in [false, true] {
            let (mut pair, socket, peer) = in_state(TcpState::Established);
            let peer = peer.unwrap();
            if state == TcpState::CloseWait {
                pair.far.shutdown(NOW, peer, Shutdown::Write).unwrap();
                pair.exchange();
            }
            pair.near.write(NOW, socket, b"x").unwrap();
            pair.near.shutdown(NOW, socket, Shutdown::Write).unwrap();
            if state == TcpState::FinWait1 {
                pair.far.shutdown(NOW, peer, Shutdown::Write).unwrap();
                let fin = std::iter::from_fn(|| pair.far.transmit(NOW, &mut ()));
                for packet in fin.collect::<Vec<_>>() {
                    pair.near.receive(NOW, packet.to_frame(), &mut ());
                }
            }
            let last = pair.near.state(socket).unwrap();
            assert!(matches!(last, TcpState::Closing | TcpState::LastAck), "{last}");
            if is_closed {
                let mut options = pair.near.options(socket).unwrap();
                options.linger = Some(Duration::ZERO);
                pair.near.set_options(socket, options).unwrap();
                pair.near.close(NOW, socket);
            } else {
                pair.near.disconnect(NOW, socket).unwrap();
                assert_eq!(pair.near.take_error(socket), Ok(Some(Reset)));
            }
            pair.exchange();
            let read = pair.far.read(NOW, peer, &mut [0]);
            assert_eq!(read, Err(Reset), "{last}, closed: {is_closed}");
        }
    }
}

/// STATUS (§3.10.6). A socket whose connection waits in TIME-WAIT has none any more, as on Linux.
#[test]
fn status_in_each_state() {
    for state in TcpState::ALL {
        let (mut pair, socket, _) = in_state(state);
        let told = if state == TcpState::TimeWait { TcpState::Closed } else { state };
        assert_eq!(pair.near.state(socket), Ok(told));
        let info = pair.near.info(socket).map(|info| info.state);
        assert!(info.is_err() || info == Ok(told), "{state}: {info:?}");
        let has_address = pair.near.local_addr(socket);
        assert_eq!(has_address, Ok(place(1, 5000)), "{state}");
        let has_peer = !matches!(told, TcpState::Closed | TcpState::Listen | TcpState::SynSent);
        let peer = has_peer.then_some(place(2, 80)).ok_or(NotConnected);
        assert_eq!(pair.near.peer_addr(socket), peer, "{state}");
        assert_eq!(pair.near.take_error(socket), Ok(None), "{state}");
    }
}

/// The close()-in-connect() race: in SYN-RECEIVED the FIN waits for the handshake and then leaves.
#[test]
fn what_is_closed_in_syn_received_ends_by_a_fin_once_it_is_open() {
    for is_closed in [false, true] {
        let (mut pair, socket, peer) = in_state(TcpState::SynReceived);
        let peer = peer.unwrap();
        if is_closed {
            pair.near.close(NOW, socket);
        } else {
            pair.near.shutdown(NOW, socket, Shutdown::Write).unwrap();
        }
        pair.exchange();
        assert_eq!(pair.far.state(peer), Ok(TcpState::CloseWait), "{is_closed}");
        assert_eq!(pair.far.read(NOW, peer, &mut [0]), Ok(0));
        pair.far.close(NOW, peer);
        pair.exchange();
        let states = |stack: &Stack| -> Vec<_> {
            stack.connections().iter().map(|connection| connection.state).collect()
        };
        assert_eq!(states(&pair.near), [TcpState::TimeWait], "{is_closed}");
        assert_eq!(states(&pair.far), [], "{is_closed}");
        pair.near.check();
    }
}

/// The first of the packet wars of draft-gont-tcpm-tcp-seq-validation: the SYN-ACKs that cross
/// stand left of both windows.
#[test]
fn two_syn_acks_that_cross_are_the_end_of_a_simultaneous_open_and_no_war() {
    let (mut pair, socket, peer) = in_state(TcpState::SynReceived);
    let mut packets = 0;
    loop {
        pair.transmit();
        if pair.to_far.is_empty() && pair.to_near.is_empty() {
            break;
        }
        packets += pair.to_far.len() + pair.to_near.len();
        assert!(packets < 10, "they fight");
        pair.deliver_to_far();
        pair.deliver_to_near();
    }
    assert!(packets <= 5, "{packets}: a SYN, two SYN-ACKs, two ACKs");
    assert_eq!(pair.near.state(socket), Ok(TcpState::Established));
    assert_eq!(pair.far.state(peer.unwrap()), Ok(TcpState::Established));
}

/// The second war: both FINs cross, and so do their acknowledgments.
#[test]
fn two_fins_that_cross_are_the_end_of_both_and_no_war() {
    let (mut pair, ..) = in_state(TcpState::Closing);
    let mut packets = 0;
    while !pair.to_far.is_empty() || !pair.to_near.is_empty() {
        packets += pair.to_far.len() + pair.to_near.len();
        assert!(packets < 10, "they fight");
        pair.deliver_to_far();
        pair.deliver_to_near();
        pair.transmit();
    }
    for stack in [&pair.near, &pair.far] {
        let states: Vec<_> = stack.connections().iter().map(|c| c.state).collect();
        assert_eq!(states, [TcpState::TimeWait]);
    }
}

/// bind(2) and listen(2) of Linux: EADDRINUSE where connect(2) has EADDRNOTAVAIL.
#[test]
fn bind_and_listen_find_all_ports_in_use_and_connect_finds_none_available() {
    let mut stack = stack("10.0.0.1/24", 1);
    let mut narrow = || {
        let socket = stack.tcp_socket().unwrap();
        let options = stack.options(socket).unwrap();
        let options = SocketOptions { local_port_range: Some((40_000, 40_000)), ..options };
        stack.set_options(socket, options).unwrap();
        socket
    };
    let [first, binds, listens, connects] = std::array::from_fn(|_| narrow());
    assert_eq!(stack.bind(first, place(1, 0)), Ok(()));
    assert_eq!(stack.bind(binds, place(1, 0)), Err(SocketError::AddressInUse));
    assert_eq!(stack.listen(listens, 1), Err(SocketError::AddressInUse));
    let connected = stack.connect(NOW, connects, place(2, 80));
    assert_eq!(connected, Err(SocketError::AddressNotAvailable));
    assert_eq!(stack.bind(binds, place(9, 0)), Err(SocketError::AddressNotAvailable));
    let ipv6 = "[::1]:80".parse().unwrap();
    assert_eq!(stack.bind(binds, ipv6), Err(SocketError::InvalidAddress));
}

/// What a failed open leaves lasts until the socket is used anew, by whatever call.
#[test]
fn a_socket_whose_open_has_failed_is_as_new_once_it_is_used_again() {
    type Call = fn(&mut Stack, SocketId) -> Result<(), SocketError>;
    let closed = Readiness::READ_CLOSED.with(Readiness::WRITE_CLOSED);
    let calls: [(Call, Result<(), SocketError>); 4] = [
        (|stack, socket| stack.connect(NOW, socket, place(2, 80)), Err(SocketError::Refused)),
        (
            |stack, socket| {
                stack.take_error(socket)?;
                stack.connect(NOW, socket, place(2, 80))
            },
            Err(InProgress),
        ),
        (|stack, socket| stack.listen(socket, 1), Ok(())),
        (|stack, socket| stack.disconnect(NOW, socket), Ok(())),
    ];
    for (call, told) in calls {
        let (near, far) = (stack("10.0.0.1/24", 1), stack("10.0.0.2/24", 2));
        let mut pair = Pair { near, far, to_far: VecDeque::new(), to_near: VecDeque::new() };
        let socket = bound(&mut pair.near, place(1, 5000));
        assert_eq!(pair.near.connect(NOW, socket, place(2, 80)), Err(InProgress));
        pair.exchange();
        assert!(pair.near.readiness(socket).contains(closed));
        assert_eq!(call(&mut pair.near, socket), told);
        assert!(!pair.near.readiness(socket).intersects(closed), "{told:?}");
        // Nor does it come back when the new use ends otherwise.
        let _ = pair.near.shutdown(NOW, socket, Shutdown::Both);
        assert!(!pair.near.readiness(socket).intersects(closed), "{told:?}");
    }
}
