/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/area.h"

#include <pthread.h>

#include "storage/pages.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { CHUNK_BYTES = AREA_CHUNK_SLOTS * 12, THREADS = 4 };

static struct budget budget;

static struct area *area_of(uint64_t slots, uint64_t limit_bytes)
{
    struct area *area = NULL;
    struct area_options options = {
        .name = slice_text("swap0"), .slot_count = slots, .page_bytes = 4096, .generation = 9};
    budget_init(&budget, limit_bytes);
    ck_assert_int_eq(area_create(&budget, &options, &area), FP_OK);
    return area;
}

static struct entry same(uint64_t word)
{
    return entry_same_filled(word, 0xabcdef00);
}

static struct entry object(enum entry_kind kind, uint64_t number, size_t size)
{
    return entry_object(kind, (struct zhandle){.bits = number}, size, 3);
}

static struct entry put(struct area *area, uint64_t slot, struct entry next)
{
    struct entry old;
    ck_assert_int_eq(area_put(area, slot, next, &old), FP_OK);
    return old;
}

static struct entry get(struct area *area, uint64_t slot)
{
    area_slot_take(area, slot);
    struct entry entry = area_get_locked(area, slot);
    area_slot_drop(area, slot);
    return entry;
}

static void empty_and_destroy(struct area *area)
{
    struct entry entries[64];
    for (uint64_t slot = 0; slot < area->slot_count;)
        (void)area_clear_some(area, &slot, area->slot_count, entries, 64);
    area_check(area);
    ck_assert(atomic_load(&area->counters.stored) == 0);
    ck_assert(atomic_load(&area->counters.packed_bytes) == 0);
    ck_assert(atomic_load(&area->counters.same_filled) == 0);
    ck_assert(atomic_load(&area->counters.incompressible) == 0);
    area_destroy(&area);
    ck_assert_ptr_null(area);
    ck_assert(budget_total(&budget) == 0);
}

static uint64_t resident_bytes(struct area *area)
{
    uint64_t used_bytes = area->chunk_count * sizeof *area->used_slots;
    return KIT_PAGE_BYTES * (kit_resident_pages(area->table, area->chunk_count * CHUNK_BYTES) +
                             kit_resident_pages(area->used_slots, used_bytes));
}

START_TEST(an_entry_gives_back_what_was_put_into_it)
{
    struct rng rng = {.state = 1};
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rng_below(&rng, 1ull << ZPOOL_HANDLE_BITS);
        size_t size = rng_below(&rng, ZPOOL_OBJECT_BYTES_MAX + 1);
        uint8_t seat = (uint8_t)rng_next(&rng);
        struct entry entry = entry_object(ENTRY_PACKED, (struct zhandle){bits}, size, seat);
        ck_assert(entry_handle(entry).bits == bits && entry_size_bytes(entry) == size);
        ck_assert(entry_seat(entry) == seat && entry_kind(entry) == ENTRY_PACKED);
        uint32_t crc = (uint32_t)rng_next(&rng);
        entry = entry_same_filled(bits, crc);
        ck_assert(entry_kind(entry) == ENTRY_SAME_FILLED && entry.word == bits);
        ck_assert(entry_crc_matches(entry, crc) && entry_crc_matches(entry, crc ^ 7));
        ck_assert(!entry_crc_matches(entry, crc ^ (8u << rng_below(&rng, 29))));
    }
    ck_assert_int_eq(entry_kind((struct entry){0}), ENTRY_ABSENT);
}
END_TEST

START_TEST(an_area_of_a_terabyte_costs_less_than_a_mebibyte)
{
    uint64_t slots = 1ull << 28;
    struct area *area = area_of(slots, UINT64_MAX);
    for (uint64_t slot = 0; slot < slots; slot += AREA_CHUNK_SLOTS)
        ck_assert(entry_kind(get(area, slot)) == ENTRY_ABSENT);
    ck_assert(resident_bytes(area) < 1 << 20);
    ck_assert(budget_total(&budget) == 0);
    for (uint64_t i = 0; i < 8; i++) put(area, i * (slots / 8) + 5, same(i));
    ck_assert(budget_held(&budget, BUDGET_SLOTS) == 8 * CHUNK_BYTES);
    ck_assert(resident_bytes(area) < 1 << 20);
    ck_assert(get(area, slots / 8 + 5).word == 1);
    empty_and_destroy(area);
}
END_TEST

START_TEST(sizes_beyond_the_address_space_are_refused)
{
    static const uint64_t slots[] = {UINT64_MAX, 1ull << 62, (1ull << 62) + 1024, 1ull << 50};
    budget_init(&budget, UINT64_MAX);
    for (size_t i = 0; i < FP_COUNT_OF(slots); i++) {
        struct area *area = NULL;
        struct area_options options = {
            .name = slice_text("much"), .slot_count = slots[i], .page_bytes = 4096};
        ck_assert_int_eq(area_create(&budget, &options, &area), FP_NO_MEMORY);
        ck_assert_ptr_null(area);
    }
}
END_TEST

START_TEST(put_returns_what_was_there_and_an_empty_chunk_goes_back)
{
    struct area *area = area_of(3000, UINT64_MAX);
    ck_assert_str_eq(area->name, "swap0");
    ck_assert(area->generation == 9 && area->page_bytes == 4096 && area->slot_count == 3000);
    ck_assert(entry_kind(put(area, 2999, (struct entry){0})) == ENTRY_ABSENT);
    ck_assert(budget_total(&budget) == 0);
    ck_assert(entry_kind(put(area, 2999, same(1))) == ENTRY_ABSENT);
    ck_assert(put(area, 2999, same(2)).word == 1);
    ck_assert(budget_total(&budget) == CHUNK_BYTES);
    put(area, 2998, same(3));
    ck_assert(put(area, 2999, (struct entry){0}).word == 2);
    ck_assert(budget_total(&budget) == CHUNK_BYTES);
    ck_assert(put(area, 2998, (struct entry){0}).word == 3);
    ck_assert(budget_total(&budget) == 0);
    ck_assert(entry_kind(get(area, 2999)) == ENTRY_ABSENT);
    put(area, 2999, same(4)); /* the chunk that comes back is a clean one */
    ck_assert(entry_kind(get(area, 2998)) == ENTRY_ABSENT);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_chunk_that_goes_back_is_not_resident_any_more)
{
    struct area *area = area_of(AREA_CHUNK_SLOTS * 64, UINT64_MAX);
    for (uint64_t slot = 0; slot < area->slot_count; slot++) put(area, slot, same(slot));
    uint64_t full = kit_resident_pages(area->table, 64 * CHUNK_BYTES);
    ck_assert(full == 64 * 3);
    for (uint64_t slot = 0; slot < area->slot_count; slot++)
        if (slot / AREA_CHUNK_SLOTS % 2) put(area, slot, (struct entry){0});
    ck_assert(kit_resident_pages(area->table, 64 * CHUNK_BYTES) == full / 2);
    ck_assert(budget_total(&budget) == 32 * CHUNK_BYTES);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_refused_put_changes_nothing)
{
    struct area *area = area_of(4096, CHUNK_BYTES);
    struct entry old;
    put(area, 7, same(1));
    ck_assert_int_eq(area_put(area, 2000, same(2), &old), FP_NO_MEMORY);
    ck_assert(entry_kind(get(area, 2000)) == ENTRY_ABSENT);
    ck_assert(atomic_load(&area->counters.stored) == 1 && budget_total(&budget) == CHUNK_BYTES);
    ck_assert_int_eq(area_put(area, 8, same(3), &old), FP_OK);
    area_check(area);
    empty_and_destroy(area);
}
END_TEST

START_TEST(the_counters_add_up)
{
    struct area *area = area_of(5000, UINT64_MAX);
    struct area_counters *counters = &area->counters;
    put(area, 0, object(ENTRY_PACKED, 1, 1000));
    put(area, 1, object(ENTRY_PLAIN, 2, 4096));
    put(area, 2, same(0));
    put(area, 3, object(ENTRY_PACKED, 3, 500));
    ck_assert(atomic_load(&counters->stored) == 4);
    ck_assert(atomic_load(&counters->same_filled) == 1);
    ck_assert(atomic_load(&counters->incompressible) == 1);
    ck_assert(atomic_load(&counters->packed_bytes) == 5596);
    put(area, 0, same(1));
    put(area, 1, object(ENTRY_PACKED, 4, 100));
    put(area, 3, (struct entry){0});
    ck_assert(atomic_load(&counters->stored) == 3);
    ck_assert(atomic_load(&counters->same_filled) == 2);
    ck_assert(atomic_load(&counters->incompressible) == 0);
    ck_assert(atomic_load(&counters->packed_bytes) == 100);
    area_check(area);
    empty_and_destroy(area);
}
END_TEST

START_TEST(clearing_takes_exactly_the_range_in_bounded_steps)
{
    struct area *area = area_of(10 * AREA_CHUNK_SLOTS, UINT64_MAX);
    struct entry entries[100];
    bool seen[10 * AREA_CHUNK_SLOTS] = {false};
    uint64_t slot = 100, end = 3 * AREA_CHUNK_SLOTS + 50;
    unsigned steps = 0, total = 0;
    for (uint64_t s = 0; s < area->slot_count; s += 3) put(area, s, object(ENTRY_PACKED, s + 1, 9));
    while (slot < end) {
        uint64_t before = slot;
        unsigned count = area_clear_some(area, &slot, end, entries, 100);
        ck_assert(count <= 100 && slot > before && slot <= end);
        ck_assert(before / AREA_CHUNK_SLOTS == (slot - 1) / AREA_CHUNK_SLOTS); /* one chunk */
        for (unsigned i = 0; i < count; i++) seen[entry_handle(entries[i]).bits - 1] = true;
        total += count;
        steps++;
    }
    ck_assert(slot == end && steps >= total / 100);
    for (uint64_t s = 0; s < area->slot_count; s++) {
        bool stored = s % 3 == 0, in_range = s >= 100 && s < end;
        ck_assert(seen[s] == (stored && in_range));
        ck_assert((entry_kind(get(area, s)) != ENTRY_ABSENT) == (stored && !in_range));
    }
    area_check(area);
    empty_and_destroy(area);
}
END_TEST

START_TEST(clearing_an_unused_terabyte_is_quick)
{
    struct area *area = area_of(1ull << 28, UINT64_MAX);
    struct entry entries[64];
    uint64_t slot = 0, steps = 0, found = 0;
    put(area, 123456789, same(1));
    while (slot < area->slot_count) {
        found += area_clear_some(area, &slot, area->slot_count, entries, 64);
        steps++;
    }
    ck_assert(found == 1 && steps <= area->chunk_count + 1);
    empty_and_destroy(area);
}
END_TEST

struct writer {
    pthread_t thread;
    struct area *area;
    uint64_t number, balance; /* entries put minus entries got back */
};

static void *put_and_clear(void *argument)
{
    enum { STEPS = 20000 };
    struct writer *writer = argument;
    struct rng rng = {.state = writer->number};
    struct entry entries[16], old;
    for (uint64_t i = 0; i < STEPS; i++) {
        uint64_t slot = rng_below(&rng, writer->area->slot_count);
        if (rng_below(&rng, 4) > 0) {
            if (area_put(writer->area, slot, same(i), &old) != FP_OK) continue;
            writer->balance += entry_kind(old) == ENTRY_ABSENT;
        } else {
            uint64_t end = slot + 40;
            if (end > writer->area->slot_count) end = writer->area->slot_count;
            writer->balance -= area_clear_some(writer->area, &slot, end, entries, 16);
        }
    }
    return NULL;
}

START_TEST(threads_get_each_entry_back_once)
{
    struct area *area = area_of(AREA_CHUNK_SLOTS * 70, 60 * CHUNK_BYTES);
    struct writer writers[THREADS];
    uint64_t balance = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.area = area, .number = i};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, put_and_clear, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
        balance += writers[i].balance;
    }
    ck_assert(balance == atomic_load(&area->counters.stored));
    area_check(area);
    empty_and_destroy(area);
}
END_TEST

static void take_beyond_the_end(void *argument)
{
    area_slot_take(argument, ((struct area *)argument)->slot_count);
}

static void destroy_with_an_entry(void *argument)
{
    struct area *area = argument;
    struct entry old;
    if (area_put(area, 1, same(1), &old) == FP_OK) area_destroy(&area);
}

START_TEST(our_own_mistakes_stop_the_program)
{
    struct area *area = area_of(100, UINT64_MAX);
    ck_assert(child_aborts(take_beyond_the_end, area));
    ck_assert(child_aborts(destroy_with_an_entry, area));
    empty_and_destroy(area);
}
END_TEST

int main(void)
{
    return suite_run("area", an_entry_gives_back_what_was_put_into_it,
                     an_area_of_a_terabyte_costs_less_than_a_mebibyte,
                     sizes_beyond_the_address_space_are_refused,
                     put_returns_what_was_there_and_an_empty_chunk_goes_back,
                     a_chunk_that_goes_back_is_not_resident_any_more, a_refused_put_changes_nothing,
                     the_counters_add_up, clearing_takes_exactly_the_range_in_bounded_steps,
                     clearing_an_unused_terabyte_is_quick, threads_get_each_entry_back_once,
                     our_own_mistakes_stop_the_program);
}
