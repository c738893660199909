#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The door for monitors: /metrics, /api/v1/stats, /livez, /readyz, and who abuses it; `farpage health`."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from certificates import Authority, believing
from running import Server, free_port
from story import ask, sample, stats, tell

SKIPPED = 77
ROOT = os.path.join(os.path.dirname(__file__), "../..")


class Monitored(Server):
    """A server with a door for monitors on a TCP port of its own."""

    def __init__(self, programs, sets=(), door="", **more):
        self.door = free_port()
        super().__init__(programs.farpaged, sets, listeners=[
            f'{{address: "127.0.0.1:{self.door}", protocol: http{", " + door if door else ""}}}'], **more)

    def open_door(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.door), timeout=timeout)

    def raw(self, text, s=None):
        """Sends bytes; all that comes back until the server closes."""
        with s or self.open_door() as s:
            s.sendall(text.encode() if isinstance(text, str) else text)
            said = b""
            while got := s.recv(65536):
                said += got
            return said.decode()

    def get(self, path, headers="", code=200, s=None):
        said = self.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n", s)
        head, body = said.split("\r\n\r\n", 1)
        assert head.startswith(f"HTTP/1.1 {code} "), head
        length = int(re.search(r"Content-Length: (\d+)", head)[1])
        assert length == len(body.encode()) and "Connection: close" in head, head
        return body

    def metrics(self):
        """{NAME{labels}: value}, each name after its HELP and TYPE."""
        values, kinds = {}, {}
        for line in self.get("/metrics").splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                assert name not in kinds, line
                kinds[name] = kind
            elif not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                assert re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name) in kinds or \
                    name.split("{")[0] in kinds, line
                values[name] = float(value)
        return values


def fill(programs, server):
    """Items and pages, hits and misses."""
    with tempfile.NamedTemporaryFile() as f:
        f.write(sample()[:64 * 4096])
        f.flush()
        programs.run(server, "store", "swap", f.name)
        programs.run(server, "verify", "swap", f.name)
    ask(server, "set a 0 0 5\r\nhello\r\nget a\r\nget b\r\n")


def every_number_is_there_and_true(programs):
    with Monitored(programs) as server:
        fill(programs, server)
        values = server.metrics()
        assert values['farpage_area_pages{area="swap"}'] == 64, values
        assert values['farpage_area_loads_total{area="swap"}'] == 64
        assert values['farpage_item_requests_total{command="get",result="hit"}'] == 1
        assert values['farpage_item_requests_total{command="get",result="miss"}'] == 1
        assert values["farpage_items"] == 1 and values["farpage_ready"] == 1
        for operation, most in (("get", 2), ("set", 1), ("store_batch", 64), ("load_batch", 64)):
            labels = f'operation="{operation}"'
            count = values[f"farpage_operation_duration_seconds_count{{{labels}}}"]
            buckets = [v for k, v in values.items() if k.startswith(
                f"farpage_operation_duration_seconds_bucket{{{labels},")]
            assert 0 < count <= most and buckets == sorted(buckets) and buckets[-1] == count, buckets
            assert values[f"farpage_operation_duration_seconds_sum{{{labels}}}"] > 0
        packs = sum(v for k, v in values.items() if k.startswith("farpage_seat_packs_total"))
        refused = sum(v for k, v in values.items() if k.startswith("farpage_seat_incompressible"))
        assert values["farpage_packed_size_bytes_count"] == packs - refused > 50
        assert values["farpage_packed_size_bytes_sum"] == sum(
            v for k, v in values.items() if k.startswith("farpage_seat_packed_bytes_total"))
        memory = sum(v for k, v in values.items() if k.startswith("farpage_memory_bytes{"))
        assert abs(memory - values["farpage_memory_used_bytes"]) < 1 << 20, values
        seats = [k for k in values if k.startswith("farpage_seat_current") and 'algorithm="lz4"' in k]
        assert len(seats) == 1 and values[seats[0]] == 1, seats
        # the same names as JSON and as text
        document = json.loads(server.get("/api/v1/stats"))
        plain = lambda name: re.sub(r"_(bucket|sum|count)$", "", name.split("{")[0])
        names = {plain(name) for name in values}  # there are no exports here
        assert {name for name in document if "_export_" not in name} == names
        assert {"area": "swap", "value": 64} in document["farpage_area_pages"]
        assert document["farpage_items"] == 1
        lines = ask(server, "stats metrics\r\n").splitlines()
        assert {plain(line.split(" ")[1]) for line in lines if line != "END"} == names
        # counters are not reset
        ask(server, "stats reset\r\n")
        assert server.metrics()['farpage_item_requests_total{command="get",result="hit"}'] == 1


def every_metric_is_documented(programs):
    with open(os.path.join(ROOT, "docs/metrics.md")) as f:
        told = re.findall(r"^\| `(\w+)(?:\{[\w, ]*\})?` \| (\w+) \|", f.read(), re.M)
    with Monitored(programs, ['exports=[{name: disk, size: 4MiB, recreate: always}]']) as server:
        fill(programs, server)
        shown = [tuple(line.split()[2:4]) for line in server.get("/metrics").splitlines()
                 if line.startswith("# TYPE")]
    assert sorted(told) == sorted(shown), set(told) ^ set(shown)
    assert len(set(told)) == len(told)


def promtool_finds_nothing_wrong(programs):
    if shutil.which("promtool") is None:
        print("skipped: prometheus, which has promtool, is not installed")
        sys.exit(SKIPPED)
    with Monitored(programs) as server:
        fill(programs, server)
        done = subprocess.run(["promtool", "check", "metrics"], input=server.get("/metrics"),
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and done.stdout + done.stderr == "", done


def health_is_told_to_all_who_ask(programs):
    with Monitored(programs) as server:
        assert server.get("/livez") == "ok\n" and server.get("/readyz") == "ok\n"
        verbose = server.get("/readyz?verbose")
        assert "[+]workers: 0 of 2" in verbose and verbose.endswith("good\n"), verbose
        assert "/metrics" in server.get("/") and "not here" in server.get("/nowhere", code=404)
        said = programs.run(server, "health")
        assert said.startswith("ready, memory ") and said.count("\n") == 1, said
        assert programs.json(server, "health")["health"] == "ready"
        with tempfile.TemporaryDirectory() as directory:  # a server whose areas have all gone
            fill(programs, server)
            programs.run(server, "drain", "swap", "--to", os.path.join(directory, "pages"))
        bad = server.get("/readyz", code=503)
        assert bad.startswith("[-]areas: 1 of 1"), bad
        assert server.get("/livez") == "ok\n"
        assert "not ready, areas" in programs.run(server, "health", code=1)
        assert server.metrics()["farpage_ready"] == 0
    assert "no answer" in programs.run(f"127.0.0.1:{free_port()}", "health", code=2)
    with socket.socket() as silent:  # it takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        programs.run(f"127.0.0.1:{silent.getsockname()[1]}", "health", "--timeout", "300ms", code=2)
        assert time.monotonic() - began < 2


def a_server_that_stops_says_so_until_it_has(programs):
    with Monitored(programs, ["server.stop_timeout=30s", "storage.item_size_max=16MiB"]) as server:
        with server.connect("tcp") as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            value = b"x" * 12000000
            reader.sendall(b"set big 0 0 12000000\r\n" + value + b"\r\n")
            assert reader.recv(100) == b"STORED\r\n"
            reader.sendall(b"get big\r\n")
            reader.recv(1)
            server.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 10
            while "stopping: yes" not in (said := server.raw("GET /readyz HTTP/1.1\r\n\r\n")):
                assert time.monotonic() < end, said
            assert said.startswith("HTTP/1.1 503 ") and server.get("/livez") == "ok\n"
            # and at the other doors, to who asks for anything
            for address in ("unix:" + server.unix, f"127.0.0.1:{server.port}"):
                said = programs.run(address, "health", code=1)
                assert said == "not ready: the server is stopping\n", said
                said = programs.run(address, "health", "--json", code=1)
                assert json.loads(said)["health"] == "not ready", said
                assert "the server is stopping" in programs.run(address, "ping", code=69)
            with server.connect() as late:
                assert late.recv(100) == b"SERVER_ERROR the server is stopping\r\n"
                assert late.recv(100) == b""
        server.is_over(0)


def what_is_asked_wrongly_is_refused(programs):
    with Monitored(programs) as server:
        for text, code in (("POST /metrics HTTP/1.1\r\n\r\n", 405), ("nonsense\r\n\r\n", 400),
                           ("GET / HTTP/3.0\r\n\r\n", 505), ("\x16\x03\x01", 400),
                           ("GET / HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789", 413),
                           ("GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403)):
            assert server.raw(text).startswith(f"HTTP/1.1 {code} "), (text, code)
        head = server.raw("HEAD /metrics HTTP/1.1\r\n\r\n")
        assert head.endswith("\r\n\r\n") and int(re.search(r"Length: (\d+)", head)[1]) > 1000, head
        assert server.raw(b"GET /livez HTTP/1.1\r\n\r\n" * 100).count("HTTP/1.1") == 1
        with server.open_door() as s:  # byte by byte
            for byte in b"GET /livez HTTP/1.1\r\n\r":
                s.sendall(bytes([byte]))
            assert server.raw("\n", s).endswith("ok\n")


def hostile_monitors_cost_little(programs):
    """150 MB of headers, slow askers, slow readers, a crowd: memory stays, requests go on."""
    with Monitored(programs, ["server.request_timeout=1s"]) as server:
        before = server.rss_bytes()
        with server.open_door() as s:
            s.sendall(b"GET / HTTP/1.1\r\n")
            sent, line = 0, b"A: " + b"b" * 65536 + b"\r\n"
            try:
                while sent < 150 << 20:
                    s.sendall(line)
                    sent += len(line)
            except OSError:
                pass
            assert sent < 32 << 20, f"{sent} bytes of headers were taken"
        crowd = [server.open_door() for _ in range(40)]
        for s in crowd:
            try:
                s.sendall(b"GET / HT")
            except OSError:
                pass
        began = time.monotonic()
        assert ask(server, "version\r\n").startswith("VERSION")
        assert time.monotonic() - began < 0.5
        for s in crowd:  # each is closed, those over the limit at once and with an answer
            s.settimeout(10)
            try:
                said = s.recv(1000)
            except ConnectionResetError:
                said = b""
            assert said == b"" or said.startswith(b"HTTP/1.1 503 "), said
            s.close()
        assert time.monotonic() - began < 5
        assert server.rss_bytes() < before + (4 << 20), (before, server.rss_bytes())
        values = server.metrics()
        assert values['farpage_http_requests_total{status="431"}'] == 1, values
        slow, away = (values[f'farpage_http_requests_total{{status="{how}"}}']
                      for how in ("too_slow", "turned_away"))
        # All of the crowd; who came before it may have had one of the 32 places still.
        assert slow + away >= 40 and 30 <= slow <= 32, (slow, away)


def the_door_may_have_tls_and_users(programs):
    with tempfile.TemporaryDirectory() as directory:
        authority = Authority(directory)
        users = os.path.join(directory, "users")
        with open(users, "w") as f:
            f.write("prometheus:secret\n")
        os.chmod(users, 0o600)
        certificate, key = authority.issue("server")
        more = f"tls:\n  certificate: {certificate}\n  key: {key}\nauth:\n  file: {users}\n"
        with Monitored(programs, door="tls: on", local="auth: off", tcp="auth: off", more=more) as server:
            wrap = lambda: believing(authority).wrap_socket(server.open_door(), server_hostname="localhost")
            assert server.get("/livez", s=wrap()) == "ok\n", "probes need no password"
            assert "password" in server.get("/metrics", code=401, s=wrap())
            for line, code in (("prometheus:wrong", 401), ("nobody:secret", 401), ("prometheus:secret", 200)):
                word = base64.b64encode(line.encode()).decode()
                server.get("/metrics", f"Authorization: Basic {word}\r\n", code=code, s=wrap())
            with server.open_door() as s:  # in the clear
                s.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
                try:
                    assert b"HTTP" not in s.recv(1000)
                except ConnectionResetError:
                    pass
            assert ask(server, "version\r\n", "unix").startswith("VERSION")
            assert stats(server)["accepting_conns"] == "1"


def it_is_closed_to_the_network_unless_that_is_meant(programs):
    address = f'listeners=[{{address: "0.0.0.0:{free_port()}", protocol: http}}]'
    done = subprocess.run([programs.farpaged, "--check", "--set", address], capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 78 and "insecure: on" in done.stderr, done


tell([every_number_is_there_and_true, every_metric_is_documented, promtool_finds_nothing_wrong,
      health_is_told_to_all_who_ask, a_server_that_stops_says_so_until_it_has,
      what_is_asked_wrongly_is_refused, hostile_monitors_cost_little,
      the_door_may_have_tls_and_users, it_is_closed_to_the_network_unless_that_is_meant])
