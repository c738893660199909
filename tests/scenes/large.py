#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Long values: packed as they arrive, sent as the client takes them, never whole in memory."""
import random
import select
import threading
import time

from full_memory import noise
from running import Server
from story import ask, limit_mib, memory_limit, sample, sanitized, stats, tell
from tls import Secured

KIB, MIB = 1 << 10, 1 << 20
PIECE = 16 * KIB
# To "x\r\n" in the place of the end: two bytes are dropped, the third is a line.
BAD_CHUNK = b"CLIENT_ERROR bad data chunk\r\nCLIENT_ERROR bad command line format\r\n"


def text(seed, size):
    """Bytes that pack to about a third, and are not the same anywhere."""
    pages, shift = sample(), random.Random(seed).randrange(1 << 20)
    some = pages[shift:] + pages[:shift]
    return (some * (size // len(some) + 1))[:size]


def line(command, key, size, tail=b""):
    return b"%s %s 5 0 %d%s\r\n" % (command, key, size, tail)


def answer(s):
    said = b""
    while not said.endswith(b"\n"):
        got = s.recv(1)
        assert got, f"closed after {said!r}"
        said += got
    return said


def exactly(s, size):
    got = bytearray()
    while len(got) < size:
        more = s.recv(min(1 << 20, size - len(got)))
        assert more, f"closed after {len(got)} of {size} bytes"
        got += more
    return bytes(got)


def set_value(s, key, value):
    s.sendall(line(b"set", key, len(value)) + value + b"\r\n")
    return answer(s)


def get_value(s, key):
    s.sendall(b"get " + key + b"\r\n")
    head = answer(s)
    if head == b"END\r\n":
        return None
    value = exactly(s, int(head.split()[3]))
    assert exactly(s, 7) == b"\r\nEND\r\n"
    return value


def peak_kib(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return next(int(l.split()[1]) for l in f if l.startswith("VmHWM"))


def forget_peak(server):
    with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")


def memory_of_items(server):
    """What values hold, on their way or stored."""
    now = stats(server)
    return int(now["bytes"]) + int(now["farpage_arriving_packed_bytes"])


def wait_until(what, condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def a_value_larger_than_the_server_costs_what_it_packs_to(programs):
    """300 MiB in a server of 256: in and out, resident memory grows by the packed pieces and no
    more than a buffer."""
    size = (16 if sanitized(programs.farpaged) else 300) * MIB
    block = bytes(i % 251 for i in range(4096)) * 64
    with Server(programs.farpaged, [memory_limit(programs, 256),
                                    "storage.item_size_max=1GiB"]) as server, \
            server.connect("unix") as s:
        assert set_value(s, b"first", text(1, 2 * MIB)) == b"STORED\r\n"
        assert get_value(s, b"first") == text(1, 2 * MIB)
        forget_peak(server)
        before = peak_kib(server)
        s.sendall(line(b"set", b"k", size))
        for _ in range(size // len(block)):
            s.sendall(block)
        s.sendall(b"\r\n")
        assert answer(s) == b"STORED\r\n"
        s.sendall(b"get first k\r\n")
        assert answer(s) == b"VALUE first 5 %d\r\n" % (2 * MIB)
        assert exactly(s, 2 * MIB + 2)[:-2] == text(1, 2 * MIB)
        assert answer(s) == b"VALUE k 5 %d\r\n" % size
        for _ in range(size // len(block)):
            assert exactly(s, len(block)) == block
        assert exactly(s, 7) == b"\r\nEND\r\n"
        grown = peak_kib(server) - before
        packed = int(stats(server)["farpage_item_packed_bytes"]) // KIB
        assert grown < packed + 12 * KIB, f"{grown} KiB for {packed} KiB packed"
        if not sanitized(programs.farpaged):
            assert packed < 10 * KIB and peak_kib(server) < 256 * KIB


def a_long_value_may_be_cut_anywhere(programs):
    """Every command with a value, at random cuts, with others' requests behind it."""
    draw = random.Random(7)
    with Server(programs.farpaged, ["storage.item_size_max=8MiB"]) as server, \
            server.connect("unix") as s:
        for turn in range(12):
            size = draw.choice([64 * KIB + 1, 5 * PIECE, 5 * PIECE + 1, draw.randrange(MIB)])
            size = max(size, 64 * KIB + 1)
            value, end = text(turn, size), draw.choice([b"\r\n", b"\n"])
            head = line(b"set", b"k", size)
            if end == b"\n":
                head = head.replace(b"\r\n", b"\n")
            sent = head + value + end + b"get k\r\n" \
                + line(b"append", b"k", 3) + b"abc\r\n" \
                + line(b"prepend", b"k", size, b" noreply") + value + b"\r\n" \
                + line(b"add", b"k", size) + value + b"\r\n" \
                + line(b"replace", b"k", size) + value + b"x\r\n" \
                + b"get k\r\n" + line(b"cas", b"no", size, b" 1") + value + b"\r\n" \
                + b"delete k\r\nms k %d F3 k Oq\r\n" % size + value + b"\r\n" \
                + b"ms k 2 MA\r\n++\r\nms k %d ME s\r\n" % size + value + b"\r\n" \
                + b"ms n %d MA N9 s\r\n" % size + value + b"\r\n" \
                + b"ms k %d MP q\r\n" % size + value + b"\r\nmg k s v Op\r\nmd k\r\nmd n\r\n"
            want = b"STORED\r\nVALUE k 5 %d\r\n" % size + value + b"\r\nEND\r\nSTORED\r\n" \
                + b"NOT_STORED\r\n" + BAD_CHUNK \
                + b"VALUE k 5 %d\r\n" % (2 * size + 3) + value + value + b"abc\r\nEND\r\n" \
                + b"NOT_FOUND\r\nDELETED\r\nHD kk Oq\r\nHD\r\nNS s%d\r\n" % size \
                + b"HD s%d\r\nVA %d s%d Op\r\n" % (size, 2 * size + 2, 2 * size + 2) \
                + value + value + b"++\r\nHD\r\nHD\r\n"
            cuts = sorted(draw.randrange(len(sent)) for _ in range(draw.choice([3, 40])))
            pieces = [sent[a:b] for a, b in zip([0] + cuts, cuts + [len(sent)])]

            def send():
                for piece in pieces:
                    s.sendall(piece)
                    if draw.randrange(3) == 0:
                        time.sleep(0.001)
            sender = threading.Thread(target=send)
            sender.start()
            got = exactly(s, len(want))
            sender.join()
            assert got == want, (turn, size, got[:100], len(got))
        now = stats(server)
        assert now["farpage_arriving_packed_bytes"] == "0" and now["curr_items"] == "0", now


def a_client_that_ends_in_the_middle_has_stored_nothing(programs):
    draw = random.Random(3)
    value = text(1, 3 * MIB)
    with Server(programs.farpaged, ["storage.item_size_max=8MiB"]) as server:
        with server.connect("unix") as s:
            assert set_value(s, b"k", b"old") == b"STORED\r\n"
            assert set_value(s, b"long", value) == b"STORED\r\n"
        at_rest = memory_of_items(server)
        for command in (b"set", b"append", b"prepend", b"replace", b"add"):
            for key in (b"k", b"long", b"none"):
                with server.connect("unix") as s:
                    sent = line(command, key, len(value)) + value + b"\r\n"
                    s.sendall(sent[:draw.randrange(64 * KIB, len(sent))])
        s = server.connect("unix")
        s.sendall(line(b"set", b"k", len(value)) + value[:2 * MIB])
        wait_until("it is on its way", lambda: memory_of_items(server) > at_rest + 300 * KIB)
        s.close()
        wait_until("memory is back", lambda: memory_of_items(server) == at_rest)
        with server.connect("unix") as s:
            assert get_value(s, b"k") == b"old" and get_value(s, b"none") is None
            assert get_value(s, b"long") == value
        with server.connect("unix") as s:  # nor does a reader that ends keep anything
            s.sendall(b"get long\r\n")
            exactly(s, 100 * KIB)
            assert ask(server, "delete long\r\ndelete k\r\n") == "DELETED\r\nDELETED\r\n"
            assert int(stats(server, "zpool")["objects"]) > 100
        wait_until("it is gone", lambda: stats(server, "zpool")["objects"] == "0")


def a_value_that_stalls_is_timed_by_its_progress(programs):
    """Each 16 KiB has server.request_timeout, also of a value that is refused and dropped; feeding
    bytes one by one is no progress."""
    with Server(programs.farpaged, ["server.request_timeout=1s"]) as server:
        slow, stalled, refused = (server.connect("unix") for _ in range(3))
        value = text(1, 100 * KIB)
        stalled.sendall(line(b"set", b"stalled", len(value)) + value[:90 * KIB])
        slow.sendall(line(b"set", b"slow", len(value)))
        refused.sendall(line(b"set", b"refused", 2 * MIB))
        assert answer(refused) == b"SERVER_ERROR object too large for cache\r\n"
        begun = time.monotonic()
        at = 0
        while at < len(value):  # about 3 s in all
            slow.sendall(value[at:at + 12 * KIB])
            refused.sendall(value[:12 * KIB])
            at += 12 * KIB
            try:
                stalled.sendall(b"x")
            except OSError:
                pass
            time.sleep(0.35)
        slow.sendall(b"\r\n")
        assert answer(slow) == b"STORED\r\n" and time.monotonic() - begun > 2
        refused.sendall(bytes(2 * MIB - at) + b"\r\nversion\r\n")
        assert answer(refused).startswith(b"VERSION")
        wait_until("the other is closed", lambda: select.select([stalled], [], [], 0)[0])
        now = stats(server)
        assert now["farpage_slow_kicks"] == "1" and now["farpage_arriving_packed_bytes"] == "0", now
        assert now["curr_items"] == "1", now


def what_is_being_read_stays_what_it_was(programs):
    """A slow reader, while others overwrite, delete and evict."""
    size = (4 if sanitized(programs.farpaged) else 12) * MIB
    value, noises = text(1, size), [noise(n, MIB) for n in range(4)]
    with Server(programs.farpaged, [memory_limit(programs, 48), "storage.item_size_max=16MiB",
                                    "server.output_buffer_max=64KiB"]) as server, \
            server.connect("unix") as slow, server.connect("unix") as other:
        for disturb in ("overwrite", "delete", "evict", "flush"):
            assert set_value(other, b"k", value) == b"STORED\r\n"
            assert set_value(other, b"small", b"s") == b"STORED\r\n"
            slow.sendall(b"gets k nothing small\r\nversion\r\n")
            head = answer(slow)
            assert head.startswith(b"VALUE k 5 %d " % size), head
            got = exactly(slow, MIB)
            if disturb == "overwrite":
                assert set_value(other, b"k", b"new") == b"STORED\r\n"
            elif disturb == "delete":
                other.sendall(b"delete k\r\n")
                assert answer(other) == b"DELETED\r\n"
            elif disturb == "flush":
                other.sendall(b"flush_all\r\n")
                assert answer(other) == b"OK\r\n"
            else:
                n = 0
                while "key=k " in ask(server, "lru_crawler metadump all\r\n"):
                    for n in range(n, n + 10):  # each of them wanted more than it
                        assert set_value(other, b"n%d" % n, noises[n % 4]) == b"STORED\r\n"
                        for _ in range(3):
                            assert get_value(other, b"n%d" % n) == noises[n % 4]
                        got += exactly(slow, 4 * KIB)
                    assert n < 500, "it is evicted"
            got += exactly(slow, size - len(got))
            assert got == value, disturb
            rest = b""
            while not rest.endswith(b"farpage-0.1.0\r\n"):
                rest += slow.recv(1000)
            assert b"\r\nEND\r\nVERSION" in rest, rest


def uploads_and_evictions_share_memory(programs):
    """Values that pack badly arrive at a full server: items give way, and what would need more than
    half of memory is refused at once, the old value gone as with any set, and the rest swallowed."""
    limit = limit_mib(programs.farpaged, 32)
    with Server(programs.farpaged, [f"storage.memory_limit={limit}MiB",
                                    "storage.item_size_max=64MiB"]) as server, \
            server.connect("unix") as s:
        some = [noise(n, MIB) for n in range(4)]
        for n in range(limit):
            assert set_value(s, b"n%d" % n, some[n % 4]) == b"STORED\r\n"
        assert int(stats(server)["evictions"]) > 0
        value = noise(9, 6 * MIB)
        assert set_value(s, b"k", value) == b"STORED\r\n"
        assert get_value(s, b"k") == value
        big = noise(10, MIB) * (limit // 2 + 2)
        s.sendall(line(b"set", b"k", len(big)) + big + b"\r\nversion\r\n")
        assert answer(s) == b"SERVER_ERROR out of memory storing object\r\n"
        assert answer(s).startswith(b"VERSION")
        assert get_value(s, b"k") is None
        assert set_value(s, b"k", value) == b"STORED\r\n"
        s.sendall(line(b"replace", b"k", len(big), b" noreply") + big + b"\r\nversion\r\n")
        assert answer(s).startswith(b"VERSION")
        assert get_value(s, b"k") in (value, None), "it is as it was, or gave way"
        s.sendall(line(b"append", b"k", len(value)) + value + b"\r\n")
        assert answer(s) in (b"STORED\r\n", b"NOT_STORED\r\n",
                             b"SERVER_ERROR out of memory storing object\r\n")
        now = stats(server)
        assert now["farpage_arriving_packed_bytes"] == "0", now
        assert int(now["store_no_memory"]) >= 2, now


def damage_in_the_middle_ends_the_connection(programs):
    """Before the first byte it is an error; after it nothing may look like the value's rest."""
    value = text(1, 40 * PIECE)
    with Server(programs.farpaged) as server, server.connect("unix") as s:
        if ask(server, "debug corrupt-item none\r\n") == "ERROR\r\n":
            print("passed over: this build has no debug hooks")
            return
        assert set_value(s, b"k", value) == b"STORED\r\n"
        assert "OK" in ask(server, "debug corrupt-item k\r\n")  # its piece in the middle
        s.sendall(b"get k\r\nversion\r\n")
        said = b""
        while got := s.recv(MIB):
            said += got
        head = b"VALUE k 5 %d\r\n" % len(value)
        assert said == head + value[:20 * PIECE], (len(said), said[-50:])
        assert stats(server)["farpage_values_cut"] == "1"
        assert "part of it was sent" in server.stderr()
        assert stats(server)["curr_items"] == "1"


def what_many_append_at_once_is_all_there(programs):
    """Each join starts again where somebody was quicker, and none is lost or torn."""
    size, step, times = 3 * MIB + 3, 66 * KIB, 5
    with Server(programs.farpaged, ["storage.item_size_max=8MiB"]) as server:
        with server.connect("unix") as s:
            assert set_value(s, b"k", text(0, size)) == b"STORED\r\n"
        chunks = {bytes([65 + who, 97 + n]) * (step // 2) for who in range(3) for n in range(times)}
        failed = []

        def append(who):
            with server.connect("unix" if who % 2 else "tcp") as s:
                for n in range(times):
                    chunk = bytes([65 + who, 97 + n]) * (step // 2)
                    s.sendall(line(b"append", b"k", len(chunk)) + chunk + b"\r\n")
                    if (said := answer(s)) != b"STORED\r\n":
                        failed.append(said)
        threads = [threading.Thread(target=append, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed, failed
        with server.connect("unix") as s:
            value = get_value(s, b"k")
        assert value[:size] == text(0, size)
        found = [value[at:at + step] for at in range(size, len(value), step)]
        assert len(found) == len(chunks) and set(found) == chunks
        assert [f[1] for f in found if f[0] == 65] == sorted(f[1] for f in found if f[0] == 65)


def a_long_value_travels_over_tls(programs):
    """In odd pieces, with more behind it, and read late."""
    size = 3 * MIB + 77
    value = text(4, size)
    with Secured(programs, sets=["storage.item_size_max=8MiB",
                                 "server.output_buffer_max=64KiB"]) as secured, \
            secured.connect() as s:
        sent = line(b"set", b"k", size) + value + b"\r\nget k\r\nversion\r\n"
        for at in range(0, len(sent), 10007):
            s.sendall(sent[at:at + 10007])
        time.sleep(0.1)
        assert answer(s) == b"STORED\r\n" and answer(s) == b"VALUE k 5 %d\r\n" % size
        assert exactly(s, size) == value and exactly(s, 7) == b"\r\nEND\r\n"
        assert answer(s).startswith(b"VERSION")
        s.sendall(line(b"append", b"k", 3) + b"abc\r\nmg k v\r\n")
        assert answer(s) == b"STORED\r\n" and answer(s) == b"VA %d\r\n" % (size + 3)
        assert exactly(s, size + 5) == value + b"abc\r\n"


def a_long_value_is_mapped_read_and_written(programs):
    size = 20 * PIECE + 5
    value, other = text(1, size), text(2, size)
    with Server(programs.farpaged, ["session.mapped_max=16MiB",
                                    "storage.item_size_max=32MiB"]) as server, \
            server.connect("unix") as s:
        assert set_value(s, b"k", value) == b"STORED\r\n"
        s.sendall(b"map k rw\r\n")
        number = answer(s).split()[1]
        s.sendall(b"mread %s 0 %d\r\n" % (number, size))
        assert answer(s) == b"DATA %d\r\n" % size and exactly(s, size + 2)[:-2] == value
        s.sendall(b"mwrite %s 1 %d\r\n" % (number, size) + other + b"\r\n")
        assert answer(s) == b"CLIENT_ERROR beyond the end of what is mapped\r\n"
        s.sendall(b"mwrite %s 4 %d\r\n" % (number, size - 4) + other[4:] + b"x\r\n")
        assert answer(s) + answer(s) == BAD_CHUNK
        s.sendall(b"mwrite %s 4 %d\r\n" % (number, size - 4) + other[4:] + b"\r\n")
        assert answer(s) == b"WRITTEN\r\n"
        assert get_value(s, b"k") == value
        s.sendall(b"unmap %s\r\n" % number)
        assert answer(s) == b"UNMAPPED\r\n"
        assert get_value(s, b"k") == value[:4] + other[4:]
        assert set_value(s, b"longer", text(3, 17 * MIB)) == b"STORED\r\n"
        s.sendall(b"map longer ro\r\n")
        assert answer(s) == b"SERVER_ERROR session.mapped_max is reached\r\n"


if __name__ == "__main__":
    tell([a_value_larger_than_the_server_costs_what_it_packs_to, a_long_value_may_be_cut_anywhere,
          a_client_that_ends_in_the_middle_has_stored_nothing,
          a_value_that_stalls_is_timed_by_its_progress, what_is_being_read_stays_what_it_was,
          uploads_and_evictions_share_memory, damage_in_the_middle_ends_the_connection,
          what_many_append_at_once_is_all_there, a_long_value_travels_over_tls,
          a_long_value_is_mapped_read_and_written])
