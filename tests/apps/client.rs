//! The clients of `wharf get`.

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::app::http_client::{ClientError, ask, get, save};

use super::world::{World, within};

#[tokio::test]
async fn get_saves_what_the_server_sends() {
    let world = World::with_site().await;
    let url = World::url("/bytes/1000000");
    let response = within(get(world.connector(), url)).await.unwrap();
    let mut saved = Vec::new();
    assert_eq!(within(save(response, &mut saved)).await.unwrap(), 1_000_000);
    let is_right = |(index, &octet): (usize, &u8)| usize::from(octet) == index % 251;
    assert!(saved.len() == 1_000_000 && saved.iter().enumerate().all(is_right));
}

#[tokio::test]
async fn an_answer_that_is_not_2xx_is_an_error() {
    let world = World::with_site().await;
    let outcome = within(get(world.connector(), World::url("/nothing"))).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "the server answered 404 Not Found");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_says_so() {
    let world = World::new();
    drop(world.listen(80).await);
    let error = within(get(world.connector(), World::url("/"))).await.unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.to_lowercase().contains("refused"), "{sentence}");
}

/// A server that sends `answer` and closes, whatever it is asked.
async fn with_answer(answer: &'static [u8]) -> World {
    let world = World::new();
    let listener = world.listen(80).await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    world
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let world = with_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nonly").await;
    let response = within(get(world.connector(), World::url("/"))).await.unwrap();
    let mut saved = Vec::new();
    let error = within(save(response, &mut saved)).await.unwrap_err();
    assert!(matches!(error, ClientError::Body(_)), "{error}");
    assert_eq!(saved, b"only");
}

#[tokio::test]
async fn an_answer_of_http_1_0_without_a_length_ends_with_the_connection() {
    let world = with_answer(b"HTTP/1.0 200 OK\r\n\r\nall of it").await;
    let response = within(get(world.connector(), World::url("/"))).await.unwrap();
    let body = within(response.into_body().collect()).await.unwrap();
    assert_eq!(&body.to_bytes()[..], b"all of it");
}

#[tokio::test]
async fn a_message_is_answered_and_the_websocket_closed() {
    let world = World::with_site().await;
    let stream = world.connect(80).await;
    let asking = ask(stream, "ws://10.7.0.2/ws/echo", "hello");
    assert_eq!(within(asking).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_server_without_websocket_is_an_error() {
    let world = World::with_site().await;
    let stream = world.connect(80).await;
    let asking = ask(stream, "ws://10.7.0.2/hello", "hello");
    let error = within(asking).await.unwrap_err();
    assert!(matches!(error, ClientError::WebSocket(_)), "{error}");
}
