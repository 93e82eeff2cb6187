"""DHCP: ours and Kea's, alternately. perfdhcp plays a relay agent with 2,000 clients that come again and again.

What is measured: the highest rate of complete exchanges at which fewer than 1 % get lost, found by bisection; the time from
DISCOVER to OFFER, and that of both halves of an exchange, at 100 exchanges a second; resident memory with 100,000 leases. Kea keeps its lease file but never flushes it;
we flush every lease before its ACK. What one flush costs on this disk is measured beside it.

perfdhcp is one socket that stands for 2,000 PCs. A group commit answers hundreds of them at once, which overran the socket's buffer
while the server still answered everything; so for the run new sockets get a larger one, for both servers alike.
"""
import contextlib
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time

import lab
from lab import BIN, CLIENT, SERVER, Lab, memory_mib, note, report, wait_until

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = 4
CLIENTS = 2000
POOL = ("10.64.0.0", "10.127.255.254")


class Ours:
    name = "netd"

    def __init__(self, place):
        self.place = place

    def start(self):
        data = os.path.join(self.place.dir, "netd")
        os.makedirs(data, exist_ok=True)
        for file in os.listdir(data):
            os.unlink(os.path.join(data, file))
        self.config = os.path.join(self.place.dir, "netd.toml")
        with open(self.config, "w") as out:
            out.write(f'[site]\ndata_dir = "{data}"\n[netd]\ninterfaces = ["vs"]\n')
        self.database = os.path.join(data, "hausmeister.db")
        process = self.run()
        # The first start laid out the tables; the network is put in and told of as another process would.
        with sqlite3.connect(self.database) as db:
            db.execute("INSERT INTO networks (id, name, cidr, router, pool_first, pool_last, lease_secs, mode) "
                       "VALUES (?, 'bench', '10.0.0.0/8', ?, ?, ?, 3600, 'server')",
                       (os.urandom(16), SERVER, *POOL))
            db.execute("INSERT INTO changes (at, entity, entity_key, actor, action) VALUES (0, 'network', 'bench', 'bench', 'saved')")
        time.sleep(0.5)
        return process

    def run(self):
        process = self.place.start(self.place.server, os.path.join(BIN, "netd"), "--config", self.config, log="netd.log")
        wait_until(lambda: ":67 " in lab.sh("ip", "netns", "exec", self.place.server, "ss", "-lun"), 20, "netd does not serve")
        return process


class Kea:
    name = "kea-dhcp4"

    def __init__(self, place):
        self.place = place

    def start(self):
        folder = self.place.dir
        config = {"Dhcp4": {
            "interfaces-config": {"interfaces": ["vs"]},
            "lease-database": {"type": "memfile", "persist": True, "name": f"{folder}/kea-leases.csv", "lfc-interval": 0},
            "multi-threading": {"enable-multi-threading": True, "thread-pool-size": 2, "packet-queue-size": 64},
            "valid-lifetime": 3600, "renew-timer": 900, "rebind-timer": 1800,
            "option-data": [{"name": "domain-name-servers", "data": SERVER}, {"name": "routers", "data": SERVER},
                            {"name": "domain-name", "data": "schule.internal"}],
            "subnet4": [{"id": 1, "subnet": "10.0.0.0/8", "interface": "vs", "pools": [{"pool": " - ".join(POOL)}]}],
            "loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}]}}
        for file in os.listdir(folder):
            if "kea-leases" in file:
                os.unlink(os.path.join(folder, file))
        path = os.path.join(folder, "kea.json")
        with open(path, "w") as out:
            json.dump(config, out)
        process = self.place.start(self.place.server, "env", f"KEA_PIDFILE_DIR={folder}", f"KEA_LOCKFILE_DIR={folder}",
                                   "kea-dhcp4", "-c", path, log="kea.log")
        time.sleep(3)
        if process.poll() is not None:
            sys.exit(f"kea-dhcp4 did not start: {open(os.path.join(folder, 'kea.log')).read()}")
        return process


def exchanges(place, rate, seconds, clients=CLIENTS, more=()):
    """One run of perfdhcp: exchanges completed per second, share lost in per cent, average ms of DISCOVER-OFFER and of all four."""
    command = ["ip", "netns", "exec", place.client, "perfdhcp", "-4", "-r", str(rate), "-p", str(seconds), "-R", str(clients),
               "-W", "1000000", "-s", "1", *more, SERVER]
    text = subprocess.run(command, text=True, capture_output=True, timeout=seconds + 60).stdout

    def figure(part, what):
        found = re.search(what, text.split(f"Statistics for: {part}")[-1])
        return float(found[1]) if found else 0.0

    parts = ("DISCOVER-OFFER", "REQUEST-ACK")
    sent = [figure(p, r"sent packets: (\d+)") for p in parts]
    received = [figure(p, r"received packets: (\d+)") for p in parts]
    lost = max(100 * (1 - r / s) if s else 100 for r, s in zip(received, sent))
    kept_up = sent[0] >= 0.97 * rate * seconds
    delays = [figure(p, r"avg delay: ([\d.]+)") for p in parts]
    return received[1] / seconds, lost if kept_up else max(lost, 100), (delays[0], sum(delays))


@contextlib.contextmanager
def large_receive_buffers():
    """The size that new sockets get, on this machine as a whole: put back afterwards."""
    path = "/proc/sys/net/core/rmem_default"
    before = open(path).read()
    with open(path, "w") as out:
        out.write(str(8 << 20))
    try:
        yield
    finally:
        with open(path, "w") as out:
            out.write(before)


def flush_ms(folder):
    """Median and mean time of a flush after a small write, 100 times a second as the exchanges come."""
    times = []
    with open(os.path.join(folder, "flush"), "wb", buffering=0) as out:
        for _ in range(200):
            out.write(bytes(4096))
            begun = time.monotonic()
            os.fdatasync(out)
            times.append(1000 * (time.monotonic() - begun))
            time.sleep(0.01)
    return statistics.median(times), statistics.mean(times)


def highest_rate(place, server):
    low, high, best, rate = 0, None, 0.0, 4000
    while high is None or high - low > max(0.05 * low, 100):
        process = server.start()
        exchanges(place, 500, 1)
        done, lost, _ = exchanges(place, rate, SECONDS)
        place.stop(process)
        if lost < 1:
            low, best = rate, max(best, done)
            rate = rate * 3 // 2 if high is None else (low + high) // 2
        else:
            high = rate
            rate = (low + high) // 2
        if rate > 60_000:
            break
    return best


def main():
    with large_receive_buffers(), Lab() as place:
        for name, card in ((place.server, "vs"), (place.client, "vc")):
            address = SERVER if name == place.server else CLIENT
            lab.sh("ip", "-n", name, "address", "flush", "dev", card)
            lab.sh("ip", "-n", name, "address", "add", f"{address}/8", "dev", card)
        servers = [Ours(place), Kea(place)]
        rates, delays = {s.name: [] for s in servers}, {s.name: [] for s in servers}
        for _ in range(ROUNDS):
            for server in servers:
                process = server.start()
                delays[server.name].append(exchanges(place, 100, 6)[2])
                place.stop(process)
                rates[server.name].append(highest_rate(place, server))
                offer, whole = delays[server.name][-1]
                note(f"{server.name}: {rates[server.name][-1]:.0f} exchanges/s; at 100/s an offer takes {offer:.3f} ms, "
                     f"an exchange {whole:.3f} ms")
        note("one flush of this disk: median %.3f ms, mean %.3f ms" % flush_ms(place.dir))
        ours, kea = servers
        report(name="dhcp_4way_vs_kea", ours=round(statistics.median(rates[ours.name])), peer=round(statistics.median(rates[kea.name])),
               peer_name="Kea, lease file on", better="higher", target=1.5, unit="exchanges/s")
        for at, name in enumerate(("dhcp_offer_delay_vs_kea", "dhcp_exchange_delay_vs_kea")):
            middle = [round(statistics.median(d[at] for d in delays[s.name]), 3) for s in servers]
            report(name=name, ours=middle[0], peer=middle[1], peer_name="Kea, lease file on", better="lower", target=1.0, unit="ms")
        process = ours.start()
        for _ in range(20):
            exchanges(place, 5000, 25, clients=100_000, more=("-n", "110000"))
            with sqlite3.connect(ours.database) as db:
                (leases,) = db.execute("SELECT count(*) FROM leases").fetchone()
            if leases >= 99_000:
                break
        grown = memory_mib(process.pid)
        place.stop(process)
        process = ours.run()
        exchanges(place, 1000, 3)
        note(f"{leases} leases: {grown:.0f} MiB after they were given, {memory_mib(process.pid):.0f} MiB after a restart")
        report(name="netd_memory_100k_leases", ours=round(max(grown, memory_mib(process.pid)), 1), peer=None, peer_name=None,
               better="lower", target=150, unit="MiB")


main()
