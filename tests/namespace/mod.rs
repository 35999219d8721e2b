//! A network namespace with a TUN device, for a test that runs once more inside of it.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// The flags by which `unshare` makes one with the privilege that there is. Where there can be
/// none, `None`, and a line that says that `test` is skipped.
pub(crate) fn flags_for(test: &str) -> Option<&'static str> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let flags = if is_root { "-n" } else { "-Urn" };
    let possible = Command::new("unshare").args([flags, "test", "-w", "/dev/net/tun"]).status();
    if possible.is_ok_and(|status| status.success()) {
        return Some(flags);
    }
    println!("skip {test} (no network namespace with a TUN device here)");
    None
}

/// Shows what the test has printed inside. It is counted once, outside.
pub(crate) fn show(told: &str) {
    for line in told.lines().filter(|line| !line.starts_with("test result")) {
        println!("{line}");
    }
}
