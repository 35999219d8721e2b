//! Congestion control: how much may be in flight (RFC 9293 §3.8.2, MUST-19; RFC 5681).
//!
//! ```text
//!  recovery ── AckSample, Congestion ──▶ Algorithm { cwnd, ssthresh, … } ── window ──▶ output
//! ```

mod reno;
mod slow_start;

use crate::time::Duration;

pub(crate) use self::reno::Reno;

/// Largest congestion window, octets: what the largest window of a peer can use (RFC 7323 §2.3).
const WINDOW_MAX: u32 = 1 << 30;

/// What one acknowledgment told us, worked out once by `tcp::recovery`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckSample {
    /// Octets that this acknowledgment delivered, by ACK or by SACK.
    pub(crate) delivered: u32,
    /// Whether the window, and not the application, was what held us back (RFC 7661).
    pub(crate) was_window_limited: bool,
}

/// Why to slow down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Congestion {
    /// Duplicate acknowledgments found a loss; the start of a recovery episode.
    Loss,
    /// The retransmission timer ran out.
    Timeout,
    /// It ran out again before what was lost then had arrived: ssthresh stays (RFC 5681 §3.1).
    RepeatedTimeout,
}

/// A congestion controller. It sees samples and owns its window; it never sees the connection.
///
/// The window is a bound on what is *in flight*: octets that the peer is known to have, because
/// of duplicate acknowledgments or SACK, have left the network and count no more. So the window
/// is never inflated and deflated during a recovery (RFC 5681 §3.2, steps 3 to 6): it falls to
/// ssthresh at once, and what the duplicates deliver makes the room for new segments.
pub(crate) trait CongestionControl {
    /// An acknowledgment arrived outside of recovery.
    fn on_ack(&mut self, sample: AckSample);
    /// A new episode of congestion began, with `in_flight` octets outstanding.
    fn on_congestion(&mut self, cause: Congestion, in_flight: u32);
    /// An episode that began with a loss is over: all that was outstanding then is acknowledged.
    fn on_recovered(&mut self);
    /// Nothing was sent for `idle`, with a retransmission timeout of `rto`.
    fn on_idle(&mut self, idle: Duration, rto: Duration);
    /// A full segment has `mss` octets from now on. The window counts octets and stays.
    fn on_mss(&mut self, mss: u32);
    /// Octets that may be in flight.
    fn window(&self) -> u32;
    /// The window below which it grows by slow start, octets.
    fn ssthresh(&self) -> u32;
}

/// The algorithms that a connection can use. An enum, so that an idle connection holds its
/// controller in place and needs no memory beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Algorithm {
    /// RFC 5681.
    Reno(Reno),
}

impl Algorithm {
    /// Reno with segments of `mss` octets and an initial window of `initial_window` octets.
    pub(crate) fn reno(mss: u32, initial_window: u32) -> Self {
        Self::Reno(Reno::new(mss, initial_window))
    }
}

impl CongestionControl for Algorithm {
    fn on_ack(&mut self, sample: AckSample) {
        match self {
            Self::Reno(reno) => reno.on_ack(sample),
        }
    }

    fn on_congestion(&mut self, cause: Congestion, in_flight: u32) {
        match self {
            Self::Reno(reno) => reno.on_congestion(cause, in_flight),
        }
    }

    fn on_recovered(&mut self) {
        match self {
            Self::Reno(reno) => reno.on_recovered(),
        }
    }

    fn on_idle(&mut self, idle: Duration, rto: Duration) {
        match self {
            Self::Reno(reno) => reno.on_idle(idle, rto),
        }
    }

    fn on_mss(&mut self, mss: u32) {
        match self {
            Self::Reno(reno) => reno.on_mss(mss),
        }
    }

    fn window(&self) -> u32 {
        match self {
            Self::Reno(reno) => reno.window(),
        }
    }

    fn ssthresh(&self) -> u32 {
        match self {
            Self::Reno(reno) => reno.ssthresh(),
        }
    }
}
