use super::*;
use crate::StackConfig;
use crate::device::Link;
use crate::rng::Seed;
use crate::runtime::mailbox::Refused;
use crate::runtime::shared::here;
use crate::runtime::siblings::Board;
use crate::wire::Steering;

#[test]
fn a_turn_of_full_packets_is_one_of_a_bulk_transfer_and_one_of_small_packets_is_not() {
    for (packet, expected) in [(52, false), (512, false), (1040, true), (1500, true)] {
        assert_eq!(is_bulk(BURST * packet), expected, "{packet} octets each");
    }
    assert!(is_bulk(BURST_OCTETS));
}

#[test]
fn turns_are_silent_only_while_several_senders_share_them() {
    // How many full turns are silent in a row.
    for (senders, expected) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (8, 3), (1000, 3)] {
        let turns = (0..10).take_while(|&silent| may_be_silent(silent, senders)).count();
        assert_eq!(turns, expected, "{senders} senders");
    }
}

#[test]
fn whoever_has_much_mail_reads_its_own_queue_all_the_same() {
    let board = Board::new(2);
    let seed = Seed::from_number(1);
    let steering = Steering::new(2.try_into().unwrap(), &seed);
    let [own, mut other] = [0, 1].map(|index| Siblings::new(steering, index, board.clone()));
    let (mut peer, link) = Link::pair(1500);
    let stack = Stack::new(StackConfig::new("10.7.0.2/24".parse().unwrap()), seed);
    let device = Box::new(link.with_queue(1));
    let mut shard = Shard::new(stack.unwrap(), device, Some(Box::new(own)));
    for turn in 0..3 {
        (0..2 * BURST).for_each(|_| other.send(0, Frame::new(vec![7; 20])));
        assert_eq!(other.deliver(&mut Vec::new()), Refused::default());
        let mut packets = VecDeque::from([Outgoing::default()]);
        peer.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        shard.turn(Instant::from_millis(turn), true);
    }
    assert_eq!(peer.dropped(), 0, "there is room for one");
}

#[test]
fn a_sleeper_is_kicked_only_for_what_is_due_before_it_wakes() {
    let [early, late] = [1, 2].map(Instant::from_millis);
    for (sleep, due, is_kicked) in [
        (Sleep::Awake, Some(early), false),
        (Sleep::Forever, None, false),
        (Sleep::Forever, Some(late), true),
        (Sleep::Until(late), None, false),
        (Sleep::Until(late), Some(early), true),
        (Sleep::Until(late), Some(late), false),
        (Sleep::Until(early), Some(late), false),
    ] {
        assert_eq!(sleep.is_past(due), is_kicked, "{sleep:?} {due:?}");
    }
}

const GATHERING: Duration = Duration::from_micros(60);

/// A shard that lets packets gather, and the other end of its cable.
fn gathering(address: &str) -> (Shard, Link) {
    let (peer, link) = Link::pair_virtual(65_535);
    (gathering_over(link, address), peer)
}

fn gathering_over(link: Link, address: &str) -> Shard {
    let mut config = StackConfig::new(address.parse().unwrap());
    config.interface.mtu = 65_535;
    (config.tcp.receive_buffer, config.tcp.send_buffer) = (2 << 20, 2 << 20);
    let stack = Stack::new(config, Seed::from_number(1)).unwrap();
    let mut shard = Shard::new(stack, Box::new(link), None);
    shard.coalescing.set_limit(GATHERING);
    shard
}

/// Sends `packets` of `len` octets each that are nobody's.
fn send(peer: &mut Link, packets: usize, len: usize) {
    let mut packet = Outgoing::default();
    packet.payload.push(vec![7; len].into());
    let mut queue = std::iter::repeat_n(packet, packets).collect();
    peer.transmit_burst(Instant::ZERO, &mut queue).unwrap();
}

/// What to do once all has been taken in that there was.
fn outcome(shard: &mut Shard, now: Instant) -> Turn {
    loop {
        match shard.turn(now, true) {
            Turn::Again => {}
            turn => break turn,
        }
    }
}

fn is_sleep(turn: Turn) -> bool {
    matches!(turn, Turn::Sleep(_) | Turn::Look(_))
}

#[test]
fn after_many_octets_in_large_packets_others_may_gather_and_once_only() {
    for (packets, len, gather) in [(3, 60_000, true), (2, 60_000, false), (63, 8_000, false)] {
        let (mut shard, mut peer) = gathering("10.7.0.2/24");
        send(&mut peer, packets, len);
        let turn = outcome(&mut shard, Instant::ZERO);
        if gather {
            assert_eq!(turn, Turn::Pause(GATHERING));
            assert_eq!(shard.seat.sleep, Sleep::Until(Instant::ZERO + GATHERING));
        } else {
            assert!(is_sleep(turn), "{packets} of {len} octets: {turn:?}");
        }
        let turn = outcome(&mut shard, Instant::ZERO);
        assert!(is_sleep(turn), "no more came: {turn:?}");
    }
}

/// Two shards on one cable with so many connections from the first to the second, and the sockets
/// of the first.
fn connected(senders: usize) -> (Shard, Shard, Vec<SocketId>) {
    let (near, far) = Link::pair_virtual(65_535);
    let mut near = gathering_over(near, "10.7.0.1/24");
    let mut far = gathering_over(far, "10.7.0.2/24");
    let listener = far.stack.tcp_socket().unwrap();
    far.stack.bind(listener, "10.7.0.2:9".parse().unwrap()).unwrap();
    far.stack.listen(listener, 1000).unwrap();
    let sockets: Vec<_> = (0..senders).map(|_| near.stack.tcp_socket().unwrap()).collect();
    for &socket in &sockets {
        let begun = near.stack.connect(Instant::ZERO, socket, "10.7.0.2:9".parse().unwrap());
        assert_eq!(begun, Err(SocketError::InProgress));
    }
    for _ in 0..5 {
        outcome(&mut near, Instant::ZERO);
        outcome(&mut far, Instant::ZERO);
    }
    assert_eq!(far.stack.totals().states.of(TcpState::Established), senders);
    (near, far, sockets)
}

/// Whether packets ever gather while so many connections bring a megabyte each.
fn gather_while_sending(senders: usize) -> bool {
    let (mut near, mut far, sockets) = connected(senders);
    let start = Instant::from_millis(10); // The handshakes are no company any more.
    for socket in sockets {
        assert_eq!(near.stack.write(start, socket, &vec![7; 1_000_000]), Ok(1_000_000));
    }
    (0..100).any(|round| {
        let now = start + Duration::from_micros(10 * round);
        outcome(&mut near, now);
        outcome(&mut far, now) == Turn::Pause(GATHERING)
    })
}

#[test]
fn packets_gather_beside_a_lone_sender_and_not_beside_several() {
    assert!(gather_while_sending(1));
    assert!(!gather_while_sending(2));
    assert!(!gather_while_sending(8));
}

/// Whether packets ever gather while one connection brings a bulk every 20 µs and, if `other`, a
/// second one a few octets between them, each in a turn of its own.
fn gather_between(other: bool) -> bool {
    let (mut near, mut far, sockets) = connected(2);
    let start = Instant::from_millis(10);
    (0..16).any(|round| {
        let now = start + Duration::from_micros(10 * round);
        match round % 2 {
            0 if other => _ = near.stack.write(now, sockets[1], b"small").unwrap(),
            0 => {}
            _ => _ = near.stack.write(now, sockets[0], &vec![7; 200_000]).unwrap(),
        }
        outcome(&mut near, now);
        outcome(&mut far, now) == Turn::Pause(GATHERING)
    })
}

#[test]
fn packets_do_not_gather_beside_a_connection_that_has_turns_of_its_own() {
    assert!(gather_between(false));
    assert!(!gather_between(true));
}

#[test]
fn octets_add_up_only_until_the_device_is_empty_whether_tasks_are_woken_or_not() {
    for wakes in [false, true] {
        let (mut shard, mut peer) = gathering("10.7.0.2/24");
        shard.take_seat(Waker::noop(), here());
        for _ in 0..4 {
            send(&mut peer, 2, 60_000);
            if wakes {
                shard.deferred.wake.push(Waker::noop().clone());
            }
            let turn = outcome(&mut shard, Instant::ZERO);
            assert_eq!(matches!(turn, Turn::Yield { .. }), wakes, "{turn:?}");
            shard.deferred.wake.clear();
            let turn = shard.turn(Instant::ZERO, false);
            assert!(is_sleep(turn), "{turn:?}");
        }
    }
}

#[test]
fn a_device_that_was_not_looked_at_is_looked_at_before_packets_gather() {
    let (mut shard, mut peer) = gathering("10.7.0.2/24");
    shard.take_seat(Waker::noop(), here());
    send(&mut peer, 3, 60_000);
    shard.deferred.wake.push(Waker::noop().clone());
    let turn = outcome(&mut shard, Instant::ZERO);
    assert!(matches!(turn, Turn::Yield { .. }), "{turn:?}");
    shard.deferred.wake.clear();
    assert_eq!(shard.turn(Instant::ZERO, false), Turn::Busy);
    assert_eq!(shard.turn(Instant::ZERO, true), Turn::Pause(GATHERING));
    // Nor is it known then that nothing came of a pause.
    send(&mut peer, 3, 60_000);
    assert!(is_sleep(shard.turn(Instant::ZERO, false)));
    assert_eq!(outcome(&mut shard, Instant::ZERO), Turn::Pause(GATHERING));
}

#[test]
fn a_driver_that_polls_busily_lets_nothing_gather() {
    let (mut shard, mut peer) = gathering("10.7.0.2/24");
    shard.busy_poll.set_limit(Duration::from_micros(50));
    let at = Instant::from_micros;
    assert!(is_sleep(outcome(&mut shard, at(0))), "whether that pays is not known yet");
    send(&mut peer, 3, 60_000);
    assert_eq!(outcome(&mut shard, at(10)), Turn::Busy);
    let turn = outcome(&mut shard, at(70));
    assert!(is_sleep(turn), "it has looked for long enough: {turn:?}");
}

#[cfg(feature = "tokio")]
#[test]
fn who_has_something_to_send_does_not_wait_for_packets_to_gather() {
    let (mut shard, mut peer) = gathering("10.7.0.2/24");
    send(&mut peer, 3, 60_000);
    assert_eq!(outcome(&mut shard, Instant::ZERO), Turn::Pause(GATHERING));
    assert!(shard.may_gather());
    let socket = shard.stack.tcp_socket().unwrap();
    let begun = shard.stack.connect(Instant::ZERO, socket, "10.7.0.1:80".parse().unwrap());
    assert_eq!(begun, Err(SocketError::InProgress));
    assert!(!shard.may_gather());
}

#[test]
fn what_is_due_while_packets_would_gather_is_not_late() {
    let (mut shard, mut peer) = gathering("10.7.0.2/24");
    shard.coalescing.set_limit(Duration::from_secs(2));
    send(&mut peer, 5, 60_000);
    let socket = shard.stack.tcp_socket().unwrap();
    let begun = shard.stack.connect(Instant::ZERO, socket, "10.7.0.1:80".parse().unwrap());
    assert_eq!(begun, Err(SocketError::InProgress));
    let due = Instant::from_millis(1000); // The SYN again.
    let turn = outcome(&mut shard, Instant::ZERO);
    assert!(matches!(turn, Turn::Sleep(Some(at)) | Turn::Look(Some(at)) if at == due), "{turn:?}");
}

#[test]
fn a_turn_sends_only_so_much_before_it_looks_at_what_has_come() {
    const HEADERS: usize = 52;
    let large = SEND_OCTETS.div_ceil(HEADERS + 60_000);
    let cases = [(10, SEND_PACKETS), (60_000, large)];
    for ((len, most), is_put_off) in cases.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let (mut near, mut far, sockets) = connected(most + 1);
        let now = Instant::from_millis(1);
        near.is_sending_put_off = is_put_off;
        for socket in sockets {
            assert_eq!(near.stack.write(now, socket, &vec![7; len]), Ok(len));
        }
        for (expected, is_left) in [(most, true), (1, false)] {
            let turn = near.turn(now, true);
            assert_eq!(turn == Turn::Again, is_left, "{turn:?}, {len} octets each");
            let (device, mut arrived) = (far.device.as_mut().unwrap(), VecDeque::new());
            device.receive_burst(now, &mut arrived, usize::MAX).unwrap();
            assert_eq!(arrived.len(), expected, "{len} octets each");
            assert!(arrived.iter().all(|packet| packet.octets().len() == HEADERS + len));
        }
    }
}

/// Takes what a shard has been sent and has not looked at; how many packets those are.
fn taken_from(shard: &mut Shard) -> usize {
    let (device, mut arrived) = (shard.device.as_mut().unwrap(), VecDeque::new());
    device.receive_burst(Instant::ZERO, &mut arrived, usize::MAX).unwrap();
    arrived.len()
}

#[test]
fn no_turn_is_silent_while_something_is_left_of_the_one_before() {
    for is_left in [false, true] {
        let (mut near, mut far, sockets) = connected(8);
        let now = Instant::from_millis(1);
        for socket in sockets {
            assert_eq!(near.stack.write(now, socket, &vec![7; 60_000]), Ok(60_000));
        }
        outcome(&mut near, now);
        far.is_left = is_left;
        assert_eq!(far.turn(now, true), Turn::Again);
        assert_eq!(taken_from(&mut near) > 0, is_left, "the acknowledgments");
    }
}

#[test]
fn a_call_sends_nothing_of_what_a_turn_has_left() {
    for is_left in [false, true] {
        let (mut near, mut far, sockets) = connected(SEND_PACKETS + 1);
        let now = Instant::from_millis(1);
        let writers = if is_left { SEND_PACKETS + 1 } else { 1 };
        for &socket in &sockets[..writers] {
            assert_eq!(near.stack.write(now, socket, b"text"), Ok(4));
        }
        if is_left {
            assert_eq!(near.turn(now, true), Turn::Again);
            assert_eq!(taken_from(&mut far), SEND_PACKETS);
        }
        near.settle(|| now);
        assert_eq!(taken_from(&mut far), usize::from(!is_left));
    }
}

/// Their queue is filled again as soon as half of it is free, so that it may never be empty.
#[test]
fn who_sends_datagrams_without_end_keeps_no_connection_from_sending() {
    let (mut near, mut far, sockets) = connected(1);
    let now = Instant::from_millis(1);
    let datagrams = near.stack.udp_socket().unwrap();
    let target = Some("10.7.0.2:9".parse().unwrap());
    while near.stack.send_to(now, datagrams, b"datagram", target).is_ok() {}
    assert_eq!(near.stack.write(now, sockets[0], b"text"), Ok(4));
    assert_eq!(near.turn(now, true), Turn::Again, "more is left than a turn sends");
    let (device, mut arrived) = (far.device.as_mut().unwrap(), VecDeque::new());
    device.receive_burst(now, &mut arrived, usize::MAX).unwrap();
    let segments = arrived.iter().filter(|packet| packet.octets()[9] == 6).count();
    assert_eq!((arrived.len(), segments), (SEND_PACKETS, 1));
}

/// Whoever resets all connections of a stack that ends does so whatever their number.
#[test]
fn an_end_is_told_to_all_peers() {
    let (mut near, mut far, _sockets) = connected(3 * SEND_PACKETS);
    near.dismiss(Instant::from_millis(1));
    outcome(&mut far, Instant::from_millis(1));
    assert_eq!(far.stack.totals().states.of(TcpState::Established), 0);
}
