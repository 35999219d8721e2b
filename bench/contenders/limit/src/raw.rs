//! Device limits measured with crafted packets.
//!
//! write_drop_*: write(2) of packets whose IP header checksum is wrong, so
//! the kernel frees them at the very first check: the cost of the write call,
//! the skb and the copy, and nothing else.
//! write_udp_*: correct UDP packets to a bound kernel socket that another
//! thread (other core) drains: what arrives in user space on the far side.
//! read_*: a kernel UDP sender on the other core overruns the device; counts
//! what read(2) takes out.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::tun::{self, VNET};
use crate::Args;

const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;
const SEG: usize = 1448;

/// (busy CPU seconds of the machine, of this process)
fn cpu() -> (f64, f64) {
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let s = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let v: Vec<f64> = s
        .lines()
        .next()
        .unwrap_or("")
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|x| x.parse().ok())
        .collect();
    let idle = v.get(3).unwrap_or(&0.0) + v.get(4).unwrap_or(&0.0);
    let mut u: libc::rusage = unsafe { mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut u) };
    let f = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    ((v.iter().sum::<f64>() - idle) / hz, f(u.ru_utime) + f(u.ru_stime))
}

/// Runs a test on a quiet machine, again when other work disturbed it, and
/// prints the least disturbed try. A test returns its line.
fn undisturbed(test: &dyn Fn() -> io::Result<String>) -> io::Result<()> {
    let mut best: Option<(f64, String)> = None;
    for _ in 0..3 {
        let wait = Instant::now();
        while wait.elapsed() < Duration::from_secs(20) {
            let a = cpu();
            thread::sleep(Duration::from_millis(400));
            if cpu().0 - a.0 < 0.06 {
                break;
            }
        }
        let (m0, o0) = cpu();
        let t = Instant::now();
        let line = test()?;
        let (m1, o1) = cpu();
        let foreign = ((m1 - m0) - (o1 - o0)) / t.elapsed().as_secs_f64();
        if best.as_ref().map_or(true, |b| foreign < b.0) {
            best = Some((foreign, line));
        }
        // Interrupt time counts as foreign here, hence the slack.
        if foreign < 0.25 {
            break;
        }
    }
    if let Some((_, line)) = best {
        println!("{line}");
    }
    Ok(())
}

fn line(a: &Args, what: &str, bytes: u64, packets: u64, secs: f64, packet: usize) -> String {
    format!(
        "{{\"contender\":\"{}\",\"rep\":{},\"metric\":\"raw_{}\",\"value\":{:.3},\\
         \"unit\":\"Gbit/s\",\"pps\":{:.0},\"packet\":{}}}",
        a.name,
        a.rep,
        what,
        bytes as f64 * 8.0 / secs / 1e9,
        packets as f64 / secs,
        packet
    )
}

fn setopt(fd: RawFd, level: i32, name: i32, v: i32) -> io::Result<()> {
    let r = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            &v as *const i32 as *const libc::c_void,
            mem::size_of::<i32>() as u32,
        )
    };
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// An IPv4/UDP packet, after `off` bytes left for a virtio-net header.
fn udp_packet(off: usize, src: Ipv4Addr, dst: Ipv4Addr, payload: usize, partial: bool) -> Vec<u8> {
    let total = 28 + payload;
    let mut b = vec![0u8; off + total];
    let p = &mut b[off..];
    tun::ipv4(p, src, dst, 17, total);
    p[20..22].copy_from_slice(&4000u16.to_be_bytes());
    p[22..24].copy_from_slice(&4001u16.to_be_bytes());
    p[24..26].copy_from_slice(&((8 + payload) as u16).to_be_bytes());
    let ps = tun::pseudo(src, dst, 17, 8 + payload);
    let c = if partial { tun::fold(ps) } else { !tun::fold(ps + tun::sum(&p[20..])) };
    p[26..28].copy_from_slice(&c.to_be_bytes());
    b
}

fn write_loop(fd: RawFd, pkt: &[u8], secs: f64) -> io::Result<(u64, f64)> {
    let t = Instant::now();
    let mut n = 0u64;
    loop {
        for _ in 0..64 {
            match tun::write(fd, pkt) {
                Ok(_) => n += 1,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        let el = t.elapsed().as_secs_f64();
        if el > secs {
            return Ok((n, el));
        }
    }
}

/// Drains a UDP socket on core 0 until told to stop; counts bytes.
fn drain(
    peer: Ipv4Addr,
    gro: bool,
) -> io::Result<(Arc<AtomicU64>, Arc<AtomicBool>, thread::JoinHandle<()>)> {
    let s = UdpSocket::bind((peer, 4001))?;
    setopt(s.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 16 << 20)?;
    if gro {
        setopt(s.as_raw_fd(), libc::IPPROTO_UDP, UDP_GRO, 1)?;
    }
    s.set_read_timeout(Some(Duration::from_millis(100)))?;
    let bytes = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (b, st) = (bytes.clone(), stop.clone());
    let h = thread::spawn(move || {
        tun::pin(0);
        let mut buf = vec![0u8; 70_000];
        while !st.load(Relaxed) {
            if let Ok(n) = s.recv(&mut buf) {
                b.fetch_add(n as u64, Relaxed);
            }
        }
    });
    Ok((bytes, stop, h))
}

/// Sends UDP on core 0, `count` segments of `seg` bytes in each call.
fn blast(
    a: &Args,
    seg: usize,
    count: usize,
) -> io::Result<(Arc<AtomicBool>, thread::JoinHandle<()>)> {
    let s = UdpSocket::bind((a.peer, 4001))?;
    if count > 1 {
        setopt(s.as_raw_fd(), libc::IPPROTO_UDP, UDP_SEGMENT, seg as i32)?;
    }
    setopt(s.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, 16 << 20)?;
    let dst = a.addr;
    let stop = Arc::new(AtomicBool::new(false));
    let st = stop.clone();
    let h = thread::spawn(move || {
        tun::pin(0);
        let buf = vec![0u8; seg * count];
        while !st.load(Relaxed) {
            let _ = s.send_to(&buf, (dst, 4000));
        }
    });
    Ok((stop, h))
}

fn read_loop(fd: RawFd, secs: f64) -> io::Result<(u64, u64, f64)> {
    let mut buf = vec![0u8; 70_000];
    let t = Instant::now();
    let (mut n, mut bytes, mut spins) = (0u64, 0u64, 0u64);
    loop {
        for _ in 0..64 {
            match tun::read(fd, &mut buf) {
                Ok(k) => {
                    n += 1;
                    bytes += k as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => spins += 1,
                Err(e) => return Err(e),
            }
        }
        let el = t.elapsed().as_secs_f64();
        if el > secs {
            if spins > n {
                eprintln!("limit: device found empty {spins} times ({n} packets): sender-bound");
            }
            return Ok((bytes, n, el));
        }
    }
}

pub fn run(a: &Args) -> io::Result<()> {
    let cores = thread::available_parallelism()?.get();
    tun::pin(cores - 1);
    let drop_test = |what: &str, size: usize, gso: bool| -> io::Result<String> {
        let fd = tun::open(&a.tun, gso, false)?;
        let off = if gso { VNET } else { 0 };
        let mut p = vec![0u8; off + size];
        tun::ipv4(&mut p[off..], a.addr, a.peer, 6, size);
        p[off + 10] ^= 0x55; // spoil the header checksum
        p[off + 32] = 0x50; // TCP data offset: 20 bytes
        p[off + 33] = 0x10;
        if gso {
            tun::vnet(&mut p, 1, 1460, 40, 20, 16);
        }
        let (n, t) = write_loop(fd, &p, a.secs)?;
        unsafe { libc::close(fd) };
        Ok(line(a, what, n * size as u64, n, t, size))
    };
    undisturbed(&|| drop_test("write_drop_64", 64, false))?;
    undisturbed(&|| drop_test("write_drop_1500", 1500, false))?;
    undisturbed(&|| drop_test("write_drop_gso_64k", 40 + 44 * 1460, true))?;

    let deliver = |what: &str, payload: usize, gso: bool| -> io::Result<String> {
        let fd = tun::open(&a.tun, gso, gso)?;
        let (bytes, stop, h) = drain(a.peer, gso)?;
        let off = if gso { VNET } else { 0 };
        let mut p = udp_packet(off, a.addr, a.peer, payload, gso);
        if gso {
            tun::vnet(&mut p, 5, SEG as u16, 28, 20, 6);
        }
        write_loop(fd, &p, 0.3)?;
        let b0 = bytes.load(Relaxed);
        let (n, t) = write_loop(fd, &p, a.secs)?;
        let b1 = bytes.load(Relaxed);
        stop.store(true, Relaxed);
        let _ = h.join();
        let _ = n;
        unsafe { libc::close(fd) };
        Ok(line(a, what, b1 - b0, (b1 - b0) / payload as u64, t, payload + 28))
    };
    undisturbed(&|| deliver("write_udp_1500", 1472, false))?;
    undisturbed(&|| deliver("write_udp_gso_64k", 44 * SEG, true))?;

    let pull = |what: &str, seg: usize, count: usize, gso: bool| -> io::Result<String> {
        let fd = tun::open(&a.tun, gso, gso)?;
        let (stop, h) = blast(a, seg, count)?;
        read_loop(fd, 0.3)?;
        let (bytes, n, t) = read_loop(fd, a.secs)?;
        stop.store(true, Relaxed);
        let _ = h.join();
        unsafe { libc::close(fd) };
        Ok(line(a, what, bytes, n, t, if n > 0 { (bytes / n) as usize } else { 0 }))
    };
    undisturbed(&|| pull("read_64", 36, 60, false))?;
    undisturbed(&|| pull("read_1500", 1472, 44, false))?;
    undisturbed(&|| pull("read_gso_64k", SEG, 44, true))?;
    Ok(())
}
