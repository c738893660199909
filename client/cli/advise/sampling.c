/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The order: run (i * stride) % runs for i = 0, 1, 2, ..., where the stride is the golden section
 * of the runs and has no divisor in common with them. So each run comes once, and the first N of
 * them lie evenly, whatever N turns out to be. */
#include "client/cli/advise/sampling.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/clock.h"
#include "client/cli/cli.h"

enum { BATCH_BYTES = 1 << 20, DEPTH = 64 };

struct place { /* of a page that was found */
    uint64_t slot;
    size_t at; /* page of the buffer */
};

struct look {
    struct sampling *sampling;
    struct farpage *client;
    struct farpage_area *area;
    const struct sampling_wish *wish;
    uint64_t slots, runs;
    size_t page_bytes;
    uint8_t *seen;        /* owned; a bit for each run */
    uint8_t *batch;       /* owned */
    struct farpage_op *ops; /* owned */
    struct place *places; /* owned; of what was found */
    size_t batch_pages, waiting; /* operations a batch has, and of the one that is being filled */
};

static void look_fini(struct look *look)
{
    free(look->seen);
    free(look->batch);
    free(look->ops);
    free(look->places);
}

static bool look_init(struct look *look)
{
    look->batch_pages = max_u64(BATCH_BYTES / look->page_bytes, SAMPLING_RUN_PAGES);
    look->seen = calloc(look->runs / 8 + 1, 1);
    look->batch = malloc(look->batch_pages * look->page_bytes);
    look->ops = calloc(look->batch_pages, sizeof *look->ops);
    look->places = calloc(look->wish->pages, sizeof *look->places);
    look->sampling->pages = malloc(look->wish->pages * look->page_bytes);
    return look->seen != NULL && look->batch != NULL && look->ops != NULL &&
           look->places != NULL && look->sampling->pages != NULL;
}

static bool is_full(const struct look *look)
{
    return look->sampling->count == look->wish->pages;
}

static bool bring(struct look *look, struct complaint *complaint)
{
    struct sampling *sampling = look->sampling;
    if (farpage_batch(look->area, look->ops, look->waiting, DEPTH) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_area_error(look->area));
        return false;
    }
    for (size_t i = 0; i < look->waiting; i++) {
        const struct farpage_op *op = &look->ops[i];
        sampling->corrupt += op->status == FARPAGE_CORRUPT;
        if (op->status != FARPAGE_OK || is_full(look)) continue;
        look->places[sampling->count] = (struct place){op->slot, sampling->count};
        memcpy(sampling->pages + sampling->count++ * look->page_bytes, op->page,
               look->page_bytes);
    }
    sampling->asked += look->waiting;
    look->waiting = 0;
    return true;
}

/* Asks for a run, or rather makes it wait until a batch is full. */
static bool ask_run(struct look *look, uint64_t run, struct complaint *complaint)
{
    uint8_t bit = (uint8_t)(1u << run % 8);
    if ((look->seen[run / 8] & bit) != 0) return true;
    look->seen[run / 8] |= bit;
    uint64_t slot = run * SAMPLING_RUN_PAGES;
    for (uint64_t end = min_u64(slot + SAMPLING_RUN_PAGES, look->slots); slot < end; slot++) {
        look->ops[look->waiting] =
            (struct farpage_op){.kind = FARPAGE_OP_LOAD,
                                .slot = slot,
                                .page = look->batch + look->waiting * look->page_bytes};
        look->waiting++;
    }
    bool room = look->waiting + SAMPLING_RUN_PAGES <= look->batch_pages;
    /* No more than is wanted: each is a page on the wire. */
    bool enough = look->sampling->count + look->waiting >= look->wish->pages;
    return (room && !enough) || bring(look, complaint);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint64_t stride_of(uint64_t runs)
{
    uint64_t stride = (uint64_t)((double)runs * 0.6180339887498949);
    if (stride == 0) return 1;
    while (common_divisor(stride, runs) != 1) stride++;
    return stride;
}

static bool look_through(struct look *look, uint64_t stride, struct complaint *complaint)
{
    uint64_t until_ns = clock_monotonic_ns() + look->wish->look_ns;
    uint64_t run = 0;
    for (uint64_t i = 0; i < look->runs && !is_full(look); i++) {
        if (!ask_run(look, run, complaint)) return false;
        run = (run + stride) % look->runs;
        if (clock_monotonic_ns() >= until_ns) break;
    }
    return look->waiting == 0 || bring(look, complaint);
}

static int by_slot(const void *a, const void *b)
{
    uint64_t left = ((const struct place *)a)->slot, right = ((const struct place *)b)->slot;
    return left < right ? -1 : left > right;
}

static bool sort_pages(struct look *look)
{
    struct sampling *sampling = look->sampling;
    if (sampling->count == 0) return true;
    uint8_t *sorted = malloc(sampling->count * look->page_bytes);
    if (sorted == NULL) return false;
    qsort(look->places, sampling->count, sizeof *look->places, by_slot);
    for (size_t i = 0; i < sampling->count; i++)
        memcpy(sorted + i * look->page_bytes,
               sampling->pages + look->places[i].at * look->page_bytes, look->page_bytes);
    free(sampling->pages);
    sampling->pages = sorted;
    return true;
}

bool sampling_take(struct sampling *sampling, struct farpage *client,
                   const struct sampling_wish *wish, struct complaint *complaint)
{
    struct look look = {.sampling = sampling, .client = client, .wish = wish};
    *sampling = (struct sampling){.pages = NULL};
    if (cli_area_open(client, wish->area, 0, &look.area) != FARPAGE_OK) {
        complain(complaint, "%s", farpage_error(client));
        return false;
    }
    look.slots = farpage_area_slots(look.area);
    look.runs = div_up_u64(look.slots, SAMPLING_RUN_PAGES);
    look.page_bytes = sampling->page_bytes = farpage_area_page_bytes(look.area);
    complain(complaint, "out of memory");
    bool good = look_init(&look) && look_through(&look, stride_of(look.runs), complaint);
    if (good && !is_full(&look)) good = look_through(&look, 1, complaint);
    if (good) good = sort_pages(&look);
    look_fini(&look);
    return good;
}

void sampling_fini(struct sampling *sampling)
{
    free(sampling->pages);
    sampling->pages = NULL;
}
