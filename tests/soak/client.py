# SPDX-License-Identifier: BSD-3-Clause
"""client - what all that live in the soak have in common."""
import os
import random
import time

from journal import Journal


class Wrong(Exception):
    """Other bytes than may be there, or an answer that cannot be."""


class Client:
    slots = 1500
    patience = 0  # until the server has read what one that was killed had sent, where nothing else tells

    def __init__(self, place, index):
        self.place, self.name = place, f"{type(self).__name__.lower()}{index}"
        self.journal = Journal(place.path(self.name), self.slots) if self.slots else None
        self.random = random.Random(f"{place.seed} {self.name} {os.getpid()}")
        self.count = 0

    def check(self, slot, found, **more):
        if not self.journal.fits(slot, self.name, found, **more):
            raise Wrong(f"{self.name}: slot {slot} has other bytes: versions "
                        f"{self.journal.both(slot)}, found {found[:32] if found else found}")

    def live(self):
        """Until somebody ends it."""
        self.enter()
        if self.journal and (doubts := self.journal.doubts()):
            time.sleep(self.patience)
            for slot in doubts:
                self.look(slot)
        while True:
            self.step()
            self.count += 1
            if self.slots == 0 or self.count % 50 == 0:
                self.place.write(f"{self.name}.count.{os.getpid()}", str(self.count))

    def note(self, what):
        """A line for the report."""
        with open(self.place.path(f"{self.name}.notes"), "a") as f:
            f.write(what + "\n")

    def enter(self):
        pass

    def verify(self):
        """How many bytes are there as they may be; after its end."""
        self.enter()
        return sum(self.look(slot) for slot in range(self.slots))
