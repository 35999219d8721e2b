//! A bad line in front of any device: loses, delays, reorders, doubles and damages packets.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::BorrowedFd;

use super::impairment::Impairment;
use super::offload::{carry_out, carry_out_arrived};
use super::{Capabilities, Device};
use crate::packet::{Frame, Outgoing};
use crate::rng::{Rng, Seed};
use crate::time::{Duration, Instant};
use crate::wire::Steering;

/// Packets that one direction holds at most, whatever its delay; one more is lost.
const HELD_MAX: usize = 1 << 16;

/// Octets of them at most: what so many packets of an Ethernet's size come to, more than twice
/// over. Those of the largest MTU would come to 4 GiB.
const HELD_OCTETS_MAX: usize = 256 << 20;

/// How long a packet is held that is to be overtaken on a line without delay.
const OVERTAKEN_AFTER: Duration = Duration::from_millis(1);

/// A device behind a bad line.
///
/// What happens follows from the settings with their seed, the packets and the times of the
/// calls, and from nothing else; the two directions do not influence each other. Packets that are
/// held when the device is dropped are lost. Each packet meets its own fate: super-segments are
/// split before.
///
/// A [`Capture`](super::Capture) around it shows what the stack sent and what reached it; one
/// inside of it (`Impair::new(Capture…)`) shows what passed the device itself.
///
/// # Examples
///
/// ```
/// use wharf::{Impair, Link};
///
/// let (near, _far) = Link::pair(1500);
/// let line = Impair::new(near, "loss=3%,delay=20ms,jitter=5ms,seed=7".parse()?);
/// assert_eq!(line.outgoing().packets, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Impair<D> {
    device: D,
    outgoing: Line<Outgoing>,
    incoming: Line<Frame>,
    /// On the way from the device to `incoming`, and from `outgoing` to the device; empty between
    /// calls.
    arrived: VecDeque<Frame>,
    leaving: VecDeque<Outgoing>,
    /// The device gave as many packets as it was asked for, so there may be more of them.
    may_have_more: bool,
}

/// What a direction did to its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Packets that came to the line.
    pub packets: u64,
    /// Those that were lost at once.
    pub lost: u64,
    /// Those that were longer than the line's MTU.
    pub too_long: u64,
    /// Those that found a queue full, copies included.
    pub overflowed: u64,
    /// Those that were doubled.
    pub duplicated: u64,
    /// Those of which a bit was flipped, copies included.
    pub corrupted: u64,
    /// Those that left their place in the order, copies included.
    pub reordered: u64,
}

impl<D> Impair<D> {
    /// `device` behind a line with these faults in each direction.
    pub fn new(device: D, settings: Impairment) -> Self {
        let mut rng = Rng::new(&Seed::from_number(settings.seed));
        Self {
            device,
            outgoing: Line::new(settings, &rng.seed()),
            incoming: Line::new(settings, &rng.seed()),
            arrived: VecDeque::new(),
            leaving: VecDeque::new(),
            may_have_more: false,
        }
    }

    /// What has been done to transmitted packets.
    pub fn outgoing(&self) -> Statistics {
        self.outgoing.statistics
    }

    /// What has been done to packets on their way to us.
    pub fn incoming(&self) -> Statistics {
        self.incoming.statistics
    }
}

impl<D: Device> Device for Impair<D> {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        if max == 0 {
            return Ok(0);
        }
        let count = self.device.receive_burst(now, &mut self.arrived, max)?;
        self.may_have_more = count == max;
        while let Some(frame) = self.arrived.pop_front() {
            carry_out_arrived(frame, |frame| self.incoming.accept(now, frame));
        }
        Ok(self.incoming.release(now, into, max))
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        for packet in packets.drain(..) {
            carry_out(packet, |packet| self.outgoing.accept(now, packet));
        }
        self.outgoing.release(now, &mut self.leaving, usize::MAX);
        self.device.transmit_burst(now, &mut self.leaving)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.device.fd()
    }

    fn steer(&mut self, steering: &Steering) -> bool {
        self.device.steer(steering)
    }

    /// A moment in the past says that there is something to do at once: a caller that got fewer
    /// packets than it asked for may not look at [`Device::fd`] again before it changes, yet
    /// packets may still wait there, behind those that are held here.
    fn deadline(&self) -> Option<Instant> {
        if self.may_have_more {
            return Some(Instant::ZERO);
        }
        let held = [self.outgoing.deadline(), self.incoming.deadline()];
        let all = held.into_iter().chain([self.device.deadline()]);
        all.flatten().min()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

/// What a [`Line`] does with a packet of either kind.
trait Carried: Clone {
    /// Octets of the packet.
    fn octets(&self) -> usize;
    /// Flips the bit `bit`, counted from the first octet's lowest; there is none beyond the end.
    fn flip(&mut self, bit: usize);
}

impl Carried for Frame {
    fn octets(&self) -> usize {
        Frame::octets(self).len()
    }

    fn flip(&mut self, bit: usize) {
        *self = Self::new(flipped(Frame::octets(self), bit));
    }
}

impl Carried for Outgoing {
    fn octets(&self) -> usize {
        self.len()
    }

    /// The payload is the send buffer's, and so is copied first: what is sent again must be whole.
    fn flip(&mut self, bit: usize) {
        let Some(mut bit_left) = bit.checked_sub(self.head.len() * 8) else {
            let head = flipped(&self.head, bit);
            self.head.clear();
            self.head.extend(head);
            return;
        };
        for slice in &mut self.payload {
            let bits = slice.len() * 8;
            if bit_left < bits {
                *slice = flipped(slice, bit_left).into();
                return;
            }
            bit_left -= bits;
        }
    }
}

/// A copy of `octets` with one bit flipped.
fn flipped(octets: &[u8], bit: usize) -> Vec<u8> {
    let mut octets = octets.to_vec();
    if let Some(octet) = octets.get_mut(bit / 8) {
        *octet ^= 1 << (bit % 8);
    }
    octets
}

/// One direction: loss and damage, then the queue of `rate`, then `delay`.
#[derive(Debug)]
struct Line<P> {
    settings: Impairment,
    rng: Rng,
    /// Whether the line is in the bad state of [`Burst`](super::Burst).
    is_bad: bool,
    /// When each packet that waits for `rate` will have been sent, in order.
    sending: VecDeque<Instant>,
    /// Nothing in order arrives before this, since something before it does not either.
    in_order_from: Instant,
    /// What is under way, by the time of its arrival, and then by its place in the order.
    held: BTreeMap<(Instant, u64), P>,
    held_octets: usize,
    next_place: u64,
    statistics: Statistics,
}

impl<P: Carried> Line<P> {
    fn new(settings: Impairment, seed: &Seed) -> Self {
        Self {
            settings,
            rng: Rng::new(seed),
            is_bad: false,
            sending: VecDeque::new(),
            in_order_from: Instant::ZERO,
            held: BTreeMap::new(),
            held_octets: 0,
            next_place: 0,
            statistics: Statistics::default(),
        }
    }

    /// Takes a packet in.
    fn accept(&mut self, now: Instant, packet: P) {
        self.statistics.packets += 1;
        let mtu = self.settings.mtu.map(NonZeroU32::get).and_then(|mtu| usize::try_from(mtu).ok());
        if mtu.is_some_and(|mtu| packet.octets() > mtu) {
            self.statistics.too_long += 1;
        } else if self.loses_next() {
            self.statistics.lost += 1;
        } else if self.settings.duplicate.happens(&mut self.rng) {
            self.statistics.duplicated += 1;
            self.carry(now, packet.clone());
            self.carry(now, packet);
        } else {
            self.carry(now, packet);
        }
    }

    fn loses_next(&mut self) -> bool {
        let Some(burst) = self.settings.burst else {
            return self.settings.loss.happens(&mut self.rng);
        };
        let change = if self.is_bad { burst.leave } else { burst.enter };
        self.is_bad ^= change.happens(&mut self.rng);
        let loss = if self.is_bad { burst.loss } else { self.settings.loss };
        loss.happens(&mut self.rng)
    }

    fn carry(&mut self, now: Instant, mut packet: P) {
        if self.settings.corrupt.happens(&mut self.rng) {
            let bits = u64::try_from(packet.octets() * 8).unwrap_or(u64::MAX);
            let bit = self.rng.below(bits);
            packet.flip(usize::try_from(bit).unwrap_or(usize::MAX));
            self.statistics.corrupted += 1;
        }
        let octets = packet.octets();
        let has_room = self.held.len() < HELD_MAX && self.held_octets + octets <= HELD_OCTETS_MAX;
        let Some(sent_at) = has_room.then(|| self.send(now, octets)).flatten() else {
            self.statistics.overflowed += 1;
            return;
        };
        let arrival = self.arrival(sent_at);
        self.held.insert((arrival, self.next_place), packet);
        self.held_octets += octets;
        self.next_place += 1;
    }

    /// When the last bit of a packet of so many octets leaves; `None` if the queue is full.
    fn send(&mut self, now: Instant, octets: usize) -> Option<Instant> {
        let Some(rate) = self.settings.rate else {
            return Some(now);
        };
        while self.sending.front().is_some_and(|&sent_at| sent_at <= now) {
            self.sending.pop_front();
        }
        if self.sending.len() >= self.settings.queue.get() {
            return None;
        }
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        let nanos = u128::from(octets) * 8_000_000_000 / u128::from(rate.get());
        let start = self.sending.back().copied().unwrap_or(now);
        let sent_at = start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.sending.push_back(sent_at);
        Some(sent_at)
    }

    /// When a packet arrives that was sent at `sent_at`.
    fn arrival(&mut self, sent_at: Instant) -> Instant {
        let Impairment { delay, jitter, .. } = self.settings;
        if self.settings.reorder.happens(&mut self.rng) {
            self.statistics.reordered += 1;
            let has_delay = !delay.is_zero() || !jitter.is_zero();
            return sent_at + if has_delay { Duration::ZERO } else { OVERTAKEN_AFTER };
        }
        let width = u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX);
        let above_least =
            if width == 0 { 0 } else { self.rng.below(width.saturating_mul(2).saturating_add(1)) };
        let wait_and_jitter = delay.saturating_add(Duration::from_nanos(above_least));
        let arrival = sent_at + wait_and_jitter.saturating_sub(jitter);
        self.in_order_from = self.in_order_from.max(arrival);
        self.in_order_from
    }

    /// Moves what has arrived by `now` to `into`, at most `max` packets.
    fn release(&mut self, now: Instant, into: &mut VecDeque<P>, max: usize) -> usize {
        let mut count = 0;
        while count < max
            && let Some(first) = self.held.first_entry()
            && first.key().0 <= now
        {
            let packet = first.remove();
            self.held_octets -= packet.octets();
            into.push_back(packet);
            count += 1;
        }
        count
    }

    fn deadline(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(&(arrival, _), _)| arrival)
    }
}

#[cfg(test)]
#[path = "tests/impair.rs"]
mod tests;
