//! Listeners under a flood of SYNs: answers of which nothing is kept.

use super::demux::{FlowId, Hashed};
use super::flow::Owner;
use super::listeners::ListenerId;
use super::{DropReason, Event, Flow, Instant, Observer, Stack};
use crate::options::SocketOptions;
use crate::tcp::{Cookies, Offer, Promise, Recalled, Segment, SegmentPlan, SeqNumber, reset_for};
use crate::wire::FourTuple;

impl Stack {
    /// Answers a SYN by a SYN-ACK with a cookie, and forgets it.
    pub(super) fn send_cookie(
        &mut self,
        now: Instant,
        id: ListenerId,
        tuple: FourTuple,
        syn: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let options = &self.listeners.get(id).ok_or(DropReason::NoTcpSocket)?.options;
        let (ttl, tos) = (options.ttl, options.dscp());
        let offer = self.offer(options, self.isn.timestamp_clock(&tuple));
        let promise = promise(options, offer);
        let iss = self.cookies.make(now, &tuple, syn.seq, (offer, &syn.options), promise);
        let mut half_open = self.half_open(now, syn, iss, offer, promise.window());
        let Some(mut syn_ack) = half_open.transmit(now) else { return Ok(()) };
        if let Some(timestamps) = &mut syn_ack.options.timestamps {
            timestamps.value = Cookies::stamp(timestamps.value, &syn.options);
        }
        let packet = self.packet(tuple, ttl, tos, syn_ack).ok_or(DropReason::TcpAddress)?;
        self.outbox.push_unlimited(packet)?;
        self.listeners.on_cookie(now, tuple.local.port(), promise);
        observer.on_event(now, &Event::SynCookieSent { flow: tuple });
        Ok(())
    }

    /// An ACK may bring a cookie back: then it opens what its SYN asked for, and whatever text it
    /// has is the connection's.
    pub(super) fn take_cookie(
        &mut self,
        now: Instant,
        id: ListenerId,
        ends: Hashed,
        segment: &Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let tuple = ends.tuple;
        let (irs, cookie) = numbers(segment).ok_or(DropReason::NoAck)?;
        let clock = self.isn.timestamp_clock(&tuple);
        let recalled = self.recall(now, &tuple, segment).ok_or(DropReason::BadCookie)?;
        let Recalled { options, rtt, promise } = recalled;
        // What it has opened has ended, and this is CLOSED (RFC 9293 §3.10.7.1): who was not told
        // by an RST, or has not heard of it, is told now.
        if self.cookies.is_spent(&tuple, irs, cookie) {
            let reset = reset_for(segment).ok_or(DropReason::StrayReset)?;
            self.answer(now, tuple, reset)?;
            return Err(DropReason::CookieSpent);
        }
        let entry = self.listeners.get(id).ok_or(DropReason::NoTcpSocket)?;
        // Nothing is kept of an ACK that is put off: a record would be one past the backlog. The
        // peer's text has the same acknowledgment in it, and brings the cookie again.
        if entry.options.defer_accept.is_some() && segment.len() == 0 {
            return Err(DropReason::AcceptDeferred);
        }
        if self.live() >= self.config.limits.connections_max {
            return Err(DropReason::TooManyConnections);
        }
        if !entry.listener.has_room() {
            if self.config.tcp.abort_on_overflow
                && let Some(reset) = reset_for(segment)
            {
                self.answer(now, tuple, reset)?;
            }
            return Err(DropReason::AcceptQueueFull);
        }
        let offer = promise.offer(self.offer(&entry.options, clock));
        let syn = segment.syn_of(options);
        let half_open = self.half_open(now, &syn, cookie, offer, promise.window());
        let half_open = half_open.recalled(now, rtt);
        let flow = self.insert_half_open(id, ends, half_open)?;
        self.cookies.spend(&tuple, irs, cookie);
        observer.on_event(now, &Event::SynCookieTaken { flow: tuple });
        let outcome = self.receive_for_flow(now, flow, segment, observer);
        let entry = self.flows.get(flow);
        debug_assert!(entry.is_none_or(|entry| !matches!(entry.flow, Flow::HalfOpen(_))));
        outcome
    }

    /// An ACK comes to the record of a listener whose SYN-ACK it does not acknowledge.
    ///
    /// The SYN may have come twice: before there was a place for the record, when it was answered
    /// by a cookie, and after. The peer has taken the first answer, and our reset would end what it
    /// believes open; so while cookies are awaited there is none, as there is none without a
    /// record. Once the peer sends what brings the cookie, the record makes way for it.
    pub(super) fn on_ack_of_another(
        &mut self,
        now: Instant,
        id: FlowId,
        segment: &Segment,
        reset: SegmentPlan,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let entry = self.flows.get(id).ok_or(DropReason::NoTcpSocket)?;
        let (tuple, owner) = (entry.tuple, entry.owner);
        let irs = match &entry.flow {
            Flow::HalfOpen(half_open) => half_open.irs(),
            _ => return Err(DropReason::BadHandshakeAck),
        };
        if self.listeners.promises(now, tuple.local.port()).next().is_none() {
            self.answer(now, tuple, reset)?;
            return Err(DropReason::BadHandshakeAck);
        }
        let Owner::Listener(listener) = owner else { return Err(DropReason::BadHandshakeAck) };
        let entry = self.listeners.get(listener).ok_or(DropReason::NoTcpSocket)?;
        if segment.seq != irs + 1 || !self.brings_cookie(now, &tuple, segment) {
            return Err(DropReason::BadHandshakeAck);
        }
        // If it cannot open now the record stays: its SYN-ACK has the peer say once more what it
        // takes for open, and so bring the cookie again.
        if entry.options.defer_accept.is_some() && segment.len() == 0 {
            return Err(DropReason::AcceptDeferred);
        }
        if !entry.listener.has_room() {
            return Err(DropReason::AcceptQueueFull);
        }
        self.remove_flow(now, id, observer);
        let ends = self.flows.hashed(tuple);
        self.take_cookie(now, listener, ends, segment, observer)
    }

    /// Whether the segment brings a cookie that has had no connection yet.
    fn brings_cookie(&self, now: Instant, tuple: &FourTuple, segment: &Segment) -> bool {
        self.recall(now, tuple, segment).is_some()
            && numbers(segment)
                .is_some_and(|(irs, cookie)| !self.cookies.is_spent(tuple, irs, cookie))
    }

    /// What the cookie in the segment, if it is a good one, says of its SYN.
    fn recall(&self, now: Instant, tuple: &FourTuple, segment: &Segment) -> Option<Recalled> {
        let (irs, cookie) = numbers(segment)?;
        let clock = self.isn.timestamp_clock(tuple);
        let stamps = (clock.value(now), segment.options.timestamps);
        let promises = self.listeners.promises(now, tuple.local.port());
        self.cookies.read(now, tuple, irs, cookie, promises, stamps)
    }
}

/// The number of the SYN that a cookie answered, and the cookie, if the segment brings one.
fn numbers(segment: &Segment) -> Option<(SeqNumber, SeqNumber)> {
    Some((segment.seq - 1, segment.ack? - 1))
}

/// What a SYN-ACK with a cookie says of us. The window is the whole buffer even when memory is
/// short: each other one would be one more promise to remember.
fn promise(options: &SocketOptions, offer: Offer) -> Promise {
    Promise::new(offer, options.receive_buffer)
}

#[cfg(test)]
#[path = "tests/cookies.rs"]
mod tests;
