//! What carries packets: a TUN device, an in-memory link, and wrappers around any of them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use crate::config::InterfaceConfig;
use crate::packet::{Frame, Outgoing};
use crate::time::Instant;
use crate::wire::Steering;

mod agreement;
mod capture;
mod impair;
mod impairment;
mod link;
mod lost_packet;
mod netlink;
mod offload;
mod packet_writer;
mod privileges;
mod queue;
mod setup;
mod steering;
mod sys;
mod tun;
mod tun_error;
mod tun_queue;

pub(crate) use self::offload::carry_out;
#[cfg(any(test, feature = "sim"))]
pub(crate) use self::offload::carry_out_arrived;

pub use self::capture::Capture;
pub use self::impair::{Impair, Statistics};
pub use self::impairment::{Burst, Chance, Impairment, InvalidImpairment};
pub use self::link::{Link, Spread};
pub use self::privileges::drop_privileges;
pub use self::setup::TunConfig;
pub use self::tun::Tun;
pub use self::tun_error::{Misfit, TunError};

/// What a device can do. What arrives may make use of all of it, whatever is said here: each
/// [`Frame`] says for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Largest IP packet, octets.
    pub mtu: u32,
    /// Whether packets may leave with [partial](crate::Checksum::Partial) checksums.
    pub checksum: bool,
    /// Largest super-segment that may leave, octets of a packet; 0 if the device splits none.
    pub super_segment: u32,
    /// Whether it splits datagrams of UDP that leave in one packet.
    pub super_datagrams: bool,
}

impl Capabilities {
    /// A device without offloads, for IP packets of at most `mtu` octets.
    pub const fn new(mtu: u32) -> Self {
        Self { mtu, checksum: false, super_segment: 0, super_datagrams: false }
    }

    /// A device that completes checksums and splits packets of up to 65,535 octets, be they TCP or
    /// UDP.
    pub const fn with_offload(mtu: u32) -> Self {
        Self { mtu, checksum: true, super_segment: 65_535, super_datagrams: true }
    }

    /// Tells an interface what its device can do, so that the stack makes use of it; the MTU
    /// becomes no larger. [`Net`](crate::Net) does that by itself.
    ///
    /// ```
    /// use wharf::{Device, Link, Seed, Stack, StackConfig};
    ///
    /// let (device, _peer) = Link::pair(1400);
    /// let mut config = StackConfig::new("10.7.0.2/24".parse()?);
    /// device.capabilities().apply_to(&mut config.interface);
    /// assert_eq!(config.interface.mtu, 1400);
    /// let stack = Stack::new(config, Seed::from_number(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn apply_to(self, interface: &mut InterfaceConfig) {
        interface.mtu = interface.mtu.min(self.mtu);
        interface.checksum_offload = self.checksum;
        interface.super_segment = self.super_segment;
        interface.super_datagrams = self.super_datagrams;
    }
}

/// Something that carries IP packets to and from the rest of the world. No call blocks.
///
/// An error is for a device that is gone, such as a TUN whose interface was deleted; a single
/// packet that cannot be carried is dropped, as a link does.
///
/// # Examples
///
/// A tunnel that hands over a packet a datagram, as a VPN program might:
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::{self, ErrorKind};
/// use std::os::fd::{AsFd, BorrowedFd};
/// use std::os::unix::net::UnixDatagram;
/// use wharf::{Capabilities, Device, Frame, Instant, Outgoing};
///
/// struct Tunnel(UnixDatagram); // Non-blocking.
///
/// impl Device for Tunnel {
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::new(1400)
///     }
///
///     fn receive_burst(
///         &mut self,
///         _now: Instant,
///         into: &mut VecDeque<Frame>,
///         max: usize,
///     ) -> io::Result<usize> {
///         let mut buffer = [0; 1400];
///         for count in 0..max {
///             match self.0.recv(&mut buffer) {
///                 Ok(len) => into.push_back(Frame::new(buffer[..len].to_vec())),
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(count),
///                 Err(error) => return Err(error),
///             }
///         }
///         Ok(max)
///     }
///
///     fn transmit_burst(
///         &mut self,
///         _now: Instant,
///         packets: &mut VecDeque<Outgoing>,
///     ) -> io::Result<()> {
///         for packet in packets.drain(..) {
///             // What finds no room is lost, as on any link.
///             let _ = self.0.send(packet.to_frame().octets());
///         }
///         Ok(())
///     }
///
///     fn fd(&self) -> Option<BorrowedFd<'_>> {
///         Some(self.0.as_fd())
///     }
/// }
///
/// # use std::io::Read;
/// # use wharf::net::{TcpListener, TcpStream};
/// # use wharf::{Net, StackConfig};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (near, far) = UnixDatagram::pair()?;
/// near.set_nonblocking(true)?;
/// far.set_nonblocking(true)?;
/// let server = Net::start(Tunnel(near), StackConfig::new("10.7.0.2/24".parse()?))?;
/// let client = Net::start(Tunnel(far), StackConfig::new("10.7.0.1/24".parse()?))?;
/// # let listener = TcpListener::bind(&server, "0.0.0.0:7")?;
/// # let mut stream = TcpStream::connect(&client, "10.7.0.2:7")?;
/// # drop(listener.accept()?);
/// # assert_eq!(stream.read(&mut [0; 1])?, 0);
/// # Ok(())
/// # }
/// ```
pub trait Device: Send {
    /// What the device can do; fixed for its life.
    fn capabilities(&self) -> Capabilities;

    /// Appends packets that have arrived to `into`, at most `max`, and says how many. Fewer than
    /// `max` do not say that none is left: see [`is_drained`](Self::is_drained).
    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize>;

    /// Sends `packets`, in order, and leaves the queue empty.
    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()>;

    /// What polls readable when packets wait. `None` for a device that lives in virtual time.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether the last burst took all that was there, so that [`fd`](Self::fd) becomes readable
    /// anew with the next packet. `false` says that this is not known, and costs a system call a
    /// burst; a device that drops some of what it reads is never sure.
    fn is_drained(&self) -> bool {
        false
    }

    /// Asks that each packet may arrive by the queue that `steering` says, of several that the
    /// device has; those were opened together, and one of them asks for all. Whether it will be
    /// so. `false`, as ever for a device of one queue: then packets may arrive by any.
    fn steer(&mut self, _steering: &Steering) -> bool {
        false
    }

    /// When a packet that the device itself holds back is due: then `transmit_burst` (with or
    /// without packets) and `receive_burst` have something to do though no fd is readable. A
    /// moment in the past means at once.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Writes out what is buffered, such as a capture; called when the runtime stops.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Device for Box<dyn Device> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        (**self).receive_burst(now, into, max)
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        (**self).transmit_burst(now, packets)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).fd()
    }

    fn is_drained(&self) -> bool {
        (**self).is_drained()
    }

    fn steer(&mut self, steering: &Steering) -> bool {
        (**self).steer(steering)
    }

    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }
}
