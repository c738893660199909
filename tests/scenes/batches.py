#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Many pages in one frame: stored as they arrive, answered in order, refused one by one."""
import os
import socket
import struct
import threading
import time

from hostile import (ABSENT, BAD_CHECKSUM, BAD_LENGTH, NO_AREA, NO_HELLO, OK, RANGE, crc32c,
                     expect_served, frame, hello, is_closed, open_area, receive, reply)
from running import Server
from story import memory_limit, sanitized, stats, tell
from wire import (BAD_CODEC, BAD_FIELD, MOST, NO_MEMORY, PAGE, STORE_BATCH, entry, expect_pages,
                  invalidate_batch, load_batch, opened, page, refused_whole, replies, store_batch)


def batches_of_256_pages_go_there_and_back(programs):
    with Server(programs.farpaged) as server, opened(server) as s:
        slots = [n * 3 for n in range(MOST)]
        s.sendall(store_batch([entry(n, page(n)) for n in slots]))
        assert [(r["status"], r["slot"]) for r in replies(s, MOST)] == [(OK, n) for n in slots]
        order = slots[100:] + slots[:100]  # the wanted page first
        expect_pages(s, order)
        s.sendall(invalidate_batch(slots[::2]))
        assert refused_whole(s) == OK
        s.sendall(load_batch(slots))
        for slot, got in zip(slots, replies(s, MOST)):
            assert got["status"] == (ABSENT if slot % 2 == 0 else OK), got
        counted = stats(server)
        assert counted["farpage_batches"] == "4", counted
        assert counted["farpage_page_stores"] == "256" and counted["farpage_page_loads"] == "384"


def a_store_batch_is_carried_out_as_it_arrives(programs):
    """The first page is stored, answered and there for others before the last is sent."""
    with Server(programs.farpaged) as server, opened(server) as s, opened(server) as other:
        sent = store_batch([entry(n, page(n)) for n in range(MOST)])
        whole = 28 + PAGE
        s.sendall(sent[:40 + whole + 100])
        got = reply(s)
        assert got["status"] == OK and got["slot"] == 0 and got["count"] == MOST - 1, got
        expect_pages(other, [0])
        s.sendall(sent[40 + whole + 100:40 + 8 * whole])
        assert [reply(s)["slot"] for _ in range(7)] == list(range(1, 8))
        expect_pages(other, range(8))
        s.sendall(sent[40 + 8 * whole:])
        assert [reply(s)["slot"] for _ in range(MOST - 8)] == list(range(8, MOST))
        expect_pages(other, range(MOST))


def a_batch_may_arrive_byte_by_byte(programs):
    with Server(programs.farpaged) as server, opened(server) as s:
        sent = store_batch([entry(n, page(n)) for n in (5, 6)]) + load_batch([6, 5])
        for at in range(0, len(sent), 7):
            s.sendall(sent[at:at + 7])
        assert [r["slot"] for r in replies(s, 2)] == [5, 6]
        assert [r["body"] for r in replies(s, 2)] == [page(6), page(5)]


def what_is_wrong_with_one_entry_costs_that_entry(programs):
    """The entry's own check tells that the client means it: the next one stands where it should."""
    with Server(programs.farpaged) as server, opened(server, slots=100) as s:
        cases = [(entry(1, page(1), crc=7), BAD_CHECKSUM), (entry(100, page(2)), RANGE),
                 (entry(1 << 63, page(2)), RANGE), (entry(3, page(3)[:-1]), BAD_LENGTH),
                 (entry(4, b""), BAD_LENGTH), (entry(5, page(5), codec=1), BAD_CODEC),
                 (entry(6, page(6)[:100], codec=255), BAD_CODEC),
                 (entry(7, page(7), reserved=1), BAD_CODEC), (entry(8, page(8)), OK)]
        s.sendall(store_batch([case for case, _ in cases]))
        assert [r["status"] for r in replies(s, len(cases))] == [status for _, status in cases]
        s.sendall(load_batch(list(range(10))))
        stored = [r["slot"] for r in replies(s, 10) if r["status"] == OK]
        assert stored == [8], stored


def an_entry_that_cannot_be_believed_ends_its_batch(programs):
    """It and what follows are refused, what came before is stored, and the next request is read."""
    good = [entry(n, page(n)) for n in range(4)]
    lies = [(entry(9, page(9), check=1), BAD_CHECKSUM), (entry(9, b"abc", size=1 << 31), BAD_LENGTH),
            (entry(9, b"abc", size=(1 << 32) - 1), BAD_LENGTH),
            (entry(9, page(9), size=PAGE + 1), BAD_LENGTH), (entry(9, page(9)[:40]), BAD_LENGTH)]
    with Server(programs.farpaged) as server, opened(server) as s:
        for lie, status in lies:
            tail = [entry(10 + n, page(10 + n)) for n in range(3)]
            extra = b"x" * 3000 if lie is lies[-1][0] else b""
            body = b"".join(good + [lie] + tail) + extra
            s.sendall(frame(STORE_BATCH, area=1, count=8, body_bytes=len(body), body_crc=0) + body)
            got = replies(s, 8)
            assert [r["status"] for r in got[:4]] == [OK] * 4, got
            assert [(r["status"], r["slot"]) for r in got[4:]] == [(status, 0)] * 4, (status, got)
            expect_pages(s, range(4))
        # The last of a batch must end where the body does, or its place was not what it seemed.
        s.sendall(frame(STORE_BATCH, area=1, count=2, body_bytes=2 * 28 + PAGE + 50, body_crc=0)
                  + good[0] + entry(1, page(1)[:40]) + b"x" * 10)
        assert [r["status"] for r in replies(s, 2)] == [OK, BAD_LENGTH]
        expect_pages(s, range(4))
        expect_served(server)


def a_batch_that_makes_no_sense_has_one_answer(programs):
    one = entry(0, page(0))
    with Server(programs.farpaged) as server, server.connect() as s:
        s.sendall(store_batch([one] * 20) + load_batch([1, 2]) + hello())
        assert [refused_whole(s), refused_whole(s)] == [NO_HELLO] * 2
        assert reply(s)["status"] == OK
        s.sendall(open_area(b"sense", slots=16))
        assert reply(s)["status"] == OK
        cases = [(store_batch([one] * 3, area=9), NO_AREA), (store_batch([]), BAD_LENGTH),
                 (store_batch([one] * 257), BAD_LENGTH),
                 (store_batch([one] * 2, count=1), BAD_LENGTH),
                 (store_batch([one], count=(1 << 32) - 1), BAD_LENGTH),
                 (store_batch([one], slot=1), BAD_FIELD), (store_batch([one], area=0), NO_AREA),
                 (load_batch([1], area=9), NO_AREA), (load_batch([]), BAD_LENGTH),
                 (load_batch([1] * 257), BAD_LENGTH), (load_batch([1], count=2), BAD_LENGTH),
                 (load_batch([1], slot=5), None), (invalidate_batch([1], area=9), NO_AREA),
                 (invalidate_batch([]), BAD_LENGTH), (invalidate_batch([1] * 257), BAD_LENGTH),
                 (invalidate_batch([3, 16]), RANGE),
                 (load_batch([1], body_crc=5), BAD_CHECKSUM)]
        for sent, status in cases:
            s.sendall(sent)
            got = reply(s)
            assert got["count"] == 0 and got["status"] == (status or BAD_FIELD), (sent[:60], got)
        s.sendall(store_batch([entry(3, page(3))]) + invalidate_batch([3, 16]) + load_batch([3, 16]))
        assert reply(s)["status"] == OK and refused_whole(s) == RANGE
        assert [r["status"] for r in replies(s, 2)] == [OK, RANGE]
    with Server(programs.farpaged) as server, opened(server) as s:
        s.sendall(frame(STORE_BATCH, area=1, count=256, body_bytes=1 << 31, body_crc=0))
        assert refused_whole(s) == BAD_LENGTH and is_closed(s, 5)
        expect_served(server)


def a_client_may_vanish_anywhere_in_a_batch(programs):
    """Cut within every byte of an entry's header, and all along: what was answered is stored."""
    sent = store_batch([entry(n, page(n)) for n in range(3)])
    cuts = list(range(0, 110)) + list(range(4150, 4200)) + [len(sent) - 1, len(sent)]
    with Server(programs.farpaged) as server:
        for cut in cuts:
            with opened(server, b"cut-%d" % (cut % 50)) as s:
                s.sendall(sent[:cut])
                if cut % 3 == 1:
                    s.shutdown(socket.SHUT_WR)
                    assert is_closed(s, 10), cut
                if cut % 3 == 2:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        load = load_batch(list(range(20)))
        for cut in range(len(load) + 1):
            with opened(server, b"cut-0") as s:
                s.sendall(load[:cut])
        expect_served(server)
        until = time.monotonic() + 10
        while (open_now := stats(server)["curr_connections"]) != "1" and time.monotonic() < until:
            time.sleep(0.05)
        assert open_now == "1"  # asked once more, the question before may still be counted


def a_client_that_stalls_within_a_batch_is_closed(programs):
    sent = store_batch([entry(n, page(n)) for n in range(8)])
    with Server(programs.farpaged, ["server.request_timeout=1s"]) as server:
        for cut in (40, 40 + 28 + PAGE, 40 + 28 + PAGE + 5):  # between entries, and within one
            with opened(server) as s:
                s.sendall(sent[:cut])
                begun = time.monotonic()
                assert is_closed(s, 8), cut
                assert time.monotonic() - begun > 0.5, cut
        with opened(server) as s:  # slowly, but it goes on
            for at in range(0, len(sent), 2000):
                s.sendall(sent[at:at + 2000])
                time.sleep(0.15)
            assert [r["status"] for r in replies(s, 8)] == [OK] * 8


def who_never_reads_waits_for_itself(programs):
    """Thousands of batches of 256 loads from one that does not read: memory stays, others are served."""
    with Server(programs.farpaged) as server, opened(server) as s:
        s.sendall(store_batch([entry(n, os.urandom(PAGE)) for n in range(8)]))
        replies(s, 8)
        before = server.rss_bytes()
        s.setblocking(False)
        left = load_batch([n % 8 for n in range(MOST)]) * 2000
        until = time.monotonic() + 2
        while time.monotonic() < until:
            try:
                left = left[s.send(left[:65536]):] if left else b""
            except BlockingIOError:
                time.sleep(0.01)
        assert left, "the server took it all"
        grown = server.rss_bytes() - before
        assert grown < (24 << 20) * (8 if sanitized(programs.farpaged) else 1), grown >> 20
        expect_served(server)


def others_get_their_turn_between_batches(programs):
    """While one client sends batches as fast as it can, another's requests are not kept waiting."""
    with Server(programs.farpaged, ["server.threads=1"]) as server, opened(server) as busy:
        stores = store_batch([entry(n, page(n)) for n in range(MOST)])
        busy.sendall(stores)
        replies(busy, MOST)
        stop = threading.Event()

        def flood():
            while not stop.is_set():
                busy.sendall(load_batch(list(range(MOST))) * 4)
                size = 4 * MOST * (40 + PAGE)
                while size:
                    size -= len(busy.recv(min(size, 1 << 20)))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            with opened(server) as s:
                worst = 0
                for n in range(300):
                    begun = time.monotonic()
                    expect_pages(s, [n % MOST])
                    worst = max(worst, time.monotonic() - begun)
        finally:
            stop.set()
            thread.join()
        assert worst < (5 if sanitized(programs.farpaged) else 1), f"{worst} s"
        assert int(stats(server)["conn_yields"]) > 0


def full_memory_refuses_the_entries_that_do_not_fit(programs):
    """Each has its own answer; what was stored before, and what was there, stays."""
    with Server(programs.farpaged, [memory_limit(programs, 20)]) as server, \
            opened(server, slots=65536) as s:
        noise = [os.urandom(PAGE) for _ in range(16)]
        crcs = [crc32c(n) for n in noise]
        refused, stored, slot = 0, [], 0
        while refused == 0 and slot < 65536:
            entries = [entry(slot + i, noise[i % 16], crc=crcs[i % 16]) for i in range(MOST)]
            s.sendall(store_batch(entries))
            for got in replies(s, MOST):
                assert got["status"] in (OK, NO_MEMORY), got
                refused += got["status"] == NO_MEMORY
                stored += [got["slot"]] if got["status"] == OK else []
            slot += MOST
        assert refused > 0 and len(stored) > 100
        for at in range(0, len(stored), MOST):
            some = stored[at:at + MOST]
            s.sendall(load_batch(some))
            for n in some:  # its checksum is looked at where replies are read
                header = receive(s, 40)
                assert header[2:4] == b"\0\0" and receive(s, PAGE) == noise[n % MOST % 16], n


if __name__ == "__main__":
    tell([batches_of_256_pages_go_there_and_back, a_store_batch_is_carried_out_as_it_arrives,
          a_batch_may_arrive_byte_by_byte, what_is_wrong_with_one_entry_costs_that_entry,
          an_entry_that_cannot_be_believed_ends_its_batch, a_batch_that_makes_no_sense_has_one_answer,
          a_client_may_vanish_anywhere_in_a_batch, a_client_that_stalls_within_a_batch_is_closed,
          who_never_reads_waits_for_itself, others_get_their_turn_between_batches,
          full_memory_refuses_the_entries_that_do_not_fit])
