/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/bench/paging_traces.h"

#include <math.h>
#include <stdlib.h>

#include "tests/bench/draw.h"

enum { TOUCHES_MAX = 1 << 23, NUMBERS_A_PAGE = 1024 };

struct writer {
    struct touches *touches;
    struct draw draw;
};

static void touch(struct writer *writer, uint64_t page)
{
    struct touches *touches = writer->touches;
    if (touches->length == TOUCHES_MAX) return;
    if (touches->length > 0 && touches->pages[touches->length - 1] == page) return;
    touches->pages[touches->length++] = (uint32_t)page;
    if (page >= touches->page_count) touches->page_count = (uint32_t)page + 1;
}

static void scan(struct writer *writer, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) touch(writer, first + i);
}

static uint64_t below(struct writer *writer, uint64_t limit)
{
    return draw_below(&writer->draw, limit);
}

/* Popular in proportion to a power of the place, scattered. */
static uint64_t popular(struct writer *writer, uint64_t count, double skew)
{
    double part = (double)(draw_bits(&writer->draw) >> 11) / (double)(1ull << 53);
    double end = (pow((double)count, 1 - skew) - 1) / (1 - skew);
    uint64_t place = (uint64_t)pow(1 + part * end * (1 - skew), 1 / (1 - skew)) - 1;
    return (place < count ? place : count - 1) * 2654435761u % count;
}

/* --- what they do ----------------------------------------------------------------------------- */

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t kept = *a;
    *a = *b;
    *b = kept;
}

static size_t partition(struct writer *writer, uint32_t *numbers, size_t from, size_t count)
{
    size_t low = from, high = from + count - 1;
    uint32_t pivot = numbers[from + count / 2];
    for (;;) {
        for (; numbers[low] < pivot; low++) touch(writer, low / NUMBERS_A_PAGE);
        for (; numbers[high] > pivot; high--) touch(writer, high / NUMBERS_A_PAGE);
        if (low >= high) return high + 1 - from;
        touch(writer, low / NUMBERS_A_PAGE);
        touch(writer, high / NUMBERS_A_PAGE);
        swap(&numbers[low++], &numbers[high--]);
    }
}

static void sort(struct writer *writer, uint32_t *numbers, size_t from, size_t count) /* NOLINT */
{
    while (count > NUMBERS_A_PAGE) {
        size_t left = partition(writer, numbers, from, count);
        if (left == 0 || left >= count) return;
        if (left < count - left) {
            sort(writer, numbers, from, left);
            from += left;
            count -= left;
        } else {
            sort(writer, numbers, from + left, count - left);
            count = left;
        }
    }
    scan(writer, from / NUMBERS_A_PAGE, 1 + (count - 1) / NUMBERS_A_PAGE);
}

static void quicksort(struct writer *writer)
{
    size_t count = (size_t)10000 * NUMBERS_A_PAGE;
    uint32_t *numbers = malloc(count * sizeof *numbers);
    if (numbers == NULL) return;
    for (size_t i = 0; i < count; i++) numbers[i] = (uint32_t)draw_bits(&writer->draw);
    scan(writer, 0, 10000);
    sort(writer, numbers, 0, count);
    scan(writer, 0, 10000);
    free(numbers);
}

/* A table of buckets, and a page of values for each request. */
static void key_values(struct writer *writer)
{
    scan(writer, 0, 20000);
    for (int i = 0; i < 1000000; i++) {
        touch(writer, below(writer, 400));
        touch(writer, 400 + below(writer, 19600));
    }
}

static void popular_values(struct writer *writer)
{
    scan(writer, 0, 20000);
    for (int i = 0; i < 2000000; i++) touch(writer, popular(writer, 20000, 0.9));
}

static void popular_and_scans(struct writer *writer)
{
    enum { EVERY = 200000, POPULAR = 150000 };
    for (int i = 0; i < 1000000; i++)
        if (i % EVERY < POPULAR) touch(writer, popular(writer, 10000, 0.9));
        else touch(writer, 10000 + (uint64_t)(i % EVERY - POPULAR) % 20000);
}

/* Rows in order, an index in none, ranges of the index with their rows. */
static void trees(struct writer *writer)
{
    enum { INNER = 200, LEAVES = 10000, ROWS = INNER + LEAVES, ROW_PAGES = 10000 };
    scan(writer, ROWS, ROW_PAGES);
    for (uint64_t i = 0; i < 400000; i++) {
        uint64_t leaf = below(writer, LEAVES);
        touch(writer, ROWS + i / 40);
        touch(writer, leaf % INNER);
        touch(writer, INNER + leaf);
    }
    for (int range = 0; range < 20; range++) {
        uint64_t first = below(writer, LEAVES - 1000);
        for (uint64_t leaf = first; leaf < first + 1000; leaf++) {
            touch(writer, INNER + leaf);
            for (int row = 0; row < 10; row++) touch(writer, ROWS + below(writer, ROW_PAGES));
        }
    }
    scan(writer, ROWS, ROW_PAGES);
}

/* Edges in order, from each of which ranks are gathered, and new ones written. */
static void page_rank(struct writer *writer)
{
    enum { RANKS = 1000, EDGES = 12000 };
    for (int round = 0; round < 6; round++)
        for (uint64_t edge = 0; edge < EDGES; edge++) {
            touch(writer, 2 * RANKS + edge);
            for (int i = 0; i < 20; i++) touch(writer, below(writer, RANKS));
            for (int i = 0; i < 20; i++) touch(writer, popular(writer, RANKS, 0.6));
            touch(writer, RANKS + edge * RANKS / EDGES);
        }
}

/* Columns walked in pairs into temporaries, and now and then gathered from in random order. */
static void columns(struct writer *writer)
{
    enum { COLUMN = 2000, COLUMNS = 8, SPARE = COLUMN * COLUMNS };
    scan(writer, 0, SPARE);
    for (uint64_t step = 0; step < 24; step++) {
        uint64_t a = below(writer, COLUMNS) * COLUMN, b = below(writer, COLUMNS) * COLUMN;
        for (uint64_t i = 0; i < COLUMN; i++) {
            touch(writer, a + i);
            touch(writer, b + i);
            touch(writer, SPARE + step % 2 * COLUMN + i);
        }
        for (uint64_t i = 0; step % 4 == 3 && i < 60000; i++) {
            touch(writer, a + below(writer, COLUMN));
            touch(writer, SPARE + 2 * COLUMN + i / 30);
        }
    }
}

static void loop(struct writer *writer)
{
    for (int round = 0; round < 20; round++) scan(writer, 0, 20000);
}

static void phases(struct writer *writer)
{
    for (uint64_t phase = 0; phase < 12; phase++)
        for (int i = 0; i < 100000; i++)
            touch(writer, phase % 6 * 5000 + below(writer, 5000));
}

static const struct {
    const char *name;
    void (*make)(struct writer *writer);
} kinds[PAGING_TRACES] = {
    {"quicksort", quicksort},
    {"keys and values, uniform", key_values},
    {"pages by zipf 0.9", popular_values},
    {"zipf 0.9 and scans", popular_and_scans},
    {"rows and an index", trees},
    {"page rank", page_rank},
    {"columns of a table", columns},
    {"a loop", loop},
    {"phases", phases},
};

bool touches_make(unsigned index, struct touches *touches)
{
    *touches = (struct touches){.name = kinds[index].name};
    touches->pages = malloc((size_t)TOUCHES_MAX * sizeof *touches->pages);
    if (touches->pages == NULL) return false;
    struct writer writer = {.touches = touches};
    draw_init(&writer.draw, 1, 1, false);
    kinds[index].make(&writer);
    return true;
}

void touches_free(struct touches *touches)
{
    free(touches->pages);
    *touches = (struct touches){0};
}
