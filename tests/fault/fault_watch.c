/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Watchers, and counts by prefix, played with their first allocation failing, then their second,
 * and so on. Proven each time: who cannot watch is told so and nobody else is touched; a prefix
 * that cannot be counted is not there; nothing is left behind, in memory or in the budget. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "server/measure/prefixes.h"
#include "server/watch/watch.h"
#include "tests/fault/fault.h"

enum { WATCHERS = 3, PREFIXES = 40 };

static struct budget budget;

static void watch(void)
{
    struct watchers watchers;
    struct watcher *all[WATCHERS] = {NULL};
    unsigned open = 0;
    watchers_init(&watchers);
    watchers.budget = &budget;
    for (unsigned i = 0; i < WATCHERS; i++) {
        enum fp_status status = watcher_open(&watchers, WATCH_FETCHERS, &all[i]);
        fp_assert(status == FP_OK || (status == FP_NO_MEMORY && all[i] == NULL));
        open += status == FP_OK;
    }
    fp_assert(watchers_count(&watchers) == open);
    watch_tell(&watchers, WATCH_FETCHERS, "type=item_get");
    fp_assert(atomic_load(&watchers.sent) == open);
    for (unsigned i = 0; i < WATCHERS; i++) watcher_close(&watchers, &all[i]);
    watchers_fini(&watchers);
}

static void count_row(void *context, const struct prefix_row *row)
{
    fp_assert(row->sets == 1 || row->sets == 2);
    ++*(unsigned *)context;
}

static void count_prefixes(void)
{
    struct prefixes prefixes;
    unsigned rows = 0;
    prefixes_init(&prefixes);
    prefixes.budget = &budget;
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < PREFIXES; i++) {
            char key[16];
            snprintf(key, sizeof key, "p%d:", i);
            prefixes_note(&prefixes, slice_text(key), PREFIX_SET);
        }
    }
    prefixes_each(&prefixes, count_row, &rows);
    fp_assert(rows <= PREFIXES);
    prefixes_fini(&prefixes);
}

static void play(void)
{
    budget_init(&budget, 1ull << 30);
    watch();
    count_prefixes();
    fp_assert(budget_total(&budget) == 0);
}

int main(void)
{
    for (int for_good = 0; for_good < 2; for_good++) {
        uint64_t allocations = fault_each(play, for_good);
        fp_assert(allocations >= WATCHERS + PREFIXES);
        printf("%d: %d allocations\n", for_good, (int)allocations);
    }
    return 0;
}
