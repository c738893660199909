/* SPDX-License-Identifier: BSD-3-Clause
 * store_recompress_internal - what the two files of recompression share: pages and the walk in one,
 * items in the other. */
#ifndef FARPAGE_STORAGE_STORE_RECOMPRESS_INTERNAL_H
#define FARPAGE_STORAGE_STORE_RECOMPRESS_INTERNAL_H
#include "storage/store/page/store_page_walk.h"
#include "storage/store/recompress/store_recompress.h"
#include "storage/store/store_internal.h"

struct recompress {
    struct store *store;
    uint8_t *plain, *before; /* ZPOOL_OBJECT_BYTES_MAX each: unpacked; as it was packed */
    struct recompress_plan plan;
    struct store_page_walk pages; /* where the walk is: first the areas, slot by slot */
    bool areas_done;
    unsigned shard; /* then the key directory, */
    uint64_t position; /* as keydir_walk.h goes */
    /* Of the step under way: */
    struct compressor *current; /* acquired: what a store would be packed with where the walk is */
    struct store_scratch *scratch;
    struct recompress_limits left;
    struct recompress_counts *counts;
#if FARPAGE_DEBUG_HOOKS
    void (*between)(void *context);
    void *between_context;
#endif
};

struct recompress_want {
    struct compressor *target; /* NULL: it stays as it is */
    bool leave;                /* even if it becomes dearer */
};

/* What is to become of an object with this note. */
struct recompress_want recompress_want(const struct recompress *walk, uint32_t note, bool touched);
/* What an object costs that was fetched from; of same-filled values nothing. */
uint64_t recompress_cost(const struct recompress *walk, const struct fetched *fetched,
                         size_t plain_bytes);
/* Whether so many bytes may be taken for what becomes dearer. */
bool recompress_room(const struct recompress *walk);
void recompress_published(struct recompress *walk, uint64_t old_cost, uint64_t new_cost);
void recompress_between(struct recompress *walk);

/* --- store_recompress_spilled.c: reads the disk ----------------------------------------------- */

/* The same of what is spilled: it has to leave a seat that drains, or stays. */
struct recompress_want recompress_want_spilled(const struct recompress *walk, uint32_t note);
/* Brings a page that is spilled, and has to leave, back into memory, packed anew. */
void recompress_spilled_page(struct recompress *walk, struct page_place place);
/* store_fetch of a piece that is spilled. FP_IO, FP_CORRUPT, FP_NO_MEMORY: it cannot be read. */
enum fp_status recompress_fetch_piece(struct recompress *walk, struct item *item, uint32_t piece,
                                      struct space plain, struct fetched *fetched) FP_MUST_CHECK;

/* store_recompress_item.c: goes on in the shard the walk is at. True: the shard is done. */
bool recompress_items(struct recompress *walk);

#endif
