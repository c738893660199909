/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/measure/prefixes.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

struct prefix {
    struct prefix *next; /* of its bucket */
    uint64_t gets, hits, sets, deletes;
    uint8_t size_bytes;
    uint8_t bytes[];
};

void prefixes_init(struct prefixes *prefixes)
{
    *prefixes = (struct prefixes){0};
    lock_init(&prefixes->lock, RANK_PREFIXES);
}

void prefixes_fini(struct prefixes *prefixes)
{
    prefixes_forget(prefixes);
    lock_fini(&prefixes->lock);
}

void prefixes_switch(struct prefixes *prefixes, bool counted)
{
    atomic_store_explicit(&prefixes->counted, counted, memory_order_relaxed);
}

/* Charged before it is there; NULL: out of memory. */
static void *take(struct prefixes *prefixes, size_t size_bytes)
{
    if (!budget_charge(prefixes->budget, BUDGET_FIXED, size_bytes)) return NULL;
    void *bytes = calloc(1, size_bytes);
    if (bytes == NULL) budget_return(prefixes->budget, BUDGET_FIXED, size_bytes);
    return bytes;
}

static void give(struct prefixes *prefixes, void *bytes, size_t size_bytes)
{
    free(bytes);
    budget_return(prefixes->budget, BUDGET_FIXED, size_bytes);
}

static bool is_of(const struct prefix *prefix, struct slice text)
{
    return prefix->size_bytes == text.size_bytes &&
           memcmp(prefix->bytes, text.bytes, text.size_bytes) == 0;
}

/* Its counts; NULL: it is not counted. */
static struct prefix *find_locked(struct prefixes *prefixes, struct slice text)
{
    if (prefixes->buckets == NULL)
        prefixes->buckets = take(prefixes, PREFIXES_BUCKETS * sizeof *prefixes->buckets);
    if (prefixes->buckets == NULL) return NULL;
    uint32_t hash = crc32c(text.bytes, text.size_bytes);
    struct prefix **bucket = &prefixes->buckets[hash % PREFIXES_BUCKETS];
    unsigned met = 0;
    for (struct prefix *prefix = *bucket; prefix != NULL; prefix = prefix->next, met++)
        if (is_of(prefix, text)) return prefix;
    if (prefixes->count == PREFIXES_MAX || met == PREFIXES_OF_BUCKET_MAX) return NULL;
    struct prefix *made = take(prefixes, sizeof *made + text.size_bytes);
    if (made == NULL) return NULL;
    made->size_bytes = (uint8_t)text.size_bytes;
    memcpy(made->bytes, text.bytes, text.size_bytes);
    made->next = *bucket;
    *bucket = made;
    prefixes->count++;
    return made;
}

void prefixes_note(struct prefixes *prefixes, struct slice key, enum prefix_event event)
{
    const uint8_t *colon =
        key.size_bytes > 0 ? memchr(key.bytes, PREFIX_DELIMITER, key.size_bytes) : NULL;
    if (colon == NULL || colon - key.bytes > UINT8_MAX) return;
    lock_take(&prefixes->lock);
    struct prefix *prefix = find_locked(prefixes, slice_of(key.bytes, (size_t)(colon - key.bytes)));
    if (prefix != NULL) {
        prefix->gets += event == PREFIX_MISS || event == PREFIX_HIT;
        prefix->hits += event == PREFIX_HIT;
        prefix->sets += event == PREFIX_SET;
        prefix->deletes += event == PREFIX_DELETE;
    }
    lock_drop(&prefixes->lock);
}

static void forget_bucket(struct prefixes *prefixes, struct prefix **bucket)
{
    for (struct prefix *prefix = *bucket, *next; prefix != NULL; prefix = next) {
        next = prefix->next;
        give(prefixes, prefix, sizeof *prefix + prefix->size_bytes);
    }
}

void prefixes_forget(struct prefixes *prefixes)
{
    lock_take(&prefixes->lock);
    if (prefixes->buckets != NULL) {
        for (unsigned i = 0; i < PREFIXES_BUCKETS; i++)
            forget_bucket(prefixes, &prefixes->buckets[i]);
        give(prefixes, prefixes->buckets, PREFIXES_BUCKETS * sizeof *prefixes->buckets);
    }
    prefixes->buckets = NULL;
    prefixes->count = 0;
    lock_drop(&prefixes->lock);
}

void prefixes_each(struct prefixes *prefixes,
                   void (*each)(void *context, const struct prefix_row *row), void *context)
{
    lock_take(&prefixes->lock);
    for (unsigned i = 0; i < PREFIXES_BUCKETS && prefixes->buckets != NULL; i++) {
        for (struct prefix *prefix = prefixes->buckets[i]; prefix != NULL; prefix = prefix->next) {
            struct prefix_row row = {slice_of(prefix->bytes, prefix->size_bytes), prefix->gets,
                                     prefix->hits, prefix->sets, prefix->deletes};
            each(context, &row);
        }
    }
    lock_drop(&prefixes->lock);
}
