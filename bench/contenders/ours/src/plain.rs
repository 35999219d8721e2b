//! HTTP/1.1 with no library: the head of a request ends with an empty line, and each is answered
//! alike.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
const LAST_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, World!";

/// Longest head of a request; a longer one ends the connection.
const HEAD_MAX: usize = 1024;

/// Answers requests, pipelined ones too, until one says that it is the last.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    let mut buffer = vec![0; HEAD_MAX];
    let mut filled = 0;
    loop {
        let len = stream.read(&mut buffer[filled..]).await?;
        if len == 0 {
            return Ok(());
        }
        filled += len;
        let mut begin = 0;
        while let Some(len) = head_len(&buffer[begin..filled]) {
            let head = &buffer[begin..begin + len];
            if is_last(head) {
                return stream.write_all(LAST_ANSWER).await;
            }
            stream.write_all(ANSWER).await?;
            begin += len;
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
}

/// Octets of the head that `octets` begins with, if it is complete.
fn head_len(octets: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let mut from = 0;
    // Whatever ends a head ends a line.
    while let Some(place) = octets[from..].iter().position(|&octet| octet == b'\r') {
        from += place;
        if octets[from..].starts_with(END) {
            return Some(from + END.len());
        }
        from += 1;
    }
    None
}

/// Whether the client asks for the end of the connection.
fn is_last(head: &[u8]) -> bool {
    const CLOSE: &[u8] = b"connection: close";
    head.split(|&octet| octet == b'\n')
        .filter(|line| line.len() == CLOSE.len() + 1)
        .any(|line| line.trim_ascii_end().eq_ignore_ascii_case(CLOSE))
}
