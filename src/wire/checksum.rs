//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use std::net::Ipv4Addr;

/// A running one's-complement sum of 16-bit words.
///
/// Kept in the machine's own byte order: swapping the octets of every word swaps those of the
/// sum (RFC 1071 §2 (B)), so that one swap at the end stands for one a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u16);

impl Sum {
    /// The pseudo-header of RFC 9293 §3.1 and RFC 768; `len` is octets of transport header and
    /// data.
    pub(crate) fn pseudo_header(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        len: usize,
    ) -> Self {
        let of_address = |address: Ipv4Addr| u64::from(u32::from_ne_bytes(address.octets()));
        let of_protocol = u64::from(u16::from(protocol).to_be());
        let of_len = u64::from(u32::try_from(len).unwrap_or(u32::MAX).to_be());
        Self(fold(of_address(source) + of_address(destination) + of_protocol + of_len))
    }

    /// Adds `octets`, padded with a zero to an even count: so only the last piece may be odd.
    #[must_use]
    pub(crate) fn add(self, octets: &[u8]) -> Self {
        // Eight octets a step, as two halves whose sums cannot overflow within 2^31 steps. The
        // sum of the low halves needs no mask of its own: it is what the wrapping sum of whole
        // words keeps when the high halves are taken out again.
        let (words, tail) = octets.as_chunks::<8>();
        let mut whole = 0u64;
        let mut high = 0u64;
        for word in words {
            let word = u64::from_ne_bytes(*word);
            whole = whole.wrapping_add(word);
            high += word >> 32;
        }
        let low = whole.wrapping_sub(high << 32);
        Self(fold(low + high + sum_of_tail(tail) + u64::from(self.0)))
    }

    /// Adds pieces that follow one another, of any lengths, as if they were one.
    #[must_use]
    pub(crate) fn add_pieces<'a>(self, pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut sum = self;
        let mut is_mid_word = false;
        for piece in pieces {
            let Self(part) = Self::default().add(piece);
            // In a piece that begins in the middle of a word, the octets that belong into the
            // high half have been added to the low half and the other way round.
            let part = if is_mid_word { part.swap_bytes() } else { part };
            sum = Self(fold(u64::from(sum.0) + u64::from(part)));
            is_mid_word ^= piece.len() % 2 == 1;
        }
        sum
    }

    /// What belongs into the checksum field: the complement of the folded sum.
    pub(crate) fn finish(self) -> u16 {
        !u16::from_be(self.0)
    }

    /// What belongs into a checksum field that somebody else completes: the sum so far.
    pub(crate) fn partial(self) -> u16 {
        !self.finish()
    }

    /// Whether octets that hold their checksum add up.
    pub(crate) fn is_valid(self) -> bool {
        self.finish() == 0
    }
}

/// The sum of fewer than eight octets, as [`Sum::add`] counts them.
fn sum_of_tail(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<4>();
    let words: u64 = words.iter().map(|&word| u64::from(u32::from_ne_bytes(word))).sum();
    let rest = match *rest {
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c] => [a, b, c, 0],
        _ => [0; 4],
    };
    words + u64::from(u32::from_ne_bytes(rest))
}

/// Adds the carries of `sum` back in until 16 bits are left; 0 only of 0.
fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff); // At most 33 bits.
    let sum = (sum >> 16) + (sum & 0xffff); // At most 18 bits.
    let sum = (sum >> 16) + (sum & 0xffff); // At most 0x10002.
    let sum = (sum >> 16) + (sum & 0xffff); // At most 0xffff: the conversion cannot fail.
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};
    use crate::wire::tests::{below, random_octets};

    /// Word by word, as RFC 1071 §1 describes it: slow, and written without the code above.
    fn reference(octets: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(pair[0]) * 256 + u32::from(low);
            sum = sum % 65_536 + sum / 65_536;
        }
        !u16::try_from(sum).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1071_section_3_adds_up_to_ddf2() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn every_length_sums_as_word_by_word() {
        let mut rng = Rng::new(&Seed::from_number(1071));
        for len in (0..200).chain([1447, 1448, 1460, 65_534, 65_535]) {
            let octets = random_octets(&mut rng, len);
            let sum = Sum::default().add(&octets);
            assert_eq!(sum.finish(), reference(&octets), "{len} octets");
        }
    }

    #[test]
    fn no_carry_is_lost_where_every_bit_is_set() {
        for len in (0..40).chain([65_534, 65_535]) {
            let octets = vec![0xff; len];
            let sum = Sum::default().add(&octets);
            assert_eq!(sum.finish(), reference(&octets), "{len} octets");
        }
    }

    #[test]
    fn pieces_of_any_lengths_sum_as_the_whole() {
        let mut rng = Rng::new(&Seed::from_number(2));
        for round in 0..2000 {
            let octets = random_octets(&mut rng, 60);
            let mut pieces = vec![&octets[..]];
            for _ in 0..round % 6 {
                let last = pieces.pop().unwrap();
                let cut = below(&mut rng, last.len() + 1);
                pieces.extend([&last[..cut], &last[cut..]]);
            }
            let lengths: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
            let sum = Sum::default().add_pieces(pieces.into_iter());
            assert_eq!(sum.finish(), reference(&octets), "{lengths:?}");
        }
    }

    #[test]
    fn empty_and_odd_pieces_in_the_middle_change_nothing() {
        let octets: Vec<u8> = (1..=9).collect();
        for cuts in [[0, 0, 9], [1, 1, 2], [3, 3, 3], [3, 4, 9], [1, 8, 9], [9, 9, 9]] {
            let pieces = [
                &octets[..cuts[0]],
                &octets[cuts[0]..cuts[1]],
                &octets[cuts[1]..cuts[2]],
                &octets[cuts[2]..],
            ];
            let sum = Sum::default().add_pieces(pieces.into_iter());
            assert_eq!(sum.finish(), reference(&octets), "{cuts:?}");
        }
    }

    #[test]
    fn a_sum_is_valid_with_its_checksum_and_with_no_other() {
        let mut octets = [0x45, 0x10, 0, 0, 0xfe, 0xdc];
        let checksum = Sum::default().add(&octets).finish();
        for other in 0..=u16::MAX {
            octets[2..4].copy_from_slice(&other.to_be_bytes());
            let is_valid = Sum::default().add(&octets).is_valid();
            assert_eq!(is_valid, other == checksum, "{other:#06x}");
        }
    }

    #[test]
    fn zeros_are_not_a_valid_packet() {
        assert!(!Sum::default().add(&[0; 20]).is_valid());
        assert_eq!(Sum::default().finish(), 0xffff);
    }

    #[test]
    fn the_pseudo_header_sums_as_its_twelve_octets() {
        let [source, destination] = [[10, 7, 0, 1], [192, 168, 255, 3]].map(Ipv4Addr::from);
        for len in [0usize, 1, 20, 255, 256, 65_535] {
            let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
            let octets = [10, 7, 0, 1, 192, 168, 255, 3, 0, 6, high, low];
            let sum = Sum::pseudo_header(source, destination, 6, len);
            assert_eq!(sum.finish(), reference(&octets), "{len}");
        }
    }
}
