# SPDX-License-Identifier: BSD-3-Clause
"""frames - as much of the page protocol (docs/protocol.md) as one needs to see a server die."""
import collections
import os
import socket
import struct

HELLO, OPEN, STORE, LOAD = 1, 4, 5, 6
OK, ABSENT, NO_MEMORY, NO_AREA, LOST = 0, 1, 3, 5, 23
CREATE, EXPECT = 1, 16
HEADER_BYTES, PAGE_BYTES, PATIENCE_S = 40, 4096, 10

Reply = collections.namedtuple("Reply", "status area body")
Identity = collections.namedtuple("Identity", "boot_id generation")
NO_IDENTITY = Identity(bytes(16), 0)


def _table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Page:
    """One page with its checksum, which is slow to compute here and hence computed once."""

    def __init__(self, bytes_):
        assert len(bytes_) == PAGE_BYTES
        self.bytes, self.crc = bytes_, crc32c(bytes_)


def text_page(number):
    """A page like no other, which packs well."""
    line = f"page {number} of a program far from home\n".encode()
    return Page((line * (PAGE_BYTES // len(line) + 1))[:PAGE_BYTES])


def random_page():
    """A page that does not pack."""
    return Page(os.urandom(PAGE_BYTES))


class Connection:
    """Raises OSError when the server is gone; everything else is a status."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        welcome = self.ask(HELLO, body=struct.pack(">HHI", 1, 1, 0)).body
        self.boot_id, page_bytes = welcome[8:24], struct.unpack(">I", welcome[24:28])[0]
        assert page_bytes == PAGE_BYTES, page_bytes

    def close(self):
        self.socket.close()

    def _receive(self, size):
        got = b""
        while len(got) < size:
            more = self.socket.recv(size - len(got))
            if not more:
                raise ConnectionError("the server closed the connection")
            got += more
        return got

    def ask(self, opcode, slot=0, area=0, count=0, body=b"", crc=None):
        crc = crc32c(body) if crc is None else crc
        head = struct.pack(">BBHIQIIIII", 0xFA, opcode, 0, 1, slot, area, count, len(body), crc, 0)
        self.socket.sendall(head + struct.pack(">I", crc32c(head)) + body)
        head = self._receive(HEADER_BYTES)
        magic, _, status, _, _, area, _, size = struct.unpack(">BBHIQIII", head[:28])
        assert magic == 0xFB and crc32c(head[:36]) == struct.unpack(">I", head[36:])[0], head
        return Reply(status, area, self._receive(size))

    def open(self, name, slots=0, flags=0, expected=NO_IDENTITY):
        """(status, number of the area, its identity)."""
        body = struct.pack(">IIQQQ16sQ16sQ", flags, 0, slots, 0, 0, *expected, bytes(16), 0)
        reply = self.ask(OPEN, body=body + name.encode())
        generation = struct.unpack(">Q", reply.body[16:24])[0] if reply.status == OK else 0
        return reply.status, reply.area, Identity(self.boot_id, generation)

    def store(self, area, slot, page):
        return self.ask(STORE, slot, area, 1, page.bytes, page.crc).status

    def load(self, area, slot):
        """(status, bytes)."""
        reply = self.ask(LOAD, slot, area, 1)
        return reply.status, reply.body
