/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/keydir/fifo.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { SPARES_KEPT = 4 }; /* beyond what is needed, before the rest goes back */

/* --- spares ----------------------------------------------------------------------------------- */

static void spare(struct fifo_spares *spares, struct fifo_chunk *chunk)
{
    chunk->next = spares->chunks;
    spares->chunks = chunk;
    spares->count++;
}

static struct fifo_chunk *take_spare(struct fifo_spares *spares)
{
    struct fifo_chunk *chunk = spares->chunks;
    fp_assert(chunk != NULL); /* whoever adds a word has made sure */
    spares->chunks = chunk->next;
    spares->count--;
    chunk->next = NULL;
    chunk->first = chunk->end = 0;
    return chunk;
}

static void free_spares(struct fifo_spares *spares, uint32_t most, struct budget *budget)
{
    while (spares->count > most) {
        free(take_spare(spares));
        budget_return(budget, BUDGET_KEYDIR, FIFO_CHUNK_BYTES);
    }
}

bool fifo_spares_fit(struct fifo_spares *spares, uint32_t least, struct budget *budget)
{
    while (spares->count < least) {
        if (!budget_charge(budget, BUDGET_KEYDIR, FIFO_CHUNK_BYTES)) return false;
        struct fifo_chunk *chunk = malloc(sizeof *chunk);
        if (chunk == NULL) {
            budget_return(budget, BUDGET_KEYDIR, FIFO_CHUNK_BYTES);
            return false;
        }
        spare(spares, chunk);
    }
    free_spares(spares, least + SPARES_KEPT, budget);
    return true;
}

void fifo_spares_fini(struct fifo_spares *spares, struct budget *budget)
{
    free_spares(spares, 0, budget);
}

/* --- the queue -------------------------------------------------------------------------------- */

void fifo_push(struct fifo *fifo, struct fifo_spares *spares, uint32_t word)
{
    if (fifo->newest == NULL || fifo->newest->end == FIFO_CHUNK_WORDS) {
        struct fifo_chunk *chunk = take_spare(spares);
        if (fifo->newest != NULL) fifo->newest->next = chunk;
        else fifo->oldest = chunk;
        fifo->newest = chunk;
    }
    fifo->newest->words[fifo->newest->end++] = word;
    fifo->words++;
}

/* The chunk behind `before`, or the oldest where that is NULL. */
static void unlink_chunk(struct fifo *fifo, struct fifo_spares *spares, struct fifo_chunk *before)
{
    struct fifo_chunk **link = before != NULL ? &before->next : &fifo->oldest;
    struct fifo_chunk *chunk = *link;
    *link = chunk->next;
    if (fifo->newest == chunk) fifo->newest = before;
    if (fifo->swept == chunk) fifo->swept = before;
    spare(spares, chunk);
}

bool fifo_pop(struct fifo *fifo, struct fifo_spares *spares, uint32_t *word)
{
    struct fifo_chunk *chunk = fifo->oldest;
    if (chunk == NULL) return false;
    *word = chunk->words[chunk->first++];
    fifo->words--;
    if (chunk->first == chunk->end) unlink_chunk(fifo, spares, NULL);
    return true;
}

void fifo_clear(struct fifo *fifo, struct fifo_spares *spares)
{
    while (fifo->oldest != NULL) unlink_chunk(fifo, spares, NULL);
    fifo->words = 0;
}

/* --- sweeping --------------------------------------------------------------------------------- */

static void sweep_chunk(struct fifo *fifo, struct fifo_chunk *chunk, fifo_keep *keep,
                        void *context)
{
    uint16_t kept = 0;
    for (unsigned i = chunk->first; i < chunk->end; i++)
        if (keep(context, chunk->words[i])) chunk->words[kept++] = chunk->words[i];
    fifo->words -= (uint64_t)(chunk->end - chunk->first) - kept;
    chunk->first = 0;
    chunk->end = kept;
}

/* Puts the words of `chunk` behind those of the one before, where they fit. */
static bool join(struct fifo_chunk *before, const struct fifo_chunk *chunk)
{
    if (before->end - before->first + chunk->end > FIFO_CHUNK_WORDS) return false;
    unsigned held = before->end - before->first;
    memmove(before->words, before->words + before->first, held * sizeof before->words[0]);
    memcpy(before->words + held, chunk->words, chunk->end * sizeof chunk->words[0]);
    before->first = 0;
    before->end = (uint16_t)(held + chunk->end);
    return true;
}

void fifo_sweep(struct fifo *fifo, struct fifo_spares *spares, fifo_keep *keep, void *context)
{
    struct fifo_chunk *before = fifo->swept;
    struct fifo_chunk *chunk = before != NULL ? before->next : fifo->oldest;
    if (chunk == NULL) {
        fifo->swept = NULL; /* from the oldest again */
        return;
    }
    sweep_chunk(fifo, chunk, keep, context);
    if (chunk->end == 0 || (before != NULL && join(before, chunk)))
        unlink_chunk(fifo, spares, before);
    else
        fifo->swept = chunk;
}
