/* SPDX-License-Identifier: BSD-3-Clause
 * store_item_internal - what the files of the store share of items. Comes with store_internal.h. */
#ifndef FARPAGE_STORAGE_STORE_ITEM_INTERNAL_H
#define FARPAGE_STORAGE_STORE_ITEM_INTERNAL_H
#include "storage/keydir/keydir.h"
#include "storage/store/store.h"

bool store_item_dead(const struct store *store, const struct store_scratch *scratch,
                     const struct item *item);
/* Takes an item out of its shard; the caller gives the directory's reference up, unlocked. */
void store_unlink_locked(struct store *store, struct keydir_shard *shard, struct item *item);

struct store_victim {
    struct item *item; /* the directory's reference, now the caller's; NULL: none */
    bool dead;
};
/* Takes a victim of keydir_victim_locked out of its shard and counts it. Then, unlocked, its end is
 * told to who wants to know, and the reference given up. */
struct store_victim store_end_victim_locked(struct store *store, struct store_scratch *scratch,
                                            struct keydir_shard *shard, struct item *item);
void store_end_victim(struct store *store, struct store_scratch *scratch,
                      struct store_victim *victim);
/* The live item, or NULL. A dead one is unlinked and handed out in *dead for release, unlocked. */
struct item *store_find_locked(struct store *store, const struct store_scratch *scratch,
                               struct slice key, uint64_t hash, struct item **dead);
/* Builds an item with its value packed, to be published. FP_NO_MEMORY. */
enum fp_status store_item_build(struct store *store, struct store_scratch *scratch,
                                struct slice key, struct slice value, struct item **item)
    FP_MUST_CHECK;
/* What makes it this very item for all others: its time of use, era and, unless `cas`, the next
 * one. Then it goes into its shard, where room is reserved, in the place of `old` of the same key
 * (may be NULL), which the caller releases as if unlinked. It must be charged for already. */
void store_item_enter_locked(struct store *store, const struct store_scratch *scratch,
                             struct item *old, struct item *item, const uint64_t *cas);
uint64_t store_next_cas(struct store *store);

/* Another value of an item: flags and key as they are. */
struct rewrite {
    const struct item *item; /* the directory must still have it, */
    uint64_t item_cas;       /* with this cas */
    struct slice value;
    bool keeps_marks;        /* it counts as the same value still: stale, won, fetched */
    const uint64_t *cas;     /* NULL: the next one */
    const struct item_times *times; /* NULL: its time as it is; or, with what it had and has: */
    struct item_ttls *ttls;
    struct item_stored *stored; /* may be NULL */
};
/* Packs and publishes it. FP_EXISTS: not the item any more, or not with that cas. FP_NO_MEMORY. */
enum fp_status store_item_rewrite(struct store *store, struct store_scratch *scratch,
                                  const struct rewrite *rewrite) FP_MUST_CHECK;
/* `next`, of the same value, takes the place of `old` as if it were that: it is no set. */
void store_item_twin_locked(struct store *store, struct keydir_shard *shard, struct item *old,
                            struct item *next);
/* What an item is charged for: its record, not its objects. */
uint64_t store_item_cost(const struct item *item);
struct item_ttls store_item_ttls(const struct store_scratch *scratch, uint32_t expires_s,
                                 const struct item_times *times);
int64_t store_created_exptime(const struct item_times *times);
/* memcached's exptime as store time in seconds; 0 never. */
uint32_t store_expiry(const struct store_scratch *scratch, int64_t exptime);
/* Applies a flush_all whose time has come. */
void store_flush_if_due(struct store *store, const struct store_scratch *scratch);

#endif
