//! An axum server of one's own on wharf: the listener is the only line that differs from tokio's.
//!
//! Needs the right to make a TUN device; then `curl http://10.7.0.2/` answers.
//!
//! ```sh
//! sudo cargo run --example http_server
//! ```

use std::error::Error;

use axum::Router;
use axum::routing::get;
use wharf::tokio::TcpListener;
use wharf::{Net, StackConfig, Tun, TunConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = TunConfig::new("tun0");
    config.host_address = Some("10.7.0.1/24".parse()?);
    let device = Tun::open(&config)?;
    let net = Net::start(device, StackConfig::new("10.7.0.2/24".parse()?))?;

    let router = Router::new().route("/", get(async || "Hello from user space!\n"));
    let listener = TcpListener::bind(&net, "10.7.0.2:80").await?;
    println!("ready: curl http://10.7.0.2/");
    axum::serve(listener, router).await?;
    Ok(())
}
