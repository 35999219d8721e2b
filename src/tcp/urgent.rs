//! Urgent data: SND.UP and RCV.UP (RFC 9293 §3.8.5, as RFC 6093 reads it).

use super::segment::Segment;
use super::seq::SeqNumber;

/// What is urgent in each direction. Of most connections nothing ever is.
///
/// ```text
///        read │ in order, not read        │ to come
///        ─────┴──────────────────── u ────┴─────────
///             ├───── ahead ────────▶│▲
///                              mark ┘└ where SEG.UP points
/// ```
///
/// The pointer stands behind the urgent octet `u`, as in all systems (RFC 6093 §3.2); the mark, at
/// which a read stops, before it. How far back urgent data reaches nothing says, so that it may be
/// of any length (MUST-31): it is all that is read up to the mark and the octet behind it. A
/// pointer is a hint: it is compared, and never tells how much to copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Urgent {
    /// SND.UP: the position behind the last urgent octet written, until it is acknowledged.
    up: Option<SeqNumber>,
    /// RCV.UP, until it has been read past.
    mark: Option<Mark>,
    /// Whether urgent octets are read like all others (RFC 6093 §6). If not, the one before the
    /// pointer is taken out of the stream, as BSD and Linux do unless asked.
    is_inline: bool,
}

/// Where the urgent octet is, counted from the next octet to read.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Octets to read before the urgent one.
    ahead: u32,
    octet: Octet,
    /// Whether it was announced, or moved on, since the application last read.
    is_news: bool,
}

/// What has become of the urgent octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Octet {
    Awaited,
    Arrived(u8),
    /// The application has it, out of the stream.
    Taken,
}

/// What a segment said about urgent data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noticed {
    /// There is urgent data, or more of it than before, or its octet has arrived (MUST-32).
    pub(crate) is_news: bool,
    /// The urgent octet from before is the next to read, and stands out of the stream: it is to be
    /// passed over, or it would be read as one like all others.
    pub(crate) passed: bool,
}

/// Which of the octets in order one call of read may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    skip: bool,
    len: u32,
}

impl Cut {
    /// Octets to pass over first: the urgent one, if it is not in line.
    pub(crate) fn skip(self) -> usize {
        usize::from(self.skip)
    }

    /// As much of `buffer` as may be filled.
    pub(crate) fn limit(self, buffer: &mut [u8]) -> &mut [u8] {
        let len = self.limit_len(buffer.len());
        &mut buffer[..len]
    }

    /// As many of `max` octets as may be given out.
    pub(crate) fn limit_len(self, max: usize) -> usize {
        max.min(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

/// What there is to take out of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfLine {
    /// Nothing, or it stands in the stream, or it has been taken.
    Nothing,
    /// It is announced and has not arrived.
    Awaited,
    /// This octet.
    Octet(u8),
}

impl Urgent {
    /// Nothing is urgent.
    pub(crate) fn new(is_inline: bool) -> Self {
        Self { up: None, mark: None, is_inline }
    }

    /// Puts urgent octets into the stream or takes them out of it, from the next read on.
    pub(crate) fn set_inline(&mut self, is_inline: bool) {
        self.is_inline = is_inline;
    }

    /// What was written up to `end` is urgent.
    pub(crate) fn on_written(&mut self, end: SeqNumber) {
        self.up = Some(end);
    }

    /// SND.UNA has moved.
    pub(crate) fn on_acknowledged(&mut self, una: SeqNumber) {
        self.up = self.up.filter(|up| up.after(una));
    }

    /// Whether urgent data is not acknowledged yet.
    pub(crate) fn is_sending(&self) -> bool {
        self.up.is_some()
    }

    /// Whether there is none in either direction.
    pub(crate) fn is_quiet(&self) -> bool {
        self.up.is_none() && self.mark.is_none()
    }

    /// The pointer of a segment that starts at `seq` and leaves now: to the octet after the urgent
    /// data (MUST-62). What lies further off than 16 bits reach is told by the largest pointer, but
    /// as in Linux only if that lies past all that was sent: else it would make a mark where none
    /// is.
    pub(crate) fn pointer(&self, seq: SeqNumber, nxt: SeqNumber) -> Option<u16> {
        let up = self.up.filter(|up| up.after(seq))?;
        match u16::try_from(up - seq) {
            Ok(pointer) => Some(pointer),
            Err(_) => (seq + u32::from(u16::MAX)).after(nxt).then_some(u16::MAX),
        }
    }

    /// SEGMENT ARRIVES, sixth step (RFC 9293 §3.10.7.4). `read` is the next octet to read, `nxt`
    /// RCV.NXT before the text of `segment` is taken.
    ///
    /// A pointer of 0 is read as 1, as by Linux. One to what is here already, or not past the one
    /// before, says nothing new.
    pub(crate) fn notice(&mut self, segment: &Segment, read: SeqNumber, nxt: SeqNumber) -> Noticed {
        let mut noticed = Noticed::default();
        if let Some(pointer) = segment.urgent {
            let at = segment.seq + u32::from(pointer.max(1) - 1);
            if let Ok(ahead) = u32::try_from(at - read)
                && at.at_or_after(nxt)
                && self.mark.is_none_or(|mark| mark.ahead < ahead)
            {
                let passed = self.cut(u32::from(read != nxt)).skip;
                let ahead = ahead.saturating_sub(u32::from(passed));
                self.mark = Some(Mark { ahead, octet: Octet::Awaited, is_news: true });
                noticed = Noticed { is_news: true, passed };
            }
        }
        if let Some(mark) = &mut self.mark
            && mark.octet == Octet::Awaited
            && let Ok(offset) =
                usize::try_from(read + u32::from(noticed.passed) + mark.ahead - segment.seq)
            && let Some(&octet) = segment.payload.get(offset)
        {
            mark.octet = Octet::Arrived(octet);
            noticed.is_news = true;
        }
        noticed
    }

    /// What a read may have of `readable` octets: it stops at the mark, and the next one begins
    /// there.
    pub(crate) fn cut(&self, readable: u32) -> Cut {
        match &self.mark {
            Some(Mark { ahead: 0, .. }) => {
                let skip = !self.is_inline && readable > 0;
                Cut { skip, len: readable - u32::from(skip) }
            }
            Some(Mark { ahead, .. }) => Cut { skip: false, len: readable.min(*ahead) },
            None => Cut { skip: false, len: readable },
        }
    }

    /// How many of the `readable` octets count as such: as on Linux, in line all of them, else
    /// those up to the urgent one.
    pub(crate) fn readable(&self, readable: u32) -> u32 {
        if self.is_inline { readable } else { self.cut(readable).len }
    }

    /// The application has read, or passed over, so many octets.
    pub(crate) fn on_read(&mut self, octets: usize) {
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        self.mark = self.mark.and_then(|mark| {
            let ahead = mark.ahead.checked_sub(octets)?;
            Some(Mark { ahead, is_news: false, ..mark })
        });
    }

    /// What there is to take out of the stream; it is taken unless it is to stay (MSG_PEEK).
    pub(crate) fn take(&mut self, is_peek: bool) -> OutOfLine {
        let Some(mark) = self.mark.as_mut().filter(|_| !self.is_inline) else {
            return OutOfLine::Nothing;
        };
        mark.is_news = false;
        match mark.octet {
            Octet::Taken => OutOfLine::Nothing,
            Octet::Awaited => OutOfLine::Awaited,
            Octet::Arrived(octet) => {
                if !is_peek {
                    mark.octet = Octet::Taken;
                }
                OutOfLine::Octet(octet)
            }
        }
    }

    /// Octets to read before the mark; `None` if nothing urgent is announced that has not been
    /// read (MUST-33).
    pub(crate) fn ahead(&self) -> Option<u32> {
        self.mark.map(|mark| mark.ahead)
    }

    /// Whether the application should look at once: urgent data was announced since it last read,
    /// or its octet is here to be read or taken.
    pub(crate) fn is_priority(&self) -> bool {
        self.mark.is_some_and(|mark| mark.is_news || matches!(mark.octet, Octet::Arrived(_)))
    }
}

#[cfg(test)]
#[path = "tests/urgent.rs"]
mod tests;
