#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pages that clients pack: kept as they come, given as they are, unpacked where they are read."""
import os
import signal
import struct
import threading
import time

from hostile import BAD_LENGTH, LOAD, OK, expect_served, frame, hello, open_area, reply
from packing import LZ4, PLAIN, WORD, ZSTD, pack, unpack
from running import Server
from story import ask, memory_limit, sample, stats, tell
from wire import (BAD_CODEC, DICTIONARY, FEATURE_PACKED, MOST, NO_DICTIONARY, NO_MEMORY, PACKED,
                  PAGE, entry, invalidate_batch, load_batch, opened, page, page_crc, refused_whole,
                  replies, store_batch)

CORRUPT, NO_AREA = 2, 5


def packer(server, name=b"packed", **how):
    return opened(server, name, features=FEATURE_PACKED, **how)


def packed_entry(slot, codec, plain, dictionary=b"", id=0):
    return entry(slot, pack(codec, plain, dictionary), codec=codec, crc=page_crc(plain),
                 dictionary=id)


def stored(s, entries):
    s.sendall(store_batch(entries))
    return [r["status"] for r in replies(s, len(entries))]


def taken(got):
    """(codec, dictionary id, page crc, bytes) of a packed reply."""
    assert got["status"] == PACKED, got
    codec, zero, id, crc, zero2 = struct.unpack(">B3sIII", got["body"][:16])
    assert zero == b"\0\0\0" and zero2 == 0 and crc & 3 == 0, got
    return codec, id, crc, got["body"][16:]


def load(s, slots, flags=1):
    s.sendall(load_batch(slots, flags=flags))
    return replies(s, len(slots))


def load_plain(s, slot):
    s.sendall(frame(LOAD, area=1, slot=slot, count=1))
    return reply(s)


def expect_page(s, slot, plain, dictionaries={}):
    """As a client reads it: whichever way it comes, it is that page."""
    got = load(s, [slot])[0]
    if got["status"] == OK:
        assert got["body"] == plain, slot
        return PLAIN
    codec, id, crc, data = taken(got)
    assert unpack(codec, data, dictionaries.get(id, b"")) == plain, (slot, codec, id)
    assert crc == page_crc(plain) & ~3, slot
    return codec


def noise(n):
    return os.urandom(PAGE - 8) + n.to_bytes(8, "big")


def seats(server):
    """{'lz4:1': row} of `stats compressors`, those of dictionaries with '+'."""
    rows, named = {}, {}
    for name, value in stats(server, "compressors").items():
        if ":" in name:
            rows.setdefault(name.split(":")[0], {})[name.split(":")[1]] = value
    for row in rows.values():
        plus = "+" if int(row["dictionary_bytes"]) else ""
        named[row["algorithm"] + ":" + row["level"] + plus] = row
    return named


def area_numbers(server, name="packed"):
    return {n.split(":")[1]: v for n, v in stats(server, "areas").items()
            if n.startswith(name + ":")}


def packed_pages_are_given_back_as_they_came(programs):
    """To those who agreed on it; to all others, and to LOAD, as plain pages."""
    word = b"8 bytes!" * (PAGE // 8)
    zeros = b"\0" * PAGE
    random = noise(1)
    sent = [packed_entry(0, LZ4, page(0)), packed_entry(1, ZSTD, page(1)),
            entry(2, word[:8], codec=WORD, crc=page_crc(word)),
            entry(3, zeros[:8], codec=WORD, crc=page_crc(zeros)), entry(4, page(4)),
            entry(5, random)]
    pages = [page(0), page(1), word, zeros, page(4), random]
    with Server(programs.farpaged) as server, packer(server) as s, opened(server, b"packed") as plain:
        assert stored(s, sent) == [OK] * 6
        got = load(s, range(6))
        assert taken(got[0]) == (LZ4, 0, page_crc(page(0)) & ~3, pack(LZ4, page(0)))
        assert taken(got[1]) == (ZSTD, 0, page_crc(page(1)) & ~3, pack(ZSTD, page(1)))
        assert taken(got[2]) == (WORD, 0, page_crc(word) & ~3, word[:8])
        assert taken(got[3]) == (WORD, 0, page_crc(zeros) & ~3, zeros[:8])
        assert taken(got[4])[0] == LZ4 and got[5]["status"] == OK  # as the server keeps them
        for slot, want in enumerate(pages):
            expect_page(s, slot, want)
            for client, flags in ((s, 0), (plain, 0), (plain, 1)):
                got = load(client, [slot], flags)[0]
                assert got["status"] == OK and got["body"] == want, (slot, flags)
                got = load_plain(client, slot)
                assert got["status"] == OK and got["body"] == want, slot
        counted = stats(server)
        assert counted["farpage_packed_stores"] == "4" and counted["farpage_page_stores"] == "6"
        assert counted["farpage_packed_loads"] == "10", counted
        assert int(counted["farpage_packed_saved_bytes"]) > 13 * 3900, counted


def what_a_client_packed_is_counted_where_it_is(programs):
    """In the seat of its format and in its area: as objects, not as packs of the server's."""
    with Server(programs.farpaged, ["recompress.draining=manual"]) as server, packer(server) as s:
        entries = [packed_entry(n, LZ4 if n % 2 else ZSTD, page(n)) for n in range(100)]
        assert stored(s, entries) == [OK] * 100
        rows = seats(server)
        assert set(rows) == {"lz4:1", "zstd:1"}, rows
        assert rows["lz4:1"]["state"] == "current" and rows["zstd:1"]["state"] == "draining"
        assert {(r["objects"], r["packs"]) for r in rows.values()} == {("50", "0")}, rows
        numbers = area_numbers(server)
        assert numbers["stored"] == "100", numbers
        assert int(numbers["packed_bytes"]) == sum(len(e) - 28 for e in entries), numbers
        s.sendall(invalidate_batch(range(0, 100, 2)))
        assert refused_whole(s) == OK
        until = time.monotonic() + 10
        while "zstd:1" in seats(server) and time.monotonic() < until:
            time.sleep(0.05)
        assert set(seats(server)) == {"lz4:1"}, "nothing needs zstd's seat any more"
        assert stored(s, entries) == [OK] * 100  # and it is there again when it is needed
        assert seats(server)["zstd:1"]["objects"] == "50"
        for n in range(100):
            expect_page(s, n, page(n))


def what_cannot_be_kept_packed_is_refused(programs):
    with Server(programs.farpaged) as server, packer(server) as s, opened(server, b"plain") as plain:
        good = pack(LZ4, page(1))
        cases = [(entry(1, b"", codec=LZ4), BAD_LENGTH), (entry(1, page(1), codec=LZ4), BAD_LENGTH),
                 (entry(1, b"x" * (PAGE - 1), codec=LZ4, crc=1), OK),
                 (entry(1, b"x", codec=ZSTD, crc=1), OK),
                 (entry(1, b"1234567", codec=WORD), BAD_LENGTH),
                 (entry(1, b"123456789", codec=WORD), BAD_LENGTH),
                 (entry(1, b"12345678", codec=WORD, dictionary=5), NO_DICTIONARY),
                 (entry(1, good, codec=LZ4, dictionary=5), NO_DICTIONARY),
                 (entry(1, good, codec=ZSTD, dictionary=(1 << 32) - 1), NO_DICTIONARY),
                 (entry(1, page(1), dictionary=5), NO_DICTIONARY),
                 (entry(1, good, codec=4), BAD_CODEC), (entry(1, good, codec=255), BAD_CODEC),
                 (entry(1, good, codec=LZ4, reserved=1 << 16), BAD_CODEC)]
        assert stored(s, [case for case, _ in cases]) == [status for _, status in cases]
        assert stored(plain, [packed_entry(1, LZ4, page(1)), entry(2, page(2))]) == [BAD_CODEC, OK]
        for id in (0, 5, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
            s.sendall(frame(DICTIONARY, area=1, slot=id))
            assert reply(s)["status"] == NO_DICTIONARY, id
        s.sendall(frame(DICTIONARY, area=9, slot=1) + frame(DICTIONARY, b"x", area=1, slot=1))
        assert [reply(s)["status"], reply(s)["status"]] == [NO_AREA, BAD_LENGTH]
        expect_served(server)


def a_lying_client_fools_nobody_but_itself(programs):
    """What does not unpack to the page of its checksum is corrupt to whoever wants the page, comes
    back as it was to who packed it, and is nobody else's trouble."""
    with Server(programs.farpaged) as server, packer(server) as s, \
            opened(server, b"packed") as plain:
        whole, other = pack(LZ4, page(1)), pack(ZSTD, page(2))
        bomb = b"\x1f\0\1\0" + b"\xff" * 4000 + b"\0" + b"\x50zzzzz"  # a megabyte, it says
        lies = [(LZ4, noise(1)[:700]), (ZSTD, noise(2)[:700]), (LZ4, whole[:-1]), (ZSTD, other[:-1]),
                (LZ4, whole + b"\0"), (ZSTD, other + b"\0"), (LZ4, bomb), (LZ4, b"\0"),
                (ZSTD, b"\0"), (LZ4, other), (ZSTD, whole), (LZ4, pack(LZ4, page(1)[:4000])),
                (ZSTD, pack(ZSTD, page(1) + b"x" * 100)[:4000]), (LZ4, b"\xff" * 4095)]
        honest = [packed_entry(500 + n, LZ4, page(500 + n)) for n in range(4)]
        entries = [entry(n, data, codec=codec, crc=page_crc(page(1)))
                   for n, (codec, data) in enumerate(lies)]
        wrong = len(lies)  # packed as it should be, of another page
        entries += [entry(wrong, whole, codec=LZ4, crc=page_crc(page(2))),
                    entry(wrong + 1, b"notzeros", codec=WORD, crc=page_crc(b"\0" * PAGE)),
                    entry(wrong + 2, b"\0" * 8, codec=WORD, crc=1 << 31)]
        assert stored(s, honest + entries) == [OK] * (len(honest) + len(entries))
        for n, got in enumerate(load(s, range(wrong))):
            assert taken(got)[0] == lies[n][0] and taken(got)[3] == lies[n][1], n
        for n in range(len(entries)):
            assert load_plain(plain, n)["status"] == CORRUPT, n
            assert load(plain, [n])[0] == {**load(s, [n], 0)[0]}, n
            assert load(plain, [n])[0]["status"] == CORRUPT, n
        for n in range(4):
            assert load_plain(plain, 500 + n)["body"] == page(500 + n)
        assert int(stats(server)["farpage_corrupt"]) == 4 * len(entries)
        ask(server, "recompress start\r\n")  # and it chokes nothing that goes over all
        until = time.monotonic() + 20
        while stats(server, "recompress")["state"] != "idle" and time.monotonic() < until:
            time.sleep(0.05)
        assert taken(load(s, [0])[0])[3] == lies[0][1]
        assert stored(s, [packed_entry(n, LZ4, page(n)) for n in range(20)]) == [OK] * 20
        for n in range(20):
            assert load_plain(plain, n)["body"] == page(n)


def a_reload_switches_packing_off_and_on(programs):
    """Connections that agreed on it before go on, with all plain."""
    with Server(programs.farpaged) as server:
        path = os.path.join(server.directory, "scene.yaml")
        with open(path) as f:
            text = f.read()

        def switch(word):
            with open(path, "w") as f:
                f.write(text + f"compressor:\n  from_clients: {word}\n")
            server.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 10
            while stats(server, "settings")["compressor.from_clients"] != word:
                assert time.monotonic() < until
                time.sleep(0.02)

        with packer(server) as s:
            assert stored(s, [packed_entry(1, LZ4, page(1))]) == [OK]
            switch("off")
            assert stored(s, [packed_entry(2, LZ4, page(2)), entry(3, page(3))]) == [BAD_CODEC, OK]
            assert load(s, [1])[0]["body"] == page(1)
            with server.connect() as new:
                new.sendall(hello(features=FEATURE_PACKED))
                welcome = reply(new)["body"]
                assert welcome[4:8] == b"\0\0\0\0" and welcome[36:] == b"\0\0\0\0", welcome
            switch("on")
            assert expect_page(s, 1, page(1)) == LZ4


def the_welcome_says_what_may_be_packed(programs):
    with Server(programs.farpaged) as server:
        for asked, features, codecs in ((0, 0, 0), (1, 1, 0b1111), (0xffffffff, None, 0b1111)):
            with server.connect() as s:
                s.sendall(hello(features=asked))
                welcome = reply(s)["body"]
                told = int.from_bytes(welcome[4:8], "big")
                assert told == features if features is not None else told & 1 == 1, told
                assert int.from_bytes(welcome[36:40], "big") == codecs, welcome


def one_program():
    pages = sample()[200 * PAGE:300 * PAGE]
    return [n.to_bytes(8, "big") + pages[at + 8:at + PAGE]
            for n in range(4) for at in range(0, len(pages), PAGE)]


def dictionary_id(s, name):
    s.sendall(frame(4, struct.pack(">IIQ64x", 2, 0, 0) + name))
    return int.from_bytes(reply(s)["body"][12:16], "big")


def ask_dictionary(s, id, area=1):
    s.sendall(frame(DICTIONARY, area=area, slot=id))
    got = reply(s)
    return got["body"] if got["status"] == OK else got["status"]


def a_dictionary_goes_to_those_who_pack_with_it(programs):
    """By its id, to the area that learned it, for as long as a page needs it."""
    sets = ["compressor.algorithm=zstd", "compressor.level=3", "recompress.draining=manual"]
    pages = one_program()
    with Server(programs.farpaged, sets) as server, packer(server, b"python") as s, \
            opened(server, b"python") as plain, packer(server, b"other") as stranger:
        for at in range(0, len(pages), MOST):
            some = list(enumerate(pages[at:at + MOST], at))
            assert set(stored(s, [entry(n, p) for n, p in some])) == {OK}
        assert dictionary_id(s, b"python") == 0
        id = programs.json(server, "dictionary", "train", "python")["id"]
        assert dictionary_id(s, b"python") == id
        words = ask_dictionary(s, id)
        assert len(words) > 1000 and words[:4] == b"\x37\xa4\x30\xec", words
        assert int.from_bytes(words[4:8], "little") == id
        assert ask_dictionary(stranger, id) == NO_DICTIONARY, "it is made of python's pages"
        for codec in (ZSTD, LZ4):
            mine = [packed_entry(n, codec, pages[n], words, id) for n in range(40)]
            assert stored(s, mine) == [OK] * 40
            assert stored(stranger, mine[:1]) == [NO_DICTIONARY]
            for n in range(40):
                codec_now, id_now, _, data = taken(load(s, [n])[0])
                assert (codec_now, id_now) == (codec, id) and data == mine[n][28:], n
                assert load_plain(plain, n)["body"] == pages[n], (codec, n)
            assert unpack(codec, data) != pages[39], "it is needed"
        rows = seats(server)
        assert rows["zstd:3+"]["state"] == "current" and rows["lz4:1+"]["state"] == "draining"
        assert rows["lz4:1+"]["objects"] == "40" and rows["lz4:1+"]["packs"] == "0", rows
        assert "OK" in ask(server, "dictionary drop python\r\n")
        assert stored(s, mine[:1]) == [NO_DICTIONARY], "it is not the area's any more"
        assert dictionary_id(s, b"python") == 0
        assert ask_dictionary(s, id) == words, "but pages need it"
        for n in range(40):
            assert expect_page(s, n, pages[n], {id: words}) == LZ4
        s.sendall(invalidate_batch(range(40)))
        assert refused_whole(s) == OK
        until = time.monotonic() + 10
        while ask_dictionary(s, id) != NO_DICTIONARY:
            assert time.monotonic() < until, "nothing needs it any more"
            time.sleep(0.05)
        assert [n for n in seats(server) if "+" in n] == []


def swaps_do_not_disturb_those_who_pack(programs):
    """The server's compressor changes under load; each page comes back, none is refused."""
    seconds = 2
    with Server(programs.farpaged) as server:
        stop, failed = threading.Event(), []

        def client(which):
            try:
                codec = (LZ4, ZSTD)[which % 2]
                with packer(server, b"swap-%d" % which, slots=64) as s:
                    turn = 0
                    while not stop.is_set():
                        turn += 1
                        own = [page(which * 100000 + n) for n in range(32)]
                        sent = [packed_entry(n, codec, p) if n % 4 else entry(n, p)
                                for n, p in enumerate(own)]
                        assert stored(s, sent) == [OK] * 32
                        for n, got in enumerate(load(s, range(32))):
                            data = got["body"]
                            if got["status"] != OK:
                                now, _, _, data = taken(got)
                                data = unpack(now, data)
                            assert data == own[n], (which, turn, n)
            except BaseException as error:  # told by the scene, not by the thread
                failed.append(error)
                raise

        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + seconds
        swaps = 0
        while time.monotonic() < until and not failed:
            for to in ("zstd 3", "lz4 4", "none", "lz4 1", "zstd 1"):
                assert "OK" in ask(server, f"compressor set {to}\r\n")
                swaps += 1
        stop.set()
        for thread in threads:
            thread.join()
        assert not failed and swaps > 10, (failed, swaps)


def full_memory_refuses_packed_pages_too(programs):
    with Server(programs.farpaged, [memory_limit(programs, 18)]) as server, \
            packer(server, slots=1 << 18) as s:
        data = noise(1)[:3500]
        refused, slot, kept = 0, 0, []
        while refused == 0 and slot < 1 << 18:
            status = stored(s, [entry(slot + n, data, codec=LZ4, crc=5) for n in range(8)])
            assert set(status) <= {OK, NO_MEMORY}, status
            refused += status.count(NO_MEMORY)
            kept += [slot + n for n in range(8) if status[n] == OK]
            slot += 8
        assert refused > 0 and len(kept) > 100, (refused, len(kept))
        assert seats(server)["lz4:1"]["objects"] == str(len(kept)), "the refused ones count not"
        for slot in kept[::50]:
            assert taken(load(s, [slot])[0])[3] == data


def absent_slots_are_a_word_of_zeros_where_that_is_wanted(programs):
    with Server(programs.farpaged) as server, server.connect() as s:
        s.sendall(hello(features=FEATURE_PACKED) + open_area(b"zeros", flags=1 | 2 | 8))
        assert reply(s)["status"] == OK and reply(s)["status"] == OK
        assert stored(s, [packed_entry(1, LZ4, page(1))]) == [OK]
        got = load(s, [0, 1])
        assert taken(got[0]) == (WORD, 0, page_crc(b"\0" * PAGE) & ~3, b"\0" * 8)
        assert taken(got[1])[0] == LZ4
        got = load(s, [0], flags=0)[0]
        assert got["status"] == OK and got["body"] == b"\0" * PAGE
        assert load_plain(s, 0)["body"] == b"\0" * PAGE


def a_packed_batch_may_be_cut_anywhere(programs):
    """Whole entries are stored, the others leave nothing: neither a page nor a use of a seat."""
    sent = store_batch([packed_entry(n, ZSTD, page(n)) for n in range(3)])
    with Server(programs.farpaged, ["recompress.draining=manual"]) as server:
        for cut in range(len(sent) + 1):
            with packer(server) as s:
                s.sendall(sent[:cut])
        with packer(server) as s:
            until = time.monotonic() + 10
            while stats(server)["curr_connections"] != "2" and time.monotonic() < until:
                time.sleep(0.05)
            for n in range(3):
                assert expect_page(s, n, page(n)) == ZSTD
            assert seats(server)["zstd:1"]["objects"] == "3"
            assert area_numbers(server)["stored"] == "3"
            s.sendall(invalidate_batch(range(3)))
            assert refused_whole(s) == OK
            while "zstd:1" in seats(server):
                assert time.monotonic() < until, "something still uses it"
                time.sleep(0.05)


def packed_pages_of_every_page_size(programs):
    for size in (16384, 65536):
        with Server(programs.farpaged, [f"storage.page_size={size >> 10}KiB"]) as server, \
                packer(server) as s:
            plain = (b"%08d of many " % size * 6000)[:size]
            for codec in (LZ4, ZSTD):
                assert stored(s, [packed_entry(1, codec, plain)]) == [OK]
                got = taken(load(s, [1])[0])
                assert got[0] == codec and unpack(codec, got[3], size=size) == plain
                assert load_plain(s, 1)["body"] == plain
            long = noise(1) * (size // PAGE)
            assert stored(s, [entry(2, long[:-1], codec=LZ4, crc=1),
                              entry(3, long[:size - 2], codec=LZ4, crc=1)]) == \
                [BAD_LENGTH if size == 65536 else OK, OK]
            assert taken(load(s, [3])[0])[3] == long[:size - 2]


tell([packed_pages_are_given_back_as_they_came, what_a_client_packed_is_counted_where_it_is,
      what_cannot_be_kept_packed_is_refused, a_lying_client_fools_nobody_but_itself,
      a_reload_switches_packing_off_and_on, the_welcome_says_what_may_be_packed,
      a_dictionary_goes_to_those_who_pack_with_it, swaps_do_not_disturb_those_who_pack,
      full_memory_refuses_packed_pages_too, packed_pages_of_every_page_size,
      absent_slots_are_a_word_of_zeros_where_that_is_wanted, a_packed_batch_may_be_cut_anywhere])
