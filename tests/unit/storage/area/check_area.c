/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/area/area_look.h"

#include <pthread.h>

#include "storage/alloc/pages.h"
#include "storage/alloc/zpool_backend.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { ROW_BYTES = AREA_ROW_SLOTS * 8, THREADS = 4 };

static struct budget budget;
static struct tenants tenants;
static struct arena *arena;
static struct zpool *zpool;
static struct area *current; /* the test's, whose own cost slot_bytes() leaves out */

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    tenants_init(&tenants);
    ck_assert_int_eq(arena_create(&budget, 1 << 18, &arena), FP_OK);
    struct zpool_options options = {.arena = arena, .budget = &budget};
    ck_assert_int_eq(zpool_create(kit_allocator(), &options, &zpool), FP_OK);
}

static void teardown(void)
{
    zpool_check(zpool);
    ck_assert(budget_held(&budget, BUDGET_SLOTS) == 0);
    ck_assert(budget_held(&budget, BUDGET_PAYLOAD) == 0);
    zpool_destroy(&zpool);
    arena_destroy(&arena);
    ck_assert(budget_total(&budget) == 0);
}

static struct area *area_with(struct area_options options, uint64_t limit_bytes)
{
    struct area *area = NULL;
    options.name = slice_text("swap0");
    options.page_bytes = 4096;
    options.generation = 9;
    options.budget = &budget;
    options.tenants = &tenants;
    setup(limit_bytes);
    ck_assert_int_eq(area_create(zpool, &options, &area), FP_OK);
    return current = area;
}

static struct area *area_of(uint64_t slots, uint64_t limit_bytes)
{
    return area_with((struct area_options){.slot_count = slots}, limit_bytes);
}

static struct stored value(uint32_t word)
{
    uint64_t bits = entry_value(word, 0xabcdef00);
    struct stored stored = {.name = {.what = ZVALUE, .value = bits}};
    ck_assert_int_eq(zpool_alloc_value(zpool, bits, &stored.handle), FP_OK);
    return stored;
}

static struct stored object(enum entry_form form, uint32_t size)
{
    uint32_t note = entry_note(form, 3, 0x12345678);
    size += entry_head_bytes(form);
    struct stored stored = {.name = {.what = ZOBJECT, .note = note, .size_bytes = size}};
    ck_assert_int_eq(zpool_alloc(zpool, size, note, &stored.handle), FP_OK);
    return stored;
}

static struct zname put(struct area *area, uint64_t slot, struct stored next)
{
    struct zname old;
    ck_assert_int_eq(area_put(area, slot, &next, &old), FP_OK);
    ck_assert(next.handle.number == 0);
    return old;
}

static uint32_t word_of(struct zname name)
{
    ck_assert_int_eq(name.what, ZVALUE);
    return (uint32_t)entry_value_word(name.value);
}

static struct zname get(struct area *area, uint64_t slot)
{
    area_slot_take(area, slot);
    struct zname name = zpool_look(zpool, area_handle_locked(area, slot));
    area_slot_drop(area, slot);
    return name;
}

static bool is_empty(struct area *area, uint64_t slot)
{
    return get(area, slot).what == ZNOTHING;
}

static struct zname clear(struct area *area, uint64_t slot)
{
    struct zname ended = {0};
    uint64_t at = slot;
    while (at <= slot) (void)area_clear_some(area, &at, slot + 1, &ended, 1);
    return ended;
}

static void empty_and_destroy(struct area *area)
{
    struct zname ended[64];
    area_check(area);
    for (uint64_t slot = 0; slot < area->slot_count;)
        (void)area_clear_some(area, &slot, area->slot_count, ended, 64);
    area_check(area);
    ck_assert(atomic_load(&area->counters.stored) == 0);
    ck_assert(atomic_load(&area->counters.packed_bytes) == 0);
    ck_assert(atomic_load(&area->counters.same_filled) == 0);
    ck_assert(atomic_load(&area->counters.incompressible) == 0);
    area_destroy(&area);
    ck_assert_ptr_null(area);
    teardown();
}

static uint64_t slot_bytes(void)
{
    return budget_held(&budget, BUDGET_SLOTS) - area_held_bytes(current);
}

static uint64_t resident_table_pages(void)
{
    void *cells = (void *)(uintptr_t)zpool->cells.row_cells;
    return kit_resident_pages(cells, zpool->cells.row_bytes);
}

START_TEST(notes_and_values_give_back_what_was_put_into_them)
{
    struct rng rng = {.state = 1};
    for (int i = 0; i < 100000; i++) {
        uint32_t crc = (uint32_t)rng_next(&rng), word = (uint32_t)rng_next(&rng);
        uint32_t other = crc ^ 4u << rng_below(&rng, 30); /* the lowest two bits are not kept */
        uint8_t seat = (uint8_t)rng_next(&rng);
        enum entry_form form = (enum entry_form)rng_below(&rng, 3); /* those with a head */
        uint32_t note = entry_note(form, seat, crc);
        ck_assert(note >> ZPOOL_NOTE_BITS == 0);
        ck_assert(entry_form(note) == form && entry_seat(note) == seat);
        ck_assert(entry_note_matches(note, entry_head(crc), crc));
        ck_assert(!entry_note_matches(note, entry_head(crc), other));
        uint64_t bits = entry_value(word, crc);
        ck_assert(bits >> ZPOOL_VALUE_BITS == 0);
        ck_assert(entry_value_word(bits) == (word | (uint64_t)word << 32));
        ck_assert(entry_value_matches(bits, crc) && !entry_value_matches(bits, other));
        note = entry_note(ENTRY_WHOLE, 0, crc);
        ck_assert(entry_form(note) == ENTRY_WHOLE && note >> ZPOOL_NOTE_BITS == 0);
        ck_assert(entry_note_matches(note, 0, crc));
        ck_assert(!entry_note_matches(note, 0, crc ^ 1024u << rng_below(&rng, 22)));
    }
}
END_TEST

START_TEST(an_area_of_a_terabyte_costs_less_than_a_mebibyte)
{
    uint64_t slots = 1ull << 28;
    struct area *area = area_of(slots, UINT64_MAX);
    for (uint64_t i = 0; i < 8; i++) put(area, i * (slots / 8) + 5, value((uint32_t)i));
    ck_assert(slot_bytes() == 8 * ROW_BYTES && resident_table_pages() <= 16);
    uint64_t table_bytes = area->row_count / AREA_TABLE_ROWS * AREA_TABLE_BYTES;
    ck_assert(kit_resident_pages(area->table, table_bytes) <= 8);
    ck_assert(area_held_bytes(area) == sizeof *area + 8 * AREA_TABLE_BYTES);
    for (uint64_t slot = 0; slot < slots; slot += AREA_ROW_SLOTS) ck_assert(is_empty(area, slot));
    ck_assert(word_of(get(area, slots / 8 + 5)) == 1);
    empty_and_destroy(area);
}
END_TEST

START_TEST(sizes_beyond_the_address_space_are_refused)
{
    static const uint64_t slots[] = {UINT64_MAX, 1ull << 62, (1ull << 62) + 1024, 1ull << 58};
    setup(UINT64_MAX);
    for (size_t i = 0; i < FP_COUNT_OF(slots); i++) {
        struct area *area = NULL;
        struct area_options options = {
            .name = slice_text("much"), .slot_count = slots[i], .budget = &budget};
        ck_assert_int_eq(area_create(zpool, &options, &area), FP_NO_MEMORY);
        ck_assert_ptr_null(area);
    }
    teardown();
}
END_TEST

START_TEST(put_returns_what_was_there_and_an_empty_row_goes_back)
{
    struct area *area = area_of(3000, UINT64_MAX);
    ck_assert_str_eq(area->name, "swap0");
    ck_assert(area->generation == 9 && area->page_bytes == 4096 && area->slot_count == 3000);
    ck_assert(clear(area, 2999).what == ZNOTHING && slot_bytes() == 0);
    ck_assert(put(area, 2999, value(1)).what == ZNOTHING);
    ck_assert(word_of(put(area, 2999, value(2))) == 1);
    ck_assert(slot_bytes() == ROW_BYTES);
    put(area, 2998, value(3));
    ck_assert(word_of(clear(area, 2999)) == 2 && slot_bytes() == ROW_BYTES);
    ck_assert(word_of(clear(area, 2998)) == 3 && slot_bytes() == 0);
    ck_assert(is_empty(area, 2999));
    put(area, 2999, value(4)); /* the row that comes back is a clean one */
    ck_assert(is_empty(area, 2998));
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_row_that_goes_back_is_not_resident_any_more)
{
    enum { ROWS = 64 };
    struct area *area = area_of(AREA_ROW_SLOTS * ROWS, UINT64_MAX);
    for (uint64_t slot = 0; slot < area->slot_count; slot++)
        put(area, slot, value((uint32_t)slot));
    ck_assert(resident_table_pages() == ROWS * 2);
    for (uint64_t slot = 0; slot < area->slot_count; slot++)
        if (slot / AREA_ROW_SLOTS % 2) clear(area, slot);
    ck_assert(resident_table_pages() == ROWS);
    ck_assert(slot_bytes() == ROWS / 2 * ROW_BYTES);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_refused_put_changes_nothing)
{
    uint64_t own = sizeof(struct area) + AREA_TABLE_BYTES;
    struct area *area = area_of(4096, own + ROW_BYTES + 64);
    put(area, 7, value(1));
    struct stored next = value(2);
    struct zname old;
    ck_assert_int_eq(area_put(area, 2000, &next, &old), FP_NO_MEMORY);
    ck_assert(next.handle.number != 0 && is_empty(area, 2000));
    ck_assert(atomic_load(&area->counters.stored) == 1 && slot_bytes() == ROW_BYTES);
    ck_assert_int_eq(area_put(area, 8, &next, &old), FP_OK);
    empty_and_destroy(area);
}
END_TEST

START_TEST(the_counters_add_up)
{
    struct area *area = area_of(5000, UINT64_MAX);
    struct area_counters *counters = &area->counters;
    put(area, 0, object(ENTRY_PACKED, 1000));
    put(area, 1, object(ENTRY_WHOLE, 4096));
    put(area, 2, value(0));
    put(area, 3, object(ENTRY_PACKED, 500));
    put(area, 4, object(ENTRY_WORD, 8));
    area_check(area);
    ck_assert(atomic_load(&counters->stored) == 5);
    ck_assert(atomic_load(&counters->same_filled) == 2);
    ck_assert(atomic_load(&counters->incompressible) == 1);
    ck_assert(atomic_load(&counters->packed_bytes) == 5596);
    put(area, 0, value(1));
    put(area, 1, object(ENTRY_PACKED, 100));
    clear(area, 3);
    clear(area, 4);
    ck_assert(atomic_load(&counters->stored) == 3);
    ck_assert(atomic_load(&counters->same_filled) == 2);
    ck_assert(atomic_load(&counters->incompressible) == 0);
    ck_assert(atomic_load(&counters->packed_bytes) == 100);
    empty_and_destroy(area);
}
END_TEST

START_TEST(clearing_takes_exactly_the_range_in_bounded_steps)
{
    struct area *area = area_of(10 * AREA_ROW_SLOTS, UINT64_MAX);
    struct zname ended[100];
    bool seen[10 * AREA_ROW_SLOTS] = {false};
    uint64_t slot = 100, end = 3 * AREA_ROW_SLOTS + 50;
    unsigned steps = 0, total = 0;
    for (uint32_t s = 0; s < area->slot_count; s += 3) put(area, s, value(s));
    while (slot < end) {
        uint64_t before = slot;
        unsigned count = area_clear_some(area, &slot, end, ended, 100);
        ck_assert(count <= 100 && slot > before && slot <= end);
        ck_assert(before / AREA_ROW_SLOTS == (slot - 1) / AREA_ROW_SLOTS); /* one row */
        for (unsigned i = 0; i < count; i++) seen[word_of(ended[i])] = true;
        total += count;
        steps++;
    }
    ck_assert(slot == end && steps >= total / 100);
    for (uint64_t s = 0; s < area->slot_count; s++) {
        bool stored = s % 3 == 0, in_range = s >= 100 && s < end;
        ck_assert(seen[s] == (stored && in_range));
        ck_assert(!is_empty(area, s) == (stored && !in_range));
    }
    empty_and_destroy(area);
}
END_TEST

START_TEST(clearing_an_unused_terabyte_is_quick)
{
    struct area *area = area_of(1ull << 28, UINT64_MAX);
    struct zname ended[64];
    uint64_t slot = 0, steps = 0, found = 0;
    put(area, 123456789, value(1));
    while (slot < area->slot_count) {
        found += area_clear_some(area, &slot, area->slot_count, ended, 64);
        steps++;
    }
    ck_assert(found == 1 && steps <= area->row_count + 1);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_row_tells_what_it_holds_and_whether_it_changed)
{
    struct area *area = area_of(AREA_ROW_SLOTS * 3 + 5, UINT64_MAX);
    struct area_row_look look;
    struct zname ended[4];
    uint64_t slot = 0, at = AREA_ROW_SLOTS * 2 + 9;
    ck_assert(!area_look_row(area, &slot, &look));
    ck_assert(slot == area->slot_count);

    put(area, at, value(1));
    put(area, AREA_ROW_SLOTS * 3 + 4, value(2));
    slot = 3;
    ck_assert(area_look_row(area, &slot, &look));
    ck_assert(look.first == AREA_ROW_SLOTS * 2 && slot == AREA_ROW_SLOTS * 3);
    ck_assert_uint_eq(look.used_slots, 1);
    ck_assert_uint_eq(look.used[1], 1u << 1);
    uint32_t before = look.changes;
    ck_assert(area_look_row(area, &slot, &look));
    ck_assert(look.used_slots == 1 && look.used[0] == 1u << 4 && slot == area->slot_count);
    ck_assert(!area_look_row(area, &slot, &look));

    /* Emptied it is told all the same: a copy of it must be emptied, too. */
    ck_assert_uint_eq(area_clear_some(area, &(uint64_t){at}, at + 1, ended, 4), 1);
    slot = at;
    ck_assert(area_look_row(area, &slot, &look));
    ck_assert(look.used_slots == 0 && look.used[1] == 0 && look.changes != before);
    before = look.changes;
    put(area, at, value(3));
    put(area, at, value(4)); /* overwritten is changed */
    slot = at;
    ck_assert(area_look_row(area, &slot, &look));
    ck_assert_uint_eq(look.changes, before + 2);
    empty_and_destroy(area);
}
END_TEST

static enum fp_status try_put(struct area *area, uint64_t slot, struct stored next)
{
    struct zname old;
    enum fp_status status = area_put(area, slot, &next, &old);
    if (next.handle.number != 0) (void)zpool_free(zpool, &next.handle);
    return status;
}

START_TEST(a_quota_of_pages_is_kept_and_overwriting_goes_on)
{
    struct area *area =
        area_with((struct area_options){.slot_count = 5000, .quota_pages = 2}, UINT64_MAX);
    ck_assert_int_eq(try_put(area, 0, value(1)), FP_OK);
    ck_assert_int_eq(try_put(area, 4000, object(ENTRY_PACKED, 70)), FP_OK);
    ck_assert_int_eq(try_put(area, 1, value(1)), FP_QUOTA);
    ck_assert_int_eq(try_put(area, 2500, value(1)), FP_QUOTA); /* nor is a row left behind */
    ck_assert(slot_bytes() == 2 * ROW_BYTES && is_empty(area, 1));
    ck_assert_int_eq(try_put(area, 0, object(ENTRY_PACKED, 900)), FP_OK);
    clear(area, 4000);
    ck_assert_int_eq(try_put(area, 1, value(1)), FP_OK);
    ck_assert(atomic_load(&area->counters.stored) == 2);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_quota_of_bytes_is_kept_and_what_does_not_grow_goes_on)
{
    struct area *area =
        area_with((struct area_options){.slot_count = 5000, .quota_bytes = 1000}, UINT64_MAX);
    ck_assert_int_eq(try_put(area, 0, object(ENTRY_PACKED, 600)), FP_OK);
    ck_assert_int_eq(try_put(area, 1, object(ENTRY_PACKED, 401)), FP_QUOTA);
    ck_assert_int_eq(try_put(area, 1, object(ENTRY_PACKED, 400)), FP_OK);
    ck_assert_int_eq(try_put(area, 2, object(ENTRY_PACKED, 1)), FP_QUOTA);
    ck_assert_int_eq(try_put(area, 2, value(7)), FP_OK); /* has no bytes */
    ck_assert_int_eq(try_put(area, 0, object(ENTRY_PACKED, 601)), FP_QUOTA);
    ck_assert_int_eq(try_put(area, 0, object(ENTRY_PACKED, 600)), FP_OK);
    ck_assert_int_eq(try_put(area, 0, object(ENTRY_PACKED, 599)), FP_OK);
    ck_assert_int_eq(try_put(area, 2, object(ENTRY_PACKED, 1)), FP_OK);
    ck_assert(atomic_load(&area->counters.packed_bytes) == 1000);
    area_check(area);
    empty_and_destroy(area);
}
END_TEST

START_TEST(a_put_that_memory_refuses_gives_its_quota_back)
{
    uint64_t own = sizeof(struct area) + AREA_TABLE_BYTES;
    struct area *area = area_with((struct area_options){.slot_count = 4096, .quota_pages = 2},
                                  own + ROW_BYTES + 64);
    ck_assert_int_eq(try_put(area, 0, value(1)), FP_OK);
    ck_assert_int_eq(try_put(area, 2000, value(1)), FP_NO_MEMORY);
    ck_assert(atomic_load(&area->counters.stored) == 1);
    ck_assert_int_eq(try_put(area, 1, value(1)), FP_OK);
    empty_and_destroy(area);
}
END_TEST

START_TEST(nothing_is_put_into_a_deleted_area)
{
    struct area *area = area_of(5000, UINT64_MAX);
    put(area, 1, value(1));
    ck_assert(area_delete(area) && !area_delete(area));
    ck_assert_int_eq(try_put(area, 1, value(2)), FP_LOST);
    ck_assert_int_eq(try_put(area, 2, value(2)), FP_LOST);
    ck_assert(word_of(clear(area, 1)) == 1);
    empty_and_destroy(area);
}
END_TEST

START_TEST(an_area_that_the_budget_refuses_is_not_made)
{
    struct area *area = NULL;
    struct area_options options = {
        .name = slice_text("a"), .slot_count = 9, .budget = &budget};
    setup(sizeof(struct area) - 1);
    ck_assert_int_eq(area_create(zpool, &options, &area), FP_NO_MEMORY);
    ck_assert_ptr_null(area);
    teardown();
}
END_TEST

struct writer {
    pthread_t thread;
    struct area *area;
    uint64_t number, balance; /* pages put minus pages that were ended */
};

static void *put_and_clear(void *argument)
{
    enum { STEPS = 20000 };
    struct writer *writer = argument;
    struct rng rng = {.state = writer->number};
    struct zname ended[16], old;
    for (uint64_t i = 0; i < STEPS; i++) {
        uint64_t slot = rng_below(&rng, writer->area->slot_count);
        if (rng_below(&rng, 4) > 0) {
            struct stored next = i % 2 ? value((uint32_t)i)
                                       : object(ENTRY_PACKED, 1 + (uint32_t)(slot % 200));
            enum fp_status status = area_put(writer->area, slot, &next, &old);
            if (status == FP_OK) writer->balance += old.what == ZNOTHING;
            else zpool_free(zpool, &next.handle);
        } else {
            uint64_t end = slot + 40;
            if (end > writer->area->slot_count) end = writer->area->slot_count;
            writer->balance -= area_clear_some(writer->area, &slot, end, ended, 16);
        }
    }
    return NULL;
}

START_TEST(threads_end_each_page_once)
{
    struct area *area = area_of(AREA_ROW_SLOTS * 70, 60 * ROW_BYTES + (17 << 20));
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
    empty_and_destroy(area);
}
END_TEST

static void *store_up_to_the_quota(void *argument)
{
    enum { STEPS = 20000 };
    struct writer *writer = argument;
    struct rng rng = {.state = writer->number};
    const struct area_counters *counters = &writer->area->counters;
    for (uint64_t i = 0; i < STEPS; i++) {
        uint64_t slot = rng_below(&rng, writer->area->slot_count);
        if (rng_below(&rng, 5) == 0) {
            clear(writer->area, slot);
        } else {
            uint32_t size = 1 + (uint32_t)rng_below(&rng, 300);
            (void)try_put(writer->area, slot, object(ENTRY_PACKED, size));
        }
        writer->balance += atomic_load(&counters->stored) > writer->area->quota_pages ||
                           atomic_load(&counters->packed_bytes) > writer->area->quota_bytes;
    }
    return NULL;
}

START_TEST(threads_never_pass_a_quota_together)
{
    struct area_options options = {
        .slot_count = AREA_ROW_SLOTS * 8, .quota_pages = 300, .quota_bytes = 30000};
    struct area *area = area_with(options, UINT64_MAX);
    struct writer writers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.area = area, .number = i};
        ck_assert_int_eq(
            pthread_create(&writers[i].thread, NULL, store_up_to_the_quota, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(writers[i].thread, NULL), 0);
        ck_assert_uint_eq(writers[i].balance, 0);
    }
    ck_assert(atomic_load(&area->counters.packed_bytes) > 20000); /* the quota was in reach */
    empty_and_destroy(area);
}
END_TEST

static void take_beyond_the_end(void *argument)
{
    area_slot_take(argument, ((struct area *)argument)->slot_count);
}

static void destroy_with_a_page(void *argument)
{
    struct area *area = argument;
    put(area, 1, value(1));
    area_destroy(&area);
}

START_TEST(our_own_mistakes_stop_the_program)
{
    struct area *area = area_of(100, UINT64_MAX);
    ck_assert(child_aborts(take_beyond_the_end, area));
    ck_assert(child_aborts(destroy_with_a_page, area));
    empty_and_destroy(area);
}
END_TEST

int main(void)
{
    return suite_run("area", notes_and_values_give_back_what_was_put_into_them,
                     an_area_of_a_terabyte_costs_less_than_a_mebibyte,
                     sizes_beyond_the_address_space_are_refused,
                     put_returns_what_was_there_and_an_empty_row_goes_back,
                     a_row_that_goes_back_is_not_resident_any_more, a_refused_put_changes_nothing,
                     the_counters_add_up, clearing_takes_exactly_the_range_in_bounded_steps,
                     clearing_an_unused_terabyte_is_quick,
                     a_row_tells_what_it_holds_and_whether_it_changed, threads_end_each_page_once,
                     a_quota_of_pages_is_kept_and_overwriting_goes_on,
                     a_quota_of_bytes_is_kept_and_what_does_not_grow_goes_on,
                     a_put_that_memory_refuses_gives_its_quota_back,
                     nothing_is_put_into_a_deleted_area,
                     an_area_that_the_budget_refuses_is_not_made,
                     threads_never_pass_a_quota_together,
                     our_own_mistakes_stop_the_program);
}
