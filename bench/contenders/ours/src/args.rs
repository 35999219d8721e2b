//! What bench/README.md says every contender is told, and which HTTP server to be.

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;

const USAGE: &str = "\
usage: [--tun NAME] [--addr IP] [--prefix N] [--mtu N] [--busy-poll MICROSECONDS]
       [--http plain|hyper] [--bulk copy|reference] [--peer IP]";

/// What the words of the command say.
#[derive(Debug, PartialEq, Eq)]
pub struct Args {
    pub tun: String,
    pub addr: Ipv4Addr,
    pub prefix: u8,
    pub mtu: u32,
    pub http: Http,
    pub bulk: Bulk,
    /// Microseconds.
    pub busy_poll: u64,
}

/// Which HTTP server to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Http {
    /// No library.
    Plain,
    Hyper,
}

/// How discard and source move octets.
#[derive(Debug, PartialEq, Eq)]
pub enum Bulk {
    /// By `read_bytes` and `write_all_bytes`.
    Reference,
    /// By `AsyncRead` and `AsyncWrite`, which copy.
    Copy,
}

impl Args {
    /// Reads them. If one cannot be read, says which and what can be, and ends with 2.
    pub fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        Self::parse(&words).unwrap_or_else(|error| {
            eprintln!("{error}\n{USAGE}");
            std::process::exit(2);
        })
    }

    fn parse(words: &[String]) -> Result<Self, String> {
        let mut args = Self {
            tun: "tb0".into(),
            addr: Ipv4Addr::new(198, 18, 0, 2),
            prefix: 24,
            mtu: 1500,
            http: Http::Plain,
            bulk: Bulk::Reference,
            busy_poll: 0,
        };
        for word in words.chunks(2) {
            let [key, value] = word else { return Err(format!("{word:?} has no value")) };
            match key.as_str() {
                "--tun" => args.tun.clone_from(value),
                "--addr" => args.addr = number(key, value)?,
                "--prefix" => args.prefix = number(key, value)?,
                "--mtu" => args.mtu = number(key, value)?,
                "--busy-poll" => args.busy_poll = number(key, value)?,
                "--http" if value == "plain" => args.http = Http::Plain,
                "--http" if value == "hyper" => args.http = Http::Hyper,
                "--bulk" if value == "copy" => args.bulk = Bulk::Copy,
                "--bulk" if value == "reference" => args.bulk = Bulk::Reference,
                "--peer" => {} // The device has it.
                _ => return Err(format!("nobody knows {key} {value}")),
            }
        }
        Ok(args)
    }
}

/// A value of the kind that its place has.
fn number<T: FromStr<Err: Display>>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{key} {value}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, String> {
        let words: Vec<_> = line.split_whitespace().map(String::from).collect();
        Args::parse(&words)
    }

    #[test]
    fn words_are_read_in_pairs() {
        let args = parsed("--tun tb7 --addr 10.7.0.2 --mtu 9000 --bulk copy --peer x").unwrap();
        assert_eq!((args.tun.as_str(), args.mtu, args.bulk), ("tb7", 9000, Bulk::Copy));
        assert_eq!(args.addr, Ipv4Addr::new(10, 7, 0, 2));
    }

    #[test]
    fn what_nobody_knows_is_an_error_that_names_it() {
        for (line, named) in [
            ("--queues 2", "--queues 2"),
            ("--mtu", "--mtu"),
            ("--mtu large", "--mtu large"),
            ("--http axum", "--http axum"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
