#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""soak - see tests/soak.sh.

usage: soak.py FARPAGED FARPAGE MINUTES"""
import collections
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../scenes")]
import clients  # noqa: E402
from nbd_wire import Device  # noqa: E402
from running import TROUBLE  # noqa: E402
from story import ask, sample, stats  # noqa: E402

LIMITS_MIB = (96, 128, 160)
SLOPE_KIB_A_MINUTE = 512  # where it could be measured for long enough
SLOPE_MINUTES = 5
RESIDENT_MOST = 1.05  # of the limit


class Place:
    """Where it happens: the server, a directory, and what all clients must know."""

    def __init__(self, farpaged, farpage, seed):
        self.farpage, self.seed = farpage, seed
        self.directory = tempfile.mkdtemp(prefix="soak-")
        self.server = Device(
            farpaged, "[{name: disk, size: 8MiB}]",
            sets=["storage.overcommit=4.0", "session.map_lease=5s"],
            more="  max_connections: 150\nstorage: {memory_limit: 128MiB}\n")
        with open(self.server.config) as f:
            self.good = f.read()

    def configure(self, text):
        with open(self.server.config + ".new", "w") as f:
            f.write(text)
        os.rename(self.server.config + ".new", self.server.config)

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)


class Crowd:
    """The clients, each a process that may be killed at any moment."""

    def __init__(self, place):
        self.place, self.running, self.killed, self.ended = place, {}, collections.Counter(), []
        for index in range(len(clients.KINDS)):
            self.begin(index)

    def make(self, index):
        return clients.KINDS[index](self.place, index)

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
        except clients.Wrong as error:
            code, why = 3, str(error)
        except BaseException as error:  # a server that is full, or has no descriptor left
            code, why = 4, f"{type(error).__name__}: {error}"
        with open(f"{self.place.directory}/why.{os.getpid()}", "w") as f:
            f.write(why)
        os._exit(code)

    def look(self):
        """Those that ended by themselves begin again; what is wrong ends all."""
        for index, pid in list(self.running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done == 0:
                continue
            del self.running[index]
            with open(f"{self.place.directory}/why.{pid}") as f:
                why = f.read()
            if os.waitstatus_to_exitcode(status) == 3:
                raise clients.Wrong(why)
            self.ended.append(why)
            self.begin(index)

    def kill(self, index):
        pid = self.running.pop(index)
        try:
            os.killpg(pid, signal.SIGKILL)  # a command that it runs, too
        except ProcessLookupError:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.killed[clients.KINDS[index].__name__] += 1

    def requests(self):
        total = collections.Counter()
        for name in os.listdir(self.place.directory):
            if ".count." in name:
                with open(os.path.join(self.place.directory, name)) as f:
                    total[name.rstrip("0123456789.").split(".")[0].rstrip("0123456789")] += \
                        int(f.read() or 0)
        return total


# --- what is done to them ------------------------------------------------------------------------

def change_compressor(place, dice):
    word = dice.choice(["lz4", "lz4hc:4", "zstd:1", "zstd:3", "none"])
    ask(place.server, f"compressor set {word}\r\n")


def reload_storm(place, dice):
    for _ in range(dice.randrange(2, 12)):
        more = (f"compressor: {{algorithm: {dice.choice(['lz4', 'zstd'])}}}\n"
                f"recompress: {{duty: {dice.randrange(1, 50)}}}\n")
        text = place.good.replace("memory_limit: 128MiB",
                                  f"memory_limit: {dice.choice(LIMITS_MIB)}MiB") + more
        bad = dice.choice([text + "serevr: {}\n", text[:dice.randrange(len(text))] + "}{", "\0" * 100,
                           text.replace("threads: 2", "threads: 9")])
        place.configure(dice.choice([text, bad]))
        place.reload()
        time.sleep(dice.random() * 0.03)


def compact(place, _):
    ask(place.server, "compact\r\n")


def recompress(place, dice):
    ask(place.server, f"recompress {dice.choice(['start', 'pause', 'resume', 'cancel'])}\r\n")


def train(place, dice):
    ask(place.server, f"dictionary train frames{dice.randrange(2)}\r\n")


def flood(place, dice):
    """Noise until nothing more fits, and away with it."""
    path = os.path.join(place.directory, "noise")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            for _ in range(200):
                f.write(dice.randbytes(1 << 20))
    address = "unix:" + place.server.unix
    done = subprocess.run([place.farpage, "--server", address, "store", "flood", path],
                          capture_output=True, text=True, check=False)
    subprocess.run([place.farpage, "--server", address, "areas", "delete", "flood"],
                   capture_output=True, check=False)
    return "refused" if "memory" in done.stderr else "fitted"


def too_many(place, _):
    """More connections than there may be, most of which say nothing."""
    crowd = []
    for _ in range(200):
        try:
            s = socket.create_connection(("127.0.0.1", place.server.port), timeout=1)
            s.sendall(b"get ")
            crowd.append(s)
        except OSError:
            break
    time.sleep(0.5)
    for s in crowd:
        s.close()


def no_descriptors(place, dice):
    """The system gives the server no more of them, for a while."""
    pid = place.server.process.pid
    now = len(os.listdir(f"/proc/{pid}/fd"))
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (now + 2, old[1]))
    too_many(place, dice)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)


def half_a_request(place, dice):
    """Whoever sends something else, and goes."""
    try:
        with place.server.connect(dice.choice(["tcp", "unix"])) as s:
            s.sendall(dice.choice([b"set x 0 0 100000\r\nabc", b"\xfa" + dice.randbytes(60),
                                   dice.randbytes(200), b"mg", b"\r\n\r\n", b"get " + b"k" * 3000]))
    except OSError:
        pass


EVENTS = [change_compressor, reload_storm, compact, recompress, train, flood, too_many,
          no_descriptors, half_a_request]


# --- what is measured ----------------------------------------------------------------------------

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


# --- the whole -----------------------------------------------------------------------------------

def run(place, minutes, dice):
    crowd = Crowd(place)
    try:
        return disturb(place, minutes, dice, crowd)
    finally:
        for index in list(crowd.running):
            crowd.kill(index)


def disturb(place, minutes, dice, crowd):
    done, samples = collections.Counter(), Samples()
    end = time.monotonic() + minutes * 60
    next_sample = 0
    while time.monotonic() < end:
        crowd.look()
        if place.server.process.poll() is not None:
            raise clients.Wrong(f"the server ended: {place.server.process.returncode}\n"
                                + place.server.stderr()[-2000:])
        if time.monotonic() > next_sample:
            samples.take(place)
            next_sample = time.monotonic() + 2
        if dice.random() < 0.4:
            index = dice.choice(list(crowd.running))
            crowd.kill(index)
            crowd.begin(index)
        else:
            event = dice.choice(EVENTS)
            try:
                said = event(place, dice)
                done[event.__name__ + (f" ({said})" if said else "")] += 1
            except OSError:  # it let nobody in just then
                done[event.__name__ + " (nobody was let in)"] += 1
        time.sleep(dice.random() * 0.4)
    return done, samples, crowd


def settle(place):
    """All as it was configured; everybody gone."""
    place.configure(place.good)
    place.reload()
    return until_zero(lambda: int(stats(place.server)["curr_connections"]) - 1)


def empty(place):
    """Everything is taken away; how many objects stay, and areas."""
    address = "unix:" + place.server.unix
    for name in {n.rsplit(":", 1)[0] for n in stats(place.server, "areas")}:
        subprocess.run([place.farpage, "--server", address, "areas", "delete", name],
                       capture_output=True, check=False)
    subprocess.run([place.farpage, "--server", address, "export", "recreate", "disk"],
                   capture_output=True, check=False)
    ask(place.server, "flush_all\r\n")
    ask(place.server, "lru_crawler crawl all\r\n")
    left = until_zero(lambda: int(stats(place.server, "zpool")["objects"]))
    ask(place.server, "compact\r\n")
    return left


def report(rows, faults):
    for what, said in rows:
        print(f"  {what:<24} {said}")
    for fault in faults:
        print("  NOT GOOD:", fault)
    print("good" if not faults else f"{len(faults)} not good")
    return 1 if faults else 0


def listed(counter):
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counter.items())) or "none"


def main(farpaged, farpage, minutes):
    seed = int(os.environ.get("FARPAGE_SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    place = Place(farpaged, farpage, seed)
    faults, rows = [], [("seed", seed), ("minutes", minutes)]
    try:
        begun = place.server.rss_bytes()
        done, samples, crowd = run(place, minutes, dice)
        rows += [("events", listed(done)), ("killed", listed(crowd.killed)),
                 ("requests, about", listed(crowd.requests())),
                 ("clients that gave up", listed(collections.Counter(
                     why.split(":")[0] for why in crowd.ended)))]
        if left := settle(place):
            faults.append(f"{left} connections of clients that are dead")
        verified = collections.Counter()
        for index in range(len(clients.KINDS)):
            client = crowd.make(index)
            verified[clients.KINDS[index].__name__.lower()] += client.verify() >> 10
            del client
        rows.append(("KiB verified", listed(verified)))
        until_zero(lambda: int(stats(place.server)["curr_connections"]) - 1, 10)
        if held := until_zero(lambda: nothing_held(place), 20):
            faults.append(f"still held: {held}")
        corrupt = int(stats(place.server)["farpage_corrupt"])
        rows.append(("maps, pins, damaged", f"{held or 0}, {corrupt} damaged"))
        if corrupt:
            faults.append(f"{corrupt} pages or values did not match their checksum")
        slope = samples.slope()
        most = max(r[1] for r in samples.rows) >> 20
        rows.append(("resident", f"{begun >> 20} MiB at first, at most {most} MiB of "
                     f"{max(LIMITS_MIB)} MiB"))
        if most > max(LIMITS_MIB) * RESIDENT_MOST:
            faults.append(f"{most} MiB were resident, {max(LIMITS_MIB)} MiB are the limit")
        rows.append(("unaccounted for", "too few samples" if slope is None else
                     f"{slope:+.0f} KiB a minute, {samples.rows[-1][2] / 2**20:.1f} MiB at the end"))
        if minutes >= SLOPE_MINUTES and slope is not None and slope > SLOPE_KIB_A_MINUTE:
            faults.append(f"resident memory grows by {slope:.0f} KiB a minute")
        if left := empty(place):
            faults.append(f"{left} objects are there that nobody has")
        time.sleep(3)
        rest = place.server.rss_bytes()
        rows.append(("emptied", f"{left} objects left, {rest >> 20} MiB resident"))
        place.server.process.send_signal(signal.SIGTERM)
        code = place.server.process.wait(timeout=30)
        if code != 0 or TROUBLE.search(place.server.stderr().encode()):
            faults.append(f"it ended with {code}\n{place.server.stderr()[-2000:]}")
    except clients.Wrong as wrong:
        faults.append(str(wrong))
    finally:
        place.server.process.kill()
        shutil.rmtree(place.directory, ignore_errors=True)
    return report(rows, faults)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
