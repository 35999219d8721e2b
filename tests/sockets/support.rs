//! Two stacks on one cable, and limits on how long a test may take.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use wharf::net::{TcpListener, TcpStream};
use wharf::{Capabilities, Device, Frame, Link, Net, Outgoing, Seed, StackConfig};

/// What no step of a test should take, even on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The address of [`Pair::near`].
pub(crate) const NEAR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

/// The address of [`Pair::far`].
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// An address of the network that nobody has.
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 9);

/// An end of a link that the test can still reach when a stack has it.
#[derive(Debug)]
pub(crate) struct End {
    link: Arc<Mutex<Link>>,
    fd: OwnedFd,
    is_dropped: Arc<AtomicBool>,
}

/// What remains in the test's hands: one queue of an end stands for all when it is unplugged.
#[derive(Clone, Debug)]
pub(crate) struct Cable {
    link: Arc<Mutex<Link>>,
    is_dropped: Vec<Arc<AtomicBool>>,
}

impl End {
    pub(crate) fn new(link: Link) -> (Self, Cable) {
        let (mut ends, cable) = Self::queues(vec![link]);
        (ends.remove(0), cable)
    }

    /// The queues of one end of a cable.
    pub(crate) fn queues(links: Vec<Link>) -> (Vec<Self>, Cable) {
        let ends = links.into_iter().map(|link| {
            let fd = link.fd().unwrap().try_clone_to_owned().unwrap();
            Self { link: Arc::new(Mutex::new(link)), fd, is_dropped: Arc::default() }
        });
        let ends: Vec<_> = ends.collect();
        let is_dropped = ends.iter().map(|end| end.is_dropped.clone()).collect();
        let cable = Cable { link: ends[0].link.clone(), is_dropped };
        (ends, cable)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::SeqCst);
    }
}

impl Device for End {
    fn capabilities(&self) -> Capabilities {
        self.link.lock().unwrap().capabilities()
    }

    fn receive_burst(
        &mut self,
        now: wharf::Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        self.link.lock().unwrap().receive_burst(now, into, max)
    }

    fn transmit_burst(
        &mut self,
        now: wharf::Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        self.link.lock().unwrap().transmit_burst(now, packets)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }
}

impl Cable {
    pub(crate) fn unplug(&self) {
        self.link.lock().unwrap().unplug();
    }

    /// Whether the stack has given its device up, with all queues.
    pub(crate) fn is_dropped(&self) -> bool {
        self.queues_dropped() == self.is_dropped.len()
    }

    /// How many queues the stack has given up.
    pub(crate) fn queues_dropped(&self) -> usize {
        self.is_dropped.iter().filter(|it| it.load(Ordering::SeqCst)).count()
    }
}

/// Two stacks on a cable; `cable` is the near one's end of it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) near: Net,
    pub(crate) far: Net,
    pub(crate) cable: Cable,
}

impl Pair {
    /// Of `shards` shards each.
    pub(crate) fn of(shards: usize) -> Self {
        let (near, far) = Link::queues(1500, shards, shards);
        let (mut near, cable) = End::queues(near);
        let near = match shards {
            1 => Net::start_with_seed(near.remove(0), config(NEAR), Seed::from_number(1)),
            _ => Net::start_queues(near, config(NEAR)),
        };
        Self { near: near.unwrap(), far: Net::start_queues(far, config(FAR)).unwrap(), cable }
    }

    /// A connection that the near stack opened: its end, and the far one.
    pub(crate) fn connect(&self) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(&self.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let near = TcpStream::connect(&self.near, addr).unwrap();
        let (far, peer) = listener.accept().unwrap();
        assert_eq!(peer, near.local_addr().unwrap());
        (near, far)
    }
}

pub(crate) fn config(addr: Ipv4Addr) -> StackConfig {
    StackConfig::new(format!("{addr}/24").parse().unwrap())
}

pub(crate) fn at(addr: Ipv4Addr, port: u16) -> SocketAddr {
    (addr, port).into()
}

/// Runs `test` in a thread of its own, and fails if it hangs.
pub(crate) fn limited<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let _ = sender.send(test());
    });
    match receiver.recv_timeout(2 * LIMIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Err(RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err());
        }
    }
}

/// Waits until `is_true`, and fails if that takes too long.
pub(crate) fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LIMIT, "never happened: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Octets that show where they belong: a period that no buffer or segment size divides.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// Reads exactly `len` octets.
pub(crate) fn read_exactly(mut stream: &TcpStream, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    stream.read_exact(&mut octets).unwrap();
    octets
}

/// The error number of a failed call.
pub(crate) fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> Option<i32> {
    result.expect_err("the call must fail").raw_os_error()
}
