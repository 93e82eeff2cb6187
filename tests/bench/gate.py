"""The gate with 26,000 devices: from the click that locks a room of 30 to the last byte of an open transfer, the ruleset made anew, and
the page of the room."""
import http.client
import json
import os
import re
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import time
import uuid

from lab import Lab, memory_mib, note, report, sh, wait_until

DEVICES, SEATS, ROUNDS = 26_000, 30, 100
HOST = "198.51.100.2"


def talk():
    """A host of the internet that sends without end; run inside its namespace."""
    listener = socket.create_server(("0.0.0.0", 443))
    while True:
        stream, _ = listener.accept()
        if os.fork() == 0:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while True:
                    stream.sendall(b"." * 1000)
                    time.sleep(0.001)
            except OSError:
                os._exit(0)
        stream.close()


def listen():
    """A pupil's PC: for each line on its input opens a transfer, says when it flows, and when its last byte came."""
    for _ in sys.stdin:
        stream = socket.create_connection((HOST, 443), timeout=5)
        stream.recv(1000)
        print("flows", flush=True)
        stream.settimeout(0.7)
        last = time.time()
        try:
            while stream.recv(65536):
                last = time.time()
        except OSError:
            pass
        print(last, flush=True)
        stream.close()


def fill(path):
    """A school of 26,000 devices, written straight into its database while nothing runs."""
    db = sqlite3.connect(path)
    network, cidr = db.execute("SELECT id, cidr FROM networks").fetchone()
    db.execute("UPDATE networks SET cidr = '10.0.0.0/8', level = 'off', nat = 1, pool_first = '10.255.0.1', pool_last = '10.255.0.9'")
    rooms = []
    for n in range(DEVICES // SEATS + 1):
        rooms.append(uuid.uuid4().bytes)
        db.execute("INSERT INTO rooms (id, name, created_at) VALUES (?, ?, 0)", (rooms[-1], f"Raum {n}"))
    for n in range(DEVICES):
        device, mac = uuid.uuid4().bytes, "02:00:" + ":".join(f"{b:02x}" for b in n.to_bytes(4, "big"))
        address = "10.77.0.2" if n == 0 else f"10.{1 + n // 60000}.{n // 250 % 250}.{n % 250 + 1}"
        db.execute("INSERT INTO devices (id, name, room_id, hardware, serial, smbios_uuid, observed, created_at)"
                   " VALUES (?, ?, ?, '{}', '', '', '{}', 0)", (device, f"pc-{n}", rooms[n // SEATS]))
        db.execute("INSERT INTO device_numbers (device_id) VALUES (?)", (device,))
        db.execute("INSERT INTO interfaces (mac, device_id, kind, reserved_ip) VALUES (?, ?, 'lan', ?)", (mac, device, address))
    db.commit()
    db.close()
    return str(uuid.UUID(bytes=rooms[0]))


class Api:
    """One kept connection of somebody who is signed in."""

    def __init__(self, lab):
        context = ssl.create_default_context(cafile=os.path.join(lab.dir, "data/keys/ca.pem"))
        self.connection = http.client.HTTPSConnection("10.77.0.1", context=context, timeout=20)
        answer = self.call("POST", "/api/v1/session", {"name": "admin", "password": "benchmark-only"}, raw=True)
        self.cookie = answer.getheader("set-cookie").split(";")[0]

    def call(self, method, path, body=None, raw=False):
        headers = {"content-type": "application/json", "cookie": getattr(self, "cookie", "")}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text[:300]}")
        return answer if raw else text


def main():
    with Lab() as lab:
        lab.init()
        room = fill(os.path.join(lab.dir, "data/hausmeister.db"))
        internet = f"hm-bench-i{os.getpid()}"
        sh("ip", "netns", "add", internet)
        try:
            measure(lab, room, internet)
        finally:
            subprocess.run(["ip", "netns", "del", internet], check=False)


def measure(lab, room, internet):
    sh("ip", "link", "add", "wan", "netns", lab.server, "type", "veth", "peer", "name", "eth0", "netns", internet)
    for name, card, address in ((lab.server, "wan", "198.51.100.1/24"), (internet, "eth0", f"{HOST}/24")):
        sh("ip", "-n", name, "address", "add", address, "dev", card)
        sh("ip", "-n", name, "link", "set", card, "up")
    sh("ip", "-n", lab.client, "link", "set", "vc", "address", "02:00:00:00:00:00")
    sh("ip", "-n", lab.client, "route", "add", "default", "via", "10.77.0.1")
    lab.start(internet, sys.executable, __file__, "talk")
    begun = time.monotonic()
    server = lab.up()
    wait_until(lambda: "the gate guards" in open(os.path.join(lab.dir, "up.log")).read(), 60, "the gate")
    note(f"start to guarded: {time.monotonic() - begun:.2f} s")
    api = []
    wait_until(lambda: api.append(from_client(lab)) or True, 30, "signing in")
    api = api[0]

    lasts = lock_delays(lab, api, room)
    ordered = sorted(lasts)
    note(f"click to last byte, ms: median {statistics.median(ordered):.1f}, 95th {ordered[94]:.1f}, worst {ordered[-1]:.1f}")
    report(name="gate_lock_median_ms", ours=round(statistics.median(ordered), 1), peer=None, peer_name=None, better="lower",
           target=50, unit="ms")
    report(name="gate_lock_worst_ms", ours=round(ordered[-1], 1), peer=None, peer_name=None, better="lower", target=250, unit="ms")

    rebuilds = [rebuild(lab) for _ in range(3)]
    note(f"table of {DEVICES} devices made anew after a flush, as the log tells: {rebuilds} s")
    report(name="gate_rebuild_s", ours=statistics.median(rebuilds), peer=None, peer_name=None, better="lower", target=2.0, unit="s")

    pages = []
    for _ in range(100):
        begun = time.perf_counter()
        api.call("GET", f"/room/{room}")
        pages.append((time.perf_counter() - begun) * 1000)
    report(name="room_page_ms", ours=round(statistics.median(pages), 1), peer=None, peer_name=None, better="lower", target=20, unit="ms")
    note(f"resident memory of the server with {DEVICES} devices: {memory_mib(server.pid):.0f} MiB")


def from_client(lab):
    """A connection whose socket was made in the client's namespace."""
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{lab.client}", os.O_RDONLY)
    try:
        libc.setns(there, 0)
        return Api(lab)
    finally:
        libc.setns(here, 0)
        os.close(here)
        os.close(there)


def lock_delays(lab, api, room):
    pc = subprocess.Popen(["ip", "netns", "exec", lab.client, sys.executable, __file__, "listen"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    lab.processes.append(pc)
    delays = []
    for _ in range(ROUNDS):
        api.call("POST", f"/api/v1/gate/rooms/{room}", {"level": "on", "span": "90"})
        wait_until(lambda: confirmed(api, room) == "on", 5, "the grant")
        pc.stdin.write("go\n")
        pc.stdin.flush()
        if pc.stdout.readline().strip() != "flows":
            sys.exit("the granted transfer did not begin")
        time.sleep(0.1)
        clicked = time.time()
        api.call("POST", f"/api/v1/gate/rooms/{room}", {"level": "off", "span": "90"})
        delays.append(max(0.0, (float(pc.stdout.readline()) - clicked) * 1000))
    return delays


def confirmed(api, room):
    devices = json.loads(api.call("GET", f"/api/v1/gate/rooms/{room}"))["devices"]
    return devices[0]["level"] if devices[0]["confirmed"] else None


def rebuild(lab):
    """How long the log says that making the table took."""
    path = os.path.join(lab.dir, "up.log")
    before = len(open(path).read())
    sh("ip", "netns", "exec", lab.server, "nft", "delete", "table", "inet", "hausmeister")
    made = lambda: re.findall(r"the gate guards.*?duration_ms=(\d+)", open(path).read()[before:])
    wait_until(made, 20, "the table")
    return int(made()[-1]) / 1000


if sys.argv[1:2] == ["talk"]:
    talk()
elif sys.argv[1:2] == ["listen"]:
    listen()
elif __name__ == "__main__":
    main()
