#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Manifests and compose files, held against the server that they start. Skipped (77) where
python3-yaml is missing."""
import glob
import os
import re
import shutil
import socket
import subprocess
import sys

from running import Server, free_port
from story import tell

DOCKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docker")


def load(path):
    try:
        import yaml
    except ImportError:
        print("skipped: python3-yaml is not installed")
        sys.exit(77)
    with open(os.path.join(DOCKER, path), encoding="utf-8") as f:
        return list(yaml.safe_load_all(f))


def effective(programs, path):
    """(ports, memory_limit in MiB, paths) of a configuration, as the server has it."""
    done = subprocess.run([programs.farpaged, "--config", os.path.join(DOCKER, path),
                           "--dump-config"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    ports = {int(p) for p in re.findall(r'address: "?\*:(\d+)', done.stdout)}
    size = re.search(r"memory_limit: (\d+)([MG])iB", done.stdout)
    paths = set(re.findall(r'(?:unix:|state_dir: "?)(/[a-z/]*)', done.stdout))
    return ports, int(size[1]) * (1024 if size[2] == "G" else 1), paths


def configurations_in_containers_are_good(programs):
    files = [f for f in glob.glob(f"{DOCKER}/**/*.yaml", recursive=True)
             if "listeners:" in open(f, encoding="utf-8").read()]
    assert len(files) >= 4, files
    for path in files:
        done = subprocess.run([programs.farpaged, "--config", path, "--check"], timeout=20,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "good" in done.stdout, (path, done)


def compose_files_fit_what_they_start(programs):
    with open(os.path.join(DOCKER, "Dockerfile"), encoding="utf-8") as f:
        exposed = {int(p) for p in re.search(r"^EXPOSE (.*)$", f.read(), re.M)[1].split()}
    server = load("compose.yaml")[0]["services"]["server"]
    ports, limit_mib, _ = effective(programs, "farpaged.compose.yaml")
    inside = {int(p.rsplit(":", 1)[1]) for p in server["ports"]}
    assert inside == ports == exposed, (inside, ports, exposed)
    assert all(p.startswith("127.0.0.1:") for p in server["ports"])
    assert int(server["mem_limit"].rstrip("m")) >= limit_mib * 5 // 4
    assert server["memswap_limit"] == server["mem_limit"]
    _, limit_mib, _ = effective(programs, "test/server.yaml")
    server = load("compose.test.yaml")[0]["services"]["server"]
    assert int(server["mem_limit"].rstrip("m")) >= limit_mib * 5 // 4
    scrape = load("prometheus/prometheus.yml")[0]["scrape_configs"][0]
    assert int(scrape["static_configs"][0]["targets"][0].split(":")[1]) in ports
    mount = load("grafana/provisioning/dashboards/farpage.yaml")[0]["providers"][0]["options"]["path"]
    assert any(v.split(":")[1] == mount
               for v in load("compose.yaml")[0]["services"]["grafana"]["volumes"])


def answer(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return s.recv(4096).split(b" ")[1]


def manifests_fit_what_they_start(programs):
    folder = "kubernetes/"
    made = {}
    for name in load(folder + "kustomization.yaml")[0]["resources"]:
        for one in load(folder + name):
            assert {"apiVersion", "kind", "metadata"} <= set(one), name
            made[one["kind"]] = one
    assert set(made) == {"Namespace", "Service", "StatefulSet", "PodDisruptionBudget",
                         "NetworkPolicy"}
    ports, limit_mib, paths = effective(programs, folder + "farpaged.yaml")
    spec = made["StatefulSet"]["spec"]
    pod, labels = spec["template"]["spec"], spec["template"]["metadata"]["labels"]
    container, = pod["containers"]
    names = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert set(names.values()) == ports, (names, ports)
    assert int(container["resources"]["limits"]["memory"].removesuffix("Mi")) >= limit_mib * 5 // 4
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    # Everything names what is there.
    service = made["Service"]
    assert spec["serviceName"] == service["metadata"]["name"]
    assert {p["targetPort"]: p["port"] for p in service["spec"]["ports"]} == names
    for selector in (spec["selector"]["matchLabels"], service["spec"]["selector"],
                     made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items(), selector
    reachable = {p["port"] for rule in made["NetworkPolicy"]["spec"]["ingress"]
                 for p in rule["ports"]}
    assert reachable == set(names)
    assert spec["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(names["http"])
    volumes = {v["name"] for v in pod["volumes"]} | {
        c["metadata"]["name"] for c in spec["volumeClaimTemplates"]}
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    assert set(mounts) == volumes
    for path in paths:  # where it writes, with a root file system that it cannot write
        assert any(path.startswith(m) for n, m in mounts.items() if n != "config"), path
    config = next(v for v in pod["volumes"] if v["name"] == "config")["configMap"]["name"]
    generator, = load(folder + "kustomization.yaml")[0]["configMapGenerator"]
    assert generator == {"name": config, "files": ["farpaged.yaml"]}
    assert container["args"][1] == mounts["config"] + "/farpaged.yaml"
    # What is probed is answered.
    port = free_port()
    with Server(programs.farpaged, listeners=[f'{{address: "127.0.0.1:{port}", protocol: http}}']):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["port"] == "http" and answer(port, asked["path"]) == b"200", asked
    if shutil.which("kubectl"):
        done = subprocess.run(["kubectl", "kustomize", os.path.join(DOCKER, folder)], timeout=60,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stdout.count("kind: ") >= 6, done.stderr


if __name__ == "__main__":
    tell([configurations_in_containers_are_good, compose_files_fit_what_they_start,
          manifests_fit_what_they_start])
