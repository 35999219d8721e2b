//! What bench/README.md says every contender is told, and which HTTP server to be.

use std::net::Ipv4Addr;

/// What the words of the command say.
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
pub enum Http {
    /// No library.
    Plain,
    Hyper,
}

/// How discard and source move octets.
pub enum Bulk {
    /// By `read_bytes` and `write_all_bytes`.
    Reference,
    /// By `AsyncRead` and `AsyncWrite`, which copy.
    Copy,
}

impl Args {
    /// Reads them, and panics if one cannot be.
    pub fn read() -> Self {
        let mut args = Self {
            tun: "tb0".into(),
            addr: Ipv4Addr::new(198, 18, 0, 2),
            prefix: 24,
            mtu: 1500,
            http: Http::Plain,
            bulk: Bulk::Reference,
            busy_poll: 0,
        };
        let words: Vec<String> = std::env::args().skip(1).collect();
        for word in words.chunks(2) {
            let [key, value] = word else { panic!("{word:?} has no value") };
            match key.as_str() {
                "--tun" => args.tun.clone_from(value),
                "--addr" => args.addr = value.parse().expect("--addr IP"),
                "--prefix" => args.prefix = value.parse().expect("--prefix N"),
                "--mtu" => args.mtu = value.parse().expect("--mtu N"),
                "--busy-poll" => args.busy_poll = value.parse().expect("--busy-poll MICROSECONDS"),
                "--http" if value == "plain" => args.http = Http::Plain,
                "--http" if value == "hyper" => args.http = Http::Hyper,
                "--bulk" if value == "copy" => args.bulk = Bulk::Copy,
                "--peer" => {} // The device has it.
                _ => panic!("unknown argument {key} {value}"),
            }
        }
        args
    }
}
