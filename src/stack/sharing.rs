//! Several stacks with the same addresses, each of which owns some of the flows.
//!
//! Whose a packet is, [`Steering`] says; whoever runs the stacks takes each packet
//! to its owner. What one stack sends to another is on no wire: it leaves by `transmit`, which
//! cannot reach into the other, and arrives there by a door of its own.

use super::{Frame, Instant, Observer, Outgoing, Share, Stack};
use crate::ip::Via;
use crate::wire::Steering;

impl Stack {
    /// From now on this stack is the one with the number `index`, from 0 on, of several with the
    /// same addresses, and only packets that `steering` says are its own arrive here. So it opens
    /// connections only from ports whose answers come back to it, and binds UDP only to ports that
    /// it owns. To be said before anything else.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn set_share(&mut self, steering: Steering, index: usize) {
        assert!(index < steering.count(), "shard {index} of {}", steering.count());
        let share = Share::new(steering, index);
        self.ip.set_share(share);
        self.udp.set_share(share);
        self.share = Some(share);
    }

    /// The stack at which `packet`, which [`transmit`](Self::transmit) has given, must arrive by
    /// [`receive_from_sibling`](Self::receive_from_sibling), because it is for one of our own
    /// addresses and is another's; `None` if it is for the device.
    pub fn sibling_for(&self, packet: &Outgoing) -> Option<usize> {
        let share = self.share.filter(|_| self.ip.is_to_ourselves(&packet.head))?;
        share.sibling(&packet.head)
    }

    /// A packet that a stack with the same addresses sent to one of them arrived at `now`.
    ///
    /// No packet of a device may come by this door: it does not refuse our own addresses as a
    /// source (RFC 9293 §3.9.2.3, MUST-63).
    pub fn receive_from_sibling(
        &mut self,
        now: Instant,
        frame: Frame,
        observer: &mut dyn Observer,
    ) {
        self.receive_via(now, frame, Via::Loopback, observer);
    }

    /// Whether what `transmit` is about to give arrives here again.
    pub(super) fn is_to_itself(&self, packet: &Outgoing) -> bool {
        self.ip.is_to_ourselves(&packet.head) && self.sibling_for(packet).is_none()
    }
}

#[cfg(test)]
#[path = "tests/sharing.rs"]
mod tests;
