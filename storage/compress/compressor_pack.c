/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packing and unpacking, and what is counted of it: each thread counts in memory of its own, and
 * whoever wants to know adds up. A thread that is not the pool's (it was given no scratch, or one
 * of another pool) counts in what all share. */
#include <stdlib.h>

#include "base/check.h"
#include "storage/compress/compressor_internal.h"

/* --- counting --------------------------------------------------------------------------------- */

static void count(struct compressor *seat, struct codec_scratch *scratch, enum seat_count which,
                  uint64_t delta)
{
    if (scratch->pool != seat->pool) {
        atomic_fetch_add_explicit(&seat->shared.values[which], delta, memory_order_relaxed);
        return;
    }
    _Atomic uint64_t *own = &scratch->counts[seat->id].values[which];
    uint64_t value = atomic_load_explicit(own, memory_order_relaxed);
    atomic_store_explicit(own, value + delta, memory_order_relaxed);
}

void seat_sum_locked(const struct compressor *seat, uint64_t sums[SEAT_COUNTS])
{
    const struct compressor_pool *pool = seat->pool;
    lock_assert_held(&pool->lock);
    for (unsigned i = 0; i < SEAT_COUNTS; i++) {
        sums[i] = atomic_load_explicit(&seat->shared.values[i], memory_order_relaxed);
        for (const struct codec_scratch *each = pool->scratches; each != NULL; each = each->next)
            sums[i] += atomic_load_explicit(&each->counts[seat->id].values[i],
                                            memory_order_relaxed);
    }
}

enum { TIMED_BYTES_MIN = 16 << 10 }; /* beside so much two looks at the clock are nothing */

const uint64_t packed_size_bytes[PACKED_SIZES] = {64,   128,  256,  512,   1024,  1536, 2048,
                                                  3072, 4096, 8192, 16384, 32768, 65536};

static void count_size(struct compressor_pool *pool, struct codec_scratch *scratch, uint64_t bytes)
{
    unsigned at = 0;
    while (at < PACKED_SIZES && bytes > packed_size_bytes[at]) at++;
    if (thread_of(pool, scratch) == NULL) {
        atomic_fetch_add_explicit(&pool->sizes.values[at], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&pool->sizes.sum_bytes, bytes, memory_order_relaxed);
        return;
    }
    struct size_counts *own = &scratch->sizes;
    uint64_t count = atomic_load_explicit(&own->values[at], memory_order_relaxed);
    uint64_t sum = atomic_load_explicit(&own->sum_bytes, memory_order_relaxed);
    atomic_store_explicit(&own->values[at], count + 1, memory_order_relaxed);
    atomic_store_explicit(&own->sum_bytes, sum + bytes, memory_order_relaxed);
}

static void add_sizes(struct packed_sizes *sizes, const struct size_counts *counts)
{
    for (unsigned i = 0; i <= PACKED_SIZES; i++)
        sizes->counts[i] += atomic_load_explicit(&counts->values[i], memory_order_relaxed);
    sizes->sum_bytes += atomic_load_explicit(&counts->sum_bytes, memory_order_relaxed);
}

void compressor_sizes(struct compressor_pool *pool, struct packed_sizes *sizes)
{
    *sizes = (struct packed_sizes){0};
    lock_take(&pool->lock);
    add_sizes(sizes, &pool->sizes);
    for (const struct codec_scratch *each = pool->scratches; each != NULL; each = each->next)
        add_sizes(sizes, &each->sizes);
    lock_drop(&pool->lock);
}

/* What the thread counted stays counted when it is gone. */
static void fold_locked(struct codec_scratch *scratch)
{
    struct size_counts *gone = &scratch->pool->sizes;
    for (unsigned i = 0; i <= PACKED_SIZES; i++)
        atomic_fetch_add_explicit(&gone->values[i], atomic_load(&scratch->sizes.values[i]),
                                  memory_order_relaxed);
    atomic_fetch_add_explicit(&gone->sum_bytes, atomic_load(&scratch->sizes.sum_bytes),
                              memory_order_relaxed);
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++)
        for (unsigned i = 0; i < SEAT_COUNTS; i++)
            atomic_fetch_add_explicit(&scratch->pool->seats[id].shared.values[i],
                                      atomic_load(&scratch->counts[id].values[i]),
                                      memory_order_relaxed);
}

/* --- a thread --------------------------------------------------------------------------------- */

static bool join(struct codec_scratch *scratch, struct compressor_pool *pool)
{
    scratch->counts = aligned_alloc(SEAT_LINES_BYTES, COMPRESSOR_SEATS * sizeof *scratch->counts);
    if (scratch->counts == NULL) return false;
    memset(scratch->counts, 0, COMPRESSOR_SEATS * sizeof *scratch->counts);
    if (percpu_thread_create(pool->refs, &scratch->thread) != FP_OK) return false;
    scratch->pool = pool;
    lock_take(&pool->lock);
    scratch->next = pool->scratches;
    pool->scratches = scratch;
    lock_drop(&pool->lock);
    return true;
}

static void leave(struct codec_scratch *scratch)
{
    struct compressor_pool *pool = scratch->pool;
    if (pool == NULL) return;
    lock_take(&pool->lock);
    struct codec_scratch **link = &pool->scratches;
    while (*link != scratch) link = &(*link)->next;
    *link = scratch->next;
    fold_locked(scratch);
    lock_drop(&pool->lock);
    percpu_thread_destroy(&scratch->thread);
    if (pool->budget != NULL)
        budget_return(pool->budget, BUDGET_COMPRESSORS, scratch->charged_bytes);
}

enum fp_status codec_scratch_create(struct compressor_pool *pool, struct codec_scratch **out)
{
    struct codec_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) return FP_NO_MEMORY;
    bool good = true;
    for (unsigned i = 0; i < CODECS && good; i++) {
        const struct codec *codec = codec_at(i);
        if (codec->unpacker_create == NULL) continue;
        scratch->unpackers[i] = codec->unpacker_create();
        good = scratch->unpackers[i] != NULL;
    }
    if (!good || (pool != NULL && !join(scratch, pool))) {
        codec_scratch_destroy(&scratch);
        return FP_NO_MEMORY;
    }
    *out = scratch;
    return FP_OK;
}

void codec_scratch_destroy(struct codec_scratch **scratch_ptr)
{
    struct codec_scratch *scratch = *scratch_ptr;
    if (scratch == NULL) return;
    leave(scratch);
    for (unsigned i = 0; i < CODECS; i++) {
        const struct codec *codec = codec_at(i);
        if (scratch->packers[i] != NULL) codec->packer_destroy(scratch->packers[i]);
        if (scratch->unpackers[i] != NULL) codec->unpacker_destroy(scratch->unpackers[i]);
    }
    free(scratch->counts);
    free(scratch);
    *scratch_ptr = NULL;
}

static size_t packers_bytes(const struct codec_scratch *scratch)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < CODECS; i++)
        if (scratch->packers[i] != NULL) bytes += codec_at(i)->packer_bytes(scratch->packers[i]);
    return bytes;
}

size_t codec_scratch_bytes(const struct codec_scratch *scratch)
{
    size_t bytes = sizeof *scratch + packers_bytes(scratch);
    for (unsigned i = 0; i < CODECS; i++)
        if (scratch->unpackers[i] != NULL)
            bytes += codec_at(i)->unpacker_bytes(scratch->unpackers[i]);
    return bytes;
}

/* Packers grow with the first packs at a level, by themselves: what they have taken is charged
 * after the fact and past the limit, so that no store fails for it; items give way. They are few
 * and small: one a thread and algorithm. */
static void charge_packers(struct codec_scratch *scratch, size_t bytes)
{
    if (scratch->pool == NULL || scratch->pool->budget == NULL) return;
    if (bytes <= scratch->charged_bytes) return;
    budget_charge_anyway(scratch->pool->budget, BUDGET_COMPRESSORS,
                         bytes - scratch->charged_bytes);
    scratch->charged_bytes = bytes;
}

static void *packer_of(struct codec_scratch *scratch, const struct choice *choice)
{
    void **packer = &scratch->packers[choice->codec_index];
    if (*packer == NULL && choice->codec->packer_create != NULL)
        *packer = choice->codec->packer_create();
    return *packer;
}

/* --- packing ---------------------------------------------------------------------------------- */

enum fp_status compressor_pack(struct compressor *compressor, struct codec_scratch *scratch,
                               struct plain plain, struct space out, struct packed *packed)
{
    const struct choice *choice = &compressor->choice;
    struct codec_use use = {.memory = packer_of(scratch, choice),
                            .prepared = choice->prepared,
                            .level = choice->level};
    if (use.memory == NULL && choice->codec->packer_create != NULL) return FP_NO_MEMORY;
    size_t size = 0;
    struct sampling sampling =
        sampled_begin(&scratch->packing, plain.size_bytes >= TIMED_BYTES_MIN);
    enum fp_status status = choice->codec->pack(&use, plain, out, &size);
    sampled_end(&scratch->packing, sampling);
    charge_packers(scratch, packers_bytes(scratch));
    if (status == FP_NO_MEMORY) return status;
    count(compressor, scratch, SEAT_PACKS, 1);
    if (status != FP_OK) {
        count(compressor, scratch, SEAT_INCOMPRESSIBLE, 1);
        return status;
    }
    fp_assert(size <= out.capacity_bytes);
    count(compressor, scratch, SEAT_PLAIN_BYTES, plain.size_bytes);
    count(compressor, scratch, SEAT_PACKED_BYTES, size);
    count_size(compressor->pool, scratch, size);
    *packed = (struct packed){.bytes = out.bytes, .size_bytes = size};
    return FP_OK;
}

enum fp_status compressor_unpack(struct compressor *compressor, struct codec_scratch *scratch,
                                 struct packed packed, struct space out)
{
    const struct choice *choice = &compressor->choice;
    struct codec_use use = {.memory = scratch->unpackers[choice->codec_index],
                            .prepared = choice->prepared,
                            .level = choice->level};
    count(compressor, scratch, SEAT_UNPACKS, 1);
    struct sampling sampling =
        sampled_begin(&scratch->packing, out.capacity_bytes >= TIMED_BYTES_MIN);
    bool good = choice->codec->unpack(&use, packed, out);
    sampled_end(&scratch->packing, sampling);
    if (good) return FP_OK;
    count(compressor, scratch, SEAT_FAILURES, 1);
    return FP_CORRUPT;
}

uint64_t codec_scratch_packing_ns(const struct codec_scratch *scratch)
{
    return scratch->packing.ns;
}
