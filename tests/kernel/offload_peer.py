"""Watches the packets that cross a device, as the kernel hands them over; and speaks UDP in trains.

usage: offload_peer.py watch DEVICE MTU
       until it is terminated; then a line `NAME COUNT` for each of: in, in_large (longer than the
       MTU), out, out_large, probes (to 192.0.2.2), answers (from or to 192.0.2.1 on the way out)
       offload_peer.py udp HOST PORT
       trains by UDP_SEGMENT to an echo, each datagram of which must come back as it was
"""

import signal
import socket
import sys

ETH_P_ALL = 3  # What leaves too, which a tap for one protocol does not see.
PACKET_OUTGOING = 4
SOL_UDP, UDP_SEGMENT = 17, 103
PROBE_SOURCE, PROBE_DESTINATION = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2")


def watch(device, mtu):
    names = ["in", "in_large", "out", "out_large", "probes", "answers"]
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
        counts[way + "_large"] += length > mtu
        source, destination = bytes(head[12:16]), bytes(head[16:20])
        counts["probes"] += way == "in" and destination == PROBE_DESTINATION
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


def main():
    match sys.argv[1:]:
        case ["watch", device, mtu]:
            watch(device, int(mtu))
        case ["udp", host, port]:
            udp(host, int(port))
        case _:
            sys.exit(__doc__)


main()
