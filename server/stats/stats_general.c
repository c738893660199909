/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Plain `stats` and `stats conns`: what memcached's monitors read. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "protocol/reply.h"
#include "server/jobs/process.h"
#include "server/stats/stats_internal.h"
#include "storage/store/item/store_value.h"
#include "storage/store/page/store_area.h"
#include "storage/store/spill/store_spill.h"

static void emit_time(const struct stats_sink *sink, const char *name, struct timeval time)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, (uint64_t)time.tv_sec,
             (uint64_t)time.tv_usec);
    stats_text(sink, name, text);
}

static void emit_process(struct shared *shared, const struct stats_sink *sink)
{
    struct rusage usage;
    stats_number(sink, "pid", (uint64_t)getpid());
    stats_number(sink, "uptime", (clock_monotonic_ns() - shared->started_ns) / 1000000000);
    stats_number(sink, "time", clock_unix_ns() / 1000000000);
    stats_text(sink, "version", REPLY_VERSION_TEXT);
    stats_number(sink, "pointer_size", 8 * sizeof(void *));
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        emit_time(sink, "rusage_user", usage.ru_utime);
        emit_time(sink, "rusage_system", usage.ru_stime);
    }
}

static void emit_connections(struct shared *shared, const struct stats_sink *sink)
{
    stats_number(sink, "max_connections", atomic_load(&shared->settings.max_connections));
    stats_number(sink, "curr_connections", atomic_load(&shared->conns.count));
    stats_number(sink, "connection_structures", atomic_load(&shared->conns.count));
    const struct shared_before *before = &shared->before;
    stats_since(sink, "rejected_connections", &shared->conns.rejected, &before->rejected);
    stats_since(sink, "listen_disabled_num", &shared->listen_pauses, &before->listen_pauses);
    stats_number(sink, "accepting_conns", 1);
    stats_number(sink, "threads", shared->worker_count);
}

static void emit_counters(struct shared *shared, const struct stats_sink *sink)
{
    static const char *const names[] = {
#define X(name, meaning) #name,
        WORKER_COUNTERS(X)
#undef X
    };
    for (int i = 0; i < WORKER_COUNTERS_COUNT; i++)
        stats_number(sink, names[i], shared_counter(shared, (enum worker_counter)i));
}

static void emit_items(struct shared *shared, const struct stats_sink *sink)
{
    const struct store_counters *counters = store_counters(shared->store);
    const struct store_counters *before = &shared->before.store;
    struct budget *budget = store_budget(shared->store);
    stats_number(sink, "curr_items", store_item_count(shared->store));
    stats_since(sink, "total_items", &counters->items_total, &before->items_total);
    stats_number(sink, "bytes", budget_held(budget, BUDGET_ITEMS) +
                                    atomic_load(&counters->item_packed_bytes));
    stats_number(sink, "limit_maxbytes", budget_wanted(budget));
    stats_number(sink, "hash_bytes", budget_held(budget, BUDGET_KEYDIR));
    stats_since(sink, "evictions", &counters->item_evictions, &before->item_evictions);
    stats_since(sink, "reclaimed", &counters->item_reclaims, &before->item_reclaims);
    stats_since(sink, "lru_crawler_starts", &counters->crawler_passes, &before->crawler_passes);
    stats_since(sink, "crawler_items_checked", &counters->crawler_items_checked,
                &before->crawler_items_checked);
    stats_since(sink, "crawler_reclaimed", &counters->crawler_reclaimed,
                &before->crawler_reclaimed);
    stats_since(sink, "direct_reclaims", &counters->direct_reclaims, &before->direct_reclaims);
    stats_number(sink, "farpage_item_value_bytes", atomic_load(&counters->item_value_bytes));
    stats_number(sink, "farpage_item_packed_bytes", atomic_load(&counters->item_packed_bytes));
    stats_number(sink, "farpage_arriving_packed_bytes", store_values_packed_bytes(shared->store));
}

/* By memcached's names for values on flash, where there are any. */
static void emit_extstore(struct shared *shared, const struct stats_sink *sink)
{
    const struct spill_counters *counters = store_spill_counters(shared->store);
    if (!store_spill_has_items(shared->store)) return;
    struct spilled_items items = store_spill_items(shared->store);
    stats_number(sink, "get_extstore", atomic_load(&counters->item_reads));
    stats_number(sink, "miss_from_extstore", atomic_load(&counters->item_failed_reads));
    stats_number(sink, "recache_from_extstore", atomic_load(&counters->item_promotions));
    stats_number(sink, "extstore_objects_used", items.items);
    stats_number(sink, "extstore_bytes_used", items.object_bytes);
    stats_number(sink, "extstore_objects_written", atomic_load(&counters->items_spilled));
    stats_number(sink, "extstore_bytes_written", atomic_load(&counters->items_spilled_bytes));
    stats_number(sink, "extstore_objects_evicted", atomic_load(&counters->items_ended));
    stats_number(sink, "extstore_limit_maxbytes",
                 spill_file_fill(store_spill_file(shared->store)).size_bytes);
}

static void emit_pages(struct shared *shared, const struct stats_sink *sink)
{
    struct stats_pages pages = stats_sum_pages(shared);
    const struct store_counters *counters = store_counters(shared->store);
    char boot_id[2 * FRAME_BOOT_ID_BYTES + 1];
    for (int i = 0; i < FRAME_BOOT_ID_BYTES; i++)
        snprintf(boot_id + 2 * i, 3, "%02x", shared->boot_id[i]);
    stats_text(sink, "farpage_version", FARPAGE_VERSION);
    stats_text(sink, "farpage_boot_id", boot_id);
    stats_number(sink, "farpage_page_bytes", store_page_bytes(shared->store));
    stats_number(sink, "farpage_areas", pages.areas);
    stats_number(sink, "farpage_areas_deleted", store_areas_dying(shared->store));
    stats_number(sink, "farpage_pages_stored", pages.stored);
    stats_number(sink, "farpage_pages_same_filled", pages.same_filled);
    stats_number(sink, "farpage_pages_incompressible", pages.incompressible);
    stats_number(sink, "farpage_pages_packed_bytes", pages.packed_bytes);
    stats_since(sink, "farpage_corrupt", &counters->corrupt, &shared->before.store.corrupt);
    stats_number(sink, "farpage_memory_held_bytes", budget_total(store_budget(shared->store)));
    stats_number(sink, "farpage_memory_limit_bytes", budget_wanted(store_budget(shared->store)));
    stats_number(sink, "farpage_resident_bytes", process_resident_bytes());
}

/* What memcached counts in machinery that we do not have; its exporter asks for them. */
static void emit_zeros(const struct stats_sink *sink)
{
    static const char *const names[] = {
        "moves_to_cold", "moves_to_warm", "moves_within_lru", "get_expired"};
    for (size_t i = 0; i < FP_COUNT_OF(names); i++) stats_number(sink, names[i], 0);
}

static void emit_watchers(struct shared *shared, const struct stats_sink *sink)
{
    struct watchers *watchers = &shared->watchers;
    stats_number(sink, "log_watchers", watchers_count(watchers));
    const struct shared_before *before = &shared->before;
    stats_since(sink, "log_watcher_sent", &watchers->sent, &before->lines_sent);
    stats_since(sink, "log_watcher_skipped", &watchers->skipped, &before->lines_skipped);
}

void stats_general(struct shared *shared, const struct stats_sink *sink)
{
    emit_process(shared, sink);
    emit_connections(shared, sink);
    emit_counters(shared, sink);
    emit_items(shared, sink);
    emit_extstore(shared, sink);
    emit_watchers(shared, sink);
    emit_pages(shared, sink);
    emit_zeros(sink);
}

/* --- stats conns ------------------------------------------------------------------------------ */

struct conns_context {
    const struct stats_sink *sink;
    uint64_t now_ns;
};

/* Another worker's clock may be a moment ahead of ours. */
static uint64_t seconds_since(uint64_t then_ns, uint64_t now_ns)
{
    return now_ns > then_ns ? (now_ns - then_ns) / 1000000000 : 0;
}

static void emit_conn(void *opaque, const struct conn_row *row)
{
    const struct conns_context *context = opaque;
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%d:", row->fd);
    struct stats_sink sink = {context->sink->emit, context->sink->context, prefix};
    stats_text(&sink, "addr", row->peer);
    stats_text(&sink, "listen_addr", row->listener);
    stats_text(&sink, "state", conn_state_name((enum conn_state)atomic_load(&row->state)));
    stats_number(&sink, "secs_since_last_cmd",
                 seconds_since(atomic_load(&row->active_ns), context->now_ns));
    stats_text(&sink, "protocol", conn_dialect_name(atomic_load(&row->dialect)));
    stats_number(&sink, "secs_open", seconds_since(row->opened_ns, context->now_ns));
    stats_number(&sink, "bytes_in", atomic_load(&row->bytes_in));
    stats_number(&sink, "bytes_out", atomic_load(&row->bytes_out));
    stats_number(&sink, "pending_bytes", atomic_load(&row->pending_bytes));
    stats_number(&sink, "maps", atomic_load(&row->maps));
    stats_number(&sink, "mapped_bytes", atomic_load(&row->mapped_bytes));
}

void stats_conns(struct shared *shared, const struct stats_sink *sink)
{
    struct conns_context context = {.sink = sink, .now_ns = clock_monotonic_ns()};
    conns_each(&shared->conns, emit_conn, &context);
}
