/* SPDX-License-Identifier: BSD-3-Clause
 * The heap: malloc, realloc and free of all sizes, and brk itself. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/pager/exercise.h"

/* A block says its own seed and size, so that its content can be told anywhere. */
struct block {
    uint8_t *bytes;
    size_t size;
    uint64_t seed;
};

static void fill(struct block *block, size_t from)
{
    for (size_t i = from; i < block->size; i++)
        block->bytes[i] = (uint8_t)(block->seed + i * 7 + (i >> 12) * block->seed);
}

static void verify(const struct block *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        require(block->bytes[i] == (uint8_t)(block->seed + i * 7 + (i >> 12) * block->seed));
}

static size_t some_size(uint64_t *random)
{
    uint64_t bits = next_random(random);
    return 16 + (bits >> 32) % ((size_t)16 << (bits % 15)); /* up to 256 KiB, small ones often */
}

static void churn(size_t bytes)
{
    enum { MOST = 1 << 15 };
    static struct block blocks[MOST];
    uint64_t random = 7;
    size_t held = 0, count = 0;
    while (held < bytes && count < MOST) {
        struct block *block = &blocks[count++];
        *block = (struct block){.size = some_size(&random), .seed = next_random(&random)};
        block->bytes = malloc(block->size);
        require(block->bytes != NULL);
        fill(block, 0);
        held += block->size;
    }
    for (size_t step = 0; step < count; step++) {
        struct block *block = &blocks[next_random(&random) % count];
        verify(block, block->size);
        free(block->bytes);
        *block = (struct block){.size = some_size(&random), .seed = next_random(&random)};
        block->bytes = malloc(block->size);
        require(block->bytes != NULL);
        fill(block, 0);
    }
    for (size_t i = 0; i < count; i++) {
        verify(&blocks[i], blocks[i].size);
        checksum_add(blocks[i].seed);
        free(blocks[i].bytes);
    }
}

/* Grows as an array does, by which glibc moves its pages, and shrinks. */
static void grown(size_t bytes)
{
    struct block block = {.seed = 99};
    for (size_t size = 100000; size < bytes; size += size / 4) {
        size_t before = block.size;
        block.bytes = realloc(block.bytes, size);
        require(block.bytes != NULL);
        block.size = size;
        verify(&block, before < 4096 ? before : 4096);
        fill(&block, before);
    }
    verify(&block, block.size);
    while (block.size > 200000) {
        block.size /= 2;
        block.bytes = realloc(block.bytes, block.size);
        require(block.bytes != NULL);
        verify(&block, block.size);
    }
    checksum_add(block.size);
    free(block.bytes);
}

static void cleared(size_t bytes) /* calloc's promise, on memory that was something before */
{
    enum { ROUNDS = 4, PARTS = 8 };
    size_t size = bytes / PARTS;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t *parts[PARTS];
        for (int i = 0; i < PARTS; i++) {
            parts[i] = calloc(1, size);
            require(parts[i] != NULL);
            for (size_t at = 0; at < size; at += 512) require(parts[i][at] == 0);
            memset(parts[i], i + 1, size);
        }
        for (int i = 0; i < PARTS; i++) {
            for (size_t at = 0; at < size; at += 512) require(parts[i][at] == i + 1);
            free(parts[i]);
        }
    }
}

static void broken(size_t bytes) /* the program break, up and down */
{
    uintptr_t top = (uintptr_t)sbrk(0);
    size_t skew = (PAGE_BYTES - top % PAGE_BYTES) % PAGE_BYTES, pages = bytes / PAGE_BYTES;
    require(sbrk((intptr_t)(skew + bytes)) != (void *)-1);
    uint8_t *base = (uint8_t *)(top + skew);
    pages_fill(base, 0, pages, 1);
    pages_verify(base, 0, pages, 1);
    require(sbrk(-(intptr_t)(pages / 2 * PAGE_BYTES)) != (void *)-1);
    pages_verify(base, 0, pages - pages / 2, 1);
    require(sbrk((intptr_t)(pages / 2 * PAGE_BYTES)) != (void *)-1);
    for (size_t i = pages - pages / 2; i < pages; i++)
        require(page_is_zero(base + i * PAGE_BYTES));
    pages_verify(base, 0, pages - pages / 2, 1);
}

const struct exercise exercises_heap[] = {
    {"churn", churn}, {"grown", grown}, {"cleared", cleared}, {"broken", broken}, {NULL, NULL},
};
