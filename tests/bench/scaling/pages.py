# SPDX-License-Identifier: BSD-3-Clause
"""pages - areas over three servers, one of which is killed while all are stored to and loaded from.

An area is on one server: a client's table says which. Each area has a thread with a connection of
its own. When that breaks it connects again until somebody answers, and opens the area as the very
one it had, by boot id and generation. What that is answered, and what a client sees that does not
ask so carefully, is written down."""
import collections
import os
import random
import subprocess
import threading
import time

import frames
from cluster import CONFIGURED_AREA
from outcome import SLOW_S

AREAS_A_SERVER, SLOTS, PAUSE_S, RETRY_S = 2, 128, 0.001, 0.002
RIGHT, ERROR, ABSENT, OTHER_BYTES = "right", "error", "absent", "other bytes"
LOAD_S, DEAD_S, LOST_S = 1.5, 1.5, 5.0
THE_COMMANDS = "of-the-command"  # an area that nobody makes again after the restart


class Area(threading.Thread):
    def __init__(self, name, server):
        super().__init__(daemon=True)
        self.name, self.server, self.over = name, server, False
        self.random, self.counts = random.Random(name), collections.Counter()
        self.pages = [frames.text_page(f"{n} of {name}") for n in range(SLOTS + 32)]
        self.may_be = {}            # slot -> the pages of which one must come back
        self.broke_at = self.answered_at = self.lost_at = None
        self.slow, self.status, self.new_boot = 0, None, None
        self.careless = {}          # what a client sees that does not ask for LOST
        self.connect()
        status, self.number, self.identity = self.connection.open(name, SLOTS, frames.CREATE)
        assert status == frames.OK, status
        for slot in range(SLOTS):
            self.store(slot, self.pages[slot])

    def connect(self):
        self.connection = frames.Connection(self.server.port)

    def store(self, slot, page):
        """Until it is acknowledged, either page may be there; after, only this one."""
        self.may_be.setdefault(slot, []).append(page)
        status = self.connection.store(self.number, slot, page)
        if status == frames.OK:
            self.may_be[slot] = [page]
        return RIGHT if status == frames.OK else ERROR

    def load(self, slot):
        status, body = self.connection.load(self.number, slot)
        if status == frames.ABSENT:
            return ABSENT
        if status != frames.OK:
            return ERROR
        return RIGHT if any(body == p.bytes for p in self.may_be[slot]) else OTHER_BYTES

    def run(self):
        try:
            while not self.over:
                begun, slot = time.monotonic(), self.random.randrange(SLOTS)
                done = (self.load(slot) if self.random.random() < 0.5
                        else self.store(slot, self.random.choice(self.pages)))
                self.counts[done] += 1
                self.slow += time.monotonic() - begun > SLOW_S
                time.sleep(PAUSE_S)
        except OSError:
            self.broke_at = time.monotonic()
            self.counts[ERROR] += 1
            self.come_back()

    def come_back(self):
        while not self.over:
            try:
                self.connect()
                break
            except OSError:
                self.counts[ERROR] += 1
                time.sleep(RETRY_S)
        else:
            return
        self.answered_at, self.new_boot = time.monotonic(), self.connection.boot_id
        self.status, _, _ = self.connection.open(self.name, 0, frames.EXPECT, self.identity)
        self.lost_at = time.monotonic()
        self.be_careless()

    def be_careless(self):
        """A client that forgot whom it had: first without, then with the leave to create."""
        status, _, _ = self.connection.open(self.name)
        self.careless["open"] = status
        status, number, _ = self.connection.open(self.name, SLOTS, frames.CREATE)
        assert status == frames.OK, status
        seen = collections.Counter(self.connection.load(number, slot)[0] for slot in range(SLOTS))
        self.careless["loads"] = dict(seen)


class Run:
    """What one run over three servers showed; `victim` is the index of the killed one."""

    def __init__(self, cluster, farpage, victim=1):
        self.victim = cluster.servers[victim]
        self.areas = [Area(f"swap-{s}-{n}", server) for s, server in enumerate(cluster.servers)
                      for n in range(AREAS_A_SERVER)]
        self.of_victim = [a for a in self.areas if a.server is self.victim]
        self.of_others = [a for a in self.areas if a.server is not self.victim]
        configured = self._keep_a_page(CONFIGURED_AREA)
        self._keep_a_page(THE_COMMANDS, SLOTS, frames.CREATE)
        for area in self.areas:
            area.start()
        time.sleep(LOAD_S)
        before = self.victim.statistic("farpage_boot_id")
        self.killed_at = self.victim.kill()
        time.sleep(DEAD_S)
        self.victim.start()
        self.restarted_at = self.victim.started
        self._wait_for_the_lost()
        self.boot_ids = before, self.victim.statistic("farpage_boot_id")
        for area in self.areas:
            area.over = True
        for area in self.areas:
            area.join(frames.PATIENCE_S)
        self.configured = self._look_in_the_configured_area(configured)
        self.command = self._command(cluster, farpage)
        self.silence = self._silence(farpage)

    def _wait_for_the_lost(self):
        until = time.monotonic() + LOST_S
        while time.monotonic() < until and any(a.is_alive() for a in self.of_victim):
            time.sleep(0.01)

    def _keep_a_page(self, name, slots=0, flags=0):
        connection = frames.Connection(self.victim.port)
        status, number, identity = connection.open(name, slots, flags)
        assert status == frames.OK, status
        assert connection.store(number, 0, frames.text_page(0)) == frames.OK
        connection.close()
        return identity

    def _look_in_the_configured_area(self, identity):
        """After the restart: what OPEN says by identity, what by name, what its slot then holds."""
        connection = frames.Connection(self.victim.port)
        by_identity, _, _ = connection.open(CONFIGURED_AREA, 0, frames.EXPECT, identity)
        by_name, number, _ = connection.open(CONFIGURED_AREA)
        return by_identity, by_name, connection.load(number, 0)[0]

    def _silence(self, farpage):
        """A command with a time limit and a frozen server: (exit code, seconds)."""
        self.victim.freeze()
        begun = time.monotonic()
        done = subprocess.run([farpage, "--server", self.victim.address, "--timeout", "500ms",
                               "ping"], capture_output=True, timeout=60, check=False)
        seconds = time.monotonic() - begun
        self.victim.thaw()
        return done.returncode, seconds

    def _command(self, cluster, farpage):
        """farpage load of an area that died with its server: (exit code, the file is as it was)."""
        path = os.path.join(cluster.directory, "pages")
        with open(path, "wb") as f:
            f.write(b"what was here before")
        done = subprocess.run([farpage, "--server", self.victim.address, "load", THE_COMMANDS,
                               path], capture_output=True, text=True, timeout=60, check=False)
        with open(path, "rb") as f:
            return done.returncode, f.read() == b"what was here before", done.stderr.strip()

    def seconds(self, since, attribute):
        """The slowest of the victim's areas; None where one never got there."""
        times = [getattr(a, attribute) for a in self.of_victim]
        return None if None in times else max(times) - since

    def count(self, areas, outcome):
        return sum(a.counts[outcome] for a in areas)

    def times(self):
        """(SIGKILL to the error, execution to the first hello, execution to LOST)."""
        return (self.seconds(self.killed_at, "broke_at"),
                self.seconds(self.restarted_at, "answered_at"),
                self.seconds(self.restarted_at, "lost_at"))


def full_of_items(server):
    """Sets items that do not pack until some gave way: (evictions, set, still there)."""
    value, number = os.urandom(100000), 0
    while int(server.statistic("evictions")) == 0:
        for number in range(number + 1, number + 51):
            server.text(b"set item-%d 0 0 %d\r\n" % (number, len(value)) + value + b"\r\n",
                        b"STORED\r\n")
    there = len(server.holds([f"item-{n}" for n in range(1, number + 1)]))
    return int(server.statistic("evictions")), number, there  # replies take memory, too


def full_of_pages(cluster, victim=1):
    """Fills one server with pages that do not pack until it refuses one; another is asked too.

    (pages stored before, status of the refused, every page that was there still is, neighbour's)"""
    server, neighbour = cluster.servers[victim], cluster.servers[0]
    connection = frames.Connection(server.port)
    pages = [frames.random_page() for _ in range(8)]
    _, number, _ = connection.open("full", 1 << 20, frames.CREATE)
    stored = 0
    while True:
        status = connection.store(number, stored, pages[stored % len(pages)])
        if status != frames.OK:
            break
        stored += 1
    again = connection.store(number, 0, pages[1])  # an overwrite needs room beside the old page
    first = pages[1] if again == frames.OK else pages[0]
    intact = connection.load(number, 0) == (frames.OK, first.bytes)
    for slot in range(1, stored):
        intact = intact and connection.load(number, slot) == (frames.OK,
                                                              pages[slot % len(pages)].bytes)
    beside = frames.Connection(neighbour.port)
    _, other, _ = beside.open("beside", 1 << 20, frames.CREATE)
    return stored, status, intact, beside.store(other, 0, pages[0])
