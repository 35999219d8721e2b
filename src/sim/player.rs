//! What stands between a packet script and the stack: time, packets out, packets in.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use super::craft::{Content, IcmpMessage, Packet, TcpFlags, UdpDatagram, overwrite};
use super::notation::{Bases, SegmentLine, Sender, stream};
use super::script::{Failure, PEER_ADDR, PEER_PORT, Played, STACK_PORT, Script};
use super::statement::{Action, ContentLine, PacketLine, Statement, parse_script};
use crate::observe::Counters;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::stack::{SocketId, Stack};
use crate::time::{Duration, Instant};
use crate::wire::display::describe;

/// RFC 9293 §3.4.1: the clock of initial sequence numbers ticks about every 4 microseconds.
const ISN_TICK: Duration = Duration::from_micros(4);

/// RFC 7323 §5.4: the clock of timestamps ticks every millisecond.
const TIMESTAMP_TICK: Duration = Duration::from_millis(1);

/// How often a timer may run at one moment before the script gives the stack up.
const TIMER_RUNS_MAX: u32 = 1000;

/// One connection of a script.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) peer: SocketAddrV4,
    pub(super) local: SocketAddrV4,
    pub(super) bases: Bases,
    /// Whether the stack's SYN has been seen.
    pub(super) is_base_known: bool,
    pub(super) socket: Option<SocketId>,
    /// Octets that the application has written and read.
    pub(super) written: u32,
    pub(super) read: u32,
    /// Positions of octets that were read out of the stream, before `read` has come there.
    pub(super) taken_out: Vec<u32>,
    /// The last packet of each side, for ICMP errors to quote.
    last_arrived: Vec<u8>,
    last_left: Vec<u8>,
}

impl Flow {
    /// Both ends have new initial sequence numbers; the peer's is `iss`.
    pub(super) fn begin_again(&mut self, iss: u32) {
        self.bases = Bases { ours: 0, peers: iss, our_clock: 0 };
        (self.is_base_known, self.written, self.read) = (false, 0, 0);
        self.taken_out.clear();
    }
}

/// A packet that has left.
#[derive(Debug)]
struct Sent {
    at: Instant,
    octets: Vec<u8>,
}

/// A script being played.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) stack: Stack,
    pub(super) now: Instant,
    pub(super) flows: BTreeMap<String, Flow>,
    pub(super) listener: Option<SocketId>,
    pub(super) addr: Ipv4Addr,
    listen_port: u16,
    peer_iss: u32,
    our_iss: Option<u32>,
    start: Instant,
    sent: VecDeque<Sent>,
    pub(super) counters: Counters,
    trace: Vec<String>,
}

impl Player {
    pub(super) fn new(script: &Script) -> Result<Self, Failure> {
        let seed = Seed::from_number(script.seed);
        let make = || {
            Stack::new(script.config.clone(), seed.clone())
                .map_err(|error| Failure::of_script(error.to_string()))
        };
        let addr = script.config.interface.addresses.first();
        let addr = addr.map_or(Ipv4Addr::UNSPECIFIED, |cidr| cidr.addr());
        let mut player = Self {
            stack: make()?,
            now: Instant::ZERO,
            flows: BTreeMap::new(),
            listener: None,
            addr,
            listen_port: STACK_PORT,
            peer_iss: script.peer_iss,
            our_iss: None,
            start: Instant::ZERO,
            sent: VecDeque::new(),
            counters: Counters::default(),
            trace: Vec::new(),
        };
        if script.our_iss.is_some() || script.our_clock.is_some() {
            player.start = player.moment_of(script)?;
            player.stack = make()?;
            player.now = player.start;
            player.our_iss = script.our_iss;
            (player.listener, player.counters) = (None, Counters::default());
            player.flows.clear();
            player.sent.clear();
            player.trace.clear();
        }
        Ok(player)
    }

    /// Learns from a trial connection when the stack's clocks will say what the script wants.
    fn moment_of(&mut self, script: &Script) -> Result<Instant, Failure> {
        let trial = format!(
            "+0 socket listen {STACK_PORT}
             +0 < S 0:0(0) win 1 <mss 1460,TS val 0 ecr 0>
             +0 > S. 0:0(0) ack 1 <...>"
        );
        for statement in parse_script(&trial).map_err(Failure::of_script)? {
            if let Err(why) = self.play(&statement) {
                return Err(self.failure(&statement, &why));
            }
        }
        let at_zero = self.flow("").bases;
        let wait = match (script.our_iss, script.our_clock) {
            (Some(iss), None) => ISN_TICK * iss.wrapping_sub(at_zero.ours),
            (None, Some(clock)) => TIMESTAMP_TICK * clock.wrapping_sub(at_zero.our_clock),
            _ => return Err(Failure::of_script("one clock at a time can be set".into())),
        };
        Ok(Instant::ZERO + wait)
    }

    /// The connection of this label, made at its first use.
    pub(super) fn flow(&mut self, label: &str) -> &mut Flow {
        // The connection without a label has the first port, whoever comes first.
        let labels = self.flows.keys().filter(|known| !known.is_empty()).count();
        let offset = if label.is_empty() { 0 } else { labels + 1 };
        let offset = u16::try_from(offset).unwrap_or(0);
        let (addr, port, peers) = (self.addr, self.listen_port, self.peer_iss);
        self.flows.entry(label.to_owned()).or_insert_with(|| Flow {
            peer: SocketAddrV4::new(PEER_ADDR, PEER_PORT + offset),
            local: SocketAddrV4::new(addr, port),
            bases: Bases { ours: 0, peers, our_clock: 0 },
            is_base_known: false,
            socket: None,
            written: 0,
            read: 0,
            taken_out: Vec::new(),
            last_arrived: Vec::new(),
            last_left: Vec::new(),
        })
    }

    /// Where the connections without a listener of their own arrive from now on.
    pub(super) fn listens_on(&mut self, port: u16) {
        self.listen_port = port;
        let addr = self.addr;
        if let Some(flow) = self.flows.get_mut("") {
            flow.local = SocketAddrV4::new(addr, port);
        }
    }

    pub(super) fn play(&mut self, statement: &Statement) -> Result<(), String> {
        let at = self.now + statement.after;
        let waits_for_packet = matches!(statement.action, Action::Leaves(_) | Action::Nothing);
        self.advance(at, waits_for_packet)?;
        if let Action::Leaves(packet) = &statement.action {
            return self.expect_packet(&statement.label, packet);
        }
        if let Some(sent) = self.sent.front() {
            return Err(format!("expected silence before it\n  got at {}", self.show(sent)));
        }
        match &statement.action {
            Action::Arrives { packet, is_batched } => {
                self.arrive(&statement.label, packet, &statement.text)?;
                if *is_batched {
                    return Ok(());
                }
            }
            Action::Call(call) => {
                let what = format!("{} {}", self.clock(self.now), statement.text);
                self.trace.push(what);
                self.call(&statement.label, call)?;
            }
            Action::Expect(expectation) => self.expect(&statement.label, expectation)?,
            Action::Leaves(_) | Action::Nothing => {}
        }
        self.run_timers(self.now, true)?;
        self.drain()
    }

    /// Lets time pass until `to`; what is due at `to` itself runs only if `inclusive`.
    fn advance(&mut self, to: Instant, inclusive: bool) -> Result<(), String> {
        self.run_timers(to, inclusive)?;
        self.now = to;
        Ok(())
    }

    fn run_timers(&mut self, until: Instant, inclusive: bool) -> Result<(), String> {
        let mut runs = 0;
        while let Some(due) = self.stack.next_timeout() {
            if due > until || (due == until && !inclusive) {
                break;
            }
            runs = if due > self.now { 0 } else { runs + 1 };
            if runs > TIMER_RUNS_MAX {
                return Err(format!("a timer stays due at {}", self.clock(due)));
            }
            self.now = self.now.max(due);
            self.stack.on_timeout(self.now, &mut self.counters);
            self.drain()?;
        }
        Ok(())
    }

    /// Takes what the stack sends.
    fn drain(&mut self) -> Result<(), String> {
        while let Some(packet) = self.stack.transmit(self.now, &mut self.counters) {
            let octets = packet.to_frame().octets().to_vec();
            let what = format!("{} > {}", self.clock(self.now), self.describe(&octets));
            self.trace.push(what);
            if let Err(fault) = Packet::decode(&octets) {
                return Err(format!("a malformed packet left: {fault}\n  {octets:02x?}"));
            }
            let at = self.now;
            self.sent.push_back(Sent { at, octets });
        }
        Ok(())
    }

    /// Time since the first line.
    fn clock(&self, at: Instant) -> String {
        let since = at - self.start;
        format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
    }

    /// A packet that has left: its time, the script's notation, and tcpdump's.
    fn show(&self, sent: &Sent) -> String {
        let (at, octets) = (self.clock(sent.at), &sent.octets);
        format!("{at}: {}\n  which is {}", self.describe(octets), describe(octets))
    }

    /// A packet of ours in the script's notation, with addresses where no connection has them.
    fn describe(&self, octets: &[u8]) -> String {
        let Ok(packet) = Packet::decode(octets) else {
            return format!("{octets:02x?}");
        };
        let (from, to) = (packet.source_addr(), packet.destination_addr());
        let owner = self.flows.iter().find(|(_, flow)| flow.peer == to && flow.local == from);
        if let (Content::Tcp(segment), Some((label, flow))) = (&packet.content, owner) {
            let mut bases = flow.bases;
            if !flow.is_base_known && segment.flags.contains(TcpFlags::SYN) {
                bases.learn(segment);
            }
            let line = SegmentLine::of(Sender::Stack, bases, segment);
            let colon = if label.is_empty() { "" } else { ": " };
            return format!("{label}{colon}{line}");
        }
        match &packet.content {
            Content::Tcp(segment) => {
                let line = SegmentLine::of(Sender::Stack, Bases::default(), segment);
                format!("{line} from {from} to {to}")
            }
            Content::Udp(datagram) => {
                format!("udp ({}) from {from} to {to}", datagram.payload.len())
            }
            Content::Icmp(message) => format!(
                "icmp type {} code {} {:?} ({}) from {} to {}",
                message.kind,
                message.code,
                message.rest,
                message.data.len(),
                packet.source,
                packet.destination
            ),
            Content::Other { protocol, octets } => {
                format!("protocol {protocol} ({}) from {from} to {to}", octets.len())
            }
        }
    }

    /// A packet of the peer arrives.
    fn arrive(&mut self, label: &str, line: &PacketLine, text: &str) -> Result<(), String> {
        let what = format!("{} {text}", self.clock(self.now));
        self.trace.push(what);
        let flow = self.flow(label);
        let from = line.from.unwrap_or(flow.peer);
        let to = line.to.unwrap_or(flow.local);
        let mut packet = Packet::tcp(from, to, TcpFlags::NONE);
        match &line.content {
            ContentLine::Tcp(segment) => {
                if let Content::Tcp(header) = &mut packet.content {
                    segment.fill(Sender::Peer, flow.bases, header);
                }
            }
            ContentLine::Udp { from, to, len } => {
                packet.content = Content::Udp(UdpDatagram {
                    source_port: *from,
                    destination_port: *to,
                    payload: stream(Sender::Peer, 0, *len),
                });
            }
            ContentLine::Echo { .. } | ContentLine::IcmpError { .. } => {
                packet.content = Content::Icmp(icmp(&line.content, flow, Sender::Peer)?);
            }
        }
        packet.ttl = line.ttl.unwrap_or(packet.ttl);
        packet.tos = line.tos.unwrap_or(packet.tos);
        packet.ip_options.clone_from(&line.ip_options);
        let mut octets = packet.encode();
        if line.is_damaged
            && let Some(last) = octets.last_mut()
        {
            *last ^= 1;
        }
        for (place, poked) in &line.pokes {
            overwrite(&mut octets, *place, poked);
        }
        octets.truncate(line.cut.unwrap_or(octets.len()));
        flow.last_arrived.clone_from(&octets);
        self.stack.receive(self.now, Frame::new(octets), &mut self.counters);
        Ok(())
    }

    /// The next packet that has left is the one that `line` names, and left just now.
    fn expect_packet(&mut self, label: &str, line: &PacketLine) -> Result<(), String> {
        let clock = self.clock(self.now);
        let Some(sent) = self.sent.pop_front() else {
            return Err("expected a packet\n  got nothing".into());
        };
        let got = self.show(&sent);
        let wrong =
            |what: &str| format!("expected at {clock}, with {what} as written\n  got at {got}");
        if sent.at != self.now {
            return Err(wrong("its time"));
        }
        let packet = Packet::decode(&sent.octets)?;
        let our_iss = self.our_iss;
        let flow = self.flow(label);
        let (from, to) = (line.from.unwrap_or(flow.local), line.to.unwrap_or(flow.peer));
        if (packet.source, packet.destination) != (*from.ip(), *to.ip()) {
            return Err(wrong("its addresses"));
        }
        if line.ttl.is_some_and(|ttl| ttl != packet.ttl)
            || line.tos.is_some_and(|tos| tos != packet.tos)
        {
            return Err(wrong("its TTL and TOS"));
        }
        match (&line.content, &packet.content) {
            (ContentLine::Tcp(wanted), Content::Tcp(segment)) => {
                if (segment.source_port, segment.destination_port) != (from.port(), to.port()) {
                    return Err(wrong("its ports"));
                }
                if segment.flags.contains(TcpFlags::SYN) && !flow.is_base_known {
                    flow.is_base_known = true;
                    flow.bases.learn(segment);
                    if label.is_empty() && our_iss.is_some_and(|iss| iss != segment.seq) {
                        return Err(format!("our ISS became {}", segment.seq));
                    }
                }
                let line = SegmentLine::of(Sender::Stack, flow.bases, segment);
                if !wanted.admits(&line) {
                    return Err(wrong("all fields"));
                }
                let position = line.seq.wrapping_sub(1);
                if segment.payload != stream(Sender::Stack, position, segment.payload.len()) {
                    return Err(wrong("the octets that were written there"));
                }
            }
            (ContentLine::Udp { from, to, len }, Content::Udp(datagram)) => {
                let ports = (datagram.source_port, datagram.destination_port);
                if ports != (*from, *to) || datagram.payload != stream(Sender::Stack, 0, *len) {
                    return Err(wrong("its ports and octets"));
                }
            }
            (wanted, Content::Icmp(message)) => {
                let wanted = icmp(wanted, flow, Sender::Stack)?;
                let is_like = (wanted.kind, wanted.code, wanted.rest)
                    == (message.kind, message.code, message.rest);
                if !is_like || !message.data.starts_with(&wanted.data) {
                    return Err(wrong("type, code and data"));
                }
            }
            _ => return Err(wrong("its protocol")),
        }
        flow.last_left = sent.octets;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Played, Failure> {
        if let Some(sent) = self.sent.pop_front() {
            return Err(Failure {
                place: "after the last line".into(),
                why: format!("expected silence\n  got at {}", self.show(&sent)),
                trace: self.trace,
            });
        }
        let flow = self.flows.get("");
        Ok(Played {
            socket: flow.and_then(|flow| flow.socket),
            listener: self.listener,
            iss: flow.map_or(0, |flow| flow.bases.ours),
            stack: self.stack,
            counters: self.counters,
            now: self.now,
        })
    }

    pub(super) fn failure(&mut self, statement: &Statement, why: &str) -> Failure {
        let place = match statement.line {
            0 => format!("while opening the connection: {}", statement.text),
            line => format!("line {line}: {}", statement.text),
        };
        Failure { place, why: why.to_owned(), trace: std::mem::take(&mut self.trace) }
    }

    /// The connection's two ends, as `Stack::connections` lists them.
    pub(super) fn ends(&mut self, label: &str) -> (SocketAddr, SocketAddr) {
        let flow = self.flow(label);
        (flow.local.into(), flow.peer.into())
    }

    /// The peer's end for `connect` and `send_to`.
    pub(super) fn peer(&mut self, label: &str) -> SocketAddr {
        self.flow(label).peer.into()
    }

    /// The stack's own address with `port`.
    pub(super) fn own(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.addr), port)
    }
}

/// The ICMP message that `line` means when `sender` sends it.
fn icmp(line: &ContentLine, flow: &Flow, sender: Sender) -> Result<IcmpMessage, String> {
    match line {
        ContentLine::Echo { is_request, ident, seq, len } => {
            let ([i0, i1], [s0, s1]) = (ident.to_be_bytes(), seq.to_be_bytes());
            Ok(IcmpMessage {
                kind: if *is_request { 8 } else { 0 },
                code: 0,
                rest: [i0, i1, s0, s1],
                // A reply brings back what the peer has sent.
                data: stream(Sender::Peer, 0, *len),
            })
        }
        ContentLine::IcmpError { kind, code, mtu, quoting, quoting_port, quoting_octets } => {
            let quoted = match sender {
                Sender::Peer => &flow.last_left,
                Sender::Stack => &flow.last_arrived,
            };
            let mut data = quoted.get(..*quoting_octets).unwrap_or(quoted).to_vec();
            if let (Some(seq), Some(field)) = (quoting, data.get_mut(24..28)) {
                field.copy_from_slice(&flow.bases.ours.wrapping_add(*seq).to_be_bytes());
            }
            if let (Some(port), Some(field)) = (quoting_port, data.get_mut(20..22)) {
                field.copy_from_slice(&port.to_be_bytes());
            }
            let [high, low] = mtu.to_be_bytes();
            Ok(IcmpMessage { kind: *kind, code: *code, rest: [0, 0, high, low], data })
        }
        ContentLine::Tcp(_) | ContentLine::Udp { .. } => Err("expected no ICMP message".into()),
    }
}
