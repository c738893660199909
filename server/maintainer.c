/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/maintainer.h"

#include <stdlib.h>

#include "base/clock.h"

enum { REAP_STEPS_PER_TICK = 8, EVICTIONS_PER_TICK = 4096 };
static const struct timeval tick_every = {0, 50000};

struct maintainer {
    struct shared *shared;
    struct store_scratch *scratch;
    struct event *tick;
};

static void on_tick(evutil_socket_t fd, short what, void *opaque)
{
    (void)fd, (void)what;
    struct maintainer *maintainer = opaque;
    struct store *store = maintainer->shared->store;
    struct budget *budget = store_budget(store);
    maintainer->scratch->now_ms = shared_store_ms(maintainer->shared, clock_monotonic_ns());
    for (int i = 0; i < REAP_STEPS_PER_TICK; i++) store_reap_step(store, maintainer->scratch);
    for (int i = 0; i < EVICTIONS_PER_TICK && budget_total(budget) > budget_limit(budget); i++)
        if (!store_evict_one(store, maintainer->scratch)) break;
}

enum fp_status maintainer_create(struct shared *shared, struct event_base *base,
                                 struct maintainer **out)
{
    struct maintainer *maintainer = calloc(1, sizeof *maintainer);
    if (maintainer == NULL) return FP_NO_MEMORY;
    maintainer->shared = shared;
    maintainer->tick = event_new(base, -1, EV_PERSIST, on_tick, maintainer);
    if (maintainer->tick == NULL || store_scratch_create(&maintainer->scratch) != FP_OK ||
        event_add(maintainer->tick, &tick_every) != 0) {
        maintainer_destroy(&maintainer);
        return FP_NO_MEMORY;
    }
    *out = maintainer;
    return FP_OK;
}

void maintainer_destroy(struct maintainer **maintainer)
{
    if (*maintainer == NULL) return;
    if ((*maintainer)->tick != NULL) event_free((*maintainer)->tick);
    store_scratch_destroy(&(*maintainer)->scratch);
    free(*maintainer);
    *maintainer = NULL;
}
