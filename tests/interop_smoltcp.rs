//! smoltcp as a peer that we did not write, over the in-memory link: as client and as server,
//! 10 MB each way, with and without loss. Virtual time.

use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpCidr};
use wharf::sim::workload::OctetStream;
use wharf::sim::{Plan, SERVER, Simulation};
use wharf::{Device, Duration, Impair, Impairment, Instant, Link, Outgoing, StackConfig};

/// smoltcp's address; ours is [`SERVER`], whichever of us serves.
const PEER: &str = "10.7.0.1";

/// Octets that each side sends.
const OCTETS: u64 = 10_000_000;

/// An end of our link as smoltcp's device.
struct SmolDevice {
    link: Link,
    now: Instant,
    incoming: VecDeque<wharf::Frame>,
    has_moved: bool,
}

struct Received(wharf::Frame);

struct Transmit<'a>(&'a mut Link, Instant, &'a mut bool);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0.octets())
    }
}

impl phy::TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut octets = vec![0; len];
        let result = f(&mut octets);
        let mut packet = Outgoing::default();
        packet.payload.push(octets.into());
        self.0
            .transmit_burst(self.1, &mut VecDeque::from([packet]))
            .expect("nobody unplugs the link");
        *self.2 = true;
        result
    }
}

impl phy::Device for SmolDevice {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Transmit<'_>)> {
        if self.incoming.is_empty() {
            self.link
                .receive_burst(self.now, &mut self.incoming, 64)
                .expect("nobody unplugs the link");
        }
        let frame = self.incoming.pop_front()?;
        self.has_moved = true;
        Some((Received(frame), Transmit(&mut self.link, self.now, &mut self.has_moved)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&mut self.link, self.now, &mut self.has_moved))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

/// smoltcp with one socket, which writes and reads the streams that our talker reads and writes.
struct Smol {
    device: SmolDevice,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    streams: Option<(OctetStream, OctetStream)>,
    sent: u64,
    received: u64,
    saw_end: bool,
}

impl Smol {
    fn new(link: Link) -> Self {
        let mut device =
            SmolDevice { link, now: Instant::ZERO, incoming: VecDeque::new(), has_moved: false };
        let start = smoltcp::time::Instant::ZERO;
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, start);
        interface.update_ip_addrs(|addrs| {
            let addr = IpCidr::new(PEER.parse().expect("a literal address"), 24);
            addrs.push(addr).expect("there is room for one address");
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 << 10]);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        Self {
            device,
            interface,
            sockets,
            handle,
            streams: None,
            sent: 0,
            received: 0,
            saw_end: false,
        }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn listen(&mut self, port: u16) {
        self.socket().listen(port).expect("a fresh socket listens");
    }

    fn connect(&mut self, remote: SocketAddrV4) {
        let context = self.interface.context();
        let socket = self.sockets.get_mut::<tcp::Socket>(self.handle);
        socket.connect(context, remote, 49_500).expect("a fresh socket connects");
    }

    /// Does what can be done now; says whether any packet came or went.
    fn turn(&mut self, now: Instant) -> bool {
        self.device.now = now;
        self.device.has_moved = false;
        let micros = i64::try_from(now.as_nanos() / 1000).expect("the test ends before");
        let smol_now = smoltcp::time::Instant::from_micros(micros);
        loop {
            let result = self.interface.poll(smol_now, &mut self.device, &mut self.sockets);
            let has_worked = self.work();
            if result == PollResult::None && !has_worked {
                return self.device.has_moved;
            }
        }
    }

    /// The application: writes all, closes, and reads to the end.
    fn work(&mut self) -> bool {
        let socket = self.sockets.get_mut::<tcp::Socket>(self.handle);
        if self.streams.is_none() {
            let ends = (socket.local_endpoint(), socket.remote_endpoint());
            let (Some(local), Some(remote)) = ends else {
                return false;
            };
            let (local, remote): (SocketAddr, SocketAddr) = (local.into(), remote.into());
            // Each is the first of its host's: number 0.
            self.streams =
                Some((OctetStream::of(0, local, remote), OctetStream::of(0, remote, local)));
        }
        let Some((outgoing, incoming)) = &self.streams else {
            return false;
        };
        let before = (self.sent, self.received, self.saw_end);
        while socket.can_send() && self.sent < OCTETS {
            let left = usize::try_from(OCTETS - self.sent).expect("fits").min(16_384);
            let mut octets = vec![0; left];
            outgoing.fill(self.sent, &mut octets);
            self.sent += socket.send_slice(&octets).expect("it can send") as u64;
            if self.sent == OCTETS {
                socket.close();
            }
        }
        while socket.can_recv() {
            let position = self.received;
            let taken = socket.recv(|octets| {
                assert!(incoming.has(position, octets), "garbled at {position}");
                (octets.len(), octets.len())
            });
            self.received += taken.expect("it can receive") as u64;
        }
        let is_through = !socket.may_recv() && socket.state() != tcp::State::SynSent;
        if is_through && socket.state() != tcp::State::Listen && self.received > 0 {
            self.saw_end = true;
        }
        before != (self.sent, self.received, self.saw_end)
    }

    fn next_event(&mut self, now: Instant) -> Option<Instant> {
        let micros = i64::try_from(now.as_nanos() / 1000).expect("the test ends before");
        let smol_now = smoltcp::time::Instant::from_micros(micros);
        let at = self.interface.poll_at(smol_now, &self.sockets)?;
        let at = Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0));
        // Its clock ticks in microseconds: what is due now is due at the next tick.
        Some(at.max(now + Duration::from_micros(1)))
    }
}

/// One of us serves, the other connects; each sends 10 MB and closes.
fn exchange(line: &str, smoltcp_serves: bool) {
    let impairment: Impairment = line.parse().expect("a literal impairment");
    let (ours, theirs) = Link::pair_virtual(1500);
    let config = StackConfig::new(SERVER.parse().expect("a literal network"));
    let mut world = Simulation::new(1);
    let device = Impair::new(ours.with_queue(1 << 16), impairment);
    let host = world.add_host(config, Box::new(device));
    let mut smol = Smol::new(theirs.with_queue(1 << 16));
    let plan = Plan::bulk(OCTETS);
    if smoltcp_serves {
        smol.listen(80);
        world.connect(host, None, "10.7.0.1:80".parse().expect("a literal address"), plan);
    } else {
        world.serve(host, 80, move |_| plan);
        smol.connect("10.7.0.2:80".parse().expect("a literal address"));
    }
    let end = Instant::ZERO + Duration::from_hours(24);
    let mut moved = 0u64;
    while world.now() < end {
        world.settle();
        if smol.turn(world.now()) {
            moved += 1;
            assert!(moved < 100_000_000, "{line}: no end");
            continue;
        }
        let reports = world.reports();
        let is_done = reports.len() == 1 && reports[0].finished.is_some() && smol.saw_end;
        let now = world.now();
        let next = [world.next_event(), smol.next_event(now)];
        match next.into_iter().flatten().min() {
            Some(next) if !is_done => world.advance_to(next),
            None | Some(_) => break,
        }
    }
    let reports = world.reports();
    let what = format!("{line}, smoltcp serves: {smoltcp_serves}: {reports:?}");
    assert_eq!((smol.sent, smol.received), (OCTETS, OCTETS), "{what}");
    assert!(smol.saw_end, "{what}");
    let [ours] = &reports[..] else {
        panic!("{what}");
    };
    assert_eq!((ours.sent, ours.received), (OCTETS, OCTETS), "{what}");
    assert!(ours.saw_end && !ours.is_garbled && ours.error.is_none(), "{what}");
}

#[test]
fn smoltcp_is_a_client_of_ours_on_a_clean_line() {
    exchange("delay=5ms", false);
}

#[test]
fn smoltcp_is_a_server_of_ours_on_a_clean_line() {
    exchange("delay=5ms", true);
}

#[test]
fn smoltcp_is_a_client_of_ours_on_a_line_that_loses() {
    exchange("loss=1%,delay=2ms,seed=3", false);
}

#[test]
fn smoltcp_is_a_server_of_ours_on_a_line_that_loses() {
    exchange("loss=1%,delay=2ms,seed=4", true);
}
