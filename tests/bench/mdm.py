"""The MDM server with 5,000 simulated iPads that share its two processors: CPU per session without work, commands answered, restart.

By name only (`tests/bench/run mdm`), after `cargo build --release --locked -p hausmeister-ipad --example fleet`."""
import json
import os
import subprocess
import sys
import time
import urllib.request
import ssl

from gate import Api
from lab import BIN, ROOT, Lab, memory_mib, note, report, wait_until

IPADS, IDLE_ROUNDS = 5000, 3
# The cheapest figure measured of NanoMDM (file backend, plain HTTP, two cores, 2048-bit keys). Not part of this run: it needs Go.
NANOMDM_CPU_MS = 0.37


def main():
    with Lab() as lab:
        url = "https://10.77.0.1:8444"
        lab.init("--mdm-url", url)
        with open(lab.config(), "a") as out:
            out.write('\n[mdm]\ntopic = "com.apple.mgmt.External.bench"\n')
        lab.start(lab.server, os.path.join(BIN, "webui"), "--config", lab.config(), log="webui.log")
        server = start(lab, url)
        # Page and iPads are on the server's own host.
        enter(lab.server)
        api = Api(lab)
        room = json.loads(api.call("POST", "/api/v1/rooms", {"name": "Raum 204"}))["id"]
        links = [json.loads(api.call("POST", "/api/v1/invitations", {"room": room, "uses": 2000, "days": 1}))["link"]
                 for _ in range(3)]
        measure(lab, api, links, server, url)


def enter(namespace):
    """Moves this process into a network namespace."""
    import ctypes
    with open(f"/var/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
            sys.exit("cannot enter the namespace")


def start(lab, url):
    process = lab.start(lab.server, os.path.join(BIN, "mdm"), "--config", lab.config(), log="mdm.log")
    wait_until(lambda: "mdm answers" in open(os.path.join(lab.dir, "mdm.log")).read(), 20, "mdm")
    return process


def cpu_secs(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Fleet:
    def __init__(self, lab, link, first, count):
        command = [os.path.join(BIN, "examples/fleet"), link, os.path.join(lab.dir, "data/keys/ca.pem"), str(first), str(count)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.enrolled = json.loads(self.process.stdout.readline())

    def session(self):
        self.process.stdin.write("session\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def measure(lab, api, links, server, url):
    fleets, before = [], cpu_secs(server.pid)
    begun = time.monotonic()
    for link, first, count in zip(links, (1, 2001, 4001), (2000, 2000, IPADS - 4000)):
        fleets.append(Fleet(lab, link, first, count))
    note(f"{IPADS} iPads enrolled in {time.monotonic() - begun:.1f} s, {1000 * (cpu_secs(server.pid) - before) / IPADS:.2f} ms CPU of mdm each")
    before, begun = cpu_secs(server.pid), time.monotonic()
    done = sum(fleet.session()["count"] for fleet in fleets)
    took = time.monotonic() - begun
    note(f"{done} questions answered in {took:.1f} s, {1000 * (cpu_secs(server.pid) - before) / max(done, 1):.2f} ms CPU of mdm each")
    report(name="mdm_results_per_s", ours=round(done / took), peer=None, peer_name=None, better="higher", target=1000, unit="results/s")

    costs = []
    for _ in range(IDLE_ROUNDS):
        before = cpu_secs(server.pid)
        for fleet in fleets:
            fleet.session()
        costs.append(1000 * (cpu_secs(server.pid) - before) / IPADS)
    note(f"CPU of mdm for each session without work, three rounds: {', '.join(f'{c:.3f}' for c in costs)} ms, TLS included")
    report(name="mdm_cpu_ms_per_idle", ours=round(sorted(costs)[1], 3), peer=NANOMDM_CPU_MS,
           peer_name="NanoMDM (not in this run; plain HTTP)", better="lower", target=0.5, unit="ms")

    ipads = json.loads(api.call("GET", "/api/v1/ipads"))["items"]
    begun = time.monotonic()
    for ipad in ipads:
        api.call("POST", f"/api/v1/ipads/{ipad['id']}/actions", {"action": "lock", "message": ""})
    asked = time.monotonic() - begun
    wait_until(lambda: b'"asked"' not in api.call("GET", f"/api/v1/ipads/{ipads[-1]['id']}"), 60, "commands")
    begun = time.monotonic()
    done = sum(fleet.session()["count"] for fleet in fleets)
    took = time.monotonic() - begun
    note(f"{len(ipads)} locks asked in {asked:.1f} s; {done} fetched and answered in {took:.1f} s")
    report(name="mdm_commands_lost", ours=len(ipads) - done, peer=None, peer_name=None, better="lower", target=0, unit="commands")
    report(name="mdm_memory_mib", ours=round(memory_mib(server.pid), 1), peer=None, peer_name=None, better="lower", target=150, unit="MiB")

    server.kill()
    server.wait()
    os.remove(os.path.join(lab.dir, "mdm.log"))
    begun = time.monotonic()
    server = start(lab, url)
    context = ssl.create_default_context(cafile=os.path.join(lab.dir, "data/keys/ca.pem"))
    urllib.request.urlopen(f"{url}/scep?operation=GetCACaps", context=context, timeout=5).read()
    report(name="mdm_restart_s", ours=round(time.monotonic() - begun, 2), peer=None, peer_name=None, better="lower", target=2.0, unit="s")
    for fleet in fleets:
        fleet.process.stdin.close()
        fleet.process.wait()


if __name__ == "__main__":
    main()
