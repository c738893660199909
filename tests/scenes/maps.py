#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Maps of pages over raw frames, and what kills, reloads and take-overs do to maps."""
import os
import re
import signal
import struct
import subprocess
import sys
import time

from areas import BAD_FIELD, BUSY, LOST, PAGE, SHARED, Session, eventually, sentence
from hostile import (ABSENT, BAD_LENGTH, INVALIDATE, LIMIT, MAP, MREAD, MWRITE, OK, RANGE, UNMAP,
                     frame, receive)
from running import Server
from story import ask, stats, tell

RO, RW, WO = 1, 2, 3
PUBLISH, DISCARD = 0, 1
CHANGED, EXPIRED, NO_MAP, MAP_MODE = 20, 21, 22, 25
CLIENT = bytes(range(1, 17))


class Mapper(Session):
    def map(self, area, slot, mode, lease=0):
        """The id, or the status where it is refused."""
        r = self.ask(frame(MAP, struct.pack(">II", lease, 0), area=area, slot=slot, count=mode))
        if r["status"] != OK:
            self.refusal = r
            return -r["status"]
        number, size, self.lease = struct.unpack(">QII", r["body"])
        assert size == self.page_bytes
        return number

    def read(self, number, offset=0, size=PAGE):
        r = self.ask(frame(MREAD, struct.pack(">II", offset, size), slot=number))
        return r["body"] if r["status"] == OK else r["status"]

    def write(self, number, offset, data):
        return self.ask(frame(MWRITE, struct.pack(">II", offset, 0) + data, slot=number))["status"]

    def invalidate(self, area, slot):
        return self.ask(frame(INVALIDATE, area=area, slot=slot, count=1))["status"]

    def unmap(self, number, how=PUBLISH):
        return self.ask(frame(UNMAP, slot=number, count=how))["status"]


def pinned(server):
    return int(stats(server, "zpool")["pinned"])


def noise(seed):
    return b"".join(struct.pack(">Q", (seed + i) * 0x9E3779B97F4A7C15 % 2**64) for i in range(512))


def a_mapper_keeps_its_page_whatever_others_do(programs):
    """Of every kind of page: packed, kept plain, a repeated byte, a repeated word of 8."""
    with Server(programs.farpaged) as server:
        a, b = Mapper(server), Mapper(server)
        area = a.open(b"swap", 4096, SHARED)
        assert b.open(b"swap", 0, SHARED) == area
        pages = [(b"text %d " % 7 * 600)[:PAGE], noise(1), b"x" * PAGE, b"12345678" * 512]
        for slot, page in enumerate(pages):
            assert a.store(area, slot, page) == OK
        maps = [(a.map(area, slot, RO), b.map(area, slot, RO)) for slot in range(4)]
        assert maps == [(1, 1), (2, 2), (3, 3), (4, 4)] and a.lease == 60
        assert pinned(server) == 3  # a repeated byte has no object, and both share a pin
        assert b.store(area, 0, noise(2)) == OK and b.store(area, 2, noise(3)) == OK
        assert b.invalidate(area, 1) == OK and b.invalidate(area, 3) == OK
        assert ask(server, "compressor set zstd\r\ncompact\r\nrecompress start\r\n").startswith("OK")
        for slot, page in enumerate(pages):
            assert a.read(slot + 1) == page and b.read(slot + 1, 100, 50) == page[100:150]
            assert a.unmap(slot + 1) == OK  # a reader has nothing to lose
            assert b.read(slot + 1) == page  # and the other has it still
            assert b.unmap(slot + 1) == OK
        assert pinned(server) == 0
        assert a.load(area, 0) == noise(2) and a.load(area, 1) == ABSENT
        a.leave()
        b.leave()


def a_writer_publishes_a_whole_page_or_nothing(programs):
    with Server(programs.farpaged) as server:
        a, b = Mapper(server), Mapper(server)
        area = a.open(b"swap", 16, SHARED)
        b.open(b"swap", 0, SHARED)
        old = b"o" * PAGE
        assert a.store(area, 5, old) == OK
        one = a.map(area, 5, RW)
        assert b.map(area, 5, RW) == -BUSY
        assert re.fullmatch(r"unix:\S* writes it for 0 s now", sentence(b.refusal)), b.refusal
        assert b.map(area, 5, WO) == -BUSY and b.map(area, 5, RO) == 1
        assert a.write(one, 4000, b"tail") == OK and a.load(area, 5) == old
        new = old[:4000] + b"tail" + old[4004:]
        assert a.read(one) == new and b.read(1) == old
        assert a.unmap(one) == OK and a.load(area, 5) == new
        assert b.read(1) == old and b.unmap(1) == OK
        # Stored meanwhile, though with the same bytes; invalidated; and where nothing was written.
        two, three = a.map(area, 5, RW), a.map(area, 6, WO)
        assert a.write(two, 0, b"lost") == OK
        assert b.store(area, 5, new) == OK and b.store(area, 6, old) == OK
        assert a.unmap(two) == CHANGED and a.unmap(three) == CHANGED
        four = a.map(area, 6, RW)
        assert b.invalidate(area, 6) == OK
        assert a.unmap(four) == CHANGED and a.load(area, 5) == new and a.load(area, 6) == ABSENT
        # What overwrites begins as zeros, in a slot that may be empty.
        five = a.map(area, 7, WO)
        assert a.map(area, 7, RO) == a.map(area, 7, RW) == -ABSENT and a.map(area, 7, WO) == -BUSY
        assert a.write(five, 10, b"few") == OK and a.read(five) == MAP_MODE
        assert a.unmap(five) == OK
        assert a.load(area, 7) == bytes(10) + b"few" + bytes(PAGE - 13)
        six = a.map(area, 8, WO)
        assert a.unmap(six) == OK and a.load(area, 8) == ABSENT  # nothing written, nothing stored
        seven = a.map(area, 7, RW)
        assert a.write(seven, 0, b"z" * PAGE) == OK and a.unmap(seven, DISCARD) == OK
        assert a.load(area, 7) == bytes(10) + b"few" + bytes(PAGE - 13)
        assert pinned(server) == 0
        a.leave()
        b.leave()


def what_makes_no_sense_of_a_map_is_refused(programs):
    with Server(programs.farpaged, ["session.maps_max=3", "session.map_lease=30s"]) as server:
        a = Mapper(server)
        area = a.open(b"swap", 16)
        assert a.store(area, 0, b"p" * PAGE) == OK
        assert a.map(area, 16, RO) == -RANGE and a.map(area, 1, RO) == -ABSENT
        assert a.map(area, 0, 0) == a.map(area, 0, 4) == -MAP_MODE
        assert a.map(area, 0, RO, lease=31) == -LIMIT
        for body in (b"", bytes(7), bytes(9), bytes(4) + b"\0\0\0\1"):
            r = a.ask(frame(MAP, body, area=area, count=RO))
            assert r["status"] == BAD_LENGTH, body
        number = a.map(area, 0, RO, lease=30)
        assert a.lease == 30
        for offset, size in ((0, PAGE + 1), (PAGE, 1), (1, PAGE), (0, 2**32 - 1), (2**32 - 1, 2)):
            assert a.read(number, offset, size) == RANGE
        assert a.read(number, PAGE, 0) == b""
        assert a.write(number, 0, b"x") == MAP_MODE
        writer = a.map(area, 0, RW)
        assert a.write(writer, PAGE - 1, b"xx") == RANGE and a.write(writer, 2**32 - 1, b"x") == RANGE
        assert a.ask(frame(MREAD, bytes(7), slot=writer))["status"] == BAD_LENGTH
        assert a.ask(frame(MWRITE, bytes(7), slot=writer))["status"] == BAD_LENGTH
        assert a.ask(frame(UNMAP, b"x", slot=writer))["status"] == BAD_LENGTH
        assert a.unmap(writer, 2) == BAD_FIELD
        for bad in (0, 99, 2**64 - 1):
            assert a.read(bad) == a.write(bad, 0, b"") == a.unmap(bad) == NO_MAP
        a.map(area, 0, RO)
        assert a.map(area, 0, RO) == -LIMIT
        assert a.unmap(number) == OK and a.unmap(number) == NO_MAP
        assert a.map(area, 0, RO) == 4  # ids are never used again
        a.leave()


def a_killed_client_is_let_go_of_at_once(programs):
    """kill -9 of the process that has it mapped: the next writer need not wait for any lease."""
    script = ("import sys, time; sys.path.insert(0, %r)\nfrom maps import *\n"
              "class S: pass\n"
              "import socket\n"
              "def connect(how=None, timeout=10):\n"
              "    s = socket.socket(socket.AF_UNIX); s.settimeout(timeout); s.connect(%r); return s\n"
              "server = S(); server.connect = connect\n"
              "m = Mapper(server); area = m.open(b'swap', 0, SHARED)\n"
              "assert m.map(area, 3, RW) == 1 and m.write(1, 0, b'dead') == OK\n"
              "print('mapped', flush=True); time.sleep(60)\n")
    with Server(programs.farpaged) as server:
        a = Mapper(server)
        area = a.open(b"swap", 16, SHARED)
        assert a.store(area, 3, noise(3)) == OK
        other = subprocess.Popen([sys.executable, "-B", "-c", script % (sys.path[0], server.unix)],
                                 stdout=subprocess.PIPE, text=True)
        try:
            assert other.stdout.readline() == "mapped\n"
            assert a.map(area, 3, RW) == -BUSY and f"pid={other.pid}," in sentence(a.refusal)
            assert pinned(server) == 1
        finally:
            other.send_signal(signal.SIGKILL)
            other.wait()
        killed = time.monotonic()
        eventually(lambda: pinned(server) == 0)
        gone = time.monotonic() - killed
        assert a.map(area, 3, RW) == 1 and a.read(1) == noise(3)
        assert gone < 2, gone
        print(f"unpinned {gone * 1000:.0f} ms after SIGKILL")
        a.leave()


def an_area_that_is_lost_takes_no_map_and_no_write(programs):
    """Taken over by the same client, deleted, closed: a reader has its bytes, a writer is told."""
    with Server(programs.farpaged) as server:
        old = Mapper(server)
        area = old.open(b"swap", 16, client=CLIENT)
        assert old.store(area, 1, noise(1)) == OK
        reader, writer = old.map(area, 1, RO), old.map(area, 1, RW)
        assert old.write(writer, 0, b"late") == OK
        new = Mapper(server)
        number = new.open(b"swap", 0, client=CLIENT)
        assert old.map(area, 1, RO) == -LOST
        assert old.unmap(writer) == LOST and old.unmap(writer) == NO_MAP
        assert old.read(reader) == noise(1) and old.unmap(reader) == OK
        assert new.load(number, 1) == noise(1)
        reader, writer = new.map(number, 1, RO), new.map(number, 1, RW)
        assert new.write(writer, 0, b"late") == OK
        assert new.close_area(number, delete=True)["status"] == OK
        assert new.unmap(writer) == LOST and new.read(reader) == noise(1)
        again = new.open(b"swap", 16)
        assert new.load(again, 1) == ABSENT and new.read(reader) == noise(1)
        closed = new.map(again, 2, WO)
        assert new.write(closed, 0, b"late") == OK and new.close_area(again)["status"] == OK
        assert new.unmap(closed) == LOST
        last = new.open(b"swap", 0)
        assert new.load(last, 2) == ABSENT
        old.leave()
        new.leave()
        eventually(lambda: pinned(server) == 0)


def a_lease_ends_a_map_of_pages_and_is_logged(programs):
    with Server(programs.farpaged, ["session.map_lease=1s"]) as server:
        a = Mapper(server)
        area = a.open(b"swap", 16)
        assert a.store(area, 0, noise(0)) == OK
        number, second = a.map(area, 0, RW), a.map(area, 0, RO)
        assert a.write(number, 0, b"vain") == OK and a.lease == 1
        until = time.monotonic() + 2.5
        while time.monotonic() < until:  # what is used goes on
            assert a.read(second, 0, 10) == noise(0)[:10]
            time.sleep(0.2)
        assert a.read(number) == EXPIRED and a.read(number) == NO_MAP
        assert a.load(area, 0) == noise(0)
        assert "map ended: it was not used for its lease" in server.stderr()
        assert stats(server)["farpage_maps_expired"] == "1"
        a.leave()


def a_reload_changes_leases_and_limits_of_maps(programs):
    with Server(programs.farpaged) as server:
        a = Mapper(server)
        area = a.open(b"swap", 16)
        assert a.store(area, 0, noise(0)) == OK
        assert a.map(area, 0, RO) == 1 and a.lease == 60
        with open(os.path.join(server.directory, "scene.yaml"), "a") as f:
            f.write("session:\n  map_lease: 5s\n  maps_max: 2\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: stats(server, "settings")["session.map_lease"] == "5s")
        assert a.map(area, 0, RO) == 2 and a.lease == 5
        assert a.map(area, 0, RO) == -LIMIT and a.read(1) == noise(0)
        a.leave()


def maps_are_shown_to_people(programs):
    with Server(programs.farpaged) as server:
        assert "nothing is mapped" in programs.run(server, "maps")
        assert programs.json(server, "maps")["maps"] == []
        a = Mapper(server)
        area = a.open(b"swap", 16)
        assert a.store(area, 3, noise(0)) == OK and a.map(area, 3, RW) == 1
        with server.connect() as s:
            s.sendall(b"set greeting 0 0 5\r\nhello\r\nmap greeting ro lease 7\r\n")
            receive(s, len("STORED\r\nMAPPED 1 0 5 1\r\n"))
            lines = programs.run(server, "maps").splitlines()
            assert re.match(r"key, or area and slot +mode +bytes +mapped +unused +lease", lines[0]), lines
            assert re.match(r"swap 3 +rw +4\.00 KiB", lines[1]), lines
            assert re.match(r"greeting +ro +5 B", lines[2]), lines
            rows = programs.json(server, "maps")["maps"]
            assert rows[0]["kind"] == "page" and rows[0]["slot"] == 3 and rows[0]["mode"] == "rw"
            assert rows[1]["key"] == "greeting" and 5 <= rows[1]["lease_left"] <= 7, rows
            sessions = programs.json(server, "sessions")["sessions"]
            assert sorted(r["mapped_bytes"] for r in sessions if r["maps"]) == [5, PAGE]
        a.leave()


if __name__ == "__main__":
    tell([a_mapper_keeps_its_page_whatever_others_do, a_writer_publishes_a_whole_page_or_nothing,
          what_makes_no_sense_of_a_map_is_refused, a_killed_client_is_let_go_of_at_once,
          an_area_that_is_lost_takes_no_map_and_no_write,
          a_lease_ends_a_map_of_pages_and_is_logged, a_reload_changes_leases_and_limits_of_maps,
          maps_are_shown_to_people])
