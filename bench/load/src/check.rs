//! Whether the server answers at all, and whether it echoes what it got.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::sys::{secs, Fd};
use crate::{round, Cfg, ECHO, HTTP};

/// Waits until the echo port accepts; exits 1 when it does not within 15 s.
pub(crate) fn wait_ready(cfg: &Cfg) -> io::Result<()> {
    let end = Instant::now() + secs(15.0);
    loop {
        if let Ok(fd) = Fd::connect(cfg.src(0), cfg.addr, HTTP, true) {
            let t = Instant::now();
            while t.elapsed() < secs(0.5) {
                thread::sleep(Duration::from_millis(10));
                if fd.so_error() != 0 {
                    break;
                }
                let sent = fd.write(b"GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
                if sent.is_ok() {
                    fd.timeouts(1.0)?;
                    let mut b = [0u8; 256];
                    let t = Instant::now();
                    while t.elapsed() < secs(1.0) {
                        match fd.read_nb(&mut b) {
                            Ok(n) if n > 0 => return Ok(()),
                            Ok(_) => break,
                            Err(_) => thread::sleep(Duration::from_millis(5)),
                        }
                    }
                    break;
                }
            }
        }
        if Instant::now() > end {
            eprintln!("load: {}: no answer on port {HTTP} within 15 s", cfg.name);
            std::process::exit(1);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sends 8 MiB of a known pattern through the echo service and compares.
pub(crate) fn check(cfg: &Cfg) -> io::Result<()> {
    const LEN: usize = 8 << 20;
    let fd = Arc::new(Fd::connect(cfg.src(0), cfg.addr, ECHO, false)?);
    fd.timeouts(5.0)?;
    let pat = |i: usize| ((i.wrapping_mul(2654435761)) >> 13) as u8;
    let t = Instant::now();
    let w = fd.clone();
    let writer = thread::spawn(move || -> io::Result<()> {
        let mut off = 0;
        while off < LEN {
            let n = (LEN - off).min(65536);
            let chunk: Vec<u8> = (off..off + n).map(pat).collect();
            let mut done = 0;
            while done < n {
                done += w.write(&chunk[done..])?;
            }
            off += n;
        }
        w.shutdown_wr();
        Ok(())
    });
    let mut buf = vec![0u8; 65536];
    let mut off = 0;
    let mut verdict = Ok(());
    while off < LEN {
        match fd.read(&mut buf) {
            Ok(0) => {
                verdict = Err(io::Error::other(format!("echo closed after {off} bytes")));
                break;
            }
            Ok(n) => {
                if let Some(k) = (0..n).find(|&k| buf[k] != pat(off + k)) {
                    verdict = Err(io::Error::other(format!("echoed byte {} differs", off + k)));
                    break;
                }
                off += n;
            }
            Err(e) => {
                verdict = Err(io::Error::other(format!("{e} after {off} bytes")));
                break;
            }
        }
    }
    let mut fin = false;
    if verdict.is_ok() {
        fin = matches!(fd.read(&mut buf), Ok(0));
    } else {
        fd.linger_rst();
    }
    let took = t.elapsed().as_secs_f64();
    let _ = writer.join();
    verdict?;
    cfg.emit(
        "check",
        1.0,
        "ok",
        None,
        json!({"bytes": LEN, "took_s": round(took, 3), "fin_seen": fin}),
    );
    Ok(())
}
