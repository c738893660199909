#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Block devices as people use them: with libnbd and its tools, qemu's, fio and nbd-client."""
import os
import random
import subprocess
import tempfile
import zlib

import nbd

from nbd_wire import MIB, Device
from story import sample, stats, tell

PAGE = 4096
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

    def __init__(self, size):
        self.bytes = bytearray(size)

    def runs(self):
        runs = []
        for at in range(0, len(self.bytes), PAGE):
            flags = 0 if any(self.bytes[at:at + PAGE]) else 3
            if runs and runs[-1][1] == flags:
                runs[-1] = (runs[-1][0] + PAGE, flags)
            else:
                runs.append((PAGE, flags))
        return runs


def some_bytes(pages, rng, size):
    at = rng.randrange(len(pages) - size) if size < len(pages) else 0
    return (pages * (size // len(pages) + 1))[at:at + size]


def what_is_written_is_read_at_any_offset(programs):
    rng = random.Random(os.environ.get("FARPAGE_SEED", "7"))
    pages, size = sample(), 16 * MIB
    with Device(programs.farpaged, DISK) as device:
        first, second = connect(device), connect(device, "disk", "tcp", structured=False)
        shadow = Shadow(size)
        for turn in range(400):
            handle = rng.choice((first, second))
            at = rng.randrange(size)
            most = rng.choice((1, 600, PAGE, 3 * PAGE, 300000))
            length = min(rng.randrange(most) + 1, size - at)
            if rng.random() < 0.4:
                at -= at % PAGE
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
        assert first.pread(size, 0) == shadow.bytes
        assert extents(first, size) == shadow.runs()
        first.trim(size, 0)
        assert extents(first, size) == [(size, 3)] and first.pread(size, 0) == bytes(size)
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


if __name__ == "__main__":
    tell([what_is_written_is_read_at_any_offset, the_tools_of_others_work])
