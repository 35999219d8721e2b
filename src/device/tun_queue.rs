//! A queue of a TUN with `IFF_VNET_HDR`: super-segments and partial checksums cross it both ways.
//!
//! On a TUN a packet costs a system call and a way through half of the kernel, whatever its size;
//! so one packet of 64 KiB for forty of 1,500 octets is what decides the speed of a bulk transfer.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::{Buf as _, Bytes};

use super::agreement::{self, Kernel, Offloads};
use super::packet_writer::write_packet;
use super::sys::{self, Queues};
use crate::packet::{Frame, Outgoing, SuperPool};
use crate::wire::virtio_net;

/// A queue with a `virtio_net_hdr` before each packet.
#[derive(Debug)]
pub(super) struct TunQueue {
    file: File,
    pool: SuperPool,
    /// What the kernel and we have agreed on.
    offloads: Offloads,
}

impl TunQueue {
    /// Attaches to the device `name`, and makes it if there is none; `queues` says of what kind.
    pub(super) fn attach(name: &str, queues: Queues) -> io::Result<Self> {
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | queues.flag();
        Ok(Self::new(sys::attach_tun(name, flags)?))
    }

    /// A queue that somebody else attached with `IFF_VNET_HDR`.
    pub(super) fn new(file: File) -> Self {
        Self { file, pool: SuperPool::default(), offloads: Offloads::None }
    }

    /// Agrees with the kernel on what crosses the queue. The device must be up: on one that is not
    /// nothing can be tried.
    pub(super) fn agree(&mut self) -> io::Result<()> {
        sys::set_header_len(self.file.as_fd(), virtio_net::LEN)?;
        self.offloads = agreement::agree(self)?;
        if self.offloads < Offloads::Tcp {
            log::warn!("the kernel takes no super-segments: packets cross the TUN one by one");
        } else if self.offloads < Offloads::TcpAndUdp {
            log::info!("the kernel splits no datagrams: they cross the TUN one by one");
        }
        Ok(())
    }

    /// What `first` has agreed on with the kernel, which is the same for all queues of a device.
    pub(super) fn agree_as(&mut self, first: &Self) {
        self.offloads = first.offloads;
    }

    /// What the kernel and we have agreed on.
    pub(super) fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// The next packet that waits; EAGAIN if none does.
    pub(super) fn read(&mut self) -> io::Result<Frame> {
        let file = self.file.as_fd();
        let octets = match self.pool.fill(|spare| sys::read_behind(file, spare)) {
            // The kernel had a packet for which it finds no header (`tun_put_user`: "unexpected
            // GSO type"), and has dropped it. The device is as well as before.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(no_packet()),
            outcome => outcome?,
        };
        frame(octets)
    }

    /// Writes one packet. EINVAL for one that leaves to the kernel what it cannot do.
    pub(super) fn write(&self, packet: &Outgoing) -> io::Result<()> {
        let header = virtio_net::emit(packet.offload, &packet.head)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        write_packet(&self.file, &header, packet)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Memory for packets that arrive.
    pub(super) fn pool(&mut self) -> &mut SuperPool {
        &mut self.pool
    }
}

/// The packet behind its header. EINVAL if there is less than a header.
pub(super) fn frame(mut octets: Bytes) -> io::Result<Frame> {
    let Some((&header, _)) = octets.split_first_chunk() else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    octets.advance(virtio_net::LEN);
    let Ok(offload) = virtio_net::parse(header, &octets) else {
        return Ok(no_packet()); // It was not asked for, or cannot be.
    };
    Ok(Frame::with_offload(octets, offload))
}

/// What comes in the place of a packet that nobody can read: it is dropped where all are.
pub(super) fn no_packet() -> Frame {
    Frame::new(Bytes::new())
}

impl Kernel for TunQueue {
    fn offer(&self, offloads: Offloads) -> io::Result<()> {
        sys::set_offloads(self.file.as_fd(), offloads)
    }

    fn carry(&self, packet: &Outgoing) -> io::Result<()> {
        self.write(packet)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::packet::{Checksum, Offload};

    /// The headers of IPv4 and TCP, as far as anybody here looks.
    const HEAD: [u8; 40] = {
        let mut head = [0; 40];
        (head[0], head[9]) = (0x45, 6);
        head
    };

    fn given() -> (TunQueue, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (TunQueue::new(File::from(OwnedFd::from(ours))), theirs)
    }

    #[test]
    fn a_packet_crosses_behind_its_header_in_one_piece() {
        let (queue, peer) = given();
        let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(1000) };
        let mut packet = Outgoing { offload, ..Outgoing::default() };
        packet.head.extend(HEAD);
        packet.payload.extend([Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        queue.write(&packet).unwrap();
        let mut octets = [0; 100];
        let len = peer.recv(&mut octets).unwrap();
        let header = virtio_net::emit(offload, &HEAD).unwrap();
        assert_eq!(octets[..len], [&header[..], &HEAD, b"abc"].concat());
    }

    #[test]
    fn what_arrives_says_what_was_left_to_us() {
        let (mut queue, peer) = given();
        let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(1000) };
        let header = virtio_net::emit(offload, &HEAD).unwrap();
        peer.send(&[&header[..], &HEAD, &[7; 3000]].concat()).unwrap();
        peer.send(&[&[0; virtio_net::LEN][..], b"plain"].concat()).unwrap();
        let large = queue.read().unwrap();
        assert_eq!((large.octets().len(), large.offload()), (3040, offload));
        assert_eq!(large.octets()[40..], [7; 3000]);
        let plain = queue.read().unwrap();
        assert_eq!((plain.octets(), plain.offload()), (&b"plain"[..], Offload::default()));
        assert_eq!(queue.read().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_header_that_nobody_understands_leaves_no_packet() {
        let (mut queue, peer) = given();
        let mut header = [0; virtio_net::LEN];
        header[1] = 77;
        peer.send(&[&header[..], b"x"].concat()).unwrap();
        assert!(queue.read().unwrap().octets().is_empty());
        peer.send(b"short").unwrap();
        assert!(queue.read().is_err(), "there is less than a header");
    }

    #[test]
    fn a_packet_for_which_the_kernel_finds_no_header_does_not_end_the_device() {
        // A file that cannot be read says what a TUN says of such a packet.
        let file = File::open("/proc/self/ns/net").unwrap();
        let mut queue = TunQueue::new(file);
        for _ in 0..3 {
            assert!(queue.read().unwrap().octets().is_empty());
        }
    }

    #[test]
    fn what_the_kernel_cannot_do_is_refused_before_it_is_asked() {
        let (queue, peer) = given();
        let offload = Offload { checksum: Checksum::Partial, segment: None };
        let mut packet = Outgoing { offload, ..Outgoing::default() };
        packet.head.push(0x45);
        assert_eq!(queue.write(&packet).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        peer.set_nonblocking(true).unwrap();
        assert!(peer.recv(&mut [0; 8]).is_err(), "nothing was written");
    }

    #[test]
    fn what_is_no_tun_agrees_on_nothing() {
        let (mut queue, _peer) = given();
        assert!(queue.agree().is_err());
        assert_eq!(queue.offloads(), Offloads::None);
    }
}
