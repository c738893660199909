/* SPDX-License-Identifier: BSD-3-Clause
 * Many operations on the way at once: every one is answered, whatever the order, whatever the
 * sizes of the buffers between. */
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "client/include/farpage.h"
#include "tests/unit/client/fake_server.h"

enum { PAGES = 1500 };

struct scene {
    struct fake_server *server;
    struct farpage *client;
    struct farpage_area *area;
    uint32_t page_bytes;
    uint8_t *out, *back;
    struct farpage_op ops[PAGES];
};

static struct scene *set_scene(const struct fake_plan *plan)
{
    struct scene *scene = calloc(1, sizeof *scene);
    ck_assert_ptr_nonnull(scene);
    scene->server = fake_server_create(plan);
    struct farpage_options options = {.server = fake_server_address(scene->server),
                                      .timeout_ms = 50000, /* a deadlock takes longer */
                                      .flags = FARPAGE_NO_RECONNECT};
    ck_assert_int_eq(farpage_connect(&options, &scene->client), FARPAGE_OK);
    struct farpage_area_options size = {.slots = PAGES};
    ck_assert_int_eq(farpage_area_open(scene->client, "a", &size, &scene->area), FARPAGE_OK);
    scene->page_bytes = farpage_server(scene->client)->page_bytes;
    size_t bytes = (size_t)PAGES * scene->page_bytes;
    scene->out = malloc(bytes);
    scene->back = calloc(1, bytes);
    ck_assert(scene->out != NULL && scene->back != NULL);
    for (size_t i = 0; i < bytes; i++) scene->out[i] = (uint8_t)(i ^ i >> 11);
    return scene;
}

static void clear_scene(struct scene *scene)
{
    farpage_disconnect(&scene->client);
    fake_server_destroy(&scene->server);
    free(scene->out);
    free(scene->back);
    free(scene);
}

static enum farpage_status run(struct scene *scene, enum farpage_op_kind kind, uint32_t depth)
{
    uint8_t *pages = kind == FARPAGE_OP_STORE ? scene->out : scene->back;
    for (size_t i = 0; i < PAGES; i++) {
        scene->ops[i] = (struct farpage_op){
            .kind = kind, .slot = i, .count = 1, .page = pages + i * scene->page_bytes};
    }
    return farpage_batch(scene->area, scene->ops, PAGES, depth);
}

static void expect_all(const struct scene *scene, enum farpage_status status)
{
    for (size_t i = 0; i < PAGES; i++) {
        ck_assert_int_eq(scene->ops[i].status, status);
        ck_assert_uint_gt(scene->ops[i].latency_ns, 0);
    }
}

static void there_and_back(const struct fake_plan *plan, uint32_t depth)
{
    struct scene *scene = set_scene(plan);
    ck_assert_int_eq(run(scene, FARPAGE_OP_STORE, depth), FARPAGE_OK);
    expect_all(scene, FARPAGE_OK);
    ck_assert_int_eq(run(scene, FARPAGE_OP_LOAD, depth), FARPAGE_OK);
    expect_all(scene, FARPAGE_OK);
    ck_assert_mem_eq(scene->out, scene->back, (size_t)PAGES * scene->page_bytes);
    ck_assert_int_eq(run(scene, FARPAGE_OP_INVALIDATE, depth), FARPAGE_OK);
    expect_all(scene, FARPAGE_OK);
    ck_assert_int_eq(run(scene, FARPAGE_OP_LOAD, depth), FARPAGE_OK);
    expect_all(scene, FARPAGE_ABSENT);
    clear_scene(scene);
}

static const uint32_t depths[] = {0, 1, 2, 31, 1024, UINT32_MAX};

START_TEST(every_depth_brings_every_page_back)
{
    there_and_back(&(struct fake_plan){0}, depths[_i]);
}
END_TEST

START_TEST(replies_may_overtake_each_other)
{
    there_and_back(&(struct fake_plan){.mischief = FAKE_OVERTAKES}, depths[_i]);
}
END_TEST

START_TEST(large_pages_through_small_buffers_never_deadlock)
{
    struct fake_plan plan = {.receive_buffer_bytes = 4096, .page_bytes = 65536};
    there_and_back(&plan, 1024);
}
END_TEST

START_TEST(stores_and_loads_go_both_ways_at_once)
{
    struct scene *scene = set_scene(&(struct fake_plan){.receive_buffer_bytes = 4096});
    ck_assert_int_eq(run(scene, FARPAGE_OP_STORE, 0), FARPAGE_OK);
    for (size_t i = 0; i < PAGES; i += 2) {
        scene->ops[i].kind = FARPAGE_OP_LOAD;
        scene->ops[i].page = scene->back + i * scene->page_bytes;
    }
    ck_assert_int_eq(farpage_batch(scene->area, scene->ops, PAGES, 512), FARPAGE_OK);
    expect_all(scene, FARPAGE_OK);
    for (size_t i = 0; i < PAGES; i += 2) {
        size_t at = i * scene->page_bytes;
        ck_assert_mem_eq(scene->out + at, scene->back + at, scene->page_bytes);
    }
    clear_scene(scene);
}
END_TEST

START_TEST(bad_operations_are_answered_and_the_others_carried_out)
{
    struct scene *scene = set_scene(&(struct fake_plan){0});
    struct farpage_op ops[] = {
        {.kind = FARPAGE_OP_STORE, .slot = 1, .page = scene->out},
        {.kind = FARPAGE_OP_STORE, .slot = PAGES, .page = scene->out},
        {.kind = FARPAGE_OP_LOAD, .slot = 2, .page = scene->back},
        {.kind = FARPAGE_OP_LOAD, .slot = 3, .page = NULL},
        {.kind = (enum farpage_op_kind)9, .slot = 3, .page = scene->back},
        {.kind = FARPAGE_OP_INVALIDATE, .slot = 4, .count = PAGES},
        {.kind = FARPAGE_OP_INVALIDATE, .slot = 4, .count = 0},
    };
    ck_assert_int_eq(farpage_batch(scene->area, ops, 7, 3), FARPAGE_OK);
    ck_assert_int_eq(ops[0].status, FARPAGE_OK);
    ck_assert_int_eq(ops[1].status, FARPAGE_RANGE);
    ck_assert_int_eq(ops[2].status, FARPAGE_ABSENT);
    ck_assert_int_eq(ops[3].status, FARPAGE_INVALID);
    ck_assert_int_eq(ops[4].status, FARPAGE_INVALID);
    ck_assert_int_eq(ops[5].status, FARPAGE_RANGE);
    ck_assert_int_eq(ops[6].status, FARPAGE_OK);
    clear_scene(scene);
}
END_TEST

START_TEST(a_connection_that_ends_leaves_the_rest_disconnected)
{
    struct fake_plan plan = {.mischief = FAKE_CUT, .to = 5, .after = 100, .amount = 17};
    struct scene *scene = set_scene(&plan);
    ck_assert_int_eq(run(scene, FARPAGE_OP_STORE, 8), FARPAGE_DISCONNECTED);
    size_t answered = 0;
    for (size_t i = 0; i < PAGES; i++) {
        enum farpage_status status = scene->ops[i].status;
        ck_assert(status == FARPAGE_OK || status == FARPAGE_DISCONNECTED);
        answered += status == FARPAGE_OK;
    }
    ck_assert_uint_eq(answered, 100);
    ck_assert_int_eq(run(scene, FARPAGE_OP_STORE, 8), FARPAGE_DISCONNECTED);
    clear_scene(scene);
}
END_TEST

START_TEST(one_damaged_page_costs_no_other)
{
    struct fake_plan plan = {.mischief = FAKE_FLIPPED_BODY, .to = 6, .after = PAGES - 1};
    struct scene *scene = set_scene(&plan);
    ck_assert_int_eq(run(scene, FARPAGE_OP_STORE, 0), FARPAGE_OK);
    ck_assert_int_eq(run(scene, FARPAGE_OP_LOAD, 1), FARPAGE_OK);
    for (size_t i = 0; i < PAGES; i++) {
        bool last = i == PAGES - 1;
        ck_assert_int_eq(scene->ops[i].status, last ? FARPAGE_CORRUPT : FARPAGE_OK);
    }
    size_t last = (size_t)(PAGES - 1) * scene->page_bytes;
    for (size_t i = 0; i < scene->page_bytes; i++) ck_assert_uint_eq(scene->back[last + i], 0);
    ck_assert_int_eq(farpage_ping(scene->client, NULL), FARPAGE_OK);
    clear_scene(scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tcase = tcase_create("batch");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_depth_brings_every_page_back, 0, 6);
    tcase_add_loop_test(tcase, replies_may_overtake_each_other, 0, 6);
    tcase_add_test(tcase, large_pages_through_small_buffers_never_deadlock);
    tcase_add_test(tcase, stores_and_loads_go_both_ways_at_once);
    tcase_add_test(tcase, bad_operations_are_answered_and_the_others_carried_out);
    tcase_add_test(tcase, a_connection_that_ends_leaves_the_rest_disconnected);
    tcase_add_test(tcase, one_damaged_page_costs_no_other);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
