#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""paged - programs whose memory is mostly elsewhere: they say what they say without us, or end with
a word. One story by its name.

usage: paged.py FARPAGED FARPAGE STORY; FARPAGE_EXERCISE and FARPAGE_MISCHIEF are programs"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenes"))

from exercises import alone, names  # noqa: E402  pylint: disable=wrong-import-position
from running import Server  # noqa: E402  pylint: disable=wrong-import-position
from story import stats, tell  # noqa: E402  pylint: disable=wrong-import-position

EXERCISE, MISCHIEF = os.environ.get("FARPAGE_EXERCISE"), os.environ.get("FARPAGE_MISCHIEF")
PASSED_OVER = 77
LOCAL_MIB, BYTES, SMALL_BYTES = 16, 64 << 20, 24 << 20
SECONDS = 60
OVERHEAD_MIB = 2  # half of what docs/pager.md, The limit, allows


def refuse_without(*needed):
    for what in needed:
        if what == "root" and os.geteuid() != 0:
            print("passed over: it needs root")
            sys.exit(PASSED_OVER)


class Paged:
    """A program under `farpage run`, started in a process group of its own."""

    def __init__(self, programs, address, *command, local=LOCAL_MIB, options=(), seconds=0,
                 user=None):
        environment = dict(os.environ, EXERCISE_SECONDS=str(seconds))
        self.process = subprocess.Popen(
            [programs.farpage, "--server", address, "run", "--local", f"{local}MiB", *options, "--",
             *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment, start_new_session=True, user=user)
        self.said = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_until_filled(self):
        for line in self.process.stderr:
            self.said += line
            if line == "filled\n":
                return
        raise AssertionError(f"it ended before: {self.said}")

    def children(self):
        """Of the pager: the program that is paged, and no thread of ours."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        return [int(pid) for pid in pathlib.Path(path).read_text().split()]

    def finish(self, timeout=SECONDS):
        """Exit code, stdout and stderr; a hang fails."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, self.said + err


def finished(programs, address, *command, **how):
    with Paged(programs, address, *command, **how) as paged:
        return paged.finish()


def unix(server):
    return f"unix:{server.unix}"


def same_as_alone(programs, server, name, size, **how):
    code, out, err = finished(programs, unix(server), EXERCISE, name, size, **how)
    expected = alone(EXERCISE, name, size)
    assert (code, out) == (0, expected), f"{name}: exit {code}, {out!r}, not {expected!r}\n{err}"


# Of each kind one, and small: what every build does. The rest takes minutes.
FEW = ("walk", "moved", "replaced", "dontneed", "protected", "grown", "files", "signals",
       "changing", "forked", "executed")
FEW_PROTECTED = ("walk", "moved", "forked", "changing")


def exercises(programs, chosen, size, **how):
    with Server(programs.farpaged) as server:
        for name in chosen:
            begun = time.monotonic()
            same_as_alone(programs, server, name, size, **how)
            print(f"{name}: {time.monotonic() - begun:.2f} s", flush=True)


def programs_say_what_they_say_alone(programs):
    refuse_without("root")
    exercises(programs, FEW, SMALL_BYTES)


def and_where_pages_cannot_be_moved(programs):
    refuse_without("root")
    exercises(programs, FEW_PROTECTED, SMALL_BYTES, options=("--evict", "protect"))


def every_exercise_says_what_it_says_alone(programs):
    refuse_without("root")
    exercises(programs, names(EXERCISE), BYTES)


def every_exercise_where_pages_cannot_be_moved(programs):
    refuse_without("root")
    exercises(programs, names(EXERCISE), BYTES, options=("--evict", "protect"))


# Where no fault of the kernel's own is seen, read(2) and its like into what is away say EFAULT.
BY_THE_KERNEL = {"files", "vectors", "sockets", "results", "signals", "signal_stacks", "piped"}


def without_any_right(programs):
    """As nobody, in user mode only, what the program itself touches is right."""
    refuse_without("root")
    with Server(programs.farpaged) as server:
        os.chmod(server.directory, 0o755)
        os.chmod(server.unix, 0o777)
        for name in names(EXERCISE):
            if name not in BY_THE_KERNEL:
                same_as_alone(programs, server, name, BYTES, options=("--user-mode-only",),
                              user=65534)


class Mischief:
    """The server that lies."""

    def __init__(self, kind, opcode, after=0, times=0, amount=0):
        self.process = subprocess.Popen(
            [MISCHIEF, kind, opcode, str(after), str(times), str(amount)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=SECONDS)


def died_of_sigbus(code):
    return code in (-signal.SIGBUS, 128 + signal.SIGBUS)


def never_zeros(err):
    assert "all zeros" not in err, err
    assert "the page is not what it was" not in err, err


def a_server_that_answers_damaged_pages_is_found_out(programs):
    refuse_without("root")
    for kind in ("flipped", "wrong-slot"):
        with Mischief(kind, "load", after=20) as server:
            code, out, err = finished(programs, server.address, EXERCISE, "lasting", SMALL_BYTES)
            never_zeros(err)
            assert died_of_sigbus(code), f"{kind}: exit {code} {out}\n{err}"
            assert "the page cannot be got from the server" in err, err


def what_the_wire_damages_is_asked_for_again(programs):
    refuse_without("root")
    for kind in ("flipped", "wrong-slot"):
        with Mischief(kind, "load", after=20, times=2) as server:
            code, out, err = finished(programs, server.address, EXERCISE, "walk", SMALL_BYTES,
                                      options=("--stats",))
            assert (code, out) == (0, alone(EXERCISE, "walk", SMALL_BYTES)), f"{kind}: {code}\n{err}"
            assert "pages came damaged, and were asked for again" in err, err


def a_connection_that_is_cut_is_made_again(programs):
    refuse_without("root")
    with Mischief("cut", "load", after=20, times=5, amount=50) as server:
        code, out, err = finished(programs, server.address, EXERCISE, "walk", SMALL_BYTES)
        never_zeros(err)
        assert (code, out) == (0, alone(EXERCISE, "walk", SMALL_BYTES)), f"exit {code}\n{err}"


def a_server_killed_in_the_middle_is_waited_for_and_then_said(programs):
    refuse_without("root")
    with Server(programs.farpaged) as server:
        with Paged(programs, unix(server), EXERCISE, "lasting", SMALL_BYTES, seconds=30,
                   options=("--grace", "300ms")) as paged:
            paged.wait_until_filled()
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            server.over = True
            code, _, err = paged.finish(timeout=20)
        never_zeros(err)
        assert died_of_sigbus(code), f"exit {code}\n{err}"
        assert "the page cannot be got from the server" in err, err


def a_full_server_is_said_and_what_fits_goes_on(programs):
    refuse_without("root")
    with Server(programs.farpaged, sets=["storage.memory_limit=16MiB"]) as server:
        code, out, err = finished(programs, unix(server), EXERCISE, "lasting", 96 << 20,
                                  options=("--grace", "1s"))
        never_zeros(err)
        print(code, out, err)
        assert re.search("full|no room|memory", err), err


def a_slow_server_is_only_slow(programs):
    refuse_without("root")
    with Mischief("late", "load", amount=5) as server:
        code, out, err = finished(programs, server.address, EXERCISE, "zeroed", SMALL_BYTES)
        assert (code, out) == (0, alone(EXERCISE, "zeroed", SMALL_BYTES)), f"exit {code}\n{err}"


def who_loses_his_pager_ends(programs):
    refuse_without("root")
    with Server(programs.farpaged) as server:
        with Paged(programs, unix(server), EXERCISE, "lasting", SMALL_BYTES, seconds=30) as paged:
            paged.wait_until_filled()
            program = paged.children()
            assert len(program) == 1, program
            paged.process.send_signal(signal.SIGKILL)
            paged.process.wait()
            until = time.monotonic() + 5
            while pathlib.Path(f"/proc/{program[0]}").exists():
                state = pathlib.Path(f"/proc/{program[0]}/stat").read_text().rsplit(") ", 1)[1][0]
                if state == "Z":
                    break
                assert time.monotonic() < until, "it still is there"
                time.sleep(0.01)


def nothing_is_left_on_the_server(programs):
    refuse_without("root")
    with Server(programs.farpaged) as server:
        for name in ("walk", "forked", "orphans", "ended"):
            same_as_alone(programs, server, name, SMALL_BYTES)
        until = time.monotonic() + 5
        while int(stats(server)["farpage_areas"]) > 0:
            assert time.monotonic() < until, stats(server)
            time.sleep(0.01)


def family(pid):
    """The process and all that came from it."""
    found = [pid]
    for at in found:
        try:
            path = pathlib.Path(f"/proc/{at}/task/{at}/children")
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            pass
    return found


def anonymous_kib(pid):
    """What is shared counts for each a part."""
    try:
        found = re.search(r"^Pss_Anon:\s+(\d+)",
                          pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def what_a_fork_shares_stays_below_the_limit_too(programs):
    """A child that reads an old picture, while its parent writes all of it anew."""
    refuse_without("root")
    with Server(programs.farpaged) as server:
        with Paged(programs, unix(server), EXERCISE, "snapshots", SMALL_BYTES,
                   options=("--stats",)) as paged:
            highest = 0
            while paged.process.poll() is None: # while the pager stands still: nothing moves meanwhile
                paged.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, paged.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                pids = family(paged.process.pid)[1:]
                highest = max(highest, sum(map(anonymous_kib, pids)))
                paged.process.send_signal(signal.SIGCONT)
                time.sleep(0.005)
            code, out, err = paged.finish()
        assert (code, out) == (0, alone(EXERCISE, "snapshots", SMALL_BYTES)), f"exit {code}\n{err}"
        assert "4 processes" in err, err
        print(f"highest {highest} KiB of {LOCAL_MIB} MiB\n{err}")
        assert highest <= (LOCAL_MIB + OVERHEAD_MIB) << 10, highest


def the_local_limit_is_kept(programs):
    """What is resident of the program beyond its own code and files, sampled while it runs."""
    refuse_without("root")
    with Server(programs.farpaged) as server:
        with Paged(programs, unix(server), EXERCISE, "lasting", 64 << 20,
                   seconds=2) as paged:
            highest = 0
            while paged.process.poll() is None:
                for pid in paged.children():
                    try:
                        status = pathlib.Path(f"/proc/{pid}/status").read_text()
                    except (FileNotFoundError, ProcessLookupError):
                        continue
                    found = re.search(r"RssAnon:\s+(\d+)", status)
                    highest = max(highest, int(found[1]) if found else 0)
                time.sleep(0.002)
            code, _, err = paged.finish()
        assert code == 0, err
        print(f"highest RssAnon {highest} KiB of 16384")
        assert highest <= 16384 + 1024, highest


if __name__ == "__main__":
    tell([programs_say_what_they_say_alone, and_where_pages_cannot_be_moved,
          every_exercise_says_what_it_says_alone, every_exercise_where_pages_cannot_be_moved,
          without_any_right, what_the_wire_damages_is_asked_for_again,
          a_server_that_answers_damaged_pages_is_found_out,
          a_connection_that_is_cut_is_made_again,
          a_server_killed_in_the_middle_is_waited_for_and_then_said,
          a_full_server_is_said_and_what_fits_goes_on, a_slow_server_is_only_slow,
          who_loses_his_pager_ends, what_a_fork_shares_stays_below_the_limit_too, nothing_is_left_on_the_server, the_local_limit_is_kept])
