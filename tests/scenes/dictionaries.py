#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Dictionaries trained by a real server from pages that it holds."""
import sys
import tempfile
import threading
import time

from running import Server
from story import ask, sample, sanitized, stats, tell

PAGE = 4096
ZSTD = ["compressor.algorithm=zstd", "compressor.level=3"]


def one_program():
    """The part of the sample that is most alike: pages of one program, each four times, changed."""
    pages = sample()[200 * PAGE:300 * PAGE]
    return b"".join(n.to_bytes(8, "big") + pages[at + 8:at + PAGE]
                    for n in range(4) for at in range(0, len(pages), PAGE))


class Area:
    """An area with pages of a file, stored and looked at by the farpage command."""

    def __init__(self, programs, server, name, pages):
        self.programs, self.server, self.name = programs, server, name
        self.file = tempfile.NamedTemporaryFile(prefix="dictionary-")
        self.file.write(pages)
        self.file.flush()
        self.store()

    def run(self, command, *more, **how):
        return self.programs.run(self.server, command, self.name, *more, **how)

    def store(self):
        self.run("store", self.file.name)

    def verify(self):
        assert "identical" in self.run("verify", self.file.name)

    def numbers(self):
        found = {n.split(":")[1]: v for n, v in stats(self.server, "areas").items()
                 if n.startswith(self.name + ":")}
        return {n: int(v) for n, v in found.items() if v.isdecimal()}

    def train(self, *options):
        return self.programs.json(self.server, "dictionary", "train", self.name, *options)


def seats(server):
    rows = {}
    for name, value in stats(server, "compressors").items():
        if ":" in name:
            rows.setdefault(name.split(":")[0], {})[name.split(":")[1]] = value
    return rows


def wait_for(what):
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def a_dictionary_is_trained_kept_used_and_dropped(programs):
    with Server(programs.farpaged, ZSTD) as server:
        area = Area(programs, server, "python", one_program())
        other = Area(programs, server, "other", sample())
        before, loads = area.numbers()["packed_bytes"], area.numbers()["loads"]
        assert "no dictionaries" in programs.run(server, "dictionary")
        fixed = stats(server, "memory")["fixed_bytes"]
        told = area.train()
        assert stats(server, "memory")["fixed_bytes"] == fixed, "what training held is returned"
        assert told["state"] == "kept" and told["gain_percent"] > 5, told
        assert told["pages_sampled"] == 400 and told["bytes"] <= 65536, told
        assert area.numbers()["loads"] == loads, "what trains is no load"
        area.verify()  # what is stored was packed without
        area.store()
        other.store()
        after = area.numbers()["packed_bytes"]
        assert after < 0.95 * before, (before, after)
        area.verify()
        used = [r for r in programs.json(server, "advise", "python")["compressors"] if r["in_use"]]
        assert [(r["compressor"], r["dictionary"]) for r in used] == [("zstd:3", True)], used
        rows = seats(server)
        assert len(rows) == 2, rows
        plain = other.numbers()["incompressible"]
        assert {int(row["objects"]) for row in rows.values()} == {400, 500 - plain}, rows
        assert f"DICTIONARY python id {told['id']} " in ask(server, "dictionary\r\n")
        programs.run(server, "dictionary", "drop", "python")
        assert "no dictionaries" in programs.run(server, "dictionary")
        area.verify()  # they keep it
        assert len(seats(server)) == 2
        area.store()
        area.verify()
        wait_for(lambda: len(seats(server)) == 1)
        assert area.numbers()["packed_bytes"] == before
        said = programs.run(server, "dictionary", "drop", "python", code=1)
        assert "area 'python' has no dictionary" in said, said


def a_dictionary_goes_along_with_the_compressor(programs):
    with Server(programs.farpaged, ZSTD) as server:
        area = Area(programs, server, "python", one_program())
        assert area.train("--size", "16KiB")["bytes"] <= 16384
        for compressor, packs in ("lz4hc:9", "yes"), ("none", "no"), ("lz4", "yes"):
            programs.run(server, "compressor", "set", compressor)
            wait_for(lambda: stats(server, "dictionaries")["python:packs"] == packs)
            area.verify()
            area.store()
            area.verify()
        wait_for(lambda: len(seats(server)) == 2)  # lz4 with it and without
        assert stats(server, "dictionaries")["python:state"] == "kept"


def what_cannot_be_trained_is_refused_with_the_reason(programs):
    with Server(programs.farpaged) as server:
        def refused(*arguments):
            said = programs.run(server, "dictionary", *arguments, code=1)
            assert said.startswith("farpage: ") and said.count("\n") == 1, said
            return said
        assert "no area 'nix'" in refused("train", "nix")
        Area(programs, server, "few", sample()[:100 * PAGE])
        Area(programs, server, "zeros", bytes(500 * PAGE))
        assert "holds 100 pages that are not same-filled; training needs 128" in refused(
            "train", "few")
        assert "holds 0 pages" in refused("train", "zeros")
        assert "area 'few' has no dictionary" in refused("drop", "few")
        assert "no area 'nix'" in refused("drop", "nix")
        said = ask(server, "dictionary train few 1\r\ndictionary learn\r\ndictionary train\r\n"
                           "dictionary drop few more\r\ndictionary train few 1 2\r\n")
        assert said.count("CLIENT_ERROR ") == 5 and "256 to 262144 bytes" in said, said
        programs.run(server, "compressor", "set", "none")
        assert "'none' uses no dictionary" in refused("train", "few")
        assert stats(server, "dictionaries") == {}
        programs.run(server, "compressor", "set", "lz4")
        noise = bytes(n * k * k % 251 for n in range(1, 200) for k in range(PAGE))
        Area(programs, server, "alike", noise)
        told = programs.json(server, "dictionary", "train", "alike")
        assert told["state"] in ("kept", "no gain"), told
    if sanitized(programs.farpaged):
        return  # it would need more memory than that by itself
    with Server(programs.farpaged, ["storage.memory_limit=20MiB"]) as server:
        Area(programs, server, "tight", sample())
        said = programs.run(server, "dictionary", "train", "tight", code=1)
        assert "no room for training" in said, said


def pages_are_served_while_a_dictionary_is_trained(programs):
    """Several areas at once; each has its own dictionary; a second training is refused."""
    with Server(programs.farpaged, ZSTD) as server:
        areas = [Area(programs, server, f"area{n}", one_program()) for n in range(4)]
        failures = []

        def serve():
            try:
                for _ in range(10):
                    areas[0].store()
                    areas[0].verify()
            except AssertionError as error:
                failures.append(error)
        thread = threading.Thread(target=serve)
        thread.start()
        lines = "".join(f"dictionary train area{n}\r\n" for n in range(4))
        said = ask(server, lines + lines)
        assert said.count("OK\r\n") == 4, said
        assert said.count("is being trained already") == 4, said
        thread.join()
        assert not failures, failures
        wait_for(lambda: all(stats(server, "dictionaries")[f"area{n}:state"] == "kept"
                             for n in range(4)))
        for area in areas:
            area.store()
            area.verify()


def a_damaged_page_of_a_dictionary_is_reported(programs):
    with Server(programs.farpaged, ZSTD) as server:
        if "ERROR" == ask(server, "debug corrupt x 1\r\n").strip():
            return  # built without the command that damages
        area = Area(programs, server, "python", one_program())
        area.train()
        area.store()
        ask(server, "debug corrupt python 7\r\n")
        said = area.run("verify", area.file.name, code=1)
        assert "slot 7" in said and "corrupt" in said, said


def a_server_that_stops_ends_its_training(programs):
    with Server(programs.farpaged, ZSTD) as server:
        areas = [Area(programs, server, f"area{n}", one_program()) for n in range(8)]
        ask(server, "".join(f"dictionary train {area.name}\r\n" for area in areas))
        # The end of the block asks it to stop and looks at what it said.


def an_area_learns_by_itself_where_that_is_configured(programs):
    """compressor.dictionaries: auto. A small area does not; what was dropped stays dropped."""
    with Server(programs.farpaged, ["compressor.dictionaries=auto"]) as server:
        small = Area(programs, server, "small", sample())
        large = Area(programs, server, "large", one_program() * 20)
        assert large.numbers()["packed_bytes"] > 8 << 20 > small.numbers()["packed_bytes"]
        wait_for(lambda: stats(server, "dictionaries").get("large:state") == "kept")
        assert "small:state" not in stats(server, "dictionaries")
        large.store()
        large.verify()
        small.verify()
        programs.run(server, "dictionary", "drop", "large")
        time.sleep(1.5)
        assert stats(server, "dictionaries").get("large:state", "none") == "none"


def what_was_there_before_is_packed_with_it_when_asked(programs):
    with Server(programs.farpaged, ZSTD + ["recompress.duty=100"]) as server:
        area = Area(programs, server, "python", one_program())
        before = area.numbers()["packed_bytes"]
        assert area.train()["state"] == "kept"
        ask(server, "recompress start\r\n")
        wait_for(lambda: stats(server, "recompress")["last"] == "done")
        with_it, = [row for row in seats(server).values() if row["dictionary"] != "0"]
        assert int(with_it["objects"]) > 300, seats(server)
        assert area.numbers()["packed_bytes"] < 0.95 * before
        area.verify()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([a_dictionary_is_trained_kept_used_and_dropped,
          a_dictionary_goes_along_with_the_compressor,
          what_cannot_be_trained_is_refused_with_the_reason,
          pages_are_served_while_a_dictionary_is_trained,
          a_damaged_page_of_a_dictionary_is_reported,
          an_area_learns_by_itself_where_that_is_configured,
          what_was_there_before_is_packed_with_it_when_asked,
          a_server_that_stops_ends_its_training])
