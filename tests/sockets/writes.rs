//! What a blocking write comes to: all of it, as of a kernel's socket, unless something ends it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use wharf::net::TcpStream;

use crate::support::{errno, limited, pattern, read_exactly};

/// More than the buffers of both ends hold.
const LONG: usize = 2_000_000;

/// Until the writer waits.
const MOMENT: Duration = Duration::from_millis(50);

fn write(mut stream: &TcpStream, octets: &[u8]) -> io::Result<usize> {
    stream.write(octets)
}

#[test]
fn a_blocking_write_takes_all_that_it_is_given() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let octets = pattern(LONG);
        thread::scope(|scope| {
            let writing = scope.spawn(|| write(&near, &octets));
            assert!(read_exactly(&far, LONG) == octets);
            assert_eq!(writing.join().unwrap().unwrap(), LONG);

            let cut = [0, 1, 1, 700_000, LONG];
            let slices = cut.windows(2).map(|ends| IoSlice::new(&octets[ends[0]..ends[1]]));
            let slices: Vec<_> = slices.collect();
            let mut near = &near;
            let writing = scope.spawn(move || near.write_vectored(&slices));
            assert!(read_exactly(&far, LONG) == octets);
            assert_eq!(writing.join().unwrap().unwrap(), LONG);
        });
    });
}

#[test]
fn a_write_that_may_not_wait_so_long_says_how_much_it_has_taken() {
    limited(|| {
        for is_nonblocking in [false, true] {
            let pair = super::pair();
            let (near, far) = pair.connect();
            near.set_write_timeout(Some(MOMENT)).unwrap();
            near.set_nonblocking(is_nonblocking).unwrap();
            let octets = pattern(LONG);
            let mut taken = write(&near, &octets).unwrap();
            assert!((1..LONG).contains(&taken), "{taken}");
            while let Ok(more) = write(&near, &octets[taken..]) {
                taken += more; // An acknowledgment was on its way.
            }
            assert!(read_exactly(&far, taken) == octets[..taken]);
        }
    });
}

#[test]
fn a_write_that_a_reset_ends_says_how_much_it_has_taken_and_the_next_one_why() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let octets = pattern(LONG);
        thread::scope(|scope| {
            let writing = scope.spawn(|| write(&near, &octets));
            read_exactly(&far, 1); // The writer has begun.
            thread::sleep(MOMENT);
            far.set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
            let taken = writing.join().unwrap().unwrap();
            assert!((1..LONG).contains(&taken), "{taken}");
        });
        assert_eq!(errno(write(&near, b"x")), Some(libc::ECONNRESET));
        assert_eq!(errno(write(&near, b"x")), Some(libc::EPIPE));
    });
}

#[test]
fn a_write_ends_when_another_thread_shuts_the_sending_side() {
    limited(|| {
        let pair = super::pair();
        let (near, mut far) = pair.connect();
        let octets = pattern(LONG);
        let taken = thread::scope(|scope| {
            let writing = scope.spawn(|| write(&near, &octets));
            assert_eq!(read_exactly(&far, 1), octets[..1]); // The writer has begun.
            thread::sleep(MOMENT);
            near.shutdown(Shutdown::Write).unwrap();
            writing.join().unwrap().unwrap()
        });
        assert!((1..LONG).contains(&taken), "{taken}");
        assert_eq!(errno(write(&near, b"x")), Some(libc::EPIPE));
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert!(got == octets[1..taken]);
    });
}
