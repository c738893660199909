/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The limits of a count are years of counting away, so this test looks inside: it is compiled with
 * the module and begins just below them. */
#include "base/percpu_ref.c"

#include "suite.h"

static struct percpu_refs *refs;
static struct percpu_thread *self;
static struct percpu_ref ref;
static unsigned released;

static void count_release(struct percpu_ref *dead, void *context)
{
    (void)dead, (void)context;
    released++;
}

static void open_all(void)
{
    released = 0;
    ck_assert(percpu_refs_create(1, &refs) == FP_OK);
    ck_assert(percpu_thread_create(refs, &self) == FP_OK);
    ck_assert(percpu_ref_init(&ref, refs, count_release, NULL) == FP_OK);
}

static void close_all(void)
{
    percpu_ref_fini(&ref);
    percpu_thread_destroy(&self);
    percpu_refs_destroy(&refs);
}

static void drop_shared(uint64_t count)
{
    subtract_shared(&ref, count);
}

START_TEST(a_full_slot_moves_to_the_shared_count)
{
    open_all();
    atomic_store(&self->slots[0], INT32_MAX - 1);
    for (int i = 0; i < 3; i++) ck_assert(percpu_ref_tryget_live(&ref, self));
    ck_assert_int_eq(atomic_load(&self->slots[0]), 2);
    ck_assert(percpu_ref_count(&ref) == (uint64_t)INT32_MAX + 2);
    atomic_store(&self->slots[0], INT32_MIN + 1);
    for (int i = 0; i < 3; i++) percpu_ref_put(&ref, self);
    ck_assert_int_eq(atomic_load(&self->slots[0]), -2);
    atomic_store(&self->slots[0], 3); /* INT32_MAX + INT32_MIN + 3 - 2 */
    ck_assert(percpu_ref_count(&ref) == 2);
    percpu_ref_put(&ref, self);
    percpu_ref_put(&ref, self);
    percpu_ref_kill(&ref);
    percpu_refs_reap(refs);
    ck_assert_uint_eq(released, 1);
    close_all();
}
END_TEST

START_TEST(a_live_count_that_is_full_fails_the_get_and_counts_nothing)
{
    open_all();
    atomic_fetch_add(&ref.word, PERCPU_REF_COUNT_MAX - 1);
    ck_assert(percpu_ref_get(&ref, NULL));
    ck_assert(!percpu_ref_get(&ref, NULL) && !percpu_ref_tryget_live(&ref, NULL));
    atomic_store(&self->slots[0], INT32_MAX);
    for (int i = 0; i < 2; i++) {
        ck_assert(!percpu_ref_get(&ref, self));
        ck_assert(!percpu_ref_tryget(&ref, self));
        ck_assert(!percpu_ref_tryget_live(&ref, self));
        ck_assert(percpu_ref_count(&ref) == PERCPU_REF_COUNT_MAX + INT32_MAX);
    }
    percpu_ref_put(&ref, self); /* a put never fails */
    ck_assert(percpu_ref_count(&ref) == PERCPU_REF_COUNT_MAX + INT32_MAX - 1);
    ck_assert_int_eq(atomic_load(&self->slots[0]), INT32_MAX - 1); /* and there is room again */
    ck_assert(percpu_ref_get(&ref, self));
    atomic_store(&self->slots[0], 0);
    drop_shared(PERCPU_REF_COUNT_MAX);
    close_all();
}
END_TEST

START_TEST(a_dead_count_that_is_full_fails_the_get_and_is_released_at_zero)
{
    open_all();
    atomic_fetch_add(&ref.word, PERCPU_REF_COUNT_MAX - 5);
    atomic_store(&self->slots[0], 5);
    percpu_ref_kill(&ref);
    percpu_refs_reap(refs);
    ck_assert(percpu_ref_count(&ref) == PERCPU_REF_COUNT_MAX);
    ck_assert(!percpu_ref_get(&ref, self) && !percpu_ref_tryget(&ref, NULL));
    percpu_ref_put(&ref, self);
    ck_assert(percpu_ref_get(&ref, self));
    ck_assert(!percpu_ref_get(&ref, self));
    drop_shared(PERCPU_REF_COUNT_MAX - 1);
    percpu_refs_reap(refs);
    ck_assert_uint_eq(released, 0);
    percpu_ref_put(&ref, self);
    percpu_refs_reap(refs);
    ck_assert_uint_eq(released, 1);
    close_all();
}
END_TEST

START_TEST(a_thread_suspended_within_holds_up_the_switch_and_not_the_reaper)
{
    open_all();
    struct percpu_thread *suspended;
    ck_assert(percpu_thread_create(refs, &suspended) == FP_OK);
    uint64_t section = section_enter(suspended); /* it has seen the ref live */
    percpu_ref_kill(&ref);
    for (int i = 0; i < 3; i++) ck_assert_uint_eq(percpu_refs_reap(refs), 0);
    ck_assert(!percpu_ref_is_zero(&ref));
    ck_assert(add_slot(&ref, &suspended->slots[0], 1) == COUNTED);
    section_leave(suspended, section);
    section = section_enter(suspended); /* it is within again, but has been out */
    ck_assert_uint_eq(percpu_refs_reap(refs), 0);
    ck_assert(refs->places[0].phase == SWITCHED && percpu_ref_count(&ref) == 1);
    section_leave(suspended, section);
    percpu_ref_put(&ref, self);
    ck_assert_uint_eq(percpu_refs_reap(refs), 1);
    percpu_thread_destroy(&suspended);
    close_all();
}
END_TEST

START_TEST(a_kill_undone_and_repeated_waits_for_a_grace_period_of_its_own)
{
    open_all();
    struct percpu_thread *suspended;
    ck_assert(percpu_thread_create(refs, &suspended) == FP_OK);
    uint64_t section = section_enter(suspended);
    percpu_ref_kill(&ref);
    percpu_refs_reap(refs); /* the grace period waits for `suspended` */
    ck_assert(percpu_ref_resurrect(&ref));
    section_leave(suspended, section);
    section = section_enter(suspended); /* and again it has seen the ref live */
    percpu_ref_kill(&ref);
    percpu_refs_reap(refs); /* ends the first grace period */
    percpu_refs_reap(refs);
    ck_assert(refs->places[0].phase == GRACE && released == 0);
    section_leave(suspended, section);
    ck_assert_uint_eq(percpu_refs_reap(refs), 1);
    percpu_thread_destroy(&suspended);
    close_all();
}
END_TEST

int main(void)
{
    return suite_run("percpu_ref_limits", a_full_slot_moves_to_the_shared_count,
                     a_live_count_that_is_full_fails_the_get_and_counts_nothing,
                     a_dead_count_that_is_full_fails_the_get_and_is_released_at_zero,
                     a_thread_suspended_within_holds_up_the_switch_and_not_the_reaper,
                     a_kill_undone_and_repeated_waits_for_a_grace_period_of_its_own);
}
