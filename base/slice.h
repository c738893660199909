/* SPDX-License-Identifier: BSD-3-Clause
 * slice - borrowed bytes with their length. Whoever hands one out keeps owning the memory. */
#ifndef FARPAGE_BASE_SLICE_H
#define FARPAGE_BASE_SLICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *bytes;
    size_t size_bytes;
};

static inline struct slice slice_of(const void *bytes, size_t size_bytes)
{
    return (struct slice){.bytes = bytes, .size_bytes = size_bytes};
}

static inline struct slice slice_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size_bytes == b.size_bytes &&
           (a.size_bytes == 0 || memcmp(a.bytes, b.bytes, a.size_bytes) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_text(text));
}

#endif
