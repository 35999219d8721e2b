//! Requests a second over connections that are kept, and connections a second.

use std::io;
use std::time::Instant;

use serde_json::json;

use crate::echo::percentile;
use crate::sys::{secs, would_block, Epoll, Fd, Meter};
use crate::{round, Cfg, HTTP};

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: bench\r\n\r\n";
const REQUEST_CLOSE: &[u8] = b"GET /hello HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

/// Length of the first whole response in `b`, once it is there.
fn response_len(b: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(h) = b.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &b[..h + 4];
    if !head.starts_with(b"HTTP/1.1 200") {
        return Err("status is not 200");
    }
    for line in head.split(|&c| c == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            let v = std::str::from_utf8(&line[15..]).map_err(|_| "bad content-length")?;
            let n: usize = v.trim().parse().map_err(|_| "bad content-length")?;
            return Ok(if b.len() >= h + 4 + n { Some(h + 4 + n) } else { None });
        }
    }
    Err("no content-length")
}

pub(crate) fn http(cfg: &Cfg, metric: &str, conns: usize) -> io::Result<()> {
    struct Conn {
        fd: Fd,
        buf: Vec<u8>,
        start: Instant,
    }
    let mut ep = Epoll::new()?;
    let mut cs = vec![];
    for i in 0..conns {
        let fd = Fd::connect(cfg.src(i), cfg.addr, HTTP, false)?;
        ep.add(&fd, libc::EPOLLIN, i as u64)?;
        cs.push(Conn { fd, buf: Vec::with_capacity(4096), start: Instant::now() });
    }
    for c in &mut cs {
        c.start = Instant::now();
        c.fd.write(REQUEST)?;
    }
    let t0 = Instant::now();
    let mut meter: Option<Meter> = None;
    let mut lat: Vec<u32> = Vec::with_capacity(1 << 20);
    let mut evs = vec![];
    let mut last = Instant::now();
    let mut tmp = [0u8; 4096];
    loop {
        let el = t0.elapsed().as_secs_f64();
        if meter.is_none() && el > cfg.warm {
            meter = Some(Meter::start(cfg.pid));
            lat.clear();
        }
        if el > cfg.warm + cfg.secs {
            break;
        }
        ep.wait(200, &mut evs);
        if evs.is_empty() && last.elapsed() > secs(3.0) {
            return Err(io::Error::other("no response for 3 s"));
        }
        for &(tok, _) in &evs {
            let c = &mut cs[tok as usize];
            let n = match c.fd.read_nb(&mut tmp) {
                Ok(0) => {
                    return Err(io::Error::other("keep-alive connection closed by the server"))
                }
                Ok(n) => n,
                Err(e) if would_block(&e) => continue,
                Err(e) => return Err(e),
            };
            // The common case is one whole response in one read.
            let whole = if c.buf.is_empty() {
                response_len(&tmp[..n])
            } else {
                c.buf.extend_from_slice(&tmp[..n]);
                response_len(&c.buf)
            }
            .map_err(io::Error::other)?;
            match whole {
                Some(k) => {
                    let have = if c.buf.is_empty() { n } else { c.buf.len() };
                    if k != have {
                        return Err(io::Error::other("bytes after the response"));
                    }
                    c.buf.clear();
                    let now = Instant::now();
                    lat.push((now - c.start).as_nanos().min(u32::MAX as u128) as u32);
                    last = now;
                    c.start = now;
                    c.fd.write(REQUEST)?;
                }
                None => {
                    if c.buf.is_empty() {
                        c.buf.extend_from_slice(&tmp[..n]);
                    }
                }
            }
        }
    }
    let Some(m) = meter else { return Err(io::Error::other("too short")) };
    let r = m.stop();
    let n = lat.len();
    lat.sort_unstable();
    cfg.emit(
        metric,
        (n as f64 / r.secs).round(),
        "req/s",
        Some(&r),
        json!({
            "p50_us": round(percentile(&lat, 0.5), 1),
            "p99_us": round(percentile(&lat, 0.99), 1),
        }),
    );
    Ok(())
}

/// Connect, one request, read to the server's FIN, close; `width` at a time.
pub(crate) fn cps(cfg: &Cfg, width: usize) -> io::Result<()> {
    struct Slot {
        fd: Fd,
        sent: bool,
        start: Instant,
        got: usize,
    }
    let mut ep = Epoll::new()?;
    let mut k = 0usize;
    let open = |ep: &Epoll, i: usize, k: &mut usize| -> io::Result<Slot> {
        *k += 1;
        let fd = Fd::connect(cfg.src(*k), cfg.addr, HTTP, true)?;
        ep.add(&fd, libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET, i as u64)?;
        Ok(Slot { fd, sent: false, start: Instant::now(), got: 0 })
    };
    let mut slots = vec![];
    for i in 0..width {
        slots.push(open(&ep, i, &mut k)?);
    }
    let t0 = Instant::now();
    let mut meter: Option<Meter> = None;
    let mut lat: Vec<u32> = vec![];
    let mut errors = 0u64;
    let mut evs = vec![];
    let mut tmp = [0u8; 4096];
    let mut scan = Instant::now();
    loop {
        let el = t0.elapsed().as_secs_f64();
        if meter.is_none() && el > cfg.warm {
            meter = Some(Meter::start(cfg.pid));
            lat.clear();
            errors = 0;
        }
        if el > cfg.warm + cfg.secs {
            break;
        }
        ep.wait(100, &mut evs);
        for &(tok, _) in &evs {
            let i = tok as usize;
            let s = &mut slots[i];
            let mut done: Option<bool> = None;
            if !s.sent {
                match s.fd.write(REQUEST_CLOSE) {
                    Ok(_) => s.sent = true,
                    Err(e) if would_block(&e) || e.raw_os_error() == Some(libc::ENOTCONN) => {
                        if s.fd.so_error() != 0 {
                            done = Some(false);
                        }
                    }
                    Err(_) => done = Some(false),
                }
            }
            if s.sent && done.is_none() {
                loop {
                    match s.fd.read_nb(&mut tmp) {
                        Ok(0) => {
                            done = Some(s.got > 13);
                            break;
                        }
                        Ok(n) => s.got += n,
                        Err(e) if would_block(&e) => break,
                        Err(_) => {
                            done = Some(false);
                            break;
                        }
                    }
                }
            }
            if let Some(ok) = done {
                if ok {
                    lat.push(s.start.elapsed().as_nanos().min(u32::MAX as u128) as u32);
                } else {
                    errors += 1;
                    s.fd.linger_rst();
                }
                slots[i] = open(&ep, i, &mut k)?;
            }
        }
        if scan.elapsed() > secs(0.5) {
            scan = Instant::now();
            for i in 0..width {
                if slots[i].start.elapsed() > secs(2.0) {
                    errors += 1;
                    slots[i].fd.linger_rst();
                    slots[i] = open(&ep, i, &mut k)?;
                }
            }
        }
        if errors > 100_000 {
            return Err(io::Error::other("more than 100000 failed connections"));
        }
    }
    let Some(m) = meter else { return Err(io::Error::other("too short")) };
    let r = m.stop();
    let n = lat.len();
    if n == 0 {
        return Err(io::Error::other(format!("no connection completed, {errors} failed")));
    }
    lat.sort_unstable();
    cfg.emit(
        "cps",
        (n as f64 / r.secs).round(),
        "conn/s",
        Some(&r),
        json!({
            "failed": errors,
            "p50_us": round(percentile(&lat, 0.5), 1),
            "p99_us": round(percentile(&lat, 0.99), 1),
        }),
    );
    Ok(())
}
