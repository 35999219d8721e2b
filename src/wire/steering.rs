//! Whose a packet is, where several shards carry one address: the one rule that all who ask follow.

use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU32};

use super::FourTuple;
use super::ipv4::{Ipv4Header, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP};
use crate::rng::{Rng, Seed};

/// Which shard a packet belongs to.
///
/// ```text
/// TCP                        both addresses and both ports
/// UDP                        the destination port alone: a socket lives in one shard, whoever
///                            writes to it
/// ICMP error (3, 11, 12)     that of the packet that it quotes, with its ends swapped
/// anything else, fragments,
/// what is too short to say   shard 0
/// ```
///
/// A secret key goes into the choice, so that nobody can aim at one shard. It is no cipher: who can
/// tell from outside where packets go, packet by packet, could work it out.
///
/// The same rule stands a second time as a program that the kernel runs
/// ([`Device::steer`](crate::Device::steer)); tests hold them together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Steering {
    /// What the four words of [`Steering::mix`] are multiplied by.
    key: [u64; 4],
    count: NonZeroU32,
}

/// Does not show the secret.
impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Steering({} shards)", self.count)
    }
}

/// Which of several shards a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    steering: Steering,
    index: usize,
}

/// Where the fields stand in an IPv4 header (RFC 791 §3.1), octets from its beginning.
pub(crate) mod field {
    /// Version, and length of the header in words.
    pub(crate) const VERSION_IHL: usize = 0;
    /// Flags and fragment offset.
    pub(crate) const FRAGMENT: usize = 6;
    pub(crate) const PROTOCOL: usize = 9;
    pub(crate) const SOURCE: usize = 12;
    pub(crate) const DESTINATION: usize = 16;
    /// From the end of the header: the two ports of TCP and UDP.
    pub(crate) const SOURCE_PORT: usize = 0;
    pub(crate) const DESTINATION_PORT: usize = 2;
    /// From the end of the header: the quote of an ICMP error (RFC 792).
    pub(crate) const QUOTE: usize = 8;
}

/// What of [`field::FRAGMENT`] is set in a fragment: "more fragments", or an offset.
pub(crate) const IS_FRAGMENT: u16 = 0x3fff;

/// The ICMP errors that stacks act upon: unreachable, time exceeded, parameter problem.
pub(crate) const ICMP_ERRORS: [u8; 3] = [3, 11, 12];

impl Steering {
    /// A rule for so many shards, under a key that follows from `seed`.
    pub fn new(count: NonZeroU16, seed: &Seed) -> Self {
        let mut rng = Rng::new(seed);
        // An odd multiplier loses nothing of what it multiplies.
        Self { key: [(); 4].map(|()| rng.next_u64() | 1), count: count.into() }
    }

    /// How many shards there are.
    pub fn count(&self) -> usize {
        usize::try_from(self.count.get()).unwrap_or(usize::MAX)
    }

    /// The shard, from 0 on, that `packet` belongs to: an IPv4 packet that has arrived, of which
    /// the headers suffice. Any octets have an owner.
    pub fn owner(&self, packet: &[u8]) -> usize {
        self.owner_if_told(packet).unwrap_or(0)
    }

    /// The shard that gets what the peer of this flow of TCP sends.
    pub(crate) fn owner_of_flow(&self, flow: &FourTuple) -> usize {
        match (flow.remote.ipv4(), flow.local.ipv4()) {
            (Some(source), Some(destination)) => {
                let ports = [flow.remote.port(), flow.local.port()];
                self.owner_of_segment(source, destination, ports)
            }
            _ => 0,
        }
    }

    /// The shard that gets the datagrams for a port of UDP.
    pub(crate) fn owner_of_udp_port(&self, port: u16) -> usize {
        self.mix([0, 0, port.into()])
    }

    /// What the words of a packet are multiplied by, for who mixes them elsewhere.
    pub(crate) fn key(&self) -> [u64; 4] {
        self.key
    }

    /// `None` if the packet does not say: it is shorter than what must be looked at, for one.
    fn owner_if_told(&self, packet: &[u8]) -> Option<usize> {
        let (protocol, transport) = transport_of(packet, 0)?;
        match protocol {
            PROTOCOL_TCP => {
                let source = address(packet, field::SOURCE)?;
                let destination = address(packet, field::DESTINATION)?;
                let ports = [
                    half(packet, transport + field::SOURCE_PORT)?,
                    half(packet, transport + field::DESTINATION_PORT)?,
                ];
                Some(self.owner_of_segment(source, destination, ports))
            }
            PROTOCOL_UDP => {
                Some(self.owner_of_udp_port(half(packet, transport + field::DESTINATION_PORT)?))
            }
            PROTOCOL_ICMP if ICMP_ERRORS.contains(packet.get(transport)?) => {
                self.owner_of_quoted(packet, transport + field::QUOTE)
            }
            _ => None,
        }
    }

    /// The owner of the packet that is quoted from the octet `at` on. We have sent it, so its
    /// source is our end.
    fn owner_of_quoted(&self, packet: &[u8], at: usize) -> Option<usize> {
        let (protocol, transport) = transport_of(packet, at)?;
        match protocol {
            PROTOCOL_TCP => {
                let source = address(packet, at + field::DESTINATION)?;
                let destination = address(packet, at + field::SOURCE)?;
                let ports = [
                    half(packet, transport + field::DESTINATION_PORT)?,
                    half(packet, transport + field::SOURCE_PORT)?,
                ];
                Some(self.owner_of_segment(source, destination, ports))
            }
            PROTOCOL_UDP => {
                Some(self.owner_of_udp_port(half(packet, transport + field::SOURCE_PORT)?))
            }
            _ => None,
        }
    }

    fn owner_of_segment(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        [source_port, destination_port]: [u16; 2],
    ) -> usize {
        let ports = u32::from(source_port) << 16 | u32::from(destination_port);
        self.mix([source.to_bits(), destination.to_bits(), ports])
    }

    /// A shard, as even as chance, whatever the words have in common.
    ///
    /// A sum of products under secret factors, whose upper half tells two flows from each other as
    /// well as chance would (Dietzfelbinger's multiply-shift); then one round more, since a sum
    /// alone would keep the steps of ports and addresses that follow each other.
    fn mix(&self, words: [u32; 3]) -> usize {
        let [a, b, c, last] = self.key;
        let sum = [a, b, c]
            .into_iter()
            .zip(words)
            .fold(0u64, |sum, (key, word)| sum.wrapping_add(key.wrapping_mul(word.into())));
        let mixed = (sum ^ sum >> 32).wrapping_mul(last) >> 32;
        // Of 32 even bits, so many parts of equal size.
        usize::try_from((mixed * u64::from(self.count.get())) >> 32).unwrap_or(0)
    }
}

/// The protocol of the packet whose header begins at `at`, and where its transport header begins;
/// `None` for what is no IPv4, and for fragments.
fn transport_of(octets: &[u8], at: usize) -> Option<(u8, usize)> {
    let first = *octets.get(at + field::VERSION_IHL)?;
    let header_len = usize::from(first & 15) * 4;
    let is_header = first >> 4 == 4 && header_len >= Ipv4Header::LEN;
    let is_whole = half(octets, at + field::FRAGMENT)? & IS_FRAGMENT == 0;
    let protocol = *octets.get(at + field::PROTOCOL)?;
    (is_header && is_whole).then_some((protocol, at + header_len))
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

fn address(octets: &[u8], at: usize) -> Option<Ipv4Addr> {
    octets.get(at..)?.first_chunk().copied().map(<Ipv4Addr as From<[u8; 4]>>::from)
}

impl Share {
    /// The shard `index` of those of `steering`; there must be so many.
    pub(crate) fn new(steering: Steering, index: usize) -> Self {
        Self { steering, index }
    }

    /// Which shard it is, from 0 on.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.steering.count()
    }

    /// Whether what the peer of this flow sends comes here.
    pub(crate) fn owns_flow(&self, flow: &FourTuple) -> bool {
        self.steering.owner_of_flow(flow) == self.index
    }

    /// Whether datagrams for this port come here.
    pub(crate) fn owns_udp_port(&self, port: u16) -> bool {
        self.steering.owner_of_udp_port(port) == self.index
    }

    /// The other shard that a packet belongs to; `None` if it belongs here.
    pub(crate) fn sibling(&self, packet: &[u8]) -> Option<usize> {
        Some(self.steering.owner(packet)).filter(|&owner| owner != self.index)
    }
}

#[cfg(test)]
#[path = "tests/steering.rs"]
mod tests;
