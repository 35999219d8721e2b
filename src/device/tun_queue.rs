//! A queue of a TUN with `IFF_VNET_HDR`: super-segments and partial checksums cross it both ways.
//!
//! On a TUN a packet costs a system call and a way through half of the kernel, whatever its size;
//! so one packet of 64 KiB for forty of 1,500 octets is what decides the speed of a bulk transfer.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd};

use smallvec::SmallVec;

use super::sys::{self, Offloads, Queues};
use crate::packet::{Checksum, Frame, Offload, Outgoing, SuperPool};
use crate::wire::virtio_net;

/// A packet that the kernel must take and then drop: a super-segment whose IP header has a wrong
/// checksum. It goes from one address for documentation to another (RFC 5737).
const PROBE: [u8; 40] = [
    0x45, 0, 0x04, 0x28, 0, 0, 0x40, 0, 64, 6, 0xba, 0xd0, 192, 0, 2, 1, 192, 0, 2, 2, // IP
    0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0, // TCP
];

/// Octets of text that the probe carries, and those of its segments.
const PROBE_TEXT: usize = 1024;
const PROBE_SEGMENT: u16 = 512;

/// A queue with a `virtio_net_hdr` before each packet.
#[derive(Debug)]
pub(super) struct TunQueue {
    file: File,
    pool: SuperPool,
    /// Whether the kernel takes super-segments.
    is_splitting: bool,
}

impl TunQueue {
    /// Attaches to the device `name`, and makes it if there is none; `queues` says of what kind.
    pub(super) fn attach(name: &str, queues: Queues) -> io::Result<Self> {
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | queues.flag();
        Ok(Self::new(sys::attach_tun(name, flags)?))
    }

    /// A queue that somebody else attached with `IFF_VNET_HDR`.
    pub(super) fn new(file: File) -> Self {
        Self { file, pool: SuperPool::default(), is_splitting: false }
    }

    /// Agrees with the kernel on what crosses the queue. The device must be up: on one that is not
    /// nothing can be tried.
    pub(super) fn agree(&mut self) -> io::Result<()> {
        sys::set_header_len(self.file.as_fd(), virtio_net::LEN)?;
        self.is_splitting = sys::set_offloads(self.file.as_fd(), Offloads::Tcp).is_ok()
            && self.takes_super_segments();
        if !self.is_splitting {
            log::warn!("the kernel takes no super-segments: packets cross the TUN one by one");
            sys::set_offloads(self.file.as_fd(), Offloads::None)?;
        }
        Ok(())
    }

    /// What `first` has agreed on with the kernel, which is the same for all queues of a device.
    pub(super) fn agree_as(&mut self, first: &Self) {
        self.is_splitting = first.is_splitting;
    }

    /// Whether the kernel takes super-segments; some of 2024 refuse every one (EINVAL).
    fn takes_super_segments(&self) -> bool {
        let offload =
            Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(PROBE_SEGMENT) };
        let mut probe = Outgoing { offload, ..Outgoing::default() };
        probe.head.extend(PROBE);
        probe.payload.push(bytes::Bytes::from_static(&[0; PROBE_TEXT]));
        self.write(&probe).is_ok()
    }

    /// Whether super-segments and partial checksums may be written.
    pub(super) fn is_splitting(&self) -> bool {
        self.is_splitting
    }

    /// The next packet that waits; EAGAIN if none does.
    pub(super) fn read(&mut self) -> io::Result<Frame> {
        let mut header = [0; virtio_net::LEN];
        let file = self.file.as_fd();
        let octets = self.pool.fill(|spare| sys::read_behind(file, &mut header, spare))?;
        let Ok(offload) = virtio_net::parse(header) else {
            // It was not asked for; as a packet of an unknown kind it is dropped where all are.
            return Ok(Frame::new(bytes::Bytes::new()));
        };
        Ok(Frame::with_offload(octets, offload))
    }

    /// Writes one packet. EINVAL for one that leaves to the kernel what it cannot do.
    pub(super) fn write(&self, packet: &Outgoing) -> io::Result<()> {
        let header = virtio_net::emit(packet.offload, &packet.head)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let mut slices: SmallVec<[IoSlice<'_>; 12]> = SmallVec::new();
        slices.push(IoSlice::new(&header));
        slices.extend(packet.slices().map(IoSlice::new));
        (&self.file).write_vectored(&slices).map(drop)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use bytes::Bytes;

    use super::*;

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
        packet.head.extend(PROBE);
        packet.payload.extend([Bytes::from_static(b"ab"), Bytes::from_static(b"c")]);
        queue.write(&packet).unwrap();
        let mut octets = [0; 100];
        let len = peer.recv(&mut octets).unwrap();
        let header = virtio_net::emit(offload, &PROBE).unwrap();
        assert_eq!(octets[..len], [&header[..], &PROBE, b"abc"].concat());
    }

    #[test]
    fn what_arrives_says_what_was_left_to_us() {
        let (mut queue, peer) = given();
        let offload = Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(1000) };
        let header = virtio_net::emit(offload, &PROBE).unwrap();
        peer.send(&[&header[..], &PROBE, &[7; 3000]].concat()).unwrap();
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
        assert!(!queue.is_splitting());
    }
}
