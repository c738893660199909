# SPDX-License-Identifier: BSD-3-Clause
"""library - libfarpage over a server that dies and comes back: what its loads and stores answer.

It connects again by itself, within the time limit of each call, so the caller sees either an answer
of the very area it had, or that it waited in vain, or LOST."""
import ctypes
import time

import frames

OK, ABSENT, UNREACHABLE, DISCONNECTED, TIMEOUT, LOST = 0, 1, 8, 9, 10, 18
GONE = (UNREACHABLE, DISCONNECTED, TIMEOUT)
LIMIT_S, PATIENT_S, SLOTS = 1.0, 10.0, 16


class Options(ctypes.Structure):
    _fields_ = [("server", ctypes.c_char_p), ("timeout_ms", ctypes.c_uint32),
                ("flags", ctypes.c_uint32), ("backoff_ms_max", ctypes.c_uint32),
                ("tls_ca", ctypes.c_char_p), ("tls_certificate", ctypes.c_char_p),
                ("tls_key", ctypes.c_char_p), ("auth_file", ctypes.c_char_p),
                ("user", ctypes.c_char_p), ("password", ctypes.c_char_p)]


class AreaOptions(ctypes.Structure):
    _fields_ = [("slots", ctypes.c_uint64), ("flags", ctypes.c_uint32),
                ("page_bytes", ctypes.c_uint32), ("quota_pages", ctypes.c_uint64),
                ("quota_bytes", ctypes.c_uint64), ("timeout_ms", ctypes.c_uint32),
                ("depth", ctypes.c_uint32), ("why", ctypes.c_char_p),
                ("why_bytes", ctypes.c_size_t)]


class Area:
    """One area of one server, by libfarpage; every call answers its enum farpage_status."""

    def __init__(self, path, address, limit_s):
        self.library = ctypes.CDLL(path)
        for name, *arguments in (("farpage_store", ctypes.c_uint64, ctypes.c_char_p),
                                 ("farpage_load", ctypes.c_uint64, ctypes.c_char_p),
                                 ("farpage_area_renew",)):
            getattr(self.library, name).argtypes = [ctypes.c_void_p, *arguments]
        self.client, self.area = ctypes.c_void_p(), ctypes.c_void_p()
        options = Options(address.encode(), int(1000 * limit_s), 0, 0)
        assert self.library.farpage_connect(ctypes.byref(options), ctypes.byref(self.client)) == OK
        assert self.library.farpage_area_open(
            self.client, f"library-{limit_s}".encode(), ctypes.byref(AreaOptions(slots=SLOTS)),
            ctypes.byref(self.area)) == OK

    def close(self):
        self.library.farpage_disconnect(ctypes.byref(self.client))

    def store(self, slot, page):
        return self.library.farpage_store(self.area, slot, page.bytes)

    def load(self, slot):
        page = ctypes.create_string_buffer(frames.PAGE_BYTES)
        return self.library.farpage_load(self.area, slot, page), page.raw

    def renew(self):
        return self.library.farpage_area_renew(self.area)


def timed(call, *arguments):
    begun = time.monotonic()
    return call(*arguments), time.monotonic() - begun


class Run:
    """dead: (status, seconds) of a load and a store. back: the statuses of both after the restart,
    lost_after: seconds until the second. renewed: of renew(), a load, a store and a load."""

    def __init__(self, cluster, library, victim=1):
        server, page = cluster.servers[victim], frames.text_page(1)
        brief, other = (Area(library, s.address, LIMIT_S) for s in (server, cluster.servers[0]))
        patient = Area(library, server.address, PATIENT_S)
        for area in (brief, other, patient):
            assert area.store(3, page) == OK
        server.kill()
        (load, _), seconds = timed(brief.load, 3)
        self.dead = [(load, seconds), timed(brief.store, 3, page)]
        self.other = other.load(3) == (OK, page.bytes)
        server.start()
        self.back = [patient.load(3)[0], patient.store(3, page)]
        self.lost_after = time.monotonic() - server.started
        self.renewed = [patient.renew(), patient.load(3)[0], patient.store(3, page),
                        patient.load(3)[0]]
        for area in (brief, other, patient):
            area.close()
