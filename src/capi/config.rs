//! `struct wharf_cfg` and its flags: what is not known is refused, never ignored.

use super::abi::{FAMILY_NONE, WharfCfg};
use crate::config::StackConfig;
use crate::rng::{Rng, Seed};
use crate::tcp::TcpConfig;
use crate::time::Duration;
use crate::wire::Ipv4Cidr;

/// The algorithms of congestion control that are built, by Linux's names.
pub(super) const CONGESTION: &[&str] = &["reno"];

/// The configuration that C asks for, or `None` where it asks for what there is not.
pub(super) fn read(cfg: &WharfCfg, flags: &[u8]) -> Option<(StackConfig, Seed)> {
    if cfg.local6.family != FAMILY_NONE {
        return None; // IPv6 is not built.
    }
    // Everything else is reached through the interface: no network is nearer than another.
    let mut config = StackConfig::new(Ipv4Cidr::new(cfg.local4.ipv4()?, 32).ok()?);
    if cfg.mtu != 0 {
        config.interface.mtu = cfg.mtu;
    }
    if cfg.rcvbuf != 0 {
        config.tcp.receive_buffer = cfg.rcvbuf;
    }
    if cfg.sndbuf != 0 {
        config.tcp.send_buffer = cfg.sndbuf;
    }
    let flags = std::str::from_utf8(flags).ok()?;
    if !flags.is_empty() {
        flags.split(',').try_for_each(|flag| set(&mut config.tcp, flag))?;
    }
    // The 64 bits become the 256 that a stack wants, each of which depends on all of them.
    let seed = Rng::new(&Seed::from_number(cfg.seed)).seed();
    Some((config, seed))
}

/// Applies one flag, `name=value`.
fn set(tcp: &mut TcpConfig, flag: &str) -> Option<()> {
    let (name, value) = flag.split_once('=')?;
    match name {
        "congestion" if CONGESTION.contains(&value) => {}
        "wscale" => tcp.window_scale = switch(value)?,
        "sack" => tcp.sack = switch(value)?,
        "timestamps" => tcp.timestamps = switch(value)?,
        // Not built: they are off, and cannot be switched on.
        "ecn" | "pacing" if !switch(value)? => {}
        "iw" => tcp.initial_window = number(value)?,
        "min_rto_ms" => tcp.min_rto = milliseconds(value)?,
        "delack_ms" => tcp.ack_delay = milliseconds(value)?,
        _ => return None,
    }
    Some(())
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Decimal digits and nothing else.
fn number(value: &str) -> Option<u32> {
    value.bytes().all(|octet| octet.is_ascii_digit()).then(|| value.parse().ok())?
}

fn milliseconds(value: &str) -> Option<Duration> {
    number(value).map(|number| Duration::from_millis(number.into()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::capi::abi::WharfAddr;

    fn cfg() -> WharfCfg {
        let none = WharfAddr { family: 0, ip: [0; 16], port: 0 };
        let local4 = SocketAddr::from(([10, 7, 0, 2], 0)).into();
        let flags = std::ptr::null();
        WharfCfg { mtu: 0, rcvbuf: 0, sndbuf: 0, seed: 1, local4, local6: none, flags }
    }

    fn tcp(flags: &str) -> Option<TcpConfig> {
        read(&cfg(), flags.as_bytes()).map(|(config, _)| config.tcp)
    }

    #[test]
    fn a_flag_is_a_known_name_and_a_value_in_its_range_and_nothing_else() {
        for good in [
            "",
            "congestion=reno",
            "sack=0",
            "sack=1",
            "timestamps=0",
            "timestamps=1",
            "ecn=0",
            "pacing=0",
            "wscale=0",
            "wscale=1",
            "iw=1",
            "min_rto_ms=1",
            "delack_ms=499",
            "wscale=0,iw=3,delack_ms=10",
        ] {
            assert!(tcp(good).is_some(), "{good}");
        }
        for bad in [
            ",",
            "iw",
            "iw=",
            "=1",
            "iw=1,",
            ",iw=1",
            "iw=+1",
            "iw=-1",
            "iw= 1",
            "iw=1x",
            "IW=1",
            "iw=4294967296",
            "wscale=2",
            "wscale=on",
            "ecn=1",
            "pacing=1",
            "congestion=cubic",
            "congestion=bbr",
            "congestion=",
            "colour=red",
            "iw=1;wscale=0",
        ] {
            assert!(tcp(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_a_flag_says_is_what_tcp_is_told() {
        let told = tcp("wscale=0,iw=3,delack_ms=7,min_rto_ms=9,sack=0,timestamps=1").unwrap();
        assert_eq!(
            (told.window_scale, told.initial_window, told.ack_delay),
            (false, 3, Duration::from_millis(7))
        );
        assert_eq!(
            (told.sack, told.timestamps, told.min_rto),
            (false, true, Duration::from_millis(9))
        );
    }

    #[test]
    fn no_address_and_an_ipv6_address_are_refused() {
        let mut without = cfg();
        without.local4.family = 0;
        assert!(read(&without, b"").is_none());
        let mut with_ipv6 = cfg();
        with_ipv6.local6.family = 6;
        assert!(read(&with_ipv6, b"").is_none());
        assert!(read(&cfg(), b"iw=\xff").is_none());
    }

    #[test]
    fn seeds_that_differ_in_one_bit_have_nothing_in_common() {
        let seed = |number| read(&WharfCfg { seed: number, ..cfg() }, b"").unwrap().1;
        assert!(seed(0) == seed(0) && seed(0) != seed(1) && seed(0) != seed(1 << 63));
    }
}
