//! When a silent peer is asked, and when it is given up.

use super::*;
use crate::options::SocketOptions;

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

fn lifetime() -> Lifetime {
    Lifetime::new(at(0), &TcpConfig::default())
}

fn options() -> SocketOptions {
    SocketOptions::default()
}

/// With keep-alive after 10 s, every 5 s, three times.
fn keepalive() -> SocketOptions {
    let mut options = options();
    options.keepalive = true;
    options.keepalive_idle = Duration::from_secs(10);
    options.keepalive_interval = Duration::from_secs(5);
    options.keepalive_count = 3;
    options
}

/// When, in seconds, an idle peer that never answers is probed, and when and why it is given up.
fn probed_at(options: &SocketOptions) -> (Vec<u64>, u64, Expired) {
    let mut lifetime = lifetime();
    let mut probes = Vec::new();
    loop {
        let due = lifetime.deadline(options, false).unwrap();
        let early = Instant::from_nanos(due.as_nanos() - 1);
        assert_eq!(lifetime.on_timeout(early, options, false), None);
        assert!(!lifetime.is_probe_due());
        let seconds = (due - Instant::ZERO).as_secs();
        if let Some(expired) = lifetime.on_timeout(due, options, false) {
            return (probes, seconds, expired);
        }
        assert!(lifetime.is_probe_due() && lifetime.deadline(options, false).is_none());
        lifetime.on_probed(due);
        probes.push(seconds);
    }
}

#[test]
fn must_20_a_silent_peer_is_given_up_after_r2_and_progress_starts_it_anew() {
    let (mut lifetime, options) = (lifetime(), options());
    lifetime.update(at(0), true, false);
    lifetime.on_progress(at(100));
    lifetime.update(at(200), true, false);
    assert_eq!(lifetime.deadline(&options, true), Some(at(1000)));
    assert_eq!(lifetime.on_timeout(at(999), &options, true), None);
    assert_eq!(lifetime.on_timeout(at(1000), &options, true), Some(Expired::NoAnswer));
}

#[test]
fn what_nobody_holds_is_given_up_earlier_and_never_later() {
    for (patience, user, limit) in
        [(100, None, 100), (3600, None, 900), (100, Some(500), 100), (100, Some(50), 50)]
    {
        let (mut lifetime, mut options) = (lifetime(), options());
        options.user_timeout = user.map(Duration::from_secs);
        lifetime.update(at(0), true, false);
        lifetime.limit(Duration::from_secs(patience));
        assert_eq!(lifetime.deadline(&options, true), Some(at(limit)));
    }
}

#[test]
fn must_21_the_user_sets_r2_of_one_connection() {
    let (mut lifetime, mut options) = (lifetime(), options());
    lifetime.update(at(0), true, false);
    for seconds in [1, 30, 7200] {
        options.user_timeout = Some(Duration::from_secs(seconds));
        assert_eq!(lifetime.deadline(&options, true), Some(at(seconds)));
    }
    options.user_timeout = None;
    assert_eq!(lifetime.deadline(&options, true), Some(at(900)));
}

#[test]
fn who_waits_for_nothing_is_never_given_up() {
    let (mut lifetime, options) = (lifetime(), options());
    lifetime.update(at(0), true, false);
    lifetime.update(at(1), false, false);
    assert_eq!(lifetime.deadline(&options, false), None);
    assert_eq!(lifetime.on_timeout(at(1 << 30), &options, false), None);
}

#[test]
fn an_abandoned_fin_wait_2_ends_after_a_minute_or_when_the_user_says() {
    let (mut lifetime, mut options) = (lifetime(), options());
    lifetime.update(at(5), false, true);
    lifetime.update(at(30), false, true);
    assert_eq!(lifetime.on_timeout(at(64), &options, false), None);
    assert_eq!(lifetime.on_timeout(at(65), &options, false), Some(Expired::FinWait2));
    options.linger2 = Duration::from_secs(3);
    assert_eq!(lifetime.on_timeout(at(8), &options, false), Some(Expired::FinWait2));
}

#[test]
fn must_24_and_must_25_keepalive_is_off_until_it_is_switched_on() {
    assert_eq!(lifetime().deadline(&options(), false), None);
    assert_eq!(lifetime().deadline(&keepalive(), false), Some(at(10)));
}

#[test]
fn must_28_the_first_probe_leaves_after_two_hours_by_default() {
    let mut options = options();
    options.keepalive = true;
    let (probes, end, _) = probed_at(&options);
    assert_eq!((probes[0], probes[1] - probes[0], probes.len()), (7200, 75, 9));
    assert_eq!(end, 7200 + 9 * 75);
}

#[test]
fn must_27_the_times_of_keepalive_are_the_users_and_must_29_one_probe_is_not_the_end() {
    assert_eq!(probed_at(&keepalive()), (vec![10, 15, 20], 25, Expired::NoSignOfLife));
}

#[test]
fn the_user_timeout_takes_the_place_of_the_count() {
    for (timeout, probes, end) in
        [(1, vec![10], 15), (12, vec![10], 15), (21, vec![10, 15, 20], 25)]
    {
        let mut options = keepalive();
        options.user_timeout = Some(Duration::from_secs(timeout));
        assert_eq!(probed_at(&options), (probes, end, Expired::NoSignOfLife), "{timeout}");
    }
}

#[test]
fn must_26_a_busy_connection_is_not_probed_and_traffic_starts_the_wait_anew() {
    let (mut lifetime, options) = (lifetime(), keepalive());
    assert_eq!(lifetime.deadline(&options, true), None);
    assert_eq!(lifetime.on_timeout(at(100), &options, true), None);
    assert!(!lifetime.is_probe_due());
    lifetime.on_probed(at(10));
    lifetime.on_heard(at(11));
    assert_eq!(lifetime.deadline(&options, false), Some(at(21)));
    assert_eq!(lifetime.probes(), 0);
}

#[test]
fn shld_9_and_10_the_third_retransmission_tells_that_the_peer_is_silent() {
    let mut lifetime = lifetime();
    let told: Vec<_> = (0..5).map(|_| lifetime.on_retransmission()).collect();
    assert_eq!(told, [false, false, true, false, false]);
    lifetime.on_progress(at(1));
    assert_eq!(lifetime.retransmits(), 0);
}
