//! Whether the peer is still there: keep-alive, R1 and R2, the user timeout, and the end of
//! FIN-WAIT-2 (RFC 9293 §3.8.3, §3.8.4; RFC 5482).

use super::config::TcpConfig;
use crate::options::SocketOptions;
use crate::time::{Duration, Instant, earliest, nanos};

/// R1 of RFC 9293 §3.8.3: after so many retransmissions without progress the application is told
/// that the peer is silent (SHLD-9, SHLD-10). As Linux (`tcp_retries1`).
pub(crate) const R1: u8 = 3;

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing that we sent was acknowledged for too long (RFC 9293 §3.8.3, R2, MUST-20), or for
    /// longer than the user waits (MUST-21).
    NoAnswer,
    /// An idle peer has answered none of the probes of keep-alive. It is told by an RST, as Linux
    /// does: it may have forgotten less than it seems.
    NoSignOfLife,
    /// The socket is gone and the peer does not close its side. RFC 9293 §3.6.1 knows no such
    /// limit; every stack has one, since the record would stay for ever.
    FinWait2,
}

/// What a connection waits for that must not take for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// An answer to octets, to a FIN or to a probe of ours.
    Answer,
    /// The peer's FIN, in FIN-WAIT-2 without a socket.
    Fin,
}

/// How long a connection may wait for its peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// R2 of a socket that sets none, nanoseconds: a `Duration` takes twice the room.
    give_up_after: u64,
    /// Since when something is waited for, if anything is.
    waiting_since: Option<Instant>,
    /// What that is, or was.
    awaited: Awaited,
    /// When the peer was last heard of.
    heard_at: Instant,
    /// When the last probe of keep-alive left; means nothing before the first.
    probed_at: Instant,
    /// Probes of keep-alive since the peer was heard of.
    probes: u8,
    /// Whether one must leave now.
    is_probe_due: bool,
    /// How often the retransmission timer has run out since something was acknowledged.
    retransmits: u8,
    /// Whether the socket is gone, so that its user timeout may only shorten the wait.
    is_orphaned: bool,
}

impl Lifetime {
    /// Nothing is waited for, and the peer has just been heard of.
    pub(crate) fn new(now: Instant, config: &TcpConfig) -> Self {
        Self {
            give_up_after: nanos(config.give_up_after),
            waiting_since: None,
            awaited: Awaited::Answer,
            heard_at: now,
            probed_at: now,
            probes: 0,
            is_probe_due: false,
            retransmits: 0,
            is_orphaned: false,
        }
    }

    /// Tells whether octets, a FIN or a probe of ours wait for an answer; or else whether the
    /// connection is in FIN-WAIT-2 and nobody is left to read.
    pub(crate) fn update(&mut self, now: Instant, is_waiting: bool, is_abandoned: bool) {
        let awaited = if is_waiting { Awaited::Answer } else { Awaited::Fin };
        let since = self.waiting_since.filter(|_| self.awaited == awaited);
        self.waiting_since = (is_waiting || is_abandoned).then(|| since.unwrap_or(now));
        self.awaited = awaited;
    }

    /// The socket is gone: nobody would ever end the waiting, so `patience` is all there is.
    pub(crate) fn limit(&mut self, patience: Duration) {
        self.give_up_after = self.give_up_after.min(nanos(patience));
        self.is_orphaned = true;
    }

    /// A segment of the peer's came whose acknowledgment counts: it is there.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.probes = 0;
        self.is_probe_due = false;
    }

    /// The peer acknowledged something new, or answered a probe of its shut window: a window may
    /// stay shut for as long as it likes (MUST-37, MAY-8).
    pub(crate) fn on_progress(&mut self, now: Instant) {
        self.retransmits = 0;
        if self.awaited == Awaited::Answer {
            self.waiting_since = self.waiting_since.map(|_| now);
        }
    }

    /// The retransmission timer ran out. Says whether the peer has now been silent for R1.
    pub(crate) fn on_retransmission(&mut self) -> bool {
        self.retransmits = self.retransmits.saturating_add(1);
        self.retransmits == R1
    }

    /// How often the retransmission timer has run out since something was acknowledged.
    pub(crate) fn retransmits(&self) -> u8 {
        self.retransmits
    }

    /// Probes of keep-alive that the peer has not answered.
    pub(crate) fn probes(&self) -> u8 {
        self.probes
    }

    /// When the peer was last heard of.
    pub(crate) fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// Whether a probe of keep-alive must leave now.
    pub(crate) fn is_probe_due(&self) -> bool {
        self.is_probe_due
    }

    /// The probe left.
    pub(crate) fn on_probed(&mut self, now: Instant) {
        self.probed_at = now;
        self.probes = self.probes.saturating_add(1);
        self.is_probe_due = false;
    }

    /// When the connection is given up, or the peer is asked for a sign of life, if nothing comes.
    /// `is_busy`: octets wait to be sent or acknowledged, so that there is no need to ask.
    pub(crate) fn deadline(&self, options: &SocketOptions, is_busy: bool) -> Option<Instant> {
        let keepalive = self.keepalive_at(options, is_busy).filter(|_| !self.is_probe_due);
        earliest(self.gives_up_at(options), keepalive)
    }

    fn gives_up_at(&self, options: &SocketOptions) -> Option<Instant> {
        let since = self.waiting_since?;
        Some(match self.awaited {
            Awaited::Answer => {
                let own = Duration::from_nanos(self.give_up_after);
                let limit = if self.is_orphaned { own } else { Duration::MAX };
                since + options.user_timeout.unwrap_or(own).min(limit)
            }
            Awaited::Fin => since + options.linger2,
        })
    }

    /// When the next probe of keep-alive is due, or the last one counts as unanswered: only while
    /// nothing else would tell whether the peer is there (MUST-26).
    fn keepalive_at(&self, options: &SocketOptions, is_busy: bool) -> Option<Instant> {
        let is_on = options.keepalive && !is_busy;
        is_on.then(|| match self.probes {
            0 => self.heard_at + options.keepalive_idle,
            1.. => self.probed_at + options.keepalive_interval,
        })
    }

    /// Time has passed: whether the connection is given up, and why; else a probe may be due.
    pub(crate) fn on_timeout(
        &mut self,
        now: Instant,
        options: &SocketOptions,
        is_busy: bool,
    ) -> Option<Expired> {
        if self.gives_up_at(options).is_some_and(|at| at <= now) {
            return match self.awaited {
                Awaited::Answer => Some(Expired::NoAnswer),
                Awaited::Fin => Some(Expired::FinWait2),
            };
        }
        if self.keepalive_at(options, is_busy).is_none_or(|at| at > now) {
            return None;
        }
        // As Linux: the user timeout, where there is one, takes the place of the count. One probe
        // without an answer is never the end (MUST-29), unless the user has said so.
        let is_over = match options.user_timeout {
            Some(timeout) => self.probes > 0 && self.heard_at + timeout <= now,
            None => self.probes >= options.keepalive_count,
        };
        self.is_probe_due = !is_over;
        is_over.then_some(Expired::NoSignOfLife)
    }
}

#[cfg(test)]
#[path = "tests/lifetime.rs"]
mod tests;
