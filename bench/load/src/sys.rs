//! Thin wrappers over libc: sockets, epoll, process and CPU accounting.

use std::fs;
use std::io;
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

pub fn cvt(r: i32) -> io::Result<i32> {
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(r)
    }
}

/// A file descriptor closed on drop.
pub struct Fd(pub RawFd);

impl Drop for Fd {
    fn drop(&mut self) {
        unsafe { libc::close(self.0) };
    }
}

fn setopt<T>(fd: RawFd, level: i32, name: i32, val: &T) -> io::Result<()> {
    let p = val as *const T as *const libc::c_void;
    cvt(unsafe { libc::setsockopt(fd, level, name, p, mem::size_of::<T>() as u32) }).map(|_| ())
}

pub fn sockaddr(ip: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    let mut sa: libc::sockaddr_in = unsafe { mem::zeroed() };
    sa.sin_family = libc::AF_INET as u16;
    sa.sin_port = port.to_be();
    sa.sin_addr.s_addr = u32::from(ip).to_be();
    sa
}

impl Fd {
    /// Opens a TCP socket, optionally bound to a source address, and connects
    /// it. With `nonblock` the connect is only started.
    pub fn connect(
        src: Option<Ipv4Addr>,
        dst: Ipv4Addr,
        port: u16,
        nonblock: bool,
    ) -> io::Result<Fd> {
        let mut ty = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        if nonblock {
            ty |= libc::SOCK_NONBLOCK;
        }
        let fd = Fd(cvt(unsafe { libc::socket(libc::AF_INET, ty, 0) })?);
        setopt(fd.0, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32)?;
        if let Some(src) = src {
            setopt(fd.0, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, &1i32)?;
            let sa = sockaddr(src, 0);
            cvt(unsafe {
                libc::bind(
                    fd.0,
                    &sa as *const _ as *const libc::sockaddr,
                    mem::size_of_val(&sa) as u32,
                )
            })?;
        }
        if !nonblock {
            fd.timeouts(5.0)?;
        }
        let sa = sockaddr(dst, port);
        let r = unsafe {
            libc::connect(
                fd.0,
                &sa as *const _ as *const libc::sockaddr,
                mem::size_of_val(&sa) as u32,
            )
        };
        if r < 0 {
            let e = io::Error::last_os_error();
            if !(nonblock && e.raw_os_error() == Some(libc::EINPROGRESS)) {
                return Err(e);
            }
        }
        Ok(fd)
    }

    pub fn timeouts(&self, secs: f64) -> io::Result<()> {
        let tv =
            libc::timeval { tv_sec: secs as i64, tv_usec: ((secs - secs.floor()) * 1e6) as i64 };
        setopt(self.0, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &tv)?;
        setopt(self.0, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &tv)
    }

    /// Makes the coming close send RST instead of FIN.
    pub fn linger_rst(&self) {
        let l = libc::linger { l_onoff: 1, l_linger: 0 };
        let _ = setopt(self.0, libc::SOL_SOCKET, libc::SO_LINGER, &l);
    }

    pub fn so_error(&self) -> i32 {
        let mut err = 0i32;
        let mut len = 4u32;
        unsafe {
            libc::getsockopt(
                self.0,
                libc::SOL_SOCKET,
                libc::SO_ERROR,
                &mut err as *mut _ as *mut libc::c_void,
                &mut len,
            )
        };
        err
    }

    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let r = unsafe { libc::recv(self.0, buf.as_mut_ptr() as *mut libc::c_void, buf.len(), 0) };
        if r < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(r as usize)
        }
    }

    pub fn read_nb(&self, buf: &mut [u8]) -> io::Result<usize> {
        let r = unsafe {
            libc::recv(self.0, buf.as_mut_ptr() as *mut libc::c_void, buf.len(), libc::MSG_DONTWAIT)
        };
        if r < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(r as usize)
        }
    }

    pub fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let r = unsafe {
            libc::send(self.0, buf.as_ptr() as *const libc::c_void, buf.len(), libc::MSG_NOSIGNAL)
        };
        if r < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(r as usize)
        }
    }

    pub fn shutdown_wr(&self) {
        unsafe { libc::shutdown(self.0, libc::SHUT_WR) };
    }

    /// (bytes acknowledged by the peer, segments retransmitted)
    pub fn tcp_acked(&self) -> (u64, u32) {
        // struct tcp_info: tcpi_total_retrans at 100, tcpi_bytes_acked at 120.
        let mut raw = [0u8; 256];
        let mut len = raw.len() as u32;
        let r = unsafe {
            libc::getsockopt(
                self.0,
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                raw.as_mut_ptr() as *mut libc::c_void,
                &mut len,
            )
        };
        if r < 0 {
            return (0, 0);
        }
        let retrans = u32::from_ne_bytes(raw[100..104].try_into().unwrap());
        let acked = u64::from_ne_bytes(raw[120..128].try_into().unwrap());
        (acked, retrans)
    }
}

pub fn would_block(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub struct Epoll {
    fd: Fd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll {
            fd: Fd(cvt(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?),
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 1024],
        })
    }

    pub fn add(&self, fd: &Fd, events: i32, token: u64) -> io::Result<()> {
        let mut ev = libc::epoll_event { events: events as u32, u64: token };
        cvt(unsafe { libc::epoll_ctl(self.fd.0, libc::EPOLL_CTL_ADD, fd.0, &mut ev) }).map(|_| ())
    }

    pub fn del(&self, fd: &Fd) {
        let mut ev = libc::epoll_event { events: 0, u64: 0 };
        unsafe { libc::epoll_ctl(self.fd.0, libc::EPOLL_CTL_DEL, fd.0, &mut ev) };
    }

    /// Fills `out` with (token, event bits).
    pub fn wait(&mut self, ms: i32, out: &mut Vec<(u64, u32)>) {
        out.clear();
        let n = unsafe {
            libc::epoll_wait(self.fd.0, self.events.as_mut_ptr(), self.events.len() as i32, ms)
        };
        for e in &self.events[..n.max(0) as usize] {
            out.push((e.u64, e.events));
        }
    }
}

/// Raises the open-file limit as far as allowed; returns what it is then.
pub fn raise_nofile(n: u64) -> u64 {
    let mut r = libc::rlimit { rlim_cur: n, rlim_max: n };
    unsafe {
        if libc::setrlimit(libc::RLIMIT_NOFILE, &r) < 0 {
            libc::getrlimit(libc::RLIMIT_NOFILE, &mut r);
            r.rlim_cur = r.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &r);
        }
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut r);
    }
    r.rlim_cur
}

/// The process and all its descendants.
pub fn tree(pid: i32) -> Vec<i32> {
    let mut out = vec![pid];
    let mut i = 0;
    while i < out.len() {
        if let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", out[i])) {
            for t in tasks.flatten() {
                if let Ok(c) = fs::read_to_string(t.path().join("children")) {
                    out.extend(c.split_whitespace().filter_map(|s| s.parse::<i32>().ok()));
                }
            }
        }
        i += 1;
    }
    out
}

/// CPU seconds (user, system) used so far by the process tree.
pub fn cpu_of(pid: i32) -> (f64, f64) {
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let mut user = 0.0;
    let mut sys = 0.0;
    for p in tree(pid) {
        let Ok(s) = fs::read_to_string(format!("/proc/{p}/stat")) else { continue };
        let Some(k) = s.rfind(')') else { continue };
        let f: Vec<&str> = s[k + 1..].split_whitespace().collect();
        user += f.get(11).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / hz;
        sys += f.get(12).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / hz;
    }
    (user, sys)
}

/// Resident set of the process tree in bytes (sum of VmRSS).
pub fn rss_of(pid: i32) -> u64 {
    let mut total = 0;
    for p in tree(pid) {
        let Ok(s) = fs::read_to_string(format!("/proc/{p}/status")) else { continue };
        for l in s.lines() {
            if let Some(v) = l.strip_prefix("VmRSS:") {
                total +=
                    v.split_whitespace().next().and_then(|x| x.parse::<u64>().ok()).unwrap_or(0)
                        * 1024;
            }
        }
    }
    total
}

pub fn alive(pid: i32) -> bool {
    // A zombie has an empty VmRSS line, so look at its state.
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(s) => s.rfind(')').map(|k| !s[k + 1..].trim_start().starts_with('Z')).unwrap_or(false),
        Err(_) => false,
    }
}

/// How often the threads of `pid` and of its children have given up the processor by themselves.
pub fn wakes_of(pid: i32) -> u64 {
    let mut total = 0;
    for pid in tree(pid) {
        let Ok(dir) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in dir.flatten() {
            let text = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let line = text.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
            total += line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    total
}

/// MemAvailable in bytes, for the whole machine.
pub fn mem_available() -> u64 {
    let s = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    for l in s.lines() {
        if let Some(v) = l.strip_prefix("MemAvailable:") {
            return v.split_whitespace().next().and_then(|x| x.parse::<u64>().ok()).unwrap_or(0)
                * 1024;
        }
    }
    0
}

fn self_cpu() -> f64 {
    let mut u: libc::rusage = unsafe { mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut u) };
    let f = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    f(u.ru_utime) + f(u.ru_stime)
}

/// (busy, total) CPU seconds of the whole machine.
fn machine_cpu() -> (f64, f64) {
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let s = fs::read_to_string("/proc/stat").unwrap_or_default();
    let v: Vec<f64> = s
        .lines()
        .next()
        .unwrap_or("")
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|x| x.parse().ok())
        .collect();
    let total: f64 = v.iter().sum();
    let idle = v.get(3).unwrap_or(&0.0) + v.get(4).unwrap_or(&0.0);
    ((total - idle) / hz, total / hz)
}

/// CPU seconds used so far by every user process except this one and the
/// server's: what else runs on the machine. Time of reaped children counts.
pub fn foreign_cpu(server: Option<i32>) -> f64 {
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let mut skip = server.map(tree).unwrap_or_default();
    skip.push(std::process::id() as i32);
    let mut total = 0.0;
    let Ok(dir) = fs::read_dir("/proc") else { return 0.0 };
    for e in dir.flatten() {
        let Some(pid) = e.file_name().to_str().and_then(|s| s.parse::<i32>().ok()) else {
            continue;
        };
        if pid == 2 || skip.contains(&pid) {
            continue;
        }
        let Ok(s) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some(k) = s.rfind(')') else { continue };
        let f: Vec<&str> = s[k + 1..].split_whitespace().collect();
        if f.get(1) == Some(&"2") {
            continue; // a kernel thread
        }
        for i in 11..15 {
            total += f.get(i).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0) / hz;
        }
    }
    total
}

/// Waits until little else runs on the machine, or `limit` has passed.
pub fn wait_quiet(server: Option<i32>, limit: Duration) {
    let t = Instant::now();
    loop {
        let a = foreign_cpu(server);
        let w = Instant::now();
        std::thread::sleep(Duration::from_millis(400));
        let used = (foreign_cpu(server) - a) / w.elapsed().as_secs_f64();
        if used < 0.06 || t.elapsed() > limit {
            return;
        }
    }
}

/// Gives this thread a file table of its own, so that the limit on open files
/// counts for it alone.
pub fn own_files() -> io::Result<()> {
    cvt(unsafe { libc::unshare(libc::CLONE_FILES) }).map(|_| ())
}

/// Takes CPU readings at the two ends of a measuring window.
pub struct Meter {
    t0: Instant,
    pid: Option<i32>,
    srv: (f64, f64),
    own: f64,
    mach: (f64, f64),
    foreign: f64,
}

pub struct Reading {
    pub secs: f64,
    /// Cores used by the server process: user, system.
    pub srv_user: f64,
    pub srv_sys: f64,
    pub client: f64,
    /// Cores busy over the whole machine.
    pub machine: f64,
    /// Cores used by processes that have nothing to do with the measurement.
    pub foreign: f64,
}

impl Meter {
    pub fn start(pid: Option<i32>) -> Meter {
        Meter {
            srv: pid.map(cpu_of).unwrap_or((0.0, 0.0)),
            own: self_cpu(),
            mach: machine_cpu(),
            foreign: foreign_cpu(pid),
            pid,
            t0: Instant::now(),
        }
    }

    pub fn stop(&self) -> Reading {
        let secs = self.t0.elapsed().as_secs_f64();
        let srv = self.pid.map(cpu_of).unwrap_or((0.0, 0.0));
        let mach = machine_cpu();
        Reading {
            secs,
            srv_user: (srv.0 - self.srv.0) / secs,
            srv_sys: (srv.1 - self.srv.1) / secs,
            client: (self_cpu() - self.own) / secs,
            machine: (mach.0 - self.mach.0) / secs,
            foreign: (foreign_cpu(self.pid) - self.foreign).max(0.0) / secs,
        }
    }
}

pub fn secs(s: f64) -> Duration {
    Duration::from_secs_f64(s)
}
