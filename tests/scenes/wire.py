# SPDX-License-Identifier: BSD-3-Clause
"""wire - batches of pages as docs/protocol.md has them; any field may be given a lie."""
import struct

from hostile import OK, crc32c, frame, hello, open_area, reply

PAGE = 4096
MOST = 256
STORE_BATCH, LOAD_BATCH, INVALIDATE_BATCH, DICTIONARY = 15, 16, 17, 18
NO_MEMORY, PACKED, NO_DICTIONARY, BAD_CODEC, BAD_FIELD = 3, 18, 26, 29, 30
FEATURE_PACKED = 1


def page(n):
    """Packs well, and no two are alike."""
    return (b"page %08d " % n * 300)[:PAGE - 8] + n.to_bytes(8, "big")


CRCS = {}


def page_crc(data):
    """Python is slow at it, and most pages are stored more than once."""
    if data not in CRCS:
        CRCS[data] = crc32c(data)
    return CRCS[data]


def entry(slot, data, codec=0, crc=None, size=None, dictionary=0, reserved=0, check=None):
    """One entry of a store batch; any field may be given a lie."""
    head = struct.pack(">QIIII", slot, page_crc(data) if crc is None else crc,
                       len(data) if size is None else size, codec << 24 | reserved, dictionary)
    if check is None:
        check = crc32c(head + data if codec else head)
    return head + struct.pack(">I", check) + data


def store_batch(entries, area=1, **fields):
    body = b"".join(entries)
    fields = {"count": len(entries), "body_bytes": len(body), **fields}
    return frame(STORE_BATCH, area=area, body_crc=0, **fields) + body


def slots_body(slots, flags=0):
    return struct.pack(f">II{len(slots)}Q", flags, 0, *slots)


def load_batch(slots, area=1, flags=0, **fields):
    return frame(LOAD_BATCH, slots_body(slots, flags), area=area,
                 **{"count": len(slots), **fields})


def invalidate_batch(slots, area=1, **fields):
    return frame(INVALIDATE_BATCH, slots_body(slots), area=area, **{"count": len(slots), **fields})


def opened(server, name=b"batches", slots=1024, features=0, how=None):
    s = server.connect(how, timeout=60)
    s.sendall(hello(features=features) + open_area(name, slots=slots))
    assert reply(s)["status"] == OK and reply(s)["status"] == OK
    return s


def replies(s, count):
    """All replies to one batch; each says how many are still to come."""
    got = [reply(s) for _ in range(count)]
    assert [r["count"] for r in got] == list(range(count - 1, -1, -1)), got
    return got


def refused_whole(s):
    got = reply(s)
    assert got["count"] == 0 and got["slot"] == 0 and got["body"] == b"", got
    return got["status"]


def expect_pages(s, slots):
    s.sendall(load_batch(slots))
    for slot, got in zip(slots, replies(s, len(slots))):
        assert got["status"] == OK and got["slot"] == slot and got["body"] == page(slot), got
