#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Authentication: who comes in, who does not, and what a stranger costs."""
import contextlib
import hashlib
import os
import random
import re
import secrets
import signal
import socket
import tempfile
import time

from hostile import OK, hello, open_area, reply
from operating import start, until
from running import Server
from story import sanitized, stats, tell

NO_LOGIN = 31


class Guarded:
    """A server that wants users on TCP; its unix socket does not."""

    def __init__(self, programs, text="alice:secret\nbob:a long one", sets=()):
        self.directory = tempfile.mkdtemp(prefix="auth-")
        self.file = os.path.join(self.directory, "users")
        self.write(text)
        self.programs, self.sets = programs, sets

    def write(self, text, mode=0o600):
        with open(self.file, "w") as f:
            f.write(text)
        os.chmod(self.file, mode)

    def __enter__(self):
        self.server = Server(self.programs.farpaged, sets=self.sets, tcp="auth: on",
                             local="auth: off", more=f'auth: {{file: "{self.file}"}}\n')
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.server.__exit__(*error)
        finally:
            os.unlink(self.file)
            os.rmdir(self.directory)

    def connect(self):
        return self.server.connect("tcp")

    def count(self, name):
        return int(stats(OnlyUnix(self.server))[name])


class OnlyUnix:
    def __init__(self, server):
        self.server = server

    def connect(self, how=None):
        return self.server.connect(None)


def login(user, password, end=b"\r\n"):
    body = f"{user} {password}".encode()
    return b"set auth 0 0 %d" % len(body) + end + body + end


def all_of(s):
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while got := s.recv(65536):
            said += got
    return said


def says(s, question, answer):
    s.sendall(question)
    got = b""
    while len(got) < len(answer):
        more = s.recv(65536)
        assert more, (got, "ends early")
        got += more
    assert got == answer, got


def who_knows_the_password_comes_in(programs):
    with Guarded(programs) as guarded:
        for end in (b"\r\n", b"\n"):
            with guarded.connect() as s:
                says(s, login("alice", "secret", end) + b"get x\r\n", b"STORED\r\nEND\r\n")
        with guarded.connect() as s:  # pipelined, with a frame behind it
            s.sendall(login("bob", "a long one") + hello() + open_area(b"mine", slots=16))
            assert s.recv(8) == b"STORED\r\n"
            assert reply(s)["status"] == OK and reply(s)["status"] == OK
        with guarded.connect() as s:  # byte by byte
            for byte in login("alice", "secret"):
                s.sendall(bytes([byte]))
            says(s, b"set auth 0 0 12\r\nalice secret\r\nget auth\r\n",
                 b"STORED\r\nSTORED\r\nVALUE auth 0 12\r\nalice secret\r\nEND\r\n")
        assert guarded.count("auth_cmds") == 4 and guarded.count("auth_errors") == 0
        with guarded.server.connect() as s:
            says(s, b"get auth\r\n", b"VALUE auth 0 12\r\nalice secret\r\nEND\r\n")


def who_does_not_know_it_does_nothing(programs):
    with Guarded(programs) as guarded:
        for said, answer in (
                (b"get x\r\nstats\r\nflush_all\r\n", b"CLIENT_ERROR unauthenticated\r\n" * 3),
                (login("alice", "secre"), b"CLIENT_ERROR authentication failure\r\n"),
                (login("alice", "secret2"), b"CLIENT_ERROR authentication failure\r\n"),
                (login("eve", "secret"), b"CLIENT_ERROR authentication failure\r\n"),
                (b"set x 0 0 3\r\nabc\r\n", b"CLIENT_ERROR bad authentication token format\r\n"),
                (b"GET / HTTP/1.1\r\nHost: x\r\n" + login("alice", "secret"), b""),
                (b"set auth 0 0 11\r\nalice secret\r\nx\r\n",
                 b"CLIENT_ERROR bad command line termination\r\n")):
            with guarded.connect() as s:
                s.sendall(said)
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_WR)
                assert all_of(s) == answer, (said, answer)
        with guarded.connect() as s:
            s.sendall(hello())
            assert reply(s)["status"] == NO_LOGIN and all_of(s) == b""
        with guarded.connect() as s:
            s.sendall(b"\x80\x0b" + bytes(22))
            assert all_of(s) == b""
        assert guarded.count("curr_items") == 0 and guarded.count("cmd_flush") == 0


def tries_time_and_length_are_few(programs):
    with Guarded(programs) as guarded:
        with guarded.connect() as s:  # the fourth would have been right
            s.sendall(login("alice", "x") * 3 + login("alice", "secret"))
            assert all_of(s) == b"CLIENT_ERROR authentication failure\r\n" * 3
        for said in (b"x" * 257, b"set auth 0 0 513\r\n", b"set " * 100,
                     b"set auth 0 0 2147483647\r\n"):
            with guarded.connect() as s:
                s.sendall(said)
                at = time.monotonic()
                assert all_of(s).startswith(b"CLIENT_ERROR ") and time.monotonic() - at < 5
        with guarded.connect() as s:
            s.sendall(b"\xfa" + bytes(39))
            assert all_of(s)[0] == 0xfb
        log = guarded.server.stderr()
        for why in ("it had its tries", "what it said was no login",
                    "a frame came before the login"):
            assert "not authenticated" in log and why in log, (why, log)


def a_slow_stranger_is_closed(programs):
    with Guarded(programs, sets=["server.login_timeout=1s"]) as guarded, \
            guarded.connect() as s, guarded.connect() as silent:
        begun = time.monotonic()
        s.settimeout(0.02)
        with contextlib.suppress(ConnectionError):
            for byte in login("alice", "secret" * 20):
                s.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    assert s.recv(100) == b""
                    break
        assert 0.9 < time.monotonic() - begun < 4, time.monotonic() - begun
        silent.settimeout(5)
        assert silent.recv(100) == b""
        assert guarded.count("farpage_slow_kicks") == 2


def strangers_cost_no_memory(programs):
    with Guarded(programs) as guarded:
        noise, before = random.Random(5), None
        for i in range(600):
            with guarded.connect() as s:
                said = noise.choice((noise.randbytes(noise.randrange(1, 4000)), b"\r\n" * 3000,
                                     b"set auth 0 0 500\r\n" + b"x" * 400, b"get " + b"k " * 900))
                with contextlib.suppress(OSError):
                    s.sendall(said)
                    s.shutdown(socket.SHUT_WR)
                    all_of(s)
            if i == 200:
                before = guarded.server.rss_bytes()
        if not sanitized(programs.farpaged):  # which keeps for itself what was freed
            assert guarded.server.rss_bytes() - before < 2 << 20
        assert guarded.count("curr_items") == 0
        says(guarded.server.connect(), b"get x\r\n", b"END\r\n")


def a_token_is_kept_as_its_hash(programs):
    token = secrets.token_hex(32)
    kept = hashlib.sha256(token.encode()).hexdigest()
    with Guarded(programs, f"bot:sha256:{kept}\n") as guarded:
        with guarded.connect() as s:
            says(s, login("bot", token) + b"get x\r\n", b"STORED\r\nEND\r\n")
        for wrong in (kept, "sha256:" + kept, token[:-1]):
            with guarded.connect() as s:
                says(s, login("bot", wrong), b"CLIENT_ERROR authentication failure\r\n")


def users_change_with_a_reload(programs):
    with Guarded(programs) as guarded, guarded.connect() as old:
        says(old, login("alice", "secret"), b"STORED\r\n")

        def reload(line):
            before = guarded.server.stderr().count(line)
            guarded.server.process.send_signal(signal.SIGHUP)
            until(lambda: guarded.server.stderr().count(line) > before)

        for text, mode in (("alice\n", 0o600), ("", 0o600), ("alice:new\n", 0o604)):
            guarded.write(text, mode)
            reload("reload refused")
            with guarded.connect() as s:
                says(s, login("alice", "secret"), b"STORED\r\n")
        assert "chmod o-rwx" in guarded.server.stderr() and "users:1: not" in guarded.server.stderr()
        guarded.write("alice:new\n")
        reload("configuration reloaded")
        with guarded.connect() as s:
            says(s, login("alice", "secret") + login("alice", "new"),
                 b"CLIENT_ERROR authentication failure\r\nSTORED\r\n")
        says(old, b"get x\r\n", b"END\r\n")  # who is in stays in


def wrong_files_of_users_are_named(programs):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "users")
        for text, mode, why in (("a:b\nnonsense\n", 0o600, f"{path}:2: not user:password"),
                                ("a:b\n", 0o644, "chmod o-rwx"), (None, 0, "No such file")):
            if text is None:
                os.unlink(path)
            else:
                with open(path, "w") as f:
                    f.write(text)
                os.chmod(path, mode)
            for words in ([], ["--check"]):
                done = start(programs, *words, "--set", f"auth.file={path}", "--set",
                             'listeners=[{address: "127.0.0.1:0"}]')
                assert done.returncode == 78 and why in done.stderr and path in done.stderr, done


def no_door_is_open_to_everybody_by_accident(programs):
    """Protected mode: each way to listen to others, and what it takes."""
    with tempfile.TemporaryDirectory() as directory:
        users = os.path.join(directory, "users")
        with open(users, "w") as f:
            f.write("a:b\n")
        os.chmod(users, 0o600)
        for address in ("0.0.0.0:0", "*:0", "[::]:0"):
            for keys, sets, good in (
                    ("", [], False), ("insecure: true", [], True), ("insecure: on", [], True),
                    ("", [f"auth.file={users}"], True), ("auth: off", [f"auth.file={users}"], False),
                    ("auth: off, insecure: true", [f"auth.file={users}"], True)):
                words = [f'listeners=[{{address: "{address}", {keys}}}]', *sets]
                done = start(programs, "--check", *[x for word in words for x in ("--set", word)])
                assert (done.returncode == 0) == good, (address, keys, sets, done)
                if not good:
                    assert done.returncode == 78, done
                    for cure in ("auth.file", "tls.verify_clients: required", "insecure: on",
                                 "listeners[0].address"):
                        assert cure in done.stderr, done.stderr
        example = re.search(r"--set '(listeners=[^']*)'", start(programs, "--help").stdout)[1]
        assert start(programs, "--check", "--set", example).returncode == 0, example
        for address in ("127.0.0.1:0", "127.9.9.9:0", "[::1]:0", "localhost:0",
                        f"unix:{directory}/s"):
            done = start(programs, "--check", "--set", f'listeners=[{{address: "{address}"}}]')
            assert done.returncode == 0, done


if __name__ == "__main__":
    tell([who_knows_the_password_comes_in, who_does_not_know_it_does_nothing,
          tries_time_and_length_are_few, a_slow_stranger_is_closed, strangers_cost_no_memory,
          a_token_is_kept_as_its_hash, users_change_with_a_reload, wrong_files_of_users_are_named,
          no_door_is_open_to_everybody_by_accident])
