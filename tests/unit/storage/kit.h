/* SPDX-License-Identifier: BSD-3-Clause
 * kit - what the tests of the storage share: numbers that repeat, real pages, resident pages. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_KIT_H
#define FARPAGE_TESTS_UNIT_STORAGE_KIT_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

enum { KIT_PAGE_BYTES = 4096, KIT_SAMPLE_PAGES = 500 };

struct rng { /* splitmix64: every seed, 0 too, is a good one */
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number below `end`; the bias of the remainder does not matter here. */
static inline uint64_t rng_below(struct rng *rng, uint64_t end)
{
    return rng_next(rng) % end;
}

static inline void rng_fill(struct rng *rng, uint8_t *bytes, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes; at += sizeof(uint64_t)) {
        uint64_t word = rng_next(rng);
        size_t rest = size_bytes - at < sizeof word ? size_bytes - at : sizeof word;
        memcpy(bytes + at, &word, rest);
    }
}

/* Words of a small alphabet: packs to about a third, differently for every seed. */
static inline void rng_fill_text(struct rng *rng, uint8_t *bytes, size_t size_bytes)
{
    static const char *const words[] = {"page ", "slot ",  "area ", "handle ", "zspage ", "seat ",
                                        "map ",  "unmap ", "pin ",  "store ",  "load ",   "spill "};
    size_t at = 0;
    while (at < size_bytes) {
        const char *word = words[rng_below(rng, sizeof words / sizeof *words)];
        size_t size = strlen(word);
        if (size > size_bytes - at) size = size_bytes - at;
        memcpy(bytes + at, word, size);
        at += size;
    }
}

/* The allocator under test: every storage test is run with each. */
static inline const char *kit_allocator(void)
{
    const char *allocator = getenv("FARPAGE_ALLOCATOR");
    return allocator != NULL ? allocator : "zsmalloc";
}

/* KIT_SAMPLE_PAGES real pages of five programs; the caller frees them. */
static inline uint8_t *kit_sample(void)
{
    const char *source = getenv("FARPAGE_SOURCE");
    char path[4096];
    size_t size = (size_t)KIT_SAMPLE_PAGES * KIT_PAGE_BYTES;
    (void)snprintf(path, sizeof path, "%s/tests/data/pages.sample", source ? source : ".");
    uint8_t *bytes = malloc(size);
    FILE *file = fopen(path, "rb");
    if (file == NULL) fprintf(stderr, "cannot open %s: set FARPAGE_SOURCE\n", path);
    fp_assert(file != NULL && bytes != NULL && fread(bytes, 1, size, file) == size);
    fp_assert(fclose(file) == 0);
    return bytes;
}

/* How many of the OS pages from `at` on are in memory. */
static inline uint64_t kit_resident_pages(void *at, uint64_t bytes)
{
    enum { WINDOW_PAGES = 1 << 16 };
    static unsigned char present[WINDOW_PAGES];
    uint64_t pages = bytes / KIT_PAGE_BYTES, count = 0;
    for (uint64_t first = 0; first < pages; first += WINDOW_PAGES) {
        uint64_t window = pages - first < WINDOW_PAGES ? pages - first : WINDOW_PAGES;
        uint8_t *start = (uint8_t *)at + first * KIT_PAGE_BYTES;
        fp_assert(mincore(start, window * KIT_PAGE_BYTES, present) == 0);
        for (uint64_t i = 0; i < window; i++) count += present[i] & 1u;
    }
    return count;
}

/* What the process holds in memory, in pages: all of it, or without files (code, libraries). */
static inline uint64_t kit_process_pages(void)
{
    unsigned long long size = 0, resident = 0, shared = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    fp_assert(file != NULL && fscanf(file, "%llu %llu %llu", &size, &resident, &shared) == 3);
    fp_assert(fclose(file) == 0);
    return resident - shared;
}

/* argv[at] or the environment's `name` or `otherwise`. */
static inline uint64_t kit_number(int argc, char **argv, int at, const char *name,
                                  uint64_t otherwise)
{
    const char *text = argc > at ? argv[at] : getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

#endif
