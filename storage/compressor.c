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
#include "base/clock.h"
#include "base/lock.h"
#include "storage/compressor_codec.h"

enum { NS_PER_MS = 1000000 };

struct choice { /* what a seat packs with */
    const struct codec *codec;
    unsigned codec_index;
    int level;
    struct dictionary *dictionary; /* NULL: none; one use is the choice's */
    void *prepared;                /* the codec's form of it, or NULL */
};

struct compressor {
    struct compressor_pool *pool;
    _Atomic int state; /* enum compressor_state; changed under pool->lock */
    uint8_t id;
    bool resurrected;
    struct choice choice;            /* changes only while EMPTY, under pool->lock */
    uint64_t filled_ns, changed_ns; /* when it was filled; when its state changed last */
    _Atomic uint64_t users, objects;
    _Atomic uint64_t packs, unpacks, failures, incompressible, plain_bytes, packed_bytes;
};

struct compressor_pool {
    struct lock lock;
    _Atomic uint32_t current; /* seat id */
    _Atomic uint64_t swaps;
    struct compressor seats[COMPRESSOR_SEATS];
};

static void count(_Atomic uint64_t *counter, uint64_t delta)
{
    atomic_fetch_add_explicit(counter, delta, memory_order_relaxed);
}

/* --- what a seat packs with ------------------------------------------------------------------- */

static void choice_fini(struct choice *choice)
{
    if (choice->prepared != NULL) choice->codec->dictionary_destroy(choice->prepared);
    dictionary_release(&choice->dictionary);
    choice->prepared = NULL;
}

/* An algorithm that cannot use a dictionary goes without. FP_INVALID, FP_NO_MEMORY. */
static enum fp_status choice_init(const struct compressor_config *config, struct choice *choice)
{
    *choice = (struct choice){.codec = NULL};
    enum fp_status status = codec_find(config, &choice->codec_index, &choice->level);
    if (status != FP_OK) return status;
    choice->codec = codec_at(choice->codec_index);
    if (config->dictionary == NULL || choice->codec->dictionary_create == NULL) return FP_OK;
    choice->dictionary = dictionary_acquire(config->dictionary);
    choice->prepared = choice->codec->dictionary_create(choice->dictionary, choice->level);
    if (choice->prepared != NULL) return FP_OK;
    choice_fini(choice);
    return FP_NO_MEMORY;
}

static bool choice_equal(const struct choice *a, const struct choice *b)
{
    return a->codec_index == b->codec_index && a->level == b->level &&
           dictionary_equal(a->dictionary, b->dictionary);
}

static size_t choice_dictionary_bytes(const struct choice *choice)
{
    if (choice->prepared == NULL) return 0;
    return dictionary_bytes(choice->dictionary).size_bytes +
           choice->codec->dictionary_bytes(choice->prepared);
}

/* --- seats ------------------------------------------------------------------------------------ */

static void seat_enter(struct compressor *seat, enum compressor_state state)
{
    seat->changed_ns = clock_monotonic_ns();
    atomic_store(&seat->state, state);
}

/* Takes the choice over. */
static void seat_fill(struct compressor *seat, struct choice *choice)
{
    seat->choice = *choice;
    *choice = (struct choice){.codec = NULL};
    seat->filled_ns = clock_monotonic_ns();
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
    struct choice choice;
    enum fp_status status = choice_init(first, &choice);
    if (status != FP_OK) return status;
    struct compressor_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        choice_fini(&choice);
        return FP_NO_MEMORY;
    }
    lock_init(&pool->lock, RANK_COMPRESSOR_SWAP);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        pool->seats[i].pool = pool;
        pool->seats[i].id = (uint8_t)i;
        pool->seats[i].choice.codec = codec_at(0); /* so that an empty seat has a row */
    }
    seat_fill(&pool->seats[0], &choice);
    seat_enter(&pool->seats[0], COMPRESSOR_CURRENT);
    *out = pool;
    return FP_OK;
}

void compressor_pool_destroy(struct compressor_pool **pool)
{
    if (*pool == NULL) return;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        fp_assert(atomic_load(&(*pool)->seats[i].users) == 0);
        fp_assert(atomic_load(&(*pool)->seats[i].objects) == 0);
        choice_fini(&(*pool)->seats[i].choice);
    }
    lock_fini(&(*pool)->lock);
    free(*pool);
    *pool = NULL;
}

/* The seat that already has this configuration, or else an empty one, or NULL. */
static struct compressor *find_seat_locked(struct compressor_pool *pool,
                                           const struct choice *choice)
{
    struct compressor *empty = NULL;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *seat = &pool->seats[i];
        if (atomic_load(&seat->state) == COMPRESSOR_EMPTY) {
            if (empty == NULL && atomic_load(&seat->users) == 0) empty = seat;
        } else if (choice_equal(&seat->choice, choice)) {
            return seat;
        }
    }
    return empty;
}

/* The dictionary goes with the last who could use it: whoever counts itself in later finds that the
 * seat is not current, and no object names it. */
static void try_empty_locked(struct compressor *seat)
{
    if (atomic_load(&seat->state) != COMPRESSOR_DRAINING || atomic_load(&seat->users) != 0 ||
        atomic_load(&seat->objects) != 0)
        return;
    seat_enter(seat, COMPRESSOR_EMPTY);
    choice_fini(&seat->choice);
}

static void try_empty(struct compressor *seat)
{
    if (atomic_load(&seat->state) != COMPRESSOR_DRAINING) return;
    lock_take(&seat->pool->lock);
    try_empty_locked(seat);
    lock_drop(&seat->pool->lock);
}

/* Takes the choice over where it fills a seat. */
static enum fp_status swap_locked(struct compressor_pool *pool, struct choice *choice)
{
    struct compressor *old = &pool->seats[atomic_load(&pool->current)];
    struct compressor *seat = find_seat_locked(pool, choice);
    if (seat == NULL) return FP_BUSY;
    if (seat == old) return FP_EXISTS;
    if (atomic_load(&seat->state) == COMPRESSOR_EMPTY)
        seat_fill(seat, choice);
    else
        seat->resurrected = true;
    seat_enter(seat, COMPRESSOR_CURRENT);
    atomic_store(&pool->current, seat->id);
    seat_enter(old, COMPRESSOR_DRAINING);
    try_empty_locked(old);
    count(&pool->swaps, 1);
    return FP_OK;
}

/* The dictionary is prepared before the lock is taken, for that takes milliseconds. */
enum fp_status compressor_pool_swap(struct compressor_pool *pool,
                                    const struct compressor_config *next)
{
    struct choice choice;
    enum fp_status status = choice_init(next, &choice);
    if (status != FP_OK) return status;
    lock_take(&pool->lock);
    status = swap_locked(pool, &choice);
    lock_drop(&pool->lock);
    choice_fini(&choice);
    return status;
}

void compressor_pool_current(struct compressor_pool *pool, struct compressor_config *current)
{
    lock_take(&pool->lock);
    const struct choice *choice = &pool->seats[atomic_load(&pool->current)].choice;
    *current = (struct compressor_config){.algorithm = choice->codec->name, .level = choice->level};
    lock_drop(&pool->lock);
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

/* --- packing ---------------------------------------------------------------------------------- */

enum fp_status compressor_pack(struct compressor *compressor, struct codec_scratch *scratch,
                               struct plain plain, struct space out, struct packed *packed)
{
    const struct choice *choice = &compressor->choice;
    struct codec_use use = {.memory = codec_scratch_packer(scratch, choice->codec_index),
                            .prepared = choice->prepared,
                            .level = choice->level};
    if (use.memory == NULL && choice->codec->packer_create != NULL) return FP_NO_MEMORY;
    size_t size = 0;
    enum fp_status status = choice->codec->pack(&use, plain, out, &size);
    if (status == FP_NO_MEMORY) return status;
    count(&compressor->packs, 1);
    if (status != FP_OK) {
        count(&compressor->incompressible, 1);
        return status;
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
    const struct choice *choice = &compressor->choice;
    struct codec_use use = {.memory = codec_scratch_unpacker(scratch, choice->codec_index),
                            .prepared = choice->prepared,
                            .level = choice->level};
    count(&compressor->unpacks, 1);
    if (choice->codec->unpack(&use, packed, out)) return FP_OK;
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
    const struct choice *choice = &seat->choice;
    uint64_t now_ns = clock_monotonic_ns();
    *row = (struct compressor_row){
        .algorithm = choice->codec->name,
        .level = choice->level,
        .dictionary_id = choice->dictionary != NULL ? dictionary_id(choice->dictionary) : 0,
        .dictionary_bytes = choice_dictionary_bytes(choice),
        .age_ms = (now_ns - seat->filled_ns) / NS_PER_MS,
        .state_age_ms = (now_ns - seat->changed_ns) / NS_PER_MS,
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
