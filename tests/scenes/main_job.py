#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The main job: pages go out compressed and come back byte for byte."""
import fcntl
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time

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
            assert not os.path.exists(back), "half a file is worse than none"
            programs.run(server, "store", "a", path)
        assert int(stats(server)["farpage_corrupt"]) >= len(kinds)


def _content(path):
    with open(path, "rb") as f:
        return f.read()


def a_load_that_fails_keeps_the_old_file(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 8 << 20)
        back, link = os.path.join(directory, "back"), os.path.join(directory, "link")
        os.symlink("back", link)
        with open(back, "wb") as f:
            f.write(b"precious")
        os.chmod(back, 0o640)
        programs.run(server, "load", "nosuch", back, code=1)
        programs.run(server, "store", "a", path)
        programs.run(server, "invalidate", "a", 2000, 1)
        programs.run(server, "load", "a", back, code=1)
        assert _content(back) == b"precious"
        programs.run(server, "load", "a", os.path.join(directory, "new"), code=1)
        programs.run(server, "load", "a", os.path.join(directory, "no/such"), code=1)
        assert sorted(os.listdir(directory)) == ["back", "link", "pages"], os.listdir(directory)
        programs.run(server, "store", "a", path)
        programs.run(server, "load", "a", link)
        assert _content(back) == _content(path) and os.path.islink(link)
        assert stat.S_IMODE(os.stat(back).st_mode) == 0o640
        programs.run(server, "load", "a", "/dev/null")
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
        assert sorted(os.listdir(directory)) == ["back", "link", "pages"], os.listdir(directory)


def _start_long_load(programs, server, directory, **how):
    """Loads an area of nearly nothing but many slots; returns once the file is being written."""
    path = page_file(directory, 1 << 20)
    programs.run(server, "store", "huge", path, "--size", "64GiB")
    back = os.path.join(directory, "back")
    with open(back, "wb") as f:
        f.write(b"precious")
    load = subprocess.Popen([programs.farpage, "--server", "unix:" + server.unix, "load",
                             "--sparse", "huge", back], **how)
    end = time.monotonic() + 30
    while len(os.listdir(directory)) < 3:
        assert time.monotonic() < end and load.poll() is None, load.returncode
        time.sleep(0.005)
    return load, back


def _end(process):
    if process.poll() is None:
        process.kill()
        process.wait()


def ctrl_c_keeps_the_old_file(programs):
    for stalled in (False, True):
        with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
            load, back = _start_long_load(programs, server, directory, stderr=subprocess.PIPE)
            try:
                if stalled:
                    time.sleep(0.3)
                    server.process.send_signal(signal.SIGSTOP)
                    time.sleep(0.2)
                load.send_signal(signal.SIGINT)
                _, error = load.communicate(timeout=40)
            finally:
                server.process.send_signal(signal.SIGCONT)
                _end(load)
            # a server that stalls while it is greeted is waited for: --timeout, then no server
            ends = (1, 69, -signal.SIGINT) if stalled else (1,)
            assert load.returncode in ends, (load.returncode, error)
            assert _content(back) == b"precious"
            assert sorted(os.listdir(directory)) == ["back", "pages"], os.listdir(directory)


def the_progress_line_fits_its_terminal(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        terminal, its_end = pty.openpty()
        fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        load, _ = _start_long_load(programs, server, directory, stderr=its_end,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(its_end)
        try:
            seen = b""
            while seen.count(b"\r") < 4:
                seen += os.read(terminal, 65536)
        finally:
            load.send_signal(signal.SIGINT)
            load.wait(timeout=30)
            os.close(terminal)
        lines = re.sub(r"\x1b\[[\d;]*[mK]", "", seen.decode()).split("\r")
        assert all(len(line) < 50 for line in lines) and "\n" not in lines[1], lines
        assert re.match(r"loading +\[[#.]+\] +\d+ %", lines[1]), lines


def empty_slots_are_told_and_not_counted(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 2000 * 4096)
        back = os.path.join(directory, "back")
        programs.run(server, "store", "a", path, "--size", "16MiB")
        said = programs.run(server, "load", "a", back, code=1)
        assert "--sparse" in said and "--count" in said, said
        said = programs.run(server, "load", "a", back, "--sparse")
        assert "loaded 2,000 pages" in said and "2,096 slots hold nothing" in said, said
        assert os.path.getsize(back) == 16 << 20
        told = programs.json(server, "load", "a", back, "--sparse")
        assert (told["pages"], told["absent"]) == (2000, 2096), told
        assert abs(told["pages_per_second"] * told["seconds"] - 2000) < 1, told
        programs.run(server, "load", "a", back, "--count", 2000)
        assert _content(back) == _content(path)
        said = programs.run(server, "load", "a", back, "--count", 4097, code=1)
        assert "has 4,096 slots, --count wants 4,097" in said, said


def a_size_too_small_creates_nothing(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        path = page_file(directory, 8 << 20)
        said = programs.run(server, "store", "z", path, "--size", "4MiB", code=1)
        assert "1,024 pages" in said and "needs 2,048 (8.00 MiB)" in said, said
        assert "z:slots" not in stats(server, "areas")
        programs.run(server, "store", "z", path)
        said = programs.run(server, "store", "z", path, "--size", "16MiB", code=1)
        assert "exists with 2,048 slots (8.00 MiB), --size wants 4,096" in said, said
        said = programs.run(server, "store", "-z", path, code=2)
        said = programs.run(server, "store", ".z", path, code=1)
        assert "an area's name is" in said, said
        longer = os.path.join(directory, "longer")
        with open(longer, "wb") as f:
            f.truncate(9 << 20)
        said = programs.run(server, "store", "z", longer, code=1)
        assert "has 2,048 slots (8.00 MiB)" in said and "needs 2,304" in said, said


def statistics_are_tables(programs):
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged) as server:
        programs.run(server, "store", "an-ordinary-name/of-29-bytes", page_file(directory, 4 << 20),
                     "--size", "1TiB")
        lines = programs.run(server, "areas").splitlines()
        assert lines[0].split() == ["area", "size", "stored", "packed", "ratio", "same-filled"]
        assert len(lines) == 3 and "1.00 TiB  4.00 MiB" in lines[1], lines
        assert lines[2] == "  4.00 KiB pages, stays, not open", lines
        assert all(len(line) <= 80 for line in lines), lines
        told, = programs.json(server, "areas")["areas"]
        assert told["slots"] == 1 << 28 and told["stored"] == 1024 and told["packed_bytes"] > 0
        for section, corner, column in (("classes", "class", "slot_bytes"), ("conns", "fd", "state"),
                                        ("compressors", "seat", "algorithm")):
            lines = programs.run(server, "stats", section).splitlines()
            assert lines[0].startswith(corner) and column in lines[0].split(), lines
            rows = [line for line in lines[1:] if not line.startswith("swaps")]
            assert rows and all(len(row.split()) >= 5 for row in rows), lines
            assert not any(":" + column in line for line in lines), lines
            assert all(line == line.rstrip() for line in lines), lines
            told = programs.json(server, "stats", section)
            assert all(":" in name or name == "swaps" for name in told), told
        said = programs.run(server, "stats", "settigs", code=1)
        assert "no statistics 'settigs'; did you mean 'settings'?" in said, said
        assert "'farpage help stats' lists" in programs.run(server, "stats", "weather", code=1)
        listed = re.search(r"With it:\n((?:  .*\n)+)", programs.run(server, "help", "stats"))[1]
        for section in listed.split():
            programs.run(server, "stats", section)


def a_running_program_is_paged_out(programs):
    program = "my %h; $h{$_} = rand() . ('x' x ($_ % 60)) for 1..60000; sleep 60"
    with Server(programs.farpaged) as server:
        said = programs.run(server, "try", "--after", "2s", "--", "perl", "-e", program)
        assert "came back byte for byte" in said, said
        assert "32 on the way at once on 1 connection)" in said, said
        assert " 0.0 %" not in said or re.search(r"  0   +0\.0 %", said), said
        deadline = time.monotonic() + 10
        while (left := stats(server))["farpage_areas_deleted"] != "0" or left["farpage_areas"] != "0":
            assert time.monotonic() < deadline, "its area is left behind"
        assert left["farpage_pages_stored"] == "0", "nothing is left behind"


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([every_way_out_and_back, every_page_size, several_connections_at_once,
          a_changed_file_is_told_apart, a_size_that_is_no_multiple_wants_padding,
          what_is_invalidated_is_absent, a_damaged_page_is_reported_never_returned,
          a_load_that_fails_keeps_the_old_file, ctrl_c_keeps_the_old_file,
          the_progress_line_fits_its_terminal, empty_slots_are_told_and_not_counted,
          a_size_too_small_creates_nothing, statistics_are_tables,
          a_running_program_is_paged_out])
