//! Addresses with ports, in a packed form that fits both families; and address ranges.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::rng::KeyedHash;

/// An address and a port in 18 octets; `SocketAddr` takes 32.
///
/// IPv4 addresses stand as IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    addr: [u8; 16],
    port: u16,
}

/// How an IPv4-mapped address begins.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Endpoint {
    /// The endpoint at `addr` and `port`.
    pub fn new(addr: IpAddr, port: u16) -> Self {
        let addr = match addr {
            IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
            IpAddr::V6(addr) => addr.octets(),
        };
        Self { addr, port }
    }

    /// The address.
    pub fn addr(self) -> IpAddr {
        Ipv6Addr::from(self.addr).to_canonical()
    }

    /// The address if it is of IPv4.
    pub fn ipv4(self) -> Option<Ipv4Addr> {
        let octets = self.addr.last_chunk::<4>()?;
        self.addr.starts_with(&MAPPED).then(|| Ipv4Addr::from(*octets))
    }

    /// The port.
    pub fn port(self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.addr(), endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

/// What tells one connection from another: both endpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FourTuple {
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
}

/// In one piece, and of IPv4 the octets that differ alone: each packet that arrives is looked up by
/// its hash.
impl Hash for FourTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(octets) = self.ipv4_octets() {
            return state.write(&octets);
        }
        for Endpoint { addr, port } in [self.local, self.remote] {
            state.write(&addr);
            state.write(&port.to_be_bytes());
        }
    }
}

impl FourTuple {
    /// Both addresses and both ports, if they are of IPv4: all that tells one from another.
    pub(crate) fn ipv4_octets(&self) -> Option<[u8; 12]> {
        let [l0, l1, l2, l3] = self.local.ipv4()?.octets();
        let [r0, r1, r2, r3] = self.remote.ipv4()?.octets();
        let ([a0, a1], [b0, b1]) = (self.local.port.to_be_bytes(), self.remote.port.to_be_bytes());
        Some([l0, l1, l2, l3, r0, r1, r2, r3, a0, a1, b0, b1])
    }

    /// The hash under a secret key: that of [`KeyedHash::hash`], for IPv4 in one step.
    pub(crate) fn keyed_hash(&self, key: &KeyedHash) -> u64 {
        self.ipv4_octets().map_or_else(|| key.hash(self), |octets| key.hash_octets(&octets))
    }
}

impl fmt::Display for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ↔ {}", self.local, self.remote)
    }
}

impl fmt::Debug for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An IPv4 address with the length of its network's prefix: `10.7.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv4Cidr {
    addr: Ipv4Addr,
    prefix_len: u8,
}

/// Why a text is no [`Ipv4Cidr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCidr;

impl fmt::Display for InvalidCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write an address and a prefix length from 0 to 32, such as 10.7.0.2/24")
    }
}

impl std::error::Error for InvalidCidr {}

impl Ipv4Cidr {
    /// The address with its prefix length, 0 to 32.
    pub const fn new(addr: Ipv4Addr, prefix_len: u8) -> Result<Self, InvalidCidr> {
        if prefix_len > 32 {
            return Err(InvalidCidr);
        }
        Ok(Self { addr, prefix_len })
    }

    /// The address itself.
    pub const fn addr(self) -> Ipv4Addr {
        self.addr
    }

    /// Length of the prefix, bits.
    pub const fn prefix_len(self) -> u8 {
        self.prefix_len
    }

    /// The mask of the network: 255.255.255.0 for a prefix of 24.
    pub fn mask(self) -> Ipv4Addr {
        let host_bits = 32 - u32::from(self.prefix_len);
        Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    /// Whether `addr` lies in this network.
    pub fn contains(self, addr: Ipv4Addr) -> bool {
        addr.to_bits() & self.mask().to_bits() == self.addr.to_bits() & self.mask().to_bits()
    }

    /// The directed broadcast address; a /31 (RFC 3021) and a /32 have none.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        let all = Ipv4Addr::from_bits(self.addr.to_bits() | !self.mask().to_bits());
        (self.prefix_len < 31).then_some(all)
    }
}

impl fmt::Display for Ipv4Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix_len)
    }
}

impl std::str::FromStr for Ipv4Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (addr, prefix_len) = text.split_once('/').ok_or(InvalidCidr)?;
        let addr = addr.parse().map_err(|_| InvalidCidr)?;
        Self::new(addr, prefix_len.parse().map_err(|_| InvalidCidr)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_gives_back_what_it_was_made_of() {
        for text in ["10.7.0.2:80", "[fd00::1]:443", "0.0.0.0:0"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(Endpoint::from(addr)), addr);
        }
    }

    #[test]
    fn an_endpoint_takes_18_octets() {
        assert_eq!(size_of::<Endpoint>(), 18);
        assert_eq!(size_of::<FourTuple>(), 36);
    }

    #[test]
    fn a_network_knows_its_members_and_its_broadcast() {
        for (text, member, stranger, broadcast) in [
            ("10.7.0.2/24", "10.7.0.255", "10.7.1.0", Some("10.7.0.255")),
            ("10.7.0.2/31", "10.7.0.3", "10.7.0.4", None),
            ("10.7.0.2/32", "10.7.0.2", "10.7.0.3", None),
            ("0.0.0.0/0", "255.255.255.254", "", Some("255.255.255.255")),
        ] {
            let cidr: Ipv4Cidr = text.parse().unwrap();
            assert!(cidr.contains(member.parse().unwrap()), "{text}");
            assert!(stranger.parse().is_ok_and(|s| !cidr.contains(s)) || stranger.is_empty());
            assert_eq!(cidr.broadcast(), broadcast.map(|b| b.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_bad_network_is_an_error() {
        for text in ["", "10.7.0.2", "10.7.0.2/33", "10.7.0.2/-1", "10.7.0/24", "/24"] {
            assert_eq!(text.parse::<Ipv4Cidr>(), Err(InvalidCidr), "{text}");
        }
    }
}
