//! The four services on smoltcp over a TUN device, event-driven: each socket
//! wakes its connection through the wakers, so the application never walks
//! the socket set (smoltcp itself does, on every egress poll).

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium, TunTapInterface};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::socket::Socket as AnySocket;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

const PORTS: [u16; 4] = [7, 9, 19, 80];
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
const ANSWER_CLOSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, World!";

/// smoltcp's own device allocates and zeroes a buffer for every packet; this
/// one keeps two buffers for good.
struct Lean {
    fd: RawFd,
    mtu: usize,
    rx: Vec<u8>,
    tx: Vec<u8>,
}

struct LeanRx<'a>(&'a [u8]);
struct LeanTx<'a>(RawFd, &'a mut [u8]);

impl phy::RxToken for LeanRx<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl phy::TxToken for LeanTx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let r = f(&mut self.1[..len]);
        unsafe { libc::write(self.0, self.1.as_ptr() as *const libc::c_void, len) };
        r
    }
}

impl Device for Lean {
    type RxToken<'a> = LeanRx<'a>;
    type TxToken<'a> = LeanTx<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut c = DeviceCapabilities::default();
        c.max_transmission_unit = self.mtu;
        c.medium = Medium::Ip;
        c
    }

    fn receive(&mut self, _: Instant) -> Option<(LeanRx<'_>, LeanTx<'_>)> {
        let n = unsafe {
            libc::read(self.fd, self.rx.as_mut_ptr() as *mut libc::c_void, self.rx.len())
        };
        if n <= 0 {
            return None;
        }
        Some((LeanRx(&self.rx[..n as usize]), LeanTx(self.fd, &mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<LeanTx<'_>> {
        Some(LeanTx(self.fd, &mut self.tx))
    }
}

/// Memory that takes no page until it is written; kept for good (the sockets
/// that hold it are used again).
fn untouched(len: usize) -> &'static mut [u8] {
    let p = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    assert!(p != libc::MAP_FAILED, "mmap");
    unsafe { std::slice::from_raw_parts_mut(p as *mut u8, len) }
}

type Queue = Arc<Mutex<Vec<usize>>>;

struct Bell {
    token: usize,
    rung: AtomicBool,
    queue: Queue,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Relaxed) {
            self.queue.lock().unwrap().push(self.token);
        }
    }
}

struct Conn {
    handle: SocketHandle,
    port: u16,
    bell: Arc<Bell>,
    waker: Waker,
    head: Vec<u8>,
}

struct App {
    sockets: SocketSet<'static>,
    listeners: [Option<SocketHandle>; 4],
    spare: Vec<Socket<'static>>,
    conns: HashMap<usize, Conn>,
    next: usize,
    queue: Queue,
    buf: usize,
    tmp: Vec<u8>,
}

impl App {
    /// Turns listeners that have taken a SYN into connections and replaces them.
    fn refill(&mut self) {
        for i in 0..PORTS.len() {
            if let Some(h) = self.listeners[i] {
                if self.sockets.get::<Socket>(h).state() == State::Listen {
                    continue;
                }
                let token = self.next;
                self.next += 1;
                let bell = Arc::new(Bell {
                    token,
                    rung: AtomicBool::new(true),
                    queue: self.queue.clone(),
                });
                let waker = Waker::from(bell.clone());
                self.conns
                    .insert(token, Conn { handle: h, port: PORTS[i], bell, waker, head: vec![] });
                self.queue.lock().unwrap().push(token);
            }
            let mut s = self.spare.pop().unwrap_or_else(|| {
                let rx = SocketBuffer::new(untouched(self.buf));
                let tx = SocketBuffer::new(untouched(self.buf));
                let mut s = Socket::new(rx, tx);
                s.set_nagle_enabled(false);
                s
            });
            s.listen(PORTS[i]).expect("listen");
            self.listeners[i] = Some(self.sockets.add(s));
        }
    }

    /// Runs every connection that was woken.
    fn serve(&mut self) -> bool {
        let ready = std::mem::take(&mut *self.queue.lock().unwrap());
        let any = !ready.is_empty();
        for token in ready {
            let Some(c) = self.conns.get_mut(&token) else { continue };
            c.bell.rung.store(false, Relaxed);
            let s = self.sockets.get_mut::<Socket>(c.handle);
            match c.port {
                7 => {
                    while s.can_recv() && s.can_send() {
                        let room = (s.send_capacity() - s.send_queue()).min(self.tmp.len());
                        let n = s.recv_slice(&mut self.tmp[..room]).unwrap_or(0);
                        let m = s.send_slice(&self.tmp[..n]).unwrap_or(0);
                        debug_assert_eq!(n, m);
                        if n == 0 {
                            break;
                        }
                    }
                }
                9 => while s.can_recv() && s.recv(|b| (b.len(), b.len())).unwrap_or(0) > 0 {},
                19 => {
                    let src = &self.tmp;
                    while s.can_send()
                        && s.send(|b| {
                            let n = b.len().min(src.len());
                            b[..n].copy_from_slice(&src[..n]);
                            (n, n)
                        })
                        .unwrap_or(0)
                            > 0
                    {}
                }
                _ => {
                    let head = &mut c.head;
                    while s.can_recv() {
                        let n = s
                            .recv(|b| {
                                head.extend_from_slice(b);
                                (b.len(), b.len())
                            })
                            .unwrap_or(0);
                        if n == 0 {
                            break;
                        }
                    }
                    while let Some(k) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                        let close = head[..k]
                            .windows(17)
                            .any(|w| w.eq_ignore_ascii_case(b"connection: close"));
                        let _ = s.send_slice(if close { ANSWER_CLOSE } else { ANSWER });
                        if close {
                            s.close();
                        }
                        head.drain(..k + 4);
                    }
                }
            }
            let state = s.state();
            if state == State::CloseWait
                && s.recv_queue() == 0
                && (c.port != 7 || s.send_queue() == 0)
            {
                s.close();
            }
            // TIME-WAIT sockets are dropped at once: smoltcp would scan them
            // with all others for ten seconds.
            if matches!(state, State::Closed | State::TimeWait) {
                let h = c.handle;
                self.conns.remove(&token);
                let AnySocket::Tcp(mut s) = self.sockets.remove(h);
                s.abort();
                self.spare.push(s);
                continue;
            }
            s.register_recv_waker(&c.waker);
            s.register_send_waker(&c.waker);
        }
        any
    }
}

fn serve<D: Device + ?Sized>(dev: &mut D, fd: RawFd, addr: IpCidr, buf: usize) -> io::Result<()> {
    let mut iface = Interface::new(Config::new(HardwareAddress::Ip), dev, Instant::now());
    iface.update_ip_addrs(|a| a.push(addr).unwrap());
    let mut app = App {
        sockets: SocketSet::new(vec![]),
        listeners: [None; 4],
        spare: vec![],
        conns: HashMap::new(),
        next: 0,
        queue: Arc::new(Mutex::new(vec![])),
        buf,
        tmp: vec![0; 64 << 10],
    };
    app.refill();
    loop {
        let now = Instant::now();
        let mut busy = false;
        for _ in 0..64 {
            match iface.poll_ingress_single(now, dev, &mut app.sockets) {
                PollIngressSingleResult::None => break,
                _ => {
                    busy = true;
                    app.refill();
                }
            }
        }
        busy |= app.serve();
        // A few rounds, each at most one packet a socket, then look at the
        // device again.
        for _ in 0..16 {
            if iface.poll_egress(now, dev, &mut app.sockets) == PollResult::None {
                break;
            }
            busy = true;
        }
        iface.poll_maintenance(now);
        if !busy {
            let wait = iface.poll_delay(Instant::now(), &app.sockets);
            phy::wait(fd, wait)?;
        }
    }
}

fn main() -> io::Result<()> {
    let (mut tun, mut addr, mut prefix, mut mtu) =
        (String::from("tb0"), String::from("198.18.0.2"), 24u8, 1500usize);
    let (mut buf, mut lean) = (256usize << 10, false);
    let v: Vec<String> = std::env::args().skip(1).collect();
    for w in v.chunks(2) {
        match w[0].as_str() {
            "--tun" => tun = w[1].clone(),
            "--addr" => addr = w[1].clone(),
            "--prefix" => prefix = w[1].parse().expect("--prefix"),
            "--mtu" => mtu = w[1].parse().expect("--mtu"),
            "--buf" => buf = w[1].parse().expect("--buf"),
            "--lean" => lean = w[1] == "1",
            "--peer" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    let ip: std::net::Ipv4Addr = addr.parse().expect("--addr");
    let cidr = IpCidr::new(IpAddress::from(std::net::IpAddr::V4(ip)), prefix);
    let mut dev = TunTapInterface::new(&tun, Medium::Ip)?;
    let fd = dev.as_raw_fd();
    if lean {
        let mut own = Lean { fd, mtu, rx: vec![0; 65536], tx: vec![0; 65536] };
        serve(&mut own, fd, cidr, buf)
    } else {
        serve(&mut dev, fd, cidr, buf)
    }
}
