//! An echo server (RFC 862) on a TUN that somebody else opened and set up, as a VPN program gets
//! one from its system: here the descriptor is standard input.
//!
//! It needs no privilege. Whoever starts it makes the device, without packet information, with
//! 10.7.0.1/24 as the kernel's address and an MTU of 1500; `tests/kernel/given_descriptor.py`
//! does that.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::thread;

use wharf::net::TcpListener;
use wharf::{Net, StackConfig, Tun};

fn main() -> Result<(), Box<dyn Error>> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
    let tun = Tun::from_fd(descriptor, 1500)?;
    let net = Net::start(tun, StackConfig::new("10.7.0.2/24".parse()?))?;

    let listener = TcpListener::bind(&net, "0.0.0.0:7")?;
    println!("listening at 10.7.0.2:7");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || io::copy(&mut &stream, &mut &stream))?;
    }
    Ok(())
}
