//! The socket options of a packet script: `set NAME VALUE`, by the names of [`SocketOptions`].

use std::fmt::Display;
use std::str::FromStr;

use super::statement::parse_seconds;
use crate::options::SocketOptions;
use crate::time::Duration;

/// Changes one option. A time is in seconds; `off` is no value, where there may be none.
pub(super) fn change(options: &mut SocketOptions, name: &str, value: &str) -> Result<(), String> {
    match name {
        "tos" => options.tos = read(value)?,
        "ttl" => options.ttl = read(value)?,
        "reuse" => options.reuse_address = switch(value)?,
        "any_destination" => options.any_destination = switch(value)?,
        "receive_errors" => options.receive_errors = switch(value)?,
        "nodelay" => options.nodelay = switch(value)?,
        "linger" => options.linger = maybe(value, seconds)?,
        "receive_buffer" => options.receive_buffer = read(value)?,
        "send_buffer" => options.send_buffer = read(value)?,
        "oob_inline" => options.oob_inline = switch(value)?,
        "keepalive" => options.keepalive = switch(value)?,
        "keepalive_idle" => options.keepalive_idle = seconds(value)?,
        "keepalive_interval" => options.keepalive_interval = seconds(value)?,
        "keepalive_count" => options.keepalive_count = read(value)?,
        "user_timeout" => options.user_timeout = maybe(value, seconds)?,
        "syn_count" => options.syn_count = maybe(value, read)?,
        "linger2" => options.linger2 = seconds(value)?,
        "reuse_port" => options.reuse_port = switch(value)?,
        "local_port_range" => options.local_port_range = maybe(value, range)?,
        "defer_accept" => options.defer_accept = maybe(value, seconds)?,
        "cork" => options.cork = switch(value)?,
        "quick_ack" => options.quick_ack = switch(value)?,
        "notsent_lowat" => options.notsent_lowat = maybe(value, read)?,
        "max_segment" => options.max_segment = maybe(value, read)?,
        _ => return Err(format!("`{name}` is no option")),
    }
    Ok(())
}

fn read<T: FromStr<Err: Display>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("`{value}`: {error}"))
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" | "1" => Ok(true),
        "off" | "0" => Ok(false),
        _ => Err(format!("`{value}` is neither `on` nor `off`")),
    }
}

fn seconds(value: &str) -> Result<Duration, String> {
    parse_seconds(value).ok_or_else(|| format!("`{value}` is no time in seconds"))
}

/// `FIRST-LAST`.
fn range(value: &str) -> Result<(u16, u16), String> {
    let (first, last) = value.split_once('-').ok_or(format!("`{value}` is no range"))?;
    Ok((read(first)?, read(last)?))
}

fn maybe<T>(
    value: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value == "off" { Ok(None) } else { read(value).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_set_by_its_name_and_an_unknown_one_is_refused() {
        let mut options = SocketOptions::default();
        for (name, value) in [
            ("keepalive", "on"),
            ("keepalive_idle", "10.5"),
            ("user_timeout", "3"),
            ("syn_count", "off"),
        ] {
            assert_eq!(change(&mut options, name, value), Ok(()), "{name} {value}");
        }
        assert!(options.keepalive && options.syn_count.is_none());
        assert_eq!(options.keepalive_idle, Duration::from_millis(10_500));
        assert_eq!(options.user_timeout, Some(Duration::from_secs(3)));
        for (name, value) in [("keepalive", "perhaps"), ("ttl", "256"), ("linger", "x"), ("x", "1")]
        {
            assert!(change(&mut options, name, value).is_err(), "{name} {value}");
        }
    }
}
