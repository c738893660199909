#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tidy - the style and the layering of farpage, and whether the docs match the code, as a test.

usage: tidy.py SOURCE_DIRECTORY [FARPAGED FARPAGE]

Prints every breach and exits 1 on any. The tables below are the rules; docs/architecture.md
explains them."""
import pathlib
import re
import subprocess
import sys

import manual

# Room -> the rooms it may include. A room is a header's path without suffix, or a folder; a file
# belongs to the longest that fits it.
BASE = {"base"}
PACK = BASE | {"storage/alloc/pages", "storage/alloc/idpool", "storage/alloc/cells", "storage/alloc/zpool",
               "storage/compress", "codec"}
STORE = PACK | {"snapshot", "storage/area/entry", "storage/keydir/item", "storage/keydir", "storage/area",
                "storage/spill", "storage/limits/tenant", "storage/limits/watermark"}
MAY_INCLUDE = {
    "base": set(),
    "codec": BASE,
    "tls": BASE,
    "snapshot": BASE,
    "protocol": BASE,
    "storage/alloc/pages": BASE,
    "storage/alloc/idpool": BASE | {"storage/alloc/pages"},
    "storage/alloc/handle": BASE,
    "storage/alloc/cells": BASE | {"storage/alloc/pages", "storage/alloc/idpool", "storage/alloc/handle"},
    "storage/alloc/zpool": BASE | {"storage/alloc/pages", "storage/alloc/cells", "storage/alloc/handle"},
    "storage/alloc/zsmalloc": BASE | {"storage/alloc/pages", "storage/alloc/idpool", "storage/alloc/cells", "storage/alloc/zpool"},
    "storage/alloc/zbud": BASE | {"storage/alloc/pages", "storage/alloc/idpool", "storage/alloc/cells", "storage/alloc/zpool"},
    "storage/alloc/blocks": BASE | {"storage/alloc/pages", "storage/alloc/idpool", "storage/alloc/cells", "storage/alloc/zpool"},
    "storage/compress": BASE | {"codec"},
    "storage/area/entry": BASE | {"storage/alloc/zpool"},
    "storage/keydir/item": BASE | {"storage/alloc/handle"},
    "storage/keydir/fifo": BASE,
    "storage/limits/watermark": BASE,
    "storage/limits/tenant": BASE,
    "storage/spill": BASE | {"storage/alloc/pages"},
    "storage/keydir": BASE | {"storage/keydir/fifo", "storage/keydir/item", "storage/limits/tenant"},
    "storage/area": BASE | {"storage/compress", "storage/area/entry", "storage/alloc/pages", "storage/limits/tenant", "storage/alloc/zpool"},
    "storage/store": STORE,
    "server/config": BASE | {"protocol", "codec"},
    "server/options": BASE | {"server/config"},
    "server/measure/counters": BASE,
    "server/jobs/compaction": BASE,
    "server/jobs/recompression": BASE | {"storage/store"},
    "server/jobs/duty": BASE,
    "server/jobs/scrub": BASE | {"storage/store"},
    "server/jobs/scrubber": BASE | {"storage/store", "storage/area", "server/jobs/duty", "server/jobs/process", "server/jobs/scrub",
                               "server/shared"},
    "server/jobs/recompressor": BASE | {"server/jobs/duty", "storage/store", "server/jobs/process", "server/jobs/recompression",
                                   "server/shared"},
    "server/jobs/process": BASE,
    "server/door/descriptors": BASE | {"server/settings"},
    "server/peer/conns": BASE,
    "server/door/auth": BASE | {"tls"},
    "server/door/credentials": BASE | {"server/door/auth", "server/config", "tls"},
    "server/peer/output": BASE | {"tls"},
    "server/sandbox": BASE,
    "server/peer/closing": BASE | {"server/shared"},
    "server/peer/queue": BASE,
    "server/peer/turns": BASE | {"storage/limits/tenant"},
    "server/settings": BASE | {"server/config"},
    "server/watch/watch": BASE | {"protocol", "server/peer/conns", "server/peer/output", "server/memory/shrinking", "storage/keydir/item",
                            "storage/store"},
    "server/measure/prefixes": BASE,
    "server/peer/openers": BASE | {"protocol", "server/peer/conns", "storage/area", "storage/store"},
    "server/exports/handouts": BASE | {"protocol"},
    "server/exports/exports": BASE | {"protocol", "server/config", "server/exports/handouts", "server/peer/openers", "storage/area",
                              "storage/store"},
    "server/measure/snapshot_counts": BASE,
    "server/restart/snapshots": BASE | {"server/jobs/process", "server/shared", "storage/store"},
    "server/peer/session": BASE | {"server/restart/snapshots", "protocol", "server/peer/conns", "server/maps/maps", "server/peer/openers",
                              "storage/store"},
    "server/dispatcher": BASE | {"server/measure/latency", "server/shared", "server/spill/spilled"},
    "server/spill/spill_state": BASE,
    "server/spill/spilled": BASE | {"protocol", "server/shared", "storage/store"},
    "server/spill/spiller": BASE | {"server/shared", "server/spill/spill_state", "server/watch/watch", "storage/store"},
    "server/maps/maps_register": BASE | {"storage/store", "server/peer/conns"},
    "server/maps/maps": BASE | {"storage/store", "server/peer/conns", "server/dispatcher",
                           "server/maps/maps_register", "server/peer/output", "server/shared"},
    "server/shared": BASE | {"server/jobs/scrub", "protocol", "storage/store", "server/jobs/compaction",
                             "server/jobs/recompression", "server/memory/shrinking", "server/memory/pressure",
                             "server/config", "server/peer/conns", "server/measure/counters",
                             "server/door/credentials", "server/exports/exports", "server/measure/http_counts", "server/measure/latency", "server/options",
                             "server/maps/maps_register", "server/peer/openers", "server/measure/prefixes",
                             "server/settings", "server/measure/snapshot_counts", "server/spill/spill_state", "server/watch/watch"},
    "server/stats": BASE | {"server/measure/latency", "server/metrics", "server/jobs/trainer", "storage/area", "protocol", "storage/store", "storage/alloc/zpool", "server/shared", "server/peer/conns",
                            "server/config", "server/jobs/process", "codec"},
    "server/operate": BASE | {"server/config", "server/health", "server/reload", "server/jobs/trainer", "protocol", "storage/store", "storage/compress",
                              "codec", "server/peer/output", "server/shared"},
    "server/measure/latency": BASE | {"storage/compress", "storage/store"},
    "server/measure/slow": BASE | {"server/dispatcher", "server/measure/latency"},
    "server/health": BASE | {"server/shared", "storage/area", "storage/store"},
    "server/measure/http_counts": BASE | {"protocol"},
    "server/metrics": BASE | {"storage/compress", "server/health", "server/measure/latency", "server/peer/output", "server/jobs/process", "server/shared",
                              "storage/area", "storage/store"},
    "server/http": BASE | {"protocol", "server/health", "server/metrics", "server/peer/output",
                           "server/shared", "tls"},
    "server/dispatch": BASE | {"server/restart/snapshots", "server/sandbox", "storage/area", "protocol", "storage/store", "server/dispatcher", "server/maps/maps",
                               "server/memory/memory_limit", "server/operate", "server/peer/output",
                               "server/peer/session", "server/shared", "server/stats", "server/watch/watch"},
    "server/nbd": BASE | {"server/spill/spilled", "server/peer/closing", "server/measure/latency", "server/measure/slow", "server/peer/tenancy", "protocol", "storage/store", "server/worker", "server/dispatch",
                          "server/peer/patience", "server/exports/exports", "server/peer/queue", "server/peer/output", "server/shared",
                          "server/watch/watch", "tls"},
    "server/worker": BASE | {"server/spill/spilled", "server/peer/turns", "server/conn", "server/peer/queue", "server/nbd", "server/dispatch", "server/peer/output", "server/shared",
                             "server/peer/tenancy"},
    "server/peer/patience": BASE | {"server/peer/output", "server/settings"},
    "server/conn": BASE | {"server/spill/spilled", "server/peer/closing", "server/measure/latency", "server/measure/slow", "server/peer/tenancy", "server/peer/patience", "protocol", "server/worker", "server/dispatch", "server/dispatcher", "server/maps/maps",
                           "server/peer/output",
                           "server/peer/session", "server/settings", "server/shared", "server/watch/watch", "tls"},
    "server/door/handed": BASE | {"server/config"},
    "server/notify": BASE,
    "server/pulse": BASE | {"server/notify", "server/stats", "server/worker", "storage/store"},
    "server/door/listener": BASE | {"protocol", "server/config", "server/door/handed", "server/http", "server/worker"},
    "server/memory/memory_limit": BASE | {"server/shared", "storage/store"},
    "server/peer/tenancy": BASE | {"server/config", "server/shared", "storage/store", "tls"},
    "server/memory/shrinking": BASE,
    "server/memory/psi": BASE,
    "server/memory/pressure": BASE | {"server/memory/psi"},
    "server/memory/memory_pressure": BASE | {"server/memory/memory_limit", "server/shared", "storage/store"},
    "server/memory/shrink": BASE | {"server/shared", "server/watch/watch", "storage/store"},
    "server/jobs/maintainer": BASE | {"server/memory/memory_pressure", "server/memory/shrink", "storage/store", "server/exports/exports", "server/jobs/process", "server/shared",
                                 "server/jobs/trainer", "server/watch/watch"},
    "server/jobs/trainer": BASE | {"server/shared", "storage/store", "codec"},
    "server/reload": BASE | {"server/options", "server/peer/tenancy", "server/memory/memory_limit", "server/door/credentials", "server/door/descriptors", "server/config",
                             "server/shared",
                             "storage/compress", "codec"},
    "server/server": BASE | {"server/spill/spilled", "server/spill/spiller", "storage/store", "server/jobs/trainer", "server/config", "server/options",
                             "server/door/credentials", "server/door/descriptors",
                             "server/door/handed", "server/http", "server/door/listener", "server/notify", "server/pulse",
                             "server/jobs/maintainer", "server/memory/memory_limit", "server/jobs/process", "server/jobs/recompressor",
                             "server/reload", "server/restart/resume", "server/sandbox", "server/jobs/scrubber", "server/restart/snapshots", "server/peer/tenancy", "server/watch/watch",
                             "server/worker"},
    "server/restart/restart": BASE | {"snapshot", "storage/store"},
    "server/restart/resume": BASE | {"snapshot", "server/notify", "server/restart/restart", "server/shared",
                             "storage/store"},
    "server/main": BASE | {"server/config", "server/memory/container", "server/memory/memory_limit", "server/options", "server/server"},
    "server/memory/container": BASE,
    "client/include": set(),
    "client": BASE | {"protocol", "codec", "tls", "client/include"},
    "client/agent": BASE,
    "client/uffd": BASE | {"client", "client/include", "client/agent"},
    "client/cli": BASE | {"snapshot", "protocol", "codec", "client/include", "client/agent", "client/uffd"},
}
# The worker owns its connections and a connection knows its worker: one room in two files.
TOGETHER = {("server/worker", "server/conn"), ("server/worker", "server/nbd")}
# Foreign header -> the only rooms that may name it.
FOREIGN = {
    r"event2?/": {"server/restart/resume", "server/conn", "server/peer/queue", "server/http", "server/nbd", "server/peer/output", "server/worker", "server/door/listener",
                  "server/jobs/maintainer", "server/pulse", "server/server"},
    r"systemd/": {"server/door/handed"},
    r"zstd": {"codec/codec_zstd"},
    r"zdict": {"codec/dictionary"},
    r"lz4": {"codec/codec_lz4"},
    r"xxhash": {"storage/keydir"},
    r"yaml": {"server/config/config_yaml"},
    r"isa-l": {"base/crc32c"},
    r"seccomp": {"server/sandbox"},
    r"openssl/(ssl|err|x509)": {"tls/tls"},
    r"openssl/(crypto|evp)": {"tls/digest"},
    r"linux/membarrier": {"base/percpu_ref"},
    r"linux/userfaultfd": {"client/uffd/uffd", "client/agent"},
    r"sys/mman": {"storage/alloc/pages", "client/cli/run", "server/sandbox", "client/agent", "client/uffd"},
}
COLUMNS_MAX, FUNCTION_LINES_MAX, FILE_LINES_MAX, HEADER_LINES_MAX, PARAMETERS_MAX = 100, 70, 800, 200, 5
BANNED = {"strcpy(": "a sized copy", "sprintf(": "snprintf", "strcat(": "a cursor",
          "atoi(": "a checked parse", "gets(": "a sized read"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SOURCES = ("base", "codec", "tls", "snapshot", "protocol", "storage", "server", "client", "tests")


class Breaches:
    def __init__(self, root):
        self.root, self.lines = root, []

    def say(self, path, number, what):
        self.lines.append(f"{path.relative_to(self.root)}:{number}: {what}")


def room_of(name):
    fits = [r for r in MAY_INCLUDE if name == r or name.startswith((r + "/", r + ".", r + "_"))]
    return max(fits, key=len, default=None)


def check_includes(breaches, path, name, room, lines):
    for number, line in enumerate(lines, 1):
        if m := re.match(r'\s*#\s*include\s+"([^"]+)"', line):
            other = room_of(m[1])
            if other is None:
                if not re.fullmatch(r"farpage(_\w+)?\.h", m[1]) or not room.startswith("client"):
                    breaches.say(path, number, f"{m[1]} has no room")
            elif other != room and other not in MAY_INCLUDE[room]:
                breaches.say(path, number, f"{room} may not see {m[1]}")
        elif m := re.match(r"\s*#\s*include\s+<([^>]+)>", line):
            for pattern, rooms in FOREIGN.items():
                if re.match(pattern, m[1]) and not any(name.startswith(r) for r in rooms):
                    breaches.say(path, number, f"<{m[1]}> belongs to {', '.join(sorted(rooms))}")


def check_text(breaches, path, lines):
    limit = HEADER_LINES_MAX if path.suffix == ".h" else FILE_LINES_MAX
    if len(lines) > limit:
        breaches.say(path, len(lines), f"{len(lines)} lines, {limit} allowed: two nouns live here")
    if not lines or "SPDX-License-Identifier: BSD-3-Clause" not in lines[0]:
        breaches.say(path, 1, "no SPDX line")
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            breaches.say(path, number, f"{len(line)} columns")
        if "\t" in line or line != line.rstrip():
            breaches.say(path, number, "a tab or a blank at the end")
        if UNFINISHED.search(line):
            breaches.say(path, number, "unfinished: do it before it lands")
        for word, instead in BANNED.items():
            if re.search(r"(?<![\w])" + re.escape(word), line):
                breaches.say(path, number, f"{word}) is banned: use {instead}")


def check_functions(breaches, path, lines):
    """A function is what stands between a { and a } at the left margin."""
    opened = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            opened = number
        if line.startswith("}") and opened:
            if number - opened - 1 > FUNCTION_LINES_MAX:
                breaches.say(path, opened, f"a function of {number - opened - 1} lines")
            opened = 0
    for m in re.finditer(r"^(?!static inline |#)[a-z][\w \*]*?\b(\w+)\(([^;{}()]*)\)\s*\n\{",
                         "\n".join(lines), re.M):
        if m[2].count(",") + 1 > PARAMETERS_MAX:
            breaches.say(path, 1, f"{m[1]} has more than {PARAMETERS_MAX} parameters")


def check_one_way():
    """The table itself must be a one-way street."""
    wrong = []
    for room in MAY_INCLUDE:
        stack, known = list(MAY_INCLUDE[room]), set()
        while stack:
            other = stack.pop()
            if other == room:
                if not any(room in pair for pair in TOGETHER):
                    wrong.append(f"tidy.py: MAY_INCLUDE: {room} reaches itself")
                break
            if other not in known:
                known.add(other)
                stack.extend(MAY_INCLUDE.get(other, ()))
    return wrong


def check_sources(breaches):
    for folder in SOURCES:
        for path in sorted((breaches.root / folder).rglob("*.[ch]")):
            name = path.relative_to(breaches.root).as_posix()
            lines = path.read_text().split("\n")[:-1]
            check_text(breaches, path, lines)
            check_functions(breaches, path, lines)
            if folder == "tests":
                continue
            room = room_of(name)
            if room is None:
                breaches.say(path, 1, "this file has no room: add it to MAY_INCLUDE")
            else:
                check_includes(breaches, path, name, room, lines)


# --- docs ---------------------------------------------------------------------------------------

def rows(text, macro):
    """The first words of a table's rows: X(NAME, ..."""
    body = re.search(rf"#define {macro}\(X\)(.*?)\n\n", text, re.S)
    return re.findall(r"\bX\(\s*(\w+),\s*([^,)]*)", body[1]) if body else []


def require(breaches, document, needed, what):
    path = breaches.root / document
    text = path.read_text() if path.exists() else ""
    for word in needed:
        if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text):
            breaches.say(path, 1, f"{what} {word} is not documented")


def check_docs(breaches):
    read = lambda name: (breaches.root / name).read_text()
    require(breaches, "docs/architecture.md", [r[0] for r in rows(read("base/lock.h"), "LOCK_RANKS")],
            "lock rank")
    require(breaches, "docs/protocol.md",
            [r[1].strip('"') for r in rows(read("protocol/command_tbl.h"), "COMMANDS")], "command")
    require(breaches, "docs/protocol.md",
            [f"`{m}`" for m in re.findall(r'X\(\d+, FRAME_\w+, "([^"]+)"', read("protocol/frame_table.h"))],
            "frame word")
    require(breaches, "docs/statistics.md",
            [r[0] for r in rows(read("server/measure/counters.h"), "WORKER_COUNTERS")], "statistic")
    require(breaches, "docs/protocol.md",
            [f"`{r[1].strip(chr(34))}`" for r in rows(read("server/watch/watch.h"), "WATCH_KINDS")], "kind to watch")
    needed = re.findall(r"pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET (\S+)",
                        read("cmake/libraries.cmake"))
    require(breaches, "docs/dependencies.md", [n.split(">")[0].rstrip(")") for n in needed], "library")


def check_clients(breaches):
    """A client is said to be tested where it is, and said so of each that is."""
    page = breaches.root / "docs/clients.md"
    told = set(re.findall(r"`scene/(\w+)`", page.read_text()))
    lists = re.findall(r"^set\((?:client|secured|monitor|dump)_stories\s(.*?)\)",
                       (breaches.root / "tests/scenes/CMakeLists.txt").read_text(), re.S | re.M)
    tested = set(" ".join(lists).split())
    for name in sorted(told - tested):
        breaches.say(page, 1, f"there is no test scene/{name}")
    for name in sorted(tested - told):
        breaches.say(page, 1, f"the test scene/{name} is not mentioned")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


def check_manuals(breaches, farpaged, farpage):
    """What is made from something else is as that makes it; libfarpage(3) names every call and every status."""
    folder = breaches.root / "docs/man"
    for page, source in (("farpage.1", farpage), ("farpaged.8", farpaged),
                         ("farpaged.yaml.5", farpaged),
                         ("farpage-protocol.7", breaches.root)):
        if (folder / page).read_text() != manual.page_of(page, str(source)):
            breaches.say(folder / page, 1, "is not what tests/tidy/manual.py prints")
    words = set(re.findall(r"^    (FARPAGE_[A-Z_]+) = \d+,",
                           (breaches.root / "client/include/farpage.h").read_text(), re.M))
    for header in (breaches.root / "client/include").glob("*.h"):
        words |= set(re.findall(r"^(?:FARPAGE_API [^;=]*?)?\b(farpage_[a-z_]+)\(", header.read_text(),
                                re.M))
    require(breaches, "docs/man/libfarpage.3", sorted(words), "call or status")


def check_binaries(breaches, farpaged, farpage):
    check_manuals(breaches, farpaged, farpage)
    conf = breaches.root / "conf/farpaged.yaml"
    if output_of(farpaged, "--dump-config=annotated") != conf.read_text():
        breaches.say(conf, 1, "is not what farpaged --dump-config=annotated prints")
    readme = breaches.root / "README.md"
    for command in re.findall(r"^  ([a-z]+)  ", output_of(farpage, "--help"), re.M):
        if not re.search(rf"`farpage {command}\b", readme.read_text()):
            breaches.say(readme, 1, f"farpage {command} is not mentioned")
    for option in re.findall(r"--[a-z-]+", output_of(farpaged, "--help").split("Signals:")[0]):
        require(breaches, "README.md", [option], "option")


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    breaches = Breaches(root)
    check_sources(breaches)
    check_docs(breaches)
    check_clients(breaches)
    if len(sys.argv) > 3:
        check_binaries(breaches, sys.argv[2], sys.argv[3])
    found = check_one_way() + breaches.lines
    print("\n".join(found) if found else "tidy: nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
