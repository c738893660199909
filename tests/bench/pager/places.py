# SPDX-License-Identifier: BSD-3-Clause
"""places - where the memory of a program is: all of it local, part of it in the kernel's zram, part of
it on a farpage server. Each starts a command and says what it cost."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PAGE_BYTES = 4096
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20


@dataclasses.dataclass
class Cost:
    """Of one run. Faults are those that had to fetch something; pages those that went either way."""
    wall: float = 0.0
    cpu: float = 0.0
    peak_bytes: int = 0
    faults: int = 0
    figures: dict = dataclasses.field(default_factory=dict)


class Run:
    """A command that was started; `finish` waits for it, and kills it where that takes too long."""

    def __init__(self, command, cwd, preexec=None, environment=None):
        self.out = tempfile.TemporaryFile("w+", dir=cwd)
        self.err = tempfile.TemporaryFile("w+", dir=cwd)
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err, cwd=cwd, preexec_fn=preexec,
                                        env=environment, start_new_session=True)

    def is_over(self):
        return self.process.returncode is not None

    def kill(self):
        if not self.is_over():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.finish(START_SECONDS)

    def finish(self, seconds):
        """The cost, and whether it was in time. What it and its children took is in it."""
        until = time.monotonic() + seconds
        while True:
            pid, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if pid != 0:
                break
            if time.monotonic() > until:
                os.killpg(self.process.pid, signal.SIGKILL)
                os.wait4(self.process.pid, 0)
                self.process.returncode = -signal.SIGKILL
                return None
            time.sleep(0.01)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return Cost(wall=time.monotonic() - self.begun, cpu=used.ru_utime + used.ru_stime,
                    peak_bytes=used.ru_maxrss * 1024, faults=used.ru_majflt)

    def said(self):
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
        return texts


class Local:
    name = "all local"

    def start(self, command, cwd):
        return Run(command, cwd)

    def complete(self, run, cost):
        """Adds to the cost what only the place knows."""


# --- zram -----------------------------------------------------------------------------------------

ZRAM_CONTROL = pathlib.Path("/sys/class/zram-control")
CGROUPS = (pathlib.Path("/sys/fs/cgroup/memory"), pathlib.Path("/sys/fs/cgroup"))


def put(path, text):
    with open(path, "w") as file:
        file.write(str(text))


def undo(device, group):
    """All that was set up, also where it is only half there; each step for itself."""
    def kill_members():
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    steps = [kill_members, group.rmdir]
    if device is not None:
        block = f"/sys/block/zram{device}"
        steps += [lambda: subprocess.run(["swapoff", f"/dev/zram{device}"], check=True,
                                         capture_output=True),
                  lambda: put(f"{block}/reset", 1), lambda: put(ZRAM_CONTROL / "hot_remove", device)]
    for step in steps:
        for _ in range(20):
            try:
                step()
                break
            except FileNotFoundError:
                break
            except (OSError, subprocess.CalledProcessError):
                time.sleep(0.1)


class Guard:
    """A process that undoes everything once this one is gone, however it went."""

    def __init__(self, device, group):
        read_end, self.write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self.write_end)
            while os.read(read_end, 1):
                pass
            undo(device, group)
            os._exit(0)
        os.close(read_end)

    def close(self):
        os.close(self.write_end)
        os.waitpid(self.pid, 0)


class Zram:
    """A device of its own as the only swap of a memory cgroup, which may hold `limit` bytes."""
    name = "zram"

    def __init__(self, algorithm="lz4"):
        self.group = self.find_group()
        self.version_1 = self.group.parent.name == "memory"
        self.device = int((ZRAM_CONTROL / "hot_add").read_text())
        self.guard = Guard(self.device, self.group)
        block = pathlib.Path(f"/sys/block/zram{self.device}")
        put(block / "comp_algorithm", algorithm)
        put(block / "disksize", f"{8 << 30}")
        device = f"/dev/zram{self.device}"
        subprocess.run(["mkswap", device], check=True, capture_output=True)
        subprocess.run(["swapon", "--priority", "100", device], check=True, capture_output=True)
        self.group.mkdir()

    @staticmethod
    def find_group():
        """A new name below the root of the memory controller, of whichever version."""
        for root in CGROUPS:
            if (root / "memory.limit_in_bytes").exists() or "memory" in (
                    (root / "cgroup.subtree_control").read_text().split()
                    if (root / "cgroup.subtree_control").exists() else ()):
                return root / f"farpage-bench-{os.getpid()}"
        raise OSError("no memory cgroup")

    @staticmethod
    def missing():
        """Why there is no such place on this machine, or None."""
        if os.geteuid() != 0:
            return "zram and cgroups need root"
        if not ZRAM_CONTROL.exists():
            return "the kernel has no zram"
        if shutil.which("mkswap") is None or shutil.which("swapon") is None:
            return "mkswap is not there"
        try:
            Zram.find_group()
        except OSError as error:
            return str(error)
        return None

    def limit(self, limit_bytes):
        names = ("memory.limit_in_bytes", "memory.max")
        self.limit_bytes = limit_bytes
        put(self.group / names[0 if self.version_1 else 1], limit_bytes)

    def start(self, command, cwd):
        return Run(command, cwd, preexec=lambda: put(self.group / "cgroup.procs", os.getpid()))

    def complete(self, run, cost):
        pass

    def close(self):
        self.guard.close()


# --- farpage --------------------------------------------------------------------------------------

def cpu_of(pid):
    """Seconds of processor time, kernel included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Farpage:
    """A server on a unix socket of this machine, with one thread, and `farpage run`."""
    name = "farpage"

    def __init__(self, farpaged, farpage, cwd, options):
        self.farpage, self.options = farpage, options
        self.address = f"unix:{cwd}/socket"
        self.log = open(f"{cwd}/farpaged.log", "w+")
        self.process = subprocess.Popen(
            [farpaged, "--set", f'listeners=[{{address: "{self.address}"}}]',
             "--set", "server.threads=1", "--set", "storage.memory_limit=8GiB"],
            stdin=subprocess.DEVNULL, stderr=self.log)
        until = time.monotonic() + START_SECONDS
        while subprocess.run([farpage, "--server", self.address, "ping"], check=False,
                             capture_output=True).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                self.log.seek(0)
                raise SystemExit(f"farpaged did not start\n{self.log.read()}")
            time.sleep(0.02)

    @staticmethod
    def missing(farpage):
        said = subprocess.run([farpage, "run", "--help"], capture_output=True, check=False)
        return None if said.returncode == 0 else "this farpage has no `run`"

    def limit(self, limit_bytes):
        self.limit_bytes = limit_bytes

    def start(self, command, cwd):
        self.before = cpu_of(self.process.pid)
        return Run([self.farpage, "--server", self.address, "run", "--local",
                    str(self.limit_bytes), "--stats", "--json", *self.options, "--", *command], cwd)

    def complete(self, run, cost):
        """Its own figures are the last line that is an object; first touches fetch nothing."""
        lines = [line for line in run.said()[1].splitlines() if line.startswith("{")]
        cost.figures = json.loads(lines[-1]) if lines else {}
        cost.figures["server_cpu"] = cpu_of(self.process.pid) - self.before
        cost.faults = sum(cost.figures.get(f"faults_{kind}", 0) for kind in ("remote", "staged"))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def die(text):
    sys.exit(f"run: {text}")
