/* SPDX-License-Identifier: BSD-3-Clause
 * item - a memcached key with what belongs to it; the value is in the allocator, in pieces.
 *
 * Key, flags, size and pieces never change once the item is in the key directory. Expiry, access
 * time, the marks, the two links and what stands in their place while it is mapped belong to the
 * directory's shard and are guarded by its lock. So is the cas, which may be read without it: who
 * releases the lock has it as it was when the item was found, or newer.
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
    _Atomic uint64_t cas; /* relaxed */
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
    bool key_binary : 1; /* it came in base64, and is shown so */
    bool stale : 1;      /* it was invalidated: still there, for those who can use it meanwhile */
    bool won : 1;        /* somebody was told to fetch it anew */
    uint32_t era;        /* of flushes, when it was stored: dead where the store's is a later one */
    struct zhandle pieces[]; /* piece_count of them, 0 until packed; then the key */
};

static inline uint64_t item_cas(const struct item *item)
{
    return atomic_load_explicit(&item->cas, memory_order_relaxed);
}
static inline void item_set_cas(struct item *item, uint64_t cas)
{
    atomic_store_explicit(&item->cas, cas, memory_order_relaxed);
}

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
