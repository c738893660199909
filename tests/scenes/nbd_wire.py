# SPDX-License-Identifier: BSD-3-Clause
"""nbd_wire - the network block device protocol, byte by byte, for scenes that no library would play;
and a server that has such a device."""
import os
import shutil
import socket
import struct
import tempfile

from running import Server, free_port

GREETING = b"NBDMAGICIHAVEOPT\0\3"
OPTION_REPLY = 0x3e889045565a9
REQUEST, SIMPLE, CHUNK = 0x25609513, 0x67446698, 0x668e33ef
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED, LIST_META, SET_META = 1, 2, 3, 5, 6, 7, 8, 9, 10
ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
UNSUP, POLICY, INVALID, PLATFORM, TLS_REQD, UNKNOWN, SHUTDOWN, _, TOO_BIG = range(2**31 + 1, 2**31 + 10)
READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = 1, 2, 4, 8, 16
EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ESHUTDOWN = 1, 5, 22, 28, 75, 108
MIB = 1 << 20


class Device(Server):
    """farpaged with block devices: `exports` as YAML, on a unix socket and a TCP port; `state`: a
    directory that outlives it; `tcp`: more keys of its TCP listener, `text_tcp`: of the
    other one; the rest as for any."""

    def __init__(self, program, exports, sets=(), state=None, tcp="", listeners=(),
                 text_tcp="", **more):
        self.nbd_port = free_port()
        self.nbd_unix = f"/tmp/nbd-{os.getpid()}-{self.nbd_port}.sock"
        listeners = [f'{{address: "127.0.0.1:{self.nbd_port}", protocol: nbd'
                     f'{", " + tcp if tcp else ""}}}',
                     f'{{address: "unix:{self.nbd_unix}", protocol: nbd}}', *listeners]
        self.state = state or tempfile.mkdtemp(prefix="nbd-state-")
        self.keeps_state = state is not None
        super().__init__(program, sets=[f"storage.state_dir={self.state}", f"exports={exports}",
                                        *sets], listeners=listeners, tcp=text_tcp, **more)

    def __exit__(self, *what):
        try:
            super().__exit__(*what)
        finally:
            if not self.keeps_state:
                shutil.rmtree(self.state, ignore_errors=True)

    def uri(self, name="", how="unix"):
        if how == "tcp":
            return f"nbd://127.0.0.1:{self.nbd_port}/{name}"
        return f"nbd+unix:///{name}?socket={self.nbd_unix}"

    def wire(self, how="unix", timeout=20):
        """A connection that has said nothing yet."""
        if how == "tcp":
            s = socket.create_connection(("127.0.0.1", self.nbd_port), timeout=timeout)
        else:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout)
            s.connect(self.nbd_unix)
        return s


def take(s, size):
    """Exactly so many bytes; fewer where the other side has closed."""
    got = b""
    while len(got) < size:
        more = s.recv(size - len(got))
        if not more:
            break
        got += more
    return got


def closed(s):
    """Whether the other side has hung up, with nothing more to say."""
    try:
        return s.recv(1) == b""
    except ConnectionError:
        return True


def option(number, body=b"", length=None):
    return struct.pack(">8sII", b"IHAVEOPT", number, len(body) if length is None else length) + body


def greet(s, flags=3):
    assert take(s, 18) == GREETING
    s.sendall(struct.pack(">I", flags))


def reply(s):
    """(option, type, body) of a reply to an option."""
    magic, number, kind, length = struct.unpack(">QIII", take(s, 20))
    assert magic == OPTION_REPLY, hex(magic)
    return number, kind, take(s, length)


def ask(s, number, body=b""):
    """All replies to one option, up to the one that ends it."""
    s.sendall(option(number, body))
    replies = []
    while True:
        about, kind, text = reply(s)
        assert about == number
        replies.append((kind, text))
        if kind == ACK or kind >= 2**31:
            return replies


def go_body(name, infos=()):
    name = name.encode()
    return struct.pack(">I", len(name)) + name + struct.pack(f">H{len(infos)}H", len(infos), *infos)


def meta_body(name, *queries):
    name = name.encode()
    body = struct.pack(">I", len(name)) + name + struct.pack(">I", len(queries))
    return body + b"".join(struct.pack(">I", len(q)) + q.encode() for q in queries)


def opened(device, name="", structured=False, how="unix"):
    """A connection in its transmission phase."""
    s = device.wire(how)
    greet(s)
    if structured:
        assert ask(s, STRUCTURED) == [(ACK, b"")]
        assert ask(s, SET_META, meta_body(name, "base:allocation"))[-1][0] == ACK
    assert ask(s, GO, go_body(name))[-1][0] == ACK
    return s


def request(kind, cookie, offset=0, length=0, flags=0, payload=b""):
    return struct.pack(">IHHQQI", REQUEST, flags, kind, cookie, offset, length) + payload


def write(cookie, offset, payload, flags=0):
    return request(WRITE, cookie, offset, len(payload), flags, payload)


def simple(s):
    """(cookie, error) of a simple reply."""
    magic, error, cookie = struct.unpack(">IIQ", take(s, 16))
    assert magic == SIMPLE, hex(magic)
    return cookie, error


def chunk(s):
    """(cookie, done, type, body) of a chunk."""
    magic, flags, kind, cookie, length = struct.unpack(">IHHQI", take(s, 20))
    assert magic == CHUNK, hex(magic)
    return cookie, flags & 1, kind, take(s, length)
