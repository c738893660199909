#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""`farpage advise`: every compressor tried on pages that a real server holds."""
import os
import sys
import tempfile
import time

from running import Server
from story import sample, sanitized, stats, tell

PAGE = 4096


def store(programs, server, area, pages, *options):
    with tempfile.NamedTemporaryFile(prefix="advice-") as file:
        file.write(pages)
        file.flush()
        programs.run(server, "store", area, file.name, *options)


def advice_tries_every_compressor_on_stored_pages(programs):
    """A table for people, the same as JSON for scripts; what is in use is marked; within 10 s."""
    with Server(programs.farpaged, ["compressor.algorithm=zstd", "compressor.level=3"]) as server:
        store(programs, server, "one", sample())
        store(programs, server, "two", sample() + bytes(100 * PAGE))
        begun = time.monotonic()
        told = programs.json(server, "advise")
        if not sanitized(programs.farpaged):
            assert time.monotonic() - begun < 10
        assert told["areas"] == 2 and told["stored_pages"] == 1100, told
        assert told["same_filled_pages"] == 100 and told["sampled_pages"] == 1100, told
        assert [row["compressor"] for row in told["compressors"] if row["in_use"]] == ["zstd:3"]
        by_name = {(r["compressor"], r["dictionary"]): r for r in told["compressors"]}
        assert by_name["zstd:3", False]["ratio"] > by_name["lz4:1", False]["ratio"] > 1.5, told
        assert by_name["zstd:3", True]["ratio"] > by_name["zstd:3", False]["ratio"], told
        assert told["dense"]["memory_bytes"] <= told["fast"]["memory_bytes"], told
        said = programs.run(server, "advise", "one", "--pages", 300)
        assert "500 pages stored in 1 area" in said and "300 sampled" in said, said
        lines = said.splitlines()
        assert sum("in use now" in line for line in lines) == 1, said
        assert [line.split(":")[0] for line in lines[-2:]] == ["fast", "dense"], said


def advice_is_true_to_what_the_server_keeps(programs):
    """The memory that is told for what is in use is what the server needs for it."""
    for compressor in ("lz4", "zstd"):
        with Server(programs.farpaged, [f"compressor.algorithm={compressor}"]) as server:
            store(programs, server, "real", sample() * 8)
            told = programs.json(server, "advise", "real")
            row = next(row for row in told["compressors"] if row["in_use"])
            zpool = stats(server, "zpool")
            needs = int(zpool["held_bytes"]) - int(zpool["free_bytes"]) + 8 * told["stored_pages"]
            assert abs(row["memory_bytes"] / needs - 1) < 0.03, (row, needs, zpool)


def pages_are_found_wherever_they_are(programs):
    """At the beginning of an area that is large and empty, or scattered over a smaller one."""
    with Server(programs.farpaged, ["storage.memory_limit=64MiB"]) as server:
        store(programs, server, "large", sample(), "--size", "64GiB")
        assert programs.json(server, "advise", "large")["sampled_pages"] == 500
        store(programs, server, "full", sample() * 8)
        for first in range(0, 4000, 10):
            programs.run(server, "invalidate", "full", first, 8)
        told = programs.json(server, "advise", "full")
        assert told["sampled_pages"] == told["stored_pages"] == 800, told


def what_no_advice_can_be_given_on_is_said(programs):
    """One line for each: no such area, no page, too few, only same-filled ones."""
    with Server(programs.farpaged) as server:
        def refused(*arguments):
            said = programs.run(server, "advise", *arguments, code=1)
            assert said.startswith("farpage: ") and said.count("\n") == 1, said
            return said
        assert "the server holds no pages" in refused()
        assert "no area 'nix'" in refused("nix")
        store(programs, server, "zeros", bytes(100 * PAGE))
        assert "all 100 pages of area 'zeros' are same-filled" in refused("zeros")
        store(programs, server, "few", sample()[:10 * PAGE])
        assert "only 10 pages that are not same-filled" in refused("few")
        assert "only 10 pages that are not same-filled" in refused()
        programs.run(server, "invalidate", "few")
        assert "area 'few' holds no pages" in refused("few")
        store(programs, server, "noise", os.urandom(100 * PAGE))
        told = programs.json(server, "advise", "noise")
        assert not any(r["worth_it"] for r in told["compressors"] if r["dictionary"]), told
        assert told["dense"]["ratio"] == 1 and not told["dense"]["dictionary"], told


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([advice_tries_every_compressor_on_stored_pages, advice_is_true_to_what_the_server_keeps,
          pages_are_found_wherever_they_are, what_no_advice_can_be_given_on_is_said])
