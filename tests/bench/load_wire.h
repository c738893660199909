/* SPDX-License-Identifier: BSD-3-Clause
 * load_wire - the load's requests and replies in memcached's text protocol. Pure; knows no socket.
 *
 * Only the replies that a get or set of values of a known length may have are understood:
 * everything else is refused (an error line, well formed) or broken. */
#ifndef FARPAGE_TESTS_BENCH_LOAD_WIRE_H
#define FARPAGE_TESTS_BENCH_LOAD_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "tests/bench/pageset.h"

enum { /* beside the value */
    WIRE_REQUEST_EXTRA_BYTES = 64, /* of any request */
    WIRE_REPLY_EXTRA_BYTES = 512   /* of any reply that is not broken */
};

enum wire_kind { WIRE_PARTIAL, WIRE_VALUE, WIRE_MISS, WIRE_STORED, WIRE_REFUSED, WIRE_BROKEN };

struct wire_reply {
    enum wire_kind kind;
    size_t size_bytes;  /* of the whole reply; 0 for WIRE_PARTIAL and WIRE_BROKEN */
    struct slice value; /* WIRE_VALUE: within the bytes given */
};

struct wire_wanted { /* what a get may bring for one of its keys */
    uint32_t key;
    uint32_t value_bytes;
    bool is_last; /* of the keys; the end of the reply is to follow */
};

/* All write to out and say how much; a key is "page:" and the number. A get is one key or more
 * between its beginning and its end. */
size_t wire_get_begin(uint8_t *out);
size_t wire_get_key(uint8_t *out, uint32_t key);
size_t wire_get_end(uint8_t *out);
size_t wire_get(uint8_t *out, uint32_t key); /* all three */
size_t wire_set(uint8_t *out, uint32_t key, struct slice value);

/* The reply, or the part of it for one key, that `bytes` begins with, given what it answers. Of
 * several keys, all must be there: one that is not is a miss only where it is the last. */
struct wire_reply wire_read_get(struct slice bytes, const struct wire_wanted *wanted);
struct wire_reply wire_read_set(struct slice bytes);

#endif
