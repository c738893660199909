# SPDX-License-Identifier: BSD-3-Clause
"""here - swap without an nbd module, on this very machine: nbdfuse shows an export as a file, a loop
device makes a disk of it, and a memory cgroup keeps the hog short while nobody else is.

Needs root, FUSE, loop devices and a memory cgroup; where one is missing it says which."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import guest
import servers
import stories
from kernel import Missing, output_of

SWAPOFF_SECONDS = 120


def needed():
    if os.geteuid() != 0:
        raise Missing("swapping on this machine needs root")
    for program, package in (("nbdfuse", "nbdfuse"), ("fusermount3", "fuse3"),
                             ("losetup", "mount"), ("swapon", "mount")):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not there: apt install {package}")
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path):
            raise Missing(f"this machine has no {path}")


class Group:
    """A memory cgroup, of whichever version this machine has. Use as a context manager."""

    def __init__(self, limit_mib):
        one, two = pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup")
        new = "memory" in (two / "cgroup.subtree_control").read_text().split() \
            if (two / "cgroup.subtree_control").exists() else False
        if not new and not (one / "memory.limit_in_bytes").exists():
            raise Missing("this machine has no memory cgroups")
        self.path = (two if new else one) / f"farpage-hog-{os.getpid()}"
        self.limit = self.path / ("memory.max" if new else "memory.limit_in_bytes")
        self.limit_mib = limit_mib

    def __enter__(self):
        try:
            self.path.mkdir()
            self.limit.write_text(str(self.limit_mib << 20))
        except OSError as refused:
            raise Missing(f"no memory cgroup of our own: {refused}") from None
        return self

    def __exit__(self, kind, value, traceback):
        self.path.rmdir()

    def take_in(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


def ended(process):
    if process.poll() is None:
        process.kill()
    process.wait()


def make_disk(stack, server, folder):
    """A loop device over nbdfuse over the export; taken apart with the stack."""
    file = pathlib.Path(folder) / "disk"
    file.touch()
    fuse = subprocess.Popen(["nbdfuse", str(file), f"nbd://127.0.0.1:{server.port}/{server.EXPORT}"],
                            stdin=subprocess.DEVNULL)
    stack.callback(ended, fuse)
    until = time.monotonic() + servers.START_SECONDS
    while file.stat().st_size == 0:
        if fuse.poll() is not None or time.monotonic() > until:
            raise Missing("nbdfuse shows no file: FUSE does not work here")
        time.sleep(0.05)
    stack.callback(subprocess.run, ["fusermount3", "-u", str(file)], check=False)
    # Direct, or this machine's page cache would keep what the server is for.
    device = output_of("losetup", "--find", "--show", "--direct-io=on", str(file)).strip()
    stack.callback(subprocess.run, ["losetup", "-d", device], check=False)
    output_of("mkswap", device)
    output_of("swapon", "--priority", "5", device)
    stack.callback(swapoff, device)
    return device


def swapoff(device):
    if device in pathlib.Path("/proc/swaps").read_text():
        subprocess.run(["swapoff", device], check=False, timeout=SWAPOFF_SECONDS)


def swapped():
    lines = dict(line.split() for line in pathlib.Path("/proc/vmstat").read_text().splitlines())
    return int(lines["pswpin"]), int(lines["pswpout"])


class Hog(guest.Console):
    """The hog, in its cgroup; what it says is noticed as it comes."""

    def __init__(self, stack, programs, story, group, folder):
        super().__init__()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [programs.hog, str(story.hog_mib), str(story.rounds), "7", str(story.keep_mib), folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=group.take_in)
        stack.callback(ended, self.process)

    def follow(self, log, meanwhile):
        for line in self.process.stdout:
            self.say(line.rstrip(), log)
            stories.notice(line.rstrip(), meanwhile)

    def say(self, text, log):
        at = time.monotonic() - self.started
        self.lines.append((at, text))
        log.write(f"{at:8.2f} {text}\n")
        log.flush()


def hold(hog, folder, seconds):
    """Until the hog went over its memory so many times, and keeps the rest; False when it is late."""
    until = hog.started + seconds
    while not os.path.exists(f"{folder}/held"):
        if hog.process.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def tell(story, programs, work, seconds):
    needed()
    outcome = stories.Outcome()
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(pathlib.Path(work) / "console", "w", encoding="utf-8"))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="farpage-vm-"))
        group = stack.enter_context(Group(story.memory_mib))
        server = stack.enter_context(servers.KINDS[programs.server](programs, stories.SIZE_MIB))
        device = make_disk(stack, server, folder)
        before, meanwhile = swapped(), stories.Meanwhile(story, [server], outcome)
        hog = Hog(stack, programs, story, group, folder)
        reader = threading.Thread(target=hog.follow, args=(log, meanwhile))
        reader.start()
        off = "failed"
        if hold(hog, folder, seconds):
            outcome.resident_mib, after = server.resident_mib(), swapped()
            hog.say(f"FP swapped in {after[0] - before[0]} out {after[1] - before[1]}", log)
            swapoff(device)
            off = "failed" if device in pathlib.Path("/proc/swaps").read_text() else "good"
            pathlib.Path(folder, "go").touch()
            hog.process.wait(timeout=seconds)
        else:
            outcome.why.append(f"the hog was not done after {seconds} s")
            hog.process.kill()
        reader.join()
        hog.say(f"FP verdict hog {hog.process.wait()} swapoff {off}", log)
        outcome.seconds = time.monotonic() - hog.started
        meanwhile.finish()
        stories.judge(story, hog, outcome)
    return outcome
