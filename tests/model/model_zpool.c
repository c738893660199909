/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random alloc, free, map, unmap, compact and reclaim against a plain array. Each place of the
 * array has a handle of a row, too: an object is published there, over a value, or keeps its own.
 *
 * The model of an object is its size and a number: its bytes are that number's random bytes, so an
 * object that got another's bytes, or lost some, is seen. Small pools are checked in full after
 * every step, big ones every so often; a budget makes some of the allocations fail.
 *
 *   model_zpool [SEED [STEPS]]
 */
#include <inttypes.h>
#include <time.h>

#include "storage/alloc/zpool.h"
#include "tests/unit/storage/kit.h"

enum { OBJECTS_MAX = 4096, MAPS_MAX = 16 };

struct object {
    struct zhandle handle; /* 0: none */
    struct zhandle slot;   /* of a row */
    size_t size_bytes;
    uint64_t number;
    uint32_t note;
    unsigned maps; /* by index into model.maps, that many of them */
};

struct model {
    struct rng rng;
    struct budget budget;
    struct arena *arena;
    struct zpool *pool;
    unsigned object_count; /* places in use of objects[] */
    size_t size_max;
    unsigned check_every;
    struct object objects[OBJECTS_MAX];
    struct {
        struct zmap map;
        unsigned object;
    } maps[MAPS_MAX];
    unsigned map_count;
    uint64_t held, allocs, refused, frees, mapped, evicted;
};

static struct model model;

static void fill(uint64_t number, uint8_t *bytes, size_t size)
{
    struct rng rng = {.state = number};
    rng_fill(&rng, bytes, size);
}

static void verify(const struct object *object, const uint8_t *bytes)
{
    static uint8_t expected[ZPOOL_OBJECT_BYTES_MAX];
    fill(object->number, expected, object->size_bytes);
    fp_assert(memcmp(bytes, expected, object->size_bytes) == 0);
}

static void map_and_verify(const struct object *object)
{
    struct zmap map;
    fp_assert(zpool_map(model.pool, object->handle, ZACCESS_READ, &map) == FP_OK);
    fp_assert(map.size_bytes == object->size_bytes && map.note == object->note);
    verify(object, map.bytes);
    zpool_unmap(model.pool, &map);
}

/* Mostly small ones, as packed pages are, with the odd large one and exact pages. */
static size_t random_size(void)
{
    uint64_t kind = rng_below(&model.rng, 8);
    uint64_t end = kind < 5 ? 4096 : kind < 6 ? 256 : model.size_max;
    if (end > model.size_max) end = model.size_max;
    if (kind == 7) return end / PAGES_BYTES > 0 ? end / PAGES_BYTES * PAGES_BYTES : end;
    return 1 + rng_below(&model.rng, end);
}

/* Lets the row's handle name the object; what it named before, a value or nothing, ends. */
static void publish(struct object *object)
{
    struct zname before = zpool_look(model.pool, object->slot);
    struct zname old = zpool_replace(model.pool, object->slot, &object->handle);
    fp_assert(old.what == before.what && old.value == before.value && old.what != ZOBJECT);
    fp_assert(object->handle.number == 0);
    object->handle = object->slot;
}

static void put_value(struct object *object)
{
    struct zhandle value;
    if (zpool_alloc_value(model.pool, object->number >> 2, &value) != FP_OK) return;
    (void)zpool_replace(model.pool, object->slot, &value);
    fp_assert(zpool_look(model.pool, object->slot).value == object->number >> 2);
}

static void end(struct object *object)
{
    bool in_row = object->handle.number == object->slot.number;
    struct zname old = in_row ? zpool_clear(model.pool, object->handle)
                              : zpool_free(model.pool, &object->handle);
    fp_assert(old.what == ZOBJECT && old.note == object->note);
    fp_assert(old.size_bytes == object->size_bytes);
    object->handle.number = 0;
}

static void step_alloc(struct object *object)
{
    struct zmap map;
    object->size_bytes = random_size();
    object->number = rng_next(&model.rng);
    object->note = (uint32_t)object->number >> (32 - ZPOOL_NOTE_BITS);
    uint64_t held_pages = arena_held_pages(model.arena);
    if (zpool_alloc(model.pool, object->size_bytes, object->note, &object->handle) != FP_OK) {
        fp_assert(arena_held_pages(model.arena) == held_pages && object->handle.number == 0);
        model.refused++;
        return;
    }
    fp_assert(zpool_map(model.pool, object->handle, ZACCESS_WRITE, &map) == FP_OK);
    fill(object->number, map.bytes, object->size_bytes);
    zpool_unmap(model.pool, &map);
    if (object->number % 2 == 0 && object->slot.number != 0) publish(object);
    model.allocs++;
    model.held++;
}

static void step_free(struct object *object)
{
    map_and_verify(object);
    end(object);
    if (object->number % 8 == 0 && object->slot.number != 0) put_value(object);
    model.frees++;
    model.held--;
}

static void step_map(unsigned index)
{
    struct object *object = &model.objects[index];
    if (model.map_count == MAPS_MAX || object->handle.number == 0) return;
    model.maps[model.map_count].object = index;
    fp_assert(zpool_map(model.pool, object->handle, ZACCESS_READ,
                        &model.maps[model.map_count].map) == FP_OK);
    object->maps++;
    model.map_count++;
    model.mapped++;
}

/* What was lent is still what it was, whatever happened around it. */
static void step_unmap(void)
{
    if (model.map_count == 0) return;
    unsigned at = (unsigned)rng_below(&model.rng, model.map_count);
    struct object *object = &model.objects[model.maps[at].object];
    verify(object, model.maps[at].map.bytes);
    zpool_unmap(model.pool, &model.maps[at].map);
    object->maps--;
    model.maps[at] = model.maps[--model.map_count];
}

/* Reclaim takes an object out of the model, unless it is mapped; it refuses one of four. */
static enum fp_status evict(void *owner, const struct zpool_offer *offer)
{
    (void)owner;
    struct object *object = model.objects;
    while (object->handle.number != offer->handle.number)
        fp_assert(++object < model.objects + OBJECTS_MAX);
    fp_assert(object->maps == 0 && offer->size_bytes == object->size_bytes);
    verify(object, offer->bytes);
    if (rng_below(&model.rng, 4) == 0) return FP_BUSY;
    end(object);
    model.evicted++;
    model.held--;
    return FP_OK;
}

static void step_reclaim(void)
{
    struct zpool_reclaimer reclaimer = {.way = ZPOOL_EVICT, .pages_max = 2, .give = evict};
    uint64_t held_pages = arena_held_pages(model.arena);
    enum fp_status status = zpool_reclaim(model.pool, &reclaimer);
    fp_assert((status == FP_INVALID) == !zpool_properties(model.pool)->reclaimable);
    fp_assert((status == FP_OK) == (arena_held_pages(model.arena) < held_pages));
}

static void step(void)
{
    unsigned index = (unsigned)rng_below(&model.rng, model.object_count);
    struct object *object = &model.objects[index];
    if (rng_below(&model.rng, 64) == 0) (void)zpool_compact(model.pool, 32);
    if (rng_below(&model.rng, 64) == 0) step_reclaim();
    switch (rng_below(&model.rng, 6)) {
    case 0:
        step_map(index);
        return;
    case 1:
        step_unmap();
        return;
    default:
        if (object->handle.number == 0) step_alloc(object);
        else if (object->maps == 0) step_free(object);
    }
}

static void check(void)
{
    zpool_check(model.pool);
    struct zpool_fill fill_now = zpool_fill(model.pool);
    fp_assert(fill_now.object_count == model.held && fill_now.pinned_count == model.map_count);
    fp_assert(budget_held(&model.budget, BUDGET_ALLOCATOR) == fill_now.table_bytes);
    fp_assert(budget_held(&model.budget, BUDGET_PAYLOAD) == fill_now.held_pages * PAGES_BYTES);
    fp_assert(budget_total(&model.budget) <= budget_limit(&model.budget));
}

static void open_pool(uint64_t limit_bytes)
{
    budget_init(&model.budget, limit_bytes);
    fp_assert(arena_create(&model.budget, 1 << 16, &model.arena) == FP_OK);
    struct zpool_options options = {.arena = model.arena, .budget = &model.budget};
    fp_assert(zpool_create(kit_allocator(), &options, &model.pool) == FP_OK);
    for (unsigned i = 0; i < model.object_count; i++) {
        unsigned at = i % ZPOOL_ROW_HANDLES;
        struct zhandle *slot = &model.objects[i].slot;
        *slot = (struct zhandle){0};
        if (at > 0 && model.objects[i - at].slot.number != 0)
            slot->number = model.objects[i - at].slot.number + at;
        else if (at == 0 && zpool_row_take(model.pool, slot) != FP_OK)
            fp_assert(limit_bytes != UINT64_MAX);
    }
}

static void close_rows(void)
{
    for (unsigned i = 0; i < model.object_count; i++)
        if (model.objects[i].slot.number != 0) (void)zpool_clear(model.pool, model.objects[i].slot);
    for (unsigned i = 0; i < model.object_count; i += ZPOOL_ROW_HANDLES)
        if (model.objects[i].slot.number != 0) zpool_row_give(model.pool, &model.objects[i].slot);
}

static void close_pool(void)
{
    while (model.map_count > 0) step_unmap();
    for (unsigned i = 0; i < model.object_count; i++)
        if (model.objects[i].handle.number != 0) step_free(&model.objects[i]);
    check();
    close_rows();
    fp_assert(arena_held_pages(model.arena) == 0);
    zpool_destroy(&model.pool);
    arena_destroy(&model.arena);
    fp_assert(budget_total(&model.budget) == 0);
}

struct round {
    const char *name;
    unsigned object_count;
    size_t size_max;
    uint64_t limit_bytes;
    unsigned check_every, steps_part; /* of all steps: one in so many */
};

static void play(const struct round *round, uint64_t steps)
{
    model.object_count = round->object_count;
    model.size_max = round->size_max;
    model.check_every = round->check_every;
    model.allocs = model.refused = model.frees = model.mapped = model.evicted = 0;
    open_pool(round->limit_bytes);
    for (uint64_t i = 0; i < steps / round->steps_part; i++) {
        step();
        if (i % model.check_every == 0) check();
    }
    close_pool();
    printf("%-8s allocs %" PRIu64 " refused %" PRIu64 " frees %" PRIu64 " maps %" PRIu64
           " evicted %" PRIu64 "\n",
           round->name, model.allocs, model.refused, model.frees, model.mapped, model.evicted);
}

int main(int argc, char **argv)
{
    static const struct round rounds[] = {
        {"tiny", 12, 200, UINT64_MAX, 1, 4},
        {"small", 64, 6000, 40 * PAGES_BYTES, 1, 4},
        {"large", 64, ZPOOL_OBJECT_BYTES_MAX, 200 * PAGES_BYTES, 1, 8},
        {"crowded", OBJECTS_MAX, 5000, 1300 * PAGES_BYTES, 2000, 1},
    };
    uint64_t seed = kit_number(argc, argv, 1, "FARPAGE_SEED", (uint64_t)time(NULL));
    uint64_t steps = kit_number(argc, argv, 2, "FARPAGE_STEPS", 100000);
    printf("model_zpool %" PRIu64 " %" PRIu64 "\n", seed, steps);
    (void)fflush(stdout);
    model.rng.state = seed;
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) play(&rounds[i], steps);
    return 0;
}
