/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A word is 48 bits of page and 16 of count, a chunk a page of words, a queue a list of chunks from
 * the oldest to the newest. Spare chunks are had before anything is changed. */
#include "client/uffd/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"

enum {
    CHUNK_WORDS = 510,
    RUN_PAGES_MAX = UINT16_MAX,
    JOIN_LOOKBACK = 4,   /* runs that grow at a time: so many streams may take turns */
    SPARES_KEPT = 16,
    FRESH_PART = 10,     /* of all pages, one in so many */
    TICKS_IN_LOCAL = 16,
    GHOST_TICKS = 16,    /* as many evictions as pages may be resident */
    WALKED_PAGES = 64,   /* neighbours that are kept together, */
    WALKED_PART = 16,    /* one of so many, */
    WALKED_TICKS = 4     /* another for each quarter of the resident pages that goes */
};
static const uint64_t PAGES_END = 1ull << 48;

struct queue_chunk {
    struct queue_chunk *next; /* the one filled after it */
    uint32_t begin, end;      /* words[begin .. end - 1] are there */
    uint64_t words[CHUNK_WORDS];
};
_Static_assert(sizeof(struct queue_chunk) == 4096, "8 bytes a run and little more");

static uint64_t word_of(uint64_t first, uint64_t count)
{
    return first << 16 | count;
}

static uint64_t first_of(uint64_t word)
{
    return word >> 16;
}

static uint64_t count_of(uint64_t word)
{
    return word & RUN_PAGES_MAX;
}

/* --- chunks ----------------------------------------------------------------------------------- */

static void spare(struct queue *queue, struct queue_chunk *chunk)
{
    if (queue->spare_count >= SPARES_KEPT) {
        free(chunk);
        return;
    }
    chunk->next = queue->spares;
    queue->spares = chunk;
    queue->spare_count++;
}

static struct queue_chunk *take_spare(struct queue *queue)
{
    struct queue_chunk *chunk = queue->spares;
    if (chunk == NULL) return NULL;
    queue->spares = chunk->next;
    queue->spare_count--;
    chunk->next = NULL;
    chunk->begin = chunk->end = 0;
    return chunk;
}

static bool have_spares(struct queue *queue, uint64_t count)
{
    while (queue->spare_count < count) {
        struct queue_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL) return false;
        chunk->next = queue->spares;
        queue->spares = chunk;
        queue->spare_count++;
    }
    return true;
}

void queue_init(struct queue *queue, uint64_t local_pages)
{
    memset(queue, 0, sizeof *queue);
    queue->tick_pages = max_u64(local_pages / TICKS_IN_LOCAL, 1);
}

static void free_chunks(struct queue_chunk *chunk)
{
    while (chunk != NULL) {
        struct queue_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void queue_fini(struct queue *queue)
{
    for (int part = 0; part < QUEUE_PARTS; part++) free_chunks(queue->parts[part].oldest);
    free_chunks(queue->spares);
    memset(queue, 0, sizeof *queue);
}

/* --- pushing ---------------------------------------------------------------------------------- */

/* Neighbours of one of the newest runs of the newest chunk become part of it. */
static bool join(struct queue_fifo *fifo, uint64_t first, uint64_t count)
{
    struct queue_chunk *chunk = fifo->newest;
    if (chunk == NULL) return false;
    for (uint32_t back = 1; back <= JOIN_LOOKBACK && chunk->begin + back <= chunk->end; back++) {
        uint64_t *word = &chunk->words[chunk->end - back];
        uint64_t joined = count_of(*word) + count;
        if (joined > RUN_PAGES_MAX) continue;
        if (first_of(*word) + count_of(*word) == first) *word = word_of(first_of(*word), joined);
        else if (first + count == first_of(*word)) *word = word_of(first, joined);
        else continue;
        return true;
    }
    return false;
}

static void push_run(struct queue *queue, struct queue_fifo *fifo, uint64_t first, uint64_t count)
{
    if (join(fifo, first, count)) return;
    if (fifo->newest == NULL || fifo->newest->end == CHUNK_WORDS) {
        struct queue_chunk *chunk = take_spare(queue);
        fp_assert(chunk != NULL); /* queue_push has seen to it */
        if (fifo->newest != NULL) fifo->newest->next = chunk;
        else fifo->oldest = chunk;
        fifo->newest = chunk;
    }
    fifo->newest->words[fifo->newest->end++] = word_of(first, count);
}

bool queue_push(struct queue *queue, enum queue_part part, uint64_t first, uint64_t count)
{
    fp_assert(first < PAGES_END && count <= PAGES_END - first);
    uint64_t runs = div_up_u64(count, RUN_PAGES_MAX);
    if (!have_spares(queue, div_up_u64(runs, CHUNK_WORDS) + 1)) return false;
    struct queue_fifo *fifo = &queue->parts[part];
    fifo->pages += count;
    while (count > 0) {
        uint64_t some = min_u64(count, RUN_PAGES_MAX);
        push_run(queue, fifo, first, some);
        first += some;
        count -= some;
    }
    return true;
}

/* --- taking ----------------------------------------------------------------------------------- */

static void drop_oldest(struct queue *queue, struct queue_fifo *fifo)
{
    struct queue_chunk *chunk = fifo->oldest;
    fifo->oldest = chunk->next;
    if (fifo->newest == chunk) fifo->newest = NULL;
    spare(queue, chunk);
}

static struct queue_fifo *part_to_take(struct queue *queue)
{
    struct queue_fifo *fresh = &queue->parts[QUEUE_FRESH], *kept = &queue->parts[QUEUE_KEPT];
    bool much = fresh->pages * FRESH_PART > queue_pages(queue);
    return kept->pages == 0 || (fresh->pages > 0 && much) ? fresh : kept;
}

bool queue_take(struct queue *queue, uint32_t pages_max, struct queue_run *run)
{
    fp_assert(pages_max > 0);
    struct queue_fifo *fifo = part_to_take(queue);
    if (fifo->pages == 0) return false;
    struct queue_chunk *chunk = fifo->oldest;
    uint64_t *word = &chunk->words[chunk->begin];
    uint64_t count = min_u64(count_of(*word), pages_max);
    *run = (struct queue_run){.first = first_of(*word), .count = (uint32_t)count};
    if (count < count_of(*word)) *word = word_of(run->first + count, count_of(*word) - count);
    else chunk->begin++;
    if (chunk->begin == chunk->end) drop_oldest(queue, fifo);
    fifo->pages -= count;
    queue->taken += count;
    return true;
}

uint64_t queue_pages(const struct queue *queue)
{
    return queue->parts[QUEUE_FRESH].pages + queue->parts[QUEUE_KEPT].pages;
}

/* --- forgetting ------------------------------------------------------------------------------- */

enum { CUTS = 4 }; /* runs that reach over both ends of what is forgotten: one, if pushed once */

struct sweep {
    uint64_t first, end;
    struct queue_run behind[CUTS]; /* what lay behind the end: it waits from the start again */
    unsigned cuts, cuts_max;
};

/* The word without the pages from `first` to `end`; 0: nothing is left of it. */
static uint64_t without(struct sweep *sweep, uint64_t word)
{
    uint64_t first = first_of(word), end = first + count_of(word);
    if (end <= sweep->first || first >= sweep->end) return word;
    bool before = first < sweep->first, behind = end > sweep->end;
    if (before && behind) {
        if (sweep->cuts == sweep->cuts_max) return word;
        sweep->behind[sweep->cuts++] =
            (struct queue_run){.first = sweep->end, .count = (uint32_t)(end - sweep->end)};
    }
    if (before) return word_of(first, sweep->first - first);
    return behind ? word_of(sweep->end, end - sweep->end) : 0;
}

/* How many pages are gone. */
static uint64_t sweep_chunk(struct sweep *sweep, struct queue_chunk *chunk)
{
    uint32_t left = 0;
    uint64_t gone = 0;
    for (uint32_t i = chunk->begin; i < chunk->end; i++) {
        uint64_t word = without(sweep, chunk->words[i]);
        gone += count_of(chunk->words[i]) - count_of(word);
        if (word != 0) chunk->words[left++] = word;
    }
    chunk->begin = 0;
    chunk->end = left;
    return gone;
}

/* The words of `chunk` go behind those of the one before, where they fit. */
static bool merge(struct queue_chunk *before, const struct queue_chunk *chunk)
{
    uint32_t held = before->end - before->begin, more = chunk->end - chunk->begin;
    if (held + more > CHUNK_WORDS) return false;
    memmove(before->words, before->words + before->begin, held * sizeof before->words[0]);
    memcpy(before->words + held, chunk->words + chunk->begin, more * sizeof chunk->words[0]);
    before->begin = 0;
    before->end = held + more;
    return true;
}

static void sweep_fifo(struct queue *queue, struct queue_fifo *fifo, struct sweep *sweep)
{
    struct queue_chunk *before = NULL;
    for (struct queue_chunk *chunk = fifo->oldest, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        fifo->pages -= sweep_chunk(sweep, chunk);
        bool empty = chunk->end == 0 || (before != NULL && merge(before, chunk));
        if (!empty) {
            before = chunk;
            continue;
        }
        if (before != NULL) before->next = next;
        else fifo->oldest = next;
        if (fifo->newest == chunk) fifo->newest = before;
        spare(queue, chunk);
    }
}

void queue_forget(struct queue *queue, uint64_t first, uint64_t count)
{
    for (int part = 0; part < QUEUE_PARTS; part++) {
        struct queue_fifo *fifo = &queue->parts[part];
        unsigned cuts_max = have_spares(queue, 1) ? CUTS : 0; /* they fit in a chunk */
        struct sweep sweep = {.first = first, .end = first + count, .cuts_max = cuts_max};
        sweep_fifo(queue, fifo, &sweep);
        for (unsigned i = 0; i < sweep.cuts; i++) {
            push_run(queue, fifo, sweep.behind[i].first, sweep.behind[i].count);
            fifo->pages += sweep.behind[i].count;
        }
    }
}

/* --- ghosts ----------------------------------------------------------------------------------- */

uint8_t queue_stamp(const struct queue *queue)
{
    return (uint8_t)(queue->taken / queue->tick_pages);
}

enum queue_part queue_part_back(const struct queue *queue, uint8_t stamp)
{
    uint8_t ticks = (uint8_t)(queue_stamp(queue) - stamp);
    return ticks < GHOST_TICKS ? QUEUE_KEPT : QUEUE_FRESH;
}

/* By lot, that what is kept of a walk is no walk itself, and another part of it the next time. */
enum queue_part queue_part_walked(const struct queue *queue, uint64_t page)
{
    uint64_t round = queue->taken / queue->tick_pages / WALKED_TICKS;
    uint64_t lot = (page / WALKED_PAGES + round * 977) * 0x9e3779b97f4a7c15u >> 32;
    return lot % WALKED_PART == 0 ? QUEUE_KEPT : QUEUE_FRESH;
}
