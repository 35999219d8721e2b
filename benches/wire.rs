//! Octets to values and back: the Internet checksum, the headers of a segment with timestamps, and
//! whose it is.

use std::num::NonZeroU16;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use wharf::sim::probe;
use wharf::{Seed, Steering};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = [20, 40, 536, 1448, 1460, 65_535])]
fn checksum(bencher: Bencher<'_, '_>, len: usize) {
    let octets: Vec<_> = (0..len).map(|n| u8::try_from(n % 251).expect("below 251")).collect();
    bencher.counter(BytesCount::new(len)).bench(|| probe::checksum(divan::black_box(&octets)));
}

/// Reading the headers of a full segment with options, checksum included.
#[divan::bench(args = [0, 1448])]
fn parse(bencher: Bencher<'_, '_>, len: usize) {
    let packet = probe::packet(len);
    bencher.bench(|| assert!(probe::parse(divan::black_box(&packet))));
}

/// Saying which of several shards a segment belongs to.
#[divan::bench]
fn owner(bencher: Bencher<'_, '_>) {
    let steering = Steering::new(const { NonZeroU16::new(4).unwrap() }, &Seed::from_number(1));
    let packet = probe::packet(1448);
    bencher.bench(|| divan::black_box(&steering).owner(divan::black_box(&packet)));
}

/// Writing them, with the checksum over what the application wrote, or with a partial one for the
/// device to complete.
#[divan::bench(args = [(0, false), (1448, false), (1448, true), (65_000, true)])]
fn emit(bencher: Bencher<'_, '_>, (len, is_partial): (usize, bool)) {
    let emitter = probe::Emitter::new(len, is_partial);
    bencher.bench(|| divan::black_box(&emitter).emit());
}
