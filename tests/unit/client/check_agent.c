/* SPDX-License-Identifier: BSD-3-Clause
 * The agent in a program of its own, led through its life; here we are the pager. */
#include "client/agent/agent_link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/base/suite.h"

enum { PAGES = 8, PAGE = 4096, PATIENCE_MS = 5000 };

struct subject {
    struct agent_door door;
    struct agent_guest guest;
    struct agent_link link;
    pid_t pid;
    FILE *to, *from;
    int errors; /* what it writes to stderr */
    uint64_t memory;
};

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, PATIENCE_MS) == 1;
}

static void start_process(struct subject *subject)
{
    int in[2], out[2], errors[2];
    ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
              pipe2(errors, O_CLOEXEC) == 0);
    char variable[AGENT_VARIABLE_BYTES];
    agent_door_variable(&subject->door, variable);
    subject->pid = fork();
    if (subject->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(errors[1], 2);
        setenv("LD_PRELOAD", getenv("FARPAGE_AGENT_LIBRARY"), 1);
        setenv(AGENT_VARIABLE, variable, 1);
        execl(getenv("FARPAGE_SUBJECT"), getenv("FARPAGE_SUBJECT"), NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(errors[1]);
    subject->to = fdopen(in[1], "w");
    subject->from = fdopen(out[0], "r");
    subject->errors = errors[0];
}

static void take_guest(struct subject *subject)
{
    ck_assert(readable(subject->door.fd));
    int socket = agent_door_answer(&subject->door);
    ck_assert(readable(socket));
    ck_assert(agent_door_hear(&subject->door, socket, &subject->guest));
    ck_assert_int_eq(subject->guest.hello.error, 0);
}

static void read_address(struct subject *subject, uint64_t *address)
{
    void *pointer;
    char line[64];
    ck_assert_ptr_nonnull(fgets(line, sizeof line, subject->from));
    ck_assert_int_eq(sscanf(line, "%p", &pointer), 1);
    *address = (uint64_t)(uintptr_t)pointer;
}

static void tell(struct subject *subject, char word)
{
    fputc(word, subject->to);
    fflush(subject->to);
}

static void expect(struct subject *subject, const char *line)
{
    char said[64] = "";
    ck_assert_ptr_nonnull(fgets(said, sizeof said, subject->from));
    ck_assert_str_eq(said, line);
}

static void ask_for_features(int uffd, uint64_t features)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    ck_assert_int_eq(ioctl(uffd, UFFDIO_API, &api), 0);
}

static void start(struct subject *subject, uint64_t features)
{
    *subject = (struct subject){0};
    ck_assert_int_eq(agent_door_open(&subject->door, AGENT_BY_CALL), 0);
    start_process(subject);
    take_guest(subject);
    ck_assert_int_eq(subject->guest.pid, subject->pid);
    ck_assert_uint_eq(subject->guest.hello.fork, 0);
    ck_assert_uint_gt(subject->guest.hello.own_to, subject->guest.hello.own_from);
    ask_for_features(subject->guest.gifts[0], features);
    ck_assert_int_eq(agent_link_open(&subject->link, &subject->guest, 1, -1), 0);
    read_address(subject, &subject->memory);
}

static int end(struct subject *subject)
{
    int status;
    fclose(subject->to);
    ck_assert_int_eq(waitpid(subject->pid, &status, 0), subject->pid);
    fclose(subject->from);
    close(subject->errors);
    agent_link_close(&subject->link);
    close(subject->guest.gifts[0]);
    agent_door_close(&subject->door);
    return status;
}

static struct agent_order run(struct subject *subject, struct agent_order order)
{
    struct agent_order done = {0};
    *agent_link_order(&subject->link) = order;
    agent_link_give(&subject->link);
    while (!agent_link_done(&subject->link, &done)) {
        if (agent_link_listen(&subject->link)) ck_assert(readable(subject->link.bell));
        agent_link_hush(&subject->link);
    }
    ck_assert_uint_eq(agent_link_under_way(&subject->link), 0);
    return done;
}

static void watch(int uffd, uint64_t from, uint64_t bytes)
{
    struct uffdio_register range = {.range = {from, bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    ck_assert_int_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
}

static struct agent_wish await_wish(struct subject *subject)
{
    struct agent_wish wish;
    while (!agent_link_wish(&subject->link, &wish)) {
        ck_assert(readable(subject->link.bell));
        agent_link_hush(&subject->link);
    }
    return wish;
}

/* --- orders --------------------------------------------------------------------------------- */

/* What the pager registers: staging with the program's userfaultfd, and what is behind it. */
static void set_stage(struct subject *subject)
{
    int *gifts = subject->guest.gifts;
    uint64_t stage = subject->guest.hello.stage_from;
    ask_for_features(gifts[AGENT_GIFT_TRASH], 0);
    watch(gifts[AGENT_GIFT_UFFD], stage, AGENT_STAGE_BYTES);
    watch(gifts[AGENT_GIFT_TRASH], stage + AGENT_STAGE_BYTES, AGENT_TRASH_BYTES);
    watch(gifts[AGENT_GIFT_UFFD], subject->memory, PAGE * PAGES);
}

static bool lacks_move(const struct agent_order *order)
{
    return order->error == ENOTTY || (order->done == 0 && order->error == EINVAL); /* before 6.8 */
}

/* Also where the events of dropping are asked for, which nobody reads here. */
START_TEST(pages_go_to_the_stage_and_the_rest_is_told)
{
    struct subject s;
    struct agent_order order;
    start(&s, UFFD_FEATURE_EVENT_REMOVE);
    int uffd = s.guest.gifts[AGENT_GIFT_UFFD], trash = s.guest.gifts[AGENT_GIFT_TRASH];
    uint64_t stage = s.guest.hello.stage_from;
    set_stage(&s);
    order = (struct agent_order){.kind = AGENT_MOVE, .to = stage, .from = s.memory, .pages = 3};
    order = run(&s, order);
    if (lacks_move(&order)) {
        (void)end(&s);
        return;
    }
    ck_assert_int_eq(order.error, 0);
    ck_assert_uint_eq(order.done, 7);
    /* The first three are gone already; the rest goes, but what has no place. */
    order = (struct agent_order){.kind = AGENT_MOVE, .to = stage + PAGE, .from = s.memory,
                                 .pages = PAGES};
    order = run(&s, order);
    ck_assert_uint_eq(order.done, 0xf8);
    ck_assert_int_eq(order.error, ENOENT);
    uint8_t pages[PAGES * PAGE];
    struct iovec into = {pages, PAGE * 6}, from = {(void *)(uintptr_t)stage, PAGE * 3};
    ck_assert_int_eq(process_vm_readv(s.pid, &into, 1, &from, 1, 0), PAGE * 3);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(pages[i * PAGE + 17], 'a' + i);
    from = (struct iovec){(void *)(uintptr_t)(stage + 4 * PAGE), PAGE * 5};
    into = (struct iovec){pages + 3 * PAGE, PAGE * 5};
    ck_assert_int_eq(process_vm_readv(s.pid, &into, 1, &from, 1, 0), PAGE * 5);
    order = (struct agent_order){.kind = AGENT_DROP, .from = stage, .pages = 16};
    ck_assert_uint_eq(run(&s, order).done, 0xffff);
    tell(&s, 'v'); /* waits for what we have */
    ck_assert(readable(uffd));
    struct uffdio_copy copy = {.dst = s.memory, .src = (uint64_t)(uintptr_t)pages,
                               .len = PAGES * PAGE};
    ck_assert_int_eq(ioctl(uffd, UFFDIO_COPY, &copy), 0);
    expect(&s, "intact\n");
    close(trash);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

/* An address may be something else's by the time that the pager reads so: a page of that is none of
 * those that were to be taken. */
START_TEST(nothing_moves_while_an_event_is_to_be_read)
{
    struct subject s;
    struct uffd_msg event;
    start(&s, UFFD_FEATURE_EVENT_REMOVE);
    int uffd = s.guest.gifts[AGENT_GIFT_UFFD], trash = s.guest.gifts[AGENT_GIFT_TRASH];
    struct agent_order order = {.kind = AGENT_MOVE, .to = s.guest.hello.stage_from,
                                .from = s.memory, .pages = 3};
    set_stage(&s);
    tell(&s, 'd');
    ck_assert(readable(uffd));
    struct agent_order said = run(&s, order);
    ck_assert_uint_eq(said.done, 0);
    if (!lacks_move(&said)) {
        ck_assert_int_eq(said.error, EAGAIN);
        ck_assert_int_eq(read(uffd, &event, sizeof event), sizeof event);
        ck_assert_int_eq(event.event, UFFD_EVENT_REMOVE);
        expect(&s, "dropped\n");
        ck_assert_uint_eq(run(&s, order).done, 7);
    }
    close(trash);
    (void)end(&s);
}
END_TEST

/* The page that was to be dropped is gone with its mapping, and what the program has there now is
 * its own: neither while the unmapping is still to be read of, nor after, is that dropped. */
START_TEST(what_is_mapped_anew_is_not_dropped)
{
    struct subject s;
    struct uffd_msg event;
    start(&s, UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP |
                  UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    int uffd = s.guest.gifts[AGENT_GIFT_UFFD];
    struct uffdio_register range = {.range = {s.memory, PAGE * PAGES},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING |
                                            UFFDIO_REGISTER_MODE_WP};
    ck_assert_int_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
    struct agent_order order = {.kind = AGENT_DROP, .from = s.memory, .pages = 1};
    tell(&s, 'r');
    ck_assert(readable(uffd));
    ck_assert_int_eq(run(&s, order).error, EAGAIN);
    ck_assert_int_eq(read(uffd, &event, sizeof event), sizeof event);
    ck_assert_int_eq(event.event, UFFD_EVENT_UNMAP);
    expect(&s, "unmapped\n");
    tell(&s, 'n');
    expect(&s, "mapped\n");
    struct agent_order said = run(&s, order);
    ck_assert_int_eq(said.error, ENOENT);
    ck_assert_uint_eq(said.done, 0);
    tell(&s, 'v');
    expect(&s, "intact\n");
    close(s.guest.gifts[AGENT_GIFT_TRASH]);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

/* Of pages side by side those that are not ours stay, the others go; each waits to be read of. */
START_TEST(of_a_run_only_what_is_ours_is_dropped)
{
    struct subject s;
    start(&s, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
    int uffd = s.guest.gifts[AGENT_GIFT_UFFD];
    struct uffdio_register range = {.range = {s.memory + PAGE, PAGE * 2},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING |
                                            UFFDIO_REGISTER_MODE_WP};
    ck_assert_int_eq(ioctl(uffd, UFFDIO_REGISTER, &range), 0);
    struct agent_order order = {.kind = AGENT_DROP, .from = s.memory, .pages = 5};
    struct agent_order said = run(&s, order);
    ck_assert_uint_eq(said.done, 6);
    ck_assert_int_eq(said.error, ENOENT);
    close(s.guest.gifts[AGENT_GIFT_TRASH]);
    (void)end(&s);
}
END_TEST

START_TEST(a_page_that_is_lost_is_a_bus_error)
{
    struct subject s;
    start(&s, 0);
    struct agent_order order = {.kind = AGENT_LOSE, .from = s.memory + PAGE, .pages = 1};
    ck_assert_uint_eq(run(&s, order).done, 1);
    tell(&s, 'v');
    int status = end(&s);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}
END_TEST

START_TEST(what_cannot_be_done_is_an_error)
{
    struct subject s;
    start(&s, 0);
    struct agent_order order = {.kind = AGENT_DROP, .from = s.memory + 1, .pages = 1};
    ck_assert_int_eq(run(&s, order).error, EINVAL);
    order = (struct agent_order){.kind = 77, .pages = 64};
    ck_assert_int_eq(run(&s, order).error, EINVAL);
    order = (struct agent_order){.kind = AGENT_MOVE, .to = s.memory, .from = 4096, .pages = 64};
    order = run(&s, order);
    ck_assert_uint_eq(order.done, 0);
    ck_assert_int_ne(order.error, 0);
    tell(&s, 'v');
    expect(&s, "intact\n");
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(many_orders_are_done_in_their_order)
{
    struct subject s;
    struct agent_order done;
    start(&s, 0);
    for (uint32_t i = 0; i < AGENT_ORDERS; i++) {
        struct agent_order *order = agent_link_order(&s.link);
        ck_assert_ptr_nonnull(order);
        *order = (struct agent_order){.kind = AGENT_DROP, .from = s.guest.hello.stage_from,
                                      .pages = 1 + i % 64};
    }
    ck_assert_ptr_null(agent_link_order(&s.link));
    agent_link_give(&s.link);
    for (uint32_t i = 0; i < AGENT_ORDERS;) {
        if (!agent_link_done(&s.link, &done)) continue;
        ck_assert_uint_eq(done.pages, 1 + i % 64);
        ck_assert_int_eq(__builtin_popcountll(done.done), 1 + (int)i % 64);
        i++;
    }
    ck_assert(!agent_link_done(&s.link, &done));
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

/* --- what a program may do to us ------------------------------------------------------------ */

START_TEST(a_ring_that_lies_is_not_believed)
{
    struct subject s;
    struct agent_order done;
    start(&s, 0);
    atomic_store(&s.link.ring->done, 5); /* of none */
    ck_assert(!agent_link_done(&s.link, &done));
    atomic_store(&s.link.ring->done, 0);
    struct agent_order order = {.kind = AGENT_DROP, .from = s.memory, .pages = 2};
    *agent_link_order(&s.link) = order;
    agent_link_give(&s.link);
    while (atomic_load(&s.link.ring->done) == 0) continue;
    s.link.ring->orders[0].done = UINT64_MAX;
    s.link.ring->orders[0].error = INT32_MIN;
    s.link.ring->orders[0].pages = 1u << 30;
    ck_assert(agent_link_done(&s.link, &done));
    ck_assert_uint_eq(done.done, 3);
    ck_assert_uint_eq(done.pages, 2);
    ck_assert_int_eq(done.error, EIO);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(who_does_not_know_the_token_is_not_let_in)
{
    struct agent_door door;
    struct agent_guest guest;
    ck_assert_int_eq(agent_door_open(&door, AGENT_BY_CALL), 0);
    ck_assert_int_eq(agent_door_answer(&door), -1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, door.path, strlen(door.path));
    struct agent_hello hello = {.magic = AGENT_MAGIC, .version = AGENT_VERSION};
    for (int way = 0; way < 5; way++) {
        memcpy(hello.token, door.token, sizeof hello.token);
        hello.version = AGENT_VERSION + (way == 1);
        hello.token[15] ^= way == 0;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        size_t bytes = way == 2 ? sizeof hello - 1 : sizeof hello;
        if (way != 3) ck_assert_int_eq(send(fd, &hello, bytes, 0), (ssize_t)bytes);
        if (way == 4) shutdown(fd, SHUT_RDWR); /* is let in, and found to be gone later */
        ck_assert_int_eq(agent_door_hear(&door, agent_door_answer(&door), &guest), way == 4);
        if (way == 4) agent_guest_refuse(&guest, AGENT_LEFT);
        close(fd);
    }
    agent_door_close(&door);
    ck_assert_int_ne(access(door.folder, F_OK), 0);
}
END_TEST

/* --- lives ---------------------------------------------------------------------------------- */

START_TEST(a_program_ends_with_its_pager_and_says_so)
{
    struct subject s;
    char line[256] = "";
    int status;
    start(&s, 0);
    agent_link_close(&s.link);
    uint64_t begun = clock_monotonic_ns();
    ck_assert_int_eq(waitpid(s.pid, &status, 0), s.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ck_assert_uint_lt(clock_monotonic_ns() - begun, 3000000000ull);
    ck_assert_int_gt(read(s.errors, line, sizeof line - 1), 0);
    ck_assert_msg(strstr(line, "farpage: the pager is gone") != NULL, "%s", line);
    s.pid = fork(); /* for end() to wait for */
    if (s.pid == 0) _exit(0);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(a_refused_program_runs_on_without_us)
{
    struct subject s = {0};
    ck_assert_int_eq(agent_door_open(&s.door, AGENT_BY_CALL), 0);
    start_process(&s);
    take_guest(&s);
    agent_guest_refuse(&s.guest, AGENT_LEFT);
    s.link = (struct agent_link){.socket = -1, .bell = -1};
    read_address(&s, &s.memory);
    tell(&s, 'f');
    expect(&s, "child 7\n");
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(another_program_in_the_same_process_comes_in_anew)
{
    struct subject s;
    start(&s, 0);
    tell(&s, 'x');
    ck_assert(readable(s.link.socket)); /* hung up */
    agent_link_close(&s.link);
    close(s.guest.gifts[0]);
    take_guest(&s);
    ck_assert_int_eq(s.guest.pid, s.pid);
    ask_for_features(s.guest.gifts[0], 0);
    ck_assert_int_eq(agent_link_open(&s.link, &s.guest, 2, -1), 0);
    read_address(&s, &s.memory);
    tell(&s, 'v');
    expect(&s, "intact\n");
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

/* Freeze, fork, thaw and the child's own hello; `uffd` is what the kernel gave, or -1. */
static void lead_through_a_fork(struct subject *s, int *uffd)
{
    tell(s, 'f');
    struct agent_wish wish = await_wish(s);
    ck_assert_uint_eq(wish.kind, AGENT_ASK_FREEZE);
    ck_assert_uint_eq(wish.fork, 1);
    agent_link_answer(&s->link);
    struct uffd_msg message;
    if (*uffd == -1) {
        ck_assert(readable(s->guest.gifts[0]));
        ck_assert_int_eq(read(s->guest.gifts[0], &message, sizeof message), sizeof message);
        ck_assert_uint_eq(message.event, UFFD_EVENT_FORK);
        *uffd = (int)message.arg.fork.ufd;
    }
    ck_assert_uint_eq(await_wish(s).kind, AGENT_ASK_THAW);
    agent_link_answer(&s->link);
}

START_TEST(a_forked_child_comes_in_with_what_the_kernel_gave)
{
    struct subject s, child;
    int uffd = -1;
    start(&s, UFFD_FEATURE_EVENT_FORK);
    watch(s.guest.gifts[0], s.memory, PAGE * PAGES);
    lead_through_a_fork(&s, &uffd);
    child = s;
    take_guest(&child);
    ck_assert_uint_eq(child.guest.hello.parent, 1);
    ck_assert_uint_eq(child.guest.hello.fork, 1);
    ck_assert_int_ne(child.guest.pid, s.pid);
    ck_assert_int_eq(agent_link_open(&child.link, &child.guest, 2, uffd), 0);
    expect(&s, "child 7\n");
    ck_assert(readable(child.link.socket));
    agent_link_close(&child.link);
    close(uffd);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(a_forked_child_brings_its_own_where_the_kernel_gives_none)
{
    struct subject s, child;
    int none = -2;
    start(&s, 0);
    lead_through_a_fork(&s, &none);
    child = s;
    take_guest(&child);
    ck_assert_int_ge(child.guest.gifts[0], 0);
    ck_assert_uint_eq(child.guest.hello.fork, 1);
    ask_for_features(child.guest.gifts[0], 0);
    watch(child.guest.gifts[0], s.memory, PAGE * PAGES); /* from here, on memory that is there */
    ck_assert_int_eq(agent_link_open(&child.link, &child.guest, 2, -1), 0);
    expect(&s, "child 7\n");
    agent_link_close(&child.link);
    close(child.guest.gifts[0]);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(a_child_that_cannot_run_on_does_not)
{
    struct subject s, child;
    int none = -2;
    start(&s, 0);
    lead_through_a_fork(&s, &none);
    child = s;
    take_guest(&child);
    agent_guest_refuse(&child.guest, AGENT_UNWANTED);
    expect(&s, "child -9\n");
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

START_TEST(large_allocations_are_announced_where_that_is_wanted)
{
    struct subject s;
    uint64_t address;
    start(&s, 0);
    tell(&s, 'm');
    read_address(&s, &address);
    agent_link_announce(&s.link, 256);
    tell(&s, 'm');
    struct agent_wish wish = await_wish(&s);
    ck_assert_uint_eq(wish.kind, AGENT_ASK_MAPPED);
    ck_assert_uint_ge(wish.bytes, 1 << 20);
    ck_assert_uint_eq(wish.from % PAGE, 0);
    struct pollfd silent = {.fd = fileno(s.from), .events = POLLIN};
    ck_assert_int_eq(poll(&silent, 1, 50), 0); /* it waits for us */
    agent_link_answer(&s.link);
    read_address(&s, &address);
    ck_assert_uint_le(wish.from, address);
    ck_assert_uint_gt(wish.from + wish.bytes, address);
    agent_link_announce(&s.link, 0);
    ck_assert_int_eq(end(&s), 0);
}
END_TEST

int main(void)
{
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    if (uffd < 0) {
        printf("skipped: no userfaultfd: %s\n", strerror(errno));
        return 77;
    }
    close(uffd);
    return suite_run(
        "agent", pages_go_to_the_stage_and_the_rest_is_told,
        nothing_moves_while_an_event_is_to_be_read, what_is_mapped_anew_is_not_dropped,
        of_a_run_only_what_is_ours_is_dropped, a_page_that_is_lost_is_a_bus_error,
        what_cannot_be_done_is_an_error, many_orders_are_done_in_their_order,
        a_ring_that_lies_is_not_believed, who_does_not_know_the_token_is_not_let_in,
        a_program_ends_with_its_pager_and_says_so, a_refused_program_runs_on_without_us,
        another_program_in_the_same_process_comes_in_anew,
        a_forked_child_comes_in_with_what_the_kernel_gave,
        a_forked_child_brings_its_own_where_the_kernel_gives_none,
        a_child_that_cannot_run_on_does_not,
        large_allocations_are_announced_where_that_is_wanted);
}
