//! ICMP (RFC 792, RFC 1122 §3.2.2): echo both ways, the errors that we send and how many, and the
//! errors that we receive.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::input::drop_reason;
use super::output::{Packet, SendError};
use super::{Cast, Datagram, Echo, Ipv4, Verdict};
use crate::error::SocketError;
use crate::observe::DropReason;
use crate::packet::{Head, Outgoing};
use crate::time::{Duration, Instant};
use crate::wire::icmpv4::{Icmpv4Message, TimeExceeded, Unreachable};
use crate::wire::ipv4::{Ipv4Header, PROTOCOL_ICMP};
use crate::wire::{Endpoint, FourTuple};

/// Time to live of ICMP messages: the default of RFC 1700, as Linux.
const TTL: u8 = 64;

/// Type of service of ICMP errors: internetwork control, which RFC 1812 §4.3.2.5 recommends.
const ERROR_TOS: u8 = 0xc0;

/// ICMP errors that may leave at once for one destination. 6, as Linux (`XRLIM_BURST_FACTOR`).
pub(super) const ERROR_BURST: u32 = 6;

/// Time in which a destination's allowance of errors grows by one: 1 s, as Linux
/// (`icmp_ratelimit`). Linux has a limit for all destinations too; we have none that anybody could
/// read.
pub(super) const ERROR_INTERVAL: Duration = Duration::from_secs(1);

/// Something went wrong with a packet that we sent.
///
/// What it quotes can be forged by whoever knows addresses and ports; it is for the transport to
/// see whether the quoted octets fit what it has in flight (RFC 5927).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IcmpError {
    /// What went wrong.
    pub(crate) kind: IcmpErrorKind,
    /// Source of the quoted packet: the address to which the error was sent.
    pub(crate) local: Ipv4Addr,
    /// Destination of the quoted packet.
    pub(crate) remote: Ipv4Addr,
    /// Protocol of the quoted packet.
    pub(crate) protocol: u8,
    /// Total length that the quoted packet's header says, octets.
    pub(crate) quoted_len: u16,
    /// First octets of the quoted packet's transport header.
    pub(crate) transport: [u8; 8],
}

impl IcmpError {
    /// Both ends of the flow that it is about, if the protocol is TCP or UDP: their headers begin
    /// with the same two ports.
    pub(crate) fn flow(&self) -> FourTuple {
        let [s0, s1, d0, d1, ..] = self.transport;
        let end = |addr: Ipv4Addr, port| Endpoint::new(addr.into(), u16::from_be_bytes(port));
        FourTuple { local: end(self.local, [s0, s1]), remote: end(self.remote, [d0, d1]) }
    }
}

/// What went wrong with a packet (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcmpErrorKind {
    /// No route to the network.
    NetUnreachable,
    /// No way to the host.
    HostUnreachable,
    /// The host does not speak the protocol.
    ProtocolUnreachable,
    /// Nobody listens at the port.
    PortUnreachable,
    /// It was too long for a link behind which `mtu` octets fit, and it had DF set. 0: the router
    /// does not say (RFC 1191 §3).
    FragmentationNeeded {
        /// Octets of the largest IP packet that fits.
        mtu: u16,
    },
    /// A source route failed, though we send none.
    SourceRouteFailed,
    /// A filter forbids it.
    AdministrativelyProhibited,
    /// The time to live ran out, or the time to put fragments together.
    TimeExceeded,
    /// A header field is wrong.
    ParameterProblem,
}

impl IcmpErrorKind {
    /// What a socket call reports for it, as Linux chooses (`icmp_err_convert`), where we have
    /// that error.
    pub(crate) fn socket_error(self) -> SocketError {
        match self {
            Self::NetUnreachable => SocketError::NetworkUnreachable,
            Self::ProtocolUnreachable | Self::PortUnreachable => SocketError::Refused,
            Self::FragmentationNeeded { .. } => SocketError::MessageTooLong,
            Self::HostUnreachable
            | Self::SourceRouteFailed
            | Self::AdministrativelyProhibited
            | Self::TimeExceeded
            | Self::ParameterProblem => SocketError::HostUnreachable,
        }
    }

    /// `None` for codes that do not exist.
    fn of_unreachable(code: Unreachable) -> Option<Self> {
        match code {
            Unreachable::Net | Unreachable::Other(6 | 11) => Some(Self::NetUnreachable),
            Unreachable::Host | Unreachable::Other(7 | 8 | 12 | 14 | 15) => {
                Some(Self::HostUnreachable)
            }
            Unreachable::Protocol => Some(Self::ProtocolUnreachable),
            Unreachable::Port => Some(Self::PortUnreachable),
            Unreachable::FragmentationNeeded { mtu } => Some(Self::FragmentationNeeded { mtu }),
            Unreachable::SourceRouteFailed => Some(Self::SourceRouteFailed),
            Unreachable::Other(9 | 10 | 13) => Some(Self::AdministrativelyProhibited),
            Unreachable::Other(_) => None,
        }
    }
}

impl Ipv4 {
    /// An ICMP message arrived.
    pub(super) fn on_icmp(&mut self, datagram: &Datagram) -> Result<Verdict, DropReason> {
        let octets = datagram.payload();
        if !Icmpv4Message::checksum_is_valid(octets) {
            return Err(DropReason::TransportChecksum);
        }
        if datagram.cast != Cast::Unicast {
            // Echo requests: RFC 1122 §3.2.2.6. Nothing else has business there either.
            return Err(DropReason::IcmpBroadcast);
        }
        match Icmpv4Message::parse(octets).map_err(drop_reason)? {
            // We neither answer nor ask in the name of a foreign address.
            Icmpv4Message::EchoRequest { .. } | Icmpv4Message::EchoReply { .. }
                if !datagram.is_ours =>
            {
                Err(DropReason::NotOurs)
            }
            Icmpv4Message::EchoRequest { ident, sequence, data } => {
                self.answer_echo(datagram, ident, sequence, data)
            }
            Icmpv4Message::EchoReply { ident, sequence, data } => Ok(Verdict::EchoReply(Echo {
                source: datagram.source,
                ident,
                sequence,
                ttl: datagram.ttl,
                data_len: data.len(),
            })),
            Icmpv4Message::DestinationUnreachable { code, quote } => {
                let kind = IcmpErrorKind::of_unreachable(code).ok_or(DropReason::IcmpUnused)?;
                self.on_error(datagram, kind, quote)
            }
            Icmpv4Message::TimeExceeded { code, quote } => match code {
                TimeExceeded::InTransit | TimeExceeded::Reassembly => {
                    self.on_error(datagram, IcmpErrorKind::TimeExceeded, quote)
                }
                TimeExceeded::Other(_) => Err(DropReason::IcmpUnused),
            },
            Icmpv4Message::ParameterProblem { quote, .. } => {
                self.on_error(datagram, IcmpErrorKind::ParameterProblem, quote)
            }
            // Source quench is discarded silently: RFC 9293 §3.9.2.2, MUST-55 (and RFC 6633). A
            // redirect has nothing to change where all packets take one interface. Timestamp
            // requests are optional to answer (RFC 1122 §3.2.2.8); unknown types are discarded
            // silently (RFC 1122 §3.2.2).
            Icmpv4Message::SourceQuench { .. }
            | Icmpv4Message::Redirect { .. }
            | Icmpv4Message::Unknown { .. } => Err(DropReason::IcmpUnused),
        }
    }

    /// The reply to an echo request: from the address that was asked, with the same identifier,
    /// sequence number and data (RFC 1122 §3.2.2.6). IP options are not sent back.
    fn answer_echo(
        &mut self,
        request: &Datagram,
        ident: u16,
        sequence: u16,
        data: &[u8],
    ) -> Result<Verdict, DropReason> {
        let message = Icmpv4Message::EchoReply { ident, sequence, data };
        let packet = icmp_packet(request.destination, request.source, request.tos, TTL);
        let head = self.message(&packet, &message, data.len());
        let mut answer =
            Outgoing { head: head.map_err(|_| DropReason::AnswerTooLong)?, ..Outgoing::default() };
        answer.payload.push(request.octets.slice_ref(data));
        Ok(Verdict::Answer(answer))
    }

    /// An error arrived. What it quotes must be the beginning of a packet that we could have sent,
    /// and the error must have come to the address that sent it (RFC 792).
    fn on_error(
        &self,
        datagram: &Datagram,
        kind: IcmpErrorKind,
        quote: &[u8],
    ) -> Result<Verdict, DropReason> {
        let quoted = Ipv4Header::parse_quoted(quote).map_err(|_| DropReason::IcmpQuote)?;
        let header = quoted.header;
        let transport = quote
            .get(quoted.header_len..)
            .and_then(<[u8]>::first_chunk)
            .ok_or(DropReason::IcmpQuote)?;
        // Nobody outside has seen what we send to ourselves. A later fragment would hold no
        // transport header.
        let may_know = !self.is_ours(header.destination) || self.is_ours(datagram.source);
        let is_possible = header.source == datagram.destination
            && self.is_host(header.destination)
            && may_know
            && !header.is_fragment();
        if !is_possible {
            return Err(DropReason::IcmpQuote);
        }
        Ok(Verdict::Error(IcmpError {
            kind,
            local: header.source,
            remote: header.destination,
            protocol: header.protocol,
            quoted_len: u16::try_from(quoted.total_len).unwrap_or(u16::MAX),
            transport: *transport,
        }))
    }

    /// The answer to a datagram for a port at which nobody listens (RFC 1122 §4.1.3.1). The error
    /// says why there is none.
    pub(crate) fn port_unreachable(
        &mut self,
        now: Instant,
        about: &Datagram,
    ) -> Result<Outgoing, DropReason> {
        if !may_complain_about(about) {
            return Err(DropReason::NoUdpSocket);
        }
        self.unreachable(now, about, Unreachable::Port)
    }

    /// The answer to a packet of a protocol that nobody speaks (RFC 1122 §3.2.2.1). The error says
    /// why there is none.
    pub(crate) fn protocol_unreachable(
        &mut self,
        now: Instant,
        about: &Datagram,
    ) -> Result<Outgoing, DropReason> {
        if !may_complain_about(about) {
            return Err(DropReason::UnknownProtocol);
        }
        self.unreachable(now, about, Unreachable::Protocol)
    }

    fn unreachable(
        &mut self,
        now: Instant,
        about: &Datagram,
        code: Unreachable,
    ) -> Result<Outgoing, DropReason> {
        // Of ourselves nobody is flooded, and a program that asks at its own host wants to hear of
        // each refusal: as on Linux, where the loopback interface has no limit.
        if !self.is_ours(about.source) && !self.errors.take(now, about.source) {
            return Err(DropReason::RateLimited);
        }
        let quote = about.quote();
        let message = Icmpv4Message::DestinationUnreachable { code, quote };
        let packet = icmp_packet(about.destination, about.source, ERROR_TOS, TTL);
        let head = self.message(&packet, &message, quote.len());
        let mut head = head.map_err(|_| DropReason::AnswerTooLong)?;
        // 20 + 8 + 68 octets at most: there is room in the head, and nothing is allocated.
        head.extend(quote.iter().copied());
        Ok(Outgoing { head, ..Outgoing::default() })
    }

    /// An echo request to `destination`, from the address that suits it.
    pub(crate) fn echo_request(
        &mut self,
        destination: Ipv4Addr,
        ident: u16,
        sequence: u16,
        data: Bytes,
        ttl: u8,
    ) -> Result<Outgoing, SendError> {
        let source = self.source_for(destination).ok_or(SendError::Destination)?;
        let message = Icmpv4Message::EchoRequest { ident, sequence, data: &data };
        let packet = icmp_packet(source, destination, 0, ttl);
        let mut request =
            Outgoing { head: self.message(&packet, &message, data.len())?, ..Outgoing::default() };
        request.payload.push(data);
        Ok(request)
    }

    /// The headers of `message`, which is followed by `body_len` octets of data or quote.
    fn message(
        &mut self,
        packet: &Packet,
        message: &Icmpv4Message<'_>,
        body_len: usize,
    ) -> Result<Head, SendError> {
        let mut head = Head::new();
        self.output(packet, Icmpv4Message::HEADER_LEN + body_len, &mut head)?;
        message.emit(&mut head).expect("every message but an unknown one can be emitted");
        Ok(head)
    }
}

/// An ICMP packet may be fragmented: nobody here listens for how much fits.
fn icmp_packet(source: Ipv4Addr, destination: Ipv4Addr, tos: u8, ttl: u8) -> Packet {
    let (protocol, dont_fragment, parts) = (PROTOCOL_ICMP, false, 1);
    Packet { source, destination, protocol, tos, ttl, dont_fragment, parts }
}

/// Whether an ICMP error about `datagram` is allowed (RFC 1122 §3.2.2): never about a broadcast or
/// multicast, about an ICMP error, about a fragment, or to an address that is no host's. Of these
/// only the first can be asked for, because input hands up none of the others. Nor do we speak for
/// a foreign address.
fn may_complain_about(datagram: &Datagram) -> bool {
    debug_assert_ne!(datagram.protocol, PROTOCOL_ICMP);
    datagram.cast == Cast::Unicast && datagram.is_ours
}
