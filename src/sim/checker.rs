//! What must hold of every packet, and of every simulation at its end.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};

use super::craft::{Packet, TcpFlags, TcpSegment};
use super::workload::{Ending, Report};

/// Least MSS that a sender keeps to when the peer names none or a smaller one (RFC 9293 §3.7.1,
/// MUST-15).
const MSS_DEFAULT: usize = 536;

/// Watches one host's packets: each is well-formed, and each connection keeps its promises.
#[derive(Debug, Default)]
pub struct Audit {
    flows: BTreeMap<(SocketAddrV4, SocketAddrV4), FlowAudit>,
    /// What was wrong, in sentences.
    pub faults: Vec<String>,
}

/// What one connection has promised and been promised.
#[derive(Debug, Default)]
struct FlowAudit {
    /// Window scale of our SYN, and what the peer's SYN said.
    our_scale: Option<u8>,
    peer: PeerSyn,
    /// The last SYN that arrived: it counts once ours answers it.
    latest_syn: PeerSyn,
    /// Whether anything but our SYN has been sent: from then on a SYN that arrives is not meant
    /// for this connection.
    is_open: bool,
    /// Right edge of the window that we have offered.
    our_edge: Option<u32>,
    /// Right edge of the window that the peer has offered, and our highest sequence number.
    peer_edge: Option<u32>,
}

/// What the options of the peer's SYN said.
#[derive(Clone, Copy, Debug, Default)]
struct PeerSyn {
    scale: Option<u8>,
    mss: Option<usize>,
}

impl PeerSyn {
    fn of(segment: &TcpSegment) -> Self {
        let mss = option(&segment.options, 2).and_then(|value| value.try_into().ok());
        Self {
            scale: option(&segment.options, 3).and_then(|value| value.first().copied()),
            mss: mss.map(|value| usize::from(u16::from_be_bytes(value))),
        }
    }
}

/// Whether `a` lies before `b` in the sequence space.
fn is_before(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() > 0
}

/// The value of an option of kind `kind`.
fn option(mut octets: &[u8], kind: u8) -> Option<&[u8]> {
    loop {
        octets = match octets {
            [] | [0, ..] => return None,
            [1, rest @ ..] => rest,
            [found, len, ..] => {
                let (option, rest) = octets.split_at_checked(usize::from(*len).max(2))?;
                if *found == kind {
                    return option.get(2..);
                }
                rest
            }
            [_] => return None,
        }
    }
}

impl Audit {
    /// How many connections there have been.
    pub(super) fn flows(&self) -> u64 {
        self.flows.len() as u64
    }

    /// The host has sent these octets.
    pub fn on_sent(&mut self, octets: &[u8]) {
        let packet = match Packet::decode(octets) {
            Ok(packet) => packet,
            Err(fault) => {
                return self.faults.push(format!("sent a malformed packet: {fault}"));
            }
        };
        let Some(segment) = packet.segment() else {
            return;
        };
        if segment.flags.contains(TcpFlags::RST) {
            return;
        }
        let key = (packet.source_addr(), packet.destination_addr());
        let flow = self.flows.entry(key).or_default();
        if let Some(fault) = flow.on_sent(segment) {
            self.faults.push(format!("{} to {}: {fault}", key.0, key.1));
        }
    }

    /// The host is about to receive these octets.
    pub fn on_received(&mut self, octets: &[u8]) {
        let Ok(packet) = Packet::decode(octets) else {
            return;
        };
        if let Some(segment) = packet.segment() {
            let key = (packet.destination_addr(), packet.source_addr());
            self.flows.entry(key).or_default().on_received(segment);
        }
    }
}

impl FlowAudit {
    fn on_sent(&mut self, segment: &TcpSegment) -> Option<String> {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let has_ack = segment.flags.contains(TcpFlags::ACK);
        if is_syn {
            self.our_scale = PeerSyn::of(segment).scale;
            (self.our_edge, self.peer_edge, self.is_open) = (None, None, false);
            self.peer = if has_ack { self.latest_syn } else { PeerSyn::default() };
        } else if option(&segment.options, 2).is_some() {
            return Some("MSS on a segment other than SYN (MUST-65)".into());
        }
        if segment.payload.len() > self.peer.mss.unwrap_or(MSS_DEFAULT) {
            return Some(format!("{} octets exceed the MSS (MUST-16)", segment.payload.len()));
        }
        self.is_open |= !is_syn;
        let last = segment.seq.wrapping_add(segment.len());
        let data_end = segment
            .seq
            .wrapping_add(u32::try_from(segment.payload.len()).expect("a packet fits 16 bits"));
        // One octet is a probe; anything longer must fit a window that was once open.
        if let Some(edge) = self.peer_edge
            && segment.payload.len() > 1
            && is_before(edge, data_end)
        {
            return Some(format!("sent up to {last}, offered was {edge}"));
        }
        if !has_ack {
            return None;
        }
        let edge = segment.ack.wrapping_add(scaled(segment, self.our_scale, self.peer.scale));
        let before = self.our_edge.replace(edge);
        // The field may say less than one of its units too little (RFC 7323 §2.4).
        let unit = 1u32 << self.our_scale.unwrap_or(0).min(14);
        if before.is_some_and(|before| is_before(edge.wrapping_add(unit - 1), before)) {
            return Some(format!("the window shrank from {before:?} to {edge} (SHLD-14)"));
        }
        None
    }

    fn on_received(&mut self, segment: &TcpSegment) {
        if segment.flags.contains(TcpFlags::SYN) {
            self.latest_syn = PeerSyn::of(segment);
            if !self.is_open {
                self.peer = self.latest_syn;
                self.peer_edge = None;
            }
        }
        if segment.flags.contains(TcpFlags::ACK) {
            let window = scaled(segment, self.peer.scale, self.our_scale);
            let edge = segment.ack.wrapping_add(window);
            if self.peer_edge.is_none_or(|old| is_before(old, edge)) {
                self.peer_edge = Some(edge);
            }
        }
    }
}

/// The window of a segment in octets: scaled by `own` if both sides have offered to scale, and
/// never on a SYN (RFC 7323 §2.2).
fn scaled(segment: &TcpSegment, own: Option<u8>, other: Option<u8>) -> u32 {
    let window = u32::from(segment.window);
    match (own, other) {
        (Some(shift), Some(_)) if !segment.flags.contains(TcpFlags::SYN) => window << shift.min(14),
        _ => window,
    }
}

/// Compares the two ends of each connection; gives what is wrong, in sentences.
///
/// Without an abort, each end has read exactly what the other wrote, has seen its end (unless its
/// plan never looks), and met no error. With one, nobody has read what was not written.
pub fn compare_ends(reports: &[Report]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ends: BTreeMap<(SocketAddr, SocketAddr), Vec<&Report>> = BTreeMap::new();
    for report in reports {
        let name = format!("{} to {}", report.local, report.remote);
        if report.is_garbled {
            faults.push(format!("{name}: read octets that nobody wrote"));
        }
        if report.finished.is_none() {
            faults.push(format!(
                "{name}: not finished, {} of {} sent, {} received, end {}",
                report.sent, report.plan.send, report.received, report.saw_end
            ));
        }
        ends.entry((report.local, report.remote)).or_default().push(report);
    }
    for (&(local, remote), here) in &ends {
        let there = ends.get(&(remote, local)).map_or(&[][..], |there| there);
        let may_miss = |report: &&Report| report.error.is_some() || is_abort(report);
        if here.len() != there.len() && !here.iter().any(may_miss) {
            faults.push(format!("{local} to {remote}: the other end is missing"));
        }
        for (one, other) in here.iter().zip(there) {
            faults.extend(compare(one, other).map(|fault| format!("{local} to {remote}: {fault}")));
        }
    }
    faults
}

/// What [`compare_ends`] asks even of connections that may fail: nobody has read what was not
/// written there, and every program is through.
pub fn compare_octets(reports: &[Report]) -> Vec<String> {
    let mut faults = Vec::new();
    for report in reports {
        let name = format!("{} to {}", report.local, report.remote);
        if report.is_garbled {
            faults.push(format!("{name}: read octets that nobody wrote"));
        }
        if report.finished.is_none() {
            faults.push(format!("{name}: not finished"));
        }
        let mut others = reports
            .iter()
            .filter(|other| (other.local, other.remote) == (report.remote, report.local));
        // Of several connections with the same ends nobody knows which belong together.
        if let (Some(other), None) = (others.next(), others.next())
            && report.received > other.sent
        {
            faults.push(format!("{name}: {} received, {} sent", report.received, other.sent));
        }
    }
    faults
}

fn is_abort(report: &Report) -> bool {
    matches!(report.plan.ending, Ending::Abort(_))
}

/// What `one` did against what `other` saw of it.
fn compare(one: &Report, other: &Report) -> Option<String> {
    if other.received > one.sent {
        return Some(format!("{} sent, {} received", one.sent, other.received));
    }
    if is_abort(one) || is_abort(other) {
        return None;
    }
    if let Some(error) = one.error {
        return Some(format!("failed: {error}"));
    }
    let looks = !matches!(other.plan.ending, Ending::CloseAtOnce);
    if looks && (other.received != one.sent || one.sent != one.plan.send) {
        return Some(format!("{} sent, {} received", one.sent, other.received));
    }
    (looks && !other.saw_end).then(|| "the other end has not seen the end".into())
}
