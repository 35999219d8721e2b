//! Who has something to send: round robin, a quantum of octets each.

use super::demux::FlowId;
use crate::collections::OnceQueue;

/// Octets that a connection may send before the next one has its turn: about ten full segments,
/// so that a bulk transfer does not keep a small answer waiting.
const QUANTUM: usize = 16 << 10;

/// The flows that may have something to send.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: OnceQueue<FlowId>,
    /// Whose turn it is, and how many octets are left of it.
    turn: Option<(FlowId, usize)>,
}

impl Ready {
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
            self.turn = self.queue.pop().map(|flow| (flow, QUANTUM));
        }
        self.turn.map(|(flow, _)| flow)
    }

    /// The current flow sent a packet of `len` octets. Its turn may be over; it then stands at the
    /// end of the queue, for it may have more.
    pub(super) fn on_sent(&mut self, len: usize) {
        let Some((flow, left)) = &mut self.turn else { return };
        *left = left.saturating_sub(len);
        if *left == 0 {
            let mut is_ready = false;
            self.queue.join(*flow, &mut is_ready);
            self.turn = None;
        }
    }

    /// The current flow has nothing to send; the caller clears its bit.
    pub(super) fn finish(&mut self) {
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn a_flow_that_sends_much_lets_the_others_have_their_turn() {
        let mut slab = SlotMap::<FlowId, ()>::with_key();
        let [bulk, small] = [slab.insert(()), slab.insert(())];
        let mut ready = Ready::default();
        ready.join(bulk, &mut false);
        ready.join(small, &mut false);
        let mut sent = 0;
        while ready.current() == Some(bulk) {
            ready.on_sent(1500);
            sent += 1;
        }
        assert_eq!(sent, 11);
        assert_eq!(ready.current(), Some(small));
        ready.finish();
        assert_eq!(ready.current(), Some(bulk));
        ready.finish();
        assert_eq!(ready.current(), None);
    }
}
