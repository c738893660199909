#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a container does to the server: a limit of memory, a file system that may not be written.
Skipped (77) where this machine lets nobody make the like."""
import contextlib
import os
import subprocess
import sys
import tempfile
import time

from running import Server
from story import ask, sanitized, stats, tell

SKIPPED = 77
GROUPS = (("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"))


@contextlib.contextmanager
def group(limit_bytes):
    """A control group of its own, of version 2 or 1; what to do to be in it."""
    for mount, name in GROUPS:
        path = os.path.join(mount, f"farpage-scene-{os.getpid()}")
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open(os.path.join(path, name), "r+") as f:  # not made by us: it is a group
                f.write(str(limit_bytes))
        except OSError:
            os.rmdir(path)
            continue

        def enter():
            with open(os.path.join(path, "cgroup.procs"), "w") as f:
                f.write(str(os.getpid()))
        try:
            yield enter
        finally:
            for _ in range(100):
                try:
                    os.rmdir(path)
                    break
                except OSError:
                    time.sleep(0.05)
        return
    print("skipped: no control group can be made here")
    sys.exit(SKIPPED)


def the_limit_is_four_fifths_of_the_containers(programs):
    with group(400 << 20) as enter:
        say = lambda *words: subprocess.run([programs.farpaged, *words], capture_output=True, text=True,
                                            preexec_fn=enter, check=True, timeout=60)
        assert "memory_limit: 320MiB" in say("--dump-config").stdout
        assert "memory_limit: 64MiB" in say("--dump-config", "--set", "storage.memory_limit=64MiB").stdout
        assert "warning" not in say("--check").stdout
        assert "more than this container may have" in say("--check", "--set",
                                                          "storage.memory_limit=401MiB").stdout
        if sanitized(programs.farpaged):
            return  # a sanitizer's own memory does not fit
        original = subprocess.Popen

        def within(*words, **more):
            return original(*words, preexec_fn=enter, **more)
        subprocess.Popen = within
        try:
            with Server(programs.farpaged) as server:
                assert stats(server)["limit_maxbytes"] == str(320 << 20)
                assert "container" not in server.stderr()
                ask(server, "config set storage.memory_limit 350MiB\r\nconfig reload\r\n")
                assert stats(server)["limit_maxbytes"] == str(320 << 20), "as at the start"
            with Server(programs.farpaged, ["storage.memory_limit=500MiB"]) as server:
                assert "warn  storage.memory_limit is more than this container may have" in server.stderr()
        finally:
            subprocess.Popen = original


def what_is_read_only_is_named(programs):
    with tempfile.TemporaryDirectory() as directory:
        mounted = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "-o", "ro", "none", directory],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            print("skipped: nothing can be mounted here")
            sys.exit(SKIPPED)
        script = f'mount -t tmpfs -o ro,mode=0700 none {directory} && exec "$@"'

        def start(*words):
            done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", programs.farpaged, *words],
                                  capture_output=True, text=True, check=False, timeout=60)
            last = done.stderr.strip().splitlines()[-1]
            return done.returncode, last
        code, line = start("--set", f'listeners=[{{address: "unix:{directory}/socket"}}]')
        assert code == 69 and f"unix:{directory}/socket: the file system is read-only" in line, line
        code, line = start("--set", 'listeners=[{address: "127.0.0.1:0"}]', "--set",
                           f"storage.state_dir={directory}", "--set", "exports=[{name: disk, size: 4MiB}]")
        assert code == 1 and "Read-only file system" in line and directory in line, line


tell([the_limit_is_four_fifths_of_the_containers, what_is_read_only_is_named])
