# SPDX-License-Identifier: BSD-3-Clause
"""claims - what docs/scaling.md says, each sentence with a tag, and whether a run bears it out.

A claim is a function over what was measured; it answers (does it hold, the figures it looked at).
Its tag stands behind the sentence in the document, and report.tags_differ() sees that neither has
one that the other has not."""
import frames
import library
import pages
from outcome import ERROR, MISS, OLD, RIGHT, SLOW_S, WRONG
from scenario import FROZEN_S, WAIT_LIMIT_S

CAREFUL = ("libmemcached", "twemproxy", "pymemcache")
EJECTING = ("libmemcached, ejecting", "twemproxy, ejecting", "twemproxy, ejecting, modula",
            "pymemcache, as it comes", "pymemcache, ignoring")
# On a machine that others use too, "at once" is within WAIT_MAX_S, and "nobody" one in a thousand.
WAIT_MAX_S, SLOW_MAX = 0.25, 0.001
CLAIMS = []        # (tag, what must have been measured, sentence, function)


def claim(tag, part, sentence):
    def keep(function):
        CLAIMS.append((tag, part, sentence, function))
        return function
    return keep


def named(rows, names):
    return [rows[name] for name in names]


def each(rows, figure):
    return ", ".join(f"{row.engine.name}: {figure(row)}" for row in rows)


# --- killed --------------------------------------------------------------------------------------

@claim("K1", "killed", "a killed server makes nobody wait, whatever the settings")
def no_wait(measured):
    rows = measured["killed"].values()
    slow, first = sum(r.all.slow() for r in rows), max(r.first_trouble() for r in rows)
    return (all(r.all.slow() < SLOW_MAX * len(r.all.events) for r in rows) and first < WAIT_MAX_S,
            f"{slow} of {sum(len(r.all.events) for r in rows)} requests took more than "
            f"{1000 * SLOW_S:.0f} ms; the first trouble was seen {1000 * first:.0f} ms after the "
            "kill, or sooner")


@claim("K2", "killed", "set with care, each get of the dead server's keys is an error, none a miss")
def errors_not_misses(measured):
    rows = named(measured["killed"], CAREFUL)
    good = all(r.silent("get", True, span) == 0 and r.dead.percent("get", True, ERROR) > 99
               for r in rows for span in ("dead", "again"))
    return good, each(rows, lambda r: f"{r.dead.percent('get', True, ERROR):.1f} % errors, "
                                      f"{r.dead.count('get', True, MISS)} misses")


@claim("K3", "killed", "and every set of them is refused with an error, none stored elsewhere")
def sets_refused(measured):
    rows = named(measured["killed"], CAREFUL)
    return all(r.stored(span) <= 2 for r in rows for span in ("dead", "again")), each(
        rows, lambda r: f"{r.stored('dead')} stored, {r.dead.count('set', True, ERROR)} errors")


@claim("K4", "killed", "set with care, the keys of the others are served throughout, one by one")
def others_served(measured):
    rows = named(measured["killed"], CAREFUL)
    return all(r.others_troubled() == 0 for r in rows), each(
        rows, lambda r: f"{r.others_troubled()} not right of {r.all.total('get', False)}")


@claim("K5", "killed", "no setting made a client read bytes that were never stored under the key")
def never_wrong(measured):
    rows = measured["killed"].values()
    wrong = sum(r.read(WRONG) for r in rows)
    return wrong == 0, f"{wrong} of {sum(len(r.all.events) for r in rows)} requests"


@claim("K6", "killed", "started again it is in use within a few seconds, and empty: misses")
def back_and_empty(measured):
    rows = named(measured["killed"], CAREFUL)
    return all(r.used_again() < 3 and r.back.count("get", True, MISS) > 0
               and r.back.count("get", True, OLD) == 0 for r in rows), each(
        rows, lambda r: f"last error after {r.used_again():.1f} s, "
                        f"then {r.back.percent('get', True, MISS):.0f} % misses")


@claim("K7", "killed", "set with care, nothing old is read, neither then nor when it dies again")
def never_old(measured):
    rows = named(measured["killed"], CAREFUL)
    return not any(r.read(OLD) for r in rows), each(rows, lambda r: f"{r.read(OLD)} old")


@claim("K8", "killed", "twemproxy and pymemcache fail a get of many whole, with an error")
def many_fail_whole(measured):
    rows = named(measured["killed"], ("twemproxy", "pymemcache"))
    return all(r.silent("many", True, "dead") == 0 and r.dead.percent("many", True, ERROR) > 99
               and r.dead.percent("many", False, ERROR) > 50 for r in rows), each(
        rows, lambda r: f"{r.dead.percent('many', True, ERROR):.1f} % of its keys, "
                        f"{r.dead.percent('many', False, ERROR):.0f} % of the others' beside them")


@claim("L1", "killed", "pylibmc's get_multi leaves a dead server's keys out without an error")
def multi_is_silent(measured):
    row = measured["killed"]["libmemcached"]
    return row.dead.percent("many", True, MISS) > 99 and row.silent("many", False, "dead") == 0, \
        (f"{row.dead.percent('many', True, MISS):.1f} % missing, "
         f"{row.dead.count('many', True, ERROR)} errors")


@claim("L2", "libmemcached", "so does the C library: memcached_mget() answers MEMCACHED_SUCCESS")
def mget_is_silent(measured):
    answer, came, asked = measured["libmemcached"]["mget"]
    return answer == 0 and 0 < came < asked, f"answer {answer}, {came} of {asked} came"


@claim("L3", "libmemcached", "num_replicas keeps no replica over the text protocol")
def no_replicas(measured):
    held, keys = measured["libmemcached"]["replicas"]
    return held == keys, f"{held} items on three servers after {keys} sets with one replica"


@claim("L4", "libmemcached", "from two servers to three: ketama misses a third of keys, modula two")
def growth_misses(measured):
    ketama, modula, keys = measured["libmemcached"]["growth"]
    return 0.2 < ketama / keys < 0.47 and 0.55 < modula / keys < 0.78, \
        f"{100 * ketama / keys:.0f} % and {100 * modula / keys:.0f} %"


@claim("E1", "killed", "with ejection, gets of the dead server's keys are misses, not errors")
def ejection_misses(measured):
    rows = named(measured["killed"], EJECTING)
    return all(r.dead.count("get", True, MISS) > 10 * r.dead.count("get", True, ERROR)
               for r in rows), each(rows, lambda r: f"{r.dead.count('get', True, MISS)} misses, "
                                                    f"{r.dead.count('get', True, ERROR)} errors")


@claim("E2", "killed", "with ejection, what is read after a second death is old, without an error")
def ejection_is_old(measured):
    rows = named(measured["killed"], EJECTING)
    return all(r.again.count("get", True, OLD) > 0 for r in rows), each(
        rows, lambda r: f"{r.again.percent('get', True, OLD):.0f} % old")


@claim("E3", "killed", "ejecting with modula also loses, and later reads old, keys of the living")
def modula_hurts_all(measured):
    row = measured["killed"]["twemproxy, ejecting, modula"]
    return row.dead.count("get", False, MISS) > 0 and row.back.count("get", False, OLD) > 0, \
        (f"{row.dead.percent('get', False, MISS):.0f} % missed while it was dead, "
         f"{row.back.percent('get', False, OLD):.0f} % old once it was back")


@claim("E5", "killed", "with ketama or rendezvous, ejection leaves the others' keys where they are")
def ejection_spares_the_others(measured):
    rows = [r for r in named(measured["killed"], EJECTING) if "modula" not in r.engine.name]
    return all(r.others_troubled() == 0 for r in rows), each(
        rows, lambda r: f"{r.others_troubled()} not right of {r.all.total('get', False)}")


@claim("E4", "killed", "libmemcached without dead_timeout never uses a removed server again")
def removed_for_good(measured):
    row = measured["killed"]["libmemcached, removing"]
    length = row.begins["again"] - row.begins["back"]
    return row.used_again() > length - 0.5 and row.back.count("get", True, RIGHT) == 0, \
        f"errors until {row.used_again():.1f} s of {length:.1f} s after the restart"


# --- frozen --------------------------------------------------------------------------------------

@claim("F1", "frozen", "with time limits, no request takes longer than the limit")
def limits_hold(measured):
    rows = named(measured["frozen"], CAREFUL)
    return all(WAIT_LIMIT_S / 2 < r.all.longest() < 1.9 * WAIT_LIMIT_S for r in rows), each(
        rows, lambda r: f"{r.all.longest():.2f} s")


@claim("F2", "frozen", "as it comes, libmemcached waits 5 s for an answer")
def five_seconds(measured):
    longest = measured["frozen"]["libmemcached, as it comes"].all.longest()
    return 4.5 < longest < 5 + WAIT_MAX_S, f"{longest:.2f} s"


@claim("F3", "frozen", "as they come, twemproxy and pymemcache wait for ever")
def for_ever(measured):
    rows = named(measured["frozen"], ("twemproxy, as it comes", "pymemcache, as it comes"))
    return all(r.all.longest() > FROZEN_S - 1 for r in rows), each(
        rows, lambda r: f"{r.all.longest():.1f} s, until it was let go on after {FROZEN_S:.0f} s")


@claim("F4", "frozen", "set with care, after a pause there is neither an old value nor a miss")
def thawed_is_right(measured):
    rows = named(measured["frozen"], CAREFUL)
    return all(r.silent(o, v, "back") == 0 for r in rows for o in ("get", "many")
               for v in (True, False)), each(
        rows, lambda r: f"{r.back.percent('get', True, RIGHT):.0f} % right")


@claim("F5", "frozen", "with ejection it comes back with old values, and they are read")
def thawed_is_old(measured):
    row = measured["frozen"]["twemproxy, ejecting"]
    return row.back.count("get", True, OLD) > 0, f"{row.back.percent('get', True, OLD):.0f} % old"


@claim("N1", "noreply", "as it comes, pymemcache's set answers True though nobody has the value")
def noreply_lies(measured):
    asked, true, there = measured["noreply"]["as it comes"]
    return true == asked and there == 0, f"{true} of {asked} True, {there} there after the restart"


@claim("N2", "noreply", "with default_noreply False none of them does")
def a_reply_tells(measured):
    asked, true, _ = measured["noreply"]["default_noreply False"]
    return true == 0, f"{true} of {asked} True"


# --- pages ---------------------------------------------------------------------------------------

@claim("P1", "pages", "a client of the killed server has its error at once")
def error_at_once(measured):
    seconds = measured["pages"].seconds(measured["pages"].killed_at, "broke_at")
    return seconds is not None and seconds < WAIT_MAX_S, f"{1000 * (seconds or -1):.1f} ms"


@claim("P2", "pages", "no load of it brings other bytes, zeros or 'absent'")
def never_other_bytes(measured):
    run = measured["pages"]
    bad = {o: run.count(run.areas, o) for o in (pages.ABSENT, pages.OTHER_BYTES)}
    return not any(bad.values()), f"{bad} of {run.count(run.areas, pages.RIGHT)} requests answered"


@claim("P3", "pages", "the areas of the other servers notice nothing")
def others_notice_nothing(measured):
    run = measured["pages"]
    right, errors = run.count(run.of_others, pages.RIGHT), run.count(run.of_others, pages.ERROR)
    slow = sum(a.slow for a in run.of_others)
    return right > 1000 and errors == 0 and slow < SLOW_MAX * right, \
        f"{right} right, {errors} errors, {slow} took more than {1000 * SLOW_S:.0f} ms"


@claim("P4", "pages", "started again it has another boot id, and 'lost' for who expects the area")
def lost_after_restart(measured):
    run = measured["pages"]
    good = all(a.status == frames.LOST and a.new_boot != a.identity.boot_id for a in run.of_victim)
    seconds = run.seconds(run.restarted_at, "lost_at")
    return good and seconds < 2, f"{1000 * (seconds or -1):.1f} ms after it was executed"


@claim("P5", "pages", "who asks by name hears 'no area'; who creates it, 'absent', never zeros")
def careless_clients(measured):
    run = measured["pages"]
    good = all(a.careless.get("open") == frames.NO_AREA
               and a.careless.get("loads") == {frames.ABSENT: pages.SLOTS} for a in run.of_victim)
    return good, f"{[a.careless for a in run.of_victim]}"


@claim("S1", "pages", "farpage_boot_id in stats tells memcached's users of the restart")
def boot_id_in_stats(measured):
    before, after = measured["pages"].boot_ids
    return before != after and None not in (before, after), f"{before}, then {after}"


@claim("P6", "pages", "farpage load then fails and leaves the file as it was")
def command_keeps_the_file(measured):
    code, kept, said = measured["pages"].command
    return code == 1 and kept, f"exit {code}: {said}"


@claim("P8", "pages", "a configured area is there again: lost by identity, empty by name")
def configured_area(measured):
    answers = measured["pages"].configured
    return answers == (frames.LOST, frames.OK, frames.ABSENT), \
        "by identity %d, by name %d, its slot %d" % answers


@claim("P9", "pages", "a time limit ends the wait for a server that is silent")
def limit_of_the_library(measured):
    code, seconds = measured["pages"].silence
    return code != 0 and 0.4 < seconds < 0.5 + WAIT_MAX_S, \
        f"farpage --timeout 500ms ping: exit {code} after {seconds:.2f} s"


@claim("S2", "full", "a full server's items give way, which is counted, and then miss")
def items_give_way(measured):
    evictions, stored, there = measured["full"]["items"]
    return 0 < stored - there <= evictions, \
        f"{stored} set, {evictions} evictions, {there} are there"


@claim("B1", "library", "libfarpage waits its time limit for a dead server, then it is an error")
def library_waits_its_limit(measured):
    dead = measured["library"].dead
    return all(status in library.GONE and seconds < library.LIMIT_S + WAIT_MAX_S
               for status, seconds in dead) and measured["library"].other, ", ".join(
        f"status {status} after {seconds:.2f} s" for status, seconds in dead)


@claim("B2", "library", "started again, libfarpage answers FARPAGE_LOST, to loads and to stores")
def library_says_lost(measured):
    run = measured["library"]
    return run.back == [library.LOST, library.LOST] and run.lost_after < 3, \
        f"statuses {run.back}, both within {run.lost_after:.2f} s of the restart"


@claim("B3", "library", "farpage_area_renew() begins anew: slots are absent, and can be stored to")
def library_begins_anew(measured):
    renewed = measured["library"].renewed
    return renewed == [library.OK, library.ABSENT, library.OK, library.OK], f"statuses {renewed}"


@claim("P7", "full", "a full server refuses a page and keeps all it has; its neighbour stores on")
def honest_when_full(measured):
    stored, status, intact, beside = measured["full"]["pages"]
    return status == frames.NO_MEMORY and intact and beside == frames.OK, \
        f"refused after {stored} pages, all of them intact; the neighbour's status {beside}"
