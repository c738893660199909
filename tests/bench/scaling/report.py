# SPDX-License-Identifier: BSD-3-Clause
"""report - the tables that docs/scaling.md quotes, and which of its sentences held."""
import re

import claims
from outcome import ERROR, MISS, OLD, SLOW_S

TAG = re.compile(r"\[([A-Z]\d+)\]")


def table(title, head, rows):
    print(f"\n{title}\n")
    for cells in [head, ["---"] + ["--:"] * (len(head) - 1), *rows]:
        print("| " + " | ".join(str(c) for c in cells) + " |")


def shares(tally, operation, of_victim):
    return " / ".join(f"{tally.percent(operation, of_victim, o):.0f}" for o in (ERROR, MISS, OLD))


def killed_table(rows):
    table("One of three servers killed under load; percent: errors / silent misses / old values.",
          ["client", "get, its keys", "get of many, its keys", "beside them, the others' keys",
           "get, the others' keys", "first trouble", "longest wait", "used again after",
           "get, back and empty", "get, killed again"],
          [[r.engine.name, shares(r.dead, "get", True), shares(r.dead, "many", True),
            shares(r.dead, "many", False), shares(r.dead, "get", False),
            f"{1000 * r.first_trouble():.0f} ms", f"{1000 * r.all.longest():.0f} ms",
            "never" if r.used_again() > 4.5 else f"{r.used_again():.1f} s",
            shares(r.back, "get", True), shares(r.again, "get", True)] for r in rows.values()])


def frozen_table(rows):
    table("One of three servers frozen for 7 s (SIGSTOP), then going on with all it had.",
          ["client", "longest wait", "requests that waited", "get, its keys, frozen",
           "get, its keys, going on"],
          [[r.engine.name, f"{r.all.longest():.1f} s",
            sum(e.seconds > SLOW_S and e.operation != "many" for e in r.all.events),
            shares(r.dead, "get", True), shares(r.back, "get", True)] for r in rows.values()])


def pages_table(run):
    def of(areas):
        return ["{:,}".format(run.count(areas, o)) for o in ("right", "absent", "other bytes")]
    times = [f"{1000 * t:.1f} ms" if t is not None else "never" for t in run.times()]
    table("Six areas on three servers, one of which was killed and started again.",
          ["areas", "requests right", "absent", "other bytes", "SIGKILL to error",
           "execve to hello", "execve to LOST"],
          [["two, of the dead", *of(run.of_victim), *times],
           ["four, of the others", *of(run.of_others), "-", "-", "-"]])


def settings_table(parts):
    rows = [[f"`{r.engine.name}`", r.engine.settings, part] for part in ("killed", "frozen")
            for r in parts.get(part, {}).values()]
    if rows:
        table("Settings.", ["client", "settings", "in the table"], rows)


def verdict(measured):
    """Prints each claim on what was measured; returns how many do not hold."""
    print("\nWhat docs/scaling.md says:\n")
    failed = 0
    for tag, part, sentence, check in claims.CLAIMS:
        if part not in measured:
            print(f"  {tag}  not measured  {sentence}")
            continue
        holds, figures = check(measured)
        failed += not holds
        print(f"  {tag}  {'holds         ' if holds else 'DOES NOT HOLD '}{sentence}\n"
              f"                      {figures}")
    return failed


def tags_differ(document):
    """The tags that only one of the document and claims.py has."""
    return set(TAG.findall(document)) ^ {tag for tag, _, _, _ in claims.CLAIMS}
