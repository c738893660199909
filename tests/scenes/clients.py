#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that others wrote, unchanged; docs/clients.md lists them. A test whose client is not
installed is skipped (exit code 77), with the reason."""
import fcntl
import importlib
import os
import re
import shutil
import subprocess
import sys
import time

from running import Server, free_port
from story import sanitized, stats, tell

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
SKIPPED = 77
NPM_CLIENTS = {"memcached": "2.2.2", "memjs": "1.3.2", "memcache-client": "1.0.5"}
NPM_SECONDS = 60
NPM_AGAIN_SECONDS = 600  # a registry that was not reached is left alone so long


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def need(module, package):
    try:
        return importlib.import_module(module)
    except ImportError:
        return skip(f"{package} is not installed")


def need_program(program, package):
    return shutil.which(program) or skip(f"{package} is not installed")


def run(*command, code=0, timeout=120, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout,
                          check=False, **more)
    said = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{said}"
    return said


def drive(server, *command):
    """A program of clients/, which ends with `right` or with what was wrong."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode == SKIPPED:
        skip(done.stdout.strip())
    assert done.stdout.strip() == "right" and done.returncode == 0, done.stdout + done.stderr
    assert int(stats(server)["farpage_protocol_errors"]) == 0, stats(server)


# --- Python ---------------------------------------------------------------------------------------

def pymemcache_works(programs):
    Client = need("pymemcache.client.base", "python3-pymemcache").Client
    with Server(programs.farpaged) as server:
        for address in (("127.0.0.1", server.port), server.unix):
            client = Client(address, default_noreply=False)
            big = os.urandom(500000)
            assert client.set("big", big) and client.get("big") == big
            assert client.set_many({f"k{n}": b"v%d" % n for n in range(100)}) == []
            assert client.get_many([f"k{n}" for n in range(100)])["k42"] == b"v42"
            value, cas = client.gets("k1")
            assert value == b"v1" and client.cas("k1", b"new", cas) is True
            assert client.cas("k1", b"newer", cas) is False
            assert client.add("k1", b"x") is False and client.replace("k1", b"7") is True
            assert client.incr("k1", 5) == 12 and client.decr("k1", 20) == 0
            assert client.append("k2", b"+") and client.prepend("k2", b"-")
            assert client.get("k2") == b"-v2+"
            assert client.touch("k2", 100) and client.delete("k2") and client.get("k2") is None
            assert client.version().startswith(b"1.6.")
            held = int(client.stats()[b"curr_items"])
            assert held >= 100, held  # those that were flushed may still be counted
            client.set("quiet", b"1", noreply=True)
            assert client.get("quiet") == b"1"
            client.set("past", b"1", expire=-1)
            assert client.get("past") is None
            assert client.flush_all() and client.get("k1") is None
            client.quit()


def pylibmc_works(programs):
    """libmemcached by way of Python; each type has its flags."""
    pylibmc = need("pylibmc", "python3-pylibmc")
    with Server(programs.farpaged) as server:
        for address in (f"127.0.0.1:{server.port}", server.unix):
            client = pylibmc.Client([address], behaviors={"cas": True, "tcp_nodelay": True})
            values = {"text": "text", "bytes": b"\0\r\n\xff", "number": 7, "truth": True,
                      "list": [1, {"two": 2.0}], "long": "long " * 50000}
            assert client.set_multi(values) == []
            assert client.get_multi(list(values) + ["nobody"]) == values
            assert client.set("packed", "long " * 50000, min_compress_len=1000)
            assert client.get("packed") == "long " * 50000
            assert client.add("text", "x") is False and client.replace("text", "other")
            value, cas = client.gets("text")
            assert value == "other" and client.cas("text", "mine", cas)
            assert client.cas("text", "yours", cas) is False and client.get("text") == "mine"
            assert client.incr("number", 35) == 42 and client.decr("number", 50) == 0
            assert client.append("bytes", b"+") and client.prepend("bytes", b"-")
            assert client.get("bytes") == b"-\0\r\n\xff+"
            assert client.touch("text", 60) and client.delete("text")
            assert client.get("text") is None and client.delete("text") is False
            told = client.get_stats()[0][1]
            assert int(told["curr_items"]) >= 5, told
            client.set("past", 1, time=1000000000)
            assert client.get("past") is None
            client.set("brief", 1, time=1)
            if address != server.unix:
                time.sleep(2.1)
                assert client.get("brief") is None
            assert client.flush_all() and client.get("list") is None
            client.disconnect_all()


def python_memcache_works(programs):
    memcache = need("memcache", "python3-memcache")
    with Server(programs.farpaged) as server:
        for address in (f"127.0.0.1:{server.port}", f"unix:{server.unix}"):
            client = memcache.Client([address], cache_cas=True)
            values = {"text": "text", "bytes": b"\0\r\n\xff", "number": 7,
                      "list": [1, {"two": 2.0}], "long": "long " * 50000}
            assert client.set_multi(values) == []
            assert client.get_multi(list(values) + ["nobody"]) == values
            assert client.set("packed", "long " * 50000, min_compress_len=1000)
            assert client.get("packed") == "long " * 50000
            assert not client.add("text", "x") and client.replace("text", "other")
            assert client.gets("text") == "other" and client.cas("text", "mine")
            assert client.gets("text") == "mine" and client.set("text", "of another")
            assert not client.cas("text", "yours") and client.get("text") == "of another"
            assert client.incr("number", 35) == 42 and client.decr("number", 50) == 0
            assert client.append("text", "+") and client.prepend("text", "-")
            assert client.get("text") == "-of another+"
            assert client.touch("text", 60) and client.delete("text")
            assert client.get("text") is None
            assert int(client.get_stats()[0][1]["curr_items"]) >= 5
            client.set("past", 1, time=-1)
            assert client.get("past") is None
            client.flush_all()
            assert client.get("list") is None
            client.disconnect_all()


# --- Perl, PHP, Node ------------------------------------------------------------------------------

def cache_memcached_works(programs):
    perl = need_program("perl", "perl")
    with Server(programs.farpaged) as server:
        drive(server, perl, f"{HERE}/cache_memcached.pl", "Cache::Memcached",
              f"127.0.0.1:{server.port}")


def cache_memcached_fast_works(programs):
    perl = need_program("perl", "perl")
    with Server(programs.farpaged) as server:
        for address in (f"127.0.0.1:{server.port}", server.unix):
            drive(server, perl, f"{HERE}/cache_memcached.pl", "Cache::Memcached::Fast", address)


def php_memcached_works(programs):
    php = need_program("php", "php-cli")
    with Server(programs.farpaged) as server:
        for host, port in (("127.0.0.1", server.port), (server.unix, 0)):
            drive(server, php, f"{HERE}/php_memcached.php", host, port)


def npm_clients(programs):
    """A folder of the build that has them, from the registry once; tests side by side wait."""
    folder = os.path.join(os.path.dirname(os.path.abspath(programs.farpaged)), "npm")
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(os.path.isdir(f"{folder}/node_modules/{name}") for name in NPM_CLIENTS):
            npm_install(folder, [f"{name}@{version}" for name, version in NPM_CLIENTS.items()])
    return folder


def npm_install(folder, packages):
    npm = need_program("npm", "npm")
    failed = f"{folder}/failed"
    if os.path.exists(failed) and time.time() - os.path.getmtime(failed) < NPM_AGAIN_SECONDS:
        with open(failed) as f:
            skip(f.read())
    try:
        run(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save",
            "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=20000", "--prefix", folder,
            *packages, timeout=NPM_SECONDS)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        code = re.search(r"npm err\S* code (\w+)", str(error), re.I)
        reason = f"npm cannot install {' '.join(packages)}: {code[1] if code else 'no answer'}"
        with open(failed, "w") as f:
            f.write(reason)
        skip(reason)


def node_memcached_works(programs):
    node = need_program("node", "nodejs")
    folder = npm_clients(programs)
    with Server(programs.farpaged) as server:
        drive(server, node, f"{HERE}/node_memcached.js", folder, f"127.0.0.1:{server.port}")


def memcache_client_works(programs):
    node = need_program("node", "nodejs")
    folder = npm_clients(programs)
    with Server(programs.farpaged) as server:
        drive(server, node, f"{HERE}/node_memcache_client.js", folder, f"127.0.0.1:{server.port}")


def memjs_has_its_error_at_once(programs):
    """A client of the binary protocol alone: not served, and not left waiting either."""
    node = need_program("node", "nodejs")
    folder = npm_clients(programs)
    with Server(programs.farpaged) as server:
        said = run(node, f"{HERE}/node_memjs.js", folder, f"127.0.0.1:{server.port}", timeout=30)
        assert said.strip() == "right", said
        assert int(stats(server)["farpage_protocol_errors"]) >= 1
        assert "binary protocol is not served" in server.stderr()


# --- Go, Java -------------------------------------------------------------------------------------

GO_PATH = "/usr/share/gocode"
JARS = [f"/usr/share/java/{name}.jar" for name in ("spymemcached", "slf4j-api", "slf4j-nop",
                                                   "log4j-1.2")]


def gomemcache_works(programs):
    go = need_program("go", "golang-go")
    if not os.path.isdir(f"{GO_PATH}/src/github.com/bradfitz/gomemcache"):
        skip("golang-github-bradfitz-gomemcache-dev is not installed")
    with Server(programs.farpaged) as server:
        program = os.path.join(server.directory, "program")
        run(go, "build", "-o", program, f"{HERE}/gomemcache.go",
            env={**os.environ, "GO111MODULE": "off", "GOPATH": GO_PATH, "GOFLAGS": "",
                 "GOCACHE": os.path.join(server.directory, "cache"), "CGO_ENABLED": "0"})
        drive(server, program, f"127.0.0.1:{server.port}")


def spymemcached_works(programs):
    javac, java = need_program("javac", "default-jdk-headless"), need_program("java", "a JRE")
    if not os.path.exists(JARS[0]):
        skip("libspymemcached-java is not installed")
    with Server(programs.farpaged) as server:
        classes = ":".join(JARS + [server.directory])
        run(javac, "-cp", classes, "-d", server.directory, f"{HERE}/Spymemcached.java")
        drive(server, java, "-cp", classes, "Spymemcached", f"127.0.0.1:{server.port}")


# --- libmemcached's tools -------------------------------------------------------------------------

def memccapable_passes(programs):
    """libmemcached's conformance test, all of its 27 text checks."""
    program = need_program("memccapable", "libmemcached-tools")
    with Server(programs.farpaged) as server:
        said = run(program, "-h", "127.0.0.1", "-p", server.port, "-a")
        assert said.count("[pass]") == 27 and "FAIL" not in said, said


def libmemcached_tools_work(programs):
    """memcping, memccp, memccat, memcexist, memctouch, memcstat, memcrm, memcflush."""
    need_program("memcstat", "libmemcached-tools")
    with Server(programs.farpaged) as server:
        address = f"--servers=127.0.0.1:{server.port}"
        path = os.path.join(server.directory, "file")
        with open(path, "w") as f:
            f.write("what is in the file\n" * 1000)
        run("memcping", address)
        run("memccp", address, path)
        assert run("memccat", address, "file") == "what is in the file\n" * 1000 + "\n"
        run("memcexist", address, "file")
        run("memctouch", address, "--expire=100", "file")
        said = run("memcstat", address)
        assert re.search(r"curr_items: 1$", said, re.M) and "pid: " in said, said
        run("memcexist", address, "nobody", code=1)
        run("memcrm", address, "file")
        run("memcexist", address, "file", code=1)
        run("memccp", address, path)
        run("memcflush", address)
        run("memcexist", address, "file", code=1)


def memcaslap_finds_no_wrong_value(programs):
    """libmemcached's load generator, which compares a part of what it gets."""
    program = need_program("memcaslap", "libmemcached-tools")
    operations = 4000 if sanitized(programs.farpaged) else 20000
    with Server(programs.farpaged) as server:
        config = os.path.join(server.directory, "mix")
        with open(config, "w") as f:
            f.write("key\n16 32 1\nvalue\n50 8000 1\ncmd\n0 0.3\n1 0.7\n")
        said = run(program, "-s", f"127.0.0.1:{server.port}", "-F", config, "-T", 2, "-c", 16,
                   "-w", "1k", "-v", "0.5", "-e", "0.1", "-x", operations)
        for what in ("verify_misses", "verify_failed", "get_misses"):
            assert re.search(rf"^{what}: 0$", said, re.M), said
        assert int(stats(server)["get_hits"]) > operations // 4, said


# --- in front of several --------------------------------------------------------------------------

def twemproxy_shards_over_three(programs):
    """nutcracker in front of three servers: each key has one home, and multigets are put together
    from all."""
    nutcracker = need_program("nutcracker", "nutcracker")
    Client = need("pymemcache.client.base", "python3-pymemcache").Client
    with Server(programs.farpaged) as a, Server(programs.farpaged) as b, \
            Server(programs.farpaged) as c:
        servers, port = (a, b, c), free_port()
        config = os.path.join(a.directory, "nutcracker.yml")
        with open(config, "w") as f:
            f.write(f"pool:\n  listen: 127.0.0.1:{port}\n  hash: md5\n"
                    "  distribution: modula\n  auto_eject_hosts: false\n  timeout: 10000\n"
                    "  servers:\n"
                    + "".join(f"    - 127.0.0.1:{server.port}:1\n" for server in servers))
        proxy = subprocess.Popen([nutcracker, "-c", config, "-s", str(free_port()), "-a",
                                  "127.0.0.1"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        try:
            through_a_proxy(Client, port, servers)
        finally:
            proxy.terminate()
            proxy.wait(timeout=20)


def through_a_proxy(Client, port, servers):
    client = Client(("127.0.0.1", port), default_noreply=False, timeout=20)
    until = time.monotonic() + 20
    while True:
        try:
            assert client.set("first", b"1")
            break
        except OSError:
            assert time.monotonic() < until, "nutcracker does not answer"
            time.sleep(0.05)
    values = {f"key{n}": b"value %d " % n * (n + 1) for n in range(300)}
    for key, value in values.items():
        assert client.set(key, value)
    assert client.get_many(list(values)) == values
    held = [int(stats(server)["curr_items"]) for server in servers]
    assert sum(held) == 301 and min(held) > 60, held
    value, cas = client.gets("key7")
    assert client.cas("key7", b"mine", cas) and client.cas("key7", b"yours", cas) is False
    assert client.set("number", b"40") and client.incr("number", 2) == 42
    assert client.append("key1", b"!") and client.get("key1") == values["key1"] + b"!"
    assert client.touch("key1", 60) and client.delete("key1") and client.get("key1") is None
    client.close()


# --- people ---------------------------------------------------------------------------------------

def netcat_works_with_bare_newlines(programs):
    need_program("nc", "netcat-openbsd")
    with Server(programs.farpaged) as server:
        for send in (b"stats\r\nquit\r\n", b"set a 0 0 5\nhello\nget a\nstats\nquit\n"):
            done = subprocess.run(["nc", "127.0.0.1", str(server.port)], input=send,
                                  capture_output=True, timeout=20, check=True)
            assert b"STAT pid " in done.stdout and done.stdout.endswith(b"END\r\n"), done


def telnet_works(programs):
    telnet = need_program("telnet", "inetutils-telnet")
    with Server(programs.farpaged) as server:
        session = subprocess.Popen([telnet, "127.0.0.1", str(server.port)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in (b"set a 0 0 5\n", b"hello\n", b"get a\n", b"stats zpool\n", b"quit\n"):
            time.sleep(0.2)  # as slowly as a person: telnet gives up at the end of its input
            session.stdin.write(line)
            session.stdin.flush()
        said = session.communicate(timeout=20)[0]
        for needed in (b"STORED", b"VALUE a 0 5", b"hello", b"STAT allocator "):
            assert needed in said, said


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([pymemcache_works, pylibmc_works, python_memcache_works, cache_memcached_works,
          cache_memcached_fast_works, php_memcached_works, node_memcached_works,
          memcache_client_works, memjs_has_its_error_at_once, gomemcache_works,
          spymemcached_works, memccapable_passes,
          libmemcached_tools_work, memcaslap_finds_no_wrong_value,
          twemproxy_shards_over_three, netcat_works_with_bare_newlines, telnet_works])
