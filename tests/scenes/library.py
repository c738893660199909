#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a program that uses libfarpage sees of a server that dies, comes back, or is cut off."""
import os
import signal
import socket
import subprocess
import threading
import time

from running import Server
from story import stats, tell

DRIVER = os.environ.get("FARPAGE_DRIVER", "")
EXAMPLES = os.environ.get("FARPAGE_EXAMPLES", "")


class Program:
    """library_driver, told what to do a line at a time. Use as a context manager."""

    def __init__(self, address, *flags, timeout_ms=20000):
        self.process = subprocess.Popen([DRIVER, address, str(timeout_ms), *flags],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self.process.stdout.readline().strip()

    def __enter__(self):
        assert self.greeting == "ready", self.greeting
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            self.process.communicate(timeout=30)
            assert self.process.returncode == 0, self.process.returncode
        self.process.kill()
        self.process.wait()

    def begin(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        """(status, number, sentence)"""
        said = self.process.stdout.readline()
        assert said, "the program ended"
        words = ["no memory", "no area", "bad area", "no map", "map mode"]
        status = next((w for w in words if said.startswith(w)), said.split(" ")[0])
        number, _, sentence = said[len(status) + 1:].strip().partition(" ")
        return status, int(number), sentence

    def tell(self, line):
        self.begin(line)
        return self.end()

    def expect(self, line, status, number=None):
        got = self.tell(line)
        assert got[0] == status and number in (None, got[1]), (line, got)
        return got[2]


class Proxy(threading.Thread):
    """Between programs and a server: passes on, until it is told to cut or to hold its peace."""

    def __init__(self, directory, server):
        super().__init__(daemon=True)
        self.server, self.path = server, os.path.join(directory, "proxy")
        self.address = "unix:" + self.path
        self.pairs, self.cut_after, self.deaf, self.half_dead = [], None, False, False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = self.server.connect("unix")
            except OSError:
                client.close()
                continue
            client.settimeout(None)
            server.settimeout(None)
            self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self.pass_on, args=(source, sink), daemon=True).start()

    def pass_on(self, source, sink):
        try:
            while piece := source.recv(65536):
                while self.deaf:
                    time.sleep(0.01)
                if self.cut_after is not None:
                    piece = piece[:self.cut_after]
                    self.cut_after -= len(piece)
                sink.sendall(piece)
                if self.cut_after == 0:
                    self.cut_after = None
                    self.cut()
                    return
        except OSError:
            pass
        if not self.half_dead:
            self.close(source, sink)

    @staticmethod
    def close(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            self.close(*pair)


def examples_run(programs):
    """Each example does what it says, against a server."""
    with Server(programs.farpaged) as server:
        for address in ("unix:" + server.unix, f"127.0.0.1:{server.port}"):
            for example in ("blocking", "event_loop", "threads", "maps", "region"):
                done = subprocess.run([os.path.join(EXAMPLES, example), address],
                                      capture_output=True, text=True, timeout=120, check=False)
                said = done.stdout + done.stderr
                without_rights = example == "region" and done.returncode == 77
                assert done.returncode == 0 or without_rights, (example, said)
                assert "ThreadSanitizer" not in said and "AddressSanitizer" not in said, said
        assert not any(name.startswith(("example/", "farpage-region"))
                       for name in stats(server, "areas"))
    done = subprocess.run([os.path.join(EXAMPLES, "blocking"), "127.0.0.1:1"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cannot connect to 127.0.0.1 port 1" in done.stderr, done


def a_killed_server_that_comes_back_is_lost_never_absent(programs):
    """Its pages are gone, and no call says anything else, until the program accepts that."""
    with Server(programs.farpaged) as server:
        with Program("unix:" + server.unix) as program:
            program.expect("store 3 5", "ok")
            program.expect("load 3", "ok", 5)
            server.process.send_signal(signal.SIGKILL)
            server.is_over(-signal.SIGKILL)
            os.remove(server.unix)
            with Server(programs.farpaged) as another:
                os.symlink(another.unix, server.unix)
                for line in ("load 3", "load 4", "store 4 1", "forget 4", "map 4", "many 8 100 1"):
                    assert "is lost" in program.expect(line, "lost"), line
                program.expect("renew", "ok")
                program.expect("load 3", "absent")
                program.expect("store 3 6", "ok")
                program.expect("load 3", "ok", 6)


def a_cut_connection_costs_nothing(programs):
    """Cut before, within and after requests; every page that was acknowledged is there, and what
    was on the way is stored after all."""
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        for flags in ((), ("shared",)):
            with Program(proxy.address, *flags) as program:
                for round in range(12):
                    proxy.cut_after = [None, 1, 39, 41, 500, 5000, 40000, 100000][round % 8]
                    program.expect(f"many {100 * round} 256 {round}", "ok")
                    if proxy.cut_after is None:
                        proxy.cut()
                    proxy.cut_after = None
                    for slot in (100 * round, 100 * round + 255):
                        program.expect(f"load {slot}", "ok", round)
                assert program.tell("connections")[1] >= 10
                for round in range(12):
                    program.expect(f"load {100 * round + 50}", "ok", round)


def an_area_is_taken_over_from_a_connection_that_is_half_dead(programs):
    """The server has not noticed that the old connection is dead: the program is let in again, and
    somebody else is not."""
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        with Program(proxy.address) as program:
            program.expect("store 3 5", "ok")
            proxy.half_dead = True
            for client, _ in proxy.pairs:
                Proxy.close(client)
            program.expect("load 3", "ok", 5)
            assert program.tell("connections")[1] == 2
            other = Program("unix:" + server.unix)
            assert "'driven' is open exclusively by " in other.greeting, other.greeting
            assert other.process.wait(timeout=20) == 1
            open_now = [n for n in stats(server, "sessions") if n.endswith(":areas")]
            assert len(open_now) >= 2, open_now  # the old connection is still there


def who_opens_next_is_not_kept_out(programs):
    """An exclusive area is free once the one who had it has closed it."""
    with Server(programs.farpaged) as server:
        for n in range(20):
            with Program("unix:" + server.unix) as program:
                program.expect(f"store {n} 1", "ok")
        with Program("unix:" + server.unix, "shared"), Program("unix:" + server.unix, "shared"):
            pass


def a_deadline_holds_and_the_connection_goes_on(programs):
    """A server that says nothing for a while is late, and then goes on where it was."""
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        with Program(proxy.address, timeout_ms=1000) as program:
            program.expect("store 3 5", "ok")
            proxy.deaf = True
            begun = time.monotonic()
            assert "did not answer within 1 s" in program.expect("load 3", "timeout")
            assert 0.9 < time.monotonic() - begun < 1.8
            proxy.deaf = False
            program.expect("load 3", "ok", 5)
            program.expect("connections", "ok", 1)
            program.expect("store 3 6", "ok")
            program.expect("load 3", "ok", 6)


def a_server_that_is_gone_costs_the_deadline(programs):
    """While nobody is there each call takes its time and no more; then it is there again."""
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        with Program(proxy.address, timeout_ms=700) as program:
            program.expect("store 3 5", "ok")
            os.rename(proxy.path, proxy.path + ".away")
            proxy.cut()
            for _ in range(3):
                begun = time.monotonic()
                assert "cannot connect" in program.expect("load 3", "timeout")
                assert 0.6 < time.monotonic() - begun < 1.5
            os.rename(proxy.path + ".away", proxy.path)
            program.expect("load 3", "ok", 5)


def a_transient_area_is_lost_with_its_connection(programs):
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        with Program(proxy.address, "transient") as program:
            program.expect("store 3 5", "ok")
            proxy.cut()
            until = time.monotonic() + 20
            while any(name.startswith("driven:") for name in stats(server, "areas")):
                assert time.monotonic() < until
                time.sleep(0.01)
            program.expect("load 3", "lost")
            program.expect("renew", "ok")
            program.expect("load 3", "absent")


def a_map_ends_with_its_connection(programs):
    with Server(programs.farpaged) as server:
        proxy = Proxy(server.directory, server)
        with Program(proxy.address) as program:
            program.expect("store 3 5", "ok")
            program.expect("map 3", "ok")
            proxy.cut()
            program.expect("load 3", "ok", 5)
            program.expect("publish", "no map")
            program.expect("load 3", "ok", 5)
            program.expect("map 3", "ok")
            program.expect("publish", "ok")


if __name__ == "__main__":
    tell([examples_run, a_killed_server_that_comes_back_is_lost_never_absent,
          a_cut_connection_costs_nothing,
          an_area_is_taken_over_from_a_connection_that_is_half_dead,
          who_opens_next_is_not_kept_out, a_deadline_holds_and_the_connection_goes_on,
          a_server_that_is_gone_costs_the_deadline, a_transient_area_is_lost_with_its_connection,
          a_map_ends_with_its_connection])
