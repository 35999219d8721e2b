//! Two stacks that hand their packets to each other without a link between.

use super::*;
use crate::error::SocketError;
use crate::time::Duration;

const CLIENT: &str = "10.0.0.1/24";
const SERVER: &str = "10.0.0.2/24";

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) client: Stack,
    pub(super) server: Stack,
}

fn stack(address: &str, seed: u64) -> Stack {
    Stack::new(StackConfig::new(address.parse().unwrap()), Seed::from_number(seed)).unwrap()
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        Self { now: Instant::ZERO, client: stack(CLIENT, seed), server: stack(SERVER, seed + 1) }
    }

    /// Carries packets until both are silent.
    pub(super) fn exchange(&mut self) {
        loop {
            let mut is_silent = true;
            while let Some(packet) = self.client.transmit(self.now, &mut ()) {
                self.server.receive(self.now, packet.to_frame(), &mut ());
                is_silent = false;
            }
            while let Some(packet) = self.server.transmit(self.now, &mut ()) {
                self.client.receive(self.now, packet.to_frame(), &mut ());
                is_silent = false;
            }
            if is_silent {
                break;
            }
        }
        self.client.check();
        self.server.check();
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.client.next_timeout().into_iter().chain(self.server.next_timeout());
            let Some(at) = next.min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.client.on_timeout(self.now, &mut ());
            self.server.on_timeout(self.now, &mut ());
            self.exchange();
        }
        self.now = end;
    }

    pub(super) fn connect(&mut self) -> (SocketId, SocketId) {
        let listener = self.server.tcp_socket().unwrap();
        self.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
        self.server.listen(listener, 16).unwrap();
        let socket = self.client.tcp_socket().unwrap();
        let to = "10.0.0.2:80".parse().unwrap();
        assert_eq!(self.client.connect(self.now, socket, to), Err(SocketError::InProgress));
        self.exchange();
        let (accepted, _) = self.server.accept(self.now, listener).unwrap();
        (socket, accepted)
    }
}

#[test]
fn a_megabyte_arrives_as_it_was_written_and_all_memory_is_given_back() {
    let mut pair = Pair::new(1);
    let (socket, accepted) = pair.connect();
    let octets: Vec<u8> = (0..1 << 20).map(|i: u32| (i % 251) as u8).collect();
    let (mut written, mut read) = (0, Vec::new());
    let mut buffer = [0; 10_000];
    while read.len() < octets.len() {
        match pair.client.write(pair.now, socket, &octets[written..]) {
            Ok(n) => written += n,
            Err(error) => assert_eq!(error, SocketError::WouldBlock),
        }
        pair.exchange();
        match pair.server.read(pair.now, accepted, &mut buffer) {
            Ok(n) => read.extend_from_slice(&buffer[..n]),
            Err(error) => {
                assert_eq!(error, SocketError::WouldBlock);
                pair.wait(Duration::from_millis(1));
            }
        }
        pair.exchange();
    }
    assert!(read == octets);
    assert!(pair.now < Instant::from_millis(100), "it took {:?}", pair.now);
    pair.wait(Duration::from_millis(100));
    assert_eq!((pair.client.memory.used(), pair.server.memory.used()), (0, 0));
}

#[test]
fn a_close_from_both_sides_leaves_one_time_wait_and_then_nothing() {
    let mut pair = Pair::new(3);
    let (socket, accepted) = pair.connect();
    pair.client.close(pair.now, socket);
    pair.exchange();
    assert_eq!(pair.server.read(pair.now, accepted, &mut [0; 9]), Ok(0));
    pair.server.close(pair.now, accepted);
    pair.exchange();
    assert_eq!((pair.client.flows.len(), pair.server.flows.len()), (1, 0));
    assert_eq!(pair.client.connections()[0].state, TcpState::TimeWait);
    pair.wait(Duration::from_secs(61));
    assert_eq!(pair.client.flows.len(), 0);
}

#[test]
fn records_in_time_wait_end_each_in_its_time_without_timers_of_their_own() {
    let mut pair = Pair::new(4);
    let listener = pair.server.tcp_socket().unwrap();
    pair.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    pair.server.listen(listener, 16).unwrap();
    for _ in 0..3 {
        let socket = pair.client.tcp_socket().unwrap();
        let to = "10.0.0.2:80".parse().unwrap();
        assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
        pair.exchange();
        let (accepted, _) = pair.server.accept(pair.now, listener).unwrap();
        pair.client.close(pair.now, socket);
        pair.exchange();
        pair.server.close(pair.now, accepted);
        pair.exchange();
        pair.wait(Duration::from_secs(1));
    }
    assert_eq!(pair.client.deadlines.len(), 0);
    assert_eq!(pair.client.next_timeout(), Some(Instant::from_millis(60_000)));
    assert_eq!(pair.client.next_timeout_exact(), Some(Instant::from_millis(60_000)));
    pair.wait(Duration::from_millis(56_500));
    for left in [3, 2, 1, 0] {
        assert_eq!(pair.client.flows.len(), left);
        pair.wait(Duration::from_secs(1));
    }
    assert_eq!(pair.client.next_timeout(), None);
}

#[test]
fn a_port_without_listener_refuses() {
    let mut pair = Pair::new(5);
    let socket = pair.client.tcp_socket().unwrap();
    let to = "10.0.0.2:81".parse().unwrap();
    assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
    pair.exchange();
    assert!(pair.client.readiness(socket).contains(Readiness::WRITABLE));
    assert_eq!(pair.client.take_error(socket), Ok(Some(SocketError::Refused)));
    assert_eq!(pair.client.flows.len(), 0);
}

#[test]
fn unread_data_at_close_resets_and_the_peer_hears_of_it_once() {
    let mut pair = Pair::new(7);
    let (socket, accepted) = pair.connect();
    pair.client.write(pair.now, socket, b"unread").unwrap();
    pair.exchange();
    pair.server.close(pair.now, accepted);
    pair.exchange();
    let mut buffer = [0; 9];
    assert_eq!(pair.client.read(pair.now, socket, &mut buffer), Err(SocketError::Reset));
    assert_eq!(pair.client.read(pair.now, socket, &mut buffer), Ok(0));
    assert_eq!(pair.client.write(pair.now, socket, b"x"), Err(SocketError::BrokenPipe));
    assert_eq!((pair.client.flows.len(), pair.server.flows.len()), (0, 0));
}

#[test]
fn an_end_without_listeners_resets_everything() {
    let mut pair = Pair::new(9);
    let (socket, accepted) = pair.connect();
    pair.server.abort_all(pair.now, SocketError::NetworkDown);
    assert_eq!(pair.server.read(pair.now, accepted, &mut [0; 9]), Err(SocketError::NetworkDown));
    pair.exchange();
    assert_eq!(pair.client.read(pair.now, socket, &mut [0; 9]), Err(SocketError::Reset));
}

#[test]
fn a_flow_costs_its_record_a_handle_and_a_place_in_the_table() {
    // 8 of them link it with the flows of the same owner, 16 lead to what it is.
    assert_eq!(size_of::<FlowEntry>(), 96);
    assert_eq!(size_of::<Socket>(), 40);
}

/// A buffer that is asked for too late changes nothing, the readiness included: else a writer
/// would wait for room that there never is.
#[test]
fn a_larger_send_buffer_for_a_connection_that_is_open_does_not_stop_its_writer() {
    let mut pair = Pair::new(11);
    let (socket, _) = pair.connect();
    let options = pair.client.options(socket).unwrap();
    pair.client.set_options(socket, SocketOptions { send_buffer: 1 << 30, ..options }).unwrap();
    assert!(pair.client.readiness(socket).contains(Readiness::WRITABLE));
}

/// What the SYN has offered stands, and what can still change does.
#[test]
fn options_that_change_while_a_connection_is_being_opened_keep_what_its_syn_has_promised() {
    let mut pair = Pair::new(13);
    let listener = pair.server.tcp_socket().unwrap();
    pair.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    pair.server.listen(listener, 16).unwrap();
    let socket = pair.client.tcp_socket().unwrap();
    let to = "10.0.0.2:80".parse().unwrap();
    assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
    let options = pair.client.options(socket).unwrap();
    let options = SocketOptions { receive_buffer: 2048, ttl: 9, ..options };
    pair.client.set_options(socket, options).unwrap();
    pair.exchange();
    let (id, _) = pair.client.flows.iter().next().unwrap();
    assert_eq!(pair.client.flows.get(id).unwrap().ttl, 9);
    let (accepted, _) = pair.server.accept(pair.now, listener).unwrap();
    assert_eq!(pair.server.write(pair.now, accepted, &[7; 4000]), Ok(4000));
    pair.exchange();
    assert_eq!(pair.client.read(pair.now, socket, &mut [0; 5000]), Ok(4000));
}

/// Who counts connections hears of each that opens, even if a burst brings its reset as well.
#[test]
fn a_connection_that_opens_and_ends_in_one_burst_is_reported_as_opened() {
    let mut pair = Pair::new(15);
    let listener = pair.server.tcp_socket().unwrap();
    pair.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    pair.server.listen(listener, 16).unwrap();
    let socket = pair.client.tcp_socket().unwrap();
    let to = "10.0.0.2:80".parse().unwrap();
    assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
    let mut counters = crate::observe::Counters::default();
    let syn = pair.client.transmit(pair.now, &mut ()).unwrap();
    pair.server.receive(pair.now, syn.to_frame(), &mut counters);
    let syn_ack = pair.server.transmit(pair.now, &mut counters).unwrap();
    pair.client.receive(pair.now, syn_ack.to_frame(), &mut ());
    let ack = pair.client.transmit(pair.now, &mut ()).unwrap();
    pair.client.abort_all(pair.now, SocketError::Aborted);
    let reset = pair.client.transmit(pair.now, &mut ()).unwrap();
    for packet in [ack, reset] {
        pair.server.receive(pair.now, packet.to_frame(), &mut counters);
    }
    assert_eq!(pair.server.flows.len(), 0);
    let counted = |name| counters.list().iter().find(|c| c.name == name).unwrap().value;
    assert_eq!((counted("tcp_opened_total"), counted("tcp_closed_total")), (1, 1));
}

/// A program's mistake must not reach the connection of another.
#[test]
fn a_socket_that_is_closed_is_refused_by_every_call_even_when_its_place_is_taken_again() {
    let mut pair = Pair::new(17);
    let (_, old) = pair.connect();
    pair.server.close(pair.now, old);
    let new = pair.server.tcp_socket().unwrap();
    assert_ne!(old, new);
    let (now, bad, server) = (pair.now, SocketError::BadHandle, &mut pair.server);
    let to = "10.0.0.1:80".parse().unwrap();
    assert_eq!(server.read(now, old, &mut [0; 1]), Err(bad));
    assert_eq!(server.peek(old, &mut [0; 1]), Err(bad));
    assert_eq!(server.write(now, old, b"x"), Err(bad));
    assert_eq!(server.connect(now, old, to), Err(bad));
    assert_eq!(server.bind(old, to), Err(bad));
    assert_eq!(server.listen(old, 1), Err(bad));
    assert_eq!(server.accept(now, old).map(|_| ()), Err(bad));
    assert_eq!(server.shutdown(now, old, Shutdown::Both), Err(bad));
    assert_eq!(server.take_error(old), Err(bad));
    assert_eq!(server.local_addr(old), Err(bad));
    assert_eq!(server.peer_addr(old), Err(bad));
    assert_eq!(server.options(old).map(|_| ()), Err(bad));
    assert_eq!(server.info(old).map(|_| ()), Err(bad));
    assert_eq!(server.readiness(old), Readiness::default());
    server.close(now, old);
    assert!(server.options(new).is_ok(), "it is still there");
}

/// Each thing that somebody may wait for wakes him, though it comes by itself.
#[test]
fn text_room_a_fin_and_a_reset_each_name_the_socket_that_they_change() {
    let mut pair = Pair::new(9);
    let (socket, accepted) = pair.connect();
    let hush = |pair: &mut Pair| {
        pair.wait(Duration::from_secs(1));
        for stack in [&mut pair.client, &mut pair.server] {
            while stack.poll_event().is_some() {}
        }
    };
    hush(&mut pair);
    pair.client.write(pair.now, socket, b"a").unwrap();
    pair.exchange();
    assert_eq!(pair.server.poll_event(), Some(accepted), "text");
    pair.wait(Duration::from_secs(1));
    assert_eq!(pair.client.poll_event(), Some(socket), "room");
    pair.server.read(pair.now, accepted, &mut [0; 1]).unwrap();
    pair.client.shutdown(pair.now, socket, Shutdown::Write).unwrap();
    pair.exchange();
    assert_eq!(pair.server.poll_event(), Some(accepted), "a FIN");
    hush(&mut pair);
    pair.server.write(pair.now, accepted, b"b").unwrap();
    pair.exchange();
    hush(&mut pair);
    pair.client.close(pair.now, socket);
    pair.exchange();
    assert_eq!(pair.server.poll_event(), Some(accepted), "a reset");
}
