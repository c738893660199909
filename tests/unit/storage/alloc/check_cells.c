/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/cells.h"

#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { COUNT = 8 * ZPOOL_ROW_HANDLES, ROW_BYTES = ZPOOL_ROW_HANDLES * 8 };

static struct budget budget;
static struct cells cells;

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    ck_assert_int_eq(cells_init(&cells, &budget, COUNT), FP_OK);
}

static void teardown(void)
{
    ck_assert(budget_held(&budget, BUDGET_SLOTS) == 0);
    ck_assert(budget_held(&budget, BUDGET_ALLOCATOR) == cells_held_bytes(&cells));
    cells_fini(&cells);
    ck_assert(budget_total(&budget) == 0);
}

START_TEST(what_is_taken_names_nothing_even_the_second_time)
{
    struct zhandle handles[100];
    setup(UINT64_MAX);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 100; i++) {
            ck_assert(cells_take(&cells, &handles[i]));
            ck_assert(cells_load(&cells, handles[i].number) == ZNOTHING);
            cells_store(&cells, handles[i].number, cell_value(7));
        }
        for (int i = 0; i < 100; i++) {
            cells_store(&cells, handles[i].number, ZNOTHING);
            cells_give(&cells, handles[i]);
            ck_assert(cell_what(cells_load(&cells, handles[i].number)) == ZNOTHING);
        }
    }
    ck_assert(cells_held_bytes(&cells) == 100 * 8);
    teardown();
}
END_TEST

START_TEST(a_row_is_handles_in_order_and_goes_back_whole)
{
    struct zhandle rows[8], more;
    setup(UINT64_MAX);
    for (unsigned r = 0; r < 8; r++) {
        ck_assert(cells_row_take(&cells, &rows[r]));
        for (uint32_t i = 0; i < ZPOOL_ROW_HANDLES; i++) {
            ck_assert(cells_has(&cells, (struct zhandle){rows[r].number + i}));
            ck_assert(cells_load(&cells, rows[r].number + i) == ZNOTHING);
            cells_store(&cells, rows[r].number + i, cell_value(r * ZPOOL_ROW_HANDLES + i));
        }
    }
    ck_assert(!cells_row_take(&cells, &more));
    ck_assert(budget_held(&budget, BUDGET_SLOTS) == 8 * ROW_BYTES);
    for (unsigned r = 0; r < 8; r++)
        for (uint32_t i = 0; i < ZPOOL_ROW_HANDLES; i++) {
            uint64_t cell = cells_load(&cells, rows[r].number + i);
            ck_assert(cell == cell_value(r * ZPOOL_ROW_HANDLES + i));
            cells_store(&cells, rows[r].number + i, ZNOTHING);
        }
    void *at = (void *)(uintptr_t)cells.row_cells;
    ck_assert(kit_resident_pages(at, cells.row_bytes) == 16);
    for (unsigned r = 0; r < 8; r++) cells_row_give(&cells, rows[r]);
    ck_assert(kit_resident_pages(at, cells.row_bytes) == 0);
    teardown();
}
END_TEST

START_TEST(only_handles_that_were_given_out_are_there)
{
    struct zhandle single, row;
    setup(UINT64_MAX);
    ck_assert(cells_take(&cells, &single) && cells_row_take(&cells, &row));
    ck_assert(cells_has(&cells, single) && cells_has(&cells, row));
    static const uint32_t wrong[] = {0, 2, CELLS_SINGLES, UINT32_MAX};
    for (size_t i = 0; i < FP_COUNT_OF(wrong); i++)
        ck_assert(!cells_has(&cells, (struct zhandle){wrong[i]}));
    ck_assert(!cells_has(&cells, (struct zhandle){row.number + ZPOOL_ROW_HANDLES}));
    cells_give(&cells, single);
    cells_row_give(&cells, row);
    teardown();
}
END_TEST

START_TEST(an_object_keeps_its_note_when_it_moves)
{
    struct rng rng = {.state = 5};
    for (int i = 0; i < 10000; i++) {
        uint32_t note = (uint32_t)rng_below(&rng, 1 << ZPOOL_NOTE_BITS);
        uint64_t place = rng_below(&rng, 1ull << CELL_PLACE_BITS);
        uint64_t next = rng_below(&rng, 1ull << CELL_PLACE_BITS);
        uint64_t cell = cell_object(note, place), moved = cell_moved(cell, next);
        ck_assert(cell_what(cell) == ZOBJECT && cell_note(cell) == note);
        ck_assert(cell_place(cell) == place && cell_place(moved) == next);
        ck_assert(cell_what(moved) == ZOBJECT && cell_note(moved) == note);
    }
}
END_TEST

START_TEST(the_budget_may_refuse)
{
    struct zhandle handle = {0};
    setup(ROW_BYTES);
    ck_assert(!cells_row_take(&cells, &handle) && handle.number == 0); /* and 8 to tell it by */
    ck_assert(budget_total(&budget) == 0);
    budget_set_limit(&budget, 7);
    ck_assert(!cells_take(&cells, &handle) && handle.number == 0);
    teardown();
}
END_TEST

static void give_a_row_in_use(void *argument)
{
    struct zhandle *row = argument;
    cells_store(&cells, row->number + 3, cell_value(1));
    cells_row_give(&cells, *row);
}

static void give_a_handle_of_a_row(void *argument)
{
    cells_give(&cells, *(struct zhandle *)argument);
}

START_TEST(our_own_mistakes_stop_the_program)
{
    struct zhandle row;
    setup(UINT64_MAX);
    ck_assert(cells_row_take(&cells, &row));
    ck_assert(child_aborts(give_a_row_in_use, &row));
    ck_assert(child_aborts(give_a_handle_of_a_row, &row));
    cells_row_give(&cells, row);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("cells", what_is_taken_names_nothing_even_the_second_time,
                     a_row_is_handles_in_order_and_goes_back_whole,
                     only_handles_that_were_given_out_are_there,
                     an_object_keeps_its_note_when_it_moves, the_budget_may_refuse,
                     our_own_mistakes_stop_the_program);
}
