#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the server gives up once it serves. A test that cannot be run here is skipped (exit 77)."""
import os
import shutil
import signal
import sys
import tempfile

from operating import start, until
from running import Server
from story import ask, sanitized, stats, tell

SKIPPED = 77


def needs(condition, reason):
    if not condition:
        print("skipped:", reason)
        sys.exit(SKIPPED)


def needs_sandbox(programs):
    needs(not sanitized(programs.farpaged), "a build with a sanitizer has no sandbox")
    with Server(programs.farpaged) as server:
        needs("no sandbox" not in server.stderr(), "this system lets nobody have one")


def misdeeds(server):
    lines = ask(server, "debug misbehave\r\n").splitlines()
    needs(lines != ["ERROR"], "this build has no debug commands")
    assert lines.pop() == "END", lines
    return dict(line.split() for line in lines)


def of_threads(server, name):
    task = f"/proc/{server.process.pid}/task"
    found = []
    for thread in os.listdir(task):
        with open(f"{task}/{thread}/status") as f:
            found += [line.split()[1] for line in f if line.startswith(name + ":")]
    return found


def own(name):
    with open("/proc/self/status") as f:
        return next(line.split()[1] for line in f if line.startswith(name + ":"))


def what_a_server_never_needs_is_refused(programs):
    needs_sandbox(programs)
    with Server(programs.farpaged) as server:
        done = misdeeds(server)
        assert len(done) == 10 and set(done.values()) == {"EPERM"}, done
    with Server(programs.farpaged, sets=["server.sandbox=off"]) as server:
        free = misdeeds(server)
        for what in ("execve", "process", "ptrace", "socket", "unshare", "setuid", "mmap",
                     "mprotect"):
            assert free[what] != "EPERM", free  # it was the sandbox, then


def every_thread_is_in_it_also_later_ones(programs):
    needs_sandbox(programs)
    with Server(programs.farpaged, sets=["areas=[{name: a, size: 64MiB}]"]) as server:
        before = of_threads(server, "Seccomp")
        assert len(before) >= 4 and set(before) == {"2"}, before
        assert set(of_threads(server, "NoNewPrivs")) == {"1"}
        programs.run(server, "store", "a", os.path.join(os.path.dirname(__file__),
                                                        "../data/pages.sample"), "--pad")
        assert "OK" in ask(server, "dictionary train a\r\n")  # has a thread of its own
        until(lambda: stats(server, "dictionaries").get("a:state", "trained") != "training")
        assert set(of_threads(server, "Seccomp")) == {"2"}


def it_may_be_switched_off_and_must_be_had_where_asked_for(programs):
    with Server(programs.farpaged, sets=["server.sandbox=off"]) as server:
        assert set(of_threads(server, "Seccomp")) == {own("Seccomp")}  # a container's, if any
        assert set(of_threads(server, "NoNewPrivs")) == {"1"}
    done = start(programs, "--set", "server.sandbox=maybe")
    assert done.returncode == 78, done
    if sanitized(programs.farpaged):
        done = start(programs, "--set", "server.sandbox=on", "--set",
                     'listeners=[{address: "127.0.0.1:0"}]')
        assert done.returncode == 1 and "sanitizer" in done.stderr, done


def a_reload_and_a_stop_work_within_it(programs):
    needs_sandbox(programs)
    with tempfile.TemporaryDirectory() as directory:
        users = os.path.join(directory, "users")
        with open(users, "w") as f:
            f.write("a:b")
        os.chmod(users, 0o600)
        with Server(programs.farpaged, local="auth: off", sets=["server.sandbox=on"]) as server:
            shutil.copy(server.config, server.config + ".old")
            with open(server.config, "a") as f:
                f.write(f'auth: {{file: "{users}"}}\n')
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "configuration reloaded" in server.stderr())
            with server.connect("tcp") as s:
                s.sendall(b"get x\r\nset a 0 0 3\r\na b\r\nget x\r\n")
                said = b""
                while not said.endswith(b"END\r\n"):
                    said += s.recv(100)
                assert said == b"CLIENT_ERROR unauthenticated\r\nSTORED\r\nEND\r\n"
            path = server.unix
            server.stop()
            assert not os.path.exists(path)
            server.over = True


if __name__ == "__main__":
    tell([what_a_server_never_needs_is_refused, every_thread_is_in_it_also_later_ones,
          it_may_be_switched_off_and_must_be_had_where_asked_for,
          a_reload_and_a_stop_work_within_it])
