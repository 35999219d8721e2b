//! Composes the layers: the public sans-IO object.

mod by_reference;
mod calls;
mod census;
#[cfg(any(test, feature = "sim"))]
mod check;
mod connections;
mod cookies;
mod datagrams;
pub(crate) mod deadlines;
mod demux;
mod departures;
mod disconnect;
mod flow;
mod icmp_errors;
mod listeners;
mod lists;
mod look_ahead;
mod loopback;
mod memory;
mod opening;
mod options;
mod outbox;
mod ports;
mod ready;
mod segments;
mod sharing;
mod socket;
mod status;
mod train;
mod transfers;
mod urgent;
mod warm;

use std::sync::Arc;

pub use self::census::{StateCounts, Totals};
use self::datagrams::EchoSockets;
use self::deadlines::Deadlines;
pub(crate) use self::demux::FlowId;
use self::demux::{Flows, Hashed};
use self::departures::Departures;
use self::flow::{Flow, FlowEntry, Owner};
use self::listeners::Listeners;
use self::lists::{FlowList, Links};
use self::loopback::Loopback;
use self::memory::Memory;
use self::outbox::Outbox;
use self::ports::EphemeralPorts;
use self::ready::Ready;
use self::socket::Socket;
pub use self::socket::{ConnectionInfo, EchoReply, Readiness, Shutdown, SocketId};
use self::warm::Warm;
use crate::collections::{OnceQueue, SecondaryMap, Slab};
use crate::config::{ConfigError, StackConfig};
use crate::ip::{Datagram, IcmpError, Ipv4, Packet, Verdict, Via};
use crate::observe::{DropReason, Event, Observer, TcpState};
use crate::options::SocketOptions;
use crate::packet::{Frame, Outgoing, SuperPool};
use crate::rng::{Rng, Seed};
use crate::tcp::{Connection, Cookies, End, IsnGenerator, SegmentPlan};
use crate::time::Instant;
use crate::udp::{Udp, UdpId};
use crate::wire::FourTuple;
use crate::wire::ipv4::{PROTOCOL_TCP, PROTOCOL_UDP};
use crate::wire::steering::Share;
use crate::wire::tcp::TcpHeader;

/// A TCP/IP stack without a clock, a thread or a device: octets in, octets out.
///
/// Feed any number of inputs ([`receive`](Self::receive), socket calls,
/// [`on_timeout`](Self::on_timeout)), then call [`transmit`](Self::transmit) until it returns
/// nothing, then wait until [`next_timeout`](Self::next_timeout) or the next input. Equal
/// configuration, seed and inputs with their times give equal octets.
///
/// `now` never goes back from one call to the next.
///
/// ```
/// use wharf::{Instant, Seed, Stack, StackConfig};
///
/// let config = StackConfig::new("10.7.0.2/24".parse()?);
/// let mut stack = Stack::new(config, Seed::from_number(1))?;
/// let socket = stack.tcp_socket()?;
/// stack.bind(socket, "10.7.0.2:80".parse()?)?;
/// stack.listen(socket, 128)?;
/// assert!(stack.transmit(Instant::ZERO, &mut ()).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    ip: Ipv4,
    udp: Udp,
    echo: EchoSockets,
    isn: IsnGenerator,
    cookies: Cookies,
    ports: EphemeralPorts,
    /// Everything that has a four-tuple.
    flows: Flows,
    listeners: Listeners,
    /// Connections that no socket holds and that have something to say, the oldest first.
    orphans: FlowList,
    /// Records in TIME-WAIT, the one that ends first first.
    time_waits: FlowList,
    sockets: Slab<SocketId, Socket>,
    /// What a new socket starts from; shared by all that are told nothing.
    default_options: Arc<SocketOptions>,
    /// Whose a UDP socket is.
    udp_sockets: SecondaryMap<UdpId, SocketId>,
    /// One entry a flow, at its earliest deadline; none for a record in TIME-WAIT.
    deadlines: Deadlines<FlowId>,
    /// Flows that may have something to send.
    ready: Ready,
    /// Flows that keep what only data needs.
    warm: Warm,
    /// Answers that nobody owns, limited in number and, for each destination, in rate.
    outbox: Outbox,
    /// RSTs of flows that are gone, and datagrams.
    departures: Departures,
    /// Packets to ourselves that have left and not arrived.
    loopback: Loopback,
    /// Sockets whose readiness may have changed.
    dirty: OnceQueue<SocketId>,
    /// Octets that all TCP buffers hold.
    memory: Memory,
    /// How many flows are in each state.
    states: StateCounts,
    /// Where the text of trains of segments is joined.
    joined: SuperPool,
    /// Which of several stacks with the same addresses this is; `None` if there is no other.
    share: Option<Share>,
}

impl Stack {
    /// A stack as `config` says, whose random choices follow from `seed`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot be.
    #[expect(clippy::needless_pass_by_value, reason = "two stacks of one seed share secrets")]
    pub fn new(config: StackConfig, seed: Seed) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut rng = Rng::new(&seed);
        let tcp = &config.tcp;
        let defaults = SocketOptions {
            nodelay: !tcp.nagle,
            receive_buffer: tcp.receive_buffer,
            send_buffer: tcp.send_buffer,
            linger2: tcp.fin_wait_2_timeout,
            ..SocketOptions::default()
        };
        Ok(Self {
            ip: Ipv4::new(&config.interface, config.tcp.path_mtu_min, &mut rng),
            udp: Udp::new(&mut rng),
            echo: EchoSockets::new(&mut rng),
            isn: IsnGenerator::new(&mut rng),
            ports: EphemeralPorts::new(config.tcp.ephemeral_ports, &mut rng),
            flows: Flows::new(&mut rng),
            cookies: Cookies::new(&mut rng),
            listeners: Listeners::default(),
            orphans: FlowList::default(),
            time_waits: FlowList::default(),
            sockets: Slab::new(),
            default_options: Arc::new(defaults),
            udp_sockets: SecondaryMap::new(),
            deadlines: Deadlines::default(),
            ready: Ready::new(config.interface.super_text()),
            warm: Warm::default(),
            outbox: Outbox::new(&mut rng),
            departures: Departures::default(),
            loopback: Loopback::default(),
            dirty: OnceQueue::default(),
            memory: Memory::new(config.limits.memory_max),
            states: StateCounts::default(),
            joined: SuperPool::default(),
            share: None,
            config,
        })
    }

    /// A packet arrived at `now`, which is when it was read from the device.
    pub fn receive(&mut self, now: Instant, frame: Frame, observer: &mut dyn Observer) {
        self.receive_via(now, frame, Via::Device, observer);
    }

    fn receive_via(&mut self, now: Instant, frame: Frame, via: Via, observer: &mut dyn Observer) {
        observer.on_event(now, &Event::PacketReceived { len: frame.octets().len() });
        let verdict = self.ip.input(frame, via);
        if let Err(reason) = self.obey(now, verdict, observer) {
            observer.on_event(now, &Event::PacketDropped { reason });
        }
    }

    /// Does with a packet what IP has said.
    fn obey(
        &mut self,
        now: Instant,
        verdict: Verdict,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        match verdict {
            Verdict::Deliver(datagram) => self.deliver(now, datagram, observer),
            Verdict::EchoReply(echo) => self.receive_echo(&echo),
            Verdict::Error(error) => self.receive_error(&error, observer, now),
            Verdict::Answer(answer) => self.queue_answer(now, answer),
            Verdict::Drop(reason) => Err(reason),
        }
    }

    /// Hands a datagram to its transport.
    fn deliver(
        &mut self,
        now: Instant,
        datagram: Datagram,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        match datagram.protocol {
            PROTOCOL_TCP => self.receive_segment(now, &segments::parse(datagram)?, observer),
            PROTOCOL_UDP => self.receive_datagram(now, &datagram, observer),
            _ => {
                let answer = self.ip.protocol_unreachable(now, &datagram)?;
                self.queue_answer(now, answer)?;
                Err(DropReason::UnknownProtocol)
            }
        }
    }

    /// An ICMP error about something that we sent.
    fn receive_error(
        &mut self,
        error: &IcmpError,
        observer: &mut dyn Observer,
        now: Instant,
    ) -> Result<(), DropReason> {
        match error.protocol {
            PROTOCOL_TCP => self.receive_tcp_error(error, observer, now),
            PROTOCOL_UDP => self.receive_udp_error(error),
            _ => Err(DropReason::IcmpUnused),
        }
    }

    /// The next packet to send, or `None` when there is nothing (more) to send at `now`.
    ///
    /// Packets to our own addresses are none of these: they arrive here again, within this call.
    /// So the readiness of sockets may change in it. If there are very many, the rest arrives in
    /// later calls, and [`next_timeout`](Self::next_timeout) is not after `now` until then.
    pub fn transmit(&mut self, now: Instant, observer: &mut dyn Observer) -> Option<Outgoing> {
        let mut packet = Outgoing::default();
        self.transmit_to(now, &mut packet, observer).then_some(packet)
    }

    /// Says whether there was something to send; `packet`, which is so large that moving it from
    /// hand to hand would count, then is that: else as [`transmit`](Self::transmit).
    pub(crate) fn transmit_to(
        &mut self,
        now: Instant,
        packet: &mut Outgoing,
        observer: &mut dyn Observer,
    ) -> bool {
        let mut left = loopback::PACKETS_MAX;
        loop {
            if !self.loopback.is_full() && self.next_packet(now, packet, observer) {
                if !self.is_to_itself(packet) {
                    return true;
                }
                self.loopback.push(packet);
            } else if !self.loop_back(now, &mut left, observer) {
                return false;
            }
        }
    }

    /// The next packet of all that leave: as [`transmit_to`](Self::transmit_to).
    fn next_packet(
        &mut self,
        now: Instant,
        packet: &mut Outgoing,
        observer: &mut dyn Observer,
    ) -> bool {
        self.settle_memory(now, observer);
        if self.ready.is_passed_over() && self.transmit_flow(now, packet, observer) {
            // Who sends datagrams without end keeps no flow from its acknowledgments.
        } else if let Some(queued) = self.outbox.pop().or_else(|| self.next_departure()) {
            self.ready.pass_over();
            *packet = queued;
        } else if !self.transmit_flow(now, packet, observer) {
            self.shed(now, observer); // Only now: each has sent what it owes.
            let Some(reset) = self.next_departure() else { return false };
            *packet = reset;
        }
        observer.on_event(now, &Event::PacketSent { len: packet.len() });
        true
    }

    /// The next packet of a flow, round robin: as [`transmit_to`](Self::transmit_to).
    fn transmit_flow(
        &mut self,
        now: Instant,
        packet: &mut Outgoing,
        observer: &mut dyn Observer,
    ) -> bool {
        let super_text = self.config.interface.super_text();
        while let Some(id) = self.ready.current() {
            let may_grow = self.memory.has_room();
            let Some(entry) = self.flows.get_mut(id) else {
                self.ready.finish(); // It has ended since it joined.
                continue;
            };
            learn_path(&self.ip, now, entry);
            self.states.report(now, entry, observer);
            let mut plan = entry.transmit(now, may_grow, super_text);
            let Some(plan) = &mut plan else {
                self.end_turn(id, may_grow);
                continue;
            };
            let (flow, ttl, tos) = (entry.tuple, entry.ttl, entry.tos);
            let (reason, len) = (plan.reason, plan.text_len());
            let is_made = self.make_packet(flow, ttl, tos, plan, packet).is_some();
            if is_made {
                observer.on_event(now, &Event::SegmentSent { flow, reason, len });
            }
            if plan.is_last {
                self.end_turn(id, may_grow);
            } else if is_made {
                self.ready.on_sent(packet.len());
            }
            if is_made {
                return true;
            }
        }
        false
    }

    /// The flow whose turn it is has no more to send.
    fn end_turn(&mut self, id: FlowId, may_grow: bool) {
        self.ready.finish();
        let Some(entry) = self.flows.get_mut(id) else { return };
        entry.is_ready = false;
        self.memory.recharge(entry);
        if !may_grow && entry.connection().is_some_and(Connection::could_offer_more) {
            self.memory.watch(id, entry);
        }
        self.warm.on_turn(id, entry);
        if let Some(at) = entry.deadline() {
            self.deadlines.arm(id, at);
        }
        if entry.connection().is_some_and(Connection::wakes_by_sending)
            && let Owner::Socket(socket) = entry.owner
        {
            self.touch_socket(socket);
        }
        self.warm.cool_one(&mut self.flows);
    }

    /// The packet of a segment; `None` if IP cannot send it, which it then never could.
    fn packet(
        &mut self,
        flow: FourTuple,
        ttl: u8,
        tos: u8,
        mut plan: SegmentPlan,
    ) -> Option<Outgoing> {
        let mut packet = Outgoing::default();
        self.make_packet(flow, ttl, tos, &mut plan, &mut packet)?;
        Some(packet)
    }

    /// Makes the packet of a segment, whose text goes there, in the place of what `packet` was.
    fn make_packet(
        &mut self,
        flow: FourTuple,
        ttl: u8,
        tos: u8,
        plan: &mut SegmentPlan,
        made: &mut Outgoing,
    ) -> Option<()> {
        let (source, destination) = (flow.local.ipv4()?, flow.remote.ipv4()?);
        let header = TcpHeader {
            source_port: flow.local.port(),
            destination_port: flow.remote.port(),
            seq: plan.seq.0,
            ack: plan.ack.0,
            flags: plan.flags,
            window: plan.window,
            urgent: plan.urgent,
        };
        let text_len = plan.payload.iter().map(bytes::Bytes::len).sum::<usize>();
        let len = TcpHeader::LEN + plan.options.len() + text_len;
        let offload = self.config.interface.offload(plan.segment);
        let (protocol, dont_fragment, parts) = (PROTOCOL_TCP, true, plan.parts());
        let packet = Packet { source, destination, protocol, tos, ttl, dont_fragment, parts };
        let Outgoing { head, payload, .. } = made;
        head.clear();
        self.ip.output(&packet, len, head).ok()?;
        (made.offload, *payload) = (offload, std::mem::take(&mut plan.payload));
        header.emit(&plan.options, source, destination, payload, offload.checksum, head);
        Some(())
    }

    /// How many connections may have something to send.
    pub(crate) fn senders(&self) -> usize {
        self.ready.len()
    }

    /// Which of them is the next to send.
    pub(crate) fn next_sender(&mut self) -> Option<FlowId> {
        self.ready.current()
    }

    /// When [`on_timeout`](Self::on_timeout) next has something to do; it may be in the past.
    /// Call it after `transmit` has returned nothing.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let timers = [self.deadlines.next(), self.time_wait_end()];
        self.loopback.due().or_else(|| timers.into_iter().flatten().min())
    }

    /// As [`next_timeout`](Self::next_timeout), but no deadline that has been put off or given up
    /// is named: it is looked up now what would else be found out when that time has come.
    pub fn next_timeout_exact(&mut self) -> Option<Instant> {
        loop {
            let at = self.next_timeout()?;
            if self.loopback.due().is_some() || self.time_wait_end() == Some(at) {
                return Some(at);
            }
            let Some(id) = self.deadlines.expire(at) else { continue };
            let Some(due) = self.flows.get(id).and_then(FlowEntry::deadline) else { continue };
            self.deadlines.arm(id, due);
            if due <= at {
                return Some(at);
            }
        }
    }

    /// Runs what is due at `now`.
    pub fn on_timeout(&mut self, now: Instant, observer: &mut dyn Observer) {
        while let Some(id) = self.deadlines.expire(now) {
            self.on_flow_timeout(now, id, observer);
        }
        self.end_time_waits(now, observer);
    }

    fn on_flow_timeout(&mut self, now: Instant, id: FlowId, observer: &mut dyn Observer) {
        let Some(entry) = self.flows.get_mut(id) else { return };
        self.ready.join(id, &mut entry.is_ready); // `transmit` arms the next deadline.
        match &mut entry.flow {
            Flow::Connecting(connecting) => {
                if !connecting.on_timeout(now) {
                    self.end_connecting(now, id, None, observer);
                }
            }
            Flow::HalfOpen(half_open) => {
                if !half_open.on_timeout(now) {
                    self.remove_flow(now, id, observer);
                }
            }
            Flow::Open(connection) => {
                let outcome = connection.on_timeout(now);
                self.apply(now, id, outcome, observer);
            }
            Flow::TimeWait(_) => {} // It has no deadline there.
        }
    }

    /// A socket whose readiness may have changed since it was last named here; ask
    /// [`readiness`](Self::readiness) what it is now. Each stands in the list once, so that the
    /// list is bounded even if nobody drains it.
    #[inline]
    pub fn poll_event(&mut self) -> Option<SocketId> {
        while let Some(id) = self.dirty.pop() {
            if let Some(socket) = self.sockets.get_mut(id) {
                socket.is_dirty = false;
                return Some(id);
            }
        }
        None
    }

    /// The readiness of a socket may have changed.
    fn touch_socket(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(id) {
            self.dirty.join(id, &mut socket.is_dirty);
        }
    }

    /// A flow may have something to send, a new deadline, or other buffers than before.
    fn touch_flow(&mut self, id: FlowId) {
        if let Some(entry) = self.flows.get_mut(id) {
            touch(&mut self.ready, &mut self.memory, id, entry);
        }
    }

    /// Adds a flow and lets it send.
    fn insert_flow(&mut self, ends: Hashed, flow: Flow, owner: Owner, ttl: u8, tos: u8) -> FlowId {
        let entry = FlowEntry {
            tuple: ends.tuple,
            flow,
            owner,
            links: Links::default(),
            ttl,
            tos,
            is_ready: false,
            is_warm: false,
            awaits_memory: false,
            charged: 0,
            reported: TcpState::Closed,
        };
        let id = self.flows.insert(ends.hash, entry);
        self.join_list(id);
        self.touch_flow(id);
        id
    }

    /// Takes a flow out; the caller has dealt with its owner.
    fn remove_flow(
        &mut self,
        now: Instant,
        id: FlowId,
        observer: &mut dyn Observer,
    ) -> Option<FlowEntry> {
        if let Some(entry) = self.flows.get_mut(id) {
            self.states.report(now, entry, observer);
        }
        self.deadlines.disarm(id);
        self.leave_list(id);
        let mut entry = self.flows.remove(id)?;
        self.memory.release(entry.charged);
        self.memory.sweep(&self.flows);
        self.states.report_closed(now, &mut entry, observer);
        Some(entry)
    }

    /// Sends the RST of a flow that is gone, or is about to go.
    fn depart(&mut self, entry: &FlowEntry, reset: SegmentPlan) {
        if let Some(packet) = self.packet(entry.tuple, entry.ttl, entry.tos, reset) {
            self.departures.push(packet);
        }
    }
}

/// Tells a connection what has become known of its path since it last sent.
fn learn_path(ip: &Ipv4, now: Instant, entry: &mut FlowEntry) {
    let (tuple, generation) = (entry.tuple, ip.path_generation());
    if let Flow::Open(connection) = &mut entry.flow
        && connection.is_path_stale(now, generation)
        && let Some(path) = icmp_errors::path_of(ip, now, &tuple)
    {
        connection.on_path_news(now, path);
    }
}

/// As [`Stack::touch_flow`], for whoever has found the flow.
fn touch(ready: &mut Ready, memory: &mut Memory, id: FlowId, entry: &mut FlowEntry) {
    ready.join(id, &mut entry.is_ready);
    memory.recharge(entry);
}

#[cfg(test)]
#[path = "tests/exchange.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/limits.rs"]
mod limits;

#[cfg(test)]
#[path = "tests/super_segments.rs"]
mod super_segments;
