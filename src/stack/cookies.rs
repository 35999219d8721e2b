//! Listeners under a flood of SYNs: answers of which nothing is kept.

use super::listeners::ListenerId;
use super::{DropReason, Event, Flow, Instant, Observer, Stack};
use crate::options::SocketOptions;
use crate::tcp::{Cookies, Recalled, Segment, reset_for};
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
        let window = promised_window(options);
        let agreed = (self.offer(options, &tuple), &syn.options);
        let iss = self.cookies.make(now, &tuple, syn.seq, agreed);
        let mut half_open = self.half_open(now, id, &tuple, syn, iss, window)?;
        let Some(mut syn_ack) = half_open.transmit(now) else { return Ok(()) };
        if let Some(timestamps) = &mut syn_ack.options.timestamps {
            timestamps.value = Cookies::stamp(timestamps.value, &syn.options);
        }
        let packet = self.packet(tuple, ttl, tos, syn_ack).ok_or(DropReason::TcpAddress)?;
        self.outbox.push_cookie(packet)?;
        if let Some(entry) = self.listeners.get_mut(id) {
            entry.listener.on_cookie(now);
        }
        observer.on_event(now, &Event::SynCookieSent { flow: tuple });
        Ok(())
    }

    /// An ACK may bring a cookie back: then it opens what its SYN asked for, and whatever text it
    /// has is the connection's.
    pub(super) fn take_cookie(
        &mut self,
        now: Instant,
        id: ListenerId,
        tuple: FourTuple,
        segment: Segment,
        observer: &mut dyn Observer,
    ) -> Result<(), DropReason> {
        let (irs, cookie) = (segment.seq - 1, segment.ack.ok_or(DropReason::NoAck)? - 1);
        let stamps = (self.isn.timestamp_clock(&tuple).value(now), segment.options.timestamps);
        let recalled = self.cookies.read(now, &tuple, irs, cookie, stamps);
        let Recalled { options, rtt } = recalled.ok_or(DropReason::BadCookie)?;
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
                && let Some(reset) = reset_for(&segment)
            {
                self.answer(now, tuple, reset)?;
            }
            return Err(DropReason::AcceptQueueFull);
        }
        let window = promised_window(&entry.options);
        let syn = segment.syn_of(options);
        let half_open = self.half_open(now, id, &tuple, &syn, cookie, window)?;
        let half_open = half_open.recalled(now, rtt);
        let flow = self.insert_half_open(id, tuple, half_open)?;
        observer.on_event(now, &Event::SynCookieTaken { flow: tuple });
        let outcome = self.receive_for_flow(now, flow, segment, observer);
        let entry = self.flows.get(flow);
        debug_assert!(entry.is_none_or(|entry| !matches!(entry.flow, Flow::HalfOpen(_))));
        outcome
    }
}

/// The window of a SYN-ACK with a cookie: the whole buffer even when memory is short. When the
/// cookie comes back nobody knows any more how short it was, and a promise must be kept (SHLD-14).
fn promised_window(options: &SocketOptions) -> u32 {
    options.receive_buffer
}
