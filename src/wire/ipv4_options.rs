//! IPv4 options (RFC 791 §3.1).

use super::ParseError;

/// End of the option list (RFC 791 §3.1).
const KIND_END: u8 = 0;
/// No operation: one octet that fills (RFC 791 §3.1).
const KIND_NOP: u8 = 1;
/// Record route (RFC 791 §3.1).
const KIND_RECORD_ROUTE: u8 = 7;
/// Internet timestamp (RFC 791 §3.1).
const KIND_TIMESTAMP: u8 = 68;
/// Loose source and record route (RFC 791 §3.1).
const KIND_LOOSE_SOURCE_ROUTE: u8 = 131;
/// Strict source and record route (RFC 791 §3.1).
const KIND_STRICT_SOURCE_ROUTE: u8 = 137;
/// Router alert (RFC 2113 §2.1).
const KIND_ROUTER_ALERT: u8 = 148;

/// One option of an IPv4 header. What carries octets carries those after kind and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ipv4Option<'a> {
    /// Loose source route: pointer and addresses (RFC 7126 §4.3).
    LooseSourceRoute(&'a [u8]),
    /// Strict source route: pointer and addresses (RFC 7126 §4.4).
    StrictSourceRoute(&'a [u8]),
    /// Record route: pointer and addresses.
    RecordRoute(&'a [u8]),
    /// Timestamps: pointer, overflow and flags, entries.
    Timestamp(&'a [u8]),
    /// Routers shall look at the packet; the value says why (RFC 2113).
    RouterAlert(u16),
    /// Any other kind, and a router alert whose length is not 4.
    Unknown {
        /// The octet that says what it is, with its copied flag and class.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

/// Iterates over the options of a header, without the octets that fill or end the list.
///
/// A length below 2 or past the end yields one `Err`, and then nothing: where the next option
/// would begin is unknown.
pub(crate) fn options(octets: &[u8]) -> impl Iterator<Item = Result<Ipv4Option<'_>, ParseError>> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (kind, after_kind) = next_kind(rest)?;
        match data_of(after_kind) {
            Ok((data, after)) => {
                rest = after;
                Some(Ok(option(kind, data)))
            }
            Err(error) => {
                rest = &[];
                Some(Err(error))
            }
        }
    })
}

/// The next octet that is neither filling nor the end, and what follows it.
fn next_kind(octets: &[u8]) -> Option<(u8, &[u8])> {
    let fill = octets.iter().take_while(|&&kind| kind == KIND_NOP).count();
    match octets.get(fill..)? {
        [] | [KIND_END, ..] => None,
        [kind, rest @ ..] => Some((*kind, rest)),
    }
}

/// Splits `octets`, which begin with a length that counts itself and the kind before it.
fn data_of(octets: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let (&len, rest) = octets.split_first().ok_or(ParseError::Truncated)?;
    let data_len = usize::from(len).checked_sub(2);
    rest.split_at_checked(data_len.ok_or(ParseError::BadLength)?).ok_or(ParseError::Truncated)
}

fn option(kind: u8, data: &[u8]) -> Ipv4Option<'_> {
    match (kind, data) {
        (KIND_LOOSE_SOURCE_ROUTE, _) => Ipv4Option::LooseSourceRoute(data),
        (KIND_STRICT_SOURCE_ROUTE, _) => Ipv4Option::StrictSourceRoute(data),
        (KIND_RECORD_ROUTE, _) => Ipv4Option::RecordRoute(data),
        (KIND_TIMESTAMP, _) => Ipv4Option::Timestamp(data),
        (KIND_ROUTER_ALERT, &[high, low]) => {
            Ipv4Option::RouterAlert(u16::from_be_bytes([high, low]))
        }
        _ => Ipv4Option::Unknown { kind, data },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ipv4Option::{
        LooseSourceRoute, RecordRoute, RouterAlert, StrictSourceRoute, Timestamp, Unknown,
    };
    use ParseError::{BadLength, Truncated};

    fn all(octets: &[u8]) -> Vec<Result<Ipv4Option<'_>, ParseError>> {
        options(octets).collect()
    }

    #[test]
    fn each_kind_is_known_by_its_number() {
        for (octets, option) in [
            (&[7, 3, 4][..], RecordRoute(&[4])),
            (&[68, 4, 5, 1], Timestamp(&[5, 1])),
            (&[131, 7, 4, 10, 0, 0, 1], LooseSourceRoute(&[4, 10, 0, 0, 1])),
            (&[137, 3, 4], StrictSourceRoute(&[4])),
            (&[148, 4, 0, 1], RouterAlert(1)),
            (&[148, 3, 0], Unknown { kind: 148, data: &[0] }),
            (&[94, 2], Unknown { kind: 94, data: &[] }),
            (&[255, 4, 8, 9], Unknown { kind: 255, data: &[8, 9] }),
        ] {
            assert_eq!(all(octets), [Ok(option)], "{octets:?}");
        }
    }

    #[test]
    fn options_may_stand_anywhere_between_filling_octets() {
        for fill in 0..4 {
            let mut octets = vec![1; fill];
            octets.extend([148, 4, 0, 0]);
            octets.extend(vec![1; fill]);
            octets.extend([7, 3, 4]);
            let expected = [Ok(RouterAlert(0)), Ok(RecordRoute(&[4]))];
            assert_eq!(all(&octets), expected, "{octets:?}");
        }
    }

    #[test]
    fn nothing_is_read_past_the_end_of_the_list() {
        assert_eq!(all(&[]), []);
        assert_eq!(all(&[1, 1, 1, 1]), []);
        assert_eq!(all(&[1, 0, 131, 3, 4]), []);
        assert_eq!(all(&[7, 3, 4, 0, 131, 0]), [Ok(RecordRoute(&[4]))]);
    }

    #[test]
    fn an_illegal_length_is_one_error_and_the_end() {
        for (octets, error) in [
            (&[7][..], Truncated),
            (&[7, 0, 1, 1], BadLength),
            (&[7, 1, 1, 1], BadLength),
            (&[7, 5, 4, 0], Truncated),
            (&[7, 255, 4, 0], Truncated),
        ] {
            assert_eq!(all(octets), [Err(error)], "{octets:?}");
            let before = [&[148, 4, 0, 0], octets].concat();
            assert_eq!(all(&before), [Ok(RouterAlert(0)), Err(error)]);
        }
    }
}
