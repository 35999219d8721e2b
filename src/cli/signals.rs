//! SIGINT, SIGTERM and SIGHUP.

use std::fs;
use std::future::pending;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::Net;

/// How long giving the device up may take once somebody asks again to end.
const GRACE: Duration = Duration::from_secs(1);

/// The signals that ask a program to end, be it because its terminal has gone.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if whoever started us wants it to change nothing, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    /// From now on none ends the program by itself.
    pub(super) fn new() -> Result<Self, Failure> {
        let catch = |kind| {
            signal(kind)
                .map_err(|error| Failure::runtime(format_args!("cannot catch signals: {error}")))
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: (!is_ignored(SignalKind::hangup()))
                .then(|| catch(SignalKind::hangup()))
                .transpose()?,
        })
    }

    /// Waits for the next one. Cancel safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = heard(self.hangup.as_mut()) => {}
        }
    }

    /// Runs `work` on `net`, or fails when a signal comes first. One that comes later, while
    /// connections close, ends the program.
    pub(super) async fn or<T>(
        mut self,
        net: &Net,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = self.next() => Err(Failure::runtime("interrupted")),
        };
        self.end_at_next(net);
        outcome
    }

    /// The next one ends the program at once: whoever asks again wants no grace. Only the device is
    /// given up as it should be: one that others made would keep what we agreed on with it.
    pub(super) fn end_at_next(mut self, net: &Net) {
        let net = net.clone();
        tokio::spawn(async move {
            self.next().await;
            // A shard that stands in a call, as a write of its capture to a pipe, keeps nobody.
            let abandons = tokio::task::spawn_blocking(move || net.abandon());
            let _ = tokio::time::timeout(GRACE, abandons).await;
            std::process::exit(1);
        });
    }
}

/// Waits for a signal that may be none of ours.
async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// Whether a signal is ignored, by what proc(5) says of us.
fn is_ignored(kind: SignalKind) -> bool {
    ignores(&fs::read_to_string("/proc/self/status").unwrap_or_default(), kind)
}

/// Whether a process ignores a signal of which the kernel says `status`.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or(0) >> (kind.as_raw_value() - 1) & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // By the runtime of Rust; what else is depends on who has started us.
        assert!(is_ignored(SignalKind::pipe()));
        let status = "Name:\twharf\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\n";
        for (kind, expected) in [
            (SignalKind::hangup(), true),
            (SignalKind::interrupt(), false),
            (SignalKind::pipe(), true),
            (SignalKind::alarm(), false),
        ] {
            assert_eq!(ignores(status, kind), expected, "{kind:?}");
        }
        assert!(!ignores("", SignalKind::hangup()), "nothing is known");
    }
}
