//! TCP_INFO: Linux's `struct tcp_info`, octet by octet. What is not known is 0.

use super::errno::Answer;
use super::handles::Entry;
use super::host::Host;
use crate::observe::TcpState;
use crate::tcp::TcpInfo;
use crate::time::Duration;

/// Octets of the struct, up to and with `tcpi_total_rto_time` (Linux 6.7).
const LEN: usize = 248;

/// Where each field lies that is filled in. `tests/capi/layout.c` compares them with the system's
/// header.
mod offset {
    pub(super) const STATE: usize = 0;
    pub(super) const RETRANSMITS: usize = 2;
    pub(super) const PROBES: usize = 3;
    pub(super) const WINDOW_SCALES: usize = 6;
    pub(super) const RTO: usize = 8;
    pub(super) const ATO: usize = 12;
    pub(super) const SND_MSS: usize = 16;
    pub(super) const UNACKED: usize = 24;
    pub(super) const RTT: usize = 68;
    pub(super) const RTTVAR: usize = 72;
    pub(super) const SND_SSTHRESH: usize = 76;
    pub(super) const SND_CWND: usize = 80;
    pub(super) const TOTAL_RETRANS: usize = 100;
    pub(super) const SND_WND: usize = 228;
    pub(super) const RCV_WND: usize = 232;
}

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

/// The slow-start threshold before any loss (`TCP_INFINITE_SSTHRESH`).
const INFINITE_SSTHRESH: u32 = 0x7fff_ffff;

impl Host {
    /// TCP_INFO of a socket; without a connection little more than its state is known.
    pub(super) fn tcp_info(&self, entry: Entry) -> Answer<Vec<u8>> {
        let mut layout = Layout(vec![0; LEN]);
        layout.put(offset::STATE, [state_number(self.state(entry)?)]);
        if let Ok(info) = self.stack.info(entry.id) {
            layout.fill(&info);
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

    fn fill(&mut self, info: &TcpInfo) {
        self.put(
            offset::WINDOW_SCALES,
            [nibbles(info.send_window_shift, info.receive_window_shift)],
        );
        self.put(offset::RETRANSMITS, [info.retransmits]);
        self.put(offset::PROBES, [u8::try_from(info.probes).unwrap_or(u8::MAX)]);
        self.put_u32(offset::RTO, micros(info.rto));
        self.put_u32(offset::ATO, micros(info.ato));
        self.put_u32(offset::SND_MSS, info.send_mss);
        self.put_u32(offset::UNACKED, segments(info.in_flight, info.send_mss));
        self.put_u32(offset::RTT, info.srtt.map_or(0, micros));
        self.put_u32(offset::RTTVAR, info.rttvar.map_or(0, micros));
        let ssthresh = match info.ssthresh {
            u32::MAX => INFINITE_SSTHRESH,
            octets => octets / info.send_mss.max(1),
        };
        self.put_u32(offset::SND_SSTHRESH, ssthresh);
        self.put_u32(offset::SND_CWND, info.cwnd / info.send_mss.max(1));
        let total = u32::try_from(info.retransmissions).unwrap_or(u32::MAX);
        self.put_u32(offset::TOTAL_RETRANS, total);
        self.put_u32(offset::SND_WND, info.send_window);
        self.put_u32(offset::RCV_WND, info.receive_window);
    }
}

/// Two bit fields of four bits, as a C compiler packs them: the first lies lower on a
/// little-endian machine, and higher on a big-endian one.
fn nibbles(first: u8, second: u8) -> u8 {
    let (low, high) =
        if cfg!(target_endian = "little") { (first, second) } else { (second, first) };
    low & 15 | high << 4
}

/// How many segments so many octets are, a part of one counting as one.
fn segments(octets: u32, mss: u32) -> u32 {
    octets.div_ceil(mss.max(1))
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C test whose lines a C compiler checks against the system's header.
    const LAYOUT: &str = include_str!("../../tests/capi/layout.c");

    #[test]
    fn the_offsets_are_those_of_the_system_s_header() {
        for (name, at) in [
            ("retransmits", offset::RETRANSMITS),
            ("probes", offset::PROBES),
            ("rto", offset::RTO),
            ("ato", offset::ATO),
            ("snd_mss", offset::SND_MSS),
            ("unacked", offset::UNACKED),
            ("rtt", offset::RTT),
            ("rttvar", offset::RTTVAR),
            ("snd_ssthresh", offset::SND_SSTHRESH),
            ("snd_cwnd", offset::SND_CWND),
            ("total_retrans", offset::TOTAL_RETRANS),
            ("snd_wnd", offset::SND_WND),
        ] {
            assert!(LAYOUT.contains(&format!("FIELD({name}, {at});")), "{name} at {at}");
        }
        // Younger than the headers of many systems, and right behind what those have.
        assert_eq!(offset::RCV_WND, offset::SND_WND + 4);
    }
}
