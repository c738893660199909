# SPDX-License-Identifier: BSD-3-Clause
"""place - where it happens: a server with all that it can have, and what its clients must know."""
import os
import shutil
import signal
import socket
import ssl
import tempfile

from auth import login
from certificates import Authority, believing
from nbd_wire import Device
from running import free_port

LIMITS_MIB = (96, 128, 160)  # what reloads set
LIMIT_MIB, SMALL_MIB = 128, 64  # what it is configured to; what a shrink asks for
SPILL_MIB = 48
USERS = {"web": "a secret", "batch": "another one"}
ADDRESS = "127.0.0.1"

SECTIONS = """  max_connections: 150
storage:
  memory_limit: {limit}MiB
  spill_path: {directory}/spill
  spill_size: {spill}MiB
tls: {{certificate: "{pem}", key: "{key}"}}
auth: {{file: "{directory}/users"}}
tenants:
  - {{name: web, members: "user:web", guaranteed: 8MiB, quota_bytes: 24MiB}}
  - {{name: batch, members: "user:batch", quota_bytes: 4MiB, quota_pages: 1200}}
"""


class Place:
    def __init__(self, farpaged, farpage, seed):
        self.farpaged, self.farpage, self.seed = farpaged, farpage, seed
        self.servers = []
        self.directory = tempfile.mkdtemp(prefix="soak-")
        self.authority = Authority(self.directory)
        self.pem, self.key = self.authority.issue("server")
        os.mkdir(self.path("spill"))
        os.mkdir(self.path("state"))
        self.write("users", "".join(f"{user}:{word}\n" for user, word in USERS.items()))
        os.chmod(self.path("users"), 0o600)
        for user, word in USERS.items():
            self.write(user + ".user", f"{user}:{word}\n")
            os.chmod(self.path(user + ".user"), 0o600)
        self.start()

    def forget(self):
        """Its files; the server is over."""
        for directory in [self.directory, *self.servers]:
            shutil.rmtree(directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """Whole, or not at all where its writer is killed."""
        with open(self.path(f"new.{os.getpid()}"), "w") as f:
            f.write(text)
        os.rename(self.path(f"new.{os.getpid()}"), self.path(name))

    def start(self, arguments=()):
        """A server of this configuration, on addresses of its own; an earlier one is over."""
        self.secure_port, self.http_port = free_port(), free_port()
        self.server = Device(
            self.farpaged, "[{name: disk, size: 8MiB}]", state=self.path("state"),
            sets=["storage.overcommit=4.0", "session.map_lease=5s", "storage.scrub_interval=0",
                  "storage.scrub_duty=30", f"server.restart_file={self.path('kept')}"],
            text_tcp="auth: off", local="auth: off", arguments=arguments,
            listeners=[f'{{address: "{ADDRESS}:{self.secure_port}", tls: on}}',
                       f'{{address: "{ADDRESS}:{self.http_port}", protocol: http, auth: off}}'],
            more=SECTIONS.format(limit=LIMIT_MIB, spill=SPILL_MIB, directory=self.directory,
                                 pem=self.pem, key=self.key))
        self.servers.append(self.server.directory)
        with open(self.server.config) as f:
            self.good = f.read()

    def address(self):
        return "unix:" + self.server.unix

    def secure(self, user, timeout=60):
        """A connection over TLS on which somebody has authenticated."""
        s = believing(self.authority).wrap_socket(
            socket.create_connection((ADDRESS, self.secure_port), timeout=timeout),
            server_hostname=ADDRESS)
        s.sendall(login(user, USERS[user]))
        said = b""
        while not said.endswith(b"\r\n"):
            if not (got := s.recv(100)):
                raise OSError("hung up on")
            said += got
        if said != b"STORED\r\n":
            s.close()
            raise ssl.SSLError(said.decode("ascii", "replace"))
        return s

    def configure(self, text):
        with open(self.server.config + ".new", "w") as f:
            f.write(text)
        os.rename(self.server.config + ".new", self.server.config)

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)
