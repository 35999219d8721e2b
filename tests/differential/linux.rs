//! Linux's TCP, through a TUN device in a network namespace of this process.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recv, send, socket_with,
};
use tun_tap::{Iface, Mode};
use wharf::{Duration, TcpState};

use crate::backend::{Backend, Flow, Outcome, PREFIX, STACK_ADDR};
use crate::play::written;
use crate::script::{Call, Features, How};

/// The kernel, with the sockets of one script.
pub(crate) struct Linux {
    device: Iface,
    flow: Option<Flow>,
    began: std::time::Instant,
    listener: Option<OwnedFd>,
    connection: Option<OwnedFd>,
    written: usize,
}

/// What makes Linux's reactions prompt and plain: no measure of the sender decides when an
/// acknowledgment leaves, and no recovery but that of RFC 5681 and RFC 6298.
const SETTINGS: [(&str, &str); 10] = [
    ("conf/all/rp_filter", "0"),
    ("conf/default/rp_filter", "0"),
    ("tcp_congestion_control", "reno"),
    ("tcp_early_retrans", "0"),
    ("tcp_recovery", "0"),
    ("tcp_no_metrics_save", "1"),
    ("tcp_autocorking", "0"),
    ("tcp_comp_sack_nr", "0"),
    ("tcp_ecn", "0"),
    ("tcp_max_tw_buckets", "100000"),
];

fn set(name: &str, value: &str) {
    let path = format!("/proc/sys/net/ipv4/{name}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path} = {value}: {error}"));
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status();
    assert!(status.is_ok_and(|status| status.success()), "ip {words}");
}

#[expect(clippy::disallowed_methods, reason = "Linux's time is the wall's")]
fn wall() -> std::time::Instant {
    std::time::Instant::now()
}

impl Linux {
    /// Sets the namespace up, which has to be this process's own.
    pub(crate) fn new() -> Self {
        for (name, value) in SETTINGS {
            set(name, value);
        }
        let device = Iface::without_packet_info("differ0", Mode::Tun).expect("a TUN device");
        device.set_non_blocking().expect("a TUN device that does not block");
        ip(&format!("address add {STACK_ADDR}/{PREFIX} dev differ0"));
        ip("link set differ0 up");
        ip("route change 10.9.0.0/16 dev differ0 quickack 1");
        Self { device, flow: None, began: wall(), listener: None, connection: None, written: 0 }
    }

    /// Sets what the script's features say.
    pub(crate) fn configure(features: Features) {
        for (name, is_on) in [
            ("tcp_window_scaling", features.window_scale),
            ("tcp_sack", features.sack),
            ("tcp_timestamps", features.timestamps),
        ] {
            set(name, if is_on { "1" } else { "0" });
        }
    }

    fn fresh(&self) -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &self.flow.expect("a script has begun").local)?;
        Ok(socket)
    }

    fn open(&mut self, call: &Call) -> Result<Outcome, Errno> {
        let is_idle = match call {
            Call::Listen => self.listener.is_some(),
            Call::Accept => self.listener.is_none() || self.connection.is_some(),
            _ => self.connection.is_some(),
        };
        if is_idle {
            return Ok(Outcome::Idle);
        }
        match (call, &self.listener) {
            (Call::Listen, _) => {
                let socket = self.fresh()?;
                listen(&socket, 8)?;
                self.listener = Some(socket);
            }
            (Call::Accept, Some(listener)) => {
                self.connection = Some(accept_with(listener, SocketFlags::NONBLOCK)?);
            }
            _ => {
                let socket = self.connection.insert(self.fresh()?);
                connect(socket, &self.flow.expect("a script has begun").remote)?;
            }
        }
        Ok(Outcome::Done(0))
    }

    fn on_connection(&mut self, call: &Call) -> Result<Outcome, Errno> {
        let Some(socket) = &self.connection else { return Ok(Outcome::Idle) };
        match call {
            Call::Read(len) | Call::Peek(len) => {
                let mut octets = vec![0; *len];
                let len = match call {
                    Call::Peek(_) => recv(socket, &mut octets[..], RecvFlags::PEEK)?.1,
                    _ => rustix::io::read(socket, &mut octets[..])?,
                };
                octets.truncate(len);
                return Ok(Outcome::Octets(octets));
            }
            Call::Write(len) => {
                let len = send(socket, &written(self.written, *len), SendFlags::NOSIGNAL)?;
                self.written += len;
                return Ok(Outcome::Done(len));
            }
            Call::WriteUrgent(len) => {
                let flags = SendFlags::NOSIGNAL | SendFlags::OOB;
                let len = send(socket, &written(self.written, *len), flags)?;
                self.written += len;
                return Ok(Outcome::Done(len));
            }
            Call::ReadUrgent { is_peek } => {
                let peek = if *is_peek { RecvFlags::PEEK } else { RecvFlags::empty() };
                let mut octet = [0; 1];
                let len = recv(socket, &mut octet[..], RecvFlags::OOB | peek)?.1;
                return Ok(Outcome::Octets(octet[..len].to_vec()));
            }
            Call::Inline(on) => sockopt::set_socket_oobinline(socket, *on)?,
            Call::Shutdown(how) => shutdown(socket, *how)?,
            Call::Nodelay(on) => sockopt::set_tcp_nodelay(socket, *on)?,
            Call::Linger(on) => {
                sockopt::set_socket_linger(socket, on.then_some(Duration::ZERO))?;
            }
            Call::TakeError => sockopt::socket_error(socket)??,
            Call::Close => self.connection = None,
            Call::CloseListener | Call::Listen | Call::Accept | Call::Connect => {}
        }
        Ok(Outcome::Done(0))
    }
}

fn shutdown(socket: &OwnedFd, how: How) -> Result<(), Errno> {
    let how = match how {
        How::Read => Shutdown::Read,
        How::Write => Shutdown::Write,
        How::Both => Shutdown::Both,
    };
    rustix::net::shutdown(socket, how)
}

impl Backend for Linux {
    fn begin(&mut self, flow: Flow) {
        if let Some(socket) = self.connection.take() {
            // What is left of the last script must not linger on. An ended connection minds.
            let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
        }
        self.listener = None;
        self.drain();
        self.flow = Some(flow);
        self.written = 0;
        self.began = wall();
    }

    fn advance(&mut self, at: Duration) {
        std::thread::sleep(at.saturating_sub(self.elapsed()));
    }

    fn elapsed(&self) -> Duration {
        wall() - self.began
    }

    fn call(&mut self, call: &Call) -> Outcome {
        let outcome = match call {
            Call::Listen | Call::Accept | Call::Connect => self.open(call),
            Call::CloseListener => match self.listener.take() {
                Some(_) => Ok(Outcome::Done(0)),
                None => Ok(Outcome::Idle),
            },
            _ => self.on_connection(call),
        };
        outcome.unwrap_or_else(|errno| Outcome::Errno(errno.raw_os_error()))
    }

    fn inject(&mut self, octets: &[u8]) {
        // Linux refuses what is no IPv4 packet at all.
        let _ = self.device.send(octets);
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut buffer = [0; 2048];
        while let Ok(len) = self.device.recv(&mut buffer) {
            packets.push(buffer[..len].to_vec());
        }
        packets
    }

    fn poll(&mut self) -> u16 {
        let Some(socket) = self.connection.as_ref().or(self.listener.as_ref()) else { return 0 };
        let wanted = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP | PollFlags::PRI;
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), wanted)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll");
        fds[0].revents().bits()
    }

    fn state(&mut self) -> TcpState {
        let flow = self.flow.expect("a script has begun");
        let (local, remote) = (hex(flow.local), hex(flow.remote));
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's connections");
        let mut words = table.lines().map(|line| line.split_ascii_whitespace().skip(1));
        words
            .find_map(|mut words| {
                let is_it = words.next()? == local && words.next()? == remote;
                words.next().filter(|_| is_it)
            })
            .map_or(TcpState::Closed, |state| match state {
                "01" => TcpState::Established,
                "02" => TcpState::SynSent,
                "03" | "0C" => TcpState::SynReceived,
                "04" => TcpState::FinWait1,
                "05" => TcpState::FinWait2,
                "06" => TcpState::TimeWait,
                "08" => TcpState::CloseWait,
                "09" => TcpState::LastAck,
                "0B" => TcpState::Closing,
                _ => TcpState::Closed,
            })
    }
}

/// An endpoint as /proc/net/tcp has it: the address as the processor reads it.
fn hex(endpoint: std::net::SocketAddrV4) -> String {
    let addr = u32::from_ne_bytes(endpoint.ip().octets());
    format!("{addr:08X}:{:04X}", endpoint.port())
}
