//! A script: what a seed has the peer send and the program call, with relative numbers.

use wharf::Duration;
use wharf::sim::TcpFlags;

/// What both sides are told alike, from the first step to the last.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// Which options the stack may offer and accept.
    pub(crate) features: Features,
    /// The peer's initial sequence number.
    pub(crate) iss: u32,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

/// What Linux's sysctls and our configuration switch on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// `tcp_window_scaling`.
    pub(crate) window_scale: bool,
    /// `tcp_sack`.
    pub(crate) sack: bool,
    /// `tcp_timestamps`.
    pub(crate) timestamps: bool,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The program calls.
    Call(Call),
    /// The peer sends a segment.
    Segment(Segment),
    /// Nothing, for a time.
    Wait(Duration),
}

/// A socket call. There are a listener and at most one connection.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// socket, bind and listen.
    Listen,
    /// socket, bind and connect.
    Connect,
    /// accept, unless there is a connection.
    Accept,
    /// read so many octets.
    Read(usize),
    /// recv with MSG_PEEK.
    Peek(usize),
    /// write so many octets.
    Write(usize),
    /// send with MSG_OOB: the last of so many octets is urgent.
    WriteUrgent(usize),
    /// recv of one octet with MSG_OOB, and MSG_PEEK or not.
    ReadUrgent { is_peek: bool },
    /// SO_OOBINLINE, which is off until then.
    Inline(bool),
    /// shutdown of the reading, the writing, or both sides.
    Shutdown(How),
    /// close of the connection.
    Close,
    /// close of the listener.
    CloseListener,
    /// TCP_NODELAY.
    Nodelay(bool),
    /// SO_LINGER with a time of zero, or without one.
    Linger(bool),
    /// SO_ERROR.
    TakeError,
}

/// The argument of shutdown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Read,
    Write,
    Both,
}

/// A segment of the peer.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) flags: TcpFlags,
    pub(crate) seq: Seq,
    pub(crate) ack: Ack,
    /// As in the header, unscaled.
    pub(crate) window: u16,
    /// The urgent pointer, which is looked at if URG is set.
    pub(crate) urgent: u16,
    pub(crate) options: Vec<Opt>,
    /// The timestamps option, which it has once both sides have offered it.
    pub(crate) stamp: Stamp,
    /// Octets of data.
    pub(crate) len: u16,
    /// Whether the octets are other ones than the peer's stream has there.
    pub(crate) is_lie: bool,
    /// What is wrong with it besides.
    pub(crate) damage: Damage,
}

/// A sequence number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seq {
    /// So far from what the peer sends next.
    Next(i32),
    /// So far from the right edge of the window that the stack has offered.
    Edge(i32),
}

/// An acknowledgment number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ack {
    /// So far from the stack's SND.NXT.
    Next(i32),
    /// So far from what the peer has acknowledged last.
    Una(i32),
    /// Zero, whatever else.
    Zero,
}

/// An option of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opt {
    Mss(u16),
    Scale(u8),
    SackPermitted,
    /// Blocks: of a stack relative to the peer's initial sequence number, of the peer relative to
    /// what it has acknowledged.
    Sack(Vec<(u32, u32)>),
    /// Of a stack only its echo is told, relative to the peer's clock; of a peer it is made anew.
    Timestamps(i32),
    /// Any octets.
    Raw(Vec<u8>),
}

/// What a segment of the peer says in its timestamps option.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stamp {
    /// The time, and the last value of the stack.
    Now,
    /// A time long ago, and the last value of the stack.
    Old,
    /// The time, and no value.
    NoEcho,
    /// There is none, as if it had been taken out on the way.
    Missing,
}

/// What is wrong with a segment below its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing.
    None,
    /// The checksum.
    Checksum,
    /// The data offset says so many words.
    DataOffset(u8),
    /// The first octet of the IP header, version and length, is this one.
    IpHeader(u8),
}

impl Segment {
    /// A plain segment: next in order, with everything acknowledged.
    pub(crate) fn plain(flags: TcpFlags, len: u16) -> Self {
        Self {
            flags,
            seq: Seq::Next(0),
            ack: Ack::Next(0),
            window: 20_000,
            urgent: 0,
            options: Vec::new(),
            stamp: Stamp::Now,
            len,
            is_lie: false,
            damage: Damage::None,
        }
    }
}
