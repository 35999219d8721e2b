//! Echo, discard and chargen (RFC 862 to 864).

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wharf::app::server::accept_each;
use wharf::app::{chargen, discard, echo};

use super::world::{World, within};

/// A world with the three services on TCP.
async fn with_services() -> World {
    let world = World::new();
    let (stop, listener) = (world.stop.clone(), world.listen(7).await);
    tokio::spawn(async move {
        accept_each(listener, &stop, |stream, _| async {
            let _ = echo::serve_stream(stream).await;
        })
        .await;
    });
    let (stop, listener) = (world.stop.clone(), world.listen(9).await);
    tokio::spawn(async move {
        accept_each(listener, &stop, |stream, _| async {
            let _ = discard::serve_stream(stream).await;
        })
        .await;
    });
    let (stop, listener) = (world.stop.clone(), world.listen(19).await);
    tokio::spawn(async move {
        accept_each(listener, &stop, |stream, guard| async {
            let _ = chargen::serve_stream(stream, guard).await;
        })
        .await;
    });
    world
}

#[tokio::test]
async fn echo_sends_a_megabyte_back_and_closes_after_the_client() {
    let world = with_services().await;
    let (mut reader, mut writer) = tokio::io::split(world.connect(7).await);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let reading = reader.read_to_end(&mut received);
    within(async { tokio::join!(writing, reading) }).await.1.unwrap();
    assert!(received == sent);
}

#[tokio::test]
async fn discard_answers_nothing_and_closes_after_the_client() {
    let world = with_services().await;
    let mut stream = world.connect(9).await;
    within(stream.write_all(&vec![7; 1_000_000])).await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
    assert!(silence.is_err());
    stream.shutdown().await.unwrap();
    assert_eq!(within(stream.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn chargen_sends_rotating_lines_until_the_client_leaves() {
    let world = with_services().await;
    let mut stream = world.connect(19).await;
    let mut octets = vec![0; 74 * 10_000];
    within(stream.read_exact(&mut octets)).await.unwrap();
    for (number, line) in octets.chunks(74).enumerate() {
        let character = |column| 32 + u8::try_from((number + column) % 95).unwrap();
        let expected: Vec<_> = (0..72).map(character).chain(*b"\r\n").collect();
        assert_eq!(line, expected, "line {number}");
    }
}

#[tokio::test]
async fn chargen_throws_away_what_it_is_sent_and_goes_on_after_a_half_close() {
    let world = with_services().await;
    let mut stream = world.connect(19).await;
    stream.write_all(b"be quiet").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut octets = vec![0; 2_000_000];
    within(stream.read_exact(&mut octets)).await.unwrap();
    assert!(octets.starts_with(b" !\"#$%&'"));
}

#[tokio::test]
async fn a_stop_ends_chargen_cleanly_and_at_once() {
    let world = with_services().await;
    let mut stream = world.connect(19).await;
    let mut octets = vec![0; 74];
    within(stream.read_exact(&mut octets)).await.unwrap();
    world.stop.begin();
    within(stream.read_to_end(&mut octets)).await.unwrap();
}

#[tokio::test]
async fn datagrams_are_echoed_whole() {
    let world = World::new();
    let (server, client) = (world.bind_server(7).await, world.bind_client(5000).await);
    let to = server.local_addr().unwrap();
    let service = tokio::spawn(echo::serve_datagrams(server));
    for len in [0, 1, 512, 1400] {
        let sent = vec![u8::try_from(len % 251).unwrap(); len];
        client.send_to(&sent, to).await.unwrap();
        let mut received = vec![0; 2000];
        let (len, from) = within(client.recv_from(&mut received)).await.unwrap();
        assert_eq!((&received[..len], from), (&sent[..], to));
    }
    assert!(!service.is_finished());
}

#[tokio::test]
async fn discarded_datagrams_are_not_answered() {
    let world = World::new();
    let (server, client) = (world.bind_server(9).await, world.bind_client(5000).await);
    let to = server.local_addr().unwrap();
    let service = tokio::spawn(discard::serve_datagrams(server));
    client.send_to(b"anybody?", to).await.unwrap();
    let mut buffer = [0; 100];
    let silence = tokio::time::timeout(Duration::from_millis(100), client.recv_from(&mut buffer));
    assert!(silence.await.is_err());
    assert!(!service.is_finished());
}

#[tokio::test]
async fn chargen_answers_a_datagram_by_at_most_512_characters() {
    let world = World::new();
    let (server, client) = (world.bind_server(19).await, world.bind_client(5000).await);
    let to = server.local_addr().unwrap();
    let _service = tokio::spawn(chargen::serve_datagrams(server));
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..100 {
        client.send_to(b"", to).await.unwrap();
        let mut received = vec![0; 2000];
        let (len, _) = within(client.recv_from(&mut received)).await.unwrap();
        assert!(len <= 512);
        assert!(received[..len].iter().all(|octet| matches!(octet, b' '..=b'~' | b'\r' | b'\n')));
        lengths.insert(len);
    }
    assert!(lengths.len() > 10, "random: {lengths:?}");
}

/// A forged datagram from one service to another would be answered for ever.
#[tokio::test]
async fn a_datagram_from_another_service_is_not_answered() {
    let world = World::new();
    let mut buffer = [0; 100];
    let echoes = world.bind_server(7).await;
    let characters = world.bind_server(19).await;
    let targets = [echoes.local_addr().unwrap(), characters.local_addr().unwrap()];
    let services = (
        tokio::spawn(echo::serve_datagrams(echoes)),
        tokio::spawn(chargen::serve_datagrams(characters)),
    );
    for port in [7, 13, 17, 19, 37] {
        let forger = world.bind_client(port).await;
        for to in targets {
            forger.send_to(b"ping", to).await.unwrap();
        }
        let silence =
            tokio::time::timeout(Duration::from_millis(50), forger.recv_from(&mut buffer));
        assert!(silence.await.is_err(), "{port}");
    }
    assert!(!services.0.is_finished() && !services.1.is_finished());
}
