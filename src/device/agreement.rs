//! What a queue and the kernel agree on: of the work that may be left undone as packets cross, as
//! much as the kernel takes on.

use std::io;
use std::num::NonZeroU16;

use bytes::Bytes;

use super::Capabilities;
use crate::packet::{Checksum, Offload, Outgoing};

/// What each end takes on of what the other would do before a packet crosses; each includes those
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Offloads {
    /// Nothing: each packet crosses as on a wire.
    None,
    /// The checksums of TCP and UDP.
    Checksums,
    /// Super-segments of TCP over IPv4, with and without CWR.
    Tcp,
    /// Datagrams that were sent together.
    TcpAndUdp,
}

impl Offloads {
    /// What a device of which this is known can do, for IP packets of at most `mtu` octets.
    pub(super) fn capabilities(self, mtu: u32) -> Capabilities {
        let whole = Capabilities::with_offload(mtu);
        Capabilities {
            checksum: self >= Self::Checksums,
            super_segment: if self >= Self::Tcp { whole.super_segment } else { 0 },
            super_datagrams: self >= Self::TcpAndUdp,
            ..whole
        }
    }

    /// Packets that make use of these, and that the kernel must take and then drop.
    fn probes(self) -> Vec<Outgoing> {
        let segment = NonZeroU16::new(PROBE_SEGMENT);
        match self {
            Self::None => Vec::new(),
            Self::Checksums => vec![probe(&TCP_PROBE, None)],
            Self::Tcp => vec![probe(&TCP_PROBE, segment)],
            Self::TcpAndUdp => vec![probe(&TCP_PROBE, segment), probe(&UDP_PROBE, segment)],
        }
    }
}

/// Octets of text that a probe carries, and those of its parts.
const PROBE_TEXT: usize = 1024;
const PROBE_SEGMENT: u16 = 512;

/// Headers from one address for documentation to another (RFC 5737); the checksum of IP is wrong.
const TCP_PROBE: [u8; 40] = [
    0x45, 0, 0x04, 0x28, 0, 0, 0x40, 0, 64, 6, 0xba, 0xd0, 192, 0, 2, 1, 192, 0, 2, 2, // IP
    0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0, // TCP
];
const UDP_PROBE: [u8; 28] = [
    0x45, 0, 0x04, 0x1c, 0, 0, 0x40, 0, 64, 17, 0xba, 0xd0, 192, 0, 2, 1, 192, 0, 2, 2, // IP
    0, 9, 0, 9, 0x04, 0x08, 0, 0, // UDP
];

fn probe(head: &[u8], segment: Option<NonZeroU16>) -> Outgoing {
    let offload = Offload { checksum: Checksum::Partial, segment };
    let mut packet = Outgoing { offload, ..Outgoing::default() };
    packet.head.extend(head.iter().copied());
    packet.payload.push(Bytes::from_static(&[0; PROBE_TEXT]));
    packet
}

/// The other end of a queue.
pub(super) trait Kernel {
    /// Says what may come from it.
    fn offer(&self, offloads: Offloads) -> io::Result<()>;

    /// Writes a packet to it.
    fn carry(&self, packet: &Outgoing) -> io::Result<()>;
}

/// Agrees on as much as the kernel takes on, and says on what. An error: it refuses even that
/// nothing is left undone.
///
/// What a kernel says is not enough: some of 2024 agree to super-segments and then refuse every one
/// (EINVAL). So each kind is tried as well.
pub(super) fn agree(kernel: &impl Kernel) -> io::Result<Offloads> {
    for offloads in [Offloads::TcpAndUdp, Offloads::Tcp, Offloads::Checksums] {
        let works = |probe: &Outgoing| kernel.carry(probe).is_ok();
        if kernel.offer(offloads).is_ok() && offloads.probes().iter().all(works) {
            return Ok(offloads);
        }
    }
    kernel.offer(Offloads::None)?;
    Ok(Offloads::None)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::wire::ipv4::{Ipv4Header, PROTOCOL_UDP};

    type Taking = fn(&Outgoing) -> bool;

    /// A kernel that takes on what it takes on, whatever it says.
    struct Scripted {
        /// The most that it agrees to; `None`: it refuses every request.
        says: Option<Offloads>,
        /// Whether it takes a packet.
        takes: Taking,
        /// What it was last asked for and agreed to.
        agreed: RefCell<Option<Offloads>>,
        probes: RefCell<Vec<Outgoing>>,
    }

    fn error() -> io::Error {
        io::Error::from_raw_os_error(libc::EINVAL)
    }

    impl Kernel for Scripted {
        fn offer(&self, offloads: Offloads) -> io::Result<()> {
            if self.says.is_none_or(|most| offloads > most) {
                return Err(error());
            }
            self.agreed.replace(Some(offloads));
            Ok(())
        }

        fn carry(&self, packet: &Outgoing) -> io::Result<()> {
            self.probes.borrow_mut().push(packet.clone());
            if (self.takes)(packet) { Ok(()) } else { Err(error()) }
        }
    }

    fn scripted(says: Option<Offloads>, takes: Taking) -> Scripted {
        Scripted { says, takes, agreed: RefCell::default(), probes: RefCell::default() }
    }

    fn is_udp(packet: &Outgoing) -> bool {
        packet.head[9] == PROTOCOL_UDP
    }

    fn is_whole(packet: &Outgoing) -> bool {
        packet.offload.segment.is_none()
    }

    #[test]
    fn as_much_is_agreed_on_as_the_kernel_says_and_does() {
        use Offloads::{Checksums, None as Nothing, Tcp, TcpAndUdp};
        let all: Taking = |_| true;
        for (case, says, takes, expected) in [
            ("Linux from 6.2 on", TcpAndUdp, all, TcpAndUdp),
            ("Linux before 6.2", Tcp, all, Tcp),
            ("it splits no datagrams, though it says so", TcpAndUdp, |packet| !is_udp(packet), Tcp),
            ("it splits nothing, though it says so", TcpAndUdp, is_whole, Checksums),
            ("the same before 6.2", Tcp, is_whole, Checksums),
            ("checksums only", Checksums, all, Checksums),
            ("it says that it sums, and takes no packet", Checksums, |_| false, Nothing),
            ("it says everything, and takes no packet", TcpAndUdp, |_| false, Nothing),
            ("nothing", Nothing, all, Nothing),
        ] {
            let kernel = scripted(Some(says), takes);
            assert_eq!(agree(&kernel).ok(), Some(expected), "{case}");
            // What may come to us is what we know that we can be given, and no more.
            assert_eq!(*kernel.agreed.borrow(), Some(expected), "{case}");
        }
    }

    #[test]
    fn a_kernel_that_refuses_every_request_is_an_error() {
        let kernel = scripted(None, |_| true);
        assert_eq!(agree(&kernel).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(kernel.probes.borrow().is_empty(), "nothing is tried that was refused");
    }

    #[test]
    fn a_probe_is_a_packet_whose_ip_checksum_alone_is_wrong() {
        let kernel = scripted(Some(Offloads::TcpAndUdp), |_| false);
        assert!(agree(&kernel).is_ok());
        let probes = kernel.probes.borrow();
        assert_eq!(probes.len(), 3, "one for each request, since none was taken");
        let more = Offloads::TcpAndUdp.probes();
        for packet in probes.iter().chain(&more) {
            let frame = packet.to_frame();
            let mut octets = frame.octets().to_vec();
            assert_eq!(
                Ipv4Header::parse(&octets).map(drop),
                Err(crate::wire::ParseError::Checksum)
            );
            let view = Ipv4Header::parse_quoted(&octets).unwrap();
            let mut head = crate::packet::Head::new();
            view.header.emit(octets.len() - view.header_len, &mut head).unwrap();
            octets[10..12].copy_from_slice(&head[10..12]);
            assert_eq!(octets[..20], head[..], "nothing else is wrong");
        }
    }

    #[test]
    fn a_device_offers_what_was_agreed_on() {
        for (offloads, checksum, super_segment, super_datagrams) in [
            (Offloads::None, false, 0, false),
            (Offloads::Checksums, true, 0, false),
            (Offloads::Tcp, true, 65_535, false),
            (Offloads::TcpAndUdp, true, 65_535, true),
        ] {
            let expected = Capabilities { mtu: 1400, checksum, super_segment, super_datagrams };
            assert_eq!(offloads.capabilities(1400), expected);
        }
    }
}
