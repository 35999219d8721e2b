//! What all TCP buffers hold together, its limit, and who waits until there is less of it.

use super::demux::{FlowId, Flows};
use super::flow::{FlowEntry, Owner};
use super::{Event, Instant, Observer, Stack};
use crate::collections::OnceQueue;
use crate::tcp::Spares;

/// Octets that a connection may hold for its peer when memory is short: as Linux grants each socket
/// the least of `tcp_wmem`, so that all go on, if slowly.
pub(super) const WRITE_MIN: u32 = 4096;

/// The part of the limit, one in so many, up to which packets are kept in the memory that they
/// came in. Each may hold up to twice there what it is charged, as its neighbours are read and it
/// is not: so what is held in truth is no more than 9/8 of what is charged at the limit.
const SHARED_PART: usize = 8;

/// Octets of memory that TCP buffers hold, and their limit.
///
/// At the limit memory is short: no window grows but that of a reader who keeps up, nothing is held
/// that came early, a SYN offers a segment's window, and a writer gets no further than
/// [`WRITE_MIN`]. What has been promised is kept, so that the limit can be passed, by what windows
/// were open and by those least amounts. Memory is short until a quarter of it is free: else each
/// octet that is read would open windows that are shut again at once.
#[derive(Debug)]
pub(super) struct Memory {
    used: usize,
    max: usize,
    is_short: bool,
    /// Whether it was since those who wait were last looked at: a shortage may come and go between
    /// two packets, and yet have held somebody back.
    was_short: bool,
    /// What observers were last told.
    is_told_short: bool,
    /// Flows that may have been held back; each has a bit in its entry.
    waiting: OnceQueue<FlowId>,
    /// What no buffer uses, less than 3 MiB and not counted.
    pub(super) spares: Spares,
}

impl Memory {
    /// Nothing is held of `max` octets.
    pub(super) fn new(max: usize) -> Self {
        let (waiting, spares) = (OnceQueue::default(), Spares::default());
        let (is_short, was_short, is_told_short) = (max == 0, false, false);
        Self { used: 0, max, is_short, was_short, is_told_short, waiting, spares }
    }

    /// Octets held.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Whether memory is not short.
    pub(super) fn has_room(&self) -> bool {
        !self.is_short
    }

    /// Whether a packet may be kept in the memory that it shares with others.
    pub(super) fn may_share(&self) -> bool {
        self.used < self.max / SHARED_PART
    }

    /// So many octets are held more.
    pub(super) fn charge(&mut self, octets: usize) {
        self.used += octets;
        self.update();
    }

    /// So many octets are held no more.
    pub(super) fn release(&mut self, octets: usize) {
        self.used -= octets;
        self.update();
    }

    /// Counts what the buffers of `entry` hold now in the place of what they held.
    pub(super) fn recharge(&mut self, entry: &mut FlowEntry) {
        let allocated = entry.allocated();
        if allocated != entry.charged {
            let held = std::mem::replace(&mut entry.charged, allocated);
            self.used = self.used - held + allocated;
            self.update();
        }
    }

    /// The flow may be held back now or later; it is told when memory is not short any more.
    pub(super) fn watch(&mut self, id: FlowId, entry: &mut FlowEntry) {
        self.waiting.join(id, &mut entry.awaits_memory);
    }

    /// Forgets flows that are gone.
    pub(super) fn sweep(&mut self, flows: &Flows) {
        self.waiting.sweep(flows.len(), |id| flows.get(id).is_some());
    }

    fn update(&mut self) {
        if self.used >= self.max {
            (self.is_short, self.was_short) = (true, true);
        } else if self.used <= self.max - self.max / 4 {
            self.is_short = false;
        }
    }
}

impl Stack {
    /// Tells the observer when memory has become short, and those that were held back when it is
    /// not short any more: windows open again, and writers go on.
    pub(super) fn settle_memory(&mut self, now: Instant, observer: &mut dyn Observer) {
        let is_short = self.memory.is_short;
        if std::mem::replace(&mut self.memory.is_told_short, is_short) != is_short {
            observer.on_event(now, &Event::MemoryPressure { is_short });
        }
        if is_short || !std::mem::take(&mut self.memory.was_short) {
            return;
        }
        let mut holding = Vec::new();
        while let Some(id) = self.memory.waiting.pop() {
            let Some(entry) = self.flows.get_mut(id) else { continue };
            entry.awaits_memory = false;
            if let Some(open) = entry.connection_mut() {
                open.reopen();
                if open.unacknowledged() >= WRITE_MIN {
                    holding.push(id);
                }
            }
            let owner = entry.owner;
            self.touch_flow(id);
            if let Owner::Socket(socket) = owner {
                self.touch_socket(socket);
            }
        }
        // What these have written may hold them back at the next shortage, though none of them
        // writes until then: who waits for room need not have tried.
        for id in holding {
            if let Some(entry) = self.flows.get_mut(id) {
                self.memory.watch(id, entry);
            }
        }
    }
}
