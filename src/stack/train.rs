//! A burst of packets: consecutive segments of one flow are looked at together.
//!
//! What Linux's generic receive offload does for a device, but behind all checks of a packet and of
//! its checksum: each segment has passed them by itself before it is coupled. What is saved is the
//! way from the demultiplexer through the connection, which one train goes once.

use std::collections::VecDeque;

use super::flow::Flow;
use super::{DropReason, Event, Frame, Instant, Observer, Stack, segments};
use crate::ip::{Verdict, Via};
use crate::tcp::{Connection, Need, Segment};
use crate::wire::FourTuple;
use crate::wire::ipv4::PROTOCOL_TCP;

/// Segments that have arrived next to each other, and between whom they go.
#[derive(Debug)]
pub(super) struct Train {
    tuple: FourTuple,
    is_ours: bool,
    /// DSCP and ECN, which are the same of all.
    tos: u8,
    segment: Segment,
}

impl Stack {
    /// Packets arrived at `now`, in this order. The same happens as if each were given to
    /// [`receive`](Self::receive) by itself, in less time.
    pub fn receive_burst(
        &mut self,
        now: Instant,
        frames: &mut VecDeque<Frame>,
        observer: &mut dyn Observer,
    ) {
        self.look_ahead(frames);
        let mut train = None;
        for frame in frames.drain(..) {
            observer.on_event(now, &Event::PacketReceived { len: frame.octets().len() });
            let dropped = match self.ip.input(frame, Via::Device) {
                Verdict::Deliver(mut datagram) if datagram.protocol == PROTOCOL_TCP => {
                    segments::parse(&mut datagram).map(|(tuple, segment)| {
                        let (is_ours, tos) = (datagram.is_ours, datagram.tos);
                        let next = Train { tuple, is_ours, tos, segment };
                        self.couple(now, &mut train, next, observer);
                    })
                }
                verdict => {
                    self.run(now, train.take(), observer);
                    self.obey(now, verdict, observer)
                }
            };
            if let Err(reason) = dropped {
                observer.on_event(now, &Event::PacketDropped { reason });
            }
        }
        self.run(now, train, observer);
    }

    /// Couples `next` to the train that stands, or lets that one go and `next` take its place.
    fn couple(
        &mut self,
        now: Instant,
        train: &mut Option<Train>,
        next: Train,
        observer: &mut dyn Observer,
    ) {
        if let Some(train) = train
            && train.tuple == next.tuple
            && train.tos == next.tos
            && train.segment.may_precede(&next.segment)
        {
            train.segment.couple(next.segment, || std::mem::take(&mut self.pieces));
            return;
        }
        self.run(now, train.replace(next), observer);
    }

    /// A train arrives: as one segment, where that makes no difference, or as those that it is.
    fn run(&mut self, now: Instant, train: Option<Train>, observer: &mut dyn Observer) {
        let Some(Train { tuple, is_ours, mut segment, .. }) = train else { return };
        if segment.is_train() {
            if let Some(id) = self.flows.find(&tuple)
                && let Some(Flow::Open(connection)) = self.flows.get_mut(id).map(|e| &mut e.flow)
                && connection.may_receive_whole(now, &segment)
            {
                let spares = &mut self.memory.spares;
                let receive = |open: &mut Connection| open.receive(now, &segment, true);
                let outcome = connection.with_spares(spares, Need::Pages, receive);
                self.pieces = segment.take_memory();
                let taken = self.on_received(now, id, outcome, observer);
                return report(now, taken, observer);
            }
            while let Some(first) = segment.uncouple() {
                let taken = self.receive_parsed(now, tuple, first, is_ours, observer);
                report(now, taken, observer);
            }
            self.pieces = segment.take_memory();
        }
        let taken = self.receive_parsed(now, tuple, segment, is_ours, observer);
        report(now, taken, observer);
    }
}

/// Tells the observer of what was dropped.
fn report(now: Instant, taken: Result<(), DropReason>, observer: &mut dyn Observer) {
    if let Err(reason) = taken {
        observer.on_event(now, &Event::PacketDropped { reason });
    }
}

#[cfg(test)]
#[path = "tests/train.rs"]
mod tests;
