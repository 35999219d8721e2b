//! WebSockets (RFC 6455), by a client that is not ours.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use wharf::app::websocket::{HELD_OCTETS_MAX, MESSAGE_OCTETS_MAX};
use wharf::tokio::TcpStream;

use super::world::{World, within};

pub(crate) type Client = WebSocketStream<TcpStream>;

/// Opens a WebSocket.
pub(crate) async fn open(world: &World, path: &str) -> Client {
    let stream = world.connect(80).await;
    let url = format!("ws://10.7.0.2{path}");
    let opening = tokio_tungstenite::client_async(url, stream);
    within(opening).await.unwrap().0
}

/// The next message.
pub(crate) async fn next(client: &mut Client) -> Message {
    within(client.next()).await.expect("it goes on").unwrap()
}

/// Reads on, up to the close frame and the end of the stream behind it.
pub(crate) async fn closed_with(client: &mut Client) -> Option<CloseCode> {
    let mut code = None;
    while let Some(message) = within(client.next()).await {
        if let Message::Close(frame) = message.unwrap() {
            code = frame.map(|frame| frame.code);
        }
    }
    code
}

fn handshake(path: &str, version: u8, key: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 10.7.0.2\r\nUpgrade: websocket\r\nConnection: keep-alive, \
         Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {version}\r\n\r\n"
    )
}

#[tokio::test]
async fn the_key_of_rfc_6455_section_1_3_gets_its_answer() {
    let world = World::with_site().await;
    for (key, accepted) in [
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("xqBt3ImNzJbYqRINxEFlkg==", "K7DJLdLooIwIG/MOpvWFB3y3FE8="),
    ] {
        let mut stream = world.connect(80).await;
        let request = handshake("/ws/echo", 13, key);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let field = format!("sec-websocket-accept: {accepted}\r\n");
        assert!(head.contains(&field), "{head}");
    }
}

#[tokio::test]
async fn another_version_is_told_ours() {
    let request = handshake("/ws/echo", 12, "dGhlIHNhbXBsZSBub25jZQ==");
    let request = request.replace("keep-alive, ", "close, ");
    let answer = World::with_site().await.exchange(request).await;
    assert_eq!(answer.status(), 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
}

#[tokio::test]
async fn a_key_that_is_not_16_octets_of_base64_or_comes_twice_is_a_bad_one() {
    let world = World::with_site().await;
    for key in [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZQ--",
        "dGhlIHNhbXBsZSBu,25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        let request = handshake("/ws/echo", 13, key).replace("keep-alive, ", "close, ");
        assert_eq!(world.exchange(request).await.status(), 400, "{key:?}");
    }
}

#[tokio::test]
async fn a_plain_request_for_a_websocket_is_a_bad_one() {
    let world = World::with_site().await;
    for path in ["/ws/echo", "/ws/chat"] {
        assert_eq!(world.get(path).await.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn text_and_binary_come_back_as_they_went() {
    let mut client = open(&World::with_site().await, "/ws/echo").await;
    for message in [
        Message::text("Grüße, 世界"),
        Message::text(""),
        Message::binary(vec![0, 255, 128]),
        Message::binary(vec![]),
        Message::binary(vec![7; 125]),
        Message::binary(vec![7; 126]),
        Message::binary(vec![7; 65_535]),
        Message::binary(vec![7; 65_536]),
        Message::text("x".repeat(1 << 20)),
        Message::binary((0..1_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<_>>()),
    ] {
        client.send(message.clone()).await.unwrap();
        assert!(next(&mut client).await == message);
    }
}

#[tokio::test]
async fn fragments_come_back_as_one_message_though_a_ping_lies_between_them() {
    let mut client = open(&World::with_site().await, "/ws/echo").await;
    let fragment = |text: &'static str, kind, is_last| {
        Message::Frame(Frame::message(text, OpCode::Data(kind), is_last))
    };
    client.send(fragment("one ", Data::Text, false)).await.unwrap();
    client.send(Message::Ping(Bytes::from("now"))).await.unwrap();
    client.send(fragment("two ", Data::Continue, false)).await.unwrap();
    client.send(fragment("three", Data::Continue, true)).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong(Bytes::from("now")));
    assert_eq!(next(&mut client).await, Message::text("one two three"));
}

#[tokio::test]
async fn a_ping_is_answered_with_its_own_octets() {
    let world = World::with_site().await;
    for path in ["/ws/echo", "/ws/chat"] {
        let mut client = open(&world, path).await;
        for octets in [&b""[..], b"hello", &[7; 125]] {
            let octets = Bytes::from(octets);
            client.send(Message::Ping(octets.clone())).await.unwrap();
            assert_eq!(next(&mut client).await, Message::Pong(octets));
        }
    }
}

#[tokio::test]
async fn a_close_by_the_client_is_answered_with_its_code_and_the_connection_ends() {
    let world = World::with_site().await;
    for path in ["/ws/echo", "/ws/chat"] {
        let mut client = open(&world, path).await;
        let frame = CloseFrame { code: CloseCode::Library(4321), reason: "enough".into() };
        client.close(Some(frame)).await.unwrap();
        assert_eq!(closed_with(&mut client).await, Some(CloseCode::Library(4321)), "{path}");
    }
}

#[tokio::test]
async fn a_stop_closes_with_1001_and_the_connection_ends() {
    let world = World::with_site().await;
    let mut clients = Vec::new();
    for path in ["/ws/echo", "/ws/chat"] {
        let mut client = open(&world, path).await;
        client.send(Message::text("hello")).await.unwrap();
        assert_eq!(next(&mut client).await, Message::text("hello"));
        clients.push(client);
    }
    world.stop.begin();
    for client in &mut clients {
        assert_eq!(closed_with(client).await, Some(CloseCode::Away));
    }
}

#[tokio::test]
async fn a_message_of_more_than_16_mib_closes_with_1009() {
    let mut client = open(&World::with_site().await, "/ws/echo").await;
    // The length alone is enough: what follows is never read.
    let message = Message::binary(vec![7; (16 << 20) + 1]);
    let _ = within(client.send(message)).await;
    assert_eq!(closed_with(&mut client).await, Some(CloseCode::Size));
}

/// Those whose message is held have the ping behind it answered. Who is refused is still sending,
/// and no reset takes the reason from it.
#[tokio::test]
async fn who_is_still_sending_when_too_much_is_held_hears_1013() {
    let world = World::with_site().await;
    // A fragment as long as a message may be, masked with zeros, and a ping.
    let mut octets = [&[0x02, 0xff][..], &MESSAGE_OCTETS_MAX.to_be_bytes(), &[0; 4]].concat();
    octets.resize(octets.len() + MESSAGE_OCTETS_MAX, 7);
    octets.extend([0x89, 0x80, 0, 0, 0, 0]);
    let mut holding = Vec::new();
    while holding.len() < HELD_OCTETS_MAX / MESSAGE_OCTETS_MAX {
        let stream = open(&world, "/ws/echo").await.into_inner();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sending = async {
            writer.write_all(&octets).await?;
            // There is nothing more to say; the answer is on its way.
            std::future::pending::<std::io::Result<()>>().await
        };
        let mut answer = [0; 2];
        let hearing = reader.read_exact(&mut answer);
        within(async {
            tokio::select! { biased;
                heard = hearing => heard.unwrap(),
                outcome = sending => panic!("it is reset first: {outcome:?}"),
            }
        })
        .await;
        if answer == [0x8a, 0] {
            holding.push((reader, writer));
            continue;
        }
        assert_eq!(answer[0], 0x88);
        assert_eq!(within(reader.read_u16()).await.unwrap(), 1013);
        return;
    }
    panic!("all of them hold theirs");
}

/// Each frame is masked with zeros, but for the one that is not masked at all.
#[tokio::test]
async fn what_breaks_the_protocol_closes_with_1002_or_1007() {
    let world = World::with_site().await;
    for (what, octets, code) in [
        ("no mask", &[0x82, 1, 7][..], CloseCode::Protocol),
        ("a reserved bit", &[0xc2, 0x81, 0, 0, 0, 0, 7], CloseCode::Protocol),
        ("an unknown opcode", &[0x83, 0x81, 0, 0, 0, 0, 7], CloseCode::Protocol),
        ("a continuation of nothing", &[0x80, 0x81, 0, 0, 0, 0, 7], CloseCode::Protocol),
        ("text that is not UTF-8", &[0x81, 0x81, 0, 0, 0, 0, 0xff], CloseCode::Invalid),
    ] {
        let mut client = open(&world, "/ws/echo").await;
        client.get_mut().write_all(octets).await.unwrap();
        assert_eq!(closed_with(&mut client).await, Some(code), "{what}");
    }
}
