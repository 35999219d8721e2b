//! Whether to look for packets once more before going to sleep.

use crate::time::{Duration, Instant};

/// An adaptive busy poll, as that of Linux's KVM for idle processors (`halt_poll_ns`).
///
/// Waking a thread costs more than what most small messages do. A driver that looks again for some
/// microseconds before it sleeps finds the next message awake, and pays with the processor's time.
/// It pays only while that has been worth it: a wait that turns out longer than the limit ends the
/// looking, a wait that turns out shorter begins it again. So an idle stack sleeps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BusyPoll {
    /// For how long to look at most; `ZERO`: never.
    limit: Duration,
    /// For how long to look now: the limit, or not at all.
    window: Duration,
    /// Since when nothing has come.
    idle_since: Option<Instant>,
}

impl BusyPoll {
    /// Looks for `limit` at most from now on.
    pub(super) fn set_limit(&mut self, limit: Duration) {
        *self = Self { limit, ..Self::default() };
    }

    /// Packets have come.
    pub(super) fn on_packets(&mut self, now: Instant) {
        if let Some(since) = self.idle_since.take() {
            let was_short = now - since < self.limit;
            self.window = if was_short { self.limit } else { Duration::ZERO };
        }
    }

    /// No packets have come: whether to look again at once.
    pub(super) fn looks_again(&mut self, now: Instant) -> bool {
        let since = *self.idle_since.get_or_insert(now);
        now - since < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(50);

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn nobody_looks_who_has_not_been_told_to() {
        let mut busy = BusyPoll::default();
        for micros in 0..100 {
            assert!(!busy.looks_again(at(micros)));
            busy.on_packets(at(micros));
        }
    }

    #[test]
    fn a_short_wait_begins_the_looking_and_a_long_one_ends_it() {
        let mut busy = BusyPoll::default();
        busy.set_limit(LIMIT);
        assert!(!busy.looks_again(at(0)), "it is not known yet whether that is worth it");
        busy.on_packets(at(10));
        assert!(busy.looks_again(at(11)) && busy.looks_again(at(60)));
        assert!(!busy.looks_again(at(61)), "the limit is over");
        busy.on_packets(at(62));
        assert!(!busy.looks_again(at(63)), "that wait was too long");
        busy.on_packets(at(112));
        assert!(busy.looks_again(at(113)));
        busy.on_packets(at(120));
        assert!(busy.looks_again(at(121)), "it found what it was looking for");
    }

    #[test]
    fn packets_without_a_wait_change_nothing() {
        let mut busy = BusyPoll::default();
        busy.set_limit(LIMIT);
        busy.looks_again(at(0));
        for micros in 1..5 {
            busy.on_packets(at(micros));
        }
        assert!(busy.looks_again(at(100)));
    }

    #[test]
    fn another_limit_begins_anew() {
        let mut busy = BusyPoll::default();
        busy.set_limit(LIMIT);
        busy.looks_again(at(0));
        busy.on_packets(at(1));
        busy.set_limit(Duration::ZERO);
        assert!(!busy.looks_again(at(2)));
    }
}
