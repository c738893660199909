#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak - see tests/soak.sh.

usage: soak.py FARPAGED FARPAGE MINUTES"""
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../scenes")]
import bystanders  # noqa: E402
import clients  # noqa: E402
import events  # noqa: E402
from client import Wrong  # noqa: E402
from measures import Samples, nothing_held, sums, until_zero  # noqa: E402
from place import LIMIT_MIB, LIMITS_MIB, SMALL_MIB, Place  # noqa: E402
from running import TROUBLE  # noqa: E402
from story import ask, stats  # noqa: E402

SLOPE_KIB_A_MINUTE = 128
SLOPE_MINUTES = 10  # from here on a slope says something
ALL_MINUTES = 5     # from here on everything must have happened
RESIDENT_MOST = 1.05  # of the limit
STOP_SECONDS = 60


class Crowd:
    """The clients, each a process that may be killed at any moment."""

    def __init__(self, place, kinds):
        self.place, self.kinds = place, kinds
        self.running, self.killed, self.ended = {}, collections.Counter(), []
        for index in range(len(kinds)):
            self.begin(index)

    def make(self, index):
        return self.kinds[index](self.place, index)

    def begin(self, index):
        pid = os.fork()
        if pid:
            self.running[index] = pid
            return
        code, why = 0, ""
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.make(index).live()
        except Wrong as error:
            code, why = 3, str(error)
        except BaseException as error:  # a server that is full, or has no descriptor left
            code, why = 4, f"{type(error).__name__}: {error}"
        self.place.write(f"why.{os.getpid()}", why)
        os._exit(code)

    def look(self):
        """Those that ended by themselves begin again; what is wrong ends all."""
        for index, pid in list(self.running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done == 0:
                continue
            del self.running[index]
            with open(self.place.path(f"why.{pid}")) as f:
                why = f.read()
            if os.waitstatus_to_exitcode(status) == 3:
                raise Wrong(why)
            self.ended.append(f"{self.kinds[index].__name__}: {why.split(':')[0]}")
            self.begin(index)

    def kill(self, index):
        pid = self.running.pop(index)
        try:
            os.killpg(pid, signal.SIGKILL)  # a command that it runs, too
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.killed[self.kinds[index].__name__] += 1

    def files(self, part):
        """(kind, text) of each file that clients left with this in its name."""
        for name in sorted(os.listdir(self.place.directory)):
            if part in name:
                with open(self.place.path(name)) as f:
                    yield name.split(".")[0].rstrip("0123456789"), f.read()

    def steps(self):
        total = collections.Counter()
        for kind, text in self.files(".count."):
            total[kind] += int(text or 0)
        return total

    def notes(self):
        return collections.Counter(f"{kind}: {line}" for kind, text in self.files(".notes")
                                   for line in text.splitlines())


class Report:
    """A line for each thing that was looked at, with its verdict."""

    def __init__(self):
        self.bad = 0

    def line(self, good, what, said):
        self.bad += not good
        print(f"  {'ok ' if good else 'BAD'}  {what:<22} {said}", flush=True)
        return good

    def end(self):
        print("good" if not self.bad else f"{self.bad} not good", flush=True)
        return 1 if self.bad else 0


def listed(counter):
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counter.items())) or "none"


# --- while it goes on ----------------------------------------------------------------------------

def run(place, minutes, dice, kinds):
    crowd = Crowd(place, kinds)
    try:
        return disturb(place, minutes, dice, crowd)
    finally:
        for index in list(crowd.running):
            crowd.kill(index)


def disturb(place, minutes, dice, crowd):
    done, samples = collections.Counter(), Samples()
    begun = time.monotonic()
    next_sample, next_word = 0, begun + 60
    while (now := time.monotonic()) < begun + minutes * 60:
        crowd.look()
        if place.server.process.poll() is not None:
            raise Wrong(f"the server ended: {place.server.process.returncode}\n"
                        + place.server.stderr()[-2000:])
        if now > next_sample:
            samples.take(place)
            next_sample = now + 2
        if now > next_word:
            print(f"{(now - begun) / 60:.0f} minutes, {sum(done.values())} events, "
                  f"{place.server.rss_bytes() >> 20} MiB resident", file=sys.stderr, flush=True)
            next_word = now + 60
        if dice.random() < 0.4:
            index = dice.choice(list(crowd.running))
            crowd.kill(index)
            crowd.begin(index)
        else:
            event = dice.choice(events.EVENTS)
            try:
                said = event(place, dice)
                done[event.__name__ + (f" ({said})" if said else "")] += 1
            except OSError:  # it let nobody in just then
                done[event.__name__ + " (nobody was let in)"] += 1
        time.sleep(dice.random() * 0.4)
    return done, samples, crowd


def report_of_clients(report, minutes, done, crowd):
    report.line(minutes < ALL_MINUTES or all(any(name.startswith(event.__name__) for name in done)
                                             for event in events.EVENTS), "events", listed(done))
    report.line(crowd.killed, "killed", listed(crowd.killed))
    steps, notes = crowd.steps(), crowd.notes()
    report.line(minutes < ALL_MINUTES or all(steps[kind.__name__.lower()] for kind in crowd.kinds),
                "steps, about", listed(steps))
    report.line(True, "gave up, began again", listed(collections.Counter(crowd.ended)))
    report.line(minutes < ALL_MINUTES or notes["snapshots: taken"], "snapshots", listed(
        collections.Counter({n.split(": ")[1]: c for n, c in notes.items() if "snap" in n})))
    if bystanders.Program in crowd.kinds:
        report.line(minutes < ALL_MINUTES or notes["program: as without"], "farpage run", listed(
            collections.Counter({n.split(": ")[1]: c for n, c in notes.items() if "program" in n})))
    else:
        report.line(True, "farpage run", "left out: " + bystanders.can_page(crowd.place.farpage))


# --- afterwards ----------------------------------------------------------------------------------

def settle(place):
    """All as it was configured; everybody gone. How many connections are left."""
    place.configure(place.good)
    place.reload()
    return until_zero(lambda: int(stats(place.server)["curr_connections"]) - 1)


def verify(report, crowd, what):
    """Every byte that each client may know of."""
    found = collections.Counter()
    try:
        for index, kind in enumerate(crowd.kinds):
            if kind.slots:
                found[kind.__name__.lower()] += crowd.make(index).verify() >> 10
    except Wrong as wrong:
        return report.line(False, what, str(wrong))
    return report.line(True, what, "KiB: " + listed(found))


def look_at_resident(report, minutes, samples, begun):
    most = max(row[1] for row in samples.rows) >> 20
    report.line(most <= max(LIMITS_MIB) * RESIDENT_MOST, "resident", f"{begun >> 20} MiB at first, at "
                f"most {most} MiB of {max(LIMITS_MIB)} MiB")
    slope = samples.slope()
    report.line(slope is None or minutes < SLOPE_MINUTES or slope < SLOPE_KIB_A_MINUTE,
                "unaccounted for", "too few samples" if slope is None else
                f"{slope:+.0f} KiB a minute ({SLOPE_KIB_A_MINUTE} may be"
                f"{'' if minutes >= SLOPE_MINUTES else ', not judged in so short a time'}), "
                f"{samples.rows[-1][2] / 2**20:.1f} MiB at the end")


def look_at_tiers(report, minutes, place):
    spill, scrubbed = stats(place.server, "spill"), stats(place.server, "scrub")
    bad = [name for name in ("write_errors", "read_errors", "bad_records", "failed_loads")
           if int(spill[name])]
    report.line(not bad and (minutes < ALL_MINUTES or int(spill["spilled_loads"])), "spilled",
                f"{int(spill['spilled_total']):,} pages written, {int(spill['spilled_loads']):,} loaded, "
                f"{int(spill['promotions']):,} brought back, full {int(spill['file_full']):,} times; "
                + (f"not 0: {bad}" if bad else "no error"))
    damaged = int(scrubbed["damaged_pages"]) + int(scrubbed["damaged_items"])
    report.line(damaged == 0 and (minutes < ALL_MINUTES or int(scrubbed["runs"])), "scrubbed",
                f"{scrubbed['runs']} runs, {int(scrubbed['pages']):,} pages, "
                f"{int(scrubbed['spilled_pages']):,} of them in the file, {int(scrubbed['items']):,} "
                f"items; {damaged} damaged")
    tenants = stats(place.server, "tenants")
    over = sum(int(n) for name, n in tenants.items() if name.endswith(":over_quota"))
    report.line(minutes < ALL_MINUTES or over, "tenants", f"{over:,} stores above a quota, " + ", ".join(
        f"{name} holds {int(tenants[name + ':bytes']) >> 10:,} KiB" for name in ("web", "batch",
                                                                                "default")))


def look_at_held(report, place):
    held = until_zero(lambda: nothing_held(place), 20)
    corrupt = int(stats(place.server)["farpage_corrupt"])
    report.line(not held, "maps, pins, packing", str(held or 0))
    report.line(not corrupt, "damaged", f"{corrupt} pages or values")


def look_at_shrinking(report, place):
    """Lower with nobody there, and back; where it does not fit it is said why."""
    code, said = events.set_limit(place, SMALL_MIB)
    rest = stats(place.server, "shrink")
    report.line(code == 0 or rest["reason"] != "-", "shrunk", said.strip().splitlines()[0] if code == 0
                else said.strip().splitlines()[-1] if said else "nothing said")
    code, said = events.set_limit(place, LIMIT_MIB)
    report.line(code == 0, "grown again", said.strip().splitlines()[0] if said else "nothing said")


def end_server(report, place, what):
    place.server.process.send_signal(signal.SIGTERM)
    try:
        code = place.server.process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        code = "no end"
    trouble = TROUBLE.search(place.server.stderr().encode())
    return report.line(code == 0 and not trouble, what, f"SIGTERM, exit {code}" + (
        "" if code == 0 and not trouble else "\n" + place.server.stderr()[-2000:]))


def begun_with_its_snapshot(report, place, crowd):
    """Another server, which has nothing but a snapshot of this one."""
    path = place.path("last.fps")
    done = subprocess.run([place.farpage, "--server", place.address(), "snapshot", path],
                          capture_output=True, text=True, check=False)
    if not report.line(done.returncode == 0, "last snapshot", (done.stdout + done.stderr).strip()):
        return
    first, kept, state = place.server, place.path("kept"), place.path("state")
    os.mkdir(state + "2")
    try:
        os.rename(state, state + "1")  # the second has a state of its own
        os.rename(state + "2", state)
        place.start(arguments=["--restore", path])
        verify(report, crowd, "restored elsewhere")
        end_server(report, place, "that one ended")
    finally:
        if place.server is not first:
            place.server.process.kill()
        place.server = first
        shutil.rmtree(state)
        os.rename(state + "1", state)
        if os.path.exists(kept):
            os.unlink(kept)


def restarted(report, place, crowd):
    """The same again, after a stop that kept everything."""
    if not end_server(report, place, "stopped"):
        return False
    place.start()
    verify(report, crowd, "verified after restart")
    look_at_held(report, place)
    return True


def empty(report, place):
    """Everything is taken away; nothing may be left that counts."""
    for name in {n.rsplit(":", 1)[0] for n in stats(place.server, "areas")}:
        subprocess.run([place.farpage, "--server", place.address(), "areas", "delete", name],
                       capture_output=True, check=False)
    subprocess.run([place.farpage, "--server", place.address(), "export", "recreate", "disk"],
                   capture_output=True, check=False)
    ask(place.server, "flush_all\r\n")
    ask(place.server, "lru_crawler crawl all\r\n")
    left = until_zero(lambda: sums(place))
    ask(place.server, "compact\r\n")
    time.sleep(3)
    report.line(not left, "emptied", f"{left or 'nothing'} left, {place.server.rss_bytes() >> 20} MiB "
                "resident")


def afterwards(report, minutes, place, crowd, samples, begun):
    left = settle(place)
    report.line(not left, "connections of the dead", str(left))
    verify(report, crowd, "verified")
    until_zero(lambda: int(stats(place.server)["curr_connections"]) - 1, 10)
    look_at_held(report, place)
    look_at_tiers(report, minutes, place)
    look_at_resident(report, minutes, samples, begun)
    look_at_shrinking(report, place)
    verify(report, crowd, "verified again")
    begun_with_its_snapshot(report, place, crowd)
    if restarted(report, place, crowd):
        empty(report, place)
        end_server(report, place, "ended")


def main(farpaged, farpage, minutes):
    seed = int(os.environ.get("FARPAGE_SEED", random.randrange(10**6)))
    kinds = [kind for kind in clients.KINDS
             if kind is not bystanders.Program or not bystanders.can_page(farpage)]
    place, report = Place(farpaged, farpage, seed), Report()
    print(f"{minutes:g} minutes, seed {seed}, {len(kinds)} clients", flush=True)
    try:
        begun = place.server.rss_bytes()
        done, samples, crowd = run(place, minutes, random.Random(seed), kinds)
        report_of_clients(report, minutes, done, crowd)
        afterwards(report, minutes, place, crowd, samples, begun)
    except Wrong as wrong:
        report.line(False, "wrong", str(wrong))
    finally:
        place.server.process.kill()
        if report.bad:
            kept = tempfile.mkdtemp(prefix="soak-bad-")
            shutil.copy(place.server.stderr_path, kept)
            print("the server's log:", kept)
        place.forget()
    return report.end()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
