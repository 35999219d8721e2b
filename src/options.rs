//! The options of a socket: what there is to set, its unit, range and default.
//!
//! One value for the whole stack: a socket, its listener and its connection share it behind one
//! pointer, so that a hundred options cost an idle connection as much as one.

use crate::time::Duration;

/// Shortest and longest time of keep-alive that Linux takes, and so do we (`MAX_TCP_KEEPIDLE`,
/// `MAX_TCP_KEEPINTVL`).
const KEEPALIVE_TIMES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(32_767));

/// Longest user timeout: what 31 bits of milliseconds can say (`TCP_USER_TIMEOUT` is an `int`).
const USER_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX.cast_unsigned() as u64);

/// Least and largest TCP_MAXSEG, as Linux (`TCP_MIN_MSS`, `MAX_TCP_WINDOW`).
const MAX_SEGMENTS: (u16, u16) = (88, 32_767);

/// Options of a socket. Each takes effect as far as it still can: the largest segment and the
/// congestion control count for connections that are opened from then on, all else at once. A
/// receive buffer that has been offered to the peer does not shrink. What a listener accepts
/// inherits its options.
///
/// The name in capitals is Linux's, and the default stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is on or off by itself")]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments do not wait for the ones before them. Off.
    pub nodelay: bool,
    /// IP_TTL: time to live of packets, 1 to 255. 64.
    pub ttl: u8,
    /// IP_TOS: DSCP in the upper six bits, which leave as they are; the lower two are TCP's own. It
    /// may change at any time (MUST-48, SHLD-21, SHLD-22). 0.
    pub tos: u8,
    /// SO_LINGER: `Some(Duration::ZERO)` makes `close` reset the connection. `None`. With a longer
    /// time `close` does what it does without: it returns at once, and what was written is sent in
    /// the background.
    pub linger: Option<Duration>,
    /// SO_RCVBUF: octets that wait to be read, 2 KiB to 1 GiB; a datagram counts 64 more than it
    /// has. 256 KiB.
    pub receive_buffer: u32,
    /// SO_SNDBUF: octets that wait to be acknowledged, 2 KiB to 1 GiB. 256 KiB. Datagrams wait for
    /// the device alone, all together, and it does not bound them.
    pub send_buffer: u32,
    /// SO_REUSEADDR: the address may be shared with sockets that have it on too and do not listen.
    /// Accepted connections and TIME-WAIT keep nobody from a port, whether it is on or not. It
    /// counts for a `bind` to come. Off.
    pub reuse_address: bool,
    /// SO_REUSEPORT: sockets that all ask for it share a place, listeners and UDP sockets too; what
    /// arrives is spread over them by a keyed hash of both ends, so that a peer always comes to the
    /// same one. It counts for a `bind` to come. Off.
    pub reuse_port: bool,
    /// IP_LOCAL_PORT_RANGE: first and last port to choose from when the socket asks for none. A
    /// bound outside of [`TcpConfig::ephemeral_ports`](crate::TcpConfig) counts as that. `None`.
    pub local_port_range: Option<(u16, u16)>,
    /// SO_BROADCAST: datagrams may go to broadcast addresses. Off.
    pub broadcast: bool,
    /// A listener takes connections to addresses that are not ours; needs
    /// [`InterfaceConfig::any_destination`](crate::InterfaceConfig). Off.
    pub any_destination: bool,
    /// SO_OOBINLINE: urgent octets are read like all others, as RFC 6093 §6 recommends; else
    /// [`Stack::read_urgent`](crate::Stack::read_urgent) reads the one before the urgent pointer.
    /// On, unlike Linux.
    pub oob_inline: bool,
    /// IP_RECVERR: what routers say of an open connection is a pending error at once, although the
    /// connection goes on (RFC 9293 §3.9.1.8, SHLD-20). Off.
    pub receive_errors: bool,
    /// SO_KEEPALIVE: an idle peer is asked now and then whether it is still there (RFC 9293
    /// §3.8.4, MUST-24). Off (MUST-25).
    pub keepalive: bool,
    /// TCP_KEEPIDLE: how long a connection is idle before the first probe, 1 s to 32,767 s
    /// (MUST-27). 2 hours (MUST-28).
    pub keepalive_idle: Duration,
    /// TCP_KEEPINTVL: from one unanswered probe to the next, 1 s to 32,767 s. 75 s.
    pub keepalive_interval: Duration,
    /// TCP_KEEPCNT: after so many unanswered probes the connection ends, 1 to 127. 9 (MUST-29).
    pub keepalive_count: u8,
    /// TCP_USER_TIMEOUT: how long what was sent may wait for its acknowledgment, or what was
    /// written for the peer's window to open, even if the peer answers; then the connection ends
    /// (RFC 5482; R2 of RFC 9293 §3.8.3, MUST-21). It also takes the place of `keepalive_count`.
    /// 1 ms to 2^31 - 1 ms. `None`: [`TcpConfig::give_up_after`](crate::TcpConfig), and a peer
    /// that answers may keep its window shut for ever.
    ///
    /// It is no more than our own patience: the option of RFC 5482 is not sent.
    pub user_timeout: Option<Duration>,
    /// TCP_SYNCNT: how often the SYN of a connect is sent again before it is given up, 1 to 127.
    /// `None`: for [`TcpConfig::connect_timeout`](crate::TcpConfig).
    pub syn_count: Option<u8>,
    /// TCP_LINGER2: how long a connection whose socket is closed may wait in FIN-WAIT-2 for the
    /// peer's FIN. Zero resets it instead (Linux: a negative value).
    /// [`TcpConfig::fin_wait_2_timeout`](crate::TcpConfig), which is 60 s.
    pub linger2: Duration,
    /// TCP_CORK: a segment that is not full waits for more to be written, for 200 ms at most; what
    /// has waited leaves when it is switched off. Off.
    pub cork: bool,
    /// TCP_QUICKACK: acknowledgments are not held back. Off. It lasts until it is switched off,
    /// while Linux's own heuristics may end it.
    pub quick_ack: bool,
    /// TCP_NOTSENT_LOWAT: the socket is writable, and `write` takes octets, only while fewer than
    /// so many wait to be sent for the first time; 1 or more. `None` (Linux: 0): as many as the
    /// buffer holds.
    pub notsent_lowat: Option<u32>,
    /// TCP_DEFER_ACCEPT: for so long after a SYN an ACK without text does not end the handshake:
    /// a listener's `accept` then finds a connection with something to read. When the time is over
    /// the SYN-ACK leaves once more, and the ACK that answers it will do. From a peer that a cookie
    /// has answered ([`SynCookies`](crate::SynCookies)) only text or a FIN will. `None`: any ACK
    /// will do.
    pub defer_accept: Option<Duration>,
    /// TCP_CONGESTION: how fast to send. It counts for connections that are opened from then on.
    /// [`CongestionAlgorithm::Reno`].
    pub congestion: CongestionAlgorithm,
    /// TCP_MAXSEG: octets of text in the largest segment, 88 to 32,767: lowers the MSS that our
    /// SYN announces and by which we send. `None`: what the interface carries.
    pub max_segment: Option<u16>,
}

/// The congestion controls that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CongestionAlgorithm {
    /// RFC 5681 with the fast recovery of RFC 6582.
    #[default]
    Reno,
}

impl CongestionAlgorithm {
    /// The one that Linux calls by this name; `None` (Linux: ENOENT) for one that is not built.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Reno].into_iter().find(|known| known.name() == name)
    }

    /// Its name, as TCP_CONGESTION has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reno => "reno",
        }
    }
}

/// What a socket starts from in a stack whose configuration says nothing else.
impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: false,
            ttl: 64,
            tos: 0,
            linger: None,
            receive_buffer: 256 << 10,
            send_buffer: 256 << 10,
            reuse_address: false,
            reuse_port: false,
            local_port_range: None,
            broadcast: false,
            any_destination: false,
            oob_inline: true,
            receive_errors: false,
            keepalive: false,
            keepalive_idle: Duration::from_hours(2),
            keepalive_interval: Duration::from_secs(75),
            keepalive_count: 9,
            user_timeout: None,
            syn_count: None,
            linger2: Duration::from_mins(1),
            cork: false,
            quick_ack: false,
            notsent_lowat: None,
            defer_accept: None,
            congestion: CongestionAlgorithm::Reno,
            max_segment: None,
        }
    }
}

impl SocketOptions {
    /// The TOS octet of TCP packets: the two ECN bits stay zero.
    pub(crate) fn dscp(&self) -> u8 {
        self.tos & !3
    }

    /// Whether every value is in its range.
    pub(crate) fn is_valid(&self) -> bool {
        let buffers = 2048..=1 << 30;
        let (shortest, longest) = KEEPALIVE_TIMES;
        let (least, largest) = MAX_SEGMENTS;
        let tick = Duration::from_millis(1);
        self.ttl > 0
            && buffers.contains(&self.receive_buffer)
            && buffers.contains(&self.send_buffer)
            && (shortest..=longest).contains(&self.keepalive_idle)
            && (shortest..=longest).contains(&self.keepalive_interval)
            && (1..=127).contains(&self.keepalive_count)
            && self.user_timeout.is_none_or(|time| (tick..=USER_TIMEOUT_MAX).contains(&time))
            && self.syn_count.is_none_or(|count| (1..=127).contains(&count))
            && self.local_port_range.is_none_or(|(first, last)| 0 < first && first <= last)
            && self.notsent_lowat != Some(0)
            && self.max_segment.is_none_or(|mss| (least..=largest).contains(&mss))
    }
}
