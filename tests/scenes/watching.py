#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""`watch`: a connection that is told what the server does."""
import os
import re
import select
import socket
import sys
import threading
import time

from nbd_wire import Device, take
from operating import until
from running import Server
from story import ask, memory_limit, sanitized, stats, tell

HEAD = r"ts=\d+\.\d{6} gid=\d+ "


class Watcher:
    def __init__(self, server, kinds, how=None):
        self.sock = server.connect(how)
        self.lines = self.sock.makefile("rb")
        self.sock.sendall(b"watch " + kinds.encode() + b"\r\n")
        first = self.lines.readline()
        assert first == b"OK\r\n", first

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.close()
        self.sock.close()

    def line(self):
        return self.lines.readline().decode().rstrip("\n")

    def expect(self, pattern):
        line = self.line()
        assert re.fullmatch(HEAD + pattern, line), (pattern, line)

    def is_silent(self):
        return not select.select([self.sock], [], [], 0.3)[0]


def has_a_full_socket(server):
    """Somebody who watches takes nothing more."""
    def waits():
        rows = stats(server, "conns")
        fds = [name.split(":")[0] for name, value in rows.items() if value == "conn_watch"]
        return [rows[fd + ":bytes_out"] for fd in fds if rows[fd + ":pending_bytes"] != "0"]

    first = waits()
    time.sleep(0.02)
    return first != [] and set(first) & set(waits()) != set()


def watchers_are_told_what_they_asked_for(programs):
    with Server(programs.farpaged) as server, \
            Watcher(server, "fetchers mutations deletions") as all_keys, \
            Watcher(server, "", "tcp") as reads:
        ask(server, "set k:1 5 100 5\r\nhello\r\nget k:1 nobody\r\nadd k:1 0 0 2\r\nxy\r\n"
                    "cas k:1 0 0 1 999999\r\nx\r\ndelete k:1\r\ndelete k:1\r\nincr n 1\r\n")
        found = r"type=item_get key=k%3A1 status=found clsid=\d+ cfd=\d+ size=5"
        missed = r"type=item_get key=nobody status=not_found clsid=0 cfd=\d+ size=0"
        stored = r"type=item_store key=k%3A1 status={} cmd={} ttl={} clsid=[{}]\d* cfd=\d+ size={}"
        all_keys.expect(stored.format("stored", "set", "(100|99)", "1-9", 5))
        all_keys.expect(found)
        all_keys.expect(missed)
        all_keys.expect(stored.format("not_stored", "add", "0", "0", 2))
        all_keys.expect(stored.format("exists", "cas", "0", "0", 1))
        deleted = r"type=deleted key=k%3A1 cmd={} clsid=[1-9]\d* cfd=\d+ size=5"
        all_keys.expect(deleted.format("delete"))
        ask(server, "ms azox 5 b ME\r\nhello\r\nmg azox b v\r\nmg nobody v\r\nmd azox b C1\r\n"
                    "md azox b\r\n")
        all_keys.expect(stored.format("stored", "add", "0", "1-9", 5))
        all_keys.expect(found)
        all_keys.expect(missed)
        all_keys.expect(deleted.format("md"))
        ask(server, "set k:1 0 0 2000000\r\n" + "x" * 2000000 + "\r\n")
        all_keys.expect(stored.format("too_large", "set", "0", "0", 0))
        reads.expect(found)
        reads.expect(missed)
        reads.expect(found)
        reads.expect(missed)
        assert all_keys.is_silent() and reads.is_silent()
        s = stats(server)
        assert s["log_watchers"] == "2" and s["log_watcher_sent"] == "15", s
        assert s["log_watcher_skipped"] == "0"
        rows = stats(server, "conns")
        assert [v for k, v in rows.items() if k.endswith(":state")].count("conn_watch") == 2, rows
        # What a watcher sends is read by nobody.
        reads.sock.sendall(b"get k\r\nquit\r\nwatch bogus\r\n")
        assert reads.is_silent()
        said = ask(server, "watch bogus\r\nwatch fetchers bogus\r\n")
        assert said == "ERROR\r\nERROR\r\n", said


def watchers_come_and_go(programs):
    with Server(programs.farpaged) as server:
        watchers = [Watcher(server, "connevents") for _ in range(20)]
        said = ask(server, "watch\r\n")
        assert said == "WATCHER_TOO_MANY log watcher limit reached\r\n", said
        for watcher in watchers:
            watcher.__exit__()
        until = time.monotonic() + 10
        while stats(server)["log_watchers"] != "0" and time.monotonic() < until:
            time.sleep(0.02)
        with Watcher(server, "connevents") as watcher:
            with server.connect("tcp") as s:
                port = s.getsockname()[1]
                watcher.expect(rf"type=conn_new rip=127\.0\.0\.1 rport={port} transport=tcp"
                               r" cfd=\d+")
                s.sendall(b"quit\r\n")
                assert s.recv(10) == b""
            watcher.expect(rf"type=conn_close rip=127\.0\.0\.1 rport={port} transport=tcp"
                           r" reason=normal cfd=\d+")
            server.connect().close()
            watcher.expect(r"type=conn_new rip=unix rport=0 transport=local cfd=\d+")
            watcher.expect(r"type=conn_close rip=unix rport=0 transport=local reason=normal"
                           r" cfd=\d+")


def block_devices_come_and_go_as_others_do(programs):
    with Device(programs.farpaged, "[{name: d, size: 1MiB}]") as server, \
            Watcher(server, "connevents") as watcher:
        with server.wire("tcp") as s:
            assert take(s, 18)[:8] == b"NBDMAGIC"
            watcher.expect(r"type=conn_new rip=127\.0\.0\.1 rport=\d+ transport=tcp cfd=\d+")
        watcher.expect(r"type=conn_close rip=127\.0\.0\.1 rport=\d+ transport=tcp reason=normal"
                       r" cfd=\d+")


def evictions_and_compaction_are_watched(programs):
    with Server(programs.farpaged, sets=[memory_limit(programs, 24), "compressor.algorithm=none",
                                         "storage.compaction=manual"]) as server, \
            Watcher(server, "evictions compaction") as watcher:
        value = os.urandom(2000)
        with server.connect() as s:
            for n in range(40000 if sanitized(programs.farpaged) else 20000):
                s.sendall(b"set key%d 0 1000 2000 noreply\r\n%s\r\n" % (n, value))
            s.sendall(b"get key1\r\n")
            s.recv(100)
        watcher.expect(r"type=eviction key=key\d+ fetch=no ttl=(1000|9\d\d) la=\d+ clsid=\d+"
                       r" size=2000")
        assert int(stats(server)["evictions"]) > 100
        while not watcher.is_silent():
            watcher.sock.recv(1 << 20)
        ask(server, "compact\r\n")
        done = re.compile(HEAD + r"type=compaction job=1 moved_objects=\d+ freed_pages=\d+ us=\d+")
        rest = b""
        while b"type=compaction" not in rest or not rest.endswith(b"\n"):
            rest += watcher.sock.recv(65536)
        assert done.fullmatch(rest.decode().splitlines()[-1]), rest


def a_watcher_that_does_not_read_loses_lines_and_nothing_else(programs):
    with Server(programs.farpaged, sets=["server.request_timeout=100ms",
                                         "server.idle_timeout=100ms"]) as server:
        sleeper = server.connect("tcp")
        with sleeper, Watcher(server, "mutations") as reader:
            sleeper.sendall(b"watch mutations\r\n")
            assert sleeper.recv(4) == b"OK\r\n"
            held = int(stats(server, "memory")["connections_bytes"])
            over = threading.Event()

            def store():
                with server.connect() as s:
                    while not over.is_set():  # a byte of the key is three of the line
                        s.sendall(b"set %s 0 0 1 noreply\r\nx\r\n" % (b"\xff" * 240) * 500)

            storers = [threading.Thread(target=store) for _ in range(2)]
            drain = threading.Thread(target=lambda: [None for _ in reader.lines])
            for thread in storers:
                thread.start()
            drain.start()
            try:
                until = time.monotonic() + 30
                while (not has_a_full_socket(server) or
                       int(stats(server)["log_watcher_skipped"]) < 5000):
                    assert time.monotonic() < until
                for _ in range(60):  # it may say what it likes meanwhile
                    sleeper.sendall(b"get a\r\n")
                    time.sleep(0.005)
                more = int(stats(server, "memory")["connections_bytes"]) - held
                assert more < 2 << 20, more
                assert stats(server)["log_watchers"] == "2"  # neither was slow, or idle, for too long
            finally:
                over.set()
                for thread in storers:
                    thread.join()
            said = b""
            while b"skipped=" not in said:  # the rest of the ring, then a new line
                if not select.select([sleeper], [], [], 0.2)[0]:
                    ask(server, "set last 0 0 1\r\nx\r\n")
                said = said[-5000:] + sleeper.recv(65536)
            reader.sock.shutdown(socket.SHUT_RDWR)
            drain.join()


def who_watches_reads_what_he_asked_for_before(programs):
    with Server(programs.farpaged, sets=["server.request_timeout=1s"]) as server:
        crowd = [server.connect("unix") for _ in range(3)]
        with server.connect() as s:
            s.sendall(b"set k 0 0 1000000\r\n" + os.urandom(1000000) + b"\r\n")
            assert s.recv(100) == b"STORED\r\n"
        for s in crowd:
            s.sendall(b"get k\r\nwatch mutations\r\n")
        until(lambda: int(stats(server)["curr_connections"]) == 1, 15)
        assert int(stats(server, "memory")["connections_bytes"]) < 1 << 20
        for s in crowd:
            s.close()


def a_stop_does_not_wait_for_who_watches_and_does_not_read(programs):
    with Server(programs.farpaged) as server, Watcher(server, "fetchers", "tcp"):
        with server.connect() as s:
            request = b"get " + b"\xff" * 240 + b" k" * 500 + b"\r\n"
            while not has_a_full_socket(server):
                s.sendall(request * 50)
                for _ in range(50):
                    assert s.recv(5, socket.MSG_WAITALL) == b"END\r\n"
        begun = time.monotonic()
        server.stop()
        server.over = True
        assert time.monotonic() - begun < 5


def watchers_may_come_and_go_under_load(programs):
    """Watchers come and go, are fed and dropped, while four clients read, store and delete."""
    with Server(programs.farpaged) as server:
        over = threading.Event()

        def work(name):
            with server.connect() as s:
                while not over.is_set():
                    s.sendall(b"set %s:1 0 0 3\r\nabc\r\nget %s:1\r\ndelete %s:1\r\n"
                              % (name, name, name))
                    said = b""
                    while not said.endswith(b"DELETED\r\n"):
                        said += s.recv(1000)

        workers = [threading.Thread(target=work, args=(b"w%d" % n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        try:
            for n in range(30):
                ask(server, f"stats detail {'off' if n % 2 else 'on'}\r\nstats detail dump\r\n")
                with Watcher(server, "fetchers mutations deletions connevents") as watcher:
                    lines = [watcher.line() for _ in range(100)]
                assert all(re.match(HEAD + "type=", line) or line.startswith("skipped=")
                           for line in lines), lines
        finally:
            over.set()
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([watchers_are_told_what_they_asked_for, watchers_come_and_go,
          block_devices_come_and_go_as_others_do,
          evictions_and_compaction_are_watched,
          a_watcher_that_does_not_read_loses_lines_and_nothing_else,
          who_watches_reads_what_he_asked_for_before,
          a_stop_does_not_wait_for_who_watches_and_does_not_read,
          watchers_may_come_and_go_under_load])
