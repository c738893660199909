/* SPDX-License-Identifier: BSD-3-Clause
 *
 * LRU moves what is asked for to the front. CLOCK and SIEVE only mark it: CLOCK then gives the
 * marked last one another round from the front, SIEVE leaves it where it is and looks on from there
 * (Zhang et al., NSDI 2024). S3-FIFO lets a key in through a small queue of a tenth of the bytes;
 * what is asked for again there, or again soon after it left, goes to the main one, a CLOCK of two
 * bits (Yang et al., SOSP 2023, where twice again is asked for in the small queue). */
#include "tests/bench/eviction_models.h"

#include <stdlib.h>

#define NONE UINT32_MAX
enum where { NOWHERE, SMALL, MAIN };

struct queue {
    uint32_t newest, oldest, hand;
    uint64_t bytes;
};

struct node {
    uint32_t newer, older;
    uint8_t where, marks;
};

struct model {
    const uint32_t *sizes;
    struct node *nodes;
    struct queue queues[3]; /* by enum where */
    uint64_t capacity_bytes;
    uint64_t *left_at; /* S3-FIFO: bytes that had left the small queue when the key did; 0: never */
    uint64_t left_bytes;
};

static void destroy(struct model *model)
{
    if (model == NULL) return;
    free(model->nodes);
    free(model->left_at);
    free(model);
}

static struct model *create(uint32_t key_count, const uint32_t *sizes, uint64_t capacity_bytes)
{
    struct model *model = calloc(1, sizeof *model);
    if (model == NULL) return NULL;
    model->sizes = sizes;
    model->capacity_bytes = capacity_bytes;
    model->nodes = calloc(key_count, sizeof *model->nodes);
    model->left_at = calloc(key_count, sizeof *model->left_at);
    if (model->nodes == NULL || model->left_at == NULL) {
        destroy(model);
        return NULL;
    }
    for (int i = 0; i < 3; i++)
        model->queues[i] = (struct queue){.newest = NONE, .oldest = NONE, .hand = NONE};
    return model;
}

static void push(struct model *model, enum where where, uint32_t key)
{
    struct queue *queue = &model->queues[where];
    struct node *node = &model->nodes[key];
    *node = (struct node){.newer = NONE, .older = queue->newest, .where = (uint8_t)where};
    if (queue->newest != NONE) model->nodes[queue->newest].newer = key;
    else queue->oldest = key;
    queue->newest = key;
    queue->bytes += model->sizes[key];
}

static void take(struct model *model, uint32_t key)
{
    struct node *node = &model->nodes[key];
    struct queue *queue = &model->queues[node->where];
    if (node->newer != NONE) model->nodes[node->newer].older = node->older;
    else queue->newest = node->older;
    if (node->older != NONE) model->nodes[node->older].newer = node->newer;
    else queue->oldest = node->newer;
    if (queue->hand == key) queue->hand = node->newer;
    queue->bytes -= model->sizes[key];
    node->where = NOWHERE;
}

static bool is_full(const struct model *model)
{
    return model->queues[SMALL].bytes + model->queues[MAIN].bytes > model->capacity_bytes;
}

/* --- LRU -------------------------------------------------------------------------------------- */

static bool lru_ask(struct model *model, uint32_t key)
{
    bool hit = model->nodes[key].where != NOWHERE;
    if (hit) take(model, key);
    push(model, MAIN, key);
    while (is_full(model)) take(model, model->queues[MAIN].oldest);
    return hit;
}

/* --- CLOCK, SIEVE ----------------------------------------------------------------------------- */

static bool mark(struct model *model, uint32_t key, uint8_t most)
{
    struct node *node = &model->nodes[key];
    if (node->where == NOWHERE) return false;
    if (node->marks < most) node->marks++;
    return true;
}

static void clock_evict(struct model *model)
{
    uint32_t key = model->queues[MAIN].oldest;
    uint8_t marks = model->nodes[key].marks;
    take(model, key);
    if (marks == 0) return;
    push(model, MAIN, key);
    model->nodes[key].marks = (uint8_t)(marks - 1);
}

static bool clock_ask(struct model *model, uint32_t key)
{
    if (mark(model, key, 1)) return true;
    push(model, MAIN, key);
    while (is_full(model)) clock_evict(model);
    return false;
}

static void sieve_evict(struct model *model)
{
    struct queue *queue = &model->queues[MAIN];
    uint32_t key = queue->hand != NONE ? queue->hand : queue->oldest;
    while (model->nodes[key].marks > 0) {
        model->nodes[key].marks--;
        key = model->nodes[key].newer;
        if (key == NONE) key = queue->oldest;
    }
    queue->hand = key;
    take(model, key);
}

static bool sieve_ask(struct model *model, uint32_t key)
{
    if (mark(model, key, 1)) return true;
    while (model->queues[MAIN].bytes + model->sizes[key] > model->capacity_bytes &&
           model->queues[MAIN].oldest != NONE)
        sieve_evict(model);
    push(model, MAIN, key);
    return false;
}

/* --- S3-FIFO ---------------------------------------------------------------------------------- */

static void s3fifo_evict_small(struct model *model)
{
    uint32_t key = model->queues[SMALL].oldest;
    bool wanted = model->nodes[key].marks > 0;
    take(model, key);
    if (wanted) {
        push(model, MAIN, key);
        return;
    }
    model->left_bytes += model->sizes[key];
    model->left_at[key] = model->left_bytes;
}

static void s3fifo_evict(struct model *model)
{
    bool small = model->queues[SMALL].bytes > model->capacity_bytes / 10 ||
                 model->queues[MAIN].oldest == NONE;
    if (small) s3fifo_evict_small(model);
    else clock_evict(model);
}

/* The ghosts are the keys that left as many bytes ago as the main queue may hold. */
static bool is_ghost(const struct model *model, uint32_t key)
{
    uint64_t at = model->left_at[key];
    return at != 0 && model->left_bytes - at < model->capacity_bytes / 10 * 9;
}

static bool s3fifo_ask(struct model *model, uint32_t key)
{
    if (mark(model, key, 3)) return true;
    enum where where = is_ghost(model, key) ? MAIN : SMALL;
    model->left_at[key] = 0;
    push(model, where, key);
    while (is_full(model)) s3fifo_evict(model);
    return false;
}

const struct policy policy_lru = {"LRU", create, lru_ask, destroy};
const struct policy policy_clock = {"CLOCK", create, clock_ask, destroy};
const struct policy policy_sieve = {"SIEVE", create, sieve_ask, destroy};
const struct policy policy_s3fifo = {"S3-FIFO", create, s3fifo_ask, destroy};
