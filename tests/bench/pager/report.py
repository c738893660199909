# SPDX-License-Identifier: BSD-3-Clause
"""report - the tables, and which of the wanted figures are met."""
import pathlib
import re

ZRAM_TIMES = 1.3    # farpage's time at most so many times zram's, at 50 %
REDIS_TIMES = 2.59  # fltrace's published slowdown at 50 %
PANDAS_TIMES = 1.5


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*: (.*)$", text, re.M)
    return found[1] if found else "?"


def head(version, machine, asked):
    size = "an eighth of the memory (--quick)" if asked.quick else "full size"
    print(f"""# farpage run: programs with part of their memory elsewhere

{version}; {machine.system} {machine.release} {machine.machine}; {processor()}; {size}, {asked.rounds} round(s){
    ", farpage run " + " ".join(asked.option) if asked.option else ""}{
    f", all on processors {asked.processors}" if asked.processors else ""}

The part that is local is of the peak of the same program with all its memory. `times` is its time to
that, `CPU times` its processor time and its pager's. Server and program share the machine. A fault's
microseconds are what the program took longer, divided by the faults that had to fetch something.
""", flush=True)


def is_good(row):
    return not isinstance(row[2], str)


def fault_us(row, local):
    _, _, outcome = row
    more = outcome.seconds - local.seconds
    return f"{more / outcome.cost.faults * 1e6:.1f}" if outcome.cost.faults > 0 else ""


def server_us(figures):
    pages = figures.get("stored", 0) + figures.get("loaded", 0)
    return f"{figures['server_cpu'] / pages * 1e6:.1f}" if pages > 0 else ""


def percent_of(figures, key):
    return f"{figures[key] * 100:.0f} %" if key in figures else ""


def table(name, rows):
    local = rows[0][2]
    print(f"## {name}\n\nAll local: {local.seconds:.2f} s, {local.cost.cpu:.2f} s of processor, peak "
          f"{local.cost.peak_bytes / (1 << 20):.0f} MiB. {local.note}\n")
    print("| local | memory elsewhere | s | times | CPU times | faults | us a fault | prefetch right "
          "| resident MiB | server us a page | |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    for row in rows[1:]:
        place, percent, outcome = row
        if not is_good(row):
            print(f"| {percent} % | {place} | | | | | | | | | {outcome} |")
            continue
        cost, figures = outcome.cost, outcome.cost.figures
        resident = figures.get("resident_bytes_peak", 0) / (1 << 20)
        print(f"| {percent} % | {place} | {outcome.seconds:.2f} | {outcome.seconds / local.seconds:.2f} "
              f"| {cost.cpu / local.cost.cpu:.2f} | {cost.faults} | {fault_us(row, local)} "
              f"| {percent_of(figures, 'prefetch_accuracy')} | {f'{resident:.0f}' if resident else ''} "
              f"| {server_us(figures)} | {outcome.note} |")
    print(flush=True)


def seconds_at(rows, place, percent):
    for row in rows:
        if row[0] == place and row[1] == percent and is_good(row):
            return row[2].seconds
    return None


def goal(what, reached, wanted):
    print(f"| {what} | {wanted:.2f} | {reached:.2f} | {'met' if reached <= wanted else '**not met**'} |")


def goals(measured):
    """Of what was measured in this run alone."""
    print("## Wanted with half of the memory local\n\n| times | at most | reached | |\n|---|---:|---:|---|")
    for name, rows in measured.items():
        farpage, zram = (seconds_at(rows, place, 50) for place in ("farpage", "zram"))
        if farpage is not None and zram is not None:
            goal(f"{name}: farpage to zram", farpage / zram, ZRAM_TIMES)
        if farpage is not None and name == "redis":
            goal("redis: to all local", farpage / rows[0][2].seconds, REDIS_TIMES)
        if farpage is not None and name == "pandas":
            goal("pandas: to all local", farpage / rows[0][2].seconds, PANDAS_TIMES)
