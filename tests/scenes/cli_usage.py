#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""cli_usage - what `farpage` answers to every malformed command line, and when no one is there.

usage: cli_usage.py FARPAGE        (no server is needed)
"""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

COMMANDS = ["ping", "stats", "areas", "sessions", "maps", "store", "load", "verify", "invalidate", "try",
            "advise", "compact", "compressor", "dictionary", "recompress",
            "replay", "swap", "help"]
NOBODY = "unix:/nonexistent/farpage"

# (arguments, exit code, a regular expression that stderr must hold)
ROWS = [
    ([], 2, "a command is missing"),
    (["pnig"], 2, "unknown command 'pnig'; did you mean 'ping'\\?"),
    (["sttas"], 2, "did you mean 'stats'\\?"),
    (["xyzzyxyzzy"], 2, "unknown command 'xyzzyxyzzy'\n"),
    (["help", "stor"], 2, "did you mean 'store'\\?"),
    (["help", "a", "b"], 2, "does not know what to do with 'b'"),
    (["--sever", "x", "ping"], 2, "unknown option '--sever'; did you mean '--server'\\?"),
    (["ping", "--jsn"], 2, "did you mean '--json'\\?"),
    (["ping", "--server"], 2, "option '--server' needs a value"),
    (["ping", "--server", "nowhere"], 2, "'nowhere' is not an address"),
    (["ping", "--server", "host:0"], 2, "'0' is not a port"),
    (["ping", "--server", "host:65536"], 2, "'65536' is not a port"),
    (["ping", "--server", "::1:80"], 2, "needs brackets"),
    (["ping", "--server", "unix:" + "x" * 200], 2, "longer than 107 bytes"),
    (["ping", "extra"], 2, "does not know what to do with 'extra'"),
    (["ping", "--json=yes"], 2, "option '--json' takes no value"),
    (["ping", "--depth", "3"], 2, "'ping' has no option '--depth'"),
    (["--depth", "3", "store"], 2, "option '--depth' belongs behind its command"),
    (["ping", "--timeout", "5"], 2, "'5' is not a time.*; did you mean '5s'\\?"),
    (["ping", "--timeout", "5x"], 2, "'5x' is not a time, such as 500ms or 5s\n"),
    (["ping", "--timeout", "0"], 2, "'0' is not a time"),
    (["stats", "a", "b"], 2, "does not know what to do with 'b'"),
    (["store"], 2, "'store' needs AREA FILE"),
    (["store", "a"], 2, "'store' needs AREA FILE"),
    (["store", "a", "b", "c"], 2, "does not know what to do with 'c'"),
    (["store", "a", "b", "--depth", "0"], 2, "'0' is not a number from 1 to 1024"),
    (["store", "a", "b", "--depth", "1025"], 2, "not a number from 1 to 1024"),
    (["store", "a", "b", "--depth", "-1"], 2, "'-1' is not a number"),
    (["store", "a", "b", "--depth", "18446744073709551616"], 2, "is not a number"),
    (["store", "a", "b", "--connections", "65"], 2, "not a number from 1 to 64"),
    (["store", "a", "b", "--size", "64Q"], 2, "'64Q' is not a size"),
    (["load", "a", "b", "--count", "0"], 2, "'0' is not a number from 1"),
    (["verify", "a", "b", "--count", "1"], 2, "'verify' has no option '--count'"),
    (["load", "a", "b", "--pad"], 2, "'load' has no option '--pad'"),
    (["load", "a", "-", "--json"], 2, "cannot both go to standard output"),
    (["invalidate", "a", "1"], 2, "FIRST COUNT"),
    (["invalidate", "a", "x", "1"], 2, "FIRST COUNT"),
    (["invalidate", "a", "1", "2", "3"], 2, "does not know what to do with '3'"),
    (["try"], 2, "needs a COMMAND or --pid PID"),
    (["try", "--pid", "1", "true"], 2, "and not both"),
    (["try", "--pid", "0"], 2, "'0' is not a number"),
    (["try", "--after", "soon", "true"], 2, "'soon' is not a time"),
    (["try", "--area", "x" * 99, "true"], 2, "the name is too long"),
    (["swap"], 2, "'swap' needs on ADDRESS\\.\\.\\. \\| off \\[DEVICE\\] \\| status"),
    (["swap", "on"], 2, "needs on ADDRESS\\.\\.\\., off \\[DEVICE\\] or status"),
    (["swap", "no", "x"], 2, "needs on ADDRESS\\.\\.\\., off \\[DEVICE\\] or status"),
    (["swap", "on", "h/1", "h/2", "h/3", "h/4", "h/5"], 2, "does not know what to do with 'h/5'"),
    (["swap", "status", "x"], 2, "needs on ADDRESS\\.\\.\\., off \\[DEVICE\\] or status"),
    (["swap", "on", "10.0.0.7"], 2, "'10.0.0.7' is no address: it names no export"),
    (["swap", "on", "nbds://h/x"], 2, "WireGuard"),
    (["swap", "on", "h/a", "nbd://h:10809/a"], 2, "is named twice: no mirror of itself"),
    (["swap", "on", "h/a", "--dry-run", "--json"], 2, "and no JSON document"),
    (["swap", "off", "sda"], 2, "'sda' is no nbd or md device, such as /dev/nbd0"),
    (["swap", "off", "--priority", "1"], 2, "these options are for 'swap on'"),
    (["swap", "status", "--force"], 2, "these options are for 'swap on' and 'swap off'"),
    (["swap", "on", "h/x", "--connections", "17"], 2, "not a number from 1 to 16"),
    (["swap", "on", "h/x", "--silence", "500ms"], 2, "'500ms' is not a time"),
    (["swap", "on", "h/x", "--silence", "1500ms"], 2, "whole seconds only"),
    (["swap", "on", "h/x", "--silence", "30"], 2, "did you mean '30s'"),
    (["advise", "a", "b"], 2, "does not know what to do with 'b'"),
    (["advise", "--pages", "0"], 2, "'0' is not a number from 1 to 1048576"),
    (["advise", "--server", NOBODY], 69, "No such file"),
    (["compact", "now"], 2, "does not know what to do with 'now'"),
    (["compact", "--no-wiat"], 2, "did you mean '--no-wait'\\?"),
    (["compressor", "get"], 2, "needs nothing, or set ALGORITHM\\[:LEVEL\\]"),
    (["compressor", "set"], 2, "needs nothing, or set ALGORITHM\\[:LEVEL\\]"),
    (["compressor", "set", "a\nb"], 2, "needs nothing, or set ALGORITHM\\[:LEVEL\\]"),
    (["compressor", "set", "a", "b", "c"], 2, "does not know what to do with 'c'"),
    (["recompress", "stop"], 2, "needs nothing, or start, pause, resume or cancel"),
    (["compressor", "--server", NOBODY], 69, "No such file"),
    (["dictionary", "train"], 2, "needs nothing, train AREA or drop AREA"),
    (["dictionary", "learn", "a"], 2, "needs nothing, train AREA or drop AREA"),
    (["dictionary", "train", "a", "b"], 2, "does not know what to do with 'b'"),
    (["dictionary", "train", "a\nb"], 2, "needs nothing, train AREA or drop AREA"),
    (["dictionary", "train", "a", "--size", "1"], 2, "'1' is not a size"),
    (["dictionary", "drop", "a", "--size", "64KiB"], 2, "belong to 'dictionary train'"),
    (["dictionary", "--server", NOBODY], 69, "No such file"),
    (["ping", "--no-wait"], 2, "'ping' has no option '--no-wait'"),
    (["replay", "trace"], 2, "'replay' needs TRACE PAGES"),
    (["replay", "/nonexistent", "/dev/null"], 1, "cannot open '/nonexistent'"),
    (["replay", "/etc/passwd", "/dev/null"], 1, "/etc/passwd:1: the first line is not"),
    (["compact", "--server", NOBODY], 69, "No such file"),
    (["ping", "--server", NOBODY], 69, "cannot connect to unix:/nonexistent/farpage: No such"),
    (["stats", "--server", "127.0.0.1:1"], 69,
     "^farpage: cannot connect to 127.0.0.1 port 1: Connection refused$"),
    (["areas", "--server", NOBODY], 69, "No such file"),
    (["areas", "create", "--size", "1MiB"], 2, "'areas' needs nothing, create NAME or delete NAME"),
    (["areas", "make", "a"], 2, "create NAME or delete NAME"),
    (["areas", "create", "a"], 2, "'areas create' needs --size SIZE"),
    (["areas", "delete", "a", "--size", "1MiB"], 2, "these options are for 'areas create'"),
    (["areas", "--quota-pages", "1"], 2, "these options are for 'areas create'"),
    (["areas", "create", "a", "--size", "x"], 2, "--size"),
    (["areas", "delete", "a", "--server", NOBODY], 69, "No such file"),
    (["sessions", "--server", NOBODY], 69, "No such file"),
    (["maps", "--server", NOBODY], 69, "No such file"),
    (["load", "a", "/dev/null", "--server", NOBODY], 69, "No such file"),
    (["store", "a", "/dev/zero", "--server", NOBODY], 1, "is not a file with a size"),
    (["store", "a", "/nonexistent", "--server", NOBODY], 1, "cannot open '/nonexistent'"),
    (["verify", "a", "/etc/passwd", "--server", NOBODY], 69, "No such file"),
    (["invalidate", "a", "--server", NOBODY], 69, "No such file"),
    (["try", "--server", NOBODY, "--", "true"], 69, "No such file"),
]


class Checker:
    def __init__(self, binary):
        self.binary, self.failures, self.count = binary, 0, 0

    def run(self, arguments, **environment):
        env = {k: v for k, v in os.environ.items() if k not in ("FARPAGE_SERVER", "NO_COLOR")}
        env.update(environment)
        return subprocess.run([self.binary, *arguments], capture_output=True, env=env, timeout=60)

    def check(self, condition, what):
        self.count += 1
        if not condition:
            self.failures += 1
            print(f"failed: {what}")


def check_rows(checker):
    for arguments, code, pattern in ROWS:
        done = checker.run(arguments)
        error = done.stderr.decode(errors="replace")
        what = f"{arguments}: exit {done.returncode}, stderr {error!r}"
        checker.check(done.returncode == code, f"{what}; exit {code} was due")
        checker.check(re.search(pattern, error) is not None, f"{what}; /{pattern}/ was due")
        checker.check(error.startswith("farpage: "), f"{what}; it must begin with the name")
        checker.check(not done.stdout, f"{arguments}: stdout is for results: {done.stdout!r}")


def check_help(checker):
    overview = checker.run(["--help"])
    checker.check(overview.returncode == 0 and not overview.stderr, "--help")
    for command in COMMANDS:
        checker.check(re.search(rf"^  {command} ", overview.stdout.decode(), re.M) is not None,
                      f"--help does not list {command}")
        by_option = checker.run([command, "--help"])
        by_command = checker.run(["help", command])
        checker.check(by_option.returncode == 0 and by_option.stdout == by_command.stdout,
                      f"{command} --help and help {command} differ")
        checker.check(f"usage: farpage {command}".encode() in by_option.stdout, f"help {command}")
        checker.check(b" \n" not in by_option.stdout, f"help {command}: a blank ends a line")
    version = checker.run(["--version"])
    checker.check(checker.run(["-V"]).stdout == version.stdout, "-V")
    checker.check(re.fullmatch(rb"farpage \d+\.\d+\.\d+\n", version.stdout) is not None, "--version")


def check_json_errors(checker):
    done = checker.run(["ping", "--json", "--server", NOBODY])
    checker.check(done.returncode == 69, "--json keeps the exit code")
    document = json.loads(done.stdout)
    checker.check("cannot connect" in document["error"] and document["exit_code"] == 69,
                  f"--json error: {document}")


def check_environment(checker):
    done = checker.run(["ping"], FARPAGE_SERVER=NOBODY)
    checker.check(b"/nonexistent/farpage" in done.stderr, "FARPAGE_SERVER is used")
    done = checker.run(["ping", "--server", "unix:/other"], FARPAGE_SERVER=NOBODY)
    checker.check(b"unix:/other" in done.stderr, "--server goes before FARPAGE_SERVER")
    done = checker.run(["ping"], FARPAGE_SERVER="junk")
    checker.check(done.returncode == 2 and b"FARPAGE_SERVER: 'junk' is not" in done.stderr,
                  f"a wrong FARPAGE_SERVER is named: {done.stderr!r}")
    done = checker.run(["ping", "--server", "junk"], FARPAGE_SERVER=NOBODY)
    checker.check(b"--server: 'junk' is not" in done.stderr, f"--server is named: {done.stderr!r}")


def check_strangers(checker, directory):
    """A port that someone else listens on: a line, no hang."""
    path, starting = str(pathlib.Path(directory, "stranger")), b"SERVER_ERROR the server is starting\r\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer():
            for reply in (b"ERROR\r\n", b"ERROR Too many open connections\r\n", b"",
                          b"HTTP/1.1 400 Bad Request\r\n\r\n", starting, starting, b"SERVER_"):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        for command, code, pattern in (
                ("ping", 1, "said 'ERROR'"), ("ping", 1, "(server.max_connections)"),
                ("ping", 69, "closed the connection"),
                ("ping", 1, "said 'HTTP/1.1 400 Bad Request'"),
                ("ping", 69, "the server is starting"),
                ("health", 1, "not ready: the server is starting"), ("ping", 69, "the server is st")):
            done = checker.run([command, "--server", f"unix:{path}"])
            error = (done.stdout + done.stderr).decode(errors="replace")
            checker.check(done.returncode == code and pattern in error,
                          f"stranger: exit {done.returncode}, {error!r}; {pattern!r} was due")
        thread.join()


def check_silence(checker, directory):
    path = str(pathlib.Path(directory, "silent"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        for given, said in (("200ms", b"200 ms"), ("1s", b"1 s")):
            done = checker.run(["ping", "--server", f"unix:{path}", "--timeout", given])
            sentence = b"did not answer within " + said + b"; is it a farpage server?"
            checker.check(done.returncode == 69 and sentence in done.stderr,
                          f"silence: exit {done.returncode}, {done.stderr!r}")


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    checker = Checker(arguments[0])
    check_rows(checker)
    check_help(checker)
    check_json_errors(checker)
    check_environment(checker)
    with tempfile.TemporaryDirectory(prefix="farpage-") as directory:
        check_strangers(checker, directory)
        check_silence(checker, directory)
    print(f"{checker.count - checker.failures} of {checker.count} checks passed")
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
