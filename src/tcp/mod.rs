//! TCP
mod config;
pub mod congestion {
    pub use super::config::TcpConfig as _T;
}
pub use config::TcpConfig;
/// tcp/info.rs: the snapshot that STATUS, the CLI and tests read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpInfo {
    pub state: crate::observe::TcpState,
    /// SRTT and RTTVAR, once measured.
    pub srtt: Option<crate::time::Duration>,
    pub rttvar: Option<crate::time::Duration>,
    pub rto: crate::time::Duration,
    /// Octets.
    pub cwnd: u32,
    pub ssthresh: u32,
    pub send_mss: u32,
    pub send_window: u32,
    pub receive_window: u32,
    pub send_window_shift: u8,
    pub receive_window_shift: u8,
    pub in_flight: u32,
    pub retransmissions: u64,
    /// Octets written and not yet acknowledged; octets not yet read.
    pub send_queue: u32,
    pub receive_queue: u32,
    /// Octets acknowledged by the peer / delivered in order to us.
    pub octets_acked: u64,
    pub octets_received: u64,
}
