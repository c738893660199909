/* SPDX-License-Identifier: BSD-3-Clause
 * entry - our record of one stored page, or of one piece of an item: 12 bytes.
 *
 *   meta (4 bytes):  bits 0-1 kind, bit 2 spare, bits 3-31 the upper 29 bits of the CRC32C of the
 *                    plain bytes. All zeros is "nothing is stored".
 *   word (8 bytes):  same-filled: the repeated word itself
 *                    packed:      bits 0-7 seat, 8-24 size of the packed bytes, 25-63 handle
 *                    plain:       the same, seat 0, size of the plain bytes
 *
 * The checksum is beside the handle, not in the object: a damaged handle that leads to somebody
 * else's object is found out like a damaged object is. 29 bits let one random change in 537 million
 * pass.
 *
 * An entry is immutable once published: overwriting replaces it whole. Pure; any thread.
 */
#ifndef FARPAGE_STORAGE_ENTRY_H
#define FARPAGE_STORAGE_ENTRY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "storage/zpool.h"

enum entry_kind { ENTRY_ABSENT, ENTRY_SAME_FILLED, ENTRY_PACKED, ENTRY_PLAIN };

struct entry {
    uint64_t word;
    uint32_t meta;
};

enum { ENTRY_CHECK_SHIFT = 3, ENTRY_SIZE_BITS = 17 };
_Static_assert(ZPOOL_OBJECT_BYTES_MAX < 1 << ENTRY_SIZE_BITS, "a size fits");
_Static_assert(8 + ENTRY_SIZE_BITS + ZPOOL_HANDLE_BITS == 64, "a word is full");

static inline uint32_t entry_meta(enum entry_kind kind, uint32_t crc)
{
    return (uint32_t)kind | (crc & ~7u);
}

static inline struct entry entry_same_filled(uint64_t word, uint32_t crc)
{
    return (struct entry){.word = word, .meta = entry_meta(ENTRY_SAME_FILLED, crc)};
}

static inline struct entry entry_object(enum entry_kind kind, struct zhandle handle,
                                        size_t size_bytes, uint8_t seat)
{
    fp_assert(handle.bits >> ZPOOL_HANDLE_BITS == 0 && size_bytes <= ZPOOL_OBJECT_BYTES_MAX);
    return (struct entry){.word = seat | (uint64_t)size_bytes << 8 | handle.bits << 25,
                          .meta = (uint32_t)kind};
}

static inline enum entry_kind entry_kind(struct entry entry)
{
    return (enum entry_kind)(entry.meta & 3);
}

static inline bool entry_has_object(struct entry entry)
{
    return entry_kind(entry) == ENTRY_PACKED || entry_kind(entry) == ENTRY_PLAIN;
}

static inline bool entry_crc_matches(struct entry entry, uint32_t crc)
{
    return entry.meta >> ENTRY_CHECK_SHIFT == crc >> ENTRY_CHECK_SHIFT;
}

static inline struct zhandle entry_handle(struct entry entry)
{
    return (struct zhandle){.bits = entry.word >> 25};
}

static inline size_t entry_size_bytes(struct entry entry)
{
    return (size_t)(entry.word >> 8) & ((1u << ENTRY_SIZE_BITS) - 1);
}

static inline uint8_t entry_seat(struct entry entry)
{
    return (uint8_t)entry.word;
}

#endif
