//! One stack as C sees it: its time, its packets, its handles.

use std::collections::VecDeque;

use super::errno::{Answer, Errno};
use super::handles::Handles;
use crate::config::{ConfigError, StackConfig};
use crate::packet::{Frame, Outgoing};
use crate::rng::Seed;
use crate::stack::Stack;
use crate::time::Instant;

/// Nanoseconds of a microsecond.
const NANOS: u64 = 1_000;

/// Packets that may wait to be fetched; more stay in the stack, which has its own limits.
const DEPARTED_MAX: usize = 4096;

/// A stack, and what the surface keeps for it.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) stack: Stack,
    pub(super) handles: Handles,
    /// The largest time that a call has brought.
    now: Instant,
    /// Packets that have left the stack and have not been fetched.
    departed: VecDeque<Outgoing>,
}

impl Host {
    /// A stack at time 0.
    pub(super) fn new(config: StackConfig, seed: Seed) -> Result<Self, ConfigError> {
        Ok(Self {
            stack: Stack::new(config, seed)?,
            handles: Handles::default(),
            now: Instant::ZERO,
            departed: VecDeque::new(),
        })
    }

    /// Time has come to `micros`; it never goes back, whatever the caller's clock does.
    pub(super) fn at(&mut self, micros: u64) -> Instant {
        self.now = self.now.max(Instant::from_micros(micros));
        self.now
    }

    /// The time that the last call brought.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Runs every timer that is due.
    pub(super) fn poll(&mut self, micros: u64) {
        let now = self.at(micros);
        self.stack.on_timeout(now, &mut ());
    }

    /// When `poll` next has something to do, microseconds, not before now: rounded up, so that a
    /// timer that is polled then is due.
    ///
    /// What is to leave leaves the stack first, and waits here to be fetched: a segment's timer
    /// runs from when it left.
    pub(super) fn deadline(&mut self, micros: u64) -> Option<u64> {
        let now = self.at(micros);
        while self.departed.len() < DEPARTED_MAX
            && let Some(packet) = self.stack.transmit(now, &mut ())
        {
            self.departed.push_back(packet);
        }
        let due = self.stack.next_timeout_exact()?.max(now);
        Some(due.as_nanos().div_ceil(NANOS))
    }

    /// A packet has arrived.
    pub(super) fn input(&mut self, micros: u64, octets: &[u8]) {
        let now = self.at(micros);
        self.stack.receive(now, Frame::new(octets.to_vec()), &mut ());
    }

    /// Copies the next packet that is to leave to `buffer`; 0 when there is none. EMSGSIZE: it does
    /// not fit, and waits for a larger one.
    pub(super) fn output(&mut self, buffer: &mut [u8]) -> Answer<usize> {
        let next = self.departed.pop_front();
        let Some(packet) = next.or_else(|| self.stack.transmit(self.now, &mut ())) else {
            return Ok(0);
        };
        let Some(room) = buffer.get_mut(..packet.len()) else {
            self.departed.push_front(packet);
            return Err(Errno(libc::EMSGSIZE));
        };
        let mut at = 0;
        for slice in packet.slices() {
            room[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
        Ok(at)
    }
}
