//! The shard behind its lock, and the stack's end: what handles and the driver share.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};

use crate::runtime::clock::Clock;
use crate::runtime::deferred::Panics;
use crate::runtime::shard::{Shard, Turn};
use crate::time::{Duration, Instant};

/// How often the driver yields, at most, for a call to get the lock: some 50 µs, which a thread
/// needs to wake up.
const GIVE_WAY_MAX: u32 = 100;

/// What handles and the driver share.
pub(crate) struct Shared {
    clock: Clock,
    shard: Mutex<Shard>,
    /// The driver waits for the lock. The lock is not fair: without this, a thread that makes
    /// one call after the other could keep the driver waiting for long.
    driver_waits: AtomicBool,
    /// How many calls wait for the lock; the driver gives way to them between its turns.
    calls_waiting: AtomicU32,
    end: Mutex<End>,
    ended: Condvar,
    /// The driver's own thread, if it has one and nobody has joined it.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The thread on which the driver first ran, by [`here`], if it is a task; else 0.
    home: AtomicUsize,
}

/// A number that the calling thread shares with no other that runs: where a variable of its own is.
pub(super) fn here() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

/// The stack's end, and who waits for it.
#[derive(Debug, Default)]
struct End {
    result: Option<Result<(), Failure>>,
    /// Of the tasks that wait, each under a key of its own.
    wakers: BTreeMap<u64, Waker>,
    key_last: u64,
}

/// A task's wait for the stack's end; takes its waker back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    shared: &'a Shared,
    key: Option<u64>,
}

/// An error that can be told more than once, as `io::Error` cannot.
#[derive(Clone, Debug)]
enum Failure {
    Number(i32),
    Other(io::ErrorKind, String),
}

impl Failure {
    fn new(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::Number(number),
            None => Self::Other(error.kind(), error.to_string()),
        }
    }

    fn to_error(&self) -> io::Error {
        match self {
            Self::Number(number) => io::Error::from_raw_os_error(*number),
            Self::Other(kind, text) => io::Error::new(*kind, text.clone()),
        }
    }
}

impl Shared {
    /// `clock` is the stack's: all shards have one time.
    pub(super) fn new(shard: Shard, clock: Clock) -> Self {
        Self {
            clock,
            shard: Mutex::new(shard),
            driver_waits: AtomicBool::new(false),
            calls_waiting: AtomicU32::new(0),
            end: Mutex::default(),
            ended: Condvar::new(),
            thread: Mutex::default(),
            home: AtomicUsize::new(0),
        }
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Does what sends nothing.
    pub(crate) fn ask<T>(&self, act: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        self.run(self.enter(), act)
    }

    /// The shard, for a call.
    fn enter(&self) -> MutexGuard<'_, Shard> {
        if self.driver_waits.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        match self.shard.try_lock() {
            Ok(shard) => shard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.calls_waiting.fetch_add(1, Ordering::Relaxed);
                let shard = lock(&self.shard);
                self.calls_waiting.fetch_sub(1, Ordering::Relaxed);
                shard
            }
        }
    }

    /// Does what may have something to send, and sends it.
    pub(crate) fn call<T>(&self, act: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        self.ask(|shard, now| {
            let result = act(shard, now);
            shard.settle(|| now);
            result
        })
    }

    /// As [`call`](Self::call), for what has no use for the time, as reading and writing a stream:
    /// the clock is asked only if something is sent at once.
    #[cfg(feature = "tokio")]
    pub(crate) fn call_timeless<T>(&self, act: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shard = self.enter();
        let result = act(&mut shard);
        shard.settle(|| self.clock.now());
        leave(shard);
        result
    }

    /// A turn of the driver, which sits at `kick` and on `thread` ([`Shard::take_seat`]). After the
    /// last one the driver has to [announce the end](Self::announce_end).
    pub(crate) fn turn(&self, may_receive: bool, kick: &Waker, thread: usize) -> Turn {
        self.driver_waits.store(true, Ordering::Relaxed);
        let turn = self.locked(|shard, now| {
            self.driver_waits.store(false, Ordering::Relaxed);
            shard.take_seat(kick, thread);
            shard.turn(now, may_receive)
        });
        if turn != Turn::Over {
            self.give_way();
        }
        turn
    }

    /// Ends at once: the driver cannot go on, because of `error`.
    pub(crate) fn abandon(&self, error: io::Error) {
        self.end_by(|| self.locked(|shard, _| shard.abandon(error)));
    }

    /// Ends at once, since nobody will run another turn; peers are told.
    pub(crate) fn dismiss(&self) {
        self.end_by(|| self.locked(Shard::dismiss));
    }

    /// Tells of the end that `act` makes, though the device panics as it goes.
    fn end_by(&self, act: impl FnOnce()) {
        let mut panics = Panics::default();
        panics.hold(act);
        panics.hold(|| self.announce_end());
        panics.pass_on();
    }

    /// The driver, a task, runs on this thread.
    #[cfg(feature = "tokio")]
    pub(crate) fn settle_here(&self) {
        self.home.store(here(), Ordering::Relaxed);
    }

    /// Whether the driver is a task that began to run on this thread: on that of a current-thread
    /// runtime it still does.
    pub(crate) fn is_here(&self) -> bool {
        self.home.load(Ordering::Relaxed) == here()
    }

    /// Keeps the driver's thread for [`Shared::wait`] to join.
    pub(crate) fn set_thread(&self, thread: JoinHandle<()>) {
        *lock(&self.thread) = Some(thread);
    }

    /// Blocks until the stack has ended and its thread is gone; tells why it ended.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let end = lock(&self.end);
        let end = self
            .ended
            .wait_while(end, |end| end.result.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let result = end.result();
        drop(end);
        let thread = lock(&self.thread).take();
        // A waker may run anything, so the driver's own thread may come by here.
        if let Some(thread) = thread.filter(|it| it.thread().id() != thread::current().id()) {
            // A panic of the driver is in `result` already.
            let _ = thread.join();
        }
        result.unwrap_or(Ok(()))
    }

    /// Blocks until the stack has ended, or for as long as `limit`; whether it has.
    pub(crate) fn ends_within(&self, limit: Duration) -> bool {
        let wait = self.ended.wait_timeout_while(lock(&self.end), limit, |it| it.result.is_none());
        wait.unwrap_or_else(PoisonError::into_inner).0.result.is_some()
    }

    /// As [`Shared::wait`], for a task.
    pub(crate) fn wait_async(&self) -> Ending<'_> {
        Ending { shared: self, key: None }
    }

    /// Tells whoever waits for the end, once the driver has given up the device too: it holds a
    /// duplicate of its descriptor, and as long as there is one a TUN is in use.
    pub(crate) fn announce_end(&self) {
        let failure = lock(&self.shard).take_failure();
        let mut end = lock(&self.end);
        if end.result.is_none() {
            end.result = Some(match &failure {
                None => Ok(()),
                Some(error) => Err(Failure::new(error)),
            });
        }
        let wakers = std::mem::take(&mut end.wakers);
        drop(end);
        self.ended.notify_all();
        let mut panics = Panics::default();
        panics.wake_all(wakers.into_values());
        panics.pass_on();
    }

    fn locked<T>(&self, act: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        self.run(lock(&self.shard), act)
    }

    /// Reads the clock *inside* the lock, so that the stack never sees time run backwards.
    fn run<T>(
        &self,
        mut shard: MutexGuard<'_, Shard>,
        act: impl FnOnce(&mut Shard, Instant) -> T,
    ) -> T {
        let now = self.clock.now();
        let result = act(&mut shard, now);
        leave(shard);
        result
    }

    /// Lets calls that wait have the lock: whoever is woken for it comes too late while the
    /// driver takes turn after turn.
    fn give_way(&self) {
        for _ in 0..GIVE_WAY_MAX {
            if self.calls_waiting.load(Ordering::Relaxed) == 0 {
                return;
            }
            thread::yield_now();
        }
    }
}

impl End {
    fn result(&self) -> Option<io::Result<()>> {
        let result = self.result.as_ref()?;
        Some(result.as_ref().copied().map_err(Failure::to_error))
    }
}

impl Future for Ending<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut end = lock(&self.shared.end);
        if let Some(result) = end.result() {
            return Poll::Ready(result);
        }
        let key = self.key.unwrap_or(end.key_last + 1);
        end.key_last = end.key_last.max(key);
        let displaced = end.wakers.insert(key, cx.waker().clone());
        drop(end);
        drop(displaced); // It may run anything, so not under the lock.
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let gone = lock(&self.shared.end).wakers.remove(&key);
            drop(gone); // As above: the lock is free again.
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Unlocks, and then does what must not be done under the lock.
#[inline]
fn leave(shard: MutexGuard<'_, Shard>) {
    if !shard.deferred.is_empty() {
        leave_and_run(shard); // After few calls.
    }
}

#[inline(never)]
fn leave_and_run(mut shard: MutexGuard<'_, Shard>) {
    let deferred = std::mem::take(&mut shard.deferred);
    drop(shard);
    deferred.run();
}

/// A panic elsewhere does not take this thread with it: what it broke, if anything, it broke in
/// its own call, and the driver's panic ends the stack ([`Shared::abandon`]).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;
    use crate::device::{Link, Tun};
    use crate::{Net, StackConfig};

    #[test]
    fn a_wait_that_is_dropped_leaves_nothing_and_takes_nothing_from_another() {
        let (_peer, link) = Link::pair(1500);
        let net = Net::start(link, StackConfig::new("10.7.0.2/24".parse().unwrap())).unwrap();
        let shared = net.shared();
        let wakers = || lock(&shared.end).wakers.len();
        let mut cx = Context::from_waker(Waker::noop());
        let mut lasting = pin!(shared.wait_async());
        assert!(lasting.as_mut().poll(&mut cx).is_pending());
        for _ in 0..3 {
            let mut dropped = pin!(shared.wait_async());
            for _ in 0..2 {
                assert!(dropped.as_mut().poll(&mut cx).is_pending());
                assert_eq!(wakers(), 2);
            }
        }
        assert_eq!(wakers(), 1);
        net.shutdown(Duration::ZERO).unwrap();
        assert!(matches!(lasting.poll(&mut cx), Poll::Ready(Ok(()))));
    }

    /// Hears of the end, and panics then if it is to.
    struct Hearer {
        panics: bool,
        has_heard: AtomicBool,
    }

    impl Wake for Hearer {
        fn wake(self: Arc<Self>) {
            self.has_heard.store(true, Ordering::Relaxed);
            assert!(!self.panics, "this panic is meant");
        }
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_from_hearing_of_the_end() {
        let (_peer, link) = Link::pair(1500);
        let net = Net::start(link, StackConfig::new("10.7.0.2/24".parse().unwrap())).unwrap();
        let hearers = [true, false].map(|panics| Hearer { panics, has_heard: false.into() });
        let hearers = hearers.map(Arc::new);
        let mut endings = [(); 2].map(|()| Box::pin(net.shared().wait_async()));
        for (ending, hearer) in endings.iter_mut().zip(&hearers) {
            let waker = Waker::from(hearer.clone());
            assert!(ending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        net.shutdown(Duration::ZERO).unwrap();
        assert!(hearers.iter().all(|it| it.has_heard.load(Ordering::Relaxed)));
    }

    /// The other end of a device, and whether that was closed when the stack's end was told.
    struct Onlooker {
        peer: UnixDatagram,
        saw_it_closed: Mutex<Option<bool>>,
    }

    impl Wake for Onlooker {
        fn wake(self: Arc<Self>) {
            *lock(&self.saw_it_closed) = Some(self.peer.send(&[0; 20]).is_err());
        }
    }

    fn watched() -> (Tun, Arc<Onlooker>) {
        let (ours, peer) = UnixDatagram::pair().unwrap();
        let tun = Tun::from_fd(ours.into(), 1500).unwrap();
        (tun, Arc::new(Onlooker { peer, saw_it_closed: Mutex::default() }))
    }

    /// Has the onlooker told of the end of `net`.
    fn tell<'a>(net: &'a Net, onlooker: &Arc<Onlooker>) -> Ending<'a> {
        let (waker, mut ending) = (Waker::from(onlooker.clone()), net.shared().wait_async());
        let poll = Pin::new(&mut ending).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        ending
    }

    #[test]
    fn whoever_is_told_of_the_end_finds_the_device_closed() {
        let (tun, onlooker) = watched();
        let net = Net::start(tun, StackConfig::new("10.7.0.2/24".parse().unwrap())).unwrap();
        let _ending = tell(&net, &onlooker);
        net.shutdown(Duration::ZERO).unwrap();
        assert_eq!(*lock(&onlooker.saw_it_closed), Some(true));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test]
    async fn whoever_is_told_of_the_end_of_a_task_finds_the_device_closed() {
        for is_dropped in [false, true] {
            let (tun, onlooker) = watched();
            let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
            let (net, driver) = Net::driver(tun, config).unwrap();
            let driver = tokio::spawn(driver);
            let _ending = tell(&net, &onlooker);
            tokio::task::yield_now().await; // The driver has its first turn.
            if is_dropped {
                driver.abort();
                assert!(net.wait_async().await.is_ok());
            } else {
                net.shutdown_async(Duration::ZERO).await.unwrap();
            }
            assert_eq!(*lock(&onlooker.saw_it_closed), Some(true), "{is_dropped}");
        }
    }

    #[test]
    fn an_error_is_told_twice_with_its_number_or_its_words() {
        let number = Failure::new(&io::Error::from_raw_os_error(libc::ENETDOWN));
        let words = Failure::new(&io::Error::new(io::ErrorKind::NotFound, "the link is cut"));
        for _ in 0..2 {
            assert_eq!(number.to_error().raw_os_error(), Some(libc::ENETDOWN));
            assert_eq!(words.to_error().kind(), io::ErrorKind::NotFound);
            assert_eq!(words.to_error().to_string(), "the link is cut");
        }
    }
}
