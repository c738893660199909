/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Seats beside the current one, for those who have a dictionary of their own: its algorithm and
 * level with their dictionary.
 *
 *   set -> a word (generation, seat) -> acquire_with takes that seat while the generation holds
 *   swap -> another generation: acquire_with takes the current seat, without a dictionary
 *        -> upkeep makes the seat of the new algorithm with the dictionary -> a new word
 *
 * So nobody who packs ever prepares a dictionary, which takes milliseconds, or waits for it. */
#include "base/check.h"
#include "base/clock.h"
#include "storage/compress/compressor_internal.h"

#define TRY_AGAIN_NS UINT64_C(1000000000) /* where memory or a seat was missing */

static struct compressor_config config_locked(struct compressor_pool *pool, uint64_t word,
                                              struct dictionary *dictionary)
{
    const struct choice *choice = &pool->seats[(uint8_t)word].choice;
    return (struct compressor_config){
        .algorithm = choice->codec->name, .level = choice->level, .dictionary = dictionary};
}

/* A current seat that is neither the default nor anybody's any more drains. */
static void drop_seat_locked(struct compressor_pool *pool, uint64_t word)
{
    uint64_t current = atomic_load(&pool->current);
    if (word_generation(word) != word_generation(current) || word == current) return;
    for (struct compressor_dictionary *each = pool->dictionaries; each != NULL; each = each->next)
        if (atomic_load(&each->word) == word) return;
    seat_retire_locked(&pool->seats[(uint8_t)word]);
}

static struct compressor_dictionary **link_of_locked(struct compressor_pool *pool,
                                                     const struct compressor_dictionary *own)
{
    struct compressor_dictionary **link = &pool->dictionaries;
    while (*link != NULL && *link != own) link = &(*link)->next;
    return link;
}

/* Objects name their dictionary by its id to whoever unpacks them elsewhere: two of one id would be
 * taken for each other. They are random, of 31 bits. */
static bool id_is_taken_locked(const struct compressor_pool *pool,
                               const struct dictionary *dictionary)
{
    if (dictionary == NULL) return false;
    for (unsigned i = 0; i < COMPRESSOR_SEATS; i++) {
        const struct dictionary *other = pool->seats[i].choice.dictionary;
        if (other != NULL && dictionary_id(other) == dictionary_id(dictionary) &&
            !dictionary_equal(other, dictionary))
            return true;
    }
    return false;
}

/* Makes `choice` the seat of `own`. FP_ABSENT: a swap came between. FP_BUSY: no seat. */
static enum fp_status take_seat_locked(struct compressor_pool *pool,
                                       struct compressor_dictionary *own, struct choice *choice,
                                       uint64_t word)
{
    if (atomic_load(&pool->current) != word) return FP_ABSENT;
    if (id_is_taken_locked(pool, choice->dictionary)) return FP_BUSY;
    struct compressor *seat = seat_enter_current_locked(pool, choice);
    if (seat == NULL) return FP_BUSY;
    uint64_t old = atomic_load(&own->word);
    atomic_store(&own->word, word_of(word_generation(word), seat->id));
    if (old != atomic_load(&own->word)) drop_seat_locked(pool, old);
    adopting_forget(own->adopting);
    return FP_OK;
}

static void unset(struct compressor_pool *pool, struct compressor_dictionary *own)
{
    struct dictionary *old;
    lock_take(&pool->lock);
    struct compressor_dictionary **link = link_of_locked(pool, own);
    if (*link != NULL) *link = own->next;
    uint64_t word = atomic_load(&own->word);
    atomic_store(&own->word, 0);
    adopting_forget(own->adopting);
    if (word != 0) drop_seat_locked(pool, word);
    old = own->dictionary;
    own->dictionary = NULL;
    lock_drop(&pool->lock);
    dictionary_release(&old);
}

/* Links `own` with its new dictionary, a use of which it takes; the old one is given out. */
static struct dictionary *adopt_locked(struct compressor_pool *pool,
                                       struct compressor_dictionary *own,
                                       struct dictionary *dictionary)
{
    struct dictionary *old = own->dictionary;
    struct compressor_dictionary **link = link_of_locked(pool, own);
    if (*link == NULL) {
        own->next = NULL;
        *link = own;
    }
    own->dictionary = dictionary_acquire(dictionary);
    return old;
}

static enum fp_status try_set(struct compressor_pool *pool, struct compressor_dictionary *own,
                              struct dictionary *dictionary)
{
    struct choice choice;
    struct dictionary *old = NULL;
    lock_take(&pool->lock);
    uint64_t word = atomic_load(&pool->current);
    struct compressor_config config = config_locked(pool, word, dictionary);
    lock_drop(&pool->lock);
    enum fp_status status = choice_init(&config, pool->budget, &choice);
    if (status != FP_OK) return status;
    lock_take(&pool->lock);
    status = take_seat_locked(pool, own, &choice, word);
    if (status == FP_OK) old = adopt_locked(pool, own, dictionary);
    lock_drop(&pool->lock);
    choice_fini(&choice, pool->budget);
    dictionary_release(&old);
    return status;
}

enum fp_status compressor_dictionary_set(struct compressor_pool *pool,
                                         struct compressor_dictionary *own,
                                         struct dictionary *dictionary)
{
    enum { TRIES = 8 };
    if (dictionary == NULL) {
        unset(pool, own);
        return FP_OK;
    }
    enum fp_status status = FP_ABSENT;
    for (int i = 0; i < TRIES && status == FP_ABSENT; i++) status = try_set(pool, own, dictionary);
    return status == FP_ABSENT ? FP_BUSY : status;
}

struct compressor *compressor_acquire_with(struct compressor_pool *pool,
                                           const struct compressor_dictionary *own,
                                           struct codec_scratch *scratch)
{
    struct percpu_thread *thread = thread_of(pool, scratch);
    uint64_t word = atomic_load(&own->word);
    if (word_generation(word) == word_generation(atomic_load(&pool->current))) {
        struct compressor *seat = &pool->seats[(uint8_t)word];
        if (percpu_ref_tryget_live(&seat->users, thread)) {
            if (atomic_load(&own->word) == word &&
                word_generation(word) == word_generation(atomic_load(&pool->current)))
                return seat;
            percpu_ref_put(&seat->users, thread);
        }
    }
    return compressor_acquire(pool, scratch);
}

/* --- after a swap ----------------------------------------------------------------------------- */

static struct compressor_dictionary *find_due_locked(struct compressor_pool *pool, uint64_t now_ns)
{
    uint64_t generation = word_generation(atomic_load(&pool->current));
    struct compressor_dictionary *each = pool->dictionaries;
    for (; each != NULL; each = each->next) {
        if (word_generation(atomic_load(&each->word)) == generation) continue;
        if (each->tried_for != generation || now_ns >= each->tried_ns + TRY_AGAIN_NS) break;
    }
    return each;
}

/* False: there is none to be made. */
static bool make_one(struct compressor_pool *pool)
{
    struct choice choice;
    uint64_t now_ns = clock_monotonic_ns();
    lock_take(&pool->lock);
    struct compressor_dictionary *own = find_due_locked(pool, now_ns);
    if (own == NULL) {
        lock_drop(&pool->lock);
        return false;
    }
    uint64_t word = atomic_load(&pool->current);
    struct dictionary *dictionary = dictionary_acquire(own->dictionary);
    struct compressor_config config = config_locked(pool, word, dictionary);
    own->tried_for = word_generation(word);
    own->tried_ns = now_ns;
    lock_drop(&pool->lock);
    if (choice_init(&config, pool->budget, &choice) == FP_OK) {
        lock_take(&pool->lock);
        bool still = *link_of_locked(pool, own) != NULL && own->dictionary == dictionary;
        if (still) (void)!take_seat_locked(pool, own, &choice, word);
        lock_drop(&pool->lock);
        choice_fini(&choice, pool->budget);
    }
    dictionary_release(&dictionary);
    return true;
}

void dictionaries_upkeep(struct compressor_pool *pool)
{
    while (make_one(pool)) {}
}
