#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Monitors and tools that others wrote for memcached, unchanged. A test whose
tool is not installed is skipped (exit code 77), with the reason."""
import os
import re
import shutil
import subprocess
import sys
import time

from running import Server
from story import ask, stats, tell

TOOL = "/usr/share/memcached/scripts/memcached-tool"
MUNIN = "/usr/share/munin/plugins/memcached_"
COLLECTD = "/usr/sbin/collectd"
PLUGINS = "/usr/lib/collectd"
SKIPPED = 77


def need(there, package):
    if not there:
        print(f"skipped: {package} is not installed")
        sys.exit(SKIPPED)


def output_of(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, done
    return done.stdout


def fill(server):
    """Some items of several sizes, a hit, a miss."""
    text = "".join(f"set key{n} 5 0 {n * 37}\r\n{'ab' * n + 'x' * (n * 35)}\r\n" for n in range(90))
    said = ask(server, text + "get key1\r\nget nobody\r\n")
    assert said.count("STORED") == 90, said


def memcstat_shows_the_statistics(programs):
    need(shutil.which("memcstat"), "libmemcached-tools")
    with Server(programs.farpaged) as server:
        fill(server)
        said = output_of("memcstat", f"--servers=127.0.0.1:{server.port}")
        assert re.search(r"^\s*curr_items: 90$", said, re.M), said
        assert re.search(r"^\s*get_hits: 1$", said, re.M), said


def memcached_tool_shows_what_it_can(programs):
    need(os.path.exists(TOOL) and shutil.which("perl"), "memcached")
    with Server(programs.farpaged) as server:
        fill(server)
        address = f"127.0.0.1:{server.port}"
        rows = [line.split() for line in output_of("perl", TOOL, address).splitlines()[1:]]
        assert sum(int(row[4]) for row in rows) == 90, rows  # Count
        assert all(int(row[3]) > 0 and row[2] == "0s" for row in rows), rows
        for mode, needed in (("stats", "curr_items"), ("settings", "maxconns")):
            assert re.search(rf"^\s*{needed}\s+\d+$", output_of("perl", TOOL, address, mode), re.M)
        sizes = output_of("perl", TOOL, address, "sizes").splitlines()[1:]
        assert sum(int(line.split()[1]) for line in sizes) == 90, sizes


def collectd_writes_its_series(programs):
    need(os.path.exists(f"{PLUGINS}/memcached.so") and os.path.exists(COLLECTD), "collectd-core")
    with Server(programs.farpaged) as server:
        fill(server)
        folder = os.path.join(server.directory, "collectd")
        config = os.path.join(server.directory, "collectd.conf")
        with open(config, "w") as f:
            f.write(f'Hostname "here"\nFQDNLookup false\nInterval 1\nBaseDir "{folder}"\n'
                    f'PIDFile "{folder}.pid"\nPluginDir "{PLUGINS}"\n'
                    'TypesDB "/usr/share/collectd/types.db"\nLoadPlugin csv\n'
                    f'<Plugin csv>\n  DataDir "{folder}"\n</Plugin>\nLoadPlugin memcached\n'
                    f'<Plugin memcached>\n  <Instance "it">\n    Host "127.0.0.1"\n'
                    f'    Port "{server.port}"\n  </Instance>\n</Plugin>\n')
        daemon = subprocess.Popen([COLLECTD, "-f", "-C", config], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE)
        wanted = {"df-cache", "memcached_command-get", "memcached_command-set", "ps_count",
                  "memcached_connections-current", "memcached_items-current",
                  "memcached_octets", "memcached_ops-hits", "memcached_ops-misses",
                  "memcached_ops-evictions", "percent-hitratio", "ps_cputime"}
        try:
            until, seen = time.monotonic() + 30, set()
            while not wanted <= seen and time.monotonic() < until:
                time.sleep(0.1)
                seen = {re.sub(r"-\d{4}-\d\d-\d\d$", "", name)
                        for _, _, names in os.walk(folder) for name in names}
            assert wanted <= seen, (wanted - seen, seen)
        finally:
            daemon.terminate()
            daemon.communicate(timeout=20)
        for at, _, names in os.walk(folder):
            for name in names:
                if not name.startswith("memcached_items-current"):
                    continue
                with open(os.path.join(at, name)) as f:
                    assert float(f.read().splitlines()[1].split(",")[1]) == 90


def munin_draws_its_graphs(programs):
    need(os.path.exists(MUNIN), "munin-plugins-extra")
    module = subprocess.run(["perl", "-MCache::Memcached", "-e", "1"], capture_output=True, check=False)
    need(module.returncode == 0, "libcache-memcached-perl")
    with Server(programs.farpaged) as server:
        fill(server)
        values = {}
        for graph in ("bytes", "counters", "rates"):
            plugin = os.path.join(server.directory, "memcached_" + graph)
            os.symlink(MUNIN, plugin)
            said = output_of("perl", plugin, env={**os.environ, "host": "127.0.0.1",
                                                  "port": str(server.port)})
            values |= dict(line.split(".value ") for line in said.splitlines())
        assert len(values) == 11 and all(v.isdigit() for v in values.values()), values
        assert values["memcache_curr_items"] == "90" and values["memcache_cache_hits"] == "1"


# What the Prometheus exporter for memcached reads: each must parse as a number where it is there, and
# these must be there, or the whole scrape has failed.
EXPORTER_NUMBERS = """uptime time cmd_set cmd_flush get_hits get_misses delete_hits delete_misses
incr_hits incr_misses decr_hits decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses
bytes limit_maxbytes curr_items total_items bytes_read bytes_written curr_connections
total_connections rejected_connections conn_yields listen_disabled_num evictions reclaimed
store_too_large store_no_memory lru_crawler_starts direct_reclaims crawler_items_checked
crawler_reclaimed moves_to_cold moves_to_warm moves_within_lru accepting_conns""".split()
CONTRACT = """pid pointer_size cmd_get cmd_touch threads max_connections""".split()
SLAB_NUMBERS = """cmd_set cas_hits cas_badval chunk_size chunks_per_page total_pages total_chunks
used_chunks free_chunks free_chunks_end mem_requested""".split()
ITEM_NUMBERS = """number age evicted evicted_nonzero evicted_time evicted_unfetched outofmemory
reclaimed tailrepairs mem_requested""".split()


def lines_of(server, section):
    lines = ask(server, f"stats {section}\r\n").splitlines()
    assert lines[-1] == "END", lines
    return [line.split(" ", 2)[1:] for line in lines[:-1]]


def the_exporter_reads_every_number(programs):
    with Server(programs.farpaged) as server:
        fill(server)
        pairs = lines_of(server, "")
        general = dict(pairs)
        assert len(general) == len(pairs), "a name is there twice"
        for name in EXPORTER_NUMBERS + CONTRACT:
            float(general[name])
        for name in ("rusage_user", "rusage_system"):
            seconds, micros = general[name].split(".")
            assert seconds.isdigit() and len(micros) == 6 and micros.isdigit(), general[name]
        assert re.match(r"\d+\.\d+\.\d+", general["version"])
        text = {"version", "farpage_version", "farpage_boot_id"}
        assert all(float(value) >= 0 for name, value in pairs if name not in text)
        settings = dict(lines_of(server, "settings"))
        assert int(settings["maxconns"]) > 0 and settings["lru_crawler"] == "no"
        slabs, items = {}, {}
        for name, value in lines_of(server, "slabs"):
            if ":" in name:
                slabs.setdefault(int(name.split(":")[0]), {})[name.split(":")[1]] = float(value)
        for name, value in lines_of(server, "items"):
            kind, number, what = name.split(":")
            items.setdefault(int(number), {})[what] = float(value)
            assert kind == "items"
        assert slabs.keys() == items.keys() and slabs and max(slabs) <= 63
        assert all(set(SLAB_NUMBERS) <= row.keys() for row in slabs.values())
        assert all(set(ITEM_NUMBERS) <= row.keys() for row in items.values())
        assert sum(row["number"] for row in items.values()) == int(general["curr_items"])


def every_statistic_is_documented(programs):
    """Each name in each section has a word of its own in docs/statistics.md."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/statistics.md")
    with open(path) as f:
        text = f.read()
    parts = dict(re.findall(r"^## (stats[^\n]*)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    with Server(programs.farpaged) as server:
        fill(server)
        for title, words in parts.items():
            for section in title.replace("stats", "").split(","):
                if section.strip() in ("reset", "detail", "metrics"):  # the last: door.py
                    continue
                for name, _ in lines_of(server, section.strip()):
                    if "." in name or name.isdigit():  # a key of the configuration, a size
                        continue
                    name = name.split(":")[-1]
                    assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words), (title, name)


def evictions_are_counted_by_class(programs):
    with Server(programs.farpaged, sets=["storage.memory_limit=32MiB", "server.threads=1",
                                         "compressor.algorithm=none"]) as server:
        value = os.urandom(8000).hex().encode()
        with server.connect() as s:
            for n in range(4000):
                s.sendall(b"set key%d 0 1000 16000 noreply\r\n%s\r\n" % (n, value))
        for _ in range(200):
            if stats(server)["total_items"] == "4000":
                break
            time.sleep(0.05)
        evictions = int(stats(server)["evictions"])
        items = stats(server, "items")
        by_class = {name.split(":")[2]: int(value) for name, value in items.items() if value != "0"}
        assert evictions > 100 and by_class["evicted"] == evictions, (evictions, items)
        assert by_class["evicted_nonzero"] == by_class["evicted_unfetched"] == evictions, items
        ask(server, "stats reset\r\n")
        again = stats(server, "items")
        assert stats(server)["evictions"] == "0" and again.keys() == items.keys(), again
        assert all(value == "0" for name, value in again.items() if "evicted" in name), again
        assert stats(server)["curr_items"] in {v for k, v in again.items() if "number" in k}, again


def a_client_may_stop_the_server_where_that_is_configured(programs):
    for line in ("shutdown", "shutdown graceful"):
        with Server(programs.farpaged, sets=["server.shutdown_command=on"]) as server:
            assert stats(server, "settings")["shutdown_command"] == "yes"
            said = ask(server, "shutdown now\r\n")
            assert said == "CLIENT_ERROR invalid shutdown mode\r\n", said
            with server.connect() as s:
                s.sendall(line.encode() + b"\r\n")
                assert s.recv(100) == b""
            assert server.process.wait(timeout=20) == 0
            assert "a client asks for the stop" in server.stderr(), server.stderr()
            server.over = True


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([memcstat_shows_the_statistics, memcached_tool_shows_what_it_can,
          collectd_writes_its_series, munin_draws_its_graphs, the_exporter_reads_every_number,
          every_statistic_is_documented, evictions_are_counted_by_class, a_client_may_stop_the_server_where_that_is_configured])
