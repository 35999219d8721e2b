//! Many reads, or many writes, by one system call: a ring of io_uring(7).
//!
//! Each packet takes its own way through the kernel as ever. What is saved is the way into the
//! kernel and out of it, which costs a server of small messages as much as its whole TCP.
//!
//! Nothing is ever left to the kernel to finish later: all that is asked for is done, or refused
//! for what would have to wait (`RWF_NOWAIT`), when the call returns. So the ring needs no other
//! way to wait than the device's descriptor, and no memory of anybody else's.

use std::io;
use std::iter;
use std::mem;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use arrayvec::ArrayVec;
use io_uring::{IoUring, Probe, opcode, types};

/// Most packets that one call writes.
pub(in crate::device) const WRITES_MAX: usize = 64;

/// Most packets that one call reads.
pub(in crate::device) const READS_MAX: usize = 16;

/// Octets of a page of memory, at least.
const PAGE: usize = 4096;

/// Octets from the place for one packet to that for the next: room for the largest, with what the
/// device puts before it. No multiple of a page: then the beginnings of all the packets would
/// compete for the same few lines of the processor's cache.
const PLACE: usize = 65_535 + 129;

/// Two queues between us and the kernel, of what is asked for and of what is done, and the memory
/// that packets cross in.
pub(in crate::device) struct Ring {
    queues: IoUring,
    /// Packets that are to be written, one behind the other.
    leaving: Vec<u8>,
    /// Where in `leaving` each of them ends.
    ends: ArrayVec<usize, WRITES_MAX>,
    /// Memory for [`READS_MAX`] packets, which only the kernel writes to. None before the first
    /// read; then a page for each short packet becomes memory in fact.
    arriving: Vec<u8>,
    /// How long the packets are that the last reads have found, 0 for a read that found none.
    lens: ArrayVec<usize, READS_MAX>,
    /// The kernel may still hold addresses of ours: it failed in the middle of a call.
    is_broken: bool,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({} packets to write)", self.ends.len())
    }
}

/// How a request went: octets, or `errno`.
type Outcome = Result<usize, i32>;

/// What the kernel is asked for.
enum Asked {
    /// To write these octets of `leaving`.
    Write(Range<usize>),
    /// To read one packet to its place in `arriving`.
    Read,
}

/// The device among the files that the kernel has looked up for the ring: once, and not anew for
/// each packet.
const DEVICE: types::Fixed = types::Fixed(0);

impl Ring {
    /// A ring for what carries packets at `fd`, which it keeps open, where the kernel has such and
    /// lets us have one: EPERM and ENOSYS are what a container says that forbids it, or an
    /// administrator (`kernel.io_uring_disabled`). Whether it is of use for this device the first
    /// call tells.
    pub(in crate::device) fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let entries = u32::try_from(WRITES_MAX.max(READS_MAX)).map_err(io::Error::other)?;
        let queues = IoUring::new(entries)?;
        let mut probe = Probe::new();
        queues.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) || !probe.is_supported(opcode::Write::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        queues.submitter().register_files(&[fd.as_raw_fd()])?;
        let (leaving, ends) = (Vec::new(), ArrayVec::new());
        let (arriving, lens) = (Vec::new(), ArrayVec::new());
        Ok(Self { queues, leaving, ends, arriving, lens, is_broken: false })
    }

    /// Takes in a packet of these pieces, for [`write`](Self::write). `false` if there is no room
    /// for one more.
    pub(in crate::device) fn stage<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> bool {
        if self.is_broken || self.ends.is_full() {
            return false;
        }
        pieces.into_iter().for_each(|piece| self.leaving.extend_from_slice(piece));
        self.ends.push(self.leaving.len());
        true
    }

    /// Writes what was taken in, in order, a packet a write, and keeps nothing of it. Says which
    /// were refused, by their place in that order: one of them written alone tells why.
    ///
    /// # Errors
    ///
    /// The ring is of no use: EOPNOTSUPP for a device that cannot say whether it would wait, as a
    /// TUN before Linux 6.4 and a socket before 6.5; EBADF if somebody else has ended the ring,
    /// such as a child that was forked; or whatever the kernel says of the call as such. Then
    /// nobody knows what was written.
    pub(in crate::device) fn write(&mut self) -> io::Result<ArrayVec<usize, WRITES_MAX>> {
        let mut start = 0;
        for (tag, end) in mem::take(&mut self.ends).into_iter().enumerate() {
            self.ask(tag, Asked::Write(start..end))?;
            start = end;
        }
        let outcomes = self.carry_out::<WRITES_MAX>()?;
        self.leaving.clear();
        let refused = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_err());
        Ok(refused.map(|(tag, _)| tag).collect())
    }

    /// Reads up to `max` packets, and no more than [`READS_MAX`]: [`arrived`](Self::arrived) has
    /// them. Says whether no more were there: then the last read found nothing, and none failed.
    ///
    /// What failed otherwise, or had nothing in it, is left out: whoever reads once more meets
    /// again what is wrong with the device, and not what was wrong with one packet.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(in crate::device) fn read(&mut self, max: usize) -> io::Result<bool> {
        let has_large = self.lens.iter().any(|len| *len > PAGE);
        if !self.is_broken && (has_large || self.arriving.is_empty()) {
            // Large packets have made much of it memory in fact, and short ones need less.
            self.arriving = vec![0; READS_MAX * PLACE];
        }
        self.lens.clear();
        for tag in 0..max.min(READS_MAX) {
            self.ask(tag, Asked::Read)?;
        }
        let outcomes = self.carry_out::<READS_MAX>()?;
        let is_found_empty = outcomes.last() == Some(&Err(libc::EAGAIN));
        let is_well = |outcome: &Outcome| matches!(outcome, Ok(1..) | Err(libc::EAGAIN));
        let is_drained = is_found_empty && outcomes.iter().all(is_well);
        self.lens = outcomes.into_iter().map(Result::unwrap_or_default).collect();
        Ok(is_drained)
    }

    /// The packets of the last [`read`](Self::read), in order, none of them empty.
    pub(in crate::device) fn arrived(&self) -> impl Iterator<Item = &[u8]> {
        let places = self.arriving.chunks_exact(PLACE).zip(&self.lens);
        places.filter(|(_, len)| **len > 0).map(|(place, len)| &place[..(*len).min(PLACE)])
    }

    /// Puts a request in the queue, the `tag`-th of a call.
    fn ask(&mut self, tag: usize, asked: Asked) -> io::Result<()> {
        if self.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // None is longer than a packet.
        let len = |octets: usize| u32::try_from(octets).unwrap_or(0);
        let entry = match asked {
            Asked::Write(range) => {
                let octets = &self.leaving[range];
                let write = opcode::Write::new(DEVICE, octets.as_ptr(), len(octets.len()));
                write.rw_flags(libc::RWF_NOWAIT).build()
            }
            Asked::Read => {
                let start = tag * PLACE;
                assert!(start + PLACE <= self.arriving.len(), "each read has a place");
                // Not by a reference to the whole: there are pointers to the other places already.
                let place = self.arriving.as_mut_ptr().wrapping_add(start);
                let read = opcode::Read::new(DEVICE, place, len(PLACE));
                read.rw_flags(libc::RWF_NOWAIT).build()
            }
        };
        let entry = entry.user_data(tag as u64);
        // SAFETY: it points to octets of `leaving`, or to a place of its own in `arriving`, which
        // both are initialized. They stay where they are, and nobody touches them, until its
        // completion has come: `write` and `read` go on to `carry_out`, which waits for that, and
        // after one that has failed nothing is asked for, and `Drop` keeps the memory.
        let outcome = unsafe { self.queues.submission().push(&entry) };
        // Else what stands in the queue already would be carried out by a later call.
        self.is_broken = outcome.is_err();
        outcome.map_err(io::Error::other)
    }

    /// Has the kernel do all that stands in the queue, in order, and says how each went.
    fn carry_out<const N: usize>(&mut self) -> io::Result<ArrayVec<Outcome, N>> {
        let count = self.queues.submission().len();
        self.is_broken = true;
        // What does not wait is done when the first call returns. A kernel without memory for all
        // of them takes some in the first, and more in the next.
        for _ in 0..=count {
            match self.queues.submit_and_wait(count) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(_) | Err(_) if self.queues.completion().len() >= count => break,
                Ok(_) | Err(_) => {}
            }
        }
        // They are carried out in order, and told of in any: a refusal comes behind the rest.
        let mut outcomes: ArrayVec<Option<Outcome>, N> = iter::repeat_n(None, count).collect();
        for completion in self.queues.completion() {
            let tag = usize::try_from(completion.user_data()).ok();
            let Some(outcome @ None) = tag.and_then(|tag| outcomes.get_mut(tag)) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let result = completion.result();
            *outcome = Some(usize::try_from(result).map_err(|_| result.wrapping_neg()));
        }
        let outcomes: Option<ArrayVec<Outcome, N>> = outcomes.into_iter().collect();
        let outcomes = outcomes.ok_or(io::ErrorKind::TimedOut)?;
        self.is_broken = false;
        // Said of one packet, either number is an answer to that packet.
        let is_useless = |it: &Outcome| matches!(it, Err(libc::EOPNOTSUPP | libc::EBADF));
        match outcomes.first() {
            Some(Err(errno)) if outcomes.iter().all(is_useless) => {
                Err(io::Error::from_raw_os_error(*errno))
            }
            _ => Ok(outcomes),
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel takes its time to end a ring, and would hold the device open until then: one
        // that we made goes with us. There is nothing to do about one that cannot be let go of.
        let _ = self.queues.submitter().unregister_files();
        if self.is_broken {
            // Of a call that has failed in the middle the kernel may do the rest yet.
            mem::forget(mem::take(&mut self.leaving));
            mem::forget(mem::take(&mut self.arriving));
        }
    }
}
