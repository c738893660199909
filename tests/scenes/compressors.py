#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The compressor is changed while clients work: the story of zswap's pools."""
import os
import struct
import subprocess
import tempfile
import threading
import time

from protocol_examples import crc32c
from running import Server
from story import ask, sample, sanitized, stats, tell

FIVE = ["zstd:1", "lz4:4", "lz4hc:4", "none", "lz4:1"]
EVERY_SECONDS = 0.02


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def column(server, name):
    """{seat: value} of one column of `stats compressors`."""
    return {key.split(":")[0]: value for key, value in stats(server, "compressors").items()
            if key.endswith(":" + name)}


class Loading(threading.Thread):
    """Loads an area again and again, each page compared; no request may fail or be late."""

    def __init__(self, programs, server, path, until_time):
        super().__init__()
        self.command = [programs.farpage, "--server", "unix:" + server.unix, "verify", "swap", path,
                        "--connections", "2", "--timeout", "5s"]
        self.until_time, self.rounds, self.said = until_time, 0, None

    def run(self):
        while self.said is None and time.monotonic() < self.until_time:
            done = subprocess.run(self.command, capture_output=True, text=True, timeout=120,
                                  check=False)
            if done.returncode != 0:
                self.said = done.stdout + done.stderr
            self.rounds += 1


def swap_until(server, until_time):
    """Another compressor every 20 ms, each answer awaited; (swaps, the slowest answer)."""
    swaps, slowest = 0, 0.0
    with server.connect("unix") as s:
        while time.monotonic() < until_time:
            begun = time.monotonic()
            s.sendall(b"compressor set %s\r\n" % FIVE[swaps % len(FIVE)].encode())
            answer = s.recv(256)
            slowest = max(slowest, time.monotonic() - begun)
            assert answer.startswith(b"OK %s, was" % FIVE[swaps % len(FIVE)].encode()), answer
            swaps += 1
            time.sleep(max(0.0, EVERY_SECONDS - (time.monotonic() - begun)))
    return swaps, slowest


def spread(server, path):
    """Some pages in each of the five seats, so that all of them are read."""
    size = os.path.getsize(path) // 4096
    for n, name in enumerate(FIVE):
        assert ask(server, f"compressor set {name}\r\n").startswith("OK"), name
        with open(path, "rb") as f:
            store_some(server, size, f.read(), n)


def frame(opcode, tag, slot=0, area=0, count=0, body=b""):
    head = struct.pack(">BBHIQIIIII", 0xFA, opcode, 0, tag, slot, area, count, len(body),
                       crc32c(body) if body else 0, 0)
    return head + struct.pack(">I", crc32c(head)) + body


def receive_frame(s):
    data = b""
    while len(data) < 40:
        data += s.recv(40 - len(data))
    left = struct.unpack(">I", data[24:28])[0]
    while left > 0:
        more = s.recv(left)
        assert more
        left -= len(more)
    return struct.unpack(">H", data[2:4])[0], struct.unpack(">I", data[16:20])[0]


def store_some(server, size, pages, which):
    """Every fifth page, from `which` on."""
    with server.connect("unix") as s:
        s.sendall(frame(1, 1, body=struct.pack(">HHI", 1, 1, 0)))
        assert receive_frame(s)[0] == 0
        s.sendall(frame(4, 2, body=struct.pack(">IIQ64x", 3, 0, size) + b"swap"))
        status, area = receive_frame(s)
        assert status == 0
        for slot in range(which, size, len(FIVE)):
            s.sendall(frame(5, 3, slot, area, 1, pages[slot * 4096:slot * 4096 + 4096]))
            assert receive_frame(s)[0] == 0


def loads_never_wait_for_a_swap(programs):
    """Ten seconds of loads at full speed, the compressor changed every 20 ms among five."""
    seconds = 3 if sanitized(programs.farpaged) else 10
    settings = ["recompress.draining=manual", "recompress.duty=100"]
    with Server(programs.farpaged, settings) as server, \
            tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "pages")
        with open(path, "wb") as f:
            f.write(sample()[:400 * 4096])
        spread(server, path)
        held = [name for name, objects in column(server, "objects").items() if objects != "0"]
        assert len(held) == len(FIVE) - 1, column(server, "objects")  # none packs nothing
        end = time.monotonic() + seconds
        loads = [Loading(programs, server, path, end) for _ in range(2)]
        for load in loads:
            load.start()
        swaps, slowest = swap_until(server, end)
        for load in loads:
            load.join()
            assert load.said is None, load.said
            assert load.rounds > 0
        assert swaps > seconds * 10 and slowest < 2, (swaps, slowest)
        assert int(stats(server, "compressors")["swaps"]) >= swaps
        assert set(column(server, "failures").values()) == {"0"}
        recompression_empties_the_old_seats(programs, server, path)
        the_old_seats_drain(programs, server, path)


def recompression_empties_the_old_seats(programs, server, path):
    """Nobody stores: the objects are packed anew, all seats but the current one are empty."""
    spread(server, path)
    assert ask(server, "compressor set zstd:1\r\n").startswith("OK")
    assert ask(server, "recompress start\r\n").startswith("OK")
    until(lambda: list(column(server, "state").values()) == ["current"])
    seat, = column(server, "state")
    until(lambda: column(server, "users") == {seat: "0"})
    area = stats(server, "areas")
    kept = [int(area["swap:" + name]) for name in ("stored", "same_filled", "incompressible")]
    assert int(column(server, "objects")[seat]) == kept[0] - kept[1] - kept[2], (kept, area)
    programs.run(server, "verify", "swap", path)


def the_old_seats_drain(programs, server, path):
    """Everything rewritten: all seats but the current one are empty, and every count is exact."""
    assert ask(server, "compressor set zstd:3\r\n").startswith("OK")
    programs.run(server, "store", "swap", path)
    until(lambda: list(column(server, "state").values()) == ["current"])
    seat, = column(server, "state")
    area = stats(server, "areas")
    kept = [int(area["swap:" + name]) for name in ("stored", "same_filled", "incompressible")]
    assert int(column(server, "objects")[seat]) == kept[0] - kept[1] - kept[2], (kept, area)
    assert column(server, "users") == {seat: "0"}
    programs.run(server, "verify", "swap", path)
    programs.run(server, "invalidate", "swap")
    assert column(server, "objects") == {seat: "0"}


def the_command_changes_the_compressor(programs):
    with Server(programs.farpaged) as server:
        assert programs.run(server, "compressor") == "lz4:1\n"
        assert programs.run(server, "compressor", "set", "zstd:3") == "zstd:3, was lz4:1\n"
        assert programs.run(server, "compressor", "set", "zstd", "5") == "zstd:5, was zstd:3\n"
        assert programs.run(server, "compressor", "set", "zstd:-5") == "zstd:-5, was zstd:5\n"
        assert programs.run(server, "compressor", "set", "zstd:-5") == "zstd:-5 already\n"
        assert programs.json(server, "compressor") == {"compressor": "zstd:-5"}
        assert programs.json(server, "compressor", "set", "lz4") == {"compressor": "lz4:1",
                                                                     "was": "zstd:-5"}
        said = programs.run(server, "compressor", "set", "lz4hc:13", code=1)
        assert said == "farpage: 13 is not within 1 to 12, the levels of lz4hc (0: its own)\n", said
        said = programs.run(server, "compressor", "set", "snappy", code=1)
        assert "'snappy' is not none, lz4[:1 to 65537], " in said, said
        assert stats(server, "compressors")["swaps"] == "4"


def when_every_seat_holds_pages_a_swap_is_refused(programs):
    page = (b"farpages " * 456)[:4096]  # shrinks at every level
    with Server(programs.farpaged, ["recompress.draining=manual"]) as server:
        with server.connect("unix") as text, server.connect("unix") as s:
            s.sendall(frame(1, 1, body=struct.pack(">HHI", 1, 1, 0)))
            assert receive_frame(s)[0] == 0
            s.sendall(frame(4, 2, body=struct.pack(">IIQ64x", 3, 0, 256) + b"swap"))
            area = receive_frame(s)[1]
            for n in range(256):
                text.sendall(b"compressor set lz4:%d\r\n" % (n + 1))
                assert text.recv(256).startswith(b"OK")
                s.sendall(frame(5, 3, n, area, 1, page))
                assert receive_frame(s)[0] == 0
            text.sendall(b"compressor set zstd:1\r\n")
            answer = text.recv(256)
            assert answer == (b"SERVER_ERROR all 256 seats of the compressor still hold objects; "
                              b"lz4:256 stays\r\n"), answer
            said = programs.run(server, "compressor", "set", "zstd:1", code=1)
            assert "still hold objects" in said, said
            text.sendall(b"compressor set lz4:7\r\n")  # it drains: wanted again, it is current
            assert text.recv(256) == b"OK lz4:7, was lz4:256\r\n"
            s.sendall(frame(7, 4, 41, area, 1))
            assert receive_frame(s)[0] == 0
            text.sendall(b"compressor set zstd:1\r\n")
            assert text.recv(256) == b"OK zstd:1, was lz4:7\r\n"
            table = programs.run(server, "stats", "compressors")
            assert "seat" in table and "resurrected" in table and "zstd" in table, table


if __name__ == "__main__":
    tell([loads_never_wait_for_a_swap, the_command_changes_the_compressor,
          when_every_seat_holds_pages_a_swap_is_refused])
