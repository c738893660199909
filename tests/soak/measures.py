# SPDX-License-Identifier: BSD-3-Clause
"""measures - what is looked at while it goes on, and what must be nothing afterwards."""
import time

from story import stats


class Samples:
    """Resident memory that nobody accounts for, over time."""

    def __init__(self):
        self.rows = []

    def take(self, place):
        rss = place.server.rss_bytes()
        try:
            memory = stats(place.server, "memory")
        except OSError:
            memory = {}
        if "total_bytes" not in memory:
            return  # there are too many connections just now
        known = int(memory["total_bytes"]) - int(memory["heap_bytes"])
        self.rows.append((time.monotonic(), rss, rss - known, int(memory["total_bytes"])))

    def slope(self):
        """KiB a minute, by least squares over all but the first quarter; None where that is short."""
        rows = self.rows[len(self.rows) // 4:]
        if len(rows) < 3:
            return None
        xs, ys = [r[0] / 60 for r in rows], [r[2] / 1024 for r in rows]
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        return (sum((a - x) * (b - y) for a, b in zip(xs, ys)) /
                sum((a - x) ** 2 for a in xs))


def until_zero(what, seconds=60):
    """Waits; what is left at the end."""
    end = time.monotonic() + seconds
    while (left := what()) and time.monotonic() < end:
        time.sleep(0.2)
    return left


def nothing_held(place):
    """Maps, pins and users of compressors: {name: number} of those that are not 0."""
    found = {}
    maps, pool = stats(place.server, "maps"), stats(place.server, "zpool")
    for name, number in [("maps", maps.get("maps", "0")), ("pinned", pool["pinned"])]:
        if int(number):
            found[name] = int(number)
    for name, number in stats(place.server, "compressors").items():
        if name.endswith(":packing") and int(number):
            found[name] = int(number)
    return found


def sums(place):
    """What must be 0 once all that was stored is taken away: {name: number} of what is not."""
    found = {}

    def add(name, number):
        if int(number):
            found[name] = int(number)

    add("objects", stats(place.server, "zpool")["objects"])
    spill = stats(place.server, "spill")
    for name in ("pages", "live_bytes"):
        add("spilled " + name, spill[name])
    for section, ends in (("tenants", (":bytes", ":items", ":pages")), ("compressors", (":objects",
                          ":users")), ("areas", (":stored", ":spilled"))):
        for name, number in stats(place.server, section).items():
            if name.endswith(ends):
                add(name, number)
    memory = stats(place.server, "memory")
    for name in ("maps_bytes", "snapshot_bytes"):
        add(name, memory[name])
    return found
