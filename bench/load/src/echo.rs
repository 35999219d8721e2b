//! Round trips of 64 octets, one at a time.

use std::io;
use std::time::Instant;

use serde_json::{json, Value};

use crate::bulk::Streams;
use crate::sys::{secs, would_block, Fd, Meter, Reading};
use crate::{round, Cfg, ECHO};

pub(crate) fn percentile(sorted: &[u32], p: f64) -> f64 {
    if sorted.is_empty() {
        return 0.0;
    }
    let i = ((sorted.len() as f64 - 1.0) * p).round() as usize;
    sorted[i] as f64 / 1000.0
}

/// What a connection's round trips took.
struct Trips {
    /// Nanoseconds each, sorted.
    nanos: Vec<u32>,
    reading: Option<Reading>,
}

impl Trips {
    fn emit(&self, cfg: &Cfg, metric: &str, extra: Value) {
        let lat = &self.nanos;
        let mean = lat.iter().map(|&x| f64::from(x)).sum::<f64>() / lat.len().max(1) as f64 / 1e3;
        let mut more =
            json!({"samples": lat.len(), "mean": round(mean, 2), "max": percentile(lat, 1.0)});
        if let (Some(more), Value::Object(extra)) = (more.as_object_mut(), extra) {
            more.extend(extra);
        }
        let [p50, p99] = [0.5, 0.99].map(|part| round(percentile(lat, part), 2));
        cfg.emit(&format!("{metric}_p50"), p50, "us", self.reading.as_ref(), more);
        cfg.emit(&format!("{metric}_p99"), p99, "us", None, json!({}));
    }
}

pub(crate) fn echo(cfg: &Cfg, metric: &str, spin: bool) -> io::Result<()> {
    trips(cfg, spin)?.emit(cfg, metric, json!({}));
    Ok(())
}

/// As `echo`, while `n` other connections upload, or download, as fast as they can.
pub(crate) fn beside(cfg: &Cfg, metric: &str, n: usize, up: bool) -> io::Result<()> {
    let streams = Streams::start(cfg, n, up)?;
    let before = streams.sample();
    let trips = trips(cfg, false);
    let moved = streams.sample().0.saturating_sub(before.0);
    streams.stop();
    let gbit = moved as f64 * 8.0 / (cfg.warm + cfg.secs) / 1e9;
    trips?.emit(cfg, metric, json!({"bulk_gbit": round(gbit, 2)}));
    Ok(())
}

fn trips(cfg: &Cfg, spin: bool) -> io::Result<Trips> {
    let fd = Fd::connect(cfg.src(0), cfg.addr, ECHO, false)?;
    fd.timeouts(2.0)?;
    let mut msg = [0x55u8; 64];
    let mut back = [0u8; 64];
    let mut lat: Vec<u32> = Vec::with_capacity(1 << 20);
    let t0 = Instant::now();
    let mut meter = None;
    let mut seq = 0u64;
    loop {
        let el = t0.elapsed().as_secs_f64();
        if meter.is_none() && el > cfg.warm {
            meter = Some(Meter::start(cfg.pid));
            lat.clear();
        }
        if el > cfg.warm + cfg.secs {
            break;
        }
        seq += 1;
        msg[..8].copy_from_slice(&seq.to_le_bytes());
        let t = Instant::now();
        fd.write(&msg)?;
        let mut got = 0;
        while got < 64 {
            let r = if spin { fd.read_nb(&mut back[got..]) } else { fd.read(&mut back[got..]) };
            match r {
                Ok(0) => return Err(io::Error::other("closed by the server")),
                Ok(n) => got += n,
                Err(e) if spin && would_block(&e) => {
                    if t.elapsed() > secs(2.0) {
                        return Err(io::Error::other("no echo within 2 s"));
                    }
                }
                Err(e) => return Err(e),
            }
        }
        lat.push(t.elapsed().as_nanos().min(u32::MAX as u128) as u32);
        if msg != back {
            return Err(io::Error::other("echo differs"));
        }
    }
    let reading = meter.as_ref().map(Meter::stop);
    lat.sort_unstable();
    Ok(Trips { nanos: lat, reading })
}
