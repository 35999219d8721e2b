//! Which segments are predicted, and that each leaves a connection as the steps leave it.

use std::sync::Arc;

use bytes::BytesMut;

use super::*;
use crate::options::SocketOptions;
use crate::tcp::MtuProbing;
use crate::tcp::config::TcpConfig;
use crate::tcp::connection::Opened;
use crate::tcp::negotiated::Negotiated;
use crate::tcp::pmtu::{Path, PathLimit};
use crate::tcp::segment::SegmentPlan;
use crate::tcp::tests::segment;
use crate::tcp::timestamps::{TimestampClock, Timestamping};
use crate::time::Duration;
use crate::wire::tcp_options::{SackBlock, Timestamps};

const UNA: u32 = u32::MAX - 500; // What is in flight lies across the wrap.
const NXT: u32 = u32::MAX - 100; // So does the receive window.
const SENT: u32 = 3000;
const OFFERED: u32 = 65_535;
const WINDOW: u16 = 20_000;
const TS: u32 = 100;

fn now() -> Instant {
    Instant::from_millis(10)
}

/// When what is tested arrives: what is counted from then on must say so.
fn arrival() -> Instant {
    now() + Duration::from_millis(7)
}

/// A connection with three segments in flight.
fn connection(predicts: bool) -> Connection {
    let config = TcpConfig { header_prediction: predicts, ..TcpConfig::default() };
    let agreed = Negotiated {
        send_mss: 1012,
        receive_mss: 1012,
        scaling: None,
        sack: true,
        timestamps: true,
    };
    let (una, nxt) = (SeqNumber(UNA), SeqNumber(NXT));
    let opened = Opened {
        iss: una - 1,
        irs: nxt - 1,
        agreed,
        window: WINDOW.into(),
        window_from: (nxt, una),
        offered: OFFERED,
        timestamps: Some(Timestamping::new(Instant::ZERO, TimestampClock::new(0), TS, nxt)),
        rtt: Some(Duration::from_millis(5)),
        was_sent_again: false,
    };
    let path = Path { mtu: 1500, until: None, generation: 0 };
    let options = Arc::new(SocketOptions::default());
    let mut open = Connection::new(Instant::ZERO, &config, &options, &opened, path);
    open.write(&[7; SENT as usize], false);
    let sent: u32 = leaves(&mut open).iter().map(SegmentPlan::text_len).sum();
    assert_eq!(sent, SENT);
    open
}

fn leaves(open: &mut Connection) -> Vec<SegmentPlan> {
    std::iter::from_fn(|| open.transmit(now(), true, 0)).collect()
}

/// A segment `seq` octets right of RCV.NXT that acknowledges `ack` octets.
fn seg(flags: &str, seq: u32, ack: u32, text: usize) -> Segment {
    let (seq, ack) = (NXT.wrapping_add(seq), UNA.wrapping_add(ack));
    let mut segment = segment(flags, seq, ack, WINDOW, &vec![1; text]);
    segment.options.timestamps = Some(Timestamps { value: TS + 1, echo: 3 });
    segment
}

/// Whether `segment` is predicted once `prepare` has been done; whichever way it goes, all is the
/// same afterwards.
fn is_predicted(prepare: impl Fn(&mut Connection), segment: &Segment) -> bool {
    let after = |predicts| {
        let mut open = connection(predicts);
        prepare(&mut open);
        let outcome = open.receive(arrival(), segment, true);
        open.check();
        open.predicts = true; // Nothing else may differ.
        let stands = format!("{outcome:?} {open:?} {:?}", open.deadline());
        (stands, format!("{:?} {open:?}", leaves(&mut open)))
    };
    assert_eq!(after(true), after(false), "{segment:?}");
    let mut open = connection(true);
    prepare(&mut open);
    open.receive_predicted(arrival(), segment).is_some()
}

#[test]
fn the_next_text_and_a_new_acknowledgment_are_predicted_and_nothing_else() {
    let window = |window| Segment { window, ..seg(".", 0, 0, 100) };
    let timestamps = |value| {
        let mut segment = seg(".", 0, 0, 100);
        segment.options.timestamps = value;
        segment
    };
    let mut sack = seg(".", 0, 1000, 0);
    let (left, right) = (UNA.wrapping_add(2000), UNA.wrapping_add(2100));
    sack.options.sack.push(SackBlock { left, right });
    let urgent = Segment { urgent: Some(1), ..seg(".", 0, 0, 100) };
    for (what, segment, expected) in [
        ("text", seg(".", 0, 0, 100), true),
        ("text that is pushed", seg("P.", 0, 0, 1), true),
        ("text that fills the window", seg(".", 0, 0, OFFERED as usize), true),
        ("an acknowledgment", seg(".", 0, 1000, 0), true),
        ("one of part of a segment", seg(".", 0, 1, 0), true),
        ("one of all", seg(".", 0, SENT, 0), true),
        ("text with an acknowledgment", seg("P.", 0, SENT, 500), true),
        ("another window", window(WINDOW + 1), true),
        ("no timestamps", timestamps(None), true),
        ("a duplicate acknowledgment", seg(".", 0, 0, 0), false),
        ("an acknowledgment of what was not sent", seg(".", 0, SENT + 1, 100), false),
        ("one left of SND.UNA", seg(".", 0, u32::MAX, 100), false),
        ("early text", seg(".", 1, 0, 100), false),
        ("old text", seg(".", u32::MAX, 0, 100), false),
        ("text past the window", seg(".", 0, 0, OFFERED as usize + 1), false),
        ("a FIN", seg("F.", 0, 0, 100), false),
        ("a SYN", seg("S.", 0, 0, 100), false),
        ("an RST", seg("R.", 0, 0, 100), false),
        ("no ACK", seg("P", 0, 0, 100), false),
        ("urgent data", urgent, false),
        ("a SACK block", sack, false),
        ("a shut window", window(0), false),
        ("an old timestamp", timestamps(Some(Timestamps { value: TS - 1, echo: 0 })), false),
    ] {
        assert_eq!(is_predicted(|_| {}, &segment), expected, "{what}");
    }
}

#[test]
fn text_kept_by_reference_and_a_train_are_taken_as_the_steps_take_them() {
    assert!(is_predicted(|_| {}, &seg(".", 0, 0, 40_000)));
    let mut train = seg(".", 0, 1000, 500);
    let mut text = BytesMut::new();
    train.couple(&seg(".", 500, 1000, 500), &mut text);
    train.couple(&seg(".", 1000, 1000, 20), &mut text);
    train.join(text.freeze());
    assert!(is_predicted(|_| {}, &train));
}

#[test]
fn a_connection_on_which_something_is_amiss_predicts_nothing_that_bears_on_it() {
    type Prepare = fn(&mut Connection);
    let rows: [(&str, Prepare, [bool; 2]); 7] = [
        ("a hole", |open| arrive(open, &seg(".", 50, 0, 10)), [false; 2]),
        ("CLOSE", Connection::shutdown_write, [false; 2]),
        ("a FIN behind a hole", |open| arrive(open, &seg("F.", 500, 0, 10)), [false; 2]),
        ("duplicates", |open| arrive(open, &seg(".", 0, 0, 0)), [true, false]),
        ("a time-out", time_out, [true, false]),
        ("urgent data", write_urgent, [false; 2]),
        ("a search for the path's MTU", search, [true, false]),
    ];
    for (what, prepare, [text, ack]) in rows {
        assert_eq!(is_predicted(prepare, &seg(".", 0, 0, 100)), text, "{what}: text");
        assert_eq!(is_predicted(prepare, &seg(".", 0, 1000, 0)), ack, "{what}: acknowledgment");
    }
}

fn arrive(open: &mut Connection, segment: &Segment) {
    assert!(open.receive(now(), segment, true).is_ok());
}

fn write_urgent(open: &mut Connection) {
    assert_eq!(open.write_urgent(b"!"), Some(1));
}

fn search(open: &mut Connection) {
    let config = TcpConfig { mtu_probing: MtuProbing::Always, ..TcpConfig::default() };
    let path = Path { mtu: 1500, until: None, generation: 0 };
    open.path = PathLimit::new(&config, 1460, path, SeqNumber(UNA));
}

fn time_out(open: &mut Connection) {
    let due = open.deadline().expect("the retransmission timer runs");
    assert!(open.on_timeout(due).timed_out);
}
