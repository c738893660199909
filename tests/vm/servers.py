# SPDX-License-Identifier: BSD-3-Clause
"""servers - who exports the disk: farpaged, or nbdkit's memory plugin to be held against.

Each is ended by its own process id, on every way out."""
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process on a port of loopback that it keeps over a restart. Use as a context manager."""

    def __init__(self):
        self.port, self.process = free_port(), None
        self.directory = tempfile.TemporaryDirectory(prefix="farpage-vm-")
        self.log = pathlib.Path(self.directory.name) / "log"

    def command(self):
        raise NotImplementedError

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("no server: " + self.log.read_text()) from None
                time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        """The nearest that loopback has to a machine that is gone without a word."""
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, traceback):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self.directory.cleanup()

    def resident_mib(self):
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") >> 20

    def recreate(self):
        """After a restart: the export is made again, empty, as its operator must say."""

    def disturb(self, step):
        """What an operator may do meanwhile; returns a line on it, None where there is nothing."""
        return None


class Nbdkit(Server):
    """The peer, and what these tests were first run against."""
    EXPORT = "disk"

    def __init__(self, programs, size_mib):
        super().__init__()
        self.size_mib = size_mib

    def command(self):
        return ["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(self.port), "memory",
                f"{self.size_mib}M", "allocator=zstd"]


class Farpaged(Server):
    """The server under test, with a door for lines and one for blocks."""
    EXPORT = "disk"
    # What an operator does while a machine swaps; each turn takes the next.
    STEPS = (("compressor", "set", "zstd:3"), ("compact",), ("recompress", "start"),
             ("compressor", "set", "lz4"), ("compact",), ("compressor", "set", "lz4hc:9"))

    def __init__(self, programs, size_mib):
        super().__init__()
        self.programs, self.size_mib, self.text_port = programs, size_mib, free_port()

    def command(self):
        return [self.programs.farpaged, "--set", "server.threads=2",
                "--set", f'listeners=[{{address: "127.0.0.1:{self.text_port}"}}, '
                         f'{{address: "127.0.0.1:{self.port}", protocol: nbd}}]',
                "--set", f"exports=[{{name: {self.EXPORT}, size: {self.size_mib}MiB}}]",
                "--set", f"storage.state_dir={self.directory.name}",
                "--set", f"storage.memory_limit={self.size_mib + 64}MiB"]

    def recreate(self):
        self._tell("export", "recreate", self.EXPORT)

    def disturb(self, step):
        return self._tell(*self.STEPS[step % len(self.STEPS)])

    def _tell(self, *words):
        """What `farpage WORDS` answers, in a line."""
        done = subprocess.run(
            [self.programs.farpage, "--server", f"127.0.0.1:{self.text_port}", *words],
            capture_output=True, text=True, timeout=120, check=False)
        said = (done.stdout + done.stderr).strip().splitlines()
        if done.returncode:
            raise RuntimeError(f"farpage {' '.join(words)}: {said}")
        return f"{' '.join(words)}: {said[-1] if said else 'done'}"


KINDS = {"farpaged": Farpaged, "nbdkit": Nbdkit}
