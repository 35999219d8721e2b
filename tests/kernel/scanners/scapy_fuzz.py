"""Packets that scapy's fuzz() makes up, to a host, for so many seconds.

usage: scapy_fuzz.py HOST SECONDS

Half of them are TCP segments to open ports with random fields and options, some with a sequence
number that the host has just acknowledged; the rest is ICMP, UDP and IP with random fields.
"""

import random
import sys
import time

from scapy.all import ICMP, IP, TCP, UDP, Raw, conf, fuzz, sr1

PORTS = (7, 9, 19, 80, 81)


def segment(host, known):
    """A TCP segment, now and then one that belongs to a connection."""
    ip = IP(dst=host, src=f"10.7.0.{random.randrange(3, 250)}")
    if known and random.random() < 0.4:
        port, source, seq, ack = random.choice(known)
        tcp = TCP(
            sport=source,
            dport=port,
            seq=seq + random.randrange(-5, 50),
            ack=ack + random.randrange(-5, 50),
            flags=random.randrange(256),
            urgptr=random.randrange(65536),
        )
        return IP(dst=host) / tcp / Raw(random.randbytes(random.randrange(100)))
    tcp = fuzz(TCP(dport=random.choice(PORTS)))
    if random.random() < 0.5:
        tcp = TCP(dport=random.choice(PORTS), flags=random.randrange(256))
        tcp.seq = random.getrandbits(32)
        tcp.options = [(random.randrange(256), random.randbytes(random.randrange(9)))]
    return ip / tcp / Raw(random.randbytes(random.randrange(200)))


def other(host):
    """Something that is no TCP segment."""
    return random.choice(
        (
            lambda: fuzz(IP(dst=host) / ICMP()),
            lambda: fuzz(IP(dst=host) / UDP(dport=7)) / Raw(random.randbytes(20)),
            lambda: IP(dst=host, flags=1, frag=random.randrange(100)) / fuzz(TCP()),
            lambda: fuzz(IP(dst=host, ihl=random.randrange(5, 16))) / fuzz(TCP()),
            lambda: IP(dst=host) / ICMP(type=3, code=4, nexthopmtu=68) / fuzz(IP() / TCP(sport=80)),
        )
    )()


def main():
    """Sends until the time is over."""
    host, seconds = sys.argv[1], float(sys.argv[2])
    conf.verb = 0
    socket = conf.L3socket()
    known, sent, unsent, end = [], 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if sent % 500 == 0:
            source = random.randrange(1024, 30000)
            syn = IP(dst=host) / TCP(sport=source, dport=random.choice(PORTS), flags="S", seq=sent)
            answer = sr1(syn, timeout=0.2)
            if answer is not None and answer.haslayer(TCP):
                known = known[-20:] + [(syn.dport, source, sent + 1, answer[TCP].seq + 1)]
        try:
            socket.send(segment(host, known) if random.random() < 0.5 else other(host))
            sent += 1
        except (OSError, ValueError, TypeError, AttributeError):
            unsent += 1  # What scapy makes up cannot always be put into octets, or sent.
            sent += 1
    print(f"scapy: {sent - unsent} packets sent, {unsent} could not be")
    sys.exit(sent - unsent < 100)


main()
