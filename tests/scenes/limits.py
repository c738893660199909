#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is refused, who gives way and how much is given back, where memory has limits."""
import os
import sys
import tempfile

from full_memory import MIB, noise, until
from running import Server
from story import memory_limit, sample, stats, tell


def zswaps_counters_say_why_pages_were_refused(programs):
    with Server(programs.farpaged, [memory_limit(programs, 24)]) as server, \
            tempfile.TemporaryDirectory() as directory:
        small, large = (os.path.join(directory, name) for name in ("small", "large"))
        with open(small, "wb") as f:
            f.write(sample()[:MIB] + bytes(MIB))
        with open(large, "wb") as f:
            f.write(noise(1, 40 * MIB))
        programs.run(server, "store", "kept", small)
        programs.run(server, "store", "kept", small)
        calm = stats(server, "zswap")
        assert calm["duplicate_entry"] == calm["stored_pages"] == "512", calm
        assert int(calm["same_filled_pages"]) >= 256, calm
        assert calm["pool_total_size"] == stats(server, "zpool")["held_bytes"]
        assert not any(int(n) for name, n in calm.items() if name.startswith("reject")), calm
        assert calm["pool_limit_hit"] == "0" and calm["reclaiming"] == "no", calm
        programs.run(server, "store", "big", large, code=1)
        full, areas = stats(server, "zswap"), stats(server, "areas")
        refused = int(full["reject_reclaim_fail"])
        assert refused > 0 and int(full["pool_limit_hit"]) >= refused, full
        assert int(areas["big:refused"]) == refused, (areas, full)
        assert int(full["stored_incompressible_pages"]) > 256
        until(lambda: stats(server, "zswap")["reclaiming"] == "yes", 5)
        programs.run(server, "areas", "create", "tiny", "--size", "4MiB", "--quota-pages", 4)
        programs.run(server, "areas", "delete", "big")
        programs.run(server, "store", "tiny", small, code=1)
        programs.run(server, "areas", "delete", "kept")
        last = stats(server, "zswap")
        assert last["reject_quota"] != "0" and last["reject_reclaim_fail"] == str(refused), last
        assert int(last["duplicate_entry"]) >= 512, "what ended areas counted stays"


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([zswaps_counters_say_why_pages_were_refused])
