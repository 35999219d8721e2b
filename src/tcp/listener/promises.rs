//! What our SYN-ACKs with cookies have said of us: it fits into no cookie, must be kept when the
//! cookie comes back (SHLD-14), and nothing else remembers it.

use smallvec::SmallVec;

use super::cookies::LIFETIME;
use crate::tcp::negotiated::Offer;
use crate::time::Instant;

/// How many promises of one port are remembered. Each cookie is tried with all of them, so that who
/// guesses is as many times more likely to be right; one is all that there is while neither the
/// options of a listener change nor those of several that share the port differ.
const PROMISES_MAX: usize = 4;

/// What a SYN-ACK says of us that the options of a socket decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Promise {
    mss: u16,
    window_scale: Option<u8>,
    /// Octets, as the header says them: not scaled.
    window: u16,
}

impl Promise {
    /// A SYN-ACK with this offer and a window of so many octets.
    pub(crate) fn new(offer: Offer, window: u32) -> Self {
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        Self { mss: offer.mss, window_scale: offer.window_scale, window }
    }

    /// The offer that it was made of, from one of today.
    pub(crate) fn offer(self, today: Offer) -> Offer {
        Offer { mss: self.mss, window_scale: self.window_scale, ..today }
    }

    /// The window, octets.
    pub(crate) fn window(self) -> u32 {
        self.window.into()
    }
}

/// The promises that may come back to a port, each with until when.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    made: SmallVec<[(Promise, Instant); 1]>,
}

impl Promises {
    /// A cookie is sent. One promise too many makes the oldest be forgotten: who holds it must open
    /// anew.
    pub(crate) fn on_cookie(&mut self, now: Instant, promise: Promise) {
        self.made.retain(|(made, until)| *made != promise && now <= *until);
        if self.made.len() == PROMISES_MAX {
            self.made.remove(0);
        }
        self.made.push((promise, now + LIFETIME));
    }

    /// Those that may still come back, the one made last first.
    pub(crate) fn alive(&self, now: Instant) -> impl Iterator<Item = Promise> {
        let alive = self.made.iter().rev().take_while(move |(_, until)| now <= *until);
        alive.map(|(promise, _)| *promise)
    }

    /// Whether cookies may come back.
    pub(crate) fn are_alive(&self, now: Instant) -> bool {
        self.alive(now).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(window: u16) -> Promise {
        Promise { mss: 1460, window_scale: Some(3), window }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn alive(promises: &Promises, seconds: u64) -> Vec<u16> {
        promises.alive(at(seconds)).map(|promise| promise.window).collect()
    }

    #[test]
    fn a_promise_lives_for_two_minutes_after_it_was_last_made() {
        let mut promises = Promises::default();
        assert!(!promises.are_alive(at(0)));
        for (seconds, window) in [(0, 1), (10, 2), (20, 1)] {
            promises.on_cookie(at(seconds), promise(window));
        }
        for (seconds, left) in [(20, &[1, 2][..]), (130, &[1, 2]), (131, &[1]), (140, &[1])] {
            assert_eq!(alive(&promises, seconds), left, "{seconds}");
            assert!(promises.are_alive(at(seconds)));
        }
        assert!(alive(&promises, 141).is_empty() && !promises.are_alive(at(141)));
    }

    #[test]
    fn of_too_many_promises_those_that_were_made_last_are_remembered() {
        let mut promises = Promises::default();
        for window in [1, 2, 3, 4, 1, 5, 5, 5] {
            promises.on_cookie(at(0), promise(window));
        }
        assert_eq!(alive(&promises, 0), [5, 1, 4, 3]);
    }
}
