//! Who waits for which socket: tasks that poll, futures, and parked threads, in one registry.
//!
//! A direction of a socket has one *poll waker*, the last that asked, as `AsyncRead` and
//! `AsyncWrite` mean it; and any number of *keyed* waiters, each a future or a blocked thread
//! that takes its entry out when it is dropped or satisfied.

use std::task::Waker;

use smallvec::SmallVec;

use crate::collections::{Slab, Sparse, new_key_type};
use crate::stack::{Readiness, SocketId};

/// Those who are to be woken, or dropped.
pub(crate) type Wakers = SmallVec<[Waker; 4]>;

/// What a waiter waits for. An error or a closed direction ends every wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest(Readiness);

impl Interest {
    /// Something to read or accept, or nothing ever again.
    pub(crate) const READ: Self =
        Self(Readiness::READABLE.with(Readiness::READ_CLOSED).with(Readiness::ERROR));
    /// Room to write, a finished connect, or no use in waiting.
    pub(crate) const WRITE: Self =
        Self(Readiness::WRITABLE.with(Readiness::WRITE_CLOSED).with(Readiness::ERROR));
    /// Whatever comes first.
    #[cfg(test)]
    pub(crate) const BOTH: Self = Self(Self::READ.0.with(Self::WRITE.0));
    /// Urgent data, or no use in waiting for any.
    pub(crate) const PRIORITY: Self =
        Self(Readiness::PRIORITY.with(Readiness::READ_CLOSED).with(Readiness::ERROR));
    /// An error to be taken.
    #[cfg(feature = "tokio")]
    pub(crate) const ERROR: Self = Self(Readiness::ERROR);

    /// Whatever comes first of both.
    #[cfg(feature = "tokio")]
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0.with(other.0))
    }

    /// Whether `readiness` ends this wait.
    pub(crate) const fn is_met(self, readiness: Readiness) -> bool {
        readiness.intersects(self.0)
    }
}

/// Which poll waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Of the reading half.
    Read,
    /// Of the writing half.
    Write,
}

impl Direction {
    /// What ends a wait in this direction.
    pub(crate) const fn interest(self) -> Interest {
        match self {
            Self::Read => Interest::READ,
            Self::Write => Interest::WRITE,
        }
    }
}

/// Names one keyed waiter; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

new_key_type! {
    /// The place of those who wait for one socket.
    struct WaitingId;
}

/// The registry. A socket for which nobody waits has nothing in it, so that its memory follows
/// those who wait, however many sockets there are.
///
/// It neither wakes nor drops a waker: both may run foreign code, even code that
/// closes a socket, so they are handed out for the caller to do without the lock.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    sockets: Sparse<SocketId, WaitingId>,
    /// Those who wait: nobody is listed without one of them.
    waiting: Slab<WaitingId, Waiting>,
    key_last: u64,
}

/// Who waits for one socket.
#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Mostly one, and then in place.
    keyed: SmallVec<[Keyed; 1]>,
}

#[derive(Debug)]
struct Keyed {
    key: Key,
    interest: Interest,
    waker: Waker,
}

impl Waiters {
    /// Makes `waker` the poll waker of `direction`; returns the one that it displaces.
    #[cfg(any(test, feature = "tokio"))]
    #[must_use]
    pub(crate) fn set_poll_waker(
        &mut self,
        socket: SocketId,
        direction: Direction,
        waker: &Waker,
    ) -> Option<Waker> {
        let waiting = self.entry(socket)?;
        let place = match direction {
            Direction::Read => &mut waiting.reader,
            Direction::Write => &mut waiting.writer,
        };
        match place {
            Some(old) if old.will_wake(waker) => None,
            Some(_) | None => place.replace(waker.clone()),
        }
    }

    /// Registers `waker` under `key`, or under a new key if that is `None` or has been woken;
    /// returns the waker that it displaces.
    #[must_use]
    pub(crate) fn register(
        &mut self,
        socket: SocketId,
        interest: Interest,
        key: &mut Option<Key>,
        waker: &Waker,
    ) -> Option<Waker> {
        let new = Key(self.key_last + 1);
        let waiting = self.entry(socket)?;
        let known = waiting.keyed.iter_mut().find(|it| Some(it.key) == *key);
        if let Some(known) = known {
            if known.waker.will_wake(waker) {
                return None;
            }
            return Some(std::mem::replace(&mut known.waker, waker.clone()));
        }
        waiting.keyed.push(Keyed { key: new, interest, waker: waker.clone() });
        self.key_last = new.0;
        *key = Some(new);
        None
    }

    /// Takes out the waiter `key`, unless it has been woken.
    #[must_use]
    pub(crate) fn remove(&mut self, socket: SocketId, key: Key) -> Option<Waker> {
        let id = *self.sockets.get(socket)?;
        let waiting = self.waiting.get_mut(id)?;
        let place = waiting.keyed.iter().position(|it| it.key == key)?;
        let waker = waiting.keyed.swap_remove(place).waker;
        if waiting.is_empty() {
            self.forget(socket, id);
        }
        Some(waker)
    }

    /// Moves everybody whose wait `readiness` ends to `into`, longest wait first.
    pub(crate) fn take_ready(&mut self, socket: SocketId, readiness: Readiness, into: &mut Wakers) {
        let Some(&id) = self.sockets.get(socket) else { return };
        let Some(waiting) = self.waiting.get_mut(id) else { return };
        if Interest::READ.is_met(readiness)
            && let Some(reader) = waiting.reader.take()
        {
            into.push(reader);
        }
        if Interest::WRITE.is_met(readiness)
            && let Some(writer) = waiting.writer.take()
        {
            into.push(writer);
        }
        if !waiting.keyed.is_empty() {
            for it in std::mem::take(&mut waiting.keyed) {
                if it.interest.is_met(readiness) {
                    into.push(it.waker);
                } else {
                    waiting.keyed.push(it);
                }
            }
        }
        if waiting.is_empty() {
            self.forget(socket, id);
        }
    }

    /// Forgets a socket; whoever waited for it is moved to `into`, and finds it closed.
    pub(crate) fn take_socket(&mut self, socket: SocketId, into: &mut Wakers) {
        let waiting = self.sockets.remove(socket).and_then(|id| self.waiting.remove(id));
        if let Some(waiting) = waiting {
            into.extend(waiting.into_wakers());
        }
    }

    /// Moves everybody to `into`: the end of the stack.
    pub(crate) fn take_all(&mut self, into: &mut Wakers) {
        self.sockets = Sparse::new();
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            into.extend(waiting.into_wakers());
        }
    }

    /// Those who wait for a socket; nobody yet, if need be. `None` if the socket is gone and
    /// somebody waits for the next one of its place.
    fn entry(&mut self, socket: SocketId) -> Option<&mut Waiting> {
        let id = match self.sockets.get(socket) {
            Some(&id) => id,
            None if self.sockets.is_stale(socket) => return None,
            None => {
                let id = self.waiting.insert(Waiting::default());
                let displaced = self.sockets.insert(socket, id);
                debug_assert!(displaced.is_none(), "the end of a socket takes its waiters");
                id
            }
        };
        self.waiting.get_mut(id)
    }

    /// Gives the place of a socket back for which nobody waits any more.
    fn forget(&mut self, socket: SocketId, id: WaitingId) {
        self.sockets.remove(socket);
        self.waiting.remove(id);
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.reader.is_none() && self.writer.is_none() && self.keyed.is_empty()
    }

    fn into_wakers(self) -> impl Iterator<Item = Waker> {
        let polls = self.reader.into_iter().chain(self.writer);
        polls.chain(self.keyed.into_iter().map(|it| it.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::collections::SlotMap;

    #[derive(Default)]
    struct Bell(AtomicU32);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A registry, a socket, and three wakers with the bells that they ring.
    struct Fixture {
        waiters: Waiters,
        sockets: SlotMap<SocketId, ()>,
        socket: SocketId,
        bells: [Arc<Bell>; 3],
    }

    impl Fixture {
        fn new() -> Self {
            let mut sockets = SlotMap::with_key();
            let socket = sockets.insert(());
            Self { waiters: Waiters::default(), sockets, socket, bells: Default::default() }
        }

        fn waker(&self, n: usize) -> Waker {
            Waker::from(self.bells[n].clone())
        }

        /// Wakes whoever `readiness` ends the wait of; how often each bell has rung so far.
        fn ready(&mut self, readiness: Readiness) -> [u32; 3] {
            let mut woken = Wakers::new();
            self.waiters.take_ready(self.socket, readiness, &mut woken);
            self.rung(woken)
        }

        fn rung(&self, woken: Wakers) -> [u32; 3] {
            woken.into_iter().for_each(Waker::wake);
            [0, 1, 2].map(|n| self.bells[n].0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn the_last_poll_waker_of_a_direction_wins_and_is_woken_once() {
        let mut fixture = Fixture::new();
        let socket = fixture.socket;
        for (n, direction) in
            [Direction::Read, Direction::Read, Direction::Write].into_iter().enumerate()
        {
            let waker = fixture.waker(n);
            let displaced = fixture.waiters.set_poll_waker(socket, direction, &waker);
            assert_eq!(displaced.is_some(), n == 1);
        }
        assert_eq!(fixture.ready(Readiness::READABLE), [0, 1, 0]);
        assert_eq!(fixture.ready(Readiness::READABLE), [0, 1, 0]);
        assert_eq!(fixture.ready(Readiness::WRITABLE), [0, 1, 1]);
    }

    #[test]
    fn an_error_and_an_end_wake_the_direction_that_they_end() {
        for (readiness, woken) in [
            (Readiness::READABLE, [1, 0, 1]),
            (Readiness::READ_CLOSED, [1, 0, 1]),
            (Readiness::WRITABLE, [0, 1, 1]),
            (Readiness::WRITE_CLOSED, [0, 1, 1]),
            (Readiness::ERROR, [1, 1, 1]),
            (Readiness::default(), [0, 0, 0]),
        ] {
            let mut fixture = Fixture::new();
            let interests = [Interest::READ, Interest::WRITE, Interest::BOTH];
            for (n, interest) in interests.into_iter().enumerate() {
                let waker = fixture.waker(n);
                let displaced =
                    fixture.waiters.register(fixture.socket, interest, &mut None, &waker);
                assert!(displaced.is_none());
            }
            assert_eq!(fixture.ready(readiness), woken, "{readiness:?}");
        }
    }

    #[test]
    fn several_keyed_waiters_are_all_woken_and_a_removed_one_is_not() {
        let mut fixture = Fixture::new();
        let mut keys = [None; 3];
        for (n, key) in keys.iter_mut().enumerate() {
            let waker = fixture.waker(n);
            let socket = fixture.socket;
            let displaced = fixture.waiters.register(socket, Interest::READ, key, &waker);
            assert!(displaced.is_none());
        }
        let key = keys[1].unwrap();
        assert!(fixture.waiters.remove(fixture.socket, key).is_some());
        assert!(fixture.waiters.remove(fixture.socket, key).is_none());
        assert_eq!(fixture.ready(Readiness::READABLE), [1, 0, 1]);
        // A key that has been woken is stale: removing it takes nobody else out.
        assert!(fixture.waiters.remove(fixture.socket, keys[0].unwrap()).is_none());
    }

    #[test]
    fn registering_again_replaces_the_waker_and_after_a_wake_takes_a_new_key() {
        let mut fixture = Fixture::new();
        let (socket, mut key) = (fixture.socket, None);
        let wakers = [fixture.waker(0), fixture.waker(1)];
        let waiters = &mut fixture.waiters;
        let mut register = |waker: &Waker| {
            let displaced = waiters.register(socket, Interest::READ, &mut key, waker);
            (displaced.is_some(), key)
        };
        let (was_displaced, first) = register(&wakers[0]);
        assert!(!was_displaced);
        assert_eq!(register(&wakers[0]), (false, first));
        assert_eq!(register(&wakers[1]), (true, first));
        assert_eq!(fixture.ready(Readiness::READABLE), [0, 1, 0]);
        let displaced = fixture.waiters.register(socket, Interest::READ, &mut key, &wakers[0]);
        assert!(displaced.is_none());
        assert_ne!(key, first);
    }

    #[test]
    fn the_end_of_a_socket_and_of_the_stack_wake_everybody() {
        let mut fixture = Fixture::new();
        let other = fixture.sockets.insert(());
        let wakers = [0, 1, 2].map(|n| fixture.waker(n));
        let waiters = &mut fixture.waiters;
        let set = [
            waiters.set_poll_waker(fixture.socket, Direction::Read, &wakers[0]),
            waiters.register(fixture.socket, Interest::WRITE, &mut None, &wakers[1]),
            waiters.set_poll_waker(other, Direction::Write, &wakers[2]),
        ];
        assert!(set.iter().all(Option::is_none));
        let mut woken = Wakers::new();
        waiters.take_socket(fixture.socket, &mut woken);
        assert_eq!(fixture.rung(woken), [1, 1, 0]);
        let mut woken = Wakers::new();
        fixture.waiters.take_all(&mut woken);
        assert_eq!(fixture.rung(woken), [1, 1, 1]);
    }

    #[test]
    fn memory_follows_those_who_wait_and_not_the_sockets() {
        let mut fixture = Fixture::new();
        let others: Vec<_> = (0..10_000).map(|_| fixture.sockets.insert(())).collect();
        let (waker, last) = (fixture.waker(0), others[others.len() - 1]);
        let waiters = &mut fixture.waiters;
        let mut key = None;
        for &socket in &others {
            assert!(waiters.register(socket, Interest::READ, &mut key, &waker).is_none());
            assert!(waiters.remove(socket, key.take().unwrap()).is_some());
            assert!(waiters.set_poll_waker(socket, Direction::Read, &waker).is_none());
        }
        let mut woken = Wakers::new();
        for &socket in &others {
            waiters.take_ready(socket, Readiness::READABLE, &mut woken);
        }
        assert_eq!((woken.len(), waiters.waiting.len(), waiters.sockets.len()), (10_000, 0, 0));
        let room = waiters.sockets.capacity();
        assert!(waiters.set_poll_waker(last, Direction::Read, &waker).is_none());
        assert_eq!((waiters.waiting.len(), waiters.sockets.len()), (1, 1));
        assert_eq!(waiters.sockets.capacity(), room, "the spare page, however high the number");
    }

    #[test]
    fn a_closed_socket_takes_no_waiters() {
        let mut fixture = Fixture::new();
        let old = fixture.socket;
        fixture.sockets.remove(old);
        let new = fixture.sockets.insert(()); // The same place, one generation later.
        let wakers = [fixture.waker(0), fixture.waker(1)];
        let waiters = &mut fixture.waiters;
        let displaced = [
            waiters.set_poll_waker(new, Direction::Read, &wakers[0]),
            waiters.set_poll_waker(old, Direction::Read, &wakers[1]),
        ];
        assert!(displaced.iter().all(Option::is_none));
        fixture.socket = new;
        assert_eq!(fixture.ready(Readiness::READABLE), [1, 0, 0]);
    }
}
