//! What is acceptable, what is kept of it, and which windows are offered.

use super::*;
use crate::observe::DropReason::{AboveWindow, BelowWindow};
use crate::tcp::negotiated::Scaling;
use crate::tcp::tests::segment;

const IRS: u32 = u32::MAX - 5; // The window wraps.
const NXT: u32 = IRS + 1;
const MSS: u16 = 1000;

fn side_with(offered: u32, buffer: u32, shift: u8) -> ReceiveSide {
    let agreed = Negotiated {
        send_mss: MSS,
        receive_mss: MSS,
        scaling: Some(Scaling::new(0, shift)),
        sack: false,
        timestamps: false,
    };
    ReceiveSide::new(SeqNumber(IRS), agreed, offered, buffer)
}

fn side(offered: u32) -> ReceiveSide {
    side_with(offered, 65_535, 0)
}

fn text(side: &mut ReceiveSide, offset: u32, octets: &[u8]) -> Taken {
    arrive(side, "P.", offset, octets)
}

fn arrive(side: &mut ReceiveSide, flags: &str, offset: u32, octets: &[u8]) -> Taken {
    let arrived = segment(flags, NXT.wrapping_add(offset), 1, 0, octets);
    side.admit(&arrived).unwrap();
    let taken = side.take(&arrived, true);
    side.check();
    taken
}

fn read(side: &mut ReceiveSide) -> Vec<u8> {
    let mut buffer = vec![0; 100_000];
    let len = side.read(&mut buffer);
    buffer.truncate(len);
    buffer
}

/// Offers a window as a segment that leaves does, and says how many octets it is.
fn offer(side: &mut ReceiveSide) -> u32 {
    let before = side.nxt() + side.wnd();
    let (_, edge) = side.offer(Growth::Free);
    assert!(edge.at_or_after(before), "SHLD-14: the edge moved left");
    side.on_offered(edge);
    side.check();
    side.wnd()
}

#[test]
fn the_four_cases_of_rfc_9293_table_6_and_the_fin_at_a_shut_window() {
    let octets = [0; 100];
    for (window, flags, offset, len, verdict) in [
        (0, ".", 0, 0, Ok(())),
        (0, ".", 1, 0, Err(AboveWindow)),
        (0, ".", u32::MAX, 0, Err(BelowWindow)),
        (0, ".", 0, 1, Err(AboveWindow)),
        (0, "F.", 0, 0, Ok(())),
        (0, "F.", 1, 0, Err(AboveWindow)),
        (0, "F.", 0, 1, Err(AboveWindow)),
        (10, ".", 9, 0, Ok(())),
        (10, ".", 10, 0, Err(AboveWindow)),
        (10, ".", u32::MAX, 0, Err(BelowWindow)),
        (10, ".", u32::MAX, 1, Err(BelowWindow)),
        (10, ".", u32::MAX, 2, Ok(())),
        (10, ".", 9, 100, Ok(())),
        (10, ".", 10, 1, Err(AboveWindow)),
        (10, ".", u32::MAX - 9, 100, Ok(())),
    ] {
        let arrived = segment(flags, NXT.wrapping_add(offset), 1, 0, &octets[..len]);
        assert_eq!(side(window).admit(&arrived), verdict, "{window} {flags} {offset} +{len}");
    }
}

#[test]
fn an_old_octet_is_trimmed_and_the_new_ones_are_kept() {
    let mut side = side(100);
    text(&mut side, 0, b"abc");
    let taken = text(&mut side, 1, b"bcdef");
    assert_eq!((taken.octets, taken.is_irregular), (3, true));
    assert_eq!(read(&mut side), b"abcdef");
}

#[test]
fn what_lies_past_the_window_is_cut_off_with_its_fin() {
    let mut side = side(4);
    let taken = arrive(&mut side, "FP.", 0, b"abcdef");
    assert_eq!((taken.octets, taken.fin), (4, false));
    assert_eq!((side.wnd(), read(&mut side)), (0, b"abcd".to_vec()));
    assert_eq!(side.fin, None, "it comes again with the text before it");
}

#[test]
fn shld_31_what_comes_early_waits_and_is_read_in_order() {
    let mut side = side(100);
    let early = text(&mut side, 3, b"def");
    assert_eq!((early.octets, early.is_irregular), (0, true));
    assert_eq!(read(&mut side), b"");
    let filled = text(&mut side, 0, b"abc");
    assert_eq!((filled.octets, filled.is_irregular), (6, true));
    assert_eq!(read(&mut side), b"abcdef");
}

#[test]
fn a_fin_waits_for_the_octets_before_it_and_nothing_follows_it() {
    let mut side = side(100);
    assert!(!arrive(&mut side, "F.", 3, b"def").fin);
    assert!(!side.is_finished());
    let taken = arrive(&mut side, "P.", 0, b"abcdefgh");
    assert_eq!((taken.octets, taken.fin), (6, true));
    assert!(side.is_finished());
    assert_eq!(side.nxt(), SeqNumber(NXT) + 7);
    assert_eq!(read(&mut side), b"abcdef");
}

#[test]
fn text_that_came_early_and_lies_right_of_the_fin_is_forgotten() {
    let mut side = side(100);
    text(&mut side, 5, b"fghijxyz");
    let taken = arrive(&mut side, "F.", 0, b"abcdefghij");
    assert_eq!((taken.octets, taken.fin), (10, true));
    assert_eq!(read(&mut side), b"abcdefghij");
}

/// Octets are copied to where they belong, so that no packet is held on to: a peer that sends them
/// one by one fills no more memory than its window says.
#[test]
fn segments_of_one_octet_take_no_more_memory_than_one_large_one() {
    let (mut small, mut large) = (side(5000), side(5000));
    for offset in 0..4000 {
        text(&mut small, offset, b"x");
    }
    text(&mut large, 0, &[b'x'; 4000]);
    assert_eq!(small.readable(), large.readable());
    assert!(small.allocated() <= large.allocated().next_power_of_two());
    assert_eq!(small.wnd(), large.wnd());
}

#[test]
fn a_second_fin_somewhere_else_is_ignored() {
    let mut side = side(100);
    arrive(&mut side, "F.", 3, b"def");
    arrive(&mut side, "F.", 3, b"de");
    assert_eq!(arrive(&mut side, ".", 0, b"abc").octets, 6);
    assert_eq!(read(&mut side), b"abcdef");
}

#[test]
fn without_memory_only_what_comes_in_order_is_taken() {
    let mut side = side(100);
    let early = segment(".", NXT.wrapping_add(3), 1, 0, b"def");
    let taken = side.take(&early, false);
    assert_eq!((taken.octets, taken.is_refused), (0, true));
    assert_eq!(side.allocated(), 0);
    let next = segment(".", NXT, 1, 0, b"abc");
    let taken = side.take(&next, false);
    assert_eq!((taken.octets, taken.is_refused), (3, false));
}

#[test]
fn must_39_the_edge_of_a_narrow_window_moves_by_a_full_segment_or_not_at_all() {
    let mut side = side(65_535);
    text(&mut side, 0, &vec![7; 60_000]);
    assert_eq!(offer(&mut side), 5535);
    let mut octet = [0];
    for _ in 0..999 {
        side.read(&mut octet);
        assert_eq!(offer(&mut side), 5535);
        assert!(!side.is_update_due(Growth::Free));
    }
    side.read(&mut octet);
    assert_eq!(offer(&mut side), 6535);
}

/// As the windows of a server that answers each request at once: a field that changes takes a peer
/// out of its header prediction.
#[test]
fn a_window_that_is_wide_follows_its_reader_and_says_the_same_each_time() {
    for (buffer, shift) in [(65_535, 0), (2 << 20, 6)] {
        let mut side = side_with(65_535, buffer, shift);
        offer(&mut side);
        for request in 0..1000 {
            text(&mut side, request * 64, &[7; 64]);
            assert_eq!(read(&mut side).len(), 64);
            assert_eq!(offer(&mut side), buffer, "request {request}");
        }
    }
}

#[test]
fn a_window_is_wide_from_half_of_the_buffer_and_two_segments_on() {
    for (buffer, unread, is_wide) in [
        (9000, 4500, true),
        (9000, 4501, false),
        (3000, 1000, true), // Two segments of 1000 octets are more than half.
        (3000, 1001, false),
    ] {
        let mut side = side_with(buffer, buffer, 0);
        text(&mut side, 0, &vec![7; unread]);
        let narrow = offer(&mut side);
        side.read(&mut [0; 1]);
        assert_eq!(offer(&mut side), narrow + u32::from(is_wide), "{unread} of {buffer}");
    }
}

#[test]
fn what_a_wide_window_told_in_small_steps_is_told() {
    let mut side = side_with(10_000, 10_000, 0);
    text(&mut side, 0, &[7; 4000]);
    for window in [6000, 6800, 7600, 8400, 9200, 10_000] {
        assert_eq!(offer(&mut side), window);
        side.read(&mut [0; 800]);
    }
    text(&mut side, 4000, &[7; 9500]);
    side.read(&mut [0; 8000]);
    assert!(!side.is_update_due(Growth::Free), "the peer knows of all the room");
}

#[test]
fn a_small_buffer_reopens_when_half_of_it_is_free() {
    let mut side = side_with(1000, 1000, 0);
    text(&mut side, 0, &[7; 1000]);
    assert_eq!(offer(&mut side), 0);
    side.read(&mut [0; 499]);
    assert!(!side.is_update_due(Growth::Free));
    side.read(&mut [0; 1]);
    assert!(side.is_update_due(Growth::Free));
    assert_eq!(offer(&mut side), 500);
}

#[test]
fn the_peer_hears_unasked_of_a_window_that_has_doubled() {
    let mut side = side(65_535);
    text(&mut side, 0, &vec![7; 60_000]);
    offer(&mut side);
    side.read(&mut vec![0; 5000]);
    assert!(!side.is_update_due(Growth::Free), "5535 to 10535");
    side.read(&mut vec![0; 535]);
    assert!(side.is_update_due(Growth::Free), "5535 to 11070");
}

#[test]
fn a_window_that_could_grow_by_less_than_a_segment_is_no_news() {
    for (unread, window, least) in [(5000, 0, 1000), (4400, 600, 1000), (3800, 1200, 1200)] {
        let mut side = side_with(5000, 5000, 0);
        text(&mut side, 0, &vec![7; unread]);
        assert_eq!(offer(&mut side), window);
        side.read(&mut vec![0; least - 1]);
        assert!(!side.could_offer_more(Growth::Free), "{window}");
        side.read(&mut [0; 1]);
        assert!(side.could_offer_more(Growth::Free), "{window}");
    }
}

/// What has come since the window was opened is acknowledged in any case, and the acknowledgment
/// tells of what was read.
#[test]
fn no_update_is_due_before_more_is_free_than_the_peer_was_last_told_of() {
    let mut side = side_with(10_000, 10_000, 0);
    text(&mut side, 0, &[7; 8000]);
    assert_eq!(offer(&mut side), 2000);
    side.read(&mut [0; 8000]);
    assert!(side.is_update_due(Growth::Free));
    assert_eq!(offer(&mut side), 10_000);
    text(&mut side, 8000, &[7; 6000]);
    side.read(&mut [0; 5000]);
    assert!(!side.is_update_due(Growth::Free));
    assert_eq!(offer(&mut side), 9000);
}

#[test]
fn a_scaled_window_never_moves_its_edge_left_and_never_promises_what_is_not_there() {
    for shift in [1, 3, 7, 14] {
        let buffer = (65_535 << shift).min(4 << 20);
        let mut side = side_with(65_535, buffer, shift);
        let mut offset = 0;
        for step in 0..2000u32 {
            offer(&mut side);
            let len = (step * 37 % 900).min(side.wnd());
            if len > 0 {
                text(&mut side, offset, &vec![1; len as usize]);
                offset += len;
            }
            if step % 7 == 0 {
                side.read(&mut vec![0; 5000]);
            }
        }
    }
}

#[test]
fn segments_of_one_octet_cannot_hold_a_scaled_window_open() {
    let buffer = 256 << 10;
    let mut side = side_with(65_535, buffer, 3);
    let mut offset = 0;
    while side.wnd() > 0 {
        text(&mut side, offset, b"x");
        offset += 1;
        let (_, edge) = side.offer(Growth::Free);
        side.on_offered(edge);
        side.check();
        assert!(offset <= buffer + 8, "{offset} octets were taken");
    }
    assert!(offset >= buffer - 8, "{offset} octets were taken");
}

#[test]
fn without_scaling_a_large_buffer_is_offered_as_65535_octets() {
    let mut side = side_with(65_535, 256 << 10, 0);
    assert!(!side.is_update_due(Growth::Free));
    assert_eq!(offer(&mut side), 65_535);
}

/// A large packet in order is kept as it is; not so if what came early lies behind it.
#[test]
fn a_large_segment_before_what_came_early_is_read_before_it() {
    let mut side = side(65_535);
    let (large, early) = (vec![1; 40_000], [2; 100]);
    assert_eq!(text(&mut side, 40_000, &early).octets, 0);
    assert_eq!(text(&mut side, 0, &large).octets, 40_100);
    assert!(read(&mut side) == [&large[..], &early].concat());
}

#[test]
fn a_large_segment_that_comes_early_waits_for_what_is_before_it() {
    let mut side = side(65_535);
    let large = vec![1; 40_000];
    assert_eq!(text(&mut side, 3, &large).octets, 0);
    assert_eq!(text(&mut side, 0, b"abc").octets, 40_003);
    assert!(read(&mut side) == [&b"abc"[..], &large].concat());
}

#[test]
fn of_a_large_segment_nothing_behind_a_fin_is_read() {
    let mut side = side(65_535);
    assert!(!arrive(&mut side, "F.", 35_000, b"").fin);
    let taken = text(&mut side, 0, &vec![1; 40_000]);
    assert_eq!((taken.octets, taken.fin), (35_000, true));
    assert!(read(&mut side) == vec![1; 35_000]);
}

#[test]
fn the_buffer_goes_back_once_nothing_lies_in_it_and_early_text_keeps_it() {
    let (mut side, mut spares) = (side(1000), Spares::default());
    for (offset, octets, readable, is_kept) in
        [(0, &b"ab"[..], 2, false), (4, b"ef", 0, true), (2, b"cd", 4, false)]
    {
        side.lend(&mut spares, true);
        text(&mut side, offset, octets);
        side.take_back(&mut spares);
        side.lend(&mut spares, false);
        assert_eq!(read(&mut side).len(), readable, "{offset}");
        side.take_back(&mut spares);
        assert_eq!(side.buffer.is_some(), is_kept, "{offset}");
    }
    assert_eq!(spares.kept(), (1, 0));
}

/// Whatever the MSS is, and though each segment is shorter than that by its options.
#[test]
fn while_memory_is_short_a_reader_who_keeps_up_is_offered_a_segment_again_and_again() {
    for (mss, shift) in
        [(536, 0), (1460, 7), (2100, 0), (8948, 5), (8960, 9), (8961, 3), (65_495, 3)]
    {
        let scaling = Some(Scaling::new(0, shift));
        let (receive_mss, sack, timestamps) = (mss, false, false);
        let agreed = Negotiated { send_mss: MSS, receive_mss, scaling, sack, timestamps };
        let mut side = ReceiveSide::new(SeqNumber(IRS), agreed, 0, 16 << 20);
        let mut offset = 0;
        for _ in 0..10 {
            let (_, edge) = side.offer(Growth::Least);
            side.on_offered(edge);
            assert!(side.wnd() >= mss.into(), "{} of {mss}, shift {shift}", side.wnd());
            offset += text(&mut side, offset, &vec![7; usize::from(mss) - 12]).octets;
            read(&mut side);
        }
    }
}

#[test]
fn while_memory_is_short_a_reader_who_does_not_keep_up_is_offered_the_least_and_no_more() {
    for (mss, shift, least) in
        [(536, 0, 4096), (1460, 7, 4096), (8960, 9, 17_920), (8961, 3, 17_928)]
    {
        let scaling = Some(Scaling::new(0, shift));
        let (receive_mss, sack, timestamps) = (mss, false, false);
        let agreed = Negotiated { send_mss: MSS, receive_mss, scaling, sack, timestamps };
        let mut side = ReceiveSide::new(SeqNumber(IRS), agreed, 0, 16 << 20);
        let mut offset = 0;
        for (window, read) in [(least, 0), (0, 0), (0, 1), (0, least - 1), (least, 0)] {
            let (_, edge) = side.offer(Growth::Least);
            side.on_offered(edge);
            assert_eq!(side.wnd(), window, "{mss}");
            offset += text(&mut side, offset, &vec![7; window as usize]).octets;
            side.read(&mut vec![0; read as usize]);
        }
    }
}
