//! Drivers over devices that hold packets back, come in drops, flood or panic.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::iter;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::net::{TcpListener, TcpStream, UdpSocket};
use wharf::{Capabilities, Device, Frame, Impair, Link, Net, Outgoing, StackConfig};

use super::support::{FAR, NEAR, config, errno, limited, pattern, read_exactly};

/// What a device has done: on a TUN, each is a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Received,
    FoundNothing,
    Sent,
}

/// How a [`Modified`] end of a link differs from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// In nothing.
    None,
    /// Gives one packet at a time, whatever it is asked for.
    Drops,
    /// Panics when a packet arrives.
    Panics,
    /// Gives the last packet over and over, when there is no other.
    Repeats,
}

/// An end of a link that notes down what it does.
#[derive(Debug)]
struct Modified {
    link: Link,
    fault: Fault,
    notes: Arc<Mutex<Vec<Done>>>,
    last: Option<Frame>,
}

impl Modified {
    fn new(link: Link, fault: Fault) -> Self {
        Self { link, fault, notes: Arc::default(), last: None }
    }
}

impl Device for Modified {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn receive_burst(
        &mut self,
        now: wharf::Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        let most = if self.fault == Fault::None { max } else { max.min(1) };
        let mut count = self.link.receive_burst(now, into, most)?;
        if self.fault == Fault::Repeats {
            match &self.last {
                Some(last) if count == 0 => into.push_back(last.clone()),
                _ => self.last = into.back().cloned(),
            }
            count = self.last.iter().len();
        }
        let mut notes = self.notes.lock().unwrap();
        notes.extend(iter::repeat_n(Done::Received, count));
        notes.extend((count < max).then_some(Done::FoundNothing));
        drop(notes);
        assert!(count == 0 || self.fault != Fault::Panics, "this panic is meant");
        Ok(count)
    }

    fn transmit_burst(
        &mut self,
        now: wharf::Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        self.notes.lock().unwrap().extend(iter::repeat_n(Done::Sent, packets.len()));
        self.link.transmit_burst(now, packets)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.link.fd()
    }
}

/// Sends from the near stack to the far one and back.
fn exchange(near: &Net, far: &Net, len: usize) {
    let listener = TcpListener::bind(far, (FAR, 80)).unwrap();
    let near = TcpStream::connect(near, (FAR, 80)).unwrap();
    let (far, _) = listener.accept().unwrap();
    let sent = pattern(len);
    for (writer, reader) in [(&near, &far), (&far, &near)] {
        thread::scope(|scope| {
            scope.spawn(|| (&*writer).write_all(&sent).unwrap());
            assert!(read_exactly(reader, len) == sent);
        });
    }
}

/// Runs `exchange` on two stacks whose drivers are tasks of one thread.
fn exchange_by_tasks(near: impl Device + 'static, far: impl Device + 'static, len: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near, near_driver) = Net::driver(near, config(NEAR)).unwrap();
    let (far, far_driver) = Net::driver(far, config(FAR)).unwrap();
    let exchanging = thread::spawn(move || exchange(&near, &far, len));
    // Both end when the thread has dropped the last handles.
    let (near, far) = runtime.block_on(async { tokio::join!(near_driver, far_driver) });
    exchanging.join().unwrap();
    near.unwrap();
    far.unwrap();
}

/// Runs `work` on two stacks whose drivers are tasks of its thread: what the far one's device did.
fn done_by_tasks(work: impl AsyncFnOnce(Net, Net)) -> Vec<Done> {
    let (near, far) = Link::pair(1500);
    let far = Modified::new(far, Fault::None);
    let notes = Arc::clone(&far.notes);
    let (near, near_driver) = Net::driver(near, config(NEAR)).unwrap();
    let (far, far_driver) = Net::driver(far, config(FAR)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        tokio::spawn(near_driver);
        tokio::spawn(far_driver);
        work(near, far).await;
    });
    let notes = notes.lock().unwrap();
    notes.clone()
}

fn dropping(link: Link) -> Modified {
    Modified::new(link, Fault::Drops)
}

/// A line that takes 3 ms and loses one packet in fifty.
fn bad(link: Link) -> Impair<Link> {
    Impair::new(link, "loss=2%,delay=2ms,jitter=1ms,reorder=1%,seed=3".parse().unwrap())
}

#[test]
fn a_burst_that_is_not_full_is_not_taken_for_the_last() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        let near = Net::start(dropping(near), config(NEAR)).unwrap();
        let far = Net::start(dropping(far), config(FAR)).unwrap();
        exchange(&near, &far, 500_000);
    });
}

#[test]
fn a_burst_that_is_not_full_is_not_taken_for_the_last_by_a_task() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        exchange_by_tasks(dropping(near), dropping(far), 500_000);
    });
}

#[test]
fn a_lone_packet_is_answered_before_the_device_is_asked_for_another() {
    const ROUNDS: usize = 50;
    limited(|| {
        let (near, far) = Link::pair(1500);
        let far = Modified::new(far, Fault::None);
        let notes = Arc::clone(&far.notes);
        let near = Net::start(near, config(NEAR)).unwrap();
        let (far, driver) = Net::driver(far, config(FAR)).unwrap();
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(&near, (FAR, 7)).unwrap();
            for _ in 0..ROUNDS {
                stream.write_all(b"ping").unwrap();
                assert_eq!(read_exactly(&stream, 4), b"ping");
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = wharf::tokio::TcpListener::bind(&far, (FAR, 7)).await.unwrap();
            drop(far);
            let driver = tokio::spawn(driver);
            let (mut stream, _) = listener.accept().await.unwrap();
            let serving = tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            });
            serving.await.unwrap();
            drop(listener);
            driver.await.unwrap().unwrap();
        });
        client.join().unwrap();
        let notes = notes.lock().unwrap();
        let at_once = notes.windows(2).filter(|it| *it == [Done::Received, Done::Sent]);
        let at_once = at_once.count();
        // A machine that stops the client for long gets an acknowledgment first, now and then.
        assert!(at_once >= ROUNDS / 2, "{at_once} of {ROUNDS}");
    });
}

#[test]
fn the_first_acknowledgment_leaves_with_the_answer_of_a_task_that_accepting_has_spawned() {
    limited(|| {
        let notes = done_by_tasks(async |near, far| {
            let listener = wharf::tokio::TcpListener::bind(&far, (FAR, 7)).await.unwrap();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                });
            });
            // A task, so that its request leaves with the last segment of the handshake.
            let client = tokio::spawn(async move {
                let mut stream = wharf::tokio::TcpStream::connect(&near, (FAR, 7)).await.unwrap();
                stream.write_all(b"ping").await.unwrap();
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).await.unwrap();
                answer
            });
            assert_eq!(&client.await.unwrap(), b"ping");
        });
        let sent = notes.iter().filter(|it| **it == Done::Sent).count();
        assert_eq!(sent, 2, "a SYN-ACK and the answer");
    });
}

/// How many packets of full size a stack takes in at most between two that it sends, while
/// `senders` connections bring it octets all at once.
fn most_between_two_answers(senders: usize) -> usize {
    let len = 4_000_000 / senders;
    let notes = done_by_tasks(async |near, far| {
        let listener = wharf::tokio::TcpListener::bind(&far, (FAR, 9)).await.unwrap();
        let clients = (0..senders).map(|_| {
            let near = near.clone();
            tokio::spawn(async move {
                let mut stream = wharf::tokio::TcpStream::connect(&near, (FAR, 9)).await.unwrap();
                stream.write_all(&pattern(len)).await.unwrap();
            })
        });
        let clients: Vec<_> = clients.collect();
        let mut readers = Vec::new();
        for _ in 0..senders {
            let (mut stream, _) = listener.accept().await.unwrap();
            readers.push(tokio::spawn(async move {
                let mut octets = Vec::new();
                stream.read_to_end(&mut octets).await.unwrap();
                assert!(octets == pattern(len), "{} octets", octets.len());
            }));
        }
        for task in clients.into_iter().chain(readers) {
            task.await.unwrap();
        }
    });
    let runs = notes.split(|it| *it == Done::Sent);
    runs.map(|run| run.iter().filter(|it| **it == Done::Received).count()).max().unwrap()
}

#[test]
fn several_bulk_senders_are_answered_after_a_few_bursts_and_a_lone_one_after_each() {
    limited(|| {
        let burst = 64;
        let lone = most_between_two_answers(1);
        assert!(lone <= burst, "{lone} packets of one sender");
        let several = most_between_two_answers(8);
        assert!((burst + 1..=4 * burst).contains(&several), "{several} packets of eight");
    });
}

#[test]
fn a_bulk_sender_makes_super_segments_whether_its_device_splits_them_or_not() {
    limited(|| {
        for splits in [false, true] {
            let (near, far) = Link::pair(1500);
            let near = if splits { near.with_offload() } else { near };
            let near = Modified::new(near, Fault::None);
            let notes = Arc::clone(&near.notes);
            let near = Net::start(near, config(NEAR)).unwrap();
            let far = Net::start(far, config(FAR)).unwrap();
            exchange(&near, &far, 500_000);
            let sent = notes.lock().unwrap().iter().filter(|it| **it == Done::Sent).count();
            let list = near.counters().list();
            let made = list.iter().find(|it| it.name == "packets_sent_total").unwrap().value;
            let made = usize::try_from(made).unwrap();
            // The initial window alone is ten segments.
            let is_split_behind = sent >= made + 9;
            assert_eq!(is_split_behind, !splits, "{made} packets of the stack, {sent} carried");
        }
    });
}

/// A driver that does not sleep sees everything that one that sleeps sees, and lets others run.
#[test]
fn a_driver_that_polls_busily_carries_what_one_that_sleeps_carries() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        let near = Net::start(near, config(NEAR)).unwrap();
        let far = Net::start(far, config(FAR)).unwrap();
        for limit in [Duration::from_millis(1), Duration::from_hours(1), Duration::ZERO] {
            near.set_busy_poll(limit);
            far.set_busy_poll(limit);
            exchange(&near, &far, 200_000);
        }
    });
}

/// Two ends whose packets are large, and their configurations for transfers in bulk.
fn wide() -> [(Link, StackConfig); 2] {
    let (near, far) = Link::pair(65_535);
    [(near, NEAR), (far, FAR)].map(|(link, addr)| {
        let mut config = config(addr);
        config.interface.mtu = 65_535;
        config.tcp.receive_buffer = 2 << 20;
        config.tcp.send_buffer = 2 << 20;
        (link, config)
    })
}

#[test]
fn a_driver_that_lets_packets_gather_carries_what_others_carry() {
    limited(|| {
        let [near, far] = wide().map(|(link, config)| Net::start(link, config).unwrap());
        for limit in [Duration::from_micros(60), Duration::MAX, Duration::ZERO] {
            near.set_coalescing(limit);
            far.set_coalescing(limit);
            exchange(&near, &far, 10_000_000);
        }
    });
}

#[test]
fn packets_that_a_device_holds_back_leave_and_arrive_in_their_time() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        let near = Net::start(bad(near), config(NEAR)).unwrap();
        let far = Net::start(far, config(FAR)).unwrap();
        exchange(&near, &far, 200_000);
    });
}

#[test]
fn packets_that_a_device_holds_back_leave_and_arrive_in_their_time_for_a_task() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        exchange_by_tasks(bad(near), far, 200_000);
    });
}

#[test]
fn a_driver_that_panics_ends_its_stack_and_leaves_nobody_waiting() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        let near = Modified::new(near, Fault::Panics);
        let near = Net::start(near, config(NEAR)).unwrap();
        let far = Net::start(far, config(FAR)).unwrap();
        let waiting = UdpSocket::bind(&near, (NEAR, 9)).unwrap();
        let socket = UdpSocket::bind(&far, (FAR, 9)).unwrap();
        thread::scope(|scope| {
            let receiving = scope.spawn(|| errno(waiting.recv(&mut [0; 8])));
            socket.send_to(b"x", (NEAR, 9)).unwrap();
            assert_eq!(receiving.join().unwrap(), Some(libc::ENETDOWN));
        });
        let error = near.wait().unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        assert_eq!(errno(UdpSocket::bind(&near, (NEAR, 10))), Some(libc::ENETDOWN));
    });
}

#[tokio::test]
async fn a_driver_task_that_panics_ends_its_stack_and_leaves_nobody_waiting() {
    let (near, far) = Link::pair(1500);
    let near = Modified::new(near, Fault::Panics);
    let (near, driver) = Net::driver(near, config(NEAR)).unwrap();
    let driver = tokio::spawn(driver);
    let far = Net::start(far, config(FAR)).unwrap();
    let waiting = wharf::tokio::UdpSocket::bind(&near, (NEAR, 9)).await.unwrap();
    let receiving = tokio::spawn(async move { errno(waiting.recv(&mut [0; 8]).await) });
    UdpSocket::bind(&far, (FAR, 9)).unwrap().send_to(b"x", (NEAR, 9)).unwrap();
    let limit = Duration::from_secs(30);
    let received = tokio::time::timeout(limit, receiving).await.unwrap();
    assert_eq!(received.unwrap(), Some(libc::ENETDOWN));
    assert!(driver.await.unwrap_err().is_panic());
    near.wait_async().await.unwrap_err();
}

#[test]
fn a_flood_that_has_a_task_busy_in_every_turn_does_not_keep_the_end_away() {
    limited(|| {
        let (near, far) = Link::pair(1500);
        let near = Net::start(near, config(NEAR)).unwrap();
        let (far, driver) = Net::driver(Modified::new(far, Fault::Repeats), config(FAR)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let driver = tokio::spawn(driver);
            let socket = wharf::tokio::UdpSocket::bind(&far, (FAR, 9)).await.unwrap();
            let reader = tokio::spawn(async move {
                let mut count = 0;
                while socket.recv_from(&mut [0; 8]).await.is_ok() {
                    count += 1;
                }
                count
            });
            let sender = UdpSocket::bind(&near, (NEAR, 0)).unwrap();
            sender.send_to(b"again", (FAR, 9)).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            far.shutdown_async(Duration::ZERO).await.unwrap();
            driver.await.unwrap().unwrap();
            let count = reader.await.unwrap();
            assert!(count > 10, "{count} datagrams");
        });
    });
}

/// Runs `disturb` over and over in another thread while octets go back and forth.
fn ping_pong_beside(disturb: impl Fn(&Net, &Net) + Send + Sync + 'static) {
    limited(move || {
        let (near, far) = Link::pair(1500);
        let near = Net::start(near, config(NEAR)).unwrap();
        let far = Net::start(far, config(FAR)).unwrap();
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        let stream = TcpStream::connect(&near, (FAR, 80)).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    disturb(&near, &far);
                }
            });
            scope.spawn(|| {
                for _ in 0..200 {
                    let got = read_exactly(&peer, 8);
                    (&peer).write_all(&got).unwrap();
                }
            });
            let start = Instant::now();
            for n in 0..200u64 {
                (&stream).write_all(&n.to_be_bytes()).unwrap();
                assert_eq!(read_exactly(&stream, 8), n.to_be_bytes());
            }
            is_done.store(true, Ordering::Relaxed);
            // Far more than it takes, and far less than two hundred turns of a loop that gets the
            // lock only when the other thread's time slice ends.
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        });
    });
}

#[test]
fn a_thread_that_never_stops_calling_does_not_keep_the_driver_away() {
    ping_pong_beside(|near, _| drop(near.counters()));
}

#[test]
fn a_flood_does_not_keep_calls_away() {
    ping_pong_beside(|near, _| {
        let socket = UdpSocket::bind(near, (NEAR, 0)).unwrap();
        for _ in 0..100 {
            let _ = socket.send_to(&[0; 100], (FAR, 9));
        }
    });
}
