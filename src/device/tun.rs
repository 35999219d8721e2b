//! A TUN device: the kernel's end of the cable. One packet, or super-segment, a call.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::raw::c_int;

use tun_tap::{Iface, Mode};

use super::agreement::Offloads;
use super::lost_packet::{is_about_one_datagram, is_about_one_packet, is_icmp_about_one_datagram};
use super::packet_writer::write_packet;
use super::setup::{self, TunConfig};
use super::sys::{self, ControlSocket, Queues};
use super::tun_error::TunError;
use super::tun_queue::TunQueue;
use super::{Capabilities, Device, steering};
use crate::packet::{Frame, Outgoing, SuperPool};
use crate::time::Instant;
use crate::wire::Steering;

/// A TUN device (Linux `Documentation/networking/tuntap.rst`). Where the kernel can, super-segments
/// of up to 64 KiB cross it, and checksums are left to who has the octets at hand; else, or if
/// [`TunConfig::offload`] says so, each read and each write is one IP packet of at most the MTU.
///
/// A device that [`Tun::open`] made goes when the `Tun` is dropped; one that existed before stays,
/// and is left without offloads, as a new one is: the next program may not know of them. Who ends
/// the process without dropping it leaves them on.
/// Of a device with [several queues](Tun::open_queues) each `Tun` is one.
#[derive(Debug)]
pub struct Tun {
    queue: Queue,
    name: Option<String>,
    was_made: bool,
    mtu: u32,
    dropped: u64,
    /// The last read found nothing.
    is_drained: bool,
    /// We have told the kernel how to choose among the queues.
    is_steering: bool,
}

/// What packets are read from and written to.
#[derive(Debug)]
enum Queue {
    Plain(PlainQueue),
    Offloading(TunQueue),
}

/// A queue of packets and nothing else.
#[derive(Debug)]
struct PlainQueue {
    file: File,
    pool: SuperPool,
    /// It is no TUN, and its packets travel in datagrams.
    is_ip_socket: bool,
    /// The only queue of a device, which we attached and which `file` is a duplicate of.
    _interface: Option<Iface>,
}

impl PlainQueue {
    /// A descriptor that somebody handed to us, or one of several queues.
    fn new(file: File) -> Self {
        let is_ip_socket = sys::is_ip_socket(file.as_fd());
        Self { file, pool: SuperPool::default(), is_ip_socket, _interface: None }
    }

    /// The only queue of a device.
    fn attached(interface: Iface) -> io::Result<Self> {
        let descriptor = sys::descriptor_of(&interface).try_clone_to_owned()?;
        Ok(Self { _interface: Some(interface), ..Self::new(File::from(descriptor)) })
    }

    fn read(&mut self) -> io::Result<Frame> {
        let file = self.file.as_fd();
        let read = self.pool.fill(|spare| sys::read_behind(file, spare));
        read.map(Frame::new)
            .map_err(|error| self.softened(error, is_icmp_about_one_datagram, libc::EINTR))
    }

    fn write(&self, packet: &Outgoing) -> io::Result<()> {
        write_packet(&self.file, &[], packet)
            .map_err(|error| self.softened(error, is_about_one_datagram, libc::EAGAIN))
    }

    /// `instead`, if the error is of one datagram and the device a socket: the next may well
    /// arrive.
    fn softened(
        &self,
        error: io::Error,
        is_of_one: fn(&io::Error) -> bool,
        instead: c_int,
    ) -> io::Error {
        if self.is_ip_socket && is_of_one(&error) {
            io::Error::from_raw_os_error(instead)
        } else {
            error
        }
    }
}

impl Queue {
    fn read(&mut self) -> io::Result<Frame> {
        match self {
            Self::Plain(plain) => plain.read(),
            Self::Offloading(queue) => queue.read(),
        }
        .map_err(as_gone)
    }

    fn write(&mut self, packet: &Outgoing) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.write(packet),
            Self::Offloading(queue) => queue.write(packet),
        }
        .map_err(as_gone)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(plain) => plain.file.as_fd(),
            Self::Offloading(queue) => queue.fd(),
        }
    }
}

impl Tun {
    /// Makes the device, sets it up and brings it up; or attaches to one that exists.
    ///
    /// Making one needs `CAP_NET_ADMIN`; so does attaching to one of another user, and bringing
    /// one up. A device that exists keeps its address, MTU and queue length. Once open, a `Tun`
    /// needs no privilege, but for [`steer`](Device::steer).
    ///
    /// What a kernel takes is found out by packets that it must drop: the first that a capture on
    /// the device shows, up to four from 192.0.2.1 to 192.0.2.2.
    ///
    /// # Errors
    ///
    /// What the settings cannot be (`NameInvalid`, `MtuOutOfRange`, `QueueEmpty`,
    /// `AddressInvalid`); what the machine lacks (`NoDriver`, `DriverDenied`, `NotPrivileged`);
    /// what is there already (`AddressInUse`, `Busy`, `Unfit`, `Down`); and `SetUp`. The text of
    /// each says what to do.
    pub fn open(config: &TunConfig) -> Result<Self, TunError> {
        Ok(Self::open_queues(config, 1)?.remove(0))
    }

    /// As [`open`](Self::open), with `count` queues, in the order in which
    /// [`steer`](Device::steer) counts them: each carries some of the packets that arrive, and any
    /// that leave. So several threads may carry for one device.
    ///
    /// The kernel decides by which queue a packet arrives. Unless it is told, it keeps to the queue
    /// by which it last got a packet of the same flow: of 4,096 flows, for three seconds each.
    ///
    /// A device that we make here for several queues goes with the last of them. One that exists
    /// must have been made for several (`multi_queue`), and nobody else should hold a queue of it,
    /// whom part of the packets would go to.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); and `QueueCount` unless `count` is from 1 to 256.
    pub fn open_queues(config: &TunConfig, count: usize) -> Result<Vec<Self>, TunError> {
        config.validate()?;
        setup::check_count(count)?;
        let name = config.name.as_str();
        setup::check_driver()?;
        let control = ControlSocket::open().map_err(setup::failed(name, "open a socket"))?;
        let existing = control.index(name).map_err(setup::failed(name, "look the device up"))?;
        if let Some(index) = existing {
            setup::check_existing(name, index, count)?;
        } else if let Some(addr) = config.host_address {
            setup::check_address_is_free(name, addr)?;
        }

        let was_made = existing.is_none();
        let mut queues = attach_all(config, count, !was_made)
            .map_err(|source| setup::attach_error(name, !was_made, source))?;
        for queue in &queues {
            check_queue(name, queue.fd())?;
        }
        let mtu = if was_made {
            setup::configure(&control, config)?;
            config.mtu
        } else {
            setup::adopt(&control, name)?
        };
        agree(name, &mut queues)?;
        let open = |queue| {
            let mut tun = Self::new(queue, mtu);
            (tun.name, tun.was_made) = (Some(name.to_owned()), was_made);
            tun
        };
        Ok(queues.into_iter().map(open).collect())
    }

    /// A TUN that somebody else opened and set up, such as the descriptor that a VPN program gets
    /// from its system: without packet information, for packets of at most `mtu` octets. It is
    /// made non-blocking. Super-segments cross it if it puts a `virtio_net_hdr` before each packet
    /// (`IFF_VNET_HDR`); else its offloads are switched off.
    ///
    /// Anything that carries one packet a read and a write will do, such as a datagram socket. Of a
    /// device with several queues each has a descriptor of its own.
    ///
    /// # Errors
    ///
    /// `MtuOutOfRange` unless `mtu` is from 68 to 65,535 octets; `Unfit` for a TAP, or a TUN with
    /// packet information; `SetUp` if the descriptor cannot be made non-blocking, or agrees to no
    /// offloads.
    pub fn from_fd(fd: OwnedFd, mtu: u32) -> Result<Self, TunError> {
        const NAME: &str = "the given descriptor";
        setup::check_mtu(mtu)?;
        check_queue(NAME, fd.as_fd())?;
        sys::set_non_blocking(fd.as_fd())
            .map_err(setup::failed(NAME, "make reading non-blocking"))?;
        let has_header =
            sys::tun_flags(fd.as_fd()).is_ok_and(|flags| flags & libc::IFF_VNET_HDR != 0);
        let file = File::from(fd);
        let queue = if has_header {
            let mut queue = TunQueue::new(file);
            queue.agree().map_err(setup::failed(NAME, "agree on offloads"))?;
            Queue::Offloading(queue)
        } else {
            // Its giver may have promised the kernel to fill checksums in. What is no TUN refuses,
            // and has nothing to switch off.
            let _ = sys::set_offloads(file.as_fd(), Offloads::None);
            Queue::Plain(PlainQueue::new(file))
        };
        Ok(Self::new(queue, mtu))
    }

    fn new(queue: Queue, mtu: u32) -> Self {
        let (is_drained, is_steering) = (false, false);
        Self { queue, name: None, was_made: false, mtu, dropped: 0, is_drained, is_steering }
    }

    /// Name of the device; `None` for one that came as a descriptor.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether [`Tun::open`] made the device, which then goes with it.
    pub fn was_made(&self) -> bool {
        self.was_made
    }

    /// How many packets the kernel refused, one by one: malformed, no memory, device down.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn write(&mut self, packet: &Outgoing) -> io::Result<()> {
        loop {
            match self.queue.write(packet) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_about_one_packet(&error) => {
                    self.dropped += 1;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What a queue has changed of somebody else's device would stay with it: whoever attaches next
/// without a `virtio_net_hdr` would get super-segments, and packets without a checksum.
impl Drop for Tun {
    fn drop(&mut self) {
        if self.name.is_some() && !self.was_made {
            // Of a device that has gone there is nothing to set right.
            let _ = sys::set_offloads(self.queue.fd(), Offloads::None);
            if self.is_steering {
                let _ = sys::set_steering(self.queue.fd(), None);
            }
        }
    }
}

/// So many queues of the device, which is made if there is none. Non-blocking.
fn attach_all(config: &TunConfig, count: usize, exists: bool) -> io::Result<Vec<Queue>> {
    if count > 1 {
        return (0..count).map(|_| attach(config, Queues::Several)).collect();
    }
    let queue = match attach(config, Queues::One) {
        // One that was made for several queues takes one as well, if it is asked in its own way.
        Err(error) if exists && error.raw_os_error() == Some(libc::EINVAL) => {
            attach(config, Queues::Several)
        }
        outcome => outcome,
    }?;
    Ok(vec![queue])
}

fn attach(config: &TunConfig, queues: Queues) -> io::Result<Queue> {
    let name = &config.name;
    if config.offload {
        return Ok(Queue::Offloading(TunQueue::attach(name, queues)?));
    }
    let queue = match queues {
        Queues::One => {
            let interface = Iface::without_packet_info(name, Mode::Tun)?;
            sys::set_non_blocking(sys::descriptor_of(&interface))?;
            PlainQueue::attached(interface)?
        }
        Queues::Several => {
            let flags = libc::IFF_TUN | libc::IFF_NO_PI | queues.flag();
            PlainQueue::new(sys::attach_tun(name, flags)?)
        }
    };
    Ok(Queue::Plain(queue))
}

/// Agrees with the kernel on what crosses the queues of a device, which are all alike.
fn agree(name: &str, queues: &mut [Queue]) -> Result<(), TunError> {
    let mut first: Option<&TunQueue> = None;
    for queue in queues {
        match queue {
            Queue::Offloading(queue) => {
                if let Some(first) = first {
                    queue.agree_as(first);
                } else {
                    queue.agree().map_err(setup::failed(name, "agree on offloads"))?;
                    first = Some(queue);
                }
            }
            Queue::Plain(plain) => {
                // Whoever had the device before may have left it with offloads on.
                sys::set_offloads(plain.file.as_fd(), Offloads::None)
                    .map_err(setup::failed(name, "switch the offloads off"))?;
            }
        }
    }
    Ok(())
}

/// Refuses a queue that would put something before the packets. What is no TUN at all passes: it
/// is its giver's business.
fn check_queue(name: &str, fd: BorrowedFd<'_>) -> Result<(), TunError> {
    match sys::tun_flags(fd).map(setup::misfit_of_queue) {
        Ok(Some(misfit)) => Err(setup::unfit(name, misfit)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The kernel says EBADFD, "file descriptor in bad state", of a queue whose interface was deleted;
/// ENODEV, "no such device", tells a person more.
fn as_gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EBADFD) => io::Error::from_raw_os_error(libc::ENODEV),
        _ => error,
    }
}

impl Device for Tun {
    fn capabilities(&self) -> Capabilities {
        match &self.queue {
            Queue::Offloading(queue) => queue.offloads().capabilities(self.mtu),
            Queue::Plain(_) => Capabilities::new(self.mtu),
        }
    }

    fn receive_burst(
        &mut self,
        _now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        self.is_drained = false;
        let mut count = 0;
        while count < max {
            match self.queue.read() {
                Ok(frame) => {
                    into.push_back(frame);
                    count += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What came before the error counts; the next call meets the error again.
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    fn transmit_burst(
        &mut self,
        _now: Instant,
        packets: &mut VecDeque<Outgoing>,
    ) -> io::Result<()> {
        let outcome = packets.iter().try_for_each(|packet| self.write(packet));
        packets.clear();
        outcome
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.queue.fd())
    }

    /// By a program in the kernel, which stays with the device for all of its queues; of a device
    /// that existed before it is taken back when this queue is dropped. Loading it
    /// needs `CAP_BPF` on most machines, so this is to be done before
    /// [privileges are given up](crate::drop_privileges); without it the kernel keeps to its way,
    /// which [`Tun::open_queues`] tells of.
    fn steer(&mut self, steering: &Steering) -> bool {
        let program = sys::load_program(&steering::program(steering));
        let outcome = program.and_then(|it| sys::set_steering(self.queue.fd(), Some(&it)));
        if let Err(error) = &outcome {
            log::debug!("the kernel does not steer packets to their queues: {error}");
        }
        self.is_steering |= outcome.is_ok();
        outcome.is_ok()
    }

    fn is_drained(&self) -> bool {
        self.is_drained
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn given(mtu: u32) -> (Tun, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Tun::from_fd(ours.into(), mtu).unwrap(), theirs)
    }

    fn outgoing(octets: &[u8]) -> Outgoing {
        let mut packet = Outgoing::default();
        let (head, payload) = octets.split_at(octets.len() / 2);
        packet.head.extend(head.iter().copied());
        packet.payload.push(payload.to_vec().into());
        packet
    }

    #[test]
    fn a_given_descriptor_carries_packets_both_ways_and_one_piece_each() {
        let (mut tun, peer) = given(1500);
        let mut packets = VecDeque::from([outgoing(&[1; 60]), outgoing(&[2; 40])]);
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert!(packets.is_empty());
        let mut octets = [0; 2000];
        assert_eq!(peer.recv(&mut octets).unwrap(), 60);
        assert_eq!(octets[..60], [1; 60]);
        assert_eq!(peer.recv(&mut octets).unwrap(), 40);

        for n in 1..=3 {
            peer.send(&[n; 1500]).unwrap();
        }
        let mut frames = VecDeque::new();
        assert_eq!(
            tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(),
            2,
            "no more than asked for"
        );
        assert!(!tun.is_drained(), "nobody has looked behind the second");
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(), 1);
        assert!(tun.is_drained());
        assert_eq!(
            tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(),
            0,
            "nothing waits, and nothing blocks"
        );
        let octets: Vec<_> = frames.iter().map(|frame| frame.octets().to_vec()).collect();
        assert_eq!(octets, [[1; 1500], [2; 1500], [3; 1500]]);
    }

    #[test]
    fn a_packet_without_room_is_dropped_and_counted_and_the_next_call_goes_on() {
        let (mut tun, peer) = given(1500);
        let mut sent = 0;
        while tun.dropped() == 0 {
            let mut packets = VecDeque::from([outgoing(&[5; 100])]);
            tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
            sent += 1;
            assert!(sent < 100_000, "the socket never fills");
        }
        let mut octets = [0; 200];
        let mut arrived = 0;
        while peer.recv(&mut octets).is_ok() {
            arrived += 1;
        }
        assert_eq!(arrived, sent - tun.dropped());
        let mut packets = VecDeque::from([outgoing(&[6; 100])]);
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert_eq!(peer.recv(&mut octets).unwrap(), 100);
    }

    #[test]
    fn a_peer_that_has_gone_is_an_error_and_leaves_no_packet_behind() {
        let (mut tun, peer) = given(1500);
        drop(peer);
        let mut packets = VecDeque::from([outgoing(&[5; 100]), outgoing(&[5; 100])]);
        assert!(tun.transmit_burst(Instant::ZERO, &mut packets).is_err());
        assert!(packets.is_empty());
    }

    #[test]
    fn an_empty_datagram_is_no_end_of_the_device_and_a_hang_up_is() {
        let (mut tun, peer) = given(1500);
        for packet in [&[][..], &[7; 40]] {
            peer.send(packet).unwrap();
        }
        let mut frames = VecDeque::new();
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 2);
        let lens: Vec<_> = frames.iter().map(|frame| frame.octets().len()).collect();
        assert_eq!(lens, [0, 40], "nobody can read the first, and it is dropped where all are");
        let (ours, peer) = UnixStream::pair().unwrap();
        drop(peer);
        let file = File::open("/dev/null").unwrap();
        for gone in [OwnedFd::from(ours), OwnedFd::from(file)] {
            let mut tun = Tun::from_fd(gone, 1500).unwrap();
            let error = tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        }
    }

    #[test]
    fn a_peer_of_datagrams_that_is_not_there_yet_is_no_end_of_the_device() {
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = ours.local_addr().unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let there = peer.local_addr().unwrap();
        drop(peer);
        ours.connect(there).unwrap();
        let mut tun = Tun::from_fd(ours.into(), 1500).unwrap();
        let mut frames = VecDeque::new();
        for _ in 0..3 {
            let mut packets = VecDeque::from([outgoing(&[1; 60]), outgoing(&[2; 60])]);
            tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
            assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 0);
        }
        assert!(tun.dropped() > 0, "what would have been the next is lost for the error");
        let peer = UdpSocket::bind(there).unwrap();
        peer.send_to(&[3; 40], here).unwrap();
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 1);
    }

    #[test]
    fn an_mtu_that_ipv4_does_not_allow_is_refused() {
        for mtu in [0, 67, 65_536] {
            let (ours, _theirs) = UnixDatagram::pair().unwrap();
            let error = Tun::from_fd(ours.into(), mtu).unwrap_err();
            assert!(matches!(error, TunError::MtuOutOfRange { .. }), "{mtu}");
        }
    }
}
