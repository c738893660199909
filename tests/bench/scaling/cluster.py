# SPDX-License-Identifier: BSD-3-Clause
"""cluster - three farpaged on loopback, each of which can be killed, frozen, and started again.

A server keeps its port over a restart, as one in a rack keeps its address. All that was started is
ended by its own process id, on every way out."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVERS = 3
START_SECONDS = 20
MEMORY_LIMIT = "64MiB"
CONFIGURED_AREA = "configured"
KEYS_A_GET = 100
VALUE = re.compile(rb"^VALUE (\S+) ", re.M)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_it_listens(port, process, log):
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                said = pathlib.Path(log).read_text(errors="replace")
                raise SystemExit(f"{process.args[0]} does not listen on port {port}\n{said}")
            time.sleep(0.002)


class Server:
    """One farpaged. `started` is when it was last executed, on time.monotonic()'s clock."""

    def __init__(self, program, directory, number):
        self.program, self.port = program, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = os.path.join(directory, f"farpaged-{number}.log")
        self.process, self.started = None, 0.0

    def start(self):
        """Returns when it was executed, once it listens."""
        command = [self.program, "--set", f'listeners=[{{address: "{self.address}"}}]',
                   "--set", "server.threads=1", "--set", f"storage.memory_limit={MEMORY_LIMIT}",
                   "--set", f'areas=[{{name: "{CONFIGURED_AREA}", size: 1MiB}}]']
        self.started = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        wait_until_it_listens(self.port, self.process, self.log)
        return self.started

    def kill(self):
        """SIGKILL; returns when it was sent, as do the next two."""
        when = time.monotonic()
        self.process.kill()
        self.process.wait()
        return when

    def freeze(self):
        """SIGSTOP: the nearest that loopback has to a machine that is gone without a word."""
        when = time.monotonic()
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)  # until all threads stand
        return when

    def thaw(self):
        when = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        return when

    def text(self, request, last=b"END\r\n"):
        """What it answers to a request in the text dialect."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(request)
            answer = b""
            while not answer.endswith(last):
                got = s.recv(1 << 16)
                if not got:
                    raise OSError(f"{self.address} closed the connection after {answer[-80:]!r}")
                answer += got
            return answer

    def statistic(self, name):
        found = re.search(rb"^STAT %s (\S+)" % name.encode(), self.text(b"stats\r\n"), re.M)
        return found and found[1].decode()

    def holds(self, keys):
        """Those of `keys` that are here: an engine's choice, read off and not computed."""
        held = set()
        for first in range(0, len(keys), KEYS_A_GET):
            line = " ".join(keys[first:first + KEYS_A_GET])
            answer = self.text(b"get " + line.encode() + b"\r\n")
            held.update(found.decode() for found in VALUE.findall(answer))
        return held


class Cluster:
    """Use as a context manager."""

    def __init__(self, program):
        self.directory = tempfile.mkdtemp(prefix="farpage-scaling-")
        self.servers = [Server(program, self.directory, n) for n in range(SERVERS)]
        self.others = []  # processes beside the servers, a proxy

    def __enter__(self):
        try:
            for server in self.servers:
                server.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, traceback):
        for process in [s.process for s in self.servers if s.process] + self.others:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, command, port):
        """Starts a program of somebody else that listens on `port`."""
        log = os.path.join(self.directory, f"{os.path.basename(command[0])}.log")
        with open(log, "ab") as f:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.others.append(process)
        wait_until_it_listens(port, process, log)

    @property
    def addresses(self):
        return [s.address for s in self.servers]
