//! A cable in memory: two devices, each of which receives what the other transmits.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Capabilities, Device, sys};
use crate::packet::{Frame, Outgoing};
use crate::time::Instant;
use crate::wire::Steering;

/// Packets that may wait to be received, unless [`Link::with_queue`] says otherwise.
const QUEUE: usize = 1024;

/// One end of a cable in memory, or one of several queues that an end has.
///
/// It loses nothing and takes no time; what arrives at a full queue, is longer than the MTU, or
/// has nobody at the other end is dropped, as on a cable. Wrap an end in
/// [`Impair`](super::Impair) for a worse one.
#[derive(Debug)]
pub struct Link {
    mtu: u32,
    /// Whether what this end transmits crosses the cable unsplit.
    is_splitting: bool,
    own: Arc<End>,
    /// Which of its queues this is.
    queue: usize,
    other: Arc<End>,
}

/// How what arrives at an end of several queues spreads over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Spread {
    /// By addresses and ports, so that the packets of a flow take one queue, in order; which one is
    /// a matter of chance.
    #[default]
    Flows,
    /// One packet after the other, so that no flow keeps its order: the worst that can be, for
    /// tests.
    Packets,
    /// As is asked for by [`Device::steer`]; until then by flows.
    Steered,
}

/// What arrives at one end.
#[derive(Debug)]
struct End {
    queues: Box<[Wire]>,
    spreading: Mutex<Spreading>,
}

/// How packets spread from now on.
#[derive(Clone, Copy, Debug, Default)]
struct Spreading {
    spread: Spread,
    steering: Option<Steering>,
    /// Packets that have come so far.
    packets: usize,
}

/// What arrives by one queue.
#[derive(Debug)]
struct Wire {
    state: Mutex<WireState>,
    /// An eventfd, readable while packets wait or the cable is unplugged. None in virtual time.
    wake: Option<File>,
}

#[derive(Debug)]
struct WireState {
    waiting: VecDeque<Frame>,
    capacity: usize,
    /// Packets that were dropped here.
    dropped: u64,
    has_receiver: bool,
    is_unplugged: bool,
}

impl Link {
    /// As [`Link::pair`], of ends that have several queues each, `near` and `far`, as a TUN has
    /// them that was opened with [several](crate::Tun::open_queues).
    ///
    /// # Panics
    /// If the process may open no more file descriptors.
    pub fn queues(mtu: u32, near: usize, far: usize) -> (Vec<Self>, Vec<Self>) {
        Self::ends_of(mtu, [near, far], || {
            let fd = sys::event_counter().expect("a file descriptor a queue is to be had");
            Some(File::from(fd))
        })
    }

    /// Both ends of a cable for packets of at most `mtu` octets, with an eventfd an end, so that
    /// an event loop can wait for packets.
    ///
    /// # Panics
    /// If the process may open no more file descriptors.
    pub fn pair(mtu: u32) -> (Self, Self) {
        Self::pair_of(mtu, || {
            let fd = sys::event_counter().expect("two file descriptors are to be had");
            Some(File::from(fd))
        })
    }

    /// Both ends of a cable for simulations: [`Device::fd`] is `None`, and no call is a system
    /// call.
    pub fn pair_virtual(mtu: u32) -> (Self, Self) {
        Self::pair_of(mtu, || None)
    }

    fn pair_of(mtu: u32, wake: impl FnMut() -> Option<File>) -> (Self, Self) {
        let (mut near, mut far) = Self::ends_of(mtu, [1, 1], wake);
        (near.remove(0), far.remove(0))
    }

    fn ends_of(
        mtu: u32,
        queues: [usize; 2],
        mut wake: impl FnMut() -> Option<File>,
    ) -> (Vec<Self>, Vec<Self>) {
        let [near, far] = queues.map(|count| {
            let queues = (0..count).map(|_| Wire::new(wake())).collect();
            Arc::new(End { queues, spreading: Mutex::default() })
        });
        let links = |own: &Arc<End>, other: &Arc<End>| {
            let link = |queue| Self {
                mtu,
                is_splitting: false,
                own: own.clone(),
                queue,
                other: other.clone(),
            };
            (0..own.queues.len()).map(link).collect()
        };
        (links(&near, &far), links(&far, &near))
    }

    /// Sets how what arrives at this end spreads over all of its queues. By flows.
    #[must_use]
    pub fn with_spread(self, spread: Spread) -> Self {
        lock(&self.own.spreading).spread = spread;
        self
    }

    /// Sets how many packets may wait here to be received; at a full queue the last to come is
    /// dropped. 1,024.
    #[must_use]
    pub fn with_queue(self, packets: usize) -> Self {
        self.wire().lock().capacity = packets;
        self
    }

    /// Lets super-segments and partial checksums cross the cable from this end to the other, as on
    /// a TUN: nobody has to split or to sum what only moves within one machine.
    #[must_use]
    pub fn with_offload(mut self) -> Self {
        self.is_splitting = true;
        self
    }

    /// How many of the packets that this end transmitted, by any queue, were dropped: the other
    /// end's queue was full, or there was no other end, or the packet was longer than the MTU.
    pub fn dropped(&self) -> u64 {
        self.other.queues.iter().map(|wire| wire.lock().dropped).sum()
    }

    /// Takes the cable away, as if a TUN's interface were deleted: from now on every burst at
    /// either end is ENODEV, both ends' descriptors are readable, and what was on its way is lost.
    pub fn unplug(&self) {
        for wire in self.own.queues.iter().chain(&self.other.queues) {
            let mut state = wire.lock();
            if !state.is_unplugged {
                state.is_unplugged = true;
                state.waiting.clear();
                wire.wake_up();
            }
        }
    }

    /// What arrives here.
    fn wire(&self) -> &Wire {
        &self.own.queues[self.queue]
    }
}

/// The other end goes on alone: what it transmits is lost, as with an unplugged cable.
impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.wire().lock();
        state.has_receiver = false;
        state.waiting.clear();
    }
}

impl Wire {
    fn new(wake: Option<File>) -> Self {
        Self { state: Mutex::new(WireState::new()), wake }
    }

    fn lock(&self) -> MutexGuard<'_, WireState> {
        lock(&self.state)
    }

    /// Makes the descriptor readable.
    fn wake_up(&self) {
        if let Some(mut wake) = self.wake.as_ref() {
            // An eventfd refuses only a count that would overflow, and then is readable anyway.
            let _ = wake.write(&1u64.to_ne_bytes());
        }
    }

    /// Makes the descriptor unreadable again.
    fn calm(&self) {
        if let Some(mut wake) = self.wake.as_ref() {
            // An eventfd refuses only if its count is zero, and then is calm anyway.
            let _ = wake.read(&mut [0; 8]);
        }
    }
}

impl WireState {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            capacity: QUEUE,
            dropped: 0,
            has_receiver: true,
            is_unplugged: false,
        }
    }

    fn check_plugged(&self) -> io::Result<()> {
        if self.is_unplugged { Err(io::Error::from_raw_os_error(libc::ENODEV)) } else { Ok(()) }
    }

    /// Whether a packet, which `fits` the cable or not, gets through; counts it if it does not.
    fn admits(&mut self, fits: bool) -> bool {
        let is_good = fits && self.has_receiver && self.waiting.len() < self.capacity;
        self.dropped += u64::from(!is_good);
        is_good
    }
}

/// A panic while the lock was held can have lost packets, but nothing that matters more.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Octets of the largest packet that `packet` stands for.
fn largest_part(packet: &Outgoing) -> usize {
    let whole = packet.len();
    packet
        .offload
        .segment
        .map_or(whole, |part| whole.min(packet.head.len() + usize::from(part.get())))
}

impl End {
    /// How the next `count` packets spread.
    fn spread(&self, count: usize) -> Spreading {
        if self.queues.len() == 1 {
            return Spreading::default();
        }
        let mut spreading = lock(&self.spreading);
        let now = *spreading;
        spreading.packets = now.packets.wrapping_add(count);
        now
    }
}

impl Spreading {
    /// Which of several queues the packet takes that is so many behind the next.
    fn queue_of(&self, packet: &Outgoing, behind: usize, queues: usize) -> usize {
        match (self.spread, &self.steering) {
            (Spread::Packets, _) => self.packets.wrapping_add(behind) % queues,
            (Spread::Steered, Some(steering)) => steering.owner(&packet.head) % queues,
            (Spread::Flows | Spread::Steered, _) => {
                // Both addresses and, behind a header without options, both ports.
                let flow = packet.head.get(12..24).unwrap_or_default();
                let mix = |sum: usize, octet: &u8| sum.wrapping_mul(31) + usize::from(*octet);
                flow.iter().fold(0, mix) % queues
            }
        }
    }
}

impl Device for Link {
    fn capabilities(&self) -> Capabilities {
        if self.is_splitting {
            Capabilities::with_offload(self.mtu)
        } else {
            Capabilities::new(self.mtu)
        }
    }

    fn receive_burst(
        &mut self,
        _now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        let mut state = self.wire().lock();
        state.check_plugged()?;
        let count = state.waiting.len().min(max);
        into.extend(state.waiting.drain(..count));
        if count > 0 && state.waiting.is_empty() {
            self.wire().calm();
        }
        Ok(count)
    }

    fn transmit_burst(
        &mut self,
        _now: Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        let (spreading, queues) = (self.other.spread(packets.len()), self.other.queues.len());
        for (queue, wire) in self.other.queues.iter().enumerate() {
            let mut state = wire.lock();
            let had_none = state.waiting.is_empty();
            for (behind, packet) in packets.iter().enumerate() {
                if queues > 1 && spreading.queue_of(packet, behind, queues) != queue {
                    continue;
                }
                let len = largest_part(packet);
                let fits = u32::try_from(len).is_ok_and(|len| len <= self.mtu);
                if !state.is_unplugged && state.admits(fits) {
                    state.waiting.push_back(packet.to_frame());
                }
            }
            if had_none && !state.waiting.is_empty() {
                wire.wake_up();
            }
        }
        packets.clear();
        self.other.queues.iter().try_for_each(|wire| wire.lock().check_plugged())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.wire().wake.as_ref().map(AsFd::as_fd)
    }

    fn steer(&mut self, steering: &Steering) -> bool {
        let mut spreading = lock(&self.own.spreading);
        spreading.steering = Some(*steering);
        spreading.spread == Spread::Steered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    fn send(link: &mut Link, packets: &[&[u8]]) -> io::Result<()> {
        let mut queue: VecDeque<Outgoing> = packets
            .iter()
            .map(|octets| {
                let mut packet = Outgoing::default();
                packet.payload.push(octets.to_vec().into());
                packet
            })
            .collect();
        let outcome = link.transmit_burst(Instant::ZERO, &mut queue);
        assert!(queue.is_empty());
        outcome
    }

    fn receive(link: &mut Link, max: usize) -> Vec<Vec<u8>> {
        let mut frames = VecDeque::new();
        let count = link.receive_burst(Instant::ZERO, &mut frames, max).unwrap();
        assert_eq!(count, frames.len());
        frames.iter().map(|f| f.octets().to_vec()).collect()
    }

    /// What poll(2) would say: an eventfd gives its count only if that is not zero.
    fn is_readable(link: &Link) -> bool {
        let mut wake = link.wire().wake.as_ref().unwrap();
        let is_readable = wake.read(&mut [0; 8]).is_ok();
        if is_readable {
            link.wire().wake_up();
        }
        is_readable
    }

    #[test]
    fn each_end_receives_what_the_other_transmits_in_order() {
        for (mut a, mut b) in [Link::pair(1500), Link::pair_virtual(1500)] {
            send(&mut a, &[&[1], &[2, 2], &[3]]).unwrap();
            send(&mut b, &[&[4]]).unwrap();
            assert_eq!(receive(&mut b, 2), [vec![1], vec![2, 2]]);
            assert_eq!(receive(&mut b, 2), [vec![3]]);
            assert!(receive(&mut b, 2).is_empty());
            assert_eq!(receive(&mut a, 9), [vec![4]]);
        }
    }

    #[test]
    fn a_descriptor_is_readable_as_long_as_packets_wait() {
        let (mut a, mut b) = Link::pair(1500);
        assert!(a.fd().is_some());
        assert!(!is_readable(&b));
        send(&mut a, &[]).unwrap();
        assert!(!is_readable(&b), "no packet");
        send(&mut a, &[&[1], &[2]]).unwrap();
        assert!(is_readable(&b) && !is_readable(&a));
        receive(&mut b, 1);
        assert!(is_readable(&b), "one is left");
        receive(&mut b, 1);
        assert!(!is_readable(&b));
        send(&mut a, &[&[3]]).unwrap();
        assert!(is_readable(&b), "again");
    }

    #[test]
    fn the_packets_of_a_flow_take_one_queue_and_flows_take_all() {
        let (mut near, mut far) = Link::queues(1500, 3, 2);
        assert_eq!((near.len(), far.len()), (3, 2));
        let packet = |flow, n| {
            let mut octets = [0; 30];
            (octets[21], octets[29]) = (flow, n);
            octets
        };
        let mut packets: VecDeque<_> = (0..60)
            .map(|n| {
                let mut outgoing = Outgoing::default();
                outgoing.head.extend(packet(n % 6, n));
                outgoing
            })
            .collect();
        far[1].transmit_burst(Instant::ZERO, &mut packets).unwrap();
        let mut flows = 0;
        for queue in &mut near {
            let arrived = receive(queue, 99);
            let count = arrived.len();
            assert!(count > 0 && count.is_multiple_of(10), "whole flows: {count}");
            assert!(arrived.is_sorted_by_key(|octets| octets[29]), "in order");
            flows += count / 10;
        }
        assert_eq!(flows, 6);
        far[0].unplug();
        assert!(near.iter().chain(&far).all(is_readable), "each queue's event loop must notice");
    }

    /// What each queue has got of so many packets that one flow sent in two bursts.
    fn spread_of(near: &mut [Link], far: &mut Link, bursts: [usize; 2]) -> Vec<usize> {
        for count in bursts {
            let mut packet = Outgoing::default();
            packet.head.extend([0; 30]);
            let mut packets = VecDeque::from(vec![packet; count]);
            far.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        }
        near.iter_mut().map(|queue| receive(queue, 99).len()).collect()
    }

    #[test]
    fn an_end_may_spread_packets_one_by_one_whatever_it_is_asked_for() {
        let (near, mut far) = Link::queues(1500, 3, 1);
        let mut near: Vec<_> =
            near.into_iter().map(|queue| queue.with_spread(Spread::Packets)).collect();
        let steering = Steering::new(3.try_into().unwrap(), &Seed::from_number(1));
        assert!(!near[1].steer(&steering));
        assert_eq!(spread_of(&mut near, &mut far[0], [4, 5]), [3, 3, 3]);
        assert_eq!(spread_of(&mut near, &mut far[0], [1, 1]), [1, 1, 0]);
    }

    #[test]
    fn an_end_may_be_steered() {
        let (near, mut far) = Link::queues(1500, 3, 1);
        let mut near: Vec<_> =
            near.into_iter().map(|queue| queue.with_spread(Spread::Steered)).collect();
        let steering = Steering::new(3.try_into().unwrap(), &Seed::from_number(1));
        assert!(near[1].steer(&steering), "one asks for all");
        let mut syn = [0; 40];
        (syn[0], syn[9]) = (0x45, 6); // IPv4 and TCP.
        for port in 0..50 {
            let mut packet = Outgoing::default();
            packet.head.extend(syn);
            packet.head[20] = port;
            let owner = steering.owner(&packet.head);
            far[0].transmit_burst(Instant::ZERO, &mut VecDeque::from([packet])).unwrap();
            let got: Vec<_> = near.iter_mut().map(|queue| receive(queue, 9).len()).collect();
            assert_eq!((got[owner], got.iter().sum::<usize>()), (1, 1));
        }
    }

    #[test]
    fn what_a_queue_or_the_mtu_cannot_hold_is_dropped_and_counted() {
        let (mut a, b) = Link::pair_virtual(3);
        assert!(a.fd().is_none());
        let mut b = b.with_queue(2);
        send(&mut a, &[&[1; 4], &[1; 3], &[2], &[3]]).unwrap();
        assert_eq!(a.dropped(), 2);
        assert_eq!(receive(&mut b, 9), [vec![1; 3], vec![2]]);
        assert_eq!(b.dropped(), 0);
    }

    #[test]
    fn an_end_that_has_gone_takes_packets_and_still_gives_what_it_sent() {
        let (mut a, mut b) = Link::pair(1500);
        send(&mut b, &[&[1]]).unwrap();
        drop(b);
        send(&mut a, &[&[2]]).unwrap();
        assert_eq!(a.dropped(), 1);
        assert_eq!(receive(&mut a, 9), [vec![1]]);
        assert!(!is_readable(&a), "an end that has gone is no event");
    }

    #[test]
    fn an_unplugged_cable_is_an_error_at_both_ends() {
        let (mut a, mut b) = Link::pair(1500);
        send(&mut b, &[&[1]]).unwrap();
        b.unplug();
        b.unplug();
        for end in [&mut a, &mut b] {
            assert!(is_readable(end), "an event loop must notice");
            let error = send(end, &[&[1]]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
            let error = end.receive_burst(Instant::ZERO, &mut VecDeque::new(), 1);
            assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
            assert!(is_readable(end), "and keep noticing");
        }
    }
}
