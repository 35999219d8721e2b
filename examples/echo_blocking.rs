//! An echo server (RFC 862) with blocking sockets, as one would write it with `std::net`: a
//! thread for each connection.
//!
//! It makes the device `tun0`, for which it needs to be root:
//!
//! ```text
//! cargo run --example echo_blocking
//! nc 10.7.0.2 7
//! ```

use std::error::Error;
use std::io;
use std::thread;

use wharf::net::{TcpListener, TcpStream};
use wharf::{Net, StackConfig, Tun, TunConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut tun = TunConfig::new("tun0");
    tun.host_address = Some("10.7.0.1/24".parse()?);
    let config = StackConfig::new("10.7.0.2/24".parse()?);
    let net = Net::start(Tun::open(&tun)?, config)?;

    let listener = TcpListener::bind(&net, "0.0.0.0:7")?;
    println!("listening at 10.7.0.2:7");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || {
            if let Err(error) = echo(&stream) {
                eprintln!("a connection failed: {error}");
            }
        })?;
    }
    Ok(())
}

/// Sends everything back until the peer closes; dropping the stream then closes our side.
fn echo(mut stream: &TcpStream) -> io::Result<u64> {
    println!("{} is here", stream.peer_addr()?);
    let mut reader = stream;
    io::copy(&mut reader, &mut stream)
}
