//! Two machines with a cable between them: the server's and the clients'.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::app::http::{Site, router};
use wharf::app::server::serve_http;
use wharf::app::stop::Stop;
use wharf::tokio::{Connector, TcpListener, TcpStream, UdpSocket};
use wharf::{Capabilities, Device, Frame, Instant, Link, Net, Outgoing, StackConfig};

/// More time than any test needs; one that hangs fails by it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

/// Both machines; clones are the same two.
#[derive(Clone)]
pub(crate) struct World {
    /// Stops what the server serves.
    pub(crate) stop: Stop,
    server: Net,
    client: Net,
    /// What both have sent.
    pub(crate) tap: Tap,
}

/// Counts the TCP segments that leave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap {
    segments: Arc<AtomicU64>,
    urgent: Arc<AtomicU64>,
    marked: Arc<AtomicU64>,
}

impl Tap {
    /// All segments, and those of them with the URG bit.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.segments.load(Ordering::Relaxed), self.urgent.load(Ordering::Relaxed))
    }

    /// Segments whose TOS is not the default.
    pub(crate) fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    fn see(&self, packet: &[u8]) {
        let header_len = usize::from(packet[0] & 15) * 4;
        if packet[9] == 6 {
            self.segments.fetch_add(1, Ordering::Relaxed);
            let is_urgent = packet[header_len + 13] & 0x20 != 0;
            self.urgent.fetch_add(is_urgent.into(), Ordering::Relaxed);
            self.marked.fetch_add((packet[1] != 0).into(), Ordering::Relaxed);
        }
    }
}

/// An end of the cable, with the tap on it.
struct Tapped {
    end: Link,
    tap: Tap,
}

impl Device for Tapped {
    fn capabilities(&self) -> Capabilities {
        self.end.capabilities()
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        self.end.receive_burst(now, into, max)
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        for packet in packets.iter() {
            self.tap.see(packet.to_frame().octets());
        }
        self.end.transmit_burst(now, packets)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.end.fd()
    }
}

impl World {
    /// A world whose server serves nothing yet.
    pub(crate) fn new() -> Self {
        let (ours, theirs) = Link::queues(1500, super::SHARDS, 1);
        let tap = Tap::default();
        let [ours, theirs] = [ours, theirs].map(|queues| {
            let tapped = queues.into_iter().map(|end| Tapped { end, tap: tap.clone() });
            tapped.collect::<Vec<_>>()
        });
        let config = |addr| StackConfig::new(format!("{addr}/24").parse().unwrap());
        // One driver of each kind; the server's is that of `wharf serve`.
        let (server, drivers) = Net::drivers(ours, config(SERVER)).unwrap();
        for driver in drivers {
            tokio::spawn(driver);
        }
        let client = Net::start_queues(theirs, config(CLIENT)).unwrap();
        Self { stop: Stop::new(), server, client, tap }
    }

    /// A world whose server serves the site on port 80.
    pub(crate) async fn with_site() -> Self {
        let world = Self::new();
        let listener = world.listen(80).await;
        let site = Site::new(Arc::new(world.server.clone()), world.stop.clone());
        let stop = world.stop.clone();
        tokio::spawn(async move { serve_http(listener, router(site), &stop).await });
        world
    }

    /// Listens on the server.
    pub(crate) async fn listen(&self, port: u16) -> TcpListener {
        TcpListener::bind(&self.server, (SERVER, port)).await.unwrap()
    }

    /// Connects a client to the server.
    pub(crate) async fn try_connect(&self, port: u16) -> io::Result<TcpStream> {
        TcpStream::connect(&self.client, SocketAddr::from((SERVER, port))).await
    }

    /// Connects a client to the server.
    pub(crate) async fn connect(&self, port: u16) -> TcpStream {
        self.try_connect(port).await.unwrap()
    }

    pub(crate) async fn bind_server(&self, port: u16) -> UdpSocket {
        UdpSocket::bind(&self.server, (SERVER, port)).await.unwrap()
    }

    pub(crate) async fn bind_client(&self, port: u16) -> UdpSocket {
        UdpSocket::bind(&self.client, (CLIENT, port)).await.unwrap()
    }

    /// Where a client finds `path` on the server.
    pub(crate) fn url(path: &str) -> Uri {
        format!("http://{SERVER}{path}").parse().unwrap()
    }

    /// What hyper's client connects with.
    pub(crate) fn connector(&self) -> Connector {
        Connector::new(&self.client)
    }

    /// Sends `request` to port 80 and reads until the server closes, which must be clean.
    pub(crate) async fn exchange(&self, request: impl AsRef<[u8]>) -> Answer {
        let stream = self.connect(80).await;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = async {
            // A server may close before it has read a request that it refuses.
            let _ = writer.write_all(request.as_ref()).await;
        };
        let mut octets = Vec::new();
        let reading = reader.read_to_end(&mut octets);
        let ((), outcome) = within(async { tokio::join!(writing, reading) }).await;
        outcome.expect("the connection ends cleanly");
        Answer(octets)
    }

    /// `GET path` on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: wharf\r\nConnection: close\r\n\r\n");
        self.exchange(request).await
    }
}

/// `future`, which must end before our patience does.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Everything that a server sent on one connection.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) Vec<u8>);

impl Answer {
    fn split(&self) -> (&str, &[u8]) {
        let end = self.0.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", self.0));
        (str::from_utf8(&self.0[..end]).unwrap(), &self.0[end + 4..])
    }

    /// The status of the first response.
    pub(crate) fn status(&self) -> u16 {
        let head = self.split().0;
        head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// A header field of the first response.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.split().0.lines().skip(1);
        fields
            .filter_map(|field| field.split_once(": "))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// What follows the first head.
    pub(crate) fn body(&self) -> &[u8] {
        self.split().1
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(self.body()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.body()).unwrap()
    }
}
