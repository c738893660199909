#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""hostile - clients that stall, lie, vanish or never read: each must cost only itself.

  hostile.py FARPAGED [WAY...]    all ways where none is named

After each way another client is served, and the server must stop cleanly at the end.
"""
import os
import random
import socket
import struct
import sys
import time

from running import Server
from story import limit_mib, sanitized, stats

MIB = 1 << 20
GROWTH_BYTES_MAX = 24 * MIB
PAGE = bytes(range(256)) * 16

OK, ABSENT, RANGE, NO_AREA, BAD_AREA, BAD_LENGTH = 0, 1, 4, 5, 6, 7
BAD_CHECKSUM, BAD_OPCODE, BAD_VERSION, NO_HELLO, BAD_HEADER, LIMIT, NO_SECTION = 8, 9, 10, 11, 12, 13, 14
NO_COMMAND, REFUSED = 16, 17
HELLO, PING, STATS, OPEN, STORE, LOAD, INVALIDATE, COMPACT, COMMAND = range(1, 10)
MAP, MREAD, MWRITE, UNMAP = range(11, 15)


def crc32c_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(crc32c_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def frame(opcode, body=b"", **fields):
    """A request as docs/protocol.md has it; any field may be given a lie."""
    f = {"magic": 0xFA, "status": 0, "tag": 7, "slot": 0, "area": 0, "count": 0, "reserved": 0,
         "body_bytes": len(body), "body_crc": crc32c(body) if body else 0, "header_crc": None}
    f.update(fields)
    header = struct.pack(">BBHIQIIIII", f["magic"], opcode, f["status"], f["tag"], f["slot"],
                         f["area"], f["count"], f["body_bytes"], f["body_crc"], f["reserved"])
    crc = crc32c(header) if f["header_crc"] is None else f["header_crc"]
    return header + struct.pack(">I", crc) + body


def hello(lowest=1, highest=1, features=0):
    return frame(HELLO, struct.pack(">HHI", lowest, highest, features))


def open_area(name, slots=16, flags=3, page_bytes=0):
    return frame(OPEN, struct.pack(">IIQ64x", flags, page_bytes, slots) + name)


def receive(s, size):
    got = b""
    while len(got) < size:
        piece = s.recv(size - len(got))
        if piece == b"":
            raise AssertionError(f"closed by the server after {got!r}")
        got += piece
    return got


def reply(s):
    header = receive(s, 40)
    magic, opcode, status, tag, slot, area, count, body_bytes, body_crc, reserved, crc = \
        struct.unpack(">BBHIQIIIIII", header)
    assert magic == 0xFB and crc == crc32c(header[:36]) and reserved == 0, header
    body = receive(s, body_bytes)
    assert (crc32c(body) if body else 0) == body_crc, "the reply's body is broken"
    return {"opcode": opcode, "status": status, "tag": tag, "area": area, "slot": slot,
            "count": count, "body": body}


def is_closed(s, seconds):
    """The server closes within so many seconds; what it still says does not matter."""
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def expect_served(server):
    with server.connect("tcp") as s:
        s.sendall(b"set alive 0 0 2\r\nok\r\nget alive\r\n")
        want = b"STORED\r\nVALUE alive 0 2\r\nok\r\nEND\r\n"
        got = receive(s, len(want))
        assert got == want, got
    with server.connect() as s:
        s.sendall(hello() + frame(PING, b"alive"))
        assert reply(s)["status"] == OK and reply(s)["body"] == b"alive"


def cut_after_every_byte(program):
    """A client may vanish anywhere within a request of any kind."""
    text = [b"get a b c\r\n", b"gets a\r\n", b"gat 10 a\r\n", b"set k 1 2 5\r\nvalue\r\n",
            b"cas k 0 0 3 1\r\nbar\r\n", b"append k 0 0 1\r\nx\r\n", b"set k 0 0 3\nbar\n",
            b"incr k 1\r\n", b"delete k\r\n", b"touch k 1\r\n", b"flush_all 5\r\n", b"stats\r\n",
            b"version\r\n", b"verbosity 1\r\n", b"quit\r\n",
            b"mg k s v N0 R30 Oabc\r\n", b"mg a2V5 b k\r\n", b"ms k 5 T0 c s\r\nvalue\r\n",
            b"ms k 3\nbar\n", b"md k I x\r\n", b"ma n N0 J7 v\r\n", b"me k\r\n", b"mn\r\n",
            b"ms k 9999999 q\r\n" + b"v" * 40, b"set k 0 0 9999999\r\n" + b"v" * 40, b"set k 0 0 3\r\nbarbar\r\n"]
    whole = hello() + open_area(b"cut")
    frames = [hello(), whole, whole + frame(PING, b"hello"),
              whole + frame(LOAD, area=1, slot=3, count=1), whole + frame(STATS),
              whole + frame(INVALIDATE, area=1, count=4)]
    with Server(program) as server:
        count = 0
        for request in text + frames:
            for cut in range(len(request) + 1):
                with server.connect("tcp" if cut % 2 else "unix") as s:
                    s.sendall(request[:cut])
                    if cut % 3 == 1:  # some say that they will send no more, then read
                        s.shutdown(socket.SHUT_WR)
                        assert is_closed(s, 10), request[:cut]
                    if cut % 3 == 2:  # some break the connection instead of closing it
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                count += 1
        store = whole + frame(STORE, PAGE, area=1, slot=1, count=1)
        for cut in list(range(len(whole), len(whole) + 60)) + [len(store) - 1]:
            with server.connect() as s:
                s.sendall(store[:cut])
        expect_served(server)
        print(f"cut_after_every_byte: {count} connections cut")


def maps_cut_after_every_byte(program):
    """Wherever a client vanishes that maps, nothing stays pinned, and nothing it wrote is stored."""
    big = os.urandom(30000).replace(b"\n", b" ")
    text = b"".join([b"map k ro\r\n", b"map k rw lease 7\r\n", b"mread 1 0 3\r\n",
                     b"mwrite 2 1 2\r\nxy\r\n", b"mread 2 0 3\r\n", b"maps\r\n", b"map big ro\r\n",
                     b"mread 3 0 30000\r\n", b"map k rw\r\n", b"unmap 1\r\n", b"unmap 3 discard\r\n",
                     b"mwrite 2 0 9999999\r\n" + b"v" * 30])
    frames = b"".join([hello(), open_area(b"cut"), frame(MAP, bytes(8), area=1, slot=1, count=1),
                       frame(MAP, bytes(8), area=1, slot=1, count=2),
                       frame(MAP, bytes(8), area=1, slot=2, count=3),
                       frame(MREAD, struct.pack(">II", 0, 100), slot=1),
                       frame(MWRITE, bytes(8) + b"written", slot=2), frame(UNMAP, slot=1),
                       frame(MWRITE, bytes(8) + b"written", slot=3)])
    with Server(program) as server:
        with server.connect() as s:
            s.sendall(b"set k 0 0 3\r\nold\r\nset big 0 0 %d\r\n%s\r\n" % (len(big), big))
            assert receive(s, 16) == b"STORED\r\n" * 2
        with server.connect() as s:
            s.sendall(hello() + open_area(b"cut") + frame(STORE, PAGE, area=1, slot=1, count=1))
            assert [reply(s)["status"] for _ in range(3)] == [OK] * 3
        for requests in (text, frames):
            for cut in range(len(requests) + 1):
                with server.connect("tcp" if cut % 2 else "unix") as s:
                    s.sendall(requests[:cut])
                    if cut % 3 == 1:
                        s.shutdown(socket.SHUT_WR)
                        assert is_closed(s, 10), cut
                    if cut % 3 == 2:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until = time.monotonic() + 10
        while int(stats(server, "zpool")["pinned"]) or int(stats(server, "maps")["maps"]):
            assert time.monotonic() < until, "something is still mapped"
            time.sleep(0.05)
        assert stats(server, "maps")["mapped_bytes"] == "0"
        assert stats(server, "memory")["maps_bytes"] == "0"
        with server.connect() as s:
            want = b"VALUE k 0 3\r\nold\r\nEND\r\nMAPPED 1 0 3 1\r\n"
            s.sendall(b"get k\r\nmap k rw\r\n")
            assert receive(s, len(want)) == want
        with server.connect() as s:
            s.sendall(hello() + open_area(b"cut") + frame(LOAD, area=1, slot=1, count=1)
                      + frame(LOAD, area=1, slot=2, count=1))
            got = [reply(s) for _ in range(4)]
            assert got[2]["body"] == PAGE and got[3]["status"] == ABSENT
        expect_served(server)
        print(f"maps_cut_after_every_byte: {len(text) + len(frames) + 2} connections cut")


def never_reads(program):
    """100,000 gets in one go from a client that reads none of the answers."""
    with Server(program) as server:
        with server.connect() as s:
            s.sendall(b"set big 0 0 100000\r\n" + os.urandom(100000) + b"\r\n")
            assert receive(s, 8) == b"STORED\r\n"
        expect_served(server)
        most = GROWTH_BYTES_MAX * (8 if sanitized(program) else 1)  # its shadow grows too
        before = server.rss_bytes()
        clients = [server.connect("tcp"), server.connect()]
        for s in clients:
            s.setblocking(False)
        left = {s: b"get big\r\n" * 100000 for s in clients}
        until = time.monotonic() + 4
        while time.monotonic() < until:
            for s in clients:
                try:
                    left[s] = left[s][s.send(left[s][:65536]):] if left[s] else b""
                except BlockingIOError:
                    pass
            time.sleep(0.001)
            assert server.rss_bytes() - before < most, "the server holds it all"
        expect_served(server)
        grown = server.rss_bytes() - before
        assert grown < most, f"grown by {grown >> 20} MiB"
        for s in clients:
            s.close()
        time.sleep(0.5)
        expect_served(server)
        print(f"never_reads: grew by {grown / MIB:.1f} MiB")


def impossible_lengths(program):
    """2^31, 2^32 and 2^64 wherever a length or a place is said, in text and in frames."""
    bad = b"CLIENT_ERROR bad command line format\r\n"
    with Server(program) as server:
        before = server.rss_bytes()
        for length in (1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) - 1, 1 << 63, (1 << 64) - 1,
                       1 << 64, 10 ** 30, -1):
            with server.connect() as s:
                s.sendall(b"set k 0 0 %d\r\n" % length)
                assert receive(s, len(bad)) == bad, length
        with server.connect() as s:  # the largest that is a length: refused before it comes
            s.sendall(b"set k 0 0 %d\r\n" % ((1 << 31) - 3) + b"v" * MIB)
            want = b"SERVER_ERROR object too large for cache\r\n"
            assert receive(s, len(want)) == want
        for length in (65537, 1 << 31, (1 << 32) - 1):
            with server.connect() as s:
                s.sendall(hello())
                assert reply(s)["status"] == OK
                s.sendall(frame(STORE, area=1, body_bytes=length, body_crc=1))
                assert reply(s)["status"] in (BAD_LENGTH, BAD_HEADER, NO_AREA), length
        with server.connect() as s:
            s.sendall(hello() + open_area(b"places", slots=16))
            assert reply(s)["status"] == OK and reply(s)["status"] == OK
            for slot in (16, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1):
                s.sendall(frame(STORE, PAGE, area=1, slot=slot, count=1)
                          + frame(LOAD, area=1, slot=slot, count=1)
                          + frame(INVALIDATE, area=1, slot=slot, count=1))
                assert [reply(s)["status"] for _ in range(3)] == [RANGE] * 3, slot
            for slot, count in ((1, 16), (15, (1 << 32) - 1), ((1 << 64) - 1, (1 << 32) - 1)):
                s.sendall(frame(INVALIDATE, area=1, slot=slot, count=count))
                assert reply(s)["status"] == RANGE, (slot, count)
            for slots in ((1 << 34) + 1, 1 << 63, (1 << 64) - 1):
                s.sendall(open_area(b"huge", slots=slots))
                assert reply(s)["status"] == BAD_AREA, slots
        assert server.rss_bytes() - before < GROWTH_BYTES_MAX
        expect_served(server)


def a_byte_a_second(program):
    """A request begun must be complete within server.request_timeout, however it trickles."""
    requests = [b"get " + b"k" * 100, b"set k 0 0 100\r\n" + b"v" * 60, hello() * 3,
                hello() + frame(PING, b"x" * 1000)[:100]]
    with Server(program, ["server.request_timeout=1s"]) as server:
        idle = server.connect()  # asks nothing: this is no crime
        slow = [(server.connect(), request) for request in requests]
        for s, request in slow:
            s.sendall(request[:5])
        started = time.monotonic()
        closed = {}
        position = 5
        while len(closed) < len(slow) and time.monotonic() - started < 15:
            for s, request in slow:
                if s in closed:
                    continue
                try:
                    s.sendall(request[position:position + 1])
                except ConnectionError:
                    pass
                if is_closed(s, 0.05):
                    closed[s] = time.monotonic() - started
            position += 1
            time.sleep(0.2)
        assert len(closed) == len(slow), f"{len(slow) - len(closed)} were never closed"
        assert min(closed.values()) > 0.5, closed
        assert max(closed.values()) < 8, closed
        idle.settimeout(5)
        idle.sendall(b"version\r\n")
        assert receive(idle, 8) == b"VERSION "
        expect_served(server)


def bad_frames(program):
    """Each kind of wrong frame has its status, and the connection goes on where framing does."""
    unknown = struct.pack(">IIQ64x", 2, 0, 0) + b"nobody"
    after_hello = [
        (frame(0), BAD_OPCODE), (frame(99), BAD_OPCODE), (frame(255, b"body"), BAD_OPCODE),
        (frame(PING, b"x", body_crc=1), BAD_CHECKSUM),
        (frame(HELLO, b"\0\1\0\1\0\0\0"), BAD_LENGTH), (frame(HELLO, b"\0" * 9), BAD_LENGTH),
        (hello(2, 9), BAD_VERSION), (hello(0, 0), BAD_VERSION),
        (frame(OPEN, b"short"), BAD_LENGTH), (open_area(b""), BAD_LENGTH),
        (open_area(b"n" * 65), BAD_LENGTH), (open_area(b"../etc"), BAD_AREA),
        (open_area(b"a b"), BAD_AREA), (open_area(b"odd", page_bytes=1000), BAD_AREA),
        (open_area(b"zero", slots=0), BAD_AREA), (open_area(b"flags", flags=64), BAD_AREA),
        (frame(OPEN, unknown), NO_AREA),
        (frame(STORE, PAGE, area=9, count=1), NO_AREA), (frame(LOAD, area=0, count=1), NO_AREA),
        (frame(INVALIDATE, area=(1 << 32) - 1), NO_AREA),
        (open_area(b"good"), OK), (open_area(b"good", slots=17), BAD_AREA),
        (frame(STORE, PAGE[:100], area=1, count=1), BAD_LENGTH),
        (frame(STORE, b"", area=1, count=1), BAD_LENGTH),
        (frame(STORE, PAGE * 2, area=1, count=1), BAD_LENGTH),
        (frame(LOAD, b"body", area=1, count=1), BAD_LENGTH),
        (frame(INVALIDATE, b"body", area=1), BAD_LENGTH),
        (frame(STORE, PAGE, area=1, slot=2, count=1, body_crc=5), BAD_CHECKSUM),
        (frame(LOAD, area=1, slot=2, count=1), ABSENT),
        (frame(STATS, b"bogus"), NO_SECTION),
        (frame(COMMAND), BAD_LENGTH), (frame(COMMAND, b"x" * 2049), BAD_LENGTH),
        (frame(COMMAND, b"compressor\n"), BAD_LENGTH), (frame(COMMAND, b" " * 2048), NO_COMMAND),
        (frame(COMMAND, b"flush_all"), NO_COMMAND), (frame(COMMAND, b"Compressor"), NO_COMMAND),
        (frame(COMMAND, b"compressor set \xff\0\x1b[31m"), REFUSED),
        (frame(COMMAND, b"compressor set " + b"y" * 2033), REFUSED),
        (frame(COMMAND, b"compressor  set  lz4:1 "), OK), (frame(PING, b"still here"), OK),
    ]
    with Server(program) as server:
        with server.connect() as s:
            s.sendall(frame(PING, b"x"))
            assert reply(s)["status"] == NO_HELLO
            s.sendall(hello(1, 9))  # knows more versions than we do
            assert reply(s)["status"] == OK
            for tag, (request, status) in enumerate(after_hello):
                s.sendall(request)
                got = reply(s)
                assert got["status"] == status and got["tag"] == 7, (tag, request[:60], got)
        lost = [frame(PING, magic=0xFB), frame(PING, status=1), frame(PING, reserved=1),
                frame(PING, header_crc=0), b"\xfa" + bytes(39), b"\xfa" * 40]
        for header in lost:
            with server.connect() as s:
                s.sendall(hello())
                assert reply(s)["status"] == OK
                s.sendall(header)
                assert reply(s)["status"] == BAD_HEADER, header
                assert is_closed(s, 5), header
        with server.connect() as s:  # text after frames is no frame
            s.sendall(hello() + b"version\r\n" * 10)
            assert reply(s)["status"] == OK
            assert is_closed(s, 5)
        expect_served(server)


def open_one(s, name, slots):
    s.sendall(open_area(name, slots=slots))
    return reply(s)["status"]


def enormous_areas(program):
    """As many and as large as a client may ask for: they cost next to nothing, and end at once."""
    with Server(program) as server:
        before = server.rss_bytes()
        with server.connect() as s:
            s.sendall(hello())
            assert reply(s)["status"] == OK
            count = 0
            while (status := open_one(s, b"a%d" % count, 1 << 24)) == OK:
                count += 1
            # 64 of them, or fewer where a sanitizer leaves less address space
            assert count == 64 and status == LIMIT or count > 0 and sanitized(program), count
            for area in (1, count):
                s.sendall(frame(STORE, PAGE, area=area, slot=(1 << 24) - 1, count=1))
                assert reply(s)["status"] == OK
                begun = time.monotonic()
                s.sendall(frame(INVALIDATE, area=area))
                assert reply(s)["status"] == OK
                assert time.monotonic() - begun < 5, "64 GiB of nothing to forget"
        grown = server.rss_bytes() - before
        assert grown < GROWTH_BYTES_MAX or sanitized(program), f"grown by {grown >> 20} MiB"
        expect_served(server)


def a_crowd_that_does_not_read(program):
    """Replies that nobody reads must not carry the server past its memory limit for long."""
    limit = 32 * MIB
    with Server(program, [f"storage.memory_limit={limit}B"]) as server:
        with server.connect() as s:
            s.sendall(b"set big 0 0 1000000\r\n" + os.urandom(1000000) + b"\r\n")
            assert receive(s, 8) == b"STORED\r\n"
        crowd = [server.connect() for _ in range(100)]
        for s in crowd:
            s.sendall(b"get big\r\n" * 50)
        time.sleep(3)
        held = int(stats(server)["farpage_memory_held_bytes"])
        assert held <= limit + 4 * MIB, f"{held >> 20} MiB are held of {limit >> 20}"
        assert server.rss_bytes() <= limit + 8 * MIB or sanitized(program), server.rss_bytes() >> 20
        expect_served(server)
        for s in crowd:
            s.close()


def a_long_line_costs_its_length(program):
    """A megabyte of keys, in small pieces: once read, not once a byte."""
    with Server(program) as server, server.connect() as s:
        before = float(stats(server)["rusage_user"]) + float(stats(server)["rusage_system"])
        line = b"get" + b" k" * 400000 + b"\r\n"
        for at in range(0, len(line), 4096):
            s.sendall(line[at:at + 4096])
        assert receive(s, 5) == b"END\r\n"
        spent = float(stats(server)["rusage_user"]) + float(stats(server)["rusage_system"]) - before
        assert spent < (20 if sanitized(program) else 2), f"{spent} s of CPU"


def kept_inputs():
    """What the fuzzers of the two dialects keep, as (name, bytes)."""
    corpus = os.environ.get("FARPAGE_CORPUS") or os.path.join(os.path.dirname(__file__),
                                                              "../fuzz/corpus")
    for dialect in ("text", "frame"):
        folder = os.path.join(corpus, dialect)
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as f:
                yield f"{dialect}/{name}", f.read()


def comes_to_its_end(s, pieces):
    """Sends the pieces and reads until the server has closed. False: it does not in time."""
    try:
        for piece in pieces:
            s.sendall(piece)
            time.sleep(0.001)
        s.shutdown(socket.SHUT_WR)
        while s.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass  # closed before all was sent
    return True


def what_the_fuzzers_keep(program):
    """Parsers are fuzzed alone; here their inputs reach what carries requests out, in a small
    memory, cut anywhere. Whatever is answered, each connection comes to its end."""
    seed = int(os.environ.get("FARPAGE_SEED", 1))
    print(f"FARPAGE_SEED={seed}")
    draw = random.Random(seed)
    with Server(program, sets=[f"storage.memory_limit={limit_mib(program, 48)}MiB"]) as server:
        for name, data in kept_inputs():
            cut = draw.randrange(len(data) + 1)
            with server.connect("tcp") as s:
                assert comes_to_its_end(s, (data[:cut], data[cut:])), f"{name}, cut after {cut}"
            assert server.process.poll() is None, f"{name}, cut after {cut}: the server died"
        with server.connect("tcp") as s:
            s.sendall(b"set other 0 0 2\r\nab\r\nget other\r\n")
            assert receive(s, 34) == b"STORED\r\nVALUE other 0 2\r\nab\r\nEND\r\n"


WAYS = [cut_after_every_byte, maps_cut_after_every_byte, never_reads, impossible_lengths,
        a_byte_a_second, bad_frames, enormous_areas, a_crowd_that_does_not_read,
        a_long_line_costs_its_length, what_the_fuzzers_keep]


def main(arguments):
    if not arguments:
        print(__doc__)
        return 2
    program, wanted = arguments[0], arguments[1:]
    for way in WAYS:
        if wanted and way.__name__ not in wanted:
            continue
        started = time.monotonic()
        way(program)
        print(f"{way.__name__}: ok, {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
