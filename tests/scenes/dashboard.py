#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The dashboard for Grafana: what it asks is answered. Skipped (77) where Prometheus is missing."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from running import Server, free_port
from story import ask, sample, tell

GRAFANA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docker/grafana")
sys.path.insert(0, GRAFANA)
import dashboard as made  # noqa: E402

FILE = os.path.join(GRAFANA, "dashboards/farpage.json")
SECTIONS = """exports: [{name: disk, size: 1MiB, recreate: always}]
tenants: [{name: default, quota_bytes: 64MiB}]
storage: {spill_path: "%s", spill_size: 8MiB}
"""
HTTP = '{address: "127.0.0.1:%d", protocol: http}'


def the_dashboard_is_what_its_rows_make(_):
    with open(FILE, encoding="utf-8") as f:
        assert json.load(f) == made.dashboard(), "docker/grafana/dashboard.py > " + FILE
    numbers = [panel["id"] for panel in made.dashboard()["panels"]]
    assert len(numbers) == len(set(numbers))


def every_query_of_the_dashboard_has_an_answer(programs):
    if not shutil.which("prometheus"):
        print("skipped: prometheus is not installed")
        sys.exit(77)
    port, asks = free_port(), free_port()
    nbd = free_port()
    with tempfile.TemporaryDirectory() as directory, \
            Server(programs.farpaged, listeners=[HTTP % port,
                   f'{{address: "127.0.0.1:{nbd}", protocol: nbd}}'],
                   more=SECTIONS % directory) as server:
        pages = os.path.join(directory, "pages")
        with open(pages, "wb") as f:
            f.write(sample()[:4096 * 64])
        with open(os.path.join(directory, "prometheus.yml"), "w") as f:
            f.write("global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: farpage\n"
                    f'    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]\n')
        prometheus = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", "--log.level=error",
             f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{asks}"])
        over = threading.Event()

        def load():
            while not over.wait(0.2):
                ask(server, "set a 0 0 1\r\nb\r\nget a\r\nget b\r\n")
                programs.run(server, "store", "area", pages)
                programs.run(server, "scrub", "start")
                programs.run(server, "snapshot", os.path.join(directory, "snapshot"))

        loader = threading.Thread(target=load)
        loader.start()
        try:
            silent, end = ["all"], time.monotonic() + 60
            while silent:
                assert time.monotonic() < end, silent
                time.sleep(0.5)
                silent = [query for query in made.queries(FILE)
                          if not made.is_answered(("127.0.0.1", asks), query)]
        finally:
            over.set()
            loader.join()
            prometheus.terminate()
            prometheus.wait(timeout=30)


if __name__ == "__main__":
    tell([the_dashboard_is_what_its_rows_make, every_query_of_the_dashboard_has_an_answer])
