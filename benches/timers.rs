//! The timer wheel with as many timers as connections.

use divan::{AllocProfiler, Bencher};
use wharf::Duration;
use wharf::sim::probe::Timers;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const COUNTS: [usize; 3] = [64, 10_000, 1_000_000];

/// A timer is put off: what each acknowledgment does with the retransmission timer.
#[divan::bench(args = COUNTS)]
fn put_off(bencher: Bencher<'_, '_>, count: usize) {
    let mut timers = Timers::new(count);
    bencher.bench_local(|| timers.put_off(Duration::from_millis(200)));
}

/// A timer is taken away and set anew.
#[divan::bench(args = COUNTS)]
fn set_anew(bencher: Bencher<'_, '_>, count: usize) {
    let mut timers = Timers::new(count);
    bencher.bench_local(|| timers.set_anew());
}

/// The earliest of all comes up, wherever time must go for it, and is set anew.
#[divan::bench(args = COUNTS)]
fn expire(bencher: Bencher<'_, '_>, count: usize) {
    let mut timers = Timers::new(count);
    bencher.bench_local(|| timers.expire(Duration::from_secs(10)));
}
