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
