/* SPDX-License-Identifier: BSD-3-Clause
 *
 * `stats items`, `slabs` and `sizes`: memcached's tables of size classes. A class is of items, by
 * the memory each takes (item_class.h); the allocator's own are in `stats classes`. */
#include <inttypes.h>
#include <stdio.h>

#include "base/arith.h"
#include "base/clock.h"
#include "server/stats/stats_internal.h"
#include "storage/store/store_classes.h"

typedef void emit_row(const struct stats_sink *sink, unsigned number,
                      const struct store_class *row);

static void fill(struct shared *shared, struct store_class rows[ITEM_CLASSES_MAX + 1])
{
    store_classes(shared->store, shared_store_ms(shared, clock_monotonic_ns()), rows);
}

/* A class that nothing was in since the last reset is left out. Returns how many are not. */
static unsigned each_row(struct shared *shared, const struct stats_sink *outer, const char *prefix,
                         emit_row *emit)
{
    struct store_class rows[ITEM_CLASSES_MAX + 1];
    unsigned shown = 0;
    fill(shared, rows);
    for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++) {
        char text[24];
        if (rows[n].count.stored == 0 && rows[n].count.items == 0) continue;
        snprintf(text, sizeof text, "%s%u:", prefix, n);
        struct stats_sink sink = {outer->emit, outer->context, text};
        emit(&sink, n, &rows[n]);
        shown++;
    }
    return shown;
}

static void emit_items(const struct stats_sink *sink, unsigned number,
                       const struct store_class *row)
{
    (void)number;
    stats_number(sink, "number", row->count.items);
    stats_number(sink, "age", row->idle_ms / 1000);
    stats_number(sink, "mem_requested", row->count.memory_bytes);
    stats_number(sink, "evicted", row->count.evicted);
    stats_number(sink, "evicted_nonzero", row->count.evicted_with_time);
    stats_number(sink, "evicted_time", row->count.evicted_idle_ms / 1000);
    stats_number(sink, "evicted_unfetched", row->count.evicted_unfetched);
    stats_number(sink, "reclaimed", row->count.reclaimed);
    stats_number(sink, "outofmemory", 0);
    stats_number(sink, "tailrepairs", 0);
}

void stats_items(struct shared *shared, const struct stats_sink *sink)
{
    (void)each_row(shared, sink, "items:", emit_items);
}

static void emit_slab(const struct stats_sink *sink, unsigned number,
                      const struct store_class *row)
{
    uint64_t chunk_bytes = item_class_bytes(number);
    stats_number(sink, "chunk_size", chunk_bytes);
    stats_number(sink, "chunks_per_page", max_u64(PAGES_BYTES / chunk_bytes, 1));
    stats_number(sink, "total_pages", div_up_u64(row->count.memory_bytes, PAGES_BYTES));
    stats_number(sink, "total_chunks", row->count.items);
    stats_number(sink, "used_chunks", row->count.items);
    stats_number(sink, "free_chunks", 0);
    stats_number(sink, "free_chunks_end", 0);
    stats_number(sink, "mem_requested", row->count.memory_bytes);
    stats_number(sink, "cmd_set", row->count.stored);
    stats_number(sink, "cas_hits", 0);
    stats_number(sink, "cas_badval", 0);
}

void stats_slabs(struct shared *shared, const struct stats_sink *sink)
{
    stats_number(sink, "active_slabs", each_row(shared, sink, "", emit_slab));
    stats_number(sink, "total_malloced",
                 zpool_fill(store_zpool(shared->store)).held_pages * PAGES_BYTES);
}

void stats_sizes(struct shared *shared, const struct stats_sink *sink)
{
    struct store_class rows[ITEM_CLASSES_MAX + 1];
    fill(shared, rows);
    for (unsigned n = 1; n <= ITEM_CLASSES_MAX; n++) {
        char name[24];
        if (rows[n].count.items == 0) continue;
        snprintf(name, sizeof name, "%" PRIu64, item_class_bytes(n));
        stats_number(sink, name, rows[n].count.items);
    }
}

/* The histogram costs nothing and is always there. */
void stats_sizes_status(struct shared *shared, const struct stats_sink *sink)
{
    (void)shared;
    stats_text(sink, "sizes_status", "enabled");
}
