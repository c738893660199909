/* SPDX-License-Identifier: BSD-3-Clause
 * store - the front door of the storage: it introduces compressors, allocator, areas and keys to
 * each other, and knows neither sockets nor wire.
 *
 * Promises (docs/architecture.md numbers them): what was acknowledged comes back byte for byte or
 * as an error; a store that fails leaves the old content; memory stays within the budget: items
 * give way, those that nobody wants first, pages never do.
 *
 * Time is a parameter: each thread's scratch carries `now`, which its owner sets.
 *
 * Threads: any, each with a scratch of its own. Blocks: never, but for short locks and madvise.
 * Locks:   enter holding none.
 */
#ifndef FARPAGE_STORAGE_STORE_H
#define FARPAGE_STORAGE_STORE_H
#include <stdbool.h>

#include "base/budget.h"
#include "base/sampled.h"
#include "base/slice.h"
#include "base/status.h"
#include "storage/alloc/zpool.h"
#include "storage/area/area.h"
#include "storage/compress/compressor.h"
#include "storage/keydir/item.h"
#include "storage/limits/tenant.h"
#include "storage/limits/watermark.h"
#include "storage/store/item/store_item.h"

enum { STORE_AREAS_MAX = 1024 };

struct store;

struct store_options {
    uint64_t memory_limit_bytes;
    uint32_t page_bytes; /* 4, 16 or 64 KiB */
    const char *allocator;
    struct compressor_config compressor;
    uint64_t hash_seed; /* random */
};

/* Totals since start. Relaxed: exact when nothing runs. */
#define STORE_COUNTERS(X)                                                                          \
    X(items_total, "items stored since the start")                                                 \
    X(item_evictions, "items that gave way while still valid")                                     \
    X(item_reclaims, "items that gave way after they had expired")                                 \
    X(direct_reclaims, "items that gave way, valid or not, because a request wanted memory")       \
    X(crawler_passes, "times the crawler has looked at all items")                                \
    X(crawler_items_checked, "items it has looked at")                                             \
    X(crawler_reclaimed, "of those, dead ones that it has ended")                                  \
    X(item_value_bytes, "bytes of the values stored now, before packing")                          \
    X(item_packed_bytes, "bytes of the objects that hold them")                                    \
    X(no_memory, "stores refused because memory was full")                                         \
    X(corrupt, "pages and values that did not match their checksum")                               \
    X(pool_limit_hit, "pages whose store met the memory limit")                                    \
    X(written_back_pages, "pages written to the tier below")                                       \
    X(unused_pages, "pages that ended here because their area had moved")                          \
    X(reject_reclaim_fail, "pages refused: the limit was met, and nothing gave way")               \
    X(reject_alloc_fail, "pages refused: within the limit no memory was had")                      \
    X(reject_kmemcache_fail, "pages refused: within the limit none was had for their slots")       \
    X(reject_compress_fail, "pages refused: no memory for packing them")                           \
    X(reject_compress_poor, "pages refused: packed they are no smaller")                           \
    X(reject_quota, "pages refused because of a quota")                                            \
    X(decompress_fail, "pages and values whose packed bytes could not be unpacked")                \
    X(ended_duplicates, "stores over a page that was there, in areas that are no more")

struct store_counters {
#define X(name, text) _Atomic uint64_t name;
    STORE_COUNTERS(X)
#undef X
};

struct store_read;

struct store_scratch { /* one thread's working memory and its view of the time */
    struct codec_scratch *codec;
    uint8_t *packed; /* ZPOOL_OBJECT_BYTES_MAX */
    uint64_t now_ms; /* store time: monotonic, 2 s at least */
    uint64_t unix_s;
    bool may_wait; /* who is refused for memory can come again: FP_LATER (store_spill.h) */
    bool later; /* the store's own: the request under way met that */
    const struct store_read *arrived; /* a list: what was read for the request under way */
    uint8_t tenant; /* for whom: what is stored is his, and he gives way before others do */
    struct tenant_need refused; /* the store's own: what a quota refused last; */
    bool met_limit; /* the page under way wanted memory beyond the limit, */
    bool unpackable; /* or none was had to pack it, */
    bool poor;       /* or it was refused because packing makes it no smaller */
    struct sampled evicting; /* making room for this thread's requests */
};

/* FP_INVALID: an option makes no sense (allocator, algorithm or level). FP_NO_MEMORY. */
enum fp_status store_create(const struct store_options *options, struct store **store)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void store_destroy(struct store **store) FP_NONNULL(1); /* forgets everything; no user left */

/* For one thread's calls on this store, which it must not outlive. */
enum fp_status store_scratch_create(struct store *store, struct store_scratch **scratch)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void store_scratch_destroy(struct store_scratch **scratch) FP_NONNULL(1);

struct budget *store_budget(struct store *store) FP_NONNULL(1);
struct zpool *store_zpool(struct store *store) FP_NONNULL(1);
struct compressor_pool *store_compressors(struct store *store) FP_NONNULL(1);
const struct store_counters *store_counters(const struct store *store) FP_NONNULL(1);
struct tenants *store_tenants(struct store *store) FP_NONNULL(1);
struct watermarks *store_watermarks(struct store *store) FP_NONNULL(1);
/* What is held beyond the low mark, while room is being made for it (watermark.h). Items that can
 * give way do not count, unless a page waits all the same: they fill what nobody else wants. */
uint64_t store_excess_bytes(struct store *store) FP_NONNULL(1);
uint32_t store_page_bytes(const struct store *store) FP_NONNULL(1);
uint64_t store_item_count(struct store *store) FP_NONNULL(1);

/* --- pages (store_page.c) -------------------------------------------------------------------- */

/* 4, 16 or 64 KiB. */
static inline bool store_page_bytes_possible(uint64_t bytes)
{
    return bytes == 4 << 10 || bytes == 16 << 10 || bytes == 64 << 10;
}

/* One slot of an area and the page on its way there or back. */
struct page_place {
    struct area *area;
    uint64_t slot;
};

/* Keeps page_bytes from `page`, whose CRC32C is `crc`, in the slot. FP_NO_MEMORY, FP_QUOTA:
 * refused, the old page is still there. FP_LATER: not yet; only with scratch->may_wait. FP_RANGE.
 * FP_LOST, FP_MOVED, FP_FROZEN: area_writes. */
enum fp_status store_page_store(struct store *store, struct store_scratch *scratch,
                                struct page_place place, const uint8_t *page, uint32_t crc)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);
/* Writes the page to out (page_bytes) and its checksum to *crc. FP_SPILLED: it is in the file below
 * memory and not in scratch->arrived (store_spill.h). FP_ABSENT, FP_CORRUPT, FP_RANGE,
 * FP_LOST, FP_MOVED: what is in out then is not to be shown to anybody. */
enum fp_status store_page_load(struct store *store, struct store_scratch *scratch,
                               struct page_place place, uint8_t *out, uint32_t *crc)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4, 5);
/* Forgets slots from *slot on, at most about a thousand, and moves *slot behind them; call again
 * until *slot == end. FP_LOST, FP_MOVED, FP_FROZEN: area_writes; do it again when that is over, or
 * elsewhere. */
enum fp_status store_page_invalidate_some(struct store *store, struct store_scratch *scratch,
                                          struct area *area, uint64_t *slot, uint64_t end)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3, 4);

/* Whether pages that packing makes no smaller are refused (FP_NO_MEMORY); they are not from the
 * start. Not where an area keeps its pages as they are. */
void store_set_refuses_poor(struct store *store, bool on) FP_NONNULL(1);

/* --- making room (store_evict.c) ------------------------------------------------------------- */

/* Whether items give way when memory is short; they do from the start. */
void store_set_eviction(struct store *store, bool on) FP_NONNULL(1);
bool store_evicts(const struct store *store) FP_NONNULL(1);

/* Ends the item whose turn it is, whatever the setting. False: there is none. */
bool store_drop_one(struct store *store, struct store_scratch *scratch) FP_NONNULL(1, 2);
/* Ends the item whose turn it is, for a request that wants memory; without eviction some that have
 * died. False: there is none, or who wants it is to come again (scratch->later). */
bool store_evict_one(struct store *store, struct store_scratch *scratch) FP_NONNULL(1, 2);

/* Frees some of what was long and is over, if anything is: both of the above begin with it. */
bool store_end_step(struct store *store, struct store_scratch *scratch) FP_NONNULL(1, 2);

/* True: memory was short and an item has given way for it, or pages of a deleted area have, so it
 * may be tried again. False also where so much is free that memory is not what was missing. */
bool store_may_retry(struct store *store, struct store_scratch *scratch, enum fp_status status)
    FP_MUST_CHECK FP_NONNULL(1, 2);

/* One bounded step of the crawler, which looks at every item in turn and ends the dead ones. */
void store_reap_step(struct store *store, struct store_scratch *scratch) FP_NONNULL(1, 2);
/* A pass that begins now or later is over when counters.crawler_passes has come to this. */
uint64_t store_reap_whole(const struct store *store) FP_NONNULL(1);
/* Steps that a pass takes, as the last one was: how often to call it. */
uint64_t store_reap_steps(const struct store *store) FP_NONNULL(1);

/* --- for tests ------------------------------------------------------------------------------ */

void store_check(struct store *store) FP_NONNULL(1); /* every invariant, recomputed: slow */
#if FARPAGE_DEBUG_HOOKS
/* Flips one bit of what is kept for the slot or key. FP_ABSENT. */
enum fp_status store_damage_page(struct store *store, struct area *area, uint64_t slot);
enum fp_status store_damage_item(struct store *store, struct store_scratch *scratch,
                                 struct slice key);
#endif

#endif
