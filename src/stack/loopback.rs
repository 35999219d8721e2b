//! Packets from us to ourselves: what leaves for one of our addresses arrives here.

use std::collections::VecDeque;

use super::{Instant, Observer, Stack};
use crate::ip::Via;
use crate::packet::{Frame, Outgoing};

/// Packets that arrive as one burst, so that a burst costs one acknowledgment here too (RFC 9293
/// MUST-58): what a turn of the runtime takes in.
const BURST: usize = 64;

/// Most packets that arrive within one call of `transmit`. Two ends on one host can answer each
/// other at one moment for ever; between two calls others have their turn.
pub(super) const PACKETS_MAX: usize = 256;

/// What has left for one of our own addresses and has not arrived, in order.
#[derive(Debug, Default)]
pub(super) struct Loopback {
    queue: VecDeque<Frame>,
    /// When a call of `transmit` had enough and left packets here.
    interrupted_at: Option<Instant>,
}

impl Loopback {
    /// Whether what waits must arrive before more may leave.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= BURST
    }

    /// `packet` has left.
    pub(super) fn push(&mut self, packet: &Outgoing) {
        self.queue.push_back(packet.to_frame());
    }

    /// When there is something to do: at once, if anything waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.interrupted_at.filter(|_| !self.queue.is_empty())
    }
}

impl Stack {
    /// What has left for ourselves arrives, but no more than `left` packets, which is then so much
    /// less. Says whether anything has arrived.
    ///
    /// By this door alone a packet may come from one of our own addresses: what the device brings
    /// is checked for that (RFC 9293 §3.9.2.3, MUST-63).
    pub(super) fn loop_back(
        &mut self,
        now: Instant,
        left: &mut usize,
        observer: &mut dyn Observer,
    ) -> bool {
        let count = self.loopback.queue.len().min(*left);
        *left -= count;
        for _ in 0..count {
            let Some(frame) = self.loopback.queue.pop_front() else { break };
            self.receive_via(now, frame, Via::Loopback, observer);
        }
        self.loopback.interrupted_at = Some(now);
        count > 0
    }
}

#[cfg(test)]
#[path = "tests/loopback.rs"]
mod tests;
