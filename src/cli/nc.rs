//! `wharf nc`: standard input and output as the two directions of a TCP connection.

use std::io::{IsTerminal as _, stdin};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::pin::pin;

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
            signals.or(&net, self.talk(&net)).await
        })
    }

    async fn talk(&self, net: &Net) -> Result<(), Failure> {
        let stream = self.open(net).await?;
        let (reader, writer) = stream.into_split();
        both(send(writer), receive(reader), stdin().is_terminal()).await
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

/// Runs both directions. Of the peer nothing more comes once receiving has failed, and standard
/// input may never end; so nobody waits for it then. Nor is a person waited for to press Ctrl-D
/// when the peer has said all.
async fn both(
    sending: impl Future<Output = Result<(), Failure>>,
    receiving: impl Future<Output = Result<(), Failure>>,
    is_typed: bool,
) -> Result<(), Failure> {
    let (mut sending, mut receiving) = (pin!(sending), pin!(receiving));
    tokio::select! {
        received = &mut receiving => match received {
            Ok(()) if !is_typed => sending.await,
            received => received,
        },
        sent = &mut sending => match sent {
            Err(failure) if is_typed => Err(failure),
            // What the peer has said is worth having whatever has become of what we said.
            sent => sent.and(receiving.await),
        },
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    type Outcome = Result<(), Failure>;

    fn fails(why: &str) -> Outcome {
        Err(Failure::runtime(why))
    }

    /// Why it failed, `None` if it did not; an error if it never ends.
    async fn outcome(
        sending: impl Future<Output = Outcome>,
        receiving: impl Future<Output = Outcome>,
        is_typed: bool,
    ) -> Result<Option<String>, tokio::time::error::Elapsed> {
        let limit = Duration::from_mins(1);
        let outcome = timeout(limit, both(sending, receiving, is_typed)).await?;
        Ok(outcome.err().map(|failure| failure.sentence))
    }

    async fn after(seconds: u64, outcome: Outcome) -> Outcome {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        outcome
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_that_never_ends_keeps_nobody_whose_connection_or_output_is_gone() {
        for is_typed in [false, true] {
            let end = outcome(pending(), after(1, fails("gone")), is_typed).await;
            assert_eq!(end, Ok(Some("gone".to_owned())));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_is_sent_to_its_end_and_a_person_is_not_waited_for() {
        let end = outcome(after(9, fails("it was read")), ready(Ok(())), false).await;
        assert_eq!(end, Ok(Some("it was read".to_owned())));
        assert!(outcome(pending(), ready(Ok(())), false).await.is_err());
        assert_eq!(outcome(pending(), ready(Ok(())), true).await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_peer_says_is_received_to_its_end_though_it_takes_nothing_more() {
        let end = outcome(ready(fails("reset")), after(9, fails("broke off")), false).await;
        assert_eq!(end, Ok(Some("reset".to_owned())));
        assert!(outcome(ready(fails("reset")), pending(), false).await.is_err());
        assert!(outcome(ready(Ok(())), pending(), true).await.is_err());
        assert_eq!(outcome(ready(Ok(())), ready(Ok(())), false).await, Ok(None));
    }
}
