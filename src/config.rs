//! How a stack is set up. Checked once, when the stack is made, so that no code below has to.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use crate::packet::{Checksum, HEAD_MAX, Offload};
use crate::tcp::TcpConfig;
use crate::wire::Ipv4Cidr;

/// Least MTU that every IPv4 host must take (RFC 791 §3.1).
pub(crate) const MTU_MIN: u32 = 68;

/// Largest MTU: the total length of an IPv4 packet has 16 bits.
pub(crate) const MTU_MAX: u32 = 65_535;

/// A whole stack: one interface, TCP, and limits.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wharf::{ConfigError, StackConfig};
///
/// let mut config = StackConfig::new("10.7.0.2/24".parse()?);
/// config.interface.mtu = 1400; // Octets of an IP packet.
/// config.tcp.receive_buffer = 1 << 20; // Octets.
/// config.tcp.time_wait = Duration::from_secs(10);
/// assert_eq!(config.validate(), Ok(()));
/// config.tcp.ack_delay = Duration::from_millis(500);
/// assert_eq!(config.validate(), Err(ConfigError::AckDelayTooLong));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StackConfig {
    /// The interface.
    pub interface: InterfaceConfig,
    /// How TCP behaves.
    pub tcp: TcpConfig,
    /// What bounds the stack's memory.
    pub limits: Limits,
}

/// One interface with its addresses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InterfaceConfig {
    /// Our addresses, each with its network; the first is the default source.
    pub addresses: Vec<Ipv4Cidr>,
    /// Largest IP packet, 68 to 65,535 octets. 1500, as on an Ethernet.
    pub mtu: u32,
    /// Whether packets to any unicast address are taken in, for listeners that ask for any
    /// destination (`set_any_destination`). Off.
    pub any_destination: bool,
    /// Whether TCP and UDP leave checksums to the device. Off; [`Net`](crate::Net) asks its device.
    pub checksum_offload: bool,
    /// Largest super-segment that the device splits, octets of a packet, 65,535 at most; 0 if it
    /// splits none. Who splits completes the checksums. 0; [`Net`](crate::Net) asks its device, and
    /// splits by itself where that does not.
    pub super_segment: u32,
    /// Whether the device splits datagrams that were sent together
    /// ([`Stack::send_segments_to`](crate::Stack::send_segments_to)). It must complete checksums
    /// too. Off; [`Net`](crate::Net) asks its device.
    pub super_datagrams: bool,
}

impl InterfaceConfig {
    /// What TCP and UDP leave of a checksum to the device.
    pub(crate) fn checksum(&self) -> Checksum {
        if self.checksum_offload { Checksum::Partial } else { Checksum::Complete }
    }

    /// What the device does for a segment of TCP, or for a super-segment of such parts.
    pub(crate) fn offload(&self, segment: Option<NonZeroU16>) -> Offload {
        let checksum = if segment.is_some() { Checksum::Partial } else { self.checksum() };
        Offload { checksum, segment }
    }

    /// Whether datagrams that were sent together may leave together.
    pub(crate) fn splits_datagrams(&self) -> bool {
        self.checksum_offload && self.super_datagrams
    }

    /// Octets of text that a super-segment may have beside the longest headers; 0 for none.
    pub(crate) fn super_text(&self) -> u32 {
        self.super_segment.saturating_sub(u32::try_from(HEAD_MAX).unwrap_or(0))
    }
}

/// What bounds the stack's memory, whatever arrives.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// TCP connections in all states, half-open ones included and TIME-WAIT not: what has ended
    /// keeps nobody out. 1,048,576.
    pub connections_max: usize,
    /// Records in TIME-WAIT; beyond it the one that would end first makes room. 262,144, the most
    /// that Linux takes by itself (`tcp_max_tw_buckets`).
    pub time_wait_max: usize,
    /// Connections that no socket holds and that still have something to say; beyond it the oldest
    /// is reset. 65,536, as Linux on a machine of its usual size (`tcp_max_orphans`).
    pub orphans_max: usize,
    /// Sockets of all kinds. 1,048,576 + 65,536.
    pub sockets_max: usize,
    /// Octets that all TCP buffers may hold together. At the limit no window grows that has more
    /// than 4 KiB, or two segments, to be read, out-of-order data is refused, a SYN offers a window
    /// of one segment, and a connection takes no more than 4 KiB to send, until a quarter is free
    /// again; what has been promised is kept. Packets that are kept by reference may hold an eighth
    /// more than what counts here. 2 GiB.
    pub memory_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1 << 20,
            time_wait_max: 1 << 18,
            orphans_max: 1 << 16,
            sockets_max: (1 << 20) + (1 << 16),
            memory_max: 2 << 30,
        }
    }
}

impl StackConfig {
    /// A stack with one address; everything else has its default.
    pub fn new(address: Ipv4Cidr) -> Self {
        Self {
            interface: InterfaceConfig {
                addresses: vec![address],
                mtu: 1500,
                any_destination: false,
                checksum_offload: false,
                super_segment: 0,
                super_datagrams: false,
            },
            tcp: TcpConfig::default(),
            limits: Limits::default(),
        }
    }

    /// Checked once, when a stack is made; call it to know before.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be: [`ConfigError`] says what it may be instead.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.interface.addresses.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        let addresses = &self.interface.addresses;
        // What is the broadcast of one network would be no address of ours in another.
        let is_broadcast = |addr| addresses.iter().any(|cidr| cidr.broadcast() == Some(addr));
        let is_bad = |cidr: &&Ipv4Cidr| !is_host(cidr.addr()) || is_broadcast(cidr.addr());
        if let Some(&bad) = addresses.iter().find(is_bad) {
            return Err(ConfigError::AddressNotUnicast(bad));
        }
        if !(MTU_MIN..=MTU_MAX).contains(&self.interface.mtu) {
            return Err(ConfigError::Mtu(self.interface.mtu));
        }
        if self.interface.super_segment > MTU_MAX {
            return Err(ConfigError::SuperSegment(self.interface.super_segment));
        }
        self.tcp.validate()
    }
}

/// Whether a host may have this address, in whatever network it is (RFC 1122 §3.2.1.3): not 0/8,
/// not loopback, no group and not 240/4.
fn is_host(addr: Ipv4Addr) -> bool {
    matches!(addr.octets(), [1..=126 | 128..=223, ..])
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The interface has no address.
    NoAddress,
    /// A host cannot have this address.
    AddressNotUnicast(Ipv4Cidr),
    /// The MTU is out of range.
    Mtu(u32),
    /// A super-segment larger than an IP packet can be.
    SuperSegment(u32),
    /// An acknowledgment may be held back for less than 500 ms (RFC 9293 §3.8.6.3, MUST-40).
    AckDelayTooLong,
    /// A buffer holds from 2 KiB to 1 GiB.
    BufferSize(u32),
    /// A backlog holds at least one connection.
    BacklogZero,
    /// A time-out or an interval is zero, or its lower bound lies above its upper.
    BadTimeout,
    /// An initial window has 1 to 1000 segments.
    InitialWindow(u32),
    /// The ephemeral ports begin at 0, or end before they begin.
    PortRange(u16, u16),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("give the interface at least one address"),
            Self::AddressNotUnicast(addr) => write!(f, "{addr} cannot be a host's address"),
            Self::Mtu(mtu) => write!(f, "the MTU is {mtu}, but must be {MTU_MIN} to {MTU_MAX}"),
            Self::SuperSegment(octets) => {
                write!(f, "a super-segment of {octets} octets is larger than {MTU_MAX}")
            }
            Self::AckDelayTooLong => {
                f.write_str("acknowledgments may be delayed by less than 500 ms")
            }
            Self::BufferSize(size) => {
                write!(f, "a buffer of {size} octets: it must be from 2048 to 1073741824")
            }
            Self::BacklogZero => f.write_str("a backlog holds at least one connection"),
            Self::BadTimeout => f.write_str("a time-out is zero or its bounds are crossed"),
            Self::InitialWindow(segments) => {
                write!(f, "an initial window of {segments} segments: it must be from 1 to 1000")
            }
            Self::PortRange(first, last) => {
                write!(f, "{first} to {last} is no range of ephemeral ports")
            }
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_host_may_have_is_an_address() {
        for (text, is_good) in [
            ("10.7.0.2/24", true),
            ("10.7.0.255/24", false),
            ("10.7.0.255/32", true),
            ("0.0.0.0/0", false),
            ("0.1.2.3/8", false),
            ("127.0.0.1/8", false),
            ("224.0.0.1/32", false),
            ("240.0.0.1/32", false),
            ("255.255.255.255/32", false),
        ] {
            let config = StackConfig::new(text.parse().unwrap());
            assert_eq!(config.validate().is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn no_address_is_the_broadcast_of_another_ones_network() {
        for (texts, bad) in [
            (["10.7.0.2/24", "10.7.0.255/32"], Some("10.7.0.255/32")),
            (["10.7.255.255/32", "10.7.0.2/16"], Some("10.7.255.255/32")),
            (["10.7.255.255/32", "10.7.0.2/24"], None),
        ] {
            let [first, second] = texts.map(|text| text.parse().unwrap());
            let mut config = StackConfig::new(first);
            config.interface.addresses.push(second);
            let bad = bad.map(|text| ConfigError::AddressNotUnicast(text.parse().unwrap()));
            assert_eq!(config.validate().err(), bad, "{texts:?}");
        }
    }

    #[test]
    fn an_mtu_out_of_range_is_refused() {
        let mut config = StackConfig::new("10.7.0.2/24".parse().unwrap());
        for (mtu, is_good) in [(67, false), (68, true), (65_535, true), (65_536, false)] {
            config.interface.mtu = mtu;
            assert_eq!(config.validate().is_ok(), is_good, "{mtu}");
        }
    }
}
