//! TCP options: what RFC 9293 §3.1 and §3.2 demand of reader and writer.

use crate::packet::Head;
use crate::wire::ParseError;
use crate::wire::tcp_options::{OPTIONS_MAX, SackBlock, TcpOptions, Timestamps};

const MSS: [u8; 4] = [2, 4, 5, 0xb4];
const WINDOW_SCALE: [u8; 3] = [3, 3, 7];
const SACK_PERMITTED: [u8; 2] = [4, 2];
const TIMESTAMPS: [u8; 10] = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
const SACK: [u8; 10] = [5, 10, 0, 0, 0, 3, 0, 0, 0, 4];

/// Every option that we know, as they stand above.
fn all_known() -> TcpOptions {
    TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 1, echo: 2 }),
        sack: [SackBlock { left: 3, right: 4 }].into_iter().collect(),
    }
}

fn mss_only() -> TcpOptions {
    TcpOptions { mss: Some(1460), ..TcpOptions::default() }
}

fn parse(pieces: &[&[u8]]) -> Result<TcpOptions, ParseError> {
    TcpOptions::parse(&pieces.concat())
}

/// All orders of `items`.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut orders = vec![vec![]];
    for item in items {
        orders = orders
            .iter()
            .flat_map(|order| {
                (0..=order.len()).map(|at| {
                    let mut longer = order.clone();
                    longer.insert(at, item.clone());
                    longer
                })
            })
            .collect();
    }
    orders
}

/// Some value of every shape that `emit` can be given: each option there or not, 0 to 4 blocks.
fn all_shapes() -> Vec<TcpOptions> {
    let blocks = (1..).map(|n| SackBlock { left: n * 0x0101_0101, right: n * 0x0101_0101 + 9 });
    let mut shapes = vec![];
    for bits in 0..16u8 {
        for count in 0..=4 {
            shapes.push(TcpOptions {
                mss: (bits & 1 > 0).then_some(536),
                window_scale: (bits & 2 > 0).then_some(14),
                sack_permitted: bits & 4 > 0,
                timestamps: (bits & 8 > 0)
                    .then_some(Timestamps { value: u32::MAX, echo: 0x8000_0000 }),
                sack: blocks.clone().take(count).collect(),
            });
        }
    }
    shapes
}

fn emit(options: &TcpOptions) -> Vec<u8> {
    let mut head = Head::new();
    options.emit(&mut head);
    head.to_vec()
}

#[test]
fn must_4_end_of_list_and_nop_and_mss_are_understood() {
    assert_eq!(parse(&[]), Ok(TcpOptions::default()));
    assert_eq!(parse(&[&[1, 1], &MSS, &[0, 0]]), Ok(mss_only()));
    // What stands behind the end is not read, be it an option or nonsense.
    assert_eq!(parse(&[&[0], &MSS]), Ok(TcpOptions::default()));
    assert_eq!(parse(&[&MSS, &[0, 2, 0]]), Ok(mss_only()));
    assert_eq!(parse(&[&MSS, &[0], &SACK_PERMITTED]), Ok(mss_only()));
}

#[test]
fn options_of_later_segments_are_read_too() {
    let sack_and_timestamps =
        TcpOptions { mss: None, window_scale: None, sack_permitted: false, ..all_known() };
    let parsed = parse(&[&[1, 1], &TIMESTAMPS, &[1, 1], &SACK]);
    assert_eq!(parsed, Ok(sack_and_timestamps));
}

#[test]
fn must_6_unknown_kinds_of_any_length_are_skipped() {
    for kind in [6, 7, 9, 19, 28, 34, 200, 253, 254, 255] {
        for len in 2..=30u8 {
            let mut unknown = vec![kind, len];
            unknown.resize(usize::from(len), 0xa5);
            let parsed = parse(&[&SACK_PERMITTED, &unknown, &MSS]);
            let expected = TcpOptions { sack_permitted: true, ..mss_only() };
            assert_eq!(parsed, Ok(expected), "kind {kind}, length {len}");
        }
    }
}

#[test]
fn must_7_an_illegal_length_is_an_error_wherever_it_stands() {
    use ParseError::{BadLength, Truncated};
    for kind in 2..=255 {
        for (len, error) in [(0, BadLength), (1, BadLength), (5, Truncated), (255, Truncated)] {
            let bad = [kind, len, 1, 1];
            assert_eq!(parse(&[&bad]), Err(error), "{bad:?}");
            assert_eq!(parse(&[&MSS, &bad]), Err(error), "{bad:?} behind MSS");
            assert_eq!(parse(&[&[1], &bad]), Err(error), "{bad:?} behind NOP");
        }
        assert_eq!(parse(&[&MSS, &[kind]]), Err(Truncated), "{kind} alone");
    }
}

#[test]
fn must_64_options_are_read_in_any_order_and_at_any_alignment() {
    let known: [&[u8]; 5] = [&MSS, &WINDOW_SCALE, &SACK_PERMITTED, &TIMESTAMPS, &SACK];
    for order in permutations(&known) {
        for nops in 0..4 {
            let fill = vec![1; nops];
            let octets = [&fill[..], &order.join(&fill[..]), &fill[..]].concat();
            assert_eq!(TcpOptions::parse(&octets), Ok(all_known()), "{octets:?}");
        }
    }
}

#[test]
fn must_68_every_option_that_leaves_has_a_length_unless_it_is_a_nop() {
    for options in all_shapes() {
        let octets = emit(&options);
        let mut rest = &octets[..];
        while let Some((&kind, after)) = rest.split_first() {
            let len = if kind == 1 { 1 } else { usize::from(after[0]) };
            assert!(kind == 1 || len >= 2, "{octets:?}");
            rest = &rest[len..]; // Panics if a length leads past the end.
        }
    }
}

#[test]
fn must_69_nothing_but_zeros_stands_behind_an_end_of_list() {
    for options in all_shapes() {
        let octets = emit(&options);
        let mut rest = &octets[..];
        while let Some((&kind, after)) = rest.split_first() {
            rest = match kind {
                0 => {
                    assert!(after.iter().all(|&octet| octet == 0), "{octets:?}");
                    break;
                }
                1 => after,
                _ => &rest[usize::from(after[0])..],
            };
        }
    }
}

#[test]
fn a_known_kind_with_a_length_of_another_is_skipped() {
    let rightful = [(2, 4), (3, 3), (4, 2), (8, 10), (5, 10), (5, 18), (5, 26), (5, 34)];
    for kind in [2, 3, 4, 5, 8] {
        for len in 2..=36u8 {
            if rightful.contains(&(kind, len)) {
                continue;
            }
            let mut wrong = vec![kind, len];
            wrong.resize(usize::from(len), 7);
            let known = [&wrong[..], &SACK_PERMITTED].concat();
            let expected = TcpOptions { sack_permitted: true, ..TcpOptions::default() };
            assert_eq!(TcpOptions::parse(&known), Ok(expected), "{wrong:?}");
        }
    }
}

#[test]
fn of_a_repeated_option_the_last_one_counts() {
    assert_eq!(parse(&[&[2, 4, 0, 1], &MSS]), Ok(mss_only()));
    let known: [&[u8]; 5] = [&MSS, &WINDOW_SCALE, &SACK_PERMITTED, &TIMESTAMPS, &SACK];
    let others: [&[u8]; 5] = [
        &[2, 4, 0, 0],
        &[3, 3, 255],
        &[4, 2],
        &[8, 10, 9, 9, 9, 9, 9, 9, 9, 9],
        &[5, 18, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
    ];
    assert_eq!(parse(&[&others.concat(), &known.concat()]), Ok(all_known()));
    // A second one that is not valid does not take the first away.
    assert_eq!(parse(&[&MSS, &[2, 3, 9]]), Ok(mss_only()));
}

#[test]
fn values_are_taken_as_they_stand() {
    let parsed = parse(&[&[2, 4, 0, 0, 3, 3, 255]]).unwrap();
    assert_eq!((parsed.mss, parsed.window_scale), (Some(0), Some(255)));
}

#[test]
fn one_to_four_sack_blocks_are_read_in_their_order() {
    for count in 1..=4u8 {
        let mut octets = vec![5, 2 + 8 * count];
        octets.extend((0..8 * count).map(|n| n + 1));
        let parsed = TcpOptions::parse(&octets).unwrap();
        assert_eq!(parsed.sack.len(), usize::from(count));
        let first = SackBlock { left: 0x0102_0304, right: 0x0506_0708 };
        assert_eq!(parsed.sack[0], first);
    }
}

#[test]
fn what_is_emitted_is_read_as_what_it_was() {
    for options in all_shapes() {
        let octets = emit(&options);
        let parsed = TcpOptions::parse(&octets).unwrap();
        let expected = TcpOptions { sack: parsed.sack.clone(), ..options.clone() };
        assert_eq!(parsed, expected);
        assert!(options.sack.starts_with(&parsed.sack), "{options:?}");
    }
}

#[test]
fn every_combination_fits_a_header_and_is_as_long_as_foretold() {
    for options in all_shapes() {
        let octets = emit(&options);
        assert_eq!(octets.len(), options.len(), "{options:?}");
        assert_eq!(octets.len() % 4, 0, "{options:?}");
        assert!(octets.len() <= OPTIONS_MAX, "{options:?}");
    }
}

#[test]
fn as_many_sack_blocks_leave_as_there_is_room_for() {
    for options in all_shapes() {
        let without_sack = TcpOptions { sack: arrayvec::ArrayVec::new(), ..options.clone() };
        let room = (OPTIONS_MAX - emit(&without_sack).len() - 4) / 8;
        let left = TcpOptions::parse(&emit(&options)).unwrap().sack.len();
        assert_eq!(left, options.sack.len().min(room), "{options:?}");
    }
}

#[test]
fn beside_timestamps_three_sack_blocks_leave_and_alone_four() {
    let blocks = [SackBlock { left: 1, right: 2 }; 4];
    let alone = TcpOptions { sack: blocks.into(), ..TcpOptions::default() };
    let with_timestamps = TcpOptions { timestamps: Some(Timestamps::default()), ..alone.clone() };
    assert_eq!((alone.len(), with_timestamps.len()), (36, 40));
    let parsed = TcpOptions::parse(&emit(&with_timestamps)).unwrap();
    assert_eq!((parsed.sack.len(), parsed.timestamps), (3, with_timestamps.timestamps));
}
