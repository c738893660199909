#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Areas over raw frames: who may have one open, when it ends, and that a lost one is never mistaken
for an empty one."""
import os
import re
import signal
import struct
import threading
import time

from hostile import (ABSENT, BAD_AREA, BAD_LENGTH, LIMIT, NO_AREA, OK, OPEN, STORE, LOAD, INVALIDATE,
                     PING, RANGE, crc32c, frame, hello, receive, reply)
from running import Server
from story import memory_limit, sanitized, stats, tell
from wire import entry, load_batch, page, page_crc, store_batch

CLOSE = 10
BUSY, LOST, QUOTA, BAD_FIELD = 19, 23, 24, 30
CREATE, SHARED, TRANSIENT, ZEROS, EXPECT = 1, 2, 4, 8, 16
PAGE, MIB = 4096, 1 << 20
NOBODY = bytes(16)


class Session:
    """One connection that has said hello."""

    def __init__(self, server, how="unix"):
        self.s = server.connect(how, timeout=60)
        self.s.sendall(hello())
        self.boot_id = reply(self.s)["body"][8:24]

    def ask(self, request):
        self.s.sendall(request)
        return reply(self.s)

    def try_open(self, name, slots=0, flags=0, page_bytes=0, quota=(0, 0), client=NOBODY,
                 identity=(NOBODY, 0), reserved=0):
        if slots:
            flags |= CREATE
        body = struct.pack(">IIQQQ16sQ16sQ", flags, page_bytes, slots, *quota, *identity, client,
                           reserved)
        return self.ask(frame(OPEN, body + name))

    def open(self, name, slots=0, flags=0, **more):
        """The area's number; its identity and what else was said are kept."""
        r = self.try_open(name, slots, flags, **more)
        assert r["status"] == OK, r
        (self.slots, self.page_bytes, self.dictionary, generation, self.codec, _, self.level,
         self.flags, self.stored, _) = struct.unpack(">QIIQBBhIQQ", r["body"])
        self.identity = (self.boot_id, generation)
        return r["area"]

    def close_area(self, number, delete=False):
        return self.ask(frame(CLOSE, area=number, count=int(delete)))

    def store(self, number, slot, data):
        return self.ask(frame(STORE, data, area=number, slot=slot, count=1))["status"]

    def load(self, number, slot):
        """The page, or the status why there is none."""
        r = self.ask(frame(LOAD, area=number, slot=slot, count=1))
        return r["body"] if r["status"] == OK else r["status"]

    def leave(self):
        self.s.close()


def sentence(r, status=BUSY):
    assert r["status"] == status, r
    text = r["body"].decode("ascii")
    assert 0 < len(text) < 400 and "\n" not in text, text
    return text


def eventually(what, seconds=10):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, f"{what.__name__} not within {seconds} s"
        time.sleep(0.02)


def an_area_belongs_to_one_opener_who_is_named_to_others(programs):
    with Server(programs.farpaged) as server:
        owner, other, third = Session(server), Session(server), Session(server, "tcp")
        number = owner.open(b"vm", 100)
        assert owner.flags == 0 and owner.slots == 100 and owner.stored == 0
        before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
        for who in (other, third):
            for flags in (0, SHARED):
                text = sentence(who.try_open(b"vm", flags=flags))
                assert f"area 'vm' is open exclusively by unix:pid={os.getpid()},uid=" in text, text
                since = re.search(r"since (\d{4}-\d\d-\d\dT\d\d:\d\d):\d\dZ$", text)
                assert since and since[1] <= before, text
        assert owner.store(number, 7, page(1)) == OK
        assert owner.close_area(number)["status"] == OK
        assert owner.load(number, 7) == NO_AREA
        number = other.open(b"vm")
        assert other.stored == 1 and other.load(number, 7) == page(1)
        third_says = sentence(owner.try_open(b"vm", flags=SHARED))
        assert "unix:pid=" in third_says
        other.leave()
        eventually(lambda: third.try_open(b"vm")["status"] == OK)
        assert "by tcp:127.0.0.1:" in sentence(owner.try_open(b"vm"))


def who_has_hung_up_keeps_nobody_out(programs):
    with Server(programs.farpaged) as server:
        for round in range(300):
            last = Session(server, "tcp" if round % 2 else "unix")
            number = last.open(b"vm", 100)
            assert last.store(number, 1, page(round)) == OK
            last.leave()
        assert last.slots == 100


def an_area_may_be_shared_on_request(programs):
    with Server(programs.farpaged) as server:
        a, b, c = Session(server), Session(server), Session(server)
        in_a, in_b = a.open(b"vm", 100, SHARED), b.open(b"vm", flags=SHARED)
        assert a.flags == b.flags == SHARED
        assert a.store(in_a, 1, page(1)) == OK and b.load(in_b, 1) == page(1)
        text = sentence(c.try_open(b"vm"))
        assert "is open shared by unix:pid=" in text and text.endswith(", and by 1 more"), text
        assert c.try_open(b"vm", flags=SHARED)["status"] == OK
        # An opener may change his mind, as far as the others let him.
        assert "shared" in sentence(a.try_open(b"vm"))
        b.close_area(in_b)
        c.leave()
        eventually(lambda: a.try_open(b"vm")["status"] == OK)
        assert a.open(b"vm") == in_a and a.flags == 0
        assert "exclusively" in sentence(b.try_open(b"vm", flags=SHARED))
        assert a.open(b"vm", flags=SHARED) == in_a
        assert b.try_open(b"vm", flags=SHARED)["status"] == OK


def a_client_that_comes_back_takes_its_area_over(programs):
    with Server(programs.farpaged) as server:
        old, new, other = Session(server), Session(server), Session(server)
        me, another = os.urandom(16), os.urandom(16)
        in_old = old.open(b"vm", 100, client=me)
        assert old.store(in_old, 1, page(1)) == OK
        sentence(new.try_open(b"vm"))
        sentence(new.try_open(b"vm", client=another))
        in_new = new.open(b"vm", client=me, flags=EXPECT, identity=old.identity)
        assert new.load(in_new, 1) == page(1)
        assert old.store(in_old, 1, page(2)) == LOST and old.load(in_old, 1) == LOST
        assert old.ask(frame(INVALIDATE, area=in_old))["status"] == LOST
        old.s.sendall(store_batch([entry(1, page(2)), entry(2, page(2))], area=in_old))
        assert [reply(old.s)["status"] for _ in range(2)] == [LOST, LOST]
        assert old.close_area(in_old, delete=True)["status"] == LOST
        assert new.load(in_new, 1) == page(1)
        sentence(other.try_open(b"vm", client=another))
        sentence(old.try_open(b"vm"))
        assert old.close_area(in_old)["status"] == OK
        assert old.load(in_old, 1) == NO_AREA
        old.leave()  # which ends nothing of the new one's
        assert new.store(in_new, 1, page(3)) == OK and new.load(in_new, 1) == page(3)


def nothing_of_the_old_session_takes_effect_after_a_take_over(programs):
    """The old one stores without end while it is taken over, again and again."""
    with Server(programs.farpaged) as server:
        me = os.urandom(16)
        first = Session(server)
        first.open(b"vm", 64, client=me)
        for round in range(40):
            old, new = (first if round == 0 else new), Session(server)
            number = old.open(b"vm", client=me)
            ahead = b"".join(frame(STORE, page(round), area=number, slot=slot % 64, count=1)
                             for slot in range(256))
            sender = threading.Thread(target=old.s.sendall, args=(ahead,))
            sender.start()
            time.sleep(round % 8 / 2000)
            number = new.open(b"vm", client=me)
            mine = page(1000 + round)
            for slot in (0, 17, 63):
                assert new.store(number, slot, mine) == OK
            sender.join()
            answers = [reply(old.s)["status"] for _ in range(256)]
            assert set(answers) <= {OK, LOST} and sorted(answers) == answers, answers
            for slot in (0, 17, 63):
                assert new.load(number, slot) == mine


def a_transient_area_ends_with_its_last_opener_even_a_killed_one(programs):
    with Server(programs.farpaged) as server:
        probe = Session(server)
        ready, tell_ready = os.pipe()
        child = os.fork()
        if child == 0:
            session = Session(server)
            number = session.open(b"brief", 100, TRANSIENT | SHARED)
            session.store(number, 1, page(1))
            os.write(tell_ready, b"r")
            time.sleep(60)
            os._exit(0)
        os.read(ready, 1)
        second = Session(server)
        number = second.open(b"brief", flags=SHARED)
        assert second.flags == SHARED | TRANSIENT
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert second.load(number, 1) == page(1)  # it is not the last one
        assert stats(server, "areas")["brief:lifetime"] == "transient"
        second.leave()
        eventually(lambda: "brief:slots" not in stats(server, "areas"))
        assert probe.try_open(b"brief", flags=SHARED)["status"] == NO_AREA
        number = probe.open(b"brief", 50, TRANSIENT)
        assert probe.load(number, 1) == ABSENT
        assert probe.close_area(number)["status"] == OK
        assert probe.try_open(b"brief")["status"] == NO_AREA


def after_a_restart_an_area_is_lost_never_absent(programs):
    with Server(programs.farpaged) as server:
        before = Session(server)
        before.store(before.open(b"vm", 100), 1, page(1))
        identity = before.identity
    with Server(programs.farpaged) as server:
        after = Session(server)
        assert after.boot_id != identity[0]
        for slots in (0, 100):  # also where it would be made
            assert after.try_open(b"vm", slots, EXPECT, identity=identity)["status"] == LOST
        assert after.try_open(b"vm")["status"] == NO_AREA
        after.open(b"vm", 100)
        assert after.try_open(b"vm", flags=EXPECT, identity=identity)["status"] == LOST
        assert after.try_open(b"vm", flags=EXPECT, identity=(identity[0], 1))["status"] == LOST
        assert after.try_open(b"vm", flags=EXPECT, identity=after.identity)["status"] == OK


def a_deleted_area_is_lost_also_while_another_has_its_name(programs):
    with Server(programs.farpaged) as server:
        old, new, third = Session(server), Session(server), Session(server)
        me = os.urandom(16)
        in_old = old.open(b"vm", 100, ZEROS, client=me)
        assert old.store(in_old, 1, page(1)) == OK
        in_new = new.open(b"vm", client=me)
        assert new.close_area(in_new, delete=True)["status"] == OK
        assert new.load(in_new, 1) == NO_AREA
        assert old.load(in_old, 1) == LOST and old.load(in_old, 2) == LOST
        assert third.try_open(b"vm", flags=EXPECT, identity=old.identity)["status"] == LOST
        in_third = third.open(b"vm", 100, SHARED)
        assert third.identity[1] > old.identity[1]
        assert third.store(in_third, 1, page(3)) == OK
        for slot in (1, 2):
            assert old.load(in_old, slot) == LOST
        assert old.store(in_old, 2, page(4)) == LOST
        assert third.load(in_third, 2) == ABSENT
        assert new.try_open(b"vm", flags=SHARED | EXPECT, identity=old.identity)["status"] == LOST
        in_old = old.open(b"vm", flags=SHARED)
        assert old.load(in_old, 1) == page(3)


def what_others_have_open_is_not_deleted(programs):
    sets = ["areas=[{name: boot, size: 1MiB}]"]
    with Server(programs.farpaged, sets) as server:
        a, b = Session(server), Session(server)
        in_a, in_b = a.open(b"vm", 100, SHARED), b.open(b"vm", flags=SHARED)
        text = sentence(a.close_area(in_a, delete=True))
        assert "area 'vm' is open shared by unix:pid=" in text, text
        b.close_area(in_b)
        assert a.ask(frame(CLOSE, area=in_a, count=2))["status"] == BAD_FIELD
        assert a.ask(frame(CLOSE, b"x", area=in_a))["status"] == BAD_LENGTH
        assert a.close_area(in_a, delete=True)["status"] == OK
        assert a.close_area(in_a)["status"] == NO_AREA
        assert b.try_open(b"vm")["status"] == NO_AREA
        text = sentence(a.close_area(a.open(b"boot"), delete=True))
        assert text == "area 'boot' is the configuration's", text
        assert stats(server, "areas")["boot:lifetime"] == "configured"


def absent_slots_are_zeros_where_a_session_wants_them_so(programs):
    with Server(programs.farpaged) as server:
        disk, swap = Session(server), Session(server)
        in_disk = disk.open(b"vm", 100, SHARED | ZEROS)
        in_swap = swap.open(b"vm", flags=SHARED)
        assert disk.flags == SHARED | ZEROS
        assert disk.store(in_disk, 1, page(1)) == OK
        assert disk.load(in_disk, 1) == page(1) and disk.load(in_disk, 2) == bytes(PAGE)
        assert swap.load(in_swap, 1) == page(1) and swap.load(in_swap, 2) == ABSENT
        assert disk.load(in_disk, 100) == RANGE
        disk.s.sendall(load_batch([2, 1], area=in_disk))
        assert [reply(disk.s)["body"] for _ in range(2)] == [bytes(PAGE), page(1)]
        assert stats(server)["farpage_page_absent"] == "3"


def a_quota_is_kept_to_the_page_by_many_connections_at_once(programs):
    with Server(programs.farpaged) as server:
        quota = 500
        first = Session(server)
        first.open(b"vm", 4000, SHARED, quota=(quota, 0))
        stored = [0] * 4

        def fill(which):
            session = Session(server)
            number = session.open(b"vm", flags=SHARED)
            for slot in range(which, 4000, 4):
                status = session.store(number, slot, page(slot % 50))
                assert status in (OK, QUOTA), status
                stored[which] += status == OK
                if status == QUOTA and slot > 1000:
                    break
        threads = [threading.Thread(target=fill, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(stored) == quota, stored
        now = stats(server, "areas")
        assert now["vm:stored"] == now["vm:quota_pages"] == str(quota), now
        assert int(now["vm:over_quota"]) > 0 and now["vm:refused"] == "0"
        number = first.open(b"vm", flags=SHARED)
        slot = next(slot for slot in range(4000) if first.load(number, slot) != ABSENT)
        assert first.store(number, slot, page(7)) == OK  # overwriting goes on
        assert first.ask(frame(INVALIDATE, area=number, slot=slot, count=1))["status"] == OK
        assert first.store(number, 3999, page(7)) == OK
        assert first.store(number, 3998, page(7)) == QUOTA


def a_quota_of_bytes_counts_what_is_packed(programs):
    with Server(programs.farpaged) as server:
        session = Session(server)
        number = session.open(b"vm", 100, quota=(0, 10000))
        noise = [os.urandom(PAGE) for _ in range(3)]
        assert [session.store(number, i, noise[i]) for i in range(3)] == [OK, OK, QUOTA]
        assert session.load(number, 2) == ABSENT
        assert session.store(number, 3, bytes(PAGE)) == OK  # same-filled: no bytes
        assert session.store(number, 3, noise[2]) == QUOTA and session.load(number, 3) == bytes(PAGE)
        assert session.store(number, 0, noise[2]) == OK  # as large as before
        assert session.store(number, 1, page(1)) == OK  # smaller
        assert session.store(number, 2, page(2)) == OK
        now = stats(server, "areas")
        assert int(now["vm:packed_bytes"]) <= int(now["vm:quota_bytes"]) == 10000
        assert now["vm:over_quota"] == "2"


def a_deleted_area_of_any_size_stalls_nobody(programs):
    pages = 20000 if sanitized(programs.farpaged) else 100000
    with Server(programs.farpaged) as server:
        bulk, other = Session(server), Session(server)
        before = int(stats(server, "memory")["total_bytes"])
        number = bulk.open(b"bulk", 1 << 28)
        for first in range(0, pages, 256):
            bulk.s.sendall(store_batch([entry(slot * 13, page(slot % 16))
                                        for slot in range(first, first + 256)], area=number))
            assert {reply(bulk.s)["status"] for _ in range(256)} == {OK}
        held = int(stats(server, "memory")["total_bytes"])
        assert held - before > pages * 60, (before, held)
        begun = time.monotonic()
        assert bulk.close_area(number, delete=True)["status"] == OK
        answered = time.monotonic() - begun
        took = []
        while int(stats(server)["farpage_areas_deleted"]) > 0:
            for _ in range(50):
                asked = time.monotonic()
                assert other.ask(frame(PING, b"there"))["status"] == OK
                took.append(time.monotonic() - asked)
        emptied, took = time.monotonic() - begun, sorted(took)
        print(f"{pages} pages: deleted in {answered * 1000:.1f} ms, emptied in {emptied * 1000:.0f} "
              f"ms; meanwhile {len(took)} pings took {took[len(took) // 2] * 1000:.2f} ms, "
              f"{took[-1] * 1000:.1f} at most")
        assert took and took[len(took) // 2] < 0.1 and answered < emptied
        eventually(lambda: int(stats(server, "memory")["total_bytes"]) < before + 2 * MIB)


def areas_of_every_page_size_live_side_by_side(programs):
    with Server(programs.farpaged) as server:
        session = Session(server)
        sizes = (4096, 16384, 65536)
        numbers = [session.open(b"of%d" % size, 64, page_bytes=size) for size in sizes]
        for size, number in zip(sizes, numbers):
            data = (b"%8d" % size) * (size // 8)
            assert session.store(number, 63, data[:-1]) == BAD_LENGTH
            assert session.store(number, 63, data) == OK and session.load(number, 63) == data
        assert session.open(b"plain", 64) and session.page_bytes == 4096
        assert session.open(b"of65536") and session.page_bytes == 65536
        for wrong in (4096, 16384):
            assert session.try_open(b"of65536", page_bytes=wrong)["status"] == BAD_AREA
        for wrong in (1, 1000, 8192, 1 << 20):
            assert session.try_open(b"odd", 64, page_bytes=wrong)["status"] == BAD_AREA
        assert int(stats(server, "zpool")["stored_bytes"]) == sum(sizes)


def what_makes_no_sense_in_an_open_is_refused(programs):
    with Server(programs.farpaged) as server:
        session = Session(server)
        assert session.try_open(b"vm", 16, flags=32)["status"] == BAD_AREA
        assert session.try_open(b"vm", 16, reserved=1)["status"] == BAD_AREA
        assert session.try_open(b"vm", (1 << 34) + 1)["status"] == BAD_AREA
        assert session.try_open(b"vm", flags=CREATE)["status"] == BAD_AREA
        assert session.try_open(b"vm", flags=EXPECT)["status"] == LOST
        session.open(b"vm", 16)
        assert session.try_open(b"vm", 17)["status"] == BAD_AREA
        for i in range(63):
            session.open(b"more%d" % i, 1)
        assert session.try_open(b"evenmore", 1)["status"] == LIMIT
        assert session.try_open(b"more7")["status"] == OK
        assert session.close_area(3)["status"] == OK
        assert session.open(b"evenmore", 1) == 3  # the number is free again


def a_terabyte_area_costs_nothing_until_it_is_used(programs):
    with Server(programs.farpaged, [memory_limit(programs, 16)]) as server:
        session = Session(server)
        session.store(session.open(b"warm", 100), 1, page(1))
        resident, held = server.rss_bytes(), int(stats(server, "memory")["total_bytes"])
        areas = [session.open(b"terabyte%d" % i, 1 << 28) for i in range(8)]
        assert int(stats(server, "memory")["total_bytes"]) - held < 64 << 10
        for slot in range(0, 1 << 28, 1 << 16):
            session.s.sendall(frame(LOAD, area=areas[0], slot=slot, count=1))
            assert reply(session.s)["status"] == ABSENT
        grown = server.rss_bytes() - resident
        assert grown < 512 << 10 or sanitized(programs.farpaged), f"grown by {grown} bytes"
        for i in range(100):  # 8 KiB for the row of each, and 4 KiB for each 2 GiB touched
            assert session.store(areas[0], i << 21, page(i)) == OK
        grown = int(stats(server, "memory")["total_bytes"]) - held
        assert grown < 100 * (8192 + 4096 + 4096), grown
        for i in range(100):
            assert session.load(areas[0], i << 21) == page(i)
        # However it is used, memory stays within the limit.
        statuses = {session.store(areas[1], i << 20, page(i)) for i in range(255)}
        for area in areas[2:]:
            statuses |= {session.store(area, i << 18, page(i)) for i in range(1000)}
        assert statuses == {OK, 3}, statuses
        now = stats(server, "memory")
        assert int(now["total_bytes"]) <= int(now["limit_bytes"]) + (16 << 10), now  # connections
        assert session.load(areas[0], 99 << 21) == page(99)


def the_command_makes_shows_and_deletes_areas(programs):
    with Server(programs.farpaged) as server:
        said = programs.run(server, "areas", "create", "vm", "--size", "1TiB", "--page-size", "16KiB",
                            "--quota-pages", "1000", "--quota-bytes", "2MiB")
        assert said == "area 'vm' created: 67,108,864 slots of 16.0 KiB\n", said
        lines = programs.run(server, "areas").splitlines()
        assert lines[2] == ("  16.0 KiB pages, at most 1,000 pages and 2.00 MiB packed, stays, "
                            "not open"), lines
        said = programs.run(server, "areas", "create", "vm", "--size", "1TiB", code=1)
        assert "area 'vm' exists already" in said, said
        said = programs.run(server, "areas", "create", "b", "--size", "5000B", code=2)
        assert "--size: not a multiple of its pages" in said, said
        owner = Session(server)
        number = owner.open(b"vm")
        lines = programs.run(server, "areas").splitlines()
        assert re.match(f"  open exclusively by unix:pid={os.getpid()},uid=\\d+ for ", lines[3]), lines
        said = programs.run(server, "areas", "delete", "vm", code=1)
        assert f"area 'vm' is open exclusively by unix:pid={os.getpid()},uid=" in said, said
        assert owner.open(b"vm", flags=SHARED) == number
        said = programs.run(server, "areas", "delete", "vm", code=1)
        assert f"area 'vm' is open shared by unix:pid={os.getpid()},uid=" in said, said
        owner.leave()
        told = programs.json(server, "areas", "delete", "vm")
        assert told["is"] == "deleted" and told["page_bytes"] == 16384, told
        assert programs.run(server, "areas") == "no areas\n"
        assert "there is no such area" in programs.run(server, "areas", "delete", "vm", code=1)


def the_command_shows_who_is_connected(programs):
    with Server(programs.farpaged) as server:
        one, other = Session(server, "tcp"), Session(server)
        number = one.open(b"vm", 100)
        one.open(b"more", 100)
        one.store(number, 1, page(1))
        sessions = {s["peer"].split(":")[0]: s for s in programs.json(server, "sessions")["sessions"]
                    if s["dialect"] == "frames" and s["areas"] + s["bytes_out"] > 0}
        assert sessions["tcp"]["areas"] == 2 and sessions["tcp"]["bytes_in"] > PAGE, sessions
        assert sessions["tcp"]["listener"].startswith("127.0.0.1:") and sessions["tcp"]["age_ms"] >= 0
        lines = programs.run(server, "sessions").splitlines()
        assert lines[0].split()[:6] == ["peer", "age", "idle", "in", "out", "areas"], lines
        assert any(line.startswith(f"unix:pid={os.getpid()},uid=") for line in lines), lines
        assert len(lines) >= 4, lines  # the command itself is one
        other.leave()


def areas_come_and_go_under_load(programs):
    """Sessions that open, use, delete and lose the same few areas, beside those who look at all."""
    seconds = 4
    with Server(programs.farpaged) as server:
        until = time.monotonic() + seconds
        seen, troubles = [0] * 6, []

        def use(which):
            try:
                while time.monotonic() < until:
                    session = Session(server)
                    name = b"a%d" % (which % 3)
                    r = session.try_open(name, 1000, SHARED | (TRANSIENT if which % 2 else 0))
                    assert r["status"] in (OK, BUSY), r
                    if r["status"] == BUSY:
                        session.leave()
                        continue
                    number, generation = r["area"], struct.unpack(">Q", r["body"][16:24])[0]
                    for i in range(20):
                        data = page(generation * 1000 + i)
                        status = session.store(number, i, data)
                        assert status in (OK, LOST), status
                        got = session.load(number, i)
                        assert got in (data, LOST), got
                        seen[which] += 1
                    if which % 3 == 0:
                        session.close_area(number, delete=True)
                    session.leave()
            except Exception as error:
                troubles.append(error)

        def look():
            try:
                while time.monotonic() < until:
                    stats(server, "areas")
                    stats(server, "sessions")
                    stats(server)
                    programs.run(server, "recompress", "start")
            except Exception as error:
                troubles.append(error)
        threads = [threading.Thread(target=use, args=(i,)) for i in range(6)]
        threads.append(threading.Thread(target=look))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not troubles, troubles
        assert min(seen) > 0, seen


if __name__ == "__main__":
    tell([an_area_belongs_to_one_opener_who_is_named_to_others, who_has_hung_up_keeps_nobody_out,
          an_area_may_be_shared_on_request,
          a_client_that_comes_back_takes_its_area_over,
          nothing_of_the_old_session_takes_effect_after_a_take_over,
          a_transient_area_ends_with_its_last_opener_even_a_killed_one,
          after_a_restart_an_area_is_lost_never_absent,
          a_deleted_area_is_lost_also_while_another_has_its_name,
          what_others_have_open_is_not_deleted,
          absent_slots_are_zeros_where_a_session_wants_them_so,
          a_quota_is_kept_to_the_page_by_many_connections_at_once,
          a_quota_of_bytes_counts_what_is_packed, a_deleted_area_of_any_size_stalls_nobody,
          areas_of_every_page_size_live_side_by_side, what_makes_no_sense_in_an_open_is_refused,
          a_terabyte_area_costs_nothing_until_it_is_used,
          the_command_makes_shows_and_deletes_areas, the_command_shows_who_is_connected,
          areas_come_and_go_under_load])
