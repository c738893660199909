/* SPDX-License-Identifier: BSD-3-Clause
 * key_text - a key, which may hold any byte, written so that it fits into a line. Pure. */
#ifndef FARPAGE_PROTOCOL_KEY_TEXT_H
#define FARPAGE_PROTOCOL_KEY_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "protocol/limits.h"

enum {
    KEY_URI_BYTES_MAX = 3 * KEY_BYTES_MAX,
    KEY_BASE64_BYTES_MAX = (KEY_BYTES_MAX + 2) / 3 * 4,
};

/* As in a URI: letters, digits and -_.~ as they are, all others as %XX. Returns the length. The key
 * has at most KEY_BYTES_MAX bytes, as below. */
size_t key_uri(struct slice key, char text[KEY_URI_BYTES_MAX]) FP_NONNULL(2);

/* With its padding. Returns the length. */
size_t key_base64(struct slice key, char text[KEY_BASE64_BYTES_MAX]) FP_NONNULL(2);

/* What that text stands for, in `key`, which has room for three bytes of four (NULL: just looks).
 * False: it is not base64, or stands for nothing at all. memcached passes over characters that are
 * none of base64's; here they make it a wrong one. */
bool key_from_base64(struct slice text, uint8_t *key, size_t *size_bytes)
    FP_MUST_CHECK FP_NONNULL(3);

/* A blank or a control character would break a line. */
bool key_breaks_lines(struct slice key);
/* For a line of people and tools: as it is, or where that would break the line as in a URI, which
 * is written to `room`. */
struct slice key_of_line(struct slice key, char room[KEY_URI_BYTES_MAX]) FP_NONNULL(2);

#endif
