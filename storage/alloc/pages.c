/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of a chunk:  untouched -(first run of length n taken)-> cut into runs of n pages
 *                   -(last run given back)-> untouched
 * Life of a run:    free, not resident -(take)-> taken -(give: MADV_DONTNEED)-> free
 *                   taken -(give)-> cached, resident -(take: zeroed)-> taken
 *                                                    -(trim: MADV_DONTNEED)-> free
 *
 * A cached run counts as taken for its chunk. A chunk that still has free runs is on the list of
 * its run length. Which runs are free is a bitmap beside the chunk, never in the freed memory:
 * that belongs to the OS.
 */
#include "storage/alloc/pages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/lock.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18, glibc 2.36 */
#endif
enum { CHUNK_WORDS = PAGES_CHUNK_PAGES / 64 };
#define CHUNK_NONE UINT32_MAX /* no int: an enum cannot hold it */

struct chunk {
    uint64_t free_runs[CHUNK_WORDS]; /* bit r set: run r is free */
    uint32_t next, prev;             /* list of chunks with free runs, same run_pages */
    uint16_t run_pages;              /* 0: untouched */
    uint16_t free_count;             /* == bits set in free_runs */
};

struct cached_run {
    uint32_t first_page;
    uint32_t run_pages;
};

struct arena {
    struct budget *budget;
    uint8_t *base;
    uint64_t size_pages;
    uint32_t chunk_count;
    struct lock lock; /* guards all below */
    uint32_t with_free[PAGES_RUN_MAX + 1];
    uint32_t untouched;      /* list of untouched chunks that were cut before */
    uint32_t fresh;          /* chunks from here on have never been cut */
    struct chunk *chunks;    /* chunk_count, in a reservation: zeros until cut */
    struct cached_run cache[PAGES_CACHE_MAX]; /* the last one was given last */
    unsigned cache_count;
    _Atomic uint64_t cached_pages; /* of the cache; written with the lock held */
    _Atomic uint64_t held_pages;   /* not guarded */
};

void *pages_reserve(uint64_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX - PAGES_BYTES) return NULL;
    void *base = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return NULL;
    /* Both are wishes: an old kernel that grants neither is no reason to stop. */
    (void)madvise(base, (size_t)bytes, MADV_DONTDUMP);
    (void)madvise(base, (size_t)bytes, MADV_NOHUGEPAGE);
    return base;
}

void pages_release(void *base, uint64_t bytes)
{
    if (base != NULL) fp_assert(munmap(base, (size_t)bytes) == 0);
}

void pages_discard(void *at, uint64_t bytes)
{
    fp_assert((uintptr_t)at % PAGES_BYTES == 0 && bytes % PAGES_BYTES == 0);
    /* Since Linux 5.18; before, and where nothing is locked, the other does the same. */
    if (madvise(at, (size_t)bytes, MADV_DONTNEED_LOCKED) == 0) return;
    fp_assert(madvise(at, (size_t)bytes, MADV_DONTNEED) == 0);
}

enum fp_status pages_lock_all(void)
{
    /* On fault: a reservation must go on costing nothing. */
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? FP_OK : FP_NO_MEMORY;
}

static unsigned runs_per_chunk(unsigned run_pages)
{
    return PAGES_CHUNK_PAGES / run_pages;
}

static void list_push(struct arena *arena, uint32_t *head, uint32_t index)
{
    struct chunk *chunk = &arena->chunks[index];
    chunk->prev = CHUNK_NONE;
    chunk->next = *head;
    if (*head != CHUNK_NONE) arena->chunks[*head].prev = index;
    *head = index;
}

static void list_remove(struct arena *arena, uint32_t *head, uint32_t index)
{
    struct chunk *chunk = &arena->chunks[index];
    if (chunk->prev == CHUNK_NONE)
        *head = chunk->next;
    else
        arena->chunks[chunk->prev].next = chunk->next;
    if (chunk->next != CHUNK_NONE) arena->chunks[chunk->next].prev = chunk->prev;
}

enum fp_status arena_create(struct budget *budget, uint64_t size_pages, struct arena **out)
{
    uint64_t chunks = div_up_u64(size_pages, PAGES_CHUNK_PAGES);
    if (chunks == 0 || chunks >= UINT32_MAX / PAGES_CHUNK_PAGES) return FP_TOO_BIG;
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL) return FP_NO_MEMORY;
    arena->budget = budget;
    arena->chunk_count = (uint32_t)chunks;
    arena->size_pages = chunks * PAGES_CHUNK_PAGES;
    arena->base = pages_reserve(arena->size_pages * PAGES_BYTES);
    arena->chunks = pages_reserve(chunks * sizeof *arena->chunks);
    if (arena->base == NULL || arena->chunks == NULL) {
        pages_release(arena->base, arena->size_pages * PAGES_BYTES);
        pages_release(arena->chunks, chunks * sizeof *arena->chunks);
        free(arena);
        return FP_NO_MEMORY;
    }
    for (unsigned i = 0; i <= PAGES_RUN_MAX; i++) arena->with_free[i] = CHUNK_NONE;
    arena->untouched = CHUNK_NONE;
    lock_init(&arena->lock, RANK_PAGES);
    *out = arena;
    return FP_OK;
}

enum fp_status arena_use_huge_pages(struct arena *arena)
{
    size_t bytes = (size_t)(arena->size_pages * PAGES_BYTES);
    return madvise(arena->base, bytes, MADV_HUGEPAGE) == 0 ? FP_OK : FP_INVALID;
}

void arena_destroy(struct arena **arena_ptr)
{
    struct arena *arena = *arena_ptr;
    if (arena == NULL) return;
    arena_trim(arena);
    fp_assert(arena_held_pages(arena) == 0);
    lock_fini(&arena->lock);
    pages_release(arena->base, arena->size_pages * PAGES_BYTES);
    pages_release(arena->chunks, arena->chunk_count * sizeof *arena->chunks);
    free(arena);
    *arena_ptr = NULL;
}

static bool cut_chunk_locked(struct arena *arena, unsigned run_pages)
{
    uint32_t index = arena->untouched;
    if (index != CHUNK_NONE)
        list_remove(arena, &arena->untouched, index);
    else if (arena->fresh < arena->chunk_count)
        index = arena->fresh++;
    else
        return false;
    struct chunk *chunk = &arena->chunks[index];
    unsigned runs = runs_per_chunk(run_pages);
    memset(chunk->free_runs, 0, sizeof chunk->free_runs);
    for (unsigned r = 0; r < runs; r++) chunk->free_runs[r / 64] |= 1ull << r % 64;
    chunk->run_pages = (uint16_t)run_pages;
    chunk->free_count = (uint16_t)runs;
    list_push(arena, &arena->with_free[run_pages], index);
    return true;
}

/* The lowest free run of the chunk, no longer free. */
static unsigned take_lowest_locked(struct chunk *chunk)
{
    unsigned word = 0;
    while (chunk->free_runs[word] == 0) word++;
    unsigned bit = (unsigned)__builtin_ctzll(chunk->free_runs[word]);
    chunk->free_runs[word] &= chunk->free_runs[word] - 1;
    chunk->free_count--;
    return word * 64 + bit;
}

static enum fp_status take_from_chunk(struct arena *arena, unsigned run_pages,
                                      struct page_run *run)
{
    uint64_t bytes = (uint64_t)run_pages * PAGES_BYTES;
    if (!budget_charge(arena->budget, BUDGET_PAYLOAD, bytes)) return FP_NO_MEMORY;
    lock_take(&arena->lock);
    uint32_t *head = &arena->with_free[run_pages];
    if (*head == CHUNK_NONE && !cut_chunk_locked(arena, run_pages)) {
        lock_drop(&arena->lock);
        budget_return(arena->budget, BUDGET_PAYLOAD, bytes);
        return FP_NO_MEMORY;
    }
    uint32_t index = *head;
    struct chunk *chunk = &arena->chunks[index];
    unsigned number = take_lowest_locked(chunk);
    if (chunk->free_count == 0) list_remove(arena, head, index);
    lock_drop(&arena->lock);
    run->first_page = index * PAGES_CHUNK_PAGES + number * run_pages;
    return FP_OK;
}

/* The run is still taken, as far as its chunk knows: nobody can take it while its pages go. */
static void give_to_chunk(struct arena *arena, unsigned run_pages, struct page_run run)
{
    uint32_t index = run.first_page / PAGES_CHUNK_PAGES;
    unsigned number = run.first_page % PAGES_CHUNK_PAGES / run_pages;
    pages_discard(arena_address(arena, run), (uint64_t)run_pages * PAGES_BYTES);
    lock_take(&arena->lock);
    struct chunk *chunk = &arena->chunks[index];
    fp_assert((chunk->free_runs[number / 64] & 1ull << number % 64) == 0);
    chunk->free_runs[number / 64] |= 1ull << number % 64;
    uint32_t *head = &arena->with_free[run_pages];
    if (chunk->free_count++ == 0) list_push(arena, head, index);
    if (chunk->free_count == runs_per_chunk(run_pages)) {
        list_remove(arena, head, index);
        chunk->run_pages = 0;
        list_push(arena, &arena->untouched, index);
    }
    lock_drop(&arena->lock);
}

/* --- the cache of freed runs ------------------------------------------------------------------ */

static void set_cached_locked(struct arena *arena, uint64_t pages)
{
    atomic_store_explicit(&arena->cached_pages, pages, memory_order_relaxed);
}

/* Keeps the run, unless it is too long, the cache is full, or the budget nearly. */
static bool cache_put(struct arena *arena, unsigned run_pages, struct page_run run)
{
    const struct chunk *chunk = &arena->chunks[run.first_page / PAGES_CHUNK_PAGES];
    unsigned at = run.first_page % PAGES_CHUNK_PAGES;
    uint64_t total = budget_total(arena->budget), limit = budget_limit(arena->budget);
    bool kept = false;
    lock_take(&arena->lock);
    fp_assert(chunk->run_pages == run_pages && at % run_pages == 0);
    fp_assert((chunk->free_runs[at / run_pages / 64] & 1ull << at / run_pages % 64) == 0);
    for (unsigned i = 0; i < arena->cache_count; i++)
        fp_assert(arena->cache[i].first_page != run.first_page); /* given twice */
    uint64_t pages = arena_cached_pages(arena) + run_pages;
    if (run_pages <= PAGES_CACHE_RUN_MAX && pages <= PAGES_CACHE_MAX && total < limit &&
        limit - total >= PAGES_CACHE_HEADROOM_BYTES) {
        arena->cache[arena->cache_count++] = (struct cached_run){run.first_page, run_pages};
        set_cached_locked(arena, pages);
        budget_move(arena->budget, BUDGET_PAYLOAD, BUDGET_CACHED,
                    (uint64_t)run_pages * PAGES_BYTES);
        kept = true;
    }
    lock_drop(&arena->lock);
    return kept;
}

/* Takes the youngest run of that length out of the cache, 0: of any length. The run stays charged
 * as cached. */
static bool cache_get(struct arena *arena, unsigned run_pages, struct cached_run *found)
{
    if (arena_cached_pages(arena) == 0) return false;
    lock_take(&arena->lock);
    unsigned i = arena->cache_count;
    while (i > 0 && run_pages != 0 && arena->cache[i - 1].run_pages != run_pages) i--;
    if (i > 0) {
        *found = arena->cache[i - 1];
        arena->cache[i - 1] = arena->cache[--arena->cache_count];
        set_cached_locked(arena, arena_cached_pages(arena) - found->run_pages);
    }
    lock_drop(&arena->lock);
    return i > 0;
}

static bool take_from_cache(struct arena *arena, unsigned run_pages, struct page_run *run)
{
    struct cached_run found;
    uint64_t bytes = (uint64_t)run_pages * PAGES_BYTES;
    if (!cache_get(arena, run_pages, &found)) return false;
    *run = (struct page_run){.first_page = found.first_page};
    memset(arena_address(arena, *run), 0, (size_t)bytes);
    budget_move(arena->budget, BUDGET_CACHED, BUDGET_PAYLOAD, bytes);
    return true;
}

void arena_trim(struct arena *arena)
{
    struct cached_run found;
    while (cache_get(arena, 0, &found)) {
        give_to_chunk(arena, found.run_pages, (struct page_run){.first_page = found.first_page});
        budget_return(arena->budget, BUDGET_CACHED, (uint64_t)found.run_pages * PAGES_BYTES);
    }
}

/* --- take and give ---------------------------------------------------------------------------- */

enum fp_status arena_take(struct arena *arena, unsigned run_pages, struct page_run *run)
{
    fp_assert(run_pages >= 1 && run_pages <= PAGES_RUN_MAX);
    if (!take_from_cache(arena, run_pages, run) &&
        take_from_chunk(arena, run_pages, run) != FP_OK) {
        arena_trim(arena); /* runs of other lengths are in the way */
        if (take_from_chunk(arena, run_pages, run) != FP_OK) return FP_NO_MEMORY;
    }
    atomic_fetch_add_explicit(&arena->held_pages, run_pages, memory_order_relaxed);
    return FP_OK;
}

void arena_give(struct arena *arena, unsigned run_pages, struct page_run run)
{
    fp_assert(run.first_page / PAGES_CHUNK_PAGES < arena->chunk_count);
    atomic_fetch_sub_explicit(&arena->held_pages, run_pages, memory_order_relaxed);
    if (cache_put(arena, run_pages, run)) return;
    give_to_chunk(arena, run_pages, run);
    budget_return(arena->budget, BUDGET_PAYLOAD, (uint64_t)run_pages * PAGES_BYTES);
}

uint8_t *arena_address(const struct arena *arena, struct page_run run)
{
    return arena->base + (uint64_t)run.first_page * PAGES_BYTES;
}

uint64_t arena_held_pages(const struct arena *arena)
{
    return atomic_load_explicit(&arena->held_pages, memory_order_relaxed);
}

uint64_t arena_cached_pages(const struct arena *arena)
{
    return atomic_load_explicit(&arena->cached_pages, memory_order_relaxed);
}

uint64_t arena_size_pages(const struct arena *arena)
{
    return arena->size_pages;
}

void arena_check(struct arena *arena)
{
    uint64_t taken_pages = 0, cached_pages = 0;
    lock_take(&arena->lock);
    for (uint32_t i = 0; i < arena->fresh; i++) {
        const struct chunk *chunk = &arena->chunks[i];
        unsigned bits = 0;
        if (chunk->run_pages == 0) continue;
        for (unsigned w = 0; w < CHUNK_WORDS; w++)
            bits += (unsigned)__builtin_popcountll(chunk->free_runs[w]);
        fp_assert(bits == chunk->free_count);
        taken_pages += (uint64_t)(runs_per_chunk(chunk->run_pages) - bits) * chunk->run_pages;
    }
    for (unsigned n = 1; n <= PAGES_RUN_MAX; n++)
        for (uint32_t i = arena->with_free[n]; i != CHUNK_NONE; i = arena->chunks[i].next)
            fp_assert(arena->chunks[i].run_pages == n && arena->chunks[i].free_count > 0);
    for (unsigned i = 0; i < arena->cache_count; i++) cached_pages += arena->cache[i].run_pages;
    fp_assert(cached_pages == arena_cached_pages(arena) && cached_pages <= PAGES_CACHE_MAX);
    lock_drop(&arena->lock);
    fp_assert(taken_pages == arena_held_pages(arena) + cached_pages);
}
