//! `wharf_socket` to `wharf_queued`: arguments in, answers out; what they do is in `streams` and
//! `datagrams`.

use std::ffi::{c_int, c_void};

use super::abi::{
    FAMILY_IPV4, KIND_TCP, KIND_UDP, MSG_FASTOPEN, MSG_MORE, MSG_OOB, MSG_PEEK, Wharf, WharfAddr,
};
use super::errno::{Answer, EINVAL, Errno, to_int, to_size};
use super::handles::{Entry, Protocol};
use super::{memory, registry};

/// `wharf_socket`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_socket(wharf: *mut Wharf, family: c_int, kind: c_int) -> c_int {
    to_int(registry::with(wharf, |host| {
        if family != c_int::from(FAMILY_IPV4) {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        let (id, protocol) = match kind {
            KIND_TCP => (host.new_stream()?, Protocol::Tcp),
            KIND_UDP => (host.stack.udp_socket()?, Protocol::Udp),
            _ => return Err(EINVAL),
        };
        host.handles.add(Entry::new(id, protocol))
    }))
}

/// `wharf_bind`.
///
/// # Safety
///
/// `addr` is NULL or points to a `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_bind(wharf: *mut Wharf, handle: c_int, addr: *const WharfAddr) -> c_int {
    // SAFETY: the caller's promise.
    let addr = unsafe { memory::read(addr) };
    to_int(registry::with(wharf, |host| {
        let entry = host.handles.get(handle)?;
        host.stack.bind(entry.id, addr.ok_or(EINVAL)?.to_socket_addr()?)?;
        Ok(0)
    }))
}

/// `wharf_listen`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_listen(wharf: *mut Wharf, handle: c_int, backlog: c_int) -> c_int {
    to_int(registry::with(wharf, |host| host.listen(handle, backlog)))
}

/// `wharf_accept`.
///
/// # Safety
///
/// `peer` is NULL or points to room for a `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_accept(
    wharf: *mut Wharf,
    now: u64,
    handle: c_int,
    peer: *mut WharfAddr,
) -> c_int {
    to_int(registry::with(wharf, |host| {
        let now = host.at(now);
        let (accepted, addr) = host.accept(now, handle)?;
        // SAFETY: the caller's promise.
        unsafe { memory::write(peer, addr.into()) };
        Ok(accepted)
    }))
}

/// `wharf_connect`.
///
/// # Safety
///
/// `addr` is NULL or points to a `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_connect(
    wharf: *mut Wharf,
    now: u64,
    handle: c_int,
    addr: *const WharfAddr,
) -> c_int {
    // SAFETY: the caller's promise.
    let addr = unsafe { memory::read(addr) };
    to_int(registry::with(wharf, |host| {
        let now = host.at(now);
        let entry = host.handles.get(handle)?;
        let addr = addr.ok_or(EINVAL)?;
        match entry.protocol {
            Protocol::Tcp => host.connect_stream(now, handle, entry, addr)?,
            Protocol::Udp => host.connect_datagrams(now, entry, addr)?,
        }
        Ok(0)
    }))
}

/// `wharf_send`.
///
/// # Safety
///
/// `data` is NULL or points to `len` octets; `to` is NULL or points to a `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_send(
    wharf: *mut Wharf,
    now: u64,
    handle: c_int,
    data: *const c_void,
    len: usize,
    flags: c_int,
    to: *const WharfAddr,
) -> libc::ssize_t {
    // SAFETY: the caller's promise.
    let (octets, to) = unsafe { (memory::octets(data, len), memory::read(to)) };
    to_size(registry::with(wharf, |host| {
        let now = host.at(now);
        let entry = host.handles.get(handle)?;
        let octets = octets?;
        check_flags(flags, MSG_MORE | MSG_OOB)?;
        match entry.protocol {
            Protocol::Tcp => host.send_stream(now, entry, octets, flags),
            Protocol::Udp => host.send_datagram(now, entry, octets, flags, to),
        }
    }))
}

/// `wharf_recv`.
///
/// # Safety
///
/// `data` is NULL or points to room for `len` octets; `from` is NULL or points to room for a
/// `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_recv(
    wharf: *mut Wharf,
    now: u64,
    handle: c_int,
    data: *mut c_void,
    len: usize,
    flags: c_int,
    from: *mut WharfAddr,
) -> libc::ssize_t {
    // SAFETY: the caller's promise.
    let room = unsafe { memory::room(data, len) };
    to_size(registry::with(wharf, |host| {
        let now = host.at(now);
        let entry = host.handles.get(handle)?;
        let room = room?;
        check_flags(flags, MSG_PEEK | MSG_OOB)?;
        match entry.protocol {
            Protocol::Tcp => host.receive_stream(now, entry, room, flags),
            Protocol::Udp => {
                let (octets, addr) = host.receive_datagram(entry, room, flags)?;
                // SAFETY: the caller's promise.
                unsafe { memory::write(from, addr.into()) };
                Ok(octets)
            }
        }
    }))
}

/// EOPNOTSUPP for a flag that is not built or that the call does not know.
fn check_flags(flags: c_int, known: c_int) -> Answer<()> {
    let is_known = flags & !known == 0 && flags & MSG_FASTOPEN == 0;
    if is_known { Ok(()) } else { Err(Errno(libc::EOPNOTSUPP)) }
}

/// `wharf_shutdown`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_shutdown(wharf: *mut Wharf, now: u64, handle: c_int, how: c_int) -> c_int {
    to_int(registry::with(wharf, |host| {
        let now = host.at(now);
        host.shutdown(now, handle, how)?;
        Ok(0)
    }))
}

/// `wharf_close`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_close(wharf: *mut Wharf, now: u64, handle: c_int) -> c_int {
    to_int(registry::with(wharf, |host| {
        let now = host.at(now);
        let entry = host.handles.remove(handle)?;
        host.stack.close(now, entry.id);
        Ok(0)
    }))
}

/// `wharf_ready`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_ready(wharf: *const Wharf, handle: c_int) -> c_int {
    to_int(registry::with(wharf, |host| {
        let entry = host.handles.get(handle)?;
        host.poll_bits(entry)
    }))
}

/// `wharf_name`.
///
/// # Safety
///
/// `addr` is NULL or points to room for a `struct wharf_addr`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_name(
    wharf: *const Wharf,
    handle: c_int,
    peer: c_int,
    addr: *mut WharfAddr,
) -> c_int {
    to_int(registry::with(wharf, |host| {
        let entry = host.handles.get(handle)?;
        if addr.is_null() {
            return Err(EINVAL);
        }
        let name = match peer {
            0 => host.stack.local_addr(entry.id)?,
            1 => host.peer_name(entry)?,
            _ => return Err(EINVAL),
        };
        // SAFETY: the caller's promise.
        unsafe { memory::write(addr, name.into()) };
        Ok(0)
    }))
}

/// `wharf_queued`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_queued(wharf: *const Wharf, handle: c_int, which: c_int) -> c_int {
    to_int(registry::with(wharf, |host| {
        let entry = host.handles.get(handle)?;
        let octets = match (which, entry.protocol) {
            (0, Protocol::Tcp) => c_int::try_from(host.stack.readable(entry.id)?),
            (0, Protocol::Udp) => c_int::try_from(host.stack.next_datagram(entry.id)?.unwrap_or(0)),
            (1, Protocol::Tcp) => c_int::try_from(host.unacknowledged(entry)?),
            (1, Protocol::Udp) => Ok(0), // A datagram that was sent is gone.
            _ => return Err(EINVAL),
        };
        Ok(octets.unwrap_or(c_int::MAX))
    }))
}
