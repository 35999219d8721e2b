//! Calls that hand octets over instead of copying them.

use bytes::Bytes;

use super::{Connection, Instant, Readiness, SocketId, Stack};
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
    /// memory, up to 128 KiB with its neighbours', until the octets are dropped. Small packets that
    /// a burst brought next to each other, so many octets together, are one such packet.
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

    /// As [`read_bytes`](Self::read_bytes), the octets of several packets by one call: puts them
    /// into `chunks` from the front, and says how many it has filled. 0 is the end of the stream,
    /// unless `chunks` is empty. It stops at the mark of urgent data, as any read does.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), if there is nothing to read before the error.
    pub fn read_bytes_vectored(
        &mut self,
        now: Instant,
        id: SocketId,
        chunks: &mut [Bytes],
    ) -> Result<usize, SocketError> {
        if chunks.is_empty() {
            return self.socket(id).map(|_| 0);
        }
        let mut count = 0;
        for chunk in chunks {
            if count > 0 && !self.may_read_on(id) {
                break;
            }
            *chunk = self.read_bytes(now, id, usize::MAX)?;
            if chunk.is_empty() {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Whether a call that has read something may go on: there is more, no mark between them, and
    /// no error, which is told once and so by a call that has nothing else to tell.
    pub(crate) fn may_read_on(&self, id: SocketId) -> bool {
        let readiness = self.readiness(id);
        readiness.contains(Readiness::READABLE)
            && !readiness.contains(Readiness::ERROR)
            && self.at_mark(id) != Ok(true)
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

    /// As [`write_bytes`](Self::write_bytes), several by one call, so that they leave in as few
    /// segments as hold them: a header and a body, say. Says how many octets it has taken of all
    /// together.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), if nothing could be taken.
    pub fn write_bytes_vectored(
        &mut self,
        now: Instant,
        id: SocketId,
        chunks: &[Bytes],
    ) -> Result<usize, SocketError> {
        let mut total = 0;
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            match self.write_bytes(now, id, chunk) {
                Ok(len) => {
                    total += len;
                    if len < chunk.len() {
                        break; // What follows must not take the place of what was left.
                    }
                }
                Err(SocketError::WouldBlock) if total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}

#[cfg(test)]
#[path = "tests/by_reference.rs"]
mod tests;
