#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""protocol_examples - the ```frames blocks of docs/protocol.md, sent to a real server.

usage: protocol_examples.py FARPAGED [PROTOCOL.md]     starts that server on a socket of its own
       protocol_examples.py --server unix:/PATH [...]  speaks to one that runs, with 4 KiB pages

The notation is explained in the document, section "The examples". Prints each block that did not go
as written, with the line where it stands, and exits 1 on any.
"""
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

TIMEOUT_S = 10
HEADER_BYTES = 40


def crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


TABLE = crc_table()


def crc32c(data):
    """A second implementation, on purpose: the server's own must agree with it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class Wrong(Exception):
    pass


def tokens(lines):
    """[(byte or None for any)], with 'BODY' standing for itself."""
    out = []
    for word in " ".join(lines).split():
        if word == "BODY":
            out.append("BODY")
        elif word == "..":
            out.append(None)
        elif re.fullmatch(r"[0-9a-f]{2}", word):
            out.append(int(word, 16))
        elif match := re.fullmatch(r"([0-9a-f]{2})\*(\d+)", word):
            out.extend([int(match[1], 16)] * int(match[2]))
        else:
            raise Wrong(f"'{word}' is no byte")
    return out


def blocks(text):
    """(line number, greeted, [(arrow, [line])]) of each block."""
    found, current = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if current is None:
            if match := re.fullmatch(r"```frames( greeted)?", line):
                current = (number, bool(match[1]), [])
        elif line == "```":
            found.append(current)
            current = None
        elif line.strip():
            arrow, _, rest = line.partition(" ")
            steps = current[2]
            if arrow not in ("<", ">", "="):
                raise Wrong(f"line {number}: begins with none of < > =")
            if not steps or steps[-1][0] != arrow:
                steps.append((arrow, []))
            steps[-1][1].append(rest)
    if current is not None:
        raise Wrong(f"line {current[0]}: the block has no end")
    return found


def receive(connection, count, what):
    data = b""
    while len(data) < count:
        try:
            more = connection.recv(count - len(data))
        except socket.timeout:
            more = None
        if not more:
            why = "nothing more came" if more is None else "the server closed"
            raise Wrong(f"{what}: {why} after {len(data)} of {count} bytes: {data.hex(' ')}")
        data += more
    return data


def check_reply(data):
    """The checksums of a reply, whatever it says."""
    body_bytes, body_crc, reserved, header_crc = struct.unpack(">IIII", data[24:40])
    if data[0] != 0xFB or reserved != 0:
        raise Wrong(f"not a reply: {data[:HEADER_BYTES].hex(' ')}")
    if header_crc != crc32c(data[:36]):
        raise Wrong(f"header_crc is {header_crc:08x}, not {crc32c(data[:36]):08x}")
    if body_crc != crc32c(data[HEADER_BYTES:]):
        raise Wrong(f"body_crc is {body_crc:08x}, not {crc32c(data[HEADER_BYTES:]):08x}")
    return body_bytes


def read_reply(connection):
    header = receive(connection, HEADER_BYTES, "a header")
    body = receive(connection, struct.unpack(">I", header[24:28])[0], "a body")
    check_reply(header + body)
    return header + body


def expect(connection, wanted):
    """Reads replies until `wanted` is used up, and compares byte by byte."""
    while wanted:
        got = list(read_reply(connection))
        if "BODY" in wanted[: len(got) + 1]:
            at = wanted.index("BODY")
            want, wanted = wanted[:at] + [None] * (len(got) - at), wanted[at + 1 :]
        else:
            want, wanted = wanted[: len(got)], wanted[len(got) :]
        if len(want) != len(got):
            raise Wrong(f"{len(got)} bytes came, {len(want)} are written: {bytes(got[:64]).hex(' ')}")
        for offset, (have, should) in enumerate(zip(got, want)):
            if should is not None and have != should:
                raise Wrong(f"byte {offset} is {have:02x}, written is {should:02x}; the reply: "
                            f"{bytes(got[:64]).hex(' ')}")


def expect_closed(connection):
    try:
        rest = connection.recv(1)
    except ConnectionResetError:
        rest = b""
    except socket.timeout:
        raise Wrong("the server did not close") from None
    if rest:
        raise Wrong(f"the server sent {rest.hex()} and did not close")


def greet(connection):
    body = struct.pack(">HHI", 1, 1, 0)
    header = struct.pack(">BBHIQIIIII", 0xFA, 1, 0, 1, 0, 0, 0, 8, crc32c(body), 0)
    connection.sendall(header + struct.pack(">I", crc32c(header)) + body)
    reply = read_reply(connection)
    if reply[2:4] != b"\0\0" or struct.unpack(">I", reply[64:68])[0] != 4096:
        raise Wrong("the hello was not answered by a server with pages of 4 KiB")


def run_block(path, greeted, steps):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(path)
        if greeted:
            greet(connection)
        for arrow, lines in steps:
            if arrow == ">":
                connection.sendall(bytes(tokens(lines)))
            elif arrow == "<":
                expect(connection, tokens(lines))
            elif lines == ["closed"]:
                expect_closed(connection)
            else:
                raise Wrong(f"'= {lines[0]}' means nothing")


def run_all(path, document):
    found = blocks(document.read_text())
    failures = 0
    for number, greeted, steps in found:
        try:
            run_block(path, greeted, steps)
        except Wrong as wrong:
            failures += 1
            print(f"{document}:{number}: {wrong}")
    if not found:
        print(f"{document}: there are no examples in it")
        return 1
    print(f"{len(found) - failures} of {len(found)} examples are as written")
    return 1 if failures else 0


def await_socket(path, server):
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with code {server.returncode}")
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(path)
                return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server does not listen")


def with_own_server(binary, document):
    with tempfile.TemporaryDirectory(prefix="farpage-") as directory:
        path = f"{directory}/socket"
        config = pathlib.Path(directory, "farpaged.yaml")
        config.write_text(f'listeners:\n  - address: "unix:{path}"\n    protocol: memcached\n'
                          "storage:\n  memory_limit: 64MiB\n  page_size: 4KiB\n")
        server = subprocess.Popen([binary, "--config", str(config)])
        try:
            await_socket(path, server)
            return run_all(path, document)
        finally:
            server.terminate()
            try:
                server.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def main(arguments):
    default = pathlib.Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
    if len(arguments) >= 2 and arguments[0] == "--server":
        document = pathlib.Path(arguments[2]) if len(arguments) > 2 else default
        return run_all(arguments[1].removeprefix("unix:"), document)
    if not 1 <= len(arguments) <= 2:
        print(__doc__)
        return 2
    document = pathlib.Path(arguments[1]) if len(arguments) > 1 else default
    return with_own_server(arguments[0], document)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
