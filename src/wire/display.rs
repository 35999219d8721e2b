//! A packet as one line of text, as tcpdump writes it.

use std::fmt::{self, Display, Formatter};
use std::net::Ipv4Addr;

use super::ParseError;
use super::icmpv4::{Icmpv4Message, TimeExceeded, Unreachable};
use super::ipv4::{Ipv4Header, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP};
use super::tcp::{TcpFlags, TcpHeader};
use super::tcp_options::TcpOptions;
use super::udp::UdpHeader;

/// What shows the packet in `octets` as one line, without an end of line.
///
/// ```text
/// IP 10.7.0.1.51432 > 10.7.0.2.80: Flags [S], seq 1, win 64240, options [mss 1460], length 0
/// ```
///
/// Sequence numbers are those on the wire, and of TCP options those are named that
/// the stack knows. A wrong checksum is told at the end: `bad cksum` of the transport, `bad
/// IP cksum` of the IPv4 header. What cannot be read is `malformed (…)`.
pub fn describe(octets: &[u8]) -> impl Display {
    fmt::from_fn(move |f| write_packet(f, octets))
}

fn write_packet(f: &mut Formatter<'_>, octets: &[u8]) -> fmt::Result {
    // A packet whose checksum is wrong has lengths that hold: `parse` judges them first.
    let (view, is_intact) = match Ipv4Header::parse(octets) {
        Err(ParseError::Checksum) => (Ipv4Header::parse_quoted(octets), false),
        outcome => (outcome, true),
    };
    let (header, payload) = match &view {
        Ok(view) => (view.header, octets.get(view.header_len..view.total_len).unwrap_or_default()),
        Err(error) => return write!(f, "malformed (IP: {error}, {} octets)", octets.len()),
    };
    f.write_str("IP ")?;
    match header.protocol {
        _ if header.is_fragment() => write_fragment(f, &header, payload.len()),
        PROTOCOL_TCP => write_tcp(f, &header, payload),
        PROTOCOL_UDP => write_udp(f, &header, payload),
        PROTOCOL_ICMP => write_icmp(f, &header, payload),
        _ => {
            write_addresses(f, &header)?;
            write!(f, "{}, length {}", Protocol(header.protocol), payload.len())
        }
    }?;
    f.write_str(if is_intact { "" } else { ", bad IP cksum" })
}

fn write_addresses(f: &mut Formatter<'_>, header: &Ipv4Header) -> fmt::Result {
    write!(f, "{} > {}: ", header.source, header.destination)
}

fn write_cksum(f: &mut Formatter<'_>, is_valid: bool) -> fmt::Result {
    f.write_str(if is_valid { "" } else { ", bad cksum" })
}

/// The old `(frag ident:length@offset)` of tcpdump; a `+` says that more follow.
fn write_fragment(f: &mut Formatter<'_>, header: &Ipv4Header, len: usize) -> fmt::Result {
    write_addresses(f, header)?;
    let more = if header.more_fragments { "+" } else { "" };
    let (ident, offset) = (header.ident, header.fragment_offset);
    write!(f, "{} ", Protocol(header.protocol))?;
    write!(f, "(frag {ident}:{len}@{offset}{more})")
}

fn write_tcp(f: &mut Formatter<'_>, ip: &Ipv4Header, segment: &[u8]) -> fmt::Result {
    let view = match TcpHeader::parse(segment) {
        Ok(view) => view,
        Err(error) => {
            write_addresses(f, ip)?;
            return write!(f, "malformed (TCP: {error}, {} octets)", segment.len());
        }
    };
    let tcp = view.header;
    let len = segment.len().saturating_sub(view.header_len);
    write_ports(f, ip, tcp.source_port, tcp.destination_port)?;
    write!(f, "Flags [{}]", tcp.flags)?;
    write_seq(f, &tcp, len)?;
    if tcp.flags.contains(TcpFlags::ACK) {
        write!(f, ", ack {}", tcp.ack)?;
    }
    write!(f, ", win {}", tcp.window)?;
    if tcp.flags.contains(TcpFlags::URG) {
        write!(f, ", urg {}", tcp.urgent)?;
    }
    match TcpOptions::parse(view.options) {
        Ok(options) => write_options(f, &options)?,
        Err(error) => write!(f, ", options [malformed ({error})]")?,
    }
    write!(f, ", length {len}")?;
    let is_valid = TcpHeader::checksum_is_valid(ip.source, ip.destination, segment);
    write_cksum(f, is_valid)
}

fn write_ports(f: &mut Formatter<'_>, ip: &Ipv4Header, from: u16, to: u16) -> fmt::Result {
    write!(f, "{}.{from} > {}.{to}: ", ip.source, ip.destination)
}

/// Where the segment takes sequence space, or is about it: a bare ACK shows none.
fn write_seq(f: &mut Formatter<'_>, tcp: &TcpHeader, len: usize) -> fmt::Result {
    let is_control = [TcpFlags::SYN, TcpFlags::FIN, TcpFlags::RST]
        .into_iter()
        .any(|flag| tcp.flags.contains(flag));
    match u32::try_from(len) {
        Ok(0) if is_control => write!(f, ", seq {}", tcp.seq),
        Ok(0) => Ok(()),
        Ok(len) => write!(f, ", seq {}:{}", tcp.seq, tcp.seq.wrapping_add(len)),
        Err(_) => write!(f, ", seq {}:?", tcp.seq), // No IPv4 packet is as long.
    }
}

fn write_options(f: &mut Formatter<'_>, options: &TcpOptions) -> fmt::Result {
    let mut separator = ", options [";
    let mut item = |f: &mut Formatter<'_>, text: fmt::Arguments<'_>| {
        f.write_str(std::mem::replace(&mut separator, ","))?;
        f.write_fmt(text)
    };
    if let Some(mss) = options.mss {
        item(f, format_args!("mss {mss}"))?;
    }
    if options.sack_permitted {
        item(f, format_args!("sackOK"))?;
    }
    if let Some(timestamps) = options.timestamps {
        let (value, echo) = (timestamps.value, timestamps.echo);
        item(f, format_args!("TS val {value} ecr {echo}"))?;
    }
    if let Some(shift) = options.window_scale {
        item(f, format_args!("wscale {shift}"))?;
    }
    if !options.sack.is_empty() {
        item(f, format_args!("sack {} ", options.sack.len()))?;
        for block in &options.sack {
            write!(f, "{{{}:{}}}", block.left, block.right)?;
        }
    }
    f.write_str(if *options == TcpOptions::default() { "" } else { "]" })
}

fn write_udp(f: &mut Formatter<'_>, ip: &Ipv4Header, datagram: &[u8]) -> fmt::Result {
    match UdpHeader::parse(datagram) {
        Ok((udp, payload)) => {
            write_ports(f, ip, udp.source_port, udp.destination_port)?;
            write!(f, "UDP, length {}", payload.len())?;
            let is_valid = UdpHeader::checksum_is_valid(ip.source, ip.destination, datagram);
            write_cksum(f, is_valid)
        }
        Err(error) => {
            write_addresses(f, ip)?;
            write!(f, "malformed (UDP: {error}, {} octets)", datagram.len())
        }
    }
}

fn write_icmp(f: &mut Formatter<'_>, ip: &Ipv4Header, octets: &[u8]) -> fmt::Result {
    write_addresses(f, ip)?;
    match Icmpv4Message::parse(octets) {
        Ok(message) => {
            f.write_str("ICMP ")?;
            write_message(f, &message)?;
            write!(f, ", length {}", octets.len())?;
            write_cksum(f, Icmpv4Message::checksum_is_valid(octets))
        }
        Err(error) => write!(f, "malformed (ICMP: {error}, {} octets)", octets.len()),
    }
}

fn write_message(f: &mut Formatter<'_>, message: &Icmpv4Message<'_>) -> fmt::Result {
    match *message {
        Icmpv4Message::EchoRequest { ident, sequence, .. } => {
            write!(f, "echo request, id {ident}, seq {sequence}")
        }
        Icmpv4Message::EchoReply { ident, sequence, .. } => {
            write!(f, "echo reply, id {ident}, seq {sequence}")
        }
        Icmpv4Message::DestinationUnreachable { code, quote } => write_unreachable(f, code, quote),
        Icmpv4Message::TimeExceeded { code, .. } => match code {
            TimeExceeded::InTransit => f.write_str("time exceeded in-transit"),
            TimeExceeded::Reassembly => f.write_str("ip reassembly time exceeded"),
            TimeExceeded::Other(code) => write!(f, "time exceeded, code {code}"),
        },
        Icmpv4Message::ParameterProblem { code, pointer, .. } => {
            write!(f, "parameter problem - octet {pointer}, code {code}")
        }
        Icmpv4Message::SourceQuench { .. } => f.write_str("source quench"),
        Icmpv4Message::Redirect { code, gateway, .. } => {
            write!(f, "redirect to {gateway}, code {code}")
        }
        Icmpv4Message::Unknown { kind, code } => write!(f, "type {kind}, code {code}"),
    }
}

/// `10.7.0.2 udp port 9 unreachable`: what the quoted packet wanted.
fn write_unreachable(f: &mut Formatter<'_>, code: Unreachable, quote: &[u8]) -> fmt::Result {
    let Ok(quoted) = Ipv4Header::parse_quoted(quote) else {
        return write!(f, "{code:?} unreachable, malformed (quote, {} octets)", quote.len());
    };
    let destination: Ipv4Addr = quoted.header.destination;
    let protocol = Protocol(quoted.header.protocol);
    match code {
        Unreachable::Net => write!(f, "net {destination} unreachable"),
        Unreachable::Host => write!(f, "host {destination} unreachable"),
        Unreachable::Protocol => write!(f, "{destination} protocol {protocol} unreachable"),
        Unreachable::Port => {
            // TCP and UDP both begin with source and destination port.
            let ports = quote.get(quoted.header_len..).unwrap_or_default();
            match *ports {
                [_, _, high, low, ..] => {
                    let port = u16::from_be_bytes([high, low]);
                    write!(f, "{destination} {protocol} port {port} unreachable")
                }
                _ => write!(f, "{destination} {protocol} port unreachable"),
            }
        }
        Unreachable::FragmentationNeeded { mtu } => {
            write!(f, "{destination} unreachable - need to frag (mtu {mtu})")
        }
        Unreachable::SourceRouteFailed => {
            write!(f, "{destination} unreachable - source route failed")
        }
        Unreachable::Other(code) => write!(f, "{destination} unreachable, code {code}"),
    }
}

/// A protocol above IPv4, by its name if it is one of ours.
struct Protocol(u8);

impl Display for Protocol {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            PROTOCOL_ICMP => f.write_str("icmp"),
            PROTOCOL_TCP => f.write_str("tcp"),
            PROTOCOL_UDP => f.write_str("udp"),
            other => write!(f, "proto-{other}"),
        }
    }
}
