//! Reno (RFC 5681 §3.1), counting octets (RFC 3465).

use super::{AckSample, Congestion, CongestionControl, WINDOW_MAX, slow_start};
use crate::time::Duration;

/// Reno: slow start and congestion avoidance (RFC 5681 §3.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reno {
    /// Congestion window, octets.
    cwnd: u32,
    /// Slow-start threshold, octets.
    ssthresh: u32,
    /// Octets delivered towards the next increase in congestion avoidance.
    credit: u32,
    /// Sender maximum segment size, octets; at least 1.
    mss: u32,
    /// IW of RFC 5681, octets; the restart window is never larger.
    initial_window: u32,
}

impl Reno {
    /// Starts with `initial_window` octets (RFC 6928) of segments of `mss` octets.
    pub(crate) fn new(mss: u32, initial_window: u32) -> Self {
        let mss = mss.max(1);
        let initial_window = initial_window.clamp(mss, WINDOW_MAX.max(mss));
        Self {
            cwnd: initial_window,
            // "Arbitrarily high", so that slow start lasts until the first loss (RFC 5681 §3.1).
            ssthresh: u32::MAX,
            credit: 0,
            mss,
            initial_window,
        }
    }

    /// Opens the window by so many octets, up to the limit.
    fn grow(&mut self, octets: u32) {
        self.cwnd = self.cwnd.saturating_add(octets).min(WINDOW_MAX);
    }
}

impl CongestionControl for Reno {
    fn on_ack(&mut self, sample: AckSample) {
        if !sample.was_window_limited {
            return; // A window that nobody fills has not been tried.
        }
        if self.cwnd < self.ssthresh {
            self.grow(slow_start::growth(sample, self.mss));
        } else {
            // Congestion avoidance: one MSS for each window delivered, and at most one an ACK.
            self.credit = self.credit.saturating_add(sample.delivered);
            if self.credit >= self.cwnd {
                self.credit = (self.credit - self.cwnd).min(self.cwnd);
                self.grow(self.mss);
            }
        }
    }

    fn on_congestion(&mut self, cause: Congestion, in_flight: u32) {
        let half = (in_flight / 2).max(self.mss.saturating_mul(2)); // RFC 5681 Eq. 4.
        self.credit = 0;
        (self.ssthresh, self.cwnd) = match cause {
            Congestion::Loss => (half, half),
            // The loss window, RFC 5681 §3.1.
            Congestion::Timeout => (half, self.mss),
            Congestion::RepeatedTimeout => (self.ssthresh, self.mss),
        };
    }

    /// RFC 5681 §3.2, step 6, deflates the window to ssthresh. Ours was never inflated, so that it
    /// is ssthresh already unless a timeout came in between, and must not jump up after that one.
    /// Or segments have grown past ssthresh in between: less than one would never let one out.
    fn on_recovered(&mut self) {
        self.cwnd = self.cwnd.min(self.ssthresh.max(self.mss));
    }

    /// RFC 5681 §4.1: after more than one timeout of silence the acknowledgments that paced us are
    /// gone, and the window shrinks to the restart window, min(IW, cwnd).
    fn on_idle(&mut self, idle: Duration, rto: Duration) {
        if idle > rto {
            // Segments may have grown since that was an initial window of theirs; less than one of
            // them would never let one out.
            self.cwnd = self.cwnd.min(self.initial_window.max(self.mss));
            self.credit = 0;
        }
    }

    fn on_mss(&mut self, mss: u32) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.mss); // A window below a segment would never let one out.
    }

    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }
}

#[cfg(test)]
#[path = "tests/reno.rs"]
mod tests;
