#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Lists of all keys: `lru_crawler metadump` and `mgdump`, `stats cachedump`, and the tools that ask
for them."""
import base64
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse

from monitors import TOOL, need
from running import Server
from story import ask, memory_limit, stats, tell

META = re.compile(r"key=(\S+) exp=(-1|\d+) la=(\d+) cas=(\d+) fetch=(yes|no) cls=(\d+) size=(\d+)"
                  r" csize=(\d+) codec=(\S+)")


def dump(server, what="lru_crawler metadump all"):
    """All that comes up to the end, as lines of bytes."""
    end = b"EN" if "mgdump" in what else b"END"
    with server.connect() as s, s.makefile("rb") as lines:
        s.sendall(what.encode() + b"\r\n")
        first = lines.readline()
        assert first == b"OK\r\n", first
        return list(iter(lambda: lines.readline().rstrip(b"\r\n"), end))


def metadump(server, which="all"):
    rows = {}
    for line in dump(server, f"lru_crawler metadump {which}"):
        fields = META.fullmatch(line.decode())
        assert fields, line
        key = urllib.parse.unquote_to_bytes(fields[1])
        assert key not in rows, key
        rows[key] = fields
    return rows


def store(server, items, time_s=0):
    with server.connect() as s:
        for key, value in items.items():
            s.sendall(b"set %s 0 %d %d noreply\r\n%s\r\n" % (key, time_s, len(value), value))
        s.sendall(b"version\r\n")
        assert s.recv(100).startswith(b"VERSION")


def a_dump_says_what_is_known_of_each_item(programs):
    with Server(programs.farpaged, sets=["compressor.algorithm=zstd",
                                         "compressor.level=5"]) as server:
        now = time.time()
        odd = b"\xc3\xa4:\x01/%"
        store(server, {b"text": b"compressible " * 300, b"random": os.urandom(5000),
                       b"same": b"z" * 4096, b"mixed": b"ab" * 9000 + os.urandom(16000),
                       odd: b"x", b"empty": b""})
        store(server, {b"timed": b"x" * 50}, 1000)
        store(server, {b"gone": b"x"}, -1)
        ask(server, "get text\r\n")
        rows = metadump(server)
        assert rows.keys() == {b"text", b"random", b"same", b"mixed", odd, b"empty", b"timed"}
        assert [rows[k][9] for k in (b"text", b"random", b"same", b"mixed", b"empty")] == \
            ["zstd:5", "none", "same", "mixed", "none"], rows
        assert rows[b"text"][5] == "yes" and rows[b"random"][5] == "no"
        assert 0 < int(rows[b"text"][8]) < 200 and int(rows[b"random"][8]) == 5000
        assert int(rows[b"text"][7]) > 3900 and rows[b"same"][8] == "0"
        assert rows[b"text"][2] == "-1" and abs(int(rows[b"timed"][2]) - now - 1000) < 5
        assert all(abs(int(row[3]) - now) < 5 for row in rows.values())
        said = ask(server, "gets timed\r\n")
        assert rows[b"timed"][4] == said.splitlines()[0].split()[-1], said
        classes = {key: row[6] for key, row in rows.items()}
        some = classes[b"random"]
        assert {k for k, c in classes.items() if c == some} == metadump(server, some).keys()
        assert metadump(server, "hash").keys() == rows.keys()
        names = dump(server, "lru_crawler mgdump all")
        wanted = {b"mg " + key for key in rows.keys() - {odd}}
        assert set(names) == wanted | {b"mg " + base64.b64encode(odd) + b" b"}, names


def what_stays_is_dumped_once_while_others_come_and_go(programs):
    with Server(programs.farpaged) as server:
        stay = {b"stay%d" % n: b"x" * (n % 300) for n in range(8000)}
        store(server, stay)
        over = threading.Event()

        def disturb():
            with server.connect() as s:
                for n in range(10 ** 9):
                    if over.is_set():
                        s.sendall(b"version\r\n")
                        assert s.recv(100).startswith(b"VERSION")
                        return
                    s.sendall(b"set come%d 0 0 3 noreply\r\nabc\r\n" % n
                              + b"delete come%d noreply\r\n" % (n - 5000)
                              + b"set stay%d 0 0 2 noreply\r\nab\r\n" % (n % 8000))

        others = [threading.Thread(target=disturb) for _ in range(2)]
        for other in others:
            other.start()
        try:
            for _ in range(2):
                rows = metadump(server)  # which allows no key twice
                assert stay.keys() <= rows.keys(), len(stay.keys() - rows.keys())
        finally:
            over.set()
            for other in others:
                other.join()


def who_does_not_read_a_dump_costs_little(programs):
    with Server(programs.farpaged, sets=["server.output_buffer_max=64KiB",
                                         "storage.memory_limit=256MiB"]) as server:
        store(server, {b"%d" % n + b"\xff" * 230: b"x" for n in range(20000)})
        held = int(stats(server, "memory")["connections_bytes"])
        with server.connect("tcp") as s:
            s.sendall(b"lru_crawler metadump all\r\nversion\r\n")
            time.sleep(0.5)
            more = int(stats(server, "memory")["connections_bytes"]) - held
            assert more < 400000, more
            assert ask(server, "set a 0 0 1\r\nx\r\n") == "STORED\r\n"
            said = b""
            while b"VERSION" not in said[-200:]:
                said += s.recv(1 << 20)
            assert said.count(b"\nkey=") in (20000, 20001), said.count(b"\nkey=")
            assert b"\nEND\r\nVERSION" in said[-200:], said[-200:]


def memcdump_lists_every_key(programs):
    need(shutil.which("memcdump"), "libmemcached-tools")
    with Server(programs.farpaged) as server:
        keys = {b"key%d" % n: b"x" * (n * n % 5000) for n in range(1000)}
        store(server, keys)
        done = subprocess.run(["memcdump", f"--servers=127.0.0.1:{server.port}"],
                              capture_output=True, timeout=60, check=True)
        assert sorted(done.stdout.split()) == sorted(keys), done
        some = ask(server, "stats cachedump 1 3\r\n").splitlines()
        assert len(some) == 4 and some[3] == "END", some
        assert all(re.fullmatch(r"ITEM key\d+ \[\d+ b; 0 s\]", line) for line in some[:3]), some


def memcached_tool_dumps_all_items(programs):
    need(os.path.exists(TOOL), "memcached")
    with Server(programs.farpaged) as server, Server(programs.farpaged) as other:
        store(server, {b"key:%d" % n: b"v%d" % n for n in range(300)})
        address = f"127.0.0.1:{server.port}"
        keys = subprocess.run(["perl", TOOL, address, "keys"], capture_output=True, text=True,
                              timeout=60, check=True).stdout.splitlines()
        assert len(keys) == 300 and all(line.startswith("key=key%3A") for line in keys), keys[:3]
        said = subprocess.run(["perl", TOOL, address, "dump"], capture_output=True, timeout=60,
                              check=True).stdout
        with other.connect() as s:  # it prints what would store them again
            s.sendall(said + b"quit\r\n")
            while s.recv(65536):
                pass
        assert stats(other)["curr_items"] == "300"
        assert "v42\r\n" in ask(other, "get key:42\r\n")


def dumps_go_on_while_items_give_way(programs):
    with Server(programs.farpaged, sets=[memory_limit(programs, 24)]) as server:
        value = os.urandom(3000)
        over = threading.Event()

        def fill():
            with server.connect() as s:
                for n in range(10 ** 9):
                    if over.is_set():
                        return
                    s.sendall(b"set key%d 0 0 3000 noreply\r\n%s\r\n" % (n, value))

        filler = threading.Thread(target=fill)
        filler.start()
        try:
            until = time.monotonic() + 30
            while int(stats(server)["evictions"]) < 2000 and time.monotonic() < until:
                metadump(server)
            assert int(stats(server)["evictions"]) >= 2000
        finally:
            over.set()
            filler.join()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([a_dump_says_what_is_known_of_each_item,
          what_stays_is_dumped_once_while_others_come_and_go, who_does_not_read_a_dump_costs_little,
          memcdump_lists_every_key, memcached_tool_dumps_all_items,
          dumps_go_on_while_items_give_way])
