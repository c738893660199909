#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Block devices as people use them: with libnbd and its tools, qemu's, fio and nbd-client."""
import errno
import os
import random
import signal
import subprocess
import tempfile
import time
import zlib

import nbd

import nbd_wire as wire
from areas import ABSENT, BUSY, OK, SHARED, Session
from nbd_wire import MIB, Device
from operating import until
from story import ask, limit_mib, sample, sanitized, stats, tell

PAGE, DRAIN = 4096, 32
DISK = '[{name: disk, size: 16MiB, description: "for a test"}]'


def connect(device, name="", how="unix", structured=True):
    handle = nbd.NBD()
    handle.set_request_structured_replies(structured)
    if structured:
        handle.add_meta_context("base:allocation")
    handle.connect_uri(device.uri(name, how))
    return handle


def run(*command, code=0, timeout=120):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout,
                          check=False)
    assert done.returncode == code, (command, done)
    return done.stdout


def extents(handle, size):
    """What base:allocation says, as (length, flags) with neighbours that are alike joined."""
    runs, at = [], 0
    while at < size:
        def found(context, offset, entries, error):
            assert context == "base:allocation" and offset == at and error.value == 0
            for length, flags in zip(entries[::2], entries[1::2]):
                if runs and runs[-1][1] == flags:
                    runs[-1] = (runs[-1][0] + length, flags)
                else:
                    runs.append((length, flags))
        handle.block_status(size - at, at, found)
        at = sum(length for length, _ in runs)
    return runs


class Shadow:
    """What the device must hold, and which of its pages it must have kept."""

    def __init__(self, size, page):
        self.bytes, self.page = bytearray(size), page

    def runs(self):
        runs = []
        for at in range(0, len(self.bytes), self.page):
            flags = 0 if any(self.bytes[at:at + self.page]) else 3
            if runs and runs[-1][1] == flags:
                runs[-1] = (runs[-1][0] + self.page, flags)
            else:
                runs.append((self.page, flags))
        return runs


def some_bytes(pages, rng, size):
    at = rng.randrange(len(pages) - size) if size < len(pages) else 0
    return (pages * (size // len(pages) + 1))[at:at + size]


def random_traffic(device, rng, shadow, turns):
    """Over two connections, one of which is answered in chunks; all that is read is compared."""
    pages, size = sample(), len(shadow.bytes)
    handles = connect(device), connect(device, "disk", "tcp", structured=False)
    for turn in range(turns):
        handle, at = rng.choice(handles), rng.randrange(size)
        most = rng.choice((1, 600, PAGE, 3 * PAGE, 300000))
        length = min(rng.randrange(most) + 1, size - at)
        if rng.random() < 0.4:
            at -= at % shadow.page
        what = rng.random()
        if what < 0.45:
            data = bytes(some_bytes(pages, rng, length))
            handle.pwrite(data, at)
            shadow.bytes[at:at + length] = data
        elif what < 0.6:
            handle.zero(length, at)
            shadow.bytes[at:at + length] = bytes(length)
        else:
            assert handle.pread(length, at) == shadow.bytes[at:at + length], (turn, at, length)
    return handles[0]


def what_is_written_is_read_at_any_offset(programs):
    rng, size = random.Random(os.environ.get("FARPAGE_SEED", "7")), 16 * MIB
    for page in (PAGE, 16 * PAGE):
        disk = f"[{{name: disk, size: 16MiB, page_size: {page >> 10}KiB}}]"
        with Device(programs.farpaged, disk) as device:
            shadow = Shadow(size, page)
            handle = random_traffic(device, rng, shadow, 300)
            assert handle.pread(size, 0) == shadow.bytes
            assert extents(handle, size) == shadow.runs()
            handle.trim(size, 0)
            assert extents(handle, size) == [(size, 3)] and handle.pread(size, 0) == bytes(size)
            assert stats(device, "areas")["disk:stored"] == "0"


def the_tools_of_others_work(programs):
    with Device(programs.farpaged, DISK) as device, tempfile.TemporaryDirectory() as directory:
        image = os.path.join(directory, "image")
        copy = os.path.join(directory, "copy")
        data = bytearray(sample() * 9)[:16 * MIB]
        data[3 * MIB:7 * MIB] = bytes(4 * MIB)
        data += bytes(16 * MIB - len(data))
        with open(image, "wb") as f:
            f.write(data)
        listed = run("nbdinfo", "--list", device.uri())
        assert 'description: for a test' in listed and "export-size: 16777216" in listed, listed
        assert "disk" in run("/usr/sbin/nbd-client", "-l", "127.0.0.1", device.nbd_port)
        run("nbdcopy", image, device.uri("disk", "tcp"))
        run("nbdcopy", "--connections=4", device.uri("disk"), copy)
        with open(copy, "rb") as f:
            assert zlib.crc32(f.read()) == zlib.crc32(data)
        total = run("nbdinfo", "--map", "--totals", device.uri("disk"))
        handle = connect(device)
        held = sum(length for length, flags in extents(handle, 16 * MIB) if flags == 0)
        assert str(held) in total and held <= 12 * MIB, (held, total)
        handle.zero(16 * MIB, 0)
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image,
            f"nbd+unix:///disk?socket={device.nbd_unix}")
        assert "Images are identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", image,
                                             f"nbd+unix:///disk?socket={device.nbd_unix}")
        said = run("qemu-io", "-f", "raw", "-c", "write -P 7 1000 5000", "-c", "read -P 7 1000 5000",
                   "-c", "write -z 4096 8192", "-c", "read -P 0 4096 8192", "-c", "write -zu 0 1M",
                   "-c", "discard 1M 1M", "-c", "read -P 0 1M 1M", "-c", "flush", "-c", "map",
                   f"nbd+unix:///disk?socket={device.nbd_unix}")
        assert "failed" not in said and "error" not in said.lower(), said


def fio_verifies_every_block(programs):
    with Device(programs.farpaged, DISK) as device:
        for uri, pattern, size in (("disk", "randrw", "4k"), ("disk", "randwrite", "1k-64k")):
            said = run("fio", "--name=verify", "--ioengine=nbd", f"--uri={device.uri(uri)}",
                       f"--rw={pattern}", f"--bsrange={size}-{size}" if "-" not in size
                       else f"--bsrange={size}", "--size=16m", "--iodepth=16", "--verify=crc32c",
                       "--verify_fatal=1", "--buffer_compress_percentage=60", "--randrepeat=1",
                       "--verify_state_save=0")
            assert "err= 0" in said, said


# --- which disk it is ----------------------------------------------------------------------------

def refused(call, *arguments, error=None):
    """The sentence that libnbd makes of a refusal."""
    try:
        call(*arguments)
    except nbd.Error as e:
        assert error is None or e.errnum == error, (e.errnum, str(e))
        return str(e)
    raise AssertionError("it was not refused")


def why_refused(device, name):
    """The server's own sentence, which libnbd leaves out."""
    with device.wire() as s:
        wire.greet(s)
        kind, text = wire.ask(s, wire.GO, wire.go_body(name))[-1]
        assert kind >= 2**31, kind
        return kind, text.decode()


def identity(device, name="disk"):
    return stats(device, "exports")[f"{name}:identity"]


def after_a_restart_a_client_gets_errors_and_never_zeros(programs):
    with tempfile.TemporaryDirectory() as state:
        with Device(programs.farpaged, DISK, state=state) as device:
            connect(device, "disk").pwrite(b"x" * PAGE, 0)
            old = f"disk@{identity(device)}"
            assert connect(device, old).pread(PAGE, 0) == b"x" * PAGE
            device.process.send_signal(signal.SIGKILL)
            device.is_over(-signal.SIGKILL)
        with Device(programs.farpaged, DISK, state=state) as device:
            for name in ("disk", "", old):
                refused(connect, device, name, error=errno.ENOENT)
                assert why_refused(device, name)[0] == wire.UNKNOWN
            assert "farpage export recreate disk" in why_refused(device, "disk")[1]
            assert "is not the one it was" in why_refused(device, old)[1]
            assert stats(device, "exports")["disk:state"] == "lost"
            new = f"disk@{identity(device)}"
            assert new in run("nbdinfo", "--list", device.uri())
            connect(device, new).pwrite(b"n" * PAGE, PAGE)  # who says so knows that it is new
            refused(connect, device, "disk")
            programs.run(device, "export", "recreate", "nothing", code=1)
            programs.run(device, "export", "recreate", "disk")
            assert connect(device, "disk").pread(2 * PAGE, 0) == bytes(PAGE) + b"n" * PAGE
            device.stop()
            device.over = True
        with Device(programs.farpaged, DISK, state=state) as device:
            refused(connect, device, "disk")  # an orderly stop loses as much
            assert ask(device, "export recreate disk\r\n") == "OK\r\n"
            handle = connect(device, "disk")
            handle.pwrite(b"y" * PAGE, 0)
            handle.trim(16 * MIB, 0)
        with Device(programs.farpaged, DISK, state=state) as device:
            connect(device, "disk")  # it held nothing that anybody could miss
        with Device(programs.farpaged, DISK.replace("}", ", recreate: always}"), state=state) as device:
            assert connect(device, "disk").pread(PAGE, 0) == bytes(PAGE)


def a_state_that_cannot_be_kept_is_an_error_at_the_start(programs):
    def check(*sets, code):
        words = [word for one in sets for word in ("--set", one)]
        done = subprocess.run([programs.farpaged, "--check", *words], capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == code, done
        return done.stdout + done.stderr
    one = "exports=[{name: a, size: 8MiB}]"
    assert "storage.state_dir" in check(one, code=78)
    assert "good" in check(one, "storage.state_dir=/somewhere", code=0)
    assert "good" in check("exports=[{name: a, size: 8MiB, recreate: always}]", code=0)
    with tempfile.TemporaryDirectory() as state:
        with Device(programs.farpaged, DISK, state=state):
            done = subprocess.run(
                [programs.farpaged, "--set", one, "--set", f"storage.state_dir={state}", "--set",
                 "listeners=[{address: '127.0.0.1:0'}]"], capture_output=True, text=True, check=False)
            assert done.returncode == 70 or done.returncode == 1, done
            assert "another server" in done.stderr, done
        with open(os.path.join(state, "exports"), "a") as f:
            f.write("+ 99 di")  # cut short: never acknowledged
        with Device(programs.farpaged, DISK, state=state) as device:
            connect(device, "disk")
        with open(os.path.join(state, "exports"), "w") as f:
            f.write("scribble\n")
        done = subprocess.run(
            [programs.farpaged, "--set", one, "--set", f"storage.state_dir={state}"],
            capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0 and "not what farpaged writes" in done.stderr, done


def a_template_makes_an_export_for_each_name_and_ends_it(programs):
    rule = '[{name: "guests/*", size: 8MiB, lifetime: connection, grace: 300ms, instances_max: 2}]'
    with Device(programs.farpaged, rule) as device:
        first = connect(device, "guests/a")
        first.pwrite(b"a" * PAGE, 0)
        old = f"guests/a@{identity(device, 'guests/a')}"
        second = connect(device, "guests/b")
        assert second.pread(PAGE, 0) == bytes(PAGE)
        assert connect(device, "guests/a").pread(PAGE, 0) == b"a" * PAGE
        kind, text = why_refused(device, "guests/c")
        assert kind == wire.POLICY and "instances_max" in text, text
        with open(os.path.join(device.state, "exports")) as state:
            assert "guests/c" not in state.read(), "it was not handed out"
        assert why_refused(device, "guests/")[0] == wire.UNKNOWN
        assert why_refused(device, "other")[0] == wire.UNKNOWN
        first.shutdown()
        del first
        time.sleep(0.1)
        again = connect(device, old)  # within its grace it is the same
        assert again.pread(PAGE, 0) == b"a" * PAGE
        again.shutdown()
        until(lambda: "guests/a:identity" not in stats(device, "exports"))
        assert connect(device, "guests/a").pread(PAGE, 0) == bytes(PAGE)
        assert "is not the one it was" in why_refused(device, old)[1]
        assert "guests/a" in open(os.path.join(device.state, "exports")).read()


def an_area_open_exclusively_is_no_device_and_the_other_way_round(programs):
    with Device(programs.farpaged, DISK) as device:
        session = Session(device)
        number = session.open(b"disk")
        kind, text = why_refused(device, "disk")
        assert kind == wire.POLICY and "open exclusively by unix:pid=" in text, text
        session.close_area(number)
        handle = connect(device, "disk")
        handle.pwrite(b"d" * PAGE, PAGE)
        assert session.try_open(b"disk")["status"] == BUSY
        number = session.open(b"disk", flags=SHARED)
        assert session.load(number, 1) == b"d" * PAGE
        assert session.load(number, 0) == ABSENT
        assert session.store(number, 0, b"f" * PAGE) == OK
        assert handle.pread(2 * PAGE, 0) == b"f" * PAGE + b"d" * PAGE


def an_area_that_is_a_device_is_not_moved_away(programs):
    with Device(programs.farpaged, DISK) as device, tempfile.TemporaryDirectory() as directory:
        handle = connect(device, "disk")
        handle.pwrite(b"d" * PAGE, PAGE)
        drainer = Session(device)
        assert b"open shared by unix:pid=" in drainer.try_open(b"disk", flags=DRAIN)["body"]
        said = programs.run(device, "drain", "disk", "--to", os.path.join(directory, "f"), code=1)
        assert "open shared by" in said, said
        handle.shutdown()
        until(lambda: stats(device, "exports")["disk:connections"] == "0")
        number = drainer.open(b"disk", flags=DRAIN)
        kind, text = why_refused(device, "disk")
        assert kind == wire.POLICY and "being drained" in text, text
        drainer.close_area(number)
        assert connect(device, "disk").pread(PAGE, PAGE) == b"d" * PAGE


# --- full ----------------------------------------------------------------------------------------

def what_cannot_be_held_at_worst_is_refused_at_the_start(programs):
    def check(size, factor, code):
        done = subprocess.run(
            [programs.farpaged, "--check", "--set", f"exports=[{{name: a, size: {size}MiB, "
             "recreate: always}]", "--set", "storage.memory_limit=128MiB", "--set",
             "server.threads=1", "--set", f"storage.overcommit={factor}"],
            capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done
        return done.stdout + done.stderr
    said = check(100, "1.0", 0)
    assert "overcommitted" not in said
    assert "warning: nobody can reach the exports: no listener speaks nbd" in said, said
    assert "storage.overcommit: 2.2" in check(256, "1.0", 78)
    assert "storage.overcommit: 2.2" in check(256, "2.0", 78)
    assert "warning: exports are overcommitted" in check(256, "2.5", 0)


def what_is_promised_at_worst_is_kept(programs):
    """An export that just fits takes noise up to its last page."""
    limit = limit_mib(programs.farpaged, 64)
    size = limit - 26 if sanitized(programs.farpaged) else limit - 13
    with Device(programs.farpaged, f"[{{name: disk, size: {size}MiB}}]",
                [f"storage.memory_limit={limit}MiB", "server.threads=1"]) as device:
        handle = connect(device)
        for at in range(size):
            handle.pwrite(os.urandom(MIB), at * MIB)
        assert stats(device, "exports")["disk:no_space"] == "0"


def a_full_server_says_enospc_and_keeps_the_old_content(programs):
    limit = limit_mib(programs.farpaged, 32)
    with Device(programs.farpaged, "[{name: disk, size: 128MiB}]",
                [f"storage.memory_limit={limit}MiB", "storage.overcommit=20.0"]) as device:
        handle = connect(device)
        written, full, small = [], 0, 127 * MIB
        handle.pwrite(b"s" * MIB, small)
        for at in range(0, small, MIB):
            data = os.urandom(MIB)
            try:
                handle.pwrite(data, at)
                written.append((at, data))
            except nbd.Error as e:
                assert e.errnum == errno.ENOSPC, e
                full += 1
        assert full > 20 and len(written) > 8, (full, len(written))
        noise = os.urandom(MIB)
        refused(handle.pwrite, noise, small, error=errno.ENOSPC)
        found = handle.pread(MIB, small)
        kept = sum(found[p:p + PAGE] == b"s" * PAGE for p in range(0, MIB, PAGE))
        fitted = sum(found[p:p + PAGE] == noise[p:p + PAGE] for p in range(0, MIB, PAGE))
        assert kept + fitted == MIB // PAGE and kept > fitted, (kept, fitted)
        for at, data in written:
            assert handle.pread(MIB, at) == data
        others = [connect(device) for _ in range(8)]  # who comes back must not be kept out
        assert all(other.pread(MIB, at) == data for other in others)
        counts = stats(device, "exports")
        assert int(counts["disk:no_space"]) >= full
        assert device.stderr().count("refused writes") in range(1, 4), device.stderr()
        handle.trim(64 * MIB, 0)
        handle.pwrite(os.urandom(MIB), 0)


if __name__ == "__main__":
    tell([what_is_written_is_read_at_any_offset, the_tools_of_others_work,
          after_a_restart_a_client_gets_errors_and_never_zeros,
          a_state_that_cannot_be_kept_is_an_error_at_the_start,
          a_template_makes_an_export_for_each_name_and_ends_it,
          an_area_open_exclusively_is_no_device_and_the_other_way_round,
          an_area_that_is_a_device_is_not_moved_away, fio_verifies_every_block,
          what_cannot_be_held_at_worst_is_refused_at_the_start, what_is_promised_at_worst_is_kept,
          a_full_server_says_enospc_and_keeps_the_old_content])
