/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What compaction must keep and win, proved with every backend that moves objects. */
#include "storage/alloc/zpool.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/pool.h"

enum { PINS = 64 };

struct pins { /* members that stay mapped, and where they lay */
    struct zmap maps[PINS];
    uint8_t *at[PINS];
    struct member members[PINS]; /* as they were */
};

/* Takes some of the crowd's members for itself and maps them. */
static void pins_init(struct pins *pins, struct crowd *crowd)
{
    for (size_t i = 0; i < PINS; i++) {
        struct member *member = &crowd->members[i * crowd->count / PINS];
        pins->members[i] = *member;
        crowd->payload_bytes -= member->size_bytes;
        member->handle.number = 0;
        ck_assert_int_eq(zpool_map(crowd->bench->pool, pins->members[i].handle, ZACCESS_READ,
                                   &pins->maps[i]),
                         FP_OK);
        pins->at[i] = pins->maps[i].bytes;
    }
}

/* Still where they were, with their bytes, by the old map and by a new one. */
static void pins_verify(const struct pins *pins, const struct crowd *crowd)
{
    for (size_t i = 0; i < PINS; i++) {
        const struct member *member = &pins->members[i];
        struct zmap map;
        ck_assert(memcmp(pins->at[i], member_bytes(member), member->size_bytes) == 0);
        ck_assert_int_eq(zpool_map(crowd->bench->pool, member->handle, ZACCESS_READ, &map), FP_OK);
        ck_assert_ptr_eq(map.bytes, pins->at[i]);
        zpool_unmap(crowd->bench->pool, &map);
    }
}

static void pins_fini(struct pins *pins, const struct crowd *crowd)
{
    for (size_t i = 0; i < PINS; i++) zpool_unmap(crowd->bench->pool, &pins->maps[i]);
    for (size_t i = 0; i < PINS; i++) zpool_free(crowd->bench->pool, &pins->members[i].handle);
}

struct total {
    uint64_t moved, skipped, freed;
};

static struct total compact_all(struct bench *bench, uint32_t moves_max)
{
    struct total total = {0};
    struct zpool_step step;
    do {
        step = zpool_compact(bench->pool, moves_max);
        ck_assert(step.moved_count <= moves_max + 16);
        total.moved += step.moved_count;
        total.skipped += step.skipped_pinned_count;
        total.freed += step.freed_pages;
        ck_assert(step.done || step.moved_count > 0);
    } while (!step.done);
    return total;
}

START_TEST(an_empty_pool_is_done_at_once)
{
    struct bench bench;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    ck_assert(zpool_properties(bench.pool)->movable);
    ck_assert(zpool_freeable_pages(bench.pool) == 0);
    struct zpool_step step = zpool_compact(bench.pool, 100);
    ck_assert(step.done && step.moved_count == 0 && step.freed_pages == 0);
    teardown(&bench);
}
END_TEST

START_TEST(after_discarding_half_the_memory_is_back_at_the_os)
{
    struct bench bench;
    struct crowd crowd;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    crowd_init(&crowd, &bench, 20000, 5);
    uint8_t *base = arena_address(bench.arena, (struct page_run){0});
    uint64_t span = arena_size_pages(bench.arena) * PAGES_BYTES;
    crowd_fill(&crowd);
    crowd_thin(&crowd, 2);
    uint64_t held = arena_held_pages(bench.arena), resident = kit_resident_pages(base, span);
    uint64_t freeable = zpool_freeable_pages(bench.pool);
    ck_assert(freeable > held / 4);
    struct total total = compact_all(&bench, 200);
    uint64_t now = arena_held_pages(bench.arena);
    printf("%s: held %ju pages, freeable %ju, freed %ju by %ju moves, density %.4f\n",
           pool_backends[_i], (uintmax_t)held, (uintmax_t)freeable, (uintmax_t)total.freed,
           (uintmax_t)total.moved, crowd_density(&crowd));
    ck_assert(now == held - total.freed && total.freed <= freeable + 64);
    ck_assert(total.freed > freeable * 8 / 10);
    arena_trim(bench.arena);
    ck_assert(kit_resident_pages(base, span) <= now);
    ck_assert(kit_resident_pages(base, span) + total.freed * 9 / 10 < resident);
    zpool_check(bench.pool);
    crowd_verify(&crowd);
    ck_assert(crowd_density(&crowd) >= (strcmp(pool_backends[_i], "blocks") == 0 ? 0.97 : 0.9));
    crowd_fini(&crowd);
    arena_trim(bench.arena);
    ck_assert(kit_resident_pages(base, span) == 0);
    teardown(&bench);
}
END_TEST

START_TEST(what_is_pinned_keeps_its_bytes_and_its_address)
{
    struct bench bench;
    struct crowd crowd;
    struct pins pins;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    crowd_init(&crowd, &bench, 6000, 9);
    crowd_fill(&crowd);
    pins_init(&pins, &crowd);
    for (int round = 0; round < 6; round++) {
        crowd_churn(&crowd, 3000);
        pins_verify(&pins, &crowd);
        crowd_thin(&crowd, 2);
        (void)compact_all(&bench, 50);
        pins_verify(&pins, &crowd);
        crowd_verify(&crowd);
        zpool_check(bench.pool);
    }
    ck_assert(zpool_fill(bench.pool).pinned_count == PINS);
    pins_fini(&pins, &crowd);
    crowd_fini(&crowd);
    teardown(&bench);
}
END_TEST

/* The pinned objects are alone in the sparsest zspages there are: exactly where one would begin. */
START_TEST(compaction_walks_past_what_is_pinned)
{
    struct bench bench;
    struct crowd crowd;
    struct pins pins;
    setup(&bench, pool_backends[_i], UINT64_MAX);
    crowd_init(&crowd, &bench, 12000, 13);
    crowd_fill(&crowd);
    pins_init(&pins, &crowd);
    for (size_t i = 0; i < crowd.count; i++) /* everything around them */
        if (i % (crowd.count / PINS) < 40 || i % (crowd.count / PINS) > crowd.count / PINS - 40)
            member_drop(&crowd, &crowd.members[i]);
    crowd_thin(&crowd, 2);
    uint64_t freeable = zpool_freeable_pages(bench.pool);
    struct total first = compact_all(&bench, 100);
    printf("%s: %ju of %ju freeable pages past %d pins\n", pool_backends[_i],
           (uintmax_t)first.freed, (uintmax_t)freeable, PINS);
    ck_assert(first.skipped > 0 && first.freed > freeable / 2);
    pins_verify(&pins, &crowd);
    crowd_verify(&crowd);
    zpool_check(bench.pool);
    pins_fini(&pins, &crowd);
    crowd_thin(&crowd, 4);
    ck_assert(compact_all(&bench, 100).skipped == 0); /* nothing is closed for good */
    ck_assert(zpool_freeable_pages(bench.pool) < freeable / 10 + 20);
    crowd_verify(&crowd);
    crowd_fini(&crowd);
    teardown(&bench);
}
END_TEST

int main(void)
{
    return suite_run_each("zpool_compact", POOL_MOVABLE, an_empty_pool_is_done_at_once,
                          after_discarding_half_the_memory_is_back_at_the_os,
                          what_is_pinned_keeps_its_bytes_and_its_address,
                          compaction_walks_past_what_is_pinned);
}
