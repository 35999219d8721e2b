//! What applications should not use (RFC 9293 §3.8.5, §3.9.1.9, RFC 6093 §5).

use futures_util::SinkExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_tungstenite::tungstenite::Message;

use super::websockets::{next, open};
use super::world::{World, within};

/// HTTP by both of our ends, a large answer, and WebSockets of both paths.
#[tokio::test]
async fn shld_13_no_application_of_ours_sends_urgent_data_and_shld_23_none_changes_its_dscp() {
    let world = World::with_site().await;
    assert_eq!(world.get("/hello").await.status(), 200);
    assert_eq!(world.get("/bytes/1000000").await.body().len(), 1_000_000);
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(world.connector());
    let answer = within(client.get(World::url("/hello"))).await.unwrap();
    assert_eq!(within(answer.into_body().collect()).await.unwrap().to_bytes(), "Hello, World!");
    for path in ["/ws/echo", "/ws/chat"] {
        let mut socket = open(&world, path).await;
        within(socket.send(Message::text("hello"))).await.unwrap();
        assert_eq!(next(&mut socket).await.into_text().unwrap(), "hello");
        within(socket.close(None)).await.unwrap();
    }
    let (segments, urgent) = world.tap.counts();
    assert!(segments > 700, "{segments} segments: the tap has not seen them");
    assert_eq!(urgent, 0);
    assert_eq!(world.tap.marked(), 0, "one DSCP for the whole of each connection");
}
