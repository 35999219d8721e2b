//! What the handshake fixed for the life of a connection.

use super::config::TcpConfig;
use super::timestamps::TimestampClock;
use crate::options::SocketOptions;
use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

/// The MSS of a peer that names none (RFC 9293 §3.7.1, MUST-15).
pub(crate) const MSS_DEFAULT: u16 = 536;

/// Least MSS that we go down to, as Linux (`tcp_min_snd_mss`): a peer that asks for one octet a
/// segment would have us send a header for each (CVE-2019-11479).
pub(crate) const MSS_MIN: u16 = 48;

/// Largest shift; a larger one counts as this (RFC 7323 §2.3).
const SHIFT_MAX: u8 = 14;

/// Octets of the IPv4 and TCP headers without options.
const HEADERS: u32 = 40;

/// What we say in our SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Largest segment that we can take, octets of text: the MTU without two bare headers, so
    /// that options are the sender's to subtract (RFC 9293 §3.7.1, MUST-67; RFC 6691).
    pub(crate) mss: u16,
    /// Our shift, or `None` when the option is switched off.
    pub(crate) window_scale: Option<u8>,
    /// Whether we permit the peer to send SACK options.
    pub(crate) sack: bool,
    /// Our timestamp clock, or `None` when the option is switched off.
    pub(crate) timestamps: Option<TimestampClock>,
}

impl Offer {
    /// What a connection with this timestamp clock and of a socket with these options offers on an
    /// interface with this MTU.
    pub(crate) fn new(
        config: &TcpConfig,
        mtu: u32,
        options: &SocketOptions,
        clock: TimestampClock,
    ) -> Self {
        let mss = u16::try_from(mtu.saturating_sub(HEADERS)).unwrap_or(u16::MAX);
        Self {
            mss: mss.min(options.max_segment.unwrap_or(u16::MAX)).max(1),
            window_scale: config.window_scale.then(|| shift_for(options.receive_buffer)),
            sack: config.sack,
            timestamps: config.timestamps.then_some(clock),
        }
    }

    /// The options of a SYN that opens at `now` (RFC 9293 §3.7.1: MUST-14, SHLD-5, MAY-3).
    pub(crate) fn options(self, now: Instant) -> TcpOptions {
        TcpOptions {
            mss: Some(self.mss),
            window_scale: self.window_scale,
            sack_permitted: self.sack,
            // TSecr means something only with ACK (RFC 7323 §3.2).
            timestamps: self
                .timestamps
                .map(|clock| Timestamps { value: clock.value(now), echo: 0 }),
            ..TcpOptions::default()
        }
    }

    /// The options of a SYN that answers another: only what that one offered too (RFC 7323 §2.2
    /// and §3.2, RFC 2018 §2).
    pub(crate) fn answer_options(self, now: Instant, theirs: &TcpOptions) -> TcpOptions {
        let ours = self.options(now);
        TcpOptions {
            window_scale: theirs.window_scale.and(ours.window_scale),
            sack_permitted: theirs.sack_permitted && ours.sack_permitted,
            timestamps: ours
                .timestamps
                .zip(theirs.timestamps)
                .map(|(ours, theirs)| Timestamps { echo: theirs.value, ..ours }),
            ..ours
        }
    }
}

/// The shift with which 16 bits can say `buffer`.
fn shift_for(buffer: u32) -> u8 {
    (0..SHIFT_MAX).find(|&shift| (u32::from(u16::MAX) << shift) >= buffer).unwrap_or(SHIFT_MAX)
}

/// What both SYNs together fixed; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// Octets of text in the largest segment that we send: the least of what the peer takes and
    /// what our own interface carries (RFC 9293 §3.7.1, MUST-16).
    pub(crate) send_mss: u16,
    /// Octets of text in the largest segment that we said we take.
    pub(crate) receive_mss: u16,
    /// By how much windows are scaled; `None` unless both SYNs had the option (RFC 7323 §2.2).
    pub(crate) scaling: Option<Scaling>,
    /// Whether both SYNs permitted SACK (RFC 2018 §2).
    pub(crate) sack: bool,
    /// Whether both SYNs had timestamps (RFC 7323 §3.2).
    pub(crate) timestamps: bool,
}

impl Negotiated {
    /// What follows from our SYN and theirs.
    pub(crate) fn agree(ours: Offer, theirs: &TcpOptions) -> Self {
        // Either both windows are scaled or neither is (RFC 7323 §2.2).
        let shifts = theirs.window_scale.zip(ours.window_scale);
        let peer_mss = theirs.mss.unwrap_or(MSS_DEFAULT).max(MSS_MIN);
        Self {
            send_mss: peer_mss.min(ours.mss),
            receive_mss: ours.mss,
            scaling: shifts.map(|(send, receive)| Scaling::new(send, receive)),
            sack: ours.sack && theirs.sack_permitted,
            timestamps: ours.timestamps.is_some() && theirs.timestamps.is_some(),
        }
    }

    /// Snd.Wind.Shift: the windows that arrive are to be shifted left by so much.
    pub(crate) fn send_shift(self) -> u8 {
        self.scaling.map_or(0, Scaling::send)
    }

    /// Rcv.Wind.Shift: the windows that we send are shifted right by so much.
    pub(crate) fn receive_shift(self) -> u8 {
        self.scaling.map_or(0, Scaling::receive)
    }
}

/// Both shifts, which may be 0. They take one octet: of half-open connections there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaling(u8);

impl Scaling {
    /// Shifts of what arrives and of what we send. One above 14 counts as 14 (RFC 7323 §2.3).
    pub(crate) fn new(send: u8, receive: u8) -> Self {
        Self(send.min(SHIFT_MAX) << 4 | receive.min(SHIFT_MAX))
    }

    fn send(self) -> u8 {
        self.0 >> 4
    }

    fn receive(self) -> u8 {
        self.0 & 15
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn(mss: Option<u16>, window_scale: Option<u8>) -> TcpOptions {
        TcpOptions { mss, window_scale, ..TcpOptions::default() }
    }

    fn offer() -> Offer {
        let clock = TimestampClock::new(7);
        Offer::new(&TcpConfig::default(), 1500, &SocketOptions::default(), clock)
    }

    #[test]
    fn must_67_the_mss_we_announce_is_the_mtu_without_bare_headers() {
        assert_eq!(offer().mss, 1460);
    }

    #[test]
    fn must_15_and_16_the_mss_we_send_by_is_the_lesser_and_536_by_default() {
        for (theirs, ours) in
            [(None, 536), (Some(9000), 1460), (Some(1000), 1000), (Some(0), MSS_MIN)]
        {
            assert_eq!(Negotiated::agree(offer(), &syn(theirs, None)).send_mss, ours);
        }
    }

    #[test]
    fn windows_are_scaled_both_ways_or_not_at_all() {
        let agreed = Negotiated::agree(offer(), &syn(None, Some(7)));
        assert_eq!((agreed.send_shift(), agreed.receive_shift()), (7, 3));
        let agreed = Negotiated::agree(offer(), &syn(None, None));
        assert_eq!((agreed.send_shift(), agreed.receive_shift()), (0, 0));
        assert_eq!(agreed.scaling, None);
        let agreed = Negotiated::agree(offer(), &syn(None, Some(0)));
        assert_eq!((agreed.send_shift(), agreed.receive_shift()), (0, 3));
        assert_eq!(offer().answer_options(Instant::ZERO, &syn(None, None)).window_scale, None);
    }

    #[test]
    fn sack_and_timestamps_are_agreed_only_if_both_have_offered_them() {
        let now = Instant::from_millis(5);
        let timestamps = Some(Timestamps { value: 0, echo: 99 });
        for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = TcpConfig { sack: ours, timestamps: ours, ..TcpConfig::default() };
            let offer =
                Offer::new(&config, 1500, &SocketOptions::default(), TimestampClock::new(7));
            let timestamps = timestamps.filter(|_| theirs);
            let syn = TcpOptions { sack_permitted: theirs, timestamps, ..syn(None, None) };
            let agreed = Negotiated::agree(offer, &syn);
            let both = ours && theirs;
            assert_eq!((agreed.sack, agreed.timestamps), (both, both));
            let answer = offer.answer_options(now, &syn);
            assert_eq!(answer.sack_permitted, both);
            assert_eq!(answer.timestamps, both.then_some(Timestamps { value: 12, echo: 0 }));
            let opening = offer.options(now);
            assert_eq!(opening.sack_permitted, ours);
            assert_eq!(opening.timestamps, ours.then_some(Timestamps { value: 12, echo: 0 }));
        }
    }

    #[test]
    fn a_shift_above_14_counts_as_14() {
        assert_eq!(Negotiated::agree(offer(), &syn(None, Some(255))).send_shift(), 14);
    }

    #[test]
    fn the_shift_is_the_least_that_can_say_the_buffer() {
        for (buffer, shift) in [(65_535, 0), (65_536, 1), (256 << 10, 3), (1 << 30, 14)] {
            assert_eq!(shift_for(buffer), shift, "{buffer}");
        }
    }
}
