"""Watches the packets that cross a device, as the kernel hands them over; and speaks UDP in trains.

usage: offload_peer.py watch DEVICE MTU
       until it is terminated; then a line `NAME COUNT` for each of: in, in_large (longer than the
       MTU), in_large_udp (of those), out, out_large, out_large_udp, probes (to 192.0.2.2), answers
       (from or to 192.0.2.1 on the way out)
       offload_peer.py udp HOST PORT
       trains by UDP_SEGMENT to an echo, each datagram of which must come back as it was
       offload_peer.py ask HOST PORT
       asks examples/datagrams.rs for trains, by a socket with and one without UDP_GRO
"""

import signal
import socket
import sys

ETH_P_ALL = 3  # What leaves too, which a tap for one protocol does not see.
PACKET_OUTGOING = 4
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
PROTOCOL_AT, PROTOCOL_UDP = 9, 17
PROBE_SOURCE, PROBE_DESTINATION = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2")


def watch(device, mtu):
    names = ["in", "in_large", "in_large_udp", "out", "out_large", "out_large_udp"]
    names += ["probes", "answers"]
    counts = dict.fromkeys(names, 0)
    ended = []
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    tap.bind((device, ETH_P_ALL))
    tap.settimeout(0.2)
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    print("watching", flush=True)
    head = bytearray(64)
    while True:
        try:
            length, _, _, address = tap.recvmsg_into([head], 0, socket.MSG_TRUNC)
        except TimeoutError:
            if ended:
                break
            continue
        way = "out" if address[2] == PACKET_OUTGOING else "in"
        counts[way] += 1
        source, destination = bytes(head[12:16]), bytes(head[16:20])
        if way == "in" and destination == PROBE_DESTINATION:
            counts["probes"] += 1
            continue
        counts[way + "_large"] += length > mtu
        counts[way + "_large_udp"] += length > mtu and head[PROTOCOL_AT] == PROTOCOL_UDP
        counts["answers"] += way == "out" and PROBE_SOURCE in (source, destination)
    for name in names:
        print(name, counts[name])


def udp(host, port):
    stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream.settimeout(5)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    stream.connect((host, port))
    for size, count, last in [(1200, 40, 7), (100, 64, 100), (1472, 3, 1), (500, 1, 500)]:
        datagrams = [bytes([number]) * size for number in range(count - 1)]
        datagrams.append(bytes([255]) * last)
        stream.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        sent = stream.send(b"".join(datagrams))
        assert sent == sum(map(len, datagrams)), f"{sent} octets of {size} * {count}"
        for number, datagram in enumerate(datagrams):
            heard = stream.recv(65536)
            assert heard == datagram, f"datagram {number} of {size} * {count}: {len(heard)} octets"
        print(f"{count} datagrams of {size} octets came back as they were")


def ask(host, port):
    for gro in [0, 1]:
        stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stream.settimeout(5)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        stream.setsockopt(SOL_UDP, UDP_GRO, gro)
        stream.connect((host, port))
        for count, size in [(40, 1200), (64, 100), (1, 9), (44, 1472), (2, 1)]:
            stream.send(f"{count} {size}".encode())
            hear(stream, count, size)
        for count, size, number in [(65, 1, "22"), (4, 1473, "90"), (45, 1472, "90")]:
            stream.send(f"{count} {size}".encode())
            heard = stream.recv(65536)
            assert b"os error " + number.encode() in heard, f"{count} of {size}: {heard}"
        print(f"every datagram came as it was, UDP_GRO={gro}")


def hear(stream, count, size):
    """`count` datagrams of `size` octets arrive, in order, be it several in one read."""
    number = 0
    while number < count:
        heard, ancillary, _, _ = stream.recvmsg(65536, 64)
        part = len(heard)
        for level, kind, value in ancillary:
            if (level, kind) == (SOL_UDP, UDP_GRO):
                part = int.from_bytes(value[:4], sys.byteorder)
        assert part == size, f"datagram {number} of {count} has {part} octets instead of {size}"
        for at in range(0, len(heard), part):
            assert heard[at : at + part] == bytes([number]) * size, f"datagram {number} of {count}"
            number += 1
    assert number == count, f"{number} datagrams instead of {count}"


def main():
    match sys.argv[1:]:
        case ["watch", device, mtu]:
            watch(device, int(mtu))
        case ["ask", host, port]:
            ask(host, int(port))
        case ["udp", host, port]:
            udp(host, int(port))
        case _:
            sys.exit(__doc__)


main()
