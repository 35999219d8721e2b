//! What the handshake fixed for the life of a connection.

use super::config::TcpConfig;
use crate::wire::tcp_options::TcpOptions;

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
}

impl Offer {
    /// What a connection offers on an interface with this MTU and this receive buffer.
    pub(crate) fn new(config: &TcpConfig, mtu: u32, receive_buffer: u32) -> Self {
        let mss = u16::try_from(mtu.saturating_sub(HEADERS)).unwrap_or(u16::MAX);
        Self {
            mss: mss.max(1),
            window_scale: config.window_scale.then(|| shift_for(receive_buffer)),
        }
    }

    /// The options of a SYN that opens (RFC 9293 §3.7.1: MUST-14, SHLD-5, MAY-3).
    pub(crate) fn options(self) -> TcpOptions {
        TcpOptions { mss: Some(self.mss), window_scale: self.window_scale, ..TcpOptions::default() }
    }

    /// The options of a SYN that answers another: only what that one offered too
    /// (RFC 7323 §2.2).
    pub(crate) fn answer_options(self, theirs: &TcpOptions) -> TcpOptions {
        TcpOptions {
            mss: Some(self.mss),
            window_scale: theirs.window_scale.and(self.window_scale),
            ..TcpOptions::default()
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
    /// Snd.Wind.Shift: the windows that arrive are to be shifted left by so much.
    pub(crate) send_shift: u8,
    /// Rcv.Wind.Shift: the windows that we send are shifted right by so much.
    pub(crate) receive_shift: u8,
}

impl Negotiated {
    /// What follows from our SYN and theirs.
    pub(crate) fn agree(ours: Offer, theirs: &TcpOptions) -> Self {
        // Either both windows are scaled or neither is (RFC 7323 §2.2).
        let (send_shift, receive_shift) = match (ours.window_scale, theirs.window_scale) {
            (Some(ours), Some(theirs)) => (theirs.min(SHIFT_MAX), ours),
            (None, _) | (_, None) => (0, 0),
        };
        let peer_mss = theirs.mss.unwrap_or(MSS_DEFAULT).max(MSS_MIN);
        Self { send_mss: peer_mss.min(ours.mss), receive_mss: ours.mss, send_shift, receive_shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syn(mss: Option<u16>, window_scale: Option<u8>) -> TcpOptions {
        TcpOptions { mss, window_scale, ..TcpOptions::default() }
    }

    fn offer() -> Offer {
        Offer::new(&TcpConfig::default(), 1500, 256 << 10)
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
        assert_eq!((agreed.send_shift, agreed.receive_shift), (7, 3));
        let agreed = Negotiated::agree(offer(), &syn(None, None));
        assert_eq!((agreed.send_shift, agreed.receive_shift), (0, 0));
        assert_eq!(offer().answer_options(&syn(None, None)).window_scale, None);
    }

    #[test]
    fn a_shift_above_14_counts_as_14() {
        assert_eq!(Negotiated::agree(offer(), &syn(None, Some(255))).send_shift, 14);
    }

    #[test]
    fn the_shift_is_the_least_that_can_say_the_buffer() {
        for (buffer, shift) in [(65_535, 0), (65_536, 1), (256 << 10, 3), (1 << 30, 14)] {
            assert_eq!(shift_for(buffer), shift, "{buffer}");
        }
    }
}
