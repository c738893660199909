/* SPDX-License-Identifier: BSD-3-Clause
 * fifo - a queue of words of 32 bits, in chunks: 4.5 bytes a word, nothing is ever moved at once,
 * and memory comes back chunk by chunk. What has become worthless inside is swept out in steps.
 *
 * Three queues that words wander between share their spare chunks, so that a word taken from one
 * and put into another needs no memory: each may have two chunks that are not full, so whatever is
 * done without adding a word takes five at most.
 *
 * Threads: the caller's lock. Blocks: never.
 */
#ifndef FARPAGE_STORAGE_FIFO_H
#define FARPAGE_STORAGE_FIFO_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"
#include "base/budget.h"

enum {
    FIFO_CHUNK_WORDS = 61,
    FIFO_CHUNK_BYTES = 272, /* with what malloc adds */
    FIFO_SPARES = 6,        /* five for what wanders, and one for a word that is added */
};

struct fifo_chunk {
    struct fifo_chunk *next; /* the one filled after it; of a spare one any other */
    uint16_t first, end;     /* words[first .. end - 1] are there */
    uint32_t words[FIFO_CHUNK_WORDS];
};
_Static_assert(sizeof(struct fifo_chunk) == FIFO_CHUNK_BYTES - 16, "as charged");

struct fifo_spares {
    struct fifo_chunk *chunks;
    uint32_t count;
};

struct fifo { /* all zeros: empty */
    struct fifo_chunk *oldest, *newest;
    struct fifo_chunk *swept; /* up to and with it; NULL: none yet */
    uint64_t words;
};

/* Makes the spares `least` or some more, charged to BUDGET_KEYDIR. False: there are fewer, for want
 * of memory. */
bool fifo_spares_fit(struct fifo_spares *spares, uint32_t least, struct budget *budget)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* A chunk it may take is among the spares; one it empties goes there. */
void fifo_push(struct fifo *fifo, struct fifo_spares *spares, uint32_t word) FP_NONNULL(1, 2);
bool fifo_pop(struct fifo *fifo, struct fifo_spares *spares, uint32_t *word)
    FP_MUST_CHECK FP_NONNULL(1, 2, 3); /* false: it is empty */

/* Looks at one chunk, another one each time, and drops the words that keep() does not want. */
typedef bool fifo_keep(void *context, uint32_t word);
void fifo_sweep(struct fifo *fifo, struct fifo_spares *spares, fifo_keep *keep, void *context)
    FP_NONNULL(1, 2, 3);

void fifo_clear(struct fifo *fifo, struct fifo_spares *spares) FP_NONNULL(1, 2);
void fifo_spares_fini(struct fifo_spares *spares, struct budget *budget) FP_NONNULL(1, 2);

#endif
