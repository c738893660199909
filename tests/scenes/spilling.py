#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Cold pages go to a file below memory and come back, whatever door they came through."""
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

import nbd

from areas import SHARED
from hostile import ABSENT, LOAD, OK, PING, STORE, frame, reply
from maps import RO, RW, Mapper
from nbd_wire import MIB, Device
from operating import until
from running import Server
from story import ask, limit_mib, memory_limit, sanitized, stats, tell
from wire import load_batch, opened, page, page_crc, replies

PAGE, CORRUPT, SKIPPED = 4096, 2, 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def spilling(programs, place, mib, limit=20):
    return [memory_limit(programs, limit), f"storage.spill_path={os.path.abspath(place)}",
            f"storage.spill_size={mib}MiB"]


@contextlib.contextmanager
def place_to_spill():
    with tempfile.TemporaryDirectory(dir=".") as place:
        yield place
        assert not [name for name in os.listdir(place) if name.startswith("spill")], \
            "nothing is left of the file"


def resident_kib(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def noise_file(path, mib, seed):
    with open(path, "wb") as out:
        out.write(random.Random(seed).randbytes(mib * MIB))


def same(one, other):
    return subprocess.run(["cmp", one, other], check=False).returncode == 0


def check_stored(programs, server, place):
    """Every page that was acknowledged is there; the others are holes."""
    programs.run(server, "load", "big", f"{place}/out", "--sparse")
    found = 0
    with open(f"{place}/in", "rb") as one, open(f"{place}/out", "rb") as other:
        while wanted := one.read(PAGE):
            got = other.read(PAGE)
            assert got == wanted or not any(got), found
            found += got == wanted
    assert found == int(stats(server, "areas")["big:stored"])


def connect(device):
    handle = nbd.NBD()
    handle.connect_uri(device.uri("disk"))
    return handle


class Disk:
    """A disk that can be told to fail (failing_disk.c), for servers that are started within."""

    def __init__(self, programs, place):
        if sanitized(programs.farpaged):
            skip("a sanitizer's own pread cannot be preloaded over")
        self.path = os.path.abspath(f"{place}/disk")
        self.is_now("")

    def is_now(self, how):
        with open(self.path + ".next", "w", encoding="ascii") as out:
            out.write(how)
        os.rename(self.path + ".next", self.path)

    def __enter__(self):
        os.environ["FARPAGE_DISK"] = self.path
        os.environ["LD_PRELOAD"] = os.environ["FARPAGE_FAILING_DISK"]
        return self

    def __exit__(self, *what):
        os.environ.pop("LD_PRELOAD", None)


@contextlib.contextmanager
def on_failing_disk(programs, place, *sets):
    disk = Disk(programs, place)
    with contextlib.ExitStack() as stack:
        with disk:
            server = Server(programs.farpaged, [*spilling(programs, place, 200), *sets])
        yield disk, stack.enter_context(server)


def five_times_the_memory_comes_back_by_every_door(programs):
    """Frames, a block device and memcached at once; each page is compared, and what is resident
    stays within 1.05 of the limit all the time."""
    limit = limit_mib(programs.farpaged, 20)
    with place_to_spill() as place:
        sets = spilling(programs, place, 300)
        with Device(programs.farpaged, "[{name: disk, size: 64MiB}]", sets) as server:
            worst, over = [0], threading.Event()

            def watch():
                while not over.wait(0.01):
                    worst[0] = max(worst[0], resident_kib(server))

            def frames():
                noise_file(f"{place}/in", 50, 1)
                programs.run(server, "store", "big", f"{place}/in")

            def items():
                value = random.Random(3).randbytes(3000)
                with server.connect("unix") as s:
                    for n in range(5000):
                        s.sendall(b"set k%d 0 0 3000 noreply\r\n%s\r\n" % (n, value))
                    s.sendall(b"mn\r\n")
                    assert s.recv(4) == b"MN\r\n"

            blocks = random.Random(2).randbytes(40 * MIB)

            def disk():
                handle = connect(server)
                for at in range(0, len(blocks), 1 << 20):
                    handle.pwrite(blocks[at:at + (1 << 20)], at)

            threads = [threading.Thread(target=each) for each in (frames, items, disk)]
            watcher = threading.Thread(target=watch)
            watcher.start()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            handle = connect(server)
            for at in range(0, len(blocks), 1 << 20):
                assert handle.pread(1 << 20, at) == blocks[at:at + (1 << 20)], at
            programs.run(server, "load", "big", f"{place}/out")
            over.set()
            watcher.join()
            assert same(f"{place}/in", f"{place}/out")
            now = stats(server, "spill")
            assert int(now["pages"]) * PAGE > 60 * MIB, now
            assert now["failed_loads"] == "0" and now["bad_records"] == "0", now
            assert stats(server, "zswap")["written_back_pages"] == now["spilled_total"]
            if not sanitized(programs.farpaged):
                assert worst[0] * 1024 <= limit * MIB * 1.05, (worst, limit)


def who_waits_for_the_disk_holds_up_nobody(programs):
    """A disk that does not answer: what is asked behind a spilled page, by the same client and by others, is
    answered before it; of a block device too."""
    with place_to_spill() as place:
        disk = Disk(programs, place)
        with contextlib.ExitStack() as stack:
            with disk:
                server = Device(programs.farpaged, "[{name: disk, size: 64MiB}]",
                                spilling(programs, place, 200))
            stack.enter_context(server)
            handle = connect(server)
            handle.pwrite(bytes(range(256)) * 16, 0)
            with opened(server) as s:
                s.sendall(frame(STORE, page(1), slot=1, area=1, count=1))
                said = reply(s)
                assert said["status"] == OK, said
                noise_file(f"{place}/in", 30, 1)
                programs.run(server, "store", "big", f"{place}/in")
                until(lambda: stats(server, "areas")["batches:spilled"] == "1" and
                      stats(server, "areas")["disk:spilled"] == "1", 5)
                disk.is_now("stop")
                s.sendall(frame(LOAD, slot=1, area=1, count=1, tag=1) + frame(PING, b"hi", tag=2))
                first = reply(s)
                assert first["opcode"] == PING and first["tag"] == 2, first
                with server.connect("tcp") as other:
                    other.sendall(b"version\r\n")
                    assert other.recv(8).startswith(b"VERSION")
                one, other = nbd.Buffer(4096), nbd.Buffer(4096)
                waits, goes_on = handle.aio_pread(one, 0), handle.aio_pread(other, 8192)
                while not handle.aio_command_completed(goes_on):
                    handle.poll(-1)
                assert not handle.aio_command_completed(waits), "nothing is read yet"
                disk.is_now("")
                second = reply(s)
                assert second["tag"] == 1 and second["body"] == page(1), second
                while not handle.aio_command_completed(waits):
                    handle.poll(-1)
                assert one.to_bytearray() == bytes(range(256)) * 16


def what_goes_there_between_two_looks_is_read_all_the_same(programs):
    """By each door; `debug unseen` is the moment between a request's look and its load."""
    with place_to_spill() as place:
        sets = [*spilling(programs, place, 200), "server.threads=1"]
        with Device(programs.farpaged, "[{name: disk, size: 64MiB}]", sets) as server:
            if ask(server, "debug unseen 0\r\n").startswith("ERROR"):
                skip("this build has no debug hooks")
            handle, block = connect(server), random.Random(7).randbytes(PAGE)
            with opened(server) as s:
                for slot in range(1, 602):
                    s.sendall(frame(STORE, page(slot), slot=slot, area=1, count=1))
                    assert reply(s)["status"] == OK
                for at in range(60):
                    handle.pwrite(block, at * PAGE)
                noise_file(f"{place}/in", 40, 1)
                programs.run(server, "store", "big", f"{place}/in")
                until(lambda: stats(server, "areas")["batches:spilled"] == "601" and
                      stats(server, "areas")["disk:spilled"] == "60", 5)

                def unseen(count):
                    assert ask(server, f"debug unseen {count}\r\n").startswith("OK")
                unseen(1)
                s.sendall(frame(LOAD, slot=1, area=1, count=1))
                assert (said := reply(s))["body"] == page(1), said
                for slot in range(2, 590, 3):  # those that come do not send each other away
                    unseen(1 + slot // 3 % 3)
                    s.sendall(load_batch([slot, slot + 1, slot + 2], area=1))
                    assert [r["body"] for r in replies(s, 3)] == [page(slot + n) for n in range(3)]
                unseen(1)
                assert handle.pread(PAGE, 0) == block
                unseen(16)  # all of a step
                assert handle.pread(20 * PAGE, PAGE) == block * 20
                unseen(1)
                handle.pwrite(b"part", 30 * PAGE + 8)  # which has to be read first
                assert handle.pread(16, 30 * PAGE) == block[:8] + b"part" + block[12:16]
                unseen(1)
                handle.zero(100, 31 * PAGE)
                assert handle.pread(200, 31 * PAGE) == bytes(100) + block[100:200]
            mapper = Mapper(server)
            area = mapper.open(b"batches")
            unseen(1)
            assert mapper.read(mapper.map(area, 600, RO)) == page(600)


def whatever_is_done_to_a_spilled_page_finds_it(programs):
    """Parts of blocks are written and zeroed, pages mapped, stored over and forgotten, and clients
    leave while their pages are being read."""
    with place_to_spill() as place, \
            Device(programs.farpaged, "[{name: disk, size: 64MiB}]",
                   spilling(programs, place, 200)) as server:
        noise = random.Random(5).randbytes(16 * PAGE)
        handle, mapper = connect(server), Mapper(server)
        handle.pwrite(noise, 0)
        area = mapper.open(b"small", 64, SHARED)
        for slot in range(16):
            assert mapper.store(area, slot, noise[slot * PAGE:(slot + 1) * PAGE]) == OK
        noise_file(f"{place}/in", 30 + limit_mib(programs.farpaged, 0), 1)
        programs.run(server, "store", "big", f"{place}/in")

        def all_spilled():
            now = stats(server, "areas")
            return now["disk:spilled"] == "16" and now["small:spilled"] == "16"
        until(all_spilled, 10)
        expected = bytearray(noise)
        for at, data in ((50, b"x" * 100), (3 * PAGE - 10, b"y" * 20), (5 * PAGE, b"z" * PAGE)):
            handle.pwrite(data, at)
            expected[at:at + len(data)] = data
        for at, size in ((7 * PAGE + 5, 30), (9 * PAGE - 5, 3 * PAGE)):
            handle.zero(size, at)
            expected[at:at + size] = bytes(size)
        assert handle.pread(len(noise), 0) == expected
        reader, writer = mapper.map(area, 1, RO), mapper.map(area, 2, RW)
        assert mapper.read(reader) == noise[PAGE:2 * PAGE]
        assert mapper.write(writer, 10, b"hello") == OK and mapper.unmap(writer) == OK
        assert mapper.load(area, 2)[10:15] == b"hello"
        assert mapper.store(area, 3, noise[:PAGE]) == OK and mapper.load(area, 3) == noise[:PAGE]
        assert mapper.invalidate(area, 4) == OK and mapper.load(area, 4) == ABSENT
        for _ in range(10):  # a client asks for much and leaves
            with opened(server, b"big", 7680 + limit_mib(programs.farpaged, 0) * 256) as s:
                s.sendall(b"".join(frame(LOAD, slot=n, area=1, count=1) for n in range(0, 6000, 40)))
            other = connect(server)
            for n in range(16):
                other.aio_pread(nbd.Buffer(PAGE), n * PAGE)
            del other
        for slot in range(5, 16):
            assert mapper.load(area, slot) == noise[slot * PAGE:(slot + 1) * PAGE]
        assert stats(server, "spill")["failed_loads"] == "0"


def a_disk_that_fails_costs_what_is_asked_of_it_and_nothing_else(programs):
    with place_to_spill() as place, on_failing_disk(programs, place) as (disk, server):
        noise_file(f"{place}/in", 30, 1)
        programs.run(server, "store", "big", f"{place}/in")
        with opened(server, b"big", 7680) as s:
            disk.is_now("read")
            answers = []
            for at in (0, 2560, 7424):
                s.sendall(load_batch(list(range(at, at + 256))))
                answers += [got["status"] for got in replies(s, 256)]
            bad = answers.count(CORRUPT)
            assert set(answers) == {OK, CORRUPT} and min(answers.count(OK), bad) > 50
        now = stats(server, "spill")
        assert int(now["failed_loads"]) == int(now["read_errors"]) == bad, (now, bad)
        assert int(stats(server, "areas")["big:corrupt"]) == bad
        assert "a spilled page cannot be read" in server.stderr()
        disk.is_now("write")
        noise_file(f"{place}/more", 12, 2)
        programs.run(server, "store", "more", f"{place}/more", code=1)
        assert stats(server, "spill")["state"] == "failing"
        assert "write-back stands still" in server.stderr()
        disk.is_now("")
        until(lambda: stats(server, "spill")["state"] in ("idle", "writing"), 5)
        programs.run(server, "store", "more", f"{place}/more")
        for name in ("in", "more"):
            programs.run(server, "load", "big" if name == "in" else name, f"{place}/out")
            assert same(f"{place}/{name}", f"{place}/out"), name


def a_full_file_refuses_and_keeps_what_is_there(programs):
    with place_to_spill() as place, \
            Server(programs.farpaged, spilling(programs, place, 10)) as server:
        noise_file(f"{place}/in", 40, 1)
        programs.run(server, "store", "big", f"{place}/in", code=1)
        now = stats(server, "spill")
        stored = int(stats(server, "areas")["big:stored"])
        assert now["state"] == "full" and int(now["pages"]) > 2000, now
        assert int(now["file_full"]) > 0 and stored * PAGE > 15 * MIB
        check_stored(programs, server, place)
        programs.run(server, "areas", "delete", "big")
        until(lambda: stats(server, "spill")["extent_used_bytes"] == "0", 5)
        noise_file(f"{place}/in", 14, 2)
        programs.run(server, "store", "again", f"{place}/in")
        programs.run(server, "load", "again", f"{place}/out")
        assert same(f"{place}/in", f"{place}/out")


def a_disk_without_room_is_a_full_file(programs):
    with tempfile.TemporaryDirectory(dir=".") as place:
        alone = f"{place}/alone"
        with open(alone, "w", encoding="ascii") as out:
            out.write(f"#!/bin/sh\nexec unshare --user --map-root-user --mount sh -c '"
                      f"mount -t tmpfs -o size=8m none \"$0\" && exec {programs.farpaged} \"$@\"' "
                      f"{os.path.abspath(place)}/small \"$@\"\n")
        os.chmod(alone, 0o755)
        os.mkdir(f"{place}/small")
        probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
        if subprocess.run(probe, check=False, capture_output=True).returncode != 0:
            skip("no namespaces to mount a small file system in")
        with Server(os.path.abspath(alone), spilling(programs, f"{place}/small", 200)) as server:
            noise_file(f"{place}/in", 40, 1)
            programs.run(server, "store", "big", f"{place}/in", code=1)
            now = stats(server, "spill")
            assert now["state"] == "full" and int(now["write_errors"]) > 0, now
            assert int(now["pages"]) * PAGE > 4 * MIB
            check_stored(programs, server, place)


def a_server_that_is_killed_while_it_writes_leaves_no_file(programs):
    """It writes no faster than it may, which is also told."""
    with place_to_spill() as place:
        sets = [*spilling(programs, f"{place}/spill", 200), "storage.spill_throttle=8MiB"]
        noise_file(f"{place}/in", 30 + limit_mib(programs.farpaged, 0), 1)
        with Server(programs.farpaged, sets) as server:
            begun = time.monotonic()
            store = subprocess.Popen([programs.farpage, "--server", f"unix:{server.unix}", "store", "big",
                                      f"{place}/in"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until(lambda: int(stats(server, "spill")["written_bytes"]) > 3 * MIB, 10)
            now, took = stats(server, "spill"), time.monotonic() - begun
            assert now["state"] == "writing" and int(now["throttled_ms"]) > 100, now
            assert int(now["written_bytes"]) < (took + 0.3) * 8 * MIB, (now, took)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.over = True
            store.kill()
            store.wait()
        assert not os.path.exists(f"{place}/spill")
        with Server(programs.farpaged, sets) as server:
            assert stats(server, "spill")["state"] == "idle"


def what_is_somebody_elses_is_not_taken(programs):
    def check(*sets):
        done = subprocess.run([programs.farpaged, "--check", *(f"--set={one}" for one in sets)],
                              check=False, capture_output=True, text=True)
        return done.returncode, done.stderr

    with place_to_spill() as place:
        path = os.path.abspath(f"{place}/diary")
        with open(path, "w", encoding="ascii") as out:
            out.write("dear diary")
        code, said = check(f"storage.spill_path={path}", "storage.spill_size=8MiB")
        assert code == 78 and "diary: exists and is no spill file" in said, said
        code, said = check(f"storage.spill_path={path}x")
        assert code == 78 and "only a block device may go without a size" in said, said
        code, said = check("storage.spill_size=8MiB")
        assert code == 78 and "storage.spill_size: nothing is spilled without" in said, said
        code, said = check(f"storage.spill_path={path}x", "storage.spill_size=1MiB")
        assert code == 78 and "storage.spill_size: it is 4MiB at least" in said, said
        assert check(f"storage.spill_path={path}x", "storage.spill_size=8MiB")[0] == 0
        assert os.listdir(place) == ["diary"]


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([five_times_the_memory_comes_back_by_every_door, who_waits_for_the_disk_holds_up_nobody,
          what_goes_there_between_two_looks_is_read_all_the_same,
          whatever_is_done_to_a_spilled_page_finds_it,
          a_disk_that_fails_costs_what_is_asked_of_it_and_nothing_else,
          a_full_file_refuses_and_keeps_what_is_there, a_disk_without_room_is_a_full_file,
          a_server_that_is_killed_while_it_writes_leaves_no_file,
          what_is_somebody_elses_is_not_taken])
