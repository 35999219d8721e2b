//! Fast retransmit, NewReno and timeouts, as RFC 5681 and RFC 6582 tell them.

use super::*;

const START: SeqNumber = SeqNumber(u32::MAX - 2500); // The sequence space wraps in between.
const MSS: u32 = 1000;
const RTO: Duration = Duration::from_secs(1);

/// A sender with `segments` full segments in flight.
struct Sender {
    now: Instant,
    una: u32,
    nxt: u32,
    recovery: Recovery,
    /// How old the echo of the next acknowledgment is.
    echoed: Option<Duration>,
    /// Octets that the SACK blocks of the next acknowledgment report.
    sacked: u32,
}

impl Sender {
    fn new(segments: u32) -> Self {
        let recovery = Recovery::default();
        let mut sender =
            Self { now: Instant::ZERO, una: 0, nxt: 0, recovery, echoed: None, sacked: 0 };
        sender.send(segments);
        sender
    }

    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            self.nxt += MSS;
            let range = SeqRange { start: START + (self.nxt - MSS), end: START + self.nxt };
            self.recovery.on_sent(self.now, range, range.len());
        }
        self.check();
    }

    fn out(&self) -> Outstanding {
        Outstanding { una: START + self.una, nxt: START + self.nxt, mss: MSS }
    }

    fn check(&self) {
        self.recovery.check(self.out());
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn ack(&mut self, to: u32) -> Verdict {
        let before = self.out();
        let (octets, sacked) = (to - self.una, self.sacked);
        let acked = Acked { octets, fin: false, is_duplicate: false, sacked };
        self.una = to;
        let verdict = self.recovery.on_ack(self.now, acked, self.echoed, before, self.out());
        self.check();
        verdict
    }

    fn duplicate(&mut self) -> Verdict {
        let acked = Acked { octets: 0, fin: false, is_duplicate: true, sacked: self.sacked };
        let verdict = self.recovery.on_ack(self.now, acked, self.echoed, self.out(), self.out());
        self.check();
        verdict
    }

    /// Octets counted from the start that are lost and not sent again.
    fn lost(&self) -> Option<(i32, i32)> {
        self.recovery.next_lost().map(|lost| (lost.start - START, lost.end - START))
    }

    /// Sends the first lost segment again.
    fn send_again(&mut self) {
        let lost = self.recovery.next_lost().unwrap();
        let end = lost.start + MSS.min(lost.len());
        self.recovery.on_sent_again(self.now, SeqRange { start: lost.start, end });
        self.check();
    }

    fn in_flight(&self) -> u32 {
        self.recovery.in_flight(self.out())
    }
}

#[test]
fn three_duplicates_and_not_two_tell_of_a_loss() {
    let mut sender = Sender::new(10);
    for flight in [9000, 8000] {
        assert_eq!(sender.duplicate().congestion, None);
        assert_eq!((sender.lost(), sender.in_flight()), (None, flight)); // Limited transmit.
    }
    assert_eq!(sender.duplicate().congestion, Some(Congestion::Loss));
    assert_eq!(sender.lost(), Some((0, 1000)));
    assert_eq!(sender.in_flight(), 6000); // Three have arrived, one is lost.
    assert_eq!(sender.duplicate().congestion, None);
    assert_eq!(sender.in_flight(), 5000);
}

/// A peer with SACK may answer many segments by one acknowledgment, as Linux does: what its blocks
/// report counts like a duplicate for each segment.
#[test]
fn octets_that_sack_reports_count_as_duplicates() {
    for (sacked, congestion, in_flight) in [
        (2999, None, 8000),
        (3000, Some(Congestion::Loss), 6000),
        (8000, Some(Congestion::Loss), 1000),
        (u32::MAX, Some(Congestion::Loss), 0),
    ] {
        let mut sender = Sender::new(10);
        sender.sacked = sacked;
        assert_eq!(sender.duplicate().congestion, congestion, "{sacked}");
        assert_eq!(sender.in_flight(), in_flight, "{sacked}");
    }
}

/// RFC 6675 §5: of a burst of which the first segment is in its place and the second lost, a peer
/// may tell by one acknowledgment, of something new and of a loss.
#[test]
fn octets_that_sack_reports_count_in_an_acknowledgment_of_something_new_too() {
    for (sacked, congestion, lost, in_flight) in [
        (2999, None, None, 7000),
        (3000, Some(Congestion::Loss), Some((1000, 2000)), 5000),
        (8000, Some(Congestion::Loss), Some((1000, 2000)), 0),
    ] {
        let mut sender = Sender::new(10);
        sender.sacked = sacked;
        let verdict = sender.ack(1000);
        assert_eq!((verdict.congestion, verdict.may_grow), (congestion, congestion.is_none()));
        assert_eq!((sender.lost(), sender.in_flight()), (lost, in_flight), "{sacked}");
    }
}

#[test]
fn a_partial_acknowledgment_names_the_next_hole_and_a_full_one_ends_the_recovery() {
    let mut sender = Sender::new(10);
    // Segments 1 and 5 are lost; 8 duplicates come.
    for _ in 0..8 {
        sender.duplicate();
    }
    sender.send_again();
    assert_eq!(sender.lost(), None);
    let partial = sender.ack(4000);
    assert!(!partial.has_recovered && !partial.may_grow && partial.congestion.is_none());
    assert_eq!(sender.lost(), Some((4000, 5000)));
    // Of six outstanding one is lost and five are known to have arrived.
    assert_eq!(sender.in_flight(), 0);
    sender.send_again();
    assert!(sender.ack(10_000).has_recovered);
    assert_eq!((sender.lost(), sender.in_flight()), (None, 0));
}

#[test]
fn duplicates_of_one_episode_start_no_second_one() {
    let mut sender = Sender::new(10);
    for _ in 0..3 {
        sender.duplicate();
    }
    sender.send_again();
    sender.ack(2000);
    sender.send_again();
    for _ in 0..5 {
        assert_eq!(sender.duplicate().congestion, None);
    }
}

#[test]
fn more_duplicates_than_segments_do_not_empty_the_flight() {
    let mut sender = Sender::new(10);
    for _ in 0..1000 {
        sender.duplicate();
    }
    sender.send_again();
    assert_eq!(sender.in_flight(), 1000); // The retransmission itself.
}

#[test]
fn a_timeout_loses_all_that_is_outstanding_and_sends_it_again_in_order() {
    let mut sender = Sender::new(4);
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(1000)));
    sender.wait(999);
    assert!(!sender.recovery.on_timeout(sender.now, RTO, sender.out()));
    sender.wait(1);
    assert!(sender.recovery.on_timeout(sender.now, RTO, sender.out()));
    assert_eq!((sender.lost(), sender.in_flight()), (Some((0, 4000)), 0));
    sender.send_again();
    assert_eq!((sender.lost(), sender.in_flight()), (Some((1000, 4000)), 1000));
    // The peer had the rest: nothing more is sent again, and the window may grow.
    let verdict = sender.ack(4000);
    assert!(verdict.may_grow && !verdict.has_recovered);
    assert_eq!((sender.lost(), sender.recovery.deadline(RTO)), (None, None));
}

#[test]
fn duplicates_after_a_timeout_start_no_fast_recovery() {
    let mut sender = Sender::new(6);
    sender.wait(1000);
    sender.recovery.on_timeout(sender.now, RTO, sender.out());
    sender.send_again();
    for _ in 0..5 {
        assert_eq!(sender.duplicate().congestion, None);
    }
    assert!(sender.recovery.is_in_loss());
    sender.ack(6000);
    assert!(!sender.recovery.is_in_loss());
}

#[test]
fn must_18_no_round_trip_is_measured_on_what_was_sent_twice() {
    let mut sender = Sender::new(1);
    sender.wait(1000);
    sender.recovery.on_timeout(sender.now, RTO, sender.out());
    sender.send_again();
    sender.wait(50);
    assert_eq!(sender.ack(1000).rtt, None);
    sender.send(1);
    sender.wait(70);
    assert_eq!(sender.ack(2000).rtt, Some(Duration::from_millis(70)));
}

/// RFC 7323 §4: the echo tells which of two copies has arrived. What is older than all that is in
/// flight is nothing that we can have sent, and a value that comes back again measures nothing.
#[test]
fn an_echo_measures_what_was_sent_twice_if_it_can_be_one() {
    for (echoed, rtt) in [
        (50, Some(50)),     // Of the second copy.
        (1050, Some(1050)), // Of the first one.
        (1051, Some(1051)), // Of the first one, but for the tick of the clock.
        (1052, None),
        (u64::from(u32::MAX), None),
    ] {
        let mut sender = Sender::new(2);
        sender.wait(1000);
        sender.recovery.on_timeout(sender.now, RTO, sender.out());
        sender.send_again();
        sender.send_again();
        sender.wait(50);
        sender.echoed = Some(Duration::from_millis(echoed));
        assert_eq!(sender.ack(1000).rtt, rtt.map(Duration::from_millis), "{echoed}");
        let has_measured = sender.recovery.timeout(RTO) == RTO;
        assert_eq!(has_measured, rtt.is_some(), "{echoed}: the backoff ends");
        sender.wait(5);
        sender.echoed = Some(Duration::from_millis(echoed + 5));
        assert_eq!(sender.ack(2000).rtt, None, "{echoed}");
    }
}

/// An echo of what was sent before the line fell idle says nothing of the path as it is now.
#[test]
fn no_echo_from_before_an_idle_time_is_a_measurement() {
    let mut sender = Sender::new(1);
    sender.wait(10);
    sender.ack(1000);
    sender.wait(100_000);
    sender.send(1);
    sender.wait(1000);
    sender.recovery.on_timeout(sender.now, RTO, sender.out());
    sender.send_again();
    sender.wait(50);
    sender.echoed = Some(Duration::from_millis(1052));
    assert_eq!(sender.ack(2000).rtt, None);
}

#[test]
fn one_segment_a_round_trip_is_measured_once_all_of_it_is_covered() {
    let mut sender = Sender::new(2);
    sender.wait(30);
    assert_eq!(sender.ack(500).rtt, None);
    sender.wait(30);
    assert_eq!(sender.ack(1000).rtt, Some(Duration::from_millis(60)));
    assert_eq!(sender.ack(2000).rtt, None);
}

#[test]
fn duplicates_do_not_put_the_timer_off_and_only_the_first_partial_does() {
    let mut sender = Sender::new(10);
    sender.wait(500);
    for _ in 0..5 {
        sender.duplicate();
    }
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(1000)));
    sender.send_again();
    sender.ack(2000);
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(1500)));
    sender.send_again();
    sender.wait(200);
    sender.ack(4000);
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(1500)));
}

/// Of a loss at the end of a burst duplicates tell a round trip after the last acknowledgment. The
/// timer, which has run since that one, would end before the retransmission can be acknowledged
/// wherever a round trip is longer than what is allowed above it.
#[test]
fn a_fast_retransmission_starts_the_timer_anew_once_an_episode() {
    let mut sender = Sender::new(4);
    sender.wait(800);
    sender.ack(3000);
    sender.send(3);
    sender.wait(800);
    for _ in 0..3 {
        sender.duplicate();
    }
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(1800)));
    sender.send_again();
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(2600)));
    sender.wait(800);
    sender.ack(4000);
    sender.wait(100);
    sender.send_again();
    assert_eq!(sender.recovery.deadline(RTO), Some(Instant::from_millis(3400)));
}

/// RFC 6582 §3.2, step 2: only an acknowledgment of more than was sent before the timeout makes
/// duplicates a sign of loss again; else those of what was sent twice halve the window.
#[test]
fn duplicates_of_what_a_timeout_sent_twice_start_no_fast_recovery_later() {
    let mut sender = Sender::new(4);
    sender.wait(1000);
    sender.recovery.on_timeout(sender.now, RTO, sender.out());
    sender.send_again();
    sender.send_again();
    sender.ack(4000);
    sender.send(6);
    for _ in 0..4 {
        assert_eq!(sender.duplicate().congestion, None);
    }
    sender.ack(5000);
    let verdicts = [(); 3].map(|()| sender.duplicate().congestion);
    assert_eq!(verdicts, [None, None, Some(Congestion::Loss)]);
}

#[test]
fn what_is_known_of_octets_in_flight_goes_once_there_are_none_and_nothing_was_lost() {
    let mut sender = Sender::new(2);
    sender.recovery.cool();
    assert!(sender.recovery.is_warm(), "something is in flight");
    sender.ack(2 * MSS);
    sender.recovery.cool();
    assert!(!sender.recovery.is_warm());
    sender.check();
    // The next segment finds all as the first one did: a round trip is measured from it.
    sender.wait(5000);
    sender.send(1);
    sender.wait(100);
    let verdict = sender.ack(3 * MSS);
    assert_eq!(verdict.rtt, Some(Duration::from_millis(100)));
    // A time-out is remembered until a round trip is measured (Karn), whatever is in flight.
    sender.send(1);
    sender.wait(1000);
    assert!(sender.recovery.on_timeout(sender.now, RTO, sender.out()));
    let lost = sender.recovery.next_lost().unwrap();
    sender.recovery.on_sent_again(sender.now, lost);
    sender.ack(4 * MSS);
    sender.recovery.cool();
    assert!(sender.recovery.is_warm());
    assert_eq!(sender.recovery.backoffs(), 1);
}

/// The first of several that leave as one tells what the path takes; the last may wait for long.
#[test]
fn the_round_trip_of_a_super_segment_is_that_of_its_first_part() {
    let mut sender = Sender::new(0);
    sender.nxt = 3 * MSS;
    let whole = SeqRange { start: START, end: START + 3 * MSS };
    sender.recovery.on_sent(sender.now, whole, MSS);
    sender.wait(10);
    assert_eq!(sender.ack(MSS).rtt, Some(Duration::from_millis(10)));
    sender.wait(200);
    assert_eq!(sender.ack(3 * MSS).rtt, None);
}

#[test]
fn an_acknowledgment_of_something_new_ends_the_count_of_duplicates() {
    let mut sender = Sender::new(10);
    sender.duplicate();
    sender.duplicate();
    assert_eq!(sender.recovery.state(), RecoveryState::Disorder);
    sender.ack(1000);
    assert_eq!((sender.recovery.state(), sender.in_flight()), (RecoveryState::Open, 9000));
    assert_eq!(sender.duplicate().congestion, None);
    assert_eq!(sender.in_flight(), 8000);
}

#[test]
fn after_a_recovery_the_window_grows_again_and_the_next_loss_is_another() {
    let mut sender = Sender::new(10);
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(sender.duplicate().congestion, None);
        }
        assert_eq!(sender.duplicate().congestion, Some(Congestion::Loss));
        sender.send_again();
        assert!(sender.ack(sender.nxt).has_recovered);
        sender.send(10);
        assert_eq!((sender.recovery.state(), sender.in_flight()), (RecoveryState::Open, 10_000));
        let verdict = sender.ack(sender.una + 1000);
        assert!(verdict.may_grow && !verdict.has_recovered);
    }
}

/// Of what a partial acknowledgment covers, all but the retransmission had been counted out of the
/// flight already (RFC 6582 §3.2, step 3).
#[test]
fn a_partial_acknowledgment_counts_no_segment_out_of_the_flight_twice() {
    let mut sender = Sender::new(10);
    for _ in 0..7 {
        sender.duplicate();
    }
    sender.send_again();
    assert_eq!(sender.in_flight(), 3000);
    sender.ack(3000);
    assert_eq!((sender.lost(), sender.in_flight()), (Some((3000, 4000)), 1000));
}

/// Karn's algorithm: the backoff holds until a round trip is measured, however long nothing is
/// sent; and duplicates of what was sent twice may come late.
#[test]
fn neither_a_backoff_nor_the_end_of_an_episode_is_forgotten_at_rest() {
    let time_out = |sender: &mut Sender| {
        sender.wait(1000);
        assert!(sender.recovery.on_timeout(sender.now, RTO, sender.out()));
        sender.send_again();
    };
    let mut sender = Sender::new(2);
    time_out(&mut sender);
    sender.send(1);
    sender.send_again(); // So that nothing is under measurement.
    sender.ack(3000);
    assert!(sender.recovery.is_calm());
    sender.recovery.cool();
    assert_eq!(sender.recovery.backoffs(), 1);

    let mut sender = Sender::new(1);
    time_out(&mut sender);
    sender.echoed = Some(Duration::ZERO);
    sender.ack(1000);
    assert_eq!(sender.recovery.backoffs(), 0);
    sender.recovery.cool();
    sender.send(9);
    for _ in 0..3 {
        assert_eq!(sender.duplicate().congestion, None);
    }
}

#[test]
fn news_of_the_path_does_not_make_the_next_timeout_a_first_one() {
    let mut sender = Sender::new(2);
    sender.wait(1000);
    assert!(sender.recovery.on_timeout(sender.now, RTO, sender.out()));
    let all = SeqRange { start: START, end: START + sender.nxt };
    sender.recovery.on_too_large(sender.now, all, sender.out());
    assert!(sender.recovery.is_in_loss());
}

#[test]
fn what_leaves_again_has_left_last() {
    let mut sender = Sender::new(1);
    sender.wait(1000);
    assert!(sender.recovery.on_timeout(sender.now, RTO, sender.out()));
    sender.send_again();
    assert_eq!(sender.recovery.last_sent(), Some(sender.now));
}

/// Half way around the sequence space what was held back long ago would else lie ahead again.
#[test]
fn what_is_sent_unhindered_never_comes_to_count_as_held_back() {
    let mut sender = Sender::new(1);
    for quarter in 0..8u32 {
        let una = START + quarter.wrapping_mul(1 << 30);
        sender.recovery.on_burst_end(false, Outstanding { una, nxt: una, mss: MSS });
        assert!(!sender.recovery.is_window_limited(una), "{quarter}");
    }
}
