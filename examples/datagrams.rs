//! A UDP server that sends many datagrams by one call. Each request says how many, and of how many
//! octets, as two decimal numbers; all octets of datagram n are n modulo 256.
//!
//! It makes the device `tun0`, for which it needs to be root. With `--no-offload` each datagram
//! crosses the device by itself; else all that are sent together cross it in one packet, where the
//! kernel can do that.
//!
//! ```text
//! cargo run --example datagrams
//! echo 40 1200 | nc -u -w 1 10.7.0.2 9000 | wc -c
//! ```

use std::error::Error;

use wharf::net::UdpSocket;
use wharf::{Net, StackConfig, Tun, TunConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut tun = TunConfig::new("tun0");
    tun.host_address = Some("10.7.0.1/24".parse()?);
    tun.offload = !std::env::args().any(|argument| argument == "--no-offload");
    let net = Net::start(Tun::open(&tun)?, StackConfig::new("10.7.0.2/24".parse()?))?;

    let socket = UdpSocket::bind(&net, "0.0.0.0:9000")?;
    println!("listening at 10.7.0.2:9000");
    let mut buffer = [0; 1500];
    loop {
        let (len, peer) = socket.recv_from(&mut buffer)?;
        let Some((count, size)) = numbers(&buffer[..len]) else { continue };
        let octets: Vec<u8> = (0..=u8::MAX)
            .cycle()
            .take(count)
            .flat_map(|number| std::iter::repeat_n(number, size))
            .collect();
        if let Err(error) = socket.send_segments_to(&octets, size, peer) {
            socket.send_to(error.to_string().as_bytes(), peer)?;
        }
    }
}

/// How many datagrams, and of how many octets; `None` for anything that is not that, or more than
/// one call could ever send.
fn numbers(request: &[u8]) -> Option<(usize, usize)> {
    let mut words = std::str::from_utf8(request).ok()?.split_whitespace();
    let (count, size) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (count <= 1000 && size <= 9000).then_some((count, size))
}
