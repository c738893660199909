# SPDX-License-Identifier: BSD-3-Clause
"""running - a server started for a test, on a unix socket and a TCP port, and stopped with care."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_SECONDS = 20
STOP_SECONDS = 20
TROUBLE = re.compile(rb"Sanitizer|runtime error:|assertion failed|^lock: ", re.M)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """farpaged, or Debian's memcached to hold our scenes against. Use as a context manager."""

    def __init__(self, program, sets=(), memcached=False, memcached_args=(), tcp="", more="",
                 listeners=(), local="", arguments=()):
        """`tcp`, `local`: more keys of the listeners ("tls: on"); `more`: sections of the file;
        `listeners`: more of them; `arguments`: of the command."""
        self.directory = tempfile.mkdtemp(prefix="scene-")
        self.over = False
        self.how = "tcp"  # how it is asked whether it listens
        self.said_so = False  # that it starts
        self.unix = None if memcached else os.path.join(self.directory, "socket")
        self.port = free_port()
        self.stderr_path = os.path.join(self.directory, "stderr")
        if memcached:
            command = [program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0",
                       "-u", "nobody", *memcached_args]
        else:
            config = os.path.join(self.directory, "scene.yaml")
            with open(config, "w") as f:
                f.write(f'listeners:\n  - {{address: "unix:{self.unix}"{", " + local if local else ""}}}\n'
                        f'  - {{address: "127.0.0.1:{self.port}"{", " + tcp if tcp else ""}}}\n'
                        + "".join(f"  - {one}\n" for one in listeners) +
                        "server:\n  threads: 2\n" + more)
            self.config, self.how = config, None if tcp else self.how
            command = [program, "--config", config, *arguments]
            for pair in sets:
                command += ["--set", pair]
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if kind is None and not self.over:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if kind is not None:
                sys.stderr.write(self.stderr())
            shutil.rmtree(self.directory, ignore_errors=True)

    def _wait_until_it_listens(self):
        until = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the server did not start: exit {self.process.returncode}\n"
                                     + self.stderr())
            try:
                with self.connect(self.how) as s:  # leaves nothing behind that a scene could count
                    s.sendall(b"quit\r\n")
                    if not s.recv(100).startswith(b"SERVER_ERROR the server is starting"):
                        return
                self.said_so = True
            except OSError:
                pass
            if time.monotonic() > until:
                raise AssertionError("the server does not listen\n" + self.stderr())
            time.sleep(0.005)

    def connect(self, how=None, timeout=10):
        if how == "tcp" or self.unix is None:
            s = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(self.unix)
        return s

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stderr(self):
        with open(self.stderr_path, "rb") as f:
            return f.read().decode("utf-8", "backslashreplace")

    def is_over(self, code=0, seconds=STOP_SECONDS):
        """For scenes that end the server themselves: how it must have ended (-9: SIGKILL)."""
        self.over = True
        ended = self.process.wait(timeout=seconds)
        assert ended == code, f"the server ended with {ended}, not {code}\n{self.stderr()}"
        assert not TROUBLE.search(self.stderr().encode()), self.stderr()

    def stop(self):
        """A graceful stop: exit code 0, and nothing on stderr that a sanitizer or check wrote."""
        alive = self.process.poll() is None
        if alive:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=STOP_SECONDS)
        said = self.stderr()
        if not alive:
            raise AssertionError(f"the server died: exit {code}\n{said}")
        if code != 0:
            raise AssertionError(f"after SIGTERM the server ended with {code}\n{said}")
        if TROUBLE.search(said.encode()):
            raise AssertionError(f"the server complained\n{said}")
