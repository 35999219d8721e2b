//! TCP options (RFC 9293 §3.2, RFC 7323, RFC 2018).
//!
//! Read by a loop of our own: the iterator of `etherparse` ends at the first kind that it does
//! not know, where RFC 9293 §3.1 wants that kind skipped.

use arrayvec::ArrayVec;

use super::{ParseError, append};
use crate::packet::Head;

/// End of option list (RFC 9293 §3.2).
const KIND_END: u8 = 0;
/// No operation (RFC 9293 §3.2).
const KIND_NOP: u8 = 1;
/// Maximum segment size (RFC 9293 §3.2).
const KIND_MSS: u8 = 2;
/// Window scale (RFC 7323 §2.2).
const KIND_WINDOW_SCALE: u8 = 3;
/// SACK permitted (RFC 2018 §2).
const KIND_SACK_PERMITTED: u8 = 4;
/// SACK (RFC 2018 §3).
const KIND_SACK: u8 = 5;
/// Timestamps (RFC 7323 §3.2).
const KIND_TIMESTAMPS: u8 = 8;

/// Most octets of options in a header: 15 words without the 5 of the fixed part.
pub(crate) const OPTIONS_MAX: usize = 40;

/// The two values of the timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timestamps {
    /// `TSval`: the sender's clock.
    pub value: u32,
    /// `TSecr`: a value of the receiver's clock that came back; meaningful only with ACK.
    pub echo: u32,
}

/// Octets that have arrived out of order: a block of the SACK option (RFC 2018 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SackBlock {
    /// Sequence number of the first octet of the block.
    pub left: u32,
    /// Sequence number of the octet after the last one.
    pub right: u32,
}

/// The options that we know, in host byte order. Of a repeated option the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    /// Maximum segment size that the sender is willing to receive, octets.
    pub mss: Option<u16>,
    /// Shift of the window as on the wire: one above 14 is the caller's to bound (RFC 7323
    /// §2.3).
    pub window_scale: Option<u8>,
    /// Whether the sender understands SACK.
    pub sack_permitted: bool,
    /// Timestamps.
    pub timestamps: Option<Timestamps>,
    /// SACK blocks, the most recent first.
    pub sack: ArrayVec<SackBlock, 4>,
}

impl TcpOptions {
    /// Reads the option octets of a header.
    ///
    /// Options come in any order and at any alignment (RFC 9293 §3.2, MUST-64). A kind unknown is
    /// skipped by its length, and so is a known kind with a length that it cannot have. A length
    /// of 0 or 1, or past the end, is an error: the options behind it cannot be found.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        // As RFC 7323, appendix A, lays them out, and nearly every segment has them.
        if let [KIND_NOP, KIND_NOP, KIND_TIMESTAMPS, 10, data @ ..] = octets
            && data.len() == 8
        {
            options.take(KIND_TIMESTAMPS, data);
            return Ok(options);
        }
        let mut rest = octets;
        loop {
            rest = match rest {
                // RFC 9293 §3.2, MUST-4: end of list and no-operation; the third option that
                // every TCP must know is MSS. These two alone have no length.
                [] | [KIND_END, ..] => return Ok(options),
                [KIND_NOP, rest @ ..] => rest,
                [kind, after_kind @ ..] => {
                    let (data, rest) = data_of(after_kind)?;
                    options.take(*kind, data);
                    rest
                }
            }
        }
    }

    /// Takes in one option. Other kinds and lengths are left out (RFC 9293 §3.1, MUST-6).
    fn take(&mut self, kind: u8, data: &[u8]) {
        match (kind, data) {
            (KIND_MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            (KIND_WINDOW_SCALE, &[shift]) => self.window_scale = Some(shift),
            (KIND_SACK_PERMITTED, &[]) => self.sack_permitted = true,
            (KIND_TIMESTAMPS, &[v0, v1, v2, v3, e0, e1, e2, e3]) => {
                self.timestamps = Some(Timestamps {
                    value: u32::from_be_bytes([v0, v1, v2, v3]),
                    echo: u32::from_be_bytes([e0, e1, e2, e3]),
                });
            }
            (KIND_SACK, _) => {
                if let (blocks @ ([_] | [_, _] | [_, _, _] | [_, _, _, _]), []) = data.as_chunks() {
                    self.sack = blocks.iter().copied().map(sack_block).collect();
                }
            }
            _ => {}
        }
    }

    /// Octets that [`TcpOptions::emit`] writes: a multiple of 4, at most 40.
    pub(crate) fn len(&self) -> usize {
        let sack_len = match self.sack_that_fits() {
            [] => 0,
            blocks => 4 + 8 * blocks.len(),
        };
        self.len_without_sack() + sack_len
    }

    /// Appends the options, each at a multiple of 4 octets.
    ///
    /// The layout is Linux's, so that captures look familiar: MSS, SACK-permitted, timestamps,
    /// window scale, SACK, with NOPs in front where one would end at an odd place. So nothing is
    /// left to fill up at the end, and what stands behind an end of list is nothing at all: of
    /// the padding that RFC 9293 §3.1, MUST-69, wants to be zeros there is none.
    ///
    /// All but SACK take at most 20 octets. SACK blocks for which the rest has no room are left
    /// out from the last one on (RFC 2018 §4: the first is the one that matters).
    pub(crate) fn emit(&self, head: &mut Head) {
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            append(head, &[KIND_MSS, 4, high, low]);
        }
        match (self.sack_permitted, self.timestamps) {
            (false, None) => {}
            (true, None) => append(head, &[KIND_NOP, KIND_NOP, KIND_SACK_PERMITTED, 2]),
            (true, Some(timestamps)) => {
                emit_timestamps([KIND_SACK_PERMITTED, 2], timestamps, head);
            }
            (false, Some(timestamps)) => {
                emit_timestamps([KIND_NOP, KIND_NOP], timestamps, head);
            }
        }
        if let Some(shift) = self.window_scale {
            append(head, &[KIND_NOP, KIND_WINDOW_SCALE, 3, shift]);
        }
        emit_sack(self.sack_that_fits(), head);
    }

    fn len_without_sack(&self) -> usize {
        let sack_permitted_and_timestamps = match (self.sack_permitted, self.timestamps) {
            (_, Some(_)) => 12,
            (true, None) => 4,
            (false, None) => 0,
        };
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let window_scale = if self.window_scale.is_some() { 4 } else { 0 };
        mss + sack_permitted_and_timestamps + window_scale
    }

    /// The blocks for which the other options leave room.
    fn sack_that_fits(&self) -> &[SackBlock] {
        let room = (OPTIONS_MAX - 4).saturating_sub(self.len_without_sack()) / 8;
        self.sack.get(..room).unwrap_or(&self.sack)
    }
}

/// Splits `octets`, which begin with the length of an option.
///
/// Every kind but the end of list and NOP has one, and it counts kind and length too (RFC 9293
/// §3.1, MUST-68). One that does not is an error and not a guess (MUST-7).
fn data_of(octets: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let (&len, rest) = octets.split_first().ok_or(ParseError::Truncated)?;
    let data_len = usize::from(len).checked_sub(2);
    rest.split_at_checked(data_len.ok_or(ParseError::BadLength)?).ok_or(ParseError::Truncated)
}

fn sack_block([l0, l1, l2, l3, r0, r1, r2, r3]: [u8; 8]) -> SackBlock {
    SackBlock {
        left: u32::from_be_bytes([l0, l1, l2, l3]),
        right: u32::from_be_bytes([r0, r1, r2, r3]),
    }
}

/// Appends the timestamps behind two octets that bring them to a multiple of 4.
fn emit_timestamps([a, b]: [u8; 2], timestamps: Timestamps, head: &mut Head) {
    let [v0, v1, v2, v3] = timestamps.value.to_be_bytes();
    let [e0, e1, e2, e3] = timestamps.echo.to_be_bytes();
    append(head, &[a, b, KIND_TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3]);
}

fn emit_sack(blocks: &[SackBlock], head: &mut Head) {
    let len = match blocks {
        [] => return,
        [_] => 10,
        [_, _] => 18,
        [_, _, _] => 26,
        [..] => 34,
    };
    append(head, &[KIND_NOP, KIND_NOP, KIND_SACK, len]);
    for block in blocks {
        append(head, &block.left.to_be_bytes());
        append(head, &block.right.to_be_bytes());
    }
}
