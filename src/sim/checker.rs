//! What must hold of every packet that a host sends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV4;

use super::craft::{Packet, TcpFlags, TcpSegment};
use super::notation::{OptionItem, decode_options};
use super::promptness::{Owed, WAIT_MAX};
use crate::time::Instant;

/// Least MSS that a sender keeps to when the peer names none or a smaller one (RFC 9293 §3.7.1,
/// MUST-15).
const MSS_DEFAULT: usize = 536;

/// Watches one host's packets: each is well-formed, and each connection keeps its promises.
#[derive(Debug, Default)]
pub struct Audit {
    flows: BTreeMap<Ends, FlowAudit>,
    /// Which connections have received something in order in this turn.
    fresh: Vec<Ends>,
    /// Which connections owed an acknowledgment from when on, the first first.
    owing: VecDeque<(Instant, Ends)>,
    /// A SYN that is answered by a cookie leaves no trace in the host: an old segment may bring
    /// back an earlier one than that which was answered last. To which of several connections with
    /// the same ends a segment belongs is not known then.
    pub(super) may_haunt: bool,
    /// Numbers of the SYNs, answered before, to whose answers a segment in this turn may belong
    /// that brings a cookie.
    brought: BTreeMap<Ends, BTreeSet<u32>>,
    /// What was wrong, in sentences.
    pub faults: Vec<String>,
}

/// The host's end of a connection, and the other one.
pub type Ends = (SocketAddrV4, SocketAddrV4);

/// What one connection has promised and been promised.
#[derive(Debug, Default)]
struct FlowAudit {
    /// What our SYN and the peer's said.
    own: SynOptions,
    peer: SynOptions,
    /// The last SYN that arrived: it counts once ours answers it.
    latest_syn: SynOptions,
    /// The sequence number of our last SYN.
    iss: Option<u32>,
    /// Whether anything but our SYN has been sent: from then on a SYN that arrives is not meant
    /// for this connection.
    is_open: bool,
    /// Right edge of the window that we have offered.
    our_edge: Option<u32>,
    /// Right edge of the window that the peer has offered.
    peer_edge: Option<u32>,
    /// The last TSval of ours, and the newest of the peer's.
    our_time: Option<u32>,
    peer_time: Option<u32>,
    /// Where the last text began that lay right of what we had acknowledged, since we last sent.
    early: Option<u32>,
    /// What we have acknowledged.
    acked: Option<u32>,
    /// Our highest sequence number.
    nxt: Option<u32>,
    /// Whether an RST has arrived, true or forged: what is sent after it may be of a connection
    /// that knows less.
    may_be_over: bool,
    /// Whether the host has sent a FIN, and received one.
    fins: (bool, bool),
    /// What the peer has acknowledged.
    peer_acked: Option<u32>,
    owed: Owed,
    /// Sequence numbers of all the SYNs that the host has answered, in this connection and in those
    /// before it.
    answered: BTreeSet<u32>,
    /// How many cookies the host has taken here, in this connection and in those before it.
    cookies: usize,
    /// Sequence numbers of the SYNs whose cookies these were, as far as that is known.
    taken: BTreeSet<u32>,
}

/// What the options of a SYN said.
#[derive(Clone, Copy, Debug, Default)]
struct SynOptions {
    scale: Option<u8>,
    mss: Option<usize>,
    sack: bool,
    timestamps: bool,
}

impl SynOptions {
    fn of(segment: &TcpSegment) -> Self {
        let mut all = Self::default();
        for item in decode_options(&segment.options, 0, (0, 0)) {
            match item {
                OptionItem::Mss(mss) => all.mss = Some(mss.into()),
                OptionItem::WindowScale(shift) => all.scale = Some(shift),
                OptionItem::SackPermitted => all.sack = true,
                OptionItem::Timestamps { .. } => all.timestamps = true,
                OptionItem::Sack(_)
                | OptionItem::Nop
                | OptionItem::EndOfList
                | OptionItem::Raw(_) => {}
            }
        }
        all
    }

    /// Whether an answer to `offered` says more than that has offered (RFC 7323 §2.2 and §3.2,
    /// RFC 2018 §2).
    fn exceeds(self, offered: Self) -> bool {
        (self.scale.is_some() && offered.scale.is_none())
            || (self.sack && !offered.sack)
            || (self.timestamps && !offered.timestamps)
    }
}

/// Whether `a` lies before `b` in the sequence space.
fn is_before(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() > 0
}

/// Whether `position` lies in `block`.
fn holds(block: (u32, u32), position: u32) -> bool {
    !is_before(position, block.0) && is_before(position, block.1)
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
        let key = (packet.source_addr(), packet.destination_addr());
        let flow = self.flows.entry(key).or_default();
        if segment.flags.contains(TcpFlags::RST) {
            return flow.on_reset();
        }
        let fault = flow.on_sent(segment);
        let is_excused = self.may_haunt && flow.may_be_ghost();
        if let Some(fault) = fault.filter(|_| !is_excused) {
            self.faults.push(format!("{} to {}: {fault}", key.0, key.1));
        }
    }

    /// The host is about to receive these octets.
    pub fn on_received(&mut self, now: Instant, octets: &[u8]) {
        let Ok(packet) = Packet::decode(octets) else {
            return;
        };
        if let Some(segment) = packet.segment() {
            let key = (packet.destination_addr(), packet.source_addr());
            let flow = self.flows.entry(key).or_default();
            flow.on_received(segment);
            flow.owed.on_seen(segment);
            let irs = segment.seq.wrapping_sub(1);
            if !segment.flags.contains(TcpFlags::SYN) && flow.answered.contains(&irs) {
                self.brought.entry(key).or_default().insert(irs);
            }
            if flow.must_take(segment)
                && let Some(acked) = flow.acked
            {
                if flow.owed.on_received(now, acked, segment) {
                    self.owing.push_back((now, key));
                }
                self.fresh.push(key);
            }
        }
    }

    /// The host has opened a connection by the cookie that an acknowledgment brought back.
    ///
    /// Of the cookies that answer one SYN its sender acknowledges one. Whose it was is not known if
    /// the host has received segments of several connections between these ends together.
    pub(super) fn on_cookie_taken(&mut self, ends: Ends) {
        let flow = self.flows.entry(ends).or_default();
        flow.cookies += 1;
        let mut brought = self.brought.get(&ends).into_iter().flatten();
        let is_again = match (brought.next(), brought.next()) {
            (Some(&irs), None) => !flow.taken.insert(irs),
            _ => false,
        };
        if is_again || flow.cookies > flow.answered.len() {
            self.faults.push(format!("{} to {}: took the same cookie twice", ends.0, ends.1));
        }
    }

    /// Of which connection this is a SYN that the host has answered before: an old one, if the host
    /// is in TIME-WAIT there.
    pub fn syn_again(&self, octets: &[u8]) -> Option<Ends> {
        let packet = Packet::decode(octets).ok()?;
        let segment = packet.segment().filter(|segment| segment.flags == TcpFlags::SYN)?;
        let ends = (packet.destination_addr(), packet.source_addr());
        self.flows.get(&ends)?.answered.contains(&segment.seq).then_some(ends)
    }

    /// The host has done all that it had to do at `now`; `is_open` says of which connections it
    /// has not given up meanwhile.
    pub fn end_turn(&mut self, now: Instant, is_open: impl Fn(Ends) -> bool) {
        self.brought.clear();
        let mut due = std::mem::take(&mut self.fresh);
        while let Some(&(since, key)) = self.owing.front()
            && now - since >= WAIT_MAX
        {
            self.owing.pop_front();
            due.push(key);
        }
        for key in due {
            let flow = self.flows.get(&key);
            let flow = flow.filter(|flow| !(self.may_haunt && flow.may_be_ghost()));
            let fault = flow.and_then(|flow| flow.owed.fault(now));
            if let Some(fault) = fault
                && is_open(key)
            {
                self.faults.push(format!("{} to {}: {fault}", key.0, key.1));
            }
        }
    }
}

impl FlowAudit {
    fn on_sent(&mut self, segment: &TcpSegment) -> Option<String> {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let has_ack = segment.flags.contains(TcpFlags::ACK);
        let options = SynOptions::of(segment);
        if is_syn {
            let peer = if has_ack { self.latest_syn } else { SynOptions::default() };
            let peer_time = self.peer_time.filter(|_| has_ack);
            let latest_syn = self.latest_syn;
            let (mut answered, cookies) = (std::mem::take(&mut self.answered), self.cookies);
            let taken = std::mem::take(&mut self.taken);
            if has_ack {
                answered.insert(segment.ack.wrapping_sub(1));
            }
            let (own, iss) = (options, Some(segment.seq));
            // A SYN-ACK that leaves once more may follow the first text, which tells of segments.
            let owed = if self.iss == iss { self.owed } else { Owed::default() };
            let fresh = Self::default();
            *self = Self { own, peer, latest_syn, iss, peer_time, owed, answered, ..fresh };
            (self.cookies, self.taken) = (cookies, taken);
            if has_ack && options.exceeds(peer) {
                return Some(format!("answered {peer:?} by {options:?}"));
            }
        } else if options.mss.is_some() || options.scale.is_some() || options.sack {
            return Some("an option of SYNs on another segment (MUST-65)".into());
        } else if let Some(fault) = self.check_options(segment) {
            return Some(fault);
        }
        let size = segment.payload.len() + segment.options.len();
        if !segment.payload.is_empty() && size > self.peer.mss.unwrap_or(MSS_DEFAULT) {
            return Some(format!("text and options of {size} octets exceed the MSS (MUST-16)"));
        }
        self.is_open |= !is_syn;
        let last = segment.seq.wrapping_add(segment.len());
        self.nxt = self.nxt.filter(|&nxt| is_before(last, nxt)).or(Some(last));
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
        (self.acked, self.early) = (Some(segment.ack), None);
        self.owed.on_acknowledged();
        let edge = segment.ack.wrapping_add(scaled(segment, self.own.scale, self.peer.scale));
        // Behind both FINs is no window.
        self.fins.0 |= segment.flags.contains(TcpFlags::FIN);
        if self.fins == (true, true) {
            self.our_edge = None;
            return None;
        }
        let before = self.our_edge.replace(edge);
        // The field may say less than one of its units too little (RFC 7323 §2.4).
        let unit = 1u32 << self.own.scale.unwrap_or(0).min(14);
        if before.is_some_and(|before| is_before(edge.wrapping_add(unit - 1), before)) {
            return Some(format!("the window shrank from {before:?} to {edge} (SHLD-14)"));
        }
        None
    }

    /// RFC 7323 §3.2: timestamps on every segment once agreed, and on none else. They never go
    /// back, and what they echo has been seen. RFC 2018 §2: SACK blocks only where permitted.
    fn check_options(&mut self, segment: &TcpSegment) -> Option<String> {
        let is_timed = self.own.timestamps && self.peer.timestamps;
        let (mut time, mut blocks) = (None, Vec::new());
        for item in decode_options(&segment.options, 0, (0, 0)) {
            match item {
                OptionItem::Timestamps { value, echo } => time = Some((value, echo)),
                OptionItem::Sack(all) => blocks = all,
                _ => {}
            }
        }
        if time.is_some() != is_timed {
            return Some(format!("timestamps {time:?}, though agreed is {is_timed}"));
        }
        if let Some((value, echo)) = time {
            let before = self.our_time.replace(value);
            if before.is_some_and(|before| is_before(value, before)) {
                return Some(format!("the clock went back from {before:?} to {value}"));
            }
            if self.peer_time.is_none_or(|newest| is_before(newest, echo)) {
                return Some(format!("{echo} is echoed, and the newest was {:?}", self.peer_time));
            }
        }
        let may_sack = self.own.sack && self.peer.sack;
        if !blocks.is_empty() && !may_sack {
            return Some("SACK without permission".into());
        }
        self.check_blocks(segment.ack, &blocks)
    }

    /// RFC 2018 §4 and RFC 2883 §4: blocks lie apart and in the window, but for a duplicate in
    /// front; and the first one holds the text that came early last, if any does.
    fn check_blocks(&self, ack: u32, blocks: &[(u32, u32)]) -> Option<String> {
        let wrong = |what: &str| Some(format!("{what}: ack {ack}, SACK {blocks:?}"));
        if blocks.iter().any(|block| !is_before(block.0, block.1)) {
            return wrong("an empty block");
        }
        let (&first, rest) = blocks.split_first()?;
        let unit = 1u32 << self.own.scale.unwrap_or(0).min(14); // As above.
        let is_old = !is_before(ack, first.1);
        let is_held = rest
            .first()
            .is_some_and(|&second| holds(second, first.0) && !is_before(second.1, first.1));
        let ranges = if is_old || is_held { rest } else { blocks };
        for (place, range) in ranges.iter().enumerate() {
            if !is_before(ack, range.0) {
                return wrong("a block that is acknowledged");
            }
            if self.our_edge.is_some_and(|edge| is_before(edge.wrapping_add(unit), range.1)) {
                return wrong("a block behind the window");
            }
            let touches =
                |other: &(u32, u32)| !is_before(range.1, other.0) && !is_before(other.1, range.0);
            if ranges.iter().skip(place + 1).any(touches) {
                return wrong("blocks that touch");
            }
        }
        let newest = self.early.and_then(|at| ranges.iter().position(|&range| holds(range, at)));
        // Behind a duplicate stands the range that holds it, whatever came since.
        if newest.is_some_and(|place| place > usize::from(is_held)) {
            return wrong("the range that changed last is not the first");
        }
        None
    }

    /// Whether a cookie may have brought back another connection than what is known is of. The
    /// cookie that answers the only SYN is of this one.
    fn may_be_ghost(&self) -> bool {
        self.cookies > 0 && self.answered.len() > 1
    }

    /// What comes after a reset may be another connection, and one that a SYN cookie opens has
    /// no SYN-ACK of its own to tell: an acknowledgment that was late is enough.
    fn on_reset(&mut self) {
        (self.our_edge, self.acked, self.early) = (None, None, None);
        (self.peer_acked, self.nxt, self.may_be_over) = (None, None, false);
        self.owed.on_acknowledged();
    }

    /// Whether the host has to take a segment, if it is what comes next: one that lies in the
    /// window of an open connection, that nothing later has overtaken, and that acknowledges what
    /// is known to have been sent.
    fn must_take(&self, segment: &TcpSegment) -> bool {
        let end = segment.seq.wrapping_add(segment.len());
        let is_plain = segment.flags.contains(TcpFlags::ACK)
            && !segment.flags.contains(TcpFlags::SYN)
            && !segment.flags.contains(TcpFlags::RST);
        let is_of_sent =
            self.nxt.is_some_and(|nxt| !is_before(nxt, segment.ack)) && !self.may_be_over;
        let fits = self.our_edge.is_some_and(|edge| !is_before(edge, end));
        self.is_open
            && is_plain
            && !self.is_late(segment)
            && is_of_sent
            && !self.is_older(segment)
            && fits
    }

    /// Whether something that left the peer later has arrived before.
    fn is_late(&self, segment: &TcpSegment) -> bool {
        self.peer_acked.is_some_and(|acked| is_before(segment.ack, acked))
    }

    /// Whether a segment's timestamp is older than the newest.
    fn is_older(&self, segment: &TcpSegment) -> bool {
        let items = decode_options(&segment.options, 0, (0, 0));
        let time = items.iter().find_map(OptionItem::timestamp);
        time.zip(self.peer_time).is_some_and(|(time, newest)| is_before(time, newest))
    }

    fn on_received(&mut self, segment: &TcpSegment) {
        if segment.flags.contains(TcpFlags::RST) {
            let nxt = self.nxt;
            self.on_reset();
            (self.nxt, self.may_be_over) = (nxt, true);
        }
        let is_answer = segment.flags.contains(TcpFlags::SYN.with(TcpFlags::ACK));
        if is_answer && self.iss.is_none_or(|iss| segment.ack != iss.wrapping_add(1)) {
            return; // It answers another SYN than ours.
        }
        self.fins.1 |= segment.flags.contains(TcpFlags::FIN);
        let items = decode_options(&segment.options, 0, (0, 0));
        let time = items.iter().find_map(OptionItem::timestamp);
        let is_old = time.zip(self.peer_time).is_some_and(|(time, newest)| is_before(time, newest));
        if let Some(time) = time
            && !is_old
        {
            self.peer_time = Some(time);
        }
        if !segment.payload.is_empty()
            && self.acked.is_some_and(|acked| is_before(acked, segment.seq))
        {
            // Whether PAWS drops what is older than the newest depends on more than is known here,
            // and so does whether an acknowledgment is too old (RFC 5961 §5).
            self.early = (!is_old && !self.is_late(segment)).then_some(segment.seq);
        }
        if segment.flags.contains(TcpFlags::SYN) {
            self.latest_syn = SynOptions::of(segment);
            if !self.is_open {
                self.peer = self.latest_syn;
                self.peer_edge = None;
            }
        }
        // What acknowledges more than was sent is forged, and what acknowledges no SYN of ours is
        // old: they tell nothing of the peer.
        let is_forged = self.nxt.is_some_and(|nxt| is_before(nxt, segment.ack));
        let is_old = self.iss.is_some_and(|iss| !is_before(iss, segment.ack));
        if segment.flags.contains(TcpFlags::ACK) && !is_forged && !is_old {
            let newest = self.peer_acked.filter(|&acked| is_before(segment.ack, acked));
            self.peer_acked = newest.or(Some(segment.ack));
            let window = scaled(segment, self.peer.scale, self.own.scale);
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

#[cfg(test)]
mod tests {
    use super::super::craft::Content;
    use super::*;

    const SERVER: &str = "10.0.0.2:80";
    const CLIENT: &str = "10.0.0.1:5000";

    fn packet(from: &str, flags: TcpFlags, numbers: (u32, u32), len: usize) -> Vec<u8> {
        packet_with(&[], from, flags, numbers, len)
    }

    fn packet_with(
        options: &[u8],
        from: &str,
        flags: TcpFlags,
        (seq, ack): (u32, u32),
        len: usize,
    ) -> Vec<u8> {
        let to = if from == SERVER { CLIENT } else { SERVER };
        let mut packet = Packet::tcp(from.parse().unwrap(), to.parse().unwrap(), flags);
        if let Content::Tcp(segment) = &mut packet.content {
            (segment.seq, segment.ack, segment.window) = (seq, ack, 10_000);
            segment.payload = vec![0; len];
            segment.options = options.to_vec();
        }
        packet.to_frame().octets().to_vec()
    }

    /// What is wrong once two full-sized segments wait in a connection that the cookie of its only
    /// SYN has opened; `more` happens before.
    fn faults(more: impl FnOnce(&mut Audit)) -> Vec<String> {
        let mut audit = Audit { may_haunt: true, ..Audit::default() };
        more(&mut audit);
        let now = Instant::ZERO;
        audit.on_received(now, &packet(CLIENT, TcpFlags::SYN, (99, 0), 0));
        audit.on_sent(&packet(SERVER, TcpFlags::SYN.with(TcpFlags::ACK), (499, 100), 0));
        audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (100, 500), 100));
        audit.on_cookie_taken((SERVER.parse().unwrap(), CLIENT.parse().unwrap()));
        audit.on_sent(&packet(SERVER, TcpFlags::ACK, (500, 200), 0));
        audit.end_turn(now, |_| true);
        assert_eq!(audit.faults, [""; 0]);
        for seq in [200, 300] {
            audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (seq, 500), 100));
        }
        audit.end_turn(now, |_| true);
        audit.faults
    }

    /// The host answers text with an acknowledgment that is too old by a challenge, which tells
    /// nothing of the text (RFC 5961 §5).
    #[test]
    fn text_that_may_be_too_old_need_not_be_told_of_first() {
        const SACK_PERMITTED: &[u8] = &[1, 1, 4, 2];
        for (ack, faults) in [(600, 1), (500, 0)] {
            let (mut audit, now) = (Audit::default(), Instant::ZERO);
            let (syn, flag) = (TcpFlags::SYN, TcpFlags::ACK);
            let opens = packet_with(SACK_PERMITTED, CLIENT, syn, (99, 0), 0);
            audit.on_received(now, &opens);
            audit.on_sent(&packet_with(SACK_PERMITTED, SERVER, syn.with(flag), (499, 100), 0));
            audit.on_received(now, &packet(CLIENT, flag, (100, 500), 0));
            audit.on_sent(&packet(SERVER, flag, (500, 100), 100));
            for (seq, ack) in [(200, 600), (300, ack)] {
                audit.on_received(now, &packet(CLIENT, flag, (seq, ack), 10));
            }
            let blocks = [200u32, 210, 300, 310].map(u32::to_be_bytes).concat();
            let options = [&[1, 1, 5, 18], &blocks[..]].concat();
            audit.on_sent(&packet_with(&options, SERVER, flag, (600, 100), 0));
            assert_eq!(audit.faults.len(), faults, "{ack}: {:?}", audit.faults);
        }
    }

    #[test]
    fn the_same_cookie_is_taken_once() {
        let now = Instant::ZERO;
        let ends = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        let mut audit = Audit::default();
        for (iss, irs, faults) in [(499, 99, 0), (599, 199, 0), (699, 299, 0), (499, 99, 1)] {
            let syn_ack = TcpFlags::SYN.with(TcpFlags::ACK);
            audit.on_sent(&packet(SERVER, syn_ack, (iss, irs + 1), 0));
            audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (irs + 1, iss + 1), 0));
            audit.on_cookie_taken(ends);
            audit.end_turn(now, |_| true);
            assert_eq!(audit.faults.len(), faults, "{iss} and {irs}: {:?}", audit.faults);
        }
    }

    #[test]
    fn that_another_syn_was_answered_excuses_no_cookie_taken_twice() {
        let now = Instant::ZERO;
        let ends = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        let mut audit = Audit::default();
        for irs in [99, 199] {
            let syn_ack = TcpFlags::SYN.with(TcpFlags::ACK);
            audit.on_sent(&packet(SERVER, syn_ack, (irs + 400, irs + 1), 0));
        }
        for faults in [0, 1] {
            audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (100, 500), 0));
            audit.on_cookie_taken(ends);
            audit.end_turn(now, |_| true);
            assert_eq!(audit.faults.len(), faults, "{:?}", audit.faults);
        }
    }

    /// Seed 701059 of the random worlds: the first text and a copy of the SYN came together.
    #[test]
    fn a_syn_ack_that_leaves_once_more_does_not_make_segments_larger_than_they_are() {
        let now = Instant::ZERO;
        let mut audit = Audit::default();
        let syn_ack = packet(SERVER, TcpFlags::SYN.with(TcpFlags::ACK), (499, 100), 0);
        audit.on_sent(&syn_ack);
        audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (100, 500), 86));
        audit.on_sent(&syn_ack);
        audit.on_sent(&packet(SERVER, TcpFlags::ACK, (500, 186), 0));
        for seq in [186, 251] {
            audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (seq, 500), 65));
            audit.end_turn(now, |_| true);
        }
        assert_eq!(audit.faults, [""; 0], "130 octets are no two segments of 86");
        audit.on_received(now, &packet(CLIENT, TcpFlags::ACK, (316, 500), 42));
        audit.end_turn(now, |_| true);
        assert_eq!(audit.faults.len(), 1, "172 are");
    }

    #[test]
    fn only_what_a_cookie_may_have_brought_back_owes_no_acknowledgment() {
        let faults_of_one = faults(|_| {});
        assert!(faults_of_one.iter().any(|fault| fault.contains("SHLD-19")), "{faults_of_one:?}");
        let answer = packet(SERVER, TcpFlags::SYN.with(TcpFlags::ACK), (7, 8), 0);
        assert_eq!(faults(|audit| audit.on_sent(&answer)), [""; 0], "two SYNs");
    }
}
