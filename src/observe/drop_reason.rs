//! One name per way for a packet to die.

/// Declares the reasons with their counter names, so that neither list can miss one.
macro_rules! drop_reasons {
    ($($(#[doc = $doc:expr])+ $name:ident = $label:literal,)+) => {
        /// Why a packet went no further. One counter, one event and one test each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// All reasons, in the order in which counters list them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name under which counters and logs list it.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// Fewer octets than a header, or than a length field says.
    Truncated = "truncated",
    /// A version other than 4.
    IpVersion = "ip_version",
    /// A length field contradicts itself or another: IHL, total length, data offset, UDP length.
    BadLength = "bad_length",
    /// The IPv4 header checksum is wrong.
    IpChecksum = "ip_checksum",
    /// A source that nobody can have: a broadcast, a multicast, loopback, 0/8 or 240/4.
    MartianSource = "martian_source",
    /// A source that is one of our own addresses.
    OwnSource = "own_source",
    /// Addressed to somebody else.
    NotOurs = "not_ours",
    /// A fragment; reassembly is not built yet.
    Fragment = "fragment",
    /// A source route (RFC 7126 §4.3 and §4.4).
    SourceRoute = "source_route",
    /// An IP option whose length runs out of the header.
    IpOption = "ip_option",
    /// A protocol above IP that we do not speak.
    UnknownProtocol = "unknown_protocol",
    /// The checksum of an ICMP message, a UDP datagram or a TCP segment is wrong.
    TransportChecksum = "transport_checksum",
    /// An ICMP message that needs no answer and concerns no socket of ours.
    IcmpUnused = "icmp_unused",
    /// An ICMP error whose quoted packet is none that we could have sent.
    IcmpQuote = "icmp_quote",
    /// An ICMP message to a broadcast or multicast address (RFC 1122 §3.2.2.6).
    IcmpBroadcast = "icmp_broadcast",
    /// No UDP socket is bound there.
    NoUdpSocket = "no_udp_socket",
    /// The UDP socket's receive queue is full.
    UdpQueueFull = "udp_queue_full",
    /// A TCP source port of 0, which nobody can have.
    PortZero = "port_zero",
    /// A TCP segment to or from an address that no connection can have (MUST-57, MUST-63).
    TcpAddress = "tcp_address",
    /// A TCP option whose length is illegal (MUST-7).
    TcpOption = "tcp_option",
    /// A segment for which there is neither connection nor listener; answered by RST.
    NoTcpSocket = "no_tcp_socket",
    /// An RST for which there is no connection.
    StrayReset = "stray_reset",
    /// A segment that a listener takes no notice of: neither SYN, ACK nor RST.
    NotForListener = "not_for_listener",
    /// The backlog of half-open connections is full.
    BacklogFull = "backlog_full",
    /// The queue of connections that wait for `accept` is full.
    AcceptQueueFull = "accept_queue_full",
    /// An ACK that brought no cookie back, or a forged one or one too late, while SYNs are answered
    /// by cookies.
    BadCookie = "bad_cookie",
    /// An ACK that brought a cookie of which there has been a connection; answered by RST.
    CookieSpent = "cookie_spent",
    /// The last ACK of a handshake has no text, and the listener waits for some (TCP_DEFER_ACCEPT).
    AcceptDeferred = "accept_deferred",
    /// A limit on the number of connections has been reached.
    TooManyConnections = "too_many_connections",
    /// All of it lies left of RCV.NXT: an old duplicate.
    BelowWindow = "below_window",
    /// It starts at or right of RCV.NXT + RCV.WND.
    AboveWindow = "above_window",
    /// A timestamp older than the last one: a duplicate from before the sequence numbers wrapped,
    /// or of what was sent again since (PAWS, RFC 7323 §5).
    StaleTimestamp = "stale_timestamp",
    /// An RST whose sequence number is in the window but not RCV.NXT (RFC 5961 §3).
    ResetNotExact = "reset_not_exact",
    /// A SYN on a synchronized connection (RFC 5961 §4).
    SynInWindow = "syn_in_window",
    /// It acknowledges what we have not sent (RFC 9293 §3.10.7.4, fifth step).
    AckOfUnsent = "ack_of_unsent",
    /// It acknowledges what was acknowledged longer ago than a window (RFC 5961 §5).
    AckTooOld = "ack_too_old",
    /// The ACK of a handshake does not match our SYN.
    BadHandshakeAck = "bad_handshake_ack",
    /// Neither ACK, SYN nor RST where one is needed.
    NoAck = "no_ack",
    /// Data came after we had closed for good (SHLD-3).
    DataAfterClose = "data_after_close",
    /// Out-of-order data for which no memory is left, or which opens one hole too many.
    MemoryPressure = "memory_pressure",
    /// An answer was due, and its rate limit held it back.
    RateLimited = "rate_limited",
    /// An answer was due that would be longer than our MTU.
    AnswerTooLong = "answer_too_long",
    /// The shard that it belongs to has more packets waiting than it may.
    MailboxFull = "mailbox_full",
    /// The shard that it belongs to has ended, and this one is about to.
    ShardEnded = "shard_ended",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: std::collections::BTreeSet<_> =
            DropReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), DropReason::ALL.len());
    }
}
