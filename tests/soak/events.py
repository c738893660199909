# SPDX-License-Identifier: BSD-3-Clause
"""events - what is done to a server and its clients, one after the other, at random. Each takes the
place and the dice, and may say in a word what it came to. They are found by EVENTS."""
import os
import resource
import socket
import subprocess
import time

from place import LIMIT_MIB, LIMITS_MIB, SMALL_MIB
from story import ask


def change_compressor(place, dice):
    word = dice.choice(["lz4", "lz4hc:4", "zstd:1", "zstd:3", "none"])
    ask(place.server, f"compressor set {word}\r\n")


def reload_storm(place, dice):
    for _ in range(dice.randrange(2, 12)):
        more = (f"compressor: {{algorithm: {dice.choice(['lz4', 'zstd'])}}}\n"
                f"recompress: {{duty: {dice.randrange(1, 50)}}}\n")
        text = (place.good.replace(f"memory_limit: {LIMIT_MIB}MiB",
                                   f"memory_limit: {dice.choice(LIMITS_MIB)}MiB")
                .replace("quota_bytes: 24MiB", f"quota_bytes: {dice.choice([12, 24, 40])}MiB") + more)
        bad = dice.choice([text + "serevr: {}\n", text[:dice.randrange(len(text))] + "}{", "\0" * 100,
                           text.replace("threads: 2", "threads: 9"),
                           text.replace("server.pem", "nothing.pem")])
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
    address = place.address()
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


def scrub(place, dice):
    ask(place.server, f"scrub {dice.choice(['start', 'start', 'start', 'stop'])}\r\n")


def set_limit(place, mib, *options, seconds=60):
    """`farpage set storage.memory_limit`: its exit code and what it said."""
    done = subprocess.run([place.farpage, "--server", place.address(), "set", "storage.memory_limit",
                           f"{mib}MiB", *options], capture_output=True, text=True, check=False,
                          timeout=seconds)
    return done.returncode, done.stdout + done.stderr


def another_limit(place, dice):
    """Lower or higher, and everybody goes on while it comes about."""
    mib = dice.choice([SMALL_MIB, *LIMITS_MIB])
    code, _ = set_limit(place, mib, "--no-wait")
    return f"{mib} MiB" if code == 0 else "not let in"


def shrink(place, _):
    """Waits until it fits, under load, and gives it back."""
    code, said = set_limit(place, SMALL_MIB)
    set_limit(place, max(LIMITS_MIB), "--no-wait")
    return "fits" if code == 0 else "rest stays" if "stay" in said else "not let in"


def log_in_wrongly(place, dice):
    try:
        with place.secure(dice.choice(["web", "batch"]), timeout=5) as s:
            s.sendall(dice.choice([b"set nobody 0 0 3\r\na b\r\n", b"get x", dice.randbytes(50)]))
    except OSError:
        pass


EVENTS = [change_compressor, reload_storm, compact, recompress, train, flood, too_many,
          no_descriptors, half_a_request, scrub, another_limit, shrink, log_in_wrongly]
