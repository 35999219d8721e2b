//! Octets that have arrived before a connection ended and that have not been read.

use bytes::Bytes;

use super::receive_buffer::ReceiveBuffer;
use super::urgent::{OutOfLine, Urgent};

/// What a connection leaves to its socket when it ends first.
#[derive(Debug)]
pub(crate) struct Unread {
    buffer: ReceiveBuffer,
    urgent: Urgent,
}

impl Unread {
    /// What is left of a connection.
    pub(crate) fn new(buffer: ReceiveBuffer, urgent: Urgent) -> Self {
        Self { buffer, urgent }
    }

    /// Octets of memory held.
    pub(crate) fn allocated(&self) -> usize {
        self.buffer.allocated()
    }

    /// Octets that wait to be read.
    pub(crate) fn len(&self) -> u32 {
        self.urgent.readable(self.buffer.len())
    }

    /// Copies octets out.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let cut = self.urgent.cut(self.buffer.len());
        self.buffer.skip(cut.skip());
        let octets = self.buffer.read(cut.limit(buffer));
        self.urgent.on_read(cut.skip() + octets);
        octets
    }

    /// Gives octets out, `max` at most.
    pub(crate) fn read_bytes(&mut self, max: usize) -> Bytes {
        let cut = self.urgent.cut(self.buffer.len());
        self.buffer.skip(cut.skip());
        let octets = self.buffer.take(cut.limit_len(max));
        self.urgent.on_read(cut.skip() + octets.len());
        octets
    }

    /// Copies octets and leaves them where they are.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        let cut = self.urgent.cut(self.buffer.len());
        self.buffer.peek_behind(cut.skip(), cut.limit(buffer))
    }

    /// The urgent octet that stands out of the stream; `is_peek`: it stays.
    pub(crate) fn take_urgent(&mut self, is_peek: bool) -> OutOfLine {
        self.urgent.take(is_peek)
    }

    /// Octets to read before the mark of urgent data; `None` without any.
    pub(crate) fn urgent_ahead(&self) -> Option<u32> {
        self.urgent.ahead()
    }

    /// Whether urgent data waits to be looked at.
    pub(crate) fn is_priority(&self) -> bool {
        self.urgent.is_priority()
    }

    /// Puts urgent octets into the stream, or out of it.
    pub(crate) fn set_oob_inline(&mut self, oob_inline: bool) {
        self.urgent.set_inline(oob_inline);
    }
}
