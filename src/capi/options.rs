//! `wharf_getopt` and `wharf_setopt`: which option a number means, and how its value is laid out.

use std::ffi::{c_int, c_void};

use super::abi::Wharf;
use super::errno::{Answer, EINVAL, Errno, to_int};
use super::handles::{Entry, Protocol};
use super::{memory, registry};

/// An option, whatever number it is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[rustfmt::skip]
pub(super) enum Opt {
    // SOL_SOCKET
    Error, KeepAlive, ReuseAddress, Type, Broadcast, SendBuffer, ReceiveBuffer, Linger, AcceptConn,
    Protocol, Domain, OobInline, ReusePort,
    // IPPROTO_TCP
    NoDelay, MaxSegment, Cork, KeepIdle, KeepInterval, KeepCount, SynCount, Linger2, Info, QuickAck,
    Congestion, UserTimeout, NotSentLowat, DeferAccept,
    // Of this surface alone
    State,
    // IPPROTO_IP
    Tos, Ttl, ReceiveErrors, Mtu,
}

/// `WHARF_RAW`: from here on a number is `level << 8 | optname` of Linux.
const RAW: c_int = 0x1_0000;

/// The level of [`Opt::State`], which Linux does not have: no raw number leads there.
const NO_LEVEL: c_int = -1;

/// Number in `enum wharf_opt` (0: none of its own), level and number on Linux.
#[rustfmt::skip]
const NUMBERS: &[(c_int, c_int, c_int, Opt)] = &[
    ( 1, libc::SOL_SOCKET, libc::SO_ERROR, Opt::Error),
    ( 2, libc::SOL_SOCKET, libc::SO_KEEPALIVE, Opt::KeepAlive),
    ( 3, libc::SOL_SOCKET, libc::SO_LINGER, Opt::Linger),
    ( 4, libc::SOL_SOCKET, libc::SO_RCVBUF, Opt::ReceiveBuffer),
    ( 5, libc::SOL_SOCKET, libc::SO_SNDBUF, Opt::SendBuffer),
    ( 6, libc::SOL_SOCKET, libc::SO_REUSEADDR, Opt::ReuseAddress),
    ( 0, libc::SOL_SOCKET, libc::SO_OOBINLINE, Opt::OobInline),
    ( 0, libc::SOL_SOCKET, libc::SO_REUSEPORT, Opt::ReusePort),
    ( 0, libc::SOL_SOCKET, libc::SO_TYPE, Opt::Type),
    ( 0, libc::SOL_SOCKET, libc::SO_BROADCAST, Opt::Broadcast),
    ( 0, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, Opt::AcceptConn),
    ( 0, libc::SOL_SOCKET, libc::SO_PROTOCOL, Opt::Protocol),
    ( 0, libc::SOL_SOCKET, libc::SO_DOMAIN, Opt::Domain),
    ( 7, libc::IPPROTO_TCP, libc::TCP_NODELAY, Opt::NoDelay),
    ( 8, libc::IPPROTO_TCP, libc::TCP_CORK, Opt::Cork),
    ( 9, libc::IPPROTO_TCP, libc::TCP_QUICKACK, Opt::QuickAck),
    (10, libc::IPPROTO_TCP, libc::TCP_MAXSEG, Opt::MaxSegment),
    (11, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, Opt::KeepIdle),
    (12, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, Opt::KeepInterval),
    (13, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, Opt::KeepCount),
    (14, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, Opt::UserTimeout),
    (15, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, Opt::NotSentLowat),
    (16, libc::IPPROTO_TCP, libc::TCP_SYNCNT, Opt::SynCount),
    (17, libc::IPPROTO_TCP, libc::TCP_LINGER2, Opt::Linger2),
    (18, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, Opt::DeferAccept),
    (19, libc::IPPROTO_TCP, libc::TCP_CONGESTION, Opt::Congestion),
    (20, NO_LEVEL, 0, Opt::State),
    (21, libc::IPPROTO_TCP, libc::TCP_INFO, Opt::Info),
    (22, libc::IPPROTO_IP, libc::IP_TTL, Opt::Ttl),
    (23, libc::IPPROTO_IP, libc::IP_TOS, Opt::Tos),
    ( 0, libc::IPPROTO_IP, libc::IP_MTU, Opt::Mtu),
    ( 0, libc::IPPROTO_IP, libc::IP_RECVERR, Opt::ReceiveErrors),
];

/// The value of an option as the caller reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An `int`, cut to the length that the caller has room for.
    Int(c_int),
    /// An `int` of the IP level: one octet where there is no room for an `int` and it fits.
    SmallInt(c_int),
    /// Two `int`.
    Pair([c_int; 2]),
    /// Anything else, cut likewise.
    Octets(Vec<u8>),
}

impl Value {
    /// Its octets for a caller who has room for `room`.
    fn octets(&self, room: usize) -> Vec<u8> {
        let mut octets = match self {
            Self::SmallInt(value) if (1..size_of::<c_int>()).contains(&room) => {
                match u8::try_from(*value) {
                    Ok(small) => vec![small],
                    Err(_) => value.to_ne_bytes().to_vec(),
                }
            }
            Self::Int(value) | Self::SmallInt(value) => value.to_ne_bytes().to_vec(),
            Self::Pair([first, second]) => [first.to_ne_bytes(), second.to_ne_bytes()].concat(),
            Self::Octets(octets) => octets.clone(),
        };
        octets.truncate(room);
        octets
    }
}

/// The `int` in `octets`, which may hold more. EINVAL: they hold less.
pub(super) fn int(octets: &[u8]) -> Answer<c_int> {
    octets.first_chunk().map(|&chunk| c_int::from_ne_bytes(chunk)).ok_or(EINVAL)
}

/// The `int` of an option of the IP level: an octet will do.
pub(super) fn small_int(octets: &[u8]) -> Answer<c_int> {
    int(octets).or_else(|error| octets.first().map(|&octet| octet.into()).ok_or(error))
}

/// The option that `number` means for a socket; ENOPROTOOPT if there is none.
fn find(entry: Entry, number: c_int) -> Answer<Opt> {
    let is_meant = |&&(own, level, name, _): &&(c_int, c_int, c_int, Opt)| match number {
        RAW.. => level != NO_LEVEL && (level << 8 | name) == number - RAW,
        _ => own != 0 && own == number,
    };
    let (_, level, _, opt) = NUMBERS.iter().find(is_meant).ok_or(Errno(libc::ENOPROTOOPT))?;
    // A UDP socket does not know those of TCP.
    let is_known = match entry.protocol {
        Protocol::Tcp => true,
        Protocol::Udp => {
            matches!(*level, libc::SOL_SOCKET | libc::IPPROTO_IP)
                && !matches!(opt, Opt::Mtu | Opt::ReceiveErrors)
        }
    };
    if is_known { Ok(*opt) } else { Err(Errno(libc::ENOPROTOOPT)) }
}

/// `wharf_getopt`.
///
/// # Safety
///
/// `len` is NULL or points to a `size_t`; `value` is NULL or points to room for so many octets.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_getopt(
    wharf: *mut Wharf,
    handle: c_int,
    opt: c_int,
    value: *mut c_void,
    len: *mut usize,
) -> c_int {
    to_int(registry::with(wharf, |host| {
        let entry = host.handles.get(handle)?;
        // SAFETY: the caller's promise.
        let room = unsafe { memory::read(len) }.ok_or(EINVAL)?;
        // SAFETY: the caller's promise.
        let room = unsafe { memory::room(value, room) }?;
        let octets = host.get_option(entry, find(entry, opt)?)?.octets(room.len());
        room[..octets.len()].copy_from_slice(&octets);
        // SAFETY: the caller's promise.
        unsafe { memory::write(len, octets.len()) };
        Ok(0)
    }))
}

/// `wharf_setopt`.
///
/// # Safety
///
/// `value` is NULL or points to `len` octets.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_setopt(
    wharf: *mut Wharf,
    now: u64,
    handle: c_int,
    opt: c_int,
    value: *const c_void,
    len: usize,
) -> c_int {
    // SAFETY: the caller's promise.
    let octets = unsafe { memory::octets(value, len) };
    to_int(registry::with(wharf, |host| {
        host.at(now);
        let entry = host.handles.get(handle)?;
        host.set_option(handle, entry, find(entry, opt)?, octets?)?;
        Ok(0)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_to_the_room_that_there_is() {
        let int = Value::Int(0x0102_0304);
        for room in 0..6 {
            let wanted = &0x0102_0304_i32.to_ne_bytes()[..room.min(4)];
            assert_eq!(int.octets(room), wanted, "{room}");
        }
        assert_eq!(Value::Pair([1, 2]).octets(99).len(), 8);
        assert_eq!(Value::Octets(vec![1, 2, 3]).octets(2), [1, 2]);
    }

    #[test]
    fn an_option_of_the_ip_level_fits_an_octet() {
        assert_eq!(Value::SmallInt(64).octets(1), [64]);
        assert_eq!(Value::SmallInt(64).octets(3), [64]);
        assert_eq!(Value::SmallInt(64).octets(4), 64i32.to_ne_bytes());
        assert_eq!(Value::SmallInt(64).octets(0), [0u8; 0]);
        assert_eq!((small_int(&[7]), small_int(&[])), (Ok(7), Err(EINVAL)));
        assert_eq!((int(&[7]), int(&7i32.to_ne_bytes())), (Err(EINVAL), Ok(7)));
    }

    #[test]
    fn no_number_means_two_options() {
        for (index, &(own, level, name, _)) in NUMBERS.iter().enumerate() {
            for &(other_own, other_level, other_name, _) in &NUMBERS[..index] {
                assert!(own == 0 || own != other_own, "{own}");
                assert_ne!((level, name), (other_level, other_name));
            }
        }
    }
}
