//! Plays a script to a backend, as a peer that knows what it has seen of it, and writes down what
//! came of each step.

use std::fmt;

use wharf::sim::TcpFlags;
use wharf::sim::craft::{Content, Packet, TcpSegment};
use wharf::{Duration, TcpState};

use crate::backend::{Backend, Flow, Outcome};
use crate::script::{Ack, Call, Damage, Opt, Script, Segment, Seq, Stamp, Step};

/// What came of one step.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// When it began, from the beginning of the script.
    pub(crate) at: Duration,
    /// What the call returned, if it was one.
    pub(crate) outcome: Option<Outcome>,
    /// The segments that left.
    pub(crate) seen: Vec<Seen>,
    /// Packets that left and are no such segments, in words.
    pub(crate) others: Vec<String>,
    /// The bits of poll(2) afterwards.
    pub(crate) poll: u16,
    /// The connection's state afterwards.
    pub(crate) state: TcpState,
    /// Whether the peer has sent text or another FIN behind the place of its first FIN.
    pub(crate) is_contradictory: bool,
}

/// A number relative to an initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    At(u32),
    /// The end of the segment that was answered, whose place depends on the stack's window.
    EndOfAnswered,
}

/// A segment of the stack with numbers relative to both initial ones.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Without a PSH that does not end all that was written: Linux sets it here and there.
    pub(crate) flags: TcpFlags,
    /// `None` stands for an absolute zero.
    pub(crate) seq: Option<u32>,
    pub(crate) ack: Option<Number>,
    /// Where the urgent data ends that it tells of, and the largest distance if it is further.
    pub(crate) urgent: Option<u32>,
    pub(crate) payload: Vec<u8>,
    /// Whether the window is shut.
    pub(crate) is_shut: bool,
    /// Whether its right edge has moved left.
    pub(crate) is_shrunk: bool,
    /// The options, but what they say that cannot be the same.
    pub(crate) options: Vec<Opt>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seq {:?} len {}", names(self.flags), self.seq, self.payload.len())?;
        if let Some(ack) = self.ack {
            match ack {
                Number::At(ack) => write!(f, " ack {ack}")?,
                Number::EndOfAnswered => write!(f, " ack end")?,
            }
        }
        if let Some(urgent) = self.urgent {
            write!(f, " urgent to {urgent}")?;
        }
        if self.is_shut {
            write!(f, " shut")?;
        }
        if self.is_shrunk {
            write!(f, " shrunk")?;
        }
        if !self.options.is_empty() {
            write!(f, " {:?}", self.options)?;
        }
        Ok(())
    }
}

/// The names of flags, as in captures.
pub(crate) fn names(flags: TcpFlags) -> String {
    let all = "FSRPAUEW".chars().enumerate();
    let set = all.filter(|(bit, _)| flags.bits() >> bit & 1 == 1);
    set.map(|(_, name)| name).collect()
}

/// What the program writes from its octet number `from` on.
pub(crate) fn written(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|place| (place % 251).to_le_bytes()[0]).collect()
}

/// What the peer sends from its relative sequence number `from` on.
fn streamed(from: u32, len: u16, is_lie: bool) -> Vec<u8> {
    let skew = if is_lie { 100 } else { 0 };
    (0..u32::from(len))
        .map(|place| (from.wrapping_add(place) % 241 + skew).to_le_bytes()[0])
        .collect()
}

/// What the peer knows. All numbers but the initial ones are relative.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that it knows or not")]
struct Peer {
    flow: Flow,
    iss: u32,
    /// The absolute number of its last SYN.
    syn: u32,
    nxt: u32,
    /// The last that it has sent out of order.
    early: Option<(u32, u32)>,
    /// How far its text has reached.
    furthest: u32,
    /// Where its first FIN stands.
    fin: Option<u32>,
    is_contradictory: bool,
    /// Where the last segment ended, if its place was taken from the stack's window.
    edge_end: Option<u32>,
    /// Octets that the program has written to this connection.
    written: u32,
    stack_iss: Option<u32>,
    stack_nxt: u32,
    una: u32,
    edge: Option<u32>,
    /// The shift that the stack has offered, and whether the peer has too.
    scale: Option<u8>,
    has_scale: bool,
    /// Whether its last SYN has offered one, and whether a SYN can still say so.
    syn_has_scale: bool,
    is_open: bool,
    /// Whether its last SYN has offered timestamps, and whether both sides have.
    syn_has_stamps: bool,
    has_stamps: bool,
    /// Its clock at the beginning, its clock, and the last value of the stack's.
    clock_start: u32,
    clock: u32,
    stack_clock: u32,
}

/// Plays `script`. `times` are the beginnings of its steps when it has been played before.
pub(crate) fn play(
    script: &Script,
    flow: Flow,
    backend: &mut dyn Backend,
    times: Option<&[Moment]>,
) -> Vec<Moment> {
    backend.begin(flow);
    let mut peer = Peer {
        flow,
        iss: script.iss,
        syn: script.iss,
        nxt: 0,
        early: None,
        furthest: 0,
        fin: None,
        is_contradictory: false,
        edge_end: None,
        written: 0,
        stack_iss: None,
        stack_nxt: 0,
        una: 0,
        edge: None,
        scale: None,
        has_scale: false,
        syn_has_scale: false,
        is_open: false,
        syn_has_stamps: false,
        has_stamps: false,
        clock_start: script.iss ^ 0x5555,
        clock: script.iss ^ 0x5555,
        stack_clock: 0,
    };
    let mut moments = Vec::new();
    for (number, step) in script.steps.iter().enumerate() {
        if let Some(moment) = times.and_then(|times| times.get(number)) {
            backend.advance(moment.at);
        }
        let at = backend.elapsed();
        let outcome = match step {
            Step::Call(call) => Some(backend.call(call)),
            Step::Segment(segment) => {
                let octets = peer.encode(segment);
                backend.inject(&octets);
                None
            }
            Step::Wait(wait) => {
                backend.advance(at + *wait);
                None
            }
        };
        if let (Step::Call(Call::Write(_) | Call::WriteUrgent(_)), Some(Outcome::Done(len))) =
            (step, &outcome)
        {
            peer.written += u32::try_from(*len).expect("little is written");
        }
        let packets = backend.drain();
        let (poll, state) = (backend.poll(), backend.state());
        let (mut seen, mut others) = (Vec::new(), Vec::new());
        for octets in packets {
            match peer.decode(&octets, state) {
                Ok(Some(segment)) => seen.push(segment),
                Ok(None) => {} // Another script's.
                Err(what) => others.push(what),
            }
        }
        let is_contradictory = peer.is_contradictory;
        moments.push(Moment { at, outcome, seen, others, poll, state, is_contradictory });
    }
    moments
}

impl Peer {
    /// The octets of a segment of the peer.
    fn encode(&mut self, segment: &Segment) -> Vec<u8> {
        let seq = match segment.seq {
            Seq::Next(by) => self.nxt.wrapping_add_signed(by),
            Seq::Edge(by) => self.edge.unwrap_or(self.nxt).wrapping_add_signed(by),
        };
        let has = |flag| segment.flags.contains(flag);
        let ack = match segment.ack {
            Ack::Next(by) => self.stack_nxt.wrapping_add_signed(by),
            Ack::Una(by) => self.una.wrapping_add_signed(by),
            Ack::Zero => 0,
        };
        let mut packet = Packet::tcp(self.flow.remote, self.flow.local, segment.flags);
        let Content::Tcp(header) = &mut packet.content else { unreachable!("made as a segment") };
        header.seq = self.iss.wrapping_add(seq);
        header.ack = match segment.ack {
            Ack::Zero => 0,
            Ack::Next(_) | Ack::Una(_) => self.stack_iss.unwrap_or(0).wrapping_add(ack),
        };
        header.window = segment.window;
        header.urgent = segment.urgent;
        self.clock = self.clock.wrapping_add(1);
        header.options = self.options(segment);
        let shift = u32::from(has(TcpFlags::SYN));
        header.payload = streamed(seq.wrapping_add(shift), segment.len, segment.is_lie);
        let end = seq.wrapping_add(header.len());
        self.edge_end = matches!(segment.seq, Seq::Edge(_)).then_some(end);
        if segment.damage == Damage::None && !has(TcpFlags::RST) {
            self.on_sent(seq, end, segment.flags);
            if has(TcpFlags::SYN) {
                self.syn = self.iss.wrapping_add(seq);
                self.syn_has_scale =
                    has_option(&segment.options, |option| matches!(option, Opt::Scale(_)));
                self.syn_has_stamps =
                    has_option(&segment.options, |option| matches!(option, Opt::Timestamps(_)));
                if !self.is_open {
                    self.has_scale = self.syn_has_scale;
                }
            }
            let is_valid = ack.wrapping_sub(self.una).cast_signed() > 0
                && self.stack_nxt.wrapping_sub(ack).cast_signed() >= 0;
            // An open connection takes nothing from a SYN.
            if has(TcpFlags::ACK) && is_valid && !(has(TcpFlags::SYN) && self.is_open) {
                self.una = ack;
            }
        }
        damaged(packet.encode(), segment.damage)
    }

    /// The octets of a segment's options.
    fn options(&self, segment: &Segment) -> Vec<u8> {
        let is_syn = segment.flags.contains(TcpFlags::SYN);
        let (value, echo) = match segment.stamp {
            Stamp::Now | Stamp::Missing => (self.clock, self.stack_clock),
            Stamp::Old => (self.clock_start.wrapping_sub(100_000), self.stack_clock),
            Stamp::NoEcho => (self.clock, 0),
        };
        let stamps = [&[8, 10][..], &value.to_be_bytes(), &echo.to_be_bytes()].concat();
        let mut octets = Vec::new();
        if self.has_stamps && !is_syn && !matches!(segment.stamp, Stamp::Missing) {
            octets.extend([1, 1]);
            octets.extend(&stamps);
        }
        for option in &segment.options {
            match option {
                Opt::Mss(mss) => {
                    octets.extend([2, 4]);
                    octets.extend(mss.to_be_bytes());
                }
                Opt::Scale(shift) => octets.extend([3, 3, *shift]),
                Opt::SackPermitted => octets.extend([4, 2]),
                Opt::Timestamps(_) => octets.extend(&stamps),
                Opt::Sack(blocks) => octets.extend(self.blocks(blocks)),
                Opt::Raw(raw) => octets.extend(raw),
            }
        }
        octets.truncate(40);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    /// A SACK option about what the stack has sent.
    fn blocks(&self, blocks: &[(u32, u32)]) -> Vec<u8> {
        let base = self.stack_iss.unwrap_or(0).wrapping_add(self.una);
        let len = u8::try_from(2 + 8 * blocks.len()).expect("few blocks");
        let mut octets = vec![1, 1, 5, len];
        for edge in blocks.iter().flat_map(|&(left, right)| [left, right]) {
            octets.extend(base.wrapping_add(edge).to_be_bytes());
        }
        octets
    }

    /// It has sent what takes the places from `seq` to `end`.
    fn on_sent(&mut self, seq: u32, end: u32, flags: TcpFlags) {
        let after = |a: u32, b: u32| a.wrapping_sub(b).cast_signed() > 0;
        let text_end = end.wrapping_sub(u32::from(flags.contains(TcpFlags::FIN)));
        if let Some(fin) = self.fin {
            let has_fin = flags.contains(TcpFlags::FIN) && fin != text_end;
            self.is_contradictory |= after(text_end, fin) || has_fin;
        } else if flags.contains(TcpFlags::FIN) {
            self.fin = Some(text_end);
            self.is_contradictory |= after(self.furthest, text_end);
        }
        if after(text_end, self.furthest) {
            self.furthest = text_end;
        }
        if after(seq, self.nxt) {
            if after(end, seq) {
                self.early = Some((seq, end));
            }
        } else if after(end, self.nxt) {
            self.nxt = end;
        }
        if let Some((early, early_end)) = self.early
            && !after(early, self.nxt)
        {
            if after(early_end, self.nxt) {
                self.nxt = early_end;
            }
            self.early = None;
        }
    }

    /// What a packet of the stack says; `None` if it belongs to another script.
    fn decode(&mut self, octets: &[u8], state: TcpState) -> Result<Option<Seen>, String> {
        if octets.first().is_some_and(|first| first >> 4 != 4) {
            return Ok(None); // Linux asks for IPv6 routers.
        }
        let packet = Packet::decode(octets)?;
        if packet.destination != *self.flow.remote.ip() {
            return Ok(None);
        }
        let Content::Tcp(header) = &packet.content else {
            return Err(format!("{:?}", packet.content));
        };
        if header.source_port != self.flow.local.port()
            || header.destination_port != self.flow.remote.port()
        {
            return Ok(None);
        }
        let has = |flag| header.flags.contains(flag);
        if has(TcpFlags::SYN) && self.stack_iss != Some(header.seq) {
            self.on_opened(header);
        }
        let seq = header.seq.wrapping_sub(self.stack_iss.unwrap_or(0));
        let is_blind = header.seq == 0 && has(TcpFlags::RST);
        if !has(TcpFlags::RST) {
            let end = seq.wrapping_add(header.len());
            if end.wrapping_sub(self.stack_nxt).cast_signed() > 0 {
                self.stack_nxt = end;
            }
        }
        self.is_open |= has(TcpFlags::ACK) && !has(TcpFlags::SYN) && !has(TcpFlags::RST);
        let ack = has(TcpFlags::ACK).then(|| header.ack.wrapping_sub(self.iss));
        let clock = self.stack_clock;
        let options = self.options_of(&header.options, has(TcpFlags::SYN));
        if state == TcpState::SynReceived && !has(TcpFlags::SYN) {
            // Linux opens by no echo but that of a SYN-ACK. Whether its clock has moved on since,
            // and an answer between has another value, is chance.
            self.stack_clock = clock;
        }
        let is_shrunk = self.window(header, ack, &options);
        let is_last = seq.wrapping_add(header.len()) == self.written + 1;
        let hint = if is_last { TcpFlags::NONE } else { TcpFlags::PSH };
        Ok(Some(Seen {
            flags: TcpFlags::from_bits(header.flags.bits() & !hint.bits()),
            seq: (!is_blind).then_some(seq),
            ack: ack.map(|ack| match self.edge_end {
                Some(end) if end == ack => Number::EndOfAnswered,
                Some(_) | None => Number::At(ack),
            }),
            urgent: has(TcpFlags::URG).then(|| seq.wrapping_add(header.urgent.into())),
            payload: header.payload.clone(),
            is_shut: header.window == 0 && !has(TcpFlags::RST),
            is_shrunk,
            options: options.into_iter().map(without_scale).collect(),
        }))
    }

    /// The options of a segment of the stack, without what only fills up.
    fn options_of(&mut self, mut octets: &[u8], is_syn: bool) -> Vec<Opt> {
        let mut options = Vec::new();
        let mut has_stamps = false;
        while let [kind, rest @ ..] = octets {
            octets = match (kind, rest) {
                (0, _) | (_, []) => break,
                (1, rest) => rest,
                (_, [len, ..]) => {
                    let (option, rest) = octets.split_at(usize::from(*len));
                    has_stamps |= option[0] == 8;
                    options.push(self.option_of(option));
                    rest
                }
            };
        }
        if is_syn {
            self.has_stamps = has_stamps && self.syn_has_stamps;
        }
        options
    }

    fn option_of(&mut self, option: &[u8]) -> Opt {
        let word = |at: usize| {
            let octets = option.get(at..at + 4).and_then(|octets| octets.try_into().ok());
            u32::from_be_bytes(octets.unwrap_or_default())
        };
        match option {
            [2, 4, high, low] => Opt::Mss(u16::from_be_bytes([*high, *low])),
            [3, 3, shift] => Opt::Scale(*shift),
            [4, 2] => Opt::SackPermitted,
            [5, _, blocks @ ..] => Opt::Sack(
                (0..blocks.len() / 8)
                    .map(|number| (word(2 + 8 * number), word(6 + 8 * number)))
                    .map(|(left, right)| {
                        (left.wrapping_sub(self.iss), right.wrapping_sub(self.iss))
                    })
                    .collect(),
            ),
            [8, 10, ..] => {
                self.stack_clock = word(2);
                let echo = word(6);
                let is_none = echo == 0;
                let since = echo.wrapping_sub(self.clock_start).cast_signed();
                Opt::Timestamps(if is_none { i32::MIN } else { since })
            }
            other => Opt::Raw(other.to_vec()),
        }
    }

    /// The stack has opened a connection, the first or another one: all numbers begin anew.
    fn on_opened(&mut self, header: &TcpSegment) {
        self.stack_iss = Some(header.seq);
        (self.stack_nxt, self.una, self.edge, self.scale) = (0, 0, None, None);
        self.written = 0;
        if header.flags.contains(TcpFlags::ACK) {
            self.iss = self.syn;
            (self.has_scale, self.is_open) = (self.syn_has_scale, true);
            self.stack_clock = 0;
            self.nxt = header.ack.wrapping_sub(self.iss);
            self.furthest = self.nxt;
            (self.early, self.fin, self.is_contradictory) = (None, None, false);
        }
    }

    /// Takes in the window of a segment of the stack. Whether its right edge has moved left.
    fn window(&mut self, header: &TcpSegment, ack: Option<u32>, options: &[Opt]) -> bool {
        if header.flags.contains(TcpFlags::RST) {
            return false;
        }
        let is_syn = header.flags.contains(TcpFlags::SYN);
        if is_syn {
            self.scale = options.iter().find_map(|option| match option {
                Opt::Scale(shift) => Some(*shift),
                Opt::Mss(_)
                | Opt::SackPermitted
                | Opt::Sack(_)
                | Opt::Timestamps(_)
                | Opt::Raw(_) => None,
            });
        }
        let Some(ack) = ack else { return false };
        let shift = self.scale.filter(|_| self.has_scale && !is_syn).unwrap_or(0);
        let edge = ack.wrapping_add(u32::from(header.window) << shift);
        let growth = edge.wrapping_sub(self.edge.unwrap_or(edge)).cast_signed();
        self.edge = Some(self.edge.map_or(edge, |old| if growth > 0 { edge } else { old }));
        growth + (1 << shift) <= 0 // Rounding is no move (RFC 7323 §2.4).
    }
}

/// Whether a reader of the options finds one among them: nothing follows an end of list, or an
/// option without a possible length.
fn has_option(options: &[Opt], is_it: fn(&Opt) -> bool) -> bool {
    options
        .iter()
        .take_while(|option| !matches!(option, Opt::Raw(raw) if matches!(raw[0], 0 | 200)))
        .any(is_it)
}

/// The shift follows from the size of a buffer, which is each stack's own affair.
fn without_scale(option: Opt) -> Opt {
    match option {
        Opt::Scale(_) => Opt::Scale(0),
        Opt::Mss(_) | Opt::SackPermitted | Opt::Sack(_) | Opt::Timestamps(_) | Opt::Raw(_) => {
            option
        }
    }
}

/// The packet with its damage.
fn damaged(mut octets: Vec<u8>, damage: Damage) -> Vec<u8> {
    match damage {
        Damage::None => {}
        Damage::Checksum => octets[36] ^= 0x55,
        Damage::DataOffset(words) => replace(&mut octets, 32, words << 4, 36),
        Damage::IpHeader(first) => replace(&mut octets, 0, first, 10),
    }
    octets
}

/// Replaces the octet at an even place, and mends the checksum for it (RFC 1624).
fn replace(octets: &mut [u8], at: usize, octet: u8, sum_at: usize) {
    let old = u16::from_be_bytes([octets[at], octets[at + 1]]);
    octets[at] = octet;
    let new = u16::from_be_bytes([octets[at], octets[at + 1]]);
    let sum = u16::from_be_bytes([octets[sum_at], octets[sum_at + 1]]);
    let mut sum = u32::from(!sum) + u32::from(!old) + u32::from(new);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from(sum & 0xffff).expect("masked to 16 bits");
    octets[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
}
