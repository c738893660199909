/* SPDX-License-Identifier: BSD-3-Clause */
#include "storage/alloc/idpool.h"

#include <pthread.h>

#include "storage/alloc/pages.h"
#include "tests/unit/base/suite.h"
#include "tests/unit/storage/child.h"
#include "tests/unit/storage/kit.h"

enum { CELL_BYTES = 40, CELLS = 1000, THREADS = 4 };

START_TEST(every_number_is_handed_out_once_and_starts_as_zeros)
{
    struct budget budget;
    struct idpool pool;
    bool seen[CELLS] = {false};
    static const uint8_t zeros[CELL_BYTES];
    uint32_t id;
    budget_init(&budget, UINT64_MAX);
    ck_assert(idpool_init(&pool, &budget, CELL_BYTES, CELLS));
    for (unsigned i = 0; i < CELLS; i++) {
        ck_assert(idpool_take(&pool, &id));
        ck_assert(id < CELLS && !seen[id]);
        seen[id] = true;
        ck_assert_mem_eq(idpool_cell(&pool, id), zeros, CELL_BYTES);
        memset(idpool_cell(&pool, id), 0xff, CELL_BYTES);
    }
    ck_assert(!idpool_take(&pool, &id));
    ck_assert(budget_held(&budget, BUDGET_ALLOCATOR) == CELLS * CELL_BYTES);
    ck_assert(idpool_held_bytes(&pool) == CELLS * CELL_BYTES);
    idpool_fini(&pool);
    ck_assert(budget_total(&budget) == 0);
}
END_TEST

START_TEST(a_number_given_back_is_handed_out_before_a_new_one)
{
    struct budget budget;
    struct idpool pool;
    uint32_t ids[3], id;
    budget_init(&budget, UINT64_MAX);
    ck_assert(idpool_init(&pool, &budget, 8, CELLS));
    for (unsigned i = 0; i < 3; i++) ck_assert(idpool_take(&pool, &ids[i]));
    idpool_give(&pool, ids[1]);
    idpool_give(&pool, ids[0]);
    ck_assert(idpool_take(&pool, &id));
    ck_assert_uint_eq(id, ids[0]);
    ck_assert(idpool_take(&pool, &id));
    ck_assert_uint_eq(id, ids[1]);
    ck_assert(budget_total(&budget) == 24);
    ck_assert(idpool_take(&pool, &id));
    ck_assert(budget_total(&budget) == 32);
    idpool_fini(&pool);
}
END_TEST

START_TEST(a_refusal_of_the_budget_costs_no_number)
{
    struct budget budget;
    struct idpool pool;
    uint32_t id;
    budget_init(&budget, 2 * CELL_BYTES);
    ck_assert(idpool_init(&pool, &budget, CELL_BYTES, CELLS));
    ck_assert(idpool_take(&pool, &id));
    ck_assert(idpool_take(&pool, &id));
    ck_assert(!idpool_take(&pool, &id));
    ck_assert(idpool_held_bytes(&pool) == 2 * CELL_BYTES);
    idpool_give(&pool, 0);
    ck_assert(idpool_take(&pool, &id) && id == 0);
    idpool_fini(&pool);
    ck_assert(budget_total(&budget) == 0);
}
END_TEST

START_TEST(a_pool_of_two_to_the_32_costs_nothing_until_used)
{
    struct budget budget;
    struct idpool pool;
    uint32_t id;
    budget_init(&budget, UINT64_MAX);
    uint64_t before = kit_process_pages();
    ck_assert(idpool_init(&pool, &budget, 8, UINT32_MAX - 1));
    ck_assert(idpool_take(&pool, &id));
    ck_assert(kit_process_pages() < before + 64);
    idpool_fini(&pool);
}
END_TEST

struct shared {
    struct idpool pool;
    _Atomic uint32_t owners[8]; /* how many threads believe that a number is theirs */
};

/* So few numbers that threads meet at the head of the list all the time, which is where a stack
 * without a count would hand one number out twice. */
static void *take_and_give(void *argument)
{
    enum { ROUNDS = 40000 };
    struct shared *shared = argument;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t ids[2];
        unsigned count = 0;
        while (count < 2 && idpool_take(&shared->pool, &ids[count])) count++;
        for (unsigned k = 0; k < count; k++) {
            if (atomic_fetch_add(&shared->owners[ids[k]], 1) != 0) return NULL;
            atomic_store((_Atomic uint64_t *)idpool_cell(&shared->pool, ids[k]), UINT64_MAX);
        }
        for (unsigned k = 0; k < count; k++) {
            if (atomic_fetch_sub(&shared->owners[ids[k]], 1) != 1) return NULL;
            idpool_give(&shared->pool, ids[k]);
        }
    }
    return argument;
}

START_TEST(threads_never_share_a_number)
{
    static struct shared shared;
    struct budget budget;
    pthread_t threads[THREADS];
    budget_init(&budget, UINT64_MAX);
    ck_assert(idpool_init(&shared.pool, &budget, 8, 8));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, &shared), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, &shared);
    }
    uint64_t held = idpool_held_bytes(&shared.pool);
    ck_assert(budget_total(&budget) == held);
    for (uint64_t i = 0; i < held / 8; i++) { /* none is lost either */
        uint32_t id;
        ck_assert(idpool_take(&shared.pool, &id));
        ck_assert(atomic_fetch_add(&shared.owners[id], 1) == 0);
    }
    ck_assert(idpool_held_bytes(&shared.pool) == held);
    idpool_fini(&shared.pool);
}
END_TEST

static void give_what_was_never_taken(void *argument)
{
    idpool_give(argument, 5);
}

START_TEST(giving_what_was_never_taken_stops_the_program)
{
    struct budget budget;
    struct idpool pool;
    budget_init(&budget, UINT64_MAX);
    ck_assert(idpool_init(&pool, &budget, 8, CELLS));
    ck_assert(child_aborts(give_what_was_never_taken, &pool));
    idpool_fini(&pool);
}
END_TEST

int main(void)
{
    return suite_run("idpool", every_number_is_handed_out_once_and_starts_as_zeros,
                     a_number_given_back_is_handed_out_before_a_new_one,
                     a_refusal_of_the_budget_costs_no_number,
                     a_pool_of_two_to_the_32_costs_nothing_until_used, threads_never_share_a_number,
                     giving_what_was_never_taken_stops_the_program);
}
