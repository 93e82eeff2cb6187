#!/usr/bin/env python3
"""Loads one file by TFTP and says how long it took: tftpload.py HOST FILE BLKSIZE WINDOWSIZE. Common clients have no windowsize.

Prints one line of JSON: seconds, bytes, digest (BLAKE2b), and what the server granted.
"""
import hashlib
import json
import socket
import struct
import sys
import time


def load(host, name, block, window):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(3)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    options = b"" if block == 512 else b"blksize\0%d\0" % block
    if window > 1:
        options += b"windowsize\0%d\0" % window
    begin = time.monotonic()
    client.sendto(struct.pack("!H", 1) + name.encode() + b"\0octet\0" + options, (host, 69))
    packet, peer = client.recvfrom(65536)
    client.connect(peer)
    granted = {}
    if packet[1] == 6:
        words = packet[2:].split(b"\0")
        granted = {k.decode(): int(v) for k, v in zip(words[::2], words[1::2])}
        client.send(b"\0\x04\0\0")
        packet = client.recv(65536)
    block, window = granted.get("blksize", 512), granted.get("windowsize", 1)
    parts, have, in_window = [], 0, 0
    while True:
        if packet[1] == 5:
            sys.exit(packet[4:].decode())
        number = (packet[2] << 8) | packet[3]
        if number == (have + 1) & 0xFFFF:
            parts.append(packet[4:])
            have += 1
            in_window += 1
            last = len(packet) - 4 < block
            if last or in_window == window:
                client.send(struct.pack("!HH", 4, number))
                in_window = 0
            if last:
                break
        elif in_window:
            client.send(struct.pack("!HH", 4, have & 0xFFFF))
            in_window = 0
        packet = client.recv(65536)
    seconds = time.monotonic() - begin
    content = b"".join(parts)
    return {"seconds": seconds, "bytes": len(content), "digest": hashlib.blake2b(content).hexdigest(), "granted": granted}


print(json.dumps(load(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
