"""DNS: ours, dnsmasq and unbound, alternately. dnsperf asks over a veth pair; a second dnsmasq stands for the world.

What is measured: answers about the school's own names and remembered answers of the world; what a list of 1,000,000 blocked domains
costs in speed, memory and time. In brackets the server's CPU time for each answer, which depends less on what else the machine does. Sub-domains of blocked names are blocked by all. Ours reads the list as a subscribed one: the time is
that from the moment when it lies in the folder to the first name that is blocked, and includes that it is checked before it replaces
the one before. What counts for ours is the whole daemon: DHCP, TFTP and the database lie in its memory too.
"""
import hashlib
import os
import re
import shutil
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import time
import uuid

import lab
from lab import BIN, SERVER, Lab, memory_mib, note, report, wait_until

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
NETD = os.environ.get("BENCH_NETD", os.path.join(BIN, "netd"))
HOSTS, WORLD, BLOCKED = 5000, 5000, int(os.environ.get("BENCH_NAMES", "1000000"))
ZONE, WORLD_PORT = "schule.internal", 5300


def host(n):
    return f"r{n // 25:03}-pc{n % 25:02}", f"10.77.{16 + n // 250}.{1 + n % 250}"


def world(n):
    return f"www{n}.example.net"


def blocked(n):
    """A name of usual length; always the same."""
    digest = hashlib.blake2b(str(n).encode(), digest_size=8).hexdigest()
    return f"{digest[:5 + n % 9]}-{n:x}.{('com', 'net', 'example', 'de', 'info')[n % 5]}"


class Files:
    """Questions and lists, in the lab's folder."""

    def __init__(self, folder):
        self.folder = folder
        self.hosts = self.write("hosts", (f"{ip} {name}.{ZONE} {name}" for name, ip in map(host, range(HOSTS))))
        self.world = self.write("world", (f"198.18.{n // 250}.{1 + n % 250} {world(n)}" for n in range(WORLD)))
        self.list = self.write("list", (blocked(n) for n in range(BLOCKED)))
        step = BLOCKED // 5000
        self.questions = {
            "local": self.write("q-local", (f"{host(n)[0]}.{ZONE} A" for n in range(HOSTS))),
            "cached": self.write("q-cached", (f"{world(n)} A" for n in range(WORLD))),
            "blocked": self.write("q-blocked", (f"{blocked(n * step)} A" for n in range(5000))),
            "below": self.write("q-below", (f"www.{blocked(n * step + 1)} A" for n in range(5000))),
        }

    def write(self, name, lines):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.writelines(line + "\n" for line in lines)
        return path


class Server:
    def __init__(self, place, files):
        self.place, self.files = place, files

    def run(self, *command):
        process = self.place.start(self.place.server, *command, log=f"{self.name}.log")
        self.place.until_answer(f"{host(1)[0]}.{ZONE}", 0, 60, self.name)
        return process


class Ours(Server):
    name = "netd"

    def start(self, with_list):
        data = os.path.join(self.place.dir, "netd")
        shutil.rmtree(data, ignore_errors=True)
        os.makedirs(os.path.join(data, "lists"))
        config = os.path.join(self.place.dir, "netd.toml")
        with open(config, "w") as out:
            out.write(f'[site]\ndata_dir = "{data}"\nzone = "{ZONE}"\n[netd]\ninterfaces = ["vs"]\n'
                      f'dns_forwarders = ["127.0.0.1:{WORLD_PORT}"]\n')
        self.database, self.list = os.path.join(data, "hausmeister.db"), uuid.uuid4()
        process = self.place.start(self.place.server, NETD, "--config", config, log="netd.log")
        wait_until(lambda: ":53 " in lab.sh("ip", "netns", "exec", self.place.server, "ss", "-lun"), 20, "netd does not serve")
        self.fill(with_list)
        # As if the publisher had just been asked.
        with open(os.path.join(data, "lists", f"{self.list}.tag"), "w") as out:
            out.write("https://x\n\n")
        self.place.until_answer(f"{host(1)[0]}.{ZONE}", 0, 20, self.name)
        self.load_seconds = self.load(os.path.join(data, "lists")) if with_list else None
        return process

    def fill(self, with_list):
        room, filter_id = os.urandom(16), os.urandom(16)
        with sqlite3.connect(self.database) as db:
            db.execute("INSERT INTO filters (id, name, safe_search, youtube) VALUES (?, 'bench', 1, 'moderate')", (filter_id,))
            if with_list:
                db.execute("INSERT INTO name_lists (id, name, source, names, entries) VALUES (?, 'bench', 'https://x', '', 0)",
                           (self.list.bytes,))
                db.execute("INSERT INTO filter_lists VALUES (?, ?, 'block')", (filter_id, self.list.bytes))
            db.execute("INSERT INTO networks (id, name, cidr, router, pool_first, pool_last, lease_secs, mode, level, filter_id) "
                       "VALUES (?, 'bench', '10.77.0.0/16', ?, '10.77.200.1', '10.77.200.2', 3600, 'server', 'filtered', ?)",
                       (os.urandom(16), SERVER, filter_id))
            db.execute("INSERT INTO rooms (id, name, created_at) VALUES (?, 'bench', 0)", (room,))
            for n in range(HOSTS):
                device, (name, ip) = os.urandom(16), host(n)
                db.execute("INSERT INTO devices (id, name, room_id, hardware, serial, smbios_uuid, observed, created_at) "
                           "VALUES (?, ?, ?, '{}', '', '', '{}', 0)", (device, name, room))
                db.execute("INSERT INTO interfaces (mac, device_id, kind, reserved_ip) VALUES (?, ?, 'lan', ?)",
                           (f"52:54:00:00:{n // 256:02x}:{n % 256:02x}", device, ip))
            for entity in ("network", "filter", "list"):
                self.tell(db, entity)

    def tell(self, db, entity):
        db.execute("INSERT INTO changes (at, entity, entity_key, actor, action) VALUES (0, ?, 'bench', 'bench', 'saved')", (entity,))

    def load(self, folder):
        """Seconds from the new list to the first name that it blocks."""
        time.sleep(2)
        path = os.path.join(folder, str(self.list))
        shutil.copyfile(self.files.list, path + ".tmp")
        begun = time.monotonic()
        os.rename(path + ".tmp", path + ".new")
        with sqlite3.connect(self.database) as db:
            self.tell(db, "list")
        self.place.until_answer(blocked(BLOCKED - 1), 3, 30, "the list")
        return time.monotonic() - begun


class Dnsmasq(Server):
    name = "dnsmasq"

    def start(self, with_list):
        config = self.files.write("dnsmasq.conf", [
            "port=53", f"listen-address={SERVER}", "bind-interfaces", "no-resolv", "no-hosts", "keep-in-foreground", "user=root",
            f"server=127.0.0.1#{WORLD_PORT}", "cache-size=20000", "dns-forward-max=1000", f"addn-hosts={self.files.hosts}",
            f"local=/{ZONE}/", "pid-file="] + ([f"conf-file={self.list()}"] if with_list else []))
        return self.run("dnsmasq", "-C", config)

    def list(self):
        return self.files.write("dnsmasq.list", (f"local=/{blocked(n)}/" for n in range(BLOCKED)))


class Unbound(Server):
    name = "unbound"

    def start(self, with_list):
        zones = ["server:"]
        if with_list:
            zones += [f'local-zone: "{blocked(n)}." always_nxdomain' for n in range(BLOCKED)]
        zones += [f'local-zone: "{ZONE}." static'] + [
            f'local-data: "{name}.{ZONE}. A {ip}"' for name, ip in map(host, range(HOSTS))]
        config = self.files.write("unbound.conf", [
            "server:", f"interface: {SERVER}", "access-control: 10.0.0.0/8 allow", "num-threads: 1", 'username: ""', 'chroot: ""',
            'directory: ""', 'pidfile: ""', "use-syslog: no", 'module-config: "iterator"', "do-not-query-localhost: no",
            "msg-cache-size: 32m", "rrset-cache-size: 64m", f"include: {self.files.write('unbound.zones', zones)}",
            "remote-control:", "control-enable: no",
            "forward-zone:", 'name: "."', f"forward-addr: 127.0.0.1@{WORLD_PORT}"])
        return self.run("unbound", "-d", "-c", config)


class DnsLab(Lab):
    def until_answer(self, name, code, seconds, what):
        """Waits until the server answers a name with this code, asked from the client's side."""
        run = subprocess.run(["ip", "netns", "exec", self.client, sys.executable, __file__, "until", name, str(code), str(seconds)])
        if run.returncode:
            sys.exit(f"{what}: no answer {code} for {name} within {seconds} s")

    def ask(self, questions, seconds=SECONDS):
        """Answers per second, and the codes."""
        command = ["dnsperf", "-s", SERVER, "-d", questions, "-l", str(seconds), "-c", "8", "-T", "1", "-q", "100", "-t", "2"]
        said = lab.sh("ip", "netns", "exec", self.client, *command)
        rate = float(re.search(r"Queries per second:\s+([\d.]+)", said)[1])
        lost = float(re.search(r"Queries lost:\s+\d+ \(([\d.]+)%\)", said)[1])
        if lost > 1:
            note(f"lost {lost} %")
        return rate, re.search(r"Response codes:\s+(.*)", said)[1]


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def until(name, code, seconds):
    """Asks every 10 ms; run inside the client's namespace."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    talk.settimeout(0.01)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            talk.sendto(question, (SERVER, 53))
            if talk.recv(2000)[3] & 15 == code:
                return
            time.sleep(0.01)
        except OSError:
            pass
    sys.exit(1)


def warm(place, files):
    """Every name is asked for, so that what is measured is remembered."""
    lab.sh("ip", "netns", "exec", place.client, "dnsperf", "-s", SERVER, "-d", files.questions["cached"], "-n", "2", "-q", "50")


def main():
    with DnsLab() as place:
        for name, card in ((place.server, "vs"), (place.client, "vc")):
            address = "10.77.0.1" if name == place.server else "10.77.0.2"
            lab.sh("ip", "-n", name, "address", "flush", "dev", card)
            lab.sh("ip", "-n", name, "address", "add", f"{address}/16", "dev", card)
        files = Files(place.dir)
        place.start(place.server, "dnsmasq", "-C", files.write("world.conf", [
            f"port={WORLD_PORT}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "keep-in-foreground",
            "user=root", f"addn-hosts={files.world}", "local-ttl=86400", "pid-file="]), log="world.log")
        servers = [Ours(place, files), Dnsmasq(place, files), Unbound(place, files)]
        rates, memory, loads = {}, {}, []
        for number in range(ROUNDS):
            for server in servers:
                for with_list in (False, True):
                    process = server.start(with_list)
                    warm(place, files)
                    kinds = ["local", "cached"] + (["blocked", "below"] if with_list else [])
                    said = []
                    for kind in kinds:
                        before = cpu_seconds(process.pid)
                        # dnsmasq goes through a list for each question below a blocked name: thousands of times slower.
                        rate, codes = place.ask(files.questions[kind])
                        expected = "NXDOMAIN" if kind in ("blocked", "below") else "NOERROR"
                        if not codes.startswith(expected + " ") or "100.00%" not in codes:
                            sys.exit(f"{server.name} answered {kind} names with {codes}")
                        rates.setdefault((server.name, with_list, kind), []).append(rate)
                        said.append(f"{kind} {rate:.0f}/s ({1e6 * (cpu_seconds(process.pid) - before) / rate / SECONDS:.1f} us)")
                    memory.setdefault((server.name, with_list), []).append(memory_mib(process.pid))
                    if with_list and server.name == "netd":
                        loads.append(server.load_seconds)
                    note(f"{number + 1}. {server.name}{' with 1 M blocked' if with_list else ''}: {', '.join(said)}, "
                         f"{memory[server.name, with_list][-1]:.0f} MiB")
                    place.stop(process)
        summarise(rates, memory, loads)


def summarise(rates, memory, loads):
    def rate(name, with_list, kind):
        return round(statistics.median(rates[name, with_list, kind]))

    for kind in ("cached", "local"):
        peer = max(("dnsmasq", "unbound"), key=lambda name: rate(name, False, kind))
        report(name=f"dns_{kind}_qps_vs_fastest", ours=rate("netd", False, kind), peer=rate(peer, False, kind), peer_name=peer,
               better="higher", target=1.0, unit="answers/s")
    report(name="dns_block1m_qps_ratio", ours=rate("netd", True, "cached"), peer=rate("netd", False, "cached"),
           peer_name="ours without a list", better="higher", target=0.9, unit="answers/s")
    for kind in ("blocked", "below"):
        peer = max(("dnsmasq", "unbound"), key=lambda name: rate(name, True, kind))
        note(f"{kind}: netd {rate('netd', True, kind)}/s, {peer} {rate(peer, True, kind)}/s")
    middle = {name: statistics.median(memory[name, True]) for name in ("netd", "dnsmasq", "unbound")}
    peer = min(("dnsmasq", "unbound"), key=middle.get)
    report(name="dns_block1m_rss_vs_leanest", ours=round(middle["netd"], 1), peer=round(middle[peer], 1), peer_name=peer,
           better="lower", target=1.0, unit="MiB")
    note(f"the list was in use after {', '.join(f'{seconds:.2f}' for seconds in loads)} s")
    report(name="dns_block1m_load_s", ours=round(statistics.median(loads), 2), peer=None, peer_name=None, better="lower", target=2.0,
           unit="s")


if sys.argv[1:2] == ["until"]:
    until(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
else:
    main()
