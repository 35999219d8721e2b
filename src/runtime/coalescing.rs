//! Whether to let packets gather before the device is looked at again.

use crate::stack::FlowId;
use crate::time::{Duration, Instant};

/// Octets after which a sender is taken for one that goes on: two super-segments and more.
const BULK: usize = 128 << 10;

/// Octets of a packet from which on it counts. As many octets in packets of a link's size are
/// hundreds, and what gathers of them overflows a queue sooner than it spares a sender anything.
const LARGE: usize = 16 << 10;

/// For how long nothing gathers once several connections have had something to send, at once or
/// one after the other.
const COMPANY: Duration = Duration::from_millis(1);

/// Most occasions in a row that are let pass because nothing came of the ones before.
const PASSED_MAX: u32 = 64;

/// Interrupt coalescing, as that of network cards (`ethtool -C … rx-usecs`) and of Linux's NAPI
/// (`gro_flush_timeout`).
///
/// A driver that is as fast as a bulk sender finds the device empty after every few super-segments,
/// and sleeps. Each of the next then wakes it, which costs the sender more than the way of the
/// packet. So after a bulk of octets the driver lets some time pass before it looks again.
///
/// It pays only while the sender goes on: if less than another bulk has come by then, the next
/// occasion is let pass, then two, four and so on, so that large requests, each of which waits for
/// an answer, are not delayed one by one. Nor does anything gather while several connections are
/// active: bulk senders keep the device busy for each other, and a small message would wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coalescing {
    /// How long to let packets gather; `ZERO`: never.
    limit: Duration,
    /// Octets in large packets since the device was last found empty.
    octets: usize,
    /// There was a pause then, and what has gathered in it is to be seen.
    is_after_pause: bool,
    /// Occasions that were let pass after the last pause, if nothing came of it; else 0.
    passed: u32,
    /// Occasions still to let pass.
    to_pass: u32,
    /// Whose acknowledgment, most likely, was the last to be sent.
    sender: Option<FlowId>,
    /// When that was last somebody else than before, or there were several.
    in_company: Option<Instant>,
}

impl Coalescing {
    /// Lets packets gather for `limit` from now on.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        *self = Self { limit, ..Self::default() };
    }

    /// A packet of so many octets has come.
    pub(super) fn on_packet(&mut self, octets: usize) {
        if octets >= LARGE {
            self.octets = self.octets.saturating_add(octets);
        }
    }

    /// So many connections have something to send after a turn, acknowledgments most of them, and
    /// `next` is the first to do so.
    pub(super) fn on_senders(&mut self, senders: usize, next: Option<FlowId>, now: Instant) {
        let Some(next) = next else { return };
        let before = self.sender.replace(next);
        if senders > 1 || before.is_some_and(|before| before != next) {
            self.in_company = Some(now);
        }
    }

    /// Whether packets might gather if the device were found empty.
    pub(super) fn is_due(&self) -> bool {
        self.limit > Duration::ZERO && self.octets >= BULK
    }

    /// What has come since tells nothing, and the last pause neither: there was none, or it was cut
    /// short, or the driver looked all the while.
    pub(super) fn forget(&mut self) {
        (self.octets, self.is_after_pause) = (0, false);
    }

    /// The device has been found empty.
    pub(super) fn on_empty(&mut self) {
        let is_due = self.is_due();
        if std::mem::take(&mut self.is_after_pause) {
            self.passed = if is_due { 0 } else { (2 * self.passed).clamp(1, PASSED_MAX) };
            self.to_pass = self.passed;
        }
        if !is_due {
            self.octets = 0;
        }
    }

    /// The device has been found empty, and nothing else is to be done: how long to let packets
    /// gather, if at all.
    pub(super) fn take_pause(&mut self, now: Instant) -> Option<Duration> {
        self.on_empty();
        let is_due = self.is_due();
        self.octets = 0;
        let is_alone = self.in_company.is_none_or(|at| now - at >= COMPANY);
        if !is_due || !is_alone {
            return None;
        }
        if self.to_pass > 0 {
            self.to_pass -= 1;
            return None;
        }
        self.is_after_pause = true;
        Some(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use slotmap::KeyData;

    use super::*;

    const LIMIT: Duration = Duration::from_micros(60);

    fn coalescing() -> Coalescing {
        let mut coalescing = Coalescing::default();
        coalescing.set_limit(LIMIT);
        coalescing
    }

    /// Whether packets may gather once so many octets have come in large packets.
    fn gather(coalescing: &mut Coalescing, octets: usize) -> bool {
        coalescing.on_packet(octets);
        coalescing.take_pause(Instant::ZERO) == Some(LIMIT)
    }

    #[test]
    fn nothing_gathers_until_that_is_asked_for() {
        let mut coalescing = Coalescing::default();
        coalescing.on_packet(usize::MAX);
        assert!(!coalescing.is_due());
        assert_eq!(coalescing.take_pause(Instant::ZERO), None);
    }

    #[test]
    fn packets_gather_after_each_bulk_and_not_after_less() {
        let mut coalescing = coalescing();
        assert_eq!(coalescing.take_pause(Instant::ZERO), None, "nothing has come");
        assert!(!gather(&mut coalescing, BULK - 1));
        assert!(!gather(&mut coalescing, LARGE), "the device was empty in between");
        (0..3).for_each(|_| coalescing.on_packet(BULK / 4));
        assert!(!coalescing.is_due());
        assert!(gather(&mut coalescing, BULK / 4));
        coalescing.on_packet(usize::MAX);
        assert!(gather(&mut coalescing, usize::MAX), "and again");
    }

    #[test]
    fn small_packets_do_not_gather_however_many_they_are() {
        let mut coalescing = coalescing();
        (0..1000).for_each(|_| coalescing.on_packet(LARGE - 1));
        assert!(!gather(&mut coalescing, 40));
    }

    #[test]
    fn nobody_waits_for_the_sake_of_another() {
        let [bulk, other] = [1, 2].map(|id| FlowId::from(KeyData::from_ffi(id)));
        for (senders, next, at, expected) in [
            (0, None, 0, Some(LIMIT)),
            (1, Some(bulk), 0, Some(LIMIT)),
            (1, Some(other), 0, None),
            (2, Some(bulk), 0, None),
            (2, Some(bulk), 999, None),
            (2, Some(bulk), 1000, Some(LIMIT)),
        ] {
            let mut coalescing = coalescing();
            coalescing.on_senders(1, Some(bulk), Instant::ZERO);
            coalescing.on_senders(senders, next, Instant::ZERO);
            coalescing.on_senders(0, None, Instant::ZERO);
            let at = Instant::from_micros(at);
            coalescing.on_packet(BULK);
            assert_eq!(coalescing.take_pause(at), expected, "{senders} senders, {at:?}");
        }
    }

    #[test]
    fn large_requests_that_wait_for_an_answer_are_delayed_ever_more_seldom() {
        let mut coalescing = coalescing();
        // Whether each of these requests is followed by a pause, in which nothing comes.
        let mut delayed = Vec::new();
        for request in 0..300 {
            if gather(&mut coalescing, BULK) {
                delayed.push(request);
                assert!(!gather(&mut coalescing, 0));
            }
        }
        assert_eq!(delayed, [0, 2, 5, 10, 19, 36, 69, 134, 199, 264]);
        // A sender that goes on is one again with its next occasion.
        while !gather(&mut coalescing, BULK) {}
        assert!((0..10).all(|_| gather(&mut coalescing, BULK)));
    }

    #[test]
    fn what_came_before_an_empty_device_counts_no_more_unless_it_was_a_bulk() {
        let mut coalescing = coalescing();
        coalescing.on_packet(BULK - 1);
        coalescing.on_empty();
        assert!(!gather(&mut coalescing, LARGE));
        coalescing.on_packet(BULK);
        coalescing.on_empty(); // Tasks have their turn first.
        assert!(gather(&mut coalescing, 0));
    }

    #[test]
    fn a_pause_that_did_not_take_place_proves_nothing() {
        let mut coalescing = coalescing();
        for _ in 0..3 {
            assert!(gather(&mut coalescing, BULK));
            coalescing.forget();
            assert!(!gather(&mut coalescing, 0));
        }
    }
}
