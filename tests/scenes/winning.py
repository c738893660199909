#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Many clients ask for the same at once; just one of them is to fetch it."""
import re
import threading

from running import Server
from story import tell

CLIENTS, KEYS = 8, 300


class Client(threading.Thread):
    """Asks for the keys in turn, together with all others; remembers which it has won."""

    def __init__(self, server, start, ask):
        super().__init__()
        self.sock, self.start_line, self.ask, self.won = server.connect("tcp"), start, ask, []

    def run(self):
        with self.sock:
            for number in range(KEYS):
                self.start_line.wait(60)
                self.sock.sendall(self.ask % number)
                line = b""
                while not line.endswith(b"\n"):
                    line += self.sock.recv(1000)
                assert re.fullmatch(rb"HD c\d+( [ZXW])*\r\n", line), line
                if b" W" in line:
                    self.won.append(number)


def all_ask(server, ask):
    start = threading.Barrier(CLIENTS)
    clients = [Client(server, start, ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    won = sorted(number for client in clients for number in client.won)
    assert won == list(range(KEYS)), f"{len(won)} wins of {KEYS}, {len(set(won))} of them once"


def of_many_who_ask_at_once_one_is_to_fetch(programs):
    with Server(programs.farpaged) as server:
        all_ask(server, b"mg k%d c N300\r\n")  # nobody has it
        with server.connect("tcp") as s:
            s.sendall(b"".join(b"ms k%d 1 T300 q\r\nx\r\n" % i for i in range(KEYS)) + b"mn\r\n")
            assert s.recv(100) == b"MN\r\n"
        all_ask(server, b"mg k%d c R600\r\n")  # it ends soon
        with server.connect("tcp") as s:
            s.sendall(b"".join(b"md k%d I q\r\n" % i for i in range(KEYS)) + b"mn\r\n")
            assert s.recv(100) == b"MN\r\n"
        all_ask(server, b"mg k%d c\r\n")  # it is stale


if __name__ == "__main__":
    tell([of_many_who_ask_at_once_one_is_to_fetch])
