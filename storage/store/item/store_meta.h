/* SPDX-License-Identifier: BSD-3-Clause
 * store_meta - what memcached's meta commands ask of an item beyond getting and setting: several
 * conditions and changes at once, each decided under the lock of the item's shard. So of all who
 * ask at the same time just one is told to fetch a value anew.
 *
 * Marks of an item:
 *   won    somebody was told to fetch it anew; the others are told that
 *   stale  it was invalidated, or set from a value that was: shown as such, and won once more
 * Both end with the next value that is stored.
 *
 * Setting is store_item_put, counting store_item_delta: see store.h.
 *
 * Threads: any, each with a scratch of its own. Blocks: never, but for short locks.
 * Locks:   enter holding none.
 */
#ifndef FARPAGE_STORAGE_STORE_META_H
#define FARPAGE_STORAGE_STORE_META_H
#include "storage/store/store.h"

struct item_look { /* how to get one */
    struct slice key;
    bool key_binary; /* of an item that is created: to be shown in base64 */
    bool unseen;     /* does not count as a use */
    bool value;      /* it is wanted with its value: see item_seen.spilled */
    bool creates;    /* an empty one where there is none; times.create or .touch is its time */
    struct item_times times;
    const int64_t *recache; /* who first finds less time left than this wins; NULL: nobody */
    bool recache_touched;   /* with times.touch: that is the time left */
    const uint64_t *new_cas; /* of an item that is created; NULL: the next one */
};

struct item_seen { /* as it was before this, but for `won` */
    uint64_t cas;
    struct item_ttls ttls;
    uint64_t idle_s; /* since it was last used */
    bool fetched;    /* since it was stored */
    bool created;    /* just now */
    bool stale;
    bool taken; /* somebody has won already */
    bool won;   /* the caller has, with this */
    bool spilled; /* its value has to be read first: nothing else was seen, and nothing done */
};

/* The item with one reference for the caller, who must release it. NULL: there is none, and none
 * was wanted, or memory is full. */
struct item *store_meta_get(struct store *store, struct store_scratch *scratch,
                            const struct item_look *look, struct item_seen *seen)
    FP_NONNULL(1, 2, 3, 4);

struct item_end { /* how to end one */
    struct slice key;
    bool key_binary;
    const uint64_t *cas; /* what it must have now; NULL: anything */
    bool invalidates;    /* it stays, as stale, with a new cas */
    bool empties;        /* it stays, without its value, with these: */
    uint32_t flags;
    const int64_t *exptime;  /* invalidates: NULL: as it is. empties: NULL: never */
    const uint64_t *new_cas; /* NULL: the next one; empties alone: as it is */
};

/* FP_ABSENT. FP_EXISTS: another cas. FP_NO_MEMORY: empties. Unless FP_OK nothing has changed. */
enum fp_status store_meta_end(struct store *store, struct store_scratch *scratch,
                              const struct item_end *end) FP_MUST_CHECK FP_NONNULL(1, 2, 3);

struct item_details {
    int64_t ttl_s; /* ITEM_TTL_NEVER */
    uint64_t idle_s;
    uint64_t cas;
    bool fetched, key_binary, stale, won;
    unsigned class_number; /* item_class.h */
    uint64_t value_bytes;
    uint64_t size_bytes;   /* record, key and value, before packing */
    uint64_t packed_bytes; /* of the objects that hold the value */
    uint32_t maps;         /* that pin it */
    char codec[ITEM_CODEC_TEXT_BYTES]; /* store_item_codec */
};
/* Looks, and counts as no use. FP_ABSENT. */
enum fp_status store_meta_describe(struct store *store, struct store_scratch *scratch,
                                   struct slice key, struct item_details *details)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

#endif
