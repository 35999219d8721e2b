//! Where a shard finds the packets of its own that arrived at another.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::packet::Frame;

/// Packets that may wait: as many as in a TUN's queue.
const PACKETS_MAX: usize = 1024;

/// Octets that may wait: no more than what a window holds, for packets may be super-segments.
const OCTETS_MAX: usize = 4 << 20;

/// A packet on its way from one shard to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mail {
    /// It came from a device, whose queue was not its owner's.
    Stray(Frame),
    /// One of us sent it to an address of ours.
    Sibling(Frame),
}

impl Mail {
    fn len(&self) -> usize {
        match self {
            Self::Stray(frame) | Self::Sibling(frame) => frame.octets().len(),
        }
    }
}

/// A queue that any shard fills and one empties. Neither holds the other's lock.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// Something may wait: whoever finds nothing must not pay for a lock.
    is_filled: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    mail: VecDeque<Mail>,
    octets: usize,
    /// Ends the sleep of the owner's driver.
    kick: Option<Waker>,
    /// The owner has ended.
    is_closed: bool,
}

/// Packets that were not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// There was no room.
    pub(super) by_full: u64,
    /// The owner has ended.
    pub(super) by_closed: u64,
}

/// What came of a delivery.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    /// How many packets were not taken.
    pub(super) refused: Refused,
    /// To be woken, since the owner may sleep.
    pub(super) kick: Option<Waker>,
}

impl Mailbox {
    /// Puts as much of `mail` in as there is room for; none of it is left.
    pub(super) fn deliver(&self, mail: &mut VecDeque<Mail>) -> Receipt {
        let mut receipt = Receipt::default();
        let mut inside = self.lock();
        let was_empty = inside.mail.is_empty();
        for mail in mail.drain(..) {
            if inside.is_closed {
                receipt.refused.by_closed += 1;
            } else if inside.has_room() {
                inside.octets += mail.len();
                inside.mail.push_back(mail);
            } else {
                receipt.refused.by_full += 1;
            }
        }
        if was_empty && !inside.mail.is_empty() {
            self.is_filled.store(true, Ordering::Release);
            receipt.kick.clone_from(&inside.kick);
        }
        receipt
    }

    /// Moves everything into `mail`, which is empty; the owner's call.
    pub(super) fn take(&self, mail: &mut VecDeque<Mail>) {
        if self.is_filled.load(Ordering::Acquire) {
            let mut inside = self.lock();
            self.is_filled.store(false, Ordering::Relaxed);
            inside.octets = 0;
            std::mem::swap(&mut inside.mail, mail);
        }
    }

    /// From now on `kick` ends the owner's sleep; the waker that it displaces. What came before is
    /// found by the next [`take`](Self::take).
    pub(super) fn set_kick(&self, kick: &Waker) -> Option<Waker> {
        self.lock().kick.replace(kick.clone())
    }

    /// What ends the owner's sleep.
    pub(super) fn kick(&self) -> Option<Waker> {
        self.lock().kick.clone()
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        *inside = Inside { is_closed: true, kick: inside.kick.take(), ..Inside::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn has_room(&self) -> bool {
        self.mail.len() < PACKETS_MAX && self.octets < OCTETS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn stray(len: usize) -> Mail {
        Mail::Stray(Frame::new(vec![7; len]))
    }

    fn taken(mailbox: &Mailbox) -> Vec<Mail> {
        let mut mail = VecDeque::new();
        mailbox.take(&mut mail);
        mail.into()
    }

    #[test]
    fn what_is_delivered_is_taken_once_and_in_order() {
        let mailbox = Mailbox::default();
        assert!(taken(&mailbox).is_empty());
        for len in [1, 2] {
            let refused = mailbox.deliver(&mut VecDeque::from([stray(len)])).refused;
            assert_eq!(refused, Refused::default());
        }
        let sibling = Mail::Sibling(Frame::new(vec![7; 3]));
        mailbox.deliver(&mut VecDeque::from([sibling.clone()]));
        assert_eq!(taken(&mailbox), [stray(1), stray(2), sibling]);
        assert!(taken(&mailbox).is_empty());
    }

    #[test]
    fn the_owner_is_kicked_by_the_first_packet_of_those_that_wait() {
        let (mailbox, bell) = (Mailbox::default(), Arc::new(Bell::default()));
        let deliver = || {
            let receipt = mailbox.deliver(&mut VecDeque::from([stray(1)]));
            receipt.kick.into_iter().for_each(Waker::wake);
            bell.0.load(Ordering::Relaxed)
        };
        assert_eq!(deliver(), 0, "nobody sits there yet, and will look before it sleeps");
        assert_eq!(taken(&mailbox).len(), 1);
        assert!(mailbox.set_kick(&Waker::from(bell.clone())).is_none());
        assert_eq!([deliver(), deliver()], [1, 1]);
        assert_eq!(taken(&mailbox).len(), 2);
        assert_eq!(deliver(), 2);
        assert!(mailbox.deliver(&mut VecDeque::new()).kick.is_none());
    }

    #[test]
    fn no_more_waits_than_a_queue_holds_in_packets_or_in_octets() {
        for (len, room) in [(1, PACKETS_MAX), (64 << 10, OCTETS_MAX / (64 << 10))] {
            let mailbox = Mailbox::default();
            let mut mail: VecDeque<_> = (0..room + 3).map(|_| stray(len)).collect();
            let full = |by_full| Refused { by_full, by_closed: 0 };
            assert_eq!(mailbox.deliver(&mut mail).refused, full(3), "{len} octets each");
            assert!(mail.is_empty());
            assert_eq!(mailbox.deliver(&mut VecDeque::from([stray(len)])).refused, full(1));
            assert_eq!(taken(&mailbox).len(), room);
            assert_eq!(mailbox.deliver(&mut VecDeque::from([stray(len)])).refused, full(0));
        }
    }

    #[test]
    fn a_closed_mailbox_keeps_nothing_and_takes_nothing() {
        let mailbox = Mailbox::default();
        mailbox.deliver(&mut VecDeque::from([stray(1)]));
        mailbox.close();
        let refused = mailbox.deliver(&mut VecDeque::from([stray(1)])).refused;
        assert_eq!(refused, Refused { by_full: 0, by_closed: 1 }, "it is not full");
        assert!(taken(&mailbox).is_empty());
    }
}
