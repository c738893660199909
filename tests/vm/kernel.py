# SPDX-License-Identifier: BSD-3-Clause
"""kernel - Debian's own kernel and the modules of it that a guest needs, out of its package.

The newest that `linux-image-cloud-amd64` names is downloaded once, with apt's own means, and kept
unpacked in the cache directory."""
import lzma
import pathlib
import re
import shutil
import subprocess

METAPACKAGE = "linux-image-cloud-amd64"
MODULES = ("nbd", "virtio_pci", "virtio_net", "raid1", "raid10", "raid456")


class Missing(Exception):
    """Something that these tests need is not there; its text says what and how to get it."""


def output_of(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise Missing(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def package():
    found = re.search(r"Depends: (linux-image-\S+)", output_of("apt-cache", "depends", METAPACKAGE))
    if not found:
        raise Missing(f"apt knows no {METAPACKAGE}")
    return found[1]


class Kernel:
    def __init__(self, cache):
        name = package()
        self.release = name.removeprefix("linux-image-").removesuffix("-unsigned")
        self.root = pathlib.Path(cache) / name
        if not self.root.exists():
            self._fetch(name)
        self.image = self.root / "boot" / f"vmlinuz-{self.release}"
        tree = self.root / "lib/modules" / self.release
        self.files = {}
        for path in tree.rglob("*.ko*"):
            self.files[path.name.split(".")[0].replace("-", "_")] = path

    def _fetch(self, name):
        partial = self.root.with_name(name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        output_of("apt-get", "download", name, cwd=partial)
        deb = next(partial.glob("*.deb"))
        output_of("dpkg-deb", "-x", deb.name, "unpacked", cwd=partial)
        (partial / "unpacked").rename(self.root)
        shutil.rmtree(partial)

    def bytes_of(self, module):
        path = self.files[module]
        raw = path.read_bytes()
        return lzma.decompress(raw) if path.suffix == ".xz" else raw

    def needs(self, module):
        """What must be loaded before it, in that order; what is built in is in no file."""
        found = re.search(rb"\x00depends=([^\x00]*)\x00", self.bytes_of(module))
        direct = [d.replace("-", "_") for d in found[1].decode().split(",") if d] if found else []
        order = []
        for other in direct:
            if other in self.files:
                order += [*self.needs(other), other]
        return list(dict.fromkeys(order))

    def modules(self):
        """{path in the guest: bytes}, with what modprobe reads among them."""
        folder, files, lines, aliases = f"lib/modules/{self.release}", {}, [], []
        wanted = dict.fromkeys(m for top in MODULES for m in (top, *self.needs(top)))
        for module in wanted:
            files[f"{folder}/{module}.ko"] = self.bytes_of(module)
            last_first = " ".join(f"{other}.ko" for other in reversed(self.needs(module)))
            lines.append(f"{module}.ko: {last_first}")
            for alias in re.findall(rb"\x00alias=([^\x00]*)", files[f"{folder}/{module}.ko"]):
                aliases.append(f"alias {alias.decode()} {module}")
        files[f"{folder}/modules.dep"] = ("\n".join(lines) + "\n").encode()
        files[f"{folder}/modules.alias"] = ("\n".join(aliases) + "\n").encode()
        return files
