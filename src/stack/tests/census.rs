//! What is told of many connections at once.

use super::*;
use crate::observe::Event;
use crate::stack::SocketId;
use crate::stack::tests::Pair;
use crate::time::Duration;

/// As many of a pair's connections as are in each state, where there are any.
fn counts(stack: &Stack) -> Vec<(TcpState, usize)> {
    stack.totals().states.iter().filter(|&(_, count)| count > 0).collect()
}

#[test]
fn half_open_connections_and_records_in_time_wait_count_and_so_do_orphans() {
    let mut pair = Pair::new(31);
    let (socket, accepted) = pair.connect();
    assert_eq!(counts(&pair.server), [(TcpState::Established, 1)]);

    let late = pair.client.tcp_socket().unwrap();
    assert!(pair.client.connect(pair.now, late, "10.0.0.2:80".parse().unwrap()).is_err());
    let syn = pair.client.transmit(pair.now, &mut ()).unwrap();
    assert_eq!(counts(&pair.client), [(TcpState::SynSent, 1), (TcpState::Established, 1)]);
    pair.server.receive(pair.now, syn.to_frame(), &mut ());
    assert!(pair.server.transmit(pair.now, &mut ()).is_some());
    let half_open = [(TcpState::SynReceived, 1), (TcpState::Established, 1)];
    assert_eq!(counts(&pair.server), half_open);
    assert_eq!(pair.server.totals().connections, 2);
    pair.client.close(pair.now, late); // Its SYN-ACK was lost: nobody hears of it.

    pair.client.close(pair.now, socket);
    pair.exchange();
    assert_eq!(counts(&pair.client), [(TcpState::FinWait2, 1)]);
    assert_eq!(pair.client.totals().orphans, 1);
    pair.server.close(pair.now, accepted);
    pair.exchange();
    assert_eq!(counts(&pair.client), [(TcpState::TimeWait, 1)]);
    assert_eq!(pair.client.totals().orphans, 0);
    pair.wait(Duration::from_mins(5));
    assert_eq!((counts(&pair.client), counts(&pair.server)), (vec![], vec![]));
    assert_eq!(pair.client.totals(), Totals::default());
}

#[test]
fn the_octets_that_wait_are_told() {
    let mut pair = Pair::new(32);
    let (socket, accepted) = pair.connect();
    pair.client.write(pair.now, socket, &[7; 1000]).unwrap();
    pair.exchange();
    assert!(pair.server.totals().buffered >= 1000);
    pair.server.read(pair.now, accepted, &mut [0; 1000]).unwrap();
    pair.exchange();
    assert_eq!(pair.server.totals().buffered, 0);
}

/// A pair with so many connections: the ends of the client, in their order.
fn with_connections(count: usize) -> (Pair, Vec<SocketId>) {
    let mut pair = Pair::new(33);
    let listener = pair.server.tcp_socket().unwrap();
    pair.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    pair.server.listen(listener, 512).unwrap();
    let sockets = (0..count).map(|_| {
        let socket = pair.client.tcp_socket().unwrap();
        let _ = pair.client.connect(pair.now, socket, "10.0.0.2:80".parse().unwrap());
        socket
    });
    let sockets = sockets.collect();
    pair.exchange();
    assert_eq!(counts(&pair.client), [(TcpState::Established, count)]);
    (pair, sockets)
}

/// Where the connections are that a stack tells of, if at most `max` are wanted.
fn ports(stack: &Stack, max: usize) -> Vec<u16> {
    stack.some_connections(max).iter().map(|connection| connection.local.port()).collect()
}

#[test]
fn of_many_connections_the_busy_ones_are_among_the_few_that_are_told() {
    let (mut pair, sockets) = with_connections(300);
    let port = |pair: &Pair, n: usize| pair.client.local_addr(sockets[n]).unwrap().port();
    for n in [290, 30, 200, 100] {
        pair.now += Duration::from_millis(1);
        pair.client.write(pair.now, sockets[n], b"x").unwrap();
        pair.exchange();
        pair.wait(Duration::from_secs(1));
    }
    let latest = [30, 100, 200].map(|n| port(&pair, n));
    assert_eq!(ports(&pair.client, 3), latest, "in the order of their places");
    let and_the_oldest = [0, 1, 30, 100, 200, 290].map(|n| port(&pair, n));
    assert_eq!(ports(&pair.client, 6), and_the_oldest);
    let all: Vec<_> = (0..300).map(|n| port(&pair, n)).collect();
    assert_eq!(ports(&pair.client, 300), all);
    assert_eq!(ports(&pair.client, 1000), all);
    assert_eq!(ports(&pair.client, usize::MAX), all);
    assert!(ports(&pair.client, 0).is_empty());
}

#[test]
fn what_is_counted_is_what_observers_are_told() {
    #[derive(Default)]
    struct Moves(Vec<(TcpState, TcpState)>);
    impl Observer for Moves {
        fn on_event(&mut self, _: Instant, event: &Event) {
            if let Event::StateChanged { from, to, .. } = *event {
                self.0.push((from, to));
            }
        }
    }
    let (mut pair, sockets) = with_connections(1);
    let mut moves = Moves::default();
    pair.client.shutdown(pair.now, sockets[0], crate::stack::Shutdown::Write).unwrap();
    assert!(pair.client.transmit(pair.now, &mut moves).is_some());
    assert_eq!(moves.0, [(TcpState::Established, TcpState::FinWait1)]);
    assert_eq!(counts(&pair.client), [(TcpState::FinWait1, 1)]);
}
