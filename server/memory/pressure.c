/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/pressure.h"

#include "base/arith.h"

void pressure_init(struct pressure *pressure)
{
    *pressure = (struct pressure){.psi = {.fd = -1}};
    atomic_init(&pressure->limit_bytes, UINT64_MAX);
}

static uint64_t percent_of(uint64_t bytes, uint32_t percent)
{
    return bytes / 100 * percent;
}

static void lower(struct pressure *pressure, const struct pressure_view *view)
{
    uint64_t limit = min_u64(atomic_load(&pressure->limit_bytes), view->configured_bytes);
    uint64_t felt = min_u64(limit, view->held_bytes);
    uint64_t step = percent_of(view->configured_bytes, PRESSURE_DOWN_PERCENT);
    uint64_t floor = percent_of(view->configured_bytes, view->floor_percent);
    uint64_t next = max_u64(felt > step ? felt - step : 0, floor);
    if (next >= limit) return; /* it is at the floor */
    atomic_store(&pressure->limit_bytes, next);
    atomic_fetch_add(&pressure->lowered, 1);
}

static void raise(struct pressure *pressure, const struct pressure_view *view)
{
    uint64_t limit = atomic_load(&pressure->limit_bytes);
    if (limit == UINT64_MAX) return;
    uint64_t next = limit + view->configured_bytes / 1000 * PRESSURE_UP_PERMILLE + 1;
    atomic_store(&pressure->limit_bytes, next < view->configured_bytes ? next : UINT64_MAX);
    atomic_fetch_add(&pressure->raised, 1);
}

void pressure_look(struct pressure *pressure, const struct pressure_view *view)
{
    if (view->time_us == 0) return;
    uint64_t stalled = min_u64(view->stalled_us, view->time_us);
    uint32_t percent = (uint32_t)(stalled * 100 / view->time_us);
    atomic_store(&pressure->stalled_percent, percent);
    bool calm = 2 * percent < view->threshold_percent;
    pressure->calm_looks = calm ? pressure->calm_looks + 1 : 0;
    if (percent >= view->threshold_percent) lower(pressure, view);
    else if (pressure->calm_looks >= PRESSURE_CALM_LOOKS) raise(pressure, view);
}
