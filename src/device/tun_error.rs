//! Why there is no TUN, in sentences that say what to do about it.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use super::setup::QUEUES_MAX;
use crate::config::{MTU_MAX, MTU_MIN};
use crate::wire::Ipv4Cidr;

/// Why a TUN could not be opened. Its text is one sentence that says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum TunError {
    /// No interface can have this name.
    NameInvalid {
        /// The name that was asked for.
        name: String,
    },
    /// The MTU is out of range.
    MtuOutOfRange {
        /// The MTU that was asked for, octets.
        mtu: u32,
    },
    /// A queue that holds no packet was asked for.
    QueueEmpty,
    /// A device has one queue at least and 256 at most.
    QueueCount {
        /// How many were asked for.
        count: usize,
    },
    /// No host can have this address.
    AddressInvalid {
        /// The address that was asked for.
        addr: Ipv4Cidr,
    },
    /// Another interface has the address already.
    AddressInUse {
        /// The address that was asked for.
        addr: Ipv4Addr,
        /// Which interface has it.
        interface: String,
    },
    /// The machine has no TUN driver, or this place no `/dev/net/tun`.
    NoDriver {
        /// What opening `/dev/net/tun` said.
        source: io::Error,
    },
    /// `/dev/net/tun` is there but may not be opened.
    DriverDenied {
        /// What opening `/dev/net/tun` said.
        source: io::Error,
    },
    /// The privilege to make the device, or to attach to it, is missing.
    NotPrivileged {
        /// The device that was asked for.
        name: String,
        /// Whether it exists already.
        exists: bool,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another program holds the device's only queue, or made the device for queues of its own.
    Busy {
        /// The device that was asked for.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An interface of this name exists, but is none that such a queue can attach to.
    Unfit {
        /// The interface that was asked for.
        name: String,
        /// What does not fit.
        misfit: Misfit,
    },
    /// The device exists, is down, and may not be brought up by this program.
    Down {
        /// The device that was asked for.
        name: String,
        /// What bringing it up said.
        source: io::Error,
    },
    /// A step of the set-up failed that seldom does.
    SetUp {
        /// The device that was asked for.
        name: String,
        /// What was tried, to follow "cannot".
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What about an existing interface does not fit a TUN queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// It is no TUN at all but another interface.
    NotTun,
    /// It is a TAP: it carries Ethernet frames.
    Tap,
    /// It takes one queue alone, and several were asked for.
    SingleQueue,
    /// It puts four octets of packet information before each packet.
    PacketInfo,
    /// The kernel refuses the queue and does not say why.
    Refused,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTun => "is no TUN device",
            Self::Tap => "is a TAP device and carries Ethernet frames",
            Self::SingleQueue => "was made for one queue",
            Self::PacketInfo => "puts packet information before each packet (pi)",
            Self::Refused => "does not take a plain TUN queue",
        })
    }
}

impl fmt::Display for TunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameInvalid { name } => write!(
                f,
                "{name:?} cannot be an interface's name: take 1 to 15 letters, digits, '-', '_' \
                 or '.'"
            ),
            Self::MtuOutOfRange { mtu } => {
                write!(f, "the MTU is {mtu}, but must be {MTU_MIN} to {MTU_MAX}")
            }
            Self::QueueEmpty => f.write_str("the queue length must be at least 1"),
            Self::QueueCount { count } => {
                write!(f, "{count} queues: a device has 1 to {QUEUES_MAX}")
            }
            Self::AddressInvalid { addr } => write!(
                f,
                "{addr} cannot be the address of the host's side: take one such as 10.7.0.1/24"
            ),
            Self::AddressInUse { addr, interface } => write!(
                f,
                "the address {addr} is in use by the interface {interface}: choose another \
                 address or remove that interface"
            ),
            Self::NoDriver { .. } => f.write_str(
                "there is no /dev/net/tun: load the driver (modprobe tun), or pass the device on \
                 to the container (--device /dev/net/tun)",
            ),
            Self::DriverDenied { .. } => f.write_str(
                "/dev/net/tun may not be opened: run as root, or allow this user or container to \
                 use it",
            ),
            Self::NotPrivileged { name, exists, .. } => fmt_not_privileged(f, name, *exists),
            Self::Busy { name, .. } => write!(
                f,
                "{name} is in use by another program: stop that program or choose another name"
            ),
            Self::Unfit { name, misfit } => write!(
                f,
                "{name} {misfit}: choose another name, or make it anew (ip tuntap add dev {name} \
                 mode tun{})",
                if *misfit == Misfit::SingleQueue { " multi_queue" } else { "" }
            ),
            Self::Down { name, .. } => write!(
                f,
                "{name} is down and may not be brought up from here: have an administrator do so \
                 (ip link set {name} up)"
            ),
            Self::SetUp { name, step, source } => {
                write!(f, "cannot {step} for {name}: {source}")
            }
        }
    }
}

fn fmt_not_privileged(f: &mut fmt::Formatter<'_>, name: &str, exists: bool) -> fmt::Result {
    if exists {
        write!(
            f,
            "{name} belongs to another user: run as that user or as root, or choose another name"
        )
    } else {
        write!(
            f,
            "no privilege to make {name}: run as root or with CAP_NET_ADMIN, or have it made for \
             this user (ip tuntap add dev {name} mode tun user USER)"
        )
    }
}

impl std::error::Error for TunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NameInvalid { .. }
            | Self::MtuOutOfRange { .. }
            | Self::QueueEmpty
            | Self::QueueCount { .. }
            | Self::AddressInvalid { .. }
            | Self::AddressInUse { .. }
            | Self::Unfit { .. } => None,
            Self::NoDriver { source }
            | Self::DriverDenied { source }
            | Self::NotPrivileged { source, .. }
            | Self::Busy { source, .. }
            | Self::Down { source, .. }
            | Self::SetUp { source, .. } => Some(source),
        }
    }
}
