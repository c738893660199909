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
PACK = BASE | {"storage/pages", "storage/idpool", "storage/cells", "storage/zpool",
               "storage/compressor", "codec"}
STORE = PACK | {"snapshot", "storage/entry", "storage/item", "storage/keydir", "storage/area",
                "storage/spill", "storage/tenant", "storage/watermark"}
MAY_INCLUDE = {
    "base": set(),
    "codec": BASE,
    "tls": BASE,
    "snapshot": BASE,
    "protocol": BASE,
    "storage/pages": BASE,
    "storage/idpool": BASE | {"storage/pages"},
    "storage/handle": BASE,
    "storage/cells": BASE | {"storage/pages", "storage/idpool", "storage/handle"},
    "storage/zpool": BASE | {"storage/pages", "storage/cells", "storage/handle"},
    "storage/zsmalloc": BASE | {"storage/pages", "storage/idpool", "storage/cells", "storage/zpool"},
    "storage/zbud": BASE | {"storage/pages", "storage/idpool", "storage/cells", "storage/zpool"},
    "storage/blocks": BASE | {"storage/pages", "storage/idpool", "storage/cells", "storage/zpool"},
    "storage/compressor": BASE | {"codec"},
    "storage/entry": BASE | {"storage/zpool"},
    "storage/item": BASE | {"storage/handle"},
    "storage/fifo": BASE,
    "storage/watermark": BASE,
    "storage/tenant": BASE,
    "storage/spill": BASE | {"storage/pages"},
    "storage/keydir": BASE | {"storage/fifo", "storage/item", "storage/tenant"},
    "storage/area": BASE | {"storage/compressor", "storage/entry", "storage/pages", "storage/tenant", "storage/zpool"},
    "storage/store": STORE,
    "server/config": BASE | {"protocol", "codec"},
    "server/options": BASE | {"server/config"},
    "server/counters": BASE,
    "server/compaction": BASE,
    "server/recompression": BASE | {"storage/store"},
    "server/duty": BASE,
    "server/scrub": BASE | {"storage/store"},
    "server/scrubber": BASE | {"storage/store", "storage/area", "server/duty", "server/process", "server/scrub",
                               "server/shared"},
    "server/recompressor": BASE | {"server/duty", "storage/store", "server/process", "server/recompression",
                                   "server/shared"},
    "server/process": BASE,
    "server/descriptors": BASE | {"server/settings"},
    "server/conns": BASE,
    "server/auth": BASE | {"tls"},
    "server/credentials": BASE | {"server/auth", "server/config", "tls"},
    "server/output": BASE | {"tls"},
    "server/sandbox": BASE,
    "server/closing": BASE | {"server/shared"},
    "server/queue": BASE,
    "server/turns": BASE | {"storage/tenant"},
    "server/settings": BASE | {"server/config"},
    "server/watch": BASE | {"protocol", "server/conns", "server/output", "server/shrinking", "storage/item",
                            "storage/store"},
    "server/prefixes": BASE,
    "server/openers": BASE | {"protocol", "server/conns", "storage/area", "storage/store"},
    "server/handouts": BASE | {"protocol"},
    "server/exports": BASE | {"protocol", "server/config", "server/handouts", "server/openers", "storage/area",
                              "storage/store"},
    "server/snapshot_counts": BASE,
    "server/snapshots": BASE | {"server/process", "server/shared", "storage/store"},
    "server/session": BASE | {"server/snapshots", "protocol", "server/conns", "server/maps", "server/openers",
                              "storage/store"},
    "server/dispatcher": BASE | {"server/latency", "server/shared", "server/spilled"},
    "server/spill_state": BASE,
    "server/spilled": BASE | {"protocol", "server/shared", "storage/store"},
    "server/spiller": BASE | {"server/shared", "server/spill_state", "server/watch", "storage/store"},
    "server/maps_register": BASE | {"storage/store", "server/conns"},
    "server/maps": BASE | {"storage/store", "server/conns", "server/dispatcher",
                           "server/maps_register", "server/output", "server/shared"},
    "server/shared": BASE | {"server/scrub", "protocol", "storage/store", "server/compaction",
                             "server/recompression", "server/shrinking", "server/pressure",
                             "server/config", "server/conns", "server/counters",
                             "server/credentials", "server/exports", "server/http_counts", "server/latency", "server/options",
                             "server/maps_register", "server/openers", "server/prefixes",
                             "server/settings", "server/snapshot_counts", "server/spill_state", "server/watch"},
    "server/stats": BASE | {"server/latency", "server/metrics", "server/trainer", "storage/area", "protocol", "storage/store", "storage/zpool", "server/shared", "server/conns",
                            "server/config", "server/process", "codec"},
    "server/operate": BASE | {"server/config", "server/health", "server/reload", "server/trainer", "protocol", "storage/store", "storage/compressor",
                              "codec", "server/output", "server/shared"},
    "server/latency": BASE | {"storage/compressor", "storage/store"},
    "server/slow": BASE | {"server/dispatcher", "server/latency"},
    "server/health": BASE | {"server/shared", "storage/area", "storage/store"},
    "server/http_counts": BASE | {"protocol"},
    "server/metrics": BASE | {"storage/compressor", "server/health", "server/latency", "server/output", "server/process", "server/shared",
                              "storage/area", "storage/store"},
    "server/http": BASE | {"protocol", "server/health", "server/metrics", "server/output",
                           "server/shared", "tls"},
    "server/dispatch": BASE | {"server/snapshots", "server/sandbox", "storage/area", "protocol", "storage/store", "server/dispatcher", "server/maps",
                               "server/memory_limit", "server/operate", "server/output",
                               "server/session", "server/shared", "server/stats", "server/watch"},
    "server/nbd": BASE | {"server/spilled", "server/closing", "server/latency", "server/slow", "server/tenancy", "protocol", "storage/store", "server/worker", "server/dispatch",
                          "server/patience", "server/exports", "server/queue", "server/output", "server/shared",
                          "server/watch", "tls"},
    "server/worker": BASE | {"server/spilled", "server/turns", "server/conn", "server/queue", "server/nbd", "server/dispatch", "server/output", "server/shared",
                             "server/tenancy"},
    "server/patience": BASE | {"server/output", "server/settings"},
    "server/conn": BASE | {"server/spilled", "server/closing", "server/latency", "server/slow", "server/tenancy", "server/patience", "protocol", "server/worker", "server/dispatch", "server/dispatcher", "server/maps",
                           "server/output",
                           "server/session", "server/settings", "server/shared", "server/watch", "tls"},
    "server/handed": BASE | {"server/config"},
    "server/notify": BASE,
    "server/pulse": BASE | {"server/notify", "server/stats", "server/worker", "storage/store"},
    "server/listener": BASE | {"protocol", "server/config", "server/handed", "server/http", "server/worker"},
    "server/memory_limit": BASE | {"server/shared", "storage/store"},
    "server/tenancy": BASE | {"server/config", "server/shared", "storage/store", "tls"},
    "server/shrinking": BASE,
    "server/psi": BASE,
    "server/pressure": BASE | {"server/psi"},
    "server/memory_pressure": BASE | {"server/memory_limit", "server/shared", "storage/store"},
    "server/shrink": BASE | {"server/shared", "server/watch", "storage/store"},
    "server/maintainer": BASE | {"server/memory_pressure", "server/shrink", "storage/store", "server/exports", "server/process", "server/shared",
                                 "server/trainer", "server/watch"},
    "server/trainer": BASE | {"server/shared", "storage/store", "codec"},
    "server/reload": BASE | {"server/options", "server/tenancy", "server/memory_limit", "server/credentials", "server/descriptors", "server/config",
                             "server/shared",
                             "storage/compressor", "codec"},
    "server/server": BASE | {"server/spilled", "server/spiller", "storage/store", "server/trainer", "server/config", "server/options",
                             "server/credentials", "server/descriptors",
                             "server/handed", "server/http", "server/listener", "server/notify", "server/pulse",
                             "server/maintainer", "server/memory_limit", "server/process", "server/recompressor",
                             "server/reload", "server/resume", "server/sandbox", "server/scrubber", "server/snapshots", "server/tenancy", "server/watch",
                             "server/worker"},
    "server/restart": BASE | {"snapshot", "storage/store"},
    "server/resume": BASE | {"snapshot", "server/notify", "server/restart", "server/shared",
                             "storage/store"},
    "server/main": BASE | {"server/config", "server/container", "server/memory_limit", "server/options", "server/server"},
    "server/container": BASE,
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
    r"event2?/": {"server/resume", "server/conn", "server/queue", "server/http", "server/nbd", "server/output", "server/worker", "server/listener",
                  "server/maintainer", "server/pulse", "server/server"},
    r"systemd/": {"server/handed"},
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
    r"sys/mman": {"storage/pages", "client/cli/run", "server/sandbox", "client/agent", "client/uffd"},
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
            [r[0] for r in rows(read("server/counters.h"), "WORKER_COUNTERS")], "statistic")
    require(breaches, "docs/protocol.md",
            [f"`{r[1].strip(chr(34))}`" for r in rows(read("server/watch.h"), "WATCH_KINDS")], "kind to watch")
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
