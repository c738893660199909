# SPDX-License-Identifier: BSD-3-Clause
"""draining - pages leave a server while they are used: to another server, to a file, to their owner.

  draining.py FARPAGED FARPAGE SCENE"""
import os
import random
import signal
import struct
import subprocess
import tempfile
import threading
import time

from hostile import (ABSENT, INVALIDATE, LOAD, OK, OPEN, REFUSED, STORE, crc32c, frame, hello,
                     receive, reply)
from running import Server
from story import ask, sample, stats, tell

BUSY, LOST, DRAINING, MOVED = 19, 23, 27, 28
UNUSE, UNUSE_ANSWER, DRAIN, STORED = 19, 20, 21, 22
CREATE, SHARED, TRANSIENT, EXPECT, DRAINS = 1, 2, 4, 16, 32
NOTICES = 2
SLOTS = 3000
PAGE_BYTES = 4096


def open_body(name, flags, slots=0, boot_id=bytes(16), generation=0):
    return struct.pack(">IIQQQ16sQ16xQ", flags, 0, slots, 0, 0, boot_id, generation, 0) + name


class Session:
    """One connection that has one area open."""

    def __init__(self, server, name=b"swap", flags=CREATE, slots=SLOTS, features=0, **identity):
        self.s = server.connect("unix")
        self.s.settimeout(60)
        self.s.sendall(hello(features=features))
        self.boot_id = reply(self.s)["body"][8:24]
        self.s.sendall(frame(OPEN, open_body(name, flags, slots, **identity)))
        self.opened = reply(self.s)
        self.area = self.opened["area"]
        if self.opened["status"] == OK:
            self.generation = struct.unpack(">Q", self.opened["body"][16:24])[0]

    def ask(self, opcode, body=b"", **fields):
        self.s.sendall(frame(opcode, body, area=self.area, **fields))
        return reply(self.s)

    def store(self, slot, page):
        return self.ask(STORE, page, slot=slot, count=1)["status"]

    def load(self, slot):
        return self.ask(LOAD, slot=slot, count=1)

    def close(self):
        self.s.close()


def page_of(slot, version=0):
    return (b"%d of %d " % (slot, version) * 500)[:PAGE_BYTES - slot % 7 * 8].ljust(PAGE_BYTES, b"\0")


def where(moved):
    """The identity and the address that a `moved` brings."""
    boot_id, generation = struct.unpack(">16sQ", moved["body"][:24])
    return {"boot_id": boot_id, "generation": generation}, moved["body"][24:].decode()


def fill(server, slots):
    owner = Session(server)
    for slot in slots:
        assert owner.store(slot, page_of(slot)) == OK
    return owner


def area(server, name="swap"):
    lines = stats(server, "areas")
    return {key.split(":")[1]: value for key, value in lines.items() if key.startswith(name + ":")}


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


# --- another server ------------------------------------------------------------------------------

def a_loaded_area_moves_while_it_is_read(programs):
    """Its owner, alone in it, reads on without an error, is told where it went, and finds it there."""
    with Server(programs.farpaged) as here, Server(programs.farpaged) as there:
        slots = list(range(0, SLOTS, 2))
        owner = fill(here, slots)
        reads, over = [], threading.Event()

        def read():
            rng = random.Random(1)
            while not over.is_set():
                slot = rng.choice(slots)
                got = owner.load(slot)
                if got["status"] != OK:
                    reads.append(got["status"])
                    return
                assert got["body"] == page_of(slot), f"slot {slot}"
                reads.append(slot)

        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: len(reads) > 50)
        said = programs.json(here, "drain", "swap", "--to", "unix:" + there.unix)["areas"][0]
        until(lambda: reads and not reader.is_alive())
        over.set()
        reader.join()
        assert reads[-1] == MOVED and len(reads) > 51, reads[-1]
        assert said["pages"] == len(slots) and said["name"] == "swap", said
        assert owner.load(1)["status"] == MOVED, "never absent"
        assert owner.store(1, page_of(1)) == MOVED
        owner.close()

        again = Session(here, flags=0, slots=0)
        assert again.opened["status"] == MOVED, again.opened
        identity, address = where(again.opened)
        assert address == "unix:" + there.unix
        until(lambda: area(here)["stored"] == "0")
        assert area(here)["state"] == "moved" and area(here)["moved_to"] == address
        here.process.send_signal(signal.SIGTERM)
        here.is_over()

        moved = Session(there, flags=EXPECT, slots=0, **identity)
        assert moved.opened["status"] == OK, moved.opened
        for slot in range(SLOTS):
            got = moved.load(slot)
            want = OK if slot % 2 == 0 else ABSENT
            assert got["status"] == want, f"slot {slot}: {got['status']}"
            assert want != OK or got["body"] == page_of(slot), f"slot {slot}"


def a_transient_area_tells_where_it_went(programs):
    """Its only opener leaves to ask where it is, and must not end it by leaving; and who drains an
    area and then opens it to use it lets go of what it froze."""
    with Server(programs.farpaged) as here, Server(programs.farpaged) as there:
        owner = Session(here, flags=CREATE | TRANSIENT)
        assert owner.store(3, page_of(3)) == OK
        programs.run(here, "drain", "swap", "--to", "unix:" + there.unix)
        assert owner.load(3)["status"] == MOVED
        owner.close()
        until(lambda: area(here)["openers"] == "0")
        again = Session(here, flags=EXPECT, slots=0, boot_id=owner.boot_id,
                        generation=owner.generation)
        assert again.opened["status"] == MOVED, again.opened
        identity, _ = where(again.opened)
        moved = Session(there, flags=EXPECT, slots=0, **identity)
        assert moved.load(3)["body"] == page_of(3)

        mover = Session(there, flags=DRAINS, slots=0)
        assert mover.ask(DRAIN, count=1)["status"] == OK
        assert moved.store(3, page_of(3)) == DRAINING
        moved.close()
        until(lambda: area(there)["openers"] == "1")
        mover.s.sendall(frame(OPEN, open_body(b"swap", SHARED)))
        assert reply(mover.s)["status"] == OK
        assert mover.store(3, page_of(3, 1)) == OK


def what_is_stored_meanwhile_arrives(programs):
    """Each store that was acknowledged is found at the other server, and what was forgotten is not;
    a store that must wait is told so, and goes to the other server in the end."""
    with Server(programs.farpaged) as here, Server(programs.farpaged) as there:
        owner = fill(here, range(SLOTS))
        truth = dict.fromkeys(range(SLOTS), 0)
        told = {"draining": 0, "moved": None}

        def write():
            rng = random.Random(2)
            for version in range(1, 1 << 30):
                slot = rng.randrange(SLOTS)
                if version % 5 == 0:
                    status = owner.ask(INVALIDATE, slot=slot, count=1)["status"]
                else:
                    status = owner.store(slot, page_of(slot, version))
                if status == OK:
                    truth[slot] = None if version % 5 == 0 else version
                elif status == DRAINING:
                    told["draining"] += 1
                else:
                    told["moved"] = status
                    return

        writer = threading.Thread(target=write)
        writer.start()
        said = programs.json(here, "drain", "swap", "--to", "unix:" + there.unix)["areas"][0]
        writer.join(timeout=30)
        assert told["moved"] == MOVED, told
        assert said["rounds"] >= 2 and said["copied_pages"] >= said["pages"], said
        moved = Session(there, flags=0, slots=0)
        for slot, version in truth.items():
            got = moved.load(slot)
            if version is None:
                assert got["status"] == ABSENT, f"slot {slot} was forgotten, and is there"
            else:
                assert got["status"] == OK and got["body"] == page_of(slot, version), f"slot {slot}"


def a_program_follows_its_area(programs):
    """A client of the library goes on from server to server, and misses nothing."""
    follower = os.environ["FARPAGE_FOLLOWER"]
    servers = [Server(programs.farpaged) for _ in range(2)]
    with servers[0], servers[1]:
        client = subprocess.Popen([follower, "unix:" + servers[0].unix, "swap", "2000"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "ready\n", client.stderr.read()
        for move in range(4):
            time.sleep(0.3)
            here, there = servers[move % 2], servers[(move + 1) % 2]
            programs.run(here, "drain", "swap", "--to", "unix:" + there.unix)

            until(lambda: area(there)["openers"] == "1" or client.poll() is not None)
            assert client.poll() is None, client.stderr.read()
            gone = [programs.farpage, "--server", "unix:" + here.unix, "areas", "delete", "swap"]
            until(lambda: subprocess.run(gone, capture_output=True, check=False).returncode == 0)
        out, err = client.communicate(timeout=60)
        assert client.returncode == 0, err
        assert "5 connections" in out, out


def a_drain_that_is_killed_changes_nothing(programs):
    """Whoever freezes an area and dies lets go of it: it serves as before."""
    with Server(programs.farpaged) as server:
        owner = fill(server, range(100))
        mover = Session(server, flags=DRAINS, slots=0)
        assert mover.opened["status"] == OK, mover.opened
        assert mover.store(0, page_of(0)) == REFUSED, "who drains does not store"
        assert mover.ask(DRAIN, count=1)["status"] == OK
        assert area(server)["state"] == "frozen"
        assert owner.store(5, page_of(5, 1)) == DRAINING
        assert owner.ask(INVALIDATE, slot=5, count=1)["status"] == DRAINING
        assert owner.load(5)["body"] == page_of(5), "loads go on"
        second = Session(server, flags=DRAINS, slots=0)
        assert second.opened["status"] == BUSY and b"being drained" in second.opened["body"]
        mover.close()
        until(lambda: owner.store(5, page_of(5, 1)) == OK)
        assert owner.load(5)["body"] == page_of(5, 1)

        # And the command itself, killed in the middle of its work, from both ends.
        with Server(programs.farpaged) as there:
            drain = subprocess.Popen([programs.farpage, "--server", "unix:" + server.unix, "drain",
                                      "swap", "--to", "unix:" + there.unix])
            time.sleep(random.Random(3).random() * 0.02)
            drain.kill()
            drain.wait()
            if area(server).get("state") != "moved":
                until(lambda: owner.store(6, page_of(6, 2)) == OK)
                assert owner.load(7)["body"] == page_of(7)


def what_cannot_be_moved_stays(programs):
    """Each reason is one line, and the area serves on."""
    with Server(programs.farpaged) as here, Server(programs.farpaged) as there:
        owner = fill(here, range(50))
        fill(there, [3]).close()

        def refused(line, *words, code=1):
            said = programs.run(here, "drain", *words, code=code)
            assert line in said, said
            assert owner.store(1, page_of(1)) == OK

        refused("with pages: delete it there first", "swap", "--to", "unix:" + there.unix)
        refused("is the server the area is on", "swap", "--to", "unix:" + here.unix)
        refused("cannot connect", "swap", "--to", "unix:/nowhere/at/all")
        refused("cannot make a file", "swap", "--to", "/nowhere/at/all/file")
        refused("there is no such area", "none", "--to", "unix:" + there.unix)
        refused("needs AREA, or --all", code=2)
        refused("goes with --to SERVER", "swap", "--to", "./file", "--advertise", "h:1", code=2)
        for forgot in "otherhost", "127.0.0.1", "[::1]", "otherhost:", "otherhost:port":
            refused(f"--to {forgot}: a server is HOST:PORT", "swap", "--to", forgot, code=2)
            assert not os.path.exists(forgot), "no file in the place of a server"
        programs.run(there, "areas", "delete", "swap")
        damaged = ask(here, "debug corrupt swap 7\r\n").startswith("OK")
        if damaged:
            refused("slot 7 of area 'swap': the page is corrupt", "swap", "--to",
                    "unix:" + there.unix)
            assert "swap:stored" not in stats(there, "areas"), "what was begun is taken back"


# --- a file --------------------------------------------------------------------------------------

def an_area_may_be_drained_to_a_file_and_stored_again(programs):
    """All of --all; holes are slots that held nothing."""
    with Server(programs.farpaged) as here, tempfile.TemporaryDirectory() as folder:
        slots = [0, 5, 1023, 1024, 2999]
        fill(here, slots).close()
        other = Session(here, name=b"vm/1", slots=10)
        assert other.store(9, page_of(9)) == OK
        said = programs.json(here, "drain", "--all", "--to", folder)["areas"]
        assert {one["name"] for one in said} == {"swap", "vm/1"}, said
        assert other.load(9)["status"] == MOVED
        with open(os.path.join(folder, "swap.pages"), "rb") as f:
            data = f.read()
        assert len(data) == SLOTS * PAGE_BYTES
        for slot in range(SLOTS):
            want = page_of(slot) if slot in slots else bytes(PAGE_BYTES)
            assert data[slot * PAGE_BYTES:(slot + 1) * PAGE_BYTES] == want, f"slot {slot}"
        assert os.path.exists(os.path.join(folder, "vm%2F1.pages"))
        again = Session(here, flags=0, slots=0)
        assert where(again.opened)[1] == "file:swap.pages"
        assert programs.run(here, "drain", "--all", "--to", folder) == "no areas\n"
        programs.run(here, "areas", "delete", "swap")
        programs.run(here, "store", "swap", os.path.join(folder, "swap.pages"))
        assert Session(here, flags=SHARED, slots=0).load(1023)["body"] == page_of(1023)


# --- their owner ---------------------------------------------------------------------------------

def its_owner_is_asked_to_take_its_pages(programs):
    """A session that takes notices gets one; it takes the pages, refuses, or lets the time pass."""
    with Server(programs.farpaged) as server:
        owner = Session(server, features=NOTICES)
        for slot in range(20):
            assert owner.store(slot, page_of(slot)) == OK

        def drain(*words):
            return subprocess.Popen([programs.farpage, "--server", "unix:" + server.unix, "drain",
                                     "swap", *words], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True)

        def notice():
            header = receive(owner.s, 40)
            magic, opcode, status, tag, slot, area_number, count = struct.unpack(
                ">BBHIQII", header[:24])
            assert (magic, opcode, status, tag) == (0xFB, UNUSE, OK, 0), header
            assert crc32c(header[:36]) == struct.unpack(">I", header[36:])[0]
            assert area_number == owner.area
            return slot, count

        refusing = drain()
        assert notice() == (20, 60)
        assert owner.ask(UNUSE_ANSWER, count=1)["status"] == OK
        out, err = refusing.communicate(timeout=30)
        assert refusing.returncode == 1 and "does not take its pages back" in err, err

        late = drain("--wait", "1s")
        assert notice() == (20, 1)
        assert owner.ask(UNUSE_ANSWER, count=0)["status"] == OK
        out, err = late.communicate(timeout=30)
        assert late.returncode == 1 and "still has 20 pages" in err, err

        good = drain()
        assert notice() == (20, 60)
        assert owner.ask(UNUSE_ANSWER, count=0)["status"] == OK
        for slot in range(20):
            assert owner.load(slot)["body"] == page_of(slot)
            assert owner.ask(INVALIDATE, slot=slot, count=1)["status"] == OK
        out, err = good.communicate(timeout=30)
        assert good.returncode == 0 and "20 pages" in out, out + err
        owner.close()
        until(lambda: area(server)["openers"] == "0")
        assert owner.opened["status"] == OK
        said = programs.run(server, "drain", "swap")
        assert "0 pages" in said, "an empty area is drained"
        quiet = Session(server)
        assert quiet.store(1, page_of(1)) == OK
        assert "nobody who has area 'swap' open" in programs.run(server, "drain", "swap", code=1)


def a_program_takes_its_pages_back_when_asked(programs):
    """A client of the library that listens is asked, takes them, and is done with the server."""
    with Server(programs.farpaged) as server:
        client = subprocess.Popen([os.environ["FARPAGE_FOLLOWER"], "unix:" + server.unix, "swap",
                                   "2000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        assert client.stdout.readline() == "ready\n", client.stderr.read()
        until(lambda: int(area(server)["stored"]) > 100)
        said = programs.run(server, "drain", "--all")
        assert said.startswith("drained 'swap' to its owner"), said
        assert area(server)["stored"] == "0"
        _, err = client.communicate(timeout=60)
        assert client.returncode == 0, err


# --- the rows ------------------------------------------------------------------------------------

def what_changed_is_told_by_the_row(programs):
    """STORED gives a bit for each slot and a count that every change makes another."""
    with Server(programs.farpaged) as server:
        owner = fill(server, [1, 1500])

        def rows(first=0, count=64):
            got = owner.ask(STORED, slot=first, count=count)
            assert got["status"] == OK, got
            body = got["body"]
            table = {}
            for at in range(8, len(body), 144):
                start, changes, used = struct.unpack(">QII", body[at:at + 16])
                bits = body[at + 16:at + 144]
                held = {start + i for i in range(1024) if bits[i // 8] >> i % 8 & 1}
                assert len(held) == used
                table[start] = (changes, held)
            return struct.unpack(">Q", body[:8])[0], table

        following, table = rows()
        assert following == SLOTS and set(table) == {0, 1024}, table
        assert table[0][1] == {1} and table[1024][1] == {1500}
        assert owner.store(1, page_of(1, 1)) == OK
        assert owner.ask(INVALIDATE, slot=1500, count=1)["status"] == OK
        changed = rows()[1]
        assert changed[0][0] != table[0][0] and changed[0][1] == {1}
        assert changed[1024][0] != table[1024][0] and changed[1024][1] == set()
        assert rows(count=1)[0] == 1024, "as many rows as were asked for"
        assert owner.ask(STORED, slot=SLOTS, count=1)["status"] == 4
        assert owner.ask(STORED, slot=0, count=65)["status"] == 30
        assert owner.ask(STORED, slot=0, count=0)["status"] == 30
        # Whoever did not open the area for it does not drain it.
        for what in range(5):
            got = owner.ask(DRAIN, count=what, slot=60 if what == 3 else 0)
            assert got["status"] == REFUSED and b"not open to drain" in got["body"], got
        mover = Session(server, flags=DRAINS, slots=0)
        body = mover.boot_id + struct.pack(">Q", 1)
        assert mover.ask(DRAIN, body + b"host:1", count=2)["status"] == REFUSED, "not frozen"
        assert mover.ask(DRAIN, count=1)["status"] == OK
        for bad in (b"", body, body + b"a b", body + b"x" * 256, body + b"\n"):
            assert mover.ask(DRAIN, bad, count=2)["status"] == 7, bad
        assert mover.ask(DRAIN, count=5)["status"] == 30
        assert mover.ask(DRAIN, count=3)["status"] == 30, "no time at all"
        assert mover.ask(DRAIN, b"x", count=1)["status"] == 7
        assert owner.load(1)["body"] == page_of(1, 1)


if __name__ == "__main__":
    tell([a_loaded_area_moves_while_it_is_read, a_transient_area_tells_where_it_went,
          what_is_stored_meanwhile_arrives, a_program_follows_its_area,
          a_drain_that_is_killed_changes_nothing, what_cannot_be_moved_stays,
          an_area_may_be_drained_to_a_file_and_stored_again, its_owner_is_asked_to_take_its_pages,
          a_program_takes_its_pages_back_when_asked, what_changed_is_told_by_the_row])
