//! `wharf get`: a client for HTTP and WebSocket.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;

use super::Failure;
use super::device::{CLOSE_TIMEOUT, DeviceArgs};
use super::signals::Signals;
use crate::Net;
use crate::app::http_client;
use crate::tokio::{Connector, TcpStream};

#[derive(Debug, clap::Args)]
pub(super) struct Get {
    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// What to fetch: `http://ADDRESS[:PORT]/PATH`, or `ws://…` with `--ws-message`
    url: Uri,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "ws_message")]
    output: Option<PathBuf>,

    /// Send TEXT as a message over a WebSocket and print the answer
    #[arg(long, value_name = "TEXT")]
    ws_message: Option<String>,
}

impl Get {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let addr = self.check()?;
        // Before privileges go: afterwards root can write only what is its own.
        let output = self.open_output()?;
        self.device.run(CLOSE_TIMEOUT, async move |net| {
            let signals = Signals::new()?;
            match &self.ws_message {
                Some(text) => signals.or(&net, self.ask(&net, addr, text)).await,
                None => signals.or(&net, self.fetch(&net, output)).await,
            }
        })
    }

    /// Where the URL points; refuses what cannot be, before anything is opened.
    pub(super) fn check(&self) -> Result<SocketAddr, Failure> {
        self.device.config()?;
        let url = &self.url;
        let is_message = self.ws_message.is_some();
        match url.scheme_str() {
            Some("http") => {}
            Some("ws") if is_message => {}
            Some("ws") => {
                return Err(Failure::usage(format_args!(
                    "{url} is a WebSocket's: say what to send with --ws-message"
                )));
            }
            Some(_) | None => {
                return Err(Failure::usage(format_args!(
                    "{url} is no URL that begins with http://"
                )));
            }
        }
        let authority = url.authority().map_or("", Authority::as_str);
        let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let addr: Ipv4Addr = host.parse().map_err(|_| {
            Failure::usage(format_args!(
                "the host {host:?} must be an IPv4 address: names are not looked up"
            ))
        })?;
        let port: NonZeroU16 =
            port.parse().map_err(|_| Failure::usage(format_args!("{port:?} is no port")))?;
        Ok((addr, port.get()).into())
    }

    /// Without touching what is in the file: that is for later, when there is something instead.
    fn open_output(&self) -> Result<Option<Output>, Failure> {
        let Some(path) = &self.output else {
            return Ok(None);
        };
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let opened = match made {
            Ok(file) => Ok(Output::new(file, Some(path.clone()))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let existing = OpenOptions::new().write(true).open(path);
                existing.map(|file| Output::new(file, None))
            }
            Err(error) => Err(error),
        };
        opened.map(Some).map_err(|error| {
            let path = path.display();
            Failure::runtime(format_args!("cannot write {path}: {error}"))
        })
    }

    async fn fetch(&self, net: &Net, output: Option<Output>) -> Result<(), Failure> {
        let response = http_client::get(Connector::new(net), self.url.clone())
            .await
            .map_err(|error| self.failure(&error))?;
        let saved = match output {
            Some(output) => {
                let file = output.begin().map_err(|error| self.failure(&error))?;
                let mut file = tokio::fs::File::from_std(file);
                http_client::save(response, &mut file).await
            }
            None => http_client::save(response, &mut tokio::io::stdout()).await,
        };
        saved.map(drop).map_err(|error| self.failure(&error))
    }

    async fn ask(&self, net: &Net, addr: SocketAddr, text: &str) -> Result<(), Failure> {
        let stream = TcpStream::connect(net, addr).await.map_err(|error| self.failure(&error))?;
        let mut answer = http_client::ask(stream, &websocket_url(&self.url), text)
            .await
            .map_err(|error| self.failure(&error))?;
        answer.push(b'\n');
        let mut output = io::stdout().lock();
        output
            .write_all(&answer)
            .and_then(|()| output.flush())
            .map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &dyn std::fmt::Display) -> Failure {
        let url = &self.url;
        Failure::runtime(format_args!("{url}: {error}"))
    }
}

/// A WebSocket begins as a request, and its client wants the scheme that says so.
fn websocket_url(url: &Uri) -> String {
    let url = url.to_string();
    url.strip_prefix("http://").map_or_else(|| url.clone(), |rest| format!("ws://{rest}"))
}

/// The file to write to. One that we made goes again if there is nothing to write.
struct Output {
    file: Option<File>,
    made: Option<PathBuf>,
}

impl Output {
    fn new(file: File, made: Option<PathBuf>) -> Self {
        let file = Some(file);
        Self { file, made }
    }

    /// Empties the file, whose content is about to come.
    fn begin(mut self) -> io::Result<File> {
        let file = self.file.take().expect("it begins once, being consumed");
        // A device or a pipe has no length, and needs none.
        if file.metadata()?.is_file() {
            file.set_len(0)?;
        }
        self.made = None;
        Ok(file)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            // Whoever may make a file but not remove it keeps an empty one.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scheme_of_a_url_becomes_that_of_a_websocket() {
        for (url, expected) in [
            ("http://10.7.1.1/ws?of=http://10.7.1.1/", "ws://10.7.1.1/ws?of=http://10.7.1.1/"),
            ("ws://10.7.1.1/ws?of=http://10.7.1.1/", "ws://10.7.1.1/ws?of=http://10.7.1.1/"),
        ] {
            assert_eq!(websocket_url(&url.parse().unwrap()), expected);
        }
    }
}
