#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What systemd is told, what it hands over, and its units. What cannot be run here is skipped (77)."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from operating import until
from running import Server, free_port
from story import ask, tell

SKIPPED = 77
CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf")


def needs(condition, reason):
    if not condition:
        print("skipped:", reason)
        sys.exit(SKIPPED)


class Systemd:
    """The end of NOTIFY_SOCKET that listens; a context manager."""

    def __init__(self, watchdog_ms=0, abstract=False):
        self.directory = tempfile.mkdtemp(prefix="notify-")
        path = os.path.join(self.directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path if abstract else path)
        os.environ["NOTIFY_SOCKET"] = "@" + path if abstract else path
        if watchdog_ms:
            os.environ["WATCHDOG_USEC"] = str(watchdog_ms * 1000)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.environ.pop("NOTIFY_SOCKET", None)
        os.environ.pop("WATCHDOG_USEC", None)
        self.socket.close()
        shutil.rmtree(self.directory)

    def hear(self, word, seconds=20):
        """All messages up to the first that has the assignment; that one as a dictionary."""
        self.before, end = [], time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            said = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))
            if word in said:
                return said
            self.before.append(said)

    def forget(self):
        """What was said so far."""
        self.socket.settimeout(0.001)
        try:
            while self.socket.recv(4096):
                pass
        except TimeoutError:
            pass


def systemd_is_told_of_ready_reloads_and_the_stop(programs):
    with Systemd() as systemd, Server(programs.farpaged) as server:
        ready = systemd.hear("READY")
        assert not any("STOPPING" in said for said in systemd.before)
        assert re.search(r"0 items, 0 pages, \d+ % of 1(\.00)? GiB", ready["STATUS"]), ready
        for more in ("log: {level: debug}\n", "lgo: {}\n"):  # a good file, and then a bad one
            with open(server.config, "a") as f:
                f.write(more)
            before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            server.process.send_signal(signal.SIGHUP)
            reloading = systemd.hear("RELOADING")
            assert before_us <= int(reloading["MONOTONIC_USEC"]) < before_us + 20_000_000
            assert "READY" not in reloading
            systemd.hear("READY")
        assert "reload refused" in server.stderr()
        with server.connect("tcp") as s:
            s.sendall(b"set a 0 0 1\r\nb\r\n")
            assert s.recv(100) == b"STORED\r\n"
        server.stop()
        server.over = True
        stopping = systemd.hear("STOPPING")
        assert not any("READY" in said for said in systemd.before), systemd.before
        assert "replies" in stopping["STATUS"], stopping


def systemd_is_told_nothing_is_ready_that_does_not_accept(programs):
    with Systemd(abstract=True) as systemd:
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            done = subprocess.run([programs.farpaged, "--set",
                                   f'listeners=[{{address: "127.0.0.1:{port}"}}]'],
                                  capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 69, done
        failed = systemd.hear("STATUS")
        assert failed["STATUS"].startswith("cannot start: listener: 127.0.0.1:"), failed
        assert "READY" not in failed
    os.environ["NOTIFY_SOCKET"] = "nowhere"
    with Server(programs.farpaged) as server:
        assert "nobody is told how the server stands" in server.stderr()
    os.environ.pop("NOTIFY_SOCKET")


def signs_of_life_stop_while_a_worker_hangs(programs):
    with Systemd(watchdog_ms=900) as systemd, Server(programs.farpaged) as server:
        until(lambda: " ready " in server.stderr())
        needs(ask(server, "debug hang x\r\n") != "ERROR\r\n", "this build has no debug commands")
        for _ in range(3):
            systemd.hear("WATCHDOG", seconds=5)
        with server.connect("tcp") as s:
            s.sendall(b"debug hang 1500\r\n")
            until(lambda: "a worker hangs: no sign of life" in server.stderr())
            systemd.forget()
            quiet = systemd.hear("STATUS")
            assert "WATCHDOG" not in quiet and quiet["STATUS"].startswith("a worker hangs"), quiet
            with server.connect("tcp") as other:  # the other worker serves on, and that is not enough
                other.sendall(b"version\r\nquit\r\n")
                assert other.recv(7) == b"VERSION"
            assert s.recv(100) == b"OK\r\n"
            systemd.hear("WATCHDOG", seconds=5)
            until(lambda: "all workers turn again" in server.stderr())


# --- sockets -------------------------------------------------------------------------------------

def needs_libsystemd(programs):
    version = subprocess.run([programs.farpaged, "--version"], capture_output=True, text=True,
                             timeout=20, check=True).stdout
    needs("libsystemd" in version, "this build has no libsystemd, and takes no sockets over")


def hand_over(programs, sockets, names, listeners):
    """farpaged as systemd starts it: the sockets from descriptor 3 on."""
    high = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]

    def place():
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)

    stderr = tempfile.TemporaryFile("w+")
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", programs.farpaged, "--set",
         "server.threads=1", "--set", f"listeners=[{listeners}]"],
        env=dict(os.environ, LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names)),
        close_fds=False, preexec_fn=place, stderr=stderr)
    for fd in high:
        os.close(fd)

    def said():
        stderr.seek(0)
        return stderr.read()
    process.said = said
    return process


def version_at(address, family):
    with socket.socket(family) as s:
        s.connect(address)
        s.sendall(b"version\r\n")
        return s.recv(100)[:7]


def sockets_that_are_handed_over_are_served(programs):
    """By the name, and where it has none by the address; clients that wait since before are served."""
    needs_libsystemd(programs)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        named, known = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        local = socket.socket(socket.AF_UNIX)
        local.bind(path)
        local.listen()
        early = socket.create_connection(named.getsockname(), timeout=20)
        early.sendall(b"version\r\n")
        at = "127.0.0.1:%d" % known.getsockname()[1]
        process = hand_over(programs, [known, local, named], ["x", "y", "door"],
                            f'{{address: "systemd:door"}}, {{address: "{at}"}}, '
                            f'{{address: "unix:{path}"}}')
        try:
            assert early.recv(7) == b"VERSION"
            assert version_at(known.getsockname(), socket.AF_INET) == b"VERSION"
            assert version_at(path, socket.AF_UNIX) == b"VERSION"
            until(lambda: " ready " in process.said())
            assert "127.0.0.1:%d" % named.getsockname()[1] in process.said(), process.said()
        finally:
            early.close()
            process.terminate()
            assert process.wait(timeout=20) == 0, process.said()
        assert os.path.exists(path)  # it is systemd's
        for s in (named, known, local):
            s.close()


def what_is_handed_over_and_of_no_use_is_said(programs):
    needs_libsystemd(programs)
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
    wide = socket.create_server(("0.0.0.0", 0))
    own = f'{{address: "127.0.0.1:{free_port()}"}}'
    for sockets, listeners, code, words in (
            ([tcp], '{address: "systemd:other"}', 69, "no such socket was handed over"),
            ([udp], own, 1, "descriptor 3 is no listening stream socket"),
            ([wide], '{address: "systemd:name"}', 78, "anybody who reaches 0.0.0.0:")):
        process = hand_over(programs, sockets, ["name"], listeners)
        assert process.wait(timeout=20) == code, process.said()
        assert words in process.said(), process.said()
    process = hand_over(programs, [tcp], ["name"], own)
    until(lambda: " ready " in process.said())
    process.terminate()
    assert process.wait(timeout=20) == 0, process.said()
    assert "a socket that systemd handed over is no listener's name=name" in process.said()
    for s in (tcp, udp, wide):
        s.close()


# --- units ---------------------------------------------------------------------------------------

def the_unit_is_good_and_hardened(programs):
    """What systemd itself says of it, and the exit codes that it knows are the server's."""
    needs(shutil.which("systemd-analyze"), "systemd is not installed")
    unit = os.path.join(CONF, "farpaged.service")
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], timeout=60,
                          capture_output=True, text=True, check=False).stdout
    score = float(re.search(r"exposure level for farpaged.service: ([\d.]+)", said)[1])
    print("systemd-analyze security:", score)
    assert score <= 1.5, said
    with open(unit) as f:
        text = f.read()
    usage = subprocess.run([programs.farpaged, "--help"], capture_output=True, text=True,
                           timeout=20, check=True).stdout
    codes = dict(re.findall(r"^  ( ?\d+)  (.*)$", usage.split("Exit codes:")[1], re.M))
    final = [code.strip() for code, what in codes.items()
             if "command line" in what or "configuration" in what or "begin with" in what]
    assert re.search(r"^RestartPreventExitStatus=(.*)$", text, re.M)[1].split() == final, codes
    with tempfile.TemporaryDirectory() as directory:
        for name in ("farpaged.service", "farpaged.socket"):
            with open(os.path.join(CONF, name)) as f, open(os.path.join(directory, name), "w") as g:
                g.write(f.read().replace("/usr/sbin/farpaged", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                               *(os.path.join(directory, name) for name in os.listdir(directory))],
                              capture_output=True, text=True, timeout=60, check=False)
        ours = [line for line in done.stderr.splitlines() if "farpaged" in line]
        assert not ours, done.stderr


if __name__ == "__main__":
    tell([systemd_is_told_of_ready_reloads_and_the_stop,
          systemd_is_told_nothing_is_ready_that_does_not_accept,
          signs_of_life_stop_while_a_worker_hangs, sockets_that_are_handed_over_are_served,
          what_is_handed_over_and_of_no_use_is_said, the_unit_is_good_and_hardened])
