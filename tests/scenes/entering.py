#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""libfarpage and the farpage command through TLS and a login: what works, and what each says that
does not."""
import os
import shutil
import subprocess
import tempfile
import time

from certificates import Authority
from library import Program
from running import Server
from story import sample, tell


class Entrance:
    """A server that wants a certificate and a user on TCP, and what a client needs to come in."""

    def __init__(self, programs, clients="required", auth=True, sets=()):
        self.programs = programs
        self.directory = tempfile.mkdtemp(prefix="entering-")
        self.authority = Authority(self.directory)
        pem, key = self.authority.issue("server")
        self.pem, self.key = self.authority.issue("client")
        self.auth = self.file("mine", "# for the command\nalice:open sesame\n")
        more = f'tls: {{certificate: "{pem}", key: "{key}"'
        if clients != "off":
            more += f', client_ca: "{self.authority.pem}", verify_clients: {clients}'
        more += "}\n"
        if auth:
            more += f'auth: {{file: "{self.auth}"}}\n'
        self.server = Server(programs.farpaged, tcp="tls: on", local="auth: off", more=more,
                             sets=sets)
        self.address = f"127.0.0.1:{self.server.port}"

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *error):
        try:
            self.server.__exit__(*error)
        finally:
            shutil.rmtree(self.directory)

    def options(self):
        return ["--tls-ca", self.authority.pem, "--tls-cert", self.pem, "--tls-key", self.key,
                "--auth-file", self.auth]

    def run(self, *words, code=0, environment=None, address=None):
        done = subprocess.run([self.programs.farpage, "--server", address or self.address, *words],
                              capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, **(environment or {})})
        assert done.returncode == code, done
        return done.stdout + done.stderr


def pages_go_out_and_come_back_through_the_door(programs):
    with Entrance(programs) as entrance:
        data = sample()[:4096 * 300]
        out, back = entrance.file("out", ""), os.path.join(entrance.directory, "back")
        with open(out, "wb") as f:
            f.write(data)
        options = entrance.options()
        entrance.run("store", "swap", out, *options, "--connections", "2")
        entrance.run("load", "swap", back, *options)
        with open(back, "rb") as f:
            assert f.read() == data
        entrance.run("verify", "swap", out, *options)
        environment = {"FARPAGE_TLS_CA": entrance.authority.pem, "FARPAGE_TLS_CERT": entrance.pem,
                       "FARPAGE_TLS_KEY": entrance.key, "FARPAGE_AUTH": entrance.auth}
        assert "swap" in entrance.run("areas", environment=environment)


def ask_local(entrance, text):
    with entrance.server.connect() as s:
        s.sendall(text.encode() + b"quit\r\n")
        said = b""
        while got := s.recv(65536):
            said += got
        return said.decode()


def what_is_missing_at_the_door_is_said(programs):
    with Entrance(programs) as entrance, tempfile.TemporaryDirectory() as elsewhere:
        ca, cert = ["--tls-ca", entrance.authority.pem], ["--tls-cert", entrance.pem, "--tls-key",
                                                          entrance.key]
        auth = ["--auth-file", entrance.auth]
        stranger = Authority(elsewhere)
        wrong = entrance.file("wrong", "alice:open barley")
        for words, code, why in (
                ([*ca, *cert], 1, "wants a user and a password"),
                ([*ca, *cert, "--auth-file", wrong], 1,
                 "does not let user 'alice' in: CLIENT_ERROR authentication failure"),
                ([*ca, *auth], 69, "certificate"),
                (["--tls", *cert, *auth], 1, "certificate"),
                (["--tls-ca", stranger.pem, *cert, *auth], 1, "self-signed certificate"),
                ([*ca, "--tls-cert", entrance.pem, *auth], 1, "a certificate needs its key"),
                ([*ca, *cert, "--auth-file", entrance.file("open", "a:b", 0o644)], 1, "chmod o-rwx"),
                ([*ca, *cert, "--auth-file", entrance.file("hash", "a:sha256:00")], 1, "the hash"),
                ([*ca, *cert, "--auth-file", entrance.file("none", "\n#\n")], 1, "user:password"),
                ([*ca, *cert, "--auth-file", "/nowhere"], 1, "No such file"),
                (["--tls-ca", "/nowhere"], 1, "the authority file /nowhere")):
            said = entrance.run("ping", *words, code=code)
            assert why in said, (words, said)
            assert "sesame" not in said and "barley" not in said
        said = entrance.run("ping", code=69)  # in the clear
        assert "the server closed the connection; does it want TLS?" in said, said


def a_certificate_must_be_for_the_host_that_was_meant(programs):
    with Entrance(programs, clients="off", auth=False) as entrance:
        ca = ["--tls-ca", entrance.authority.pem]
        entrance.run("ping", *ca)
        entrance.run("ping", *ca, address=f"localhost:{entrance.server.port}")
        said = entrance.run("ping", *ca, address=f"127.0.0.2:{entrance.server.port}", code=69)
        assert "refused" in said
    with Entrance(programs, clients="off", auth=False) as entrance:
        pem, key = entrance.authority.issue("elsewhere", host="10.1.2.3")
        with Server(programs.farpaged, tcp="tls: on",
                    more=f'tls: {{certificate: "{pem}", key: "{key}"}}\n') as other:
            said = entrance.run("ping", "--tls-ca", entrance.authority.pem, code=1,
                                address=f"127.0.0.1:{other.port}")
            assert "mismatch" in said, said


def a_connection_that_ended_comes_in_again(programs):
    """The server closes what is idle; the library's next call finds its page through the door."""
    with Entrance(programs, clients="off", sets=["server.idle_timeout=300ms"]) as entrance:
        os.environ["FARPAGE_TLS_CA"], os.environ["FARPAGE_AUTH"] = (entrance.authority.pem,
                                                                    entrance.auth)
        with Program(entrance.address) as program:
            program.expect("store 3 7", "ok")
            for connections in (2, 3):
                time.sleep(1)
                program.expect("load 3", "ok", 7)
                program.expect("connections", "ok", connections)


def a_login_leaves_nothing_where_none_is_wanted(programs):
    """The password is not kept as an item by a server that has no users, or by a memcached."""
    with Entrance(programs, clients="off", auth=False) as entrance:
        entrance.run("ping", "--tls-ca", entrance.authority.pem, "--auth-file", entrance.auth)
        assert ask_local(entrance, "get auth\r\n") == "END\r\n"


if __name__ == "__main__":
    tell([pages_go_out_and_come_back_through_the_door, what_is_missing_at_the_door_is_said,
          a_certificate_must_be_for_the_host_that_was_meant,
          a_connection_that_ended_comes_in_again, a_login_leaves_nothing_where_none_is_wanted])
