#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""clients - what docker/test.sh has its clients do, each in a container of its own.

usage: clients.py WORK [WORD...]

The last line of a WORK that went well is what it came to, for people; one that did not ends with
another exit code and says why. Works that last wait for a file in /stage, and make some, so that
test.sh knows where they are."""
import json
import os
import random
import subprocess
import sys
import threading
import time

STAGE, SERVER, PAGE = "/stage", "server:11211", 4096
sys.path.insert(0, "/src/tests/scenes")
os.environ.setdefault("FARPAGE_DRIVER", "/build/library_driver")


failed = []


def fail(sentence):
    """Ends the work; of a thread, itself."""
    failed.append(sentence)
    print(f"NOT GOOD: {sentence}", flush=True)
    sys.exit(1)


def reach(name):
    open(os.path.join(STAGE, name), "w").close()


def reached(name):
    return os.path.exists(os.path.join(STAGE, name))


def await_(name, seconds=90):
    end = time.monotonic() + seconds
    while not reached(name):
        if time.monotonic() > end:
            fail(f"nobody came to {name}")
        time.sleep(0.05)


def farpage(*words, server=SERVER, code=0):
    done = subprocess.run(["farpage", "--server", server, *map(str, words)], capture_output=True,
                          text=True, timeout=120, check=False)
    if done.returncode != code:
        fail(f"farpage {' '.join(map(str, words))}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def content(seed, pages):
    """Pages of all kinds: text that packs, noise that does not, one repeated word, zeros."""
    noise = random.Random(seed)
    kinds = [lambda: noise.randbytes(PAGE), lambda: (noise.randbytes(37) * 111)[:PAGE],
             lambda: bytes([noise.randrange(1, 256)]) * PAGE,
             lambda: b"".join(b"%08d: a page of text in lines.\n" % noise.randrange(10**8)
                              for _ in range(PAGE // 32))[:PAGE]]
    return b"".join(noise.choice(kinds)() for _ in range(pages))


# --- load ----------------------------------------------------------------------------------------

def pages(area, until, megabytes="8"):
    """Stores and compares, each time something else, until a file is there; then once more."""
    stored = rounds = 0
    path = f"/tmp/{area}"
    while True:
        last = reached(until)
        with open(path, "wb") as f:
            f.write(content(f"{area}{rounds}", int(megabytes) * 256))
        farpage("store", area, path)
        farpage("verify", area, path)
        rounds, stored = rounds + 1, stored + int(megabytes) * 256
        reach(f"pages-{area}")
        if last:
            break
    farpage("areas", "delete", area)
    print(f"{stored:,} pages in {rounds} rounds")


def items(until):
    from pymemcache.client.base import Client
    client, wrote, count, noise = Client(("server", 11211), timeout=20), {}, 0, random.Random(1)
    while not (reached(until) and count > 2000):
        key = f"key{noise.randrange(2000)}"
        if key in wrote and noise.random() < 0.7:
            value = client.get(key)
            if value is not None and value != wrote[key]:
                fail(f"another value of {key}")
        else:
            value = content(key, 1)[:noise.randrange(PAGE)] + str(count).encode()
            client.set(key, value, noreply=False)
            wrote[key] = value
        count += 1
        if count == 500:
            reach("items")
    missing = sum(client.get(key) is None for key in wrote)
    print(f"{count:,} requests, {missing} of {len(wrote):,} items gave way")


def blocks(until):
    import nbd
    handle, wrote, count, noise = nbd.NBD(), {}, 0, random.Random(2)
    handle.connect_uri("nbd://server/disk")
    room = min(handle.get_size(), 16 << 20) // PAGE
    while not (reached(until) and count > 500):
        at = noise.randrange(room)
        data = content(str(count), 1)
        handle.pwrite(data, at * PAGE)
        wrote[at] = data
        old = noise.choice(list(wrote))
        if bytes(handle.pread(PAGE, old * PAGE)) != wrote[old]:
            fail(f"other bytes at {old * PAGE}")
        count += 1
        if count == 100:
            reach("blocks")
    for at, data in wrote.items():
        if bytes(handle.pread(PAGE, at * PAGE)) != data:
            fail(f"other bytes at {at * PAGE}")
    handle.trim(room * PAGE, 0)
    handle.shutdown()
    print(f"{count:,} blocks written and read")


def swaps():
    """The compressor, changed under whatever goes on."""
    changes = ["zstd:3", "lz4hc:9", "none", "zstd:1", "lz4"]
    for change in changes:
        farpage("compressor", "set", change)
        time.sleep(0.4)
    print(f"{len(changes)} changes")


def holes(area, rounds="6"):
    """Pages compared again and again while others between them go and the gaps are closed."""
    with open("/tmp/stays", "wb") as f:
        f.write(content("stays", 8 * 256))
    with open("/tmp/goes", "wb") as f:
        f.write(content("goes", 16 * 256))
    over, compared = threading.Event(), [0]

    def compare():
        while not over.is_set():
            farpage("verify", area, "/tmp/stays")
            compared[0] += 1

    farpage("store", area, "/tmp/stays")
    reader = threading.Thread(target=compare)
    reader.start()
    before = stat("moved_objects", "compaction"), stat("freed_pages", "compaction")
    for _ in range(int(rounds)):
        farpage("store", "goes", "/tmp/goes")
        farpage("store", area, "/tmp/stays")  # anew, and so among the others
        for first in range(0, 16 * 256, 256):
            farpage("invalidate", "goes", first, 200)
        farpage("compact")
        farpage("areas", "delete", "goes")
    over.set()
    reader.join()
    if failed:
        fail(failed[0])
    farpage("areas", "delete", area)
    after = stat("moved_objects", "compaction"), stat("freed_pages", "compaction")
    print(f"compared {compared[0]} times while {after[0] - before[0]:,} objects were moved and "
          f"{after[1] - before[1]:,} pages freed")


# --- what ends ------------------------------------------------------------------------------------

def stat(name, section="", server=SERVER):
    lines = farpage("stats", *([section] if section else []), "--json", server=server)
    found = json.loads(lines)
    while isinstance(found, dict) and name not in found:
        found = next((v for v in found.values() if isinstance(v, dict)), None)
    if found is None:
        fail(f"no statistic {name}")
    return int(found[name])


def hold():
    """Maps items, and never ends by itself."""
    import socket
    s = socket.create_connection(("server", 11211))
    s.sendall(b"".join(b"set held%d 0 0 5000\r\n%s\r\n" % (i, random.randbytes(5000))
                       for i in range(20)))
    f = s.makefile("rb")
    assert all(f.readline() == b"STORED\r\n" for _ in range(20))
    s.sendall(b"".join(b"map held%d rw\r\n" % i for i in range(20)))
    assert all(f.readline().startswith(b"MAPPED") for _ in range(20))
    reach("held")
    time.sleep(600)


def let_go():
    """Of a client that was killed nothing is pinned."""
    end = time.monotonic() + 10
    while any(numbers := [stat("pinned", "zpool"), stat("mapped_bytes", "maps")]):
        if time.monotonic() > end:
            fail(f"maps, pinned: {numbers}")
        time.sleep(0.05)
    print(f"20 maps let go {10 - (end - time.monotonic()):.1f} s after")


def driver(timeout_ms=20000):
    from library import Program
    return Program(SERVER, timeout_ms=timeout_ms)


def lost():
    """A program whose server starts again: each page is LOST, none is absent, none is zeros."""
    import nbd
    device = nbd.NBD()
    device.connect_uri("nbd://server/disk")
    device.pwrite(b"A" * PAGE, 0)
    with driver() as program:
        program.expect("many 0 1000 7", "ok")
        reach("stored")
        await_("restarted")
        for slot in range(1000):
            status, number, _ = program.tell(f"load {slot}")
            if status != "lost":
                fail(f"slot {slot} after a restart: {status} {number}")
    try:
        fail(f"the block device gave {bytes(device.pread(4, 0))}")
    except nbd.Error:
        pass
    fresh = nbd.NBD()
    try:
        fresh.connect_uri("nbd://server/disk")
        fail("another block device goes by the old one's name")
    except nbd.Error as error:
        said = str(error)
    if farpage("export", "recreate", "disk") is None:
        fail(said)
    print("1,000 pages lost, none absent, none zeros; the block device refused until recreated")


def partition():
    """A program that is cut off: told so in time, never told anything else, and then as before."""
    with driver(timeout_ms=2000) as program:
        program.expect("many 0 1000 9", "ok")
        reach("stored")
        await_("cut")
        answers = set()
        for slot in (1, 2, 3):
            begun = time.monotonic()
            answers.add(program.tell(f"load {slot}")[0])
            if time.monotonic() - begun > 10:
                fail("a deadline of 2 s was not kept")
        if answers & {"ok", "absent", "lost"}:
            fail(f"answers through a cut: {answers}")
        reach("told")
        await_("healed")
        end = time.monotonic() + 30
        while program.tell("load 5")[0] != "ok":
            if time.monotonic() > end:
                fail("not healed after 30 s")
        for slot in range(1000):
            program.expect(f"load {slot}", "ok", 9)
    print(f"told {'/'.join(sorted(answers))}; after healing all 1,000 pages as they were")


# --- what is full, and what moves ----------------------------------------------------------------

def full():
    """More than there is room for: refused, and what was there stays."""
    with open("/tmp/kept", "wb") as f:
        f.write(content("kept", 16 * 256))
    farpage("store", "kept", "/tmp/kept")
    with open("/tmp/noise", "wb") as f:
        noise = random.Random(3)
        for _ in range(300):
            f.write(noise.randbytes(1 << 20))
    said = subprocess.run(["farpage", "--server", SERVER, "store", "noise", "/tmp/noise"],
                          capture_output=True, text=True, timeout=120, check=False)
    if said.returncode != 1 or "memory" not in said.stderr:
        fail(f"300 MiB of noise in 160 MiB: exit {said.returncode}, {said.stderr.strip()}")
    farpage("verify", "kept", "/tmp/kept")
    held, limit = stat("farpage_memory_held_bytes"), stat("farpage_memory_limit_bytes")
    if held > limit:
        fail(f"{held} bytes held, {limit} are the limit")
    farpage("areas", "delete", "noise")
    end = time.monotonic() + 20
    while True:
        done = subprocess.run(["farpage", "--server", SERVER, "store", "later", "/tmp/kept"],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            break
        if time.monotonic() > end:
            fail(f"nothing fits although there is room: {done.stderr.strip()}")
        time.sleep(0.1)
    farpage("verify", "later", "/tmp/kept")
    farpage("areas", "delete", "later")
    farpage("areas", "delete", "kept")
    print(f"{said.stderr.strip().removeprefix('farpage: ')}; what was there stayed")


def drain():
    """An area moves to the second server while it is read."""
    with open("/tmp/moves", "wb") as f:
        f.write(content("moves", 16 * 256))
    farpage("store", "moves", "/tmp/moves")
    farpage("drain", "moves", "--to", "second:11211")
    farpage("verify", "moves", "/tmp/moves", server="second:11211")
    left = subprocess.run(["farpage", "--server", SERVER, "verify", "moves", "/tmp/moves"],
                          capture_output=True, text=True, timeout=60, check=False)
    if left.returncode == 0:
        fail("the first server still has it")
    print(f"4,096 pages at the second; the first says: {left.stderr.strip().splitlines()[0]}")


# --- what is watched ------------------------------------------------------------------------------

def dashboard():
    """Every query of the dashboard has an answer in the Prometheus that watches the server."""
    sys.path.insert(0, "/docker/grafana")
    import dashboard as made
    path = "/docker/grafana/dashboards/farpage.json"
    farpage("scrub", "start")
    for _ in range(5):  # much is stored over meanwhile: it may be given up
        if subprocess.run(["farpage", "--server", SERVER, "snapshot", "/tmp/watcher.fps"],
                          check=False).returncode == 0:
            break
    end, silent = time.monotonic() + 60, ["all"]
    while silent:
        if time.monotonic() > end:
            fail(f"no data: {silent}")
        time.sleep(1)
        silent = [query for query in made.queries(path)
                  if not made.is_answered(("prometheus", 9090), query)]
    print(f"{len(list(made.queries(path)))} queries answered")


WORKS = {work.__name__: work for work in (pages, items, blocks, swaps, holes, hold, let_go, lost,
                                          partition, full, drain, dashboard)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in WORKS:
        sys.exit(__doc__)
    WORKS[sys.argv[1]](*sys.argv[2:])
