# SPDX-License-Identifier: BSD-3-Clause
"""engines - what spreads keys over several servers today: libmemcached, twemproxy, pymemcache.

Each is somebody else's program, used as its users use it. An Engine makes clients; a client has
get(key), get_many(keys) and set(key, value), which raise what the library raises. set() raises too
where the library answers False: that store was refused, and the caller was told."""
import ctypes
import shutil
import textwrap

from cluster import free_port

NUTCRACKER = shutil.which("nutcracker") or shutil.which("nutcracker", path="/usr/sbin")
PACKAGES = {"pylibmc": "python3-pylibmc", "pymemcache": "python3-pymemcache"}
FOREVER = 2 ** 31


class NotStored(Exception):
    """set() answered False."""


def missing_packages():
    missing = [] if NUTCRACKER else ["nutcracker"]
    for module, package in PACKAGES.items():
        try:
            __import__(module)
        except ImportError:
            missing.append(package)
    return missing


class Client:
    """A library's client behind the three calls; `many` is its own name for get_many."""

    def __init__(self, library, many):
        self.get, self.get_many, self._set = library.get, getattr(library, many), library.set

    def set(self, key, value):
        if not self._set(key, value):
            raise NotStored


class Engine:
    """`settings` is what the table says of it. prepare() starts what it needs beside the servers;
    an engine is prepared anew for each cluster."""

    def __init__(self, name, settings):
        self.name, self.settings = name, settings

    def prepare(self, cluster):
        self.cluster = cluster

    def client(self):
        raise NotImplementedError


class Libmemcached(Engine):
    """By its Python binding. Times: connect in ms, poll in ms, retry and dead in s."""

    def __init__(self, name, settings, **behaviors):
        super().__init__(name, settings)
        self.behaviors = behaviors

    def client(self):
        import pylibmc
        return Client(pylibmc.Client(self.cluster.addresses, behaviors=self.behaviors),
                      "get_multi")


class Twemproxy(Engine):
    """One nutcracker for all clients, who are plain ones; times in its file are ms."""

    def __init__(self, name, settings, **options):
        super().__init__(name, settings)
        self.options = {"hash": "fnv1a_64", "distribution": "ketama", "auto_eject_hosts": "false",
                        **options}

    def prepare(self, cluster):
        super().prepare(cluster)
        self.port = free_port()
        options = {"listen": f"127.0.0.1:{self.port}", **self.options}
        lines = [f"{key}: {value}" for key, value in options.items()]
        lines += ["servers:"] + [f" - {address}:1" for address in cluster.addresses]
        path = f"{cluster.directory}/nutcracker.yml"
        with open(path, "w") as f:
            f.write("farpage:\n" + textwrap.indent("\n".join(lines), "  ") + "\n")
        cluster.run([NUTCRACKER, "-c", path, "-s", str(free_port())], self.port)

    def client(self):
        from pymemcache.client.base import Client as Plain
        return Client(Plain(("127.0.0.1", self.port), default_noreply=False, no_delay=True),
                      "get_many")


class Pymemcache(Engine):
    """Its HashClient; times are seconds."""

    def __init__(self, name, settings, **options):
        super().__init__(name, settings)
        self.options = {"default_noreply": False, "no_delay": True, **options}

    def client(self):
        from pymemcache.client.hash import HashClient
        return Client(HashClient(self.cluster.addresses, **self.options), "get_many")


# --- what is asked of an engine once --------------------------------------------------------------

def replicated_stores(cluster, replicas, keys):
    """How many items three servers hold after `keys` sets with so many replicas asked for."""
    import pylibmc
    client = pylibmc.Client(cluster.addresses, behaviors={"ketama": True, "num_replicas": replicas})
    for n in range(keys):
        client.set(f"replica-{n}", b"value")
    return sum(int(server.statistic("curr_items")) for server in cluster.servers)


def missed_after_growth(cluster, keys, ketama):
    """Stored through two of the servers, read through three: how many of the keys miss."""
    import pylibmc
    behaviors, names = {"ketama": ketama}, [f"growth-{ketama}-{n}" for n in range(keys)]
    two, three = (pylibmc.Client(cluster.addresses[:n], behaviors=behaviors) for n in (2, 3))
    for name in names:
        two.set(name, b"value")
    return sum(three.get(name) is None for name in names)


def stores_without_a_reply(cluster, victim, keys, **options):
    """Sets of keys of a server that is frozen, and then killed and started again:
    (how many, of them answered True, of them there in the end)."""
    from pymemcache.client.hash import HashClient
    client = HashClient(cluster.addresses, no_delay=True, timeout=0.2, connect_timeout=0.2,
                        retry_attempts=FOREVER, retry_timeout=-1, **options)
    names = [f"unheard-{n}" for n in range(3 * keys)]
    for name in names:
        client.set(name, b"before", noreply=False)
    names = sorted(victim.holds(names))
    victim.freeze()
    true = 0
    for name in names:
        try:
            true += bool(client.set(name, b"after"))
        except OSError:
            pass
    victim.kill()
    victim.start()
    return len(names), true, len(victim.holds(names))


class PlainLibmemcached:
    """The C library with no binding between, for what its memcached_mget() itself says."""

    def __init__(self, addresses):
        self.library = ctypes.CDLL("libmemcached.so.11")
        for name, result, *arguments in (
                ("memcached", ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
                ("memcached_free", None, ctypes.c_void_p),
                ("memcached_set", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                 ctypes.c_char_p, ctypes.c_size_t, ctypes.c_long, ctypes.c_uint32),
                ("memcached_mget", ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p),
                 ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t),
                ("memcached_fetch_result", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
                 ctypes.POINTER(ctypes.c_int))):
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
        options = " ".join(f"--SERVER={a}" for a in addresses) + " --DISTRIBUTION=consistent"
        self.handle = self.library.memcached(options.encode(), len(options))

    def set(self, key, value):
        return self.library.memcached_set(self.handle, key, len(key), value, len(value), 0, 0)

    def mget(self, keys):
        """(what it answered, 0 for MEMCACHED_SUCCESS; how many values came)."""
        answer = self.library.memcached_mget(
            self.handle, (ctypes.c_char_p * len(keys))(*keys),
            (ctypes.c_size_t * len(keys))(*map(len, keys)), len(keys))
        came, status = 0, ctypes.c_int()
        while self.library.memcached_fetch_result(self.handle, None, ctypes.byref(status)):
            came += 1
        return answer, came

    def close(self):
        self.library.memcached_free(self.handle)


def plain_mget(cluster, victim, keys):
    """memcached_mget() of keys over three servers of which one was killed: (answer, came)."""
    plain, names = PlainLibmemcached(cluster.addresses), [b"plain-%d" % n for n in range(keys)]
    for name in names:
        plain.set(name, b"value")
    victim.kill()
    plain.mget(names)  # meets the connection that broke; what follows meets no server
    try:
        return plain.mget(names)
    finally:
        plain.close()
