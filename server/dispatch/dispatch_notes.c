/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/dispatch/dispatch_notes.h"

#include "server/watch/watch_events.h"
#include "storage/store/item/store_meta.h"

void notes_get(struct dispatcher *dispatcher, struct slice key, const struct item *item)
{
    struct shared *shared = dispatcher->shared;
    if (prefixes_counted(&shared->prefixes))
        prefixes_note(&shared->prefixes, key, item != NULL ? PREFIX_HIT : PREFIX_MISS);
    if (watched(&shared->watchers, WATCH_FETCHERS))
        watch_get(&shared->watchers, dispatcher->caller_fd, key, item);
}

/* memcached's words for what came of it. */
static const char *status_text(enum fp_status status)
{
    if (status == FP_OK) return "stored";
    if (status == FP_EXISTS) return "exists";
    if (status == FP_ABSENT) return "not_found";
    if (status == FP_TOO_BIG) return "too_large";
    return status == FP_NO_MEMORY ? "no_memory" : "not_stored";
}

void notes_store(struct dispatcher *dispatcher, const struct note_store *note)
{
    struct shared *shared = dispatcher->shared;
    if (prefixes_counted(&shared->prefixes))
        prefixes_note(&shared->prefixes, note->key, PREFIX_SET);
    if (!watched(&shared->watchers, WATCH_MUTATIONS)) return;
    struct watch_store line = {.key = note->key,
                               .status = status_text(note->status),
                               .command = note->command,
                               .value_bytes = note->value_bytes,
                               .fd = dispatcher->caller_fd};
    struct item_details details;
    if (note->status == FP_OK &&
        store_meta_describe(shared->store, dispatcher->scratch, note->key, &details) == FP_OK) {
        line.class_number = details.class_number;
        line.ttl_s = details.ttl_s == ITEM_TTL_NEVER ? 0 : details.ttl_s;
    }
    watch_store(&shared->watchers, &line);
}

void notes_delete_begins(struct dispatcher *dispatcher, struct note_delete *note)
{
    struct shared *shared = dispatcher->shared;
    struct item_details details;
    if (prefixes_counted(&shared->prefixes))
        prefixes_note(&shared->prefixes, note->key, PREFIX_DELETE);
    if (!watched(&shared->watchers, WATCH_DELETIONS)) return;
    if (store_meta_describe(shared->store, dispatcher->scratch, note->key, &details) != FP_OK)
        return;
    note->watched = true;
    note->class_number = details.class_number;
    note->value_bytes = details.value_bytes;
}

void notes_deleted(struct dispatcher *dispatcher, const struct note_delete *note)
{
    struct watch_delete line = {.key = note->key,
                                .command = note->command,
                                .class_number = note->class_number,
                                .value_bytes = note->value_bytes,
                                .fd = dispatcher->caller_fd};
    watch_delete(&dispatcher->shared->watchers, &line);
}
