//! TCP_INFO: Linux's `struct tcp_info`, octet by octet. What is not known is 0.

use super::errno::Answer;
use super::handles::Entry;
use super::host::Host;
use crate::observe::TcpState;
use crate::tcp::{RecoveryState, TcpInfo};
use crate::time::{Duration, Instant};

/// Octets of the struct, up to and with `tcpi_total_rto_time` (Linux 6.7).
const LEN: usize = 248;

/// Where each field lies that is filled in. `tests/capi/layout.c` compares them with the system's
/// header.
mod offset {
    pub(super) const STATE: usize = 0;
    pub(super) const CA_STATE: usize = 1;
    pub(super) const RETRANSMITS: usize = 2;
    pub(super) const PROBES: usize = 3;
    pub(super) const BACKOFF: usize = 4;
    pub(super) const OPTIONS: usize = 5;
    /// `tcpi_snd_wscale` and `tcpi_rcv_wscale`, four bits each.
    pub(super) const WINDOW_SCALES: usize = 6;
    pub(super) const RTO: usize = 8;
    pub(super) const ATO: usize = 12;
    pub(super) const SND_MSS: usize = 16;
    pub(super) const RCV_MSS: usize = 20;
    pub(super) const UNACKED: usize = 24;
    pub(super) const SACKED: usize = 28;
    pub(super) const LOST: usize = 32;
    pub(super) const RETRANS: usize = 36;
    pub(super) const LAST_DATA_SENT: usize = 44;
    pub(super) const LAST_DATA_RECV: usize = 52;
    pub(super) const LAST_ACK_RECV: usize = 56;
    pub(super) const PMTU: usize = 60;
    pub(super) const RTT: usize = 68;
    pub(super) const RTTVAR: usize = 72;
    pub(super) const SND_SSTHRESH: usize = 76;
    pub(super) const SND_CWND: usize = 80;
    pub(super) const ADVMSS: usize = 84;
    pub(super) const REORDERING: usize = 88;
    pub(super) const RCV_SPACE: usize = 96;
    pub(super) const TOTAL_RETRANS: usize = 100;
    pub(super) const BYTES_ACKED: usize = 120;
    pub(super) const BYTES_RECEIVED: usize = 128;
    pub(super) const SEGS_OUT: usize = 136;
    pub(super) const SEGS_IN: usize = 140;
    pub(super) const NOTSENT_BYTES: usize = 144;
    pub(super) const MIN_RTT: usize = 148;
    pub(super) const DATA_SEGS_IN: usize = 152;
    pub(super) const DATA_SEGS_OUT: usize = 156;
    pub(super) const DELIVERED: usize = 192;
    pub(super) const BYTES_SENT: usize = 200;
    pub(super) const BYTES_RETRANS: usize = 208;
    pub(super) const RCV_OOOPACK: usize = 224;
    pub(super) const SND_WND: usize = 228;
    pub(super) const RCV_WND: usize = 232;
}

/// `TCPI_OPT_*`: what was agreed.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;

/// How many duplicate acknowledgments tell of a loss (RFC 5681 §3.2).
const DUPLICATES: u32 = 3;

/// The slow-start threshold before any loss (`TCP_INFINITE_SSTHRESH`).
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

/// The number of a state: `TCP_ESTABLISHED` to `TCP_CLOSING` of `linux/tcp.h`.
pub(super) fn state_number(state: TcpState) -> u8 {
    match state {
        TcpState::Established => 1,
        TcpState::SynSent => 2,
        TcpState::SynReceived => 3,
        TcpState::FinWait1 => 4,
        TcpState::FinWait2 => 5,
        TcpState::TimeWait => 6,
        TcpState::Closed => 7,
        TcpState::CloseWait => 8,
        TcpState::LastAck => 9,
        TcpState::Listen => 10,
        TcpState::Closing => 11,
    }
}

/// `enum tcp_ca_state` of `linux/tcp.h`.
fn recovery_number(state: RecoveryState) -> u8 {
    match state {
        RecoveryState::Open => 0,
        RecoveryState::Disorder => 1,
        RecoveryState::Recovery => 3,
        RecoveryState::Loss => 4,
    }
}

impl Host {
    /// TCP_INFO of a socket.
    pub(super) fn tcp_info(&self, entry: Entry) -> Answer<Vec<u8>> {
        let info = self.stack.info(entry.id)?;
        // What is over is CLOSED, and not the state in which it ended.
        let state = self.state(entry)?;
        let mut layout = Layout(vec![0; LEN]);
        layout.put(offset::STATE, [state_number(state)]);
        if state == TcpState::Listen {
            layout.put_u32(offset::UNACKED, info.unacknowledged);
            layout.put_u32(offset::SACKED, info.backlog);
        } else {
            layout.fill_state(&info);
            layout.fill_times(&info, self.now());
            layout.fill_queues(&info);
            layout.fill_counts(&info);
        }
        Ok(layout.0)
    }
}

/// The struct while it is filled in.
struct Layout(Vec<u8>);

impl Layout {
    fn put<const N: usize>(&mut self, at: usize, octets: [u8; N]) {
        if let Some(field) = self.0[at..].first_chunk_mut() {
            *field = octets;
        }
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.put(at, value.to_ne_bytes());
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        self.put(at, value.to_ne_bytes());
    }

    fn fill_state(&mut self, info: &TcpInfo) {
        self.put(offset::CA_STATE, [recovery_number(info.recovery)]);
        self.put(offset::RETRANSMITS, [octet(info.retransmits)]);
        self.put(offset::PROBES, [octet(info.probes)]);
        self.put(offset::BACKOFF, [octet(info.backoff)]);
        let agreed = [
            (info.timestamps, OPT_TIMESTAMPS),
            (info.sack, OPT_SACK),
            (info.window_scale, OPT_WSCALE),
        ];
        let options = agreed.iter().filter(|(is_agreed, _)| *is_agreed);
        self.put(offset::OPTIONS, [options.map(|(_, bit)| bit).sum()]);
        let scales = nibbles(info.send_window_shift, info.receive_window_shift);
        self.put(offset::WINDOW_SCALES, [scales]);
    }

    /// Microseconds; but how long ago something was is milliseconds.
    fn fill_times(&mut self, info: &TcpInfo, now: Instant) {
        self.put_u32(offset::RTO, micros(info.rto));
        self.put_u32(offset::ATO, micros(info.ato));
        self.put_u32(offset::RTT, info.srtt.map_or(0, micros));
        self.put_u32(offset::RTTVAR, info.rttvar.map_or(0, micros));
        self.put_u32(offset::MIN_RTT, info.min_rtt.map_or(0, micros));
        let since = |moment: Option<Instant>| moment.map_or(0, |moment| millis(now - moment));
        self.put_u32(offset::LAST_DATA_SENT, since(info.last_data_sent));
        self.put_u32(offset::LAST_DATA_RECV, since(info.last_data_received));
        self.put_u32(offset::LAST_ACK_RECV, since(info.last_ack_received));
    }

    /// Windows and what is under way: segments where Linux counts segments.
    fn fill_queues(&mut self, info: &TcpInfo) {
        let mss = info.send_mss.max(1);
        self.put_u32(offset::SND_MSS, info.send_mss);
        self.put_u32(offset::RCV_MSS, info.receive_mss);
        self.put_u32(offset::ADVMSS, info.announced_mss);
        self.put_u32(offset::PMTU, info.path_mtu);
        self.put_u32(offset::UNACKED, info.unacknowledged.div_ceil(mss));
        self.put_u32(offset::LOST, info.lost.div_ceil(mss));
        self.put_u32(offset::RETRANS, info.retransmitted.div_ceil(mss));
        let ssthresh = match info.ssthresh {
            u32::MAX => INFINITE_SSTHRESH,
            octets => octets / mss,
        };
        self.put_u32(offset::SND_SSTHRESH, ssthresh);
        self.put_u32(offset::SND_CWND, info.cwnd / mss);
        self.put_u32(offset::REORDERING, DUPLICATES);
        self.put_u32(offset::RCV_SPACE, info.receive_space);
        self.put_u32(offset::NOTSENT_BYTES, info.unsent);
        self.put_u32(offset::SND_WND, info.send_window);
        self.put_u32(offset::RCV_WND, info.receive_window);
    }

    fn fill_counts(&mut self, info: &TcpInfo) {
        let total = u32::try_from(info.retransmissions).unwrap_or(u32::MAX);
        self.put_u32(offset::TOTAL_RETRANS, total);
        self.put_u64(offset::BYTES_ACKED, info.octets_acknowledged);
        self.put_u64(offset::BYTES_RECEIVED, info.octets_received);
        self.put_u64(offset::BYTES_SENT, info.octets_sent);
        self.put_u64(offset::BYTES_RETRANS, info.octets_sent_again);
        self.put_u32(offset::SEGS_OUT, info.segments_sent);
        self.put_u32(offset::SEGS_IN, info.segments_received);
        self.put_u32(offset::DATA_SEGS_OUT, info.data_segments_sent);
        self.put_u32(offset::DATA_SEGS_IN, info.data_segments_received);
        self.put_u32(offset::DELIVERED, info.delivered);
        self.put_u32(offset::RCV_OOOPACK, info.early_segments);
    }
}

/// Two bit fields of four bits, as a C compiler packs them: the first lies lower on a
/// little-endian machine, and higher on a big-endian one.
fn nibbles(first: u8, second: u8) -> u8 {
    let is_little = cfg!(target_endian = "little");
    let (low, high) = if is_little { (first, second) } else { (second, first) };
    low & 15 | high << 4
}

fn octet(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(u8::MAX)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C test whose lines a C compiler checks against the system's header.
    const LAYOUT: &str = include_str!("../../tests/capi/layout.c");

    #[test]
    fn the_offsets_are_those_of_the_system_s_header() {
        let source = include_str!("tcp_info.rs");
        let fields = source.lines().filter_map(|line| {
            let (name, at) =
                line.trim().strip_prefix("pub(super) const ")?.split_once(": usize = ")?;
            Some((name.to_lowercase(), at.strip_suffix(';')?.parse::<usize>().ok()?))
        });
        let mut count = 0;
        for (name, at) in fields {
            count += 1;
            // Bit fields have no offset; the last is younger than the headers of many systems.
            if name != "window_scales" && name != "rcv_wnd" {
                assert!(LAYOUT.contains(&format!("FIELD({name}, {at});")), "{name} at {at}");
            }
        }
        assert!(count > 30, "{count}");
        assert_eq!(offset::RCV_WND, offset::SND_WND + 4);
        assert_eq!(offset::WINDOW_SCALES, offset::OPTIONS + 1);
    }
}
