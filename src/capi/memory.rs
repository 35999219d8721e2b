//! The caller's memory: the only place where a pointer becomes a value or a slice.
//!
//! A NULL is an answer of its own everywhere; that anything else points to as many octets as the
//! caller said is the caller's promise, as for any function of C.

use std::ffi::{CStr, c_char, c_void};

use super::errno::{Answer, EINVAL};

/// The value at `from`, which need not be aligned; `None` if it is NULL.
///
/// # Safety
///
/// `from` is NULL or points to a `T` that is initialised. Any bits are a `T`: the callers' types
/// are structs of integers and pointers.
pub(super) unsafe fn read<T: Copy>(from: *const T) -> Option<T> {
    // SAFETY: `from` is not NULL, and the caller vouches for what it points to.
    (!from.is_null()).then(|| unsafe { from.read_unaligned() })
}

/// Writes `value` to `to`, which need not be aligned; does nothing if it is NULL.
///
/// # Safety
///
/// `to` is NULL or points to memory for a `T`.
pub(super) unsafe fn write<T: Copy>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: `to` is not NULL, and the caller vouches for what it points to.
        unsafe { to.write_unaligned(value) };
    }
}

/// The `len` octets at `from`; EINVAL if it is NULL, unless there are none.
///
/// # Safety
///
/// `from` is NULL or points to `len` octets that are initialised and that nobody changes during
/// `'a`.
pub(super) unsafe fn octets<'a>(from: *const c_void, len: usize) -> Answer<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if from.is_null() || isize::try_from(len).is_err() {
        return Err(EINVAL);
    }
    // SAFETY: `from` is not NULL, `len` octets fit an allocation, and the caller vouches for them;
    // octets need no alignment.
    Ok(unsafe { std::slice::from_raw_parts(from.cast(), len) })
}

/// Room for `len` octets at `to`; EINVAL if it is NULL, unless there are none.
///
/// # Safety
///
/// `to` is NULL or points to `len` octets that nobody else uses during `'a`. They need not be
/// initialised: who gets the slice only writes to it.
pub(super) unsafe fn room<'a>(to: *mut c_void, len: usize) -> Answer<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if to.is_null() || isize::try_from(len).is_err() {
        return Err(EINVAL);
    }
    // SAFETY: `to` is not NULL, `len` octets fit an allocation, and the caller vouches for them;
    // octets need no alignment, and none is read before it is written.
    Ok(unsafe { std::slice::from_raw_parts_mut(to.cast(), len) })
}

/// The text at `from`, without its final NUL; `None` if it is NULL.
///
/// # Safety
///
/// `from` is NULL or points to octets with a NUL among them that nobody changes during `'a`.
pub(super) unsafe fn text<'a>(from: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: `from` is not NULL, and the caller vouches for the NUL.
    (!from.is_null()).then(|| unsafe { CStr::from_ptr(from) }.to_bytes())
}
