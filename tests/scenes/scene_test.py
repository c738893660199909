#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""scene_test - the runner's own test: scenes that must pass and scenes that must fail.

They are played against a server of a few lines that answers each line with that line, says nothing
to "hush", tells statistics, and hangs up at "bye".
"""
import socket
import sys
import threading

from scene import Failure, Scene

STATS = b"STAT x 1\r\nSTAT y two words\r\nEND\r\n"

PASS = [
    "> a b\n< a b",
    "> a\n< *",
    "a> 1\nb> 2\nb< 2\na< 1",
    '> {"x"*3}\n< xxx',
    "> n 17\n< n {?id}\n> {id}\n< 17",
    ">| a\\n\n<| a\\n",
    "> \\x41\\*\\{\n< A\\*\\{",
    "> bye\n<!",
    "> hush\n<.",
    "repeat 3 > a\nrepeat 3 < a",
    "> a1\n<~ a[0-9]",
    "let n = 2\n> {n+1}\n< 3",
    "# nothing\n\nserver a.b=c",
    "> a\n< a\n1.6.18< b",
    '> stats\nkeep s\ncheck s == {"x": "1", "y": "two words"}',
    "client a\na> stats\nkeep a s\ncheck len(s) == 2",
    "> a\nclose \n> b\n< b",
]
FAIL = [
    "> a\n< b",
    "> a\n< a b",
    "> ab\n< a",
    "> a.c\n< abc",
    "> a",
    "> a\n<!",
    "> a\n<.",
    "> bye\n< a",
    "what",
    ">| a\\n\n< a",
    "> ab\n<~ a",
    "> a\n<| b",
    "> a\nkeep s",
    "> stats\nkeep s\ncheck len(s) == 3",
    "> x\n< x\n> y\n< x",
]
OLDER = [
    "> b\n< a\n1.6.18< b",
    "> b\n1.6.18< b\n> hush\n< a\n1.6.18-",
    "> bye\n< a\n1.6.18<!",
    ">| a\\r\\nb\\r\\n\n< c\n1.6.18< a\n1.6.18< b",
]


def serve(sock):
    with sock, sock.makefile("rb") as lines:
        for line in lines:
            if line.startswith(b"bye"):
                return
            try:
                sock.sendall(b"" if line.startswith(b"hush") else
                             STATS if line.startswith(b"stats") else line)
            except OSError:
                return


def connect(_):
    ours, theirs = socket.socketpair()
    ours.settimeout(2)
    threading.Thread(target=serve, args=(theirs,), daemon=True).start()
    return ours


def passes(text, old):
    try:
        Scene(text, connect, old).play()
        return True
    except Failure:
        return False


def main():
    wrong = [text for text in PASS if not passes(text, False)]
    wrong += [text for text in FAIL if passes(text, False)]
    wrong += [text for text in OLDER if not passes(text, True)]
    for text in wrong:
        print(f"wrong about:\n{text}\n")
    print(f"{len(PASS) + len(FAIL) + len(OLDER)} scenes, {len(wrong)} judged wrongly")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
