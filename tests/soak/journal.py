# SPDX-License-Identifier: BSD-3-Clause
"""journal - what a client knows of its slots, in memory that outlives it: whoever kills it can say
what may be there. Versions: 0 is nothing; what has one is made of it."""
import mmap
import os
import random
import struct

PAGE = 4096
GONE = 1 << 31  # in a version: it was taken away with it


def content(name, slot, version, size=PAGE):
    """Noise, text, one word over and over, or a page with a little of each."""
    made = random.Random(f"{name} {slot} {version}")
    kind = (slot + version) % 4
    if kind == 0:
        return made.randbytes(size)
    if kind == 1:
        return (b"%d of %s, the %d. time; " % (slot, name.encode(), version) * (size // 16))[:size]
    if kind == 2:
        return (struct.pack(">Q", made.getrandbits(64)) * (size // 8 + 1))[:size]
    return (made.randbytes(size // 8) + made.randbytes(16) * (size // 16 + 1))[:size]


class Journal:
    """For each slot the version that was acknowledged, and the one that was tried last. Whoever begins
    where somebody was killed looks first which it is: a third try would make three."""

    def __init__(self, path, slots):
        self.slots = slots
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.truncate(slots * 8)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), slots * 8)

    def both(self, slot):
        return struct.unpack_from(">II", self.map, slot * 8)

    def doubts(self):
        """Slots of which nobody knows whether the last try came about."""
        return [slot for slot in range(self.slots) if len(set(self.both(slot))) > 1]

    def next(self, slot, gone=False):
        """The version that is tried now."""
        version = (max(v & ~GONE for v in self.both(slot)) + 1) | (GONE if gone else 0)
        struct.pack_into(">I", self.map, slot * 8 + 4, version)
        return version

    def done(self, slot):
        struct.pack_into(">I", self.map, slot * 8, self.both(slot)[1])

    def undone(self, slot):
        struct.pack_into(">I", self.map, slot * 8 + 4, self.both(slot)[0])

    def fits(self, slot, name, found, size=lambda slot, version: PAGE):
        """Whether bytes, or None for nothing, are what may be there; then it is known which."""
        for version in self.both(slot):
            nothing = version == 0 or version & GONE
            if (found is None) == bool(nothing) and (
                    nothing or found == content(name, slot, version, size(slot, version))):
                struct.pack_into(">II", self.map, slot * 8, version, version)
                return True
        return False
