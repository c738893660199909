#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Cold pages go to a file below memory and come back, whatever door they came through."""
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

import nbd

from nbd_wire import MIB, Device
from story import limit_mib, memory_limit, sanitized, stats, tell

PAGE = 4096


def spilling(programs, place, mib, *more, limit=24):
    return [memory_limit(programs, limit), f"storage.spill_path={os.path.abspath(place)}",
            f"storage.spill_size={mib}MiB", *more]


def resident_kib(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def noise_file(path, mib, seed):
    with open(path, "wb") as out:
        out.write(random.Random(seed).randbytes(mib * MIB))


def connect(device):
    handle = nbd.NBD()
    handle.connect_uri(device.uri("disk"))
    return handle


def five_times_the_memory_comes_back_by_every_door(programs):
    """Frames, a block device and memcached at once; each page is compared, and what is resident
    stays within 1.05 of the limit all the time."""
    limit = limit_mib(programs.farpaged, 20)
    with tempfile.TemporaryDirectory(dir=".") as place:
        sets = spilling(programs, place, 300, limit=20)
        exports = "[{name: disk, size: 64MiB}]"
        with Device(programs.farpaged, exports, sets) as server:
            worst, over = [0], threading.Event()

            def watch():
                while not over.wait(0.01):
                    worst[0] = max(worst[0], resident_kib(server))

            def frames():
                noise_file(f"{place}/in", 50, 1)
                programs.run(server, "store", "big", f"{place}/in")

            def items():
                value = random.Random(3).randbytes(3000)
                with server.connect("unix") as s:
                    for n in range(5000):
                        s.sendall(b"set k%d 0 0 3000 noreply\r\n%s\r\n" % (n, value))
                    s.sendall(b"mn\r\n")
                    assert s.recv(4) == b"MN\r\n"

            blocks = random.Random(2).randbytes(40 * MIB)

            def disk():
                handle = connect(server)
                for at in range(0, len(blocks), 1 << 20):
                    handle.pwrite(blocks[at:at + (1 << 20)], at)
                handle.flush()

            threads = [threading.Thread(target=each) for each in (frames, items, disk)]
            watcher = threading.Thread(target=watch)
            watcher.start()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            handle = connect(server)
            for at in range(0, len(blocks), 1 << 20):
                assert handle.pread(1 << 20, at) == blocks[at:at + (1 << 20)], at
            programs.run(server, "load", "big", f"{place}/out")
            over.set()
            watcher.join()
            assert not subprocess.run(["cmp", f"{place}/in", f"{place}/out"], check=False).returncode
            now = stats(server, "spill")
            assert int(now["pages"]) * PAGE > 60 * MIB, now
            assert now["failed_loads"] == "0" and now["bad_records"] == "0", now
            assert stats(server, "zswap")["written_back_pages"] == now["spilled_total"]
            if not sanitized(programs.farpaged):
                assert worst[0] * 1024 <= limit * MIB * 1.05, (worst, limit)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([five_times_the_memory_comes_back_by_every_door])
