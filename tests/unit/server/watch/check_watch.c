/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/watch/watch.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/base/suite.h"

static struct budget budget;
static struct watchers watchers;

static void setup(uint64_t limit_bytes)
{
    budget_init(&budget, limit_bytes);
    watchers_init(&watchers);
    watchers.budget = &budget;
}

static void teardown(void)
{
    watchers_fini(&watchers);
    ck_assert_uint_eq(budget_total(&budget), 0);
}

static bool is_readable(const struct watcher *watcher)
{
    struct pollfd poll_fd = {.fd = watcher_fd(watcher), .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

/* All that waits, as one string for the caller to free. */
static char *take_all(struct watcher *watcher)
{
    struct output output;
    ck_assert(output_init(&output, NULL));
    while (is_readable(watcher)) watcher_take(&watchers, watcher, &output);
    struct slice bytes = output_contiguous(&output);
    char *text = calloc(1, bytes.size_bytes + 1);
    ck_assert_ptr_nonnull(text);
    if (bytes.size_bytes > 0) memcpy(text, bytes.bytes, bytes.size_bytes);
    output_fini(&output);
    return text;
}

static bool has(struct watcher *watcher, const char *needed)
{
    char *text = take_all(watcher);
    bool found = strstr(text, needed) != NULL;
    free(text);
    return found;
}

START_TEST(each_watcher_is_told_what_it_asked_for)
{
    struct watcher *reads, *both;
    setup(1 << 30);
    ck_assert(!watched(&watchers, WATCH_FETCHERS));
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &reads), FP_OK);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS | WATCH_EVICTIONS, &both), FP_OK);
    ck_assert(watched(&watchers, WATCH_EVICTIONS) && !watched(&watchers, WATCH_MUTATIONS));
    ck_assert(!is_readable(reads));
    watch_tell(&watchers, WATCH_EVICTIONS, "type=%s", "one");
    ck_assert(!is_readable(reads) && is_readable(both));
    watch_tell(&watchers, WATCH_FETCHERS, "type=two");
    ck_assert(has(reads, "gid=2 type=two\n"));
    char *text = take_all(both);
    ck_assert(strstr(text, "gid=1 type=one\nts=") != NULL && !is_readable(both));
    free(text);
    watcher_close(&watchers, &both);
    ck_assert(!watched(&watchers, WATCH_EVICTIONS) && watched(&watchers, WATCH_FETCHERS));
    watcher_close(&watchers, &reads);
    ck_assert(!watched(&watchers, WATCH_FETCHERS) && watchers_count(&watchers) == 0);
    teardown();
}
END_TEST

START_TEST(what_does_not_fit_is_lost_and_counted)
{
    struct watcher *watcher;
    unsigned told = 0, lines = 0;
    setup(1 << 30);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &watcher), FP_OK);
    while (atomic_load(&watchers.skipped) < 10) {
        watch_tell(&watchers, WATCH_FETCHERS, "type=item_get number=%u", told);
        told++;
    }
    char *text = take_all(watcher);
    ck_assert(strlen(text) <= WATCHER_RING_BYTES && strlen(text) > WATCHER_RING_BYTES - 200);
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
    ck_assert_uint_eq(lines + 10, told);
    ck_assert_uint_eq(lines, atomic_load(&watchers.sent));
    ck_assert_ptr_null(strstr(text, "skipped"));
    free(text);
    watch_tell(&watchers, WATCH_FETCHERS, "type=after");
    text = take_all(watcher);
    ck_assert(strncmp(text, "skipped=10\nts=", 14) == 0 && strstr(text, " type=after\n") != NULL);
    free(text);
    watcher_close(&watchers, &watcher);
    teardown();
}
END_TEST

START_TEST(there_may_be_so_many_watchers)
{
    struct watcher *all[WATCHERS_MAX], *more;
    setup(1 << 30);
    for (unsigned i = 0; i < WATCHERS_MAX; i++)
        ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &all[i]), FP_OK);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &more), FP_BUSY);
    watcher_close(&watchers, &all[7]);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &all[7]), FP_OK);
    for (unsigned i = 0; i < WATCHERS_MAX; i++) watcher_close(&watchers, &all[i]);
    teardown();
    setup(WATCHER_RING_BYTES); /* less than one takes: a few can see all the same why that is */
    for (unsigned i = 0; i < WATCHERS_ALWAYS; i++)
        ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &all[i]), FP_OK);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_FETCHERS, &more), FP_NO_MEMORY);
    for (unsigned i = 0; i < WATCHERS_ALWAYS; i++) watcher_close(&watchers, &all[i]);
    teardown();
}
END_TEST

enum { TELLERS = 3, TELLS = 5000 };

static void *tell_much(void *opaque)
{
    (void)opaque;
    for (int i = 0; i < TELLS; i++)
        if (watched(&watchers, WATCH_MUTATIONS))
            watch_tell(&watchers, WATCH_MUTATIONS, "type=item_store number=%d", i);
    return NULL;
}

/* Lines come whole and in the order of their numbers, or are counted as lost. */
START_TEST(many_tell_while_one_reads)
{
    pthread_t tellers[TELLERS];
    struct watcher *watcher;
    setup(1 << 30);
    ck_assert_int_eq(watcher_open(&watchers, WATCH_MUTATIONS, &watcher), FP_OK);
    for (int i = 0; i < TELLERS; i++)
        ck_assert_int_eq(pthread_create(&tellers[i], NULL, tell_much, NULL), 0);
    struct output output;
    ck_assert(output_init(&output, NULL));
    uint64_t told;
    do {
        told = atomic_load(&watchers.sent) + atomic_load(&watchers.skipped);
        watcher_take(&watchers, watcher, &output);
    } while (told < TELLERS * TELLS || is_readable(watcher));
    for (int i = 0; i < TELLERS; i++) pthread_join(tellers[i], NULL);
    struct slice bytes = output_contiguous(&output);
    unsigned long long last = 0, gid, lines = 0, skipped = 0, lost;
    for (const char *at = (const char *)bytes.bytes, *end = at + bytes.size_bytes; at < end;) {
        if (sscanf(at, "skipped=%llu", &lost) == 1) skipped += lost;
        else {
            ck_assert(sscanf(at, "ts=%*[0-9.] gid=%llu type=item_store", &gid) == 1 && gid > last);
            last = gid;
            lines++;
        }
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    }
    ck_assert_uint_eq(lines, atomic_load(&watchers.sent));
    ck_assert_uint_le(skipped, atomic_load(&watchers.skipped));
    output_fini(&output);
    watcher_close(&watchers, &watcher);
    teardown();
}
END_TEST

int main(void)
{
    return suite_run("watch", each_watcher_is_told_what_it_asked_for,
                     what_does_not_fit_is_lost_and_counted, there_may_be_so_many_watchers,
                     many_tell_while_one_reads);
}
