//! What two shards carry on two threads, beside what one carries on one.
//!
//! Each shard has a device of its own whose other end this program plays, on the thread of the
//! shard: 64 peers that each send a request of 64 octets, take the echo, and send the next. The
//! server is a task for each connection behind `wharf::tokio`, on a current-thread runtime that
//! runs the shard's driver too. Peers belong to the shard whose device they are behind, as a TUN
//! brings them where the kernel steers.
//!
//! `cargo bench --bench shards` takes both forms in turn. What a thread carries is counted by the
//! processor time that it gets, since other programs take time from two threads more than from one:
//! so it is what the threads carry with a processor each. It prints how much of one they had, and
//! fails if two threads carry less than 1.8 times what one does, by the medians. Without `--bench`
//! (as `cargo test` runs it) it only tries itself.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a bench runs in real time")]

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::tokio::TcpListener;
use wharf::{
    Capabilities, Checksum, Device, Driver, Frame, FramePool, Net, Offload, Outgoing, StackConfig,
    Steering,
};

/// How much more two threads must carry than one.
const RATIO_MIN: f64 = 1.8;

/// Peers of a shard.
const PEERS: usize = 64;

/// Octets of a request, and of its echo.
const TEXT: usize = 64;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const PORT: u16 = 7;

/// Octets of an IPv4 header and of a TCP header, without options.
const IP: usize = 20;
const TCP: usize = 20;

const SYN: u8 = 2;
const ACK: u8 = 16;
const PSH_ACK: u8 = 24;

/// Peers behind one device.
struct Peers {
    shard: usize,
    has_begun: bool,
    /// What says whose a packet is: the first device is told it, and lets the others know.
    steering: Arc<Mutex<Option<Steering>>>,
    /// At the port from which each connects.
    by_port: Vec<Option<Peer>>,
    to_stack: VecDeque<Frame>,
    pool: FramePool,
    echoes: Arc<AtomicU64>,
    /// Readable while packets wait for the stack.
    bell: UnixStream,
    ringer: UnixStream,
}

/// What a peer sends next.
#[derive(Clone, Copy)]
struct Peer {
    seq: u32,
    ack: u32,
}

impl Peers {
    fn new(shard: usize, steering: Arc<Mutex<Option<Steering>>>, echoes: Arc<AtomicU64>) -> Self {
        let (bell, mut ringer) = UnixStream::pair().unwrap();
        ringer.write_all(&[0]).unwrap();
        bell.set_nonblocking(true).unwrap();
        Self {
            shard,
            has_begun: false,
            steering,
            by_port: vec![None; 1 << 16],
            to_stack: VecDeque::new(),
            pool: FramePool::new(2048),
            echoes,
            bell,
            ringer,
        }
    }

    /// A packet of the peer at `port`.
    fn packet(&mut self, port: u16, flags: u8, text: usize) -> Frame {
        let Peer { seq, ack } = self.by_port[usize::from(port)].unwrap_or(Peer { seq: 0, ack: 0 });
        let len = IP + TCP + text;
        let filled = self.pool.fill(|octets| {
            octets[..len].fill(0);
            octets[..10].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6]);
            octets[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            octets[12..16].copy_from_slice(&CLIENT.octets());
            octets[16..20].copy_from_slice(&SERVER.octets());
            let sum = (0..IP).step_by(2).map(|at| u32::from(half(octets, at))).sum::<u32>();
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            octets[10..12].copy_from_slice(&sum.to_be_bytes());
            octets[20..22].copy_from_slice(&port.to_be_bytes());
            octets[22..24].copy_from_slice(&PORT.to_be_bytes());
            octets[24..28].copy_from_slice(&seq.to_be_bytes());
            octets[28..32].copy_from_slice(&ack.to_be_bytes());
            octets[32..36].copy_from_slice(&[0x50, flags, 0xff, 0xff]);
            Ok::<_, ()>(len)
        });
        let offload = Offload { checksum: Checksum::Verified, segment: None };
        Frame::with_offload(filled.unwrap().into_bytes(), offload)
    }

    /// As many peers as there shall be begin to connect, from ports that lead to this shard.
    fn begin(&mut self) {
        let steering = *self.steering.lock().unwrap();
        let mut count = 0;
        for port in 1024..u16::MAX {
            self.by_port[usize::from(port)] = Some(Peer { seq: 0, ack: 0 });
            let syn = self.packet(port, SYN, 0);
            let owner = steering.map_or(0, |steering| steering.owner(syn.octets()));
            if owner == self.shard {
                self.to_stack.push_back(syn);
                count += 1;
            } else {
                self.by_port[usize::from(port)] = None;
            }
            if count == PEERS {
                return;
            }
        }
    }

    /// The stack sent `packet`: its peer answers.
    fn take(&mut self, packet: &Outgoing) {
        let head = &packet.head;
        let port = half(head, 22);
        let Some(mut peer) = self.by_port[usize::from(port)] else { return };
        let flags = head[33];
        let text = u32::try_from(packet.len() - IP - usize::from(head[32] >> 4) * 4).unwrap();
        if flags & SYN != 0 {
            peer = Peer { seq: 1, ack: word(head, 24).wrapping_add(1) };
        } else if text > 0 {
            peer.ack = peer.ack.wrapping_add(text);
            self.echoes.fetch_add(1, Ordering::Relaxed);
        } else {
            return; // It acknowledges, and the echo is on its way.
        }
        self.by_port[usize::from(port)] = Some(peer);
        if flags & SYN != 0 {
            let ack = self.packet(port, ACK, 0);
            self.to_stack.push_back(ack);
        }
        let request = self.packet(port, PSH_ACK, TEXT);
        self.to_stack.push_back(request);
        let sent = u32::try_from(TEXT).unwrap();
        self.by_port[usize::from(port)] = Some(Peer { seq: peer.seq.wrapping_add(sent), ..peer });
    }
}

fn half(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(octets[at..at + 2].try_into().unwrap())
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().unwrap())
}

impl Device for Peers {
    fn capabilities(&self) -> Capabilities {
        Capabilities::with_offload(1500)
    }

    fn receive_burst(
        &mut self,
        _now: wharf::Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(); // By now all devices know the steering.
        }
        let count = self.to_stack.len().min(max);
        into.extend(self.to_stack.drain(..count));
        if count > 0 && self.to_stack.is_empty() {
            let _ = self.bell.read(&mut [0; 8])?;
        }
        Ok(count)
    }

    fn transmit_burst(
        &mut self,
        _now: wharf::Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        let had_none = self.to_stack.is_empty();
        for packet in packets.drain(..) {
            self.take(&packet);
        }
        if had_none && !self.to_stack.is_empty() {
            self.ringer.write_all(&[0])?;
        }
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }

    fn is_drained(&self) -> bool {
        self.to_stack.is_empty()
    }

    fn steer(&mut self, steering: &Steering) -> bool {
        *self.steering.lock().unwrap() = Some(*steering);
        true
    }
}

/// Echoes what the shard's connections send, until the stack ends. `clock` becomes where the system
/// tells how long this thread has run.
fn serve(shard: &Net, driver: Driver, clock: &OnceLock<PathBuf>) {
    let thread = fs::read_link("/proc/thread-self").unwrap();
    clock.set(Path::new("/proc").join(thread).join("schedstat")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(shard, (SERVER, PORT)).await.unwrap();
        let driver = tokio::spawn(driver);
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut octets = [0; 2 * TEXT];
                while let Ok(len @ 1..) = stream.read(&mut octets).await {
                    if stream.write_all(&octets[..len]).await.is_err() {
                        return;
                    }
                }
            });
        }
        driver.await.unwrap().unwrap();
    });
}

/// What one shard has done.
#[derive(Default)]
struct Shard {
    echoes: Arc<AtomicU64>,
    clock: Arc<OnceLock<PathBuf>>,
}

impl Shard {
    /// Echoes so far, and nanoseconds of a processor that they took.
    fn done(&self) -> (u64, u64) {
        let text = fs::read_to_string(self.clock.get().unwrap()).unwrap();
        let nanos = text.split(' ').next().unwrap().parse().unwrap();
        (self.echoes.load(Ordering::Relaxed), nanos)
    }
}

/// What a form carries.
struct Rate {
    /// Echoes a second, if each thread had a processor.
    echoes: f64,
    /// How much of one each had.
    processors: f64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of some millions")]
fn rate(shards: usize, window: Duration) -> Rate {
    let steering = Arc::new(Mutex::new(None));
    let all: Vec<_> = (0..shards).map(|_| Shard::default()).collect();
    let devices = all.iter().enumerate();
    let devices = devices.map(|(n, it)| Peers::new(n, steering.clone(), it.echoes.clone()));
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let (net, drivers) = Net::drivers(devices.collect(), config).unwrap();
    let mut threads = Vec::new();
    for (index, driver) in drivers.into_iter().enumerate() {
        let (shard, clock) = (net.shard(index), all[index].clock.clone());
        threads.push(thread::spawn(move || serve(&shard, driver, &clock)));
    }
    thread::sleep(window / 4);
    let (before, begun): (Vec<_>, _) = (all.iter().map(Shard::done).collect(), Instant::now());
    thread::sleep(window);
    let (after, took): (Vec<_>, _) = (all.iter().map(Shard::done).collect(), begun.elapsed());
    let counters = net.counters();
    let strays = counters.list().iter().find(|it| it.name == "strays_forwarded_total").copied();
    assert_eq!(strays.unwrap().value, 0, "each peer is behind the device of its shard");
    net.shutdown(Duration::ZERO).unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut rate = Rate { echoes: 0.0, processors: 0.0 };
    for (before, after) in before.iter().zip(&after) {
        let (echoes, nanos) = (after.0 - before.0, after.1 - before.1);
        assert!(echoes > 0, "a shard stands still");
        rate.echoes += echoes as f64 / nanos as f64 * 1e9;
        rate.processors += nanos as f64 / took.as_nanos() as f64 / shards as f64;
    }
    rate
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    if !is_bench {
        for shards in [1, 2] {
            assert!(rate(shards, Duration::from_millis(100)).echoes > 0.0);
        }
        println!("shards: tried; `cargo bench --bench shards` measures");
        return;
    }
    let mut windows: [Vec<Rate>; 2] = Default::default();
    for _ in 0..15 {
        for (windows, shards) in windows.iter_mut().zip([1, 2]) {
            windows.push(rate(shards, Duration::from_millis(600)));
        }
    }
    println!("{:>7} {:>16} {:>12}", "threads", "echoes a second", "processors");
    let [one, two] = windows.map(|windows| {
        let processors = median(windows.iter().map(|it| it.processors).collect());
        (median(windows.iter().map(|it| it.echoes).collect()), processors)
    });
    for (threads, (echoes, processors)) in [(1, one), (2, two)] {
        println!("{threads:>7} {echoes:>16.0} {processors:>12.2}");
    }
    let ratio = two.0 / one.0;
    println!("two threads carry {ratio:.2} times what one does; {RATIO_MIN} at least");
    if ratio < RATIO_MIN {
        std::process::exit(1);
    }
}
