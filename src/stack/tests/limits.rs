//! What happens at the limits on memory, and when it is over.

use super::tests::Pair;
use super::*;
use crate::error::SocketError;
use crate::observe::Counters;
use crate::time::Duration;

/// A pair whose server may hold `memory_max` octets, and two connections between them.
fn pair(memory_max: usize) -> (Pair, [(SocketId, SocketId); 2]) {
    let mut pair = Pair::new(21);
    let mut config = StackConfig::new("10.0.0.2/24".parse().unwrap());
    config.limits.memory_max = memory_max;
    pair.server = Stack::new(config, Seed::from_number(22)).unwrap();
    let listener = pair.server.tcp_socket().unwrap();
    pair.server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    pair.server.listen(listener, 16).unwrap();
    let ends = [(); 2].map(|()| {
        let socket = pair.client.tcp_socket().unwrap();
        let to = "10.0.0.2:80".parse().unwrap();
        assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
        pair.exchange();
        (socket, pair.server.accept(pair.now, listener).unwrap().0)
    });
    (pair, ends)
}

/// Writes from the client until nothing more is taken and nothing more arrives.
fn fill(pair: &mut Pair, socket: SocketId) {
    while pair.client.write(pair.now, socket, &[7; 10_000]).is_ok() {
        pair.exchange();
    }
    pair.wait(Duration::from_secs(1));
}

/// Reads all that waits on the server; says how much.
fn drain(pair: &mut Pair, socket: SocketId) -> usize {
    let mut read = 0;
    while let Ok(octets) = pair.server.read(pair.now, socket, &mut [0; 10_000]) {
        read += octets;
    }
    read
}

#[test]
fn a_window_that_stayed_shut_for_want_of_memory_opens_when_another_connection_frees_it() {
    let (mut pair, [(hog, held), (waiting, reader)]) = pair(256 << 10);
    fill(&mut pair, hog);
    assert!(!pair.server.memory.has_room());
    // Nobody reads what comes here, until the window that was offered before is used up.
    fill(&mut pair, waiting);
    let unread = pair.server.readable(reader).unwrap();
    let flow = |pair: &Pair| pair.client.info(waiting).unwrap().send_window;
    assert!(unread <= 70_000 && flow(&pair) < 1460, "{unread} octets came, {}", flow(&pair));
    pair.wait(Duration::from_mins(5));
    assert_eq!(pair.server.readable(reader), Ok(unread), "nothing has changed");

    assert!(drain(&mut pair, held) > 200_000);
    pair.exchange(); // Not a probe: nothing but this tells the client.
    assert!(drain(&mut pair, reader) > 130_000);
}

/// As who writes: whoever fills the memory and leaves it so must not stop all others for good.
#[test]
fn a_reader_who_keeps_up_goes_on_by_4_kib_while_memory_is_short() {
    let (mut pair, [(hog, _), (client, reader)]) = pair(256 << 10);
    fill(&mut pair, hog);
    let mut total = 0;
    while total < 300_000 {
        fill(&mut pair, client);
        let read = drain(&mut pair, reader);
        assert!(read > 0, "nothing comes any more after {total} octets");
        total += read;
        pair.exchange();
    }
    assert!(!pair.server.memory.has_room());
    // Who does not is not promised more than that.
    fill(&mut pair, client);
    assert_eq!(pair.server.readable(reader), Ok(4096));
}

/// An acknowledgment of each read would tell nothing; one that wakes its reader would do so for
/// ever.
#[test]
fn a_read_that_may_not_open_the_window_while_memory_is_short_tells_nobody() {
    let (mut pair, [(hog, held), (client, reader)]) = pair(256 << 10);
    fill(&mut pair, hog);
    fill(&mut pair, client);
    let offered = |pair: &Pair| pair.client.info(client).unwrap().send_window;
    let shut = offered(&pair);
    while pair.server.readable(reader).unwrap() >= 5000 {
        assert_eq!(pair.server.read(pair.now, reader, &mut [0; 1000]), Ok(1000));
        assert!(pair.server.transmit(pair.now, &mut ()).is_none(), "it offers nothing more");
    }
    // Now there is room for who keeps up; and then for all.
    drain(&mut pair, reader);
    pair.exchange();
    let least = offered(&pair);
    assert!(!pair.server.memory.has_room() && shut == 0, "{shut} is offered");
    assert!((1..=4096).contains(&least), "{least} is offered");
    drain(&mut pair, held);
    pair.exchange();
    assert!(drain(&mut pair, reader) > 60_000);
}

/// Memory has become short since the flow had its last turn, and is not when it has the next.
#[test]
fn a_read_that_ends_a_shortage_opens_the_window() {
    let (mut pair, [(client, reader), (hog, _)]) = pair(400 << 10);
    fill(&mut pair, client);
    assert!(pair.server.memory.has_room());
    assert_eq!(pair.client.info(client).unwrap().send_window, 0);
    fill(&mut pair, hog);
    assert!(!pair.server.memory.has_room());
    let most = pair.server.readable(reader).unwrap() as usize - 5000;
    assert_eq!(pair.server.read(pair.now, reader, &mut vec![0; most]), Ok(most));
    assert!(pair.server.memory.has_room());
    pair.exchange();
    assert!(pair.server.readable(reader).unwrap() > 5000, "nothing came after it");
}

#[test]
fn a_writer_is_held_back_at_4_kib_and_woken_when_memory_is_free_again() {
    let (mut pair, [(hog, held), (client, server)]) = pair(256 << 10);
    fill(&mut pair, hog);
    while pair.server.poll_event().is_some() {}
    // The client takes nothing in while its answers are lost.
    assert_eq!(pair.server.write(pair.now, server, &[7; 10_000]), Ok(4096));
    assert_eq!(pair.server.write(pair.now, server, &[7; 1]), Err(SocketError::WouldBlock));
    assert!(!pair.server.readiness(server).contains(Readiness::WRITABLE));
    assert!(drain(&mut pair, held) > 200_000);
    while pair.server.transmit(pair.now, &mut ()).is_some() {}
    let woken: Vec<_> = std::iter::from_fn(|| pair.server.poll_event()).collect();
    assert!(woken.contains(&server), "{woken:?}");
    assert!(pair.server.readiness(server).contains(Readiness::WRITABLE));
    assert_eq!(pair.server.write(pair.now, server, &[7; 10_000]), Ok(10_000));
    pair.wait(Duration::from_secs(1));
    assert_eq!(pair.client.read(pair.now, client, &mut [0; 16_000]), Ok(14_096));
}

/// It may have asked what the socket is ready for, and not have tried to write.
#[test]
fn a_writer_that_has_not_tried_again_is_woken_after_each_shortage() {
    let (mut pair, [_, (_, server)]) = pair(256 << 10);
    let settle = |pair: &mut Pair| {
        while pair.server.transmit(pair.now, &mut ()).is_some() {}
        std::iter::from_fn(|| pair.server.poll_event()).collect::<Vec<_>>()
    };
    let is_writable = |pair: &Pair| pair.server.readiness(server).contains(Readiness::WRITABLE);
    assert_eq!(pair.server.write(pair.now, server, &[7; 10_000]), Ok(10_000));
    settle(&mut pair); // Nothing of it is acknowledged.
    for shortage in 1..=3 {
        pair.server.memory.charge(256 << 10);
        settle(&mut pair);
        assert!(!is_writable(&pair));
        pair.server.memory.release(256 << 10);
        let woken = settle(&mut pair);
        assert!(is_writable(&pair) && woken.contains(&server), "shortage {shortage}");
    }
}

/// One call fills the memory, one writer tries in vain, and one call frees it, before any packet
/// leaves.
#[test]
fn a_writer_is_woken_after_a_shortage_that_no_packet_has_seen() {
    let (mut pair, [_, (_, server)]) = pair(256 << 10);
    assert_eq!(pair.server.write(pair.now, server, &[7; 10_000]), Ok(10_000));
    while pair.server.transmit(pair.now, &mut ()).is_some() {} // Nothing of it is acknowledged.
    while pair.server.poll_event().is_some() {}
    pair.server.memory.charge(256 << 10);
    assert_eq!(pair.server.write(pair.now, server, &[7; 1]), Err(SocketError::WouldBlock));
    pair.server.memory.release(256 << 10);
    assert!(pair.server.transmit(pair.now, &mut ()).is_none());
    assert_eq!(pair.server.poll_event(), Some(server));
    assert_eq!(pair.server.poll_event(), None);
}

#[test]
fn a_syn_offers_one_segment_while_memory_is_short_and_more_later() {
    let (mut pair, [(hog, held), _]) = pair(256 << 10);
    fill(&mut pair, hog);
    let client = pair.server.tcp_socket().unwrap();
    let to = "10.0.0.1:9".parse().unwrap();
    assert_eq!(pair.server.connect(pair.now, client, to), Err(SocketError::InProgress));
    let syn = pair.server.transmit(pair.now, &mut ()).unwrap().to_frame();
    assert_eq!(syn.octets()[34..36], 1460u16.to_be_bytes(), "the window of an active open");

    let socket = pair.client.tcp_socket().unwrap();
    let to = "10.0.0.2:80".parse().unwrap();
    assert_eq!(pair.client.connect(pair.now, socket, to), Err(SocketError::InProgress));
    pair.exchange();
    assert_eq!(pair.client.info(socket).unwrap().send_window, 1460, "of a passive one");
    assert!(drain(&mut pair, held) > 200_000);
    pair.exchange();
    assert!(pair.client.info(socket).unwrap().send_window > 60_000);
}

#[test]
fn observers_hear_once_that_memory_is_short_and_once_that_it_is_not() {
    #[derive(Default)]
    struct Told(Vec<bool>);
    impl Observer for Told {
        fn on_event(&mut self, _now: Instant, event: &Event) {
            if let Event::MemoryPressure { is_short } = event {
                self.0.push(*is_short);
            }
        }
    }
    let mut config = StackConfig::new("10.0.0.2/24".parse().unwrap());
    config.limits.memory_max = 8;
    let mut stack = Stack::new(config, Seed::from_number(1)).unwrap();
    let mut told = (Told::default(), Counters::default());
    let mut held = 0;
    // Short at the limit, and until a quarter is free.
    for (used, tells) in
        [(7, None), (8, Some(true)), (7, None), (9, None), (6, Some(false)), (8, Some(true))]
    {
        // Never through less than either.
        stack.memory.charge(used);
        stack.memory.release(std::mem::replace(&mut held, used));
        assert!(stack.transmit(Instant::ZERO, &mut told).is_none());
        assert_eq!(told.0.0.pop(), tells, "{used}");
    }
    let shortages = told.1.list().into_iter().find(|c| c.name == "tcp_memory_shortages_total");
    assert_eq!(shortages.unwrap().value, 2);
}

/// Two connections that their peers have reset, with 5000 octets unread on each.
fn two_ended() -> (Pair, [SocketId; 2]) {
    let (mut pair, [(first, held), (second, other)]) = pair(1 << 20);
    for socket in [first, second] {
        pair.client.write(pair.now, socket, &[7; 5000]).unwrap();
        pair.exchange();
        let options = pair.client.options(socket).unwrap();
        let linger = Some(Duration::ZERO);
        pair.client.set_options(socket, SocketOptions { linger, ..options }).unwrap();
        pair.client.close(pair.now, socket);
        pair.exchange();
    }
    assert_eq!(pair.server.memory.used(), 4 * 4096);
    (pair, [held, other])
}

#[test]
fn unread_data_of_a_connection_is_given_back_when_its_socket_disconnects() {
    let (mut pair, [first, second]) = two_ended();
    pair.server.disconnect(pair.now, first).unwrap();
    assert_eq!(pair.server.memory.used(), 2 * 4096);
    pair.server.close(pair.now, first);
    pair.server.disconnect(pair.now, second).unwrap();
    pair.server.disconnect(pair.now, second).unwrap();
    assert_eq!(pair.server.memory.used(), 0);
    pair.server.check();
}

#[test]
fn unread_data_of_a_live_connection_is_given_back_when_its_socket_disconnects() {
    let (mut pair, [(from, held), _]) = pair(1 << 20);
    pair.client.write(pair.now, from, &[7; 5000]).unwrap();
    pair.exchange();
    assert_eq!(pair.server.memory.used(), 2 * 4096);
    pair.server.disconnect(pair.now, held).unwrap();
    assert_eq!(pair.server.memory.used(), 0);
    pair.server.check();
}

/// The listener is gone, and so is what it held: nothing of an ended connection is forgotten.
#[test]
fn unread_data_of_ended_connections_counts_until_it_is_read_or_closed() {
    let (mut pair, [held, other]) = two_ended();
    assert_eq!(drain(&mut pair, held), 5000);
    assert_eq!(pair.server.memory.used(), 2 * 4096);
    pair.server.close(pair.now, other);
    assert_eq!(pair.server.memory.used(), 0);
}
