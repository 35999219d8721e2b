//! TCP segments as packetdrill writes them: `P. 1:1001(1000) ack 1 win 257 <nop,nop,sackOK>`.
//!
//! - Sequence numbers count from the sender's initial sequence number (its SYN is 0), and `ack`
//!   from the receiver's: [`Bases`] turns them into the numbers of the wire and back.
//! - `win` is the field as it stands in the header: not scaled, on any segment. One that arrives
//!   without it has 65535; one that leaves is checked for it only where it is written.
//! - Flags are `S F R P . U E W` in any order; `.` is ACK, and `W` is CWR.
//! - Options are `mss N`, `wscale N`, `sackOK`, `sack A:B C:D`, `TS val N ecr N`, `nop`, `eol`, and
//!   `raw HEX` for the octets of anything else. What leaves may say `<...>`: any options. Without
//!   `<>` there must be none. Padding and order are not compared.
//! - The stack's timestamps count from the one on its first SYN, in `val` as in the `ecr` of a
//!   segment with ACK that brings it back; the peer's stand as they are.

use std::fmt::{self, Write as _};

use super::craft::{TcpFlags, TcpSegment};

/// The initial sequence numbers of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bases {
    /// The stack's, once its SYN has been seen; until then numbers are absolute.
    pub ours: u32,
    /// The peer's, which the script plays.
    pub peers: u32,
    /// The timestamp on the stack's first SYN, if it had one.
    pub our_clock: u32,
}

/// Who sends a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The stack under test.
    Stack,
    /// The peer that the script plays.
    Peer,
}

impl Bases {
    /// The initial sequence numbers of the sender and of the receiver.
    fn of(self, sender: Sender) -> (u32, u32) {
        match sender {
            Sender::Stack => (self.ours, self.peers),
            Sender::Peer => (self.peers, self.ours),
        }
    }

    /// The stack's first SYN has been seen.
    pub(super) fn learn(&mut self, syn: &TcpSegment) {
        self.ours = syn.seq;
        let items = decode_options(&syn.options, 0, (0, 0));
        self.our_clock = items.iter().find_map(OptionItem::timestamp).unwrap_or(0);
    }

    /// From where the timestamps of a segment count: TSval and TSecr.
    fn clocks(self, sender: Sender, has_ack: bool) -> (u32, u32) {
        match sender {
            Sender::Stack => (self.our_clock, 0),
            Sender::Peer if has_ack => (0, self.our_clock),
            Sender::Peer => (0, 0),
        }
    }
}

/// One option, with relative numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named in the module's comment")]
pub enum OptionItem {
    Mss(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps { value: u32, echo: u32 },
    Nop,
    EndOfList,
    Raw(Vec<u8>),
}

impl OptionItem {
    /// TSval.
    pub(super) fn timestamp(&self) -> Option<u32> {
        match *self {
            Self::Timestamps { value, .. } => Some(value),
            _ => None,
        }
    }
}

/// The options of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionList {
    /// `<...>`: whatever they are.
    Any,
    /// Exactly these, but for padding and order.
    These(Vec<OptionItem>),
}

/// A segment as a line writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentLine {
    /// Control bits.
    pub flags: TcpFlags,
    /// First octet, relative to the sender's initial sequence number.
    pub seq: u32,
    /// Octets of data.
    pub len: u16,
    /// Acknowledgment, relative to the receiver's initial sequence number.
    pub ack: Option<u32>,
    /// The window field of the header.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options.
    pub options: OptionList,
}

/// The octet at `position` of the stream that `sender` sends: its first octet of data stands at
/// position 0. The two directions differ in every octet.
pub fn stream_octet(sender: Sender, position: u32) -> u8 {
    let octet = u8::try_from(position % 251).unwrap_or(0);
    match sender {
        Sender::Stack => octet,
        Sender::Peer => !octet,
    }
}

/// `len` octets of the stream that `sender` sends, from `position` on.
pub fn stream(sender: Sender, position: u32, len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| {
            let n = u32::try_from(n).expect("scripts move less than 4 GiB");
            stream_octet(sender, position.wrapping_add(n))
        })
        .collect()
}

impl SegmentLine {
    /// Reads a segment; what it cannot read it leaves in the rest, word by word.
    pub fn parse(text: &str) -> Result<(Self, Vec<String>), String> {
        let (text, options) = cut_options(text)?;
        let mut words = text.split_whitespace();
        let flags = parse_flags(words.next().ok_or("a segment begins with its flags")?)?;
        let range = words.next().ok_or("after the flags comes first:last(length)")?;
        let (seq, len) = parse_range(range)?;
        let mut line = Self { flags, seq, len, ack: None, window: None, urgent: None, options };
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            match word {
                "ack" => line.ack = Some(number(words.next())?),
                "win" => line.window = Some(number(words.next())?),
                "urg" => line.urgent = Some(number(words.next())?),
                _ => {
                    rest.push(word.to_owned());
                    rest.extend(words.by_ref().map(str::to_owned));
                }
            }
        }
        if line.ack.is_some() != flags.contains(TcpFlags::ACK) {
            return Err("`ack N` and the flag `.` go together".into());
        }
        Ok((line, rest))
    }

    /// Puts the segment into `header`, whose ports stand already; the payload is the sender's
    /// stream. SYN takes the first sequence number, so data follows it.
    pub fn fill(&self, sender: Sender, bases: Bases, header: &mut TcpSegment) {
        let (own, other) = bases.of(sender);
        header.flags = self.flags;
        header.seq = own.wrapping_add(self.seq);
        header.ack = self.ack.map_or(0, |ack| other.wrapping_add(ack));
        header.window = self.window.unwrap_or(u16::MAX);
        header.urgent = self.urgent.unwrap_or(0);
        header.options = match &self.options {
            OptionList::Any => Vec::new(),
            OptionList::These(items) => {
                let clocks = bases.clocks(sender, self.ack.is_some());
                encode_options(items, other, clocks)
            }
        };
        let syn = u32::from(self.flags.contains(TcpFlags::SYN));
        let position = self.seq.wrapping_add(syn).wrapping_sub(1);
        header.payload = stream(sender, position, usize::from(self.len));
    }

    /// How `segment` is written.
    pub fn of(sender: Sender, bases: Bases, segment: &TcpSegment) -> Self {
        let (own, other) = bases.of(sender);
        let has_ack = segment.flags.contains(TcpFlags::ACK);
        let has_urgent = segment.flags.contains(TcpFlags::URG);
        Self {
            flags: segment.flags,
            seq: segment.seq.wrapping_sub(own),
            len: u16::try_from(segment.payload.len()).expect("a packet fits 16 bits"),
            ack: has_ack.then(|| segment.ack.wrapping_sub(other)),
            window: Some(segment.window),
            urgent: has_urgent.then_some(segment.urgent),
            options: OptionList::These(decode_options(
                &segment.options,
                other,
                bases.clocks(sender, has_ack),
            )),
        }
    }

    /// Whether `got` is what this line expects.
    pub fn admits(&self, got: &Self) -> bool {
        self.flags == got.flags
            && (self.seq, self.len, self.ack) == (got.seq, got.len, got.ack)
            && self.urgent == got.urgent
            && (self.window.is_none() || self.window == got.window)
            && self.options.admits(&got.options)
    }
}

impl OptionList {
    fn admits(&self, got: &Self) -> bool {
        let (Self::These(wanted), Self::These(got)) = (self, got) else {
            return true;
        };
        let is_real = |item: &&OptionItem| !matches!(item, OptionItem::Nop | OptionItem::EndOfList);
        wanted.iter().filter(is_real).count() == got.iter().filter(is_real).count()
            && wanted.iter().filter(is_real).all(|item| got.contains(item))
    }
}

/// Cuts `<...>` out of the text of a segment.
fn cut_options(text: &str) -> Result<(String, OptionList), String> {
    let Some((before, rest)) = text.split_once('<') else {
        return Ok((text.to_owned(), OptionList::These(Vec::new())));
    };
    let (inside, after) = rest.split_once('>').ok_or("the options lack their `>`")?;
    let options = if inside.trim() == "..." {
        OptionList::Any
    } else {
        let items = inside.split(',').map(|item| parse_option(item.trim()));
        OptionList::These(items.collect::<Result<_, _>>()?)
    };
    Ok((format!("{before} {after}"), options))
}

fn parse_flags(word: &str) -> Result<TcpFlags, String> {
    let mut flags = TcpFlags::NONE;
    for letter in word.chars() {
        flags = flags.with(match letter {
            'S' => TcpFlags::SYN,
            'F' => TcpFlags::FIN,
            'R' => TcpFlags::RST,
            'P' => TcpFlags::PSH,
            '.' => TcpFlags::ACK,
            'U' => TcpFlags::URG,
            'E' => TcpFlags::ECE,
            'W' => TcpFlags::CWR,
            '-' => TcpFlags::NONE,
            _ => return Err(format!("`{word}` are no flags")),
        });
    }
    Ok(flags)
}

/// Reads `first:last(length)`.
fn parse_range(word: &str) -> Result<(u32, u16), String> {
    let parts = word
        .strip_suffix(')')
        .and_then(|word| word.split_once('('))
        .and_then(|(range, len)| Some((range.split_once(':')?, len)));
    let ((first, last), len) = parts.ok_or_else(|| format!("`{word}` is no first:last(length)"))?;
    let (first, last) = (number::<u32>(Some(first))?, number::<u32>(Some(last))?);
    let len = number::<u16>(Some(len))?;
    if last.wrapping_sub(first) != u32::from(len) {
        return Err(format!("`{word}`: last - first is not the length"));
    }
    Ok((first, len))
}

fn parse_option(text: &str) -> Result<OptionItem, String> {
    let words: Vec<_> = text.split_whitespace().collect();
    Ok(match words.as_slice() {
        ["mss", mss] => OptionItem::Mss(number(Some(mss))?),
        ["wscale", shift] => OptionItem::WindowScale(number(Some(shift))?),
        ["sackOK"] => OptionItem::SackPermitted,
        ["nop"] => OptionItem::Nop,
        ["eol"] => OptionItem::EndOfList,
        ["TS", "val", value, "ecr", echo] => {
            OptionItem::Timestamps { value: number(Some(value))?, echo: number(Some(echo))? }
        }
        ["raw", hex] => OptionItem::Raw(parse_hex(hex)?),
        ["sack", blocks @ ..] => {
            let edges = blocks.iter().map(|block| {
                let (left, right) = block.split_once(':').ok_or("a SACK block is left:right")?;
                Ok::<_, String>((number(Some(left))?, number(Some(right))?))
            });
            OptionItem::Sack(edges.collect::<Result<_, _>>()?)
        }
        _ => return Err(format!("`{text}` is no option")),
    })
}

/// Reads pairs of hexadecimal digits.
pub(super) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2);
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{text}` is not hexadecimal"))
}

/// Reads the number that `word` must be.
pub(super) fn number<T: std::str::FromStr>(word: Option<&str>) -> Result<T, String> {
    let word = word.ok_or("a number is missing at the end")?;
    word.parse().map_err(|_| format!("`{word}` is no number that fits here"))
}

/// The octets of `items`; numbers in SACK blocks count from `base`, timestamps from `clocks`.
fn encode_options(items: &[OptionItem], base: u32, clocks: (u32, u32)) -> Vec<u8> {
    let mut octets = Vec::new();
    for item in items {
        match item {
            OptionItem::Mss(mss) => {
                octets.extend([2, 4]);
                octets.extend(mss.to_be_bytes());
            }
            OptionItem::WindowScale(shift) => octets.extend([3, 3, *shift]),
            OptionItem::SackPermitted => octets.extend([4, 2]),
            OptionItem::Sack(blocks) => {
                let len = u8::try_from(2 + 8 * blocks.len()).expect("four blocks at most");
                octets.extend([5, len]);
                for (left, right) in blocks {
                    octets.extend(base.wrapping_add(*left).to_be_bytes());
                    octets.extend(base.wrapping_add(*right).to_be_bytes());
                }
            }
            OptionItem::Timestamps { value, echo } => {
                octets.extend([8, 10]);
                octets.extend(clocks.0.wrapping_add(*value).to_be_bytes());
                octets.extend(clocks.1.wrapping_add(*echo).to_be_bytes());
            }
            OptionItem::Nop => octets.push(1),
            OptionItem::EndOfList => octets.push(0),
            OptionItem::Raw(raw) => octets.extend(raw),
        }
    }
    octets
}

/// The items that `octets` hold; what is malformed ends the list as `raw`.
pub(super) fn decode_options(mut octets: &[u8], base: u32, clocks: (u32, u32)) -> Vec<OptionItem> {
    let mut items = Vec::new();
    loop {
        let len = match *octets {
            [] => return items,
            [0, ..] => {
                items.push(OptionItem::EndOfList);
                return items;
            }
            [1, ..] => 1,
            [_, len, ..] if len >= 2 && usize::from(len) <= octets.len() => usize::from(len),
            _ => octets.len(),
        };
        let (option, rest) = octets.split_at(len);
        items.push(decode_option(option, base, clocks));
        octets = rest;
    }
}

fn decode_option(option: &[u8], base: u32, clocks: (u32, u32)) -> OptionItem {
    let word = |octets: &[u8]| octets.try_into().map_or(0, u32::from_be_bytes);
    match *option {
        [1] => OptionItem::Nop,
        [2, 4, high, low] => OptionItem::Mss(u16::from_be_bytes([high, low])),
        [3, 3, shift] => OptionItem::WindowScale(shift),
        [4, 2] => OptionItem::SackPermitted,
        [5, _, ref blocks @ ..] if !blocks.is_empty() && blocks.len().is_multiple_of(8) => {
            let edges = blocks.chunks(8).map(|block| {
                let (left, right) = block.split_at(4);
                (word(left).wrapping_sub(base), word(right).wrapping_sub(base))
            });
            OptionItem::Sack(edges.collect())
        }
        [8, 10, ref both @ ..] => {
            let (value, echo) = both.split_at(both.len() / 2);
            OptionItem::Timestamps {
                value: word(value).wrapping_sub(clocks.0),
                echo: word(echo).wrapping_sub(clocks.1),
            }
        }
        _ => OptionItem::Raw(option.to_vec()),
    }
}

/// As it is read.
impl fmt::Display for SegmentLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, letter) in [
            (TcpFlags::SYN, 'S'),
            (TcpFlags::FIN, 'F'),
            (TcpFlags::RST, 'R'),
            (TcpFlags::PSH, 'P'),
            (TcpFlags::URG, 'U'),
            (TcpFlags::ECE, 'E'),
            (TcpFlags::CWR, 'W'),
            (TcpFlags::ACK, '.'),
        ] {
            if self.flags.contains(flag) {
                f.write_char(letter)?;
            }
        }
        if self.flags == TcpFlags::NONE {
            f.write_char('-')?;
        }
        let last = self.seq.wrapping_add(u32::from(self.len));
        write!(f, " {}:{last}({})", self.seq, self.len)?;
        for (name, value) in [
            ("ack", self.ack),
            ("win", self.window.map(u32::from)),
            ("urg", self.urgent.map(u32::from)),
        ] {
            if let Some(value) = value {
                write!(f, " {name} {value}")?;
            }
        }
        match &self.options {
            OptionList::Any => f.write_str(" <...>"),
            OptionList::These(items) if items.is_empty() => Ok(()),
            OptionList::These(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", items.join(","))
            }
        }
    }
}

/// As it is read.
impl fmt::Display for OptionItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                f.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(f, " {left}:{right}"))
            }
            Self::Timestamps { value, echo } => write!(f, "TS val {value} ecr {echo}"),
            Self::Nop => f.write_str("nop"),
            Self::EndOfList => f.write_str("eol"),
            Self::Raw(octets) => {
                f.write_str("raw ")?;
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::craft::Packet;

    /// Both initial sequence numbers a few octets before the wrap.
    const BASES: Bases = Bases { ours: u32::MAX - 2, peers: u32::MAX - 1, our_clock: u32::MAX - 3 };

    fn there_and_back(text: &str, sender: Sender) -> String {
        let (line, rest) = SegmentLine::parse(text).unwrap();
        assert!(rest.is_empty(), "{rest:?}");
        let addr = "10.7.0.1:1".parse().unwrap();
        let mut segment = Packet::tcp(addr, addr, TcpFlags::NONE).segment().unwrap().clone();
        line.fill(sender, BASES, &mut segment);
        SegmentLine::of(sender, BASES, &segment).to_string()
    }

    #[test]
    fn a_segment_is_written_as_it_was_read() {
        for text in [
            "S 0:0(0) win 65535 <mss 1460,nop,wscale 7>",
            "S. 0:0(0) ack 1 win 0 <mss 536,sackOK,TS val 7 ecr 0>",
            "P. 1:1001(1000) ack 1 win 257",
            ". 1:1(0) ack 1 win 257 <TS val 7 ecr 9>",
            "FP. 4294967290:4294967295(5) ack 4294967295 win 9",
            ". 1:1(0) ack 1 win 5 <nop,nop,sack 2001:3001 5001:6001>",
            "R 77:77(0) win 0",
            "PU. 1:2(1) ack 1 win 5 urg 1",
            "- 1:1(0) win 5 <raw fd04abcd>",
        ] {
            for sender in [Sender::Stack, Sender::Peer] {
                assert_eq!(there_and_back(text, sender), text);
            }
        }
    }

    #[test]
    fn a_bad_segment_is_an_error_that_says_what_is_wrong() {
        for (text, part) in [
            ("", "flags"),
            ("Q 0:0(0)", "no flags"),
            ("S", "first:last"),
            ("S 0:1(0)", "not the length"),
            ("S 0:0(0) win", "missing"),
            ("S 0:0(0) win 65536", "fits"),
            (". 1:1(0)", "go together"),
            ("S 0:0(0) ack 1", "go together"),
            ("S 0:0(0) <mss>", "no option"),
            ("S 0:0(0) <mss 1460", "`>`"),
            ("S 0:0(0) <raw abc>", "hexadecimal"),
        ] {
            let error = SegmentLine::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_written_is_not_compared_but_options_are() {
        let read = |text| SegmentLine::parse(text).unwrap().0;
        let got = read("S. 0:0(0) ack 1 win 9 <mss 1460,nop,wscale 7>");
        for (wanted, is_admitted) in [
            ("S. 0:0(0) ack 1 <wscale 7,mss 1460>", true),
            ("S. 0:0(0) ack 1 <...>", true),
            ("S. 0:0(0) ack 1 win 8 <...>", false),
            ("S. 0:0(0) ack 2 <...>", false),
            ("S. 0:0(0) ack 1", false),
            ("S. 0:0(0) ack 1 <mss 1460>", false),
            ("S. 0:0(0) ack 1 <mss 1460,wscale 7,sackOK>", false),
        ] {
            assert_eq!(read(wanted).admits(&got), is_admitted, "{wanted}");
        }
    }

    #[test]
    fn words_that_a_segment_does_not_know_are_left_over() {
        let (_, rest) = SegmentLine::parse("S 0:0(0) win 9 from 1.2.3.4:5 ttl 9").unwrap();
        assert_eq!(rest, ["from", "1.2.3.4:5", "ttl", "9"]);
    }
}
