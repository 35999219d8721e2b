//! Every segment in every state: SEGMENT ARRIVES (RFC 9293 §3.10.7) as a matrix.
//!
//! A cell is a state, the control bits of a segment, the places of its sequence and acknowledgment
//! numbers, and whether it has an octet of text. Each is set up in a fresh stack by a packet
//! script, then the segment arrives; what leaves at once, the silence after it, the state and what
//! the application finds must be what the [`oracle`] has from the RFC.

mod cell;
mod oracle;
mod rows;
mod scene;
mod subject;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use self::cell::Seg;
use self::oracle::Expected;
use self::rows::Row;
use self::scene::{Scene, State, Variant};
use self::subject::Got;

/// Both wrap: SND.UNA and RCV.NXT lie before it or right behind it.
const WRAPS: Variant = Variant { our_iss: u32::MAX - 15, peer_iss: u32::MAX - 19, is_shut: false };

/// The receive window lies across the wrap, what is sent across the middle of the space.
const WINDOW_WRAPS: Variant =
    Variant { our_iss: (1 << 31) - 15, peer_iss: u32::MAX - 2000, is_shut: false };

/// Our receive window is shut, and wraps.
const SHUT: Variant = Variant { our_iss: 3_000_000, peer_iss: u32::MAX - 2047, is_shut: true };

/// Failing cells that are shown of a state.
const SHOWN_MAX: usize = 10;

/// Plays every cell of a state, and gives the differences that were met.
fn play_state(state: State, variants: &[Variant]) -> BTreeSet<Row> {
    let mut rows = BTreeSet::new();
    let (mut failed, mut cells) = (0, 0);
    let mut shown = String::new();
    for &variant in variants {
        let Some(scene) = Scene::new(state, variant) else { continue };
        for seg in cell::segments(scene.numbers) {
            let expected = oracle::expect(&scene, &seg);
            let got = subject::play(scene.set(), variant, state, &seg);
            cells += 1;
            rows.extend(&expected.rows);
            if is_as_expected(&expected, &got, variant) {
                continue;
            }
            failed += 1;
            if failed <= SHOWN_MAX {
                show(&mut shown, (state, variant), &seg, &expected, &got);
            }
        }
    }
    assert!(failed == 0, "{failed} of {cells} cells of {state:?} differ:\n{shown}");
    assert!(cells > 50, "{state:?} has {cells} cells");
    rows
}

fn is_as_expected(expected: &Expected, got: &Got, variant: Variant) -> bool {
    subject::is_reply(got, expected.reply, variant)
        && got.state == expected.state
        && got.app == expected.app
}

fn show(
    shown: &mut String,
    (state, variant): (State, Variant),
    seg: &Seg,
    expected: &Expected,
    got: &Got,
) {
    let Expected { reply, state: next, app, rows } = expected;
    let segments = |segments: &[wharf::sim::craft::TcpSegment]| {
        let show = |segment: &wharf::sim::craft::TcpSegment| {
            let seq = segment.seq.wrapping_sub(variant.our_iss).cast_signed();
            let ack = segment.ack.wrapping_sub(variant.peer_iss).cast_signed();
            format!("flags {:#04x} seq {seq} ack {ack}", segment.flags.bits())
        };
        segments.iter().map(show).collect::<Vec<_>>().join(", ")
    };
    let (now, later) = (segments(&got.at_once), segments(&got.later));
    writeln!(
        shown,
        "  {state:?} ({variant:?}): {seg}\n    expected {reply:?}, {next:?}, {app:?} {rows:?}\n    \
         got [{now}], later [{later}], {:?}, {:?}",
        got.state, got.app
    )
    .expect("a String takes all");
}

/// A test for each state, so that they run side by side, and each difference that its cells meet.
macro_rules! states {
    ($($name:ident: $state:ident meets [$($row:ident),*];)*) => {
        $(
            #[test]
            fn $name() {
                let rows = play_state(State::$state, &[WRAPS, WINDOW_WRAPS, SHUT]);
                assert_eq!(rows, BTreeSet::from([$(Row::$row),*]));
            }
        )*

        #[test]
        fn every_difference_is_met_by_a_cell() {
            let met = BTreeSet::from([$($(Row::$row,)*)*]);
            assert_eq!(met, BTreeSet::from(Row::EVERY));
        }
    };
}

states! {
    every_segment_in_closed_is_answered_as_3_10_7_1_says: Closed meets [];
    every_segment_in_listen_is_answered_as_3_10_7_2_says: Listen meets [SynFin];
    every_segment_in_syn_sent_is_answered_as_3_10_7_3_says: SynSent meets [];
    every_segment_in_syn_received_after_a_passive_open_is_answered_as_3_10_7_4_says:
        SynReceivedPassive meets [SynInSynReceived, SynAgain];
    every_segment_in_syn_received_after_an_active_open_is_answered_as_3_10_7_4_says:
        SynReceivedActive meets [SynAgain, Figure7];
    every_segment_in_established_is_answered_as_3_10_7_4_says:
        Established meets [FinAtShutWindow, AckOfRefused];
    every_segment_in_fin_wait_1_is_answered_as_3_10_7_4_says:
        FinWait1 meets [FinAtShutWindow, AckOfRefused];
    every_segment_in_fin_wait_2_is_answered_as_3_10_7_4_says:
        FinWait2 meets [FinAtShutWindow, AckOfRefused];
    every_segment_in_close_wait_is_answered_as_3_10_7_4_says:
        CloseWait meets [FinAtShutWindow, AckOfRefused, ResetAfterFin, SecondFin];
    every_segment_in_closing_is_answered_as_3_10_7_4_says:
        Closing meets [FinAtShutWindow, AckOfRefused, SecondFin];
    every_segment_in_last_ack_is_answered_as_3_10_7_4_says:
        LastAck meets [FinAtShutWindow, AckOfRefused, SecondFin];
    every_segment_in_time_wait_is_answered_as_3_10_7_4_says:
        TimeWait meets [SynFin, FinAtShutWindow, Assassination, Reopened, TimeWaitAnswers];
}
