//! What two shards carry on two threads, beside what one carries on one.
//!
//! Each shard has a device of its own whose other end this program plays, on the thread of the
//! shard: 64 peers that each send a request of 64 octets, take the echo, and send the next. The
//! server is a task for each connection behind `wharf::tokio`, on a current-thread runtime that
//! runs the shard's driver too. Peers belong to the shard whose device they are behind, as a TUN
//! brings them where the kernel steers.
//!
//! `cargo bench --bench shards` takes both forms in turn and prints the best window of each, since
//! other programs take time from two threads more than from one; it fails below 1.8 times. Without
//! `--bench` (as `cargo test` runs it) it only tries itself.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a bench runs in real time")]

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
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
    /// Readable at any time: there is always something to do.
    bell: UnixStream,
    _ringer: UnixStream,
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
        Self {
            shard,
            has_begun: false,
            steering,
            by_port: vec![None; 1 << 16],
            to_stack: VecDeque::new(),
            pool: FramePool::new(2048),
            echoes,
            bell,
            _ringer: ringer,
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
        Ok(count)
    }

    fn transmit_burst(
        &mut self,
        _now: wharf::Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        for packet in packets.drain(..) {
            self.take(&packet);
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

/// Echoes what the shard's connections send, until the stack ends.
fn serve(shard: &Net, driver: Driver) {
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

/// Echoes a second that so many shards carry together.
fn rate(shards: usize, window: Duration) -> f64 {
    let steering = Arc::new(Mutex::new(None));
    let echoes: Vec<Arc<AtomicU64>> = (0..shards).map(|_| Arc::default()).collect();
    let devices = echoes.iter().enumerate();
    let devices =
        devices.map(|(shard, echoes)| Peers::new(shard, steering.clone(), echoes.clone()));
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let (net, drivers) = Net::drivers(devices.collect(), config).unwrap();
    let threads: Vec<_> = drivers
        .into_iter()
        .enumerate()
        .map(|(index, driver)| {
            let shard = net.shard(index);
            thread::spawn(move || serve(&shard, driver))
        })
        .collect();
    let total = || echoes.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
    thread::sleep(window / 4);
    let (before, begun) = (total(), Instant::now());
    thread::sleep(window);
    let (after, took) = (total(), begun.elapsed());
    assert!(echoes.iter().all(|count| count.load(Ordering::Relaxed) > 0), "a shard stands still");
    let strays = net.counters();
    let strays = strays.list().iter().find(|it| it.name == "strays_forwarded_total").unwrap().value;
    assert_eq!(strays, 0, "each peer is behind the device of its shard");
    net.shutdown(Duration::ZERO).unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of some millions")]
    let count = (after - before) as f64;
    count / took.as_secs_f64()
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    if !is_bench {
        for shards in [1, 2] {
            assert!(rate(shards, Duration::from_millis(100)) > 0.0);
        }
        println!("shards: tried; `cargo bench --bench shards` measures");
        return;
    }
    let mut best = [0.0f64; 2];
    for _ in 0..12 {
        for (best, shards) in best.iter_mut().zip([1, 2]) {
            *best = best.max(rate(shards, Duration::from_millis(600)));
        }
    }
    let [one, two] = best;
    println!("echoes of {TEXT} octets a second: one shard {one:.0}, two {two:.0}");
    println!("two threads carry {:.2} times what one does (at least {RATIO_MIN})", two / one);
    if two < RATIO_MIN * one {
        std::process::exit(1);
    }
}
