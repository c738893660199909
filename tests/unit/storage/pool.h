/* SPDX-License-Identifier: BSD-3-Clause
 * pool - a zpool with what it stands on, and a crowd of objects that know their bytes. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_POOL_H
#define FARPAGE_TESTS_UNIT_STORAGE_POOL_H
#include <check.h>

#include "storage/alloc/zpool.h"
#include "tests/unit/storage/kit.h"

/* The movable ones first. */
static const char *const pool_backends[] = {"zsmalloc", "blocks", "zbud"};
enum { POOL_MOVABLE = 2, POOL_BACKENDS = FP_COUNT_OF(pool_backends) };

struct bench {
    struct budget budget;
    struct arena *arena;
    struct zpool *pool;
};

static inline void setup(struct bench *bench, const char *backend, uint64_t limit_bytes)
{
    budget_init(&bench->budget, limit_bytes);
    ck_assert_int_eq(arena_create(&bench->budget, 1 << 18, &bench->arena), FP_OK);
    struct zpool_options options = {.arena = bench->arena, .budget = &bench->budget};
    ck_assert_int_eq(zpool_create(backend, &options, &bench->pool), FP_OK);
    ck_assert_str_eq(zpool_properties(bench->pool)->name, backend);
}

static inline void teardown(struct bench *bench)
{
    zpool_check(bench->pool);
    ck_assert(budget_held(&bench->budget, BUDGET_PAYLOAD) == 0);
    zpool_destroy(&bench->pool);
    ck_assert_ptr_null(bench->pool);
    arena_destroy(&bench->arena);
    ck_assert(budget_total(&bench->budget) == 0);
}

static inline struct zhandle keep(struct bench *bench, const uint8_t *bytes, size_t size)
{
    struct zhandle handle;
    struct zmap map;
    ck_assert_int_eq(zpool_alloc(bench->pool, size, 0, &handle), FP_OK);
    ck_assert_int_eq(zpool_map(bench->pool, handle, ZACCESS_WRITE, &map), FP_OK);
    ck_assert(map.size_bytes == size);
    memcpy(map.bytes, bytes, size);
    zpool_unmap(bench->pool, &map);
    return handle;
}

static inline bool holds(struct bench *bench, struct zhandle handle, const uint8_t *bytes,
                         size_t size)
{
    struct zmap map;
    if (zpool_map(bench->pool, handle, ZACCESS_READ, &map) != FP_OK) return false;
    bool same = memcmp(map.bytes, bytes, size) == 0;
    zpool_unmap(bench->pool, &map);
    return same;
}

/* --- a crowd: many objects of sizes as lz4 makes them of pages, each with bytes of its own ---- */

struct member {
    struct zhandle handle; /* 0: none */
    uint32_t size_bytes, seed;
};
struct crowd {
    struct bench *bench;
    struct rng rng;
    size_t count;
    uint64_t payload_bytes;
    struct member *members;
};

/* A third of them small, most between a quarter and three quarters of a page, few hardly packed. */
static inline uint32_t lz4_like_size(struct rng *rng)
{
    uint64_t kind = rng_below(rng, 10);
    if (kind < 3) return (uint32_t)(40 + rng_below(rng, 800));
    if (kind < 9) return (uint32_t)(800 + rng_below(rng, 1200) + rng_below(rng, 1200));
    return (uint32_t)(3200 + rng_below(rng, 890));
}

static inline void crowd_init(struct crowd *crowd, struct bench *bench, size_t count, uint64_t seed)
{
    *crowd = (struct crowd){.bench = bench, .rng = {.state = seed}, .count = count};
    crowd->members = calloc(count, sizeof *crowd->members);
    ck_assert_ptr_nonnull(crowd->members);
}

static inline const uint8_t *member_bytes(const struct member *member)
{
    static uint8_t bytes[KIT_PAGE_BYTES];
    struct rng rng = {.state = member->seed};
    rng_fill(&rng, bytes, member->size_bytes);
    return bytes;
}

static inline void member_drop(struct crowd *crowd, struct member *member)
{
    if (member->handle.number == 0) return;
    ck_assert(holds(crowd->bench, member->handle, member_bytes(member), member->size_bytes));
    zpool_free(crowd->bench->pool, &member->handle);
    crowd->payload_bytes -= member->size_bytes;
}

static inline void member_renew(struct crowd *crowd, struct member *member)
{
    member_drop(crowd, member);
    member->size_bytes = lz4_like_size(&crowd->rng);
    member->seed = (uint32_t)rng_next(&crowd->rng);
    member->handle = keep(crowd->bench, member_bytes(member), member->size_bytes);
    crowd->payload_bytes += member->size_bytes;
}

static inline void crowd_fill(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) member_renew(crowd, &crowd->members[i]);
}

static inline void crowd_churn(struct crowd *crowd, size_t steps)
{
    for (size_t i = 0; i < steps; i++)
        member_renew(crowd, &crowd->members[rng_below(&crowd->rng, crowd->count)]);
}

/* Drops each member with a chance of 1 / one_in. */
static inline void crowd_thin(struct crowd *crowd, unsigned one_in)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (rng_below(&crowd->rng, one_in) == 0) member_drop(crowd, &crowd->members[i]);
}

static inline void crowd_verify(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        const struct member *member = &crowd->members[i];
        if (member->handle.number != 0)
            ck_assert(holds(crowd->bench, member->handle, member_bytes(member),
                            member->size_bytes));
    }
}

static inline void crowd_fini(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) member_drop(crowd, &crowd->members[i]);
    ck_assert(crowd->payload_bytes == 0);
    free(crowd->members);
}

/* Of the pages held, the part that is payload. */
static inline double crowd_density(const struct crowd *crowd)
{
    uint64_t held = arena_held_pages(crowd->bench->arena) * PAGES_BYTES;
    return (double)crowd->payload_bytes / (double)held;
}

#endif
