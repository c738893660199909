/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/measure/slow.h"

#include "base/arith.h"

/* Where all are slow, ten show as much as all. */
static const struct log_pace at_times = {10, 10000000000};

static void tell(struct shared *shared, const struct conn_row *row,
                 const struct latency_timing *timing, uint64_t now_ns)
{
    uint64_t skipped, known_ns = 0;
    const struct latency_parts *parts = &timing->parts;
    if (!log_gate_pass(&shared->gates[GATE_OPERATION], at_times, now_ns, &skipped)) return;
    known_ns = min_u64(parts->lock_ns + parts->pack_ns + parts->evict_ns, timing->spent_ns);
    uint64_t waited_ns = now_ns - timing->begun_ns - timing->spent_ns;
    log_event(shared->log, LOG_WARN, "slow request",
              log_text("operation", operation_name(timing->operation)),
              log_text("peer", row->peer), log_number("us", timing->spent_ns / 1000),
              log_number("lock_us", parts->lock_ns / 1000),
              log_number("pack_us", parts->pack_ns / 1000),
              log_number("evict_us", parts->evict_ns / 1000),
              log_number("rest_us", (timing->spent_ns - known_ns) / 1000),
              log_number("waited_us", waited_ns / 1000),
              log_number("queued_us", timing->queued_ns / 1000),
              log_number("not_shown", skipped));
}

void reply_waits(struct shared *shared, const struct conn_row *row, uint64_t *since_ns,
                 bool pending, uint64_t now_ns)
{
    uint64_t skipped, slow_ns = setting(&shared->settings.slow_requests_ns);
    uint64_t waited_ns = *since_ns != 0 ? now_ns - *since_ns : 0;
    if (pending && *since_ns == 0) *since_ns = now_ns;
    if (pending || *since_ns == 0) return;
    *since_ns = 0;
    if (waited_ns < slow_ns || slow_ns == 0) return;
    if (!log_gate_pass(&shared->gates[GATE_SENDING], at_times, now_ns, &skipped)) return;
    log_event(shared->log, LOG_WARN, "slow reader", log_text("peer", row->peer),
              log_number("us", waited_ns / 1000), log_number("not_shown", skipped));
}

void operation_over(struct dispatcher *dispatcher, const struct conn_row *row,
                    struct latency_timing *timing, uint64_t now_ns)
{
    uint64_t slow_ns = setting(&dispatcher->shared->settings.slow_requests_ns);
    latency_add(&dispatcher->latencies->of[timing->operation], timing->spent_ns);
    if (timing->spent_ns >= slow_ns && slow_ns != 0)
        tell(dispatcher->shared, row, timing, now_ns);
    timing->operation = OPERATION_NONE;
}
