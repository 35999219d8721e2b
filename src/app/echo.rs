//! The echo service (RFC 862): what comes goes back.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::datagrams::{DATAGRAM_OCTETS_MAX, Datagrams, is_service_port};

/// Octets read at a time.
const CHUNK: usize = 64 << 10;

/// Sends back what `stream` brings until the peer closes its side, then closes ours. Octets
/// echoed.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut octets = 0;
    loop {
        let len = stream.read(&mut chunk).await?;
        if len == 0 {
            stream.shutdown().await?;
            return Ok(octets);
        }
        stream.write_all(&chunk[..len]).await?;
        octets += len as u64;
    }
}

/// Sends each datagram back to where it came from, for as long as `socket` works.
pub async fn serve_datagrams<D: Datagrams>(socket: D) -> io::Result<()> {
    let mut datagram = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        let (len, from) = socket.next(&mut datagram).await?;
        if !is_service_port(from.port()) {
            socket.answer(&datagram[..len], from).await?;
        }
    }
}
