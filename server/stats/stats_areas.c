/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats areas`: what each area is, holds and may hold, and who has it open; `stats sessions`: what
 * each connection has open. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "protocol/frame_drain.h"
#include "server/stats/stats_internal.h"
#include "storage/area/area_stand.h"
#include "storage/store/page/store_area.h"

enum { OPENERS_SHOWN = 4 };

/* Another thread's clock may be a moment ahead of ours. */
static uint64_t ms_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? (now_ns - then_ns) / 1000000 : 0;
}

/* --- areas ------------------------------------------------------------------------------------ */

struct openers_context {
    const struct stats_sink *sink;
    uint64_t now_ns, count;
    bool exclusive;
};

static void emit_opener(void *opaque, const struct opener *opener)
{
    struct openers_context *context = opaque;
    bool shared = (opener->flags & FRAME_OPEN_SHARED) != 0;
    const char *how = opener_drains(opener) ? "drain" : shared ? "shared" : "exclusive";
    char name[24], value[CONN_ADDRESS_BYTES + 48];
    context->exclusive |= !shared && !opener_drains(opener);
    if (++context->count > OPENERS_SHOWN) return;
    snprintf(name, sizeof name, "opener_%" PRIu64, context->count);
    snprintf(value, sizeof value, "%s %" PRIu64 " %s", how,
             ms_since(opener->since_ns, context->now_ns), opener->row->peer);
    stats_text(context->sink, name, value);
}

static void emit_openers(struct shared *shared, const struct area *area,
                         const struct stats_sink *sink)
{
    struct openers_context context = {.sink = sink, .now_ns = clock_unix_ns()};
    openers_each(&shared->openers, area, emit_opener, &context);
    stats_number(sink, "openers", context.count);
    const char *how = context.exclusive ? "exclusive" : "shared";
    stats_text(sink, "open", context.count == 0 ? "no" : how);
}

static void emit_stand(const struct area *area, const struct stats_sink *sink)
{
    static const char *const stands[] = {"serves", "frozen", "moved", "deleted"};
    enum area_stand stand = area_stand(area);
    struct frame_moved moved;
    stats_text(sink, "state", stands[stand]);
    const struct area_forward *forward = &area->forward;
    if (stand != AREA_MOVED) return;
    if (!frame_moved_decode(slice_of(forward->bytes, forward->size_bytes), &moved)) return;
    char address[MOVED_ADDRESS_BYTES_MAX + 1];
    memcpy(address, moved.address.bytes, moved.address.size_bytes);
    address[moved.address.size_bytes] = '\0';
    stats_text(sink, "moved_to", address);
}

static void emit_area(struct shared *shared, const struct area *area,
                      const struct stats_sink *outer)
{
    static const char *const lifetimes[] = {"stays", "transient", "configured"};
    char prefix[AREA_NAME_CAPACITY + 1];
    snprintf(prefix, sizeof prefix, "%s:", area->name);
    struct stats_sink sink = {outer->emit, outer->context, prefix};
    const struct area_counters *counters = &area->counters;
    stats_number(&sink, "slots", area->slot_count);
    stats_number(&sink, "page_bytes", area->page_bytes);
    stats_number(&sink, "generation", area->generation);
    stats_text(&sink, "lifetime", lifetimes[area->lifetime]);
    stats_text(&sink, "compressor", area->as_they_are ? "none" : "default");
    emit_stand(area, &sink);
    stats_text(&sink, "tenant", store_tenants(shared->store)->of[area->tenant].name);
    stats_number(&sink, "quota_pages", area->quota_pages);
    stats_number(&sink, "quota_bytes", area->quota_bytes);
    stats_number(&sink, "stored", atomic_load(&counters->stored));
    stats_number(&sink, "same_filled", atomic_load(&counters->same_filled));
    stats_number(&sink, "incompressible", atomic_load(&counters->incompressible));
    stats_number(&sink, "packed_bytes", atomic_load(&counters->packed_bytes));
    stats_number(&sink, "stores", atomic_load(&counters->stores));
    stats_number(&sink, "loads", atomic_load(&counters->loads));
    stats_number(&sink, "absent", atomic_load(&counters->absent));
    stats_number(&sink, "invalidations", atomic_load(&counters->invalidations));
    stats_number(&sink, "spilled", atomic_load(&counters->spilled));
    stats_number(&sink, "spilled_bytes", atomic_load(&counters->spilled_bytes));
    stats_number(&sink, "duplicates", atomic_load(&counters->duplicates));
    stats_number(&sink, "refused", atomic_load(&counters->refused));
    stats_number(&sink, "over_quota", atomic_load(&counters->over_quota));
    stats_number(&sink, "corrupt", atomic_load(&counters->corrupt));
    emit_openers(shared, area, &sink);
}

void stats_areas(struct shared *shared, const struct stats_sink *sink)
{
    struct area *area = NULL;
    while ((area = store_area_next(shared->store, area)) != NULL) emit_area(shared, area, sink);
}

/* --- sessions --------------------------------------------------------------------------------- */

struct sessions_context {
    const struct stats_sink *sink;
    const struct tenants *tenants;
    uint64_t now_ns, store_ms;
};

static void emit_session(void *opaque, const struct conn_row *row)
{
    const struct sessions_context *context = opaque;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%d:", row->fd);
    struct stats_sink sink = {context->sink->emit, context->sink->context, prefix};
    stats_text(&sink, "peer", row->peer);
    stats_text(&sink, "listener", row->listener);
    stats_text(&sink, "tenant", context->tenants->of[atomic_load(&row->tenant)].name);
    stats_text(&sink, "dialect", conn_dialect_name(atomic_load(&row->dialect)));
    stats_text(&sink, "state", conn_state_name((enum conn_state)atomic_load(&row->state)));
    stats_number(&sink, "age_ms", ms_since(row->opened_ns, context->now_ns));
    stats_number(&sink, "idle_ms", ms_since(atomic_load(&row->active_ns), context->now_ns));
    stats_number(&sink, "bytes_in", atomic_load(&row->bytes_in));
    stats_number(&sink, "bytes_out", atomic_load(&row->bytes_out));
    stats_number(&sink, "pending_bytes", atomic_load(&row->pending_bytes));
    stats_number(&sink, "areas", atomic_load(&row->areas));
    stats_number(&sink, "maps", atomic_load(&row->maps));
    stats_number(&sink, "mapped_bytes", atomic_load(&row->mapped_bytes));
    uint64_t oldest_ms = atomic_load(&row->oldest_map_ms);
    bool newer = oldest_ms == 0 || oldest_ms > context->store_ms;
    stats_number(&sink, "oldest_map_ms", newer ? 0 : context->store_ms - oldest_ms);
}

void stats_sessions(struct shared *shared, const struct stats_sink *sink)
{
    struct sessions_context context = {.sink = sink,
                                       .tenants = store_tenants(shared->store),
                                       .now_ns = clock_monotonic_ns()};
    context.store_ms = shared_store_ms(shared, context.now_ns);
    conns_each(&shared->conns, emit_session, &context);
}
