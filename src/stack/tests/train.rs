//! What a stack does with bursts is what it does with their packets.

use std::num::NonZeroU16;

use super::super::tests::Pair;
use super::*;
use crate::observe::Counters;
use crate::packet::Outgoing;
use crate::rng::{Rng, Seed};
use crate::stack::{Shutdown, SocketId};
use crate::time::Duration;

/// A client, and two servers that are alike: one is given what arrives packet by packet, the other
/// burst by burst.
struct World {
    pair: Pair,
    single: SocketId,
    twin: Stack,
    whole: SocketId,
    socket: SocketId,
    counted: [Counters; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::new(seed);
        let mut twins = Pair::new(seed);
        let (socket, single) = pair.connect();
        let (_, whole) = twins.connect();
        let counted = [Counters::default(), Counters::default()];
        Self { pair, single, twin: twins.server, whole, socket, counted }
    }

    /// One burst arrives at both servers, which must then say and read the same. Gives what they
    /// have read.
    fn arrive(&mut self, burst: &[Frame]) -> Vec<u8> {
        let now = self.pair.now;
        for frame in burst {
            self.pair.server.receive(now, frame.clone(), &mut self.counted[0]);
        }
        let mut burst = burst.iter().cloned().collect();
        self.twin.receive_burst(now, &mut burst, &mut self.counted[1]);
        assert!(burst.is_empty());
        let (mut octets, mut same) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        let read = self.pair.server.read(now, self.single, &mut octets);
        assert_eq!(self.twin.read(now, self.whole, &mut same), read);
        octets.truncate(read.unwrap_or(0));
        assert!(octets == same[..octets.len()], "other octets");
        loop {
            let answer = self.pair.server.transmit(now, &mut self.counted[0]);
            let twin = self.twin.transmit(now, &mut self.counted[1]);
            assert_eq!(
                twin.as_ref().map(Outgoing::to_frame).map(Frame::into_bytes),
                answer.as_ref().map(Outgoing::to_frame).map(Frame::into_bytes)
            );
            let Some(answer) = answer else { break };
            self.pair.client.receive(now, answer.to_frame(), &mut ());
        }
        self.pair.server.check();
        self.twin.check();
        let [one, other] = &self.counted;
        assert_eq!(one.list().map(|c| c.value), other.list().map(|c| c.value));
        for &reason in DropReason::ALL {
            assert_eq!(one.dropped(reason), other.dropped(reason), "{reason:?}");
        }
        let [one, other] = [(&self.pair.server, self.single), (&self.twin, self.whole)]
            .map(|(stack, id)| stack.info(id))
            .map(|info| info.map(|info| (info.segments_received, info.data_segments_received)));
        assert_eq!(one, other);
        octets
    }

    /// What the client has to send now.
    fn departures(&mut self) -> Vec<Frame> {
        let (client, now) = (&mut self.pair.client, self.pair.now);
        std::iter::from_fn(|| client.transmit(now, &mut ())).map(|p| p.to_frame()).collect()
    }

    fn pass(&mut self, time: Duration) {
        self.pair.now += time;
        let now = self.pair.now;
        for stack in [&mut self.pair.client, &mut self.pair.server, &mut self.twin] {
            if stack.next_timeout().is_some_and(|due| due <= now) {
                stack.on_timeout(now, &mut ());
            }
        }
    }
}

/// Loses, repeats, exchanges and spoils packets of a burst, one in `rarity` each.
fn worsen(burst: &mut Vec<Frame>, rarity: u64, rng: &mut Rng) {
    for index in (0..burst.len()).rev() {
        match rng.below(rarity * 4) {
            0 => drop(burst.remove(index)),
            1 => burst.insert(index, burst[index].clone()),
            2 => burst.swap(index, 0),
            3 => {
                let mut octets = burst[index].octets().to_vec();
                let at = usize::try_from(rng.below(octets.len() as u64)).unwrap();
                octets[at] ^= 0x10;
                burst[index] = Frame::new(octets);
            }
            _ => {}
        }
    }
}

#[test]
fn a_burst_is_read_and_answered_as_its_packets_are() {
    for (seed, rarity) in (0..24).zip([3, 10, 50, u64::MAX >> 3].into_iter().cycle()) {
        let mut world = World::new(seed);
        let mut rng = Rng::new(&Seed::from_number(seed));
        let text: Vec<u8> = (0..400_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let (mut written, mut read) = (0, Vec::new());
        for _ in 0..4000 {
            let most = text.len().min(written + 1 + usize::try_from(rng.below(60_000)).unwrap());
            let piece = &text[written..most];
            let now = world.pair.now;
            if written < text.len() {
                written += world.pair.client.write(now, world.socket, piece).unwrap_or(0);
            } else {
                let _ = world.pair.client.shutdown(now, world.socket, Shutdown::Write);
            }
            let mut burst = world.departures();
            worsen(&mut burst, rarity, &mut rng);
            read.extend(world.arrive(&burst));
            if read.len() == text.len() && world.departures().is_empty() {
                break;
            }
            world.pass(Duration::from_millis(1 + rng.below(20)));
        }
        assert!(read == text, "seed {seed}: {} octets of {}", read.len(), text.len());
        assert!(world.twin.joined.is_in_use(), "seed {seed}: no train was taken whole");
        assert!(!world.pair.server.joined.is_in_use());
    }
}

#[test]
fn a_super_segment_is_no_part_of_a_train_though_its_headers_are_those_of_the_first() {
    let mut world = World::new(1);
    let now = world.pair.now;
    world.pair.client.write(now, world.socket, &[7; 2800]).unwrap();
    let mut burst = world.departures();
    let whole = burst.pop().unwrap();
    let offload = Offload { checksum: Checksum::Complete, segment: NonZeroU16::new(400) };
    burst.push(Frame::with_offload(whole.into_bytes(), offload));
    assert_eq!(world.arrive(&burst), [7; 2800]);
    let info = world.twin.info(world.whole).unwrap();
    assert!(info.data_segments_received > 4, "{} segments", info.data_segments_received);
}

/// The same packet with these octets from `at` on; the device has checked what it was before.
fn altered(frame: &Frame, at: usize, by: impl Fn(u32) -> u32) -> Frame {
    let mut octets = frame.octets().to_vec();
    let field: &mut [u8; 4] = octets[at..].first_chunk_mut().unwrap();
    *field = by(u32::from_be_bytes(*field)).to_be_bytes();
    let offload = Offload { checksum: Checksum::Verified, segment: None };
    Frame::with_offload(octets, offload)
}

/// Offsets in a packet whose first option is the timestamp, behind two NOPs.
const ACK: usize = 28;
const TSVAL: usize = 44;

/// Of such segments each is refused by itself, and counted.
#[test]
fn segments_that_are_refused_are_no_train() {
    let minus = u32::wrapping_neg;
    for (field, by) in [(ACK, 1 << 20), (ACK, minus(1 << 20)), (TSVAL, minus(6))] {
        let mut world = World::new(3);
        world.pass(Duration::from_millis(5));
        world.pair.client.write(world.pair.now, world.socket, b"a").unwrap();
        let first = world.departures();
        assert_eq!(world.arrive(&first), b"a");
        world.pass(Duration::from_millis(5));
        world.pair.client.write(world.pair.now, world.socket, &[7; 4000]).unwrap();
        let burst = world.departures();
        let spoilt = |frame| altered(frame, field, |value| value.wrapping_add(by));
        let spoilt: Vec<_> = burst.iter().map(spoilt).collect();
        assert_eq!(world.arrive(&spoilt), b"");
        assert!(world.twin.joined.is_in_use(), "they were not coupled at all");
        assert_eq!(world.arrive(&burst), [7; 4000]);
    }
}

/// SHLD-3: the first of them resets the connection, and the others find none.
#[test]
fn text_for_a_socket_that_is_closed_is_no_train() {
    let mut world = World::new(4);
    let now = world.pair.now;
    world.pair.server.close(now, world.single);
    world.twin.close(now, world.whole);
    world.pair.client.write(now, world.socket, &[7; 4000]).unwrap();
    let burst = world.departures();
    assert!(burst.len() > 1);
    world.arrive(&burst);
    assert!(world.twin.joined.is_in_use(), "they were not coupled at all");
}
