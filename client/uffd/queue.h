/* SPDX-License-Identifier: BSD-3-Clause
 * queue - in which order resident pages give way.
 *
 * Nobody tells a pager that a mapped page is read. What it sees: that a page came, and that it was
 * wanted back, from staging or from the server. So pages wait in two first-in-first-out queues:
 *
 *     first touch, walked over,     +-------+   taken    staging,  not touched
 *     back after a long time  ----> | fresh | ---------> unmapped -------------> server
 *                                   +-------+               |                      |
 *     touched in staging,           +-------+   taken       |                      |
 *     back after a short time ----> | kept  | ---------->  -'                      |
 *         ^                         +-------+                                      |
 *         '--------------------- wanted back ---------------------------------------'
 *
 * `fresh` gives way while it holds more than its share, else `kept`: what is used once (a scan, a
 * temporary) pushes out nothing that is used again. With staging behind both that is segmented FIFO
 * (Turner, Levy, SIGMETRICS 1981) with the small queue and the ghosts of S3-FIFO (Yang et al.,
 * SOSP 2023). A ghost is one byte in the record of a page that is away, see queue_stamp.
 *
 * Who walks over more than may be resident, again and again, finds nothing of it in any queue that
 * lets the oldest go. So what is fetched ahead of a walk is fresh, and a small part of it, another
 * one in each round, is kept: it stays, and the rest goes round (the bimodal insertion of Qureshi
 * et al., ISCA 2007).
 *
 * Pages are numbers, address / 4096, and wait in runs of neighbours: 8 bytes a run, whatever its
 * length, so that what came together goes together, in one call of the kernel. A page should be
 * pushed once: who removes pages from a mapping that stays may leave them (the taker finds them
 * gone), and does not push one that returns while it is still queued, which takes the caller a bit
 * a page; a mapping that ends or moves is forgotten here.
 *
 * Threads: the caller's. Blocks: never. Memory: malloc, 4 KiB at a time, kept where likely needed
 * again.
 */
#ifndef FARPAGE_CLIENT_UFFD_QUEUE_H
#define FARPAGE_CLIENT_UFFD_QUEUE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/attrs.h"

enum queue_part {
    QUEUE_FRESH, /* first touched, walked over, or back after a long time */
    QUEUE_KEPT,  /* wanted back: touched while staged, or away for a short time only; and a few */
    QUEUE_PARTS
};

struct queue_run {
    uint64_t first;
    uint32_t count;
};

struct queue_chunk;

struct queue_fifo {
    struct queue_chunk *oldest, *newest;
    uint64_t pages;
};

struct queue {
    struct queue_fifo parts[QUEUE_PARTS];
    struct queue_chunk *spares;
    uint32_t spare_count;
    uint64_t tick_pages; /* of taken ones, until the stamp changes */
    uint64_t taken;      /* pages, ever */
};

/* `local_pages`: as many as may be resident; what "a short time" is goes by it. */
void queue_init(struct queue *queue, uint64_t local_pages) FP_NONNULL(1);
void queue_fini(struct queue *queue) FP_NONNULL(1);

/* Pages first .. first + count - 1 are the newest of `part`. False: no memory, nothing changed. */
bool queue_push(struct queue *queue, enum queue_part part, uint64_t first, uint64_t count)
    FP_MUST_CHECK FP_NONNULL(1);

/* The next to give way: neighbours, 1 to `pages_max` (> 0) of them. False: nothing is queued. */
bool queue_take(struct queue *queue, uint32_t pages_max, struct queue_run *run)
    FP_MUST_CHECK FP_NONNULL(1, 3);

/* The pages are in no queue any more. Looks at every run: 0.2 ms for 100,000 of them. Pages that
 * were pushed several times over may stay, of which the taker will find that they are gone. */
void queue_forget(struct queue *queue, uint64_t first, uint64_t count) FP_NONNULL(1);

uint64_t queue_pages(const struct queue *queue) FP_NONNULL(1); /* in both */

/* For the record of a page that is sent away; and where such a page comes back, which part it is to
 * be pushed to. Times longer than 14 budgets of evictions may pass for short ones. */
uint8_t queue_stamp(const struct queue *queue) FP_NONNULL(1);
enum queue_part queue_part_back(const struct queue *queue, uint8_t stamp) FP_NONNULL(1);
/* The same for a page that is fetched ahead of a walk. */
enum queue_part queue_part_walked(const struct queue *queue, uint64_t page) FP_NONNULL(1);

#endif
