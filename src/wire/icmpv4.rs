//! ICMP for IPv4 (RFC 792, RFC 1191 §4, RFC 1122 §3.2.2).

use std::net::Ipv4Addr;

use etherparse::Icmpv4Slice;

use super::ParseError;
use super::checksum::Sum;
use crate::packet::Head;

const KIND_ECHO_REPLY: u8 = 0;
const KIND_UNREACHABLE: u8 = 3;
const KIND_SOURCE_QUENCH: u8 = 4;
const KIND_REDIRECT: u8 = 5;
const KIND_ECHO_REQUEST: u8 = 8;
const KIND_TIME_EXCEEDED: u8 = 11;
const KIND_PARAMETER_PROBLEM: u8 = 12;

/// Why a destination is unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// Code 0: no route to its network.
    Net,
    /// Code 1: its network does not reach the host.
    Host,
    /// Code 2: the host does not speak the protocol.
    Protocol,
    /// Code 3: nobody listens at the port.
    Port,
    /// Code 4: the packet must not be fragmented and is too long for a link.
    FragmentationNeeded {
        /// Longest packet that the link takes, octets; 0 from routers older than RFC 1191.
        mtu: u16,
    },
    /// Code 5: the source route could not be followed.
    SourceRouteFailed,
    /// Codes 6 to 15 (RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1), and codes that do not exist.
    Other(u8),
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeExceeded {
    /// Code 0: the time to live, in a router.
    InTransit,
    /// Code 1: the time to wait for fragments, in the host.
    Reassembly,
    /// A code that does not exist.
    Other(u8),
}

/// An ICMP message.
///
/// A `quote` is the beginning of the packet that the error is about: its IP header and at least
/// 8 octets behind it, if the sender does what RFC 792 says. Extensions of RFC 4884 are at the
/// end of a quote and are not split off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icmpv4Message<'a> {
    /// Asks for an [`Icmpv4Message::EchoReply`] with the same three values.
    EchoRequest {
        /// Tells one asker from another.
        ident: u16,
        /// Tells one request of an asker from another.
        sequence: u16,
        /// Any octets.
        data: &'a [u8],
    },
    /// Answers an [`Icmpv4Message::EchoRequest`].
    EchoReply {
        /// As in the request.
        ident: u16,
        /// As in the request.
        sequence: u16,
        /// As in the request.
        data: &'a [u8],
    },
    /// The packet could not be delivered.
    DestinationUnreachable {
        /// Why.
        code: Unreachable,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// The packet was thrown away because of its age.
    TimeExceeded {
        /// In a router, or as a fragment.
        code: TimeExceeded,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// The header of the packet is wrong.
    ParameterProblem {
        /// 0: `pointer` says where. 1: an option is missing (RFC 1108).
        code: u8,
        /// The octet of the packet that is wrong.
        pointer: u8,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// Deprecated (RFC 6633): must neither be sent nor have an effect.
    SourceQuench {
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// There is a better first router.
    Redirect {
        /// 0 to 3: for a network, a host, or either with a type of service.
        code: u8,
        /// The better one.
        gateway: Ipv4Addr,
        /// The beginning of the packet.
        quote: &'a [u8],
    },
    /// A kind that we do not use.
    Unknown {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
}

impl<'a> Icmpv4Message<'a> {
    /// Octets of every header.
    pub(crate) const HEADER_LEN: usize = 8;

    /// Splits `octets`; judges no checksum.
    ///
    /// The code of an echo message is ignored, as Linux does. A timestamp message of a length
    /// that none can have is an error.
    pub(crate) fn parse(octets: &'a [u8]) -> Result<Self, ParseError> {
        let slice = Icmpv4Slice::from_slice(octets).map_err(|error| {
            if error.len < error.required_len {
                ParseError::Truncated
            } else {
                ParseError::BadLength
            }
        })?;
        let (kind, code) = (slice.type_u8(), slice.code_u8());
        let rest = octets.get(Self::HEADER_LEN..).unwrap_or_default();
        let [r0, r1, r2, r3] = slice.bytes5to8();
        let [first, second] = [[r0, r1], [r2, r3]].map(u16::from_be_bytes);
        Ok(match kind {
            KIND_ECHO_REQUEST => Self::EchoRequest { ident: first, sequence: second, data: rest },
            KIND_ECHO_REPLY => Self::EchoReply { ident: first, sequence: second, data: rest },
            KIND_UNREACHABLE => Self::DestinationUnreachable {
                code: Unreachable::from_wire(code, second),
                quote: rest,
            },
            KIND_TIME_EXCEEDED => {
                Self::TimeExceeded { code: TimeExceeded::from_wire(code), quote: rest }
            }
            KIND_PARAMETER_PROBLEM => Self::ParameterProblem { code, pointer: r0, quote: rest },
            KIND_SOURCE_QUENCH => Self::SourceQuench { quote: rest },
            KIND_REDIRECT => {
                Self::Redirect { code, gateway: Ipv4Addr::from([r0, r1, r2, r3]), quote: rest }
            }
            _ => Self::Unknown { kind, code },
        })
    }

    /// Whether the checksum of the message in `octets` holds.
    pub(crate) fn checksum_is_valid(octets: &[u8]) -> bool {
        Sum::default().add(octets).is_valid()
    }

    /// Appends the 8 octets of the header, with a checksum over them and the data or quote, which
    /// the caller sends as payload.
    ///
    /// `None`, and nothing appended, for [`Icmpv4Message::Unknown`], whose content is not known
    /// either, or if `head` has no room.
    pub(crate) fn emit(&self, head: &mut Head) -> Option<()> {
        let (kind, code, [r0, r1, r2, r3], rest) = self.to_wire()?;
        let checksum = Sum::default().add(&[kind, code, 0, 0, r0, r1, r2, r3]).add(rest).finish();
        let [c0, c1] = checksum.to_be_bytes();
        head.try_extend_from_slice(&[kind, code, c0, c1, r0, r1, r2, r3]).ok()
    }

    /// Kind, code, octets 4 to 7, and what follows them.
    fn to_wire(self) -> Option<(u8, u8, [u8; 4], &'a [u8])> {
        let pair = |first: u16, second: u16| {
            let [[f0, f1], [s0, s1]] = [first, second].map(u16::to_be_bytes);
            [f0, f1, s0, s1]
        };
        Some(match self {
            Self::EchoRequest { ident, sequence, data } => {
                (KIND_ECHO_REQUEST, 0, pair(ident, sequence), data)
            }
            Self::EchoReply { ident, sequence, data } => {
                (KIND_ECHO_REPLY, 0, pair(ident, sequence), data)
            }
            Self::DestinationUnreachable { code, quote } => {
                let (code, mtu) = code.to_wire();
                (KIND_UNREACHABLE, code, pair(0, mtu), quote)
            }
            Self::TimeExceeded { code, quote } => {
                (KIND_TIME_EXCEEDED, code.to_wire(), [0; 4], quote)
            }
            Self::ParameterProblem { code, pointer, quote } => {
                (KIND_PARAMETER_PROBLEM, code, [pointer, 0, 0, 0], quote)
            }
            Self::SourceQuench { quote } => (KIND_SOURCE_QUENCH, 0, [0; 4], quote),
            Self::Redirect { code, gateway, quote } => {
                (KIND_REDIRECT, code, gateway.octets(), quote)
            }
            Self::Unknown { .. } => return None,
        })
    }
}

impl Unreachable {
    fn from_wire(code: u8, mtu: u16) -> Self {
        match code {
            0 => Self::Net,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            4 => Self::FragmentationNeeded { mtu },
            5 => Self::SourceRouteFailed,
            _ => Self::Other(code),
        }
    }

    /// The code, and octets 6 and 7.
    fn to_wire(self) -> (u8, u16) {
        match self {
            Self::Net => (0, 0),
            Self::Host => (1, 0),
            Self::Protocol => (2, 0),
            Self::Port => (3, 0),
            Self::FragmentationNeeded { mtu } => (4, mtu),
            Self::SourceRouteFailed => (5, 0),
            Self::Other(code) => (code, 0),
        }
    }
}

impl TimeExceeded {
    fn from_wire(code: u8) -> Self {
        match code {
            0 => Self::InTransit,
            1 => Self::Reassembly,
            _ => Self::Other(code),
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::InTransit => 0,
            Self::Reassembly => 1,
            Self::Other(code) => code,
        }
    }
}
