/* SPDX-License-Identifier: BSD-3-Clause
 * item - a memcached key with what belongs to it; the value is in the allocator, in pieces.
 *
 * Key, flags, size, tenant and pieces never change once the item is in the key directory; what the
 * pieces name goes to the file below memory only while nobody but the directory has a reference,
 * and whoever has one sees that they stay what they are. Expiry,
 * access time, the marks, the place in the order of eviction and what stands for them while it is
 * mapped belong to the directory's shard and are guarded by its lock. So is the cas, which may be
 * read without it: who releases the lock has it as it was when the item was found, or newer.
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
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/slice.h"
#include "storage/alloc/handle.h"

enum {
    ITEM_PIECE_BYTES = 16 << 10, /* values are packed in pieces of this; the last is shorter */
    /* A longer value comes, goes and is joined piece by piece: nobody holds it plain and whole. */
    ITEM_WHOLE_BYTES_MAX = 4 * ITEM_PIECE_BYTES,
    ITEM_ACCESSED_MS = 128,
};

/* The last is of items whose value is in the file below memory. */
enum item_queue {
    ITEM_QUEUE_SMALL,
    ITEM_QUEUE_MAIN,
    ITEM_QUEUE_SPILLED,
    ITEM_QUEUES,
    ITEM_UNQUEUED = ITEM_QUEUES
};

struct item {
    _Atomic uint32_t refs;
    uint32_t flags;
    uint64_t hash;
    _Atomic uint64_t cas; /* relaxed */
    union {
        uint32_t accessed; /* store time in ITEM_ACCESSED_MS, 17 years of it */
        uint32_t maps;     /* of one that is mapped: it is in use now */
    };
    uint32_t expires_s; /* store time; 0: never */
    uint32_t value_bytes;
    uint32_t packed_bytes; /* of all pieces that are in memory */
    uint32_t era; /* of flushes, when it was stored: dead where the store's is a later one */
    uint8_t key_bytes;
    /* These two never change once it is published; the rest of the bits are the lock's. */
    uint8_t key_binary : 1; /* it came in base64, and is shown so */
    uint8_t tenant : 7;     /* whose it is: who stored it last */
    uint8_t : 0;
    bool fetched : 1; /* read since it was stored */
    bool mapped : 1;
    bool map_writes : 1; /* one of those who mapped it */
    bool stale : 1;      /* it was invalidated: still there, for those who can use it meanwhile */
    bool won : 1;        /* somebody was told to fetch it anew */
    bool leaving : 1;    /* its value is being written to the file below memory */
    uint8_t marks : 2;   /* keydir_order.c knows what this and the next two say */
    uint8_t queue : 2;   /* enum item_queue */
    uint8_t ticket : 6;
    struct zhandle pieces[]; /* item_piece_count() of them, 0 until packed; then the key */
};
_Static_assert(offsetof(struct item, pieces) == 48, "a byte here is one for each item there is");

#define ITEM_TENANT_MASK 127u /* all that fit; none is above it */

static inline uint32_t item_pieces_of(uint64_t value_bytes) /* at most UINT32_MAX */
{
    return (uint32_t)((value_bytes + ITEM_PIECE_BYTES - 1) / ITEM_PIECE_BYTES);
}
static inline uint32_t item_piece_count(const struct item *item)
{
    return item_pieces_of(item->value_bytes);
}
static inline size_t item_piece_bytes_of(uint64_t value_bytes, uint32_t piece)
{
    uint64_t left = value_bytes - (uint64_t)piece * ITEM_PIECE_BYTES;
    return left < ITEM_PIECE_BYTES ? (size_t)left : ITEM_PIECE_BYTES;
}

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

static inline void item_used(struct item *item, uint64_t now_ms)
{
    if (!item->mapped) item->accessed = (uint32_t)(now_ms / ITEM_ACCESSED_MS);
}
/* For how long nobody has used it, ITEM_ACCESSED_MS more or less. */
static inline uint64_t item_idle_ms(const struct item *item, uint64_t now_ms)
{
    uint64_t accessed_ms = (uint64_t)item->accessed * ITEM_ACCESSED_MS;
    return item->mapped || accessed_ms > now_ms ? 0 : now_ms - accessed_ms;
}

struct slice item_key(const struct item *item) FP_NONNULL(1);
size_t item_piece_bytes(const struct item *item, uint32_t piece) FP_NONNULL(1);

void item_acquire(struct item *item) FP_NONNULL(1);
/* True: that was the last reference; the caller frees the pieces' objects, then calls free(). */
bool item_release(struct item *item) FP_MUST_CHECK FP_NONNULL(1);

#endif
