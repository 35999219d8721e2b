//! A queue of a device, whatever crosses it: one packet a call, or many short ones.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::raw::c_int;

use tun_tap::Iface;

use super::lost_packet::{is_about_one_datagram, is_icmp_about_one_datagram};
use super::packet_writer::write_packet;
use super::sys;
use super::sys::ring::Ring;
use super::tun_queue::{self, TunQueue, no_packet};
use crate::packet::{Frame, Outgoing, SuperPool};
use crate::wire::virtio_net;

/// What packets are read from and written to.
#[derive(Debug)]
pub(super) enum Queue {
    Plain(PlainQueue),
    Offloading(TunQueue),
}

/// A queue of packets and nothing else.
#[derive(Debug)]
pub(super) struct PlainQueue {
    file: File,
    pool: SuperPool,
    /// It is no TUN, and its packets travel in datagrams.
    is_ip_socket: bool,
    /// The only queue of a device, which we attached and which `file` is a duplicate of.
    _interface: Option<Iface>,
}

impl PlainQueue {
    /// A descriptor that somebody handed to us, or one of several queues.
    pub(super) fn new(file: File) -> Self {
        let is_ip_socket = sys::is_ip_socket(file.as_fd());
        Self { file, pool: SuperPool::default(), is_ip_socket, _interface: None }
    }

    /// The only queue of a device.
    pub(super) fn attached(interface: Iface) -> io::Result<Self> {
        let descriptor = sys::descriptor_of(&interface).try_clone_to_owned()?;
        Ok(Self { _interface: Some(interface), ..Self::new(File::from(descriptor)) })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
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
    /// The next packet that waits; EAGAIN if none does.
    pub(super) fn read(&mut self) -> io::Result<Frame> {
        match self {
            Self::Plain(plain) => plain.read(),
            Self::Offloading(queue) => queue.read(),
        }
        .map_err(as_gone)
    }

    /// Writes one packet.
    pub(super) fn write(&mut self, packet: &Outgoing) -> io::Result<()> {
        match self {
            Self::Plain(plain) => plain.write(packet),
            Self::Offloading(queue) => queue.write(packet),
        }
        .map_err(as_gone)
    }

    /// Reads up to `max` packets by one call, appends them to `into`, and says whether no more
    /// were there. If more were, or a read failed, [`read`](Self::read) goes on.
    ///
    /// # Errors
    ///
    /// The ring is of no use any more.
    pub(super) fn read_many(
        &mut self,
        ring: &mut Ring,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<bool> {
        let is_drained = ring.read(max)?;
        for octets in ring.arrived() {
            into.push_back(self.frame(octets));
        }
        Ok(is_drained)
    }

    /// Hands a packet to `ring`, which will write it; says whether it takes it.
    pub(super) fn stage(&self, ring: &mut Ring, packet: &Outgoing) -> bool {
        match self {
            Self::Plain(_) => ring.stage(packet.slices()),
            Self::Offloading(_) => virtio_net::emit(packet.offload, &packet.head)
                .is_some_and(|header| ring.stage(iter::once(&header[..]).chain(packet.slices()))),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(plain) => plain.file.as_fd(),
            Self::Offloading(queue) => queue.fd(),
        }
    }

    /// A packet of octets that were read elsewhere.
    fn frame(&mut self, octets: &[u8]) -> Frame {
        let pool = match self {
            Self::Plain(plain) => &mut plain.pool,
            Self::Offloading(queue) => queue.pool(),
        };
        let octets = pool.copy(octets);
        match self {
            Self::Plain(_) => Frame::new(octets),
            Self::Offloading(_) => tun_queue::frame(octets).unwrap_or_else(|_| no_packet()),
        }
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
