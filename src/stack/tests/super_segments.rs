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
