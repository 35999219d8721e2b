//! How TCP behaves: unit, default and source of each setting.

use super::mtu_search::MtuProbing;
use crate::config::{ConfigError, MTU_MIN};
use crate::time::Duration;

/// How TCP behaves. Start from [`TcpConfig::default`] and change what you must. No time may be
/// zero.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each switches one thing")]
pub struct TcpConfig {
    /// Octets that a connection holds for its application to read, 2 KiB to 1 GiB. 256 KiB; a
    /// socket may set its own before it connects or listens, and a larger one later.
    pub receive_buffer: u32,
    /// Octets that a connection holds until the peer acknowledges them, 2 KiB to 1 GiB. 256 KiB; a
    /// socket may set its own at any time. Of several that send in bulk, on a path as short as a
    /// TUN, more than 512 KiB each are in no cache of the processor's any more when they leave; a
    /// long path needs its bandwidth times its delay.
    pub send_buffer: u32,
    /// Longest time an acknowledgment is held back, less than 500 ms (RFC 9293 §3.8.6.3, MUST-40).
    /// 40 ms, as Linux.
    pub ack_delay: Duration,
    /// Acknowledgments of a connection's first text that are not held back, unless we answer
    /// before. 16, as Linux (`TCP_MAX_QUICKACKS`); 0 holds back from the first one on.
    pub quick_acks: u8,
    /// Least allowance above the smoothed round-trip time before a segment is sent again: what
    /// 4·RTTVAR counts as at least. 200 ms, as Linux (`TCP_RTO_MIN`).
    pub min_rto: Duration,
    /// Whether small segments wait for the ones before them (Nagle, RFC 9293 §3.7.4). On.
    pub nagle: bool,
    /// Whether the window scale option is offered and accepted (RFC 7323 §2). On.
    pub window_scale: bool,
    /// Whether SACK is permitted and, where the peer permits it too, sent (RFC 2018). On.
    pub sack: bool,
    /// Whether timestamps are offered and accepted (RFC 7323 §3): the round trip of what is sent
    /// again, and protection against sequence numbers that wrap. 12 octets a segment. On.
    pub timestamps: bool,
    /// Whether a segment that comes as foretold goes a shorter way (header prediction, RFC 7323
    /// §5.6). What becomes of it is the same; off, for comparison, all go the long way. On.
    pub header_prediction: bool,
    /// Initial congestion window, segments, 1 to 1,000. 10 (RFC 6928).
    pub initial_window: u32,
    /// How long a connection that closed first stays in TIME-WAIT: 2 MSL. 60 s, as Linux;
    /// RFC 9293 §3.4.2 takes an MSL of 2 minutes, "an engineering choice".
    pub time_wait: Duration,
    /// Time without an answer after which a connection is given up (R2 of RFC 9293 §3.8.3).
    /// 15 minutes, about as Linux (`tcp_retries2` = 15); SHLD-11 asks for 100 s at least.
    pub give_up_after: Duration,
    /// Time without an answer after which an active open is given up. 3 minutes, the least that
    /// RFC 9293 §3.8.3 allows (MUST-23).
    pub connect_timeout: Duration,
    /// How long a connection that its socket has left may stay in FIN-WAIT-2. 60 s, as Linux
    /// (`tcp_fin_timeout`).
    pub fin_wait_2_timeout: Duration,
    /// Time without progress after which a connection that its socket has left is given up: no
    /// octet acknowledged, the peer silent or its window shut. 100 s, about as Linux
    /// (`tcp_orphan_retries` = 8), and the least that SHLD-11 allows; [`Self::give_up_after`] if
    /// that is shorter.
    pub orphan_timeout: Duration,
    /// How often a SYN-ACK is sent again. 5 times, as Linux (`tcp_synack_retries`).
    pub syn_ack_retries: u8,
    /// Largest backlog that `listen` grants, 1 or more. 4096, as Linux (`somaxconn`).
    pub backlog_max: u32,
    /// Whether a connection that finds the queue of `listen` full is reset. Off, as Linux
    /// (`tcp_abort_on_overflow`): the last segment of its handshake is dropped, and comes again.
    pub abort_on_overflow: bool,
    /// Least path MTU that ICMP, or a black hole, brings us down to, octets of the IP packet. 552,
    /// as Linux (`min_pmtu`): whoever can guess a connection's numbers could else make it send
    /// hardly anything in each packet (RFC 5927 §7). 68 at least (RFC 791 §3.1).
    pub path_mtu_min: u16,
    /// Whether it is found out what a path carries when no router says it (RFC 4821). On a black
    /// hole; Linux does not by default (`tcp_mtu_probing` = 0), and its connections end.
    pub mtu_probing: MtuProbing,
    /// When a listener answers SYNs by cookies (RFC 4987 §3.6). Under pressure, as Linux
    /// (`tcp_syncookies` = 1).
    pub syn_cookies: SynCookies,
    /// First and last ephemeral port. 32768 to 60999, as Linux (`ip_local_port_range`).
    pub ephemeral_ports: (u16, u16),
}

/// When a listener answers SYNs by cookies: it then keeps nothing of them, so that a flood of SYNs
/// from forged addresses costs it nothing and keeps nobody out.
///
/// A cookie brings back MSS, window scale and SACK of the SYN in eight bits: the MSS is rounded
/// down to one of eight values, and the window scale, without timestamps, to one of six. A SYN-ACK
/// with a cookie is not sent again by a timer: a peer that misses it sends its SYN again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// When there are as many half-open connections as the backlog says.
    #[default]
    UnderPressure,
    /// Each SYN is: for tests, and for those who hold no state on principle.
    Always,
    /// None is: SYNs that find no room are dropped.
    Off,
}

/// Least octets of a buffer: below it no window holds a common segment.
const BUFFER_MIN: u32 = 2 << 10;

/// Most octets of a buffer: the largest window that can be offered (RFC 7323 §2.3).
const BUFFER_MAX: u32 = 1 << 30;

/// The limit that RFC 9293 §3.8.6.3 sets to a delayed acknowledgment.
const ACK_DELAY_LIMIT: Duration = Duration::from_millis(500);

/// Most segments of an initial window: a hundred times what RFC 6928 allows, for experiments.
const INITIAL_WINDOW_MAX: u32 = 1_000;

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            receive_buffer: 256 << 10,
            send_buffer: 256 << 10,
            ack_delay: Duration::from_millis(40),
            quick_acks: 16,
            min_rto: Duration::from_millis(200),
            nagle: true,
            window_scale: true,
            sack: true,
            timestamps: true,
            header_prediction: true,
            initial_window: 10,
            time_wait: Duration::from_mins(1),
            give_up_after: Duration::from_mins(15),
            connect_timeout: Duration::from_mins(3),
            fin_wait_2_timeout: Duration::from_mins(1),
            orphan_timeout: Duration::from_secs(100),
            syn_ack_retries: 5,
            backlog_max: 4096,
            abort_on_overflow: false,
            path_mtu_min: 552,
            mtu_probing: MtuProbing::OnBlackHole,
            syn_cookies: SynCookies::UnderPressure,
            ephemeral_ports: (32_768, 60_999),
        }
    }
}

impl TcpConfig {
    /// Checked once, when a stack is built, so that no code below has to.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be: [`ConfigError`] says what it may be instead.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for size in [self.receive_buffer, self.send_buffer] {
            if !(BUFFER_MIN..=BUFFER_MAX).contains(&size) {
                return Err(ConfigError::BufferSize(size));
            }
        }
        if self.ack_delay >= ACK_DELAY_LIMIT {
            return Err(ConfigError::AckDelayTooLong);
        }
        let waits = [
            self.ack_delay,
            self.min_rto,
            self.time_wait,
            self.give_up_after,
            self.connect_timeout,
            self.fin_wait_2_timeout,
            self.orphan_timeout,
        ];
        if waits.contains(&Duration::ZERO) {
            return Err(ConfigError::BadTimeout);
        }
        if !(1..=INITIAL_WINDOW_MAX).contains(&self.initial_window) {
            return Err(ConfigError::InitialWindow(self.initial_window));
        }
        if self.backlog_max == 0 {
            return Err(ConfigError::BacklogZero);
        }
        if u32::from(self.path_mtu_min) < MTU_MIN {
            return Err(ConfigError::Mtu(self.path_mtu_min.into()));
        }
        let (first, last) = self.ephemeral_ports;
        if first == 0 || first > last {
            return Err(ConfigError::PortRange(first, last));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `validate` says of the default settings after one change.
    fn verdict(change: impl FnOnce(&mut TcpConfig)) -> Result<(), ConfigError> {
        let mut config = TcpConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn the_default_settings_are_valid() {
        assert_eq!(verdict(|_| {}), Ok(()));
    }

    #[test]
    fn a_buffer_holds_from_2_kib_to_1_gib() {
        for (size, is_good) in [
            (0, false),
            (2047, false),
            (2048, true),
            (1 << 30, true),
            ((1 << 30) + 1, false),
            (u32::MAX, false),
        ] {
            let outcome = if is_good { Ok(()) } else { Err(ConfigError::BufferSize(size)) };
            assert_eq!(verdict(|config| config.receive_buffer = size), outcome);
            assert_eq!(verdict(|config| config.send_buffer = size), outcome);
        }
    }

    #[test]
    fn an_acknowledgment_is_delayed_by_less_than_500_ms() {
        let limit = Duration::from_millis(500);
        for (delay, outcome) in [
            (Duration::ZERO, Err(ConfigError::BadTimeout)),
            (Duration::from_nanos(1), Ok(())),
            (Duration::from_nanos(499_999_999), Ok(())),
            (limit, Err(ConfigError::AckDelayTooLong)),
            (Duration::MAX, Err(ConfigError::AckDelayTooLong)),
        ] {
            assert_eq!(verdict(|config| config.ack_delay = delay), outcome);
        }
    }

    #[test]
    fn no_time_out_is_zero() {
        let bad = Err(ConfigError::BadTimeout);
        assert_eq!(verdict(|config| config.min_rto = Duration::ZERO), bad);
        assert_eq!(verdict(|config| config.time_wait = Duration::ZERO), bad);
        assert_eq!(verdict(|config| config.give_up_after = Duration::ZERO), bad);
        assert_eq!(verdict(|config| config.connect_timeout = Duration::ZERO), bad);
        assert_eq!(verdict(|config| config.fin_wait_2_timeout = Duration::ZERO), bad);
        assert_eq!(verdict(|config| config.orphan_timeout = Duration::ZERO), bad);
    }

    #[test]
    fn an_initial_window_has_1_to_1000_segments() {
        for (segments, is_good) in [(0, false), (1, true), (1000, true), (1001, false)] {
            let outcome = verdict(|config| config.initial_window = segments);
            assert_eq!(outcome.is_ok(), is_good, "{segments}");
        }
    }

    #[test]
    fn a_backlog_holds_at_least_one_connection() {
        let outcome = verdict(|config| config.backlog_max = 0);
        assert_eq!(outcome, Err(ConfigError::BacklogZero));
        assert_eq!(verdict(|config| config.backlog_max = 1), Ok(()));
    }

    #[test]
    fn a_path_carries_what_every_host_must_take() {
        for (mtu, is_good) in [(0, false), (67, false), (68, true), (u16::MAX, true)] {
            let outcome = if is_good { Ok(()) } else { Err(ConfigError::Mtu(mtu.into())) };
            assert_eq!(verdict(|config| config.path_mtu_min = mtu), outcome);
        }
    }

    #[test]
    fn a_range_of_ports_is_in_order_and_has_no_port_0() {
        for (range, is_good) in [
            ((0, 0), false),
            ((0, 9), false),
            ((9, 8), false),
            ((9, 9), true),
            ((1, u16::MAX), true),
        ] {
            let outcome = verdict(|config| config.ephemeral_ports = range);
            assert_eq!(outcome.is_ok(), is_good, "{range:?}");
        }
    }
}
