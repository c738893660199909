/* SPDX-License-Identifier: BSD-3-Clause
 * item - a memcached key with what belongs to it; the value is in the allocator, in pieces.
 *
 * Key, flags, cas, size and pieces never change once the item is in the key directory. Expiry,
 * access time, the two links and what stands in their place while it is mapped belong to the
 * directory's shard and are guarded by its lock.
 *
 * Life: created with one reference -(published)-> the directory owns that one -(readers acquire and
 * release theirs)-> unlinked: the directory's is given up -> the last release ends it.
 *
 * Threads: acquire and release: any, no lock.
 */
#ifndef FARPAGE_STORAGE_ITEM_H
#define FARPAGE_STORAGE_ITEM_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "storage/handle.h"

enum { ITEM_PIECE_BYTES = 16 << 10 }; /* values are packed in pieces of this; the last is shorter */

struct item {
    _Atomic uint32_t refs;
    uint32_t flags;
    uint64_t hash;
    uint64_t cas;
    union {
        struct { /* in the order of use */
            struct item *newer, *older;
        };
        struct { /* mapped: out of that order, so the links are free */
            uint32_t maps;
            bool map_writes; /* one of them */
        };
    };
    uint64_t accessed_ms;
    uint32_t expires_s; /* store time; 0: never */
    uint32_t value_bytes;
    uint32_t packed_bytes; /* of all pieces */
    uint16_t piece_count;
    uint8_t key_bytes;
    bool fetched : 1; /* read since it was stored */
    bool mapped : 1;
    struct zhandle pieces[]; /* piece_count of them, 0 until packed; then the key */
};

/* The bytes malloc must give for such an item; and what it really takes: its header, rounded up. */
size_t item_size_bytes(size_t key_bytes, size_t value_bytes);
uint64_t item_record_bytes(size_t key_bytes, size_t value_bytes);

/* Allocates an item with one reference and no piece yet. NULL: out of memory. */
struct item *item_create(struct slice key, uint64_t hash, size_t value_bytes) FP_MUST_CHECK;

struct slice item_key(const struct item *item) FP_NONNULL(1);
size_t item_piece_bytes(const struct item *item, unsigned piece) FP_NONNULL(1);

void item_acquire(struct item *item) FP_NONNULL(1);
/* True: that was the last reference; the caller frees the pieces' objects, then calls free(). */
bool item_release(struct item *item) FP_MUST_CHECK FP_NONNULL(1);

#endif
