"""Throws truncated, random and mutated packets at the stack, past the kernel's own IP layer.

usage: fuzz_peer.py DEVICE HOST PACKETS SEED PID
       HOST is the stack's address; PID is the process whose memory must stay flat.

The packets are put onto the TUN by a packet socket, so the stack reads them as they are. Templates
carry valid checksums and foreign ports, so that mutations reach deep; what is made in the name of
a connection that others are using stays outside its window or has a broken checksum, since a
forged segment that is right in every field *is* the connection's, to any TCP.
"""

import random
import socket
import struct
import sys
import time

ETH_P_IP = 0x0800

# What the process may grow by between the first fifth of the packets and the last: half-open
# connections and the pools have reached their bounds by then.
GROWTH_MAX_KIB = 16 * 1024

# Packets a second, so that the device's queue (which drops silently) lets most of them through.
RATE = 25_000


def checksum(octets):
    """The Internet checksum (RFC 1071)."""
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol, source, destination, payload, options=b"", flags=0x4000):
    """One IPv4 packet with a valid header checksum."""
    length = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | length // 4,
        0,
        length + len(payload),
        0,
        flags,
        64,
        protocol,
        0,
        source,
        destination,
    )
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def with_checksum(protocol, source, destination, payload, at):
    """`payload` with the transport checksum (over the pseudo-header too) filled in at `at`."""
    pseudo = source + destination + struct.pack("!BBH", 0, protocol, len(payload))
    value = checksum(pseudo + payload)
    return payload[:at] + struct.pack("!H", value) + payload[at + 2 :]


def tcp_segment(noise, source, destination, port):
    """A TCP segment of any flags, options and length, with a valid checksum."""
    options = noise.choice(
        [
            b"",
            b"\x02\x04\x05\xb4",
            b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + noise.randbytes(8) + b"\x01\x03\x03\x07",
            b"\x01\x01\x05\x0a" + noise.randbytes(8),
            noise.randbytes(4 * noise.randrange(11)),
        ]
    )
    flags = noise.choice([0x02, 0x02, 0x10, 0x12, 0x18, 0x11, 0x04, 0x14, noise.randrange(256)])
    head = struct.pack(
        "!HHIIBBHHH",
        noise.randrange(1024, 65_536),
        port,
        noise.getrandbits(32),
        noise.getrandbits(32),
        (20 + len(options)) // 4 << 4,
        flags,
        noise.getrandbits(16),
        0,
        noise.getrandbits(16),
    )
    payload = noise.randbytes(noise.choice([0, 0, 1, 100, 1400]))
    return with_checksum(6, source, destination, head + options + payload, 16)


def udp_datagram(noise, source, destination, port):
    """A UDP datagram, at times with a length field that is not its own."""
    payload = noise.randbytes(noise.choice([0, 1, 100, 1400]))
    length = 8 + len(payload) if noise.random() < 0.7 else noise.getrandbits(16)
    head = struct.pack("!HHHH", noise.randrange(1, 65_536), port, length, 0)
    return with_checksum(17, source, destination, head + payload, 6)


def icmp_message(noise, quoted):
    """An ICMP message: an echo, or any type about a packet that was never sent."""
    kind = noise.choice([8, 8, 0, 3, 3, 3, 4, 5, 11, 12, noise.randrange(256)])
    body = struct.pack("!BBHI", kind, noise.randrange(16), 0, noise.getrandbits(32))
    body += quoted[: noise.choice([0, 20, 27, 28, 48, 548])] if kind != 8 else noise.randbytes(56)
    return body[:2] + struct.pack("!H", checksum(body)) + body[4:]


def template(noise, host, peer):
    """One well-formed packet, of any of the protocols the stack speaks."""
    source = noise.choice([peer, peer, bytes([10, 7, 0, noise.randrange(256)]), noise.randbytes(4)])
    port = noise.choice([7, 9, 19, 80, 80, 80, noise.randrange(65_536)])
    ours = tcp_segment(noise, host, source, port)
    options = b"" if noise.random() < 0.8 else noise.randbytes(4 * noise.randrange(1, 11))
    flags = noise.choice([0x4000, 0x4000, 0x4000, 0, 0x2000, noise.getrandbits(16)])
    match noise.randrange(8):
        case 0 | 1 | 2 | 3:
            protocol, payload = 6, tcp_segment(noise, source, host, port)
        case 4 | 5:
            protocol, payload = 17, udp_datagram(noise, source, host, port)
        case 6:
            protocol, payload = 1, icmp_message(noise, ipv4(6, host, source, ours))
        case _:
            protocol, payload = noise.randrange(256), noise.randbytes(noise.randrange(200))
    return ipv4(protocol, source, host, payload, options, flags)


def mutated(noise, packet):
    """A few octets overwritten, inserted or removed anywhere."""
    packet = bytearray(packet)
    for _ in range(noise.randrange(1, 5)):
        at = noise.randrange(len(packet))
        match noise.randrange(4):
            case 0 | 1:
                packet[at] ^= 1 << noise.randrange(8)
            case 2:
                packet[at] = noise.choice([0, 1, 0x7F, 0x80, 0xFF])
            case _:
                packet[at : at + noise.randrange(4)] = noise.randbytes(noise.randrange(4))
        if not packet:
            packet = bytearray(b"\x45")
    return bytes(packet[:1500])


def packets(noise, host, peer):
    """An endless mixture of the four kinds."""
    while True:
        packet = template(noise, host, peer)
        match noise.randrange(8):
            case 0:
                yield "random", noise.randbytes(noise.randrange(1, 1500))
            case 1 | 2:
                yield "truncated", packet[: noise.randrange(1, len(packet) + 1)]
            case 3 | 4 | 5:
                yield "mutated", mutated(noise, packet)
            case _:
                yield "well-formed", packet


def resident_kib(pid):
    """How much memory a process holds."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise AssertionError(f"process {pid} is gone")


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    device, host, count, seed, pid = sys.argv[1:]
    count, pid = int(count), int(pid)
    noise = random.Random(int(seed))
    host = socket.inet_aton(host)
    peer = host[:3] + b"\x01"
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    address = (device, ETH_P_IP)
    sent, refused, early = {}, 0, None
    started = time.monotonic()
    for number, (kind, packet) in zip(range(count), packets(noise, host, peer)):
        try:
            raw.sendto(packet, address)
            sent[kind] = sent.get(kind, 0) + 1
        except OSError:
            refused += 1  # The device's queue is full.
        if number % 250 == 0:
            time.sleep(max(0.0, number / RATE - (time.monotonic() - started)))
        if number == count // 5:
            early = resident_kib(pid)
    late = resident_kib(pid)
    elapsed = time.monotonic() - started
    print(f"seed {seed}: {sent} in {elapsed:.1f} s; {refused} refused by a full queue")
    print(f"memory: {early} KiB after a fifth, {late} KiB at the end")
    assert sum(sent.values()) >= count * 9 // 10, "most of the packets must reach the device"
    assert late - early <= GROWTH_MAX_KIB, "the memory grows with what arrives"


main()
