"""One deploy beside what network and disk allow, measured with the same sizes in the same run.

The PC is the real agent on a disk that is a file (agent/examples/folder_pc.rs), the server is `hausmeister up`; a veth pair lies
between them, once limited to 1 Gbit/s as a school's LAN is, once not at all (then two processors are the limit). The image is
real files of this machine on ext4. Network alone: one plain TCP stream. Disk alone: as many bytes in pieces of 8 MiB, synced
every 64 MiB as the agent does. The limit is the slower of the two: the compressed bytes over the network, the used bytes onto
the disk.
"""
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import lab
from lab import BIN, ROOT, SERVER, Lab, note, report, wait_until

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
IMAGE_MIB = int(os.environ.get("BENCH_IMAGE_MIB", "1536"))
PC = os.environ.get("FOLDER_PC", os.path.join(ROOT, "target/x86_64-unknown-linux-gnu/agent/examples/folder_pc"))
PIECE, PORT = 8 << 20, 9000


def make_image(folder):
    """A disk image with one ext4 partition full of this machine's own programs and libraries."""
    files, disk, part = (os.path.join(folder, n) for n in ("files", "image.img", "part.img"))
    os.makedirs(files)
    left, number, out = (IMAGE_MIB - 200) << 20, 0, None
    for place, folders, names in os.walk("/usr"):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            if left <= 0 or os.path.islink(path) or not os.path.isfile(path):
                continue
            if out is None or out.tell() > 16 << 20:
                out, number = open(os.path.join(files, f"{number:04}"), "wb"), number + 1
            with open(path, "rb") as source:
                left -= out.write(source.read(left))
    out.close()
    lab.sh("mke2fs", "-q", "-t", "ext4", "-d", files, part, f"{IMAGE_MIB}M")
    with open(disk, "wb") as image:
        image.truncate((IMAGE_MIB + 8) << 20)
    lab.sh("sfdisk", "-q", disk, input="label: gpt\nstart=1MiB, size=%dMiB, type=L\n" % IMAGE_MIB)
    lab.sh("dd", f"if={part}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
    lab.sh("rm", "-r", files, part)
    return disk


def network_alone(place, count):
    """Seconds for `count` bytes over one TCP stream from the server's host to the client's."""
    sender = place.start(place.server, sys.executable, __file__, "send", str(count), log="send.log")
    wait_until(lambda: f":{PORT} " in lab.sh("ip", "netns", "exec", place.server, "ss", "-ltn"), 10, "the sender does not listen")
    took = float(lab.sh("ip", "netns", "exec", place.client, sys.executable, __file__, "receive"))
    sender.wait(10)
    return took


def send(count):
    content = os.urandom(PIECE)
    with socket.create_server((SERVER, PORT)) as listener:
        peer, _ = listener.accept()
        with peer:
            while count > 0:
                peer.sendall(content[:min(PIECE, count)])
                count -= PIECE


def receive():
    buffer = bytearray(1 << 20)
    begun = time.monotonic()
    with socket.create_connection((SERVER, PORT)) as talk:
        while talk.recv_into(buffer):
            pass
    print(time.monotonic() - begun)


def disk_alone(path, count):
    """Seconds to write `count` bytes to a new sparse file of the PC's disk size, durably."""
    content = os.urandom(PIECE)
    with open(path, "wb", buffering=0) as out:
        out.truncate((IMAGE_MIB + 64) << 20)
        begun = time.monotonic()
        for piece in range(-(-count // PIECE)):
            out.write(content)
            if piece % 8 == 7:
                os.fdatasync(out)
        os.fdatasync(out)
        took = time.monotonic() - begun
    os.unlink(path)
    return took


class Admin:
    """The web server's API, signed in, asked from the client's host."""

    def __init__(self, place):
        self.place = place
        self.post("/session", {"name": "admin", "password": "benchmark-only"})

    def ask(self, path, *more):
        jar = os.path.join(self.place.dir, "jar")
        answer = lab.sh("ip", "netns", "exec", self.place.client, "curl", "-sS", "--fail-with-body", "--cacert",
                        os.path.join(self.place.dir, "data/keys/ca.pem"), "-b", jar, "-c", jar, *more, f"https://{SERVER}/api/v1{path}")
        return json.loads(answer) if answer else None

    def post(self, path, body):
        return self.ask(path, "-H", "content-type: application/json", "-d", json.dumps(body))


def deploy(place, admin, name):
    """Seconds from the job's begin to its end, bytes of the image and bytes that crossed the network."""
    folder = os.path.join(place.dir, name)
    for path, text in (("size", str((IMAGE_MIB + 64) * 2048)), ("serial", f"DISK-{name}")):
        os.makedirs(os.path.join(folder, "sys/block/vda"), exist_ok=True)
        with open(os.path.join(folder, "sys/block/vda", path), "w") as out:
            out.write(text)
    for path, text in (("product_serial", name), ("sys_vendor", "Bench")):
        os.makedirs(os.path.join(folder, "sys/class/dmi/id"), exist_ok=True)
        with open(os.path.join(folder, "sys/class/dmi/id", path), "w") as out:
            out.write(text)
    os.makedirs(os.path.join(folder, "dev"))
    disk = os.path.join(folder, "dev/vda")
    with open(disk, "wb") as out:
        out.truncate((IMAGE_MIB + 64) << 20)
    process = subprocess.Popen(["ip", "netns", "exec", place.client, PC, f"https://{SERVER}:8443",
                                os.path.join(place.dir, "data/keys/ca.pem"), folder], stdout=subprocess.PIPE, text=True)
    place.processes.append(process)
    begun = took = None
    for line in process.stdout:
        if "MARK waiting" in line:
            entry = next(e for e in admin.ask("/waiting")["items"] if e["hardware"]["serial"] == name)
            admin.post(f"/waiting/{entry['id']}/approve", {"name": name, "room": "Bench", "image": "Bench"})
        elif "MARK deploy begin" in line:
            begun = time.monotonic()
        elif "MARK deploy done" in line:
            took = time.monotonic() - begun
            facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        elif "MARK error" in line:
            sys.exit(f"the PC says {line}")
    process.wait(30)
    os.unlink(disk)
    if took is None:
        sys.exit(f"{name} was not deployed")
    return took, int(facts["bytes"]), int(facts["transferred"])


def measure(image, rate_mbit):
    """Medians: seconds of a deploy, seconds that the slower of network and disk needs, and the image's used bytes."""
    with Lab(rate_mbit) as place:
        place.init()
        place.hausmeister("image", "import", "--name", "Bench", image)
        server = place.up()
        wait_until(lambda: ":8443 " in lab.sh("ip", "netns", "exec", place.server, "ss", "-ltn"), 20, "deployd does not serve")
        admin, ours, limits = Admin(place), [], []
        for round_ in range(ROUNDS):
            took, used, moved = deploy(place, admin, f"pc{round_}")
            network, disk = network_alone(place, moved), disk_alone(os.path.join(place.dir, "disk"), used)
            note(f"{rate_mbit or 'no'} Mbit/s limit: {used >> 20} MiB used, {moved >> 20} MiB sent; deploy {took:.2f} s, "
                 f"network alone {network:.2f} s, disk alone {disk:.2f} s")
            ours.append(took)
            limits.append(max(network, disk))
        place.stop(server)
    return statistics.median(ours), statistics.median(limits), used


def main():
    with tempfile.TemporaryDirectory(prefix="hausmeister-bench-") as folder:
        image = make_image(folder)
        for name, rate in (("deploy_vs_limit", 1000), ("deploy_vs_limit_fast_net", None)):
            ours, limit, used = measure(image, rate)
            report(name=name, ours=round(used / ours / 1e6, 1), peer=round(used / limit / 1e6, 1),
                   peer_name="slower of network and disk", better="higher", target=0.8, unit="MB/s of image")


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]))
    elif sys.argv[1:2] == ["receive"]:
        receive()
    else:
        main()
