//! The values of options in Linux's units and ranges, and what setting them does.

use std::ffi::c_int;

use super::errno::{Answer, EINVAL, Errno};
use super::handles::{Entry, Protocol};
use super::host::Host;
use super::options::{Opt, Value, int, small_int};
use super::tcp_info;
use crate::observe::TcpState;
use crate::options::{CongestionAlgorithm, SocketOptions};
use crate::time::Duration;

/// Octets of the name of an algorithm, its NULs included (`TCP_CA_NAME_MAX`).
const CONGESTION_NAME_MAX: usize = 16;

/// Least SO_RCVBUF and SO_SNDBUF that Linux reports.
const RECEIVE_BUFFER_MIN: c_int = 2_304;
const SEND_BUFFER_MIN: c_int = 4_608;

/// What the stack takes for a buffer, octets of payload.
const BUFFERS: std::ops::RangeInclusive<u32> = 2_048..=1 << 30;

/// TCP_MAXSEG of a socket that has no connection and was told nothing (RFC 9293 §3.7.1).
const MSS_DEFAULT: u16 = 536;

/// How often the stack sends a SYN again in the three minutes that it tries, unless told another
/// number. Linux says 6, which takes two.
const SYN_COUNT_DEFAULT: u8 = 7;

/// Longest wait between two SYN-ACKs (`TCP_RTO_MAX`).
const RTO_MAX_SECONDS: u64 = 120;

/// Longest TCP_LINGER2 (`TCP_FIN_TIMEOUT_MAX`).
const LINGER2_MAX: Duration = Duration::from_mins(2);

/// Time to live that Linux gives packets unless it is told another.
const TTL_DEFAULT: u8 = 64;

impl Host {
    /// getsockopt(2).
    pub(super) fn get_option(&mut self, entry: Entry, opt: Opt) -> Answer<Value> {
        let options = self.stack.options(entry.id)?;
        let is_stream = entry.protocol == Protocol::Tcp;
        Ok(match opt {
            Opt::Error => Value::Int(self.take_error_number(entry)?),
            Opt::Linger => Value::Pair(match options.linger {
                None => [0, 0],
                Some(time) => [1, seconds(time)],
            }),
            Opt::ReceiveBuffer => {
                Value::Int(entry.receive_buffer.unwrap_or(doubled(options.receive_buffer)))
            }
            Opt::SendBuffer => {
                Value::Int(entry.send_buffer.unwrap_or(doubled(options.send_buffer)))
            }
            Opt::ReuseAddress => Value::Int(options.reuse_address.into()),
            Opt::Broadcast => Value::Int(options.broadcast.into()),
            Opt::Type => Value::Int(if is_stream { libc::SOCK_STREAM } else { libc::SOCK_DGRAM }),
            Opt::Domain => Value::Int(libc::AF_INET),
            Opt::Protocol => {
                Value::Int(if is_stream { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP })
            }
            Opt::AcceptConn => {
                Value::Int((is_stream && self.state(entry)? == TcpState::Listen).into())
            }
            Opt::NoDelay => Value::Int(options.nodelay.into()),
            Opt::OobInline => Value::Int(options.oob_inline.into()),
            Opt::DeferAccept => Value::Int(options.defer_accept.map_or(0, seconds)),
            Opt::ReusePort => Value::Int(options.reuse_port.into()),
            Opt::Cork => Value::Int(options.cork.into()),
            Opt::QuickAck => Value::Int(options.quick_ack.into()),
            Opt::NotSentLowat => Value::Int(options.notsent_lowat.unwrap_or(0).cast_signed()),
            Opt::ReceiveErrors => Value::SmallInt(options.receive_errors.into()),
            Opt::KeepAlive => Value::Int(options.keepalive.into()),
            Opt::KeepIdle => Value::Int(seconds(options.keepalive_idle)),
            Opt::KeepInterval => Value::Int(seconds(options.keepalive_interval)),
            Opt::KeepCount => Value::Int(options.keepalive_count.into()),
            Opt::SynCount => Value::Int(options.syn_count.unwrap_or(SYN_COUNT_DEFAULT).into()),
            Opt::Linger2 => Value::Int(match seconds(options.linger2) {
                0 => -1,
                time => time,
            }),
            Opt::UserTimeout => Value::Int(
                options
                    .user_timeout
                    .map_or(0, |time| c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)),
            ),
            Opt::MaxSegment => Value::Int(match self.stack.info(entry.id)?.send_mss {
                0 => options.max_segment.unwrap_or(MSS_DEFAULT).into(),
                mss => c_int::try_from(mss).unwrap_or(c_int::MAX),
            }),
            Opt::Congestion => Value::Octets(congestion_name(options.congestion)),
            Opt::State => Value::Int(self.state_number(entry)?),
            Opt::Info => Value::Octets(self.tcp_info(entry)?),
            Opt::Mtu => match self.stack.info(entry.id)?.path_mtu {
                0 => return Err(Errno(libc::ENOTCONN)),
                mtu => Value::Int(c_int::try_from(mtu).unwrap_or(c_int::MAX)),
            },
            Opt::Ttl => Value::SmallInt(options.ttl.into()),
            Opt::Tos => Value::SmallInt(options.tos.into()),
        })
    }

    /// setsockopt(2).
    pub(super) fn set_option(
        &mut self,
        handle: c_int,
        entry: Entry,
        opt: Opt,
        octets: &[u8],
    ) -> Answer<()> {
        let mut options = self.stack.options(entry.id)?;
        match opt {
            Opt::ReceiveBuffer => {
                let size = doubled_size(int(octets)?).max(RECEIVE_BUFFER_MIN);
                options.receive_buffer = halved(size);
                self.handles.get_mut(handle)?.receive_buffer = Some(size);
            }
            Opt::SendBuffer => {
                let size = doubled_size(int(octets)?).max(SEND_BUFFER_MIN);
                options.send_buffer = halved(size);
                self.handles.get_mut(handle)?.send_buffer = Some(size);
            }
            _ => set(&mut options, entry, opt, octets)?,
        }
        Ok(self.stack.set_options(entry.id, options)?)
    }

    /// SO_ERROR: what is pending, once; else what may pass.
    fn take_error_number(&mut self, entry: Entry) -> Answer<c_int> {
        let error = match self.stack.take_error(entry.id)? {
            None => self.stack.take_soft_error(entry.id)?,
            error => error,
        };
        Ok(error.map_or(0, |error| Errno::from(error).0))
    }

    /// `WHARF_TCP_STATE`: as TCP_INFO, but that TIME-WAIT is told, which Linux keeps from the
    /// socket.
    fn state_number(&self, entry: Entry) -> Answer<c_int> {
        let is_in_time_wait = self.stack.is_in_time_wait(entry.id)?;
        let state = if is_in_time_wait { TcpState::TimeWait } else { self.state(entry)? };
        Ok(tcp_info::state_number(state).into())
    }
}

/// Applies an option that is a field of the socket's options.
fn set(options: &mut SocketOptions, entry: Entry, opt: Opt, octets: &[u8]) -> Answer<()> {
    match opt {
        Opt::Linger => options.linger = linger(octets)?,
        Opt::ReuseAddress => options.reuse_address = int(octets)? != 0,
        Opt::Broadcast => options.broadcast = int(octets)? != 0,
        Opt::NoDelay => options.nodelay = int(octets)? != 0,
        Opt::OobInline => options.oob_inline = int(octets)? != 0,
        Opt::DeferAccept => options.defer_accept = defer_accept(int(octets)?),
        Opt::ReusePort => options.reuse_port = int(octets)? != 0,
        Opt::Cork => options.cork = int(octets)? != 0,
        Opt::QuickAck => options.quick_ack = int(octets)? != 0,
        Opt::NotSentLowat => {
            let lowat = int(octets)?.cast_unsigned();
            options.notsent_lowat = (lowat != 0).then_some(lowat);
        }
        Opt::ReceiveErrors => options.receive_errors = small_int(octets)? != 0,
        Opt::KeepAlive => options.keepalive = int(octets)? != 0,
        Opt::KeepIdle => options.keepalive_idle = Duration::from_secs(natural(octets)?),
        Opt::KeepInterval => options.keepalive_interval = Duration::from_secs(natural(octets)?),
        Opt::KeepCount => options.keepalive_count = narrow(octets)?,
        Opt::SynCount => options.syn_count = Some(narrow(octets)?),
        Opt::Linger2 => options.linger2 = linger2(int(octets)?),
        Opt::UserTimeout => {
            let time = Duration::from_millis(natural(octets)?);
            options.user_timeout = (!time.is_zero()).then_some(time);
        }
        Opt::MaxSegment => {
            let mss = narrow(octets)?;
            options.max_segment = (mss != 0).then_some(mss);
        }
        Opt::Congestion => options.congestion = congestion(octets)?,
        Opt::Ttl => {
            options.ttl = match small_int(octets)? {
                -1 => TTL_DEFAULT,
                ttl => u8::try_from(ttl).ok().filter(|&ttl| ttl > 0).ok_or(EINVAL)?,
            }
        }
        Opt::Tos => {
            let [tos, ..] = small_int(octets)?.to_le_bytes();
            // The ECN bits of a stream are the stack's own.
            options.tos = match entry.protocol {
                Protocol::Tcp => tos & !3 | options.tos & 3,
                Protocol::Udp => tos,
            };
        }
        Opt::ReceiveBuffer
        | Opt::SendBuffer
        | Opt::Error
        | Opt::Type
        | Opt::Domain
        | Opt::Protocol
        | Opt::AcceptConn
        | Opt::State
        | Opt::Mtu
        | Opt::Info => return Err(Errno(libc::ENOPROTOOPT)),
    }
    Ok(())
}

/// SO_LINGER: two `int`, on and seconds.
fn linger(octets: &[u8]) -> Answer<Option<Duration>> {
    let (is_on, rest) = octets.split_first_chunk().ok_or(EINVAL)?;
    let seconds = int(rest)?;
    // As Linux: a negative time is a very long one.
    let seconds = u64::try_from(seconds).unwrap_or(u64::from(u32::MAX));
    Ok((c_int::from_ne_bytes(*is_on) != 0).then_some(Duration::from_secs(seconds)))
}

/// TCP_LINGER2: a negative time is none at all, zero the default, and two minutes the longest.
fn linger2(seconds: c_int) -> Duration {
    match u64::try_from(seconds) {
        Err(_) => Duration::ZERO,
        Ok(0) => SocketOptions::default().linger2,
        Ok(seconds) => Duration::from_secs(seconds).min(LINGER2_MAX),
    }
}

/// TCP_DEFER_ACCEPT: seconds, rounded up to when a SYN-ACK would be sent again: after 1, 3, 7 … of
/// them, and from then on each two minutes. None and a negative number switch it off.
fn defer_accept(seconds: c_int) -> Option<Duration> {
    let wanted = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0)?;
    let mut moment = 0;
    for retry in 0..u8::MAX {
        moment += (1 << retry.min(7)).min(RTO_MAX_SECONDS);
        if moment >= wanted {
            break;
        }
    }
    Some(Duration::from_secs(moment))
}

/// An `int` that is not negative.
fn natural(octets: &[u8]) -> Answer<u64> {
    u64::try_from(int(octets)?).map_err(|_| EINVAL)
}

/// An `int` that fits a smaller type; the stack knows the range within that.
fn narrow<T: TryFrom<c_int>>(octets: &[u8]) -> Answer<T> {
    T::try_from(int(octets)?).map_err(|_| EINVAL)
}

fn seconds(time: Duration) -> c_int {
    c_int::try_from(time.as_secs()).unwrap_or(c_int::MAX)
}

/// TCP_CONGESTION: a name, filled up with NULs.
fn congestion_name(algorithm: CongestionAlgorithm) -> Vec<u8> {
    let mut name = algorithm.name().as_bytes().to_vec();
    name.resize(CONGESTION_NAME_MAX, 0);
    name
}

/// TCP_CONGESTION: EINVAL for no name at all, ENOENT for one that is not built.
fn congestion(octets: &[u8]) -> Answer<CongestionAlgorithm> {
    if octets.is_empty() {
        return Err(EINVAL);
    }
    let name = &octets[..octets.len().min(CONGESTION_NAME_MAX - 1)];
    let name = name.split(|&octet| octet == 0).next().unwrap_or_default();
    let known = std::str::from_utf8(name).ok().and_then(CongestionAlgorithm::from_name);
    known.ok_or(Errno(libc::ENOENT))
}

/// What Linux makes of a size: it takes the double, since it counts its own overhead too. A
/// negative one is a very large one.
fn doubled_size(size: c_int) -> c_int {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    doubled(size)
}

/// Twice the octets of payload that a buffer holds: what Linux reports.
fn doubled(payload: u32) -> c_int {
    c_int::try_from(u64::from(payload) * 2).unwrap_or(c_int::MAX - 1)
}

/// The octets of payload in a buffer of a size that Linux reports.
fn halved(size: c_int) -> u32 {
    u32::try_from(size / 2).unwrap_or(0).clamp(*BUFFERS.start(), *BUFFERS.end())
}
