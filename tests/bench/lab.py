"""Two hosts in network namespaces of their own, and our server on one of them."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("HAUSMEISTER_BIN", os.path.join(ROOT, "target/release"))
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"


def sh(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


class Lab:
    """Namespaces `server` (veth `vs`, 10.77.0.1) and `client` (veth `vc`, 10.77.0.2), a folder, and processes that end with it."""

    def __init__(self, rate_mbit=None):
        self.server, self.client = f"hm-bench-s{os.getpid()}", f"hm-bench-c{os.getpid()}"
        self.dir = tempfile.mkdtemp(prefix="hausmeister-bench-")
        self.processes = []
        for name in (self.server, self.client):
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "link", "add", "vs", "netns", self.server, "type", "veth", "peer", "name", "vc", "netns", self.client)
        for name, card, address in ((self.server, "vs", SERVER), (self.client, "vc", CLIENT)):
            sh("ip", "-n", name, "address", "add", f"{address}/24", "dev", card)
            sh("ip", "-n", name, "link", "set", card, "up")
            if rate_mbit:
                sh("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", card, "root", "tbf", "rate", f"{rate_mbit}mbit",
                   "burst", "256kb", "latency", "50ms")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            self.stop(process)
        for name in (self.server, self.client):
            subprocess.run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, namespace, *command, log="log"):
        with open(os.path.join(self.dir, log), "a") as out:
            process = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=out, stderr=out)
        self.processes.append(process)
        return process

    def stop(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def hausmeister(self, *arguments):
        """Runs an admin's command on the server host."""
        return sh("ip", "netns", "exec", self.server, os.path.join(BIN, "hausmeister"), "--config", self.config(), *arguments)

    def config(self):
        return os.path.join(self.dir, "hausmeister.toml")

    def init(self, *arguments):
        password = os.path.join(self.dir, "password")
        with open(password, "w") as out:
            out.write("benchmark-only")
        return self.hausmeister("init", "--interface", "vs", "--data-dir", os.path.join(self.dir, "data"),
                                "--password-file", password, "--boot-files", os.path.join(ROOT, "target/boot"), *arguments)

    def up(self):
        return self.start(self.server, os.path.join(BIN, "hausmeister"), "--config", self.config(), "up", log="up.log")


def memory_mib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no such process")


def child_of(process):
    """`ip netns exec` replaces itself by the command, so the process is the command."""
    return process.pid


def report(**row):
    print(json.dumps(row), flush=True)


def note(text):
    print(text, flush=True)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            if condition():
                return
        time.sleep(0.02)
    sys.exit(f"{what}: not within {seconds} s")
