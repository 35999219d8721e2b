"""TCP's options and oddities, asked through the kernel's sockets.

usage: options_peer.py agreed|sack|keepalive|urgent|linger HOST
"""

import json
import socket
import struct
import sys
import time
import urllib.request

ECHO, HTTP = 7, 80

# No check waits longer than this for one answer.
PATIENCE = 30.0


def connect(host, port):
    return socket.create_connection((host, port), timeout=PATIENCE)


def exchange(stream, octets):
    stream.sendall(octets)
    answer = b""
    while len(answer) < len(octets):
        piece = stream.recv(65536)
        assert piece, f"the end after {len(answer)} octets"
        answer += piece
    assert answer == octets, "other octets came back"


def agreed(host):
    """The kernel's TCP_INFO says that timestamps, SACK and window scale are agreed."""
    with connect(host, ECHO) as stream:
        exchange(stream, b"hello")
        info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    options = info[5]  # tcpi_options
    print(f"tcpi_options {options:#x}")
    for name, bit in {"timestamps": 1, "SACK": 2, "window scale": 4}.items():
        assert options & bit, f"{name}: not agreed"


def counters():
    """The kernel's own counters in this namespace."""
    with open("/proc/net/netstat", encoding="ascii") as lines:
        names, values = [line.split() for line in lines if line.startswith("TcpExt:")]
    return dict(zip(names[1:], map(int, values[1:])))


def sack(host):
    """Over a bad link the kernel sends again what SACK says is missing."""
    octets = bytes(5_000_000)
    request = urllib.request.Request(f"http://{host}/sink", data=octets, method="POST")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        assert json.load(answer)["octets"] == len(octets)
    after = counters()
    print({name: after[name] for name in ("TCPSackRecovery", "TCPRenoRecovery", "TCPTimeouts")})
    assert after["TCPSackRecovery"] > 0, "no recovery by SACK"
    assert after["TCPRenoRecovery"] == 0, "a recovery without SACK"


def keepalive(host):
    """The kernel's probes are answered: it would give up after two seconds of silence."""
    with connect(host, ECHO) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
        time.sleep(4)
        exchange(stream, b"still here")


def urgent(host):
    """Urgent octets come back in line, in their place."""
    with connect(host, ECHO) as stream:
        for number in range(20):
            stream.sendall(b"before")
            stream.send(b"!", socket.MSG_OOB)
            stream.sendall(b"after")
            answer = b""
            while len(answer) < 12:
                piece = stream.recv(65536)
                assert piece, "the end"
                answer += piece
            assert answer == b"before!after", f"{number}: {answer}"


def linger(host):
    """Clients that reset in the middle leave nothing behind."""
    for _ in range(50):
        stream = connect(host, HTTP)
        stream.sendall(b"GET /bytes/10000000 HTTP/1.1\r\nHost: wharf\r\n\r\n")
        assert stream.recv(1000), "no answer"
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.close()
    deadline = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(f"http://{host}/api/connections", timeout=PATIENCE) as answer:
            connections = json.load(answer)["connections"]
        left = [one for one in connections if one["state"] not in ("TIME-WAIT", "LISTEN")]
        if len(left) <= 1:  # The one that asks.
            return
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.1)


CHECKS = {
    "agreed": agreed,
    "sack": sack,
    "keepalive": keepalive,
    "urgent": urgent,
    "linger": linger,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](sys.argv[2])
