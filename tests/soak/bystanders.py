# SPDX-License-Identifier: BSD-3-Clause
"""bystanders - who stores nothing that is looked for afterwards: monitors, watchers, who takes snapshots,
and programs with most of their memory on the server. What they are told must be true all the same."""
import json
import os
import re
import socket
import subprocess
import time

from client import Client, Wrong
from place import ADDRESS

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "program.py")
PYTHON = "/usr/bin/python3"
SAMPLE = re.compile(r"[a-z_]+(\{[^{}]*\})? (-?[0-9.e+-]+|NaN)")
SEEDS, LOCAL = 4, "16MiB"



class Bystander(Client):
    slots = 0

    def verify(self):
        return 0


class Monitor(Bystander):
    """Whoever asks the door for monitors: at once, byte by byte, for half a line, or late."""

    def step(self):
        dice = self.random.random()
        if dice < 0.4:
            self.metrics()
        elif dice < 0.6:
            code, body = self.get("/api/v1/stats")
            if code == 200:
                json.loads(body)
        elif dice < 0.8:
            code, body = self.get(self.random.choice(["/readyz?verbose", "/livez?verbose"]))
            if code not in (200, 503):
                raise Wrong(f"{self.name}: health is answered with {code}: {body}")
        elif dice < 0.9:  # it reads a little, waits, and goes
            with self.ask("/metrics") as s:
                for _ in range(self.random.randrange(8)):
                    s.recv(100)
                    time.sleep(0.3)
        else:
            with socket.create_connection((ADDRESS, self.place.http_port), timeout=30) as s:
                s.sendall(self.random.choice([b"GET /met", b"GET / HTTP/1.1\r\nX: " + b"y" * 9000,
                                              b"POST /metrics HTTP/1.1\r\n\r\n", b"\xfa\x00"]))
                time.sleep(self.random.random())
        time.sleep(0.02)

    def ask(self, path):
        s = socket.create_connection((ADDRESS, self.place.http_port), timeout=60)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return s

    def get(self, path):
        """The code, and a body that is complete."""
        with self.ask(path) as s, s.makefile("rb") as reader:
            head, _, body = reader.read().partition(b"\r\n\r\n")
        if not head:
            raise OSError("hung up on")
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        if length != len(body):
            raise Wrong(f"{self.name}: {path} ends after {len(body)} of {length} bytes")
        return int(head.split(b" ")[1]), body.decode()

    def metrics(self):
        code, body = self.get("/metrics")
        for line in body.splitlines() if code == 200 else []:
            if not line.startswith("#") and not SAMPLE.fullmatch(line):
                raise Wrong(f"{self.name}: no sample: {line}")


class Watcher(Bystander):
    """Who is told what happens, and reads it slowly."""

    def enter(self):
        self.lines = self.place.server.connect("tcp", timeout=60).makefile("rwb")
        self.lines.write(b"watch evictions connevents compaction spill shrink\r\n")
        self.lines.flush()
        if self.lines.readline() != b"OK\r\n":
            raise OSError("may not watch")

    def step(self):
        line = self.lines.readline()
        if not line:
            raise OSError("hung up on")
        if not line.startswith(b"ts=") or not line.endswith(b"\n"):
            raise Wrong(f"{self.name}: no line of a watcher: {line}")
        if self.random.random() < 0.01:
            time.sleep(self.random.random())


class Snapshots(Bystander):
    """Snapshots, one after the other. What has its name is complete and good, whoever was killed when."""

    def enter(self):
        self.file = self.place.path(self.name + ".fps")
        self.inspect()

    def run(self, *arguments):
        return subprocess.run([self.place.farpage, "--server", self.place.address(), "snapshot",
                               *arguments], capture_output=True, text=True, check=False)

    def step(self):
        done = self.run(self.file)
        if done.returncode == 0:
            self.note("taken")
        elif "more was stored over meanwhile" in done.stderr:
            self.note("given up, too much was stored over")
        else:
            self.note("refused")  # no connection, no descriptor, no memory
        self.inspect()
        time.sleep(self.random.random())

    def inspect(self):
        if os.path.exists(self.file) and (done := self.run("inspect", self.file)).returncode != 0:
            raise Wrong(f"{self.name}: a snapshot is not good: {done.stdout}{done.stderr}")


class Program(Bystander):
    """SQLite and Python with half of their memory elsewhere; they say what they say without us."""

    def step(self):
        seed = str(self.random.randrange(SEEDS))
        done = subprocess.run([self.place.farpage, "--server", self.place.address(), "run", "--local",
                               LOCAL, "--grace", "10s", "--", PYTHON, PROGRAM, seed],
                              capture_output=True, text=True, check=False)
        if done.returncode == 0:
            if done.stdout != self.alone(seed):
                raise Wrong(f"{self.name}: the program says {done.stdout!r}, not {self.alone(seed)!r}")
            self.note("as without")
        elif done.stderr.strip():
            # no room for its pages, here or there, within the grace; or nobody let it in
            self.note("ended with the word '" + re.sub(
                r"0x[0-9a-f]+|\d+", "N", done.stderr.strip().splitlines()[-1]) + "'")
        else:
            raise Wrong(f"{self.name}: exit {done.returncode} without a word: {done.stdout!r}")

    def alone(self, seed):
        path = self.place.path("alone" + seed)
        if not os.path.exists(path):
            said = subprocess.check_output([PYTHON, PROGRAM, seed], text=True)
            self.place.write(f"alone{seed}.{os.getpid()}", said)
            os.rename(f"{path}.{os.getpid()}", path)
        with open(path) as f:
            return f.read()


def can_page(farpage):
    """Why no program can be paged here, or an empty string."""
    if os.geteuid() != 0:
        return "it needs root"
    if not os.path.exists(os.path.join(os.path.dirname(farpage), "libfarpage-agent.so")):
        return "there is no libfarpage-agent.so beside farpage"
    return ""


BYSTANDERS = [Monitor, Monitor, Watcher, Snapshots, Program]
