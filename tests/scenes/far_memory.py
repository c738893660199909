#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""far_memory - `farpage run`: programs with a part of their memory on a server."""
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time

from running import Server
from story import limit_mib, stats, tell

MIB = 1 << 20
PASSED_OVER = 77
LOCAL_MIB = 16
OVER_MIB = 12  # what may be resident beyond --local: what was touched before it was seen, files' pages


def exercise():
    return os.environ["FARPAGE_EXERCISE"]


def need_rights(programs, server):
    done = run(programs, server, "--local", f"{LOCAL_MIB}MiB", "--", "true")
    if "no right to userfaultfd" in done.stderr or "has no userfaultfd" in done.stderr:
        print("skipped:", done.stderr.strip())
        sys.exit(PASSED_OVER)
    assert done.returncode == 0, done.stderr


def command(programs, server, *arguments):
    return [programs.farpage, "run", "--server", "unix:" + server.unix, *map(str, arguments)]


def run(programs, server, *arguments, timeout=60, **more):
    return subprocess.run(command(programs, server, *arguments), capture_output=True, text=True,
                          timeout=timeout, check=False, **more)


def far(programs, server, *arguments, **more):
    """With little memory here."""
    return run(programs, server, "--local", f"{LOCAL_MIB}MiB", *arguments, **more)


def serve(programs, *sets):
    return Server(programs.farpaged,
                  sets or [f"storage.memory_limit={limit_mib(programs.farpaged, 512)}MiB"])


def family(pid):
    """The process and all that came from it."""
    found, at = [pid], 0
    while at < len(found):
        for task in ("children",):
            try:
                with open(f"/proc/{found[at]}/task/{found[at]}/{task}") as f:
                    found += map(int, f.read().split())
            except OSError:
                pass
        at += 1
    return found


def anonymous_mib(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", f.read(), re.M)[1]) / 1024
    except (OSError, TypeError):
        return 0


def areas(server):
    return [name for name in stats(server, "areas") if "farpage-run" in name]


def without_userfaultfd():
    """As a kernel that has none: a filter of system calls answers ENOSYS."""
    number = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
    words = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno.ENOSYS),
             (0x06, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *word) for word in words))
    program = struct.pack("@HP", len(words), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, program, 0, 0) != 0:  # PR_SET_SECCOMP
        raise OSError(ctypes.get_errno(), "no filter")


# --- what a person is told ------------------------------------------------------------------------

def what_cannot_be_run_is_said_with_the_reason(programs):
    with serve(programs) as server, tempfile.TemporaryDirectory() as folder:
        def file(name, text, mode=0o755):
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(text)
            os.chmod(path, mode)
            return path
        big = ["--local", "64MiB", "--"]
        foreign = bytearray(open("/bin/true", "rb").read(4096))
        foreign[18:20] = b"\xf3\x00"  # of RISC-V
        rows = [
            (["--", "true"], 125, "'run' needs --local"),
            (["--local", "1MiB", "true"], 125, "--local: 1.00 MiB is less than the 16 MiB"),
            (["--local", "x", "true"], 125, "'x' is neither a size, such as 512MiB, nor a percent"),
            (["--local", "120%", "true"], 125, "'120%' is not a percentage"),
            (["--local", "10%", "--total", "64MiB", "true"], 125, "6.40 MiB is less than the 16"),
            (["--local", "64MiB", "--evict", "burn", "true"], 125, "neither move nor protect"),
            (["--local", "64MiB", "--mode", "x", "true"], 125, "is none of handler, spin and pinned"),
            (["--local", "64MiB", "--remote", "1KiB", "true"], 125, "--remote: '1KiB'"),
            (["--local", "64MiB"], 125, "'run' needs [--] COMMAND"),
            (["--locl", "64MiB", "true"], 125, "did you mean '--local'"),
            ([*big, "there-is-none"], 127, "'there-is-none' is in none of the folders of $PATH"),
            ([*big, "/there/is/none"], 127, "there is no '/there/is/none'"),
            ([*big, file("plain", b"text", 0o644)], 126, "chmod +x makes it one"),
            ([*big, folder], 126, "Is a directory"),
            ([*big, file("lost", b"#!/there/is/none -x\n")], 126, "a script for '/there/is/none'"),
            ([*big, file("empty", b"")], 126, "neither a program nor a script"),
            ([*big, file("cut", b"\x7fELF\x02\x01\x01")], 126, "is damaged"),
            ([*big, file("foreign", foreign)], 125, "another kind of processor"),
        ]
        if os.path.exists("/sbin/ldconfig"):
            rows.append(([*big, "/sbin/ldconfig"], 125, "is linked statically"))
        if os.geteuid() == 0:
            other = shutil.copy("/bin/true", os.path.join(folder, "other"))
            os.chown(other, 1, 1)
            os.chmod(other, 0o755 | stat.S_ISUID)
            rows.append(([*big, other], 125, "is set-user-ID"))
        for arguments, code, reason in rows:
            done = run(programs, server, *arguments)
            assert done.returncode == code, f"{arguments}: {done.returncode} {done.stderr}"
            assert reason in done.stderr, f"{arguments}: {done.stderr}"
            assert done.stdout == "", done.stdout
        pinned = run(programs, server, "--local", "64MiB", "--mode", "pinned", "--", "nproc")
        assert (pinned.returncode, pinned.stdout) == (0, "1\n"), pinned.stdout + pinned.stderr
        within = run(programs, server, *big, "true", env={**os.environ, "FARPAGE_AGENT": "1"})
        assert within.returncode == 125 and "within 'farpage run' already" in within.stderr
        done = run(programs, server, *big, "true", preexec_fn=without_userfaultfd)
        assert done.returncode == 125 and done.stdout == "", done
        assert "this kernel has no userfaultfd (CONFIG_USERFAULTFD), or a sandbox hides it" in \
            done.stderr, done
        if os.geteuid() == 0 and shutil.which("setpriv"):
            os.chmod(server.directory, 0o755)
            done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all",
                                   "--inh-caps=-all", *command(programs, server, *big, "true")],
                                  capture_output=True, text=True, timeout=60, check=False)
            if "no right" in done.stderr:
                assert done.returncode == 125 and "chgrp GROUP /dev/userfaultfd" in done.stderr
                assert "sysctl vm.unprivileged_userfaultfd=1" in done.stderr
    done = subprocess.run([programs.farpage, "run", "--server", "127.0.0.1:1", *big, "true"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125 and "127.0.0.1 port 1" in done.stderr, done.stderr


def the_end_of_the_program_is_ours(programs):
    with serve(programs) as server:
        need_rights(programs, server)
        assert far(programs, server, "--", "sh", "-c", "exit 7").returncode == 7
        assert far(programs, server, "--", "sh", "-c", "kill -11 $$").returncode == -signal.SIGSEGV
        done = far(programs, server, "sh", "-c", "echo out; echo err >&2; cat", input="in")
        assert (done.stdout, done.stderr, done.returncode) == ("out\nin", "err\n", 0), done
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            process = subprocess.Popen(command(
                programs, server, "--local", "16MiB", "--", "sh", "-c",
                "trap 'echo told; exit 3' TERM INT USR1; echo ready; while :; do sleep 0.05; done"),
                stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.wait(20) == 3 and process.stdout.read() == "told\n"
        assert areas(server) == []


def scripts_pipes_and_what_is_left_behind_work(programs):
    with serve(programs) as server, tempfile.TemporaryDirectory() as folder:
        need_rights(programs, server)
        done = run(programs, server, "--local", "512MiB", "--stats", "--", "echo", "said")
        assert (done.returncode, done.stdout) == (0, "said\n"), done
        assert "it never came near --local, so nothing had to go" in done.stderr, done
        script = os.path.join(folder, "script")
        with open(script, "w") as f:
            f.write("#!/bin/sh\necho \"$0 $*\" | sed s/a/b/\n(sleep 0.3; echo later) &\nexit 4\n")
        os.chmod(script, 0o755)
        done = far(programs, server, script, "a", "--local")
        assert done.returncode == 4, done
        assert done.stdout == f"{script} a --local\n".replace("a", "b", 1) + "later\n", done
        assert done.stderr == "", done


# --- memory ---------------------------------------------------------------------------------------

def memory_four_times_the_limit_is_whole_and_the_limit_kept(programs):
    with serve(programs) as server:
        need_rights(programs, server)
        for way, mib in (("move", 4 * LOCAL_MIB), ("protect", 2 * LOCAL_MIB)):
            alone = subprocess.run([exercise(), "walk", str(mib * MIB)], capture_output=True,
                                   text=True, timeout=60, check=True)
            process = subprocess.Popen(command(
                programs, server, "--local", f"{LOCAL_MIB}MiB", "--evict", way, "--stats", "--json",
                "--", exercise(), "walk", str(mib * MIB)), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)
            highest = 0
            while process.poll() is None:
                highest = max(highest, sum(map(anonymous_mib, family(process.pid)[1:])))
                time.sleep(0.002)
            said, complaints = process.communicate()
            assert process.returncode == 0, (way, process.returncode, complaints)
            assert said == alone.stdout, (way, said, alone.stdout)
            assert highest <= LOCAL_MIB + OVER_MIB, (way, highest)
            numbers = json.loads(complaints.splitlines()[-1])
            assert numbers["faults_remote"] > 0 and numbers["stored"] > 1000, (way, numbers)
            assert numbers["away_bytes_peak"] > (mib - LOCAL_MIB) * MIB * 0.8, (way, numbers)
        assert areas(server) == []


def children_have_what_their_parents_had(programs):
    with serve(programs) as server:
        need_rights(programs, server)
        for name in ("forked", "executed"):
            size = str(18 * MIB)
            alone = subprocess.run([exercise(), name, size], capture_output=True, text=True,
                                   timeout=60, check=True)
            done = far(programs, server, "--", exercise(), name, size)
            assert done.returncode == 0, (name, done)
            assert done.stdout == alone.stdout, (name, done, alone)
        if os.geteuid() == 0 and shutil.which("setpriv") and os.path.exists("/dev/userfaultfd"):
            done = subprocess.run(["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace",
                                   *command(programs, server, "--local", f"{LOCAL_MIB}MiB", "--",
                                            exercise(), "forked", str(18 * MIB))],
                                  capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done  # the kernel does not tell of forks then


# --- when something dies --------------------------------------------------------------------------

HOLDER = """
import mmap, sys
memory = mmap.mmap(-1, 48 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(memory), 4096):
    memory[at:at + 8] = at.to_bytes(8, "little")
print("ready", flush=True)
sys.stdin.readline()
for at in range(0, len(memory), 4096):
    assert memory[at:at + 8] == at.to_bytes(8, "little"), at
print("whole", flush=True)
"""


def hold(programs, server, *options):
    process = subprocess.Popen(
        command(programs, server, "--local", f"{LOCAL_MIB}MiB", *options, "--", "/usr/bin/python3",
                "-c", HOLDER), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def a_program_ends_with_its_pager(programs):
    with serve(programs) as server:
        need_rights(programs, server)
        process = hold(programs, server)
        program = family(process.pid)[1]
        process.kill()
        process.wait(10)
        for _ in range(200):
            if not os.path.exists(f"/proc/{program}/maps"):
                break
            with open(f"/proc/{program}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    break
            time.sleep(0.01)
        else:
            raise AssertionError("it lives on")
        assert "the pager is gone" in process.stderr.read()


def a_server_that_is_gone_is_a_bus_error_after_the_grace(programs):
    with serve(programs) as server:
        need_rights(programs, server)
        process = hold(programs, server, "--grace", "500ms")
        server.process.kill()
        server.process.wait()
        begun = time.monotonic()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait(20) == -signal.SIGBUS, process.stderr.read()
        said = process.stderr.read()
        assert 0.3 < time.monotonic() - begun < 10, said
        assert "farpage: " in said, said
        server.over = True


def a_full_server_is_said_and_what_fits_goes_on(programs):
    no_room = "there is no room for the page, neither here nor on the server"
    with serve(programs, f"storage.memory_limit={limit_mib(programs.farpaged, 24)}MiB") as server:
        need_rights(programs, server)
        for more, mib, reason in (
                ([], 100, "the server takes no more pages: the server's memory limit is reached"),
                (["--remote", "2MiB"], 36, "the area on the server is too small: every slot")):
            done = far(programs, server, "--grace", "300ms", *more, "--", exercise(), "walk",
                       str(mib * MIB))
            assert done.returncode == -signal.SIGBUS, done  # it could not be done with so little
            assert reason in done.stderr and no_room in done.stderr, done
            assert done.stderr.count(reason) <= 3, done  # said, and not again and again
        done = far(programs, server, "--grace", "300ms", "--", exercise(), "walk", str(34 * MIB))
        assert done.returncode == 0 and no_room not in done.stderr, done


if __name__ == "__main__":
    tell([what_cannot_be_run_is_said_with_the_reason, the_end_of_the_program_is_ours,
          scripts_pipes_and_what_is_left_behind_work,
          memory_four_times_the_limit_is_whole_and_the_limit_kept,
          children_have_what_their_parents_had,
          a_program_ends_with_its_pager, a_server_that_is_gone_is_a_bus_error_after_the_grace,
          a_full_server_is_said_and_what_fits_goes_on])
