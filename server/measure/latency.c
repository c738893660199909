/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/measure/latency.h"

#include "base/check.h"

void latency_step_over(struct latency_timing *timing, enum operation operation,
                       const struct latency_step *step, const struct store_scratch *scratch,
                       uint64_t now_ns)
{
    struct latency_parts now = latency_parts_now(scratch);
    if (timing->operation == OPERATION_NONE) {
        *timing = (struct latency_timing){
            .operation = operation, .begun_ns = step->began_ns, .queued_ns = step->queued_ns};
    }
    timing->spent_ns += now_ns - step->began_ns;
    timing->parts.lock_ns += now.lock_ns - step->before.lock_ns;
    timing->parts.pack_ns += now.pack_ns - step->before.pack_ns;
    timing->parts.evict_ns += now.evict_ns - step->before.evict_ns;
}

void latencies_sum(const struct latencies *latencies, uint32_t workers, enum operation operation,
                   struct latency_sum *sum)
{
    *sum = (struct latency_sum){.count = 0};
    for (uint32_t i = 0; i < workers; i++) {
        const struct latency *latency = &latencies[i].of[operation];
        for (unsigned k = 0; k < LATENCY_BUCKETS; k++) {
            uint64_t count = atomic_load_explicit(&latency->counts[k], memory_order_relaxed);
            sum->counts[k] += count;
            sum->count += count;
        }
        uint64_t highest = atomic_load_explicit(&latency->highest_ns, memory_order_relaxed);
        sum->sum_ns += atomic_load_explicit(&latency->sum_ns, memory_order_relaxed);
        if (highest > sum->highest_ns) sum->highest_ns = highest;
    }
}

uint64_t latency_bucket_end(unsigned bucket)
{
    fp_assert(bucket < LATENCY_BUCKETS);
    if (bucket == 0) return (uint64_t)1 << LATENCY_POWER_LEAST;
    unsigned power = LATENCY_POWER_LEAST + (bucket - 1) / LATENCY_PARTS;
    uint64_t part = (bucket - 1) % LATENCY_PARTS + 1;
    return ((uint64_t)1 << power) + (part << (power - 3));
}

uint64_t latency_quantile(const struct latency_sum *sum, double quantile)
{
    uint64_t wanted = (uint64_t)((double)sum->count * quantile), seen = 0;
    if (sum->count == 0) return 0;
    for (unsigned i = 0; i + 1 < LATENCY_BUCKETS; i++) {
        seen += sum->counts[i];
        uint64_t last = latency_bucket_end(i) - 1;
        if (seen > wanted) return last < sum->highest_ns ? last : sum->highest_ns;
    }
    return sum->highest_ns;
}

const char *operation_name(enum operation operation)
{
    static const char *const names[] = {
#define X(operation, name, meaning) name,
        OPERATIONS(X)
#undef X
    };
    fp_assert(operation < OPERATIONS_COUNT);
    return names[operation];
}
