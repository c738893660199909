#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""swap_command - `farpage swap` on a machine of files, every step of it failing once. With a real
kernel it is run by tests/vm."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import textwrap
import time

from story import tell
from swap_machine import TITLE, Machine

ADDRESS = "nbd://10.0.0.7/swap/web1"
OTHER = "nbd://10.0.0.8/swap/web1"
CONNECT = ("nbd-client 10.0.0.7 10809 /dev/nbd0 -name swap/web1 -block-size 4096 -connections 2 "
           "-timeout 30 -swap")


def swap_goes_on_is_shown_and_goes_off(programs):
    with Machine(programs.farpage) as machine:
        said = machine.swap("on", ADDRESS)
        assert "/dev/nbd0: 1.00 GiB of swap on nbd://10.0.0.7/swap/web1, priority 10" in said, said
        assert "vm.min_free_kbytes was 8192 and is 24576 now" in said, said
        assert machine.said() == [
            "modprobe nbd", "nbd-client -l 10.0.0.7 10809", CONNECT,
            "mkswap --label fp-web1 /dev/nbd0", "swapon --priority 10 --discard /dev/nbd0"]
        assert machine.read("proc/sys/vm/min_free_kbytes") == "24576\n"
        said = machine.swap("status")
        assert "/dev/nbd0" in said and "  on  " in said and ADDRESS in said, said
        assert "warning" not in said, said
        assert "off and disconnected" in machine.swap("off")
        assert machine.said() == ["swapoff /dev/nbd0", "blkdiscard -f /dev/nbd0",
                                  "nbd-client -d /dev/nbd0"]
        assert machine.swap("status") == "no swap on network block devices\n"


def the_server_that_the_document_shows_is_good(programs):
    page = pathlib.Path(__file__).parents[2] / "docs/swap.md"
    block = re.search(r"^    listeners:\n(?:    .*\n)+", page.read_text(), re.M)[0]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(textwrap.dedent(block))
        file.flush()
        done = subprocess.run([programs.farpaged, "--check", "--config", file.name],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def two_servers_make_a_mirror(programs):
    with Machine(programs.farpage) as machine:
        said = machine.swap("on", ADDRESS, OTHER)
        assert f"/dev/md0: 1.00 GiB of swap on {ADDRESS} and {OTHER}, priority 10, 1 connection, " \
            in said, said
        assert [line for line in machine.said() if " -l " not in line] == [
            "modprobe nbd", CONNECT.replace("-connections 2", "-connections 1"),
            CONNECT.replace("-connections 2", "-connections 1").replace("nbd0", "nbd1")
            .replace("10.0.0.7", "10.0.0.8"),
            "mdadm --create /dev/md0 --run --name=fp-web1 --level=1 --raid-devices=2 "
            "--assume-clean --bitmap=internal --metadata=1.2 /dev/nbd0 /dev/nbd1",
            "mkswap --label fp-web1 /dev/md0", "swapon --priority 10 --discard /dev/md0"]
        said = machine.swap("status")
        assert f"/dev/md0" in said and f"{ADDRESS} and {OTHER}" in said, said
        assert "nbd0  " not in said and "warning" not in said, said
        machine.write("sys/block/md0/md/degraded", "1\n")
        said = machine.swap("status")
        assert "on, a server gone" in said and "1 of a mirror's servers are gone" in said, said
        machine.said()
        machine.swap("off")
        assert machine.said() == [
            "swapoff /dev/md0", "mdadm --stop /dev/md0",
            "blkdiscard -f /dev/nbd0", "nbd-client -d /dev/nbd0",
            "blkdiscard -f /dev/nbd1", "nbd-client -d /dev/nbd1"]


def a_mirror_within_one_server_is_warned_of(programs):
    with Machine(programs.farpage) as machine:
        said = machine.swap("on", ADDRESS, "nbd://10.0.0.7/other")
        assert "warning: exports of one server are in the same mirror" in said, said


def a_mirror_that_fails_leaves_the_machine_as_it_was(programs):
    rows = [("nbd-client /dev/nbd1", 69, f"cannot connect: {OTHER}: nbd-client: nbd-client would"),
            ("mdadm --create", 1, "cannot make the mirror: mdadm: mdadm would not"),
            ("mdadm --create lies", 1, "mdadm says it made /dev/md0, and the kernel does not"),
            ("mkswap --label", 1, "cannot make the swap area: mkswap: mkswap would not")]
    for fails, code, reason in rows:
        with Machine(programs.farpage) as machine:
            for n in (0, 1):
                os.makedirs(machine.root / f"sys/block/nbd{n}/queue")
                machine.write(f"sys/block/nbd{n}/size", "0\n")
            before = machine.state()
            machine.write("fails", fails + "\n")
            said = machine.swap("on", ADDRESS, OTHER, code=code)
            assert reason in said, f"{fails}: {said}"
            assert machine.state() == before, f"{fails}: {before} became {machine.state()}"


def a_step_that_fails_says_why_and_leaves_the_machine_as_it_was(programs):
    rows = [
        ("modprobe nbd", 1, "this kernel has no nbd module (modprobe: modprobe would not)"),
        ("modprobe nbd lies", 1, "the nbd module makes no devices"),
        ("nbd-client -swap", 69, "cannot connect: nbd-client: nbd-client would not"),
        ("nbd-client -swap lies", 1, "nbd-client says it made /dev/nbd0, and the kernel"),
        ("mkswap --label", 1, "cannot make the swap area: mkswap: mkswap would not"),
        ("swapon --priority", 1, "cannot turn it on: swapon: swapon would not"),
        ("swapon --priority lies", 1, "swapon says it is on, and /dev/nbd0 is not in /proc/swaps"),
    ]
    for fails, code, reason in rows:
        with Machine(programs.farpage) as machine:
            if not fails.startswith("modprobe"):
                os.makedirs(machine.root / "sys/block/nbd0/queue")
                machine.write("sys/block/nbd0/size", "0\n")
            before = machine.state()
            machine.write("fails", fails + "\n")
            said = machine.swap("on", ADDRESS, code=code)
            assert reason in said, f"{fails}: {said}"
            assert machine.state() == before, f"{fails}: {before} became {machine.state()}"


def what_cannot_be_undone_is_said(programs):
    with Machine(programs.farpage) as machine:
        machine.write("fails", "swapon --priority\nnbd-client -d\n")
        said = machine.swap("on", ADDRESS, code=1)
        assert "swapon would not; and what was done before could not be undone: " \
            "nbd-client: nbd-client would not" in said, said
        assert machine.read("proc/sys/vm/min_free_kbytes") == "8192\n"


def a_missing_program_is_named_with_its_package(programs):
    for program, package in (("nbd-client", "nbd-client"), ("mkswap", "util-linux"),
                             ("swapon", "mount")):
        with Machine(programs.farpage) as machine:
            machine.environment["PATH"] = str(machine.root / "bin")
            (machine.root / "bin" / program).unlink()
            said = machine.swap("on", ADDRESS, code=1)
            assert f"{program} is not there: on Debian, apt install {package}" in said, said
            assert machine.said() == []


def what_others_keep_in_an_export_is_not_overwritten(programs):
    theirs = bytearray(200000)
    theirs[4086:4096] = b"SWAPSPACE2"
    theirs[1052:1058] = b"fp-web"
    array = b"\0" * 4096 + b"\xfc\x4e\x2b\xa9" + b"\0" * 28 + b"web:fp-web".ljust(32, b"\0")
    for content, reason in ((array, "the swap of another machine, 'fp-web'"),
                            (bytes(theirs), "the swap of another machine, 'fp-web'"),
                            (b"\0" * 1024 + b"a file system", "something that is no swap area")):
        with Machine(programs.farpage) as machine:
            machine.write("dev/nbd0", content)
            said = machine.swap("on", ADDRESS, code=1)
            assert reason in said, said
            assert not any("mkswap" in line for line in machine.said())
            assert machine.read("proc/swaps") == TITLE
            assert not (machine.root / "sys/block/nbd0/pid").exists()
            machine.swap("on", ADDRESS, "--force")


def an_export_with_an_identity_is_asked_for_by_it(programs):
    with Machine(programs.farpage) as machine:
        machine.write("exports", "swap: mine; this one is swap@0123456789abcdef.2\n")
        said = machine.swap("on", "nbd://10.0.0.7/swap")
        assert "nbd://10.0.0.7/swap@0123456789abcdef.2" in said, said
        assert any("-name swap@0123456789abcdef.2 " in line for line in machine.said())


def a_free_device_is_taken_and_several_are_told_apart(programs):
    with Machine(programs.farpage) as machine:
        machine.swap("on", ADDRESS)
        machine.swap("on", ADDRESS, "--priority", "3", "--connections", "4", "--silence", "60s")
        assert any("/dev/nbd1" in line and "-connections 4 -timeout 60" in line
                   for line in machine.said())
        assert "every nbd device is in use" in machine.swap("on", ADDRESS, code=1)
        assert "2 are on: name the device" in machine.swap("off", code=1)
        machine.swap("off", "nbd1")
        machine.swap("off")
        assert "'farpage swap on' turned none on here" in machine.swap("off", code=1)
        assert "is neither swap nor connected" in machine.swap("off", "/dev/nbd1", code=1)


def a_device_that_became_somebody_else_s_is_left_alone(programs):
    with Machine(programs.farpage) as machine:
        machine.swap("on", ADDRESS)
        machine.write("proc/swaps", TITLE)
        machine.write("sys/block/nbd0/pid", "43\n")
        machine.said()
        assert "is neither swap nor connected" in machine.swap("off", code=1)
        assert machine.said() == []
        assert machine.swap("status") == "no swap on network block devices\n"


def swap_that_does_not_fit_is_not_turned_off(programs):
    with Machine(programs.farpage) as machine:
        machine.swap("on", ADDRESS)
        machine.write("proc/swaps", TITLE + "/dev/nbd0 partition 1048572 200000 10\n")
        said = machine.swap("off", code=1)
        assert "195 MiB of memory are swapped out to /dev/nbd0, and there is room for 97.7 MiB" in \
            said, said
        machine.swap("off", "--force")


def a_swapoff_that_fails_keeps_the_connection(programs):
    with Machine(programs.farpage) as machine:
        machine.swap("on", ADDRESS)
        machine.write("fails", "swapoff /dev/nbd0\n")
        said = machine.swap("off", code=1)
        assert "swapoff would not, and /dev/nbd0 is still on with 0 B in it" in said, said
        assert not any("-d" in line.split() for line in machine.said())
        assert machine.swap("status").count("/dev/nbd0") == 1


def ctrl_c_undoes_on_and_leaves_off_undone(programs):
    with Machine(programs.farpage) as machine:
        machine.write("fails", "mkswap --label sleeps\n")
        process = machine.start("on", ADDRESS)
        until = time.monotonic() + 20
        while "mkswap" not in machine.read("said") and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = "".join(process.communicate(timeout=20))
        assert process.returncode == 1 and "mkswap: interrupted" in said, said
        assert not (machine.root / "sys/block/nbd0/pid").exists()
        assert machine.read("proc/sys/vm/min_free_kbytes") == "8192\n"
        machine.write("fails", "swapoff /dev/nbd0 sleeps\n")
        machine.swap("on", ADDRESS)
        process = machine.start("off")
        while "swapoff" not in machine.read("said") and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = "".join(process.communicate(timeout=20))
        assert process.returncode == 1 and "interrupted, and /dev/nbd0 is still on" in said, said


def a_server_that_does_not_answer_is_given_up(programs):
    with Machine(programs.farpage) as machine:
        machine.write("fails", "nbd-client -swap sleeps\n")
        begun = time.monotonic()
        said = machine.swap("on", ADDRESS, "--timeout", "500ms", code=69)
        assert "cannot connect: nbd-client: no answer" in said, said
        assert time.monotonic() - begun < 15


def dangers_are_warned_of(programs):
    with Machine(programs.farpage) as machine:
        machine.write("sys/module/zswap/parameters/enabled", "Y\n")
        machine.write("proc/sys/vm/page-cluster", "0\n")
        machine.swap("on", ADDRESS, "--silence", "5s")
        machine.write("proc/sys/vm/min_free_kbytes", "8192\n")
        warnings = json.loads(machine.swap("status", "--json"))["warnings"]
        assert len(warnings) == 4, warnings
        assert "may hang for good" in warnings[0] and "after 5 s" in warnings[1], warnings
        said = machine.swap("status")
        assert said.count("warning: ") == 4, said
        (machine.root / "sys/block/nbd0/pid").unlink()
        assert "on, its server gone" in machine.swap("status")


def a_dry_run_runs_nothing(programs):
    with Machine(programs.farpage) as machine:
        before = machine.state()
        said = machine.swap("on", "nbd+unix:///x?socket=/run/n", "--dry-run")
        assert said.splitlines() == [
            "modprobe nbd", "sysctl vm.min_free_kbytes=24576",
            "nbd-client -unix /run/n /dev/nbd0 -name x -block-size 4096 -connections 2 -timeout 30 "
            "-swap", "mkswap --label fp-web1 /dev/nbd0",
            "swapon --priority 10 --discard /dev/nbd0"], said
        assert machine.state() == before and machine.said() == []
        machine.swap("on", ADDRESS)
        machine.said()
        assert machine.swap("off", "--dry-run").splitlines() == [
            "swapoff /dev/nbd0", "blkdiscard -f /dev/nbd0", "nbd-client -d /dev/nbd0"]
        assert machine.said() == []


def documents_are_json(programs):
    with Machine(programs.farpage) as machine:
        on = json.loads(machine.swap("on", ADDRESS, "--json"))
        assert on["device"] == "/dev/nbd0" and on["size_bytes"] == 1048572 << 10, on
        machine.write("proc/swaps", TITLE + "/dev/nbd0 partition 1048572 1000 10\n")
        [row] = json.loads(machine.swap("status", "--json"))["swaps"]
        assert row["used_bytes"] == 1024000 and row["condition"] == "on", row
        assert row["connections"] == 2 and row["priority"] == 10, row
        machine.write("fails", "swapoff /dev/nbd0\n")
        assert json.loads(machine.swap("off", "--json", code=1).splitlines()[0])["exit_code"] == 1
        machine.write("fails", "")
        assert json.loads(machine.swap("off", "--json"))["came_back_bytes"] == 1024000


if __name__ == "__main__":
    tell([the_server_that_the_document_shows_is_good, swap_goes_on_is_shown_and_goes_off,
          two_servers_make_a_mirror,
          a_mirror_within_one_server_is_warned_of,
          a_mirror_that_fails_leaves_the_machine_as_it_was,
          a_step_that_fails_says_why_and_leaves_the_machine_as_it_was,
          what_cannot_be_undone_is_said, a_missing_program_is_named_with_its_package,
          what_others_keep_in_an_export_is_not_overwritten,
          an_export_with_an_identity_is_asked_for_by_it,
          a_free_device_is_taken_and_several_are_told_apart,
          a_device_that_became_somebody_else_s_is_left_alone,
          swap_that_does_not_fit_is_not_turned_off, a_swapoff_that_fails_keeps_the_connection,
          ctrl_c_undoes_on_and_leaves_off_undone, a_server_that_does_not_answer_is_given_up,
          dangers_are_warned_of, a_dry_run_runs_nothing, documents_are_json])
