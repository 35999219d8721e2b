//! A server and its client on one stack: what std's sockets do over 127.0.0.1.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

use wharf::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use crate::support::{NEAR, at, errno, limited, pattern};

#[test]
fn a_client_and_a_server_on_one_stack_exchange_megabytes_both_ways() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.near, (NEAR, 80)).unwrap();
        let client = TcpStream::connect(&pair.near, (NEAR, 80)).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        let sent = pattern(3_000_000);
        thread::scope(|scope| {
            for (writer, reader) in [(&client, &server), (&server, &client)] {
                let sent = &sent;
                scope.spawn(move || {
                    (&*writer).write_all(sent).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || {
                    let mut got = Vec::new();
                    (&*reader).read_to_end(&mut got).unwrap();
                    assert!(got == *sent, "{} octets of {}", got.len(), sent.len());
                });
            }
        });
    });
}

/// As on Linux: a simultaneous open with itself.
#[test]
fn a_socket_that_connects_to_its_own_place_reads_what_it_writes() {
    limited(|| {
        let pair = super::pair();
        let socket = TcpSocket::new_v4(&pair.near).unwrap();
        socket.bind(at(NEAR, 5000)).unwrap();
        let mut stream = socket.connect(at(NEAR, 5000)).unwrap();
        assert_eq!(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        stream.write_all(b"to myself").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"to myself");
    });
}

#[test]
fn a_port_of_our_own_where_nobody_listens_refuses() {
    limited(|| {
        let pair = super::pair();
        let refused = Some(libc::ECONNREFUSED);
        assert_eq!(errno(TcpStream::connect(&pair.near, (NEAR, 81))), refused);
        let socket = UdpSocket::bind(&pair.near, (NEAR, 0)).unwrap();
        socket.connect((NEAR, 82)).unwrap();
        socket.send(b"x").unwrap();
        assert_eq!(errno(socket.recv(&mut [0; 4])), refused);
    });
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_client_and_a_server_on_one_stack_talk_as_tasks_of_its_driver() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wharf::tokio::{TcpListener, TcpStream};
    use wharf::{Link, Net};

    use crate::support::{LIMIT, config};

    let (end, _other) = Link::pair(1500);
    let (net, driver) = Net::driver(end, config(NEAR)).unwrap();
    tokio::spawn(driver);
    let exchange = async {
        let listener = TcpListener::bind(&net, (NEAR, 80)).await.unwrap();
        let mut client = TcpStream::connect(&net, at(NEAR, 80)).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let echo = tokio::spawn(async move {
            let (mut reader, mut writer) = server.split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap()
        });
        let sent = pattern(1_000_000);
        let (mut reader, mut writer) = client.split();
        let mut got = Vec::new();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let (read, ()) = tokio::join!(reader.read_to_end(&mut got), write);
        read.unwrap();
        assert!(got == sent, "{} octets of {}", got.len(), sent.len());
        assert_eq!(echo.await.unwrap(), 1_000_000);
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("the test hangs");
}
