/* SPDX-License-Identifier: BSD-3-Clause
 * little_endian - numbers of a snapshot to and from bytes, one behind the other. Pure. */
#ifndef FARPAGE_SNAPSHOT_LITTLE_ENDIAN_H
#define FARPAGE_SNAPSHOT_LITTLE_ENDIAN_H
#include <stdint.h>

static inline uint8_t *le_put(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + bytes;
}

static inline uint64_t le_get(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

/* Reads a number and moves *at behind it. */
static inline uint64_t le_take(const uint8_t **at, unsigned bytes)
{
    uint64_t value = le_get(*at, bytes);
    *at += bytes;
    return value;
}

#endif
