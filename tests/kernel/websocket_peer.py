"""WebSocket checks by a client that the project did not write: Python's `websockets`.

usage: websocket_peer.py messages HOST PORT BIGGEST
       websocket_peer.py close HOST PORT
       websocket_peer.py chat HOST PORT CLIENTS
       websocket_peer.py linger HOST PORT
"""

import asyncio
import os
import random
import sys
import time

import websockets

# No check waits longer than this for one answer.
PATIENCE = 60.0


def connect(host, port, path):
    """One client; its own pings are off, so that what is on the wire is what the check does."""
    return websockets.connect(
        f"ws://{host}:{port}{path}",
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
    )


async def receive(socket):
    """The next message, within the time that a check has."""
    return await asyncio.wait_for(socket.recv(), PATIENCE)


async def messages(host, port, biggest):
    """Text, binary, fragmented and big messages, pings, and empty ones of both kinds."""
    noise = random.Random(biggest)
    async with connect(host, port, "/ws/echo") as socket:
        for name, message in [
            ("text", "a wharf, ein Kai, 埠頭"),
            ("binary", bytes(range(256))),
            ("empty text", ""),
            ("empty binary", b""),
            # The lengths at which the header of a frame changes its shape (RFC 6455 §5.2).
            *((f"binary of {n}", noise.randbytes(n)) for n in (125, 126, 65_535, 65_536)),
            (f"binary of {biggest}", noise.randbytes(biggest)),
            (f"text of {biggest}", "w" * biggest),
        ]:
            await socket.send(message)
            answer = await receive(socket)
            assert answer == message, f"{name}: {len(answer)} octets came back"
            print(name)
        fragments = ["one ", "", "two ", "three"]
        await socket.send(fragments)
        assert await receive(socket) == "".join(fragments)
        print("fragmented text")
        fragments = [noise.randbytes(biggest // 4) for _ in range(4)]
        await socket.send(fragments)
        assert await receive(socket) == b"".join(fragments)
        print("fragmented binary")
        for payload in (b"", b"are you there", b"p" * 125):
            pong = await socket.ping(payload)
            await asyncio.wait_for(pong, PATIENCE)
        print("pings with pongs")
        await between_fragments(socket)


async def between_fragments(socket):
    """A ping between two fragments is answered before the message is whole (RFC 6455 §5.4)."""
    ponged = asyncio.Event()

    async def halves():
        yield "first half, "
        pong = await socket.ping(b"between")
        await asyncio.wait_for(pong, PATIENCE)
        ponged.set()
        yield "second half"

    await socket.send(halves())
    assert await receive(socket) == "first half, second half"
    assert ponged.is_set()
    print("a ping between fragments")


async def close(host, port):
    """The client closes with a code and a reason; then the server closes, for a bad frame."""
    async with connect(host, port, "/ws/echo") as socket:
        await socket.send("hello")
        assert await receive(socket) == "hello"
        await socket.close(1000, "done")
        assert socket.close_code == 1000, socket.close_code
        print("the client closed, the server answered with 1000")

    # A text message that is not UTF-8 obliges the server to close with 1007 (RFC 6455 §8.1).
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"GET /ws/echo HTTP/1.1\r\nHost: wharf\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 101 "), head
    mask = os.urandom(4)
    masked = bytes(octet ^ mask[i % 4] for i, octet in enumerate(b"\xff\xfe"))
    writer.write(b"\x81\x82" + mask + masked)
    frame = await asyncio.wait_for(reader.read(), PATIENCE)
    assert frame[:1] == b"\x88", f"a close frame was due, and {frame!r} came"
    code = int.from_bytes(frame[2:4], "big")
    assert code == 1007, code
    writer.close()
    print("the server closed with 1007, and then its connection")


async def chat(host, port, clients):
    """Every client says one thing; every client hears every one of them, each once."""
    said = {f"client {number} says {number * number}" for number in range(clients)}
    sockets = await asyncio.gather(
        *(connect(host, port, "/ws/chat").__aenter__() for _ in range(clients))
    )

    async def hear(socket):
        missing = set(said)
        while missing:
            message = await receive(socket)
            heard = {line for line in missing if message.endswith(line) or f"{line}\"" in message}
            assert len(heard) <= 1, message
            missing -= heard

    ears = [asyncio.create_task(hear(socket)) for socket in sockets]
    # Everybody must be in the room before anybody speaks.
    for socket in sockets:
        pong = await socket.ping()
        await asyncio.wait_for(pong, PATIENCE)
    await asyncio.gather(*(socket.send(line) for socket, line in zip(sockets, sorted(said))))
    await asyncio.gather(*ears)
    await asyncio.gather(*(socket.close() for socket in sockets))
    print(f"{clients} clients heard all {len(said)} messages")


async def linger(host, port):
    """Waits until the server goes away, and says how it did."""
    async with connect(host, port, "/ws/echo") as socket:
        await socket.send("here")
        assert await receive(socket) == "here"
        print("open", flush=True)
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(f"closed {closed.rcvd.code if closed.rcvd else 'without a frame'}")


def main():
    started = time.monotonic()
    match sys.argv[1:]:
        case ["messages", host, port, biggest]:
            asyncio.run(messages(host, int(port), int(biggest)))
        case ["close", host, port]:
            asyncio.run(close(host, int(port)))
        case ["chat", host, port, clients]:
            asyncio.run(chat(host, int(port), int(clients)))
        case ["linger", host, port]:
            asyncio.run(linger(host, int(port)))
        case _:
            sys.exit(__doc__)
    print(f"in {time.monotonic() - started:.1f} s")


main()
