//! A device that splits changes how often a packet is made, and not what travels.

use super::tests::Pair;
use super::*;
use crate::device::carry_out;
use crate::time::Duration;

/// Octets of text in a full segment beside timestamps.
const FULL: usize = 1448;

/// A pair whose client makes super-segments of at most `octets`.
fn splitting(seed: u64, octets: u32) -> Pair {
    let mut pair = Pair::new(seed);
    pair.client.config.interface.super_segment = octets;
    pair
}

/// What travels of all that a stack has to send now.
fn departures(stack: &mut Stack, now: Instant) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(packet) = stack.transmit(now, &mut ()) {
        carry_out(packet, |packet| frames.push(packet.to_frame()));
    }
    frames
}

#[test]
fn after_a_rest_no_more_leaves_than_the_window_of_a_beginning() {
    let mut pair = splitting(1, 65_535);
    let (socket, accepted) = pair.connect();
    for _ in 0..8 {
        pair.client.write(pair.now, socket, &vec![7; 40 * FULL]).unwrap();
        pair.exchange();
        while pair.server.read(pair.now, accepted, &mut [0; 9999]).is_ok() {}
        pair.exchange();
    }
    assert!(pair.client.info(socket).unwrap().cwnd > 40 * 1448);
    pair.wait(Duration::from_secs(10));
    pair.client.write(pair.now, socket, &vec![7; 40 * FULL]).unwrap();
    assert_eq!(departures(&mut pair.client, pair.now).len(), 10);
}

#[test]
fn the_small_end_of_a_super_segment_tells_nothing_of_a_black_hole() {
    let mut pair = splitting(2, 65_535);
    let (socket, _) = pair.connect();
    pair.client.write(pair.now, socket, &[7; 4 * FULL + 300]).unwrap();
    let mut frames = departures(&mut pair.client, pair.now);
    let end = frames.pop().unwrap();
    assert_eq!((frames.len(), end.octets().len()), (4, 52 + 300));
    for frame in frames {
        pair.server.receive(pair.now, frame, &mut ());
    }
    for answer in departures(&mut pair.server, pair.now) {
        pair.client.receive(pair.now, answer, &mut ());
    }
    for _ in 0..5 {
        pair.now = pair.client.next_timeout_exact().unwrap();
        pair.client.on_timeout(pair.now, &mut ());
        assert_eq!(departures(&mut pair.client, pair.now).len(), 1);
    }
    let info = pair.client.info(socket).unwrap();
    assert_eq!((info.backoff, info.send_mss), (5, 1448), "nothing large is outstanding");
}

/// Two clients that are alike but for what they leave to the device, and a peer that sees one.
struct Twins {
    now: Instant,
    one: (Stack, SocketId),
    other: (Stack, SocketId),
}

impl Twins {
    /// Makes a call of both, which must come to the same.
    fn call<T: PartialEq + std::fmt::Debug>(
        &mut self,
        call: impl Fn(&mut Stack, Instant, SocketId) -> T,
    ) {
        let (one, other) = (&mut self.one, &mut self.other);
        assert_eq!(call(&mut one.0, self.now, one.1), call(&mut other.0, self.now, other.1));
    }

    /// Something that an application may do.
    fn act(&mut self, rng: &mut Rng) {
        let most = if rng.below(2) == 0 { 60_000 } else { 3000 };
        let text = bytes::Bytes::from(vec![7; usize::try_from(rng.below(most)).unwrap()]);
        let mark = u32::try_from(rng.below(5000)).ok().filter(|&mark| mark > 0);
        match rng.below(48) {
            0 => self.call(|stack, now, id| stack.write_urgent(now, id, &text)),
            1..8 => self.call(|stack, now, id| stack.write_bytes(now, id, &text)),
            8..32 => self.call(|stack, now, id| stack.write(now, id, &text)),
            32..40 => self.call(|stack, now, id| stack.read(now, id, &mut vec![0; 50_000])),
            40 => self.call(|stack, now, id| stack.shutdown(now, id, Shutdown::Write)),
            choice => self.call(|stack, _, id| {
                let mut options = stack.options(id).unwrap();
                match choice {
                    41..44 => options.cork = !options.cork,
                    44..46 => options.nodelay = !options.nodelay,
                    46 => options.notsent_lowat = mark,
                    _ => options.send_buffer = mark.unwrap_or(1 << 18),
                }
                stack.set_options(id, options)
            }),
        }
    }

    /// What travels, which must be the same but for what identifies a packet of IP.
    fn departures(&mut self) -> Vec<Frame> {
        let frames = departures(&mut self.one.0, self.now);
        let same = departures(&mut self.other.0, self.now);
        let told = |frames: &[Frame]| -> Vec<Vec<u8>> {
            let of_one = |frame: &Frame| [&frame.octets()[..4], &frame.octets()[12..]].concat();
            frames.iter().map(of_one).collect()
        };
        assert_eq!(frames.len(), same.len());
        assert!(told(&frames) == told(&same));
        self.call(|stack, _, id| stack.readiness(id));
        self.call(|stack, _, id| format!("{:?}", stack.info(id)));
        self.call(|stack, _, _| stack.next_timeout_exact());
        self.call(|stack, _, _| stack.check());
        frames
    }
}

#[test]
fn what_leaves_in_super_segments_is_what_would_leave_segment_by_segment() {
    for seed in 0..60 {
        let mut whole =
            splitting(seed, [65_535, 18 << 10, 4000, 3000][usize::try_from(seed % 4).unwrap()]);
        let mut pair = Pair::new(seed);
        let ((socket, accepted), (twin, _)) = (pair.connect(), whole.connect());
        let mut peer = pair.server;
        let mut twins =
            Twins { now: pair.now, one: (pair.client, socket), other: (whole.client, twin) };
        let mut rng = Rng::new(&Seed::from_number(seed));
        let rarity = [3, 20, 200, u64::MAX >> 1][usize::try_from(seed % 4).unwrap()];
        for _ in 0..150 {
            for _ in 0..rng.below(5) {
                twins.act(&mut rng);
            }
            let now = twins.now;
            for frame in twins.departures() {
                if rng.below(rarity) > 0 {
                    peer.receive(now, frame, &mut ());
                }
            }
            let _ = peer.read(
                now,
                accepted,
                &mut vec![0; usize::try_from(rng.below(200_000)).unwrap()],
            );
            if rng.below(4) == 0 {
                let _ = peer.write(now, accepted, &[8; 5000]);
            }
            for answer in departures(&mut peer, now) {
                if rng.below(rarity) > 0 {
                    twins.one.0.receive(now, answer.clone(), &mut ());
                    twins.other.0.receive(now, answer, &mut ());
                }
            }
            twins.now +=
                Duration::from_millis([0, 1, 20, 400][usize::try_from(rng.below(4)).unwrap()]);
            let now = twins.now;
            peer.on_timeout(now, &mut ());
            twins.call(|stack, now, _| stack.on_timeout(now, &mut ()));
        }
    }
}
