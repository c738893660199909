/* SPDX-License-Identifier: BSD-3-Clause
 * dispatch_notes - what a request did with a key, for those who want to know: watchers (watch.h)
 * and the counts by prefix (prefixes.h). Two relaxed loads where nobody does.
 *
 * Threads: the worker's. Blocks: for short locks.
 */
#ifndef FARPAGE_SERVER_DISPATCH_NOTES_H
#define FARPAGE_SERVER_DISPATCH_NOTES_H
#include "server/dispatcher.h"

struct note_store { /* a value that was to be stored, and what came of it */
    struct slice key;
    const char *command;
    enum fp_status status;
    uint64_t value_bytes;
};

void notes_get(struct dispatcher *dispatcher, struct slice key, const struct item *item);
void notes_store(struct dispatcher *dispatcher, const struct note_store *note);
struct note_delete { /* a key that may be deleted now */
    struct slice key;
    const char *command;
    bool watched; /* and is there; then: */
    unsigned class_number;
    uint64_t value_bytes;
};
void notes_delete_begins(struct dispatcher *dispatcher, struct note_delete *note);
void notes_deleted(struct dispatcher *dispatcher, const struct note_delete *note);

static inline bool notes_wanted(const struct dispatcher *dispatcher, enum watch_kind kind)
{
    return watched(&dispatcher->shared->watchers, kind) ||
           prefixes_counted(&dispatcher->shared->prefixes);
}

/* A key was asked for; NULL: it was not there. */
static inline void note_get(struct dispatcher *dispatcher, struct slice key,
                            const struct item *item)
{
    if (notes_wanted(dispatcher, WATCH_FETCHERS)) notes_get(dispatcher, key, item);
}
static inline void note_store(struct dispatcher *dispatcher, const struct note_store *note)
{
    if (notes_wanted(dispatcher, WATCH_MUTATIONS)) notes_store(dispatcher, note);
}
/* Before, as nothing can be told of it after; and after, where it is gone. */
static inline void note_delete_begins(struct dispatcher *dispatcher, struct note_delete *note)
{
    note->watched = false;
    if (notes_wanted(dispatcher, WATCH_DELETIONS)) notes_delete_begins(dispatcher, note);
}
static inline void note_deleted(struct dispatcher *dispatcher, const struct note_delete *note)
{
    if (note->watched) notes_deleted(dispatcher, note);
}

#endif
