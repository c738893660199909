# SPDX-License-Identifier: BSD-3-Clause
"""guest - one virtual machine, what it says on its serial console, and when.

QEMU computes it all (TCG), so it runs wherever QEMU does, slowly. Its network is QEMU's own: the
guest sees this machine's loopback as 10.0.2.2 and nothing else is listening."""
import queue
import shutil
import subprocess
import threading
import time

from kernel import Missing

QEMU = "qemu-system-x86_64"
PANIC = ("Kernel panic", "Out of memory and no killable")


class Console:
    """What was said: `lines` are (seconds since the start, text)."""

    def __init__(self):
        self.lines = []

    def said(self, beginning):
        """What stands behind `FP BEGINNING` in each such line."""
        start = "FP " + beginning
        return [text[text.index(start) + len(start):].strip() for _, text in self.lines
                if start in text]

    def panicked(self):
        return any(words in text for _, text in self.lines for words in PANIC)


class Guest(Console):
    """Use as a context manager."""

    def __init__(self, kernel, initrd, memory_mib, settings, log):
        if shutil.which(QEMU) is None:
            raise Missing(f"{QEMU} is not there: apt install qemu-system-x86")
        words = " ".join(f"vm_{name}={value}" for name, value in settings.items())
        super().__init__()
        self._queue, self._log = queue.Queue(), log
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [QEMU, "-accel", "tcg", "-m", str(memory_mib), "-display", "none", "-no-reboot",
             "-kernel", str(kernel.image), "-initrd", str(initrd), "-serial", "stdio",
             "-monitor", "none", "-nic", "user,model=virtio-net-pci",
             "-append", f"console=ttyS0 panic=-1 loglevel=5 rootfstype=ramfs {words}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read(self):
        with open(self._log, "w", encoding="utf-8") as log:
            for raw in self._process.stdout:
                text = raw.decode("utf-8", "replace").rstrip()
                at = time.monotonic() - self._started
                log.write(f"{at:8.2f} {text}\n")
                log.flush()
                self._queue.put((at, text))
        self._queue.put(None)

    def follow(self, seconds):
        """Yields (seconds, text) as they come, until it is over; TimeoutError where it is not."""
        until = self._started + seconds
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"the guest was not done after {seconds} s") from None
            if line is None:
                return
            self.lines.append(line)
            yield line
