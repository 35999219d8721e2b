"""Opens a TUN, sets it up, and becomes a program whose standard input it is.

The kernel may leave checksums to the device, as whoever opened it for another use may have said: a
program that takes packets as they are has to take that back.

usage: given_descriptor.py [--header] DEVICE ADDRESS/LENGTH PROGRAM [ARGUMENT...]
       --header: with a virtio_net_hdr before each packet (IFF_VNET_HDR)
"""

import fcntl
import os
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUNSETOFFLOAD = 0x400454D0
TUN_F_CSUM = 0x01


def main():
    arguments = sys.argv[1:]
    flags = IFF_TUN | IFF_NO_PI
    if arguments[:1] == ["--header"]:
        flags |= IFF_VNET_HDR
        arguments.pop(0)
    if len(arguments) < 3:
        sys.exit(__doc__)
    device, address, *program = arguments
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    request = struct.pack("16sH22x", device.encode(), flags)
    fcntl.ioctl(descriptor, TUNSETIFF, request)
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM)
    subprocess.run(["ip", "addr", "add", address, "dev", device], check=True)
    subprocess.run(["ip", "link", "set", device, "up"], check=True)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    os.execv(program[0], program)


main()
