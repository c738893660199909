#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The log: its formats, what strangers and repetition make of it, slow requests, and readers that do not read."""
import fcntl
import json
import os
import re
import signal
import subprocess
import threading
import time

from operating import until
from running import Server, free_port
from story import ask, stats, tell


class Piped:
    """A server whose log goes into a pipe of ours."""

    def __init__(self, program, sets=(), journal=False):
        self.port, (self.log, end) = free_port(), os.pipe()
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 8192)
        about = os.fstat(end)
        environment = dict(os.environ)
        if journal:
            environment["JOURNAL_STREAM"] = f"{about.st_dev}:{about.st_ino}"
        command = [program, "--set", f'listeners=[{{address: "127.0.0.1:{self.port}"}}]',
                   "--set", "server.threads=2"]
        for pair in sets:
            command += ["--set", pair]
        self.process = subprocess.Popen(command, stderr=end, stdin=subprocess.DEVNULL, env=environment)
        os.close(end)
        self.connect = lambda how=None: Server.connect(self)
        self.unix = None
        for _ in range(500):
            try:
                with self.connect():
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("it does not listen")

    def __enter__(self):
        return self

    def __exit__(self, kind, *what):
        self.process.kill()
        self.process.wait()
        os.close(self.log)

    def stop(self):
        """All of the log until the end, read from now on."""
        said = []
        reader = threading.Thread(target=lambda: said.extend(iter(lambda: os.read(self.log, 65536), b"")))
        reader.start()
        time.sleep(0.05)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) == 0
        reader.join()
        return b"".join(said).decode()


def nobody_waits_for_who_reads_the_log(programs):
    """The pipe is full and nobody reads: requests are answered, lines are lost, and their number is told."""
    with Piped(programs.farpaged, ["log.level=debug"]) as server:
        began = time.monotonic()
        for _ in range(300):  # a line for each connection that ends
            assert ask(server, "version\r\n").startswith("VERSION")
        lost = lambda: int(dict(line.split(" ")[1:] for line in ask(server, "stats metrics\r\n")
                                .splitlines()[:-1])["farpage_log_lines_lost_total"])
        assert lost() > 50 and time.monotonic() - began < 10
        said = server.stop()
        assert re.search(r"warn  lines of the log were lost, nobody read them: \d{2,}\n", said)
        assert said.rstrip().endswith("stopped"), said[-300:]


def the_journal_is_told_priorities(programs):
    with Piped(programs.farpaged, journal=True) as server:
        ask(server, "config set log.level loud\r\n")
        said = server.stop().splitlines()
        assert said[0].startswith("<6>listening address="), said
        assert any(line.startswith("<4>config set refused pair=") for line in said), said
        assert not any("T" in line and re.search(r"\d\d:\d\d:\d\d\.\d", line) for line in said)


def what_strangers_send_stays_on_its_line(programs):
    hostile = 'config set a\x1b[31m"\\ x=y\x07 {"level":"error"}\r\n'
    for form in ("text", "logfmt", "json"):
        with Server(programs.farpaged, [f"log.format={form}"]) as server:
            ask(server, hostile)
            said = server.stderr()
            line = next(line for line in said.splitlines() if "config set refused" in line)
            assert "\x1b" not in said and "\x07" not in said and r"\u001b[31m\"\\=x=y\u0007" in line, line
            if form == "json":
                assert all(isinstance(json.loads(each), dict) for each in said.splitlines())
                assert json.loads(line)["pair"] == 'a\x1b[31m"\\=x=y\x07 {"level":"error"}'


def what_repeats_is_counted(programs):
    with Server(programs.farpaged) as server:
        ask(server, "config set log.level loud\r\n" * 91)
        assert server.stderr().count("config set refused") == 50
        server.stop()
        server.over = True
        assert "warn  config set refused ... 41 more like this in 10 s\n" in server.stderr()


def slow_requests_are_logged_with_their_parts(programs):
    with Server(programs.farpaged, ["log.format=json", "log.slow_requests=0"]) as server:
        value = os.urandom(60000).hex()
        store = f"set big 0 0 {len(value)}\r\n{value}\r\n"
        ask(server, store)
        assert "slow request" not in server.stderr()
        ask(server, "compressor set zstd:12\r\n")
        programs.run(server, "set", "log.slow_requests", "1ms")
        began = time.monotonic()
        ask(server, store)
        took_us = (time.monotonic() - began) * 1e6
        rows = [json.loads(line) for line in server.stderr().splitlines()]
        slow = next(row for row in rows if row["event"] == "slow request" and row["operation"] == "set")
        assert 1000 <= slow["us"] <= took_us and slow["pack_us"] > slow["us"] / 4, slow
        assert slow["lock_us"] + slow["rest_us"] <= slow["us"] and slow["peer"].startswith("tcp:127.0.0.1:")
        assert value[:20] not in server.stderr()
        for _ in range(14):
            ask(server, store)
        assert server.stderr().count('"slow request"') <= 11, "ten show as much as all"
        assert int(stats(server, "latency")["set:count"]) == 16


def who_is_slow_besides_the_server_is_logged(programs):
    """A request that stood behind others', and a client that did not read."""
    sets = ["log.format=json", "log.slow_requests=1ms", "server.threads=1"]
    with Server(programs.farpaged, sets) as server:
        def logged(event):
            return [row for row in map(json.loads, server.stderr().splitlines())
                    if row["event"] == event]

        ask(server, "compressor set zstd:12\r\n")
        value = os.urandom(60000).hex()
        with server.connect("tcp") as busy, server.connect("tcp") as other:
            busy.sendall(b"debug hang 200\r\n")
            time.sleep(0.05)
            other.sendall(f"set big 0 0 {len(value)}\r\n{value}\r\n".encode())
            assert other.recv(100) == b"STORED\r\n"
            hung = busy.recv(100) == b"OK\r\n"  # else this build has no hooks
        slow = [row for row in logged("slow request") if row["operation"] == "set"][-1]
        assert 100000 < slow["queued_us"] < 10**6 if hung else slow["queued_us"] < 10**6, slow
        programs.run(server, "set", "log.slow_requests", "100ms")
        with server.connect("unix") as reader:
            reader.sendall(b"get big\r\n" * 30)
            time.sleep(0.3)
            left = 30 * len(value)
            while left > 0:
                left -= len(reader.recv(1 << 20)) or left
        until(lambda: logged("slow reader"))
        (row,) = logged("slow reader")
        assert 200000 < row["us"] < 10**7 and row["peer"].startswith("unix:pid="), row


tell([nobody_waits_for_who_reads_the_log, the_journal_is_told_priorities,
      what_strangers_send_stays_on_its_line, what_repeats_is_counted,
      slow_requests_are_logged_with_their_parts, who_is_slow_besides_the_server_is_logged])
