//! The same crowd behind a running stack: accepted by a listener of tokio's shape, and each
//! connection's `TcpStream` held.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allocation_counter::measure;
use wharf::sim::TcpFlags;
use wharf::sim::craft::Packet;
use wharf::tokio::{TcpListener, TcpStream};
use wharf::{Capabilities, Device, Frame, Instant, Net, Outgoing};

use crate::crowd::{config, local, segment};

/// Connections that are opened at a time.
const BURST: u32 = 256;

/// What opening so many takes at most, on the busiest machine.
const LIMIT: Duration = Duration::from_mins(1);

/// What is between the peers and the stack.
#[derive(Debug, Default)]
struct Wire {
    to_stack: VecDeque<Frame>,
    /// Our initial sequence numbers, as SYN-ACKs brought them: by the number of the peer, which is
    /// its own initial sequence number. A SYN-ACK comes twice where the peers are slow to answer.
    answers: BTreeMap<u32, u32>,
}

/// A device whose other end is this program.
struct Hand {
    wire: Arc<Mutex<Wire>>,
    bell: UnixStream,
}

impl Device for Hand {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(1500)
    }

    fn receive_burst(
        &mut self,
        _now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = wire.to_stack.len().min(max);
        into.extend(wire.to_stack.drain(..taken));
        if wire.to_stack.is_empty() {
            while self.bell.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        }
        Ok(taken)
    }

    fn transmit_burst(
        &mut self,
        _now: Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        for packet in packets.drain(..) {
            let packet = Packet::decode(packet.to_frame().octets()).map_err(io::Error::other)?;
            let segment = packet.segment().ok_or(io::ErrorKind::InvalidData)?;
            if segment.flags.contains(TcpFlags::SYN) {
                wire.answers.insert(segment.ack.wrapping_sub(1), segment.seq);
            }
        }
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }
}

/// The peers' side of the wire.
struct Peers {
    wire: Arc<Mutex<Wire>>,
    bell: UnixStream,
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts packets on the wire.
    fn send(&mut self, packets: impl Iterator<Item = Frame>) -> io::Result<()> {
        self.lock().to_stack.extend(packets);
        self.bell.write_all(&[0])
    }

    /// Waits for a SYN-ACK for each of the SYNs.
    async fn answers(&self, numbers: Range<u32>) -> Vec<(u32, u32)> {
        loop {
            if let Some(found) = self.found(numbers.clone()) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    fn found(&self, numbers: Range<u32>) -> Option<Vec<(u32, u32)>> {
        let answers = &mut self.lock().answers;
        let found: Option<Vec<_>> = numbers.map(|n| answers.get(&n).map(|&iss| (n, iss))).collect();
        if found.is_some() {
            answers.clear();
        }
        found
    }

    /// Opens connections from `first` on and accepts them.
    async fn open(
        &mut self,
        listener: &TcpListener,
        numbers: Range<u32>,
        held: &mut Vec<TcpStream>,
    ) -> io::Result<()> {
        self.send(numbers.clone().map(|n| segment(n, TcpFlags::SYN, (n, 0), 0)))?;
        let answers = self.answers(numbers.clone()).await;
        let last =
            |(n, iss): (u32, u32)| segment(n, TcpFlags::ACK, (n + 1, iss.wrapping_add(1)), 0);
        self.send(answers.into_iter().map(last))?;
        for _ in numbers {
            held.push(listener.accept().await?.0);
        }
        Ok(())
    }
}

/// Octets of the allocator's that a connection holds whose `TcpStream` is held, after two seconds
/// of rest, among `count`. An error if they cannot be opened, or not in time.
pub(crate) fn each_by_socket(count: u32) -> io::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (bell, device_bell) = UnixStream::pair()?;
    device_bell.set_nonblocking(true)?;
    let wire = Arc::new(Mutex::new(Wire::default()));
    let device = Hand { wire: Arc::clone(&wire), bell: device_bell };
    let mut peers = Peers { wire, bell };
    let mut held = Vec::with_capacity(count as usize);
    let _guard = runtime.enter();
    let (net, driver) = Net::driver(device, config())?;
    let listener = runtime.block_on(async {
        tokio::spawn(driver);
        TcpListener::bind(&net, local()).await
    })?;
    let mut result: io::Result<()> = Ok(());
    let opened = measure(|| {
        result = runtime.block_on(async {
            for first in (0..count).step_by(BURST as usize) {
                let numbers = first..count.min(first + BURST);
                let opening = peers.open(&listener, numbers, &mut held);
                let Ok(opened) = tokio::time::timeout(LIMIT, opening).await else {
                    let held = held.len();
                    let text = format!("{held} of {count} are open, and no more in {LIMIT:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                };
                opened?;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        });
    });
    result?;
    #[expect(clippy::cast_precision_loss, reason = "octets of memory are far below 2^53")]
    let octets = opened.bytes_current as f64;
    Ok(octets / f64::from(count))
}
