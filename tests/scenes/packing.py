# SPDX-License-Identifier: BSD-3-Clause
"""packing - pages packed as a client of its own would, with the system's lz4 and zstd.

What packed bytes look like on the wire is docs/protocol.md's; this is a second implementation of it,
on purpose: the server's must agree."""
import ctypes
import ctypes.util
import threading

PAGE = 4096
PLAIN, LZ4, ZSTD, WORD = range(4)


def library(name):
    return ctypes.CDLL(ctypes.util.find_library(name) or f"lib{name}.so.1")


lz4, zstd = library("lz4"), library("zstd")
for function in ("ZSTD_createCCtx", "ZSTD_createDCtx"):
    getattr(zstd, function).restype = ctypes.c_void_p
for function in ("ZSTD_compressBegin_usingDict", "ZSTD_compressBlock", "ZSTD_decompressBlock",
                 "ZSTD_decompressBegin_usingDict", "ZDICT_getDictHeaderSize"):
    getattr(zstd, function).restype = ctypes.c_size_t


class Contexts(threading.local):  # the libraries run without Python's lock
    def __init__(self):
        self.packer = ctypes.c_void_p(zstd.ZSTD_createCCtx())
        self.unpacker = ctypes.c_void_p(zstd.ZSTD_createDCtx())


mine = Contexts()
size_t = ctypes.c_size_t


def content(dictionary):
    """What lz4 takes of a dictionary: the last 64 KiB behind its tables."""
    if not dictionary:
        return b""
    header = zstd.ZDICT_getDictHeaderSize(dictionary, size_t(len(dictionary)))
    return dictionary[header:][-65536:]


def pack_lz4(page, dictionary=b""):
    out, window = ctypes.create_string_buffer(2 * len(page)), content(dictionary)
    stream = ctypes.create_string_buffer(lz4.LZ4_sizeofState() + 64)
    lz4.LZ4_initStream(stream, size_t(len(stream)))
    if window:
        lz4.LZ4_loadDict(stream, window, len(window))
    size = lz4.LZ4_compress_fast_continue(stream, page, out, len(page), len(out), 1)
    assert size > 0
    return out.raw[:size]


def unpack_lz4(packed, dictionary=b"", size=PAGE):
    out, window = ctypes.create_string_buffer(size), content(dictionary)
    got = lz4.LZ4_decompress_safe_usingDict(packed, out, len(packed), size, window, len(window))
    return out.raw if got == size else None


def pack_zstd(page, dictionary=b""):
    out = ctypes.create_string_buffer(2 * len(page))
    zstd.ZSTD_compressBegin_usingDict(mine.packer, dictionary, size_t(len(dictionary)), 3)
    size = zstd.ZSTD_compressBlock(mine.packer, out, size_t(len(out)), page, size_t(len(page)))
    assert 0 < size < len(page), size
    return out.raw[:size]


def unpack_zstd(packed, dictionary=b"", size=PAGE):
    out = ctypes.create_string_buffer(size)
    for _ in range(2):  # a dictionary that it has just begun with has the stricter decoder
        zstd.ZSTD_decompressBegin_usingDict(mine.unpacker, dictionary, size_t(len(dictionary)))
    got = zstd.ZSTD_decompressBlock(mine.unpacker, out, size_t(size), packed, size_t(len(packed)))
    return out.raw if got == size else None


def pack(codec, page, dictionary=b""):
    return {LZ4: pack_lz4, ZSTD: pack_zstd}[codec](page, dictionary)


def unpack(codec, packed, dictionary=b"", size=PAGE):
    """None: it is no page."""
    if codec == WORD:
        return packed * (size // 8) if len(packed) == 8 else None
    return {LZ4: unpack_lz4, ZSTD: unpack_zstd}[codec](packed, dictionary, size)
