//! The lines of a packet script: when, who, what.
//!
//! ```text
//! line   = "+" seconds [label ":"] event ["#" comment]        seconds since the line before
//! event  = "<" packet      arrives at the stack; what that makes it send, the next lines say
//!        | "<+" packet     the same, but the next packet arrives in the same batch
//!        | ">" packet      leaves the stack, at exactly this time
//!        | call            a socket call (see [`Call`])
//!        | "expect" what   (see [`Expectation`])
//!        | "nothing"       silence up to here, this moment included
//! packet = segment (see `notation`)
//!        | "udp" port ">" port "(" octets ")"
//!        | "icmp echo_request" | "icmp echo_reply"  "id" N "seq" N "(" octets ")"
//!        | "icmp" kind code ["mtu" N] ["quoting" seq] ["quoting_port" N]
//!          ["quoting_octets" N]      an error about our last packet, or as if that were another
//!        followed by any of: "from" addr:port, "to" addr:port, "ttl" N, "tos" N,
//!        "ip_options" hex, "bad_checksum", "cut" octets, "poke" place hex
//! ```
//!
//! A label names a connection: each has a peer port, initial sequence numbers and a socket of its
//! own. Lines without one share the connection `""`.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::notation::{SegmentLine, number, parse_hex};
use crate::time::Duration;

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// Counted from 1.
    pub(super) line: usize,
    /// The line without its comment.
    pub(super) text: String,
    /// Time since the statement before.
    pub(super) after: Duration,
    /// Which connection.
    pub(super) label: String,
    pub(super) action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Arrives { packet: PacketLine, is_batched: bool },
    Leaves(PacketLine),
    Call(Call),
    Expect(Expectation),
    Nothing,
}

/// A packet with what may differ from the connection's usual.
#[derive(Clone, Debug)]
pub(super) struct PacketLine {
    pub(super) content: ContentLine,
    pub(super) from: Option<SocketAddrV4>,
    pub(super) to: Option<SocketAddrV4>,
    pub(super) ttl: Option<u8>,
    pub(super) tos: Option<u8>,
    pub(super) ip_options: Vec<u8>,
    /// Flips a bit of the last octet after the checksums were made.
    pub(super) is_damaged: bool,
    /// Leaves only so many octets of the packet.
    pub(super) cut: Option<usize>,
    /// Octets that are overwritten from a place on; the IP header's checksum is then made anew.
    pub(super) pokes: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
pub(super) enum ContentLine {
    Tcp(SegmentLine),
    Udp {
        from: u16,
        to: u16,
        len: usize,
    },
    Echo {
        is_request: bool,
        ident: u16,
        seq: u16,
        len: usize,
    },
    /// An ICMP error that quotes the last packet of the other side.
    IcmpError {
        kind: u8,
        code: u8,
        mtu: u16,
        quoting: Option<u32>,
        quoting_port: Option<u16>,
        quoting_octets: usize,
    },
}

/// What a call is to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// So many octets.
    Octets(usize),
    /// The name of an error number.
    Error(String),
}

/// Socket calls.
#[derive(Clone, Debug)]
pub(super) enum Call {
    /// `socket listen PORT [backlog N | any]`: any destination.
    Listen { port: u16, backlog: u32, takes_any: bool },
    /// `unlisten`: closes the listener.
    Unlisten,
    /// `bind [ADDRESS:]PORT`: of the socket that `connect` will use.
    Bind(Option<Ipv4Addr>, u16),
    /// `connect [to ADDRESS:PORT] [error NAME]`
    Connect(Option<SocketAddrV4>, Outcome),
    /// `accept [from ADDRESS:PORT] [error EAGAIN]`
    Accept(Option<SocketAddrV4>, Outcome),
    /// `write [more] N [takes M | error NAME]`; with `more`, MSG_MORE.
    Write { len: usize, more: bool, wanted: Outcome },
    /// `read N [gives M | error NAME]`, `read eof`, `read error NAME`
    Read(usize, Outcome),
    /// `write_urgent N [takes M | error NAME]`
    WriteUrgent(usize, Outcome),
    /// `read_urgent POSITION`: the octet that stands there in the peer's stream, out of it; `read`
    /// goes on behind it. `read_urgent error NAME`, `read_urgent none`.
    ReadUrgent(u32, Outcome),
    /// `shutdown read|write|both`
    Shutdown(crate::stack::Shutdown),
    /// `close`
    Close,
    /// `abort`: linger of zero, then close.
    Abort,
    /// `nodelay on|off`
    NoDelay(bool),
    /// `[listener] set NAME VALUE [error NAME]` (see `script_options`)
    Set { is_listener: bool, option: String, value: String, wanted: Outcome },
    /// `incarnation N`: both initial sequence numbers are new; the peer's is N.
    Incarnation(u32),
    /// `udp bind PORT`
    UdpBind(u16),
    /// `udp send N [error NAME]`: to the connection's peer.
    UdpSend(usize, Outcome),
    /// `udp recv N`, `udp recv error NAME`
    UdpRecv(Outcome),
}

/// Questions.
#[derive(Clone, Debug)]
pub(super) enum Expectation {
    /// `expect state NAME`: of RFC 9293; `CLOSED` is no connection at all.
    State(String),
    /// `expect connections N`
    Connections(usize),
    /// `expect [not] readable|writable|read_closed|error|priority|at_mark`
    Ready { what: String, is_so: bool },
    /// `expect pending NAME`: SO_ERROR, which is cleared; `none` for no error.
    Pending(String),
    /// `expect peer`, `expect not peer`: whether getpeername(2) knows one.
    Peer(bool),
    /// `expect soft NAME`: what may pass; `none` for nothing.
    Soft(String),
    /// `[listener] expect NAME N`: a field of `TcpInfo` (see `script_info`).
    Info { is_listener: bool, what: String, value: u64 },
    /// `expect dropped REASON N`: by the label of a `DropReason`.
    Dropped { reason: String, count: u64 },
}

/// Reads a script.
pub(super) fn parse_script(text: &str) -> Result<Vec<Statement>, String> {
    let mut statements = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let text = line.split('#').next().unwrap_or_default().trim();
        if !text.is_empty() {
            let statement = parse_statement(index + 1, text);
            statements
                .push(statement.map_err(|why| format!("line {}: {text}\n  {why}", index + 1))?);
        }
    }
    Ok(statements)
}

fn parse_statement(line: usize, text: &str) -> Result<Statement, String> {
    let (time, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let after = time
        .strip_prefix('+')
        .and_then(parse_seconds)
        .ok_or_else(|| format!("`{time}` is no time such as +0.25"))?;
    let mut rest = rest.trim_start();
    let mut label = String::new();
    if let Some((word, more)) = rest.split_once(char::is_whitespace)
        && let Some(name) = word.strip_suffix(':')
    {
        name.clone_into(&mut label);
        rest = more.trim_start();
    }
    let action = if let Some(packet) = rest.strip_prefix("<+") {
        Action::Arrives { packet: parse_packet(packet)?, is_batched: true }
    } else if let Some(packet) = rest.strip_prefix('<') {
        Action::Arrives { packet: parse_packet(packet)?, is_batched: false }
    } else if let Some(packet) = rest.strip_prefix('>') {
        Action::Leaves(parse_packet(packet)?)
    } else {
        parse_call(rest)?
    };
    Ok(Statement { line, text: text.to_owned(), after, label, action })
}

/// Reads decimal seconds, to the nanosecond.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 9 {
        return None;
    }
    let nanos = format!("{part:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

fn parse_packet(text: &str) -> Result<PacketLine, String> {
    let text = text.trim();
    let (content, rest) = match text.split_once(char::is_whitespace) {
        Some(("udp", rest)) => parse_udp(rest)?,
        Some(("icmp", rest)) => parse_icmp(rest)?,
        _ => {
            let (segment, rest) = SegmentLine::parse(text)?;
            (ContentLine::Tcp(segment), rest)
        }
    };
    let mut packet = PacketLine {
        content,
        from: None,
        to: None,
        ttl: None,
        tos: None,
        ip_options: Vec::new(),
        is_damaged: false,
        cut: None,
        pokes: Vec::new(),
    };
    let mut words = rest.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "from" => packet.from = Some(number(words.next())?),
            "to" => packet.to = Some(number(words.next())?),
            "ttl" => packet.ttl = Some(number(words.next())?),
            "tos" => packet.tos = Some(number(words.next())?),
            "ip_options" => packet.ip_options = parse_hex(words.next().unwrap_or_default())?,
            "bad_checksum" => packet.is_damaged = true,
            "poke" => {
                let place = number(words.next())?;
                packet.pokes.push((place, parse_hex(words.next().unwrap_or_default())?));
            }
            "cut" => packet.cut = Some(number(words.next())?),
            _ => return Err(format!("`{word}` is not understood in a packet")),
        }
    }
    Ok(packet)
}

fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Reads `5000>53 (10)`.
fn parse_udp(text: &str) -> Result<(ContentLine, Vec<String>), String> {
    let words = words_of(text);
    let [ports, len, rest @ ..] = words.as_slice() else {
        return Err("udp wants FROM>TO (octets)".into());
    };
    let (from, to) = ports.split_once('>').ok_or("udp wants FROM>TO (octets)")?;
    let content =
        ContentLine::Udp { from: number(Some(from))?, to: number(Some(to))?, len: parse_len(len)? };
    Ok((content, rest.to_vec()))
}

fn parse_len(word: &str) -> Result<usize, String> {
    let inside = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
    number(inside.or(Some(word)))
}

fn parse_icmp(text: &str) -> Result<(ContentLine, Vec<String>), String> {
    let words = words_of(text);
    let strs: Vec<_> = words.iter().map(String::as_str).collect();
    if let [kind @ ("echo_request" | "echo_reply"), "id", id, "seq", seq, len, ..] = *strs {
        let content = ContentLine::Echo {
            is_request: kind == "echo_request",
            ident: number(Some(id))?,
            seq: number(Some(seq))?,
            len: parse_len(len)?,
        };
        return Ok((content, words[6..].to_vec()));
    }
    let (kind, code, used) = match *strs {
        ["unreachable", code, ..] => (3, unreachable_code(code)?, 2),
        ["source_quench", ..] => (4, 0, 1),
        ["time_exceeded", code, ..] => (11, number(Some(code))?, 2),
        ["parameter_problem", code, ..] => (12, number(Some(code))?, 2),
        _ => return Err(format!("`{text}` is no ICMP message")),
    };
    let (mut mtu, mut quoting, mut quoting_port) = (0, None, None);
    // The IP header and eight octets, the least that RFC 792 asks to quote.
    let mut quoting_octets = 28;
    let mut rest = &strs[used..];
    loop {
        rest = match *rest {
            ["mtu", value, ref more @ ..] => {
                mtu = number(Some(value))?;
                more
            }
            ["quoting", seq, ref more @ ..] => {
                quoting = Some(number(Some(seq))?);
                more
            }
            ["quoting_octets", octets, ref more @ ..] => {
                quoting_octets = number(Some(octets))?;
                more
            }
            ["quoting_port", port, ref more @ ..] => {
                quoting_port = Some(number(Some(port))?);
                more
            }
            _ => break,
        };
    }
    let content = ContentLine::IcmpError { kind, code, mtu, quoting, quoting_port, quoting_octets };
    Ok((content, rest.iter().map(|&word| word.to_owned()).collect()))
}

fn unreachable_code(name: &str) -> Result<u8, String> {
    Ok(match name {
        "net" => 0,
        "host" => 1,
        "protocol" => 2,
        "port" => 3,
        "fragmentation_needed" => 4,
        "source_route" => 5,
        _ => number(Some(name))?,
    })
}

fn parse_call(text: &str) -> Result<Action, String> {
    use crate::stack::Shutdown;
    let words: Vec<_> = text.split_whitespace().collect();
    let call = match words.as_slice() {
        ["nothing"] => return Ok(Action::Nothing),
        ["listener", "expect", what, value] => {
            return Ok(Action::Expect(parse_info(what, value, true)?));
        }
        ["expect", rest @ ..] => return Ok(Action::Expect(parse_expectation(rest)?)),
        ["socket", "listen", port, rest @ ..] => {
            let (backlog, takes_any) = match rest {
                [] => (16, false),
                ["any"] => (16, true),
                ["backlog", backlog] => (number(Some(backlog))?, false),
                _ => return Err(format!("`{}` says nothing about listening", rest.join(" "))),
            };
            Call::Listen { port: number(Some(port))?, backlog, takes_any }
        }
        ["unlisten"] => Call::Unlisten,
        ["bind", place] => {
            let (addr, port) = place.split_once(':').unwrap_or(("", place));
            let addr = if addr.is_empty() { None } else { Some(number(Some(addr))?) };
            Call::Bind(addr, number(Some(port))?)
        }
        ["connect", "to", to, rest @ ..] => {
            Call::Connect(Some(number(Some(to))?), parse_outcome(rest, Outcome::Done)?)
        }
        ["connect", rest @ ..] => Call::Connect(None, parse_outcome(rest, Outcome::Done)?),
        ["accept", "from", peer] => Call::Accept(Some(number(Some(peer))?), Outcome::Done),
        ["accept", rest @ ..] => Call::Accept(None, parse_outcome(rest, Outcome::Done)?),
        ["write", "more", len, rest @ ..] => parse_write(len, rest, true)?,
        ["write", len, rest @ ..] => parse_write(len, rest, false)?,
        ["read", "eof"] => Call::Read(1, Outcome::Octets(0)),
        ["read", "error", name] => Call::Read(1, Outcome::Error((*name).to_owned())),
        ["read", len, rest @ ..] => {
            let len = number(Some(len))?;
            Call::Read(len, parse_outcome(rest, Outcome::Octets(len))?)
        }
        ["write_urgent" | "read_urgent", ..] => parse_urgent_call(&words)?,
        ["shutdown", "read"] => Call::Shutdown(Shutdown::Read),
        ["shutdown", "write"] => Call::Shutdown(Shutdown::Write),
        ["shutdown", "both"] => Call::Shutdown(Shutdown::Both),
        ["close"] => Call::Close,
        ["abort"] => Call::Abort,
        ["nodelay", "on"] => Call::NoDelay(true),
        ["nodelay", "off"] => Call::NoDelay(false),
        ["set", option, value, rest @ ..] | ["listener", "set", option, value, rest @ ..] => {
            Call::Set {
                is_listener: words.first() == Some(&"listener"),
                option: (*option).to_owned(),
                value: (*value).to_owned(),
                wanted: parse_outcome(rest, Outcome::Done)?,
            }
        }
        ["incarnation", iss] => Call::Incarnation(number(Some(iss))?),
        ["udp", "bind", port] => Call::UdpBind(number(Some(port))?),
        ["udp", "send", len, rest @ ..] => {
            let len = number(Some(len))?;
            Call::UdpSend(len, parse_outcome(rest, Outcome::Octets(len))?)
        }
        ["udp", "recv", "error", name] => Call::UdpRecv(Outcome::Error((*name).to_owned())),
        ["udp", "recv", len] => Call::UdpRecv(Outcome::Octets(number(Some(len))?)),
        _ => return Err(format!("`{text}` is neither a packet nor a call")),
    };
    Ok(Action::Call(call))
}

fn parse_info(what: &str, value: &str, is_listener: bool) -> Result<Expectation, String> {
    Ok(Expectation::Info { is_listener, what: what.to_owned(), value: number(Some(value))? })
}

fn parse_write(len: &str, rest: &[&str], more: bool) -> Result<Call, String> {
    let len = number(Some(len))?;
    Ok(Call::Write { len, more, wanted: parse_outcome(rest, Outcome::Octets(len))? })
}

fn parse_urgent_call(words: &[&str]) -> Result<Call, String> {
    Ok(match *words {
        ["write_urgent", len, ref rest @ ..] => {
            let len = number(Some(len))?;
            Call::WriteUrgent(len, parse_outcome(rest, Outcome::Octets(len))?)
        }
        ["read_urgent", "none"] => Call::ReadUrgent(0, Outcome::Octets(0)),
        ["read_urgent", "error", name] => Call::ReadUrgent(0, Outcome::Error(name.to_owned())),
        ["read_urgent", place] => Call::ReadUrgent(number(Some(place))?, Outcome::Octets(1)),
        _ => return Err(format!("`{}` is no call about urgent data", words.join(" "))),
    })
}

fn parse_outcome(words: &[&str], usual: Outcome) -> Result<Outcome, String> {
    match words {
        [] => Ok(usual),
        ["takes" | "gives", len] => Ok(Outcome::Octets(number(Some(len))?)),
        ["error", name] => Ok(Outcome::Error((*name).to_owned())),
        _ => Err(format!("`{}` is no outcome of a call", words.join(" "))),
    }
}

fn parse_expectation(words: &[&str]) -> Result<Expectation, String> {
    Ok(match words {
        ["state", name] => Expectation::State((*name).to_owned()),
        ["connections", count] => Expectation::Connections(number(Some(count))?),
        ["pending", name] => Expectation::Pending((*name).to_owned()),
        ["soft", name] => Expectation::Soft((*name).to_owned()),
        ["peer"] => Expectation::Peer(true),
        ["not", "peer"] => Expectation::Peer(false),
        ["not", what] => Expectation::Ready { what: (*what).to_owned(), is_so: false },
        [what] => Expectation::Ready { what: (*what).to_owned(), is_so: true },
        ["dropped", reason, count] => {
            Expectation::Dropped { reason: (*reason).to_owned(), count: number(Some(count))? }
        }
        [what, value] => parse_info(what, value, false)?,
        _ => return Err(format!("`{}` cannot be expected", words.join(" "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_time_a_label_and_an_event() {
        let script = "
            +0     socket listen 80        # a comment
            +1.5   b: < S 0:0(0) win 9 <mss 1460> from 1.2.3.4:5 bad_checksum

            +0     <+ udp 5000>53 (10)
        ";
        let statements = parse_script(script).unwrap();
        let lines: Vec<_> = statements.iter().map(|s| (s.line, s.after, &s.label[..])).collect();
        let second_and_a_half = Duration::from_millis(1500);
        assert_eq!(
            lines,
            [(2, Duration::ZERO, ""), (3, second_and_a_half, "b"), (5, Duration::ZERO, "")]
        );
        let Action::Arrives { packet, is_batched } = &statements[1].action else {
            panic!("{:?}", statements[1]);
        };
        assert!(!is_batched && packet.is_damaged);
        assert_eq!(packet.from, "1.2.3.4:5".parse().ok());
        assert!(matches!(statements[2].action, Action::Arrives { is_batched: true, .. }));
    }

    #[test]
    fn seconds_are_read_to_the_nanosecond() {
        for (text, nanos) in [
            ("0", 0),
            ("0.1", 100_000_000),
            ("2.000000001", 2_000_000_001),
            ("3600", 3_600_000_000_000),
        ] {
            assert_eq!(parse_seconds(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", ".", "1.0000000001", "-1", "x"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn every_kind_of_line_is_understood_and_no_other() {
        for text in [
            "+0 socket listen 80 backlog 2",
            "+0 accept error EAGAIN",
            "+0 accept from 10.7.0.2:5000",
            "+0 connect error ENETUNREACH",
            "+0 write 10 takes 5",
            "+0 read 10 gives 5",
            "+0 read eof",
            "+0 write_urgent 10 takes 5",
            "+0 read_urgent 7",
            "+0 read_urgent error EINVAL",
            "+0 expect not at_mark",
            "+0 read error ECONNRESET",
            "+0 expect state TIME-WAIT",
            "+0 expect not writable",
            "+0 expect cwnd 4000",
            "+0 > icmp unreachable port",
            "+0 < icmp unreachable fragmentation_needed mtu 1000 quoting 1",
            "+0 < icmp echo_request id 1 seq 2 (56) to 10.7.0.255:0",
            "+0 > udp 53>5000 (10) ttl 64",
            "+10 nothing",
        ] {
            assert!(parse_script(text).is_ok(), "{text}: {:?}", parse_script(text));
        }
        for text in [
            "accept",
            "+x accept",
            "+0 accept twice",
            "+0 write",
            "+0 write_urgent",
            "+0 udp",
            "+0 < icmp rubbish",
            "+0 < S 0:0(0) sideways",
        ] {
            let error = parse_script(text).unwrap_err();
            assert!(error.starts_with("line 1: "), "{error}");
        }
    }
}
