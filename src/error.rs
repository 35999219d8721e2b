//! Why a socket call failed, in the words of the system calls whose place it takes.

use std::fmt;

/// Why a call on a socket failed.
///
/// Each variant stands for one Linux error number ([`SocketError::errno`]), since callers of
/// `std::net` and `tokio::net` look at the number as well as at the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketError {
    /// Nothing to do just now: nothing has arrived, there is no room, or nobody has connected.
    WouldBlock,
    /// The connection is being opened; readiness tells when it is done.
    InProgress,
    /// A connect is under way already.
    AlreadyInProgress,
    /// The socket has a connection already.
    AlreadyConnected,
    /// The socket has no connection.
    NotConnected,
    /// The peer refused: RST in answer to our SYN, or ICMP port unreachable.
    Refused,
    /// The peer reset the connection.
    Reset,
    /// We gave the connection up, or the local side aborted it.
    Aborted,
    /// The peer fell silent: no answer within the time-out (RFC 9293 §3.8.3, R2).
    TimedOut,
    /// No route to the host, or an ICMP error said so.
    HostUnreachable,
    /// No route to the network, or an ICMP error said so.
    NetworkUnreachable,
    /// The address is in use by another socket.
    AddressInUse,
    /// The address is none of ours, or no port is left.
    AddressNotAvailable,
    /// The address is of a family that is not spoken.
    InvalidAddress,
    /// A datagram has no destination: the call names none, and the socket has no peer.
    NoDestination,
    /// The destination is a broadcast address and the socket has not asked for that.
    PermissionDenied,
    /// The call does not fit the socket's kind or state, or a value is out of range.
    InvalidArgument,
    /// The handle belongs to no open socket.
    BadHandle,
    /// Writing after `shutdown` of the sending side, or after the connection's end.
    BrokenPipe,
    /// The datagram does not fit into one packet.
    MessageTooLong,
    /// A limit on memory or on the number of sockets has been reached.
    NoBuffers,
    /// The device is gone.
    NetworkDown,
    /// The socket's kind does not know this call.
    NotSupported,
}

impl SocketError {
    /// The Linux error number.
    pub const fn errno(self) -> i32 {
        match self {
            Self::WouldBlock => libc::EAGAIN,
            Self::InProgress => libc::EINPROGRESS,
            Self::AlreadyInProgress => libc::EALREADY,
            Self::AlreadyConnected => libc::EISCONN,
            Self::NotConnected => libc::ENOTCONN,
            Self::Refused => libc::ECONNREFUSED,
            Self::Reset => libc::ECONNRESET,
            Self::Aborted => libc::ECONNABORTED,
            Self::TimedOut => libc::ETIMEDOUT,
            Self::HostUnreachable => libc::EHOSTUNREACH,
            Self::NetworkUnreachable => libc::ENETUNREACH,
            Self::AddressInUse => libc::EADDRINUSE,
            Self::AddressNotAvailable => libc::EADDRNOTAVAIL,
            Self::InvalidAddress => libc::EAFNOSUPPORT,
            Self::NoDestination => libc::EDESTADDRREQ,
            Self::PermissionDenied => libc::EACCES,
            Self::InvalidArgument => libc::EINVAL,
            Self::BadHandle => libc::EBADF,
            Self::BrokenPipe => libc::EPIPE,
            Self::MessageTooLong => libc::EMSGSIZE,
            Self::NoBuffers => libc::ENOBUFS,
            Self::NetworkDown => libc::ENETDOWN,
            Self::NotSupported => libc::EOPNOTSUPP,
        }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldBlock => "the operation would block",
            Self::InProgress => "the connection is being opened",
            Self::AlreadyInProgress => "the connection is being opened already",
            Self::AlreadyConnected => "the socket is connected already",
            Self::NotConnected => "the socket is not connected",
            Self::Refused => "the peer refused the connection",
            Self::Reset => "the peer reset the connection",
            Self::Aborted => "the connection was aborted",
            Self::TimedOut => "the peer did not answer in time",
            Self::HostUnreachable => "the host cannot be reached",
            Self::NetworkUnreachable => "the network cannot be reached",
            Self::AddressInUse => "the address is in use",
            Self::AddressNotAvailable => "the address is not available",
            Self::InvalidAddress => "the address is of another family",
            Self::NoDestination => "the datagram has no destination",
            Self::PermissionDenied => "sending to a broadcast address has not been allowed",
            Self::InvalidArgument => "the call does not fit the socket",
            Self::BadHandle => "the socket is not open",
            Self::BrokenPipe => "the sending side is closed",
            Self::MessageTooLong => "the datagram is too long",
            Self::NoBuffers => "a limit has been reached",
            Self::NetworkDown => "the device is gone",
            Self::NotSupported => "the socket does not support the call",
        })
    }
}

impl std::error::Error for SocketError {}
