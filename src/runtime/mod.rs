//! The imperative shell around a stack: its lock, its clock, its driver, and [`Net`], its handle.

mod busy_poll;
mod clock;
mod coalescing;
mod deferred;
mod event_loop;
mod leaving;
mod mailbox;
mod phase;
mod place;
mod seat;
mod shard;
mod shared;
mod siblings;
mod sips;
mod sys;
#[cfg(feature = "tokio")]
mod tokio_driver;
mod waiters;

use std::future::Future;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::config::StackConfig;
use crate::device::Device;
use crate::observe::Counters;
use crate::rng::{Rng, Seed};
use crate::stack::{ConnectionInfo, Stack, Totals};
use crate::time::Duration;
use crate::wire::Steering;

use self::clock::Clock;
use self::place::Place;
pub(crate) use self::shard::Shard;
pub(crate) use self::shared::Shared;
use self::siblings::{Board, Siblings};
#[cfg(feature = "tokio")]
pub use self::tokio_driver::Driver;
#[cfg(feature = "tokio")]
pub(crate) use self::waiters::Key;
pub(crate) use self::waiters::{Direction, Interest};

/// How much later than asked [`Net::shutdown`] ends a stack itself, if the driver does not.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long packets may gather at most: all tasks of the driver's thread wait for that long.
const COALESCING_MAX: Duration = Duration::from_millis(1);

/// A running stack: what sockets are made with.
///
/// A cheap handle; clones mean the same stack, and so does every socket. When the last of them
/// is gone the stack lingers for up to 5 s until what was written has been delivered, resets
/// what is left, and gives up its device. No drop blocks; [`Net::shutdown`] is the form that
/// waits.
///
/// A program's logger is called in the middle of the stack's work, while no other call can be made
/// ([`LogObserver`](crate::LogObserver)): one that itself used a socket of the same stack would
/// wait for ever. Let it hand what is to be sent to another thread.
///
/// # Examples
///
/// ```no_run
/// use std::io::{Read, Write};
/// use wharf::{Net, StackConfig, net::TcpStream};
///
/// # fn example(device: Box<dyn wharf::Device>) -> Result<(), Box<dyn std::error::Error>> {
/// let net = Net::start(device, StackConfig::new("10.7.0.2/24".parse()?))?;
/// let mut stream = TcpStream::connect(&net, "10.7.0.1:80")?;
/// stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Net {
    place: Arc<Place>,
}

impl Net {
    /// Starts a stack on `device`, with a thread of its own and a seed from the system's
    /// generator.
    ///
    /// The stack's MTU is the configuration's or the device's, whichever is less.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a configuration that does not hold, or a device without a descriptor to
    /// wait for; and what the system says when a thread or a descriptor cannot be had.
    pub fn start(device: impl Device + 'static, config: StackConfig) -> io::Result<Self> {
        Self::start_with_seed(device, config, system_seed()?)
    }

    /// As [`Net::start`], with every random choice decided by `seed`: for tests. Whoever knows
    /// the seed knows the initial sequence numbers.
    ///
    /// # Errors
    ///
    /// As [`Net::start`].
    pub fn start_with_seed(
        device: impl Device + 'static,
        config: StackConfig,
        seed: Seed,
    ) -> io::Result<Self> {
        let device: Box<dyn Device> = Box::new(device);
        let (net, prepared) = Self::prepare(vec![device], config, seed)?;
        net.start_threads(prepared)
    }

    /// Starts a stack of several shards: one for each of `queues`, which are queues of one device,
    /// with a thread of its own each ([`Tun::open_queues`](crate::Tun::open_queues),
    /// [`Link::queues`](crate::Link::queues)).
    ///
    /// Each shard carries connections of its own, and shares nothing with the others while packets
    /// come over the right queues; a packet that comes over another is handed to the shard to which
    /// it belongs. The limits of the configuration hold in each shard. When one shard's queue is
    /// gone all shards end.
    ///
    /// # Errors
    ///
    /// As [`Net::start`]; and `InvalidInput` for no queues.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wharf::{Net, StackConfig, net::TcpListener};
    ///
    /// # use wharf::Device;
    /// # fn example(queues: Vec<Box<dyn Device>>) -> Result<(), Box<dyn std::error::Error>> {
    /// let net = Net::start_queues(queues, StackConfig::new("10.7.0.2/24".parse()?))?;
    /// // It accepts from all shards in turn.
    /// let listener = TcpListener::bind(&net, "0.0.0.0:7")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_queues(
        queues: Vec<impl Device + 'static>,
        config: StackConfig,
    ) -> io::Result<Self> {
        let (net, prepared) = Self::prepare(boxed(queues), config, system_seed()?)?;
        net.start_threads(prepared)
    }

    fn start_threads(self, prepared: Vec<Prepared>) -> io::Result<Self> {
        self.start_each(prepared, event_loop::start)
    }

    /// Starts all drivers, or none: those that have been started end before the error is told, so
    /// that the device is free again.
    fn start_each(
        self,
        prepared: Vec<Prepared>,
        start: impl Fn(&Arc<Shared>, OwnedFd, String) -> io::Result<()>,
    ) -> io::Result<Self> {
        let is_one = prepared.len() == 1;
        let mut prepared = prepared.into_iter().enumerate();
        let outcome = prepared.try_for_each(|(index, Prepared { shared, device_fd })| {
            let name = if is_one { "wharf".to_owned() } else { format!("wharf-{index}") };
            start(&shared, device_fd, name)
        });
        if outcome.is_err() {
            drop(prepared);
            self.abandon();
            let _ = self.wait(); // For the threads, which hold a descriptor each.
        }
        outcome.map(|()| self)
    }

    /// A stack on `device` that runs as a task of tokio's: the second part is a future that must
    /// be spawned (or polled) for anything to happen.
    ///
    /// In the tasks of the runtime that runs the driver, use `wharf::tokio`, and
    /// [`Net::shutdown_async`] for the end. A blocking call there, one of `wharf::net` or
    /// [`Net::wait`], would wait for a driver that waits for its thread: on a current-thread
    /// runtime always, and on a multi-thread one when the call has woken the driver, since tokio
    /// keeps what a worker has woken last for that very worker. Blocking calls belong in
    /// [`spawn_blocking`](tokio::task::spawn_blocking), in `tokio::task::block_in_place`, or on
    /// threads of their own.
    ///
    /// # Errors
    ///
    /// As [`Net::start`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use wharf::{Device, Net, StackConfig};
    /// # async fn example(device: Box<dyn Device>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (net, driver) = Net::driver(device, StackConfig::new("10.7.0.2/24".parse()?))?;
    /// tokio::spawn(driver);
    /// let listener = wharf::tokio::TcpListener::bind(&net, "0.0.0.0:80").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn driver(
        device: impl Device + 'static,
        config: StackConfig,
    ) -> io::Result<(Self, Driver)> {
        let device: Box<dyn Device> = Box::new(device);
        let (net, prepared) = Self::prepare(vec![device], config, system_seed()?)?;
        let mut drivers = prepared.into_iter().map(Prepared::into_driver);
        let driver = drivers.next().ok_or_else(|| invalid("a stack needs a device"))?;
        Ok((net, driver))
    }

    /// A stack of several shards ([`Net::start_queues`]) that run as tasks of tokio's: a driver for
    /// each of `queues`, in this order. All must be spawned.
    ///
    /// On a multi-thread runtime any socket of `wharf::tokio` serves any task; what blocks does not
    /// belong there ([`Net::driver`]). But the fastest is a thread for each shard, with a
    /// current-thread runtime that runs the shard's driver and the tasks of the connections that
    /// [`Net::shard`] accepts: then no request leaves its thread.
    ///
    /// # Errors
    ///
    /// As [`Net::start_queues`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use wharf::{Device, Net, StackConfig};
    /// # fn example(queues: Vec<Box<dyn Device>>) -> Result<(), Box<dyn std::error::Error>> {
    /// let (net, drivers) = Net::drivers(queues, StackConfig::new("10.7.0.2/24".parse()?))?;
    /// for (index, driver) in drivers.into_iter().enumerate() {
    ///     let shard = net.shard(index);
    ///     std::thread::spawn(move || -> std::io::Result<()> {
    ///         let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    ///         runtime.spawn(driver);
    ///         runtime.block_on(async {
    ///             let listener = wharf::tokio::TcpListener::bind(&shard, "0.0.0.0:80").await?;
    ///             loop {
    ///                 let (stream, _) = listener.accept().await?;
    ///                 // tokio::spawn(serve(stream));
    ///                 # drop(stream);
    ///             }
    ///         })
    ///     });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub fn drivers(
        queues: Vec<impl Device + 'static>,
        config: StackConfig,
    ) -> io::Result<(Self, Vec<Driver>)> {
        let (net, prepared) = Self::prepare(boxed(queues), config, system_seed()?)?;
        Ok((net, prepared.into_iter().map(Prepared::into_driver).collect()))
    }

    /// Everything but the drivers: a shard for each of `queues`.
    ///
    /// What the shards choose at random follows from one seed. The shard of a stack that is alone
    /// has it for itself.
    fn prepare(
        mut queues: Vec<Box<dyn Device>>,
        config: StackConfig,
        seed: Seed,
    ) -> io::Result<(Self, Vec<Prepared>)> {
        let count = u16::try_from(queues.len()).ok().and_then(NonZeroU16::new);
        let count = count.ok_or_else(|| invalid("a stack has from 1 to 65,535 queues"))?;
        let mut rng = Rng::new(&seed);
        let steering = Steering::new(count, &rng.seed());
        let is_alone = count.get() == 1;
        if let (false, [queue, ..]) = (is_alone, &mut *queues) {
            let is_steered = queue.steer(&steering);
            log::debug!(target: "wharf", "the device steers packets to their shards: {is_steered}");
        }
        let board = Board::new(queues.len());
        let clock = Clock::new();
        let seeds = if is_alone { vec![seed] } else { queues.iter().map(|_| rng.seed()).collect() };
        let configs = std::iter::repeat_n(config, queues.len());
        let shards = queues.into_iter().zip(configs).zip(seeds).enumerate();
        let prepared = shards.map(|(index, ((device, config), seed))| {
            let siblings = Siblings::new(steering, index, board.clone());
            prepare(device, config, seed, clock, (!is_alone).then(|| Box::new(siblings)))
        });
        let prepared = prepared.collect::<io::Result<Vec<_>>>()?;
        let shards = prepared.iter().map(|it| it.shared.clone()).collect();
        let place =
            Place::anywhere(shards, steering).ok_or_else(|| invalid("a stack needs a device"))?;
        Ok((Self { place }, prepared))
    }

    /// How many shards the stack has: threads that each carry their own connections, over a queue
    /// of the device each. 1, unless it was started on several.
    pub fn shards(&self) -> usize {
        self.place.shards().len()
    }

    /// A handle that makes sockets in one shard alone: a listener accepts only connections that
    /// this shard carries. So each thread has work of its own, and none is handed to another. All
    /// else is as with any handle. Counting goes round, so that every number names a shard.
    #[must_use]
    pub fn shard(&self, index: usize) -> Self {
        Self { place: self.place.in_shard(index) }
    }

    /// Which shard gets the datagrams for a port of UDP: a socket bound to it lives there, and is
    /// served best by that shard's thread.
    pub fn udp_shard(&self, port: u16) -> usize {
        self.place.udp_shard(port)
    }

    /// Stops listening, waits up to `timeout` for all connections to finish, resets the rest,
    /// and gives up the device; returns when that is done.
    ///
    /// Sockets stay valid, and tell that the network is down once what had arrived is read.
    ///
    /// It is meant for no task of the runtime that runs the driver ([`Net::driver`]): if the driver
    /// waits for the caller's thread, the stack ends only a second after `timeout`, whatever had
    /// still to be sent; sockets, and whoever waits for the end, hear of it then, while the driver
    /// closes its copy of the device's descriptor only when it next runs.
    ///
    /// # Errors
    ///
    /// Why the stack ended, if for another reason: the error of a device that vanished.
    pub fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        self.begin_shutdown(timeout);
        let until = self.shared().now() + timeout.saturating_add(PATIENCE);
        for shared in self.place.shards() {
            if !shared.ends_within(until - shared.now()) {
                shared.dismiss(); // The driver would wait for ever for its thread: this one.
            }
        }
        self.wait()
    }

    /// As [`Net::shutdown`], for tasks. The shutting down begins with the call; dropping the
    /// future does not take it back.
    ///
    /// # Errors
    ///
    /// As [`Net::shutdown`].
    pub fn shutdown_async(
        &self,
        timeout: Duration,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.begin_shutdown(timeout);
        let net = self.clone();
        async move { net.wait_async().await }
    }

    fn begin_shutdown(&self, timeout: Duration) {
        for shared in self.place.shards() {
            shared.ask(|shard, now| shard.shut_down(now, timeout));
        }
    }

    /// Gives up the device at once, whatever the stack still has to say: no peer hears of it. For
    /// a stack that has said nothing, and a program that is about to end without more ado.
    pub(crate) fn abandon(&self) {
        for shared in self.place.shards() {
            shared.abandon(io::ErrorKind::Interrupted.into());
        }
    }

    /// Blocks until the stack has ended: by [`Net::shutdown`], or because its device is gone. In no
    /// task of the runtime that runs the driver ([`Net::driver`]).
    ///
    /// # Errors
    ///
    /// The error of the device, if that is why.
    pub fn wait(&self) -> io::Result<()> {
        let ends = self.place.shards().iter().map(|shared| shared.wait());
        ends.fold(Ok(()), io::Result::and)
    }

    /// As [`Net::wait`], for tasks. Dropping the future changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Net::wait`].
    pub async fn wait_async(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        for shared in self.place.shards() {
            outcome = outcome.and(shared.wait_async().await);
        }
        outcome
    }

    /// Takes no new connections from now on: all listeners refuse them. Those that are open go
    /// on.
    pub fn stop_listening(&self) {
        for shared in self.place.shards() {
            shared.call(|shard, now| shard.stack.stop_listening(now));
        }
    }

    /// How long a driver looks for packets again before it sleeps, as Linux's SO_BUSY_POLL; some
    /// tens of microseconds spare small messages the waking of a thread, which is most of their
    /// round trip. `ZERO`, never, at first.
    ///
    /// The cost: the driver's thread is busy for up to `limit` after each packet, and so all the
    /// time in a conversation whose pauses are shorter. After a longer pause it sleeps until
    /// pauses are short again; an idle stack costs nothing.
    pub fn set_busy_poll(&self, limit: Duration) {
        for shared in self.place.shards() {
            shared.ask(|shard, _| shard.busy_poll.set_limit(limit));
        }
    }

    /// How long a driver lets packets gather in the device before it looks again, as `rx-usecs` of
    /// `ethtool`: once 128 KiB have come in packets of 16 KiB or more, without a pause, and none
    /// waits. `ZERO`, not at all, at first; more than 1 ms counts as 1 ms.
    ///
    /// A lone bulk sender that need not wake the driver for every few packets is up to half as fast
    /// again with some tens of microseconds, if its connection may
    /// [receive](crate::TcpConfig::receive_buffer) what it sends meanwhile: 1 MiB or more. Where
    /// nothing comes of it, as after large requests, it is done ever more seldom; not at all while
    /// a [busy poll](Self::set_busy_poll) goes on, and for a millisecond after several connections
    /// had something to send, at once or one after the other.
    ///
    /// The cost: the driver's thread sleeps for `limit`, and for what the kernel adds (50 µs on
    /// Linux, see `PR_SET_TIMERSLACK`). Packets that come meanwhile wait for that long, datagrams
    /// too. A driver that is a task sleeps after the other tasks have had their turn, and keeps its
    /// thread: a worker of the runtime, or, in a current-thread runtime, the only one.
    pub fn set_coalescing(&self, limit: Duration) {
        for shared in self.place.shards() {
            shared.ask(|shard, _| shard.coalescing.set_limit(limit.min(COALESCING_MAX)));
        }
    }

    /// How often each kind of event has happened so far.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for shared in self.place.shards() {
            shared.ask(|shard, _| counters.add(shard.counters()));
        }
        counters
    }

    /// What all shards hold altogether. Asking costs the same however much that is.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shared in self.place.shards() {
            totals.add(&shared.ask(|shard, _| shard.stack.totals()));
        }
        totals
    }

    /// At most `max` connections, of each shard as many if there are. If there are more they are
    /// first of all those that have had something to send of late. The cost does not grow with
    /// their number: see [`Stack::some_connections`](crate::Stack::some_connections).
    pub fn some_connections(&self, max: usize) -> Vec<ConnectionInfo> {
        let shards = self.place.shards();
        let count = |shared: &Arc<Shared>| shared.ask(|shard, _| shard.stack.totals().connections);
        let counts: Vec<usize> = shards.iter().map(count).collect();
        let of_shard = |(shared, max): (&Arc<Shared>, usize)| {
            shared.ask(|shard, _| shard.stack.some_connections(max))
        };
        shards.iter().zip(shares(&counts, max)).flat_map(of_shard).collect()
    }

    /// All connections, half-open ones and TIME-WAIT included. Walks them all while the stack, or
    /// one shard of it after the other, stands still, so not for programs that have many.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let lists = self.place.shards().iter();
        lists.flat_map(|shared| shared.ask(|shard, _| shard.stack.connections())).collect()
    }

    /// The shard of the sockets that are made here.
    pub(crate) fn shared(&self) -> &Shared {
        self.place.shared()
    }

    /// A handle for each shard in which a socket of this one is that must be in all of them.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        self.place.each().iter().map(|place| Self { place: place.clone() })
    }

    /// Which of [`Net::each`] opens a new connection: that of the calling thread, else they take
    /// turns.
    pub(crate) fn connecting(&self) -> usize {
        self.place.connecting()
    }

    /// A handle for the shard that gets the datagrams for `port`; for port 0, that chooses one.
    pub(crate) fn for_udp_port(&self, port: u16) -> Self {
        Self { place: self.place.for_udp_port(port) }
    }
}

/// For how many each shard is asked that has so many, if `max` are wanted altogether: as many of
/// each, but that what one does not have is the others'.
fn shares(counts: &[usize], max: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_by_key(|&shard| counts[shard]);
    let (mut shares, mut left) = (vec![0; counts.len()], max);
    for (dealt, shard) in order.into_iter().enumerate() {
        shares[shard] = counts[shard].min(left / (counts.len() - dealt));
        left -= shares[shard];
    }
    shares
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// A seed that nobody can guess.
fn system_seed() -> io::Result<Seed> {
    let mut octets = [0; 32];
    sys::fill_random(&mut octets)?;
    Ok(Seed::from_bytes(octets))
}

/// A shard without its driver.
struct Prepared {
    shared: Arc<Shared>,
    /// A duplicate of the device's descriptor for the driver to wait on: the device itself lies
    /// behind the lock, and polling must not.
    device_fd: OwnedFd,
}

impl Prepared {
    #[cfg(feature = "tokio")]
    fn into_driver(self) -> Driver {
        Driver::new(self.shared, self.device_fd)
    }
}

fn prepare(
    device: Box<dyn Device>,
    mut config: StackConfig,
    seed: Seed,
    clock: Clock,
    siblings: Option<Box<Siblings>>,
) -> io::Result<Prepared> {
    let device_fd = device
        .fd()
        .ok_or_else(|| invalid("the device has no descriptor to wait for"))?
        .try_clone_to_owned()?;
    let capabilities = device.capabilities();
    capabilities.apply_to(&mut config.interface);
    config.interface.super_segment = leaving::super_segment(capabilities);
    let stack = Stack::new(config, seed).map_err(|error| invalid(&error.to_string()))?;
    let shared = Arc::new(Shared::new(Shard::new(stack, device, siblings), clock));
    Ok(Prepared { shared, device_fd })
}

fn boxed(queues: Vec<impl Device + 'static>) -> Vec<Box<dyn Device>> {
    queues.into_iter().map(|queue| Box::new(queue) as Box<dyn Device>).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::device::Tun;

    #[test]
    fn what_one_shard_does_not_have_is_the_others() {
        for (counts, max, expected) in [
            (&[][..], 10, &[][..]),
            (&[3], 10, &[3]),
            (&[30], 10, &[10]),
            (&[30, 30], 10, &[5, 5]),
            (&[30, 2], 10, &[8, 2]),
            (&[0, 30], 10, &[0, 10]),
            (&[30, 30, 30], 10, &[3, 3, 4]),
            (&[30, 30, 30], 2, &[0, 1, 1]),
        ] {
            assert_eq!(shares(counts, max), expected, "{max} of {counts:?}");
        }
    }

    #[test]
    fn a_start_that_fails_half_way_gives_all_queues_back() {
        let pairs = [(); 3].map(|()| UnixDatagram::pair().unwrap());
        let (ours, peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let queues = ours.into_iter().map(|it| Tun::from_fd(it.into(), 1500).unwrap());
        let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
        let seed = Seed::from_number(1);
        let (net, prepared) = Net::prepare(boxed(queues.collect()), config, seed).unwrap();
        let outcome = net.start_each(prepared, |shared, fd, name| {
            if name == "wharf-1" {
                // The first is asleep by now, or soon.
                std::thread::sleep(Duration::from_millis(20));
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            event_loop::start(shared, fd, name)
        });
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        let is_closed = |peer: &UnixDatagram| peer.send(&[0; 20]).is_err();
        assert!(peers.iter().all(is_closed));
    }
}
