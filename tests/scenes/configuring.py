#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The configuration of a running server: shown, one key set, read again."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from running import Server, free_port
from story import ask, stats, tell


def rewrite(server, text):
    """The server's file, with more sections at its end."""
    if not hasattr(server, "original"):
        with open(server.config) as f:
            server.original = f.read()
    with open(server.config, "w") as f:
        f.write(server.original + text)


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def a_key_is_set_until_the_next_reload(programs):
    with Server(programs.farpaged, ["server.idle_timeout=9s"]) as server:
        said = programs.run(server, "set", "log.level", "debug")
        assert said.splitlines() == ["log.level: info -> debug", "until the next reload or restart"]
        assert programs.run(server, "get", "log.level") == "debug\n"
        assert "so already" in programs.run(server, "set", "log.level", "debug")
        rows = programs.json(server, "config")
        assert rows["log.level"] == {"value": "debug", "from": "set"}, rows
        assert rows["server.idle_timeout"] == {"value": "9s", "from": "--set:1"}
        assert rows["server.threads"]["from"].startswith(server.config + ":")
        assert rows["storage.page_size"] == {"value": "4KiB", "from": "default"}
        assert rows["listeners[1].address"]["value"] == f"127.0.0.1:{server.port}"
        assert set(programs.json(server, "config", "log")) == {k for k in rows if k.startswith("log.")}
        wait_for(lambda: "debug connection closed" in server.stderr())
        assert "log.level: debug -> info" in programs.run(server, "reload")
        assert programs.run(server, "get", "log.level") == "info\n"
        # by telnet
        assert ask(server, "config set storage.memory_limit 512MiB\r\n").splitlines() == [
            "CHANGED storage.memory_limit: 1GiB -> 512MiB", "OK until the next reload or restart"]
        assert stats(server)["limit_maxbytes"] == str(512 << 20)


def what_may_not_be_set_is_refused_with_the_reason(programs):
    with tempfile.TemporaryDirectory() as directory:
        users, nobody = os.path.join(directory, "users"), os.path.join(directory, "nobody")
        for path, text in ((users, "me:secret\n"), (nobody, "# nobody yet\n")):
            with open(path, "w") as f:
                f.write(text)
            os.chmod(path, 0o600)
        with Server(programs.farpaged, ["storage.memory_limit=64MiB"]) as server:
            def refuse(key, value, why):
                said = programs.run(server, "set", key, value, code=1)
                assert why in said and said.count("\n") == 1, said
            before = programs.json(server, "config")
            refuse("storage.page_size", "16KiB", "needs a restart")
            refuse("listeners", "[]", "at least 1 is needed")
            refuse("listeners", '[{address: "127.0.0.1:0"}]', "needs a restart")
            refuse("server.flush_command", "off", "the file's to say")
            refuse("server.config_command", "on", "the file's to say")
            refuse("log.levle", "debug", "did you mean 'log.level'?")
            refuse("log.level", "loud", "'loud' is not error, warn, info or debug")
            refuse("log", "debug", "is a section")
            refuse("areas[0].size", "4KiB", "a list is set whole")
            refuse("storage.memory_limit", "64Q", "is not a size")
            refuse("storage.item_size_max", "64MiB", "more than half")
            refuse("auth.file", users, "no listener would be left")
            refuse("tls.verify_clients", "required", "tls.client_ca names the file")
            crowd = [server.connect("tcp") for _ in range(5)]
            for s in crowd:
                s.sendall(b"version\r\n")
                s.recv(100)
            refuse("server.max_connections", "3", "connections are open")
            assert programs.json(server, "config") == before
            assert ask(server, "config set log.level loud\r\n").startswith("CLIENT_ERROR ")
            assert ask(server, "config set storage.page_size 16KiB\r\n").startswith("SERVER_ERROR ")
            for line in ("config", "config sett a b", "config set", "config set =", "config reload now"):
                assert ask(server, line + "\r\n") == "CLIENT_ERROR usage: config get [KEY] | set " \
                    "KEY VALUE | reload\r\n", line
            for s in crowd:
                s.close()
        # where a door is left for who sets it, it may be asked of the others
        with Server(programs.farpaged, local="auth: off") as server:
            assert "there is no user in it" in programs.run(server, "set", "auth.file", nobody, code=1)
            programs.run(server, "set", "auth.file", users)
            with server.connect("tcp") as s:
                s.sendall(b"version\r\n")
                assert s.recv(100).startswith(b"CLIENT_ERROR unauthenticated")
            programs.run(server, "set", "auth.file", "")
            assert ask(server, "version\r\n").startswith("VERSION")


def who_may_change_it_is_the_files_to_say(programs):
    elsewhere = [line.split()[3].split("/")[0] for line in subprocess.run(
        ["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=False).stdout.splitlines()
        if "127." not in line] if shutil.which("ip") else []
    port = free_port()
    for whose, local, remote in (("local", "OK", "SERVER_ERROR"), ("off", "SERVER_ERROR", "SERVER_ERROR"),
                                 ("on", "OK", "OK")):
        with Server(programs.farpaged, [f"server.config_command={whose}"], listeners=[
                f'{{address: "*:{port}", insecure: on}}']) as server:
            for line in ("config set log.level info\r\n", "config reload\r\n"):
                for how in ("tcp", "unix"):
                    assert ask(server, line, how).startswith(local), (whose, how)
                for address in elsewhere[:1]:
                    with socket.create_connection((address, port)) as s:
                        s.sendall(line.encode() + b"quit\r\n")
                        assert s.recv(1000).decode().startswith(remote), (whose, address)
            assert "CONFIG log.level" in ask(server, "config get log\r\n")


def a_reload_tells_what_it_came_to(programs):
    with Server(programs.farpaged) as server:
        assert programs.run(server, "reload") == "reloaded: 0 changed\n"
        rewrite(server, "compressor: {algorithm: zstd}\nlog: {format: logfmt}\n")
        assert programs.run(server, "reload").splitlines() == [
            "compressor.algorithm: lz4 -> zstd", "log.format: text -> logfmt", "reloaded: 2 changed"]
        rewrite(server, "storage: {page_size: 16KiB}\nlog: {level: debug}\n")
        assert programs.run(server, "reload", code=1).splitlines() == [
            "storage.page_size: 4KiB -> 16KiB needs a restart",
            "farpage: nothing was applied: some changes need a restart"]
        rewrite(server, "storage: {memory_limit: 64Q}\nlgo: {}\n")
        said = programs.run(server, "reload", code=1).splitlines()
        lines = server.original.count("\n")
        assert said[0].startswith(f"{server.config}:{lines + 1}:25: error: storage.memory_limit: "), said
        assert said[1].startswith(f"{server.config}:{lines + 2}:1: error: unknown key 'lgo'"), said
        assert programs.run(server, "get", "compressor.algorithm") == "zstd\n", "all or nothing"
        os.rename(server.config, server.config + ".gone")
        assert "cannot be read: No such file" in programs.run(server, "reload", code=1)
        os.rename(server.config + ".gone", server.config)
        rewrite(server, "")
        programs.run(server, "reload")
        metrics = dict(line.split(" ")[1:] for line in ask(server, "stats metrics\r\n").splitlines()[:-1])
        assert metrics["farpage_config_reloads_total"] == "6", metrics
        assert metrics["farpage_config_reloads_refused_total"] == "3"
        assert metrics["farpage_config_last_reload_successful"] == "1"


def a_set_leaves_alone_what_commands_changed(programs):
    with Server(programs.farpaged) as server:
        ask(server, "compressor set zstd:3\r\ncache_memlimit 100\r\nslabs automove 0\r\n")
        programs.run(server, "set", "session.maps_max", "7")
        rows = programs.json(server, "config")
        assert rows["compressor.algorithm"] == {"value": "zstd", "from": "command"}, rows
        assert rows["storage.memory_limit"] == {"value": "100MiB", "from": "command"}
        assert rows["storage.compaction"] == {"value": "manual", "from": "command"}
        assert stats(server)["limit_maxbytes"] == str(100 << 20)
        programs.run(server, "reload")  # the file wins
        rows = programs.json(server, "config")
        assert all(row["from"] not in ("command", "set") for row in rows.values()), rows


def changes_from_all_sides_take_their_turns(programs):
    """Reloads by signal and by command, and sets, at once: none is lost, and no request fails."""
    with Server(programs.farpaged) as server:
        until, wrong = time.monotonic() + 1.5, []

        def sets(key, values):
            with server.connect("tcp") as s:
                f = s.makefile("rb")
                for n in range(10**6):
                    if time.monotonic() > until:
                        return
                    s.sendall(f"config set {key} {values[n % 2]}\r\n".encode())
                    while not (line := f.readline()).startswith((b"OK", b"SERVER_ERROR")):
                        if not line.startswith(b"CHANGED"):
                            wrong.append(line)
                    if line.startswith(b"SERVER_ERROR") and b"changed already" not in line:
                        wrong.append(line)

        def reloads():
            while time.monotonic() < until:
                said = ask(server, "config reload\r\n")
                if "OK " not in said and "changed already" not in said:
                    wrong.append(said)

        threads = [threading.Thread(target=sets, args=a) for a in (
            ("compressor.algorithm", ("zstd", "lz4")), ("storage.memory_limit", ("64MiB", "1GiB")))]
        threads.append(threading.Thread(target=reloads))
        for thread in threads:
            thread.start()
        hups = 0
        while time.monotonic() < until:
            server.process.send_signal(signal.SIGHUP)
            hups += 1
            assert ask(server, "set a 0 0 1\r\nx\r\nget a\r\n").startswith("STORED")
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert not wrong, wrong[:5]
        rewrite(server, "log: {level: debug}\n")
        server.process.send_signal(signal.SIGHUP)  # the last one counts
        wait_for(lambda: programs.run(server, "get", "log.level") == "debug\n")
        assert hups > 10


tell([a_key_is_set_until_the_next_reload, what_may_not_be_set_is_refused_with_the_reason,
      who_may_change_it_is_the_files_to_say, a_reload_tells_what_it_came_to, a_set_leaves_alone_what_commands_changed,
      changes_from_all_sides_take_their_turns])
