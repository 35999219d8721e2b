//! A burst of packets: consecutive segments of one flow are looked at together.
//!
//! What Linux's generic receive offload does for a device, but behind all checks of a packet and of
//! its checksum: each segment has passed them by itself before it is coupled. What is saved is the
//! way from the demultiplexer through the connection, which one train goes once, and the way of its
//! text: it is copied while the processor has it at hand, into one piece that readers may keep.

use std::collections::VecDeque;

use super::segments::Arrival;
use super::{DropReason, Event, Frame, Instant, Observer, Stack, segments};
use crate::ip::{Verdict, Via};
use crate::packet::{Checksum, Offload};
use crate::tcp::{SeqNumber, TRAIN_OCTETS_MAX};
use crate::wire::ipv4::PROTOCOL_TCP;
use crate::wire::template::HeaderTemplate;

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
        // Of the segment that the train began with.
        let mut template = None;
        for frame in frames.drain(..) {
            observer.on_event(now, &Event::PacketReceived { len: frame.octets().len() });
            if let (Some(train), Some(template)) = (&mut train, &template)
                && self.couple_follower(train, template, &frame)
            {
                continue;
            }
            let next_template = HeaderTemplate::of(frame.octets());
            let taken = match self.ip.input(frame, Via::Device) {
                Verdict::Deliver(datagram) if datagram.protocol == PROTOCOL_TCP => {
                    let next = segments::parse(datagram);
                    match &next {
                        Ok(next) if self.couple(&mut train, next) => Ok(()),
                        Ok(_) => {
                            self.run(now, &mut train, observer);
                            train = next.ok();
                            template = next_template;
                            Ok(())
                        }
                        Err(reason) => Err(*reason),
                    }
                }
                verdict => {
                    self.run(now, &mut train, observer);
                    self.obey(now, verdict, observer)
                }
            };
            report(now, taken, observer);
        }
        self.run(now, &mut train, observer);
    }

    /// Couples the segment in `frame` to the train that stands, if its headers are those of
    /// `template`, the train's first segment, but for what may differ in a train. It is the same
    /// as to check it, to take it apart and to [`couple`](Self::couple) it, in less time.
    fn couple_follower(
        &mut self,
        train: &mut Arrival,
        template: &HeaderTemplate,
        frame: &Frame,
    ) -> bool {
        let Offload { checksum, segment: None } = frame.offload() else { return false };
        let is_summed = checksum == Checksum::Complete;
        let Some(next) = template.follower(frame.octets()) else { return false };
        let may_couple = train.segment.may_precede_text(SeqNumber(next.seq), next.text)
            && template.is_intact(frame.octets(), is_summed); // Last: it costs most.
        if may_couple {
            self.make_room_for(train);
            train.segment.couple_text(next.text, self.joined.memory());
        }
        may_couple
    }

    /// Couples `next` to the train that stands, if it can be.
    fn couple(&mut self, train: &mut Option<Arrival>, next: &Arrival) -> bool {
        if let Some(train) = train
            && train.tuple == next.tuple
            && train.tos == next.tos
            && train.segment.may_precede(&next.segment)
        {
            self.make_room_for(train);
            train.segment.couple(&next.segment, self.joined.memory());
            return true;
        }
        false
    }

    /// Sees to it that there is room for the text of a train, if one begins here.
    fn make_room_for(&mut self, train: &Arrival) {
        if !train.segment.is_train() {
            self.joined.make_room(TRAIN_OCTETS_MAX as usize);
        }
    }

    /// The train that stands, if there is one, arrives: as one segment, where that makes no
    /// difference, or as those that it is.
    fn run(&mut self, now: Instant, train: &mut Option<Arrival>, observer: &mut dyn Observer) {
        let Some(arrival) = train else { return };
        if arrival.segment.is_train() {
            self.run_coupled(now, arrival, observer);
        } else {
            let taken = self.receive_segment(now, arrival, observer);
            report(now, taken, observer);
        }
        *train = None;
    }

    /// A train of several segments arrives.
    fn run_coupled(&mut self, now: Instant, train: &mut Arrival, observer: &mut dyn Observer) {
        train.segment.join(self.joined.take());
        let flow = self.flows.find(&train.tuple);
        let open = flow.and_then(|id| self.flows.get(id)?.connection());
        if !open.is_some_and(|open| open.may_receive_whole(now, &train.segment)) {
            while let Some(segment) = train.segment.uncouple() {
                let first = Arrival { segment, ..*train };
                let taken = self.receive_segment(now, &first, observer);
                report(now, taken, observer);
            }
        }
        let taken = self.receive_segment(now, train, observer);
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
