//! The character generator (RFC 864): lines of 72 characters, each begun one character later.

use std::hash::{BuildHasher as _, RandomState};
use std::io;

use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;

use super::datagrams::{DATAGRAM_OCTETS_MAX, Datagrams, is_service_port};
use super::stop::Guard;
use crate::tokio::TcpStream;

/// Most octets read at a time, to be thrown away.
const UNWANTED: usize = 64 << 10;

/// Printing characters of ASCII, the space included.
const CHARACTERS: usize = 95;

/// Characters of a line, and of a line with its CR and LF.
const LINE: usize = 72;
const LINE_WITH_END: usize = LINE + 2;

/// After so many octets the lines repeat.
const CYCLE: usize = CHARACTERS * LINE_WITH_END;

/// Cycles written at a time: about 63 KiB.
const CYCLES: usize = 9;

/// Octets of the longest answer to a datagram (RFC 864).
const ANSWER_OCTETS_MAX: u64 = 512;

static LINES: [u8; CYCLE * CYCLES] = lines();

/// As RFC 864 draws it: the first line begins with the space, the next with `!`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a space and a remainder of 95 fit in an octet"
)]
#[expect(clippy::large_stack_arrays, reason = "the compiler evaluates it")]
const fn lines() -> [u8; CYCLE * CYCLES] {
    let mut octets = [0; CYCLE * CYCLES];
    let mut index = 0;
    while index < octets.len() {
        let (line, column) = (index / LINE_WITH_END, index % LINE_WITH_END);
        octets[index] = match column {
            LINE => b'\r',
            73 => b'\n',
            _ => b' ' + ((line + column) % CHARACTERS) as u8,
        };
        index += 1;
    }
    octets
}

/// Sends lines as fast as the peer takes them, until it ends the connection or the stop begins;
/// what it sends is thrown away. A peer that closes only its side still gets lines: RFC 864 stops
/// when "the calling user terminates the connection".
pub async fn serve_stream(mut stream: TcpStream, mut stopping: Guard) -> io::Result<()> {
    let reading = async {
        while !stream.read_bytes(UNWANTED).await?.is_empty() {}
        std::future::pending::<io::Result<()>>().await
    };
    let writing = async {
        loop {
            stream.write_all_bytes(Bytes::from_static(&LINES)).await?;
        }
    };
    tokio::select! {
        outcome = reading => outcome?,
        outcome = writing => return outcome,
        () = stopping.begun() => {}
    }
    stream.shutdown().await
}

/// Answers each datagram by one of 0 to 512 characters, for as long as `socket` works.
pub async fn serve_datagrams<D: Datagrams>(socket: D) -> io::Result<()> {
    let mut datagram = vec![0; DATAGRAM_OCTETS_MAX];
    let random = RandomState::new();
    for count in 0_u64.. {
        let (_, from) = socket.next(&mut datagram).await?;
        if !is_service_port(from.port()) {
            let len = random.hash_one(count) % (ANSWER_OCTETS_MAX + 1);
            // At most 512, so that both hold.
            let len = usize::try_from(len).unwrap_or(0);
            socket.answer(&LINES[..len], from).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_72_begins_one_character_later_and_the_cycle_closes() {
        let mut lines = LINES.chunks_exact(LINE_WITH_END);
        assert_eq!(lines.len(), CHARACTERS * CYCLES);
        assert!(lines.next().unwrap().starts_with(b" !\"#$%&'()*+,-./0123"));
        assert!(lines.next().unwrap().ends_with(b"fgh\r\n"));
        let firsts = LINES.iter().step_by(LINE_WITH_END);
        for (index, &first) in firsts.enumerate() {
            assert_eq!(usize::from(first), 32 + index % 95);
        }
        let is_printable = |octet: &u8| matches!(octet, b' '..=b'~' | b'\r' | b'\n');
        assert!(LINES.iter().all(is_printable));
    }
}
