#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Where clients come in, how many of them, and what those cost who only came."""
import os
import signal
import socket
import time

from operating import until
from running import Server
from story import ask, stats, tell

FULL = b"ERROR Too many open connections\r\n"


def version_at(address, family=socket.AF_INET):
    with socket.socket(family) as s:
        s.settimeout(10)
        s.connect(address)
        s.sendall(b"version\r\n")
        return s.recv(100).startswith(b"VERSION")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            return True
    except OSError:
        return False


def several_listeners_serve_side_by_side(programs):
    more = ['{address: "127.0.0.2:0"}']
    if has_ipv6():
        more += ['{address: "[::1]:0"}', '{address: "*:0", insecure: true}']
    with Server(programs.farpaged, listeners=more) as server:
        heard = [line.split("address=")[1].split()[0] for line in server.stderr().splitlines()
                 if "listening" in line]
        assert len(heard) == 2 + len(more), heard
        for where in heard:
            if where.startswith("unix:"):
                assert version_at(where[5:], socket.AF_UNIX)
                continue
            host, port = where.rsplit(":", 1)
            if host == "*":
                assert version_at(("127.0.0.1", int(port)))
            family = socket.AF_INET6 if host.startswith("[") or host == "*" else socket.AF_INET
            host = "::1" if host == "*" else host.strip("[]")
            assert version_at((host, int(port)), family), where


def a_server_takes_its_port_again_at_once(programs):
    """Connections that it closed linger in TIME_WAIT."""
    with Server(programs.farpaged) as server:
        with server.connect("tcp") as s:
            s.sendall(b"quit\r\n")
            assert s.recv(100) == b""
        server.process.send_signal(signal.SIGTERM)
        server.is_over()
        with Server(programs.farpaged, listeners=[f'{{address: "127.0.0.1:{server.port}"}}']):
            assert version_at(("127.0.0.1", server.port))


def udp_sockets_of(pid):
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            to = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:  # what listed the directory, where that is ourselves
            continue
        if to.startswith("socket:["):
            inodes.add(to[8:-1])
    found = []
    for table in ("udp", "udp6", "udplite", "udplite6", "raw", "raw6"):
        path = f"/proc/{pid}/net/{table}"
        if os.path.exists(path):
            with open(path) as f:
                found += [line for line in f.readlines()[1:] if line.split()[9] in inodes]
    assert inodes, "it has sockets, and they were found"
    return found


def there_is_no_udp_at_all(programs):
    with Server(programs.farpaged) as server:
        assert udp_sockets_of(server.process.pid) == []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # the test can see one
            s.bind(("127.0.0.1", 0))
            assert udp_sockets_of(os.getpid())


def begun(server, count, how="tcp"):
    """Connections that began a request and leave it there."""
    opened = []
    for _ in range(count):
        s = server.connect(how)
        s.sendall(b"get ")
        opened.append(s)
    return opened


def all_of(s):
    said = b""
    try:
        while got := s.recv(1000):
            said += got
    except ConnectionResetError:  # what was refused may have been on its way
        pass
    return said


def connected(server, how):
    """As the one who asks sees it, himself among them."""
    return int(dict(line.split()[1:3] for line in ask(server, "stats\r\n", how).splitlines()
                    if line.startswith("STAT curr_conn"))["curr_connections"])


def let_in(server, how):
    """One more connection, as soon as there is a place: who has just left may be counted still."""
    while True:
        s = server.connect(how)
        try:
            s.sendall(b"version\r\n")
            if s.recv(100).startswith(b"VERSION"):
                return s
        except ConnectionError:
            pass
        s.close()


def strangers_never_keep_the_operator_out(programs):
    with Server(programs.farpaged, sets=["server.max_connections=64",
                                         "server.reserved_connections=2"]) as server:
        until(lambda: connected(server, "unix") == 1)  # who looked whether it listens has gone
        strangers = begun(server, 64)
        try:
            until(lambda: connected(server, "unix") == 65)
            with server.connect("tcp") as refused:
                assert all_of(refused) == FULL
            with server.connect("unix") as first, server.connect("unix") as second:
                for s in (first, second):
                    s.sendall(b"version\r\n")
                    assert s.recv(100).startswith(b"VERSION")
                with server.connect("unix") as third:
                    assert all_of(third) == FULL
        finally:
            for s in strangers:
                s.close()


def reserved_places_are_where_the_configuration_says(programs):
    sets = ["server.max_connections=2", "server.reserved_connections=1"]
    with Server(programs.farpaged, sets=sets, tcp="reserved: on", local="reserved: off") as server:
        until(lambda: connected(server, "tcp") == 1)
        opened = [let_in(server, "unix") for _ in range(2)]
        try:
            until(lambda: connected(server, "tcp") == 3)
            with server.connect("unix") as refused:
                assert all_of(refused) == FULL
            with server.connect("tcp") as s:
                s.sendall(b"version\r\n")
                assert s.recv(100).startswith(b"VERSION")
        finally:
            for s in opened:
                s.close()


def who_never_asks_is_closed(programs):
    with Server(programs.farpaged, sets=["server.first_request_timeout=1s"]) as server:
        with server.connect("tcp") as asks, server.connect("tcp") as silent:
            asks.sendall(b"get x\r\n")
            assert asks.recv(100) == b"END\r\n"
            at = time.monotonic()
            assert silent.recv(100) == b"" and 0.9 < time.monotonic() - at < 4
            time.sleep(1)
            asks.sendall(b"get x\r\n")
            assert asks.recv(100) == b"END\r\n"
        assert int(stats(server)["idle_kicks"]) == 1
        assert "server.first_request_timeout" in server.stderr()


def others_get_their_turn_and_that_is_counted(programs):
    sets = ["server.threads=1", "server.requests_per_turn=10"]
    with Server(programs.farpaged, sets=sets) as server:
        with server.connect("tcp") as s:
            s.sendall(b"get x\r\n" * 1000)
            got = b""
            while len(got) < 5000:
                got += s.recv(65536)
            assert got == b"END\r\n" * 1000
        assert int(stats(server)["conn_yields"]) >= 50


def a_client_of_the_binary_protocol_is_told_once_in_the_log(programs):
    with Server(programs.farpaged) as server:
        for _ in range(20):
            with server.connect("tcp") as s:
                s.sendall(b"\x80\x0b" + bytes(22))
                assert all_of(s) == b""
        lines = [x for x in server.stderr().splitlines() if "binary protocol" in x]
        assert len(lines) == 1 and "docs/clients.md" in lines[0], lines
        assert int(stats(server)["farpage_protocol_errors"]) == 20


def a_browser_is_hung_up_on_whatever_it_says_first(programs):
    with Server(programs.farpaged) as server:
        for said in (b"POST / HTTP/1.1\r\n", b"GET /x HTTP/1.0\r\n", b"PRI * HTTP/2.0\r\n",
                     b"OPTIONS * HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n", b"hOST: a b\r\n",
                     b"nonsense\r\nHost: localhost\r\n"):
            with server.connect("tcp") as s:
                s.sendall(said + b"set evil 0 0 1\r\nx\r\n")
                assert b"STORED" not in all_of(s), said
        assert ask(server, "get evil\r\n") == "END\r\n"
        assert server.stderr().count("framing is lost") == 7, server.stderr()


def the_log_is_not_filled_by_strangers(programs):
    with Server(programs.farpaged) as server:
        for _ in range(200):
            with server.connect("tcp") as s:
                s.sendall(b"GET / HTTP/1.1\r\n")
                assert all_of(s) == b""
        assert server.stderr().count("framing is lost") <= 10


if __name__ == "__main__":
    tell([several_listeners_serve_side_by_side, a_server_takes_its_port_again_at_once,
          there_is_no_udp_at_all, strangers_never_keep_the_operator_out,
          reserved_places_are_where_the_configuration_says, who_never_asks_is_closed,
          others_get_their_turn_and_that_is_counted,
          a_client_of_the_binary_protocol_is_told_once_in_the_log,
          a_browser_is_hung_up_on_whatever_it_says_first, the_log_is_not_filled_by_strangers])
