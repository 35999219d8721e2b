//! SYN-RECEIVED after a passive open: what is answered, how often, and what it leads to.

use super::*;
use crate::options::SocketOptions;
use crate::tcp::config::TcpConfig;
use crate::tcp::negotiated::Scaling;
use crate::tcp::tests::segment;
use crate::tcp::timestamps::TimestampClock;
use crate::wire::tcp_options::Timestamps;

const ISS: u32 = u32::MAX; // Our first octet stands behind the wrap.
const IRS: u32 = u32::MAX - 100; // The window wraps.
const NXT: u32 = IRS + 1;
const TS: u32 = u32::MAX; // So does our timestamp clock.
const BUFFER: u32 = 256 << 10; // A shift of 3.
const SYN_ACK: TcpFlags = TcpFlags::SYN.with(TcpFlags::ACK);

fn seconds(count: u64) -> Instant {
    Instant::from_millis(count * 1000)
}

fn scale(shift: u8) -> TcpOptions {
    TcpOptions { window_scale: Some(shift), ..TcpOptions::default() }
}

fn syn(options: TcpOptions) -> Segment {
    Segment { options, ..segment("S", IRS, 0, 4000, b"") }
}

/// A SYN has come; nothing has left.
fn fresh(config: &TcpConfig, options: TcpOptions, buffer: u32) -> HalfOpen {
    let socket = SocketOptions { receive_buffer: buffer, ..SocketOptions::default() };
    let offer = Offer::new(config, 1500, &socket, TimestampClock::new(TS));
    let retries_max = config.syn_ack_retries;
    HalfOpen::new(Instant::ZERO, &syn(options), SeqNumber(ISS), offer, buffer, retries_max)
}

/// A SYN with these options has been answered.
fn answered(options: TcpOptions) -> HalfOpen {
    let mut half_open = fresh(&TcpConfig::default(), options, BUFFER);
    assert!(half_open.transmit(Instant::ZERO).is_some());
    half_open
}

fn arrive(half_open: &mut HalfOpen, flags: &str, seq: u32, ack: u32, text: &[u8]) -> Verdict {
    half_open.receive(Instant::ZERO, &segment(flags, seq, ack, 1000, text))
}

/// What leaves, as flags, SEG.SEQ and SEG.ACK; and nothing leaves after it.
fn leaves(half_open: &mut HalfOpen) -> Option<(TcpFlags, u32, u32)> {
    let plan = half_open.transmit(Instant::ZERO)?;
    assert!(half_open.transmit(Instant::ZERO).is_none(), "one segment is owed, not two");
    Some((plan.flags, plan.seq.0, plan.ack.0))
}

fn opened(verdict: Verdict) -> Opened {
    match verdict {
        Verdict::Opened(opened) => opened,
        other => panic!("not opened but {other:?}"),
    }
}

#[test]
fn a_syn_is_answered_once_and_the_window_of_the_answer_is_not_scaled() {
    for (buffer, window) in
        [(2048, 2048), (65_535, 65_535), (65_536, 65_535), (BUFFER, 65_535), (1 << 30, 65_535)]
    {
        let mut half_open = fresh(&TcpConfig::default(), scale(7), buffer);
        let plan = half_open.transmit(Instant::ZERO).unwrap();
        assert_eq!((plan.flags, plan.seq.0, plan.ack.0), (SYN_ACK, ISS, NXT));
        assert_eq!((plan.window, plan.text_len()), (window, 0), "{buffer}");
        assert!(half_open.transmit(Instant::ZERO).is_none());
    }
}

#[test]
fn an_option_is_answered_only_if_it_was_offered_and_is_on() {
    let on = TcpConfig::default();
    let off =
        TcpConfig { window_scale: false, sack: false, timestamps: false, ..TcpConfig::default() };
    let none = TcpOptions::default();
    let sack = TcpOptions { sack_permitted: true, ..none.clone() };
    let timestamps = |value, echo| Some(Timestamps { value, echo });
    let time = TcpOptions { timestamps: timestamps(1, 0), ..none.clone() };
    let all = TcpOptions { window_scale: Some(9), timestamps: timestamps(0, 5), ..sack.clone() };
    for (config, theirs, answer) in [
        (&on, &none, &none),
        (&on, &scale(0), &scale(3)),
        (&on, &scale(14), &scale(3)),
        (&on, &sack, &sack),
        (&on, &time, &TcpOptions { timestamps: timestamps(TS, 1), ..none.clone() }),
        (
            &on,
            &all,
            &TcpOptions { timestamps: timestamps(TS, 0), sack_permitted: true, ..scale(3) },
        ),
        (&off, &all, &none),
    ] {
        let expected = TcpOptions { mss: Some(1460), ..answer.clone() };
        let plan = fresh(config, theirs.clone(), BUFFER).transmit(Instant::ZERO).unwrap();
        assert_eq!(plan.options, expected, "{theirs:?}");
    }
}

#[test]
fn the_answer_leaves_again_after_1_3_7_15_and_31_seconds_and_after_63_all_is_over() {
    let mut half_open = answered(scale(7));
    for at in [1, 3, 7, 15, 31] {
        assert_eq!(half_open.deadline(), seconds(at));
        assert!(half_open.on_timeout(Instant::from_millis(at * 1000 - 1)));
        assert_eq!(leaves(&mut half_open), None);
        assert!(half_open.on_timeout(seconds(at)));
        assert_eq!(leaves(&mut half_open), Some((SYN_ACK, ISS, NXT)), "at {at} s");
    }
    assert_eq!(half_open.deadline(), seconds(63));
    assert!(!half_open.on_timeout(seconds(63)));
    assert_eq!(leaves(&mut half_open), None);
}

#[test]
fn without_retries_the_first_timeout_ends_it() {
    let config = TcpConfig { syn_ack_retries: 0, ..TcpConfig::default() };
    assert!(!fresh(&config, TcpOptions::default(), BUFFER).on_timeout(seconds(1)));
}

#[test]
fn must_11_a_reset_at_rcv_nxt_ends_a_passive_open_in_silence_and_any_other_does_not() {
    for flags in ["R", "R."] {
        let mut half_open = answered(scale(7));
        let verdict = arrive(&mut half_open, flags, NXT, ISS.wrapping_add(1), b"");
        assert!(matches!(verdict, Verdict::Forget), "{verdict:?}");
        assert_eq!(leaves(&mut half_open), None);
    }
    for offset in [1, 100, 101, 65_534] {
        let mut half_open = answered(scale(7));
        let verdict = arrive(&mut half_open, "R", NXT.wrapping_add(offset), 0, b"");
        assert!(matches!(verdict, Verdict::Stay), "{offset}: {verdict:?}");
        let challenge = (TcpFlags::ACK, ISS.wrapping_add(1), NXT);
        assert_eq!(leaves(&mut half_open), Some(challenge), "RFC 5961 §3.2: {offset}");
    }
    for (offset, reason) in [
        (65_535, DropReason::AboveWindow),
        (1 << 30, DropReason::AboveWindow),
        (u32::MAX, DropReason::BelowWindow),
        (u32::MAX - 65_535, DropReason::BelowWindow),
    ] {
        let mut half_open = answered(scale(7));
        let verdict = arrive(&mut half_open, "R", NXT.wrapping_add(offset), 0, b"");
        assert!(matches!(verdict, Verdict::Drop(why) if why == reason), "{offset}: {verdict:?}");
        assert_eq!(leaves(&mut half_open), None, "{offset}");
    }
}

#[test]
fn the_same_syn_again_is_answered_by_the_same_syn_ack_and_another_by_an_ack() {
    let mut half_open = answered(scale(7));
    assert!(matches!(arrive(&mut half_open, "S", IRS, 0, b""), Verdict::Stay));
    assert_eq!(leaves(&mut half_open), Some((SYN_ACK, ISS, NXT)));
    assert_eq!(half_open.deadline(), seconds(1), "the timer goes on as it was");
    arrive(&mut half_open, "S", IRS, 0, b"");
    assert_eq!(leaves(&mut half_open), None, "a second one at once");
    let half_open = answered(scale(7));
    for (flags, seq) in [("S", IRS - 1), ("S", NXT), ("S", NXT + 5), ("S.", IRS), ("S.", NXT)] {
        let mut half_open = half_open.clone();
        let verdict = arrive(&mut half_open, flags, seq, ISS.wrapping_add(1), b"");
        assert!(matches!(verdict, Verdict::Stay), "{flags} {seq}: {verdict:?}");
        let ack = (TcpFlags::ACK, ISS.wrapping_add(1), NXT);
        assert_eq!(leaves(&mut half_open), Some(ack), "{flags} {seq}");
        arrive(&mut half_open, flags, seq, ISS.wrapping_add(1), b"");
        assert_eq!(leaves(&mut half_open), None, "{flags} {seq}: a second one at once");
    }
}

#[test]
fn an_ack_of_something_else_is_reset_where_its_sender_stands_and_the_open_goes_on() {
    let mut half_open = answered(scale(7));
    for ack in [ISS, ISS.wrapping_add(2), ISS - 1, ISS ^ (1 << 31)] {
        for flags in [".", "P.", "F."] {
            let Verdict::Answer(reset) = arrive(&mut half_open, flags, NXT, ack, b"x") else {
                panic!("{flags} {ack} is not answered");
            };
            assert_eq!((reset.flags, reset.seq.0), (TcpFlags::RST, ack));
            assert_eq!(leaves(&mut half_open), None);
        }
    }
    opened(arrive(&mut half_open, ".", NXT, ISS.wrapping_add(1), b""));
}

#[test]
fn a_segment_without_an_ack_is_dropped_in_silence() {
    let mut half_open = answered(scale(7));
    for flags in ["", "P", "F"] {
        let verdict = arrive(&mut half_open, flags, NXT, 0, b"x");
        assert!(matches!(verdict, Verdict::Drop(DropReason::NoAck)), "{flags}: {verdict:?}");
        assert_eq!(leaves(&mut half_open), None);
    }
}

#[test]
fn what_starts_outside_of_the_window_opens_nothing_and_is_told_where_we_stand() {
    for offset in [65_535, 65_536, 1 << 30, u32::MAX, u32::MAX - 65_535] {
        let mut half_open = answered(scale(7));
        let seq = NXT.wrapping_add(offset);
        let verdict = arrive(&mut half_open, ".", seq, ISS.wrapping_add(1), b"");
        assert!(matches!(verdict, Verdict::Stay), "{offset}: {verdict:?}");
        let ack = (TcpFlags::ACK, ISS.wrapping_add(1), NXT);
        assert_eq!(leaves(&mut half_open), Some(ack), "{offset}");
    }
}

#[test]
fn the_window_of_an_ack_is_scaled_if_both_sides_scale() {
    for (options, window) in [(scale(7), 65_535 >> 3), (TcpOptions::default(), 65_535)] {
        let mut half_open = answered(options);
        arrive(&mut half_open, "R", NXT + 1, 0, b"");
        assert_eq!(half_open.transmit(Instant::ZERO).unwrap().window, window);
    }
}

#[test]
fn the_ack_of_our_syn_opens_with_what_both_sides_have_said() {
    let round_trip = Duration::from_millis(30);
    for (options, window, scaling) in
        [(scale(7), 1000 << 7, Some(Scaling::new(7, 3))), (TcpOptions::default(), 1000, None)]
    {
        let mut half_open = answered(TcpOptions { mss: Some(1000), ..options });
        let ack = segment(".", NXT, ISS.wrapping_add(1), 1000, b"");
        let opened = opened(half_open.receive(Instant::ZERO + round_trip, &ack));
        assert_eq!((opened.iss.0, opened.irs.0), (ISS, IRS));
        assert_eq!((opened.window, opened.offered), (window, 65_535));
        let from = (SeqNumber(NXT), SeqNumber(ISS) + 1);
        assert_eq!((opened.window_from, opened.rtt), (from, Some(round_trip)));
        let agreed = Negotiated {
            send_mss: 1000,
            receive_mss: 1460,
            scaling,
            sack: false,
            timestamps: false,
        };
        assert_eq!(opened.agreed, agreed);
    }
}

#[test]
fn text_and_fin_open_too_wherever_in_the_window_they_are() {
    for (flags, offset) in [("P.", 0), ("F.", 0), ("FP.", 1), (".", 65_534)] {
        let seq = NXT.wrapping_add(offset);
        opened(arrive(&mut answered(scale(7)), flags, seq, ISS.wrapping_add(1), b"text"));
    }
}

#[test]
fn no_round_trip_is_measured_on_an_answer_that_left_twice() {
    let mut half_open = answered(scale(7));
    let mut asked_again = half_open.clone();
    arrive(&mut asked_again, "S", IRS, 0, b"");
    half_open.on_timeout(seconds(1));
    for mut half_open in [half_open, asked_again] {
        assert_eq!(leaves(&mut half_open), Some((SYN_ACK, ISS, NXT)));
        let opened = opened(arrive(&mut half_open, ".", NXT, ISS.wrapping_add(1), b""));
        assert_eq!(opened.rtt, None);
    }
}

#[test]
fn the_reset_of_an_open_that_nobody_will_accept_stands_where_the_peer_expects_it() {
    let reset = answered(scale(7)).abort(Instant::ZERO);
    let flags = TcpFlags::RST.with(TcpFlags::ACK);
    assert_eq!((reset.flags, reset.seq.0, reset.ack.0), (flags, ISS.wrapping_add(1), NXT));
}

#[test]
fn a_challenge_does_not_take_the_place_of_an_answer_that_is_owed() {
    let mut half_open = fresh(&TcpConfig::default(), scale(7), 65_535);
    arrive(&mut half_open, "R", NXT.wrapping_add(1), 0, b"");
    assert_eq!(leaves(&mut half_open), Some((SYN_ACK, ISS, NXT)));
}

/// RFC 7323 §5.3: also before the handshake is through. What is newer counts at the one place that
/// our SYN-ACK has acknowledged, and on the SYN itself.
#[test]
fn an_old_timestamp_opens_nothing() {
    let stamped = |flags, seq, ack, value| {
        let timestamps = Some(Timestamps { value, echo: 0 });
        let options = TcpOptions { timestamps, ..scale(7) };
        Segment { options, ..segment(flags, seq, ack, 1000, b"") }
    };
    let una = ISS.wrapping_add(1);
    for (flags, seq, recent) in [("S", IRS, 20), (".", NXT, 20), (".", NXT + 1, 10)] {
        let mut half_open = answered(stamped("S", IRS, 0, 10).options);
        half_open.receive(Instant::ZERO, &stamped(flags, seq, una.wrapping_add(9), 20));
        let reset = half_open.abort(Instant::ZERO);
        assert_eq!(reset.options.timestamps.unwrap().echo, recent, "{flags} {seq}");
        leaves(&mut half_open);
        let verdict = half_open.receive(seconds(1), &stamped(".", NXT, una, recent - 1));
        assert!(matches!(verdict, Verdict::Stay), "{flags} {seq}: {verdict:?}");
        assert_eq!(leaves(&mut half_open), Some((TcpFlags::ACK, una, NXT)));
        let verdict = half_open.receive(seconds(1), &stamped(".", NXT, una, recent));
        assert!(opened(verdict).timestamps.is_some());
    }
}

#[test]
fn an_icmp_error_is_about_our_syn_or_an_acknowledgment_behind_it() {
    let half_open = answered(scale(7));
    for (offset, is_ours) in [(0, true), (1, true), (2, false), (u32::MAX, false)] {
        assert_eq!(half_open.has_sent(SeqNumber(ISS) + offset), is_ours, "{offset}");
    }
}
