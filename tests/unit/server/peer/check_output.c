/* SPDX-License-Identifier: BSD-3-Clause
 * Two outputs that share a desk, each with a socket whose other end the test reads. */
#include "server/peer/output.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/base/suite.h"

enum { PAIRS = 2, LARGE_BYTES = 3 * OUTPUT_DESK_BYTES };

struct end {
    struct output output;
    int fd, far_fd;
    uint64_t written, read; /* bytes so far; each byte tells its place */
};

static struct output_desk desk;
static struct end ends[PAIRS];
static uint8_t scratch[LARGE_BYTES];

static void setup(void)
{
    desk = (struct output_desk){.bytes = malloc(OUTPUT_DESK_BYTES)};
    ck_assert_ptr_nonnull(desk.bytes);
    for (int i = 0; i < PAIRS; i++) {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        ends[i] = (struct end){.fd = fds[0], .far_fd = fds[1]};
        ck_assert(output_init(&ends[i].output, &desk));
    }
}

static void teardown(void)
{
    for (int i = 0; i < PAIRS; i++) {
        output_fini(&ends[i].output);
        close(ends[i].fd);
        close(ends[i].far_fd);
    }
    free(desk.bytes);
}

static uint8_t byte_at(uint64_t place)
{
    return (uint8_t)(place * 2654435761u >> 13);
}

static void fill(struct end *end, uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++) at[i] = byte_at(end->written++);
}

static void add(struct end *end, size_t size)
{
    fill(end, scratch, size);
    output_add(&end->output, slice_of(scratch, size));
}

static void reserve(struct end *end, size_t size)
{
    uint8_t *at = output_reserve(&end->output, size + 100); /* more than is committed */
    ck_assert_ptr_nonnull(at);
    fill(end, at, size);
    output_commit(&end->output, size);
}

/* Reads what the socket holds: it must be what comes next. */
static void hear(struct end *end)
{
    ssize_t got;
    unsigned wrong = 0;
    while ((got = recv(end->far_fd, scratch, sizeof scratch, 0)) > 0)
        for (ssize_t i = 0; i < got; i++) wrong += scratch[i] != byte_at(end->read++);
    ck_assert_uint_eq(wrong, 0);
}

static void send_and_hear_all(struct end *end)
{
    while (output_pending(&end->output) > 0) {
        ck_assert_int_ge(output_send(&end->output, end->fd), 0);
        hear(end);
    }
    ck_assert_uint_eq(end->read, end->written);
}

START_TEST(what_is_sent_at_once_takes_no_memory_of_its_own)
{
    setup();
    add(&ends[0], 10);
    reserve(&ends[0], 4136);
    add(&ends[0], 0);
    ck_assert_uint_eq(output_pending(&ends[0].output), 4146);
    ck_assert_uint_eq(desk.used_bytes, 4146);
    ck_assert_int_eq(output_send(&ends[0].output, ends[0].fd), 4146);
    ck_assert_ptr_null(desk.user);
    hear(&ends[0]);
    ck_assert_uint_eq(ends[0].read, 4146);
    teardown();
}
END_TEST

START_TEST(what_the_socket_does_not_take_is_sent_later_in_order)
{
    setup();
    for (int round = 0; round < 20; round++) {
        reserve(&ends[0], 60000);
        add(&ends[0], 1);
        ck_assert_int_ge(output_send(&ends[0].output, ends[0].fd), 0);
        ck_assert_ptr_null(desk.user);
    }
    ck_assert_uint_gt(output_pending(&ends[0].output), 0);
    send_and_hear_all(&ends[0]);
    teardown();
}
END_TEST

START_TEST(two_at_one_desk_do_not_mix)
{
    setup();
    for (int round = 0; round < 50; round++) {
        add(&ends[0], 100);
        add(&ends[1], 33); /* the desk is taken */
        reserve(&ends[0], 50);
        reserve(&ends[1], 7);
        if (round % 3 == 0) send_and_hear_all(&ends[0]);
        add(&ends[1], 5000); /* the desk may be free, and it has bytes elsewhere */
        if (round % 4 == 0) send_and_hear_all(&ends[1]);
    }
    send_and_hear_all(&ends[1]);
    send_and_hear_all(&ends[0]);
    teardown();
}
END_TEST

START_TEST(more_than_the_desk_holds_goes_on_elsewhere)
{
    setup();
    add(&ends[0], 100);
    add(&ends[0], LARGE_BYTES);
    add(&ends[0], 100);
    reserve(&ends[0], OUTPUT_DESK_BYTES);
    ck_assert_ptr_null(desk.user);
    send_and_hear_all(&ends[0]);
    while (!output_is_due(&ends[0].output)) add(&ends[0], 1000);
    ck_assert_uint_lt(output_pending(&ends[0].output), OUTPUT_DESK_BYTES);
    send_and_hear_all(&ends[0]);
    teardown();
}
END_TEST

START_TEST(an_output_that_ends_leaves_the_desk)
{
    setup();
    add(&ends[0], 100);
    output_fini(&ends[0].output);
    ck_assert_ptr_null(desk.user);
    ck_assert(output_init(&ends[0].output, &desk));
    add(&ends[1], 100);
    ck_assert_ptr_eq(desk.user, &ends[1].output);
    send_and_hear_all(&ends[1]);
    close(ends[1].far_fd);
    add(&ends[1], 100);
    ck_assert_int_eq(output_send(&ends[1].output, ends[1].fd), -1);
    teardown();
}
END_TEST

START_TEST(all_that_is_pending_can_be_had_in_one_piece)
{
    setup();
    struct output lines;
    ck_assert(output_init(&lines, NULL));
    output_text(&lines, "one ");
    output_text(&lines, "two");
    ck_assert(slice_is(output_contiguous(&lines), "one two"));
    output_fini(&lines);
    add(&ends[0], 5);
    ck_assert_uint_eq(output_contiguous(&ends[0].output).size_bytes, 5);
    add(&ends[0], 5);
    send_and_hear_all(&ends[0]);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("output", what_is_sent_at_once_takes_no_memory_of_its_own,
                     what_the_socket_does_not_take_is_sent_later_in_order,
                     two_at_one_desk_do_not_mix,
                     more_than_the_desk_holds_goes_on_elsewhere,
                     an_output_that_ends_leaves_the_desk,
                     all_that_is_pending_can_be_had_in_one_piece);
}
