#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that others wrote, unchanged. One that is not installed is passed over with a word."""
import os
import shutil
import subprocess
import sys
import time

from running import Server
from story import tell


def missing(what):
    print(f"{what} is not installed: passed over")


def pymemcache_works(programs):
    try:
        from pymemcache.client.base import Client
    except ImportError:
        return missing("python3-pymemcache")
    with Server(programs.farpaged) as server:
        for address in (("127.0.0.1", server.port), server.unix):
            client = Client(address, default_noreply=False)
            big = os.urandom(500000)
            assert client.set("big", big) and client.get("big") == big
            assert client.set_many({f"k{n}": b"v%d" % n for n in range(100)}) == []
            assert client.get_many([f"k{n}" for n in range(100)])["k42"] == b"v42"
            value, cas = client.gets("k1")
            assert value == b"v1" and client.cas("k1", b"new", cas) is True
            assert client.cas("k1", b"newer", cas) is False
            assert client.add("k1", b"x") is False and client.replace("k1", b"7") is True
            assert client.incr("k1", 5) == 12 and client.decr("k1", 20) == 0
            assert client.append("k2", b"+") and client.prepend("k2", b"-")
            assert client.get("k2") == b"-v2+"
            assert client.touch("k2", 100) and client.delete("k2") and client.get("k2") is None
            assert client.version().startswith(b"1.6.")
            held = int(client.stats()[b"curr_items"])
            assert held >= 100, held  # those that were flushed may still be counted
            client.set("quiet", b"1", noreply=True)
            assert client.get("quiet") == b"1"
            assert client.flush_all() and client.get("k1") is None
            client.quit()
        return None


def memccapable_passes(programs):
    """libmemcached's conformance test, all of its 27 text checks."""
    if shutil.which("memccapable") is None:
        return missing("libmemcached-tools")
    with Server(programs.farpaged) as server:
        done = subprocess.run(["memccapable", "-h", "127.0.0.1", "-p", str(server.port), "-a"],
                              capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout.count("[pass]") == 27 and "FAIL" not in done.stdout, done.stdout
        done = subprocess.run(["memcstat", f"--servers=127.0.0.1:{server.port}"],
                              capture_output=True, text=True, timeout=20, check=False)
        assert "curr_items" in done.stdout, done
    return None


def netcat_works_with_bare_newlines(programs):
    if shutil.which("nc") is None:
        return missing("netcat-openbsd")
    with Server(programs.farpaged) as server:
        for send in (b"stats\r\nquit\r\n", b"set a 0 0 5\nhello\nget a\nstats\nquit\n"):
            done = subprocess.run(["nc", "127.0.0.1", str(server.port)], input=send,
                                  capture_output=True, timeout=20, check=True)
            assert b"STAT pid " in done.stdout and done.stdout.endswith(b"END\r\n"), done
    return None


def telnet_works(programs):
    telnet = shutil.which("telnet")
    if telnet is None:
        return missing("telnet")
    with Server(programs.farpaged) as server:
        session = subprocess.Popen([telnet, "127.0.0.1", str(server.port)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in (b"set a 0 0 5\n", b"hello\n", b"get a\n", b"stats zpool\n", b"quit\n"):
            time.sleep(0.2)  # as slowly as a person: telnet gives up at the end of its input
            session.stdin.write(line)
            session.stdin.flush()
        said = session.communicate(timeout=20)[0]
        for needed in (b"STORED", b"VALUE a 0 5", b"hello", b"STAT allocator "):
            assert needed in said, said
    return None


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([pymemcache_works, memccapable_passes, netcat_works_with_bare_newlines, telnet_works])
