#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What bash offers is what the commands take. Skipped (77) where there is no bash."""
import os
import re
import shutil
import subprocess
import sys

from running import Server
from story import tell

CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../conf")


def offered(program, *words):
    """What is offered for the last of the words."""
    name = os.path.basename(program)
    line = f"""source {CONF}/{name}.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _{name}; printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", line, "bash", program, *words], capture_output=True,
                          text=True, timeout=60, check=True)
    assert not done.stderr.replace("bash: line 2: compopt: not currently executing completion "
                                   "function\n", ""), done.stderr
    return set(done.stdout.split())


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def bash_offers_what_the_commands_take(programs):
    if not shutil.which("bash"):
        print("skipped: bash is not installed")
        sys.exit(77)
    overview = said(programs.farpage, "--help")
    commands = set(re.findall(r"^  ([a-z]+)\b", overview.split("commands:")[1].split("\n\n")[0], re.M))
    assert len(commands) > 15 and offered(programs.farpage, "") == commands
    assert offered(programs.farpage, "--server", "unix:/x", "--json", "re") == {
        c for c in commands if c.startswith("re")}
    assert offered(programs.farpage, "help", "pi") == {"ping"}
    for command in commands - {"help"}:
        options = set(re.findall(r"^  (--[a-z-]+)", said(programs.farpage, "help", command), re.M))
        assert "--json" in options and offered(programs.farpage, command, "--") == options, command
    assert offered(programs.farpage, "recompress", "") == {"start", "pause", "resume", "cancel"}
    assert offered(programs.farpage, "swap", "o") == {"on", "off"}
    assert offered(programs.farpage, "stats", "comp") == {"compaction", "compressors"}
    assert offered(programs.farpage, "--tls-ca", CONF + "/farpaged.y") == {CONF + "/farpaged.yaml"}
    assert offered(programs.farpaged, "--config", CONF + "/farpaged.y") == {CONF + "/farpaged.yaml"}
    assert {"--check", "--set", "--config"} <= offered(programs.farpaged, "--")
    assert offered(programs.farpaged, "--set", "storage.memory") == {"storage.memory_limit="}
    assert "listeners=" in offered(programs.farpaged, "--set", "l")
    with Server(programs.farpaged, sets=["areas=[{name: swap/web1, size: 1MiB}]"]) as server:
        os.environ["FARPAGE_SERVER"] = "unix:" + server.unix
        assert offered(programs.farpage, "store", "sw") == {"swap/web1"}
    assert offered(programs.farpage, "store", "sw") == set()  # no server, and no word of it


if __name__ == "__main__":
    tell([bash_offers_what_the_commands_take])
