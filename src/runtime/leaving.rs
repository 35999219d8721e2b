//! What is about to leave by the device.

use std::collections::VecDeque;
use std::io;

use crate::device::{Capabilities, Device, carry_out};
use crate::packet::Outgoing;
use crate::time::Instant;

/// Octets of the largest super-segment that is split here, a packet's: with twelve segments of an
/// Ethernet's size about what a connection may send before the next one has its turn.
const SUPER_SEGMENT: u32 = 18 << 10;

/// Packets for the device, in order.
///
/// A stack whose device splits no super-segments makes them all the same, and they are split
/// behind it: so the way from the question who has something to send to a header is gone once, and
/// not once a packet. What Linux calls generic segmentation offload.
#[derive(Default)]
pub(super) struct Leaving {
    packets: VecDeque<Outgoing>,
    /// Whether super-segments are split here.
    is_split_here: bool,
}

/// Octets of the largest super-segment that a stack is to make for a device that can do this.
pub(super) fn super_segment(device: Capabilities) -> u32 {
    if splits(device) { device.super_segment } else { SUPER_SEGMENT }
}

fn splits(device: Capabilities) -> bool {
    device.super_segment > 0
}

impl Leaving {
    /// None yet, for a device that can do this.
    pub(super) fn new(device: Capabilities) -> Self {
        Self { packets: VecDeque::new(), is_split_here: !splits(device) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Takes in a packet of the stack; says how many those are for the device.
    pub(super) fn push(&mut self, packet: Outgoing) -> usize {
        let count = self.packets.len();
        if self.is_split_here && packet.offload.segment.is_some() {
            carry_out(packet, |packet| self.packets.push_back(packet));
        } else {
            self.packets.push_back(packet);
        }
        self.packets.len() - count
    }

    /// Hands them over, if there are any, and the turn to a device that holds packets back.
    pub(super) fn transmit(&mut self, now: Instant, device: &mut dyn Device) -> io::Result<()> {
        device.transmit_burst(now, &mut self.packets)
    }
}
