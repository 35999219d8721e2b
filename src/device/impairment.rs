//! How a line is bad: the settings of [`Impair`](super::Impair), and their text form.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::str::FromStr;
use std::time::Duration;

use crate::rng::Rng;

/// How often something happens, in millionths: 3% is 30,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance(u32);

impl Chance {
    /// It never happens.
    pub const NEVER: Self = Self(0);

    /// It always happens.
    pub const ALWAYS: Self = Self(1_000_000);

    /// It happens to `parts` packets in a million; `None` if that is more than all of them.
    pub const fn from_parts_per_million(parts: u32) -> Option<Self> {
        if parts <= Self::ALWAYS.0 { Some(Self(parts)) } else { None }
    }

    /// To how many packets in a million it happens.
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }

    /// Whether it happens this time. What never happens uses up no randomness.
    pub(super) fn happens(self, rng: &mut Rng) -> bool {
        self != Self::NEVER && rng.below(Self::ALWAYS.0.into()) < u64::from(self.0)
    }
}

/// `3%`, `0.01%`: at most four decimals.
impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{rest:04}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

/// Losses that come together: the model of Gilbert and Elliott.
///
/// The line is good or bad. Before each packet it may change: from good to bad with the chance
/// `enter`, from bad to good with the chance `leave`. While it is bad a packet is lost with the
/// chance `loss`, while it is good with that of [`Impairment::loss`]. So a bad time lasts
/// 1 / `leave` packets on average, and the line is bad for `enter` / (`enter` + `leave`) of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Burst {
    /// From good to bad, before each packet.
    pub enter: Chance,
    /// From bad to good, before each packet.
    pub leave: Chance,
    /// Loss while bad. All packets, in Gilbert's model.
    pub loss: Chance,
}

/// How a line is bad. Nothing is by default; each item holds in each direction on its own.
///
/// Its text form is a list of items, `loss=3%,delay=20ms,jitter=5ms,seed=7`:
///
/// | item | form | meaning |
/// |---|---|---|
/// | `loss` | `3%` | packets that are lost, each on its own |
/// | `burst` | `1%/25%`, `1%/25%/90%` | enter, leave and loss (100%) of [`Burst`] |
/// | `delay` | `20ms` | how long each packet takes; units ns, us, ms, s |
/// | `jitter` | `5ms` | how far that is up or down, evenly; packets stay in order |
/// | `reorder` | `1%` | packets that overtake others, see [`Impairment::reorder`] |
/// | `duplicate` | `1%` | packets that arrive twice |
/// | `corrupt` | `0.1%` | packets of which one bit is flipped |
/// | `rate` | `100mbit` | how fast the line is; units bit, kbit, mbit, gbit (a second) |
/// | `queue` | `64` | packets that wait for `rate` at most, of which the last to come is lost |
/// | `mtu` | `1400` | octets of the largest packet that passes; longer ones are lost in silence |
/// | `seed` | `1` | what all choices follow from |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Impairment {
    /// Packets that are lost, each on its own.
    pub loss: Chance,
    /// Losses that come together.
    pub burst: Option<Burst>,
    /// How long each packet takes.
    pub delay: Duration,
    /// How far a packet's time is from `delay`, evenly up or down, and never below zero.
    ///
    /// A line is a queue: a packet that would arrive before the one ahead of it arrives together
    /// with it. So jitter alone reorders nothing, and lengthens the average a little.
    pub jitter: Duration,
    /// Packets that leave their place in the order. With `delay` or `jitter` such a packet skips
    /// both and so overtakes what is under way; without, it is held for a millisecond, and what
    /// follows overtakes it. On a line with nothing else under way nothing is overtaken.
    pub reorder: Chance,
    /// Packets that arrive twice, one right behind the other. A copy is not lost and not copied
    /// again; everything else happens to it as to any packet.
    pub duplicate: Chance,
    /// Packets of which one bit, anywhere in them, is flipped.
    pub corrupt: Chance,
    /// How many bits the line carries a second. As many as come, by default.
    pub rate: Option<NonZeroU64>,
    /// How many packets wait for `rate` at most, the one that is being sent included. 256.
    pub queue: NonZeroUsize,
    /// Octets of the largest IP packet that passes. A longer one is lost and nobody is told: a
    /// black hole for path-MTU discovery (RFC 2923 §2.1). As many as come, by default.
    pub mtu: Option<NonZeroU32>,
    /// What all choices follow from: equal seed and equal packets at equal times give equal
    /// impairments. 1.
    pub seed: u64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            loss: Chance::NEVER,
            burst: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: Chance::NEVER,
            duplicate: Chance::NEVER,
            corrupt: Chance::NEVER,
            rate: None,
            queue: const { NonZeroUsize::new(256).expect("256 is not zero") },
            mtu: None,
            seed: 1,
        }
    }
}

/// Why a text is no [`Impairment`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidImpairment {
    /// There is no item of this name.
    UnknownItem {
        /// The item as it was written.
        item: String,
    },
    /// The item has no value of the form that it needs.
    BadValue {
        /// The item as it was written.
        item: String,
        /// What to write instead.
        expected: &'static str,
    },
    /// The item stands there twice.
    Repeated {
        /// The second one as it was written.
        item: String,
    },
    /// `queue` without `rate`: at a line of unlimited rate nothing waits.
    QueueWithoutRate,
}

/// The items in the order in which they are written, and what a good one looks like.
const ITEMS: [(&str, &str); 11] = [
    ("loss", "loss=3%"),
    ("burst", "burst=1%/25% or burst=1%/25%/90%"),
    ("delay", "delay=20ms"),
    ("jitter", "jitter=5ms"),
    ("reorder", "reorder=1%"),
    ("duplicate", "duplicate=1%"),
    ("corrupt", "corrupt=0.1%"),
    ("rate", "rate=100mbit"),
    ("queue", "queue=64"),
    ("mtu", "mtu=1400"),
    ("seed", "seed=1"),
];

impl fmt::Display for InvalidImpairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownItem { item } => {
                let names: Vec<_> = ITEMS.iter().map(|(name, _)| *name).collect();
                let names = names.join(", ");
                write!(f, "unknown impairment {item:?}: the items are {names}")
            }
            Self::BadValue { item, expected } => {
                write!(f, "bad impairment {item:?}: write {expected}")
            }
            Self::Repeated { item } => {
                write!(f, "repeated impairment {item:?}: write each item once")
            }
            Self::QueueWithoutRate => {
                f.write_str("the impairment queue needs a rate, such as rate=100mbit,queue=64")
            }
        }
    }
}

impl std::error::Error for InvalidImpairment {}

impl FromStr for Impairment {
    type Err = InvalidImpairment;

    fn from_str(text: &str) -> Result<Self, InvalidImpairment> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        for item in text.split(',').map(str::trim) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            let Some(&(name, expected)) = ITEMS.iter().find(|known| known.0 == name) else {
                let item = item.to_owned();
                return Err(InvalidImpairment::UnknownItem { item });
            };
            if seen.contains(&name) {
                let item = item.to_owned();
                return Err(InvalidImpairment::Repeated { item });
            }
            seen.push(name);
            settings
                .set(name, value)
                .ok_or_else(|| InvalidImpairment::BadValue { item: item.to_owned(), expected })?;
        }
        if seen.contains(&"queue") && settings.rate.is_none() {
            return Err(InvalidImpairment::QueueWithoutRate);
        }
        Ok(settings)
    }
}

impl Impairment {
    /// Sets the item `name`; `None` if `value` is not of its form.
    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "loss" => self.loss = parse_chance(value)?,
            "burst" => self.burst = Some(parse_burst(value)?),
            "delay" => self.delay = parse_duration(value)?,
            "jitter" => self.jitter = parse_duration(value)?,
            "reorder" => self.reorder = parse_chance(value)?,
            "duplicate" => self.duplicate = parse_chance(value)?,
            "corrupt" => self.corrupt = parse_chance(value)?,
            "rate" => self.rate = Some(parse_rate(value)?),
            "queue" => self.queue = NonZeroUsize::new(usize::try_from(scaled(value, 1)?).ok()?)?,
            "mtu" => self.mtu = Some(NonZeroU32::new(u32::try_from(scaled(value, 1)?).ok()?)?),
            "seed" => self.seed = scaled(value, 1)?,
            _ => return None,
        }
        Some(())
    }
}

/// The text form, which parses back to an equal value.
impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chance = |f: &mut fmt::Formatter<'_>, name, chance: Chance| match chance {
            Chance::NEVER => Ok(()),
            chance => write!(f, "{name}={chance},"),
        };
        let duration = |f: &mut fmt::Formatter<'_>, name, duration: Duration| {
            if duration.is_zero() {
                return Ok(());
            }
            let (number, unit) = in_largest_unit(duration.as_nanos(), &TIME_UNITS);
            write!(f, "{name}={number}{unit},")
        };
        chance(f, "loss", self.loss)?;
        if let Some(Burst { enter, leave, loss }) = self.burst {
            write!(f, "burst={enter}/{leave}/{loss},")?;
        }
        duration(f, "delay", self.delay)?;
        duration(f, "jitter", self.jitter)?;
        chance(f, "reorder", self.reorder)?;
        chance(f, "duplicate", self.duplicate)?;
        chance(f, "corrupt", self.corrupt)?;
        if let Some(rate) = self.rate {
            let (number, unit) = in_largest_unit(rate.get().into(), &RATE_UNITS);
            write!(f, "rate={number}{unit},queue={},", self.queue)?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, "mtu={mtu},")?;
        }
        write!(f, "seed={}", self.seed)
    }
}

/// A unit's name and how many of the smallest it is.
type Unit = (&'static str, u64);

/// Of a duration, the longest name first among those that end alike.
const TIME_UNITS: [Unit; 4] = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

/// Of a rate, `bit` last, since all others end in it.
const RATE_UNITS: [Unit; 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// The largest unit of which `amount` is a whole number.
fn in_largest_unit(amount: u128, units: &[Unit]) -> (u128, &'static str) {
    units
        .iter()
        .filter(|(_, size)| amount.is_multiple_of(u128::from(*size)))
        .max_by_key(|(_, size)| *size)
        .map_or((amount, ""), |(name, size)| (amount / u128::from(*size), *name))
}

/// A number with one of `units`, in the smallest of them.
fn parse_with_unit(text: &str, units: &[Unit]) -> Option<u64> {
    let (number, size) =
        units.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?, *size)))?;
    scaled(number, size)
}

fn parse_duration(text: &str) -> Option<Duration> {
    parse_with_unit(text, &TIME_UNITS).map(Duration::from_nanos)
}

fn parse_rate(text: &str) -> Option<NonZeroU64> {
    NonZeroU64::new(parse_with_unit(text, &RATE_UNITS)?)
}

fn parse_chance(text: &str) -> Option<Chance> {
    let parts = scaled(text.strip_suffix('%')?, 10_000)?;
    Chance::from_parts_per_million(u32::try_from(parts).ok()?)
}

fn parse_burst(text: &str) -> Option<Burst> {
    let (enter, rest) = text.split_once('/')?;
    let (leave, loss) = rest.split_once('/').unwrap_or((rest, "100%"));
    Some(Burst {
        enter: parse_chance(enter)?,
        leave: parse_chance(leave)?,
        loss: parse_chance(loss)?,
    })
}

/// The decimal number `text` times `scale`, if that is a whole number: in integers, so that
/// what is written is what is meant.
fn scaled(text: &str, scale: u64) -> Option<u64> {
    let (whole, decimals) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let all: u64 = format!("{whole}{decimals}").parse().ok()?;
    let divisor = 10u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let product = u128::from(all) * u128::from(scale);
    let is_whole = product.is_multiple_of(divisor.into());
    u64::try_from(product / u128::from(divisor)).ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the command line.
    const ALL: &str = "loss=3%,burst=0.5%/20%/90%,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,\
                       corrupt=0.1%,rate=100mbit,queue=64,mtu=1400,seed=1";

    #[test]
    fn the_text_form_means_what_it_says_and_comes_back() {
        let all: Impairment = ALL.parse().unwrap();
        assert_eq!(all.loss, Chance(30_000));
        assert_eq!(all.corrupt, Chance(1_000));
        assert_eq!((all.delay, all.jitter), (ms(20), ms(5)));
        assert_eq!(all.rate.unwrap().get(), 100_000_000);
        assert_eq!(all.queue.get(), 64);
        assert_eq!(all.mtu.unwrap().get(), 1400);
        let burst = all.burst.unwrap();
        assert_eq!((burst.enter.0, burst.leave.0, burst.loss.0), (5_000, 200_000, 900_000));
        assert_eq!(all.to_string(), ALL);
        assert_eq!(Impairment::default().to_string(), "seed=1");
        for text in ["seed=1", "burst=1%/25%", "loss=0.0001%,seed=18446744073709551615"] {
            let settings: Impairment = text.parse().unwrap();
            assert_eq!(settings.to_string().parse(), Ok(settings), "{text}");
        }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn units_and_decimals_are_exact() {
        for (text, is) in [
            ("7ns", Some(Duration::from_nanos(7))),
            ("2.5us", Some(Duration::from_nanos(2_500))),
            ("1.5s", Some(ms(1_500))),
            ("0ms", Some(Duration::ZERO)),
            ("1.5ns", None),
            ("20", None),
            ("ms", None),
            (".5ms", None),
            ("5.ms", None),
            ("-5ms", None),
            ("+5ms", None),
            ("1e3ms", None),
            ("5m", None),
            ("99999999999999s", None),
        ] {
            assert_eq!(parse_duration(text), is, "{text}");
        }
        let rate = |text| parse_rate(text).map(NonZeroU64::get);
        assert_eq!(rate("1.5gbit"), Some(1_500_000_000));
        assert_eq!(rate("64kbit"), Some(64_000));
        assert_eq!(rate("1bit"), Some(1));
        assert_eq!((rate("0mbit"), rate("5mb"), rate("0.5bit")), (None, None, None));
        assert_eq!(parse_chance("100%"), Some(Chance::ALWAYS));
        assert_eq!(parse_chance("100.0001%"), None);
        assert_eq!(parse_chance("0.00001%"), None, "too fine is not never");
        assert_eq!(parse_chance("3"), None);
    }

    #[test]
    fn an_error_names_the_item_and_what_to_write() {
        let error = |text: &str| text.parse::<Impairment>().unwrap_err().to_string();
        let unknown = error("loss=1%,los=3%");
        assert!(unknown.contains("\"los=3%\""), "{unknown}");
        assert!(ITEMS.iter().all(|(name, _)| unknown.contains(name)));
        for item in ["loss=300%", "delay", "rate=", "queue=0", "mtu=0", "seed=-1", "burst=1%"] {
            let text = error(&format!("corrupt=1%,{item}"));
            let (name, _) = item.split_once('=').unwrap_or((item, ""));
            assert!(text.contains(&format!("{item:?}")), "{text}");
            assert!(text.contains(&format!("write {name}=")), "{text}");
        }
        assert!(error("loss=1%,loss=2%").contains("\"loss=2%\""));
        assert!(error("queue=9").contains("rate="));
        assert!(error("").contains("the items are"));
        assert!(error("loss=1%,").contains("the items are"));
    }
}
