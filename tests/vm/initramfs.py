# SPDX-License-Identifier: BSD-3-Clause
"""initramfs - packs what a guest runs into the archive (cpio, newc) that its kernel unpacks.

Programs are this machine's own, each with the libraries that ldd names."""
import gzip
import os
import pathlib
import re
import shutil
import subprocess

from kernel import Missing

PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
# program: the Debian package that has it
PROGRAMS = {"busybox": "busybox-static", "nbd-client": "nbd-client", "mdadm": "mdadm",
            "mkswap": "util-linux", "swapon": "mount", "swapoff": "mount", "blkid": "util-linux",
            "blkdiscard": "util-linux"}


def find(program):
    path = shutil.which(program, path=PATHS)
    if path is None:
        raise Missing(f"{program} is not there: apt install {PROGRAMS[program]}")
    return path


def libraries(program):
    """The shared objects that a program needs, the loader among them; none of a static one."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", said)


class Archive:
    def __init__(self):
        self.entries, self.folders = [], set()

    def _entry(self, name, mode, data=b""):
        head = "070701" + "".join(f"{field:08x}" for field in (
            len(self.entries) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0))
        entry = head.encode() + name.encode() + b"\0"
        entry += b"\0" * (-len(entry) % 4) + data
        self.entries.append(entry + b"\0" * (-len(entry) % 4))

    def add(self, name, data, mode=0o644):
        for folder in reversed(pathlib.PurePosixPath(name).parents):
            if str(folder) not in (".", *self.folders):
                self.folders.add(str(folder))
                self._entry(str(folder), 0o040755)
        self._entry(name, 0o100000 | mode, data)

    def add_program(self, path, name):
        self.add(name, pathlib.Path(path).read_bytes(), 0o755)
        for library in libraries(path):
            inside = library.lstrip("/")
            if inside not in self.folders:
                self.folders.add(inside)  # once is enough
                self.add(inside, pathlib.Path(library).read_bytes(), 0o755)

    def write(self, path):
        self._entry("TRAILER!!!", 0)
        with gzip.open(path, "wb", compresslevel=1) as out:
            out.write(b"".join(self.entries))


def build(path, kernel, here, hog, farpage=None):
    archive = Archive()
    archive.add("init", (here / "guest/init").read_bytes(), 0o755)
    archive.add("bin/hog", pathlib.Path(hog).read_bytes(), 0o755)
    archive.add("dev/.keep", b"")
    for folder in ("proc", "sys"):
        archive.add(f"{folder}/.keep", b"")
    for program in PROGRAMS:
        archive.add_program(find(program), "bin/" + program)
    if farpage is not None:
        archive.add_program(farpage, "bin/farpage")
    for name, data in kernel.modules().items():
        archive.add(name, data)
    archive.write(path)
    return os.path.getsize(path)
