/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stats maps: who has what mapped, and for how long. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "server/stats/stats_internal.h"

enum { ROWS_MAX = 1000 }; /* a page for people; the sums count all */

/* A key may hold any byte but blank and newline; a page's text holds what can be printed. */
static void key_text(struct slice key, char *text, size_t room)
{
    size_t at = 0;
    for (size_t i = 0; i < key.size_bytes && at + 5 < room; i++) {
        uint8_t byte = key.bytes[i];
        bool plain = byte > ' ' && byte < 0x7f && byte != '\\';
        at += (size_t)snprintf(text + at, room - at, plain ? "%c" : "\\x%02x", byte);
    }
    text[at] = '\0';
}

static void emit_what(const struct stats_sink *sink, const struct store_map *map)
{
    char text[4 * UINT8_MAX + 8];
    stats_text(sink, "kind", map->item != NULL ? "item" : "page");
    if (map->item != NULL) {
        key_text(item_key(map->item), text, sizeof text);
        stats_text(sink, "key", text);
        return;
    }
    stats_text(sink, "area", map->place.area->name);
    stats_number(sink, "slot", map->place.slot);
}

static const char *mode_name(enum map_mode mode)
{
    if (mode == MAP_READ) return "ro";
    return mode == MAP_READ_WRITE ? "rw" : "wo";
}

struct maps_context {
    const struct stats_sink *sink;
    uint64_t now_ms;
};

static uint64_t seconds_to(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (to_ms - from_ms) / 1000 : 0;
}

static void emit_lease(const struct stats_sink *sink, const struct maps_row *row, uint64_t now_ms)
{
    bool over = atomic_load(&row->unmapped);
    uint64_t used_ms = atomic_load(&row->used_ms);
    stats_number(sink, "secs_mapped", seconds_to(row->made_ms, now_ms));
    stats_number(sink, "secs_unused", seconds_to(used_ms, now_ms));
    if (row->lease_ms == 0 || over) stats_text(sink, "lease_left", over ? "unmapped" : "none");
    else stats_number(sink, "lease_left", seconds_to(now_ms, used_ms + row->lease_ms + 999));
}

static void emit_row(void *opaque, const struct maps_row *row)
{
    const struct maps_context *context = opaque;
    char prefix[24];
    snprintf(prefix, sizeof prefix, "%" PRIu64 ":", row->number);
    struct stats_sink sink = {context->sink->emit, context->sink->context, prefix};
    stats_number(&sink, "conn", (uint64_t)row->conn->fd);
    stats_text(&sink, "addr", row->conn->peer);
    stats_number(&sink, "id", row->id);
    emit_what(&sink, row->map);
    stats_text(&sink, "mode", mode_name(row->map->mode));
    stats_number(&sink, "bytes", row->map->size_bytes);
    stats_number(&sink, "memory_bytes", row->map->charged_bytes);
    emit_lease(&sink, row, context->now_ms);
}

void stats_maps(struct shared *shared, const struct stats_sink *sink)
{
    struct maps_context context = {
        .sink = sink, .now_ms = shared_store_ms(shared, clock_monotonic_ns())};
    uint64_t count = maps_register_each(&shared->maps, ROWS_MAX, emit_row, &context);
    stats_number(sink, "maps", count);
    stats_number(sink, "not_shown", count > ROWS_MAX ? count - ROWS_MAX : 0);
    stats_number(sink, "mapped_bytes", atomic_load(&shared->maps.bytes));
    stats_number(sink, "mapped_bytes_max",
                 setting(&shared->settings.session_mapped_total_max_bytes));
    stats_number(sink, "memory_bytes", budget_held(store_budget(shared->store), BUDGET_MAPS));
}
