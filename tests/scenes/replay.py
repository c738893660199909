#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Churn traces replayed through a real server, and compaction by hand while others use it."""
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import hostile
from running import Server
from story import ask, sample, sanitized, stats, tell

PAGE = 4096
STORE, LOAD, INVALIDATE, COMPACT = 5, 6, 7, 8
STORE_BATCH, LOAD_BATCH, INVALIDATE_BATCH = BATCHES = 15, 16, 17
COMPRESSED = "compressor.algorithm=lz4"


class Traces:
    """A directory with two page files and the traces made of them."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="replay-")
        pages = sample()
        half = len(pages) // PAGE // 2 * PAGE
        self.files = [self.write("zero.pages", pages[:half]), self.write("one.pages", pages[half:])]
        self.counts = [os.path.getsize(path) // PAGE for path in self.files]
        return self

    def __exit__(self, *what):
        self.directory.cleanup()

    def write(self, name, content):
        path = os.path.join(self.directory.name, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def trace(self, slots, *records):
        lines = ["# farpage-trace 1", f"# slots {slots}"]
        lines += [f"# corpus {k} {os.path.basename(path)} {self.counts[k]} {'0' * 64}"
                  for k, path in enumerate(self.files)]
        return self.write("trace", "\n".join([*lines, "# seed 1", *records]) + "\n")

    def page(self, corpus, page):
        with open(self.files[corpus], "rb") as f:
            return f.read()[page * PAGE:][:PAGE]


def whole(s, size):
    """So many bytes, or nothing where the other end is done."""
    got = b""
    while len(got) < size:
        piece = s.recv(size - len(got))
        if not piece:
            return b""
        got += piece
    return got


def slots_of(header, body):
    """Those a request names, or its reply; none where one reply is for all."""
    if header[0] == 0xFA and header[1] == STORE_BATCH:
        slots, at = [], 0
        while at < len(body):
            slot, _, size = struct.unpack(">QII", body[at:][:16])
            slots.append(slot)
            at += 28 + size
        return slots
    if header[0] == 0xFA and header[1] in BATCHES:
        return [slot for slot, in struct.iter_unpack(">Q", body[8:])]
    return [] if header[1] == INVALIDATE_BATCH else [int.from_bytes(header[8:16], "big")]


class Between(threading.Thread):
    """Stands between a client and the server, and sees whether two operations on one slot are
    ever on the way together: the protocol lets a server carry them out in any order."""

    def __init__(self, server, path):
        super().__init__(daemon=True)
        self.unix, self.server, self.on_the_way, self.doubled, self.most = path, server, [], [], 0
        self.asked = {}
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def sent(self, tag, slots):
        with self.lock:
            for slot in slots:
                if slot in self.on_the_way:
                    self.doubled.append(slot)
                self.on_the_way.append(slot)
            self.asked[tag] = slots
            self.most = max(self.most, len(self.on_the_way))

    def answered(self, tag, slots):
        with self.lock:
            for slot in slots or self.asked[tag]:
                self.on_the_way.remove(slot)

    def pass_on(self, source, sink, note):
        while header := whole(source, 40):
            body = whole(source, int.from_bytes(header[24:28], "big"))
            if header[1] in (STORE, LOAD, INVALIDATE, *BATCHES):
                note(header[4:8], slots_of(header, body))
            sink.sendall(header + body)
        sink.shutdown(socket.SHUT_WR)

    def run(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        with client, self.server.connect("unix") as server:
            back = threading.Thread(target=self.pass_on, args=(server, client, self.answered))
            back.start()
            self.pass_on(client, server, self.sent)
            back.join()


def same_filled(page):
    return page == page[:8] * (PAGE // 8)


def a_small_trace_is_replayed_and_verified(programs):
    """Figures and pages are what they must be: one slot over and over, forgotten, stored again."""
    with Traces() as t, Server(programs.farpaged, [COMPRESSED]) as server:
        slots = 300
        pages = [(k, j) for k in range(2) for j in range(t.counts[k])]
        content = {slot: pages[slot % len(pages)] for slot in range(slots)}
        records = [f"w {slot} {k} {j}" for slot, (k, j) in content.items()] + ["s fill"]
        for n in range(200):  # one slot, again and again: only the last one counts
            content[7] = (n % 2, n)
            records.append(f"w 7 {n % 2} {n}")
        records += ["d 9", "w 9 1 3", "d 9", "w 9 1 4", "d 11", "w 12 0 1", "d 12", "s churn"]
        content[9] = (1, 4)
        del content[11], content[12]
        records += [f"d {slot}" for slot in range(100, 200)] + ["s discard", "# wait 10", "c",
                                                                "s compacted"]
        for slot in range(100, 200):
            del content[slot]
        between = Between(server, os.path.join(t.directory.name, "between"))
        said = programs.run(between, "replay", "--verify", t.trace(slots, *records), *t.files)
        assert not between.doubled and between.most <= 64, (between.doubled, between.most)
        assert said.count("\n") == 1, said
        told = json.loads(said)
        assert [s["at"] for s in told["snapshots"]] == ["fill", "churn", "discard", "compacted"]
        assert [s["pages"] for s in told["snapshots"]] == [300, 298, 198, 198], told
        assert told["verified_slots"] == slots and told["different_slots"] == 0
        assert len(told["compactions"]) == 1 and told["compactions"][0]["seconds"] < 60
        last = told["snapshots"][-1]
        assert last["same_filled"] == sum(same_filled(t.page(*at)) for at in content.values())
        area = stats(server, "areas")
        assert last["compressed_bytes"] == int(area["replay:packed_bytes"]) > 0
        assert last["resident_bytes"] > 0
        ratio = last["resident_bytes"] / last["compressed_bytes"]
        assert abs(last["ram_per_compressed_byte"] - ratio) < 1e-6 * ratio
        image = os.path.join(t.directory.name, "image")
        programs.run(server, "load", "--sparse", "replay", image)
        with open(image, "rb") as f:
            for slot in range(slots):
                expected = t.page(*content[slot]) if slot in content else bytes(PAGE)
                assert f.read(PAGE) == expected, f"slot {slot}"


def what_a_replay_cannot_use_is_named(programs):
    with Traces() as t, Server(programs.farpaged) as server:
        trace = t.trace(4, "w 0 0 0")
        nobody = "unix:/nonexistent/farpage"  # all this is found before anyone is asked
        for record, line, needed in (
                ("w 4 0 0", 6, "not a number below"), ("w 0 2 0", 6, "no '# corpus'"),
                (f"w 0 0 {t.counts[0]}", 6, "no page of that number"), ("w 0 0", 6, "not 'w SLOT"),
                ("w 0 0 0 0", 6, "not 'w SLOT"), ("w -1 0 0", 6, "not a number below"),
                ("d", 6, "not 'd SLOT'"), ("s", 6, "not 's LABEL'"), ("c 1", 6, "behind 'c'"),
                ("w 0 0 0\n\nx", 7, "begins with"), ("w 0 0 0\nx", 7, "begins with"),
                ("# slots 5", 6, "told twice"), ("# corpus 7 a 1 b", 6, "not numbered")):
            path = t.trace(4, record)
            said = programs.run(nobody, "replay", path, *t.files, code=1)
            assert f"{path}:{line}: " in said and needed in said, (record, said)
        for text, line, needed in (("", 1, "empty"), ("w 0 0 0\n", 1, "first line"),
                                   ("# farpage-trace 2\n", 1, "first line"),
                                   ("# farpage-trace 1\nw 0 0 0\n", 2, "must come first"),
                                   ("# farpage-trace 1\n", 1, "without '# slots N'"),
                                   ("# farpage-trace 1\n# slots 0\n", 2, "from 1 to"),
                                   ("# farpage-trace 1\n# slots 1\ns a\0b\n", 3, "zero byte")):
            path = t.write("bad", text)
            said = programs.run(nobody, "replay", path, t.files[0], code=1)
            assert f"{path}:{line}: " in said and needed in said, (text, said)
        trace = t.trace(4, "w 0 0 0", "s end")
        assert "2 page files, not 1" in programs.run(nobody, "replay", trace, t.files[0], code=1)
        swapped = programs.run(nobody, "replay", trace, t.files[1], t.files[1] + "x", code=1)
        assert "cannot open" in swapped or "has" in swapped, swapped
        short = t.write("short.pages", bytes(PAGE))
        assert "4096 bytes; corpus 0" in programs.run(nobody, "replay", trace, short, t.files[1],
                                                      code=1)
        programs.run(server, "replay", trace, *t.files)
        again = programs.run(server, "replay", trace, *t.files, code=1)
        assert "area 'replay' holds 1 pages" in again and "invalidate replay" in again, again
        programs.run(server, "replay", "--area", "other", trace, *t.files)


def a_damaged_replay_fails_its_verification(programs):
    """Someone else stores into the area while the trace waits: --verify must see it."""
    with Traces() as t, Server(programs.farpaged) as server:
        trace = t.trace(3, "w 0 0 0", "w 1 0 1", "s before", "# wait 3000", "s after")
        address = "unix:" + server.unix
        replay = subprocess.Popen([programs.farpage, "--server", address, "replay", "--verify",
                                   trace, *t.files], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        try:
            end = time.monotonic() + 30
            while stats(server, "areas").get("replay:stored") != "2":
                assert time.monotonic() < end
                time.sleep(0.02)
            other = t.write("other", t.page(0, 5) + t.page(0, 1))
            programs.run(server, "store", "replay", other)
            out, error = replay.communicate(timeout=60)
        finally:
            if replay.poll() is None:
                replay.kill()
                replay.wait()
        assert replay.returncode == 1 and "1 slots differ, slot 0 is the first" in error, error
        assert json.loads(out)["different_slots"] == 1


class Busy(threading.Thread):
    """A client that stores and verifies a file at full speed until it is left; an error is told."""

    def __init__(self, programs, server, path):
        super().__init__()
        self.programs, self.server, self.path = programs, server, path
        self.stop, self.failure = threading.Event(), None

    def __enter__(self):
        self.start()

    def __exit__(self, *what):
        self.stop.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def run(self):
        try:
            while not self.stop.is_set():
                self.programs.run(self.server, "store", "busy", self.path)
                self.programs.run(self.server, "verify", "busy", self.path)
        except BaseException as error:  # told by the main thread
            self.failure = error


def compact_works_while_a_client_stores_and_loads(programs):
    with Traces() as t, Server(programs.farpaged, ["storage.compaction=manual"]) as server:
        slots = 8000
        records = [f"w {slot} {slot % 2} {slot % min(t.counts)}" for slot in range(slots)]
        records += [f"d {slot}" for slot in range(slots) if slot * 2654435761 >> 7 & 3]
        records += ["s thin"]
        programs.run(server, "replay", t.trace(slots, *records), *t.files)
        with Busy(programs, server, t.files[0]):
            held = int(stats(server, "zpool")["held_pages"])
            first = programs.json(server, "compact")
            others = [programs.json(server, "compact") for _ in range(20)]
            programs.run(server, "compact", "--no-wait")
        assert first["state"] == "idle" and first["moved_objects"] > 0, first
        assert first["freed_pages"] > held / 2, (held, first)
        assert sum(o["freed_pages"] for o in others) < first["freed_pages"], others
        assert "objects moved" in programs.run(server, "compact")
        assert int(stats(server, "compaction")["runs"]) >= 21
        assert ask(server, "compact\r\n").startswith("OK")


class Telnet:
    """One connection on which lines are typed and answers read."""

    def __init__(self, server):
        self.socket = server.connect("tcp")
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.file.close()
        self.socket.close()

    def line(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.file.readline().decode().rstrip()

    def compaction(self):
        said, line = {}, self.line("stats compaction")
        while line != "END":
            _, name, value = line.split(" ", 2)
            said[name] = int(value) if value.isdigit() else value
            line = self.file.readline().decode().rstrip()
        return said


def compaction_is_seen_over_telnet_while_a_client_stores_and_loads(programs):
    """Its number, and its progress look by look; the client meets no error and no other byte."""
    with Traces() as t, Server(programs.farpaged, ["storage.compaction=manual"]) as server, \
            Telnet(server) as telnet:
        slots, seen = 16000, []
        thin = t.trace(slots, *(f"w {slot} {slot % 2} {slot % min(t.counts)}"
                                for slot in range(slots)),
                       *(f"d {slot}" for slot in range(slots) if slot * 2654435761 >> 7 & 3))
        assert telnet.compaction()["job_state"] == "none"
        with Busy(programs, server, t.files[0]):
            for job in range(1, 21):  # until one of them was caught at work
                programs.run(server, "replay", thin, *t.files)
                before = telnet.compaction()
                assert telnet.line("compact") == f"OK {job}"
                looks = [telnet.compaction()]
                while looks[-1]["job_state"] != "done":
                    assert looks[-1]["job_state"] in ("waiting", "running"), looks[-1]
                    looks.append(telnet.compaction())
                for one, next_one in zip(looks, looks[1:]):
                    for name in ("job_moved_objects", "job_freed_pages", "job_us"):
                        assert one[name] <= next_one[name], (one, next_one)
                last = looks[-1]
                assert all(look["job"] == job for look in looks) and last["runs"] == job, last
                assert last["job_moved_objects"] > 0 and last["job_freed_pages"] > 0, last
                grown = last["freed_pages"] - before["freed_pages"]
                assert last["job_freed_pages"] == grown, (before, last)
                assert last["freeable_bytes"] < before["freeable_bytes"] / 2, (before, last)
                assert last["freeable_bytes"] == 4096 * last["freeable_pages"], last
                seen = [look for look in looks if look["job_state"] == "running" and
                        0 < look["job_moved_objects"] < last["job_moved_objects"]]
                if seen:
                    break
        assert seen, "twenty jobs and none was caught at work"


class Endless(threading.Thread):
    """A server of one connection that compacts for ever."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.address, self.asked, self.started = "unix:" + path, 0, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def answer(self, header):
        _, opcode, _, tag, slot, area, count = struct.unpack(">BBHIQII", header[:24])
        body = struct.pack(">HHI16sIIII", 1, 0, 0, b"b" * 16, PAGE, 65536, 64, 0)
        if opcode == COMPACT:
            self.asked += 1
            self.started += count == 0
            state = "running" if self.started else "idle"
            body = (f"state {state}\nmoved_objects {1000 * self.asked}\nfreed_pages 1234567\n"
                    "skipped_pinned 3\nfreeable_pages 88\nruns 0\nlast_ms 0\n").encode()
        return hostile.frame(opcode, body, magic=0xFB, tag=tag, slot=slot, area=area, count=count)

    def run(self):
        connection, _ = self.listener.accept()
        with connection:
            while header := whole(connection, 40):
                whole(connection, int.from_bytes(header[24:28], "big"))
                connection.sendall(self.answer(header))


def ctrl_c_ends_the_watching_only(programs):
    with tempfile.TemporaryDirectory(prefix="replay-") as directory:
        server = Endless(os.path.join(directory, "socket"))
        terminal, its_end = pty.openpty()
        environment = {**os.environ, "TERM": "xterm"}
        compact = subprocess.Popen([programs.farpage, "--server", server.address, "compact"],
                                   stdout=subprocess.PIPE, stderr=its_end, text=True,
                                   env=environment)
        os.close(its_end)
        try:
            end = time.monotonic() + 30
            while server.asked < 5:
                assert time.monotonic() < end and compact.poll() is None
                time.sleep(0.02)
            compact.send_signal(signal.SIGINT)
            out, _ = compact.communicate(timeout=30)
        finally:
            if compact.poll() is None:
                compact.kill()
                compact.wait()
        seen = os.read(terminal, 65536).decode()
        os.close(terminal)
        assert compact.returncode == 0 and server.started == 1, (compact.returncode, server.asked)
        assert "goes on compacting: 88 pages to gain" in out, out
        assert "3,000 objects moved, 0 pages freed, 0 pinned passed by, 88 pages left" in seen, seen


def what_is_switched_off_is_said_to_be(programs):
    with Server(programs.farpaged, ["storage.compaction=off"]) as server:
        said = programs.run(server, "compact", code=1)
        assert "switched that off" in said and said.count("\n") == 1, said


def discarded_memory_is_back_at_the_system(programs):
    """Half is discarded and compacted: what the process holds is near what is left."""
    with Traces() as t, Server(programs.farpaged, ["storage.compaction=manual"]) as server:
        slots = 16000
        records = [f"w {slot} {slot % 2} {slot % min(t.counts)}" for slot in range(slots)]
        gone = [slot for slot in range(slots) if slot * 2654435761 >> 7 & 1]
        records += ["s fill"] + [f"d {slot}" for slot in gone] + ["s discard", "c", "s compacted"]
        told = json.loads(programs.run(server, "replay", "--verify", t.trace(slots, *records),
                                       *t.files))
        fill, discard, compacted = told["snapshots"]
        assert discard["compressed_bytes"] < 0.6 * fill["compressed_bytes"], told
        assert told["compactions"][0]["pages_freed"] > 0, told
        if not sanitized(programs.farpaged):
            assert compacted["resident_bytes"] < 0.65 * fill["resident_bytes"], told
            assert compacted["ram_per_compressed_byte"] < 1.25, told


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([a_small_trace_is_replayed_and_verified, what_a_replay_cannot_use_is_named,
          a_damaged_replay_fails_its_verification, compact_works_while_a_client_stores_and_loads,
          compaction_is_seen_over_telnet_while_a_client_stores_and_loads,
          ctrl_c_ends_the_watching_only, what_is_switched_off_is_said_to_be,
          discarded_memory_is_back_at_the_system])
