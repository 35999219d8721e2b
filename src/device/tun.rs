//! A TUN device: the kernel's end of the cable. One packet or super-segment a call, or many short
//! packets.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use tun_tap::{Iface, Mode};

use super::agreement::Offloads;
use super::lost_packet::is_about_one_packet;
use super::queue::{PlainQueue, Queue};
use super::setup::{self, TunConfig};
use super::sys::ring::{self, Ring};
use super::sys::{self, ControlSocket, Queues};
use super::tun_error::TunError;
use super::tun_queue::TunQueue;
use super::{Capabilities, Device, steering};
use crate::packet::{Frame, Outgoing};
use crate::time::Instant;
use crate::wire::Steering;

/// Fewest reads that a ring is asked for: each that finds nothing is a small waste.
const MANY_READS: usize = 8;

/// Fewest packets that a ring writes: for fewer it costs as much as it saves.
const MANY_WRITES: usize = 4;

/// Octets of the longest packet that a ring writes: one of an Ethernet's size is none too long. To
/// carry more by one call is what super-segments are for.
const SHORT: usize = 1600;

/// How often to try again for a device that somebody holds, and how long to wait before: a process
/// that was killed may hold it for a moment longer, until the kernel has ended its ring.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

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
    /// Carries many short packets by one call; `None` if nobody asked for that, or it cannot be.
    ring: Option<Ring>,
    name: Option<String>,
    was_made: bool,
    mtu: u32,
    dropped: u64,
    /// The last read found nothing.
    is_drained: bool,
    /// We have told the kernel how to choose among the queues.
    is_steering: bool,
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
        let mut tries = 0..BUSY_TRIES;
        loop {
            match Self::open_queues_now(config, count) {
                Err(TunError::Busy { .. }) if tries.next().is_some() => thread::sleep(BUSY_PAUSE),
                outcome => return outcome,
            }
        }
    }

    fn open_queues_now(config: &TunConfig, count: usize) -> Result<Vec<Self>, TunError> {
        let name = config.name.as_str();
        setup::check_driver()?;
        let control = ControlSocket::open().map_err(setup::failed(name, "open a socket"))?;
        let existing = control.index(name).map_err(setup::failed(name, "look the device up"))?;
        if let Some(index) = existing {
            setup::check_existing(name, index, count)?;
        } else if let Some(addr) = config.host_address {
            setup::check_address_is_free(name, addr)?;
        }

        let mut queues = attach_all(config, count, existing.is_some())
            .map_err(|source| setup::attach_error(name, existing.is_some(), source))?;
        // One that was there a moment ago may have gone with its owner, and this is another.
        let index = control.index(name).map_err(setup::failed(name, "look the device up"))?;
        let was_made = index != existing;
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
            if config.io_uring
                && let Err(error) = tun.use_io_uring()
            {
                log::debug!("no io_uring, each packet takes a call of its own: {error}");
            }
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
        Self {
            queue,
            ring: None,
            name: None,
            was_made: false,
            mtu,
            dropped: 0,
            is_drained: false,
            is_steering: false,
        }
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

    /// Has many short packets carried by one system call, by io_uring(7), wherever many come or
    /// leave at once: a server of small messages answers some tenth more of them. [`Tun::open`]
    /// does this by itself, unless [`TunConfig::io_uring`] says no.
    ///
    /// It takes addresses for 1 MiB, and memory for what stands there: a page for each of sixteen
    /// short packets. A TUN can be used so from Linux 6.4 on, a socket from 6.5; before, the first
    /// use finds that out, and each packet has a call of its own again. Of a process that forks one
    /// of the two should use the device from then on.
    ///
    /// # Errors
    ///
    /// What the kernel says: EPERM or ENOSYS where it, an administrator
    /// (`kernel.io_uring_disabled`) or a container forbids io_uring; EINVAL before Linux 5.6. The
    /// device goes on as it was.
    pub fn use_io_uring(&mut self) -> io::Result<()> {
        self.ring = Some(Ring::open(self.queue.fd())?);
        Ok(())
    }

    /// Reads what waits, if that may be much, by one call: up to `max` packets. Says whether no
    /// more were there.
    fn read_many(&mut self, into: &mut VecDeque<Frame>, max: usize) -> bool {
        let Some(ring) = self.ring.as_mut().filter(|_| max >= MANY_READS) else {
            return false;
        };
        match self.queue.read_many(ring, into, max) {
            Ok(is_drained) => is_drained,
            Err(error) => {
                self.give_ring_up(&error);
                false
            }
        }
    }

    /// Writes `packets` from `next` on by one call, as far as they are short and if that is many;
    /// says how many it wrote.
    fn write_many(&mut self, packets: &VecDeque<Outgoing>, next: usize) -> io::Result<usize> {
        let Some(ring) = &mut self.ring else { return Ok(0) };
        let rest = packets.range(next..);
        let short = rest.take_while(|packet| packet.len() <= SHORT).take(ring::WRITES_MAX);
        if short.clone().nth(MANY_WRITES - 1).is_none() {
            return Ok(0);
        }
        let count = short.take_while(|packet| self.queue.stage(ring, packet)).count();
        if count == 0 {
            return Ok(0);
        }
        let refused = match ring.write() {
            Ok(refused) => refused,
            Err(error) => {
                // They are written again, one by one: a link may carry a packet twice.
                self.give_ring_up(&error);
                return Ok(0);
            }
        };
        // Behind those that came after them, as on any link on which something went wrong.
        for packet in refused.into_iter().filter_map(|index| packets.get(next + index)) {
            self.write(packet)?;
        }
        Ok(count)
    }

    fn give_ring_up(&mut self, error: &io::Error) {
        log::info!("io_uring does not carry packets of this device, calls do: {error}");
        self.ring = None;
    }

    fn write_all(&mut self, packets: &VecDeque<Outgoing>) -> io::Result<()> {
        let mut next = 0;
        while let Some(packet) = packets.get(next) {
            let count = self.write_many(packets, next)?;
            if count == 0 {
                self.write(packet)?;
            }
            next += count.max(1);
        }
        Ok(())
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
                sys::set_offloads(plain.fd(), Offloads::None)
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
        let before = into.len();
        self.is_drained = self.read_many(into, max);
        let mut count = into.len() - before;
        while count < max && !self.is_drained {
            match self.queue.read() {
                Ok(frame) => {
                    into.push_back(frame);
                    count += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_drained = true,
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
        let outcome = self.write_all(packets);
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
#[path = "tests/tun.rs"]
mod tests;
