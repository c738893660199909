/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/maps/maps.h"

#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/crc32c.h"

enum {
    ENTRIES_MIN = 4,
    LENT_BYTES_MIN = 1024, /* less is copied: a lending costs more */
};

void maps_init(struct maps *maps, struct dispatcher *dispatcher, struct conn_row *conn)
{
    *maps = (struct maps){.dispatcher = dispatcher, .conn = conn};
}

static void count(struct maps *maps, enum worker_counter which)
{
    counter_add(maps->dispatcher->counters, which, 1);
}

static uint64_t now_ms(const struct maps *maps)
{
    return maps->dispatcher->scratch->now_ms;
}

static struct budget *budget_of(struct maps *maps)
{
    return store_budget(maps->dispatcher->shared->store);
}

/* What others see of this session. */
static void show(struct maps *maps)
{
    uint64_t oldest_ms = 0;
    for (uint32_t i = 0; i < maps->count && oldest_ms == 0; i++)
        if (maps->entries[i].map != NULL) oldest_ms = maps->entries[i].map->row.made_ms;
    atomic_store_explicit(&maps->conn->maps, maps->held_count, memory_order_relaxed);
    atomic_store_explicit(&maps->conn->mapped_bytes, maps->held_bytes, memory_order_relaxed);
    atomic_store_explicit(&maps->conn->oldest_map_ms, oldest_ms, memory_order_relaxed);
}

/* --- the table of numbers --------------------------------------------------------------------- */

/* Room for one more, charged: 16 bytes each, bounded by session.maps_max. */
static bool reserve_entry(struct maps *maps)
{
    if (maps->count < maps->capacity) return true;
    uint32_t capacity = maps->capacity == 0 ? ENTRIES_MIN : 2 * maps->capacity;
    struct maps_entry *entries = realloc(maps->entries, capacity * sizeof *entries);
    if (entries == NULL) return false;
    budget_charge_anyway(budget_of(maps), BUDGET_MAPS,
                         (capacity - maps->capacity) * sizeof *entries);
    maps->entries = entries;
    maps->capacity = capacity;
    return true;
}

/* Its place, or count where there is none. */
static uint32_t place_of(const struct maps *maps, uint64_t id)
{
    uint32_t first = 0, end = maps->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (maps->entries[middle].id < id) first = middle + 1;
        else end = middle;
    }
    return first < maps->count && maps->entries[first].id == id ? first : maps->count;
}

static void remove_entry(struct maps *maps, uint32_t at)
{
    struct maps_entry *entry = &maps->entries[at];
    maps->expired_count -= entry->map == NULL;
    memmove(entry, entry + 1, (maps->count - at - 1) * sizeof *entry);
    maps->count--;
}

/* --- the end of a map ------------------------------------------------------------------------- */

static void release(struct maps_map *map)
{
    struct maps *maps = map->maps;
    fp_assert(map->uses > 0);
    if (--map->uses > 0) return;
    struct maps_register *all = &maps->dispatcher->shared->maps;
    uint32_t bytes = map->map->size_bytes;
    maps_register_unlink(all, &map->row);
    store_map_end(&map->map, maps->dispatcher->scratch);
    maps_register_unreserve(all, bytes);
    budget_return(budget_of(maps), BUDGET_MAPS, sizeof *map);
    free(map);
    maps->held_count--;
    maps->held_bytes -= bytes;
    show(maps);
}

/* Takes the number away, and lets go. */
static void unmap_at(struct maps *maps, uint32_t at)
{
    struct maps_map *map = maps->entries[at].map;
    remove_entry(maps, at);
    if (map == NULL) return;
    atomic_store(&map->row.unmapped, true);
    show(maps);
    release(map);
}

void maps_discard(struct maps_map *map)
{
    unmap_at(map->maps, place_of(map->maps, map->row.id));
}

void maps_unmap_all(struct maps *maps)
{
    while (maps->count > 0) unmap_at(maps, maps->count - 1);
}

void maps_fini(struct maps *maps)
{
    fp_assert(maps->count == 0 && maps->held_count == 0 && maps->held_bytes == 0);
    if (maps->capacity > 0)
        budget_return(budget_of(maps), BUDGET_MAPS, maps->capacity * sizeof *maps->entries);
    free(maps->entries);
    maps->entries = NULL;
}

/* --- leases ----------------------------------------------------------------------------------- */

static bool is_over(const struct maps_map *map)
{
    uint64_t used_ms = atomic_load_explicit(&map->row.used_ms, memory_order_relaxed);
    return map->row.lease_ms != 0 && now_ms(map->maps) > used_ms &&
           now_ms(map->maps) - used_ms > map->row.lease_ms;
}

/* The number stays, to be told once; not more of them than there can be maps. */
static void forget_oldest_expired(struct maps *maps)
{
    uint32_t at = 0;
    while (maps->entries[at].map != NULL) at++;
    remove_entry(maps, at);
}

static void expire_at(struct maps *maps, uint32_t at)
{
    struct maps_map *map = maps->entries[at].map;
    const struct shared *shared = maps->dispatcher->shared;
    log_event(shared->log, LOG_INFO, "map ended: it was not used for its lease",
              log_text("peer", maps->conn->peer), log_number("id", map->row.id),
              log_number("lease_ms", map->row.lease_ms));
    count(maps, COUNTER_farpage_maps_expired);
    maps->entries[at].map = NULL;
    maps->expired_count++;
    atomic_store(&map->row.unmapped, true);
    release(map);
    show(maps);
}

void maps_sweep(struct maps *maps)
{
    for (uint32_t i = 0; i < maps->count; i++)
        if (maps->entries[i].map != NULL && is_over(maps->entries[i].map)) expire_at(maps, i);
    uint32_t max = atomic_load(&maps->dispatcher->shared->settings.session_maps_max);
    while (maps->expired_count > max) forget_oldest_expired(maps);
}

enum maps_answer maps_find(struct maps *maps, uint64_t id, struct maps_map **map)
{
    uint32_t at = place_of(maps, id);
    if (at == maps->count) return MAPS_UNKNOWN;
    if (maps->entries[at].map != NULL && is_over(maps->entries[at].map)) expire_at(maps, at);
    *map = maps->entries[at].map;
    if (*map == NULL) {
        remove_entry(maps, at);
        return MAPS_EXPIRED;
    }
    atomic_store_explicit(&(*map)->row.used_ms, now_ms(maps), memory_order_relaxed);
    return MAPS_DONE;
}

/* --- making ----------------------------------------------------------------------------------- */

static enum maps_answer lease_of(const struct maps *maps, uint32_t asked_s, uint64_t *lease_ms)
{
    uint64_t max_ns = setting(&maps->dispatcher->shared->settings.session_map_lease_ns);
    uint64_t max_ms = div_up_u64(max_ns, 1000000);
    *lease_ms = asked_s != 0 ? asked_s * 1000ull : max_ms;
    return max_ms != 0 && *lease_ms > max_ms ? MAPS_LEASE : MAPS_DONE;
}

static enum maps_answer answer_of(enum fp_status status)
{
    switch (status) {
    case FP_OK:
        return MAPS_DONE;
    case FP_ABSENT:
        return MAPS_ABSENT;
    case FP_BUSY:
        return MAPS_BUSY;
    case FP_CORRUPT:
        return MAPS_CORRUPT;
    case FP_RANGE:
        return MAPS_OUTSIDE;
    case FP_EXISTS:
        return MAPS_CHANGED;
    case FP_INVALID:
        return MAPS_MODE;
    case FP_QUOTA:
        return MAPS_QUOTA;
    case FP_FROZEN:
        return MAPS_FROZEN;
    case FP_LOST:
        return MAPS_LOST;
    case FP_MOVED:
        return MAPS_MOVED;
    case FP_SPILLED:
        return MAPS_SPILLED;
    case FP_NO_MEMORY:
    case FP_TOO_BIG:
    case FP_NOT_STORED:
    case FP_NOT_A_NUMBER:
    case FP_LATER:
    case FP_IO:
    default:
        return MAPS_NO_MEMORY;
    }
}

struct room { /* bytes that may be mapped yet */
    uint64_t here, in_all, max_in_all;
};

static struct room room_of(struct maps *maps)
{
    struct shared *shared = maps->dispatcher->shared;
    uint64_t max = setting(&shared->settings.session_mapped_max_bytes);
    uint64_t held = atomic_load(&shared->maps.bytes);
    struct room room = {.max_in_all = setting(&shared->settings.session_mapped_total_max_bytes)};
    room.here = max > maps->held_bytes ? max - maps->held_bytes : 0;
    room.in_all = room.max_in_all > held ? room.max_in_all - held : 0;
    return room;
}

static enum fp_status map_it(struct maps *maps, const struct maps_ask *ask, uint64_t bytes_max,
                             struct store_map **map)
{
    struct store *store = maps->dispatcher->shared->store;
    struct store_scratch *scratch = maps->dispatcher->scratch;
    struct map_wish wish = {.mode = ask->mode, .bytes_max = bytes_max};
    return ask->place.area == NULL ? store_map_item(store, scratch, ask->key, &wish, map)
                                   : store_map_page(store, scratch, ask->place, &wish, map);
}

/* Within both limits of bytes: the first look keeps others from giving way for what is refused, the
 * second counts. */
static enum maps_answer map_within(struct maps *maps, const struct maps_ask *ask,
                                   struct store_map **map)
{
    struct room room = room_of(maps);
    enum fp_status status = map_it(maps, ask, min_u64(room.here, room.in_all), map);
    if (status == FP_TOO_BIG)
        return room.here <= room.in_all ? MAPS_TOO_MUCH : MAPS_TOO_MUCH_IN_ALL;
    if (status != FP_OK) return answer_of(status);
    struct maps_register *all = &maps->dispatcher->shared->maps;
    if (maps_register_reserve(all, (*map)->size_bytes, room.max_in_all)) return MAPS_DONE;
    store_map_end(map, maps->dispatcher->scratch);
    return MAPS_TOO_MUCH_IN_ALL;
}

/* A number for it, and its row. */
static void add(struct maps *maps, struct maps_map *map, uint64_t lease_ms)
{
    map->maps = maps;
    map->uses = 1;
    map->row.conn = maps->conn;
    map->row.map = map->map;
    map->row.id = ++maps->last_id;
    map->row.lease_ms = lease_ms;
    map->row.made_ms = now_ms(maps);
    atomic_init(&map->row.used_ms, now_ms(maps));
    maps->entries[maps->count++] = (struct maps_entry){.id = map->row.id, .map = map};
    maps->held_count++;
    maps->held_bytes += map->map->size_bytes;
    maps_register_link(&maps->dispatcher->shared->maps, &map->row);
    show(maps);
}

static enum maps_answer make(struct maps *maps, const struct maps_ask *ask, struct maps_map **out)
{
    uint64_t lease_ms;
    uint32_t max = atomic_load(&maps->dispatcher->shared->settings.session_maps_max);
    enum maps_answer answer = lease_of(maps, ask->lease_s, &lease_ms);
    if (answer != MAPS_DONE) return answer;
    if (maps->held_count >= max) return MAPS_TOO_MANY;
    struct maps_map *map = calloc(1, sizeof *map);
    if (map == NULL || !reserve_entry(maps)) {
        free(map);
        return MAPS_NO_MEMORY;
    }
    answer = map_within(maps, ask, &map->map);
    if (answer != MAPS_DONE) {
        free(map);
        return answer;
    }
    budget_charge_anyway(budget_of(maps), BUDGET_MAPS, sizeof *map);
    add(maps, map, lease_ms);
    *out = map;
    return MAPS_DONE;
}

enum maps_answer maps_make(struct maps *maps, const struct maps_ask *ask, struct maps_map **map)
{
    enum maps_answer answer = make(maps, ask, map);
    bool refused = answer == MAPS_NO_MEMORY || answer == MAPS_TOO_MANY ||
                   answer == MAPS_TOO_MUCH || answer == MAPS_TOO_MUCH_IN_ALL;
    if (answer == MAPS_DONE) count(maps, COUNTER_farpage_maps_made);
    if (answer == MAPS_BUSY) count(maps, COUNTER_farpage_maps_busy);
    if (refused) count(maps, COUNTER_farpage_maps_refused);
    return answer;
}

/* --- reading and writing ---------------------------------------------------------------------- */

enum maps_answer maps_look(struct maps_map *map, uint64_t offset, uint64_t bytes, uint32_t *crc)
{
    struct store_scratch *scratch = map->maps->dispatcher->scratch;
    struct lent lent;
    enum fp_status status;
    do {
        status = store_map_read(map->map, scratch, offset, bytes, &lent);
        if (status != FP_OK) break;
        if (crc != NULL)
            *crc = crc32c_extend(*crc, lent.bytes.bytes, lent.bytes.size_bytes);
        offset += lent.bytes.size_bytes;
        bytes -= lent.bytes.size_bytes;
    } while (bytes > 0);
    return answer_of(status);
}

static void on_sent(void *owner)
{
    release(owner);
}

void maps_send(struct maps_map *map, uint64_t offset, uint64_t bytes, struct output *output)
{
    struct store_scratch *scratch = map->maps->dispatcher->scratch;
    while (bytes > 0) {
        struct lent lent;
        fp_assert(store_map_read(map->map, scratch, offset, bytes, &lent) == FP_OK);
        if (lent.steady && lent.bytes.size_bytes >= LENT_BYTES_MIN) {
            map->uses++;
            output_lend(output, lent.bytes, on_sent, map);
        } else {
            output_add(output, lent.bytes);
        }
        offset += lent.bytes.size_bytes;
        bytes -= lent.bytes.size_bytes;
    }
}

enum maps_answer maps_may_write(const struct maps_map *map, uint64_t offset, uint64_t bytes)
{
    return answer_of(store_map_may_write(map->map, offset, bytes));
}

enum maps_answer maps_write(struct maps_map *map, uint64_t offset, struct slice bytes)
{
    struct store_scratch *scratch = map->maps->dispatcher->scratch;
    return answer_of(store_map_write(map->map, scratch, offset, bytes));
}

enum maps_answer maps_publish(struct maps_map *map)
{
    struct maps *maps = map->maps;
    bool wrote = map->map->written;
    enum maps_answer answer =
        answer_of(store_map_publish(map->map, maps->dispatcher->scratch));
    bool over = answer == MAPS_DONE || answer == MAPS_CHANGED || answer == MAPS_LOST ||
                answer == MAPS_MOVED;
    if (!over) return answer;
    if (answer == MAPS_CHANGED) count(maps, COUNTER_farpage_maps_changed);
    else if (wrote) count(maps, COUNTER_farpage_maps_published);
    maps_discard(map);
    return answer;
}

void maps_each(const struct maps *maps, void (*each)(void *context, const struct maps_map *map),
               void *context)
{
    for (uint32_t i = 0; i < maps->count; i++)
        if (maps->entries[i].map != NULL) each(context, maps->entries[i].map);
}
