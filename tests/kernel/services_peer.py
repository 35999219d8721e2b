"""The small services and UDP, asked through the kernel's sockets.

usage: services_peer.py tcp HOST
       services_peer.py udp HOST
       services_peer.py closed HOST
"""

import errno
import random
import socket
import sys
import threading
import time

ECHO, DISCARD, CHARGEN = 7, 9, 19

# No check waits longer than this for one answer.
PATIENCE = 30.0

# The ring of printable characters from which chargen cuts its lines (RFC 864).
RING = bytes(range(0x20, 0x7F))


def chargen_line(number):
    """Line `number` of the pattern that RFC 864 recommends: 72 characters, one further each."""
    doubled = RING + RING
    start = number % len(RING)
    return doubled[start : start + 72] + b"\r\n"


def tcp(host):
    """Echo, discard and chargen over TCP."""
    noise = random.Random(7).randbytes(1 << 20)
    with socket.create_connection((host, ECHO), timeout=PATIENCE) as stream:

        def write():
            stream.sendall(noise)
            stream.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        received = b"".join(iter(lambda: stream.recv(1 << 16), b""))
        assert received == noise, f"{len(received)} octets of echo"
    print("echo: 1 MiB, and the end after our end")

    with socket.create_connection((host, DISCARD), timeout=PATIENCE) as stream:
        stream.sendall(noise)
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(1) == b"", "discard answered"
    print("discard: 1 MiB and no answer")

    with socket.create_connection((host, CHARGEN), timeout=PATIENCE) as stream:
        wanted = b"".join(chargen_line(number) for number in range(20_000))
        received = bytearray()
        while len(received) < len(wanted):
            chunk = stream.recv(1 << 16)
            assert chunk, "chargen ended"
            received += chunk
        assert received[: len(wanted)] == wanted, "chargen's pattern is another one"
    print(f"chargen: {len(received)} octets of its pattern")


def udp(host):
    """Echo, discard and chargen over UDP."""
    noise = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        datagrams.connect((host, ECHO))
        # 1,472 octets are the most that an MTU of 1,500 leaves.
        for octets in (0, 1, 2, 511, 1471, 1472):
            sent = noise.randbytes(octets)
            datagrams.send(sent)
            assert datagrams.recv(2048) == sent, octets
    print("echo: six sizes")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((host, DISCARD))
        datagrams.send(b"gone")
        datagrams.settimeout(0.5)
        try:
            raise AssertionError(f"discard answered {datagrams.recv(2048)!r}")
        except TimeoutError:
            print("discard: no answer")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        datagrams.connect((host, CHARGEN))
        for _ in range(8):
            datagrams.send(b"?")
            answer = datagrams.recv(2048)
            # "A random number (0 to 512) of characters" (RFC 864).
            assert len(answer) <= 512, len(answer)
            assert set(answer) <= set(RING + b"\r\n"), answer
    print("chargen: 8 datagrams of at most 512 octets")


def closed(host):
    """A closed port says so: by ICMP to UDP, by a reset to TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        datagrams.connect((host, 40_000))
        datagrams.send(b"anybody?")
        try:
            datagrams.recv(2048)
            raise AssertionError("an answer from a closed port")
        except OSError as error:
            assert error.errno == errno.ECONNREFUSED, error
    print("UDP: ECONNREFUSED")
    started = time.monotonic()
    try:
        socket.create_connection((host, 40_000), timeout=PATIENCE)
        raise AssertionError("a connection to a closed port")
    except ConnectionRefusedError:
        assert time.monotonic() - started < 0.9, "the refusal came after a retransmission"
    print("TCP: ECONNREFUSED, at once")


def main():
    match sys.argv[1:]:
        case ["tcp", host]:
            tcp(host)
        case ["udp", host]:
            udp(host)
        case ["closed", host]:
            closed(host)
        case _:
            sys.exit(__doc__)


main()
