//! `wharf nc`: standard input and output as the two directions of a TCP connection.

use std::io::{IsTerminal as _, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Failure;
use super::device::{CLOSE_TIMEOUT, DeviceArgs};
use super::signals::Signals;
use crate::Net;
use crate::tokio::{OwnedReadHalf, OwnedWriteHalf, TcpListener, TcpStream};

/// Octets moved at a time.
const CHUNK: usize = 64 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Nc {
    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// Wait for one connection instead of opening one
    #[arg(short, long)]
    listen: bool,

    /// Address to connect to, or of ours to listen on
    host: Ipv4Addr,

    /// TCP port
    port: NonZeroU16,
}

impl Nc {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.device.run(CLOSE_TIMEOUT, async move |net| {
            let signals = Signals::new()?;
            signals.or(self.talk(&net)).await
        })
    }

    async fn talk(&self, net: &Net) -> Result<(), Failure> {
        let stream = self.open(net).await?;
        let (reader, writer) = stream.into_split();
        let sending = send(writer);
        let receiving = receive(reader);
        if stdin().is_terminal() {
            // When the peer has said all, nobody waits for a person to press Ctrl-D.
            let mut receiving = std::pin::pin!(receiving);
            return tokio::select! {
                outcome = receiving.as_mut() => outcome,
                outcome = sending => match outcome {
                    Ok(()) => receiving.await,
                    Err(failure) => Err(failure),
                },
            };
        }
        let (sent, received) = tokio::join!(sending, receiving);
        sent.and(received)
    }

    async fn open(&self, net: &Net) -> Result<TcpStream, Failure> {
        let addr = SocketAddr::from((self.host, self.port.get()));
        if !self.listen {
            return TcpStream::connect(net, addr).await.map_err(|error| {
                Failure::runtime(format_args!("cannot connect to {addr}: {error}"))
            });
        }
        let listener = TcpListener::bind(net, addr).await;
        let accepted = match listener {
            Ok(listener) => listener.accept().await,
            Err(error) => Err(error),
        };
        match accepted {
            Ok((stream, peer)) => {
                log::info!("{peer} has connected");
                Ok(stream)
            }
            Err(error) => Err(Failure::runtime(format_args!("cannot listen on {addr}: {error}"))),
        }
    }
}

/// Standard input to the peer; its end closes our side and leaves the peer's open.
async fn send(mut writer: OwnedWriteHalf) -> Result<(), Failure> {
    let mut input = tokio::io::stdin();
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = input.read(&mut chunk).await.map_err(|error| {
            Failure::runtime(format_args!("cannot read standard input: {error}"))
        })?;
        let outcome = match len {
            0 => writer.shutdown().await,
            _ => writer.write_all(&chunk[..len]).await,
        };
        outcome
            .map_err(|error| Failure::runtime(format_args!("the connection failed: {error}")))?;
        if len == 0 {
            return Ok(());
        }
    }
}

/// The peer to standard output, until the peer closes its side.
async fn receive(mut reader: OwnedReadHalf) -> Result<(), Failure> {
    let mut output = tokio::io::stdout();
    let mut chunk = vec![0; CHUNK];
    loop {
        let len = reader
            .read(&mut chunk)
            .await
            .map_err(|error| Failure::runtime(format_args!("the connection failed: {error}")))?;
        let outcome = match len {
            0 => output.flush().await,
            _ => match output.write_all(&chunk[..len]).await {
                // Each piece at once: somebody may be reading along.
                Ok(()) => output.flush().await,
                Err(error) => Err(error),
            },
        };
        outcome.map_err(|error| {
            Failure::runtime(format_args!("cannot write standard output: {error}"))
        })?;
        if len == 0 {
            return Ok(());
        }
    }
}
