/* SPDX-License-Identifier: BSD-3-Clause
 * load_wire - the load's requests and replies in memcached's text protocol. Pure; knows no socket.
 *
 * Only the replies that a get or set of one 4096-byte page may have are understood: everything
 * else is refused (an error line, well formed) or broken. */
#ifndef FARPAGE_TESTS_BENCH_LOAD_WIRE_H
#define FARPAGE_TESTS_BENCH_LOAD_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/pageset.h"

enum {
    WIRE_REQUEST_BYTES_MAX = PAGESET_PAGE_BYTES + 64, /* of any request */
    WIRE_REPLY_BYTES_MAX = PAGESET_PAGE_BYTES + 512   /* of any reply that is not broken */
};

enum wire_kind { WIRE_PARTIAL, WIRE_VALUE, WIRE_MISS, WIRE_STORED, WIRE_REFUSED, WIRE_BROKEN };

struct wire_reply {
    enum wire_kind kind;
    size_t size_bytes;   /* of the whole reply; 0 for WIRE_PARTIAL and WIRE_BROKEN */
    const uint8_t *page; /* WIRE_VALUE: within the bytes given */
};

/* Both write to out and say how much; the key is "page:" and the number. */
size_t wire_get(uint8_t *out, uint32_t key);
size_t wire_set(uint8_t *out, uint32_t key, const uint8_t *page);

/* The reply that `bytes` begins with, given what it answers. */
struct wire_reply wire_read_get(const uint8_t *bytes, size_t size_bytes, uint32_t key);
struct wire_reply wire_read_set(const uint8_t *bytes, size_t size_bytes);

#endif
