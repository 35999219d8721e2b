"""HTTP checks that curl cannot make; the sockets are the kernel's.

usage: http_peer.py pattern OCTETS
       http_peer.py crowd HOST PORT CONNECTIONS
       http_peer.py keep-alive HOST PORT REQUESTS
       http_peer.py duplex HOST PORT OCTETS
       http_peer.py junk HOST PORT
"""

import asyncio
import http.client
import random
import socket
import sys
import threading
import time

HELLO = b"Hello, World!"

# No check waits longer than this for one answer.
PATIENCE = 60.0


def pattern(octets):
    """Writes what `GET /bytes/N` must answer: octet i is i mod 251."""
    block = bytes(range(251)) * 4096
    while octets > 0:
        sys.stdout.buffer.write(block[:octets])
        octets -= len(block)


async def crowd(host, port, connections):
    """Opens all connections, only then asks on each of them, only then closes any."""

    async def open_one():
        return await asyncio.wait_for(asyncio.open_connection(host, port), PATIENCE)

    streams = await asyncio.gather(*(open_one() for _ in range(connections)))
    print(f"{len(streams)} connections are open at once")

    async def ask(reader, writer):
        writer.write(b"GET /hello HTTP/1.1\r\nHost: wharf\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert await asyncio.wait_for(reader.readexactly(len(HELLO)), PATIENCE) == HELLO

    await asyncio.gather(*(ask(*stream) for stream in streams))
    print(f"{len(streams)} of {connections} are answered")
    for _, writer in streams:
        writer.close()


def keep_alive(host, port, requests):
    """All requests travel on one connection."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    connection.connect()
    local = connection.sock.getsockname()
    for number in range(requests):
        connection.request("GET", "/hello")
        answer = connection.getresponse()
        body = answer.read()
        assert (answer.status, body) == (200, HELLO), (number, answer.status, body)
        assert connection.sock is not None, f"the server closed after {number + 1} requests"
        assert connection.sock.getsockname() == local, number
    print(f"{requests} requests on the connection from port {local[1]}")


def duplex(host, port, octets):
    """The echo comes back while the request is still being written, unchanged."""
    sent = random.Random(octets).randbytes(octets)
    stream = socket.create_connection((host, port), timeout=PATIENCE)
    head = f"POST /echo HTTP/1.1\r\nHost: wharf\r\nContent-Length: {octets}\r\n\r\n"
    stream.sendall(head.encode())
    first_half, second_half = sent[: octets // 2], sent[octets // 2 :]
    # The first half must start to come back before the second half is begun.
    echo_began = threading.Event()
    failure = []

    def write():
        try:
            stream.sendall(first_half)
            assert echo_began.wait(PATIENCE), "nothing came back before the request was whole"
            stream.sendall(second_half)
        except (OSError, AssertionError) as error:
            failure.append(error)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    answer = http.client.HTTPResponse(stream, method="POST")
    answer.begin()
    assert answer.status == 200, answer.status
    received = bytearray()
    while chunk := answer.read1(1 << 16):
        received += chunk
        echo_began.set()
    writer.join(PATIENCE)
    assert not failure, failure
    assert bytes(received) == sent, f"{len(received)} octets came back, or not the same ones"
    print(f"{octets} octets went both ways at once")


def junk(host, port):
    """What is no HTTP gets a 4xx and a clean end, never a reset and never silence."""
    for name, request in [
        ("no request line", b"\x00\x01\x02\x03\r\n\r\n"),
        ("a bad version", b"GET /hello HTTP/9.9\r\n\r\n"),
        ("a header without a colon", b"GET /hello HTTP/1.1\r\nHost wharf\r\n\r\n"),
        ("a header that is too long", b"GET / HTTP/1.1\r\nX: " + b"x" * 2_000_000 + b"\r\n\r\n"),
    ]:
        stream = socket.create_connection((host, port), timeout=10)
        answer = b""
        sender = threading.Thread(target=send_quietly, args=(stream, request), daemon=True)
        sender.start()
        try:
            while chunk := stream.recv(1 << 16):
                answer += chunk
        except ConnectionResetError as error:
            # A server may reset what it refuses to read on, but only after it has answered.
            assert answer, (name, error)
        assert answer.startswith(b"HTTP/1.") and answer[9:10] == b"4", (name, answer[:80])
        status_line = answer.split(b"\r\n", 1)[0]
        print(f"{name}: {status_line!r}")


def send_quietly(stream, octets):
    """Sends; the other side may have stopped reading."""
    try:
        stream.sendall(octets)
    except OSError:
        pass


def main():
    started = time.monotonic()
    match sys.argv[1:]:
        case ["pattern", octets]:
            pattern(int(octets))
            return
        case ["crowd", host, port, connections]:
            asyncio.run(crowd(host, int(port), int(connections)))
        case ["keep-alive", host, port, requests]:
            keep_alive(host, int(port), int(requests))
        case ["duplex", host, port, octets]:
            duplex(host, int(port), int(octets))
        case ["junk", host, port]:
            junk(host, int(port))
        case _:
            sys.exit(__doc__)
    print(f"in {time.monotonic() - started:.1f} s")


main()
