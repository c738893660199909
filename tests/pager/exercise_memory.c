/* SPDX-License-Identifier: BSD-3-Clause
 * Mappings: walked through, moved, cut, advised on, protected. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/pager/exercise.h"

/* Forwards, backwards, at random; half is rewritten on the way, so that clean and dirty mix. */
static void walk(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    pages_verify(base, 0, pages, 1);
    for (size_t i = pages; i-- > 0;) {
        page_verify(base + i * PAGE_BYTES, i, 1);
        if (i % 2 == 0) page_fill(base + i * PAGE_BYTES, i, 2);
    }
    uint64_t random = 1;
    for (size_t i = 0; i < pages; i++) {
        size_t page = next_random(&random) % pages;
        page_verify(base + page * PAGE_BYTES, page, page % 2 == 0 ? 2 : 1);
        checksum_add(base[page * PAGE_BYTES + 17]);
    }
    require(munmap(base, bytes) == 0);
}

/* What was never written is zero, however often its neighbours come and go. */
static void untouched(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    for (size_t i = 0; i < pages; i += 3) page_fill(base + i * PAGE_BYTES, i, 1);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < pages; i++) {
            const uint8_t *page = base + i * PAGE_BYTES;
            if (i % 3 == 0) page_verify(page, i, 1);
            else require(page_is_zero(page));
        }
    for (size_t i = 1; i < pages; i += 3) page_fill(base + i * PAGE_BYTES, i, 1);
    for (size_t i = 0; i < pages; i++)
        if (i % 3 == 2) require(page_is_zero(base + i * PAGE_BYTES));
        else page_verify(base + i * PAGE_BYTES, i, 1);
}

/* A page of zeros that was written, and one that became zeros after it had been something. */
static void zeroed(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    for (size_t i = 0; i < pages; i += 2) memset(base + i * PAGE_BYTES, 0, PAGE_BYTES);
    for (size_t i = 0; i < pages; i++)
        if (i % 2 == 0) require(page_is_zero(base + i * PAGE_BYTES));
        else page_verify(base + i * PAGE_BYTES, i, 1);
}

static void moved(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES, half = pages / 2;
    uint8_t *base = map_pages(half * PAGE_BYTES);
    pages_fill(base, 0, half, 1);
    uint8_t *fence = map_pages(PAGE_BYTES); /* likely where it would grow */
    base = mremap(base, half * PAGE_BYTES, bytes, MREMAP_MAYMOVE);
    require(base != MAP_FAILED);
    pages_verify(base, 0, half, 1);
    pages_fill(base, half, pages, 1);
    uint8_t *place = map_pages(bytes);
    base = mremap(base, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    require(base == place);
    pages_verify(base, 0, pages, 1);
    base = mremap(base, bytes, half * PAGE_BYTES, 0); /* shrinks in place */
    require(base == place);
    pages_verify(base, 0, half, 1);
    base = mremap(base, half * PAGE_BYTES, bytes, MREMAP_MAYMOVE);
    require(base != MAP_FAILED);
    pages_verify(base, 0, half, 1);
    for (size_t i = half; i < pages; i++) require(page_is_zero(base + i * PAGE_BYTES));
    checksum_add(base[PAGE_BYTES] + fence[0]);
}

/* Holes are cut, and something else comes to lie in them: at first it is zeros. */
static void cut(size_t bytes)
{
    enum { PIECE = 16 };
    size_t pages = bytes / PAGE_BYTES / PIECE * PIECE;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    for (size_t at = 0; at < pages; at += 2 * PIECE)
        require(munmap(base + at * PAGE_BYTES, PIECE * PAGE_BYTES) == 0);
    for (size_t at = 0; at < pages; at += 4 * PIECE) {
        void *piece = mmap(base + at * PAGE_BYTES, PIECE * PAGE_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        require(piece == base + at * PAGE_BYTES);
        for (size_t i = 0; i < PIECE; i++)
            require(page_is_zero((uint8_t *)piece + i * PAGE_BYTES));
        pages_fill(base, at, at + PIECE, 2);
    }
    for (size_t at = 0; at < pages; at += PIECE)
        if (at / PIECE % 4 == 0) pages_verify(base, at, at + PIECE, 2);
        else if (at / PIECE % 2 == 1) pages_verify(base, at, at + PIECE, 1);
}

/* Over what is there something else is mapped, without unmapping it first. */
static void replaced(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES, half = pages / 2;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    void *over = mmap(base, half * PAGE_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    require(over == base);
    for (size_t i = 0; i < half; i++) require(page_is_zero(base + i * PAGE_BYTES));
    pages_fill(base, 0, half, 2);
    pages_verify(base, half, pages, 1);
    pages_verify(base, 0, half, 2);
}

static void dontneed(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i + 8 <= pages; i += 32)
            require(madvise(base + i * PAGE_BYTES, (size_t)8 * PAGE_BYTES, MADV_DONTNEED) == 0);
        for (size_t i = 0; i < pages; i++)
            if (i % 32 < 8 && i / 32 * 32 + 8 <= pages) {
                require(page_is_zero(base + i * PAGE_BYTES));
                page_fill(base + i * PAGE_BYTES, i, 1);
            } else {
                page_verify(base + i * PAGE_BYTES, i, 1);
            }
    }
    require(madvise(base, bytes, MADV_DONTNEED) == 0);
    for (size_t i = 0; i < pages; i++) require(page_is_zero(base + i * PAGE_BYTES));
}

/* After MADV_FREE a page is what it was or zeros, and what is written then stays. */
static void freed(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    require(madvise(base, pages / 2 * PAGE_BYTES, MADV_FREE) == 0);
    for (size_t i = 0; i < pages / 2; i += 2) page_fill(base + i * PAGE_BYTES, i, 2);
    pages_verify(base, pages / 2, pages, 1);
    for (size_t i = 0; i < pages / 2; i++) {
        const uint8_t *page = base + i * PAGE_BYTES;
        if (i % 2 == 0) page_verify(page, i, 2);
        else require(page_is_zero(page) || page_is(page, i, 1));
    }
}

static void hinted(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    int hints[] = {MADV_HUGEPAGE, MADV_SEQUENTIAL, MADV_RANDOM, MADV_NOHUGEPAGE, MADV_WILLNEED,
                   MADV_NORMAL};
    for (size_t h = 0; h < sizeof hints / sizeof hints[0]; h++) {
        (void)madvise(base, bytes, hints[h]); /* a kernel may lack some */
        if (h % 2 == 0) pages_fill(base, 0, pages, h);
        else pages_verify(base, 0, pages, h - 1);
    }
    pages_verify(base, 0, pages, 4);
}

static sigjmp_buf back;
static volatile sig_atomic_t faults_met;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    faults_met++;
    siglongjmp(back, 1);
}

static bool may_write(uint8_t *at, uint8_t value)
{
    if (sigsetjmp(back, 1) != 0) return false;
    *(volatile uint8_t *)at = value;
    return true;
}

static void protected_pages(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    require(sigaction(SIGSEGV, &action, NULL) == 0);
    uint8_t *base = map_pages(bytes);
    pages_fill(base, 0, pages, 1);
    require(mprotect(base, bytes, PROT_READ) == 0);
    pages_verify(base, 0, pages, 1);
    for (size_t i = 0; i < pages; i += 64) require(!may_write(base + i * PAGE_BYTES, 0));
    require(mprotect(base, bytes, PROT_NONE) == 0);
    for (size_t i = 0; i < pages; i += 64) require(!may_write(base + i * PAGE_BYTES, 0));
    require(mprotect(base, bytes, PROT_READ | PROT_WRITE) == 0);
    pages_verify(base, 0, pages, 1);
    pages_fill(base, 0, pages, 2);
    pages_verify(base, 0, pages, 2);
    checksum_add((uint64_t)faults_met);
}

/* More mappings than one, with gaps between, of which some go. */
static void many(size_t bytes)
{
    enum { PIECE = 64 * 1024, MOST = 4096, PAGES = PIECE / PAGE_BYTES };
    static uint8_t *pieces[MOST];
    size_t count = bytes / PIECE < MOST ? bytes / PIECE : MOST;
    for (size_t i = 0; i < count; i++) {
        uint8_t *with_gap = map_pages(PIECE + PAGE_BYTES);
        require(munmap(with_gap + PIECE, PAGE_BYTES) == 0);
        pieces[i] = with_gap;
        pages_fill(pieces[i], 0, PAGES, i);
    }
    for (size_t i = 0; i < count; i += 2) require(munmap(pieces[i], PIECE) == 0);
    for (size_t i = 1; i < count; i += 2) pages_verify(pieces[i], 0, PAGES, i);
    for (size_t i = 0; i < count; i += 2) {
        pieces[i] = map_pages(PIECE);
        require(page_is_zero(pieces[i]));
        pages_fill(pieces[i], 0, PAGES, i);
    }
    for (size_t i = 0; i < count; i++) pages_verify(pieces[i], 0, PAGES, i);
    checksum_add(count);
}

/* Fills, says so on stderr, and verifies round after round for EXERCISE_SECONDS, one round at
 * least: for those who do something to the others meanwhile. */
static void lasting(size_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    uint8_t *base = map_pages(bytes);
    const char *text = getenv("EXERCISE_SECONDS");
    time_t until = time(NULL) + (text != NULL ? (time_t)strtoul(text, NULL, 10) : 0);
    pages_fill(base, 0, pages, 1);
    fprintf(stderr, "filled\n");
    do {
        pages_verify(base, 0, pages, 1);
    } while (time(NULL) < until);
}

const struct exercise exercises_memory[] = {
    {"walk", walk},         {"untouched", untouched},       {"zeroed", zeroed},
    {"moved", moved},       {"cut", cut},                   {"replaced", replaced},
    {"dontneed", dontneed}, {"freed", freed},               {"hinted", hinted},
    {"many", many},         {"protected", protected_pages}, {"lasting", lasting},
    {NULL, NULL},
};
