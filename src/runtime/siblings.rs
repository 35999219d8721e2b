//! The other shards of a stack, as one of them knows them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use crate::packet::Frame;
use crate::runtime::mailbox::{Mail, Mailbox, Refused};
use crate::wire::Steering;

/// What all shards of a stack see. Nobody holds a shard's lock for it.
#[derive(Debug)]
pub(super) struct Board {
    entries: Box<[Entry]>,
    /// A shard has lost its device, or its driver: none can go on.
    is_broken: AtomicBool,
}

/// What one shard tells the others.
#[derive(Debug, Default)]
struct Entry {
    mailbox: Mailbox,
    /// It ends, and has nothing more to wait for.
    has_finished: AtomicBool,
}

impl Board {
    pub(super) fn new(shards: usize) -> Arc<Self> {
        let entries = (0..shards).map(|_| Entry::default()).collect();
        Arc::new(Self { entries, is_broken: AtomicBool::new(false) })
    }
}

/// The siblings of one shard.
pub(super) struct Siblings {
    steering: Steering,
    index: usize,
    board: Arc<Board>,
    /// What has not been delivered yet, for each shard.
    outgoing: Box<[VecDeque<Mail>]>,
    is_outgoing: bool,
    /// Both empty between calls; kept for their memory.
    incoming: VecDeque<Mail>,
    sorting: VecDeque<Frame>,
}

impl Siblings {
    pub(super) fn new(steering: Steering, index: usize, board: Arc<Board>) -> Self {
        let outgoing = board.entries.iter().map(|_| VecDeque::new()).collect();
        let (incoming, sorting) = (VecDeque::new(), VecDeque::new());
        Self { steering, index, board, outgoing, is_outgoing: false, incoming, sorting }
    }

    /// The rule that says whose a packet is, and which shard this one is.
    pub(super) fn share(&self) -> (Steering, usize) {
        (self.steering, self.index)
    }

    /// Takes out of the last `count` frames those that belong to others; how many those are.
    pub(super) fn take_strays(&mut self, frames: &mut VecDeque<Frame>, count: usize) -> u64 {
        let mut strays = 0;
        let first = frames.len().saturating_sub(count);
        self.sorting.extend(frames.drain(first..));
        for frame in self.sorting.drain(..) {
            let owner = self.steering.owner(frame.octets());
            if owner == self.index {
                frames.push_back(frame);
            } else {
                strays += 1;
                self.is_outgoing = true;
                self.outgoing[owner].push_back(Mail::Stray(frame));
            }
        }
        strays
    }

    /// A packet of ours to an address of ours, which arrives at `owner`.
    pub(super) fn send(&mut self, owner: usize, frame: Frame) {
        self.is_outgoing = true;
        self.outgoing[owner].push_back(Mail::Sibling(frame));
    }

    /// Delivers what was taken out and sent; how many packets were not taken. Whoever is to be
    /// woken is added to `wake`.
    pub(super) fn deliver(&mut self, wake: &mut impl Extend<Waker>) -> Refused {
        let mut refused = Refused::default();
        if std::mem::take(&mut self.is_outgoing) {
            for (entry, mail) in self.board.entries.iter().zip(&mut self.outgoing) {
                if !mail.is_empty() {
                    let receipt = entry.mailbox.deliver(mail);
                    refused.by_full += receipt.refused.by_full;
                    refused.by_closed += receipt.refused.by_closed;
                    wake.extend(receipt.kick);
                }
            }
        }
        refused
    }

    /// What siblings have found of ours.
    pub(super) fn mail(&mut self) -> impl Iterator<Item = Mail> {
        self.board.entries[self.index].mailbox.take(&mut self.incoming);
        self.incoming.drain(..)
    }

    /// From now on `kick` wakes this shard's driver; what it displaces.
    pub(super) fn set_kick(&self, kick: &Waker) -> Option<Waker> {
        self.own().mailbox.set_kick(kick)
    }

    /// This shard ends: whether it has anything to wait for. True once nobody has: what still
    /// arrives here until then may be another's.
    pub(super) fn have_finished(&self, is_done: bool) -> bool {
        self.own().has_finished.store(is_done, Ordering::Relaxed);
        self.board.entries.iter().all(|entry| entry.has_finished.load(Ordering::Relaxed))
    }

    /// Whether a shard had to end, so that all must.
    pub(super) fn are_broken(&self) -> bool {
        self.board.is_broken.load(Ordering::Acquire)
    }

    /// This shard has to end; the others are woken to follow.
    pub(super) fn break_up(&self, wake: &mut impl Extend<Waker>) {
        self.board.is_broken.store(true, Ordering::Release);
        wake.extend(self.board.entries.iter().filter_map(|entry| entry.mailbox.kick()));
    }

    /// This shard has ended.
    pub(super) fn leave(&self) {
        self.own().has_finished.store(true, Ordering::Relaxed);
        self.own().mailbox.close();
    }

    fn own(&self) -> &Entry {
        &self.board.entries[self.index]
    }
}
