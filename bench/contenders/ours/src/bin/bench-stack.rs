//! The four services on wharf's stack alone: one loop on one thread calls the stack and the device,
//! with no runtime, no task and no lock between them. It is how smoltcp is driven here.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant as Wall};

use bench_wharf::args::Args;
use bench_wharf::plain::{Head, ANSWER, HEAD_MAX, LAST_ANSWER};
use bytes::Bytes;
use slotmap::SecondaryMap;
use wharf::{
    Device, Frame, Instant, Outgoing, Seed, SocketError, SocketId, Stack, StackConfig, Tun,
    TunConfig,
};

/// Octets that a connection may hold each way, as `wharf serve`.
const BUFFER: u32 = 2 << 20;

const BACKLOG: u32 = 16_384;

/// Most packets that are taken in before anything is sent, and that go out by one call.
const BURST: usize = 64;

/// Octets after which nothing more is taken in first: they are at hand while they are few.
const BURST_OCTETS: usize = 256 << 10;

/// Packets that the device is asked for at once.
const SIP: usize = 4;

/// Octets that are read at once.
const CHUNK: usize = 64 << 10;

#[derive(Clone, Copy)]
enum Service {
    Echo,
    Discard,
    Source,
    Web,
}

const SERVICES: [(u16, Service); 4] =
    [(7, Service::Echo), (9, Service::Discard), (19, Service::Source), (80, Service::Web)];

/// What a socket is for.
enum Role {
    Listener(Service),
    Connection(Service, Unfinished),
}

/// Octets that are still to be dealt with: to be sent back, or the begin of a request.
type Unfinished = Vec<u8>;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::read();
    let mut device = TunConfig::new(&args.tun);
    device.mtu = args.mtu;
    let tun = Tun::open(&device)?;
    let mut config = StackConfig::new(format!("{}/{}", args.addr, args.prefix).parse()?);
    tun.capabilities().apply_to(&mut config.interface);
    (config.tcp.receive_buffer, config.tcp.send_buffer) = (BUFFER, BUFFER);
    config.tcp.nagle = false;
    let mut stack = Stack::new(config, seed()?)?;
    let mut roles = SecondaryMap::new();
    for (port, service) in SERVICES {
        let listener = stack.tcp_socket()?;
        stack.bind(listener, (args.addr, port).into())?;
        stack.listen(listener, BACKLOG)?;
        roles.insert(listener, Role::Listener(service));
    }
    let services =
        Services { roles, octets: vec![0; CHUNK], source: Bytes::from(vec![0; 4 * CHUNK]) };
    run(tun, stack, services, Duration::from_micros(args.busy_poll))?;
    Ok(())
}

fn seed() -> io::Result<Seed> {
    let mut octets = [0; 32];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut octets)?;
    Ok(Seed::from_bytes(octets))
}

/// The one contract: inputs, then `transmit` until nothing is left, then the next input.
fn run(
    mut tun: Tun,
    mut stack: Stack,
    mut services: Services,
    busy_poll: Duration,
) -> io::Result<()> {
    let begin = Wall::now();
    let mut arrivals = Arrivals::default();
    let (mut leaving, mut last_packet) = (VecDeque::new(), Instant::ZERO);
    loop {
        let now = Instant::ZERO + begin.elapsed();
        let is_drained = arrivals.receive(now, &mut tun)?;
        if !arrivals.packets.is_empty() {
            last_packet = now;
        }
        stack.receive_burst(now, &mut arrivals.packets, &mut ());
        if stack.next_timeout().is_some_and(|due| due <= now) {
            stack.on_timeout(now, &mut ());
        }
        while let Some(socket) = stack.poll_event() {
            services.serve(now, &mut stack, socket);
        }
        transmit(now, &mut stack, &mut tun, &mut leaving)?;
        if is_drained && now - last_packet >= busy_poll {
            wait(&tun, stack.next_timeout().map(|due| due - now))?;
        }
    }
}

/// What comes out of the device, a burst at a time.
#[derive(Default)]
struct Arrivals {
    packets: VecDeque<Frame>,
    /// Packets since the device was last found empty.
    since_empty: usize,
    /// It was one, the time before.
    expects_one: bool,
}

impl Arrivals {
    /// Takes in a burst; whether nothing more waits. A packet that is alone, as the one before was,
    /// is answered before the device is asked whether there is another.
    fn receive(&mut self, now: Instant, tun: &mut Tun) -> io::Result<bool> {
        let is_lone = self.expects_one && self.since_empty == 0;
        let most = if is_lone { 1 } else { SIP };
        let mut octets = 0;
        while self.packets.len() < BURST && octets < BURST_OCTETS {
            let count = tun.receive_burst(now, &mut self.packets, most)?;
            self.since_empty += count;
            if count < most {
                if self.since_empty > 0 {
                    (self.expects_one, self.since_empty) = (self.since_empty == 1, 0);
                }
                return Ok(true);
            }
            if is_lone {
                break;
            }
            octets +=
                self.packets.iter().rev().take(count).map(|it| it.octets().len()).sum::<usize>();
        }
        Ok(false)
    }
}

/// Sends until nothing is left.
fn transmit(
    now: Instant,
    stack: &mut Stack,
    tun: &mut Tun,
    leaving: &mut VecDeque<Outgoing>,
) -> io::Result<()> {
    loop {
        while leaving.len() < BURST {
            let Some(packet) = stack.transmit(now, &mut ()) else { break };
            leaving.push_back(packet);
        }
        if leaving.is_empty() {
            return Ok(());
        }
        tun.transmit_burst(now, leaving)?;
    }
}

/// Waits for a packet, for so long at most.
fn wait(tun: &Tun, most: Option<Duration>) -> io::Result<()> {
    let fd = tun.fd().ok_or_else(|| io::Error::other("a TUN has a descriptor"))?.as_raw_fd();
    let mut readable = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // Rounded up: to wake too early costs a turn.
    let millis = most.map_or(-1, |most| most.as_millis().min(60_000) as libc::c_int + 1);
    // SAFETY: it is one structure, which lives until the call returns.
    if unsafe { libc::poll(&mut readable, 1, millis) } >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// The program: who is served, and with what.
struct Services {
    roles: SecondaryMap<SocketId, Role>,
    octets: Vec<u8>,
    source: Bytes,
}

impl Services {
    /// Something may have changed for a socket.
    fn serve(&mut self, now: Instant, stack: &mut Stack, socket: SocketId) {
        match self.roles.get_mut(socket) {
            None => {}
            Some(Role::Listener(service)) => {
                let service = *service;
                while let Ok((socket, _)) = stack.accept(now, socket) {
                    self.roles.insert(socket, Role::Connection(service, Unfinished::new()));
                    self.serve(now, stack, socket); // Octets may have come with its handshake.
                }
            }
            Some(Role::Connection(service, unfinished)) => {
                let outcome = match service {
                    Service::Echo => echo(now, stack, socket, unfinished, &mut self.octets),
                    Service::Discard => discard(now, stack, socket),
                    Service::Source => source(now, stack, socket, &self.source),
                    Service::Web => answer(now, stack, socket, unfinished, &mut self.octets),
                };
                if outcome != Err(SocketError::WouldBlock) {
                    self.roles.remove(socket);
                    stack.close(now, socket); // Peers may end a connection as they like.
                }
            }
        }
    }
}

/// Until it would block; `Ok` at the end of the stream, as all that follow.
fn echo(
    now: Instant,
    stack: &mut Stack,
    socket: SocketId,
    unsent: &mut Unfinished,
    octets: &mut [u8],
) -> Result<(), SocketError> {
    loop {
        while !unsent.is_empty() {
            let len = stack.write(now, socket, unsent)?;
            unsent.drain(..len);
        }
        let len = stack.read(now, socket, octets)?;
        if len == 0 {
            return Ok(());
        }
        let sent = match stack.write(now, socket, &octets[..len]) {
            Err(SocketError::WouldBlock) => 0,
            sent => sent?,
        };
        unsent.extend_from_slice(&octets[sent..len]);
    }
}

fn discard(now: Instant, stack: &mut Stack, socket: SocketId) -> Result<(), SocketError> {
    while !stack.read_bytes(now, socket, 1 << 20)?.is_empty() {}
    Ok(())
}

fn source(
    now: Instant,
    stack: &mut Stack,
    socket: SocketId,
    octets: &Bytes,
) -> Result<(), SocketError> {
    loop {
        stack.write_bytes(now, socket, octets)?;
    }
}

/// Answers requests, pipelined ones too, until one says that it is the last.
fn answer(
    now: Instant,
    stack: &mut Stack,
    socket: SocketId,
    begun: &mut Unfinished,
    octets: &mut [u8],
) -> Result<(), SocketError> {
    let buffer = &mut octets[..HEAD_MAX];
    loop {
        let mut filled = begun.len();
        buffer[..filled].copy_from_slice(begun);
        begun.clear();
        let len = match stack.read(now, socket, &mut buffer[filled..]) {
            Err(SocketError::WouldBlock) => {
                begun.extend_from_slice(&buffer[..filled]);
                return Err(SocketError::WouldBlock);
            }
            len => len?,
        };
        if len == 0 {
            return Ok(()); // The end, or a head that is too long.
        }
        filled += len;
        let mut begin = 0;
        while let Some(head) = Head::parse(&buffer[begin..filled]) {
            if head.is_last {
                return send(now, stack, socket, LAST_ANSWER);
            }
            send(now, stack, socket, ANSWER)?;
            begin += head.len;
        }
        begun.extend_from_slice(&buffer[begin..filled]);
    }
}

/// All of an answer, or an error that ends the connection: of a client that reads no answers, and
/// asks until they fill the send buffer.
fn send(
    now: Instant,
    stack: &mut Stack,
    socket: SocketId,
    answer: &[u8],
) -> Result<(), SocketError> {
    match stack.write(now, socket, answer) {
        Ok(len) if len == answer.len() => Ok(()),
        Ok(_) | Err(SocketError::WouldBlock) => Err(SocketError::NoBuffers),
        Err(error) => Err(error),
    }
}
