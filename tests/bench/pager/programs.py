# SPDX-License-Identifier: BSD-3-Clause
"""programs - the five that are run: what each is called, how large it is, and what it says in the end,
which must be the same wherever its memory is."""
import csv
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).parent
PYTHON = "/usr/bin/python3"  # Debian's, which has its modules
SLOWEST = 40  # times what it takes with all its memory local; then it is ended
GRACE_SECONDS = 60


class Failed(Exception):
    pass


@dataclasses.dataclass
class Outcome:
    seconds: float
    cost: object  # places.Cost
    answer: str
    note: str = ""  # percentiles, where it has requests


class Program:
    """One that runs through by itself."""

    def __init__(self, name, full, quick, needs=()):
        self.name, self.sizes, self.needs = name, {"full": full, "quick": quick}, needs

    def missing(self):
        for module in self.needs:
            if subprocess.run([PYTHON, "-c", f"import {module}"], check=False,
                              capture_output=True).returncode != 0:
                return f"apt install python3-{module}"
        return None

    def command(self, how, cwd, build):
        raise NotImplementedError

    def run(self, place, how, cwd, build, local_seconds=None):
        run = place.start(self.command(how, cwd, build), cwd)
        limit = 3600 if local_seconds is None else local_seconds * SLOWEST + GRACE_SECONDS
        try:
            cost = run.finish(limit)
            if cost is None:
                raise Failed(f"was ended after {limit:.0f} s")
            out, err = run.said()
            if run.process.returncode != 0:
                raise Failed(f"exit {run.process.returncode}: {err.strip()[-500:]}")
            place.complete(run, cost)
            return Outcome(cost.wall, cost, out)
        finally:
            run.kill()


class Quicksort(Program):
    def command(self, how, cwd, build):
        return [str(build / "bench/quicksort"), str(self.sizes[how])]


class Taxi(Program):
    def command(self, how, cwd, build):
        return [PYTHON, str(HERE / "taxi.py"), str(self.sizes[how])]


class Graph(Program):
    def command(self, how, cwd, build):
        return [PYTHON, str(HERE / "graph.py"), str(self.sizes[how])]


class Sqlite(Program):
    def missing(self):
        return None if shutil.which("sqlite3") else "apt install sqlite3"

    def command(self, how, cwd, build):
        script = pathlib.Path(cwd) / "rows.sql"
        script.write_text((HERE / "rows.sql").read_text().replace("ROWS", str(self.sizes[how])))
        return ["sqlite3", "-batch", ":memory:", f".read {script}"]


class Redis(Program):
    """A server and who asks it: requests, random keys. Time is the asking alone."""

    def missing(self):
        there = shutil.which("redis-server") and shutil.which("redis-benchmark")
        return None if there else "apt install redis-server redis-tools"

    def command(self, how, cwd, build):
        self.socket = os.path.join(cwd, "redis")
        return ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "",
                "--appendonly", "no", "--dir", cwd]

    def ask(self, *words, timeout=600):
        done = subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True,
                              text=True, timeout=timeout, check=False)
        return done.stdout.strip()

    def load(self, how, seconds):
        """The published curve's line, with fewer requests and keys where it is to be quick."""
        requests, keys = self.sizes[how]
        begun = time.monotonic()
        done = subprocess.run(
            ["redis-benchmark", "-s", self.socket, "-t", "set,get", "-n", str(requests), "-c", "50",
             "-d", "500", "-r", str(keys), "--csv"],
            capture_output=True, text=True, timeout=seconds, check=False)
        wall = time.monotonic() - begun
        rows = {row["test"]: row for row in csv.DictReader(done.stdout.splitlines())
                if row.get("test") in ("SET", "GET")}
        if done.returncode != 0 or len(rows) != 2:
            raise Failed(f"redis-benchmark: {done.stdout[-300:]}{done.stderr[-300:]}")
        said = ", ".join(f"{name} {float(row['rps']):.0f}/s, p50 {row['p50_latency_ms']} ms, "
                         f"p99 {row['p99_latency_ms']} ms" for name, row in rows.items())
        return wall, said

    def run(self, place, how, cwd, build, local_seconds=None):
        run = place.start(self.command(how, cwd, build), cwd)
        limit = 3600 if local_seconds is None else local_seconds * SLOWEST + GRACE_SECONDS
        try:
            until = time.monotonic() + GRACE_SECONDS
            while self.ask("ping") != "PONG":
                if run.process.poll() is not None or time.monotonic() > until:
                    raise Failed(f"redis-server does not answer: {run.said()[1][-500:]}")
                time.sleep(0.02)
            try:
                wall, note = self.load(how, limit)
            except subprocess.TimeoutExpired as error:
                raise Failed(f"was ended after {limit:.0f} s") from error
            keys = self.ask("dbsize")
            subprocess.run(["redis-cli", "-s", self.socket, "shutdown", "nosave"], check=False,
                           capture_output=True)
            cost = run.finish(GRACE_SECONDS)
            if cost is None:
                raise Failed("redis-server does not end")
            place.complete(run, cost)
            return Outcome(wall, cost, "full" if int(keys) > 0.9 * self.sizes[how][1] else keys, note)
        finally:
            run.kill()


ALL = (
    Quicksort("quicksort", 768, 96),
    Redis("redis", (10_000_000, 1_000_000), (800_000, 200_000)),
    Taxi("pandas", 6_000_000, 1_500_000, needs=("pandas",)),
    Graph("igraph", 1_000_000, 125_000, needs=("igraph",)),
    Sqlite("sqlite", 4_000_000, 500_000),
)
