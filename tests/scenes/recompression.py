#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stored pages are packed once more while the server serves them."""
import os
import signal
import sys
import tempfile
import threading
import time

from running import Server
from story import ask, sample, stats, tell


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def seats(server):
    """{"lz4:1": objects} of the seats that are not empty."""
    said = stats(server, "compressors")
    ids = [name.split(":")[0] for name in said if name.endswith(":algorithm")]
    return {f"{said[i + ':algorithm']}:{said[i + ':level']}": int(said[i + ":objects"])
            for i in ids}


def recompress(server):
    said = stats(server, "recompress")
    return {name: int(value) if value.isdigit() else value for name, value in said.items()}


class Pages:
    """The sample in the area "a", and one item; both must always come back."""

    def __init__(self, programs, server):
        self.programs, self.server = programs, server
        self.file = tempfile.NamedTemporaryFile(suffix=".pages")
        self.file.write(sample())
        self.file.flush()
        self.value = (b"It was the best of times, it was the worst of times. " * 800).decode()
        programs.run(server, "store", "a", self.file.name)
        said = ask(server, f"set k 5 0 {len(self.value)}\r\n{self.value}\r\n")
        assert said == "STORED\r\n", said

    def verify(self):
        self.programs.run(self.server, "verify", "a", self.file.name)
        said = ask(self.server, "get k\r\n")
        assert said == f"VALUE k 5 {len(self.value)}\r\n{self.value}\r\nEND\r\n", said[:100]


def a_change_of_the_compressor_empties_the_old_seat_by_itself(programs):
    with Server(programs.farpaged, ["recompress.duty=100"]) as server:
        pages = Pages(programs, server)
        before = seats(server)
        packed = int(stats(server, "areas")["a:packed_bytes"])
        assert list(before) == ["lz4:1"] and before["lz4:1"] > 300, before
        failures, over = [], threading.Event()

        def verify_all_the_time():
            try:
                while not over.is_set():
                    pages.verify()
            except BaseException as error:  # told by the main thread
                failures.append(error)

        reader = threading.Thread(target=verify_all_the_time)
        reader.start()
        for compressor in ("zstd:3", "lz4hc:9", "zstd:1"):
            ask(server, f"compressor set {compressor}\r\n")
            until(lambda: list(seats(server)) == [compressor])
            assert seats(server)[compressor] >= before["lz4:1"]
        over.set()
        reader.join()
        assert not failures, failures[0]
        pages.verify()
        said = recompress(server)
        assert said["draining_seats"] == said["draining_objects"] == said["corrupt"] == 0, said
        assert said["rewritten"] > 3 * 300 and said["saved_bytes"] > said["added_bytes"], said
        assert int(stats(server, "areas")["a:packed_bytes"]) < packed * 4 // 5
        assert stats(server)["total_items"] == "1", "rewriting is no set"
        programs.run(server, "invalidate", "a")
        ask(server, "delete k\r\n")
        until(lambda: seats(server) == {"zstd:1": 0})


def a_run_can_be_paused_resumed_and_cancelled(programs):
    with Server(programs.farpaged, ["recompress.duty=1", "recompress.draining=manual"]) as server:
        pages = Pages(programs, server)
        ask(server, "compressor set zstd:9\r\n")
        assert ask(server, "recompress cancel\r\n").startswith("SERVER_ERROR nothing runs")
        assert ask(server, "recompress stop\r\n").startswith("CLIENT_ERROR usage: recompress")
        time.sleep(0.5)
        assert recompress(server)["looked"] == 0, "manual: not before it is asked for"
        assert ask(server, "recompress start\r\n") == "OK\r\n"
        until(lambda: recompress(server)["run_looked"] > 0)
        said = recompress(server)
        assert said["state"] == "running" and said["run"] == "asked", said
        assert said["run_to_look"] == 501 and said["seconds_left"] > 0, said
        assert ask(server, "recompress pause\r\n") == "OK\r\n"
        assert ask(server, "recompress start\r\n").startswith("SERVER_ERROR it is paused")
        time.sleep(0.6)
        held = recompress(server)
        assert held["state"] == "paused" and held["progress_percent"] < 100, held
        time.sleep(0.6)
        assert recompress(server)["looked"] == held["looked"], "a pause holds it"
        pages.verify()
        assert ask(server, "recompress resume\r\n") == "OK\r\n"
        until(lambda: recompress(server)["looked"] > held["looked"])
        assert programs.run(server, "recompress").startswith("running ")
        programs.run(server, "recompress", "stop", code=2)
        assert programs.run(server, "recompress", "cancel") == "OK\n"
        until(lambda: recompress(server)["state"] == "idle")
        assert "nothing runs" in programs.run(server, "recompress", "cancel", code=1)
        assert recompress(server)["last"] == "cancelled"
        both = seats(server)
        assert both["lz4:1"] > 0 and both["zstd:9"] > 0, both
        pages.verify()


def what_nobody_reads_is_packed_more_strongly(programs):
    sets = ["recompress.algorithm=zstd", "recompress.level=9", "recompress.idle=1s",
            "recompress.duty=100"]
    with Server(programs.farpaged, sets) as server:
        pages = Pages(programs, server)
        packed = int(stats(server, "areas")["a:packed_bytes"])
        assert seats(server)["lz4:1"] > 300
        until(lambda: seats(server).get("zstd:9", 0) > 300)
        until(lambda: int(stats(server, "areas")["a:packed_bytes"]) < packed * 4 // 5)
        said = recompress(server)
        assert said["run"] == "cold" and said["stronger"] == "zstd:9", said
        assert said["draining_seats"] == 0 and said["added_bytes"] == 0, said
        pages.verify()
        pages.programs.run(server, "store", "a", pages.file.name)  # new pages are warm again
        assert seats(server)["lz4:1"] > 300
        pages.verify()


def a_reload_starts_and_ends_the_stronger_compressor(programs):
    with Server(programs.farpaged) as server:
        pages = Pages(programs, server)
        path = os.path.join(server.directory, "scene.yaml")
        with open(path) as f:
            base = f.read()

        def reload(text):
            with open(path, "w") as f:
                f.write(base + text)
            server.process.send_signal(signal.SIGHUP)

        reload("recompress: {algorithm: zstd, level: 19, idle: 1s, duty: 100}\n")
        until(lambda: seats(server).get("zstd:19", 0) > 300)
        reload("recompress: {algorithm: zstd, level: 12, idle: 1s, duty: 100}\n")
        until(lambda: "zstd:19" not in seats(server))
        pages.verify()
        reload("recompress: {duty: 100}\n")
        until(lambda: recompress(server)["stronger"] == "off")
        pages.verify()
        reload("recompress: {algorithm: zstd, level: 20}\n")
        until(lambda: "20 is not within" in server.stderr())
        assert recompress(server)["stronger"] == "off"
        assert ask(server, "recompress start\r\n") == "OK\r\n"
        until(lambda: list(seats(server)) == ["lz4:1"])
        pages.verify()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([a_change_of_the_compressor_empties_the_old_seat_by_itself,
          a_run_can_be_paused_resumed_and_cancelled, what_nobody_reads_is_packed_more_strongly,
          a_reload_starts_and_ends_the_stronger_compressor])
