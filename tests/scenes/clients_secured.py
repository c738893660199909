#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that others wrote, unchanged, where a server wants TLS or users; docs/clients.md lists
them. A test whose client is not installed is skipped (exit code 77), with the reason."""
import subprocess
import sys

from auth import Guarded
from certificates import believing
from clients import HERE, need, need_program, npm_clients, skip
from story import tell
from tls import Secured


def pymemcache_speaks_tls(programs):
    Client = need("pymemcache.client.base", "python3-pymemcache").Client
    with Secured(programs) as secured:
        client = Client(("127.0.0.1", secured.server.port), default_noreply=False, timeout=20,
                        tls_context=believing(secured.authority))
        values = {f"key{n}": b"value %d " % n * 200 for n in range(200)}
        assert client.set_many(values) == [] and client.get_many(list(values)) == values
        assert client.incr("nobody", 1) is None and client.delete("key7")
        client.quit()
        assert secured.count("cmd_set") == 200


def memcache_client_speaks_tls(programs):
    node = need_program("node", "nodejs")
    folder = npm_clients(programs)
    with Secured(programs) as secured:
        done = subprocess.run([node, f"{HERE}/node_memcache_client.js", folder,
                               f"127.0.0.1:{secured.server.port}", secured.authority.pem],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.strip() == "right", done.stdout + done.stderr


def is_in(client, name, value):
    """What comes after the login is heard, and what came before it was not kept."""
    assert client.set(name, value) and client.get(name) == value


def pymemcache_logs_in_with_a_set(programs):
    base = need("pymemcache.client.base", "python3-pymemcache")
    errors = need("pymemcache.exceptions", "python3-pymemcache")
    with Guarded(programs) as guarded:
        client = base.Client(("127.0.0.1", guarded.server.port), default_noreply=False)
        try:
            client.set("name", b"value")
            raise AssertionError("a stranger came in")
        except errors.MemcacheClientError as error:
            assert "authentication" in str(error), error
        assert client.set("login", "alice secret")
        is_in(client, "name", b"value")
        client.close()
        assert guarded.count("auth_cmds") == 1


def pylibmc_logs_in_with_a_set(programs):
    pylibmc = need("pylibmc", "python3-pylibmc")
    with Guarded(programs) as guarded:
        client = pylibmc.Client([f"127.0.0.1:{guarded.server.port}"])
        assert client.set("login", "alice secret")
        is_in(client, "name", "value")
        client.disconnect_all()
        try:
            client.set("login", "alice wrong")
            raise AssertionError("a wrong password is good")
        except pylibmc.Error as error:
            assert "authentication failure" in str(error), error


def php_memcached_logs_in_with_a_set(programs):
    php = need_program("php", "php-cli")
    script = """$c = new Memcached(); $c->addServer($argv[1], (int) $argv[2]);
        $c->setOption(Memcached::OPT_COMPRESSION, false);
        if (!$c->set('login', 'alice secret')) die('no login: ' . $c->getResultMessage());
        if (!$c->set('name', 'value')) die('no set: ' . $c->getResultMessage());
        echo $c->get('name') === 'value' ? 'right' : 'wrong';"""
    if subprocess.run([php, "-r", "exit(class_exists('Memcached') ? 0 : 1);"],
                      check=False).returncode:
        skip("php-memcached is not installed")
    with Guarded(programs) as guarded:
        done = subprocess.run([php, "-r", script, "--", "127.0.0.1", str(guarded.server.port)],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout == "right", done.stdout + done.stderr


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    tell([pymemcache_speaks_tls, memcache_client_speaks_tls, pymemcache_logs_in_with_a_set,
          pylibmc_logs_in_with_a_set, php_memcached_logs_in_with_a_set])
