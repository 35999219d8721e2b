//! The least TCP that keeps a kernel client going. See main.rs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use crate::tun::{self, VNET};
use crate::Args;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, b: &[u8]) {
        for &x in b {
            self.write_u64(x as u64);
        }
    }
    fn write_u64(&mut self, x: u64) {
        let m = ((self.0 ^ x) as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c9e_u128);
        self.0 = (m >> 64) as u64 ^ m as u64;
    }
}

struct Conn {
    peer: Ipv4Addr,
    peer_port: u16,
    port: u16,
    rcv_nxt: u32,
    snd_nxt: u32,
    snd_una: u32,
    wnd: u32,
    scale: u8,
    mss: u16,
    dups: u8,
    dirty: bool,
    fin_sent: bool,
    progress: Instant,
}

struct Stub {
    fd: RawFd,
    addr: Ipv4Addr,
    gso: bool,
    mtu: usize,
    wnd: u32,
    out: Vec<u8>,
    zero: Vec<u8>,
    conns: HashMap<u64, Conn, BuildHasherDefault<Mix>>,
    dirty: Vec<u64>,
    sources: Vec<u64>,
    eagain: u64,
}

const OUR_SCALE: u8 = 10;

/// Sends one segment. `payload` None with `zeros` > 0 sends what lies in `out`
/// behind the headers, which must then be a buffer that only ever holds zeros there.
fn segment(
    fd: RawFd,
    out: &mut [u8],
    gso: bool,
    src: Ipv4Addr,
    c: &Conn,
    flags: u8,
    wnd: u16,
    seq: u32,
    payload: Option<&[u8]>,
    zeros: usize,
    opts: &[u8],
) -> bool {
    let off = if gso { VNET } else { 0 };
    let len = payload.map_or(zeros, <[u8]>::len);
    let hl = 20 + opts.len();
    let total = 20 + hl + len;
    let p = &mut out[off..off + total];
    tun::ipv4(p, src, c.peer, 6, total);
    let t = &mut p[20..];
    t[..2].copy_from_slice(&c.port.to_be_bytes());
    t[2..4].copy_from_slice(&c.peer_port.to_be_bytes());
    t[4..8].copy_from_slice(&seq.to_be_bytes());
    t[8..12].copy_from_slice(&c.rcv_nxt.to_be_bytes());
    t[12] = ((hl / 4) as u8) << 4;
    t[13] = flags;
    t[14..16].copy_from_slice(&wnd.to_be_bytes());
    t[16..20].fill(0);
    t[20..hl].copy_from_slice(opts);
    if let Some(b) = payload {
        t[hl..].copy_from_slice(b);
    }
    let ps = tun::pseudo(src, c.peer, 6, hl + len);
    let ck = if gso {
        tun::fold(ps)
    } else {
        let body = payload.map_or(0, tun::sum);
        !tun::fold(ps + tun::sum(&t[..hl]) + body)
    };
    t[16..18].copy_from_slice(&ck.to_be_bytes());
    if gso {
        let cut = if len > c.mss as usize { c.mss } else { 0 };
        tun::vnet(out, 1, cut, (20 + hl) as u16, 20, 16);
    }
    tun::write(fd, &out[..off + total]).is_ok()
}

impl Stub {
    fn wnd_field(&self) -> u16 {
        (self.wnd >> OUR_SCALE) as u16
    }

    fn input(&mut self, pkt: &[u8]) {
        if pkt.len() < 40 || pkt[0] >> 4 != 4 || pkt[9] != 6 {
            return;
        }
        let ihl = (pkt[0] & 15) as usize * 4;
        let src = Ipv4Addr::new(pkt[12], pkt[13], pkt[14], pkt[15]);
        let t = &pkt[ihl..];
        let sport = u16::from_be_bytes([t[0], t[1]]);
        let dport = u16::from_be_bytes([t[2], t[3]]);
        let seq = u32::from_be_bytes([t[4], t[5], t[6], t[7]]);
        let ack = u32::from_be_bytes([t[8], t[9], t[10], t[11]]);
        let thl = (t[12] >> 4) as usize * 4;
        let flags = t[13];
        let wnd = u16::from_be_bytes([t[14], t[15]]);
        let data = &t[thl..];
        let key = (u32::from(src) as u64) << 32 | (sport as u64) << 16 | dport as u64;
        if flags & RST != 0 {
            self.conns.remove(&key);
            return;
        }
        if flags & SYN != 0 {
            if !matches!(dport, 7 | 9 | 19 | 80) {
                return;
            }
            let (mut mss, mut scale) = (536u16, None);
            let mut o = &t[20..thl];
            while o.len() > 1 && o[0] != 0 {
                if o[0] == 1 {
                    o = &o[1..];
                    continue;
                }
                let l = o[1] as usize;
                if l < 2 || l > o.len() {
                    break;
                }
                match o[0] {
                    2 => mss = u16::from_be_bytes([o[2], o[3]]),
                    3 => scale = Some(o[2]),
                    _ => {}
                }
                o = &o[l..];
            }
            let c = Conn {
                peer: src,
                peer_port: sport,
                port: dport,
                rcv_nxt: seq.wrapping_add(1),
                snd_nxt: seq.wrapping_mul(3).wrapping_add(1),
                snd_una: seq.wrapping_mul(3).wrapping_add(1),
                wnd: wnd as u32,
                scale: scale.unwrap_or(0).min(14),
                mss: mss.min((self.mtu - 40) as u16),
                dups: 0,
                dirty: false,
                fin_sent: false,
                progress: Instant::now(),
            };
            let m = ((self.mtu - 40) as u16).to_be_bytes();
            let opts = [2, 4, m[0], m[1], 1, 3, 3, OUR_SCALE];
            let iss = c.snd_nxt.wrapping_sub(1);
            segment(
                self.fd,
                &mut self.out,
                self.gso,
                self.addr,
                &c,
                SYN | ACK,
                65535,
                iss,
                None,
                0,
                &opts,
            );
            if dport == 19 && !self.conns.contains_key(&key) {
                self.sources.push(key);
            }
            self.conns.insert(key, c);
            return;
        }
        let w = self.wnd_field();
        let Some(c) = self.conns.get_mut(&key) else {
            return;
        };
        c.wnd = (wnd as u32) << c.scale;
        let adv = ack.wrapping_sub(c.snd_una) as i32;
        if adv > 0 {
            c.snd_una = ack;
            if (c.snd_nxt.wrapping_sub(ack) as i32) < 0 {
                c.snd_nxt = ack;
            }
            c.dups = 0;
            c.progress = Instant::now();
        } else if adv == 0
            && data.is_empty()
            && flags & FIN == 0
            && c.snd_nxt != c.snd_una
            && c.port == 19
        {
            c.dups = c.dups.saturating_add(1);
            if c.dups == 3 {
                c.snd_nxt = c.snd_una;
            }
        }
        let mut extra = 0;
        if !data.is_empty() {
            if seq == c.rcv_nxt {
                c.rcv_nxt = c.rcv_nxt.wrapping_add(data.len() as u32);
                match c.port {
                    7 => {
                        segment(
                            self.fd,
                            &mut self.out,
                            self.gso,
                            self.addr,
                            c,
                            ACK | PSH,
                            w,
                            c.snd_nxt,
                            Some(data),
                            0,
                            &[],
                        );
                        c.snd_nxt = c.snd_nxt.wrapping_add(data.len() as u32);
                    }
                    80 => {
                        let close = data.windows(5).any(|w| w == b"close");
                        let f = if close { ACK | PSH | FIN } else { ACK | PSH };
                        segment(
                            self.fd,
                            &mut self.out,
                            self.gso,
                            self.addr,
                            c,
                            f,
                            w,
                            c.snd_nxt,
                            Some(ANSWER),
                            0,
                            &[],
                        );
                        c.snd_nxt = c.snd_nxt.wrapping_add(ANSWER.len() as u32 + close as u32);
                        c.fin_sent |= close;
                    }
                    _ => extra = 1,
                }
            } else {
                extra = 2;
            }
        }
        if flags & FIN != 0 && seq.wrapping_add(data.len() as u32) == c.rcv_nxt {
            c.rcv_nxt = c.rcv_nxt.wrapping_add(1);
            let f = if c.fin_sent { ACK } else { ACK | FIN };
            segment(self.fd, &mut self.out, self.gso, self.addr, c, f, w, c.snd_nxt, None, 0, &[]);
            self.conns.remove(&key);
            return;
        }
        if extra == 2 {
            // Out of order: say at once where we are.
            segment(
                self.fd,
                &mut self.out,
                self.gso,
                self.addr,
                c,
                ACK,
                w,
                c.snd_nxt,
                None,
                0,
                &[],
            );
        } else if extra == 1 && !c.dirty {
            c.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Sends the acknowledgements owed and what the source service may send.
    fn output(&mut self) -> bool {
        let w = self.wnd_field();
        for key in self.dirty.drain(..) {
            if let Some(c) = self.conns.get_mut(&key) {
                c.dirty = false;
                segment(
                    self.fd,
                    &mut self.out,
                    self.gso,
                    self.addr,
                    c,
                    ACK,
                    w,
                    c.snd_nxt,
                    None,
                    0,
                    &[],
                );
            }
        }
        let mut more = false;
        let mut i = 0;
        while i < self.sources.len() {
            let Some(c) = self.conns.get_mut(&self.sources[i]) else {
                self.sources.swap_remove(i);
                continue;
            };
            i += 1;
            let mss = c.mss as usize;
            let size = if self.gso { (65000 / mss).max(1) * mss } else { mss };
            let mut budget = if self.gso { 4 } else { 32 };
            if c.snd_nxt != c.snd_una && c.progress.elapsed() > Duration::from_millis(200) {
                c.snd_nxt = c.snd_una;
                c.progress = Instant::now();
            }
            while budget > 0 {
                let inflight = c.snd_nxt.wrapping_sub(c.snd_una);
                if c.wnd < inflight + mss as u32 {
                    break;
                }
                let n = size.min((c.wnd - inflight) as usize / mss * mss);
                if !segment(
                    self.fd,
                    &mut self.zero,
                    self.gso,
                    self.addr,
                    c,
                    ACK,
                    w,
                    c.snd_nxt,
                    None,
                    n,
                    &[],
                ) {
                    self.eagain += 1;
                    break;
                }
                c.snd_nxt = c.snd_nxt.wrapping_add(n as u32);
                budget -= 1;
            }
            more |= budget == 0;
        }
        more
    }
}

pub fn run(a: &Args) -> io::Result<()> {
    let fd = tun::open(&a.tun, a.gso, false)?;
    let mut s = Stub {
        fd,
        addr: a.addr,
        gso: a.gso,
        mtu: a.mtu,
        wnd: if a.gso || a.mtu > 9000 { 4 << 20 } else { 512 << 10 },
        out: vec![0; 70_000],
        zero: vec![0; 70_000],
        conns: HashMap::default(),
        dirty: vec![],
        sources: vec![],
        eagain: 0,
    };
    let off = if a.gso { VNET } else { 0 };
    let mut buf = vec![0u8; 70_000];
    loop {
        let mut n = 0;
        while n < 64 {
            match tun::read(fd, &mut buf) {
                Ok(k) => {
                    n += 1;
                    if k > off {
                        s.input(&buf[off..k]);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        let more = s.output();
        if n == 0 && !more {
            let mut p = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            unsafe { libc::poll(&mut p, 1, if s.sources.is_empty() { 1000 } else { 20 }) };
        }
    }
}
