# SPDX-License-Identifier: BSD-3-Clause
"""story - what the scenes written in Python share: run one function of a file by its name."""
import json
import os
import socket
import subprocess
import sys


class Programs:
    """The two binaries under test, and how to run the client one."""

    def __init__(self, farpaged, farpage):
        self.farpaged, self.farpage = farpaged, farpage

    def run(self, server, *arguments, code=0, timeout=240):
        """`farpage ARGUMENTS` against a server (or an address); returns what it said."""
        address = server if isinstance(server, str) else "unix:" + server.unix
        done = subprocess.run([self.farpage, "--server", address, *map(str, arguments)],
                              capture_output=True, text=True, timeout=timeout, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"farpage {arguments}: exit {done.returncode}\n{said}"
        return said

    def json(self, server, *arguments):
        return json.loads(self.run(server, *arguments, "--json"))


def ask(server, text, how="tcp"):
    """Sends commands and `quit`; returns all that comes back."""
    with server.connect(how) as s:
        s.sendall(text.encode() + b"quit\r\n")
        said = b""
        while got := s.recv(65536):
            said += got
        return said.decode()


def stats(server, section=""):
    lines = ask(server, f"stats {section}\r\n").splitlines()
    return dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT "))


def sample():
    """The pages that the repository carries."""
    path = os.path.join(os.path.dirname(__file__), "../data/pages.sample")
    with open(path, "rb") as f:
        return f.read()


def sanitized(program):
    """Built with a sanitizer: slower, and its memory is not the server's own."""
    with open(program, "rb") as f:
        return b"__tsan_init" in (text := f.read()) or b"__asan_init" in text


def limit_mib(farpaged, mib):
    """A small memory limit, with room for what a sanitizer adds to the program itself."""
    return mib + 16 if sanitized(farpaged) else mib


def memory_limit(programs, mib):
    return f"storage.memory_limit={limit_mib(programs.farpaged, mib)}MiB"


def tell(scenes):
    """main: FARPAGED FARPAGE NAME runs scenes[NAME]; without NAME lists them."""
    table = {scene.__name__: scene for scene in scenes}
    if len(sys.argv) != 4 or sys.argv[3] not in table:
        sys.exit(f"usage: {sys.argv[0]} FARPAGED FARPAGE {'|'.join(table)}")
    socket.setdefaulttimeout(60)
    table[sys.argv[3]](Programs(sys.argv[1], sys.argv[2]))
