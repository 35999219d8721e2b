//! Octets a second, up and down, over one connection or several.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::sys::{secs, would_block, Fd, Meter};
use crate::{round, Cfg, DISCARD, SOURCE};

/// Octets of a read or a write.
const CHUNK: usize = 256 << 10;
/// Octets.
const PAGE: usize = 4096;
/// How much later in its page each read or write begins than the one before.
///
/// `rep movsb`, by which Linux copies on most processors, takes fifteen times as long on some of
/// AMD's (Zen 4) while the target stands 1 to 15 octets behind the source, counted within
/// their pages. With a buffer that stays where it is that distance may be the same for a whole
/// window, by chance, and a window is then two to four times slower than its neighbours whoever the
/// contender is. With this stride it is there for one or two calls of 512.
const STRIDE: usize = 1000;

/// Connections that carry as much as they can, each with a thread.
pub(crate) struct Streams {
    fds: Vec<Arc<Fd>>,
    counts: Vec<Arc<AtomicU64>>,
    threads: Vec<thread::JoinHandle<Result<(), String>>>,
    stop: Arc<AtomicBool>,
    up: bool,
}

impl Streams {
    pub(crate) fn start(cfg: &Cfg, n: usize, up: bool) -> io::Result<Self> {
        let port = if up { DISCARD } else { SOURCE };
        let stop = Arc::new(AtomicBool::new(false));
        let mut all = Self { fds: vec![], counts: vec![], threads: vec![], stop, up };
        for i in 0..n {
            let fd = Fd::connect(cfg.src(i), cfg.addr, port, false)?;
            fd.timeouts(0.3)?;
            all.fds.push(Arc::new(fd));
        }
        for fd in &all.fds {
            let count = Arc::new(AtomicU64::new(0));
            let (fd, stop, counted) = (fd.clone(), all.stop.clone(), count.clone());
            all.counts.push(count);
            all.threads.push(thread::spawn(move || carry(&fd, up, &stop, &counted)));
        }
        Ok(all)
    }

    /// Octets that have got through, and segments that were sent again.
    pub(crate) fn sample(&self) -> (u64, u32) {
        let (mut bytes, mut again) = (0, 0);
        for (fd, count) in self.fds.iter().zip(&self.counts) {
            let (acked, retrans) = fd.tcp_acked();
            bytes += if self.up { acked } else { count.load(Relaxed) };
            again += retrans;
        }
        (bytes, again)
    }

    /// Ends all; returns errors, and how many streams did not end with FIN both ways. A download
    /// ends with the RST that closing a socket with unread data makes.
    pub(crate) fn stop(self) -> (Vec<String>, u32) {
        self.stop.store(true, Relaxed);
        let outcomes = self.threads.into_iter().map(thread::JoinHandle::join);
        let errors = outcomes.filter_map(|r| r.ok()?.err()).collect();
        let mut unclean = 0;
        if !self.up {
            for fd in &self.fds {
                fd.linger_rst();
            }
            return (errors, unclean);
        }
        let end = Instant::now() + secs(3.0);
        for fd in &self.fds {
            fd.shutdown_wr();
        }
        for fd in &self.fds {
            let mut b = [0u8; 64];
            let mut fin = false;
            while Instant::now() < end && !fin {
                fin = matches!(fd.read(&mut b), Ok(0));
            }
            if !fin {
                unclean += 1;
                fd.linger_rst();
            }
        }
        (errors, unclean)
    }
}

fn carry(fd: &Fd, up: bool, stop: &AtomicBool, count: &AtomicU64) -> Result<(), String> {
    let mut room = vec![0u8; CHUNK + PAGE];
    let mut start = 0;
    while !stop.load(Relaxed) {
        let buf = &mut room[start..start + CHUNK];
        start = (start + STRIDE) % PAGE;
        let r = if up { fd.write(buf) } else { fd.read(buf) };
        match r {
            Ok(0) => return Err("closed by the server".to_string()),
            Ok(k) => {
                count.fetch_add(k as u64, Relaxed);
            }
            Err(e) if would_block(&e) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

pub(crate) fn bulk(cfg: &Cfg, metric: &str, n: usize, up: bool) -> io::Result<()> {
    let streams = Streams::start(cfg, n, up)?;
    thread::sleep(secs(cfg.warm));
    let (b0, r0) = streams.sample();
    let m = Meter::start(cfg.pid);
    thread::sleep(secs(cfg.secs));
    let (b1, r1) = streams.sample();
    let reading = m.stop();
    let (errors, unclean) = streams.stop();
    if b1 == b0 {
        return Err(io::Error::other(format!("no byte moved; {errors:?}")));
    }
    let gbit = (b1 - b0) as f64 * 8.0 / reading.secs / 1e9;
    let extra = json!({"retrans": r1 - r0, "errors": errors, "unclean_close": unclean});
    cfg.emit(metric, round(gbit, 4), "Gbit/s", Some(&reading), extra);
    Ok(())
}
