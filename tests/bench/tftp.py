"""TFTP: ours and tftpd-hpa's, alternately. One client loads 50 MiB over a veth pair; the client is our own for both, since common
clients have no `windowsize`, which tftpd-hpa does not grant.
"""
import hashlib
import json
import os
import statistics
import sys
import time

import lab
from lab import BIN, CLIENT, SERVER, Lab, note, report, wait_until

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
BYTES = 50 << 20
HERE = os.path.dirname(os.path.abspath(__file__))


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    # utime, stime, and those of children that ended: tftpd-hpa forks for each transfer.
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def serves(place):
    return ":69 " in lab.sh("ip", "netns", "exec", place.server, "ss", "-lun")


def start_ours(place, folder):
    config = os.path.join(place.dir, "netd.toml")
    with open(config, "w") as out:
        out.write(f'[site]\ndata_dir = "{place.dir}"\n[netd]\ninterfaces = ["vs"]\n')
    assert folder == os.path.join(place.dir, "boot")
    return place.start(place.server, os.path.join(BIN, "netd"), "--config", config, log="netd.log")


def start_peer(place, folder):
    return place.start(place.server, "in.tftpd", "-L", "--address", f"{SERVER}:69", "--secure", "--blocksize", "1468", folder)


def load(place, process, block, window, digest):
    before = cpu_seconds(process.pid)
    said = lab.sh("ip", "netns", "exec", place.client, sys.executable, os.path.join(HERE, "tftpload.py"), SERVER, "file",
                  str(block), str(window))
    result = json.loads(said)
    if result["digest"] != digest:
        sys.exit(f"the bytes that arrived are wrong: {result}")
    time.sleep(0.1)
    return result["bytes"] / result["seconds"] / 1e6, cpu_seconds(process.pid) - before


def main():
    with Lab() as place:
        folder = os.path.join(place.dir, "boot")
        os.makedirs(folder)
        content = os.urandom(BYTES)
        with open(os.path.join(folder, "file"), "wb") as out:
            out.write(content)
        for path in (place.dir, folder):
            os.chmod(path, 0o755)
        digest = hashlib.blake2b(content).hexdigest()
        kinds = [(512, 1, 1.0), (1468, 1, 1.0), (1468, 16, 2.0)]
        speeds = {}
        for _ in range(ROUNDS):
            for name, start in (("netd", start_ours), ("tftpd-hpa", start_peer)):
                process = start(place, folder)
                wait_until(lambda: serves(place), 20, f"{name} does not serve")
                for block, window, _ in kinds:
                    speed, cpu = load(place, process, block, window, digest)
                    speeds.setdefault((name, block, window), []).append(speed)
                    note(f"{name} block {block} window {window}: {speed:.1f} MB/s, {cpu:.2f} s CPU of the server")
                place.stop(process)
                wait_until(lambda: not serves(place), 20, f"{name} does not end")
        for block, window, target in kinds:
            ours, peer = (statistics.median(speeds[(name, block, window)]) for name in ("netd", "tftpd-hpa"))
            report(name=f"tftp_block_{block}_window_{window}_vs_hpa", ours=round(ours, 1), peer=round(peer, 1), peer_name="tftpd-hpa",
                   better="higher", target=target, unit="MB/s")


if __name__ == "__main__":
    main()
