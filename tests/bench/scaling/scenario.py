# SPDX-License-Identifier: BSD-3-Clause
"""scenario - one engine over three servers, one of which is killed twice, or frozen for a while.

The engines that are measured stand here: as they should be set, and as they are set wrongly (or not
at all) by people who then lose data without a word. Time scales are short, so that the way out of a
time limit is in the picture too; docs/scaling.md names each setting that is not its default."""
import time

from cluster import Cluster, Server
from engines import FOREVER, Libmemcached, Pymemcache, Twemproxy
from outcome import ERROR, MISS, OLD, RIGHT, WRONG, Tally
from workload import Workload

VICTIM = 1
BEFORE_S, DEAD_S, BACK_S, AGAIN_S = 1.0, 4.0, 5.0, 3.0
FROZEN_S, THAWED_S, PATIENCE_S = 7.0, 2.0, 10.0
WAIT_LIMIT_S = 0.5
WAIT_LIMIT_MS = int(WAIT_LIMIT_S * 1000)

LIBMEMCACHED = {"ketama": True, "connect_timeout": WAIT_LIMIT_MS, "_poll_timeout": WAIT_LIMIT_MS,
                "retry_timeout": 1}
TWEMPROXY = {"timeout": WAIT_LIMIT_MS}
EJECTING = {**TWEMPROXY, "auto_eject_hosts": "true", "server_failure_limit": 1,
            "server_retry_timeout": 1000}
PYMEMCACHE = {"timeout": WAIT_LIMIT_S, "connect_timeout": WAIT_LIMIT_S,
              "retry_attempts": FOREVER, "retry_timeout": -1}

# In the order of the tables. The first of each library is how to set it.
KILLED = [
    Libmemcached("libmemcached", "ketama, retry_timeout 1", **LIBMEMCACHED),
    Libmemcached("libmemcached, ejecting", "auto_eject, failure_limit 1, dead_timeout 2",
                 **LIBMEMCACHED, auto_eject=True, failure_limit=1, dead_timeout=2),
    Libmemcached("libmemcached, removing", "remove_failed, failure_limit 1",
                 **LIBMEMCACHED, remove_failed=True, failure_limit=1),
    Twemproxy("twemproxy", "ketama, auto_eject_hosts: false", **TWEMPROXY),
    Twemproxy("twemproxy, ejecting", "ketama, auto_eject_hosts: true, server_failure_limit: 1, "
              "server_retry_timeout: 1000", **EJECTING),
    Twemproxy("twemproxy, ejecting, modula", "as the row above, but modula",
              **EJECTING, distribution="modula"),
    Pymemcache("pymemcache", "retry_attempts 2^31, retry_timeout -1", **PYMEMCACHE),
    Pymemcache("pymemcache, as it comes", "only dead_timeout 2", dead_timeout=2),
    Pymemcache("pymemcache, ignoring", "ignore_exc, dead_timeout 2", dead_timeout=2,
               ignore_exc=True),
]
FROZEN = [
    Libmemcached("libmemcached", "connect_timeout and _poll_timeout 500", **LIBMEMCACHED),
    Libmemcached("libmemcached, as it comes", "ketama alone", ketama=True),
    Twemproxy("twemproxy", "timeout: 500", **TWEMPROXY),
    Twemproxy("twemproxy, as it comes", "no timeout"),
    Twemproxy("twemproxy, ejecting", "timeout: 500, auto_eject_hosts: true", **EJECTING),
    Pymemcache("pymemcache", "timeout and connect_timeout 0.5", **PYMEMCACHE),
    Pymemcache("pymemcache, as it comes", "no timeout"),
]


class Result:
    """Of one engine: a Tally for each span of time, and the errors by their words."""

    def __init__(self, engine, workload, events, moments):
        """`moments`: [(name, when it begins)], in order; the last is the end of all."""
        self.engine, self.errors, self.share = engine, workload.errors(), workload.share
        for (name, begin), (_, end) in zip(moments, moments[1:]):
            setattr(self, name, Tally(events, begin, end))
        self.begins = dict(moments)
        self.all = Tally(events, moments[0][1], moments[-1][1])

    def silent(self, operation, of_victim, span):
        """Percent of what came back without an error, and was not what had been stored."""
        tally = getattr(self, span)
        return sum(tally.percent(operation, of_victim, o) for o in (MISS, OLD, WRONG))

    def others_troubled(self):
        """Single requests for keys of the servers that never died, that did not go right."""
        return sum(self.all.count(operation, False, outcome) for operation in ("get", "set", "fill")
                   for outcome in (ERROR, MISS, OLD, WRONG))

    def read(self, outcome):
        """Keys that came back so, from the beginning to the end, whoever's they are."""
        return sum(self.all.count(operation, of_victim, outcome)
                   for operation in ("get", "many") for of_victim in (True, False))

    def first_trouble(self):
        """Seconds from the kill to the first request that did not go right."""
        first = self.dead.first(True, ERROR, MISS, OLD)
        return None if first is None else first - self.begins["dead"]

    def used_again(self):
        """Seconds from the restart to the last error on the victim's keys, in the span `back`."""
        last = self.back.last(True, ERROR)
        return 0.0 if last is None else last - self.begins["back"]

    def stored(self, span):
        return getattr(self, span).count("set", True, RIGHT)


def play(farpaged, engine, acts):
    """Each act is (name, what is done to the victim, seconds that it lasts)."""
    with Cluster(farpaged) as cluster:
        engine.prepare(cluster)
        victim = cluster.servers[VICTIM]
        workload, moments = Workload(engine, victim), []
        workload.start()
        for name, begin, seconds in acts:
            moments.append((name, begin(victim)))
            time.sleep(seconds)
        moments.append(("end", time.monotonic()))
        return Result(engine, workload, workload.stop(PATIENCE_S), moments)


def untouched(_):
    return time.monotonic()


def killed(farpaged, engine):
    """SIGKILL, a restart that finds it empty, and a second SIGKILL."""
    return play(farpaged, engine, (("before", untouched, BEFORE_S), ("dead", Server.kill, DEAD_S),
                                   ("back", Server.start, BACK_S), ("again", Server.kill, AGAIN_S)))


def frozen(farpaged, engine):
    """SIGSTOP, and SIGCONT after FROZEN_S: it comes back with all that it had."""
    return play(farpaged, engine, (("before", untouched, BEFORE_S),
                                   ("dead", Server.freeze, FROZEN_S),
                                   ("back", Server.thaw, THAWED_S)))
