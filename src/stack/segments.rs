//! Segments that arrive: from the datagram to the flow, the listener, or an RST.

use super::demux::{FlowId, Hashed};
use super::flow::{Flow, FlowEntry, Owner};
use super::icmp_errors::path_of;
use super::listeners::{Child, ListenerId};
use super::{DropReason, Event, Instant, Observer, SocketOptions, Stack, touch};
use crate::ip::{Cast, Datagram};
use crate::packet::{Checksum, Outgoing};
use crate::tcp::{
    Connection, HalfOpen, HalfOpenVerdict, ListenerVerdict, Need, Offer, Opened, Outcome, Segment,
    SegmentPlan, SeqNumber, TimeWaitVerdict, TimestampClock, reset_for,
};
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::TcpOptions;
use crate::wire::{Endpoint, FourTuple, ParseError};

/// A record in TIME-WAIT to which a SYN of a new connection has come.
#[derive(Clone, Copy)]
struct Reopened {
    record: FlowId,
    /// What the old connection has sent: our initial sequence number must be past it.
    floor: SeqNumber,
}

/// A segment that has arrived, or several that have arrived next to each other as one.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Between whom it goes.
    pub(super) tuple: FourTuple,
    /// Whether the local end is of our addresses.
    pub(super) is_ours: bool,
    /// DSCP and ECN.
    pub(super) tos: u8,
    /// The segment itself.
    pub(super) segment: Segment,
}

impl Stack {
    /// SEGMENT ARRIVES: finds whose it is (RFC 9293 §3.10.7).
    pub(super) fn receive_segment(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let ends = self.flows.hashed(arrival.tuple);
        match self.flows.find_hashed(&ends) {
            Some(id) => self.receive_for_flow(now, id, &arrival.segment, observer),
            None => self.receive_for_listener(now, ends, arrival, observer),
        }
    }

    /// A segment of a flow that is known.
    pub(super) fn receive_for_flow(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let (may_hold, may_share) = (self.memory.has_room(), self.memory.may_share());
        let Some(entry) = self.flows.get_mut(id) else { return Ok(()) };
        match &mut entry.flow {
            Flow::Open(connection) => {
                let own;
                let segment = if !may_share && connection.keeps_whole(segment) {
                    own = segment.on_its_own();
                    &own
                } else {
                    segment
                };
                let need = if segment.text_len() > 0 { Need::Pages } else { Need::Nothing };
                let spares = &mut self.memory.spares;
                let receive = |open: &mut Connection| open.receive(now, segment, may_hold);
                let outcome = connection.with_spares(spares, need, receive);
                touch(&mut self.ready, &mut self.memory, id, entry);
                let outcome = outcome?;
                let dropped = outcome.dropped;
                self.apply(now, id, outcome, observer);
                dropped.map_or(Ok(()), Err)
            }
            Flow::Connecting(connecting) => {
                let verdict = connecting.receive(now, segment);
                self.touch_flow(id);
                self.continue_connecting(now, id, segment, verdict, observer)
            }
            Flow::HalfOpen(half_open) => {
                let verdict = half_open.receive(now, segment);
                self.continue_half_open(now, id, segment, verdict, observer)
            }
            Flow::TimeWait(time_wait) => match time_wait.receive(now, segment) {
                TimeWaitVerdict::Acknowledge => {
                    self.touch_flow(id);
                    Ok(())
                }
                TimeWaitVerdict::Restart => {
                    self.give_to(id, Owner::Nobody); // The list is in the order of their ends.
                    self.touch_flow(id);
                    Ok(())
                }
                TimeWaitVerdict::Drop(reason) => Err(reason),
                TimeWaitVerdict::Reopen { floor } => {
                    self.reopen(now, Reopened { record: id, floor }, segment, observer)
                }
            },
        }
    }

    /// A SYN of a new connection has come to a record in TIME-WAIT, which makes room for it if a
    /// listener takes it (MAY-2), and outlives a SYN for which there is no listener or no room.
    fn reopen(
        &mut self,
        now: Instant,
        reopened: Reopened,
        syn: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let id = reopened.record;
        let Some(FlowEntry { tuple, .. }) = self.flows.get(id) else { return Ok(()) };
        let ends @ Hashed { tuple, hash } = self.flows.hashed(*tuple);
        let is_ours = tuple.local.ipv4().is_some_and(|addr| self.ip.is_ours(addr));
        let found = self.listeners.find(tuple.local, is_ours, hash);
        let (listeners, port) = (&self.listeners, tuple.local.port());
        match found.and_then(|id| Some((id, listeners.judge(now, id, port, syn)?))) {
            // As Linux: a cookie could not be past `floor`; the record that makes room bounds the
            // half-open ones.
            Some((listener, ListenerVerdict::Open | ListenerVerdict::SendCookie)) => {
                self.open_half(now, listener, ends, syn, Some(reopened), observer)
            }
            Some((_, ListenerVerdict::Drop(reason))) => Err(reason),
            Some((_, ListenerVerdict::Answer(_) | ListenerVerdict::TakeCookie)) | None => {
                let entry = self.flows.get_mut(id);
                if let Some(Flow::TimeWait(record)) = entry.map(|e| &mut e.flow)
                    && !record.refuse(now)
                {
                    return Err(DropReason::RateLimited);
                }
                self.touch_flow(id);
                Err(DropReason::NoTcpSocket)
            }
        }
    }

    /// A segment for which there is no flow: LISTEN (§3.10.7.2) or CLOSED (§3.10.7.1).
    fn receive_for_listener(
        &mut self,
        now: Instant,
        ends: Hashed,
        arrival: &Arrival,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let Arrival { tuple, is_ours, ref segment, .. } = *arrival;
        let Some(id) = self.listeners.find(tuple.local, is_ours, ends.hash) else {
            if !is_ours {
                return Err(DropReason::NotOurs);
            }
            let reset = reset_for(segment).ok_or(DropReason::StrayReset)?;
            self.answer(now, tuple, reset)?;
            return Err(DropReason::NoTcpSocket);
        };
        let verdict = self.listeners.judge(now, id, tuple.local.port(), segment);
        match verdict.ok_or(DropReason::NoTcpSocket)? {
            ListenerVerdict::SendCookie => self.send_cookie(now, id, tuple, segment, observer),
            ListenerVerdict::Open => self.open_half(now, id, ends, segment, None, observer),
            ListenerVerdict::TakeCookie => self.take_cookie(now, id, ends, segment, observer),
            ListenerVerdict::Answer(reset) => {
                self.answer(now, tuple, reset)?;
                Err(DropReason::NotForListener)
            }
            ListenerVerdict::Drop(reason) => Err(reason),
        }
    }

    /// A SYN for a listener becomes a half-open connection, in the place of `reopened` if there was
    /// a record. That goes last, once nothing can fail any more.
    fn open_half(
        &mut self,
        now: Instant,
        id: ListenerId,
        ends: Hashed,
        syn: &Segment,
        reopened: Option<Reopened>,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        if self.live() >= self.config.limits.connections_max {
            return Err(DropReason::TooManyConnections);
        }
        let (isn, clock) = self.isn.start(now, &ends.tuple);
        // As Linux: past all that the old connection can have in the network.
        let iss = reopened.map_or(isn, |old| SeqNumber::max_of(isn, old.floor + 65_537));
        let options = &self.listeners.get(id).ok_or(DropReason::NoTcpSocket)?.options;
        let offer = self.offer(options, clock);
        let half_open = self.half_open(now, syn, iss, offer, self.first_window(options, offer));
        if let Some(Reopened { record, .. }) = reopened {
            self.remove_flow(now, record, observer);
        }
        self.insert_half_open(id, ends, half_open)?;
        Ok(())
    }

    /// The record of a SYN that is answered with `iss`, this offer and a window of so many octets.
    pub(super) fn half_open(
        &self,
        now: Instant,
        syn: &Segment,
        iss: SeqNumber,
        offer: Offer,
        window: u32,
    ) -> HalfOpen {
        HalfOpen::new(now, syn, iss, offer, window, self.config.tcp.syn_ack_retries)
    }

    /// What we offer the peer of a socket with these options.
    pub(super) fn offer(&self, options: &SocketOptions, clock: TimestampClock) -> Offer {
        Offer::new(&self.config.tcp, self.config.interface.mtu, options, clock)
    }

    /// The window of our SYN, octets: no more than a segment's when memory is short, so that the
    /// peer can go on and brings little.
    pub(super) fn first_window(&self, options: &SocketOptions, offer: Offer) -> u32 {
        let limit = if self.memory.has_room() { u32::MAX } else { u32::from(offer.mss) };
        options.receive_buffer.min(limit)
    }

    /// Adds a half-open connection of a listener.
    pub(super) fn insert_half_open(
        &mut self,
        id: ListenerId,
        ends: Hashed,
        half_open: HalfOpen,
    ) -> Result<FlowId, DropReason> {
        let options = &self.listeners.get(id).ok_or(DropReason::NoTcpSocket)?.options;
        let (ttl, tos) = (options.ttl, options.dscp());
        let flow = Flow::HalfOpen(Box::new(half_open));
        Ok(self.insert_flow(ends, flow, Owner::Listener(id), ttl, tos))
    }

    fn continue_half_open(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: &Segment,
        verdict: HalfOpenVerdict,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        match verdict {
            HalfOpenVerdict::Stay => {
                self.touch_flow(id);
                Ok(())
            }
            HalfOpenVerdict::Drop(reason) => Err(reason),
            HalfOpenVerdict::Forget => {
                self.remove_flow(now, id, observer); // Nobody is told (MUST-11).
                Ok(())
            }
            HalfOpenVerdict::Answer(reset) => {
                self.on_ack_of_another(now, id, segment, reset, observer)
            }
            HalfOpenVerdict::Opened(opened) => self.establish(now, id, &opened, segment, observer),
        }
    }

    /// The handshake of a passive open is through; the segment that ended it may bring text.
    fn establish(
        &mut self,
        now: Instant,
        id: FlowId,
        opened: &Opened,
        segment: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let entry = self.flows.get_mut(id).ok_or(DropReason::NoTcpSocket)?;
        let Owner::Listener(listener_id) = entry.owner else {
            return Err(DropReason::NoTcpSocket);
        };
        let Some(listener) = self.listeners.get_mut(listener_id) else {
            return Err(DropReason::NoTcpSocket);
        };
        if let (Some(wait), 0, Flow::HalfOpen(half_open)) =
            (listener.options.defer_accept, segment.len(), &mut entry.flow)
            && half_open.defers(now, wait)
        {
            self.touch_flow(id); // Its deadline is another.
            return Err(DropReason::AcceptDeferred);
        }
        if !listener.listener.has_room() {
            return self.overflow(now, id, segment, observer);
        }
        let path = path_of(&self.ip, now, &entry.tuple).ok_or(DropReason::NoTcpSocket)?;
        let ticket = listener.listener.enqueue(Child::Open(id));
        let mut connection =
            Connection::new(now, &self.config.tcp, &listener.options, opened, path);
        // Of a bare ACK, as most are, the connection has been made: there is no more in it.
        let is_bare = segment.len() == 0 && segment.urgent.is_none();
        if is_bare {
            connection.on_arrived(now, segment);
        }
        let has_deadline = connection.deadline().is_some();
        let listening_socket = listener.socket;
        entry.flow = Flow::Open(Box::new(connection));
        self.states.report(now, entry, observer); // It may be over before anything is transmitted.
        self.give_to(id, Owner::Queue(listener_id, ticket));
        self.touch_socket(listening_socket);
        if !is_bare {
            return self.receive_for_flow(now, id, segment, observer);
        }
        // A turn would send nothing: it arms a timer, or has the peer told once there is memory.
        if has_deadline || !self.memory.has_room() {
            self.touch_flow(id);
        }
        Ok(())
    }

    /// The last ACK of a handshake finds the queue full: it is dropped, and the peer's data or our
    /// SYN-ACK brings another; or the peer is reset, if the configuration asks for it (as Linux).
    fn overflow(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        if self.config.tcp.abort_on_overflow
            && let Some(reset) = reset_for(segment)
            && let Some(entry) = self.remove_flow(now, id, observer)
        {
            self.answer(now, entry.tuple, reset)?;
        }
        Err(DropReason::AcceptQueueFull)
    }

    /// Carries out what an input did to a connection.
    pub(super) fn apply(
        &mut self,
        now: Instant,
        id: FlowId,
        outcome: Outcome,
        observer: &mut dyn Observer,
    ) {
        let Some(entry) = self.flows.get(id) else { return };
        if outcome.fast_retransmit {
            observer.on_event(now, &Event::FastRetransmit { flow: entry.tuple });
        }
        if outcome.timed_out {
            observer.on_event(now, &Event::RetransmissionTimeout { flow: entry.tuple });
        }
        if outcome.is_silent {
            observer.on_event(now, &Event::PeerSilent { flow: entry.tuple });
        }
        if (outcome.readable || outcome.writable || outcome.urgent || outcome.end.is_some())
            && let Owner::Socket(id) = entry.owner
            && let Some(socket) = self.sockets.get_mut(id)
        {
            if outcome.writable {
                socket.soft_error = None; // What routers said before is out of date.
            }
            self.dirty.join(id, &mut socket.is_dirty);
        }
        if let Some(end) = outcome.end {
            self.end_connection(now, id, end, observer);
        }
    }

    /// An answer that no flow sends.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        plan: SegmentPlan,
    ) -> Result<(), DropReason> {
        let packet = self.packet(tuple, 64, 0, plan).ok_or(DropReason::TcpAddress)?;
        self.queue_answer(now, packet)
    }

    /// Queues an answer that no flow sends, so many of them to each destination and no more; but as
    /// many as there are to ourselves, who are flooded by nobody in a foreign name.
    pub(super) fn queue_answer(
        &mut self,
        now: Instant,
        answer: Outgoing,
    ) -> Result<(), DropReason> {
        if self.ip.is_to_ourselves(&answer.head) {
            self.outbox.push_unlimited(answer)
        } else {
            self.outbox.push(now, answer)
        }
    }
}

/// The segment in a datagram.
pub(super) fn parse(datagram: Datagram) -> Result<Arrival, DropReason> {
    let (source, destination) = (datagram.source, datagram.destination);
    // To a broadcast or a group nobody answers, not even by an RST (RFC 9293 §3.9.2.3, MUST-57).
    if datagram.cast != Cast::Unicast {
        return Err(DropReason::TcpAddress);
    }
    let octets = datagram.payload();
    let view = TcpHeader::parse(octets).map_err(|error| match error {
        ParseError::Truncated => DropReason::Truncated,
        ParseError::BadLength | ParseError::Version | ParseError::Checksum => DropReason::BadLength,
    })?;
    let is_summed = datagram.offload.checksum == Checksum::Complete;
    if is_summed && !TcpHeader::checksum_is_valid(source, destination, octets) {
        return Err(DropReason::TransportChecksum);
    }
    let header = view.header;
    // Nobody is there to be answered. To port 0 nobody listens, which is answered as elsewhere.
    if header.source_port == 0 {
        return Err(DropReason::PortZero);
    }
    let options = TcpOptions::parse(view.options).map_err(|_| DropReason::TcpOption)?;
    let tuple = FourTuple {
        local: Endpoint::new(destination.into(), header.destination_port),
        remote: Endpoint::new(source.into(), header.source_port),
    };
    let (header_len, is_ours, tos) = (view.header_len, datagram.is_ours, datagram.tos);
    let part = datagram.offload.segment;
    let mut segment = Segment::new(&header, options, datagram.into_payload(header_len));
    segment.part = part;
    Ok(Arrival { tuple, is_ours, tos, segment })
}
