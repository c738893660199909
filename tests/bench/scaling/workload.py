# SPDX-License-Identifier: BSD-3-Clause
"""workload - threads that use a memcached client as a cache is used, and write down what they saw.

Each thread has keys of its own. Of ten requests seven are a get, two a set of a new version, one a
get of ten keys at once. A get that misses is followed by a set of what the cache should have held,
as every cache's user does. A thread sends a request each PAUSE_S, or when the last one is over."""
import random
import threading
import time

from outcome import ERROR, MISS, RIGHT, Event, Ledger

KEYS_A_THREAD, THREADS, PAUSE_S, MANY = 1500, 2, 0.001, 10


class Thread(threading.Thread):
    def __init__(self, number, client):
        super().__init__(daemon=True)
        self.client, self.ledger, self.events = client, Ledger(), []
        self.keys = [f"k{number}-{n}" for n in range(KEYS_A_THREAD)]
        self.random, self.over, self.of_victim = random.Random(number), False, set()
        self.errors = {}

    def note(self, begun, operation, key, outcome):
        now = time.monotonic()
        self.events.append(Event(now, now - begun, operation, key in self.of_victim, outcome))

    def wrong(self, error):
        name = f"{type(error).__name__}: {error}"[:100]
        self.errors[name] = self.errors.get(name, 0) + 1

    def store(self, key, value, operation="set"):
        begun = time.monotonic()
        try:
            self.client.set(key, value)
        except Exception as error:  # whatever the library raises is what its caller gets
            self.wrong(error)
            self.note(begun, operation, key, ERROR)
            return False
        self.ledger.stored(key)
        self.note(begun, operation, key, RIGHT)
        return True

    def get(self, key):
        begun = time.monotonic()
        try:
            value = self.client.get(key)
        except Exception as error:
            self.wrong(error)
            return self.note(begun, "get", key, ERROR)
        outcome = self.ledger.judge(key, value)
        self.note(begun, "get", key, outcome)
        if outcome == MISS:
            self.store(key, self.ledger.newest_value(key), "fill")
        return None

    def get_many(self, keys):
        begun = time.monotonic()
        try:
            values = self.client.get_many(keys)
        except Exception as error:
            self.wrong(error)
            values = None
        for key in keys:
            outcome = ERROR if values is None else self.ledger.judge(key, values.get(key))
            self.note(begun, "many", key, outcome)

    def fill(self):
        for key in self.keys:
            if not self.store(key, self.ledger.next_value(key)):
                raise SystemExit(f"the servers are up and a set failed: {self.errors}")

    def run(self):
        while not self.over:
            begun, draw = time.monotonic(), self.random.random()
            key = self.random.choice(self.keys)
            if draw < 0.7:
                self.get(key)
            elif draw < 0.9:
                self.store(key, self.ledger.next_value(key))
            else:
                self.get_many(self.random.sample(self.keys, MANY))
            time.sleep(max(0.0, begun + PAUSE_S - time.monotonic()))


class Workload:
    """Fills the servers through `engine`; then start(), and stop() for the events."""

    def __init__(self, engine, victim):
        self.threads = [Thread(n, engine.client()) for n in range(THREADS)]
        for thread in self.threads:
            thread.fill()
            thread.of_victim = victim.holds(thread.keys)
        self.share = (sum(len(t.of_victim) for t in self.threads)
                      / sum(len(t.keys) for t in self.threads))

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self, patience):
        """The events of all; a thread that still waits after `patience` seconds counts as one."""
        for thread in self.threads:
            thread.over = True
        until = time.monotonic() + patience
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [e for t in self.threads for e in list(t.events)]

    def errors(self):
        all_ = {}
        for thread in self.threads:
            for name, count in thread.errors.items():
                all_[name] = all_.get(name, 0) + count
        return all_
