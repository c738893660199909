# SPDX-License-Identifier: BSD-3-Clause
"""swap_machine - a machine made of files: what the kernel would show under /proc, /sys and /dev, and
programs that change it as the real ones do, or fail when they are told to."""
import pathlib
import shutil
import subprocess
import tempfile

TITLE = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
# Each says its words to `said`, and does what it is for. `fails` holds lines "PROGRAM WORD": a
# program that has such a word among its own says Error and fails; "PROGRAM WORD lies" does nothing
# and says it went well; "PROGRAM WORD sleeps" takes its time.
HEAD = """#!/bin/sh
cd "$FARPAGE_ROOT" || exit 9
name=${0##*/}
echo "$name $*" >>said
while read -r program word how; do
    [ "$program" = "$name" ] || continue
    case " $* " in *" $word "*) ;; *) continue ;; esac
    case $how in
        lies) exit 0 ;;
        sleeps) sleep 30 ;;
        *) echo "trying"; echo "Error: $name would not"; exit 1 ;;
    esac
done <fails
for last in "$@"; do :; done
disk=sys/block/${last##*/}
"""
BODIES = {
    "modprobe": "mkdir -p sys/block/nbd0/queue sys/block/nbd1/queue\n"
                "for n in 0 1; do echo 0 >sys/block/nbd$n/size; done\n",
    "nbd-client": """case $1 in
-l) cat exports 2>/dev/null; exit 0 ;;
-d) rm -f "$disk/pid"; echo 0 >"$disk/size"; exit 0 ;;
-unix) device=$3 ;;
*) device=$3 ;;
esac
disk=sys/block/${device##*/}
echo 42 >"$disk/pid"
cat sectors >"$disk/size"
cat discards >"$disk/queue/discard_max_bytes"
""",
    "mkswap": "",
    "blkdiscard": "",
    # mdadm --create DEVICE ..., --stop DEVICE
    "mdadm": """array=sys/block/${2##*/}
case $1 in
--create) mkdir -p "$array/queue" "$array/md"
    cat sectors >"$array/size"; cat discards >"$array/queue/discard_max_bytes"
    echo 0 >"$array/md/degraded" ;;
--stop) rm -r "$array" ;;
esac
""",
    "swapon": 'echo "$last partition 1048572 0 10" >>proc/swaps\n',
    "swapoff": """for used in $(cat drains); do
    sed -i "s#^$last .*#$last partition 1048572 $used 10#" proc/swaps
    sleep 0.15
done
sed -i "\\#^$last #d" proc/swaps
""",
}


class Machine:
    """Use as a context manager."""

    def __init__(self, farpage):
        self.farpage, self.root = farpage, pathlib.Path(tempfile.mkdtemp(prefix="swap-"))
        self.write("proc/swaps", TITLE)
        self.write("proc/meminfo", "MemTotal: 200000 kB\nMemAvailable: 100000 kB\n")
        self.write("proc/sys/vm/min_free_kbytes", "8192\n")
        self.write("proc/sys/vm/page-cluster", "3\n")
        self.write("proc/sys/kernel/hostname", "web1\n")
        self.write("fails", "")
        self.write("drains", "0\n")
        self.write("sectors", "2097152\n")
        self.write("discards", "4294966784\n")
        self.write("said", "")
        for device in ("nbd0", "nbd1"):
            self.write("dev/" + device, b"\0" * 200000)
        for program, body in BODIES.items():
            self.write("bin/" + program, HEAD + body)
            (self.root / "bin" / program).chmod(0o755)
        self.environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "FARPAGE_ROOT": str(self.root)}

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        shutil.rmtree(self.root)

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def read(self, name):
        return (self.root / name).read_text()

    def said(self):
        """The commands that were run since this was last asked."""
        lines = self.read("said").splitlines()
        self.write("said", "")
        return lines

    def start(self, *words, **options):
        return subprocess.Popen([self.farpage, "swap", *words], env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def swap(self, *words, code=0):
        """`farpage swap WORDS`; what it said on both."""
        done = subprocess.run([self.farpage, "swap", *words], env=self.environment, text=True,
                              capture_output=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"farpage swap {words}: exit {done.returncode}\n{said}"
        return said

    def state(self):
        """All that a failed 'on' must leave as it found it."""
        disks = {}
        for path in sorted((self.root / "sys").rglob("*")):
            if path.is_file() and path.name in ("pid", "size"):
                disks[str(path.relative_to(self.root))] = path.read_text()
        run = sorted(path.name for path in (self.root / "run").rglob("*"))
        return self.read("proc/swaps"), self.read("proc/sys/vm/min_free_kbytes"), disks, run
