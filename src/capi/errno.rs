//! What a call answers: a value, or the negative of a Linux error number.

use std::ffi::c_int;

use crate::error::SocketError;

/// A Linux error number, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) c_int);

/// What a call on the surface comes to.
pub(super) type Answer<T> = Result<T, Errno>;

/// An argument that cannot be: a NULL pointer, a number out of its range.
pub(super) const EINVAL: Errno = Errno(libc::EINVAL);

/// A handle that is not open.
pub(super) const EBADF: Errno = Errno(libc::EBADF);

impl From<SocketError> for Errno {
    fn from(error: SocketError) -> Self {
        Self(error.errno())
    }
}

/// The answer of a function that returns `int`: a handle, bits, a count, or a negative error.
pub(super) fn to_int(answer: Answer<c_int>) -> c_int {
    answer.unwrap_or_else(|Errno(number)| -number)
}

/// The answer of a function that returns `ssize_t`.
pub(super) fn to_size(answer: Answer<usize>) -> libc::ssize_t {
    match answer {
        Ok(octets) => libc::ssize_t::try_from(octets).unwrap_or(libc::ssize_t::MAX),
        Err(Errno(number)) => -libc::ssize_t::try_from(number).unwrap_or(1),
    }
}
