//! What each path answers.

use std::process::Stdio;

use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::world::{World, within};

#[tokio::test]
async fn hello_is_13_octets_of_plain_text() {
    let answer = World::with_site().await.get("/hello").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.body(), b"Hello, World!");
    assert_eq!(answer.header("content-length"), Some("13"));
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
}

#[tokio::test]
async fn bytes_are_counted_modulo_251() {
    let world = World::with_site().await;
    for len in [0, 1, 250, 251, 252, 65_511, 65_512, 1_000_000] {
        let answer = world.get(&format!("/bytes/{len}")).await;
        assert_eq!(answer.header("content-length"), Some(&*len.to_string()));
        assert_eq!(answer.body().len(), len);
        let is_right = |(index, &octet): (usize, &u8)| usize::from(octet) == index % 251;
        assert!(answer.body().iter().enumerate().all(is_right), "{len}");
    }
}

#[tokio::test]
async fn more_than_a_tebibyte_and_what_is_no_number_are_bad_requests() {
    let world = World::with_site().await;
    for len in ["1099511627777", "18446744073709551616", "-1", "+5", "x", "1.5", "%ff"] {
        assert_eq!(world.get(&format!("/bytes/{len}")).await.status(), 400, "{len}");
    }
}

#[tokio::test]
async fn head_tells_the_length_and_sends_nothing() {
    let request = "HEAD /bytes/1099511627776 HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n";
    let answer = World::with_site().await.exchange(request).await;
    assert_eq!(answer.header("content-length"), Some("1099511627776"));
    assert_eq!(answer.body(), b"");
}

#[tokio::test]
async fn sink_answers_count_and_hash() {
    let world = World::with_site().await;
    let request =
        "POST /sink HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    let answer = world.exchange(request).await;
    // FIPS 180-4's own example.
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let expected = format!("{{\"octets\":3,\"sha256\":\"{sha256}\"}}");
    assert_eq!(answer.text(), expected);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// A request on a connection of its own, by a client that is not ours.
async fn request<B>(world: &World, method: Method, path: &str, body: B) -> (StatusCode, Bytes)
where
    B: hyper::body::Body<Data = Bytes, Error = std::io::Error> + Send + Unpin + 'static,
{
    let stream = TokioIo::new(world.connect(80).await);
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "wharf")
        .body(body)
        .unwrap();
    let response = within(sender.send_request(request)).await.unwrap();
    let status = response.status();
    let body = within(response.into_body().collect()).await.unwrap();
    (status, body.to_bytes())
}

/// A chunked body of `frames`.
fn chunked(
    frames: Vec<Bytes>,
) -> impl hyper::body::Body<Data = Bytes, Error = std::io::Error> + Unpin {
    let frames = frames.into_iter().map(|data| Ok(Frame::data(data)));
    StreamBody::new(futures_util::stream::iter(frames))
}

fn frames() -> Vec<Bytes> {
    (0..160_u32).map(|index| (0..index * 251).map(|octet| (octet % 255) as u8).collect()).collect()
}

#[tokio::test]
async fn sink_and_echo_take_a_chunked_body_of_any_length() {
    let world = World::with_site().await;
    let whole = frames().concat();
    assert!(whole.len() > 3_000_000);

    let (status, body) = request(&world, Method::POST, "/sink", chunked(frames())).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["octets"], whole.len());
    let hex = answer["sha256"].as_str().unwrap();
    let digits = hex.as_bytes().chunks(2).map(|two| str::from_utf8(two).unwrap());
    let octets: Vec<_> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    assert_eq!(octets, Sha256::digest(&whole)[..]);

    let (status, body) = request(&world, Method::POST, "/echo", chunked(frames())).await;
    assert_eq!(status, 200);
    assert!(body == whole);
}

#[tokio::test]
async fn echo_answers_while_the_request_is_still_being_sent() {
    let world = World::with_site().await;
    let mut stream = world.connect(80).await;
    let head = "POST /echo HTTP/1.1\r\nHost: w\r\nContent-Length: 10\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    for part in [&b"first"[..], &b"later"[..]] {
        stream.write_all(part).await.unwrap();
        while !received.ends_with(part) {
            assert_ne!(within(stream.read_buf(&mut received)).await.unwrap(), 0);
        }
    }
    let text = String::from_utf8(received).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nfirstlater"), "{text}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let world = World::with_site().await;
    let mut stream = world.connect(80).await;
    let head =
        "POST /sink HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    within(stream.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.unwrap();
    let mut rest = [0; 15];
    within(stream.read_exact(&mut rest)).await.unwrap();
    assert_eq!(&rest, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn one_connection_answers_500_requests_in_order() {
    let world = World::with_site().await;
    let stream = TokioIo::new(world.connect(80).await);
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for len in 0..500 {
        let request = Request::get(format!("/bytes/{len}"))
            .header(header::HOST, "wharf")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        let body = within(response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes().len(), len);
        within(sender.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::with_site().await;
    let mut requests = "GET /bytes/3 HTTP/1.1\r\nHost: w\r\n\r\n".repeat(20);
    requests.push_str("GET /hello HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
    let answer = world.exchange(requests).await;
    let count = |what: &[u8]| answer.0.windows(what.len()).filter(|&it| it == what).count();
    assert_eq!(count(b"\r\n\r\n\x00\x01\x02"), 20);
    assert_eq!(count(b"\r\n\r\nHello, World!"), 1);
    assert!(answer.0.ends_with(b"Hello, World!"));
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_all_answered() {
    let world = World::with_site().await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let world = world.clone();
        clients.spawn(async move { world.get("/hello").await.text().to_owned() });
    }
    for text in clients.join_all().await {
        assert_eq!(text, "Hello, World!");
    }
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let answer = World::with_site().await.get("/").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    let page = answer.text();
    assert!(page.starts_with("<!doctype html>"));
    for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    for path in ["/api/stats", "/api/connections", "/ws/chat"] {
        assert!(page.contains(path), "{path}");
    }
}

/// Shows the page what it would get of a server with so many connections; prints what stands above
/// the table, and how many rows that has.
const SHOW: &str = r#"
    const page = require("fs").readFileSync(0, "utf8");
    const script = page.match(/<script>([^]*)<\/script>/)[1];
    const element = () => ({ append() {}, replaceChildren(...rows) { this.rows = rows.length; } });
    const found = {};
    const stubs = {
      document: { hidden: true, getElementById: id => found[id] ??= element(),
                  createElement: element, querySelector: element },
      location: { protocol: "http:", host: "10.7.0.2" }, WebSocket: class {}, setTimeout() {},
    };
    const one = { local: "10.7.0.2:80", remote: "10.7.0.1:40", state: "SYN-RECEIVED", info: null };
    for (const total of [3, 200, 234, 1234567]) {
      const connections = Array(Math.min(total, 200)).fill(one);
      require("vm").runInNewContext(script + ";showConnections(got)",
                                    { ...stubs, got: { total, connections } });
      console.log(found.shown.textContent, "|", found.connections.rows);
    }
"#;

#[tokio::test]
async fn the_page_says_how_many_connections_it_does_not_show() {
    let mut command = Command::new("node");
    command.args(["-e", SHOW]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut node) = command.spawn() else {
        println!("skip the_page_says_how_many_connections (node is missing)");
        return;
    };
    let page = World::with_site().await.get("/").await;
    let mut input = node.stdin.take().unwrap();
    input.write_all(page.body()).await.unwrap();
    drop(input);
    let output = within(node.wait_with_output()).await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let expected = [
        "· 3 | 3",
        "· 200 | 200",
        "· 234, of which 34 are not shown | 200",
        "· 1,234,567, of which 1,234,367 are not shown | 200",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn metrics_are_prometheus_text_with_help_and_type_for_each_name() {
    let answer = World::with_site().await.get("/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let (comments, samples): (Vec<_>, Vec<_>) =
        answer.text().lines().partition(|line| line.starts_with('#'));
    for sample in &samples {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let name = series.split('{').next().unwrap();
        for kind in ["HELP", "TYPE"] {
            let comment = format!("# {kind} {name} ");
            assert!(comments.iter().any(|it| it.starts_with(&comment)), "{comment}");
        }
    }
    for name in [
        "wharf_packets_received_total ",
        "wharf_tcp_connections{state=\"ESTABLISHED\"} 1",
        "wharf_tcp_connections{state=\"TIME-WAIT\"} 0",
        "wharf_tcp_orphans 0",
        "wharf_tcp_buffered_octets ",
        "wharf_chat_clients ",
        "wharf_uptime_seconds ",
    ] {
        assert!(samples.iter().any(|it| it.starts_with(name)), "{name}");
    }
}

#[tokio::test]
async fn the_api_shows_counters_and_connections() {
    let world = World::with_site().await;
    let stats = world.get("/api/stats").await.json();
    assert_eq!(stats["chat_clients"], 0);
    assert!(stats["counters"]["packets_received_total"].is_u64());
    assert_eq!(stats["connections"]["ESTABLISHED"], 1, "this one");
    assert!(stats["tcp_buffered_octets"].is_u64());
    let connections = world.get("/api/connections").await.json();
    let shown = connections["connections"].as_array().unwrap();
    assert_eq!(connections["total"], shown.len());
}

#[tokio::test]
async fn a_body_that_fits_is_read_where_none_is_needed() {
    let world = World::with_site().await;
    let body = Full::new(Bytes::from(vec![7; 65_536])).map_err(|never| match never {});
    let (status, answer) = request(&world, Method::GET, "/hello", body).await;
    assert_eq!((status, &answer[..]), (StatusCode::OK, &b"Hello, World!"[..]));
}
