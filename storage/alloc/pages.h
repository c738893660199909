/* SPDX-License-Identifier: BSD-3-Clause
 * pages - memory from and to the OS: the only room that knows mmap and madvise.
 *
 * Two nouns that belong together:
 *  - a reservation: address space that costs nothing until it is written, reads as zeros, and can
 *    be given back in part. Tables that are mostly empty live in one.
 *  - an arena: a reservation cut into runs of 1..PAGES_RUN_MAX pages for the allocator. Within one
 *    chunk of 2 MiB all runs have the same length, so freed runs always fit the next taker. Of
 *    the freed ones a few are kept: to give one to the OS and get one back costs more than packing.
 *
 * Units:   *_pages are OS pages of PAGES_BYTES (4096 on every machine we run on).
 * Threads: reservation calls are pure wrappers, any thread. Arena: any thread; takes RANK_PAGES.
 * Blocks:  only as long as madvise does.
 */
#ifndef FARPAGE_STORAGE_PAGES_H
#define FARPAGE_STORAGE_PAGES_H
#include <stddef.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"
#include "base/status.h"

enum {
    PAGES_BYTES = 4096,
    PAGES_RUN_MAX = 64,
    PAGES_CHUNK_PAGES = 512,
    PAGES_CACHE_MAX = 64,     /* pages that are kept, together */
    PAGES_CACHE_RUN_MAX = 16, /* of one run; longer ones go to the OS at once */
    PAGES_CACHE_HEADROOM_BYTES = 1 << 20, /* nothing is kept where less of the budget is left */
};

/* Reserves `bytes` (rounded up to pages) of zeros, left out of core dumps. NULL: no space. */
void *pages_reserve(uint64_t bytes) FP_MUST_CHECK;
void pages_release(void *base, uint64_t bytes);

/* Gives whole pages inside the reservation back: they read as zeros again and cost nothing. */
void pages_discard(void *at, uint64_t bytes) FP_NONNULL(1);

/* Keeps all memory of the process, now and later, out of swap once it is touched. FP_NO_MEMORY: the
 * system refuses (RLIMIT_MEMLOCK, which counts address space; CAP_IPC_LOCK lifts it). */
enum fp_status pages_lock_all(void) FP_MUST_CHECK;

/* Names a run of the arena: the number of its first page. */
struct page_run {
    uint32_t first_page;
};

struct arena;

/* An arena of at most `size_pages` of address space (rounded up to chunks). What is taken from it
 * is charged to `budget` as BUDGET_PAYLOAD, what it keeps as BUDGET_CACHED; the budget must outlive
 * it. */
enum fp_status arena_create(struct budget *budget, uint64_t size_pages, struct arena **arena)
    FP_MUST_CHECK FP_NONNULL(1, 3);
/* Asks for huge pages instead of none, before the first run is taken. A run given back then leaves
 * the process, but a huge page that is used in part stays with it until the OS is short of memory.
 * FP_INVALID: this OS has none. */
enum fp_status arena_use_huge_pages(struct arena *arena) FP_MUST_CHECK FP_NONNULL(1);
/* Every run must have been given back. */
void arena_destroy(struct arena **arena) FP_NONNULL(1);

/* Takes run_pages (1..PAGES_RUN_MAX) contiguous pages of zeros. FP_NO_MEMORY: the budget or the
 * address space is used up; nothing is taken. */
enum fp_status arena_take(struct arena *arena, unsigned run_pages, struct page_run *run)
    FP_MUST_CHECK FP_NONNULL(1, 3);
void arena_give(struct arena *arena, unsigned run_pages, struct page_run run) FP_NONNULL(1);

uint8_t *arena_address(const struct arena *arena, struct page_run run) FP_NONNULL(1);
uint64_t arena_held_pages(const struct arena *arena) FP_NONNULL(1); /* taken, not given back */

/* The pages that are kept for the next taker; and gives them to the OS. Whoever knows that nothing
 * will be taken for a while does so: nobody else will. */
uint64_t arena_cached_pages(const struct arena *arena) FP_NONNULL(1);
void arena_trim(struct arena *arena) FP_NONNULL(1);

uint64_t arena_size_pages(const struct arena *arena) FP_NONNULL(1);
void arena_check(struct arena *arena) FP_NONNULL(1); /* asserts each invariant; slow */

#endif
