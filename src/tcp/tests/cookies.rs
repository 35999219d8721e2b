//! What a cookie remembers, for how long, and what it takes to make one without the key.

use super::*;
use crate::options::SocketOptions;
use crate::rng::Seed;
use crate::tcp::TcpConfig;
use crate::tcp::timestamps::TimestampClock;
use crate::wire::Endpoint;

const IRS: SeqNumber = SeqNumber(u32::MAX - 3);

fn cookies(seed: u64) -> Cookies {
    Cookies::new(&mut Rng::new(&Seed::from_number(seed)))
}

fn tuple(port: u16) -> FourTuple {
    FourTuple {
        local: Endpoint::new([10, 7, 0, 2].into(), 80),
        remote: Endpoint::new([10, 7, 0, 1].into(), port),
    }
}

fn offer() -> Offer {
    let clock = TimestampClock::new(7);
    Offer::new(&TcpConfig::default(), 1500, &SocketOptions::default(), clock)
}

fn promise() -> Promise {
    Promise::new(offer(), 65_535)
}

fn promises() -> impl Iterator<Item = Promise> {
    std::iter::once(promise())
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

/// What comes back of a SYN with `theirs` at once, in a segment with `timestamps`.
fn recalled(theirs: &TcpOptions, timestamps: Option<Timestamps>) -> Recalled {
    let cookies = cookies(1);
    let cookie = cookies.make(at(5), &tuple(9), IRS, (offer(), theirs), promise());
    cookies.read(at(5), &tuple(9), IRS, cookie, promises(), (0, timestamps)).unwrap()
}

#[test]
fn an_mss_comes_back_as_the_largest_of_eight_that_is_not_above_it() {
    for (mss, back) in [
        (Some(0), 48),
        (Some(535), 48),
        (None, 536),
        (Some(536), 536),
        (Some(1219), 536),
        (Some(1300), 1220),
        (Some(1399), 1360),
        (Some(1439), 1400),
        (Some(1452), 1440),
        (Some(1460), 1460),
        (Some(8959), 1460),
        (Some(u16::MAX), 8960),
    ] {
        let options = recalled(&TcpOptions { mss, ..TcpOptions::default() }, None).options;
        assert_eq!(options.mss, Some(back), "{mss:?}");
    }
}

#[test]
fn a_shift_comes_back_as_the_largest_of_six_that_is_not_above_it_or_not_at_all() {
    for (shift, back) in [
        (None, None),
        (Some(0), Some(0)),
        (Some(1), Some(0)),
        (Some(3), Some(2)),
        (Some(7), Some(7)),
        (Some(8), Some(8)),
        (Some(14), Some(8)),
        (Some(255), Some(8)),
    ] {
        for sack_permitted in [false, true] {
            let theirs =
                TcpOptions { window_scale: shift, sack_permitted, ..TcpOptions::default() };
            let options = recalled(&theirs, None).options;
            assert_eq!((options.window_scale, options.sack_permitted), (back, sack_permitted));
            assert_eq!(options.timestamps, None);
        }
    }
}

#[test]
fn with_timestamps_every_shift_and_sack_come_back_as_they_were() {
    let shifts = (0..=14).map(Some).chain([None]);
    for (window_scale, sack_permitted) in shifts.flat_map(|s| [(s, false), (s, true)]) {
        let timestamps = Some(Timestamps { value: 1000, echo: 0 });
        let theirs =
            TcpOptions { window_scale, sack_permitted, timestamps, ..TcpOptions::default() };
        for value in [0, 31, 63, 64, 12_345, u32::MAX] {
            let echo = Cookies::stamp(value, &theirs);
            let lag = value.wrapping_sub(echo);
            assert!(lag <= 64, "TSval is {lag} behind the clock");
            let back = recalled(&theirs, Some(Timestamps { value: 1001, echo })).options;
            assert_eq!((back.window_scale, back.sack_permitted), (window_scale, sack_permitted));
            assert_eq!(back.timestamps.unwrap().value, 1001);
        }
    }
}

/// RFC 7323 §3.2 wants the option in every segment, and middleboxes lose it.
#[test]
fn without_the_timestamp_that_was_agreed_only_whether_windows_are_scaled_comes_back() {
    for (window_scale, back) in [(Some(9), Some(0)), (None, None)] {
        let timestamps = Some(Timestamps { value: 1000, echo: 0 });
        let theirs =
            TcpOptions { window_scale, sack_permitted: true, timestamps, ..TcpOptions::default() };
        let options = recalled(&theirs, None).options;
        assert_eq!(options.window_scale, back);
        assert!(!options.sack_permitted && options.timestamps.is_none());
    }
}

#[test]
fn timestamps_that_were_not_agreed_say_nothing() {
    let stray = Some(Timestamps { value: 1, echo: u32::MAX });
    let recalled = recalled(&TcpOptions::default(), stray);
    let mss = Some(MSS_DEFAULT);
    let options = TcpOptions { mss, ..TcpOptions::default() };
    assert_eq!(recalled, Recalled { options, rtt: None, promise: promise() });
}

#[test]
fn a_round_trip_is_what_the_timestamp_says_and_none_if_it_cannot_be() {
    let cookies = cookies(1);
    let timestamps = Some(Timestamps { value: 1000, echo: 0 });
    let theirs = TcpOptions { timestamps, ..TcpOptions::default() };
    let cookie = cookies.make(at(5), &tuple(9), IRS, (offer(), &theirs), promise());
    for (echo, rtt) in [(u32::MAX, Some(101)), (70, Some(30)), (101, None), (1 << 31, None)] {
        let stamps = (100, Some(Timestamps { value: 1001, echo }));
        let recalled = cookies.read(at(5), &tuple(9), IRS, cookie, promises(), stamps).unwrap();
        assert_eq!(recalled.rtt, rtt.map(Duration::from_millis), "{echo}");
    }
}

#[test]
fn a_cookie_holds_for_its_minute_and_the_next() {
    let cookies = cookies(1);
    let theirs = TcpOptions::default();
    for made in [0, 59, 60, 61, 119, 3599, 3600] {
        let cookie = cookies.make(at(made), &tuple(9), IRS, (offer(), &theirs), promise());
        let is_good =
            |now| cookies.read(at(now), &tuple(9), IRS, cookie, promises(), (0, None)).is_some();
        let last = (made / 60 + 2) * 60;
        assert!(is_good(made) && is_good(made + 60) && is_good(last - 1), "{made}");
        assert!((last..last + 600).all(|now| !is_good(now)), "{made}");
    }
}

#[test]
fn a_cookie_is_good_for_its_own_ends_and_its_own_syn_only() {
    let cookies = cookies(1);
    let theirs = TcpOptions::default();
    let cookie = cookies.make(at(0), &tuple(9), IRS, (offer(), &theirs), promise());
    let is_good = |tuple: &FourTuple, irs| {
        cookies.read(at(0), tuple, irs, cookie, promises(), (0, None)).is_some()
    };
    assert!(is_good(&tuple(9), IRS));
    let FourTuple { local, remote } = tuple(9);
    assert!(!is_good(&tuple(10), IRS));
    assert!(!is_good(&FourTuple { local: remote, remote: local }, IRS));
    assert!(!is_good(&tuple(9), IRS + 1) && !is_good(&tuple(9), IRS - 1));
    let other = Cookies::new(&mut Rng::new(&Seed::from_number(2)));
    assert!(other.read(at(0), &tuple(9), IRS, cookie, promises(), (0, None)).is_none());
}

/// Each of the 2^32 answers is as good as any other: of a million guesses none is right. No bit of
/// a cookie may be turned either, those that say what the SYN said included.
#[test]
fn a_cookie_is_neither_guessed_nor_changed() {
    let cookies = cookies(1);
    let theirs = TcpOptions::default();
    let cookie = cookies.make(at(0), &tuple(9), IRS, (offer(), &theirs), promise());
    let is_good = |guess| {
        cookies.read(at(0), &tuple(9), IRS, SeqNumber(guess), promises(), (0, None)).is_some()
    };
    assert!((0..32).all(|bit| !is_good(cookie.0 ^ 1 << bit)));
    let mut rng = Rng::new(&Seed::from_number(3));
    let guesses = (0..1_000_000).filter(|_| is_good(rng.next_u32())).count();
    assert!(guesses <= 1, "{guesses} of a million guesses were good");
}

/// RFC 9293 §3.4.1, SHLD-1: what one tuple gets tells nothing of another's.
#[test]
fn cookies_of_neighbours_have_nothing_in_common() {
    let cookies = cookies(1);
    let theirs = TcpOptions::default();
    let numbers: Vec<u32> = (1..4097)
        .map(|port| cookies.make(at(0), &tuple(port), IRS, (offer(), &theirs), promise()).0)
        .collect();
    for bit in 0..32 {
        let ones = numbers.iter().filter(|n| *n >> bit & 1 == 1).count();
        assert!((1850..2250).contains(&ones), "bit {bit}: {ones} ones");
    }
}

#[test]
fn a_cookie_brings_back_the_promise_that_was_made_with_it_and_no_other() {
    let cookies = cookies(1);
    let (theirs, now) = (TcpOptions::default(), at(0));
    let made: Vec<Promise> = [(1460, Some(3)), (1460, None), (1460, Some(4)), (1000, Some(3))]
        .into_iter()
        .map(|(mss, window_scale)| Offer { mss, window_scale, ..offer() })
        .flat_map(|offer| [4096, 65_535].map(|window| Promise::new(offer, window)))
        .collect();
    for promise in &made {
        let cookie = cookies.make(now, &tuple(9), IRS, (offer(), &theirs), *promise);
        let read = |promises: &[Promise]| {
            let promises = promises.iter().copied();
            let recalled = cookies.read(now, &tuple(9), IRS, cookie, promises, (0, None));
            recalled.map(|recalled| recalled.promise)
        };
        assert_eq!(read(&made), Some(*promise));
        let others: Vec<_> = made.iter().copied().filter(|other| other != promise).collect();
        assert_eq!((read(&others), read(&[])), (None, None));
    }
}
