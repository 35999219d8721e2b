//! The snapshot that STATUS, the command line and tests read.

use super::congestion::CongestionControl as _;
use super::connect::Connecting;
use super::connection::Connection;
use crate::observe::TcpState;
use crate::time::{Duration, Instant};

/// What `ss -ti` shows of a connection: STATUS of RFC 9293 §3.10.6, and TCP_INFO of Linux, whose
/// names stand behind (`tcpi_…`). Where Linux tells how long ago something was, this tells when;
/// where it counts segments of a window, this counts octets.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state (`tcpi_state`).
    pub state: TcpState,
    /// What recovery is doing (`tcpi_ca_state`).
    pub recovery: RecoveryState,
    /// How often the retransmission timer has run out since something was acknowledged
    /// (`tcpi_retransmits`). From 3 on (R1 of RFC 9293 §3.8.3) the peer counts as silent.
    pub retransmits: u32,
    /// Probes of keep-alive or of a shut window since the peer was heard of, or since it last
    /// changed its window (`tcpi_probes`).
    pub probes: u32,
    /// How often the retransmission time-out, or the wait between probes, has doubled
    /// (`tcpi_backoff`).
    pub backoff: u32,
    /// Whether timestamps were agreed (`tcpi_options`, TCPI_OPT_TIMESTAMPS).
    pub timestamps: bool,
    /// Whether selective acknowledgments were agreed (TCPI_OPT_SACK).
    pub sack: bool,
    /// Whether window scaling was agreed (TCPI_OPT_WSCALE).
    pub window_scale: bool,
    /// By how much the peer's windows are shifted (`tcpi_snd_wscale`).
    pub send_window_shift: u8,
    /// By how much our windows are shifted (`tcpi_rcv_wscale`).
    pub receive_window_shift: u8,
    /// Retransmission timeout with its backoff (`tcpi_rto`).
    pub rto: Duration,
    /// For how long an acknowledgment is held back at most (`tcpi_ato`).
    pub ato: Duration,
    /// Octets of text in the largest segment that we send (`tcpi_snd_mss`).
    pub send_mss: u32,
    /// Octets of text in the largest segment that has arrived (`tcpi_rcv_mss`).
    pub receive_mss: u32,
    /// The MSS that we have announced (`tcpi_advmss`).
    pub announced_mss: u32,
    /// Octets of the largest packet that the path is believed to carry (`tcpi_pmtu`).
    pub path_mtu: u32,
    /// Octets sent and not acknowledged, our FIN counting as one (`tcpi_unacked`). Of a socket
    /// that listens: connections that wait to be accepted.
    pub unacknowledged: u32,
    /// Of a socket that listens: its backlog (`tcpi_sacked`).
    pub backlog: u32,
    /// Octets that are believed to be lost and have not left again (`tcpi_lost`).
    pub lost: u32,
    /// Octets that have left again and are not acknowledged (`tcpi_retrans`).
    pub retransmitted: u32,
    /// Octets believed to be in the network.
    pub in_flight: u32,
    /// When text, or a FIN, last left (`tcpi_last_data_sent`).
    pub last_data_sent: Option<Instant>,
    /// When text last arrived (`tcpi_last_data_recv`).
    pub last_data_received: Option<Instant>,
    /// When the peer was last heard of (`tcpi_last_ack_recv`).
    pub last_ack_received: Option<Instant>,
    /// Smoothed round-trip time, once one has been measured (`tcpi_rtt`).
    pub srtt: Option<Duration>,
    /// Variation of the round-trip time, once one has been measured (`tcpi_rttvar`).
    pub rttvar: Option<Duration>,
    /// The shortest round-trip time (`tcpi_min_rtt`).
    pub min_rtt: Option<Duration>,
    /// Slow-start threshold, octets; `u32::MAX` before the first loss (`tcpi_snd_ssthresh`).
    pub ssthresh: u32,
    /// Congestion window, octets (`tcpi_snd_cwnd`).
    pub cwnd: u32,
    /// SND.WND: the window that the peer offers, octets (`tcpi_snd_wnd`).
    pub send_window: u32,
    /// RCV.WND: the window that we offer, octets (`tcpi_rcv_wnd`).
    pub receive_window: u32,
    /// Octets that the receive buffer may hold (`tcpi_rcv_space`).
    pub receive_space: u32,
    /// Segments sent again since the connection opened (`tcpi_total_retrans`).
    pub retransmissions: u64,
    /// Octets of text that were acknowledged (`tcpi_bytes_acked`, without SYN and FIN).
    pub octets_acknowledged: u64,
    /// Octets of text that arrived in order (`tcpi_bytes_received`).
    pub octets_received: u64,
    /// Octets of text that left, again or for the first time (`tcpi_bytes_sent`).
    pub octets_sent: u64,
    /// Octets of text that left again (`tcpi_bytes_retrans`).
    pub octets_sent_again: u64,
    /// Segments that arrived since the handshake, and its last (`tcpi_segs_in`).
    pub segments_received: u32,
    /// Segments that left since the handshake; those of an active open count (`tcpi_segs_out`).
    pub segments_sent: u32,
    /// Segments with text that arrived (`tcpi_data_segs_in`).
    pub data_segments_received: u32,
    /// Segments with text that left (`tcpi_data_segs_out`).
    pub data_segments_sent: u32,
    /// Segments whose text was acknowledged (`tcpi_delivered`).
    pub delivered: u32,
    /// Segments that came before their time and were kept (`tcpi_rcv_ooopack`).
    pub early_segments: u32,
    /// Octets written and not sent (`tcpi_notsent_bytes`).
    pub unsent: u32,
    /// Octets written and not acknowledged (SIOCOUTQ).
    pub send_queue: u32,
    /// Octets received in order and not read (SIOCINQ).
    pub receive_queue: u32,
}

/// What recovery is doing, as `ss` and Linux tell it (`TCP_CA_Open` …).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryState {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Duplicate acknowledgments have come, too few to tell of a loss.
    Disorder,
    /// Duplicate acknowledgments told of a loss that is being repaired.
    Recovery,
    /// The retransmission timer ran out, and what was lost is being sent again.
    Loss,
}

impl TcpInfo {
    /// What is known of a socket that has only a state.
    pub(crate) fn of_state(state: TcpState) -> Self {
        Self { state, ssthresh: u32::MAX, ..Self::default() }
    }

    /// What is known of a socket that listens: how many wait to be accepted, and how many may.
    pub(crate) fn of_listener(waiting: usize, backlog: usize) -> Self {
        let count = |many| u32::try_from(many).unwrap_or(u32::MAX);
        let (unacknowledged, backlog) = (count(waiting), count(backlog));
        Self { unacknowledged, backlog, ..Self::of_state(TcpState::Listen) }
    }
}

impl Connecting {
    /// STATUS (RFC 9293 §3.10.6).
    pub(crate) fn info(&self) -> TcpInfo {
        TcpInfo {
            retransmits: self.retries(),
            backoff: self.retries(),
            rto: self.timeout(),
            announced_mss: self.announced_mss(),
            retransmissions: self.retries().into(),
            unacknowledged: 1, // Our SYN.
            segments_sent: self.retries().saturating_add(1),
            ..TcpInfo::of_state(self.tcp_state())
        }
    }
}

impl Connection {
    /// When the peer was last heard of.
    pub(crate) fn heard_at(&self) -> Instant {
        self.lifetime.heard_at()
    }

    /// STATUS (RFC 9293 §3.10.6).
    pub(crate) fn info(&self) -> TcpInfo {
        let (out, traffic) = (self.outstanding(), self.statistics.traffic());
        TcpInfo {
            state: self.tcp_state(),
            recovery: self.recovery.state(),
            retransmits: self.lifetime.retransmits().into(),
            probes: self.persist.probes().max(self.lifetime.probes().into()),
            backoff: self.recovery.backoffs().max(self.persist.probes()),
            timestamps: self.agreed.timestamps,
            sack: self.agreed.sack,
            window_scale: self.agreed.scaling.is_some(),
            send_window_shift: self.agreed.send_shift(),
            receive_window_shift: self.agreed.receive_shift(),
            rto: self.recovery.timeout(self.rtt.rto()),
            ato: self.acks.delay_max(),
            send_mss: self.send.mss(),
            receive_mss: self.acks.largest(),
            announced_mss: self.agreed.receive_mss.into(),
            path_mtu: self.path.mtu(),
            unacknowledged: out.len(),
            backlog: 0,
            lost: self.recovery.lost(),
            retransmitted: self.recovery.retransmitted(out),
            in_flight: self.recovery.in_flight(out),
            last_data_sent: self.recovery.last_sent(),
            last_data_received: traffic.data_received_at,
            last_ack_received: Some(self.lifetime.heard_at()),
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: traffic.min_rtt.or(self.rtt.srtt()),
            ssthresh: self.congestion.ssthresh(),
            cwnd: self.congestion.window(),
            send_window: self.send.wnd(),
            receive_window: self.receive.wnd(),
            receive_space: self.receive.buffer_max(),
            retransmissions: traffic.retransmissions,
            octets_acknowledged: traffic.octets_acknowledged,
            octets_received: traffic.octets_received,
            octets_sent: traffic.octets_sent,
            octets_sent_again: traffic.octets_sent_again,
            segments_received: self.statistics.segments_received,
            segments_sent: self.statistics.segments_sent,
            data_segments_received: traffic.data_segments_received,
            data_segments_sent: traffic.data_segments_sent,
            delivered: traffic.delivered,
            early_segments: traffic.early_segments,
            unsent: self.send.unsent(),
            send_queue: self.send.queued(),
            receive_queue: self.receive.readable(),
        }
    }
}
