//! What connections cost on which nothing moves.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::sys::{self, secs, would_block, Epoll, Fd, Meter};
use crate::{round, Cfg, ECHO};

/// Opens `want` connections to the echo port, at most `WIDTH` at a time.
/// Returns those that came up and how many attempts failed.
fn open_idle(cfg: &Cfg, want: usize, offset: usize, limit: Duration) -> (Vec<Fd>, u64) {
    const WIDTH: usize = 256;
    let t0 = Instant::now();
    let mut held: Vec<Fd> = Vec::with_capacity(want);
    let Ok(mut ep) = Epoll::new() else { return (held, 1) };
    let mut evs = vec![];
    let mut pending: Vec<Option<(Fd, Instant)>> = (0..WIDTH).map(|_| None).collect();
    let mut free: VecDeque<usize> = (0..WIDTH).collect();
    let mut inflight = 0;
    let mut failed = 0u64;
    let mut k = offset;
    let mut scan = Instant::now();
    while held.len() < want && t0.elapsed() < limit && failed < 5_000 {
        while held.len() + inflight < want {
            let Some(i) = free.pop_front() else { break };
            k += 1;
            let fd = Fd::connect(cfg.src(k), cfg.addr, ECHO, true)
                .and_then(|fd| ep.add(&fd, libc::EPOLLOUT | libc::EPOLLET, i as u64).map(|_| fd));
            match fd {
                Ok(fd) => {
                    pending[i] = Some((fd, Instant::now()));
                    inflight += 1;
                }
                Err(_) => {
                    free.push_back(i);
                    failed += 1;
                    break;
                }
            }
        }
        ep.wait(50, &mut evs);
        for &(tok, bits) in &evs {
            let i = tok as usize;
            let Some((fd, _)) = pending[i].take() else { continue };
            ep.del(&fd);
            free.push_back(i);
            inflight -= 1;
            if bits & (libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0 || fd.so_error() != 0 {
                failed += 1;
            } else {
                held.push(fd);
            }
        }
        if scan.elapsed() > secs(0.5) {
            scan = Instant::now();
            for (i, p) in pending.iter_mut().enumerate() {
                if p.as_ref().is_some_and(|(_, t)| t.elapsed() > secs(6.0)) {
                    let (fd, _) = p.take().unwrap();
                    ep.del(&fd);
                    free.push_back(i);
                    inflight -= 1;
                    failed += 1;
                }
            }
        }
    }
    (held, failed)
}

/// Do these connections still echo? Returns (tried, answered).
fn probe(held: &[Fd], tries: usize) -> (usize, usize) {
    let n = held.len();
    let end = Instant::now() + secs(8.0);
    let (mut tried, mut live) = (0, 0);
    for j in 0..tries.min(n) {
        let fd = &held[j * (n / tries).max(1) % n];
        let msg = (j as u64).to_le_bytes();
        let mut back = [0u8; 8];
        let mut got = 0;
        tried += 1;
        if fd.write(&msg).is_ok() {
            let until = (Instant::now() + secs(1.0)).min(end);
            while got < 8 && Instant::now() < until {
                match fd.read_nb(&mut back[got..]) {
                    Ok(0) => break,
                    Ok(x) => got += x,
                    Err(e) if would_block(&e) => thread::sleep(Duration::from_micros(100)),
                    Err(_) => break,
                }
            }
        }
        if got == 8 && back == msg {
            live += 1;
        }
    }
    (tried, live)
}

/// Opens idle connections to the echo port in growing steps and reports the
/// server's RSS growth per connection at each, then checks that a sample of
/// them still echoes. Threads with file tables of their own hold them, so that
/// the open-file limit of one process does not bound the number.
pub(crate) fn idle(cfg: &Cfg, steps: &[usize]) -> io::Result<()> {
    enum Ask {
        Open(usize, usize, Duration),
        Probe(usize),
    }
    enum Answer {
        Opened(usize, u64),
        Probed(usize, usize),
    }
    let share = cfg.files.saturating_sub(1000).clamp(100, 250_000);
    let rss0 = cfg.pid.map(sys::rss_of).unwrap_or(0);
    let mem0 = sys::mem_available();
    let most = steps.iter().copied().max().unwrap_or(0);
    let workers = most.div_ceil(share).max(1);
    thread::scope(|scope| -> io::Result<()> {
        let mut links = vec![];
        for _ in 0..workers {
            let (ask, jobs) = std::sync::mpsc::channel::<Ask>();
            let (reply, answers) = std::sync::mpsc::channel::<Answer>();
            // The fields used below are plain values; a copy spares sharing.
            let own = Cfg {
                addr: cfg.addr,
                src: cfg.src.clone(),
                secs: cfg.secs,
                warm: cfg.warm,
                pid: cfg.pid,
                name: cfg.name.clone(),
                rep: cfg.rep,
                files: cfg.files,
                quiet: cfg.quiet,
                lines: RefCell::new(vec![]),
            };
            scope.spawn(move || {
                let mut held: Vec<Fd> = vec![];
                if sys::own_files().is_err() {
                    return;
                }
                for job in jobs {
                    let a = match job {
                        Ask::Open(n, offset, limit) => {
                            let (fds, failed) = open_idle(&own, n, offset, limit);
                            held.extend(fds);
                            Answer::Opened(held.len(), failed)
                        }
                        Ask::Probe(n) => {
                            let (t, l) = probe(&held, n);
                            Answer::Probed(t, l)
                        }
                    };
                    if reply.send(a).is_err() {
                        break;
                    }
                }
                // Closing by RST all at once would flood a slow server.
                for (i, fd) in held.drain(..).enumerate() {
                    fd.linger_rst();
                    drop(fd);
                    if i % 256 == 255 {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            links.push((ask, answers, 0usize));
        }
        let gone = || io::Error::other("a thread could not get its own file table");
        for &want in steps {
            let label = format!("idle{}k", want / 1000);
            let limit = secs(10.0 + want as f64 / 2000.0);
            let t0 = Instant::now();
            let mut failed = 0;
            let mut n: usize = links.iter().map(|l| l.2).sum();
            for (ask, answers, has) in &mut links {
                let add = (share - *has).min(want - n.min(want));
                let left = limit.saturating_sub(t0.elapsed());
                if add == 0 || left.is_zero() {
                    continue;
                }
                ask.send(Ask::Open(add, n, left)).map_err(|_| gone())?;
                if let Answer::Opened(now, bad) = answers.recv().map_err(|_| gone())? {
                    n += now - *has;
                    *has = now;
                    failed += bad;
                }
            }
            let ramp = t0.elapsed().as_secs_f64();
            // Let the server settle, then see what an idle second costs it.
            thread::sleep(secs(1.0));
            let m = Meter::start(cfg.pid);
            thread::sleep(secs(1.0));
            let quiet = m.stop();
            let rss1 = cfg.pid.map(sys::rss_of).unwrap_or(0);
            let mem1 = sys::mem_available();
            let (mut tried, mut live) = (0, 0);
            for (ask, answers, has) in &links {
                if *has == 0 {
                    continue;
                }
                ask.send(Ask::Probe(100 / links.len())).map_err(|_| gone())?;
                if let Answer::Probed(t, l) = answers.recv().map_err(|_| gone())? {
                    tried += t;
                    live += l;
                }
            }
            let per = if n == 0 { 0.0 } else { (rss1 as f64 - rss0 as f64) / n as f64 };
            let per_sys = if n == 0 { 0.0 } else { (mem0 as f64 - mem1 as f64) / n as f64 };
            cfg.emit(
                &format!("{label}_rss"),
                per.round(),
                "B/conn",
                Some(&quiet),
                json!({
                    "held": n, "wanted": want, "failed": failed, "ramp_s": round(ramp, 2),
                    "machine_bytes_per_conn": per_sys.round(),
                    "rss_before": rss0, "rss_after": rss1, "probed": tried, "alive": live,
                }),
            );
            cfg.emit(
                &format!("{label}_held"),
                n as f64,
                "conn",
                None,
                json!({"ramp_s": round(ramp, 2)}),
            );
            if n < want || live < tried {
                break;
            }
        }
        drop(links);
        Ok(())
    })
}

/// How often a second the server's threads wake up while one connection is open and nothing
/// moves: their voluntary context switches.
pub(crate) fn wakes(cfg: &Cfg) -> io::Result<()> {
    let pid = cfg.pid.ok_or_else(|| io::Error::other("no server's process id"))?;
    let fd = Fd::connect(cfg.src(0), cfg.addr, ECHO, false)?;
    thread::sleep(secs(1.0));
    let (before, m) = (sys::wakes_of(pid), Meter::start(cfg.pid));
    thread::sleep(secs(cfg.secs.max(5.0)));
    let (reading, after) = (m.stop(), sys::wakes_of(pid));
    drop(fd);
    let rate = after.saturating_sub(before) as f64 / reading.secs;
    cfg.emit("wakes", round(rate, 2), "1/s", Some(&reading), json!({}));
    Ok(())
}
