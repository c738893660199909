#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What an operator does with the server: starts it wrong, starts it right, reloads it, stops it."""
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

from running import Server, free_port
from story import ask, limit_mib, sample, sanitized, stats, tell


def start(programs, *arguments):
    return subprocess.run([programs.farpaged, *arguments], capture_output=True, text=True,
                          timeout=60, check=False)


def for_anybody(program, directory):
    """A copy of the program that an unprivileged user can run, wherever the tree lies."""
    os.chmod(directory, 0o755)
    copy = shutil.copy(program, os.path.join(directory, "farpaged"))
    os.chmod(copy, 0o755)
    return copy


AS_NOBODY = {"user": 65534, "extra_groups": []} if os.getuid() == 0 else {}


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def wrong_yaml_names_every_error(programs):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write("server:\n  thraeds: 4\nstorage:\n  memory_limit: 64Q\n  page_size: 5KiB\n")
        f.flush()
        for words in ([], ["--check"], ["--dump-config"]):
            done = start(programs, "--config", f.name, *words)
            assert done.returncode == 78, done
            for needed in (f"{f.name}:2:3: error:", "did you mean 'threads'?", ":4:17: error:",
                           "64Q", "5KiB", "^~~~~~~", "3 errors"):
                assert needed in done.stderr, (needed, done.stderr)


def a_good_file_is_said_to_be_good(programs):
    done = start(programs, "--check", "--set", "server.threads=3")
    assert done.returncode == 0 and "good" in done.stdout, done
    dumped = start(programs, "--dump-config", "--set", "server.threads=3").stdout
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(dumped)
        f.flush()
        assert start(programs, "--config", f.name, "--check").returncode == 0, dumped


def a_wrong_word_is_a_usage_error(programs):
    for words in (["--confg"], ["stray"], ["--set", "nothing"]):
        done = start(programs, *words)
        assert done.returncode == 2 and done.stderr.startswith("farpaged: "), done


def an_address_in_use_is_named(programs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = start(programs, "--set", f'listeners=[{{address: "127.0.0.1:{port}"}}]')
        assert done.returncode == 69 and f"127.0.0.1:{port}: in use" in done.stderr, done


def a_socket_that_cannot_be_made_is_named(programs):
    with tempfile.TemporaryDirectory() as directory:
        for path, why in (("missing/socket", "the directory does not exist"),
                          ("file", "a file that is no socket is there")):
            path = os.path.join(directory, path)
            if why.startswith("a file"):
                open(path, "w").close()
            done = start(programs, "--set", f'listeners=[{{address: "unix:{path}"}}]')
            assert done.returncode == 69 and why in done.stderr and path in done.stderr, done
        if AS_NOBODY:
            copy = for_anybody(programs.farpaged, directory)
            done = subprocess.run([copy, "--set", f'listeners=[{{address: "unix:{directory}/s"}}]'],
                                  capture_output=True, text=True, check=False, **AS_NOBODY)
            assert done.returncode == 69 and "no permission" in done.stderr, done


def a_unix_socket_is_private_replaced_and_removed(programs):
    with Server(programs.farpaged) as server:
        assert stat.S_IMODE(os.stat(server.unix).st_mode) == 0o700
        done = start(programs, "--set", f'listeners=[{{address: "unix:{server.unix}"}}]')
        assert done.returncode == 69 and "another server answers there" in done.stderr, done
        assert ask(server, "version\r\n", "unix").startswith("VERSION")
        server.process.kill()  # leaves its socket behind
        server.is_over(-signal.SIGKILL)
        assert os.path.exists(server.unix)
        again = subprocess.Popen([programs.farpaged, "--set",
                                  f'listeners=[{{address: "unix:{server.unix}"}}]'],
                                 stderr=subprocess.DEVNULL)
        try:
            until(lambda: answers(server.unix))
        finally:
            again.terminate()
            again.wait()
        assert not os.path.exists(server.unix), "a graceful stop takes its socket away"


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"version\r\n")
            return s.recv(100).startswith(b"VERSION")
    except OSError:
        return False


def too_little_memory_to_start_is_named(programs):
    done = start(programs, "--set", "storage.memory_limit=16MiB", "--set", "server.threads=64")
    assert done.returncode == 78 and "storage.memory_limit" in done.stderr, done
    assert "64 threads need 72MiB" in done.stderr, done


def few_descriptors_lower_the_connections(programs):
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    address = f'listeners=[{{address: "127.0.0.1:{free_port()}"}}]'
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as log:
        copy = for_anybody(programs.farpaged, directory)
        server = subprocess.Popen([copy, "--set", address], stderr=log, preexec_fn=limit,
                                  **AS_NOBODY)
        time.sleep(1)
        server.terminate()
        assert server.wait(timeout=20) == 0
        log.seek(0)
        said = log.read()
        assert "server.max_connections is lowered" in said, said


# --- reload ---------------------------------------------------------------------------------------

def memory_that_may_not_be_locked_is_named(programs):
    """Nothing is started, and the line says what to lift."""
    if sanitized(programs.farpaged):
        return  # a sanitizer never asks the system
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [for_anybody(programs.farpaged, directory), "--set", "storage.lock_memory=on", "--set",
             'listeners=[{address: "127.0.0.1:0"}]'], capture_output=True, text=True, check=False,
            timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536,) * 2),
            **AS_NOBODY)
    assert done.returncode == 1, done
    last = done.stderr.splitlines()[-1]
    assert "storage.lock_memory" in last and "ulimit -l unlimited" in last, done


def locked_and_huge_pages_come_and_go(programs):
    """With both switched on, what is compacted goes back to the system all the same."""
    lock = os.getuid() == 0 or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == -1
    sets = ["storage.huge_pages=on", "compressor.algorithm=none", "storage.compaction=manual"]
    sets += ["storage.lock_memory=on"] if lock else []
    with tempfile.TemporaryDirectory() as directory, Server(programs.farpaged, sets) as server:
        def kib(name):
            with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
                return next(int(line.split()[1]) for line in f if line.startswith(name))
        empty = kib("VmRSS:")
        path = os.path.join(directory, "pages")
        with open(path, "wb") as f:
            f.write(sample() * 16)  # 32 MiB, a few of them same-filled
        programs.run(server, "store", "swap", path)
        programs.run(server, "verify", "swap", path)
        full = kib("VmRSS:")
        programs.run(server, "invalidate", "swap")
        programs.run(server, "compact")
        if not sanitized(programs.farpaged):
            assert full > empty + 28000, (empty, full)
            assert kib("VmRSS:") < empty + 8000, (empty, full, kib("VmRSS:"))
            assert not lock or kib("VmLck:") > 0
        assert stats(server, "settings")["storage.huge_pages"] == "on"


class Reloading:
    """A server whose file can be rewritten."""

    def __init__(self, programs):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "farpaged.yaml")
        self.server = None
        self.programs = programs

    def __enter__(self):
        self.server = Server(self.programs.farpaged)
        self.path = os.path.join(self.server.directory, "scene.yaml")
        with open(self.path) as f:
            self.base = f.read()
        return self

    def __exit__(self, *what):
        self.server.__exit__(*what)

    def reload(self, text, expected):
        before = self.server.stderr().count(expected)
        with open(self.path, "w") as f:
            f.write(self.base + text)
        self.server.process.send_signal(signal.SIGHUP)
        until(lambda: self.server.stderr().count(expected) > before)


def a_reload_applies_a_good_file(programs):
    with Reloading(programs) as r:
        r.reload("compressor: {algorithm: zstd, level: 3}\nstorage: {memory_limit: 512MiB}\n"
                 "log: {format: logfmt}\n", "configuration reloaded")
        assert stats(r.server)["limit_maxbytes"] == str(512 << 20)
        seats = stats(r.server, "compressors")
        assert seats["swaps"] == "1" and "zstd" in seats.values(), seats
        assert 'event="configuration reloaded"' in r.server.stderr()


def a_reload_refuses_a_bad_file_and_goes_on(programs):
    with Reloading(programs) as r:
        r.reload("compressor: {algorithm: zsdt}\n", "reload refused")
        assert "did you mean 'zstd'" in r.server.stderr()
        assert stats(r.server, "compressors")["swaps"] == "0"
        r.reload("compressor: {algorithm: zstd}\nstorage: {page_size: 16KiB}\n", "reload refused")
        assert "this change needs a restart key=storage.page_size" in r.server.stderr()
        assert stats(r.server, "compressors")["swaps"] == "0", "all of it or nothing"


def a_lower_limit_makes_items_give_way(programs):
    with Reloading(programs) as r:
        value = os.urandom(4096).replace(b"\r", b"x").hex()[:4096]
        with r.server.connect("tcp") as s:
            for n in range(8000):
                s.sendall(f"set k{n} 0 0 4096 noreply\r\n{value[n % 64:]}{value[:n % 64]}\r\n"
                          .encode())
        until(lambda: int(stats(r.server)["curr_items"]) > 0)
        before = int(stats(r.server)["farpage_memory_held_bytes"])
        limit = limit_mib(programs.farpaged, 16)
        r.reload(f"storage: {{memory_limit: {limit}MiB}}\n", "configuration reloaded")
        # the connection that asks is charged too, whatever the limit
        until(lambda: int(stats(r.server)["farpage_memory_held_bytes"]) <=
              (limit << 20) + 8192)
        assert before > limit << 20 and int(stats(r.server)["evictions"]) > 0


def of_seats(server, name):
    """{seat: value} of one column of `stats compressors`."""
    return {key.split(":")[0]: value for key, value in stats(server, "compressors").items()
            if key.endswith(":" + name)}


def a_reload_says_again_what_the_file_says(programs):
    """`compressor set` lasts until the next SIGHUP, whether the file has changed or not."""
    with Reloading(programs) as r:
        r.reload("compressor: {algorithm: zstd, level: 3}\n", "configuration reloaded")
        assert ask(r.server, "compressor\r\n") == "COMPRESSOR zstd:3\r\n"
        assert ask(r.server, "compressor set lz4hc:4\r\n") == "OK lz4hc:4, was zstd:3\r\n"
        r.reload("compressor: {algorithm: zstd, level: 3}\n", "configuration reloaded")
        assert ask(r.server, "compressor\r\n") == "COMPRESSOR zstd:3\r\n"
        assert "compressor changes from=lz4hc:4 to=zstd:3" in r.server.stderr(), r.server.stderr()
        r.reload("compressor: {algorithm: wrong}\n", "reload refused")
        assert ask(r.server, "compressor\r\n") == "COMPRESSOR zstd:3\r\n"
        assert stats(r.server, "compressors")["swaps"] == "3"


def reloads_under_load_fail_no_request(programs):
    """The compressor is changed by SIGHUP, good and bad files in turn, while pages go out and back."""
    with Reloading(programs) as r, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pages")
        with open(path, "wb") as f:
            f.write(sample())
        failures = []

        def load():
            try:
                for _ in range(6):
                    programs.run(r.server, "store", "a", path)
                    programs.run(r.server, "verify", "a", path)
            except BaseException as error:  # told by the main thread
                failures.append(error)

        worker = threading.Thread(target=load)
        worker.start()
        configs = ["{algorithm: zstd}", "{algorithm: lz4}", "{algorithm: zstd, level: 3}",
                   "{algorithm: none}", "{algorithm: wrong}"]
        n = 0
        while worker.is_alive():
            with open(r.path, "w") as f:
                f.write(r.base + f"compressor: {configs[n % len(configs)]}\n")
            r.server.process.send_signal(signal.SIGHUP)
            n += 1
            time.sleep(0.02)
        worker.join()
        assert not failures, failures[0]
        r.reload("compressor: {algorithm: lz4}\n", "configuration reloaded")
        programs.run(r.server, "verify", "a", path)
        programs.run(r.server, "invalidate", "a")
        # recompression acquires seats for moments too
        until(lambda: list(of_seats(r.server, "state").values()) == ["current"])
        until(lambda: set(of_seats(r.server, "objects").values()) == {"0"})
        until(lambda: set(of_seats(r.server, "users").values()) == {"0"})


# --- stopping -------------------------------------------------------------------------------------

def a_stop_sends_the_replies_on_their_way(programs):
    with Server(programs.farpaged, ["storage.item_size_max=16MiB"]) as server:
        value = b"0123456789abcdef" * (1 << 19)
        with server.connect("unix") as s:
            s.sendall(b"set big 0 0 %d\r\n%s\r\n" % (len(value), value))
            assert s.recv(100) == b"STORED\r\n"
            s.sendall(b"get big\r\n")
            got = s.recv(100)
            server.process.send_signal(signal.SIGTERM)
            while more := s.recv(1 << 20):
                got += more
            assert got == b"VALUE big 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
        server.is_over()


def a_second_signal_does_not_wait(programs):
    with Server(programs.farpaged, ["server.stop_timeout=60s"]) as server:
        with server.connect("unix") as s:
            s.sendall(b"set big 0 0 1000000\r\n" + bytes(1000000) + b"\r\n")
            assert s.recv(100) == b"STORED\r\n"
            s.sendall(b"get big big big big big\r\n")  # and reads nothing
            until(lambda: "conn_write" in stats(server, "conns").values())
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert server.process.poll() is None, "it waits for the reply to be read"
            server.process.send_signal(signal.SIGINT)
            server.is_over(seconds=5)


def an_idle_connection_is_closed_if_so_configured(programs):
    with Server(programs.farpaged, ["server.idle_timeout=1s"]) as server:
        with server.connect("tcp") as s:
            begun = time.monotonic()
            assert s.recv(1) == b"" and 0.9 < time.monotonic() - begun < 5
        assert stats(server)["idle_kicks"] == "1"


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([wrong_yaml_names_every_error, a_good_file_is_said_to_be_good,
          a_wrong_word_is_a_usage_error, an_address_in_use_is_named,
          a_socket_that_cannot_be_made_is_named, a_unix_socket_is_private_replaced_and_removed,
          too_little_memory_to_start_is_named, few_descriptors_lower_the_connections,
          memory_that_may_not_be_locked_is_named, locked_and_huge_pages_come_and_go,
          a_reload_applies_a_good_file, a_reload_refuses_a_bad_file_and_goes_on,
          a_reload_says_again_what_the_file_says,
          a_lower_limit_makes_items_give_way, reloads_under_load_fail_no_request,
          a_stop_sends_the_replies_on_their_way, a_second_signal_does_not_wait,
          an_idle_connection_is_closed_if_so_configured])
