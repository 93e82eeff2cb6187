"""`hausmeister up` at rest: time from start to the first DHCP answer, and resident memory."""
import random
import socket
import statistics
import struct
import subprocess
import sys
import time

from lab import Lab, memory_mib, note, report


def discover(xid, mac):
    packet = struct.pack("!BBBBIHHIIII", 1, 1, 6, 0, xid, 0, 0x8000, 0, 0, 0, 0) + mac + bytes(10) + bytes(192)
    return packet + bytes([99, 130, 83, 99, 53, 1, 1, 55, 3, 1, 3, 6, 255])


def first_answer(interface):
    """Asks every 10 ms until a server offers; run inside the client's namespace. Prints the time of the answer."""
    talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    talk.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    talk.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    talk.bind(("0.0.0.0", 68))
    talk.settimeout(0.01)
    mac, deadline = random.randbytes(5), time.time() + 20
    while time.time() < deadline:
        try:
            talk.sendto(discover(random.getrandbits(32), b"\x02" + mac), ("255.255.255.255", 67))
            if talk.recv(1500)[0] == 2:
                print(time.time())
                return
        except (TimeoutError, OSError):
            pass
    sys.exit("no answer within 20 s")


def main():
    starts = []
    with Lab() as lab:
        lab.init()
        for _ in range(5):
            asker = subprocess.Popen(["ip", "netns", "exec", lab.client, sys.executable, __file__, "ask", "vc"],
                                     stdout=subprocess.PIPE, text=True)
            time.sleep(0.3)
            begun = time.time()
            server = lab.up()
            answered, _ = asker.communicate(timeout=30)
            starts.append(float(answered) - begun)
            time.sleep(10)
            memory = memory_mib(server.pid)
            lab.stop(server)
    note(f"starts: {', '.join(f'{s:.3f}' for s in starts)} s")
    report(name="up_start_to_dhcp", ours=round(statistics.median(starts), 3), peer=None, peer_name=None, better="lower",
           target=1.0, unit="s")
    report(name="up_idle_memory", ours=round(memory, 1), peer=None, peer_name=None, better="lower", target=80, unit="MiB")


if sys.argv[1:2] == ["ask"]:
    first_answer(sys.argv[2])
else:
    main()
