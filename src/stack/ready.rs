//! Who has something to send: round robin, so many octets or packets each.

use super::demux::FlowId;
use crate::collections::OnceQueue;

/// Octets that a connection may send before the next one has its turn: about ten full segments,
/// so that a bulk transfer does not keep a small answer waiting.
const QUANTUM: usize = 16 << 10;

/// Super-segments that a connection may send instead, to a device that splits large ones itself
/// and takes each by one call: while the peer's reader is awake, it reads several.
const SUPER_SEGMENTS: usize = 3;

/// Other packets that it may send to such a device: as many as are full segments in a quantum.
const PACKETS: usize = 11;

/// Octets above which a super-segment is one that the device splits: what splits them behind the
/// stack asks for smaller ones (`runtime/leaving.rs`).
const LARGE: u32 = 32 << 10;

/// Packets of no flow, such as datagrams, that leave in a row although a flow has something to say.
const PASSED_OVER_MAX: usize = 64;

/// The flows that may have something to send.
#[derive(Debug)]
pub(super) struct Ready {
    queue: OnceQueue<FlowId>,
    quantum: usize,
    /// Octets that a packet counts as, at least.
    packet_min: usize,
    /// Whose turn it is, and how many octets are left of it.
    turn: Option<(FlowId, usize)>,
    /// Packets of no flow that have left since a flow sent one, while there was one that might.
    passed_over: usize,
}

impl Ready {
    /// Nobody has. `super_text`: octets of text in the largest super-segment, 0 if there are none.
    pub(super) fn new(super_text: u32) -> Self {
        let (quantum, packet_min) = if super_text > LARGE {
            // The last of a turn begins where the others may have ended.
            let quantum = (SUPER_SEGMENTS - 1) * super_text as usize + 1;
            (quantum, quantum.div_ceil(PACKETS))
        } else {
            (QUANTUM, 0)
        };
        Self { queue: OnceQueue::default(), quantum, packet_min, turn: None, passed_over: 0 }
    }

    /// `flow` may have something to send; `is_ready` is its bit.
    pub(super) fn join(&mut self, flow: FlowId, is_ready: &mut bool) {
        self.queue.join(flow, is_ready);
    }

    /// How many there are; some may have ended since they joined.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + usize::from(self.turn.is_some())
    }

    /// Whose turn it is.
    pub(super) fn current(&mut self) -> Option<FlowId> {
        if self.turn.is_none() {
            self.turn = self.queue.pop().map(|flow| (flow, self.quantum));
        }
        self.turn.map(|(flow, _)| flow)
    }

    /// The current flow sent a packet of `len` octets. Its turn may be over; it then stands at the
    /// end of the queue, for it may have more.
    pub(super) fn on_sent(&mut self, len: usize) {
        self.passed_over = 0;
        let Some((flow, left)) = &mut self.turn else { return };
        *left = left.saturating_sub(len.max(self.packet_min));
        if *left == 0 {
            let mut is_ready = false;
            self.queue.join(*flow, &mut is_ready);
            self.turn = None;
        }
    }

    /// A packet of no flow leaves.
    pub(super) fn pass_over(&mut self) {
        self.passed_over += usize::from(self.len() > 0);
    }

    /// Whether so many have left that a flow comes first now.
    pub(super) fn is_passed_over(&self) -> bool {
        self.passed_over >= PASSED_OVER_MAX
    }

    /// The current flow has nothing to send; the caller clears its bit.
    pub(super) fn finish(&mut self) {
        self.passed_over = 0;
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    /// How many packets of `len` octets a flow sends before another has its turn.
    fn packets_a_turn(super_text: u32, len: usize) -> usize {
        let mut slab = SlotMap::<FlowId, ()>::with_key();
        let [bulk, small] = [slab.insert(()), slab.insert(())];
        let mut ready = Ready::new(super_text);
        ready.join(bulk, &mut false);
        ready.join(small, &mut false);
        let mut sent = 0;
        while ready.current() == Some(bulk) {
            ready.on_sent(len);
            sent += 1;
        }
        assert_eq!(ready.current(), Some(small));
        ready.finish();
        assert_eq!(ready.current(), Some(bulk));
        ready.finish();
        assert_eq!(ready.current(), None);
        sent
    }

    #[test]
    fn a_flow_comes_first_when_many_others_have_while_it_waited() {
        let mut ready = Ready::new(0);
        (0..2 * PASSED_OVER_MAX).for_each(|_| ready.pass_over());
        assert!(!ready.is_passed_over(), "nobody waited");
        ready.join(SlotMap::<FlowId, ()>::with_key().insert(()), &mut false);
        (1..PASSED_OVER_MAX).for_each(|_| ready.pass_over());
        assert!(!ready.is_passed_over());
        ready.pass_over();
        assert!(ready.is_passed_over());
        ready.current();
        ready.on_sent(1500);
        assert!(!ready.is_passed_over(), "it has sent");
    }

    #[test]
    fn a_flow_that_sends_much_lets_the_others_have_their_turn() {
        assert_eq!(packets_a_turn(0, 1500), 11);
        // A device that splits nothing, and one that does.
        assert_eq!(packets_a_turn(18 << 10, 17_420), 1);
        assert_eq!(packets_a_turn(65_407, 65_212), 3);
        for len in [40, 1500, 9000] {
            assert_eq!(packets_a_turn(65_407, len), 11, "{len} octets each");
        }
    }
}
