#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What happens when storage.memory_limit is reached: items give way, pages never."""
import array
import fcntl
import os
import random
import sys
import tempfile
import termios
import time

from hostile import LOAD, OK, STORE, frame, hello, open_area, reply
from running import Server
from story import ask, limit_mib, memory_limit, sample, sanitized, stats, tell

MIB = 1 << 20
ITEM_BYTES = 4096


def noise(seed, size):
    """Bytes that no compressor shrinks, without line ends."""
    return bytes(b if b not in (10, 13) else 0 for b in random.Random(seed).randbytes(size))


def put(sock, key, value):
    sock.sendall(b"set %s 0 0 %d noreply\r\n%s\r\n" % (key.encode(), len(value), value))


def present(sock, keys):
    sock.sendall(("get " + " ".join(keys) + "\r\n").encode())
    said = b""
    while not said.endswith(b"END\r\n"):
        said += sock.recv(1 << 20)
    return said.count(b"VALUE ")


def items_give_way_least_recently_used_first(programs):
    with Server(programs.farpaged, [memory_limit(programs, 32)]) as server, \
            server.connect("tcp") as s:
        hot = [f"hot{n}" for n in range(200)]
        for n, key in enumerate(hot):
            put(s, key, noise(n, ITEM_BYTES))
        for n in range(20000):  # 80 MiB
            put(s, f"cold{n}", noise(1000 + n % 50, ITEM_BYTES))
            if n % 500 == 0:
                assert present(s, hot) == len(hot), f"after {n}: what is used stays"
        assert present(s, [f"cold{n}" for n in range(100)]) == 0, "what was not used has gone"
        assert present(s, [f"cold{n}" for n in range(19900, 20000)]) == 100
        now = stats(server)
        assert int(now["evictions"]) > 10000 and now["store_no_memory"] == "0", now


def arrived(sock):
    """Bytes that are there to be received."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, count)
    return count[0]


def a_full_server_reads_on_while_its_small_replies_wait(programs):
    """A unix socket takes some 280 replies that are sent one by one, however short."""
    touch, no, kept = b"touch none 0\r\n", b"NOT_FOUND\r\n", b"STORED\r\n"
    value = noise(1, 100000)
    with Server(programs.farpaged, [memory_limit(programs, 24)]) as server, \
            server.connect("unix") as s:
        for n in range(400):
            put(s, f"fill{n}", value)
        alone = 0
        for alone in range(1, 400):
            before, patience = arrived(s), time.monotonic() + 0.2
            s.sendall(touch)
            while arrived(s) == before and time.monotonic() < patience:
                pass
            if arrived(s) == before:
                break
        s.sendall(touch * 100)  # several turns
        for n in range(300):
            s.sendall(b"set x%d 0 0 100000\r\n" % n + value + b"\r\n")
        want = no * (alone + 100) + kept * 300
        said = b""
        while len(said) < len(want) and (got := s.recv(65536)):
            said += got
        assert said == want, said[-300:]
        assert int(stats(server)["evictions"]) > 100


def without_eviction_nothing_gives_way(programs):
    def answers(sock, lines):
        sock.sendall(lines + b"mn_is_no_command\r\n")
        said = b""
        while not said.endswith(b"ERROR\r\n"):
            said += sock.recv(65536)
        return said

    with Server(programs.farpaged, [memory_limit(programs, 24), "storage.eviction=off"]) as server, \
            server.connect("tcp") as s:
        keys, refused = [f"k{n}" for n in range(10000)], 0
        for n, key in enumerate(keys):
            value = noise(n % 50, ITEM_BYTES)
            said = answers(s, b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value))
            if said.startswith(b"SERVER_ERROR out of memory storing object\r\n"):
                refused += 1
            else:
                assert said.startswith(b"STORED\r\n"), said
        now = stats(server)
        assert refused > 1000 and now["evictions"] == "0", (refused, now)
        assert int(now["store_no_memory"]) == refused
        assert stats(server, "settings")["evictions"] == "off"
        kept = [key for key in keys if present(s, [key])]
        assert len(kept) == len(keys) - refused, "each that was stored is there"
        key, value = kept.pop(0), noise(99, 500000)
        said = answers(s, b"ms %s %d q\r\n%s\r\n" % (key.encode(), len(value), value))
        assert said == b"SERVER_ERROR out of memory storing object\r\nERROR\r\n", said
        assert present(s, [key]) == 0, "an ms that is refused takes the old value along, too"
        # what is refused leaves nothing old behind, as with memcached; deleting makes room again
        assert b"NOT_FOUND" not in answers(s, b"".join(b"delete %s\r\n" % k.encode()
                                                       for k in kept[:200]))
        assert answers(s, b"set k 0 0 4096\r\n" + noise(1, 4096) + b"\r\n").startswith(b"STORED")
        # what has expired makes room for what does not fit
        refill = [b"set x%d 0 100 4096\r\n%s\r\n" % (n, noise(n % 50, 4096)) for n in range(400)]
        said = b"".join(answers(s, line) for line in refill)
        assert b"STORED\r\n" in said and b"SERVER_ERROR" in said, "full again"
        if answers(s, b"debugtime 200\r\n").startswith(b"OK"):  # a build with hooks for tests
            said = b"".join(answers(s, line) for line in refill[:100])
            assert said.count(b"STORED\r\n") == 100, "the expired ones gave way"
        assert stats(server)["evictions"] == "0"


def pages_are_refused_and_the_old_ones_stay(programs):
    with Server(programs.farpaged, [memory_limit(programs, 24)]) as server, \
            tempfile.TemporaryDirectory() as directory:
        small, large = (os.path.join(directory, name) for name in ("small", "large"))
        with open(small, "wb") as f:
            f.write(sample()[:MIB])
        with open(large, "wb") as f:
            f.write(noise(1, 40 * MIB))
        programs.run(server, "store", "kept", small)
        said = programs.run(server, "store", "big", large, code=1)
        assert "memory" in said, said
        programs.run(server, "verify", "kept", small)
        with open(small, "wb") as f:  # overwriting with what does not fit leaves the old page
            f.write(noise(2, MIB))
        programs.run(server, "store", "kept", small, code=1)
        refused = int(stats(server)["farpage_page_refused"])
        assert refused > 0 and stats(server, "areas")["kept:stored"] == "256"
        programs.run(server, "invalidate", "big")
        programs.run(server, "store", "kept", small)
        programs.run(server, "verify", "kept", small)


def a_full_server_answers_every_request_of_a_pipeline(programs):
    """Again and again, 32 on the way: each is refused with its status, none is hung up on."""
    with Server(programs.farpaged, [memory_limit(programs, 24)]) as server, \
            tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "large")
        with open(path, "wb") as f:
            f.write(noise(4, 40 * MIB))
        for area in ("a", "a", "b", "c"):
            said = programs.run(server, "store", area, path, "--depth", 32, code=1)
            assert "memory limit is reached" in said, said
        programs.run(server, "ping")
        programs.run(server, "stats", "areas")
        with server.connect("tcp") as s:  # items have nothing that could give way either
            s.sendall(b"set k 0 0 1000000\r\n" + noise(5, 1000000) + b"\r\nversion\r\nquit\r\n")
            said = b""
            while got := s.recv(1000):
                said += got
            first, second = said.split(b"\r\n")[:2]
            assert first == b"SERVER_ERROR out of memory storing object", said
            assert second.startswith(b"VERSION"), "the rest of the value was dropped"
        programs.run(server, "invalidate", "a")
        with open(path, "wb") as f:
            f.write(noise(6, MIB))
        programs.run(server, "store", "d", path)
        programs.run(server, "verify", "d", path)


def the_statistics_add_up(programs):
    """With every allocator: classes to the pool, the pool and the tables to the memory held."""
    for allocator in ("blocks", "zsmalloc", "zbud"):
        with Server(programs.farpaged, [f"storage.allocator={allocator}",
                                        "storage.compaction=manual"]) as server, \
                tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "pages")
            with open(path, "wb") as f:
                f.write(sample() + noise(7, MIB) + bytes(MIB))
            programs.run(server, "store", "a", path)
            with server.connect("tcp") as s:
                for n in range(300):
                    put(s, f"k{n}", noise(n, 20000) if n % 3 else sample()[n:n + 50000])
                present(s, ["k1"])
            programs.run(server, "invalidate", "a", 100, 200)
            zpool, memory, areas = (stats(server, x) for x in ("zpool", "memory", "areas"))
            classes = stats(server, "classes")
            total = lambda word: sum(int(v) for k, v in classes.items() if k.endswith(":" + word))
            assert total("pages") == int(zpool["held_pages"]), (allocator, zpool, classes)
            assert total("objects") == int(zpool["objects"]), (allocator, zpool, classes)
            assert total("zspages") == int(zpool["zspages"]), (allocator, zpool, classes)
            assert int(memory["payload_bytes"]) == int(zpool["held_bytes"])
            assert int(memory["allocator_bytes"]) == int(zpool["table_bytes"])
            uses = [int(v) for k, v in memory.items() if k not in ("total_bytes", "limit_bytes", "over_limit_bytes")]
            assert sum(uses) == int(memory["total_bytes"])
            now = stats(server)
            packed = int(now["farpage_pages_packed_bytes"]) + int(now["farpage_item_packed_bytes"])
            assert packed == int(zpool["compressed_bytes"]) <= int(zpool["objects_bytes"])
            causes = ("objects_bytes", "rounding_bytes", "headers_bytes", "free_bytes")
            assert sum(int(zpool[x]) for x in causes) == int(zpool["held_bytes"])
            for cause in causes:
                assert total(cause) == int(zpool[cause]), (allocator, cause, zpool, classes)
            for key, value in classes.items():
                if key.endswith(":fullness"):
                    zspages = classes[key.replace("fullness", "zspages")]
                    assert sum(map(int, value.split())) == int(zspages), (allocator, key)
            assert areas["a:stored"] == now["farpage_pages_stored"] == str(500 + 512 - 200)


def items_give_way_to_pages(programs):
    with Server(programs.farpaged, [memory_limit(programs, 32)]) as server, \
            tempfile.TemporaryDirectory() as directory:
        with server.connect("tcp") as s:
            for n in range(10000):
                put(s, f"k{n}", noise(n % 50, ITEM_BYTES))
            present(s, ["k1"])
        path = os.path.join(directory, "pages")
        with open(path, "wb") as f:
            f.write(noise(3, 16 * MIB))
        programs.run(server, "store", "a", path)
        programs.run(server, "verify", "a", path)
        assert int(stats(server)["evictions"]) > 0


def large_pages_are_read_whole_when_memory_is_full(programs):
    """A page of 64 KiB with its header is more than is read at once."""
    with Server(programs.farpaged, [memory_limit(programs, 20), "storage.page_size=64KiB",
                                    "storage.item_size_max=1MiB"]) as server, \
            server.connect("tcp") as items, server.connect() as pages:
        pages.sendall(hello() + open_area(b"large"))
        assert reply(pages)["status"] == OK and reply(pages)["status"] == OK
        page = random.Random(3).randbytes(64 << 10)
        for n in range(600):
            put(items, f"k{n}", noise(n % 20, 100000))
            if n % 10 == 0:
                present(items, ["k0"])
                pages.sendall(frame(STORE, page, area=1, slot=n % 16, count=1))
                assert reply(pages)["status"] == OK
                pages.sendall(frame(LOAD, area=1, slot=n % 16, count=1))
                assert reply(pages)["body"] == page
        assert int(stats(server)["evictions"]) > 0, "memory was full"


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def a_lower_limit_gives_memory_back(programs):
    """By what the kernel says, and no more items go than must; who stores meanwhile is served."""
    plain, low = not sanitized(programs.farpaged), limit_mib(programs.farpaged, 40)
    with Server(programs.farpaged, [memory_limit(programs, 128)]) as server, \
            server.connect("tcp") as s:
        values = [noise(n, 2500 + 20 * n) for n in range(50)]  # many to a page: gaps come from it
        for n in range(42000):
            put(s, f"k{n}", values[n % 50])
        present(s, ["k1"])
        before, was = server.rss_bytes(), stats(server)
        assert int(was["farpage_memory_held_bytes"]) > 100 * MIB
        assert ask(server, f"cache_memlimit {low}\r\n") == "OK\r\n"
        now = stats(server)
        assert now["limit_maxbytes"] == str(low * MIB), now
        for n in range(500):
            said = ask(server, f"set new{n % 7} 0 0 5\r\nhello\r\nget new{n % 7}\r\n")
            assert said.startswith("STORED\r\nVALUE"), said
            if int(stats(server, "memory")["over_limit_bytes"]) == 0:
                break
        until(lambda: int(stats(server)["farpage_memory_held_bytes"]) <= low * MIB + 8192)
        # What connections hold is over now and then; it must not have emptied the cache.
        now = stats(server)
        held, kept = int(now["farpage_memory_held_bytes"]), int(now["curr_items"])
        print(f"held {held >> 20} MiB of {low}, {kept} items of {was['curr_items']}")
        assert held > 0.85 * low * MIB, "more was given up than was asked for"
        if plain:
            until(lambda: server.rss_bytes() <= 1.1 * low * MIB)
            print(f"resident {before >> 20} MiB before, {server.rss_bytes() >> 20} after")
            assert before > 100 * MIB
        until(lambda: "memory was given back" in server.stderr())
        assert ask(server, "cache_memlimit 128\r\n") == "OK\r\n"
        for n in range(20000):
            put(s, f"again{n}", values[n % 50])
        present(s, ["k1"])
        assert int(stats(server)["curr_items"]) > kept + 15000, "there is room again"


def a_limit_below_what_areas_hold_is_told(programs):
    """Pages never give way: items do, the rest is said, and nothing new is stored until it fits."""
    low = limit_mib(programs.farpaged, 24)
    with Server(programs.farpaged, [memory_limit(programs, 96)]) as server, \
            server.connect("tcp") as s, tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pages")
        with open(path, "wb") as f:
            f.write(noise(3, 32 * MIB))
        programs.run(server, "store", "a", path)
        for n in range(2000):
            put(s, f"k{n}", noise(n % 50, ITEM_BYTES))
        present(s, ["k1"])
        assert ask(server, f"cache_memlimit {low}\r\n") == "OK\r\n"
        until(lambda: "the memory limit cannot be kept" in server.stderr())
        assert stats(server)["curr_items"] == "0"
        assert int(stats(server, "memory")["over_limit_bytes"]) > 8 * MIB
        assert "SERVER_ERROR out of memory" in ask(server, "set k 0 0 1\r\nx\r\n")
        programs.run(server, "verify", "a", path)
        programs.run(server, "areas", "delete", "a")
        until(lambda: stats(server, "memory")["over_limit_bytes"] == "0")
        until(lambda: ask(server, "set k 0 0 1\r\nx\r\n") == "STORED\r\n")


def resident_memory_stays_within_the_limit(programs):
    """Ten times the limit in items of all sizes; the process stays below it by what the kernel says."""
    if sanitized(programs.farpaged):
        print("a sanitizer's own memory is not the server's: nothing to measure")
        return
    limit = 64 * MIB
    with Server(programs.farpaged, [f"storage.memory_limit={limit}B"]) as server, \
            server.connect("tcp") as s:
        sizes = random.Random(7)
        pages, sent, highest = sample(), 0, 0
        while sent < 10 * limit:
            size = int(2 ** sizes.uniform(2, 18))
            at = sizes.randrange(len(pages) - size)
            put(s, f"k{sizes.randrange(200000)}", pages[at:at + size])
            sent += size
            if sizes.random() < 0.01:
                highest = max(highest, server.rss_bytes())
        present(s, ["k1"])
        held = int(stats(server)["farpage_memory_held_bytes"])
        print(f"limit {limit}, held {held}, resident at most {highest}")
        assert held <= limit and highest <= limit * 1.05, (held, highest)
        assert "SERVER_ERROR" not in ask(server, "set x 0 0 1\r\ny\r\n")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([items_give_way_least_recently_used_first, without_eviction_nothing_gives_way,
          pages_are_refused_and_the_old_ones_stay,
          a_full_server_answers_every_request_of_a_pipeline,
          a_full_server_reads_on_while_its_small_replies_wait, the_statistics_add_up,
          items_give_way_to_pages, large_pages_are_read_whole_when_memory_is_full,
          a_lower_limit_gives_memory_back, a_limit_below_what_areas_hold_is_told,
          resident_memory_stays_within_the_limit])
