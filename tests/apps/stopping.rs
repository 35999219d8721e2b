//! How a server ends: soon, and with as much grace as there is time for.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::websockets::open;
use super::world::{World, within};

const GRACE: Duration = Duration::from_millis(800);

#[tokio::test]
async fn idle_connections_and_websockets_hold_nothing_up() {
    let world = World::with_site().await;
    let silent = world.connect(80).await;
    let mut kept_alive = world.connect(80).await;
    let request = b"GET /hello HTTP/1.1\r\nHost: w\r\n\r\n";
    kept_alive.write_all(request).await.unwrap();
    let mut answer = vec![0; 17];
    within(kept_alive.read_exact(&mut answer)).await.unwrap();
    // These two read, as a living client does, and so answer the close.
    let mut sockets = Vec::new();
    for path in ["/ws/echo", "/ws/chat"] {
        let mut client = open(&world, path).await;
        sockets
            .push(tokio::spawn(async move { super::websockets::closed_with(&mut client).await }));
    }
    let closing = tokio::spawn(async move {
        let _ = kept_alive.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    });
    let leaving = tokio::spawn(async move {
        let mut silent = silent;
        silent.read(&mut [0; 1]).await
    });
    let begun = Instant::now();
    assert!(within(world.stop.finish(Duration::from_secs(50))).await);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(closing.await.unwrap().ends_with("Hello, World!"));
    assert_eq!(leaving.await.unwrap().unwrap(), 0);
    for socket in sockets {
        assert!(socket.await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_request_in_progress_is_finished() {
    let world = World::with_site().await;
    let mut stream = world.connect(80).await;
    let head = b"POST /sink HTTP/1.1\r\nHost: w\r\nContent-Length: 6\r\n\r\nabc";
    stream.write_all(head).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stop = world.stop.clone();
    let stopping = tokio::spawn(async move { stop.finish(Duration::from_secs(50)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!stopping.is_finished());
    stream.write_all(b"def").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("{\"octets\":6,"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    drop(stream);
    assert!(within(stopping).await.unwrap());
}

#[tokio::test]
async fn what_does_not_finish_is_ended_when_the_time_is_over() {
    let world = World::with_site().await;
    let mut stream = world.connect(80).await;
    let request = b"GET /bytes/1000000000000 HTTP/1.1\r\nHost: w\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut buffer = vec![0; 1000];
    within(stream.read_exact(&mut buffer)).await.unwrap();
    let begun = Instant::now();
    assert!(!within(world.stop.finish(GRACE)).await);
    assert!(begun.elapsed() >= GRACE);
    assert!(begun.elapsed() < GRACE + Duration::from_secs(2));
    let left = async { while stream.read(&mut buffer).await.is_ok_and(|len| len > 0) {} };
    within(left).await;
}

#[tokio::test]
async fn nobody_is_let_in_once_the_stop_has_begun() {
    let world = World::with_site().await;
    assert!(within(world.stop.finish(GRACE)).await);
    let refused = async {
        while world.try_connect(80).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(refused).await;
}
