//! `wharf_new` to `wharf_output`: the stack itself, its time and its packets.

use std::ffi::c_void;

use super::abi::{Wharf, WharfCfg};
use super::errno::{EINVAL, to_size};
use super::host::Host;
use super::{config, memory, registry};

/// `wharf_new`.
///
/// # Safety
///
/// `cfg` is NULL or points to a `struct wharf_cfg` whose `flags` is NULL or a string.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_new(cfg: *const WharfCfg) -> *mut Wharf {
    // SAFETY: the caller's promise.
    let Some(cfg) = (unsafe { memory::read(cfg) }) else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let flags = unsafe { memory::text(cfg.flags) }.unwrap_or_default();
    let made = std::panic::catch_unwind(|| {
        let (config, seed) = config::read(&cfg, flags)?;
        Host::new(config, seed).ok()
    });
    match made {
        Ok(Some(host)) => registry::add(host),
        Ok(None) | Err(_) => std::ptr::null_mut(),
    }
}

/// `wharf_free`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_free(wharf: *mut Wharf) {
    registry::remove(wharf);
}

/// `wharf_poll`. It has nothing to answer with: on no stack it does nothing.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_poll(wharf: *mut Wharf, now: u64) {
    let _ = registry::with(wharf, |host| {
        host.poll(now);
        Ok(())
    });
}

/// `wharf_deadline`.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
extern "C" fn wharf_deadline(wharf: *const Wharf, now: u64) -> i64 {
    match registry::with(wharf, |host| Ok(host.deadline(now))) {
        Ok(Some(due)) => i64::try_from(due).unwrap_or(i64::MAX),
        Ok(None) | Err(_) => -1,
    }
}

/// `wharf_input`. A packet that is NULL or longer than any is dropped.
///
/// # Safety
///
/// `packet` is NULL or points to `len` octets.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_input(wharf: *mut Wharf, now: u64, packet: *const c_void, len: usize) {
    // SAFETY: the caller's promise.
    let octets = unsafe { memory::octets(packet, len) };
    let _ = registry::with(wharf, |host| {
        let octets = octets.ok().filter(|octets| octets.len() <= PACKET_MAX).ok_or(EINVAL)?;
        host.input(now, octets);
        Ok(())
    });
}

/// `wharf_output`.
///
/// # Safety
///
/// `buffer` is NULL or points to room for `cap` octets.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn wharf_output(
    wharf: *mut Wharf,
    buffer: *mut c_void,
    cap: usize,
) -> libc::ssize_t {
    // SAFETY: the caller's promise.
    let room = unsafe { memory::room(buffer, cap) };
    to_size(registry::with(wharf, |host| host.output(room?)))
}

/// Most octets of an IPv4 packet: its total length has 16 bits.
const PACKET_MAX: usize = 65_535;
