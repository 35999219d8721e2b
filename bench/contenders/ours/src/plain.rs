//! HTTP/1.1 with no library: the head of a request ends with an empty line, and each is answered
//! alike.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The answer to each request.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
/// The answer to the last one of a connection.
pub const LAST_ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, World!";

/// Longest head of a request; a longer one ends the connection.
pub const HEAD_MAX: usize = 1024;

/// Answers requests, pipelined ones too, until one says that it is the last.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    let mut buffer = Box::new([0; HEAD_MAX]);
    let mut filled = 0;
    loop {
        let len = stream.read(&mut buffer[filled..]).await?;
        if len == 0 {
            return Ok(());
        }
        filled += len;
        let mut begin = 0;
        while let Some(head) = Head::parse(&buffer[begin..filled]) {
            if head.is_last {
                return stream.write_all(LAST_ANSWER).await;
            }
            stream.write_all(ANSWER).await?;
            begin += head.len;
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
}

/// The head of a request.
pub struct Head {
    /// Octets of it.
    pub len: usize,
    /// Whether the client asks for the end of the connection.
    pub is_last: bool,
}

impl Head {
    /// What `octets` begin with, if it is complete.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (mut begin, mut is_last) = (0, false);
        for end in memchr::memchr_iter(b'\n', octets) {
            let line = &octets[begin..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Some(Self { len: end + 1, is_last });
            }
            is_last |= line.eq_ignore_ascii_case(b"connection: close");
            begin = end + 1;
        }
        None
    }
}
