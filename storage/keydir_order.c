/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an item in the order of eviction (S3-FIFO, as docs/eviction.md explains and measures it):
 *   stored -> into the small queue, or, where its ghost was met, into the main one
 *   used   -> one mark more, up to three; it stays where it is
 *   at the small queue's end: marked -> into the main one, its marks gone; else out, a ghost stays
 *   at the main queue's end:  marked -> to its start again, with one mark less; else out
 * It is the small queue's turn while that holds more than a tenth of the bytes.
 *
 * A queue is a fifo of words, not of items: some bits of the hash, by which the table finds the
 * item, and its ticket. An item that is deleted or mapped leaves its word behind; the word finds
 * nothing then, because whatever enters a queue gets another ticket.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "storage/keydir.h"

enum {
    MARKS_MAX = 3,
    SMALL_PART = 10, /* of all bytes */
    LOOKS_PER_TURN = 16,
    SHARDS_COMPARED = 8,
    TICKET_BITS = 6,
    WORD_HASH_BITS = 32 - TICKET_BITS,
};
_Static_assert(KEYDIR_TABLE_MAX == 1 << WORD_HASH_BITS, "a word leads to a place in any table");

/* --- words ------------------------------------------------------------------------------------ */

static uint32_t hash_of(uint32_t word)
{
    return word & ((1u << WORD_HASH_BITS) - 1);
}

static uint32_t word_of(const struct item *item)
{
    return hash_of((uint32_t)item->hash) | (uint32_t)item->ticket << WORD_HASH_BITS;
}

/* NULL: whose it was has left the queue since. */
static struct item *find(const struct keydir_shard *shard, enum item_queue queue, uint32_t word)
{
    if (shard->item_count == 0) return NULL;
    uint64_t mask = shard->capacity - 1;
    for (uint64_t p = hash_of(word) & mask; shard->table[p] != NULL; p = (p + 1) & mask) {
        struct item *item = shard->table[p];
        if (item->queue == queue && word_of(item) == word) return item;
    }
    return NULL;
}

/* --- ghosts ----------------------------------------------------------------------------------- */

/* A ghost is 16 bits of a hash at a place that others of its bits choose; the next one to come
 * there takes its place. So they are about as many as the items, and the young ones. */
static uint16_t *ghost_place(const struct keydir_shard *shard, const struct item *item)
{
    return &shard->ghosts[item->hash & (shard->capacity / 2 - 1)];
}

static uint16_t ghost_of(const struct item *item)
{
    return (uint16_t)(item->hash >> 40 | 1);
}

static bool meet_ghost(const struct keydir_shard *shard, const struct item *item)
{
    uint16_t *place = ghost_place(shard, item);
    if (*place != ghost_of(item)) return false;
    *place = 0;
    return true;
}

/* --- entering and leaving --------------------------------------------------------------------- */

static void add(struct keydir_shard *shard, enum item_queue queue, const struct item *item,
                int change)
{
    uint64_t bytes = item_memory_bytes(item);
    _Atomic uint64_t *items = &shard->queues[queue].items;
    uint64_t count = atomic_load_explicit(items, memory_order_relaxed);
    atomic_store_explicit(items, count + (uint64_t)change, memory_order_relaxed);
    atomic_fetch_add_explicit(&shard->keydir->queue_bytes[queue],
                              change > 0 ? bytes : -bytes, memory_order_relaxed);
}

static void push(struct keydir_shard *shard, enum item_queue queue, struct item *item)
{
    item->queue = (unsigned)queue & 3;
    item->ticket = shard->tickets++ & ((1u << TICKET_BITS) - 1);
    fifo_push(&shard->queues[queue].fifo, &shard->spares, word_of(item));
    add(shard, queue, item, 1);
}

void keydir_order_leave(struct keydir_shard *shard, struct item *item)
{
    if (item->queue == ITEM_UNQUEUED) return;
    add(shard, (enum item_queue)item->queue, item, -1);
    item->queue = ITEM_UNQUEUED;
}

void keydir_order_enter(struct keydir_shard *shard, struct item *item)
{
    item->marks = 0;
    push(shard, meet_ghost(shard, item) ? ITEM_QUEUE_MAIN : ITEM_QUEUE_SMALL, item);
}

void keydir_order_replace(struct keydir_shard *shard, struct item *old, struct item *next)
{
    enum item_queue queue = (enum item_queue)old->queue;
    keydir_order_leave(shard, old);
    next->queue = (unsigned)queue & 3;
    next->ticket = old->ticket;
    next->marks = old->marks;
    add(shard, queue, next, 1);
}

struct sweep {
    const struct keydir_shard *shard;
    enum item_queue queue;
};

static bool is_wanted(void *opaque, uint32_t word)
{
    const struct sweep *sweep = opaque;
    return find(sweep->shard, sweep->queue, word) != NULL;
}

/* Where words of items that are gone have become the most, a chunk of them is looked at with each
 * item that is stored. */
static void sweep(struct keydir_shard *shard)
{
    uint64_t words[ITEM_QUEUES], gone[ITEM_QUEUES];
    for (int i = 0; i < ITEM_QUEUES; i++) {
        words[i] = shard->queues[i].fifo.words;
        gone[i] = words[i] - atomic_load_explicit(&shard->queues[i].items, memory_order_relaxed);
    }
    if (gone[0] + gone[1] <= shard->item_count + 2 * FIFO_CHUNK_WORDS) return;
    struct sweep context = {shard, gone[0] > gone[1] ? ITEM_QUEUE_SMALL : ITEM_QUEUE_MAIN};
    fifo_sweep(&shard->queues[context.queue].fifo, &shard->spares, is_wanted, &context);
}

bool keydir_order_reserve(struct keydir_shard *shard)
{
    uint64_t mapped = (shard->mapped_count + 1) / FIFO_CHUNK_WORDS + 1; /* may all come back */
    sweep(shard);
    return fifo_spares_fit(&shard->spares, FIFO_SPARES + (uint32_t)mapped, shard->keydir->budget);
}

/* --- use -------------------------------------------------------------------------------------- */

void keydir_use_locked(struct keydir_shard *shard, struct item *item, uint64_t now_ms)
{
    lock_assert_held(&shard->lock);
    item_used(item, now_ms);
    if (item->marks < MARKS_MAX) item->marks = (item->marks + 1u) & 3;
}

enum fp_status keydir_map_locked(struct keydir_shard *shard, struct item *item, bool writes)
{
    lock_assert_held(&shard->lock);
    if (writes && item->mapped && item->map_writes) return FP_BUSY;
    if (!item->mapped) {
        if (!keydir_order_reserve(shard)) return FP_NO_MEMORY;
        keydir_order_leave(shard, item);
        shard->mapped_count++;
        item->mapped = true;
        item->maps = 0;
        item->map_writes = false;
    }
    fp_assert(item->maps < INT32_MAX);
    item->maps++;
    item->map_writes |= writes;
    return FP_OK;
}

void keydir_unmap_locked(struct keydir_shard *shard, struct item *item, bool writes,
                         uint64_t now_ms)
{
    lock_assert_held(&shard->lock);
    fp_assert(item->mapped && item->maps > 0 && (!writes || item->map_writes));
    if (writes) item->map_writes = false;
    if (--item->maps > 0) return;
    bool is_there = keydir_find_locked(shard, item->hash, item_key(item)) == item;
    shard->mapped_count -= is_there;
    item->mapped = false;
    item_used(item, now_ms);
    if (is_there) push(shard, ITEM_QUEUE_MAIN, item);
}

/* --- giving way ------------------------------------------------------------------------------- */

static enum item_queue queue_in_turn(const struct keydir *keydir)
{
    uint64_t bytes[ITEM_QUEUES];
    for (int i = 0; i < ITEM_QUEUES; i++)
        bytes[i] = atomic_load_explicit(&keydir->queue_bytes[i], memory_order_relaxed);
    bool small = bytes[ITEM_QUEUE_SMALL] > (bytes[0] + bytes[1]) / SMALL_PART;
    return small ? ITEM_QUEUE_SMALL : ITEM_QUEUE_MAIN;
}

/* Keys are spread evenly, so the longest queue has the oldest end; the longest of a few is near
 * enough, and keeps them equal. NULL: it is empty everywhere. */
static struct keydir_shard *longest(struct keydir *keydir, enum item_queue queue)
{
    uint32_t from = atomic_fetch_add_explicit(&keydir->turn, SHARDS_COMPARED + 1,
                                              memory_order_relaxed);
    struct keydir_shard *found = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < KEYDIR_SHARDS && (i < SHARDS_COMPARED || found == NULL); i++) {
        struct keydir_shard *shard = &keydir->shards[(from + i) % KEYDIR_SHARDS];
        uint64_t items = atomic_load_explicit(&shard->queues[queue].items, memory_order_relaxed);
        if (items <= most) continue;
        most = items;
        found = shard;
    }
    return found;
}

bool keydir_turn(struct keydir *keydir, struct keydir_turn *turn)
{
    turn->queue = queue_in_turn(keydir);
    turn->shard = longest(keydir, turn->queue);
    if (turn->shard != NULL) return true;
    turn->queue = turn->queue == ITEM_QUEUE_SMALL ? ITEM_QUEUE_MAIN : ITEM_QUEUE_SMALL;
    turn->shard = longest(keydir, turn->queue);
    return turn->shard != NULL;
}

/* The item has come to the end of its queue. True: it gives way. */
static bool gives_way(struct keydir_shard *shard, enum item_queue queue, struct item *item,
                      bool force)
{
    if (item->marks > 0 && !force) {
        item->marks = queue == ITEM_QUEUE_MAIN ? (item->marks - 1u) & 3 : 0;
        push(shard, ITEM_QUEUE_MAIN, item);
        return false;
    }
    if (queue == ITEM_QUEUE_SMALL) *ghost_place(shard, item) = ghost_of(item);
    return true;
}

struct item *keydir_victim_locked(const struct keydir_turn *turn, bool force)
{
    struct keydir_shard *shard = turn->shard;
    lock_assert_held(&shard->lock);
    uint32_t word;
    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        if (!fifo_pop(&shard->queues[turn->queue].fifo, &shard->spares, &word)) return NULL;
        struct item *item = find(shard, turn->queue, word);
        if (item == NULL) continue;
        keydir_order_leave(shard, item);
        if (gives_way(shard, turn->queue, item, force)) return item;
        if (queue_in_turn(shard->keydir) != turn->queue) return NULL;
    }
    return NULL;
}

/* --- for tests -------------------------------------------------------------------------------- */

static uint64_t chunks_of(const struct fifo *fifo)
{
    uint64_t count = 0;
    for (const struct fifo_chunk *chunk = fifo->oldest; chunk != NULL; chunk = chunk->next) count++;
    return count;
}

uint64_t keydir_order_bytes(const struct keydir_shard *shard)
{
    uint64_t chunks = shard->spares.count;
    for (int i = 0; i < ITEM_QUEUES; i++) chunks += chunks_of(&shard->queues[i].fifo);
    return chunks * FIFO_CHUNK_BYTES;
}

static void check_queue(struct keydir_shard *shard, enum item_queue queue)
{
    const struct fifo *fifo = &shard->queues[queue].fifo;
    uint64_t words = 0, found = 0, items = atomic_load(&shard->queues[queue].items);
    for (const struct fifo_chunk *chunk = fifo->oldest; chunk != NULL; chunk = chunk->next) {
        fp_assert(chunk->first < chunk->end && chunk->end <= FIFO_CHUNK_WORDS);
        fp_assert(chunk->next != NULL || fifo->newest == chunk);
        words += chunk->end - chunk->first;
        for (unsigned i = chunk->first; i < chunk->end; i++)
            found += find(shard, queue, chunk->words[i]) != NULL;
    }
    /* An old word may find an item too, if tickets repeat; one without a word never gives way. */
    fp_assert(words == fifo->words && found >= items);
}

void keydir_order_check(struct keydir_shard *shard)
{
    uint64_t counts[ITEM_QUEUES + 1] = {0};
    for (uint64_t p = 0; p < shard->capacity; p++) {
        const struct item *item = shard->table[p];
        if (item == NULL) continue;
        counts[item->queue]++;
        fp_assert(item->mapped == (item->queue == ITEM_UNQUEUED));
    }
    for (int i = 0; i < ITEM_QUEUES; i++) {
        fp_assert(counts[i] == atomic_load(&shard->queues[i].items));
        check_queue(shard, (enum item_queue)i);
    }
}
