#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Items that give way go to the file below memory, and are there when they are asked for."""
import os
import random
import sys
import threading
import time

from operating import until
from running import Server
from spilling import on_failing_disk, place_to_spill, resident_kib, spilling
from story import ask, limit_mib, sanitized, stats, tell

KEYS = 3000
NOISE = random.Random(1).randbytes(1 << 20)


def value_of(n):
    """Of all sizes that matter, noise and not: one piece, some, a long one. No two are alike."""
    size = 200000 if n % 500 == 7 else 20000 if n % 50 == 3 else 600 + n * 7919 % 14000
    start = n * 31 % (len(NOISE) - size)
    return NOISE[start:start + 64] * (size // 64) if n % 10 == 0 else NOISE[start:start + size]


def all_spilled(programs, place, mib):
    """Whatever gives way is worth it."""
    return [*spilling(programs, place, mib), "storage.spill_item_size=1B"]


class Client:
    def __init__(self, server):
        self.socket = server.connect("unix", timeout=60)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.file.close()
        self.socket.close()

    def say(self, text):
        self.socket.sendall(text)

    def line(self):
        return self.file.readline()

    def asks(self, text):
        self.say(text)
        return self.line()

    def set(self, key, value):
        return self.asks(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))

    def values(self):
        """What comes until END, by key, in the order it comes."""
        found = {}
        while (line := self.line()) != b"END\r\n":
            word, key, _, size = line.split()[:4]
            assert word == b"VALUE", line
            found[key] = self.file.read(int(size))
            assert self.file.read(2) == b"\r\n"
        return found

    def get(self, *keys):
        self.say(b"get " + b" ".join(keys) + b"\r\n")
        return self.values()


def fill(server, keys=KEYS, first=0):
    """Sets, all of them acknowledged."""
    with Client(server) as client:
        for begin in range(first, keys, 50):
            some = range(begin, min(begin + 50, keys))
            client.say(b"".join(b"set k%d 0 0 %d\r\n%s\r\n" % (n, len(value_of(n)), value_of(n))
                                for n in some))
            for n in some:
                assert client.line() == b"STORED\r\n", n


def spilled(server):
    return int(stats(server, "spill")["items"])


def found(server, keys=KEYS):
    """How many are there, each of them as it was stored; by many keys and by one, in order."""
    count = 0
    with Client(server) as client:
        for begin in range(0, keys, 20):
            some = range(begin, min(begin + 20, keys))
            if begin // 20 % 2 == 0:
                got = client.get(*[b"k%d" % n for n in some])
                assert list(got) == [b"k%d" % n for n in some if b"k%d" % n in got]
            else:
                got = {}
                client.say(b"".join(b"get k%d\r\n" % n for n in some))
                for n in some:
                    one = client.values()
                    assert list(one) in ([], [b"k%d" % n]), (n, list(one))
                    got.update(one)
            for key, value in got.items():
                assert value == value_of(int(key[1:])), key
            count += len(got)
    return count


def five_times_the_memory_in_items_comes_back(programs):
    limit = limit_mib(programs.farpaged, 20)
    keys = limit * 1024 // (8 if sanitized(programs.farpaged) else 2) * 5 // 4
    with place_to_spill() as place, \
            Server(programs.farpaged, all_spilled(programs, place, 16 * limit)) as server:
        worst, over = [0], threading.Event()

        def watch():
            while not over.wait(0.01):
                worst[0] = max(worst[0], resident_kib(server))

        watcher = threading.Thread(target=watch)
        watcher.start()
        fill(server, keys)
        assert found(server, keys) == keys
        over.set()
        watcher.join()
        now, general = stats(server, "spill"), stats(server)
        assert int(now["items"]) > keys // 2 and general["evictions"] == "0", (now, general)
        assert int(now["item_reads"]) > keys // 3 and now["item_failed_reads"] == "0", now
        assert int(general["curr_items"]) == keys
        if not sanitized(programs.farpaged):
            assert worst[0] < limit * 1024 * 1.05, worst


def whatever_is_done_to_a_spilled_item_finds_it(programs):
    with place_to_spill() as place, \
            Server(programs.farpaged, all_spilled(programs, place, 300)) as server:
        fill(server)
        before = int(stats(server)["curr_items"])
        dumped = ask(server, "lru_crawler metadump all\r\n")
        assert dumped.count("key=k") == before, dumped[:300]
        with Client(server) as client:
            old = [b"k%d" % n for n in range(400)]
            v = {key: value_of(int(key[1:])) for key in old}
            assert spilled(server) > KEYS // 3
            # None of these reads anything.
            reads = stats(server, "spill")["item_reads"]
            assert client.asks(b"delete k0\r\n") == b"DELETED\r\n"
            assert client.asks(b"touch k1 100\r\n") == b"TOUCHED\r\n"
            assert client.asks(b"mg k1 t s\r\n") == b"HD t100 s%d\r\n" % len(v[b"k1"])
            assert client.asks(b"add k2 0 0 1\r\nx\r\n") == b"NOT_STORED\r\n"
            assert client.asks(b"replace k4 0 0 1\r\nx\r\n") == b"STORED\r\n"
            assert client.asks(b"cas k5 0 0 1 1\r\nx\r\n") == b"EXISTS\r\n"
            assert client.asks(b"touch k6 -1\r\n") == b"TOUCHED\r\n"
            assert client.asks(b"md k8 I\r\n") == b"HD\r\n"
            assert b"codec=" in client.asks(b"me k9\r\n")
            assert stats(server, "spill")["item_reads"] == reads
            got = client.get(*old[:10])
            assert list(got) == [b"k1", b"k2", b"k3", b"k4", b"k5", b"k7", b"k8", b"k9"], list(got)
            assert got.pop(b"k4") == b"x" and all(got[key] == v[key] for key in got)
            # These read it back first.
            assert client.asks(b"append k11 0 0 3\r\nend\r\n") == b"STORED\r\n"
            assert client.asks(b"prepend k507 0 0 3\r\nbeg\r\n") == b"STORED\r\n"
            client.say(b"append k13 0 0 70000\r\n" + b"z" * 70000 + b"\r\n")
            assert client.line() == b"STORED\r\n"
            assert client.asks(b"incr k12 1\r\n").startswith(b"CLIENT_ERROR cannot increment")
            mapped = client.asks(b"map k14 ro\r\n").split()
            assert mapped[0] == b"MAPPED", mapped
            assert client.asks(b"mread %s 0 %d\r\n" % (mapped[1], len(v[b"k14"]))).startswith(b"DATA")
            assert client.file.read(len(v[b"k14"]) + 2) == v[b"k14"] + b"\r\n"
            assert client.asks(b"unmap %s\r\n" % mapped[1]) == b"UNMAPPED\r\n"
            assert client.get(b"k11") == {b"k11": v[b"k11"] + b"end"}
            assert client.get(b"k507") == {b"k507": b"beg" + value_of(507)}
            assert client.get(b"k13") == {b"k13": v[b"k13"] + b"z" * 70000}
            assert client.asks(b"mg k15 v W\r\n").startswith(b"CLIENT_ERROR")
            # An invalidated one is won once, although its request is given twice.
            assert client.asks(b"md k16 I\r\n") == b"HD\r\n"
            first = client.asks(b"mg k16 v\r\n").split()
            assert first[2:] == [b"X", b"W"] and client.file.read(int(first[1]) + 2)[:-2] == v[b"k16"]
            assert client.asks(b"mg k16 t\r\n") == b"HD t-1 Z X\r\n"
            client.say(b"gat 50 k17\r\n")
            assert client.values() == {b"k17": v[b"k17"]}
            assert client.asks(b"mg k17 t\r\n") == b"HD t50\r\n"
            # What is asked for again comes back into memory.
            promoted = int(stats(server, "spill")["item_promotions"])
            client.get(*old[20:40])
            client.get(*old[20:40])
            assert int(stats(server, "spill")["item_promotions"]) >= promoted + 15
            # The scrubber reads them, and a flush ends them all without.
            programs.run(server, "scrub")
            assert stats(server, "scrub")["damaged_items"] == "0"
            assert client.asks(b"flush_all\r\n") == b"OK\r\n"
            assert client.get(*old[50:60]) == {}
            ask(server, "lru_crawler crawl all\r\n")
        until(lambda: stats(server, "spill")["items"] == "0", 10)
        assert stats(server, "spill")["live_bytes"] == "0"


def a_full_file_ends_the_coldest(programs):
    """Every set is taken; a get finds what was stored, or nothing."""
    with place_to_spill() as place, \
            Server(programs.farpaged, all_spilled(programs, place, 8)) as server:
        fill(server)
        now = stats(server, "spill")
        assert int(now["items_ended"]) > 100 and int(now["items"]) > 300, now
        count = found(server)
        assert count == int(stats(server)["curr_items"]) and KEYS // 4 < count < KEYS, count
        with Client(server) as client:
            late = [b"k%d" % n for n in range(KEYS - 100, KEYS)]
            assert sum(len(client.get(key)) for key in late) > 90


def a_read_that_fails_is_a_miss(programs):
    with place_to_spill() as place, on_failing_disk(programs, place, "storage.spill_item_size=1B") as (disk, server):
        fill(server)
        for how, first in (("read", 20), ("flip", 60)):
            keys = [b"k%d" % n for n in range(first, first + 40)]
            failed = int(stats(server, "spill")["item_failed_reads"])
            with Client(server) as client:
                disk.is_now(how)
                got = client.get(*keys) # what is in memory
                disk.is_now("")
                assert len(got) < 10 and client.get(*keys) == got, len(got)
                assert client.set(keys[0], b"new") == b"STORED\r\n"
                assert client.get(*keys) == {keys[0]: b"new", **got}
                assert len(client.get(*[b"k%d" % n for n in range(200, 240)])) == 40
            now = stats(server, "spill")
            assert int(now["item_failed_reads"]) == failed + 40 - len(got), now
        assert int(now["bad_records"]) > 30 and int(now["read_errors"]) > 30, now
        assert "a spilled item cannot be read, and ends key=k" in server.stderr()
        disk.is_now("write")
        with Client(server) as client: # memory is full, and nothing can be written: items give way
            for n in range(KEYS, KEYS + 2000):
                assert client.set(b"k%d" % n, value_of(n)) == b"STORED\r\n"
        assert int(stats(server)["evictions"]) > 0
        disk.is_now("")
        until(lambda: stats(server, "spill")["state"] in ("idle", "writing"), 5)


def what_is_done_while_an_item_is_read_holds(programs):
    """Nobody waits for the disk but who asked; and what is deleted, set or flushed meanwhile is."""
    with place_to_spill() as place, on_failing_disk(programs, place, "storage.spill_item_size=1B") as (disk, server):
        fill(server)
        with Client(server) as waiting, Client(server) as gone, Client(server) as client:
            disk.is_now("stop")
            waiting.say(b"get k20 k2990 k21\r\nget k22\r\nget k2991\r\nget k23\r\n")
            gone.say(b"get k24 k25\r\n")
            time.sleep(0.1)
            assert client.asks(b"delete k20\r\n") == b"DELETED\r\n"
            assert client.set(b"k21", b"new") == b"STORED\r\n"
            assert client.asks(b"delete k22\r\n") == b"DELETED\r\n"
            assert client.asks(b"touch k24 -1\r\n") == b"TOUCHED\r\n"
            gone.socket.close()
            assert client.get(b"k2992") == {b"k2992": value_of(2992)}
            disk.is_now("")
            assert waiting.values() == {b"k2990": value_of(2990), b"k21": b"new"}
            assert [waiting.values() for _ in range(3)] == [
                {}, {b"k2991": value_of(2991)}, {b"k23": value_of(23)}]
            assert client.get(b"k24", b"k25") == {b"k25": value_of(25)}
        assert stats(server, "spill")["item_failed_reads"] == "0"


def spilled_items_are_there_after_a_restart(programs):
    with place_to_spill() as place:
        sets = [*all_spilled(programs, place, 200), f"server.restart_file={os.path.abspath(place)}/restart"]
        with Server(programs.farpaged, sets) as server:
            fill(server)
            assert spilled(server) > KEYS // 9
            programs.run(server, "snapshot", f"{place}/copy")
        seen = programs.json("unix:/none", "snapshot", "inspect", f"{place}/copy")
        assert (seen["items"], seen["damaged_items"]) == (KEYS, 0), seen
        with Server(programs.farpaged, sets) as server:
            assert found(server) == KEYS
            assert stats(server)["evictions"] == "0" and spilled(server) > KEYS // 9


def where_items_are_not_spilled_they_give_way(programs):
    with place_to_spill() as place:
        sets = [*spilling(programs, place, 200), "storage.spill_items=off"]
        with Server(programs.farpaged, sets) as server:
            fill(server)
            assert spilled(server) == 0 and int(stats(server)["evictions"]) > 100


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([five_times_the_memory_in_items_comes_back,
          whatever_is_done_to_a_spilled_item_finds_it,
          a_full_file_ends_the_coldest,
          a_read_that_fails_is_a_miss,
          what_is_done_while_an_item_is_read_holds,
          spilled_items_are_there_after_a_restart,
          where_items_are_not_spilled_they_give_way])
