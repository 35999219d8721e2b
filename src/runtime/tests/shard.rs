use super::*;
use crate::StackConfig;
use crate::device::Link;
use crate::rng::Seed;
use crate::runtime::mailbox::Refused;
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

/// A shard that lets packets gather for `limit`, and a peer with `packets` for it, of `len` octets
/// each and nobody's.
fn shard_before(packets: usize, len: usize, limit: Duration) -> Shard {
    let (mut peer, link) = Link::pair_virtual(65_535);
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let stack = Stack::new(config, Seed::from_number(1)).unwrap();
    let mut packet = Outgoing::default();
    packet.payload.push(vec![7; len].into());
    let mut queue = std::iter::repeat_n(packet, packets).collect();
    peer.transmit_burst(Instant::ZERO, &mut queue).unwrap();
    let mut shard = Shard::new(stack, Box::new(link), None);
    shard.coalescing.set_limit(limit);
    shard
}

/// What to do once all has been taken in that there was.
fn outcome(shard: &mut Shard) -> Turn {
    loop {
        match shard.turn(Instant::ZERO, true) {
            Turn::Again => {}
            turn => break turn,
        }
    }
}

#[test]
fn after_many_octets_in_large_packets_others_may_gather_and_once_only() {
    let limit = Duration::from_micros(60);
    let is_asleep = |turn| matches!(turn, Turn::Sleep(None) | Turn::Look(None));
    for (packets, len, gather) in [(3, 60_000, true), (2, 60_000, false), (63, 8_000, false)] {
        let mut shard = shard_before(packets, len, limit);
        let turn = outcome(&mut shard);
        if gather {
            assert_eq!(turn, Turn::Pause(limit));
            assert_eq!(shard.seat.sleep, Sleep::Until(Instant::ZERO + limit));
        } else {
            assert!(is_asleep(turn), "{packets} of {len} octets: {turn:?}");
        }
        let turn = outcome(&mut shard);
        assert!(is_asleep(turn), "no more came: {turn:?}");
    }
}

#[test]
fn what_is_due_while_packets_would_gather_is_not_late() {
    let limit = Duration::from_secs(2);
    let mut shard = shard_before(5, 60_000, limit);
    let socket = shard.stack.tcp_socket().unwrap();
    let begun = shard.stack.connect(Instant::ZERO, socket, "10.7.0.1:80".parse().unwrap());
    assert_eq!(begun, Err(SocketError::InProgress));
    let due = Instant::from_millis(1000); // The SYN again.
    let turn = outcome(&mut shard);
    assert!(matches!(turn, Turn::Sleep(Some(at)) | Turn::Look(Some(at)) if at == due), "{turn:?}");
}
