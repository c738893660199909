/* SPDX-License-Identifier: BSD-3-Clause
 * bench - a store with an area, a scratch and a clock that the test turns. */
#ifndef FARPAGE_TESTS_UNIT_STORAGE_BENCH_H
#define FARPAGE_TESTS_UNIT_STORAGE_BENCH_H
#include "base/crc32c.h"
#include "storage/store/page/store_area.h"
#include "storage/store/store.h"
#include "tests/unit/storage/kit.h"

enum { BENCH_START_MS = 1000000, BENCH_START_UNIX_S = 1700000000, BENCH_MIB = 1 << 20 };

struct bench {
    struct store *store;
    struct store_scratch *scratch;
    struct area *area; /* "swap" */
};

static inline void bench_setup(struct bench *bench, struct store_options options, uint64_t slots)
{
    if (options.memory_limit_bytes == 0) options.memory_limit_bytes = 1024ull * BENCH_MIB;
    if (options.page_bytes == 0) options.page_bytes = KIT_PAGE_BYTES;
    if (options.allocator == NULL) options.allocator = kit_allocator();
    if (options.compressor.algorithm == NULL) options.compressor.algorithm = "lz4";
    fp_assert(store_create(&options, &bench->store) == FP_OK);
    fp_assert(store_scratch_create(bench->store, &bench->scratch) == FP_OK);
    bench->scratch->now_ms = BENCH_START_MS;
    bench->scratch->unix_s = BENCH_START_UNIX_S;
    fp_assert(store_area_open(bench->store, slice_text("swap"), slots, &bench->area) == FP_OK);
}

static inline void bench_teardown(struct bench *bench)
{
    store_check(bench->store);
    store_scratch_destroy(&bench->scratch);
    store_destroy(&bench->store);
    fp_assert(bench->store == NULL && bench->scratch == NULL);
}

/* What slots hold: all that areas are charged for but what each costs by itself. */
static inline uint64_t bench_slots_bytes(struct store *store)
{
    uint64_t bytes = budget_held(store_budget(store), BUDGET_SLOTS);
    struct area *area = NULL;
    while ((area = store_area_next(store, area)) != NULL) bytes -= area_held_bytes(area);
    return bytes;
}

static inline void bench_advance_s(struct bench *bench, uint64_t seconds)
{
    bench->scratch->now_ms += seconds * 1000;
    bench->scratch->unix_s += seconds;
}

static inline enum fp_status bench_store(struct bench *bench, uint64_t slot, const uint8_t *page)
{
    struct page_place place = {.area = bench->area, .slot = slot};
    uint32_t crc = crc32c(page, bench->area->page_bytes);
    return store_page_store(bench->store, bench->scratch, place, page, crc);
}

static inline enum fp_status bench_load(struct bench *bench, uint64_t slot, uint8_t *out)
{
    uint32_t crc = 0;
    struct page_place place = {.area = bench->area, .slot = slot};
    enum fp_status status = store_page_load(bench->store, bench->scratch, place, out, &crc);
    if (status == FP_OK) fp_assert(crc == crc32c(out, bench->area->page_bytes));
    return status;
}

static inline void bench_invalidate(struct bench *bench, uint64_t slot, uint64_t end)
{
    while (slot < end)
        (void)!store_page_invalidate_some(bench->store, bench->scratch, bench->area, &slot, end);
}

/* A value stored under a text key, with mode and the rest by default. */
static inline enum fp_status bench_put(struct bench *bench, struct item_put put)
{
    return store_item_put(bench->store, bench->scratch, &put, BENCH_MIB);
}

static inline enum fp_status bench_set(struct bench *bench, const char *key, struct slice value)
{
    return bench_put(bench, (struct item_put){.key = slice_text(key), .value = value});
}

/* The item's value, in memory the caller frees; NULL with size 0: there is none. */
static inline uint8_t *bench_get(struct bench *bench, const char *key, size_t *size)
{
    struct item *item = store_item_acquire(bench->store, bench->scratch, slice_text(key), NULL);
    *size = 0;
    if (item == NULL) return NULL;
    uint8_t *out = malloc(item->value_bytes + 1u);
    fp_assert(out != NULL && store_item_read(bench->store, bench->scratch, item, out) == FP_OK);
    *size = item->value_bytes;
    store_item_release(bench->store, bench->scratch, &item);
    return out;
}

/* True: the key has exactly this value. */
static inline bool bench_has(struct bench *bench, const char *key, struct slice value)
{
    size_t size;
    uint8_t *bytes = bench_get(bench, key, &size);
    bool same = bytes != NULL && slice_equal(slice_of(bytes, size), value);
    free(bytes);
    return same;
}

static inline bool bench_is(struct bench *bench, const char *key, const char *value)
{
    return bench_has(bench, key, slice_text(value));
}

static inline bool bench_lacks(struct bench *bench, const char *key)
{
    size_t size;
    uint8_t *bytes = bench_get(bench, key, &size);
    free(bytes);
    return bytes == NULL;
}

#endif
