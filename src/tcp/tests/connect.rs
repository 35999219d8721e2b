//! SYN-SENT, and SYN-RECEIVED after a simultaneous open.

use super::*;
use crate::tcp::negotiated::Scaling;
use crate::tcp::tests::segment;
use crate::tcp::timestamps::TimestampClock;
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::Timestamps;

const ISS: u32 = u32::MAX; // Our first octet stands behind the wrap.
const UNA: u32 = 0;
const IRS: u32 = u32::MAX - 100; // The window wraps.
const NXT: u32 = IRS + 1;
const TS: u32 = u32::MAX; // So does our timestamp clock.
const BUFFER: u32 = 256 << 10; // A shift of 3.
const SYN_ACK: TcpFlags = TcpFlags::SYN.with(TcpFlags::ACK);
const ACK_OF_SYN: (TcpFlags, u32, u32) = (TcpFlags::ACK, UNA, NXT);

fn seconds(count: u64) -> Instant {
    Instant::from_millis(count * 1000)
}

fn scale(shift: u8) -> TcpOptions {
    TcpOptions { window_scale: Some(shift), ..TcpOptions::default() }
}

/// Nothing has left.
fn fresh(config: &TcpConfig, iss: u32, buffer: u32) -> Connecting {
    let options = SocketOptions { receive_buffer: buffer, ..SocketOptions::default() };
    let offer = Offer::new(config, 1500, &options, TimestampClock::new(TS));
    let offered = (offer, options.receive_buffer);
    Connecting::new(Instant::ZERO, config, SeqNumber(iss), offered, &options)
}

/// Our SYN has left: SYN-SENT.
fn syn_sent() -> Connecting {
    let mut connecting = fresh(&TcpConfig::default(), ISS, BUFFER);
    assert!(connecting.transmit(Instant::ZERO).is_some());
    assert_eq!(connecting.tcp_state(), TcpState::SynSent);
    connecting
}

/// A SYN with these options has crossed ours: SYN-RECEIVED.
fn crossed(options: TcpOptions) -> Connecting {
    let mut connecting = syn_sent();
    let syn = Segment { options, ..segment("S", IRS, 0, 4000, b"") };
    assert!(matches!(connecting.receive(Instant::ZERO, &syn), Verdict::Stay));
    assert_eq!(leaves(&mut connecting), Some((SYN_ACK, ISS, NXT)), "MUST-10: the same ISN");
    assert_eq!(connecting.tcp_state(), TcpState::SynReceived);
    connecting
}

fn arrive(connecting: &mut Connecting, flags: &str, seq: u32, ack: u32, text: &[u8]) -> Verdict {
    connecting.receive(Instant::ZERO, &segment(flags, seq, ack, 1000, text))
}

/// What leaves, as flags, SEG.SEQ and SEG.ACK; and nothing leaves after it.
fn leaves(connecting: &mut Connecting) -> Option<(TcpFlags, u32, u32)> {
    let plan = connecting.transmit(Instant::ZERO)?;
    assert!(connecting.transmit(Instant::ZERO).is_none(), "one segment is owed, not two");
    Some((plan.flags, plan.seq.0, plan.ack.0))
}

fn opened(verdict: Verdict) -> Opened {
    match verdict {
        Verdict::Opened(opened) => opened,
        other => panic!("not opened but {other:?}"),
    }
}

/// A segment that has left, as it arrives.
fn delivered(plan: SegmentPlan) -> Segment {
    let header = TcpHeader {
        source_port: 1,
        destination_port: 2,
        seq: plan.seq.0,
        ack: plan.ack.0,
        flags: plan.flags,
        window: plan.window,
        urgent: 0,
    };
    Segment::new(&header, plan.options, bytes::Bytes::new())
}

#[test]
fn a_syn_leaves_once_and_its_window_is_not_scaled() {
    for (buffer, window, shift) in
        [(2048, 2048, 0), (65_535, 65_535, 0), (65_536, 65_535, 1), (1 << 30, 65_535, 14)]
    {
        let mut connecting = fresh(&TcpConfig::default(), ISS, buffer);
        let plan = connecting.transmit(Instant::ZERO).unwrap();
        assert_eq!((plan.flags, plan.seq.0, plan.ack.0), (TcpFlags::SYN, ISS, 0));
        assert_eq!((plan.window, plan.text_len()), (window, 0), "{buffer}");
        let timestamps = Some(Timestamps { value: TS, echo: 0 });
        let options =
            TcpOptions { mss: Some(1460), sack_permitted: true, timestamps, ..scale(shift) };
        assert_eq!(plan.options, options, "{buffer}");
        assert!(connecting.transmit(Instant::ZERO).is_none());
    }
    let off =
        TcpConfig { window_scale: false, sack: false, timestamps: false, ..TcpConfig::default() };
    let plan = fresh(&off, ISS, BUFFER).transmit(Instant::ZERO).unwrap();
    assert_eq!(plan.options, TcpOptions { mss: Some(1460), ..TcpOptions::default() });
}

#[test]
fn must_22_a_syn_leaves_again_after_1_3_7_15_31_63_and_123_seconds() {
    let mut connecting = syn_sent();
    for at in [1, 3, 7, 15, 31, 63, 123] {
        assert_eq!(connecting.deadline(), seconds(at));
        assert!(connecting.on_timeout(Instant::from_millis(at * 1000 - 1)));
        assert_eq!(leaves(&mut connecting), None);
        assert!(connecting.on_timeout(seconds(at)));
        assert_eq!(leaves(&mut connecting), Some((TcpFlags::SYN, ISS, 0)), "at {at} s");
    }
}

#[test]
fn must_23_an_open_goes_on_for_three_minutes_by_default_and_no_longer() {
    let mut connecting = syn_sent();
    let mut now = Instant::ZERO;
    while connecting.on_timeout(now) {
        now = connecting.deadline();
    }
    assert_eq!(now, seconds(180));
    assert!(syn_sent().on_timeout(Instant::from_millis(179_999)));
}

#[test]
fn an_open_is_given_up_when_it_was_told_to_and_not_with_the_next_syn() {
    let config = TcpConfig { connect_timeout: Duration::from_secs(5), ..TcpConfig::default() };
    let mut connecting = fresh(&config, ISS, BUFFER);
    assert!(connecting.on_timeout(seconds(1)) && connecting.on_timeout(seconds(3)));
    assert_eq!(connecting.deadline(), seconds(5));
    assert!(!connecting.on_timeout(seconds(5)));
}

#[test]
fn a_syn_ack_opens_with_what_both_sides_have_said_and_its_window_is_not_scaled() {
    let round_trip = Duration::from_millis(30);
    for (options, scaling) in [(scale(7), Some(Scaling::new(7, 3))), (TcpOptions::default(), None)]
    {
        let options = TcpOptions { mss: Some(1000), ..options };
        let syn_ack = Segment { options, ..segment("S.", IRS, UNA, 4000, b"") };
        let verdict = syn_sent().receive(Instant::ZERO + round_trip, &syn_ack);
        let opened = opened(verdict);
        assert_eq!((opened.iss.0, opened.irs.0), (ISS, IRS));
        assert_eq!((opened.window, opened.offered), (4000, 65_535));
        let from = (SeqNumber(IRS), SeqNumber(UNA));
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
fn no_round_trip_is_measured_on_a_syn_that_left_twice() {
    let mut connecting = syn_sent();
    connecting.on_timeout(seconds(1));
    assert_eq!(opened(arrive(&mut connecting, "S.", IRS, UNA, b"")).rtt, None);
}

#[test]
fn in_syn_sent_an_ack_of_something_else_is_reset_where_its_sender_stands() {
    let mut connecting = syn_sent();
    for ack in [ISS, UNA + 1, ISS - 1, 1 << 31] {
        for flags in [".", "S.", "P.", "F.", "SF."] {
            let Verdict::Answer(reset) = arrive(&mut connecting, flags, IRS, ack, b"") else {
                panic!("{flags} {ack} is not answered");
            };
            assert_eq!((reset.flags, reset.seq.0), (TcpFlags::RST, ack));
        }
        let verdict = arrive(&mut connecting, "R.", IRS, ack, b"");
        assert!(matches!(verdict, Verdict::Drop(DropReason::BadHandshakeAck)), "{verdict:?}");
    }
    assert_eq!(leaves(&mut connecting), None);
    opened(arrive(&mut connecting, "S.", IRS, UNA, b""));
}

#[test]
fn in_syn_sent_a_reset_refuses_only_if_it_acknowledges_our_syn() {
    for flags in ["R.", "SR."] {
        let verdict = arrive(&mut syn_sent(), flags, 77, UNA, b"");
        assert!(matches!(verdict, Verdict::Refused), "{flags}: {verdict:?}");
    }
    for flags in ["R", "SR"] {
        let mut connecting = syn_sent();
        let verdict = arrive(&mut connecting, flags, NXT, 0, b"");
        assert!(matches!(verdict, Verdict::Drop(DropReason::StrayReset)), "{flags}: {verdict:?}");
        assert_eq!(connecting.tcp_state(), TcpState::SynSent);
    }
}

#[test]
fn in_syn_sent_what_has_neither_syn_nor_rst_is_dropped_in_silence() {
    for flags in ["", "P", "F", ".", "P.", "F."] {
        let mut connecting = syn_sent();
        let verdict = arrive(&mut connecting, flags, NXT, UNA, b"x");
        assert!(matches!(verdict, Verdict::Drop(_)), "{flags}: {verdict:?}");
        assert_eq!(leaves(&mut connecting), None);
    }
}

#[test]
fn must_10_two_syns_that_cross_open_both_ends_with_the_numbers_of_the_first_syns() {
    let [mut here, mut there] = [ISS, IRS].map(|iss| fresh(&TcpConfig::default(), iss, BUFFER));
    let [ours, theirs] =
        [&mut here, &mut there].map(|end| delivered(end.transmit(Instant::ZERO).unwrap()));
    for (end, syn) in [(&mut here, &theirs), (&mut there, &ours)] {
        assert!(matches!(end.receive(Instant::ZERO, syn), Verdict::Stay));
        assert_eq!(end.tcp_state(), TcpState::SynReceived);
    }
    let [ours, theirs] =
        [&mut here, &mut there].map(|end| delivered(end.transmit(Instant::ZERO).unwrap()));
    assert_eq!((ours.seq.0, theirs.seq.0), (ISS, IRS));
    for (end, syn_ack, iss, irs) in [(&mut here, &theirs, ISS, IRS), (&mut there, &ours, IRS, ISS)]
    {
        let opened = opened(end.receive(Instant::ZERO, syn_ack));
        assert_eq!((opened.iss.0, opened.irs.0, opened.window), (iss, irs, 65_535));
        assert_eq!((opened.agreed.send_shift(), opened.agreed.receive_shift()), (3, 3));
    }
}

#[test]
fn after_two_syns_have_crossed_an_ack_opens_and_its_window_is_scaled() {
    for (options, window) in [(scale(7), 1000 << 7), (TcpOptions::default(), 1000)] {
        let opened = opened(arrive(&mut crossed(options), ".", NXT, UNA, b""));
        assert_eq!((opened.irs.0, opened.window), (IRS, window));
        assert_eq!(opened.window_from, (SeqNumber(NXT), SeqNumber(UNA)));
    }
}

#[test]
fn the_answer_to_a_syn_that_crossed_has_only_the_options_that_it_had() {
    for (options, window_scale) in [(scale(0), Some(3)), (TcpOptions::default(), None)] {
        let mut connecting = crossed(options);
        assert!(connecting.on_timeout(seconds(1)));
        let plan = connecting.transmit(Instant::ZERO).unwrap();
        assert_eq!((plan.flags, plan.seq.0, plan.window), (SYN_ACK, ISS, 65_535));
        let options = TcpOptions { mss: Some(1460), window_scale, ..TcpOptions::default() };
        assert_eq!(plan.options, options);
    }
}

#[test]
fn must_11_after_an_active_open_a_reset_at_rcv_nxt_refuses_and_any_other_does_not() {
    for flags in ["R", "R."] {
        let mut connecting = crossed(scale(7));
        let verdict = arrive(&mut connecting, flags, NXT, UNA, b"");
        assert!(matches!(verdict, Verdict::Refused), "{verdict:?}");
        assert_eq!(leaves(&mut connecting), None);
    }
    for offset in [1, 100, 101, 65_534] {
        let mut connecting = crossed(scale(7));
        let verdict = arrive(&mut connecting, "R", NXT.wrapping_add(offset), 0, b"");
        assert!(matches!(verdict, Verdict::Stay), "{offset}: {verdict:?}");
        assert_eq!(leaves(&mut connecting), Some(ACK_OF_SYN), "RFC 5961 §3.2: {offset}");
    }
    for (offset, reason) in [
        (65_535, DropReason::AboveWindow),
        (1 << 30, DropReason::AboveWindow),
        (u32::MAX, DropReason::BelowWindow),
        (u32::MAX - 65_535, DropReason::BelowWindow),
    ] {
        let mut connecting = crossed(scale(7));
        let verdict = arrive(&mut connecting, "R", NXT.wrapping_add(offset), 0, b"");
        assert!(matches!(verdict, Verdict::Drop(why) if why == reason), "{offset}: {verdict:?}");
        assert_eq!(leaves(&mut connecting), None, "{offset}");
    }
}

#[test]
fn after_two_syns_have_crossed_the_same_one_again_brings_our_answer_again() {
    for (flags, ack) in [("S", 0), ("S.", ISS)] {
        let mut connecting = crossed(scale(7));
        assert!(matches!(arrive(&mut connecting, flags, IRS, ack, b""), Verdict::Stay));
        assert_eq!(leaves(&mut connecting), Some((SYN_ACK, ISS, NXT)), "{flags} {ack}");
        arrive(&mut connecting, flags, IRS, ack, b"");
        assert_eq!(leaves(&mut connecting), None, "{flags} {ack}: a second one at once");
    }
    for (flags, seq) in [("S", IRS - 1), ("S", NXT), ("S.", NXT), ("S.", NXT + 5)] {
        let mut connecting = crossed(scale(7));
        assert!(matches!(arrive(&mut connecting, flags, seq, UNA, b""), Verdict::Stay));
        assert_eq!(leaves(&mut connecting), Some(ACK_OF_SYN), "{flags} {seq}");
        arrive(&mut connecting, flags, seq, UNA, b"");
        assert_eq!(leaves(&mut connecting), None, "{flags} {seq}: a second one at once");
    }
}

#[test]
fn after_two_syns_have_crossed_a_wrong_ack_is_reset_and_a_missing_one_dropped() {
    let mut connecting = crossed(scale(7));
    for ack in [ISS, UNA + 1, ISS - 1, 1 << 31] {
        let Verdict::Answer(reset) = arrive(&mut connecting, "P.", NXT, ack, b"x") else {
            panic!("{ack} is not answered");
        };
        assert_eq!((reset.flags, reset.seq.0), (TcpFlags::RST, ack));
    }
    for flags in ["", "P", "F"] {
        let verdict = arrive(&mut connecting, flags, NXT, 0, b"x");
        assert!(matches!(verdict, Verdict::Drop(DropReason::NoAck)), "{flags}: {verdict:?}");
    }
    assert_eq!(leaves(&mut connecting), None);
    opened(arrive(&mut connecting, "FP.", NXT, UNA, b"text"));
}

#[test]
fn after_two_syns_have_crossed_what_starts_outside_of_the_window_is_told_where_we_stand() {
    for offset in [65_535, 65_536, 1 << 30, u32::MAX, u32::MAX - 65_535] {
        let mut connecting = crossed(scale(7));
        let verdict = arrive(&mut connecting, ".", NXT.wrapping_add(offset), UNA, b"");
        assert!(matches!(verdict, Verdict::Stay), "{offset}: {verdict:?}");
        assert_eq!(leaves(&mut connecting), Some(ACK_OF_SYN), "{offset}");
    }
}

/// 65535 in the field would promise eight times the buffer.
#[test]
fn after_two_syns_have_crossed_the_window_of_an_ack_is_scaled() {
    for (options, window) in [(scale(7), 65_535 >> 3), (TcpOptions::default(), 65_535)] {
        let mut connecting = crossed(options);
        arrive(&mut connecting, ".", NXT - 1, UNA, b"");
        assert_eq!(connecting.transmit(Instant::ZERO).unwrap().window, window);
    }
}

#[test]
fn only_a_peer_that_can_know_of_us_is_sent_a_reset() {
    assert!(syn_sent().abort(Instant::ZERO).is_none());
    let reset = crossed(scale(7)).abort(Instant::ZERO).unwrap();
    let flags = TcpFlags::RST.with(TcpFlags::ACK);
    assert_eq!((reset.flags, reset.seq.0, reset.ack.0), (flags, UNA, NXT));
    let stamped = Some(Timestamps { value: 9, echo: 0 });
    let options = TcpOptions { timestamps: stamped, ..TcpOptions::default() };
    let reset = crossed(options).abort(Instant::ZERO).unwrap();
    assert_eq!(reset.options.timestamps, Some(Timestamps { value: TS, echo: 9 }));
}

#[test]
fn an_icmp_error_is_about_our_syn_only_if_it_quotes_its_number() {
    let connecting = syn_sent();
    assert!(connecting.has_sent(SeqNumber(ISS)));
    assert!(!connecting.has_sent(SeqNumber(UNA)) && !connecting.has_sent(SeqNumber(ISS - 1)));
}

#[test]
fn an_open_with_a_number_of_retries_is_given_up_when_the_last_one_was_not_answered_and_no_earlier()
{
    let mut connecting = syn_sent();
    connecting.set_options(&SocketOptions { syn_count: Some(1), ..SocketOptions::default() });
    for (ms, goes_on) in [(999, true), (1000, true), (2999, true), (3000, false)] {
        assert_eq!(connecting.on_timeout(Instant::from_millis(ms)), goes_on, "{ms}");
    }
}

/// RFC 7323 §5.3: also before the handshake is through. What is newer counts at the one place
/// that both ends know of, and on the SYN itself.
#[test]
fn after_two_syns_have_crossed_an_old_timestamp_opens_nothing() {
    let stamped = |flags, seq, value| {
        let timestamps = Some(Timestamps { value, echo: TS });
        let options = TcpOptions { timestamps, ..scale(7) };
        Segment { options, ..segment(flags, seq, UNA, 1000, b"") }
    };
    for (flags, seq, recent) in [("S", IRS, 20), (".", NXT, 20), (".", NXT + 1, 10)] {
        let mut connecting = crossed(stamped("S", IRS, 10).options);
        if flags == "S" {
            let again = Segment { ack: None, ..stamped(flags, seq, 20) };
            assert!(matches!(connecting.receive(Instant::ZERO, &again), Verdict::Stay));
        } else {
            let wrong = Segment { ack: Some(SeqNumber(UNA + 9)), ..stamped(flags, seq, 20) };
            assert!(matches!(connecting.receive(Instant::ZERO, &wrong), Verdict::Answer(_)));
        }
        leaves(&mut connecting);
        let old = stamped(".", NXT, recent - 1);
        let verdict = connecting.receive(seconds(1), &old);
        assert!(matches!(verdict, Verdict::Stay), "{flags} {seq}: {verdict:?}");
        assert_eq!(leaves(&mut connecting), Some(ACK_OF_SYN));
        let verdict = connecting.receive(seconds(1), &stamped(".", NXT, recent));
        assert!(opened(verdict).timestamps.is_some());
    }
}

#[test]
fn a_challenge_does_not_take_the_place_of_an_answer_that_is_owed() {
    let mut connecting = syn_sent();
    arrive(&mut connecting, "S", IRS, 0, b"");
    arrive(&mut connecting, "R", NXT + 1, 0, b"");
    assert_eq!(leaves(&mut connecting), Some((SYN_ACK, ISS, NXT)));
}
