# SPDX-License-Identifier: BSD-3-Clause
"""outcome - what became of a request, judged against what the servers had acknowledged.

The values under test carry their key and a version that only rises. A Ledger knows which versions
of a key may be read: the one last acknowledged, and any later one whose store ended in an error,
because such a store may have happened. The rest is told apart by how bad it is:

  right   a version that may be read
  error   the client raised one: the caller knows that it knows nothing
  miss    "not there", of a key that was acknowledged and never deleted
  old     a version before the one last acknowledged
  wrong   no value that was ever written to that key

Keys never expire and the servers never fill up, so no miss has an innocent reason but one: a server
that came back empty."""
import collections

RIGHT, ERROR, MISS, OLD, WRONG = OUTCOMES = ("right", "error", "miss", "old", "wrong")
PADDING = b"." * 200
SLOW_S = 0.1  # longer than this machine, and what else runs on it, takes by itself


def value_of(key, version):
    return b"%s %d %s" % (key.encode(), version, PADDING)


class Ledger:
    """What one thread stored under its keys; nobody else stores under them."""

    def __init__(self):
        self.acknowledged, self.attempted = {}, {}

    def next_value(self, key):
        """The value to store now. Call stored() when the server said that it has it."""
        self.attempted[key] = self.attempted.get(key, 0) + 1
        return value_of(key, self.attempted[key])

    def newest_value(self, key):
        """What a cache is filled with after a miss: no new version, the newest there is."""
        return value_of(key, self.attempted[key])

    def stored(self, key):
        self.acknowledged[key] = self.attempted[key]

    def judge(self, key, value):
        if value is None:
            return MISS
        words = bytes(value).split(b" ")
        if len(words) != 3 or words[0] != key.encode() or words[2] != PADDING \
                or not words[1].isdigit():
            return WRONG
        version = int(words[1])
        if version > self.attempted.get(key, 0) or version < 1:
            return WRONG
        return RIGHT if version >= self.acknowledged.get(key, 0) else OLD


Event = collections.namedtuple("Event", "end seconds operation of_victim outcome")


class Tally:
    """Counts of what happened between two moments, by operation and by whose key it was."""

    def __init__(self, events, begin, end):
        self.events = [e for e in events if begin <= e.end < end]
        self.counts = collections.Counter((e.operation, e.of_victim, e.outcome)
                                          for e in self.events)

    def count(self, operation, of_victim, outcome):
        return self.counts[operation, of_victim, outcome]

    def total(self, operation, of_victim):
        return sum(self.counts[operation, of_victim, o] for o in OUTCOMES)

    def percent(self, operation, of_victim, outcome):
        total = self.total(operation, of_victim)
        return 100 * self.counts[operation, of_victim, outcome] / total if total else 0.0

    def longest(self, of_victim=None):
        """Seconds of the request that took longest, of the victim's keys, the others', or all."""
        return max((e.seconds for e in self.events if of_victim in (None, e.of_victim)),
                   default=0.0)

    def slow(self):
        """How many requests took longer than SLOW_S."""
        return sum(e.seconds > SLOW_S for e in self.events)

    def first(self, of_victim, *outcomes):
        return min((e.end for e in self.events
                    if e.of_victim == of_victim and e.outcome in outcomes), default=None)

    def last(self, of_victim, *outcomes):
        return max((e.end for e in self.events
                    if e.of_victim == of_victim and e.outcome in outcomes), default=None)
