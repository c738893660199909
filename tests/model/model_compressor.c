/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The seats of the compressor against a plain table of them: acquire, release, read, born, died,
 * swap, dictionaries set and taken away, upkeep, threads that come and go; all at random.
 *
 * The table knows exactly which seat is what and how much it holds. Only one thing is left to the
 * pool: when, within three upkeeps, a seat that nothing needs is emptied. It must be by then; it
 * must not be before the last user and the last object are gone; what holds neither is EMPTY or
 * DRAINING and nothing else is either.
 *
 *   model_compressor [SEED [STEPS]] */
#include <inttypes.h>
#include <time.h>

#include "storage/compress/compressor.h"
#include "tests/unit/storage/kit_dictionary.h"

enum { USERS_MAX = 64, OBJECTS_MAX = 512, SCRATCHES = 4, DICTIONARIES = 3, UPKEEPS = 3 };

static const struct compressor_config configs[] = {{"lz4", 1}, {"lz4", 2}, {"lz4", 3}, {"lz4", 9},
                                                   {"none"},   {"lz4", 5}, {"zstd", -50}};
enum { CONFIGS = FP_COUNT_OF(configs) };

struct seat { /* as it should be */
    enum compressor_state state;
    const char *algorithm;
    int level;
    const struct dictionary *dictionary;
    uint64_t users, objects;
};

struct use {
    struct compressor *seat;
    bool reads;
};

static struct model {
    struct rng rng;
    struct compressor_pool *pool;
    struct seat seats[COMPRESSOR_SEATS];
    uint8_t current;
    int config;
    uint64_t swaps;
    struct codec_scratch *scratches[SCRATCHES];
    struct use users[USERS_MAX];
    uint8_t objects[OBJECTS_MAX]; /* their seats */
    unsigned user_count, object_count;
    struct dictionary *trained[2];
    struct compressor_dictionary owns[DICTIONARIES];
    int own_seats[DICTIONARIES]; /* -1: none, until an upkeep */
    uint64_t resurrected, emptied;
} model;

static unsigned below(uint64_t end)
{
    return (unsigned)rng_below(&model.rng, end);
}

static struct codec_scratch *any_scratch(void)
{
    unsigned i = below(SCRATCHES + 1);
    return i < SCRATCHES ? model.scratches[i] : NULL;
}

static bool needless(const struct seat *seat)
{
    return seat->state == COMPRESSOR_DRAINING && seat->users == 0 && seat->objects == 0;
}

static struct compressor_row row_of(unsigned id)
{
    struct compressor_row row;
    compressor_row(model.pool, (uint8_t)id, &row);
    return row;
}

/* Takes over which needless seats are empty by now; everything else must be as the model has it. */
static void compare(bool settled)
{
    for (unsigned id = 0; id < COMPRESSOR_SEATS; id++) {
        struct seat *seat = &model.seats[id];
        struct compressor_row row = row_of(id);
        if (needless(seat) && row.state == COMPRESSOR_EMPTY) {
            *seat = (struct seat){.state = COMPRESSOR_EMPTY};
            model.emptied++;
        }
        fp_assert(!settled || !needless(seat));
        fp_assert(row.state == seat->state);
        fp_assert(row.users == seat->users && row.objects == seat->objects);
        fp_assert(compressor_seat_is_current(model.pool, (uint8_t)id) ==
                  (seat->state == COMPRESSOR_CURRENT));
        if (seat->state == COMPRESSOR_EMPTY) {
            fp_assert(row.dictionary_bytes == 0 && row.dictionary_id == 0);
            fp_assert(compressor_acquire_id(model.pool, (uint8_t)id, NULL) == NULL);
            continue;
        }
        fp_assert(strcmp(row.algorithm, seat->algorithm) == 0 && row.level == seat->level);
        fp_assert(row.dictionary_id == (seat->dictionary ? dictionary_id(seat->dictionary) : 0));
    }
    fp_assert(compressor_swap_count(model.pool) == model.swaps);
}

/* --- what a swap, or a dictionary, makes current ---------------------------------------------- */

static const struct dictionary *usable(int config, const struct dictionary *dictionary)
{
    return strcmp(configs[config].algorithm, "none") == 0 ? NULL : dictionary;
}

/* The seat that has it, else the first empty one. One that is needless may have been emptied by
 * now, and another have it: within an upkeep the table does not know that yet. */
static int find(int config, const struct dictionary *dictionary)
{
    int empty = -1, doubtful = -1;
    dictionary = usable(config, dictionary);
    for (int id = 0; id < COMPRESSOR_SEATS; id++) {
        const struct seat *seat = &model.seats[id];
        if (seat->state == COMPRESSOR_EMPTY) {
            if (empty < 0) empty = id;
        } else if (strcmp(seat->algorithm, configs[config].algorithm) == 0 &&
                   seat->level == configs[config].level && seat->dictionary == dictionary) {
            if (!needless(seat)) return id;
            doubtful = id;
        }
    }
    return doubtful >= 0 ? doubtful : empty;
}

static void enter(int id, int config, const struct dictionary *dictionary)
{
    struct seat *seat = &model.seats[id];
    if (seat->state == COMPRESSOR_DRAINING) {
        model.resurrected++;
        fp_assert(row_of((unsigned)id).resurrected);
    }
    if (seat->state == COMPRESSOR_EMPTY) {
        seat->algorithm = configs[config].algorithm;
        seat->level = configs[config].level;
        seat->dictionary = usable(config, dictionary);
    }
    seat->state = COMPRESSOR_CURRENT;
}

static void retire_all_but(int keep)
{
    for (int id = 0; id < COMPRESSOR_SEATS; id++)
        if (id != keep && model.seats[id].state == COMPRESSOR_CURRENT)
            model.seats[id].state = COMPRESSOR_DRAINING;
}

static void swap(void)
{
    int config = (int)below(CONFIGS);
    int id = find(config, NULL);
    enum fp_status status = compressor_pool_swap(model.pool, &configs[config]);
    if (config == model.config) {
        fp_assert(status == FP_EXISTS);
        return;
    }
    fp_assert(status == FP_OK && id >= 0);
    model.config = config;
    model.current = (uint8_t)id;
    model.swaps++;
    enter(id, config, NULL);
    retire_all_but(id);
    for (int i = 0; i < DICTIONARIES; i++) model.own_seats[i] = -1;
}

static void drop_own_seat(int own)
{
    int id = model.own_seats[own];
    model.own_seats[own] = -1;
    if (id < 0 || id == model.current) return;
    for (int i = 0; i < DICTIONARIES; i++)
        if (model.own_seats[i] == id) return;
    model.seats[id].state = COMPRESSOR_DRAINING;
}

static void set_dictionary(void)
{
    int own = (int)below(DICTIONARIES);
    struct dictionary *dictionary = below(4) == 0 ? NULL : model.trained[below(2)];
    int id = dictionary != NULL ? find(model.config, dictionary) : -1;
    fp_assert(compressor_dictionary_set(model.pool, &model.owns[own], dictionary) == FP_OK);
    if (id >= 0) enter(id, model.config, dictionary);
    if (id == model.own_seats[own] && id >= 0) return;
    drop_own_seat(own);
    model.own_seats[own] = id;
}

/* Seat `id` was made for a dictionary. It must be the one that has it, if that is needed by anyone;
 * else one that was empty, or needless and emptied first. */
static void adopt(int own, int id)
{
    struct dictionary *dictionary = model.owns[own].dictionary;
    struct seat *seat = &model.seats[id];
    int same = find(model.config, dictionary);
    bool has = same >= 0 && model.seats[same].state != COMPRESSOR_EMPTY;
    bool free_to_take = seat->state == COMPRESSOR_EMPTY || needless(seat);
    if (has && !needless(&model.seats[same])) fp_assert(id == same);
    else fp_assert(free_to_take);
    bool resurrected = row_of((unsigned)id).resurrected;
    if (free_to_take) fp_assert(id == same || !resurrected);
    if (free_to_take && !resurrected) seat->state = COMPRESSOR_EMPTY;
    enter(id, model.config, dictionary);
    model.own_seats[own] = id;
}

/* What was made is known by what acquire_with answers now. */
static void upkeep(unsigned times)
{
    for (unsigned i = 0; i < times; i++) compressor_pool_upkeep(model.pool);
    for (int own = 0; own < DICTIONARIES; own++) {
        if (model.owns[own].dictionary == NULL || model.own_seats[own] >= 0) continue;
        struct compressor *seat = compressor_acquire_with(model.pool, &model.owns[own], NULL);
        adopt(own, compressor_id(seat));
        compressor_release(&seat, NULL);
    }
    compare(times >= UPKEEPS);
}

/* --- users and objects ------------------------------------------------------------------------ */

static void acquire(void)
{
    if (model.user_count == USERS_MAX) return;
    struct use *use = &model.users[model.user_count++];
    int own = (int)below(2 * DICTIONARIES);
    bool with = own < DICTIONARIES && model.owns[own].dictionary != NULL;
    use->reads = false;
    use->seat = with ? compressor_acquire_with(model.pool, &model.owns[own], any_scratch())
                     : compressor_acquire(model.pool, any_scratch());
    int expected = with && model.own_seats[own] >= 0 ? model.own_seats[own] : model.current;
    fp_assert(use->seat != NULL && compressor_id(use->seat) == expected);
    model.seats[expected].users++;
}

static void read_object(void)
{
    if (model.user_count == USERS_MAX || model.object_count == 0) return;
    struct use *use = &model.users[model.user_count++];
    uint8_t id = model.objects[below(model.object_count)];
    use->reads = true;
    use->seat = compressor_acquire_id(model.pool, id, any_scratch());
    fp_assert(use->seat != NULL && compressor_id(use->seat) == id);
    model.seats[id].objects++;
}

static void release(void)
{
    if (model.user_count == 0) return;
    struct use *use = &model.users[below(model.user_count)];
    struct seat *seat = &model.seats[compressor_id(use->seat)];
    if (use->reads) compressor_release_id(&use->seat, any_scratch()), seat->objects--;
    else compressor_release(&use->seat, any_scratch()), seat->users--;
    *use = model.users[--model.user_count];
}

static void born(void)
{
    if (model.user_count == 0 || model.object_count == OBJECTS_MAX) return;
    const struct use *use = &model.users[below(model.user_count)];
    if (use->reads) return;
    uint8_t id = compressor_id(use->seat);
    fp_assert(compressor_object_born(use->seat, any_scratch()));
    model.seats[id].objects++;
    model.objects[model.object_count++] = id;
}

static void died(void)
{
    if (model.object_count == 0) return;
    uint8_t *object = &model.objects[below(model.object_count)];
    compressor_object_died(model.pool, *object, any_scratch());
    model.seats[*object].objects--;
    *object = model.objects[--model.object_count];
}

static void replace_thread(void)
{
    struct codec_scratch **scratch = &model.scratches[below(SCRATCHES)];
    codec_scratch_destroy(scratch);
    fp_assert(codec_scratch_create(model.pool, scratch) == FP_OK);
}

static void (*const steps[])(void) = {acquire, acquire, acquire, read_object, release, release,
                                      release, release, born,    born,        died,    died,
                                      swap};

static void step(void)
{
    unsigned rare = below(200);
    if (rare == 0) replace_thread();
    else if (rare < 6) set_dictionary();
    else if (rare < 16) upkeep(1 + below(UPKEEPS));
    else steps[below(FP_COUNT_OF(steps))]();
    compare(false);
}

static void let_go_of_everything(void)
{
    for (int own = 0; own < DICTIONARIES; own++) {
        fp_assert(compressor_dictionary_set(model.pool, &model.owns[own], NULL) == FP_OK);
        drop_own_seat(own);
    }
    while (model.user_count > 0) release();
    while (model.object_count > 0) died();
    upkeep(UPKEEPS);
    for (int i = 0; i < SCRATCHES; i++) codec_scratch_destroy(&model.scratches[i]);
    compressor_pool_destroy(&model.pool);
}

int main(int argc, char **argv)
{
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t count = kit_number(argc, argv, 2, "FARPAGE_STEPS", 30000);
    printf("model_compressor %" PRIu64 " %" PRIu64 "\n", seed, count);
    (void)fflush(stdout);
    model.rng.state = seed;
    fp_assert(compressor_pool_create(&configs[0], NULL, &model.pool) == FP_OK);
    model.seats[0] = (struct seat){.algorithm = "lz4", .level = 1, .state = COMPRESSOR_CURRENT};
    for (int i = 0; i < SCRATCHES; i++)
        fp_assert(codec_scratch_create(model.pool, &model.scratches[i]) == FP_OK);
    for (int i = 0; i < 2; i++) model.trained[i] = kit_dictionary(1 + 2 * (size_t)i);
    for (int i = 0; i < DICTIONARIES; i++) model.own_seats[i] = -1;
    for (uint64_t i = 0; i < count; i++) step();
    printf("swaps %" PRIu64 " resurrected %" PRIu64 " emptied %" PRIu64 "\n", model.swaps,
           model.resurrected, model.emptied);
    let_go_of_everything();
    for (int i = 0; i < 2; i++) dictionary_release(&model.trained[i]);
    return 0;
}
