/* SPDX-License-Identifier: BSD-3-Clause
 * store_recompress - packs what is stored once more: out of seats that drain, and what is cold with
 * a stronger compressor. One walk over all pages and items, in bounded steps.
 *
 *   look (the slot's lock) -> copy out -> unpack, check, pack (no lock) -> still the same? (lock)
 *                                                                      -> the new object | nothing
 *
 * Which is rewritten, and with what:
 *
 *   packed in                     touched, or no cold        cold, with plan.cold
 *   the current seat              stays                      cold seat, where cheaper
 *   another current one (asked)   the area's, where cheaper  cold seat, where cheaper
 *   the cold seat                 stays                      stays
 *   any other (a draining one)    current seat, always *     cold seat, always *
 *   kept as it is                 current seat, if plain     cold seat, where cheaper
 *
 *   * With plan.drain. Always, cheaper or not: or the seat would never empty. Two limits: what
 *     becomes dearer needs an eighth of the memory limit to be free; and what nobody touched since
 *     the last turn of the clock is made dearer only where a person asked for it.
 *
 * Cheaper asks the allocator (zpool_cost_bytes). A page is cold when its handle was not touched
 * since the last turn of the clock (plan.cool), an item when nobody used it for idle_ms.
 *
 * What is spilled is left alone unless its seat drains: then it is read back, in this thread, and
 * comes into memory packed anew.
 *
 * Nothing waits for this: loads and stores go on, and whoever stores meanwhile wins. Nothing gives
 * way for it: where memory is out, the old object stays. A walk may be left at any step.
 *
 * Threads: one walk is one thread's; walks and all other calls of the store go together.
 * Locks:   enter holding none. Blocks: as packing does, and for the disk.
 */
#ifndef FARPAGE_STORAGE_STORE_RECOMPRESS_H
#define FARPAGE_STORAGE_STORE_RECOMPRESS_H
#include "storage/store/store.h"

struct recompress_plan {
    struct compressor *cold; /* NULL: none. The caller's use of it, kept until the walk ends */
    uint64_t idle_ms;        /* of items; counted back from scratch->now_ms */
    bool drain;
    bool cool;  /* a turn of the clock: what is met untouched is cold, all else begins to be */
    bool plain; /* what is kept as it is may be tried with the current seat */
    bool asked;
};

/* Pages and items. */
#define RECOMPRESS_COUNTS(X)                                                                       \
    X(looked, "looked at")                                                                         \
    X(rewritten, "kept anew")                                                                      \
    X(not_smaller, "packed, or told by its bytes, not to become cheaper; they stay")               \
    X(skipped_changed, "stored, deleted, mapped or moved on while they were packed")               \
    X(skipped_in_use, "items that were being read, and what is mapped")                            \
    X(skipped_no_memory, "no room for the new object beside the old one")                          \
    X(corrupt, "they did not match their checksum; they stay, for their reader to be told")        \
    X(saved_bytes, "by those that became cheaper")                                                 \
    X(added_bytes, "by those that became dearer: they had to leave their seat")

struct recompress_counts {
#define X(name, text) uint64_t name;
    RECOMPRESS_COUNTS(X)
#undef X
};

struct recompress;

enum fp_status recompress_create(struct store *store, struct recompress **walk)
    FP_MUST_CHECK FP_NONNULL(1, 2);
void recompress_destroy(struct recompress **walk) FP_NONNULL(1);

/* Sets the walk to the beginning. Returns how many pages and items there are to look at. */
uint64_t recompress_begin(struct recompress *walk, const struct recompress_plan *plan)
    FP_NONNULL(1, 2);

struct recompress_limits { /* of one step */
    unsigned looks, tries; /* slots and items looked at; of them unpacked and packed */
    /* Asked before each piece of an item, which may be long; it may sleep. False: the item is given
     * up and stays as it is. NULL: nobody is. */
    bool (*go_on)(void *context);
    void *context;
};
/* Goes on from where the last step stopped; adds to *counts. True: that was the end. */
bool recompress_step(struct recompress *walk, struct store_scratch *scratch,
                     struct recompress_limits limits, struct recompress_counts *counts)
    FP_MUST_CHECK FP_NONNULL(1, 2, 4);

#if FARPAGE_DEBUG_HOOKS
/* For tests: called with no lock held between the copy of an object and its publishing. */
void recompress_hook(struct recompress *walk, void (*between)(void *context), void *context)
    FP_NONNULL(1);
#endif

#endif
