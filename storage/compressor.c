/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Why a seat can be used without a lock: acquire counts itself in first and looks second whether
 * the seat is (still) current; whoever empties a seat makes another current first and looks second
 * whether anybody is counted in. In the one order of all these operations one of the two sees the
 * other. The counts are seq_cst for that reason.
 */
#include "storage/compressor.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"
#include "storage/compressor_codec.h"

static const struct codec *const codecs[] = {&codec_none, &codec_lz4, &codec_zstd};

struct compressor {
    struct compressor_pool *pool;
    _Atomic int state; /* enum compressor_state; changed under pool->lock */
    uint8_t id;
    bool resurrected;
    unsigned codec_index; /* these two change only while EMPTY, under pool->lock */
    int level;
    _Atomic uint64_t users, objects;
    _Atomic uint64_t packs, unpacks, failures, incompressible, plain_bytes, packed_bytes;
};

struct compressor_pool {
    struct lock lock;
    _Atomic uint32_t current; /* seat id */
    _Atomic uint64_t swaps;
    struct compressor seats[COMPRESSOR_SEATS];
};

struct codec_scratch {
    void *states[FP_COUNT_OF(codecs)];
};

static void count(_Atomic uint64_t *counter, uint64_t delta)
{
    atomic_fetch_add_explicit(counter, delta, memory_order_relaxed);
}

/* The codec and its effective level. */
static enum fp_status resolve(const struct compressor_config *config, unsigned *index, int *level)
{
    for (*index = 0; *index < FP_COUNT_OF(codecs); ++*index) {
        const struct codec *codec = codecs[*index];
        if (strcmp(codec->name, config->algorithm) != 0) continue;
        *level = config->level == 0 ? codec->level_default : config->level;
        bool good = *level >= codec->level_lowest && *level <= codec->level_highest;
        return good ? FP_OK : FP_INVALID;
    }
    return FP_INVALID;
}

static void seat_fill(struct compressor *seat, unsigned codec_index, int level)
{
    seat->codec_index = codec_index;
    seat->level = level;
    seat->resurrected = false;
    atomic_store(&seat->packs, 0);
    atomic_store(&seat->unpacks, 0);
    atomic_store(&seat->failures, 0);
    atomic_store(&seat->incompressible, 0);
    atomic_store(&seat->plain_bytes, 0);
    atomic_store(&seat->packed_bytes, 0);
}

enum fp_status compressor_pool_create(const struct compressor_config *first,
                                      struct compressor_pool **out)
{
    unsigned index;
    int level;
    enum fp_status status = resolve(first, &index, &level);
    if (status != FP_OK) return status;
    struct compressor_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return FP_NO_MEMORY;
    lock_init(&pool->lock, RANK_COMPRESSOR_SWAP);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        pool->seats[i].pool = pool;
        pool->seats[i].id = (uint8_t)i;
    }
    seat_fill(&pool->seats[0], index, level);
    atomic_store(&pool->seats[0].state, COMPRESSOR_CURRENT);
    *out = pool;
    return FP_OK;
}

void compressor_pool_destroy(struct compressor_pool **pool)
{
    if (*pool == NULL) return;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        fp_assert(atomic_load(&(*pool)->seats[i].users) == 0);
        fp_assert(atomic_load(&(*pool)->seats[i].objects) == 0);
    }
    lock_fini(&(*pool)->lock);
    free(*pool);
    *pool = NULL;
}

/* The seat that already has this configuration, or else an empty one, or NULL. */
static struct compressor *find_seat_locked(struct compressor_pool *pool, unsigned index, int level)
{
    struct compressor *empty = NULL;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *seat = &pool->seats[i];
        if (atomic_load(&seat->state) == COMPRESSOR_EMPTY) {
            if (empty == NULL && atomic_load(&seat->users) == 0) empty = seat;
        } else if (seat->codec_index == index && seat->level == level) {
            return seat;
        }
    }
    return empty;
}

static void try_empty_locked(struct compressor *seat)
{
    if (atomic_load(&seat->state) == COMPRESSOR_DRAINING && atomic_load(&seat->users) == 0 &&
        atomic_load(&seat->objects) == 0)
        atomic_store(&seat->state, COMPRESSOR_EMPTY);
}

static void try_empty(struct compressor *seat)
{
    if (atomic_load(&seat->state) != COMPRESSOR_DRAINING) return;
    lock_take(&seat->pool->lock);
    try_empty_locked(seat);
    lock_drop(&seat->pool->lock);
}

static enum fp_status swap_locked(struct compressor_pool *pool, unsigned index, int level)
{
    struct compressor *old = &pool->seats[atomic_load(&pool->current)];
    struct compressor *seat = find_seat_locked(pool, index, level);
    if (seat == NULL) return FP_BUSY;
    if (seat == old) return FP_EXISTS;
    if (atomic_load(&seat->state) == COMPRESSOR_EMPTY)
        seat_fill(seat, index, level);
    else
        seat->resurrected = true;
    atomic_store(&seat->state, COMPRESSOR_CURRENT);
    atomic_store(&pool->current, seat->id);
    atomic_store(&old->state, COMPRESSOR_DRAINING);
    try_empty_locked(old);
    count(&pool->swaps, 1);
    return FP_OK;
}

enum fp_status compressor_pool_swap(struct compressor_pool *pool,
                                    const struct compressor_config *next)
{
    unsigned index;
    int level;
    enum fp_status status = resolve(next, &index, &level);
    if (status != FP_OK) return status;
    lock_take(&pool->lock);
    status = swap_locked(pool, index, level);
    lock_drop(&pool->lock);
    return status;
}

struct compressor *compressor_acquire(struct compressor_pool *pool)
{
    for (;;) {
        struct compressor *seat = &pool->seats[atomic_load(&pool->current)];
        atomic_fetch_add(&seat->users, 1);
        if (atomic_load(&pool->current) == seat->id) return seat;
        compressor_release(&seat);
    }
}

struct compressor *compressor_acquire_id(struct compressor_pool *pool, uint8_t id)
{
    struct compressor *seat = &pool->seats[id];
    if (atomic_load(&seat->state) == COMPRESSOR_EMPTY) return NULL;
    atomic_fetch_add(&seat->users, 1);
    return seat;
}

void compressor_release(struct compressor **compressor)
{
    struct compressor *seat = *compressor;
    *compressor = NULL;
    fp_assert(atomic_fetch_sub(&seat->users, 1) > 0);
    try_empty(seat);
}

uint8_t compressor_id(const struct compressor *compressor)
{
    return compressor->id;
}

enum fp_status codec_scratch_create(struct codec_scratch **out)
{
    struct codec_scratch *scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL) return FP_NO_MEMORY;
    for (unsigned i = 0; i < FP_COUNT_OF(codecs); i++) {
        scratch->states[i] = codecs[i]->state_create();
        if (scratch->states[i] == NULL) {
            codec_scratch_destroy(&scratch);
            return FP_NO_MEMORY;
        }
    }
    *out = scratch;
    return FP_OK;
}

void codec_scratch_destroy(struct codec_scratch **scratch)
{
    if (*scratch == NULL) return;
    for (unsigned i = 0; i < FP_COUNT_OF(codecs); i++)
        if ((*scratch)->states[i] != NULL) codecs[i]->state_destroy((*scratch)->states[i]);
    free(*scratch);
    *scratch = NULL;
}

enum fp_status compressor_pack(struct compressor *compressor, struct codec_scratch *scratch,
                               struct plain plain, struct space out, struct packed *packed)
{
    const struct codec *codec = codecs[compressor->codec_index];
    void *state = scratch->states[compressor->codec_index];
    size_t size = codec->pack(state, compressor->level, plain, out);
    count(&compressor->packs, 1);
    if (size == 0) {
        count(&compressor->incompressible, 1);
        return FP_TOO_BIG;
    }
    fp_assert(size <= out.capacity_bytes);
    count(&compressor->plain_bytes, plain.size_bytes);
    count(&compressor->packed_bytes, size);
    *packed = (struct packed){.bytes = out.bytes, .size_bytes = size};
    return FP_OK;
}

enum fp_status compressor_unpack(struct compressor *compressor, struct codec_scratch *scratch,
                                 struct packed packed, struct space out)
{
    const struct codec *codec = codecs[compressor->codec_index];
    count(&compressor->unpacks, 1);
    if (codec->unpack(scratch->states[compressor->codec_index], packed, out)) return FP_OK;
    count(&compressor->failures, 1);
    return FP_CORRUPT;
}

void compressor_object_born(struct compressor *compressor)
{
    atomic_fetch_add(&compressor->objects, 1);
}

void compressor_object_died(struct compressor_pool *pool, uint8_t id)
{
    struct compressor *seat = &pool->seats[id];
    fp_assert(atomic_fetch_sub(&seat->objects, 1) > 0);
    try_empty(seat);
}

void compressor_row(struct compressor_pool *pool, uint8_t id, struct compressor_row *row)
{
    struct compressor *seat = &pool->seats[id];
    lock_take(&pool->lock);
    *row = (struct compressor_row){
        .algorithm = codecs[seat->codec_index]->name,
        .level = seat->level,
        .state = (enum compressor_state)atomic_load(&seat->state),
        .objects = atomic_load(&seat->objects),
        .users = atomic_load(&seat->users),
        .packs = atomic_load(&seat->packs),
        .unpacks = atomic_load(&seat->unpacks),
        .failures = atomic_load(&seat->failures),
        .incompressible = atomic_load(&seat->incompressible),
        .plain_bytes = atomic_load(&seat->plain_bytes),
        .packed_bytes = atomic_load(&seat->packed_bytes),
        .resurrected = seat->resurrected,
    };
    lock_drop(&pool->lock);
}

uint64_t compressor_swap_count(const struct compressor_pool *pool)
{
    return atomic_load_explicit(&pool->swaps, memory_order_relaxed);
}
