#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job: pages go out compressed and come back byte for byte."""
import os
import sys
import tempfile

from running import Server
from story import ask, sample, sanitized, stats, tell


def page_file(directory, size):
    path = os.path.join(directory, "pages")
    pages = sample()
    with open(path, "wb") as f:
        while f.tell() < size:
            f.write(pages[:size - f.tell()])
    return path


def _out_and_back(programs, sets, mib):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged, sets) as server:
        path = page_file(directory, mib << 20)
        for address in ("unix:" + server.unix, f"127.0.0.1:{server.port}"):
            area = "tcp" if address.startswith("127") else "unix"
            stored = programs.json(address, "store", area, path)
            verified = programs.json(address, "verify", area, path)
            assert stored["pages"] == verified["pages"] == mib << 8, (stored, verified)
            back = os.path.join(directory, "back")
            programs.run(address, "load", area, back)
            with open(path, "rb") as a, open(back, "rb") as b:
                assert a.read() == b.read(), f"{sets}: other bytes came back over {area}"


def every_way_out_and_back(programs):
    """64 MiB with each compressor, with one and four threads, over TCP and a unix socket."""
    mib = 8 if sanitized(programs.farpaged) else 64
    for algorithm in ("lz4", "zstd", "none"):
        for threads in (1, 4):
            _out_and_back(programs, [f"compressor.algorithm={algorithm}",
                                     f"server.threads={threads}"], mib)


def every_page_size(programs):
    for size in ("4KiB", "16KiB", "64KiB"):
        with tempfile.TemporaryDirectory() as directory, \
                Server(programs.farpaged, [f"storage.page_size={size}"]) as server:
            path = page_file(directory, 4 << 20)
            programs.run(server, "store", "a", path)
            programs.run(server, "verify", "a", path)


def several_connections_at_once(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 8 << 20)
        programs.run(server, "store", "a", path, "--connections", 4)
        programs.run(server, "verify", "a", path, "--connections", 4, "--depth", 8)


def a_changed_file_is_told_apart(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 1 << 20)
        programs.run(server, "store", "a", path)
        with open(path, "r+b") as f:
            f.seek(5 * 4096 + 7)
            f.write(b"other")
        said = programs.run(server, "verify", "a", path, code=1)
        assert "5" in said, said


def a_size_that_is_no_multiple_wants_padding(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 10000)
        said = programs.run(server, "store", "a", path, code=1)
        assert "--pad" in said, said
        programs.run(server, "store", "a", path, "--pad")
        programs.run(server, "verify", "a", path, "--pad")


def what_is_invalidated_is_absent(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 2 << 20)
        programs.run(server, "store", "a", path)
        programs.run(server, "invalidate", "a", 10, 20)
        assert stats(server, "areas")["a:stored"] == str(512 - 20)
        programs.run(server, "load", "a", os.path.join(directory, "back"), code=1)
        programs.run(server, "invalidate", "a")
        assert stats(server, "areas")["a:stored"] == "0"
        assert stats(server, "zpool")["held_pages"] == "0", "the pages are back at the OS"


def a_damaged_page_is_reported_never_returned(programs):
    """Packed, plain and same-filled ones; needs the debug hooks."""
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        if "ERROR" in ask(server, "debug\r\n"):
            print("this build has no debug hooks: nothing to see here")
            return
        path = os.path.join(directory, "pages")
        kinds = [b"\0" * 4096, os.urandom(4096), b"hello far memory" * 250 + os.urandom(96)]
        with open(path, "wb") as f:
            f.write(b"".join(kinds))
        programs.run(server, "store", "a", path)
        programs.run(server, "verify", "a", path)
        for slot in range(len(kinds)):
            assert ask(server, f"debug corrupt a {slot}\r\n") == "OK\r\n"
            back = os.path.join(directory, "back")
            said = programs.run(server, "load", "a", back, code=1)
            assert "corrupt" in said, said
            assert not os.path.exists(back) or os.path.getsize(back) <= slot * 4096
            programs.run(server, "store", "a", path)
        assert int(stats(server)["farpage_corrupt"]) >= len(kinds)


def a_running_program_is_paged_out(programs):
    program = "my %h; $h{$_} = rand() . ('x' x ($_ % 60)) for 1..60000; sleep 60"
    with Server(programs.farpaged) as server:
        said = programs.run(server, "try", "--after", "2s", "--", "perl", "-e", program)
        assert "came back byte for byte" in said, said
        assert stats(server)["farpage_pages_stored"] == "0", "nothing is left behind"


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([every_way_out_and_back, every_page_size, several_connections_at_once,
          a_changed_file_is_told_apart, a_size_that_is_no_multiple_wants_padding,
          what_is_invalidated_is_absent, a_damaged_page_is_reported_never_returned,
          a_running_program_is_paged_out])
