#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A server that is stopped and started again with what it kept, as its clients see it."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import nbd

from areas import EXPECT, LOST, OK, TRANSIENT, Session
from devices import connect
from hostile import frame
from library import Program
from nbd_wire import Device
from operating import until
from running import Server
from story import ask, memory_limit, sample, stats, tell

PAGE, EXIT_DATA, SNAPSHOT, CORRUPT = 4096, 65, 23, 2


class Kept:
    """A directory with a restart file, and the servers that have it one after the other."""

    def __init__(self, programs, sets=()):
        self.programs, self.sets = programs, sets

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="restart-")
        self.file = os.path.join(self.directory, "kept")
        return self

    def __exit__(self, *what):
        shutil.rmtree(self.directory, ignore_errors=True)

    def server(self, *sets):
        return Server(self.programs.farpaged,
                      sets=[f"server.restart_file={self.file}", *self.sets, *sets])

    def refused(self, *sets, code=EXIT_DATA, more=()):
        """What a server that does not start says in its one line."""
        command = [self.programs.farpaged, "--set", f"server.restart_file={self.file}", "--set",
                   f"listeners=[{{address: \"unix:{self.directory}/none\"}}]", *more]
        for pair in sets:
            command += ["--set", pair]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done
        said = [line for line in done.stderr.splitlines() if "cannot start" in line]
        assert len(said) == 1, done.stderr
        return said[0]


def fill(server, pages=300):
    session = Session(server)
    area = session.open(b"swap", 4096)
    data = sample()
    for i in range(pages):
        assert session.store(area, i * 3, data[i * PAGE:(i + 1) * PAGE]) == OK
    return session, area


def check(session, area, pages=300):
    data = sample()
    for i in range(pages):
        assert session.load(area, i * 3) == data[i * PAGE:(i + 1) * PAGE], i


def clients_go_on_after_a_restart(programs):
    """Nobody who has an area open notices more than a connection that broke; and after a crash
    nobody is given what was kept before."""
    with Kept(programs) as kept:
        with kept.server() as first:
            address = first.unix + ".link"
            os.symlink(first.unix, address)
            with Program("unix:" + address) as program:
                program.expect("many 100 256 7", "ok")
                session, area = fill(first)
                identity = session.identity
                fleeting = Session(first)
                assert fleeting.store(fleeting.open(b"fleeting", 9, TRANSIENT), 8, bytes(PAGE)) == OK
                ask(first, "set a 5 0 5\r\napple\r\nset b 0 100 3\r\nbee\r\n")
                cas = ask(first, "gets a\r\n").split()[4]
                first.stop()
                first.over = True
                assert os.stat(kept.file).st_mode & 0o777 == 0o600
                with kept.server() as second:
                    assert not os.path.exists(kept.file)
                    os.remove(address)
                    os.symlink(second.unix, address)
                    for slot in (100, 355):
                        program.expect(f"load {slot}", "ok", 7)
                    program.expect("load 99", "absent")
                    program.expect("store 99 8", "ok")
                    fleeting, was = Session(second), fleeting.identity
                    number = fleeting.open(b"fleeting", flags=EXPECT, identity=was)
                    assert fleeting.load(number, 8) == bytes(PAGE)
                    session = Session(second)
                    area = session.open(b"swap", flags=EXPECT, identity=identity)
                    check(session, area)
                    said = ask(second, "gets a\r\nmg b t\r\n").split("\r\n")
                    assert said[0].split() == ["VALUE", "a", "5", "5", cas], said
                    assert said[1] == "apple" and said[3] in ("HD t100", "HD t99"), said
                    assert "identities=\"the same\"" in second.stderr(), second.stderr()
                    second.process.send_signal(signal.SIGKILL)
                    second.is_over(-signal.SIGKILL)
                    with kept.server() as third:
                        os.remove(address)
                        os.symlink(third.unix, address)
                        program.expect("load 100", "lost")
                        session = Session(third)
                        opened = session.try_open(b"swap", flags=EXPECT, identity=identity)
                        assert opened["status"] == LOST, opened


def what_cannot_be_taken_up_is_refused_in_one_line(programs):
    """And the file is left as it is; nothing listens."""
    with Kept(programs) as kept:
        with kept.server() as server:
            fill(server)
            ask(server, "set a 0 0 5\r\napple\r\n")
        with open(kept.file, "rb") as f:
            good = f.read()

        def written(content):
            os.truncate(kept.file, 0)  # the same file, as its inode tells
            with open(kept.file, "r+b") as f:
                f.write(content)

        assert "byte 0" in kept_said(kept, written, b"#!/bin/sh\n")
        assert "does not begin as a snapshot" in kept_said(kept, written, b"#!/bin/sh\n")
        assert "cut short" in kept_said(kept, written, good[:len(good) // 2])
        assert "cut short" in kept_said(kept, written, b"")
        at = len(good) // 2
        flipped = good[:at] + bytes([good[at] ^ 4]) + good[at + 1:]
        said = kept_said(kept, written, flipped)
        assert "at byte " in said and "checksum" in said and "move it away" in said, said
        assert "another version" in kept_said(kept, written, good[:8] + b"\x02" + good[9:])
        assert "something follows" in kept_said(kept, written, good + b"\n")
        written(good)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            there = f"listeners=[{{address: \"127.0.0.1:{taken.getsockname()[1]}\"}}]"
            assert "in use" in kept.refused(there, code=69)
            assert os.path.exists(kept.file)
        os.chmod(kept.file, 0o620)
        assert "others may write to it" in kept.refused()
        os.chmod(kept.file, 0o600)
        said = kept.refused("areas=[{name: swap, size: 1MiB}]")
        assert "another size" in said, said
        shutil.copy(kept.file, kept.file + ".copy")
        os.rename(kept.file + ".copy", kept.file)
        assert "it is a copy" in kept.refused()
        assert "move one of them away" in kept.refused(more=["--restore", kept.file])


def a_copy_may_be_begun_with_under_new_identities(programs):
    """Whoever had the area open is told that it is lost; whoever opens it by name has its pages."""
    with Kept(programs) as kept:
        with kept.server() as server:
            identity = fill(server)[0].identity
        copy = shutil.copy(kept.file, kept.file + ".copy")
        os.remove(kept.file)
        for _ in range(2):  # it stays
            with Server(programs.farpaged, arguments=["--restore", copy]) as server:
                session = Session(server)
                opened = session.try_open(b"swap", flags=EXPECT, identity=identity)
                assert opened["status"] == LOST, opened
                check(session, session.open(b"swap"))
                assert "identities=new" in server.stderr(), server.stderr()


def a_block_device_goes_on_by_its_plain_name(programs):
    """Also one that a template had made; after a crash neither is handed out."""
    exports = "[{name: disk, size: 16MiB}, {name: 'guests/*', size: 8MiB, lifetime: connection}]"
    data = sample()[:300 * PAGE]
    with Kept(programs) as kept:
        sets = [f"server.restart_file={kept.file}"]
        with Device(programs.farpaged, exports, sets=sets, state=kept.directory + "/state") as first:
            for name in ("disk", "guests/one"):
                handle = connect(first, name)
                handle.pwrite(data, 8192)
                identity = name + "@" + stats(first, "exports")[name + ":identity"]
                handle.shutdown()
        with Device(programs.farpaged, exports, sets=sets, state=kept.directory + "/state") as second:
            for name in ("disk", "guests/one", identity):
                handle = connect(second, name)
                assert handle.pread(len(data), 8192) == data
                assert handle.pread(8192, 0) == bytes(8192)
                handle.shutdown()
            assert identity.startswith("guests/one@"), identity
            second.process.send_signal(signal.SIGKILL)
            second.is_over(-signal.SIGKILL)
        with Device(programs.farpaged, exports, sets=sets, state=kept.directory + "/state") as third:
            for name in ("disk", "guests/one", identity):
                try:
                    connect(third, name)
                    raise AssertionError(f"{name} is there")
                except nbd.Error as error:
                    assert error.errno == "ENOENT", error
            assert stats(third, "exports")["disk:state"] == "lost", stats(third, "exports")


def what_is_spilled_is_kept_too(programs):
    """Three times the memory: in a snapshot, and in the next server, page for page."""
    with Kept(programs) as kept:
        file, place = os.path.join(kept.directory, "noise"), os.path.join(kept.directory, "spill")
        kept.sets = [memory_limit(programs, 20), f"storage.spill_path={place}",
                     "storage.spill_size=128MiB"]
        with open(file, "wb") as out:
            out.write(random.Random(5).randbytes(13 << 20))
        with kept.server() as server:
            programs.run(server, "store", "big", file)
            assert int(stats(server, "spill")["pages"]) > 100, stats(server, "spill")
            programs.run(server, "snapshot", file + ".fps")
            seen = programs.json(server, "snapshot", "inspect", file + ".fps")
            assert (seen["pages"], seen["damaged_pages"]) == (3328, 0), seen
            os.remove(file + ".fps")
        with kept.server() as server:
            assert int(stats(server, "spill")["pages"]) > 100, stats(server, "spill")
            programs.run(server, "verify", "big", file)


class Numbers(threading.Thread):
    """Stores one number after the other, round and round the slots of two areas."""

    SLOTS = 250

    def __init__(self, server):
        super().__init__(daemon=True)
        self.session, self.over, self.next = Session(server), False, 1
        self.areas = [self.session.open(name, self.SLOTS) for name in (b"one", b"two")]

    def store(self):
        number, page = self.next, self.next.to_bytes(8, "big") * (PAGE // 8)
        place = number % (2 * self.SLOTS)
        assert self.session.store(self.areas[place % 2], place // 2, page) == OK
        self.next += 1

    def run(self):
        while not self.over:
            self.store()

    @classmethod
    def seen(cls, server):
        session = Session(server)
        areas = [session.open(name) for name in (b"one", b"two")]
        pages = [session.load(area, slot) for slot in range(cls.SLOTS) for area in areas]
        assert all(isinstance(page, bytes) for page in pages)
        return sorted(int.from_bytes(page[:8], "big") for page in pages)


def a_snapshot_is_of_one_moment_while_others_store(programs):
    """All pages of all areas: the last numbers that were stored then, without a gap."""
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "snapshot")
        with Server(programs.farpaged) as server:
            fill(server)
            ask(server, "set a 5 0 5\r\napple\r\n")
            numbers = Numbers(server)
            for _ in range(2 * Numbers.SLOTS):
                numbers.store()
            numbers.start()
            for _ in range(3):
                said = programs.json(server, "snapshot", file)
            numbers.over = True
            numbers.join()
            stored = numbers.next
            assert said["areas"] == 3 and said["items"] == 1, said
            assert os.stat(file).st_mode & 0o777 == 0o600 and os.listdir(directory) == ["snapshot"]
            away = subprocess.run([programs.farpage, "--server", "unix:" + server.unix, "snapshot",
                                   "-"], capture_output=True, timeout=60, check=True)
            assert away.stdout[:8] == b"\x89FPS\r\n\x1a\n" and b"pages of 3 areas" in away.stderr
        seen = programs.json("unix:/none", "snapshot", "inspect", file)
        assert seen["kind"] == "snapshot" and seen["damaged_pages"] == 0, seen
        assert {a["name"]: a["pages"] for a in seen["areas"]} == \
            {"swap": 300, "one": Numbers.SLOTS, "two": Numbers.SLOTS}, seen
        assert "every checksum of the file is good" in \
            programs.run("unix:/none", "snapshot", "inspect", file)
        with Server(programs.farpaged, arguments=["--restore", file]) as server:
            found = Numbers.seen(server)
            assert found == list(range(found[0], found[0] + 2 * Numbers.SLOTS)), found
            assert 2 * Numbers.SLOTS <= found[-1] < stored, (found[-1], stored)
            assert "apple" in ask(server, "get a\r\n")
        with open(file, "r+b") as f:
            f.seek(5000)
            f.write(b"?")
        assert "at byte " in programs.run("unix:/none", "snapshot", "inspect", file, code=1)
        with Kept(programs) as kept:
            shutil.copy(file, kept.file)
            assert "server that went on" in kept.refused() or "checksum" in kept.refused()


def a_snapshot_that_is_not_wanted_any_more_costs_nothing(programs):
    """The client is killed, or the configuration forbids it: the old file stays, and the next may."""
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "snapshot")
        with Server(programs.farpaged) as server:
            fill(server)
            programs.run(server, "snapshot", file)
            with open(file, "rb") as f:
                before = f.read()
            begun = Session(server)
            assert begun.ask(frame(SNAPSHOT, count=0))["status"] == OK
            assert "somebody takes a snapshot already" in \
                programs.run(server, "snapshot", file, code=1)
            begun.leave()
            with open(file, "rb") as f:
                assert f.read() == before and os.listdir(directory) == ["snapshot"]
            until(lambda: "snapshot given up" in server.stderr())
            programs.run(server, "snapshot", file)
        with Server(programs.farpaged, sets=["server.dump_commands=off"]) as server:
            assert "switched that off" in programs.run(server, "snapshot", file, code=1)


def a_scrub_finds_what_is_damaged_before_its_owner_does(programs):
    """By area and slot and by key, in the log; a page that is damaged is so in a snapshot, too."""
    with Server(programs.farpaged) as server:
        session, area = fill(server)
        ask(server, "set good 0 0 900\r\n" + "x" * 900 + "\r\n")
        assert "idle; the last run: done, 301 looked at, 0 damaged" in \
            programs.run(server, "scrub", "start")
        assert "SCRUB idle 100%, 0 damaged" in ask(server, "scrub\r\n")
        if ask(server, "debug corrupt swap 9\r\n").startswith("ERROR"):
            print("this build has no debug hooks: no more to see here")
            return
        ask(server, "debug corrupt-item good\r\n")
        said = programs.run(server, "scrub", "start", "--json", code=1)
        assert json.loads(said)["damaged"] == 2, said
        assert "area=swap slot=9" in server.stderr() and "key=good" in server.stderr()
        assert stats(server, "scrub")["damaged_pages"] == "1", stats(server, "scrub")
        assert session.load(area, 9) == CORRUPT
        with tempfile.TemporaryDirectory() as directory:
            file = os.path.join(directory, "snapshot")
            programs.run(server, "snapshot", file)
            assert "1 pages and 1 items are damaged" in \
                programs.run(server, "snapshot", "inspect", file, code=1)
        assert "nothing runs" in programs.run(server, "scrub", "stop", code=1)
    with Server(programs.farpaged, sets=["storage.scrub_interval=100ms"]) as server:
        until(lambda: int(stats(server, "scrub")["runs"]) >= 1)


def kept_said(kept, written, content):
    written(content)
    said = kept.refused()
    assert kept.file in said, said
    with open(kept.file, "rb") as f:
        assert f.read() == content
    return said


def too_little_memory_is_told_with_what_is_needed(programs):
    with Kept(programs) as kept:
        with kept.server("storage.memory_limit=256MiB") as server:
            noise = os.path.join(kept.directory, "noise")
            with open(noise, "wb") as out:
                out.write(random.Random(6).randbytes(48 << 20))
            programs.run(server, "store", "swap", noise)
        said = kept.refused(memory_limit(programs, 20))
        assert "it needs " in said and "storage.memory_limit is" in said, said
        with kept.server() as server:
            assert server.said_so  # to who came while it was taken up


def a_full_disk_is_told_and_leaves_nothing(programs):
    with Kept(programs) as kept:
        small = os.path.join(kept.directory, "small")
        os.mkdir(small)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            print("skipped: no file system can be mounted here")
            sys.exit(77)
        try:
            kept.file = os.path.join(small, "kept")
            with kept.server() as server:
                fill(server)
                server.process.send_signal(signal.SIGTERM)
                server.is_over(1)
                said = server.stderr()
                assert "what was stored is lost" in said and "No space left" in said, said
                assert os.listdir(small) == []
        finally:
            subprocess.run(["umount", small], check=True)


if __name__ == "__main__":
    tell([clients_go_on_after_a_restart, what_cannot_be_taken_up_is_refused_in_one_line,
          a_copy_may_be_begun_with_under_new_identities, a_block_device_goes_on_by_its_plain_name,
          what_is_spilled_is_kept_too, a_snapshot_is_of_one_moment_while_others_store,
          a_scrub_finds_what_is_damaged_before_its_owner_does,
          a_snapshot_that_is_not_wanted_any_more_costs_nothing,
          too_little_memory_is_told_with_what_is_needed, a_full_disk_is_told_and_leaves_nothing])
