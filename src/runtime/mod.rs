//! The imperative shell around a stack: its lock, its clock, its driver, and [`Net`], its handle.

mod busy_poll;
mod clock;
mod event_loop;
mod place;
mod shard;
mod shared;
mod sys;
#[cfg(feature = "tokio")]
mod tokio_driver;
mod waiters;

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::config::StackConfig;
use crate::device::Device;
use crate::observe::Counters;
use crate::rng::Seed;
use crate::stack::{ConnectionInfo, Stack};
use crate::time::Duration;

use self::place::Place;
pub(crate) use self::shard::Shard;
pub(crate) use self::shared::Shared;
#[cfg(feature = "tokio")]
pub use self::tokio_driver::Driver;
#[cfg(feature = "tokio")]
pub(crate) use self::waiters::Key;
pub(crate) use self::waiters::{Direction, Interest};

/// A running stack: what sockets are made with.
///
/// A cheap handle; clones mean the same stack, and so does every socket. When the last of them
/// is gone the stack lingers for up to 5 s until what was written has been delivered, resets
/// what is left, and gives up its device. No drop blocks; [`Net::shutdown`] is the form that
/// waits.
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
        let (shared, device_fd) = prepare(Box::new(device), config, seed)?;
        let net = Self::new(vec![shared.clone()])?;
        event_loop::start(&shared, device_fd)?;
        Ok(net)
    }

    /// A stack on `device` that runs as a task of tokio's: the second part is a future that must
    /// be spawned (or polled) for anything to happen.
    ///
    /// A blocking call on the thread of a current-thread runtime would wait for a driver that
    /// waits for it: there, use `wharf::tokio`, and [`Net::shutdown_async`] for the end.
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
        let (shared, device_fd) = prepare(Box::new(device), config, system_seed()?)?;
        let driver = Driver::new(shared.clone(), device_fd);
        Ok((Self::new(vec![shared])?, driver))
    }

    fn new(shards: Vec<Arc<Shared>>) -> io::Result<Self> {
        let place = Place::anywhere(shards).ok_or_else(|| invalid("a stack needs a device"))?;
        Ok(Self { place })
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

    /// Stops listening, waits up to `timeout` for all connections to finish, resets the rest,
    /// and gives up the device; returns when that is done.
    ///
    /// Sockets stay valid, and tell that the network is down once what had arrived is read.
    ///
    /// # Errors
    ///
    /// Why the stack ended, if for another reason: the error of a device that vanished.
    pub fn shutdown(&self, timeout: Duration) -> io::Result<()> {
        self.begin_shutdown(timeout);
        self.wait()
    }

    /// As [`Net::shutdown`], for tasks. The shutting down begins with the call; dropping the
    /// future does not take it back.
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

    /// Blocks until the stack has ended: by [`Net::shutdown`], or because its device is gone.
    ///
    /// # Errors
    ///
    /// The error of the device, if that is why.
    pub fn wait(&self) -> io::Result<()> {
        let ends = self.place.shards().iter().map(|shared| shared.wait());
        ends.fold(Ok(()), io::Result::and)
    }

    /// As [`Net::wait`], for tasks. Dropping the future changes nothing.
    pub async fn wait_async(&self) -> io::Result<()> {
        let mut outcome = Ok(());
        for shared in self.place.shards() {
            outcome = outcome.and(poll_fn(|cx| shared.poll_wait(cx)).await);
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

    /// How often each kind of event has happened so far.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for shared in self.place.shards() {
            shared.ask(|shard, _| counters.add(shard.counters()));
        }
        counters
    }

    /// All connections, half-open ones and TIME-WAIT included. Walks them all while the stack, or
    /// one shard of it after the other, stands still: for people, not for the data path.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let lists = self.place.shards().iter();
        lists.flat_map(|shared| shared.ask(|shard, _| shard.stack.connections())).collect()
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.place.shared()
    }
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

/// Everything but the driver, and a descriptor of the device's for the driver to wait on.
///
/// It is a duplicate: the device itself lies behind the lock, and polling must not.
fn prepare(
    device: Box<dyn Device>,
    mut config: StackConfig,
    seed: Seed,
) -> io::Result<(Arc<Shared>, OwnedFd)> {
    let device_fd = device
        .fd()
        .ok_or_else(|| invalid("the device has no descriptor to wait for"))?
        .try_clone_to_owned()?;
    let capabilities = device.capabilities();
    config.interface.mtu = config.interface.mtu.min(capabilities.mtu);
    config.interface.checksum_offload = capabilities.checksum;
    config.interface.super_segment = capabilities.super_segment;
    let stack = Stack::new(config, seed).map_err(|error| invalid(&error.to_string()))?;
    Ok((Arc::new(Shared::new(Shard::new(stack, device))), device_fd))
}
