//! When to give a connection up: R2, and the end of FIN-WAIT-2.

use super::config::TcpConfig;
use crate::time::{Duration, Instant};

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing that we sent was acknowledged for too long (RFC 9293 §3.8.3, R2, MUST-20).
    NoAnswer,
    /// The socket is gone and the peer does not close its side. RFC 9293 §3.6.1 knows no such
    /// limit; every stack has one, since the record would stay for ever.
    FinWait2,
}

/// How long a connection may wait for its peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    give_up_after: Duration,
    fin_wait_2_timeout: Duration,
    /// Since when something of ours waits for an answer.
    waiting_since: Option<Instant>,
    /// Since when it is in FIN-WAIT-2 without a socket.
    abandoned_since: Option<Instant>,
}

impl Lifetime {
    /// Nothing is waited for.
    pub(crate) fn new(config: &TcpConfig) -> Self {
        Self {
            give_up_after: config.give_up_after,
            fin_wait_2_timeout: config.fin_wait_2_timeout,
            waiting_since: None,
            abandoned_since: None,
        }
    }

    /// Tells whether octets, a FIN or a probe of ours wait for an answer.
    pub(crate) fn update(&mut self, now: Instant, is_waiting: bool) {
        if is_waiting {
            self.waiting_since.get_or_insert(now);
        } else {
            self.waiting_since = None;
        }
    }

    /// The peer acknowledged something new, or answered a probe of its shut window: it is there,
    /// and a window may stay shut for as long as it likes (MUST-37, MAY-8).
    pub(crate) fn on_progress(&mut self, now: Instant) {
        if self.waiting_since.is_some() {
            self.waiting_since = Some(now);
        }
    }

    /// Tells whether the connection is in FIN-WAIT-2 and nobody is left to read.
    pub(crate) fn update_abandoned(&mut self, now: Instant, is_abandoned: bool) {
        if is_abandoned {
            self.abandoned_since.get_or_insert(now);
        } else {
            self.abandoned_since = None;
        }
    }

    /// When the connection is given up if nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting_since.map(|since| since + self.give_up_after);
        let abandoned = self.abandoned_since.map(|since| since + self.fin_wait_2_timeout);
        waiting.into_iter().chain(abandoned).min()
    }

    /// Whether, and why, the time is up.
    pub(crate) fn expired(&self, now: Instant) -> Option<Expired> {
        let is_past = |since: Option<Instant>, limit| since.is_some_and(|s| s + limit <= now);
        if is_past(self.waiting_since, self.give_up_after) {
            Some(Expired::NoAnswer)
        } else if is_past(self.abandoned_since, self.fin_wait_2_timeout) {
            Some(Expired::FinWait2)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn must_20_a_silent_peer_is_given_up_after_r2_and_progress_starts_it_anew() {
        let mut lifetime = Lifetime::new(&TcpConfig::default());
        lifetime.update(at(0), true);
        lifetime.on_progress(at(100));
        lifetime.update(at(200), true);
        assert_eq!(lifetime.deadline(), Some(at(1000)));
        assert_eq!(lifetime.expired(at(999)), None);
        assert_eq!(lifetime.expired(at(1000)), Some(Expired::NoAnswer));
    }

    #[test]
    fn who_waits_for_nothing_is_never_given_up() {
        let mut lifetime = Lifetime::new(&TcpConfig::default());
        lifetime.update(at(0), true);
        lifetime.update(at(1), false);
        assert_eq!((lifetime.deadline(), lifetime.expired(at(1 << 30))), (None, None));
    }

    #[test]
    fn an_abandoned_fin_wait_2_ends_after_a_minute() {
        let mut lifetime = Lifetime::new(&TcpConfig::default());
        lifetime.update_abandoned(at(5), true);
        lifetime.update_abandoned(at(30), true);
        assert_eq!(lifetime.expired(at(64)), None);
        assert_eq!(lifetime.expired(at(65)), Some(Expired::FinWait2));
    }
}
