/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Objects that somebody else packed. To be unpacked they need a seat of their format with their
 * dictionary; that a current one packs otherwise, at its level, does not matter.
 *
 * Which seat that is, is found under the lock and remembered: `adopting` is a hint, believed only
 * after an object has been counted there, for then the seat stays what it is. A swap and another
 * dictionary forget it, so that objects go to a seat that is current where there is one. */
#include "base/check.h"
#include "storage/compress/compressor_internal.h"

void adopting_forget(_Atomic uint16_t adopting[PACKED_FORMATS])
{
    for (unsigned i = 0; i < PACKED_FORMATS; i++)
        atomic_store_explicit(&adopting[i], 0, memory_order_relaxed);
}

void adopting_forget_locked(struct compressor_pool *pool)
{
    lock_assert_held(&pool->lock);
    adopting_forget(pool->adopting);
    for (struct compressor_dictionary *each = pool->dictionaries; each != NULL; each = each->next)
        adopting_forget(each->adopting);
}

static struct packed_kind kind_of(const struct choice *choice)
{
    return (struct packed_kind){
        .format = choice->codec->format,
        .dictionary_id = choice->dictionary != NULL ? dictionary_id(choice->dictionary) : 0};
}

struct packed_kind compressor_kind(const struct compressor *compressor)
{
    return kind_of(&compressor->choice);
}

static bool is_kind(const struct choice *choice, struct packed_kind kind)
{
    struct packed_kind own = kind_of(choice);
    return own.format == kind.format && own.dictionary_id == kind.dictionary_id;
}

/* A birth in the seat of the hint. False: there is no hint, or it is a wrong one. */
static bool adopt_as_before(struct compressor_pool *pool, uint16_t hint, struct packed_kind kind,
                            struct percpu_thread *thread)
{
    if (hint == 0) return false;
    struct compressor *seat = &pool->seats[hint - 1];
    if (!percpu_ref_tryget_live(&seat->objects, thread)) return false;
    if (seat_state(seat) != COMPRESSOR_EMPTY && is_kind(&seat->choice, kind)) return true;
    percpu_ref_put(&seat->objects, thread);
    return false;
}

/* One that is for the kind, current if possible; or else an empty one; or NULL. */
static struct compressor *find_locked(struct compressor_pool *pool, struct packed_kind kind,
                                      const struct dictionary *dictionary)
{
    struct compressor *empty = NULL, *draining = NULL;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        struct compressor *seat = &pool->seats[i];
        enum compressor_state state = seat_state(seat);
        if (state == COMPRESSOR_EMPTY) {
            if (empty == NULL) empty = seat;
        } else if (is_kind(&seat->choice, kind) &&
                   dictionary_equal(seat->choice.dictionary, dictionary)) {
            if (state == COMPRESSOR_CURRENT) return seat;
            if (draining == NULL) draining = seat;
        }
    }
    return draining != NULL ? draining : empty;
}

/* FP_INVALID: an empty seat has to be filled, and there is nothing to fill it with yet. */
static enum fp_status adopt_locked(struct compressor_pool *pool, struct packed_kind kind,
                                   const struct dictionary *dictionary, struct choice *choice,
                                   struct compressor **out)
{
    struct compressor *seat = find_locked(pool, kind, dictionary);
    if (seat == NULL) return FP_BUSY;
    if (seat_state(seat) == COMPRESSOR_EMPTY) {
        if (choice->codec == NULL) return FP_INVALID;
        if (!dictionary_equal(choice->dictionary, dictionary)) return FP_ABSENT;
        seat_enter_draining_locked(seat, choice);
    }
    revive_locked(&seat->objects);
    *out = seat;
    return FP_OK;
}

static const char *algorithm_of(enum packed_format format)
{
    fp_assert(format == PACKED_LZ4 || format == PACKED_ZSTD);
    return format == PACKED_ZSTD ? "zstd" : "lz4";
}

struct adoption { /* where one is looked for, and what was prepared for it */
    struct compressor_pool *pool;
    struct compressor_dictionary *own;
    struct packed_kind kind;
    struct dictionary *dictionary; /* one use; NULL: none */
    struct choice choice;
};

/* Looks under the lock, and lets an object be born there. */
static enum fp_status adopt_once(struct adoption *adoption, struct codec_scratch *scratch,
                                 uint8_t *id)
{
    struct compressor_pool *pool = adoption->pool;
    struct compressor_dictionary *own = adoption->own;
    struct packed_kind kind = adoption->kind;
    struct compressor *seat = NULL;
    enum fp_status status = FP_ABSENT;
    lock_take(&pool->lock);
    bool has = own->dictionary != NULL && dictionary_id(own->dictionary) == kind.dictionary_id;
    const struct dictionary *dictionary = kind.dictionary_id != 0 ? own->dictionary : NULL;
    if (kind.dictionary_id == 0 || has)
        status = adopt_locked(pool, kind, dictionary, &adoption->choice, &seat);
    if (status == FP_INVALID && dictionary != NULL)
        adoption->dictionary = dictionary_acquire(own->dictionary);
    if (status == FP_OK && !percpu_ref_get(&seat->objects, thread_of(pool, scratch)))
        status = FP_BUSY;
    if (status == FP_OK) {
        _Atomic uint16_t *adopting = dictionary != NULL ? own->adopting : pool->adopting;
        atomic_store_explicit(&adopting[kind.format], (uint16_t)(seat->id + 1),
                              memory_order_relaxed);
        *id = seat->id;
    }
    lock_drop(&pool->lock);
    return status;
}

static enum fp_status prepare(struct adoption *adoption)
{
    struct compressor_config config = {.algorithm = algorithm_of(adoption->kind.format),
                                       .dictionary = adoption->dictionary};
    enum fp_status status = choice_init(&config, adoption->pool->budget, &adoption->choice);
    if (status != FP_OK) adoption->choice = (struct choice){.codec = NULL};
    dictionary_release(&adoption->dictionary);
    return status;
}

/* The dictionary may be replaced while it is prepared: then the next look says so. */
static enum fp_status adopt_anew(struct adoption *adoption, struct codec_scratch *scratch,
                                 uint8_t *id)
{
    enum fp_status status = adopt_once(adoption, scratch, id);
    if (status != FP_INVALID) return status;
    status = prepare(adoption);
    if (status != FP_OK) return status;
    status = adopt_once(adoption, scratch, id);
    dictionary_release(&adoption->dictionary);
    choice_fini(&adoption->choice, adoption->pool->budget);
    return status;
}

enum fp_status compressor_adopt(struct compressor_pool *pool, struct compressor_dictionary *own,
                                struct packed_kind kind, struct codec_scratch *scratch,
                                uint8_t *id)
{
    _Atomic uint16_t *adopting = kind.dictionary_id != 0 ? own->adopting : pool->adopting;
    uint16_t hint = atomic_load_explicit(&adopting[kind.format], memory_order_relaxed);
    if (adopt_as_before(pool, hint, kind, thread_of(pool, scratch))) {
        *id = (uint8_t)(hint - 1);
        return FP_OK;
    }
    struct adoption adoption = {.pool = pool, .own = own, .kind = kind};
    return adopt_anew(&adoption, scratch, id);
}

struct dictionary *compressor_dictionary_of(struct compressor_pool *pool,
                                            const struct compressor_dictionary *own, uint32_t id,
                                            uint64_t owner)
{
    struct dictionary *found = NULL;
    lock_take(&pool->lock);
    if (own->dictionary != NULL && dictionary_id(own->dictionary) == id) found = own->dictionary;
    for (unsigned i = 0; found == NULL && i < COMPRESSOR_SEATS; i++) {
        struct dictionary *other = pool->seats[i].choice.dictionary;
        if (other != NULL && dictionary_id(other) == id && dictionary_owner(other) == owner)
            found = other;
    }
    if (found != NULL) (void)dictionary_acquire(found);
    lock_drop(&pool->lock);
    return found;
}
