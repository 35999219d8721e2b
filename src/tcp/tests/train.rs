//! What may be coupled, and that what is coupled comes apart again.

use super::*;
use crate::tcp::tests::segment;
use crate::wire::tcp_options::{SackBlock, Timestamps};

const SEQ: u32 = u32::MAX - 5; // The sequence space wraps within the train.

fn first() -> Segment {
    segment(".", SEQ, 7, 100, b"abcdefgh")
}

fn next() -> Segment {
    segment(".", SEQ.wrapping_add(8), 7, 100, b"ijkl")
}

#[test]
fn segments_that_differ_in_their_text_alone_are_coupled_and_others_are_not() {
    let at = SEQ.wrapping_add(8);
    let stamped = |segment: Segment, value| {
        let timestamps = Some(Timestamps { value, echo: 1 });
        Segment { options: TcpOptions { timestamps, ..TcpOptions::default() }, ..segment }
    };
    let told = |segment: Segment| {
        let mut options = TcpOptions::default();
        options.sack.push(SackBlock { left: 1, right: 2 });
        Segment { options, ..segment }
    };
    let part = NonZeroU16::new(4);
    let large = |len| segment(".", 0, 7, 100, &vec![0; len]);
    let after = |len| segment(".", u32::try_from(len).unwrap(), 7, 100, b"i");
    for (why, first, next, is_good) in [
        ("plain", first(), next(), true),
        ("as long", first(), segment(".", at, 7, 100, b"ijklmnop"), true),
        ("a FIN behind it", first(), segment("F.", at, 7, 100, b"i"), true),
        ("pushed", first(), segment("P.", at, 7, 100, b"i"), true),
        ("equal timestamps", stamped(first(), 3), stamped(next(), 3), true),
        ("longer", first(), segment(".", at, 7, 100, b"ijklmnopq"), false),
        ("no text", first(), segment(".", at, 7, 100, b""), false),
        ("a FIN alone", first(), segment("F.", at, 7, 100, b""), false),
        ("a hole", first(), segment(".", at.wrapping_add(1), 7, 100, b"i"), false),
        ("an overlap", first(), segment(".", at.wrapping_sub(1), 7, 100, b"i"), false),
        ("another ACK", first(), segment(".", at, 8, 100, b"i"), false),
        ("another window", first(), segment(".", at, 7, 101, b"i"), false),
        ("no ACK", first(), segment("", at, 7, 100, b"i"), false),
        ("behind a FIN", segment("F.", SEQ, 7, 100, b"abcdefgh"), next(), false),
        ("a SYN", first(), segment("S.", at, 7, 100, b"i"), false),
        ("an RST", first(), segment("R.", at, 7, 100, b"i"), false),
        ("behind a SYN", segment("S.", SEQ, 7, 100, b"abcdefgh"), next(), false),
        ("urgent", first(), Segment { urgent: Some(1), ..next() }, false),
        ("behind urgent", Segment { urgent: Some(1), ..first() }, next(), false),
        ("other timestamps", stamped(first(), 3), stamped(next(), 4), false),
        ("timestamps of one", first(), stamped(next(), 3), false),
        ("SACK blocks", told(first()), told(next()), false),
        ("a text that is kept by reference", large(SHARE_MIN), after(SHARE_MIN), false),
        ("one that is not", large(SHARE_MIN - 1), after(SHARE_MIN - 1), true),
        ("a super-segment", first(), Segment { part, ..next() }, false),
        ("behind a super-segment", Segment { part, ..first() }, next(), false),
    ] {
        assert_eq!(first.may_precede(&next), is_good, "{why}");
    }
}

#[test]
fn a_train_says_what_it_stands_for_and_ends_with_a_short_segment_or_the_64th() {
    let (mut train, mut text) = (first(), BytesMut::new());
    for n in 1..TRAIN_MAX {
        let next = segment(".", SEQ.wrapping_add(n * 8), 7, 100, b"ijklmnop");
        assert!(train.may_precede(&next), "{n}");
        train.couple(&next, &mut text);
        assert_eq!((train.parts(), train.part_len(), train.text_len()), (n + 1, 8, n * 8 + 8));
        assert_eq!(train.last_seq(), SeqNumber(SEQ) + n * 8);
    }
    assert!(!train.may_precede(&segment(".", SEQ.wrapping_add(512), 7, 100, b"i")));
    let mut short = first();
    short.couple(&next(), &mut BytesMut::new());
    assert_eq!((short.parts(), short.text_len(), short.len()), (2, 12, 12));
    assert!(!short.may_precede(&segment(".", SEQ.wrapping_add(12), 7, 100, b"i")));
}

#[test]
fn a_train_of_large_segments_ends_where_its_memory_does() {
    let long = vec![0; 32_767];
    let at = |seq, len: usize| segment(".", seq, 7, 100, &long[..len]);
    let mut train = at(0, 32_767);
    train.couple(&at(32_767, 32_767), &mut BytesMut::new());
    assert!(train.may_precede(&at(65_534, 32_766)));
    train.couple(&at(65_534, 32_767), &mut BytesMut::new());
    assert!(!train.may_precede(&at(98_301, 4)) && train.may_precede(&at(98_301, 3)));
}

#[test]
fn a_train_comes_apart_into_what_was_coupled() {
    let last = segment("F.", SEQ.wrapping_add(16), 7, 100, b"q");
    let (mut train, mut text) = (first(), BytesMut::new());
    train.couple(&segment(".", SEQ.wrapping_add(8), 7, 100, b"ijklmnop"), &mut text);
    train.couple(&last, &mut text);
    assert!(train.is_train() && train.fin && train.len() == 18);
    train.join(text.freeze());
    assert!(!train.is_train(), "it is a super-segment");
    let mut apart = Vec::new();
    while let Some(first) = train.uncouple() {
        apart.push(first);
    }
    apart.push(train);
    let told: Vec<_> = apart
        .iter()
        .map(|s| ((s.seq - SeqNumber(SEQ)), &s.payload[..], s.fin, s.part, s.len()))
        .collect();
    assert_eq!(
        told,
        [
            (0, &b"abcdefgh"[..], false, None, 8),
            (8, b"ijklmnop", false, None, 8),
            (16, b"q", true, None, 2)
        ]
    );
}
