//! Every `unsafe` of this folder: waiting, wake-up and timer descriptors, and true randomness.
#![expect(unsafe_code, reason = "these system calls have no safe form in std")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

#[cfg(feature = "tokio")]
use tokio::io::{Interest, unix::AsyncFd};

use crate::time::Duration;

/// Waits until one of `fds` is readable, or for at most `timeout` (for ever if `None`), with the
/// resolution of nanoseconds; says of each one whether it is. A signal ends the wait early.
///
/// A descriptor that is broken counts as readable: reading it tells why.
pub(crate) fn wait_readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled =
        fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let limit = timeout.map(timespec);
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = libc::nfds_t::try_from(N).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `polled` holds `count` entries and `limit` is null or points to a timespec; both
    // outlive the call, which keeps neither. A null signal mask means to leave the mask alone.
    let found = unsafe { libc::ppoll(polled.as_mut_ptr(), count, limit, std::ptr::null()) };
    if found < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([false; N]);
    }
    Ok(polled.map(|entry| entry.revents != 0))
}

/// A descriptor that polls readable once it has been rung, until it is cleared.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    /// One that has not been rung.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes two numbers; what it returns is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        own(fd).map(Self)
    }

    /// Makes it readable. Ringing often is as ringing once.
    pub(crate) fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: `one` is eight readable octets. The only error that can come is EAGAIN, when
        // the counter is full; then the descriptor is readable already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable.
    pub(crate) fn clear(&self) {
        drain(self.0.as_fd());
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets the runtime of this thread watch whether `fd` is readable, or broken.
#[cfg(feature = "tokio")]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let interest = Interest::READABLE.add(Interest::ERROR);
    // SAFETY: an `OwnedFd` is open, and what `AsyncFd` owns nobody else can close or replace.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(io::Error::from)
}

/// A descriptor that polls readable when a time has passed; exact where tokio's own timers tick
/// in milliseconds.
#[cfg(feature = "tokio")]
pub(crate) fn timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: the call takes two numbers; what it returns is checked before it is owned.
    own(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
}

/// Makes `timer` run out once, `wait` from now. An expiry that nobody has cleared is forgotten.
#[cfg(feature = "tokio")]
pub(crate) fn set_timer(timer: BorrowedFd<'_>, wait: Duration) -> io::Result<()> {
    let setting = libc::itimerspec {
        it_interval: timespec(Duration::ZERO),
        // Zero would disarm the timer, and means "at once" here.
        it_value: timespec(wait.max(Duration::from_nanos(1))),
    };
    let fd = timer.as_raw_fd();
    // SAFETY: `setting` outlives the call; a null old value means that nobody asks for it.
    let result = unsafe { libc::timerfd_settime(fd, 0, &raw const setting, std::ptr::null_mut()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Fills `octets` from the system's generator, which waits until it is seeded.
pub(crate) fn fill_random(octets: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < octets.len() {
        let rest = &mut octets[filled..];
        // SAFETY: `rest` is writable for its whole length.
        let len = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(len) {
            Ok(len) => filled += len,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

/// Reads the counter of an eventfd or a timerfd, which sets it back to zero.
pub(crate) fn drain(fd: BorrowedFd<'_>) {
    let mut count = [0u8; 8];
    // SAFETY: `count` is eight writable octets. EAGAIN, the only error that can come, says that
    // there was nothing to clear.
    unsafe { libc::read(fd.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
}

/// Owns a descriptor that a system call has just made, or tells its error.
fn own(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, and nobody else has seen it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// As the system calls take a time; one beyond their range becomes their longest.
fn timespec(wait: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: wait.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_heard_until_it_is_cleared() {
        let bell = EventFd::new().unwrap();
        let hear = || wait_readable([bell.as_fd()], Some(Duration::ZERO)).unwrap()[0];
        assert!(!hear());
        bell.ring();
        bell.ring();
        assert!(hear() && hear());
        bell.clear();
        assert!(!hear());
        bell.clear(); // Does not block.
    }

    #[test]
    fn a_wait_ends_no_earlier_than_its_timeout() {
        let bell = EventFd::new().unwrap();
        let clock = crate::runtime::clock::Clock::new();
        for wait in [0, 1, 999_999, 3_000_000].map(Duration::from_nanos) {
            let start = clock.now();
            assert_eq!(wait_readable([bell.as_fd()], Some(wait)).unwrap(), [false]);
            assert!(clock.now() - start >= wait, "{wait:?}");
        }
    }

    #[test]
    fn two_draws_of_256_bits_differ() {
        let mut draws = [[0; 32]; 2];
        for draw in &mut draws {
            fill_random(draw).unwrap();
        }
        assert_ne!(draws[0], draws[1]);
        fill_random(&mut []).unwrap();
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_timer_of_zero_runs_out_at_once_and_setting_it_anew_forgets_that() {
        let timer = timer().unwrap();
        let limit = Some(Duration::from_secs(5));
        set_timer(timer.as_fd(), Duration::ZERO).unwrap();
        assert_eq!(wait_readable([timer.as_fd()], limit).unwrap(), [true]);
        drain(timer.as_fd());
        set_timer(timer.as_fd(), Duration::from_nanos(1)).unwrap();
        assert_eq!(wait_readable([timer.as_fd()], limit).unwrap(), [true]);
        set_timer(timer.as_fd(), Duration::MAX).unwrap();
        let limit = Some(Duration::from_millis(5));
        assert_eq!(wait_readable([timer.as_fd()], limit).unwrap(), [false]);
    }
}
