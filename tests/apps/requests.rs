//! Requests that are refused: each with its status, and each with a clean end.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{World, within};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let world = World::with_site().await;
    for path in ["/nothing", "/hello/", "/bytes", "/bytes/1/2", "/ws", "/%2e%2e/etc/passwd"] {
        assert_eq!(world.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let world = World::with_site().await;
    for (method, path, allowed) in [
        ("POST", "/hello", "GET,HEAD"),
        ("DELETE", "/bytes/1", "GET,HEAD"),
        ("GET", "/sink", "POST"),
        ("PUT", "/echo", "POST"),
        ("POST", "/ws/echo", "GET,HEAD"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
        let answer = world.exchange(request).await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

/// The client sends all of it before it reads: what the server has not read by then must not
/// turn its answer into a reset.
#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_answer_arrives() {
    let world = World::with_site().await;
    let body = vec![b'x'; 1_000_000];
    let announced =
        format!("POST /hello HTTP/1.1\r\nHost: w\r\nContent-Length: {}\r\n\r\n", body.len());
    let chunked = "GET /nothing HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n";
    for head in [announced.as_str(), chunked] {
        let mut stream = world.connect(80).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        within(stream.write_all(&body)).await.unwrap();
        let mut octets = Vec::new();
        within(stream.read_to_end(&mut octets)).await.unwrap();
        assert!(octets.starts_with(b"HTTP/1.1 413 "), "{:?}", str::from_utf8(&octets));
    }
}

#[tokio::test]
async fn a_header_of_32_kib_is_the_longest() {
    let world = World::with_site().await;
    let around = "GET /hello HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX: \r\n\r\n".len();
    for (octets, status) in [(32 << 10, 200), ((32 << 10) + 1, 431), (1 << 20, 431)] {
        let filler = "x".repeat(octets - around);
        let request =
            format!("GET /hello HTTP/1.1\r\nHost: w\r\nConnection: close\r\nX: {filler}\r\n\r\n");
        assert_eq!(request.len(), octets);
        assert_eq!(world.exchange(request).await.status(), status, "{octets}");
    }
}

#[tokio::test]
async fn more_than_100_header_fields_are_too_many() {
    let world = World::with_site().await;
    let mut request = String::from("GET /hello HTTP/1.1\r\nHost: w\r\n");
    for index in 0..100 {
        write!(request, "X-{index}: 1\r\n").unwrap();
    }
    request.push_str("\r\n");
    assert_eq!(world.exchange(request).await.status(), 431);
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_request() {
    let world = World::with_site().await;
    for request in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET /hello HTTP/9.9\r\n\r\n",
        "GET /hello HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /hello HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        assert_eq!(world.exchange(request).await.status(), 400, "{request:?}");
    }
}

#[tokio::test]
async fn a_request_of_http_1_1_names_its_host_once_and_one_of_http_1_0_need_not() {
    let world = World::with_site().await;
    for (version, hosts, status) in [
        ("1.1", "Host: w\r\n", 200),
        ("1.1", "Host:\r\n", 200), // Empty, for a target without an authority.
        ("1.1", "", 400),
        ("1.1", "Host: w\r\nHost: w\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: w\r\n", 200),
        ("1.0", "Host: w\r\nHost: x\r\n", 400),
        ("1.1", "Host: w.example:8080\r\n", 200),
        ("1.1", "Host: w:\r\n", 200),
        ("1.1", "Host: [::1]:80\r\n", 200),
        ("1.1", "Host: [fe80::1%25lo]\r\n", 200),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: a,b\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host: me@a\r\n", 400),
        ("1.1", "Host: w:x\r\n", 400),
        ("1.1", "Host: w:1:2\r\n", 400),
        ("1.1", "Host: []\r\n", 400),
        ("1.1", "Host: [::1\r\n", 400),
        ("1.0", "Host: \u{fc}\r\n", 400),
    ] {
        let request = format!("GET /hello HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        assert_eq!(world.exchange(request).await.status(), status, "{version} {hosts:?}");
    }
    let with_body = "POST /sink HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(world.exchange(with_body).await.status(), 400);
}

#[tokio::test]
async fn a_bad_request_with_much_behind_it_still_gets_its_answer() {
    let world = World::with_site().await;
    let mut stream = world.connect(80).await;
    stream.write_all(b"GET\r\n\r\n").await.unwrap();
    within(stream.write_all(&vec![b'x'; 500_000])).await.unwrap();
    let mut octets = Vec::new();
    within(stream.read_to_end(&mut octets)).await.unwrap();
    assert!(octets.starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_client_that_closes_its_side_behind_its_requests_gets_all_answers() {
    let world = World::with_site().await;
    for (request, times, octets) in [
        ("GET /hello HTTP/1.1\r\nHost: w\r\n\r\n", 1, 13),
        ("GET /bytes/3000000 HTTP/1.1\r\nHost: w\r\n\r\n", 3, 3_000_000),
        ("POST /echo HTTP/1.1\r\nHost: w\r\nContent-Length: 3\r\n\r\nabc", 2, 3),
    ] {
        let mut stream = world.connect(80).await;
        stream.write_all(request.repeat(times).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = Vec::new();
        within(stream.read_to_end(&mut answers)).await.unwrap();
        let heads = answers.windows(4).filter(|four| four == b"\r\n\r\n").count();
        assert_eq!(heads, times, "{request}");
        assert!(answers.len() > times * octets, "{request}: {} octets", answers.len());
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_disturbs_no_other() {
    let world = World::with_site().await;
    for part in [
        "",
        "GET /he",
        "POST /sink HTTP/1.1\r\nHost: w\r\nContent-Length: 10\r\n\r\nabc",
        "GET /bytes/100000000 HTTP/1.1\r\nHost: w\r\n\r\n",
    ] {
        let mut stream = world.connect(80).await;
        stream.write_all(part.as_bytes()).await.unwrap();
        drop(stream);
        assert_eq!(world.get("/hello").await.text(), "Hello, World!");
    }
}
