/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/watch/watch_events.h"

#include <inttypes.h>
#include <stdio.h>

#include "protocol/key_text.h"
#include "storage/keydir/item_class.h"

struct key_line { /* a key in a URI's form, as a string */
    char text[KEY_URI_BYTES_MAX + 1];
};

static const char *key_line(struct slice key, struct key_line *line)
{
    line->text[key_uri(key, line->text)] = '\0';
    return line->text;
}

static unsigned class_of(const struct item *item)
{
    return item_class_of(item_memory_bytes(item));
}

void watch_get(struct watchers *watchers, int fd, struct slice key, const struct item *item)
{
    struct key_line line;
    watch_tell(watchers, WATCH_FETCHERS,
               "type=item_get key=%s status=%s clsid=%u cfd=%d size=%" PRIu64, key_line(key, &line),
               item != NULL ? "found" : "not_found", item != NULL ? class_of(item) : 0, fd,
               item != NULL ? (uint64_t)item->value_bytes : 0);
}

void watch_store(struct watchers *watchers, const struct watch_store *store)
{
    struct key_line line;
    watch_tell(watchers, WATCH_MUTATIONS,
               "type=item_store key=%s status=%s cmd=%s ttl=%" PRId64
               " clsid=%u cfd=%d size=%" PRIu64,
               key_line(store->key, &line), store->status, store->command, store->ttl_s,
               store->class_number, store->fd, store->value_bytes);
}

void watch_delete(struct watchers *watchers, const struct watch_delete *deleted)
{
    struct key_line line;
    watch_tell(watchers, WATCH_DELETIONS,
               "type=deleted key=%s cmd=%s clsid=%u cfd=%d size=%" PRIu64,
               key_line(deleted->key, &line), deleted->command, deleted->class_number, deleted->fd,
               deleted->value_bytes);
}

void watch_eviction(void *context, const struct item *item, uint64_t now_ms)
{
    struct watchers *watchers = context;
    struct key_line line;
    char ttl[24] = "-1";
    if (!watched(watchers, WATCH_EVICTIONS)) return;
    if (item->expires_s != 0)
        snprintf(ttl, sizeof ttl, "%" PRId64,
                 (int64_t)item->expires_s - (int64_t)(now_ms / 1000)); /* below 0: just over */
    uint64_t idle_ms = item_idle_ms(item, now_ms);
    watch_tell(watchers, WATCH_EVICTIONS,
               "type=eviction key=%s fetch=%s ttl=%s la=%" PRIu64 " clsid=%u size=%" PRIu64,
               key_line(item_key(item), &line), item->fetched ? "yes" : "no", ttl, idle_ms / 1000,
               class_of(item), (uint64_t)item->value_bytes);
}

/* --- connections ------------------------------------------------------------------------------ */

struct endpoint { /* of "tcp:127.0.0.1:51712", or of a unix socket */
    char address[CONN_ADDRESS_BYTES];
    const char *port, *transport;
};

static void read_peer(const char *peer, struct endpoint *end)
{
    *end = (struct endpoint){.address = "unix", .port = "0", .transport = "local"};
    if (strncmp(peer, "tcp:", 4) != 0) return;
    end->transport = "tcp";
    snprintf(end->address, sizeof end->address, "%s", peer + 4);
    char *colon = strrchr(end->address, ':');
    if (colon == NULL) return;
    *colon = '\0';
    end->port = colon + 1;
}

void watch_conn_new(struct watchers *watchers, const struct conn_row *row)
{
    struct endpoint end;
    if (!watched(watchers, WATCH_CONNEVENTS)) return;
    read_peer(row->peer, &end);
    watch_tell(watchers, WATCH_CONNEVENTS, "type=conn_new rip=%s rport=%s transport=%s cfd=%d",
               end.address, end.port, end.transport, row->fd);
}

void watch_conn_close(struct watchers *watchers, const struct conn_row *row, const char *reason)
{
    struct endpoint end;
    if (!watched(watchers, WATCH_CONNEVENTS)) return;
    read_peer(row->peer, &end);
    watch_tell(watchers, WATCH_CONNEVENTS,
               "type=conn_close rip=%s rport=%s transport=%s reason=%s cfd=%d", end.address,
               end.port, end.transport, reason, row->fd);
}

/* --- compaction ------------------------------------------------------------------------------- */

void watch_compaction(struct watchers *watchers, const struct watch_compaction *done)
{
    watch_tell(watchers, WATCH_COMPACTION,
               "type=compaction job=%" PRIu64 " moved_objects=%" PRIu64 " freed_pages=%" PRIu64
               " us=%" PRIu64,
               done->job, done->moved_objects, done->freed_pages, done->took_ns / 1000);
}

void watch_shrink(struct watchers *watchers, const struct shrinking *shrinking,
                  uint64_t held_bytes)
{
    uint64_t limit = atomic_load(&shrinking->limit_bytes);
    watch_tell(watchers, WATCH_SHRINK,
               "type=shrink state=%s limit=%" PRIu64 " held=%" PRIu64 " percent=%u left=%" PRIu64
               " bytes_per_s=%" PRIu64 " items_gone=%" PRIu64 " pages_written_back=%" PRIu64
               " pages_compacted=%" PRIu64 " ms=%" PRIu64,
               shrink_state_name(atomic_load(&shrinking->state)), limit, held_bytes,
               shrinking_percent(shrinking, held_bytes),
               held_bytes > limit ? held_bytes - limit : 0, atomic_load(&shrinking->bytes_per_s),
               atomic_load(&shrinking->items_gone),
               atomic_load(&shrinking->pages_written_back),
               atomic_load(&shrinking->pages_compacted),
               atomic_load(&shrinking->took_ns) / 1000000);
}

void watch_spill(struct watchers *watchers, const struct watch_spill *done)
{
    watch_tell(watchers, WATCH_SPILL,
               "type=spill pages=%" PRIu64 " items=%" PRIu64 " bytes=%" PRIu64 " us=%" PRIu64,
               done->pages, done->items, done->bytes, done->took_ns / 1000);
}
