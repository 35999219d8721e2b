//! The snapshot that STATUS, the command line and tests read.

use crate::observe::TcpState;
use crate::time::{Duration, Instant};

/// What `ss -ti` shows of a connection: STATUS of RFC 9293 §3.10.6.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state.
    pub state: TcpState,
    /// Smoothed round-trip time, once one has been measured.
    pub srtt: Option<Duration>,
    /// Variation of the round-trip time, once one has been measured.
    pub rttvar: Option<Duration>,
    /// Retransmission timeout with its backoff.
    pub rto: Duration,
    /// Congestion window, octets.
    pub cwnd: u32,
    /// Slow-start threshold, octets; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// Octets of text in the largest segment that we send.
    pub send_mss: u32,
    /// SND.WND: the window that the peer offers, octets.
    pub send_window: u32,
    /// RCV.WND: the window that we offer, octets.
    pub receive_window: u32,
    /// By how much the peer's windows are shifted.
    pub send_window_shift: u8,
    /// By how much our windows are shifted.
    pub receive_window_shift: u8,
    /// Octets believed to be in the network.
    pub in_flight: u32,
    /// Segments sent again since the connection opened.
    pub retransmissions: u64,
    /// How often the retransmission timer has run out since something was acknowledged
    /// (`tcpi_retransmits`). From 3 on (R1 of RFC 9293 §3.8.3) the peer counts as silent.
    pub retransmits: u8,
    /// Probes of keep-alive or of a shut window that were not answered (`tcpi_probes`).
    pub probes: u32,
    /// For how long an acknowledgment is held back at most.
    pub ato: Duration,
    /// When the peer was last heard of (`tcpi_last_ack_recv` is the time since).
    pub last_ack_received: Instant,
    /// Octets written and not acknowledged.
    pub send_queue: u32,
    /// Octets received in order and not read.
    pub receive_queue: u32,
}
