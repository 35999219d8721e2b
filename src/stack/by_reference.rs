//! Calls that hand octets over instead of copying them.

use bytes::Bytes;

use super::{Connection, Instant, SocketId, Stack};
use crate::error::SocketError;
use crate::tcp::Unread;

/// What a call wants, and gets.
struct Wanted {
    max: usize,
    octets: Bytes,
}

impl Stack {
    /// As [`read`](Self::read), by reference: takes at most `max` octets, 0 at the end of the
    /// stream. Of a packet of 32 KiB or more that came in order nothing is copied; it keeps its
    /// memory, up to 128 KiB with its neighbours', until the octets are dropped.
    ///
    /// Fewer than `max` do not mean that there are no more: octets of two packets come by two
    /// calls.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_bytes(
        &mut self,
        _now: Instant,
        id: SocketId,
        max: usize,
    ) -> Result<Bytes, SocketError> {
        let mut wanted = Wanted { max, octets: Bytes::new() };
        if max == 0 {
            return self.socket(id).map(|_| wanted.octets);
        }
        let read = |open: &mut Connection, wanted: &mut Wanted| {
            wanted.octets = open.read_bytes(wanted.max);
            wanted.octets.len()
        };
        let read_rest = |unread: &mut Unread, wanted: &mut Wanted| {
            wanted.octets = unread.read_bytes(wanted.max);
            wanted.octets.len()
        };
        self.read_with(id, &mut wanted, read, read_rest)?;
        Ok(wanted.octets)
    }

    /// As [`write`](Self::write), by reference: takes as many octets from the front of `octets` as
    /// there is room for, and says how many. They must not change until the peer has acknowledged
    /// them, which [`Bytes`] sees to; fewer than 1,024 are copied.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_bytes(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &Bytes,
    ) -> Result<usize, SocketError> {
        self.write_up_to(id, octets.len(), |open, room| {
            open.write_bytes(octets.slice(..octets.len().min(room)))
        })
    }
}

#[cfg(test)]
#[path = "tests/by_reference.rs"]
mod tests;
