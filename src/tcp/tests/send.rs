//! What may leave, what an acknowledgment covers, and whose window counts.

use super::*;
use crate::tcp::tests::segment;

const ISS: u32 = u32::MAX - 500; // The sequence space wraps soon.
const UNA: SeqNumber = SeqNumber(ISS + 1);
const PEER: u32 = 7000;
const MSS: u16 = 1000;

fn side(window: u32) -> SendSide {
    let agreed = Negotiated {
        send_mss: MSS,
        receive_mss: MSS,
        scaling: None,
        sack: false,
        timestamps: false,
    };
    SendSide::new(SeqNumber(ISS), agreed, window, (SeqNumber(PEER), UNA), 1 << 20)
}

fn range(from: u32, to: u32) -> SeqRange {
    SeqRange::at(UNA + from, to - from)
}

/// Sends all that may leave, with no bound by congestion, and says in which pieces.
fn send_all(side: &mut SendSide) -> Vec<u32> {
    let mut pieces = Vec::new();
    while let Ok(text) = side.next_new(u32::MAX, false) {
        side.on_sent(&text);
        side.check();
        pieces.push(text.range.len());
    }
    pieces
}

fn ack(side: &mut SendSide, octets: u32, window: u16) -> Acked {
    let segment = segment(".", PEER, (UNA + octets).0, window, b"");
    let number = segment.ack.unwrap();
    side.judge_ack(number).unwrap();
    let acked = side.acknowledge(&segment, number);
    side.update_window(&segment, number);
    side.check();
    acked
}

#[test]
fn shld_28_a_stream_leaves_in_full_segments_and_only_the_last_is_pushed() {
    let mut side = side(65_535);
    side.write(&[0; 2500]);
    let first = side.next_new(u32::MAX, false).unwrap();
    assert_eq!((first.range, first.push, first.fin), (range(0, 1000), false, false));
    side.on_sent(&first);
    let second = side.next_new(u32::MAX, false).unwrap();
    side.on_sent(&second);
    let last = side.next_new(u32::MAX, false).unwrap();
    assert_eq!((last.range, last.push), (range(2000, 2500), true));
    side.on_sent(&last);
    // Nagle keeps what comes next until that small one is acknowledged.
    side.write(b"a");
    assert_eq!(side.next_new(u32::MAX, false), Err(Blocked::Nagle));
    ack(&mut side, 2000, 65_535);
    assert_eq!(side.next_new(u32::MAX, false), Err(Blocked::Nagle));
    ack(&mut side, 2500, 65_535);
    assert!(side.next_new(u32::MAX, false).is_ok());
}

/// The options that every segment carries make a full one shorter.
#[test]
fn a_full_segment_with_timestamps_is_no_small_one() {
    let agreed = Negotiated {
        send_mss: MSS,
        receive_mss: MSS,
        scaling: None,
        sack: false,
        timestamps: true,
    };
    let from = (SeqNumber(PEER), UNA);
    let mut side = SendSide::new(SeqNumber(ISS), agreed, 65_535, from, 1 << 20);
    side.write(&[0; 1500]);
    assert_eq!(send_all(&mut side), [988, 512]);
}

#[test]
fn must_17_without_nagle_a_small_segment_does_not_wait() {
    let mut side = side(65_535);
    side.write(b"a");
    assert_eq!(send_all(&mut side), [1]);
    side.write(b"b");
    assert!(send_all(&mut side).is_empty());
    side.set_options(&SocketOptions { nodelay: true, ..SocketOptions::default() });
    assert_eq!(send_all(&mut side), [1]);
}

#[test]
fn a_fin_takes_what_nagle_would_have_kept_along() {
    let mut side = side(65_535);
    side.write(b"a");
    send_all(&mut side);
    side.write(b"b");
    side.close();
    let last = side.next_new(u32::MAX, false).unwrap();
    assert_eq!((last.range, last.fin, last.push), (range(1, 2), true, true));
    side.on_sent(&last);
    assert_eq!(side.next_new(u32::MAX, false), Err(Blocked::Nothing));
    assert_eq!(
        ack(&mut side, 2, 65_535),
        Acked { octets: 2, fin: false, is_duplicate: false, sacked: 0 }
    );
    assert_eq!(
        ack(&mut side, 3, 65_535),
        Acked { octets: 0, fin: true, is_duplicate: false, sacked: 0 }
    );
    assert!(side.is_fin_acked());
}

#[test]
fn a_fin_alone_leaves_through_a_shut_window() {
    let mut side = side(0);
    side.close();
    let fin = side.next_new(0, false).unwrap();
    assert_eq!((fin.range.len(), fin.fin, fin.push), (0, true, false));
}

#[test]
fn must_38_small_pieces_of_window_are_not_used_until_patience_ends() {
    let mut side = side(65_535);
    side.write(&[0; 5000]);
    ack(&mut side, 0, 10); // Much less than half of the largest window.
    assert_eq!(side.next_new(u32::MAX, false), Err(Blocked::Window));
    assert_eq!(side.next_new(u32::MAX, true).unwrap().range, range(0, 10));
    ack(&mut side, 0, 1000);
    assert_eq!(send_all(&mut side), [1000]);
}

#[test]
fn half_of_the_largest_window_is_worth_a_segment() {
    let mut side = side(600); // A peer that never offers a full segment.
    side.write(&[0; 5000]);
    assert_eq!(send_all(&mut side), [600]);
    ack(&mut side, 600, 299);
    assert_eq!(side.next_new(u32::MAX, false), Err(Blocked::Window));
    ack(&mut side, 600, 300);
    assert_eq!(send_all(&mut side), [300]);
}

#[test]
fn must_34_and_shld_15_a_window_that_shrinks_below_what_was_sent_lets_nothing_new_out() {
    let mut side = side(3000);
    side.write(&[0; 10_000]);
    assert_eq!(send_all(&mut side), [1000; 3]);
    ack(&mut side, 0, 1500);
    assert_eq!(side.usable_window(), 0);
    assert_eq!(side.bare_seq(), side.una() + 1500, "it is not past the window");
    assert_eq!(side.next_new(u32::MAX, true), Err(Blocked::Window));
    // SHLD-16: what lies inside of the shrunk window is sent again, and the first octet always.
    assert_eq!(side.next_again(range(0, 3000)).unwrap().range, range(0, 1000));
    assert_eq!(side.next_again(range(1000, 3000)), None);
    ack(&mut side, 0, 0);
    assert_eq!(side.next_again(range(0, 3000)).unwrap().range, range(0, 472), "it is a question");
}

#[test]
fn a_bare_acknowledgment_stands_at_snd_nxt_or_at_an_edge_that_shrank_by_more_than_rounding() {
    for (sent, shift, window, expected) in [
        (3000, 0, 3000, 3000),
        (3000, 0, 2999, 2999),
        (2999, 3, 374, 2999), // 2,992 octets: the peer may have room for 2,999.
        (3000, 3, 374, 2992),
    ] {
        let mut side = side(3000);
        side.write(&vec![0; usize::try_from(sent).unwrap()]);
        while let Ok(text) = side.next_new(u32::MAX, true) {
            side.on_sent(&text);
        }
        side.shift = shift;
        ack(&mut side, 0, window);
        assert_eq!(side.bare_seq(), UNA + expected, "{window} << {shift} for {sent} octets");
    }
}

#[test]
fn must_1_a_window_of_65535_octets_is_not_negative() {
    let mut side = side(0xffff);
    side.write(&vec![0; 70_000]);
    let pieces = send_all(&mut side);
    assert_eq!(pieces.iter().sum::<u32>(), 65_000); // 535 more are no full segment.
}

#[test]
fn part_of_a_segment_is_not_worth_the_congestion_window() {
    let mut side = side(65_535);
    side.write(&[0; 5000]);
    assert_eq!(side.next_new(999, false), Err(Blocked::Congestion));
    assert_eq!(side.next_new(1000, false).unwrap().range, range(0, 1000));
}

#[test]
fn an_ack_of_unsent_octets_and_one_from_long_ago_are_refused() {
    let mut side = side(2000);
    side.write(&[0; 9000]);
    send_all(&mut side);
    for (acked, oldest) in [(1000, 0), (2000, 0), (3000, 1000), (5000, 3000)] {
        ack(&mut side, acked, 2000);
        send_all(&mut side);
        for (ack, verdict) in [
            (side.nxt() + 1, Err(DropReason::AckOfUnsent)),
            (side.nxt(), Ok(())),
            (side.una(), Ok(())),
            (UNA + oldest, Ok(())),
            (SeqNumber((UNA + oldest).0.wrapping_sub(1)), Err(DropReason::AckTooOld)),
        ] {
            assert_eq!(side.judge_ack(ack), verdict, "{ack:?} of {acked} acknowledged");
        }
    }
}

/// A number 2^31 away is neither before nor after; it must not pass for that.
#[test]
fn an_ack_half_the_sequence_space_away_is_refused_like_those_beside_it() {
    const HALF: u32 = 1 << 31;
    // Idle or with octets in flight, at its start or with octets acknowledged.
    for (acked, in_flight) in [(0, 0), (0, 1000), (1000, 0), (1000, 1000)] {
        let mut side = side(4000);
        side.write(&[0; 1000][..acked]);
        send_all(&mut side);
        let acked = u32::try_from(acked).unwrap();
        ack(&mut side, acked, 4000);
        side.write(&[0; 1000][..in_flight]);
        send_all(&mut side);
        let (una, nxt) = (side.una(), side.nxt());
        let (unsent, old) = (Err(DropReason::AckOfUnsent), Err(DropReason::AckTooOld));
        let half_of_una = if in_flight > 0 { unsent } else { old };
        for (ack, verdict) in [
            (una - (acked + 1), old),
            (una - acked, Ok(())),
            (una, Ok(())),
            (nxt, Ok(())),
            (nxt + 1, unsent),
            (una + (HALF - 1), unsent),
            (una + HALF, half_of_una),
            (una + (HALF + 1), half_of_una),
            (nxt + (HALF - 1), unsent),
            (nxt + HALF, old),
            (nxt + (HALF + 1), old),
        ] {
            assert_eq!(side.judge_ack(ack), verdict, "{acked}, {in_flight}: {}", ack - una);
        }
    }
}

#[test]
fn a_duplicate_says_nothing_new_at_all() {
    let mut side = side(5000);
    side.write(&[0; 4000]);
    let una = UNA.0;
    let is_duplicate = |side: &mut SendSide, arrived: &Segment| {
        side.acknowledge(arrived, arrived.ack.unwrap()).is_duplicate
    };
    let bare = segment(".", PEER, una, 5000, b"");
    assert!(!is_duplicate(&mut side, &bare), "nothing is outstanding");
    send_all(&mut side);
    assert!(is_duplicate(&mut side, &bare));
    assert!(!is_duplicate(&mut side, &segment(".", PEER, una, 4999, b"")), "a window update");
    assert!(!is_duplicate(&mut side, &segment(".", PEER, una, 5000, b"x")), "data");
    assert!(!is_duplicate(&mut side, &segment("F.", PEER, una, 5000, b"")), "a FIN");
    assert!(!is_duplicate(&mut side, &segment(".", PEER, una - 1, 5000, b"")), "an old one");
}

#[test]
fn a_window_from_an_older_segment_is_not_taken_over() {
    let mut side = side(5000);
    side.write(&[0; 4000]);
    send_all(&mut side);
    let update = |side: &mut SendSide, seq: u32, ack: u32, window: u16| {
        let arrived = segment(".", seq, (UNA + ack).0, window, b"");
        side.update_window(&arrived, UNA + ack);
        side.wnd()
    };
    assert_eq!(update(&mut side, PEER + 10, 1000, 6000), 6000);
    assert_eq!(update(&mut side, PEER + 9, 1000, 1), 6000, "an older sequence number");
    assert_eq!(update(&mut side, PEER + 10, 999, 1), 6000, "an older acknowledgment");
    assert_eq!(update(&mut side, PEER + 10, 1000, 7000), 7000, "an update of the same age");
    assert_eq!(update(&mut side, PEER + 11, 500, 8000), 8000, "a newer sequence number");
    assert_eq!(update(&mut side, PEER + 9, 2000, 900), 900, "a newer acknowledgment");
}

#[test]
fn what_is_sent_again_is_one_segment_and_ends_with_the_fin_if_that_was_lost() {
    let mut side = side(65_535);
    side.write(&[0; 1500]);
    side.close();
    send_all(&mut side);
    let all = range(0, 1501);
    let first = side.next_again(all).unwrap();
    assert_eq!((first.range, first.fin, first.push), (range(0, 1000), false, false));
    let rest = side.next_again(range(1000, 1501)).unwrap();
    assert_eq!((rest.range, rest.fin, rest.push), (range(1000, 1500), true, true));
    let fin = side.next_again(range(1500, 1501)).unwrap();
    assert_eq!((fin.range.len(), fin.fin), (0, true));
    assert_eq!(side.next_again(range(0, 0)), None);
}

#[test]
fn part_of_a_segment_can_be_acknowledged_and_the_rest_is_still_there() {
    let mut side = side(65_535);
    let octets: Vec<u8> = (0..=250).cycle().take(1000).collect();
    side.write(&octets);
    send_all(&mut side);
    assert_eq!(ack(&mut side, 300, 65_535).octets, 300);
    let rest: Vec<u8> = side.text(range(300, 1000)).concat();
    assert_eq!(rest, &octets[300..]);
    assert_eq!((side.queued(), side.outstanding()), (700, 700));
}

#[test]
fn a_super_segment_is_what_would_leave_segment_by_segment() {
    for (congestion, most, len) in [
        (u32::MAX, 65_000, 2500),
        (2499, 65_000, 2000),
        (u32::MAX, 2499, 2000),
        (1999, 65_000, 1000),
        (u32::MAX, 1999, 1000),
        (u32::MAX, 0, 1000),
    ] {
        let mut side = side(65_535);
        side.write(&[0; 2500]);
        let first = side.next_new(congestion, false).unwrap();
        let text = side.extend(first, congestion, most);
        assert_eq!((text.range, text.push), (range(0, len), len == 2500), "{congestion} {most}");
        assert_eq!((text.parts(), text.part_len()), (len.div_ceil(1000), 1000));
    }
}

#[test]
fn the_small_end_of_a_super_segment_holds_the_next_small_one_back() {
    let mut side = side(65_535);
    let send = |side: &mut SendSide, octets: usize| {
        side.write(&vec![0; octets]);
        let first = side.next_new(u32::MAX, false).unwrap();
        let text = side.extend(first, u32::MAX, 65_000);
        side.on_sent(&text);
        text.range.len()
    };
    assert_eq!(send(&mut side, 2500), 2500);
    assert_eq!(send(&mut side, 2100), 2000, "Nagle");
    ack(&mut side, 4500, 65_535);
    assert_eq!(side.next_new(u32::MAX, false).map(|text| text.range.len()), Ok(100));
}

#[test]
fn a_fin_leaves_with_the_last_part_of_a_super_segment() {
    let mut side = side(65_535);
    side.write(&[0; 2500]);
    side.close();
    let first = side.next_new(u32::MAX, false).unwrap();
    assert!(!side.extend(first, 2000, 65_000).fin);
    let text = side.extend(first, u32::MAX, 65_000);
    assert_eq!((text.range, text.fin), (range(0, 2500), true));
}

#[test]
fn the_buffer_goes_back_once_all_of_it_is_acknowledged_and_is_as_new_for_the_next() {
    let mut spares = Spares::default();
    for _ in 0..2 {
        let mut side = side(65_535);
        side.lend(&mut spares, true);
        side.write(&[7; 1500]);
        side.take_back(&mut spares);
        assert_eq!(spares.kept(), (0, 0));
        assert_eq!(send_all(&mut side), [1000, 500]);
        for (octets, kept) in [(1000, 0), (1500, 1)] {
            side.lend(&mut spares, false);
            ack(&mut side, octets, 65_535);
            side.take_back(&mut spares);
            assert_eq!((spares.kept(), side.queued()), ((0, kept), 1500 - octets));
        }
    }
}

/// The end of a small segment is remembered for good, and comes to lie ahead again half way around
/// the sequence space.
#[test]
fn a_small_segment_of_the_last_time_round_holds_nothing_back() {
    let mut side = side(2000);
    side.write(b"a");
    send_all(&mut side);
    ack(&mut side, 1, 2000);
    (side.una, side.nxt) = (side.small_end - 1000, side.small_end - 1000);
    side.write(&[0; 10]);
    assert_eq!(send_all(&mut side), [10]);
    side.write(&[0; 10]);
    assert!(send_all(&mut side).is_empty());
}

/// RFC 4821 §7.4: three full segments follow a probe, or nobody tells whether it arrived.
#[test]
fn a_probe_of_the_path_needs_text_and_window_for_three_segments_more() {
    let probed = 1400;
    let needed = probed + 3 * usize::from(MSS);
    for (window, written, fits) in
        [(needed, needed, true), (needed - 1, needed, false), (needed, needed - 1, false)]
    {
        let mut sender = side(u32::try_from(window).unwrap());
        sender.write(&vec![0; written]);
        let size = u32::try_from(probed).unwrap();
        assert_eq!(
            sender.next_probe(size).map(|probe| probe.range),
            fits.then_some(range(0, size))
        );
        sender.set_next_options(12);
        let probe = sender.next_probe(size).map(|probe| probe.range);
        assert_eq!(probe, Some(range(0, size - 12)), "options are part of its size");
    }
}
