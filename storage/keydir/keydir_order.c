/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Life of an item in the order of eviction (S3-FIFO, as docs/eviction.md explains and measures it):
 *   stored -> into the small queue, or, where its ghost was met, into the main one
 *   used   -> one mark more, up to three; it stays where it is
 *   at the small queue's end: marked -> into the main one, its marks gone; else out, a ghost stays
 *   at the main queue's end:  marked -> to its start again, with one mark less; else out
 *   out, where there is a file below memory: written there, and into the spilled queue
 *   at the spilled queue's end: marked -> to its start again, with one mark less; else it ends
 *   spilled, and read back or stored anew -> into the main one
 * It is the small queue's turn while that holds more than a tenth of the bytes of these two.
 *
 * A queue is a fifo of words, not of items: some bits of the hash, by which the table finds the
 * item, and its ticket. An item that is deleted or mapped leaves its word behind; the word finds
 * nothing then, because whatever enters a queue gets another ticket.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "storage/keydir/keydir.h"

enum {
    MARKS_MAX = 3,
    SMALL_PART = 10, /* of all bytes */
    SPILLED_PART = 4,    /* of the memory limit, records of what is spilled at most, about */
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

/* One of a tenant's queues in a shard. */
struct place {
    uint8_t tenant;
    enum item_queue queue;
};

static struct place place_of(const struct item *item)
{
    return (struct place){item->tenant, (enum item_queue)item->queue};
}

/* NULL: the tenant has never had an item here. */
static struct keydir_queue *queues_of(struct keydir_shard *shard, uint8_t tenant)
{
    if (tenant == TENANT_DEFAULT) return shard->queues;
    return atomic_load_explicit(&shard->others[tenant], memory_order_acquire);
}

static struct keydir_queue *queue_at(struct keydir_shard *shard, struct place place)
{
    return &queues_of(shard, place.tenant)[place.queue];
}

/* NULL: whose it was has left the queue since. */
static struct item *find(const struct keydir_shard *shard, struct place place, uint32_t word)
{
    if (shard->item_count == 0) return NULL;
    uint64_t mask = shard->capacity - 1;
    for (uint64_t p = hash_of(word) & mask; shard->table[p] != NULL; p = (p + 1) & mask) {
        struct item *item = shard->table[p];
        bool here = item->queue == place.queue && item->tenant == place.tenant;
        if (here && word_of(item) == word) return item;
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

/* To or from the queue that the item is in. */
static void add(struct keydir_shard *shard, const struct item *item, int change)
{
    uint64_t bytes = item_memory_bytes(item);
    struct place place = place_of(item);
    _Atomic uint64_t *items = &queue_at(shard, place)->items;
    uint64_t count = atomic_load_explicit(items, memory_order_relaxed);
    atomic_store_explicit(items, count + (uint64_t)change, memory_order_relaxed);
    atomic_fetch_add_explicit(&shard->keydir->queue_bytes[place.tenant][place.queue],
                              change > 0 ? bytes : -bytes, memory_order_relaxed);
    if (place.queue == ITEM_QUEUE_SPILLED)
        atomic_fetch_add_explicit(&shard->keydir->spilled_bytes, change > 0 ? bytes : -bytes,
                                  memory_order_relaxed);
}

static void push(struct keydir_shard *shard, enum item_queue queue, struct item *item)
{
    item->queue = (unsigned)queue & 3;
    item->ticket = shard->tickets++ & ((1u << TICKET_BITS) - 1);
    fifo_push(&queue_at(shard, place_of(item))->fifo, &shard->spares, word_of(item));
    add(shard, item, 1);
}

void keydir_order_leave(struct keydir_shard *shard, struct item *item)
{
    if (item->queue == ITEM_UNQUEUED) return;
    add(shard, item, -1);
    item->queue = ITEM_UNQUEUED;
}

void keydir_order_enter(struct keydir_shard *shard, struct item *item)
{
    item->marks = 0;
    push(shard, meet_ghost(shard, item) ? ITEM_QUEUE_MAIN : ITEM_QUEUE_SMALL, item);
}

void keydir_order_replace(struct keydir_shard *shard, struct item *old, struct item *next)
{
    struct place place = place_of(old);
    bool was_resident = place.queue < ITEM_QUEUE_SPILLED;
    keydir_order_stays(shard, old);
    keydir_order_leave(shard, old);
    next->marks = old->marks;
    if (next->tenant != old->tenant || !was_resident) {
        push(shard, was_resident ? place.queue : ITEM_QUEUE_MAIN, next);
        return;
    }
    next->queue = (unsigned)place.queue & 3;
    next->ticket = old->ticket;
    add(shard, next, 1);
}

struct sweep {
    const struct keydir_shard *shard;
    struct place place;
};

static bool is_wanted(void *opaque, uint32_t word)
{
    const struct sweep *sweep = opaque;
    return find(sweep->shard, sweep->place, word) != NULL;
}

/* Where words of items that are gone have become the most of a tenant's, a chunk of them is looked
 * at with each item that it stores. */
static void sweep(struct keydir_shard *shard, uint8_t tenant)
{
    const struct keydir_queue *queues = queues_of(shard, tenant);
    uint64_t gone[ITEM_QUEUES], all = 0, there = shard->mapped_count + shard->leaving_count;
    int most = 0;
    for (int i = 0; i < ITEM_QUEUES; i++) {
        uint64_t items = atomic_load_explicit(&queues[i].items, memory_order_relaxed);
        gone[i] = queues[i].fifo.words - items;
        there += items;
        all += gone[i];
        if (gone[i] >= gone[most]) most = i;
    }
    if (all <= there + 2 * FIFO_CHUNK_WORDS) return;
    struct place place = {tenant, (enum item_queue)most};
    struct sweep context = {shard, place};
    fifo_sweep(&queue_at(shard, place)->fifo, &shard->spares, is_wanted, &context);
}

/* Who looks for victims reads the pointer under no lock, so the queues stay. */
static bool make_queues(struct keydir_shard *shard, uint8_t tenant)
{
    enum { BYTES = ITEM_QUEUES * sizeof(struct keydir_queue) };
    if (queues_of(shard, tenant) != NULL) return true;
    if (!budget_charge(shard->keydir->budget, BUDGET_KEYDIR, BYTES)) return false;
    struct keydir_queue *made = calloc(1, BYTES);
    if (made == NULL) {
        budget_return(shard->keydir->budget, BUDGET_KEYDIR, BYTES);
        return false;
    }
    shard->other_count++;
    atomic_store_explicit(&shard->others[tenant], made, memory_order_release);
    return true;
}

bool keydir_order_reserve(struct keydir_shard *shard, uint8_t tenant)
{
    if (!make_queues(shard, tenant)) return false;
    sweep(shard, tenant);
    /* Words wander within a tenant's queues only; and what is mapped or leaves may come back. */
    uint64_t away = shard->mapped_count + shard->leaving_count;
    uint64_t mapped = (away + 1) / FIFO_CHUNK_WORDS + 1;
    uint64_t others = (uint64_t)shard->other_count * FIFO_SPARES;
    return fifo_spares_fit(&shard->spares, (uint32_t)(FIFO_SPARES + others + mapped),
                           shard->keydir->budget);
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
        if (!keydir_order_reserve(shard, item->tenant)) return FP_NO_MEMORY;
        keydir_order_stays(shard, item);
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

static enum item_queue queue_in_turn(const struct keydir *keydir, uint8_t tenant)
{
    uint64_t bytes[ITEM_QUEUES];
    for (int i = 0; i < ITEM_QUEUES; i++)
        bytes[i] = atomic_load_explicit(&keydir->queue_bytes[tenant][i], memory_order_relaxed);
    bool small = bytes[ITEM_QUEUE_SMALL] > (bytes[0] + bytes[1]) / SMALL_PART;
    return small ? ITEM_QUEUE_SMALL : ITEM_QUEUE_MAIN;
}

/* Keys are spread evenly, so the longest queue has the oldest end; the longest of a few is near
 * enough, and keeps them equal. NULL: it is empty everywhere. */
static struct keydir_shard *longest(struct keydir *keydir, struct place place)
{
    uint32_t from = atomic_fetch_add_explicit(&keydir->turn, SHARDS_COMPARED + 1,
                                              memory_order_relaxed);
    struct keydir_shard *found = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < KEYDIR_SHARDS && (i < SHARDS_COMPARED || found == NULL); i++) {
        struct keydir_shard *shard = &keydir->shards[(from + i) % KEYDIR_SHARDS];
        const struct keydir_queue *queues = queues_of(shard, place.tenant);
        if (queues == NULL) continue;
        uint64_t items = atomic_load_explicit(&queues[place.queue].items, memory_order_relaxed);
        if (items <= most) continue;
        most = items;
        found = shard;
    }
    return found;
}

static bool turn_of(struct keydir *keydir, uint8_t tenant, enum item_queue queue,
                    struct keydir_turn *turn)
{
    *turn = (struct keydir_turn){.shard = longest(keydir, (struct place){tenant, queue}),
                                 .tenant = tenant,
                                 .queue = queue};
    return turn->shard != NULL;
}

bool keydir_turn_resident(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
{
    enum item_queue queue = queue_in_turn(keydir, tenant);
    if (turn_of(keydir, tenant, queue, turn)) return true;
    queue = queue == ITEM_QUEUE_SMALL ? ITEM_QUEUE_MAIN : ITEM_QUEUE_SMALL;
    return turn_of(keydir, tenant, queue, turn);
}

bool keydir_turn_spilled(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
{
    return turn_of(keydir, tenant, ITEM_QUEUE_SPILLED, turn);
}

bool keydir_much_spilled(const struct keydir *keydir)
{
    uint64_t bytes = atomic_load_explicit(&keydir->spilled_bytes, memory_order_relaxed);
    return bytes > budget_limit(keydir->budget) / SPILLED_PART;
}

bool keydir_turn(struct keydir *keydir, uint8_t tenant, struct keydir_turn *turn)
{
    if (keydir_much_spilled(keydir) && keydir_turn_spilled(keydir, tenant, turn))
        return true;
    return keydir_turn_resident(keydir, tenant, turn) ||
           keydir_turn_spilled(keydir, tenant, turn);
}

/* The item has come to the end of its queue. True: it gives way. */
static bool gives_way(struct keydir_shard *shard, enum item_queue queue, struct item *item,
                      bool force)
{
    if (item->marks > 0 && !force) {
        item->marks = queue == ITEM_QUEUE_SMALL ? 0 : (item->marks - 1u) & 3;
        push(shard, queue == ITEM_QUEUE_SPILLED ? queue : ITEM_QUEUE_MAIN, item);
        return false;
    }
    if (queue == ITEM_QUEUE_SMALL) *ghost_place(shard, item) = ghost_of(item);
    return true;
}

struct item *keydir_victim_locked(const struct keydir_turn *turn, bool force)
{
    struct keydir_shard *shard = turn->shard;
    lock_assert_held(&shard->lock);
    struct place place = {turn->tenant, turn->queue};
    uint32_t word;
    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        if (!fifo_pop(&queue_at(shard, place)->fifo, &shard->spares, &word)) return NULL;
        struct item *item = find(shard, place, word);
        if (item == NULL) continue;
        keydir_order_leave(shard, item);
        if (gives_way(shard, turn->queue, item, force)) return item;
        if (turn->queue == ITEM_QUEUE_SPILLED) continue;
        if (queue_in_turn(shard->keydir, turn->tenant) != turn->queue) return NULL;
    }
    return NULL;
}

void keydir_leaves_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    fp_assert(item->queue == ITEM_UNQUEUED && !item->leaving);
    item->leaving = true;
    shard->leaving_count++;
}

void keydir_order_stays(struct keydir_shard *shard, struct item *item)
{
    shard->leaving_count -= item->leaving;
    item->leaving = false;
}

void keydir_order_spilled(struct keydir_shard *shard, struct item *item)
{
    fp_assert(item->leaving && item->queue == ITEM_UNQUEUED);
    keydir_order_stays(shard, item);
    item->marks = 0;
    push(shard, ITEM_QUEUE_SPILLED, item);
}

void keydir_return_locked(struct keydir_shard *shard, struct item *item)
{
    lock_assert_held(&shard->lock);
    fp_assert(item->leaving && item->queue == ITEM_UNQUEUED);
    keydir_order_stays(shard, item);
    push(shard, ITEM_QUEUE_MAIN, item);
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Calls `each` for all queues that there are. */
static void each_queue(struct keydir_shard *shard,
                       void (*each)(struct keydir_shard *shard, struct place place, void *context),
                       void *context)
{
    for (int tenant = 0; tenant < TENANTS_MAX; tenant++) {
        if (queues_of(shard, (uint8_t)tenant) == NULL) continue;
        for (int i = 0; i < ITEM_QUEUES; i++)
            each(shard, (struct place){(uint8_t)tenant, (enum item_queue)i}, context);
    }
}

static void clear_queue(struct keydir_shard *shard, struct place place, void *ignored)
{
    (void)ignored;
    fifo_clear(&queue_at(shard, place)->fifo, &shard->spares);
}

void keydir_order_clear(struct keydir_shard *shard)
{
    each_queue(shard, clear_queue, NULL);
}

void keydir_order_fini(struct keydir_shard *shard)
{
    for (int tenant = 1; tenant < TENANTS_MAX; tenant++) {
        struct keydir_queue *queues = atomic_exchange(&shard->others[tenant], NULL);
        if (queues == NULL) continue;
        shard->other_count--;
        budget_return(shard->keydir->budget, BUDGET_KEYDIR, ITEM_QUEUES * sizeof *queues);
        free(queues);
    }
}

/* --- for tests -------------------------------------------------------------------------------- */

static void add_bytes(struct keydir_shard *shard, struct place place, void *bytes)
{
    uint64_t *sum = bytes;
    bool own = place.tenant != TENANT_DEFAULT;
    const struct fifo *fifo = &queue_at(shard, place)->fifo;
    for (const struct fifo_chunk *chunk = fifo->oldest; chunk != NULL; chunk = chunk->next)
        *sum += FIFO_CHUNK_BYTES;
    if (own) *sum += sizeof(struct keydir_queue);
}

uint64_t keydir_order_bytes(struct keydir_shard *shard)
{
    uint64_t bytes = (uint64_t)shard->spares.count * FIFO_CHUNK_BYTES;
    each_queue(shard, add_bytes, &bytes);
    return bytes;
}

static void check_queue(struct keydir_shard *shard, struct place place, void *context)
{
    const struct keydir_queue *queue = queue_at(shard, place);
    const uint64_t(*counts)[ITEM_QUEUES + 1] = context;
    uint64_t words = 0, found = 0, items = atomic_load(&queue->items);
    for (const struct fifo_chunk *chunk = queue->fifo.oldest; chunk != NULL; chunk = chunk->next) {
        fp_assert(chunk->first < chunk->end && chunk->end <= FIFO_CHUNK_WORDS);
        fp_assert(chunk->next != NULL || queue->fifo.newest == chunk);
        words += chunk->end - chunk->first;
        for (unsigned i = chunk->first; i < chunk->end; i++)
            found += find(shard, place, chunk->words[i]) != NULL;
    }
    /* An old word may find an item too, if tickets repeat; one without a word never gives way. */
    fp_assert(words == queue->fifo.words && found >= items);
    fp_assert(counts[place.tenant][place.queue] == items);
}

void keydir_order_check(struct keydir_shard *shard)
{
    static const uint64_t none[TENANTS_MAX][ITEM_QUEUES + 1];
    uint64_t counts[TENANTS_MAX][ITEM_QUEUES + 1];
    memcpy(counts, none, sizeof counts);
    for (uint64_t p = 0; p < shard->capacity; p++) {
        const struct item *item = shard->table[p];
        if (item == NULL) continue;
        counts[item->tenant][item->queue]++;
        fp_assert((item->mapped || item->leaving) == (item->queue == ITEM_UNQUEUED));
    }
    each_queue(shard, check_queue, counts);
}
