#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dashboard - makes dashboards/farpage.json from the rows below, and tells what is in it.

usage: dashboard.py > dashboards/farpage.json

A row is a line of panels. A panel: its title, its unit (Grafana's name), and its queries as (legend,
PromQL). `stat` shows the last value alone, `stack` puts the curves on each other."""
import json
import socket
import sys
import urllib.parse

RATE = "[$__rate_interval]"
OPERATIONS = "farpage_operation_duration_seconds"


def quantile(part, histogram):
    by = "by (operation, le)" if histogram == OPERATIONS else "by (le)"
    return f"histogram_quantile({part}, sum {by} (rate({histogram}_bucket{RATE})))"


ROWS = [
    ("Now", [
        ("Ready", "bool_yes_no", "stat", [("", "farpage_ready")]),
        ("Memory", "percentunit", "stat",
         [("", "farpage_memory_used_bytes / farpage_memory_limit_bytes")]),
        ("Pages packed", "none", "stat",
         [("", "farpage_pages_bytes / (farpage_pages_packed_bytes > 0)")]),
        ("Pages", "short", "stat", [("", "farpage_pages")]),
        ("Items", "short", "stat", [("", "farpage_items")]),
        ("Connections", "short", "stat", [("", "sum(farpage_connections)")]),
        ("Damaged", "short", "stat", [("", "farpage_corrupt_total")]),
        ("Last reload", "bool_yes_no", "stat", [("", "farpage_config_last_reload_successful")])]),
    ("Memory", [
        ("What it is used for", "bytes", "stack", [("{{use}}", "farpage_memory_bytes")]),
        ("Against its limit", "bytes", "lines",
         [("limit", "farpage_memory_limit_bytes"), ("used", "farpage_memory_used_bytes"),
          ("resident", "process_resident_memory_bytes")]),
        ("Allocator", "bytes", "stack",
         [("objects", "farpage_pool_objects_bytes"), ("rounding", "farpage_pool_rounding_bytes"),
          ("headers", "farpage_pool_headers_bytes"), ("gaps", "farpage_pool_free_bytes"),
          ("tables", "farpage_pool_tables_bytes")])]),
    ("Pages", [
        ("Requests", "ops", "lines",
         [("stores", f"rate(farpage_page_stores_total{RATE})"),
          ("loads", f"rate(farpage_page_loads_total{RATE})"),
          ("invalidations", f"rate(farpage_page_invalidations_total{RATE})")]),
        ("Kept how", "short", "lines",
         [("all", "farpage_pages"), ("same-filled", "farpage_pages_same_filled"),
          ("incompressible", "farpage_pages_incompressible")]),
        ("Not done", "ops", "lines",
         [("refused", f"rate(farpage_page_refused_total{RATE})"),
          ("absent", f"rate(farpage_page_absent_total{RATE})"),
          ("damaged", f"rate(farpage_corrupt_total{RATE})")])]),
    ("Time and size", [
        ("Half are done within", "s", "lines", [("{{operation}}", quantile(0.5, OPERATIONS))]),
        ("99 of 100 are done within", "s", "lines", [("{{operation}}", quantile(0.99, OPERATIONS))]),
        ("What things are packed to", "bytes", "lines",
         [("half, at most", quantile(0.5, "farpage_packed_size_bytes")),
          ("9 of 10, at most", quantile(0.9, "farpage_packed_size_bytes"))])]),
    ("Items", [
        ("Requests", "ops", "lines",
         [("{{command}} {{result}}", f"rate(farpage_item_requests_total{RATE})")]),
        ("Found", "percentunit", "lines",
         [("get", f'rate(farpage_item_requests_total{{command="get",result="hit"}}{RATE}) / '
           f'ignoring(result) sum without(result) '
           f'(rate(farpage_item_requests_total{{command="get"}}{RATE}) > 0)')]),
        ("Gave way", "ops", "lines",
         [("evicted", f"rate(farpage_items_evicted_total{RATE})"),
          ("expired", f"rate(farpage_items_reclaimed_total{RATE})")])]),
    ("Areas", [
        ("Pages", "short", "stack", [("{{area}}", "farpage_area_pages")]),
        ("Packed", "bytes", "stack", [("{{area}}", "farpage_area_packed_bytes")]),
        ("Loads", "ops", "lines", [("{{area}}", f"rate(farpage_area_loads_total{RATE})")])]),
    ("Block devices", [
        ("Written", "Bps", "lines",
         [("{{export}}", f"rate(farpage_export_write_bytes_total{RATE})")]),
        ("Read", "Bps", "lines", [("{{export}}", f"rate(farpage_export_read_bytes_total{RATE})")]),
        ("Not done", "ops", "lines",
         [("{{export}}: no space", f"rate(farpage_export_no_space_total{RATE})"),
          ("{{export}}: errors", f"rate(farpage_export_errors_total{RATE})")])]),
    ("Compressors", [
        ("Objects by seat", "short", "stack",
         [("{{seat}} {{algorithm}}:{{level}}", "farpage_seat_objects")]),
        ("Packs", "ops", "lines",
         [("{{seat}} {{algorithm}}:{{level}}", f"rate(farpage_seat_packs_total{RATE})")]),
        ("Compaction and recompression", "ops", "lines",
         [("objects moved", f"rate(farpage_compaction_moved_objects_total{RATE})"),
          ("packed once more", f"rate(farpage_recompress_rewritten_total{RATE})")])]),
    ("The file below memory", [
        ("Room", "bytes", "lines",
         [("size", "farpage_spill_file_size_bytes"), ("used", "farpage_spill_file_used_bytes"),
          ("needed", "farpage_spill_file_live_bytes")]),
        ("Pages", "ops", "lines",
         [("go there", f"rate(farpage_spill_pages_written_total{RATE})"),
          ("loaded from there", f"rate(farpage_spill_loads_total{RATE})"),
          ("come back", f"rate(farpage_spill_promotions_total{RATE})")]),
        ("The disk", "Bps", "lines",
         [("written", f"rate(farpage_spill_written_bytes_total{RATE})"),
          ("read", f"rate(farpage_spill_read_bytes_total{RATE})")]),
        ("Not done", "ops", "lines",
         [("no room", f"rate(farpage_spill_file_full_total{RATE})"),
          ("writes failed", f"rate(farpage_spill_write_errors_total{RATE})"),
          ("loads failed", f"rate(farpage_spill_failed_loads_total{RATE})")])]),
    ("Tenants", [
        ("What they hold", "bytes", "stack", [("{{tenant}}", "farpage_tenant_bytes")]),
        ("Of their quota", "percentunit", "lines",
         [("{{tenant}}", "farpage_tenant_bytes / (farpage_tenant_quota_bytes > 0)")]),
        ("Gave way, or refused", "ops", "lines",
         [("{{tenant}}: evicted", f"rate(farpage_tenant_evictions_total{RATE})"),
          ("{{tenant}}: above its quota", f"rate(farpage_tenant_over_quota_total{RATE})"),
          ("{{tenant}}: reserved for others", f"rate(farpage_tenant_over_reserve_total{RATE})")])]),
    ("A limit that gives way", [
        ("In force, and as it is set", "bytes", "lines",
         [("in force", "farpage_memory_limit_bytes"),
          ("set", "farpage_memory_configured_limit_bytes")]),
        ("The host waits for memory", "percentunit", "lines",
         [("of lately", "farpage_pressure_stalled_ratio")]),
        ("Lowered, and given back", "ops", "lines",
         [("by pressure", f"rate(farpage_pressure_lowered_total{RATE})"),
          ("given back", f"rate(farpage_pressure_raised_total{RATE})"),
          ("runs of shrinking", f"rate(farpage_memory_shrink_runs_total{RATE})"),
          ("the limit was met", f"rate(farpage_memory_limit_hits_total{RATE})")])]),
    ("Scrub and snapshots", [
        ("Scrub", "percentunit", "lines",
         [("looked at", "farpage_scrub_run_looked / (farpage_scrub_run_to_look > 0)")]),
        ("Found damaged", "short", "lines",
         [("pages", "farpage_scrub_damaged_pages_total"),
          ("items", "farpage_scrub_damaged_items_total"),
          ("not read", "farpage_scrub_unread_pages_total")]),
        ("Since the last", "s", "lines",
         [("scrub", "time() - (farpage_scrub_last_run_timestamp_seconds > 0)"),
          ("snapshot", "time() - (farpage_snapshot_last_timestamp_seconds > 0)")]),
        ("Snapshots", "short", "lines",
         [("taken", "farpage_snapshots_taken_total"),
          ("given up", "farpage_snapshots_given_up_total")])]),
    ("Clients", [
        ("Connections", "short", "stack", [("{{protocol}}", "farpage_connections")]),
        ("Maps and what they pin", "short", "lines",
         [("maps", "farpage_maps"), ("pinned objects", "farpage_pinned_objects")]),
        ("Turned away", "ops", "lines",
         [("too many", f"rate(farpage_connections_rejected_total{RATE})"),
          ("too slow", f"rate(farpage_connections_slow_closed_total{RATE})"),
          ("no password", f"rate(farpage_login_errors_total{RATE})")])]),
]
WIDTH, HEIGHT = 24, 8  # of Grafana's grid


def panel(number, what, place):
    title, unit, form, asked = what
    x, y, width, height = place
    source = {"type": "prometheus", "uid": "prometheus"}
    made = {"id": number, "title": title, "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "datasource": source, "type": "stat" if form == "stat" else "timeseries",
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": chr(65 + i), "datasource": source, "expr": expression,
                         "legendFormat": legend} for i, (legend, expression) in enumerate(asked)]}
    if form == "stack":
        made["fieldConfig"]["defaults"]["custom"] = {"stacking": {"mode": "normal"},
                                                     "fillOpacity": 40}
    return made


def dashboard():
    panels, y, number = [], 0, 1
    for title, row in ROWS:
        panels.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        number, y = number + 1, y + 1
        width = WIDTH // len(row)
        height = HEIGHT // 2 if row[0][2] == "stat" else HEIGHT
        for i, what in enumerate(row):
            panels.append(panel(number, what, (i * width, y, width, height)))
            number += 1
        y += height
    return {"uid": "farpage", "title": "farpage", "tags": ["farpage"], "schemaVersion": 38,
            "editable": True, "refresh": "5s", "time": {"from": "now-15m", "to": "now"},
            "timezone": "browser", "templating": {"list": []}, "annotations": {"list": []},
            "panels": panels}


def queries(path):
    """Every query of a dashboard, as a Prometheus takes it that scrapes every second or two."""
    with open(path, encoding="utf-8") as f:
        for one in json.load(f)["panels"]:
            for target in one.get("targets", []):
                yield target["expr"].replace("$__rate_interval", "20s")


def is_answered(address, query):
    """Whether a Prometheus at (host, port) has data for a query; one that does not listen has none."""
    try:
        with socket.create_connection(address, timeout=20) as s:
            s.sendall(f"GET /api/v1/query?query={urllib.parse.quote(query)} HTTP/1.0\r\n\r\n".encode())
            said = b""
            while got := s.recv(65536):
                said += got
    except OSError:
        return False
    answer = json.loads(said.split(b"\r\n\r\n", 1)[1])
    if answer["status"] != "success":
        raise ValueError(f"{query}: {answer}")
    return bool(answer["data"]["result"])


if __name__ == "__main__":
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    json.dump(dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
