//! An echo server (RFC 862) with tokio: the stack and all connections are tasks of one thread.
//!
//! It makes the device `tun0`, for which it needs to be root:
//!
//! ```text
//! cargo run --example echo_tokio
//! nc 10.7.0.2 7
//! ```

use std::error::Error;
use std::time::Duration;

use tokio::io;
use tokio::signal::ctrl_c;
use wharf::tokio::{TcpListener, TcpStream};
use wharf::{Net, StackConfig, Tun, TunConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut tun = TunConfig::new("tun0");
    tun.host_address = Some("10.7.0.1/24".parse()?);
    let config = StackConfig::new("10.7.0.2/24".parse()?);
    let (net, driver) = Net::driver(Tun::open(&tun)?, config)?;
    let driver = tokio::spawn(driver);

    let listener = TcpListener::bind(&net, "0.0.0.0:7").await?;
    println!("listening at 10.7.0.2:7");
    tokio::select! {
        result = serve(&listener) => result?,
        result = driver => result??, // The device is gone.
        result = ctrl_c() => {
            result?;
            println!("closing");
            net.shutdown_async(Duration::from_secs(5)).await?;
        }
    }
    Ok(())
}

/// Accepts for ever, with a task for each connection.
async fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept().await?;
        println!("{peer} is here");
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Sends everything back until the peer closes; dropping the stream then closes our side.
async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let (mut reader, mut writer) = stream.split();
    io::copy(&mut reader, &mut writer).await
}
