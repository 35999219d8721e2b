//! What text may leave, or why none may: the answers of [`SendSide`](super::send::SendSide).

use std::num::NonZeroU16;

use super::seq::SeqRange;

/// New text that may leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewText {
    /// Where it stands; empty for a FIN alone.
    pub(crate) range: SeqRange,
    /// Whether our FIN follows it in the same segment.
    pub(crate) fin: bool,
    /// Whether it ends what has been written so far, and so carries PSH (RFC 9293 §3.9.1.2,
    /// MUST-61, SHLD-27).
    pub(crate) push: bool,
    /// It leaves as one super-segment, in parts of so many octets and a last one of what is left.
    pub(crate) part: Option<NonZeroU16>,
}

impl NewText {
    /// Octets of its largest segment.
    pub(crate) fn part_len(&self) -> u32 {
        self.part.map_or(self.range.len(), |part| u32::from(part.get()))
    }

    /// Sequence numbers of its first segment.
    pub(crate) fn first_len(&self) -> u32 {
        let is_alone = self.part_len() >= self.range.len();
        self.part_len() + u32::from(is_alone && self.fin)
    }

    /// Octets of text of its last segment.
    pub(crate) fn last_len(&self) -> u32 {
        self.range.len() - (self.parts() - 1) * self.part_len()
    }

    /// How many segments it is.
    pub(crate) fn parts(&self) -> u32 {
        self.part.map_or(1, |part| self.range.len().div_ceil(part.get().into()).max(1))
    }
}

/// Why no new text may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// There is none.
    Nothing,
    /// The peer's window has no room, or too little to be worth a segment (SWS avoidance).
    Window,
    /// The congestion window has no room.
    Congestion,
    /// A small segment waits for the ones before it (Nagle).
    Nagle,
    /// A small segment waits for what the application is about to write.
    Cork,
}
