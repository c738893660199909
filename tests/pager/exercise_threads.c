/* SPDX-License-Identifier: BSD-3-Clause
 * Threads share pages, have large stacks, change the map, and are there when the program ends. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/pager/exercise.h"

enum { THREADS = 4 };

static struct {
    uint8_t *base;
    size_t pages;
    pthread_mutex_t locks[64];
    uint8_t *versions; /* of each page, under its lock; another mapping */
} shared;

static void in_threads(void *(*run)(void *index))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++) require(pthread_join(threads[i], NULL) == 0);
}

static void *rewrite(void *index)
{
    uint64_t random = (uint64_t)(uintptr_t)index;
    for (size_t step = 0; step < shared.pages; step++) {
        size_t page = next_random(&random) % shared.pages;
        pthread_mutex_t *lock = &shared.locks[page % 64];
        require(pthread_mutex_lock(lock) == 0);
        uint8_t *at = shared.base + page * PAGE_BYTES;
        page_verify(at, page, shared.versions[page]);
        if (step % 3 == 0) page_fill(at, page, ++shared.versions[page]);
        require(pthread_mutex_unlock(lock) == 0);
    }
    return NULL;
}

static void shared_pages(size_t bytes)
{
    shared.pages = bytes / PAGE_BYTES;
    shared.base = map_pages(bytes);
    shared.versions = calloc(shared.pages, 1);
    require(shared.versions != NULL);
    for (int i = 0; i < 64; i++) require(pthread_mutex_init(&shared.locks[i], NULL) == 0);
    pages_fill(shared.base, 0, shared.pages, 0);
    in_threads(rewrite);
    for (size_t i = 0; i < shared.pages; i++)
        page_verify(shared.base + i * PAGE_BYTES, i, shared.versions[i]);
    free(shared.versions);
}

/* All want the same page at the same time, which only one of them may bring. */
static void *race(void *index)
{
    (void)index;
    for (int round = 0; round < 2; round++)
        pages_verify(shared.base, 0, shared.pages, 4);
    return NULL;
}

static void same_pages(size_t bytes)
{
    shared.pages = bytes / PAGE_BYTES;
    shared.base = map_pages(bytes);
    pages_fill(shared.base, 0, shared.pages, 4);
    in_threads(race);
}

/* Eight words of a page, one after the other by different threads: no write is lost. */
static void *count_up(void *index)
{
    size_t lane = (size_t)index;
    for (int round = 0; round < 8; round++)
        for (size_t page = 0; page < shared.pages; page++) {
            uint64_t *words = (uint64_t *)(void *)(shared.base + page * PAGE_BYTES);
            require(words[lane * 64] == (uint64_t)round);
            words[lane * 64]++;
        }
    return NULL;
}

static void counters(size_t bytes)
{
    shared.pages = bytes / PAGE_BYTES;
    shared.base = map_pages(bytes);
    in_threads(count_up);
    for (size_t page = 0; page < shared.pages; page++)
        for (size_t lane = 0; lane < THREADS; lane++) {
            uint64_t word;
            memcpy(&word, shared.base + page * PAGE_BYTES + lane * 512, sizeof word);
            require(word == 8);
        }
}

/* --- stacks ----------------------------------------------------------------------------------- */

static size_t stack_depth;

static void descend(size_t left) /* NOLINT: deep is what is tested */
{
    uint8_t page[PAGE_BYTES];
    page_fill(page, left, 1);
    if (left > 0) descend(left - 1);
    page_verify(page, left, 1);
}

static void *deep(void *index)
{
    (void)index;
    for (int round = 0; round < 2; round++) descend(stack_depth);
    return NULL;
}

static void stacks(size_t bytes)
{
    size_t each = bytes / THREADS;
    stack_depth = each / (PAGE_BYTES + 512);
    pthread_attr_t attributes;
    require(pthread_attr_init(&attributes) == 0);
    require(pthread_attr_setstacksize(&attributes, each + (1u << 20)) == 0);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        require(pthread_create(&threads[i], &attributes, deep, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++) require(pthread_join(threads[i], NULL) == 0);
    require(pthread_attr_destroy(&attributes) == 0);
}

/* --- others change the map meanwhile ---------------------------------------------------------- */

static void *map_and_unmap(void *index)
{
    size_t size = shared.pages / 16 * PAGE_BYTES, pages = size / PAGE_BYTES;
    for (uint64_t round = 0; round < 12; round++) {
        uint64_t version = round * 16 + (uint64_t)(uintptr_t)index;
        uint8_t *base = map_pages(size);
        pages_fill(base, 0, pages, version);
        base = mremap(base, size, size * 2, MREMAP_MAYMOVE);
        require(base != MAP_FAILED);
        require(madvise(base + size, size, MADV_DONTNEED) == 0);
        pages_fill(base, pages, 2 * pages, version);
        pages_verify(base, 0, 2 * pages, version);
        require(munmap(base, size * 2) == 0);
    }
    return NULL;
}

static void changing(size_t bytes)
{
    shared.pages = bytes / PAGE_BYTES;
    in_threads(map_and_unmap);
}

/* --- the end ---------------------------------------------------------------------------------- */

static atomic_int going;

static void *go_on(void *index)
{
    atomic_fetch_add(&going, 1);
    for (size_t page = (size_t)index;; page = (page + 97) % shared.pages)
        page_verify(shared.base + page * PAGE_BYTES, page, 6);
    return NULL;
}

static void ended(size_t bytes)
{
    shared.pages = bytes / PAGE_BYTES;
    shared.base = map_pages(bytes);
    pages_fill(shared.base, 0, shared.pages, 6);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_t thread;
        require(pthread_create(&thread, NULL, go_on, (void *)i) == 0);
    }
    while (atomic_load(&going) < THREADS) require(usleep(1000) == 0);
    pages_verify(shared.base, 0, shared.pages, 6);
}

const struct exercise exercises_threads[] = {
    {"shared", shared_pages}, {"same", same_pages}, {"counters", counters}, {"stacks", stacks},
    {"changing", changing},   {"ended", ended},     {NULL, NULL},
};
