//! How the window moves: rounds, losses, silence and limits.

use super::*;

const MSS: u32 = 1000;

/// Acknowledges `delivered` octets of a window that was full.
fn ack(reno: &mut Reno, delivered: u32) {
    reno.on_ack(AckSample { delivered, was_window_limited: true });
}

/// One round trip: every segment of the window is acknowledged by itself. Says the window after it.
fn round(reno: &mut Reno) -> u32 {
    for _ in 0..reno.window() / MSS {
        ack(reno, MSS);
    }
    reno.window()
}

#[test]
fn must_19_slow_start_doubles_the_window_each_round_until_ssthresh() {
    let mut reno = Reno::new(MSS, 10 * MSS);
    let windows: Vec<_> = (0..4).map(|_| round(&mut reno)).collect();
    assert_eq!(windows, [20_000, 40_000, 80_000, 160_000]);
    reno.on_congestion(Congestion::Timeout, 32 * MSS);
    assert_eq!((reno.window(), reno.ssthresh()), (MSS, 16 * MSS));
    let windows: Vec<_> = (0..6).map(|_| round(&mut reno)).collect();
    assert_eq!(windows, [2000, 4000, 8000, 16_000, 17_000, 18_000]);
}

#[test]
fn congestion_avoidance_opens_one_segment_a_round() {
    let mut reno = Reno::new(MSS, 10 * MSS);
    reno.on_congestion(Congestion::Loss, 20 * MSS);
    assert_eq!((reno.window(), reno.ssthresh()), (10 * MSS, 10 * MSS));
    let windows: Vec<_> = (0..4).map(|_| round(&mut reno)).collect();
    assert_eq!(windows, [11_000, 12_000, 13_000, 14_000]);
}

#[test]
fn ssthresh_is_half_of_what_was_in_flight_and_two_segments_at_least() {
    for (in_flight, ssthresh) in [(0, 2000), (3999, 2000), (4000, 2000), (100_000, 50_000)] {
        for (cause, cwnd) in [(Congestion::Loss, ssthresh), (Congestion::Timeout, MSS)] {
            let mut reno = Reno::new(MSS, 10 * MSS);
            reno.on_congestion(cause, in_flight);
            assert_eq!((reno.window(), reno.ssthresh()), (cwnd, ssthresh), "{cause:?}");
        }
    }
}

#[test]
fn a_split_acknowledgment_opens_no_more_than_a_whole_one() {
    for loss in [false, true] {
        let mut whole = Reno::new(MSS, 10 * MSS);
        if loss {
            whole.on_congestion(Congestion::Loss, 20 * MSS);
        }
        let mut split = whole;
        (0..10).for_each(|_| ack(&mut whole, MSS));
        (0..10 * MSS).for_each(|_| ack(&mut split, 1));
        assert_eq!(whole.window(), split.window());
    }
}

#[test]
fn a_window_that_nobody_fills_does_not_grow() {
    let mut reno = Reno::new(MSS, 10 * MSS);
    reno.on_ack(AckSample { delivered: 5 * MSS, was_window_limited: false });
    assert_eq!(reno.window(), 10 * MSS);
}

#[test]
fn a_finished_recovery_leaves_the_window_at_ssthresh_and_raises_none() {
    let mut reno = Reno::new(MSS, 10 * MSS);
    reno.on_congestion(Congestion::Loss, 20 * MSS);
    reno.on_recovered();
    assert_eq!(reno.window(), 10 * MSS);
    reno.on_congestion(Congestion::Timeout, 20 * MSS);
    reno.on_recovered();
    assert_eq!(reno.window(), MSS);
}

#[test]
fn a_silence_longer_than_the_timeout_shrinks_the_window_to_the_initial_one() {
    let rto = Duration::from_millis(300);
    let mut reno = Reno::new(MSS, 10 * MSS);
    round(&mut reno);
    reno.on_idle(rto, rto);
    assert_eq!(reno.window(), 20 * MSS);
    reno.on_idle(rto + Duration::from_nanos(1), rto);
    assert_eq!((reno.window(), reno.ssthresh()), (10 * MSS, u32::MAX));
    reno.on_congestion(Congestion::Timeout, 20 * MSS);
    reno.on_idle(Duration::MAX, rto);
    assert_eq!(reno.window(), MSS);
}

/// Nothing would leave by a smaller window, and with nothing in flight no timer runs.
#[test]
fn the_restart_window_holds_a_segment_that_has_grown() {
    let mut reno = Reno::new(MSS, 2 * MSS);
    reno.on_mss(5 * MSS);
    for _ in 0..10 {
        ack(&mut reno, 5 * MSS);
    }
    reno.on_idle(Duration::from_mins(1), Duration::from_secs(1));
    assert_eq!(reno.window(), 5 * MSS);
}

/// As above; the search for what the path carries may end while a loss is dealt with.
#[test]
fn the_window_after_a_recovery_holds_a_segment_that_has_grown() {
    let mut reno = Reno::new(MSS, 10 * MSS);
    reno.on_congestion(Congestion::Loss, 10 * MSS);
    reno.on_mss(9 * MSS);
    reno.on_recovered();
    assert_eq!((reno.window(), reno.ssthresh()), (9 * MSS, 5 * MSS));
}

#[test]
fn the_window_has_a_limit_that_no_acknowledgment_overflows() {
    let mut reno = Reno::new(65_495, 10 * 65_495);
    for _ in 0..10_000 {
        ack(&mut reno, u32::MAX);
    }
    assert_eq!(reno.window(), 1 << 30);
    reno.on_congestion(Congestion::Loss, u32::MAX);
    for _ in 0..10 {
        ack(&mut reno, u32::MAX);
    }
    assert_eq!(reno.window(), 1 << 30);
}

#[test]
fn the_window_never_falls_below_one_segment() {
    for cause in [Congestion::Loss, Congestion::Timeout, Congestion::RepeatedTimeout] {
        let mut reno = Reno::new(1460, 2920);
        for _ in 0..3 {
            reno.on_congestion(cause, 0);
            assert!(reno.window() >= 1460, "{cause:?}: {}", reno.window());
        }
    }
    assert_eq!(Reno::new(1460, 0).window(), 1460);
    assert_eq!(Reno::new(0, 0).window(), 1);
}
