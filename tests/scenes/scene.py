#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""scene - plays a *.scene transcript against a real server, which must then stop cleanly.

  scene.py FARPAGED FILE...               against farpaged
  scene.py --memcached PROGRAM FILE...    against memcached, to hold the scene itself to the truth

A transcript has one step a line; empty lines and those that begin with # are for people.

  server KEY=VALUE ...   set before the start (--set); `memcached ARG ...` is its counterpart there
  only farpaged REASON   against memcached the scene is passed over
  needs hooks            of a build for tests: against others it is passed over, exit code 77
  client a [tcp|unix]    opens a connection named a (a first use does too); `close a` closes it
  let NAME = EXPRESSION  Python; used as {NAME}
  check EXPRESSION       must be true
  keep [a] NAME          a receives lines "STAT x y" up to END; NAME is then {"x": "y"}
  sleep SECONDS

  a> LINE                a sends LINE and "\\r\\n";  a>| BYTES  sends just the bytes
  a< LINE                a receives LINE and "\\r\\n"; * is any text, {?NAME} keeps a word as NAME
  a<| BYTES              a receives just these bytes
  a<~ REGEX              a receives a line that matches
  a<!                    the server closes a;  a<.  says nothing for a moment
  1.6.18< LINE           (also <! <.) memcached 1.6.18 says this instead of what the step before
                         expects, or besides it if that sends; more of them are more lines;
                         `1.6.18-` means that it says nothing

`a` may be left out: there is a connection without a name. `repeat N` before a step repeats it.
In LINE and BYTES {EXPRESSION} is Python, where now() is the unix time, and \\r \\n \\0 \\xNN
\\\\ \\* \\{ are what they say.
"""
import re
import select
import sys
import time

from running import Server

PASSED_OVER = 77
SILENCE_SECONDS = 0.3
STEP = re.compile(r"([a-z]\w*)?(>\||>|<\||<~|<!|<\.|<)(?: (.*))?$")
OLD = re.compile(r"1\.6\.18(<!|<\.|<|-)(?: (.*))?$")
PIECE = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)"
                   r"|\{(\?)?((?:[^{}\"']|\"[^\"]*\"|'[^']*')*)\}|(\*)|(.)", re.S)
ESCAPES = {"r": b"\r", "n": b"\n", "0": b"\0"}


class Failure(Exception):
    pass


class Client:
    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def receive(self):
        got = self.sock.recv(65536)
        self.held += got
        return got != b""

    def line(self):
        while b"\n" not in self.held:
            if not self.receive():
                raise Failure(f"closed by the server after {self.held!r}")
        line, self.held = self.held.split(b"\n", 1)
        return line + b"\n"

    def take(self, size):
        while len(self.held) < size and self.receive():
            pass
        bytes_, self.held = self.held[:size], self.held[size:]
        return bytes_

    def has_more(self, seconds=0.05):
        """Something arrived, or the end did; both are kept for the next step to see."""
        return self.held != b"" or bool(select.select([self.sock], [], [], seconds)[0]
                                        and (self.receive() or True))

    def is_closed(self):
        try:
            while self.held == b"" and self.receive():
                pass
        except ConnectionError:
            pass
        return self.held == b""


class Scene:
    def __init__(self, text, connect, old):
        self.steps = list(enumerate(text.splitlines(), 1))
        self.connect, self.old = connect, old
        self.clients, self.names = {}, {"now": lambda: int(time.time())}

    def bytes_of(self, text, pattern=False):
        """The bytes a text stands for; as a regex with its names where `pattern`."""
        out, wanted = [], []
        quote = re.escape if pattern else bytes
        for hex_, escape, keep, expression, star, plain in PIECE.findall(text):
            if hex_:
                out.append(quote(bytes([int(hex_, 16)])))
            elif escape:
                out.append(quote(ESCAPES.get(escape, escape.encode())))
            elif keep:
                wanted.append(expression)
                out.append(rb"(\S+)")
            elif expression:
                value = eval(expression, dict(self.names))  # our own files
                out.append(quote(value if isinstance(value, bytes) else str(value).encode()))
            elif star and pattern:
                out.append(rb"[^\r\n]*")
            else:
                out.append(quote((star or plain).encode()))
        return b"".join(out), wanted

    def client(self, name, how=None):
        if name not in self.clients:
            self.clients[name] = Client(self.connect(how))
        return self.clients[name]

    def send(self, client, op, text):
        data = self.bytes_of(text)[0] + (b"" if op == ">|" else b"\r\n")
        try:
            client.sock.sendall(data)
        except ConnectionError:
            pass  # the server may close while we speak; what it said is read next

    def expect(self, client, op, text):
        if op == "<!":
            if not client.is_closed():
                raise Failure(f"want: closed\n  got:  {client.held[:300]!r}")
        elif op == "<.":
            if client.has_more(SILENCE_SECONDS):
                raise Failure(f"want: silence\n  got:  {client.held[:300]!r}")
        elif op == "<|":
            want = self.bytes_of(text)[0]
            got = client.take(len(want))
            if got != want:
                raise Failure(f"want: {want[:300]!r}\n  got:  {got[:300]!r}")
        else:
            got = client.line()
            regex, wanted = (text.encode(), []) if op == "<~" else self.bytes_of(text, True)
            match = re.fullmatch(regex + rb"\r\n", got, re.S)
            if not match:
                raise Failure(f"want: {text[:300]}\n  got:  {got[:300]!r}")
            for name, value in zip(wanted, match.groups()):
                self.names[name] = value.decode()

    def step(self, line):
        """One step; the next ones may already be looked at for what an older server says."""
        word, _, rest = line.partition(" ")
        match = STEP.match(line)
        if match:
            name, op, text = match.group(1) or "", match.group(2), match.group(3) or ""
            client = self.client(name)
            if op.startswith(">"):
                self.send(client, op, text)
            older = self.take_older()
            if older is None and op.startswith("<"):
                self.expect(client, op, text)
            for older_op, older_text in older or []:
                if older_op != "-":
                    self.expect(client, older_op, older_text or "")
        elif word == "repeat":
            count, _, again = rest.partition(" ")
            for _ in range(int(eval(count, dict(self.names)))):
                self.step(again)
        elif word == "client":
            name, _, how = rest.partition(" ")
            self.client(name, how or None)
        elif word == "close":
            self.clients.pop(rest).sock.close()
        elif word == "let":
            name, _, expression = rest.partition(" = ")
            self.names[name] = eval(expression, dict(self.names))
        elif word == "check":
            if not eval(rest, dict(self.names)):
                raise Failure(f"not so; known are {self.known()}")
        elif word == "keep":
            client, _, name = rest.rpartition(" ")
            self.names[name] = self.stats(self.client(client))
        elif word == "sleep":
            time.sleep(float(rest))
        elif word not in ("server", "memcached", "only", "needs"):
            raise Failure("not a step")

    def known(self):
        return {name: value for name, value in self.names.items()
                if not callable(value) and not name.startswith("_")}

    @staticmethod
    def stats(client):
        found = {}
        while (line := client.line()) != b"END\r\n":
            match = re.fullmatch(rb"STAT (\S+) (.*)\r\n", line)
            if not match or match[1] in found:
                raise Failure(f"not a line of statistics, or twice: {line!r}")
            found[match[1].decode()] = match[2].decode()
        return found

    def take_older(self):
        """What 1.6.18 says instead of this step, where we play against it."""
        older = []
        while self.steps and (match := OLD.match(self.steps[0][1])):
            older.append(match.groups())
            self.steps.pop(0)
        return older if older and self.old else None

    def play(self):
        while self.steps:
            number, line = self.steps.pop(0)
            if line == "" or line.startswith("#"):
                continue
            try:
                self.step(line)
            except (Failure, OSError) as e:
                raise Failure(f"{number}: {line[:200]}\n  {e or type(e).__name__}") from None
        for name, client in self.clients.items():
            client.has_more()
            if client.held:
                raise Failure(f"at the end: {name or 'the client'} was also told "
                              f"{client.held[:300]!r}")
            client.sock.close()


def setting(text, word):
    return [pair for line in text.splitlines() if line.startswith(word + " ")
            for pair in line.split()[1:]]


def has_hooks(server):
    client = Client(server.connect("unix"))
    client.sock.sendall(b"debugtime r\r\n")
    said = client.line()
    client.sock.close()
    return said == b"OK\r\n"


def play_file(path, program, memcached):
    """0: it passed. 1: it did not. 77: it was passed over."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if memcached and setting(text, "only"):
        print(f"{path}: passed over, {' '.join(setting(text, 'only')[1:])}")
        return PASSED_OVER
    try:
        with Server(program, setting(text, "server"), memcached,
                    setting(text, "memcached")) as server:
            if setting(text, "needs") and not has_hooks(server):
                print(f"{path}: passed over, this build has no hooks for tests")
                return PASSED_OVER
            Scene(text, server.connect, memcached).play()
    except (Failure, AssertionError) as e:
        print(f"{path}:{e}")
        return 1
    return 0


def main(arguments):
    memcached = arguments[:1] == ["--memcached"]
    if memcached:
        arguments = arguments[1:]
    if len(arguments) < 2:
        print(__doc__)
        return 2
    results = [play_file(path, arguments[0], memcached) for path in arguments[1:]]
    if len(results) > 1:
        print(f"{len(results) - results.count(1)} of {len(results)} scenes passed")
    return 1 if 1 in results else min(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
