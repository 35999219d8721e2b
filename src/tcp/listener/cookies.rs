//! SYN cookies: while a listener has no room for half-open connections it keeps nothing of a SYN;
//! all that it must know comes back in the acknowledgment of its SYN-ACK (RFC 4987 §3.6).

use super::promises::Promise;
use super::spent::Spent;
use crate::rng::{KeyedHash, Rng};
use crate::tcp::negotiated::{MSS_DEFAULT, Offer};
use crate::tcp::seq::SeqNumber;
use crate::time::{Duration, Instant};
use crate::wire::FourTuple;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

/// For how long a cookie may come back at most: it holds for the minute in which it was made and
/// the one after that.
pub(crate) const LIFETIME: Duration = Duration::from_mins(2);

/// What a peer's MSS counts as: the largest of these that is not above it.
///
/// The least is the least that we ever use, so that nobody gets more than he can take; 536 is what
/// who names none gets; 1220 is IPv6's, and that of many tunnels; then VPNs, mobile networks, PPPoE
/// and Ethernet with its usual losses, and jumbo frames. On the Internet three of four say 1460
/// (S. Alcock and R. Nelson, "An Analysis of TCP Maximum Segment Sizes", 2011).
const MSS: [u16; 8] = [48, 536, 1220, 1360, 1400, 1440, 1460, 8960];

/// What a peer's shift counts as, where no timestamp says it exactly: the largest that is not
/// above it. One that is too small makes us use less of a window than there is, never more.
const SHIFTS: [u8; 6] = [0, 2, 4, 6, 7, 8];

/// Bits of a TSval that say what fits into no cookie (as Linux): four of the shift, 15 for none,
/// one of SACK, and one that is ECN's.
const STAMP_MASK: u32 = 0x3f;

/// The shift in a TSval of a SYN that had none.
const STAMP_NO_SHIFT: u32 = 15;

/// The bit of a TSval that says whether SACK is agreed.
const STAMP_SACK: u32 = 1 << 4;

/// The shift's place in a cookie when timestamps are agreed, and say it.
const SCALE_IN_STAMP: u8 = 7;

/// Makes cookies, reads them, and knows which have had their connection.
///
/// ```text
///   31          24 23                                     0
///  ┌──────────────┬────────────────────────────────────────┐
///  │ M S S  W W W │ MAC over tuple, peer's ISS, minute,    │
///  │ S M   ⊕ mask │ our promise and the bits to the left   │
///  └──────────────┴────────────────────────────────────────┘
///    MSS 3 bits, window scale 3, SACK 1, the minute's parity 1
/// ```
///
/// Who guesses opens a connection with one of 2^24 guesses, as with FreeBSD's cookies, or of a
/// quarter of that where four promises are alive; Linux's scheme has 2^28 and forgets window scale
/// and SACK where there are no timestamps.
#[derive(Debug)]
pub(crate) struct Cookies {
    mac: KeyedHash,
    mask: KeyedHash,
    spent: Spent,
}

/// What a cookie has brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recalled {
    /// The options of the peer's SYN, as far as they fitted.
    pub(crate) options: TcpOptions,
    /// The round trip of our SYN-ACK, up to 64 ms too long, if a timestamp tells it.
    pub(crate) rtt: Option<Duration>,
    /// What our SYN-ACK said of us.
    pub(crate) promise: Promise,
}

impl Cookies {
    /// Cookies under keys that `rng` draws.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { mac: rng.key(), mask: rng.key(), spent: Spent::default() }
    }

    /// Our initial sequence number in answer to a SYN with `irs` and the options `theirs`, in a
    /// SYN-ACK that makes this promise.
    pub(crate) fn make(
        &self,
        now: Instant,
        tuple: &FourTuple,
        irs: SeqNumber,
        (ours, theirs): (Offer, &TcpOptions),
        promise: Promise,
    ) -> SeqNumber {
        let minute = minute(now);
        let mss = index_of(&MSS, theirs.mss.unwrap_or(MSS_DEFAULT));
        let has_timestamps = ours.timestamps.is_some() && theirs.timestamps.is_some();
        let (scale, flag) = if has_timestamps {
            (SCALE_IN_STAMP, theirs.window_scale.is_some())
        } else {
            let scale = theirs.window_scale.map_or(0, |shift| index_of(&SHIFTS, shift) + 1);
            (scale, theirs.sack_permitted)
        };
        let said = mss << 5 | scale << 2 | u8::from(flag) << 1 | parity(minute);
        let mac = self.mac(tuple, irs, minute, said, promise);
        SeqNumber(u32::from(said ^ self.mask(tuple, irs)) << 24 | mac)
    }

    /// What TSval says in the SYN-ACK with a cookie, instead of `value`: the same or a little
    /// less, so that the values of the connection never go back.
    pub(crate) fn stamp(value: u32, theirs: &TcpOptions) -> u32 {
        let shift = theirs.window_scale.map_or(STAMP_NO_SHIFT, |shift| u32::from(shift.min(14)));
        let low = shift | if theirs.sack_permitted { STAMP_SACK } else { 0 };
        let stamped = value & !STAMP_MASK | low;
        if low > value & STAMP_MASK { stamped.wrapping_sub(STAMP_MASK + 1) } else { stamped }
    }

    /// What the SYN with `irs` said, if `cookie` is what we answered, with one of `promises`, and
    /// not too old.
    /// `timestamps`: those of the segment that brings it back; `value`: our TSval now.
    pub(crate) fn read(
        &self,
        now: Instant,
        tuple: &FourTuple,
        irs: SeqNumber,
        cookie: SeqNumber,
        mut promises: impl Iterator<Item = Promise>,
        (value, timestamps): (u32, Option<Timestamps>),
    ) -> Option<Recalled> {
        let [top, ..] = cookie.0.to_be_bytes();
        let said = top ^ self.mask(tuple, irs);
        let minute = minute(now);
        let age = u64::from(parity(minute) != said & 1);
        let minute = minute.checked_sub(age)?;
        let mac = cookie.0 & 0x00ff_ffff;
        let promise = promises.find(|made| self.mac(tuple, irs, minute, said, *made) == mac)?;
        let mss = MSS.get(usize::from(said >> 5)).copied();
        let (scale, flag) = (said >> 2 & 7, said & 2 != 0);
        let mut options = TcpOptions { mss, ..TcpOptions::default() };
        let mut rtt = None;
        if scale == SCALE_IN_STAMP {
            options.window_scale = flag.then_some(0);
            // Without the option here its peer's shift and SACK are not known; it is taken for
            // one that scales by nothing, so that at least our own windows mean what we say.
            if let Some(Timestamps { value: theirs, echo }) = timestamps {
                let [low, ..] = (echo & STAMP_MASK).to_le_bytes();
                options.window_scale = flag.then_some(low & 15);
                options.sack_permitted = echo & STAMP_SACK != 0;
                options.timestamps = Some(Timestamps { value: theirs, echo: 0 });
                let elapsed = Duration::from_millis(value.wrapping_sub(echo).into());
                rtt = Some(elapsed).filter(|&elapsed| elapsed <= LIFETIME);
            }
        } else {
            options.window_scale =
                scale.checked_sub(1).and_then(|scale| SHIFTS.get(usize::from(scale)).copied());
            options.sack_permitted = flag;
        }
        Some(Recalled { options, rtt, promise })
    }

    /// Whether a connection has been made of this cookie. It may have ended since, without the
    /// TIME-WAIT that would keep late segments from another one, or before its cookie.
    pub(crate) fn is_spent(&self, tuple: &FourTuple, irs: SeqNumber, cookie: SeqNumber) -> bool {
        self.spent.holds(self.name(tuple, irs, cookie))
    }

    /// A connection is made of this cookie: none is made of it any more.
    pub(crate) fn spend(&mut self, tuple: &FourTuple, irs: SeqNumber, cookie: SeqNumber) {
        self.spent.add(self.name(tuple, irs, cookie));
    }

    fn mac(
        &self,
        tuple: &FourTuple,
        irs: SeqNumber,
        minute: u64,
        said: u8,
        promise: Promise,
    ) -> u32 {
        let hash = self.mac.hash((tuple, irs.0, minute, said, promise));
        let [m0, m1, m2, ..] = hash.to_le_bytes();
        u32::from_le_bytes([m0, m1, m2, 0])
    }

    fn mask(&self, tuple: &FourTuple, irs: SeqNumber) -> u8 {
        let [mask, ..] = self.mask.hash((tuple, irs.0)).to_le_bytes();
        mask
    }

    /// What stands for a cookie among those that are spent. A client's next connection has another
    /// IRS, and so another name.
    fn name(&self, tuple: &FourTuple, irs: SeqNumber, cookie: SeqNumber) -> u64 {
        self.mask.hash((tuple, irs.0, cookie.0))
    }
}

/// Minutes since the stack was made.
fn minute(now: Instant) -> u64 {
    now.as_nanos() / 60_000_000_000
}

fn parity(minute: u64) -> u8 {
    u8::from(minute % 2 == 1)
}

/// Which entry of an ascending table is the largest that is not above `value`; the first if none.
fn index_of<T: PartialOrd + Copy>(table: &[T], value: T) -> u8 {
    let above = table.iter().filter(|&entry| *entry <= value).count();
    u8::try_from(above.saturating_sub(1)).unwrap_or(0)
}

#[cfg(test)]
#[path = "../tests/cookies.rs"]
mod tests;
