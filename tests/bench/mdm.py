"""The MDM server with 5,000 simulated iPads: enrolment, answers, sessions without work, a lock for all, memory, restart. Pushes go to a
simulated push service of Apple.

The iPads run on the same processors: what stands behind "CPU of mdm" is the server's alone, what is counted per second is what
both reach together, and the fleet's share is told beside it."""
import json
import os
import subprocess
import sys
import time

from gate import Api
from lab import BIN, ROOT, Lab, memory_mib, note, report, wait_until

IPADS, LINK_USES, ASKED_AT_ONCE, IDLE_ROUNDS = 5000, 2000, 1000, 5
# The cheapest figure measured of NanoMDM (file backend, plain HTTP, two cores, 2048-bit keys). Not part of this run: it needs Go.
NANOMDM_CPU_MS = 0.37


def main():
    with Lab() as lab:
        url = "https://10.77.0.1:8444"
        lab.init("--mdm-url", url)
        # Page, iPads and Apple are on the server's own host.
        enter(lab.server)
        apple = Apple(lab)
        with open(lab.config(), "a") as out:
            out.write(apple.config())
        lab.start(lab.server, os.path.join(BIN, "webui"), "--config", lab.config(), log="webui.log")
        wait_until(lambda: "serves the pages" in open(os.path.join(lab.dir, "webui.log")).read(), 20, "webui")
        server = start(lab, url)
        room = json.loads(Api(lab).call("POST", "/api/v1/rooms", {"name": "Raum 204"}))["id"]
        measure(lab, room, server, url, apple)


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


class Apple:
    """The push service."""

    def __init__(self, lab):
        self.folder = lab.dir
        command = [os.path.join(BIN, "hausmeister-apns"), self.folder, "com.apple.mgmt.External.bench"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab.processes.append(self.process)
        self.url = self.process.stdout.readline().strip()

    def config(self):
        path = lambda name: json.dumps(os.path.join(self.folder, name))
        return (f'\n[mdm]\npush_url = "{self.url}"\npush_authority = {path("apple.pem")}\n'
                f'push_certificate = {path("push.pem")}\npush_key = {path("push.key")}\n')

    def pushed(self, word=""):
        """How many iPads were pushed since this was asked with the word `new`."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class Fleet:
    """Processes of simulated iPads that do the same at the same time."""

    def __init__(self, lab, room, first, count):
        self.processes, api = [], Api(lab)
        self.before = 0
        for part in range(first, first + count, LINK_USES):
            uses = min(LINK_USES, first + count - part)
            link = json.loads(api.call("POST", "/api/v1/invitations", {"room": room, "uses": uses, "days": 1}))["link"]
            command = [os.path.join(BIN, "hausmeister-fleet"), link, os.path.join(lab.dir, "data/keys/ca.pem"), str(part), str(uses)]
            self.processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            lab.processes.append(self.processes[-1])

    def answers(self):
        lines = [json.loads(process.stdout.readline()) for process in self.processes]
        cpu, before = sum(cpu_secs(process.pid) for process in self.processes), self.before
        self.before = cpu
        return {"count": sum(line["count"] for line in lines), "p99_ms": max(line["p99_ms"] or 0 for line in lines), "cpu": cpu - before}

    def all(self, word):
        for process in self.processes:
            process.stdin.write(word + "\n")
            process.stdin.flush()
        return self.answers()


def timed(server, work):
    """What the work gives, how long it took, and what CPU of mdm it cost."""
    before, begun = cpu_secs(server.pid), time.monotonic()
    answer = work()
    return answer, time.monotonic() - begun, cpu_secs(server.pid) - before


def measure(lab, room, server, url, apple):
    def enrol():
        fleet = Fleet(lab, room, 1, IPADS)
        return fleet, fleet.answers()["cpu"]
    (fleet, cpu), took, ours = timed(server, enrol)
    note(f"{IPADS} iPads enrolled in {took:.1f} s; CPU for each: mdm {1000 * ours / IPADS:.2f} ms, the iPad {1000 * cpu / IPADS:.2f} ms")
    answer, took, ours = timed(server, lambda: fleet.all("session"))
    said = answer["count"]
    note(f"{said} first questions answered in {took:.1f} s; CPU for each: mdm {1000 * ours / said:.2f} ms, the iPad {1000 * answer['cpu'] / said:.2f} ms")

    idle(fleet, server)
    lock(fleet, Api(lab), server, apple)
    report(name="mdm_memory_mib", ours=round(memory_mib(server.pid), 1), peer=None, peer_name=None, better="lower", target=150, unit="MiB")
    restart(lab, room, server, url)


def idle(fleet, server):
    """Sessions without work: on connections that are open, and on new ones, which cost a TLS handshake each."""
    for word, name in (("session", "mdm_cpu_ms_per_idle"), ("fresh", "mdm_cpu_ms_per_idle_new_tls")):
        rounds = [timed(server, lambda: fleet.all(word)) for _ in range(IDLE_ROUNDS)]
        costs = sorted(1000 * ours / IPADS for _, _, ours in rounds)
        rates = ", ".join(f"{IPADS / took:.0f}/s" for _, took, _ in rounds)
        note(f"{word}: CPU of mdm for each without work {', '.join(f'{c:.3f}' for c in costs)} ms; {rates}")
        ours = round(costs[IDLE_ROUNDS // 2], 3)
        if word == "session":
            report(name=name, ours=ours, peer=NANOMDM_CPU_MS, peer_name="NanoMDM (not in this run; plain HTTP)", better="lower",
                   target=0.5, unit="ms")
        else:
            report(name=name, ours=ours, peer=None, peer_name=None, better="lower", target=0.5, unit="ms")


def lock(fleet, api, server, apple):
    ids = [ipad["id"] for ipad in json.loads(api.call("GET", "/api/v1/ipads"))["items"]]
    apple.pushed("new")
    _, asked, _ = timed(server, lambda: ask(api, ids, {"action": "lock", "message": ""}))
    begun = time.monotonic()
    wait_until(lambda: apple.pushed() == len(ids), 60, "pushes")
    note(f"{len(ids)} iPads pushed; the last {time.monotonic() - begun:.1f} s after the last command was made")
    answer, took, ours = timed(server, lambda: fleet.all("session"))
    done = answer["count"]
    note(f"{len(ids)} locks asked and made in {asked:.1f} s; {done} fetched and answered in {took:.1f} s; "
         f"CPU for each: mdm {1000 * ours / max(done, 1):.2f} ms, the iPad {1000 * answer['cpu'] / max(done, 1):.2f} ms")
    report(name="mdm_results_per_s", ours=round(done / took), peer=None, peer_name=None, better="higher", target=1000, unit="results/s")
    report(name="mdm_session_p99_ms", ours=round(answer["p99_ms"], 1), peer=None, peer_name=None, better="lower", target=1000, unit="ms")
    report(name="mdm_commands_lost", ours=IPADS - done, peer=None, peer_name=None, better="lower", target=0, unit="commands")
    again = fleet.all("session")["count"]
    report(name="mdm_commands_twice", ours=again, peer=None, peer_name=None, better="lower", target=0, unit="commands")


def ask(api, ids, action):
    """Asks it of all, and waits until commands are made of it."""
    for part in range(0, len(ids), ASKED_AT_ONCE):
        api.call("POST", "/api/v1/ipads/actions", {"ipads": ids[part:part + ASKED_AT_ONCE], **action})
    wait_until(lambda: b'"asked"' not in api.call("GET", f"/api/v1/ipads/{ids[-1]}"), 60, "commands")


def restart(lab, room, server, url):
    """Ten commands wait for each iPad when the server is killed."""
    api = Api(lab)
    ids = [ipad["id"] for ipad in json.loads(api.call("GET", "/api/v1/ipads"))["items"]]
    actions = [{"action": "refresh"}, {"action": "restart"}, {"action": "lost_mode_off"}, {"action": "lost_mode_sound"},
               {"action": "lock", "message": "Bitte abgeben"}]
    for action in actions:
        ask(api, ids, action)
    late = Fleet(lab, room, IPADS + 1, 1)
    late.answers()
    waiting = sum(ipad["open_commands"] for ipad in json.loads(api.call("GET", "/api/v1/ipads"))["items"])
    server.kill()
    server.wait()
    os.remove(os.path.join(lab.dir, "mdm.log"))
    begun = time.monotonic()
    server = start(lab, url)
    served = late.all("session")["count"]
    took = time.monotonic() - begun
    note(f"killed with {waiting} commands waiting; {took:.2f} s later an iPad had answered {served} of them")
    report(name="mdm_restart_s", ours=round(took, 2), peer=None, peer_name=None, better="lower", target=2.0, unit="s")


if __name__ == "__main__":
    main()
