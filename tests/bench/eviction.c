/* SPDX-License-Identifier: BSD-3-Clause
 * eviction - how often what is asked for is not there, by policy, trace and size of the cache.
 *
 * Each policy is asked for the same keys, and stores what it has not. "farpage" is the server's own
 * key directory with its 64 shards; the others are models with one queue for all. The first quarter
 * of a trace warms up and is not counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/number.h"
#include "storage/keydir/keydir.h"
#include "tests/bench/eviction_models.h"
#include "tests/bench/eviction_traces.h"

/* --- the server's own ------------------------------------------------------------------------- */

struct model {
    struct budget budget;
    struct keydir keydir;
    const uint32_t *sizes;
    uint64_t capacity_bytes, held_bytes;
};

static void end_item(struct item *item)
{
    if (item_release(item)) free(item);
}

/* A size that is all the directory counts: what it takes beside the value would blur the table. */
static struct item *item_of(struct model *model, uint32_t key)
{
    struct slice name = slice_of(&key, sizeof key);
    struct item *item = item_create(name, keydir_hash(&model->keydir, name), 0);
    if (item == NULL) return NULL;
    uint64_t record = item_record_bytes(sizeof key, 0);
    item->packed_bytes = (uint32_t)(max_u64(model->sizes[key], record) - record);
    return item;
}

static bool evict_one(struct model *model, bool force)
{
    struct keydir_turn turn;
    if (!keydir_turn(&model->keydir, TENANT_DEFAULT, &turn)) return false;
    lock_take(&turn.shard->lock);
    struct item *item = keydir_victim_locked(&turn, force);
    if (item != NULL) {
        model->held_bytes -= item_memory_bytes(item);
        keydir_remove_locked(turn.shard, item);
    }
    lock_drop(&turn.shard->lock);
    if (item != NULL) end_item(item);
    return true;
}

static struct model *own_create(uint32_t key_count, const uint32_t *sizes, uint64_t capacity_bytes)
{
    (void)key_count;
    struct model *model = aligned_alloc(64, div_up_u64(sizeof *model, 64) * 64);
    if (model == NULL) return NULL;
    memset(model, 0, sizeof *model);
    budget_init(&model->budget, UINT64_MAX);
    keydir_init(&model->keydir, &model->budget, 1);
    model->sizes = sizes;
    model->capacity_bytes = capacity_bytes;
    return model;
}

static bool own_ask(struct model *model, uint32_t key)
{
    struct slice name = slice_of(&key, sizeof key);
    uint64_t hash = keydir_hash(&model->keydir, name);
    struct keydir_shard *shard = keydir_shard(&model->keydir, hash);
    lock_take(&shard->lock);
    struct item *item = keydir_find_locked(shard, hash, name);
    bool hit = item != NULL;
    if (hit) keydir_use_locked(shard, item, 0);
    lock_drop(&shard->lock);
    if (hit) return true;
    item = item_of(model, key);
    if (item == NULL) abort();
    lock_take(&shard->lock);
    if (keydir_reserve_locked(shard, TENANT_DEFAULT) != FP_OK) abort();
    keydir_insert_locked(shard, item);
    model->held_bytes += item_memory_bytes(item);
    lock_drop(&shard->lock);
    while (model->held_bytes > model->capacity_bytes && evict_one(model, false)) {}
    return false;
}

static void own_destroy(struct model *model)
{
    while (evict_one(model, true)) {}
    keydir_fini(&model->keydir);
    free(model);
}

static const struct policy policy_own = {"farpage", own_create, own_ask, own_destroy};

/* --- the table -------------------------------------------------------------------------------- */

static const struct policy *const policies[] = {&policy_lru, &policy_clock, &policy_sieve,
                                                &policy_s3fifo, &policy_own};
enum { POLICIES = sizeof policies / sizeof policies[0] };
static const double parts[] = {0.01, 0.05, 0.25};

struct sums {
    double ratios[POLICIES]; /* of misses to LRU's */
    unsigned rows;
    double ask_ns[POLICIES];
};

static double misses(const struct policy *policy, const struct trace *trace, double part,
                     double *ask_ns)
{
    uint64_t capacity_bytes = (uint64_t)((double)trace->key_bytes * part);
    struct model *model = policy->create(trace->key_count, trace->sizes, capacity_bytes);
    if (model == NULL) abort();
    uint64_t missed = 0, from = trace->length / 4, begun_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < trace->length; i++)
        missed += !policy->ask(model, trace->keys[i]) && i >= from;
    *ask_ns += (double)(clock_monotonic_ns() - begun_ns) / (double)trace->length;
    policy->destroy(model);
    return (double)missed / (double)(trace->length - from);
}

static void write_row(const struct trace *trace, double part, struct sums *sums)
{
    double rates[POLICIES];
    printf("| %s | %.0f %% |", trace->name, part * 100);
    for (int i = 0; i < POLICIES; i++) {
        rates[i] = misses(policies[i], trace, part, &sums->ask_ns[i]);
        sums->ratios[i] += rates[i] / rates[0];
        printf(" %.3f |", rates[i]);
        fflush(stdout);
    }
    sums->rows++;
    printf("\n");
}

static void write_head(void)
{
    printf("| trace | cache |");
    for (int i = 0; i < POLICIES; i++) printf(" %s |", policies[i]->name);
    printf("\n|---|---:|");
    for (int i = 0; i < POLICIES; i++) printf("---:|");
    printf("\n");
}

static void write_sums(const struct sums *sums)
{
    printf("| misses for each of LRU's, mean | |");
    for (int i = 0; i < POLICIES; i++) printf(" %.3f |", sums->ratios[i] / sums->rows);
    printf("\n\nns a request, this program's own included:");
    for (int i = 0; i < POLICIES; i++)
        printf(" %s %.0f", policies[i]->name, sums->ask_ns[i] / sums->rows);
    printf("\nbytes an item: record %zu and 4 for each piece, fifo %.1f, table %.1f to %.1f\n",
           offsetof(struct item, pieces), (double)FIFO_CHUNK_BYTES / FIFO_CHUNK_WORDS,
           KEYDIR_PLACE_BYTES / 0.75, KEYDIR_PLACE_BYTES / 0.375);
}

int main(int argc, char **argv)
{
    uint64_t requests = 2000000, seed = 1;
    bool good = argc <= 3 && (argc < 2 || number_u64(slice_text(argv[1]), &requests)) &&
                (argc < 3 || number_u64(slice_text(argv[2]), &seed)) && requests >= 8;
    if (!good) {
        fprintf(stderr, "usage: eviction [REQUESTS [SEED]]\n");
        return 2;
    }
    struct sums sums = {.rows = 0};
    printf("%" PRIu64 " requests a trace, seed %" PRIu64 "\n\n", requests, seed);
    write_head();
    for (unsigned i = 0; i < TRACES; i++) {
        struct trace trace;
        if (!trace_make(i, seed, requests, &trace)) abort();
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
            write_row(&trace, parts[p], &sums);
        trace_free(&trace);
    }
    write_sums(&sums);
    return 0;
}
