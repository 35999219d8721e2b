//! Pointers from the wire and from the application: what each becomes, at every edge.

use super::*;
use crate::tcp::tests::segment;

const NXT: SeqNumber = SeqNumber(u32::MAX - 4); // The sequence space wraps within the tests.

fn seq(offset: u32) -> SeqNumber {
    NXT + offset
}

/// A segment of `text`, `offset` octets right of RCV.NXT, with an urgent pointer.
fn pointing(offset: i32, pointer: u16, text: &[u8]) -> Segment {
    let start = NXT.0.wrapping_add_signed(offset);
    Segment { urgent: Some(pointer), ..segment(".", start, 1, 100, text) }
}

/// What a segment does to a connection on which nothing waits to be read.
fn notice(urgent: &mut Urgent, segment: &Segment) -> Noticed {
    urgent.notice(segment, NXT, NXT)
}

const NEWS: Noticed = Noticed { is_news: true, passed: false };

/// The pointer is a hint: whatever it says, it is compared and never taken as a length.
#[test]
fn must_31_a_pointer_may_be_anything_and_the_mark_stands_one_octet_before_it() {
    for (offset, pointer, text, ahead, octet) in [
        (0, 1, &b"abc"[..], Some(0), Some(b'a')),
        (0, 3, b"abc", Some(2), Some(b'c')),
        (0, 0, b"abc", Some(0), Some(b'a')), // As Linux: like 1.
        (0, 4, b"abc", Some(3), None),       // Just past the segment.
        (0, 65_535, b"abc", Some(65_534), None),
        (0, 1, b"", Some(0), None), // A bare ACK may tell of it first.
        (3, 2, b"abc", Some(4), Some(b'b')), // Out of order.
        (-1, 1, b"", None, None),   // To what is here already.
        (-1, 0, b"", None, None),
        (-3, 3, b"abcd", None, None),          // Its last old octet.
        (-3, 4, b"abcd", Some(0), Some(b'd')), // Its first new one.
        (-1, 65_535, b"", Some(65_533), None),
    ] {
        for is_inline in [true, false] {
            let mut urgent = Urgent::new(is_inline);
            let noticed = notice(&mut urgent, &pointing(offset, pointer, text));
            let case = format!("{offset} {pointer} {text:?}");
            assert_eq!(noticed, Noticed { is_news: ahead.is_some(), passed: false }, "{case}");
            assert_eq!(urgent.ahead(), ahead, "{case}");
            assert_eq!(urgent.is_priority(), ahead.is_some(), "{case}");
            let found = match (is_inline, ahead, octet) {
                (true, ..) | (_, None, _) => OutOfLine::Nothing,
                (false, Some(_), None) => OutOfLine::Awaited,
                (false, Some(_), Some(octet)) => OutOfLine::Octet(octet),
            };
            assert_eq!(urgent.take(true), found, "{case}");
        }
    }
}

#[test]
fn must_32_a_pointer_is_news_when_it_is_the_first_and_when_it_moves_on_and_not_otherwise() {
    let mut urgent = Urgent::new(true);
    for (offset, pointer, text, is_news) in [
        (0, 10, &b""[..], true),
        (0, 10, b"", false),
        (0, 5, b"", false),
        (0, 11, b"", true),
        (8, 3, b"", false),
        (8, 3, b"ijk", true), // The octet itself has come.
        (8, 3, b"ijk", false),
    ] {
        let noticed = notice(&mut urgent, &pointing(offset, pointer, text));
        assert_eq!(noticed.is_news, is_news, "{offset} {pointer} {text:?}");
    }
    assert_eq!(urgent.ahead(), Some(10));
    let plain = segment(".", NXT.0, 1, 100, b"abc");
    assert_eq!(notice(&mut urgent, &plain), Noticed::default());
    assert_eq!(notice(&mut Urgent::new(true), &plain), Noticed::default());
}

/// The octet may come in a segment that has no pointer of its own.
#[test]
fn an_announced_octet_is_taken_from_whichever_segment_brings_it() {
    let mut urgent = Urgent::new(false);
    notice(&mut urgent, &pointing(0, 5, b""));
    assert_eq!(urgent.take(false), OutOfLine::Awaited);
    assert!(!urgent.is_priority(), "the application knows");
    assert_eq!(notice(&mut urgent, &segment(".", NXT.0, 1, 100, b"abcdef")), NEWS);
    assert_eq!(urgent.take(true), OutOfLine::Octet(b'e'));
    assert!(urgent.is_priority());
    assert_eq!(urgent.take(false), OutOfLine::Octet(b'e'));
    assert_eq!(urgent.take(false), OutOfLine::Nothing);
    assert!(!urgent.is_priority());
}

#[test]
fn a_read_stops_at_the_mark_and_the_next_one_begins_there() {
    for (is_inline, at_mark) in
        [(true, Cut { skip: false, len: 5 }), (false, Cut { skip: true, len: 4 })]
    {
        let mut urgent = Urgent::new(is_inline);
        assert_eq!(urgent.cut(8), Cut { skip: false, len: 8 });
        notice(&mut urgent, &pointing(0, 4, b"abcdefgh"));
        assert_eq!(urgent.cut(8), Cut { skip: false, len: 3 });
        assert_eq!(urgent.cut(2), Cut { skip: false, len: 2 });
        urgent.on_read(1);
        assert_eq!((urgent.cut(7), urgent.ahead()), (Cut { skip: false, len: 2 }, Some(2)));
        urgent.on_read(2);
        assert_eq!((urgent.cut(5), urgent.ahead()), (at_mark, Some(0)));
        assert_eq!(urgent.cut(0), Cut { skip: false, len: 0 });
        urgent.on_read(0);
        assert_eq!(urgent.ahead(), Some(0), "nothing was read");
        urgent.on_read(1);
        assert_eq!((urgent.cut(4), urgent.ahead()), (Cut { skip: false, len: 4 }, None));
        assert_eq!(urgent.take(false), OutOfLine::Nothing);
    }
}

/// Linux's `copied_seq++`: at the mark of an octet that is out of line, a new pointer must not make
/// that octet one of the stream.
#[test]
fn an_urgent_octet_at_the_front_is_passed_over_when_the_pointer_moves_on() {
    for (is_inline, read_to, passed) in [(false, 3, true), (false, 2, false), (true, 3, false)] {
        let mut urgent = Urgent::new(is_inline);
        notice(&mut urgent, &pointing(0, 4, b"abcd"));
        urgent.on_read(read_to);
        let read = seq(u32::try_from(read_to).unwrap());
        let segment = pointing(4, 2, b"ef");
        let noticed = urgent.notice(&segment, read, seq(4));
        assert_eq!(noticed, Noticed { is_news: true, passed }, "{is_inline} {read_to}");
        let ahead = seq(5) - read - i32::from(passed);
        assert_eq!(urgent.ahead(), u32::try_from(ahead).ok(), "{is_inline} {read_to}");
        if !is_inline {
            assert_eq!(urgent.take(true), OutOfLine::Octet(b'f'));
        }
    }
}

#[test]
fn must_62_the_pointer_that_leaves_points_behind_the_urgent_data_while_it_can() {
    let mut urgent = Urgent::new(true);
    assert_eq!(urgent.pointer(NXT, NXT), None);
    urgent.on_written(seq(70_000));
    for (start, nxt, pointer) in [
        (seq(69_999), seq(69_999), Some(1)),
        (seq(70_000), seq(70_000), None), // Nothing urgent follows.
        (seq(70_001), seq(70_001), None),
        (seq(4465), seq(4465), Some(65_535)),
        (seq(4464), seq(4464), Some(65_535)), // 65,536 would not fit.
        (seq(0), seq(0), Some(65_535)),
        (seq(0), seq(65_534), Some(65_535)),
        (seq(0), seq(65_535), None), // It would point at what was sent as not urgent.
        (seq(4465), seq(70_000), Some(65_535)),
    ] {
        assert_eq!(urgent.pointer(start, nxt), pointer, "{start:?} {nxt:?}");
    }
    urgent.on_acknowledged(seq(69_999));
    assert!(urgent.is_sending());
    urgent.on_acknowledged(seq(70_000));
    assert!(!urgent.is_sending());
    assert_eq!(urgent.pointer(NXT, NXT), None);
}

/// RFC 9293 §3.10.7.3: what follows a SYN is processed from the sixth step on.
#[test]
fn a_pointer_on_a_syn_counts_from_the_syn_which_is_not_urgent_itself() {
    for (pointer, behind_syn) in [(0, None), (1, None), (2, Some(1)), (65_535, Some(65_534))] {
        let syn = Segment { urgent: Some(pointer), ..segment("S.", 0, 1, 100, b"abc") };
        assert_eq!(syn.without_syn().urgent, behind_syn, "{pointer}");
    }
    let plain = Segment { urgent: Some(7), ..segment(".", 0, 1, 100, b"abc") };
    assert_eq!(plain.without_syn().urgent, Some(7));
}

/// What is here already is no more urgent than it was, though nobody has read it yet.
#[test]
fn a_pointer_to_what_has_arrived_says_nothing_and_the_mark_bounds_what_is_readable() {
    for (is_inline, readable) in [(false, 3), (true, 8)] {
        let mut urgent = Urgent::new(is_inline);
        for pointer in 1..=4 {
            let noticed = urgent.notice(&pointing(0, pointer, b""), seq(0), seq(4));
            assert_eq!((noticed, urgent.ahead()), (Noticed::default(), None), "{pointer}");
        }
        assert!(urgent.notice(&pointing(3, 1, b""), seq(0), seq(3)).is_news);
        assert_eq!(urgent.ahead(), Some(3));
        assert_eq!(urgent.readable(8), readable);
    }
}
