//! Counters, derived from events; a Prometheus text form.

use std::fmt::Write as _;

use super::{DropReason, Event, Observer, SendReason, TcpState};
use crate::time::Instant;

/// One monotonic counter: its name, what it counts, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Name, without the prefix `wharf_`.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub help: &'static str,
    /// How often it has happened.
    pub value: u64,
}

/// How often each kind of event has happened.
#[derive(Clone, Debug)]
pub struct Counters {
    packets_received: u64,
    octets_received: u64,
    packets_sent: u64,
    octets_sent: u64,
    segments_sent: u64,
    retransmissions: u64,
    window_probes: u64,
    mtu_probes: u64,
    bare_acks: u64,
    keepalive_probes: u64,
    timeouts: u64,
    silent_peers: u64,
    fast_retransmits: u64,
    opened: u64,
    closed: u64,
    evicted: u64,
    shortages: u64,
    cookies_sent: u64,
    cookies_taken: u64,
    strays_forwarded: u64,
    dropped: Vec<u64>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            packets_received: 0,
            octets_received: 0,
            packets_sent: 0,
            octets_sent: 0,
            segments_sent: 0,
            retransmissions: 0,
            window_probes: 0,
            mtu_probes: 0,
            bare_acks: 0,
            keepalive_probes: 0,
            timeouts: 0,
            silent_peers: 0,
            fast_retransmits: 0,
            opened: 0,
            closed: 0,
            evicted: 0,
            shortages: 0,
            cookies_sent: 0,
            cookies_taken: 0,
            strays_forwarded: 0,
            dropped: vec![0; DropReason::ALL.len()],
        }
    }
}

impl Observer for Counters {
    fn on_event(&mut self, _now: Instant, event: &Event) {
        match *event {
            Event::PacketReceived { len } => {
                self.packets_received += 1;
                self.octets_received += len as u64;
            }
            Event::PacketDropped { reason } => self.dropped[reason as usize] += 1,
            Event::PacketSent { len } => {
                self.packets_sent += 1;
                self.octets_sent += len as u64;
            }
            Event::SegmentSent { reason, .. } => {
                self.segments_sent += 1;
                match reason {
                    SendReason::Retransmission => self.retransmissions += 1,
                    SendReason::WindowProbe => self.window_probes += 1,
                    SendReason::MtuProbe => self.mtu_probes += 1,
                    SendReason::KeepAlive => self.keepalive_probes += 1,
                    SendReason::Ack => self.bare_acks += 1,
                    SendReason::Handshake
                    | SendReason::Data
                    | SendReason::Fin
                    | SendReason::Reset => {}
                }
            }
            Event::StateChanged { from, to, .. } => {
                self.opened += u64::from(to == TcpState::Established);
                let was_open = !matches!(from, TcpState::SynSent | TcpState::SynReceived);
                self.closed += u64::from(to == TcpState::Closed && was_open);
            }
            Event::SynCookieSent { .. } => self.cookies_sent += 1,
            Event::SynCookieTaken { .. } => self.cookies_taken += 1,
            Event::StrayForwarded => self.strays_forwarded += 1,
            Event::MemoryPressure { is_short } => self.shortages += u64::from(is_short),
            Event::Evicted { .. } => self.evicted += 1,
            Event::RetransmissionTimeout { .. } => self.timeouts += 1,
            Event::PeerSilent { .. } => self.silent_peers += 1,
            Event::FastRetransmit { .. } => self.fast_retransmits += 1,
        }
    }
}

impl Counters {
    /// The counters but for the drops, in a fixed order.
    pub fn list(&self) -> [Counter; 20] {
        let counter = |name, help, value| Counter { name, help, value };
        [
            counter(
                "packets_received_total",
                "IP packets received, a super-segment as one.",
                self.packets_received,
            ),
            counter("octets_received_total", "Octets in received packets.", self.octets_received),
            counter(
                "packets_sent_total",
                "IP packets sent, a super-segment as one.",
                self.packets_sent,
            ),
            counter("octets_sent_total", "Octets in sent packets.", self.octets_sent),
            counter(
                "tcp_segments_sent_total",
                "TCP segments sent, a super-segment as one.",
                self.segments_sent,
            ),
            counter("tcp_retransmissions_total", "TCP segments sent again.", self.retransmissions),
            counter("tcp_window_probes_total", "Zero-window probes sent.", self.window_probes),
            counter(
                "tcp_mtu_probes_total",
                "Segments that try what a path carries.",
                self.mtu_probes,
            ),
            counter("tcp_bare_acks_total", "Segments that only acknowledge.", self.bare_acks),
            counter(
                "tcp_keepalive_probes_total",
                "Questions to idle peers whether they are there.",
                self.keepalive_probes,
            ),
            counter(
                "tcp_silent_peers_total",
                "Connections that sent R1 times again without an answer.",
                self.silent_peers,
            ),
            counter("tcp_timeouts_total", "Retransmission timers that ran out.", self.timeouts),
            counter(
                "tcp_fast_retransmits_total",
                "Losses found by duplicate acknowledgments.",
                self.fast_retransmits,
            ),
            counter("tcp_opened_total", "Connections that were established.", self.opened),
            counter("tcp_closed_total", "Connections that a packet or timer ended.", self.closed),
            counter(
                "tcp_evicted_total",
                "Orphans and records in TIME-WAIT that made room for newer ones.",
                self.evicted,
            ),
            counter(
                "tcp_memory_shortages_total",
                "Times at which the buffers of all connections reached their limit.",
                self.shortages,
            ),
            counter("tcp_syn_cookies_sent_total", "SYNs answered by cookies.", self.cookies_sent),
            counter(
                "tcp_syn_cookies_taken_total",
                "Connections made of cookies that came back.",
                self.cookies_taken,
            ),
            counter(
                "strays_forwarded_total",
                "Packets that came in at a shard and were handed to another.",
                self.strays_forwarded,
            ),
        ]
    }

    /// Counts what `other` has counted too.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            packets_received,
            octets_received,
            packets_sent,
            octets_sent,
            segments_sent,
            retransmissions,
            window_probes,
            mtu_probes,
            bare_acks,
            keepalive_probes,
            timeouts,
            silent_peers,
            fast_retransmits,
            opened,
            closed,
            evicted,
            shortages,
            cookies_sent,
            cookies_taken,
            strays_forwarded,
            dropped,
        } = other;
        self.packets_received += packets_received;
        self.octets_received += octets_received;
        self.packets_sent += packets_sent;
        self.octets_sent += octets_sent;
        self.segments_sent += segments_sent;
        self.retransmissions += retransmissions;
        self.window_probes += window_probes;
        self.mtu_probes += mtu_probes;
        self.bare_acks += bare_acks;
        self.keepalive_probes += keepalive_probes;
        self.timeouts += timeouts;
        self.silent_peers += silent_peers;
        self.fast_retransmits += fast_retransmits;
        self.opened += opened;
        self.closed += closed;
        self.evicted += evicted;
        self.shortages += shortages;
        self.cookies_sent += cookies_sent;
        self.cookies_taken += cookies_taken;
        self.strays_forwarded += strays_forwarded;
        for (sum, more) in self.dropped.iter_mut().zip(dropped) {
            *sum += more;
        }
    }

    /// How many packets were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// All counters in the Prometheus text format, each name prefixed with `wharf_`.
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        for Counter { name, help, value } in self.list() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "# HELP wharf_{name} {help}\n# TYPE wharf_{name} counter\nwharf_{name} {value}"
            );
        }
        text.push_str("# HELP wharf_dropped_total Packets that went no further, by reason.\n");
        text.push_str("# TYPE wharf_dropped_total counter\n");
        for &reason in DropReason::ALL {
            let (label, value) = (reason.label(), self.dropped(reason));
            let _ = writeln!(text, "wharf_dropped_total{{reason=\"{label}\"}} {value}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Endpoint, FourTuple};

    #[test]
    fn each_drop_counts_under_its_own_reason_and_no_other() {
        let mut counters = Counters::default();
        for &reason in DropReason::ALL {
            counters.on_event(Instant::ZERO, &Event::PacketDropped { reason });
        }
        assert!(DropReason::ALL.iter().all(|&reason| counters.dropped(reason) == 1));
        assert!(counters.to_prometheus().contains("{reason=\"below_window\"} 1\n"));
    }

    #[test]
    fn what_was_never_open_is_not_closed() {
        let flow = FourTuple {
            local: Endpoint::new([10, 7, 0, 2].into(), 80),
            remote: Endpoint::new([10, 7, 0, 1].into(), 5000),
        };
        let closed = |from| {
            let mut counters = Counters::default();
            let event = Event::StateChanged { flow, from, to: TcpState::Closed };
            counters.on_event(Instant::ZERO, &event);
            counters.closed
        };
        assert_eq!([TcpState::SynSent, TcpState::SynReceived].map(closed), [0, 0]);
        assert_eq!([TcpState::Established, TcpState::TimeWait].map(closed), [1, 1]);
    }

    #[test]
    fn what_two_have_counted_is_added_name_by_name() {
        let mut counters = Counters::default();
        counters.on_event(Instant::ZERO, &Event::PacketReceived { len: 40 });
        counters.on_event(Instant::ZERO, &Event::PacketDropped { reason: DropReason::NoAck });
        let mut sum = counters.clone();
        sum.add(&counters);
        assert_eq!((sum.list()[0].value, sum.list()[1].value), (2, 80));
        assert_eq!(sum.dropped(DropReason::NoAck), 2);
        assert_eq!(sum.list().iter().map(|counter| counter.value).sum::<u64>(), 82);
    }
}
