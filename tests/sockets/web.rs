//! axum's server and hyper's client, unmodified, on our sockets.

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::oneshot;
use wharf::tokio::{Connector, TcpListener};

use crate::support::{FAR, pattern};

async fn text(client: &Client<Connector, Full<Bytes>>, uri: &str) -> String {
    let answer = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn axum_serves_and_hyper_fetches() {
    let pair = super::pair();
    let listener = TcpListener::bind(&pair.far, (FAR, 80)).await.unwrap();
    let app = Router::new()
        .route("/hello", get(|| async { "Hello, World!" }))
        .route("/echo", post(|body: axum::body::Body| async { body }));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(
        axum::serve(listener, app)
            .with_graceful_shutdown(async { drop(stopped.await) })
            .into_future(),
    );

    let client = Client::builder(TokioExecutor::new()).build(Connector::new(&pair.near));
    for _ in 0..3 {
        assert_eq!(text(&client, "http://10.7.0.2/hello").await, "Hello, World!");
    }
    // Keep-alive: one connection for all of them.
    assert_eq!(pair.near.connections().len(), 1);

    let sent = Bytes::from(pattern(1_000_000));
    let request = hyper::Request::post("http://10.7.0.2/echo").body(Full::new(sent.clone()));
    let answer = client.request(request.unwrap()).await.unwrap();
    let got = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(got == sent, "{} octets", got.len());

    stop.send(()).unwrap();
    drop(client);
    tokio::time::timeout(Duration::from_secs(30), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_server_whose_stack_has_ended_still_obeys_its_shutdown_signal() {
    let pair = super::pair();
    let listener = TcpListener::bind(&pair.near, "0.0.0.0:80").await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(
        axum::serve(listener, Router::new())
            .with_graceful_shutdown(async { drop(stopped.await) })
            .into_future(),
    );
    pair.cable.unplug();
    pair.near.wait_async().await.unwrap_err();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_connector_asks_its_resolver_and_refuses_what_it_cannot_do() {
    let pair = super::pair();
    let listener = TcpListener::bind(&pair.far, (FAR, 8080)).await.unwrap();
    let app = Router::new().route("/", get(|| async { "found" }));
    let server = tokio::spawn(axum::serve(listener, app).into_future());

    let resolving = Connector::with_resolver(&pair.near, |host| {
        assert_eq!(host, "wharf.example");
        Ok(vec!["::1".parse().unwrap(), FAR.into()])
    });
    let client = Client::builder(TokioExecutor::new()).build(resolving);
    assert_eq!(text(&client, "http://wharf.example:8080/").await, "found");

    let plain = Connector::new(&pair.near);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(plain);
    for uri in ["http://wharf.example/", "https://10.7.0.2/", "http://10.7.0.2:81/"] {
        let error = client.get(uri.parse().unwrap()).await.unwrap_err();
        assert!(error.is_connect(), "{uri}: {error}");
    }
    server.abort();
}
