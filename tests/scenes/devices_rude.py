#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Block devices and clients that are rude, hostile or in a hurry, byte by byte; and TLS on them."""
import contextlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import nbd_wire as wire
from certificates import Authority, believing
from nbd_wire import (ACK, CACHE, DF, DISC, EINVAL, ENOSPC, EOVERFLOW, EPERM, ESHUTDOWN, EXPORT_NAME,
                      FLUSH, GO, LIST, LIST_META, MIB, NO_HOLE, READ, SET_META, STARTTLS, STATUS,
                      STRUCTURED, TRIM, WRITE, ZEROES, Device, ask, chunk, closed, go_body, greet,
                      meta_body, opened, option, reply, request, simple, take, write)
from operating import until
from story import sanitized, stats, tell

PAGE = 4096
DISK = "[{name: disk, size: 64MiB}]"
IMPOSSIBLE = (2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1)


def until_closed(s):
    """All that is said before the other side hangs up."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while got := s.recv(4096):
            said += got
    return said


def serves(device):
    with opened(device) as s:
        s.sendall(request(READ, 1, 0, PAGE))
        assert simple(s) == (1, 0) and len(take(s, PAGE)) == PAGE


# --- the handshake -------------------------------------------------------------------------------

def every_option_is_answered_and_the_handshake_goes_on(programs):
    with Device(programs.farpaged, DISK) as device, device.wire() as s:
        greet(s)
        assert ask(s, 4711, b"anything")[-1][0] == wire.UNSUP
        assert ask(s, 11)[-1][0] == wire.UNSUP
        assert ask(s, LIST, b"x")[-1][0] == wire.INVALID
        assert ask(s, STARTTLS)[-1][0] == wire.POLICY
        assert ask(s, SET_META, meta_body("disk", "base:allocation"))[-1][0] == wire.INVALID
        assert ask(s, GO, b"\0\0\0\4di")[-1][0] == wire.INVALID
        assert ask(s, GO, go_body("nothing"))[-1] == (wire.UNKNOWN, b"there is no export 'nothing'")
        assert ask(s, GO, go_body("x" * 4096))[-1][0] == wire.UNKNOWN
        assert ask(s, GO, go_body("x" * 4097))[-1][0] == wire.INVALID
        assert ask(s, STRUCTURED, b"x")[-1][0] == wire.INVALID
        assert ask(s, STRUCTURED) == [(ACK, b"")]
        assert ask(s, LIST_META, meta_body("disk"))[:-1] == [(4, b"\0\0\0\0base:allocation")]
        assert ask(s, LIST_META, meta_body("disk", "base:"))[:-1] != []
        assert ask(s, LIST_META, meta_body("disk", "x-other:thing")) == [(ACK, b"")]
        assert ask(s, SET_META, meta_body("disk", "base:allocation"))[0] == (4, b"\0\0\0\1base:allocation")
        assert ask(s, wire.INFO, b"x" * 16385)[-1][0] == wire.TOO_BIG
        said = ask(s, wire.INFO, go_body("disk", (3, 1, 2, 99)))
        assert [kind for kind, _ in said] == [3, 3, 3, ACK], said
        assert struct.unpack(">HQH", said[0][1]) == (0, 64 * MIB, 0xded), said[0]
        assert said[1][1][2:].startswith(b"disk@") and struct.unpack(">HIII", said[2][1]) == (3, 1, 4096, 32 * MIB)
        s.sendall(option(wire.ABORT))
        assert reply(s)[1] == ACK and closed(s)


def what_breaks_the_handshake_is_hung_up_on(programs):
    def ends(what, flags=3):
        with device.wire() as s:
            greet(s, flags)
            with contextlib.suppress(ConnectionError):
                s.sendall(what)
            until_closed(s)
    with Device(programs.farpaged, DISK) as device:
        for flags in (4, 7, 1 << 31, 0xffffffff):
            ends(b"", flags)
        ends(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        ends(option(LIST).replace(b"IHAVEOPT", b"IHAVEOPS"))
        for length in IMPOSSIBLE:
            ends(option(GO, b"", length))
            ends(option(4711, b"", length))
        ends(option(EXPORT_NAME, b"nothing"))
        ends(option(EXPORT_NAME, b"x" * 4097))
        ends(option(LIST), flags=0)  # who knows EXPORT_NAME alone
        ends(b"".join(option(4711) for _ in range(65)))
        with device.wire() as s:
            greet(s, 1)
            s.sendall(option(EXPORT_NAME, b"disk") + request(READ, 9, 0, 16))
            size, flags = struct.unpack(">QH", take(s, 10))
            assert size == 64 * MIB and flags & 1 and take(s, 124) == bytes(124)
            assert simple(s) == (9, 0) and take(s, 16) == bytes(16)
        serves(device)


def a_thousand_half_open_handshakes_keep_nobody_out(programs):
    with Device(programs.farpaged, DISK, ["server.max_connections=1100",
                                          "server.login_timeout=3s"]) as device:
        before, crowd = device.rss_bytes(), []
        for n in range(1000):
            s = device.wire()
            if n % 3 == 1:
                s.sendall(b"\0\0\0")
            if n % 3 == 2:
                s.sendall(b"\0\0\0\3" + option(GO, b"x" * 100, 200))
            crowd.append(s)
        begun = time.monotonic()
        serves(device)
        took = time.monotonic() - begun
        assert took < (2 if sanitized(programs.farpaged) else 0.2), took
        assert sanitized(programs.farpaged) or device.rss_bytes() < before + 16 * MIB
        assert int(stats(device)["curr_connections"]) >= 1000
        until(lambda: int(stats(device)["curr_connections"]) < 10, 20)
        for s in crowd:
            s.close()
        assert "its handshake did not end" in device.stderr()


def names_asked_for_in_vain_are_not_noted(programs):
    rule = '[{name: "swap/*", size: 1MiB, instances_max: 2, lifetime: connection, grace: 0s}]'
    with Device(programs.farpaged, rule) as device, opened(device, "swap/a"), opened(device, "swap/b"):
        for n in range(40):
            with device.wire() as s:
                greet(s)
                kind, why = ask(s, GO, go_body(f"swap/{n}"))[-1]
                assert kind == wire.POLICY and b"instances_max" in why, why
        with open(os.path.join(device.state, "exports")) as f:
            notes = [line.split()[2] for line in f if line.startswith("+")]
        assert notes == ["swap/a", "swap/b"], notes


def strangers_do_not_fill_the_log(programs):
    with Device(programs.farpaged, DISK, ["server.login_timeout=1s", "server.request_timeout=1s"]) as device:
        crowd = [device.wire() for _ in range(30)] + [device.connect() for _ in range(30)]
        for s in crowd[30:]:
            s.sendall(b"set k 0 0")
        for said in (option(EXPORT_NAME, b"nothing"), b"GET / HTTP/1.1\r\n\r\n"):
            for _ in range(50):
                with device.wire() as s:
                    greet(s)
                    s.sendall(said)
                    assert closed(s)
        for s in crowd:
            until_closed(s)
            s.close()
        for event in ("no export", "framing is lost", "too slow"):
            assert 0 < device.stderr().count(f"connection closed: {event}") <= 20, event


# --- requests ------------------------------------------------------------------------------------

def every_request_at_its_limits_has_its_answer(programs):
    size = 64 * MIB
    cases = [
        (request(READ, 1, size - 1, 2), EINVAL), (request(READ, 1, 2**64 - 1, 1), EINVAL),
        (request(READ, 1, 0, 32 * MIB + 1), EINVAL), (request(READ, 1, 0, 4, DF), EINVAL),
        (request(READ, 1, 0, 0), 0), (write(1, size, b""), 0), (write(1, size, b"x"), ENOSPC),
        (write(1, 2**64 - 1, b"x"), ENOSPC), (write(1, size - PAGE, bytes(PAGE + 1)), ENOSPC),
        (write(1, 0, bytes(32 * MIB + 1)), EINVAL), (write(1, 0, b"x", 1 << 15), EINVAL),
        (request(TRIM, 1, 0, 2**32 - 1), EINVAL), (request(TRIM, 1, size, 0), 0),
        (request(ZEROES, 1, 1, size, NO_HOLE), ENOSPC), (request(CACHE, 1, size, 1), EINVAL),
        (request(CACHE, 1, 0, size), 0), (request(FLUSH, 1, 0, 1), EINVAL), (request(FLUSH, 1), 0),
        (request(STATUS, 1, 0, PAGE), EINVAL), (request(8, 1, 0, 0), EINVAL),
        (request(65535, 1, 2**64 - 1, 2**32 - 1, 65535), EINVAL)]
    with Device(programs.farpaged, DISK) as device:
        with opened(device) as s:
            for bytes_of, error in cases:
                s.sendall(bytes_of)
                assert simple(s) == (1, error), (bytes_of[:28], error)
            s.sendall(request(READ, 2, size - 3, 3))
            assert simple(s) == (2, 0) and take(s, 3) == bytes(3)
        with opened(device, "disk", structured=True) as s:
            s.sendall(request(READ, 3, 0, 32 * MIB + 1, DF))
            _, done, kind, body = chunk(s)
            assert done and kind == 0x8001 and struct.unpack(">I", body[:4])[0] == EOVERFLOW
            s.sendall(request(READ, 4, 0, 0))
            assert chunk(s) == (4, 1, 0, b"")
            s.sendall(write(5, PAGE, b"x" * PAGE) + request(READ, 6, 0, 4 * PAGE))
            assert simple(s) == (5, 0)
            parts = [chunk(s)[1:] for _ in range(3)]
            assert parts == [(0, 2, struct.pack(">QI", 0, PAGE)),
                             (0, 1, struct.pack(">Q", PAGE) + b"x" * PAGE),
                             (1, 2, struct.pack(">QI", 2 * PAGE, 2 * PAGE))], parts
            s.sendall(request(READ, 7, 0, 3 * PAGE, DF))
            assert chunk(s) == (7, 1, 1, bytes(8) + bytes(PAGE) + b"x" * PAGE + bytes(PAGE))
            s.sendall(request(READ, 8, 0, MIB, DF))
            got = [chunk(s)[1:3] for _ in range(2)]
            assert got == [(0, 1), (1, 0)], got
        with opened(device) as s:
            s.sendall(b"\x25\x60\x95\x14" + bytes(24))
            assert closed(s)
        serves(device)


def a_read_only_device_refuses_every_change(programs):
    with Device(programs.farpaged, "[{name: disk, size: 64MiB, read_only: on}]") as device, \
            opened(device) as s:
        for what in (write(1, 0, b"x" * 100), request(TRIM, 1, 0, PAGE), request(ZEROES, 1, 0, PAGE)):
            s.sendall(what)
            assert simple(s) == (1, EPERM)
        s.sendall(request(READ, 2, 0, 4))
        assert simple(s) == (2, 0) and take(s, 4) == bytes(4)


def half_a_request_costs_its_connection_alone(programs):
    with Device(programs.farpaged, DISK) as device:
        keeper = opened(device)
        whole = write(1, 100, b"y" * 9000)
        for cut in (1, 27, 28, 29, 28 + 3995, 28 + 3996, 28 + 8999):
            with opened(device) as s:
                s.sendall(whole[:cut])
        for reset in (True, False):
            s = opened(device)
            s.sendall(b"".join(request(READ, n, 0, MIB) for n in range(16)))
            if reset:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        keeper.sendall(request(READ, 5, 0, PAGE))
        assert simple(keeper) == (5, 0)
        got = take(keeper, PAGE)
        assert got[:100] == bytes(100) and got[100:] in (b"y" * 3996, bytes(3996))
        until(lambda: int(stats(device, "exports")["disk:connections"]) == 1)
        keeper.close()


def a_disc_ends_when_all_before_it_is_answered(programs):
    with Device(programs.farpaged, DISK, ["server.output_buffer_max=64KiB"]) as device:
        with opened(device) as s:
            asked = [write(n, n * PAGE, bytes([n]) * PAGE) for n in range(1, 33)]
            asked += [request(READ, 100 + n, n * MIB, MIB) for n in range(20)]
            asked += [request(ZEROES, 0, 0, 64 * MIB, NO_HOLE)]  # takes many turns
            asked += [request(DISC, 999), request(READ, 1000, 0, PAGE)]
            sender = threading.Thread(target=s.sendall, args=(b"".join(asked),))
            sender.start()
            seen = set()
            while head := take(s, 16):
                _, error, cookie = struct.unpack(">IIQ", head)
                assert error == 0 and cookie not in seen, (error, cookie)
                seen.add(cookie)
                if cookie >= 100:
                    assert len(take(s, MIB)) == MIB
            sender.join()
            assert seen == {0, *range(1, 33), *range(100, 120)}, seen


def others_are_answered_while_a_long_request_goes_on(programs):
    with Device(programs.farpaged, "[{name: disk, size: 4GiB}]", ["storage.overcommit=10.0"]) as device:
        with opened(device) as s:
            s.sendall(request(ZEROES, 1, 0, 512 * MIB, NO_HOLE) + request(READ, 2, 0, PAGE))
            assert simple(s) == (2, 0)  # the later one first
            take(s, PAGE)
            assert simple(s) == (1, 0)
            begun = time.monotonic()
            s.sendall(request(TRIM, 3, 0, 2**32 - PAGE))
            assert simple(s) == (3, 0)
            took = time.monotonic() - begun
            print(f"131072 pages of 4 GiB trimmed by one request in {took * 1000:.0f} ms")
            assert took < (10 if sanitized(programs.farpaged) else 2), took
            assert stats(device, "areas")["disk:stored"] == "0"
            begun = time.monotonic()
            s.sendall(request(TRIM, 4, 0, 2**32 - PAGE))
            assert simple(s) == (4, 0) and time.monotonic() - begun < 1
            s.sendall(b"".join(request(ZEROES, n, 0, 16 * MIB, NO_HOLE) for n in range(40)))
            assert {simple(s) for _ in range(40)} == {(n, 0) for n in range(40)}


def who_reads_nothing_waits_for_itself(programs):
    with Device(programs.farpaged, DISK, ["server.request_timeout=2s"]) as device:
        with opened(device) as s:
            s.sendall(b"".join(write(n, n * MIB, os.urandom(MIB)) for n in range(32)))
            for _ in range(32):
                simple(s)
        before, greedy = device.rss_bytes(), []
        for _ in range(4):
            s = opened(device)
            s.sendall(b"".join(request(READ, n, 0, 32 * MIB) for n in range(64)))  # 2 GiB each
            greedy.append(s)
        time.sleep(0.3)
        serves(device)
        grown = device.rss_bytes() - before
        assert sanitized(programs.farpaged) or grown < 4 * 6 * MIB, grown
        until(lambda: int(stats(device)["curr_connections"]) < 4, 20)
        assert "it does not read its replies" in device.stderr()
        for s in greedy:
            s.close()


def who_reads_late_is_served_meanwhile(programs):
    """A unix socket takes some 280 replies that are sent one by one, however short."""
    with Device(programs.farpaged, DISK) as device, opened(device) as s:
        s.settimeout(10)
        for n in range(300):
            s.sendall(request(FLUSH, n))
            time.sleep(0.0005)
        s.sendall(b"".join(request(FLUSH, n) for n in range(300, 400)))  # several turns
        for n in range(400, 600):
            s.sendall(write(n, n * PAGE, bytes([n % 255 + 1]) * PAGE))
        assert [simple(s) for _ in range(600)] == [(n, 0) for n in range(600)]


def a_stop_answers_what_was_asked_and_refuses_the_rest(programs):
    with Device(programs.farpaged, DISK, ["server.stop_timeout=10s"]) as device:
        s, half = opened(device), opened(device)
        half.sendall(write(7, 0, b"h" * 2 * PAGE)[:PAGE])
        s.sendall(request(READ, 1, 0, MIB))
        simple(s)
        until(lambda: int(stats(device, "exports")["disk:connections"]) == 2)
        time.sleep(0.1)
        device.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        take(s, MIB)
        half.sendall(write(7, 0, b"h" * 2 * PAGE)[PAGE:] + request(READ, 8, 0, PAGE))
        assert simple(half) == (7, 0)  # it was under way
        assert simple(half) == (8, ESHUTDOWN)
        assert closed(half) and closed(s)
        device.is_over(0)


def writers_of_one_page_on_many_connections_lose_no_bytes(programs):
    """Each connection owns every fourth run of 16 bytes; odd offsets, pages shared by all."""
    rounds = 30 if sanitized(programs.farpaged) else 100
    with Device(programs.farpaged, DISK) as device:
        def work(who):
            rng = random.Random(who)
            with opened(device, how=("unix", "tcp")[who % 2]) as s:
                for n in range(rounds):
                    at = [(rng.randrange(3 * PAGE // 64) * 4 + who) * 16 + 5 for _ in range(16)]
                    s.sendall(b"".join(write(n, offset, bytes([who * 60 + n % 50 + 1]) * 16)
                                       for offset in at))
                    for _ in at:
                        assert simple(s)[1] == 0
                    for offset in at:
                        mine[who][offset] = who * 60 + n % 50 + 1
        mine = [{} for _ in range(4)]
        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        with opened(device) as s:
            s.sendall(request(READ, 1, 0, 4 * PAGE))
            simple(s)
            page = take(s, 4 * PAGE)
        for who in range(4):
            assert len(mine[who]) > 50
            for offset, value in mine[who].items():
                assert page[offset:offset + 16] == bytes([value]) * 16, (who, offset)


# --- TLS -----------------------------------------------------------------------------------------

class Secured(Device):
    """The TCP port wants TLS, the unix socket does not."""

    def __init__(self, programs, clients=False):
        self.authority = Authority(tempfile.mkdtemp(prefix="tls-"))
        pem, key = self.authority.issue("server")
        more = f'tls:\n  certificate: "{pem}"\n  key: "{key}"\n'
        if clients:
            more += f'  client_ca: "{self.authority.pem}"\n  verify_clients: required\n'
        super().__init__(programs.farpaged, DISK, tcp="tls: on", more=more)

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            shutil.rmtree(self.authority.directory)

    def secure(self, identity=None):
        """A connection whose STARTTLS was taken and whose handshake is done."""
        s = self.wire("tcp")
        greet(s)
        assert ask(s, STARTTLS) == [(ACK, b"")]
        return believing(self.authority, identity).wrap_socket(s, server_hostname="127.0.0.1")


def before_tls_nothing_else_is_answered(programs):
    with Secured(programs) as device:
        with device.wire("tcp") as s:
            greet(s)
            for number in (LIST, wire.INFO, GO, STRUCTURED, LIST_META, SET_META, 4711):
                assert ask(s, number, go_body("disk"))[-1][0] == wire.TLS_REQD
            assert ask(s, STARTTLS, b"x")[-1][0] == wire.INVALID
            assert ask(s, wire.ABORT) == [(ACK, b"")] and closed(s)
        with device.wire("tcp") as s:
            greet(s)
            s.sendall(option(EXPORT_NAME, b"disk"))
            assert closed(s)
        with device.secure() as s:
            assert ask(s, STARTTLS)[-1][0] == wire.INVALID
            assert ask(s, LIST)[0][0] == 2 and ask(s, GO, go_body("disk"))[-1][0] == ACK
            for n in range(8):
                s.sendall(write(n, n * MIB + 7, os.urandom(1) * MIB))
                assert simple(s) == (n, 0)
            s.sendall(b"".join(request(READ, n, n * MIB + 7, MIB) for n in range(8)))
            for n in range(8):
                assert simple(s) == (n, 0)
                assert len(set(take(s, MIB))) == 1
            s.sendall(request(DISC, 1))
            assert closed(s)


def libnbd_speaks_tls(programs):
    with Secured(programs) as device:
        ours = os.path.join(device.authority.directory, "pki")
        os.mkdir(ours)
        shutil.copy(device.authority.pem, os.path.join(ours, "ca-cert.pem"))
        uri = f"nbds://127.0.0.1:{device.nbd_port}/disk?tls-certificates={ours}"
        done = subprocess.run(["nbdinfo", uri], capture_output=True, text=True, timeout=60,
                              check=False)
        assert done.returncode == 0 and "with TLS" in done.stdout, done
        plain = subprocess.run(["nbdinfo", uri.replace("nbds", "nbd").split("?")[0]],
                               capture_output=True, text=True, timeout=60, check=False)
        assert plain.returncode != 0, plain


def what_stands_behind_starttls_in_the_clear_is_not_believed(programs):
    with Secured(programs) as device:
        for behind in (option(LIST), b"I", option(GO, go_body("disk")) + write(1, 0, b"x" * PAGE)):
            with device.wire("tcp") as s:
                greet(s)
                s.sendall(option(STARTTLS) + behind)
                assert closed(s)
        with device.wire("tcp") as s:  # nor what comes a moment later
            greet(s)
            assert ask(s, STARTTLS) == [(ACK, b"")]
            s.sendall(option(LIST))
            assert b"disk" not in until_closed(s)
        assert stats(device, "exports")["disk:writes"] == "0"
        assert "bytes behind STARTTLS" in device.stderr()


def only_a_good_certificate_opens_a_device(programs):
    with Secured(programs, clients=True) as device:
        identity = device.authority.issue("client")
        with device.secure(identity) as s:
            assert ask(s, GO, go_body("disk"))[-1][0] == ACK
        try:
            with device.secure() as s:
                ask(s, GO, go_body("disk"))
        except OSError:
            return
        raise AssertionError("a client without a certificate was let in")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([every_option_is_answered_and_the_handshake_goes_on, what_breaks_the_handshake_is_hung_up_on,
          a_thousand_half_open_handshakes_keep_nobody_out, names_asked_for_in_vain_are_not_noted,
          strangers_do_not_fill_the_log,
          every_request_at_its_limits_has_its_answer, a_read_only_device_refuses_every_change, half_a_request_costs_its_connection_alone,
          a_disc_ends_when_all_before_it_is_answered,
          others_are_answered_while_a_long_request_goes_on, who_reads_nothing_waits_for_itself,
          who_reads_late_is_served_meanwhile,
          a_stop_answers_what_was_asked_and_refuses_the_rest,
          writers_of_one_page_on_many_connections_lose_no_bytes, before_tls_nothing_else_is_answered,
          libnbd_speaks_tls, what_stands_behind_starttls_in_the_clear_is_not_believed,
          only_a_good_certificate_opens_a_device])
