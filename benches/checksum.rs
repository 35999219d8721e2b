//! The Internet checksum over one segment's octets.

use divan::Bencher;
use divan::counter::BytesCount;
use wharf::sim::probe;

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
