//! The core alone: two stacks in a plain loop, without a thread, a clock or a socket of the system.
//!
//! It shows the one contract: feed any number of inputs (packets, calls, due timers), then call
//! `transmit` until it returns nothing, then wait until `next_timeout` or the next input. Here the
//! network is a loop that hands each packet to the other stack one millisecond later.

use std::error::Error;
use std::net::SocketAddr;

use wharf::{Duration, Instant, Readiness, Seed, Shutdown, SocketError, Stack, StackConfig};

/// How long a packet is under way, and a turn of the loop takes.
const TURN: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut client = Stack::new(StackConfig::new("10.7.0.1/24".parse()?), Seed::from_number(1))?;
    let mut server = Stack::new(StackConfig::new("10.7.0.2/24".parse()?), Seed::from_number(2))?;
    let mut now = Instant::ZERO;

    let echo: SocketAddr = "10.7.0.2:7".parse()?;
    let listener = server.tcp_socket()?;
    server.bind(listener, echo)?;
    server.listen(listener, 8)?;
    let socket = client.tcp_socket()?;
    assert_eq!(client.connect(now, socket, echo), Err(SocketError::InProgress));

    let (mut accepted, mut has_asked, mut answer) = (None, false, Vec::new());
    let mut buffer = [0; 100];
    loop {
        // The client's program: one question and no more, then the answer up to its end.
        if !has_asked && client.readiness(socket).contains(Readiness::WRITABLE) {
            client.write(now, socket, b"hello, wharf")?;
            client.shutdown(now, socket, Shutdown::Write)?;
            has_asked = true;
        }
        match client.read(now, socket, &mut buffer) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
            Err(_) => {} // Nothing yet.
        }
        // The server's program: what comes goes back, and the end is answered by the end.
        accepted = accepted.or(server.accept(now, listener).ok());
        if let Some((socket, _)) = accepted {
            match server.read(now, socket, &mut buffer) {
                Ok(0) => server.shutdown(now, socket, Shutdown::Write)?,
                Ok(len) => assert_eq!(server.write(now, socket, &buffer[..len])?, len),
                Err(_) => {} // Nothing yet.
            }
        }
        transmit(now, &mut client, &mut server);
        transmit(now, &mut server, &mut client);
        now += TURN;
    }
    transmit(now, &mut client, &mut server);
    println!("{:?} came back", String::from_utf8(answer)?);
    Ok(())
}

/// Runs the due timers of `from`, and hands all that it has to send to `to`, one turn later.
fn transmit(now: Instant, from: &mut Stack, to: &mut Stack) {
    if from.next_timeout().is_some_and(|due| due <= now) {
        from.on_timeout(now, &mut ());
    }
    while let Some(packet) = from.transmit(now, &mut ()) {
        let frame = packet.to_frame();
        println!("{:>9} {}", format!("{:?}", now - Instant::ZERO), wharf::describe(frame.octets()));
        to.receive(now + TURN, frame, &mut ());
    }
}
