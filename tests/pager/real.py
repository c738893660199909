#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""real - unmodified programs with most of their memory elsewhere: redis-server with a background save
under load, sqlite3, python3, gcc; what they say is compared with what they say without us.

usage: real.py FARPAGED FARPAGE STORY; minutes, so `ctest --preset programs` alone runs it"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenes"))

from running import Server  # noqa: E402  pylint: disable=wrong-import-position
from story import tell  # noqa: E402  pylint: disable=wrong-import-position

PASSED_OVER = 77
SECONDS = 600
VALUE_BYTES, BATCH = 1000, 500
KEYS = int(os.environ.get("FARPAGE_REDIS_KEYS", "200000"))


def needs(program):
    path = shutil.which(program)
    if path is None or os.geteuid() != 0:
        print(f"passed over: it needs root and {program}")
        sys.exit(PASSED_OVER)
    return path


def paged(programs, server, local_mib, command):
    return [programs.farpage, "--server", f"unix:{server.unix}", "run", "--local",
            f"{local_mib}MiB", "--stats", "--", *command]


def output_of(command, **how):
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False,
                          stdin=subprocess.DEVNULL, **how)
    assert done.returncode == 0, f"{command[0]}: exit {done.returncode}\n{done.stderr.decode()}"
    return done.stdout, done.stderr.decode()


def same_with_less(programs, command, local_mib, **how):
    """The command's output is what it is without us."""
    expected, _ = output_of(command, **how)
    with Server(programs.farpaged, sets=["storage.memory_limit=4GiB"]) as server:
        said, told = output_of(paged(programs, server, local_mib, command), **how)
    print(told, flush=True)
    assert said == expected, f"{said[-300:]!r}, not {expected[-300:]!r}"


# --- redis ----------------------------------------------------------------------------------------

def value_of(key, version):
    """A thousand bytes that name key and version; half of them hardly pack."""
    text = f"{key}:{version}:".encode()
    noise = (key * 2654435761 + version * 40503) % (1 << 64)
    parts = []
    while len(parts) * 16 < VALUE_BYTES // 2:
        noise = (noise * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        parts.append(b"%016x" % noise)
    return (text + b"".join(parts) + text * VALUE_BYTES)[:VALUE_BYTES]


class Redis:
    def __init__(self, wrap, directory, socket_path):
        self.path = socket_path
        self.process = subprocess.Popen(
            wrap(["redis-server", "--port", "0", "--unixsocket", socket_path, "--save", "",
                  "--appendonly", "no", "--dir", directory, "--daemonize", "no"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while True:
            try:
                self.connection = socket.socket(socket.AF_UNIX)
                self.connection.connect(socket_path)
                break
            except OSError as error:
                self.connection.close()
                assert time.monotonic() < until and self.process.poll() is None, str(error)
                time.sleep(0.02)
        self.replies = self.connection.makefile("rb", buffering=1 << 20)
        while self.ask("PING") != b"PONG":  # it may still read what it saved
            assert time.monotonic() < until
            time.sleep(0.05)

    def send(self, commands):
        out = []
        for words in commands:
            out.append(b"*%d\r\n" % len(words))
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                out.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.connection.sendall(b"".join(out))

    def reply(self):
        line = self.replies.readline()[:-2]
        if line[:1] == b"$":
            size = int(line[1:])
            return None if size < 0 else self.replies.read(size + 2)[:-2]
        return line[1:]

    def ask(self, *words):
        self.send([words])
        return self.reply()

    def store(self, keys, version):
        keys = list(keys)
        for at in range(0, len(keys), BATCH):
            some = keys[at:at + BATCH]
            self.send([("SET", f"key:{key}", value_of(key, version)) for key in some])
            for key in some:
                assert self.reply() == b"OK", key

    def verify(self, keys, version):
        keys = list(keys)
        for at in range(0, len(keys), BATCH):
            some = keys[at:at + BATCH]
            self.send([("GET", f"key:{key}") for key in some])
            for key in some:
                assert self.reply() == value_of(key, version), f"key:{key} is another"

    def stop(self):
        self.send([("SHUTDOWN", "NOSAVE")])
        assert self.process.wait(timeout=60) == 0
        self.connection.close()


def saved(redis):
    redis.ask("BGSAVE")
    return lambda: b"rdb_bgsave_in_progress:0" in redis.ask("INFO", "persistence")


def redis_serves_and_saves_more_than_it_has_local(programs):
    """Every value is verified, before, during and after a background save; and what was saved is what
    there was when it began."""
    needs("redis-server")
    directory = tempfile.mkdtemp(prefix="real-")
    path = os.path.join(directory, "redis")
    local_mib = KEYS * 1150 * 3 // 10 >> 20
    try:
        with Server(programs.farpaged, sets=["storage.memory_limit=4GiB"]) as server:
            redis = Redis(lambda command: paged(programs, server, local_mib, command), directory,
                          path)
            begun = time.monotonic()
            redis.store(range(KEYS), 1)
            print(f"stored: {time.monotonic() - begun:.1f} s", flush=True)
            redis.verify(range(KEYS), 1)
            print(f"verified: {time.monotonic() - begun:.1f} s", flush=True)
            is_saved = saved(redis)
            rounds = 0
            while not is_saved():
                redis.store(range(rounds * BATCH % KEYS, min(rounds * BATCH % KEYS + BATCH, KEYS)), 2)
                rounds += 1
            assert b"rdb_last_bgsave_status:ok" in redis.ask("INFO", "persistence")
            print(f"saved: {time.monotonic() - begun:.1f} s, {rounds} batches meanwhile", flush=True)
            redis.store(range(KEYS), 3)
            redis.verify(range(KEYS), 3)
            redis.stop()
        redis = Redis(lambda command: command, directory, path)
        redis.verify(range(KEYS), 1)
        redis.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# --- others ---------------------------------------------------------------------------------------

def sqlite_says_the_same(programs):
    script = (HERE.parent / "bench/pager/rows.sql").read_text().replace("ROWS", "200000")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        same_with_less(programs, [needs("sqlite3"), "-batch", ":memory:", f".read {file.name}"], 16)


PYTHON = """
import gc, hashlib, subprocess, sys
table = {f"key {i}": [i, str(i) * 3, (i, i + 1)] for i in range(300000)}
ordered = sorted(table.items(), key=lambda pair: pair[1][1])
gc.collect()
digest = hashlib.sha256()
for key, row in ordered[::7]:
    digest.update(f"{key}{row}".encode())
digest.update(subprocess.run(["cksum"], input=repr(ordered[:1000]).encode(), stdout=-1).stdout)
half = {key: row for key, row in table.items() if row[0] % 2}
del table, ordered
digest.update(repr(sum(row[2][1] for row in half.values())).encode())
print(digest.hexdigest())
"""


def python_says_the_same(programs):
    same_with_less(programs, [needs("python3"), "-c", PYTHON], 64,
                   env=dict(os.environ, PYTHONHASHSEED="1"))


def gcc_makes_the_same_object(programs):
    compiler = needs("gcc")
    directory = tempfile.mkdtemp(prefix="real-")
    try:
        source = os.path.join(directory, "large.c")
        with open(source, "w") as file:
            for i in range(500):
                file.write(f"int f{i}(int a, int b) {{ int s = {i}; for (int i = 0; i < a; i++) "
                           f"{{ s = s * 31 + (b ^ i); if (s % {i + 3} == 1) s += a / (b | 1); "
                           f"switch (s & 7) {{ case 0: s ^= {i}; break; case 3: s -= b; break; "
                           f"default: s += i; }} }} return s; }}\n")
        command = [compiler, "-O2", "-c", source, "-o"]
        output_of([*command, f"{directory}/alone.o"])
        with Server(programs.farpaged, sets=["storage.memory_limit=4GiB"]) as server:
            _, told = output_of(paged(programs, server, 20, [*command, f"{directory}/paged.o"]))
        print(told)
        alone, other = (pathlib.Path(f"{directory}/{name}.o").read_bytes()
                        for name in ("alone", "paged"))
        assert alone == other
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    tell([redis_serves_and_saves_more_than_it_has_local, sqlite_says_the_same, python_says_the_same,
          gcc_makes_the_same_object])
