"""A room of PCs that get the same image at the same time, beside one PC.

Every PC is the real agent on a disk that is a file (agent/examples/folder_pc.rs) in a network namespace of its own; the server
is `hausmeister up` in another. A bridge lies between them, and every line, the server's too, is limited to the same rate in both
directions. The rate is low because all of them share two processors: what is compared is how often the same bytes go over a
line, which does not depend on it.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import deploy
import lab
from lab import ROOT, Lab, note, report, wait_until

PCS = int(os.environ.get("BENCH_ROOM_PCS", "30"))
RATE = int(os.environ.get("BENCH_ROOM_MBIT", "15"))
IMAGE_MIB = deploy.IMAGE_MIB = int(os.environ.get("BENCH_ROOM_MIB", "500"))
SERVER = "10.78.0.1"


class Room:
    """Namespaces with limited lines to one bridge."""

    def __init__(self, place, count):
        self.place, self.names = place, []
        self.bridge = f"{place.server}-sw"
        lab.sh("ip", "netns", "add", self.bridge)
        lab.sh("ip", "-n", self.bridge, "link", "add", "br0", "type", "bridge")
        lab.sh("ip", "-n", self.bridge, "link", "set", "br0", "up")
        self.attach(place.server, SERVER, "room")
        for number in range(count):
            name = f"{place.server}-{number}"
            lab.sh("ip", "netns", "add", name)
            lab.sh("ip", "-n", name, "link", "set", "lo", "up")
            self.names.append(name)
            self.attach(name, f"10.78.1.{number + 1}", "eth0")

    def attach(self, name, address, card):
        port = f"p{len(self.names)}" if card == "eth0" else "server"
        lab.sh("ip", "-n", self.bridge, "link", "add", port, "type", "veth", "peer", "name", card, "netns", name)
        lab.sh("ip", "-n", self.bridge, "link", "set", port, "master", "br0", "up")
        lab.sh("ip", "-n", name, "addr", "add", f"{address}/16", "dev", card)
        lab.sh("ip", "-n", name, "link", "set", card, "up")
        for namespace, device in ((self.bridge, port), (name, card)):
            lab.sh("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{RATE}mbit",
                   "burst", "64kb", "latency", "100ms")

    def sent(self):
        """Bytes that the server has sent into the room."""
        text = lab.sh("ip", "-n", self.place.server, "-s", "-j", "link", "show", "dev", "room")
        return json.loads(text)[0]["stats64"]["tx"]["bytes"]

    def close(self):
        for name in [*self.names, self.bridge]:
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Pc:
    """One agent, from its start to the end of its deploy."""

    def __init__(self, place, namespace, name):
        # In memory: thirty disks are not one.
        self.folder, self.name = tempfile.mkdtemp(prefix="hausmeister-bench-", dir="/dev/shm"), name
        for path, text in (("sys/block/vda/size", str((IMAGE_MIB + 64) * 2048)), ("sys/block/vda/serial", f"DISK-{name}"),
                           ("sys/class/dmi/id/product_serial", name), ("proc/meminfo", "MemTotal: 4000000 kB\n")):
            os.makedirs(os.path.dirname(os.path.join(self.folder, path)), exist_ok=True)
            with open(os.path.join(self.folder, path), "w") as out:
                out.write(text)
        os.makedirs(os.path.join(self.folder, "dev"))
        with open(os.path.join(self.folder, "dev/vda"), "wb") as out:
            out.truncate((IMAGE_MIB + 64) << 20)
        self.waiting, self.ended = threading.Event(), threading.Event()
        self.begun = self.took = self.facts = self.problem = None
        self.process = subprocess.Popen(["ip", "netns", "exec", namespace, deploy.PC, f"https://{SERVER}:8443",
                                         os.path.join(place.dir, "data/keys/ca.pem"), self.folder], stdout=subprocess.PIPE, text=True)
        place.processes.append(self.process)
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            if "MARK waiting" in line:
                self.waiting.set()
            elif "MARK deploy begin" in line:
                self.begun = time.monotonic()
            elif "MARK deploy done" in line:
                self.took = time.monotonic() - self.begun
                self.facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
                self.ended.set()
            elif "MARK error" in line:
                self.problem = line.strip()
        self.ended.set()

    def remove(self):
        shutil.rmtree(self.folder)


def approve(admin, pcs):
    for pc in pcs:
        if not pc.waiting.wait(60):
            sys.exit(f"{pc.name} does not ask for approval")
    serials = {entry["hardware"]["serial"]: entry["id"] for entry in admin.ask("/waiting")["items"]}
    for pc in pcs:
        admin.post(f"/waiting/{serials[pc.name]}/approve", {"name": pc.name, "room": "Bench", "image": "Bench"})


def write(place, room, admin, label, count, cut_off=()):
    """Seconds from the first begin to the last end, and bytes that the server sent."""
    pcs = [Pc(place, room.names[number], f"{label}{number:02}") for number in range(count)]
    before = room.sent()
    approve(admin, pcs)
    for number in cut_off:
        wait_until(lambda: pcs[number].begun, 60, "the PC to cut off does not begin")
        threading.Timer(5, lab.sh, ("ip", "-n", room.names[number], "link", "set", "eth0", "down")).start()
    for number, pc in enumerate(pcs):
        if number in cut_off:
            continue
        if not pc.ended.wait(900) or pc.took is None:
            sys.exit(f"{pc.name} was not deployed: {pc.problem}")
    ends = [pc for number, pc in enumerate(pcs) if number not in cut_off]
    took = max(pc.begun + pc.took for pc in ends) - min(pc.begun for pc in ends)
    sent = room.sent() - before
    for number, pc in enumerate(pcs):
        place.stop(pc.process)
        if number in cut_off:
            lab.sh("ip", "-n", room.names[number], "link", "set", "eth0", "up")
        pc.remove()
    size = int(ends[0].facts["transferred"])
    return took, sent, size


def main():
    with tempfile.TemporaryDirectory(prefix="hausmeister-bench-") as folder:
        image = deploy.make_image(folder)
        with Lab(None) as place:
            place.init()
            place.hausmeister("image", "import", "--name", "Bench", image)
            place.up()
            wait_until(lambda: ":8443 " in lab.sh("ip", "netns", "exec", place.server, "ss", "-ltn"), 20, "deployd does not serve")
            room = Room(place, PCS)
            try:
                measure(place, room, deploy.Admin(place))
            finally:
                room.close()


def measure(place, room, admin):
    one, _, size = write(place, room, admin, "one", 1)
    note(f"one PC: {size >> 20} MiB compressed in {one:.1f} s; the line alone would take {size * 8 / RATE / 1e6:.1f} s")
    many, sent, _ = write(place, room, admin, "many", PCS)
    note(f"{PCS} PCs: {many:.1f} s; the server sent {sent / size:.2f} times the image")
    cut, sent_cut, _ = write(place, room, admin, "cut", PCS, cut_off=(0, PCS // 2))
    note(f"{PCS} PCs, of which two are cut off after 5 s: {cut:.1f} s; the server sent {sent_cut / size:.2f} times the image")
    report(name="room30_vs_one", ours=round(many, 1), peer=round(one, 1), peer_name="one PC", better="lower", target=1.3, unit="s")
    report(name="room30_server_sent", ours=round(sent / size, 2), peer=None, peer_name=None, better="lower", target=1.5, unit="images")
    report(name="room30_two_cut_off_vs_one", ours=round(cut, 1), peer=round(one, 1), peer_name="one PC", better="lower", target=1.5, unit="s")


if __name__ == "__main__":
    main()
