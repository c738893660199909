/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A seat has two counts (base/percpu_ref.h), which threads write to in lines of their own:
 *
 *              users            objects
 *   EMPTY      dead, zero       dead, zero
 *   CURRENT    live             live
 *   DRAINING   dead, some       live            packs under way end
 *   DRAINING   dead, zero       live, some      stored objects are read, replaced, die
 *   DRAINING   dead, zero       dead, ...       there were none left to be seen: will be EMPTY
 *
 * Objects are counted as live ones for as long as there are many, so that reading old pages after a
 * swap is as cheap as before it. Every step down is taken by an upkeep, under the lock, and only by
 * what is true then: a release that comes late, after a swap-in, finds a seat that is current or a
 * count that is not zero, and does nothing. A swap-in makes both counts live again, wherever they
 * stand.
 *
 * Why an acquired seat is the right one: `current` is changed before the old seat's users are
 * killed, and acquire looks at it again after it has counted itself in.
 */
#include "storage/compress/compressor.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "storage/compress/compressor_internal.h"

enum { NS_PER_MS = 1000000, REAPS_TO_EMPTY = 3 };

/* --- what a seat packs with ------------------------------------------------------------------- */

void choice_fini(struct choice *choice, struct budget *budget)
{
    if (choice->prepared != NULL) choice->codec->dictionary_destroy(choice->prepared);
    dictionary_release(&choice->dictionary);
    choice->prepared = NULL;
    if (budget != NULL) budget_return(budget, BUDGET_COMPRESSORS, choice->charged_bytes);
    choice->charged_bytes = 0;
}

static bool charge(struct choice *choice, struct budget *budget)
{
    if (budget == NULL) return true;
    uint64_t bytes = dictionary_bytes(choice->dictionary).size_bytes +
                     choice->codec->dictionary_bytes(choice->prepared);
    if (!budget_charge(budget, BUDGET_COMPRESSORS, bytes)) return false;
    choice->charged_bytes = bytes;
    return true;
}

enum fp_status choice_init(const struct compressor_config *config, struct budget *budget,
                           struct choice *choice)
{
    *choice = (struct choice){.codec = NULL};
    enum fp_status status = codec_find(config, &choice->codec_index, &choice->level);
    if (status != FP_OK) return status;
    choice->codec = codec_at(choice->codec_index);
    if (config->dictionary == NULL || choice->codec->dictionary_create == NULL) return FP_OK;
    choice->dictionary = dictionary_acquire(config->dictionary);
    choice->prepared = choice->codec->dictionary_create(choice->dictionary, choice->level);
    if (choice->prepared != NULL && charge(choice, budget)) return FP_OK;
    choice_fini(choice, budget);
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

/* --- the life of a seat ----------------------------------------------------------------------- */

enum compressor_state seat_state(const struct compressor *seat)
{
    return (enum compressor_state)atomic_load_explicit(&seat->state, memory_order_acquire);
}

static void seat_enter(struct compressor *seat, enum compressor_state state)
{
    seat->changed_ns = clock_monotonic_ns();
    atomic_store_explicit(&seat->state, state, memory_order_release);
}

void revive_locked(struct percpu_ref *ref)
{
    if (!percpu_ref_resurrect(ref)) percpu_ref_reinit(ref);
}

/* The seat that already has this configuration, or else an empty one, or NULL. */
static struct compressor *find_seat_locked(struct compressor_pool *pool,
                                           const struct choice *choice)
{
    struct compressor *empty = NULL;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *seat = &pool->seats[i];
        if (seat_state(seat) == COMPRESSOR_EMPTY) {
            if (empty == NULL) empty = seat;
        } else if (choice_equal(&seat->choice, choice)) {
            return seat;
        }
    }
    return empty;
}

/* Takes the choice over. */
static void seat_fill_locked(struct compressor *seat, struct choice *choice)
{
    seat->choice = *choice;
    *choice = (struct choice){.codec = choice->codec};
    seat->filled_ns = clock_monotonic_ns();
    seat->resurrected = false;
    seat_sum_locked(seat, seat->before);
}

struct compressor *seat_enter_current_locked(struct compressor_pool *pool, struct choice *choice)
{
    struct compressor *seat = find_seat_locked(pool, choice);
    if (seat == NULL || seat_state(seat) == COMPRESSOR_CURRENT) return seat;
    if (seat_state(seat) == COMPRESSOR_EMPTY)
        seat_fill_locked(seat, choice);
    else
        seat->resurrected = true;
    revive_locked(&seat->objects);
    revive_locked(&seat->users);
    seat_enter(seat, COMPRESSOR_CURRENT);
    return seat;
}

void seat_enter_draining_locked(struct compressor *seat, struct choice *choice)
{
    seat_fill_locked(seat, choice);
    seat_enter(seat, COMPRESSOR_DRAINING);
}

void seat_retire_locked(struct compressor *seat)
{
    seat_enter(seat, COMPRESSOR_DRAINING);
    (void)percpu_ref_kill(&seat->users);
}

/* A count read while threads count may be too low: then the count ends up shared by all threads
 * somewhat early, and that is all. */
static void drain_locked(struct compressor *seat)
{
    if (seat_state(seat) != COMPRESSOR_DRAINING || !percpu_ref_is_zero(&seat->users)) return;
    if (percpu_ref_count(&seat->objects) == 0) (void)percpu_ref_kill(&seat->objects);
}

static void users_released(struct percpu_ref *ref, void *context)
{
    struct compressor *seat = context;
    (void)ref;
    lock_take(&seat->pool->lock);
    drain_locked(seat);
    lock_drop(&seat->pool->lock);
}

/* The dictionary goes with the last object that needed it. */
static void objects_released(struct percpu_ref *ref, void *context)
{
    struct compressor *seat = context;
    struct choice choice = {.codec = NULL};
    lock_take(&seat->pool->lock);
    if (seat_state(seat) == COMPRESSOR_DRAINING && percpu_ref_is_zero(ref)) {
        fp_assert(percpu_ref_is_zero(&seat->users)); /* or the objects would not have been killed */
        choice = seat->choice;
        seat->choice.dictionary = NULL;
        seat->choice.prepared = NULL;
        seat->choice.charged_bytes = 0;
        seat_enter(seat, COMPRESSOR_EMPTY);
    }
    lock_drop(&seat->pool->lock);
    choice_fini(&choice, seat->pool->budget);
}

/* One step of every seat that drains. */
static void drain_all(struct compressor_pool *pool)
{
    (void)percpu_refs_reap(pool->refs);
    lock_take(&pool->lock);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) drain_locked(&pool->seats[i]);
    lock_drop(&pool->lock);
}

void compressor_pool_upkeep(struct compressor_pool *pool)
{
    drain_all(pool);
    dictionaries_upkeep(pool);
}

/* --- the pool --------------------------------------------------------------------------------- */

/* An empty seat's counts are dead; seat 0 begins with live ones. */
static void seats_init(struct compressor_pool *pool)
{
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *seat = &pool->seats[i];
        seat->pool = pool;
        seat->id = (uint8_t)i;
        seat->choice.codec = codec_at(0); /* so that an empty seat has a row */
        fp_assert(percpu_ref_init(&seat->users, pool->refs, users_released, seat) == FP_OK);
        fp_assert(percpu_ref_init(&seat->objects, pool->refs, objects_released, seat) == FP_OK);
        if (i == 0) continue;
        (void)percpu_ref_kill(&seat->users);
        (void)percpu_ref_kill(&seat->objects);
    }
}

enum fp_status compressor_pool_create(const struct compressor_config *first, struct budget *budget,
                                      struct compressor_pool **out)
{
    struct choice choice;
    enum fp_status status = choice_init(first, budget, &choice);
    if (status != FP_OK) return status;
    struct compressor_pool *pool = aligned_alloc(_Alignof(struct compressor_pool), sizeof *pool);
    if (pool != NULL) memset(pool, 0, sizeof *pool);
    if (pool == NULL || percpu_refs_create(2 * COMPRESSOR_SEATS, &pool->refs) != FP_OK) {
        choice_fini(&choice, budget);
        free(pool);
        return FP_NO_MEMORY;
    }
    lock_init(&pool->lock, RANK_COMPRESSOR_SWAP);
    pool->budget = budget;
    seats_init(pool);
    lock_take(&pool->lock);
    seat_fill_locked(&pool->seats[0], &choice);
    seat_enter(&pool->seats[0], COMPRESSOR_CURRENT);
    lock_drop(&pool->lock);
    atomic_init(&pool->current, word_of(1, 0));
    (void)percpu_refs_reap(pool->refs);
    *out = pool;
    return FP_OK;
}

static void check_nobody_is_left(struct compressor_pool *pool)
{
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        (void)percpu_ref_kill(&pool->seats[i].users);
        (void)percpu_ref_kill(&pool->seats[i].objects);
    }
    for (int i = 0; i < REAPS_TO_EMPTY; i++) (void)percpu_refs_reap(pool->refs);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        fp_assert(percpu_ref_is_zero(&pool->seats[i].users));
        fp_assert(percpu_ref_is_zero(&pool->seats[i].objects));
    }
}

void compressor_pool_destroy(struct compressor_pool **pool_ptr)
{
    struct compressor_pool *pool = *pool_ptr;
    if (pool == NULL) return;
    fp_assert(pool->scratches == NULL && pool->dictionaries == NULL);
    check_nobody_is_left(pool);
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        percpu_ref_fini(&pool->seats[i].users);
        percpu_ref_fini(&pool->seats[i].objects);
        choice_fini(&pool->seats[i].choice, pool->budget);
    }
    percpu_refs_destroy(&pool->refs);
    lock_fini(&pool->lock);
    free(pool);
    *pool_ptr = NULL;
}

/* --- swapping --------------------------------------------------------------------------------- */

/* What was current beside the old one, for areas with dictionaries, drains with it. */
static enum fp_status swap_locked(struct compressor_pool *pool, struct choice *choice)
{
    uint64_t word = atomic_load_explicit(&pool->current, memory_order_relaxed);
    struct compressor *old = &pool->seats[(uint8_t)word];
    if (choice_equal(&old->choice, choice)) return FP_EXISTS;
    struct compressor *seat = seat_enter_current_locked(pool, choice);
    if (seat == NULL) return FP_BUSY;
    atomic_store(&pool->current, word_of(word_generation(word) + 1, seat->id));
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *other = &pool->seats[i];
        if (other != seat && seat_state(other) == COMPRESSOR_CURRENT) seat_retire_locked(other);
    }
    adopting_forget_locked(pool);
    atomic_fetch_add_explicit(&pool->swaps, 1, memory_order_relaxed);
    return FP_OK;
}

static enum fp_status try_swap(struct compressor_pool *pool, struct choice *choice)
{
    lock_take(&pool->lock);
    enum fp_status status = swap_locked(pool, choice);
    lock_drop(&pool->lock);
    return status;
}

/* The dictionary is prepared before the lock is taken, for that takes milliseconds. */
enum fp_status compressor_pool_swap(struct compressor_pool *pool,
                                    const struct compressor_config *next)
{
    struct choice choice;
    enum fp_status status = choice_init(next, pool->budget, &choice);
    if (status != FP_OK) return status;
    status = try_swap(pool, &choice);
    for (int i = 0; i < REAPS_TO_EMPTY && status == FP_BUSY; i++) { /* some may be empty by now */
        drain_all(pool);
        status = try_swap(pool, &choice);
    }
    choice_fini(&choice, pool->budget);
    return status;
}

void compressor_pool_current(struct compressor_pool *pool, struct compressor_config *current)
{
    lock_take(&pool->lock);
    const struct choice *choice = &pool->seats[(uint8_t)atomic_load(&pool->current)].choice;
    *current = (struct compressor_config){.algorithm = choice->codec->name, .level = choice->level};
    lock_drop(&pool->lock);
}

/* --- using ------------------------------------------------------------------------------------ */

/* A count that could not be taken while `word` was current for certain: it is full. */
static bool is_full(struct compressor_pool *pool, uint64_t word)
{
    lock_take(&pool->lock);
    bool same = atomic_load(&pool->current) == word;
    lock_drop(&pool->lock);
    return same;
}

struct compressor *compressor_acquire(struct compressor_pool *pool, struct codec_scratch *scratch)
{
    struct percpu_thread *thread = thread_of(pool, scratch);
    for (;;) {
        uint64_t word = atomic_load(&pool->current);
        struct compressor *seat = &pool->seats[(uint8_t)word];
        if (percpu_ref_tryget_live(&seat->users, thread)) {
            if (atomic_load(&pool->current) == word) return seat;
            percpu_ref_put(&seat->users, thread);
        } else if (is_full(pool, word)) {
            return NULL;
        }
    }
}

/* One use of a seat that is not current: its users are counted again, and killed again at once, so
 * that nobody else comes in and it drains when this one has gone. */
static bool use_locked(struct compressor *seat, struct percpu_thread *thread)
{
    if (seat_state(seat) == COMPRESSOR_CURRENT) return percpu_ref_get(&seat->users, thread);
    revive_locked(&seat->objects);
    revive_locked(&seat->users);
    bool used = percpu_ref_get(&seat->users, thread);
    (void)percpu_ref_kill(&seat->users);
    return used;
}

enum fp_status compressor_acquire_config(struct compressor_pool *pool,
                                         const struct compressor_config *config,
                                         struct codec_scratch *scratch, struct compressor **out)
{
    struct choice choice;
    enum fp_status status = choice_init(config, pool->budget, &choice);
    if (status != FP_OK) return status;
    lock_take(&pool->lock);
    struct compressor *seat = find_seat_locked(pool, &choice);
    if (seat != NULL && seat_state(seat) == COMPRESSOR_EMPTY)
        seat_enter_draining_locked(seat, &choice);
    bool used = seat != NULL && use_locked(seat, thread_of(pool, scratch));
    lock_drop(&pool->lock);
    choice_fini(&choice, pool->budget);
    *out = seat;
    return used ? FP_OK : FP_BUSY;
}

void compressor_release(struct compressor **compressor, struct codec_scratch *scratch)
{
    struct compressor *seat = *compressor;
    *compressor = NULL;
    percpu_ref_put(&seat->users, thread_of(seat->pool, scratch));
}

struct compressor *compressor_acquire_id(struct compressor_pool *pool, uint8_t id,
                                         struct codec_scratch *scratch)
{
    struct compressor *seat = &pool->seats[id];
    return percpu_ref_tryget(&seat->objects, thread_of(pool, scratch)) ? seat : NULL;
}

void compressor_release_id(struct compressor **compressor, struct codec_scratch *scratch)
{
    struct compressor *seat = *compressor;
    *compressor = NULL;
    percpu_ref_put(&seat->objects, thread_of(seat->pool, scratch));
}

bool compressor_object_born(struct compressor *compressor, struct codec_scratch *scratch)
{
    return percpu_ref_get(&compressor->objects, thread_of(compressor->pool, scratch));
}

void compressor_object_died(struct compressor_pool *pool, uint8_t id, struct codec_scratch *scratch)
{
    percpu_ref_put(&pool->seats[id].objects, thread_of(pool, scratch));
}

uint8_t compressor_id(const struct compressor *compressor)
{
    return compressor->id;
}

struct dictionary *compressor_dictionary(const struct compressor *compressor)
{
    return compressor->choice.dictionary;
}

bool compressor_seat_is_current(const struct compressor_pool *pool, uint8_t id)
{
    return seat_state(&pool->seats[id]) == COMPRESSOR_CURRENT;
}

/* --- rows ------------------------------------------------------------------------------------- */

void compressor_row(struct compressor_pool *pool, uint8_t id, struct compressor_row *row)
{
    struct compressor *seat = &pool->seats[id];
    uint64_t sums[SEAT_COUNTS];
    lock_take(&pool->lock);
    seat_sum_locked(seat, sums);
    for (unsigned i = 0; i < SEAT_COUNTS; i++) sums[i] -= seat->before[i];
    const struct choice *choice = &seat->choice;
    uint64_t now_ns = clock_monotonic_ns();
    *row = (struct compressor_row){
        .algorithm = choice->codec->name,
        .level = choice->level,
        .dictionary_id = choice->dictionary != NULL ? dictionary_id(choice->dictionary) : 0,
        .dictionary_bytes = choice_dictionary_bytes(choice),
        .age_ms = (now_ns - seat->filled_ns) / NS_PER_MS,
        .state_age_ms = (now_ns - seat->changed_ns) / NS_PER_MS,
        .state = seat_state(seat),
        .objects = percpu_ref_count(&seat->objects),
        .users = percpu_ref_count(&seat->users),
        .packs = sums[SEAT_PACKS],
        .unpacks = sums[SEAT_UNPACKS],
        .failures = sums[SEAT_FAILURES],
        .incompressible = sums[SEAT_INCOMPRESSIBLE],
        .plain_bytes = sums[SEAT_PLAIN_BYTES],
        .packed_bytes = sums[SEAT_PACKED_BYTES],
        .resurrected = seat->resurrected,
    };
    lock_drop(&pool->lock);
}

const char *compressor_seat_is(const struct compressor_pool *pool, uint8_t id, int *level)
{
    const struct choice *choice = &pool->seats[id].choice;
    *level = choice->level;
    return choice->codec != NULL ? choice->codec->name : NULL;
}

uint64_t compressor_swap_count(const struct compressor_pool *pool)
{
    return atomic_load_explicit(&pool->swaps, memory_order_relaxed);
}
