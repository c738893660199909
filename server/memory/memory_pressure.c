/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/memory/memory_pressure.h"

#include "base/clock.h"
#include "server/memory/memory_limit.h"

static void tell(struct shared *shared, const char *event)
{
    const struct pressure *pressure = &shared->pressure;
    log_event(shared->log, LOG_INFO, event,
              log_number("stalled_percent", atomic_load(&pressure->stalled_percent)),
              log_number("limit_bytes", budget_wanted(store_budget(shared->store))),
              log_number("held_bytes", budget_total(store_budget(shared->store))),
              log_text("source", pressure->psi.path));
}

static bool begin(struct shared *shared)
{
    struct pressure *pressure = &shared->pressure;
    if (psi_open(&pressure->psi)) {
        atomic_store(&pressure->watching, true);
        log_event(shared->log, LOG_INFO, "memory pressure is watched",
                  log_text("source", pressure->psi.path));
        return true;
    }
    if (!pressure->told_none)
        log_event(shared->log, LOG_WARN, "memory pressure cannot be watched: this kernel says "
                  "nothing of it", log_text("cure", "storage.pressure: off, or the option psi=1 of "
                  "the kernel"));
    pressure->told_none = true;
    return false;
}

void memory_pressure_end(struct shared *shared)
{
    struct pressure *pressure = &shared->pressure;
    psi_close(&pressure->psi);
    pressure->last_ns = 0;
    pressure->told_none = false;
    atomic_store(&pressure->watching, false);
    atomic_store(&pressure->limit_bytes, UINT64_MAX);
}

static void look(struct shared *shared, uint64_t stalled_us, uint64_t now_ns)
{
    struct pressure *pressure = &shared->pressure;
    const struct settings *settings = &shared->settings;
    struct pressure_view view = {
        .configured_bytes = atomic_load(&shared->limit_bytes),
        .held_bytes = budget_total(store_budget(shared->store)),
        .stalled_us = stalled_us - pressure->last_us,
        .time_us = (now_ns - pressure->last_ns) / 1000,
        .threshold_percent = atomic_load(&settings->pressure_stall_percent),
        .floor_percent = atomic_load(&settings->pressure_floor_percent)};
    bool was_lower = atomic_load(&pressure->limit_bytes) != UINT64_MAX;
    pressure_look(pressure, &view);
    memory_limit_apply(shared);
    bool is_lower = atomic_load(&pressure->limit_bytes) != UINT64_MAX;
    if (is_lower && !was_lower) tell(shared, "memory pressure: the limit goes down");
    if (was_lower && !is_lower) tell(shared, "memory pressure is over: the limit is what it was");
}

void memory_pressure_look(struct shared *shared)
{
    struct pressure *pressure = &shared->pressure;
    uint64_t stalled_us, now_ns = clock_monotonic_ns();
    if (atomic_load(&shared->settings.pressure) == CONFIG_SWITCH_OFF) {
        memory_pressure_end(shared);
        memory_limit_apply(shared);
        return;
    }
    if (pressure->psi.fd < 0 && !begin(shared)) return;
    if (!psi_stalled_us(&pressure->psi, &stalled_us)) { /* its cgroup is gone */
        psi_close(&pressure->psi);
        pressure->last_ns = 0;
        return;
    }
    if (pressure->last_ns != 0 && stalled_us >= pressure->last_us)
        look(shared, stalled_us, now_ns);
    pressure->last_us = stalled_us;
    pressure->last_ns = now_ns;
}
