//! Giving up what was needed to open a TUN.

use std::io;

use super::sys;

/// One more than the largest number that a set of 64 capabilities has room for.
const CAPABILITY_END: u32 = 64;

/// Gives up all capabilities of this thread for good, and sets `no_new_privs`, so that no program
/// that it runs gains any either.
///
/// An open device goes on working: its reads and writes need no privilege. Root keeps its user
/// number, but none of its powers over files or networks that do not belong to it. An ordinary
/// user loses nothing but the way back. The bounding set is emptied where that is allowed.
///
/// Privileges belong to threads: this thread and those that it starts later are without them,
/// threads that run already keep theirs. So call it after opening devices and files, and before
/// anything starts a thread.
///
/// # Errors
///
/// What the kernel says if it refuses; then some privileges may be left.
pub fn drop_privileges() -> io::Result<()> {
    sys::forbid_new_privileges()?;
    for number in 0..CAPABILITY_END {
        match sys::drop_from_bounding_set(number) {
            Ok(()) => {}
            // The kernel knows no more capabilities, or this thread may not change the set:
            // then `no_new_privs` has to do.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => break,
            Err(error) => return Err(error),
        }
    }
    sys::clear_capabilities()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thread's own view of its privileges, from proc(5).
    fn status(field: &str) -> String {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        line.unwrap().trim().to_owned()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "privileges belong to a thread")]
    fn a_thread_that_dropped_its_privileges_has_none_and_gets_none() {
        let before = status("NoNewPrivs:");
        std::thread::spawn(|| {
            drop_privileges().unwrap();
            let none = "0000000000000000";
            assert_eq!(status("CapEff:"), none);
            assert_eq!(status("CapPrm:"), none);
            assert_eq!(status("CapInh:"), none);
            assert_eq!(status("CapAmb:"), none);
            assert_eq!(status("NoNewPrivs:"), "1");
            // Once more, now without any.
            drop_privileges().unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(status("NoNewPrivs:"), before, "another thread's stay");
    }
}
